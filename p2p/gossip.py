"""How admitted transactions spread: batches over long-lived streams, to peers that lack them.

A transaction submitted to this node is pushed in full to every peer. One heard from a peer is not
pushed on at once, since in a full mesh its origin reaches everybody: if it is still waiting after a
moment, its wire id is *offered* (HAVE) to peers that have not shown that they know it, who ask for
what they lack (WANT). On connect, and every second for those older than a second, ids are offered
(again), so that a dropped batch is only late. Having been sent a transaction shows nothing: a peer
may have refused it for want of room, so that is trusted for a few seconds only.

Frames on the transaction channel: one byte for the kind, then a canonical array of byte strings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, PeerFault
from p2p.ports import Channel, Network

TXS: Final = 1
HAVE: Final = 2
WANT: Final = 3

FRAME_BYTES_MAX: Final = 1 << 20
IDS_MAX: Final = 10_000
KNOWN_MAX: Final = 100_000
DONE_MAX: Final = 20_000
BATCH_BYTES: Final = 64 << 10
OFFER_AFTER_MS: Final = 250
OFFER_AGAIN_MS: Final = 1000
SENT_TRUSTED_MS: Final = 3000


class Waiting(Protocol):
    """A transaction in the mempool, as gossip sees it."""

    wire_id: bytes
    arrived_ms: int


class Pool(Protocol):
    """What gossip needs of the node."""

    def waiting(self) -> Iterable[Waiting]:
        """Newest first."""

    def body(self, wire_id: bytes) -> bytes | None:
        """The bytes of a waiting or lately committed transaction."""

    def lacks(self, wire_id: bytes) -> bool:
        """Whether this node could use the transaction."""

    async def heard(self, peer: bytes, raws: list[bytes]) -> None:
        """Transactions from a peer, for admission."""


class Known:
    """The wire ids that a peer knows, having shown it, or may know, having been sent them: the
    newest ``KNOWN_MAX``."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, int | None] = OrderedDict()
        """Wire id -> the moment from which it is doubted, None for what was shown."""
        self._asked: dict[bytes, None] = {}

    def has(self, wire_id: bytes, now_ms: int) -> bool:
        doubted_ms = self._ids.get(wire_id, now_ms)
        return doubted_ms is None or now_ms < doubted_ms

    def shown(self, wire_ids: Iterable[bytes]) -> None:
        for wire_id in wire_ids:
            self._ids[wire_id] = None
        self._trim()

    def sent(self, wire_ids: Iterable[bytes], now_ms: int) -> None:
        for wire_id in wire_ids:
            if self._ids.get(wire_id, now_ms) is not None:
                self._ids[wire_id] = now_ms + SENT_TRUSTED_MS
        self._trim()

    def forget(self, wire_ids: Iterable[bytes]) -> None:
        for wire_id in wire_ids:
            self._ids.pop(wire_id, None)

    def asked(self, wire_ids: Iterable[bytes]) -> None:
        """The peer was asked for these: the newest ``KNOWN_MAX`` are remembered."""
        self._asked.update(dict.fromkeys(wire_ids))
        while len(self._asked) > KNOWN_MAX:
            del self._asked[next(iter(self._asked))]

    def answers(self, wire_id: bytes) -> bool:
        """Whether the peer was asked for it; once for each time that it was."""
        return wire_id in self._asked and self._asked.pop(wire_id) is None

    def _trim(self) -> None:
        while len(self._ids) > KNOWN_MAX:
            self._ids.popitem(last=False)


def frame(kind: int, items: list[bytes]) -> bytes:
    return bytes([kind]) + encode(items)


def parse(payload: bytes) -> tuple[int, list[bytes]]:
    """Kind and items. Raises PeerFault MESSAGE_MALFORMED."""
    try:
        items: Any = decode(payload[1:], bytes_max=FRAME_BYTES_MAX, items_max=IDS_MAX)
    except CodecError as error:
        raise PeerFault("MESSAGE_MALFORMED", f"gossip: {error.message}") from None
    if type(items) is not list or any(type(item) is not bytes for item in items):
        raise PeerFault("MESSAGE_MALFORMED", "gossip: not a list of byte strings")
    if payload[0] in (HAVE, WANT) and any(len(item) != 32 for item in items):
        raise PeerFault("MESSAGE_MALFORMED", "gossip: a wire id that isn't 32 bytes")
    return payload[0], items


