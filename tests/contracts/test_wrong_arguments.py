"""Wrong arguments of every built-in method: BAD_ARGUMENT, naming method, argument and reason."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import encode
from contracts.runtime.registry import builtin_registry
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.methods import Method
from contracts.sdk.strategies import of
from tests.contracts.ledger import MAKER, Ledger, consortium
from tests.contracts.test_fields import VALUES

METHODS: Final[list[Method]] = [
    method for module in builtin_registry() for method in module.methods.values()
]


def refusal(method: Method, args: dict[str, Any]) -> str | None:
    """The refusal's reason behind the method's name; None where the arguments are taken."""
    before = encode(args)
    try:
        method.checked(args)
    except ContractError as error:
        assert error.code == "BAD_ARGUMENT"
        name = f"{method.contract.name}.{method.name}: "
        assert error.message.startswith(name)
        return error.message.removeprefix(name)
    finally:
        assert encode(args) == before
    return None


def test_there_are_methods_of_every_kind() -> None:
    assert {"call", "query", "genesis"} <= {method.kind for method in METHODS}
    assert len(METHODS) > 60


@given(st.data())
def test_each_wrong_value_is_named_with_its_argument(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([one for one in METHODS if one.fields]))
    args = {name: data.draw(of(field)) for name, field in method.fields.items()}
    assert refusal(method, args) is None
    wrong = data.draw(st.sampled_from(sorted(args)))
    value = data.draw(VALUES)
    try:
        method.fields[wrong].check(value)
    except BadValue as error:
        assert refusal(method, {**args, wrong: value}) == f"{wrong}: {error}"
    else:
        assert refusal(method, {**args, wrong: value}) is None


@pytest.mark.parametrize("method", METHODS, ids=lambda one: f"{one.contract.name}.{one.name}")
def test_missing_and_unknown_arguments_are_named(method: Method) -> None:
    args = {name: field.example() for name, field in method.fields.items()}
    assert refusal(method, args) is None
    assert refusal(method, {**args, "colour": 1}) == "colour: there is no such argument"
    for name in method.fields:
        rest = {one: value for one, value in args.items() if one != name}
        found = refusal(method, rest)
        assert found == (None if name in method.defaults else f"{name}: is missing")


@given(st.dictionaries(st.sampled_from(["items", "consignee", "event", "x"]), VALUES))
def test_a_transaction_with_any_arguments_ends_in_a_receipt(args: dict[str, Any]) -> None:
    receipt = LEDGER.send(MAKER, "ship", **args)
    assert receipt.code == "BAD_ARGUMENT"
    assert receipt.detail.startswith("batch.ship: ")


LEDGER: Final = Ledger(builtin_registry(), consortium())
