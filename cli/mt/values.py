"""Values inside fields: dates, amounts, parties, codes. All arithmetic is on whole minor units."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Final

from contracts.sdk.codes import LOCATION_COUNTRIES, MINOR_UNITS
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import Bic, field_of

_BIC: Final = field_of(Bic)
_AMOUNT: Final = re.compile(r"([A-Z]{3})([0-9]+),([0-9]*)")
_LAST_YEAR_OF_2000: Final = 79  # SWIFT: 80 to 99 lie in the twentieth century


class Wrong(Exception):
    """A value breaks a rule. ``network`` is SWIFT's code for it."""

    def __init__(self, code: str, message: str, network: str) -> None:
        super().__init__(message)
        self.code = code
        self.network = network


@dataclasses.dataclass(frozen=True)
class Amount:
    """Minor units of a currency."""

    currency: str
    minor: int


def date_of(text: str) -> str:
    """YYMMDD as YYYY-MM-DD. Raises Wrong MT_DATE."""
    century = "20" if int(text[:2]) <= _LAST_YEAR_OF_2000 else "19"
    iso = f"{century}{text[:2]}-{text[2:4]}-{text[4:6]}"
    try:
        datetime.date.fromisoformat(iso)
    except ValueError:
        raise Wrong("MT_DATE", f"{text[:6]} is no day", "T50") from None
    return iso


def swift_date(iso: str) -> str:
    """YYYY-MM-DD as YYMMDD. Raises Wrong MT_DATE for a year that two digits can't say."""
    if not "1980" <= iso[:4] <= "2079":
        raise Wrong("MT_DATE", f"{iso} can't be said in two digits of a year", "T50")
    return iso[2:4] + iso[5:7] + iso[8:10]


def amount_of(text: str) -> Amount:
    """``USD1234,5``: the comma stands always (rule 46). Raises Wrong MT_CURRENCY or MT_AMOUNT."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Wrong("MT_AMOUNT", "a currency, digits and a comma", "T40")
    currency, whole, part = found.groups()
    digits = MINOR_UNITS.get(currency)
    if digits is None:
        raise Wrong("MT_CURRENCY", f"{currency} is no currency", "T52")
    if len(part) > digits:
        raise Wrong("MT_AMOUNT", f"{currency} has {digits or 'no'} digits after the comma", "C03")
    return Amount(currency, int(whole + part.ljust(digits, "0")))


def swift_amount(amount: Amount) -> str:
    """As in a message, without needless zeros: ``USD1234,5``, ``JPY1000,``.

    Raises Wrong MT_AMOUNT if it needs more than 15 characters.
    """
    digits = MINOR_UNITS[amount.currency]
    whole, part = divmod(amount.minor, 10**digits)
    after = f"{part:0{digits}}".rstrip("0") if digits else ""
    number = f"{whole},{after}"
    if len(number) > 15:
        raise Wrong("MT_AMOUNT", f"{number} has more than 15 characters", "T43")
    return amount.currency + number


def check_bic(text: str) -> None:
    """Raises Wrong MT_BIC. Whether it is registered, only SWIFT's directory knows."""
    try:
        _BIC.check(text)
    except BadValue:
        raise Wrong("MT_BIC", f"{text} is no BIC", "T27") from None
    if text[4:6] not in LOCATION_COUNTRIES:
        raise Wrong("MT_BIC", f"{text[4:6]} is no country", "T27")


def party_lines(value: str) -> tuple[str, list[str]]:
    """A party's account, with its slash, or ""; and the lines of its BIC or name."""
    lines = value.split("\n")
    return (lines[0], lines[1:]) if lines[0].startswith("/") else ("", lines)


def code_and_rest(line: str) -> tuple[str, str]:
    """``/CODE/words`` as code and words; ("", line) if it begins with no code."""
    found = re.fullmatch(r"/([A-Z0-9]{1,8})/(.*)", line)
    return ("", line) if found is None else (found[1], found[2])
