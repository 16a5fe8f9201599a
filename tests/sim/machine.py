"""What a simulated world is made of: machines with disks and clocks, their keys, their genesis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from consensus.params import Params
from consensus.primitives.crypto import public_key, sha256
from contracts.runtime.package import Package
from contracts.runtime.registry import Registry, builtin_packages
from genesis.document import (
    VERSION,
    GenesisDocument,
    GenesisOrganisation,
    GenesisPeer,
    GenesisValidator,
)
from node.node import Node
from p2p.ports import Handler, Network
from tests.sim.disk import NEXT_VOTES, VOTES, MemoryFile, VirtualDisk, VirtualKV

EPOCH_MS = 1_790_000_000_000
GLN = "9520123000004"


class MemoryReports:
    """``Reports`` in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data


class VirtualClock:
    """Milliseconds of the world; ``skew_ms`` is this machine's error."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def wall_ms(self) -> int:
        return EPOCH_MS + self.skew_ms + self.mono_ms()

    def mono_ms(self) -> int:
        # MockClock adds up floats; rounding keeps whole milliseconds whole.
        return round(trio.current_time() * 1000)

    async def sleep_ms(self, duration_ms: int) -> None:
        await trio.sleep(duration_ms / 1000)


@functools.cache
def seed_of(name: str) -> bytes:
    return sha256(name.encode())


@functools.cache
def consensus_key(name: str, kind: str = "consensus") -> bytes:
    return public_key(seed_of(f"{name} {kind}"))


def document(params: Params, validators: int, full: int) -> GenesisDocument:
    """A consortium of ``v0..`` and ``f0..``, one organisation, unsealed."""
    admin = GenesisOrganisation(GLN, "Maker", ("manufacturer",), public_key(seed_of("admin")))
    return GenesisDocument(
        VERSION,
        "world",
        EPOCH_MS - 1,
        params,
        (admin,),
        tuple(
            GenesisValidator(
                f"v{index}",
                GLN,
                consensus_key(f"v{index}"),
                public_key(seed_of(f"v{index} network")),
                (f"v{index}.example:1",),
            )
            for index in range(validators)
        ),
        tuple(
            GenesisPeer(f"f{index}", GLN, "full", public_key(seed_of(f"f{index} network")), ())
            for index in range(full)
        ),
        _packages(),
    )


_packages = functools.cache(builtin_packages)


@functools.cache
def _registry(packages: tuple[Package, ...]) -> Registry:
    return Registry.of(packages)


def shared(packages: Sequence[Package]) -> Registry:
    """Nodes of one process may share what is costly to load: they take turns with it."""
    return _registry(tuple(packages))


Join = Callable[[Handler], Network]


@dataclass
class Machine:
    """What outlives a node's process: its disks, and the clock's error."""

    name: str
    validator: bool
    disk: VirtualDisk = field(default_factory=VirtualDisk)
    seed_kind: str = "consensus"
    reports: MemoryReports = field(default_factory=MemoryReports)
    clock: VirtualClock = field(default_factory=VirtualClock)
    node: Node | None = None
    scope: trio.CancelScope | None = None
    plugged: bool = False
    """Whether the process has a network end."""
    stopped: trio.Event = field(default_factory=trio.Event)
    failure: BaseExceptionGroup[BaseException] | None = None
    identity: str = ""
    """Whose keys it has: its own (its name's) unless it is another's twin."""
    bent: Callable[[Handler, Join], Network] | None = None
    """What stands between a liar's node and its network end."""

    def __post_init__(self) -> None:
        self.identity = self.identity or self.name

    @property
    def kv(self) -> VirtualKV:
        return self.disk.kv

    @kv.setter
    def kv(self, kv: VirtualKV) -> None:
        self.disk.kv = kv

    @property
    def votes(self) -> MemoryFile:
        return MemoryFile(self.disk)

    @votes.setter
    def votes(self, votes: MemoryFile) -> None:
        self.disk.put(VOTES, votes.data)

    @property
    def next_votes(self) -> MemoryFile | None:
        """The log of the key that is to follow, while the key is rotated."""
        view = MemoryFile(self.disk, NEXT_VOTES)
        return None if view.data is None else view

    @next_votes.setter
    def next_votes(self, votes: MemoryFile | None) -> None:
        self.disk.put(NEXT_VOTES, None if votes is None else votes.data)

    @property
    def network_key(self) -> bytes:
        return consensus_key(self.identity, "network")

    @property
    def place(self) -> bytes:
        """Where it stands in the virtual network."""
        twin = b"" if self.identity == self.name else self.name.encode()
        return self.network_key + twin

    @property
    def running(self) -> Node:
        assert self.node is not None, f"{self.name} is down"
        return self.node
