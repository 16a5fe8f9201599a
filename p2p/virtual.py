"""The network in memory, for whole nodes in a virtual world.

Same Protocols and same handler rules as the real one, but time is trio's (a ``MockClock`` in
simulations), chance is one seeded generator, and everything happens in an order that follows
from the seed and the nodes' own behaviour.

What can go wrong here: delay, messages lost, doubled or overtaken on the way, slow machines and
slow or lossy single directions, directions blocked for good or now and then, all connections
broken at once, nodes gone. As with real connections a pair that can't hear one another for
``silence_ms`` is disconnected, and connected again once both directions are free.

A node stands at a *place*, which is its key unless the world says otherwise. Two nodes may have
one key (twins): their places differ, and whoever speaks with that key has a connection to one of
them at a time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import trio

from consensus.primitives.errors import PeerFault
from p2p.ports import FRAME_BYTES_MAX, Channel, Handler, PeerAddress, PeerUnavailable
from p2p.virtual_link import Exchange, Link

Tap = Callable[[bytes, bytes, Channel, bytes], None]
"""(source, a place; target, a key; channel; payload)"""
Fate = Literal["loss", "duplicate", "reorder"]


@dataclass(frozen=True)
class VirtualConditions:
    """What the wires are like. Delays are drawn per message; only ``reorder`` lets one overtake."""

    delay_ms: tuple[int, int] = (1, 20)
    loss: float = 0.0
    """Share of channel messages, questions and answers that vanish; requests then time out."""
    duplicate: float = 0.0
    """Share of channel messages that come twice, the second time at any moment."""
    reorder: float = 0.0
    """Share of channel messages that don't wait for those before them."""
    connect_ms: tuple[int, int] = (1, 50)
    silence_ms: int = 5_000
    bar_ms: int = 10_000
    queue_count_max: int = 10_000
    queue_bytes_max: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Wire:
    """What is worse in one direction of one pair than anywhere else."""

    extra_ms: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


