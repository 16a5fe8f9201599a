"""Inspections, verdicts, signatures and certificates (DOMAIN rules 26 to 28), rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk.testkit import START_MS, Testkit, organisation_id
from contracts.supply.quality_records import (
    ACCEPTED,
    CONDITIONAL,
    REJECTED,
    Characteristic,
    judged,
    worst,
)
from tests.contracts.shipments import GTIN, LOT, some, sscc

ASSAY = {
    "code": "ASSAY", "unit": "P1", "scale": 1,
    "low": 950, "high": 1050, "low_tolerated": 940, "high_tolerated": 1060,
}  # fmt: skip
IMPURITY = {"code": "IMPURITY", "ordinal": 2, "unit": "59", "high": 500}
GOOD, FAIR, BAD = 1000, 945, 800
SERIAL = f"01/{GTIN}/21/S1"


def small_world() -> Testkit:
    """A maker with 100 of a lot, who ships; a laboratory with an examiner and an approver."""
    kit = Testkit.of(builtin=("identity", "batch", "quality"))
    kit.organisation("maker", roles=("manufacturer",))
    kit.organisation("wholesaler", roles=("wholesaler",))
    kit.organisation("pharmacy", roles=("dispenser",))
    kit.organisation("lab", roles=("laboratory",))
    kit.organisation("other_lab", roles=("laboratory",))
    kit.organisation("regulator", roles=("regulator",))
    for name, of, role in (
        ("examiner", "lab", "laboratory"), ("approver", "lab", "laboratory"),
        ("stranger", "other_lab", "laboratory"), ("qa", "maker", "manufacturer"),
        ("inspector", "regulator", "regulator"),
    ):  # fmt: skip
        kit.key(name, of=of, roles=(role,), user=f"{name}-1")
    kit.as_("maker").call("batch", "commission", items=[some(LOT, 100)], expiry="2027-12-31")
    return kit


def plan(kit: Testkit, author: str = "maker", *characteristics: dict[str, Any]) -> int:
    limits = list(characteristics or (ASSAY, IMPURITY))
    number: int = kit.as_(author).call("quality", "define_plan", characteristics=limits, gtin=GTIN)
    return number


def request(kit: Testkit, who: str = "maker", item: str = LOT, **more: Any) -> int:
    args = {"item": item, "laboratory": kit.id("lab"), "plan": more.pop("plan", None) or plan(kit)}
    number: int = kit.as_(who).call("quality", "request", **args, **more)
    return number


def results(assay: int = GOOD, impurity: int = 10) -> list[dict[str, Any]]:
    return [
        {"code": "ASSAY", "value": assay},
        {"code": "IMPURITY", "ordinal": 2, "value": impurity},
    ]


def examined(kit: Testkit, number: int, assay: int = GOOD) -> str:
    """Recorded by a machine, reviewed by one person, approved by another: the verdict."""
    kit.as_("lab").call("quality", "record_results", inspection=number, results=results(assay))
    kit.as_("examiner").call("quality", "review", inspection=number)
    verdict: str = kit.as_("approver").call("quality", "approve", inspection=number)
    return verdict


def inspected(kit: Testkit, assay: int = GOOD, who: str = "maker", **more: Any) -> int:
    number = request(kit, who, **more)
    examined(kit, number, assay)
    return number


def state(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("quality", "inspection", inspection=number)
    return found


def ship(kit: Testkit, amount: int = 10, sender: str = "maker", to: str = "wholesaler") -> None:
    items = [some(LOT, amount)]
    kit.as_(sender).call("batch", "ship", items=items, consignee=kit.id(to))
    kit.as_(to).call("batch", "receive", items=items)


def stays(kit: Testkit, code: str = "LOCKED", who: str = "maker", to: str = "wholesaler") -> str:
    """That the lot is not shipped: the sentence says why."""
    items = [some(LOT, 10)]
    return kit.as_(who).refused(code, "batch", "ship", items=items, consignee=kit.id(to))


@pytest.fixture
def kit() -> Testkit:
    return small_world()


# --- verdicts -----------------------------------------------------------------------------------


@given(
    st.integers(-50, 50), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30),
    st.integers(-200, 200),
)  # fmt: skip
def test_a_verdict_follows_from_value_and_limits(
    low: int, width: int, below: int, above: int, value: int
) -> None:
    high = low + width
    one = Characteristic("ASSAY", "P1", 1, 0, low, high, low - below, high + above)
    inner, outer = range(low, high + 1), range(low - below, high + above + 1)
    expected = ACCEPTED if value in inner else CONDITIONAL if value in outer else REJECTED
    assert judged(one, value) == expected


def test_a_limit_on_one_side_is_no_limit_on_the_other() -> None:
    at_most = Characteristic("IMPURITY", "59", 1, 0, None, 500)
    assert [judged(at_most, value) for value in (-9, 500, 501)] == [ACCEPTED, ACCEPTED, REJECTED]
    at_least = Characteristic("ASSAY", "P1", 1, 0, 950, None, 940)
    assert [judged(at_least, value) for value in (10**12, 949, 939)] == [
        ACCEPTED, CONDITIONAL, REJECTED,
    ]  # fmt: skip


def test_the_verdict_on_all_is_the_worst() -> None:
    assert worst([ACCEPTED, CONDITIONAL]) == CONDITIONAL
    assert worst([CONDITIONAL, REJECTED, ACCEPTED]) == REJECTED
    assert worst([ACCEPTED, ACCEPTED]) == ACCEPTED


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": None, "high": None, "low_tolerated": None, "high_tolerated": None},
        {"low": 1051},
        {"low_tolerated": 951},
        {"high_tolerated": 1049},
        {"low": None},
        {"high": None},
    ],
)
def test_limits_that_make_no_sense_are_refused(kit: Testkit, wrong: dict[str, Any]) -> None:
    limits = [{**ASSAY, **wrong}]
    kit.as_("maker").refused("BAD_LIMITS", "quality", "define_plan", characteristics=limits)


def test_results_are_just_those_of_the_plan(kit: Testkit) -> None:
    number = request(kit)
    lab = kit.as_("lab")

    def refused(code: str, *found: dict[str, Any]) -> None:
        given = {"inspection": number, "results": list(found)}
        lab.refused(code, "quality", "record_results", **given)

    assay, impurity = results()
    refused("RESULT_MISSING", assay)
    refused("RESULT_TWICE", assay, impurity, assay)
    refused("RESULT_UNKNOWN", assay, impurity, {"code": "IMPURITY", "value": 1})
    refused("BAD_ARGUMENT", assay, {"code": "TASTE", "value": 1})
    both = [ASSAY, ASSAY]
    kit.as_("maker").refused("CHARACTERISTIC_TWICE", "quality", "define_plan", characteristics=both)
    assert lab.call("quality", "record_results", inspection=number, results=results()) == ACCEPTED
    first = state(kit, number)["results"][0]
    assert (first["value"], first["unit"], first["scale"]) == (GOOD, "P1", 1)


# --- rules 26 to 28 -----------------------------------------------------------------------------


def test_rule_26_a_signature_says_who_when_and_what_it_means(kit: Testkit) -> None:
    number = inspected(kit)
    review, approval = state(kit, number)["signatures"]
    assert (review["user"], review["meaning"]) == ("examiner-1", "review")
    assert (approval["user"], approval["meaning"]) == ("approver-1", "approval")
    assert approval["organisation"] == kit.id("lab")
    assert START_MS < review["time"] < approval["time"] == kit.time_ms
    users = kit.query("identity", "user_list", organisation=kit.id("lab"))
    assert [one["id"] for one in users] == ["approver-1", "examiner-1"]  # the printed names


def test_rule_27_a_signature_covers_the_record_and_cannot_be_moved(kit: Testkit) -> None:
    first = state(kit, inspected(kit))
    assert {one["record"] for one in first["signatures"]} == {first["record_hash"]}
    again = state(kit, inspected(kit, plan=first["record"]["plan"]))
    assert again["results"] == first["results"]
    assert again["record_hash"] != first["record_hash"]  # another inspection, another record


def test_rule_27_one_person_per_key(kit: Testkit) -> None:
    number = request(kit)
    kit.as_("lab").call("quality", "record_results", inspection=number, results=results())
    kit.as_("lab").refused("NO_PERSON", "quality", "review", inspection=number)
    kit.key("second_key", of="lab", roles=("laboratory",), user="examiner-1")
    kit.as_("examiner").call("quality", "review", inspection=number)
    for same_person in ("examiner", "second_key"):
        kit.as_(same_person).refused("FOUR_EYES", "quality", "approve", inspection=number)
    kit.as_("approver").call("quality", "approve", inspection=number)


def test_rule_28_the_order_of_steps_is_enforced(kit: Testkit) -> None:
    number = request(kit)
    lab, examiner, approver = kit.as_("lab"), kit.as_("examiner"), kit.as_("approver")
    examiner.refused("WRONG_STATE", "quality", "review", inspection=number)
    lab.call("quality", "record_results", inspection=number, results=results())
    approver.refused("WRONG_STATE", "quality", "approve", inspection=number)
    lab.refused("WRONG_STATE", "quality", "record_results", inspection=number, results=results())
    examiner.call("quality", "review", inspection=number)
    approver.call("quality", "approve", inspection=number)
    for method in ("review", "approve"):
        approver.refused("WRONG_STATE", "quality", method, inspection=number)
    approver.refused("WRONG_STATE", "quality", "send_back", inspection=number, reason="OTHER")
    kit.as_("maker").refused("WRONG_STATE", "quality", "cancel_request", inspection=number)


def test_rule_28_what_was_sent_back_is_not_overwritten(kit: Testkit) -> None:
    number = request(kit)
    lab, examiner = kit.as_("lab"), kit.as_("examiner")
    lab.call("quality", "record_results", inspection=number, results=results(BAD))
    examiner.call("quality", "review", inspection=number)
    kit.as_("approver").call("quality", "send_back", inspection=number, reason="CALCULATION")
    kit.as_("maker").refused("WRONG_STATE", "quality", "cancel_request", inspection=number)
    assert examined(kit, number) == ACCEPTED
    found = state(kit, number)
    assert [(one["round"], one["value"]) for one in found["results"]] == [
        (1, BAD), (1, 10), (2, GOOD), (2, 10),
    ]  # fmt: skip
    assert [(one["round"], one["meaning"]) for one in found["signatures"]] == [
        (1, "review"), (2, "review"), (2, "approval"),
    ]  # fmt: skip


def test_rule_28_a_failed_inspection_stays_when_another_follows(kit: Testkit) -> None:
    failed = inspected(kit, BAD)
    more = {"item": LOT, "laboratory": kit.id("lab"), "plan": plan(kit)}
    kit.as_("maker").refused("REASON_REQUIRED", "quality", "request", **more)
    again = inspected(kit, repeat="REWORKED")
    record = state(kit, again)["record"]
    assert (record["previous"], record["repeat"]) == (failed, "REWORKED")
    assert state(kit, failed)["record"]["verdict"] == REJECTED
    listed = kit.query("quality", "inspections_of", item=f"(01){GTIN}(10)A1")
    assert [one["number"] for one in listed] == [failed, again]


# --- who ----------------------------------------------------------------------------------------


def test_maker_and_regulator_inspect_lots_and_holders_what_they_have(kit: Testkit) -> None:
    ship(kit)
    by_plan = plan(kit)
    more = {"item": LOT, "laboratory": kit.id("lab"), "plan": by_plan}
    kit.as_("pharmacy").refused("NOT_HOLDER", "quality", "request", **more)
    kit.as_("lab").refused("NOT_AUTHORISED", "quality", "request", **more)
    for who, holder in (("maker", ""), ("wholesaler", kit.id("wholesaler"))):
        number = request(kit, who, plan=by_plan)
        assert state(kit, number)["record"]["holder"] == holder
        kit.as_(who).call("quality", "cancel_request", inspection=number)
    number = inspected(kit, BAD, "regulator", plan=by_plan)
    assert state(kit, number)["record"]["by_regulator"]
    more["repeat"] = "DISPUTED"
    kit.as_("maker").refused("NOT_AUTHORISED", "quality", "request", **more)


def test_an_owner_inspects_what_lies_at_another(kit: Testkit) -> None:
    items = [some(LOT, 5)]
    sale = {"items": items, "holder": kit.id("maker"), "buyer": kit.id("pharmacy")}
    kit.as_("maker").call("batch", "sell", **sale)
    more = {"item": LOT, "laboratory": kit.id("lab"), "plan": plan(kit)}
    kit.as_("pharmacy").refused("NOT_HOLDER", "quality", "request", **more)
    kit.as_("wholesaler").refused(
        "NOT_HOLDER", "quality", "request", holder=kit.id("maker"), **more
    )
    number = kit.as_("pharmacy").call("quality", "request", holder=kit.id("maker"), **more)
    assert state(kit, number)["record"]["holder"] == kit.id("maker")


def test_only_the_named_laboratory_examines(kit: Testkit) -> None:
    number = request(kit)
    given = {"inspection": number, "results": results()}
    for who in ("maker", "stranger", "regulator"):
        kit.as_(who).refused("NOT_AUTHORISED", "quality", "record_results", **given)
    kit.as_("lab").call("quality", "record_results", **given)
    for who in ("qa", "stranger", "inspector"):
        kit.as_(who).refused("NOT_AUTHORISED", "quality", "review", inspection=number)
    more = {"item": LOT, "plan": plan(kit)}
    for nobody in (kit.id("maker"), organisation_id(99)):
        kit.as_("maker").refused(
            "UNKNOWN_LABORATORY", "quality", "request", laboratory=nobody, **more
        )


def test_a_laboratory_declines_and_the_goods_are_as_before(kit: Testkit) -> None:
    number = request(kit)
    stays(kit)
    kit.as_("lab").call("quality", "decline", inspection=number, reason="CAPACITY")
    ship(kit)
    assert state(kit, number)["record"]["state"] == "DECLINED"


def test_a_cancelled_repeat_does_not_wash_a_rejection_away(kit: Testkit) -> None:
    inspected(kit, BAD)
    again = request(kit, repeat="DISPUTED")
    kit.as_("maker").call("quality", "cancel_request", inspection=again)
    assert "REJECTED" in stays(kit)


def test_a_regulator_cancels_what_does_not_end(kit: Testkit) -> None:
    number = request(kit)
    kit.as_("lab").call("quality", "record_results", inspection=number, results=results(BAD))
    cancel = {"inspection": number}
    kit.as_("maker").refused("WRONG_STATE", "quality", "cancel_request", **cancel)
    kit.as_("wholesaler").refused("NOT_AUTHORISED", "quality", "cancel_request", **cancel)
    kit.as_("regulator").call("quality", "cancel_request", **cancel)
    kit.as_("regulator").refused("WRONG_STATE", "quality", "cancel_request", **cancel)
    assert [one["value"] for one in state(kit, number)["results"]] == [BAD, 10]  # they stay
    ship(kit)
    refused = {"inspection": number, "results": results()}
    kit.as_("lab").refused("WRONG_STATE", "quality", "record_results", **refused)


def test_one_inspection_of_the_same_goods_at_a_time(kit: Testkit) -> None:
    request(kit)
    more = {"item": LOT, "laboratory": kit.id("lab"), "plan": plan(kit)}
    kit.as_("maker").refused("ALREADY_REQUESTED", "quality", "request", **more)


def test_plans_are_for_their_trade_item_and_end(kit: Testkit) -> None:
    other = kit.as_("maker").call(
        "quality", "define_plan", characteristics=[ASSAY], gtin="09521321000025"
    )
    more = {"item": LOT, "laboratory": kit.id("lab")}
    kit.as_("maker").refused("PLAN_DIFFERS", "quality", "request", plan=other, **more)
    ended = plan(kit)
    kit.as_("wholesaler").refused("NOT_AUTHORISED", "quality", "retire_plan", plan=ended)
    kit.as_("maker").call("quality", "retire_plan", plan=ended)
    kit.as_("maker").refused("PLAN_RETIRED", "quality", "request", plan=ended, **more)
    kit.as_("maker").refused("NOT_FOUND", "quality", "request", plan=99, **more)


# --- what goods may do --------------------------------------------------------------------------


def test_goods_stand_still_from_the_request_to_the_acceptance(kit: Testkit) -> None:
    number = request(kit)
    assert f"quality {number} is PENDING" in stays(kit)
    assert examined(kit, number) == ACCEPTED
    ship(kit)


def test_a_rejected_lot_goes_nowhere_but_is_destroyed(kit: Testkit) -> None:
    ship(kit)
    inspected(kit, BAD)
    for who, to in (("maker", "wholesaler"), ("wholesaler", "pharmacy")):
        assert "REJECTED" in stays(kit, who=who, to=to)
    sale = {"items": [some(LOT, 1)], "holder": kit.id("maker"), "buyer": kit.id("pharmacy")}
    kit.as_("maker").refused("LOCKED", "batch", "sell", **sale)
    kit.as_("maker").call("batch", "quarantine", items=[some(LOT, 90)], cause="INSPECTION")
    kit.as_("maker").refused("LOCKED", "batch", "release", items=[some(LOT, 90)])
    kit.as_("maker").call("batch", "decommission", items=[some(LOT, 90)], state="DESTROYED")


def test_a_rejection_stands_on_lots_split_off_and_on_units_around(kit: Testkit) -> None:
    maker = kit.as_("maker")
    maker.call("batch", "split", item=LOT, parts=[{"lot": "A2", "amount": 20}])
    part, pallet = f"01/{GTIN}/10/A2", sscc(1)
    maker.call("batch", "pack", parent=pallet, items=[some(part, 20)])
    number = inspected(kit, BAD)
    shipment = {"items": [some(pallet)], "consignee": kit.id("wholesaler")}
    assert LOT in maker.refused("LOCKED", "batch", "ship", **shipment)
    inspected(kit, item=part, repeat=None)
    maker.call("batch", "ship", **shipment)  # the part itself was found good
    assert state(kit, number)["record"]["verdict"] == REJECTED


def test_a_holder_s_rejection_stops_its_own_stock_alone(kit: Testkit) -> None:
    ship(kit, 20)
    inspected(kit, BAD, "wholesaler")
    stays(kit, who="wholesaler", to="pharmacy")
    ship(kit, 5, "maker", "pharmacy")
    kit.as_("pharmacy").call("batch", "dispense", items=[some(LOT, 5)])


def test_a_serial_of_a_rejected_lot_stays(kit: Testkit) -> None:
    commission = {"items": [some(SERIAL)], "lot": "A1", "expiry": "2027-12-31"}
    kit.as_("maker").call("batch", "commission", **commission)
    inspected(kit, BAD)
    shipment = {"items": [some(SERIAL)], "consignee": kit.id("wholesaler")}
    assert LOT in kit.as_("maker").refused("LOCKED", "batch", "ship", **shipment)


def test_conditions_are_conceded_by_the_maker_or_a_regulator(kit: Testkit) -> None:
    number = inspected(kit, FAIR)
    assert "CONDITIONAL" in stays(kit)
    kit.as_("maker").refused("NO_PERSON", "quality", "concede", inspection=number)
    kit.as_("stranger").refused("NOT_AUTHORISED", "quality", "concede", inspection=number)
    kit.as_("qa").call("quality", "concede", inspection=number)
    ship(kit)
    assert state(kit, number)["signatures"][-1]["meaning"] == "responsibility"
    kit.as_("qa").refused("NOT_CONDITIONAL", "quality", "concede", inspection=number)
    bad = inspected(kit, BAD)
    kit.as_("inspector").refused("NOT_CONDITIONAL", "quality", "concede", inspection=bad)


@pytest.mark.parametrize("for_all", [True, False])
def test_where_it_is_demanded_nothing_moves_without_an_inspection(
    kit: Testkit, for_all: bool
) -> None:
    if for_all:
        kit.as_("consortium").call("batch", "set_policy", inspection_required=True)
    else:
        kit.as_("maker").call("batch", "register_trade_item", gtin=GTIN, inspection_required=True)
    assert LOT in stays(kit, "INSPECTION_REQUIRED")
    kit.as_("maker").call("batch", "quarantine", items=[some(LOT, 50)])
    kit.as_("maker").refused("INSPECTION_REQUIRED", "batch", "release", items=[some(LOT, 50)])
    inspected(kit)
    kit.as_("maker").call("batch", "release", items=[some(LOT, 50)])
    kit.as_("maker").call("batch", "split", item=LOT, parts=[{"lot": "A2", "amount": 20}])
    part = [some(f"01/{GTIN}/10/A2", 20)]  # of an accepted lot
    kit.as_("maker").call("batch", "ship", items=part, consignee=kit.id("wholesaler"))
    ship(kit)
    kit.replay()


def test_a_holder_s_own_plan_does_not_let_an_uninspected_lot_go(kit: Testkit) -> None:
    ship(kit, 20)
    kit.as_("consortium").call("batch", "set_policy", inspection_required=True)
    own = plan(kit, "wholesaler")
    inspected(kit, GOOD, "wholesaler", plan=own)
    stays(kit, "INSPECTION_REQUIRED", "wholesaler", "pharmacy")
    inspected(kit, GOOD, "wholesaler")  # by the maker's plan
    ship(kit, 10, "wholesaler", "pharmacy")


# --- certificates -------------------------------------------------------------------------------


def certify(kit: Testkit, number: int, first: str, last: str, **more: Any) -> int:
    dates = {"valid_from": first, "valid_until": last}
    reference = kit.commit("COA-2026-0815").commitment
    given = {"inspection": number, "document": bytes(31) + b"1", "type": "1", **dates, **more}
    issued: int = kit.as_("lab").call("quality", "issue_certificate", number=reference, **given)
    return issued


def status(kit: Testkit, certificate: int) -> str:
    found: str = kit.query("quality", "certificate", certificate=certificate)["status"]
    return found


def test_a_certificate_counts_from_day_to_day_by_the_block_s_time(kit: Testkit) -> None:
    number = inspected(kit)
    certificate = certify(kit, number, "2026-05-29", "2026-05-30")  # it is 28 May
    found = []
    for _ in range(4):
        found.append(status(kit, certificate))
        kit.advance(days=1)
    assert found == ["UPCOMING", "VALID", "VALID", "EXPIRED"]
    assert not kit.discloses("COA-2026-0815")
    (listed,) = kit.query("quality", "certificates_of", item=LOT)
    assert listed["record"]["document"] == bytes(31) + b"1"


def test_nothing_certifies_what_was_not_accepted(kit: Testkit) -> None:
    given = {"document": bytes(32), "type": "1", "number": bytes(32)}
    dates = {"valid_from": "2026-06-01", "valid_until": "2026-06-30"}
    lab = kit.as_("lab")
    open_ = request(kit)
    issue = {"inspection": open_, **given, **dates}
    lab.refused("WRONG_STATE", "quality", "issue_certificate", **issue)
    examined(kit, open_, BAD)
    lab.refused("NOT_ACCEPTED", "quality", "issue_certificate", **issue)
    good = inspected(kit, repeat="SORTED")
    issue["inspection"] = good
    lab.refused("BAD_PERIOD", "quality", "issue_certificate", **{**issue, "valid_until": 20260531})
    lab.refused("BAD_ARGUMENT", "quality", "issue_certificate", **{**issue, "type": "380"})
    kit.as_("stranger").refused("NOT_AUTHORISED", "quality", "issue_certificate", **issue)


@pytest.mark.parametrize("reason", ["SUPERSEDED", "LABORATORY_ERROR"])
def test_a_revoked_certificate_takes_its_goods_back_unless_superseded(
    kit: Testkit, reason: str
) -> None:
    number = inspected(kit)
    certificate = certify(kit, number, "2026-05-01", "2027-05-01")
    revoke = {"certificate": certificate, "reason": reason}
    kit.as_("maker").refused("NOT_AUTHORISED", "quality", "revoke_certificate", **revoke)
    kit.as_("stranger").refused("NOT_AUTHORISED", "quality", "revoke_certificate", **revoke)
    kit.as_("regulator").call("quality", "revoke_certificate", **revoke)
    assert status(kit, certificate) == "REVOKED"
    kit.as_("lab").refused("CERTIFICATE_REVOKED", "quality", "revoke_certificate", **revoke)
    if reason == "SUPERSEDED":
        ship(kit)
        certify(kit, number, "2026-05-01", "2027-05-01")
        return
    stays(kit)
    inspected(kit, repeat="LABORATORY_ERROR")
    ship(kit)


def test_no_other_contract_and_no_transaction_locks(kit: Testkit) -> None:
    lock = {"item": LOT, "state": "REJECTED", "number": 1}
    for who in ("regulator", "maker", "consortium"):
        kit.as_(who).refused("NOT_AUTHORISED", "batch", "set_lock", **lock)
    kit.replay()
