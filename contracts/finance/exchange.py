"""What one currency's amount is in another, at a rate that somebody recorded.

A rate is a whole number of units over a power of ten: 487.35 is 48735 with scale 2. It is what one
whole unit of the sold currency (one euro, not one cent) costs in whole units of the bought one.
Currencies have 0, 2, 3 or 4 digits behind the point (ISO 4217), so the digits of both enter the
calculation; what is left below the bought currency's smallest unit is rounded once, as recorded.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import Choice, Int, Money, Record, Text, Timestamp, refuse

RATE_MAX: Final = 10**15

Rounding = Annotated[str, Choice("DOWN", "UP", "HALF_UP", "HALF_EVEN")]


class Exchange(Record):
    """An exchange: what is given, what comes of it, and how the one was made of the other."""

    sold: Money
    bought: Money
    rate: Annotated[int, Int(1, RATE_MAX)]
    scale: Annotated[int, Int(0, 12)]  # the rate is rate / 10^scale
    source: Annotated[str, Text(100)]  # who quoted it, such as "ECB reference rates"
    quoted_at: Timestamp
    rounding: Rounding


def rounded(numerator: int, denominator: int, rounding: str) -> int:
    """The whole number that a fraction of positive numbers is rounded to."""
    whole = numerator // denominator
    rest = numerator % denominator
    if rest == 0 or rounding == "DOWN":
        return whole
    if rounding == "UP":
        return whole + 1
    if 2 * rest == denominator and rounding == "HALF_EVEN":
        return whole + whole % 2
    return whole + (1 if 2 * rest >= denominator else 0)


def bought_for(exchange: Exchange) -> int:
    """The smallest units of the bought currency that the sold amount comes to at the rate."""
    if exchange.sold.currency == exchange.bought.currency:
        refuse("CURRENCY_MISMATCH", f"{exchange.sold.currency} is exchanged for itself")
    numerator = exchange.sold.minor * exchange.rate * 10**exchange.bought.digits
    denominator = 10 ** (exchange.scale + exchange.sold.digits)
    return rounded(numerator, denominator, exchange.rounding)


def rate_text(exchange: Exchange) -> str:
    """The rate for people: ``487.35``."""
    if exchange.scale == 0:
        return f"{exchange.rate}"
    base = 10**exchange.scale
    part = f"{base + exchange.rate % base}"[1:]
    return f"{exchange.rate // base}.{part}"
