"""Whole nodes against peers and operators at their worst: each of these once stopped one."""

from __future__ import annotations

from typing import TypeVar, cast

import trio

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import UNSIGNED, Commit, Prepare, Proposal, RoundChange, Vote
from consensus.params import Params
from consensus.pbft.inputs import Connected, Input, OwnVotes, Tick
from consensus.primitives.crypto import sha256, sign
from consensus.transaction import Transaction
from node import frames
from node.clock import InlineBlocking
from node.engine import INBOX_MAX
from node.service import LocalService
from node.signer import Signer
from node.store.memory import MemoryKV
from node.sync import BLOCKS_PER_REQUEST, answer_blocks
from node.wal import VoteLog
from p2p.ports import Channel
from tests.node.test_proposer import contradiction
from tests.sim.disk import MemoryFile
from tests.sim.oracle import Oracle
from tests.sim.world import World, consensus_key, run_world, seed_of

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)
ALL = ["v0", "v1", "v2", "v3"]
V = TypeVar("V", bound=Vote)


async def submit(world: World, name: str) -> Transaction:
    tx = world.transaction()
    (answer,) = await world.node(name).submit([tx.raw])
    assert answer.accepted, answer
    return tx


async def everywhere(world: World, txs: list[Transaction]) -> None:
    await world.until(
        lambda: all(
            node.chain.blocks.position_of(tx.tx_id) is not None for node in world.up() for tx in txs
        )
    )
    world.check_agreement()


def signed(world: World, name: str, vote: V) -> V:
    message = vote.signing_bytes(world.document.chain_id)
    signature = sign(seed_of(f"{name} consensus"), vote.tag, message)
    return cast(V, vote.with_signature(signature))


def test_a_forgotten_vote_is_not_denied_before_voting_stops() -> None:
    """The vote that shows an own PREPARE may also be the one that makes the core leave the round:
    a ROUND-CHANGE that names nothing prepared would be signed in the same breath."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        for name in ("v0", "v1", "v2"):
            await world.crash(name)
        node, machine = world.node("v3"), world.machines["v3"]
        chain, context = node.chain, node.chain.next_height(None, OwnVotes())
        height, round_, outcome = context.height, 8, sha256(b"outcome")
        while (sender := context.validators.members[context.order[round_ % 4]]).name == "v3":
            round_ += 1
        content = Content(
            height, chain.hash, chain.header.time_ms + 1, sender.key, (), (), chain.certificate
        )
        prepares = {}
        for name in ("v1", "v2", "v3"):
            key = consensus_key(name)
            vote = Prepare(height, 0, content.digest, outcome, key, UNSIGNED)
            prepares[key] = signed(world, name, vote).signature
        shown = PreparedCertificate.build(0, content.digest, outcome, prepares, chain.validators)
        changes = []
        for name in ("v0", "v1", "v2"):
            key = consensus_key(name)
            change = RoundChange(height, round_, shown, None, None, key, UNSIGNED)
            changes.append(signed(world, name, change))
        proposal = Proposal(
            height,
            round_,
            content,
            (),
            tuple(changes),
            sender.key,
            UNSIGNED,
        )
        said = signed(world, sender.name, proposal)
        await node.engine.vote_received(said, world.machines[sender.name].network_key)
        await trio.sleep(0.5)
        assert not node.engine.voting
        assert machine.failure is None
        left = VoteLog(machine.votes, consensus_key("v3")).own_votes(height).round_change
        assert left is None or left.round < round_

    run_world(1, scenario, PARAMS)


def test_the_operator_s_word_counts_for_one_loss() -> None:
    """Later, an own vote that the log lacks means a second machine: the others must be asked."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v0")])
        await world.crash("v3")
        world.machines["v3"].votes.data = None
        node = world.start("v3", vote_from=1)
        await world.until(lambda: node.engine.voting)
        for name in ("v0", "v1", "v2"):
            await world.crash(name)
        node.engine._own_vote_shown(Commit, node.chain.height + 1, 77, sha256(b"not signed here"))
        await trio.sleep(10)
        assert not node.engine.voting

    run_world(2, scenario, PARAMS)


