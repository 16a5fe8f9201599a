"""How soon a healed partition is over: blocks go on within three round time-outs."""

from __future__ import annotations

import os
import random

import pytest
import trio

from consensus.params import Params
from p2p.virtual import VirtualConditions
from tests.sampling import some
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.world import World, run_world

SEEDS = int(os.environ.get("HANSA_HEALED_SEEDS", "12"))
PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)


def healed_after(seed: int) -> tuple[float, str]:
    """A partition without a quorum on any side, for up to a minute and under load; returns how
    many round time-outs after its end every validator has a new block, and what it was."""
    rng = random.Random(seed)
    count = rng.choice((4, 4, 5, 7))
    names = [f"v{index}" for index in range(count)]
    sides = rng.sample(names, count)
    quorum = -(-2 * count // 3)
    cut = rng.randint(count - quorum + 1, quorum - 1)
    duration_s = rng.uniform(1, 60)
    needed = 0.0

    async def scenario(world: World) -> None:
        nonlocal needed
        oracle = Oracle(world)
        world.start_all()
        await world.reach(2, names)
        place = {name: world.machines[name].place for name in names}
        world.network.partition(
            tuple(place[name] for name in sides[:cut]), tuple(place[name] for name in sides[cut:])
        )
        await trio.sleep(duration_s / 2)
        for name in names:
            await world.node(name).submit([world.transaction().raw])
        await trio.sleep(duration_s / 2)
        height = max(node.chain.height for node in world.up())
        world.network.heal()
        healed = trio.current_time()
        await world.reach(height + 1, names)
        needed = (trio.current_time() - healed) * 1000 / PARAMS.round_timeout_ms
        oracle.finish()

    with quickly():
        run_world(
            seed,
            scenario,
            PARAMS,
            validators=count,
            conditions=VirtualConditions(delay_ms=(1, rng.choice((20, 100)))),
        )
    return needed, f"{cut} | {count - cut} for {duration_s:.0f} s"


@pytest.mark.parametrize("seed", some(range(SEEDS)))
def test_blocks_go_on_within_three_round_time_outs(seed: int) -> None:
    needed, what = healed_after(seed)
    print(f"seed {seed}: {what}: {needed:.2f} round time-outs")  # noqa: T201 - the figure
    assert needed <= 3, what
