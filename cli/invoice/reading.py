"""UBL 2.1 and UN/CEFACT CII invoices: from bytes to the terms of EN 16931.

A document with a document type is refused before it is parsed, so no entity is ever declared; the
parser has entities, DTDs and the network off. Amounts are decimals from the first byte on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from lxml import etree

from consensus.primitives.errors import InputError

FILE_BYTES_MAX: Final = 2 * 1024 * 1024
LINES_MAX: Final = 10_000

_DOCTYPE: Final = re.compile(r"<!(DOCTYPE|ENTITY)")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,12})?", re.ASCII)
_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_CII: Final = "urn:un:unece:uncefact:data:standard:"
_NAMES: Final = {
    "cac": _UBL + "CommonAggregateComponents-2",
    "cbc": _UBL + "CommonBasicComponents-2",
    "ram": _CII + "ReusableAggregateBusinessInformationEntity:100",
    "rsm": _CII + "CrossIndustryInvoice:100",
    "udt": _CII + "UnqualifiedDataType:100",
}


class Malformed(NamedTuple):
    """A value that is no value of its kind."""

    term: str  # BT-112
    value: str


@dataclass(slots=True)
class Party:
    """Seller (BG-4) or buyer (BG-7)."""

    name: str = ""
    country: str = ""
    has_address: bool = False
    gln: str = ""  # of scheme 0088, where one is given


@dataclass(slots=True)
class Line:
    """A line (BG-25)."""

    identifier: str
    name: str
    category: str
    net: Decimal | None
    price: Decimal | None
    quantity: Decimal | None
    unit: str


@dataclass(slots=True)
class Tax:
    """A line of the VAT breakdown (BG-23)."""

    base: Decimal | None
    amount: Decimal | None
    category: str
    rate: Decimal | None


@dataclass(slots=True)
class Document:
    """An invoice by EN 16931's business terms; what is absent is empty or None."""

    syntax: str
    number: str = ""  # BT-1
    issued_on: str = ""  # BT-2, YYYY-MM-DD
    kind: str = ""  # BT-3
    currency: str = ""  # BT-5
    due_on: str = ""  # BT-9
    payment_terms: str = ""  # BT-20
    profile: str = ""  # BT-24
    seller: Party = field(default_factory=Party)
    buyer: Party = field(default_factory=Party)
    totals: dict[str, Decimal | None] = field(default_factory=dict)  # BT-106 to BT-115
    allowances: list[Decimal | None] = field(default_factory=list)  # BT-92
    charges: list[Decimal | None] = field(default_factory=list)  # BT-99
    lines: list[Line] = field(default_factory=list)
    taxes: list[Tax] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)


def read_invoice(raw: bytes) -> Document:
    """The invoice or credit note in a file.

    Raises InputError INVOICE_TOO_BIG, INVOICE_INVALID_XML, INVOICE_XML_WITH_DTD,
    INVOICE_NOT_A_DOCUMENT.
    """
    root = _parsed(raw)
    tag = root.tag
    if tag in (f"{{{_UBL}Invoice-2}}Invoice", f"{{{_UBL}CreditNote-2}}CreditNote"):
        document = _Reader(root, "UBL").ubl()
    elif tag == f"{{{_NAMES['rsm']}}}CrossIndustryInvoice":
        document = _Reader(root, "CII").cii()
    else:
        raise InputError("INVOICE_NOT_A_DOCUMENT", "neither a UBL nor a CII invoice")
    if len(document.lines) > LINES_MAX:
        raise InputError("INVOICE_TOO_BIG", f"at most {LINES_MAX} lines")
    return document


