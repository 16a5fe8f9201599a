"""Random histories of credits: what must hold after every call, whatever came of it."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.contracts.credit_histories import CREDIT_FIELDS, OPS, PRESENTATION_FIELDS, World

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NUMBER = st.integers(0, 999)


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
    stateful_step_count=100 if NIGHTLY else 50,
    deadline=None,
)


def history(seed: int, steps: int) -> World:
    world, chance = World(), Random(seed)
    for _ in range(steps):
        world.act(chance.choice(OPS), tuple(chance.randrange(1_000) for _ in range(4)))
    return world


@pytest.mark.parametrize("seed", range(10 if NIGHTLY else 2))
def test_a_long_history(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Histories of hundreds of steps; in the nightly profile ten of a thousand."""
    steps = 1_000 if NIGHTLY else 400
    world = history(seed, steps)
    world.recheck_all()
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name, count in world.counts.items():
        op, _, code = name.partition(" ")
        (accepted if code == "OK" else refused)[op if code == "OK" else code] += count
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{steps} steps, {world.lies_found} lies found:",
            dict(accepted.most_common()),
            dict(refused.most_common()),
        )
    assert len(accepted) >= (22 if NIGHTLY else 20), "too few kinds of calls took effect"
    assert world.lies_found


@pytest.fixture(scope="module")
def long_world() -> World:
    return history(1, 300)


@pytest.mark.parametrize("fault", ["drawn", "amended", "paid", "refused", "opened"])
def test_faults_are_noticed(long_world: World, fault: str) -> None:
    """The judge finds fault with a chain whose state somebody meddled with."""
    from consensus.primitives.codec import decode, encode
    from consensus.primitives.keys import prefix_range

    world = long_world
    name = "credits" if fault in ("drawn", "amended", "opened") else "presentations"
    fields = CREDIT_FIELDS if name == "credits" else PRESENTATION_FIELDS
    rows = [
        (key, decode(raw, bytes_max=len(raw)))
        for key, raw in world.kit._state.scan(*prefix_range("credit", name))
    ]
    at = {field: number for number, field in enumerate(fields)}
    world.judge()
    if fault == "paid":
        key, row = next((key, row) for key, row in rows if row[at["payer"]])
        row[at["examiner"]] = row[at["payer"]]
    elif fault == "refused":
        key, row = next((key, row) for key, row in rows if not row[at["refused_at"]])
        row[at["refused_at"]] = 1
    else:
        key, row = rows[-1]
        row[at[{"drawn": "drawings", "amended": "accepted", "opened": "open"}[fault]]].append(1)
    before = world.kit._state.values[key]
    world.kit._state.apply({key: encode(row)})
    with pytest.raises(AssertionError):
        world.judge()
    world.kit._state.apply({key: before})
