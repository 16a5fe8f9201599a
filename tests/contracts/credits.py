"""A chain with the parties of credits: two banks with two persons each, traders, a regulator."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from contracts.sdk.testkit import DAY_MS, Testkit
from contracts.trade.days import date_of, number_of

TODAY = 20260528  # the kit's first day, a Thursday
EXPIRY = 20260930
SHIPPED = 20260520
BANKS = ("bank", "other_bank")
# Keys by what they do: an officer examines and proposes, a manager issues and pays.
STAFF = {"bank": ("officer", "manager"), "other_bank": ("clerk", "director")}
BUILTIN = ("identity", "vault", "compliance", "calendar", "credit")

TERMS = {
    "reference": "DC-1001",
    "applicant": "Carolina Coffee Roasters\n1 Dock Street, Charleston",
    "beneficiary": "Sidama Union\nAwassa",
    "amount": {"minor": 10_000_000, "currency": "USD"},
    "expiry": EXPIRY,
    "expiry_place": "Addis Ababa",
    "available_with": "Commercial Bank",
    "available_by": "PAYMENT",
    "goods": "Green coffee, Sidama 2, crop 2025/26",
    "documents": [
        {"type": "INVOICE", "originals": 1, "copies": 2},
        {"type": "BILL_OF_LADING", "originals": 3},
        {"type": "INSURANCE", "originals": 2},
    ],
    "quantity": {"amount": 60_000, "unit": "KGM"},
    "latest_shipment": 20260831,
    "loading": "DJIBOUTI",
    "discharge": "CHARLESTON",
}
INVOICE = {
    "type": "INVOICE",
    "digest": bytes([1]) * 32,
    "number": "F-1",
    "date": SHIPPED,
    "issuer": "SIDAMA UNION",
    "to": "Carolina Coffee  Roasters\nelsewhere",
    "originals": 1,
    "copies": 2,
    "goods": "GREEN COFFEE, SIDAMA 2, CROP 2025/26, 1,000 bags",
    "quantity": {"amount": 60_000, "unit": "KGM"},
    "amount": {"minor": 10_000_000, "currency": "USD"},
}
CARRIAGE = {
    "carrier": "Ethiopian Shipping Lines",
    "shipped": SHIPPED,
    "vessel": "GIBE",
    "voyage": "12E",
    "loading": "Djibouti",
    "discharge": "Charleston",
}
BILL = {
    "type": "BILL_OF_LADING",
    "digest": bytes([2]) * 32,
    "number": "ESL-77",
    "date": SHIPPED,
    "originals": 3,
    "gross_weight_g": 60_700_000,
    "quantity": {"amount": 60_000, "unit": "KGM"},
    "carriage": CARRIAGE,
}
COVER = {
    "type": "INSURANCE",
    "digest": bytes([3]) * 32,
    "number": "P-9",
    "date": SHIPPED,
    "originals": 2,
    "cover": {"kind": "POLICY", "insured": {"minor": 11_000_000, "currency": "USD"}},
}


def money(minor: int, currency: str = "USD") -> dict[str, Any]:
    return {"minor": minor, "currency": currency}


def small_world(*more: str) -> Testkit:
    """``more`` built-in contracts may be there, too."""
    kit = copy.copy(_world(*more))
    state = kit._state = copy.copy(kit._state)
    for of in (kit, state):
        for name, value in vars(of).items():
            if isinstance(value, dict | list):
                setattr(of, name, value.copy())
    kit.registry.on_fault = kit._keep_fault
    return kit


@cache
def _world(*more: str) -> Testkit:
    """Made once: every test gets a copy."""
    kit = Testkit.of(builtin=(*BUILTIN, *more))
    people(kit)
    kit.organisation("farmer", roles=("manufacturer",))
    kit.organisation("rival", roles=("bank", "bank_admin", "bank_officer"))
    kit.organisation("regulator", roles=("regulator",))
    return kit


def people(kit: Testkit) -> None:
    """The banks with their persons, and the two traders."""
    for bank in BANKS:
        kit.organisation(bank, roles=("bank", "bank_admin", "bank_officer"))
        officer, manager = STAFF[bank]
        kit.key(officer, bank, ("bank_officer",), user=officer)
        kit.key(manager, bank, ("bank_admin", "bank_officer"), user=manager)
    kit.organisation("buyer", roles=("wholesaler",))
    kit.organisation("seller", roles=("manufacturer",))


def hidden(kit: Testkit, value: Any) -> bytes:
    """A commitment to a value."""
    return kit.commit(value).commitment


def call(kit: Testkit, who: str, method: str, number: int, /, *given: int, **args: Any) -> Any:
    """A call about a credit, and perhaps about one of its presentations or amendments."""
    of = {"number": number, **args}
    if given:
        of["amendment" if method in AMENDING else "presentation"] = given[0]
    return kit.as_(who).call("credit", method, **of)


def refused(
    kit: Testkit, code: str, who: str, method: str, number: int, /, *given: int, **args: Any
) -> str:
    of = {"number": number, **args}
    if given:
        of["amendment" if method in AMENDING else "presentation"] = given[0]
    return kit.as_(who).refused(code, "credit", method, **of)


AMENDING = ("issue_amendment", "extend_confirmation", "decide", "fits")


def judged(kit: Testkit, check: str, verdict: str = "", /, **args: Any) -> dict[str, Any]:
    """The arguments that record what a check found, or another verdict than that."""
    found = kit.check("credit", check, **args)
    findings = hidden(kit, found["findings"])
    return {**args, "verdict": verdict or found["code"], "findings": findings}


def record(kit: Testkit, who: str, check: str, verdict: str = "", /, **args: Any) -> Any:
    """Run a check and record it. The answer is the recording call's."""
    method = {
        "ready": "issue", "fits": "issue_amendment", "examine": "examined", "within": "counted",
        "transferable": "transferred",
    }[check]  # fmt: skip
    return kit.as_(who).call("credit", method, **judged(kit, check, verdict, **args))


