"""What each organisation uses of the chain, counted by the runtime for the usage contract.

The usage contract declares the maps and answers queries; its ``used`` is written here, once a
block. A transaction counts also when it fails. Limits are looked at before a transaction runs:
one that begins below them may end above.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from consensus.primitives.codec import encode
from consensus.primitives.keys import encode_key
from contracts.runtime.overlay import Overlay

NAME: Final = "usage"
PERIOD_MS: Final = 86_400_000

_PERIOD_KEY: Final = encode_key(NAME, "settings", ("period_ms",))


class _Line:
    """One organisation's counters: steps, bytes, calls, transactions of the period so far."""

    __slots__ = ("counts", "limits", "written")

    def __init__(self, counts: list[int], limits: list[int]) -> None:
        self.counts = counts
        self.limits = limits
        self.written = False


class UsageBook:
    """A block's counting. Without a usage contract nothing is limited and nothing is kept."""

    def __init__(self, overlay: Overlay, time_ms: int, *, is_kept: bool) -> None:
        self._overlay = overlay
        self._is_kept = is_kept
        self._lines: dict[str, _Line] = {}
        self._period = time_ms // (self._read(_PERIOD_KEY) or PERIOD_MS) if is_kept else 0

    def _read(self, key: bytes) -> Any:
        raw = self._overlay.get(key)
        return None if raw is None else msgpack.unpackb(raw)

    def _line(self, organisation: str) -> _Line:
        line = self._lines.get(organisation)
        if line is None:
            used = self._read(encode_key(NAME, "used", (organisation,))) or [-1]
            counts = list(used[1:]) if used[0] == self._period else [0, 0, 0, 0]
            limits = self._read(encode_key(NAME, "quotas", (organisation,))) or [0, 0, 0]
            line = self._lines[organisation] = _Line(counts, limits)
        return line

    def exceeded(self, organisation: str, size: int, calls: int) -> str | None:
        """What stands against one more transaction of so many bytes and calls, or None."""
        if not self._is_kept:
            return None
        line = self._line(organisation)
        steps_max, bytes_max, calls_max = line.limits[:3]
        if steps_max and line.counts[0] >= steps_max:
            return f"{steps_max} steps a period are used up"
        if bytes_max and line.counts[1] + size > bytes_max:
            return f"more than {bytes_max} bytes a period"
        if calls_max and line.counts[2] + calls > calls_max:
            return f"more than {calls_max} calls a period"
        return None

    def count(
        self, organisation: str, *, steps: int, size: int, calls: int, transactions: int
    ) -> None:
        if not self._is_kept or not organisation:
            return
        line = self._line(organisation)
        counts = line.counts
        counts[0] += steps
        counts[1] += size
        counts[2] += calls
        counts[3] += transactions
        line.written = True

    def write(self) -> None:
        """Put the counters of this block into the state."""
        for organisation in sorted(self._lines):
            line = self._lines[organisation]
            if line.written:
                key = encode_key(NAME, "used", (organisation,))
                self._overlay.put(key, encode([self._period, *line.counts]))
