"""What goes wrong in a run, drawn from its seed before it begins.

A ``Storm`` is plain data: who takes part, the rules, and a list of faults with their times. Its
``repr`` is Python, so a storm that found something can be pasted into a test and stays what it is
when the weather changes. ``tests.sim.play`` lets it loose.

What is drawn stays within what the protocol promises to survive: crashes, partitions, loss, delay
and failing disks without limit; at most f machines at once that lie or have forgotten what they
signed; clocks beyond the drift on at most t machines.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from consensus.params import Params
from consensus.validators import Thresholds
from tests.sim import disk
from tests.sim.disk import Loss, Strike
from tests.sim.lies import LIES

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Crash:
    """Machines end and start again; ``boots`` times more, soon after each start. Without a
    ``loss`` as by kill -9, else as by a power cut."""

    at_ms: int
    names: tuple[str, ...]
    down_ms: int
    loss: Loss | None = None
    boots: int = 0
    boot_ms: int = 0


@dataclass(frozen=True)
class Cut:
    """Nothing gets from the first to the second of each pair; ``times`` > 1 for a link that flaps
    with as long a pause."""

    at_ms: int
    pairs: Pairs
    for_ms: int
    times: int = 1


@dataclass(frozen=True)
class Rain:
    """The whole network is slow, loses, doubles and mixes up messages for a while."""

    at_ms: int
    for_ms: int
    loss: float
    delay_ms: tuple[int, int]
    duplicate: float = 0.0
    reorder: float = 0.0


@dataclass(frozen=True)
class Mud:
    """A machine's way to and from everybody is longer, and so is each wait for its disk."""

    at_ms: int
    name: str
    for_ms: int
    slow_ms: int
    disk_ms: int


@dataclass(frozen=True)
class Skew:
    """A machine's clock jumps to this error."""

    at_ms: int
    name: str
    skew_ms: int


@dataclass(frozen=True)
class Forget:
    """A machine crashes and starts again without something: its vote log ("votes"), one bit of it
    ("bit"), its chain ("chain"), both ("disk"), or with both as they were ``age_ms`` before
    ("backup"). Left out while too many others are forgetful or lie, and a backup where no liar is
    tolerated: there it can fork (docs/spec/consensus.md, rule 9)."""

    at_ms: int
    name: str
    what: str
    down_ms: int
    age_ms: int = 0


@dataclass(frozen=True)
class BadDisk:
    """One operation of a machine's disk, the one after ``after`` more, goes wrong."""

    at_ms: int
    name: str
    fault: disk.Fault
    after: int
    operation: str = ""


@dataclass(frozen=True)
class FullDisk:
    """Nothing can be written for a while."""

    at_ms: int
    name: str
    for_ms: int


@dataclass(frozen=True)
class Rot:
    """Some value of the chain's store can't be read any more."""

    at_ms: int
    name: str


@dataclass(frozen=True)
class Burst:
    """Many transactions at once at one machine."""

    at_ms: int
    name: str
    count: int


Fault = Crash | Cut | Rain | Mud | Skew | Forget | BadDisk | FullDisk | Rot | Burst


@dataclass(frozen=True)
class Storm:
    """One whole run."""

    seed: int
    validators: int
    full: int
    params: Params
    delay_ms: tuple[int, int]
    silence_ms: int
    log_bytes: int
    """The size from which a vote log is replaced."""
    mempool_max: int
    tick_ms: int
    """How often an engine looks at the clock."""
    load_every_ms: int
    storm_ms: int
    faults: tuple[Fault, ...]
    broken: tuple[str, ...]
    """Validators that stay down or unreachable when the others are healed."""
    liars: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Machines that lie, with the names of their lies (``tests.sim.lies``)."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"v{i}" for i in range(self.validators)) + tuple(
            f"f{i}" for i in range(self.full)
        )

    @property
    def limits(self) -> Thresholds:
        return Thresholds(self.validators, self.params.fault_model)

    @property
    def frail_max(self) -> int:
        """How many may lie or have forgotten their votes at once: rule 9 stands up to as many."""
        return max(self.limits.tolerated_liars, 1) if self.validators > 2 else 0


