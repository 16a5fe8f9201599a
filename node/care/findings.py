"""What is wrong with stored data, and what would mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Remedy = Literal["indexes", "pages", "replay", "accept", "elsewhere"]
"""How ``hansa db repair`` can mend it: indexes, history hashes and certificates from the blocks;
pages of the tree from the flat values; everything that executing the blocks gives, by executing
them again; a lost end of the chain by going on from what is left. ``elsewhere``: only from a backup
or from other nodes."""

SHOWN_MAX: Final = 50
"""Findings of one code that are kept; more are counted."""

Progress = Callable[[str, int, int], None]
"""(phase, done, of how many; 0 where that is not known)."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable code, where (table and key, or file), and what."""

    code: str
    where: str
    what: str
    remedy: Remedy

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Findings:
    """All that is wrong, the first ``SHOWN_MAX`` of each code in words."""

    shown: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    remedies: set[Remedy] = field(default_factory=set)

    def add(self, code: str, where: str, what: str, remedy: Remedy) -> None:
        self.counts[code] = self.counts.get(code, 0) + 1
        self.remedies.add(remedy)
        if self.counts[code] <= SHOWN_MAX:
            self.shown.append(Finding(code, where, what, remedy))

    def __bool__(self) -> bool:
        return bool(self.counts)


def nothing(_phase: str, _done: int, _total: int) -> None:
    """Progress that nobody asked for."""
