"""Every method of the contracts claims and escrow, called with success somewhere; and some
refusals."""

from __future__ import annotations

from typing import Any, Protocol

from contracts.sdk.testkit import DAY_MS, Testkit


class Scenario(Protocol):
    """What the conformance scenario offers."""

    kit: Testkit

    def call(self, who: str, contract: str, method: str, /, **args: Any) -> Any: ...
    def ask(self, contract: str, method: str, /, **args: Any) -> Any: ...
    def check(self, contract: str, method: str, openings: Any = None, /, **args: Any) -> Any: ...
    def pass_time(self, what: str, **time: int) -> None: ...


def amount(kit: Testkit, minor: int, currency: str = "EUR") -> bytes:
    return kit.commit({"minor": minor, "currency": currency}).commitment


def issue(scenario: Scenario, minor: int, currency: str = "EUR") -> Any:
    """A note of the maker's."""
    kit = scenario.kit
    args = {"owner": kit.id("maker"), "amount": amount(kit, minor, currency)}
    return scenario.call("issuer", "claims", "issue", **args)


def examine(scenario: Scenario, who: str, turn: int, verdict: str | None = None) -> None:
    found = scenario.check("claims", "adds_up", turn=turn)
    findings = scenario.kit.commit(found["findings"]).commitment
    args = {"turn": turn, "verdict": verdict or found["code"], "findings": findings}
    scenario.call(who, "claims", "examined", **args)


def claims(scenario: Scenario) -> None:
    """Notes issued, paid, stopped, limited, turned into others, disputed and undone."""
    kit = scenario.kit
    kit.organisation("issuer", ("bank", "bank_admin", "bank_officer"))
    maker, bank, wholesaler = kit.id("maker"), kit.id("issuer"), kit.id("wholesaler")

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "claims", method, **args)

    def request(inputs: list[Any], made: list[Any], terms: Any = None, **more: Any) -> Any:
        outputs = [
            {"owner": owner, "amount": amount(kit, minor, currency), **more}
            for owner, minor, currency in made
        ]
        args: dict[str, Any] = {"inputs": inputs, "outputs": outputs}
        if terms is not None:
            args["terms"] = kit.commit(terms).commitment
        return call("maker", "request", **args)

    for who, owner in (("maker", wholesaler), ("issuer", bank)):
        call(who, "issue", owner=owner, amount=amount(kit, 5))
    note = issue(scenario, 1_250)
    call("maker", "pay", notes=[note, note], payee=wholesaler)
    call("maker", "pay", notes=[note], payee=wholesaler)
    note = issue(scenario, 1_250)
    call("issuer", "stop", note=note, reason=kit.commit("attached").commitment)
    call("maker", "pay", notes=[note], payee=wholesaler)
    call("issuer", "let_go", note=note)
    sold = {"minor": 1_250, "currency": "EUR"}
    for rounding, bought in (("DOWN", 2_003), ("HALF_EVEN", 2_004), ("UP", 2_003)):
        terms = {
            "exchanges": [{
                "sold": sold, "bought": {"minor": bought, "currency": "JPY"}, "rate": 160_281,
                "scale": 3, "source": "ECB", "quoted_at": 1_000, "rounding": rounding,
            }],
            "paid_out": [],
        }  # fmt: skip
        made = request([note], [(maker, bought, "JPY")], terms)
        if rounding == "DOWN":
            call("maker", "withdraw", turn=made["turn"])
            continue
        examine(scenario, "issuer", made["turn"])
        note = issue(scenario, 1_250)
    made = request([note], [(maker, 2_000, "EUR")])
    scenario.ask("claims", "tasks", organisation=bank)
    scenario.ask("claims", "turns_of", bank=bank)
    examine(scenario, "issuer", made["turn"], "ADDS_UP")
    examine(scenario, "regulator", made["turn"])
    call("regulator", "rule", turn=made["turn"], undo=True)
    limits = kit.commit({"daily": [{"minor": 1_000, "currency": "EUR"}]}).commitment
    call("issuer", "set_limits", owner=maker, limits=limits)
    call("maker", "pay", notes=[note], payee=wholesaler)
    for counted in (True, False):
        made = request([note], [(maker, 1_250, "EUR")], counted=counted)
        found = scenario.check("claims", "within", turn=made["turn"])
        args = {"verdict": found["code"], "findings": kit.commit(found["findings"]).commitment}
        call("issuer", "counted", turn=made["turn"], **args)
    examine(scenario, "issuer", made["turn"])
    call("issuer", "set_limits", owner=maker)
    scenario.check("claims", "balance", owner=maker, bank=bank)
    scenario.ask("claims", "note", number=note)
    scenario.ask("claims", "turn", number=made["turn"])
    scenario.ask("claims", "notes_of", owner=maker, bank=bank)
    scenario.ask("claims", "check_dealing", organisations=[maker, bank])
    scenario.ask("claims", "held", escrow=1)


