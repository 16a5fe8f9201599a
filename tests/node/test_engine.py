"""Whole nodes in a virtual world with one that lies, errs, or forgets: who stops, who goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from consensus.block import Content, SealedBlock
from consensus.certificates import PreparedCertificate
from consensus.evidence import Evidence
from consensus.messages import UNSIGNED, Commit, Prepare, RoundChange
from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256, sign
from consensus.primitives.errors import HansaError, LocalFault, PeerFault
from consensus.transaction import Transaction
from consensus.validators import Validator, ValidatorSet, bitmap
from node import frames
from node.chain import Outcome
from node.node import Node
from node.recovery import Recovery
from p2p.ports import Channel
from tests.node.test_proposer import contradiction
from tests.sim.disk import Fault, Strike
from tests.sim.world import World, consensus_key, run_world, seed_of

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)
ALL = ["v0", "v1", "v2", "v3"]


async def submit(world: World, name: str) -> Transaction:
    tx = world.transaction()
    (answer,) = await world.node(name).submit([tx.raw])
    assert answer.accepted, answer
    return tx


def has(node: Node, tx: Transaction) -> bool:
    return node.chain.blocks.position_of(tx.tx_id) is not None


async def everywhere(world: World, txs: list[Transaction]) -> None:
    await world.until(lambda: all(has(node, tx) for node in world.up() for tx in txs))
    world.check_agreement()


def leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [] if error is None else [error]


def faults(world: World, name: str) -> list[str]:
    """The codes with which a machine's node stopped."""
    found = leaves(world.machines[name].failure)
    assert all(isinstance(one, LocalFault) for one in found), found
    return [one.code for one in found if isinstance(one, HansaError)]


def connected(world: World, name: str, other: str) -> bool:
    return world.machines[other].network_key in world.node(name).network.connected()


# --- turns -------------------------------------------------------------------------------------


def test_a_dead_proposer_is_skipped_once_it_has_missed_its_turn() -> None:
    """Blocks are slow once, then as fast as with everybody."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        await world.crash("v1")
        took_s = []
        for _ in range(24):
            began = trio.current_time()
            tx = await submit(world, "v0")
            await everywhere(world, [tx])
            took_s.append(trio.current_time() - began)
        slow = [one for one in took_s if one > PARAMS.round_timeout_ms / 1000]
        assert len(slow) <= 2, took_s
        assert sorted(took_s)[12] < 0.5

    run_world(1, scenario, PARAMS)


# --- outcomes that differ ----------------------------------------------------------------------


def err_on(node: Node, marked: Transaction, how: bytes, *, takes_s: float = 0) -> None:
    """This node's execution of any block with the marked transaction gives another state root."""
    execute = node.chain.execute

    async def other(content: Content, bodies: list[Transaction], verified: set[bytes]) -> Outcome:
        outcome = await execute(content, bodies, verified)
        if marked.wire_id not in content.wire_ids:
            return outcome
        await trio.sleep(takes_s)
        header = dataclasses.replace(outcome.block.header, state_root=sha256(how))
        return dataclasses.replace(outcome, block=dataclasses.replace(outcome.block, header=header))

    node.chain.execute = other  # type: ignore[method-assign]


@pytest.mark.parametrize("how", [(b"one", b"other"), (b"same", b"same")])
def test_the_transaction_that_splits_the_vote_is_held_out(how: tuple[bytes, bytes]) -> None:
    """Two of four get another outcome: no quorum. All others are committed, this one is told."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        marked = world.transaction()
        for name, root in zip(("v1", "v2"), how, strict=True):
            err_on(world.node(name), marked, root)
        others = [world.transaction() for _ in range(12)]
        raws = [tx.raw for tx in (*others[:6], marked, *others[6:])]
        answers = await world.node("v0").submit(raws)
        assert all(answer.accepted for answer in answers)
        await everywhere(world, others)
        await everywhere(world, [await submit(world, "v3")])
        for node in world.up():
            assert not has(node, marked)
            assert not node.chain.committed(marked.tx_id)
        ended = [node.admission.ended.get(marked.tx_id) for node in world.up()]
        assert ("TX_HELD_OUT", "validators do not agree on its outcome") in ended
        assert all(machine.failure is None for machine in world.machines.values())

    run_world(2, scenario, PARAMS)


@pytest.mark.parametrize("takes_s", [0, 0.3])
def test_a_validator_alone_with_its_outcome_stops_and_commits_nothing_of_its_own(
    takes_s: float,
) -> None:
    """Whether its own outcome comes before the others' decision or after it."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        marked = world.transaction()
        err_on(world.node("v2"), marked, b"wrong", takes_s=takes_s)
        (answer,) = await world.node("v0").submit([marked.raw])
        assert answer.accepted
        stopped = world.machines["v2"].stopped
        with trio.fail_after(60):
            await stopped.wait()
        assert "DIVERGED" in faults(world, "v2")
        await everywhere(world, [marked, await submit(world, "v1")])
        # Mended (the same disks, right execution), it goes on with the others' chain.
        node = world.start("v2")
        await everywhere(world, [marked])
        await world.until(lambda: node.engine.voting)
        await everywhere(world, [await submit(world, "v2")])

    run_world(3, scenario, PARAMS)


