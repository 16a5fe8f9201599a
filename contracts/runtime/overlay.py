"""Overlays: writes that stand before a state without touching it, one upon another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final, Protocol

Entry = tuple[bytes, bytes | None]


class StateReader(Protocol):
    """The state as it was at some moment."""

    def get(self, key: bytes) -> bytes | None: ...
    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) with start <= key < stop, in key order."""
        ...


_UNWRITTEN: Final = object()


class Overlay:
    """A state with writes upon it. ``changes`` maps each written key to its value or None.

    While a scan of an overlay is under way, nothing is written to those below it.
    """

    def __init__(self, base: StateReader) -> None:
        self.base = base
        self.changes: dict[bytes, bytes | None] = {}
        # The changed keys that scans have put in order so far, in runs of which each is at least
        # twice as long as the next: a scan must not cost what others have written.
        self._runs: list[list[bytes]] = []
        self._ordered = 0

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
        return ((key, value) for key, value in self.entries(start, stop) if value is not None)

    def entries(self, start: bytes, stop: bytes) -> Iterator[Entry]:
        """The same with None for what was deleted, so that passing over it can be paid for."""
        changes, keys = self.changes, self._keys(start, stop)
        below = self._below(start, stop)
        if keys is None:
            return below
        return _merged(below, iter([(key, changes[key]) for key in keys]))

    def _below(self, start: bytes, stop: bytes) -> Iterator[Entry]:
        base = self.base
        if not isinstance(base, Overlay):
            return base.scan(start, stop)
        changes, keys = base.changes, base._keys(start, stop)
        below = base._below(start, stop)
        if keys is None:
            return below
        return _merged(below, ((key, changes[key]) for key in keys))

    def _keys(self, start: bytes, stop: bytes) -> Iterator[bytes] | None:
        """The changed keys of a range, in order; None if there are none, as almost always."""
        new = len(self.changes) - self._ordered
        runs = self._runs
        if new:
            # Keys are never taken out, so the new ones are the dict's last.
            run = sorted(islice(reversed(self.changes), new))
            while runs and len(runs[-1]) < 2 * len(run):
                run = sorted(runs.pop() + run)
            runs.append(run)
            self._ordered += new
        found = []
        for run in runs:
            first = bisect_left(run, start)
            if first < len(run) and run[first] < stop:
                places = range(first, bisect_left(run, stop, first))
                found.append(map(run.__getitem__, places))
        return merge(*found) if found else None


def _merged(base: Iterator[Entry], written: Iterator[Entry]) -> Iterator[Entry]:
    """Both in key order; of two with one key the written one."""
    new = next(written, None)
    for entry in base:
        while new is not None and new[0] < entry[0]:
            yield new
            new = next(written, None)
        if new is None or new[0] != entry[0]:
            yield entry
    if new is not None:
        yield new
        yield from written
