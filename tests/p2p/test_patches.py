"""Each change to libp2p, and the stock behaviour it is for.

The tests named ``stock`` fail when an upgrade of the library no longer needs the change.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux.yamux import (
    FLAG_SYN,
    TYPE_DATA,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    Yamux,
    YamuxStream,
)
from libp2p.transport.tcp.tcp import _open_reuseport_listeners

from consensus.primitives.errors import LocalFault
from p2p import patches

ROOT = Path(__file__).parents[2]
PEER = ID.from_pubkey(create_new_key_pair(b"p" * 32).public_key)


class Wire:
    """Stands for the secured connection under a muxer: scripted input, recorded output."""

    is_initiator = False

    def __init__(self, script: bytes) -> None:
        self.script = script
        self.written: list[bytes] = []
        self.idle = trio.Event()
        self.closed = trio.Event()

    async def read(self, n: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.script:
            self.idle.set()
            await self.closed.wait()
            raise ConnectionClosedError("closed")
        data, self.script = self.script[:n], self.script[n:]
        return data

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.written.append(data)

    async def close(self) -> None:
        self.closed.set()


def frame(kind: int, flags: int, stream: int, length: int, body: bytes = b"") -> bytes:
    return (
        bytes([0, kind])
        + flags.to_bytes(2, "big")
        + stream.to_bytes(4, "big")
        + length.to_bytes(4, "big")
        + body
    )


def overrun() -> bytes:
    """A stream opened, then 20 MB that no window allows."""
    body = bytes(1_000_000)
    opened = frame(TYPE_WINDOW_UPDATE, FLAG_SYN, 1, 0)
    return opened + b"".join(frame(TYPE_DATA, 0, 1, len(body), body) for _ in range(20))


async def held_after_overrun(kind: type[Yamux]) -> int:
    wire = Wire(overrun())
    muxer = kind(wire, PEER, is_initiator=False)  # type: ignore[arg-type]
    most = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.start)
        while not wire.idle.is_set() and not wire.closed.is_set():
            most = max(most, sum(len(buffer) for buffer in muxer.stream_buffers.values()))
            await trio.lowlevel.checkpoint()
        most = max(most, sum(len(buffer) for buffer in muxer.stream_buffers.values()))
        wire.closed.set()
    return most


async def test_stock_yamux_buffers_what_no_window_allows() -> None:
    assert await held_after_overrun(Yamux) == 20_000_000


async def test_patched_yamux_ends_the_connection() -> None:
    assert await held_after_overrun(patches.BoundedYamux) <= patches.CONNECTION_BUFFER_BYTES_MAX


async def pings_sent(kind: type[Yamux]) -> int:
    wire = Wire(b"")
    muxer = kind(wire, PEER, is_initiator=True)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.start)
        await trio.sleep(45)
        wire.closed.set()
    return sum(data[1] == TYPE_PING for data in wire.written)


async def test_stock_yamux_pings(autojump_clock: trio.testing.MockClock) -> None:
    assert await pings_sent(Yamux) >= 1


async def test_patched_yamux_does_not(autojump_clock: trio.testing.MockClock) -> None:
    assert await pings_sent(patches.BoundedYamux) == 0


async def updates_for_small_reads() -> int:
    """Window updates sent while 100 messages of 200 bytes are read one by one."""
    script = frame(TYPE_WINDOW_UPDATE, FLAG_SYN, 1, 0)
    wire = Wire(script)
    muxer = Yamux(wire, PEER, is_initiator=False)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.start)
        stream = await muxer.accept_stream()
        before = len(wire.written)
        for _ in range(100):
            muxer.stream_buffers[1] += b"m" * 200
            muxer.streams[1].recv_window -= 200
            muxer.stream_events[1].set()
            assert len(await stream.read(65536)) == 200
        wire.closed.set()
    return len(wire.written) - before


async def test_stock_yamux_sends_an_update_per_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = _stock_yamux_stream()
    monkeypatch.setattr(
        YamuxStream,
        "_auto_tune_and_send_window_update",
        stock._auto_tune_and_send_window_update,
    )
    assert await updates_for_small_reads() == 100


async def test_patched_yamux_gives_credit_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    patches.apply()
    assert await updates_for_small_reads() == 1


def _stock_yamux_stream() -> Any:
    """The class as the library's source has it, whatever was patched in this process."""
    spec = importlib.util.find_spec("libp2p.stream_muxer.yamux.yamux")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.YamuxStream


async def most_asked_of_the_kernel(kind: Any) -> int:
    """The largest read that reaches the socket when a peer announces 2^40 bytes."""

    class Socket:
        asked = 0

        async def receive_some(self, size: int) -> bytes:
            self.asked = max(self.asked, size)
            return b"x"

    socket = Socket()
    end = kind(socket)
    await end.read(2**40)
    return socket.asked


async def test_stock_stream_reads_what_the_peer_announces() -> None:
    assert await most_asked_of_the_kernel(TrioTCPStream) == 2**40


async def test_patched_stream_reads_64_kb() -> None:
    def end(socket: Any) -> patches.SocketEnd:
        return patches.SocketEnd(socket, "remote")

    assert await most_asked_of_the_kernel(end) == patches.SOCKET_READ_BYTES


async def test_stock_listener_shares_an_occupied_port() -> None:
    """Why p2p.host listens by itself: two nodes on one port would share its connections."""
    (one,) = await _open_reuseport_listeners("127.0.0.1", 0)
    port = one.socket.getsockname()[1]
    (two,) = await _open_reuseport_listeners("127.0.0.1", port)
    await one.aclose()
    await two.aclose()


def stderr_of(code: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT
    ).stderr


def test_stock_logging_prints_warnings() -> None:
    code = "import logging, libp2p; logging.getLogger('libp2p.any').warning('loud')"
    assert b"loud" in stderr_of(code)


def test_patched_logging_is_quiet() -> None:
    code = (
        "import logging; from p2p import patches; patches.apply();"
        "logging.getLogger('libp2p.any').warning('loud');"
        "assert logging.getLogger('libp2p').propagate is False"
    )
    assert stderr_of(code) == b""


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    patches.require_version()
    monkeypatch.setattr(patches, "version", lambda name: "0.9.0")
    with pytest.raises(LocalFault) as caught:
        patches.apply()
    assert caught.value.code == "LIBP2P_VERSION"


def test_what_is_not_used_of_libp2p_is_not_loaded() -> None:
    code = (
        "import sys, p2p.host;"
        "loaded = {one.split('.')[0] for one in sys.modules};"
        "assert not loaded & {'aioquic', 'trio_websocket', 'requests', 'zeroconf'}, loaded;"
        "assert 'libp2p.host.basic_host' not in sys.modules"
    )
    assert stderr_of(code) == b""


def test_libp2p_is_imported_in_two_files_only() -> None:
    importers = set()
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] in ("tests", ".venv", "build"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            if any(name.split(".")[0] == "libp2p" for name in names):
                importers.add(str(path.relative_to(ROOT)))
    assert importers == {"p2p/patches.py", "p2p/transport.py"}
