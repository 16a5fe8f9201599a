"""Recalls (21 CFR 7.40 to 7.59; DOMAIN rules 23 to 25 and the edge cases), rule by rule."""

from __future__ import annotations

import pytest

from contracts.runtime.executor import DUE_STEPS_MAX
from contracts.sdk.testkit import Testkit
from tests.contracts.ledger import gln
from tests.contracts.recalls import (
    ANNOUNCEMENT,
    GTIN,
    LOT,
    OTHER_LOT,
    STRATEGY,
    SYRUP,
    SYRUP_GTIN,
    board,
    classify,
    consent,
    figures,
    finish,
    give_back,
    initiate,
    ongoing,
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


@pytest.fixture
def sold(kit: Testkit) -> Testkit:
    """60 at the wholesaler, 25 of them sold on to the pharmacy."""
    ship(kit, LOT, 60, "maker", "wholesaler")
    ship(kit, LOT, 25, "wholesaler", "pharmacy")
    return kit


# --- the procedure ---------------------------------------------------------------------------


def test_a_recall_from_draft_to_termination(sold: Testkit) -> None:
    draft = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
    number = sold.as_("maker").call("recall", "draft", **draft)
    assert recall_of(sold, number)["state"] == "DRAFT"
    sold.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 5)])  # nothing is held yet
    sold.as_("maker").call("recall", "start", number=number)
    assert recall_of(sold, number)["state"] == "INITIATED"
    sold.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(LOT, 5)])
    classify(sold, number)
    assert recall_of(sold, number)["state"] == "CLASSIFIED"
    set_strategy(sold, number)
    assert recall_of(sold, number)["state"] == "ONGOING"
    give_back(sold, number, "wholesaler", LOT, 35)
    quarantine(sold, "pharmacy", LOT, 20)
    consent(sold, number, "pharmacy")
    sold.as_("pharmacy").call("recall", "destroy", number=number, items=[some(LOT, 12)])
    assert figures(board(sold, number)) == (60, 35, 12, 5, 8)
    for name, found in (("wholesaler", "RETURNED"), ("pharmacy", "DESTROYED")):
        sold.as_(name).call("recall", "acknowledge", number=number, found=found)
    assert recall_of(sold, number)["acknowledged"] == 2
    finish(sold, number)
    assert recall_of(sold, number)["state"] == "TERMINATED"
    sold.as_("pharmacy").call("batch", "release", items=[some(LOT, 8)])
    sold.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 8)])
    assert figures(board(sold, number)) == (60, 35, 12, 13, 0)
    sold.replay()


def test_a_step_out_of_order_is_refused(sold: Testkit) -> None:
    number = initiate(sold)
    maker, regulator = sold.as_("maker"), sold.as_("regulator")
    maker.refused("WRONG_STATE", "recall", "start", number=number)
    maker.refused("WRONG_STATE", "recall", "complete", number=number)
    regulator.refused("WRONG_STATE", "recall", "terminate", number=number)
    regulator.refused("WRONG_STATE", "recall", "reclassify", number=number, recall_class="I")
    maker.refused("STRATEGY_MISSING", "recall", "notify", number=number)
    maker.refused("UNKNOWN_RECALL", "recall", "complete", number=number + 1)
    classify(sold, number)
    regulator.refused("WRONG_STATE", "recall", "classify", number=number, recall_class="I")
    set_strategy(sold, number)
    maker.refused("CHECKS_MISSING", "recall", "complete", number=number)
    finish(sold, number)
    for name, args in (
        ("widen", {"reason": "More", "codes": "Lot A3"}),
        ("set_strategy", STRATEGY),
    ):
        maker.refused("WRONG_STATE", "recall", name, number=number, **args)


def test_the_maker_or_a_regulator_initiates(sold: Testkit) -> None:
    call = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
    for name in ("wholesaler", "pharmacy"):
        sold.as_(name).refused("NOT_AUTHORISED", "recall", "initiate", **call)
    sold.as_("blender").refused("NOT_MAKER", "recall", "initiate", **call)
    sold.as_("blender").refused(
        "NOT_RECALLING_FIRM", "recall", "initiate", **call, firm=sold.id("maker")
    )
    sold.as_("regulator").refused("FIRM_MISSING", "recall", "initiate", **call)
    sold.as_("regulator").refused("UNKNOWN_FIRM", "recall", "initiate", **call, firm=gln(99))
    number = initiate(sold, who="regulator", firm=sold.id("maker"))
    assert recall_of(sold, number)["firm"] == sold.id("maker")
    sold.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(LOT, 1)])


def test_who_recalls_what_nobody_made_is_told_so(kit: Testkit) -> None:
    unknown = some("01/09521321000094/10/X")
    call = {"announcement": ANNOUNCEMENT, "items": [unknown]}
    said = kit.as_("maker").refused("NOT_MAKER", "recall", "initiate", **call)
    assert said.endswith("nobody made it here or registered its GTIN")
    theirs = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
    said = kit.as_("blender").refused("NOT_MAKER", "recall", "initiate", **theirs)
    assert said.endswith(f"{LOT} is {kit.id('maker')}'s")