def apply(kit: Testkit, *, nominated: str = "", confirm: bool = False, **terms: Any) -> int:
    said = TERMS | terms
    args = {"issuer": kit.id("bank"), "beneficiary": kit.id("seller"), "expiry": said["expiry"],
            "terms": hidden(kit, said)}  # fmt: skip
    if nominated:
        args |= {"nominated": kit.id(nominated), "advising": kit.id(nominated)}
        args["to_confirm"] = confirm
    number: int = kit.as_("buyer").call("credit", "apply", **args)
    return number


def issued(kit: Testkit, **more: Any) -> int:
    number = apply(kit, **more)
    call(kit, "officer", "propose", number)
    record(kit, "manager", "ready", number=number)
    return number


def advised(kit: Testkit, **more: Any) -> int:
    """A credit that the seller knows of; confirmed, if that was asked for."""
    number = issued(kit, **more)
    bank = more.get("nominated") or "bank"
    call(kit, STAFF[bank][0], "advise", number)
    if more.get("confirm"):
        call(kit, STAFF[bank][1], "confirm", number)
    return number


def documents(kit: Testkit, *changed: dict[str, Any], drop: str = "") -> list[bytes]:
    """The documents that the credit asks for; one of a type given replaces that."""
    kinds = {one["type"]: one for one in (INVOICE, BILL, COVER)}
    extra = []
    for one in changed:
        if one["type"] in kinds:
            kinds[one["type"]] = kinds[one["type"]] | one
        else:
            extra.append({"digest": bytes(32)} | one)
    kinds.pop(drop, None)
    return [hidden(kit, one) for one in [*kinds.values(), *extra]]


