"""EPCIS 2.0 in JSON and JSON-LD: from bytes to canonical events."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from cli.epcis.structure import (
    CURRENT,
    DEPTH_MAX,
    EPC_LISTS,
    EVENTS_MAX,
    KNOWN_PREFIXES,
    METADATA,
    NUMBER,
    NUMBERS,
    PLACES,
    QUANTITY_LISTS,
    REPORT,
    TEXTS,
    TYPED_LISTS,
    TYPES,
    Broken,
    Captured,
    Read,
    Tree,
    Unread,
)
from cli.output import why_no_json
from consensus.primitives.errors import InputError

NUMBER_LENGTH_MAX: Final = 100
_PREFIX: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_KEYWORDS: Final = {"type": ("type", "@type", "isA"), "eventID": ("eventID", "@id")}


class _Number(str):
    """A number's own digits."""


def read_json(raw: bytes) -> list[Read]:
    """The events of a document, of query results, or one event alone, in order.

    Raises InputError EPCIS_INVALID_JSON, EPCIS_NOT_A_DOCUMENT, EPCIS_VERSION_NOT_COVERED,
    EPCIS_TOO_MANY_EVENTS for what can't be read as a whole.
    """
    value = _parsed(raw)
    if type(value) is not dict:
        _no_document()
    prefixes = _prefixes(value.get("@context"), dict(KNOWN_PREFIXES))
    found = _event_list(value)
    if len(found) > EVENTS_MAX:
        raise InputError("EPCIS_TOO_MANY_EVENTS", f"at most {EVENTS_MAX} events in a document")
    return [_read(number, one, prefixes) for number, one in enumerate(found, 1)]