def test_what_is_recalled_must_be_said_and_be_a_product(kit: Testkit) -> None:
    bare = {"product": "Tablets", "reason": "Dissolution"}
    maker = kit.as_("maker")
    maker.refused("NOTHING_RECALLED", "recall", "initiate", announcement=bare)
    kit.as_("maker").call("batch", "pack", parent=sscc(1), items=[some(LOT, 5)])
    unit = {"announcement": bare, "items": [some(sscc(1))]}
    maker.refused("NOT_TRADE_ITEM", "recall", "initiate", **unit)
    number = initiate(kit)
    again = {"number": number, "reason": "More", "items": [some(LOT)]}
    maker.refused("ALREADY_RECALLED", "recall", "widen", **again)


# --- class (rule 23) -------------------------------------------------------------------------


def test_rule_23_only_the_regulator_classifies(sold: Testkit) -> None:
    number = initiate(sold)
    assert recall_of(sold, number)["recall_class"] == "UNCLASSIFIED"
    for name in ("maker", "wholesaler", "pharmacy"):
        args = {"number": number, "recall_class": "III"}
        sold.as_(name).refused("NOT_AUTHORISED", "recall", "classify", **args)
        sold.as_(name).refused("NOT_AUTHORISED", "recall", "reclassify", **args)
    sold.as_("regulator").refused(
        "BAD_ARGUMENT", "recall", "classify", number=number, recall_class="IV"
    )
    classify(sold, number, "II")
    assert recall_of(sold, number)["recall_class"] == "II"
    written = sold.trail[-1].fields
    assert (written["method"], written["meaning"]) == ("classify", "approval")


def test_rule_23_a_reclassification_appends_and_leaves_the_state(sold: Testkit) -> None:
    number = ongoing(sold)
    regulator = sold.as_("regulator")
    regulator.refused("SAME_CLASS", "recall", "reclassify", number=number, recall_class="II")
    regulator.call("recall", "reclassify", number=number, recall_class="I")
    regulator.call("recall", "reclassify", number=number, recall_class="III")
    found = sold.query("recall", "recall", number=number)
    assert [one["recall_class"] for one in found["classifications"]] == ["II", "I", "III"]
    assert (found["recall"]["recall_class"], found["recall"]["state"]) == ("III", "ONGOING")


def test_the_health_hazard_evaluation_is_a_commitment(sold: Testkit) -> None:
    number = initiate(sold)
    evaluation = sold.commit(b"e" * 32)
    args = {"number": number, "recall_class": "I", "evaluation": evaluation.commitment}
    sold.as_("regulator").call("recall", "classify", **args)
    assert not sold.discloses(b"e" * 32)


# --- notices (rule 24) -----------------------------------------------------------------------


@pytest.mark.parametrize(("recall_class", "urgent"), [("I", True), ("II", True), ("III", False)])
def test_rule_24_what_the_notice_says(sold: Testkit, recall_class: str, urgent: bool) -> None:
    number = initiate(sold)
    classify(sold, number, recall_class)
    set_strategy(sold, number, disposal="DESTROY")
    notice = sold.query("recall", "notice", number=number, holder=sold.id("pharmacy"))
    said = notice["announcement"]
    assert (said["product"], said["size"], said["codes"], said["reason"]) == (
        ANNOUNCEMENT["product"], ANNOUNCEMENT["size"], "Lot A1", ANNOUNCEMENT["reason"],
    )  # fmt: skip
    assert [one["item"] for one in notice["scope"]] == [LOT]
    assert (notice["stop_distribution"], notice["notify_own_accounts"]) == (True, True)
    assert (notice["disposal"], notice["depth"]) == ("DESTROY", "RETAIL")
    assert (notice["urgent"], notice["recall_class"]) == (urgent, recall_class)


def test_notices_reach_every_downstream_holder(sold: Testkit) -> None:
    """Also the carrier on the way and the wholesaler, though it sold all it had."""
    ship(sold, LOT, 35, "wholesaler", "carrier")
    sold.as_("carrier").call("batch", "observe", items=[some(LOT)])
    number = ongoing(sold)
    assert told(sold, number) == {"wholesaler", "pharmacy", "carrier"}
    assert recall_of(sold, number)["notices"] == 3
    assert not recall_of(sold, number)["walking"]


def test_who_owns_goods_that_lie_elsewhere_is_told(sold: Testkit) -> None:
    args = {"items": [some(LOT, 5)], "holder": sold.id("wholesaler"), "buyer": sold.id("blender")}
    sold.as_("wholesaler").call("batch", "sell", **args)
    assert told(sold, ongoing(sold)) == {"wholesaler", "pharmacy", "blender"}


def test_many_holders_are_told_by_timed_calls_within_their_steps(kit: Testkit) -> None:
    """Three lots to a hundred wholesalers each: more than one timed call can look at."""
    lots = [f"01/{GTIN}/10/M{number}" for number in range(3)]
    kit.as_("maker").call("batch", "commission", items=[some(lot, 100) for lot in lots])
    for number in range(100):
        name = f"wholesaler {number}"
        kit.organisation(name, roles=("wholesaler",))
        args = {"items": [some(lot, 1) for lot in lots], "consignee": kit.id(name)}
        kit.as_("maker").call("batch", "ship", **args)
    before = len(kit.due_receipts)
    number = ongoing(kit, *lots)
    ran = kit.due_receipts[before:]
    assert {one.code for one in ran} == {"OK"}
    assert max(one.steps_used for one in ran) < DUE_STEPS_MAX
    found = recall_of(kit, number)
    assert (found["notices"], found["walking"]) == (100, False)
    assert len(kit.query("recall", "notices_of", number=number)) == 100


