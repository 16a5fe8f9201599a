"""The stall doctor at work: faults made in the virtual world, and what it must say of each.

Every row is a story with whole nodes, and what the doctor says at the end of it at one or more of
them: the first finding's code, how bad it is, whom it is about, and words that must be in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from consensus.messages import Commit, Proposal, Vote
from consensus.params import Params
from consensus.primitives.errors import HansaError
from node.doctor.examine import diagnose, verdict
from node.doctor.findings import DEGRADED, NOTICE, STOPPED, Finding, is_healthy
from node.mempool import Mempool
from node.vitals import Disk, Vitals, vitals_of
from tests.sim import test_divergence as builds
from tests.sim.governance import admit
from tests.sim.liars import Lie, make_liar
from tests.sim.world import World, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)
QUIET = Params(round_timeout_ms=1_000, empty_block_interval_ms=60_000)
ALL = ["v0", "v1", "v2", "v3"]

Story = Callable[[World], Awaitable[None]]


def look(world: World, name: str, disk: Disk | None = None) -> tuple[Vitals, list[Finding]]:
    """What the doctor says at a machine."""
    vitals = vitals_of(world.node(name), world.machines[name].network_key, name, "1", disk)
    return vitals, diagnose(vitals)


@dataclass(frozen=True)
class Says:
    """The first finding at a node."""

    at: str
    code: str
    severity: str
    about: tuple[str, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    name: str
    story: Story
    says: tuple[Says, ...]
    params: Params
    full: int
    healthy: tuple[str, ...]
    """Where nothing is wrong."""
    disk: Disk | None = field(default=None)


ROWS: list[Row] = []


def row(
    name: str,
    *says: Says,
    params: Params = PARAMS,
    full: int = 0,
    healthy: Iterable[str] = (),
    disk: Disk | None = None,
) -> Callable[[Story], Story]:
    def add(story: Story) -> Story:
        ROWS.append(Row(name, story, says, params, full, tuple(healthy), disk))
        return story

    return add


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

    run_world(1, scenario, one.params, full=one.full)


def keys(world: World, *names: str) -> tuple[bytes, ...]:
    return tuple(world.machines[name].network_key for name in names)


async def begin(world: World, height: int = 3) -> None:
    world.start_all()
    await world.reach(height, list(world.machines))
    await trio.sleep(6)


async def hand_in(world: World, name: str, count: int = 1) -> None:
    answers = await world.node(name).submit([world.transaction().raw for _ in range(count)])
    assert all(answer.accepted for answer in answers)


# --- nothing is wrong ----------------------------------------------------------------------------


@row("healthy and idle", params=QUIET, full=1, healthy=[*ALL, "f0"])
async def idle(world: World) -> None:
    await begin(world, 1)
    await trio.sleep(100)


@row("healthy and busy", healthy=ALL)
async def busy(world: World) -> None:
    await begin(world)
    for _ in range(20):
        await hand_in(world, "v1", 3)
        await trio.sleep(0.1)


@row("healthy again after a restart", healthy=ALL)
async def back(world: World) -> None:
    await begin(world)
    await world.crash("v1")
    await trio.sleep(10)
    world.start("v1")
    await trio.sleep(10)


# --- who is missing ------------------------------------------------------------------------------


@row(
    "one of four down",
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v1",),
         ("v1 (", "the peer went away", "3 of 4", "one more missing stops it", "Start v1")),
    Says("f0", "VALIDATORS_MISSING", DEGRADED, ("v1",)),
    full=1,
)  # fmt: skip
async def one_down(world: World) -> None:
    await begin(world)
    await world.crash("v1")
    height = world.node("v0").chain.height
    await trio.sleep(30)
    assert world.node("v0").chain.height > height


@row(
    "two of four down",
    Says("v0", "QUORUM_MISSING", STOPPED, ("v1", "v2"),
         ("2 of 4", "3 are needed", "v1 (", "v2 (", "ROUND-CHANGEs", "missing: v1, v2", "rule 3",
          "don't use --vote-from")),
    Says("v3", "QUORUM_MISSING", STOPPED, ("v1", "v2")),
    Says("f0", "QUORUM_MISSING", STOPPED, ("v1", "v2"), ("height", "since the last block")),
    full=1,
)  # fmt: skip
async def two_down(world: World) -> None:
    await begin(world)
    await world.crash("v1")
    await world.crash("v2")
    await trio.sleep(30)


@row(
    "partition two and two",
    Says("v0", "QUORUM_MISSING", STOPPED, ("v2", "v3"), ("nothing heard", "network between")),
    Says("v2", "QUORUM_MISSING", STOPPED, ("v0", "v1")),
)
async def halves(world: World) -> None:
    await begin(world)
    world.network.partition(keys(world, "v0", "v1"), keys(world, "v2", "v3"))
    await trio.sleep(30)


@row(
    "one direction of one link cut",
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v1",), ("v1 (", "nothing heard")),
    Says("v1", "VALIDATORS_MISSING", DEGRADED, ("v0",)),
    healthy=["v2", "v3"],
)
async def one_way(world: World) -> None:
    await begin(world)
    world.network.block(*keys(world, "v0", "v1"))
    await trio.sleep(30)


@row(
    "a node that hears but is not heard",
    Says("v3", "NODE_ALONE", STOPPED, ("v3",), ("none of the 3", "nothing heard", "this machine")),
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v3",)),
)
async def unheard(world: World) -> None:
    await begin(world)
    for name in ("v0", "v1", "v2"):
        world.network.block(*keys(world, "v3", name))
    await trio.sleep(30)


@row(
    "a node cut off while the others reach each other",
    Says("v0", "LINKS_MISSING", DEGRADED, ("v1", "v2"), ("blocks come", "between this machine")),
)
async def badly_linked(world: World) -> None:
    await begin(world)
    for name in ("v1", "v2"):
        world.network.block(*keys(world, "v0", name))
    await trio.sleep(60)


@row(
    "alone from the start",
    Says("v0", "NODE_ALONE", STOPPED, ("v0",), ("none of the 3", "nothing was heard at all")),
)
async def alone(world: World) -> None:
    world.make_vote_log("v0")
    world.start("v0")
    await trio.sleep(20)


class Mute(Lie):
    """A validator that is there and votes for nothing."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return ()


