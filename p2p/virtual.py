"""The network in memory, for whole nodes in a virtual world.

Same Protocols and same handler rules as the real one, but time is trio's (a ``MockClock`` in
simulations), chance is one seeded generator, and everything happens in an order that follows
from the seed and the nodes' own behaviour.

What can go wrong here: delay, messages lost on the way, directions blocked, nodes gone. As
with real connections a pair that can't hear one another for ``silence_ms`` is disconnected,
and connected again once both directions are free.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from consensus.primitives.errors import HansaError, PeerFault
from p2p.ports import FRAME_BYTES_MAX, Channel, Handler, PeerAddress, PeerUnavailable
from p2p.requests import failure_of

log = structlog.get_logger("p2p")

_REQUEST_LANE = 0

Tap = Callable[[bytes, bytes, Channel, bytes], None]
"""(source, target, channel, payload)"""


@dataclass(frozen=True)
class VirtualConditions:
    """What the wires are like. Delays are drawn per message, but never reorder a channel."""

    delay_ms: tuple[int, int] = (1, 20)
    loss: float = 0.0
    """Share of channel messages that vanish; requests time out instead."""
    connect_ms: tuple[int, int] = (1, 50)
    silence_ms: int = 5_000
    bar_ms: int = 10_000
    queue_count_max: int = 10_000
    queue_bytes_max: int = 64 * 1024 * 1024


class VirtualNetwork:
    """The hub: which nodes there are, and what hinders them. Run it in a nursery."""

    def __init__(self, rng: random.Random, conditions: VirtualConditions | None = None) -> None:
        self.rng = rng
        self.conditions = conditions or VirtualConditions()
        self._nodes: dict[bytes, VirtualNode] = {}
        self._blocked: dict[tuple[bytes, bytes], int] = {}
        self._links: dict[tuple[bytes, bytes], _Link] = {}
        self._barred: dict[tuple[bytes, bytes], float] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._news = trio.Event()
        self._nursery: trio.Nursery | None = None
        self.serving: dict[tuple[bytes, bytes], trio.Event] = {}
        self.taps: list[Tap] = []
        """Called with each channel message that a node hands in for a connected peer."""

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

    def add(self, key: bytes, handler: Handler, name: str = "") -> VirtualNode:
        """Bring a node up; the others connect to it soon. A node that was removed may return."""
        if key in self._nodes:
            raise ValueError("the node is up already")
        node = self._nodes[key] = VirtualNode(self, key, handler, name or key.hex()[:12])
        for other in sorted(self._nodes):
            self._plan_connect(key, other)
        return node

    def remove(self, key: bytes, reason: str = "the peer went away") -> None:
        """Take a node down as ``kill -9`` does: its own handler hears nothing more."""
        node = self._nodes.pop(key)
        node.gone = True
        for pair in sorted(self._links):
            if key in pair:
                self._disconnect(*pair, reason)

    def cut(self, one: bytes, other: bytes, reason: str = "the connection broke") -> None:
        """Break the connection of a pair. It's made again soon, unless blocked."""
        if _pair(one, other) in self._links:
            self._disconnect(*_pair(one, other), reason)
            self._plan_connect(one, other)

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

    def partition(self, *groups: tuple[bytes, ...]) -> None:
        """Block every direction between the groups; free every one within a group."""
        for group in groups:
            for source in group:
                for target in sorted(self._nodes):
                    if target in group:
                        self.unblock(source, target)
                    else:
                        self.block(source, target)

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

    def delay_s(self, bounds_ms: tuple[int, int]) -> float:
        return self.rng.randint(*bounds_ms) / 1000

    def is_open(self, source: bytes, target: bytes) -> bool:
        return (source, target) not in self._blocked

    def node(self, key: bytes) -> VirtualNode | None:
        return self._nodes.get(key)

    def link(self, one: bytes, other: bytes) -> _Link | None:
        return self._links.get(_pair(one, other))

    def neighbours(self, key: bytes) -> tuple[bytes, ...]:
        others = (b if a == key else a for a, b in self._links if key in (a, b))
        return tuple(sorted(others))

    def _plan_connect(self, one: bytes, other: bytes) -> None:
        if one != other:
            pair = _pair(one, other)
            delay = self.delay_s(self.conditions.connect_ms)
            barred = self._barred.get(pair, 0.0) - trio.current_time()
            self.later(max(delay, barred), lambda: self._connect(*pair))

    def _connect(self, one: bytes, other: bytes) -> None:
        up = one in self._nodes and other in self._nodes
        free = self.is_open(one, other) and self.is_open(other, one)
        barred = self._barred.get((one, other), 0.0) > trio.current_time()
        if not (up and self._nodes[one].admits(other) and self._nodes[other].admits(one)):
            return
        if free and not barred and (one, other) not in self._links:
            self._links[one, other] = _Link(self, self._nodes[one], self._nodes[other])

    def readmit(self, key: bytes) -> None:
        """A node has other admitted peers now: links to the rest end, missing ones come up."""
        node = self._nodes[key]
        for other in self.neighbours(key):
            if not node.admits(other):
                self._disconnect(*_pair(key, other), "this key is no longer admitted")
        for other in sorted(self._nodes):
            if node.admits(other) and _pair(key, other) not in self._links:
                self._plan_connect(key, other)

    def _disconnect(self, one: bytes, other: bytes, reason: str) -> None:
        link = self._links.pop((one, other), None)
        if link is not None:
            link.end(reason)

    def disconnect(self, one: bytes, other: bytes, reason: str, *, fault: bool = False) -> None:
        """End the pair's connection by decision of one of the two."""
        pair = _pair(one, other)
        if pair not in self._links:
            return
        if fault:
            self._barred[pair] = trio.current_time() + self.conditions.bar_ms / 1000
        self._disconnect(*pair, reason)
        self._plan_connect(*pair)


