"""Little contracts, loaded and run without a node."""

from __future__ import annotations

import textwrap
from typing import Any

from contracts.runtime.executor import BlockContext, run_query
from contracts.runtime.loader import load
from contracts.runtime.package import RUNTIME, Package, SourceFile
from contracts.runtime.registry import Module, Registry
from contracts.runtime.steps import Meter
from tests.contracts.ledger import DictState

PATH = "contracts/own.py"
HEAD = """\
from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    BadValue, Contract, ContractError, Counter, Index, Map, Record, Text, call, query, refuse,
    iso_date, Money,
)
"""


def package(text: str, path: str = PATH) -> Package:
    """One file as it stands: a package called own, version 1."""
    return Package("own", 1, RUNTIME, (SourceFile(path, text),))


def contract(top: str = "", *, members: str = "", body: str = "return None") -> str:
    """A file with a record and a contract, whose query ``run`` has the given body.

    ``run`` has ``x``, ``y`` and ``z``; the lines of ``body`` begin at line ``line_of(...)``.
    """
    return (
        HEAD
        + textwrap.dedent(top)
        + textwrap.dedent(
            """
            class Thing(Record):
                name: str
                count: int = 0


            class Own(Contract):
                name = "own"
                things = Map(Thing, key=("name",))
            """
        )
        + textwrap.indent(textwrap.dedent(members), "    ")
        + "\n    @query\n"
        + "    def run(self, x: dict[str, Any], y: int = 0, z: str = '') -> Any:\n"
        + textwrap.indent(textwrap.dedent(body).strip("\n"), "        ")
        + "\n"
    )


def evaluated(
    body: str,
    args: dict[str, Any] | None = None,
    *,
    top: str = "",
    members: str = "",
    instrumented: bool = True,
) -> Any:
    """The canonical answer of ``run``. Raises InputError as a query does."""
    registry = Registry()
    text = contract(top, members=members, body=body)
    made = load(package(text), registry.meter, instrumented=instrumented)
    registry._add(Module(made))
    given = {"x": args or {}}
    return run_query(registry, DictState({}), _BLOCK, "own", "run", given)


def steps(body: str, *, top: str = "", members: str = "") -> int:
    """What ``run`` takes, from entering it to its end; the runtime's own prices left out."""
    meter = Meter()
    made: Any = load(package(contract(top, members=members, body=body)), meter)
    meter.start(1 << 40)
    made.run(_Unbound(), {})
    return meter.used


class _Unbound:
    """A self that has nothing: enough for bodies that need none."""


_BLOCK = BlockContext(bytes(32), 1, 1_780_000_000_000, bytes(32))

__all__ = ["HEAD", "PATH", "contract", "evaluated", "package", "steps"]
