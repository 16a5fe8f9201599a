"""Random histories of invoices: what must hold after every call, whatever came of it."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from consensus.primitives.codec import decode, encode
from consensus.primitives.keys import prefix_range
from tests.contracts.invoice_histories import OPS, World

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NUMBER = st.integers(0, 9_999)


class Histories(RuleBasedStateMachine):
    """Short histories, which hypothesis makes as short as it can when one goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(op=st.sampled_from(OPS), numbers=st.tuples(*[NUMBER] * 4))
    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        self.world.act(op, numbers)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=100 if NIGHTLY else 5,
    stateful_step_count=100 if NIGHTLY else 40,
    deadline=None,
)


def history(seed: int, steps: int) -> World:
    world, chance = World(), Random(seed)
    for _ in range(steps):
        world.act(chance.choice(OPS), tuple(chance.randrange(10_000) for _ in range(4)))
    return world


@pytest.mark.parametrize("seed", range(10 if NIGHTLY else 2))
def test_a_long_history(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Histories of hundreds of steps; in the nightly profile ten of a thousand."""
    steps = 1_000 if NIGHTLY else 300
    world = history(seed, steps)
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name, count in world.counts.items():
        op, _, code = name.partition(" ")
        (accepted if code == "OK" else refused)[op if code == "OK" else code] += count
    with capsys.disabled():
        print(f"\n{steps} steps:", dict(accepted), dict(refused))  # noqa: T201
    assert len(accepted) >= 10, "too few kinds of calls took effect"
    assert accepted["finance"] >= 5


@pytest.mark.parametrize("fault", ["state", "financier", "postings"])
def test_faults_are_noticed(fault: str) -> None:
    """The judge finds fault with a chain whose state somebody meddled with."""
    world = history(1, 200)
    start, stop = prefix_range("invoices", "invoices")
    key, row = next(
        (key, row)
        for key, raw in world.kit._state.scan(start, stop)
        if (row := decode(raw, bytes_max=len(raw)))[2] in ("FINANCED", "SETTLED")
    )
    seller, state = 0, 2
    postings, financier = 10, 12
    assert row[financier] in (world.kit.id("fund"), world.kit.id("rival_fund"))
    if fault == "state":
        row[state] = "RELEASED"
    elif fault == "financier":
        row[financier] = row[seller]
    else:
        row[postings] += 1
    world.judge()
    world.kit._state.apply({key: encode(row)})
    with pytest.raises(AssertionError):
        world.judge()
