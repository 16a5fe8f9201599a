"""Every method of the contract of bills of lading, called with success somewhere; and refusals."""

from __future__ import annotations

from typing import Any

from tests.conformance.parties import Scenario

TERMS = {"reference": "HLCU1", "shipper": "Maker", "consignee": "", "goods": ["400 drums"],
         "containers": ["APZU4812090"], "packages": 400, "gross_weight_g": 12_000,
         "loading": "NLRTM", "discharge": "SGSIN"}  # fmt: skip


def bills(scenario: Scenario) -> None:
    """A bill that becomes paper and comes back, is amended, pledged, moved and surrendered."""
    kit = scenario.kit
    kit.organisation("liner", ("logistics_operator",))
    kit.organisation("pledge_bank", ("bank",))
    names = {"maker": "maker", "bank": "pledge_bank", "buyer": "pharmacy"}
    ids = {short: kit.id(name) for short, name in names.items()}
    now = kit.time_ms

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "bill", method, **args)

    def hidden(value: Any) -> bytes:
        return kit.commit(value).commitment

    def words(**more: Any) -> dict[str, Any]:
        return {"terms": hidden({**TERMS, **more}), "document": hidden(bytes(32))}

    leg = {"mode": "VESSEL", "origin": "NLRTM", "destination": "SGSIN", "vessel": "9321483",
           "departure": now + 1_000_000, "arrival": now + 2_000_000}  # fmt: skip
    shipment = scenario.call(
        "maker", "shipment", "book", carrier=kit.id("liner"), consignee=ids["buyer"],
        origin="NLRTM", destination="SGSIN", wanted_arrival=now + 3_000_000,
    )  # fmt: skip
    scenario.call("liner", "shipment", "confirm_booking", number=shipment, legs=[leg])
    scenario.call("liner", "shipment", "equip", number=shipment,
                  containers=[{"number": "CSQU3054383", "type": "22GP"}])  # fmt: skip
    scenario.call("liner", "shipment", "equipment_event", number=shipment, code="LOAD",
                  container="CSQU3054383", place="NLRTM", time=now)  # fmt: skip
    for who in ("maker", "liner", "liner"):
        number = call(who, "issue", shipment=shipment, to_order=True, **words()) or 1
    paper = hidden(bytes([1]) * 32)
    for turn in (1, 0):
        call("maker", "ask_for_paper", number=number, turn=turn)
    call("liner", "replace_by_paper", number=number, paper=paper)
    call("maker", "surrender", number=number, turn=2)
    back = call("liner", "issue", shipment=shipment, to_order=True, paper=paper, replaces=number,
                **words())  # fmt: skip
    call("liner", "paper_surrendered", number=number, by=ids["buyer"])
    for named, packages in ((["packages"], 399), (["vessel"], 398)):
        version = call("liner", "amend", number=back, changes=hidden(named),
                       **words(packages=packages))  # fmt: skip
        found = scenario.check("bill", "marks", number=back, version=version)
        call("maker", "marks_examined", number=back, version=version, verdict=found["code"],
             findings=hidden(found["findings"]))  # fmt: skip
        call("maker", "decide", number=back, version=version, accept=version == 1,
             turn=version - 1)  # fmt: skip
    call("maker", "pledge", number=back, to=ids["bank"], turn=2)
    for act, to, turn in (("TRANSFER", "", 3), ("TRANSFER", ids["buyer"], 3)):
        call("maker", "transfer", number=back, to=ids["buyer"], turn=turn)
        call("pledge_bank", "consent", number=back, act=act, to=to, turn=turn)
    call("maker", "transfer", number=back, to=ids["buyer"], turn=3)
    for organisation in ids.values():
        scenario.ask("bill", "tasks", organisation=organisation)
        scenario.ask("bill", "bills_of", organisation=organisation)
    call("pledge_bank", "release", number=back)
    call("pharmacy", "surrender", number=back, turn=5)
    for code, place in (("DEPA", "NLRTM"), ("ARRI", "SGSIN")):
        call("liner", "accomplish", number=back)
        scenario.call("liner", "shipment", "transport_event", number=shipment, code=code,
                      place=place, time=kit.time_ms)  # fmt: skip
    scenario.call("pharmacy", "shipment", "confirm_delivery", number=shipment)
    call("liner", "accomplish", number=back)

    other = scenario.call(
        "maker", "shipment", "book", carrier=kit.id("liner"), consignee=ids["buyer"],
        origin="NLRTM", destination="SGSIN", wanted_arrival=kit.time_ms + 3_000_000,
    )  # fmt: skip
    leg |= {"departure": kit.time_ms + 1_000_000, "arrival": kit.time_ms + 2_000_000}
    scenario.call("liner", "shipment", "confirm_booking", number=other, legs=[leg])
    straight = call("liner", "issue", shipment=other, to_order=False, **words())
    call("maker", "transfer", number=straight, to=ids["bank"], turn=0)
    call("maker", "ask_for_paper", number=straight, turn=0)
    call("liner", "replace_by_paper", number=straight, paper=paper)
    call("liner", "paper_surrendered", number=straight, by=ids["buyer"])
    for one in (number, back, straight):
        scenario.ask("bill", "bill", number=one)
        scenario.ask("bill", "history", number=one)
    scenario.ask("bill", "bills_of_shipment", shipment=shipment)
