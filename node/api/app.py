"""The HTTP API: routes, limits, and errors as JSON.

Everything is limited before it is parsed, and the submit path takes the raw request: checking
thousands of transactions by a generic validator would cost more than verifying their signatures.
Every error is ``{"error": {"code", "message"}}``; the text of an unexpected exception stays in
the log.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

import trio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from consensus.primitives.codec import data_from_json, data_to_json, decode, encode
from consensus.primitives.errors import CodecError, HansaError, InputError, LocalFault
from node import log
from node.api.guard import INTERNAL, Guard
from node.api.proofs import add_proof_routes
from node.api.service import CommittedBlock, EventRecord, NodeService, Position, SubmitResult
from node.api.streams import NdjsonStream, StreamLimit, error_body, json_bytes
from node.api.vault import VaultService, add_vault_routes
from node.metrics import CONTENT_TYPE as METRICS_CONTENT_TYPE
from node.proving import Prover

SUBMIT_BYTES_MAX: Final = 2 * 1024 * 1024
SUBMIT_TXS_MAX: Final = 1000
EVIDENCE_PAGE_MAX: Final = 100
QUERY_BYTES_MAX: Final = 256 * 1024
BODY_TIMEOUT_S: Final = 30.0

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"

_STATUS_OF_CODE: Final = {
    "BODY_TOO_LARGE": 413,
    "TOO_MANY_TRANSACTIONS": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "PROOF_TOO_LARGE": 413,
    "STATE_NOT_KEPT": 404,
    "BLOCK_PRUNED": 404,
    "BODY_TIMEOUT": 408,
    "HOST_NOT_ALLOWED": 403,
    "VAULT_NOT_AUTHORISED": 403,
    "VAULT_RATE": 429,
    "OPENING_MISSING": 404,
    "MEMPOOL_FULL": 503,
    "NODE_NOT_READY": 503,
    "TOO_MANY_STREAMS": 503,
}
_CODE_OF_STATUS: Final = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
_HEX_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,18}\Z")

_log = log.get("api")


# --- answers -------------------------------------------------------------------------------------


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_bytes(value), status, headers, JSON)


def _error(status: int, code: str, message: str) -> Response:
    return Response(error_body(code, message), status, None, JSON)


def status_of(error: HansaError) -> int:
    """The HTTP status that fits an expected error."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    if error.code.startswith("UNKNOWN_") or error.code.endswith("_NOT_FOUND"):
        return 404
    return 503 if isinstance(error, LocalFault) else 400


def _submit_json(result: SubmitResult) -> dict[str, Any]:
    return {
        "tx_id": result.tx_id.hex() if result.tx_id else None,
        "status": "accepted" if result.accepted else "refused",
        "code": result.code,
        "message": result.message,
        "retry_after_ms": result.retry_after_ms,
    }


def _position_line(block: CommittedBlock) -> dict[str, Any]:
    return {
        "height": block.height,
        "time_ms": block.time_ms,
        "hash": block.hash.hex(),
        "txs": [[tx_id.hex(), code] for tx_id, code in block.txs],
    }


def _event_line(event: EventRecord) -> dict[str, Any]:
    return {
        "position": ".".join(map(str, event.position)),
        "tx_id": event.tx_id.hex() if event.tx_id is not None else None,
        "contract": event.contract,
        "name": event.name,
        "fields": data_to_json(event.fields),
        "time_ms": event.time_ms,
    }


# --- questions -----------------------------------------------------------------------------------