def test_a_chain_fetched_anew_under_an_old_vote_log() -> None:
    """It votes where the log ends, and does not stop itself as a double signer before."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, name) for name in ALL * 2])
        for name in ALL:
            await world.crash(name)
        world.machines["v1"].kv = MemoryKV()
        node = world.start("v1")  # the first to propose block 1, and alone
        await trio.sleep(30)
        assert world.machines["v1"].failure is None
        for name in ("v0", "v2", "v3"):
            world.start(name)
        await world.until(lambda: node.engine.voting)
        await world.crash("v0")
        await everywhere(world, [await submit(world, "v1")])

    run_world(3, scenario, PARAMS)


def test_one_peer_that_tells_a_far_tip_and_never_answers_delays_nobody() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, [*ALL, "f0"])
        liar, node = world.node("v3"), world.node("f0")
        honest = liar.on_request

        async def on_request(peer: bytes, payload: bytes) -> bytes:
            if payload[0] == frames.BLOCKS:
                await trio.sleep_forever()
            return await honest(peer, payload)

        liar.on_request = on_request  # type: ignore[method-assign]
        claim = frames.frame(frames.STATUS, [10**12, bytes(32)])
        liar.engine.status_frame = lambda: claim  # type: ignore[method-assign]
        took_s = []
        for _ in range(16):
            tx = await submit(world, "v0")
            began = trio.current_time()
            await everywhere(world, [tx])
            took_s.append(trio.current_time() - began)
            await trio.sleep(2)
        assert sum(one > 2 for one in took_s) <= 5, took_s
        assert node.sync.highest < 10**12

    run_world(4, scenario, PARAMS, full=1)


def test_a_full_inbox_starves_no_timer() -> None:
    """Where others always wait to put the next vote in, no tick ever finds room there."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, ALL)
        engine = world.node("v0").engine
        applied: list[Input] = []
        apply = engine._apply

        async def noted(event: Input) -> None:
            applied.append(event)
            await apply(event)

        engine._apply = noted  # type: ignore[method-assign]
        for _ in range(INBOX_MAX):
            engine._send.send_nowait(Connected(consensus_key("v1")))
        engine.poke()
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert any(isinstance(event, Tick) for event in applied)

    run_world(5, scenario, PARAMS)


def test_a_stream_through_old_blocks_lets_others_run() -> None:
    """Nothing in them is asked for, so nothing is handed over that would be waited with."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(12, ["v0"])
        node = world.node("v0")
        node.chain.blocks._newest.clear()
        service = LocalService(node, world.machines["v0"].network_key, "v0")
        read: list[int] = []
        recorded = service._recorded

        def counted(height: int) -> object:
            read.append(height)
            return recorded(height)

        service._recorded = counted  # type: ignore[method-assign,assignment]

        async def follow() -> None:
            async for _ in service.events((0, 0, 0), "none", None):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            for _ in range(4):
                await trio.lowlevel.checkpoint()
            assert len(read) <= 4
            nursery.cancel_scope.cancel()

    run_world(6, scenario, PARAMS)


def test_one_request_reads_a_bounded_number_of_blocks() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(BLOCKS_PER_REQUEST + 10, ["v0"], timeout_s=4_000)
        chain = world.node("v0").chain
        assert (
            len(frames.read_blobs(answer_blocks(chain, 1, 10**9), 16 << 20)) == BLOCKS_PER_REQUEST
        )

    run_world(7, scenario, Params(min_block_interval_ms=1, empty_block_interval_ms=1))


def test_a_stale_voter_asks_for_one_block_at_a_time() -> None:
    """Votes for many decided heights are cheap to make; each answer may be megabytes."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(8, ALL)
        node = world.node("v0")
        peer = world.machines["v3"].network_key
        sent: list[int] = []
        send = node.network.send

        def counted(to: bytes, channel: Channel, payload: bytes) -> bool:
            if to == peer and channel is Channel.CHAIN and payload[0] == frames.BLOCK:
                sent.append(len(payload))
            return send(to, channel, payload)

        node.network.send = counted  # type: ignore[method-assign,assignment]

        async def vote_on(*heights: int) -> None:
            for height in heights:
                vote = Commit(height, 0, sha256(b"x"), consensus_key("v3"), UNSIGNED)
                await node.engine.vote_received(signed(world, "v3", vote), peer)
            await trio.sleep(0.1)

        await vote_on(1, 2, 3, 4, 5)
        assert sent == [], "one that is merely slow decides by itself"
        await trio.sleep(0.5)
        await vote_on(5, 5, 5)
        assert len(sent) == 1, "one that stays there is helped"
        await vote_on(5)
        assert len(sent) == 1
        await trio.sleep(0.5)
        await vote_on(5)
        assert len(sent) == 2

    run_world(8, scenario, PARAMS)


def test_one_liar_s_evidence_leaves_room_for_another_s() -> None:
    """It can contradict itself without end; one contradiction of a kind is enough."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, ALL)
        for name in ("v1", "v2", "v3"):
            await world.crash(name)
        engine, chain_id = world.node("v0").engine, world.document.chain_id
        assert engine.evidence_received(contradiction(chain_id, "v1", 1))
        assert engine.evidence_received(contradiction(chain_id, "v3", 1))
        assert not engine.evidence_received(contradiction(chain_id, "v3", 2))
        assert len(engine.open_evidence()) == 2

    run_world(9, scenario, PARAMS)


def test_a_second_key_is_trusted_while_the_first_one_signs() -> None:
    """A node that holds the old and the next key compares both logs when it starts. The second was
    trusted while a vote of the first was on its way to the disk: the core was told of a log without
    it, asked for the same vote again, and the gate before the signature stopped the node."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(2, ALL)
        engine, chain_id = world.node("v0").engine, world.document.chain_id
        key = consensus_key("v0", "next")
        log = VoteLog.create(MemoryFile(), key, 0, chain_id)
        second = Signer(seed_of("v0 next"), chain_id, log, InlineBlocking())
        engine.become_validator(second)
        world.machines["v0"].disk.slow_ms = 7
        for _ in range(300):
            await trio.sleep(0.0131)
            engine.trust(second)
        await world.reach(oracle.height + 3, ALL)
        oracle.finish()

    run_world(1, scenario, Params(round_timeout_ms=1_000, empty_block_interval_ms=200))
