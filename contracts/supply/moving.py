"""Moving things: packed, shipped, received, and sold where they are.

Whoever has things packs and ships them, its own or others'. Who ships its own passes them to the
consignee, on receipt, unless it says that it keeps them; others' stay theirs.
"""

from __future__ import annotations

from typing import Annotated

from contracts.sdk import Item, OrganisationId, Quantity, Size, call, refuse
from contracts.supply.making import Making
from contracts.supply.things import (
    APART,
    HOLDERS,
    IN_TRANSIT,
    ITEMS_MAX,
    PACKED,
    QUARANTINED,
    RECEIVED,
    Content,
    EventInfo,
    Thing,
    Things,
    Unit,
    is_lot,
    is_sscc,
)


class Moving(Making):
    """How things get into units, to others, and into other hands."""

    # --- packing ----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def pack(
        self,
        parent: Item,
        items: Things,
        owner: OrganisationId | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Put things of one owner, the caller if none is named, into a unit.

        A logistic unit comes into being with its first packing, and belongs to whom its contents
        belong.
        """
        self._take_event(event)
        whose = owner or self.ctx.organisation
        if is_sscc(parent) and parent not in self.units:
            self._make_unit(parent, whose, 0, [])
        around = self._with_parents(parent)
        for thing in items:
            if thing.item in around:
                refuse("AGGREGATION_CYCLE", f"{thing.item} would be in itself")
        outer = self._own_unit(parent)
        if is_sscc(parent) and not outer.contents:
            outer.owner = whose
        self._check_owner(parent, outer, whose)
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                self._take(item, whose, amount)
                inside = self.contents.get((parent, item)) or Content(item, 0)
                if inside.amount == 0:
                    outer.contents += 1
                inside.amount += amount
                self.contents.put((parent, item), inside)
                continue
            unit = self._own_unit(item)
            self._check_owner(item, unit, whose)
            self._check_packable(item, unit)
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
        """Take things out of a unit: those named, or everything.

        Held things go to quarantine, expired ones are set apart; what comes out of a unit in
        quarantine stays there.
        """
        self._take_event(event)
        outer = self._own_unit(parent, APART)
        things = items or self._everything(parent)
        for thing in things:
            item = thing.item
            inside = self.contents.get((parent, item))
            if inside is None:
                refuse("NOT_INSIDE", f"{item} is not in {parent}")
            if is_lot(item):
                lot = self._lot(item)
                amount = self._amount(thing, lot)
                if amount > inside.amount:
                    refuse("TOO_LITTLE", f"{parent} holds {inside.amount} of {item}")
                inside.amount -= amount
                state = self._arrives(item, lot.made_of, lot.expiry)
                if outer.state == QUARANTINED:
                    state = QUARANTINED
                self._add(item, outer.owner, amount, state)
            else:
                inside.amount = 0
                child = self._unit(item)
                child.state = self._unit_arrives(item, child, self._inside(item, child))
                if outer.state == QUARANTINED:
                    child.state = QUARANTINED
                child.holder, child.owner, child.parent = outer.holder, outer.owner, ""
                self.units.put(item, child)
            if inside.amount:
                self.contents.put((parent, item), inside)
            else:
                self.contents.delete((parent, item))
                outer.contents -= 1
        self.units.put(parent, outer)
        self._record("Unpacked", things, event, {"parent": parent})
        self._enter("Emptied", parent, event, {"contents": [thing.item for thing in things]})

    # --- moving -----------------------------------------------------------------------------

    @call(roles=HOLDERS)
    def ship(
        self,
        items: Things,
        consignee: OrganisationId,
        owner: OrganisationId | None = None,
        keep_ownership: bool = False,
        event: EventInfo | None = None,
    ) -> None:
        """Send things of one owner, with all that is in them, to another organisation.

        The caller's own pass to the consignee on receipt unless ``keep_ownership``. Those of
        another ``owner`` stay the owner's, who can sell them.
        """
        self._take_event(event)
        me = self.ctx.organisation
        whose = owner or me
        buyer = consignee if whose == me and not keep_ownership else whose
        if consignee == me:
            refuse("OWN_CONSIGNEE", "the consignee is the sender")
        self._check_active("UNKNOWN_CONSIGNEE", consignee)
        if buyer != whose:
            self._check_ti()
        names = [thing.item for thing in items]
        for thing in items:
            item = thing.item
            if is_lot(item):
                lot = self._lot_or_opened(thing)
                self._check_usable(item, lot.made_of, lot.expiry)
                amount = self._amount(thing, lot)
                missing = amount - self._stock_of(item, whose).free if lot.opened else 0
                self._open_missing(item, lot, whose, missing, RECEIVED)
                self._take(item, whose, amount)
                self._send(item, consignee, whose, buyer, amount)
                self._count_shipped(item, consignee, amount)
                continue
            unit = self._unit_or_opened(item, whose)
            self._check_usable(item, unit.made_of, unit.expiry)
            self._check_holder(item, unit)
            self._check_owner(item, unit, whose)
            inside = self._depart(item, unit, consignee, buyer)
            self._check_all_usable(inside)
            names += [content.item for content in inside]
        self._check_cleared(names, me)
        self._record(
            "Shipped", items, event, {"consignee": consignee, "owner": whose, "buyer": buyer}
        )

    @call(roles=HOLDERS, contracts=("recall",))
    def ship_back(
        self, items: Things, consignee: OrganisationId, owner: OrganisationId | None = None
    ) -> None:
        """Send things out of quarantine to who recalled them. Ownership stays where it is.

        They arrive in quarantine for as long as the hold stands.
        """
        whose = owner or self.ctx.organisation
        if consignee == self.ctx.organisation:
            refuse("OWN_CONSIGNEE", "the consignee is the sender")
        self._check_active("UNKNOWN_CONSIGNEE", consignee)
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._lot(item))
                self._take(item, whose, amount, QUARANTINED)
                self._send(item, consignee, whose, whose, amount)
                self._count_shipped(item, consignee, amount)
                continue
            unit = self._own_unit(item, APART)
            self._check_owner(item, unit, whose)
            if unit.state != QUARANTINED:
                refuse("NOT_QUARANTINED", f"{item} is {unit.state}")
            self._depart(item, unit, consignee, whose)
        detail = {"consignee": consignee, "owner": whose, "buyer": whose}
        self._record("ShippedBack", items, None, detail)

    @call(roles=HOLDERS)
    def receive(
        self,
        items: Things,
        sender: OrganisationId | None = None,
        event: EventInfo | None = None,
    ) -> None:
        """Take in what is on its way to the caller, in part too.

        Of a lot without a quantity all that is on its way is taken in. Held things go to
        quarantine, expired ones are set apart.
        """
        self._take_event(event)
        came, apart = [], []
        for thing in items:
            item, quantity = thing.item, thing.quantity
            if is_lot(item):
                quantity, state = self._receive_lot(thing, sender)
            else:
                state = self._receive_unit(item, sender)
            came.append(Thing(item, quantity))
            if state == QUARANTINED:
                apart.append(item)
        self._record("Received", came, event, {"quarantined": apart})
        if apart:
            self.emit("ReceivedIntoQuarantine", organisation=self.ctx.organisation, items=apart)

    @call(roles=HOLDERS)
    def void_shipping(
        self, items: Things, consignee: OrganisationId, event: EventInfo | None = None
    ) -> None:
        """Take back what the caller shipped and the consignee has not received: it did not leave,
        or came back, or got lost. It is the owner's, whose it was.
        """
        self._take_event(event)
        me = self.ctx.organisation
        for thing in items:
            item = thing.item
            if is_lot(item):
                lot = self._lot(item)
                wanted = self._amount(thing, lot)
                state = self._arrives(item, lot.made_of, lot.expiry)
                for way in self._off_the_way(item, consignee, wanted, me):
                    self._add(item, way.owner, way.amount, state)
                    self._count_shipped(item, consignee, -way.amount)
                    wanted -= way.amount
                if wanted:
                    refuse("NOT_IN_TRANSIT", f"{wanted} of {item} more than is on its way there")
                continue
            unit = self._unit(item)
            self._check_not_packed(item, unit)
            if unit.state != IN_TRANSIT or (unit.holder, unit.consignee) != (me, consignee):
                refuse("NOT_IN_TRANSIT", f"{item} is not on its way from {me} to {consignee}")
            inside = self._inside(item, unit)
            for name, amount in self._amounts_in(item, unit, inside).items():
                self._count_shipped(name, consignee, -amount)
            unit.state = self._unit_arrives(item, unit, inside)
            unit.consignee, unit.buyer = "", ""
            self.units.put(item, unit)
        self._record("ShippingVoided", items, event, {"consignee": consignee})

    @call(roles=HOLDERS)
    def sell(
        self,
        items: Things,
        holder: OrganisationId,
        buyer: OrganisationId,
        event: EventInfo | None = None,
    ) -> None:
        """Pass the ownership of things that lie at a holder, the caller or another."""
        self._take_event(event)
        me = self.ctx.organisation
        if buyer == me:
            refuse("OWN_BUYER", "the buyer is the seller")
        self._check_active("UNKNOWN_BUYER", buyer)
        self._check_ti()
        names = [thing.item for thing in items]
        for thing in items:
            item = thing.item
            if is_lot(item):
                amount = self._amount(thing, self._usable_lot(item))
                mine = self._stock_at(item, holder, me)
                if mine.free < amount:
                    refuse("TOO_LITTLE", f"{mine.free} of {item} there, {amount} wanted")
                mine.free -= amount
                self._put_stock(item, mine)
                theirs = self._stock_at(item, holder, buyer)
                theirs.free += amount
                self._put_stock(item, theirs)
                continue
            unit = self._usable_unit(item)
            self._check_lies_at(holder, item, unit, ())
            self._check_owner(item, unit, me)
            inside = self._inside(item, unit)
            self._check_all_usable(inside)
            names += [content.item for content in inside]
            unit.owner = buyer
            self.units.put(item, unit)
        self._check_cleared(names, holder)
        self._record("Sold", items, event, {"holder": holder, "buyer": buyer})

    # --- how --------------------------------------------------------------------------------

    def _check_active(self, code: str, organisation: str) -> None:
        if not self.invoke("identity", "is_active", id=organisation):
            refuse(code, f"{organisation} is no active organisation")

    def _check_sender(self, sender: str | None) -> None:
        """Refuse to write down that an unknown thing came from nobody who is known."""
        if sender is not None and self.invoke("identity", "organisation", id=sender) is None:
            refuse("UNKNOWN_ORGANISATION", f"{sender} is not registered")

    def _depart(self, item: str, unit: Unit, consignee: str, buyer: str) -> list[Content]:
        """Put a unit on its way: all that is in it."""
        unit.state, unit.consignee, unit.buyer = IN_TRANSIT, consignee, buyer
        self.units.put(item, unit)
        inside = self._inside(item, unit)
        for name, amount in self._amounts_in(item, unit, inside).items():
            self._count_shipped(name, consignee, amount)
        return inside

    def _unit_arrives(self, item: str, unit: Unit, inside: list[Content]) -> str:
        """The state of a unit that comes in or is unpacked: in quarantine with held contents."""
        if any([self._is_held(content.item) for content in inside]):
            return QUARANTINED
        return self._arrives(item, unit.made_of, unit.expiry)

    def _receive_lot(self, thing: Thing, sender: str | None) -> tuple[Quantity, str]:
        """Take in an amount of a lot, or all of it that is on its way: how much, and its state."""
        item, me = thing.item, self.ctx.organisation
        lot = self._lot_or_opened(thing)
        wanted = self._amount(thing, lot) if thing.quantity is not None else 0
        state = self._arrives(item, lot.made_of, lot.expiry)
        came = 0
        for way in self._off_the_way(item, me, wanted, sender):
            self._add(item, self._owner_on_receipt(way.owner, way.buyer), way.amount, state)
            self._count_received(item, way.sender, way.amount)
            came += way.amount
        if came < wanted and lot.opened and self._opens_unknown():
            missing = wanted - came
            self._check_sender(sender)
            self._open_missing(item, lot, me, missing, state)
            self._count_received(item, sender or "", missing)
            came = wanted
        elif came < wanted or came == 0:
            refuse("NOT_IN_TRANSIT", f"{wanted - came} of {item} more than is on its way here")
        return Quantity(came, lot.unit), state

    def _receive_unit(self, item: str, sender: str | None) -> str:
        """Take in a serial or logistic unit with all that is in it: its state."""
        me = self.ctx.organisation
        is_new = item not in self.units
        unit = self._unit_or_opened(item, me)
        if is_new:
            self._check_sender(sender)
            if not is_sscc(item):
                self._count_received(item, sender or "", 1)
            unit.state = self._arrives(item, [], 0)
            self.units.put(item, unit)
            return unit.state
        self._check_not_packed(item, unit)
        if unit.state != IN_TRANSIT:
            refuse("NOT_IN_TRANSIT", f"{item} is {unit.state}")
        if unit.consignee != me or (sender is not None and unit.holder != sender):
            refuse("NOT_CONSIGNEE", f"{item} is on its way to {unit.consignee}")
        inside = self._inside(item, unit)
        for name, amount in self._amounts_in(item, unit, inside).items():
            self._count_received(name, unit.holder, amount)
        unit.state = self._unit_arrives(item, unit, inside)
        unit.holder, unit.owner = me, self._owner_on_receipt(unit.owner, unit.buyer)
        unit.consignee, unit.buyer = "", ""
        self.units.put(item, unit)
        return unit.state
