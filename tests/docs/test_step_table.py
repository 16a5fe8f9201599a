"""docs/contracts.md shows the table of steps as the code has it."""

from __future__ import annotations

from pathlib import Path

from contracts.runtime.steps import prices_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contracts.md"


def test_the_page_shows_the_table_of_the_code() -> None:
    _, rest = PAGE.read_text().split("<!-- steps -->\n", 1)
    shown, _ = rest.split("<!-- /steps -->", 1)
    assert shown.strip() == prices_markdown().strip()
