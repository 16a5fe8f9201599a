"""Measures what the calls of trade cost: goods, EPCIS, inspections, sales, recalls, carriage.

Each row is one call on goods of its own, ten in a row: steps, CPU time of this process, bytes of
the transaction and of its receipt. The time is that of ``BlockExecutor.execute`` as in
:mod:`scripts.bench_contracts`, the best of a few tries over a state in memory. What runs by itself
(holds that spread, notices that go out) is the time of ``BlockExecutor.begin``, for each thing
reached.

    python -m scripts.bench_supply
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from consensus.primitives.crypto import sha256
from consensus.receipt import OK
from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.testkit import DAY_MS
from scripts.bench_world import Made, Row, TimedRow, World

CALLS: Final = 10  # of one kind, measured
NUMBERS: Final = range(CALLS + 1)  # the first is not measured: it looks up who calls
TRIES: Final = 15
STEPS_PER_US: Final = 100  # promised: a step is about ten nanoseconds
DEAR: Final = 2.0  # times its promise that a call may take before it is named
MANY: Final = 100  # serials
PARTS: Final = 50  # lots that one split makes
SPLITS: Final = 3
PHARMACIES: Final = 25

GTIN: Final = "09521234543213"
MEDICINE: Final = "00361414567894"  # of a US National Drug Code
EXPIRY: Final = "2031-01-31"
ASSERTIONS: Final = (
    "AUTHORISED", "SOURCE", "INFORMATION", "LEGITIMATE", "SYSTEMS", "TRUE", "UNALTERED",
)  # fmt: skip
LIMITS: Final = (
    {"code": "ASSAY", "unit": "P1", "scale": 1, "low": 950, "high": 1050},
    {"code": "IMPURITY", "unit": "59", "high": 500},
)
RESULTS: Final = ({"code": "ASSAY", "value": 1000}, {"code": "IMPURITY", "value": 7})


def some(item: str, amount: int) -> dict[str, Any]:
    return {"item": item, "quantity": {"amount": amount, "unit": "EA"}}


def unit(number: int) -> str:
    """A logistic unit's path."""
    body = f"1952123454{number:07}"
    return f"00/{body}{gs1_check_digit(body)}"


def _serials(tag: str, count: int, gtin: str = GTIN) -> list[dict[str, Any]]:
    return [{"item": f"01/{gtin}/21/{tag}{number}"} for number in range(count)]


def _commission(items: Sequence[Mapping[str, Any]], **more: Any) -> Made:
    return Made("maker", "batch", "commission", {"items": items, "expiry": EXPIRY, **more})


def _batch(who: str, method: str, **args: Any) -> Made:
    return Made(who, "batch", method, args)


def _lots(world: World, tag: str) -> list[str]:
    """Lots of the maker, one for each call."""
    found = [f"01/{GTIN}/10/{tag}{number}" for number in NUMBERS]
    world.do(*(_commission([some(item, 1_000)]) for item in found))
    return found


def making(world: World) -> Iterator[Row]:
    """Goods that come into being, become others, and end."""
    lots = [f"01/{GTIN}/10/C{number}" for number in NUMBERS]
    yield Row("batch.commission, a lot", [_commission([some(item, 500)]) for item in lots])
    hundreds = [_serials(f"H{number}-", MANY) for number in NUMBERS]
    commissions = [_commission(items, lot="H") for items in hundreds]
    yield Row("batch.commission, 100 serials", commissions)
    world.do(*commissions)
    world.do(*(_batch("maker", "commission", items=[{"item": unit(n)}]) for n in NUMBERS))
    packs = [
        _batch("maker", "pack", parent=unit(number), items=items)
        for number, items in zip(NUMBERS, hundreds, strict=True)
    ]
    yield Row("batch.pack, 100 serials", packs)
    world.do(*packs)
    yield Row(
        "batch.unpack, 100 serials",
        [_batch("maker", "unpack", parent=unit(number)) for number in NUMBERS],
    )
    first, second = _lots(world, "A"), _lots(world, "B")
    parts = [[{"lot": f"S{n}-{part}", "amount": 100} for part in range(2)] for n in NUMBERS]
    yield Row(
        "batch.split, into 2",
        [
            _batch("maker", "split", item=item, parts=to)
            for item, to in zip(first, parts, strict=True)
        ],
    )
    yield Row(
        "batch.merge, of 2",
        [
            _batch("maker", "merge", items=[some(one, 10), some(two, 10)], lot=f"M{n}")
            for n, (one, two) in enumerate(zip(first, second, strict=True))
        ],
    )
    yield Row(
        "batch.transform, 2 into 1",
        [
            _batch(
                "maker",
                "transform",
                inputs=[some(one, 10), some(two, 10)],
                outputs=[some(f"01/{GTIN}/10/T{n}", 20)],
                expiry=EXPIRY,
            )
            for n, (one, two) in enumerate(zip(first, second, strict=True))
        ],
    )
    yield Row(
        "batch.decommission, of a lot",
        [
            _batch("maker", "decommission", items=[some(item, 5)], state="DESTROYED")
            for item in first
        ],
    )


