"""Invoices in UBL and CII: EN 16931's rules, and fingerprints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cli.invoice import fingerprints as slow
from cli.invoice.command import arguments
from cli.invoice.fingerprints import fingerprints, normalised
from cli.invoice.reading import FILE_BYTES_MAX, read_invoice
from cli.invoice.rules import findings_of, for_financing
from consensus.primitives.errors import InputError
from tests.cli.support import Hansa

SELLER, BUYER = "9521321000010", "9521321000027"

LINE = """<cac:InvoiceLine><cbc:ID>{n}</cbc:ID>
<cbc:InvoicedQuantity unitCode="C62">3</cbc:InvoicedQuantity>
<cbc:LineExtensionAmount currencyID="EUR">{net}</cbc:LineExtensionAmount>
<cac:Item><cbc:Name>coffee</cbc:Name><cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID>
</cac:ClassifiedTaxCategory></cac:Item>
<cac:Price><cbc:PriceAmount currencyID="EUR">0.1</cbc:PriceAmount></cac:Price>
</cac:InvoiceLine>"""
PARTY = """<cac:Accounting{role}Party><cac:Party><cac:PostalAddress><cac:Country>
<cbc:IdentificationCode>ET</cbc:IdentificationCode></cac:Country></cac:PostalAddress>
<cac:PartyLegalEntity><cbc:RegistrationName>{role} Ltd</cbc:RegistrationName>
</cac:PartyLegalEntity></cac:Party></cac:Accounting{role}Party>"""
SPACE = "urn:oasis:names:specification:ubl:schema:xsd:"
UBL = f"""<Invoice xmlns="{SPACE}Invoice-2" xmlns:cac="{SPACE}CommonAggregateComponents-2"
 xmlns:cbc="{SPACE}CommonBasicComponents-2">
<cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID><cbc:ID>INV-001</cbc:ID>
<cbc:IssueDate>2026-01-02</cbc:IssueDate><cbc:DueDate>2026-02-01</cbc:DueDate>
<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>
<cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
{PARTY.format(role="Supplier")}{PARTY.format(role="Customer")}
<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">0.12</cbc:TaxAmount><cac:TaxSubtotal>
<cbc:TaxableAmount currencyID="EUR">0.60</cbc:TaxableAmount>
<cbc:TaxAmount currencyID="EUR">0.12</cbc:TaxAmount>
<cac:TaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>20</cbc:Percent></cac:TaxCategory>
</cac:TaxSubtotal></cac:TaxTotal>
<cac:LegalMonetaryTotal><cbc:LineExtensionAmount>0.60</cbc:LineExtensionAmount>
<cbc:TaxExclusiveAmount>0.60</cbc:TaxExclusiveAmount>
<cbc:TaxInclusiveAmount>0.72</cbc:TaxInclusiveAmount>
<cbc:PayableAmount>0.72</cbc:PayableAmount></cac:LegalMonetaryTotal>
{LINE.format(n=1, net="0.10")}{LINE.format(n=2, net="0.20")}{LINE.format(n=3, net="0.30")}
</Invoice>"""


def rules(text: str) -> list[str]:
    return [one.rule for one in findings_of(read_invoice(text.encode()))]


def test_an_invoice_in_order_has_no_finding() -> None:
    """0.1 + 0.2 + 0.3 is 0.60 here, which it is not of floats."""
    document = read_invoice(UBL.encode())
    assert findings_of(document) == [] == for_financing(document)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<cbc:ID>INV-001</cbc:ID>", "", ["BR-02"]),
        ("<cbc:IssueDate>2026-01-02</cbc:IssueDate>", "", ["BR-03"]),
        ("2026-01-02", "2026-02-30", ["SYNTAX"]),
        ("2026-01-02", "20260102", ["SYNTAX"]),
        ("<cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode>", "", ["BR-04"]),
        ("urn:cen.eu:en16931:2017", "", ["BR-01"]),
        ("Supplier Ltd", "", ["BR-06"]),
        ("Customer Ltd", "", ["BR-07"]),
        (">ET<", "><", ["BR-09", "BR-11"]),
        (">EUR</cbc:Doc", ">XQQ</cbc:Doc", ["BR-CL-04", "BR-CO-15", "BR-CO-18"]),
        ("<cbc:DueDate>2026-02-01</cbc:DueDate>", "", ["BR-CO-25"]),
        ("<cbc:PayableAmount>0.72</cbc:PayableAmount>", "", ["BR-15"]),
        ("0.72</cbc:Pay", "1e1</cbc:Pay", ["SYNTAX"]),
        ("0.72</cbc:Pay", "0.71</cbc:Pay", ["BR-CO-16"]),
        ('"C62">3<', '"C62"><', ["BR-22"] * 3),
        ('unitCode="C62"', "", ["BR-23"] * 3),
        ("<cbc:Name>coffee</cbc:Name>", "", ["BR-25"] * 3),
        (">0.1</cbc:PriceAmount>", ">-0.1</cbc:PriceAmount>", ["BR-27"] * 3),
        (">0.1</cbc:PriceAmount>", "></cbc:PriceAmount>", ["BR-26"] * 3),
        ("<cbc:ID>S</cbc:ID><cbc:Percent>20</cbc:Percent>", "", ["BR-47", "BR-48"]),
        ("<cbc:Percent>20<", "<cbc:Percent>900<", ["BR-CO-17"]),
        ('>0.12</cbc:TaxAmount><cac', '>0.13</cbc:TaxAmount><cac', ["BR-CO-14", "BR-CO-15"]),
    ],
)  # fmt: skip
def test_rule_50_each_broken_rule_is_named(old: str, new: str, expected: list[str]) -> None:
    assert old in UBL
    assert sorted(rules(UBL.replace(old, new))) == sorted(expected)


def test_rule_50_the_lines_sum_is_bt_106() -> None:
    assert rules(UBL.replace(">0.10</cbc:Line", ">0.11</cbc:Line")) == ["BR-CO-10"]
    # 0.1 + 0.005: more than two decimals, and no rounding that hides them.
    found = rules(UBL.replace(">0.10</cbc:Line", ">0.105</cbc:Line"))
    assert found == ["BR-DEC-23", "BR-CO-10"]


def test_rule_50_bt_112_is_bt_109_and_bt_110() -> None:
    found = rules(UBL.replace("0.72</cbc:TaxInc", "0.73</cbc:TaxInc"))
    assert found == ["BR-CO-15", "BR-CO-16"]


def test_allowances_and_charges_are_counted() -> None:
    charge = "<cac:AllowanceCharge><cbc:ChargeIndicator>{is_charge}</cbc:ChargeIndicator>"
    charge += "<cbc:Amount>0.05</cbc:Amount></cac:AllowanceCharge>"
    for is_charge, rule in (("false", "BR-CO-11"), ("true", "BR-CO-12")):
        one = charge.format(is_charge=is_charge)
        assert rules(UBL.replace("<cac:TaxTotal>", one + "<cac:TaxTotal>")) == [rule]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "INVOICE_INVALID_XML"),
        (b"\xff\xfe", "INVOICE_INVALID_XML"),
        (b"<a>", "INVOICE_INVALID_XML"),
        (b"<Invoice/>", "INVOICE_NOT_A_DOCUMENT"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
         "INVOICE_XML_WITH_DTD"),
        (b" " * (FILE_BYTES_MAX + 1), "INVOICE_TOO_BIG"),
    ],
)  # fmt: skip
def test_what_is_no_invoice_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(InputError, match=code):
        read_invoice(raw)


@pytest.mark.parametrize(
    "number",
    ["INV-001", "inv 1", "Inv/0001", "\uff29\uff2e\uff36\uff11", " INV.01 ", "inv_\u0660\u0661"],
)
def test_numbers_written_in_many_ways_are_one(number: str) -> None:
    assert normalised(number) == "INV1"


def test_other_numbers_stay_others() -> None:
    told = [normalised(one) for one in ("1/11", "11/1", "111", "INV10", "INV1", "V1", "")]
    assert len(set(told)) == len(told)
    assert normalised("9" * 100) == "9" * 100


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "_N", 2)


def marks(number: str = "INV-001", minor: int = 72, key: int = 7) -> dict[str, bytes]:
    told: dict[str, Any] = {
        "number": number,
        "issued_on": 20260102,
        "minor": minor,
        "currency": "EUR",
    }
    return fingerprints(bytes([key]) * 32, bytes(32), SELLER, BUYER, **told)


def test_rule_49_fingerprints_find_what_is_one_and_what_is_alike(quick: None) -> None:
    one = marks()
    assert marks("inv 1") == one
    cent, renamed = marks(minor=73), marks("INV-002")
    assert [kind for kind in one if cent[kind] == one[kind]] == ["numbered"]
    assert [kind for kind in one if renamed[kind] == one[kind]] == ["unnumbered"]
    assert not set(marks(key=8).values()) & set(one.values())
    assert len(set(one.values())) == 3


def test_a_fingerprint_is_the_same_for_all_and_for_ever() -> None:
    """A golden value, at the full price of 64 MiB."""
    assert (
        marks()["exact"].hex() == "a8ededa0ab2bdf1ab0d81e4cb33f809a99dd5b64b69738729f4b1b98487c8072"
    )


def test_arguments_of_a_call_are_made_of_the_file(quick: None) -> None:
    raw = UBL.encode()
    made = arguments(raw, read_invoice(raw), bytes([7]) * 32, bytes(32), SELLER, BUYER)
    assert made["data"]["gross"] == {"minor": 72, "currency": "EUR"}
    assert made["fingerprints"]["exact"] == marks()["exact"].hex()
    broken = raw.replace(b"0.72</cbc:Pay", b"0.71</cbc:Pay")
    with pytest.raises(InputError, match="INVOICE_NOT_IN_ORDER"):
        arguments(broken, read_invoice(broken), bytes(32), bytes(32), SELLER, BUYER)
    named = raw.replace(
        b"<cac:PostalAddress>",
        b'<cbc:EndpointID schemeID="0088">9521321000034</cbc:EndpointID><cac:PostalAddress>', 1,
    )  # fmt: skip
    with pytest.raises(InputError, match="PARTY_DIFFERS"):
        arguments(named, read_invoice(named), bytes(32), bytes(32), SELLER, BUYER)


def test_a_credit_note_is_read_and_not_financed() -> None:
    text = UBL.replace("InvoiceLine", "CreditNoteLine").replace("InvoicedQ", "CreditedQ")
    text = text.replace("InvoiceTypeCode>380", "CreditNoteTypeCode>381")
    text = text.replace("</cbc:InvoiceTypeCode", "</cbc:CreditNoteTypeCode")
    text = text.replace("Invoice-2", "CreditNote-2")
    text = re.sub("(</?)Invoice([ >])", r"\1CreditNote\2", text)
    document = read_invoice(text.encode())
    assert findings_of(document) == []
    assert [one.rule for one in for_financing(document)] == ["HANSA-KIND"]


def test_the_command_counts_and_says_each_reason(hansa: Hansa, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text(UBL)
    bad.write_text(UBL.replace("0.72</cbc:Pay", "0.71</cbc:Pay"))
    assert hansa("invoice", "check", good).code == 0
    outcome = hansa("invoice", "check", good, bad, "--json")
    assert outcome.code == 1
    told = outcome.json
    assert (told["documents"], told["refused"]) == (2, 1)
    assert told["counts"] == {"BR-CO-16": 1, "OK": 1}


def test_the_command_makes_fingerprints(hansa: Hansa, tmp_path: Path, quick: None) -> None:
    file, key = tmp_path / "good.xml", tmp_path / "key"
    file.write_text(UBL)
    key.write_text("07" * 32)
    args = ["--fingerprint-key", key, "--chain", "00" * 32, "--seller", SELLER, "--buyer", BUYER]
    told = hansa.json("invoice", "fingerprint", file, *args)
    assert told["fingerprints"] == {kind: mark.hex() for kind, mark in marks().items()}
    assert told["data"]["number"] == "INV-001"
    key.write_text("07")
    assert hansa("invoice", "fingerprint", file, *args).code != 0
