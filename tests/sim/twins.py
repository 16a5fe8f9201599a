"""Twins (Bano et al., arXiv 2004.10617): a validator that lies by being two.

Both copies run the honest code with the same two keys, each on disks of its own, so whatever they
say is well formed, and contradicts itself in the ways that matter. A peer has a connection to one
of the two at a time, as the partition says. A ``Schedule`` changes the partition whenever
agreement comes to another round or height.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.messages import decode_vote
from p2p.ports import Channel
from tests.sim.liars import make_liar
from tests.sim.oracle import Oracle
from tests.sim.world import Machine, World

STUCK_S: Final = 5.0

Groups = tuple[tuple[str, ...], ...]


def add_twin(world: World, name: str, *, shameless: bool = True) -> str:
    """Give a machine a twin, before both start; returns the twin's name. A shameless pair goes on
    when one is shown what the other signed; else both are production code, as where an
    operator started the same validator twice."""
    twin = f"{name}'"
    world.machines[twin] = Machine(twin, True, identity=name)
    for one in (name, twin):
        if shameless:
            make_liar(world, one)
        else:
            world.liars.add(one)
    return twin


class Schedule:
    """Partitions by round: the next one whenever anybody votes in a round that nobody had
    reached, or when nothing has moved for ``STUCK_S``; after the last one the network is whole."""

    def __init__(self, world: World, partitions: Sequence[Groups]) -> None:
        self.world = world
        self.partitions = list(partitions)
        self.step = -1
        self._reached = (0, 0)
        world.network.taps.append(self._heard)
        self._go_on()

    @property
    def over(self) -> bool:
        return self.step >= len(self.partitions)

    def end(self) -> None:
        """Heal the network now."""
        if not self.over:
            self.step = len(self.partitions)
            self.world.network.heal()

    def _heard(self, source: bytes, target: bytes, channel: Channel, payload: bytes) -> None:
        if channel is not Channel.CONSENSUS or self.over:
            return
        vote = decode_vote(payload)
        if (vote.height, vote.round) > self._reached:
            self._reached = vote.height, vote.round
            # Not within the sending of a message: links end there.
            self.world.network.later(0, self._go_on)

    def _go_on(self) -> None:
        if self.over:
            return
        self.step += 1
        step = self.step
        self.world.network.later(STUCK_S, lambda: self._go_on() if self.step == step else None)
        if self.step == len(self.partitions):
            self.world.network.heal()
        else:
            groups = self.partitions[self.step]
            places = (tuple(self.world.machines[name].place for name in group) for group in groups)
            self.world.network.partition(*places, at_once=True)


def splits(honest: Sequence[str], twins: Sequence[tuple[str, str]]) -> Iterator[Groups]:
    """Every division of the honest machines into two sides, the first of them always on the left,
    with each pair of twins on different sides in each way."""
    rest = honest[1:]
    for bits in range(2 ** len(rest)):
        left = [honest[0], *(name for i, name in enumerate(rest) if bits >> i & 1)]
        right = [name for name in honest if name not in left]
        for sides in range(2 ** len(twins)):
            first = [pair[sides >> i & 1] for i, pair in enumerate(twins)]
            second = [pair[1 - (sides >> i & 1)] for i, pair in enumerate(twins)]
            yield (*left, *first), (*right, *second)


def random_split(
    rng: random.Random, honest: Sequence[str], twins: Sequence[tuple[str, str]]
) -> Groups:
    """Two or three sides, everybody and each twin on any of them."""
    groups: list[list[str]] = [[] for _ in range(rng.choice((2, 2, 3)))]
    for name in (*honest, *(twin for pair in twins for twin in pair)):
        rng.choice(groups).append(name)
    return tuple(tuple(group) for group in groups)


class VotesOnly(Oracle):
    """Where forks are allowed: only that no honest validator contradicts itself."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.blocks: dict[int, set[bytes]] = {}

    def started(self, name: str) -> None:
        self._names[self.world.machines[name].place] = name

    def stopped(self, name: str, failure: BaseException | None) -> None: ...

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        if name not in self.world.liars:
            self.blocks.setdefault(block.height, set()).add(block.hash)
