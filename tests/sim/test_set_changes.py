"""The validators change by vote while messages are lost, doubled and overtake one another, and
machines crash, lose power and are cut off: the chain goes on, judged by the oracle.

``HANSA_SET_CHANGE_SEEDS=50 pytest tests/sim/test_set_changes.py`` plays more seeds of each.
"""

from __future__ import annotations

import os

import pytest
import trio

from consensus.primitives.errors import PeerFault
from consensus.turns import proposer_order
from node import frames
from p2p.ports import Channel
from p2p.virtual import VirtualConditions
from tests.node.test_proposer import contradiction
from tests.sampling import some
from tests.sim.disk import VOTES, Loss
from tests.sim.machine import GLN, consensus_key
from tests.sim.turmoil import CALM, RAIN, Turmoil, play

SEEDS = some(range(int(os.environ.get("HANSA_SET_CHANGE_SEEDS", "2"))))
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
            await t.all_at(height, [proposed_by])
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


@pytest.mark.parametrize("change", ["add", "remove", "rotate"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_network_is_split_as_the_validators_change(seed: int, change: str) -> None:
    """When the first machine has the last block of the old set, or one next to it: the others may
    not know the new set while the two parts can't hear each other."""

    async def scenario(t: Turmoil) -> None:
        rng = t.rng
        voters = set(FIVE)
        joiner = t.world.machines["v5"]
        await t.height(2)
        if change == "rotate":
            await t.down("v2")
            new = t.world.make_next_key("v2")
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
        split = height + rng.randint(-2, 0)
        t.split_at(split, rng.uniform(0.5, 6))
        if rng.random() < 0.5:
            t.strike_at(rng.choice(t.members), split, rng.uniform(0, 3))
        await t.height(height + 4)
        await t.end(voters)

    play(seed, scenario, validators=5, joining=["v5"])


@pytest.mark.parametrize("change", ["remove", "rotate"])
@pytest.mark.parametrize("seed", SEEDS)
def test_votes_and_evidence_that_come_after_their_key_left(seed: int, change: str) -> None:
    """Late votes are nobody's fault. Two that contradict each other are evidence as long as the
    key had a vote at their height, also where a machine was started since."""

    async def scenario(t: Turmoil) -> None:
        world, rng = t.world, t.rng
        gone = rng.choice(FIVE)
        key, machine = consensus_key(gone), world.machines[gone]
        sent: list[bytes] = []

        def keep(source: bytes, _target: bytes, channel: Channel, payload: bytes) -> None:
            if source == machine.place and channel is Channel.CONSENSUS and payload not in sent:
                sent.append(payload)

        world.network.taps.append(keep)
        await t.height(3)
        voters = set(FIVE)
        if change == "remove":
            voters -= {gone}
            _, in_force = await t.change("validator_remove", name=gone)
        else:
            await t.down(gone)
            new = world.make_next_key(gone)
            t.let_up(gone)
            _, in_force = await t.change("validator_rotate", name=gone, consensus_key=new)
        await t.height(in_force)
        late = sent[-60:]  # at the end there may be some of the new key
        assert len(late) > 3
        others = [name for name in FIVE if name != gone]
        restarted = rng.choice(others)
        await t.down(restarted)
        t.let_up(restarted)
        await t.height(in_force + 2)
        await t.all_at(in_force + 2, others)
        for name in others:
            for payload in rng.sample(late, len(late)):
                await world.node(name).on_message(machine.network_key, Channel.CONSENSUS, payload)
        chain_id = world.document.chain_id
        for height in (in_force, in_force + 1):
            with pytest.raises(PeerFault, match="EVIDENCE_INVALID"):
                world.node(restarted).engine.evidence_received(
                    contradiction(chain_id, gone, height)
                )
        evidence = contradiction(chain_id, gone, in_force - 1)
        teller, hearer = rng.sample(others, 2)
        await world.node(hearer).on_message(
            world.machines[teller].network_key,
            Channel.CHAIN,
            bytes([frames.EVIDENCE]) + evidence.raw,
        )

        def accused() -> bool:
            return all(world.ask(name, "governance", "accusation_list") for name in others)

        await t.until(accused, "the accusation")
        (found,) = world.ask(restarted, "governance", "accusation_list")
        assert (found["key"], found["height"]) == (key, in_force - 1)
        assert t.oracle.chain[found["block"]].evidence == (evidence,)
        await t.end(voters)

    play(seed, scenario, validators=5)


@pytest.mark.parametrize("seed", SEEDS)
def test_turns_while_validators_come_and_go(seed: int) -> None:
    """New ones that never come are soon out of turn, so nobody waits for them; who leaves takes
    its record along, and who is voted in again begins with none."""

    async def scenario(t: Turmoil) -> None:
        world = t.world
        await t.admit([world.machines[name] for name in NEW])
        for name in ("v5", "v6"):
            await t.down(name)
        for name in NEW:
            _, in_force = await t.add(world.machines[name])
        up = [*FOUR, "v4"]

        async def out(names: set[str], within: int) -> None:
            """They and nobody else, by everybody's chain, at most so many heights later."""
            height = t.oracle.height + within
            await t.until(
                lambda: (
                    all(t.out_of_turn(name) == names for name in up) or t.oracle.height > height
                ),
                f"{names} out of turn",
            )
            assert t.oracle.height <= height

        await out({"v5", "v6"}, 3 * 7)
        height = t.oracle.height + 1
        await t.all_at(height + 7, up)
        rounds = [world.node("v0").chain.blocks.certificate(height + i) for i in range(1, 8)]
        assert [one.round for one in rounds if one is not None] == [0] * 7
        _, in_force = await t.change("validator_remove", name="v5")
        await t.all_at(in_force, up)
        await out({"v6"}, 2)
        _, in_force = await t.add(world.machines["v5"])
        await t.until(lambda: world.node("v0").chain.height >= in_force - 1, "the new set")
        assert "v5" not in t.out_of_turn("v0")
        await out({"v5", "v6"}, 3 * 7)
        t.let_up("v6")
        await t.until(lambda: world.machines["v6"].node is not None, "v6 is up")
        await t.all_at(t.oracle.height, ["v6"])
        # It is held absent no more; the turn that it missed costs it some more heights.
        height = t.oracle.height
        await t.until(
            lambda: [one.absent for one in world.node("v0").chain.out_of_turn] == [True, False],
            "v6 is there",
        )
        assert t.oracle.height <= height + 2 * 7
        await t.end({*FOUR, *NEW})

    play(seed, scenario, joining=NEW, conditions=CALM)


@pytest.mark.parametrize("lost", ["backup", "votes", "disk"])
@pytest.mark.parametrize("seed", SEEDS)
def test_memory_lost_across_a_change(seed: int, lost: str) -> None:
    """A validator of the new set has its memory from before it joined, or none. It asks by the set
    that it knows; what it has signed since it is told, and it signs nothing twice."""

    async def scenario(t: Turmoil) -> None:
        world = t.world
        machine = world.machines["v4"]
        await t.height(2)
        await t.admit([machine, world.machines["v5"]])
        await t.all_at(1, ["v4"])
        old = machine.disk.backup()
        _, in_force = await t.add(machine)
        await t.height(in_force + t.rng.randint(0, 4))
        await t.until(lambda: world.machines["v4"].running.engine.voting, "v4 votes")
        await t.until(lambda: t.oracle.voted(consensus_key("v4")) > 0, "v4 has voted")
        # With another one down the chain stands still where v4 votes, or has voted.
        away = t.rng.choice(FOUR)
        await t.down(away)
        await trio.sleep(t.rng.uniform(0, 0.5))
        await t.down("v4")
        if lost == "backup":
            machine.disk.restore(old)
            t.oracle.restored("v4", [])  # its chain is short again; no vote is excused
        elif lost == "votes":
            machine.disk.put(VOTES, None)
        else:
            machine.disk.wipe()
            t.oracle.emptied("v4")
        voted = t.oracle.voted(consensus_key("v4"))
        voters = {*FOUR, "v4"}
        if t.rng.random() < 0.5:
            t.let_up("v4")
            await trio.sleep(3)
            t.let_up(away)
        else:  # and meanwhile the set changes once more
            t.let_up(away)
            await t.add(world.machines["v5"])
            voters.add("v5")
            t.let_up("v4")
        await t.height(t.oracle.height + 6)
        await t.until(
            lambda: machine.node is not None and machine.node.engine.voting, "v4 votes again"
        )
        await t.until(lambda: t.oracle.voted(consensus_key("v4")) > voted, "v4 has voted again")
        await t.end(voters)

    play(seed, scenario, joining=["v4", "v5"])
