"""Every method of the contract of credits, called with success somewhere; and refusals."""

from __future__ import annotations

from typing import Any

from contracts.sdk.testkit import DAY_MS
from contracts.trade.days import date_of
from tests.conformance.parties import Scenario

DOCUMENTS = [{"type": "INVOICE"}, {"type": "BILL_OF_LADING", "originals": 2}]


def credits(scenario: Scenario) -> None:
    """Credits to every end: declined, withdrawn, cancelled, expired, closed; one transferred."""
    kit = scenario.kit
    for name in ("lender", "adder"):
        kit.organisation(name, ("bank", "bank_admin", "bank_officer"))
        for person, roles in (("teller", ("bank_officer",)), ("chief", ("bank_admin",))):
            kit.key(f"{name}_{person}", name, roles, user=f"{name}-{person}")
    kit.organisation("grower", ("manufacturer",))
    lender, adder = kit.id("lender"), kit.id("adder")
    maker, wholesaler = kit.id("maker"), kit.id("wholesaler")
    today = kit.time_ms // DAY_MS
    expiry, shipped = date_of(today + 60), date_of(today - 3)

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "credit", method, **args)

    def hidden(value: Any) -> bytes:
        return kit.commit(value).commitment

    def dollars(minor: int) -> dict[str, Any]:
        return {"minor": minor, "currency": "USD"}

    def words(**more: Any) -> dict[str, Any]:
        return {
            "reference": "DC1", "applicant": "Wholesaler", "beneficiary": "Maker",
            "amount": dollars(1_000), "expiry": expiry, "expiry_place": "Zug",
            "available_with": "Lender", "available_by": "PAYMENT", "goods": "tablets",
            "documents": DOCUMENTS, "transferable": True, "latest_shipment": date_of(today + 30),
            **more,
        }  # fmt: skip

    def judge(who: str, check: str, method: str, /, **args: Any) -> Any:
        found = scenario.check("credit", check, **args)
        if found is None:
            return None
        findings = hidden(found["findings"])
        return call(who, method, verdict=found["code"], findings=findings, **args)

    def apply(**more: Any) -> Any:
        args: dict[str, Any] = {
            "issuer": lender, "beneficiary": maker, "expiry": expiry, "advising": adder,
            "nominated": adder, "to_confirm": True, "terms": hidden(words(**more)),
        }  # fmt: skip
        return call("wholesaler", "apply", **args)

    def running(**more: Any) -> Any:
        number = apply(**more)
        call("lender_teller", "propose", number=number)
        for who in ("lender_teller", "lender_chief"):
            judge(who, "ready", "issue", number=number)
        call("adder_teller", "advise", number=number)
        return number

    def present(who: str, number: Any, bank: str, minor: int, **more: Any) -> Any:
        goods = {"date": shipped, "digest": bytes(32)}
        invoice = {"type": "INVOICE", "issuer": "Maker", "to": "wholesaler", "goods": "Tablets",
                   "amount": dollars(minor), **goods}  # fmt: skip
        carriage = {"carrier": "Liner", "shipped": shipped, "vessel": "Gibe", **more}
        bill = {"type": "BILL_OF_LADING", "originals": 2, "carriage": carriage, **goods}
        drawing = {"amount": dollars(minor)}
        return call(who, "present", number=number, bank=bank, drawing=hidden(drawing),
                    documents=[hidden(invoice), hidden(bill)])  # fmt: skip

    def examine(who: str, number: Any, presentation: Any) -> Any:
        return judge(who, "examine", "examined", number=number, presentation=presentation)

    def pay(bank: str, number: Any, presentation: Any) -> None:
        found = kit.query("credit", "credit", number=number)["credit"]
        of = {"number": number, "presentation": presentation}
        counts = {"drawn": len(found["drawings"]), "accepted": len(found["accepted"])}
        judge(f"{bank}_teller", "within", "counted", **counts, **of)
        for person in ("teller", "chief"):
            call(f"{bank}_{person}", "honour", **of)

    call("wholesaler", "withdraw", number=apply())
    call("lender_teller", "decline", number=apply(), reason=hidden("no line"))
    judge("lender_chief", "ready", "issue", number=apply(drawee="Wholesaler"))
    number = running()
    call("adder_chief", "confirm", number=number)
    for changes in ({"increase": dollars(500)}, {"goods": "tea"}, {"increase": dollars(1)}):
        amendment = call("lender_teller", "amend", number=number, changes=hidden(changes))
        judge("lender_chief", "fits", "issue_amendment", number=number, amendment=amendment)
    for decision in ("ACCEPT", "REJECT"):
        call("maker", "decide", number=number, amendment=2, decision=decision)
    call("adder_chief", "extend_confirmation", number=number, amendment=1)
    first = present("maker", number, adder, 1_200)
    examine("adder_teller", number, first)
    examine("maker", number, first)
    pay("adder", number, first)
    second = call("adder_teller", "pass_on", number=number, presentation=first)
    examine("lender_teller", number, second)
    pay("lender", number, second)
    scenario.check("credit", "undrawn", number=number)
    third = present("maker", number, lender, 100, on_deck=True, loading="Basel")
    examine("lender_teller", number, third)
    for who, method in (
        ("wholesaler", "waive"), ("lender_teller", "ask_waiver"), ("wholesaler", "waive"),
        ("lender_teller", "accept_waiver"), ("lender_chief", "accept_waiver"),
    ):  # fmt: skip
        call(who, method, number=number, presentation=third)
    pay("lender", number, third)
    for organisation in (lender, adder, maker, wholesaler):
        scenario.ask("credit", "tasks", organisation=organisation)
        scenario.ask("credit", "credits_of", organisation=organisation)
    fourth = present("maker", number, lender, 500, clauses=["torn"])
    examine("lender_teller", number, fourth)
    for fate in ("NOTIFY", "HOLD"):
        call("lender_teller", "give_notice", number=number, presentation=fourth, fate=fate)
    call("maker", "take_back", number=number, presentation=fourth)
    present("maker", number, lender, 500)
    scenario.pass_time("five banking days", days=10)
    scenario.ask("credit", "presentation", number=number, presentation=first)
    scenario.ask("credit", "presentations_of", number=number)
    scenario.ask("credit", "honoured", number=number, presentation=first)
    call("maker", "close", number=number)

    number = running()
    for amount in (400, 700):
        terms = words(amount=dollars(amount), beneficiary="Grower", transferable=False)
        child = call("maker", "transfer", number=number, to=kit.id("grower"), expiry=expiry,
                     terms=hidden(terms))  # fmt: skip
        drawn = len(kit.query("credit", "credit", number=number)["credit"]["drawings"])
        judge("lender_chief", "transferable", "transferred", number=child, drawn=drawn)
    scenario.check("credit", "undrawn", number=number)
    amendment = call("lender_teller", "amend", number=number, changes=hidden({}), cancels=True)
    judge("lender_chief", "fits", "issue_amendment", number=number, amendment=amendment)
    call("maker", "decide", number=number, amendment=amendment, decision="ACCEPT")
    running()
    scenario.pass_time("expiry", days=60)
    scenario.ask("credit", "tasks", organisation=lender)
    for one in range(1, number + 4):
        call("lender_teller", "close", number=one)
        scenario.ask("credit", "credit", number=one)
