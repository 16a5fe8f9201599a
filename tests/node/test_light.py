"""A light node under full nodes that withhold, forge, fork and go back in time; no sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from cli.client import Client
from cli.light.following import LightClient, Source, pinned_root
from cli.light.service import LightService, Marked
from cli.light.store import FILE, LightStore
from consensus import light
from consensus.block import Header, SealedBlock
from consensus.light import Trusted
from consensus.primitives.errors import HansaError, LocalFault
from consensus.transaction import Transaction
from contracts.runtime.executor import run_query
from node.api.app import make_app
from node.clock import InlineBlocking
from node.proving import Prover
from tests.node.api_world import MemoryNode
from tests.node.support import OneChain

Lie = Callable[[str, Any], Any]


class FullNode(MemoryNode):
    """Serves a real chain: proofs, blocks, receipts; takes transactions into its next block."""

    def __init__(self, one: OneChain) -> None:
        super().__init__()
        self.one = one
        self.commit_on_submit = False
        self.app = make_app(self, prover=Prover(one.chain, InlineBlocking()))

    def genesis(self) -> dict[str, Any]:
        return self.one.document.to_json()

    async def block_bytes(self, height: int) -> bytes | None:
        block = self.one.chain.blocks.block(height)
        assert block is not None
        return SealedBlock(block, self.one.chain.blocks.certificate(height)).raw

    async def block_receipts(self, height: int) -> bytes | None:
        return self.one.chain.blocks.receipts_raw(height)

    def grow(self, *counts: int) -> list[Transaction]:
        txs: list[Transaction] = []
        for count in counts:
            made = [self.one.transaction() for _ in range(count)]
            trio.run(self.one.block, made)
            txs += made
        return txs


class Door(Client):
    """Asks a node in this process. ``lie`` changes what comes back; ``down`` leaves it silent."""

    def __init__(self, node: FullNode, url: str = "http://127.0.0.1:1") -> None:
        super().__init__(url)
        self.node = node
        self.lie: Lie = lambda path, answer: answer
        self.down = False

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        if self.down:
            raise self._unreachable(["down"])

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.node.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                return await http.request(method, path, **options)

        response = trio.run(ask)
        if not response.is_success:
            raise self._failure(response)
        kind = response.headers.get("content-type", "")
        value = response.json() if "json" in kind else response.content
        changed = self.lie(path, value)
        content = json.dumps(changed).encode() if "json" in kind else changed
        return httpx.Response(200, content=content)


class World:
    def __init__(self, folder: Path, nodes: int = 2) -> None:
        self.folder = folder
        self.node = FullNode(OneChain())
        self.txs = self.node.grow(2, 0, 3)
        self.document = self.node.one.document
        self.doors = [Door(self.node, f"http://127.0.0.1:{n + 1}") for n in range(nodes)]
        self.late_ms = 1_000
        self.opened: list[LightStore] = []
        self.store(self.root())

    def root(self) -> Trusted:
        one = self.document
        return Trusted.genesis(
            one.chain_id, one.params.fault_model, one.time_ms, one.validator_set()
        )

    def store(self, root: Trusted | None = None) -> LightStore:
        for one in self.opened:
            one.close()
        self.opened = [LightStore(self.folder, root)]
        return self.opened[0]

    def now_ms(self) -> int:
        return self.node.one.chain.header.time_ms + self.late_ms

    def light(self, policy: light.Policy = light.Policy()) -> LightClient:  # noqa: B008
        sources = [Source(f"n{n}", door) for n, door in enumerate(self.doors)]
        return LightClient(self.store(), self.document, sources, self.now_ms, policy)

    def fork(self, *counts: int) -> Door:
        """A node of the same chain whose blocks are others: as if validators had sealed twice."""
        return Door(forked(counts), "http://127.0.0.1:9")


def forked(counts: tuple[int, ...]) -> FullNode:
    node = FullNode(OneChain())
    node.grow(*counts)
    return node


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for one in made.opened:
        one.close()
    for door in made.doors:
        door.close()


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(HansaError) as caught:
        call()
    return caught.value.code


def flipped(name: str) -> Lie:
    def lie(path: str, answer: Any) -> Any:
        if isinstance(answer, dict) and answer.get(name):
            raw = bytearray.fromhex(answer[name])
            raw[len(raw) // 2] ^= 1
            return answer | {name: raw.hex()}
        return answer

    return lie


# --- the truth -----------------------------------------------------------------------------------


def test_it_follows_and_answers_as_the_chain_would(world: World) -> None:
    one = world.light()
    assert one.update() and one.newest.header == world.node.one.chain.header
    assert [source.says for source in one.sources] == ["leads", "agrees"]
    chain = world.node.one.chain
    expected = run_query(
        chain.registry, chain.state, chain.block_context(), "governance", "params_now", {}
    )
    assert one.query("governance", "params_now", {}) == (3, expected)
    at, tx, receipt = one.transaction(world.txs[0].tx_id)
    assert (at.header.height, tx.tx_id, receipt.code) == (1, world.txs[0].tx_id, "OK")
    assert one.recorded(3).tx_ids == [tx.tx_id for tx in world.txs[2:]]
    assert code_of(lambda: one.recorded(9)) == "BLOCK_NOT_FOUND"
    assert code_of(lambda: one.transaction(bytes(32))) == "TX_NOT_FOUND"


def test_a_block_that_is_newer_than_what_was_followed_is_followed_first(world: World) -> None:
    one = world.light()
    one.update()
    (tx,) = world.node.grow(1)
    assert one.transaction(tx.tx_id)[0].header.height == 4 == one.newest.height


def test_what_was_trusted_outlives_a_restart(world: World) -> None:
    world.light().update()
    again = world.light()
    assert again.newest.height == 3
    for door in world.doors:
        door.down = True
    assert code_of(lambda: again.query("governance", "params_now", {})) == "NODE_UNREACHABLE"


def test_a_pinned_root(world: World, tmp_path: Path) -> None:
    header = world.node.one.chain.blocks.header(2)
    assert header is not None
    door, document = world.doors[0], world.document

    def pin(digest: bytes, now_ms: int) -> Trusted:
        return pinned_root(door, document, 2, digest, now_ms)

    assert code_of(lambda: pin(bytes(32), world.now_ms())) == "NOT_PROVEN"
    late = header.time_ms + light.TRUST_PERIOD_MS
    assert code_of(lambda: pin(header.digest, late)) == "TRUST_EXPIRED"
    folder = tmp_path / "pinned"
    folder.mkdir()
    world.folder = folder
    world.store(pin(header.digest, world.now_ms()))
    one = world.light()
    one.update()
    assert one.newest.height == 3
    older = one.ask(lambda reader: reader.header(1))  # by its place in the history alone
    assert older.header == world.node.one.chain.blocks.header(1) and older.sealed_by == []


# --- liars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["header", "certificate", "next_validators"])
def test_forged_headers_move_nothing(world: World, name: str) -> None:
    for door in world.doors:
        door.lie = flipped(name)
    one = world.light()
    assert not one.update() and one.newest.height == 0
    assert any("NOT_PROVEN" in source.says for source in one.sources)
    world.doors[1].lie = lambda path, answer: answer
    assert one.update() and one.newest.height == 3


@pytest.mark.parametrize("name", ["proof", "header", "certificate"])
def test_forged_answers_are_asked_of_another_node(world: World, name: str) -> None:
    one = world.light()
    one.update()
    world.doors[0].lie = flipped(name)
    assert one.query("governance", "params_now", {})[0] == 3
    world.doors[1].lie = flipped(name)
    assert code_of(lambda: one.query("governance", "params_now", {})) == "NOT_PROVEN"


def test_a_wrong_receipt(world: World) -> None:
    one = world.light()
    one.update()
    for door in world.doors:
        door.lie = flipped("receipt")
    assert code_of(lambda: one.transaction(world.txs[0].tx_id)) == "NOT_PROVEN"

    def receipts_of_another(path: str, answer: Any) -> Any:
        return world.node.one.chain.blocks.receipts_raw(1) if "receipts" in path else answer

    for door in world.doors:
        door.lie = receipts_of_another
    assert code_of(lambda: one.recorded(3)) == "NOT_PROVEN"


def test_what_is_withheld_comes_from_another_node(world: World) -> None:
    one = world.light()
    old = world.doors[0].proof("headers/latest")
    world.node.grow(1)
    world.doors[0].lie = lambda path, answer: old if path.endswith("latest") else answer
    assert one.update() and one.newest.height == 4
    assert one.sources[1].says == "leads" and one.sources[0].says == "agrees up to block 3"


def test_all_of_it_withheld_goes_stale(world: World) -> None:
    one = world.light()
    one.update()
    interval = world.document.params.empty_block_interval_ms
    world.late_ms = 2 * interval
    assert one.mark() == "" and not one.is_stale()
    world.late_ms += 1
    assert one.mark() == "STALE" and LightService(one).readiness() == (False, "STALE")
    assert not one.update()


def test_a_header_from_the_future_is_refused(world: World) -> None:
    world.late_ms = -light.DRIFT_MS - 1
    one = world.light()
    assert not one.update() and one.newest.height == 0
    world.late_ms += 1
    assert one.update()


def test_after_the_trust_period_nothing_is_believed(world: World) -> None:
    """Validators who left may have sold their keys: a history of theirs looks like any other."""
    one = world.light()
    one.update()
    world.late_ms = light.TRUST_PERIOD_MS
    world.doors = [world.fork(1, 1, 1, 1, 1)]
    late = world.light()
    assert code_of(late.update) == "TRUST_EXPIRED" and late.mark() == "EXPIRED"
    assert code_of(lambda: late.query("governance", "params_now", {})) == "TRUST_EXPIRED"
    assert late.newest == one.newest


def test_another_history_is_not_followed(world: World) -> None:
    one = world.light()
    one.update()
    world.doors = [world.fork(1, 1, 1, 1, 1)]
    late = world.light()
    assert not late.update() and late.newest == one.newest
    assert "NOT_PROVEN" in late.sources[0].says


# --- forks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(2, 0, 1), (1, 1, 1), (2, 1, 1, 1)])
def test_a_fork_is_proven_kept_and_ends_all_answers(world: World, counts: tuple[int, ...]) -> None:
    world.doors[1] = world.fork(*counts)
    one = world.light()
    assert code_of(one.update) == "FORK_FOUND"
    ((_, fork),) = one.forks
    validators = world.document.validator_set()
    both = fork.check(world.document.chain_id, validators, 3)
    assert len(both) >= 2, "they sealed two blocks of one height"
    for which in (one, world.light()):  # and after a restart
        assert code_of(partial(which.query, "governance", "params_now", {})) == "FORK_FOUND"
        assert which.mark() == "FORK" and LightService(which).status()["forks"]


def test_a_witness_that_only_claims_a_fork_stops_nobody(world: World) -> None:
    def other(path: str, answer: Any) -> Any:
        if "headers/" not in path:
            return answer
        header = Header.decode(bytes.fromhex(answer["header"]))
        return answer | {"header": replace(header, state_root=bytes(32)).raw.hex()}

    world.doors[1].lie = other
    one = world.light()
    assert one.update() and not one.forks
    assert "no quorum sealed it" in one.sources[1].says
    assert one.query("governance", "params_now", {})[0] == 3


# --- submitting and the API ----------------------------------------------------------------------


def test_a_transaction_is_handed_on_until_its_receipt_is_proven(world: World) -> None:
    one = world.light()
    tx = world.node.one.transaction()

    def commit(_seconds: float) -> None:
        assert world.node.waiting[tx.tx_id] == tx.raw
        trio.run(world.node.one.block, [tx])

    at, found, receipt = one.submit_and_wait(tx.raw, sleep=commit)
    assert (at.header.height, found.tx_id, receipt.code) == (4, tx.tx_id, "OK")
    lost = world.node.one.transaction()
    waiting = one.submit_and_wait
    assert code_of(lambda: waiting(lost.raw, timeout_s=0, sleep=lambda _: None)) == "TIMED_OUT"


def test_the_same_api(world: World) -> None:
    one = world.light()
    service = LightService(one)
    app = make_app(service)
    app.add_middleware(Marked, light=one)

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            assert (await http.get("/health/ready")).status_code == 503
            await service._run(one.update)
            assert (await http.get("/health/ready")).status_code == 200
            answer = await http.post(
                "/v1/query/governance/params_now", json={}, headers={"host": "localhost"}
            )
            assert answer.status_code == 200 and answer.json()["height"] == 3
            assert "x-hansa-mark" not in answer.headers
            block = (await http.get("/v1/blocks/latest")).json()
            assert len(block["txs"]) == 3 and len(block["sealed_by"]) == 3
            raw = (await http.get("/v1/blocks/3/receipts")).content
            assert raw == world.node.one.chain.blocks.receipts_raw(3)
            found = (await http.get(f"/v1/transactions/{world.txs[0].tx_id.hex()}")).json()
            assert (found["status"], found["height"]) == ("committed", 1)
            for path in ("/v1/doctor", "/v1/evidence", "/v1/debug/recording"):
                refused = (await http.get(path)).json()["error"]["code"]
                assert refused == "LIGHT_NOT_SERVED"
            world.late_ms = 10**6
            stale = await http.get("/v1/status")
            assert stale.headers["x-hansa-mark"] == "STALE" == stale.json()["mark"]

    trio.run(ask)


# --- the store -----------------------------------------------------------------------------------


def test_one_process_at_a_time_and_no_damage_passes(world: World) -> None:
    world.light().update()
    assert code_of(lambda: LightStore(world.folder)) == "FOLDER_LOCKED"
    assert code_of(lambda: LightStore(world.folder, world.root())) == "FILE_EXISTS"
    world.opened[0].close()
    path = world.folder / FILE
    raw = path.read_bytes()
    at = raw.index(world.document.chain_id)
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    with pytest.raises(LocalFault) as caught:
        world.light()
    assert caught.value.code == "STORE_CORRUPT"


def test_it_grows_with_changes_of_the_set_and_not_with_blocks(world: World) -> None:
    header = world.node.one.chain.header
    store = world.store()
    root = world.root()
    for height in range(1, 201):
        one = Trusted(
            root.chain_id,
            root.fault_model,
            height,
            header.time_ms + height,
            replace(header, height=height),
            root.next_validators,
        )
        store.keep([one] if height % 4 == 0 else [], one)
    assert len(store.chain()) == 51
    assert (world.folder / FILE).stat().st_size < 200_000
