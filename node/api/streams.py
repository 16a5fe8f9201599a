"""NDJSON responses that stay open: one JSON object per line, a blank line when idle.

A stream holds a bounded number of lines. A reader that takes nothing is disconnected by the
server's send time-out; when the node stops or its own side fails, the last line is
``{"error": {"code", "message"}}`` and the reader resumes elsewhere or later.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic, TypeVar

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from consensus.primitives.errors import HansaError
from node import log

LINES_MAX: Final = 256
CHUNK_BYTES: Final = 64 * 1024
HEARTBEAT_S: Final = 1.0
STREAMS_MAX: Final = 64

Record = TypeVar("Record")

_log = log.get("api")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def error_body(code: str, message: str) -> bytes:
    return json_bytes({"error": {"code": code, "message": message}})


class StreamLimit:
    """Counts the open streams of one server, and knows when it stops."""

    def __init__(self, streams_max: int = STREAMS_MAX) -> None:
        self.stopping = trio.Event()
        self._free = streams_max

    def take(self) -> None:
        """Raises HansaError TOO_MANY_STREAMS."""
        if self._free == 0:
            raise HansaError("TOO_MANY_STREAMS", "too many streams are open; try again later")
        self._free -= 1

    def give_back(self) -> None:
        self._free += 1


class NdjsonStream(Response, Generic[Record]):
    """Sends what ``records`` yields until it ends, the client leaves or the server stops."""

    def __init__(
        self,
        records: AsyncIterator[Record],
        line: Callable[[Record], dict[str, Any]],
        limit: StreamLimit,
    ) -> None:
        limit.take()
        self._records = records
        self._line = line
        self._limit = limit
        self._last_line = b""
        self.background = None
        self.status_code = 200
        self.init_headers({"content-type": "application/x-ndjson", "cache-control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            to_send, lines = trio.open_memory_channel[bytes](LINES_MAX)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_on_disconnect, receive, nursery.cancel_scope)
                nursery.start_soon(self._pump, to_send)
                await self._forward(lines, send)
                nursery.cancel_scope.cancel()
        finally:
            self._limit.give_back()

    @staticmethod
    async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _pump(self, to_send: trio.MemorySendChannel[bytes]) -> None:
        """Records into lines, until the server stops. Never cancels a half-sent chunk."""
        async with to_send, trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_on_stop, nursery.cancel_scope)
            try:
                async for record in self._records:
                    await to_send.send(json_bytes(self._line(record)) + b"\n")
            except HansaError as error:
                self._last_line = error_body(error.code, error.message) + b"\n"
            except Exception:
                _log.exception("a stream failed")
                self._last_line = (
                    error_body("INTERNAL_ERROR", "the stream failed; see the node's log") + b"\n"
                )
            finally:
                if close := getattr(self._records, "aclose", None):
                    with trio.CancelScope(shield=True):
                        await close()
            nursery.cancel_scope.cancel()

    async def _cancel_on_stop(self, scope: trio.CancelScope) -> None:
        await self._limit.stopping.wait()
        self._last_line = error_body("NODE_STOPPING", "the node is shutting down") + b"\n"
        scope.cancel()

    async def _forward(self, lines: trio.MemoryReceiveChannel[bytes], send: Send) -> None:
        async with lines:
            while True:
                chunk = b"\n"
                try:
                    with trio.move_on_after(HEARTBEAT_S):
                        chunk = await lines.receive()
                except trio.EndOfChannel:
                    break
                parts = [chunk]
                size = len(chunk)
                while size < CHUNK_BYTES:
                    try:
                        parts.append(lines.receive_nowait())
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                    size += len(parts[-1])
                await send(
                    {"type": "http.response.body", "body": b"".join(parts), "more_body": True}
                )
        await send({"type": "http.response.body", "body": self._last_line, "more_body": False})
