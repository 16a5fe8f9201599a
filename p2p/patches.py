"""What we change inside libp2p 0.8.1, each with its reason.

Only the parts of libp2p that ``p2p.transport`` uses are touched. Each change has a test that
fails on the stock library (tests/p2p/test_patches.py), so that an upgrade shows which can go.
Another version is refused, since these lean on names that are nobody's promise.
"""

from __future__ import annotations

import logging
from importlib.metadata import version

import trio

import p2p.lean  # noqa: F401  # before anything of libp2p

# isort: split
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.yamux import yamux
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from consensus.primitives.errors import LocalFault

LIBP2P_VERSION = "0.8.1"
STREAM_WINDOW_BYTES = 1024 * 1024
CONNECTION_BUFFER_BYTES_MAX = 12 * 1024 * 1024
SOCKET_READ_BYTES = 64 * 1024


def require_version() -> None:
    """Raises LocalFault LIBP2P_VERSION when another libp2p is installed."""
    found = version("libp2p")
    if found != LIBP2P_VERSION:
        raise LocalFault(
            "LIBP2P_VERSION", f"libp2p {found} is installed, this node needs {LIBP2P_VERSION}"
        )


def quiet_logging() -> None:
    """Keep libp2p off stderr.

    Its logger has no handler, so Python's handler of last resort prints every warning (a peer that
    went away is one). What matters is logged by ``p2p.host``.
    """
    logger = logging.getLogger("libp2p")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


class SocketEnd(ReadWriteCloser):
    """A TCP stream for libp2p, in place of its own ``TrioTCPStream``.

    The stock one asks the kernel for as many bytes as the *peer* announced: before any
    handshake a stranger makes it allocate gigabytes. This one reads 64 KB at most, ahead
    (half the system calls), counts bytes, and notes when something last arrived.
    """

    def __init__(self, stream: trio.SocketStream, remote: str) -> None:
        self.stream = stream
        self.remote = remote
        self.sent_bytes = 0
        self.received_bytes = 0
        self.received_at = trio.current_time()
        self._buffer = b""
        self._position = 0

    async def read(self, n: int | None = None) -> bytes:
        if self._position >= len(self._buffer):
            try:
                self._buffer = await self.stream.receive_some(SOCKET_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError(f"the connection broke: {error}") from error
            self._position = 0
            if not self._buffer:
                raise ConnectionClosedError("the peer closed the connection")
            self.received_at = trio.current_time()
            self.received_bytes += len(self._buffer)
        start = self._position
        self._position = len(self._buffer) if n is None else min(start + n, len(self._buffer))
        return self._buffer[start : self._position]

    async def write(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(f"the connection broke: {error}") from error
        self.sent_bytes += len(data)

    async def close(self) -> None:
        await trio.aclose_forcefully(self.stream)

    def get_remote_address(self) -> tuple[str, int] | None:
        return None


class BoundedYamux(Yamux):
    """Yamux that holds a peer to its receive windows.

    * Stock Yamux only logs a peer that sends more than its window allows, and buffers it all.
      Here the connection ends once it holds more unread bytes than all windows together.
    * Its round-trip measurement is switched off. We ping for ourselves, and a muxer that
      answers pings in its reading loop can deadlock with a peer that does the same while both
      send at full rate: each waits to write its answer, and so neither reads.
    """

    async def _read_data_body(self, length: int) -> bytes:
        held = sum(len(buffer) for buffer in self.stream_buffers.values())
        if held + length > CONNECTION_BUFFER_BYTES_MAX:
            # Yamux takes a TooSlowError here for the end of the connection, any other for
            # the end of the stream (and reads on in the middle of a frame).
            raise trio.TooSlowError("the peer overran its receive windows")
        return await super()._read_data_body(length)

    async def _measure_rtt_loop(self) -> None:
        return


async def _credit_in_batches(self: YamuxStream, *, bytes_read: int = 0) -> None:
    """Give the sender new window when half of it is used up.

    Stock Yamux sends a window update, a Noise message of its own, for every single read, and
    lets the window grow to 16 MB a stream. Here the window is 1 MiB from the first read on.
    """
    if self.recv_closed:
        return
    if self.target_recv_window != STREAM_WINDOW_BYTES:
        grown = STREAM_WINDOW_BYTES - self.target_recv_window
        self.target_recv_window = STREAM_WINDOW_BYTES
        self._pending_recv_release += grown
    self._pending_recv_release += bytes_read
    if self._pending_recv_release >= STREAM_WINDOW_BYTES // 2:
        credit, self._pending_recv_release = self._pending_recv_release, 0
        self.recv_window += credit
        await self.send_window_update(credit)


def apply() -> None:
    """Check the version and put the changes in place. Safe to call again."""
    require_version()
    quiet_logging()
    yamux.YamuxStream._auto_tune_and_send_window_update = _credit_in_batches  # type: ignore[method-assign]
