"""Connections that come to harm: half-open, churning, silent, dripping, broken in the middle.

Each time honest peers go on being served, no slot stays taken, and what is held is bounded.
"""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
import trio
from libp2p.io.exceptions import IOException
from structlog.testing import LogCapture

from p2p import host as host_module
from p2p.host import HANDSHAKES_MAX, YOUNG_LINKS_MAX, Host
from p2p.link import LinkLimits
from p2p.ports import FRAME_BYTES_MAX, Channel, parse_address
from p2p.transport import Session, Transport
from p2p.wire import CHANNEL_PROTOCOLS, CONTROL_PROTOCOL, ConnectionLost
from tests.p2p.support import KEYS, SEEDS, Net, eventually
from tests.p2p.test_attacks import bad_peer

PATIENT = LinkLimits(handshake_s=600)
"""Nothing is over for want of time: what gives way does so by itself."""
HEADER, TYPE_WINDOW_UPDATE, FLAG_SYN = ">BBHII", 1, 1
"""Of a Yamux frame: version, type, flags, stream, length."""
MULTISTREAM = b"\x13/multistream/1.0.0\n"


@asynccontextmanager
async def served(net: Net, *, limits: LinkLimits = PATIENT) -> AsyncIterator[Host]:
    """Host 1, which admits 0 and 2. Honest 2 is connected throughout, and heard at the end; then
    it connects anew."""
    host = await net.start(1, {0: None, 2: None}, limits=limits)
    honest = await net.start(2, {1: host.listen_address})
    await eventually(lambda: KEYS[2] in host.connected())
    yield host
    handler = net.handlers[1]
    assert (KEYS[2], "") not in handler.disconnects and KEYS[2] in host.connected()
    before = len(handler.messages)
    assert honest.send(KEYS[1], Channel.CONSENSUS, b"still there?")
    await handler.until_messages(before + 1)
    await net.stop(2)
    await eventually(lambda: KEYS[2] not in host.connected())
    await net.start(2, {1: host.listen_address})
    await eventually(lambda: KEYS[2] in host.connected())


async def _swallow(stream: trio.SocketStream) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some(65536):
                pass


async def test_half_open_connections_keep_nobody_out(net: Net) -> None:
    """A naive limit is used up by strangers who say nothing."""
    async with served(net) as host:
        where = parse_address(host.listen_address)
        silent = [await trio.open_tcp_stream(*where) for _ in range(2 * HANDSHAKES_MAX)]
        await eventually(lambda: len(host._handshakes) == HANDSHAKES_MAX)
        await net.start(0, {1: host.listen_address})
        await eventually(lambda: KEYS[0] in host.connected())
        for stream in silent:
            await trio.aclose_forcefully(stream)
        await eventually(lambda: not host._handshakes)
        await net.stop(0)


async def test_who_has_the_most_half_open_connections_gives_way(net: Net) -> None:
    async with served(net) as host:
        where = parse_address(host.listen_address)
        slow = await trio.open_tcp_stream(*where)  # a lone one from elsewhere, and the oldest
        async with trio.open_nursery() as nursery:
            await eventually(lambda: len(host._handshakes) == 1)
            (first,) = host._handshakes
            for _ in range(HANDSHAKES_MAX + 20):
                stream = await trio.open_tcp_stream(*where, local_address="127.0.0.2")
                nursery.start_soon(_swallow, stream)
            await eventually(lambda: len(host._handshakes) == HANDSHAKES_MAX)
            assert first in host._handshakes
            nursery.cancel_scope.cancel()
        await slow.aclose()


