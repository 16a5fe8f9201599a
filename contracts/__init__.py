"""What the ledger keeps for its users: the SDK, the runtime, and the contract modules."""
