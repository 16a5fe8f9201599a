"""Holder and owner apart, what moved to whom, and what the chain has not seen before."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from contracts.sdk.commitments import SALT_BYTES, commit
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
from tests.contracts.test_batch import CASE, GTIN, LOT, PALLET, SERIAL, amounts, move, some

CARRIER = gln(7)
DAY_MS = 86_400_000
OTHER_LOT = f"01/{GTIN}/10/B1"


@pytest.fixture
def trade(ledger: Ledger) -> Ledger:
    """The maker has 100 of a lot and a serial of it; there is a carrier."""
    carrier = {
        "id": CARRIER,
        "name": "Carrier",
        "roles": ["logistics_operator"],
        "admin_key": public_key(seed_of(CARRIER)),
    }
    ledger.ok(CONSORTIUM, "add_organisation", "identity", **carrier)
    ledger.ok(MAKER, "commission", items=[some(LOT, 100)], expiry="2027-12-31")
    ledger.ok(MAKER, "commission", items=[some(SERIAL)], expiry="2027-12-31", lot="A1")
    return ledger


def whose(ledger: Ledger, item: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(Holder, owner) -> (free, quarantined, expired)."""
    return {
        (entry["holder"], entry["owner"]): (entry["free"], entry["quarantined"], entry["expired"])
        for entry in ledger.query("item", item=item)["stock"]
    }


def flows(ledger: Ledger, item: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(Sender, receiver) -> (shipped, received)."""
    return {
        (flow["sender"], flow["receiver"]): (flow["shipped"], flow["received"])
        for flow in ledger.query("movements", item=item)["flows"]
    }


# --- holder and owner ------------------------------------------------------------------------


def test_ownership_passes_on_receipt_and_not_before(trade: Ledger) -> None:
    trade.ok(MAKER, "ship", items=[some(LOT, 10), some(SERIAL)], consignee=WHOLESALER)
    (way,) = trade.query("item", item=LOT)["transit"]
    assert (way["owner"], way["buyer"], way["amount"]) == (MAKER, WHOLESALER, 10)
    assert trade.query("item", item=SERIAL)["owner"] == MAKER
    trade.ok(WHOLESALER, "receive", items=[some(LOT, 4), some(SERIAL)])
    assert whose(trade, LOT) == {
        (MAKER, MAKER): (90, 0, 0),
        (WHOLESALER, WHOLESALER): (4, 0, 0),
    }
    assert trade.query("item", item=SERIAL)["owner"] == WHOLESALER


def test_who_keeps_ownership_lends_only_custody(trade: Ledger) -> None:
    """A carrier holds, packs and ships what is the maker's; it uses up nothing of it."""
    goods = {"items": [some(LOT, 30), some(SERIAL)]}
    trade.ok(MAKER, "ship", **goods, consignee=CARRIER, keep_ownership=True)
    trade.ok(CARRIER, "receive", **goods)
    assert whose(trade, LOT)[(CARRIER, MAKER)] == (30, 0, 0)
    trade.refused("TOO_LITTLE", CARRIER, "decommission", items=[some(LOT, 1)])
    trade.refused("NOT_OWNER", CARRIER, "decommission", items=[some(SERIAL)])
    trade.refused("NOT_OWNER", CARRIER, "ship", items=[some(SERIAL)], consignee=WHOLESALER)
    trade.refused("NOT_HOLDER", MAKER, "decommission", items=[some(SERIAL)])
    trade.refused("TOO_LITTLE", MAKER, "decommission", items=[some(LOT, 71)])
    trade.ok(CARRIER, "pack", parent=PALLET, items=[some(LOT, 20), some(SERIAL)], owner=MAKER)
    assert trade.query("item", item=SERIAL)["owner"] == MAKER
    trade.ok(CARRIER, "ship", items=[some(PALLET)], consignee=WHOLESALER, owner=MAKER)
    trade.ok(WHOLESALER, "receive", items=[some(PALLET)])
    found = trade.query("item", item=PALLET)
    assert (found["holder"], found["owner"]) == (WHOLESALER, MAKER)
    trade.ok(WHOLESALER, "unpack", parent=PALLET)
    assert whose(trade, LOT)[(WHOLESALER, MAKER)] == (20, 0, 0)
    trade.refused("TOO_LITTLE", WHOLESALER, "split", item=LOT, parts=[{"lot": "x", "amount": 1}])


def test_a_holder_can_t_give_away_what_is_another_s(trade: Ledger) -> None:
    trade.ok(MAKER, "ship", items=[some(LOT, 30)], consignee=CARRIER, keep_ownership=True)
    trade.ok(CARRIER, "receive", items=[some(LOT)])
    trade.ok(CARRIER, "ship", items=[some(LOT, 30)], consignee=WHOLESALER, owner=MAKER)
    trade.ok(WHOLESALER, "receive", items=[some(LOT)])
    assert whose(trade, LOT) == {(MAKER, MAKER): (70, 0, 0), (WHOLESALER, MAKER): (30, 0, 0)}


def test_the_owner_sells_what_lies_at_another(trade: Ledger) -> None:
    goods = {"items": [some(LOT, 30), some(SERIAL)]}
    trade.ok(MAKER, "ship", **goods, consignee=CARRIER, keep_ownership=True)
    trade.ok(CARRIER, "receive", **goods)
    sale = {"items": [some(LOT, 25), some(SERIAL)], "holder": CARRIER}
    trade.refused("TOO_LITTLE", CARRIER, "sell", **sale, buyer=WHOLESALER)
    trade.refused("OWN_BUYER", MAKER, "sell", **sale, buyer=MAKER)
    trade.refused("UNKNOWN_BUYER", MAKER, "sell", **sale, buyer=gln(99))
    wrong = {"items": [some(SERIAL)], "holder": WHOLESALER, "buyer": PHARMACY}
    trade.refused("NOT_HOLDER", MAKER, "sell", **wrong)
    trade.ok(MAKER, "sell", **sale, buyer=WHOLESALER)
    assert whose(trade, LOT) == {
        (MAKER, MAKER): (70, 0, 0),
        (CARRIER, MAKER): (5, 0, 0),
        (CARRIER, WHOLESALER): (25, 0, 0),
    }
    assert trade.query("item", item=SERIAL)["owner"] == WHOLESALER
    trade.refused("NOT_OWNER", MAKER, "sell", items=[some(SERIAL)], holder=CARRIER, buyer=PHARMACY)
    trade.ok(CARRIER, "ship", items=[some(LOT, 25)], consignee=WHOLESALER, owner=WHOLESALER)
    trade.ok(WHOLESALER, "receive", items=[some(LOT)])
    assert whose(trade, LOT)[(WHOLESALER, WHOLESALER)] == (25, 0, 0)


def test_what_is_held_or_expired_is_not_sold(trade: Ledger) -> None:
    sale: dict[str, Any] = {"holder": MAKER, "buyer": WHOLESALER}
    trade.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 5)])
    trade.time_ms = START_MS + 600 * DAY_MS
    for item in (some(LOT, 1), some(SERIAL), some(PALLET)):
        trade.refused("EXPIRED", MAKER, "sell", items=[item], **sale)


