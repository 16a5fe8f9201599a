"""Exchange between currencies: whole numbers only, rounded once, as recorded."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.finance.exchange import Exchange, bought_for, rate_text, rounded
from contracts.sdk import ContractError, Money
from contracts.sdk.codes import MINOR_UNITS

MODES = {
    "DOWN": ROUND_DOWN, "UP": ROUND_UP, "HALF_UP": ROUND_HALF_UP, "HALF_EVEN": ROUND_HALF_EVEN,
}  # fmt: skip


def exchanged(
    minor: int, sold: str, bought: str, rate: int, scale: int, rounding: str = "HALF_EVEN"
) -> int:
    terms = Exchange(Money(minor, sold), Money(0, bought), rate, scale, "x", 0, rounding)
    return bought_for(terms)


@pytest.mark.parametrize(
    ("minor", "sold", "bought", "rate", "scale", "rounding", "result"),
    [
        # 1.250 KWD at 487.35 yen is 609.1875 yen.
        (1_250, "KWD", "JPY", 48_735, 2, "DOWN", 609),
        (1_250, "KWD", "JPY", 48_735, 2, "UP", 610),
        (1_250, "KWD", "JPY", 48_735, 2, "HALF_EVEN", 609),
        # 1,000 yen at 0.002052 is 2.052 dinars, exactly; 1 yen is 0.002052, so 2 fils.
        (1_000, "JPY", "KWD", 2_052, 6, "DOWN", 2_052),
        (1, "JPY", "KWD", 2_052, 6, "DOWN", 2),
        (1, "JPY", "KWD", 2_052, 6, "UP", 3),
        # 1 cent at 160 yen is 1.6 yen, at 50 it is half a yen.
        (1, "EUR", "JPY", 160, 0, "DOWN", 1),
        (1, "EUR", "JPY", 160, 0, "HALF_UP", 2),
        (1, "EUR", "JPY", 50, 0, "HALF_UP", 1),
        (1, "EUR", "JPY", 50, 0, "HALF_EVEN", 0),
        (3, "EUR", "JPY", 50, 0, "HALF_EVEN", 2),
        # 1 fils is a thousandth: at par it is a tenth of a cent.
        (1, "KWD", "USD", 1, 0, "DOWN", 0),
        (5, "KWD", "USD", 1, 0, "HALF_EVEN", 0),
        (15, "KWD", "USD", 1, 0, "HALF_EVEN", 2),
        # Four digits: Chile's unit of account.
        (10_000, "CLF", "JPY", 6_123_456, 3, "HALF_UP", 6_123),
        # 0.29 at 100: with floats, 28.999999999999996.
        (29, "USD", "JPY", 100, 0, "DOWN", 29),
    ],
)
def test_amounts_of_no_and_of_three_digits_are_rounded_once(
    minor: int, sold: str, bought: str, rate: int, scale: int, rounding: str, result: int
) -> None:
    assert exchanged(minor, sold, bought, rate, scale, rounding) == result


@given(
    minor=st.integers(0, 10**18),
    pair=st.permutations(["JPY", "EUR", "KWD", "CLF", "IQD"]),
    rate=st.integers(1, 10**15),
    scale=st.integers(0, 12),
    rounding=st.sampled_from(sorted(MODES)),
)
def test_it_is_what_decimals_of_any_length_say(
    minor: int, pair: list[str], rate: int, scale: int, rounding: str
) -> None:
    sold, bought = pair[:2]
    with localcontext() as context:
        context.prec = 100
        whole = Decimal(minor).scaleb(-MINOR_UNITS[sold]) * Decimal(rate).scaleb(-scale)
        expected = whole.scaleb(MINOR_UNITS[bought]).quantize(Decimal(1), MODES[rounding])
    assert exchanged(minor, sold, bought, rate, scale, rounding) == int(expected)


def test_rounding_of_what_is_whole_changes_nothing() -> None:
    assert [rounded(12, 4, mode) for mode in MODES] == [3] * 4


def test_a_currency_is_not_exchanged_for_itself() -> None:
    with pytest.raises(ContractError, match="exchanged for itself"):
        exchanged(1, "EUR", "EUR", 1, 0)


def test_rates_are_shown_with_all_their_digits() -> None:
    shown = [
        rate_text(Exchange(Money(1, "EUR"), Money(1, "JPY"), rate, scale, "x", 0, "DOWN"))
        for rate, scale in ((48_735, 2), (2_052, 6), (7, 0), (100, 2))
    ]
    assert shown == ["487.35", "0.002052", "7", "1.00"]
