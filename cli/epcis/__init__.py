"""GS1 EPCIS at the edge: documents in, canonical events, event hashes, effects, documents out."""
