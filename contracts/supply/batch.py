"""Batches: lots, serialised items and logistic units on their way through the supply chain.

Three kinds of things, each named by its GS1 path:

* a **lot** is an amount of a trade item, divided among its holders' stock, consignments in transit
  and the contents of logistic units. What was made equals all these and what is gone;
* a **serial** is one item; a **logistic unit** (SSCC) is what things are packed into. Either is at
  one place, in one state, in at most one parent::

      COMMISSIONED -> PACKED -> IN_TRANSIT -> RECEIVED -> DISPENSED | DECOMMISSIONED | DESTROYED
      RECEIVED | COMMISSIONED <-> QUARANTINED          inputs of a transformation: CONSUMED

A **hold** on a lot, serial or unit (a recall) stands on all that was made of it, too. What is held
or expired is not shipped, dispensed, split or transformed; what arrives held goes to quarantine.

Manufacturers commission and transform, whoever holds a thing packs and ships it, the consignee
receives it, dispensers dispense. The lot's maker and regulators recall, regulators end a recall.

Each call is an EPCIS event: its id and hash are taken once, its entry stays in the history of each
thing it names.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Choice,
    Item,
    OrganisationId,
    Quantity,
    Size,
    Text,
    call,
    lot_path,
    query,
    refuse,
)
from contracts.supply.stock import (
    CONSUMED,
    DECOMMISSIONED,
    DESTROYED,
    DISPENSED,
    IN_TRANSIT,
    ITEMS_MAX,
    OUTPUTS_MAX,
    PACKED,
    QUARANTINED,
    RECEIVED,
    Capture,
    Content,
    Entry,
    EventInfo,
    Hold,
    Lot,
    Part,
    Reason,
    Some,
    Stockkeeping,
    Thing,
    Things,
    Transit,
    Unit,
    Word,
    is_lot,
    is_sscc,
    with_amount,
)

SHOWN_MAX: Final = 100  # holders, consignments, contents that the query of an item gives
TRACE_MAX: Final = 1_000  # entries that one trace gives
START: Final = ""  # before every position in the chain
END: Final = "~"  # behind every one

HOLDERS: Final = ("manufacturer", "wholesaler", "dispenser", "logistics_operator", "laboratory")


class Batch(Stockkeeping):
    """Lots, serialised items and logistic units, from commissioning to recall and trace."""

    name = "batch"

    # --- making -----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def commission(
        self, items: Things, expiry: Word = "", lot: Word = "", event: EventInfo | None = None
    ) -> None:
        """Bring lots, serials and empty logistic units into being, at the caller's.

        ``expiry`` is YYYY-MM-DD, or YYMMDD as in AI (17). ``lot`` is the lot of the serials.
        More of a lot may be commissioned by its maker, with the same expiry and unit.
        """
        self._take_event(event)
        expires = self._expiry(expiry)
        for thing in items:
            if is_lot(thing.item):
                self.require("manufacturer")
                self._make_lot(thing, expires, [])
            elif is_sscc(thing.item):
                self._make_unit(thing.item, 0, [])
            else:
                self.require("manufacturer")
                self._make_unit(thing.item, expires, [], lot)
        self._record("Commissioned", items, event, {"expiry": expires})
        self._enter_serials(lot, items, event)

    @call(roles=("manufacturer",))
    def transform(
        self,
        inputs: Some,
        outputs: Some,
        expiry: Word = "",
        lot: Word = "",
        event: EventInfo | None = None,
    ) -> dict[str, Any]:
        """Use up things and make others of them, merging lots included.

        Where all are amounts of one unit, no more comes out than went in, and the answer says
        the loss. ``expiry`` and ``lot`` are the outputs'.
        """
        self._take_event(event)
        expires = self._expiry(expiry)
        parents = [thing.item for thing in inputs]
        for thing in inputs:
            if is_lot(thing.item):
                self._use_up_lot(thing, self._usable_lot(thing.item))
            else:
                self._use_up_unit(thing.item, self._usable_unit(thing.item), CONSUMED)
        for thing in outputs:
            if is_lot(thing.item):
                if thing.item in self.lots:
                    refuse("ITEM_KNOWN", f"{thing.item} exists already")
                self._make_lot(thing, expires, parents)
            elif is_sscc(thing.item):
                refuse("NOT_TRADE_ITEM", f"{thing.item} is a logistic unit")
            else:
                self._make_unit(thing.item, expires, parents, lot)
        loss = self._loss(inputs, outputs)
        made = [thing.item for thing in outputs]
        self._record("Consumed", inputs, event, {"outputs": made, "loss": loss})
        for thing in outputs:
            self._enter("Transformed", thing.item, event, with_amount({"inputs": parents}, thing))
        self._enter_serials(lot, outputs, event)
        return {"loss": loss}

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
        total = sum([part.amount for part in parts])
        self._take_free(item, total)
        lot.gone += total
        self.lots.put(item, lot)
        made = []
        for part in parts:
            child = lot_path(item[3:17], part.lot)
            if child in self.lots:
                refuse("ITEM_KNOWN", f"{child} exists already")
            self.lots.put(child, Lot(lot.maker, lot.unit, lot.expiry, part.amount, 0, [item]))
            self._add(child, part.amount)
            made.append(Thing(child, Quantity(part.amount, lot.unit)))
        names = [thing.item for thing in made]
        whole = [Thing(item, Quantity(total, lot.unit))]
        self._record("Split", whole, event, {"outputs": names})
        for thing in made:
            self._enter("SplitOff", thing.item, event, with_amount({"inputs": [item]}, thing))

    # --- packing ----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def pack(self, parent: Item, items: Things, event: EventInfo | None = None) -> None:
        """Put things into a unit. A logistic unit comes into being with its first packing."""
        self._take_event(event)
        if is_sscc(parent) and parent not in self.units:
            self._make_unit(parent, 0, [])
        around = self._with_parents(parent)
        for thing in items:
            if thing.item in around:
                refuse("AGGREGATION_CYCLE", f"{thing.item} would be in itself")
        outer = self._own_unit(parent)
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                self._take_free(item, amount)
                held = self.contents.get((parent, item)) or Content(item, 0)
                if held.amount == 0:
                    outer.contents += 1
                held.amount += amount
                self.contents.put((parent, item), held)
                continue
            unit = self._own_unit(item)
            unit.state = PACKED
            unit.parent = parent
            self.units.put(item, unit)
            self.contents.put((parent, item), Content(item, 1))
            outer.contents += 1
        self.units.put(parent, outer)
        self._record("Packed", items, event, {"parent": parent})
        self._enter("Filled", parent, event, {"contents": [thing.item for thing in items]})

    @call(roles=HOLDERS)
    def unpack(
        self,
        parent: Item,
        items: Annotated[list[Thing], Size(ITEMS_MAX)] | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Take things out of a unit: those named, or everything. Held things go to quarantine."""
        self._take_event(event)
        unit = self._own_unit(parent, QUARANTINED)
        things = items or self._everything(parent)
        for thing in things:
            item = thing.item
            inside = self.contents.get((parent, item))
            if inside is None:
                refuse("NOT_INSIDE", f"{item} is not in {parent}")
            apart = self._is_held(item)
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                if amount > inside.amount:
                    refuse("TOO_LITTLE", f"{parent} holds {inside.amount} of {item}")
                inside.amount -= amount
                self._add(item, amount, apart)
            else:
                inside.amount = 0
                child = self._unit(item)
                child.state = QUARANTINED if apart else RECEIVED
                child.holder = unit.holder
                child.parent = ""
                self.units.put(item, child)
            if inside.amount:
                self.contents.put((parent, item), inside)
            else:
                self.contents.delete((parent, item))
                unit.contents -= 1
        self.units.put(parent, unit)
        self._record("Unpacked", things, event, {"parent": parent})
        self._enter("Emptied", parent, event, {"contents": [thing.item for thing in things]})

    # --- moving -----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def ship(
        self, items: Things, consignee: OrganisationId, event: EventInfo | None = None
    ) -> None:
        """Send things, with all that is in them, to another organisation."""
        self._take_event(event)
        me = self.ctx.organisation
        if consignee == me:
            refuse("OWN_CONSIGNEE", "the consignee is the sender")
        if not self.invoke("identity", "is_active", id=consignee):
            refuse("UNKNOWN_CONSIGNEE", f"{consignee} is no active organisation")
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._usable_lot(item))
                self._take_free(item, amount)
                way = self.transit.get((item, consignee, me)) or Transit(me, consignee, 0)
                way.amount += amount
                self.transit.put((item, consignee, me), way)
                continue
            unit = self._usable_unit(item)
            self._check_own(item, unit)
            self._check_all_usable(self._inside(item, unit))
            unit.state = IN_TRANSIT
            unit.consignee = consignee
            self.units.put(item, unit)
        self._record("Shipped", items, event, {"consignee": consignee})

    @call(roles=HOLDERS)
    def receive(
        self,
        items: Things,
        sender: OrganisationId | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Take in what is on its way to the caller, in part too. Held things go to quarantine."""
        self._take_event(event)
        me = self.ctx.organisation
        apart = []
        for thing in items:
            item = thing.item
            if is_lot(item):
                lot = self._lot(item)
                held = self._hold_on(item, lot.made_of) is not None
                amount = self._amount(thing, lot)
                self._take_transit(item, amount, sender)
                self._add(item, amount, held)
            else:
                unit = self._unit(item)
                self._check_not_packed(item, unit)
                if unit.state != IN_TRANSIT:
                    refuse("NOT_IN_TRANSIT", f"{item} is {unit.state}")
                if unit.consignee != me or (sender is not None and unit.holder != sender):
                    refuse("NOT_CONSIGNEE", f"{item} is on its way to {unit.consignee}")
                held = self._hold_on(item, unit.made_of) is not None or any(
                    [self._is_held(inside.item) for inside in self._inside(item, unit)]
                )
                unit.state = QUARANTINED if held else RECEIVED
                unit.holder = me
                unit.consignee = ""
                self.units.put(item, unit)
            if held:
                apart.append(item)
        self._record("Received", items, event, {"quarantined": apart})
        if apart:
            self.emit("ReceivedIntoQuarantine", organisation=me, items=apart)

    # --- ending -----------------------------------------------------------------------------

    @call(roles=("dispenser",))
    def dispense(self, items: Things, event: EventInfo | None = None) -> None:
        """Hand things to a patient."""
        self._take_event(event)
        for thing in items:
            if is_lot(thing.item):
                self._use_up_lot(thing, self._usable_lot(thing.item))
            else:
                self._use_up_unit(thing.item, self._usable_unit(thing.item), DISPENSED)
        self._record("Dispensed", items, event, {})

    @call(roles=HOLDERS)
    def decommission(
        self,
        items: Things,
        state: Annotated[str, Choice(DECOMMISSIONED, DESTROYED)] = DECOMMISSIONED,
        event: EventInfo | None = None,
    ) -> None:
        """Take things out of the chain for good, quarantined ones too."""
        self._take_event(event)
        for thing in items:
            if is_lot(thing.item):
                self._use_up_lot(thing, self._lot(thing.item), True)
            else:
                self._use_up_unit(thing.item, self._unit(thing.item), state, QUARANTINED)
        self._record("Destroyed" if state == DESTROYED else "Decommissioned", items, event, {})

    # --- watching ---------------------------------------------------------------------------

    @call
    def observe(
        self,
        items: Things,
        step: Word = "",
        disposition: Word = "",
        event: EventInfo | None = None,
    ) -> None:
        """Record that known things were seen: inspected, stored, measured. Changes none of them."""
        self._take_event(event)
        for thing in items:
            self._check_known(thing.item)
        self._record("Observed", items, event, {"step": step, "disposition": disposition})

    @call
    def declare_error(
        self,
        event_id: Annotated[str, Text(256)],
        reason: Word = "",
        corrective_ids: Annotated[list[Word], Size(20)] | None = None,
    ) -> None:
        """Mark an own earlier event as wrong. Nothing is deleted, and nothing undone."""
        capture = self.captures.get(event_id)
        if capture is None:
            refuse("UNKNOWN_EVENT", f"no event {event_id} was recorded")
        if capture.organisation != self.ctx.organisation:
            refuse("NOT_OWN_EVENT", "another organisation recorded the event")
        mark = "error\n" + event_id
        if mark in self.captures:
            refuse("DUPLICATE_EVENT", "the error was declared before")
        self.captures.put(mark, Capture(self.ctx.organisation, self.ctx.tx_id))
        corrective = corrective_ids or []
        self.emit("ErrorDeclared", event_id=event_id, reason=reason, corrective_ids=corrective)

    # --- holding ----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def quarantine(
        self, items: Things, reason: Reason = "suspect", event: EventInfo | None = None
    ) -> None:
        """Set own stock apart."""
        self._take_event(event)
        for thing in items:
            if is_lot(thing.item):
                amount = self._amount(thing, self._lot(thing.item))
                self._take_free(thing.item, amount)
                self._add(thing.item, amount, True)
            else:
                unit = self._own_unit(thing.item)
                unit.state = QUARANTINED
                self.units.put(thing.item, unit)
        self._record("Quarantined", items, event, {"reason": reason})

    @call(roles=HOLDERS)
    def release(self, items: Things, event: EventInfo | None = None) -> None:
        """Bring own quarantined stock back, unless a hold stands on it."""
        self._take_event(event)
        for thing in items:
            self._check_not_held(thing.item, self._made_of(thing.item))
            if is_lot(thing.item):
                amount = self._amount(thing, self._lot(thing.item))
                self._take_quarantined(thing.item, amount)
                self._add(thing.item, amount)
                continue
            unit = self._own_unit(thing.item, QUARANTINED)
            if unit.state != QUARANTINED:
                refuse("NOT_QUARANTINED", f"{thing.item} is {unit.state}")
            for inside in self._inside(thing.item, unit):
                self._check_not_held(inside.item, self._made_of(inside.item))
            unit.state = RECEIVED
            self.units.put(thing.item, unit)
        self._record("Released", items, event, {})

    @call(roles=("manufacturer", "regulator"))
    def recall(
        self, items: Things, reason: Reason = "recalled", event: EventInfo | None = None
    ) -> None:
        """Hold lots, serials or units, wherever they are, and all that was made of them."""
        self._take_event(event)
        for thing in items:
            item = thing.item
            maker = self._check_known(item)
            if "regulator" not in self.ctx.roles and maker != self.ctx.organisation:
                refuse("NOT_MAKER", f"{item} was made by {maker}")
            if item in self.holds:
                refuse("ALREADY_RECALLED", f"{item} is recalled already")
            self.holds.put(item, Hold(reason, self.ctx.organisation, self.ctx.time_ms))
        self._record("Recalled", items, event, {"reason": reason})

    @call(roles=("regulator",))
    def terminate_recall(self, items: Things, event: EventInfo | None = None) -> None:
        """End a recall: a regulator's alone (21 CFR 7.55)."""
        self._take_event(event)
        for thing in items:
            if thing.item not in self.holds:
                refuse("NOT_RECALLED", f"{thing.item} is not recalled itself")
            self.holds.delete(thing.item)
        self._record("RecallTerminated", items, event, {})

    # --- asking -----------------------------------------------------------------------------

    @query
    def item(self, item: Item) -> dict[str, Any] | None:
        """A thing as it is now: its record, what holds it, and who has how much of a lot."""
        record: Lot | Unit | None = self.lots.get(item) if is_lot(item) else self.units.get(item)
        if record is None:
            return None
        hold = self._hold_on(item, record.made_of)
        found: dict[str, Any] = {"item": item, "record": record, "hold": hold}
        found["expired"] = self._is_expired(record.expiry)
        if is_lot(item):
            found["stock"] = list(self.stock.values(item, limit=SHOWN_MAX))
            found["transit"] = list(self.transit.values(item, limit=SHOWN_MAX))
        else:
            found["contents"] = list(self.contents.values(item, limit=SHOWN_MAX))
        return found

    @query
    def trace(self, item: Item) -> dict[str, Any]:
        """The events of a thing, of what it was packed into while it was, and of all that was
        made of it: oldest first, at most a thousand, and whether these are all.
        """
        found: dict[str, Entry] = {}
        waiting = [(item, START, END)]
        seen: dict[str, bool] = {}
        while waiting and len(found) < TRACE_MAX:
            thing, start, end = waiting.pop()
            if f"{thing} {start}" in seen:
                continue
            seen[f"{thing} {start}"] = True
            around = start != START  # the history of a unit around the thing, for a while
            packed: dict[str, str] = {}
            for entry in self.history.values(thing):
                at, detail = entry.position, entry.detail
                if not start < at < end or len(found) >= TRACE_MAX:
                    continue
                if around and "contents" in detail:
                    continue
                order = 1 if "inputs" in detail else 0  # behind what it was made of
                found[f"{at} {order} {entry.item} {entry.event}"] = entry
                for output in detail.get("outputs", []):
                    waiting.append((output, START, END))
                if entry.event == "Packed":
                    packed[detail["parent"]] = packed.get(detail["parent"], at)
                elif entry.event == "Unpacked" and detail["parent"] in packed:
                    parent = detail["parent"]
                    waiting.append((parent, packed.pop(parent), at))
            for parent, since in packed.items():
                waiting.append((parent, since, end))
        rows = [found[place] for place in sorted(found)]
        return {"item": item, "complete": not waiting and len(rows) < TRACE_MAX, "events": rows}
