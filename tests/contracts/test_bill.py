"""Electronic bills of lading. Every contract is the real one: shipment, compliance, vault."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.transaction import Call
from contracts.sdk.testkit import Testkit
from tests.contracts import shipments
from tests.contracts.bills import (
    TERMS,
    arrive,
    bill,
    call,
    hidden,
    issued,
    refused,
    small_world,
    words,
)
from tests.contracts.finance import decide, officers


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def amend(kit: Testkit, number: int, named: list[str], **more: Any) -> int:
    args = words(kit, **more) | {"changes": hidden(kit, named)}
    version: int = call(kit, "carrier", "amend", number, **args)
    return version


# --- DOMAIN rule 52, by its articles ------------------------------------------------------------


def test_rule_52_one_identifiable_record_for_a_shipment(kit: Testkit) -> None:
    number = issued(kit)
    assert bill(kit, number)["controller"] == kit.id("maker")
    args: dict[str, Any] = {"shipment": 1, "to_order": True, **words(kit)}
    kit.as_("carrier").refused("BILL_OPEN", "bill", "issue", **args)
    kit.as_("rival").refused("NOT_AUTHORISED", "bill", "issue", **args)
    call(kit, "maker", "surrender", number)
    kit.as_("carrier").refused("BILL_OPEN", "bill", "issue", **args)
    assert kit.query("bill", "bills_of_shipment", shipment=1) == [number]


def test_rule_52_control_is_exclusive_and_passes_by_the_controllers_signature_alone(
    kit: Testkit,
) -> None:
    number = issued(kit)
    for who in ("carrier", "trader", "bank", "regulator"):
        refused(kit, "NOT_AUTHORISED", who, "transfer", number, to=kit.id("bank"))
    assert call(kit, "maker", "transfer", number, to=kit.id("trader")) == 1
    assert bill(kit, number)["controller"] == kit.id("trader")
    for method, more in (("transfer", {"to": kit.id("bank")}), ("surrender", {})):
        refused(kit, "NOT_AUTHORISED", "maker", method, number, **more)
    done = [(one["act"], one["to"]) for one in kit.query("bill", "history", number=number)]
    assert done == [("ISSUE", kit.id("maker")), ("TRANSFER", kit.id("trader"))]


def test_rule_52_of_simultaneous_transfers_one_is_done(kit: Testkit) -> None:
    number = issued(kit)
    calls = [
        Call("bill", "transfer", {"number": number, "to": kit.id(to), "turn": 0})
        for to in ("trader", "bank")
    ]
    receipts = kit.block(*[kit.transaction(kit._seeds["maker"], [one]) for one in calls])
    assert [one.code for one in receipts] == ["OK", "NOT_AUTHORISED"]
    assert bill(kit, number)["controller"] == kit.id("trader")


def test_what_was_signed_for_an_earlier_turn_does_nothing(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "transfer", number, to=kit.id("trader"))
    call(kit, "trader", "transfer", number, to=kit.id("maker"))
    refused(kit, "OTHER_TURN", "maker", "transfer", number, to=kit.id("bank"), turn=0)
    refused(kit, "OTHER_TURN", "maker", "surrender", number, turn=0)
    assert bill(kit, number)["turn"] == 2


def test_rule_52_a_straight_bill_is_not_endorsed(kit: Testkit) -> None:
    number = issued(kit, to_order=False)
    assert bill(kit, number)["consignee"] == kit.id("pharmacy")
    refused(kit, "STRAIGHT_BILL", "maker", "transfer", number, to=kit.id("trader"))
    refused(kit, "STRAIGHT_BILL", "maker", "surrender", number)
    call(kit, "maker", "transfer", number, to=kit.id("pharmacy"))
    refused(kit, "STRAIGHT_BILL", "pharmacy", "transfer", number, to=kit.id("trader"))
    call(kit, "pharmacy", "surrender", number)


def test_rule_52_an_amendment_is_marked(kit: Testkit) -> None:
    number = issued(kit)
    before = bill(kit, number)["terms"]
    version = amend(kit, number, ["packages"], packages=399)
    assert bill(kit, number)["terms"] == before, "a proposal changes nothing"
    refused(kit, "AMENDMENT_OPEN", "maker", "surrender", number)
    refused(kit, "NOT_AUTHORISED", "carrier", "decide", number, version=version, accept=True)
    call(kit, "maker", "decide", number, version=version, accept=True)
    shown = kit.query("bill", "bill", number=number)
    (marked,) = [one["amendment"] for one in shown["amendments"]]
    assert (marked["state"], marked["before"]) == ("ACCEPTED", before)
    assert (shown["bill"]["terms"], shown["bill"]["version"]) == (marked["terms"], version)
    refused(kit, "WRONG_STATE", "maker", "decide", number, version=version, accept=False)


@pytest.mark.parametrize(
    ("named", "changed", "verdict", "finding"),
    [
        (["packages"], {"packages": 399}, "MARKED", ""),
        (["packages", "goods"], {"packages": 399, "goods": ["drums"]}, "MARKED", ""),
        (["goods"], {"packages": 399, "goods": ["x"]}, "UNMARKED", "packages differs"),
        (["vessel"], {}, "UNMARKED", "vessel is marked"),
        (["clauses"], {"clauses": ["3 drums dented"]}, "MARKED", ""),
    ],
)
def test_the_check_finds_what_was_changed_without_saying_so(
    kit: Testkit, named: list[str], changed: dict[str, Any], verdict: str, finding: str
) -> None:
    number = issued(kit)
    version = amend(kit, number, named, **changed)
    found = kit.check("bill", "marks", number=number, version=version)
    assert found["code"] == verdict
    assert finding in " ".join(found["findings"])
    args = {"version": version, "verdict": verdict, "findings": hidden(kit, found["findings"])}
    refused(kit, "NOT_AUTHORISED", "rival", "marks_examined", number, **args)
    refused(kit, "UNKNOWN_VERDICT", "maker", "marks_examined", number, **args | {"verdict": "X"})
    call(kit, "maker", "marks_examined", number, **args)
    (said,) = kit.query("bill", "bill", number=number)["opinions"]
    assert (said["organisation"], said["opinion"]["verdict"]) == (kit.id("maker"), verdict)


def test_rule_52_paper_makes_the_record_inoperative_and_comes_back(kit: Testkit) -> None:
    number = issued(kit)
    paper = hidden(kit, bytes([7]) * 32)
    refused(kit, "NOT_ASKED", "carrier", "replace_by_paper", number, paper=paper)
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "maker", "ask_for_paper", number, wanted=False)
    refused(kit, "NOT_ASKED", "carrier", "replace_by_paper", number, paper=paper)
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "carrier", "replace_by_paper", number, paper=paper)
    assert bill(kit, number)["state"] == "REPLACED_BY_PAPER"
    for method, more in (("transfer", {"to": kit.id("bank")}), ("surrender", {})):
        refused(kit, "WRONG_STATE", "maker", method, number, **more)
    arrive(kit)
    confirm = {"number": 1}
    kit.as_("pharmacy").refused("BILL_OPEN", "shipment", "confirm_delivery", **confirm)
    args = {"shipment": 1, "to_order": True, "replaces": number, **words(kit)}
    kit.as_("carrier").refused("NOT_REPLACED", "bill", "issue", **args)
    back = kit.as_("carrier").call("bill", "issue", paper=paper, **args)
    assert bill(kit, number)["replaced_by"] == back
    assert bill(kit, back)["controller"] == kit.id("maker")
    kit.as_("carrier").refused("NOT_REPLACED", "bill", "issue", paper=paper, **args)
    refused(kit, "NOT_REPLACED", "carrier", "paper_surrendered", number, by=kit.id("pharmacy"))
    call(kit, "maker", "surrender", back)


def test_a_transfer_takes_the_wish_for_paper_back(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "maker", "transfer", number, to=kit.id("trader"))
    args = {"paper": hidden(kit, bytes(32))}
    refused(kit, "NOT_ASKED", "carrier", "replace_by_paper", number, **args)


def test_a_pledge_takes_the_wish_for_paper_back(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "maker", "pledge", number, to=kit.id("bank"))
    paper = {"paper": hidden(kit, bytes(32))}
    refused(kit, "NOT_ASKED", "carrier", "replace_by_paper", number, **paper)
    call(kit, "bank", "consent", number, act="PAPER")
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "carrier", "replace_by_paper", number, **paper)


def test_an_open_amendment_is_decided_before_paper_is_issued(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "ask_for_paper", number)
    version = amend(kit, number, ["packages"], packages=399)
    paper = {"paper": hidden(kit, bytes(32))}
    refused(kit, "AMENDMENT_OPEN", "carrier", "replace_by_paper", number, **paper)
    call(kit, "maker", "decide", number, version=version, accept=True)
    call(kit, "carrier", "replace_by_paper", number, **paper)


def test_goods_under_paper_wait_for_the_paper(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "ask_for_paper", number)
    call(kit, "carrier", "replace_by_paper", number, paper=hidden(kit, bytes(32)))
    arrive(kit)
    call(kit, "carrier", "paper_surrendered", number, by=kit.id("trader"))
    refused(kit, "BILL_OPEN", "carrier", "paper_surrendered", number, by=kit.id("maker"))
    kit.as_("pharmacy").refused("NOT_AUTHORISED", "shipment", "confirm_delivery", number=1)
    kit.as_("trader").call("shipment", "confirm_delivery", number=1)


# --- delivery -----------------------------------------------------------------------------------


def test_delivery_is_against_surrender_only_and_to_who_surrenders(kit: Testkit) -> None:
    number = issued(kit)
    arrive(kit)
    kit.as_("pharmacy").refused("BILL_OPEN", "shipment", "confirm_delivery", number=1)
    call(kit, "maker", "transfer", number, to=kit.id("trader"))
    call(kit, "trader", "surrender", number)
    refused(kit, "NOT_DELIVERED", "carrier", "accomplish", number)
    kit.as_("pharmacy").refused("NOT_AUTHORISED", "shipment", "confirm_delivery", number=1)
    kit.as_("trader").call("shipment", "confirm_delivery", number=1)
    refused(kit, "NOT_AUTHORISED", "trader", "accomplish", number)
    call(kit, "carrier", "accomplish", number)
    assert bill(kit, number)["state"] == "ACCOMPLISHED"
    refused(kit, "WRONG_STATE", "trader", "transfer", number, to=kit.id("bank"))


def test_goods_of_the_batch_contract_go_to_whom_they_were_shipped(kit: Testkit) -> None:
    shipments.stock_lot(kit)
    goods = [shipments.some(shipments.LOT, 30)]
    shipment = shipments.booked(kit, goods=goods)
    kit.as_("maker").call("shipment", "hand_over", number=shipment)
    args: dict[str, Any] = {"shipment": shipment, "to_order": True, **words(kit)}
    number = kit.as_("carrier").call("bill", "issue", **args)
    refused(kit, "HANDED_OVER", "maker", "surrender", number)
    call(kit, "maker", "transfer", number, to=kit.id("pharmacy"))
    call(kit, "pharmacy", "surrender", number)


def test_a_booking_under_a_bill_is_not_cancelled_and_no_call_of_ours_clears_it(
    kit: Testkit,
) -> None:
    shipment = shipments.booked(kit)
    args: dict[str, Any] = {"shipment": shipment, "to_order": True, **words(kit)}
    number = kit.as_("carrier").call("bill", "issue", **args)
    kit.as_("maker").refused("BILL_OPEN", "shipment", "cancel_booking", number=shipment)
    clear = {"number": shipment, "bill": number, "consignee": kit.id("carrier")}
    kit.as_("carrier").refused("NOT_AUTHORISED", "shipment", "clear_bill", **clear)


# --- pledges ------------------------------------------------------------------------------------


def test_a_pledged_bill_does_not_move_without_the_pledgee(kit: Testkit) -> None:
    number = issued(kit)
    bank, trader = kit.id("bank"), kit.id("trader")
    refused(kit, "SAME_PARTY", "maker", "pledge", number, to=kit.id("carrier"))
    call(kit, "maker", "pledge", number, to=bank)
    refused(kit, "PLEDGED", "maker", "pledge", number, to=trader)
    for method, more in (("transfer", {"to": trader}), ("surrender", {}), ("ask_for_paper", {})):
        refused(kit, "PLEDGED", "maker", method, number, **more)
    refused(kit, "NOT_AUTHORISED", "bank", "transfer", number, to=bank)
    refused(kit, "NOT_AUTHORISED", "trader", "consent", number, act="TRANSFER", to=trader)
    refused(kit, "CONSENT_UNCLEAR", "bank", "consent", number, act="TRANSFER")
    call(kit, "bank", "consent", number, act="TRANSFER", to=trader)
    refused(kit, "PLEDGED", "maker", "transfer", number, to=kit.id("pharmacy"))
    refused(kit, "PLEDGED", "maker", "surrender", number)
    call(kit, "maker", "transfer", number, to=trader)
    assert bill(kit, number)["pledgee"] == bank, "the pledge goes along"
    refused(kit, "PLEDGED", "trader", "transfer", number, to=kit.id("maker"))
    call(kit, "bank", "consent", number, act="SURRENDER")
    call(kit, "trader", "surrender", number)
    assert bill(kit, number)["pledgee"] == ""


def test_a_consent_holds_for_its_turn_only(kit: Testkit) -> None:
    number = issued(kit)
    call(kit, "maker", "pledge", number, to=kit.id("bank"))
    call(kit, "bank", "consent", number, act="SURRENDER")
    version = amend(kit, number, ["packages"], packages=1)
    refused(kit, "PLEDGED", "maker", "decide", number, version=version, accept=True)
    call(kit, "maker", "decide", number, version=version, accept=False)
    refused(kit, "PLEDGED", "maker", "surrender", number)


def test_a_pledge_ends_with_the_pledgees_word_or_in_its_hands(kit: Testkit) -> None:
    first, second = issued(kit), issued(kit)
    for number in (first, second):
        call(kit, "maker", "pledge", number, to=kit.id("bank"))
    refused(kit, "NOT_AUTHORISED", "maker", "release", first)
    call(kit, "bank", "release", first)
    call(kit, "maker", "transfer", first, to=kit.id("trader"))
    call(kit, "maker", "transfer", second, to=kit.id("bank"))
    assert (bill(kit, second)["controller"], bill(kit, second)["pledgee"]) == (kit.id("bank"), "")


# --- who may know, who may deal, what waits -----------------------------------------------------


def test_what_a_bill_says_goes_to_whoever_gets_it_and_is_nowhere_on_chain(kit: Testkit) -> None:
    number = issued(kit)
    terms = bill(kit, number)["terms"]
    known = kit.query("vault", "entry", commitment=terms)["entry"]["organisations"]
    assert known == [kit.id("carrier"), kit.id("maker")]
    call(kit, "maker", "pledge", number, to=kit.id("bank"))
    call(kit, "maker", "transfer", number, to=kit.id("bank"))
    assert kit.id("bank") in kit.query("vault", "entry", commitment=terms)["entry"]["organisations"]
    for text in (str(TERMS["reference"]), "Basel Pharma", "400 drums"):
        assert not kit.discloses(text)


def test_who_gets_a_bill_with_an_open_amendment_knows_it_and_can_pass_the_bill_on(
    kit: Testkit,
) -> None:
    number = issued(kit)
    version = amend(kit, number, ["packages"], packages=399)
    call(kit, "maker", "transfer", number, to=kit.id("trader"))
    call(kit, "trader", "decide", number, version=version, accept=True)
    call(kit, "trader", "transfer", number, to=kit.id("bank"))
    amendment = kit.query("bill", "bill", number=number)["amendments"][0]["amendment"]
    for part in ("before", "terms", "document", "changes"):
        found = kit.query("vault", "entry", commitment=amendment[part])
        assert kit.id("bank") in found["entry"]["organisations"]


def test_whom_compliance_holds_gets_and_gives_no_bill(kit: Testkit) -> None:
    kit.organisation("other_bank", roles=("bank", "bank_admin"))
    officers(kit)
    number = issued(kit)
    decide(kit, "trader", "HELD")
    refused(kit, "COMPLIANCE_HOLD", "maker", "transfer", number, to=kit.id("trader"))
    decide(kit, "maker", "HELD")
    refused(kit, "COMPLIANCE_HOLD", "maker", "surrender", number)


def test_a_bill_goes_to_nobody_unknown(kit: Testkit) -> None:
    number = issued(kit)
    refused(kit, "UNKNOWN_ORGANISATION", "maker", "transfer", number, to="9521321000995")
    refused(kit, "SAME_PARTY", "maker", "transfer", number, to=kit.id("maker"))


def test_tasks_say_who_has_to_act(kit: Testkit) -> None:
    number = issued(kit)

    def tasks(who: str) -> list[tuple[str, str]]:
        found = kit.query("bill", "tasks", organisation=kit.id(who))
        assert found["next"] == 0
        return [(one["organisation"], one["method"]) for one in found["tasks"]]

    maker, bank, carrier = kit.id("maker"), kit.id("bank"), kit.id("carrier")
    assert tasks("carrier") == tasks("maker") == [(maker, "surrender")]
    assert tasks("bank") == []
    call(kit, "maker", "pledge", number, to=bank)
    assert tasks("bank") == [(bank, "release")]
    amend(kit, number, ["packages"], packages=1)
    assert (maker, "decide") in tasks("bank")
    call(kit, "maker", "decide", number, version=1, accept=False)
    call(kit, "bank", "release", number)
    call(kit, "maker", "surrender", number)
    assert tasks("maker") == [(carrier, "accomplish")]
    assert kit.query("bill", "bills_of", organisation=maker)[0]["number"] == number
    kit.replay()
