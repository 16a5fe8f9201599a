"""What a reviewer found that the rules let through, each kept closed by its test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import credits as trade
from tests.contracts import finance as money
from tests.contracts.ledger import MAKER, Ledger
from tests.contracts.test_credit_amendments import made_good, transfer


def test_an_approval_survives_the_division_of_its_note() -> None:
    kit = money.small_world()
    number, (note,) = money.funded(kit, "100.00 EUR")
    kit.as_("buyer").call("escrow", "approve", number=number, notes=[note])
    amounts = [money.hidden(kit, money.money(text)) for text in ("99.00 EUR", "1.00 EUR")]
    made = kit.as_("agent").call("escrow", "divide", number=number, note=note, amounts=amounts)
    assert money.say(kit, "bank", made["turn"]) == "CONFIRMED"
    kit.as_("seller").call("escrow", "release", number=number, notes=[made["parts"][0]])
    kit.advance(days=31)
    assert [money.owner(kit, one) for one in made["parts"]] == ["seller", "seller"]


def test_what_was_asked_for_before_there_were_limits_counts_against_them() -> None:
    kit = money.small_world()
    note = money.issue(kit, "buyer", "500.00 EUR")
    turn, made = money.request(kit, "buyer", [note], ("buyer", "500.00 EUR"), counted=True)
    assert money.say(kit, "bank", turn) == "CONFIRMED"
    limits = money.hidden(kit, {"daily": [money.money("20.00 EUR")]})
    kit.as_("bank").call("claims", "set_limits", owner=kit.id("buyer"), limits=limits)
    kit.as_("buyer").refused("LIMITED", "claims", "pay", notes=made, payee=kit.id("seller"))


def test_a_note_passes_on_the_day_on_which_it_was_counted_and_no_other() -> None:
    kit = money.small_world()
    limits = money.hidden(kit, {"daily": [money.money("20.00 EUR")]})
    kit.as_("bank").call("claims", "set_limits", owner=kit.id("buyer"), limits=limits)
    made: list[list[int]] = []
    for day in range(2):
        kit.advance(days=day)
        note = money.issue(kit, "buyer", "20.00 EUR")
        turn, outputs = money.request(kit, "buyer", [note], ("buyer", "20.00 EUR"), counted=True)
        found = kit.check("claims", "within", turn=turn)
        findings = money.hidden(kit, found["findings"])
        args = {"turn": turn, "verdict": found["code"], "findings": findings}
        kit.as_("bank").call("claims", "counted", **args)
        money.say(kit, "bank", turn)
        made.append(outputs)
    kit.as_("buyer").refused("LIMITED", "claims", "pay", notes=made[0], payee=kit.id("seller"))
    kit.as_("buyer").call("claims", "pay", notes=made[1], payee=kit.id("seller"))


@pytest.mark.parametrize(("day", "articles"), [(20260608, []), (20260609, ["14(c)"])])
def test_rule_33_the_last_day_after_shipment_moves_with_a_closure(
    day: int, articles: list[str]
) -> None:
    """Saturday 2026-05-16 and 21 days is a Saturday: the Monday after it is in time (29(a))."""
    kit = trade.small_world()
    number = trade.advised(kit)
    shipped = 20260516
    trade.go_to(kit, day)
    carriage = trade.CARRIAGE | {"shipped": shipped}
    lines = trade.findings(
        kit,
        number,
        {"type": "BILL_OF_LADING", "date": shipped, "carriage": carriage},
        {"type": "INSURANCE", "date": shipped},
        {"type": "INVOICE", "date": shipped},
    )
    assert [line.split(":")[0] for line in lines] == articles


@pytest.mark.parametrize(
    "changes",
    [
        {"applicant": "Drawee Bank Ltd"},
        {"documents": []},
        {"decrease": trade.money(10_000_000)},
        {"latest_shipment": 20301231},
        {"beneficiary": "Carolina Coffee Roasters"},
        {"instalments": [{"start": 20260801, "end": 20260701}]},
    ],
)
def test_no_amendment_makes_a_credit_unfit(changes: dict[str, Any]) -> None:
    kit = trade.small_world()
    number = trade.advised(kit, drawee="Drawee Bank Ltd")
    hidden = trade.hidden(kit, changes)
    amendment = kit.as_("officer").call("credit", "amend", number=number, changes=hidden)
    assert kit.check("credit", "fits", number=number, amendment=amendment)["code"] == "UNFIT"


@pytest.mark.parametrize(
    "changes", [{"increase": trade.money(1)}, {"expiry": 20301231}, {"goods": "tea"}]
)
def test_rule_40_no_amendment_lifts_a_transferred_credit_above_its_first(
    changes: dict[str, Any],
) -> None:
    kit = trade.small_world()
    number = trade.advised(kit, transferable=True, nominated="other_bank")
    child = transfer(kit, number)
    made_good(kit, number, child, "director")
    args: dict[str, Any] = {"number": child, "changes": trade.hidden(kit, changes)}
    args["expiry"] = changes.get("expiry")
    amendment = kit.as_("officer").call("credit", "amend", **args)
    found = kit.check("credit", "fits", number=child, amendment=amendment)
    assert found["code"] == "UNFIT" and any(one.startswith("38(") for one in found["findings"])


def test_an_amount_is_not_lowered_below_what_is_drawn() -> None:
    kit = trade.small_world()
    number = trade.advised(kit)
    drawn = trade.present(kit, number, minor=8_000_000, quantity=48_000)
    trade.examine(kit, number, drawn)
    trade.pay(kit, number, drawn)
    for minor, code in ((2_000_000, "READY"), (2_000_001, "UNFIT")):
        hidden = trade.hidden(kit, {"decrease": trade.money(minor)})
        amendment = kit.as_("officer").call("credit", "amend", number=number, changes=hidden)
        assert kit.check("credit", "fits", number=number, amendment=amendment)["code"] == code


def test_two_demands_of_one_type_are_answered_each_by_its_issuer() -> None:
    kit = trade.small_world()
    wanted = [{"type": "INSPECTION", "issuer": name} for name in ("SGS", "Bureau Veritas")]
    number = trade.advised(kit, documents=[*trade.TERMS["documents"], *wanted])
    one = {"type": "INSPECTION", "issuer": "SGS", "number": "1"}
    other = {"type": "INSPECTION", "issuer": "Bureau Veritas", "number": "2"}
    assert trade.findings(kit, number, one, other) == []
    assert trade.findings(kit, number, one) == ["14(a): no inspection is presented"]


def test_one_document_does_not_answer_two_equal_demands() -> None:
    kit = trade.small_world()
    wanted = [{"type": "INSPECTION"}, {"type": "INSPECTION"}]
    number = trade.advised(kit, documents=[*trade.TERMS["documents"], *wanted])
    one = {"type": "INSPECTION", "number": "1"}
    assert trade.findings(kit, number, one) == ["14(a): no inspection is presented"]
    assert trade.findings(kit, number, one, one | {"number": "2"}) == []


def test_rule_39_an_instalment_under_examination_is_not_missed() -> None:
    kit = trade.small_world()
    half = trade.money(5_000_000)
    instalments = [
        {"start": 20260501, "end": 20260525, "amount": half},
        {"start": 20260526, "end": 20260630, "amount": half},
    ]
    number = trade.advised(kit, instalments=instalments)
    drawing: dict[str, Any] = {"minor": 5_000_000, "quantity": 30_000}
    trade.present(kit, number, drawing={"instalment": 1}, **drawing)
    shipped = {
        "type": "BILL_OF_LADING",
        "date": 20260527,
        "quantity": {"amount": 30_000, "unit": "KGM"},
        "carriage": trade.CARRIAGE | {"shipped": 20260527},
    }
    lines = trade.findings(kit, number, shipped, drawing={"instalment": 2}, **drawing)
    assert not [line for line in lines if line.startswith("32")]


def test_rule_39_without_a_transport_document_the_day_of_presentation_counts() -> None:
    kit = trade.small_world()
    half = trade.money(5_000_000)
    instalments = [
        {"start": 20260501, "end": 20260601, "amount": half},
        {"start": 20260602, "end": 20260801, "amount": half},
    ]
    documents = [{"type": "INVOICE", "originals": 1, "copies": 2}]
    number = trade.advised(kit, instalments=instalments, documents=documents)
    trade.go_to(kit, 20260615)
    drawing: dict[str, Any] = {"minor": 5_000_000, "quantity": 30_000}
    lines = trade.findings(kit, number, drop="BILL_OF_LADING", drawing={"instalment": 1}, **drawing)
    assert [line for line in lines if line.startswith("32")]


@pytest.mark.parametrize(("grams", "code"), [(1_000, "OK"), (1_001, "BAD_YIELD")])
def test_no_weight_comes_of_nothing_in_another_unit(ledger: Ledger, grams: int, code: str) -> None:
    made, used = "01/09521321000018/10/Y2", "01/09521321000018/10/Y1"
    kilogram = {"amount": 1, "unit": "KGM"}
    came = {"amount": grams, "unit": "GRM"}
    ledger.ok(MAKER, "commission", items=[{"item": used, "quantity": kilogram}])
    args: dict[str, Any] = {
        "inputs": [{"item": used, "quantity": kilogram}],
        "outputs": [{"item": made, "quantity": came}],
        "yields": [{"input": kilogram, "output": came}],
    }
    if code == "OK":
        ledger.ok(MAKER, "transform", **args)
    else:
        ledger.refused(code, MAKER, "transform", **args)


def test_a_recall_widened_again_and_again_names_all_it_was_widened_to(ledger: Ledger) -> None:
    def lots(prefix: str, count: int) -> list[dict[str, Any]]:
        return [{"item": f"01/09521321000018/10/{prefix}{at}"} for at in range(count)]

    for prefix, count in (("A", 400), ("B", 10), ("C", 10)):
        for at in range(0, count, 40):
            some = lots(prefix, count)[at : at + 40]
            items = [one | {"quantity": {"amount": 1, "unit": "EA"}} for one in some]
            ledger.ok(MAKER, "commission", items=items)
    announcement = {"product": "Tablets", "reason": "Dissolution"}
    ledger.ok(MAKER, "initiate", "recall", announcement=announcement, items=lots("A", 400))
    for prefix in ("B", "C"):
        ledger.ok(MAKER, "widen", "recall", number=1, reason="more", items=lots(prefix, 10))
    page = ledger.query("scope", "recall", number=1, start=400)
    assert [one["item"] for one in page] == [one["item"] for one in lots("B", 10) + lots("C", 10)]
    assert ledger.query("recall", "recall", number=1)["recall"]["named"] == 420
