"""What a node has lately seen of others and of itself, for the doctor alone: nothing is decided by
it, everything is bounded.

Engine and node note facts as they meet them; ``node.vitals`` reads them. Moments are monotonic ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from consensus.messages import Vote

KEPT: Final = 16
LOST_ROUNDS_KEPT: Final = 64
REFUSALS_KEPT: Final = 256
CLOCKS_KEPT: Final = 3
"""Of each clock the newest so many readings; the one with the least delay counts."""


@dataclass(frozen=True)
class Heard:
    """The newest vote of a validator."""

    height: int
    round: int
    at_ms: int


@dataclass(frozen=True)
class Committed:
    """A block: when, in which round, how many transactions, how many of them failed."""

    height: int
    round: int
    at_ms: int
    txs: int
    failed: int


@dataclass
class Observed:
    """``heard``, ``contradicted`` and ``clocks`` go by consensus key, the rest of the peers by
    network key."""

    started_ms: int
    heard: dict[bytes, Heard] = field(default_factory=dict)
    contradicted: dict[bytes, int] = field(default_factory=dict)
    """The height at which somebody's contradiction last became known."""
    clocks: dict[bytes, deque[int]] = field(default_factory=dict)
    """How far ahead of the own clock, ms, less what the proposal took to come."""
    block_clock: deque[int] = field(default_factory=lambda: deque(maxlen=CLOCKS_KEPT))
    """The same of the times of blocks, when they are committed as they come."""
    linked: dict[bytes, tuple[bool, int]] = field(default_factory=dict)
    """Whether connected, and since when."""
    faults: dict[bytes, tuple[str, str, int]] = field(default_factory=dict)
    """Why a peer was dropped last: code, reason, when."""
    log_ms: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    store_ms: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    blocks: deque[Committed] = field(default_factory=lambda: deque(maxlen=KEPT))
    lost_rounds: deque[tuple[int, bytes]] = field(
        default_factory=lambda: deque(maxlen=LOST_ROUNDS_KEPT)
    )
    """Height of a round that ended without a decision, and who was to propose in it."""
    refused_contents: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Height and reason."""
    refused_txs: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=REFUSALS_KEPT))
    """When and with which code this node's own clients were refused."""
    reports: deque[tuple[str, int, str]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Of outcomes that differ: kind, height, the sentence."""
    dissent: deque[tuple[bytes, int]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Who prepared another outcome than was committed, and at which height."""
    memory_lost: str = ""
    """Why voting stopped for want of a vote log, or could not begin."""

    def vote(self, vote: Vote, now_ms: int) -> None:
        known = self.heard.get(vote.sender)
        if known is None or (known.height, known.round) <= (vote.height, vote.round):
            self.heard[vote.sender] = Heard(vote.height, vote.round, now_ms)

    def clock(self, key: bytes, peer: bytes, ahead_ms: int, now_ms: int) -> None:
        """A reading; not of what waited until its link came up."""
        if ahead_ms < 0 and self.linked.get(peer, (True, now_ms))[1] - now_ms > ahead_ms:
            return
        self.clocks.setdefault(key, deque(maxlen=CLOCKS_KEPT)).append(ahead_ms)

    def link(self, peer: bytes, up: bool, now_ms: int) -> None:
        self.linked[peer] = (up, now_ms)

    def keep(self, consensus_keys: set[bytes], network_keys: set[bytes]) -> None:
        """Forget who is nobody any more."""
        for by_key in (self.heard, self.clocks, self.contradicted):
            for key in by_key.keys() - consensus_keys:
                del by_key[key]
        for by_peer in (self.linked, self.faults):
            for key in by_peer.keys() - network_keys:
                del by_peer[key]
