"""Lets a storm loose on a world, heals a quorum, and requires the chain to go on.

Phase 1: the storm's faults strike at their times, under load, until its time is over. Nothing but
safety is asked. Phase 2: all machines but the storm's ``broken`` ones are up, connected and have
room on their disks; they must commit a new block within ``RECOVERY_TIMEOUTS_MAX`` and then
reach the heights asked for, each within ``HEIGHT_TIMEOUTS_MAX``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import trio

from consensus.primitives.errors import LocalFault
from node import engine, wal
from node.mempool import Mempool
from p2p.ports import Channel
from p2p.virtual import VirtualConditions
from tests.sim.disk import VOTES, Loss
from tests.sim.liars import make_liar
from tests.sim.lies import LIES
from tests.sim.machine import Machine, consensus_key
from tests.sim.oracle import EXPECTED_FAILURES, Oracle, Violation, unwrapped
from tests.sim.quick import quickly
from tests.sim.weather import (
    BadDisk,
    Burst,
    Crash,
    Cut,
    Fault,
    Forget,
    FullDisk,
    Mud,
    Rain,
    Rot,
    Skew,
    Storm,
)
from tests.sim.world import World, run_world

HEIGHTS: Final = 50
UNTIL_RESTORED: Final = 2**63
"""No height: a machine stays among the forgetful until its backup has been put back."""
KEEPER_S: Final = 0.1
RECOVERY_TIMEOUTS_MAX: Final = 12
"""A healed quorum must commit a new block within so many of its longest round time-outs."""
HEIGHT_TIMEOUTS_MAX: Final = 6
"""And each block after it within so many."""
SETTLE_S_MAX: Final = 30.0
"""When the load has ended, all that was accepted is committed or expired within this time."""
CALM_DELAY_MS: Final = (1, 20)


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    seed: int
    trace: str
    height: int
    height_healed: int
    """The highest block when the storm ended."""
    recovery_ms: int
    """From there to the first new block."""
    whole: bool
    """Whether every validator was honest, back, and knew what it had signed."""
    caught_up_ms: int
    """From there to a new block at every sound machine."""
    timeout_ms: int
    """``round_timeout_ms`` of the run."""
    virtual_ms: int
    transactions: int
    rounds_max: int
    violation: str = ""


class Play:
    """One run. ``tell`` takes the lines of the timeline."""

    def __init__(
        self, storm: Storm, heights: int = HEIGHTS, tell: Callable[[str], None] | None = None
    ) -> None:
        self.storm = storm
        self.heights = heights
        self._tell = tell
        self.rng = random.Random(f"hansa play {storm.seed}")
        self.world: World
        self.oracle: Oracle
        self.healed = False
        self.whole = False
        self.broken: tuple[str, ...] = ()
        self.healed_at = 0.0
        self.height_healed = 0
        self.recovered_at = 0.0
        self._down_until: dict[str, float] = {}
        self._frail: dict[str, int] = {}
        """Who may have forgotten votes -> the height with which that is over, once it votes."""
        self._may_have_zeros: set[str] = set()
        """Whose vote log a power cut may leave with zeros."""
        self._ended_at = 0.0
        self._loaded = False

    # --- the run -----------------------------------------------------------------------------

    def run(self) -> Result:
        """Raises nothing: what was found is in the result."""
        storm = self.storm
        violation, trace = "", ""
        try:
            with quickly(), _constants(storm):
                trace = run_world(
                    storm.seed,
                    self._scenario,
                    storm.params,
                    validators=storm.validators,
                    full=storm.full,
                    conditions=self._conditions(storm.delay_ms),
                )
        except BaseExceptionGroup as group:
            error = unwrapped(group)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise error from None
            violation = str(error) if isinstance(error, Violation) else repr(error)
            if not isinstance(error, Violation):
                violation += _place(error)
        return self._result(trace or self.world.trace.hexdigest(), violation)

    def _result(self, trace: str, violation: str) -> Result:
        return Result(
            seed=self.storm.seed,
            trace=trace,
            height=self.oracle.height,
            height_healed=self.height_healed,
            recovery_ms=self._since_healing(self.oracle.first_at(self.height_healed + 1)),
            whole=self.whole,
            caught_up_ms=self._since_healing(self.recovered_at),
            timeout_ms=self.storm.params.round_timeout_ms,
            virtual_ms=round(self._ended_at * 1000),
            transactions=len(self.oracle.positions),
            rounds_max=self.oracle.round_max,
            violation=violation,
        )

    def _since_healing(self, moment: float) -> int:
        """Milliseconds; -1 for what never came."""
        reached = self.healed and self.healed_at <= moment < float("inf")
        return round((moment - self.healed_at) * 1000) if reached else -1

    async def _scenario(self, world: World) -> None:
        self.world = world
        self.oracle = Oracle(world)
        world.network.taps.append(self._trace)
        if self._tell is not None:
            self.oracle.tell = self.tell
        try:
            async with trio.open_nursery() as nursery:
                self.nursery = nursery
                for name, lies in self.storm.liars:
                    make_liar(world, name, *(LIES[lie]() for lie in lies), seed=self.storm.seed)
                for name, machine in world.machines.items():
                    if machine.validator:
                        world.make_vote_log(name)
                    self._start(name)
                nursery.start_soon(self._keep_up)
                nursery.start_soon(self._load)
                await self._storm()
                await self._heal()
                await self._progress()
                self.oracle.finish(frozenset(self.sound))
                nursery.cancel_scope.cancel()
        finally:
            self._ended_at = trio.current_time()

    def tell(self, text: str) -> None:
        if self._tell is not None:
            self._tell(f"{trio.current_time():9.3f} s  {text}")

    def _trace(self, source: bytes, target: bytes, _channel: Channel, payload: bytes) -> None:
        """Every byte that any node sends is part of what two runs of a seed must agree in."""
        self.world.trace.update(b"%.3f" % trio.current_time() + source + target + payload)

    @property
    def sound(self) -> list[str]:
        """Whom phase 2 asks for progress."""
        unsound = {*self.broken, *self.world.liars}
        return [name for name in self.world.machines if name not in unsound]

    def up(self) -> list[str]:
        return [name for name, machine in self.world.machines.items() if machine.node is not None]

    # --- machines ----------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._look_for_zeros(name)
        try:
            self.world.start(name, mempool=Mempool(txs_max=self.storm.mempool_max))
        except LocalFault as error:
            self.tell(f"{name} does not start: {error}")
            if error.code not in EXPECTED_FAILURES and name not in self.world.liars:
                raise Violation(f"{name} does not start: {error}") from error
            self._repair(name, error.code)
            self._down_until[name] = trio.current_time() + 1.0

    def _allowed(self, name: str, loss: Loss | None) -> Loss | None:
        """Zeros at the end of a vote log's last record may stand for a vote that others heard, so
        its validator looks on as if it had forgotten: as few of them as may forget."""
        if loss is None or not loss.zeros or not self.world.machines[name].validator:
            return loss
        if len(self._may_have_zeros | self._frail.keys() | self.world.liars | {name}) > (
            self.storm.frail_max
        ):
            return replace(loss, zeros=False)
        self._may_have_zeros.add(name)
        return loss

    def _look_for_zeros(self, name: str) -> None:
        disk = self.world.machines[name].disk
        if name in self._may_have_zeros and name not in self._frail:
            try:
                wal._split(disk.contents() or b"")
            except LocalFault as error:
                self.tell(f"{name} has no usable vote log: {error.message}")
                self._frail[name] = self.oracle.voted(consensus_key(name))

    async def _crash(self, name: str, down_s: float, loss: Loss | None) -> None:
        loss = self._allowed(name, loss)
        self._down_until[name] = trio.current_time() + down_s
        if self.world.machines[name].node is not None:
            await self.world.crash(name, loss)

    async def _keep_up(self) -> None:
        """What systemd does: whatever is down and not held down starts again."""
        while True:
            await trio.sleep(KEEPER_S)
            for name, machine in self.world.machines.items():
                if machine.node is None and trio.current_time() >= self._down_until.get(name, 0):
                    self._after_failure(name, machine)
                    self.tell(f"{name} starts")
                    self._start(name)
            for name, until in list(self._frail.items()):
                node = self.world.machines[name].node
                if node is not None and node.engine.voting and node.chain.height >= until:
                    del self._frail[name]

    def _after_failure(self, name: str, machine: Machine) -> None:
        if machine.failure is not None:
            error = unwrapped(machine.failure)
            self.tell(f"{name} had stopped: {error}")
            self._repair(name, getattr(error, "code", ""))
            machine.failure = None

    def _repair(self, name: str, code: str) -> None:
        """What the operator does about a damaged store: takes it away, and the node fetches it."""
        if code == "STORE_CORRUPT":
            self._empty_store(name)

    def _empty_store(self, name: str) -> None:
        self.world.machines[name].disk.wipe_store()
        self.oracle.emptied(name)

    # --- load --------------------------------------------------------------------------------

    async def _load(self) -> None:
        while True:
            await trio.sleep(self.rng.uniform(0, 2 * self.storm.load_every_ms) / 1000)
            up = self.up()
            if up and not self._loaded:
                await self._submit(self.rng.choice(up))

    async def _submit(self, name: str) -> None:
        node = self.world.machines[name].node
        if node is None:
            return
        tx = self.world.transaction(valid_for_ms=self.rng.choice((3_000, 20_000, 300_000)))
        await node.submit([tx.raw])

    # --- phase 1 -----------------------------------------------------------------------------

    async def _storm(self) -> None:
        start = trio.current_time()
        for fault in self.storm.faults:
            await trio.sleep(max(0.0, start + fault.at_ms / 1000 - trio.current_time()))
            if self.oracle.height > self.heights * 7 // 10:
                return
            self.nursery.start_soon(self._strike, fault)
        await trio.sleep(max(0.0, start + self.storm.storm_ms / 1000 - trio.current_time()))

    async def _strike(self, fault: Fault) -> None:
        self.tell(f"* {fault}")
        if isinstance(fault, Crash):
            await self._crashes(fault)
        elif isinstance(fault, Cut):
            await self._cuts(fault)
        elif isinstance(fault, Rain):
            await self._rains(fault)
        elif isinstance(fault, Forget):
            await self._forgets(fault)
        elif isinstance(fault, Burst):
            for _ in range(fault.count):
                await self._submit(fault.name)
        else:
            await self._hinders(self.world.machines[fault.name], fault)

    async def _hinders(
        self, machine: Machine, fault: Mud | Skew | BadDisk | FullDisk | Rot
    ) -> None:
        """What is done to one machine without ending it."""
        disk, slow_ms = machine.disk, self.world.network.slow_ms
        if isinstance(fault, Skew):
            machine.clock.skew_ms = fault.skew_ms
        elif isinstance(fault, BadDisk):
            struck = replace(fault.fault, loss=self._allowed(fault.name, fault.fault.loss))
            disk.plan(struck, fault.after, fault.operation)
        elif isinstance(fault, Rot):
            if machine.node is not None:  # else it may be empty
                disk.kv.damage(self.rng)
        elif isinstance(fault, FullDisk):
            disk.full = True
            await trio.sleep(fault.for_ms / 1000)
            disk.full = False
        else:
            disk.slow_ms, slow_ms[machine.place] = fault.disk_ms, fault.slow_ms
            await trio.sleep(fault.for_ms / 1000)
            disk.slow_ms, slow_ms[machine.place] = 0, 0

    async def _crashes(self, fault: Crash) -> None:
        for name in fault.names:
            await self._crash(name, fault.down_ms / 1000, fault.loss)
        for _ in range(fault.boots):
            await trio.sleep((fault.down_ms + fault.boot_ms) / 1000 + KEEPER_S)
            if self.healed:
                return
            for name in fault.names:
                await self._crash(name, fault.down_ms / 1000, fault.loss)

    async def _cuts(self, fault: Cut) -> None:
        key = {name: machine.place for name, machine in self.world.machines.items()}
        for _ in range(fault.times):
            for source, target in fault.pairs:
                if not self.healed:
                    self.world.network.block(key[source], key[target])
            await trio.sleep(fault.for_ms / 1000)
            if self.healed:
                return
            for source, target in fault.pairs:
                self.world.network.unblock(key[source], key[target])
            await trio.sleep(fault.for_ms / 1000)

    async def _rains(self, fault: Rain) -> None:
        network = self.world.network
        network.conditions = replace(
            network.conditions,
            loss=fault.loss,
            delay_ms=fault.delay_ms,
            duplicate=fault.duplicate,
            reorder=fault.reorder,
        )
        await trio.sleep(fault.for_ms / 1000)
        if not self.healed:
            network.conditions = self._conditions(self.storm.delay_ms)

    def _conditions(self, delay_ms: tuple[int, int]) -> VirtualConditions:
        return VirtualConditions(delay_ms=delay_ms, silence_ms=self.storm.silence_ms)

    async def _forgets(self, fault: Forget) -> None:
        name, what = fault.name, fault.what
        machine = self.world.machines[name]
        votes = what != "chain" and machine.validator
        if what == "backup" and self.storm.limits.tolerated_liars == 0:
            return  # can fork there: rule 9, "Where t is 0"
        unsound = self._may_have_zeros | self._frail.keys() | self.world.liars | {name}
        if votes and len(unsound) > self.storm.frail_max:
            return
        key = consensus_key(name)
        if votes:
            self._frail[name] = self._tip(name)
        if what == "backup":
            old = machine.disk.backup()
            self._frail[name] = UNTIL_RESTORED
            await trio.sleep(fault.age_ms / 1000)
            if self.healed:
                del self._frail[name]
                return
        await self._crash(name, fault.down_ms / 1000, Loss())
        if what == "backup":
            machine.disk.restore(old)
            self.oracle.restored(name, [key])
            self._frail[name] = self.oracle.voted(key)
        if what in ("votes", "disk"):
            machine.disk.put(VOTES, None)
        if what == "bit":
            machine.disk.flip(self.rng)
        if what in ("chain", "disk"):
            self._empty_store(name)

    # --- phase 2 -----------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Free the sound machines; the broken ones are down or unreachable from here on."""
        world, network = self.world, self.world.network
        self.healed = True
        self.healed_at = trio.current_time()
        self.height_healed = self.oracle.height
        for name in world.machines:
            self._look_for_zeros(name)
        self.broken = self._still_broken()
        self.whole = not (self.broken or self.storm.liars or self._frail)
        self.tell(f"--- healed at height {self.height_healed}, but {self.broken}")
        network.heal()
        network.conditions = self._conditions(CALM_DELAY_MS)
        for name, machine in world.machines.items():
            if name in self.broken:
                if self.rng.random() < 0.5:
                    await self._crash(name, float("inf"), Loss())
                else:
                    for other in world.machines.values():
                        if other is not machine:
                            network.block(machine.place, other.place)
                            network.block(other.place, machine.place)
            else:
                self._down_until.pop(name, None)
                machine.disk.unplan()
                machine.disk.full, machine.disk.slow_ms = False, 0
                network.slow_ms.pop(machine.place, None)
                if abs(machine.clock.skew_ms) > self.storm.params.clock_drift_ms:
                    machine.clock.skew_ms = 0

    def _still_broken(self) -> tuple[str, ...]:
        """The storm's, but as many fewer as others lie or have forgotten their votes: those look on
        for two more heights, for which q validators are needed. One of the storm's that has
        forgotten too is among those others as soon as it is not broken."""
        limits = self.storm.limits
        unsound = self._frail.keys() | self.world.liars
        broken = self.storm.broken
        while broken and len(unsound | set(broken)) > limits.n - limits.quorum:
            broken = broken[:-1]
        while broken and self._out_of_reach(broken):
            tips = self.oracle.tips
            broken = tuple(sorted(broken, key=lambda name: -tips.get(name, 0))[1:])
        return broken

    def _out_of_reach(self, broken: tuple[str, ...]) -> bool:
        """Whether somebody has voted above all that the others can show, having lost its store:
        it is silent until it sees those blocks."""
        honest = [name for name in self.world.machines if name not in self.world.liars]
        left = [name for name in honest if name not in broken]
        shown = max(self.oracle.tips.get(name, 0) for name in left)
        voted = [consensus_key(name) for name in left if self.world.machines[name].validator]
        return any(self.oracle.voted(key) > shown + 1 for key in voted)

    async def _progress(self) -> None:
        """Raises Violation when the healed machines don't go on within the bounds."""
        params = self.storm.params
        await self._reach(
            self.height_healed + 1,
            RECOVERY_TIMEOUTS_MAX * params.round_timeout_max_ms / 1000,
            f"no new block within {RECOVERY_TIMEOUTS_MAX} of the longest time-outs after healing",
        )
        self.recovered_at = trio.current_time()
        heights = max(self.heights, self.height_healed + 2)
        height_s = HEIGHT_TIMEOUTS_MAX * params.round_timeout_max_ms / 1000
        while (height := self._lowest()) < heights:
            await self._reach(height + 1, height_s, f"no block {height + 1} within {height_s} s")
        # No more load: all that waits must come.
        self._loaded = True
        with trio.move_on_after(SETTLE_S_MAX):
            while self.oracle.waiting(frozenset(self.sound)):
                await trio.sleep(0.05)

    async def _reach(self, height: int, within_s: float, complaint: str) -> None:
        with trio.move_on_after(within_s) as waited:
            while self._lowest() < height:
                await self.oracle.news()
        if waited.cancelled_caught:
            tips = {name: self._tip(name) for name in self.sound}
            self._tell_stuck()
            raise Violation(f"at {trio.current_time():.3f} s: {complaint}: {tips}")

    def _tell_stuck(self) -> None:
        """Where each machine stands, for the timeline."""
        names = {machine.place: name for name, machine in self.world.machines.items()}
        for name, machine in self.world.machines.items():
            node = machine.node
            if node is None:
                self.tell(f"{name} is down")
                continue
            linked = [names[key] for key in node.network.connected()]
            state = node.engine._state
            self.tell(
                f"{name} {node.engine.describe()} linked {linked} waiting {len(node.mempool)}"
            )
            if state is not None:
                kept = [(type(vote).__name__, vote.round) for vote in state.own_votes()]
                self.tell(f"   own {kept} deadline {state.deadline_ms} heard {state.heard}")

    def _tip(self, name: str) -> int:
        node = self.world.machines[name].node
        return -1 if node is None else node.chain.height

    def _lowest(self) -> int:
        return min(self._tip(name) for name in self.sound)


@contextmanager
def _constants(storm: Storm) -> Iterator[None]:
    """Constants of the node that a storm changes: no rule depends on them."""
    before = wal.REPLACE_BYTES, engine.TICK_MS
    wal.REPLACE_BYTES, engine.TICK_MS = storm.log_bytes, storm.tick_ms  # type: ignore[misc]
    try:
        yield
    finally:
        wal.REPLACE_BYTES, engine.TICK_MS = before  # type: ignore[misc]


def _place(error: BaseException) -> str:
    """File and line of an error that no oracle raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
