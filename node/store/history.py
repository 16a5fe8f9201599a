"""The hashes of earlier headers as a Merkle tree on disk, for proofs from the history root.

Tables::

    y | level | index    root over the 2**level headers from index * 2**level on (1 and 8 bytes)

Only full subtrees stand here, which never change. There are two hashes for each block, and a proof
between any two heights reads a few for each level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from consensus.primitives import merkle
from consensus.primitives.errors import LocalFault
from consensus.primitives.merkle import Frontier
from node.store import schema
from node.store.kv import KV

Operations = list[tuple[bytes, bytes | None]]

MENDED_AT_ONCE: Final = 4096


def _key(level: int, index: int) -> bytes:
    return schema.HISTORY + bytes((level,)) + index.to_bytes(8, "big")


class Subtrees:
    """The entries of all headers in order, made of nothing but their hashes."""

    def __init__(self, before: Frontier | None = None) -> None:
        """``before``: of the headers that came before the first one to be added."""
        size, *full = (Frontier() if before is None else before).to_plain()
        self._size: int = size
        self._full: list[bytes] = full

    @staticmethod
    def of(before: Frontier) -> list[tuple[bytes, bytes]]:
        """The entries that stand for all headers of ``before``: its own subtrees."""
        size, *hashes = before.to_plain()
        entries, first = [], 0
        for hashed in hashes:
            level = (size - first).bit_length() - 1
            entries.append((_key(level, first >> level), hashed))
            first += 1 << level
        return entries

    def add(self, block_hash: bytes) -> list[tuple[bytes, bytes]]:
        """The next header's: for each full subtree that it completes, its key and root."""
        hashed = merkle.leaf_hash(block_hash)
        level, index = 0, self._size
        entries = [(_key(level, index), hashed)]
        while index & 1:
            hashed = merkle.node_hash(self._full.pop(), hashed)
            level, index = level + 1, index >> 1
            entries.append((_key(level, index), hashed))
        self._full.append(hashed)
        self._size += 1
        return entries


class HistoryStore:
    """Subtree roots over header hashes; block ``h`` is leaf ``h``."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv

    def append(self, height: int, block_hash: bytes) -> Operations:
        """The operations that add a header behind all earlier ones, which are written or held."""
        return self._append(height, block_hash, {})

    def _append(self, height: int, block_hash: bytes, fresh: dict[bytes, bytes]) -> Operations:
        """``fresh`` has what is made and not yet written."""
        hashed = merkle.leaf_hash(block_hash)
        level, index = 0, height
        operations: Operations = [(_key(level, index), hashed)]
        while index & 1:
            key = _key(level, index - 1)
            left = fresh.get(key) or self._kv.get(key)
            if left is None:
                break  # of a store that :meth:`mend` has not been called for yet
            hashed = merkle.node_hash(left, hashed)
            level, index = level + 1, index >> 1
            operations.append((_key(level, index), hashed))
        return operations

    def heights(self) -> Iterator[int]:
        """The headers whose hashes stand here, in order."""
        for key, _ in self._kv.scan(_key(0, 0), _key(1, 0)):
            yield int.from_bytes(key[2:], "big")

    def subtree(self, first: int, end: int) -> bytes:
        """The root over headers ``first`` to, without it, ``end``. Raises LocalFault."""
        size = end - first
        if size & size - 1 == 0:
            level = size.bit_length() - 1
            if first & size - 1 == 0:
                found = self._kv.get(_key(level, first >> level))
                if found is None:
                    raise LocalFault(
                        "STORE_CORRUPT", f"the history of headers {first} to {end - 1} is missing"
                    )
                return found
        split = first + (1 << (size - 1).bit_length() - 1)
        return merkle.node_hash(self.subtree(first, split), self.subtree(split, end))

    def peaks(self, size: int) -> list[bytes]:
        """The roots of the full subtrees over the first ``size`` headers, largest first."""
        found, first = [], 0
        while first < size:
            end = first + (1 << (size - first).bit_length() - 1)
            found.append(self.subtree(first, end))
            first = end
        return found

    def inclusion(self, height: int, size: int) -> list[bytes]:
        """The proof of header ``height`` among the first ``size``. Raises IndexError."""
        return merkle.inclusion_path(size, height, self.subtree)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the first ``old_size`` headers begin the first ``size``. Raises
        IndexError."""
        return merkle.consistency_path(size, old_size, self.subtree)

    def mend(
        self, size: int, root: bytes, hashes: Callable[[], Iterable[tuple[int, bytes]]]
    ) -> None:
        """Make it anew from (height, hash) of all ``size`` blocks in order, unless it is whole: a
        folder that an older release wrote has none. Raises LocalFault STORE_CORRUPT if these are
        not the blocks of the chain whose history has this root."""
        try:
            if self.subtree(0, size) == root:
                return
        except LocalFault:
            pass
        made: dict[bytes, bytes] = {}
        count = 0
        for height, block_hash in hashes():
            if height != count:
                break
            count += 1
            made.update(self._operations(height, block_hash, made))
            if len(made) >= MENDED_AT_ONCE:
                self._kv.write(made.items(), sync=False)
                made = {}
        self._kv.write(made.items(), sync=True)
        if count != size or self.subtree(0, size) != root:
            raise LocalFault("STORE_CORRUPT", "the hashes of earlier blocks are damaged")

    def _operations(
        self, height: int, block_hash: bytes, fresh: dict[bytes, bytes]
    ) -> dict[bytes, bytes]:
        return {
            key: value
            for key, value in self._append(height, block_hash, fresh)
            if value is not None
        }
