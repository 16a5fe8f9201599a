"""Letters of credit: what their parties may do and when (UCP 600; DOMAIN rules 30 to 40)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.sdk.testkit import Refused, Testkit, organisation_id
from tests.contracts.credits import (
    CARRIAGE,
    EXPIRY,
    STAFF,
    TERMS,
    advised,
    amend,
    apply,
    call,
    count,
    credit,
    examine,
    findings,
    go_to,
    hidden,
    issued,
    judged,
    money,
    pay,
    present,
    presentation,
    record,
    refused,
    small_world,
    state,
    tasks,
    undrawn,
)

LATE_BILL = {"type": "BILL_OF_LADING", "originals": 2}


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def carriage(**changed: Any) -> dict[str, Any]:
    return CARRIAGE | changed


def refused_presentation(kit: Testkit, number: int, fate: str = "HOLD") -> int:
    one = present(kit, number, LATE_BILL)
    assert examine(kit, number, one) == "DISCREPANT"
    call(kit, "officer", "give_notice", number, one, fate=fate)
    return one


def test_from_application_to_honour(kit: Testkit) -> None:
    number = advised(kit)
    assert undrawn(kit, number) == "100000.00 USD of 100000.00 USD"
    one = present(kit, number)
    assert examine(kit, number, one) == "COMPLYING"
    pay(kit, number, one)
    assert state(kit, number, one) == "HONOURED"
    assert undrawn(kit, number) == "0.00 USD of 100000.00 USD"
    found = kit.query("credit", "honoured", number=number, presentation=one)
    parties = {"beneficiary": kit.id("seller"), "applicant": kit.id("buyer")}
    assert found == {"honoured": True, **parties}
    for text in ("Sidama", "DC-1001", "Charleston", "CHARLESTON", "GIBE", "USD", "F-1"):
        assert not kit.discloses(text)
    call(kit, "seller", "close", number)
    assert credit(kit, number)["state"] == "CLOSED"
    kit.replay()


# --- issue ---------------------------------------------------------------------------------------


def test_rule_30_no_credit_is_available_by_a_draft_on_the_applicant(kit: Testkit) -> None:
    drafted = apply(kit, drawee="CAROLINA COFFEE ROASTERS\nelsewhere", tenor="at sight")
    call(kit, "officer", "propose", drafted)
    found = kit.check("credit", "ready", number=drafted)
    assert (found["code"], found["findings"][0][:4]) == ("UNFIT", "6(c)")
    with pytest.raises(Refused, match="NOT_READY"):
        record(kit, "manager", "ready", number=drafted)
    on_bank = apply(kit, drawee="Commercial Bank", tenor="at sight")
    assert kit.check("credit", "ready", number=on_bank)["code"] == "READY"


def test_rule_30_a_credit_states_expiry_availability_and_with_whom(kit: Testkit) -> None:
    without = {name: value for name, value in TERMS.items() if name != "available_with"}
    args = {"issuer": kit.id("bank"), "beneficiary": kit.id("seller"), "expiry": EXPIRY}
    number = kit.as_("buyer").call("credit", "apply", terms=hidden(kit, without), **args)
    with pytest.raises(Refused, match=r"OPENING_MALFORMED.*available_with"):
        kit.check("credit", "ready", number=number)
    number = kit.as_("buyer").call(
        "credit", "apply", terms=hidden(kit, TERMS), **args | {"expiry": 20261001}
    )
    assert "6(d)(i)" in kit.check("credit", "ready", number=number)["findings"][0]


def test_rule_30_it_is_irrevocable_though_it_does_not_say_so(kit: Testkit) -> None:
    """Once issued, no call of applicant or issuer alone ends it."""
    number = issued(kit)
    reason = hidden(kit, "second thoughts")
    refused(kit, "WRONG_STATE", "buyer", "withdraw", number)
    refused(kit, "WRONG_STATE", "officer", "decline", number, reason=reason)
    call(kit, "officer", "advise", number)
    refused(kit, "NOT_AUTHORISED", "manager", "close", number)
    amendment = amend(kit, number, {}, cancels=True)
    assert credit(kit, number)["state"] == "ADVISED"
    assert call(kit, "seller", "decide", number, amendment, decision="ACCEPT") == "ACCEPTED"
    assert credit(kit, number)["state"] == "CANCELLED"
    assert undrawn(kit, number) == "0.00 USD of 100000.00 USD"
    with pytest.raises(Refused, match="WRONG_STATE"):
        present(kit, number)


def test_issue_takes_two_persons_of_the_bank(kit: Testkit) -> None:
    number = apply(kit)
    ready = judged(kit, "ready", number=number)
    refused(kit, "NOT_AUTHORISED", "clerk", "propose", number)
    refused(kit, "NO_PERSON", "bank", "propose", number)
    call(kit, "manager", "propose", number)
    kit.as_("manager").refused("FOUR_EYES", "credit", "issue", **ready)
    kit.as_("officer").refused("NOT_AUTHORISED", "credit", "issue", **ready)
    kit.key("second", "bank", ("bank_admin",), user="second")
    kit.as_("second").call("credit", "issue", **ready)
    assert credit(kit, number)["state"] == "ISSUED"


def test_who_neither_pays_nor_receives_gets_no_credit_and_no_money(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number)
    examine(kit, number, one)
    count(kit, number, one)
    kit.key("watch", "rival", ("compliance_officer",), user="watch")
    listed = {"name": "SDN", "digest": bytes(32)}
    kit.as_("regulator").call("compliance", "announce_list", published="2026-05-01", **listed)
    kit.as_("watch").call(
        "compliance", "decide", party=kit.id("seller"), standing="HELD", lists=[listed],
        assessment=hidden(kit, "x"), review_on="2030-01-31",
    )  # fmt: skip
    refused(kit, "COMPLIANCE_HOLD", "manager", "honour", number, one)
    with pytest.raises(Refused, match="COMPLIANCE_HOLD"):
        apply(kit)
    with pytest.raises(Refused, match="COMPLIANCE_HOLD"):
        present(kit, number)


def test_parties_of_a_credit_are_different_and_banks_are_banks(kit: Testkit) -> None:
    args = {"issuer": kit.id("bank"), "expiry": EXPIRY, "terms": hidden(kit, TERMS)}
    buyer = kit.as_("buyer")
    buyer.refused("SAME_PARTY", "credit", "apply", beneficiary=kit.id("buyer"), **args)
    buyer.refused("SAME_PARTY", "credit", "apply", beneficiary=kit.id("bank"), **args)
    args |= {"beneficiary": kit.id("seller")}
    buyer.refused("NOT_A_BANK", "credit", "apply", **args | {"issuer": kit.id("farmer")})
    buyer.refused("NOT_A_BANK", "credit", "apply", to_confirm=True, **args)
    buyer.refused("PAST_DATE", "credit", "apply", **args | {"expiry": 20260528})
    unknown = args | {"beneficiary": organisation_id(99)}
    buyer.refused("UNKNOWN_ORGANISATION", "credit", "apply", **unknown)


def test_an_application_is_withdrawn_or_declined_before_issue(kit: Testkit) -> None:
    number = apply(kit)
    refused(kit, "NOT_AUTHORISED", "seller", "withdraw", number)
    call(kit, "buyer", "withdraw", number)
    refused(kit, "WRONG_STATE", "officer", "propose", number)
    number = apply(kit)
    call(kit, "officer", "decline", number, reason=hidden(kit, "no line"))
    assert credit(kit, number)["state"] == "DECLINED"
    assert kit.query("credit", "credits_of", organisation=kit.id("buyer")) == []


# --- presentation and its clock ------------------------------------------------------------------


def test_rule_32_the_bank_has_five_banking_days_that_follow_the_day(kit: Testkit) -> None:
    """Presented on Thursday 28 May: until the end of Thursday 4 June."""
    number = advised(kit)
    one = present(kit, number)
    found = presentation(kit, number, one)
    assert found["day"] == 20260528
    go_to(kit, 20260604)
    assert state(kit, number, one) == "PRESENTED"
    go_to(kit, 20260605)
    assert state(kit, number, one) == "PRECLUDED"


def test_rule_32_the_expiry_does_not_curtail_the_five_days(kit: Testkit) -> None:
    number = advised(kit, expiry=20260529, latest_shipment=20260525)
    one = present(kit, number)
    go_to(kit, 20260601)
    assert credit(kit, number)["state"] == "EXPIRED"
    assert undrawn(kit, number) == "100000.00 USD of 100000.00 USD"
    assert examine(kit, number, one) == "COMPLYING"
    refused(kit, "EXAMINATION_OPEN", "officer", "close", number)
    pay(kit, number, one)
    call(kit, "officer", "close", number)


def test_rule_33_an_expiry_on_a_closed_day_moves_the_latest_shipment_does_not(
    kit: Testkit,
) -> None:
    kit.as_("manager").call("calendar", "close", days=[EXPIRY, 20260831])
    number = advised(kit)
    go_to(kit, EXPIRY)
    shipped: dict[str, Any] = {"type": "BILL_OF_LADING", "carriage": carriage(shipped=20260910)}
    lines = findings(kit, number, shipped)
    assert [line[:5] for line in lines] == ["20(a)"] and "29(c)" in lines[0]
    go_to(kit, 20261001)
    assert credit(kit, number)["state"] == "ADVISED"
    shipped["carriage"]["shipped"] = 20260831
    lines = findings(kit, number, shipped)
    assert [line[:5] for line in lines] == ["14(c)"]
    go_to(kit, 20261002)
    assert credit(kit, number)["state"] == "EXPIRED"
    with pytest.raises(Refused, match="WRONG_STATE"):
        present(kit, number)


def test_rule_33_force_majeure_extends_nothing(kit: Testkit) -> None:
    """A bank can't close a day that is near, so no deadline that runs is extended (36)."""
    number = advised(kit)
    one = present(kit, number)
    kit.as_("manager").refused("NOTICE_TOO_SHORT", "calendar", "close", days=[20260603])
    go_to(kit, 20260605)
    assert state(kit, number, one) == "PRECLUDED"


