"""The proof routes: what they take, what they refuse, and that answers carry what proves them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives.keys import prefix_range
from consensus.proofs import ListProof, SealedHeader, StateProof, check_earlier
from consensus.rules import TURNS_KEY, VALIDATORS_KEY
from consensus.validators import ValidatorSet
from node.api.app import make_app
from node.clock import InlineBlocking, ThreadBlocking
from node.proving import ICS23_KEYS_MAX, KEYS_MAX, Prover
from tests.node.api_world import MemoryNode
from tests.node.support import OneChain

START, STOP = prefix_range("identity", "keys")


class Asked:
    """A chain of three blocks behind the routes."""

    def __init__(self, one: OneChain, http: httpx.AsyncClient) -> None:
        self.one = one
        self._http = http

    async def get(self, path: str) -> Any:
        response = await self._http.get(f"/v1/proofs/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    async def error(self, path: str) -> tuple[int, str]:
        response = await self._http.get(f"/v1/proofs/{path}")
        return response.status_code, response.json()["error"]["code"]


@asynccontextmanager
async def asked(blocking: Any = None) -> AsyncIterator[Asked]:
    one = OneChain()
    prover = Prover(one.chain, blocking or InlineBlocking())
    for count in (2, 0, 3):
        await one.block([one.transaction() for _ in range(count)])
    app = make_app(MemoryNode(), prover=prover)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield Asked(one, http)


def judged(answer: Any, one: OneChain) -> Header:
    """The answer's header, checked as a third party would."""
    sealed = SealedHeader(
        Header.decode(bytes.fromhex(answer["header"])),
        Certificate.decode(bytes.fromhex(answer["certificate"])),
    )
    validators = one.document.validator_set()
    return sealed.check(one.document.chain_id, validators, 3)


async def test_keys_and_a_range_in_one_proof() -> None:
    async with asked() as node:
        keys = f"key={VALIDATORS_KEY.hex()}&key={TURNS_KEY.hex()}&key=00ff"
        answer = await node.get(f"state?{keys}&start={START.hex()}&stop={STOP.hex()}")
        header = judged(answer, node.one)
        assert answer["height"] == header.height == 3 and answer["next"] is None
        shown = StateProof.decode(bytes.fromhex(answer["proof"])).check(header.state_root)
        state = node.one.chain.state
        assert shown.get(VALIDATORS_KEY) == state.get(VALIDATORS_KEY)
        assert shown.get(b"\x00\xff") is None
        assert list(shown.scan(START, STOP)) == list(state.scan(START, STOP))
        told = dict(answer["values"])
        assert told["00ff"] is None and bytes.fromhex(told[TURNS_KEY.hex()]) == state.get(TURNS_KEY)


async def test_a_range_stops_at_its_limit_and_says_where_it_goes_on() -> None:
    async with asked() as node:
        answer = await node.get(f"state?start={START.hex()}&stop={STOP.hex()}&limit=2")
        following = bytes.fromhex(answer["next"])
        shown = StateProof.decode(bytes.fromhex(answer["proof"]))
        pairs = list(shown.check(judged(answer, node.one).state_root).scan(START, following))
        assert pairs == list(node.one.chain.state.scan(START, STOP))[:2]


async def test_each_kept_height_answers_for_itself() -> None:
    async with asked() as node:
        assert (await node.get("heights"))["heights"] == [0, 1, 2, 3]
        roots = set()
        for height in (1, 2, 3):
            answer = await node.get(f"state?key={VALIDATORS_KEY.hex()}&height={height}")
            header = judged(answer, node.one)
            assert header.height == height
            roots.add(header.state_root)
            StateProof.decode(bytes.fromhex(answer["proof"])).check(header.state_root)
        assert len(roots) > 1
        assert (await node.get("state?key=00&height=0"))["certificate"] is None
        assert await node.error("state?key=00&height=4") == (404, "STATE_NOT_KEPT")