def moving(world: World) -> Iterator[Row]:
    """Goods that go on to somebody else."""
    lots = _lots(world, "P")
    wholesaler, pharmacy = world.id("wholesaler"), world.id("pharmacy")
    ships = [
        _batch("maker", "ship", items=[some(item, 100)], consignee=wholesaler) for item in lots
    ]
    yield Row("batch.ship, of a lot", ships)
    world.do(*ships)
    maker = world.id("maker")
    receipts = [
        _batch("wholesaler", "receive", items=[some(item, 100)], sender=maker) for item in lots
    ]
    yield Row("batch.receive, of a lot", receipts)
    world.do(*receipts)
    apart = [
        _batch("wholesaler", "quarantine", items=[some(item, 5)], cause="DAMAGED") for item in lots
    ]
    yield Row("batch.quarantine, of a lot", apart)
    world.do(*apart)
    yield Row(
        "batch.release, of a lot",
        [_batch("wholesaler", "release", items=[some(item, 5)]) for item in lots],
    )
    world.do(
        *(_batch("wholesaler", "ship", items=[some(one, 9)], consignee=pharmacy) for one in lots)
    )
    world.do(*(_batch("pharmacy", "receive", items=[some(item, 9)]) for item in lots))
    yield Row(
        "batch.dispense, of a lot",
        [_batch("pharmacy", "dispense", items=[some(item, 1)]) for item in lots],
    )


def documents(world: World) -> Iterator[Row]:
    """An EPCIS event that ships."""
    events = [
        {
            "hash": sha256(b"event %d" % number),
            "type": "ObjectEvent",
            "time": world.time_ms,
            "action": "OBSERVE",
            "event_id": f"urn:uuid:{number}",
            "step": "shipping",
            "disposition": "in_transit",
            "consignee": world.id("wholesaler"),
            "things": [{"thing": item, "quantity": {"amount": 10, "unit": "EA"}}],
        }
        for number, item in enumerate(_lots(world, "E"))
    ]
    calls = [
        Made("maker", "epcis", "capture", {"event": event, "document": bytes(32)})
        for event in events
    ]
    yield Row("epcis.capture, shipping", calls)
    world.do(*calls)
    for number in (1, len(calls)):
        code = world.query("epcis", "event", number=number)["effect_code"]
        if code != OK:
            raise AssertionError(f"a captured event had no effect: {code}")


def inspections(world: World) -> Iterator[Row]:
    """A lot's analysis from the request to the second signature."""
    lots = _lots(world, "Q")

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "quality", method, args)

    (plan,) = world.do(call("maker", "define_plan", characteristics=LIMITS))
    lab = world.id("maker")
    requests = [call("maker", "request", item=item, laboratory=lab, plan=plan) for item in lots]
    yield Row("quality.request", requests)
    numbers = world.do(*requests)
    for name, who, method, args in (
        ("quality.record_results, 2 values", "maker", "record_results", {"results": RESULTS}),
        ("quality.review", "examiner", "review", {}),
        ("quality.approve", "approver", "approve", {}),
    ):
        calls = [call(who, method, inspection=number, **args) for number in numbers]
        yield Row(name, calls)
        world.do(*calls)


