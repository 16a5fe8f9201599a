"""The machine and the second opinion agree on thousands of random sets of votes, and cease to as
soon as a rule of the machine is changed. ``HANSA_OPINION_SETS=50000`` compares more."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from consensus import validators
from consensus.pbft import checks, machine
from tests.consensus.second_opinion.sets import (
    Disagreement,
    compare_histories,
    compare_judgements,
)
from tests.sim.quick import quickly

SETS = int(os.environ.get("HANSA_OPINION_SETS", "1500"))
MUTANT_SETS = 1500
"""Sets within which a changed rule must show."""


@pytest.fixture(autouse=True)
def remembered_signatures() -> Iterator[None]:
    with quickly():
        yield


def test_single_messages_are_judged_alike() -> None:
    valid = sum(compare_judgements(seed) for seed in range(SETS))
    assert 1.5 * SETS < valid < 4.5 * SETS, "of six a set, many right and many wrong"


def test_histories_bring_about_what_may_and_must_be_sent() -> None:
    said = [compare_histories(seed) for seed in range(SETS)]
    assert sum(said) > 2 * SETS
    assert max(said) >= 6


# Changed rule -> (module, function, what stands there, what is put in its place).
CHANGED: dict[str, tuple[ModuleType, str, str, str]] = {
    "a lower prepared round may be proposed": (
        checks,
        "highest_prepared",
        "prepared.round > found.round",
        "prepared.round < found.round",
    ),
    "any prepared round will do": (
        checks,
        "proposal",
        "prepared.content_hash != vote.content.digest",
        "vote.content.digest not in [c.prepared.content_hash for c in vote.justification "
        "if c.prepared]",
    ),
    "justifying senders are counted twice": (
        checks,
        "justification",
        "len(senders) != len(proposal.justification)",
        "False",
    ),
    "too few justify": (
        checks,
        "justification",
        "len(senders) < state.thresholds.quorum",
        "len(senders) < state.thresholds.honest_witness",
    ),
    "ROUND-CHANGEs of another round justify": (
        checks,
        "justification",
        "(change.height, change.round) != (proposal.height, proposal.round)",
        "False",
    ),
    "justifying ROUND-CHANGEs need no signature": (
        checks,
        "justification",
        "vote_signed(state.context, change)",
        "pass",
    ),
    "what justifies is not looked into": (
        checks,
        "justification",
        "round_change(state, change)",
        "pass",
    ),
    "prepared in the very round that is entered": (
        checks,
        "round_change",
        "prepared.round >= vote.round",
        "prepared.round > vote.round",
    ),
    "a hidden COMMIT is accepted": (
        checks,
        "round_change",
        "vote.committed_round > prepared.round",
        "False",
    ),
    "a prepared pair needs no proof": (
        checks,
        "prepared_certificate",
        "prepared == state.prepared",
        "True",
    ),
    "anybody proposes": (checks, "proposal", "vote.sender != state.proposer(vote.round)", "False"),
    "a free content in another's name": (
        checks,
        "proposal",
        "vote.content.proposer != vote.sender",
        "False",
    ),
    "later rounds hold as much": (checks, "txs_max", "round_ >= 5", "round_ >= 2"),
    "time may stand still": (
        checks,
        "content_form",
        "content.time_ms <= context.parent_time_ms",
        "content.time_ms < context.parent_time_ms",
    ),
    "one validator pulls all along": (
        machine,
        "_jump",
        "state.thresholds.honest_witness",
        "1",
    ),
    "a jump waits for a quorum": (
        machine,
        "_jump",
        "state.thresholds.honest_witness",
        "state.thresholds.quorum",
    ),
    "rounds are gone through one by one": (
        machine,
        "_jump",
        "_enter_round(state, reached[witness - 1], out)",
        "_enter_round(state, state.round + 1, out)",
    ),
    "the timer of a later round starts at once": (
        machine,
        "_start_timer",
        "reached >= state.thresholds.quorum",
        "True",
    ),
    "the timer counts this very round only": (
        machine,
        "_start_timer",
        "round_ >= state.round",
        "round_ == state.round",
    ),
    "a COMMIT for another outcome": (machine, "_commit", "own != block_hash", "False"),
    "a COMMIT on too few PREPAREs": (
        machine,
        "_commit",
        "len(signatures) < state.thresholds.quorum",
        "len(signatures) + 1 < state.thresholds.quorum",
    ),
    "no COMMIT without an own PREPARE": (
        machine,
        "_commit",
        "context.me is not None",
        "context.me in signatures",
    ),
    "a decision on too few COMMITs": (
        machine,
        "_decide",
        "len(seals) < state.thresholds.quorum",
        "len(seals) + 1 < state.thresholds.quorum",
    ),
    "COMMITs of a round already left are forgotten": (
        machine,
        "_decide",
        "len(seals) < state.thresholds.quorum",
        "round_ < state.round or len(seals) < state.thresholds.quorum",
    ),
    "the clock is not asked": (machine, "_prepare", "state.late", "False"),
    "one PREPARE overrides the clock": (
        machine,
        "_prepare",
        "len(others) < state.thresholds.honest_witness",
        "not others",
    ),
    "nothing overrides the clock": (
        machine,
        "_prepare",
        "len(others) < state.thresholds.honest_witness",
        "True",
    ),
    "what was proposed again is judged by the clock": (
        machine,
        "_accept",
        "free and checks.late",
        "checks.late",
    ),
    "the prepared pair is forgotten": (
        machine,
        "_enter_round",
        "prepared = state.prepared",
        "prepared = None",
    ),
    "the own COMMIT is not told": (machine, "_enter_round", "state.committed_round", "None"),
    "contradictions count": (machine, "_caught", "evidence is not None", "False"),
}


def changed(module: ModuleType, name: str, there: str, instead: str) -> Callable[..., object]:
    """The function with one expression replaced, in its module's own namespace."""
    function = getattr(module, name)
    source = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    assert source.count(there) == 1, f"{name} has no single {there!r}"
    made: dict[str, Callable[..., object]] = {}
    future = "from __future__ import annotations\n"
    exec(future + source.replace(there, instead), vars(module), made)
    return made[name]


def told_apart() -> bool:
    for seed in range(MUTANT_SETS):
        for compare in (compare_judgements, compare_histories):
            try:
                compare(seed)
            except Disagreement:
                return True
    return False


@pytest.mark.parametrize("rule", CHANGED)
def test_a_changed_rule_is_told_apart(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, there, instead = CHANGED[rule]
    monkeypatch.setattr(module, name, changed(module, name, there, instead))
    assert told_apart()


def test_a_quorum_of_2f_plus_1_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        validators.Thresholds, "quorum", property(lambda self: 2 * self.tolerated_liars + 1)
    )
    assert told_apart()


def test_the_machine_s_own_source_is_no_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebuilding a function changes nothing by itself."""
    same = "evidence is not None"
    monkeypatch.setattr(machine, "_caught", changed(machine, "_caught", same, same))
    for seed in range(100):
        compare_histories(seed)
