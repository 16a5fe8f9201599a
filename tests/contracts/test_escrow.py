"""Escrow: money held in trust. Every contract is the real one: claims, compliance, shipment."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.transaction import Call
from contracts.sdk.testkit import DAY_MS, Refused, Testkit
from tests.contracts.finance import (
    conserved,
    decide,
    escrow_state,
    funded,
    hidden,
    issue,
    money,
    officers,
    owner,
    propose,
    say,
    small_world,
    state,
)
from tests.contracts.shipments import CONTAINER, DESTINATION, ORIGIN, at, leg

EUROS = {"minor": 10_000, "currency": "EUR"}


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def call(kit: Testkit, who: str, method: str, number: int, **args: Any) -> Any:
    return kit.as_(who).call("escrow", method, number=number, **args)


def refused(kit: Testkit, code: str, who: str, method: str, number: int, **args: Any) -> str:
    return kit.as_(who).refused(code, "escrow", method, number=number, **args)


def record(kit: Testkit, who: str, what: str, number: int, verdict: str | None = None) -> str:
    """Record what the check ``what`` finds, or another verdict."""
    found = kit.check("escrow", what, number=number)
    code: str = verdict or found["code"]
    findings = hidden(kit, found["findings"])
    call(kit, who, f"{what}_examined", number, verdict=code, findings=findings)
    return code


# --- agreeing and funding -------------------------------------------------------------------------


def test_three_agree_before_anything_is_put_in(kit: Testkit) -> None:
    args: dict[str, Any] = {"payee": kit.id("seller"), "agent": kit.id("agent")}
    args |= {"condition": "WORD", "refund_at": kit.time_ms + DAY_MS}
    terms = {"deposits": [EUROS], "fees": []}
    number = kit.as_("buyer").call("escrow", "propose", terms=hidden(kit, terms), **args)
    note = issue(kit, "buyer", "100.00 EUR")
    refused(kit, "WRONG_STATE", "buyer", "fund", number, notes=[note])
    refused(kit, "NOT_AUTHORISED", "rival", "agree", number)
    assert call(kit, "seller", "agree", number) == "PROPOSED"
    refused(kit, "ALREADY_RECORDED", "seller", "agree", number)
    assert call(kit, "agent", "agree", number) == "AGREED"
    refused(kit, "NOT_AUTHORISED", "seller", "fund", number, notes=[note])
    call(kit, "buyer", "fund", number, notes=[note])
    assert (escrow_state(kit, number), state(kit, note)) == ("FUNDED", "HELD")
    refused(kit, "WRONG_STATE", "agent", "cancel_unfunded", number)


def test_depositor_payee_and_agent_are_three(kit: Testkit) -> None:
    for payee, agent in (("buyer", "agent"), ("seller", "seller"), ("seller", "buyer")):
        args: dict[str, Any] = {"payee": kit.id(payee), "agent": kit.id(agent)}
        args |= {"terms": hidden(kit, {"deposits": [EUROS], "fees": []})}
        args |= {"condition": "WORD", "refund_at": kit.time_ms + DAY_MS}
        kit.as_("buyer").refused("SAME_PARTY", "escrow", "propose", **args)


@pytest.mark.parametrize(
    ("condition", "more", "code"),
    [
        ("WORD", {"refund_at": 0}, "CONDITION_UNCLEAR"),
        ("WORD", {"refund_at": 1_000}, "TIME_PASSED"),
        ("WORD", {"shipment": 1}, "CONDITION_UNCLEAR"),
        ("TIME", {"release_at": 0}, "CONDITION_UNCLEAR"),
        ("TIME", {"release_at": 9**13, "refund_at": 9**13}, "CONDITION_UNCLEAR"),
        ("DELIVERY", {}, "CONDITION_UNCLEAR"),
        ("CREDIT", {"credit": 1}, "CONDITION_UNCLEAR"),
    ],
)
def test_a_condition_says_what_it_is_about(
    kit: Testkit, condition: str, more: dict[str, int], code: str
) -> None:
    with pytest.raises(Refused, match=code):
        propose(kit, condition, **more)


def test_what_is_held_can_be_spent_by_nobody(kit: Testkit) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    args: dict[str, Any] = {"notes": [note], "payee": kit.id("rival")}
    kit.as_("buyer").refused("NOTE_STATE", "claims", "pay", **args)
    kit.as_("seller").refused("NOT_AUTHORISED", "claims", "pay", **args)
    other = propose(kit)
    refused(kit, "NOTE_STATE", "buyer", "fund", other, notes=[note])
    assert conserved(kit, number, {note: (10_000, "EUR")})


@pytest.mark.parametrize(
    ("amounts", "verdict"),
    [
        (("60.00 EUR", "40.00 EUR"), "COVERED"),
        (("60.00 EUR", "39.99 EUR"), "SHORT"),
        (("100.00 USD",), "SHORT"),
    ],
)
def test_the_payee_sees_whether_all_was_put_in(
    kit: Testkit, amounts: tuple[str, ...], verdict: str
) -> None:
    number, notes = funded(kit, *amounts, fee="2.00 EUR")
    assert record(kit, "seller", "cover", number) == verdict
    call(kit, "buyer", "approve", number, notes=notes[:1])
    call(kit, "seller", "release", number, notes=notes[:1])
    assert kit.check("escrow", "cover", number=number)["code"] == verdict
    refused(kit, "NOT_AUTHORISED", "rival", "cover_examined", number, verdict="COVERED",
            findings=hidden(kit, []))  # fmt: skip
    refused(kit, "UNKNOWN_VERDICT", "buyer", "cover_examined", number, verdict="FINE",
            findings=hidden(kit, []))  # fmt: skip


def test_amounts_and_terms_are_known_to_the_three_and_the_bank(kit: Testkit) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    assert not kit.discloses("Bilbao")
    amount = kit.query("claims", "note", number=note)["amount"]
    terms = kit.query("escrow", "escrow", number=number)["escrow"]["terms"]
    for commitment, names in (
        (amount, ("bank", "buyer", "seller", "agent")), (terms, ("buyer", "seller", "agent")),
    ):  # fmt: skip
        entry = kit.query("vault", "entry", commitment=commitment)["entry"]
        assert entry["organisations"] == [kit.id(name) for name in names]


def test_an_escrow_that_nobody_funded_is_left(kit: Testkit) -> None:
    number = propose(kit)
    refused(kit, "NOT_AUTHORISED", "rival", "cancel_unfunded", number)
    call(kit, "agent", "cancel_unfunded", number)
    assert escrow_state(kit, number) == "CANCELLED"


# --- release and refund ---------------------------------------------------------------------------


def test_the_payee_takes_what_the_depositor_approved(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    refused(kit, "CONDITION_OPEN", "seller", "release", number, notes=[first])
    refused(kit, "NOT_AUTHORISED", "seller", "approve", number, notes=[first])
    call(kit, "buyer", "approve", number, notes=[first])
    refused(kit, "CONDITION_OPEN", "seller", "release", number, notes=[first, second])
    refused(kit, "NOT_AUTHORISED", "buyer", "release", number, notes=[first])
    assert call(kit, "seller", "release", number, notes=[first]) == "PARTIALLY_RELEASED"
    call(kit, "buyer", "approve", number, notes=[second])
    assert call(kit, "agent", "release", number, notes=[second]) == "RELEASED"
    assert [owner(kit, note) for note in (first, second)] == ["seller", "seller"]
    kit.replay()


def test_a_note_is_divided_to_release_a_part(kit: Testkit) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    books = {note: (10_000, "EUR")}
    amounts = [hidden(kit, money(text)) for text in ("30.00 EUR", "70.00 EUR")]
    refused(kit, "NOT_AUTHORISED", "buyer", "divide", number, note=note, amounts=amounts)
    made = call(kit, "seller", "divide", number, note=note, amounts=amounts)
    first, second = made["parts"]
    refused(kit, "NOTE_STATE", "buyer", "approve", number, notes=[first])
    refused(kit, "NOTE_STATE", "buyer", "approve", number, notes=[note])
    assert conserved(kit, number, books)
    assert say(kit, "bank", made["turn"]) == "CONFIRMED"
    assert conserved(kit, number, books)
    call(kit, "buyer", "approve", number, notes=[first])
    assert call(kit, "seller", "release", number, notes=[first]) == "PARTIALLY_RELEASED"
    assert call(kit, "seller", "refund", number, notes=[second]) == "RELEASED"
    assert (owner(kit, first), owner(kit, second)) == ("seller", "buyer")
    assert conserved(kit, number, books)


def test_a_division_that_does_not_add_up_changes_nothing(kit: Testkit) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    amounts = [hidden(kit, money(text)) for text in ("30.00 EUR", "71.00 EUR")]
    made = call(kit, "agent", "divide", number, note=note, amounts=amounts)
    assert say(kit, "bank", made["turn"]) == "REJECTED"
    assert state(kit, note) == "HELD" and conserved(kit, number, {note: (10_000, "EUR")})
    assert [one["number"] for one in held(kit, number)] == [note]


def held(kit: Testkit, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kit.query("escrow", "escrow", number=number)["held"]
    return found


@pytest.mark.parametrize("order", [("release", "refund"), ("refund", "release")])
def test_of_a_refund_and_a_release_in_one_block_one_takes_effect(
    kit: Testkit, order: tuple[str, str]
) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    call(kit, "buyer", "approve", number, notes=[note])
    who = {"release": kit.as_("agent"), "refund": kit.as_("seller")}
    args = {"number": number, "notes": [note]}
    both = [kit.transaction(who[one]._seed, [Call("escrow", one, args)]) for one in order]
    first, second = kit.block(*both)[:2]
    assert (first.code, second.code) == ("OK", "WRONG_STATE")
    assert owner(kit, note) == {"release": "seller", "refund": "buyer"}[order[0]]
    assert conserved(kit, number, {note: (10_000, "EUR")})


def test_of_two_in_one_block_each_takes_its_own_notes(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    call(kit, "buyer", "approve", number, notes=[first, second])
    sent = (("agent", "release", [first]), ("seller", "refund", [first, second]),
            ("seller", "refund", [second]))  # fmt: skip
    both = [
        kit.transaction(
            kit.as_(who)._seed, [Call("escrow", method, {"number": number, "notes": notes})]
        )
        for who, method, notes in sent
    ]
    assert [one.code for one in kit.block(*both)] == ["OK", "NOTE_STATE", "OK"]
    assert (owner(kit, first), owner(kit, second)) == ("seller", "buyer")


def test_the_payee_gives_back_at_any_time_the_depositor_in_time(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    refused(kit, "TOO_EARLY", "buyer", "refund", number, notes=[first])
    refused(kit, "TOO_EARLY", "agent", "refund", number, notes=[first])
    assert call(kit, "seller", "refund", number, notes=[first]) == "FUNDED"
    assert call(kit, "seller", "refund", number, notes=[second]) == "REFUNDED"
    assert [owner(kit, note) for note in (first, second)] == ["buyer", "buyer"]


def test_when_its_time_has_come_the_rest_goes_back_and_what_is_earned_on(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    call(kit, "buyer", "approve", number, notes=[first])
    kit.advance(days=31)
    assert (owner(kit, first), owner(kit, second)) == ("seller", "buyer")
    assert escrow_state(kit, number) == "RELEASED"
    kit.replay()


def test_money_on_time_reaches_the_payee_by_itself(kit: Testkit) -> None:
    release_at = kit.time_ms + 10 * DAY_MS
    number, notes = funded(kit, "60.00 EUR", "40.00 EUR", condition="TIME", release_at=release_at)
    refused(kit, "CONDITION_OPEN", "seller", "release", number, notes=notes)
    kit.advance(days=9)
    assert escrow_state(kit, number) == "FUNDED"
    kit.advance(days=2)
    assert escrow_state(kit, number) == "RELEASED"
    assert [owner(kit, note) for note in notes] == ["seller", "seller"]


def test_as_many_notes_as_an_escrow_holds_are_moved_by_its_deadline(kit: Testkit) -> None:
    number = propose(kit, "TIME", release_at=kit.time_ms + DAY_MS)
    notes = [issue(kit, "buyer", "1.00 EUR") for _ in range(32)]
    call(kit, "buyer", "fund", number, notes=notes)
    refused(kit, "TOO_MANY", "buyer", "fund", number, notes=[issue(kit, "buyer", "1.00 EUR")])
    (receipt,) = kit.advance(days=2)
    assert receipt.code == "OK" and receipt.steps_used < 1_000_000
    assert {owner(kit, note) for note in notes} == {"seller"}


def test_a_payee_held_between_approval_and_release_gets_nothing(kit: Testkit) -> None:
    officers(kit)
    number, (note,) = funded(kit, "100.00 EUR")
    call(kit, "buyer", "approve", number, notes=[note])
    decide(kit, "seller", "HELD")
    refused(kit, "COMPLIANCE_HOLD", "seller", "release", number, notes=[note])
    refused(kit, "COMPLIANCE_HOLD", "agent", "release", number, notes=[note])
    kit.advance(days=31)  # nor does the deadline move anything
    assert (escrow_state(kit, number), state(kit, note)) == ("FUNDED", "HELD")
    decide(kit, "seller", "VERIFIED", "second_officer")
    assert call(kit, "seller", "release", number, notes=[note]) == "RELEASED"


def test_a_held_depositor_gets_nothing_back(kit: Testkit) -> None:
    officers(kit)
    number, (note,) = funded(kit, "100.00 EUR")
    decide(kit, "buyer", "HELD")
    refused(kit, "COMPLIANCE_HOLD", "seller", "refund", number, notes=[note])
    call(kit, "seller", "dispute", number, reason=hidden(kit, "x"))
    decision = {"to_payee": [], "to_depositor": [note], "decision": hidden(kit, "y")}
    refused(kit, "COMPLIANCE_HOLD", "agent", "decide", number, **decision)
    assert state(kit, note) == "HELD"


# --- delivery -------------------------------------------------------------------------------------


def carried(condition: str = "CLEAN") -> tuple[Testkit, int, int, int]:
    """A kit, an escrow on a delivery, its note, and the shipment, arrived."""
    kit = small_world("batch", "shipment")
    args: dict[str, Any] = {"carrier": kit.id("carrier"), "consignee": kit.id("buyer")}
    args |= {"origin": ORIGIN, "destination": DESTINATION, "wanted_arrival": at(21)}
    shipment = kit.as_("seller").call("shipment", "book", **args)
    carrier = kit.as_("carrier")
    legs = [leg(ORIGIN, DESTINATION, at(1), at(2))]
    carrier.call("shipment", "confirm_booking", number=shipment, legs=legs)
    boxes = [{"number": CONTAINER, "type": "22GP"}]
    carrier.call("shipment", "equip", number=shipment, containers=boxes)
    number, (note,) = funded(kit, "100.00 EUR", condition="DELIVERY", shipment=shipment)
    for method, code, place, more in (
        ("equipment_event", "LOAD", ORIGIN, {"container": CONTAINER}),
        ("transport_event", "DEPA", ORIGIN, {}), ("transport_event", "ARRI", DESTINATION, {}),
    ):  # fmt: skip
        args = {"number": shipment, "code": code, "place": place, "time": kit.time_ms, **more}
        carrier.call("shipment", method, **args)
    return kit, number, note, shipment


def test_a_confirmed_delivery_releases(kit: Testkit) -> None:
    kit, number, note, shipment = carried()
    refused(kit, "CONDITION_OPEN", "seller", "release", number, notes=[note])
    kit.as_("buyer").call("shipment", "confirm_delivery", number=shipment, condition="CLEAN")
    kit.advance(days=31)  # earned: the deadline does not give it back
    assert (escrow_state(kit, number), owner(kit, note)) == ("RELEASED", "seller")


def test_a_delivery_with_damage_waits_for_the_depositors_word() -> None:
    kit, number, note, shipment = carried()
    kit.as_("buyer").call("shipment", "confirm_delivery", number=shipment, condition="DAMAGED")
    refused(kit, "CONDITION_OPEN", "seller", "release", number, notes=[note])
    call(kit, "buyer", "approve", number, notes=[note])
    assert call(kit, "seller", "release", number, notes=[note]) == "RELEASED"


def test_an_escrow_on_delivery_is_of_that_shipments_parties() -> None:
    kit, _, _, shipment = carried()
    for who, payee in (("rival", "seller"), ("buyer", "rival"), ("seller", "buyer")):
        args: dict[str, Any] = {"payee": kit.id(payee), "agent": kit.id("agent")}
        args |= {"condition": "DELIVERY", "shipment": shipment}
        args |= {"terms": hidden(kit, "any"), "refund_at": kit.time_ms + DAY_MS}
        kit.as_(who).refused("OTHER_PARTIES", "escrow", "propose", **args)


# --- disputes -------------------------------------------------------------------------------------


def test_a_dispute_stops_everything_deadlines_included(kit: Testkit) -> None:
    number, (note,) = funded(kit, "100.00 EUR")
    call(kit, "buyer", "approve", number, notes=[note])
    refused(kit, "NOT_AUTHORISED", "agent", "dispute", number, reason=hidden(kit, "why"))
    call(kit, "buyer", "dispute", number, reason=hidden(kit, "moth-eaten"))
    for who, method in (("seller", "release"), ("seller", "refund"), ("buyer", "approve")):
        refused(kit, "WRONG_STATE", who, method, number, notes=[note])
    kit.advance(days=31)
    assert (escrow_state(kit, number), state(kit, note)) == ("DISPUTED", "HELD")
    refused(kit, "NOT_AUTHORISED", "seller", "withdraw_dispute", number)
    call(kit, "buyer", "withdraw_dispute", number)
    refused(kit, "EARNED", "buyer", "refund", number, notes=[note])
    assert call(kit, "seller", "release", number, notes=[note]) == "RELEASED"
    assert not kit.discloses("moth-eaten")


def test_agent_or_regulator_decides_and_no_party(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    decision = {"to_payee": [first], "to_depositor": [second], "decision": hidden(kit, "half")}
    refused(kit, "WRONG_STATE", "agent", "decide", number, **decision)
    call(kit, "seller", "dispute", number, reason=hidden(kit, "no answer"))
    for who in ("buyer", "seller", "rival"):
        refused(kit, "NOT_AUTHORISED", who, "decide", number, **decision)
    both = decision | {"to_depositor": [first, second]}
    refused(kit, "NOTE_STATE", "agent", "decide", number, **both)
    assert call(kit, "agent", "decide", number, **decision) == "RELEASED"
    assert (owner(kit, first), owner(kit, second)) == ("seller", "buyer")


def test_what_a_decision_leaves_stays_in_dispute(kit: Testkit) -> None:
    number, (first, second) = funded(kit, "60.00 EUR", "40.00 EUR")
    call(kit, "seller", "dispute", number, reason=hidden(kit, "no answer"))
    args = {"to_payee": [], "to_depositor": [first], "decision": hidden(kit, "a part")}
    assert call(kit, "agent", "decide", number, **args) == "DISPUTED"
    args = {"to_payee": [second], "to_depositor": [], "decision": hidden(kit, "the rest")}
    assert call(kit, "agent", "decide", number, **args) == "RELEASED"


# --- fees -----------------------------------------------------------------------------------------


def test_a_fee_comes_of_what_was_set_aside_for_it(kit: Testkit) -> None:
    number, (note, fee) = funded(kit, "100.00 EUR", fee="2.00 EUR")
    refused(kit, "NOTE_STATE", "agent", "claim_fee", number, notes=[note])
    refused(kit, "NOT_AUTHORISED", "seller", "claim_fee", number, notes=[fee])
    for who, method in (("buyer", "approve"), ("seller", "release"), ("seller", "refund")):
        refused(kit, "NOTE_STATE", who, method, number, notes=[fee])
    call(kit, "agent", "claim_fee", number, notes=[fee])
    refused(kit, "ALREADY_RECORDED", "agent", "claim_fee", number, notes=[fee])
    assert record(kit, "buyer", "fee", number) == "FEE_DUE"
    assert owner(kit, fee) == "agent" and state(kit, note) == "HELD"
    assert conserved(kit, number, {note: (10_000, "EUR"), fee: (200, "EUR")})


@pytest.mark.parametrize(
    ("fee", "finding"), [("2.01 EUR", "0.01 EUR above"), ("2.00 USD", "2.00 USD above")]
)
def test_a_fee_above_the_remainder_is_refused(kit: Testkit, fee: str, finding: str) -> None:
    number, notes = funded(kit, "100.00 EUR", fee=fee)
    call(kit, "agent", "claim_fee", number, notes=notes[1:])
    assert finding in kit.check("escrow", "fee", number=number)["findings"][0]
    assert record(kit, "buyer", "fee", number) == "FEE_TOO_HIGH"
    assert state(kit, notes[1]) == "HELD"
    kit.advance(days=6)  # it is not taken by silence, either
    assert state(kit, notes[1]) == "HELD"
    call(kit, "agent", "return_fee", number, notes=notes[1:])
    assert owner(kit, notes[1]) == "buyer"


def test_fees_taken_before_count(kit: Testkit) -> None:
    number, (_, first) = funded(kit, "100.00 EUR", fee="1.50 EUR")
    second = issue(kit, "buyer", "1.00 EUR")
    call(kit, "buyer", "fund", number, notes=[second], fee=True)
    call(kit, "agent", "claim_fee", number, notes=[first])
    record(kit, "seller", "fee", number)
    call(kit, "agent", "claim_fee", number, notes=[second])
    assert record(kit, "seller", "fee", number) == "FEE_TOO_HIGH"
    assert (owner(kit, first), owner(kit, second)) == ("agent", "buyer")


def test_a_fee_that_nobody_looks_at_is_due_after_five_days(kit: Testkit) -> None:
    number, (_, fee) = funded(kit, "100.00 EUR", fee="2.00 EUR")
    call(kit, "agent", "claim_fee", number, notes=[fee])
    record(kit, "agent", "fee", number)  # its own word decides nothing
    kit.advance(days=4)
    assert state(kit, fee) == "HELD"
    kit.advance(days=2)
    assert owner(kit, fee) == "agent"


def test_a_fee_that_nobody_claims_goes_back_after_thirty_days(kit: Testkit) -> None:
    number, (note, fee) = funded(kit, "100.00 EUR", fee="2.00 EUR")
    refused(kit, "TOO_EARLY", "buyer", "return_fee", number, notes=[fee])
    assert call(kit, "seller", "refund", number, notes=[note]) == "REFUNDED"
    refused(kit, "TOO_EARLY", "buyer", "return_fee", number, notes=[fee])
    refused(kit, "NOT_AUTHORISED", "seller", "return_fee", number, notes=[fee])
    kit.advance(days=31)
    refused(kit, "TOO_LATE", "agent", "claim_fee", number, notes=[fee])
    call(kit, "buyer", "return_fee", number, notes=[fee])
    assert owner(kit, fee) == "buyer"


def test_a_fee_of_a_held_agent_lapses_and_is_claimed_again(kit: Testkit) -> None:
    officers(kit)
    number, (_, fee) = funded(kit, "100.00 EUR", fee="2.00 EUR")
    call(kit, "agent", "claim_fee", number, notes=[fee])
    decide(kit, "agent", "HELD")
    kit.advance(days=6)
    assert state(kit, fee) == "HELD"
    decide(kit, "agent", "VERIFIED", "second_officer")
    call(kit, "agent", "claim_fee", number, notes=[fee])
    record(kit, "buyer", "fee", number)
    assert owner(kit, fee) == "agent"


# --- desk -----------------------------------------------------------------------------------------


def test_each_party_sees_who_is_to_act(kit: Testkit) -> None:
    def waits() -> list[tuple[str, str]]:
        names = {kit.id(name): name for name in ("buyer", "seller", "agent")}
        found = kit.query("escrow", "tasks", organisation=kit.id("buyer"))["tasks"]
        assert found == kit.query("escrow", "tasks", organisation=kit.id("agent"))["tasks"]
        return [(names[one["organisation"]], one["method"]) for one in found]

    number = propose(kit)
    assert waits() == [("buyer", "fund")]
    note = issue(kit, "buyer", "100.00 EUR")
    call(kit, "buyer", "fund", number, notes=[note])
    assert waits() == [("seller", "cover_examined"), ("buyer", "approve")]
    record(kit, "seller", "cover", number)
    assert waits() == [("buyer", "approve")]
    call(kit, "buyer", "dispute", number, reason=hidden(kit, "x"))
    assert waits() == [("agent", "decide")]
    args = {"to_payee": [note], "to_depositor": [], "decision": hidden(kit, "y")}
    call(kit, "agent", "decide", number, **args)
    assert waits() == []
    assert kit.query("escrow", "escrows_of", organisation=kit.id("buyer")) == []
