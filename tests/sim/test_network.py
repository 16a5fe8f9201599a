"""Whole nodes on bad networks: messages that come twice and overtake each other, reconnect storms,
flapping directions, one slow machine. Everything is safe, and goes on soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2p.virtual import VirtualConditions, Wire
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.test_liars import PARAMS, under_load
from tests.sim.world import World, run_world

ALL = ["v0", "v1", "v2", "v3"]


def storm(world: World) -> None:
    """Ten times a second everybody loses every connection, for three seconds."""
    world.network.storm(times=30, every_ms=100)


def flapping(world: World) -> None:
    """One direction after another goes and comes back, quicker than a silence is noticed."""
    place = [world.machines[name].place for name in ALL]
    for index in range(4):
        pairs = [(place[index], place[(index + 1) % 4])]
        world.network.flap(pairs, down_ms=300 + 100 * index, up_ms=200, times=8)


def slow_machine(world: World) -> None:
    """Everything to and from one validator takes 200 ms longer."""
    world.network.slow_ms[world.machines["v2"].place] = 200


def bad_wire(world: World) -> None:
    """One validator's words to another mostly get lost, those that come come late."""
    source, target = world.machines["v0"].place, world.machines["v1"].place
    world.network.wires[source, target] = Wire(extra_ms=400, loss=0.7)


def nothing(world: World) -> None:
    """Just the conditions."""


@pytest.mark.parametrize("trouble", [nothing, storm, flapping, slow_machine, bad_wire])
@pytest.mark.parametrize(
    "conditions",
    [
        VirtualConditions(delay_ms=(1, 20)),
        VirtualConditions(delay_ms=(1, 300), duplicate=0.5, reorder=1.0),
    ],
    ids=["calm", "twice and in any order"],
)
def test_trouble(trouble: Callable[[World], None], conditions: VirtualConditions) -> None:
    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        trouble(world)
        await under_load(world, ALL, patience=8)
        oracle.finish()
        world.check_agreement()
        for name in ALL:
            faults = world.node(name).engine.observed.faults
            assert faults == {}, "the network's tricks are held against honest peers"

    with quickly():
        run_world(7, scenario, PARAMS, conditions=conditions)