class VirtualNetwork:
    """The hub: which nodes there are, and what hinders them. Run it in a nursery.

    Nodes are named by their places, which for all but twins are their network keys.
    """

    def __init__(self, rng: random.Random, conditions: VirtualConditions | None = None) -> None:
        self.rng = rng
        self.conditions = conditions or VirtualConditions()
        self.wires: dict[tuple[bytes, bytes], Wire] = {}
        """(source, target) -> what hinders this direction in particular."""
        self.slow_ms: dict[bytes, int] = {}
        """Place -> how much longer everything takes to and from a slow machine."""
        self.taps: list[Tap] = []
        """Called with each channel message that a node hands in for a connected peer."""
        self.serving: dict[tuple[bytes, bytes], trio.Event] = {}
        """(Place, peer's key) that is being served by a link, until its handler heard the end."""
        self._nodes: dict[bytes, VirtualNode] = {}
        self._blocked: dict[tuple[bytes, bytes], int] = {}
        self._links: dict[tuple[bytes, bytes], Link] = {}
        self._peers: dict[bytes, dict[bytes, Link]] = {}
        self._barred: dict[tuple[bytes, bytes], float] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._news = trio.Event()
        self._nursery: trio.Nursery | None = None

    # ---- the world's side ---------------------------------------------------------------

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Carry messages until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                await self._wait_for_agenda()
                _, _, action = heapq.heappop(self._agenda)
                action()

    def add(
        self, key: bytes, handler: Handler, name: str = "", place: bytes | None = None
    ) -> VirtualNode:
        """Bring a node up; the others connect to it soon. A node that was removed may return."""
        place = key if place is None else place
        if place in self._nodes:
            raise ValueError("the node is up already")
        node = VirtualNode(self, key, handler, name or key.hex()[:12], place)
        self._nodes[place] = node
        self._peers[place] = {}
        for other in sorted(self._nodes):
            self._plan_connect(place, other)
        return node

    def remove(self, place: bytes, reason: str = "the peer went away") -> None:
        """Take a node down as ``kill -9`` does: its own handler hears nothing more."""
        node = self._nodes.pop(place)
        node.gone = True
        for pair in sorted(self._links):
            if place in pair:
                self._disconnect(*pair, reason)
        del self._peers[place]

    def cut(self, one: bytes, other: bytes, reason: str = "the connection broke") -> None:
        """Break the connection of a pair. It's made again soon, unless blocked."""
        self._disconnect(*_pair(one, other), reason)

    def cut_all(self, reason: str = "every connection broke") -> None:
        """Break all connections at once: everybody connects to everybody again."""
        for pair in sorted(self._links):
            self._disconnect(*pair, reason)

    def storm(self, times: int, every_ms: int) -> None:
        """All connections break again and again."""
        for number in range(times):
            self.later(number * every_ms / 1000, self.cut_all)

    def block(self, source: bytes, target: bytes) -> None:
        """From now on nothing gets from source to target."""
        if (source, target) in self._blocked:
            return
        self._sequence += 1
        this_time = self._blocked[source, target] = self._sequence

        def silent() -> None:
            if self._blocked.get((source, target)) == this_time:
                self._disconnect(*_pair(source, target), "nothing heard for a while")

        self.later(self.conditions.silence_ms / 1000, silent)

    def unblock(self, source: bytes, target: bytes) -> None:
        if self._blocked.pop((source, target), None) is not None:
            self._plan_connect(source, target)

    def flap(
        self, directions: Sequence[tuple[bytes, bytes]], down_ms: int, up_ms: int, times: int
    ) -> None:
        """Block these directions for a while, free them for a while, and so on."""

        def down() -> None:
            for source, target in directions:
                self.block(source, target)

        def up() -> None:
            for source, target in directions:
                self.unblock(source, target)

        for number in range(times):
            self.later(number * (down_ms + up_ms) / 1000, down)
            self.later((number * (down_ms + up_ms) + down_ms) / 1000, up)

    def partition(self, *groups: tuple[bytes, ...], at_once: bool = False) -> None:
        """Block every direction between the groups; free every one within a group. ``at_once``:
        connections between groups end now, not after a silence."""
        for group in groups:
            for source in group:
                for target in sorted(self._nodes):
                    if target in group:
                        self.unblock(source, target)
                    else:
                        self.block(source, target)
                        if at_once:
                            self.cut(source, target)

    def heal(self) -> None:
        """Free every direction."""
        for source, target in sorted(self._blocked):
            self.unblock(source, target)

    # ---- inside -------------------------------------------------------------------------

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something at a time to come; equal times in the order they were asked for."""
        self._sequence += 1
        heapq.heappush(self._agenda, (trio.current_time() + delay_s, self._sequence, action))
        self._news.set()

    async def _wait_for_agenda(self) -> None:
        while not self._agenda or self._agenda[0][0] > trio.current_time():
            self._news = trio.Event()
            deadline = self._agenda[0][0] if self._agenda else float("inf")
            with trio.move_on_at(deadline):
                await self._news.wait()
        await trio.lowlevel.checkpoint()

    def spawn(self, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        assert self._nursery is not None, "the virtual network is not running"
        self._nursery.start_soon(task, *arguments)

    def delay_s(self, source: bytes, target: bytes) -> float:
        """How long a message takes, drawn anew for each."""
        wire = self.wires.get((source, target))
        extra_ms = self.slow_ms.get(source, 0) + self.slow_ms.get(target, 0)
        extra_ms += 0 if wire is None else wire.extra_ms
        return (self.rng.randint(*self.conditions.delay_ms) + extra_ms) / 1000

    def strikes(self, source: bytes, target: bytes, fate: Fate) -> bool:
        """Whether it befalls the next message: by the wire's share or all wires', the larger."""
        wire = self.wires.get((source, target))
        share: float = getattr(self.conditions, fate)
        if wire is not None:
            share = max(share, getattr(wire, fate))
        return share > 0 and self.rng.random() < share

    def is_open(self, source: bytes, target: bytes) -> bool:
        return (source, target) not in self._blocked

    def name_of(self, key: bytes) -> str:
        names = (node.name for node in self._nodes.values() if node.key == key)
        return next(names, key.hex()[:12])

    def link(self, place: bytes, peer: bytes) -> Link | None:
        """The connection that the node at a place has to the peer of a key."""
        return self._peers[place].get(peer) if place in self._peers else None

    def neighbours(self, place: bytes) -> tuple[bytes, ...]:
        """Keys of the connected peers."""
        return tuple(sorted(self._peers.get(place, ())))

    def _plan_connect(self, one: bytes, other: bytes) -> None:
        if one != other:
            pair = _pair(one, other)
            delay_ms = self.rng.randint(*self.conditions.connect_ms)
            barred = self._barred.get(pair, 0.0) - trio.current_time()
            self.later(max(delay_ms / 1000, barred), lambda: self._connect(*pair))

    def _connect(self, one: bytes, other: bytes) -> None:
        if one not in self._nodes or other not in self._nodes:
            return
        ends = self._nodes[one], self._nodes[other]
        free = self.is_open(one, other) and self.is_open(other, one)
        barred = self._barred.get((one, other), 0.0) > trio.current_time()
        admitted = ends[0].admits(ends[1].key) and ends[1].admits(ends[0].key)
        # A key that is spoken with already: this connection's other end, or its twin.
        taken = ends[1].key in self._peers[one] or ends[0].key in self._peers[other]
        if admitted and free and not barred and not taken and ends[0].key != ends[1].key:
            link = self._links[one, other] = Link(self, *ends)
            self._peers[one][ends[1].key] = self._peers[other][ends[0].key] = link

    def readmit(self, place: bytes) -> None:
        """A node has other admitted peers now: links to the rest end, missing ones come up."""
        node = self._nodes[place]
        for pair in sorted(self._links):
            if place in pair:
                other = self._nodes[pair[0] if pair[1] == place else pair[1]]
                if not node.admits(other.key):
                    self._disconnect(*pair, "this key is no longer admitted")
        for other_place, other in sorted(self._nodes.items()):
            if node.admits(other.key) and other.key not in self._peers[place]:
                self._plan_connect(place, other_place)

    def _disconnect(self, one: bytes, other: bytes, reason: str) -> None:
        link = self._links.pop((one, other), None)
        if link is None:
            return
        ends = link.ends
        self._peers[one].pop(ends[other].key)
        self._peers[other].pop(ends[one].key)
        link.end(reason)
        # Whoever is left by one of two twins turns to either.
        pairs = {
            _pair(place, candidate): None
            for place, lost in ((one, ends[other].key), (other, ends[one].key))
            if place in self._nodes
            for candidate, node in sorted(self._nodes.items())
            if node.key == lost
        }
        for pair in pairs:
            self._plan_connect(*pair)

    def drop(self, place: bytes, peer: bytes, reason: str) -> None:
        """End the connection that the node at a place has to the peer of a key."""
        link = self.link(place, peer)
        if link is not None:
            self._disconnect(*link.pair, reason)

    def disconnect(self, one: bytes, other: bytes, reason: str, *, fault: bool = False) -> None:
        """End the pair's connection by decision of one of the two."""
        pair = _pair(one, other)
        if fault and pair in self._links:
            self._barred[pair] = trio.current_time() + self.conditions.bar_ms / 1000
        self._disconnect(*pair, reason)


