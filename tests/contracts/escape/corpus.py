"""The hostile modules: read from the text files beside this one, or made by `generated.py`.

A text file holds a family. An entry says its name, how much of a module its source is, what must
come of it, and why it is there::

    === name [body] -> OUT_OF_STEPS
    One sentence: what it tries.
    ---
    while True:
        pass

``[body]`` is the body of the method ``run``, ``[class]`` that of the contract class, ``[file]`` a
whole file, ``[package]`` files that each begin with ``>>> "path"``.

Either lines end in ``#! rule``: then the loader must refuse the module and name that rule at each
of these lines (``-> refused rule`` in the heading: the module as a whole). Or the heading says the
receipt's code that calling ``run`` must give, and the result as JSON where it is OK. A method
``prepare(self, number: int)`` is called before that, by eight transactions of the same block.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "modules"
PATH: Final = "contracts/hostile.py"

_ENTRY: Final = re.compile(
    r"^=== (?P<name>\w+) \[(?P<kind>body|class|file|package)\]"
    r"(?: -> (?P<code>\w+)(?: (?P<result>.+))?)?\n"
    r"(?P<why>.+\n)---\n(?P<source>(?:(?!=== ).*\n)*)",
    re.MULTILINE,
)
_MARK: Final = re.compile(r"#! ?([a-z-]*)$")

# What [body] and [class] entries stand in.
HEAD: Final = '''\
from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import (
    BadValue,
    Contract,
    ContractError,
    Counter,
    Int,
    Map,
    Record,
    Size,
    Text,
    call,
    genesis,
    gs1_date,
    iso_date,
    lot_path,
    migrate,
    opens,
    query,
    refuse,
    timed,
)


class Hostile(Contract):
    """Means no good."""

    name = "hostile"

    table = Map(int, key=("key",))
    texts = Map(str, key=("key",))
    data = Map(dict, key=("key",))
    numbers = Map(int, key=("number",))
    pairs = Map(int, key=("first", "second"))
    hashed = Map(int, key=("key",), hashed=("key",))
    count = Counter()

'''
RUN: Final = """\
    @call
    def run(self) -> Any:
"""


@dataclass(frozen=True)
class Case:
    """One hostile module. ``refused`` is (line, rule) pairs, or empty: then ``code`` is its
    receipt's.
    """

    family: str
    name: str
    files: tuple[tuple[str, str], ...]
    refused: tuple[tuple[int, str], ...] = ()
    code: str = ""
    result: Any = None

    @property
    def id(self) -> str:
        return f"{self.family}/{self.name}"


def whole(kind: str, source: str) -> tuple[tuple[str, str], ...]:
    """The (path, text) files that an entry's source stands for."""
    if kind == "package":
        files = []
        for part in re.split(r"^>>> ", source, flags=re.MULTILINE)[1:]:
            path, text = part.split("\n", 1)
            files.append((ast.literal_eval(path), text))
        return tuple(files)
    if kind == "body":
        source = HEAD + RUN + textwrap.indent(source, " " * 8)
    elif kind == "class":
        source = HEAD + textwrap.indent(source, " " * 4)
    return ((PATH, source),)


def marks(files: tuple[tuple[str, str], ...]) -> tuple[tuple[int, str], ...]:
    """(line, rule) of each ``#! rule``."""
    found = []
    for _, text in files:
        for number, line in enumerate(text.split("\n"), 1):
            mark = _MARK.search(line)
            if mark:
                found.append((number, mark[1]))
    return tuple(found)


def read(path: Path) -> list[Case]:
    """The entries of one family's file."""
    text = path.read_text(encoding="utf-8")
    cases = []
    for entry in _ENTRY.finditer(text):
        files = whole(entry["kind"], entry["source"].rstrip("\n") + "\n")
        code, rest = entry["code"] or "", entry["result"] or "null"
        if code == "refused":
            cases.append(Case(path.stem, entry["name"], files, ((1, rest),)))
        else:
            result = json.loads(rest)
            cases.append(Case(path.stem, entry["name"], files, marks(files), code, result))
    assert len(cases) == text.count("\n=== "), f"{path}: an entry is not in the form"
    return cases


def corpus() -> dict[str, Case]:
    """All cases by id."""
    from tests.contracts.escape.generated import generated

    cases = [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]
    cases += generated()
    found = {case.id: case for case in cases}
    assert len(found) == len(cases), "two cases of one name"
    return found
