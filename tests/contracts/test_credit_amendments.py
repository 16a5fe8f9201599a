"""Amendments of credits, their transfer, and several banks (UCP 600 arts. 8, 10, 12, 31, 38)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.transaction import Call
from contracts.sdk.fields import field_of
from contracts.sdk.records import plan_of
from contracts.sdk.testkit import Refused, Testkit
from contracts.sdk.values import plain
from contracts.trade.terms import Changes, Terms, amended
from tests.contracts.credits import (
    CARRIAGE,
    EXPIRY,
    TERMS,
    advised,
    amend,
    call,
    count,
    credit,
    examine,
    go_to,
    hidden,
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


# --- amendments (10) -----------------------------------------------------------------------------


def test_rule_38_an_amendment_binds_the_issuer_at_once_and_silence_is_no_consent(
    kit: Testkit,
) -> None:
    number = advised(kit)
    amendment = amend(kit, number, {"decrease": money(2_000_000)})
    kit.advance(days=60)
    assert credit(kit, number)["accepted"] == []
    assert undrawn(kit, number) == "100000.00 USD of 100000.00 USD"
    reason = hidden(kit, "withdrawn")
    refused(kit, "WRONG_STATE", "officer", "decline", number, reason=reason)  # nor taken back
    assert call(kit, "seller", "decide", number, amendment, decision="ACCEPT") == "ACCEPTED"
    assert undrawn(kit, number) == "80000.00 USD of 80000.00 USD"
    refused(kit, "WRONG_STATE", "seller", "decide", number, amendment, decision="REJECT")


def test_rule_38_in_force_unless_rejected_is_disregarded(kit: Testkit) -> None:
    number = advised(kit)
    words = [{"name": "text", "text": "in force unless rejected within 10 days"}]
    amend(kit, number, {"decrease": money(2_000_000), "notes": words})
    kit.advance(days=20)
    assert credit(kit, number)["pending"] == [1] and credit(kit, number)["accepted"] == []


def test_rule_38_acceptance_in_part_is_rejection(kit: Testkit) -> None:
    number = advised(kit)
    amendment = amend(kit, number, {"increase": money(100), "presentation_days": 5})
    decided = call(kit, "seller", "decide", number, amendment, decision="ACCEPT_IN_PART")
    assert decided == "REJECTED"
    assert undrawn(kit, number) == "100000.00 USD of 100000.00 USD"
    refused(kit, "WRONG_STATE", "seller", "decide", number, amendment, decision="ACCEPT")


def test_rule_38_a_presentation_that_fits_it_is_consent(kit: Testkit) -> None:
    number = advised(kit)
    amend(
        kit, number, {"decrease": money(2_000_000), "quantity": {"amount": 48_000, "unit": "KGM"}}
    )
    one = present(kit, number, minor=8_000_000, quantity=48_000)
    refused(kit, "EXAMINATION_OPEN", "seller", "decide", number, 1, decision="REJECT")
    assert examine(kit, number, one) == "COMPLYING"
    found = kit.query("credit", "credit", number=number)
    assert found["credit"]["accepted"] == [1]
    made = found["amendments"][0]["record"]
    assert (made["state"], made["by_presentation"]) == ("ACCEPTED", one)
    pay(kit, number, one)
    assert undrawn(kit, number) == "0.00 USD of 80000.00 USD"


def test_rule_38_a_presentation_while_a_decrease_is_pending_may_fit_the_credit_as_it_was(
    kit: Testkit,
) -> None:
    number = advised(kit)
    amendment = amend(kit, number, {"decrease": money(2_000_000)})
    one = present(kit, number)
    assert examine(kit, number, one) == "COMPLYING"
    assert credit(kit, number)["pending"] == [amendment]
    pay(kit, number, one)
    call(kit, "seller", "decide", number, amendment, decision="REJECT")


def test_rule_38_of_several_amendments_the_most_that_fit_are_accepted(kit: Testkit) -> None:
    number = advised(kit)
    amend(kit, number, {"discharge": "SAVANNAH"})
    amend(kit, number, {"increase": money(500_000)})
    amend(kit, number, {"discharge": "NORFOLK"})
    to_savannah = {"type": "BILL_OF_LADING", "carriage": carriage(discharge="Savannah")}
    one = present(kit, number, to_savannah)
    examine(kit, number, one)
    assert presentation(kit, number, one)["verdict"] == "COMPLYING_WITH_2"
    assert (credit(kit, number)["accepted"], credit(kit, number)["pending"]) == ([1, 2], [3])


def test_rule_38_the_confirming_bank_agrees_the_applicant_need_not(kit: Testkit) -> None:
    number = advised(kit, nominated="other_bank", confirm=True)
    amendment = amend(kit, number, {"increase": money(500_000)})
    refused(kit, "CONFIRMER_SILENT", "seller", "decide", number, amendment, decision="ACCEPT")
    one = present(kit, number, bank="other_bank")
    assert presentation(kit, number, one)["pending"] == []
    refused(kit, "NOT_AUTHORISED", "manager", "extend_confirmation", number, amendment)
    call(kit, "director", "extend_confirmation", number, amendment)
    assert call(kit, "seller", "decide", number, amendment, decision="ACCEPT") == "ACCEPTED"
    assert undrawn(kit, number) == "105000.00 USD of 105000.00 USD"


def test_every_part_of_an_amendment_changes_the_terms() -> None:
    values: dict[str, Any] = {
        "expiry": 20270101, "available_by": "NEGOTIATION", "transferable": True, "plus": 3,
        "minus": 4, "presentation_days": 9, "insured_percent": 120, "documents": [],
        "partial_shipments": "NOT_ALLOWED", "transhipment": "NOT_ALLOWED",
        "latest_shipment": 20270102,
        "quantity": {"amount": 7, "unit": "EA"}, "unit_price": money(8), "conditions": ["other"],
        "instalments": [{"start": 20270101, "end": 20270102}],
    }  # fmt: skip
    for name in plan_of(Changes).fields:
        if name in ("increase", "decrease", "notes"):
            continue
        value = values.get(name, f"other {name}")
        changes = field_of(Changes).check({name: value})
        before = plain(field_of(Terms).check(TERMS))[0]
        after = plain(amended(field_of(Terms).check(TERMS), changes))[0]
        assert {key for key in after if after[key] != before[key]} == {name}
        assert after[name] == plain(changes)[0][name]


def test_no_amendment_draws_on_the_applicant(kit: Testkit) -> None:
    number = advised(kit)
    changes = hidden(kit, {"drawee": TERMS["applicant"]})
    one = kit.as_("officer").call("credit", "amend", number=number, changes=changes)
    (line,) = kit.check("credit", "fits", number=number, amendment=one)["findings"]
    assert line.startswith("6(c)")


def test_amendments_take_two_persons_and_the_credits_currency(kit: Testkit) -> None:
    number = advised(kit)
    changes = hidden(kit, {"increase": money(1, "EUR"), "decrease": money(1, "EUR")})
    one = kit.as_("officer").call("credit", "amend", number=number, changes=changes)
    found = kit.check("credit", "fits", number=number, amendment=one)
    assert found["code"] == "UNFIT" and len(found["findings"]) == 3
    with pytest.raises(Refused, match="NOT_READY"):
        record(kit, "manager", "fits", number=number, amendment=one)
    changes = hidden(kit, {"increase": money(1)})
    two = kit.as_("manager").call("credit", "amend", number=number, changes=changes)
    with pytest.raises(Refused, match="FOUR_EYES"):
        record(kit, "manager", "fits", number=number, amendment=two)


def test_an_extended_expiry_keeps_the_credit_alive_and_a_rejected_one_does_not(
    kit: Testkit,
) -> None:
    number = advised(kit)
    amendment = amend(kit, number, {"expiry": 20261030})
    go_to(kit, 20261005)
    assert credit(kit, number)["state"] == "ADVISED"
    late = {"type": "BILL_OF_LADING", "carriage": carriage(shipped=20260831)}
    patient = amend(kit, number, {"presentation_days": 60})
    one = present(kit, number, late)
    assert examine(kit, number, one) == "COMPLYING"
    assert credit(kit, number)["accepted"] == [amendment, patient]
    assert credit(kit, number)["expiry"] == 20261030
    rejected = amend(kit, number, {"expiry": 20261231})
    go_to(kit, 20261102)
    assert credit(kit, number)["state"] == "ADVISED"
    call(kit, "seller", "decide", number, rejected, decision="REJECT")
    kit.advance(seconds=5)
    assert credit(kit, number)["state"] == "EXPIRED"


# --- several drawings, several banks -------------------------------------------------------------


def test_rule_39_two_partial_drawings_in_one_block_do_not_draw_more_than_there_is(
    kit: Testkit,
) -> None:
    number = advised(kit)
    one = present(kit, number, minor=6_000_000, quantity=36_000)
    two = present(kit, number, minor=6_000_000, quantity=24_000)
    assert examine(kit, number, one) == examine(kit, number, two) == "COMPLYING"
    verdicts = [
        judged(kit, "within", number=number, presentation=which, drawn=0, accepted=0)
        for which in (one, two)
    ]
    assert [verdict["verdict"] for verdict in verdicts] == ["WITHIN", "WITHIN"]
    seed = kit._seeds["officer"]
    calls = [kit.transaction(seed, [Call("credit", "counted", one)]) for one in verdicts]
    receipts = kit.block(*calls)
    assert [receipt.code for receipt in receipts] == ["OK", "OUTDATED_VERDICT"]
    with pytest.raises(Refused, match="BEYOND_CEILING"):
        count(kit, number, two)
    call(kit, "manager", "honour", number, one)
    refused(kit, "NOT_COUNTED", "manager", "honour", number, two)
    assert undrawn(kit, number) == "40000.00 USD of 100000.00 USD"


def test_a_confirming_bank_honours_and_is_reimbursed(kit: Testkit) -> None:
    number = advised(kit, nominated="other_bank", confirm=True)
    assert credit(kit, number)["state"] == "CONFIRMED"
    one = present(kit, number, bank="other_bank")
    refused(kit, "WRONG_STATE", "clerk", "pass_on", number, one)
    assert examine(kit, number, one, "clerk") == "COMPLYING"
    pay(kit, number, one, "other_bank")
    assert tasks(kit, "other_bank") == [("pass_on", "credit 1")]
    refused(kit, "EXAMINATION_OPEN", "seller", "close", number)
    two = call(kit, "clerk", "pass_on", number, one)
    refused(kit, "WRONG_STATE", "clerk", "pass_on", number, one)
    call(kit, "clerk", "take_back", number, two)
    refused(kit, "EXAMINATION_OPEN", "seller", "close", number)
    two = call(kit, "clerk", "pass_on", number, one)
    assert examine(kit, number, two) == "COMPLYING"
    call(kit, "manager", "honour", number, two)
    assert state(kit, number, two) == "HONOURED"
    assert credit(kit, number)["drawings"] == [one]
    call(kit, "seller", "close", number)
    assert undrawn(kit, number) == "0.00 USD of 100000.00 USD"


def test_a_nominated_bank_that_has_not_confirmed_is_not_precluded(kit: Testkit) -> None:
    number = advised(kit, nominated="other_bank")
    one = present(kit, number, bank="other_bank")
    go_to(kit, 20260605)
    assert state(kit, number, one) == "PRESENTED"
    refused(kit, "NOT_REQUESTED", "director", "confirm", number)
    call(kit, "seller", "take_back", number, one)
    two = present(kit, number, bank="other_bank")
    assert examine(kit, number, two, "clerk") == "COMPLYING"
    call(kit, "seller", "take_back", number, two)
    assert examine(kit, number, present(kit, number)) == "COMPLYING"


def test_a_nominated_bank_asks_the_issuer_about_discrepant_documents(kit: Testkit) -> None:
    number = advised(kit, nominated="other_bank", confirm=True)
    one = present(kit, number, LATE_BILL, bank="other_bank")
    examine(kit, number, one, "clerk")
    refused(kit, "NOT_WAIVED", "director", "accept_waiver", number, one)
    two = call(kit, "clerk", "pass_on", number, one)
    examine(kit, number, two)
    for who, method in (
        ("officer", "ask_waiver"),
        ("buyer", "waive"),
        ("manager", "accept_waiver"),
    ):
        call(kit, who, method, number, two)
    call(kit, "director", "accept_waiver", number, one)
    pay(kit, number, one, "other_bank")
    call(kit, "manager", "honour", number, two)
    assert undrawn(kit, number) == "0.00 USD of 100000.00 USD"


# --- transfer (38) -------------------------------------------------------------------------------


def transfer(kit: Testkit, number: int, to: str = "farmer", **changed: Any) -> int:
    terms = TERMS | {"beneficiary": "Bekele Farm\nYirgalem"} | changed
    args = {"to": kit.id(to), "expiry": terms["expiry"], "terms": hidden(kit, terms)}
    child: int = call(kit, "seller", "transfer", number, **args)
    return child


def made_good(kit: Testkit, parent: int, child: int, who: str = "manager") -> None:
    drawn = len(credit(kit, parent)["drawings"])
    record(kit, who, "transferable", number=child, drawn=drawn)


def test_rule_40_a_credit_is_transferred_once_and_only_if_it_says_so(kit: Testkit) -> None:
    plain = advised(kit)
    child = transfer(kit, plain)
    found = kit.check("credit", "transferable", number=child, drawn=0)
    assert found["code"] == "BEYOND" and found["findings"][0].startswith("38(a)")
    with pytest.raises(Refused, match="NOT_READY"):
        made_good(kit, plain, child)
    number = advised(kit, transferable=True)
    child = transfer(
        kit, number, amount=money(6_000_000), quantity={"amount": 36_000, "unit": "KGM"}
    )
    refused(kit, "WRONG_STATE", "officer", "propose", child)
    made_good(kit, number, child)
    assert undrawn(kit, number) == "40000.00 USD of 100000.00 USD"
    assert undrawn(kit, child) == "60000.00 USD of 60000.00 USD"
    args = {"to": kit.id("rival"), "expiry": EXPIRY, "terms": hidden(kit, TERMS)}
    refused(kit, "TRANSFERRED_ONCE", "farmer", "transfer", child, **args)
    second = transfer(kit, number, "rival", amount=money(5_000_000))
    assert kit.check("credit", "transferable", number=second, drawn=1)["findings"] == [
        "38(d): more is transferred than is undrawn"
    ]
    by_farmer = {"issuer": "Bekele Farm", "quantity": {"amount": 36_000, "unit": "KGM"},
                 "amount": money(6_000_000), "type": "INVOICE"}  # fmt: skip
    with pytest.raises(Refused, match="NOT_AUTHORISED"):
        present(kit, child, by_farmer)
    one = present(kit, child, by_farmer, minor=6_000_000, quantity=36_000, who="farmer")
    assert examine(kit, child, one) == "COMPLYING"
    pay(kit, child, one)
    two = present(kit, number, minor=5_000_000, quantity=20_000)
    examine(kit, number, two)
    with pytest.raises(Refused, match="BEYOND_CEILING"):
        count(kit, number, two)


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({"amount": money(9_000_000)}, True),
        ({"amount": money(10_000_001)}, False),
        ({"expiry": 20260901}, True),
        ({"latest_shipment": 20260801}, True),
        ({"latest_shipment": 20260901}, False),
        ({"presentation_days": 15}, True),
        ({"presentation_days": 22}, False),
        ({"unit_price": money(160)}, True),
        ({"unit_price": money(167)}, False),
        ({"insured_percent": 120}, True),
        ({"insured_percent": 109}, False),
        ({"applicant": "Sidama Union"}, True),
        ({"applicant": "Somebody Else"}, False),
        ({"goods": "Tea"}, False),
        ({"discharge": "SAVANNAH"}, False),
        ({"documents": [{"type": "INVOICE"}]}, False),
        ({"conditions": ["by air"]}, False),
        ({"plus": 10}, False),
        ({"quantity": {"amount": 70_000, "unit": "KGM"}}, False),
        ({"transferable": True}, False),
    ],
)
def test_rule_40_only_what_may_be_reduced_is(
    kit: Testkit, changed: dict[str, Any], allowed: bool
) -> None:
    price = {"unit_price": money(166)}
    number = advised(kit, transferable=True, **price)
    child = transfer(kit, number, **price | changed)
    found = kit.check("credit", "transferable", number=child, drawn=0)
    assert found["code"] == ("WITHIN" if allowed else "BEYOND"), found["findings"]


def test_rule_40_the_second_beneficiary_presents_to_the_transferring_bank(kit: Testkit) -> None:
    number = advised(kit, transferable=True, nominated="other_bank")
    child = transfer(kit, number)
    with pytest.raises(Refused, match="NOT_AUTHORISED"):
        made_good(kit, number, child, "rival")
    made_good(kit, number, child, "director")
    with pytest.raises(Refused, match="NOT_AVAILABLE"):
        present(kit, child, who="farmer")
    assert present(kit, child, who="farmer", bank="other_bank") == 1


def test_a_transfer_that_an_amendment_overtook_is_asked_for_anew(kit: Testkit) -> None:
    number = advised(kit, transferable=True)
    child = transfer(kit, number)
    call(kit, "seller", "decide", number, amend(kit, number, {"goods": "Tea"}), decision="ACCEPT")
    with pytest.raises(Refused, match="OUTDATED_VERDICT"):
        made_good(kit, number, child)
    call(kit, "officer", "decline", child, reason=hidden(kit, "amended"))
    assert credit(kit, child)["state"] == "DECLINED"
