"""A credit with an electronic bill of lading: presented in pledge, surrendered after payment."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.sdk.testkit import Refused, Testkit
from tests.contracts import bills, shipments
from tests.contracts.credits import (
    BILL,
    CARRIAGE,
    advised,
    examine,
    hidden,
    pay,
    people,
    present,
    presentation,
    state,
)

DOCUMENT = bytes([9]) * 32


@pytest.fixture
def kit() -> Testkit:
    """The seller ships what the buyer gets; the same bank, persons and traders as elsewhere."""
    kit = shipments.small_world("vault", "compliance", "calendar", "bill", "credit")
    people(kit)
    return kit


def issue_bill(kit: Testkit, digest: bytes = DOCUMENT) -> int:
    args: dict[str, Any] = {"carrier": kit.id("carrier"), "consignee": kit.id("buyer")}
    shipment = kit.as_("seller").call(
        "shipment", "book", origin=shipments.ORIGIN, destination=shipments.DESTINATION,
        wanted_arrival=shipments.at(21), **args,
    )  # fmt: skip
    legs = shipments.legs()
    kit.as_("carrier").call("shipment", "confirm_booking", number=shipment, legs=legs)
    given = [{"number": shipments.CONTAINER, "type": "22GP"}]
    kit.as_("carrier").call("shipment", "equip", number=shipment, containers=given)
    shipments.handle(kit, shipment, "LOAD", container=shipments.CONTAINER)
    number: int = kit.as_("carrier").call(
        "bill", "issue", shipment=shipment, to_order=True,
        terms=hidden(kit, bills.TERMS), document=hidden(kit, digest),
    )  # fmt: skip
    return number


def electronic(number: int, digest: bytes = DOCUMENT) -> dict[str, Any]:
    return BILL | {"digest": digest, "carriage": CARRIAGE | {"bill": number}}


def test_a_bill_in_pledge_is_presented_and_surrendered_after_payment(kit: Testkit) -> None:
    number, bill = advised(kit), issue_bill(kit)
    with pytest.raises(Refused, match="BILL_NOT_HELD"):
        present(kit, number, electronic(bill), bills=[bill])
    bills.call(kit, "seller", "pledge", bill, to=kit.id("bank"))
    one = present(kit, number, electronic(bill), bills=[bill])
    assert presentation(kit, number, one)["bills"][0]["number"] == bill
    assert examine(kit, number, one) == "COMPLYING"
    pay(kit, number, one)
    assert state(kit, number, one) == "HONOURED"
    bills.call(kit, "bank", "consent", bill, act="TRANSFER", to=kit.id("buyer"))
    bills.call(kit, "seller", "transfer", bill, to=kit.id("buyer"))
    bills.call(kit, "bank", "release", bill)
    bills.call(kit, "buyer", "surrender", bill)
    assert bills.bill(kit, bill)["state"] == "SURRENDERED"
    # What was held on the day of presentation stays what the documents are judged by.
    found = kit.check("credit", "examine", number=number, presentation=one)
    assert found["code"] == "COMPLYING"


def test_a_bill_that_is_not_held_or_another_document_is_a_discrepancy(kit: Testkit) -> None:
    number, bill = advised(kit), issue_bill(kit)
    bills.call(kit, "seller", "transfer", bill, to=kit.id("bank"))
    for document, given, expected in (
        (electronic(bill), [], "20(a): bill 1 is not held by the bank"),
        (electronic(bill, bytes(32)), [bill], "14(d): the bill of lading ESL-77 is not the"),
    ):
        one = present(kit, number, document, bills=given)
        (line,) = kit.check("credit", "examine", number=number, presentation=one)["findings"]
        assert line.startswith(expected)