SIZES: Final = (
    *[("byzantine", 4, 0)] * 6,
    *[("byzantine", 4, 1)] * 4,
    ("byzantine", 5, 0),
    ("byzantine", 7, 0),
    ("crash", 3, 0),
    ("crash", 3, 1),
    ("crash", 5, 0),
)
"""Fault model, validators, full nodes: each as often as it stands here."""


def storm_of(seed: int) -> Storm:
    """The storm of a seed; the same on every machine, process and Python."""
    rng = random.Random(f"hansa weather {seed}")
    fault_model, validators, full = rng.choice(SIZES)
    timeout = rng.choice((1000, 2000, 2000))
    params = Params(
        fault_model=fault_model,
        min_block_interval_ms=rng.choice((50, 100, 300)),
        empty_block_interval_ms=rng.choice((500, 1_000, 3_000)),
        round_timeout_ms=timeout,
        round_timeout_max_ms=timeout * rng.choice((2, 4, 8)),
        clock_drift_ms=rng.choice((1_000, 3_000)),
        tx_window_ms=600_000,
        block_txs_max=rng.choice((4, 20, 4_000)),
    )
    bare = Storm(
        seed=seed,
        validators=validators,
        full=full,
        params=params,
        delay_ms=rng.choice(((0, 0), (1, 5), (1, 20), (5, 80), (1, 200))),
        silence_ms=rng.choice((1_500, 5_000)),
        log_bytes=rng.choice((4_000, 40_000, 32 << 20)),
        mempool_max=rng.choice((30, 50_000, 50_000)),
        tick_ms=rng.choice((20, 50, 100)),
        load_every_ms=rng.choice((100, 300, 800)),
        storm_ms=rng.randrange(6_000, 24_000),
        faults=(),
        broken=(),
    )
    return _with_faults(bare, rng)


def _with_faults(bare: Storm, rng: random.Random) -> Storm:
    validators = [name for name in bare.names if name[0] == "v"]
    liars: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if bare.limits.tolerated_liars and rng.random() < 0.35:
        names = rng.sample(validators, rng.randrange(1, bare.limits.tolerated_liars + 1))
        drawn = [tuple(rng.sample(sorted(LIES), rng.choice((1, 2, 3)))) for _ in names]
        liars = tuple(zip(sorted(names), drawn, strict=True))
    draws = rng.choices(*zip(*DRAWS, strict=True), k=rng.randrange(3, 16))
    faults = [draw(bare, rng, rng.randrange(bare.storm_ms)) for draw in draws]
    faults.sort(key=lambda fault: fault.at_ms)
    spare = bare.limits.n - bare.limits.quorum - len(liars)
    honest = [name for name in validators if name not in dict(liars)]
    broken = rng.sample(honest, rng.randrange(spare + 1))
    return replace(bare, faults=tuple(faults), broken=tuple(sorted(broken)), liars=liars)


def _some(bare: Storm, rng: random.Random) -> tuple[str, ...]:
    """Mostly one machine, now and then several or all."""
    count = rng.choice((1, 1, 1, 2, 2, len(bare.names) - 1, len(bare.names)))
    return tuple(sorted(rng.sample(bare.names, min(count, len(bare.names)))))


def _crash(bare: Storm, rng: random.Random, at: int) -> Fault:
    boots = rng.choice((0, 0, 0, 1, 4))
    names, down, boot = _some(bare, rng), rng.randrange(50, 6_000), rng.randrange(1, 1_500)
    return Crash(at, names, down, _loss(rng), boots, boot)


def _loss(rng: random.Random) -> Loss | None:
    return None if rng.random() < 0.3 else Loss.drawn(rng)


