"""The oracle itself: each of its checks fires in a world where what it looks for is made to happen.

Every test doctors one thing, in a world that is otherwise sound and whose undoctored twin
(``test_a_sound_world``) is green.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.messages import Commit, Prepare, RoundChange, Vote, encode_vote
from consensus.params import Params
from consensus.pbft import outputs
from consensus.primitives.crypto import sign
from node.engine import Engine
from node.replays import Replays
from node.signer import Signer
from p2p.ports import Channel
from tests.sim.machine import consensus_key, seed_of
from tests.sim.oracle import Oracle, Violation, unwrapped
from tests.sim.quick import quickly
from tests.sim.twins import add_twin
from tests.sim.world import World, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)
ALL = ["v0", "v1", "v2", "v3"]

Doctor = Callable[[World, Oracle], Awaitable[None]]


async def _work(world: World, heights: int = 4) -> None:
    names = [name for name in ALL if world.machines[name].node is not None]
    target = max(world.node(name).chain.height for name in names) + heights
    while min(world.node(name).chain.height for name in names) < target:
        await world.node(names[0]).submit([world.transaction().raw])
        await trio.sleep(0.2)


def play(doctor: Doctor, *, full: int = 0) -> None:
    """Some work, the doctor's doing, some more work; raises what the oracle finds."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await _work(world)
        await doctor(world, oracle)
        with trio.move_on_after(30):
            await _work(world)
        oracle.finish(frozenset(ALL))

    with quickly():
        try:
            run_world(1, scenario, PARAMS, full=full)
        except BaseExceptionGroup as group:
            raise unwrapped(group) from None


def found(doctor: Doctor, what: str) -> None:
    with pytest.raises(Violation, match=what):
        play(doctor)


def test_a_sound_world() -> None:
    async def nothing(world: World, oracle: Oracle) -> None:
        await world.crash("v1")
        world.start("v1")

    play(nothing, full=1)


def _say(world: World, name: str, *votes: Vote) -> None:
    """Send votes out of a machine, past its engine and its log."""
    node = world.node(name)
    for peer in node.network.connected():
        for vote in votes:
            node.network.send(peer, Channel.CONSENSUS, encode_vote(vote))


def _signed(world: World, name: str, vote: Any) -> Any:
    seed = seed_of(f"{name} consensus")
    chain_id = world.document.chain_id
    return vote.with_signature(sign(seed, vote.tag, vote.signing_bytes(chain_id)))


def _log(world: World, name: str, vote: Vote) -> None:
    """Let a vote stand in the log, so that nothing but its meaning is wrong."""
    file = world.machines[name].votes
    assert file.data is not None
    file.data += vote.signature


def _prepare(world: World, name: str, round_: int, outcome: bytes) -> Prepare:
    height = world.node(name).chain.height + 3
    unsigned = Prepare(height, round_, bytes(32), outcome, consensus_key(name), bytes(64))
    vote: Prepare = _signed(world, name, unsigned)
    _log(world, name, vote)
    return vote


# --- votes -------------------------------------------------------------------------------------


def test_two_prepares_of_one_round() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        _say(world, "v1", _prepare(world, "v1", 0, bytes(32)), _prepare(world, "v1", 0, b"x" * 32))

    found(doctor, "Prepare of v1 at .*/0: contradicts its Prepare of round 0")


def test_two_prepares_of_one_round_with_a_crash_between() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        one, other = (_prepare(world, "v1", 0, outcome * 32) for outcome in (b"x", b"y"))
        _say(world, "v1", one)
        await world.crash("v1")
        _log(world, "v1", other)
        world.start("v1")
        await trio.sleep(0.5)
        _say(world, "v1", other)

    found(doctor, "Prepare of v1 at .*/0: contradicts")


def test_a_liar_may_contradict_itself() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        world.liars.add("v1")
        _say(world, "v1", _prepare(world, "v1", 0, bytes(32)), _prepare(world, "v1", 0, b"x" * 32))

    play(doctor)


def test_a_commit_hidden_by_a_round_change() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        height, me = world.node("v1").chain.height + 3, consensus_key("v1")
        commit = _signed(world, "v1", Commit(height, 0, bytes(32), me, bytes(64)))
        change = RoundChange(height, 1, None, 0, None, me, bytes(64))
        votes = (commit, _signed(world, "v1", change))
        for vote in votes:
            _log(world, "v1", vote)
        _say(world, "v1", *votes)

    found(doctor, "RoundChange of v1 at .*/1: contradicts its Commit of round 0")


