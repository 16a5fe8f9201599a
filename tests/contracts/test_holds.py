"""Holds: how they spread to all that was made of a thing, and are lifted, within their steps."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.runtime.executor import DUE_STEPS_MAX
from contracts.sdk.testkit import Testkit
from tests.contracts.recalls import (
    ANNOUNCEMENT,
    GTIN,
    LOT,
    OTHER_LOT,
    SYRUP,
    SYRUP_GTIN,
    board,
    classify,
    initiate,
    quarantine,
    recall_of,
    set_strategy,
    ship,
    small_world,
    some,
    sscc,
    told,
)


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def holding(kit: Testkit, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("batch", "holding", number=number)
    return found


def descendants(kit: Testkit, count: int) -> list[str]:
    """Lots of one piece, each split off the first, fifty at a time."""
    maker = kit.as_("maker")
    maker.call("batch", "commission", items=[some(LOT, count)], expiry="2027-12-31")
    names = [f"D{number}" for number in range(count)]
    for first in range(0, count, 50):
        parts = [{"lot": name, "amount": 1} for name in names[first : first + 50]]
        maker.calls(("batch", "split", {"item": LOT, "parts": parts}), steps_max=10_000_000)
    return [f"01/{GTIN}/10/{name}" for name in names]


def test_a_hold_reaches_ten_thousand_descendants_by_timed_calls(kit: Testkit) -> None:
    """Each keeps within its steps; while they run, nothing that descends can move."""
    lots = descendants(kit, 10_000)
    number = initiate(kit)
    args = {"items": [some(lots[-1], 1)], "consignee": kit.id("wholesaler")}
    before = len(kit.due_receipts)
    assert holding(kit)["count"] == 1  # it has not spread at all
    kit.as_("maker").refused("HELD", "batch", "ship", **args)
    kit.advance()
    while not holding(kit)["complete_to"]:
        kit.as_("maker").refused("HELD", "batch", "ship", **args)
    ran = [one for one in kit.due_receipts[before:] if one.steps_used > 10_000]
    assert {one.code for one in kit.due_receipts[before:]} == {"OK"}
    assert len(ran) > 50
    assert max(one.steps_used for one in ran) < DUE_STEPS_MAX
    found = holding(kit)
    assert (found["count"], found["complete_to"] > 0) == (10_001, True)
    assert kit.query("batch", "held_things", number=1, start=10_000) == [lots[-1]]
    kit.as_("maker").refused("HELD", "batch", "ship", **args)
    steps = kit.last.steps_used  # the thing itself is looked at, no ancestors any more
    assert steps < 20_000

    classify(kit, number)
    set_strategy(kit, number, level="E")
    while recall_of(kit, number)["walking"]:
        kit.advance()
    kit.as_("maker").call("recall", "complete", number=number, explanation="Sold on.")
    kit.as_("regulator").call("recall", "terminate", number=number)
    kit.as_("regulator").call("recall", "release", number=number, grounds="Found to be good.")
    kit.advance()
    while not holding(kit)["lifted_at"]:
        kit.advance()
    assert {one.code for one in kit.due_receipts[before:]} == {"OK"}
    assert max(one.steps_used for one in kit.due_receipts) < DUE_STEPS_MAX
    kit.as_("maker").call("batch", "ship", **args)


def test_a_hold_follows_a_chain_of_many_generations(kit: Testkit) -> None:
    maker = kit.as_("maker")
    item = LOT
    for generation in range(60):
        parts = [{"lot": f"G{generation}", "amount": 100 - generation}]
        maker.call("batch", "split", item=item, parts=parts)
        item = f"01/{GTIN}/10/G{generation}"
    initiate(kit)
    args = {"items": [some(item, 1)], "consignee": kit.id("wholesaler")}
    maker.refused("HELD", "batch", "ship", **args)
    kit.advance()
    assert holding(kit)["count"] == 61
    assert [one["recall"] for one in kit.query("batch", "holds_on", item=item)] == [1]


def test_holds_in_the_same_block_stand_before_they_spread(kit: Testkit) -> None:
    """A recall and the shipment of a descendant, in this order, in one transaction's block."""
    parts = [{"lot": "A1-x", "amount": 10}]
    kit.as_("maker").call("batch", "split", item=LOT, parts=parts)
    shipment = {"items": [some(f"{LOT}-x", 1)], "consignee": kit.id("wholesaler")}
    recalled = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
    with pytest.raises(Exception, match="HELD"):
        kit.as_("maker").calls(
            ("recall", "initiate", recalled),
            ("batch", "ship", shipment),
        )
    kit.as_("maker").call("batch", "ship", **shipment)  # all or nothing: nothing is recalled


