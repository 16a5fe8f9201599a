"""Serves the API: hypercorn's HTTP machinery under our own accept loop.

Hypercorn's own ``serve`` takes the whole process's view: it can't be cancelled while a client
doesn't read (its sends are shielded without a limit), and one connection's failure ends the server.
Here every send has a deadline, connections are bounded and fail alone, and cancelling
:func:`serve_api` ends streams with a last line and then everything within a second or two.
"""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import trio
from fastapi import FastAPI
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from consensus.primitives.errors import LocalFault
from node import log
from p2p.ports import format_address, parse_address

if TYPE_CHECKING:
    from trio_typing import TaskStatus

CONNECTIONS_MAX: Final = 512
SEND_TIMEOUT_S: Final = 30.0
KEEP_ALIVE_S: Final = 30.0
"""How long a connection may stay without a whole request's head."""
TLS_HANDSHAKE_S: Final = 10.0
STOP_GRACE_S: Final = 1.5

_log = log.get("api")


class _Sends:
    """The sends under way. They are shielded, because half a chunk would break a stream for good,
    so each has a deadline, which a shutdown brings forward."""

    def __init__(self) -> None:
        self._timeout_s = SEND_TIMEOUT_S
        self._scopes: set[trio.CancelScope] = set()

    async def send(self, stream: Any, data: bytes) -> bool:
        """Whether the client took all of it in time."""
        scope = trio.CancelScope(deadline=trio.current_time() + self._timeout_s, shield=True)
        self._scopes.add(scope)
        try:
            with scope:
                await stream.send_all(data)
                return True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._scopes.discard(scope)
        return False

    def hurry(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        deadline = trio.current_time() + timeout_s
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, deadline)


class _Connection(TCPServer):
    """One client's connection, with a limit on how long it may not read."""

    sends: _Sends
    asking = False
    """A whole request's head has come, and its answer is not sent yet."""

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            if isinstance(event, Updated):
                self.asking = not event.idle
            await super().protocol_send(event)
            return
        async with self.send_lock:
            sent = await self.sends.send(self.stream, event.data)
        if not sent:
            await self.stream.aclose()
            await self.protocol.handle(Closed())


def _config() -> Config:
    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.ssl_handshake_timeout = TLS_HANDSHAKE_S
    return config


async def _listen(bind: str) -> Sequence[trio.SocketListener]:
    host, port = parse_address(bind, listening=True)
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise LocalFault(
                "PORT_IN_USE", f"the API address {bind} is in use by another process"
            ) from None
        raise LocalFault(
            "LISTEN_FAILED", f"can't listen on the API address {bind}: {error.strerror}"
        ) from None


async def serve_api(
    app: FastAPI,
    bind: str,
    tls: ssl.SSLContext | None = None,
    *,
    task_status: TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` on "ip:port" until cancelled; ``started`` gives the address with its real port.

    When all connections are taken, the oldest that asks for nothing gives way to a new one: those
    who hold connections open keep nobody out. Raises LocalFault PORT_IN_USE or LISTEN_FAILED.
    """
    listeners = await _listen(bind)
    host, port = listeners[0].socket.getsockname()[:2]
    asgi: Any = app
    wrapped, config, context = ASGIWrapper(asgi), _config(), WorkerContext(None)
    sends = _Sends()
    taken: dict[trio.CancelScope, _Connection] = {}

    async def handle(stream: Any) -> None:
        if len(taken) >= CONNECTIONS_MAX:
            idle = next((scope for scope, one in taken.items() if not one.asking), None)
            if idle is None:
                await trio.aclose_forcefully(stream)
                return
            del taken[idle]
            idle.cancel()
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        connection = _Connection(wrapped, config, context, ConnectionState({}), stream)
        connection.sends = sends
        scope = trio.CancelScope()
        taken[scope] = connection
        try:
            with scope:
                await connection.run()
        except Exception:
            _log.exception("a connection failed")
        finally:
            taken.pop(scope, None)

    async def shelter(task_status: TaskStatus[trio.Nursery]) -> None:
        """Hold the connections, and outlive a cancellation by the grace that they get to end."""
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.shield = True
            task_status.started(nursery)
            await app.state.streams.stopping.wait()
            await context.terminated.set()
            sends.hurry(STOP_GRACE_S)
            nursery.cancel_scope.deadline = trio.current_time() + STOP_GRACE_S

    async with trio.open_nursery() as outer:
        try:
            connections: Any = await outer.start(shelter)
            task_status.started(format_address(host, port))
            await trio.serve_listeners(handle, listeners, handler_nursery=connections)
        finally:
            app.state.streams.stopping.set()
            for listener in listeners:
                listener.socket.close()