async def _body(request: Request, bytes_max: int) -> bytes:
    """The request's body. Raises InputError BODY_TOO_LARGE or BODY_TIMEOUT."""
    too_large = InputError("BODY_TOO_LARGE", f"a body of at most {bytes_max} bytes is taken here")
    announced = request.headers.get("content-length", "0")
    if not _NUMBER.match(announced) or int(announced) > bytes_max:
        raise too_large
    body = bytearray()
    with trio.move_on_after(BODY_TIMEOUT_S) as scope:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > bytes_max:
                    raise too_large
    if scope.cancelled_caught:
        raise InputError("BODY_TIMEOUT", f"no whole body within {BODY_TIMEOUT_S:g} seconds")
    return bytes(body)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _require(request: Request, *media_types: str) -> str:
    """The body's type. Being strict also keeps other sites' plain forms out of a browser's way."""
    if (found := _media_type(request)) not in media_types:
        raise InputError(
            "UNSUPPORTED_MEDIA_TYPE", f"send content-type {' or '.join(media_types)}, not {found!r}"
        )
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a key twice")
    return value


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError("BAD_JSON", f"not JSON: {reason}") from None


def _transactions(media_type: str, body: bytes) -> list[bytes]:
    """The byte strings of a submission. Raises HansaError."""
    if media_type == MSGPACK:
        value = decode(body, bytes_max=SUBMIT_BYTES_MAX, items_max=SUBMIT_TXS_MAX + 1)
        if type(value) is not list or any(type(raw) is not bytes for raw in value):
            raise InputError("BAD_REQUEST", "expected an array of byte strings")
        raws = value
    else:
        value = _parse_json(body)
        texts = value.get("transactions") if type(value) is dict and len(value) == 1 else None
        if type(texts) is not list or any(type(text) is not str for text in texts):
            raise InputError("BAD_REQUEST", 'expected {"transactions": ["hex", ...]}')
        try:
            raws = [bytes.fromhex(text) for text in texts]
        except ValueError:
            raise InputError("BAD_REQUEST", "a transaction is not hex") from None
    if len(raws) > SUBMIT_TXS_MAX:
        raise InputError("TOO_MANY_TRANSACTIONS", f"at most {SUBMIT_TXS_MAX} at once")
    if not raws:
        raise InputError("BAD_REQUEST", "no transaction given")
    return raws


def _hash(text: str) -> bytes:
    if not _HEX_HASH.match(text):
        raise InputError("BAD_TX_ID", "a transaction id is 64 lower-case hex digits")
    return bytes.fromhex(text)


def _height(text: str) -> int:
    if not _NUMBER.match(text):
        raise InputError("BAD_HEIGHT", "a height is a whole number")
    return int(text)


def parse_position(text: str) -> Position:
    """(height, transaction, event) of "H", "H.T" or "H.T.I". Raises InputError BAD_POSITION."""
    parts = text.split(".")
    if len(parts) > 3 or not all(_NUMBER.match(part) for part in parts):
        raise InputError("BAD_POSITION", "a position is HEIGHT, HEIGHT.TX or HEIGHT.TX.EVENT")
    numbers = [int(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]


async def _on_expected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HansaError)
    if isinstance(error, LocalFault):
        _log.error("the node failed to answer", code=error.code, reason=error.message)
        return _error(status_of(error), error.code, INTERNAL)
    return _error(status_of(error), error.code, error.message)


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "BAD_REQUEST")
    return _error(error.status_code, code, str(error.detail))


async def _on_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = sorted({".".join(map(str, item["loc"])) for item in error.errors()})
    return _error(400, "BAD_REQUEST", f"missing or wrong: {', '.join(wrong)}")


# --- routes --------------------------------------------------------------------------------------

_SUBMIT_DOC: Final = {
    "requestBody": {
        "required": True,
        "content": {
            MSGPACK: {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "canonical MessagePack array of signed transactions' bytes",
                }
            },
            JSON: {
                "schema": {
                    "type": "object",
                    "required": ["transactions"],
                    "additionalProperties": False,
                    "properties": {
                        "transactions": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": SUBMIT_TXS_MAX,
                            "items": {"type": "string", "pattern": "^([0-9a-f]{2})+$"},
                        }
                    },
                }
            },
        },
    }
}
_QUERY_DOC: Final = {
    "requestBody": {"content": {JSON: {"schema": {"type": "object", "description": "arguments"}}}}
}