def sales(world: World) -> Iterator[Row]:
    """A package sold under the DSCSA."""
    items = _serials("D", len(NUMBERS), MEDICINE)
    world.do(
        _commission(items, lot="D"),
        _batch("regulator", "set_policy", dscsa=True),
        *(
            Made("regulator", "dscsa", "grant_licence", {
                "organisation": world.id(who), "kind": kind, "authority": where,
                "reference": world.commit("LIC").commitment,
                "valid_from": 20200101, "valid_until": 20400101,
            })
            for who, kind, where in (
                ("maker", "MANUFACTURER", "US"), ("pharmacy", "DISPENSER", "US-NJ"),
            )
        ),
    )  # fmt: skip
    made = {"buyer": world.id("pharmacy"), "statement": ASSERTIONS}
    yield Row(
        "dscsa.ship, a package",
        [
            Made("maker", "dscsa", "ship", {
                "items": [item], **made, "information": world.commit("facts").commitment,
            })
            for item in items
        ],
    )  # fmt: skip
    world.do(_batch("regulator", "set_policy", dscsa=False))


def recalls(world: World) -> Iterator[Row | TimedRow]:
    """Recalls of a lot each, and one that spreads to many lots and holders."""
    lots, wholesaler = _lots(world, "R"), world.id("wholesaler")

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "recall", method, args)

    def initiate(item: str) -> Made:
        announcement = {"product": "Tablets 5 mg, 30", "reason": "Subpotent", "codes": item[21:]}
        return call("maker", "initiate", announcement=announcement, items=[{"item": item}])

    def classify(number: int) -> Made:
        return call("regulator", "classify", number=number, recall_class="II")

    def set_strategy(number: int) -> Made:
        strategy = {"depth": "RETAIL", "level": "E", "disposal": "RETURN"}
        return call("maker", "set_strategy", number=number, **strategy)

    world.do(
        *(_batch("maker", "ship", items=[some(item, 9)], consignee=wholesaler) for item in lots)
    )
    world.do(*(_batch("wholesaler", "receive", items=[some(item, 9)]) for item in lots))
    starts = [initiate(item) for item in lots]
    yield Row("recall.initiate, a lot", starts)
    numbers = world.do(*starts)
    world.settle()
    yield Row("recall.classify", [classify(number) for number in numbers])
    world.do(*map(classify, numbers))
    yield Row("recall.set_strategy", [set_strategy(number) for number in numbers])
    world.do(*map(set_strategy, numbers))
    world.settle()
    yield Row(
        "recall.acknowledge",
        [call("wholesaler", "acknowledge", number=number, found="FOUND") for number in numbers],
    )

    origin, sold = f"01/{GTIN}/10/ORIGIN", f"01/{GTIN}/10/SOLD"
    world.do(_commission([some(origin, 1_000_000)]), _commission([some(sold, 1_000)]))
    for split in range(SPLITS):
        parts = [{"lot": f"O{split}-{part}", "amount": 10} for part in range(PARTS)]
        world.do(_batch("maker", "split", item=origin, parts=parts))
    world.do(initiate(origin))
    yield TimedRow("a hold spreads, each descendant", SPLITS * PARTS, "HoldComplete")
    world.settle()
    for name in (f"pharmacy {number}" for number in range(PHARMACIES)):
        consignee = world.organisation(name, ("dispenser",))
        world.do(
            _batch("maker", "ship", items=[some(sold, 5)], consignee=consignee),
            _batch(name, "receive", items=[some(sold, 5)]),
        )
    (number,) = world.do(initiate(sold))
    world.settle()
    world.do(classify(number), set_strategy(number))
    yield TimedRow("notices go out, each holder", PHARMACIES, "NoticesSent")
    world.settle()


