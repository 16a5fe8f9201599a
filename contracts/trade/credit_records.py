"""What the contract of credits keeps. Parties, states and times are public, nothing else is."""

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
from contracts.trade.terms import (
    ChangesCommitment,
    DocumentCommitment,
    DrawingCommitment,
    TermsCommitment,
)

SHOWN_MAX: Final = 100  # entries in a page of a query
DRAWINGS_MAX: Final = 200  # of one credit
AMENDMENTS_MAX: Final = 50
PENDING_MAX: Final = 5  # amendments that wait for the beneficiary's word
PRESENTATIONS_MAX: Final = 400
DOCUMENTS_MAX: Final = 40
OPEN_MAX: Final = 20  # presentations of one credit that are not decided
BANKING_DAYS: Final = 5  # following the day of presentation (14(b))

# A credit.
APPLIED: Final = "APPLIED"
DECLINED: Final = "DECLINED"
WITHDRAWN: Final = "WITHDRAWN"
PROPOSED: Final = "PROPOSED"  # by one person of the bank; another one issues it
ISSUED: Final = "ISSUED"
ADVISED: Final = "ADVISED"
CONFIRMED: Final = "CONFIRMED"
EXPIRED: Final = "EXPIRED"
CANCELLED: Final = "CANCELLED"
CLOSED: Final = "CLOSED"
RUNNING: Final = (ADVISED, CONFIRMED)
ALIVE: Final = (ISSUED, ADVISED, CONFIRMED)

# An amendment; PROPOSED and ISSUED, too.
ACCEPTED: Final = "ACCEPTED"
REJECTED: Final = "REJECTED"

# A presentation.
PRESENTED: Final = "PRESENTED"
COMPLYING: Final = "COMPLYING"
DISCREPANT: Final = "DISCREPANT"  # found so, not refused yet
REFUSED: Final = "REFUSED"
WAIVED: Final = "WAIVED"
PRECLUDED: Final = "PRECLUDED"  # the bank was late, so the documents count as complying (16(f))
HONOURED: Final = "HONOURED"
TAKEN_BACK: Final = "TAKEN_BACK"
PAYABLE: Final = (COMPLYING, WAIVED, PRECLUDED)

READY: Final = "READY"
UNFIT: Final = "UNFIT"
WITHIN: Final = "WITHIN"
BEYOND: Final = "BEYOND"
WITH: Final = "COMPLYING_WITH_"  # and the number of the newest amendment that it accepts (10(c))

Number = Annotated[int, Int(1)]
Count = Annotated[int, Int(0)]
Decision = Annotated[str, Choice("ACCEPT", "ACCEPT_IN_PART", "REJECT")]
Fate = Annotated[str, Choice("HOLD", "NOTIFY", "RETURN", "PREVINST")]
HELD_FATES: Final = ("HOLD", "NOTIFY")
Documents = Annotated[list[DocumentCommitment], Size(DOCUMENTS_MAX, 1)]
Bills = Annotated[list[Number], Size(10)]
Reason = Annotated[bytes, Party(Text(500))]
Digest = Annotated[bytes, Party(Blob(32, 32))]


class Credit(Record):
    """A credit, or what of one was transferred."""

    applicant: OrganisationId
    beneficiary: OrganisationId
    issuer: OrganisationId
    advising: OrganisationId  # the issuer, if it advises itself
    nominated: str  # the bank with which it is available beside the issuer, if there is one
    to_confirm: bool  # it is asked to add its confirmation
    state: str
    expiry: int  # YYYYMMDD, by the accepted amendments
    terms: TermsCommitment
    applied_at: Timestamp
    since: Timestamp  # it has been waiting for what it waits for
    accepted: list[int]  # amendments, in the order of acceptance
    pending: list[int]  # those that are issued and not decided
    open: list[int]  # presentations that are not decided
    asked: list[int]  # refused ones of which the applicant was asked for a waiver
    drawings: list[int]  # presentations; what was transferred, as the new credit's number below 0
    proposer: str = ""  # the person who proposed its issue
    issued_at: Timestamp = 0
    confirmed: bool = False
    amendments: int = 0
    presentations: int = 0
    ends: str = ""  # the deadline that ends it
    parent: int = 0  # what it was transferred from
    basis: Annotated[list[int], Size(AMENDMENTS_MAX)] | None = None  # that one's amendments then
    transferor: str = ""  # the first beneficiary
    to_pass_on: int = 0  # presentations that the nominated bank honoured and the issuer has not
    transferring: str = ""  # the bank to which alone its documents are presented (38(k))
    verdict: str = ""
    findings: Findings | None = None
    reason: Reason | None = None  # why it was declined


class Amendment(Record):
    """An amendment. The issuer is bound by it from its issue on (10(b))."""

    changes: ChangesCommitment
    expiry: int  # the new one, YYYYMMDD, or 0
    cancels: bool
    state: str
    proposed_at: Timestamp
    proposer: str
    issued_at: Timestamp = 0
    confirmer_agreed: bool = False
    decided_at: Timestamp = 0
    by_presentation: int = 0  # that was its acceptance (10(c))


class HeldBill(Record):
    """An electronic bill of lading that the bank held when documents were presented with it."""

    number: int
    document: Digest


class Presentation(Record):
    """Documents, presented to one bank. What it is judged by stays as it was on that day."""

    bank: OrganisationId
    presenter: OrganisationId
    state: str
    drawing: DrawingCommitment
    documents: Annotated[list[DocumentCommitment], Size(DOCUMENTS_MAX)]
    bills: Annotated[list[HeldBill], Size(10)]
    presented_at: Timestamp
    day: int  # of the presentation to the first bank, YYYYMMDD by its clock
    deadline: Timestamp  # end of the bank's fifth banking day
    basis: list[int]  # amendments that had been accepted
    pending: list[int]  # and those that it may accept
    before: int  # how many drawings the credit had then
    ahead: list[int]  # presentations that were open then
    since: Timestamp
    due: str = ""
    of: int = 0  # the presentation that a bank passes on
    passed_on: int = 0  # as which it was
    verdict: str = ""
    findings: Findings | None = None
    examiner: str = ""  # a person
    accepted: int = 0  # how many amendments there were when its drawing was counted
    fate: str = ""  # of the documents, once it was refused (16(c)(iii))
    refused_at: Timestamp = 0
    asked: bool = False  # the applicant was asked for a waiver
    waived: bool = False  # by the applicant
    payer: str = ""
    disputed: bool = False  # somebody's verdict is not the bank's
    decided_at: Timestamp = 0


class Opinion(Record):
    """What an organisation's check found."""

    verdict: VerdictCode
    findings: Findings
    at: Timestamp
