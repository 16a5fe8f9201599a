"""The Promela model in docs/spec/formal: a smaller configuration of what `make formal` searches."""

from __future__ import annotations

import pytest

from scripts import formal

pytestmark = pytest.mark.skipif(
    bool(formal.missing_tools()), reason=f"not installed: {', '.join(formal.missing_tools())}"
)


@pytest.mark.parametrize(
    "case",
    [case for case in formal.cases(2) if "LOWER" not in case.switches],
    ids=lambda case: case.title,
)
def test_the_model_keeps_its_claims_and_each_mutant_breaks_one(case: formal.Case) -> None:
    found = formal.search(case)
    assert found.broken == case.breaks
    assert found.trace or case.breaks is None
    assert found.states > 50


def test_the_highest_prepared_round_rule_needs_three_rounds() -> None:
    two = formal.search(formal.Case("", ("ROUNDS=2", "ALIKE", "LOWER")))
    assert two.broken is None, "one round above 0 has one prepared round to choose from"


def test_missing_tools_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert formal.main([]) == 2
    assert "missing: spin, gcc" in capsys.readouterr().out