def test_diamonds_are_held_once(kit: Testkit) -> None:
    maker = kit.as_("maker")
    parts = [{"lot": name, "amount": 10} for name in ("X", "Y")]
    maker.call("batch", "split", item=LOT, parts=parts)
    both = [some(f"01/{GTIN}/10/{name}", 10) for name in ("X", "Y")]
    maker.call("batch", "merge", items=both, lot="XY")
    initiate(kit)
    kit.advance()
    assert holding(kit)["count"] == 4
    assert len(kit.query("batch", "holds_on", item=f"01/{GTIN}/10/XY")) == 1


def test_a_lot_that_was_never_commissioned_is_held_wherever_it_turns_up(kit: Testkit) -> None:
    unseen = f"01/{GTIN}/10/UNSEEN"
    call = {"announcement": ANNOUNCEMENT, "items": [some(unseen)]}
    kit.as_("maker").refused("NOT_MAKER", "recall", "initiate", **call)  # nobody's, so far
    kit.as_("maker").call("batch", "register_trade_item", gtin=GTIN)
    kit.as_("blender").refused("NOT_MAKER", "recall", "initiate", **call)
    number = initiate(kit, unseen)
    made = {"items": [some(unseen, 5)], "expiry": "2027-12-31"}
    kit.as_("maker").refused("HELD", "batch", "commission", **made)
    kit.as_("regulator").call("batch", "set_policy", unknown_items="OPEN")
    args = {"items": [some(unseen, 5)], "sender": kit.id("wholesaler")}
    kit.as_("pharmacy").call("batch", "receive", **args)
    (stock,) = kit.query("batch", "item", item=unseen)["stock"]
    assert (stock["free"], stock["quarantined"]) == (0, 5)
    kit.as_("wholesaler").refused(
        "HELD", "batch", "ship", items=[some(unseen, 1)], consignee=kit.id("pharmacy")
    )
    set_strategy(kit, number)
    assert told(kit, number) == {"pharmacy", "wholesaler"}
    assert board(kit, number)["outstanding"] == 5


def test_a_regulators_own_hold(kit: Testkit) -> None:
    """A detention: without a recall, and lifted by a regulator alone."""
    ship(kit, LOT, 20, "maker", "pharmacy")
    note = kit.commit("seen at the border")
    args = {"items": [some(LOT)], "cause": "ILLEGITIMATE", "note": note.commitment}
    for name in ("maker", "pharmacy"):
        kit.as_(name).refused("NOT_AUTHORISED", "batch", "detain", **args)
    number = kit.as_("regulator").call("batch", "detain", **args)
    assert holding(kit, number)["recall"] == 0
    kit.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(LOT, 1)])
    kit.as_("maker").refused("NOT_AUTHORISED", "batch", "end_detention", number=number)
    regulator = kit.as_("regulator")
    regulator.refused("UNKNOWN_HOLD", "batch", "end_detention", number=number + 1)
    regulator.call("batch", "end_detention", number=number)
    kit.advance()
    kit.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 1)])
    assert not kit.discloses("seen at the border")
    initiate(kit)
    regulator.refused("WRONG_STATE", "batch", "end_detention", number=number + 1)


def test_nobody_but_the_recall_contract_holds_and_lifts(kit: Testkit) -> None:
    initiate(kit)
    for name in ("maker", "regulator"):
        args = {"items": [some(OTHER_LOT)], "recall": 1}
        kit.as_(name).refused("NOT_AUTHORISED", "batch", "hold", **args)
        kit.as_(name).refused("NOT_AUTHORISED", "batch", "lift", number=1)


def test_transformed_goods_are_held_at_once_and_for_good(kit: Testkit) -> None:
    ship(kit, LOT, 20, "maker", "blender")
    made = {"inputs": [some(LOT, 10)], "outputs": [some(SYRUP, 10)]}
    kit.as_("blender").call("batch", "transform", **made)
    kit.as_("blender").call("batch", "pack", parent=sscc(5), items=[some(SYRUP, 4)])
    kit.as_("blender").call("batch", "ship", items=[some(sscc(5))], consignee=kit.id("pharmacy"))
    initiate(kit)
    kit.as_("pharmacy").call("batch", "receive", items=[some(sscc(5))])  # on the way
    record = kit.query("batch", "item", item=sscc(5))["record"]
    assert record["state"] == "QUARANTINED"
    more = {"inputs": [some(SYRUP, 1)], "outputs": [some(f"01/{SYRUP_GTIN}/10/S2", 1)]}
    kit.as_("blender").refused("HELD", "batch", "transform", **more)
    kit.as_("pharmacy").call("batch", "unpack", parent=sscc(5))
    kit.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(SYRUP, 1)])
    kit.as_("pharmacy").refused("HELD", "batch", "release", items=[some(SYRUP, 1)])


def test_a_stopped_holding_goes_on_by_anybodys_call(kit: Testkit) -> None:
    initiate(kit)
    kit.advance()
    kit.as_("pharmacy").refused("WRONG_STATE", "batch", "go_on_holding", number=1)
    kit.as_("pharmacy").refused("UNKNOWN_HOLD", "batch", "go_on_holding", number=2)
    quarantine(kit, "maker", LOT, 1)
