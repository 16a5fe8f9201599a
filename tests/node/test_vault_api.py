"""The vault's routes, over the real application: who is let in, what goes in and comes out."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from consensus.primitives.codec import data_to_json
from consensus.primitives.crypto import public_key
from contracts.sdk.commitments import commit
from node.api.app import make_app
from node.vault.door import AHEAD_MS, BODY_BYTES_MAX, COMMITMENTS_MAX, HEADER, NONCE_BYTES, Request
from tests.node.vaults import IDS, Vaults
from tests.sim.world import seed_of

SALT = bytes(16)


@pytest.fixture
def world(tmp_path: Path) -> Vaults:
    return Vaults(tmp_path)


class Asker:
    """Asks the bank's node, with a key of ``who``."""

    def __init__(
        self,
        world: Vaults,
        who: str = "bank",
        address: str = "127.0.0.1",
        url: str = "http://127.0.0.1",
    ) -> None:
        self.world, self.seed = world, seed_of(who)
        bank = world["bank"]
        self.node, self.chain_id = bank.key, world.one.document.chain_id
        app = make_app(None, vault=bank.desk)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app, client=(address, 1))
        self.http = httpx.AsyncClient(transport=transport, base_url=url)
        # A node that has just started takes no request of before.
        self.now_ms = time.time_ns() // 1_000_000 + AHEAD_MS

    def request(self, method: str, path: str, value: Any = None) -> tuple[Request, bytes]:
        body = b"" if value is None else json.dumps(value).encode()
        nonce = secrets.token_bytes(NONCE_BYTES)
        made = Request(method, path, body, public_key(self.seed), self.now_ms, nonce)
        return made.signed(self.seed, self.chain_id, self.node), body

    async def send(self, signed: Request, body: bytes) -> httpx.Response:
        parts = signed.key.hex(), signed.time_ms, signed.nonce.hex(), signed.signature.hex()
        headers = {HEADER: "{} {} {} {}".format(*parts)}
        return await self.http.request(signed.method, signed.path, content=body, headers=headers)

    async def ask(self, method: str, path: str, value: Any = None) -> httpx.Response:
        return await self.send(*self.request(method, path, value))

    async def code(self, method: str, path: str, value: Any = None) -> str:
        answer = await self.ask(method, path, value)
        assert answer.status_code >= 400, answer.text
        return str(answer.json()["error"]["code"])


def row(value: Any, salt: bytes = SALT) -> dict[str, Any]:
    shown = data_to_json(value)
    return {"commitment": commit(salt, value).hex(), "salt": salt.hex(), "value": shown}


async def test_what_is_put_is_listed_shown_and_erased(world: Vaults) -> None:
    asker = Asker(world)
    value = {"price": 12, "seal": b"\x01"}
    commitment = row(value)["commitment"]
    given = {"openings": [row(value)]}
    for new in (1, 0):
        assert (await asker.ask("POST", "/v1/vault/openings", given)).json() == {"new": new}
    await world.share("bank", bytes.fromhex(commitment), "rival")
    found = (await asker.ask("GET", "/v1/vault")).json()
    (one,) = found["openings"]
    assert (one["commitment"], one["author"]) == (commitment, IDS["bank"])
    assert one["shared"]["organisations"] == [IDS["bank"], IDS["rival"]]
    assert "value" not in one
    shown = (await asker.ask("GET", f"/v1/vault/openings/{commitment}")).json()
    assert (shown["value"], shown["salt"]) == ({"price": 12, "seal": {"hex": "01"}}, SALT.hex())
    erase = {"commitments": [commitment, bytes(32).hex()]}
    assert (await asker.ask("POST", "/v1/vault/erase", erase)).json() == {"erased": 1}
    assert await asker.code("GET", f"/v1/vault/openings/{commitment}") == "OPENING_MISSING"


async def test_pages_hold_everything_once(world: Vaults) -> None:
    asker = Asker(world)
    rows = [row(number, number.to_bytes(16, "big")) for number in range(25)]
    await asker.ask("POST", "/v1/vault/openings", {"openings": rows})
    found, after, pages = [], "", 0
    while pages == 0 or after:
        page = (await asker.ask("GET", f"/v1/vault?after={after}&limit=10")).json()
        found += [one["commitment"] for one in page["openings"]]
        after = page["next"]
        pages += 1
    assert pages == 3
    assert sorted(found) == sorted(one["commitment"] for one in rows)


