"""The API for light nodes that are admitted as peers: their questions come over libp2p.

The routes are the API's own, passed requests within the process. What a peer may ask is listed
here: what a light node needs, and every route beside it is refused. An admitted peer may fetch all
blocks and push transactions anyway, so it learns nothing new, and no token is asked for.
"""

from __future__ import annotations

from collections import Counter
from typing import Final
from urllib.parse import unquote

import trio
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Message, Scope

from consensus.primitives.codec import encode
from consensus.primitives.errors import HansaError
from node import frames
from node.api.app import make_app
from node.api.service import NodeService
from node.api.streams import error_body
from node.proving import Prover
from p2p.conduct import Allowance

ROUTES: Final = frozenset(
    {
        ("GET", "/v1/genesis"),
        ("GET", "/v1/blocks/{height}/bytes"),
        ("GET", "/v1/blocks/{height}/receipts"),
        ("GET", "/v1/proofs/headers/{height}"),
        ("GET", "/v1/proofs/history"),
        ("GET", "/v1/proofs/state"),
        ("GET", "/v1/proofs/transactions/{tx_id}"),
        ("POST", "/v1/transactions"),
    }
)
AT_ONCE_MAX: Final = 4
"""Questions of one peer that are worked on; a light node asks one after the other."""
ANSWER_S: Final = 20.0
BODIES_PER_S: Final = 1 << 20
BODIES_AT_ONCE: Final = 8 << 20
"""Bytes of transactions that one peer may hand in; each costs a signature's verification."""


class PeerApi:
    """Answers the API's ``ROUTES`` to peers."""

    def __init__(self, service: NodeService, prover: Prover) -> None:
        app = make_app(service, prover=prover)
        self._routes = [
            route
            for route in app.router.routes
            if isinstance(route, APIRoute)
            and any((method, route.path) in ROUTES for method in route.methods or ())
        ]
        assert len(self._routes) == len(ROUTES), "a route that is to be served is gone"
        app.router.routes[:] = self._routes
        self._app = app
        self._running: Counter[bytes] = Counter()
        self._bodies: Allowance[bytes] = Allowance(BODIES_PER_S, BODIES_AT_ONCE)

    async def answer(self, peer: bytes, raw: bytes) -> bytes:
        """The answer to API. Raises HansaError PEER_BUSY; PeerFault MESSAGE_MALFORMED."""
        method, path, kind, body = frames.read_api_question(raw)
        scope = _scope(method, path, kind, len(body))
        if not any(route.matches(scope)[0] is Match.FULL for route in self._routes):
            refusal = error_body("ROUTE_NOT_FOR_PEERS", "this is not answered to peers")
            return encode([403, "application/json", refusal])
        now_ms = int(trio.current_time() * 1000)
        if self._running[peer] >= AT_ONCE_MAX or not self._bodies.take(peer, len(body), now_ms):
            raise HansaError("PEER_BUSY", "one question after the other; ask later")
        self._running[peer] += 1
        try:
            with trio.move_on_after(ANSWER_S):
                return encode(await self._pass(scope, body))
        finally:
            self._running[peer] -= 1
            if not self._running[peer]:
                del self._running[peer]
        raise HansaError("PEER_BUSY", f"no answer could be made within {ANSWER_S:g} seconds")

    async def _pass(self, scope: Scope, body: bytes) -> list[object]:
        """HTTP status, content type and body, from the app."""
        coming = [{"type": "http.request", "body": body, "more_body": False}]
        status, kind, parts = 500, b"", []

        async def receive() -> Message:
            return coming.pop() if coming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status, kind = message["status"], dict(message["headers"]).get(b"content-type", b"")
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return [status, kind.decode("ascii"), b"".join(parts)]


def _scope(method: str, path: str, kind: str, length: int) -> Scope:
    plain, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(plain),
        "raw_path": plain.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", kind.encode()),
            (b"content-length", str(length).encode()),
        ],
        "client": None,
        "server": None,
    }
