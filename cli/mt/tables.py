"""The fields of seven messages of category 7, in their order: SWIFT's release SRU 2025.

A row names the options of one field: ``41a`` with A and D stands for 41A or 41D. Formats go by the
option alone, and are the same in every message. docs/spec/mt.md shows these tables for people, and
tells where they were read.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from cli.mt.formats import PARTY

_BIC: Final = "4!a2!a2!c[3!c]"
_NARRATIVE: Final = "100*65z"
_BY_BIC: Final = PARTY + _BIC
_BY_PLACE: Final = PARTY + "[35x]"
_BY_NAME: Final = PARTY + "4*35x"
_MONEY: Final = "3!a15d"
_DATED_MONEY: Final = "6!n3!a15d"

FORMATS: Final[dict[str, str]] = {
    "20": "16x",
    "21": "16x",
    "22A": "4!c",
    "23": "16x",
    "23S": "6!a",
    "26E": "3n",
    "27": "1!n/1!n",
    "30": "6!n",
    "31C": "6!n",
    "31D": "6!n29x",
    "32A": _DATED_MONEY,
    "32B": _MONEY,
    "33A": _DATED_MONEY,
    "33B": _MONEY,
    "34B": _MONEY,
    "39A": "2n/2n",
    "39C": "4*35x",
    "40A": "24x",
    "40B": "24x$24x",
    "40E": "30x[/35x]",
    "41A": _BIC + "$14x",
    "41D": "4*35x$14x",
    "42A": _BY_BIC,
    "42C": "3*35x",
    "42D": _BY_NAME,
    "42M": "4*35x",
    "42P": "4*35x",
    "43P": "11x",
    "43T": "11x",
    "44A": "140z",
    "44B": "140z",
    "44C": "6!n",
    "44D": "6*65x",
    "44E": "140z",
    "44F": "140z",
    "45A": _NARRATIVE,
    "45B": _NARRATIVE,
    "46A": _NARRATIVE,
    "46B": _NARRATIVE,
    "47A": _NARRATIVE,
    "47B": _NARRATIVE,
    "48": "3n[/35x]",
    "49": "7!x",
    "49G": _NARRATIVE,
    "49H": _NARRATIVE,
    "49M": _NARRATIVE,
    "49N": _NARRATIVE,
    "50": "4*35x",
    "50B": "4*35x",
    "51A": _BY_BIC,
    "51D": _BY_NAME,
    "52A": _BY_BIC,
    "52D": _BY_NAME,
    "53A": _BY_BIC,
    "53B": _BY_PLACE,
    "53D": _BY_NAME,
    "54A": _BY_BIC,
    "54B": _BY_PLACE,
    "54D": _BY_NAME,
    "57A": _BY_BIC,
    "57B": _BY_PLACE,
    "57D": _BY_NAME,
    "58A": _BY_BIC,
    "58D": _BY_NAME,
    "59": "[/34x]$4*35x",
    "71D": "6*35z",
    "71N": "4!c[$6*35z]",
    "72Z": "6*35z",
    "73A": "6*35z",
    "77B": "3*35x",
    "77J": "70*50z",
    "78": "12*65x",
    "79Z": "35*50z",
}
"""The format of each field by its tag."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One place in a message: which field stands there, and whether it must."""

    field: str  # "20", "31D", or "41a" for any of its options
    name: str
    is_mandatory: bool
    tags: tuple[str, ...]


def _row(field: str, name: str, options: str = "", *, must: bool = False) -> Row:
    tags = tuple(field[:-1] + option for option in options) if options else (field,)
    return Row(field, name, must, tags)


_SEQUENCE: Final = _row("27", "Sequence of Total", must=True)
_FORM_ADVISED: Final = _row("40B", "Form of Documentary Credit", must=True)
_ISSUED: Final = _row("31C", "Date of Issue", must=True)
_NON_BANK: Final = _row("50B", "Non-Bank Issuer")
_ISSUER: Final = _row("52a", "Issuing Bank", "AD")
_APPLICANT_BANK: Final = _row("51a", "Applicant Bank", "AD")
_CREDIT_NUMBER: Final = _row("21", "Documentary Credit Number", must=True)
_TO_RECEIVER: Final = _row("72Z", "Sender to Receiver Information")
_DEDUCTED: Final = _row("71D", "Charges to be Deducted")


