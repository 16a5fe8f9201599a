"""EPCIS 2.0 and 1.x in XML: from bytes to canonical events.

Documents with a document type are refused before they are parsed, so no entity is ever declared,
let alone expanded; the parser itself has entities, DTDs and the network off.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from lxml import etree

from cli.epcis.structure import (
    DEPTH_MAX,
    EPC_LISTS,
    EVENTS_MAX,
    KNOWN_PREFIXES,
    METADATA,
    OWN,
    PLACES,
    QUANTITY_LISTS,
    REPORT,
    TEXT,
    TEXTS,
    TYPED_LISTS,
    TYPES,
    Broken,
    Captured,
    Read,
    Tree,
    Unread,
)
from consensus.primitives.errors import InputError

# Documents, queries and their common types, of EPCIS 1 and 2.
_OWN: Final = re.compile(r"urn:epcglobal:(epcis(-query|-masterdata)?:)?xsd:[12]", re.ASCII)
_VERSIONS: Final = ("2.0", "1.2", "1.1", "1.0", "2", "1")
_WRAPPERS: Final = ("extension", "baseExtension")
_DECLARED: Final = re.compile(r"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([\w.:-]{1,40})", re.ASCII)
_UTF8: Final = ("UTF-8", "UTF8", "US-ASCII", "ASCII")
_DOCTYPE: Final = re.compile(r"<!(DOCTYPE|ENTITY)")


def read_xml(raw: bytes) -> list[Read]:
    """The events of a document, of query results, or one event alone, in order.

    Raises InputError EPCIS_INVALID_XML, EPCIS_XML_WITH_DTD, EPCIS_NOT_A_DOCUMENT,
    EPCIS_VERSION_NOT_COVERED, EPCIS_TOO_MANY_EVENTS.
    """
    root = _parsed(raw)
    name = _local(root)
    if name in TYPES:
        events = [root]
    elif name in ("EPCISDocument", "EPCISQueryDocument"):
        version = root.get("schemaVersion", "2.0")
        if version not in _VERSIONS:
            raise InputError("EPCIS_VERSION_NOT_COVERED", f"schemaVersion {version[:20]}")
        found = next((one for one in root.iter() if _local(one) == "EventList"), None)
        if found is None:
            _no_document()
        events = _unwrapped(found)
    else:
        _no_document()
    if len(events) > EVENTS_MAX:
        raise InputError("EPCIS_TOO_MANY_EVENTS", f"at most {EVENTS_MAX} events in a document")
    return [_read(number, one) for number, one in enumerate(events, 1)]


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig")
    except ValueError as error:
        raise InputError(
            "EPCIS_INVALID_XML", f"documents are read in UTF-8 alone: {error}"
        ) from None
    declared = _DECLARED.match(text)
    if declared is not None and declared.group(1).upper() not in _UTF8:
        # Bytes of another encoding may be UTF-8 by chance, and would say something else.
        raise InputError(
            "EPCIS_INVALID_XML", f"it says encoding {declared.group(1)}: read in UTF-8 alone"
        )
    if _DOCTYPE.search(text):
        raise InputError("EPCIS_XML_WITH_DTD", "document types and entities are not taken")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise InputError("EPCIS_INVALID_XML", str(error)[:200]) from None


def _no_document() -> NoReturn:
    raise InputError("EPCIS_NOT_A_DOCUMENT", "neither an EPCIS document nor an EPCIS event")


def _local(element: Any) -> str:
    """The name of one of EPCIS' own elements; {namespace}local of others."""
    return _name(element.tag)


def _name(tag: str) -> str:
    namespace, _, local = tag.rpartition("}")
    return local if _OWN.fullmatch(namespace[1:]) else tag


def _unwrapped(element: Any) -> list[Any]:
    """Its children, those that 1.x hides in extension elements too."""
    found = []
    for child in element:
        if _local(child) in _WRAPPERS:
            found += _unwrapped(child)
        else:
            found.append(child)
    return found


def _read(number: int, element: Any) -> Read:
    try:
        kind = _local(element)
        if kind not in TYPES:
            raise Broken("EPCIS_UNKNOWN_EVENT_TYPE", f"{kind[:80]} is no EPCIS event type")
        prefixes = dict(KNOWN_PREFIXES)
        for inner in element.iter():
            prefixes |= {name: uri for name, uri in inner.nsmap.items() if name}
        return Captured(number, _event(kind, element), prefixes)
    except Broken as broken:
        event_id = next((_text(one) for one in element.iter() if _local(one) == "eventID"), "")
        return Unread(number, event_id[:256], broken.code, broken.message)


