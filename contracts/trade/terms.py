"""What a credit asks for, what an amendment changes of it, and what documents say.

All of it stands on chain as commitments alone. Names follow UCP 600; the fields in brackets are
those of SWIFT's MT700, whose content fits in here.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Blob,
    Choice,
    Date,
    Int,
    Money,
    Party,
    Quantity,
    Record,
    Size,
    Text,
)

ALLOWED: Final = "ALLOWED"
NOT_ALLOWED: Final = "NOT_ALLOWED"

AMOUNT: Final = "AMOUNT"
QUANTITY: Final = "QUANTITY"
UNIT_PRICE: Final = "UNIT_PRICE"

DRAFT: Final = "DRAFT"
INVOICE: Final = "INVOICE"
INSURANCE: Final = "INSURANCE"
MULTIMODAL: Final = "MULTIMODAL"
BILL_OF_LADING: Final = "BILL_OF_LADING"
SEA_WAYBILL: Final = "SEA_WAYBILL"
CHARTER_PARTY_BILL: Final = "CHARTER_PARTY_BILL"
AIR_WAYBILL: Final = "AIR_WAYBILL"
LAND: Final = "LAND"
COURIER: Final = "COURIER"

Line = Annotated[str, Text(150)]
Place = Annotated[str, Text(150, 0)]
Words = Annotated[str, Text(6_600, 0)]  # a narrative of a hundred lines
Name = Annotated[str, Text(250)]  # the first line is the name, the others the address
Percent = Annotated[int, Int(0, 99)]
Days = Annotated[int, Int(0, 999)]
By = Annotated[
    str, Choice("PAYMENT", "DEFERRED_PAYMENT", "ACCEPTANCE", "NEGOTIATION", "MIXED_PAYMENT")
]
Allowed = Annotated[str, Choice("ALLOWED", "NOT_ALLOWED", "CONDITIONAL")]
Pieces = Annotated[int, Int(0, 50)]
DocumentType = Annotated[
    str,
    Choice(
        "DRAFT",
        "INVOICE",
        "MULTIMODAL",
        "BILL_OF_LADING",
        "SEA_WAYBILL",
        "CHARTER_PARTY_BILL",
        "AIR_WAYBILL",
        "LAND",
        "COURIER",
        "INSURANCE",
        "ORIGIN",
        "PACKING_LIST",
        "INSPECTION",
        "WEIGHT",
        "OTHER",
    ),
]


class Required(Record):
    """A document that the credit asks for (46A)."""

    type: DocumentType
    title: Place = ""  # of one that has no type of its own
    issuer: Place = ""  # whom it has to come from; else anybody (14(f))
    originals: Pieces = 1
    copies: Pieces = 0
    risks: Annotated[list[Line], Size(20)] | None = None  # that insurance has to cover
    text: Words = ""


class Instalment(Record):
    """What is to be shipped and drawn within a period (art. 32)."""

    start: Date
    end: Date
    amount: Money | None = None  # the most that is drawn for it


class Note(Record):
    """What else a message says."""

    name: Annotated[str, Text(40)]
    text: Annotated[str, Text(12_000, 0)]


class Terms(Record):
    """The terms of a credit. An undertaking that is irrevocable, whether it says so or not (3)."""

    reference: Annotated[str, Text(35)]  # (20) the issuing bank's
    applicant: Name  # (50)
    beneficiary: Name  # (59)
    amount: Money  # (32B)
    expiry: Date  # (31D)
    expiry_place: Line
    available_with: Line  # (41a)
    available_by: By
    goods: Words  # (45A)
    documents: Annotated[list[Required], Size(100)]  # (46A)
    plus: Percent | None = None  # (39A) what the amount may be exceeded by
    minus: Percent | None = None
    about: Annotated[list[Annotated[str, Choice("AMOUNT", "QUANTITY", "UNIT_PRICE")]], Size(3)] | (
        None
    ) = None  # the figures that "about" or "approximately" stands before (30(a))
    quantity: Quantity | None = None
    by_number: bool = False  # the quantity is of packing units or single items (30(b))
    unit_price: Money | None = None
    trade_term: Place = ""
    latest_shipment: Date | None = None  # (44C)
    presentation_days: Days = 21  # (48) after the date of shipment
    partial_shipments: Allowed = "ALLOWED"  # (43P)
    transhipment: Allowed = "ALLOWED"  # (43T)
    receipt: Place = ""  # (44A)
    loading: Place = ""  # (44E)
    discharge: Place = ""  # (44F)
    destination: Place = ""  # (44B)
    transferable: bool = False  # (40A)
    tenor: Place = ""  # (42C)
    drawee: Place = ""  # (42a)
    insured_percent: Annotated[int, Int(100, 999)] = 110
    instalments: Annotated[list[Instalment], Size(40)] | None = None
    conditions: Annotated[list[Words], Size(100)] | None = None  # (47A)
    notes: Annotated[list[Note], Size(60)] | None = None


class Changes(Record):
    """What an amendment says. What is None stays as it is."""

    increase: Money | None = None
    decrease: Money | None = None
    expiry: Date | None = None
    expiry_place: Line | None = None
    applicant: Name | None = None
    beneficiary: Name | None = None
    available_with: Line | None = None
    available_by: By | None = None
    tenor: Place | None = None
    drawee: Place | None = None
    transferable: bool | None = None
    goods: Words | None = None
    documents: Annotated[list[Required], Size(100)] | None = None
    plus: Percent | None = None
    minus: Percent | None = None
    quantity: Quantity | None = None
    unit_price: Money | None = None
    trade_term: Place | None = None
    latest_shipment: Date | None = None
    presentation_days: Days | None = None
    partial_shipments: Allowed | None = None
    transhipment: Allowed | None = None
    receipt: Place | None = None
    loading: Place | None = None
    discharge: Place | None = None
    destination: Place | None = None
    insured_percent: Annotated[int, Int(100, 999)] | None = None
    instalments: Annotated[list[Instalment], Size(40)] | None = None
    conditions: Annotated[list[Words], Size(100)] | None = None
    notes: Annotated[list[Note], Size(60)] | None = None


class Carriage(Record):
    """What a transport document says (arts. 19 to 27)."""

    carrier: Place = ""
    shipped: Date | None = None  # on board, dispatched or taken in charge
    vessel: Place = ""
    voyage: Place = ""
    receipt: Place = ""
    loading: Place = ""
    discharge: Place = ""
    destination: Place = ""
    clauses: Annotated[list[Line], Size(20)] | None = None  # defects of goods or packing
    full_set: bool = True  # all originals that it says were issued
    on_deck: bool = False
    charter_party: bool = False
    transhipped: bool = False
    in_containers: bool = False
    bill: Annotated[int, Int(0)] = 0  # the electronic record, in contract bill


class Cover(Record):
    """What an insurance document says (art. 28)."""

    kind: Annotated[str, Choice("POLICY", "CERTIFICATE", "DECLARATION", "COVER_NOTE")]
    insured: Money
    effective: Date | None = None  # the cover begins at the latest
    risks: Annotated[list[Line], Size(20)] | None = None


class Document(Record):
    """A presented document: the hash of its file, and what it says."""

    type: DocumentType
    digest: Annotated[bytes, Blob(32, 32)]  # SHA-256
    title: Place = ""
    number: Annotated[str, Text(35, 0)] = ""
    date: Date | None = None
    issuer: Place = ""
    to: Place = ""  # the buyer of an invoice, the drawee of a draft
    signed: bool = True
    originals: Pieces = 1
    copies: Pieces = 0
    goods: Words = ""
    quantity: Quantity | None = None
    gross_weight_g: Annotated[int, Int(0)] | None = None
    amount: Money | None = None
    unit_price: Money | None = None
    carriage: Carriage | None = None
    cover: Cover | None = None


class Drawing(Record):
    """What a presentation draws."""

    amount: Money
    quantity: Quantity | None = None  # of the goods
    instalment: Annotated[int, Int(0, 40)] = 0  # which one, of a credit that has them
    reference: Annotated[str, Text(35, 0)] = ""  # the presenter's


TermsCommitment = Annotated[bytes, Party(Terms)]
ChangesCommitment = Annotated[bytes, Party(Changes)]
DrawingCommitment = Annotated[bytes, Party(Drawing)]
DocumentCommitment = Annotated[bytes, Party(Document)]


def amended(terms: Terms, changes: Changes) -> Terms:
    """The terms with an amendment in them. An amount can't fall below nothing."""
    money = terms.amount
    minor = money.minor
    if changes.increase is not None and changes.increase.currency == money.currency:
        minor += changes.increase.minor
    if changes.decrease is not None and changes.decrease.currency == money.currency:
        minor -= changes.decrease.minor
    terms.amount = Money(max(minor, 0), money.currency)
    terms.expiry = changes.expiry or terms.expiry
    terms.expiry_place = changes.expiry_place or terms.expiry_place
    terms.applicant = changes.applicant or terms.applicant
    terms.beneficiary = changes.beneficiary or terms.beneficiary
    terms.latest_shipment = changes.latest_shipment or terms.latest_shipment
    terms.partial_shipments = changes.partial_shipments or terms.partial_shipments
    terms.transhipment = changes.transhipment or terms.transhipment
    terms.insured_percent = changes.insured_percent or terms.insured_percent
    terms.available_with = changes.available_with or terms.available_with
    terms.available_by = changes.available_by or terms.available_by
    if changes.tenor is not None:
        terms.tenor = changes.tenor
    if changes.drawee is not None:
        terms.drawee = changes.drawee
    if changes.transferable is not None:
        terms.transferable = changes.transferable
    if changes.goods is not None:
        terms.goods = changes.goods
    if changes.documents is not None:
        terms.documents = changes.documents
    if changes.plus is not None:
        terms.plus = changes.plus
    if changes.minus is not None:
        terms.minus = changes.minus
    if changes.quantity is not None:
        terms.quantity = changes.quantity
    if changes.unit_price is not None:
        terms.unit_price = changes.unit_price
    if changes.trade_term is not None:
        terms.trade_term = changes.trade_term
    if changes.presentation_days is not None:
        terms.presentation_days = changes.presentation_days
    if changes.receipt is not None:
        terms.receipt = changes.receipt
    if changes.loading is not None:
        terms.loading = changes.loading
    if changes.discharge is not None:
        terms.discharge = changes.discharge
    if changes.destination is not None:
        terms.destination = changes.destination
    if changes.instalments is not None:
        terms.instalments = changes.instalments
    if changes.conditions is not None:
        terms.conditions = changes.conditions
    return terms