def test_a_vote_in_a_round_already_left() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        height, me = world.node("v1").chain.height + 3, consensus_key("v1")
        change = RoundChange(height, 2, None, None, None, me, bytes(64))
        signed = change.with_signature(
            oracle._signing(
                seed_of("v1 consensus"),
                change.tag,
                change.signing_bytes(world.document.chain_id),
            )
        )
        late = Prepare(height, 1, bytes(32), bytes(32), me, bytes(64))
        after = late.with_signature(
            oracle._signing(
                seed_of("v1 consensus"), late.tag, late.signing_bytes(world.document.chain_id)
            )
        )
        for vote in (signed, after):
            _log(world, "v1", vote)
        _say(world, "v1", signed, after)

    found(doctor, "Prepare of round 1 was signed after RoundChange of round 2")


def test_a_signer_that_sends_before_it_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A production signer with the log taken out."""

    async def sign_only(self: Signer, vote: Vote, *_: Any) -> Vote:
        return vote.with_signature(sign(self._seed, vote.tag, vote.signing_bytes(self._chain_id)))

    async def doctor(world: World, oracle: Oracle) -> None:
        monkeypatch.setattr(Signer, "sign", sign_only)

    found(doctor, "sent before the vote log had it")


def test_a_log_that_forgets_what_was_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        for machine in world.machines.values():
            monkeypatch.setattr(machine.disk, "on_plate", lambda *_: False)

    found(doctor, "sent before the vote log had it")


def test_a_wrong_signature() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        vote = replace(_prepare(world, "v1", 0, bytes(32)), signature=b"s" * 64)
        _log(world, "v1", vote)
        _say(world, "v1", vote)

    found(doctor, "the signature is wrong")


# --- blocks ------------------------------------------------------------------------------------


class _Teller:
    """Tells the oracle of another block or certificate than a machine committed."""

    def __init__(self, oracle: Oracle, name: str, change: Callable[..., Any]) -> None:
        self._tell, self._name, self._change = oracle.committed, name, change
        oracle.committed = self._committed  # type: ignore[method-assign]

    def _committed(self, name: str, block: Block, certificate: Certificate) -> None:
        if name == self._name:
            block, certificate = self._change(block, certificate)
        self._tell(name, block, certificate)


def test_two_blocks_of_one_height() -> None:
    def other(block: Block, certificate: Certificate) -> tuple[Block, Certificate]:
        header = replace(block.header, time_ms=block.header.time_ms + 1)
        return replace(block, header=header), certificate

    async def doctor(world: World, oracle: Oracle) -> None:
        _Teller(oracle, "v2", other)

    found(doctor, "two blocks of height|bad certificate|certificate of another block")


def test_nodes_that_decide_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Engine._perform

    async def doctor(world: World, oracle: Oracle) -> None:
        async def alone(self: Engine, output: outputs.Output) -> None:
            # Everybody decides as soon as it has signed a COMMIT: no quorum is needed any more.
            await decide(self, output)
            if isinstance(output, outputs.Sign) and isinstance(output.vote, Commit):
                vote = output.vote
                seals = {vote.sender: bytes(64)}
                assert self._state is not None
                certificate = Certificate.build(
                    vote.height, vote.round, vote.block_hash, seals, self._chain.validators
                )
                await decide(self, outputs.Decided(certificate, None))

        monkeypatch.setattr(Engine, "_perform", alone)

    found(doctor, "bad certificate: .*1 signers where 3 are needed")


def test_a_certificate_of_too_few() -> None:
    def poor(block: Block, certificate: Certificate) -> tuple[Block, Certificate]:
        few = replace(certificate, signers=b"\x03", seals=certificate.seals[:2])
        return block, few

    async def doctor(world: World, oracle: Oracle) -> None:
        _Teller(oracle, "v2", poor)

    found(doctor, "bad certificate: .*2 signers where 3 are needed")


def test_a_certificate_of_another_block() -> None:
    def other(block: Block, certificate: Certificate) -> tuple[Block, Certificate]:
        return block, replace(certificate, block_hash=bytes(32))

    async def doctor(world: World, oracle: Oracle) -> None:
        _Teller(oracle, "v2", other)

    found(doctor, "v2 has a certificate of another block")


def test_a_state_that_is_not_the_blocks() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        state = world.node("v2").chain.state
        commit = state.commit

        def stay(delta: Any) -> None:
            before = state._slot
            commit(delta)
            state._slot = before

        state.commit = stay  # type: ignore[method-assign]

    found(doctor, "v2's state is not that of block")


def test_a_commit_that_the_disk_forgets() -> None:
    """A store whose batches are not synced, and then a power cut."""

    async def doctor(world: World, oracle: Oracle) -> None:
        kv = world.machines["v2"].kv
        write = kv.write
        kv.write = lambda operations, *, sync: write(operations, sync=False)  # type: ignore
        await _work(world)
        await world.crash("v2")
        world.start("v2")

    found(doctor, "v2 told of block .* and starts again at")


def test_a_store_that_keeps_another_block() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        await _work(world)
        kv = world.machines["v2"].kv
        blocks = world.node("v2").chain.blocks
        one, other = blocks.block(1), blocks.block(2)
        assert one is not None
        assert other is not None
        [key] = [key for key, value in kv._data.items() if value == one.raw]
        kv._data[key] = other.raw

    found(doctor, "v2 stores another block 1 than was told")


def test_a_fork_by_more_twins_than_f() -> None:
    """Two of four validators are two machines each, and the network falls in two: nothing is
    doctored, the protocol itself promises nothing here."""

    async def scenario(world: World) -> None:
        twins = [add_twin(world, name) for name in ("v0", "v1")]
        Oracle(world)
        world.start_all()
        sides = (("v0", "v1", "v2"), (*twins, "v3"))
        places = [tuple(world.machines[name].place for name in side) for side in sides]
        world.network.partition(*places, at_once=True)
        with trio.move_on_after(60):
            while True:
                for name in ("v2", "v3"):
                    await world.node(name).submit([world.transaction().raw])
                await trio.sleep(0.2)

    with quickly(), pytest.raises(BaseExceptionGroup) as raised:
        run_world(1, scenario, PARAMS)
    assert re.search("two blocks of height 1", str(unwrapped(raised.value)))


# --- transactions ------------------------------------------------------------------------------


def test_a_transaction_that_stands_twice() -> None:
    """Chains without replay protection."""

    async def doctor(world: World, oracle: Oracle) -> None:
        raw = world.transaction().raw
        await world.node("v0").submit([raw])
        await _work(world)
        for name in ALL:
            world.node(name).chain._replays = Replays(lambda _: False, 0)
        await world.node("v1").submit([raw])

    found(doctor, "a transaction stands at .* and at")


def test_a_transaction_that_never_comes() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        node, tx = world.node("v0"), world.transaction()
        await node.submit([tx.raw])
        for name in ALL:  # whoever hears of it drops it
            world.node(name).mempool.add = lambda entry: None  # type: ignore[method-assign]
        entry = node.mempool.by_tx_id(tx.tx_id)
        assert entry is not None
        node.mempool._remove(entry)

    found(doctor, "still waiting: .*, accepted by v0")


def test_what_is_accepted_and_lost_in_a_crash_is_forgiven() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        world.network.partition((world.machines["v0"].place,), at_once=True)
        await world.node("v0").submit([world.transaction().raw])
        await world.crash("v0")
        world.network.heal()
        world.start("v0")

    play(doctor)


# --- machines ----------------------------------------------------------------------------------


def test_a_node_that_dies_of_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        def bug(*_: Any) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(world.node("v3").mempool, "waits_since", bug)

    found(doctor, "v3 stopped: KeyError")


def test_a_mempool_beyond_its_bounds() -> None:
    async def doctor(world: World, oracle: Oracle) -> None:
        world.node("v3").mempool._txs_max = -1

    found(doctor, "v3: mempool: .* are more than -1")


def test_a_vote_book_beyond_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from consensus.pbft import votebook

    async def doctor(world: World, oracle: Oracle) -> None:
        monkeypatch.setattr(votebook, "KEPT", 1_000)
        state = world.node("v3").engine._state
        assert state is not None
        for round_ in range(80):
            state.votes.add(_prepare(world, "v1", round_, bytes(32)))
        await trio.sleep(1.5)

    found(doctor, "v3: vote book: .* are more than")
