"""The stall doctor at work: for each fault of the table, whether it says what is wrong."""

from __future__ import annotations

import random

import pytest
import trio

from node.doctor.examine import verdict
from node.doctor.findings import NOTICE, STOPPED, is_healthy
from tests.sampling import some
from tests.sim import ailments_within
from tests.sim.ailments import ALL, PARAMS, ROWS, Row, keys, look
from tests.sim.quick import quickly
from tests.sim.world import World, run_world

assert ailments_within  # its rows


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.name)
def test_the_doctor_says_what_is_wrong(one: Row) -> None:
    async def scenario(world: World) -> None:
        await one.story(world)
        for says in one.says:
            vitals, findings = look(world, says.at, one.disk)
            assert findings, f"nothing found at {says.at}"
            first = findings[0]
            told = [(found.code, found.text) for found in findings]
            assert (first.code, first.severity) == (says.code, says.severity), told
            assert first.about == says.about, told
            for word in says.words:
                assert word in f"{first.text} {first.action} {first.rule}", first
            assert first.action
            assert "Nothing is wrong" not in verdict(vitals, findings) or says.severity == NOTICE
        for name in one.healthy:
            vitals, findings = look(world, name)
            assert is_healthy(findings), findings
            assert "Nothing is wrong" in verdict(vitals, findings)

    with quickly():
        run_world(1, scenario, one.params, full=one.full)


QUORUM = 3
DOWN_S = 15


@pytest.mark.parametrize("seed", some(range(3)))
def test_no_fault_is_called_health_and_no_health_a_fault(
    seed: int,
) -> None:
    """Crashes, cut directions and partitions as they come. Where no quorum is up and in touch for
    a while, every validator says that it is stopped; where all is well again, nobody complains."""

    async def scenario(world: World) -> None:
        rng = random.Random(seed)
        world.start_all()
        await world.reach(2, list(world.machines))
        for _ in range(4):
            for name in rng.sample(ALL, rng.randint(0, 3)):
                await world.crash(name)
            up = [name for name in ALL if world.machines[name].node is not None]
            if up and rng.random() < 0.5:
                world.network.partition(keys(world, *up[:1]), keys(world, *up[1:]))
            elif len(up) > 1 and rng.random() < 0.5:
                world.network.block(*keys(world, *rng.sample(up, 2)))
            for _ in range(rng.randint(1, 40)):
                await trio.sleep(1)
                check(world)
            await trio.sleep(DOWN_S)
            for name in up:
                vitals, findings = look(world, name)
                in_touch = 1 + sum(one.connected for one in vitals.members if not one.me)
                if in_touch < QUORUM:
                    assert not is_healthy(findings), findings
                if len(up) < QUORUM:
                    assert findings[0].severity == STOPPED, findings
            world.network.heal()
            for name in ALL:
                if world.machines[name].node is None:
                    world.start(name)
            await trio.sleep(60)
            for name in world.machines:
                _, findings = look(world, name)
                assert is_healthy(findings), findings

    def check(world: World) -> None:
        for name, machine in world.machines.items():
            if machine.node is None:
                continue
            vitals, findings = look(world, name)
            late_ms = vitals.since_block_ms - PARAMS.empty_block_interval_ms
            if late_ms > 4 * PARAMS.round_timeout_ms and vitals.up_ms > late_ms:
                assert "Nothing is wrong" not in verdict(vitals, findings)
                assert findings[0].severity == STOPPED, findings

    with quickly():
        run_world(seed, scenario, PARAMS, full=1)
