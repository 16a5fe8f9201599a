"""The specification names the test behind each rule: those exist, and no mistake is unnamed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_that_the_specification_names_exist() -> None:
    page = (ROOT / "docs/spec/consensus.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"^(?:async )?def test_(\w+)", sources, re.MULTILINE))
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`((?:rule|mistake)_\w+)`", page))
    assert named <= tests, sorted(named - tests)
    assert {one for one in tests if one.startswith("mistake_")} <= named, "a mistake unnamed"
    assert set(re.findall(r"`(test_\w+\.py)`", page)) <= files
