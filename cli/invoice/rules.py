"""EN 16931: what must be there, and what must add up. Exact decimals, each finding by its rule.

The rules are told in own words under the names that the standard gives them. National and Peppol
rules are not among them, nor are code lists but for currencies and countries' form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final, NamedTuple

from cli.invoice.reading import Document, Party
from contracts.sdk.codes import MINOR_UNITS

CENT: Final = Decimal("0.01")
FINANCED_KINDS: Final = ("380", "383", "386", "389", "393")
"""Codes of UNTDID 1001 that say that somebody owes: invoice, debit note, prepayment invoice,
self-billed and factored invoice. 381 is a credit note, 384 corrects another."""


class Finding(NamedTuple):
    """What is wrong, by rule and business term."""

    rule: str
    term: str
    message: str


def findings_of(document: Document) -> list[Finding]:
    """Everything that is wrong with an invoice, in the order of the standard."""
    with localcontext() as context:
        context.prec = 60
        return [
            *_malformed(document), *_present(document), *_lines(document),
            *_sums(document), *_taxes(document),
        ]  # fmt: skip


def for_financing(document: Document) -> list[Finding]:
    """What an invoice that is in order can lack to be financed here."""
    found: list[Finding] = []
    gross = document.totals.get("BT-112")
    if document.kind not in FINANCED_KINDS:
        found.append(Finding("HANSA-KIND", "BT-3", f"type {document.kind} is not financed"))
    if gross is not None and gross <= 0:
        found.append(Finding("HANSA-AMOUNT", "BT-112", f"nothing is owed by {gross}"))
    if document.currency in MINOR_UNITS and gross is not None:
        unit = Decimal(1).scaleb(-MINOR_UNITS[document.currency])
        if gross != gross.quantize(unit):
            found.append(Finding("HANSA-UNIT", "BT-112", f"{gross} is finer than {unit}"))
    if len(document.number) > 100:
        found.append(Finding("HANSA-NUMBER", "BT-1", "a number has at most 100 characters"))
    return found


def _malformed(document: Document) -> Iterator[Finding]:
    for one in document.malformed:
        yield Finding("SYNTAX", one.term, f"{one.value!r} is not of its type")
    for term, text in (("BT-2", document.issued_on), ("BT-9", document.due_on)):
        try:
            date.fromisoformat(text or "2000-01-01")
        except ValueError:
            yield Finding("SYNTAX", term, f"{text[:40]!r} is no date")
        else:
            if text and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None:
                yield Finding("SYNTAX", term, f"{text[:40]!r} is no date")


def _present(document: Document) -> Iterator[Finding]:
    for rule, term, value, what in (
        ("BR-01", "BT-24", document.profile, "specification identifier"),
        ("BR-02", "BT-1", document.number, "number"),
        ("BR-03", "BT-2", document.issued_on, "issue date"),
        ("BR-04", "BT-3", document.kind, "type code"),
        ("BR-05", "BT-5", document.currency, "currency"),
        ("BR-06", "BT-27", document.seller.name, "seller's name"),
        ("BR-07", "BT-44", document.buyer.name, "buyer's name"),
    ):
        if not value and not any(one.term == term for one in document.malformed):
            yield Finding(rule, term, f"there is no {what}")
    yield from _address(document.seller, ("BR-08", "BG-5"), ("BR-09", "BT-40"), "seller")
    yield from _address(document.buyer, ("BR-10", "BG-8"), ("BR-11", "BT-55"), "buyer")
    for rule, term in (
        ("BR-12", "BT-106"), ("BR-13", "BT-109"), ("BR-14", "BT-112"), ("BR-15", "BT-115"),
    ):  # fmt: skip
        is_malformed = any(one.term == term for one in document.malformed)
        if document.totals[term] is None and not is_malformed:
            yield Finding(rule, term, "this total is missing")
    if document.currency and document.currency not in MINOR_UNITS:
        yield Finding("BR-CL-04", "BT-5", f"{document.currency[:10]!r} is no currency")
    if not document.lines:
        yield Finding("BR-16", "BG-25", "there is no line")
    due = document.totals["BT-115"]
    if due is not None and due > 0 and not (document.due_on or document.payment_terms):
        yield Finding("BR-CO-25", "BT-9", "neither a day of payment nor terms")


def _address(
    party: Party, address: tuple[str, str], country: tuple[str, str], who: str
) -> Iterator[Finding]:
    if not party.has_address:
        yield Finding(*address, f"there is no {who}'s address")
    elif not party.country:
        yield Finding(*country, f"there is no {who}'s country")


def _lines(document: Document) -> Iterator[Finding]:
    for place, line in enumerate(document.lines, 1):
        which = f"line {place}"
        for rule, term, is_there, what in (
            ("BR-21", "BT-126", bool(line.identifier), "identifier"),
            ("BR-22", "BT-129", line.quantity is not None, "quantity"),
            ("BR-23", "BT-130", bool(line.unit), "unit"),
            ("BR-24", "BT-131", line.net is not None, "net amount"),
            ("BR-25", "BT-153", bool(line.name), "item name"),
            ("BR-26", "BT-146", line.price is not None, "net price"),
            ("BR-CO-04", "BT-151", bool(line.category), "VAT category"),
        ):
            if not is_there:
                yield Finding(rule, term, f"{which} has no {what}")
        if line.price is not None and line.price < 0:
            yield Finding("BR-27", "BT-146", f"{which} has the price {line.price}")
        yield from _two_decimals("BR-DEC-23", "BT-131", line.net, which)


def _two_decimals(rule: str, term: str, amount: Decimal | None, which: str) -> Iterator[Finding]:
    if amount is not None and amount != amount.quantize(CENT):
        yield Finding(rule, term, f"{which} has more than two decimals: {amount}")


def _sum(amounts: list[Decimal | None]) -> Decimal:
    return sum((one for one in amounts if one is not None), Decimal(0))


def _sums(document: Document) -> Iterator[Finding]:
    totals = document.totals
    zero = Decimal(0)
    for rule, term in (
        ("BR-DEC-09", "BT-106"), ("BR-DEC-10", "BT-107"), ("BR-DEC-11", "BT-108"),
        ("BR-DEC-12", "BT-109"), ("BR-DEC-13", "BT-110"), ("BR-DEC-14", "BT-112"),
        ("BR-DEC-16", "BT-113"), ("BR-DEC-17", "BT-114"), ("BR-DEC-18", "BT-115"),
    ):  # fmt: skip
        yield from _two_decimals(rule, term, totals[term], "the total")
    before = (totals["BT-106"] or zero) - (totals["BT-107"] or zero) + (totals["BT-108"] or zero)
    vat = totals["BT-110"] or zero
    gross, paid = totals["BT-112"] or zero, totals["BT-113"] or zero
    for rule, term, due, is_owed in (
        ("BR-CO-10", "BT-106", _sum([line.net for line in document.lines]), True),
        ("BR-CO-11", "BT-107", _sum(document.allowances), bool(document.allowances)),
        ("BR-CO-12", "BT-108", _sum(document.charges), bool(document.charges)),
        ("BR-CO-13", "BT-109", before, True),
        ("BR-CO-14", "BT-110", _sum([tax.amount for tax in document.taxes]), True),
        ("BR-CO-15", "BT-112", (totals["BT-109"] or zero) + vat, True),
        ("BR-CO-16", "BT-115", gross - paid + (totals["BT-114"] or zero), True),
    ):
        amount = totals[term]
        if amount is None and not is_owed:
            continue
        if amount is None and rule in ("BR-CO-11", "BR-CO-12", "BR-CO-14"):
            amount = zero
        if amount is not None and amount != due.quantize(CENT, ROUND_HALF_UP):
            yield Finding(rule, term, f"{amount} stands there, {due} comes out")


def _taxes(document: Document) -> Iterator[Finding]:
    if not document.taxes:
        yield Finding("BR-CO-18", "BG-23", "there is no VAT breakdown")
    for place, tax in enumerate(document.taxes, 1):
        which = f"part {place} of the VAT breakdown"
        for rule, term, is_there in (
            ("BR-45", "BT-116", tax.base is not None),
            ("BR-46", "BT-117", tax.amount is not None),
            ("BR-47", "BT-118", bool(tax.category)),
            ("BR-48", "BT-119", tax.rate is not None or tax.category == "O"),
        ):
            if not is_there:
                yield Finding(rule, term, f"{which} lacks it")
        yield from _two_decimals("BR-DEC-19", "BT-116", tax.base, which)
        yield from _two_decimals("BR-DEC-20", "BT-117", tax.amount, which)
        if tax.base is None or tax.amount is None or tax.rate is None:
            continue
        due = (tax.base * tax.rate / 100).quantize(CENT, ROUND_HALF_UP)
        if abs(tax.amount - due) >= 1:  # the standard's own checks leave a unit for rounding
            message = f"{tax.rate} % of {tax.base} is {due}, not {tax.amount}"
            yield Finding("BR-CO-17", "BT-117", message)
