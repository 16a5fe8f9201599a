"""Snapshots: a state with what a node needs to go on from it, in parts that are checked alone."""