@pytest.mark.parametrize("who", ["unknown", "admitted"])
async def test_churn_leaks_no_slot(net: Net, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a whole handshake, and gone: 500 of each kind, some before saying a word."""
    monkeypatch.setattr(host_module, "CONNECTIONS_AT_ONCE", 1000)
    async with served(net) as host:
        where = parse_address(host.listen_address)
        transport = Transport(SEEDS[5 if who == "unknown" else 0])
        for number in range(500):
            if number % 10:
                stream = await trio.open_tcp_stream(*where)
                await stream.send_all(MULTISTREAM[: number % 25])
                await trio.aclose_forcefully(stream)
            elif who == "admitted":
                await (await transport.dial(*where, KEYS[1])).abort()
            else:
                with pytest.raises(ConnectionLost):
                    await transport.dial(*where, KEYS[1])
        await eventually(lambda: not host._handshakes)
        await eventually(lambda: len(host._running) == 1)
        assert len(trio.lowlevel.current_root_task().child_nurseries) < 20


async def test_connections_of_one_host_come_at_a_bounded_rate(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each handshake costs both ends milliseconds: a stranger must not set the pace."""
    monkeypatch.setattr(host_module, "CONNECTIONS_AT_ONCE", 20)
    monkeypatch.setattr(host_module, "CONNECTIONS_PER_S", 1)
    async with served(net) as host:
        where = parse_address(host.listen_address)
        heard = 0
        for _ in range(100):
            stream = await trio.open_tcp_stream(*where, local_address="127.0.0.3")
            with suppress(trio.BrokenResourceError), trio.fail_after(20):
                heard += bool(await stream.receive_some(1))
            await trio.aclose_forcefully(stream)
        assert 20 <= heard < 60


async def test_an_admitted_key_holds_few_connections_that_say_nothing(net: Net) -> None:
    async with served(net) as host, trio.open_nursery() as nursery:
        where = parse_address(host.listen_address)
        transport = Transport(SEEDS[0])

        async def carry(session: Session) -> None:
            try:
                with suppress(ConnectionLost):
                    await session.run()
            finally:
                await session.abort()

        for _ in range(30):
            nursery.start_soon(carry, await transport.dial(*where, KEYS[1]))
        await eventually(lambda: len(host._running) <= YOUNG_LINKS_MAX + 1)
        nursery.cancel_scope.cancel()


async def test_three_thousand_stream_openings(net: Net) -> None:
    """The stock host makes a task of each; here the connection is over after a few."""
    async with bad_peer(net) as peer:
        before = psutil.Process().memory_info().rss
        with suppress(IOException, trio.ClosedResourceError):
            for number in range(3000):
                syn = struct.pack(HEADER, 0, TYPE_WINDOW_UPDATE, FLAG_SYN, 1001 + 2 * number, 0)
                await peer.session._muxer.secured_conn.write(syn)
        await net.handlers[1].until_counts(1, 1)
        await eventually(lambda: not net.hosts[1]._running)
        assert psutil.Process().memory_info().rss - before < 16 << 20
    assert net.handlers[1].faults == [(KEYS[0], "TOO_MANY_STREAMS")]


@pytest.mark.parametrize("where", ["on the wire", "within Noise", "within a stream"])
async def test_garbage_after_the_handshake(net: Net, where: str) -> None:
    async with bad_peer(net) as peer:
        garbage = os.urandom(200_000)
        with suppress(ConnectionLost, IOException, trio.ClosedResourceError):
            if where == "on the wire":
                await peer.session._end.write(garbage)
            elif where == "within Noise":
                await peer.session._muxer.secured_conn.write(garbage[:60_000])
            else:
                stream = await peer.session.open(CHANNEL_PROTOCOLS[Channel.CHAIN])
                await stream.write(b"\xff\xff\xff\xff" + garbage)
        await net.handlers[1].until_counts(1, 1)
        assert not net.hosts[1].connected()
    assert not net.stopped[1].is_set()


async def test_truncated_frame(net: Net) -> None:
    async with bad_peer(net) as peer:
        stream = await peer.session.open(CHANNEL_PROTOCOLS[Channel.CHAIN])
        await stream.write((1000).to_bytes(4, "big") + b"half of it")
        await stream.close()
        await net.handlers[1].until_counts(1, 1)
        assert net.handlers[1].messages == []


async def test_endless_frames_hold_one_frame_s_memory(net: Net) -> None:
    """Frames that are announced and never end, on every channel at once."""
    async with bad_peer(net) as peer:
        before = psutil.Process().memory_info().rss
        held = 0
        for channel, protocol in CHANNEL_PROTOCOLS.items():
            stream = await peer.session.open(protocol)
            size = FRAME_BYTES_MAX[channel]
            await stream.write(size.to_bytes(4, "big"))
            for _ in range(size // 100_000 - 1):
                await stream.write(bytes(100_000))
            held += size
        assert net.handlers[1].messages == []
        assert psutil.Process().memory_info().rss - before < 2 * held + (16 << 20)


async def test_a_host_that_stops_in_the_middle_of_a_handshake(net: Net, log: LogCapture) -> None:
    async with served(net, limits=LinkLimits(handshake_s=0.5)) as host:
        where = parse_address(host.listen_address)
        stream = await trio.open_tcp_stream(*where)
        await stream.send_all(MULTISTREAM + b"\x07/noise\n" + b"\x00\x20" + bytes(10))
        with trio.fail_after(20):
            await _swallow(stream)
        await eventually(lambda: not host._handshakes)


async def test_a_stranger_that_knocks_is_logged_once_a_minute(net: Net, log: LogCapture) -> None:
    async with served(net) as host:
        where = parse_address(host.listen_address)
        for _ in range(50):
            stream = await trio.open_tcp_stream(*where)
            await stream.send_all(MULTISTREAM[:10])
            await stream.aclose()
        await eventually(lambda: not host._handshakes)
        lines = [line for line in log.entries if line["event"] == "p2p_connection_refused"]
        assert sum(line["log_level"] == "warning" for line in lines) == 1


async def test_a_control_stream_that_never_introduces_itself(net: Net) -> None:
    async with served(net, limits=LinkLimits(handshake_s=0.5)) as host:
        session = await Transport(SEEDS[0]).dial(*parse_address(host.listen_address), KEYS[1])
        async with trio.open_nursery() as nursery:

            async def carry() -> None:
                try:
                    with suppress(ConnectionLost):
                        await session.run()
                finally:
                    await session.abort()

            nursery.start_soon(carry)
            control = await session.open(CONTROL_PROTOCOL)
            with suppress(ConnectionLost), trio.fail_after(20):
                while True:  # a byte at a time of a frame of 4 kB
                    await control.write(b"\x00")
                    await trio.sleep(0.05)
        await eventually(lambda: len(host._running) == 1)