def test_a_unit_holds_one_owner_s_things(trade: Ledger) -> None:
    trade.ok(MAKER, "ship", items=[some(LOT, 30)], consignee=CARRIER, keep_ownership=True)
    trade.ok(CARRIER, "receive", items=[some(LOT)])
    trade.ok(CARRIER, "pack", parent=PALLET, items=[some(LOT, 10)], owner=MAKER)
    trade.ok(CARRIER, "commission", items=[some(CASE)])
    trade.refused("NOT_OWNER", CARRIER, "pack", parent=PALLET, items=[some(CASE)])
    trade.refused("NOT_OWNER", CARRIER, "pack", parent=PALLET, items=[some(CASE)], owner=MAKER)
    trade.ok(CARRIER, "unpack", parent=PALLET)
    trade.ok(CARRIER, "pack", parent=PALLET, items=[some(CASE)])  # empty, it takes any owner's
    assert trade.query("item", item=PALLET)["owner"] == CARRIER


def test_receiving_in_part_and_whole(trade: Ledger) -> None:
    trade.ok(MAKER, "ship", items=[some(LOT, 10)], consignee=PHARMACY)
    trade.ok(MAKER, "ship", items=[some(LOT, 5)], consignee=PHARMACY, keep_ownership=True)
    receipt = trade.ok(PHARMACY, "receive", items=[some(LOT, 3)])
    assert receipt.events[0].fields["items"] == [{"item": LOT, "amount": 3, "unit": "EA"}]
    trade.refused("NOT_IN_TRANSIT", PHARMACY, "receive", items=[some(LOT, 13)])
    trade.refused("NOT_IN_TRANSIT", PHARMACY, "receive", items=[some(LOT)], sender=WHOLESALER)
    receipt = trade.ok(PHARMACY, "receive", items=[some(LOT)])
    assert receipt.events[0].fields["items"] == [{"item": LOT, "amount": 12, "unit": "EA"}]
    assert whose(trade, LOT) == {
        (MAKER, MAKER): (85, 0, 0),
        (PHARMACY, PHARMACY): (10, 0, 0),
        (PHARMACY, MAKER): (5, 0, 0),
    }
    trade.refused("NOT_IN_TRANSIT", PHARMACY, "receive", items=[some(LOT)])