class VirtualNode:
    """One node's ``Network``."""

    def __init__(
        self, hub: VirtualNetwork, key: bytes, handler: Handler, name: str, place: bytes
    ) -> None:
        self.hub = hub
        self.key = key
        self.place = place
        self.handler = handler
        self.name = name
        self.gone = False
        self._admitted: frozenset[bytes] | None = None
        self.sent_bytes: dict[bytes, int] = {}
        self.received_bytes: dict[bytes, int] = {}
        self.last_error: dict[bytes, str] = {}

    def connected(self) -> tuple[bytes, ...]:
        return () if self.gone else self.hub.neighbours(self.place)

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        if len(payload) > FRAME_BYTES_MAX[channel]:
            raise ValueError(f"{len(payload)} bytes are too many for {channel.name}")
        link = None if self.gone else self.hub.link(self.place, peer)
        if link is None or not link.lanes[self.place, channel].has_room(len(payload)):
            return False
        self.sent_bytes[peer] = self.sent_bytes.get(peer, 0) + len(payload)
        for tap in self.hub.taps:
            tap(self.place, peer, channel, payload)
        link.carry(self.place, channel, payload)
        return True

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        link = None if self.gone else self.hub.link(self.place, peer)
        if link is None:
            raise PeerUnavailable("NOT_CONNECTED", f"no connection to {peer.hex()[:12]}")
        exchange = Exchange(self.place, payload, bytes_max)
        link.exchanges.append(exchange)
        link.ask(exchange)
        with trio.move_on_after(timeout_ms / 1000):
            await exchange.done.wait()
        link.exchanges.remove(exchange)
        if not exchange.done.is_set():
            raise PeerUnavailable("REQUEST_TIMEOUT", f"no answer within {timeout_ms} ms")
        if exchange.failure is not None:
            raise exchange.failure
        return exchange.answer

    def admit(self, peers: Iterable[PeerAddress]) -> None:
        admitted = frozenset(peer.key for peer in peers)
        if admitted != self._admitted and not self.gone:
            self._admitted = admitted
            self.hub.readmit(self.place)

    def admits(self, peer: bytes) -> bool:
        """Whoever was told nothing speaks with everybody."""
        return self._admitted is None or peer in self._admitted

    def drop(self, peer: bytes, reason: str) -> None:
        if not self.gone:
            self.hub.drop(self.place, peer, reason)

    def accuse(self, peer: bytes, fault: PeerFault) -> None:
        """Here the peer may connect again at once: a world's liars are to go on lying."""
        self.handler.on_fault(peer, fault)
        self.drop(peer, str(fault))

    def peer_reports(self) -> list[dict[str, Any]]:
        known = sorted({*self.connected(), *self.last_error})
        return [
            {
                "key": peer.hex(),
                "name": self.hub.name_of(peer),
                "connected": peer in self.connected(),
                "address": "virtual",
                "rtt_ms": None,
                "last_error": self.last_error.get(peer, ""),
                "faults": 0,
                "last_fault": "",
                "barred_s": 0,
                "sent_bytes": self.sent_bytes.get(peer, 0),
                "received_bytes": self.received_bytes.get(peer, 0),
            }
            for peer in known
        ]


def _pair(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    return (one, other) if one < other else (other, one)