def make_app(
    service: NodeService,
    *,
    hosts: Sequence[str] = (),
    token: str | None = None,
    requests_per_s: int = 0,
    vault: VaultService | None = None,
    prover: Prover | None = None,
) -> FastAPI:
    """The API over ``service``. ``hosts``: names beside localhost that clients may call it by;
    ``token``: what clients must show; ``requests_per_s`` from one address, 0 for no limit.

    ``app.state.streams.stopping`` is the event that ends open streams.
    """
    # No /docs: those pages load their scripts from elsewhere. /openapi.json describes the API.
    app = FastAPI(title="Hansa node", version="1", docs_url=None, redoc_url=None)
    app.add_middleware(Guard, hosts=hosts, token=token, requests_per_s=requests_per_s)
    app.add_exception_handler(HansaError, _on_expected)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    limit = app.state.streams = StreamLimit()
    _add_transaction_routes(app, service)
    _add_chain_routes(app, service)
    _add_stream_routes(app, service, limit)
    _add_operator_routes(app, service)
    if prover is not None:
        add_proof_routes(app, prover)
    if vault is not None:
        add_vault_routes(app, vault, _body, _parse_json)
    return app


def _add_transaction_routes(app: FastAPI, service: NodeService) -> None:
    @app.post("/v1/transactions", openapi_extra=_SUBMIT_DOC)
    async def submit(request: Request) -> Response:
        """Hand in 1 to 1000 signed transactions; each gets its own result."""
        media_type = _require(request, MSGPACK, JSON)
        raws = _transactions(media_type, await _body(request, SUBMIT_BYTES_MAX))
        results = await service.submit(raws)
        answer = {"results": [_submit_json(result) for result in results]}
        if all(result.code == "MEMPOOL_FULL" for result in results):
            wait_ms = max(result.retry_after_ms or 0 for result in results)
            headers = {"retry-after": str(max(1, math.ceil(wait_ms / 1000)))}
            return _json(answer, 503, headers)
        return _json(answer)

    @app.get("/v1/transactions/{tx_id}")
    async def transaction(tx_id: str) -> Response:
        """Where a transaction stands, with its receipt once it is committed."""
        found = await service.tx_status(_hash(tx_id))
        return _json(
            {
                "tx_id": tx_id,
                "status": found.status,
                "code": found.code,
                "detail": found.detail,
                "height": found.height,
                "index": found.index,
                "block_hash": found.block_hash.hex() if found.block_hash else None,
                "time_ms": found.time_ms,
                "steps_used": found.steps_used,
                "events": data_to_json(list(found.events)),
                "result": data_to_json(found.result),
            }
        )

    @app.get("/v1/transactions/{tx_id}/bytes")
    async def transaction_bytes(tx_id: str) -> Response:
        """The signed bytes of a waiting or committed transaction."""
        raw = await service.transaction_bytes(_hash(tx_id))
        if raw is None:
            raise InputError("TX_NOT_FOUND", "this node doesn't have the transaction")
        return Response(raw, media_type="application/octet-stream")