def test_rule_35_what_complies_is_honoured_and_can_not_be_refused(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number)
    examine(kit, number, one)
    refused(kit, "WRONG_STATE", "officer", "give_notice", number, one, fate="HOLD")
    refused(kit, "WRONG_STATE", "seller", "take_back", number, one)
    assert tasks(kit, "bank") == [("counted", "credit 1 presentation 1")]
    count(kit, number, one)
    assert tasks(kit, "bank") == [("honour", "credit 1 presentation 1")]
    go_to(kit, 20260901)
    assert state(kit, number, one) == "COMPLYING"
    call(kit, "manager", "honour", number, one)
    refused(kit, "WRONG_STATE", "manager", "honour", number, one)


def test_rule_35_one_notice_lists_each_discrepancy_and_the_documents_fate(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number, LATE_BILL, {"type": "INSURANCE", "originals": 1})
    assert examine(kit, number, one) == "DISCREPANT"
    args = {"number": number, "presentation": one}
    with pytest.raises(Refused, match="WRONG_STATE"):
        record(kit, "officer", "examine", "COMPLYING", **args)
    call(kit, "officer", "give_notice", number, one, fate="RETURN")
    found = presentation(kit, number, one)
    assert (found["state"], found["fate"]) == ("REFUSED", "RETURN")
    told = kit.openings[found["findings"]].value
    assert [line[:5] for line in told] == ["17(a)", "17(a)"]
    entry = kit.query("vault", "entry", commitment=found["findings"])["entry"]
    assert kit.id("seller") in entry["organisations"]
    refused(kit, "NOTICE_GIVEN", "officer", "give_notice", number, one, fate="HOLD")
    refused(kit, "DOCUMENTS_RETURNED", "officer", "ask_waiver", number, one)


