"""Progress of long work on standard error: what, how far, and about how long still."""

from __future__ import annotations

import time
from typing import Final

from cli import output

SAY_S: Final = 2.0


class Teller:
    """Call it with (phase, done, of how many); it says something every two seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._began = self._said = time.monotonic()

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began = phase, now
        if now - self._said < SAY_S:
            return
        self._said = now
        output.say(f"{phase}: {done}{_rest(done, total, now - self._began)}")


def _rest(done: int, total: int, seconds: float) -> str:
    if not total:
        return ""
    if not done:
        return f" of {total}"
    return f" of {total}, about {seconds * (total - done) / done:.0f} s left"
