"""Invoices and bills of lading for the benchmarks of trade finance, ten of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from contracts.sdk.testkit import DAY_MS
from scripts.bench_supply import NUMBERS
from scripts.bench_world import Made, Row, World

GROSS = {"minor": 100_000, "currency": "EUR"}
ADVANCE = {"minor": 90_000, "currency": "EUR"}


def invoices(world: World) -> Iterator[Row]:
    """From registration to settlement."""
    financier = world.id("agent")
    world.key("desk", "agent", ("nbfc_admin",), user="desk")

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "invoices", method, args)

    def row(name: str, calls: list[Made]) -> Iterator[Row]:
        yield Row(f"invoices.{name}", calls)
        world.do(*calls)

    def mark(kind: str, number: int) -> bytes:
        return hashlib.sha256(f"{kind} {number}".encode()).digest()

    kinds = ("exact", "numbered", "unnumbered")
    registrations = [
        call(
            "maker",
            "register",
            buyer=world.id("wholesaler"),
            data=world.commit(
                {"number": f"R{at}", "issued_on": 20260901, "gross": GROSS, "document": bytes(32)}
            ).commitment,
            fingerprints={kind: mark(kind, at) for kind in kinds},
            due_at=world.time_ms + 90 * DAY_MS,
        )
        for at in NUMBERS
    ]
    yield Row("invoices.register", registrations)
    numbers = [made["number"] for made in world.do(*registrations)]
    marked = [{kind: mark(kind, at) for kind in kinds} for at in NUMBERS]
    marks = dict(zip(numbers, marked, strict=True))
    yield from row(
        "accept",
        [call("wholesaler", "accept", number=one, fingerprints=marks[one]) for one in numbers],
    )
    offered = {one: world.commit(ADVANCE).commitment for one in numbers}
    yield from row(
        "offer",
        [
            call("maker", "offer", number=one, financier=financier, advance=offered[one])
            for one in numbers
        ],
    )  # fmt: skip
    yield from row(
        "finance",
        [
            call("desk", "finance", number=one, financier=financier, fingerprints=marks[one],
                 offered=offered[one], verdict="WITHIN", findings=world.commit([]).commitment)
            for one in numbers
        ],
    )  # fmt: skip
    yield from row(
        "paid",
        [
            call("wholesaler", "paid", number=one, payee=financier,
                 amount=world.commit(GROSS).commitment)
            for one in numbers
        ],
    )  # fmt: skip
    yield from row("settle", [call("desk", "settle", number=one) for one in numbers])


def bills(world: World) -> Iterator[Row]:
    """Issued, pledged, passed on with consent, surrendered."""
    leg = {
        "mode": "VESSEL", "origin": "DEHAM", "destination": "LVRIX", "vessel": "9321483",
        "departure": world.time_ms + DAY_MS, "arrival": world.time_ms + 5 * DAY_MS,
    }  # fmt: skip
    terms = {
        "reference": "B1", "shipper": "Maker", "consignee": "", "goods": ["tablets"],
        "containers": [], "packages": 24, "gross_weight_g": 9_600_000, "loading": "Hamburg",
        "discharge": "Riga",
    }  # fmt: skip

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "bill", method, args)

    def row(name: str, calls: list[Made]) -> Iterator[Row]:
        yield Row(f"bill.{name}", calls)
        world.do(*calls)

    booking = {
        "carrier": world.id("carrier"), "consignee": world.id("wholesaler"), "origin": "DEHAM",
        "destination": "LVRIX", "wanted_arrival": world.time_ms + 9 * DAY_MS,
    }  # fmt: skip
    shipments = world.do(*(Made("maker", "shipment", "book", booking) for _ in NUMBERS))
    world.do(
        *(
            Made("carrier", "shipment", "confirm_booking", {"number": one, "legs": [leg]})
            for one in shipments
        )
    )
    issues = [
        call("carrier", "issue", shipment=one, to_order=True,
             terms=world.commit(terms).commitment, document=world.commit(bytes(32)).commitment)
        for one in shipments
    ]  # fmt: skip
    yield Row("bill.issue", issues)
    numbers = world.do(*issues)
    bank, buyer = world.id("bank"), world.id("wholesaler")
    yield from row(
        "pledge", [call("maker", "pledge", number=one, to=bank, turn=0) for one in numbers]
    )
    yield from row(
        "consent",
        [call("bank", "consent", number=one, act="TRANSFER", turn=1, to=buyer) for one in numbers],
    )
    yield from row(
        "transfer", [call("maker", "transfer", number=one, to=buyer, turn=1) for one in numbers]
    )
    world.do(*(call("bank", "release", number=one) for one in numbers))
    turn = world.query("bill", "bill", number=numbers[0])["bill"]["turn"]
    yield from row(
        "surrender", [call("wholesaler", "surrender", number=one, turn=turn) for one in numbers]
    )