def test_a_holder_who_resold_before_the_notice_is_told_and_tells_its_accounts(
    sold: Testkit,
) -> None:
    ship(sold, LOT, 35, "wholesaler", "pharmacy")  # nothing is left at the wholesaler
    number = ongoing(sold)
    assert told(sold, number) == {"wholesaler", "pharmacy"}
    answer = {"number": number, "found": "NONE_LEFT", "notified_accounts": True}
    sold.as_("wholesaler").call("recall", "acknowledge", **answer)
    (notice,) = [
        one
        for one in sold.query("recall", "notices_of", number=number)
        if one["holder"] == sold.id("wholesaler")
    ]
    assert (notice["found"], notice["notified_accounts"]) == ("NONE_LEFT", True)
    assert sold.events[-1].name == "NoticeAcknowledged"
    sold.as_("carrier").refused("NO_NOTICE", "recall", "acknowledge", number=number, found="FOUND")


def test_another_class_goes_to_everybody_as_a_new_notice(sold: Testkit) -> None:
    number = initiate(sold)
    classify(sold, number, "III")
    set_strategy(sold, number)
    sold.as_("pharmacy").call("recall", "acknowledge", number=number, found="FOUND")
    before = {one["holder"]: one for one in sold.query("recall", "notices_of", number=number)}
    sold.as_("regulator").call("recall", "reclassify", number=number, recall_class="I")
    sold.advance()
    for notice in sold.query("recall", "notices_of", number=number):
        old = before[notice["holder"]]
        assert (old["urgent"], notice["urgent"]) == (False, True)
        assert notice["revision"] == old["revision"] + 1
    (pharmacy,) = [one for one in before.values() if one["acknowledged"]]
    assert pharmacy["holder"] == sold.id("pharmacy")  # of the old one; the new one is to come
    assert recall_of(sold, number)["notices"] == 2


# --- strategy and end (rule 25) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "percent", "part"),
    [("A", None, 100), ("B", 40, 40), ("C", None, 10), ("D", None, 2), ("E", None, 0)],
)
def test_rule_25_the_strategy_has_depth_and_level(
    sold: Testkit, level: str, percent: int | None, part: int
) -> None:
    number = initiate(sold)
    more = {} if percent is None else {"percent": percent}
    for depth in ("WHOLESALE", "RETAIL", "CONSUMER"):
        set_strategy(sold, number, depth=depth, level=level, **more)
        strategy = recall_of(sold, number)["strategy"]
        assert (strategy["depth"], strategy["level"]) == (depth, level)
        assert strategy["percent"] == part
    wrong = {} if level == "B" else {"percent": 50}
    args = {"number": number, **STRATEGY, "level": level, **wrong}
    sold.as_("maker").refused("BAD_PERCENT", "recall", "set_strategy", **args)


def test_rule_25_the_level_says_how_many_are_checked(sold: Testkit) -> None:
    number = initiate(sold)
    classify(sold, number)
    set_strategy(sold, number, level="B", percent=51)  # of two: two, rounded up
    maker = sold.as_("maker")
    check = {"number": number, "holder": sold.id("pharmacy"), "method": "VISIT"}
    maker.call("recall", "check_effectiveness", **check, outcome="NOT_ACTED")
    assert "0 of 2" in maker.refused("CHECKS_MISSING", "recall", "complete", number=number)
    maker.call("recall", "check_effectiveness", **check, outcome="EFFECTIVE")
    assert "1 of 2" in maker.refused("CHECKS_MISSING", "recall", "complete", number=number)
    set_strategy(sold, number, level="C")
    maker.call("recall", "complete", number=number, explanation="Sold to patients.")
    sold.as_("wholesaler").refused(
        "NOT_RECALLING_FIRM", "recall", "check_effectiveness", **check, outcome="EFFECTIVE"
    )


def test_what_was_checked_before_a_widening_is_checked_again(sold: Testkit) -> None:
    number = initiate(sold)
    classify(sold, number)
    set_strategy(sold, number, level="A")
    maker = sold.as_("maker")
    holders = [one["holder"] for one in sold.query("recall", "notices_of", number=number)]

    def check(outcome: str = "EFFECTIVE") -> None:
        for holder in holders:
            args = {"number": number, "holder": holder, "method": "VISIT", "outcome": outcome}
            maker.call("recall", "check_effectiveness", **args)

    def counts() -> tuple[int, int, int]:
        now = recall_of(sold, number)
        return now["acknowledged"], now["checked"], now["effective"]

    sold.as_("pharmacy").call("recall", "acknowledge", number=number, found="FOUND")
    check()
    check()  # twice counts once
    assert counts() == (1, len(holders), len(holders))
    maker.call("recall", "widen", number=number, reason="One more lot.", codes="Lot Z9")
    assert counts() == (0, 0, 0)
    sold.advance()
    maker.refused("CHECKS_MISSING", "recall", "complete", number=number)
    sold.as_("pharmacy").call("recall", "acknowledge", number=number, found="NONE_LEFT")
    check("NOT_ACTED")
    assert counts() == (1, len(holders), 0)
    check()
    maker.call("recall", "complete", number=number, explanation="Sold to patients.")