def test_rule_35_a_bank_that_fails_is_precluded_and_honours(kit: Testkit) -> None:
    number = advised(kit)
    one, two = present(kit, number, LATE_BILL, minor=5_000_000), present(kit, number, LATE_BILL)
    assert examine(kit, number, one) == "DISCREPANT"
    refused(kit, "WRONG_STATE", "manager", "honour", number, one)
    go_to(kit, 20260605)
    assert state(kit, number, one) == state(kit, number, two) == "PRECLUDED"
    refused(kit, "WRONG_STATE", "officer", "give_notice", number, one, fate="HOLD")
    refused(kit, "WRONG_STATE", "seller", "take_back", number, one)
    pay(kit, number, one)
    assert undrawn(kit, number) == "50000.00 USD of 100000.00 USD"
    with pytest.raises(Refused, match="BEYOND_CEILING"):
        count(kit, number, two)


def test_rule_35_a_late_notice_is_refused_though_others_are_precluded_first(kit: Testkit) -> None:
    """All deadlines of a bank end at midnight, and a block runs 64 of them."""
    for _ in range(4):
        number = advised(kit)
        for _ in range(20):
            one = present(kit, number, LATE_BILL)
    with pytest.raises(Refused, match="TOO_MANY"):
        present(kit, number)
    examine(kit, number, one)
    kit.time_ms = presentation(kit, number, one)["deadline"]
    refused(kit, "NOTICE_LATE", "officer", "give_notice", number, one, fate="HOLD")
    assert state(kit, number, one) == "DISCREPANT"
    kit.advance(seconds=1)
    assert state(kit, number, one) == "PRECLUDED"


