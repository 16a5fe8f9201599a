"""Invoice finance: one live financing of an invoice, by whatever financier."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.runtime.package import package_of
from contracts.sdk.testkit import Refused, Testkit
from tests.contracts.finance import decide, hidden, money, officers
from tests.contracts.invoices import (
    accepted,
    cover,
    credit_note,
    finance,
    financed,
    financing,
    marks,
    offer,
    offered,
    paid,
    read,
    register,
    registered,
    small_world,
    state,
)


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def call(kit: Testkit, who: str, method: str, number: int, **args: Any) -> Any:
    return kit.as_(who).call("invoices", method, number=number, **args)


def refused(kit: Testkit, code: str, who: str, method: str, number: int, **args: Any) -> str:
    return kit.as_(who).refused(code, "invoices", method, number=number, **args)


# --- rule 49 --------------------------------------------------------------------------------------


def test_rule_49_one_invoice_one_live_financing_across_all_financiers(kit: Testkit) -> None:
    number = accepted(kit)
    for financier in ("fund", "rival_fund"):
        offer(kit, number, to=financier)
    rival = financing(kit, number, "rival_fund")
    finance(kit, number)
    kit.as_("rival_fund").refused("FINANCED_ALREADY", "invoices", "finance", **rival)
    with pytest.raises(Refused, match="INVOICE_KNOWN"):
        register(kit)
    assert read(kit, number)["invoice"]["financier"] == kit.id("fund")


def test_rule_49_a_second_fingerprint_without_the_number_raises_an_alert(kit: Testkit) -> None:
    first = financed(kit, "INV1")
    made = register(kit, "INV2")
    assert made["alike"] == [first]
    (alert,) = read(kit, made["number"])["alerts"]
    assert (alert["other"], alert["alert"]["kind"]) == (first, "SAME_AMOUNT")
    assert [one.name for one in kit.events].count("DoubleFinancingAlert") == 1


def test_rule_49_split_by_one_cent_is_alerted_and_waits_for_the_buyer(kit: Testkit) -> None:
    first = financed(kit, "INV1", "100.00 EUR")
    second = accepted(kit, "INV1", "99.99 EUR")
    assert read(kit, second)["alerts"][0]["alert"]["kind"] == "SAME_NUMBER"
    offer(kit, second, to="rival_fund")
    args = financing(kit, second, "rival_fund")
    kit.as_("rival_fund").refused("ALIKE", "invoices", "finance", **args)
    told = {"other": first, "remark": hidden(kit, "two deliveries")}
    refused(kit, "NOT_AUTHORISED", "seller", "tell_apart", second, **told)
    call(kit, "buyer", "tell_apart", second, **told)
    refused(kit, "ALREADY_RECORDED", "buyer", "tell_apart", second, **told)
    kit.as_("rival_fund").call("invoices", "finance", **args)
    assert (state(kit, first), state(kit, second)) == ("FINANCED", "FINANCED")


def test_rule_49_what_was_settled_is_never_financed_again(kit: Testkit) -> None:
    number = financed(kit)
    call(kit, "fund", "settle", number)
    with pytest.raises(Refused, match="INVOICE_KNOWN"):
        register(kit)
    again = {"financier": kit.id("rival_fund"), "advance": hidden(kit, money("1.00 EUR"))}
    refused(kit, "WRONG_STATE", "seller", "offer", number, **again)


def test_rule_49_a_released_invoice_is_financed_again(kit: Testkit) -> None:
    number = accepted(kit)
    for financier in ("rival_fund", "fund"):
        offer(kit, number, to=financier)
    finance(kit, number)
    call(kit, "fund", "release", number)
    assert read(kit, number)["offers"] == []  # the rival's is of a time that has passed
    offer(kit, number, to="rival_fund")
    finance(kit, number, "rival_fund")
    assert read(kit, number)["invoice"]["financier"] == kit.id("rival_fund")


def test_a_live_copy_does_not_hide_behind_withdrawn_ones(kit: Testkit) -> None:
    for _ in range(100):
        call(kit, "seller", "withdraw", register(kit)["number"])
    with pytest.raises(Refused, match="TOO_MANY"):
        register(kit)


def test_nobody_takes_an_invoice_by_copying_its_fingerprints(kit: Testkit) -> None:
    """Whoever copies them out of a block has them under its own name, where they mean nothing."""
    kit.organisation("copycat")
    assert register(kit, by="copycat")["alike"] == []
    assert register(kit)["alike"] == []


def test_who_makes_another_fingerprint_of_its_document_is_refused(kit: Testkit) -> None:
    number = register(kit)["number"]
    true = registered(kit, number)
    others = [marks("INV1", 20260101, "100.01 EUR")]
    others += [true | {kind: bytes(32)} for kind in true]
    for other in others:
        refused(kit, "FINGERPRINT_DIFFERS", "buyer", "accept", number, fingerprints=other)
    call(kit, "buyer", "accept", number, fingerprints=true)
    offer(kit, number)
    for other in others:
        args = financing(kit, number, fingerprints=other)
        assert args["verdict"] == "BEYOND"
        args["verdict"] = "WITHIN"
        kit.as_("fund").refused("FINGERPRINT_DIFFERS", "invoices", "finance", **args)


def test_rule_49_a_seller_s_false_fingerprints_hide_no_double_financing(kit: Testkit) -> None:
    """False ones raise no alert, and neither an honest buyer nor an honest financier takes them."""
    financed(kit, "INV1", "100.00 EUR")
    honest = marks("INV1-B", 20260101, "100.00 EUR")
    forged = honest | {kind: bytes(range(32)) for kind in ("numbered", "unnumbered")}
    data = {"number": "INV1-B", "issued_on": 20260101, "gross": money("100.00 EUR")}
    args: dict[str, Any] = {"buyer": kit.id("buyer"), "due_at": kit.time_ms + 30 * 86_400_000}
    args["data"] = hidden(kit, data | {"document": bytes(32)})
    made = kit.as_("seller").call("invoices", "register", fingerprints=forged, **args)
    assert made["alike"] == []
    refused(kit, "FINGERPRINT_DIFFERS", "buyer", "accept", made["number"], fingerprints=honest)


# --- who, when, how much --------------------------------------------------------------------------


@pytest.mark.parametrize(("advance", "verdict"), [("100.00", "WITHIN"), ("100.01", "BEYOND")])
def test_an_advance_is_no_more_than_is_unpaid(kit: Testkit, advance: str, verdict: str) -> None:
    number = accepted(kit)
    offer(kit, number, f"{advance} EUR")
    args = financing(kit, number)
    assert args["verdict"] == verdict
    if verdict == "BEYOND":
        kit.as_("fund").refused("ADVANCE_TOO_HIGH", "invoices", "finance", **args)
    else:
        kit.as_("fund").call("invoices", "finance", **args)


def test_what_was_paid_and_credited_before_lowers_what_may_be_advanced(kit: Testkit) -> None:
    number = accepted(kit)
    credit_note(kit, number, "15.00 EUR")
    assert paid(kit, "buyer", number, "seller", "10.00 EUR") == "PAYMENT"
    offer(kit, number, "75.01 EUR")
    marked = registered(kit, number)
    args = {"number": number, "financier": kit.id("fund"), "fingerprints": marked}
    args["offered"] = offered(kit, number, "fund")
    found = kit.check("invoices", "within", **args)
    assert found["findings"] == ["the advance is 0.01 EUR above what is unpaid"]
    offer(kit, number, "75.00 EUR")
    finance(kit, number)


def test_an_offer_that_changed_since_its_check_is_not_taken(kit: Testkit) -> None:
    """Else a seller could have a financier vouch for an advance that it never saw."""
    number = accepted(kit)
    offer(kit, number, "80.00 EUR")
    args = financing(kit, number)
    offer(kit, number, "100.01 EUR")
    kit.as_("fund").refused("OFFER_CHANGED", "invoices", "finance", **args)
    args = financing(kit, number)
    assert args["verdict"] == "BEYOND"


def test_currencies_do_not_mix(kit: Testkit) -> None:
    number = accepted(kit)
    offer(kit, number, "80.00 USD")
    assert financing(kit, number)["verdict"] == "BEYOND"


def test_a_credit_note_after_financing_is_told_and_leaves_the_cover_short(kit: Testkit) -> None:
    number = financed(kit)
    assert cover(kit, "fund", number)["code"] == "COVERED"
    credit_note(kit, number, "30.00 EUR")
    posted = kit.events[-1]
    assert (posted.name, posted.fields["state"]) == ("Posted", "FINANCED")
    found = cover(kit, "fund", number)
    assert found["code"] == "SHORT"
    assert found["findings"] == ["the advance is 10.00 EUR above what is unpaid"]
    amount = read(kit, number)["postings"][0]["amount"]
    readers = kit.query("vault", "entry", commitment=amount)["entry"]["organisations"]
    assert readers == [kit.id(name) for name in ("seller", "buyer", "fund")]


def test_a_buyer_who_pays_the_seller_directly_still_owes_the_financier(kit: Testkit) -> None:
    number = financed(kit)
    assert paid(kit, "seller", number, "seller", "100.00 EUR") == "MISDIRECTED"
    assert cover(kit, "fund", number)["code"] == "COVERED"
    credit_note(kit, number, "50.00 EUR")
    found = cover(kit, "fund", number)
    assert found["findings"][1] == "100.00 EUR went to the seller, who owes it to the financier"
    assert paid(kit, "buyer", number, "fund", "50.00 EUR") == "PAYMENT"
    assert cover(kit, "fund", number)["findings"][0].startswith("the advance is 30.00 EUR")
    assert not kit.discloses("30.00 EUR")


def test_what_a_former_financing_brought_in_covers_no_later_one(kit: Testkit) -> None:
    number = financed(kit)
    paid(kit, "buyer", number, "fund", "60.00 EUR")
    call(kit, "fund", "release", number)
    offer(kit, number, "40.01 EUR")
    assert financing(kit, number)["verdict"] == "BEYOND"
    offer(kit, number, "40.00 EUR")
    finance(kit, number)
    assert cover(kit, "fund", number)["code"] == "COVERED"


def test_another_verdict_on_the_same_postings_disputes(kit: Testkit) -> None:
    number = financed(kit)
    assert not cover(kit, "fund", number)["disputed"]
    assert cover(kit, "buyer", number, "SHORT")["disputed"]
    assert not cover(kit, "buyer", number)["disputed"]
    findings = hidden(kit, [])
    refused(kit, "UNKNOWN_VERDICT", "fund", "examined", number, verdict="FINE", findings=findings)
    refused(kit, "NOT_AUTHORISED", "rival_fund", "examined", number, verdict="SHORT",
            findings=findings)  # fmt: skip


def test_default_only_after_the_day_of_payment(kit: Testkit) -> None:
    number = financed(kit)
    refused(kit, "TOO_EARLY", "fund", "default", number)
    kit.advance(days=31)
    assert kit.events[-1].name == "Overdue"
    call(kit, "fund", "default", number)
    call(kit, "fund", "settle", number)
    assert state(kit, number) == "SETTLED"


def test_roles_and_parties(kit: Testkit) -> None:
    number = register(kit)["number"]
    marked = registered(kit, number)
    refused(kit, "NOT_AUTHORISED", "seller", "accept", number, fingerprints=marked)
    refused(kit, "NOT_AUTHORISED", "buyer", "withdraw", number)
    hides = hidden(kit, money("1.00 EUR"))
    args = {"financier": kit.id("fund"), "advance": hides}
    refused(kit, "WRONG_STATE", "seller", "offer", number, **args)
    call(kit, "buyer", "accept", number, fingerprints=marked)
    same = {"financier": kit.id("buyer"), "advance": hides}
    refused(kit, "SAME_PARTY", "seller", "offer", number, **same)
    offer(kit, number)
    theirs = financing(kit, number)
    kit.as_("rival_fund").refused("NOT_AUTHORISED", "invoices", "finance", **theirs)
    kit.as_("buyer").refused("NOT_AUTHORISED", "invoices", "finance", **theirs)
    call(kit, "seller", "take_back", number, financier=kit.id("fund"))
    kit.as_("fund").refused("NOT_OFFERED", "invoices", "finance", **theirs)
    refused(kit, "UNKNOWN_PARTY", "buyer", "paid", number, payee=kit.id("fund"), amount=hides)


def test_a_rejected_invoice_may_be_registered_again_in_order(kit: Testkit) -> None:
    number = register(kit)["number"]
    call(kit, "buyer", "reject", number, remark=hidden(kit, "nothing came"))
    assert register(kit)["alike"] == []


def test_whom_compliance_holds_is_not_financed(kit: Testkit) -> None:
    officers(kit)
    number = accepted(kit)
    offer(kit, number)
    args = financing(kit, number)
    decide(kit, "seller", "HELD")
    kit.as_("fund").refused("COMPLIANCE_HOLD", "invoices", "finance", **args)


def test_what_an_invoice_says_is_nowhere_on_the_chain(kit: Testkit) -> None:
    number = financed(kit, "NAIROBI-77")
    assert not kit.discloses("NAIROBI-77")
    data = read(kit, number)["invoice"]["data"]
    readers = kit.query("vault", "entry", commitment=data)["entry"]["organisations"]
    assert readers == [kit.id(name) for name in ("seller", "buyer", "fund")]
    kit.replay()


def test_there_is_one_key_for_ever(kit: Testkit) -> None:
    args = {"key": hidden(kit, bytes(32)), "members": [kit.id("seller"), kit.id("fund")]}
    kit.as_("seller").refused("NOT_AUTHORISED", "invoices", "set_key", **args)
    kit.as_("regulator").call("invoices", "set_key", **args)
    kit.as_("regulator").refused("ALREADY_RECORDED", "invoices", "set_key", **args)
    assert kit.query("invoices", "key")["author"] == kit.id("regulator")


def test_tasks_say_who_is_next(kit: Testkit) -> None:
    def tasks(who: str) -> list[tuple[str, str]]:
        found = kit.query("invoices", "tasks", organisation=kit.id(who))["tasks"]
        names = {kit.id(name): name for name in ("seller", "buyer", "fund")}
        return [(names[one["organisation"]], one["method"]) for one in found]

    first = register(kit)["number"]
    assert tasks("seller") == tasks("buyer") == [("buyer", "accept")]
    second = accepted(kit, "INV1", "99.99 EUR")
    assert tasks("buyer").count(("buyer", "tell_apart")) == 2
    call(kit, "seller", "withdraw", first)
    offer(kit, second)
    assert tasks("seller") == [("fund", "finance")]
    finance(kit, second)
    assert tasks("fund") == []
    kit.advance(days=31)
    assert tasks("seller") == tasks("fund") == [("fund", "settle")]


def test_an_overdue_invoice_is_not_financed(kit: Testkit) -> None:
    number = accepted(kit)
    offer(kit, number)
    args = financing(kit, number)
    kit.advance(days=31)
    kit.as_("fund").refused("TIME_PASSED", "invoices", "finance", **args)
    with pytest.raises(Refused, match="TIME_PASSED"):
        register(kit, "INV9", days=0)


def test_the_contract_is_small_enough_to_be_upgraded_by_vote() -> None:
    from contracts.runtime.registry import ROOT

    names = ("contracts/finance/invoices_records.py", "contracts/finance/invoices.py")
    files = [(name, (ROOT / name).read_text()) for name in names]
    assert package_of(files)
    assert sum(len(text.encode()) for _, text in files) < 50_000
