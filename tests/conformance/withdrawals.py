"""A recall from its draft to its end, widened on the way, and a regulator's own hold."""

from __future__ import annotations

from typing import Any

from tests.conformance.carriage import Scenario

GTIN = "09521321000049"
PLANT = f"01/{GTIN}/10/"


def withdrawals(scenario: Scenario) -> None:
    """Two lots over three organisations: part comes back, part is destroyed, part was sold."""
    kit = scenario.kit
    wholesaler, pharmacy = kit.id("wholesaler"), kit.id("pharmacy")

    def call(who: str, contract: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, contract, method, **args)

    def some(lot: str, amount: int | None = None) -> dict[str, Any]:
        named = {"item": PLANT + lot}
        return named if amount is None else {**named, "quantity": {"amount": amount, "unit": "EA"}}

    call("maker", "batch", "commission", items=[some("W1", 100), some("W2", 50)])
    call("maker", "batch", "ship", items=[some("W1", 60)], consignee=wholesaler)
    call("wholesaler", "batch", "receive", items=[some("W1")])
    call("wholesaler", "batch", "split", item=PLANT + "W1", parts=[{"lot": "W3", "amount": 20}])
    call("wholesaler", "batch", "ship", items=[some("W3", 5)], consignee=pharmacy)
    announcement = {"product": "Syrup", "reason": "Particles", "codes": "Lot W1"}
    number = call("maker", "recall", "draft", announcement=announcement, items=[some("W1")])
    call("wholesaler", "recall", "start", number=number)
    call("maker", "recall", "start", number=number)
    call("maker", "recall", "notify", number=number)
    call("maker", "recall", "classify", number=number, recall_class="I")
    call("regulator", "recall", "classify", number=number, recall_class="II")
    strategy = {"number": number, "depth": "WHOLESALE", "level": "A", "disposal": "RETURN"}
    call("maker", "recall", "set_strategy", **strategy)
    call("pharmacy", "batch", "receive", items=[some("W3")])
    scenario.pass_time("notices", days=1)
    call("regulator", "recall", "reclassify", number=number, recall_class="I")
    call("maker", "recall", "notify", number=number)
    call("wholesaler", "batch", "quarantine", items=[some("W1", 30)], cause="RECALLED")
    goods = {"number": number, "items": [some("W1", 10)]}
    call("wholesaler", "recall", "return_goods", **goods)
    call("wholesaler", "recall", "destroy", **goods)
    leave = {"number": number, "holder": wholesaler, "grounds": "Opened."}
    call("wholesaler", "recall", "consent", **leave)
    call("regulator", "recall", "consent", **leave)
    call("wholesaler", "recall", "destroy", **goods)
    call("maker", "batch", "receive", items=[some("W1")])
    call("maker", "recall", "widen", number=number, reason="W2 too", items=[some("W2")])
    scenario.pass_time("more notices", days=1)
    for who in ("wholesaler", "pharmacy"):
        call(who, "recall", "acknowledge", number=number, found="FOUND")
    call("maker", "recall", "complete", number=number)
    for notice in scenario.ask("recall", "notices_of", number=number):
        check = {"holder": notice["holder"], "outcome": "EFFECTIVE", "method": "VISIT"}
        call("maker", "recall", "check_effectiveness", number=number, **check)
    call("maker", "recall", "complete", number=number)
    call("maker", "recall", "complete", number=number, explanation="Used up, as far as is known.")
    scenario.ask("recall", "dashboard", number=number)
    scenario.ask("recall", "goods_at", number=number, holder=wholesaler)
    scenario.ask("recall", "report", number=number)
    scenario.ask("recall", "returns_of", number=number)
    scenario.ask("recall", "consents_of", number=number)
    call("regulator", "recall", "terminate", number=number)
    call("regulator", "recall", "release", number=number, grounds="Relabelled.")
    scenario.pass_time("holds lifted", days=1)
    before = scenario.ask("batch", "holds_on", item=PLANT + "W2")[-1]["holding"]
    kit.as_("regulator").calls(  # in one transaction, before it has spread
        ("batch", "detain", {"items": [some("W2")]}),
        ("batch", "go_on_holding", {"number": before + 1}),
    )
    scenario.note("regulator batch.go_on_holding", kit.blocks[-1].receipts)
    detained = before + 1
    call("maker", "batch", "ship", items=[some("W2", 5)], consignee=wholesaler)
    scenario.pass_time("a hold spreads", days=1)
    call("maker", "batch", "go_on_holding", number=detained)
    call("regulator", "batch", "end_detention", number=detained)
    scenario.ask("batch", "holding", number=detained)
    scenario.ask("batch", "holds_on", item=PLANT + "W2")
