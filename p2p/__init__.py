"""Talking to the other nodes: admitted peers, ordered channels, requests.

Nothing here knows what the bytes mean. ``ports`` is what the rest of the node sees.
"""
