"""What several checks conclude from a node's vital signs, and how findings put it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from node.vitals import Member, Vitals

PATIENCE_TIMEOUTS: Final = 3
"""A block later than its pace by so many round time-outs is stalled: one dead proposer in a row
costs one, and then the next one makes the block."""
PATIENCE_MS_MIN: Final = 2_000
SETTLED_MS: Final = 5_000
"""A link younger than this has not shown anything yet."""
SILENT_BLOCKS: Final = 4
BEHIND_BLOCKS: Final = 2


class Case:
    """One node's vital signs, and what several checks conclude from them."""

    def __init__(self, vitals: Vitals) -> None:
        self.v = vitals
        self.timeout_ms: int = vitals.params["round_timeout_ms"]
        self.drift_ms: int = vitals.params["clock_drift_ms"]

    @property
    def others(self) -> list[Member]:
        return [one for one in self.v.members if not one.me]

    @property
    def there(self) -> list[Member]:
        """Validators in touch, this node included."""
        return [one for one in self.v.members if one.me or one.connected]

    @property
    def away(self) -> list[Member]:
        return [one for one in self.others if not one.connected]

    @cached_property
    def behind(self) -> int:
        """Blocks that others have and this node has not."""
        return self.v.highest_told - self.v.height

    @cached_property
    def overdue_ms(self) -> int:
        """For how long a block should have been there."""
        v = self.v
        late = [v.since_block_ms - v.params["empty_block_interval_ms"]]
        if v.oldest_ms is not None:
            pace = v.params["min_block_interval_ms"]
            late.append(min(v.since_block_ms, v.oldest_ms) - 2 * pace)
        return int(max(late))

    @property
    def stalled(self) -> bool:
        patience = max(PATIENCE_TIMEOUTS * self.timeout_ms, PATIENCE_MS_MIN)
        return self.overdue_ms > patience

    @cached_property
    def slow_peers(self) -> list[Member]:
        """In touch, but blocks behind: it can't vote yet."""
        return [
            one
            for one in self.others
            if one.connected
            and one.height is not None
            and self.v.height - one.height > BEHIND_BLOCKS
            and (one.link_ms or 0) > SETTLED_MS
        ]

    @cached_property
    def silent(self) -> list[Member]:
        """In touch, but without a vote where one was due. Only validators hear votes."""
        if not self.v.me or self.behind > BEHIND_BLOCKS:
            return []
        agreement = self.v.agreement
        found = []
        for one in self.others:
            if not one.connected or one in self.slow_peers or (one.link_ms or 0) <= SETTLED_MS:
                continue
            missed = self.v.height - (one.heard_height or 0)
            in_blocks = missed >= SILENT_BLOCKS and one.link_blocks >= SILENT_BLOCKS
            in_this_one = self.stalled and agreement is not None and one.name not in agreement.heard
            if in_blocks or in_this_one:
                found.append(one)
        return found

    @cached_property
    def able(self) -> list[Member]:
        """Validators that this node can count on for the next block."""
        unable = [*self.silent, *self.slow_peers]
        return [one for one in self.there if one not in unable and (self.v.votes or not one.me)]

    def called(self, one: Member) -> str:
        return f"{one.name} ({one.organisation})"

    def why_away(self, one: Member) -> str:
        since = "" if one.link_ms is None else f" for {age(one.link_ms)}"
        if one.link_ms is None:
            since = f" since this node started {age(self.v.up_ms)} ago"
        error = f', last error "{one.last_error}"' if one.last_error else ""
        return f"{self.called(one)} is not connected{since}{error}"


def names_of(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def age(ms: int) -> str:
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    if ms < 120_000:
        return f"{ms // 1000} s"
    return f"{ms // 60_000} min" if ms < 7_200_000 else f"{ms // 3_600_000} h"


def ahead_of(ms: int) -> str:
    return f"{abs(ms) / 1000:.1f} s {'ahead of' if ms > 0 else 'behind'}"
