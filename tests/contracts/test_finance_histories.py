"""Random histories of claims and escrows: what must hold after every call, whatever came of it."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.contracts.finance_histories import OPS, World

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NUMBER = st.integers(0, 999)


class Histories(RuleBasedStateMachine):
    """Short histories, which hypothesis makes as short as it can when one goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(op=st.sampled_from(OPS), numbers=st.tuples(*[NUMBER] * 6))
    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        self.world.act(op, numbers)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=100 if NIGHTLY else 5,
    stateful_step_count=100 if NIGHTLY else 50,
    deadline=None,
)


def history(seed: int, steps: int, world: World | None = None) -> World:
    world, chance = world or World(), Random(seed)
    for _ in range(steps):
        world.act(chance.choice(OPS), tuple(chance.randrange(1_000) for _ in range(6)))
    return world


@pytest.mark.parametrize("seed", range(10 if NIGHTLY else 2))
def test_a_long_history(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Histories of hundreds of steps; in the nightly profile ten of a thousand."""
    steps = 1_000 if NIGHTLY else 300
    world = history(seed, steps)
    world.recheck_all()
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name, count in world.counts.items():
        op, _, code = name.partition(" ")
        (accepted if code == "OK" else refused)[op if code == "OK" else code] += count
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{steps} steps, {world.found_lies} lies found:",
            dict(accepted.most_common()),
            dict(refused.most_common()),
        )
    assert len(accepted) >= (24 if NIGHTLY else 18), "too few kinds of calls took effect"
    assert world.found_lies


@pytest.mark.parametrize("fault", ["created", "misplaced", "lost", "taken"])
def test_faults_are_noticed(fault: str) -> None:
    """The judge finds fault with a chain whose state somebody meddled with."""
    from consensus.primitives.codec import decode, encode
    from consensus.primitives.keys import prefix_range

    world = history(1, 200)
    start, stop = prefix_range("claims", "notes")
    rows = [
        (key, decode(raw, bytes_max=len(raw))) for key, raw in world.kit._state.scan(start, stop)
    ]
    owner, amount, state, escrow = 1, 2, 3, 6
    live = [(key, row) for key, row in rows if row[state] == "LIVE"]
    held = [(key, row) for key, row in rows if row[state] == "HELD"]
    key, row = held[0] if fault == "misplaced" else live[0]
    if fault == "created":
        row[amount] = world.hide(10**9, "EUR")
    elif fault == "misplaced":
        row[escrow] = 0
    elif fault == "lost":
        row[state] = "SPENT"
    else:
        row[owner] = next(one for one in world.names if one != row[owner])
    world.judge(world.notes())
    world.kit._state.apply({key: encode(row)})
    with pytest.raises(AssertionError):
        world.judge(world.notes())
