"""The bytes on a stream: frames, the control messages, and the outgoing queue.

A frame is a 4-byte big-endian length and that many bytes. Every stream carries frames; what
they mean follows from the stream's protocol id. See docs/spec/network.md.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from consensus.primitives.errors import PeerFault
from p2p.ports import Channel

PROTOCOL_VERSION = 1
CONTROL_PROTOCOL = "/hansa/1/control"
REQUEST_PROTOCOL = "/hansa/1/request"
CHANNEL_PROTOCOLS = {
    Channel.CONSENSUS: "/hansa/1/consensus",
    Channel.TRANSACTIONS: "/hansa/1/transactions",
    Channel.CHAIN: "/hansa/1/chain",
}

LENGTH_BYTES = 4
_LENGTH = struct.Struct(">I")
READ_BYTES = 64 * 1024
CONTROL_BYTES_MAX = 4096
HELLO_BYTES_MAX = 1024
REASON_BYTES_MAX = 512
INSTANCE_BYTES = 8

WRITE_BYTES = 65_507
"""One write of this size is one muxer frame (12 bytes more) and just fills one Noise message
(65,519 bytes of content); a longer one would leave a second, tiny message behind each."""


class ConnectionLost(Exception):
    """The stream or the connection under it has ended; the text says how, as far as known."""


class ByteStream(Protocol):
    """A stream to or from a peer. Both methods raise ``ConnectionLost``."""

    async def read(self, bytes_max: int) -> bytes:
        """Some bytes, as soon as there are any; b"" at the end."""

    async def write(self, data: bytes) -> None: ...


def encode_frame(payload: bytes) -> bytes:
    """The payload behind its length."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream of bytes into frames; holds at most one frame and one read."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._bytes_max = frame_bytes_max
        self._buffer = bytearray()
        self._need = LENGTH_BYTES

    def feed(self, data: bytes) -> list[bytes]:
        """Take ``data``, return the frames it completes. Raises PeerFault FRAME_TOO_LARGE."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._need:
            return []
        frames = []
        position = 0
        end = len(buffer)
        self._need = LENGTH_BYTES
        with memoryview(buffer) as view:
            while end - position >= LENGTH_BYTES:
                start = position + LENGTH_BYTES
                (size,) = _LENGTH.unpack_from(buffer, position)
                if size > self._bytes_max:
                    raise PeerFault(
                        "FRAME_TOO_LARGE",
                        f"a frame of {size} bytes, {self._bytes_max} are allowed",
                    )
                if end - start < size:
                    self._need = LENGTH_BYTES + size
                    break
                frames.append(bytes(view[start : start + size]))
                position = start + size
        del buffer[:position]
        return frames


async def read_frame(stream: ByteStream, reader: FrameReader, backlog: deque[bytes]) -> bytes:
    """The next frame of a stream that's read one at a time; ``backlog`` keeps the surplus."""
    while not backlog:
        data = await stream.read(READ_BYTES)
        if not data:
            raise ConnectionLost("the peer closed the stream")
        backlog.extend(reader.feed(data))
    return backlog.popleft()