def _start(must: bool) -> tuple[Row, ...]:
    return (
        _row("40E", "Applicable Rules", must=must),
        _row("31D", "Date and Place of Expiry", must=must),
    )


_TOLERANCES: Final = (
    _row("39A", "Percentage Credit Amount Tolerance"),
    _row("39C", "Additional Amounts Covered"),
)


def _shipment(must: bool) -> tuple[Row, ...]:
    """Availability, drafts and shipment: 41a to 44D."""
    return (
        _row("41a", "Available With ... By ...", "AD", must=must),
        _row("42C", "Drafts at ..."),
        _row("42a", "Drawee", "AD"),
        _row("42M", "Mixed Payment Details"),
        _row("42P", "Negotiation/Deferred Payment Details"),
        _row("43P", "Partial Shipments"),
        _row("43T", "Transhipment"),
        _row("44A", "Place of Taking in Charge/Dispatch from .../Place of Receipt"),
        _row("44E", "Port of Loading/Airport of Departure"),
        _row("44F", "Port of Discharge/Airport of Destination"),
        _row("44B", "Place of Final Destination/For Transportation to .../Place of Delivery"),
        _row("44C", "Latest Date of Shipment"),
        _row("44D", "Shipment Period"),
    )


_DEMANDS: Final = (
    _row("45A", "Description of Goods and/or Services"),
    _row("46A", "Documents Required"),
    _row("47A", "Additional Conditions"),
    _row("49G", "Special Payment Conditions for Beneficiary"),
    _row("49H", "Special Payment Conditions for Bank Only"),
    _row("71D", "Charges"),
    _row("48", "Period for Presentation in Days"),
    _row("49", "Confirmation Instructions", must=True),
    _row("58a", "Requested Confirmation Party", "AD"),
)
_REIMBURSING: Final = _row("53a", "Reimbursing Bank", "AD")
_END: Final = (
    _row("78", "Instructions to the Paying/Accepting/Negotiating Bank"),
    _row("57a", "'Advise Through' Bank", "ABD"),
    _TO_RECEIVER,
)
_APPLICANT: Final = _row("50", "Applicant", must=True)
_BENEFICIARY: Final = _row("59", "Beneficiary", must=True)
_AMOUNT: Final = _row("32B", "Currency Code, Amount", must=True)

