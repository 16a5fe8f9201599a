"""The local HTTP API: what clients and operators see of a node."""
