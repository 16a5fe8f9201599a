"""Messages as terms, amendments and refusals of the contract of credits, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.mt.credits import (
    amendment_says,
    changes_of,
    narrative,
    refusal_of,
    refusal_says,
    required_of,
    says_of,
    terms_of,
)
from cli.mt.message import Message, new_message
from cli.mt.rules import check_message
from cli.mt.saying import fields_of, said
from consensus.primitives.errors import InputError
from contracts.sdk.fields import field_of
from contracts.sdk.values import plain
from contracts.trade.terms import Changes, Terms
from tests.cli.mt_samples import RECEIVER, SENDER, messages, sample


def on_chain(of: Any, value: Any) -> dict[str, Any]:
    """The value as it stands behind a commitment."""
    made: dict[str, Any] = plain(field_of(of).check(value))[0]
    return made


def valid(number: str, says: dict[str, Any]) -> Message:
    message = new_message(number, SENDER, RECEIVER, fields_of(number, says))
    assert check_message(message) == []
    return message


@given(st.sampled_from(("700", "710", "720")).flatmap(messages))
@settings(max_examples=40, deadline=None)
def test_a_credits_terms_say_the_message_again(message: Message) -> None:
    says = said(message)
    terms = on_chain(Terms, terms_of(message.number, says))
    assert says_of(message.number, terms) == says


def test_a_message_by_the_names_of_the_credit() -> None:
    terms = terms_of("700", said(sample("700")))
    assert terms["reference"] == "LC2027-0001"
    assert terms["amount"] == {"minor": 15_000_000, "currency": "USD"}
    assert (terms["plus"], terms["minus"], terms["presentation_days"]) == (5, 5, 21)
    assert (terms["available_by"], terms["transhipment"]) == ("NEGOTIATION", "NOT_ALLOWED")
    invoice, bill = terms["documents"]
    assert (invoice["type"], invoice["copies"], bill["type"]) == ("INVOICE", 2, "BILL_OF_LADING")
    assert terms_of("710", said(sample("710")))["transferable"]
    second = terms_of("720", said(sample("720")))
    assert second["beneficiary"].startswith("COFFEE EXPORTERS")
    with pytest.raises(InputError, match="MT_NO_TERMS"):
        terms_of("707", said(sample("707")))


def test_what_was_amended_is_said_anew_and_nothing_else() -> None:
    says = said(sample("700"))
    terms = terms_of("700", says)
    terms["available_with"], terms["presentation_days"] = "OTHER BANK\nADDIS ABABA", 15
    again = says_of("700", terms)
    changed = {name for name in says if says[name] != again[name]}
    assert changed == {"available", "presentation_period"}
    assert again["available"]["option"] == "D"
    valid("700", again)


@pytest.mark.parametrize(
    ("text", "kind", "originals", "copies"),
    [
        ("+ SIGNED COMMERCIAL INVOICE IN TRIPLICATE", "INVOICE", 1, 2),
        ("INVOICE IN 3 COPIES", "INVOICE", 1, 2),
        ("INVOICE IN THREE FOLD", "INVOICE", 1, 2),
        ("INVOICE, 2 ORIGINALS AND 3 COPIES", "INVOICE", 2, 3),
        ("INVOICE IN ONE ORIGINAL", "INVOICE", 1, 0),
        ("INVOICE", "INVOICE", 1, 0),
        ("FULL SET OF CLEAN ON BOARD OCEAN BILLS OF LADING", "BILL_OF_LADING", 1, 0),
        ("CHARTER PARTY BILL OF LADING", "CHARTER_PARTY_BILL", 1, 0),
        ("AIRWAY BILL", "AIR_WAYBILL", 1, 0),
        ("INSURANCE POLICY FOR 110 PCT OF INVOICE VALUE", "INSURANCE", 1, 0),
        ("CERTIFICATE OF ORIGIN", "ORIGIN", 1, 0),
        ("PACKING LIST IN DUPLICATE", "PACKING_LIST", 1, 1),
        ("PHYTOSANITARY CERTIFICATE", "OTHER", 1, 0),
    ],
)
def test_what_documents_are_asked_for(text: str, kind: str, originals: int, copies: int) -> None:
    wanted = required_of(text)
    assert wanted["text"] == text
    found = (wanted["type"], wanted.get("originals", 1), wanted.get("copies", 0))
    assert found == (kind, originals, copies)


def test_an_amendment_adds_deletes_and_replaces() -> None:
    terms = terms_of("700", said(sample("700", f46A="+ INVOICE\n+ PACKING LIST")))
    made = changes_of(said(sample("707")), terms)
    changes = on_chain(Changes, made["changes"])
    assert (made["expiry"], made["cancels"]) == ("2027-07-31", False)
    assert changes["increase"] == {"minor": 1_000_050, "currency": "USD"}
    assert [one["type"] for one in changes["documents"]] == ["INVOICE", "ORIGIN"]
    with pytest.raises(InputError, match="PACKING LIST"):
        changes_of(said(sample("707")), terms_of("700", said(sample("700"))))
    cancelling = changes_of(said(sample("707", f23S="CANCEL")), terms)
    assert cancelling["cancels"]


def test_an_amendment_of_the_chain_as_a_message() -> None:
    terms = on_chain(Terms, terms_of("700", said(sample("700"))))
    changes = on_chain(
        Changes,
        {"decrease": {"minor": 100, "currency": "USD"}, "expiry": "2027-08-01",
         "discharge": "ANTWERP", "goods": "+ TEA", "plus": 0, "transferable": True,
         "available_with": "BANKETAA", "tenor": "30 DAYS", "drawee": "BANKETAA"},
    )  # fmt: skip
    says = amendment_says(changes, terms, 2, "2027-03-01", "2027-01-05")
    message = valid("707", says)
    assert said(message)["expiry"] == {"date": "2027-08-01", "place": "FRANKFURT"}
    again = changes_of(said(message), terms)["changes"]
    for name in ("decrease", "discharge", "goods", "plus", "transferable", "available_with",
                 "tenor", "drawee"):  # fmt: skip
        assert again[name] == changes[name]
    cancel = amendment_says({}, terms, 3, "2027-03-01", "2027-01-05", cancels=True)
    assert valid("707", cancel).get("23S") == "CANCEL"


def test_discrepancies_go_out_and_come_in() -> None:
    terms = terms_of("700", said(sample("700")))
    drawing = {"amount": {"minor": 7_500_000, "currency": "USD"}, "reference": "P1"}
    findings = ["14(c): presented 30 days after shipment, not within 21", "27: not clean \u00e9"]
    says = refusal_says("734", terms, drawing, findings, "2027-06-10", "HOLD")
    message = valid("734", says)
    found, fate = refusal_of(said(message))
    assert found == [findings[0], "27: not clean ."]
    assert fate == "HOLD"
    for number in ("750", "752"):
        valid(number, refusal_says(number, terms, drawing, findings, "2027-06-10"))
    assert refusal_of(said(sample("734"))) == (
        ["LATE PRESENTATION", "BILL OF LADING NOT CLEAN"], "NOTIFY",
    )  # fmt: skip
    assert len(narrative(["x" * 400] * 100)) == 70
