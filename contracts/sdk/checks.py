"""Check digits of the trades: GS1 keys, LEI, and the form of a BIC. Pure, integers only."""

from __future__ import annotations

import re
from typing import Final

_LEI: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_DIGITS: Final = frozenset("0123456789")
_LEI_VALUES: Final = {
    letter: value for value, letter in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
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


def lei_valid(text: str) -> bool:
    """ISO 17442: 18 letters or digits and two check digits, mod 97 = 1."""
    if not _LEI.fullmatch(text):
        return False
    return int("".join(str(_LEI_VALUES[letter]) for letter in text)) % 97 == 1


def bic_valid(text: str) -> bool:
    """ISO 9362: 8 or 11 characters with a country at the fifth; a BIC has no check digit."""
    return _BIC.fullmatch(text) is not None