def test_a_thing_named_twice_is_no_recall(sold: Testkit) -> None:
    twice = [{"item": LOT}, {"item": LOT}]
    args = {"announcement": ANNOUNCEMENT, "items": twice}
    sold.as_("maker").refused("ITEM_TWICE", "recall", "draft", **args)
    number = initiate(sold)
    other = [{"item": OTHER_LOT}, {"item": OTHER_LOT}]
    sold.as_("maker").refused(
        "ITEM_TWICE", "recall", "widen", number=number, reason="More.", items=other
    )


def test_rule_25_only_the_regulator_terminates(sold: Testkit) -> None:
    number = initiate(sold)
    classify(sold, number)
    set_strategy(sold, number, level="E")
    sold.as_("maker").call("recall", "complete", number=number, explanation="Sold to patients.")
    for name in ("maker", "wholesaler"):
        sold.as_(name).refused("NOT_AUTHORISED", "recall", "terminate", number=number)
    sold.as_("regulator").call("recall", "terminate", number=number)
    assert recall_of(sold, number)["state"] == "TERMINATED"


def test_a_recall_is_not_completed_in_silence_over_goods_that_are_outstanding(
    sold: Testkit,
) -> None:
    number = initiate(sold)
    classify(sold, number)
    set_strategy(sold, number, level="E")
    said = sold.as_("maker").refused("GOODS_OUTSTANDING", "recall", "complete", number=number)
    assert "60 EA of 09521321000018 are outstanding" in said
    give_back(sold, number, "wholesaler", LOT, 30)
    quarantine(sold, "pharmacy", LOT, 15)
    consent(sold, number, "pharmacy")
    sold.as_("pharmacy").call("recall", "destroy", number=number, items=[some(LOT, 15)])
    rest = figures(board(sold, number))[-1]
    why = "Dispensed; the patients were written to."
    if rest:
        sold.as_("maker").refused("GOODS_OUTSTANDING", "recall", "complete", number=number)
    sold.as_("maker").call("recall", "complete", number=number, explanation=why)
    assert recall_of(sold, number)["explanation"] == why


def test_what_is_left_at_the_end_of_a_recall_stays_held_until_a_regulator_releases_it(
    sold: Testkit,
) -> None:
    number = ongoing(sold)
    for notice in sold.query("recall", "notices_of", number=number):
        check = {"holder": notice["holder"], "outcome": "EFFECTIVE", "method": "TELEPHONE"}
        sold.as_("maker").call("recall", "check_effectiveness", number=number, **check)
    sold.as_("maker").call("recall", "complete", number=number, explanation="Not all was found.")
    sold.as_("regulator").call("recall", "terminate", number=number)
    sold.advance(days=1)
    sold.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(LOT, 1)])
    give_back(sold, number, "wholesaler", LOT, 5)  # late, but it may
    release = {"number": number, "grounds": "What is left was relabelled under supervision."}
    for name in ("maker", "pharmacy"):
        sold.as_(name).refused("NOT_AUTHORISED", "recall", "release", **release)
    sold.as_("regulator").call("recall", "release", **release)
    sold.as_("regulator").refused("WRONG_STATE", "recall", "release", **release)
    sold.advance()
    sold.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 1)])
    sold.as_("wholesaler").refused(
        "WRONG_STATE", "recall", "destroy", number=number, items=[some(LOT, 1)]
    )
    assert recall_of(sold, number)["grounds"] == release["grounds"]
    ship(sold, LOT, 1, "wholesaler", "pharmacy")
    assert recall_of(sold, number)["state"] == "TERMINATED"


def test_a_recall_that_ends_leaves_the_others_holds(sold: Testkit) -> None:
    first, second = ongoing(sold), ongoing(sold)
    finish(sold, first)
    sold.as_("pharmacy").refused("HELD", "batch", "dispense", items=[some(LOT, 1)])
    finish(sold, second)
    sold.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 1)])


# --- goods -----------------------------------------------------------------------------------


def test_recalled_goods_go_back_to_the_firm_and_only_there(sold: Testkit) -> None:
    number = ongoing(sold)
    back = {"number": number, "items": [some(LOT, 10)]}
    wholesaler = sold.as_("wholesaler")
    wholesaler.refused("TOO_LITTLE", "recall", "return_goods", **back)  # not yet set apart
    quarantine(sold, "wholesaler", LOT, 10)
    ship_to = {"items": [some(LOT, 10)], "consignee": sold.id("pharmacy")}
    wholesaler.refused("HELD", "batch", "ship", **ship_to)
    wholesaler.refused("NOT_AUTHORISED", "batch", "ship_back", **ship_to)
    wholesaler.call("recall", "return_goods", **back)
    sold.as_("maker").call("batch", "receive", items=[some(LOT, 10)])
    stock = sold.query("batch", "item", item=LOT)["stock"]
    (held,) = [one for one in stock if one["quarantined"]]
    assert (held["holder"], held["owner"], held["quarantined"]) == (
        sold.id("maker"), sold.id("wholesaler"), 10,
    )  # fmt: skip
    row = board(sold, number)
    assert figures(row) == (60, 10, 0, 0, 50)
    (day,) = row["days"].values()
    assert day == {"recovered": 10, "destroyed": 0, "consumed": 0}


