"""The routes that answer with proofs (docs/proofs.md). Nobody has to believe such an answer.

``header``, ``certificate``, ``proof`` and their like are the canonical bytes of the declared types,
in hex; what stands beside them in clear is for people and proves nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import FastAPI, Query
from starlette.responses import Response

from consensus.primitives.errors import InputError
from consensus.primitives.tree import KEY_BYTES_MAX
from node.api.streams import json_bytes
from node.proving import (
    ICS23_KEYS_MAX,
    KEYS_MAX,
    RANGE_KEYS_MAX,
    Attested,
    LeafAnswer,
    Prover,
)

_KEY: Final = re.compile(rf"([0-9a-f]{{2}}){{1,{KEY_BYTES_MAX + 1}}}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_TX_ID: Final = re.compile(r"[0-9a-f]{64}")


def _json(value: Any) -> Response:
    return Response(json_bytes(value), media_type="application/json")


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InputError("BAD_HEIGHT", "heights and indexes are whole numbers")
    return int(text)


def _height(text: str | None) -> int | None:
    return None if text is None or text == "latest" else _number(text)


def _key(text: str) -> bytes:
    if not _KEY.fullmatch(text):
        raise InputError("BAD_REQUEST", f"a key is 1 to {KEY_BYTES_MAX} bytes in lower-case hex")
    return bytes.fromhex(text)


def _keys(texts: list[str], keys_max: int) -> list[bytes]:
    if len(texts) > keys_max:
        raise InputError("BAD_REQUEST", f"at most {keys_max} keys at once")
    return [_key(text) for text in dict.fromkeys(texts)]


def _attested(at: Attested) -> dict[str, Any]:
    certificate = at.certificate
    return {
        "height": at.header.height,
        "header": at.header.raw.hex(),
        "certificate": None if certificate is None else certificate.raw.hex(),
    }


def _leaf(answer: LeafAnswer, name: str) -> dict[str, Any]:
    told = _attested(answer.at) | {name: answer.leaf.raw.hex()}
    if answer.receipt is not None:
        told["receipt"] = answer.receipt.raw.hex()
    return told


def _values(values: list[tuple[bytes, bytes | None]]) -> list[list[str | None]]:
    return [[key.hex(), None if value is None else value.hex()] for key, value in values]


def add_proof_routes(app: FastAPI, prover: Prover) -> None:
    """``/v1/proofs/...``, all of them plain reads."""
    _add_state_routes(app, prover)
    _add_block_routes(app, prover)


def _add_state_routes(app: FastAPI, prover: Prover) -> None:
    @app.get("/v1/proofs/state")
    async def state(
        key: list[str] = Query(default=[]),
        start: str | None = None,
        stop: str | None = None,
        limit: str = str(RANGE_KEYS_MAX),
        height: str | None = None,
    ) -> Response:
        """Any keys, present or absent, and all keys from `start` up to `stop`, in one proof."""
        keys = _keys(key, KEYS_MAX)
        if (start is None) != (stop is None) or not (keys or start):
            raise InputError("BAD_REQUEST", "give key, once or often, or start and stop, or both")
        span = None
        if start is not None and stop is not None:
            span = _key(start), _key(stop)
            if span[0] >= span[1]:
                raise InputError("BAD_REQUEST", "start comes before stop")
        most = _number(limit)
        if not 1 <= most <= RANGE_KEYS_MAX:
            raise InputError("BAD_REQUEST", f"limit is a number from 1 to {RANGE_KEYS_MAX}")
        answer = await prover.state(keys, span, most, _height(height))
        told = _attested(answer.at) | {"values": _values(answer.values)}
        told["next"] = None if answer.next is None else answer.next.hex()
        return _json(told | {"proof": answer.proof.raw.hex()})

    @app.get("/v1/proofs/ics23")
    async def ics23(key: list[str] = Query(default=[]), height: str | None = None) -> Response:
        """Keys, present or absent, as an ICS-23 CommitmentProof of the state root."""
        keys = _keys(key, ICS23_KEYS_MAX)
        if not keys:
            raise InputError("BAD_REQUEST", "give key, once or often")
        answer = await prover.ics23(keys, _height(height))
        return _json(
            _attested(answer.at)
            | {
                "state_root": answer.at.header.state_root.hex(),
                "values": _values(answer.values),
                "proof": answer.proof.hex(),
            }
        )

    @app.get("/v1/proofs/heights")
    async def heights() -> Response:
        """The heights whose states this node still proves: these, and all from `kept_from` on,
        where it keeps earlier states."""
        return _json({"heights": prover.heights(), "kept_from": prover.kept_from})


def _add_block_routes(app: FastAPI, prover: Prover) -> None:
    @app.get("/v1/proofs/headers/{height}")
    async def header(height: str) -> Response:
        """A header by its height, or the `latest`, its certificate, and the validator sets that it
        names."""
        answer = prover.header(_height(height))
        sets = {
            "validators": answer.validators.raw.hex(),
            "next_validators": answer.next_validators.raw.hex(),
        }
        return _json(_attested(answer.at) | sets)

    @app.get("/v1/proofs/transactions/{tx_id}")
    async def transaction(tx_id: str) -> Response:
        """A committed transaction and its receipt."""
        if not _TX_ID.fullmatch(tx_id):
            raise InputError("BAD_TX_ID", "a transaction id is 64 lower-case hex digits")
        return _json(_leaf(await prover.transaction(bytes.fromhex(tx_id)), "transaction"))

    @app.get("/v1/proofs/receipts/{height}/{index}")
    async def receipt(height: str, index: str) -> Response:
        """A receipt by its place in a block; those of what ran by itself come last."""
        answer = await prover.receipt(_number(height), _number(index))
        return _json(_leaf(answer, "receipt"))

    @app.get("/v1/proofs/events/{position}")
    async def event(position: str) -> Response:
        """An event by its position, `HEIGHT.TRANSACTION.EVENT`."""
        parts = position.split(".")
        if len(parts) != 3:
            raise InputError("BAD_POSITION", "a position is HEIGHT.TX.EVENT")
        height, index, number = map(_number, parts)
        return _json(_leaf(await prover.event(height, index, number), "event"))

    @app.get("/v1/proofs/history")
    async def history(old: str, new: str | None = None) -> Response:
        """That the header at `old` stands in the history of the one at `new` (else the newest), and
        that this history only grew in between."""
        answer = prover.history(_number(old), _height(new))
        consistency = answer.consistency
        return _json(
            _attested(answer.new)
            | {
                "old": answer.old.raw.hex(),
                "inclusion": answer.inclusion.raw.hex(),
                "consistency": None if consistency is None else consistency.raw.hex(),
            }
        )
