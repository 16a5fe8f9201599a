"""Canonical events as an EPCIS document in XML, 2.0 or 1.2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from lxml import etree

from cli.epcis import vocabulary
from cli.epcis.naming import Prefixes, each
from cli.epcis.structure import (
    EPC_LISTS,
    KNOWN_PREFIXES,
    NUMBER,
    OWN,
    PLACES,
    QUANTITY_LISTS,
    TEXT,
    TYPED_LISTS,
    Captured,
    Tree,
    local_of,
)
from consensus.primitives.errors import InputError

NAMESPACE: Final = "urn:epcglobal:epcis:xsd:"
_NIL: Final = f"{{{KNOWN_PREFIXES['xsi']}}}nil"
_ALWAYS: Final = {name: KNOWN_PREFIXES[name] for name in ("cbv", "gs1", "xsi", "xsd")}
# As EPCIS 2.0's schema has them; a TransactionEvent begins with its transactions.
_HEAD: Final = (
    "eventTime",
    "recordTime",
    "eventTimeZoneOffset",
    "eventID",
    "errorDeclaration",
    "certificationInfo",
)
_ORDER: Final = (
    *_HEAD,
    "parentID",
    "epcList",
    "childEPCs",
    "inputEPCList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    "transformationID",
    "action",
    "bizStep",
    "disposition",
    "readPoint",
    "bizLocation",
    "bizTransactionList",
    "quantityList",
    "childQuantityList",
    "sourceList",
    "destinationList",
    "sensorElementList",
    "persistentDisposition",
    "ilmd",
)


# What 1.2 has in extension elements, and what it has not at all.
_IN_BASE_EXTENSION: Final = ("eventID", "errorDeclaration")
_IN_EXTENSION: Final = (
    "quantityList",
    "childQuantityList",
    "sourceList",
    "destinationList",
    "ilmd",
)
_NEW_IN_2: Final = ("sensorElementList", "persistentDisposition", "certificationInfo")


def new_in_2(event: Captured) -> str:
    """What of an event XML 1.2 has no place for; empty where it has one for everything."""
    if event.tree["type"] == "AssociationEvent":
        return "AssociationEvent"
    return next((name for name in _NEW_IN_2 if name in event.tree), "")


# What XML 1.0 has no way to write, not even as a reference (its production 2).
_NO_XML: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def not_in_xml(event: Captured, version: str = "2.0") -> str:
    """Why an event can't be written in XML; empty where it can.

    JSON's texts may have control characters, its names blanks: such events are captured like all
    others, and exported as JSON.
    """
    if version == "1.2" and new_in_2(event):
        return f"EPCIS 1.2 has no {new_in_2(event)}"
    where, sign = _no_xml(event.tree, "")
    if sign:
        return f"XML can't hold the character U+{ord(sign):04X} in {where}"
    try:
        xml_document([event], "1970-01-01T00:00:00Z", version)
    except (InputError, ValueError) as error:
        return f"XML can't hold it: {error.message if isinstance(error, InputError) else error}"
    return ""


def _no_xml(value: Any, where: str) -> tuple[str, str]:
    """The field that has a character beyond XML, and the character; empty where there is none."""
    if type(value) is str:
        found = _NO_XML.search(value)
        return (where, found.group()) if found else ("", "")
    if type(value) is dict:
        pairs = [(name, one) for name, one in value.items()]
        pairs += [(local_of(name) or where, name) for name in value]
    else:
        pairs = [(where, one) for one in value] if type(value) is list else []
    for name, one in pairs:
        deeper = _no_xml(one, where if name.startswith("#") else name)
        if deeper[1]:
            return local_of(deeper[0]), deeper[1]
    return "", ""


def xml_document(events: Sequence[Captured], created: str, version: str = "2.0") -> str:
    """The document's text, of version 2.0 or 1.2.

    Raises InputError EPCIS_NOT_IN_XML for names and texts that XML can't write, and what 1.2 has
    not: :func:`not_in_xml` tells before.
    """
    prefixes = Prefixes(events)
    namespace = NAMESPACE + version[0]
    root = etree.Element(
        f"{{{namespace}}}EPCISDocument",
        nsmap={"epcis": namespace, **_ALWAYS, **prefixes.shared},
        attrib={"schemaVersion": version, "creationDate": created},
    )
    body = etree.SubElement(etree.SubElement(root, "EPCISBody"), "EventList")
    for at, event in enumerate(events):
        kind = event.tree["type"]
        try:
            if version == "2.0":
                _event(etree.SubElement(body, kind, nsmap=prefixes.of(at)), event.tree)
                continue
            if new_in_2(event):
                raise ValueError(f"{new_in_2(event)} came with 2.0")
            of = etree.SubElement(body, "extension") if kind == "TransformationEvent" else body
            _event_1_2(etree.SubElement(of, kind, nsmap=prefixes.of(at)), event.tree)
        except ValueError as error:
            raise InputError("EPCIS_NOT_IN_XML", f"event {event.number}: {error}") from None
    etree.indent(root)
    text: str = etree.tostring(root, encoding="unicode")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text + "\n"


def _event(element: Any, tree: Tree) -> None:
    order: tuple[str, ...] = _ORDER
    if tree["type"] == "TransactionEvent":
        order = (*_HEAD, "bizTransactionList", *_ORDER[len(_HEAD) :])
    for name, value in each(tree, tuple(dict.fromkeys(order))):
        if name != "type":
            _field(element, name, value)


def _event_1_2(element: Any, tree: Tree) -> None:
    """As 1.2 has it: later fields in extensions, epcList and childEPCs even if they are empty."""
    kind = tree["type"]
    order = list(_ORDER)
    if kind == "TransactionEvent":
        order = [*_HEAD, "bizTransactionList", *order[len(_HEAD) :]]
    needed = {"ObjectEvent": "epcList", "TransactionEvent": "epcList",
              "AggregationEvent": "childEPCs"}.get(kind)  # fmt: skip
    base: Tree = {name: tree[name] for name in _IN_BASE_EXTENSION if name in tree}
    inner: Tree = {name: tree[name] for name in _IN_EXTENSION if name in tree}
    if kind == "TransformationEvent":
        inner = {}
    rest = {name: value for name, value in tree.items() if name not in {"type", *base, *inner}}
    if needed:
        rest.setdefault(needed, [])
    own = {name: value for name, value in rest.items() if name in OWN}
    written = False
    for name, value in each(own, tuple(dict.fromkeys(order))):
        if name not in _HEAD and base and not written:
            _all(etree.SubElement(element, "baseExtension"), base)
            written = True
        _field(element, name, value)
    if inner:
        _all(etree.SubElement(element, "extension"), inner)
    _all(element, {name: value for name, value in rest.items() if name not in own})


def _all(element: Any, fields: Tree) -> None:
    for name, value in fields.items():
        _field(element, name, value)


def _field(element: Any, name: str, value: Any) -> None:
    if name == "certificationInfo":
        for one in value if type(value) is list else [value]:
            _add(element, name, one)
    elif name in ("bizStep", "disposition"):
        _add(element, name, vocabulary.urn(value, name))
    elif name in EPC_LISTS:
        inner = etree.SubElement(element, name)
        for one in value:
            _add(inner, "epc", one)
    elif name in QUANTITY_LISTS:
        inner = etree.SubElement(element, name)
        for one in value:
            _known(etree.SubElement(inner, "quantityElement"), one, ("epcClass", "quantity", "uom"))
    elif name in PLACES:
        _known(etree.SubElement(element, name), value, ("id",))
    elif name in TYPED_LISTS:
        inner = etree.SubElement(element, name)
        for one in value:
            made = _add(inner, TYPED_LISTS[name], one.get(TYPED_LISTS[name], ""))
            if "type" in one:
                made.set("type", vocabulary.urn(one["type"], name))
    elif name == "sensorElementList":
        inner = etree.SubElement(element, name)
        for one in value:
            _sensor_element(etree.SubElement(inner, "sensorElement"), one)
    elif name == "persistentDisposition":
        inner = etree.SubElement(element, name)
        for which in ("unset", "set"):
            for one in value.get(which, []):
                _add(inner, which, vocabulary.urn(one, "disposition"))
    elif name == "errorDeclaration":
        _error(etree.SubElement(element, name), value)
    elif name == "ilmd":
        _known(etree.SubElement(element, name), value, ())
    else:
        _any(element, name, value)


def _error(element: Any, tree: Tree) -> None:
    for name, value in each(tree, ("declarationTime", "reason", "correctiveEventIDs")):
        if name == "correctiveEventIDs":
            inner = etree.SubElement(element, name)
            for one in value:
                _add(inner, "correctiveEventID", one)
        elif name == "reason":
            _add(element, name, vocabulary.urn(value, name))
        else:
            _any(element, name, value)


def _sensor_element(element: Any, tree: Tree) -> None:
    for name, value in each(tree, ("sensorMetadata", "sensorReport")):
        if name == "sensorMetadata":
            _attributes(etree.SubElement(element, name), value)
        elif name == "sensorReport":
            for one in value:
                _attributes(etree.SubElement(element, name), one)
        else:
            _any(element, name, value)


def _attributes(element: Any, tree: Tree) -> None:
    """sensorMetadata and sensorReport have their fields, extensions too, as attributes."""
    for name, value in tree.items():
        if name in ("type", "exception") and type(value) is str and ":" not in value:
            element.set(name, f"gs1:{value}")
        elif type(value) in (str, bool) or (type(value) is dict and NUMBER in value):
            element.set(name, _text(value))
        else:
            _any(element, name, value)


def _known(element: Any, tree: Tree, names: tuple[str, ...]) -> None:
    for name, value in each(tree, names):
        _any(element, name, value)


def _any(element: Any, name: str, value: Any) -> None:
    """An extension: an element for a text or map, one after another for a list."""
    if name.startswith("@"):
        element.set(name[1:], _text(value))
    elif name == TEXT:
        element.text = _text(value)
    elif type(value) is list:
        for one in value:
            _any(element, name, one)
    elif type(value) is dict and NUMBER not in value:
        inner = etree.SubElement(element, name)
        for one, deeper in value.items():
            _any(inner, one, deeper)
    elif value is None:
        etree.SubElement(element, name).set(_NIL, "true")
    else:
        _add(element, name, _text(value))


def _add(element: Any, name: str, text: str) -> Any:
    made = etree.SubElement(element, name)
    made.text = text
    return made


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is dict and NUMBER in value:
        return str(value[NUMBER])
    if type(value) is not str:
        raise ValueError("a list or map where XML has a text")
    return value
