"""Issue 4, durability: whatever a crash leaves of a validator's disk, it never votes twice, and it
votes again."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trio

from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote, decode_vote
from consensus.params import Params
from consensus.primitives.errors import LocalFault
from node import wal
from p2p.ports import Channel
from p2p.virtual import VirtualConditions
from tests.sim.disk import VOTES, Fault, Loss, Strike
from tests.sim.oracle import Oracle, unwrapped
from tests.sim.quick import quickly
from tests.sim.world import World, consensus_key, run_world

PARAMS = Params(round_timeout_ms=400, min_block_interval_ms=100, empty_block_interval_ms=300)
LOSSY = VirtualConditions(loss=0.1)
HEIGHTS = 5
VICTIM = "v1"

KILLED = None
NOTHING_KEPT = Loss()
TORN = Loss(bytes_kept=0.6, names_kept=True)
ZEROED = Loss(bytes_kept=0.3, zeros=True)
ALL_KEPT = Loss(bytes_kept=1.0, names_kept=True)
FAULTS = (
    Fault(Strike.BEFORE, KILLED),
    Fault(Strike.BEFORE, NOTHING_KEPT),
    Fault(Strike.BEFORE, TORN),
    Fault(Strike.WITHIN, KILLED, 0.4),
    Fault(Strike.WITHIN, NOTHING_KEPT),
    Fault(Strike.WITHIN, TORN, 0.9),
    Fault(Strike.WITHIN, ZEROED),
    Fault(Strike.AFTER, KILLED),
    Fault(Strike.AFTER, NOTHING_KEPT),
    Fault(Strike.AFTER, TORN),
    Fault(Strike.AFTER, ZEROED),
    Fault(Strike.AFTER, ALL_KEPT),
)


@pytest.fixture(autouse=True)
def _small_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log is replaced at every second height or so; signature checks are remembered."""
    monkeypatch.setattr(wal, "REPLACE_BYTES", 4_000)
    with quickly():
        yield


async def _revive(world: World, name: str) -> None:
    """What systemd does, and the operator about a full disk."""
    machine = world.machines[name]
    while machine.node is None:
        await trio.sleep(0.05)
        machine.disk.full = False
        try:
            world.start(name)
        except LocalFault as error:
            assert error.code in ("CRASHED", "DISK_FULL"), error


@dataclass
class Run:
    """What one life with one fault was like."""

    operations: list[str]
    trace: str = ""


def _live(seed: int, after: int | None, *faults: Fault) -> Run:
    """A chain of some heights; each fault strikes ``after`` so many operations of the victim's,
    the first one counted from its start, the later ones each from the restart before it."""
    run = Run([])

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        machine = world.machines[VICTIM]
        world.start_all()
        if after is not None:
            machine.disk.plan(faults[0], after)
        async with trio.open_nursery() as nursery:

            async def load() -> None:
                while True:
                    await world.node("v0").submit([world.transaction().raw])
                    await trio.sleep(0.1)

            nursery.start_soon(load)
            for number in range(len(faults)):
                await machine.stopped.wait()
                for fault in faults[number + 1 : number + 2]:
                    machine.disk.plan(fault, world.rng.randrange(8))
                await _revive(world, VICTIM)
            await world.reach(HEIGHTS, list(world.machines))
            run.operations = list(machine.disk.operations)
            await world.until(lambda: machine.running.engine.voting)
            height = machine.running.chain.height
            await world.reach(height + 2, list(world.machines))
            nursery.cancel_scope.cancel()
        oracle.finish()

    run.trace = run_world(seed, scenario, PARAMS, conditions=LOSSY)
    return run


@functools.cache
def _undisturbed(seed: int) -> list[str]:
    return _live(seed, None).operations


def test_the_run_that_is_disturbed_has_every_operation() -> None:
    names = set(_undisturbed(1))
    assert names == {"fsync", "sync folder", "write", "fdatasync", "batch", "create", "rename"}


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_every_crash_point_of_some_heights(number: int) -> None:
    """At each operation of the validator's disk in turn: no double vote ever (the oracle hears
    every vote), and it votes again and the chain goes on. Unless CRASH_POINTS=all, each kind of
    crash has its share of the operations."""
    step = 1 if os.environ.get("CRASH_POINTS") == "all" else 24
    for after in range(2 * number % step, len(_undisturbed(1)), step):
        _live(1, after, FAULTS[number])


