"""A chain with companies that ship, carry and receive: the real identity, batch and shipment."""

from __future__ import annotations

from typing import Any

from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.dates import time_text
from contracts.sdk.testkit import DAY_MS, START_MS, Testkit

HOUR_MS = 3_600_000
GTIN = "09521321000018"
LOT = f"01/{GTIN}/10/A1"
CONTAINER, OTHER_CONTAINER = "APZU4812090", "CSQU3054383"
VESSEL, OTHER_VESSEL = "9321483", "9074729"
ORIGIN, PORT, TRANSFER, DESTINATION = "CHBSL", "NLRTM", "FRPAR", "SGSIN"


def sscc(number: int) -> str:
    body = f"0952132100000{number:04d}"
    return f"00/{body}{gs1_check_digit(body)}"


def some(item: str, amount: int | None = None) -> dict[str, Any]:
    return {"item": item} | ({} if amount is None else {"quantity": {"amount": amount}})


def at(day: int, hour: int = 0) -> int:
    """A moment so long after the chain's beginning, ms."""
    return START_MS + day * DAY_MS + hour * HOUR_MS


def small_world(*more: str) -> Testkit:
    """``more`` built-in contracts may be there, too."""
    kit = Testkit.of(builtin=("identity", "batch", "shipment", *more))
    kit.organisation("maker", roles=("manufacturer",))
    kit.organisation("pharmacy", roles=("dispenser",))
    kit.organisation("carrier", roles=("logistics_operator",))
    kit.organisation("rival", roles=("logistics_operator",))
    kit.organisation("regulator", roles=("regulator",))
    return kit


def leg(origin: str, destination: str, departure: int, arrival: int, **more: Any) -> dict[str, Any]:
    plan = {"mode": "TRUCK", "origin": origin, "destination": destination}
    return {**plan, "departure": departure, "arrival": arrival, **more}


def legs() -> list[dict[str, Any]]:
    """By lorry to the port, by ship to the destination."""
    return [
        leg(ORIGIN, PORT, at(1), at(2)),
        leg(PORT, DESTINATION, at(3), at(20), mode="VESSEL", vessel=VESSEL, voyage="2103S"),
    ]


def book(kit: Testkit, **more: Any) -> int:
    args: dict[str, Any] = {
        "carrier": kit.id("carrier"),
        "consignee": kit.id("pharmacy"),
        "origin": ORIGIN,
        "destination": DESTINATION,
        "wanted_arrival": at(21),
    }
    number: int = kit.as_("maker").call("shipment", "book", **{**args, **more})
    return number


def booked(kit: Testkit, **more: Any) -> int:
    number = book(kit, **more)
    kit.as_("carrier").call("shipment", "confirm_booking", number=number, legs=legs())
    return number


def equipped(kit: Testkit, *containers: str, **more: Any) -> int:
    number = booked(kit, **more)
    given = [{"number": one, "type": "22GP"} for one in containers or (CONTAINER,)]
    kit.as_("carrier").call("shipment", "equip", number=number, containers=given)
    return number


def until(kit: Testkit, time_ms: int) -> None:
    """Let time pass up to a moment."""
    kit.advance(seconds=max(0, (time_ms - kit.time_ms) // 1_000))


def handle(kit: Testkit, number: int, code: str, **more: Any) -> Any:
    args = {"number": number, "code": code, "place": ORIGIN, "time": kit.time_ms, **more}
    return kit.as_("carrier").call("shipment", "equipment_event", **args)


def move(kit: Testkit, number: int, code: str, place: str, **more: Any) -> Any:
    args = {"number": number, "code": code, "place": place, "time": kit.time_ms, **more}
    return kit.as_("carrier").call("shipment", "transport_event", **args)


def loaded(kit: Testkit, **more: Any) -> int:
    number = equipped(kit, **more)
    handle(kit, number, "LOAD", container=CONTAINER)
    return number


def arrived(kit: Testkit, **more: Any) -> int:
    number = loaded(kit, **more)
    for code, place in (
        ("DEPA", ORIGIN), ("ARRI", PORT), ("DEPA", PORT), ("ARRI", DESTINATION),
    ):  # fmt: skip
        move(kit, number, code, place)
    return number


def state(kit: Testkit, number: int) -> str:
    found: str = kit.query("shipment", "shipment", number=number)["shipment"]["state"]
    return found


def names(kit: Testkit) -> list[str]:
    return [event.name for event in kit.events if event.contract == "shipment"]


def stock_lot(kit: Testkit, amount: int = 100) -> None:
    """The maker has an amount of a lot."""
    expiry = time_text(at(700))[:10]
    maker = kit.as_("maker")
    maker.call("batch", "commission", items=[some(LOT, amount)], expiry=expiry)
