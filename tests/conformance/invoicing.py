"""Every method of the contract invoices, called with success somewhere; and some refusals."""

from __future__ import annotations

from typing import Any

from consensus.primitives.crypto import sha256
from contracts.sdk.testkit import DAY_MS
from tests.conformance.money import Scenario, amount


def invoices(scenario: Scenario) -> None:
    """Invoices of the maker to the wholesaler, financed by one of two financiers."""
    kit = scenario.kit
    for name in ("fund", "rivalfund"):
        kit.organisation(name, ("nbfc", "nbfc_admin"))
    maker, buyer = kit.id("maker"), kit.id("wholesaler")

    def call(who: str, method: str, number: Any, /, **args: Any) -> Any:
        return scenario.call(who, "invoices", method, number=number, **args)

    def marks(number: int, minor: int) -> dict[str, bytes]:
        told = {"exact": f"{number} {minor}", "numbered": f"{number}", "unnumbered": f"/{minor}"}
        return {kind: sha256(text.encode()) for kind, text in told.items()}

    def register(number: int, minor: int) -> Any:
        gross = {"minor": minor, "currency": "EUR"}
        data: dict[str, Any] = {"number": f"INV{number}", "issued_on": 20260101, "gross": gross,
                "document": bytes(32)}  # fmt: skip
        args: dict[str, Any] = {"buyer": buyer, "data": kit.commit(data).commitment}
        args |= {"fingerprints": marks(number, minor), "due_at": kit.time_ms + 10 * DAY_MS}
        made = scenario.call("maker", "invoices", "register", **args)
        return made["number"] if made else None

    def accepted(number: int, minor: int) -> Any:
        made = register(number, minor)
        call("wholesaler", "accept", made, fingerprints=marks(number, minor))
        return made

    def finance(who: str, made: Any, mark: dict[str, bytes], advance: int) -> None:
        financier = kit.id(who)
        offered = amount(kit, advance)
        call("maker", "offer", made, financier=financier, advance=offered)
        args: dict[str, Any] = {"number": made, "financier": financier, "fingerprints": mark}
        args["offered"] = offered
        found = scenario.check("invoices", "within", **args)
        args |= {"verdict": found["code"], "findings": kit.commit(found["findings"]).commitment}
        scenario.call(who, "invoices", "finance", **args)

    key = kit.commit(bytes(32)).commitment
    scenario.call("regulator", "invoices", "set_key", key=key, members=[maker, kit.id("fund")])
    scenario.ask("invoices", "key")
    call("wholesaler", "reject", register(1, 10_000), remark=kit.commit("no goods").commitment)
    call("maker", "withdraw", register(1, 10_000))
    first = accepted(1, 10_000)
    register(1, 10_000)
    call("maker", "offer", first, financier=kit.id("rivalfund"), advance=amount(kit, 1))
    call("maker", "take_back", first, financier=kit.id("rivalfund"))
    finance("fund", first, marks(1, 10_000), 10_001)
    finance("fund", first, marks(1, 10_000), 8_000)
    second = accepted(1, 9_999)
    third = accepted(2, 10_000)
    finance("rivalfund", second, marks(1, 9_999), 5_000)
    remark = kit.commit("two deliveries").commitment
    call("wholesaler", "tell_apart", second, other=first, remark=remark)
    finance("rivalfund", second, marks(1, 9_999), 5_000)
    scenario.ask("invoices", "tasks", organisation=buyer)
    call("maker", "credit_note", first, amount=amount(kit, 3_000))
    for payee in ("maker", "fund"):
        call("wholesaler", "paid", first, payee=kit.id(payee), amount=amount(kit, 500))
    found = scenario.check("invoices", "cover", number=first)
    args = {"verdict": found["code"], "findings": kit.commit(found["findings"]).commitment}
    call("fund", "examined", first, **args)
    call("fund", "release", first)
    call("rivalfund", "default", second)
    scenario.ask("invoices", "known", seller=maker, fingerprints=marks(1, 10_000))
    scenario.pass_time("what is owed", days=11)
    call("rivalfund", "default", second)
    call("rivalfund", "settle", second)
    call("maker", "withdraw", third)
    scenario.ask("invoices", "invoice", number=first)
