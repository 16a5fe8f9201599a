"""One connection to one peer, from HELLO to goodbye.

Order of things: a control stream, opened by the side that dialled; HELLO both ways; a verdict
both ways; then each side opens its own one-way streams and its request stream. Only then is
the node told. Whatever goes wrong in any task ends this link and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import trio

from consensus.primitives.errors import PeerFault
from p2p import requests
from p2p.peers import Peer
from p2p.ports import FRAME_BYTES_MAX, Channel, Handler
from p2p.requests import RequestClient, RequestServer
from p2p.transport import IncomingStream, Session, Stream
from p2p.wire import (
    CHANNEL_PROTOCOLS,
    CONTROL_BYTES_MAX,
    CONTROL_PROTOCOL,
    REQUEST_PROTOCOL,
    ConnectionLost,
    Control,
    FrameReader,
    Goodbye,
    Hello,
    Outbox,
    Ping,
    Pong,
    Verdict,
    decode_control,
    encode_control,
    encode_frame,
    read_frame,
    read_frames,
)

log = structlog.get_logger("p2p")

INCOMING_STREAMS_MAX = 64
GOODBYE_S = 0.3
DISCONNECT_HANDLER_S = 5.0


@dataclass(frozen=True)
class LinkLimits:
    """Times in seconds, sizes in bytes."""

    handshake_s: float = 10.0
    ping_interval_s: float = 1.0
    frozen_s: float = 4.0
    """A peer from which nothing came for so long, though pinged, is taken for dead."""
    slow_s: float = 5.0
    """A peer whose queue stayed full for so long is disconnected."""
    queue_count_max: int = 50_000
    queue_bytes_max: dict[Channel, int] = field(
        default_factory=lambda: {
            Channel.CONSENSUS: 32 * 1024 * 1024,
            Channel.TRANSACTIONS: 8 * 1024 * 1024,
            Channel.CHAIN: 8 * 1024 * 1024,
        }
    )
    answer_queue_bytes_max: int = 4 * 1024 * 1024


class Owner(Protocol):
    """What a link needs of the host it belongs to."""

    handler: Handler

    def own_hello(self) -> Hello: ...

    def judge(self, link: Link, hello: Hello) -> Verdict:
        """Whether to have this link, knowing the peer's HELLO."""

    async def linked(self, link: Link) -> bool:
        """Take the link as the peer's only one. False: another has taken the place."""

    def unlinked(self, link: Link, reason: str, fault: PeerFault | None) -> None:
        """The link is about to end; it can't be sent to any more."""


