"""Random histories of three companies: what must hold after every call, accepted or refused."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consensus.primitives.keys import decode_key
from contracts.runtime.registry import builtin_registry
from contracts.sdk.records import Record, plan_of
from contracts.supply.stock import Content, Lot, Stock, Transit, Unit
from tests.contracts.ledger import MAKER, PHARMACY, REGULATOR, WHOLESALER, Ledger, consortium
from tests.contracts.test_batch import GTIN, some, sscc

ORGANISATIONS = st.sampled_from((MAKER, WHOLESALER, PHARMACY))
LOTS = st.sampled_from([f"01/{GTIN}/10/L{number}" for number in range(4)])
UNITS = st.sampled_from([sscc(1), sscc(2), f"01/{GTIN}/21/S1", f"01/{GTIN}/21/S2"])
AMOUNTS = st.integers(1, 60)
ENDED = ("DISPENSED", "DECOMMISSIONED", "DESTROYED", "CONSUMED")


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(builtin_registry(), consortium())

    def send(self, organisation: str, method: str, **args: Any) -> None:
        before = self.ledger.without_counters()
        receipt = self.ledger.send(organisation, method, **args)
        assert receipt.code != "CONTRACT_FAULT"
        if receipt.code != "OK":
            assert self.ledger.without_counters() == before
        elif method in ("ship", "dispense", "split", "transform"):
            for thing in args.get("items", args.get("inputs", [some(args.get("item", ""))])):
                if thing["item"][0:2] == "01":
                    assert self.ledger.query("item", item=thing["item"])["hold"] is None

    @rule(lot=LOTS, amount=AMOUNTS)
    def commission_lot(self, lot: str, amount: int) -> None:
        self.send(MAKER, "commission", items=[some(lot, amount)])

    @rule(unit=UNITS)
    def commission_unit(self, unit: str) -> None:
        self.send(MAKER, "commission", items=[some(unit)], lot="L0")

    @rule(who=ORGANISATIONS, parent=UNITS, lot=LOTS, amount=AMOUNTS)
    def pack_lot(self, who: str, parent: str, lot: str, amount: int) -> None:
        self.send(who, "pack", parent=parent, items=[some(lot, amount)])

    @rule(who=ORGANISATIONS, parent=UNITS, child=UNITS)
    def pack_unit(self, who: str, parent: str, child: str) -> None:
        self.send(who, "pack", parent=parent, items=[some(child)])

    @rule(who=ORGANISATIONS, parent=UNITS)
    def unpack(self, who: str, parent: str) -> None:
        self.send(who, "unpack", parent=parent)

    @rule(who=ORGANISATIONS, to=ORGANISATIONS, lot=LOTS, amount=AMOUNTS)
    def ship_lot(self, who: str, to: str, lot: str, amount: int) -> None:
        self.send(who, "ship", items=[some(lot, amount)], consignee=to)

    @rule(who=ORGANISATIONS, to=ORGANISATIONS, unit=UNITS)
    def ship_unit(self, who: str, to: str, unit: str) -> None:
        self.send(who, "ship", items=[some(unit)], consignee=to)

    @rule(who=ORGANISATIONS, lot=LOTS, amount=AMOUNTS)
    def receive_lot(self, who: str, lot: str, amount: int) -> None:
        self.send(who, "receive", items=[some(lot, amount)])

    @rule(who=ORGANISATIONS, unit=UNITS)
    def receive_unit(self, who: str, unit: str) -> None:
        self.send(who, "receive", items=[some(unit)])

    @rule(who=ORGANISATIONS, lot=LOTS, child=st.integers(1, 3), amount=AMOUNTS)
    def split(self, who: str, lot: str, child: int, amount: int) -> None:
        self.send(who, "split", item=lot, parts=[{"lot": f"L{child}", "amount": amount}])

    @rule(one=LOTS, other=LOTS, amount=AMOUNTS, loss=st.integers(-1, 3))
    def merge(self, one: str, other: str, amount: int, loss: int) -> None:
        outputs = [some(f"01/{GTIN}/10/L3", max(1, 2 * amount - loss))]
        inputs = [some(one, amount), some(other, amount)]
        self.send(MAKER, "transform", inputs=inputs, outputs=outputs)

    @rule(who=ORGANISATIONS, lot=LOTS, amount=AMOUNTS, method=st.sampled_from(
        ("dispense", "decommission", "quarantine", "release")
    ))  # fmt: skip
    def act_on_lot(self, who: str, lot: str, amount: int, method: str) -> None:
        self.send(who, method, items=[some(lot, amount)])

    @rule(who=ORGANISATIONS, unit=UNITS, method=st.sampled_from(
        ("dispense", "decommission", "quarantine", "release")
    ))  # fmt: skip
    def act_on_unit(self, who: str, unit: str, method: str) -> None:
        self.send(who, method, items=[some(unit)])

    @rule(item=LOTS | UNITS)
    def recall(self, item: str) -> None:
        self.send(MAKER, "recall", items=[some(item)])

    @rule(item=LOTS | UNITS)
    def terminate(self, item: str) -> None:
        self.send(REGULATOR, "terminate_recall", items=[some(item)])

    def records(self, name: str, record: type[Record]) -> list[tuple[tuple[Any, ...], Any]]:
        import msgpack

        found = []
        for raw, value in self.ledger.state.values.items():
            contract, map_name, parts = decode_key(raw)
            if (contract, map_name) == ("batch", name):
                found.append((parts, plan_of(record).load(msgpack.unpackb(value))))
        return found

    @invariant()
    def quantity_is_conserved(self) -> None:
        """made = stock + transit + contents + gone, for every lot."""
        where: dict[Any, int] = {}
        for parts, stock in self.records("stock", Stock):
            assert stock.free >= 0 and stock.quarantined >= 0
            where[parts[0]] = where.get(parts[0], 0) + stock.free + stock.quarantined
        for parts, transit in self.records("transit", Transit):
            assert transit.amount > 0
            where[parts[0]] = where.get(parts[0], 0) + transit.amount
        for parts, content in self.records("contents", Content):
            assert content.amount > 0
            where[parts[1]] = where.get(parts[1], 0) + content.amount
        for parts, lot in self.records("lots", Lot):
            assert lot.made == where.get(parts[0], 0) + lot.gone

    @invariant()
    def a_unit_is_in_its_one_parent_without_cycles(self) -> None:
        units = {parts[0]: unit for parts, unit in self.records("units", Unit)}
        contents = self.records("contents", Content)
        for item, unit in units.items():
            holding = [parts[0] for parts, _ in contents if parts[1] == item]
            assert len(holding) == (1 if unit.parent else 0)
            assert (unit.state == "PACKED") == bool(unit.parent)
            assert (unit.state == "IN_TRANSIT") == bool(unit.consignee)
            for _ in range(len(units)):
                if not holding:
                    break
                holding = [parts[0] for parts, _ in contents if parts[1] == holding[0]]
            assert not holding
            assert unit.contents == sum(parts[0] == item for parts, _ in contents)
            assert unit.state not in ENDED or unit.contents == 0


_STEPS = {"nightly": 10_000, "ci": 60}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 40)
TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=3 if _STEPS == 10_000 else 20, stateful_step_count=_STEPS, deadline=None
)
