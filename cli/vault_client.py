"""The vault of the own organisation's node: requests signed with one of its keys."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli import output
from cli.answers import BadAnswer, ClientError, RequestFailed
from cli.arguments import Opening
from consensus.primitives.codec import data_from_json, data_to_json
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from node.vault.door import AHEAD_MS, BODY_BYTES_MAX, COMMITMENTS_MAX, HEADER, NONCE_BYTES, Request

if TYPE_CHECKING:
    from cli.client import Client

BATCH_BYTES: Final = BODY_BYTES_MAX // 2
"""What the openings of one request grow to; the longest one more still fits."""


class VaultClient:
    """What the vault of ``client``'s node holds, for whoever has a key of its organisation.

    Every method may raise RequestFailed with the vault's codes; VAULT_NOT_AUTHORISED where the node
    is another organisation's.
    """

    def __init__(self, client: Client, seed: bytes) -> None:
        status = client.node_status()
        try:
            self._node = bytes.fromhex(status["network_key"])
            self._chain_id = bytes.fromhex(status["chain_id"])
        except (KeyError, TypeError, ValueError):
            raise BadAnswer("BAD_ANSWER", "the node does not tell its key: an older one") from None
        self._client = client
        self._seed = seed

    def _ask(self, method: str, path: str, value: Any = None) -> dict[str, Any]:
        try:
            return self._ask_once(method, path, value)
        except RequestFailed as error:
            if error.code != "VAULT_REQUEST_STALE":
                raise
        # A node that has just started takes no request that it may have taken before.
        time.sleep(AHEAD_MS / 1000 + 0.1)
        return self._ask_once(method, path, value)

    def _ask_once(self, method: str, path: str, value: Any) -> dict[str, Any]:
        body = b"" if value is None else _text(value)
        request = Request(
            method,
            path,
            body,
            public_key(self._seed),
            time.time_ns() // 1_000_000,
            secrets.token_bytes(NONCE_BYTES),
        ).signed(self._seed, self._chain_id, self._node)
        hexed = [one.hex() for one in (request.key, request.nonce, request.signature)]
        signed = f"{hexed[0]} {request.time_ms} {hexed[1]} {hexed[2]}"
        return self._client.exchange(method, path, body, {HEADER: signed})

    def pages(self) -> Iterator[dict[str, Any]]:
        """What is there and missing, as the API pages it."""
        after = ""
        while True:
            page = self._ask("GET", f"/v1/vault?after={after}")
            yield page
            after = page["next"]
            if not after:
                return

    def get(self, commitment: bytes) -> dict[str, Any]:
        """One opening, as the API's JSON. Raises RequestFailed OPENING_MISSING."""
        return self._ask("GET", f"/v1/vault/openings/{commitment.hex()}")

    def put(self, openings: Sequence[Opening], author: str = "") -> int:
        """Keep openings of commitments that ``author`` made, the own organisation where it is
        empty; how many are new."""
        new = 0
        for rows in _batches(openings):
            given = {"openings": rows} | ({"author": author} if author else {})
            new += self._ask("POST", "/v1/vault/openings", given)["new"]
        return new

    def erase(self, commitments: Sequence[bytes]) -> int:
        """Destroy openings at the node; how many there were."""
        value = {"commitments": [one.hex() for one in commitments]}
        erased: int = self._ask("POST", "/v1/vault/erase", value)["erased"]
        return erased

    def check(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """What a check says over the vault's openings. Raises RequestFailed OPENING_MISSING."""
        answer = self._ask("POST", f"/v1/vault/check/{contract}/{method}", data_to_json(args))
        return data_from_json(answer["result"])


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _batches(openings: Sequence[Opening]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for one in openings:
        if size > BATCH_BYTES or len(batch) == COMMITMENTS_MAX:
            yield batch
            batch, size = [], 0
        row = {
            "commitment": one.commitment.hex(),
            "salt": one.salt.hex(),
            "value": data_to_json(one.value),
        }
        batch.append(row)
        size += len(_text(row))
    if batch:
        yield batch


def hand_over(client: Client, seed: bytes, openings: Sequence[Opening], file: Path) -> None:
    """Put openings, which ``file`` keeps, into the vault of the node, so that the others who are
    entitled get them. What keeps it from that is told and stops nothing: the file can be put later.
    """
    if not openings:
        return
    try:
        VaultClient(client, seed).put(openings)
    except (ClientError, InputError) as error:
        reason = f"{error.code}: {error.message}"
        output.say(f"not handed to the node's vault ({reason}): hansa vault put {file}")
