"""What is wrong with documents, by the articles of UCP 600: every discrepancy with its article.

Only what a rule can tell from data is told: whether the texts of a certificate say what the credit
wants to hear, a person reads. Documents that nobody asked for are disregarded (14(g)), and so are
conditions that name no document (14(h)). Data need not be identical, but must not conflict (14(d)).
"""

from __future__ import annotations

from typing import Final

from contracts.sdk import Money, Quantity, Record, date_text
from contracts.trade.days import date_of, number_of
from contracts.trade.terms import (
    AIR_WAYBILL,
    BILL_OF_LADING,
    CHARTER_PARTY_BILL,
    COURIER,
    DRAFT,
    INSURANCE,
    INVOICE,
    LAND,
    MULTIMODAL,
    NOT_ALLOWED,
    QUANTITY,
    SEA_WAYBILL,
    UNIT_PRICE,
    Carriage,
    Document,
    Drawing,
    Required,
    Terms,
    ceiling,
    name_of,
    plain_words,
    same,
)

ARTICLES: Final = (
    (MULTIMODAL, "19"),
    (BILL_OF_LADING, "20"),
    (SEA_WAYBILL, "21"),
    (CHARTER_PARTY_BILL, "22"),
    (AIR_WAYBILL, "23"),
    (LAND, "24"),
    (COURIER, "25"),
)
BY_SEA: Final = (BILL_OF_LADING, SEA_WAYBILL, CHARTER_PARTY_BILL)
CIF: Final = ("CIF", "CIP")


class OpenedBill(Record):
    """An electronic bill of lading that the bank held, and the SHA-256 of its document."""

    number: int
    digest: bytes


class Presented(Record):
    """The circumstances of a presentation."""

    day: int  # YYYYMMDD, where it was made first
    last_day: int  # the expiry, or the banking day to which a closure moves it (29(a))
    presented_by: int  # the last day after shipment, moved likewise; 0 where none is told
    drawing: Drawing
    earlier: list[Drawing]
    ahead: list[int]  # instalments of presentations that were being examined
    documents: list[Document]
    bills: list[OpenedBill]


def discrepancies(terms: Terms, it: Presented) -> list[str]:
    """Every discrepancy, with its article."""
    found: list[str] = []
    answers = answering(terms, it.documents)
    for number, wanted in enumerate(terms.documents):
        some: list[Document] = []
        for place, answer in enumerate(answers):
            if answer == number:
                some.append(it.documents[place])
        check_pieces(wanted, some, found)
    demanded: list[Document] = []
    for place, answer in enumerate(answers):
        if answer >= 0:
            demanded.append(it.documents[place])
    invoices = [one for one in demanded if one.type == INVOICE]
    carried = [one for one in demanded if one.carriage is not None and article(one)]
    for one in demanded:
        if one.date is not None and one.date > it.day:
            found.append(f"14(i): {called(one)} is dated after the presentation")
        if one.type == INVOICE:
            check_invoice(terms, one, found)
        elif one.type == DRAFT:
            check_draft(terms, it, one, found)
        elif one.type == INSURANCE:
            check_cover(terms, it, one, invoices, carried, found)
        elif article(one):
            check_carriage(terms, it, one, found)
    check_data(demanded, found)
    check_times(terms, it, carried, found)
    check_amounts(terms, it, invoices, found)
    check_parts(terms, it, carried, found)
    return [one[:500] for one in found[:100]]


def answering(terms: Terms, documents: list[Document]) -> list[int]:
    """Which demand of the credit each document answers: of those of its type and title the one
    that names its issuer before one that names none, then the one with the fewest so far. -1 for
    what nobody asked for."""
    count = [0 for _ in terms.documents]
    titles = [plain_words(wanted.title) for wanted in terms.documents]
    issuers = [name_of(wanted.issuer) for wanted in terms.documents]
    found: list[int] = []
    for one in documents:
        name, issuer = plain_words(one.title), name_of(one.issuer)
        best, best_fit = -1, -1
        for number, wanted in enumerate(terms.documents):
            if wanted.type != one.type or titles[number] not in ("", name):
                continue
            fit = 4 if titles[number] else 0
            if not issuers[number]:
                fit += 1
            elif issuers[number] == issuer:
                fit += 2
            if fit > best_fit or (fit == best_fit and count[number] < count[best]):
                best, best_fit = number, fit
        if best >= 0:
            count[best] += 1
        found.append(best)
    return found


def last_after_shipment(terms: Terms, documents: list[Document]) -> int:
    """The last day of the period for presentation after shipment, no closure counted; 0 where no
    original transport document tells the date."""
    carried: list[Document] = []
    for place, answer in enumerate(answering(terms, documents)):
        one = documents[place]
        if answer >= 0 and one.originals and one.carriage is not None and article(one):
            carried.append(one)
    shipped = shipped_on(carried)
    if not shipped:
        return 0
    return date_of(number_of(shipped) + terms.presentation_days)


