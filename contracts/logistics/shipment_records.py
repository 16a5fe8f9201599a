"""What the shipment contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.logistics.codes import (
    Classifier,
    ContainerText,
    DelayCode,
    DocumentCode,
    Mode,
    ShipmentCode,
    SizeType,
    VesselText,
    Voyage,
)
from contracts.logistics.geometry import Corner, Latitude, Longitude
from contracts.sdk import (
    Blob,
    Choice,
    Int,
    Item,
    OrganisationId,
    Party,
    Quantity,
    Record,
    Size,
    Text,
    Timestamp,
    UnLocode,
)

LEGS_MAX: Final = 16
CONTAINERS_MAX: Final = 100
GOODS_MAX: Final = 400  # what one event of the batch contract names
FENCES_EACH_MAX: Final = 4  # geofences of one of the three parties
FENCES_MAX: Final = 3 * FENCES_EACH_MAX
CORNERS_MAX: Final = 64
REPORTS_MAX: Final = 100  # positions in one call
WALK_MAX: Final = 2_000  # positions that one late position may lie behind the newest
SHOWN_MAX: Final = 100  # entries in a page of a query
CLOCK_AHEAD_MS: Final = 300_000  # how far what has happened may lie ahead of the block's time

REQUESTED: Final = "REQUESTED"
DECLINED: Final = "DECLINED"
CANCELLED: Final = "CANCELLED"
BOOKED: Final = "BOOKED"
LOADED: Final = "LOADED"
IN_TRANSIT: Final = "IN_TRANSIT"
ARRIVED: Final = "ARRIVED"
DELIVERED: Final = "DELIVERED"

Number = Annotated[int, Int(1)]
Reference = Annotated[bytes, Party(Text(100))]
Note = Annotated[bytes, Party(Text(500))]
DocumentCommitment = Annotated[bytes, Party(Blob(32, 32))]  # to a document's SHA-256
EventId = Annotated[bytes, Blob(16, 16)]  # DCSA's eventID, a UUID
Condition = Annotated[str, Choice("CLEAN", "DAMAGED", "SHORT", "UNSEALED")]
ExceptionKind = Annotated[  # UNSEALED: a seal is broken or missing
    str,
    Choice(
        "DELAY", "DAMAGE", "UNSEALED", "SHORTAGE", "TEMPERATURE", "LOSS", "CUSTOMS", "REFUSAL"
    ),
]  # fmt: skip
DeclineReason = Annotated[
    str, Choice("CAPACITY", "SERVICE", "DATES", "EQUIPMENT", "CARGO", "OTHER")
]
Alarm = Annotated[str, Choice("ENTER", "LEAVE", "BOTH")]


class Shipment(Record):
    """A carriage from one place to another, from the booking to the consignee's word."""

    shipper: OrganisationId
    carrier: OrganisationId
    consignee: OrganisationId
    origin: UnLocode
    destination: UnLocode
    state: str
    booked_at: Timestamp  # the request's block, ms
    wanted_arrival: Timestamp
    promised_arrival: Timestamp = 0  # 0: nothing is promised yet
    deadline: str = ""  # the promise's entry in the queue of timed calls
    late: bool = False  # no arrival was reported when one was promised; stays
    legs: int = 0
    legs_departed: int = 0
    legs_arrived: int = 0
    containers: int = 0
    containers_loaded: int = 0  # at least once
    goods: int = 0
    handed_over: bool = False  # the goods go with it in the batch contract, too
    milestones: int = 0
    exceptions: int = 0
    exceptions_open: int = 0
    geofences: int = 0  # ever set
    arrived_at: Timestamp = 0
    delivered_at: Timestamp = 0
    condition: Annotated[str, Text(20, 0)] = ""
    shipper_reference: Reference | None = None
    booking_reference: Reference | None = None  # the carrier's booking number
    booking_document: DocumentCommitment | None = None
    bill: int = 0  # its newest electronic bill of lading, of contract bill
    bill_open: bool = False  # issued and not surrendered: nothing is delivered


