"""The event hash of CBV 2.0: one name for one event, whatever syntax it came in.

A **pre-hash string** of the event's fields and values in a fixed order and form is hashed with
SHA-256, and the digest stands in a ``ni`` URI (RFC 6920). Left out are recordTime, eventID,
errorDeclaration and comments. Where the table of GS1's text and the published vectors differ, this
follows the vectors, as everybody's software does: docs/spec/epcis.md says where.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Iterator
from typing import Any, Final

from cli.epcis import vocabulary
from cli.epcis.gs1_uri import canonical_uri, item_uri
from cli.epcis.structure import (
    METADATA,
    NUMBER,
    QUANTITY_LISTS,
    REPORT,
    TEXT,
    TYPED_LISTS,
    Captured,
    Tree,
    local_of,
    namespace_of,
)
from consensus.primitives.crypto import sha256

DIGITS_MAX: Final = 400  # of a number that is brought to one form

# In this order; of QUANTITY_LISTS and EPC lists only those that the event has.
_ORDER: Final = (
    "eventTime",
    "eventTimeZoneOffset",
    "certificationInfo",
    "parentID",
    "epcList",
    "inputEPCList",
    "childEPCs",
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
    "persistentDisposition",
    "readPoint",
    "bizLocation",
    "sensorElementList",
)
_ITEMS: Final = frozenset(("epc", "epcClass", "parentID"))
_LEFT_OUT: Final = frozenset(("type", "recordTime", "eventID", "errorDeclaration", "@context"))
_COMMENTS: Final = frozenset(
    ("comment", "rdfs:comment", "{http://www.w3.org/2000/01/rdf-schema#}comment")
)
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,20}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def event_hash(event: Captured) -> str:
    """``ni:///sha-256;{digest}?ver=CBV2.0``"""
    return ni_uri(event_digest(event))


def event_digest(event: Captured) -> bytes:
    """The 32 bytes of the event hash."""
    return sha256(pre_hash(event).encode())


def ni_uri(digest: bytes) -> str:
    return f"ni:///sha-256;{digest.hex()}?ver=CBV2.0"


def pre_hash(event: Captured) -> str:
    """The event as the one text that is hashed."""
    tree = event.tree
    parts = [f"eventType={tree['type']}"]
    parts += [_field(name, tree[name]) for name in _ORDER if name in tree]
    rest = [
        _field(name, value)
        for name, value in tree.items()
        if name not in _ORDER and name not in _LEFT_OUT and not _is_unsaid(name)
    ]
    return "".join(parts) + "".join(sorted(rest))


def _field(name: str, value: Any) -> str:
    """One of an event's own fields, or an extension of it."""
    if name in QUANTITY_LISTS:
        found = ["quantityElement" + _ordered(one, ("epcClass", "quantity", "uom"))
                 for one in value]  # fmt: skip
        return _listed(name, found)
    if name in ("epcList", "childEPCs", "inputEPCList", "outputEPCList"):
        return _listed(name, [_pair("epc", one) for one in value])
    if name in TYPED_LISTS:
        return _listed(name, [_ordered(one, ("type", TYPED_LISTS[name]), name) for one in value])
    if name in ("readPoint", "bizLocation"):
        return _listed(name, [_ordered(value, ("id",))])
    if name == "persistentDisposition":
        found = []
        for which in ("set", "unset"):
            words = [_pair(which, _word(one, "disposition")) for one in value.get(which, [])]
            found.append("".join(sorted(words)))
        return _listed(name, ["".join(found)])
    if name == "sensorElementList":
        return _listed(name, ["sensorElement" + _sensor_element(one) for one in value])
    if name in ("bizStep", "disposition"):
        return _pair(name, _word(value, name))
    return _extension(name, value)


def _listed(name: str, parts: list[str]) -> str:
    """A list's name once, its members in lexical order; nothing where they are empty."""
    inner = "".join(sorted(parts))
    return name + inner if inner else ""


def _ordered(tree: Tree, names: tuple[str, ...], of: str = "") -> str:
    """Fields in their order, extensions behind them."""
    parts = []
    for name in names:
        if name in tree:
            parts.append(_pair(name, _word(tree[name], of) if name == "type" else tree[name]))
    return "".join(parts) + _extensions(tree, names)


def _sensor_element(tree: Tree) -> str:
    metadata = tree.get("sensorMetadata", {})
    parts = [_listed("sensorMetadata", [_ordered(metadata, METADATA)])]
    reports = []
    for report in tree.get("sensorReport", []):
        known = {
            name: _word(value, name) if name in vocabulary.SENSOR_WORDS else value
            for name, value in report.items()
        }
        reports.append("sensorReport" + _ordered(known, REPORT, "report"))
    parts += sorted(reports)
    return "".join(parts) + _extensions(tree, ("sensorMetadata", "sensorReport"))


def _extensions(tree: Tree, known: tuple[str, ...]) -> str:
    parts = [
        _extension(name, value)
        for name, value in tree.items()
        if name not in known and not _is_unsaid(name)
    ]
    return "".join(sorted(parts))


def _is_unsaid(name: str) -> bool:
    """Comments, and what XML says of types: no content of the event."""
    return name in _COMMENTS or namespace_of(name) == _XSI


def _extension(name: str, value: Any) -> str:
    """An extension, a list of them one by one, in lexical order."""
    name = name.removeprefix("@")
    if type(value) is list:
        return "".join(sorted(_extension(name, one) for one in _flat(value)))
    if type(value) is not dict:
        return _pair(name, value)
    if NUMBER in value:
        return _pair(name, value[NUMBER])
    text = _value(name, str(value[TEXT])) if TEXT in value else ""
    inner = (f"={text}" if text else "") + _extensions(value, (TEXT,))
    return name + inner if inner or name.startswith("{") else ""


def _flat(values: list[Any]) -> Iterator[Any]:
    """Lists within lists as one: XML has no others."""
    for one in values:
        if type(one) is list:
            yield from _flat(one)
        else:
            yield one


def _pair(name: str, value: Any) -> str:
    if type(value) is list:
        return "".join(sorted(_pair(name, one) for one in value))
    if value is None:
        value = ""
    if type(value) is bool:  # as XML and the published software write them, respectively
        value = "true" if value else "false"
    text = _value(name, value)
    return f"{name}={text}" if text else ("" if not name.startswith("{") else name)


def _value(name: str, text: str) -> str:
    """A value in its one form."""
    text = text.strip()
    key = local_of(name).lower()
    if "time" in key and "offset" not in key:
        moment = utc_text(text)
        if moment is not None:
            return moment
    text = vocabulary.web_uri(text)
    if _NUMBER.fullmatch(text) and len(text) <= DIGITS_MAX:
        return plain_number(text)
    return (item_uri(text) if name in _ITEMS else canonical_uri(text)) or text


def _word(text: Any, field: str) -> Any:
    """A vocabulary word as its web URI."""
    return vocabulary.web_word(text, field) if type(text) is str else text


def plain_number(text: str) -> str:
    """A number without needless zeros, sign or exponent."""
    number = decimal.Decimal(text)
    if not number:
        return "0"
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def utc_text(text: str) -> str | None:
    """A moment in UTC to the millisecond, the nearest one; None for what is no moment."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    micros = (found[7] or "").ljust(6, "0")[:6]
    try:
        moment = datetime.datetime.fromisoformat(
            f"{text[:19]}+00:00" if found[8] == "Z" else f"{text[:19]}{found[8]}"
        ).astimezone(datetime.UTC)
        moment += datetime.timedelta(milliseconds=round(int(micros), -3) // 1000)
    except (ValueError, OverflowError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
