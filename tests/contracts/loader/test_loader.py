"""Loading: once checked and compiled, in a namespace where nothing else is."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

import contracts.sdk
from consensus.primitives.errors import InputError, LocalFault
from contracts.runtime import loader, names
from contracts.runtime.loader import check, load
from contracts.runtime.package import RUNTIME, Manifest, Package, SourceFile
from contracts.runtime.registry import Registry, builtin_packages
from contracts.runtime.steps import PRICES, Meter, OutOfSteps, prices_markdown
from tests.contracts.loader.support import PATH, contract, package

PAGE = Path(__file__).parents[3] / "docs/spec/dialect.md"


@pytest.mark.parametrize("built_in", builtin_packages(), ids=lambda made: made.name)
def test_the_built_in_contracts_obey_the_dialect(built_in: Package) -> None:
    assert check(built_in) == []


def test_refusal_names_every_finding() -> None:
    text = contract(body="return foo + bar")
    with pytest.raises(InputError) as caught:
        load(package(text), Meter())
    assert caught.value.code == "CONTRACT_REFUSED"
    line = text.count("\n")
    assert caught.value.message.splitlines() == [
        f"{PATH}:{line}:16: unknown-name: there is no foo",
        f"{PATH}:{line}:22: unknown-name: there is no bar",
    ]


def test_a_declaration_without_sense_is_named_with_its_line() -> None:
    members = "\n@call\ndef f(self, a: Annotated[str, Text(-1)]) -> None:\n    return None\n"
    text = contract(members=members)
    (found,) = check(package(text))
    assert (found.rule, found.file) == ("declaration", PATH)
    assert "Text(-1)" in text.splitlines()[found.line - 1]


def test_a_spent_stack_is_the_machines_fault_and_refuses_nothing() -> None:
    made = package(contract(body="return 'deep'"))

    def down(levels: int) -> Any:
        return load(made, Meter()) if levels == 0 else down(levels - 1)

    with pytest.raises(LocalFault) as caught:
        down(sys.getrecursionlimit() - _depth() - 14)
    assert caught.value.code == "NODE_FAULT"
    assert load(made, Meter()).name == "own"


def _depth() -> int:
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ('Index("nothing", on=("count",))', "there is no such map"),
        ('Index("rows", on=("nothing",))', "nothing"),
    ],
)
def test_what_a_chain_refuses_of_state_is_found_before(index: str, reason: str) -> None:
    text = f"""from contracts.sdk import Contract, Index, Map, Record, call


class Row(Record):
    count: int


class Rows(Contract):
    name = "own"
    rows = Map(Row, key=("number",))
    by = {index}

    @call
    def run(self) -> None:
        self.emit("Ran")
"""
    (found,) = check(package(text))
    assert found.rule == "declaration" and reason in found.reason
    with pytest.raises(InputError, match="CONTRACT_REFUSED"):
        Registry.of([package(text)])
    whole = text.replace(index, 'Index("rows", on=("count",))')
    assert check(package(whole)) == []


def test_source_is_compiled_once_and_run_for_each_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(contract(body="return 'once'"))
    one, other = Meter(), Meter()
    first: Any = load(made, one)
    monkeypatch.setattr(loader, "understand", None)  # not needed again
    second: Any = load(made, other)
    assert first is not second
    one.start(1_000)
    assert first.run(None, {}) == "once"
    assert (one.used > 0, other.used) == (True, 0)
    with pytest.raises(OutOfSteps):
        second.run(None, {})


def test_the_namespace_holds_only_what_was_declared() -> None:
    made: Any = load(package(contract("LIMIT = 3\n")), Meter())
    space = made.run.__globals__
    assert space["__builtins__"] == {"__build_class__": builtins.__build_class__}
    sdk = set(contracts.sdk.__all__) | {"Annotated", "Any", "Final", "Thing", "Own"}
    own = {name for name in space if "__" not in name}
    assert own <= sdk
    assert not vars(builtins).keys() & own


def test_annotations_are_no_texts_to_be_evaluated() -> None:
    made: Any = load(
        package(contract(members="def helper(self, a: int) -> int:\n    return a\n")), Meter()
    )
    assert all(not isinstance(hint, str) for hint in made.run.__annotations__.values())
    assert made.helper.__annotations__ == {}


def test_classes_carry_nothing_from_call_to_call() -> None:
    made: Any = load(package(contract()), Meter())
    with pytest.raises(AttributeError):
        made.counter = 1
    with pytest.raises(AttributeError):
        made.run.__globals__["Thing"].counter = 1


def test_a_package_has_one_encoding_and_a_manifest() -> None:
    made = package(contract())
    assert Package.decode(made.raw) == made
    manifest = made.manifest
    assert Manifest.decode(manifest.raw) == manifest
    assert [(file.path, file.sha256) for file in manifest.files] == [(PATH, made.files[0].sha256)]
    changed = Package("own", 1, RUNTIME, (SourceFile(PATH, contract() + "\n"),))
    assert changed.manifest.digest != manifest.digest


def test_a_meter_never_says_more_than_the_budget() -> None:
    meter = Meter(10)
    meter.charge(4)
    kept = meter.state
    meter.start(100)
    meter.charge(50)
    meter.state = kept
    assert (meter.used, meter.left, meter.steps_max) == (4, 6, 10)
    with pytest.raises(OutOfSteps):
        meter.charge(7)
    assert meter.used == 10


def test_all_that_the_sdk_offers_has_its_place_in_the_dialect() -> None:
    left_out = {"Code", "Field"}  # they take functions
    assert set(contracts.sdk.__all__) - left_out == set(names.SDK)


def test_names_that_plain_data_have_are_known() -> None:
    """On this Python version; the list is frozen, and must hold every version's."""
    error = contracts.sdk.ContractError("A", "b")
    data: tuple[Any, ...] = (True, b"", {}, 1, [], range(1), "", (), None, error)
    found = {name for value in data for name in dir(value) if "__" not in name}
    assert found - {"code", "message"} <= names.SHARED_ATTRIBUTES
    assert names.BUILTIN_METHODS.keys() <= names.SHARED_ATTRIBUTES | {"get"}


def test_the_page_of_the_dialect_says_what_is_so() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert prices_markdown() in page
    assert len({price.what for price in PRICES}) == len(PRICES)
    assert ", ".join(f"`{name}`" for name in sorted(names.BUILTINS)) in page
    for name, kinds in names.BUILTIN_METHODS.items():
        assert f"| `{name}` | {kinds} |" in page