class VirtualNode:
    """One node's ``Network``."""

    def __init__(self, hub: VirtualNetwork, key: bytes, handler: Handler, name: str) -> None:
        self.hub = hub
        self.key = key
        self.handler = handler
        self.name = name
        self.gone = False
        self._admitted: frozenset[bytes] | None = None
        self.sent_bytes: dict[bytes, int] = {}
        self.received_bytes: dict[bytes, int] = {}
        self.last_error: dict[bytes, str] = {}

    def connected(self) -> tuple[bytes, ...]:
        return () if self.gone else self.hub.neighbours(self.key)

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        if len(payload) > FRAME_BYTES_MAX[channel]:
            raise ValueError(f"{len(payload)} bytes are too many for {channel.name}")
        link = None if self.gone else self.hub.link(self.key, peer)
        if link is None or not link.lanes[self.key, channel].has_room(len(payload)):
            return False
        self.sent_bytes[peer] = self.sent_bytes.get(peer, 0) + len(payload)
        for tap in self.hub.taps:
            tap(self.key, peer, channel, payload)
        if self.hub.rng.random() >= self.hub.conditions.loss:
            link.carry(self.key, channel, payload)
        return True

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        link = None if self.gone else self.hub.link(self.key, peer)
        if link is None:
            raise PeerUnavailable("NOT_CONNECTED", f"no connection to {peer.hex()[:12]}")
        exchange = _Exchange(self.key, payload, bytes_max)
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
            self.hub.readmit(self.key)

    def admits(self, peer: bytes) -> bool:
        """Whoever was told nothing speaks with everybody."""
        return self._admitted is None or peer in self._admitted

    def drop(self, peer: bytes, reason: str) -> None:
        if not self.gone:
            self.hub.disconnect(self.key, peer, reason)

    def peer_reports(self) -> list[dict[str, Any]]:
        known = sorted({*self.connected(), *self.last_error})
        return [
            {
                "key": peer.hex(),
                "name": node.name if (node := self.hub.node(peer)) else peer.hex()[:12],
                "connected": peer in self.connected(),
                "address": "virtual",
                "rtt_ms": None,
                "last_error": self.last_error.get(peer, ""),
                "sent_bytes": self.sent_bytes.get(peer, 0),
                "received_bytes": self.received_bytes.get(peer, 0),
            }
            for peer in known
        ]


class _Exchange:
    """One request on its way and back."""

    def __init__(self, source: bytes, payload: bytes, bytes_max: int) -> None:
        self.source = source
        self.payload = payload
        self.bytes_max = bytes_max
        self.done = trio.Event()
        self.answer = b""
        self.failure: PeerUnavailable | None = None

    def finish(self, answer: bytes, failure: PeerUnavailable | None) -> None:
        self.answer, self.failure = answer, failure
        self.done.set()


class _Lane:
    """One direction of one channel: what is under way and what waits to be read."""

    def __init__(self, conditions: VirtualConditions) -> None:
        self._conditions = conditions
        self.count = 0
        self.bytes = 0
        self.last_arrival = 0.0
        self.arrived: deque[bytes] = deque()
        self.filled = trio.Event()

    def has_room(self, size: int) -> bool:
        return self.count == 0 or (
            self.count < self._conditions.queue_count_max
            and self.bytes + size <= self._conditions.queue_bytes_max
        )


