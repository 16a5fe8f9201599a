"""The contract state on disk: a flat table for reading and the pages of the tree that proves it.

Tables (all of the node's key prefixes: node/store/schema.py)::

    s | key            value, the newest
    p | path | number  slot of a page of the state tree (docs/spec/state.md); missing: an empty one
    m                  slot that holds the whole tree; missing: the empty tree

A page stands in the store slot by slot: a changed key changes one slot of each page above it, and
what is written over and over again costs more than what is read once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from consensus.primitives import tree
from consensus.primitives.errors import LocalFault
from node.store.kv import KV, View

STATE: Final = b"s"
PAGE: Final = b"p"
META: Final = b"m"
PAGES_CACHED_MAX: Final = 1 << 14  # of some 3.5 KB


_NUMBERS: Final = tuple(bytes((number,)) for number in range(17))
_NO_SLOTS: Final = (b"",) * 16


def slot_key(path: bytes, number: int) -> bytes:
    """Where the store has a slot of the page at ``path``."""
    return PAGE + path + _NUMBERS[number]


def slots_written(update: tree.TreeUpdate) -> list[tuple[bytes, bytes | None]]:
    """The operations that make the store's pages those of an update."""
    return [
        (PAGE + path + _NUMBERS[number], slot or None) for path, number, _, slot in update.slots
    ]


def page_written(path: bytes, page: tree.Page) -> list[tuple[bytes, bytes]]:
    """What the store has of a page, in the order of the keys."""
    return [(slot_key(path, number), slot) for number, slot in enumerate(page.slots) if slot]


def read_page(view: KV | View, path: bytes) -> tree.Page | None:
    """The page at ``path``, if one stands there. Raises LocalFault STORE_CORRUPT."""
    head = PAGE + path
    slots = list(_NO_SLOTS)
    for key, slot in view.scan(head + _NUMBERS[0], head + _NUMBERS[16]):
        if len(slot) < tree.SLOT_BYTES_MIN:
            raise LocalFault("STORE_CORRUPT", f"page {path.hex()} of the state tree is damaged")
        slots[key[-1]] = slot
    return tree.Page(tuple(slots), ()) if any(slots) else None


@dataclass(frozen=True)
class StateDelta:
    """A prepared state: its root hash, and the operations that make it the stored one."""

    root: bytes
    operations: list[tuple[bytes, bytes | None]]
    base: bytes = field(repr=False)
    update: tree.TreeUpdate = field(repr=False)


class StateStore:
    """The committed state in ``kv``. Any number of states may be prepared on it side by side.

    The caller writes ``delta.operations`` in a batch of its own (with the block), then calls
    :meth:`commit`. A new store on the same ``kv`` finds the state as it was last written.
    """

    def __init__(self, kv: KV, *, pages_cached_max: int = PAGES_CACHED_MAX) -> None:
        self._kv = kv
        self._cache: OrderedDict[bytes, tree.Page] = OrderedDict()
        self._pages_cached_max = pages_cached_max
        self._slot = kv.get(META) or b""

    @property
    def root(self) -> bytes:
        """The 32-byte root hash of the committed state."""
        return tree.root_of(self._slot)

    def get(self, key: bytes) -> bytes | None:
        return self._kv.get(STATE + key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The pairs with ``start <= key < stop``, in key order."""
        for key, value in self._kv.scan(STATE + start, STATE + stop):
            yield key[1:], value

    def prepare(self, changes: Mapping[bytes, bytes | None]) -> StateDelta:
        """The state after ``changes`` (None deletes); nothing committed is touched.

        Raises InputError for keys that the tree can't hold, LocalFault when the store fails.
        """
        update = tree.update(self, self._slot, changes)
        operations: list[tuple[bytes, bytes | None]] = [
            (STATE + key, value) for key, value in changes.items()
        ]
        operations += slots_written(update)
        operations.append((META, update.slot or None))
        return StateDelta(update.root, operations, self._slot, update)

    def commit(self, delta: StateDelta) -> None:
        """Go over to a prepared state, whose operations have been written.

        Raises LocalFault STATE_STALE for one that was prepared on another state.
        """
        if delta.base != self._slot:
            raise LocalFault("STATE_STALE", "the state moved on after this one was prepared")
        self._slot = delta.update.slot
        for path, page in delta.update.pages.items():
            self._cache.pop(path, None)
            if page is not None:
                self._cache[path] = page
        self._trim()

    def load(self, path: bytes) -> tree.Page:
        """The page of the committed tree at ``path``; what the tree's update asks for."""
        page = self._cache.get(path)
        if page is None:
            page = read_page(self._kv, path)
            if page is None:
                raise LocalFault("STORE_CORRUPT", f"page {path.hex()} of the state tree is missing")
            self._cache[path] = page
            self._trim()
        return page

    def _trim(self) -> None:
        """Drop what was neither read nor written for longest; upper pages change every block."""
        while len(self._cache) > self._pages_cached_max:
            self._cache.popitem(last=False)
