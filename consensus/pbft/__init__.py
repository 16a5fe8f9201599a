"""PBFT in QBFT's form, sans-I/O: inputs go in, outputs come out, in order."""
