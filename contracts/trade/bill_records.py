"""What the contract of bills of lading keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Blob,
    Choice,
    Findings,
    Int,
    OrganisationId,
    Party,
    Record,
    Size,
    Text,
    Timestamp,
    VerdictCode,
)

SHOWN_MAX: Final = 100  # entries in a page of a query
LIVE_MAX: Final = 300  # bills of one party that a list looks at
AMENDMENTS_MAX: Final = 50

ISSUED: Final = "ISSUED"
TRANSFERRED: Final = "TRANSFERRED"
SURRENDERED: Final = "SURRENDERED"
ACCOMPLISHED: Final = "ACCOMPLISHED"
REPLACED_BY_PAPER: Final = "REPLACED_BY_PAPER"
LIVE: Final = (ISSUED, TRANSFERRED)

PROPOSED: Final = "PROPOSED"
ACCEPTED: Final = "ACCEPTED"
REJECTED: Final = "REJECTED"

MARKED: Final = "MARKED"
UNMARKED: Final = "UNMARKED"

Number = Annotated[int, Int(1)]
Turn = Annotated[int, Int(0)]
Act = Annotated[str, Choice("TRANSFER", "SURRENDER", "AMEND", "PAPER")]
Line = Annotated[str, Text(500)]
Place = Annotated[str, Text(100, 0)]


class BillTerms(Record):
    """What a bill of lading says, as DCSA's transport document names it; its parties know it."""

    reference: Annotated[str, Text(20)]  # the carrier's number of the transport document
    shipper: Line
    consignee: Annotated[str, Text(500, 0)]  # a bill to order has none
    goods: Annotated[list[Line], Size(100, 1)]
    containers: Annotated[list[Annotated[str, Text(15)]], Size(100)]
    packages: Annotated[int, Int(0)]
    gross_weight_g: Annotated[int, Int(0)]
    loading: Place
    discharge: Place
    vessel: Place = ""
    voyage: Place = ""
    on_board: Annotated[str, Text(10, 0)] = ""  # day, as 2030-01-31
    freight: Annotated[str, Choice("", "PRE", "COL")] = ""
    clauses: Annotated[list[Line], Size(50)] | None = None  # on the goods' state: none is clean


Terms = Annotated[bytes, Party(BillTerms)]
DocumentCommitment = Annotated[bytes, Party(Blob(32, 32))]  # to a document's SHA-256
Changes = Annotated[bytes, Party(Annotated[list[Annotated[str, Text(30)]], Size(20, 1)])]


class Bill(Record):
    """An electronic bill of lading: the one record that gives a claim to the goods.

    ``turn`` counts what was done with its control. Whoever signs away control, or consents to it,
    says at which turn: signed for an earlier one, it does nothing.
    """

    shipment: int
    carrier: OrganisationId
    shipper: OrganisationId
    to_order: bool
    consignee: str  # of a straight bill; of one to order nobody
    state: str
    controller: str  # exactly one while it is live; of what is surrendered the one who did
    terms: Terms
    document: DocumentCommitment
    issued_at: Timestamp
    turn: int = 0
    pledgee: str = ""
    consent: str = ""  # the act that the pledgee agrees to, at this turn
    consent_to: str = ""
    amendments: int = 0
    amendment_open: bool = False
    version: int = 0  # the newest accepted amendment; 0: as issued
    paper_wanted: bool = False
    paper: DocumentCommitment | None = None  # that it replaced, or that replaced it
    replaces: int = 0  # the record that had been replaced by this paper, if it was one
    replaced_by: int = 0
    since: Timestamp = 0  # it has been waiting for what it waits for


class Amendment(Record):
    """Terms in the place of others. It stays visible as what it is (MLETR 16)."""

    terms: Terms
    document: DocumentCommitment
    changes: Changes  # names of the fields that differ
    before: Terms
    state: str
    proposed_at: Timestamp
    decided_at: Timestamp = 0
    decided_by: str = ""


class Step(Record):
    """What was done with the control of a bill, in order."""

    act: str
    by: OrganisationId
    to: str
    at: Timestamp
    key: bytes


class Opinion(Record):
    """What an organisation's check of an amendment's marks found."""

    verdict: VerdictCode
    findings: Findings
    at: Timestamp
