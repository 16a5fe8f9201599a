"""What SWIFT messages say, by the names of the business, and the way back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from cli.mt.documents import document_of, message_from_document
from cli.mt.message import Message, new_message
from cli.mt.rules import check_message
from cli.mt.saying import fields_of, said
from consensus.primitives.errors import InputError
from tests.cli.mt_samples import RECEIVER, SENDER, messages, sample


@given(messages())
@settings(max_examples=60, deadline=None)
def test_what_a_message_says_can_be_said_again(message: Message) -> None:
    says = said(message)
    again = new_message(message.number, SENDER, RECEIVER, fields_of(message.number, says))
    assert check_message(again) == []
    assert said(again) == says
    # Only amounts, days, tolerances and numbers of amendments have more than one spelling.
    differing = {
        one.tag for one, other in zip(message.fields, again.fields, strict=True) if one != other
    }
    assert differing <= {"26E", "32A", "32B", "33A", "33B", "34B", "39A", "48"}


@given(messages())
@settings(max_examples=60, deadline=None)
def test_a_document_gives_the_message_to_the_letter(message: Message) -> None:
    document = json.loads(json.dumps(document_of(message)))
    assert message_from_document(document) == message
    assert message_from_document(document).to_bytes() == message.to_bytes()


def test_what_a_credit_says() -> None:
    says = said(sample("700"))
    assert says["amount"] == {"minor": 15_000_000, "currency": "USD"}
    assert says["expiry"] == {"date": "2027-06-30", "place": "FRANKFURT"}
    assert says["tolerance"] == {"plus": 5, "minus": 5}
    assert says["presentation_period"] == {"days": 21, "text": "AFTER SHIPMENT"}
    assert says["available"] == {"option": "A", "with": "BANKDEFF", "by": "BY NEGOTIATION"}
    assert says["documents"][1] == "+ FULL SET OF CLEAN ON BOARD BILLS OF LADING"
    assert says["latest_shipment"] == "2027-05-31"


def test_what_an_amendment_and_a_refusal_say() -> None:
    says = said(sample("707"))
    assert says["increase"] == {"minor": 1_000_050, "currency": "USD"}
    assert says["documents"] == [
        {"change": "ADD", "text": "+ CERTIFICATE OF ORIGIN"},
        {"change": "DELETE", "text": "+ PACKING LIST"},
    ]
    assert said(sample("734"))["fate"] == {"code": "NOTIFY", "text": ""}
    assert said(sample("734"))["discrepancies"] == ["LATE PRESENTATION", "BILL OF LADING NOT CLEAN"]


def test_a_changed_document_says_the_change_under_the_same_headers() -> None:
    document = document_of(sample("700"))
    document["says"]["amount"]["minor"] = 14_000_050
    changed = message_from_document(document)
    assert changed.get("32B") == "USD140000,5"
    assert changed.basic == sample("700").basic
    del document["message"]
    assert message_from_document(document) == changed


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"says": {"colour": "RED"}}, "MT_JSON"),
        ({"says": {"amount": 5}}, "MT_JSON"),
        ({"says": {"amount": {"minor": 5, "currency": "XXX"}}}, "MT_JSON"),
        ({"says": {"amount": {"minor": 10**17, "currency": "USD"}}}, "MT_AMOUNT"),
        ({"says": {"available": {"with": "BANKDEFF", "by": "BY PAYMENT"}}}, "MT_JSON"),
        ({"says": {"issued": "2095-01-01"}}, "MT_DATE"),
        ({"says": None}, "MT_JSON"),
        ({"mt": "701"}, "MT_JSON"),
        ({"sender": None}, "MT_JSON"),
    ],
)
def test_documents_that_say_nothing_sensible_are_refused(
    change: dict[str, object], code: str
) -> None:
    document = document_of(sample("700"))
    del document["message"]
    with pytest.raises(InputError, match=code):
        message_from_document({**document, **change})
    with pytest.raises(InputError, match="MT_JSON"):
        message_from_document("text")
