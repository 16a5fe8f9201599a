"""Things and what the chain knows of them: the records and maps under the batch contract."""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    BadValue,
    Blob,
    Choice,
    Contract,
    Gtin,
    Int,
    Item,
    LotNumber,
    Map,
    Party,
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
YIELDS_MAX: Final = 10  # units that the outputs of one transformation are counted in
# Units of UN/ECE Recommendation 20 that measure the same, and how many of the least they are.
MEASURES: Final = (
    ("MGM", "mass", 1),
    ("GRM", "mass", 1_000),
    ("KGM", "mass", 1_000_000),
    ("TNE", "mass", 1_000_000_000),
    ("MLT", "volume", 1),
    ("LTR", "volume", 1_000),
    ("MTQ", "volume", 1_000_000),
)
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
EXPIRED: Final = "EXPIRED"
DISPENSED: Final = "DISPENSED"
DECOMMISSIONED: Final = "DECOMMISSIONED"
DESTROYED: Final = "DESTROYED"
CONSUMED: Final = "CONSUMED"
RELOTTED: Final = "RELOTTED"  # split into other lots, or merged into another
FREE: Final = (COMMISSIONED, RECEIVED)
APART: Final = (QUARANTINED, EXPIRED)

HOLDERS: Final = ("manufacturer", "wholesaler", "dispenser", "logistics_operator", "laboratory")

Word = Annotated[str, Text(128, 0, pattern="[!-~]*")]  # CBV's word, or a URI
EventId = Annotated[str, Text(256, 0, pattern="[!-~]*")]  # a URI
DateText = Annotated[str, Text(10, 0)]  # YYYY-MM-DD, or YYMMDD as in AI (17)
Note = Annotated[bytes, Party(Text(500))]
Cause = Annotated[
    str,
    Choice(
        "UNSPECIFIED",
        "SUSPECT",
        "ILLEGITIMATE",
        "DAMAGED",
        "TEMPERATURE",
        "INSPECTION",
        "COMPLAINT",
        "RETURNED",
        "RECALLED",
        "EXPIRED",
        "LOST",
        "STOLEN",
        "OTHER",
    ),
]


class Thing(Record):
    """What an event names: an amount of a lot, or a serial or logistic unit without one."""

    item: Item
    quantity: Quantity | None = None


Things = Annotated[list[Thing], Size(ITEMS_MAX, 1)]
Some = Annotated[list[Thing], Size(OUTPUTS_MAX, 1)]


class EventInfo(Record):
    """What identifies the business event: EPCIS eventID, hash of its content, time, read point."""

    id: EventId = ""
    hash: Annotated[bytes, Blob(32)] = b""
    time: Timestamp = 0
    place: Word = ""


class Part(Record):
    """A new lot that a split makes."""

    lot: LotNumber
    amount: Annotated[int, Int(1, AMOUNT_MAX)]


class Yield(Record):
    """What a process gives at most: so much output of so much input."""

    input: Quantity
    output: Quantity


class TradeItem(Record):
    """A kind of product, as its maker registered it."""

    gtin: Gtin
    maker: str
    unit: str  # in which its lots are counted
    shelf_life_days: int  # 0 where it has none
    inspection_required: bool = False  # before its lots are shipped, sold or dispensed


class Policy(Record):
    """What the consortium does with what the chain has not seen before."""

    unknown_items: str = "REFUSE"  # shipped, received or observed, but never commissioned
    unregistered_items: str = "OPEN"  # commissioned, though the trade item is not registered
    inspection_required: bool = False  # of every trade item, before it is shipped
    dscsa: bool = False  # ownership passes by the contract dscsa alone (FD&C 582)


class Lock(Record):
    """What another contract says of a thing: it stands still, or was found good."""

    contract: str
    holder: str  # whose stock of the lot it is about; empty for all of it, and for single things
    state: str
    number: int  # the inspection or case there


class Locks(Record):
    """All that other contracts say of a thing."""

    entries: list[Lock]


class Lot(Record):
    """An amount of a trade item. made = stock + in transit + contents of units + gone."""

    maker: str
    unit: str
    expiry: int  # YYYYMMDD, 0 for none
    made: int
    gone: int  # dispensed, decommissioned, destroyed, consumed, or split into other lots
    parents: list[str]  # the things it was made of
    opened: bool = False  # of unknown provenance: first seen under way

    @property
    def made_of(self) -> list[str]:
        return self.parents


class Unit(Record):
    """A serial or a logistic unit. While it is packed its holder and owner are its parent's."""

    maker: str
    holder: str
    owner: str
    lot: str  # path of a serial's lot, where known
    expiry: int
    parents: list[str]  # the things it was made of
    state: str = COMMISSIONED
    consignee: str = ""  # while in transit
    buyer: str = ""  # while in transit: who owns it on receipt
    parent: str = ""  # while packed
    contents: int = 0  # how many entries it directly holds
    opened: bool = False  # of unknown provenance: first seen under way

    @property
    def made_of(self) -> list[str]:
        """The things whose hold is its hold."""
        return [*self.parents, self.lot] if self.lot else self.parents


class Stock(Record):
    """An owner's amount of a lot that a holder has, outside of any unit."""

    holder: str
    owner: str
    free: int = 0
    quarantined: int = 0
    expired: int = 0


class Transit(Record):
    """An amount of a lot on its way; ``buyer`` owns it on receipt."""

    sender: str
    consignee: str
    owner: str
    buyer: str
    amount: int


class Content(Record):
    """What a unit holds directly; amount 1 for a serial or unit."""

    item: str
    amount: int