def test_rule_36_a_waiver_is_the_issuers_choice_and_the_clock_runs_on(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number, LATE_BILL)
    examine(kit, number, one)
    refused(kit, "NOT_REQUESTED", "buyer", "waive", number, one)
    call(kit, "officer", "ask_waiver", number, one)
    assert ("waive", "credit 1 presentation 1") in tasks(kit, "buyer")
    refused(kit, "NOT_WAIVED", "manager", "accept_waiver", number, one)
    refused(kit, "NOT_AUTHORISED", "seller", "waive", number, one)
    call(kit, "buyer", "waive", number, one)
    assert state(kit, number, one) == "DISCREPANT"
    refused(kit, "WRONG_STATE", "manager", "honour", number, one)
    call(kit, "officer", "give_notice", number, one, fate="NOTIFY")  # it may refuse all the same
    assert ("accept_waiver", "credit 1 presentation 1") in tasks(kit, "bank")
    two = present(kit, number, LATE_BILL, minor=100)
    examine(kit, number, two)
    for who, method in (("officer", "ask_waiver"), ("buyer", "waive")):
        call(kit, who, method, number, two)
    go_to(kit, 20260605)
    assert state(kit, number, two) == "PRECLUDED"


def test_rule_36_refused_documents_that_are_held_are_taken_up_on_a_waiver(kit: Testkit) -> None:
    number = advised(kit)
    one = refused_presentation(kit, number)
    assert tasks(kit, "buyer") == []
    call(kit, "officer", "ask_waiver", number, one)
    assert tasks(kit, "buyer") == [("waive", "credit 1 presentation 1")]
    call(kit, "buyer", "waive", number, one)
    assert tasks(kit, "bank") == [("accept_waiver", "credit 1 presentation 1")]
    refused(kit, "NOT_AUTHORISED", "officer", "accept_waiver", number, one)
    call(kit, "manager", "accept_waiver", number, one)
    go_to(kit, 20260901)
    assert state(kit, number, one) == "WAIVED"
    pay(kit, number, one)
    assert state(kit, number, one) == "HONOURED"


def test_refused_documents_are_taken_back_and_others_presented(kit: Testkit) -> None:
    number = advised(kit)
    one = refused_presentation(kit, number)
    refused(kit, "NOT_AUTHORISED", "buyer", "take_back", number, one)
    call(kit, "seller", "take_back", number, one)
    refused(kit, "WRONG_STATE", "officer", "ask_waiver", number, one)
    two = present(kit, number)
    assert examine(kit, number, two) == "COMPLYING"