class Link:
    """Runs a session. ``send``, ``request`` and ``end`` are the host's to call."""

    def __init__(self, session: Session, peer: Peer, owner: Owner, limits: LinkLimits) -> None:
        self.session = session
        self.peer = peer
        self.instance = b""
        self.established = False
        self.reason: str | None = None
        self.finished = trio.Event()
        self._owner = owner
        self._limits = limits
        self.told_node = False
        self._ended = trio.Event()
        self._carried = trio.Event()
        self._open = trio.Event()
        self._scope = trio.CancelScope()
        self._control = Outbox(64 * 1024, 256)
        self._control_reader = FrameReader(CONTROL_BYTES_MAX)
        self._control_backlog: deque[bytes] = deque()
        self._outboxes = {
            channel: Outbox(limits.queue_bytes_max[channel], limits.queue_count_max)
            for channel in Channel
        }
        self._questions = Outbox(limits.answer_queue_bytes_max, requests.IN_FLIGHT_MAX)
        self.requests = RequestClient(self._questions)
        self._incoming: set[str] = set()
        self._incoming_count = 0
        self._peers_control: Stream | None = None
        self._control_came = trio.Event()
        self._pinged: tuple[int, float] | None = None

    # ---- for the host -------------------------------------------------------------------

    def send(self, channel: Channel, payload: bytes) -> bool:
        return self.established and self._outboxes[channel].offer(payload)

    def end(self, reason: str, *, fault: PeerFault | None = None, farewell: bool = True) -> None:
        """Stop. With ``farewell`` the peer is told why first. Only the first call counts."""
        if self.reason is not None:
            return
        self.reason = reason
        self.established = False
        self.requests.close(reason)
        self._owner.unlinked(self, reason, fault)
        if farewell and self.told_node:
            self._control.offer(encode_control(Goodbye(reason)))
        if not farewell:
            self._scope.cancel()
        self._ended.set()

    async def run(self) -> None:
        """From the fresh session to the end of it all. Raises nothing but cancellation."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._guard, self._carry)
                    nursery.start_soon(self._say_goodbye)
                    await self._guard(self._establish, nursery)
                    await trio.sleep_forever()
        finally:
            self.end("this node is shutting down", farewell=False)
            with trio.CancelScope(shield=True):
                await self.session.abort()
                if self.told_node:
                    await self._tell_disconnect()
            self.finished.set()

    async def _carry(self) -> None:
        try:
            await self.session.run()
        finally:
            self._carried.set()

    # ---- getting to know each other -----------------------------------------------------

    async def _establish(self, nursery: trio.Nursery) -> None:
        with trio.move_on_after(self._limits.handshake_s) as limit:
            nursery.start_soon(self._guard, self._accept_streams, nursery)
            control = await self._handshake()
            if control is None:
                return
            await self._open_streams(nursery)
        if limit.cancelled_caught:
            raise ConnectionLost("the peer took too long to introduce itself")
        nursery.start_soon(self._guard, self._control.run, control)
        nursery.start_soon(self._guard, self._read_control, control)
        nursery.start_soon(self._guard, self._watch)
        if self.reason is None and await self._owner.linked(self):
            self.established = True
            self.told_node = True
            await self._owner.handler.on_connect(self.session.peer)
            self._open.set()
        else:
            self.end("another connection to the peer is in use")

    async def _handshake(self) -> Stream | None:
        """HELLO and verdict both ways; the control stream, or None when refused."""
        if self.session.dialled:
            control = await self.session.open(CONTROL_PROTOCOL)
        else:
            control = await self._control_stream()
        await _write_control(control, self._owner.own_hello())
        hello = await self._next_control(control)
        if not isinstance(hello, Hello):
            raise PeerFault("BAD_CONTROL", "the peer's first message is not a HELLO")
        self.instance = hello.instance
        ours = self._owner.judge(self, hello)
        await _write_control(control, ours)
        theirs = await self._next_control(control)
        if not isinstance(theirs, Verdict):
            raise PeerFault("BAD_CONTROL", "the peer's second message is not a verdict")
        if ours.accepted and theirs.accepted:
            return control
        reasons = []
        if not ours.accepted:
            reasons.append(f"refused the peer: {ours.reason}")
        if not theirs.accepted:
            reasons.append(f"the peer refused this node: {theirs.reason}")
        self.end("; ".join(reasons), farewell=not ours.accepted)
        return None

    async def _control_stream(self) -> Stream:
        """The one the peer opens; it may come behind others that aren't ours to serve."""
        await self._control_came.wait()
        assert self._peers_control is not None
        return self._peers_control

    async def _open_streams(self, nursery: trio.Nursery) -> None:
        async def open_channel(channel: Channel) -> None:
            stream = await self.session.open(CHANNEL_PROTOCOLS[channel])
            nursery.start_soon(self._guard, self._outboxes[channel].run, stream)

        async def open_requests() -> None:
            stream = await self.session.open(REQUEST_PROTOCOL)
            nursery.start_soon(self._guard, self._questions.run, stream)
            nursery.start_soon(self._guard, self._read_answers, stream)

        async with trio.open_nursery() as opening:
            for channel in Channel:
                opening.start_soon(self._guard, open_channel, channel)
            opening.start_soon(self._guard, open_requests)

    # ---- the peer's streams -------------------------------------------------------------

    async def _accept_streams(self, nursery: trio.Nursery) -> None:
        while True:
            incoming = await self.session.accept()
            self._incoming_count += 1
            if self._incoming_count > INCOMING_STREAMS_MAX:
                raise PeerFault("TOO_MANY_STREAMS", f"more than {INCOMING_STREAMS_MAX} streams")
            nursery.start_soon(self._guard, self._take_stream, incoming, nursery)

    async def _take_stream(self, incoming: IncomingStream, nursery: trio.Nursery) -> None:
        try:
            protocol, stream = await incoming.negotiate(
                [CONTROL_PROTOCOL, *CHANNEL_PROTOCOLS.values(), REQUEST_PROTOCOL]
            )
        except ConnectionLost:
            await incoming.refuse()
            return
        if protocol in self._incoming:
            raise PeerFault("DUPLICATE_STREAM", f"a second stream for {protocol}")
        self._incoming.add(protocol)
        if protocol == CONTROL_PROTOCOL:
            if self.session.dialled:
                raise PeerFault("DUPLICATE_STREAM", "the side that dials opens the control stream")
            self._peers_control = stream
            self._control_came.set()
            return
        await self._open.wait()
        if protocol == REQUEST_PROTOCOL:
            await self._serve_requests(stream, nursery)
            raise ConnectionLost("the peer closed its request stream")
        for channel, name in CHANNEL_PROTOCOLS.items():
            if name == protocol:
                await self._read_channel(channel, stream)
        raise ConnectionLost(f"the peer closed its stream for {protocol}")

    async def _read_channel(self, channel: Channel, stream: Stream) -> None:
        peer = self.session.peer
        on_message = self._owner.handler.on_message

        async def take(frame: bytes) -> None:
            if self.reason is None:
                await on_message(peer, channel, frame)

        await read_frames(stream, FRAME_BYTES_MAX[channel], take)

    async def _serve_requests(self, stream: Stream, nursery: trio.Nursery) -> None:
        outbox = Outbox(self._limits.answer_queue_bytes_max, 4 * requests.IN_FLIGHT_MAX)
        peer = self.session.peer

        async def answer(payload: bytes) -> bytes:
            return await self._owner.handler.on_request(peer, payload)

        def on_fault(fault: PeerFault) -> None:
            self.end(str(fault), fault=fault)

        nursery.start_soon(self._guard, outbox.run, stream)
        server = RequestServer(outbox, answer, on_fault, nursery)
        limit = requests.REQUEST_BYTES_MAX + requests.HEAD_BYTES_MAX
        await read_frames(stream, limit, server.on_request)

    async def _read_answers(self, stream: Stream) -> None:
        limit = requests.RESPONSE_BYTES_MAX + requests.HEAD_BYTES_MAX
        await read_frames(stream, limit, self.requests.on_response)
        raise ConnectionLost("the peer closed the request stream")

    # ---- control: ping, goodbye ---------------------------------------------------------

    async def _next_control(self, control: Stream) -> Control:
        frame = await read_frame(control, self._control_reader, self._control_backlog)
        return decode_control(frame)

    async def _read_control(self, control: Stream) -> None:
        while True:
            match await self._next_control(control):
                case Ping(nonce):
                    # A full queue means that the peer pings without reading the answers.
                    if not self._control.offer(encode_control(Pong(nonce))):
                        raise PeerFault("PING_FLOOD", "pings faster than their answers are read")
                case Pong(nonce):
                    if self._pinged is not None and self._pinged[0] == nonce:
                        self.peer.rtt_s = trio.current_time() - self._pinged[1]
                        self._pinged = None
                case Goodbye(reason):
                    raise ConnectionLost(f"the peer closed the connection: {reason}")
                case _:
                    raise PeerFault("BAD_CONTROL", "a second HELLO or verdict")

    async def _watch(self) -> None:
        """Ping; notice a peer that's frozen or too slow."""
        limits = self._limits
        heard_from = trio.current_time()
        nonce = 0
        while True:
            before = trio.current_time()
            if self._pinged is None:
                nonce += 1
                self._pinged = (nonce, before)
                self._control.offer(encode_control(Ping(nonce)))
            await trio.sleep(limits.ping_interval_s)
            now = trio.current_time()
            if now - before > 2 * limits.ping_interval_s:
                # It was this node that stood still; what the peer sent waits to be read.
                heard_from = now
                for outbox in self._outboxes.values():
                    outbox.full_since = None if outbox.full_since is None else now
            heard_from = max(heard_from, self.session.received_at)
            if now - heard_from > limits.frozen_s:
                self.end(f"nothing heard for {now - heard_from:.1f} s, though pinged")
            for channel, outbox in self._outboxes.items():
                if outbox.full_since is not None and now - outbox.full_since > limits.slow_s:
                    self.end(
                        f"{channel.name.lower()} messages are read too slowly: the queue stayed "
                        f"full for {now - outbox.full_since:.1f} s"
                    )

    async def _say_goodbye(self) -> None:
        """Leave the peer the time to read the last words and to close first.

        A socket closed with unread bytes in it resets, and takes what we wrote with it.
        """
        await self._ended.wait()
        with trio.move_on_after(GOODBYE_S):
            await self._control.flushed()
            await self._carried.wait()
        self._scope.cancel()

    # ---- keeping errors in --------------------------------------------------------------

    async def _guard(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a task; whatever it raises ends this link."""
        try:
            await task(*arguments)
        except PeerFault as fault:
            self.end(str(fault), fault=fault)
        except ConnectionLost as error:
            self.end(str(error), farewell=False)
        except Exception:
            log.exception("peer_task_failed", peer=self.peer.name)
            self.end("an error in this node while serving the peer")

    async def _tell_disconnect(self) -> None:
        with trio.move_on_after(DISCONNECT_HANDLER_S):
            try:
                await self._owner.handler.on_disconnect(self.session.peer, self.reason or "")
            except Exception:
                log.exception("disconnect_handler_failed", peer=self.peer.name)


async def _write_control(stream: Stream, message: Control) -> None:
    await stream.write(encode_frame(encode_control(message)))
