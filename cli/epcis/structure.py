"""The one form that every EPCIS event is read into and written from.

A canonical event is a tree of texts, lists and maps, in the fields of EPCIS 2.0's JSON binding,
whatever syntax it came in. Nothing that was said is lost:

* **numbers are texts** (``"quantity": "26.10"``): their digits are kept, there are no floats. A
  number in an extension is ``{"#number": "26.10"}``, to be told from a text of digits;
* **extensions have whole names**, ``{namespace}local`` as XML's tools write them; the prefixes that
  the document used for namespaces are kept beside the event;
* of XML, an attribute of an extension is ``@name`` and the text beside attributes or children
  ``#text``; elements of one name are a list. Lists keep their order;
* identifiers and vocabulary words stay as they were written. Only the event hash and the effect
  look through their forms.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from consensus.primitives.errors import InputError

TYPES: Final = (
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "AssociationEvent",
)
TEXTS: Final = (
    "eventTime",
    "recordTime",
    "eventTimeZoneOffset",
    "eventID",
    "parentID",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
)
EPC_LISTS: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
QUANTITY_LISTS: Final = (
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputQuantityList",
)
PLACES: Final = ("readPoint", "bizLocation")
TYPED_LISTS: Final = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
OWN: Final = frozenset(
    (
        "type",
        "certificationInfo",
        "sensorElementList",
        "persistentDisposition",
        "errorDeclaration",
        "ilmd",
        *TEXTS,
        *EPC_LISTS,
        *QUANTITY_LISTS,
        *PLACES,
        *TYPED_LISTS,
    )
)
"""The fields of an event that are EPCIS' own."""
METADATA: Final = (
    "time",
    "startTime",
    "endTime",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
)
REPORT: Final = (
    "type",
    "exception",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "time",
    "microorganism",
    "chemicalSubstance",
    "value",
    "component",
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "minValue",
    "maxValue",
    "meanValue",
    "sDev",
    "percRank",
    "percValue",
    "uom",
    "coordinateReferenceSystem",
)
NUMBERS: Final = frozenset(
    ("quantity", "value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
)
NUMBER: Final = "#number"
TEXT: Final = "#text"

# Prefixes that EPCIS itself declares, in its JSON-LD context and its schemas.
KNOWN_PREFIXES: Final = {
    "epcis": "https://ref.gs1.org/epcis/",
    "cbv": "https://ref.gs1.org/cbv/",
    "gs1": "https://gs1.org/voc/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsd": "http://www.w3.org/2001/XMLSchema",
}
DOCUMENT_BYTES_MAX: Final = 16 << 20
EVENTS_MAX: Final = 10_000
EVENT_CHARACTERS_MAX: Final = 60_000
DEPTH_MAX: Final = 32  # maps and lists within each other
CURRENT: Final = "2.0"

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Captured:
    """A canonical event as read: ``number`` counts a document's events from 1."""

    number: int
    tree: Tree
    prefixes: dict[str, str]  # to namespaces, as the document declared them

    @property
    def event_id(self) -> str:
        found = self.tree.get("eventID", "")
        return found if type(found) is str else ""


@dataclasses.dataclass(frozen=True)
class Unread:
    """An event that could not be read, and why."""

    number: int
    event_id: str
    code: str
    message: str


Read = Captured | Unread


class Broken(Exception):
    """An event that breaks a rule. ``args`` are code and message."""

    @property
    def code(self) -> str:
        return str(self.args[0])

    @property
    def message(self) -> str:
        return str(self.args[1])


def to_text(event: Captured) -> str:
    """The canonical document: one text for one tree. Raises InputError EPCIS_EVENT_TOO_LARGE.

    Order within maps says nothing, so names are sorted; lists keep theirs.
    """
    used, said = set[str](), set[str]()
    _gather(event.tree, used, said)
    prefixes = {
        name: uri
        for name, uri in event.prefixes.items()
        if uri in used or (name in said and KNOWN_PREFIXES.get(name) != uri)
    }
    value = {"event": event.tree, "prefixes": prefixes}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text) > EVENT_CHARACTERS_MAX:
        raise InputError(
            "EPCIS_EVENT_TOO_LARGE", f"more than {EVENT_CHARACTERS_MAX} characters in one event"
        )
    return text


def from_text(text: str, number: int = 1) -> Captured:
    """The inverse of :func:`to_text`. Raises InputError EPCIS_INVALID_JSON for other texts."""
    try:
        value = json.loads(text)
        tree, prefixes = value["event"], value["prefixes"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError("EPCIS_INVALID_JSON", "not a canonical event") from None
    if type(tree) is not dict or type(prefixes) is not dict:
        raise InputError("EPCIS_INVALID_JSON", "not a canonical event")
    return Captured(number, tree, prefixes)


def namespace_of(name: str) -> str:
    """The namespace of ``{namespace}local`` or ``@{namespace}local``; empty without one."""
    name = name.removeprefix("@")
    return name[1:].partition("}")[0] if name.startswith("{") else ""


def local_of(name: str) -> str:
    """The local part of a name."""
    return name.rpartition("}")[2] if "}" in name else name


def _gather(value: Any, used: set[str], said: set[str]) -> None:
    """The namespaces of names, and what stands before a colon in texts: perhaps a prefix."""
    if type(value) is dict:
        for name, one in value.items():
            used.add(namespace_of(name))
            _gather(one, used, said)
    elif type(value) is list:
        for one in value:
            _gather(one, used, said)
    elif type(value) is str:
        said.add(value.partition(":")[0])


def is_list(tree: Tree, name: str) -> list[Any]:
    """A list field; empty where there is none. Raises Broken."""
    value = tree.get(name, [])
    if type(value) is not list:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is a list")
    return value


def is_map(tree: Tree, name: str) -> Tree:
    """A map field; empty where there is none. Raises Broken."""
    value = tree.get(name) or {}
    if type(value) is not dict:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is an object")
    return value


def is_text(tree: Tree, name: str) -> str:
    """A text field; empty where there is none. Raises Broken."""
    value = tree.get(name, "")
    if type(value) is not str:
        raise Broken("EPCIS_BAD_FIELD", f"{name} is text")
    return value
