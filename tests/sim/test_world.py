"""Whole nodes in memory: the same seed gives the same history, and bad days end well."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from consensus.params import Params
from consensus.transaction import Transaction
from node.mempool import Mempool
from node.wal import VoteLog
from p2p.virtual import VirtualConditions
from tests.sim.world import World, consensus_key, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)


async def _submit(world: World, name: str) -> Transaction:
    tx = world.transaction()
    [answer] = await world.node(name).submit([tx.raw])
    assert answer.accepted, answer
    return tx


def _everywhere(world: World, txs: list[Transaction]) -> bool:
    return all(
        node.chain.blocks.position_of(tx.tx_id) is not None for node in world.up() for tx in txs
    )


async def _committed(world: World, txs: list[Transaction]) -> None:
    await world.until(lambda: _everywhere(world, txs))
    world.check_agreement()


async def _work(world: World, count: int = 30) -> None:
    names = [name for name, machine in world.machines.items() if machine.node is not None]
    txs = []
    for index in range(count):
        txs.append(await _submit(world, names[index % len(names)]))
        await trio.sleep(0.05)
    await _committed(world, txs)


async def _plain(world: World) -> None:
    world.start_all()
    await _work(world)


def test_same_seed_same_trace() -> None:
    lossy = VirtualConditions(loss=0.05)
    run = partial(run_world, scenario=_plain, params=PARAMS, full=1, conditions=lossy)
    first = run(7)
    assert run(7) == first
    assert run(8) != first


def test_one_validator_down_and_back() -> None:
    """Blocks go on without one of four; restarted, it has the same state root."""

    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        await world.crash("v2")
        await _work(world, 20)
        world.start("v2")
        await _work(world, 5)
        roots = {node.chain.header.state_root for node in world.up()}
        assert len(roots) == 1 or len({node.chain.height for node in world.up()}) > 1

    run_world(1, scenario, PARAMS)


def test_two_down_stop_the_chain_and_two_back_go_on() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        await world.crash("v1")
        await world.crash("v2")
        await trio.sleep(1)
        height = world.node("v0").chain.height
        tx = await _submit(world, "v0")
        await trio.sleep(60)
        assert world.node("v0").chain.height == height
        world.start("v1")
        world.start("v2")
        await _committed(world, [tx])

    run_world(2, scenario, PARAMS)


def test_late_full_node_catches_up() -> None:
    async def scenario(world: World) -> None:
        for name, machine in world.machines.items():
            if machine.validator:
                world.make_vote_log(name)
                world.start(name)
        await _work(world, 20)
        world.start("f0")
        target = world.node("v0").chain.height
        await world.reach(target, ["f0"])
        tx = await _submit(world, "f0")
        await _committed(world, [tx])

    run_world(3, scenario, PARAMS, full=1)


def test_a_transaction_at_one_node_moves_everybody() -> None:
    """Rule 8: the proposer never hears of it directly, yet it is committed."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, list(world.machines))
        await _committed(world, [await _submit(world, "v3")])

    quiet = Params(round_timeout_ms=1_000, empty_block_interval_ms=20_000)
    run_world(4, scenario, quiet, conditions=VirtualConditions(loss=0.2))


def test_wiped_validator_votes_again_from_two_heights_on() -> None:
    """Rule 9: without its log a validator looks on until it can't contradict itself."""

    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        await world.crash("v3")
        machine = world.machines["v3"]
        machine.votes.data = None
        node = world.start("v3")
        await world.until(lambda: node.engine.voting)
        await _work(world, 5)
        await world.crash("v0")  # now the others need its vote
        await _work(world, 5)

    run_world(5, scenario, PARAMS)


def test_the_operators_word_ends_what_two_lost_logs_stop() -> None:
    """Rule 9: more than f recovering at once wait for each other, until somebody who knows that
    nobody voted says from where to vote."""

    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        for name in ("v2", "v3"):
            await world.crash(name)
            world.machines[name].votes.data = None
        nodes = [world.start(name) for name in ("v2", "v3")]
        floors = [partial(_floor, world, name) for name in ("v2", "v3")]
        await world.until(lambda: all(floor() for floor in floors))
        height = world.node("v0").chain.height
        await trio.sleep(60)
        assert not any(node.engine.voting for node in nodes)
        assert world.node("v0").chain.height == height
        await world.crash("v3")
        world.start("v3", vote_from=height + 1)
        await _work(world, 5)

    run_world(10, scenario, PARAMS)


def test_the_operators_word_is_refused_where_votes_stand() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        await world.crash("v3")
        world.start("v3", vote_from=1)
        machine = world.machines["v3"]
        await machine.stopped.wait()
        assert machine.failure is not None
        assert machine.failure.split(lambda error: "VOTE_FROM_REFUSED" in str(error))[1] is None

    run_world(11, scenario, PARAMS)


def _floor(world: World, name: str) -> int:
    votes = world.machines[name].votes
    return 0 if votes.data is None else VoteLog(votes, consensus_key(name)).floor


def test_an_own_vote_that_the_log_lacks_stops_voting() -> None:
    """Rule 9: a machine restored from an older backup has forgotten votes; blocks show them."""

    async def scenario(world: World) -> None:
        world.start_all()
        await _work(world, 5)
        machine = world.machines["v3"]
        await world.crash("v3")
        backup = machine.disk.backup()
        world.start("v3")
        await _work(world, 10)
        await world.crash("v3")
        machine.disk.restore(backup)
        node = world.start("v3")
        await world.until(
            lambda: VoteLog(machine.votes, consensus_key("v3")).floor > node.chain.height
        )
        assert not node.engine.voting
        await world.until(lambda: node.engine.voting)
        await _work(world, 5)

    run_world(6, scenario, PARAMS)


def test_full_mempool_tells_when_to_try_again() -> None:
    async def scenario(world: World) -> None:
        world.make_vote_log("v0")
        mempool = Mempool(txs_max=3)
        node = world.start("v0", mempool=mempool)
        answers = await node.submit([world.transaction().raw for _ in range(5)])
        assert [answer.code for answer in answers] == ["ACCEPTED"] * 3 + ["MEMPOOL_FULL"] * 2
        assert answers[-1].retry_after_ms

    run_world(9, scenario, PARAMS)


@pytest.mark.parametrize("seed", range(20, 26))
def test_crashes_and_loss_fork_nothing(seed: int) -> None:
    """A random validator crashes and comes back, again and again, under load and loss."""

    async def scenario(world: World) -> None:
        world.start_all()
        txs = []
        for _ in range(6):
            name = f"v{world.rng.randrange(4)}"
            await world.crash(name)
            for _ in range(5):
                target = world.rng.choice([one for one in ("v0", "v1", "v2", "v3") if one != name])
                txs.append(await _submit(world, target))
                await trio.sleep(world.rng.random())
            world.start(name)
            await trio.sleep(world.rng.random() * 3)
        await _committed(world, txs)

    run_world(seed, scenario, PARAMS, conditions=VirtualConditions(loss=0.05))
