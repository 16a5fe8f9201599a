"""Overlays: writes that stand before a state without touching it, one upon another."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol


class StateReader(Protocol):
    """The state as it was at some moment."""

    def get(self, key: bytes) -> bytes | None: ...
    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) with start <= key < stop, in key order."""
        ...


_UNWRITTEN: Final = object()


class Overlay:
    """A state with writes upon it. ``changes`` maps each written key to its value or None."""

    def __init__(self, base: StateReader) -> None:
        self.base = base
        self.changes: dict[bytes, bytes | None] = {}
        self._sorted: list[bytes] = []  # the changed keys that scans have put in order so far

    def get(self, key: bytes) -> bytes | None:
        value = self.changes.get(key, _UNWRITTEN)
        return self.base.get(key) if value is _UNWRITTEN else value  # type: ignore[return-value]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value; None deletes."""
        self.changes[key] = value

    def absorb(self, upper: Overlay) -> None:
        """Take over the writes of an overlay that stands on this one."""
        self.changes.update(upper.changes)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Base and writes merged, as they are when the scan begins."""
        keys = self._ordered_keys()
        low, high = bisect_left(keys, start), bisect_left(keys, stop)
        written = [(key, self.changes[key]) for key in keys[low:high]]
        return _merged(self.base.scan(start, stop), written)

    def _ordered_keys(self) -> list[bytes]:
        known = len(self._sorted)
        if known < len(self.changes):
            # Keys are never taken out, so the new ones are the dict's last.
            new = len(self.changes) - known
            if new > 16:
                self._sorted = sorted(self.changes)
            else:
                for key in islice(reversed(self.changes), new):
                    insort(self._sorted, key)
        return self._sorted


def _merged(
    base: Iterator[tuple[bytes, bytes]], written: list[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for key, value in base:
        while at < len(written) and written[at][0] < key:
            new_key, new_value = written[at]
            if new_value is not None:
                yield new_key, new_value
            at += 1
        if at < len(written) and written[at][0] == key:
            continue  # the write comes in its turn
        yield key, value
    for new_key, new_value in written[at:]:
        if new_value is not None:
            yield new_key, new_value
