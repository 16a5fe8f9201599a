"""Random histories of shippers, carriers and consignees: what holds after every call."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import msgpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from consensus.primitives.keys import decode_key
from contracts.logistics.shipment_records import (
    Equipment,
    Milestone,
    Position,
    Shipment,
    TransportException,
)
from contracts.sdk.records import Record, plan_of
from contracts.sdk.testkit import Refused
from tests.contracts.shipments import (
    CONTAINER,
    DESTINATION,
    LOT,
    ORIGIN,
    OTHER_CONTAINER,
    PORT,
    TRANSFER,
    VESSEL,
    leg,
    small_world,
    some,
    stock_lot,
)

WHO = st.sampled_from(("maker", "carrier", "pharmacy", "rival", "regulator"))
MOVERS = st.sampled_from(("carrier", "carrier", "carrier", "rival", "maker"))
NUMBERS = st.integers(1, 3)
CONTAINERS = st.sampled_from((CONTAINER, OTHER_CONTAINER, ""))
PLACES = st.sampled_from((ORIGIN, PORT, TRANSFER, DESTINATION))
CLASSIFIERS = st.sampled_from(("ACT", "ACT", "ACT", "EST", "PLN"))
EVENTS = st.none() | st.integers(1, 20).map(lambda number: number.to_bytes(16, "big"))

# state -> states that it may go to
WAYS = {
    "": {"REQUESTED"},
    "REQUESTED": {"BOOKED", "DECLINED", "CANCELLED"},
    "BOOKED": {"LOADED", "CANCELLED"},
    "LOADED": {"IN_TRANSIT"},
    "IN_TRANSIT": {"ARRIVED"},
    "ARRIVED": {"DELIVERED"},
    "DELIVERED": set[str](),
    "DECLINED": set[str](),
    "CANCELLED": set[str](),
}
# method -> the field of the shipment that names who alone may call it
PARTIES = {
    "confirm_booking": "carrier", "decline_booking": "carrier", "replan": "carrier",
    "equip": "carrier", "withdraw": "carrier", "equipment_event": "carrier",
    "transport_event": "carrier", "shipment_event": "carrier", "position": "carrier",
    "cancel_booking": "shipper", "hand_over": "shipper", "confirm_delivery": "consignee",
}  # fmt: skip


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.kit = small_world()
        stock_lot(self.kit)
        self.states: dict[int, str] = {}
        self.delivered_by: dict[int, str] = {}

    def send(self, who: str, method: str, contract: str = "shipment", **args: Any) -> None:
        kit = self.kit
        root = kit.root
        shipments = self.shipments()
        try:
            kit.as_(who).call(contract, method, **args)
        except Refused as error:
            assert error.code != "CONTRACT_FAULT"
            assert kit.root == root, "a refused call changed something"
            return
        party = PARTIES.get(method)
        if party is not None:
            assert getattr(shipments[args["number"]], party) == kit.id(who)
        if method == "confirm_delivery":
            assert self.states[args["number"]] == "ARRIVED"
            self.delivered_by[args["number"]] = kit.id(who)

    def records(self, name: str, record: type[Record]) -> list[tuple[tuple[Any, ...], Any]]:
        found = []
        for raw, value in self.kit._state.values.items():
            contract, map_name, parts = decode_key(raw)
            if (contract, map_name) == ("shipment", name):
                found.append((parts, plan_of(record).load(msgpack.unpackb(value))))
        return found

    def shipments(self) -> dict[int, Any]:
        return {parts[0]: shipment for parts, shipment in self.records("shipments", Shipment)}

    # --- what may happen ------------------------------------------------------------------------

    @initialize(
        amount=st.sampled_from((0, 30, 60)),
        days=st.integers(1, 9),
        equips=st.booleans(),
        hands_over=st.booleans(),
        steps=st.integers(0, 8),
    )
    def begin(self, amount: int, days: int, equips: bool, hands_over: bool, steps: int) -> None:
        """A shipment somewhere on its way: random calls alone seldom get one far."""
        self.book("maker", "carrier", days, amount)
        if steps:
            self.move_on(1)
        if equips:
            self.equip("carrier", 1, [CONTAINER])
        if hands_over:
            self.hand_over("maker", 1)
        for _ in range(1, steps):
            self.move_on(1)

    @rule(who=WHO, carrier=st.sampled_from(("carrier", "rival")), days=st.integers(1, 9),
          amount=st.sampled_from((0, 0, 30, 60)))  # fmt: skip
    def book(self, who: str, carrier: str, days: int, amount: int) -> None:
        kit = self.kit
        self.send(
            who, "book", carrier=kit.id(carrier), consignee=kit.id("pharmacy"), origin=ORIGIN,
            destination=DESTINATION, wanted_arrival=kit.time_ms + days * 86_400_000,
            goods=[some(LOT, amount)] if amount else [],
        )  # fmt: skip

    def legs(self, way: list[str]) -> list[dict[str, Any]]:
        now = self.kit.time_ms
        return [
            leg(start, end, now + step * 1_000, now + step * 1_000 + 500, mode="VESSEL",
                vessel=VESSEL)
            for step, (start, end) in enumerate(pairwise(way))
        ]  # fmt: skip

    @rule(who=MOVERS, number=NUMBERS, stop=st.sampled_from((PORT, TRANSFER, None)),
          method=st.sampled_from(("confirm_booking", "replan")),
          days=st.none() | st.integers(-1, 5))  # fmt: skip
    def plan(self, who: str, number: int, stop: str | None, method: str, days: int | None) -> None:
        way = [ORIGIN, *([stop] if stop else []), DESTINATION]
        if method == "replan" and (shipment := self.shipments().get(number)) is not None:
            way = way[shipment.legs_departed :]
        promised = None if days is None else self.kit.time_ms + days * 86_400_000
        legs = self.legs(way)
        self.send(who, method, number=number, legs=legs, promised_arrival=promised)

    @rule(who=MOVERS, number=NUMBERS, containers=st.lists(CONTAINERS, min_size=1, max_size=2))
    def equip(self, who: str, number: int, containers: list[str]) -> None:
        given = [{"number": one, "type": "22GP"} for one in containers]
        self.send(who, "equip", number=number, containers=given)

    @rule(who=MOVERS, number=NUMBERS, container=CONTAINERS)
    def withdraw(self, who: str, number: int, container: str) -> None:
        self.send(who, "withdraw", number=number, container=container)

    @rule(who=WHO, number=NUMBERS)
    def hand_over(self, who: str, number: int) -> None:
        self.send(who, "hand_over", number=number)

    @rule(who=WHO, number=NUMBERS, method=st.sampled_from(("cancel_booking", "decline_booking")))
    def end(self, who: str, number: int, method: str) -> None:
        more = {"reason": "DATES"} if method == "decline_booking" else {}
        self.send(who, method, number=number, **more)

    @rule(who=MOVERS, number=NUMBERS, code=st.sampled_from(("LOAD", "LOAD", "DISC", "GTIN")),
          container=CONTAINERS, classifier=CLASSIFIERS, ago_s=st.integers(-900, 900),
          event=EVENTS)  # fmt: skip
    def equipment(self, who: str, number: int, code: str, container: str, classifier: str,
                  ago_s: int, event: bytes | None) -> None:  # fmt: skip
        time = self.kit.time_ms - ago_s * 1_000
        self.send(
            who, "equipment_event", number=number, code=code, container=container, place=ORIGIN,
            time=time, classifier=classifier, event=event,
        )  # fmt: skip

    @rule(who=MOVERS, number=NUMBERS, code=st.sampled_from(("DEPA", "ARRI")), place=PLACES,
          classifier=CLASSIFIERS, event=EVENTS)  # fmt: skip
    def transport(self, who: str, number: int, code: str, place: str, classifier: str,
                  event: bytes | None) -> None:  # fmt: skip
        self.send(
            who, "transport_event", number=number, code=code, place=place, time=self.kit.time_ms,
            classifier=classifier, event=event,
        )  # fmt: skip

    @rule(number=NUMBERS)
    def move_on(self, number: int) -> None:
        """The carrier does what is next."""
        shipment = self.shipments().get(number)
        if shipment is None:
            return
        who = "carrier" if shipment.carrier == self.kit.id("carrier") else "rival"
        if shipment.state == "REQUESTED":
            self.plan(who, number, PORT, "confirm_booking", None)
        elif shipment.state == "BOOKED":
            for container in (CONTAINER, OTHER_CONTAINER, ""):
                self.equipment(who, number, "LOAD", container, "ACT", 0, None)
        elif shipment.state in ("LOADED", "IN_TRANSIT"):
            code = "DEPA" if shipment.legs_departed == shipment.legs_arrived else "ARRI"
            for place in (ORIGIN, PORT, TRANSFER, DESTINATION):
                self.transport(who, number, code, place, "ACT", None)

    @rule(who=st.sampled_from(("pharmacy", "pharmacy", "maker", "carrier")), number=NUMBERS,
          condition=st.sampled_from(("CLEAN", "SHORT")),
          received=st.none() | st.integers(1, 60))  # fmt: skip
    def deliver(self, who: str, number: int, condition: str, received: int | None) -> None:
        part = None if received is None else [some(LOT, received)]
        self.send(who, "confirm_delivery", number=number, condition=condition, received=part)

    @rule(number=NUMBERS, ago=st.integers(-1, 20), container=CONTAINERS,
          where=st.sampled_from((-9, 0, 9)))  # fmt: skip
    def position(self, number: int, ago: int, container: str, where: int) -> None:
        time = self.kit.time_ms - ago * 1_000
        given = {"time": time, "latitude": where, "longitude": where, "container": container}
        self.send("carrier", "position", number=number, reports=[given])

    @rule(who=WHO, number=NUMBERS)
    def fence(self, who: str, number: int) -> None:
        corners = [{"latitude": -1, "longitude": -1}, {"latitude": 1, "longitude": 1}]
        self.send(who, "set_geofence", number=number, corners=corners, alarm="BOTH")

    @rule(who=WHO, number=NUMBERS, exception=st.none() | st.integers(1, 3))
    def exception(self, who: str, number: int, exception: int | None) -> None:
        if exception is None:
            now = self.kit.time_ms
            self.send(who, "report_exception", number=number, kind="DAMAGE", time=now)
        else:
            self.send(who, "resolve_exception", number=number, exception=exception)

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.kit.advance(hours=hours)
        assert all(receipt.code == "OK" for receipt in self.kit.due_receipts)

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def states_follow_each_other(self) -> None:
        for number, shipment in self.shipments().items():
            before = self.states.get(number, "")
            steps = {before} | WAYS[before]
            # The carrier does several steps in one rule; each is one of the ways.
            while shipment.state not in steps:
                more = steps.union(*(WAYS[one] for one in steps))
                assert more != steps, f"{before} became {shipment.state}"
                steps = more
            self.states[number] = shipment.state

    @invariant()
    def there_is_one_custodian_and_goods_are_where_it_says(self) -> None:
        kit = self.kit
        on_the_way = 0
        for number, shipment in self.shipments().items():
            custody = kit.query("shipment", "shipment", number=number)["custody"]
            expected = {"LOADED": "carrier", "IN_TRANSIT": "carrier", "ARRIVED": "carrier",
                        "DELIVERED": "consignee"}.get(shipment.state, "shipper")  # fmt: skip
            assert custody == getattr(shipment, expected)
            if shipment.handed_over:
                assert shipment.state != "CANCELLED"
                if shipment.state != "DELIVERED":
                    goods = kit.query("shipment", "shipment", number=number)["goods"]
                    on_the_way += sum(one["quantity"]["amount"] for one in goods)
            assert (shipment.state == "DELIVERED") == (number in self.delivered_by)
        found = kit.query("batch", "item", item=LOT)
        in_transit = sum(one["amount"] for one in found["transit"])
        held = sum(one["free"] + one["quarantined"] for one in found["stock"])
        assert in_transit >= on_the_way  # what a short delivery left is still on its way
        assert held + in_transit == 100

    @invariant()
    def counts_are_those_of_the_records(self) -> None:
        boxes = self.records("equipment", Equipment)
        milestones = self.records("milestones", Milestone)
        exceptions = self.records("exceptions", TransportException)
        for number, shipment in self.shipments().items():
            mine = [box for parts, box in boxes if parts[0] == number]
            assert shipment.containers == len(mine)
            assert shipment.containers_loaded == sum(box.loaded for box in mine)
            assert all(box.loaded for box in mine if box.aboard)
            if shipment.state in ("LOADED", "IN_TRANSIT", "ARRIVED", "DELIVERED"):
                assert shipment.containers_loaded == shipment.containers
            assert shipment.milestones == sum(parts[0] == number for parts, _ in milestones)
            open_ = [one for parts, one in exceptions if parts[0] == number and not one.resolved_at]
            assert shipment.exceptions_open == len(open_)
            assert 0 <= shipment.legs_arrived <= shipment.legs_departed <= shipment.legs
            assert shipment.legs_departed - shipment.legs_arrived <= 1
            if shipment.state not in ("BOOKED", "LOADED", "IN_TRANSIT"):
                assert not shipment.deadline
            elif not shipment.late:
                assert shipment.deadline

    @invariant()
    def positions_are_one_chain_from_the_newest_back(self) -> None:
        chains: dict[tuple[int, str], list[int]] = {}
        for parts, _ in self.records("positions_at", Position):
            chains.setdefault((parts[0], parts[1]), []).append(parts[2])
        for (number, container), times in chains.items():
            shown = self.kit.query("shipment", "positions", number=number, container=container)
            assert [one["time"] for one in shown] == sorted(times, reverse=True)[:100]


# Examples and their steps. One example of 10,000 steps would end early, since hypothesis bounds an
# example's choices: 150 of 100 are some 14,000 calls.
_EXAMPLES, _STEPS = {"nightly": (150, 100), "ci": (20, 60)}.get(
    os.environ.get("HYPOTHESIS_PROFILE", ""), (20, 40)
)
TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=_EXAMPLES, stateful_step_count=_STEPS, deadline=None)