class Capture(Record):
    """Who had an event recorded, and where."""

    organisation: str
    tx_id: bytes


class Package(Record):
    """A trade item in a consignment: a serial, or an amount of a lot. Expiry 0: not known."""

    item: str
    lot: str  # path; empty where it is not known
    expiry: int  # YYYYMMDD
    amount: int
    unit: str


class Flow(Record):
    """All that ever went from one organisation to another of a lot, serials of it included."""

    sender: str
    receiver: str
    shipped: int = 0
    received: int = 0
    first_day: int = 0  # YYYYMMDD
    last_day: int = 0


class Use(Record):
    """What a holder made an end of on one day, of a lot, serials of it included."""

    holder: str
    day: int  # YYYYMMDD
    dispensed: int = 0
    destroyed: int = 0
    decommissioned: int = 0
    consumed: int = 0  # by a transformation
    relotted: int = 0  # split into other lots, or merged into another
    held_in: int = 0  # taken in while a hold stood on it: no end, but where a recall's returns show


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


class Inventory(Contract):
    """The maps of the batch contract, how things are found in them, and their histories."""

    lots = Map(Lot, key=("item",), hashed=("item",))
    units = Map(Unit, key=("item",), hashed=("item",))
    stock = Map(Stock, key=("item", "holder", "owner"), hashed=("item",))
    transit = Map(Transit, key=("item", "consignee", "way"), hashed=("item",))
    contents = Map(Content, key=("parent", "item"), hashed=("parent", "item"))
    flows = Map(Flow, key=("item", "sender", "receiver"), hashed=("item",))
    uses = Map(Use, key=("item", "holder", "day"), hashed=("item",))
    captures = Map(Capture, key=("event", "organisation"), hashed=("event",))
    history = Map(
        Entry, key=("item", "height", "tx_index", "call_index"), hashed=("item",)
    )  # its hashes in the audit trail are what proves a trace

    # --- finding ----------------------------------------------------------------------------

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

    def _made_of(self, item: str) -> list[str]:
        """What a thing was made of; nothing where it is not known."""
        if is_lot(item):
            lot = self.lots.get(item)
            return lot.made_of if lot else []
        unit = self.units.get(item)
        return unit.made_of if unit else []

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

    def _check_packable(self, item: str, unit: Unit) -> None:
        """Refuse to put a unit into another that could not be looked through any more: nobody
        could ship it, unpack it, or find out where what is in it is.
        """
        level, found = [item] if unit.contents else [], 0
        for _ in range(DEPTH_MAX - 1):
            if not level:
                return
            deeper = []
            for parent in level:
                for content in self.contents.values(parent):
                    found += 1
                    if found >= WALK_MAX:
                        refuse("TOO_MANY_CONTENTS", f"{WALK_MAX} things or more in {item}")
                    if not is_lot(content.item):
                        deeper.append(content.item)
            level = deeper
        if level:
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

    # --- reading arguments ------------------------------------------------------------------

    def _expiry(self, text: str) -> int:
        """A date as YYYYMMDD; GS1's YYMMDD by the block's century."""
        try:
            if not text:
                return 0
            return gs1_date(text, self.ctx.today // 10_000) if len(text) == 6 else iso_date(text)
        except BadValue as error:
            refuse("BAD_EXPIRY", f"expiry: {error.message}")

    def _is_expired(self, expiry: int) -> bool:
        return expiry != 0 and expiry < self.ctx.today

    def _amount(self, thing: Thing, lot: Lot) -> int:
        """The amount of a lot that the thing names, in the lot's own unit."""
        if thing.quantity is None:
            refuse("QUANTITY_REQUIRED", f"{thing.item} is a lot: say how much of it")
        if thing.quantity.unit != lot.unit:
            refuse("UNIT_MISMATCH", f"{thing.item} is counted in {lot.unit}")
        return thing.quantity.amount

    # --- events -----------------------------------------------------------------------------

    def _take_event(self, event: EventInfo | None) -> None:
        """Take an event once of each organisation, for nobody can block another's by its id.

        This comes first, so that who sends one again is told just that.
        """
        if event is None:
            return
        if event.time > self.ctx.time_ms + EVENT_AHEAD_MAX_MS:
            refuse("EVENT_IN_FUTURE", "the event's time lies ahead of the block's")
        marks = [mark for mark in (event.id, event.hash.hex()) if mark]
        for mark in marks:
            if (mark, self.ctx.organisation) in self.captures:
                refuse("DUPLICATE_EVENT", f"the event was recorded already: {mark[:100]}")
        for mark in marks:
            self._take_mark(mark)

    def _take_mark(self, mark: str) -> None:
        me = self.ctx.organisation
        self.captures.put((mark, me), Capture(me, self.ctx.tx_id))

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

    def _enter_serials(
        self,
        name: str,
        lot: str | None,
        things: list[Thing],
        event: EventInfo | None,
        detail: dict[str, Any],
    ) -> None:
        """Write new serials into the histories of their lots, for the trace to follow; into the
        lot's own entry, where the same event makes the lot.
        """
        if not lot:
            return
        by_lot: dict[str, list[str]] = {}
        for thing in things:
            if is_serial(thing.item):
                path = lot_path(thing.item[3:17], lot)
                if path not in by_lot:
                    by_lot[path] = []
                by_lot[path].append(thing.item)
        for thing in things:
            serials = by_lot.pop(thing.item, None)
            if serials is not None:
                found = with_amount(dict(detail), thing)
                found["outputs"] = serials
                self._enter(name, thing.item, event, found)
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