class LegPlan(Record):
    """One stage as the carrier plans it. ``vessel`` is the ship's IMO number; what leads to a
    person, such as a lorry's plate, is a commitment."""

    mode: Mode
    origin: UnLocode
    destination: UnLocode
    departure: Timestamp
    arrival: Timestamp
    vessel: VesselText = ""
    voyage: Voyage = ""
    vehicle: Annotated[bytes, Party(Text(50))] | None = None


class Leg(Record):
    mode: Mode
    origin: UnLocode
    destination: UnLocode
    vessel: VesselText
    voyage: Voyage
    vehicle: Annotated[bytes, Party(Text(50))] | None
    planned_departure: Timestamp
    planned_arrival: Timestamp
    estimated_departure: Timestamp = 0  # 0: as planned
    estimated_arrival: Timestamp = 0
    departed_at: Timestamp = 0
    arrived_at: Timestamp = 0
    delay: DelayCode = ""


class Container(Record):
    """Equipment that the carrier assigns: ISO 6346 number, and size and type, such as 22GP."""

    number: ContainerText
    type: SizeType


class EquipmentRequest(Record):
    """How many containers of a size and type the shipper wants."""

    type: SizeType
    units: Annotated[int, Int(1, CONTAINERS_MAX)]


class Equipment(Record):
    """A container of a shipment, and what was last heard of it."""

    container: ContainerText
    type: SizeType
    aboard: bool = False
    loaded: bool = False  # at least once
    empty: bool = False
    status: Annotated[str, Text(4, 0)] = ""  # DCSA's equipment event code
    status_at: Timestamp = 0
    place: Annotated[str, Text(5, 0)] = ""


class Goods(Record):
    """A lot's amount, a serial or a logistic unit that is carried, by its GS1 path."""

    item: Item
    quantity: Quantity | None = None
    container: ContainerText = ""


class Milestone(Record):
    """A DCSA event. ``event`` tells which of DCSA's three kinds it is."""

    event: Annotated[str, Choice("SHIPMENT", "TRANSPORT", "EQUIPMENT", "DELIVERY")]
    code: Annotated[str, Text(11)]  # DCSA's, or the condition on delivery
    classifier: Classifier
    time: Timestamp  # when it happened, or will
    place: Annotated[str, Text(5, 0)]
    state: str  # of the shipment, behind it
    recorded_by: OrganisationId
    recorded_at: Timestamp
    leg: int = 0
    container: ContainerText = ""
    document: Annotated[str, Text(3, 0)] = ""
    delay: DelayCode = ""


class Document(Record):
    """What was last heard of a kind of document. Its number is known to the parties."""

    document: DocumentCode
    status: ShipmentCode
    time: Timestamp
    reference: Reference | None = None


class TransportException(Record):
    """What went wrong, as a code; what there is to tell is known to the parties."""

    kind: ExceptionKind
    time: Timestamp
    reported_by: OrganisationId
    container: ContainerText = ""
    delay: DelayCode = ""
    note: Note | None = None
    resolved_at: Timestamp = 0


class Report(Record):
    """A position as its sender measured it; ``container`` empty for the shipment as a whole."""

    time: Timestamp
    latitude: Latitude
    longitude: Longitude
    container: ContainerText = ""


class Position(Record):
    """A position in the chain of all from the newest back: ``earlier`` is the time of the one
    before, -1 for the first."""

    time: Timestamp
    latitude: Latitude
    longitude: Longitude
    earlier: int


class Geofence(Record):
    """An area whose entering or leaving is an alarm, for positions from ``since`` on."""

    corners: list[Corner]
    alarm: Alarm
    set_by: OrganisationId
    since: Timestamp


Corners = Annotated[list[Corner], Size(CORNERS_MAX, 2)]
