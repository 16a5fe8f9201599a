"""`hansa proof` against a node with a real chain, and against one that lies in every place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from cli.client import Client
from cli.verifying import Reader
from consensus.primitives.codec import Wire
from consensus.primitives.crypto import TAG_GENESIS, sign
from consensus.primitives.errors import InputError
from consensus.primitives.keys import encode_key, prefix_range
from consensus.proofs import StateProof
from consensus.rules import VALIDATORS_KEY
from genesis.document import GenesisDocument
from node.clock import InlineBlocking
from node.proving import Prover
from tests.cli.support import Hansa
from tests.node.api_world import MemoryNode, Running, running_node
from tests.node.support import OneChain
from tests.sim.world import EPOCH_MS, seed_of

BLOCKS = 8
USERS = 3


class ChainNode(MemoryNode):
    """A MemoryNode in front of a chain whose proofs it serves."""

    def __init__(self, one: OneChain) -> None:
        super().__init__()
        self.one = one
        self.prover = Prover(one.chain, InlineBlocking())

    def genesis(self) -> dict[str, Any]:
        return sealed(self.one.document).to_json()


def sealed(document: GenesisDocument) -> GenesisDocument:
    """With every validator's seal, as a node's own has them."""
    for one in document.validators:
        seed = seed_of(f"{one.name} consensus")
        document = document.with_seal(one.name, sign(seed, TAG_GENESIS, document.chain_id))
    return document


class World:
    """A chain of some blocks that is served; ``tx_ids`` by block."""

    def __init__(self) -> None:
        self.one = OneChain()
        self.node = ChainNode(self.one)
        self.tx_ids: dict[int, list[bytes]] = {}
        trio.run(self._build)

    async def _build(self) -> None:
        for height in range(1, BLOCKS + 1):
            txs = [self.one.transaction() for _ in range(USERS if height % 2 else 0)]
            await self.one.block(txs)
            self.tx_ids[height] = [tx.tx_id for tx in txs]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Running]:
    with running_node(world.node) as running:
        yield running


@pytest.fixture
def hansa(capsys: pytest.CaptureFixture[str], served: Running, monkeypatch: Any) -> Hansa:
    monkeypatch.setenv("HANSA_NODE", served.url)
    return Hansa(capsys)


# --- the command ---------------------------------------------------------------------------------


def test_a_value_is_shown_with_what_proves_it(hansa: Hansa, world: World) -> None:
    told = hansa.json("proof", "state", "governance", "validators", "1")
    (found,) = told["values"]
    assert found["name"] == "governance.validators[1]"
    assert found["value"][1] == "v1"
    assert told["height"] == BLOCKS and len(told["sealed_by"]) == 3
    text = hansa("proof", "state", "governance", "validators", "1")
    assert text.code == 0 and "Proven by block 8" in text.out and "give --chain-id" in text.out
    pinned = hansa(
        "proof", "state", "governance", "validators", "1",
        "--chain-id", world.one.document.chain_id.hex(),
    )  # fmt: skip
    assert "give --chain-id" not in pinned.out


def test_an_absence_is_proven(hansa: Hansa) -> None:
    assert hansa.json("proof", "state", "governance", "validators", "77")["values"] == []
    text = hansa("proof", "state", "batch", "lots", "01/09520123456788/10/NONE")
    assert "proven absent" in text.out


def test_a_whole_map(hansa: Hansa, world: World) -> None:
    told = hansa.json("proof", "state", "identity", "keys", "--all")
    stored = list(world.one.chain.state.scan(*prefix_range("identity", "keys")))
    assert [one["key"] for one in told["values"]] == [key.hex() for key, _ in stored]
    assert told["complete"] and len(stored) > USERS * BLOCKS // 2
    assert (
        f"These are all: {len(stored)}" in hansa("proof", "state", "identity", "keys", "--all").out
    )


def test_an_older_state_while_it_is_kept(hansa: Hansa) -> None:
    newest = len(hansa.json("proof", "state", "identity", "keys", "--all")["values"])
    older = hansa.json("proof", "state", "identity", "keys", "--all", "--height", "3")
    assert older["height"] == 3 and len(older["values"]) < newest
    gone = hansa("proof", "state", "identity", "keys", "--all", "--height", "99")
    assert (gone.code, gone.error) == (1, "STATE_NOT_KEPT")


def test_a_transaction_with_its_receipt(hansa: Hansa, world: World) -> None:
    for tx_id in world.tx_ids[3]:
        told = hansa.json("proof", "transaction", tx_id.hex())
        assert (told["height"], told["code"]) == (3, "OK")
        assert told["calls"] == ["identity.add_key"]
    assert hansa("proof", "transaction", "00" * 32).error == "TX_NOT_FOUND"
    assert hansa("proof", "transaction", "xx").error == "BAD_TX_ID"


def test_an_event(hansa: Hansa, world: World) -> None:
    receipts = world.one.chain.blocks.receipts(5)
    assert receipts is not None
    told = hansa.json("proof", "event", "5.1.0")
    expected = receipts[1].events[0]
    assert told["event"] == f"{expected.contract}.{expected.name}"
    assert hansa("proof", "event", "5.1.99").error == "BLOCK_NOT_FOUND"
    assert hansa("proof", "event", "5").error == "BAD_POSITION"


def test_history_and_headers(hansa: Hansa, world: World) -> None:
    for old in (0, 1, 4, 7):
        told = hansa.json("proof", "history", old)
        block = world.one.chain.blocks.block(old)
        assert block is not None and told["old_hash"] == block.hash.hex()
        assert told["height"] == BLOCKS
    assert hansa.json("proof", "history", 2, 3)["height"] == 3
    assert hansa("proof", "history", 3, 3).error == "BAD_HEIGHT"
    assert hansa.json("proof", "header")["height"] == BLOCKS
    assert hansa.json("proof", "header", 2)["header"]["height"] == 2


def test_the_chain_must_be_the_users(hansa: Hansa, world: World, tmp_path: Path) -> None:
    wrong = hansa("proof", "header", "--chain-id", "ab" * 32)
    assert wrong.error == "WRONG_CHAIN"
    other = OneChain(validators=5).document
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(sealed(other).to_json()))
    assert hansa("proof", "header", "--genesis", path).error == "NOT_PROVEN"
    path.write_text(json.dumps(world.node.genesis()))
    assert hansa("proof", "header", "--genesis", path).code == 0


def test_keys_that_no_map_has(hansa: Hansa) -> None:
    assert hansa("proof", "state", "governance", "validators", "x").error == "BAD_KEY"
    assert hansa("proof", "state", "governance", "validators", "1", "2").error == "BAD_KEY"
    assert (
        hansa.json("proof", "state", "own", "things", "int:1", "hex:00", "hash:t")["values"] == []
    )


# --- a node that lies ----------------------------------------------------------------------------


class LyingClient(Client):
    """Passes answers on, changed by ``lie``."""

    def __init__(self, url: str, lie: Any) -> None:
        super().__init__(url)
        self._lie = lie

    def proof(self, path: str) -> dict[str, Any]:
        answer = super().proof(path)
        self._lie(path, answer)
        return answer


_clients: list[Client] = []


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


def asking(client: Client) -> Client:
    """A client that is closed when the test is over."""
    _clients.append(client)
    return client


def reader(world: World, served: Running, lie: Any) -> Reader:
    client = asking(LyingClient(served.url, lie))
    return Reader(client, world.one.document, EPOCH_MS + 60_000)


KEY = encode_key("governance", "params", ("tx_window_ms",))


def ask_everything(one: Reader, world: World) -> None:
    """Every kind of question, each of which must fail."""
    start, stop = prefix_range("identity", "keys")
    questions = [
        lambda: one.state([KEY, VALIDATORS_KEY])[1].get(KEY),
        lambda: list(one.range(start, stop)[1]),
        lambda: one.transaction(world.tx_ids[3][1]),
        lambda: one.event((3, 1, 0)),
        lambda: one.history(2),
        lambda: one.header(5),
    ]
    for question in questions:
        with pytest.raises(InputError) as caught:
            question()
        assert caught.value.code == "NOT_PROVEN"


def test_the_truth_passes(world: World, served: Running) -> None:
    one = reader(world, served, lambda path, answer: None)
    assert one.state([KEY])[1].get(KEY) == world.one.chain.state.get(KEY)
    start, stop = prefix_range("identity", "keys")
    assert list(one.range(start, stop)[1]) == list(world.one.chain.state.scan(start, stop))
    assert one.transaction(world.tx_ids[3][1])[1].tx_id == world.tx_ids[3][1]
    assert one.event((3, 1, 0))[0].header.height == 3
    assert one.history(2)[1].height == 2
    assert one.header(5).header.height == 5


def altered(name: str) -> Any:
    def lie(path: str, answer: dict[str, Any]) -> None:
        if answer.get(name):
            raw = bytearray.fromhex(answer[name])
            raw[len(raw) // 2] ^= 1
            answer[name] = raw.hex()

    return lie


@pytest.mark.parametrize("name", ["header", "certificate"])
def test_forged_headers_and_certificates(world: World, served: Running, name: str) -> None:
    ask_everything(reader(world, served, altered(name)), world)


@pytest.mark.parametrize("missing", ["header", "certificate"])
def test_withheld_parts(world: World, served: Running, missing: str) -> None:
    ask_everything(
        reader(world, served, lambda path, answer: answer.update({missing: None})), world
    )


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("proof", lambda one, world: one.state([KEY])),
        ("transaction", lambda one, world: one.transaction(world.tx_ids[3][0])),
        ("receipt", lambda one, world: one.transaction(world.tx_ids[3][0])),
        ("event", lambda one, world: one.event((3, 0, 0))),
        ("inclusion", lambda one, world: one.history(2)),
        ("consistency", lambda one, world: one.history(2)),
        ("old", lambda one, world: one.history(2)),
    ],
)
def test_an_altered_proof(world: World, served: Running, name: str, question: Any) -> None:
    with pytest.raises(InputError) as caught:
        question(reader(world, served, altered(name)), world)
    assert caught.value.code == "NOT_PROVEN"


def test_an_answer_about_something_else(world: World, served: Running) -> None:
    """True proofs, of another height, transaction, event or key than was asked for."""
    honest = asking(Client(served.url))
    swaps = {
        "headers/5": "headers/6",
        "events/3.1.0": "events/3.2.0",
        f"transactions/{world.tx_ids[3][0].hex()}": f"transactions/{world.tx_ids[5][0].hex()}",
        "history?old=2&new=latest": "history?old=3",
    }

    def lie(path: str, answer: dict[str, Any]) -> None:
        if path in swaps:
            answer.update(honest.proof(swaps[path]))

    one = reader(world, served, lie)
    for question in (
        lambda: one.header(5),
        lambda: one.event((3, 1, 0)),
        lambda: one.transaction(world.tx_ids[3][0]),
        lambda: one.history(2),
    ):
        with pytest.raises(InputError) as caught:
            question()
        assert caught.value.code == "NOT_PROVEN"


def test_a_proof_for_another_key_is_no_absence(world: World, served: Running, hansa: Hansa) -> None:
    other = asking(Client(served.url)).proof(f"state?key={VALIDATORS_KEY.hex()}")
    one = reader(world, served, lambda path, answer: answer.update(other))
    with pytest.raises(InputError, match="does not cover"):
        one.state([KEY])[1].get(KEY)
    start, stop = prefix_range("identity", "keys")
    with pytest.raises(InputError, match="not cover"):
        list(one.range(start, stop)[1])


def test_a_key_left_out_of_a_range(world: World, served: Running) -> None:
    def lie(path: str, answer: dict[str, Any]) -> None:
        if path.startswith("state?start"):
            proof = StateProof.decode(bytes.fromhex(answer["proof"]))
            at = next(n for n, part in enumerate(proof.parts) if getattr(part, "value", None))
            parts = list(proof.parts)
            parts[at] = parts[at].hash  # type: ignore[union-attr]
            forged: Wire = replace(proof, parts=tuple(parts))
            answer["proof"] = forged.raw.hex()

    one = reader(world, served, lie)
    with pytest.raises(InputError, match="not cover"):
        list(one.range(*prefix_range("identity", "keys"))[1])


def test_a_range_in_pages(world: World, served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.proving.RANGE_BYTES_MAX", 200)
    start, stop = prefix_range("identity", "keys")
    pages = []
    one = reader(world, served, lambda path, answer: pages.append(answer.get("next")))
    _, pairs = one.range(start, stop)
    assert list(pairs) == list(world.one.chain.state.scan(start, stop))
    assert len(pages) > 3
    ends = reader(world, served, lambda path, answer: answer.update({"next": None}))
    with pytest.raises(InputError, match="not cover"):
        list(ends.range(start, stop)[1])
    turns = reader(world, served, lambda path, answer: answer.update({"next": start.hex()}))
    with pytest.raises(InputError, match="does not go on"):
        list(turns.range(start, stop)[1])


def changed_world() -> World:
    """Seven validators, of whom two leave, one after the other."""
    world = World.__new__(World)
    world.one = OneChain(validators=7)
    world.node = ChainNode(world.one)
    world.tx_ids = {}

    async def build() -> None:
        for name in ("v6", "v5"):
            for _ in range(3):
                await world.one.commit([])
            await world.one.decide("validator_remove", name=name)
        for _ in range(3):
            await world.one.commit([])

    trio.run(build)
    return world


def test_validators_are_followed_through_changes() -> None:
    """Sets that votes put in later are believed by the headers that name them."""
    world = changed_world()
    sets = {world.one.chain.blocks.header(h).validators_hash for h in range(world.one.chain.height)}  # type: ignore[union-attr]
    assert len(sets) == 3
    with running_node(world.node) as served:
        asked: list[str] = []
        one = reader(world, served, lambda path, answer: asked.append(path))
        at, shown = one.state([KEY])
        assert shown.get(KEY) is not None and at.header.height == world.one.chain.height
        first = len(asked)
        for height in range(1, world.one.chain.height):
            assert one.header(height).header.height == height
        assert len(asked) == first + world.one.chain.height - 1, "changes are looked up once"

        def swap(path: str, answer: dict[str, Any]) -> None:
            if "next_validators" in answer:
                answer["next_validators"] = world.one.document.validator_set().raw.hex()

        with pytest.raises(InputError) as caught:
            reader(world, served, swap).state([KEY])
        assert caught.value.code == "NOT_PROVEN"
