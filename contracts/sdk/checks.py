"""Codes of the trades: their forms, tables and check digits. Pure, integers only."""

from __future__ import annotations

import re
from typing import Final

from contracts.sdk.codes import IBAN_LENGTHS, LOCATION_COUNTRIES, MINOR_UNITS

_LEI: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_DIGITS: Final = frozenset("0123456789")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_LOCATION: Final = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")
_CONTAINER: Final = re.compile(r"[A-Z]{3}[JUZ][0-9]{7}")
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES_97: Final = {letter: str(value) for value, letter in enumerate(_ALPHABET)}
# ISO 6346: letters count up from 10 and skip the multiples of 11.
_CONTAINER_VALUES: Final = {
    letter: value + (value > 10) + (value > 20) + (value > 30)
    for value, letter in enumerate(_ALPHABET)
}


def is_digits(text: str) -> bool:
    """Whether ``text`` is ASCII digits alone (``str.isdigit`` takes those of other scripts)."""
    return bool(text) and _DIGITS.issuperset(text)


def gs1_check_digit(digits: str) -> int:
    """The check digit behind ``digits`` (GS1 General Specifications 7.9).

    Weights 3 and 1 in turn from the digit left of the check digit.
    """
    total = 3 * sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2]))
    return (10 - total % 10) % 10


def gs1_valid(text: str, *lengths: int) -> bool:
    """Whether ``text`` has one of the lengths, digits alone, and the right last digit."""
    return len(text) in lengths and is_digits(text) and gs1_check_digit(text[:-1]) == int(text[-1])


def gtin_valid(text: str) -> bool:
    """GTIN-8, -12, -13 or -14."""
    return gs1_valid(text, 8, 12, 13, 14)


def gln_valid(text: str) -> bool:
    return gs1_valid(text, 13)


def sscc_valid(text: str) -> bool:
    return gs1_valid(text, 18)


def _mod_97(text: str) -> int:
    """ISO 7064 MOD 97-10 over digits and letters, A = 10 to Z = 35."""
    return int("".join([_VALUES_97[letter] for letter in text])) % 97


def lei_valid(text: str) -> bool:
    """ISO 17442: 18 letters or digits and two check digits, mod 97 = 1."""
    return _LEI.fullmatch(text) is not None and _mod_97(text) == 1


def bic_valid(text: str) -> bool:
    """ISO 9362: 8 or 11 characters with a country at the fifth; a BIC has no check digit."""
    return _BIC.fullmatch(text) is not None


def iban_valid(text: str) -> bool:
    """ISO 13616, written without spaces: the country's length, and mod 97 = 1."""
    if IBAN_LENGTHS.get(text[:2]) != len(text) or not _IBAN.fullmatch(text):
        return False
    # 00, 01 and 99 would pass mod 97, too; check digits run from 02 to 98.
    return "02" <= text[2:4] <= "98" and _mod_97(text[4:] + text[:4]) == 1


def currency_valid(text: str) -> bool:
    """ISO 4217: a currency that has minor units."""
    return text in MINOR_UNITS


def unlocode_valid(text: str) -> bool:
    """UN/LOCODE, without a space: a country and three of A to Z and 2 to 9. No list of places."""
    return _LOCATION.fullmatch(text) is not None and text[:2] in LOCATION_COUNTRIES


def container_check_digit(text: str) -> int:
    """The check digit behind the ten characters of owner, category and serial (ISO 6346).

    Weights double from the left, mod 11, and 10 becomes 0.
    """
    total = 0
    for at, letter in enumerate(text):
        total += _CONTAINER_VALUES[letter] << at
    return total % 11 % 10


def container_valid(text: str) -> bool:
    """ISO 6346: owner, category J, U or Z, six digits, check digit."""
    return _CONTAINER.fullmatch(text) is not None and int(text[-1]) == container_check_digit(
        text[:-1]
    )