@row(
    "a validator that is connected and does not vote",
    Says("v0", "VALIDATORS_SILENT", DEGRADED, ("v3",), ("connected but does not vote", "rule 9")),
)
async def silent(world: World) -> None:
    make_liar(world, "v3", Mute())
    await begin(world)
    await trio.sleep(20)


@row(
    "one silent, one down",
    Says("v0", "QUORUM_MISSING", STOPPED, ("v1", "v3"), ("v1 (", "v3 (", "does not vote")),
)
async def silent_and_down(world: World) -> None:
    make_liar(world, "v3", Mute())
    await begin(world)
    await world.crash("v1")
    await trio.sleep(30)


class NeverCommits(Lie):
    """As of a release that fails at one step."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return () if isinstance(vote, Commit) else (vote,)


@row(
    "rounds that change and change",
    Says("v0", "VOTES_WAIT", STOPPED, ("v1", "v2", "v3"),
         ("2 more of the 3 COMMITs", "v0 sent theirs", "missing: v1, v2, v3", "rule 3", "round")),
    params=dataclasses.replace(PARAMS, round_timeout_max_ms=1_000),
)  # fmt: skip
async def stuck(world: World) -> None:
    for name in ("v1", "v2", "v3"):
        make_liar(world, name, NeverCommits())
    world.start_all()
    await trio.sleep(40)

    def waits_for_commits() -> bool:
        agreement = look(world, "v0")[0].agreement
        assert agreement is not None and agreement.height == 1 and agreement.round > 5
        return any(round_ == agreement.round for round_, _, _ in agreement.commits)

    await world.until(waits_for_commits)


class NeverProposes(Lie):
    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return () if isinstance(vote, Proposal) else (vote,)


@row(
    "proposers out of turn",
    Says("v0", "VALIDATORS_SKIPPED", NOTICE, ("v3",), ("proposes no blocks for now",)),
    healthy=ALL,
)
async def skipped(world: World) -> None:
    make_liar(world, "v3", NeverProposes())
    await begin(world)
    await trio.sleep(120)


# --- behind --------------------------------------------------------------------------------------


@row(
    "a full node that catches up",
    Says("f0", "CATCHING_UP", DEGRADED, ("f0",), ("blocks behind", "fetches")),
    full=1,
)
async def catching_up(world: World) -> None:
    for name in ALL:
        world.make_vote_log(name)
        world.start(name)
    await world.reach(20, ALL)
    world.machines["f0"].disk.slow_ms = 40
    node = world.start("f0")
    await world.until(lambda: node.chain.height > 3)


@row(
    "a validator that is behind",
    Says("v0", "VALIDATORS_BEHIND", DEGRADED, ("v3",), ("v3 (", "blocks behind", "catches up")),
)
async def validator_behind(world: World) -> None:
    await begin(world)
    await world.crash("v3")
    await world.reach(60, ["v0"], 400)
    world.machines["v3"].disk.slow_ms = 200
    world.start("v3")
    await trio.sleep(8)


@row(
    "peers that don't show their blocks",
    Says("f0", "SYNC_STUCK", STOPPED, ("f0",), ("told of blocks and did not show them",)),
    full=1,
)
async def sync_stuck(world: World) -> None:
    for name in ALL:
        world.make_vote_log(name)
        world.start(name)
    await world.reach(5, ALL)

    async def refuse(peer: bytes, payload: bytes) -> bytes:
        raise HansaError("NOT_READY", "not now")

    for name in ALL:
        world.node(name).on_request = refuse  # type: ignore[method-assign]
    world.start("f0")
    await trio.sleep(20)


# --- refused, keys -------------------------------------------------------------------------------


@row(
    "a node that nobody has admitted",
    Says("v9", "NOT_ADMITTED", STOPPED, ("v9",), ("network key", "add-node")),
    healthy=ALL,
)
async def not_admitted(world: World) -> None:
    await begin(world)
    world.add_machine("v9")
    world.start("v9")
    await trio.sleep(10)


@row(
    "a node with another genesis document",
    Says("v3", "CHAIN_DIFFERS", STOPPED, ("v0", "v1", "v2"), ("genesis", "chain id", "votes/")),
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v3",)),
)
async def other_chain(world: World) -> None:
    """In the words of p2p.link; that real nodes say so is shown by tests/e2e."""
    await begin(world)
    for name in ("v0", "v1", "v2"):
        world.network.block(*keys(world, "v3", name))
    await trio.sleep(10)
    network: Any = world.node("v3").network
    for peer in keys(world, "v0", "v1", "v2"):
        network.last_error[peer] = (
            "the peer refused this node: another genesis: this chain is 00, yours 11"
        )


@row(
    "a key that is not a validator's yet",
    Says("v4", "KEY_WITHOUT_VOTE", NOTICE, ("v4",), ("follows as a full node", "add-validator")),
    healthy=[*ALL, "v4"],
)
async def no_vote_yet(world: World) -> None:
    await begin(world)
    machine = world.add_machine("v4")
    await admit(world, machine)
    world.start("v4")
    await trio.sleep(10)


@row(
    "a validator without its key",
    Says("v3", "KEY_ABSENT", DEGRADED, ("v3",), ("without a consensus key", "Never take votes/")),
)
async def no_key(world: World) -> None:
    await begin(world)
    await world.crash("v3")
    world.machines["v3"].validator = False
    world.start("v3")
    await trio.sleep(10)


@row(
    "a validator with another key than the chain has",
    Says("v3", "KEY_NOT_IN_FORCE", DEGRADED, ("v3",), ("another consensus key",)),
)
async def other_key(world: World) -> None:
    await begin(world)
    await world.crash("v3")
    machine = world.machines["v3"]
    machine.seed_kind = "consensus next"
    machine.votes.data = None
    world.start("v3")
    await trio.sleep(10)


# --- clocks --------------------------------------------------------------------------------------


@row(
    "one clock ahead",
    Says("v3", "CLOCK_WRONG", DEGRADED, ("v3",), ("12.0 s ahead of", "rule 7", "time service")),
    Says("v0", "PEER_CLOCK_WRONG", DEGRADED, ("v3",), ("v3", "12.0 s ahead of")),
    params=dataclasses.replace(PARAMS, empty_block_interval_ms=500),
)
async def one_clock(world: World) -> None:
    world.machines["v3"].clock.skew_ms = 12_000
    await begin(world)
    await trio.sleep(10)


@row(
    "one clock behind",
    Says("v1", "CLOCK_WRONG", DEGRADED, ("v1",), ("7.0 s behind",)),
)
async def one_clock_behind(world: World) -> None:
    world.machines["v1"].clock.skew_ms = -7_000
    await begin(world)
    await trio.sleep(20)


@row(
    "two clocks ahead, overridden by t+1",
    Says("v0", "CLOCKS_DISAGREE", DEGRADED, ("v0", "v1", "v2", "v3"), ("2 of the 4", "v2 +12.0")),
)
async def two_clocks(world: World) -> None:
    """Rule 7: t+1 PREPAREs override the refusal, so that blocks go on."""
    for name in ("v2", "v3"):
        world.machines[name].clock.skew_ms = 12_000
    await begin(world)
    await trio.sleep(10)


@row(
    "no two clocks agree",
    Says("v0", "CLOCKS_DISAGREE", STOPPED, ("v0", "v2", "v3"),
         ("1 of the 3", "v0 -20.0 s", "v3 +20.0 s", "rule 7")),
)  # fmt: skip
async def all_clocks(world: World) -> None:
    for skew, name in zip((0, -20_000, 20_000, 40_000), ALL, strict=True):
        world.machines[name].clock.skew_ms = skew
    world.start_all()
    await trio.sleep(90)


# --- disks ---------------------------------------------------------------------------------------


@row(
    "a full disk ends one node",
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v3",)),
)
async def full_disk(world: World) -> None:
    await begin(world)
    world.machines["v3"].disk.full = True
    await world.machines["v3"].stopped.wait()
    (fault,) = builds.leaves(world.machines["v3"].failure)
    assert isinstance(fault, HansaError) and fault.code == "DISK_FULL"
    await trio.sleep(10)


@row(
    "a disk that is nearly full",
    Says("v0", "DISK_FULL_SOON", STOPPED, ("v0",), ("10 MiB of 20 GiB", "votes/")),
    disk=Disk(10 << 20, 20 << 30),
)
async def nearly_full(world: World) -> None:
    await begin(world)


@row(
    "a slow disk",
    Says("v3", "DISK_SLOW", DEGRADED, ("v3",), ("300 ms", "memory disk")),
)
async def slow_disk(world: World) -> None:
    world.machines["v3"].disk.slow_ms = 150
    await begin(world)
    await trio.sleep(20)


# --- a validator without its memory --------------------------------------------------------------


@row(
    "a lost vote log, and too few to ask",
    Says("v3", "ANSWERS_WAIT", STOPPED, ("v3",),
         ("1 of the 2", "(v0)", "v1 (", "v2 (", "VOTE_LOG_MISSING", "rule 9", "Never copy")),
)  # fmt: skip
async def nobody_to_ask(world: World) -> None:
    await begin(world)
    for name in ("v1", "v2", "v3"):
        await world.crash(name)
    world.machines["v3"].votes.data = None
    world.start("v3")
    await trio.sleep(20)


@row(
    "a lost vote log, two heights to wait",
    Says("v3", "VOTES_LATER", DEGRADED, ("v3",), ("votes again from height", "Wait", "Never copy")),
    params=QUIET,
)
async def votes_later(world: World) -> None:
    await begin(world, 1)
    await world.crash("v3")
    world.machines["v3"].votes.data = None
    node = world.start("v3")
    await world.until(lambda: node.engine.signer is not None)


@row(
    "more lost vote logs than may lie",
    Says("v2", "VOTES_LATER", STOPPED, ("v2",), ("docs/operations.md", "to the letter")),
    Says("v0", "QUORUM_MISSING", STOPPED, ("v2", "v3"), ("connected but does not vote",)),
)
async def two_lost_logs(world: World) -> None:
    await begin(world)
    for name in ("v2", "v3"):
        await world.crash(name)
        world.machines[name].votes.data = None
    for name in ("v2", "v3"):
        world.start(name)
    await trio.sleep(40)


@row(
    "an own vote that the log lacks",
    Says("v3", "OWN_VOTE_SHOWN", DEGRADED, ("v3",),
         ("showed an own", "another machine", "votes again from height", "Never copy")),
)  # fmt: skip
async def own_vote_shown(world: World) -> None:
    await begin(world)
    machine = world.machines["v3"]
    await world.crash("v3")
    backup = machine.disk.backup()
    world.start("v3")
    await world.reach(20, ["v3"])
    await world.crash("v3")
    machine.disk.restore(backup)
    node = world.start("v3")
    observed = node.engine.observed
    await world.until(lambda: bool(observed.memory_lost) and not node.recoveries)
    assert not node.engine.voting


# --- outcomes ------------------------------------------------------------------------------------


@row(
    "somebody else's outcome diverges",
    Says("v0", "VALIDATOR_DIVERGES", DEGRADED, ("v2",), ("another outcome", "Validators disagree")),
)
async def diverging_other(world: World) -> None:
    await begin(world)
    builds.other_build(world.node("v2"), " of v2")
    await builds.hand_in(world, [builds.labelled(world, 1)])
    await world.machines["v2"].stopped.wait()


@row(
    "the own outcome diverges",
    Says("v2", "OUTCOME_DIVERGES", STOPPED, ("v2",), ("identity.add_key", "report", "votes/")),
)
async def diverging_self(world: World) -> None:
    await begin(world)
    node = world.node("v2")
    builds.other_build(node, " of v2")

    async def hold(peer: bytes, payload: bytes) -> None:
        await trio.sleep_forever()

    # Its last moments, before it meets the certified block.
    node.engine.block_fetched = hold  # type: ignore[assignment]
    await builds.hand_in(world, [builds.labelled(world, 1)])
    await world.until(lambda: bool(node.engine.observed.reports))


@row(
    "outcomes without a quorum, held out",
    Says("v0", "VOTE_SPLIT", DEGRADED, ("v0",), ("none had a quorum", "one build", "rule 8")),
)
async def split(world: World) -> None:
    await begin(world)
    for name in ("v2", "v3"):
        builds.other_build(world.node(name), " of others")
    odd = builds.labelled(world, 1)
    await builds.hand_in(world, [odd])
    await world.until(lambda: builds.held_out(world.node("v0"), odd))
    await trio.sleep(10)


# --- transactions --------------------------------------------------------------------------------


@row(
    "empty blocks, because every transaction is refused",
    Says("v0", "TXS_REFUSED", NOTICE, ("v0",), ("20 TX_EXPIRED", "wrong clock")),
    healthy=ALL,
)
async def refused(world: World) -> None:
    await begin(world)
    expired = [world.transaction(valid_for_ms=-1).raw for _ in range(20)]
    await world.node("v0").submit(expired)
    await trio.sleep(5)


@row(
    "a full mempool",
    Says("v0", "MEMPOOL_FULL", DEGRADED, ("v0",), ("3 transactions", "try again")),
)
async def full_mempool(world: World) -> None:
    for name in ALL:
        world.make_vote_log(name)
        world.start(name, mempool=Mempool(txs_max=3))
    await world.reach(1, ALL)
    await world.node("v0").submit([world.transaction().raw for _ in range(5)])
