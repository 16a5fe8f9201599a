"""Quality and DSCSA beside shipments, recalls and EPCIS events."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import sha256
from contracts.sdk.testkit import Testkit
from tests.contracts import test_dscsa as medicines
from tests.contracts.shipments import some
from tests.contracts.test_dscsa import EXPIRY, LICENSED, LOT, SERIAL, license_, ship, ti


@pytest.fixture
def kit() -> Testkit:
    """A licensed trade with all supply contracts; the maker has 100 of a lot and a serial."""
    kit = Testkit.of(
        builtin=("identity", "batch", "recall", "quality", "dscsa", "epcis", "shipment")
    )
    kit.organisation("maker", roles=("manufacturer", "laboratory"))
    kit.organisation("wholesaler", roles=("wholesaler",))
    kit.organisation("pharmacy", roles=("dispenser",))
    kit.organisation("carrier", roles=("logistics_operator",))
    kit.organisation("fda", roles=("regulator",))
    for name, kind, authority in LICENSED:
        license_(kit, name, kind, authority)
    maker = kit.as_("maker")
    maker.call("batch", "commission", items=[some(LOT, 100)], expiry=EXPIRY)
    maker.call("batch", "commission", items=[some(SERIAL)], lot="A1", expiry=EXPIRY)
    kit.as_("consortium").call("batch", "set_policy", dscsa=True)
    return kit


def booked(kit: Testkit) -> int:
    day = kit.time_ms + 86_400_000
    leg = {"mode": "TRUCK", "origin": "CHBSL", "destination": "FRPAR", "departure": kit.time_ms}
    number: int = kit.as_("maker").call(
        "shipment", "book", carrier=kit.id("carrier"), consignee=kit.id("wholesaler"),
        origin="CHBSL", destination="FRPAR", wanted_arrival=day, goods=[some(SERIAL)],
    )  # fmt: skip
    kit.as_("carrier").call(
        "shipment", "confirm_booking", number=number, legs=[{**leg, "arrival": day}]
    )
    return number


def test_a_carrier_moves_what_was_sold_and_passes_no_ownership(kit: Testkit) -> None:
    number = booked(kit)
    maker = kit.as_("maker")
    maker.refused("TI_REQUIRED", "shipment", "hand_over", number=number)
    where = {"holder": kit.id("maker"), "buyer": kit.id("wholesaler"), **ti(kit)}
    maker.call("dscsa", "transfer", items=[some(SERIAL)], **where)
    maker.call("shipment", "hand_over", number=number, owner=kit.id("wholesaler"))
    assert kit.query("batch", "item", item=SERIAL)["owner"] == kit.id("wholesaler")


def test_a_recalled_lot_is_not_sold_and_acceptance_lifts_no_recall(kit: Testkit) -> None:
    announcement = {"product": "Xanomelin 20 mg", "reason": "Subpotent"}
    recall = {"announcement": announcement, "items": [some(LOT)]}
    kit.as_("maker").call("recall", "initiate", **recall)
    given = {"items": [some(SERIAL)], "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").refused("HELD", "dscsa", "ship", **given)
    for name in ("examiner", "approver"):
        kit.key(name, of="maker", roles=("laboratory",), user=name)
    limits = [{"code": "ASSAY", "unit": "P1", "low": 95}]
    maker = kit.as_("maker")
    plan = maker.call("quality", "define_plan", characteristics=limits)
    number = maker.call("quality", "request", item=LOT, laboratory=kit.id("maker"), plan=plan)
    results = [{"code": "ASSAY", "value": 99}]
    maker.call("quality", "record_results", inspection=number, results=results)
    kit.as_("examiner").call("quality", "review", inspection=number)
    assert kit.as_("approver").call("quality", "approve", inspection=number) == "ACCEPTED"
    kit.as_("maker").refused("HELD", "dscsa", "ship", **given)


def test_a_recall_on_the_way_arrives_in_quarantine_and_is_the_buyer_s(kit: Testkit) -> None:
    given = {"items": [some(SERIAL)], "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").call("dscsa", "ship", **given)
    announcement = {"product": "Xanomelin 20 mg", "reason": "Subpotent"}
    recall = {"announcement": announcement, "items": [some(LOT)]}
    kit.as_("maker").call("recall", "initiate", **recall)
    kit.as_("wholesaler").call("batch", "receive", items=[some(SERIAL)])
    found = kit.query("batch", "item", item=SERIAL)
    assert (found["record"]["state"], found["owner"]) == ("QUARANTINED", kit.id("wholesaler"))


def test_an_epcis_event_stands_though_it_lacks_transaction_information(kit: Testkit) -> None:
    event: dict[str, Any] = {
        "hash": sha256(b"1"), "type": "ObjectEvent", "time": kit.time_ms, "action": "OBSERVE",
        "step": "shipping", "things": [{"thing": SERIAL, "role": "object"}],
        "consignee": kit.id("wholesaler"),
    }  # fmt: skip
    made = kit.as_("maker").call("epcis", "capture", event=event, document=bytes(32))
    assert (made["effect"], made["code"]) == ("batch.ship", "TI_REQUIRED")
    recorded = kit.query("epcis", "event", number=1)
    assert recorded["effect_code"] == "TI_REQUIRED"
    ship(kit)


def test_every_write_has_its_audit_event_with_its_meaning(kit: Testkit) -> None:
    number = ship(kit)
    case = medicines.suspect(kit)
    medicines.decide(kit, case, "CLEARED")
    written = [event.fields for event in kit.trail if event.contract == "dscsa"]
    meanings = {one["method"]: one["meaning"] for one in written}
    assert meanings["ship"] == "authorship"
    assert meanings["grant_licence"] == "approval"
    assert meanings["decide"] == "responsibility"
    (sold,) = [one for one in written if one["method"] == "ship"]
    maps = {record["map"] for record in sold["records"]}
    assert {"transactions", "lines"} <= maps and number == 1
