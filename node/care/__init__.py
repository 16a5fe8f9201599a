"""Care of a node's data: verifying, mending, counting, backing up and restoring it."""
