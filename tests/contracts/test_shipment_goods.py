"""Shipments: goods and custody, what is asked, who sees and who did what."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.sdk.testkit import Testkit
from tests.contracts.recalls import ANNOUNCEMENT
from tests.contracts.shipments import (
    CONTAINER,
    DESTINATION,
    LOT,
    ORIGIN,
    OTHER_CONTAINER,
    PORT,
    arrived,
    at,
    book,
    booked,
    equipped,
    handle,
    legs,
    move,
    small_world,
    some,
    sscc,
    stock_lot,
)


def custody(kit: Testkit, number: int) -> str:
    found: str = kit.query("shipment", "shipment", number=number)["custody"]
    return found


def holders(kit: Testkit) -> dict[str, int]:
    """Holder -> free amount of the lot."""
    found = kit.query("batch", "item", item=LOT)
    return {one["holder"]: one["free"] for one in found["stock"] if one["free"]}


def test_custody_goes_from_shipper_to_carrier_to_consignee_and_goods_with_it() -> None:
    kit = small_world()
    stock_lot(kit)
    number = equipped(kit, goods=[some(LOT, 60)])
    kit.as_("carrier").refused("NOT_AUTHORISED", "shipment", "hand_over", number=number)
    kit.as_("maker").call("shipment", "hand_over", number=number)
    kit.as_("maker").refused("HANDED_OVER", "shipment", "hand_over", number=number)
    kit.as_("maker").refused("HANDED_OVER", "shipment", "cancel_booking", number=number)
    assert holders(kit) == {kit.id("maker"): 40}
    assert custody(kit, number) == kit.id("maker")
    handle(kit, number, "LOAD", container=CONTAINER)
    assert custody(kit, number) == kit.id("carrier")
    for code, place in (("DEPA", ORIGIN), ("ARRI", PORT), ("DEPA", PORT), ("ARRI", DESTINATION)):
        move(kit, number, code, place)
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    assert custody(kit, number) == kit.id("pharmacy")
    assert holders(kit) == {kit.id("maker"): 40, kit.id("pharmacy"): 60}


def test_what_the_shipper_does_not_hold_is_not_handed_over() -> None:
    kit = small_world()
    stock_lot(kit, 50)
    number = booked(kit, goods=[some(LOT, 60)])
    kit.as_("maker").refused("TOO_LITTLE", "shipment", "hand_over", number=number)
    assert not kit.query("shipment", "shipment", number=number)["shipment"]["handed_over"]
    number = booked(kit)
    kit.as_("maker").refused("NO_GOODS", "shipment", "hand_over", number=number)


def test_a_delivery_in_part_leaves_the_rest_on_its_way() -> None:
    kit = small_world()
    stock_lot(kit)
    number = equipped(kit, goods=[some(LOT, 60)])
    kit.as_("maker").call("shipment", "hand_over", number=number)
    handle(kit, number, "LOAD", container=CONTAINER)
    for code, place in (("DEPA", ORIGIN), ("ARRI", PORT), ("DEPA", PORT), ("ARRI", DESTINATION)):
        move(kit, number, code, place)
    pharmacy = kit.as_("pharmacy")
    part = {"number": number, "received": [some(LOT, 50)]}
    pharmacy.refused("CONDITION_NEEDED", "shipment", "confirm_delivery", **part)
    pharmacy.refused(
        "UNKNOWN_ITEM", "shipment", "confirm_delivery", number=number, condition="SHORT",
        received=[some(sscc(1))],
    )  # fmt: skip
    pharmacy.call("shipment", "confirm_delivery", condition="SHORT", **part)
    assert holders(kit) == {kit.id("maker"): 40, kit.id("pharmacy"): 50}
    assert kit.query("shipment", "delivered", number=number)["condition"] == "SHORT"


@pytest.mark.parametrize("how", ["detained", "recalled"])
def test_edge_a_hold_on_the_way_blocks_nothing_and_the_goods_arrive_in_quarantine(how: str) -> None:
    kit = small_world("recall")
    stock_lot(kit)
    number = equipped(kit, goods=[some(LOT, 60)])
    kit.as_("maker").call("shipment", "hand_over", number=number)
    handle(kit, number, "LOAD", container=CONTAINER)
    if how == "detained":
        kit.as_("regulator").call("batch", "detain", items=[some(LOT)], cause="SUSPECT")
    else:
        recalled = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
        kit.as_("maker").call("recall", "initiate", **recalled)
    for code, place in (("DEPA", ORIGIN), ("ARRI", PORT), ("DEPA", PORT), ("ARRI", DESTINATION)):
        move(kit, number, code, place)
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    found = kit.query("batch", "item", item=LOT)["stock"]
    assert {one["holder"]: one["quarantined"] for one in found if one["quarantined"]} == {
        kit.id("pharmacy"): 60
    }
    number = booked(kit, goods=[some(LOT, 10)])
    kit.as_("maker").refused("HELD", "shipment", "hand_over", number=number)


def test_goods_that_are_only_named_move_by_calls_of_the_batch_contract() -> None:
    kit = small_world()
    stock_lot(kit)
    number = arrived(kit, goods=[some(LOT, 60)])
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    assert holders(kit) == {kit.id("maker"): 100}


def test_goods_are_stowed_in_containers_of_the_shipment() -> None:
    kit = small_world()
    number = equipped(kit, goods=[some(sscc(1)), some(sscc(2))])
    args = {"number": number, "container": CONTAINER, "items": [sscc(1)]}
    kit.as_("pharmacy").refused("NOT_AUTHORISED", "shipment", "stow", **args)
    kit.as_("maker").call("shipment", "stow", **args)
    kit.as_("carrier").refused("UNKNOWN_ITEM", "shipment", "stow", **{**args, "items": [sscc(9)]})
    kit.as_("carrier").refused("NOT_EMPTY", "shipment", "withdraw", number=number,
                               container=CONTAINER)  # fmt: skip
    goods = kit.query("shipment", "shipment", number=number)["goods"]
    assert {one["item"]: one["container"] for one in goods} == {sscc(1): CONTAINER, sscc(2): ""}
    handle(kit, number, "LOAD", container=CONTAINER)
    kit.as_("maker").refused("WRONG_STATE", "shipment", "stow", **args)


# --- asking ------------------------------------------------------------------------------------


def test_shipments_are_found_by_party_and_by_container() -> None:
    kit = small_world()
    first, second = equipped(kit), equipped(kit, OTHER_CONTAINER)
    for part, who in (("SHIPPER", "maker"), ("CARRIER", "carrier"), ("CONSIGNEE", "pharmacy")):
        found = kit.query("shipment", "shipments_of", organisation=kit.id(who), part=part)
        assert [one["number"] for one in found] == [first, second]
    (found,) = kit.query("shipment", "shipments_with", container=OTHER_CONTAINER)
    assert found["number"] == second
    more = kit.query(
        "shipment", "shipments_of", organisation=kit.id("maker"), part="SHIPPER", after=first
    )
    assert [one["number"] for one in more] == [second]


def test_nothing_of_references_and_documents_stands_in_clear() -> None:
    kit = small_world()
    mine, theirs, vehicle = kit.commit("PO-4711-X"), kit.commit("BKG-0815-Y"), kit.commit("BS-77-Z")
    document = kit.commit(b"\x07" * 32)
    number = book(kit, shipper_reference=mine.commitment, booking_document=document.commitment)
    plan = legs()
    plan[0]["vehicle"] = vehicle.commitment
    kit.as_("carrier").call(
        "shipment", "confirm_booking", number=number, legs=plan,
        booking_reference=theirs.commitment,
    )  # fmt: skip
    for secret in (mine, theirs, vehicle):
        assert not kit.discloses(secret.value)
    assert not kit.discloses(document.value)
    kit.as_("maker").refused(
        "BAD_ARGUMENT", "shipment", "book", carrier=kit.id("carrier"),
        consignee=kit.id("pharmacy"), origin=ORIGIN, destination=PORT, wanted_arrival=at(9),
        shipper_reference="PO-4711-X",
    )  # fmt: skip


def test_every_step_is_in_the_audit_trail_with_what_its_signature_means() -> None:
    kit = small_world()
    number = arrived(kit)
    kit.as_("pharmacy").call("shipment", "confirm_delivery", number=number)
    trail = [one.fields for one in kit.trail if one.contract == "shipment"]
    who = {kit.id(name): name for name in ("maker", "carrier", "pharmacy")}
    assert [(who[one["organisation"]], one["method"], one["meaning"]) for one in trail] == [
        ("maker", "book", "authorship"),
        ("carrier", "confirm_booking", "approval"),
        ("carrier", "equip", "authorship"),
        ("carrier", "equipment_event", "authorship"),
        *4 * [("carrier", "transport_event", "authorship")],
        ("pharmacy", "confirm_delivery", "responsibility"),
    ]
    assert [record["map"] for record in trail[-1]["records"]] == ["shipments"]


PAYER = '''"""Pays on delivery."""

from __future__ import annotations

from contracts.sdk import Contract, Map, call, refuse


class Payer(Contract):
    """Notes what may be paid out."""

    name = "payer"

    released = Map(int, key=("number",))

    @call
    def release(self, number: int) -> None:
        found = self.invoke("shipment", "delivered", number=number)
        if not found["delivered"] or found["consignee"] != self.ctx.organisation:
            refuse("NOT_DELIVERED", "there is nothing to pay yet")
        self.released.put(number, found["time"])
'''


def test_another_contract_releases_on_the_consignee_s_word(tmp_path: Path) -> None:
    (tmp_path / "payer.py").write_text(PAYER)
    kit = small_world()
    kit.upgrade("payer.py", root=tmp_path)
    number = arrived(kit)
    pharmacy = kit.as_("pharmacy")
    pharmacy.refused("NOT_DELIVERED", "payer", "release", number=number)
    pharmacy.refused("NOT_FOUND", "payer", "release", number=number + 1)
    pharmacy.call("shipment", "confirm_delivery", number=number)
    pharmacy.call("payer", "release", number=number)