def carriage(world: World) -> Iterator[Row]:
    """A consignment from the booking to the handing over, and what is reported on its way."""
    lots, now = _lots(world, "V"), world.time_ms
    consignee, carrier = world.id("wholesaler"), world.id("carrier")

    def call(who: str, method: str, **args: Any) -> Made:
        return Made(who, "shipment", method, args)

    ends = {"origin": "CHBSL", "destination": "NLRTM"}
    bookings = [
        call("maker", "book", carrier=carrier, consignee=consignee, **ends,
             wanted_arrival=now + 9 * DAY_MS, goods=[some(item, 10)])
        for item in lots
    ]  # fmt: skip
    yield Row("shipment.book", bookings)
    numbers = world.do(*bookings)
    leg = {"mode": "TRUCK", **ends, "departure": now + DAY_MS, "arrival": now + 2 * DAY_MS}
    confirmations = [call("carrier", "confirm_booking", number=n, legs=[leg]) for n in numbers]
    yield Row("shipment.confirm_booking, a leg", confirmations)
    world.do(*confirmations)
    hand_overs = [call("maker", "hand_over", number=number) for number in numbers]
    yield Row("shipment.hand_over", hand_overs)
    world.do(*hand_overs)
    first, second = (46_000_000, 7_000_000), (48_000_000, 8_000_000)
    box = [{"latitude": north, "longitude": east} for north, east in (first, second)]
    world.do(
        *(call("maker", "set_geofence", number=n, corners=box, alarm="ENTER") for n in numbers)
    )
    report = {"time": world.time_ms, "latitude": 47_500_000, "longitude": 7_600_000}
    yield Row(
        "shipment.position, in a geofence",
        [call("carrier", "position", number=number, reports=[report]) for number in numbers],
    )
    at = {"place": "CHBSL", "time": now}
    events = [call("carrier", "equipment_event", number=n, code="LOAD", **at) for n in numbers]
    yield Row("shipment.equipment_event", events)
    world.do(*events)
    yield Row(
        "shipment.transport_event",
        [call("carrier", "transport_event", number=n, code="DEPA", **at) for n in numbers],
    )


PARTS_OF_THE_MIX: Final[tuple[Callable[[World], Iterator[Row | TimedRow]], ...]] = (
    making,
    moving,
    documents,
    inspections,
    sales,
    recalls,
    carriage,
)


def measure(
    tries: int = TRIES,
    world: World | None = None,
    parts: Sequence[Callable[[World], Iterator[Row | TimedRow]]] = PARTS_OF_THE_MIX,
) -> dict[str, Any]:
    """A row for each call, and which of them are dear. See docs/benchmarks.md."""
    world, rows = world or World(), []
    try:
        for part in parts:
            for row in part(world):
                # As in the node, where the collector is spared what was there before.
                gc.collect()
                gc.freeze()
                rows.append(
                    world.cost(row, tries)
                    if isinstance(row, Row)
                    else world.cost_by_itself(row, tries)
                )
    finally:
        gc.unfreeze()
    return {"calls": rows, "dear": dear(rows)}


def dear(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Calls that take more than twice the time that their steps promise."""
    return [row["call"] for row in rows if row["steps_per_us"] * DEAR < STEPS_PER_US]


def cells(found: Mapping[str, Any]) -> list[list[str]]:
    """The table's cells, the titles first."""
    table = [["call", "steps", "us", "steps/us", "transaction B", "receipt B"]]
    for row in found["calls"]:
        size = f"{row['tx_bytes']:,}" if row["tx_bytes"] else "-"
        table.append(
            [
                row["call"],
                f"{row['steps']:,}",
                f"{row['us']:,.0f}",
                f"{row['steps_per_us']:.0f}",
                size,
                f"{row['receipt_bytes']:,}",
            ]
        )
    return table


def verdict(found: Mapping[str, Any]) -> str:
    """Which calls cost more time than their steps promise, in words."""
    names = "; ".join(found["dear"]) or "none"
    return f"More than twice the time that their steps promise ({STEPS_PER_US} steps/us): {names}."


def main() -> None:
    from scripts.bench import markdown

    parser = argparse.ArgumentParser(prog="python -m scripts.bench_supply", description=__doc__)
    parser.add_argument("--tries", type=int, default=TRIES)
    found = measure(parser.parse_args().tries)
    print(f"{markdown(cells(found))}\n\n{verdict(found)}")


if __name__ == "__main__":
    main()
