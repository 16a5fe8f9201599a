"""The genesis document: what a consortium agrees on before its first block."""
