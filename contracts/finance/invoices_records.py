"""What the invoices contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Blob,
    Choice,
    Date,
    Findings,
    Int,
    Money,
    OrganisationId,
    Party,
    Record,
    Size,
    Text,
    Timestamp,
    VerdictCode,
)

POSTINGS_MAX: Final = 40  # credit notes and payments of one invoice
OFFERS_MAX: Final = 8  # financiers that see one invoice
ALIKE_MAX: Final = 20  # alerts of one invoice
SHOWN_MAX: Final = 100
LIVE_MAX: Final = 300  # invoices of one party and state that a list looks at

REGISTERED: Final = "REGISTERED"
ACCEPTED: Final = "ACCEPTED"
FINANCED: Final = "FINANCED"
DEFAULTED: Final = "DEFAULTED"
SETTLED: Final = "SETTLED"
REJECTED: Final = "REJECTED"
WITHDRAWN: Final = "WITHDRAWN"
RELEASED: Final = "RELEASED"
LIVE: Final = (REGISTERED, ACCEPTED, FINANCED, DEFAULTED, RELEASED)
OFFERABLE: Final = (ACCEPTED, RELEASED)  # a released invoice is again its seller's
OWNED: Final = (FINANCED, DEFAULTED)  # a financier has it
GONE: Final = (REJECTED, WITHDRAWN)  # nobody ever relied on it

SAME_NUMBER: Final = "SAME_NUMBER"
SAME_AMOUNT: Final = "SAME_AMOUNT"

WITHIN: Final = "WITHIN"
BEYOND: Final = "BEYOND"
COVERED: Final = "COVERED"
SHORT: Final = "SHORT"

CREDIT_NOTE: Final = "CREDIT_NOTE"
PAYMENT: Final = "PAYMENT"
MISDIRECTED: Final = "MISDIRECTED"

Number = Annotated[int, Int(1)]
Fingerprint = Annotated[bytes, Blob(32, 32)]
Amount = Annotated[bytes, Party(Money)]
OfferedAdvance = Annotated[bytes, Blob(32, 32)]  # the commitment to an offer's advance
Remark = Annotated[bytes, Party(Text(500))]
Key = Annotated[bytes, Party(Blob(32, 32))]


class InvoiceData(Record):
    """What an invoice says, known to seller, buyer and those it is offered to."""

    number: Annotated[str, Text(100)]  # BT-1, as printed
    issued_on: Date  # BT-2
    gross: Money  # BT-112, with VAT
    document: Annotated[bytes, Blob(32, 32)]  # SHA-256 of the file


Data = Annotated[bytes, Party(InvoiceData)]


class Fingerprints(Record):
    """What an invoice is recognised by: keyed, slow hashes that are made outside (ADR 18)."""

    exact: Fingerprint  # seller, buyer, number, date, currency, gross amount
    numbered: Fingerprint  # seller, buyer, number: finds one whose amount or date was changed
    unnumbered: Fingerprint  # all but the number: finds one whose number was changed


class Invoice(Record):
    """What a buyer owes a seller, and who has it."""

    seller: OrganisationId
    buyer: OrganisationId
    state: str
    data: Data
    exact: Fingerprint
    numbered: Fingerprint
    unnumbered: Fingerprint
    due_at: Timestamp
    registered_at: Timestamp
    since: Timestamp  # it has been in this state
    postings: int = 0
    posted_before: int = 0  # the financing; what comes after counts for or against the financier
    financier: str = ""
    advance: Amount | None = None
    overdue: bool = False
    disputed: bool = False
    deadline: str = ""


class Offer(Record):
    """A seller's word that a financier may have an invoice for this advance."""

    advance: Amount
    at: Timestamp


class Alert(Record):
    """Two invoices of one seller to one buyer that are alike."""

    kind: Annotated[str, Choice("SAME_NUMBER", "SAME_AMOUNT")]
    at: Timestamp
    told_apart: bool = False
    remark: Remark | None = None


class Posting(Record):
    """What lowers what is owed, or was paid to the wrong one."""

    kind: Annotated[str, Choice("CREDIT_NOTE", "PAYMENT", "MISDIRECTED")]
    amount: Amount
    by: OrganisationId
    payee: str
    at: Timestamp


class Opinion(Record):
    """What an organisation's check of the cover found, after so many postings."""

    verdict: VerdictCode
    findings: Findings
    postings: int
    at: Timestamp


Organisations = Annotated[list[OrganisationId], Size(31, 1)]