def test_crash_after_crash() -> None:
    """Again while it boots and mends what the first crash tore."""
    for after in range(3, len(_undisturbed(1)), 7):
        _live(1, after, Fault(Strike.WITHIN, TORN), *FAULTS[after % 10 : after % 10 + 2])


@pytest.mark.parametrize("seed", range(2, 5))
def test_drawn_crashes_of_all_validators(seed: int) -> None:
    """Every disk at some moment, with any loss, several at once."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        for _ in range(4):
            for machine in world.machines.values():
                strike = world.rng.choice((Strike.BEFORE, Strike.WITHIN, Strike.AFTER, Strike.FULL))
                # Zeros for bytes make a log that is not trusted: no more than f at once may be.
                loss = dataclasses.replace(Loss.drawn(world.rng), zeros=False)
                if world.rng.random() < 0.6:
                    kept = loss if world.rng.random() < 0.5 else None
                    fault = Fault(strike, kept, world.rng.random())
                    machine.disk.plan(fault, world.rng.randrange(12))
                if machine.node is not None:
                    await machine.running.submit([world.transaction().raw])
            await trio.sleep(world.rng.random() * 3)
            for name, machine in world.machines.items():
                machine.disk.unplan()
                await _revive(world, name)
                machine.disk.full = False
                machine.disk.slow_ms = 5
        await world.until(lambda: all(node.engine.voting for node in world.up()))
        height = max(node.chain.height for node in world.up())
        await world.reach(height + 3, list(world.machines))
        oracle.finish()

    run_world(seed, scenario, PARAMS, conditions=LOSSY)


def test_what_was_read_after_a_kill_outlives_a_power_cut() -> None:
    """Found by the model of the page cache: a process killed between write and fdatasync leaves a
    vote in the cache; read back, it is sent again, so it must be on the plate before."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(1, list(world.machines))
        machine = world.machines[VICTIM]
        machine.disk.plan(Fault(Strike.BEFORE, KILLED), operation="fdatasync")
        await machine.stopped.wait()
        in_cache = machine.votes.data
        assert in_cache is not None
        assert not machine.disk.on_plate(in_cache)
        await _revive(world, VICTIM)
        await world.until(lambda: machine.running.engine.voting)
        await world.crash(VICTIM, NOTHING_KEPT)
        assert (machine.votes.data or b"").startswith(in_cache)
        await _revive(world, VICTIM)
        await world.until(lambda: machine.running.engine.voting)
        oracle.finish()

    run_world(3, scenario, PARAMS)


# --- old backups -----------------------------------------------------------------------------


def _floor_of(world: World, name: str) -> int:
    data = world.machines[name].votes
    return 0 if data.data is None else wal.VoteLog(data, consensus_key(name)).floor


async def _observes_until_safe(world: World, oracle: Oracle, signed: int) -> None:
    """The restored validator signs nothing at or below ``signed``, the highest height in which
    it can have voted, and votes again later. It says why, unless it fetched that very height's
    block before it was shown the vote: then there is nothing left to contradict."""
    machine = world.machines[VICTIM]
    sent: list[int] = []

    def tap(source: bytes, _target: bytes, channel: Channel, payload: bytes) -> None:
        if source == machine.place and channel is Channel.CONSENSUS:
            sent.append(decode_vote(payload).height)

    world.network.taps.append(tap)
    node = world.start(VICTIM)
    await world.until(lambda: node.engine.voting)
    if node.engine.observed.memory_lost:
        assert _floor_of(world, VICTIM) > signed
        first = signed + 2  # M+2
    else:
        assert node.chain.height == signed
        first = signed + 1
    await world.until(lambda: bool(sent))
    assert min(sent) >= first
    # Now the others need it.
    await world.crash("v0")
    height = node.chain.height
    await world.reach(height + 3, ["v1", "v2", "v3"])
    oracle.finish()


@pytest.mark.parametrize("part", ["votes", "disk", "wiped votes", "wiped disk"])
def test_an_old_backup_observes_until_safe(part: str) -> None:
    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        machine = world.machines[VICTIM]
        world.start_all()
        await world.reach(2, list(world.machines))
        await world.crash(VICTIM)
        backup = machine.disk.backup()
        world.start(VICTIM)
        await world.reach(8, list(world.machines))
        await world.crash(VICTIM)
        signed = wal.VoteLog(machine.votes, consensus_key(VICTIM)).height
        if part == "votes":
            machine.disk.restore(backup, store=False)
        elif part == "disk":
            machine.disk.restore(backup)
        elif part == "wiped votes":
            machine.disk.put(VOTES, None)
        else:
            machine.disk.wipe()
        if "disk" in part:
            oracle.emptied(VICTIM)
        await _observes_until_safe(world, oracle, signed)

    run_world(4, scenario, PARAMS)


