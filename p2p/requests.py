"""Questions and answers on one long-lived stream: request ids, limits, time-outs.

The asker opens the stream and writes requests, the answerer writes responses on the same
stream, in any order. A request that timed out is forgotten; its late answer is skipped.

    request  = id (8 bytes, big-endian) | longest answer wanted (4 bytes) | payload
    response = id (8 bytes) | status (1 byte: 0 answer, 1 error) | payload
    error payload = code | 0x0a | text, UTF-8
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

import structlog
import trio

from consensus.primitives.errors import HansaError, LocalFault, PeerFault
from p2p.ports import PeerUnavailable
from p2p.wire import Outbox, clean_text

REQUEST_BYTES_MAX = 1024 * 1024
RESPONSE_BYTES_MAX = 16 * 1024 * 1024
IN_FLIGHT_MAX = 16
"""Requests of one asker to one peer at a time; more wait for their turn."""
ERROR_BYTES_MAX = 1024

_REQUEST = struct.Struct(">QI")
_RESPONSE = struct.Struct(">QB")
_OK, _ERROR = 0, 1
HEAD_BYTES_MAX = _REQUEST.size

log = structlog.get_logger("p2p")


class _Pending:
    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.done = trio.Event()
        self.answer = b""
        self.failure: PeerUnavailable | None = None


class RequestClient:
    """The asking side of one connection."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._turns = trio.Semaphore(IN_FLIGHT_MAX)
        self._pending: dict[int, _Pending] = {}
        self._next_id = 1
        self._closed: str | None = None

    async def request(self, payload: bytes, *, bytes_max: int, timeout_ms: int) -> bytes:
        """The answer. Raises PeerUnavailable; ValueError when a limit is asked too much."""
        if len(payload) > REQUEST_BYTES_MAX or not 0 <= bytes_max <= RESPONSE_BYTES_MAX:
            raise ValueError("a request or the answer asked for is larger than the network takes")
        with trio.move_on_after(timeout_ms / 1000):
            async with self._turns:
                return await self._ask(payload, bytes_max)
        raise PeerUnavailable("REQUEST_TIMEOUT", f"no answer within {timeout_ms} ms")

    async def _ask(self, payload: bytes, bytes_max: int) -> bytes:
        if self._closed is not None:
            raise PeerUnavailable("PEER_DISCONNECTED", self._closed)
        number, self._next_id = self._next_id, self._next_id + 1
        pending = self._pending[number] = _Pending(bytes_max)
        try:
            await self._outbox.put(_REQUEST.pack(number, bytes_max) + payload)
            await pending.done.wait()
        finally:
            del self._pending[number]
        if pending.failure is not None:
            raise pending.failure
        return pending.answer

    async def on_response(self, frame: bytes) -> None:
        """Take one frame of the answering side. Raises PeerFault."""
        if len(frame) < _RESPONSE.size:
            raise PeerFault("BAD_RESPONSE", f"a response of {len(frame)} bytes")
        number, status = _RESPONSE.unpack_from(frame)
        if status not in (_OK, _ERROR) or not 0 < number < self._next_id:
            raise PeerFault("BAD_RESPONSE", f"a response with status {status} to request {number}")
        pending = self._pending.get(number)
        if pending is None or pending.done.is_set():
            return
        content = frame[_RESPONSE.size :]
        if status == _ERROR:
            pending.failure = _failure(content)
        elif len(content) > pending.bytes_max:
            raise PeerFault(
                "BAD_RESPONSE", f"{len(content)} bytes where {pending.bytes_max} were asked for"
            )
        else:
            pending.answer = content
        pending.done.set()

    def close(self, reason: str) -> None:
        """The connection has ended: nobody answers any more."""
        if self._closed is None:
            self._closed = reason
            for pending in self._pending.values():
                if not pending.done.is_set():
                    pending.failure = PeerUnavailable("PEER_DISCONNECTED", reason)
                    pending.done.set()


class RequestServer:
    """The answering side of one connection. ``serve`` runs in ``nursery``, never raising."""

    def __init__(
        self,
        outbox: Outbox,
        answer: Callable[[bytes], Awaitable[bytes]],
        on_fault: Callable[[PeerFault], None],
        nursery: trio.Nursery,
    ) -> None:
        self._outbox = outbox
        self._answer = answer
        self._on_fault = on_fault
        self._nursery = nursery
        self._running = 0

    async def on_request(self, frame: bytes) -> None:
        """Take one frame of the asking side. Raises PeerFault."""
        if len(frame) < _REQUEST.size:
            raise PeerFault("BAD_REQUEST", f"a request of {len(frame)} bytes")
        # Twice the asker's own limit: it may have given up on some that are still worked on.
        if self._running >= 2 * IN_FLIGHT_MAX:
            number = _REQUEST.unpack_from(frame)[0]
            await self._outbox.put(_error(number, "PEER_BUSY", "too many requests at once"))
            return
        self._running += 1
        self._nursery.start_soon(self._serve, frame)

    async def _serve(self, frame: bytes) -> None:
        number, bytes_max = _REQUEST.unpack_from(frame)
        try:
            try:
                content = await self._answer(frame[_REQUEST.size :])
            except PeerFault as fault:
                self._on_fault(fault)
                return
            except LocalFault as error:
                log.error("request_failed_here", code=error.code, error=error.message)
                response = _error(number, "INTERNAL", "the peer failed to answer")
            except HansaError as error:
                response = _error(number, error.code, error.message)
            except Exception:
                log.exception("request_handler_failed")
                response = _error(number, "INTERNAL", "the peer failed to answer")
            else:
                if len(content) <= min(bytes_max, RESPONSE_BYTES_MAX):
                    response = _RESPONSE.pack(number, _OK) + content
                else:
                    response = _error(
                        number, "RESPONSE_TOO_LARGE", f"the answer has {len(content)} bytes"
                    )
            await self._outbox.put(response)
        finally:
            self._running -= 1


def failure_of(code: str, text: str) -> PeerUnavailable:
    """What the asker gets to see of an error on the answering side."""
    if code in ("RESPONSE_TOO_LARGE", "PEER_BUSY"):
        return PeerUnavailable(code, text)
    return PeerUnavailable("REQUEST_REFUSED", f"{code}: {text}")


def _failure(content: bytes) -> PeerUnavailable:
    code, _, text = content[:ERROR_BYTES_MAX].partition(b"\n")
    return failure_of(clean_text(code), clean_text(text))


def _error(number: int, code: str, text: str) -> bytes:
    content = f"{code}\n{text}".encode("utf-8", "replace")[:ERROR_BYTES_MAX]
    return _RESPONSE.pack(number, _ERROR) + content