class Gossip:
    """The spreading of one node's transactions. ``tick`` is called a few times a second."""

    def __init__(self, network: Network, pool: Pool, now_ms: Callable[[], int]) -> None:
        self._network = network
        self._pool = pool
        self._now_ms = now_ms
        self._known: dict[bytes, Known] = {}
        self._offered: dict[bytes, int] = {}
        """Peer -> the arrival up to which everything has been offered to it once."""
        self._again_ms = 0
        self._done: dict[bytes, None] = {}
        """The newest that wait no longer: a late offer of one is neither taken nor remembered."""

    def connected(self, peer: bytes) -> None:
        self._known[peer] = Known()
        self._offered[peer] = -1

    def disconnected(self, peer: bytes) -> None:
        self._known.pop(peer, None)
        self._offered.pop(peer, None)

    def forget(self, wire_ids: Sequence[bytes]) -> None:
        """These wait no longer, so who knows them is of no use any more."""
        for known in self._known.values():
            known.forget(wire_ids)
        self._done.update(dict.fromkeys(wire_ids))
        while len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]

    def push(self, fresh: list[tuple[bytes, bytes]]) -> None:
        """Send transactions (wire id, bytes) submitted here to every peer, in batches."""
        now = self._now_ms()
        for peer, known in self._known.items():
            self._send_bodies(peer, [one for one in fresh if not known.has(one[0], now)])

    def _send_bodies(self, peer: bytes, bodies: Iterable[tuple[bytes, bytes]]) -> None:
        batch: list[tuple[bytes, bytes]] = []
        size = 0

        def flush() -> bool:
            raws = [raw for _, raw in batch]
            if not raws or not self._network.send(peer, Channel.TRANSACTIONS, frame(TXS, raws)):
                return False
            self._known[peer].sent([wire_id for wire_id, _ in batch], self._now_ms())
            return True

        for wire_id, raw in bodies:
            batch.append((wire_id, raw))
            size += len(raw)
            if size >= BATCH_BYTES:
                if not flush():
                    return  # its queue is full: no work for a peer that doesn't read
                batch, size = [], 0
        flush()

    def tick(self) -> None:
        """Offer what has waited for a moment and, every second, what waits still."""
        now = self._now_ms()
        again = now >= self._again_ms
        if again:
            self._again_ms = now + OFFER_AGAIN_MS
        since_all = -1 if again else min(self._offered.values(), default=now)
        waiting: list[Waiting] = []
        for one in self._pool.waiting():
            if one.arrived_ms <= since_all:
                break
            if one.arrived_ms <= now - OFFER_AFTER_MS:
                waiting.append(one)
        waiting.reverse()
        for peer, known in self._known.items():
            since = self._offered[peer]
            unknown = [
                one.wire_id
                for one in waiting
                if (one.arrived_ms > since or (again and one.arrived_ms <= now - OFFER_AGAIN_MS))
                and not known.has(one.wire_id, now)
            ]
            self._offered[peer] = now - OFFER_AFTER_MS
            self._offer(peer, unknown)

    def _offer(self, peer: bytes, wire_ids: list[bytes]) -> None:
        for start in range(0, len(wire_ids), IDS_MAX):
            ids = wire_ids[start : start + IDS_MAX]
            self._network.send(peer, Channel.TRANSACTIONS, frame(HAVE, ids))

    async def received(self, peer: bytes, payload: bytes) -> None:
        """A frame from a peer. Raises PeerFault for one that no honest peer sends."""
        known = self._known.get(peer)
        if known is None or not payload:
            return
        kind, items = parse(payload)
        if kind == TXS:
            await self._pool.heard(peer, items)
        elif kind == HAVE:
            items = [wire_id for wire_id in items if wire_id not in self._done]
            known.shown(items)
            wanted = [wire_id for wire_id in items if self._pool.lacks(wire_id)]
            if wanted:
                known.asked(wanted)
                self._network.send(peer, Channel.TRANSACTIONS, frame(WANT, wanted))
        elif kind == WANT:
            found = ((one, self._pool.body(one)) for one in dict.fromkeys(items))
            # It says that it lacks them, whatever was sent before.
            self._send_bodies(peer, [(one, body) for one, body in found if body is not None])
        else:
            raise PeerFault("MESSAGE_MALFORMED", f"gossip: unknown kind {kind}")

    def shown(self, peer: bytes, wire_ids: Sequence[bytes]) -> list[bool]:
        """A peer sent these transactions, so it knows them. Which of them it was asked for."""
        known = self._known.get(peer)
        if known is None:
            return [False] * len(wire_ids)
        known.shown([wire_id for wire_id in wire_ids if wire_id not in self._done])
        return [known.answers(wire_id) for wire_id in wire_ids]
