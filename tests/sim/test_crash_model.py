"""The crash fault model: nobody lies, a majority decides, and every minority may be down.

Whole nodes of 3 and of 5 validators under the oracle. The network goes on without each minority,
whether it never started or ended in the middle of something; without a majority it stands still,
forks nothing, and goes on when enough are back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import combinations

import pytest
import trio

from consensus.params import Params
from node.node import Node
from p2p.virtual import VirtualConditions
from tests.sampling import some
from tests.sim.oracle import Oracle
from tests.sim.play import Play
from tests.sim.quick import quickly
from tests.sim.weather import storm_of
from tests.sim.world import World, run_world

PARAMS = Params(
    fault_model="crash",
    round_timeout_ms=1_000,
    round_timeout_max_ms=8_000,
    empty_block_interval_ms=1_000,
)
CALM = VirtualConditions(delay_ms=(1, 20))
RECOVERY_S = 3 * PARAMS.round_timeout_max_ms / 1000


def names(n: int) -> list[str]:
    return [f"v{index}" for index in range(n)]


def minorities(n: int) -> list[tuple[str, ...]]:
    """All that a majority can do without."""
    most = (n - 1) // 2
    return [some for size in range(1, most + 1) for some in combinations(names(n), size)]


def majorities(n: int) -> list[tuple[str, ...]]:
    """The smallest without which there is no majority."""
    return list(combinations(names(n), n - (n - 1) // 2 - 1 + n % 2))


def held(n: int, scenario: Callable[[World, Oracle], Awaitable[None]], seed: int = 1) -> None:
    """A scenario under the oracle."""

    async def judged(world: World) -> None:
        oracle = Oracle(world)
        for name in world.machines:
            world.make_vote_log(name)
        await scenario(world, oracle)
        oracle.finish()

    with quickly():
        run_world(seed, judged, PARAMS, validators=n, conditions=CALM)


async def work(world: World, count: int = 5, within_s: float = 30) -> None:
    """So many transactions, one after the other, at the nodes that are up; all committed there."""
    nodes = world.up()
    for index in range(count):
        tx = world.transaction()
        [answer] = await nodes[index % len(nodes)].submit([tx.raw])
        assert answer.accepted

        def committed(node: Node, tx_id: bytes = tx.tx_id) -> bool:
            return node.chain.blocks.position_of(tx_id) is not None

        await world.until(lambda: all(committed(node) for node in nodes), within_s)


async def _committed_at(world: World, name: str) -> None:
    """One transaction, waited for at the node that took it."""
    tx, node = world.transaction(), world.node(name)
    await node.submit([tx.raw])
    await world.until(lambda: node.chain.blocks.position_of(tx.tx_id) is not None)


async def _level(world: World) -> None:
    """All that are up have one tip, and it is of one state."""
    await work(world, 1)
    highest = max(node.chain.height for node in world.up())
    await world.reach(highest, list(world.machines))
    blocks = {node.chain.blocks.block(highest) for node in world.up()}
    assert len(blocks) == 1


@pytest.mark.parametrize(("n", "down"), [(n, down) for n in (3, 5) for down in minorities(n)])
def test_goes_on_without_each_minority(n: int, down: tuple[str, ...]) -> None:
    """Down from the start; they come later and follow; then they end in the middle of things, at
    once and one after the other, and come back."""

    async def scenario(world: World, _: Oracle) -> None:
        for name in names(n):
            if name not in down:
                world.start(name)
        await work(world)
        for name in down:
            world.start(name)
        await _level(world)
        for name in down:
            world.kill(name)
        await world.until(lambda: len(world.up()) == n - len(down))
        await work(world)
        for name in down:
            world.start(name)
        await _level(world)
        for name in down:
            await trio.sleep(0.01)  # between proposal and decision
            await world.crash(name)
        await work(world)
        for name in down:
            world.start(name)
        await _level(world)

    held(n, scenario)


@pytest.mark.parametrize("n", [3, 5])
def test_each_minority_may_end_at_any_moment_of_a_block(n: int) -> None:
    """The others go on whatever it was doing: the moments go through the messages of a height."""
    for moment, down in enumerate(minorities(n) * (5 - n + 1)):

        async def scenario(
            world: World, _: Oracle, down: tuple[str, ...] = down, moment: int = moment
        ) -> None:
            world.start_all()
            await work(world, 1)
            left = 3 + 7 * moment % 40
            ended = False

            def count(*_message: object) -> None:
                nonlocal left, ended
                left -= 1
                if left <= 0 and not ended:
                    ended = True
                    for name in down:
                        world.kill(name)

            world.network.taps.append(count)
            tx = world.transaction()
            staying = next(name for name in world.machines if name not in down)
            node = world.node(staying)
            await node.submit([tx.raw])
            await world.until(lambda: ended and len(world.up()) == n - len(down))
            await work(world, 2)
            for name in down:
                world.start(name)
            await _level(world)

        held(n, scenario, seed=moment)


@pytest.mark.parametrize("n", [3, 5])
def test_without_a_majority_it_stands_still_and_goes_on_when_one_is_back(n: int) -> None:
    for down in majorities(n):

        async def scenario(world: World, oracle: Oracle, down: tuple[str, ...] = down) -> None:
            world.start_all()
            await work(world, 2)
            for name in down:
                await world.crash(name)
            staying = [name for name in world.machines if name not in down]
            height = oracle.height
            for name in staying:
                await world.node(name).submit([world.transaction().raw])
            await trio.sleep(60)
            # What was decided when they ended may still be committed; nothing after it.
            assert oracle.height <= height + 1
            rounds = [node.engine.state.round for node in world.up() if node.engine.state]
            assert max(rounds) <= 1, "no round's timer runs without a quorum in it"
            stood = oracle.height
            world.start(down[0])
            with trio.fail_after(RECOVERY_S):
                while oracle.height <= stood:
                    await trio.sleep(0.05)
            for name in down[1:]:
                world.start(name)
            await _level(world)

        held(n, scenario)


@pytest.mark.parametrize("n", [3, 5])
def test_one_cut_off_neither_runs_away_nor_holds_up_the_others(n: int) -> None:
    """One ROUND-CHANGE makes everybody jump here (t + 1 = 1). Cut off in any way, alone or with its
    voice still heard, it gets one round ahead at most, and the others keep their pace."""

    async def scenario(world: World, oracle: Oracle) -> None:
        world.start_all()
        await work(world, 2)
        keys = {name: machine.network_key for name, machine in world.machines.items()}
        others = [name for name in world.machines if name != "v0"]
        for deaf_only in (False, True):
            for other in others:
                world.network.block(keys[other], keys["v0"])
                if not deaf_only:
                    world.network.block(keys["v0"], keys[other])
            await world.node("v0").submit([world.transaction().raw])
            before, began = oracle.height, trio.current_time()
            for _ in range(20):
                await _committed_at(world, others[0])
            seconds = trio.current_time() - began
            assert oracle.height - before >= 15
            assert seconds < 20, f"20 blocks took {seconds} s"
            await trio.sleep(30)
            state = world.node("v0").engine.state
            assert state is not None
            assert state.round <= 1
            world.network.heal()
            await _level(world)

    held(n, scenario)


def test_a_far_round_in_a_vote_log_costs_its_time_out_at_most() -> None:
    """A validator that comes back with a far round takes everybody there; the round's time is
    bounded, and the chain goes on."""

    async def scenario(world: World, oracle: Oracle) -> None:
        world.start_all()
        await work(world, 2)
        # Two of three that can't hear each other's proposals long enough to get far.
        await world.crash("v2")
        keys = {name: machine.network_key for name, machine in world.machines.items()}
        for _ in range(6):
            world.network.block(keys["v0"], keys["v1"])
            await world.node("v0").submit([world.transaction().raw])
            await trio.sleep(2)
            world.network.unblock(keys["v0"], keys["v1"])
            world.network.block(keys["v1"], keys["v0"])
            await trio.sleep(2)
            world.network.unblock(keys["v1"], keys["v0"])
        state = world.node("v0").engine.state
        assert state is not None
        assert state.round >= 3
        await world.crash("v0")
        world.start("v0")
        world.start("v2")
        stood = oracle.height
        with trio.fail_after(RECOVERY_S):
            while oracle.height <= stood:
                await trio.sleep(0.05)
        await _level(world)

    held(3, scenario)


STORMS = [seed for seed in range(200) if storm_of(seed).params.fault_model == "crash"][:8]


@pytest.mark.parametrize("seed", some(STORMS))
def test_storms(seed: int) -> None:
    """Crashes, partitions, loss, skewed clocks and lost disks, drawn from the seed."""
    result = Play(storm_of(seed), heights=20).run()
    assert not result.violation, f"scripts/sim {seed}: {result.violation}"