def article(document: Document) -> str:
    """The article of a transport document; none of another one."""
    for kind, number in ARTICLES:
        if document.type == kind:
            return number
    return ""


def called(document: Document) -> str:
    name = document.title or document.type.lower().replace("_", " ")
    return f"the {name} {document.number}".rstrip()


def check_pieces(wanted: Required, some: list[Document], found: list[str]) -> None:
    """Originals and copies (17), and by whom a document is issued (14(f))."""
    name = wanted.title or wanted.type.lower().replace("_", " ")
    if not some:
        found.append(f"14(a): no {name} is presented")
        return
    originals = sum([one.originals for one in some])
    copies = sum([one.copies for one in some]) + max(0, originals - wanted.originals)
    if originals < wanted.originals:
        found.append(f"17(a): {originals} originals of the {name}, not {wanted.originals}")
    if copies < wanted.copies:
        found.append(f"17(d): {copies} copies of the {name}, not {wanted.copies}")
    for one in some:
        if wanted.issuer and name_of(one.issuer) != name_of(wanted.issuer):
            found.append(f"14(f): {called(one)} is not issued by {wanted.issuer}")
        if wanted.risks is not None:
            covered = [plain_words(risk) for risk in cover_risks(one)]
            for risk in wanted.risks:
                if plain_words(risk) not in covered:
                    found.append(f"28(g): {risk} is not covered")


def cover_risks(document: Document) -> list[str]:
    if document.cover is None:
        return []
    return document.cover.risks or []


def check_invoice(terms: Terms, one: Document, found: list[str]) -> None:
    """Article 18."""
    if name_of(one.issuer) != name_of(terms.beneficiary):
        found.append(f"18(a)(i): {called(one)} is not issued by the beneficiary")
    if name_of(one.to) != name_of(terms.applicant):
        found.append(f"18(a)(ii): {called(one)} is not made out to the applicant")
    if one.amount is None:
        found.append(f"18: {called(one)} has no amount")
    elif one.amount.currency != terms.amount.currency:
        found.append(f"18(a)(iii): {called(one)} is not in {terms.amount.currency}")
    if plain_words(terms.goods) not in plain_words(one.goods):
        found.append(f"18(c): the goods of {called(one)} are not those of the credit")
    price = one.unit_price
    if terms.unit_price is not None and price is not None:
        stated = terms.unit_price
        differs = abs(price.minor - stated.minor)
        if price.currency != stated.currency:
            found.append(f"18(a)(iii): the unit price of {called(one)} is in another currency")
        elif UNIT_PRICE in (terms.about or []):
            if differs * 10 > stated.minor:
                found.append(f"30(a): the unit price {price.text} is not about {stated.text}")
        elif differs:
            found.append(f"14(d): the unit price is {price.text}, the credit's {stated.text}")


def check_draft(terms: Terms, it: Presented, one: Document, found: list[str]) -> None:
    """A draft (6(c), 7, 8)."""
    if name_of(one.to) == name_of(terms.applicant):
        found.append("6(c): the draft is drawn on the applicant")
    elif terms.drawee and name_of(one.to) != name_of(terms.drawee):
        found.append("14(a): the draft is not drawn on the drawee")
    if not one.signed:
        found.append("14(a): the draft is not signed")
    if one.amount is None or differ(one.amount, it.drawing.amount):
        found.append(f"14(d): the draft is not for {it.drawing.amount.text}")


def check_cover(
    terms: Terms,
    it: Presented,
    one: Document,
    invoices: list[Document],
    carried: list[Document],
    found: list[str],
) -> None:
    """Article 28."""
    cover = one.cover
    if cover is None:
        found.append(f"28(a): {called(one)} insures nothing")
        return
    if not one.signed:
        found.append(f"28(a): {called(one)} is not signed")
    if cover.kind == "COVER_NOTE":
        found.append("28(c): a cover note is not accepted")
    shipped = shipped_on(carried)
    begins = cover.effective or one.date
    if shipped and (begins is None or begins > shipped):
        found.append("28(e): the cover does not begin with the shipment")
    if cover.insured.currency != terms.amount.currency:
        found.append(f"28(f)(i): not insured in {terms.amount.currency}")
        return
    value = it.drawing.amount.minor
    for invoice in invoices:
        if invoice.amount is not None:
            value = max(value, invoice.amount.minor)
    if cover.insured.minor * 100 < value * terms.insured_percent:
        found.append(
            f"28(f)(ii): insured for {cover.insured.text}, less than {terms.insured_percent} %"
        )