def _partition(bare: Storm, rng: random.Random, at: int) -> Fault:
    """Two sides that don't hear each other."""
    names = bare.names
    side = set(rng.sample(names, rng.randrange(1, len(names))))
    pairs = [(a, b) for a in names for b in names if (a in side) != (b in side)]
    return Cut(at, tuple(pairs), rng.randrange(200, 12_000), rng.choice((1, 1, 1, 3)))


def _one_way(bare: Storm, rng: random.Random, at: int) -> Fault:
    """Some directions only; with many of them hardly anybody hears everybody."""
    every = [(a, b) for a in bare.names for b in bare.names if a != b]
    pairs = sorted(rng.sample(every, rng.randrange(1, len(every) // 2 + 1)))
    return Cut(at, tuple(pairs), rng.randrange(100, 6_000), rng.choice((1, 1, 4)))


def _rain(bare: Storm, rng: random.Random, at: int) -> Fault:
    slow = rng.choice(((1, 20), (1, 300), (100, 1_000), (1, 3_000)))
    loss = rng.choice((0.0, 0.02, 0.1, 0.3, 0.6))
    duplicate, reorder = rng.choice((0.0, 0.05, 0.5)), rng.choice((0.0, 0.1, 0.5))
    return Rain(at, rng.randrange(500, 8_000), loss, slow, duplicate, reorder)


def _mud(bare: Storm, rng: random.Random, at: int) -> Fault:
    slow_ms, disk_ms = rng.choice((0, 50, 200, 1_500)), rng.choice((0, 5, 100, 700))
    return Mud(at, rng.choice(bare.names), rng.randrange(1_000, 10_000), slow_ms, disk_ms)


def _skew(bare: Storm, rng: random.Random, at: int) -> Fault:
    """Anybody's clock a little wrong; those of the first f machines by hours."""
    liars = bare.limits.tolerated_liars
    drift = bare.params.clock_drift_ms
    if rng.random() < 0.4 and liars:
        name = f"v{rng.randrange(liars)}"
        return Skew(at, name, rng.choice((-3_600_000, -2 * drift, 2 * drift, 3_600_000)))
    return Skew(at, rng.choice(bare.names), rng.randrange(-drift // 4, drift // 4))


def _forget(bare: Storm, rng: random.Random, at: int) -> Fault:
    what = rng.choice(("votes", "bit", "chain", "disk", "backup"))
    age = rng.randrange(10, 4_000)
    return Forget(at, rng.choice(bare.names), what, rng.randrange(50, 4_000), age)


OPERATIONS: Final = (
    "",
    "",
    "write",
    "fdatasync",
    "create",
    "fsync",
    "rename",
    "sync folder",
    "batch",
)


def _bad_disk(bare: Storm, rng: random.Random, at: int) -> Fault:
    strike = rng.choice((Strike.BEFORE, Strike.WITHIN, Strike.AFTER, Strike.FULL, Strike.FAILS))
    fault = disk.Fault(strike, _loss(rng), rng.choice((0.0, rng.random(), 1.0)))
    return BadDisk(at, rng.choice(bare.names), fault, rng.randrange(12), rng.choice(OPERATIONS))


def _full_disk(bare: Storm, rng: random.Random, at: int) -> Fault:
    return FullDisk(at, rng.choice(bare.names), rng.randrange(100, 5_000))


def _rot(bare: Storm, rng: random.Random, at: int) -> Fault:
    return Rot(at, rng.choice(bare.names))


def _burst(bare: Storm, rng: random.Random, at: int) -> Fault:
    return Burst(at, rng.choice(bare.names), rng.randrange(10, 60))


DRAWS: Final = (
    (_crash, 5),
    (_partition, 4),
    (_one_way, 3),
    (_rain, 3),
    (_mud, 2),
    (_skew, 2),
    (_forget, 3),
    (_bad_disk, 5),
    (_full_disk, 1),
    (_rot, 1),
    (_burst, 1),
)
"""What is drawn, and how often."""
