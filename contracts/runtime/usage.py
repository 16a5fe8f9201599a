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

_COUNT_MAX: Final = 2**62
_PERIOD_KEY: Final = encode_key(NAME, "settings", ("period_ms",))


class Line:
    """One organisation's counters of the period: steps, bytes, calls, transactions."""

    __slots__ = ("_limits", "calls", "size", "steps", "transactions", "written")

    def __init__(self, counts: list[int], limits: list[int]) -> None:
        self.steps, self.size, self.calls, self.transactions = counts
        self._limits = limits if any(limits) else None
        self.written = False

    def exceeded(self, size: int, calls: int) -> str | None:
        """What stands against one more transaction of so many bytes and calls, or None."""
        if self._limits is None:
            return None
        steps_max, bytes_max, calls_max = self._limits
        if steps_max and self.steps >= steps_max:
            return f"{steps_max} steps a period are used up"
        if bytes_max and self.size + size > bytes_max:
            return f"more than {bytes_max} bytes a period"
        if calls_max and self.calls + calls > calls_max:
            return f"more than {calls_max} calls a period"
        return None

    def count(self, steps: int, size: int, calls: int, transactions: int) -> None:
        self.steps += steps
        self.size += size
        self.calls += calls
        self.transactions += transactions
        self.written = True


class UsageBook:
    """A block's counting. Without a usage contract nothing is limited and nothing is kept."""

    def __init__(self, overlay: Overlay, time_ms: int, *, is_kept: bool) -> None:
        self._overlay = overlay
        self._is_kept = is_kept
        self._lines: dict[str, Line] = {}
        self._period = time_ms // (_wholes([self._read(_PERIOD_KEY)], 1)[0] or PERIOD_MS)

    def _read(self, key: bytes) -> Any:
        raw = self._overlay.get(key)
        return None if raw is None else msgpack.unpackb(raw)

    def line(self, organisation: str) -> Line:
        """The counters of an organisation, as they are by now."""
        line = self._lines.get(organisation)
        if line is None and not (self._is_kept and organisation):
            line = self._lines[organisation] = Line([0, 0, 0, 0], [0, 0, 0])
        if line is None:
            period, *counts = _wholes(self._read(encode_key(NAME, "used", (organisation,))), 5)
            if period != self._period:
                counts = [0, 0, 0, 0]
            limits = _wholes(self._read(encode_key(NAME, "quotas", (organisation,))), 3)
            line = self._lines[organisation] = Line(counts, limits)
        return line

    def write(self) -> None:
        """Put the counters of this block into the state."""
        for organisation in sorted(self._lines):
            line = self._lines[organisation]
            if line.written and self._is_kept and organisation:
                key = encode_key(NAME, "used", (organisation,))
                counts = [line.steps, line.size, line.calls, line.transactions]
                self._overlay.put(key, encode([self._period, *counts]))


def _wholes(found: Any, count: int) -> list[int]:
    """So many numbers; 0 for what a later version of the contract keeps otherwise."""
    row = found[:count] if type(found) is list else []
    wholes = [one if type(one) is int and 0 <= one < _COUNT_MAX else 0 for one in row]
    return wholes + [0] * (count - len(wholes))