def ceiling(terms: Terms) -> int:
    """The most that may be drawn, in smallest units: the amount, more only by a tolerance of its
    own or by "about", which is ten per cent of that figure alone (30(a))."""
    if terms.plus is not None:
        return terms.amount.minor * (100 + terms.plus) // 100
    if AMOUNT in (terms.about or []):
        return terms.amount.minor * 110 // 100
    return terms.amount.minor


def same(one: str, other: str) -> bool:
    """Whether texts are the same but for spaces and capitals."""
    return plain_words(one) == plain_words(other)


def plain_words(text: str) -> str:
    return " ".join(text.upper().split())


def name_of(party: str) -> str:
    """A party's name without its address, which need not be the same everywhere (14(j))."""
    return plain_words(party.split("\n", 1)[0])


def unfit(terms: Terms, expiry: int) -> list[str]:
    """What bars a credit on these terms from being issued; ``expiry`` is the day that is public."""
    found: list[str] = []
    if terms.expiry != expiry:
        found.append("6(d)(i): the day of expiry is not the one that was announced")
    if not terms.documents:
        found.append("14(a): no document is asked for")
    if terms.amount.minor == 0:
        found.append("2: a credit of nothing undertakes nothing")
    if terms.drawee and name_of(terms.drawee) == name_of(terms.applicant):
        found.append("6(c): a credit is not available by a draft on the applicant")
    if name_of(terms.applicant) == name_of(terms.beneficiary):
        found.append("2: applicant and beneficiary are the same")
    if terms.latest_shipment is not None and terms.latest_shipment > terms.expiry:
        found.append("6(d)(i): the latest date of shipment is after the expiry")
    before = 0
    for instalment in terms.instalments or []:
        if not before < instalment.start <= instalment.end:
            found.append("32: the instalments' periods do not follow each other")
        before = instalment.end
    return found


