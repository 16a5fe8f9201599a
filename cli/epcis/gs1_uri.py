"""GS1 Digital Link URIs in the constrained canonical form of CBV 2.0's event hash.

EPC URNs, EPC classes and patterns, and Digital Links of any host become one text,
``https://id.gs1.org/...``, with the finest level of identification alone and without a query.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from contracts.sdk.checks import gs1_check_digit, is_digits
from contracts.sdk.errors import BadValue
from contracts.sdk.gs1 import item_path

HOST: Final = "https://id.gs1.org/"
LENGTH_MAX: Final = 512

# URN scheme -> what joins prefix and reference: digits in both together, indicator first,
# leading text, application identifier, and that of the serial behind it ("" joins it directly).
_URNS: Final[dict[str, tuple[int, bool, str, str, str | None]]] = {
    "id:sgtin": (13, True, "", "01", "/21/"),
    "id:sscc": (17, True, "", "00", None),
    "id:sgln": (12, False, "", "414", "/254/"),
    "id:pgln": (12, False, "", "417", None),
    "id:grai": (12, False, "0", "8003", ""),
    "id:gdti": (12, False, "", "253", ""),
    "id:sgcn": (12, False, "", "255", ""),
    "id:gsrn": (17, False, "", "8018", None),
    "id:gsrnp": (17, False, "", "8017", None),
    "id:gsin": (16, False, "", "402", None),
    "id:upui": (13, True, "", "01", "/235/"),
    "class:lgtin": (13, True, "", "01", "/10/"),
    "idpat:sgtin": (13, True, "", "01", "*"),
    "idpat:grai": (12, False, "0", "8003", "*"),
    "idpat:gdti": (12, False, "", "253", "*"),
    "idpat:sgcn": (12, False, "", "255", "*"),
    "idpat:upui": (13, True, "", "01", "*"),
}
_LETTERS: Final = r"[\x22\x27\x2D\x2E%0-9;<=>?A-Z_a-z]"
# In the order in which a link's path is searched for them.
_KEYS: Final = ("00", "01", "253", "255", "401", "402", "414", "417", "8003", "8004", "8006",
                "8010", "8017", "8018")  # fmt: skip
_FORMS: Final = re.compile(
    rf"""00/\d{{18}}
    |01/\d{{14}}(/(21|10)/{_LETTERS}{{1,60}}|/235/{_LETTERS}{{1,84}})?
    |253/\d{{13}}{_LETTERS}{{0,51}}
    |255/\d{{13,25}}
    |401/{_LETTERS}{{1,90}}
    |402/\d{{17}}
    |414/\d{{13}}(/254/{_LETTERS}{{1,60}})?
    |417/\d{{13}}
    |8003/\d{{14}}{_LETTERS}{{0,48}}
    |8004/{_LETTERS}{{1,90}}
    |8006/\d{{18}}(/(21|10)/{_LETTERS}{{1,60}})?
    |8010/[%\x23\x2D/0-9A-Z]{{1,90}}
    |801[78]/\d{{18}}""",
    re.ASCII | re.VERBOSE,
)
# Names that earlier Digital Links had for the keys and qualifiers.
_WORDS: Final = {
    "sscc": "00",
    "gtin": "01",
    "gdti": "253",
    "gcn": "255",
    "ginc": "401",
    "gsin": "402",
    "gln": "414",
    "party": "417",
    "grai": "8003",
    "giai": "8004",
    "itip": "8006",
    "cpid": "8010",
    "gsrnp": "8017",
    "gsrn": "8018",
    "cpv": "22",
    "lot": "10",
    "ser": "21",
    "glnx": "254",
    "cpsn": "8011",
}
_RESERVED: Final = {mark: f"%{ord(mark):02X}" for mark in '"#%&/<>? '}  # as in EPC URNs
_ESCAPED: Final = {mark: f"%{ord(mark):02X}" for mark in "!()*+,:"}


@lru_cache(maxsize=1 << 12)
def item_uri(text: str) -> str | None:
    """As :func:`canonical_uri`; of lots, serials and logistic units also for element strings and
    bare paths, which are forms of a thing where nothing but a thing can stand.
    """
    found = canonical_uri(text)
    if found is None and text[:1] in ("(", "/", "0"):
        try:
            return canonical_uri(HOST + item_path(text))
        except BadValue:
            return None
    return found


@lru_cache(maxsize=1 << 12)
def canonical_uri(text: str) -> str | None:
    """The canonical Digital Link of a GS1 key; None for whatever else the text is."""
    if len(text) > LENGTH_MAX:
        return None
    path = _of_urn(text) if text.startswith("urn:epc:") else _of_link(text)
    return HOST + path if path is not None and _FORMS.fullmatch(path) else None


def _of_urn(text: str) -> str | None:
    scheme, _, body = text.removeprefix("urn:epc:").rpartition(":")
    if scheme.count(":") != 1:  # a serial may hold a colon
        parts = text.removeprefix("urn:epc:").split(":", 2)
        if len(parts) != 3:
            return None
        scheme, body = f"{parts[0]}:{parts[1]}", parts[2]
    if scheme in ("id:giai", "id:ginc"):
        prefix, dot, reference = body.partition(".")
        asset = "8004" if scheme == "id:giai" else "401"
        return f"{asset}/{prefix}{_escaped(reference)}" if dot and is_digits(prefix) else None
    if scheme in ("id:cpi", "idpat:cpi"):
        parts = body.rsplit(".", 2)
        if len(parts) != 3 or not is_digits(parts[0]):
            return None
        serial = "" if parts[2] == "*" else f"/8011/{parts[2]}"
        return f"8010/{parts[0]}{_escaped(parts[1])}{serial}"
    if scheme in ("id:itip", "idpat:itip"):
        parts = body.split(".", 4)
        key = _key(parts[0], parts[1], 13, True, "") if len(parts) == 5 else None
        if key is None:
            return None
        serial = "" if parts[4] == "*" else f"/21/{_escaped(parts[4])}"
        return f"8006/{key}{parts[2]}{parts[3]}{serial}"
    if scheme not in _URNS:
        return None
    digits, indicator, lead, ai, serial_ai = _URNS[scheme]
    prefix, _, rest = body.partition(".")
    reference, dot, serial = rest.partition(".")
    key = _key(prefix, reference, digits, indicator, lead)
    if key is None:
        return None
    if serial_ai is None:
        return None if dot else f"{ai}/{key}"
    if serial_ai == "*":
        return f"{ai}/{key}" if serial == "*" else None
    if not serial:
        return None
    if scheme == "id:sgln" and serial == "0":
        return f"{ai}/{key}"
    return f"{ai}/{key}{serial_ai}{_escaped(serial)}"


def _key(prefix: str, reference: str, digits: int, indicator: bool, lead: str) -> str | None:
    """Prefix and reference with their check digit, an indicator moved to the front."""
    joined = reference[:1] + prefix + reference[1:] if indicator else prefix + reference
    if not is_digits(joined) or len(joined) != digits or not 6 <= len(prefix) <= 12:
        return None
    joined = lead + joined
    return joined + str(gs1_check_digit(joined))


def _of_link(text: str) -> str | None:
    scheme, _, rest = text.partition("://")
    if scheme not in ("http", "https"):
        return None
    path = rest.partition("/")[2].partition("#")[0].partition("?")[0].removesuffix("/")
    steps = path.split("/")
    first = next((at for at, step in enumerate(steps) if _WORDS.get(step) in _KEYS), None)
    if first is not None:
        for at in range(first, len(steps), 2):
            steps[at] = _WORDS.get(steps[at], steps[at])
        path = "/".join(steps)
    for key in _KEYS:
        marker = f"/{key}/"
        at = f"/{path}".find(marker)
        if at < 0:
            continue
        parts = [_respelt(part) for part in f"/{path}"[at + 1 :].split("/")]
        if key == "01" and parts[1:] and parts[1].isascii() and parts[1].isdigit():
            parts[1] = parts[1].zfill(14)
        pairs = dict(zip(parts[::2], parts[1::2], strict=False)) if key != "8010" else {}
        if key in ("01", "8006"):
            for finest in ("21", "10", "235"):
                if finest in pairs:
                    return f"{key}/{pairs[key]}/{finest}/{pairs[finest]}"
            return f"{key}/{pairs.get(key, '')}"
        return "/".join(parts)
    return None


def _respelt(text: str) -> str:
    """A link's part with the marks escaped that are escaped here, and no others."""
    plain = unquote(text)
    if not (plain.isascii() and plain.isprintable()):
        return text
    return "".join(_ESCAPED.get(mark, _RESERVED.get(mark, mark)) for mark in plain)


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(mark, mark) for mark in text)
