"""Hypothesis strategies of what fields take: values for property tests of contracts.

``Strategies`` makes them for a chain's methods from the published schema; the functions for single
fields, such as ``gtin()``, stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from contracts.sdk import fields
from contracts.sdk.checks import container_check_digit, gs1_check_digit
from contracts.sdk.codes import COUNTRIES, IBAN_LENGTHS, LOCATION_COUNTRIES, MINOR_UNITS
from contracts.sdk.commitments import SALT_BYTES, Committed, commit
from contracts.sdk.dates import TIME_MS_MAX, month_days
from contracts.sdk.fields import (
    Blob,
    Bool,
    CalendarDate,
    Choice,
    Code,
    Data,
    Field,
    Int,
    Items,
    Maybe,
    Moment,
    Text,
    field_of,
)
from contracts.sdk.gs1 import ItemField, lot_path, path_of_elements
from contracts.sdk.money import MINOR_MAX, MoneyField
from contracts.sdk.schemas import Anything, Properties, field_from
from contracts.sdk.values import plain

Values = st.SearchStrategy[Any]

_DIGITS: Final = "0123456789"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHABET: Final = _DIGITS + _LETTERS
_LOT_CHARS: Final = _ALPHABET + "abcdefghijklmnopqrstuvwxyz-._/"
LIST_MAX: Final = 5  # items drawn for a list that may have more


class Strategies:
    """Strategies of one chain's methods, from its published schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    def arguments(self, contract: str, method: str, /, **fixed: Values | Any) -> Values:
        """Maps of arguments that the method takes. ``fixed`` sets some, to values or strategies.

        Arguments with defaults are sometimes left out.
        """
        declared = self._schema[contract]["methods"][method]["args"]
        needed, optional = {}, {}
        for name, schema in declared["properties"].items():
            if name in fixed:
                value = fixed[name]
                needed[name] = value if isinstance(value, st.SearchStrategy) else st.just(value)
            elif name in declared["required"]:
                needed[name] = of(field_from(schema))
            else:
                optional[name] = of(field_from(schema))
        return st.fixed_dictionaries(needed, optional=optional)


def of(field: Field | Any) -> Values:
    """Values that a field, or the field that a type hint names, takes."""
    found = field if isinstance(field, Field) else field_of(field)
    return st.deferred(lambda: _of(found))


def _of(field: Field) -> Values:
    match field:
        case Committed():
            return st.builds(
                lambda salt, value: commit(salt, plain(field.inner.check(value))[0]),
                st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES),
                of(field.inner),
            )
        case Maybe():
            return st.none() | of(field.field)
        case Items():
            low = field.size.minimum
            most = min(field.size.maximum, max(low, LIST_MAX))
            return st.lists(of(field.field), min_size=low, max_size=most)
        case Properties():
            names = {name: of(one) for name, one in field.fields.items()}
            needed = {name: one for name, one in names.items() if name in field.required}
            optional = {name: one for name, one in names.items() if name not in field.required}
            return st.fixed_dictionaries(needed, optional=optional)
        case Code():
            return _CODES[field.what]()
        case Text():
            return _text(field)
        case Int():
            return st.integers(field.minimum, field.maximum)
        case Choice():
            return st.sampled_from(field.options)
        case Blob():
            return st.binary(min_size=field.minimum, max_size=field.maximum)
        case Data():
            return st.dictionaries(st.text(_LETTERS, max_size=4), st.integers(0, 9), max_size=3)
        case Anything():
            return st.none() | st.integers(0, 9) | st.text(_LETTERS, max_size=9)
        case Bool():
            return st.booleans()
        case CalendarDate():
            return dates()
        case Moment():
            return st.integers(0, TIME_MS_MAX)
        case ItemField():
            return items()
        case MoneyField():
            return money()
    # A record describes itself by its schema.
    return of(field_from(field.schema()))


def _text(field: Text) -> Values:
    if field.pattern is None:
        chars = st.characters(codec="utf-8")
        return st.text(chars, min_size=field.minimum, max_size=field.maximum)
    return st.from_regex(field.pattern.regex, fullmatch=True).filter(
        lambda text: field.minimum <= len(text) <= field.maximum
    )


