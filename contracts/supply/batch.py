"""Batches: lots, serialised items and logistic units on their way through the supply chain.

Three kinds of things, each named by its GS1 path:

* a **lot** is an amount of a trade item, divided among stock, consignments in transit and the
  contents of logistic units. What was made equals all these and what is gone;
* a **serial** is one item; a **logistic unit** (SSCC) is what things are packed into. Either is at
  one place, in one state, in at most one parent::

      COMMISSIONED -> PACKED -> IN_TRANSIT -> RECEIVED -> DISPENSED | DECOMMISSIONED | DESTROYED
      RECEIVED | COMMISSIONED <-> QUARANTINED          inputs of a transformation: CONSUMED
      RECEIVED | COMMISSIONED -> EXPIRED -> DECOMMISSIONED | DESTROYED

Every thing has a **holder**, who packs, ships and stores it, and an **owner**, who uses it up:
dispenses, transforms, splits, merges and decommissions it while holding it.

A **hold** on a lot, serial or unit (a recall) stands on all that was made of it, too. What is held
or expired is not shipped, sold, dispensed, split, merged or transformed; what arrives held goes to
quarantine. What is held is not decommissioned either, but for its recall.

Each call is an EPCIS event: its id and hash are taken once, its entry stays in the history of each
thing it names.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Choice,
    Item,
    OrganisationId,
    Size,
    call,
    query,
    refuse,
)
from contracts.supply.moving import Moving
from contracts.supply.things import (
    APART,
    DECOMMISSIONED,
    DESTROYED,
    DISPENSED,
    EXPIRED,
    HOLDERS,
    QUARANTINED,
    RECEIVED,
    WALK_MAX,
    Cause,
    Entry,
    EventId,
    EventInfo,
    Flow,
    Lot,
    Note,
    Package,
    Thing,
    Things,
    Unit,
    Use,
    Word,
    is_lot,
    is_serial,
)

SHOWN_MAX: Final = 100  # holders, consignments, contents that the query of an item gives
MOVEMENTS_MAX: Final = 10_000  # flows and uses that one query gives
TRACE_MAX: Final = 1_000  # entries that one trace gives
SEEN_MAX: Final = 200  # of them observations, which anybody may make as often as they like
START: Final = ""  # before every position in the chain
END: Final = "~"  # behind every one


class Batch(Moving):
    """Lots, serialised items and logistic units, from commissioning to recall and trace."""

    name = "batch"
    audited = True

    # --- ending -----------------------------------------------------------------------------

    @call(roles=("dispenser",))
    def dispense(self, items: Things, event: EventInfo | None = None) -> None:
        """Hand own things to a patient."""
        self._take_event(event)
        for thing in items:
            if is_lot(thing.item):
                self._use_up_lot(thing, self._usable_lot(thing.item), DISPENSED)
            else:
                self._use_up_unit(thing.item, self._usable_unit(thing.item), DISPENSED)
        self._check_cleared([thing.item for thing in items], self.ctx.organisation)
        self._record("Dispensed", items, event, {})

    @call(roles=HOLDERS)
    def decommission(
        self,
        items: Things,
        state: Annotated[str, Choice(DECOMMISSIONED, DESTROYED)] = DECOMMISSIONED,
        cause: Cause = "UNSPECIFIED",
        note: Note | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Take own things out of the chain for good: first those set apart, expired or in
        quarantine. What is held is ended by way of its recall alone.
        """
        self._take_event(event)
        for thing in items:
            self._check_not_held(thing.item, self._made_of(thing.item))
        self._end(items, state, self.ctx.organisation)
        name = "Destroyed" if state == DESTROYED else "Decommissioned"
        self._record(name, items, event, with_note({"cause": cause}, note))

    @call(roles=HOLDERS, contracts=("recall",))
    def destroy_recalled(self, items: Things, owner: OrganisationId) -> None:
        """Destroy things that the caller has, of any owner: who recalls destroys what came back."""
        self._end(items, DESTROYED, owner)
        self._record("Destroyed", items, None, {"cause": "RECALLED", "owner": owner})

    def _end(self, items: list[Thing], state: str, owner: str) -> None:
        for thing in items:
            if is_lot(thing.item):
                self._use_up_apart(thing, self._lot(thing.item), state, owner)
            else:
                self._use_up_unit(thing.item, self._unit(thing.item), state, APART, owner)

    # --- setting apart ----------------------------------------------------------------------

    @call(roles=HOLDERS)
    def quarantine(
        self,
        items: Things,
        owner: OrganisationId | None = None,
        cause: Cause = "SUSPECT",
        note: Note | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Set things that the caller has apart, of one owner: its own, if none is named."""
        self._take_event(event)
        whose = owner or self.ctx.organisation
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                self._take(item, whose, amount)
                self._add(item, whose, amount, QUARANTINED)
            else:
                unit = self._own_unit(item)
                self._check_owner(item, unit, whose)
                unit.state = QUARANTINED
                self.units.put(item, unit)
        self._record("Quarantined", items, event, with_note({"cause": cause}, note))

    @call(roles=HOLDERS)
    def release(
        self,
        items: Things,
        owner: OrganisationId | None = None,
        note: Note | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Bring things back from quarantine, unless a hold stands on them or they expired."""
        self._take_event(event)
        whose = owner or self.ctx.organisation
        names = [thing.item for thing in items]
        for thing in items:
            item = thing.item
            if is_lot(item):
                lot = self._usable_lot(item)
                amount = self._amount(thing, lot)
                self._take(item, whose, amount, QUARANTINED)
                self._add(item, whose, amount)
                continue
            unit = self._usable_unit(item)
            self._check_holder(item, unit, APART)
            self._check_owner(item, unit, whose)
            if unit.state != QUARANTINED:
                refuse("NOT_QUARANTINED", f"{item} is {unit.state}")
            for inside in self._inside(item, unit):
                self._check_not_held(inside.item, self._made_of(inside.item))
                names.append(inside.item)
            unit.state = RECEIVED
            self.units.put(item, unit)
        self._check_cleared(names, self.ctx.organisation)
        self._record("Released", items, event, with_note({}, note))

    @call(roles=HOLDERS)
    def expire(
        self, items: Things, owner: OrganisationId | None = None, event: EventInfo | None = None
    ) -> None:
        """Set apart, for good, what is past its expiry date."""
        self._take_event(event)
        whose = owner or self.ctx.organisation
        for thing in items:
            item = thing.item
            expiry = self._lot(item).expiry if is_lot(item) else self._unit(item).expiry
            if not self._is_expired(expiry):
                refuse("NOT_EXPIRED", f"{item} has not expired")
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                self._take(item, whose, amount)
                self._add(item, whose, amount, EXPIRED)
                continue
            unit = self._own_unit(item)
            self._check_owner(item, unit, whose)
            unit.state = EXPIRED
            self.units.put(item, unit)
        self._record("Expired", items, event, {})

    # --- watching ---------------------------------------------------------------------------

    @call
    def observe(
        self,
        items: Things,
        step: Word = "",
        disposition: Word = "",
        event: EventInfo | None = None,
    ) -> None:
        """Record that things were seen: inspected, stored, measured. Changes none of them."""
        self._take_event(event)
        for thing in items:
            if is_lot(thing.item):
                self._lot_or_opened(thing)
            else:
                self._unit_or_opened(thing.item, self.ctx.organisation)
        self._record("Observed", items, event, {"step": step, "disposition": disposition})

    @call
    def declare_error(
        self,
        event_id: EventId,
        reason: Word = "",
        corrective_ids: Annotated[list[Word], Size(20)] | None = None,
    ) -> None:
        """Mark an own earlier event as wrong. Nothing is deleted, and nothing undone."""
        me = self.ctx.organisation
        if (event_id, me) not in self.captures:
            if list(self.captures.values(event_id, limit=1)):
                refuse("NOT_OWN_EVENT", "another organisation recorded the event")
            refuse("UNKNOWN_EVENT", f"no event {event_id} was recorded")
        mark = "error\n" + event_id
        if (mark, me) in self.captures:
            refuse("DUPLICATE_EVENT", "the error was declared before")
        self._take_mark(mark)
        corrective = corrective_ids or []
        self.emit("ErrorDeclared", event_id=event_id, reason=reason, corrective_ids=corrective)

    # --- asking -----------------------------------------------------------------------------

    @query
    def item(self, item: Item) -> dict[str, Any] | None:
        """A thing as it is now: its record, the hold on it, and who has and owns how much of a lot.

        A packed thing has the holder and owner of the outermost unit around it.
        """
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
            outermost = self._unit(self._with_parents(item)[-1])
            found["holder"], found["owner"] = outermost.holder, outermost.owner
            found["contents"] = list(self.contents.values(item, limit=SHOWN_MAX))
        return found

    @query
    def standing(
        self, item: Item, organisation: OrganisationId, at: OrganisationId | None = None
    ) -> dict[str, Any]:
        """What an organisation is to a thing: whether it made it, has it, or owns any of it; of a
        lot, any that lies at one holder.
        """
        maker = self._check_known(item)
        if is_lot(item):
            holds = any([True for _ in self.stock.values((item, organisation), limit=1)])
            stocks = list(self.stock.values(item, limit=WALK_MAX))
            places = [stock.holder for stock in stocks if stock.owner == organisation]
            owns = at in places if at is not None else bool(places)
        else:
            outermost = self._unit(self._with_parents(item)[-1])
            holds, owns = outermost.holder == organisation, outermost.owner == organisation
        is_maker = maker == organisation
        return {"maker": maker, "is_maker": is_maker, "holds": holds, "owns": owns}

    @query
    def partners(self, item: Item, organisation: OrganisationId) -> list[str]:
        """Whom a thing, or others of its lot, came to an organisation from, or went to from it."""
        known = None if is_lot(item) else self.units.get(item)
        name = known.lot if known is not None and known.lot else item
        found: dict[str, bool] = {}
        for flow in self.flows.values((name, organisation), limit=WALK_MAX):
            found[flow.receiver] = True
        for flow in self.flows.values(name, limit=WALK_MAX):
            if flow.receiver == organisation:
                found[flow.sender] = True
        return sorted(found)

    @query
    def packages(self, items: Things) -> list[Package]:
        """The trade items that things are, or hold at any depth, with their lots and expiry."""
        found: list[Package] = []
        for thing in items:
            item = thing.item
            if is_lot(item):
                lot = self._lot(item)
                found.append(Package(item, item, lot.expiry, self._amount(thing, lot), lot.unit))
                continue
            unit = self._unit(item)
            inside = self._inside(item, unit)
            if is_serial(item):
                found.append(Package(item, unit.lot, unit.expiry, 1, "EA"))
            for content in inside:
                name = content.item
                if is_lot(name):
                    lot = self._lot(name)
                    found.append(Package(name, name, lot.expiry, content.amount, lot.unit))
                elif is_serial(name):
                    child = self._unit(name)
                    found.append(Package(name, child.lot, child.expiry, 1, "EA"))
        return found

    @query
    def movements(self, item: Item) -> dict[str, list[Any]]:
        """All that ever moved of a lot (or serial of no known lot), by sender and receiver, and
        what was made an end of, by holder and day.
        """
        flows: list[Flow] = list(self.flows.values(item, limit=MOVEMENTS_MAX))
        uses: list[Use] = list(self.uses.values(item, limit=MOVEMENTS_MAX))
        return {"flows": flows, "uses": uses}

    @query
    def trace(self, item: Item) -> dict[str, Any]:
        """The events of a thing, of what it was packed into while it was, and of all that was
        made of it: oldest first, at most a thousand, of them 200 observations, and whether these
        are all.
        """
        found: dict[str, Entry] = {}
        observed = 0
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
                if entry.event == "Observed":
                    observed += 1
                    if observed > SEEN_MAX:
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
        complete = not waiting and len(rows) < TRACE_MAX and observed <= SEEN_MAX
        return {"item": item, "complete": complete, "events": rows}


def with_note(detail: dict[str, Any], note: bytes | None) -> dict[str, Any]:
    """The detail, and the commitment to what the parties say to each other about it."""
    if note is not None:
        detail["note"] = note
    return detail
