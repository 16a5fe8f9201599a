"""GS1 identification: one path for one thing, however it was written.

EPC URN, GS1 Digital Link, element string and the bare path of one item all give the same text:

=====================  ==============================  ==========================================
a lot of a trade item  ``01/{GTIN, 14 digits}/10/{lot}``     ``urn:epc:class:lgtin:...``
one serialised item    ``01/{GTIN, 14 digits}/21/{serial}``  ``urn:epc:id:sgtin:...``
a logistic unit        ``00/{SSCC}``                         ``urn:epc:id:sscc:...``
=====================  ==============================  ==========================================

In lot and serial everything but letters, digits, ``.``, ``_`` and ``-`` stands as ``%XX``. A serial
is unique for its GTIN, so a lot written beside it is no part of its path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final

from contracts.sdk.checks import gln_valid, gs1_check_digit, gtin_valid, is_digits, sscc_valid
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import Code, Field, wrong

TEXT_MAX: Final = 512
# GS1's character set 82, for lots and serials.
_SET_82: Final = frozenset(
    "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
)
_UNRESERVED: Final = frozenset("-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_PATH: Final = re.compile(r"01/([0-9]{14})/(?:10|21)/[-.0-9A-Z_a-z]{1,20}")
"""Lots and serials as they are mostly written, which is what they are kept as."""
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_ELEMENT: Final = re.compile(r"\(([0-9]{2,4})\)([^(]*)")
# Fixed lengths of the element strings that this reader knows; 10 and 21 end at FNC1.
_FIXED: Final = {"00": 18, "01": 14, "11": 6, "13": 6, "15": 6, "17": 6}
_VARIABLE: Final = frozenset(("10", "21", "22"))
_FNC1: Final = "\x1d"


class BadCheckDigit(BadValue):
    """The form is right, the check digit is not."""


class OtherIdentifier(BadValue):
    """The text names something, if anything, that is no lot, serial or logistic unit."""


@lru_cache(maxsize=1 << 14)
def item_path(text: str) -> str:
    """The path of an item written in any of the forms. Raises BadValue or BadCheckDigit."""
    path = _PATH.fullmatch(text)
    if path is not None and _gtin_right(path[1]):
        return text
    return _path_of(text)


_gtin_right: Final = lru_cache(maxsize=1 << 12)(gtin_valid)


def _path_of(text: str) -> str:
    if len(text) > TEXT_MAX:
        raise BadValue(f"longer than {TEXT_MAX} characters")
    if text.startswith("urn:epc:"):
        return _of_urn(text)
    if text.startswith("(") or _FNC1 in text:
        return path_of_elements(element_strings(text))
    return path_of_elements(link_elements(text))


def path_of_elements(elements: dict[str, str]) -> str:
    """The path that application identifiers and their values name."""
    if "00" in elements:
        return f"00/{checked_sscc(elements['00'])}"
    gtin = elements.get("01")
    if gtin is None:
        raise BadValue("no (00) SSCC and no (01) GTIN: lot and serial mean nothing without")
    gtin = checked_gtin(gtin)
    if "21" in elements:
        return f"01/{gtin}/21/{_escaped(elements['21'], 'serial')}"
    if "10" in elements:
        return f"01/{gtin}/10/{_escaped(elements['10'], 'lot')}"
    raise OtherIdentifier("a GTIN without lot or serial names no batch")


def lot_path(gtin: str, lot: str) -> str:
    """The path of a lot."""
    return path_of_elements({"01": gtin, "10": lot})


def checked_gtin(text: str) -> str:
    """The GTIN with 14 digits."""
    if not is_digits(text) or len(text) not in (8, 12, 13, 14):
        raise BadValue("a GTIN has 8, 12, 13 or 14 digits")
    if not gtin_valid(text):
        raise BadCheckDigit(f"GTIN {text} has a wrong check digit")
    return text.zfill(14)


def checked_sscc(text: str) -> str:
    if not is_digits(text) or len(text) != 18:
        raise BadValue("an SSCC has 18 digits")
    if not sscc_valid(text):
        raise BadCheckDigit(f"SSCC {text} has a wrong check digit")
    return text


def checked_gln(text: str) -> str:
    if not is_digits(text) or len(text) != 13:
        raise BadValue("a GLN has 13 digits")
    if not gln_valid(text):
        raise BadCheckDigit(f"GLN {text} has a wrong check digit")
    return text


def element_strings(text: str) -> dict[str, str]:
    """Application identifier to value, of ``(01)...(10)...`` or of a scanned string with FNC1.

    Fixed-length strings have their length; (10), (21) and (22) end at FNC1 or the end of the data.
    """
    found: dict[str, str] = {}
    if text.startswith("("):
        if "".join(f"({ai}){value}" for ai, value in _ELEMENT.findall(text)) != text:
            raise BadValue("not a string of (AI)value")
        for ai, value in _ELEMENT.findall(text):
            _keep(found, ai, value)
        return found
    rest = text.lstrip(_FNC1)
    while rest:
        ai, rest = rest[:2], rest[2:]
        if ai in _FIXED:
            value, rest = rest[: _FIXED[ai]], rest[_FIXED[ai] :]
            rest = rest.removeprefix(_FNC1)
        else:
            value, _, rest = rest.partition(_FNC1)
        _keep(found, ai, value)
    return found


def _keep(found: dict[str, str], ai: str, value: str) -> None:
    if ai not in _FIXED and ai not in _VARIABLE:
        raise BadValue(f"application identifier ({ai}) is not known here")
    if ai in found:
        raise BadValue(f"({ai}) stands twice")
    if ai in _FIXED and (len(value) != _FIXED[ai] or not is_digits(value)):
        raise BadValue(f"({ai}) has {_FIXED[ai]} digits")
    found[ai] = value


def link_elements(text: str) -> dict[str, str]:
    """Identifier and qualifiers of a GS1 Digital Link, or of its path alone.

    The path ends ``/00/{sscc}`` or ``/01/{gtin}[/22/..][/10/{lot}][/21/{serial}]``, in that order.
    """
    path = text.split("#", 1)[0].split("?", 1)[0]
    _, scheme, rest = path.partition("://")
    parts = (rest.split("/")[1:] if scheme else path.split("/")) or [""]
    for key, order in (("01", ("22", "10", "21")), ("00", ())):
        # The last such pair with only qualifiers behind it: a stem may hold the same digits.
        for at in range(len(parts) - 2, -1, -2):
            if parts[at] == key:
                return _qualified(key, parts[at + 1], parts[at + 2 :], order)
    raise OtherIdentifier("no lot, serial or SSCC as EPC URN, Digital Link or element string")


def _qualified(key: str, value: str, rest: list[str], order: tuple[str, ...]) -> dict[str, str]:
    names = rest[::2]
    if len(rest) % 2 or [name for name in order if name in names] != names:
        raise BadValue(f"behind /{key}/ only {', '.join(order) or 'nothing'} in this order")
    found = {key: value}
    for name, escaped in zip(names, rest[1::2], strict=True):
        found[name] = _unescaped(escaped)
    return found


def _of_urn(text: str) -> str:
    scheme, _, body = text.rpartition(":")
    parts = body.split(".", 2)
    if scheme == "urn:epc:id:sscc" and len(parts) == 2:
        return f"00/{_with_check_digit(parts[0], parts[1], 17)}"
    if scheme == "urn:epc:idpat:sgtin":
        raise OtherIdentifier("a GTIN without lot or serial names no batch")
    if len(parts) == 3 and scheme in ("urn:epc:id:sgtin", "urn:epc:class:lgtin"):
        gtin = _with_check_digit(parts[0], parts[1], 13)
        what = "21" if scheme == "urn:epc:id:sgtin" else "10"
        return path_of_elements({"01": gtin, what: _unescaped(parts[2])})
    raise OtherIdentifier("this EPC URN names no lot, serial or SSCC")


def _with_check_digit(prefix: str, reference: str, length: int) -> str:
    """The key of a URN's company prefix and reference, whose first digit goes to the front."""
    digits = reference[:1] + prefix + reference[1:]
    if not is_digits(digits) or len(digits) != length or not 6 <= len(prefix) <= 12:
        raise BadValue(f"company prefix and reference must have {length} digits together")
    return digits + str(gs1_check_digit(digits))