def _event(kind: str, element: Any) -> Tree:
    tree: Tree = {"type": kind}
    certificates = []
    for child in _unwrapped(element):
        name = _local(child)
        if name == "certificationInfo":
            certificates.append(_text(child))
            continue
        if name in tree and name in OWN:
            raise Broken("EPCIS_BAD_FIELD", f"{name} stands twice in one event")
        _put(tree, name, _field(name, child))
    if certificates:
        tree["certificationInfo"] = certificates if len(certificates) > 1 else certificates[0]
    return tree


def _field(name: str, element: Any) -> Any:
    if name in TEXTS:
        return _text(element)
    if name in EPC_LISTS:
        return [_text(one) for one in element]
    if name in QUANTITY_LISTS:
        return [_known(one) for one in element]
    if name in TYPED_LISTS:
        return [_typed(TYPED_LISTS[name], one) for one in element]
    if name in PLACES:
        return _known(element, ("id",))
    if name == "sensorElementList":
        return [_sensor_element(one) for one in element]
    if name == "persistentDisposition":
        found: Tree = {}
        for one in element:
            found.setdefault(_local(one), []).append(_text(one))
        return found
    if name == "errorDeclaration":
        return _error(element)
    if name == "ilmd":
        return _known(element, ())
    return _any(element)


def _known(element: Any, names: tuple[str, ...] = ("epcClass", "quantity", "uom")) -> Tree:
    """An element whose children are texts, or extensions."""
    tree: Tree = {}
    for child in _unwrapped(element):
        name = _local(child)
        _put(tree, name, _text(child) if name in names else _any(child))
    return tree


def _typed(name: str, element: Any) -> Tree:
    tree = {"type": element.get("type")} if element.get("type") is not None else {}
    return {**tree, name: _text(element)}


def _error(element: Any) -> Tree:
    tree: Tree = {}
    for child in _unwrapped(element):
        name = _local(child)
        if name == "correctiveEventIDs":
            tree[name] = [_text(one) for one in child]
        else:
            is_text = name in ("declarationTime", "reason")
            _put(tree, name, _text(child) if is_text else _any(child))
    return tree


def _sensor_element(element: Any) -> Tree:
    tree: Tree = {}
    for child in _unwrapped(element):
        name = _local(child)
        if name == "sensorMetadata":
            tree[name] = _attributes(child, METADATA)
        elif name == "sensorReport":
            tree.setdefault(name, []).append(_attributes(child, REPORT))
        else:
            _put(tree, name, _any(child))
    return tree


def _attributes(element: Any, names: tuple[str, ...]) -> Tree:
    """The fields of sensorMetadata and sensorReport, which XML writes as attributes."""
    tree: Tree = {}
    for name, value in element.attrib.items():
        tree[name] = value.strip() if name in names else value
    for child in _unwrapped(element):
        _put(tree, _local(child), _any(child))
    return tree


def _any(element: Any, depth: int = 0) -> Any:
    """An extension: its text, or a map of its attributes, children and text."""
    if depth > DEPTH_MAX:
        raise Broken("EPCIS_BAD_FIELD", f"extensions are nested deeper than {DEPTH_MAX}")
    if len(element) == 0 and not element.attrib:
        return element.text or ""
    tree: Tree = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        if (child.tail or "").strip():
            raise Broken("EPCIS_MIXED_CONTENT", "text between the elements of an extension")
        _put(tree, str(child.tag), _any(child, depth + 1))
    text = element.text or ""
    if text.strip() or (text and len(element) == 0):
        tree[TEXT] = text
    return tree


def _put(tree: Tree, name: str, value: Any) -> None:
    """Several elements of one name are a list."""
    if name not in tree:
        tree[name] = value
    elif type(tree[name]) is list:
        tree[name].append(value)
    else:
        tree[name] = [tree[name], value]


def _text(element: Any) -> str:
    """The text of one of EPCIS' own elements, whose white space says nothing (XML Schema)."""
    if len(element):
        raise Broken("EPCIS_BAD_FIELD", f"{_local(element)[:80]} is text")
    return (element.text or "").strip()