def _digits(size: int) -> st.SearchStrategy[str]:
    return st.text(_DIGITS, min_size=size, max_size=size)


def _gs1(size: int) -> st.SearchStrategy[str]:
    return _digits(size - 1).map(lambda body: body + str(gs1_check_digit(body)))


def gtin() -> st.SearchStrategy[str]:
    """GTINs of 14 digits."""
    return _gs1(14)


def gln() -> st.SearchStrategy[str]:
    return _gs1(13)


def sscc() -> st.SearchStrategy[str]:
    return _gs1(18)


def lots() -> st.SearchStrategy[str]:
    """Lot numbers and serials."""
    return st.text(_LOT_CHARS, min_size=1, max_size=20)


def items() -> st.SearchStrategy[str]:
    """Paths of lots, serialised items and logistic units."""
    return st.one_of(
        st.builds(lot_path, gtin(), lots()),
        st.builds(lambda g, s: path_of_elements({"01": g, "21": s}), gtin(), lots()),
        sscc().map(lambda code: f"00/{code}"),
    )


def _checked_97(body: str, order: str) -> str:
    """Two check digits for mod 97 = 1 over ``order``, in which they are 00."""
    return f"{98 - int(''.join(str(int(one, 36)) for one in order)) % 97:02d}"


def lei() -> st.SearchStrategy[str]:
    return st.text(_ALPHABET, min_size=18, max_size=18).map(
        lambda body: body + _checked_97(body, body + "00")
    )


def bic() -> st.SearchStrategy[str]:
    return st.builds(
        lambda bank, country, place, branch: bank + country + place + branch,
        st.text(_LETTERS, min_size=4, max_size=4),
        st.sampled_from(sorted(COUNTRIES)),
        st.text(_ALPHABET, min_size=2, max_size=2),
        st.just("") | st.text(_ALPHABET, min_size=3, max_size=3),
    )


def iban() -> st.SearchStrategy[str]:
    def of_country(country: str) -> st.SearchStrategy[str]:
        return _digits(IBAN_LENGTHS[country] - 4).map(
            lambda account: country + _checked_97(account, f"{account}{country}00") + account
        )

    return st.sampled_from(sorted(IBAN_LENGTHS)).flatmap(of_country)


def unlocode() -> st.SearchStrategy[str]:
    place = st.text(_LETTERS + "23456789", min_size=3, max_size=3)
    return st.builds(str.__add__, st.sampled_from(sorted(LOCATION_COUNTRIES)), place)


def container_number() -> st.SearchStrategy[str]:
    body = st.builds(
        lambda owner, kind, serial: owner + kind + serial,
        st.text(_LETTERS, min_size=3, max_size=3),
        st.sampled_from("JUZ"),
        _digits(6),
    )
    return body.map(lambda text: text + str(container_check_digit(text)))


def currency() -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(MINOR_UNITS))


def money(minor_max: int = MINOR_MAX) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"minor": st.integers(0, minor_max), "currency": currency()})


def quantities(amount_max: int = 10**15, unit: str = "EA") -> st.SearchStrategy[dict[str, Any]]:
    """Quantities of one unit."""
    return st.fixed_dictionaries({"amount": st.integers(1, amount_max), "unit": st.just(unit)})


def dates(first: int = 1970, last: int = 2100) -> st.SearchStrategy[int]:
    """Days YYYYMMDD of these years."""

    def of_month(month: tuple[int, int]) -> st.SearchStrategy[int]:
        return st.integers(1, month_days(*month)).map(
            lambda day: month[0] * 10_000 + month[1] * 100 + day
        )

    return st.tuples(st.integers(first, last), st.integers(1, 12)).flatmap(of_month)


_CODES: Final = {
    field_of(hint).schema()["format"]: strategy
    for hint, strategy in (
        (fields.Bic, bic),
        (fields.ContainerNumber, container_number),
        (fields.Currency, currency),
        (fields.Gln, gln),
        (fields.Gtin, gtin),
        (fields.Iban, iban),
        (fields.Lei, lei),
        (fields.OrganisationId, lambda: gln() | lei() | bic()),
        (fields.Sscc, sscc),
        (fields.UnLocode, unlocode),
    )
} | {"lot": lots}
