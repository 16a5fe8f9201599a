"""States of any earlier block, out of what later blocks replaced.

Tables::

    f | s | escaped key | height    the value before that block: nothing, or 0x01 | value
    f | p | path | slot | height    that slot of the page before it
    f | m | height                  the slot that held the whole tree
    n | height                      keys of table f that this block wrote, for the pruning
    k                               first height whose state is kept, and whether table n is there

What a state had at height H is the first entry above H; where there is none, what stands now. A
page is kept by its slots, since a changed key changes one slot of each page above it: so a block
costs its own changes and no copies of pages.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import Final

from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives import tree
from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, LocalFault
from node.store import schema
from node.store.kept import KeptState
from node.store.kv import KV
from node.store.retention import Retention
from node.store.schema import height_key
from node.store.state import META, PAGE, STATE, StateDelta

Operations = list[tuple[bytes, bytes | None]]

WIPED_AT_ONCE: Final = 10_000
PASSED_OVER: Final = 8
"""Entries of one key that a scan reads one by one before it looks for the right one."""
_LAST: Final = (1 << 64) - 1
_VALUE: Final = b"\x01"
_NO_SLOTS: Final = (b"",) * 16
_INDEX_BYTES_MAX: Final = 1 << 28


def _escaped(key: bytes) -> bytes:
    """In the order of the keys, and none is the beginning of another."""
    return key.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _unescaped(escaped: bytes) -> bytes:
    return escaped[:-2].replace(b"\x00\xff", b"\x00")


def _value_key(key: bytes) -> bytes:
    return schema.FORMER + STATE + _escaped(key)


def _slot_key(path: bytes, slot: int) -> bytes:
    return schema.FORMER + PAGE + path + bytes((slot,))


_ROOT_KEY: Final = schema.FORMER + META


def _at(height: int) -> bytes:
    return height.to_bytes(8, "big")


class Past:
    """Writes what blocks replace, and finds it again."""

    def __init__(self, kv: KV, retention: Retention) -> None:
        self._kv = kv
        self._retention = retention
        self.first: int | None = None
        """The first height whose state is kept; None where none is."""

    @property
    def _indexed(self) -> bool:
        return self._retention.blocks > 0

    def open(self, tip: int) -> None:
        """Go on with what is kept, or begin with the state after ``tip``. A store that was kept
        without its past for a while has a gap, so it begins anew. Raises LocalFault."""
        first, indexed = self._read_mark()
        if not self._retention.states:
            if first is not None:
                self._wipe()
            return
        if first is not None and self._indexed and not indexed:
            self._wipe()
            first = None
        self.first = tip if first is None else first
        if (first, indexed) != (self.first, self._indexed):
            self._kv.write([self.mark(self.first)], sync=True)

    def _read_mark(self) -> tuple[int | None, bool]:
        raw = self._kv.get(schema.STATES_KEPT)
        if raw is None:
            return None, False
        try:
            first, indexed = decode(raw, bytes_max=64)
        except (CodecError, ValueError, TypeError):
            raise LocalFault("STORE_CORRUPT", "the mark of the states kept is unreadable") from None
        return int(first), bool(indexed)

    def mark(self, first: int) -> tuple[bytes, bytes]:
        return schema.STATES_KEPT, encode([first, self._indexed])

    def _wipe(self) -> None:
        self._kv.write([(schema.STATES_KEPT, None)], sync=True)
        for table in (schema.FORMER, schema.FORMER_OF):
            stop = bytes((table[0] + 1,))
            while True:
                found = [key for key, _ in _some(self._kv.scan(table, stop))]
                if not found:
                    break
                self._kv.write([(key, None) for key in found], sync=False)

    # --- writing -----------------------------------------------------------------------------

    def replaced(self, height: int, delta: StateDelta) -> Operations:
        """What this block replaces, to be written with it, while the state is still the old one.
        Raises LocalFault."""
        if self.first is None:
            return []
        at = _at(height)
        found: Operations = [(_ROOT_KEY + at, delta.base)]
        for key, _ in delta.operations:
            if key[:1] == STATE:
                old = self._kv.get(key)
                was = b"" if old is None else _VALUE + old
                found.append((_value_key(key[1:]) + at, was))
        found += [
            (_slot_key(path, number) + at, old) for path, number, old, _ in delta.update.slots
        ]
        if self._indexed:
            index = encode([key[:-8] for key, _ in found])
            found.append((height_key(schema.FORMER_OF, height), index))
        return found

    def dropped(self, oldest: int) -> Operations:
        """What is needed for no state from ``oldest`` on; a part of it where that is much.
        :attr:`first` is then the first that is left."""
        operations: Operations = []
        while self.first is not None and self.first < oldest:
            at = self.first + 1
            raw = self._kv.get(height_key(schema.FORMER_OF, at))
            if raw is not None:
                keys = decode(raw, bytes_max=_INDEX_BYTES_MAX, items_max=1 << 24)
                operations += [(key + _at(at), None) for key in keys]
                operations.append((height_key(schema.FORMER_OF, at), None))
            self.first = at
        if operations and self.first is not None:
            operations.append(self.mark(self.first))
        return operations


def _some(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(WIPED_AT_ONCE):
        try:
            yield next(pairs)
        except StopIteration:
            return


class PastState(KeptState):
    """The state after an earlier block, seen from one that is held in memory."""

    def __init__(self, header: Header, certificate: Certificate | None, base: KeptState) -> None:
        self.header = header
        self.certificate = certificate
        self._base = base
        former = self._former(_ROOT_KEY)
        self.slot = base.slot if former is None else former

    def _former(self, key: bytes) -> bytes | None:
        """The first entry of this key above the height."""
        found = self._base.view.scan(key + _at(self.height + 1), key + _at(_LAST))
        for _, value in found:
            return value
        return None

    def get(self, key: bytes) -> bytes | None:
        former = self._former(_value_key(key))
        if former is None:
            return self._base.get(key)
        return former[1:] if former else None

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        former = self._former_values(start, stop)
        newest = self._base.scan(start, stop)
        old, new = next(former, None), next(newest, None)
        while old is not None or new is not None:
            if new is None or (old is not None and old[0] <= new[0]):
                assert old is not None
                key, value = old
                if value:
                    yield key, value[1:]
                if new is not None and new[0] == key:
                    new = next(newest, None)
                old = next(former, None)
            else:
                yield new
                new = next(newest, None)

    def _former_values(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """For each key of the range that was written above the height, what it had then."""
        prefix = schema.FORMER + STATE
        begin: bytes | None = prefix + _escaped(start)[:-2]
        end = prefix + _escaped(stop)[:-2]
        while begin is not None:
            begin = yield from self._some_former(begin, end, len(prefix))

    def _some_former(
        self, begin: bytes, end: bytes, skip: int
    ) -> Generator[tuple[bytes, bytes], None, bytes | None]:
        """Returns where to go on: behind, or further inside, a key that has many entries."""
        current, passed, done = b"", 0, False
        for entry, value in self._base.view.scan(begin, end):
            key, height = entry[:-8], int.from_bytes(entry[-8:], "big")
            if key != current:
                current, passed, done = key, 0, False
            if not done and height > self.height:
                done, passed = True, 0
                yield _unescaped(key[skip:]), value
            elif (passed := passed + 1) > PASSED_OVER:
                return key + (_at(_LAST) + b"\x00" if done else _at(self.height + 1))
        return None

    def load(self, path: bytes) -> tree.Page:
        now = self._base.stored(path)
        slots = list(_NO_SLOTS if now is None else now.slots)
        for slot in range(16):
            former = self._former(_slot_key(path, slot))
            if former is not None:
                slots[slot] = former
        if not any(slots):
            raise LocalFault("STORE_CORRUPT", f"page {path.hex()} of an earlier state is missing")
        return tree.Page(tuple(slots), ())

    def in_use(self) -> AbstractContextManager[None]:
        return self._base.in_use()

    def close(self) -> None:
        """It holds nothing of its own."""