def not_fitting(terms: Terms, changes: Changes, expiry: int) -> list[str]:
    """What bars an amendment in itself from being issued; the amended terms have to be fit besides.
    ``expiry`` is the new one that is public, or 0."""
    found: list[str] = []
    currency, minor = terms.amount.currency, terms.amount.minor
    for money in (changes.increase, changes.decrease):
        if money is not None and money.currency != currency:
            found.append(f"the credit is in {currency}, the change in {money.currency}")
    if changes.increase is not None and changes.decrease is not None:
        found.append("the amount is both raised and lowered")
    if changes.decrease is not None and changes.decrease.minor > minor:
        found.append("the amount is lowered by more than there is")
    if (changes.expiry or 0) != expiry:
        found.append("6(d)(i): the day of expiry is not the one that was announced")
    return found


def beyond_transfer(first: Terms, second: Terms) -> list[str]:
    """What a transfer changes that it may not (38): only amount, unit price, expiry, period for
    presentation and latest shipment, which may fall, and the insured percentage, which may rise.
    The first beneficiary's name may stand in the applicant's place (38(g))."""
    found: list[str] = []
    if not first.transferable:
        found.append("38(a): the credit does not say that it is transferable")
    if second.transferable:
        found.append("38(d): what is transferred is not transferred again")
    if first.amount.currency != second.amount.currency:
        found.append("38(g): another currency")
    elif second.amount.minor > first.amount.minor:
        found.append("38(g): the amount is raised")
    if name_of(second.applicant) not in (name_of(first.applicant), name_of(first.beneficiary)):
        found.append("38(g): the applicant is neither the first one nor the first beneficiary")
    if is_above(second.unit_price, first.unit_price):
        found.append("38(g): the unit price is raised")
    if second.expiry > first.expiry:
        found.append("38(g): the expiry is later")
    if second.presentation_days > first.presentation_days:
        found.append("38(g): the period for presentation is longer")
    if first.latest_shipment is not None and (
        second.latest_shipment is None or second.latest_shipment > first.latest_shipment
    ):
        found.append("38(g): the latest shipment is later")
    if second.insured_percent < first.insured_percent:
        found.append("38(g): less is to be insured")
    for name, one, other in (
        ("goods", first.goods, second.goods),
        ("place of receipt", first.receipt, second.receipt),
        ("port of loading", first.loading, second.loading),
        ("port of discharge", first.discharge, second.discharge),
        ("destination", first.destination, second.destination),
        ("partial shipments", first.partial_shipments, second.partial_shipments),
        ("transhipment", first.transhipment, second.transhipment),
        ("trade term", first.trade_term, second.trade_term),
    ):
        if not same(one, other):
            found.append(f"38(g): other {name}")
    if first.documents != second.documents:
        found.append("38(g): other documents")
    if (first.conditions or []) != (second.conditions or []):
        found.append("38(g): other conditions")
    if (first.plus, first.minus, first.about or []) != (
        second.plus,
        second.minus,
        second.about or [],
    ):
        found.append("38(g): other tolerances")
    if (first.instalments or []) != (second.instalments or []):
        found.append("38(g): other instalments")
    if is_above_quantity(second, first):
        found.append("38(g): more or other goods")
    return found


def is_above(second: Money | None, first: Money | None) -> bool:
    """Whether a price is above another one, or no longer said, or in another currency."""
    if first is None:
        return second is not None
    if second is None or second.currency != first.currency:
        return True
    return second.minor > first.minor


def is_above_quantity(second: Terms, first: Terms) -> bool:
    if first.quantity is None or second.quantity is None:
        return (first.quantity is None) != (second.quantity is None)
    if first.quantity.unit != second.quantity.unit or first.by_number != second.by_number:
        return True
    return second.quantity.amount > first.quantity.amount
