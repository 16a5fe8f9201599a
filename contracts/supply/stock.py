"""Things and where they are: the records and rules under the batch contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from contracts.sdk import (
    BadValue,
    Blob,
    Contract,
    Int,
    Item,
    LotNumber,
    Map,
    Quantity,
    Record,
    Size,
    Text,
    Timestamp,
    gs1_date,
    iso_date,
    lot_path,
    refuse,
)

ITEMS_MAX: Final = 400  # things that one event names
OUTPUTS_MAX: Final = 50  # inputs, and outputs, of one transformation
DEPTH_MAX: Final = 8  # units within units
WALK_MAX: Final = 2_000  # contents or ancestors that one call looks at
EVENT_AHEAD_MAX_MS: Final = 600_000  # how far an event's time may lie ahead of the block's

COMMISSIONED: Final = "COMMISSIONED"
PACKED: Final = "PACKED"
IN_TRANSIT: Final = "IN_TRANSIT"
RECEIVED: Final = "RECEIVED"
QUARANTINED: Final = "QUARANTINED"
CONSUMED: Final = "CONSUMED"
FREE: Final = (COMMISSIONED, RECEIVED)

Word = Annotated[str, Text(128, 0)]
Reason = Annotated[str, Text(500)]


class Thing(Record):
    """What an event names: an amount of a lot, or a serial or logistic unit without one."""

    item: Item
    quantity: Quantity | None = None


Things = Annotated[list[Thing], Size(ITEMS_MAX, 1)]
Some = Annotated[list[Thing], Size(OUTPUTS_MAX, 1)]


class EventInfo(Record):
    """What identifies the business event: EPCIS eventID, hash of its content, time, read point."""

    id: Annotated[str, Text(256, 0)] = ""
    hash: Annotated[bytes, Blob(32)] = b""
    time: Timestamp = 0
    place: Word = ""


class Part(Record):
    """A new lot that a split makes."""

    lot: LotNumber
    amount: Annotated[int, Int(1, 10**15)]


class Lot(Record):
    maker: str
    unit: str
    expiry: int  # YYYYMMDD, 0 for none
    made: int
    gone: int  # dispensed, decommissioned, destroyed, consumed, or split into other lots
    parents: list[str]  # the things it was made of

    @property
    def made_of(self) -> list[str]:
        return self.parents


class Unit(Record):
    """A serial or a logistic unit."""

    maker: str
    holder: str
    lot: str  # path of a serial's lot, where known
    expiry: int
    parents: list[str]  # the things it was made of
    state: str = COMMISSIONED
    consignee: str = ""  # while in transit
    parent: str = ""  # while packed
    contents: int = 0  # how many entries it directly holds

    @property
    def made_of(self) -> list[str]:
        """The things whose hold is its hold."""
        return [*self.parents, self.lot] if self.lot else self.parents


class Stock(Record):
    """A holder's amount of a lot outside of any unit."""

    holder: str
    free: int = 0
    quarantined: int = 0


class Transit(Record):
    sender: str
    consignee: str
    amount: int


class Content(Record):
    """What a unit holds directly; amount 1 for a serial or unit."""

    item: str
    amount: int


class Hold(Record):
    reason: str
    by: str
    since: int  # block time, ms


class Capture(Record):
    """Who had an event recorded, and where."""

    organisation: str
    tx_id: bytes


class Entry(Record):
    """One event in the history of one thing. Times are milliseconds."""

    event: str
    item: str
    organisation: str
    key: bytes
    event_id: str
    event_time: int
    place: str
    height: int
    tx_index: int
    call_index: int
    time: int
    tx_id: bytes
    detail: dict[str, Any]

    @property
    def position(self) -> tuple[int, int, int]:
        return self.height, self.tx_index, self.call_index