def test_who_shipped_takes_back_what_was_not_received(trade: Ledger) -> None:
    trade.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 20)])
    trade.ok(MAKER, "ship", items=[some(PALLET), some(LOT, 10)], consignee=WHOLESALER)
    trade.ok(WHOLESALER, "receive", items=[some(LOT, 4)])
    back = {"items": [some(PALLET), some(LOT, 6)], "consignee": WHOLESALER}
    trade.refused("NOT_IN_TRANSIT", WHOLESALER, "void_shipping", **back)
    more = {"items": [some(LOT, 7)], "consignee": WHOLESALER}
    trade.refused("NOT_IN_TRANSIT", MAKER, "void_shipping", **more)
    trade.ok(MAKER, "void_shipping", **back)
    trade.refused("NOT_IN_TRANSIT", WHOLESALER, "receive", items=[some(PALLET)])
    assert whose(trade, LOT)[(MAKER, MAKER)] == (76, 0, 0)
    assert flows(trade, LOT) == {(MAKER, WHOLESALER): (4, 4)}
    trade.ok(MAKER, "decommission", items=[some(LOT, 6)], cause="LOST")


# --- quarantine and expiry -------------------------------------------------------------------


def test_quarantine_has_a_cause_and_a_note_for_the_parties(trade: Ledger) -> None:
    note = commit(b"s" * SALT_BYTES, "seal broken on arrival of order 4711")
    args = {"items": [some(LOT, 30)], "cause": "DAMAGED", "note": note}
    receipt = trade.ok(MAKER, "quarantine", **args)
    assert receipt.events[0].fields["cause"] == "DAMAGED"
    assert receipt.events[0].fields["note"] == note
    assert all(b"4711" not in value for value in trade.state.values.values())
    for wrong in ({"cause": "seal broken"}, {"note": b"seal broken"}):
        trade.refused("BAD_ARGUMENT", MAKER, "quarantine", items=[some(LOT, 1)], **wrong)


def test_a_holder_sets_another_s_goods_apart(trade: Ledger) -> None:
    trade.ok(MAKER, "ship", items=[some(LOT, 30)], consignee=CARRIER, keep_ownership=True)
    trade.ok(CARRIER, "receive", items=[some(LOT)])
    trade.refused("TOO_LITTLE", CARRIER, "quarantine", items=[some(LOT, 10)])
    trade.ok(CARRIER, "quarantine", items=[some(LOT, 10)], owner=MAKER)
    assert whose(trade, LOT)[(CARRIER, MAKER)] == (20, 10, 0)
    trade.ok(CARRIER, "release", items=[some(LOT, 4)], owner=MAKER)
    assert whose(trade, LOT)[(CARRIER, MAKER)] == (24, 6, 0)


def test_what_comes_out_of_a_quarantined_unit_stays_in_quarantine(trade: Ledger) -> None:
    trade.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 10), some(SERIAL)])
    trade.ok(MAKER, "quarantine", items=[some(PALLET)])
    trade.ok(MAKER, "unpack", parent=PALLET)
    assert whose(trade, LOT) == {(MAKER, MAKER): (90, 10, 0)}
    trade.refused("WRONG_STATE", MAKER, "ship", items=[some(SERIAL)], consignee=WHOLESALER)