def test_who_examines_does_not_pay(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number)
    assert examine(kit, number, one, "manager") == "COMPLYING"
    refused(kit, "NOT_COUNTED", "manager", "honour", number, one)
    count(kit, number, one)
    refused(kit, "FOUR_EYES", "manager", "honour", number, one)
    refused(kit, "NOT_AUTHORISED", "officer", "honour", number, one)
    refused(kit, "NOT_AUTHORISED", "director", "honour", number, one)
    kit.key("second", "bank", ("bank_admin",), user="second")
    call(kit, "second", "honour", number, one)


def test_who_counts_what_nobody_examined_does_not_pay(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number)
    go_to(kit, 20260605)
    count(kit, number, one, "manager")
    refused(kit, "FOUR_EYES", "manager", "honour", number, one)


def test_others_check_again_and_dispute(kit: Testkit) -> None:
    number = advised(kit)
    one = present(kit, number, LATE_BILL)
    args = {"number": number, "presentation": one}
    with pytest.raises(Refused, match="WRONG_STATE"):
        record(kit, "seller", "examine", **args)
    examine(kit, number, one, lie="COMPLYING")
    with pytest.raises(Refused, match="NOT_AUTHORISED"):
        record(kit, "farmer", "examine", **args)
    record(kit, "buyer", "examine", **args)
    assert presentation(kit, number, one)["disputed"]
    with pytest.raises(Refused, match="ALREADY_RECORDED"):
        record(kit, "buyer", "examine", **args)
    two = present(kit, number)
    examine(kit, number, two)
    record(kit, "regulator", "examine", number=number, presentation=two)
    count(kit, number, two)
    again = judged(kit, "within", number=number, presentation=two, drawn=0, accepted=0)
    kit.as_("seller").call("credit", "counted", **again)
    assert not presentation(kit, number, two)["disputed"]
    other = again | {"accepted": 1, "verdict": "BEYOND", "findings": hidden(kit, ["x"])}
    kit.as_("buyer").refused("OUTDATED_VERDICT", "credit", "counted", **other)
    said = kit.query("credit", "presentation", number=number, presentation=two)["opinions"]
    assert [(one["subject"], one["opinion"]["verdict"]) for one in said] == [
        ("EXAMINE", "COMPLYING"), ("WITHIN", "WITHIN"),
    ]  # fmt: skip


# --- the desk ------------------------------------------------------------------------------------


def test_everybody_sees_what_awaits_them(kit: Testkit) -> None:
    number = apply(kit, nominated="other_bank", confirm=True)
    officer, manager = STAFF["other_bank"]
    assert tasks(kit, "bank") == [("propose", "credit 1")]
    call(kit, "officer", "propose", number)
    assert tasks(kit, "bank") == [("issue", "credit 1")]
    record(kit, "manager", "ready", number=number)
    assert tasks(kit, "other_bank") == [("advise", "credit 1")]
    call(kit, officer, "advise", number)
    assert tasks(kit, "other_bank") == [("confirm", "credit 1")]
    call(kit, manager, "confirm", number)
    amendment = amend(kit, number, {"increase": money(5)})
    assert tasks(kit, "other_bank") == [("extend_confirmation", "credit 1 amendment 1")]
    call(kit, manager, "extend_confirmation", number, amendment)
    assert tasks(kit, "seller") == [("decide", "credit 1 amendment 1")]
    one = present(kit, number, LATE_BILL)
    (found,) = [
        task
        for task in kit.query("credit", "tasks", organisation=kit.id("seller"))["tasks"]
        if task["method"] == "examined"
    ]
    assert found["due"] == presentation(kit, number, one)["deadline"]
    examine(kit, number, one)
    assert tasks(kit, "bank") == [("give_notice", "credit 1 presentation 1")]
    call(kit, "officer", "give_notice", number, one, fate="HOLD")
    go_to(kit, 20261002)
    assert tasks(kit, "bank") == [("close", "credit 1")]
    call(kit, "officer", "close", number)
    for who in ("bank", "other_bank", "buyer", "seller"):
        assert kit.query("credit", "tasks", organisation=kit.id(who))["tasks"] == []
