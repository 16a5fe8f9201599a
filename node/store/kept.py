"""States of recent blocks: what a proof at another height than the newest is made from.

Each is a snapshot of the store right behind a block's batch. It costs no copy: the store keeps what
the snapshot shows until it is let go. They don't outlive the process, and a node that catches up
has none of the blocks that it only passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives import tree
from consensus.primitives.errors import InputError, LocalFault
from node.store.kv import KV, View
from node.store.state import META, STATE, read_page

KEPT_MAX: Final = 64
CHANGES_MAX: Final = 200_000
"""Changed keys between the oldest and the newest: LevelDB drops no version of a page that is newer
than its oldest snapshot, and a changed key makes some 0.3 KB of them."""


class KeptState:
    """The state after one block, with the header that names its root."""

    def __init__(self, header: Header, certificate: Certificate | None, view: View) -> None:
        """``certificate`` is None for block 0 alone."""
        self.header = header
        self.certificate = certificate
        self.view = view
        self._users = 0
        self._closed = False
        self.slot = view.get(META) or b""

    @property
    def height(self) -> int:
        return self.header.height

    def get(self, key: bytes) -> bytes | None:
        return self.view.get(STATE + key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self.view.scan(STATE + start, STATE + stop):
            yield key[1:], value

    def load(self, path: bytes) -> tree.Page:
        """A page of this state's tree. Raises LocalFault."""
        page = self.stored(path)
        if page is None:
            raise LocalFault("STORE_CORRUPT", f"page {path.hex()} of the state tree is missing")
        return page

    def stored(self, path: bytes) -> tree.Page | None:
        """The page at ``path``, if one stands there. Raises LocalFault."""
        return read_page(self.view, path)

    @contextmanager
    def _using(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._closed and not self._users:
                self.view.close()

    def in_use(self) -> AbstractContextManager[None]:
        """Stay open meanwhile, whatever the chain does."""
        return self._using()

    def close(self) -> None:
        """At once, or when its last user is done."""
        self._closed = True
        if not self._users:
            self.view.close()


class KeptStates:
    """By height, oldest first. Keeps nothing before :meth:`begin`: only nodes that serve do."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv
        self._kept: dict[int, KeptState] = {}
        self._changes: dict[int, int] = {}
        self._passed = 0
        self._begun = False

    def begin(self, header: Header, certificate: Certificate | None) -> None:
        """Keep states from the tip on, which stands in the store."""
        self._begun = True
        self.add(header, certificate, 0)

    def add(self, header: Header, certificate: Certificate | None, changes: int) -> None:
        """The batch of this block, which changed so many keys, is written and nothing behind it."""
        tip = header.height
        if not self._begun or tip in self._kept:
            return
        self._kept[tip] = KeptState(header, certificate, self._kv.snapshot())
        self._changes[tip] = changes + self._passed
        self._passed = 0
        while len(self._kept) > KEPT_MAX or self._too_many():
            oldest = min(self._kept)
            self._kept.pop(oldest).close()
            del self._changes[oldest]

    def passed(self, changes: int) -> None:
        """A block goes with the next one's batch: it leaves no state, but its changes count."""
        self._passed += changes

    def _too_many(self) -> bool:
        return len(self._kept) > 1 and sum(self._changes.values()) > CHANGES_MAX

    def heights(self) -> list[int]:
        return list(self._kept)

    @property
    def newest(self) -> KeptState | None:
        return self._kept[max(self._kept)] if self._kept else None

    def at(self, height: int | None) -> KeptState:
        """The state after a block, None for the newest. Raises InputError STATE_NOT_KEPT."""
        kept = self._kept
        if height is None and kept:
            return kept[max(kept)]
        if height in kept:
            return kept[height]
        told = f"{min(kept)} to {max(kept)}, with gaps" if kept else "none yet"
        raise InputError(
            "STATE_NOT_KEPT", f"this node no longer has the state after block {height}: {told}"
        )

    def close(self) -> None:
        for one in self._kept.values():
            one.close()
        self._kept = {}
        self._changes = {}
        self._begun = False
