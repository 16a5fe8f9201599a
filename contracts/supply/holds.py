"""Holds: what stands on a thing stands on all that was made of it.

A **holding** is what one call held: the things it named, and their descendants. It spreads to these
by timed calls, so many in each that they keep within their steps; until it is complete, whoever
moves a thing has all its ancestors looked at, so it stands from the first moment on. What is held
is not made into other things, so that nothing is missing when it is complete. It is lifted by timed
calls, too.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import Counter, Int, Item, Map, Record, call, query, refuse, timed
from contracts.supply.lineage import Lineage
from contracts.supply.things import (
    CONSUMED,
    DECOMMISSIONED,
    DESTROYED,
    DISPENSED,
    IN_TRANSIT,
    WALK_MAX,
    Cause,
    Content,
    Flow,
    Lot,
    Note,
    Thing,
    Things,
    Unit,
    Use,
    is_lot,
)

# What one timed call does, of 1,000,000 steps: holding a child costs as much as five looks.
WORK_MAX: Final = 360
CHILD_WORK: Final = 5
PAGE: Final = 20  # children that are read at once
LIFT_WORK_MAX: Final = 150  # of lifting: what the call named goes into its history, too
NAMED_WORK: Final = 4
WORKERS: Final = 4  # timed calls that work on one holding in each block
SHOWN_HOLDS_MAX: Final = 100
FLOWS_MAX: Final = 500  # pairs of sender and receiver between whom one lot moved
USES_MAX: Final = 3_000  # days on which holders made an end of some of one lot
# Events whose organisation need not have had the thing.
STAYING: Final = ("Observed", "Recalled", "RecallTerminated", "Detained", "DetentionEnded")
ENDED: Final = (DISPENSED, DECOMMISSIONED, DESTROYED, CONSUMED)

Number = Annotated[int, Int(1)]
Position = Annotated[int, Int(0)]
Count = Annotated[int, Int(1, 1_000)]


class Hold(Record):
    """That a thing stands still, and by which holding. ``recall`` 0: a regulator's own hold."""

    holding: int
    recall: int
    by: str
    lifted: bool = False  # it stood


class Account(Record):
    """What became of a lot, or of a serial whose lot a recall does not cover.

    ``made`` at the creator; where it was never commissioned, the creator is empty. A serial moves
    with its lot's flows, which are not here: it has its state and its outermost unit's holder.
    """

    item: str
    unit: str
    made: int
    creator: str
    flows: list[Flow]
    uses: list[Use]
    state: str = ""
    holder: str = ""
    consignee: str = ""  # while it is on its way there
    went_out: bool = False  # it was at others than its creator, or on the way there
    looked: int = 0  # entries of its history that were looked at
    lot: str = ""  # that a serial is of
    by_lot: bool = False  # its flows and uses are its lot's, which the recall covers


class Holding(Record):
    """A hold on some things and all that was made of them; heights are of blocks."""

    recall: int
    by: str
    cause: str
    since: int
    things: int  # named by the call
    count: int  # held so far, descendants included
    looked: int = 0  # of these, how many had all their children looked at
    child: int = 0  # of the next, how many children were looked at
    complete_to: int = 0  # all that was made up to this height is held; 0: still spreading
    lifting: bool = False
    lifted: int = 0  # of ``count``, how many are held no more
    lifted_at: int = 0  # 0: not yet all


