"""Who sees which field of which contract: the tables of docs/spec/visibility.md.

They are made from the declarations, which is what the chain itself goes by: a field of kind party
or personal takes commitments alone (docs/adr/0015).

    python -m scripts.visibility           # rewrite the tables in the page
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts.runtime.registry import Module, builtin_registry
from contracts.sdk.commitments import Committed
from contracts.sdk.fields import Data, Field, Items, Maybe, Text
from contracts.sdk.records import RecordField, plan_of
from contracts.sdk.state import Map

PAGE: Final = Path(__file__).parents[1] / "docs" / "spec" / "visibility.md"
START: Final = "<!-- made by scripts/visibility.py: from here on -->\n"
KINDS: Final = ("public", "free text", "party", "personal")
FREE_TEXT_FROM: Final = 33
"""Characters from which a text of no given form is called free: shorter ones are numbers and
codes."""

Row = dict[str, list[str]]


def leaves(name: str, field: Field) -> Iterator[tuple[str, str]]:
    """(name, kind) of each value within a field."""
    if isinstance(field, Committed):
        yield name, field.visibility
    elif isinstance(field, (Maybe, Items)):
        yield from leaves(name, field.field)
    elif isinstance(field, RecordField):
        for inner, one in plan_of(field.record).fields.items():
            yield from leaves(f"{name}.{inner}", one)
    else:
        yield name, "free text" if is_free(field) else "public"


def is_free(field: Field) -> bool:
    """Whether a person could write anything there."""
    if isinstance(field, Data):
        return True
    return type(field) is Text and field.pattern is None and field.maximum >= FREE_TEXT_FROM


def rows(module: Module) -> Iterator[tuple[str, Row]]:
    """What the state keeps, then what calls carry: transactions stand in blocks for good."""
    for name, declared in module.layout.declared.items():
        if isinstance(declared, Map):
            row: Row = {kind: [] for kind in KINDS}
            row["public"] += [f"[{part}]" for part in declared.key]
            fields = {} if declared.record is None else plan_of(declared.record).fields
            for inner, field in fields.items():
                for leaf, kind in leaves(inner, field):
                    # What a text in the state may be, the calls that put it there say.
                    row["public" if kind == "free text" else kind].append(leaf)
            if declared.record is None:
                row["public"].append("value")
            yield name, row
    for method in module.methods.values():
        if method.kind == "call" and method.fields:
            row = {kind: [] for kind in KINDS}
            for inner, field in method.fields.items():
                for leaf, kind in leaves(inner, field):
                    row[kind].append(leaf)
            yield f"{method.name}()", row


def tables() -> str:
    """One table for each contract that comes with the node."""
    parts = []
    for module in sorted(builtin_registry(), key=lambda one: one.name):
        lines = [f"## {module.name}\n", f"| where | {' | '.join(KINDS)} |", "|---" * 5 + "|"]
        for name, row in rows(module):
            cells = [", ".join(row[kind]) for kind in KINDS]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def page() -> str:
    """The page with its tables as they should be now."""
    head = PAGE.read_text(encoding="utf-8").split(START)[0]
    return f"{head}{START}\n{tables()}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
