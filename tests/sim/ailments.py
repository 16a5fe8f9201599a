"""Faults in the virtual world, and what the doctor must say: who is there, who is behind, keys.

Every row is a story with whole nodes, and what the doctor says at the end of it at one or more of
them: the first finding's code, how bad it is, whom it is about, and words that must be in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import trio

from consensus.messages import Commit, Proposal, Vote
from consensus.params import Params
from consensus.primitives.errors import HansaError
from node.doctor.examine import diagnose
from node.doctor.findings import DEGRADED, NOTICE, STOPPED, Finding
from node.node import Node
from node.vitals import Disk, Vitals, vitals_of
from tests.sim.governance import admit
from tests.sim.liars import Lie, make_liar
from tests.sim.world import World

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


@row(
    "a full node down",
    Says("v0", "PEERS_MISSING", NOTICE, ("f0",), ("do not need them",)),
    full=1,
    healthy=ALL,
)
async def full_node_down(world: World) -> None:
    await begin(world)
    await world.crash("f0")
    await trio.sleep(20)


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
    for name in ALL:
        _answers_slowly(world.node(name))
    world.start("f0")
    await trio.sleep(3)


def _answers_slowly(node: Node) -> None:
    answer = node.on_request

    async def slowly(peer: bytes, payload: bytes) -> bytes:
        await trio.sleep(5)
        return await answer(peer, payload)

    node.on_request = slowly  # type: ignore[method-assign]


@row(
    "a validator that is behind",
    Says("v0", "VALIDATORS_BEHIND", DEGRADED, ("v3",), ("v3 (", "blocks behind", "catches up")),
)
async def validator_behind(world: World) -> None:
    await begin(world)
    await world.crash("v3")
    await world.reach(60, ["v0"], 400)
    world.machines["v3"].disk.slow_ms = 10_000
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
    """In the words of p2p.link, as real nodes have them (tests/e2e/test_faults.py)."""
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