def _parsed(raw: bytes) -> Any:
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("INVOICE_TOO_BIG", f"at most {FILE_BYTES_MAX} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except ValueError:
        raise InputError("INVOICE_INVALID_XML", "XML is read in UTF-8 alone") from None
    if _DOCTYPE.search(text):
        raise InputError("INVOICE_XML_WITH_DTD", "document types and entities are not taken")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise InputError("INVOICE_INVALID_XML", str(error)[:200]) from None


class _Reader:
    def __init__(self, root: Any, syntax: str) -> None:
        self.root = root
        self.document = Document(syntax)

    def text(self, path: str, of: Any = None) -> str:
        found = (self.root if of is None else of).find(path, _NAMES)
        return "" if found is None or found.text is None else found.text.strip()

    def decimal(self, path: str, term: str, of: Any = None) -> Decimal | None:
        return self.number(self.text(path, of), term)

    def number(self, text: str, term: str) -> Decimal | None:
        if text and _DECIMAL.fullmatch(text) is None:
            self.document.malformed.append(Malformed(term, text[:40]))
            return None
        return Decimal(text) if text else None

    def all(self, path: str, of: Any = None) -> list[Any]:
        found: list[Any] = (self.root if of is None else of).findall(path, _NAMES)
        return found

    def ubl(self) -> Document:
        """UBL 2.1 Invoice and CreditNote, by CEN/TS 16931-3-2."""
        document = self.document
        is_note = self.root.tag.endswith("}CreditNote")
        document.profile = self.text("cbc:CustomizationID")
        document.number = self.text("cbc:ID")
        document.issued_on = self.text("cbc:IssueDate")
        document.kind = self.text("cbc:CreditNoteTypeCode" if is_note else "cbc:InvoiceTypeCode")
        document.currency = self.text("cbc:DocumentCurrencyCode")
        document.due_on = self.text("cbc:DueDate") or self.text(
            "cac:PaymentMeans/cbc:PaymentDueDate"
        )
        document.payment_terms = self.text("cac:PaymentTerms/cbc:Note")
        document.seller = self.ubl_party("cac:AccountingSupplierParty/cac:Party")
        document.buyer = self.ubl_party("cac:AccountingCustomerParty/cac:Party")
        total = "cac:LegalMonetaryTotal/cbc:"
        for term, name in (
            ("BT-106", "LineExtensionAmount"), ("BT-107", "AllowanceTotalAmount"),
            ("BT-108", "ChargeTotalAmount"), ("BT-109", "TaxExclusiveAmount"),
            ("BT-112", "TaxInclusiveAmount"), ("BT-113", "PrepaidAmount"),
            ("BT-114", "PayableRoundingAmount"), ("BT-115", "PayableAmount"),
        ):  # fmt: skip
            document.totals[term] = self.decimal(total + name, term)
        document.totals["BT-110"] = None
        for tax in self.all("cac:TaxTotal"):
            amount = tax.find("cbc:TaxAmount", _NAMES)
            if amount is None or amount.get("currencyID", "") != document.currency:
                continue
            document.totals["BT-110"] = self.decimal("cbc:TaxAmount", "BT-110", tax)
            for part in self.all("cac:TaxSubtotal", tax):
                document.taxes.append(
                    Tax(
                        self.decimal("cbc:TaxableAmount", "BT-116", part),
                        self.decimal("cbc:TaxAmount", "BT-117", part),
                        self.text("cac:TaxCategory/cbc:ID", part),
                        self.decimal("cac:TaxCategory/cbc:Percent", "BT-119", part),
                    )
                )
        for one in self.all("cac:AllowanceCharge"):
            is_charge = self.text("cbc:ChargeIndicator", one) in ("true", "1")
            into = document.charges if is_charge else document.allowances
            into.append(self.decimal("cbc:Amount", "BT-99" if is_charge else "BT-92", one))
        quantity = "cbc:CreditedQuantity" if is_note else "cbc:InvoicedQuantity"
        for line in self.all("cac:CreditNoteLine" if is_note else "cac:InvoiceLine"):
            counted = line.find(quantity, _NAMES)
            document.lines.append(
                Line(
                    self.text("cbc:ID", line),
                    self.text("cac:Item/cbc:Name", line),
                    self.text("cac:Item/cac:ClassifiedTaxCategory/cbc:ID", line),
                    self.decimal("cbc:LineExtensionAmount", "BT-131", line),
                    self.decimal("cac:Price/cbc:PriceAmount", "BT-146", line),
                    self.decimal(quantity, "BT-129", line),
                    "" if counted is None else counted.get("unitCode", ""),
                )
            )
        return document

    def ubl_party(self, path: str) -> Party:
        party = self.root.find(path, _NAMES)
        if party is None:
            return Party()
        address = party.find("cac:PostalAddress", _NAMES)
        gln = ""
        for where in ("cbc:EndpointID", "cac:PartyIdentification/cbc:ID"):
            for one in self.all(where, party):
                if one.get("schemeID") == "0088" and not gln:
                    gln = (one.text or "").strip()
        return Party(
            self.text("cac:PartyLegalEntity/cbc:RegistrationName", party),
            self.text("cac:PostalAddress/cac:Country/cbc:IdentificationCode", party),
            address is not None,
            gln,
        )

    def cii(self) -> Document:
        """UN/CEFACT Cross Industry Invoice D16B, by CEN/TS 16931-3-3."""
        document = self.document
        head = "rsm:ExchangedDocument/"
        trade = "rsm:SupplyChainTradeTransaction/"
        settled = trade + "ram:ApplicableHeaderTradeSettlement/"
        agreed = trade + "ram:ApplicableHeaderTradeAgreement/"
        document.profile = self.text(
            "rsm:ExchangedDocumentContext/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID"
        )
        document.number = self.text(head + "ram:ID")
        document.issued_on = self.day(head + "ram:IssueDateTime/udt:DateTimeString", "BT-2")
        document.kind = self.text(head + "ram:TypeCode")
        document.currency = self.text(settled + "ram:InvoiceCurrencyCode")
        terms = settled + "ram:SpecifiedTradePaymentTerms/"
        document.due_on = self.day(terms + "ram:DueDateDateTime/udt:DateTimeString", "BT-9")
        document.payment_terms = self.text(terms + "ram:Description")
        document.seller = self.cii_party(agreed + "ram:SellerTradeParty")
        document.buyer = self.cii_party(agreed + "ram:BuyerTradeParty")
        total = settled + "ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
        for term, name in (
            ("BT-106", "LineTotalAmount"), ("BT-107", "AllowanceTotalAmount"),
            ("BT-108", "ChargeTotalAmount"), ("BT-109", "TaxBasisTotalAmount"),
            ("BT-112", "GrandTotalAmount"), ("BT-113", "TotalPrepaidAmount"),
            ("BT-114", "RoundingAmount"), ("BT-115", "DuePayableAmount"),
        ):  # fmt: skip
            document.totals[term] = self.decimal(total + name, term)
        document.totals["BT-110"] = None
        for amount in self.all(total + "TaxTotalAmount"):
            if amount.get("currencyID", document.currency) == document.currency:
                text = (amount.text or "").strip()
                document.totals["BT-110"] = self.number(text, "BT-110")
        for part in self.all(settled + "ram:ApplicableTradeTax"):
            document.taxes.append(
                Tax(
                    self.decimal("ram:BasisAmount", "BT-116", part),
                    self.decimal("ram:CalculatedAmount", "BT-117", part),
                    self.text("ram:CategoryCode", part),
                    self.decimal("ram:RateApplicablePercent", "BT-119", part),
                )
            )
        for one in self.all(settled + "ram:SpecifiedTradeAllowanceCharge"):
            is_charge = self.text("ram:ChargeIndicator/udt:Indicator", one) in ("true", "1")
            into = document.charges if is_charge else document.allowances
            into.append(self.decimal("ram:ActualAmount", "BT-99" if is_charge else "BT-92", one))
        for line in self.all(trade + "ram:IncludedSupplyChainTradeLineItem"):
            quantity = "ram:SpecifiedLineTradeDelivery/ram:BilledQuantity"
            counted = line.find(quantity, _NAMES)
            asked = "ram:SpecifiedLineTradeSettlement/"
            document.lines.append(
                Line(
                    self.text("ram:AssociatedDocumentLineDocument/ram:LineID", line),
                    self.text("ram:SpecifiedTradeProduct/ram:Name", line),
                    self.text(asked + "ram:ApplicableTradeTax/ram:CategoryCode", line),
                    self.decimal(
                        asked
                        + "ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount",
                        "BT-131",
                        line,
                    ),
                    self.decimal(
                        "ram:SpecifiedLineTradeAgreement/ram:NetPriceProductTradePrice"
                        "/ram:ChargeAmount",
                        "BT-146",
                        line,
                    ),
                    self.decimal(quantity, "BT-129", line),
                    "" if counted is None else counted.get("unitCode", ""),
                )
            )
        return document

    def day(self, path: str, term: str) -> str:
        """A date of format 102, YYYYMMDD, as YYYY-MM-DD."""
        found = self.root.find(path, _NAMES)
        if found is None:
            return ""
        text = (found.text or "").strip()
        if found.get("format") != "102" or re.fullmatch("[0-9]{8}", text) is None:
            self.document.malformed.append(Malformed(term, text[:40]))
            return ""
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"

    def cii_party(self, path: str) -> Party:
        party = self.root.find(path, _NAMES)
        if party is None:
            return Party()
        gln = ""
        for where in ("ram:GlobalID", "ram:URIUniversalCommunication/ram:URIID"):
            for one in self.all(where, party):
                if one.get("schemeID") == "0088" and not gln:
                    gln = (one.text or "").strip()
        address = party.find("ram:PostalTradeAddress", _NAMES)
        return Party(
            self.text("ram:Name", party),
            self.text("ram:PostalTradeAddress/ram:CountryID", party),
            address is not None,
            gln,
        )
