"""The validators change by vote while messages are lost, doubled and overtake one another, and
machines crash, lose power and are cut off: the chain goes on, judged by the oracle.

``HANSA_SET_CHANGE_SEEDS=50 pytest tests/sim/test_set_changes.py`` plays more seeds of each.
"""

from __future__ import annotations

import os

import pytest

from consensus.turns import proposer_order
from p2p.virtual import VirtualConditions
from tests.sim.disk import Loss
from tests.sim.machine import GLN, consensus_key
from tests.sim.turmoil import CALM, RAIN, Turmoil, play

SEEDS = range(int(os.environ.get("HANSA_SET_CHANGE_SEEDS", "2")))
FOUR = ["v0", "v1", "v2", "v3"]
FIVE = [*FOUR, "v4"]
NEW = ["v4", "v5", "v6"]


@pytest.mark.parametrize("seed", SEEDS)
def test_four_become_seven_become_five(seed: int) -> None:
    """Three join from genesis, and two leave, drawn from all seven, while one machine at a time
    is in trouble."""

    async def scenario(t: Turmoil) -> None:
        world, rng = t.world, t.rng
        assert world.nursery is not None
        world.nursery.start_soon(t.load)
        world.nursery.start_soon(t.trouble, lambda: t.members)
        await t.height(3)
        joining = [world.machines[name] for name in NEW]
        await t.admit(joining)
        proposals = await t.propose(
            "validator_add",
            *(
                {
                    "name": one.name,
                    "consensus_key": consensus_key(one.name),
                    "organisation": GLN,
                    "network_key": one.network_key,
                }
                for one in joining
            ),
        )
        voters = set(FOUR)
        for name, proposal in zip(NEW, proposals, strict=True):
            _, in_force = await t.vote(proposal)
            t.strike_at(rng.choice(FOUR), rng.randint(in_force, in_force + 2), rng.uniform(0, 1))
            await t.height(in_force + 3)
            assert t.voters(in_force - 1) == voters
            voters |= {name}
            assert t.voters(in_force) == voters
        for name in rng.sample(sorted(voters), 2):
            _, in_force = await t.change("validator_remove", name=name)
            await t.height(in_force)
            voters -= {name}
            assert t.voters(in_force) == voters
        assert len(voters) == 5
        await t.height(in_force + 4)
        await t.end(voters)

    play(seed, scenario, joining=NEW)


