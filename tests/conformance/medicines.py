"""Every method of the quality and dscsa contracts, called with success somewhere; some refusals."""

from __future__ import annotations

from typing import Any

from contracts.sdk.dates import date_of, date_text
from tests.conformance.carriage import Scenario

GTIN = "00361414567894"
LOT = f"01/{GTIN}/10/Q1"
SERIALS = [f"01/{GTIN}/21/Q{number}" for number in range(4)]
ASSERTIONS = ["AUTHORISED", "SOURCE", "INFORMATION", "LEGITIMATE", "SYSTEMS", "TRUE", "UNALTERED"]


def amount(item: str, number: int) -> dict[str, Any]:
    return {"item": item, "quantity": {"amount": number}}


def inspections(scenario: Scenario) -> None:
    """A lot that fails, comes back on conditions, is conceded, certified, and withdrawn."""
    kit = scenario.kit
    for name, role in (("examiner", "laboratory"), ("approver", "laboratory"),
                       ("qa", "manufacturer")):  # fmt: skip
        kit.key(name, "maker", (role,), user=f"user-{name}")
    today = date_of(kit.time_ms)
    expiry = date_text(today + 20_000)
    scenario.call("maker", "batch", "commission", items=[amount(LOT, 500)], expiry=expiry)

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "quality", method, **args)

    limits = [
        {"code": "ASSAY", "unit": "P1", "scale": 1, "low": 950, "high": 1050,
         "low_tolerated": 940, "high_tolerated": 1060},
        {"code": "IMPURITY", "unit": "59", "ordinal": 2, "high": 500},
    ]  # fmt: skip
    call("maker", "define_plan", characteristics=[*limits, limits[0]])
    call(
        "maker", "define_plan", characteristics=[{"code": "PH", "unit": "C62", "low": 5, "high": 4}]
    )
    plan, old = (call("maker", "define_plan", characteristics=limits, gtin=GTIN) for _ in range(2))
    call("maker", "retire_plan", plan=old)
    given = {"item": LOT, "laboratory": kit.id("maker"), "plan": plan}
    call("maker", "request", **{**given, "plan": old})
    call("maker", "cancel_request", inspection=call("maker", "request", **given))
    call("maker", "decline", inspection=call("maker", "request", **given), reason="CAPACITY")

    def inspected(assay: int, **more: Any) -> Any:
        number = call("maker", "request", **given, **more)
        results = [{"code": "IMPURITY", "ordinal": 2, "value": 7},
                   {"code": "ASSAY", "value": assay}]  # fmt: skip
        call("maker", "record_results", inspection=number, results=results[:1])
        call("maker", "record_results", inspection=number, results=results)
        call("examiner", "send_back", inspection=number, reason="CALCULATION")
        call("maker", "record_results", inspection=number, results=results)
        for who, method in (("maker", "review"), ("examiner", "review"), ("examiner", "approve"),
                            ("approver", "approve")):  # fmt: skip
            call(who, method, inspection=number)
        return number

    inspected(100)
    scenario.call("maker", "batch", "ship", items=[amount(LOT, 5)], consignee=kit.id("pharmacy"))
    number = inspected(945, repeat="SORTED")
    call("qa", "concede", inspection=number)
    dates = {"valid_from": today, "valid_until": today + 10_000}
    document = {"document": bytes(32), "type": "1", "number": kit.commit("COA 1").commitment}
    certificate = call("maker", "issue_certificate", inspection=number, **document, **dates)
    scenario.ask("quality", "certificate", certificate=certificate)
    call("regulator", "revoke_certificate", certificate=certificate, reason="FRAUD")
    scenario.ask("quality", "inspection", inspection=number)
    scenario.ask("quality", "inspections_of", item=LOT)
    scenario.ask("quality", "certificates_of", item=LOT)
    scenario.ask("quality", "plan", plan=plan)
    scenario.ask("batch", "locks_of", item=LOT)
    inspected(1000, repeat="LABORATORY_ERROR")