def test_expired_stock_is_set_apart_and_only_ended(trade: Ledger) -> None:
    trade.refused("NOT_EXPIRED", MAKER, "expire", items=[some(LOT, 1)])
    trade.ok(MAKER, "quarantine", items=[some(LOT, 20)])
    trade.ok(MAKER, "ship", items=[some(LOT, 30)], consignee=WHOLESALER)
    trade.ok(MAKER, "pack", parent=PALLET, items=[some(LOT, 10)])
    trade.time_ms = START_MS + 600 * DAY_MS
    trade.ok(MAKER, "expire", items=[some(LOT, 40), some(SERIAL)])
    assert whose(trade, LOT) == {(MAKER, MAKER): (0, 20, 40)}
    assert trade.query("item", item=SERIAL)["record"]["state"] == "EXPIRED"
    trade.ok(MAKER, "unpack", parent=PALLET)
    trade.ok(WHOLESALER, "receive", items=[some(LOT)])  # it expired on its way
    assert whose(trade, LOT) == {(MAKER, MAKER): (0, 20, 50), (WHOLESALER, WHOLESALER): (0, 0, 30)}
    trade.refused("EXPIRED", MAKER, "release", items=[some(LOT, 1)])
    trade.refused("TOO_LITTLE", MAKER, "expire", items=[some(LOT, 1)])
    trade.refused("WRONG_STATE", MAKER, "expire", items=[some(SERIAL)])
    trade.refused("EXPIRED", MAKER, "ship", items=[some(LOT, 1)], consignee=WHOLESALER)
    ended = {"items": [some(LOT, 60), some(SERIAL)], "state": "DESTROYED", "cause": "EXPIRED"}
    trade.ok(MAKER, "decommission", **ended)
    assert whose(trade, LOT)[(MAKER, MAKER)] == (0, 10, 0)


@pytest.mark.parametrize(
    ("text", "last_day_ms"),
    [("270200", 1_803_772_800_000), ("280200", 1_835_395_200_000)],
)
def test_rule_4_day_00_of_february_lasts_to_its_last_day(
    ledger: Ledger, text: str, last_day_ms: int
) -> None:
    """28 February 2027 and 29 February 2028: shipped on that day, expired on the next."""
    ledger.ok(MAKER, "commission", items=[some(LOT, 10)], expiry=text)
    ledger.time_ms = last_day_ms + DAY_MS - 5_000
    ledger.ok(MAKER, "ship", items=[some(LOT, 1)], consignee=WHOLESALER)
    ledger.time_ms = last_day_ms + DAY_MS
    ledger.refused("EXPIRED", MAKER, "ship", items=[some(LOT, 1)], consignee=WHOLESALER)


# --- what moved ------------------------------------------------------------------------------


def test_movements_add_up_by_sender_and_receiver(trade: Ledger) -> None:
    """Contents of units and serials of the lot are counted with it."""
    trade.ok(MAKER, "pack", parent=CASE, items=[some(LOT, 20), some(SERIAL)])
    trade.ok(MAKER, "pack", parent=PALLET, items=[some(CASE), some(LOT, 5)])
    trade.ok(MAKER, "ship", items=[some(PALLET), some(LOT, 10)], consignee=WHOLESALER)
    assert flows(trade, LOT) == {(MAKER, WHOLESALER): (36, 0)}
    trade.ok(WHOLESALER, "receive", items=[some(PALLET), some(LOT, 6)])
    trade.ok(WHOLESALER, "ship", items=[some(LOT, 6)], consignee=PHARMACY)
    trade.ok(PHARMACY, "receive", items=[some(LOT)])
    assert flows(trade, LOT) == {(MAKER, WHOLESALER): (36, 32), (WHOLESALER, PHARMACY): (6, 6)}
    (first, _) = trade.query("movements", item=LOT)["flows"]
    assert (first["first_day"], first["last_day"]) == (20260528, 20260528)
    trade.ok(PHARMACY, "dispense", items=[some(LOT, 2)])
    trade.ok(PHARMACY, "decommission", items=[some(LOT, 1)], state="DESTROYED")
    trade.time_ms += DAY_MS
    trade.ok(PHARMACY, "dispense", items=[some(LOT, 3)])
    trade.ok(MAKER, "split", item=LOT, parts=[{"lot": "A2", "amount": 7}])
    made = [some(f"01/{GTIN}/10/M1", 8)]
    trade.ok(MAKER, "transform", inputs=[some(LOT, 8)], outputs=made)
    uses = {
        (use["holder"], use["day"]): (
            use["dispensed"], use["destroyed"], use["consumed"], use["relotted"]
        )
        for use in trade.query("movements", item=LOT)["uses"]
    }  # fmt: skip
    assert uses == {
        (PHARMACY, 20260528): (2, 1, 0, 0),
        (PHARMACY, 20260529): (3, 0, 0, 0),
        (MAKER, 20260529): (0, 0, 8, 7),
    }


