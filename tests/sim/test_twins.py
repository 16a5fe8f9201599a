"""Up to f validators that are two machines each never break safety or stop progress, however the
network falls apart from round to round. More than f can fork the chain, and do here; but no honest
validator ever signs two votes that contradict each other."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio

from consensus.params import Params
from p2p.virtual import VirtualConditions
from tests.sampling import some
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.twins import Groups, Schedule, VotesOnly, add_twin, random_split, splits
from tests.sim.world import World, run_world

TIMEOUT_MS = 1_000
PARAMS = Params(
    round_timeout_ms=TIMEOUT_MS,
    round_timeout_max_ms=4 * TIMEOUT_MS,
    min_block_interval_ms=200,
    empty_block_interval_ms=1_000,
)
PARTED_S = 30.0
RECOVERY_TIMEOUTS = 8
"""Of the longest ones: then everybody has two more blocks."""
CONDITIONS = VirtualConditions(delay_ms=(1, 30), connect_ms=(1, 20))


async def load(world: World, names: Sequence[str], schedule: Schedule) -> None:
    """Transactions everywhere until the schedule is over, or has had its time."""
    rng = random.Random("load")
    with trio.move_on_after(PARTED_S):
        while not schedule.over:
            node = world.machines[rng.choice(names)].node
            if node is not None:
                await node.submit([world.transaction().raw])
            await trio.sleep(rng.uniform(0.05, 0.3))
    schedule.end()


def tolerated(seed: int, partitions: Sequence[Groups], twins: list[str], validators: int) -> int:
    """Runs the schedule, heals, and requires two more blocks; returns how far the schedule got."""
    names = [f"v{index}" for index in range(validators)]
    honest = [name for name in names if name not in twins]
    steps: list[int] = []

    async def scenario(world: World) -> None:
        for name in twins:
            add_twin(world, name)
        oracle = Oracle(world)
        schedule = Schedule(world, partitions)
        world.start_all()
        await load(world, honest, schedule)
        steps.append(schedule.step)
        await world.reach(
            oracle.height + 2, honest, RECOVERY_TIMEOUTS * PARAMS.round_timeout_max_ms / 1000
        )
        oracle.finish()

    with quickly():
        run_world(seed, scenario, PARAMS, validators=validators, conditions=CONDITIONS)
    return steps[0]


FOUR = list(splits(["v1", "v2", "v3"], [("v0", "v0'")]))


@pytest.mark.parametrize("first", some(range(len(FOUR)), 2))
def test_every_pair_of_partitions_with_one_twin_of_four(first: int) -> None:
    """By turns, three rounds each; every split against every other one."""
    for second in range(first, len(FOUR)):
        one, other = FOUR[first], FOUR[second]
        tolerated(first, [one, other] * 3, ["v0"], 4)


@pytest.mark.parametrize("seed", some(range(8)))
def test_one_twin_of_four_at_random(seed: int) -> None:
    rng = random.Random(f"twins {seed}")
    twin = rng.choice(["v0", "v1", "v2", "v3"])
    honest = [name for name in ("v0", "v1", "v2", "v3") if name != twin]
    partitions = [random_split(rng, honest, [(twin, twin + "'")]) for _ in range(12)]
    tolerated(seed, partitions, [twin], 4)


@pytest.mark.parametrize("seed", some(range(6)))
def test_two_twins_of_seven_at_random(seed: int) -> None:
    rng = random.Random(f"two twins {seed}")
    honest = ["v1", "v2", "v4", "v5", "v6"]
    pairs = [("v0", "v0'"), ("v3", "v3'")]
    ways = list(splits(honest, pairs))
    partitions = [
        rng.choice(ways) if rng.random() < 0.5 else random_split(rng, honest, pairs)
        for _ in range(12)
    ]
    tolerated(seed, partitions, ["v0", "v3"], 7)


@pytest.mark.parametrize("seed", some(range(4)))
def test_a_validator_started_twice_is_noticed(seed: int) -> None:
    """An operator's mistake on two machines: both are sound. One is shown the other's vote and
    stops, or somebody hears both and has proof."""
    rng = random.Random(f"mistake {seed}")
    noticed: list[object] = []

    async def scenario(world: World) -> None:
        pair = ("v0", add_twin(world, "v0", shameless=False))
        oracle = Oracle(world)
        honest = ["v1", "v2", "v3"]
        schedule = Schedule(world, [random_split(rng, honest, [pair]) for _ in range(40)])
        world.start_all()
        await load(world, honest, schedule)
        await world.reach(
            oracle.height + 2, honest, RECOVERY_TIMEOUTS * PARAMS.round_timeout_max_ms / 1000
        )
        oracle.finish()
        noticed.extend(one for one in pair if world.node(one).engine.observed.memory_lost)
        noticed.extend(world.ask("v1", "governance", "accusation_list"))

    with quickly():
        run_world(seed, scenario, PARAMS, conditions=CONDITIONS)
    assert noticed


def test_two_twins_of_four_fork_the_chain_and_no_honest_validator_signs_twice() -> None:
    """Each side has a quorum of its own: one honest validator and a copy of both others."""
    forks = 0
    ways = splits(["v2", "v3"], [("v0", "v0'"), ("v1", "v1'")])
    for seed, groups in enumerate(ways):
        forks += beyond(seed, [groups] * 8)
    assert forks > 0, "nothing was at stake"


@pytest.mark.parametrize("seed", some(range(6)))
def test_two_twins_of_four_at_random_and_no_honest_validator_signs_twice(seed: int) -> None:
    rng = random.Random(f"beyond {seed}")
    pairs = [("v0", "v0'"), ("v1", "v1'")]
    ways = list(splits(["v2", "v3"], pairs))
    beyond(seed, [rng.choice(ways) for _ in range(20)])


def beyond(seed: int, partitions: Sequence[Groups]) -> int:
    """Two twins of four; returns at how many heights there were two blocks."""
    forked: list[int] = []

    async def scenario(world: World) -> None:
        for name in ("v0", "v1"):
            add_twin(world, name)
        oracle = VotesOnly(world)
        schedule = Schedule(world, partitions)
        world.start_all()
        await load(world, ["v2", "v3"], schedule)
        await trio.sleep(5)
        assert oracle.violation is None
        assert oracle.blocks
        forked.append(sum(len(hashes) > 1 for hashes in oracle.blocks.values()))

    with quickly():
        run_world(seed, scenario, PARAMS, conditions=CONDITIONS)
    return forked[0]
