"""How much of a peer's traffic is borne: allowances that fill up with time, and spaced log lines.

What an honest peer sends at its busiest stays far below each; see docs/security.md. Everything here
is bounded by the number of peers, which the chain admits.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

KEYS_MAX: Final = 4096

Key = TypeVar("Key", bound=Hashable)


class Allowance(Generic[Key]):
    """For each key a bucket of ``burst``, filled at ``per_s``."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left: dict[Key, tuple[float, int]] = {}
        """Key -> what was left, and when (mono ms)."""

    def take(self, key: Key, amount: int, now_ms: int) -> bool:
        """Whether so much is allowed now; then it's taken."""
        left, at_ms = self._left.get(key, (float(self._burst), now_ms))
        left = min(self._burst, left + (now_ms - at_ms) * self._per_s / 1000)
        allowed = left >= amount
        self._keep(key, left - amount if allowed else left, now_ms)
        return allowed

    def retry_ms(self, key: Key, amount: int) -> int:
        """After how long so much will be allowed."""
        left, _ = self._left.get(key, (float(self._burst), 0))
        return max(1, int((amount - left) * 1000 / self._per_s))

    def forget(self, key: Key) -> None:
        self._left.pop(key, None)

    def _keep(self, key: Key, left: float, now_ms: int) -> None:
        self._left.pop(key, None)
        self._left[key] = left, now_ms
        if len(self._left) > KEYS_MAX:
            del self._left[next(iter(self._left))]  # the one that was still for longest


class Spaced(Generic[Key]):
    """Lets one of each key pass per ``gap_ms``, and counts the others."""

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._last: dict[Key, tuple[int, int]] = {}
        """Key -> when one passed, and how many have not passed since."""

    def turn(self, key: Key, now_ms: int) -> int | None:
        """How many were kept back since the last that passed; None if this one is kept back."""
        last_ms, unsaid = self._last.get(key, (now_ms - self._gap_ms, 0))
        if now_ms - last_ms < self._gap_ms:
            self._last[key] = last_ms, unsaid + 1
            return None
        self._last.pop(key, None)
        self._last[key] = now_ms, 0
        if len(self._last) > KEYS_MAX:
            del self._last[next(iter(self._last))]
        return unsaid