# --- peers that lie ----------------------------------------------------------------------------


def test_a_forged_certificate_does_not_silence_a_validator() -> None:
    """Anybody can write a bitmap; only its own signature reminds a validator of a lost vote."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, ALL)
        victim, liar = world.node("v0"), world.node("v3")
        dropped: list[str] = []
        drop = victim.network.drop

        def noted(peer: bytes, reason: str) -> None:
            dropped.append(reason)
            drop(peer, reason)

        victim.network.drop = noted  # type: ignore[method-assign]
        height = victim.chain.height + 1
        for round_ in (1, 2, 3):
            pair = PreparedCertificate(
                0, sha256(b"content"), sha256(b"block"), bitmap([0, 1, 2], 4), (bytes(64),) * 3
            )
            vote = RoundChange(height, round_, pair, None, None, consensus_key("v3"), UNSIGNED)
            message = vote.signing_bytes(victim.chain.chain_id)
            signed = vote.with_signature(sign(seed_of("v3 consensus"), vote.tag, message))
            payload = b"\x04" + signed.raw
            liar.network.send(world.machines["v0"].network_key, Channel.CONSENSUS, payload)
        await world.until(lambda: bool(dropped))
        assert "CERTIFICATE_INVALID" in dropped[0]
        assert victim.engine.voting
        await world.crash("v3")
        await everywhere(world, [await submit(world, "v0")])
        assert victim.engine.voting

    run_world(4, scenario, PARAMS)


def test_votes_in_another_s_name_cost_the_link() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        stolen = Prepare(2, 0, sha256(b""), sha256(b""), consensus_key("v1"), bytes(64))
        node = world.node("v0")
        with pytest.raises(PeerFault) as caught:
            await node.engine.vote_received(stolen, world.machines["v3"].network_key)
        assert caught.value.code == "NOT_ITS_VOTE"
        stranger = Commit(2, 0, sha256(b""), consensus_key("f0"), bytes(64))
        with pytest.raises(PeerFault):
            await node.engine.vote_received(stranger, world.machines["f0"].network_key)
        # Of other heights this node may not know the validators.
        for height in (1, 7):
            await node.engine.vote_received(
                dataclasses.replace(stranger, height=height), world.machines["f0"].network_key
            )

    run_world(5, scenario, PARAMS, full=1)


def test_evidence_is_put_in_a_block_once_and_future_evidence_stops_nobody() -> None:
    """A liar may contradict itself at any height: what a block can't hold yet isn't proposed."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, ALL)
        chain_id = world.document.chain_id
        known, future = contradiction(chain_id, "v3", 1), contradiction(chain_id, "v3", 10**6)
        for name in ALL:
            engine = world.node(name).engine
            assert engine.evidence_received(known)
            assert not engine.evidence_received(future)
            assert not engine.evidence_received(known)
        height = world.node("v0").chain.height
        await everywhere(world, [await submit(world, "v0")])
        await world.reach(height + 6, ALL)
        found: list[Evidence] = []
        for at in range(world.node("v0").chain.height + 1):
            block = world.node("v0").chain.blocks.block(at)
            assert block is not None
            found += block.evidence
        assert found == [known]
        with pytest.raises(PeerFault):
            world.node("v0").engine.evidence_received(contradiction(chain_id, "f0", 1))

    run_world(6, scenario, PARAMS, full=1)


Answer = Callable[[bytes, bytes], Awaitable[bytes]]


def lie(node: Node, kind: int, make: Callable[[bytes], bytes]) -> list[bytes]:
    """Answer one kind of request with something else; returns the list of who asked."""
    honest: Answer = node.on_request
    asked: list[bytes] = []

    async def on_request(peer: bytes, payload: bytes) -> bytes:
        if payload[0] != kind:
            return await honest(peer, payload)
        asked.append(peer)
        return make(await honest(peer, payload))

    node.on_request = on_request  # type: ignore[method-assign]
    return asked


def _altered(answer: bytes, change: Callable[[SealedBlock], SealedBlock]) -> bytes:
    blocks = [SealedBlock.decode(one) for one in frames.read_blobs(answer, 16 << 20)]
    return frames.fill(change(one).raw for one in blocks)


