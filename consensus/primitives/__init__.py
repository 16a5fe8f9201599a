"""The vocabulary under every data type: errors, canonical bytes, hashes, Merkle trees."""