MT700: Final = (
    _SEQUENCE,
    _row("40A", "Form of Documentary Credit", must=True),
    _row("20", "Documentary Credit Number", must=True),
    _row("23", "Reference to Pre-Advice"),
    _ISSUED,
    *_start(True),
    _APPLICANT_BANK,
    _APPLICANT,
    _BENEFICIARY,
    _AMOUNT,
    *_TOLERANCES,
    *_shipment(True),
    *_DEMANDS,
    _REIMBURSING,
    *_END,
)
MT707: Final = (
    _SEQUENCE,
    _row("20", "Sender's Reference", must=True),
    _row("21", "Receiver's Reference", must=True),
    _row("23", "Issuing Bank's Reference", must=True),
    _ISSUER,
    _NON_BANK,
    _ISSUED,
    _row("26E", "Number of Amendment", must=True),
    _row("30", "Date of Amendment", must=True),
    _row("22A", "Purpose of Message", must=True),
    _row("23S", "Cancellation Request"),
    _row("40A", "Form of Documentary Credit"),
    *_start(False),
    _row("50", "Changed Applicant Details"),
    _row("59", "Beneficiary"),
    _row("32B", "Increase of Documentary Credit Amount"),
    _row("33B", "Decrease of Documentary Credit Amount"),
    *_TOLERANCES,
    *_shipment(False),
    _row("45B", "Description of Goods and/or Services"),
    _row("46B", "Documents Required"),
    _row("47B", "Additional Conditions"),
    _row("49M", "Special Payment Conditions for Beneficiary"),
    _row("49N", "Special Payment Conditions for Bank Only"),
    _row("71D", "Charges"),
    _row("71N", "Amendment Charge Payable By"),
    _row("48", "Period for Presentation in Days"),
    _row("49", "Confirmation Instructions"),
    _row("58a", "Requested Confirmation Party", "AD"),
    _REIMBURSING,
    *_END,
)
MT710: Final = (
    _SEQUENCE,
    _FORM_ADVISED,
    _row("20", "Sender's Reference", must=True),
    _CREDIT_NUMBER,
    _row("23", "Reference to Pre-Advice"),
    _ISSUED,
    *_start(True),
    _ISSUER,
    _NON_BANK,
    _APPLICANT_BANK,
    _APPLICANT,
    _BENEFICIARY,
    _AMOUNT,
    *_TOLERANCES,
    *_shipment(True),
    *_DEMANDS,
    _REIMBURSING,
    *_END,
)
MT720: Final = (
    _SEQUENCE,
    _FORM_ADVISED,
    _row("20", "Transferring Bank's Reference", must=True),
    _CREDIT_NUMBER,
    _ISSUED,
    *_start(True),
    _row("52a", "Issuing Bank of the Original Documentary Credit", "AD"),
    _row("50B", "Non-Bank Issuer of the Original Documentary Credit"),
    _row("50", "First Beneficiary", must=True),
    _row("59", "Second Beneficiary", must=True),
    _AMOUNT,
    *_TOLERANCES,
    *_shipment(True),
    *_DEMANDS,
    *_END,
)
MT734: Final = (
    _row("20", "Sender's TRN", must=True),
    _row("21", "Presenting Bank's Reference", must=True),
    _row("32A", "Date and Amount of Utilisation", must=True),
    _row("73A", "Charges Claimed"),
    _row("33a", "Total Amount Claimed", "AB"),
    _row("57a", "Account With Bank", "ABD"),
    _TO_RECEIVER,
    _row("77J", "Discrepancies", must=True),
    _row("77B", "Disposal of Documents", must=True),
)
MT750: Final = (
    _row("20", "Sender's Reference", must=True),
    _row("21", "Related Reference", must=True),
    _row("32B", "Principal Amount", must=True),
    _row("33B", "Additional Amount"),
    _DEDUCTED,
    _row("73A", "Charges to be Added"),
    _row("34B", "Total Amount to be Paid"),
    _row("57a", "Account With Bank", "ABD"),
    _TO_RECEIVER,
    _row("77J", "Discrepancies", must=True),
)
MT752: Final = (
    _row("20", "Documentary Credit Number", must=True),
    _row("21", "Presenting Bank's Reference", must=True),
    _row("23", "Further Identification", must=True),
    _row("30", "Date of Advice of Discrepancy or Mailing", must=True),
    _row("32B", "Total Amount Advised"),
    _DEDUCTED,
    _row("33a", "Net Amount", "AB"),
    _row("53a", "Sender's Correspondent", "ABD"),
    _row("54a", "Receiver's Correspondent", "ABD"),
    _TO_RECEIVER,
    _row("79Z", "Narrative"),
)

TABLES: Final[dict[str, tuple[Row, ...]]] = {
    "700": MT700,
    "707": MT707,
    "710": MT710,
    "720": MT720,
    "734": MT734,
    "750": MT750,
    "752": MT752,
}
TITLES: Final = {
    "700": "Issue of a Documentary Credit",
    "707": "Amendment to a Documentary Credit",
    "710": "Advice of a Third Bank's or a Non-Bank's Documentary Credit",
    "720": "Transfer of a Documentary Credit",
    "734": "Advice of Refusal",
    "750": "Advice of Discrepancy",
    "752": "Authorisation to Pay, Accept or Negotiate",
}
CHARACTERS_MAX: Final = {number: 2_000 if number == "752" else 10_000 for number in TABLES}
"""How long the text of a message may be, with its line ends of two characters."""


def place_of(number: str, tag: str) -> int:
    """At which row the field stands; -1 if it is not of this message."""
    return _PLACES[number].get(tag, -1)


_PLACES: Final = {
    number: {tag: place for place, row in enumerate(rows) for tag in row.tags}
    for number, rows in TABLES.items()
}
