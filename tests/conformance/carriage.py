"""Every method of the shipment contract, called with success somewhere; and some refusals."""

from __future__ import annotations

from typing import Any, Protocol

from contracts.sdk.testkit import DAY_MS, Testkit

CONTAINER, OTHER = "APZU4812090", "CSQU3054383"
UNIT = "00/106141412345678915"
HALF = 180_000_000


class Scenario(Protocol):
    """What the conformance scenario offers."""

    kit: Testkit

    def call(self, who: str, contract: str, method: str, /, **args: Any) -> Any: ...
    def ask(self, contract: str, method: str, /, **args: Any) -> Any: ...
    def pass_time(self, what: str, **time: int) -> None: ...


def carriage(scenario: Scenario) -> None:
    """Bookings of every end, and one journey with positions, geofences and a late arrival."""
    kit = scenario.kit
    kit.organisation("carrier", ("logistics_operator",))
    maker, pharmacy, carrier = kit.id("maker"), kit.id("pharmacy"), kit.id("carrier")
    now = kit.time_ms

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "shipment", method, **args)

    def book(**more: Any) -> Any:
        args: dict[str, Any] = {"carrier": carrier, "consignee": pharmacy, "origin": "CHBSL"}
        args |= {"destination": "SGSIN", "wanted_arrival": now + 9 * DAY_MS, **more}
        return call("maker", "book", **args)

    def leg(start: str, end: str, day: int, **more: Any) -> dict[str, Any]:
        times = {"departure": now + day * DAY_MS, "arrival": now + (day + 1) * DAY_MS}
        return {"mode": "TRUCK", "origin": start, "destination": end, **times, **more}

    def ship(number: str = "9321483") -> dict[str, Any]:
        return leg("NLRTM", "SGSIN", 3, mode="VESSEL", vessel=number, voyage="2103S")

    legs = [leg("CHBSL", "NLRTM", 1), ship()]
    call("carrier", "decline_booking", number=book(), reason="DATES")
    call("maker", "cancel_booking", number=book())
    scenario.call("maker", "batch", "commission", items=[{"item": UNIT}])
    number = book(goods=[{"item": UNIT}], equipment=[{"type": "22GP", "units": 2}],
                  shipper_reference=kit.commit("PO 1").commitment)  # fmt: skip
    call("carrier", "confirm_booking", number=number, legs=[legs[0], ship("9321484")])
    call("carrier", "confirm_booking", number=number, legs=legs[::-1])
    call("carrier", "confirm_booking", number=number, legs=legs)
    for one in ("APZU4812091", "APZX4812090", "APZU481209O", CONTAINER, CONTAINER, OTHER):
        call("carrier", "equip", number=number, containers=[{"number": one, "type": "22GP"}])
    call("carrier", "withdraw", number=number, container=OTHER)
    call("maker", "stow", number=number, container=CONTAINER, items=[UNIT])
    call("maker", "hand_over", number=number)

    event = bytes(range(16))
    for code in ("GTIN", "LOAD", "LOAD"):
        call("carrier", "equipment_event", number=number, code=code, place="CHBSL", time=now,
             container=CONTAINER, event=event if code == "GTIN" else None)  # fmt: skip
    call("carrier", "equipment_event", number=number, code="GTOT", place="CHBSL", time=now,
         container=CONTAINER, event=event)  # fmt: skip
    areas = {
        "box": [(-20_000_000, 176_000_000), (-15_000_000, -178_000_000)],
        "polygon": [(-20_000_000, 176_000_000), (-20_000_000, -178_000_000),
                    (-15_000_000, 179_000_000)],
        "pole": [(50, -120_000_000), (50, 0), (50, 120_000_000)],
        "half": [(0, 0), (10, HALF), (20, 0)],
        "flat": [(0, 0), (1, 1), (2, 2)],
        "upside down": [(1, 0), (0, 1)],
    }  # fmt: skip
    for corners in areas.values():
        given = [{"latitude": north, "longitude": east} for north, east in corners]
        for alarm in ("ENTER", "LEAVE", "BOTH"):
            call("maker", "set_geofence", number=number, corners=given, alarm=alarm)
    call("maker", "remove_geofence", number=number, geofence=6)
    call("maker", "remove_geofence", number=number, geofence=1)
    scenario.pass_time("at sea", hours=1)
    for after, north, east in ((50, -18_000_000, HALF), (10, -18_000_000, -HALF), (30, 0, 0),
                               (30, 1, 1), (20, -16_000_000, 178_999_999), (900_000, 0, 0),
                               (40, -20_000_000, -179_000_000)):  # fmt: skip
        report = {"time": kit.time_ms - 60_000 + after, "latitude": north, "longitude": east}
        call("carrier", "position", number=number, reports=[report])

    call("carrier", "transport_event", number=number, code="DEPA", place="CHBSL", time=now)
    call("carrier", "transport_event", number=number, code="ARRI", place="SGSIN", time=now,
         classifier="EST", delay="WEA")  # fmt: skip
    call("carrier", "transport_event", number=number, code="ARRI", place="NLRTM", time=now)
    call("carrier", "shipment_event", number=number, document="TRD", code="ISSU", time=now,
         reference=kit.commit("BILL 1").commitment)  # fmt: skip
    call("carrier", "replan", number=number, legs=[ship("9074729")],
         promised_arrival=now + 10 * DAY_MS)  # fmt: skip
    call("carrier", "transport_event", number=number, code="DEPA", place="NLRTM", time=now,
         vessel="9321483")  # fmt: skip
    call("carrier", "transport_event", number=number, code="DEPA", place="NLRTM", time=now)
    exception = call("carrier", "report_exception", number=number, kind="UNSEALED", time=now,
                     container=CONTAINER, note=kit.commit("open").commitment)  # fmt: skip
    call("carrier", "resolve_exception", number=number, exception=exception)
    scenario.pass_time("late", days=11)
    call("pharmacy", "confirm_delivery", number=number)
    call("carrier", "transport_event", number=number, code="ARRI", place="SGSIN",
         time=kit.time_ms)  # fmt: skip
    call("carrier", "confirm_delivery", number=number)
    call("pharmacy", "confirm_delivery", number=number, condition="UNSEALED")
    for method, args in (
        ("delivered", {"number": number}), ("shipment", {"number": number}),
        ("positions", {"number": number}), ("milestones_of", {"number": number}),
        ("shipments_of", {"organisation": maker, "part": "SHIPPER"}),
        ("shipments_of", {"organisation": carrier, "part": "CARRIER", "after": 1}),
        ("shipments_of", {"organisation": pharmacy, "part": "CONSIGNEE"}),
        ("shipments_with", {"container": CONTAINER}), ("shipments_with", {"container": "X"}),
    ):  # fmt: skip
        scenario.ask("shipment", method, **args)
