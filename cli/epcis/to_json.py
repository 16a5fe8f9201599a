"""Canonical events as an EPCIS 2.0 document in JSON-LD. Numbers keep their digits."""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from cli.epcis import vocabulary
from cli.epcis.naming import Prefixes, compact
from cli.epcis.structure import (
    EPC_LISTS,
    NUMBER,
    NUMBERS,
    PLACES,
    QUANTITY_LISTS,
    TEXTS,
    TYPED_LISTS,
    Captured,
    Tree,
)

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_JSON_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


class _Digits(str):
    """A number, written as it is."""


def json_document(events: Sequence[Captured], created: str, more: Tree | None = None) -> str:
    """The document's text; ``more`` are fields beside the body, such as ids."""
    prefixes = Prefixes(events)
    written = [
        _event(event.tree, prefixes.names(at), prefixes.of(at)) for at, event in enumerate(events)
    ]
    document = {
        "@context": [CONTEXT, prefixes.shared] if prefixes.shared else [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": created,
        **(more or {}),
        "epcisBody": {"eventList": written},
    }
    return _dumped(document, 0) + "\n"


def _event(tree: Tree, names: dict[str, str], own: dict[str, str]) -> Tree:
    found: Tree = {"@context": [own]} if own else {}
    for name, value in tree.items():
        found[compact(name, names)] = _field(name, value, names)
    return found


def _field(name: str, value: Any, names: dict[str, str]) -> Any:
    if name in ("bizStep", "disposition"):
        return vocabulary.bare(value, name)
    if name in TEXTS or name in EPC_LISTS or name in ("type", "certificationInfo"):
        return value
    if name in QUANTITY_LISTS:
        return [_known(one, names) for one in value]
    if name in PLACES:
        return _known(value, names)
    if name in TYPED_LISTS:
        typed = [_known(one, names) for one in value]
        for one in typed:
            if "type" in one:
                one["type"] = vocabulary.bare(one["type"], name)
        return typed
    if name == "sensorElementList":
        return [_sensor_element(one, names) for one in value]
    if name == "persistentDisposition":
        return {
            which: [vocabulary.bare(one, "disposition") for one in words]
            for which, words in value.items()
        }
    if name == "errorDeclaration":
        known = ("declarationTime", "reason", "correctiveEventIDs")
        found = {
            compact(one, names): inner if one in known else _any(inner, names)
            for one, inner in value.items()
        }
        if "reason" in found:
            found["reason"] = vocabulary.bare(found["reason"], "reason")
        return found
    return _any(value, names)


def _sensor_element(tree: Tree, names: dict[str, str]) -> Tree:
    found: Tree = {}
    for name, value in tree.items():
        if name == "sensorMetadata":
            found[name] = _known(value, names)
        elif name == "sensorReport":
            found[name] = [_known(one, names) for one in value]
        else:
            found[compact(name, names)] = _any(value, names)
    return found


def _known(tree: Tree, names: dict[str, str]) -> Tree:
    """A map of EPCIS' own texts, some of which are numbers, and of extensions."""
    found: Tree = {}
    for name, value in tree.items():
        if type(value) is str and name in NUMBERS:
            found[name] = _digits(value)
        elif type(value) is str and name == "booleanValue" and value in ("true", "false"):
            found[name] = value == "true"
        else:
            found[compact(name, names)] = _any(value, names)
    return found


def _any(value: Any, names: dict[str, str]) -> Any:
    if type(value) is list:
        return [_any(one, names) for one in value]
    if type(value) is dict:
        if NUMBER in value:
            return _digits(value[NUMBER])
        return {compact(name, names): _any(one, names) for name, one in value.items()}
    return value


def _digits(text: str) -> str:
    """A number as JSON writes it: its own digits, unless JSON has no such form of them."""
    if _JSON_NUMBER.fullmatch(text):
        return _Digits(text)
    try:
        return _Digits(f"{decimal.Decimal(text):f}")
    except decimal.InvalidOperation:
        return text


def _dumped(value: Any, depth: int) -> str:
    if type(value) is _Digits:
        return str(value)
    inner, outer = "  " * (depth + 1), "  " * depth
    if type(value) is dict and value:
        rows = [f"{inner}{_quoted(name)}: {_dumped(one, depth + 1)}" for name, one in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{outer}}}"
    if type(value) is list and value:
        rows = [inner + _dumped(one, depth + 1) for one in value]
        return "[\n" + ",\n".join(rows) + f"\n{outer}]"
    return _quoted(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