def party_gln(text: str) -> str:
    """The GLN of a party or place: bare, as URN (pgln, sgln) or Digital Link (414, 417).

    A place within one (sgln extension, AI 254) is its GLN. Raises BadValue or BadCheckDigit.
    """
    if len(text) > TEXT_MAX:
        raise BadValue(f"longer than {TEXT_MAX} characters")
    if text.startswith(("urn:epc:id:pgln:", "urn:epc:id:sgln:")):
        parts = text.split(":", 4)[4].split(".", 2)
        digits = "".join(parts[:2])
        if len(parts) < 2 or not is_digits(digits) or len(digits) != 12:
            raise BadValue("company prefix and location must have 12 digits together")
        return digits + str(gs1_check_digit(digits))
    if "/" in text:
        parts = text.split("?", 1)[0].split("/")
        for at in range(len(parts) - 1):
            if parts[at] in ("414", "417"):
                return checked_gln(parts[at + 1])
        raise BadValue("this link names no GLN")
    return checked_gln(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _escaped(text: str, what: str) -> str:
    if not 1 <= len(text) <= 20 or not _SET_82.issuperset(text):
        raise BadValue(f"a {what} is 1 to 20 characters of GS1's set 82")
    return "".join(letter if letter in _UNRESERVED else f"%{ord(letter):02X}" for letter in text)


class ItemField(Field):
    """A lot, serial or logistic unit in any of its forms, kept as its path."""

    def check(self, value: object) -> str:
        if type(value) is not str:
            raise wrong("a GS1 item as text", value)
        return item_path(value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "format": "GS1 item", "maxLength": TEXT_MAX}

    def example(self) -> str:
        return "01/09521321000018/10/LOT1"


Item = Annotated[str, ItemField()]
LotNumber = Annotated[
    str,
    Code(
        "lot",
        lambda text: bool(text) and _SET_82.issuperset(text),
        20,
        "1 to 20 characters of GS1's set 82",
        "LOT1",
    ),
]