async def read_frames(
    stream: ByteStream, frame_bytes_max: int, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Hand each frame to ``take``, in order, until the stream ends."""
    reader = FrameReader(frame_bytes_max)
    while data := await stream.read(READ_BYTES):
        for frame in reader.feed(data):
            await take(frame)


class Outbox:
    """The queue of one outgoing stream, bounded by bytes and count.

    Frames are written together, about 64 KB at a time: the cost of the layers below is per
    write. ``full_since`` is the time of the first refusal, until the peer has taken a quarter
    of what the queue holds: a busy sender may keep the queue of a good peer full.
    """

    def __init__(self, bytes_max: int, count_max: int) -> None:
        self._bytes_max = bytes_max
        self._count_max = count_max
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._writing = False
        self._filled = trio.Event()
        self._drained = trio.Event()
        self.full_since: float | None = None
        self._taken_bytes = 0
        self._taken_count = 0

    def offer(self, payload: bytes) -> bool:
        """Enqueue unless full. A frame larger than the whole queue is taken when it's empty."""
        if self._queue and (
            self._bytes + len(payload) > self._bytes_max or len(self._queue) >= self._count_max
        ):
            if self.full_since is None:
                self.full_since = trio.current_time()
                self._taken_bytes = self._taken_count = 0
            return False
        self._queue.append(payload)
        self._bytes += len(payload)
        self._filled.set()
        return True

    async def put(self, payload: bytes) -> None:
        """Enqueue, waiting while full."""
        while not self.offer(payload):
            await self._drained.wait()

    async def flushed(self) -> None:
        """Wait until everything enqueued has been written."""
        while self._queue or self._writing:
            await self._drained.wait()

    async def run(self, stream: ByteStream) -> None:
        """Write what is enqueued, for as long as the stream stands. Raises ConnectionLost."""
        while True:
            while not self._queue:
                self._filled = trio.Event()
                await self._filled.wait()
            self._writing = True
            batch = self._take()
            for start in range(0, len(batch), WRITE_BYTES):
                await stream.write(batch[start : start + WRITE_BYTES])
            self._writing = False
            self._taken_bytes += len(batch)
            self._taken()

    def _take(self) -> bytes:
        """The frames to write next: up to about ``WRITE_BYTES``, at least one."""
        parts: list[bytes] = []
        size = 0
        while self._queue and (
            not parts or size + len(self._queue[0]) + LENGTH_BYTES <= WRITE_BYTES
        ):
            payload = self._queue.popleft()
            parts.append(len(payload).to_bytes(LENGTH_BYTES, "big"))
            parts.append(payload)
            size += LENGTH_BYTES + len(payload)
            self._bytes -= len(payload)
            self._taken_count += 1
        return b"".join(parts)

    def _taken(self) -> None:
        if (
            not self._queue
            or self._taken_bytes >= self._bytes_max // 4
            or self._taken_count >= self._count_max // 4
        ):
            self.full_since = None
        self._drained.set()
        self._drained = trio.Event()


# ---- control messages -------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """Who speaks: the protocol's version, this run of the node, and what the node wants known.

    ``instance`` is drawn anew at each start, so that a restarted peer is told from a second
    connection of the same one.
    """

    version: int
    instance: bytes
    hello: bytes


@dataclass(frozen=True)
class Verdict:
    """The answer to a HELLO; a refusal says why."""

    accepted: bool
    reason: str = ""


@dataclass(frozen=True)
class Ping:
    nonce: int


@dataclass(frozen=True)
class Pong:
    nonce: int


@dataclass(frozen=True)
class Goodbye:
    """The last word before the sender closes the connection."""

    reason: str


Control = Hello | Verdict | Ping | Pong | Goodbye

_HELLO, _VERDICT, _PING, _PONG, _GOODBYE = 1, 2, 3, 4, 5
_HELLO_HEAD = struct.Struct(f">BH{INSTANCE_BYTES}s")
_NONCE = struct.Struct(">BQ")


def encode_control(message: Control) -> bytes:
    """The message's frame content."""
    match message:
        case Hello(version, instance, hello):
            return _HELLO_HEAD.pack(_HELLO, version, instance) + hello
        case Verdict(accepted, reason):
            return bytes([_VERDICT, int(accepted)]) + _reason_bytes(reason)
        case Ping(nonce):
            return _NONCE.pack(_PING, nonce)
        case Pong(nonce):
            return _NONCE.pack(_PONG, nonce)
        case Goodbye(reason):
            return bytes([_GOODBYE]) + _reason_bytes(reason)


def decode_control(frame: bytes) -> Control:
    """The inverse of ``encode_control``. Raises PeerFault BAD_CONTROL."""
    kind = frame[0] if frame else 0
    if kind == _HELLO and _HELLO_HEAD.size <= len(frame) <= _HELLO_HEAD.size + HELLO_BYTES_MAX:
        _, version, instance = _HELLO_HEAD.unpack_from(frame)
        return Hello(version, instance, frame[_HELLO_HEAD.size :])
    if kind == _VERDICT and 2 <= len(frame) <= 2 + REASON_BYTES_MAX and frame[1] in (0, 1):
        return Verdict(frame[1] == 1, clean_text(frame[2:]))
    if kind in (_PING, _PONG) and len(frame) == _NONCE.size:
        nonce = _NONCE.unpack(frame)[1]
        return Ping(nonce) if kind == _PING else Pong(nonce)
    if kind == _GOODBYE and len(frame) <= 1 + REASON_BYTES_MAX:
        return Goodbye(clean_text(frame[1:]))
    raise PeerFault("BAD_CONTROL", f"a control message of kind {kind} and {len(frame)} bytes")


def clean_text(data: bytes) -> str:
    """A peer's text, fit for logs and terminals: control characters become question marks."""
    text = data.decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)


def _reason_bytes(reason: str) -> bytes:
    """UTF-8, cut to ``REASON_BYTES_MAX`` between characters."""
    data = reason.encode("utf-8", "replace")[:REASON_BYTES_MAX]
    return data.decode("utf-8", "ignore").encode()