def test_only_recalled_goods_go_back_or_are_destroyed(sold: Testkit) -> None:
    ship(sold, OTHER_LOT, 10, "maker", "wholesaler")
    number = ongoing(sold)
    quarantine(sold, "wholesaler", OTHER_LOT, 10)
    args = {"number": number, "items": [some(OTHER_LOT, 10)]}
    consent(sold, number, "wholesaler")
    for method in ("return_goods", "destroy"):
        sold.as_("wholesaler").refused("NOT_RECALLED", "recall", method, **args)


@pytest.mark.parametrize("disposal", ["RETURN", "HOLD"])
def test_nobody_destroys_what_is_wanted_back_or_kept_without_consent(
    sold: Testkit, disposal: str
) -> None:
    number = initiate(sold)
    goods = {"number": number, "items": [some(LOT, 10)]}
    pharmacy = sold.as_("pharmacy")
    pharmacy.refused("CONSENT_MISSING", "recall", "destroy", **goods)  # nobody has said what to do
    classify(sold, number)
    set_strategy(sold, number, disposal=disposal)
    quarantine(sold, "pharmacy", LOT, 25)
    pharmacy.refused("CONSENT_MISSING", "recall", "destroy", **goods)
    allow = {"number": number, "holder": sold.id("pharmacy"), "grounds": "Opened packages."}
    pharmacy.refused("NOT_AUTHORISED", "recall", "consent", **allow)
    sold.as_("blender").refused("NOT_RECALLING_FIRM", "recall", "consent", **allow)
    nobody = allow | {"holder": gln(99)}
    sold.as_("maker").refused("UNKNOWN_ORGANISATION", "recall", "consent", **nobody)
    sold.as_("maker").call("recall", "consent", **allow)
    assert sold.trail[-1].fields["meaning"] == "approval"
    pharmacy.call("recall", "destroy", **goods)
    sold.as_("regulator").call("recall", "consent", **allow)
    pharmacy.call("recall", "destroy", **goods)
    quarantine(sold, "wholesaler", LOT, 10)  # the consent was the pharmacy's alone
    sold.as_("wholesaler").refused("CONSENT_MISSING", "recall", "destroy", **goods)
    found = sold.query("recall", "returns_of", number=number)
    assert [one["consented_by"] for one in found] == [sold.id("maker"), sold.id("regulator")]
    (known,) = sold.query("recall", "consents_of", number=number)
    assert known == sold.query("recall", "report", number=number)["consents"][0]
    assert (known["by"], known["grounds"]) == (sold.id("regulator"), "Opened packages.")


def test_what_is_to_be_destroyed_is_destroyed_without_more_ado(sold: Testkit) -> None:
    number = initiate(sold)
    args = {"number": number, "holder": sold.id("pharmacy"), "grounds": "All."}
    classify(sold, number)
    set_strategy(sold, number, disposal="DESTROY")
    quarantine(sold, "pharmacy", LOT, 25)
    sold.as_("pharmacy").call("recall", "destroy", number=number, items=[some(LOT, 25)])
    assert figures(board(sold, number)) == (60, 0, 25, 0, 35)
    assert sold.query("recall", "returns_of", number=number)[0]["consented_by"] == ""
    finish(sold, number)
    sold.as_("maker").refused("WRONG_STATE", "recall", "consent", **args)  # nothing is held


def test_goods_in_transit_arrive_in_quarantine_and_are_counted(sold: Testkit) -> None:
    things = [some(LOT, 30)]
    sold.as_("maker").call("batch", "ship", items=things, consignee=sold.id("pharmacy"))
    number = ongoing(sold)
    row = board(sold, number)
    assert (row["distributed"], row["in_transit"], row["located"]) == (90, 30, 60)
    sold.as_("pharmacy").call("batch", "receive", items=things)
    row = board(sold, number)
    assert (row["in_transit"], row["located"], row["outstanding"]) == (0, 90, 90)
    assert row["holders"][sold.id("pharmacy")]["received_held"] == 30
    sold.as_("pharmacy").refused("HELD", "batch", "release", items=things)


def test_a_pallet_of_recalled_goods_goes_back_as_it_is(sold: Testkit) -> None:
    sold.as_("wholesaler").call("batch", "pack", parent=sscc(2), items=[some(LOT, 20)])
    number = ongoing(sold)
    quarantine(sold, "wholesaler", sscc(2))
    sold.as_("wholesaler").call("recall", "return_goods", number=number, items=[some(sscc(2))])
    sold.as_("maker").call("batch", "receive", items=[some(sscc(2))])
    row = board(sold, number)
    assert figures(row) == (60, 20, 0, 0, 40)
    assert row["holders"][sold.id("wholesaler")]["left"] == 15


def test_the_scope_is_widened_after_a_partial_return(sold: Testkit) -> None:
    ship(sold, OTHER_LOT, 40, "maker", "wholesaler")
    number = ongoing(sold)
    give_back(sold, number, "wholesaler", LOT, 15)
    before = {one["holder"]: one for one in sold.query("recall", "notices_of", number=number)}
    args = {"number": number, "reason": "The same raw material", "codes": "Lot A2"}
    sold.as_("maker").call("recall", "widen", **args, items=[some(OTHER_LOT)])
    sold.advance()
    sold.as_("wholesaler").refused(
        "HELD", "batch", "ship", items=[some(OTHER_LOT, 1)], consignee=sold.id("pharmacy")
    )
    assert figures(board(sold, number)) == (100, 15, 0, 0, 85)
    for notice in sold.query("recall", "notices_of", number=number):
        assert notice["revision"] == before[notice["holder"]]["revision"] + 1
    found = sold.query("recall", "notice", number=number, holder=sold.id("wholesaler"))
    assert [one["item"] for one in found["scope"]] == [LOT, OTHER_LOT]
    assert found["widenings"][0]["codes"] == "Lot A2"
    give_back(sold, number, "wholesaler", OTHER_LOT, 40)
    assert figures(board(sold, number)) == (100, 55, 0, 0, 45)


