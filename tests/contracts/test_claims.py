"""Claims on banks: notes, turns, exchanges, limits, disputes. Every contract is the real one."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.codec import encode
from contracts.sdk.testkit import Refused, Testkit
from tests.contracts.finance import (
    balance,
    decide,
    exchange,
    hidden,
    issue,
    money,
    officers,
    outputs,
    owner,
    request,
    say,
    small_world,
    state,
    turned,
)


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def pay(kit: Testkit, who: str, notes: list[int], payee: str) -> None:
    kit.as_(who).call("claims", "pay", notes=notes, payee=kit.id(payee))


# --- notes ----------------------------------------------------------------------------------------


def test_balances_are_of_several_currencies_and_banks(kit: Testkit) -> None:
    for text in ("12.50 EUR", "7.50 EUR", "1000 JPY", "1.250 KWD"):
        issue(kit, "buyer", text)
    issue(kit, "buyer", "5.00 EUR", bank="other_bank")
    assert balance(kit, "buyer") == ["LIVE 20.00 EUR", "LIVE 1000 JPY", "LIVE 1.250 KWD"]
    assert balance(kit, "buyer", "other_bank") == ["LIVE 5.00 EUR"]
    assert balance(kit, "seller") == []


def test_no_amount_and_no_currency_stands_on_the_chain(kit: Testkit) -> None:
    note = issue(kit, "buyer", "81726354.00 EUR")
    sold = exchange("41726354.00 EUR", "6676216640 JPY", 160, 0, source="Banco de Bilbao")
    made = ("seller", "40000000.00 EUR"), ("buyer", "6676216640 JPY")
    turned(kit, "buyer", [note], *made, terms={"exchanges": [sold]})
    amounts = [money(text) for text in ("81726354.00 EUR", *[text for _, text in made])]
    for hint in (*amounts, *[amount["minor"] for amount in amounts], "Banco de Bilbao"):
        assert not kit.discloses(encode(hint))


def test_only_banks_issue_and_nobody_to_itself(kit: Testkit) -> None:
    args = {"owner": kit.id("seller"), "amount": hidden(kit, money("1.00 EUR"))}
    kit.as_("buyer").refused("NOT_AUTHORISED", "claims", "issue", **args)
    grant = {"key": kit.public_key("rival"), "role": "bank_admin"}
    kit.as_("rival").call("identity", "grant_role", **grant)
    kit.as_("rival").refused("NOT_A_BANK", "claims", "issue", **args)
    kit.as_("bank").refused("SAME_PARTY", "claims", "issue", **args | {"owner": kit.id("bank")})


def test_whole_notes_are_paid_on_and_their_openings_with_them(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    pay(kit, "buyer", [note], "seller")
    pay(kit, "seller", [note], "rival")
    assert owner(kit, note) == "rival"
    amount = kit.query("claims", "note", number=note)["amount"]
    entitled = kit.query("vault", "entry", commitment=amount)["entry"]["organisations"]
    assert entitled == [kit.id(name) for name in ("bank", "buyer", "seller", "rival")]


def test_nobody_pays_with_anothers_note_or_twice(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    args = {"notes": [note], "payee": kit.id("rival")}
    kit.as_("seller").refused("NOT_AUTHORISED", "claims", "pay", **args)
    kit.as_("buyer").refused("NOTE_TWICE", "claims", "pay", **args | {"notes": [note, note]})
    kit.as_("buyer").refused("SAME_PARTY", "claims", "pay", **args | {"payee": kit.id("buyer")})
    kit.as_("buyer").refused("NOT_FOUND", "claims", "pay", **args | {"notes": [99]})
    pay(kit, "buyer", [note], "seller")
    kit.as_("buyer").refused("NOT_AUTHORISED", "claims", "pay", **args)


def test_a_copied_amount_is_refused(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    copied = kit.query("claims", "note", number=note)["amount"]
    args = {"owner": kit.id("rival"), "amount": copied}
    kit.as_("other_bank").refused("COMMITMENT_USED", "claims", "issue", **args)


def test_a_stopped_note_stays_until_who_stopped_it_lets_go(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    why = {"note": note, "reason": hidden(kit, "attachment, file 4711")}
    kit.as_("seller").refused("NOT_AUTHORISED", "claims", "stop", **why)
    kit.as_("regulator").call("claims", "stop", **why)
    args = {"notes": [note], "payee": kit.id("seller")}
    kit.as_("buyer").refused("NOTE_STATE", "claims", "pay", **args)
    kit.as_("bank").refused("NOT_AUTHORISED", "claims", "let_go", note=note)
    assert balance(kit, "buyer") == ["STOPPED 12.50 EUR"]
    kit.as_("regulator").call("claims", "let_go", note=note)
    pay(kit, "buyer", [note], "seller")
    assert not kit.discloses("attachment")


# --- turns ----------------------------------------------------------------------------------------


def test_the_bank_divides_and_joins_by_its_check(kit: Testkit) -> None:
    notes = [issue(kit, "buyer", "12.50 EUR"), issue(kit, "buyer", "1000 JPY")]
    turn, made = request(kit, "buyer", notes, ("seller", "2.50 EUR"), ("buyer", "10.00 EUR"),
                         ("buyer", "1000 JPY"))  # fmt: skip
    assert [state(kit, note) for note in (*notes, *made)] == ["LOCKED"] * 2 + ["PROPOSED"] * 3
    assert say(kit, "bank", turn) == "CONFIRMED"
    assert [state(kit, note) for note in (*notes, *made)] == ["SPENT"] * 2 + ["LIVE"] * 3
    assert balance(kit, "buyer") == ["LIVE 10.00 EUR", "LIVE 1000 JPY"]
    assert balance(kit, "seller") == ["LIVE 2.50 EUR"]
    kit.replay()


@pytest.mark.parametrize(
    ("made", "finding"),
    [
        (["12.49 EUR"], "0.01 EUR would be lost"),
        (["12.51 EUR"], "0.01 EUR would come from nowhere"),
        (["12.50 USD"], "12.50 EUR would be lost"),
        (["12.50 EUR", "0.00 EUR"], "would be of nothing"),
    ],
)
def test_what_does_not_add_up_is_taken_back(kit: Testkit, made: list[str], finding: str) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, notes = request(kit, "buyer", [note], *[("buyer", text) for text in made])
    verdict = kit.check("claims", "adds_up", turn=turn)
    assert verdict["code"] == "DOES_NOT" and finding in " ".join(verdict["findings"])
    assert say(kit, "bank", turn) == "REJECTED"
    assert state(kit, note) == "LIVE" and {state(kit, one) for one in notes} == {"VOID"}


def test_no_currency_becomes_another_without_a_recorded_rate(kit: Testkit) -> None:
    note = issue(kit, "buyer", "100.00 EUR")
    unsaid: list[dict[str, Any] | None] = [None, {}, {"paid_out": []}]
    for terms in unsaid:
        turn, _ = request(kit, "buyer", [note], ("buyer", "16000 JPY"), terms=terms)
        assert kit.check("claims", "adds_up", turn=turn)["findings"] == [
            "100.00 EUR would be lost", "16000 JPY would come from nowhere",
        ]  # fmt: skip
        kit.as_("buyer").call("claims", "withdraw", turn=turn)
    terms = {"exchanges": [exchange("100.00 EUR", "16000 JPY", 160, 0)]}
    turned(kit, "buyer", [note], ("buyer", "16000 JPY"), terms=terms)
    assert balance(kit, "buyer") == ["LIVE 16000 JPY"]


@pytest.mark.parametrize(
    ("sold", "bought", "rate", "scale", "rounding", "finding"),
    [
        ("1.250 KWD", "609 JPY", 48_735, 2, "HALF_EVEN", ""),
        ("1.250 KWD", "610 JPY", 48_735, 2, "UP", ""),
        ("1.250 KWD", "610 JPY", 48_735, 2, "HALF_EVEN",
         "1.250 KWD at 487.35, rounded HALF_EVEN, is 609 JPY, not 610 JPY"),
        ("999 JPY", "2.050 KWD", 2_052, 6, "HALF_UP", ""),
        ("999 JPY", "2.049 KWD", 2_052, 6, "DOWN", ""),
        ("0.001 KWD", "0.00 EUR", 3, 0, "DOWN", "0.001 KWD comes to nothing"),
        ("12.50 EUR", "12.50 EUR", 1, 0, "DOWN", "EUR is exchanged for itself"),
    ],
)  # fmt: skip
def test_rounding_of_yen_and_dinars_is_as_recorded(
    kit: Testkit, sold: str, bought: str, rate: int, scale: int, rounding: str, finding: str
) -> None:
    note = issue(kit, "buyer", sold)
    terms = {"exchanges": [exchange(sold, bought, rate, scale, rounding=rounding)]}
    turn, _ = request(kit, "buyer", [note], ("buyer", bought), terms=terms)
    verdict = kit.check("claims", "adds_up", turn=turn)
    if finding:
        assert verdict["code"] == "DOES_NOT" and finding in verdict["findings"]
    else:
        assert verdict == {"code": "ADDS_UP", "findings": []}


def test_a_rate_from_after_the_request_is_none(kit: Testkit) -> None:
    note = issue(kit, "buyer", "100.00 EUR")
    late = exchange("100.00 EUR", "16000 JPY", 160, 0, quoted_at=kit.time_ms + 60_000)
    turn, _ = request(kit, "buyer", [note], ("buyer", "16000 JPY"), terms={"exchanges": [late]})
    found = kit.check("claims", "adds_up", turn=turn)["findings"]
    assert found == ["the rate was quoted after the request"]


def test_claims_are_redeemed_in_part(kit: Testkit) -> None:
    note = issue(kit, "buyer", "100.00 EUR")
    terms = {"paid_out": [money("30.00 EUR")], "account": "NL13RABO0377815500"}
    turned(kit, "buyer", [note], ("buyer", "70.00 EUR"), terms=terms)
    assert balance(kit, "buyer") == ["LIVE 70.00 EUR"]
    assert not kit.discloses("NL13RABO")


def test_a_turn_is_of_one_bank(kit: Testkit) -> None:
    notes = [issue(kit, "buyer", "1.00 EUR"), issue(kit, "buyer", "1.00 EUR", bank="other_bank")]
    args = {"inputs": notes, "outputs": outputs(kit, ("buyer", "2.00 EUR"))}
    kit.as_("buyer").refused("OTHER_BANK", "claims", "request", **args)


def test_only_the_notes_bank_decides_and_once(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, _ = request(kit, "buyer", [note], ("seller", "12.50 EUR"))
    for who, code in (("other_bank", "NOT_AUTHORISED"), ("seller", "WRONG_STATE")):
        with pytest.raises(Refused, match=code):
            say(kit, who, turn)
    with pytest.raises(Refused, match="UNKNOWN_VERDICT"):
        say(kit, "bank", turn, "PERHAPS")
    kit.key("clerk", of="bank")
    with pytest.raises(Refused, match="NOT_AUTHORISED"):
        say(kit, "clerk", turn)
    say(kit, "bank", turn)
    with pytest.raises(Refused, match="ALREADY_RECORDED"):
        say(kit, "bank", turn)
    kit.as_("buyer").refused("WRONG_STATE", "claims", "withdraw", turn=turn)


def test_escrows_calls_are_for_the_escrow_contract(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    for method, args in (
        ("hold", {"notes": [note], "escrow": 1, "fee": False}),
        ("unhold", {"notes": [note], "escrow": 1, "owner": kit.id("rival")}),
        ("divide", {"note": note, "amounts": [hidden(kit, money("1.00 EUR"))] * 2, "escrow": 1}),
    ):
        kit.as_("buyer").refused("NOT_AUTHORISED", "claims", method, **args)


# --- disputes -------------------------------------------------------------------------------------


def dishonest(kit: Testkit) -> tuple[int, int, list[int]]:
    """A bank confirms that 12.50 turn into 10 for the buyer and 20 for the seller."""
    note = issue(kit, "buyer", "12.50 EUR")
    turn, made = request(kit, "buyer", [note], ("buyer", "10.00 EUR"), ("seller", "20.00 EUR"))
    assert say(kit, "bank", turn, "ADDS_UP") == "CONFIRMED"
    return note, turn, made


def test_a_dishonest_confirmation_is_found_by_another_partys_check(kit: Testkit) -> None:
    _, turn, (kept, paid) = dishonest(kit)
    assert kit.check("claims", "adds_up", turn=turn)["code"] == "DOES_NOT"
    say(kit, "seller", turn)
    found = kit.query("claims", "turn", number=turn)
    assert found["turn"]["disputed"]
    assert [one["opinion"]["verdict"] for one in found["opinions"]] == ["ADDS_UP", "DOES_NOT"]
    assert (state(kit, kept), state(kit, paid)) == ("FROZEN", "FROZEN")
    args = {"notes": [paid], "payee": kit.id("rival")}
    kit.as_("seller").refused("NOTE_STATE", "claims", "pay", **args)


def test_nobody_freezes_anothers_money_by_a_word(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, (kept, paid) = request(kit, "buyer", [note], ("buyer", "2.50 EUR"),
                                 ("seller", "10.00 EUR"))  # fmt: skip
    say(kit, "bank", turn)
    with pytest.raises(Refused, match="NOT_AUTHORISED"):
        say(kit, "rival", turn, "DOES_NOT")
    say(kit, "buyer", turn, "DOES_NOT")
    assert (state(kit, kept), state(kit, paid)) == ("FROZEN", "LIVE")
    pay(kit, "seller", [paid], "rival")


def test_who_finds_the_same_confirms(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, made = request(kit, "buyer", [note], ("seller", "12.50 EUR"))
    say(kit, "bank", turn)
    say(kit, "seller", turn)
    found = kit.query("claims", "turn", number=turn)
    assert not found["turn"]["disputed"] and len(found["opinions"]) == 2
    assert state(kit, made[0]) == "LIVE"


def test_a_regulator_undoes_what_has_not_moved_on(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, made = request(kit, "buyer", [note], ("buyer", "20.00 EUR"))
    say(kit, "bank", turn, "ADDS_UP")
    kit.as_("regulator").refused("WRONG_STATE", "claims", "rule", turn=turn, undo=True)
    say(kit, "regulator", turn)
    kit.as_("buyer").refused("NOT_AUTHORISED", "claims", "rule", turn=turn, undo=False)
    kit.as_("regulator").call("claims", "rule", turn=turn, undo=True)
    assert (state(kit, note), state(kit, made[0])) == ("LIVE", "VOID")
    assert balance(kit, "buyer") == ["LIVE 12.50 EUR"]


def test_what_a_third_one_holds_is_not_undone(kit: Testkit) -> None:
    _, turn, (kept, _) = dishonest(kit)
    say(kit, "seller", turn)
    kit.as_("regulator").refused("MOVED_ON", "claims", "rule", turn=turn, undo=True)
    kit.as_("regulator").call("claims", "rule", turn=turn, undo=False)
    assert state(kit, kept) == "LIVE"


def test_a_false_refusal_is_disputed_too(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, _ = request(kit, "buyer", [note], ("seller", "12.50 EUR"))
    assert say(kit, "bank", turn, "DOES_NOT") == "REJECTED"
    say(kit, "buyer", turn)
    assert kit.query("claims", "turn", number=turn)["turn"]["disputed"]
    assert state(kit, note) == "LIVE"


def test_who_lacks_an_opening_is_told_which(kit: Testkit) -> None:
    note = issue(kit, "buyer", "12.50 EUR")
    turn, made = request(kit, "buyer", [note], ("seller", "12.50 EUR"))
    wanted = kit.query("claims", "note", number=made[0])["amount"]
    less = {key: one for key, one in kit.openings.items() if key != wanted}
    with pytest.raises(Refused, match=f"OPENING_MISSING: {wanted.hex()}"):
        kit.check("claims", "adds_up", less, turn=turn)


# --- limits ---------------------------------------------------------------------------------------


def limit(kit: Testkit, who: str, *amounts: str) -> None:
    limits = hidden(kit, {"daily": [money(text) for text in amounts]})
    kit.as_("bank").call("claims", "set_limits", owner=kit.id(who), limits=limits)


def count(kit: Testkit, turn: int) -> str:
    found = kit.check("claims", "within", turn=turn)
    args = {"verdict": found["code"], "findings": hidden(kit, found["findings"])}
    result: str = kit.as_("bank").call("claims", "counted", turn=turn, **args)
    return result


def test_whole_notes_of_a_limited_owner_pass_by_the_bank_alone(kit: Testkit) -> None:
    limit(kit, "buyer", "20.00 EUR")
    note = issue(kit, "buyer", "15.00 EUR")
    args: dict[str, Any] = {"notes": [note], "payee": kit.id("seller")}
    kit.as_("buyer").refused("LIMITED", "claims", "pay", **args)
    turn, made = request(kit, "buyer", [note], ("buyer", "15.00 EUR"), counted=True)
    with pytest.raises(Refused, match="LIMITED"):
        say(kit, "bank", turn)
    assert count(kit, turn) == "REQUESTED"
    say(kit, "bank", turn)
    pay(kit, "buyer", made, "seller")
    pay(kit, "seller", made, "rival")
    assert owner(kit, made[0]) == "rival"


def test_a_day_has_one_limit_in_each_currency(kit: Testkit) -> None:
    limit(kit, "buyer", "20.00 EUR")
    for text, result in (("15.00 EUR", "REQUESTED"), ("5.01 EUR", "REJECTED"),
                         ("5.00 EUR", "REQUESTED"), ("1 JPY", "REJECTED")):  # fmt: skip
        turn, _ = request(kit, "buyer", [issue(kit, "buyer", text)], ("seller", text))
        assert count(kit, turn) == result, text
        if result == "REQUESTED":
            assert say(kit, "bank", turn) == "CONFIRMED"
    kit.advance(days=1)
    turn, _ = request(kit, "buyer", [issue(kit, "buyer", "20.00 EUR")], ("seller", "20.00 EUR"))
    assert count(kit, turn) == "REQUESTED"


def test_limits_are_lifted_and_are_nobody_elses_to_set(kit: Testkit) -> None:
    limit(kit, "buyer", "20.00 EUR")
    note = issue(kit, "buyer", "500.00 EUR")
    kit.as_("buyer").refused("NOT_AUTHORISED", "claims", "set_limits", owner=kit.id("buyer"))
    kit.as_("bank").call("claims", "set_limits", owner=kit.id("buyer"))
    pay(kit, "buyer", [note], "seller")


# --- compliance, desk -----------------------------------------------------------------------------


def test_a_held_party_neither_pays_nor_receives(kit: Testkit) -> None:
    officers(kit)
    note, other = issue(kit, "buyer", "12.50 EUR"), issue(kit, "seller", "1.00 EUR")
    turn, _ = request(kit, "buyer", [issue(kit, "buyer", "3.00 EUR")], ("seller", "3.00 EUR"))
    decide(kit, "seller", "HELD")
    amount = hidden(kit, money("1.00 EUR"))
    to_seller: dict[str, Any] = {"notes": [note], "payee": kit.id("seller")}
    kit.as_("buyer").refused("COMPLIANCE_HOLD", "claims", "pay", **to_seller)
    to_rival: dict[str, Any] = {"notes": [other], "payee": kit.id("rival")}
    kit.as_("seller").refused("COMPLIANCE_HOLD", "claims", "pay", **to_rival)
    args = {"owner": kit.id("seller"), "amount": amount}
    kit.as_("bank").refused("COMPLIANCE_HOLD", "claims", "issue", **args)
    made = {"inputs": [note], "outputs": outputs(kit, ("seller", "12.50 EUR"))}
    kit.as_("buyer").refused("COMPLIANCE_HOLD", "claims", "request", **made)
    with pytest.raises(Refused, match="COMPLIANCE_HOLD"):  # asked for before, confirmed now
        say(kit, "bank", turn)
    decide(kit, "seller", "VERIFIED", "second_officer")
    assert say(kit, "bank", turn) == "CONFIRMED"


def test_waiting_turns_stand_on_the_banks_desk_and_the_customers(kit: Testkit) -> None:
    turn, _ = request(kit, "buyer", [issue(kit, "buyer", "12.50 EUR")], ("seller", "12.50 EUR"))
    for who in ("bank", "buyer"):
        (task,) = kit.query("claims", "tasks", organisation=kit.id(who))["tasks"]
        assert (task["organisation"], task["method"], task["args"]) == (
            kit.id("bank"), "examined", {"turn": turn},
        )  # fmt: skip
    assert kit.query("claims", "tasks", organisation=kit.id("rival"))["tasks"] == []
    say(kit, "bank", turn)
    assert kit.query("claims", "tasks", organisation=kit.id("bank"))["tasks"] == []


def test_lists_are_of_one_bank_and_state(kit: Testkit) -> None:
    first, second = issue(kit, "buyer", "1.00 EUR"), issue(kit, "buyer", "2.00 EUR")
    args = {"owner": kit.id("buyer"), "bank": kit.id("bank")}
    assert [one["number"] for one in kit.query("claims", "notes_of", **args)] == [first, second]
    later = kit.query("claims", "notes_of", after=first, **args)
    assert [one["number"] for one in later] == [second]
    turn, _ = request(kit, "buyer", [first], ("seller", "1.00 EUR"))
    (found,) = kit.query("claims", "turns_of", bank=kit.id("bank"))
    assert found["number"] == turn
