"""What a transaction reads: a state that remembers which keys it was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contracts.runtime.overlay import Overlay, StateReader


class Reading:
    """A state under which ``keys`` and ``ranges`` collect what was read."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self.keys: set[bytes] = set()
        self.ranges: list[tuple[bytes, bytes]] = []
        self.everything = False
        """Set where it can't be known."""

    def get(self, key: bytes) -> bytes | None:
        self.keys.add(key)
        return self._state.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.ranges.append((start, stop))
        return self._state.scan(start, stop)

    def touches(self, keys: set[bytes]) -> bool:
        """Whether any of these keys was read, or would have been found by a scan."""
        if self.everything or not self.keys.isdisjoint(keys):
            return True
        return any(start <= key < stop for start, stop in self.ranges for key in keys)


def standing_before(
    state: StateReader, *write_sets: Sequence[dict[bytes, bytes | None]]
) -> StateReader:
    """The state after what ran before: all these writes, in order."""
    overlay = Overlay(state)
    for ran in write_sets:
        for changes in ran:
            for key, value in changes.items():
                overlay.put(key, value)
    return overlay
