"""`hansa trace --forward`, `--back` and `--proof`: whole, in bounded answers, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio

from cli import trace, trace_proof
from cli.client import ClientError
from cli.lineage import Lineage, lineage
from consensus.primitives.errors import InputError
from consensus.receipt import Receipt
from consensus.transaction import Call
from contracts.sdk.testkit import Testkit
from node.api.service import QueryResult
from tests.cli.support import Hansa
from tests.cli.test_proof import ChainNode
from tests.cli.test_proof import sealed as sealed_document
from tests.contracts.recalls import GTIN, LOT, initiate, ship, small_world, some
from tests.node.api_world import running_node
from tests.node.support import OneChain
from tests.sim.world import GLN

PARTS = 50


class Answer(NamedTuple):
    value: Any


class KitClient:
    """Asks a test kit as a client would ask a node."""

    def __init__(self, kit: Testkit) -> None:
        self.kit = kit
        self.questions = 0

    def query(self, contract: str, method: str, args: dict[str, Any]) -> Answer:
        self.questions += 1
        return Answer(self.kit.query(contract, method, **args))


def path(lot: str) -> str:
    return f"01/{GTIN}/10/{lot}"


def split(kit: Testkit, item: str, amount: int, *lots: str) -> None:
    parts = [{"lot": lot, "amount": amount} for lot in lots]
    kit.as_("maker").call("batch", "split", item=item, parts=parts)


def ask(kit: Testkit, item: str, *, back: bool = False) -> Lineage:
    return lineage(KitClient(kit), item, back=back)  # type: ignore[arg-type]


def names(found: Lineage) -> set[tuple[str, str]]:
    return {(found.items[made_of][21:], found.items[made][21:]) for made_of, made in found.links}


@pytest.fixture
def kit() -> Testkit:
    kit = small_world()
    kit.as_("maker").call("batch", "commission", items=[some(path("W"), 10_000_000)])
    return kit


def test_a_diamond_is_told_once(kit: Testkit) -> None:
    split(kit, path("W"), 10, "a", "b")
    maker = kit.as_("maker")
    maker.call("batch", "merge", items=[some(path("a"), 5), some(path("b"), 5)], lot="c")
    split(kit, path("c"), 1, "d")
    forward = ask(kit, path("W"))
    assert names(forward) == {("W", "a"), ("W", "b"), ("a", "c"), ("b", "c"), ("c", "d")}
    assert dict(zip(forward.items, forward.steps(back=False), strict=True)) == {
        path("W"): 0, path("a"): 1, path("b"): 1, path("c"): 2, path("d"): 3,
    }  # fmt: skip
    back = ask(kit, path("d"), back=True)
    assert names(back) == names(forward)
    assert back.steps(back=True)[back.items.index(path("W"))] == 3


def test_more_than_one_answer_holds_is_asked_for(kit: Testkit) -> None:
    """7,000 children of one lot, and a chain that begins with the last of them."""
    for number in range(7_000 // PARTS):
        split(kit, path("W"), 100, *(f"{number}-{part}" for part in range(PARTS)))
    at = "139-49"
    for number in range(50):
        split(kit, path(at), 50 - number, f"chain{number}")
        at = f"chain{number}"
    client = KitClient(kit)
    found = lineage(client, path("W"), back=False)  # type: ignore[arg-type]
    assert client.questions > 2
    assert len(found.items) == len(set(found.items)) == 7_051
    assert len(found.links) == 7_050
    steps = found.steps(back=False)
    assert steps[found.items.index(path("chain49"))] == 51
    whole = ask(kit, path("chain49"), back=True)
    assert [item[21:] for item in whole.items] == [
        *(f"chain{number}" for number in reversed(range(50))), "139-49", "W",
    ]  # fmt: skip


def test_the_serials_of_a_great_lot_are_told_in_parts(kit: Testkit) -> None:
    """25,000: more than one answer's steps are enough for; each is told once, and what became
    of the last of them too."""
    count = 25_000
    for at in range(0, count, 400):
        numbers = range(at, min(at + 400, count))
        items = [{"item": f"01/{GTIN}/21/S{number}"} for number in numbers]
        kit.as_("maker").call("batch", "commission", items=items, lot="GREAT")
    client = KitClient(kit)
    found = lineage(client, path("GREAT"), back=False)  # type: ignore[arg-type]
    assert len(found.items) == len(set(found.items)) == count + 1
    assert sorted(found.links) == [(0, number) for number in range(1, count + 1)]
    assert client.questions < 5 + 2 * count / 1_000


def test_a_thing_alone_and_a_thing_unknown(kit: Testkit) -> None:
    assert ask(kit, LOT if kit.query("batch", "item", item=LOT) else path("W")).links == []
    with pytest.raises(ClientError) as refused:
        ask(kit, path("nobody"))
    assert refused.value.code == "UNKNOWN_ITEM"


# --- proofs ------------------------------------------------------------------------------------


class Sealed(NamedTuple):
    """A block of a test kit, as far as proofs look at it."""

    height: int
    receipts: tuple[Receipt, ...]
    tx_ids: tuple[bytes, ...]

    def tx_id(self, index: int) -> bytes | None:
        return self.tx_ids[index] if index < len(self.tx_ids) else None


def sealed(kit: Testkit) -> dict[int, Any]:
    return {
        block.context.height: Sealed(
            block.context.height, block.receipts, tuple(tx.tx_id for tx in block.transactions)
        )
        for block in kit.blocks
    }


FORGED: dict[str, Any] = {
    "event": "Released", "item": path("B1"), "organisation": "5412345000013", "key": bytes(32),
    "event_id": "urn:x", "event_time": 0, "place": "5412345000013", "tx_id": bytes(32),
    "time": 1, "tx_index": 1, "call_index": 7, "detail": {},
}  # fmt: skip


def test_every_word_of_a_trace_is_what_the_chain_has(kit: Testkit) -> None:
    ship(kit, LOT, 60, "maker", "wholesaler")
    initiate(kit)  # holds are entered by timed calls, too
    kit.advance()
    blocks = sealed(kit)
    entries = kit.query("batch", "trace", item=LOT)["events"]
    assert {"Commissioned", "Shipped", "Received", "Recalled"} <= {one["event"] for one in entries}
    assert FORGED.keys() == entries[0].keys() - {"height"}
    for entry in entries:
        block = blocks[entry["height"]]
        assert 0 <= trace_proof._receipt_of(block, entry) < len(block.receipts)
        for name, value in FORGED.items():
            with pytest.raises(InputError, match="NOT_PROVEN"):
                trace_proof._receipt_of(block, entry | {name: value})
        for wrong in (entry | {"more": 1}, {name: entry[name] for name in list(entry)[1:]}):
            with pytest.raises(InputError, match="NOT_PROVEN"):
                trace_proof._receipt_of(block, wrong)


# --- the command against a chain that is served -------------------------------------------------

LOT_PATH = "01/09521321000018/10/T1"
PART = "01/09521321000018/10/T1-1"


class TracedNode(ChainNode):
    """A node with a real chain. It may lie in what it answers without a proof."""

    forged_receipts = False

    async def block_bytes(self, height: int) -> bytes | None:
        found = self.one.chain.blocks.sealed(height)
        return None if found is None else found.raw

    async def block_receipts(self, height: int) -> bytes | None:
        raw = self.one.chain.blocks.receipts_raw(height - 1 if self.forged_receipts else height)
        return raw

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        raise AssertionError("the node is asked for its word")


@pytest.fixture(scope="module")
def node() -> TracedNode:
    """A lot that was made, of which a part was split off and set apart."""
    one = OneChain()
    lot = {"item": LOT_PATH, "quantity": {"amount": 10, "unit": "EA"}}
    part = {"item": PART, "quantity": {"amount": 3, "unit": "EA"}}
    calls = (
        Call("batch", "commission", {"items": [lot]}),
        Call("batch", "split", {"item": LOT_PATH, "parts": [{"lot": "T1-1", "amount": 4}]}),
        Call("batch", "quarantine", {"items": [part]}),
    )

    async def build() -> None:
        for call in calls:
            await one.block([one.transaction(calls=(call,))])

    trio.run(build)
    return TracedNode(one)


@pytest.fixture
def hansa(
    capsys: pytest.CaptureFixture[str], node: TracedNode, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hansa]:
    with running_node(node) as running:
        monkeypatch.setenv("HANSA_NODE", running.url)
        yield Hansa(capsys)


def test_a_proven_trace_is_whole_and_takes_nothing_on_the_node_s_word(
    hansa: Hansa, node: TracedNode
) -> None:
    chain_id = node.one.document.chain_id.hex()
    told = hansa.json("trace", LOT_PATH, "--proof", "--chain-id", chain_id)
    assert [one["event"] for one in told["events"]] == [
        "Commissioned", "Split", "SplitOff", "Quarantined",
    ]  # fmt: skip
    assert told["complete"] and told["names"] == {GLN: "Maker"}
    assert [one["height"] for one in told["proofs"]] == [1, 2, 3]
    text = hansa("trace", LOT_PATH, "--proof", "--chain-id", chain_id)
    assert "4 events proven, all that there are by the state of block 3" in text.out
    assert "3 blocks, each sealed by 3 validators or more" in text.out
    assert text.out.endswith(f"Chain {chain_id}\n")
    unpinned = hansa("trace", LOT_PATH, "--proof")
    assert "by the node's own genesis document: give --chain-id to pin it" in unpinned.out
    rows = unpinned.out.splitlines()
    assert rows[2].split()[:6] == ["event", "item", "amount", "who", "to", "when"]
    assert rows[4].split()[:5] == ["Commissioned", LOT_PATH, "10", "EA", "Maker"]
    assert rows[7].split()[:5] == ["Quarantined", PART, "3", "EA", "Maker"]


def test_another_chain_s_node_proves_nothing(
    hansa: Hansa, node: TracedNode, tmp_path: Path
) -> None:
    other = hansa("trace", LOT_PATH, "--proof", "--chain-id", "ab" * 32)
    assert (other.code, other.error) == (4, "WRONG_CHAIN")
    file = tmp_path / "genesis.json"
    file.write_bytes(sealed_document(OneChain(validators=7).document).file_bytes)
    assert hansa("trace", LOT_PATH, "--proof", "--genesis", file).error == "NOT_PROVEN"
    file.write_bytes(sealed_document(node.one.document).file_bytes)
    assert hansa("trace", LOT_PATH, "--proof", "--genesis", file).code == 0
    assert hansa("trace", LOT_PATH, "--chain-id", "ab" * 32).code == 2  # of what is not proven


def test_receipts_of_another_block_prove_nothing(
    hansa: Hansa, node: TracedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "forged_receipts", True)
    assert hansa("trace", LOT_PATH, "--proof").error == "NOT_PROVEN"


def test_an_item_that_is_proven_to_be_unknown(hansa: Hansa) -> None:
    assert hansa("trace", f"{LOT_PATH}9", "--proof").error == "UNKNOWN_ITEM"


def test_a_trace_says_how_much_went_to_whom(kit: Testkit) -> None:
    ship(kit, LOT, 60, "maker", "wholesaler")
    events = kit.query("batch", "trace", item=LOT)["events"]
    maker, wholesaler = kit.id("maker"), kit.id("wholesaler")
    assert trace.parties(events) == {maker, wholesaler}
    names = {maker: "Maker", wholesaler: "Wholesaler"}
    rows = trace.events_table(events, names, full=True).splitlines()
    (shipped,) = [row for row in rows if row.startswith("Shipped")]
    assert shipped.split()[:6] == ["Shipped", LOT, "60", "EA", "Maker", "Wholesaler"]
    assert shipped.split()[-1] == events[-2]["tx_id"].hex()