def check_carriage(terms: Terms, it: Presented, one: Document, found: list[str]) -> None:
    """Articles 19 to 27, of one transport document."""
    number, carriage = article(one), one.carriage
    if carriage is None:
        found.append(f"{number}: {called(one)} says nothing of the carriage")
        return
    if not one.signed:
        found.append(f"{number}(a)(i): {called(one)} is not signed")
    if not carriage.carrier and one.type != CHARTER_PARTY_BILL:
        found.append(f"{number}(a)(i): {called(one)} does not name the carrier")
    if carriage.shipped is None:
        found.append(f"{number}(a): {called(one)} has no date of shipment")
    elif terms.latest_shipment is not None and carriage.shipped > terms.latest_shipment:
        found.append(
            f"{number}(a): shipped on {date_text(carriage.shipped)}, after the latest date"
            f" {date_text(terms.latest_shipment)}, which no closure extends (29(c))"
        )
    for what, stated, told in (
        ("received at", terms.receipt, carriage.receipt),
        ("loaded at", terms.loading, carriage.loading),
        ("to be discharged at", terms.discharge, carriage.discharge),
        ("destined for", terms.destination, carriage.destination),
    ):
        if stated and not same(stated, told):
            found.append(f"{number}(a): {what} {told or 'nowhere'}, not {stated}")
    if not carriage.full_set and one.type not in (LAND, COURIER):
        found.append(f"{number}(a): not the full set of originals of {called(one)}")
    if carriage.charter_party and one.type in (MULTIMODAL, BILL_OF_LADING, SEA_WAYBILL):
        found.append(f"{number}(a)(vi): {called(one)} is subject to a charter party")
    is_barred = terms.transhipment == NOT_ALLOWED and not carriage.in_containers
    if carriage.transhipped and is_barred and one.type in BY_SEA:
        found.append(f"{number}(c): transhipment is not allowed")
    if carriage.on_deck:
        found.append("26(a): the goods are loaded on deck")
    if carriage.clauses:
        found.append(f"27: {called(one)} is not clean: {carriage.clauses[0]}")
    if carriage.bill:
        held = [bill.digest for bill in it.bills if bill.number == carriage.bill]
        if not held:
            found.append(f"{number}(a): bill {carriage.bill} is not held by the bank")
        elif held[0] != one.digest:
            found.append(f"14(d): {called(one)} is not the document of bill {carriage.bill}")


def check_data(demanded: list[Document], found: list[str]) -> None:
    """Data of the documents must not conflict (14(d))."""
    weighed: Document | None = None
    measured: Document | None = None
    invoiced: list[Quantity] = []
    for one in demanded:
        weight, quantity = one.gross_weight_g, one.quantity
        if weight is not None:
            if weighed is not None and weighed.gross_weight_g != weight:
                found.append(f"14(d): {called(weighed)} and {called(one)} have other weights")
            weighed = weighed or one
        if quantity is not None and one.type == INVOICE:
            invoiced.append(quantity)
        elif quantity is not None:
            if measured is not None and other_amount(measured.quantity, [quantity]):
                found.append(f"14(d): {called(measured)} and {called(one)} have other quantities")
            measured = measured or one
    if measured is not None and invoiced and other_amount(measured.quantity, invoiced):
        found.append(f"14(d): the invoice and {called(measured)} have other quantities")


def other_amount(one: Quantity | None, several: list[Quantity]) -> bool:
    """Whether quantities of the same unit come to another amount."""
    if one is None or several[0].unit != one.unit:
        return False
    return sum([other.amount for other in several]) != one.amount


def check_times(terms: Terms, it: Presented, carried: list[Document], found: list[str]) -> None:
    """Presentation within the period (14(c)) and not after the expiry (6(d), 6(e), 29)."""
    if it.day > it.last_day:
        found.append(
            f"6(e): presented on {date_text(it.day)}, the credit expired on"
            f" {date_text(terms.expiry)}"
        )
    if it.presented_by and it.day > it.presented_by:
        days = number_of(it.day) - number_of(shipped_on([one for one in carried if one.originals]))
        found.append(
            f"14(c): presented {days} days after shipment, not within {terms.presentation_days}"
        )


def shipped_on(carried: list[Document]) -> int:
    """The date of shipment: of several documents the latest (31(b)); 0 if none tells."""
    latest = 0
    for one in carried:
        if one.carriage is not None:
            latest = max(latest, one.carriage.shipped or 0)
    return latest