# --- what was never seen ---------------------------------------------------------------------


def test_only_consortium_or_regulator_set_the_policy(trade: Ledger) -> None:
    rest = {"inspection_required": False, "dscsa": False}
    assert trade.query("policy") == {
        "unknown_items": "REFUSE", "unregistered_items": "OPEN", **rest,
    }  # fmt: skip
    trade.refused("NOT_AUTHORISED", MAKER, "set_policy", unknown_items="OPEN")
    trade.ok(CONSORTIUM, "set_policy", unknown_items="OPEN")
    trade.ok(REGULATOR, "set_policy", unregistered_items="REFUSE")
    assert trade.query("policy") == {
        "unknown_items": "OPEN", "unregistered_items": "REFUSE", **rest,
    }  # fmt: skip


def test_what_was_never_commissioned_is_opened_with_a_mark(trade: Ledger) -> None:
    serial = f"01/{GTIN}/21/X9"
    unknown = [some(OTHER_LOT, 40), some(serial), some(PALLET)]
    trade.refused("UNKNOWN_ITEM", WHOLESALER, "ship", items=unknown, consignee=PHARMACY)
    trade.ok(CONSORTIUM, "set_policy", unknown_items="OPEN")
    receipt = trade.ok(WHOLESALER, "ship", items=unknown, consignee=PHARMACY)
    opened = [event.fields["item"] for event in receipt.events if event.name == "Opened"]
    assert opened == [OTHER_LOT, serial, PALLET]
    trade.ok(PHARMACY, "receive", items=unknown, sender=WHOLESALER)
    for item in (OTHER_LOT, serial, PALLET):
        record = trade.query("item", item=item)["record"]
        assert (record["opened"], record["maker"]) == (True, "")
    assert amounts(trade, OTHER_LOT) == {PHARMACY: (40, 0)}
    assert trade.query("item", item=LOT)["record"]["opened"] is False
    # What is known keeps its rules.
    trade.refused("TOO_LITTLE", WHOLESALER, "ship", items=[some(LOT, 1)], consignee=PHARMACY)


def test_the_maker_speaks_of_a_serial_after_others_have_named_it(trade: Ledger) -> None:
    """Else whoever names it first would keep its maker from making, and from recalling it."""
    serial = f"01/{GTIN}/21/X9"
    trade.ok(CONSORTIUM, "set_policy", unknown_items="OPEN")
    trade.ok(PHARMACY, "receive", items=[some(serial)], sender=WHOLESALER)
    trade.ok(MAKER, "commission", items=[some(serial)])
    record = trade.query("item", item=serial)["record"]
    assert (record["maker"], record["holder"]) == (MAKER, PHARMACY)
    trade.refused("ITEM_KNOWN", MAKER, "commission", items=[some(serial)])


def test_a_receipt_or_observation_opens_too(trade: Ledger) -> None:
    trade.ok(CONSORTIUM, "set_policy", unknown_items="OPEN")
    trade.ok(PHARMACY, "receive", items=[some(OTHER_LOT, 5), some(PALLET)], sender=WHOLESALER)
    assert amounts(trade, OTHER_LOT) == {PHARMACY: (5, 0)}
    assert flows(trade, OTHER_LOT) == {(WHOLESALER, PHARMACY): (0, 5)}
    trade.ok(PHARMACY, "receive", items=[some(OTHER_LOT, 2)], sender=WHOLESALER)
    assert amounts(trade, OTHER_LOT) == {PHARMACY: (7, 0)}
    seen = [some(f"01/{GTIN}/10/C1"), some(CASE)]
    trade.ok(REGULATOR, "observe", items=seen)
    assert trade.query("item", item=CASE)["record"]["opened"]
    trade.ok(CONSORTIUM, "set_policy", unknown_items="REFUSE")
    more = {"items": [some(OTHER_LOT, 2)], "sender": WHOLESALER}
    trade.refused("NOT_IN_TRANSIT", PHARMACY, "receive", **more)