def test_a_completed_recall_that_is_widened_goes_on(sold: Testkit) -> None:
    number = initiate(sold)
    classify(sold, number)
    set_strategy(sold, number, level="E")
    sold.as_("maker").call("recall", "complete", number=number, explanation="Sold to patients.")
    args = {"number": number, "reason": "More", "items": [some(OTHER_LOT)]}
    sold.as_("maker").call("recall", "widen", **args)
    assert recall_of(sold, number)["state"] == "ONGOING"


def test_transformed_goods_are_recalled_at_a_third_company(sold: Testkit) -> None:
    """The blender made syrup of it and sold that on: held, told, counted by itself."""
    ship(sold, LOT, 20, "wholesaler", "blender")
    sold.as_("blender").call(
        "batch", "transform", inputs=[some(LOT, 12)], outputs=[some(SYRUP, 12)]
    )
    ship(sold, SYRUP, 5, "blender", "carrier")
    number = ongoing(sold)
    assert told(sold, number) == {"wholesaler", "pharmacy", "blender", "carrier"}
    sold.as_("carrier").refused(
        "HELD", "batch", "ship", items=[some(SYRUP, 1)], consignee=sold.id("pharmacy")
    )
    assert figures(board(sold, number)) == (60, 0, 0, 12, 48)
    assert figures(board(sold, number, SYRUP_GTIN)) == (12, 0, 0, 0, 12)
    give_back(sold, number, "carrier", SYRUP, 5)
    assert figures(board(sold, number, SYRUP_GTIN)) == (12, 5, 0, 0, 7)


def goods_at(kit: Testkit, number: int, name: str) -> dict[str, tuple[int, int, int]]:
    """What a holder's notice says that it had, has, and awaits, by thing."""
    found = kit.query("recall", "goods_at", number=number, holder=kit.id(name))
    assert found["next"] is None
    return {one["item"]: (one["had"], one["left"], one["coming"]) for one in found["goods"]}


def test_a_holder_is_told_what_it_has_itself_made_of_recalled_goods_too(sold: Testkit) -> None:
    """Who bought the syrup knows no lot of the tablets that are recalled."""
    ship(sold, LOT, 20, "wholesaler", "blender")
    sold.as_("blender").call(
        "batch", "transform", inputs=[some(LOT, 12)], outputs=[some(SYRUP, 12)]
    )
    ship(sold, SYRUP, 5, "blender", "carrier")
    to_pharmacy = {"items": [some(SYRUP, 2)], "consignee": sold.id("pharmacy")}
    sold.as_("blender").call("batch", "ship", **to_pharmacy)
    number = ongoing(sold)
    assert goods_at(sold, number, "carrier") == {SYRUP: (5, 5, 0)}
    assert goods_at(sold, number, "blender") == {LOT: (20, 8, 0), SYRUP: (12, 5, 0)}
    assert goods_at(sold, number, "pharmacy")[SYRUP] == (0, 0, 2)
    assert goods_at(sold, number, "regulator") == {}
    give_back(sold, number, "carrier", SYRUP, 5)
    assert goods_at(sold, number, "carrier") == {SYRUP: (5, 0, 0)}


def test_a_holder_is_told_which_serials_it_has(kit: Testkit) -> None:
    serials = [f"01/{GTIN}/21/S{number}" for number in range(1, 5)]
    things = [some(one) for one in serials]
    kit.as_("maker").call("batch", "commission", items=things, lot="A9", expiry="2027-12-31")
    for one in serials[:2]:
        ship(kit, one, None, "maker", "pharmacy")
    kit.as_("pharmacy").call("batch", "dispense", items=things[:1])
    kit.as_("maker").call("batch", "ship", items=things[2:3], consignee=kit.id("pharmacy"))
    number = ongoing(kit, *serials)
    assert goods_at(kit, number, "pharmacy") == {serials[1]: (1, 1, 0), serials[2]: (0, 0, 1)}


def test_what_a_holder_has_comes_in_pages(sold: Testkit) -> None:
    for first in range(0, 600, 200):
        things = [some(f"01/{GTIN}/21/P{number:03}") for number in range(first, first + 200)]
        args = {"items": things, "lot": "A9", "expiry": "2027-12-31"}
        sold.as_("maker").call("batch", "commission", **args)
        sold.as_("maker").call("batch", "ship", items=things, consignee=sold.id("pharmacy"))
        sold.as_("pharmacy").call("batch", "receive", items=things)
    number = initiate(sold, f"01/{GTIN}/10/A9")
    for _ in range(12):
        sold.advance()
    found: list[str] = []
    at: list[int] | None = [0, 0]
    while at is not None:
        part = {"number": number, "holder": sold.id("pharmacy")}
        page = sold.query("recall", "goods_at", **part, holding=at[0], start=at[1])
        found += [one["item"] for one in page["goods"]]
        at = page["next"]
    serials = [f"01/{GTIN}/21/P{number:03}" for number in range(600)]
    assert [one for one in sorted(found) if "/21/" in one] == serials