async def test_ics23_of_one_key_and_of_several() -> None:
    async with asked() as node:
        single = await node.get(f"ics23?key={VALIDATORS_KEY.hex()}")
        batch = await node.get(f"ics23?key={VALIDATORS_KEY.hex()}&key=00ff")
        for answer in (single, batch):
            header = judged(answer, node.one)
            assert answer["state_root"] == header.state_root.hex()
        assert bytes.fromhex(single["proof"])[0] == 0x0A  # exist
        assert bytes.fromhex(batch["proof"])[0] == 0x22  # compressed


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("state", 400, "BAD_REQUEST"),
        ("state?key=XY", 400, "BAD_REQUEST"),
        ("state?key=", 400, "BAD_REQUEST"),
        ("state?key=" + "00" * 98, 400, "BAD_REQUEST"),
        ("state?start=00", 400, "BAD_REQUEST"),
        ("state?start=02&stop=01", 400, "BAD_REQUEST"),
        ("state?start=01&stop=02&limit=0", 400, "BAD_REQUEST"),
        ("state?start=01&stop=02&limit=1001", 400, "BAD_REQUEST"),
        ("state?key=00&height=x", 400, "BAD_HEIGHT"),
        ("ics23", 400, "BAD_REQUEST"),
        ("headers/99", 404, "BLOCK_NOT_FOUND"),
        ("headers/-1", 400, "BAD_HEIGHT"),
        ("transactions/" + "00" * 32, 404, "TX_NOT_FOUND"),
        ("transactions/00", 400, "BAD_TX_ID"),
        ("receipts/3/99", 404, "BLOCK_NOT_FOUND"),
        ("receipts/99/0", 404, "BLOCK_NOT_FOUND"),
        ("events/3.0.99", 404, "BLOCK_NOT_FOUND"),
        ("events/9.0.0", 404, "BLOCK_NOT_FOUND"),
        ("events/3.0", 400, "BAD_POSITION"),
        ("history?old=3&new=3", 400, "BAD_HEIGHT"),
        ("history?old=1&new=99", 404, "BLOCK_NOT_FOUND"),
        ("history", 400, "BAD_REQUEST"),
    ],
)
async def test_what_is_refused(path: str, status: int, code: str) -> None:
    async with asked() as node:
        assert await node.error(path) == (status, code)


async def test_no_more_keys_than_the_limit() -> None:
    async with asked() as node:
        many = [f"key={number:04x}" for number in range(KEYS_MAX + 1)]
        assert await node.error("state?" + "&".join(many)) == (400, "BAD_REQUEST")
        assert await node.error("ics23?" + "&".join(many[: ICS23_KEYS_MAX + 1])) == (
            400,
            "BAD_REQUEST",
        )
        answer = await node.get("state?" + "&".join(many[:-1]))
        assert len(answer["values"]) == KEYS_MAX


async def test_headers_with_the_sets_they_name() -> None:
    async with asked() as node:
        for path in ("headers/2", "headers/latest"):
            answer = await node.get(path)
            header = judged(answer, node.one)
            for name in ("validators", "next_validators"):
                found = ValidatorSet.decode(bytes.fromhex(answer[name]))
                assert found.digest == getattr(header, f"{name}_hash")


async def test_history_from_block_0_on() -> None:
    async with asked() as node:
        for old in range(3):
            answer = await node.get(f"history?old={old}")
            older = Header.decode(bytes.fromhex(answer["old"]))
            proof = ListProof.decode(bytes.fromhex(answer["inclusion"]))
            check_earlier(judged(answer, node.one), older, proof)
            assert (answer["consistency"] is None) == (old == 0)


async def test_a_state_that_is_let_go_meanwhile_is_proven_to_its_end() -> None:
    """A proof in a thread holds its snapshot, whatever the chain does in between."""

    class Slow(ThreadBlocking):
        async def run(self, call: Any) -> Any:
            started.set()
            await released.wait()
            return await super().run(call)

    started, released = trio.Event(), trio.Event()
    async with asked(Slow()) as node, trio.open_nursery() as nursery:

        async def ask() -> None:
            answer = await node.get(f"state?start={START.hex()}&stop={STOP.hex()}&height=2")
            root = judged(answer, node.one).state_root
            StateProof.decode(bytes.fromhex(answer["proof"])).check(root)

        nursery.start_soon(ask)
        await started.wait()
        node.one.chain.states.close()
        released.set()