def _wrong_seal(sealed: SealedBlock) -> SealedBlock:
    certificate = sealed.certificate
    assert certificate is not None
    seals = (bytes(64), *certificate.seals[1:])
    return SealedBlock(sealed.block, dataclasses.replace(certificate, seals=seals))


def _wrong_body(sealed: SealedBlock) -> SealedBlock:
    return SealedBlock(dataclasses.replace(sealed.block, bodies=()), sealed.certificate)


def _wrong_header(sealed: SealedBlock) -> SealedBlock:
    header = dataclasses.replace(sealed.block.header, state_root=sha256(b"x"))
    return SealedBlock(dataclasses.replace(sealed.block, header=header), sealed.certificate)


LIES: dict[str, Callable[[bytes], bytes]] = {
    "wrong seal": lambda answer: _altered(answer, _wrong_seal),
    "wrong bodies": lambda answer: _altered(answer, _wrong_body),
    "wrong header": lambda answer: _altered(answer, _wrong_header),
    "nothing": lambda _answer: encode([]),
    "no blocks": lambda _answer: encode([b"block"]),
    "no array": lambda _answer: b"\xc1",
}


@pytest.mark.parametrize("what", LIES)
def test_a_peer_that_lies_about_blocks_is_dropped_and_another_asked(what: str) -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        txs = [await submit(world, name) for name in ALL * 3]
        await everywhere(world, txs)
        await world.crash("f0")
        world.machines["f0"].kv = type(world.machines["f0"].kv)()
        for name in ("v0", "v1", "v2"):
            await world.crash(name)
        asked = lie(world.node("v3"), frames.BLOCKS, LIES[what])
        node = world.start("f0")
        await world.until(lambda: bool(asked) and not connected(world, "f0", "v3"))
        assert node.chain.height == 0
        for name in ("v0", "v1", "v2"):
            world.start(name)
        await everywhere(world, txs)
        assert world.machines["f0"].failure is None

    run_world(7, scenario, PARAMS, full=1)


def test_a_tip_that_nobody_can_show_is_soon_forgotten() -> None:
    """It must neither keep this node from being ready nor keep it asking."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, [*ALL, "f0"])
        liar, node = world.node("v3"), world.node("f0")
        asked = lie(liar, frames.BLOCKS, lambda answer: answer)
        claim = frames.frame(frames.STATUS, [10**12, bytes(32)])
        liar.network.send(world.machines["f0"].network_key, Channel.CHAIN, claim)
        await world.until(lambda: bool(asked))
        await world.until(lambda: node.sync.highest < 10**12, timeout_s=5)
        await everywhere(world, [await submit(world, "f0")])
        assert len(asked) < 10

    run_world(8, scenario, PARAMS, full=1)


# --- a validator without its log ---------------------------------------------------------------


def seen(*fields: Any) -> bytes:
    return frames.frame(frames.SEEN, list(fields))


FAR = [10**9 - 1, 0, bytes(32), b"\x07", [bytes(64)] * 3]
SEEN_LIES: list[Callable[[int, Any], bytes]] = [
    lambda _height, _certificate: b"",
    lambda _height, _certificate: b"\x03",
    lambda _height, _certificate: frames.frame(frames.SEEN, "text"),
    lambda _height, certificate: seen("7", certificate),
    lambda _height, certificate: seen(None, certificate),
    lambda height, certificate: seen(height + 1_000, certificate),
    lambda height, _certificate: seen(height, None),
    lambda height, _certificate: seen(height, 5),
    lambda _height, _certificate: seen(10**9, FAR),
    lambda height, certificate: seen(height, certificate, 1),
]
"""From a true height and certificate."""


@pytest.mark.parametrize("answer", SEEN_LIES)
def test_lies_about_own_votes_are_not_believed(answer: Callable[[int, Any], bytes]) -> None:
    """Neither a far height without a certificate nor nonsense; and nonsense stops no node."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        await world.crash("v3")
        world.machines["v3"].votes.data = None
        asked = lie(world.node("v1"), frames.SEEN, lambda true: answer(*frames.read(true[1:])))
        node = world.start("v3")
        await world.until(lambda: node.engine.voting)
        assert asked
        assert world.machines["v3"].failure is None
        assert node.engine._signer is not None
        assert node.engine._signer.log.floor < 1_000
        await everywhere(world, [await submit(world, "v3")])

    run_world(9, scenario, PARAMS)


def test_with_too_few_answers_a_forgetful_validator_waits() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        for name in ALL:
            await world.crash(name)
        world.machines["v3"].votes.data = None
        world.start("v0")
        node = world.start("v3")
        await trio.sleep(30)
        assert not node.engine.voting, "one answer of two"
        recovery = Recovery(
            node.chain, node.network, node.roster, world.machines["v3"].clock, consensus_key("v3")
        )
        assert recovery.answers_needed() == 2
        world.start("v1")
        world.start("v2")
        await world.until(lambda: node.engine.voting)
        await everywhere(world, [await submit(world, "v3")])

    run_world(10, scenario, PARAMS)


