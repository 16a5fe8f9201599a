"""A chain on which invoices are financed: the real identity, vault, compliance, invoices."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from consensus.primitives.crypto import sha256
from contracts.sdk.testkit import DAY_MS, Testkit
from tests.contracts.finance import hidden, money

FINANCIERS = ("fund", "rival_fund")


def small_world() -> Testkit:
    kit = copy.copy(_world())
    state = kit._state = copy.copy(kit._state)
    for of in (kit, state):
        for name, value in vars(of).items():
            if isinstance(value, dict | list):
                setattr(of, name, value.copy())
    kit.registry.on_fault = kit._keep_fault
    return kit


@cache
def _world() -> Testkit:
    kit = Testkit.of(builtin=("identity", "vault", "compliance", "invoices"))
    for name in FINANCIERS:
        kit.organisation(name, roles=("nbfc", "nbfc_admin"))
    kit.organisation("seller", roles=("manufacturer",))
    kit.organisation("buyer", roles=("dispenser",))
    kit.organisation("regulator", roles=("regulator",))
    kit.organisation("other_bank", roles=("bank", "bank_admin"))
    return kit


def marks(number: str, day: int, amount: str, buyer: str = "buyer") -> dict[str, bytes]:
    """Fingerprints quick to make; those of cli/invoice are slow on purpose."""
    return {
        "exact": sha256(f"1 {buyer} {number} {day} {amount}".encode()),
        "numbered": sha256(f"2 {buyer} {number}".encode()),
        "unnumbered": sha256(f"3 {buyer} {day} {amount}".encode()),
    }


def register(
    kit: Testkit,
    number: str = "INV1",
    amount: str = "100.00 EUR",
    *,
    day: int = 20260101,
    by: str = "seller",
    days: int = 30,
) -> dict[str, Any]:
    data = {"number": number, "issued_on": day, "gross": money(amount), "document": bytes(32)}
    args: dict[str, Any] = {"buyer": kit.id("buyer"), "data": hidden(kit, data)}
    args |= {"fingerprints": marks(number, day, amount), "due_at": kit.time_ms + days * DAY_MS}
    made: dict[str, Any] = kit.as_(by).call("invoices", "register", **args)
    return made


def read(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("invoices", "invoice", number=number)
    return found


def registered(kit: Testkit, number: int) -> dict[str, bytes]:
    """An invoice's fingerprints."""
    invoice = read(kit, number)["invoice"]
    return {kind: invoice[kind] for kind in ("exact", "numbered", "unnumbered")}


def state(kit: Testkit, number: int) -> str:
    found: str = read(kit, number)["invoice"]["state"]
    return found


def accepted(kit: Testkit, *args: Any, **more: Any) -> int:
    number: int = register(kit, *args, **more)["number"]
    found = registered(kit, number)
    kit.as_("buyer").call("invoices", "accept", number=number, fingerprints=found)
    return number


def offer(kit: Testkit, number: int, advance: str = "80.00 EUR", to: str = "fund") -> None:
    args = {"financier": kit.id(to), "advance": hidden(kit, money(advance))}
    kit.as_("seller").call("invoices", "offer", number=number, **args)


def offered(kit: Testkit, number: int, to: str) -> bytes:
    """The commitment to the advance of an offer; of none, one that nothing opens."""
    for one in read(kit, number)["offers"]:
        if one["financier"] == kit.id(to):
            advance: bytes = one["offer"]["advance"]
            return advance
    return bytes(32)


def financing(
    kit: Testkit, number: int, by: str = "fund", verdict: str | None = None, **more: Any
) -> dict[str, Any]:
    """The arguments of a financing after the financier's check."""
    args: dict[str, Any] = {"number": number, "financier": kit.id(by)}
    args |= {"fingerprints": registered(kit, number)}
    args |= {"offered": offered(kit, number, by)} | more
    found = kit.check("invoices", "within", **args)
    findings = hidden(kit, found["findings"])
    return args | {"verdict": verdict or found["code"], "findings": findings}


def finance(kit: Testkit, number: int, by: str = "fund") -> None:
    kit.as_(by).call("invoices", "finance", **financing(kit, number, by))


def financed(kit: Testkit, *args: Any, **more: Any) -> int:
    number = accepted(kit, *args, **more)
    offer(kit, number)
    finance(kit, number)
    return number


def paid(kit: Testkit, by: str, number: int, payee: str, amount: str) -> str:
    args = {"payee": kit.id(payee), "amount": hidden(kit, money(amount))}
    counted: str = kit.as_(by).call("invoices", "paid", number=number, **args)
    return counted


def credit_note(kit: Testkit, number: int, amount: str) -> None:
    hides = hidden(kit, money(amount))
    kit.as_("seller").call("invoices", "credit_note", number=number, amount=hides)


def cover(kit: Testkit, by: str, number: int, verdict: str | None = None) -> dict[str, Any]:
    """Check the cover and record what was found, or another verdict."""
    found: dict[str, Any] = kit.check("invoices", "cover", number=number)
    args = {"verdict": verdict or found["code"], "findings": hidden(kit, found["findings"])}
    disputed = kit.as_(by).call("invoices", "examined", number=number, **args)
    return found | {"disputed": disputed}
