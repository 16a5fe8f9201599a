"""Measures what the calls of trade finance cost: compliance, claims, escrow, credits,
invoices, bills of lading.

As :mod:`scripts.bench_supply` does it: each row is one call on papers of its own, ten in a row.

    python -m scripts.bench_finance
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, Final

from contracts.sdk.dates import date_of
from contracts.sdk.testkit import DAY_MS
from scripts.bench_credit import credits
from scripts.bench_papers import bills, invoices
from scripts.bench_supply import NUMBERS, TRIES, cells, measure, verdict
from scripts.bench_world import Made, Row, TimedRow, World

LIST: Final = {"name": "SDN", "digest": bytes(32)}
NOTES: Final = 3  # that one payment hands over


def bankers(world: World) -> World:
    """Two banks with two compliance officers, an agent, and a list in force."""
    for name in ("bank", "seller's bank"):
        world.organisation(name, ("bank", "bank_admin", "bank_officer"))
    world.organisation("agent", ("nbfc",))
    for name in ("officer", "second officer"):
        world.key(name, "bank", ("compliance_officer",), user=name.replace(" ", "-"))
    announcement = {"published": 20260501, **LIST}
    world.do(Made("regulator", "compliance", "announce_list", announcement))
    return world


def compliance(world: World) -> Iterator[Row]:
    """Files on parties: asked for, decided on, held, followed up."""
    traders = [f"trader {number}" for number in NUMBERS]
    for name in traders:
        world.organisation(name, ("wholesaler",))
    bank, regulator = world.id("bank"), world.id("regulator")

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "compliance", method, args)

    def decide(party: str, standing: str) -> Made:
        return call(
            "officer", "decide", party=world.id(party), standing=standing, lists=[LIST],
            assessment=world.commit("grounds").commitment, regulators=[regulator],
            review_on=date_of(world.time_ms + 300 * DAY_MS),
        )  # fmt: skip

    def hidden() -> bytes:
        return world.commit("papers").commitment

    applications = [call(who, "apply", institution=bank, dossier=hidden()) for who in traders]
    yield Row("compliance.apply", applications)
    world.do(*applications)
    verified = [decide(name, "VERIFIED") for name in traders]
    yield Row("compliance.decide, verified", verified)
    world.do(*verified)
    held = [decide(name, "HELD") for name in traders]
    yield Row("compliance.decide, held", held)
    world.do(*held)
    yield Row(
        "compliance.follow_up",
        [call("officer", "follow_up", party=world.id(name), text=hidden()) for name in traders],
    )


def issued(world: World, owner: str, count: int = 1) -> list[list[int]]:
    """Notes of the bank for an owner, so many for each call."""
    numbers = world.do(*(issue(world, owner) for _ in NUMBERS for _ in range(count)))
    return [numbers[at : at + count] for at in range(0, len(numbers), count)]


def issue(world: World, owner: str) -> Made:
    amount = world.commit({"minor": 1_000, "currency": "EUR"}).commitment
    return Made("bank", "claims", "issue", {"owner": world.id(owner), "amount": amount})


def claims(world: World) -> Iterator[Row]:
    """Claims on a bank: issued, paid with, divided by the bank's word."""

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "claims", method, args)

    def half() -> dict[str, Any]:
        amount = world.commit({"minor": 500, "currency": "EUR"}).commitment
        return {"owner": world.id("maker"), "amount": amount}

    yield Row("claims.issue", [issue(world, "maker") for _ in NUMBERS])
    seller = world.id("wholesaler")
    notes = issued(world, "maker")
    yield Row("claims.pay, a note", [call("maker", "pay", notes=n, payee=seller) for n in notes])
    more = issued(world, "maker", NOTES)
    yield Row(
        f"claims.pay, {NOTES} notes", [call("maker", "pay", notes=n, payee=seller) for n in more]
    )
    requests = [call("maker", "request", inputs=n, outputs=[half(), half()]) for n in notes]
    yield Row("claims.request, 1 into 2", requests)
    turns = [made["turn"] for made in world.do(*requests)]
    found = world.check("claims", "adds_up", turn=turns[0])
    yield Row(
        "claims.examined, by the bank",
        [
            call(
                "bank", "examined", turn=turn, verdict=found["code"],
                findings=world.commit(found["findings"]).commitment,
            )
            for turn in turns
        ],
    )  # fmt: skip


def escrow(world: World) -> Iterator[Row]:
    """Notes held in trust and released by the word of their depositor."""

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "escrow", method, args)

    money = {"minor": 1_000, "currency": "EUR"}
    terms = {"deposits": [money], "fees": [], "text": ""}
    parties = {"payee": world.id("wholesaler"), "agent": world.id("agent")}
    proposals = [
        call(
            "maker", "propose", **parties, condition="WORD", terms=world.commit(terms).commitment,
            refund_at=world.time_ms + 30 * DAY_MS,
        )
        for _ in NUMBERS
    ]  # fmt: skip
    yield Row("escrow.propose", proposals)
    numbers = world.do(*proposals)
    notes = dict(zip(numbers, issued(world, "maker"), strict=True))
    agreements = [call("wholesaler", "agree", number=number) for number in numbers]
    yield Row("escrow.agree", agreements)
    world.do(*agreements, *(call("agent", "agree", number=number) for number in numbers))
    for name, who, method in (
        ("escrow.fund, a note", "maker", "fund"),
        ("escrow.approve", "maker", "approve"),
        ("escrow.release", "wholesaler", "release"),
    ):
        calls = [call(who, method, number=number, notes=notes[number]) for number in numbers]
        yield Row(name, calls)
        world.do(*calls)


PARTS_OF_THE_DESK: Final[tuple[Callable[[World], Iterator[Row | TimedRow]], ...]] = (
    compliance,
    claims,
    escrow,
    credits,
    invoices,
    bills,
)


def measure_finance(tries: int = TRIES) -> dict[str, Any]:
    """A row for each call, and which of them are dear."""
    return measure(tries, bankers(World()), PARTS_OF_THE_DESK)


def main() -> None:
    from scripts.bench import markdown

    parser = argparse.ArgumentParser(prog="python -m scripts.bench_finance", description=__doc__)
    parser.add_argument("--tries", type=int, default=TRIES)
    found = measure_finance(parser.parse_args().tries)
    print(f"{markdown(cells(found))}\n\n{verdict(found)}")


if __name__ == "__main__":
    main()
