"""docs/contracts.md shows tables of the code as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from contracts.runtime import names
from contracts.runtime.steps import prices_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contracts.md"


def between(mark: str) -> str:
    """What stands between the page's marks of this name."""
    _, rest = PAGE.read_text().split(f"<!-- {mark} -->\n", 1)
    return rest.split(f"<!-- /{mark} -->", 1)[0].strip()


def test_the_page_shows_the_table_of_steps() -> None:
    assert between("steps") == prices_markdown().strip()


def test_the_page_lists_every_name_that_there_is() -> None:
    shown = {}
    for row in between("names").splitlines()[2:]:
        _, what, listed, _ = row.split("|")
        shown[what.strip()] = set(re.findall(r"`(\w+)`", listed))
    expected = {
        "built-in functions and types": names.BUILTINS.keys() | names.BUILTIN_TYPES,
        "the SDK": names.SDK.keys(),
        # check_package is governance's alone
        "`self`, in a contract": (names.CONTRACT_METHODS | names.CONTRACT_DATA) - {"check_package"},
    }
    for kinds in set(names.BUILTIN_METHODS.values()):
        expected[f"methods of {kinds}"] = {
            name for name, of in names.BUILTIN_METHODS.items() if of == kinds
        }
    assert shown == expected