def test_the_maker_may_speak_after_others_have_shipped(trade: Ledger) -> None:
    trade.ok(CONSORTIUM, "set_policy", unknown_items="OPEN")
    trade.ok(WHOLESALER, "ship", items=[some(OTHER_LOT, 5)], consignee=PHARMACY)
    trade.ok(MAKER, "commission", items=[some(OTHER_LOT, 50)], expiry="2027-12-31")
    record = trade.query("item", item=OTHER_LOT)["record"]
    assert (record["maker"], record["expiry"], record["made"]) == (MAKER, 20271231, 55)
    assert record["opened"]


def test_a_registered_trade_item_is_its_maker_s_alone(trade: Ledger) -> None:
    trade.refused("NOT_AUTHORISED", WHOLESALER, "register_trade_item", gtin=GTIN)
    trade.ok(MAKER, "register_trade_item", gtin=GTIN[1:], shelf_life_days=365)
    assert trade.query("trade_item", gtin=GTIN) == {
        "gtin": GTIN, "maker": MAKER, "unit": "EA", "shelf_life_days": 365,
        "inspection_required": False,
    }  # fmt: skip
    trade.refused("UNIT_MISMATCH", MAKER, "register_trade_item", gtin=GTIN, unit="GRM")
    new = [some(OTHER_LOT, 5)]
    trade.refused("EXPIRY_REQUIRED", MAKER, "commission", items=new)
    trade.refused("EXPIRY_TOO_LATE", MAKER, "commission", items=new, expiry="2027-05-29")
    grams = [some(OTHER_LOT, 5, "GRM")]
    trade.refused("UNIT_MISMATCH", MAKER, "commission", items=grams, expiry="2027-05-28")
    trade.ok(MAKER, "commission", items=new, expiry="2027-05-28")
    serial = [some(f"01/{GTIN}/21/S2")]
    trade.refused("EXPIRY_TOO_LATE", MAKER, "commission", items=serial, expiry="2027-05-29")
    roles = {"id": WHOLESALER, "roles": ["manufacturer", "wholesaler"]}
    trade.ok(CONSORTIUM, "set_organisation_roles", "identity", **roles)
    key = public_key(seed_of(WHOLESALER))
    trade.ok(WHOLESALER, "grant_role", "identity", key=key, role="manufacturer")
    for method, args in (
        ("register_trade_item", {"gtin": GTIN}),
        ("commission", {"items": [some(f"01/{GTIN}/10/D1", 1)], "expiry": "2027-05-28"}),
        ("commission", {"items": [some(f"01/{GTIN}/21/D1")], "expiry": "2027-05-28"}),
    ):
        trade.refused("NOT_MAKER", WHOLESALER, method, **args)


def test_the_consortium_gives_a_trade_item_to_whom_it_belongs(trade: Ledger) -> None:
    trade.ok(MAKER, "register_trade_item", gtin=GTIN, shelf_life_days=365)
    given = {"gtin": GTIN, "maker": WHOLESALER}
    trade.refused("NOT_AUTHORISED", MAKER, "assign_trade_item", **given)
    trade.refused(
        "UNKNOWN_TRADE_ITEM", CONSORTIUM, "assign_trade_item", **given | {"gtin": "5412345000013"}
    )
    nobody = given | {"maker": "5412345000013"}
    trade.refused("UNKNOWN_MAKER", CONSORTIUM, "assign_trade_item", **nobody)
    trade.ok(CONSORTIUM, "assign_trade_item", **given)
    item = trade.query("trade_item", gtin=GTIN)
    assert (item["maker"], item["shelf_life_days"]) == (WHOLESALER, 365)
    trade.refused("NOT_MAKER", MAKER, "commission", items=[some(OTHER_LOT, 5)])
    assert trade.query("item", item=LOT)["record"]["maker"] == MAKER


def test_the_consortium_may_want_trade_items_registered(trade: Ledger) -> None:
    trade.ok(CONSORTIUM, "set_policy", unregistered_items="REFUSE")
    for item in (some(OTHER_LOT, 5), some(f"01/{GTIN}/21/S2")):
        trade.refused("UNKNOWN_TRADE_ITEM", MAKER, "commission", items=[item])
    made = {"inputs": [some(LOT, 5)], "outputs": [some(OTHER_LOT, 5)]}
    trade.refused("UNKNOWN_TRADE_ITEM", MAKER, "transform", **made)
    trade.ok(MAKER, "register_trade_item", gtin=GTIN)
    trade.ok(MAKER, "transform", **made)
    move(trade, OTHER_LOT, 5, MAKER, WHOLESALER)
