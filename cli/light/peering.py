"""A light node's questions over libp2p, for ``cli.client.Client``: an httpx transport.

A node is named ``libp2p://HOST:PORT/NETWORK_KEY``, its key in hex: whoever answers there without
that key is not spoken with. The own network key must be one that the consortium admitted.

The host runs in a thread of its own, since the client is synchronous and links live longer than its
requests. It listens on nothing, and takes no part in what peers tell each other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import trio

from cli.http import httpx
from consensus.primitives.errors import HansaError, InputError, PeerFault
from node import frames, log
from node.app import check_hello
from p2p.host import Host, HostConfig
from p2p.ports import Channel, PeerAddress, PeerUnavailable, parse_address

SCHEME: Final = "libp2p://"
_SOURCE: Final = re.compile(r"libp2p://([^/]+)/([0-9a-f]{64})/?")
TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.02
BUSY_S: Final = 0.25
"""A node that was asked too fast is given so long."""

_log = log.get("light")


def parse_source(url: str) -> PeerAddress:
    """The peer that ``libp2p://HOST:PORT/NETWORK_KEY`` names. Raises InputError BAD_ADDRESS."""
    found = _SOURCE.fullmatch(url)
    if found is None:
        raise InputError(
            "BAD_ADDRESS", f"{url!r} is not libp2p://HOST:PORT/KEY with a key of 64 hex digits"
        )
    parse_address(found[1])
    return PeerAddress(bytes.fromhex(found[2]), found[1], (found[1],))


class _Deaf:
    """The network's Handler of one who only asks."""

    async def on_connect(self, peer: bytes) -> None:
        pass

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        pass

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        _log.warning("peer at fault", peer=peer, code=fault.code, reason=fault.message)

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """What full nodes tell each other: a light node asks for what it needs."""

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        raise HansaError("LIGHT_NOT_SERVED", "a light node has nothing to give")


class Peering(httpx.BaseTransport):
    """Links to peers, in a ``with`` statement. ``handle_request`` may be called by any thread.

    A peer that is down, silent, or does not admit this key gives httpx.TransportError, as over
    HTTP.
    """

    def __init__(self, seed32: bytes, chain_id: bytes, peers: Iterable[PeerAddress]) -> None:
        self._config = HostConfig(
            seed32, None, tuple(peers), chain_id, lambda theirs: check_hello(chain_id, theirs)
        )
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._main, name="libp2p", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with suppress(trio.RunFinishedError):
            trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
        self._thread.join()

    def close(self) -> None:
        """Each client closes its transport, but several share this one: the links stay."""

    def _main(self) -> None:
        try:
            trio.run(self._serve)
        except Exception:
            _log.exception("the links to peers failed")
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._host = Host(self._config, _Deaf())
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            await nursery.start(self._host.run)
            self._up.set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError."""
        name, _, path = request.url.raw_path.decode("ascii")[1:].partition("/")
        kind = request.headers.get("content-type", "")
        value = [request.method, f"/{path}", kind, request.read()]
        timeout_s = request.extensions.get("timeout", {}).get("read") or TIMEOUT_S
        try:
            raw = trio.from_thread.run(
                self._ask,
                bytes.fromhex(name),
                frames.frame(frames.API, value),
                timeout_s,
                trio_token=self._token,
            )
            status, kind, body = frames.read_api_answer(raw)
        except PeerUnavailable as error:
            if error.code != "RESPONSE_TOO_LARGE":
                raise httpx.ConnectError(str(error), request=request) from None
            told = {"code": error.code, "message": error.message}
            return httpx.Response(413, json={"error": told}, request=request)
        except PeerFault as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from None
        except (trio.RunFinishedError, trio.Cancelled):
            raise httpx.ConnectError("this side has ended its links", request=request) from None
        headers = {"content-type": kind}
        return httpx.Response(status, headers=headers, content=body, request=request)

    async def _ask(self, peer: bytes, question: bytes, timeout_s: float) -> bytes:
        with trio.move_on_after(timeout_s):
            while True:
                await self._linked(peer)
                try:
                    return await self._host.request(
                        peer,
                        question,
                        bytes_max=frames.ANSWER_BYTES_MAX,
                        timeout_ms=int(timeout_s * 1000),
                    )
                except PeerUnavailable as error:
                    if error.code != "PEER_BUSY":
                        raise
                await trio.sleep(BUSY_S)
        raise PeerUnavailable("REQUEST_TIMEOUT", f"no answer within {timeout_s:g} s")

    async def _linked(self, peer: bytes) -> None:
        """Waits for the first attempt to connect only: the host goes on trying, and meanwhile other
        nodes can be asked. Raises PeerUnavailable."""
        while peer not in self._host.connected():
            (report,) = [one for one in self._host.peer_reports() if one["key"] == peer.hex()]
            if report["last_error"]:
                raise PeerUnavailable("NOT_CONNECTED", report["last_error"])
            await trio.sleep(POLL_S)
