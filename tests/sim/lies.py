"""All lies that ``tests.sim.liars`` can tell, by name, and how to draw some from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from consensus.messages import Commit, Prepare
from tests.sim.liars import Lie, make_liar
from tests.sim.lies_flooding import Flooder, ManySigner, Replayer, SyncLiar
from tests.sim.lies_proposing import (
    SEEN_AT_ONCE,
    SEEN_BY_EXECUTION,
    BadProposer,
    EquivocatingProposer,
    SilentProposer,
    SlowProposer,
    Usurper,
    Withholder,
)
from tests.sim.lies_voting import (
    Agreeable,
    Amnesiac,
    CommitHider,
    DoubleRoundChanger,
    DoubleVoter,
    EagerCommitter,
    Mute,
    RoundChangeForger,
    WrongOutcome,
)
from tests.sim.world import World


def _all() -> Iterator[tuple[str, Callable[[], Lie]]]:
    yield "equivocating proposer", EquivocatingProposer
    yield "equivocating proposer, openly", lambda: EquivocatingProposer(open=True)
    yield "silent proposer", SilentProposer
    yield "mute", Mute
    yield "slow proposer", SlowProposer
    for flaw in (*SEEN_AT_ONCE, *SEEN_BY_EXECUTION):
        yield f"proposal: {flaw}", lambda flaw=flaw: BadProposer(flaw)  # type: ignore[misc]
    for kind in ("none", "own", "often"):
        yield f"usurper, justified by {kind}", lambda kind=kind: Usurper(kind)  # type: ignore[misc]
    for told in (0, 1, 2):
        yield f"bodies withheld, {told} told", lambda told=told: Withholder(told)  # type: ignore[misc]
    yield "double prepare", lambda: DoubleVoter(Prepare)
    yield "double commit", lambda: DoubleVoter(Commit)
    yield "agreeable", Agreeable
    yield "commit without lock", EagerCommitter
    yield "wrong outcome", WrongOutcome
    for flaw in RoundChangeForger.FLAWS:
        yield f"round change: {flaw}", lambda flaw=flaw: RoundChangeForger(flaw)  # type: ignore[misc]
    yield "round change hides a commit", CommitHider
    yield "double round change", DoubleRoundChanger
    yield "round change names nothing", Amnesiac
    yield "flood of far votes", Flooder
    yield "flood in others' names", lambda: Flooder(others=True)
    yield "old votes again", Replayer
    yield "many signatures of one body", ManySigner
    for flaw in SyncLiar.FLAWS:
        yield f"sync: {flaw}", lambda flaw=flaw: SyncLiar(flaw)  # type: ignore[misc]


LIES: Final[dict[str, Callable[[], Lie]]] = dict(_all())
"""Name -> makes a lie for one liar."""


def random_liar(world: World, name: str, rng: random.Random) -> str:
    """Make the machine a liar in one to three ways, before its start; returns which."""
    drawn = rng.sample(sorted(LIES), rng.choice((1, 1, 2, 3)))
    make_liar(world, name, *(LIES[one]() for one in drawn), seed=rng.randrange(2**32))
    return ", ".join(drawn)
