"""The vault's routes. Their answers hold openings in clear, so they differ from all others.

Every request is signed by a key of the node's own organisation (``node.vault.door``), in the header
``hansa-signed: KEY TIME NONCE SIGNATURE`` (hex, but the time in ms), and comes from this machine or
over TLS: answers hold what others on the way must not read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from fastapi import FastAPI, Request
from starlette.responses import Response

from consensus.primitives.codec import data_from_json, data_to_json, encode
from consensus.primitives.errors import CodecError, InputError
from contracts.system.vault import Entry
from node.api.streams import json_bytes
from node.vault import door
from node.vault.door import COMMITMENTS_MAX, PAGE_MAX
from node.vault.store import Held
from node.vault.vault import Shelf

_SIGNED: Final = re.compile(r"([0-9a-f]{64}) ([0-9]{1,15}) ([0-9a-f]{32}) ([0-9a-f]{128})")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SALT: Final = re.compile(r"[0-9a-f]{32}")
_PLACE: Final = re.compile(r"([0-9a-f]{40})?")

Body = Callable[[Request, int], Awaitable[bytes]]
ParseJson = Callable[[bytes], Any]


class VaultService(Protocol):
    """The node's vault, as the API sees it (``node.vault.desk``)."""

    @property
    def organisation(self) -> str: ...

    def admit(self, request: door.Request) -> None: ...

    def entry(self, commitment: bytes) -> Entry | None: ...

    async def shelf(self, after: str, count: int) -> Shelf: ...

    async def get(self, commitment: bytes) -> Held: ...

    async def put(self, openings: list[tuple[bytes, bytes, Any]], author: str) -> int: ...

    async def erase(self, commitments: list[bytes]) -> int: ...

    async def check(self, contract: str, method: str, args: dict[str, Any]) -> tuple[int, Any]: ...


def _bad(reason: str) -> InputError:
    return InputError("BAD_REQUEST", reason)


def _is_local(request: Request) -> bool:
    client = request.client
    if client is None:
        return False
    try:
        return ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        return False


def _json(value: Any) -> Response:
    return Response(json_bytes(value), media_type="application/json")


def _hash(value: Any) -> bytes:
    if type(value) is not str or not _HASH.fullmatch(value):
        raise _bad("a commitment is 64 lower-case hex digits")
    return bytes.fromhex(value)


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "author": entry.author,
        "since_ms": entry.since,
        "organisations": list(entry.organisations),
    }


def _opening(one: Any) -> tuple[bytes, bytes, Any]:
    if type(one) is not dict or set(one) != {"commitment", "salt", "value"}:
        raise _bad("an opening has commitment, salt and value")
    if type(one["salt"]) is not str or not _SALT.fullmatch(one["salt"]):
        raise _bad("a salt is 32 lower-case hex digits")
    return _hash(one["commitment"]), bytes.fromhex(one["salt"]), _data(one["value"])


def _data(value: Any) -> Any:
    try:
        found = data_from_json(value)
        encode(found)
    except RecursionError:
        raise CodecError("TOO_DEEP", "a value nested too deep") from None
    return found


def add_vault_routes(
    app: FastAPI, vault: VaultService, read_body: Body, parse_json: ParseJson
) -> None:
    """The routes under /v1/vault."""

    async def admitted(request: Request) -> bytes:
        """The body of a request that its signature covers. Raises InputError."""
        if request.url.scheme != "https" and not _is_local(request):
            raise InputError(
                "VAULT_NOT_AUTHORISED", "over a network the vault answers by TLS alone"
            )
        found = _SIGNED.fullmatch(request.headers.get(door.HEADER, ""))
        if found is None:
            raise InputError("VAULT_REQUEST", "the vault's requests are signed: see docs/api.md")
        body = await read_body(request, door.BODY_BYTES_MAX)
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["path"] + (f"?{query}" if query else "")
        key, time_ms, nonce, signature = found.groups()
        vault.admit(
            door.Request(
                request.method,
                path,
                body,
                bytes.fromhex(key),
                int(time_ms),
                bytes.fromhex(nonce),
                bytes.fromhex(signature),
            )
        )
        return body

    async def asked(request: Request) -> dict[str, Any]:
        value = parse_json(await admitted(request) or b"{}")
        if type(value) is not dict:
            raise _bad("expected an object")
        return value

    @app.get("/v1/vault")
    async def shelf(request: Request, after: str = "", limit: str = str(PAGE_MAX)) -> Response:
        """What openings are here and missing, without their values; in pages."""
        await admitted(request)
        if not _PLACE.fullmatch(after):
            raise _bad("after is the place that the page before gave")
        if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= PAGE_MAX:
            raise _bad(f"limit is a number from 1 to {PAGE_MAX}")
        found = await vault.shelf(after, int(limit))
        return _json(
            {
                "organisation": vault.organisation,
                "openings": [
                    {
                        "commitment": held.commitment.hex(),
                        "author": held.author,
                        "since_ms": held.since_ms,
                        "shared": _entry(entry),
                    }
                    for held, entry in found.held
                ],
                "missing": [
                    {"commitment": commitment.hex(), "shared": _entry(entry)}
                    for commitment, entry in found.missing
                ],
                "unreadable": found.unreadable,
                "next": found.next,
            }
        )

    @app.get("/v1/vault/openings/{commitment}")
    async def opening(commitment: str, request: Request) -> Response:
        """One opening: salt and value."""
        await admitted(request)
        held = await vault.get(_hash(commitment))
        return _json(
            {
                "commitment": commitment,
                "salt": held.salt.hex(),
                "value": data_to_json(held.value),
                "author": held.author,
                "since_ms": held.since_ms,
                "shared": _entry(vault.entry(held.commitment)),
            }
        )

    @app.post("/v1/vault/openings")
    async def put(request: Request) -> Response:
        """Keep openings, of the own organisation's commitments or of `author`'s."""
        value = await asked(request)
        openings, author = value.get("openings"), value.get("author", "")
        if set(value) - {"openings", "author"} or type(openings) is not list:
            raise _bad('expected {"openings": [...]}')
        if type(author) is not str or len(author) > 64 or not author.isascii():
            raise _bad("author is an organisation's id")
        if not 1 <= len(openings) <= COMMITMENTS_MAX:
            raise _bad(f"1 to {COMMITMENTS_MAX} openings at once")
        return _json({"new": await vault.put([_opening(one) for one in openings], author)})

    @app.post("/v1/vault/erase")
    async def erase(request: Request) -> Response:
        """Destroy openings at this node."""
        value = await asked(request)
        commitments = value.get("commitments")
        if set(value) != {"commitments"} or type(commitments) is not list:
            raise _bad('expected {"commitments": [...]}')
        if not 1 <= len(commitments) <= COMMITMENTS_MAX:
            raise _bad(f"1 to {COMMITMENTS_MAX} commitments at once")
        return _json({"erased": await vault.erase([_hash(one) for one in commitments])})

    @app.post("/v1/vault/check/{contract}/{method}")
    async def check(contract: str, method: str, request: Request) -> Response:
        """Run a contract's check over the newest state and the openings here."""
        args = _data(await asked(request))
        if type(args) is not dict:
            raise _bad("arguments must be an object")
        height, value = await vault.check(contract, method, args)
        return _json({"height": height, "result": data_to_json(value)})
