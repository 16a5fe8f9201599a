"""Every table of a node's LevelDB, in one place. Heights are 8 bytes, big-endian.

| key                   | value                                                                 |
|-----------------------|-----------------------------------------------------------------------|
| ``s`` state key       | newest value of the state (``node.store.state``)                      |
| ``p`` path, number    | slot of a page of the state tree (``node.store.state``)               |
| ``m`` name            | the state tree's root (``node.store.state``)                          |
| ``b`` height          | Block                                                                 |
| ``c`` height          | Certificate of that block; replaced by the copy in the next block     |
| ``r`` height          | canonical array of the block's Receipts                               |
| ``h`` block hash      | height                                                                |
| ``x`` tx id           | height, index in the block (4 bytes)                                  |
| ``w`` validators hash | ValidatorSet                                                          |
| ``u`` height          | SealedHeader of a block that named another set than its own           |
| ``y`` level, index    | root over full subtrees of the header hashes (``node.store.history``) |
| ``e`` height          | Header of a block whose other parts were pruned                       |
| ``o``                 | height of the oldest block that is kept whole; missing: 0             |
| ``j``                 | Frontier of the headers before the first one that stands here, where  |
|                       | the store was made from a snapshot                                    |
| ``f`` ...             | what blocks replaced in the state (``node.store.past``)               |
| ``n`` height          | that block's keys of ``f`` (``node.store.past``)                      |
| ``k``                 | whose states are kept (``node.store.past``)                           |
| ``g``                 | chain id: whose data this is                                          |
| ``t``                 | the tip: height, block hash, frontier of the history root             |
| ``v``                 | version of this layout                                                |
"""

from __future__ import annotations

from typing import Final

LAYOUT_VERSION: Final = b"\x06"

BLOCK: Final = b"b"
CERTIFICATE: Final = b"c"
RECEIPTS: Final = b"r"
BLOCK_HASH: Final = b"h"
TX_ID: Final = b"x"
VALIDATORS: Final = b"w"
TURN: Final = b"u"
HISTORY: Final = b"y"
PRUNED_HEADER: Final = b"e"
OLDEST: Final = b"o"
JOINED: Final = b"j"
FORMER: Final = b"f"
FORMER_OF: Final = b"n"
STATES_KEPT: Final = b"k"
CHAIN_ID: Final = b"g"
TIP: Final = b"t"
VERSION: Final = b"v"

TABLES: Final = {
    b"s": "state values",
    b"p": "state tree pages",
    b"m": "state tree root",
    BLOCK: "blocks",
    CERTIFICATE: "certificates",
    RECEIPTS: "receipts",
    BLOCK_HASH: "heights by block hash",
    TX_ID: "positions by tx id",
    VALIDATORS: "validator sets",
    TURN: "changes of validators",
    HISTORY: "history of header hashes",
    PRUNED_HEADER: "headers of pruned blocks",
    OLDEST: "oldest block",
    JOINED: "headers before the snapshot",
    FORMER: "earlier states",
    FORMER_OF: "earlier states by height",
    STATES_KEPT: "first earlier state",
    CHAIN_ID: "chain id",
    TIP: "tip",
    VERSION: "layout version",
}
"""Every table with its name, for people."""


def height_key(table: bytes, height: int) -> bytes:
    return table + height.to_bytes(8, "big")
