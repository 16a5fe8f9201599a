"""Contracts of the supply chain: batches, logistic units and their traces."""