@pytest.mark.parametrize("kind", [Proposal, Prepare, Commit, RoundChange])
def test_a_backup_of_the_very_height_observes_until_safe(kind: type[Vote]) -> None:
    """The disk goes back to just before one vote. The chain and the log's height are those of
    now, so no block tells; the others that heard the vote do, before anything is signed."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        machine = world.machines[VICTIM]
        world.start_all()
        await world.reach(2, list(world.machines))
        if kind is RoundChange:
            await trio.sleep(0.5)
            place = [machine.place for machine in world.machines.values()]
            world.network.partition(tuple(place[:2]), tuple(place[2:]))
        told: list[int] = []
        backups = [machine.disk.backup()]

        def tap(source: bytes, _target: bytes, channel: Channel, payload: bytes) -> None:
            """A copy with each vote that leaves, until one of the kind does."""
            if source != machine.place or channel is not Channel.CONSENSUS or told:
                return
            vote = decode_vote(payload)
            if type(vote) is kind and vote.height > 2:
                told.append(vote.height)
            elif machine.votes.data != backups[-1].files[VOTES]:
                backups.append(machine.disk.backup())

        world.network.taps.append(tap)
        await world.until(lambda: bool(told))
        await trio.sleep(0.03)  # the vote is on its way
        await world.crash(VICTIM)
        world.network.heal()
        machine.disk.restore(backups[-1])
        oracle.emptied(VICTIM)
        await _observes_until_safe(world, oracle, told[0])

    run_world(5, scenario, PARAMS)


def test_a_flipped_bit_in_the_log_observes_until_safe() -> None:
    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        machine = world.machines[VICTIM]
        world.start_all()
        await world.reach(5, list(world.machines))
        await world.crash(VICTIM)
        signed = wal.VoteLog(machine.votes, consensus_key(VICTIM)).height
        machine.disk.flip(world.rng)
        await _observes_until_safe(world, oracle, signed)

    for seed in range(6, 9):
        run_world(seed, scenario, PARAMS)


def test_a_damaged_store_is_fetched_anew_and_the_log_stays() -> None:
    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        machine = world.machines[VICTIM]
        world.start_all()
        await world.reach(4, list(world.machines))
        before = machine.votes.data
        for _ in range(200):
            machine.kv.damage(world.rng)
        await machine.stopped.wait()
        assert machine.failure is not None
        assert "STORE_CORRUPT" in str(unwrapped(machine.failure))
        machine.disk.wipe_store()
        oracle.emptied(VICTIM)
        node = world.start(VICTIM)
        await world.until(lambda: node.engine.voting)
        assert not node.engine.observed.memory_lost
        assert before is not None and machine.votes.data is not None
        height = node.chain.height
        await world.reach(height + 2, list(world.machines))
        oracle.finish()

    run_world(9, scenario, PARAMS)


def test_the_chain_starts_again_when_all_stop_at_once() -> None:
    """Power fails for all; nobody is trusted until two others have spoken, and everybody can."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(3, list(world.machines))
        for name in world.machines:
            world.kill(name, TORN)
        for name, machine in world.machines.items():
            await machine.stopped.wait()
            await _revive(world, name)
        began = trio.current_time()
        await world.until(lambda: all(node.engine.voting for node in world.up()))
        assert trio.current_time() - began < 5
        await world.reach(6, list(world.machines))
        oracle.finish()

    run_world(10, scenario, PARAMS)


@pytest.mark.parametrize("validators", [3, 5])
def test_with_a_minority_down_the_rest_restarts_and_goes_on(validators: int) -> None:
    """Crash model: the check of a whole log never asks for more than a quorum has."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        world.start_all()
        await world.reach(3, list(world.machines))
        up = [f"v{index}" for index in range(validators // 2 + 1)]
        for name in world.machines:
            await world.crash(name)
        for name in up:
            world.start(name)
        await world.reach(6, up)
        oracle.finish()

    params = dataclasses.replace(PARAMS, fault_model="crash")
    run_world(11, scenario, params, validators=validators)
