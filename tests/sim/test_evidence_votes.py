"""Conflicting votes: from a liar's mouth into a block on every node, out of the API, and checked by
`hansa evidence votes`. Nobody is framed with votes that don't conflict."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from consensus.block import SealedBlock
from consensus.evidence import Evidence
from consensus.messages import UNSIGNED, Commit, Prepare, RoundChange, contradiction
from consensus.primitives.crypto import sha256, sign
from contracts.system.voting import FAULTS
from node import frames
from node.evidence import evidence_in_blocks
from node.service import LocalService
from p2p.ports import Channel
from tests.cli.support import Hansa
from tests.node.api_world import MemoryNode, running_node
from tests.sim.liars import make_liar
from tests.sim.lies import LIES
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.test_liars import CALM, PARAMS, under_load
from tests.sim.world import World, consensus_key, run_world, seed_of

HONEST = ["v0", "v2", "v3"]
LIAR = "v1"
KINDS = {
    1: "equivocating proposer, openly",
    2: "double prepare",
    3: "double commit",
    4: "double round change",
    5: "round change hides a commit",
}


class ToldNode(MemoryNode):
    """Serves what a node of a simulated world told of its evidence and its blocks."""

    told: dict[str, Any]
    sealed: dict[int, bytes]

    def status(self) -> dict[str, Any]:
        return {**super().status(), "chain_id": self.told["chain_id"]}

    def evidence(self, after: bytes | None, limit: int) -> dict[str, Any]:
        """In pages of two, so that the client must turn them."""
        every = self.told["evidence"]
        start = 0
        if after is not None:
            start = 1 + [one["digest"] for one in every].index(after.hex())
        page = every[start : start + 2]
        more = start + 2 < len(every)
        return {
            "evidence": page,
            "waiting": [] if after is not None else self.told["waiting"],
            "next": page[-1]["digest"] if more else None,
        }

    async def block_bytes(self, height: int) -> bytes | None:
        return self.sealed.get(height)


def told_by_world(kind: int) -> ToldNode:
    """A world with a liar of this kind; all honest nodes tell the same."""
    node = ToldNode()

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        make_liar(world, LIAR, LIES[KINDS[kind]]())
        world.start_all()
        await under_load(world, HONEST)
        oracle.finish()
        services = {
            name: LocalService(world.node(name), world.machines[name].network_key, name)
            for name in HONEST
        }
        lowest = min(world.node(name).chain.height for name in HONEST)
        answers = [service.evidence(None, 100) for service in services.values()]
        common = [
            [one for one in answer["evidence"] if one["block"] <= lowest] for answer in answers
        ]
        assert common[0] == common[1] == common[2]
        assert len(common[0]) >= 2
        chain = world.node("v0").chain
        assert_pages(chain, common[0])
        node.told = {**answers[0], "chain_id": chain.chain_id.hex()}
        node.sealed = {
            height: sealed.raw
            for height in range(1, chain.height + 1)
            if (sealed := chain.blocks.sealed(height)) is not None
        }

    with quickly():
        run_world(3, scenario, PARAMS, conditions=CALM)
    return node


def assert_pages(chain: Any, every: list[dict[str, Any]]) -> None:
    """One at a time gives the same as all at once."""
    found, after = [], None
    while True:
        page, after = evidence_in_blocks(chain, after, 1)
        found += page
        if after is None:
            break
    assert [one["digest"] for one in found if one in every] == [one["digest"] for one in every]


@pytest.fixture
def hansa(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hansa:
    monkeypatch.delenv("HANSA_NODE", raising=False)
    return Hansa(capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_contradiction_is_shown_and_proven(kind: int, hansa: Hansa) -> None:
    node = told_by_world(kind)
    with running_node(node) as running:
        found = hansa.json("evidence", "votes", "--node", running.url)["evidence"]
        table = hansa("evidence", "votes", "--node", running.url)
    assert len(found) == len(node.told["evidence"]) + len(node.told["waiting"])
    assert {one["kind"] for one in found} == {kind}
    assert {one["key"] for one in found} == {consensus_key(LIAR).hex()}
    assert {one["validator"] for one in found} == {LIAR}
    assert {one["fault"] for one in found} == {FAULTS[kind - 1]}
    assert all(one["proven"] for one in found)
    for one in found:
        first, second = one["votes"]
        assert first["hash"] != second["hash"]
        assert (first["round"] == second["round"]) == (kind != 5)
        if one["block"] is not None:
            block = SealedBlock.decode(node.sealed[one["block"]]).block
            assert one["digest"] in [piece.digest.hex() for piece in block.evidence]
    assert table.code == 0
    assert f" {FAULTS[kind - 1]} " in table.out
    assert len(table.out.splitlines()) == 2 + len(found)


def _other_chain(one: dict[str, Any]) -> None:
    piece = Evidence.decode(bytes.fromhex(one["bytes"]))
    victim, chain = "v2", sha256(b"another chain")
    one["bytes"] = two_commits(victim, chain, (1, 1), 0).raw.hex()
    assert piece.sender != consensus_key(victim)


def _other_block(one: dict[str, Any]) -> None:
    one["block"] += 1


def _other_validator(one: dict[str, Any]) -> None:
    one["key"] = consensus_key("v2").hex()


def _other_vote(one: dict[str, Any]) -> None:
    one["votes"][0]["hash"] = sha256(b"another").hex()


def _forged(one: dict[str, Any]) -> None:
    piece = Evidence.decode(bytes.fromhex(one["bytes"]))
    one["bytes"] = replace(piece, first_signature=bytes(64)).raw.hex()


@pytest.mark.parametrize(
    "lie", [_other_chain, _other_block, _other_validator, _other_vote, _forged]
)
def test_a_node_that_shows_what_is_not_so_is_not_believed(
    lie: Callable[[dict[str, Any]], None], hansa: Hansa
) -> None:
    node = told_by_world(3)
    lie(node.told["evidence"][0])
    with running_node(node) as running:
        answer = hansa("evidence", "votes", "--node", running.url, "--json")
    assert answer.code == 1
    doubted = [one for one in answer.json["evidence"] if not one["proven"]]
    assert len(doubted) == 1
    assert doubted[0]["doubt"]


def test_where_nobody_contradicted_itself(hansa: Hansa) -> None:
    with running_node() as running:
        assert "no validator" in hansa("evidence", "votes", "--node", running.url).out
        answer = hansa.json("evidence", "votes", "--node", running.url)
    assert answer["evidence"] == []
    assert json.dumps(answer)


def two_commits(name: str, chain: bytes, heights: tuple[int, int], round_: int) -> Evidence:
    """What the validator would have signed, as evidence of two commits in one round."""
    key, seed = consensus_key(name), seed_of(f"{name} consensus")
    said = []
    for mark, height in zip((b"one", b"other"), heights, strict=True):
        vote = Commit(height, round_, sha256(mark), key, UNSIGNED)
        message = vote.signing_bytes(chain)
        said.append((message, sign(seed, vote.tag, message)))
    said.sort()
    return Evidence(3, key, *said[0], *said[1])


def framings(world: World, victim: str) -> list[Evidence]:
    """Honest votes of the victim, put together as if they were a contradiction."""
    chain, key = world.document.chain_id, consensus_key(victim)
    seed = seed_of(f"{victim} consensus")
    other_chain = two_commits(victim, sha256(b"another chain"), (1, 1), 0)
    other_heights = two_commits(victim, chain, (1, 2), 0)
    prepare = Prepare(1, 0, sha256(b"c"), sha256(b"b"), key, UNSIGNED)
    commit = Commit(1, 0, sha256(b"b"), key, UNSIGNED)
    messages = [vote.signing_bytes(chain) for vote in (prepare, commit)]
    signed = [
        (message, sign(seed, vote.tag, message))
        for vote, message in zip((prepare, commit), messages, strict=True)
    ]
    one_vote_twice = Evidence(2, key, *signed[0], *signed[0])
    two_kinds = Evidence(2, key, *sorted(signed)[0], *sorted(signed)[1])
    honest_change = RoundChange(1, 1, None, None, None, key, UNSIGNED)
    assert contradiction(prepare, honest_change, chain) is None
    message = honest_change.signing_bytes(chain)
    change = (message, sign(seed, honest_change.tag, message))
    prepare_and_change = Evidence(5, key, *signed[0], *change)
    return [other_chain, other_heights, one_vote_twice, two_kinds, prepare_and_change]


@pytest.mark.parametrize("number", range(5))
def test_nobody_is_framed(number: int) -> None:
    """By votes of another chain, of two heights, twice the same one, or of two kinds."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        liar = make_liar(world, LIAR)
        world.start_all()
        await world.reach(3, HONEST)
        forged = framings(world, "v2")[number]
        for peer in liar.peers:
            payload = bytes([frames.EVIDENCE]) + forged.raw
            liar.network.send(peer, Channel.CHAIN, payload)
        await trio.sleep(0.5)
        for name in HONEST:
            code = world.node(name).engine.observed.faults[world.machines[LIAR].network_key][0]
            assert code == "EVIDENCE_INVALID"
        await under_load(world, HONEST)
        oracle.finish()
        for name in HONEST:
            assert world.ask(name, "governance", "accusation_list") == []
            assert evidence_in_blocks(world.node(name).chain, None, 100) == ([], None)

    with quickly():
        run_world(4, scenario, PARAMS, conditions=CALM)
