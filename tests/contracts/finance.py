"""A chain with banks and their customers: the real identity, vault, compliance, claims, escrow."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from contracts.sdk.codes import MINOR_UNITS
from contracts.sdk.testkit import Testkit

BANKS = ("bank", "other_bank")
LIST = {"name": "SDN", "digest": bytes(32)}
CUSTOMERS = ("buyer", "seller", "agent", "rival")
ALIVE = ("LIVE", "LOCKED", "HELD", "STOPPED", "FROZEN")


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
    kit = Testkit.of(builtin=("identity", "vault", "compliance", "claims", "escrow", *more))
    for name in BANKS:
        kit.organisation(name, roles=("bank", "bank_admin", "bank_officer"))
    kit.organisation("buyer", roles=("dispenser",))
    kit.organisation("seller", roles=("manufacturer",))
    kit.organisation("agent", roles=("nbfc",))
    kit.organisation("rival")
    kit.organisation("regulator", roles=("regulator",))
    kit.organisation("carrier", roles=("logistics_operator",))
    return kit


def hidden(kit: Testkit, value: Any) -> bytes:
    """A commitment to a value."""
    return kit.commit(value).commitment


def money(text: str) -> dict[str, Any]:
    """``12.50 EUR`` as an argument."""
    amount, currency = text.split()
    whole, _, part = amount.partition(".")
    return {"minor": int(whole + part.ljust(MINOR_UNITS[currency], "0")), "currency": currency}


def issue(kit: Testkit, owner: str, text: str, bank: str = "bank") -> int:
    amount = hidden(kit, money(text))
    note: int = kit.as_(bank).call("claims", "issue", owner=kit.id(owner), amount=amount)
    return note


def outputs(kit: Testkit, *given: tuple[str, str], counted: bool = False) -> list[dict[str, Any]]:
    return [
        {"owner": kit.id(owner), "amount": hidden(kit, money(text)), "counted": counted}
        for owner, text in given
    ]


def exchange(sold: str, bought: str, rate: int, scale: int, **more: Any) -> dict[str, Any]:
    made = {"sold": money(sold), "bought": money(bought), "rate": rate, "scale": scale}
    told = {"source": "ECB reference rates", "quoted_at": 1_700_000_000_000}
    return made | told | {"rounding": "HALF_EVEN"} | more


def request(
    kit: Testkit,
    who: str,
    inputs: list[int],
    *given: tuple[str, str],
    terms: dict[str, Any] | None = None,
    counted: bool = False,
) -> tuple[int, list[int]]:
    """Ask for a turn; its number and the notes that it would make."""
    args: dict[str, Any] = {"inputs": inputs, "outputs": outputs(kit, *given, counted=counted)}
    if terms is not None:
        args["terms"] = hidden(kit, {"exchanges": [], "paid_out": []} | terms)
    made = kit.as_(who).call("claims", "request", **args)
    return made["turn"], made["outputs"]


def say(kit: Testkit, who: str, turn: int, verdict: str | None = None) -> str:
    """Record what a check of the turn found, or another verdict than that; the turn's state."""
    found = kit.check("claims", "adds_up", turn=turn)
    args = {"verdict": verdict or found["code"], "findings": hidden(kit, found["findings"])}
    state: str = kit.as_(who).call("claims", "examined", turn=turn, **args)
    return state


def turned(kit: Testkit, who: str, inputs: list[int], *given: tuple[str, str], **more: Any) -> Any:
    """The notes of a turn that the bank has confirmed."""
    turn, made = request(kit, who, inputs, *given, **more)
    assert say(kit, "bank", turn) == "CONFIRMED"
    return made


def state(kit: Testkit, note: int) -> str:
    found: str = kit.query("claims", "note", number=note)["state"]
    return found


def owner(kit: Testkit, note: int) -> str:
    found: str = kit.query("claims", "note", number=note)["owner"]
    return next(name for name in (*BANKS, *CUSTOMERS) if kit.id(name) == found)


def balance(kit: Testkit, who: str, bank: str = "bank") -> list[str]:
    """What the bank owes, as the check tells those who have the openings."""
    found = kit.check("claims", "balance", owner=kit.id(who), bank=kit.id(bank))
    lines: list[str] = found["findings"]
    return lines


def propose(kit: Testkit, condition: str = "WORD", **more: Any) -> int:
    """An escrow of the buyer for the seller that all have agreed to: 100 euros, 2 for the agent."""
    terms = {"deposits": [money("100.00 EUR")], "fees": [money("2.00 EUR")], "text": "Bilbao"}
    args: dict[str, Any] = {"payee": kit.id("seller"), "agent": kit.id("agent")}
    args |= {"condition": condition, "terms": hidden(kit, more.pop("terms", terms))}
    if condition != "TIME":
        args["refund_at"] = kit.time_ms + 30 * 86_400_000
    number: int = kit.as_("buyer").call("escrow", "propose", **args | more)
    for who in ("seller", "agent"):
        kit.as_(who).call("escrow", "agree", number=number)
    return number


def funded(
    kit: Testkit, *amounts: str, condition: str = "WORD", fee: str = "", **more: Any
) -> tuple[int, list[int]]:
    """An escrow that the buyer has put these notes into; the fee's note comes last."""
    number = propose(kit, condition, **more)
    notes = [issue(kit, "buyer", text) for text in amounts]
    kit.as_("buyer").call("escrow", "fund", number=number, notes=notes)
    if fee:
        notes.append(issue(kit, "buyer", fee))
        kit.as_("buyer").call("escrow", "fund", number=number, notes=notes[-1:], fee=True)
    return number, notes


def escrow_state(kit: Testkit, number: int) -> str:
    found: str = kit.query("escrow", "escrow", number=number)["escrow"]["state"]
    return found


def conserved(kit: Testkit, number: int, books: dict[int, tuple[int, str]]) -> bool:
    """Deposits = balance + released + refunded + fees, per currency, by books of the amounts.

    ``books`` are the notes that were put in; what came of dividing them is opened."""
    found = kit.query("escrow", "escrow", number=number)
    sums: dict[str, int] = {}
    for minor, currency in books.values():
        sums[currency] = sums.get(currency, 0) - minor
    notes = [one["note"] for one in found["held"] if one["note"]["state"] in ("HELD", "LOCKED")]
    notes += [kit.query("claims", "note", number=one["note"]) for one in found["moved"]]
    for note in notes:
        value = kit.openings[note["amount"]].value
        sums[value["currency"]] += value["minor"]
    return not any(sums.values())


def officers(kit: Testkit) -> None:
    """Two persons of the other bank decide on its customers."""
    kit.as_("regulator").call("compliance", "announce_list", published="2026-05-01", **LIST)
    for name in ("officer", "second_officer"):
        kit.key(name, of="other_bank", roles=("compliance_officer",), user=name)


def decide(kit: Testkit, party: str, standing: str, officer: str = "officer") -> None:
    """Have compliance hold a party, or verify it again; why is hidden."""
    kit.as_(officer).call(
        "compliance",
        "decide",
        party=kit.id(party),
        standing=standing,
        lists=[LIST],
        assessment=hidden(kit, f"{party} {standing} {kit.height}"),
        review_on="2030-01-31",
    )
