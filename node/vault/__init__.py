"""Openings of party and personal fields at a node: kept encrypted, given to those entitled."""
