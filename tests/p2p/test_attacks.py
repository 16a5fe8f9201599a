"""Bytes from strangers and from peers that turned bad: none of it stops the host."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from structlog.testing import LogCapture

from p2p.host import HANDSHAKES_MAX
from p2p.link import INCOMING_STREAMS_MAX, LinkLimits
from p2p.ports import FRAME_BYTES_MAX, Channel, parse_address
from p2p.transport import Session, Stream, Transport
from p2p.wire import (
    CHANNEL_PROTOCOLS,
    CONTROL_PROTOCOL,
    REQUEST_PROTOCOL,
    ConnectionLost,
    Goodbye,
    Hello,
    Verdict,
    decode_control,
    encode_control,
    encode_frame,
)
from tests.p2p.support import CHAIN, KEYS, SEEDS, Net, eventually

QUICK = LinkLimits(handshake_s=0.5)


class BadPeer:
    """An admitted key in the wrong hands: speaks the protocol by hand."""

    def __init__(self, session: Session, control: Stream) -> None:
        self.session = session
        self.control = control

    async def say(self, content: bytes) -> None:
        await self.control.write(encode_frame(content))

    async def goodbye(self) -> str:
        """The reason the host gives when it closes."""
        text = ""
        heard = b""
        with trio.fail_after(20):
            try:
                while data := await self.control.read(65536):
                    heard += data
                    while len(heard) >= 4:
                        size = int.from_bytes(heard[:4], "big")
                        message = decode_control(heard[4 : 4 + size])
                        heard = heard[4 + size :]
                        if isinstance(message, Goodbye):
                            text = message.reason
            except ConnectionLost:
                pass
        return text


@asynccontextmanager
async def bad_peer(net: Net) -> AsyncIterator[BadPeer]:
    """A handshake done well, up to the point where the host takes us for connected."""
    host = await net.start(1, {0: None}, limits=QUICK)
    where = parse_address(host.listen_address)
    session = await Transport(SEEDS[0]).dial(*where, KEYS[1])
    async with trio.open_nursery() as nursery:

        async def carry() -> None:
            with suppress(ConnectionLost):
                await session.run()

        nursery.start_soon(carry)
        control = await session.open(CONTROL_PROTOCOL)
        peer = BadPeer(session, control)
        await peer.say(encode_control(Hello(1, b"bad peer", CHAIN)))
        await peer.say(encode_control(Verdict(True)))
        for protocol in [*CHANNEL_PROTOCOLS.values(), REQUEST_PROTOCOL]:
            # The host opens its own; it waits for our agreement.
            nursery.start_soon(_agree, session, protocol)
        await net.handlers[1].until_counts(1, 0)
        try:
            yield peer
        finally:
            await session.abort()
            nursery.cancel_scope.cancel()
    await net.handlers[1].until_counts(1, 1)


async def _agree(session: Session, protocol: str) -> None:
    try:
        incoming = await session.accept()
        await incoming.negotiate([*CHANNEL_PROTOCOLS.values(), REQUEST_PROTOCOL])
    except ConnectionLost:
        pass


async def _still_serves(net: Net, number: int = 1) -> None:
    """Another peer connects and is heard."""
    host = net.hosts[number]
    handler = net.handlers[number]
    assert not net.stopped[number].is_set()
    before = len(handler.messages)
    third = await net.start(2, {number: host.listen_address})
    await eventually(lambda: third.send(KEYS[number], Channel.CHAIN, b"still there?"))
    await handler.until_messages(before + 1)


async def _start_for(net: Net, *others: int, limits: LinkLimits = QUICK) -> tuple[str, int]:
    host = await net.start(1, dict.fromkeys(others), limits=limits)
    return parse_address(host.listen_address)


# ---- strangers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", id="http"),
        pytest.param(os.urandom(100_000), id="random"),
        pytest.param(b"\x13/multistream/1.0.0\n" + b"\xff" * 9 + b"\x01", id="length-2^64"),
        pytest.param(b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff\xff" * 40_000, id="noise"),
        pytest.param(b"\x13/multistream/1.0.0\n" + b"\x03ls\n" * 1000, id="ls"),
        pytest.param(b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n", id="not-utf8"),
    ],
)
async def test_garbage_on_the_port(net: Net, content: bytes) -> None:
    where = await _start_for(net, 2)
    stream = await trio.open_tcp_stream(*where)
    async with stream:
        with trio.fail_after(20):
            try:
                await stream.send_all(content)
                while await stream.receive_some(65536):
                    pass
            except trio.BrokenResourceError:
                pass
    await _still_serves(net)


async def test_plaintext_is_not_spoken(net: Net) -> None:
    where = await _start_for(net, 0, 2)
    stream = await trio.open_tcp_stream(*where)
    heard = b""
    async with stream:
        await stream.send_all(b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n")
        with trio.fail_after(20):
            while not heard.endswith(b"na\n"):
                data = await stream.receive_some(1000)
                assert data, heard
                heard += data
    assert heard == b"\x13/multistream/1.0.0\n\x03na\n"
    await _still_serves(net)


async def test_silent_connections_are_closed_and_bounded(net: Net) -> None:
    where = await _start_for(net, 2, limits=LinkLimits(handshake_s=1.0))
    streams = [await trio.open_tcp_stream(*where) for _ in range(HANDSHAKES_MAX + 20)]
    with trio.fail_after(20):
        for stream in streams:
            try:
                while await stream.receive_some(1000):
                    pass
            except trio.BrokenResourceError:
                pass
            await stream.aclose()
    await _still_serves(net)


# ---- admitted keys ----------------------------------------------------------------------


async def test_oversized_frame(net: Net) -> None:
    async with bad_peer(net) as peer:
        stream = await peer.session.open(CHANNEL_PROTOCOLS[Channel.CHAIN])
        await stream.write((FRAME_BYTES_MAX[Channel.CHAIN] + 1).to_bytes(4, "big"))
        assert "FRAME_TOO_LARGE" in await peer.goodbye()
    await _still_serves_third(net)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "BAD_CONTROL"),
        (b"\x09what", "BAD_CONTROL"),
        (b"\x03short", "BAD_CONTROL"),
        (encode_control(Hello(1, b"bad peer", CHAIN)), "BAD_CONTROL"),
        (b"x" * 5000, "FRAME_TOO_LARGE"),
    ],
)
async def test_bad_control_messages(net: Net, content: bytes, code: str) -> None:
    async with bad_peer(net) as peer:
        await peer.say(content)
        assert code in await peer.goodbye()


async def test_second_stream_of_a_kind(net: Net) -> None:
    async with bad_peer(net) as peer:
        for _ in range(2):
            await peer.session.open(CHANNEL_PROTOCOLS[Channel.CONSENSUS])
        assert "DUPLICATE_STREAM" in await peer.goodbye()


async def test_flood_of_streams(net: Net) -> None:
    async with bad_peer(net) as peer:
        for _ in range(INCOMING_STREAMS_MAX + 10):
            with pytest.raises(ConnectionLost):
                await peer.session.open("/no/such/protocol")
        assert not net.hosts[1].connected()


@pytest.mark.parametrize("content", [b"", b"\x00" * 11])
async def test_bad_request_frames(net: Net, content: bytes) -> None:
    async with bad_peer(net) as peer:
        stream = await peer.session.open(REQUEST_PROTOCOL)
        await stream.write(encode_frame(content))
        assert "BAD_REQUEST" in await peer.goodbye()


async def test_hello_must_come_in_time(net: Net, log: LogCapture) -> None:
    where = await _start_for(net, 0, 2)
    session = await Transport(SEEDS[0]).dial(*where, KEYS[1])
    with pytest.raises(ConnectionLost), trio.fail_after(20):
        await session.run()
    await eventually(lambda: "too long" in str(net.hosts[1].peer_reports()[0]["last_error"]))
    assert net.handlers[1].connects == []
    await _still_serves(net)


async def _still_serves_third(net: Net) -> None:
    host = net.hosts[1]
    assert not net.stopped[1].is_set()
    stream = await trio.open_tcp_stream(*parse_address(host.listen_address))
    async with stream:
        with trio.fail_after(20):
            assert await stream.receive_some(100) == b"\x13/multistream/1.0.0\n"


# ---- wear -------------------------------------------------------------------------------


async def test_three_hundred_reconnects(net: Net) -> None:
    """The stock swarm takes no connection any more after the 250th."""
    where = await _start_for(net, 0, limits=LinkLimits())
    transport = Transport(SEEDS[0])
    for number in range(300):
        session = await transport.dial(*where, KEYS[1])
        async with trio.open_nursery() as nursery:

            async def carry(session: Session = session) -> None:
                with pytest.raises(ConnectionLost):
                    await session.run()

            nursery.start_soon(carry)
            control = await session.open(CONTROL_PROTOCOL)
            hello = Hello(1, number.to_bytes(8, "big"), CHAIN)
            await control.write(encode_frame(encode_control(hello)))
            await control.write(encode_frame(encode_control(Verdict(False, "just looking"))))
            while await control.read(1000):
                pass
            await session.abort()
    await net.start(0, {1: net.hosts[1].listen_address})
    await net.handlers[1].until_counts(1, 0)
