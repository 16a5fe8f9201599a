"""Letters of credit for the benchmarks of trade finance: each step of a credit, ten credits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from contracts.sdk.dates import date_of
from contracts.sdk.testkit import DAY_MS
from scripts.bench_supply import NUMBERS
from scripts.bench_world import Made, Row, World

DOCUMENTS: Final = 3  # that a presentation has


def credits(world: World) -> Iterator[Row]:
    """From application to honour, with an amendment and a refusal on the way."""
    for person, role in (("teller", "bank_officer"), ("chief", "bank_admin")):
        world.key(person, "bank", (role,), user=person)
    bank, expiry = world.id("bank"), date_of(world.time_ms + 200 * DAY_MS)
    money = {"minor": 1_000, "currency": "EUR"}
    terms = {
        "reference": "DC1", "applicant": "Wholesaler", "beneficiary": "Maker", "amount": money,
        "expiry": expiry, "expiry_place": "Zug", "available_with": "Bank",
        "available_by": "PAYMENT", "goods": "tablets", "documents": [{"type": "INVOICE"}],
    }  # fmt: skip

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "credit", method, args)

    def hidden(value: Any) -> bytes:
        return world.commit(value).commitment

    def row(name: str, calls: list[Made]) -> Iterator[Row]:
        yield Row(f"credit.{name}", calls)
        world.do(*calls)

    args = {"issuer": bank, "beneficiary": world.id("maker"), "expiry": expiry}
    applications = [call("wholesaler", "apply", **args, terms=hidden(terms)) for _ in NUMBERS]
    yield Row("credit.apply", applications)
    numbers = world.do(*applications)
    yield from row("propose", [call("teller", "propose", number=one) for one in numbers])
    ready: dict[str, Any] = {"verdict": "READY"}
    yield from row(
        "issue",
        [call("chief", "issue", number=one, findings=hidden([]), **ready) for one in numbers],
    )
    yield from row("advise", [call("teller", "advise", number=one) for one in numbers])
    invoice = {"type": "INVOICE", "digest": bytes(32), "issuer": "Maker", "to": "Wholesaler",
               "goods": "tablets", "amount": money}  # fmt: skip
    presentations = [
        call("maker", "present", number=one, bank=bank, drawing=hidden({"amount": money}),
             documents=[hidden(invoice) for _ in range(DOCUMENTS)])
        for one in numbers
    ]  # fmt: skip
    yield from row(f"present, {DOCUMENTS} documents", presentations)
    of = [{"number": one, "presentation": 1} for one in numbers]
    code = world.check("credit", "examine", **of[0])["code"]
    yield from row(
        "examined",
        [call("teller", "examined", verdict=code, findings=hidden([]), **one) for one in of],
    )
    counts = {"drawn": 0, "accepted": 0, "verdict": "WITHIN"}
    yield from row(
        "counted", [call("teller", "counted", findings=hidden([]), **counts, **one) for one in of]
    )
    yield from row("honour", [call("chief", "honour", **one) for one in of])
