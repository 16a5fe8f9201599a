"""Receipts, steps, events and roots are the golden ones, under any hash seed."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.runtime import names
from contracts.runtime.registry import Registry, builtin_packages
from scripts.conformance import GOLDEN, VERSIONS, difference, interpreters, main, run

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_hash_order_and_version_change_nothing(golden: dict[str, Any], seed: str) -> None:
    found = run(sys.executable, seed)
    assert difference(golden, found) is None, difference(golden, found)


def test_the_golden_receipts_were_made_under_both_versions(golden: dict[str, Any]) -> None:
    for version in VERSIONS:
        assert any(one.startswith(f"{version}.") for one in golden["recorded_under"])


def test_every_method_of_every_built_in_contract_is_called_with_success_somewhere(
    golden: dict[str, Any],
) -> None:
    lines = golden["lines"]
    answered = {
        line.split()[1] for line in lines if line.startswith("? ") and ": " not in line
    }  # fmt: skip
    succeeded = {line.split()[1] for line in lines if " OK:" in line}
    for contract, described in Registry.of(builtin_packages()).schema().items():
        for method, declared in described["methods"].items():
            name = f"{contract}.{method}"
            if declared["contracts"]:
                assert any(line.split()[1] == name for line in lines)  # others call it
            else:
                assert name in (succeeded if declared["kind"] == "call" else answered), name


def test_every_method_of_the_module_succeeds_somewhere(golden: dict[str, Any]) -> None:
    lines = [line.split() for line in golden["lines"]]
    succeeded = {line[1] for line in lines if any(word.startswith("OK:") for word in line)}
    tree = ast.parse((FOLDER / "dialect.py").read_text(encoding="utf-8"))
    methods = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any("call" in ast.unparse(mark) for mark in node.decorator_list)
    }
    assert methods - {one.removeprefix("dialect.") for one in succeeded} == {"endless"}
    ran = " ".join(word for line in lines if line[0] == "due" for word in line)
    assert "OK:" in ran and "NOT_RIPE:" in ran


def test_the_module_does_everything_that_source_may_do() -> None:
    trees = [
        ast.parse((FOLDER / name).read_text(encoding="utf-8"))
        for name in ("words.py", "dialect.py")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert set(names.SDK) - used == set()
    assert set(names.BUILTINS) - used == set()
    assert set(names.BUILTIN_METHODS) - attributes == set()
    assert set(names.SDK_METHODS) - attributes == set()
    assert set(names.CONTRACT_METHODS) - attributes == {"check_package"}  # governance's alone
    assert set(names.CONTEXT_SCALARS) - attributes == set()
    kinds = {type(node) for node in nodes}
    for kind in (ast.For, ast.While, ast.If, ast.Try, ast.Break, ast.Continue, ast.ListComp,
                 ast.DictComp, ast.JoinedStr, ast.Lambda, ast.IfExp, ast.NamedExpr, ast.Slice,
                 ast.AugAssign, ast.Starred, ast.BoolOp, ast.Compare):  # fmt: skip
        assert kind in kinds, kind


def test_a_difference_is_told_with_its_line(golden: dict[str, Any]) -> None:
    other = {**golden, "lines": [*golden["lines"][:5], "changed", *golden["lines"][6:]]}
    told = difference(golden, other)
    assert told is not None and told.startswith("line 5: expected ") and "changed" in told
    assert difference(golden, {**golden, "lines": golden["lines"][:-1]}) is not None
    assert difference(golden, {**golden, "root": ""}) is not None
    assert difference(golden, golden) is None


@pytest.mark.long
def test_another_interpreter_must_be_one() -> None:
    with pytest.raises(SystemExit, match="is no Python"):
        list(interpreters(["/absent/python3.12"]))
    with pytest.raises(SystemExit, match="is no Python"):
        main(["--python", "/bin/false"])
