"""What one organisation must not do to another, or to a recall: attacks on the supply contracts."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.runtime.executor import DUE_STEPS_MAX
from contracts.sdk.testkit import Testkit, organisation_id
from tests.contracts import test_dscsa as dscsa
from tests.contracts import test_quality as quality
from tests.contracts.recalls import (
    GTIN,
    LOT,
    SYRUP,
    board,
    classify,
    figures,
    initiate,
    recall_of,
    set_strategy,
    ship,
    small_world,
    some,
    sscc,
    told,
)

SERIAL = f"01/{GTIN}/21/X1"
EXPIRY = "2027-12-31"


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def all_due_ok(kit: Testkit) -> None:
    assert [one.code for one in kit.due_receipts if one.code != "OK"] == []


def serials(first: int, count: int) -> list[dict[str, Any]]:
    return [some(f"01/{GTIN}/21/S{first + at}") for at in range(count)]


# --- units that nobody can look through ---------------------------------------------------------


def test_units_are_wrapped_no_deeper_than_can_be_looked_through(kit: Testkit) -> None:
    maker = kit.as_("maker")
    maker.call("batch", "commission", items=[some(SERIAL)], lot="A1", expiry=EXPIRY)
    inner = SERIAL
    for number in range(1, 8):
        maker.call("batch", "pack", parent=sscc(number), items=[some(inner)])
        inner = sscc(number)
    maker.refused("PACKED_TOO_DEEP", "batch", "pack", parent=sscc(8), items=[some(inner)])
    ship(kit, inner, None, "maker", "wholesaler")
    number = initiate(kit)
    classify(kit, number)
    set_strategy(kit, number)
    all_due_ok(kit)
    assert told(kit, number) == {"wholesaler"}
    for number in range(7, 0, -1):
        kit.as_("wholesaler").call("batch", "unpack", parent=sscc(number))


def test_a_unit_with_more_than_can_be_looked_through_goes_into_no_other(kit: Testkit) -> None:
    maker = kit.as_("maker")
    for first in range(0, 2000, 400):
        things = serials(first, 400)
        maker.call("batch", "commission", items=things, expiry=EXPIRY)
        maker.call("batch", "pack", parent=sscc(1), items=things)
    full = {"parent": sscc(2), "items": [some(sscc(1))]}
    maker.refused("TOO_MANY_CONTENTS", "batch", "pack", **full)
    maker.call("batch", "unpack", parent=sscc(1), items=serials(0, 1))
    maker.call("batch", "pack", **full)
    maker.call("batch", "unpack", parent=sscc(2))


# --- recalls that one organisation stops --------------------------------------------------------


def test_unknown_things_come_from_registered_organisations(kit: Testkit) -> None:
    kit.as_("consortium").call("batch", "set_policy", unknown_items="OPEN")
    for item in (some(f"01/{GTIN}/10/Z9", 1), some(SERIAL)):
        kit.as_("pharmacy").refused(
            "UNKNOWN_ORGANISATION", "batch", "receive", items=[item], sender=organisation_id(9001)
        )


def test_watching_a_serial_stops_no_notice_and_moves_nothing(kit: Testkit) -> None:
    kit.as_("maker").call("batch", "commission", items=[some(SERIAL)], expiry=EXPIRY)
    watching = ("batch", "observe", {"items": [some(SERIAL)]})
    for _ in range(60):
        kit.as_("pharmacy").calls(*[watching] * 10)
    number = initiate(kit, SERIAL)
    classify(kit, number)
    set_strategy(kit, number)
    all_due_ok(kit)
    assert not recall_of(kit, number)["walking"]
    assert told(kit, number) == set()
    assert figures(board(kit, number)) == (0, 0, 0, 0, 0)


def test_a_hold_spreads_however_many_stand_on_a_thing(kit: Testkit) -> None:
    ship(kit, LOT, 50, "maker", "wholesaler")
    parts = [{"lot": f"P{number}", "amount": 1} for number in range(50)]
    kit.as_("wholesaler").call("batch", "split", item=LOT, parts=parts)
    for _ in range(30):
        number = initiate(kit)
        all_due_ok(kit)
    kit.advance()
    assert kit.query("batch", "holding", number=number)["count"] == 51
    assert kit.query("batch", "holding", number=number)["complete_to"]


def test_a_timed_call_of_a_hold_keeps_within_its_steps(kit: Testkit) -> None:
    """Also with the longest names, and when a page of children comes last."""
    kit.as_("maker").call("batch", "commission", items=[some(LOT, 10_000)], expiry=EXPIRY)
    for first in range(0, 400, 50):
        parts = [{"lot": f"%{first + at:0>19}", "amount": 1} for at in range(50)]
        kit.as_("maker").call("batch", "split", item=LOT, parts=parts)
    number = kit.as_("regulator").call("batch", "detain", items=[some(LOT), *serial_lots(kit, 399)])
    most = 0
    for _ in range(4):
        kit.advance()
        all_due_ok(kit)
        most = max([most, *[one.steps_used for one in kit.due_receipts]])
    assert kit.query("batch", "holding", number=number)["complete_to"]
    kit.as_("regulator").call("batch", "end_detention", number=number)
    for _ in range(6):
        kit.advance()
        all_due_ok(kit)
        most = max([most, *[one.steps_used for one in kit.due_receipts]])
    assert kit.query("batch", "holding", number=number)["lifted_at"]
    assert most < DUE_STEPS_MAX * 95 // 100


def serial_lots(kit: Testkit, count: int) -> list[dict[str, Any]]:
    """Lots with long names, commissioned."""
    things = [some(f"01/{GTIN}/10/%25{at:0>19}", 1) for at in range(1000, 1000 + count)]
    kit.as_("maker").call("batch", "commission", items=things, expiry=EXPIRY)
    return [some(thing["item"]) for thing in things]


def test_a_recall_of_many_things_can_be_terminated(kit: Testkit) -> None:
    maker = kit.as_("maker")
    for first in range(0, 3200, 400):
        maker.call("batch", "commission", items=serials(first, 400), lot="B1", expiry=EXPIRY)
    number = initiate(kit)
    for first in range(0, 3200, 400):
        maker.call("recall", "widen", number=number, reason="More", items=serials(first, 400))
    classify(kit, number)
    set_strategy(kit, number, level="E")
    for _ in range(60):
        kit.advance()
    maker.call("recall", "complete", number=number, explanation="Sold on.")
    kit.as_("regulator").call("recall", "terminate", number=number)
    kit.as_("regulator").call("recall", "release", number=number, grounds="Found to be good.")
    for _ in range(40):
        kit.advance()
        all_due_ok(kit)
    ship(kit, serials(3199, 1)[0]["item"], None, "maker", "wholesaler")
    events = kit.query("batch", "trace", item=serials(3199, 1)[0]["item"])["events"]
    assert [one["event"] for one in events][-3:] == ["RecallTerminated", "Shipped", "Received"]


# --- figures ------------------------------------------------------------------------------------


def test_the_dashboard_counts_a_lot_that_is_used_day_after_day(kit: Testkit) -> None:
    kit.as_("maker").call("batch", "commission", items=[some(LOT, 900)], expiry=EXPIRY)
    ship(kit, LOT, 1000, "maker", "pharmacy")
    for _ in range(520):
        kit.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 1)])
        kit.advance(days=1)
    assert figures(board(kit, initiate(kit)))[:4] == (1000, 0, 0, 520)


def test_who_held_a_lot_before_it_was_made_did_not_make_it(kit: Testkit) -> None:
    new = f"01/{GTIN}/10/NEW"
    number = kit.as_("regulator").call("batch", "detain", items=[some(new)])
    kit.as_("regulator").call("batch", "end_detention", number=number)
    kit.advance()
    kit.as_("maker").call("batch", "commission", items=[some(new, 100)], expiry=EXPIRY)
    assert figures(board(kit, initiate(kit, new))) == (0, 0, 0, 0, 0)


# --- goods of others ----------------------------------------------------------------------------


def test_an_owner_elsewhere_has_nobodys_stock_inspected() -> None:
    kit = quality.small_world()
    quality.ship(kit, 50)
    quality.ship(kit, 1, to="pharmacy")
    more = {"item": LOT, "laboratory": kit.id("lab"), "plan": quality.plan(kit)}
    kit.as_("pharmacy").refused(
        "NOT_HOLDER", "quality", "request", holder=kit.id("wholesaler"), **more
    )


def test_a_lot_that_was_only_named_is_commissioned_in_its_own_unit(kit: Testkit) -> None:
    kit.as_("consortium").call("batch", "set_policy", unknown_items="OPEN")
    kit.as_("pharmacy").call("batch", "observe", items=[some(SYRUP, 1, "KGM")])
    kit.as_("maker").call("batch", "commission", items=[some(SYRUP, 5, "MLT")], expiry=EXPIRY)
    assert kit.query("batch", "item", item=SYRUP)["record"]["unit"] == "MLT"


# --- goods under another name -------------------------------------------------------------------


def test_what_is_split_off_suspect_product_is_not_made_into_anything() -> None:
    kit = dscsa.unlicensed_world()
    maker = kit.as_("maker")
    maker.call("dscsa", "report_suspect", items=[some(dscsa.LOT, 10)], grounds="COUNTERFEIT")
    maker.call("batch", "split", item=dscsa.LOT, parts=[{"lot": "B1", "amount": 50}])
    part = f"01/{dscsa.GTIN}/10/B1"
    maker.refused(
        "LOCKED", "batch", "transform", inputs=[some(part, 50)], outputs=[some(SYRUP, 50)]
    )


def test_serials_made_of_a_rejected_lot_stand_still() -> None:
    kit = quality.small_world()
    quality.inspected(kit, quality.BAD)
    maker = kit.as_("maker")
    made = {"inputs": [some(LOT, 1)], "outputs": [some(quality.SERIAL)], "lot": "N1"}
    maker.call("batch", "transform", expiry=EXPIRY, **made)
    items = [some(quality.SERIAL)]
    maker.refused("LOCKED", "batch", "ship", items=items, consignee=kit.id("wholesaler"))


def test_a_trace_is_not_filled_with_observations(kit: Testkit) -> None:
    """Else what comes after a thousand of them would not be shown."""
    for _ in range(201):
        kit.as_("carrier").call("batch", "observe", items=[some(LOT)])
    ship(kit, LOT, 60, "maker", "wholesaler")
    found = kit.query("batch", "trace", item=LOT)
    names = [event["event"] for event in found["events"]]
    assert names.count("Observed") == 200
    assert names[-2:] == ["Shipped", "Received"]
    assert not found["complete"]