class Stockkeeping(Contract):
    """The state of the batch contract, what must hold in it, and how it changes."""

    lots = Map(Lot, key=("item",), hashed=("item",))
    units = Map(Unit, key=("item",), hashed=("item",))
    stock = Map(Stock, key=("item", "holder"), hashed=("item",))
    transit = Map(Transit, key=("item", "consignee", "sender"), hashed=("item",))
    contents = Map(Content, key=("parent", "item"), hashed=("parent", "item"))
    holds = Map(Hold, key=("item",), hashed=("item",))
    captures = Map(Capture, key=("event",), hashed=("event",))
    history = Map(Entry, key=("item", "height", "tx_index", "call_index"), hashed=("item",))

    # --- what must hold ---------------------------------------------------------------------

    def _expiry(self, text: str) -> int:
        """A date as YYYYMMDD; GS1's YYMMDD by the block's century."""
        try:
            if not text:
                return 0
            return gs1_date(text, self.ctx.today // 10_000) if len(text) == 6 else iso_date(text)
        except BadValue as error:
            refuse("BAD_EXPIRY", f"expiry: {error}")

    def _amount(self, thing: Thing, lot: Lot | None = None) -> int:
        """The amount of a lot that the thing names, in the lot's own unit."""
        lot = lot or self._lot(thing.item)
        if thing.quantity is None:
            refuse("QUANTITY_REQUIRED", f"{thing.item} is a lot: say how much of it")
        if thing.quantity.unit != lot.unit:
            refuse("UNIT_MISMATCH", f"{thing.item} is counted in {lot.unit}")
        return thing.quantity.amount

    def _lot(self, item: str) -> Lot:
        lot = self.lots.get(item)
        if lot is None:
            refuse("UNKNOWN_ITEM", f"{item} was never commissioned")
        return lot

    def _unit(self, item: str) -> Unit:
        unit = self.units.get(item)
        if unit is None:
            refuse("UNKNOWN_ITEM", f"{item} was never commissioned")
        return unit

    def _check_known(self, item: str) -> str:
        """The maker of a thing that must exist."""
        return (self._lot(item) if is_lot(item) else self._unit(item)).maker

    def _own_unit(self, item: str, unit: Unit | None = None, *also: str) -> Unit:
        """A unit that the caller holds, unpacked, and free or in one of the other states.

        ``unit`` is its record, where it was read already; so below.
        """
        unit = unit or self._unit(item)
        self._check_not_packed(item, unit)
        if unit.holder != self.ctx.organisation:
            refuse("NOT_HOLDER", f"{item} is with {unit.holder}")
        if unit.state not in FREE and unit.state not in also:
            refuse("WRONG_STATE", f"{item} is {unit.state}")
        return unit

    def _check_not_packed(self, item: str, unit: Unit) -> None:
        if unit.parent:
            refuse("PACKED_CHILD", f"{item} is in {unit.parent} and moves only with it")

    def _check_usable(self, item: str) -> Lot | Unit:
        """The record of a thing that is neither held nor expired."""
        record = self._lot(item) if is_lot(item) else self._unit(item)
        self._check_not_held(item, record)
        if self._is_expired(record.expiry):
            refuse("EXPIRED", f"{item} expired on {record.expiry}")
        return record

    def _check_not_held(self, item: str, record: Lot | Unit | None = None) -> None:
        hold = self._hold_on(item, record)
        if hold is not None:
            refuse("HELD", f"{item} is held by {hold.by}: {hold.reason[:80]}")

    def _is_expired(self, expiry: int) -> bool:
        return expiry != 0 and expiry < self.ctx.today

    def _hold_on(self, item: str, record: Lot | Unit | None = None) -> Hold | None:
        """The hold on a thing, its lot, or anything that it was made of."""
        waiting, seen = [item], {item}
        for at in range(WALK_MAX):
            if at == len(waiting):
                return None
            hold = self.holds.get(waiting[at])
            if hold is not None:
                return hold
            if record is None:
                kind = self.lots if is_lot(waiting[at]) else self.units
                record = kind.get(waiting[at])
            for parent in record.made_of if record else ():
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
            record = None
        refuse("LINEAGE_TOO_LARGE", f"{item} was made of more than {WALK_MAX} things")

    def _with_parents(self, item: str) -> list[str]:
        """A unit and what it is in, outwards."""
        found = [item]
        for _ in range(DEPTH_MAX):
            parent = self._unit(found[-1]).parent
            if not parent:
                return found
            found.append(parent)
        refuse("PACKED_TOO_DEEP", f"units stand in each other at most {DEPTH_MAX} deep")

    def _inside(self, item: str, unit: Unit) -> list[Content]:
        """All that is in a unit, at any depth."""
        found: list[Content] = []
        if not unit.contents:
            return found
        level = [item]
        for _ in range(DEPTH_MAX + 1):
            deeper = []
            for parent in level:
                for content in self.contents.values(parent):
                    found.append(content)
                    if len(found) > WALK_MAX:
                        refuse("TOO_MANY_CONTENTS", f"more than {WALK_MAX} things in {item}")
                    if not is_lot(content.item):
                        deeper.append(content.item)
            if not deeper:
                return found
            level = deeper
        refuse("PACKED_TOO_DEEP", f"units stand in each other at most {DEPTH_MAX} deep")

    def _everything(self, parent: str) -> list[Thing]:
        """What is directly in a unit."""
        things: list[Thing] = []
        for content in self.contents.values(parent):
            if len(things) == ITEMS_MAX:
                refuse("TOO_MANY_CONTENTS", f"more than {ITEMS_MAX} things: name them")
            quantity = None
            if is_lot(content.item):
                quantity = Quantity(content.amount, self._lot(content.item).unit)
            things.append(Thing(content.item, quantity))
        if not things:
            refuse("NOT_INSIDE", f"{parent} is empty")
        return things

    # --- what changes -----------------------------------------------------------------------

    def _make_lot(self, thing: Thing, expiry: int, parents: list[str]) -> None:
        if thing.quantity is None:
            refuse("QUANTITY_REQUIRED", f"{thing.item} is a lot: say how much of it")
        amount, unit = thing.quantity.amount, thing.quantity.unit
        lot = self.lots.get(thing.item)
        if lot is None:
            lot = Lot(self.ctx.organisation, unit, expiry, 0, 0, parents)
        elif lot.maker != self.ctx.organisation or lot.parents:
            refuse("ITEM_KNOWN", f"{thing.item} exists already")
        elif (lot.unit, lot.expiry) != (unit, expiry):
            refuse("LOT_DIFFERS", f"{thing.item} has unit {lot.unit} and expiry {lot.expiry}")
        else:
            self._check_not_held(thing.item)
        lot.made += amount
        self.lots.put(thing.item, lot)
        self._add_free(thing.item, amount)

    def _make_unit(self, item: str, expiry: int, parents: list[str], lot: str = "") -> None:
        """A new serial or logistic unit at the caller's; ``lot`` is a serial's lot number."""
        if item in self.units:
            refuse("ITEM_KNOWN", f"{item} exists already")
        me = self.ctx.organisation
        path = lot_path(item[3:17], lot) if lot else ""
        if path:
            known = self.lots.get(path)
            if known is None:
                self.lots.put(path, Lot(me, "EA", expiry, 0, 0, []))
            elif known.maker != me or known.expiry != expiry:
                refuse("LOT_DIFFERS", f"{path} is {known.maker}'s and expires {known.expiry}")
            self._check_not_held(path)
        self.units.put(item, Unit(me, me, path, expiry, parents))

    def _use_up(self, thing: Thing, state: str, *, quarantined_too: bool = False) -> None:
        """End a unit, or an amount of a lot, that the caller holds."""
        item = thing.item
        if not is_lot(item):
            unit = self._own_unit(item, None, *((QUARANTINED,) if quarantined_too else ()))
            if unit.contents:
                refuse("NOT_EMPTY", f"{item} still holds other things")
            unit.state = state
            self.units.put(item, unit)
            return
        amount = self._amount(thing)
        apart = 0
        if quarantined_too:
            stock = self.stock.get((item, self.ctx.organisation))
            apart = min(amount, stock.quarantined) if stock else 0
        if apart:
            self._take_free(item, apart, quarantined=True)
        if amount > apart:
            self._take_free(item, amount - apart)
        lot = self._lot(item)
        lot.gone += amount
        self.lots.put(item, lot)

    def _take_free(self, item: str, amount: int, *, quarantined: bool = False) -> None:
        """Take an amount of a lot out of the caller's stock."""
        key = (item, self.ctx.organisation)
        stock = self.stock.get(key) or Stock(self.ctx.organisation)
        there = stock.quarantined if quarantined else stock.free
        if there < amount:
            refuse("TOO_LITTLE", f"{there} of {item} there, {amount} wanted")
        if quarantined:
            stock.quarantined -= amount
        else:
            stock.free -= amount
        if stock.free or stock.quarantined:
            self.stock.put(key, stock)
        else:
            self.stock.delete(key)

    def _add_free(self, item: str, amount: int, *, quarantined: bool = False) -> None:
        """Put an amount of a lot into the caller's stock."""
        key = (item, self.ctx.organisation)
        stock = self.stock.get(key) or Stock(self.ctx.organisation)
        if quarantined:
            stock.quarantined += amount
        else:
            stock.free += amount
        self.stock.put(key, stock)

    def _take_transit(self, item: str, amount: int, sender: str | None) -> None:
        """Take an amount of a lot off its way to the caller, from one sender or from any."""
        me = self.ctx.organisation
        for way in limited(self.transit.values((item, me))):
            if sender is not None and way.sender != sender:
                continue
            taken = min(amount, way.amount)
            way.amount -= taken
            amount -= taken
            if way.amount:
                self.transit.put((item, me, way.sender), way)
            else:
                self.transit.delete((item, me, way.sender))
            if amount == 0:
                return
        refuse("NOT_IN_TRANSIT", f"{amount} of {item} more than is on its way here")

    def _loss(self, inputs: list[Thing], outputs: list[Thing]) -> int:
        """What went in and did not come out; 0 where the units are not comparable."""
        ins, outs = amounts(inputs), amounts(outputs)
        units = {unit for _, unit in [*ins, *outs]}
        if len(units) != 1 or len(ins) + len(outs) < len(inputs) + len(outputs):
            return 0
        loss = sum(amount for amount, _ in ins) - sum(amount for amount, _ in outs)
        if loss < 0:
            refuse("NOT_CONSERVED", f"{-loss} more come out than went in")
        return loss

    def _take_event(self, event: EventInfo | None) -> None:
        """Take an event once. This comes first, so that who sends one again is told just that."""
        info = event or EventInfo()
        if info.time > self.ctx.time_ms + EVENT_AHEAD_MAX_MS:
            refuse("EVENT_IN_FUTURE", "the event's time lies ahead of the block's")
        marks = [mark for mark in (info.id, info.hash.hex()) if mark]
        for mark in marks:
            if mark in self.captures:
                refuse("DUPLICATE_EVENT", f"the event was recorded already: {mark[:100]}")
        for mark in marks:
            self.captures.put(mark, Capture(self.ctx.organisation, self.ctx.tx_id))

    def _record(
        self, name: str, things: list[Thing], event: EventInfo | None, detail: dict[str, Any]
    ) -> None:
        """Write an event into the history of its things, and tell the world."""
        info = event or EventInfo()
        named = set()
        for thing in things:
            if thing.item in named:
                refuse("ITEM_TWICE", f"{thing.item} stands twice in one event")
            named.add(thing.item)
            self._enter(name, thing.item, info, detail | said(thing))
        self.emit(
            name,
            event_id=info.id,
            organisation=self.ctx.organisation,
            items=[{"item": thing.item} | said(thing) for thing in things],
            **detail,
        )

    def _enter_serials(self, lot: str, things: list[Thing], event: EventInfo | None) -> None:
        """Write new serials into the histories of their lots, for the trace to follow."""
        by_lot: dict[str, list[str]] = {}
        for thing in things:
            if lot and is_serial(thing.item):
                by_lot.setdefault(lot_path(thing.item[3:17], lot), []).append(thing.item)
        for path, serials in by_lot.items():
            self._enter("Serialised", path, event, {"outputs": serials})

    def _enter(self, name: str, item: str, event: EventInfo | None, detail: dict[str, Any]) -> None:
        ctx, info = self.ctx, event or EventInfo()
        entry = Entry(
            event=name,
            item=item,
            organisation=ctx.organisation,
            key=ctx.caller,
            event_id=info.id,
            event_time=info.time or ctx.time_ms,
            place=info.place,
            height=ctx.height,
            tx_index=ctx.tx_index,
            call_index=ctx.call_index,
            time=ctx.time_ms,
            tx_id=ctx.tx_id,
            detail=detail,
        )
        self.history.put((item, *entry.position), entry)


def is_lot(item: str) -> bool:
    """Whether a path names a lot: an amount, not one thing."""
    return item.startswith("01/") and item[18:20] == "10"


def is_serial(item: str) -> bool:
    return item.startswith("01/") and item[18:20] == "21"


def is_sscc(item: str) -> bool:
    return item.startswith("00/")


def said(thing: Thing) -> dict[str, Any]:
    """The amount that an event names, for its entry."""
    if thing.quantity is None:
        return {}
    return {"amount": thing.quantity.amount, "unit": thing.quantity.unit}


def amounts(things: list[Thing]) -> list[tuple[int, str]]:
    """(amount, unit) of those things that have one."""
    return [(t.quantity.amount, t.quantity.unit) for t in things if t.quantity is not None]


def limited(values: Iterator[Any]) -> list[Any]:
    """The first hundred."""
    return [value for value, _ in zip(values, range(100), strict=False)]