def _parsed(raw: bytes) -> Any:
    try:
        decoded = raw.decode("utf-8-sig")
    except ValueError as error:
        raise InputError(
            "EPCIS_INVALID_JSON", f"documents are read in UTF-8 alone: {error}"
        ) from None
    try:
        return json.loads(
            decoded,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        text = why_no_json(error)
        raise InputError("EPCIS_INVALID_JSON", text[:200]) from None


def _number(text: str) -> _Number:
    if len(text) > NUMBER_LENGTH_MAX:
        raise ValueError(f"a number of more than {NUMBER_LENGTH_MAX} characters")
    return _Number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _event_list(value: dict[str, Any]) -> list[Any]:
    kind = value.get("type", value.get("@type", value.get("isA")))
    if kind in TYPES:
        return [value]
    if kind not in ("EPCISDocument", "EPCISQueryDocument"):
        _no_document()
    version = value.get("schemaVersion", CURRENT)
    if type(version) is _Number or version != CURRENT:
        raise InputError("EPCIS_VERSION_NOT_COVERED", "in JSON, schemaVersion is the text 2.0")
    body = value.get("epcisBody")
    if type(body) is dict and type(body.get("queryResults")) is dict:
        body = body["queryResults"].get("resultsBody")
    events = None
    if type(body) is dict:
        events = body.get("eventList", [body["event"]] if "event" in body else None)
    if type(events) is not list:
        _no_document()
    return events


def _no_document() -> NoReturn:
    raise InputError("EPCIS_NOT_A_DOCUMENT", "neither an EPCIS document nor an EPCIS event")


def _prefixes(context: Any, known: dict[str, str]) -> dict[str, str]:
    """The prefixes that a JSON-LD context declares, over those known before."""
    for one in context if type(context) is list else [context]:
        if type(one) is dict:
            for name, uri in one.items():
                target = uri.get("@id") if type(uri) is dict else uri
                if type(target) is str and _PREFIX.fullmatch(name) and len(target) <= 512:
                    known[name] = target
    return known


def _read(number: int, value: Any, prefixes: dict[str, str]) -> Read:
    event_id = ""
    try:
        if type(value) is not dict:
            raise Broken("EPCIS_BAD_FIELD", "an event is an object")
        found = value.get("eventID", "")
        event_id = found if type(found) is str else ""
        inner = _prefixes(value.get("@context"), dict(prefixes))
        return Captured(number, _Reader(inner).event(value), inner)
    except Broken as broken:
        return Unread(number, event_id[:256], broken.code, broken.message)


class _Reader:
    """Reads one event with the prefixes that are in force for it."""

    def __init__(self, prefixes: dict[str, str]) -> None:
        self.prefixes = prefixes

    def event(self, value: dict[str, Any]) -> Tree:
        tree: Tree = {}
        names = dict.fromkeys(value)
        names.pop("@context", None)
        for name, ways in _KEYWORDS.items():
            for way in ways:
                if way in names:
                    names.pop(way)
                    tree.setdefault(name, _text(way, value[way]))
        for name in names:
            tree[self.name(name)] = self.field(name, value[name])
        return tree

    def field(self, name: str, value: Any) -> Any:
        if name in TEXTS:
            return _text(name, value)
        if name == "certificationInfo":
            many = type(value) is list
            return [_text(name, one) for one in value] if many else _text(name, value)
        if name in EPC_LISTS:
            return [_text(name, one) for one in _list(name, value)]
        if name in QUANTITY_LISTS:
            known = ("epcClass", "quantity", "uom")
            return [self.known(name, one, known) for one in _list(name, value)]
        if name in TYPED_LISTS:
            of = ("type", TYPED_LISTS[name])
            return [self.known(name, one, of) for one in _list(name, value)]
        if name in PLACES:
            return self.known(name, value, ("id",))
        if name == "sensorElementList":
            return [self.sensor_element(one) for one in _list(name, value)]
        if name == "persistentDisposition":
            return self.lists(name, value, ("set", "unset"))
        if name == "errorDeclaration":
            return self.lists(name, value, ("correctiveEventIDs",))
        if name == "ilmd" and type(value) is not dict:
            raise Broken("EPCIS_BAD_FIELD", "ilmd is an object")
        return self.any(value)

    def sensor_element(self, value: Any) -> Tree:
        tree: Tree = {}
        for name, one in _map("sensorElementList", value).items():
            if name == "sensorMetadata":
                tree[name] = self.known(name, one, METADATA)
            elif name == "sensorReport":
                tree[name] = [self.known(name, each, REPORT) for each in _list(name, one)]
            else:
                tree[self.name(name)] = self.any(one)
        return tree

    def lists(self, what: str, value: Any, names: tuple[str, ...]) -> Tree:
        """A map with some lists of texts in it."""
        tree: Tree = {}
        for name, one in _map(what, value).items():
            if name in names:
                tree[name] = [_text(name, each) for each in _list(name, one)]
            elif name in ("reason", "declarationTime"):
                tree[name] = _text(name, one)
            else:
                tree[self.name(name)] = self.any(one)
        return tree

    def known(self, what: str, value: Any, names: tuple[str, ...]) -> Tree:
        """A map of EPCIS' own fields, which are texts, and of extensions."""
        tree: Tree = {}
        for name, one in _map(what, value).items():
            if name == "@type" and "type" in names and "type" not in value:
                tree["type"] = _text(name, one)
            elif name in names:
                tree[name] = _scalar(name, one)
            else:
                tree[self.name(name)] = self.any(one)
        return tree

    def any(self, value: Any, depth: int = 0) -> Any:
        """An extension's value."""
        if depth > DEPTH_MAX:
            raise Broken("EPCIS_BAD_FIELD", f"extensions are nested deeper than {DEPTH_MAX}")
        if type(value) is _Number:
            return {NUMBER: str(value)}
        if type(value) is list:
            return [self.any(one, depth + 1) for one in value]
        if type(value) is dict:
            if NUMBER in value:
                raise Broken("EPCIS_BAD_FIELD", f"{NUMBER} is no name of a field")
            return {self.name(name): self.any(one, depth + 1) for name, one in value.items()}
        return _whole(value) if type(value) is str else value

    def name(self, name: str) -> str:
        """``prefix:local`` or an IRI as {namespace}local; other names as they are."""
        _whole(name)
        if name.startswith("@"):
            return "@" + self.name(name[1:]) if ":" in name else name
        if name.startswith("{"):
            raise Broken("EPCIS_BAD_FIELD", f"{name[:80]} is no name of a field")
        prefix, colon, local = name.partition(":")
        if not colon or not local:
            return name
        if prefix in self.prefixes and not local.startswith("//"):
            return f"{{{self.prefixes[prefix]}}}{local}"
        cut = max(name.rfind(mark) for mark in ":/#") + 1
        return f"{{{name[:cut]}}}{name[cut:]}" if cut < len(name) else name


def _whole(text: str) -> str:
    """JSON can hold halves of characters, which are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Broken("EPCIS_BAD_FIELD", "text that has no UTF-8 form") from None
    return text


def _text(name: str, value: Any) -> str:
    if type(value) is not str:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is text")
    return _whole(value)


def _scalar(name: str, value: Any) -> str:
    """A field of EPCIS' own: text, or digits of a number where one belongs there."""
    if name == "booleanValue":
        if type(value) is bool:
            return "true" if value else "false"
    elif name in NUMBERS:
        if type(value) is _Number:
            return str(value)
        code = "EPCIS_BAD_QUANTITY" if name == "quantity" else "EPCIS_BAD_FIELD"
        raise Broken(code, f"{name} is a number")
    return _text(name, value)


def _list(name: str, value: Any) -> list[Any]:
    if type(value) is not list:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is a list")
    return value


def _map(name: str, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is an object")
    return value
