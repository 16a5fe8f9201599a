"""Lots, serials and units (DOMAIN section 4, Batch and Recall), rule by rule."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from consensus.transaction import Call
from contracts.sdk.checks import gs1_check_digit
from tests.contracts.ledger import (
    CONSORTIUM,
    MAKER,
    PHARMACY,
    REGULATOR,
    START_MS,
    WHOLESALER,
    Ledger,
    gln,
    seed_of,
)

GTIN = "09521321000018"
LOT = f"01/{GTIN}/10/A1"
SERIAL = f"01/{GTIN}/21/S1"


def sscc(number: int) -> str:
    body = f"0952132100000{number:04d}"
    return f"00/{body}{gs1_check_digit(body)}"


PALLET, CASE = sscc(1), sscc(2)


def some(item: str, amount: int | None = None, unit: str = "EA") -> dict[str, Any]:
    return {"item": item} | (
        {} if amount is None else {"quantity": {"amount": amount, "unit": unit}}
    )


@pytest.fixture
def stocked(ledger: Ledger) -> Ledger:
    """The maker has 100 of a lot and one serial of it, both to expire in 2027."""
    ledger.ok(MAKER, "commission", items=[some(LOT, 100)], expiry="2027-12-31")
    ledger.ok(MAKER, "commission", items=[some(SERIAL)], expiry="2027-12-31", lot="A1")
    return ledger


def move(ledger: Ledger, item: str, amount: int | None, *way: str) -> None:
    for sender, receiver in pairwise(way):
        ledger.ok(sender, "ship", items=[some(item, amount)], consignee=receiver)
        ledger.ok(receiver, "receive", items=[some(item, amount)])


def recall(ledger: Ledger, who: str, *items: str) -> None:
    """What holds alone: the procedure is in test_recall.py."""
    announcement = {"product": "Tablets", "reason": "Dissolution"}
    args = {"announcement": announcement, "items": [some(item) for item in items]}
    firm = {} if who == MAKER else {"firm": MAKER}
    ledger.ok(who, "initiate", "recall", **args, **firm)
    ledger.block()  # in which it spreads


def amounts(ledger: Ledger, item: str) -> dict[str, tuple[int, int]]:
    """Holder -> (free, quarantined), whoever owns it."""
    found: dict[str, tuple[int, int]] = {}
    for entry in ledger.query("item", item=item)["stock"]:
        free, quarantined = found.get(entry["holder"], (0, 0))
        found[entry["holder"]] = (free + entry["free"], quarantined + entry["quarantined"])
    return found


def names(ledger: Ledger, item: str) -> list[str]:
    return [event["event"] for event in ledger.query("trace", item=item)["events"]]


# --- making ----------------------------------------------------------------------------------


def test_only_a_manufacturer_commissions_trade_items(ledger: Ledger) -> None:
    for item in (some(LOT, 1), some(SERIAL)):
        ledger.refused("NOT_AUTHORISED", WHOLESALER, "commission", items=[item])
        ledger.refused("NOT_AUTHORISED", REGULATOR, "commission", items=[item])
    ledger.ok(WHOLESALER, "commission", items=[some(PALLET)])


def test_a_lot_grows_by_its_maker_with_the_same_expiry_and_unit(stocked: Ledger) -> None:
    stocked.ok(MAKER, "commission", items=[some(LOT, 5)], expiry="2027-12-31")
    assert amounts(stocked, LOT) == {MAKER: (105, 0)}
    more = [some(LOT, 5)]
    stocked.refused("LOT_DIFFERS", MAKER, "commission", items=more, expiry="2027-12-30")
    more = [some(LOT, 5, "GRM")]
    stocked.refused("LOT_DIFFERS", MAKER, "commission", items=more, expiry="2027-12-31")
    key = public_key(b"n" * 32)
    other = {"id": gln(9), "name": "Other maker", "admin_key": key, "roles": ["manufacturer"]}
    stocked.ok(CONSORTIUM, "add_organisation", "identity", **other)
    made = Call("batch", "commission", {"items": [some(LOT, 5)], "expiry": "2027-12-31"})
    assert stocked.block(stocked.tx(b"n" * 32, made))[0].code == "ITEM_KNOWN"


def test_what_exists_is_not_commissioned_again(stocked: Ledger) -> None:
    stocked.refused("ITEM_KNOWN", MAKER, "commission", items=[some(SERIAL)])
    stocked.refused("QUANTITY_REQUIRED", MAKER, "commission", items=[some(LOT)])


@pytest.mark.parametrize(
    ("text", "date"), [("270200", 20270228), ("280200", 20280229), ("2027-06-01", 20270601)]
)
def test_rules_4_and_5_expiry_by_the_block_s_year(ledger: Ledger, text: str, date: int) -> None:
    ledger.ok(MAKER, "commission", items=[some(LOT, 1)], expiry=text)
    assert ledger.query("item", item=LOT)["record"]["expiry"] == date


@pytest.mark.parametrize("text", ["2027-02-30", "271300", "soon"])
def test_an_expiry_that_is_no_date(ledger: Ledger, text: str) -> None:
    ledger.refused("BAD_EXPIRY", MAKER, "commission", items=[some(LOT, 1)], expiry=text)


def test_rule_6_any_form_of_an_item_is_the_same_item(stocked: Ledger) -> None:
    for form in (
        "urn:epc:class:lgtin:9521321.000001.A1",
        "https://id.gs1.org/01/9521321000018/10/A1",
        f"(01){GTIN}(10)A1",
    ):
        stocked.ok(MAKER, "observe", items=[some(form)])
        assert stocked.query("item", item=form)["item"] == LOT


# --- conservation ----------------------------------------------------------------------------


def test_nobody_ships_packs_or_uses_more_than_there_is(stocked: Ledger) -> None:
    too_much = [some(LOT, 101)]
    stocked.refused("TOO_LITTLE", MAKER, "ship", items=too_much, consignee=PHARMACY)
    stocked.refused("TOO_LITTLE", MAKER, "pack", parent=PALLET, items=too_much)
    stocked.refused("TOO_LITTLE", MAKER, "decommission", items=too_much)
    stocked.refused("TOO_LITTLE", MAKER, "quarantine", items=too_much)
    stocked.refused("TOO_LITTLE", WHOLESALER, "ship", items=[some(LOT, 1)], consignee=PHARMACY)
    stocked.refused("UNIT_MISMATCH", MAKER, "ship", items=[some(LOT, 1, "GRM")], consignee=PHARMACY)


def test_a_split_conserves_quantity_and_keeps_maker_and_expiry(stocked: Ledger) -> None:
    move(stocked, LOT, 60, MAKER, WHOLESALER)
    parts = [{"lot": "A1-x", "amount": 10}, {"lot": "A1-y", "amount": 30}]
    stocked.ok(WHOLESALER, "split", item=LOT, parts=parts)
    child = stocked.query("item", item=f"{LOT}-x")["record"]
    assert (child["maker"], child["expiry"], child["made"]) == (MAKER, 20271231, 10)
    assert child["parents"] == [LOT]
    assert amounts(stocked, LOT) == {MAKER: (40, 0), WHOLESALER: (20, 0)}
    assert stocked.query("item", item=LOT)["record"]["gone"] == 40
    stocked.refused("ITEM_KNOWN", WHOLESALER, "split", item=LOT, parts=parts[:1])
    too_much = [{"lot": "A1-z", "amount": 21}]
    stocked.refused("TOO_LITTLE", WHOLESALER, "split", item=LOT, parts=too_much)


def test_a_transformation_gives_no_more_than_went_in_and_names_the_loss(stocked: Ledger) -> None:
    made = f"01/{GTIN}/10/M1"
    inputs = [some(LOT, 50)]
    stocked.refused("NOT_CONSERVED", MAKER, "transform", inputs=inputs, outputs=[some(made, 51)])
    receipt = stocked.ok(MAKER, "transform", inputs=inputs, outputs=[some(made, 48)])
    assert receipt.result == [{"losses": [{"amount": 2, "unit": "EA"}]}]
    assert amounts(stocked, LOT) == {MAKER: (50, 0)}
    stocked.refused("NOT_AUTHORISED", PHARMACY, "transform", inputs=inputs, outputs=inputs)
    stocked.refused("ITEM_KNOWN", MAKER, "transform", inputs=inputs, outputs=inputs)


def test_a_consumed_serial_is_gone(stocked: Ledger) -> None:
    outputs = [some(f"01/{GTIN}/21/T1")]
    stocked.ok(MAKER, "transform", inputs=[some(SERIAL)], outputs=outputs)
    assert stocked.query("item", item=SERIAL)["record"]["state"] == "CONSUMED"
    stocked.refused("WRONG_STATE", MAKER, "ship", items=[some(SERIAL)], consignee=PHARMACY)


# --- packing ---------------------------------------------------------------------------------


def test_a_packed_child_has_one_parent_and_moves_only_with_it(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=CASE, items=[some(SERIAL), some(LOT, 20)])
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(CASE)])
    for item in (SERIAL, CASE):
        stocked.refused("PACKED_CHILD", MAKER, "ship", items=[some(item)], consignee=WHOLESALER)
        stocked.refused("PACKED_CHILD", MAKER, "pack", parent=sscc(3), items=[some(item)])
        stocked.refused("PACKED_CHILD", MAKER, "decommission", items=[some(item)])
    stocked.refused("PACKED_CHILD", MAKER, "unpack", parent=CASE)
    move(stocked, PALLET, None, MAKER, WHOLESALER)
    stocked.refused("PACKED_CHILD", WHOLESALER, "receive", items=[some(SERIAL)])
    stocked.ok(WHOLESALER, "unpack", parent=PALLET)
    stocked.ok(WHOLESALER, "unpack", parent=CASE)
    assert stocked.query("item", item=SERIAL)["record"]["holder"] == WHOLESALER
    assert amounts(stocked, LOT) == {MAKER: (80, 0), WHOLESALER: (20, 0)}


def test_unpacking_in_part(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 20)])
    stocked.ok(MAKER, "unpack", parent=PALLET, items=[some(LOT, 5)])
    assert stocked.query("item", item=PALLET)["contents"] == [{"item": LOT, "amount": 15}]
    stocked.refused("TOO_LITTLE", MAKER, "unpack", parent=PALLET, items=[some(LOT, 16)])
    stocked.refused("NOT_INSIDE", MAKER, "unpack", parent=PALLET, items=[some(SERIAL)])
    stocked.refused("NOT_EMPTY", MAKER, "decommission", items=[some(PALLET)])
    stocked.refused("NOT_HOLDER", WHOLESALER, "unpack", parent=PALLET)
    stocked.ok(MAKER, "unpack", parent=PALLET)
    stocked.refused("NOT_INSIDE", MAKER, "unpack", parent=PALLET)
    stocked.ok(MAKER, "decommission", items=[some(PALLET)])


def test_aggregation_cycles_are_refused(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=CASE, items=[some(LOT, 1)])
    stocked.refused("AGGREGATION_CYCLE", MAKER, "pack", parent=CASE, items=[some(CASE)])
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(CASE)])
    stocked.refused("AGGREGATION_CYCLE", MAKER, "pack", parent=CASE, items=[some(PALLET)])


# --- moving ----------------------------------------------------------------------------------


def test_the_holder_ships_and_the_consignee_receives(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 20)])
    stocked.refused("NOT_HOLDER", WHOLESALER, "ship", items=[some(PALLET)], consignee=PHARMACY)
    stocked.refused("OWN_CONSIGNEE", MAKER, "ship", items=[some(PALLET)], consignee=MAKER)
    stocked.refused("UNKNOWN_CONSIGNEE", MAKER, "ship", items=[some(PALLET)], consignee=gln(99))
    stocked.refused("NOT_IN_TRANSIT", WHOLESALER, "receive", items=[some(PALLET)])
    stocked.ok(MAKER, "ship", items=[some(PALLET), some(LOT, 10)], consignee=WHOLESALER)
    stocked.refused("NOT_CONSIGNEE", PHARMACY, "receive", items=[some(PALLET)])
    stocked.refused("NOT_IN_TRANSIT", PHARMACY, "receive", items=[some(LOT, 1)])
    stocked.refused("WRONG_STATE", MAKER, "ship", items=[some(PALLET)], consignee=PHARMACY)
    stocked.refused("WRONG_STATE", MAKER, "unpack", parent=PALLET)
    stocked.refused("NOT_CONSIGNEE", WHOLESALER, "receive", items=[some(PALLET)], sender=PHARMACY)
    stocked.ok(WHOLESALER, "receive", items=[some(PALLET), some(LOT, 4)], sender=MAKER)
    stocked.refused("NOT_IN_TRANSIT", WHOLESALER, "receive", items=[some(LOT, 7)])
    stocked.ok(WHOLESALER, "receive", items=[some(LOT, 6)])
    assert amounts(stocked, LOT) == {MAKER: (70, 0), WHOLESALER: (10, 0)}


def test_suspended_organisations_get_nothing(stocked: Ledger) -> None:
    stocked.ok(REGULATOR, "set_organisation_status", "identity", id=WHOLESALER, status="SUSPENDED")
    stocked.refused("UNKNOWN_CONSIGNEE", MAKER, "ship", items=[some(LOT, 1)], consignee=WHOLESALER)


def test_only_what_was_commissioned_can_be_named(ledger: Ledger) -> None:
    for item in (some(LOT, 1), some(SERIAL), some(PALLET)):
        for method, args in (
            ("ship", {"consignee": WHOLESALER}),
            ("receive", {}),
            ("observe", {}),
            ("decommission", {}),
        ):
            ledger.refused("UNKNOWN_ITEM", MAKER, method, items=[item], **args)


def test_expired_stock_is_not_shipped_dispensed_or_used(stocked: Ledger) -> None:
    move(stocked, LOT, 10, MAKER, PHARMACY)
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 20)])
    stocked.time_ms = START_MS + 580 * 86_400_000  # 29 December 2027
    stocked.ok(PHARMACY, "dispense", items=[some(LOT, 1)])
    stocked.time_ms = START_MS + 583 * 86_400_000  # 1 January 2028
    for item in (some(LOT, 1), some(SERIAL), some(PALLET)):
        stocked.refused("EXPIRED", MAKER, "ship", items=[item], consignee=WHOLESALER)
    stocked.refused("EXPIRED", PHARMACY, "dispense", items=[some(LOT, 1)])
    outputs = [some(f"01/{GTIN}/10/M1", 1)]
    stocked.refused("EXPIRED", MAKER, "transform", inputs=[some(LOT, 1)], outputs=outputs)
    stocked.ok(PHARMACY, "decommission", items=[some(LOT, 9)], state="DESTROYED")


def test_only_a_dispenser_dispenses(stocked: Ledger) -> None:
    stocked.refused("NOT_AUTHORISED", MAKER, "dispense", items=[some(LOT, 1)])
    move(stocked, SERIAL, None, MAKER, PHARMACY)
    stocked.ok(PHARMACY, "dispense", items=[some(SERIAL)])
    assert stocked.query("item", item=SERIAL)["record"]["state"] == "DISPENSED"
    stocked.refused("WRONG_STATE", PHARMACY, "dispense", items=[some(SERIAL)])


# --- holding ---------------------------------------------------------------------------------


def test_a_recall_reaches_all_descendants_and_packed_contents(stocked: Ledger) -> None:
    """A lot split, transformed with another, packed twice, serialised: all of it stands still."""
    other, mixed, later = (f"01/{GTIN}/10/{name}" for name in ("B1", "M1", "N1"))
    stocked.ok(MAKER, "commission", items=[some(other, 10)])
    stocked.ok(MAKER, "split", item=LOT, parts=[{"lot": "A1-x", "amount": 10}])
    child = f"{LOT}-x"
    inputs = [some(child, 5), some(other, 5)]
    stocked.ok(MAKER, "transform", inputs=inputs, outputs=[some(mixed, 10)])
    stocked.ok(MAKER, "transform", inputs=[some(mixed, 5)], outputs=[some(later, 5)])
    stocked.ok(MAKER, "pack", parent=CASE, items=[some(later, 5), some(other, 1)])
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(CASE)])
    recall(stocked, MAKER, LOT)
    for item in (
        some(LOT, 1), some(child, 1), some(mixed, 1), some(SERIAL), some(PALLET),
    ):  # fmt: skip
        stocked.refused("HELD", MAKER, "ship", items=[item], consignee=WHOLESALER)
    more = [{"lot": "A1-y", "amount": 1}]
    stocked.refused("HELD", MAKER, "split", item=child, parts=more)
    made = [some(f"01/{GTIN}/10/O1", 1)]
    stocked.refused("HELD", MAKER, "transform", inputs=[some(mixed, 1)], outputs=made)
    stocked.ok(MAKER, "ship", items=[some(other, 1)], consignee=WHOLESALER)


def test_a_merge_with_one_recalled_input_is_tainted(stocked: Ledger) -> None:
    other, merged = f"01/{GTIN}/10/B1", f"01/{GTIN}/10/M1"
    stocked.ok(MAKER, "commission", items=[some(other, 10)], expiry="2027-12-31")
    stocked.ok(MAKER, "merge", items=[some(LOT, 5), some(other, 5)], lot="M1")
    recall(stocked, MAKER, other)
    to_pharmacy: dict[str, Any] = {"consignee": PHARMACY}
    stocked.refused("HELD", MAKER, "ship", items=[some(merged, 1)], **to_pharmacy)
    stocked.refused("HELD", MAKER, "merge", items=[some(LOT, 5), some(other, 5)], lot="M2")
    stocked.ok(MAKER, "ship", items=[some(LOT, 1)], **to_pharmacy)


def test_a_recall_in_transit_is_received_into_quarantine(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 20), some(SERIAL)])
    stocked.ok(MAKER, "ship", items=[some(PALLET), some(LOT, 10)], consignee=PHARMACY)
    recall(stocked, MAKER, LOT)
    receipt = stocked.ok(PHARMACY, "receive", items=[some(PALLET), some(LOT, 10)])
    assert receipt.events[1].name == "ReceivedIntoQuarantine"
    assert receipt.events[1].fields["items"] == [PALLET, LOT]
    stocked.refused("WRONG_STATE", PHARMACY, "ship", items=[some(PALLET)], consignee=MAKER)
    stocked.refused("HELD", PHARMACY, "release", items=[some(PALLET)])
    stocked.refused("HELD", PHARMACY, "dispense", items=[some(LOT, 1)])
    stocked.ok(PHARMACY, "unpack", parent=PALLET)
    assert amounts(stocked, LOT)[PHARMACY] == (0, 30)
    assert stocked.query("item", item=SERIAL)["record"]["state"] == "QUARANTINED"
    for item in (some(LOT, 30), some(SERIAL)):  # the recall says how it ends
        for state in ("DESTROYED", "DECOMMISSIONED"):
            stocked.refused("HELD", PHARMACY, "decommission", items=[item], state=state)


def test_a_case_with_recalled_contents_is_unpacked_into_quarantine(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=CASE, items=[some(LOT, 5)])
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(CASE)])
    recall(stocked, MAKER, LOT)
    stocked.ok(MAKER, "unpack", parent=PALLET)
    assert stocked.query("item", item=CASE)["record"]["state"] == "QUARANTINED"


def test_rule_22_suspect_product_is_quarantined_and_released(stocked: Ledger) -> None:
    stocked.ok(MAKER, "quarantine", items=[some(LOT, 30), some(SERIAL)], cause="DAMAGED")
    assert amounts(stocked, LOT) == {MAKER: (70, 30)}
    stocked.refused("TOO_LITTLE", MAKER, "ship", items=[some(LOT, 71)], consignee=PHARMACY)
    stocked.refused("WRONG_STATE", MAKER, "ship", items=[some(SERIAL)], consignee=PHARMACY)
    stocked.ok(MAKER, "release", items=[some(LOT, 30), some(SERIAL)])
    stocked.refused("NOT_QUARANTINED", MAKER, "release", items=[some(SERIAL)])
    stocked.refused("TOO_LITTLE", MAKER, "release", items=[some(LOT, 1)])
    assert amounts(stocked, LOT) == {MAKER: (100, 0)}


# --- events ----------------------------------------------------------------------------------


def test_rule_17_an_event_is_taken_once_by_id_and_by_hash(stocked: Ledger) -> None:
    event = {"id": "urn:uuid:1", "hash": b"h" * 32}
    stocked.ok(MAKER, "observe", items=[some(LOT)], event=event)
    for again in (event, {"id": "urn:uuid:1"}, {"hash": b"h" * 32}):
        stocked.refused("DUPLICATE_EVENT", MAKER, "observe", items=[some(LOT)], event=again)
    # A refused event may come again.
    fresh = {"id": "urn:uuid:2"}
    stocked.refused("TOO_LITTLE", MAKER, "decommission", items=[some(LOT, 101)], event=fresh)
    stocked.ok(MAKER, "observe", items=[some(LOT)], event=fresh)
    stocked.ok(MAKER, "observe", items=[some(LOT)])
    stocked.ok(MAKER, "observe", items=[some(LOT)])


def test_an_event_sent_again_is_a_duplicate_whatever_became_of_its_things(stocked: Ledger) -> None:
    shipped = {"items": [some(LOT, 100)], "consignee": WHOLESALER, "event": {"id": "urn:uuid:1"}}
    stocked.ok(MAKER, "ship", **shipped)  # nothing is left that could be shipped again
    stocked.refused("DUPLICATE_EVENT", MAKER, "ship", **shipped)
    recall(stocked, REGULATOR, LOT)
    detail = stocked.refused("DUPLICATE_EVENT", MAKER, "ship", **shipped)
    assert "recorded already" in detail


def test_an_event_names_a_thing_once_and_lies_not_in_the_future(stocked: Ledger) -> None:
    stocked.refused("ITEM_TWICE", MAKER, "observe", items=[some(LOT), some(LOT)])
    event = {"time": stocked.time_ms + 700_000}
    stocked.refused("EVENT_IN_FUTURE", MAKER, "observe", items=[some(LOT)], event=event)


def test_rule_15_an_error_is_declared_once_by_who_recorded_it(stocked: Ledger) -> None:
    stocked.ok(MAKER, "observe", items=[some(LOT)], event={"id": "urn:uuid:1"})
    stocked.refused("UNKNOWN_EVENT", MAKER, "declare_error", event_id="urn:uuid:2")
    stocked.refused("NOT_OWN_EVENT", WHOLESALER, "declare_error", event_id="urn:uuid:1")
    before = names(stocked, LOT)
    receipt = stocked.ok(MAKER, "declare_error", event_id="urn:uuid:1", reason="incorrect_data")
    assert receipt.events[0].name == "ErrorDeclared"
    assert names(stocked, LOT) == before  # nothing is deleted
    stocked.refused("DUPLICATE_EVENT", MAKER, "declare_error", event_id="urn:uuid:1")


def test_events_of_the_contract_are_epcis_shaped(stocked: Ledger) -> None:
    event = {"id": "urn:uuid:1"}
    receipt = stocked.ok(MAKER, "ship", items=[some(LOT, 5)], consignee=WHOLESALER, event=event)
    emitted, _written = receipt.events
    assert emitted.name == "Shipped"
    assert emitted.fields == {
        "event_id": "urn:uuid:1",
        "organisation": MAKER,
        "items": [{"item": LOT, "amount": 5, "unit": "EA"}],
        "consignee": WHOLESALER,
        "owner": MAKER,
        "buyer": WHOLESALER,
    }


# --- trace -----------------------------------------------------------------------------------


def test_trace_follows_units_descendants_and_serials(stocked: Ledger) -> None:
    stocked.ok(MAKER, "pack", parent=CASE, items=[some(LOT, 20)])
    stocked.ok(MAKER, "pack", parent=PALLET, items=[some(CASE)])
    stocked.ok(MAKER, "ship", items=[some(PALLET)], consignee=WHOLESALER)
    stocked.ok(WHOLESALER, "receive", items=[some(PALLET)])
    stocked.ok(WHOLESALER, "unpack", parent=PALLET)
    stocked.ok(WHOLESALER, "unpack", parent=CASE)
    stocked.ok(WHOLESALER, "split", item=LOT, parts=[{"lot": "A1-x", "amount": 10}])
    move(stocked, f"{LOT}-x", 10, WHOLESALER, PHARMACY)
    stocked.ok(PHARMACY, "dispense", items=[some(f"{LOT}-x", 3)])
    # None of this is the lot's: the units go on without it.
    stocked.ok(WHOLESALER, "ship", items=[some(CASE), some(PALLET)], consignee=PHARMACY)
    found = stocked.query("trace", item=LOT)
    assert found["complete"]
    assert [event["event"] for event in found["events"]] == [
        "Commissioned",
        "Serialised",
        "Commissioned",  # the serial
        "Packed",
        "Packed",  # the case, on the pallet
        "Shipped",
        "Received",
        "Unpacked",
        "Unpacked",
        "Split",
        "SplitOff",
        "Shipped",
        "Received",
        "Dispensed",
    ]
    shipped = found["events"][5]
    assert (shipped["item"], shipped["organisation"]) == (PALLET, MAKER)
    assert shipped["key"] == public_key(seed_of(MAKER))
    assert len(shipped["tx_id"]) == 32 and shipped["height"] == 5
    assert shipped["time"] == START_MS + 5_000
    assert names(stocked, f"{LOT}-x") == ["SplitOff", "Shipped", "Received", "Dispensed"]


def test_trace_of_nothing_is_empty(ledger: Ledger) -> None:
    assert ledger.query("trace", item=LOT) == {"item": LOT, "complete": True, "events": []}
    assert ledger.query("item", item=LOT) is None


def test_a_trace_that_is_too_long_says_so(stocked: Ledger) -> None:
    apart = Call("batch", "quarantine", {"items": [some(LOT, 1)], "cause": "DAMAGED"})
    back = Call("batch", "release", {"items": [some(LOT, 1)]})
    for _ in range(5):
        stocked.block(stocked.tx(seed_of(MAKER), *[apart, back] * 110))
    found = stocked.query("trace", item=LOT)
    assert len(found["events"]) == 1_000 and not found["complete"]