def test_split_and_merged_goods_are_counted_once(sold: Testkit) -> None:
    parts = [{"lot": "A1-x", "amount": 10}, {"lot": "A1-y", "amount": 5}]
    sold.as_("wholesaler").call("batch", "split", item=LOT, parts=parts)
    ship(sold, OTHER_LOT, 7, "maker", "wholesaler")
    mixed = [some(f"{LOT}-x", 10), some(OTHER_LOT, 3)]
    sold.as_("wholesaler").call("batch", "merge", items=mixed, lot="M1")
    number = ongoing(sold)
    row = board(sold, number)
    assert figures(row) == (63, 0, 0, 0, 63)  # the three of the other lot are tainted
    assert row["located"] == 63


def test_single_serials_are_recalled(kit: Testkit) -> None:
    serials = [f"01/{GTIN}/21/S{number}" for number in range(1, 5)]
    things = [some(one) for one in serials]
    kit.as_("maker").call("batch", "commission", items=things, lot="A9", expiry="2027-12-31")
    for one in serials[:3]:
        ship(kit, one, None, "maker", "pharmacy")
    kit.as_("pharmacy").call("batch", "dispense", items=things[:1])
    number = ongoing(kit, *serials[:2], serials[3])
    assert told(kit, number) == {"pharmacy"}
    kit.as_("pharmacy").refused("HELD", "batch", "dispense", items=things[1:2])
    kit.as_("pharmacy").call("batch", "dispense", items=things[2:3])  # another of the lot
    assert figures(board(kit, number)) == (2, 0, 0, 1, 1)
    give_back(kit, number, "pharmacy", serials[1], None)
    assert figures(board(kit, number)) == (2, 1, 0, 1, 0)


def test_what_came_back_before_the_recall_was_not_recovered(sold: Testkit) -> None:
    ship(sold, LOT, 4, "wholesaler", "maker")
    sold.advance(days=2)
    number = ongoing(sold)
    assert figures(board(sold, number)) == (56, 0, 0, 0, 56)


def test_a_report_has_everything_in_one_answer(sold: Testkit) -> None:
    number = ongoing(sold)
    give_back(sold, number, "wholesaler", LOT, 5)
    report = sold.query("recall", "report", number=number)
    assert report["complete"]
    assert report["totals"][0]["recovered"] == 5
    assert [one["kind"] for one in report["returns"]] == ["RETURNED"]
    assert {one["holder"] for one in report["by_holder"]} >= {sold.id("wholesaler")}
    assert {one["holder"] for one in report["notices"]} == {
        sold.id(name) for name in ("wholesaler", "pharmacy")
    }
    assert sold.query("recall", "report", number=number + 1) is None


def test_every_call_leaves_an_audit_trail(sold: Testkit) -> None:
    number = ongoing(sold)
    written = [one.fields for one in sold.trail if one.contract == "recall"]
    assert [one["method"] for one in written][:3] == ["initiate", "classify", "set_strategy"]
    assert written[1]["organisation"] == sold.id("regulator")
    assert recall_of(sold, number)["state"] == "ONGOING"


def test_the_recalling_firm_destroys_what_others_sent_back(kit: Testkit) -> None:
    """Returned goods stay their owner's, and go no further than the firm."""
    ship(kit, LOT, 30, "maker", "wholesaler")
    number = ongoing(kit)
    give_back(kit, number, "wholesaler", LOT, 20)
    goods = {"number": number, "items": [some(LOT, 20)]}
    theirs = goods | {"owner": kit.id("wholesaler")}
    consent(kit, number, "wholesaler")
    kit.as_("wholesaler").refused("TOO_LITTLE", "recall", "destroy", **goods)
    kit.as_("pharmacy").refused("NOT_OWNER", "recall", "destroy", **theirs)
    kit.as_("maker").call("recall", "destroy", **theirs)
    found = {one["holder"]: one for one in kit.query("batch", "item", item=LOT)["stock"]}
    assert kit.query("batch", "item", item=LOT)["record"]["gone"] == 20
    assert found[kit.id("wholesaler")]["free"] == 10
    kinds = [one["kind"] for one in kit.query("recall", "returns_of", number=number)]
    assert kinds == ["RETURNED", "DESTROYED"]
    row = board(kit, number)  # what was recovered is not counted a second time
    assert (row["recovered"], row["destroyed"], row["outstanding"]) == (20, 0, 10)


def test_the_dashboard_has_each_lot_by_itself(sold: Testkit) -> None:
    ship(sold, OTHER_LOT, 40, "maker", "wholesaler")
    number = ongoing(sold, LOT, OTHER_LOT)
    give_back(sold, number, "wholesaler", LOT, 15)
    give_back(sold, number, "wholesaler", OTHER_LOT, 4)
    assert figures(board(sold, number, lot="A1")) == (60, 15, 0, 0, 45)
    assert figures(board(sold, number, lot="A2")) == (40, 4, 0, 0, 36)
    assert figures(board(sold, number)) == (100, 19, 0, 0, 81)
    rows = sold.query("recall", "report", number=number)["by_holder"]
    lots = [one["lot"] for one in rows if one["holder"] == sold.id("wholesaler")]
    assert lots == ["A1", "A2"]


