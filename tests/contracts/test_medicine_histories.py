"""Random histories of medicines: what must hold after every call, whatever came of it."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.contracts.medicine_world import OPS, World

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
    max_examples=100 if NIGHTLY else 8,
    stateful_step_count=100 if NIGHTLY else 50,
    deadline=None,
)


@pytest.mark.parametrize("seed", range(1 if NIGHTLY else 2))
def test_a_long_history(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One history of hundreds of steps, and of ten thousand in the nightly profile."""
    steps = 10_000 if NIGHTLY else 600
    world, chance = World(), Random(seed)
    for _ in range(steps):
        world.act(chance.choice(OPS), tuple(chance.randrange(1_000) for _ in range(6)))
    counts = {name: count for name, count in world.counts.items() if "tried" not in name}
    accepted = {name for name in counts if name.endswith(" OK")}
    with capsys.disabled():
        print(f"\n{steps} steps:", counts)  # noqa: T201
    assert len(accepted) >= 18, "too few kinds of calls took effect"
    world.kit.replay()