class Holds(Lineage):
    """What may move and what may not."""

    holds = Map(Hold, key=("item", "number"), hashed=("item",))
    holdings = Map(Holding, key=("number",))
    # Both derived from `holds`, whose entries are in the audit trail: the holding by recall.
    held = Map(str, key=("number", "position"), audited=False)
    recall_holds = Map(int, key=("item", "recall"), hashed=("item",), audited=False)
    holding_numbers = Counter()
    spreading = Counter()  # holdings that are not yet complete

    # --- what must hold ---------------------------------------------------------------------

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
            what = f"recall {hold.recall}" if hold.recall else f"hold {hold.holding}"
            refuse("HELD", f"{item} is held by {what} of {hold.by}")

    def _is_held(self, item: str) -> bool:
        return self._hold_on(item, self._made_of(item)) is not None

    def _hold_on(self, item: str, made_of: list[str], recall: int | None = None) -> Hold | None:
        """The hold on a thing, of any recall or this one. While any holding spreads, so for its
        lot, and all that it was made of.
        """
        hold = self._own_hold(item, recall)
        if hold is not None or not made_of or self.spreading.value == 0:
            return hold
        origins, seen = list(made_of), {item: True}
        for at in range(WALK_MAX):
            if at == len(origins):
                return None
            hold = self._own_hold(origins[at], recall)
            if hold is not None:
                return hold
            for origin in self._made_of(origins[at]):
                if origin not in seen:
                    seen[origin] = True
                    origins.append(origin)
        refuse("LINEAGE_TOO_LARGE", f"{item} was made of more than {WALK_MAX} things")

    def _own_hold(self, item: str, recall: int | None) -> Hold | None:
        if recall is not None:
            number = self.recall_holds.get((item, recall))
            found = None if number is None else self.holds.get((item, number))
            return None if found is None or found.lifted else found
        for hold in self.holds.values(item):
            if not hold.lifted:
                return hold
        return None

    # --- holding ----------------------------------------------------------------------------

    @call(contracts=("recall",))
    def hold(self, items: Things, recall: Number) -> int:
        """Hold things and all that was or will be made of them: the holding's number.

        Also lots that were never commissioned here: they go to quarantine wherever they turn up.
        """
        return self._hold(items, recall, "RECALLED")

    @call(contracts=("recall",))
    def lift(self, number: Number) -> None:
        """Lift a recall's holding."""
        self._lift(number)

    @call(roles=("regulator",), meaning="approval")
    def detain(self, items: Things, cause: Cause = "SUSPECT", note: Note | None = None) -> int:
        """A regulator's own hold, without a recall: the holding's number."""
        number = self._hold(items, 0, cause)
        if note is not None:
            self.emit("DetentionNote", number=number, note=note)
        return number

    @call(roles=("regulator",), meaning="approval")
    def end_detention(self, number: Number) -> None:
        """Lift a regulator's own hold."""
        if self._holding(number).recall:
            refuse("WRONG_STATE", f"hold {number} is a recall's, which ends with it")
        self._lift(number)

    @call
    def go_on_holding(self, number: Number) -> None:
        """Go on with a holding whose timed calls stopped, out of their organisation's quota."""
        holding = self._holding(number)
        if holding.lifting and not holding.lifted_at:
            self.due(self.ctx.time_ms, "go_on_lifting", number=number)
        elif not holding.complete_to:
            self.due(self.ctx.time_ms, "spread", number=number)
        else:
            refuse("WRONG_STATE", f"hold {number} is complete")

    @timed
    def spread(self, number: Number) -> None:
        """Hold the next descendants."""
        holding = self._holding(number)
        if holding.complete_to or holding.lifting:
            return
        work = 0
        while holding.looked < holding.count and work < WORK_MAX:
            item = self._held_at(number, holding.looked)
            children = self._children(item, holding.child, PAGE)
            for child in children:
                self._put_hold(child, number, holding)
            holding.child += len(children)
            if len(children) < PAGE:
                holding.looked, holding.child = holding.looked + 1, 0
            work += 1 + CHILD_WORK * len(children)
        if holding.looked == holding.count:
            holding.complete_to = self.ctx.height
            self.spreading.add(-1)
            self.emit("HoldComplete", number=number, recall=holding.recall, things=holding.count)
        else:
            self.due(self.ctx.time_ms, "spread", number=number)
        self.holdings.put(number, holding)

    @timed
    def go_on_lifting(self, number: Number) -> None:
        """Lift the hold from the next things."""
        holding = self._holding(number)
        if holding.lifted_at:
            return
        work, name = 0, "RecallTerminated" if holding.recall else "DetentionEnded"
        while holding.lifted < holding.count and work < LIFT_WORK_MAX:
            item = self._held_at(number, holding.lifted)
            self.holds.put((item, number), Hold(number, holding.recall, holding.by, True))
            if holding.lifted < holding.things:
                self._enter(name, item, None, {"recall": holding.recall, "hold": number})
                work += NAMED_WORK
            holding.lifted += 1
            work += 1
        if holding.lifted == holding.count:
            holding.lifted_at = self.ctx.height
            self.emit("HoldLifted", number=number, recall=holding.recall, things=holding.count)
        else:
            self.due(self.ctx.time_ms, "go_on_lifting", number=number)
        self.holdings.put(number, holding)

    # --- asking -----------------------------------------------------------------------------

    @query
    def holding(self, number: Number) -> Holding | None:
        """What one call held, and how far that has spread, or was lifted."""
        return self.holdings.get(number)

    @query
    def held_things(self, number: Number, start: Position = 0, limit: Count = 100) -> list[str]:
        """What a holding holds, or held, origins first, from the ``start``-th thing on."""
        holding = self._holding(number)
        found: list[str] = []
        for position in range(start, min(start + limit, holding.count)):
            found.append(self._held_at(number, position))
        return found

    @query
    def holds_on(self, item: Item) -> list[Hold]:
        """The holds that stand, or stood, on a thing itself."""
        return list(self.holds.values(item, limit=SHOWN_HOLDS_MAX))

    @query
    def covered(self, items: Things, recall: Number) -> list[bool]:
        """Whether a recall's hold stands on each of these things."""
        return [
            self._hold_on(thing.item, self._made_of(thing.item), recall) is not None
            for thing in items
        ]

    @query
    def holders_of(self, item: Item) -> dict[str, Any]:
        """Every organisation that ever had some of a lot, or may have had a serial, and those who
        own any where it lies; ``looked`` is how many entries that took to find out, and
        ``complete`` whether there were not more than one call looks at.
        """
        found = {self._account_creator(item): True}
        lot, looked = item, 1
        if not is_lot(item):
            unit = self._unit(item)
            lot = unit.lot or item
            outermost = self._unit(self._with_parents(item)[-1])
            found[outermost.holder] = found[outermost.owner] = True
        for flow in self.flows.values(lot, limit=FLOWS_MAX):
            found[flow.sender] = found[flow.receiver] = True
            looked += 1
        is_complete = looked <= FLOWS_MAX
        for at, stock in enumerate(self.stock.values(lot, limit=FLOWS_MAX)):
            found[stock.holder] = found[stock.owner] = True
            looked += 1
            is_complete = is_complete and at + 1 < FLOWS_MAX
        holders = [one for one in sorted(found) if one]
        return {"holders": holders, "looked": looked, "complete": is_complete}

    @query
    def account(self, item: Item, recall: Number) -> Account:
        """What became of a thing that a recall covers."""
        creator = self._account_creator(item)
        if is_lot(item):
            lot = self.lots.get(item) or Lot("", "EA", 0, 0, 0, [])
            uses: list[Use] = list(self.uses.values(item, limit=USES_MAX + 1))
            if len(uses) > USES_MAX:
                refuse("TOO_MANY_FLOWS", f"{item} was used on more than {USES_MAX} days")
            return Account(item, lot.unit, lot.made, creator, self._flows_of(item), uses)
        unit = self._unit(item)
        outermost = self._unit(self._with_parents(item)[-1])
        found = Account(item, "EA", 1, creator, [], [], outermost.state, outermost.holder)
        found.consignee = outermost.consignee or ""
        if unit.state in ENDED:
            found.state = unit.state
        if unit.lot:
            found.lot = unit.lot
            found.by_lot = (unit.lot, recall) in self.recall_holds
            known = self.lots.get(unit.lot)
            if found.by_lot and known is not None:
                found.unit = known.unit  # in which its lot's flows and uses count it
        found.went_out = outermost.holder != creator or outermost.state == IN_TRANSIT
        for entry in self.history.values(item, limit=FLOWS_MAX):
            found.looked += 1
            moved = entry.event == "Shipped" or entry.organisation != creator
            if moved and entry.event not in STAYING:
                found.went_out = True
        return found

    # --- how --------------------------------------------------------------------------------

    def _hold(self, items: list[Thing], recall: int, cause: str) -> int:
        number = self.holding_numbers.add()
        new = Holding(recall, self.ctx.organisation, cause, self.ctx.height, len(items), 0)
        for thing in items:
            self._put_hold(thing.item, number, new)
        self.holdings.put(number, new)
        self.spreading.add(1)
        for _ in range(WORKERS):
            self.due(self.ctx.time_ms, "spread", number=number)
        name = "Recalled" if recall else "Detained"
        self._record(name, items, None, {"recall": recall, "hold": number, "cause": cause})
        return number

    def _put_hold(self, item: str, number: int, holding: Holding) -> None:
        """Hold a thing, once for each recall: all its holdings are lifted together."""
        if (item, number) in self.holds:
            return
        if holding.recall:
            if (item, holding.recall) in self.recall_holds:
                return
            self.recall_holds.put((item, holding.recall), number)
        self.holds.put((item, number), Hold(number, holding.recall, holding.by))
        self.held.put((number, holding.count), item)
        holding.count += 1

    def _lift(self, number: int) -> None:
        """Have a hold lifted, from now on; what it names is told of it in the timed calls."""
        holding = self._holding(number)
        if holding.lifting:
            refuse("WRONG_STATE", f"hold {number} is being lifted already")
        if not holding.complete_to:
            self.spreading.add(-1)
        holding.lifting = True
        self.holdings.put(number, holding)
        for _ in range(WORKERS):
            self.due(self.ctx.time_ms, "go_on_lifting", number=number)
        name = "RecallTerminated" if holding.recall else "DetentionEnded"
        self.emit(name, number=number, recall=holding.recall, things=holding.things)

    def _holding(self, number: int) -> Holding:
        holding = self.holdings.get(number)
        if holding is None:
            refuse("UNKNOWN_HOLD", f"there is no hold {number}")
        return holding

    def _held_at(self, number: int, position: int) -> str:
        item = self.held.get((number, position))
        if item is None:
            refuse("UNKNOWN_HOLD", f"hold {number} has no thing {position}")
        return item

    def _account_creator(self, item: str) -> str:
        """Where a thing was made: a lot that was split off belongs to its maker, but was made by
        who split it. Empty where it was never commissioned.
        """
        if not is_lot(item):
            return self._unit(item).maker
        lot = self.lots.get(item)
        if lot is None or lot.opened:
            return ""
        for entry in self.history.values(item, limit=SHOWN_HOLDS_MAX):
            if entry.event not in STAYING:
                return entry.organisation
        return lot.maker

    def _flows_of(self, item: str) -> list[Flow]:
        """How a lot moved. Refuses TOO_MANY_FLOWS rather than to leave any out."""
        flows: list[Flow] = list(self.flows.values(item, limit=FLOWS_MAX + 1))
        if len(flows) > FLOWS_MAX:
            refuse("TOO_MANY_FLOWS", f"{item} moved between more than {FLOWS_MAX} pairs")
        return flows
