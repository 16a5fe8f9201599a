"""Contracts that the chain itself stands on."""
