"""docs/spec/visibility.md says of every field who sees it, as the contracts declare it."""

from __future__ import annotations

from contracts.runtime.registry import builtin_registry
from scripts import visibility


def test_the_tables_are_those_of_the_contracts() -> None:
    shown = visibility.PAGE.read_text(encoding="utf-8")
    assert shown == visibility.page(), "run: python -m scripts.visibility"


def test_people_stand_in_personal_fields() -> None:
    (identity,) = [one for one in builtin_registry() if one.name == "identity"]
    found = dict(visibility.rows(identity))
    assert found["users"]["personal"] == ["name"]
    assert "name" not in found["users"]["public"]
