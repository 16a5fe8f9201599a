"""What this node knows of each peer: addresses, state, when to try again.

No input or output here; times (seconds) and randomness come in as arguments.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from p2p.ports import PeerAddress

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 5.0
BACKOFF_JITTER = 0.25
STEADY_S = 3.0
"""A connection that lasted this long wipes out the failures before it."""
OTHER_SIDE_WAIT_S = 1.0
"""How long the higher key waits for the lower one to dial before it dials by itself."""
BAR_S = 10.0
BAR_MAX_S = 640.0
"""A guilty peer is barred for ``BAR_S``, twice as long for each fault more, up to this."""
FORGIVE_S = 600.0
"""For each stretch of this length without a fault one is forgiven."""
UNLISTED_REPORTS_MAX = 256


def bar_s(score: int) -> float:
    """How long a peer with so many faults that are not forgiven is barred."""
    return float(min(BAR_S * 2 ** min(max(score - 1, 0), 10), BAR_MAX_S))


@dataclass(eq=False)
class Peer:
    """One peer, connected or not."""

    listed: PeerAddress
    unlisted: bool = False
    connected_at: float | None = None
    address: str = ""
    rtt_s: float | None = None
    last_error: str = ""
    failures: int = 0
    barred_until: float = 0.0
    score: int = 0
    """Faults not forgiven yet."""
    faults: int = 0
    """Faults in all."""
    fault: str = ""
    """The newest one's code."""
    fault_at: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def key(self) -> bytes:
        return self.listed.key

    @property
    def name(self) -> str:
        return self.listed.name or self.key.hex()[:12]

    def failed(self, reason: str) -> None:
        """An attempt to connect came to nothing."""
        self.failures += 1
        self.last_error = reason

    def connected(self, address: str, now: float) -> None:
        """A link stands. The failures before it count until it has proved steady."""
        self.connected_at = now
        self.address = address
        self.rtt_s = None
        self.last_error = ""

    def disconnected(self, reason: str, now: float) -> None:
        steady = self.connected_at is not None and now - self.connected_at >= STEADY_S
        self.failures = 0 if steady else self.failures + 1
        self.connected_at = None
        self.last_error = reason

    def bar(self, code: str, now: float) -> None:
        """Have nothing to do with it for a while, longer with each fault.

        What else is found in the messages of before, while it is barred, is the same offence.
        """
        self.fault = code
        if now < self.barred_until:
            return
        forgiven = int((now - self.fault_at) // FORGIVE_S)
        self.score = max(0, self.score - forgiven) + 1
        self.faults += 1
        self.fault_at = now
        self.barred_until = now + bar_s(self.score)

    def retry_delay_s(self, rng: random.Random) -> float:
        """0.25 s, doubling with each failure up to 5 s, give or take a quarter."""
        exponent = min(max(self.failures - 1, 0), 10)
        delay: float = min(BACKOFF_FIRST_S * 2**exponent, BACKOFF_MAX_S)
        return delay * rng.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)

    def report(self, sent_bytes: int, received_bytes: int, now: float) -> dict[str, Any]:
        """For status pages; the arguments are the present connection's own counts."""
        return {
            "key": self.key.hex(),
            "name": self.name,
            "connected": self.connected_at is not None,
            "address": self.address or ", ".join(self.listed.addresses),
            "rtt_ms": None if self.rtt_s is None else round(self.rtt_s * 1000, 3),
            "last_error": self.last_error,
            "faults": self.faults,
            "last_fault": self.fault,
            "barred_s": math.ceil(max(0.0, self.barred_until - now)),
            "sent_bytes": self.sent_bytes + sent_bytes,
            "received_bytes": self.received_bytes + received_bytes,
        }


@dataclass
class PeerBook:
    """The admitted peers, and the unlisted ones seen where those are accepted."""

    own_key: bytes
    accept_unlisted: bool
    _peers: dict[bytes, Peer] = field(default_factory=dict)

    def admit(self, listed: Iterable[PeerAddress]) -> tuple[list[Peer], list[Peer]]:
        """Make ``listed`` the admitted peers; this node's own entry is left out.

        Returns (those that had no address before, those that are gone).
        """
        wanted = {entry.key: entry for entry in listed if entry.key != self.own_key}
        gone = [
            peer for key, peer in self._peers.items() if key not in wanted and not peer.unlisted
        ]
        for peer in gone:
            del self._peers[peer.key]
        fresh = []
        for key, entry in wanted.items():
            peer = self._peers.setdefault(key, Peer(PeerAddress(key, "")))
            if not peer.listed.addresses:
                fresh.append(peer)
            peer.listed, peer.unlisted = entry, False
        return fresh, gone

    def get(self, key: bytes) -> Peer | None:
        return self._peers.get(key)

    def all(self) -> list[Peer]:
        """In ascending order of key."""
        return [self._peers[key] for key in sorted(self._peers)]

    def admits(self, key: bytes, now: float) -> bool:
        """Whether to speak with the holder of this key now."""
        peer = self._peers.get(key)
        if peer is None:
            return self.accept_unlisted and key != self.own_key
        return now >= peer.barred_until

    def met(self, key: bytes) -> Peer:
        """The entry of an admitted peer, made when it's an unlisted one."""
        peer = self._peers.get(key)
        if peer is None:
            self._forget_some_unlisted()
            peer = self._peers[key] = Peer(PeerAddress(key, ""), unlisted=True)
        return peer

    def _forget_some_unlisted(self) -> None:
        gone = [
            key for key, peer in self._peers.items() if peer.unlisted and peer.connected_at is None
        ]
        if len(gone) >= UNLISTED_REPORTS_MAX:
            del self._peers[min(gone, key=lambda key: self._peers[key].barred_until)]
