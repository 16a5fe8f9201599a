"""What stands before every route: who may ask, how often, and what is said when all else fails."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from typing import Final

import trio
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node import log
from node.api.streams import error_body
from p2p.conduct import Allowance

INTERNAL: Final = "the node failed to answer; see its log"
OPEN_PATHS: Final = ("/health/live",)
"""Answered without a token: it tells no more than that somebody listens."""
TOKEN_HEADER: Final = b"x-hansa-token"
"""In place of ``authorization``, which the vault's routes take for their signatures."""
BURST_S: Final = 4
"""An address may ask for so many seconds' requests at once."""

_log = log.get("api")


def _host_allowed(header: str, names: frozenset[str]) -> bool:
    host = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    host = host.strip("[]").lower()
    if host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(error_body(code, message), status, headers, "application/json")


class Guard:
    """Refuses foreign Host names, those without the token and those who ask too often, and turns
    unexpected exceptions into INTERNAL_ERROR.

    A web page can point its own name at 127.0.0.1 and let a visitor's browser ask this API; the
    browser then sends that name as Host. So only IP addresses, localhost and configured names pass.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str],
        token: str | None = None,
        requests_per_s: int = 0,
    ) -> None:
        self._app = app
        self._hosts = frozenset({"localhost", *(host.lower() for host in hosts)})
        self._shown = None if token is None else f"Bearer {token}".encode()
        self._asked: Allowance[str] | None = None
        if requests_per_s:
            self._asked = Allowance(requests_per_s, BURST_S * requests_per_s)

    def _refusal(self, scope: Scope) -> Response | None:
        now_ms = int(trio.current_time() * 1000)
        client = scope["client"][0] if scope.get("client") else ""
        if self._asked is not None and not self._asked.take(client, 1, now_ms):
            wait = {"retry-after": str(-(-self._asked.retry_ms(client, 1) // 1000))}
            return _error(429, "RATE_LIMITED", "too many requests from this address", wait)
        headers = dict(reversed(scope["headers"]))
        if not _host_allowed(headers.get(b"host", b"").decode("latin-1"), self._hosts):
            return _error(403, "HOST_NOT_ALLOWED", "this host name isn't in the node's api.hosts")
        if self._shown is not None and scope["path"] not in OPEN_PATHS:
            given = headers.get(b"authorization", b"")
            if TOKEN_HEADER in headers:
                given = b"Bearer " + headers[TOKEN_HEADER]
            if not hmac.compare_digest(given, self._shown):
                wanted = {"www-authenticate": "Bearer"}
                return _error(401, "TOKEN_REQUIRED", "show the node's API token", wanted)
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except ClientDisconnect:
            pass
        except Exception:
            _log.exception("a request failed", method=scope["method"], path=scope["path"])
            if not started:
                await _error(500, "INTERNAL_ERROR", INTERNAL)(scope, receive, send)