def test_a_single_serial_stands_under_its_lot(kit: Testkit) -> None:
    things = [some(f"01/{GTIN}/21/S{number}") for number in (1, 2)]
    kit.as_("maker").call("batch", "commission", items=things, lot="A9", expiry="2027-12-31")
    ship(kit, things[0]["item"], None, "maker", "pharmacy")
    number = ongoing(kit, things[0]["item"])
    assert figures(board(kit, number, lot="A9")) == (1, 0, 0, 0, 1)


def test_what_is_sent_back_was_not_sent_on(sold: Testkit) -> None:
    number = ongoing(sold)
    give_back(sold, number, "wholesaler", LOT, 15)
    row = board(sold, number)
    wholesaler, maker = (row["holders"][sold.id(name)] for name in ("wholesaler", "maker"))
    assert (wholesaler["received"], wholesaler["received_held"]) == (60, 0)
    assert (wholesaler["sent_on"], wholesaler["sent_back"], wholesaler["left"]) == (25, 15, 20)
    assert (maker["sent_on"], maker["sent_back"], maker["received_held"]) == (60, 0, 15)


def contradictions(kit: Testkit, number: int) -> list[tuple[str, str, int, int]]:
    """Lot, answer, received, left: of the answers of the pharmacy and the wholesaler."""
    page = kit.query("recall", "dashboard", number=number)
    assert page["contradictions"] == kit.query("recall", "report", number=number)["contradictions"]
    return [
        (one["lot"], one["found"], one["received"], one["left"]) for one in page["contradictions"]
    ]


@pytest.mark.parametrize("found", ["NONE_LEFT", "RETURNED", "DESTROYED", "NEVER_RECEIVED"])
def test_an_answer_that_the_ledger_contradicts_is_shown(sold: Testkit, found: str) -> None:
    number = ongoing(sold)
    assert contradictions(sold, number) == []
    sold.as_("pharmacy").call("recall", "acknowledge", number=number, found="FOUND")
    assert contradictions(sold, number) == []
    sold.as_("pharmacy").call("recall", "acknowledge", number=number, found=found)
    assert contradictions(sold, number) == [("A1", found, 25, 25)]
    give_back(sold, number, "pharmacy", LOT, 20)
    assert contradictions(sold, number) == [("A1", found, 25, 5)]
    give_back(sold, number, "pharmacy", LOT, 5)
    never = found == "NEVER_RECEIVED"
    assert contradictions(sold, number) == ([("A1", found, 25, 0)] if never else [])


def test_an_answer_from_before_a_widening_contradicts_nothing(sold: Testkit) -> None:
    ship(sold, OTHER_LOT, 40, "maker", "wholesaler")
    number = ongoing(sold)
    give_back(sold, number, "wholesaler", LOT, 35)
    answer = {"number": number, "found": "RETURNED"}
    sold.as_("wholesaler").call("recall", "acknowledge", **answer)
    args = {"number": number, "reason": "Also", "items": [some(OTHER_LOT)]}
    sold.as_("maker").call("recall", "widen", **args)
    sold.advance()
    assert contradictions(sold, number) == []
    sold.as_("wholesaler").call("recall", "acknowledge", **answer)
    assert contradictions(sold, number) == [("A2", "RETURNED", 40, 40)]


# --- tasks -------------------------------------------------------------------------------------


def tasks(kit: Testkit, who: str) -> list[tuple[str, str]]:
    found = kit.query("recall", "tasks", organisation=kit.id(who))
    assert found["next"] == 0
    return [(row["method"], row["organisation"]) for row in found["tasks"]]


def test_firm_holders_and_regulator_see_what_a_recall_waits_for() -> None:
    kit = small_world()
    maker, wholesaler, regulator = (kit.id(who) for who in ("maker", "wholesaler", "regulator"))
    ship(kit, LOT, 10, "maker", "wholesaler")
    args = {"announcement": ANNOUNCEMENT, "items": [some(LOT)]}
    number = kit.as_("maker").call("recall", "draft", **args)
    assert tasks(kit, "maker") == [("start", maker)]
    kit.as_("maker").call("recall", "start", number=number)
    kit.advance(seconds=5)
    assert tasks(kit, "maker") == [("set_strategy", maker)]
    assert tasks(kit, "regulator") == [("classify", regulator)]
    kit.as_("regulator").call("recall", "classify", number=number, recall_class="II")
    kit.as_("maker").call("recall", "set_strategy", number=number, **STRATEGY)
    kit.advance(seconds=5)
    assert tasks(kit, "wholesaler") == [("acknowledge", wholesaler)]
    assert tasks(kit, "maker") == [("check_effectiveness", maker), ("acknowledge", wholesaler)]
    kit.as_("wholesaler").call("recall", "acknowledge", number=number, found="FOUND")
    assert tasks(kit, "wholesaler") == []
    check = {"holder": wholesaler, "outcome": "EFFECTIVE", "method": "VISIT"}
    kit.as_("maker").call("recall", "check_effectiveness", number=number, **check)
    assert tasks(kit, "maker") == [("complete", maker)]
    kit.as_("maker").call("recall", "complete", number=number, explanation="Used up.")
    assert (tasks(kit, "maker"), tasks(kit, "regulator")) == ([], [("terminate", regulator)])
