"""What batch does beyond one medicine's way: owners apart from holders, processes, settings."""

from __future__ import annotations

from typing import Any

from contracts.sdk.dates import date_of, date_text
from contracts.sdk.testkit import DAY_MS
from tests.conformance.carriage import Scenario

GTIN = "09521321000025"
PLANT = f"01/{GTIN}/10/"


def stocks(scenario: Scenario) -> None:
    """A lot merged, sold where it lies, called back, expired, and opened where it was unknown."""
    kit = scenario.kit
    maker, wholesaler, pharmacy = kit.id("maker"), kit.id("wholesaler"), kit.id("pharmacy")
    kit.organisation("members", ("consortium_admin",))

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "batch", method, **args)

    def some(lot: str, amount: int, unit: str = "EA") -> dict[str, Any]:
        return {"item": PLANT + lot, "quantity": {"amount": amount, "unit": unit}}

    first, second, late = [date_text(date_of(kit.time_ms + n * DAY_MS)) for n in (20, 21, 90)]
    call("wholesaler", "register_trade_item", gtin=GTIN)
    call("maker", "register_trade_item", gtin=GTIN, shelf_life_days=30)
    call("members", "assign_trade_item", gtin=GTIN, maker=wholesaler)
    call("members", "assign_trade_item", gtin=GTIN, maker=maker)
    call("members", "set_policy", unregistered_items="REFUSE")
    call("maker", "commission", items=[some("A", 100)], expiry=first)
    call("maker", "commission", items=[some("B", 100)], expiry=second)
    call("maker", "commission", items=[some("C", 100)], expiry=late)
    call("maker", "merge", items=[some("A", 40), some("B", 40)], lot="M", expiry=second)
    call("maker", "merge", items=[some("A", 40), some("B", 40)], lot="M")
    rate = {"input": {"amount": 1, "unit": "EA"}, "output": {"amount": 3, "unit": "MLT"}}
    made = {"inputs": [some("B", 10)], "outputs": [some("X", 29, "MLT")], "yields": [rate]}
    call("maker", "transform", **made)
    call("members", "set_policy", unregistered_items="OPEN")
    made["outputs"] = [{**some("X", 29, "MLT"), "item": "01/09521321000032/10/X"}]
    call("maker", "transform", **made, losses=[{"amount": 2, "unit": "MLT"}])
    call("maker", "transform", **made, losses=[{"amount": 1, "unit": "MLT"}])
    goods = {"items": [some("M", 30)], "consignee": wholesaler}
    call("maker", "ship", **goods, keep_ownership=True)
    call("wholesaler", "void_shipping", **goods)
    call("maker", "void_shipping", items=[some("M", 10)], consignee=wholesaler)
    call("wholesaler", "receive", items=[{"item": PLANT + "M"}], sender=maker)
    call("wholesaler", "sell", items=[some("M", 5)], holder=wholesaler, buyer=pharmacy)
    call("maker", "sell", items=[some("M", 5)], holder=wholesaler, buyer=pharmacy)
    call("wholesaler", "ship_back", items=[some("M", 5)], consignee=maker)
    call("wholesaler", "quarantine", items=[some("M", 2)], owner=maker, cause="DAMAGED")
    call("wholesaler", "release", items=[some("M", 2)], owner=maker)
    call("wholesaler", "ship", items=[some("U", 5)], consignee=pharmacy)
    call("members", "set_policy", unknown_items="OPEN")
    call("wholesaler", "ship", items=[some("U", 5)], consignee=pharmacy)
    call("members", "set_policy", unknown_items="REFUSE")
    call("maker", "expire", items=[some("A", 50)])
    scenario.pass_time("goods expire", days=40)
    call("maker", "expire", items=[some("A", 50)])
    call("maker", "decommission", items=[some("A", 60)], state="DESTROYED", cause="EXPIRED")
    for item in ("A", "B", "M", "U", "NONE"):
        for query in ("item", "movements"):
            scenario.ask("batch", query, item=PLANT + item)
    call("maker", "set_lock", item=PLANT + "M", state="PENDING", number=1)
    scenario.ask("batch", "standing", item=PLANT + "M", organisation=maker)
    scenario.ask("batch", "partners", item=PLANT + "M", organisation=maker)
    scenario.ask("batch", "packages", items=[some("M", 1)])
    scenario.ask("batch", "makers", items=[some("M", 1)])
    scenario.ask("batch", "locks_of", item=PLANT + "M")
    scenario.ask("batch", "policy")
    scenario.ask("batch", "trade_item", gtin=GTIN)
