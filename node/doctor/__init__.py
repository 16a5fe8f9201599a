"""Why a node or the network does not advance, in plain words."""