def _add_chain_routes(app: FastAPI, service: NodeService) -> None:
    @app.post("/v1/query/{contract}/{method}", openapi_extra=_QUERY_DOC)
    async def query(
        contract: str, method: str, request: Request, height: str | None = None
    ) -> Response:
        """Ask a contract; an answer comes from this node's newest committed state, or from that
        after the block at `height`, where this node keeps it."""
        _require(request, JSON)
        value = _parse_json(await _body(request, QUERY_BYTES_MAX) or b"{}")
        try:
            args = data_from_json(value)
            encode(args)
        except RecursionError:
            raise CodecError("TOO_DEEP", "arguments nested too deep") from None
        if type(args) is not dict:
            raise InputError("BAD_REQUEST", "arguments must be an object")
        at = None if height is None else _height(height)
        result = await service.query(contract, method, args, at)
        return _json({"height": result.height, "result": data_to_json(result.value)})

    @app.get("/v1/blocks/{height}")
    async def block(height: str) -> Response:
        """A committed block by its height, or the `latest`."""
        found = await service.block(None if height == "latest" else _height(height))
        if found is None:
            raise InputError("BLOCK_NOT_FOUND", "this node has no such block")
        return _json(found)

    @app.get("/v1/blocks/{height}/bytes")
    async def block_bytes(height: str) -> Response:
        """A committed block with its certificate, in canonical bytes."""
        raw = await service.block_bytes(_height(height))
        if raw is None:
            raise InputError("BLOCK_NOT_FOUND", "this node has no such block")
        return Response(raw, media_type="application/octet-stream")

    @app.get("/v1/blocks/{height}/receipts")
    async def block_receipts(height: str) -> Response:
        """A committed block's receipts, in canonical bytes: what its receipt root is made of."""
        raw = await service.block_receipts(_height(height))
        if raw is None:
            raise InputError("BLOCK_NOT_FOUND", "this node has no such block")
        return Response(raw, media_type="application/octet-stream")

    @app.get("/v1/evidence")
    async def evidence(after: str | None = None, limit: str = str(EVIDENCE_PAGE_MAX)) -> Response:
        """Conflicting votes of validators, in blocks and waiting for one, in pages."""
        if after is not None and not _HEX_HASH.match(after):
            raise InputError("BAD_REQUEST", "after is a digest of 64 lower-case hex digits")
        if not _NUMBER.match(limit) or not 1 <= int(limit) <= EVIDENCE_PAGE_MAX:
            raise InputError("BAD_REQUEST", f"limit is a number from 1 to {EVIDENCE_PAGE_MAX}")
        return _json(service.evidence(bytes.fromhex(after) if after else None, int(limit)))

    @app.get("/v1/contracts")
    async def contracts() -> Response:
        """The contracts with their methods and arguments."""
        return _json(service.contracts())

    @app.get("/v1/genesis")
    async def genesis() -> Response:
        """The genesis document that this chain began with."""
        return _json(service.genesis())


def _add_stream_routes(app: FastAPI, service: NodeService, limit: StreamLimit) -> None:
    @app.get("/v1/positions")
    async def positions(since: str | None = None) -> Response:
        """Committed blocks from height `since` on (else the next) as NDJSON; stays open."""
        height = None if since is None else _height(since)
        return NdjsonStream(service.positions(height), _position_line, limit)

    @app.get("/v1/events")
    async def events(
        since: str | None = None, contract: str | None = None, name: str | None = None
    ) -> Response:
        """Events at position `since` or later (else new ones) as NDJSON; stays open."""
        position = None if since is None else parse_position(since)
        return NdjsonStream(service.events(position, contract, name), _event_line, limit)


def _add_operator_routes(app: FastAPI, service: NodeService) -> None:
    @app.get("/v1/status")
    async def status() -> Response:
        """Heights, peers, mempool and versions."""
        return _json(service.status())

    @app.get("/v1/doctor")
    async def doctor() -> Response:
        """Why this node or the network does not advance, in words; and what that is judged by."""
        return _json(service.doctor())

    @app.get("/v1/debug/recording")
    async def recording() -> Response:
        """What this node's agreement was told lately, as a file for `hansa debug replay`."""
        return Response(service.recording(), media_type="application/octet-stream")

    @app.get("/health/live")
    async def live() -> Response:
        """200 while the process answers."""
        return _json({"status": "live"})

    @app.get("/health/ready")
    async def ready() -> Response:
        """200 when the node is in touch with the network and follows it, else 503."""
        is_ready, reason = service.readiness()
        answer = {"status": "ready" if is_ready else "not ready", "reason": reason}
        return _json(answer, 200 if is_ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(service.metrics_text(), media_type=METRICS_CONTENT_TYPE)
