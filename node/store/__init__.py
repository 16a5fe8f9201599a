"""What a node keeps on disk: the key-value store, blocks and state."""
