"""Every table of a node's LevelDB, in one place. Heights are 8 bytes, big-endian.

| key                   | value                                                                 |
|-----------------------|-----------------------------------------------------------------------|
| ``s`` state key       | newest value of the state (``node.store.state``)                      |
| ``p`` path            | page of the state tree (``node.store.state``)                         |
| ``m`` name            | the state tree's root (``node.store.state``)                          |
| ``b`` height          | Block                                                                 |
| ``c`` height          | Certificate of that block; replaced by the copy in the next block     |
| ``r`` height          | canonical array of the block's Receipts                               |
| ``h`` block hash      | height                                                                |
| ``x`` tx id           | height, index in the block (4 bytes)                                  |
| ``w`` validators hash | ValidatorSet                                                          |
| ``g``                 | chain id: whose data this is                                          |
| ``t``                 | the tip: height, block hash, frontier of the history root             |
| ``v``                 | version of this layout                                                |
"""

from __future__ import annotations

from typing import Final

LAYOUT_VERSION: Final = b"\x03"

BLOCK: Final = b"b"
CERTIFICATE: Final = b"c"
RECEIPTS: Final = b"r"
BLOCK_HASH: Final = b"h"
TX_ID: Final = b"x"
VALIDATORS: Final = b"w"
CHAIN_ID: Final = b"g"
TIP: Final = b"t"
VERSION: Final = b"v"


def height_key(table: bytes, height: int) -> bytes:
    return table + height.to_bytes(8, "big")
