"""What seeds have found, each pinned as the schedule that shows it: seeds mean other storms when
the weather changes, these don't."""

from __future__ import annotations

import trio

from consensus.params import Params
from p2p.virtual import VirtualConditions
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.world import World, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)


def test_a_request_for_blocks_that_is_lost_holds_nobody_up() -> None:
    """Seed 7: one of three that are left had asked for blocks into a partition, waited 10 s for the
    answer, and the chain for it."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(3, ["v0", "v1", "v2", "v3"])
        await world.crash("v3")
        await world.reach(oracle.height + 3, ["v0", "v1", "v2"])
        await world.crash("v2")
        place = {name: machine.place for name, machine in world.machines.items()}
        node = world.start("v3")
        while node.sync.highest == 0:
            await trio.sleep(0.001)
        for name in ("v0", "v1"):  # not long enough to be disconnected
            world.network.block(place[name], place["v3"])
        await trio.sleep(1)
        world.network.heal()
        height = oracle.height
        with trio.fail_after(5):
            while oracle.height == height:
                await trio.sleep(0.05)
        oracle.finish()

    with quickly():
        run_world(1, scenario, PARAMS, conditions=VirtualConditions(delay_ms=(5, 30)))


def test_a_tip_that_was_told_once_and_lost_is_told_again() -> None:
    """Seed 2075: the chain waited for one of three that had been away, whose way to learn of the
    others' tip was one message at connecting: it was lost, and no block came to tell it again."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(3, ["v0", "v1", "v2", "v3"])
        await world.crash("v3")
        machine = world.machines["v3"]
        await world.reach(oracle.height + 3, ["v0", "v1", "v2"])
        await world.crash("v2")
        machine.disk.wipe_store()  # its vote log tells that it has voted further up: it is silent
        oracle.emptied("v3")
        world.network.conditions = VirtualConditions(loss=1.0)
        node = world.start("v3")
        await world.until(lambda: len(node.network.connected()) == 2)
        await trio.sleep(0.2)
        world.network.conditions = VirtualConditions()
        height = oracle.height
        with trio.fail_after(10):
            while oracle.height == height:
                await trio.sleep(0.05)
        oracle.finish()

    with quickly():
        run_world(1, scenario, PARAMS)
