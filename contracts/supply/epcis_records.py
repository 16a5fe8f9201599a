"""What the chain keeps of an EPCIS event, and how it is decided what the event does."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Choice,
    DocumentHash,
    Gln,
    Int,
    LotNumber,
    OrganisationId,
    Party,
    Quantity,
    Record,
    Size,
    Text,
    Timestamp,
)

THINGS_MAX: Final = 400  # things that stand beside an event; a document may name more
DOCUMENT_MAX: Final = 60_000  # characters of a canonical document
CORRECTIVE_MAX: Final = 20

OBJECT: Final = "object"
PARENT: Final = "parent"
CHILD: Final = "child"
INPUT: Final = "input"
OUTPUT: Final = "output"

OK: Final = "OK"
NO_EFFECT: Final = "NO_EFFECT"

EventType = Annotated[
    str,
    Choice(
        "ObjectEvent",
        "AggregationEvent",
        "TransactionEvent",
        "TransformationEvent",
        "AssociationEvent",
    ),
]
EventId = Annotated[str, Text(256, 0, pattern="[!-~]*")]  # a URI
CbvWord = Annotated[str, Text(32, 0, pattern="[a-z_]*")]  # "other" where it is another vocabulary's
Code = Annotated[str, Text(48, 0, pattern="[A-Z0-9_]*")]
# A GS1 key: the path of a lot, serial or logistic unit, or of an asset, a document, a trade item.
ThingPath = Annotated[str, Text(256, pattern="[0-9]{2,4}/([!-$&-~]|%[23][0-9A-F])+")]
DateText = Annotated[str, Text(10, 0, pattern="[0-9-]*")]  # YYYY-MM-DD, or YYMMDD as in AI (17)
Document = Annotated[bytes, Party(Text(DOCUMENT_MAX))]


class NamedThing(Record):
    """A thing that an event names, as what, and how much of it where it is a lot."""

    thing: ThingPath
    role: Annotated[str, Choice(OBJECT, PARENT, CHILD, INPUT, OUTPUT)] = OBJECT
    quantity: Quantity | None = None


class ErrorDeclaration(Record):
    """That an event was wrong: when that was declared, why, and what stands instead of it."""

    time: Timestamp = 0
    reason: CbvWord = ""
    corrective_ids: Annotated[list[EventId], Size(CORRECTIVE_MAX)] | None = None


class EpcisEvent(Record):
    """The public dimensions of an event: what, when, where, why. Times are milliseconds.

    ``consignee``, ``sender`` and ``owner`` stand here only where they are organisations of the
    consortium, and then say what shipping and receiving do.
    """

    hash: DocumentHash  # CBV 2.0's event hash
    type: EventType
    time: Timestamp
    offset_minutes: Annotated[int, Int(-840, 840)] = 0
    action: Annotated[str, Choice("", "ADD", "OBSERVE", "DELETE")] = ""
    event_id: EventId = ""
    step: CbvWord = ""
    disposition: CbvWord = ""
    read_point: Gln | None = None
    location: Gln | None = None
    things: Annotated[list[NamedThing], Size(THINGS_MAX)] | None = None
    unnamed: Annotated[int, Int(0, 1_000_000)] = 0  # things that only the document names
    consignee: OrganisationId | None = None
    sender: OrganisationId | None = None
    owner: OrganisationId | None = None
    keep_ownership: bool = False
    lot: LotNumber | None = None
    expiry: DateText = ""
    error: ErrorDeclaration | None = None


class Recorded(Record):
    """An event that was captured: by whom, where in the chain, and what became of its effect."""

    number: int
    event: EpcisEvent
    document: Document
    effect: str  # contract.method, or empty
    effect_code: str  # OK, NO_EFFECT, or the reason why it had none
    organisation: str
    key: bytes
    height: int
    time: int
    tx_id: bytes


class DeclaredError(Record):
    """The declaration that a captured event was wrong. The event itself stays as it is."""

    error: ErrorDeclaration
    document: Document | None
    organisation: str
    height: int
    tx_id: bytes
