"""Money: whole minor units of a currency, never a fraction."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from contracts.sdk.codes import MINOR_UNITS
from contracts.sdk.errors import BadValue, refuse
from contracts.sdk.fields import Currency, Field, Int, field_of
from contracts.sdk.records import Record, RecordField

MINOR_MAX: Final = 10**18

_MINOR: Final = Int(0, MINOR_MAX)
_CURRENCY: Final = field_of(Currency)
_AMOUNT: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,4}))? ?([A-Z]{3})")


class MoneyField(RecordField):
    """Money as an argument. What is written for people, "12.50 EUR", is read before it is sent."""

    def schema(self) -> dict[str, Any]:
        return super().schema() | {"format": "money"}

    def example(self) -> dict[str, Any]:
        return {"minor": 1250, "currency": "EUR"}


class Money(Record):
    """An amount in minor units: 1250 and EUR is 12.50 euros, 1250 and JPY is 1250 yen."""

    minor: Annotated[int, _MINOR]
    currency: Currency

    @classmethod
    def __hansa_field__(cls) -> Field:
        return MoneyField(cls)

    @property
    def digits(self) -> int:
        """How many digits stand behind the decimal point (ISO 4217)."""
        return MINOR_UNITS[_parts(self)[1]]

    @property
    def text(self) -> str:
        """For people: ``12.50 EUR``."""
        minor, currency = _parts(self)
        digits = MINOR_UNITS[currency]
        if digits == 0:
            return f"{minor} {currency}"
        whole, part = divmod(minor, 10**digits)
        return f"{whole}.{part:0{digits}} {currency}"

    def plus(self, other: Money) -> Money:
        """The sum. Refuses with CURRENCY_MISMATCH or MONEY_BOUNDS."""
        minor, more, currency = _same_currency(self, other)
        return _bounded(minor + more, currency)

    def minus(self, other: Money) -> Money:
        """The difference. Refuses with CURRENCY_MISMATCH, or MONEY_BOUNDS below nothing."""
        minor, less, currency = _same_currency(self, other)
        return _bounded(minor - less, currency)


def _parts(money: object) -> tuple[int, str]:
    """Minor units and currency. Raises BadValue: contract code may have put anything there."""
    if type(money) is not Money:
        raise BadValue("expected money")
    return _MINOR.check(money.minor), _CURRENCY.check(money.currency)


def _same_currency(one: object, other: object) -> tuple[int, int, str]:
    (minor, currency), (other_minor, other_currency) = _parts(one), _parts(other)
    if currency != other_currency:
        refuse("CURRENCY_MISMATCH", f"{currency} and {other_currency} do not mix")
    return minor, other_minor, currency


def _bounded(minor: int, currency: str) -> Money:
    if not 0 <= minor <= MINOR_MAX:
        refuse("MONEY_BOUNDS", f"an amount lies from 0 to {MINOR_MAX} minor units")
    return Money(minor, currency)


def money_of(text: str) -> dict[str, Any]:
    """The argument that ``12.50 EUR`` stands for, with the currency's own digits or none.

    Raises BadValue.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise BadValue("money is written 12.50 EUR")
    whole, part, currency = found[1], found[2] or "", found[3]
    digits = MINOR_UNITS.get(currency)
    if digits is None:
        raise BadValue(f"{currency} is no currency with minor units")
    if part and len(part) != digits:
        raise BadValue(f"{currency} has {digits or 'no'} digits behind the point")
    return {"minor": int(whole + part.ljust(digits, "0")), "currency": currency}
