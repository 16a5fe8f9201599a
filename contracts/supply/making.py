"""Making things: commissioned, transformed, split and merged.

A transformation gives no more than its declared yield allows, and what is missing is its loss.
Splits and merges only give other numbers to what there is: nothing comes and nothing goes.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import Item, LotNumber, Quantity, Size, call, lot_path, refuse
from contracts.supply.stock import Stockkeeping, totals
from contracts.supply.things import (
    CONSUMED,
    HOLDERS,
    MEASURES,
    OUTPUTS_MAX,
    RELOTTED,
    YIELDS_MAX,
    DateText,
    EventInfo,
    Lot,
    Part,
    Some,
    Thing,
    Things,
    Yield,
    is_lot,
    is_sscc,
    with_amount,
)


class Making(Stockkeeping):
    """How things come into being."""

    @call(roles=HOLDERS)
    def commission(
        self,
        items: Things,
        expiry: DateText = "",
        lot: LotNumber | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Bring lots, serials and empty logistic units into being, at the caller's and its own.

        ``expiry`` is YYYY-MM-DD, or YYMMDD as in AI (17). ``lot`` is the lot of the serials.
        More of a lot may be commissioned by its maker, with the same expiry and unit.
        """
        self._take_event(event)
        me = self.ctx.organisation
        expires = self._expiry(expiry)
        lots: dict[str, str] = {}  # of the serials, by GTIN
        for thing in items:
            if is_sscc(thing.item):
                self._make_unit(thing.item, me, 0, [])
                continue
            self.require("manufacturer")
            if is_lot(thing.item):
                self._make_lot(thing, expires, [])
                continue
            gtin = thing.item[3:17]
            if gtin not in lots:
                lots[gtin] = self._lot_of_serials(gtin, lot, expires)
            self._make_unit(thing.item, me, expires, [], lots[gtin])
        detail = {"expiry": expires}
        self._record("Commissioned", items, event, detail)
        self._enter_serials("Commissioned", lot, items, event, detail)

    @call(roles=("manufacturer",))
    def transform(
        self,
        inputs: Some,
        outputs: Some,
        expiry: DateText = "",
        lot: LotNumber | None = None,
        yields: Annotated[list[Yield], Size(YIELDS_MAX)] | None = None,
        losses: Annotated[list[Quantity], Size(YIELDS_MAX)] | None = None,
        event: EventInfo | None = None,
    ) -> dict[str, Any]:
        """Use up things and make others of them; ``expiry`` and ``lot`` are the outputs'.

        ``yields`` says for each unit of measure of the outputs how much of it so much of an input
        gives at most. Without, inputs and outputs are of one unit, and no more comes out than went
        in. What the yield allows and did not come out is the loss, which the answer says for each
        unit of the outputs; ``losses``, if they are stated, must be just that.
        """
        self._take_event(event)
        expires = self._expiry(expiry)
        parents = [thing.item for thing in inputs]
        self._check_not_suspect(parents, self.ctx.organisation)
        for thing in inputs + outputs:
            if is_sscc(thing.item):
                refuse("NOT_TRADE_ITEM", f"{thing.item} is a logistic unit")
        lost = self._losses(inputs, outputs, yields or [], losses)
        for thing in inputs:
            if is_lot(thing.item):
                self._use_up_lot(thing, self._usable_lot(thing.item), CONSUMED)
            else:
                self._use_up_unit(thing.item, self._usable_unit(thing.item), CONSUMED)
        for thing in outputs:
            if is_lot(thing.item):
                if thing.item in self.lots:
                    refuse("ITEM_KNOWN", f"{thing.item} exists already")
                self._make_lot(thing, expires, parents)
                continue
            of = self._lot_of_serials(thing.item[3:17], lot, expires)
            self._make_unit(thing.item, self.ctx.organisation, expires, parents, of)
        made = [thing.item for thing in outputs]
        self._record("Consumed", inputs, event, {"outputs": made, "losses": lost})
        detail = {"inputs": parents}
        for thing in outputs:
            self._enter("Transformed", thing.item, event, with_amount(detail, thing))
        self._enter_serials("Transformed", lot, outputs, event, detail)
        return {"losses": lost}

    @call(roles=HOLDERS)
    def split(
        self,
        item: Item,
        parts: Annotated[list[Part], Size(OUTPUTS_MAX, 1)],
        event: EventInfo | None = None,
    ) -> None:
        """Make new lots of the same trade item from an amount of a lot. Maker and expiry stay."""
        self._take_event(event)
        lot = self._usable_lot(item)
        whole = Thing(item, Quantity(sum([part.amount for part in parts]), lot.unit))
        self._use_up_lot(whole, lot, RELOTTED)
        made = []
        for part in parts:
            child = Thing(lot_path(item[3:17], part.lot), Quantity(part.amount, lot.unit))
            self._relot(child.item, part.amount, lot, lot.expiry, [item])
            made.append(child)
        names = [thing.item for thing in made]
        self._record("Split", [whole], event, {"outputs": names})
        for thing in made:
            self._enter("SplitOff", thing.item, event, with_amount({"inputs": [item]}, thing))

    @call(roles=HOLDERS)
    def merge(
        self, items: Some, lot: LotNumber, expiry: DateText = "", event: EventInfo | None = None
    ) -> str:
        """Make one new lot of amounts of several lots of one trade item, and say its path.

        It expires with the first of them, or earlier where ``expiry`` says so. They have one maker,
        who stays the maker. A hold on any of them stands on the new lot.
        """
        self._take_event(event)
        first = self._usable_lot(items[0].item)
        path = lot_path(items[0].item[3:17], lot)
        earliest, total = first.expiry, 0
        for thing in items:
            if thing.item[:17] != path[:17] or not is_lot(thing.item):
                refuse("NOT_ONE_TRADE_ITEM", f"{thing.item} is no lot of {path[3:17]}")
            source = self._usable_lot(thing.item)
            if (source.maker, source.unit) != (first.maker, first.unit):
                refuse("LOT_DIFFERS", f"{thing.item} has another maker or unit")
            if source.expiry and (not earliest or source.expiry < earliest):
                earliest = source.expiry
            total += self._amount(thing, source)
            self._use_up_lot(thing, source, RELOTTED)
        stated = self._expiry(expiry)
        if stated and earliest and stated > earliest:
            refuse("EXPIRY_TOO_LATE", f"one of the lots expires on {earliest}")
        parents = [thing.item for thing in items]
        self._relot(path, total, first, stated or earliest, parents)
        self._record("Merged", items, event, {"outputs": [path]})
        whole = Thing(path, Quantity(total, first.unit))
        self._enter("MergedInto", path, event, with_amount({"inputs": parents}, whole))
        return path

    def _relot(self, item: str, amount: int, like: Lot, expiry: int, parents: list[str]) -> None:
        """A new lot of what the caller has and owns, with the maker and unit of another."""
        if item in self.lots:
            refuse("ITEM_KNOWN", f"{item} exists already")
        self._check_not_held(item, [])
        made = Lot(like.maker, like.unit, expiry, amount, 0, parents, like.opened)
        self.lots.put(item, made)
        self._descends(item, parents)
        self._add(item, self.ctx.organisation, amount)

    def _losses(
        self,
        inputs: list[Thing],
        outputs: list[Thing],
        yields: list[Yield],
        stated: list[Quantity] | None,
    ) -> list[dict[str, Any]]:
        """What the yields allow and did not come out, by unit of measure."""
        went_in, came_out = totals(inputs), totals(outputs)
        if not yields:
            units = list(went_in)
            if len(units) != 1 or list(came_out) != units:
                refuse("YIELD_REQUIRED", "several units: declare how much of each output they give")
            yields = [Yield(Quantity(1, units[0]), Quantity(1, units[0]))]
        lost: dict[str, int] = {}
        for given in yields:
            self._check_yield(given, inputs, outputs)
            unit = given.output.unit
            if given.input.unit not in went_in or unit not in came_out:
                refuse("BAD_YIELD", f"no input in {given.input.unit}, or no output in {unit} left")
            most = went_in[given.input.unit] * given.output.amount // given.input.amount
            lost[unit] = most - came_out.pop(unit)
            if lost[unit] < 0:
                refuse("NOT_CONSERVED", f"{-lost[unit]} {unit} more than the yield allows")
        for unit in came_out:
            refuse("YIELD_REQUIRED", f"no yield is declared of what comes out in {unit}")
        if stated is not None:
            said: dict[str, int] = {}
            for loss in stated:
                said[loss.unit] = said.get(loss.unit, 0) + loss.amount
            for unit, amount in lost.items():
                if said.pop(unit, 0) != amount:
                    refuse("LOSS_DIFFERS", f"the loss is {amount} {unit}")
            if said:
                refuse("LOSS_DIFFERS", "a loss in a unit that nothing comes out in")
        return [{"amount": amount, "unit": unit} for unit, amount in lost.items()]

    def _check_yield(self, given: Yield, inputs: list[Thing], outputs: list[Thing]) -> None:
        """No process makes more weight or volume than went in, nor more pieces of one product."""
        came, went = measure_of(given.output), measure_of(given.input)
        if came[0] and came[0] == went[0]:
            if came[1] > went[1]:
                refuse("BAD_YIELD", f"more {given.output.unit} come out than went in")
            return
        if given.input.unit != given.output.unit or given.output.amount <= given.input.amount:
            return
        products = [thing.item[:17] for thing in inputs + outputs]
        if given.output.unit != "EA" or products.count(products[0]) == len(products):
            refuse("BAD_YIELD", f"more {given.output.unit} come out than went in")


def measure_of(quantity: Quantity) -> tuple[str, int]:
    """What a quantity measures, nothing where its unit isn't known, and how much of the least."""
    for unit, measures, size in MEASURES:
        if quantity.unit == unit:
            return (measures, quantity.amount * size)
    return ("", 0)
