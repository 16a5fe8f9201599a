"""Hostile modules are refused at load, or stopped within bounded time and memory.

Modules run twice, in two interpreters whose texts hash differently, and must come to the same
outcome: every third, unless all tests are wanted. ``escape/corpus.py`` says what the modules look
like, ``escape/worker.py`` how they are run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contracts.escape.corpus import Case, corpus
from tests.contracts.escape.generated import generated
from tests.sampling import some

ROOT: Final = Path(__file__).parents[3]
MEMORY_MAX: Final = 300_000_000  # bytes above what the process had before
SAMPLED: Final = 27
"""Of the generated cases the suite runs every 27th; `make corpus` runs all."""


def chosen() -> dict[str, Case]:
    if os.environ.get("HANSA_CORPUS") == "all":
        return corpus()
    made = [case.id for case in generated()]
    left_out = {name for number, name in enumerate(made) if number % SAMPLED}
    return {name: case for name, case in corpus().items() if name not in left_out}


CASES: Final = chosen()
Row = dict[str, Any]


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> dict[str, tuple[Row, Row]]:
    """What came of each selected case under either seed: refusal, receipt, or how it failed."""
    wanted: list[str] = [
        item.callspec.id
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames
    ]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contracts.escape.worker"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    for worker, cases in zip(workers, (wanted, some(wanted)), strict=True):
        assert worker.stdin is not None
        worker.stdin.write("\n".join(cases))
        worker.stdin.close()
    rows = []
    for worker in workers:
        assert worker.stdout is not None
        with worker.stdout as lines:
            rows.append({row["id"]: row for row in map(json.loads, lines)})
        assert worker.wait() == 0
    again = set(some(wanted))
    return {id: (rows[0].get(id, {}), rows[id in again].get(id, {})) for id in wanted}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_hostile_module(case: Case, outcomes: dict[str, tuple[Row, Row]]) -> None:
    row, other = outcomes[case.id]
    for one in (row, other):
        assert one and "failed" not in one, one.get("failed", "no outcome")
        assert one["memory"] < MEMORY_MAX, f"{one['memory']} bytes"
    if case.refused:
        named = {(line, rule) for _, line, rule, _ in row.get("refused", ())}
        assert set(case.refused) <= named, row
        assert row["refused"] == other["refused"]
        return
    assert row.get("code") == case.code, row
    assert row["result"] == case.result
    assert row["watched"] == []
    assert row["outcome"] == other["outcome"], "two hash seeds, two outcomes"


def test_corpus_is_of_the_size_that_was_promised() -> None:
    assert len(CASES) >= 150
