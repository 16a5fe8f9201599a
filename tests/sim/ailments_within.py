"""More faults, and what the doctor must say: clocks, disks, memory of votes, outcomes, lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import trio

from consensus.messages import Prepare, Vote
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import HansaError
from node.doctor.findings import DEGRADED, NOTICE, STOPPED
from node.mempool import Mempool
from node.vitals import Disk
from tests.node.test_engine import leaves
from tests.sim import test_divergence as builds
from tests.sim.ailments import ALL, PARAMS, QUIET, Says, begin, keys, look, row
from tests.sim.liars import Lie, make_liar
from tests.sim.world import World

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
    (fault,) = leaves(world.machines["v3"].failure)
    assert isinstance(fault, HansaError) and fault.code == "DISK_FULL"
    await trio.sleep(10)


@row(
    "a disk that is nearly full",
    Says("v0", "DISK_FULL_SOON", DEGRADED, ("v0",), ("10 MiB of 20 GiB", "votes/")),
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
    node.engine.blocks_fetched = hold  # type: ignore[assignment]
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


# --- what no honest validator sends ---------------------------------------------------------------


class TwoFaced(Lie):
    """Prepares two outcomes."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if isinstance(vote, Prepare):
            return (vote, self.liar.signed(dataclasses.replace(vote, block_hash=sha256(b"x"))))
        return (vote,)


@row(
    "a validator that contradicts itself",
    Says("v0", "VALIDATOR_CONTRADICTS", DEGRADED, ("v3",), ("v3 (", "accusations", "rule 10")),
    Says("v3", "KEY_USED_TWICE", STOPPED, ("v3",), ("another machine", "stop it", "Rotate")),
)
async def contradiction(world: World) -> None:
    make_liar(world, "v3", TwoFaced())
    await begin(world)


class Forged(Lie):
    """Votes that are not signed by who sends them."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return (vote.with_signature(bytes(64)),)


@row(
    "a validator whose messages are refused",
    Says("v0", "VALIDATORS_MISSING", DEGRADED, ("v3",), ("SIGNATURE_INVALID",)),
)
async def forged(world: World) -> None:
    make_liar(world, "v3", Forged())
    await begin(world)
    await world.until(lambda: len(world.node("v0").network.connected()) == 2)
    assert [one.code for one in look(world, "v0")[1]] == ["VALIDATORS_MISSING", "PEER_AT_FAULT"]


@row(
    "a network too slow for the round time-out",
    Says("v0", "ROUNDS_LOST", DEGRADED, tuple(ALL), ("1000 ms", "round_timeout_ms", "rule 6")),
)
async def slow_network(world: World) -> None:
    for place in keys(world, *ALL):
        world.network.slow_ms[place] = 200
    await begin(world)
    await trio.sleep(60)


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