class _Link:
    """A connection of two nodes: a task per node and channel reads what arrives."""

    def __init__(self, hub: VirtualNetwork, one: VirtualNode, other: VirtualNode) -> None:
        self._hub = hub
        self._ends = {one.key: one, other.key: other}
        self._other = {one.key: other.key, other.key: one.key}
        self._reason: str | None = None
        self._ended = trio.Event()
        self._scopes: dict[trio.CancelScope, None] = {}
        self.exchanges: list[_Exchange] = []
        self.lanes = {
            (key, channel): _Lane(hub.conditions)
            for key in self._ends
            for channel in (*Channel, _REQUEST_LANE)
        }
        for key in self._ends:
            hub.spawn(self._serve, key)

    # ---- carrying -----------------------------------------------------------------------

    def carry(self, source: bytes, channel: Channel, payload: bytes) -> None:
        """Put a message on its way; it arrives behind those before it."""
        lane = self.lanes[source, channel]
        lane.count += 1
        lane.bytes += len(payload)

        def arrive() -> None:
            if self._reason is not None or not self._hub.is_open(source, self._other[source]):
                lane.count -= 1
                lane.bytes -= len(payload)
                return
            lane.arrived.append(payload)
            lane.filled.set()

        self._hub.later(self._delay_s(lane), arrive)

    def _delay_s(self, lane: _Lane) -> float:
        now = trio.current_time()
        arrival = max(now + self._hub.delay_s(self._hub.conditions.delay_ms), lane.last_arrival)
        lane.last_arrival = arrival
        return arrival - now

    def ask(self, exchange: _Exchange) -> None:
        """Put a request on its way; its answer comes the same way back."""
        target = self._other[exchange.source]

        def arrive() -> None:
            if self._reason is None and self._hub.is_open(exchange.source, target):
                self._hub.spawn(self._answer, exchange, target)

        self._hub.later(self._delay_s(self.lanes[exchange.source, _REQUEST_LANE]), arrive)

    async def _answer(self, exchange: _Exchange, target: bytes) -> None:
        with self._scope():
            answer, failure = await self._ask_handler(exchange, target)

            def back() -> None:
                if self._reason is None and self._hub.is_open(target, exchange.source):
                    exchange.finish(answer, failure)

            self._hub.later(self._delay_s(self.lanes[target, _REQUEST_LANE]), back)

    async def _ask_handler(
        self, exchange: _Exchange, target: bytes
    ) -> tuple[bytes, PeerUnavailable | None]:
        handler = self._ends[target].handler
        try:
            answer = await handler.on_request(exchange.source, exchange.payload)
        except PeerFault as fault:
            self._blame(target, exchange.source, fault)
            return b"", failure_of("PEER_FAULT", "the peer refused the request")
        except HansaError as error:
            return b"", failure_of(error.code, error.message)
        except Exception:
            log.exception("request_handler_failed")
            return b"", failure_of("INTERNAL", "the peer failed to answer")
        if len(answer) > exchange.bytes_max:
            return b"", failure_of("RESPONSE_TOO_LARGE", f"the answer has {len(answer)} bytes")
        return answer, None

    # ---- one end ------------------------------------------------------------------------

    async def _serve(self, key: bytes) -> None:
        """Everything one node hears over this link, from on_connect to on_disconnect."""
        node, peer = self._ends[key], self._other[key]
        while (earlier := self._hub.serving.get((key, peer))) is not None:
            await earlier.wait()
        finished = self._hub.serving[key, peer] = trio.Event()
        try:
            await self._serve_until_end(node, key, peer)
        finally:
            del self._hub.serving[key, peer]
            finished.set()

    async def _serve_until_end(self, node: VirtualNode, key: bytes, peer: bytes) -> None:
        if self._reason is not None:
            return
        with self._scope():
            async with trio.open_nursery() as nursery:
                try:
                    await node.handler.on_connect(peer)
                except Exception as error:
                    self._failed(key, peer, error)
                for channel in Channel:
                    nursery.start_soon(self._read, key, channel)
                await self._ended.wait()
                nursery.cancel_scope.cancel()
        if not node.gone:
            node.last_error[peer] = self._reason or ""
            try:
                await node.handler.on_disconnect(peer, self._reason or "")
            except Exception:
                log.exception("disconnect_handler_failed", peer=peer.hex()[:12])

    async def _read(self, key: bytes, channel: Channel) -> None:
        node, peer = self._ends[key], self._other[key]
        lane = self.lanes[peer, channel]
        while True:
            while not lane.arrived:
                lane.filled = trio.Event()
                await lane.filled.wait()
            payload = lane.arrived.popleft()
            lane.count -= 1
            lane.bytes -= len(payload)
            node.received_bytes[peer] = node.received_bytes.get(peer, 0) + len(payload)
            try:
                await node.handler.on_message(peer, channel, payload)
            except Exception as error:
                self._failed(key, peer, error)
                return

    def _failed(self, key: bytes, peer: bytes, error: Exception) -> None:
        if isinstance(error, PeerFault):
            self._blame(key, peer, error)
        else:
            log.error("handler_failed", exc_info=error)
            self._hub.disconnect(key, peer, "an error in this node while serving the peer")

    def _blame(self, key: bytes, peer: bytes, fault: PeerFault) -> None:
        self._hub.disconnect(key, peer, str(fault), fault=True)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What runs in it is cancelled when the link ends."""
        with trio.CancelScope() as scope:
            self._scopes[scope] = None
            try:
                yield
            finally:
                del self._scopes[scope]

    def end(self, reason: str) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        for exchange in self.exchanges:
            if not exchange.done.is_set():
                exchange.finish(b"", PeerUnavailable("PEER_DISCONNECTED", reason))
        self._ended.set()
        for scope in self._scopes:
            scope.cancel()


def _pair(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    return (one, other) if one < other else (other, one)
