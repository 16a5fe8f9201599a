"""Things and where they are: the records and rules under the batch contract."""

from __future__ import annotations

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
WAYS_MAX: Final = 100  # consignments of a lot to one consignee that one call looks at
EVENT_AHEAD_MAX_MS: Final = 600_000  # how far an event's time may lie ahead of the block's
AMOUNT_MAX: Final = 1_000_000_000_000_000

COMMISSIONED: Final = "COMMISSIONED"
PACKED: Final = "PACKED"
IN_TRANSIT: Final = "IN_TRANSIT"
RECEIVED: Final = "RECEIVED"
QUARANTINED: Final = "QUARANTINED"
DISPENSED: Final = "DISPENSED"
DECOMMISSIONED: Final = "DECOMMISSIONED"
DESTROYED: Final = "DESTROYED"
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
    amount: Annotated[int, Int(1, AMOUNT_MAX)]


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
    def position(self) -> str:
        """Where in the chain it stands, as text whose order is the chain's."""
        return f"{self.height:020} {self.tx_index:05} {self.call_index:05}"


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
            refuse("BAD_EXPIRY", f"expiry: {error.message}")

    def _amount(self, thing: Thing, lot: Lot) -> int:
        """The amount of a lot that the thing names, in the lot's own unit."""
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

    def _own_unit(self, item: str, also: str = "") -> Unit:
        """A unit that the caller holds, unpacked, and free or in the other state ``also``."""
        unit = self._unit(item)
        self._check_own(item, unit, also)
        return unit

    def _check_own(self, item: str, unit: Unit, also: str = "") -> None:
        self._check_not_packed(item, unit)
        if unit.holder != self.ctx.organisation:
            refuse("NOT_HOLDER", f"{item} is with {unit.holder}")
        if unit.state not in FREE and unit.state != also:
            refuse("WRONG_STATE", f"{item} is {unit.state}")

    def _check_not_packed(self, item: str, unit: Unit) -> None:
        if unit.parent:
            refuse("PACKED_CHILD", f"{item} is in {unit.parent} and moves only with it")

    def _usable_lot(self, item: str) -> Lot:
        """A lot that is neither held nor expired."""
        lot = self._lot(item)
        self._check_usable(item, lot.made_of, lot.expiry)
        return lot

    def _usable_unit(self, item: str) -> Unit:
        """A serial or unit that is neither held nor expired."""
        unit = self._unit(item)
        self._check_usable(item, unit.made_of, unit.expiry)
        return unit

    def _check_all_usable(self, contents: list[Content]) -> None:
        for content in contents:
            if is_lot(content.item):
                self._usable_lot(content.item)
            else:
                self._usable_unit(content.item)

    def _check_usable(self, item: str, made_of: list[str], expiry: int) -> None:
        self._check_not_held(item, made_of)
        if self._is_expired(expiry):
            refuse("EXPIRED", f"{item} expired on {expiry}")

    def _check_not_held(self, item: str, made_of: list[str]) -> None:
        hold = self._hold_on(item, made_of)
        if hold is not None:
            refuse("HELD", f"{item} is held by {hold.by}: {hold.reason[:80]}")

    def _is_expired(self, expiry: int) -> bool:
        return expiry != 0 and expiry < self.ctx.today

    def _hold_on(self, item: str, made_of: list[str]) -> Hold | None:
        """The hold on a thing, its lot, or anything that it was made of."""
        hold = self.holds.get(item)
        if hold is not None or not made_of:
            return hold
        origins, seen = list(made_of), {item: True}
        for at in range(WALK_MAX):
            if at == len(origins):
                return None
            hold = self.holds.get(origins[at])
            if hold is not None:
                return hold
            for origin in self._made_of(origins[at]):
                if origin not in seen:
                    seen[origin] = True
                    origins.append(origin)
        refuse("LINEAGE_TOO_LARGE", f"{item} was made of more than {WALK_MAX} things")

    def _made_of(self, item: str) -> list[str]:
        """What a thing was made of; nothing where it is not known."""
        if is_lot(item):
            lot = self.lots.get(item)
            return lot.made_of if lot else []
        unit = self.units.get(item)
        return unit.made_of if unit else []

    def _is_held(self, item: str) -> bool:
        return self._hold_on(item, self._made_of(item)) is not None

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
            self._check_not_held(thing.item, lot.made_of)
        lot.made += amount
        self.lots.put(thing.item, lot)
        self._add(thing.item, amount)

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
            self._check_not_held(path, known.made_of if known else [])
        self.units.put(item, Unit(me, me, path, expiry, parents))

    def _use_up_unit(self, item: str, unit: Unit, state: str, also: str = "") -> None:
        """End a serial or unit that the caller holds, free or in the other state ``also``."""
        self._check_own(item, unit, also)
        if unit.contents:
            refuse("NOT_EMPTY", f"{item} still holds other things")
        unit.state = state
        self.units.put(item, unit)

    def _use_up_lot(self, thing: Thing, lot: Lot, quarantined_too: bool = False) -> None:
        """End an amount of a lot that the caller holds."""
        item, amount = thing.item, self._amount(thing, lot)
        apart = 0
        if quarantined_too:
            stock = self.stock.get((item, self.ctx.organisation))
            apart = min(amount, stock.quarantined) if stock else 0
        if apart:
            self._take_quarantined(item, apart)
        if amount > apart:
            self._take_free(item, amount - apart)
        lot.gone += amount
        self.lots.put(item, lot)

    def _take_free(self, item: str, amount: int) -> None:
        """Take an amount of a lot out of the caller's free stock."""
        stock = self._own_stock(item)
        if stock.free < amount:
            refuse("TOO_LITTLE", f"{stock.free} of {item} there, {amount} wanted")
        stock.free -= amount
        self._put_stock(item, stock)

    def _take_quarantined(self, item: str, amount: int) -> None:
        """Take an amount of a lot out of what the caller has set apart."""
        stock = self._own_stock(item)
        if stock.quarantined < amount:
            refuse("TOO_LITTLE", f"{stock.quarantined} of {item} there, {amount} wanted")
        stock.quarantined -= amount
        self._put_stock(item, stock)

    def _add(self, item: str, amount: int, apart: bool = False) -> None:
        """Put an amount of a lot into the caller's stock, or set it apart there."""
        stock = self._own_stock(item)
        if apart:
            stock.quarantined += amount
        else:
            stock.free += amount
        self._put_stock(item, stock)

    def _own_stock(self, item: str) -> Stock:
        return self.stock.get((item, self.ctx.organisation)) or Stock(self.ctx.organisation)

    def _put_stock(self, item: str, stock: Stock) -> None:
        if stock.free or stock.quarantined:
            self.stock.put((item, stock.holder), stock)
        else:
            self.stock.delete((item, stock.holder))

    def _take_transit(self, item: str, amount: int, sender: str | None) -> None:
        """Take an amount of a lot off its way to the caller, from one sender or from any."""
        me = self.ctx.organisation
        for way in list(self.transit.values((item, me), limit=WAYS_MAX)):
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
        both = ins + outs
        if not both or len(both) < len(inputs) + len(outputs):
            return 0
        if any([quantity.unit != both[0].unit for quantity in both]):
            return 0
        loss = sum([given.amount for given in ins]) - sum([made.amount for made in outs])
        if loss < 0:
            refuse("NOT_CONSERVED", f"{-loss} more come out than went in")
        return loss

    def _take_event(self, event: EventInfo | None) -> None:
        """Take an event once. This comes first, so that who sends one again is told just that."""
        if event is None:
            return
        if event.time > self.ctx.time_ms + EVENT_AHEAD_MAX_MS:
            refuse("EVENT_IN_FUTURE", "the event's time lies ahead of the block's")
        marks = [mark for mark in (event.id, event.hash.hex()) if mark]
        for mark in marks:
            if mark in self.captures:
                refuse("DUPLICATE_EVENT", f"the event was recorded already: {mark[:100]}")
        for mark in marks:
            self.captures.put(mark, Capture(self.ctx.organisation, self.ctx.tx_id))

    def _record(
        self, name: str, things: list[Thing], event: EventInfo | None, detail: dict[str, Any]
    ) -> None:
        """Write an event into the history of its things, and tell the world."""
        named: dict[str, bool] = {}
        for thing in things:
            if thing.item in named:
                refuse("ITEM_TWICE", f"{thing.item} stands twice in one event")
            named[thing.item] = True
            self._enter(name, thing.item, event, with_amount(detail, thing))
        self.emit(
            name,
            event_id=event.id if event else "",
            organisation=self.ctx.organisation,
            items=[with_amount({"item": thing.item}, thing) for thing in things],
            **detail,
        )

    def _enter_serials(self, lot: str, things: list[Thing], event: EventInfo | None) -> None:
        """Write new serials into the histories of their lots, for the trace to follow."""
        by_lot: dict[str, list[str]] = {}
        for thing in things:
            if lot and is_serial(thing.item):
                path = lot_path(thing.item[3:17], lot)
                if path not in by_lot:
                    by_lot[path] = []
                by_lot[path].append(thing.item)
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
        self.history.put((item, ctx.height, ctx.tx_index, ctx.call_index), entry)


def is_lot(item: str) -> bool:
    """Whether a path names a lot: an amount, not one thing."""
    return item.startswith("01/") and item[18:20] == "10"


def is_serial(item: str) -> bool:
    return item.startswith("01/") and item[18:20] == "21"


def is_sscc(item: str) -> bool:
    return item.startswith("00/")


def with_amount(detail: dict[str, Any], thing: Thing) -> dict[str, Any]:
    """The detail, and the amount that the event names, for an entry or event."""
    if thing.quantity is None:
        return detail
    found = dict(detail)
    found["amount"], found["unit"] = thing.quantity.amount, thing.quantity.unit
    return found


def amounts(things: list[Thing]) -> list[Quantity]:
    """The quantities of those things that have one."""
    return [thing.quantity for thing in things if thing.quantity is not None]
