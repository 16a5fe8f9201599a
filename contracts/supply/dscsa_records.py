"""What the DSCSA contract keeps, and what its calls take (FD&C Act 581, 582)."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Blob,
    Choice,
    Date,
    DocumentHash,
    Int,
    Item,
    LotNumber,
    OrganisationId,
    Party,
    PublicKey,
    Quantity,
    Record,
    Size,
    Text,
    Timestamp,
)

HOUR_MS: Final = 3_600_000
CLOCK_MS: Final = 24 * HOUR_MS  # to notify of illegitimate product: 582(b)(4)(B)(ii) and others
ANSWER_MS: Final = 48 * HOUR_MS  # to give transaction information: 582(b)(1)(B) and others
HOLDERS: Final = ("manufacturer", "wholesaler", "dispenser", "logistics_operator", "laboratory")
YEARS_KEPT: Final = 6  # records of transactions and investigations: 582(b)(1)(A)(ii), (b)(4)
PACKAGES_MAX: Final = 400  # of one transaction
LICENCES_MAX: Final = 200  # of one organisation: some have one of every State
SUSPECTS_MAX: Final = 100  # things in one case
SHOWN_MAX: Final = 100  # transactions or cases that a query gives

# What the statement says, in the order of 581(27).
ASSERTIONS: Final = (
    "AUTHORISED",  # (A) the seller is authorised
    "SOURCE",  # (B) it received the product from one that is authorised
    "INFORMATION",  # (C) it received transaction information and statement
    "LEGITIMATE",  # (D) it did not knowingly ship suspect or illegitimate product
    "SYSTEMS",  # (E) it had systems and processes for verification
    "TRUE",  # (F) it did not knowingly give false transaction information
    "UNALTERED",  # (G) it did not knowingly alter the transaction history
)

ACTIVE: Final = "ACTIVE"
SUSPENDED: Final = "SUSPENDED"
REVOKED: Final = "REVOKED"
LOGISTICS: Final = "LOGISTICS"  # it never owns product: 581(22)
FEDERAL: Final = "US"  # the FDA

SHIPMENT: Final = "SHIPMENT"
TRANSFER: Final = "TRANSFER"
EXEMPT: Final = "EXEMPT"

SUSPECT: Final = "SUSPECT"
ILLEGITIMATE: Final = "ILLEGITIMATE"
CLEARED: Final = "CLEARED"
TERMINATED: Final = "TERMINATED"

Number = Annotated[int, Int(1)]
Note = Annotated[bytes, Party(Text(500))]
Reference = Annotated[bytes, Party(Text(50))]
Kind = Annotated[str, Choice("MANUFACTURER", "REPACKAGER", "WHOLESALER", "LOGISTICS", "DISPENSER")]
Authority = Annotated[str, Text(5, 2, pattern="US(-[A-Z]{2})?")]  # the FDA, or a State (ISO 3166-2)
LicenceReason = Annotated[
    str,
    Choice(
        "LAPSED", "NON_COMPLIANCE", "FALSE_STATEMENT", "INVESTIGATION", "AT_OWN_REQUEST",
        "CORRECTED", "RENEWED", "OTHER",
    ),
]  # fmt: skip
Assertion = Annotated[str, Choice(*ASSERTIONS)]
Exemption = Annotated[
    str,
    Choice(
        "INTRACOMPANY", "COMMON_CONTROL", "EMERGENCY", "SAMPLE", "MINIMAL_QUANTITY", "CHARITY",
        "BUSINESS_MERGER", "NONSALEABLE_RETURN", "DESTRUCTION", "OTHER",
    ),
]  # fmt: skip
# 581(21): why a product is suspect.
Grounds = Annotated[
    str, Choice("COUNTERFEIT", "DIVERTED", "STOLEN", "ADULTERATED", "FRAUDULENT", "UNFIT")
]
Outcome = Annotated[str, Choice("ILLEGITIMATE", "CLEARED")]
Ending = Annotated[str, Choice("DISPOSED", "NOT_ILLEGITIMATE")]
Purpose = Annotated[str, Choice("SUSPECT", "ILLEGITIMATE", "RECALL", "OFFICIAL")]


class Thing(Record):
    """What is sold or suspect: an amount of a lot, or a serial or logistic unit without one."""

    item: Item
    quantity: Quantity | None = None


class EventInfo(Record):
    """What identifies the business event, for contract batch."""

    id: Annotated[str, Text(256, 0, pattern="[!-~]*")] = ""
    hash: Annotated[bytes, Blob(32)] = b""
    time: Timestamp = 0
    place: Annotated[str, Text(128, 0, pattern="[!-~]*")] = ""


Things = Annotated[list[Thing], Size(PACKAGES_MAX, 1)]
Suspects = Annotated[list[Thing], Size(SUSPECTS_MAX, 1)]


class Partner(Record):
    """Business name and address of seller or buyer."""

    name: Annotated[str, Text(200)]
    address: Annotated[str, Text(300)]


class Product(Record):
    """One product of the transaction information: 581(26)(A) to (F)."""

    name: Annotated[str, Text(200)]  # proprietary or established
    strength: Annotated[str, Text(100)]
    dosage_form: Annotated[str, Text(100)]
    ndc: Annotated[str, Text(13, pattern="[0-9]{4,5}-[0-9]{3,4}-[0-9]{1,2}")]
    container_size: Annotated[str, Text(50)]
    containers: Annotated[int, Int(1)]
    lots: Annotated[list[LotNumber], Size(100, 1)]


class TransactionInformation(Record):
    """The whole transaction information of 581(26), as the parties have it. On the chain stands a
    commitment to it, and beside that what traces need: identifiers, amounts, dates, organisations.
    """

    products: Annotated[list[Product], Size(50, 1)]
    transaction_date: Date
    seller: Partner
    buyer: Partner
    shipment_date: Date | None = None  # where it is more than 24 hours after the transaction


Information = Annotated[bytes, Party(TransactionInformation)]
Statement = Annotated[list[Assertion], Size(len(ASSERTIONS))]


class Licence(Record):
    """What makes an organisation an authorised trading partner: 581(2). Dates are both within.

    ``authority`` gave it: US is the FDA (registration under section 510), US-NJ a State.
    """

    number: int
    organisation: OrganisationId
    kind: Kind
    authority: Authority
    reference: Reference  # the licence's or registration's number
    valid_from: Date
    valid_until: Date
    state: str = ACTIVE


class LicenceChange(Record):
    """What became of a licence, by whom and why; older changes stay."""

    state: str
    valid_until: Date
    reason: Annotated[str, Text(20, 0)]
    changed_by: OrganisationId
    changed_at: Timestamp


class Transaction(Record):
    """A change of ownership with its transaction information and statement."""

    kind: str  # SHIPMENT: ownership passes on receipt; TRANSFER: at once, where the goods lie
    seller: OrganisationId
    buyer: OrganisationId
    holder: OrganisationId  # who has the goods when it is made
    day: int  # the transaction's date, YYYYMMDD
    packages: int
    information: Information | None
    statement: Statement
    stated_by: PublicKey
    time: Timestamp
    height: int
    tx_id: bytes
    retain_until: int  # YYYYMMDD: at least as long the parties keep the openings
    shipment_day: int = 0  # where it is not the transaction's
    exemption: Annotated[str, Text(20, 0)] = ""  # why this is no transaction: 581(24)(B)
    voided_at: Timestamp = 0  # taken back before it was received


class Line(Record):
    """A package, or an amount of a lot, in a transaction. ``prior``: the transaction by which the
    seller had got it; 0 where it is the maker, or got it before."""

    transaction: int
    item: Item
    lot: Annotated[str, Text(20, 0)]
    expiry: int
    amount: int
    unit: Annotated[str, Text(3)]
    prior: int


class Case(Record):
    """A suspicion, and what came of it."""

    reporter: OrganisationId
    owner: OrganisationId
    grounds: Grounds
    state: str
    opened_at: Timestamp
    retain_until: int
    deadline: str = ""  # the running clock's entry in the queue of timed calls
    is_decided_late: bool = False  # not within 24 hours; stays
    decided_by: Annotated[str, Text(20, 0)] = ""
    decided_at: Timestamp = 0
    is_notified_late: bool = False  # not within 24 hours; stays
    notified_at: Timestamp = 0
    regulator: Annotated[str, Text(20, 0)] = ""  # that was notified
    ended_at: Timestamp = 0
    ending: Annotated[str, Text(20, 0)] = ""
    note: Note | None = None
    form: Note | None = None  # what FDA form 3911 says beyond this


class SuspectThing(Record):
    """A thing in a case; amount 0 for serials and logistic units."""

    item: Item
    amount: int
    unit: Annotated[str, Text(3, 0)]
    holder: OrganisationId
    is_inside: bool  # not named itself, but in a unit that is
    was_apart: bool  # in quarantine before, and so for another reason


class Notice(Record):
    """That a trading partner was told of illegitimate product, and whether it has any."""

    partner: OrganisationId
    sent_at: Timestamp
    acknowledged_at: Timestamp = 0
    has_product: bool = False


class Request(Record):
    """A request for the transaction information of one product identifier, and its answer."""

    requester: OrganisationId
    asked: OrganisationId
    item: Item  # the package's serial, or a lot where packages have none
    lot: LotNumber
    expiry: Date
    purpose: Purpose
    requested_at: Timestamp
    answer_by: Timestamp
    retain_until: int
    deadline: str = ""
    is_late: bool = False  # not within 48 hours; stays
    answered_at: Timestamp = 0
    transactions: list[int] | None = None
    verification: Annotated[str, Text(20, 0)] = ""
    document: DocumentHash | None = None  # of the answer as it was sent


def years_later(day: int, years: int) -> int:
    """The same calendar day so many years later; 1 March where there is no 29 February."""
    year, rest = day // 10_000 + years, day % 10_000
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return year * 10_000 + (301 if rest == 229 and not leap else rest)
