"""One connection in the virtual network: what is under way on it, and who reads it.

Faults are those of the hub (``p2p.virtual``): a message may vanish, come twice, or overtake those
before it. The handler's rules stay: one message at a time for each peer and channel, everything
between on_connect and on_disconnect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from consensus.primitives.errors import HansaError, PeerFault
from p2p.ports import Channel, PeerUnavailable
from p2p.requests import failure_of

if TYPE_CHECKING:
    from p2p.virtual import VirtualConditions, VirtualNetwork, VirtualNode

log = structlog.get_logger("p2p")

_REQUEST_LANE = 0


class Exchange:
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


class Lane:
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


class Link:
    """A connection of two nodes: a task per node and channel reads what arrives."""

    def __init__(self, hub: VirtualNetwork, one: VirtualNode, other: VirtualNode) -> None:
        self._hub = hub
        self.pair = (one.place, other.place)
        self.ends = {one.place: one, other.place: other}
        self._other = {one.place: other, other.place: one}
        self._reason: str | None = None
        self._ended = trio.Event()
        self._scopes: dict[trio.CancelScope, None] = {}
        self.exchanges: list[Exchange] = []
        self.lanes = {
            (place, channel): Lane(hub.conditions)
            for place in self.ends
            for channel in (*Channel, _REQUEST_LANE)
        }
        for place in self.ends:
            hub.spawn(self._serve, place)

    # ---- carrying -----------------------------------------------------------------------

    def carry(self, source: bytes, channel: Channel, payload: bytes) -> None:
        """Put a message on its way; it arrives behind those before it, unless fate has it else."""
        target = self._other[source].place
        if self._hub.strikes(source, target, "loss"):
            return
        lane = self.lanes[source, channel]
        if self._hub.strikes(source, target, "duplicate"):
            self._bring(lane, source, target, payload, self._hub.delay_s(source, target))
        if self._hub.strikes(source, target, "reorder"):
            delay = self._hub.delay_s(source, target)
        else:
            delay = self._delay_s(lane, source, target)
        self._bring(lane, source, target, payload, delay)

    def _bring(
        self, lane: Lane, source: bytes, target: bytes, payload: bytes, delay_s: float
    ) -> None:
        lane.count += 1
        lane.bytes += len(payload)

        def arrive() -> None:
            if self._reason is not None or not self._hub.is_open(source, target):
                lane.count -= 1
                lane.bytes -= len(payload)
                return
            lane.arrived.append(payload)
            lane.filled.set()

        self._hub.later(delay_s, arrive)

    def _delay_s(self, lane: Lane, source: bytes, target: bytes) -> float:
        now = trio.current_time()
        arrival = max(now + self._hub.delay_s(source, target), lane.last_arrival)
        lane.last_arrival = arrival
        return arrival - now

    def ask(self, exchange: Exchange) -> None:
        """Put a request on its way; its answer comes the same way back."""
        source, target = exchange.source, self._other[exchange.source].place
        if self._hub.strikes(source, target, "loss"):
            return

        def arrive() -> None:
            if self._reason is None and self._hub.is_open(source, target):
                self._hub.spawn(self._answer, exchange, target)

        lane = self.lanes[source, _REQUEST_LANE]
        self._hub.later(self._delay_s(lane, source, target), arrive)

    async def _answer(self, exchange: Exchange, target: bytes) -> None:
        with self._scope():
            answer, failure = await self._ask_handler(exchange, target)

            def back() -> None:
                if self._reason is None and self._hub.is_open(target, exchange.source):
                    exchange.finish(answer, failure)

            if not self._hub.strikes(target, exchange.source, "loss"):
                lane = self.lanes[target, _REQUEST_LANE]
                self._hub.later(self._delay_s(lane, target, exchange.source), back)

    async def _ask_handler(
        self, exchange: Exchange, target: bytes
    ) -> tuple[bytes, PeerUnavailable | None]:
        handler = self.ends[target].handler
        try:
            answer = await handler.on_request(self._other[target].key, exchange.payload)
        except PeerFault as fault:
            self._blame(self.ends[target], fault)
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

    async def _serve(self, place: bytes) -> None:
        """Everything one node hears over this link, from on_connect to on_disconnect."""
        node, peer = self.ends[place], self._other[place].key
        while (earlier := self._hub.serving.get((place, peer))) is not None:
            await earlier.wait()
        finished = self._hub.serving[place, peer] = trio.Event()
        try:
            await self._serve_until_end(node, peer)
        finally:
            del self._hub.serving[place, peer]
            finished.set()

    async def _serve_until_end(self, node: VirtualNode, peer: bytes) -> None:
        if self._reason is not None:
            return
        with self._scope():
            async with trio.open_nursery() as nursery:
                try:
                    await node.handler.on_connect(peer)
                except Exception as error:
                    self._failed(node, error)
                for channel in Channel:
                    nursery.start_soon(self._read, node, channel)
                await self._ended.wait()
                nursery.cancel_scope.cancel()
        if not node.gone:
            node.last_error[peer] = self._reason or ""
            try:
                await node.handler.on_disconnect(peer, self._reason or "")
            except Exception:
                log.exception("disconnect_handler_failed", peer=peer.hex()[:12])

    async def _read(self, node: VirtualNode, channel: Channel) -> None:
        sender = self._other[node.place]
        peer, lane = sender.key, self.lanes[sender.place, channel]
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
                self._failed(node, error)
                return

    def _failed(self, node: VirtualNode, error: Exception) -> None:
        if isinstance(error, PeerFault):
            self._blame(node, error)
        else:
            log.error("handler_failed", exc_info=error)
            self._hub.disconnect(*self.pair, "an error in this node while serving the peer")

    def _blame(self, node: VirtualNode, fault: PeerFault) -> None:
        node.handler.on_fault(self._other[node.place].key, fault)
        self._hub.disconnect(*self.pair, str(fault), fault=True)

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
