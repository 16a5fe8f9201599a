"""A tree with its values, all in memory, to make proofs from."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.primitives import tree
from consensus.proofs import StateProof, Wanted, prove_state


class StoredTree:
    """Pages go through their stored bytes, as on a disk."""

    def __init__(self, pairs: dict[bytes, bytes]) -> None:
        self.pairs = dict(pairs)
        self.pages: dict[bytes, bytes] = {}
        update = tree.update(self, b"", self.pairs)
        self.slot = update.slot
        self.pages = {path: page.encode() for path, page in update.pages.items() if page}
        self.root = update.root

    def load(self, path: bytes) -> tree.Page:
        return tree.Page.decode(self.pages[path])

    def prove(
        self,
        keys: Sequence[bytes] = (),
        ranges: Sequence[tuple[bytes, bytes]] = (),
        *,
        neighbours: bool = False,
    ) -> StateProof:
        wanted = Wanted(keys, ranges)
        return prove_state(self, self.slot, self.pairs.get, wanted, neighbours=neighbours)