def present(
    kit: Testkit,
    number: int,
    *changed: dict[str, Any],
    minor: int = 10_000_000,
    quantity: int = 60_000,
    bank: str = "bank",
    who: str = "seller",
    drop: str = "",
    drawing: dict[str, Any] | None = None,
    **args: Any,
) -> int:
    """Present documents that comply but for what is given."""
    drawn = {"amount": money(minor), "quantity": {"amount": quantity, "unit": "KGM"}}
    if minor != 10_000_000 or quantity != 60_000:
        scaled = {"amount": money(minor), "quantity": {"amount": quantity, "unit": "KGM"}}
        given = {one["type"] for one in changed}
        if "INVOICE" not in given:
            changed = (*changed, {"type": "INVOICE", **scaled})
        if "BILL_OF_LADING" not in given:
            changed = (*changed, {"type": "BILL_OF_LADING", "quantity": scaled["quantity"]})
    found: int = kit.as_(who).call(
        "credit", "present", number=number, bank=kit.id(bank),
        drawing=hidden(kit, drawn | (drawing or {})),
        documents=documents(kit, *changed, drop=drop), **args,
    )  # fmt: skip
    return found


def examine(
    kit: Testkit, number: int, presentation: int, who: str = "officer", lie: str = ""
) -> str:
    state: str = record(kit, who, "examine", lie, number=number, presentation=presentation)
    return state


def findings(kit: Testkit, number: int, *changed: dict[str, Any], **more: Any) -> list[str]:
    """What the check says of a new presentation."""
    presentation = present(kit, number, *changed, **more)
    found = kit.check("credit", "examine", number=number, presentation=presentation)
    lines: list[str] = found["findings"]
    assert (found["code"] == "DISCREPANT") == bool(lines)
    return lines


def articles(kit: Testkit, number: int, *changed: dict[str, Any], **more: Any) -> list[str]:
    """The articles of the discrepancies of a new presentation."""
    return [line.split(":")[0] for line in findings(kit, number, *changed, **more)]


def count(kit: Testkit, number: int, presentation: int, who: str = "officer") -> None:
    of = credit(kit, number)
    args = {"drawn": len(of["drawings"]), "accepted": len(of["accepted"])}
    record(kit, who, "within", number=number, presentation=presentation, **args)


def pay(kit: Testkit, number: int, presentation: int, bank: str = "bank") -> None:
    officer, manager = STAFF[bank]
    count(kit, number, presentation, officer)
    call(kit, manager, "honour", number, presentation)


def amend(kit: Testkit, number: int, changes: dict[str, Any], **args: Any) -> int:
    """An amendment that the bank has issued."""
    if "expiry" in changes:
        args["expiry"] = changes["expiry"]
    args["changes"] = hidden(kit, changes)
    amendment: int = kit.as_("officer").call("credit", "amend", number=number, **args)
    record(kit, "manager", "fits", number=number, amendment=amendment)
    return amendment


def credit(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("credit", "credit", number=number)["credit"]
    return found


def presentation(kit: Testkit, number: int, which: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query(
        "credit", "presentation", number=number, presentation=which
    )["presentation"]  # fmt: skip
    return found


def state(kit: Testkit, number: int, which: int) -> str:
    found: str = presentation(kit, number, which)["state"]
    return found


def tasks(kit: Testkit, organisation: str) -> list[tuple[str, str]]:
    """What awaits an organisation itself."""
    found = kit.query("credit", "tasks", organisation=kit.id(organisation))["tasks"]
    return [
        (one["method"], one["subject"])
        for one in found
        if one["organisation"] == kit.id(organisation)
    ]


def undrawn(kit: Testkit, number: int) -> str:
    found: str = kit.check("credit", "undrawn", number=number)["findings"][0]
    return found


def pass_days(kit: Testkit, days: int) -> None:
    kit.advance(days=days)


def today(kit: Testkit) -> int:
    return date_of(kit.time_ms // DAY_MS)


def go_to(kit: Testkit, date: int) -> None:
    """Noon of a later day."""
    noon = number_of(date) * DAY_MS + DAY_MS // 2
    kit.advance(seconds=(noon - kit.time_ms) // 1_000)
