"""Money in whole minor units."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk import BadValue, ContractError, Money
from contracts.sdk.codes import MINOR_UNITS
from contracts.sdk.fields import field_of
from contracts.sdk.money import MINOR_MAX, money_of

AMOUNTS = st.builds(Money, st.integers(0, MINOR_MAX), st.sampled_from(sorted(MINOR_UNITS)))


@given(AMOUNTS)
def test_correction_5_text_and_minor_units_are_the_same_amount(money: Money) -> None:
    field = field_of(Money)
    value = {"minor": money.minor, "currency": money.currency}
    assert money_of(money.text) == value
    assert field.check(value) == money
    point = money.text.partition(" ")[0].partition(".")[2]
    assert len(point) == money.digits == MINOR_UNITS[money.currency]


def test_correction_5_known_currencies() -> None:
    texts = [Money(1250, code).text for code in ("EUR", "JPY", "KWD", "CLF")]
    assert texts == ["12.50 EUR", "1250 JPY", "1.250 KWD", "0.1250 CLF"]
    assert money_of("0.29 USD")["minor"] == 29  # int(0.29 * 100) is 28
    assert money_of("12 EUR") == money_of("12.00EUR") == {"minor": 1200, "currency": "EUR"}


@pytest.mark.parametrize(
    "text", ["", "12.5 EUR", "1.0 JPY", "12,50 EUR", "-1 EUR", "1e3 EUR", "1 eur", "1 XXX", "1",
             "1\u0660 EUR", "EUR 1", "1 EUR\n", "1" * 20 + " EUR"],
)  # fmt: skip
def test_what_is_no_money(text: str) -> None:
    with pytest.raises(BadValue):
        money_of(text)


@given(AMOUNTS, AMOUNTS)
def test_sums_stay_in_one_currency_and_in_bounds(one: Money, other: Money) -> None:
    same = Money(other.minor, one.currency)
    if one.minor + same.minor <= MINOR_MAX:
        assert one.plus(same) == Money(one.minor + same.minor, one.currency)
        assert one.plus(same).minus(same) == one
    else:
        assert code_of(lambda: one.plus(same)) == "MONEY_BOUNDS"
    if one.minor < same.minor:
        assert code_of(lambda: one.minus(same)) == "MONEY_BOUNDS"
    if one.currency != other.currency:
        assert code_of(lambda: one.plus(other)) == "CURRENCY_MISMATCH"
        assert code_of(lambda: one.minus(other)) == "CURRENCY_MISMATCH"


def nested(levels: int) -> Any:
    """Compared with its like it takes 2 ** levels comparisons."""
    value: Any = [0]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "strange",
    [Money("1" * 99, "EUR"), Money(1, nested(60)), Money(nested(60), "EUR"), Money(1, "eur"),
     Money(2**200, "EUR"), Money(True, "EUR"), nested(60), 5, None],  # type: ignore[arg-type]
)  # fmt: skip
def test_whatever_contract_code_puts_there_is_refused_at_once(strange: Any) -> None:
    euro = Money(1, "EUR")
    assert code_of(lambda: euro.plus(strange)) == "BAD_VALUE"
    assert code_of(lambda: euro.minus(strange)) == "BAD_VALUE"
    if isinstance(strange, Money):
        assert code_of(lambda: strange.text) == code_of(lambda: strange.digits) == "BAD_VALUE"


def code_of(action: Any) -> str:
    with pytest.raises(ContractError) as caught:
        action()
    return caught.value.code