def check_amounts(terms: Terms, it: Presented, invoices: list[Document], found: list[str]) -> None:
    """Amounts and tolerances (18(b), 30)."""
    drawn, money = it.drawing.amount, terms.amount
    if drawn.currency != money.currency:
        found.append(f"18(a)(iii): drawn in {drawn.currency}, the credit is in {money.currency}")
        return
    invoiced = sum([one.amount.minor for one in invoices if one.amount is not None])
    if invoices and drawn.minor > invoiced:
        found.append("18(b): more is drawn than is invoiced")
    before = sum([one.amount.minor for one in it.earlier])
    most = ceiling(terms)
    if before + drawn.minor > most:
        total = Money(before + drawn.minor, money.currency)
        limit = Money(most, money.currency)
        found.append(f"30: {total.text} would be drawn, at most {limit.text} is available")
    shipped_part, stated_part = check_quantity(terms, it, found)
    if terms.partial_shipments != NOT_ALLOWED or terms.instalments:
        return
    reduced = False
    for invoice in invoices:
        if terms.unit_price is not None and invoice.unit_price is not None:
            reduced = reduced or invoice.unit_price.minor < terms.unit_price.minor
    part = 100
    if terms.minus is not None:
        part = 100 - terms.minus
    elif "AMOUNT" in (terms.about or []):
        part = 90
    elif not reduced and shipped_part >= stated_part:
        part = 95
    least = money.minor * part
    if part == 100 and not reduced:
        least = min(least, money.minor * 100 * shipped_part // stated_part)
    if drawn.minor * 100 < least:
        found.append(f"30(c): {drawn.text} is too little where partial shipments are not allowed")


def check_quantity(terms: Terms, it: Presented, found: list[str]) -> tuple[int, int]:
    """Article 30(a) and (b); what was shipped, and what was to be."""
    stated, told = terms.quantity, it.drawing.quantity
    if stated is None:
        return (1, 1)
    if told is None or told.unit != stated.unit:
        found.append(f"30: the quantity is not told in {stated.unit}")
        return (1, 1)
    percent = 5
    if QUANTITY in (terms.about or []):
        percent = 10
    elif terms.by_number:
        percent = 0
    total = told.amount
    for one in it.earlier:
        if one.quantity is not None and one.quantity.unit == stated.unit:
            total += one.quantity.amount
    whole = terms.partial_shipments == NOT_ALLOWED
    rule = "30(a)" if percent == 10 else "30(b)"
    if total * 100 > stated.amount * (100 + percent):
        found.append(f"{rule}: {total} {stated.unit} is more than {stated.amount} and {percent} %")
    elif whole and total * 100 < stated.amount * (100 - percent):
        found.append(f"{rule}: {total} {stated.unit} is less than {stated.amount} less {percent} %")
    return (total, stated.amount)


def check_parts(terms: Terms, it: Presented, carried: list[Document], found: list[str]) -> None:
    """Partial drawings and shipments (31), instalments (32)."""
    if terms.partial_shipments == NOT_ALLOWED and not terms.instalments:
        if it.earlier:
            found.append("31(a): partial drawings are not allowed")
        first: Carriage | None = None
        for one in carried:
            carriage = one.carriage
            if first is None:
                first = carriage
            elif carriage is not None and not is_one_journey(first, carriage):
                found.append("31(b): shipped by several means, where that is not allowed")
    instalments = terms.instalments or []
    if not instalments:
        return
    number = it.drawing.instalment
    if not 0 < number <= len(instalments):
        found.append(f"32: there is no instalment {number}")
        return
    drawn = it.ahead + [one.instalment for one in it.earlier]
    for missed in range(1, number):
        if missed not in drawn:
            found.append(f"32: instalment {missed} was not drawn: it and later ones are lost")
            break
    instalment = instalments[number - 1]
    shipped = shipped_on(carried)
    if shipped and not instalment.start <= shipped <= instalment.end:
        found.append(f"32: shipped on {date_text(shipped)}, outside instalment {number}")
    elif not shipped and not instalment.start <= it.day <= instalment.end:
        found.append(f"32: presented on {date_text(it.day)}, outside instalment {number}")
    if instalment.amount is not None:
        total = it.drawing.amount.minor
        for before in it.earlier:
            if before.instalment == number:
                total += before.amount.minor
        if total > instalment.amount.minor:
            limit = instalment.amount.text
            found.append(f"32: more than {limit} is drawn for instalment {number}")


def is_one_journey(one: Carriage, other: Carriage) -> bool:
    """The same means of conveyance, journey and destination are no partial shipment, whatever the
    dates and ports of loading (31(b))."""
    if not same(one.vessel, other.vessel) or not same(one.voyage, other.voyage):
        return False
    return same(one.discharge, other.discharge) and same(one.destination, other.destination)


def differ(one: Money, other: Money) -> bool:
    return (one.currency, one.minor) != (other.currency, other.minor)