@pytest.mark.parametrize("moment", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_key_is_rotated_while_its_machine_dies(seed: int, moment: int) -> None:
    """At the height that decides it, the next one, which makes the change, the first one of the
    new key, and the one after that. The old key is silent from its last height on."""

    async def scenario(t: Turmoil) -> None:
        world = t.world
        machine = world.machines["v3"]
        await t.height(3)
        await t.down("v3")
        new = world.make_next_key("v3")
        t.let_up("v3")
        [proposal] = await t.propose("validator_rotate", {"name": "v3", "consensus_key": new})
        decided: list[int] = []

        def due(block: object) -> bool:
            height = t.oracle.height
            record = world.ask("v3", "governance", "proposal", proposal=proposal)
            if record["status"] in ("ACCEPTED", "ACTIVE") and not decided:
                decided.append(height)
            return bool(decided) and height >= decided[0] + moment

        t.strike_when("v3", due, t.rng.choice((0.0, t.rng.uniform(0, 3))), Loss.drawn(t.rng))
        _, in_force = await t.vote(proposal)
        await t.until(lambda: bool(t.struck), "the blow")
        await t.height(in_force + 4)
        await t.all_at(in_force + 1, FOUR)
        await t.until(lambda: world.node("v3").engine.voting, "v3 votes")
        assert machine.next_votes is not None
        old, young = machine.votes.data, machine.next_votes.data
        await t.down(t.rng.choice(["v0", "v1", "v2"]))  # now v3 is needed
        await t.height(t.oracle.height + 3)
        assert machine.votes.data == old, "the old key is silent"
        assert machine.next_votes.data != young
        last = max(t.oracle.voted(consensus_key("v3")), 0)
        assert last <= in_force - 1 < t.oracle.voted(new)
        await t.end(set(FOUR))

    play(seed, scenario)


@pytest.mark.parametrize("ahead", [-1, 0])
@pytest.mark.parametrize("conditions", [CALM, RAIN])
@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_to_propose_is_removed(seed: int, conditions: VirtualConditions, ahead: int) -> None:
    """The proposer of the first height without it, or of the last one with it."""

    async def scenario(t: Turmoil) -> None:
        await t.height(2)
        await t.all_at(2, ["v0"])
        chain = t.world.node("v0").chain
        height = chain.height + 12
        limits = chain.validators.thresholds(chain.params.fault_model)
        order = proposer_order(chain.validators, chain._turns, height + ahead, limits.quorum)
        gone = chain.validators.members[order[0]].name
        _, in_force = await t.change("validator_remove", name=gone, height=height)
        assert in_force == height
        await t.height(height)
        block = t.oracle.chain[height]
        proposed_by = {consensus_key(name): name for name in FIVE}[block.header.proposer]
        assert proposed_by != gone
        if conditions is CALM:
            certificate = t.world.node(proposed_by).chain.blocks.certificate(height)
            assert certificate is not None and certificate.round == 0, "nobody waits for it"
        await t.height(height + 5)
        await t.end(set(FIVE) - {gone})

    play(seed, scenario, validators=5, conditions=conditions)


@pytest.mark.parametrize("away", ["down", "cut off"])
@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_away_is_removed_and_comes_back(seed: int, away: str) -> None:
    """It learns that it has no vote any more, follows, and may be voted in again."""

    async def scenario(t: Turmoil) -> None:
        gone = t.rng.choice(FIVE)
        await t.height(3)
        t.members.remove(gone)  # nothing is handed in there
        if away == "down":
            await t.down(gone)
        else:
            t.cut_off(gone)
        await t.height(t.oracle.height + t.rng.randint(0, 3))
        _, in_force = await t.change("validator_remove", name=gone)
        await t.height(in_force + t.rng.randint(0, 20))
        t.let_up(gone)
        t.reconnect(gone)
        t.members.append(gone)
        await t.all_at(in_force, [gone])
        height = t.oracle.height
        await t.all_at(height + 2, [gone])
        assert not t.world.node(gone).engine.voting
        assert t.oracle.voted(consensus_key(gone)) < in_force
        voters = set(FIVE)
        if t.rng.random() < 0.5:
            _, again = await t.add(t.world.machines[gone])
            await t.height(again + 2)
        else:
            voters -= {gone}
        await t.end(voters)

    play(seed, scenario, validators=5)


@pytest.mark.parametrize("change", ["add", "remove", "rotate"])
@pytest.mark.parametrize("last_with_old", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_die_as_the_validators_change(seed: int, last_with_old: bool, change: str) -> None:
    """Each at the moment that it commits the last block of the old set, or the first of the new."""

    async def scenario(t: Turmoil) -> None:
        world, rng = t.world, t.rng
        voters = set(FIVE)
        joiner = world.machines["v5"]
        await t.height(2)
        if change == "rotate":
            await t.down("v2")
            new = world.make_next_key("v2")
            t.let_up("v2")
        if change == "add":
            await t.admit([joiner])
        height = t.oracle.height + 10
        if change == "add":
            await t.add(joiner, height=height)
            voters |= {"v5"}
        elif change == "rotate":
            await t.change("validator_rotate", name="v2", consensus_key=new, height=height)
        else:
            await t.change("validator_remove", name="v1", height=height)
            voters -= {"v1"}
        struck = height - 1 if last_with_old else height
        assert t.oracle.height < struck
        for name in t.members:
            t.strike_at(name, struck, rng.choice((0.0, 0.0, rng.uniform(0, 2))))
        await t.until(lambda: len(t.struck) == len(t.members), "all die")
        await t.height(height + 4, 30)
        await t.end(voters)

    play(seed, scenario, validators=5, joining=["v5"])
