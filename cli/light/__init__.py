"""A light node: follows a chain by its headers alone, and believes no node that it asks."""
