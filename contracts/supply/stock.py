"""Stock: whose things are where, and how that changes.

The **holder** has a thing, and packs, stores and ships it; the **owner** uses it up. An amount of a
lot stands under both. A unit's contents have its holder and its owner.
"""

from __future__ import annotations

from typing import Final

from contracts.sdk import Quantity, lot_path, refuse, sha256
from contracts.supply.things import (
    CONSUMED,
    DECOMMISSIONED,
    DESTROYED,
    DISPENSED,
    EXPIRED,
    FREE,
    QUARANTINED,
    RECEIVED,
    RELOTTED,
    WAYS_MAX,
    Content,
    Flow,
    Lot,
    Stock,
    Thing,
    Transit,
    Unit,
    Use,
    is_serial,
    is_sscc,
)
from contracts.supply.trade_items import TradeItems

WAY_BYTES: Final = 12  # of the digest that keeps consignments of one lot to one consignee apart


class Stockkeeping(TradeItems):
    """What must hold of stock and units, and how they change."""

    # --- what must hold ---------------------------------------------------------------------

    def _own_unit(self, item: str, also: tuple[str, ...] = ()) -> Unit:
        """A unit that the caller has, unpacked, and free or in one of the other states."""
        unit = self._unit(item)
        self._check_holder(item, unit, also)
        return unit

    def _check_holder(self, item: str, unit: Unit, also: tuple[str, ...] = ()) -> None:
        self._check_lies_at(self.ctx.organisation, item, unit, also)

    def _check_lies_at(self, holder: str, item: str, unit: Unit, also: tuple[str, ...]) -> None:
        self._check_not_packed(item, unit)
        if unit.holder != holder:
            refuse("NOT_HOLDER", f"{item} is with {unit.holder}")
        if unit.state not in FREE and unit.state not in also:
            refuse("WRONG_STATE", f"{item} is {unit.state}")

    def _check_owner(self, item: str, unit: Unit, owner: str) -> None:
        if unit.owner != owner:
            refuse("NOT_OWNER", f"{item} is {unit.owner}'s")

    def _check_not_packed(self, item: str, unit: Unit) -> None:
        if unit.parent:
            refuse("PACKED_CHILD", f"{item} is in {unit.parent} and moves only with it")

    # --- making -----------------------------------------------------------------------------

    def _make_lot(self, thing: Thing, expiry: int, parents: list[str]) -> None:
        """A new lot at the caller's, or more of one."""
        if thing.quantity is None:
            refuse("QUANTITY_REQUIRED", f"{thing.item} is a lot: say how much of it")
        me, amount, unit = self.ctx.organisation, thing.quantity.amount, thing.quantity.unit
        self._check_commissionable(thing.item[3:17], unit, expiry)
        lot = self.lots.get(thing.item)
        self._check_not_held(thing.item, lot.made_of if lot else [])
        if lot is None:
            lot = Lot(me, unit, expiry, 0, 0, parents)
            if parents:
                self._descends(thing.item, parents)
        elif lot.opened and not lot.maker and (lot.unit == unit or not lot.made):
            # The maker speaks after others have shipped it, or have only named it.
            lot.maker, lot.expiry, lot.unit = me, expiry, unit
        elif lot.maker != me or lot.parents:
            refuse("ITEM_KNOWN", f"{thing.item} exists already")
        elif (lot.unit, lot.expiry) != (unit, expiry):
            refuse("LOT_DIFFERS", f"{thing.item} has unit {lot.unit} and expiry {lot.expiry}")
        lot.made += amount
        self.lots.put(thing.item, lot)
        self._add(thing.item, me, amount)

    def _lot_of_serials(self, gtin: str, lot: str | None, expiry: int) -> str:
        """The path of the lot that the caller's new serials are of, empty where none is named.

        It comes into being with them, without an amount of its own.
        """
        self._check_commissionable(gtin, "", expiry)
        if not lot:
            return ""
        me, path = self.ctx.organisation, lot_path(gtin, lot)
        known = self.lots.get(path)
        self._check_not_held(path, known.made_of if known else [])
        if known is None:
            self.lots.put(path, Lot(me, "EA", expiry, 0, 0, []))
        elif known.opened and not known.maker:
            known.maker, known.expiry = me, expiry
            self.lots.put(path, known)
        elif known.maker != me or known.expiry != expiry:
            refuse("LOT_DIFFERS", f"{path} is {known.maker}'s and expires {known.expiry}")
        return path

    def _make_unit(
        self, item: str, owner: str, expiry: int, parents: list[str], lot: str = ""
    ) -> None:
        """A new serial or logistic unit at the caller's; ``lot`` is the path of a serial's lot."""
        me = self.ctx.organisation
        known = self.units.get(item)
        if known is not None:
            if not known.opened or known.maker or parents or not item.startswith("01/"):
                refuse("ITEM_KNOWN", f"{item} exists already")
            # The maker speaks after others have shipped it, or have only named it.
            known.maker, known.lot, known.expiry = me, lot, expiry
            self.units.put(item, known)
            if known.made_of:
                self._descends(item, known.made_of)
            return
        unit = Unit(me, me, owner, lot, expiry, parents)
        self.units.put(item, unit)
        if unit.made_of:
            self._descends(item, unit.made_of)

    # --- opening ----------------------------------------------------------------------------

    def _lot_or_opened(self, thing: Thing) -> Lot:
        """A lot; one that was never commissioned where the consortium opens such."""
        lot = self.lots.get(thing.item)
        if lot is not None:
            return lot
        if not self._opens_unknown():
            refuse("UNKNOWN_ITEM", f"{thing.item} was never commissioned")
        lot = Lot("", thing.quantity.unit if thing.quantity else "EA", 0, 0, 0, [], True)
        self.lots.put(thing.item, lot)
        self.emit("Opened", item=thing.item, organisation=self.ctx.organisation)
        return lot

    def _unit_or_opened(self, item: str, owner: str) -> Unit:
        """A serial or unit; so one that was never commissioned, at the caller's."""
        unit = self.units.get(item)
        if unit is not None:
            return unit
        if not self._opens_unknown():
            refuse("UNKNOWN_ITEM", f"{item} was never commissioned")
        unit = Unit("", self.ctx.organisation, owner, "", 0, [], RECEIVED, opened=True)
        self.units.put(item, unit)
        self.emit("Opened", item=item, organisation=self.ctx.organisation)
        return unit

    def _open_missing(self, item: str, lot: Lot, owner: str, missing: int, state: str) -> None:
        """More of a lot of unknown provenance than was seen before, where such is opened."""
        if missing > 0 and lot.opened and self._opens_unknown():
            lot.made += missing
            self.lots.put(item, lot)
            self._add(item, owner, missing, state)

    # --- stock ------------------------------------------------------------------------------

    def _stock_of(self, item: str, owner: str) -> Stock:
        """The owner's amount of a lot that the caller has."""
        return self._stock_at(item, self.ctx.organisation, owner)

    def _stock_at(self, item: str, holder: str, owner: str) -> Stock:
        return self.stock.get((item, holder, owner)) or Stock(holder, owner)

    def _put_stock(self, item: str, stock: Stock) -> None:
        if stock.free or stock.quarantined or stock.expired:
            self.stock.put((item, stock.holder, stock.owner), stock)
        else:
            self.stock.delete((item, stock.holder, stock.owner))

    def _add(self, item: str, owner: str, amount: int, state: str = RECEIVED) -> None:
        """Put an amount of a lot into the stock that the caller has, or set it apart there."""
        stock = self._stock_of(item, owner)
        if state == QUARANTINED:
            stock.quarantined += amount
        elif state == EXPIRED:
            stock.expired += amount
        else:
            stock.free += amount
        self._put_stock(item, stock)

    def _take(self, item: str, owner: str, amount: int, state: str = RECEIVED) -> None:
        """Take an amount of a lot out of the stock that the caller has, or of what is apart."""
        stock = self._stock_of(item, owner)
        if state == QUARANTINED:
            there = stock.quarantined
            stock.quarantined -= amount
        elif state == EXPIRED:
            there = stock.expired
            stock.expired -= amount
        else:
            there = stock.free
            stock.free -= amount
        if there < amount:
            refuse("TOO_LITTLE", f"{there} of {item} there, {amount} wanted")
        self._put_stock(item, stock)

    def _arrives(self, item: str, made_of: list[str], expiry: int) -> str:
        """The state of what comes in or is unpacked: free, or set apart."""
        if self._hold_on(item, made_of) is not None:
            return QUARANTINED
        return EXPIRED if self._is_expired(expiry) else RECEIVED

    # --- ending -----------------------------------------------------------------------------

    def _use_up_lot(self, thing: Thing, lot: Lot, state: str) -> None:
        """End an amount of a lot that the caller has and owns."""
        item, amount = thing.item, self._amount(thing, lot)
        self._take(item, self.ctx.organisation, amount)
        lot.gone += amount
        self.lots.put(item, lot)
        self._count_use(item, amount, state)

    def _use_up_apart(self, thing: Thing, lot: Lot, state: str, owner: str) -> None:
        """So, another ``owner``'s too, beginning with what is set apart: expired, then in
        quarantine, then free."""
        item, amount = thing.item, self._amount(thing, lot)
        stock = self._stock_of(item, owner)
        there = stock.expired + stock.quarantined + stock.free
        if there < amount:
            refuse("TOO_LITTLE", f"{there} of {item} there, {amount} wanted")
        expired = min(amount, stock.expired)
        quarantined = min(amount - expired, stock.quarantined)
        stock.expired -= expired
        stock.quarantined -= quarantined
        stock.free -= amount - expired - quarantined
        self._put_stock(item, stock)
        lot.gone += amount
        self.lots.put(item, lot)
        self._count_use(item, amount, state)

    def _use_up_unit(
        self, item: str, unit: Unit, state: str, also: tuple[str, ...] = (), owner: str = ""
    ) -> None:
        """End a serial or unit that the caller has, free or in one of the other states. It is the
        caller's own, unless another ``owner`` is named."""
        self._check_holder(item, unit, also)
        self._check_owner(item, unit, owner or self.ctx.organisation)
        if unit.contents:
            refuse("NOT_EMPTY", f"{item} still holds other things")
        unit.state = state
        self.units.put(item, unit)
        self._count_use(unit.lot or item, 1, state)

    # --- on the way -------------------------------------------------------------------------

    def _send(self, item: str, consignee: str, owner: str, buyer: str, amount: int) -> None:
        """Put an amount of a lot on its way to a consignee; ``buyer`` owns it on receipt."""
        me = self.ctx.organisation
        key = (item, consignee, sha256(f"{me} {owner} {buyer}")[:WAY_BYTES])
        way = self.transit.get(key) or Transit(me, consignee, owner, buyer, 0)
        way.amount += amount
        self.transit.put(key, way)

    def _off_the_way(
        self, item: str, consignee: str, amount: int, sender: str | None
    ) -> list[Transit]:
        """Take an amount of a lot off its way to a consignee, from one sender or from any.

        0 stands for all of it. What was taken off each way; together perhaps less than wanted.
        """
        found = []
        left = amount
        for way in list(self.transit.values((item, consignee), limit=WAYS_MAX)):
            if sender is not None and way.sender != sender:
                continue
            taken = min(left, way.amount) if amount else way.amount
            way.amount -= taken
            left -= taken
            key = (item, consignee, sha256(f"{way.sender} {way.owner} {way.buyer}")[:WAY_BYTES])
            if way.amount:
                self.transit.put(key, way)
            else:
                self.transit.delete(key)
            found.append(Transit(way.sender, consignee, way.owner, way.buyer, taken))
            if amount and not left:
                break
        return found

    # --- counting ---------------------------------------------------------------------------

    def _amounts_in(self, item: str, unit: Unit, inside: list[Content]) -> dict[str, int]:
        """What moves with a unit, by lot; serials of no known lot by themselves."""
        found: dict[str, int] = {}
        if is_serial(item):
            found[unit.lot or item] = 1
        for content in inside:
            name = content.item
            if is_serial(name):
                name = self._unit(name).lot or name
            if not is_sscc(name):
                found[name] = found.get(name, 0) + content.amount
        return found

    def _count_shipped(self, item: str, receiver: str, amount: int) -> None:
        """Count what the caller shipped; below zero, what it took back before it was received."""
        flow = self._flow(item, self.ctx.organisation, receiver)
        flow.shipped += amount
        self.flows.put((item, flow.sender, receiver), flow)

    def _count_received(self, item: str, sender: str, amount: int) -> None:
        flow = self._flow(item, sender, self.ctx.organisation)
        flow.received += amount
        self.flows.put((item, sender, flow.receiver), flow)
        if self._is_held(item):
            self._count_use(item, amount, QUARANTINED)

    def _flow(self, item: str, sender: str, receiver: str) -> Flow:
        flow = self.flows.get((item, sender, receiver))
        flow = flow or Flow(sender, receiver, first_day=self.ctx.today)
        flow.last_day = self.ctx.today
        return flow

    def _count_use(self, item: str, amount: int, state: str) -> None:
        """Count what the caller made an end of today, or took in held; logistic units are no
        goods."""
        if is_sscc(item):
            return
        key = (item, self.ctx.organisation, self.ctx.today)
        use = self.uses.get(key) or Use(self.ctx.organisation, self.ctx.today)
        if state == DISPENSED:
            use.dispensed += amount
        elif state == DESTROYED:
            use.destroyed += amount
        elif state == DECOMMISSIONED:
            use.decommissioned += amount
        elif state == CONSUMED:
            use.consumed += amount
        elif state == RELOTTED:
            use.relotted += amount
        elif state == QUARANTINED:
            use.held_in += amount
        self.uses.put(key, use)


def totals(things: list[Thing]) -> dict[str, int]:
    """How much there is of each unit of measure. A serial counts as one piece."""
    found: dict[str, int] = {}
    for thing in things:
        quantity = thing.quantity or Quantity(1, "EA")
        found[quantity.unit] = found.get(quantity.unit, 0) + quantity.amount
    return found