def test_who_must_answer_a_forgetful_validator_is_judged_by_the_validators_of_now() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        for name in ALL:
            await world.crash(name)
        world.machines["v3"].votes.data = None
        world.start("v0")
        node = world.start("v3")
        await trio.sleep(10)
        # As if the blocks that it lacked had brought six more validators.
        more = [Validator(f"w{number}", bytes([number] * 32), "x") for number in range(6)]
        grown = ValidatorSet((*node.chain.validators.members, *more))
        node.chain.system = dataclasses.replace(node.chain.system, validators=grown)
        world.start("v1")
        world.start("v2")
        await trio.sleep(30)
        assert world.machines["v3"].votes.data is None, "three answers of six"

    run_world(12, scenario, PARAMS)


def test_the_operator_s_word_lets_it_vote_when_too_many_forgot() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        for name in ALL:
            await world.crash(name)
            world.machines[name].votes.data = None
        height = 0
        for name in ALL:
            height = max(height, world.start(name, vote_from=50).chain.height)
        await trio.sleep(10)
        assert all(node.chain.height == height for node in world.up())
        for name in ALL:
            await world.crash(name)
            world.machines[name].votes.data = None
            world.start(name, vote_from=height + 2)
        await trio.sleep(10)
        for name in ALL:
            await world.crash(name)
            world.machines[name].votes.data = None
            world.start(name, vote_from=1)
        await everywhere(world, [await submit(world, "v0")])

    run_world(11, scenario, PARAMS)


def test_bodies_are_in_the_log_before_the_vote_for_them() -> None:
    """Rule 9: whoever prepared can still show the bodies after everybody crashed."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        seen: dict[str, int] = {}
        for name in ALL:
            log = world.node(name).engine._signer
            assert log is not None
            append = log.log.append

            def watched(
                vote: object,
                content: Content | None,
                bodies: tuple[bytes, ...],
                prepared: PreparedCertificate | None,
                *,
                name: str = name,
                append: Callable[..., None] = append,
            ) -> None:
                append(vote, content, bodies, prepared)
                if isinstance(vote, Prepare):
                    memory = world.machines[name].node
                    assert memory is not None and memory.engine._signer is not None
                    kept = memory.engine._signer.log.bodies(vote.content_hash)
                    outcome = memory.engine._outcomes[vote.content_hash]
                    assert kept == outcome.block.bodies
                    seen[name] = seen.get(name, 0) + len(kept)

            log.log.append = watched  # type: ignore[method-assign]
        txs = [await submit(world, name) for name in ALL * 3]
        await everywhere(world, txs)
        assert set(seen) == set(ALL)
        assert sum(seen.values()) >= 3 * len(txs)

    run_world(12, scenario, PARAMS)


def test_a_damaged_log_is_renewed_from_what_the_others_saw() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        await world.crash("v3")
        votes = world.machines["v3"].votes
        assert votes.data is not None
        middle = len(votes.data) // 2
        damaged = bytes([votes.data[middle] ^ 1])
        votes.data = votes.data[:middle] + damaged + votes.data[middle + 1 :]
        node = world.start("v3")
        await trio.sleep(0)
        assert not node.engine.voting
        seen_at = world.node("v0").chain.height + 1
        await world.until(lambda: node.engine.voting)
        assert node.engine._signer is not None
        assert node.engine._signer.log.floor >= seen_at + 1, "it votes from M + 2"
        await world.crash("v0")
        await everywhere(world, [await submit(world, "v3")])

    run_world(13, scenario, PARAMS)


def test_another_key_s_log_stops_the_node() -> None:
    """It is no damage to be mended by asking around, but somebody's mistake with folders."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        await world.crash("v3")
        await world.crash("v2")
        world.machines["v3"].votes.data = world.machines["v2"].votes.data
        world.start("v3")
        with trio.fail_after(10):
            await world.machines["v3"].stopped.wait()
        assert faults(world, "v3") == ["VOTE_LOG_FOREIGN"]

    run_world(14, scenario, PARAMS)


def test_a_full_disk_stops_the_node_before_it_votes_or_commits() -> None:
    """Vote log or store: nothing half-done leaves the machine, and room mends it."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])

        for name, operation in (("v1", "write"), ("v2", "batch")):
            disk = world.machines[name].disk
            disk.plan(Fault(Strike.FULL), operation=operation)
            tx = await submit(world, "v0")
            with trio.fail_after(60):
                await world.machines[name].stopped.wait()
            assert faults(world, name) == ["DISK_FULL"]
            disk.full = False
            world.start(name)
            await everywhere(world, [tx, await submit(world, name)])

    run_world(15, scenario, PARAMS)