def escrows(scenario: Scenario) -> None:
    """Escrows on a word, on a time and on a delivery, to every end."""
    kit = scenario.kit
    maker, wholesaler, pharmacy = kit.id("maker"), kit.id("wholesaler"), kit.id("pharmacy")

    def call(who: str, method: str, number: Any, /, **args: Any) -> Any:
        return scenario.call(who, "escrow", method, number=number, **args)

    def propose(condition: str, **more: Any) -> Any:
        euros = {"minor": 1_000, "currency": "EUR"}
        terms = {"deposits": [euros], "fees": [{"minor": 20, "currency": "EUR"}]}
        args: dict[str, Any] = {"payee": wholesaler, "agent": pharmacy, "condition": condition}
        args |= {"terms": kit.commit(terms).commitment} | more
        number = scenario.call("maker", "escrow", "propose", **args)
        for who in ("wholesaler", "pharmacy"):
            call(who, "agree", number)
        return number

    def record(who: str, what: str, number: Any) -> None:
        found = scenario.check("escrow", what, number=number)
        args = {"verdict": found["code"], "findings": kit.commit(found["findings"]).commitment}
        call(who, f"{what}_examined", number, **args)

    later = kit.time_ms + 20 * DAY_MS
    propose("TIME", refund_at=later)
    call("pharmacy", "cancel_unfunded", propose("WORD", refund_at=later))
    number = propose("WORD", refund_at=later)
    notes = [issue(scenario, minor) for minor in (400, 300, 200, 100)]
    fee = issue(scenario, 20)
    call("maker", "fund", number, notes=notes[:3])
    record("wholesaler", "cover", number)
    call("maker", "fund", number, notes=notes[3:])
    call("maker", "fund", number, notes=[fee], fee=True)
    record("wholesaler", "cover", number)
    call("maker", "approve", number, notes=notes[:1])
    call("wholesaler", "release", number, notes=notes[:2])
    call("wholesaler", "release", number, notes=notes[:1])
    call("wholesaler", "refund", number, notes=notes[1:2])
    parts = [amount(kit, 150), amount(kit, 50)]
    made = call("wholesaler", "divide", number, note=notes[2], amounts=parts)
    examine(scenario, "issuer", made["turn"])
    reason = kit.commit("late").commitment
    call("maker", "dispute", number, reason=reason)
    call("maker", "withdraw_dispute", number)
    call("wholesaler", "dispute", number, reason=kit.commit("not late").commitment)
    scenario.ask("escrow", "tasks", organisation=maker)
    call("pharmacy", "decide", number, to_payee=made["parts"], to_depositor=notes[3:],
         decision=kit.commit("both").commitment)  # fmt: skip
    call("pharmacy", "claim_fee", number, notes=[fee])
    record("maker", "fee", number)
    scenario.ask("escrow", "escrow", number=number)
    on_time = propose("TIME", release_at=kit.time_ms + 5 * DAY_MS)
    notes = [issue(scenario, minor) for minor in (1_000, 10, 10)]
    call("maker", "fund", on_time, notes=notes[:1])
    call("maker", "fund", on_time, notes=notes[1:], fee=True)
    call("pharmacy", "claim_fee", on_time, notes=notes[1:2])
    back = propose("WORD", refund_at=kit.time_ms + 2 * DAY_MS)
    call("maker", "fund", back, notes=[issue(scenario, 5)])
    scenario.ask("escrow", "escrows_of", organisation=maker)
    scenario.pass_time("what is held in trust", days=6)
    call("pharmacy", "return_fee", on_time, notes=notes[2:])


def money(scenario: Scenario) -> None:
    claims(scenario)
    escrows(scenario)