async def test_only_the_own_organisation_s_keys_are_let_in(world: Vaults) -> None:
    for who in ("rival", "nobody at all"):
        assert await Asker(world, who).code("GET", "/v1/vault") == "VAULT_NOT_AUTHORISED"


async def test_only_this_machine_is_let_in_or_who_comes_by_tls(world: Vaults) -> None:
    assert await Asker(world, address="192.0.2.7").code("GET", "/v1/vault") == (
        "VAULT_NOT_AUTHORISED"
    )
    assert (await Asker(world, address="::1").ask("GET", "/v1/vault")).status_code == 200
    secure = Asker(world, address="192.0.2.7", url="https://127.0.0.1")
    assert (await secure.ask("GET", "/v1/vault")).status_code == 200


async def test_what_is_signed_is_what_is_done(world: Vaults) -> None:
    asker = Asker(world)
    signed, body = asker.request("POST", "/v1/vault/erase", {"commitments": [bytes(32).hex()]})
    other = body.replace(b"0", b"1")
    answer = await asker.send(signed, other)
    assert answer.json()["error"]["code"] == "VAULT_NOT_AUTHORISED"
    assert (await asker.send(signed, body)).status_code == 200
    assert (await asker.send(signed, body)).json()["error"]["code"] == "VAULT_REQUEST_REPEATED"
    unsigned = await asker.http.get("/v1/vault")
    assert unsigned.json()["error"]["code"] == "VAULT_REQUEST"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/v1/vault/openings", {}),
        ("/v1/vault/openings", {"openings": []}),
        ("/v1/vault/openings", {"openings": [{}]}),
        ("/v1/vault/openings", {"openings": [row(1) | {"salt": "00"}]}),
        ("/v1/vault/openings", {"openings": [row(1) | {"commitment": 1}]}),
        ("/v1/vault/openings", {"openings": [row(1)], "author": 5}),
        ("/v1/vault/openings", {"openings": [row(1)], "more": 5}),
        ("/v1/vault/openings", {"openings": [row(1)] * (COMMITMENTS_MAX + 1)}),
        ("/v1/vault/erase", {"commitments": []}),
        ("/v1/vault/erase", {"commitments": ["xx"]}),
        ("/v1/vault/erase", {"commitments": "00"}),
        ("/v1/vault/erase", []),
        ("/v1/vault/check/claims/adds_up", []),
    ],
)
async def test_what_is_not_of_the_form_is_refused(world: Vaults, path: str, value: Any) -> None:
    assert await Asker(world).code("POST", path, value) == "BAD_REQUEST"


async def test_limits_hold(world: Vaults) -> None:
    asker = Asker(world)
    for path in ("/v1/vault?limit=0", "/v1/vault?limit=201", "/v1/vault?after=../../x"):
        assert await asker.code("GET", path) == "BAD_REQUEST"
    large = {"openings": [row("x" * 70_000)]}
    assert await asker.code("POST", "/v1/vault/openings", large) == "OPENING_TOO_LARGE"
    wrong = {"openings": [row(1) | {"value": 2}]}
    assert await asker.code("POST", "/v1/vault/openings", wrong) == "OPENING_WRONG"
    assert len(world["bank"].store) == 0
    huge = {"openings": [row(1) | {"value": "x" * BODY_BYTES_MAX}]}
    assert await asker.code("POST", "/v1/vault/openings", huge) == "BODY_TOO_LARGE"


async def test_a_check_runs_over_the_vault_and_no_call_or_query_does(world: Vaults) -> None:
    asker = Asker(world)
    path = "/v1/vault/check/claims/"
    told = {"owner": IDS["buyer"], "bank": IDS["bank"]}
    answer = (await asker.ask("POST", path + "balance", told)).json()
    assert set(answer["result"]) == {"code", "findings"}
    assert await asker.code("POST", path + "pay", {"notes": [1], "payee": IDS["rival"]}) == (
        "UNKNOWN_METHOD"
    )
    assert await asker.code("POST", path + "nothing", {}) == "UNKNOWN_METHOD"