def medicines(scenario: Scenario) -> None:
    """Licences, sales, a case of every end, requests answered in time and not."""
    kit = scenario.kit
    maker, pharmacy, regulator = kit.id("maker"), kit.id("pharmacy"), kit.id("regulator")
    today = date_of(kit.time_ms)
    expiry = date_text(today + 20_000)
    things = [{"item": one} for one in SERIALS]

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "dscsa", method, **args)

    def license_(who: str, kind: str, authority: str) -> dict[str, Any]:
        number = call("regulator", "grant_licence", organisation=kit.id(who), kind=kind,
                      authority=authority, reference=kit.commit("LIC 1").commitment,
                      valid_from=today, valid_until=today + 10_000)  # fmt: skip
        return {"organisation": kit.id(who), "licence": number}

    def sell(who: str, to: str, *items: dict[str, Any], **more: Any) -> Any:
        made = {"information": kit.commit("information").commitment, "statement": ASSERTIONS}
        given = {"items": list(items), "buyer": kit.id(to), **made, **more}
        return call(who, "transfer" if "holder" in more else "ship", **given)

    scenario.call("maker", "batch", "commission", items=things, lot="Q1", expiry=expiry)
    scenario.call("regulator", "batch", "set_policy", dscsa=True)
    sell("maker", "pharmacy", things[0])
    license_("maker", "MANUFACTURER", "US-NY")
    license_("maker", "MANUFACTURER", "US")
    licence = license_("pharmacy", "DISPENSER", "US-NY")
    call("regulator", "suspend_licence", **licence, reason="INVESTIGATION")
    sell("maker", "pharmacy", things[0])
    call("consortium", "reinstate_licence", **licence, reason="CORRECTED")
    call("regulator", "renew_licence", **licence, valid_until=today + 30_000)
    call("regulator", "revoke_licence", **license_("wholesaler", "WHOLESALER", "US"),
         reason="OTHER")  # fmt: skip
    scenario.call("maker", "batch", "ship", items=things[:1], consignee=pharmacy)
    sell("maker", "pharmacy", *things[:3], statement=ASSERTIONS[:6])
    call("regulator", "set_package_level", required=True)
    sell("maker", "pharmacy", amount(LOT, 5))
    sold = sell("maker", "pharmacy", *things[:3])
    call("regulator", "set_package_level", required=False)
    call("maker", "void", transaction=sell("maker", "pharmacy", things[3]), items=things[3:])
    scenario.call("pharmacy", "batch", "receive", items=things[:3])
    sell("maker", "pharmacy", things[3], holder=maker, shipment_date=today + 1)
    call("pharmacy", "ship_exempt", items=things[2:3], consignee=maker,
         exemption="NONSALEABLE_RETURN")  # fmt: skip
    cases = [
        call("pharmacy", "report_suspect", items=[thing], grounds="COUNTERFEIT")
        for thing in things[:2]
    ]
    call("pharmacy", "decide", case=cases[0], outcome="CLEARED")
    scenario.pass_time("undecided", days=1)
    call("regulator", "decide", case=cases[1], outcome="ILLEGITIMATE")
    scenario.pass_time("unnotified", days=1)
    call("pharmacy", "notify", case=cases[1], regulator=regulator)
    call("maker", "acknowledge", case=cases[1], has_product=False)
    call("regulator", "terminate", case=cases[1], ending="NOT_ILLEGITIMATE")

    package = {"item": SERIALS[0], "lot": "Q1", "expiry": expiry}
    first = call("pharmacy", "request_information", **package, asked=maker, purpose="SUSPECT")
    scenario.ask("dscsa", "transactions_for", request=first)
    call("maker", "respond", request=first, document=bytes(32))
    late = call("regulator", "request_information", **package, asked=pharmacy, purpose="OFFICIAL")
    scenario.pass_time("unanswered", days=2)
    call("pharmacy", "respond", request=late)
    for query, args in (
        ("authorised", {"organisation": maker}),
        ("may_trade", {"seller": maker, "buyer": pharmacy}),
        ("licences_of", {"organisation": pharmacy}), ("transaction", {"transaction": sold}),
        ("case", {"case": cases[1]}), ("cases_of", {"reporter": pharmacy}), ("verify", package),
        ("verify", {**package, "lot": "Q2"}), ("request", {"request": first}),
        ("requests_to", {"asked": maker}), ("request_report", {"request": first}),
    ):  # fmt: skip
        scenario.ask("dscsa", query, **args)
    scenario.ask("batch", "standing", item=SERIALS[0], organisation=pharmacy)
    scenario.ask("batch", "packages", items=[*things, amount(LOT, 1)])
    scenario.ask("batch", "partners", item=SERIALS[0], organisation=pharmacy)
    scenario.call("regulator", "batch", "set_policy", dscsa=False)
