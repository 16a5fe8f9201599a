"""Trade items as their makers register them, what the consortium does with the unknown, and what
quality and dscsa let go on: they lock and clear things here, so that nobody has to ask them.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Choice,
    Gtin,
    Int,
    Item,
    Map,
    OrganisationId,
    Text,
    call,
    iso_date,
    query,
    refuse,
    time_text,
)
from contracts.supply.holds import Holds
from contracts.supply.things import (
    WALK_MAX,
    Lock,
    Locks,
    Policy,
    Things,
    TradeItem,
    is_lot,
    is_serial,
    is_sscc,
)

DAY_MS: Final = 86_400_000
POLICY: Final = "policy"  # the one entry of the map
REFUSE: Final = "REFUSE"
OPEN: Final = "OPEN"
ACCEPTED: Final = "ACCEPTED"
CLEAR: Final = "CLEAR"
LOCKS_MAX: Final = 100  # of one thing: one for each contract and holder

Decision = Annotated[str, Choice(REFUSE, OPEN)]
UnitCode = Annotated[str, Text(3, 2, pattern="[A-Z0-9]+")]  # UN/ECE Recommendation 20
Days = Annotated[int, Int(0, 36_500)]
LockState = Annotated[
    str, Choice(CLEAR, "PENDING", ACCEPTED, "CONDITIONAL", "REJECTED", "SUSPECT", "ILLEGITIMATE")
]


class TradeItems(Holds):
    """Who makes which product, how its lots are counted, and how long they last."""

    trade_items = Map(TradeItem, key=("gtin",))
    policies = Map(Policy, key=("name",))
    locks = Map(Locks, key=("item",), hashed=("item",))

    @call(roles=("manufacturer",))
    def register_trade_item(
        self,
        gtin: Gtin,
        unit: UnitCode = "EA",
        shelf_life_days: Days = 0,
        inspection_required: bool = False,
    ) -> None:
        """Register a trade item as the caller's: nobody else then commissions it.

        ``unit`` is what its lots are counted in, for good. Registering it again changes the shelf
        life, for lots to come; 0 says that it has none. With ``inspection_required`` a lot is not
        shipped, sold, dispensed or released before contract quality accepted it.
        """
        known = self.trade_items.get(gtin)
        if known is not None and known.maker != self.ctx.organisation:
            refuse("NOT_MAKER", f"{gtin} is a trade item of {known.maker}")
        if known is not None and known.unit != unit:
            refuse("UNIT_MISMATCH", f"{gtin} is counted in {known.unit}")
        me = self.ctx.organisation
        item = TradeItem(gtin, me, unit, shelf_life_days, inspection_required)
        self.trade_items.put(gtin, item)
        self.emit(
            "TradeItemRegistered",
            gtin=gtin,
            maker=me,
            unit=unit,
            shelf_life_days=shelf_life_days,
            inspection_required=inspection_required,
        )

    @call(roles=("consortium_admin", "regulator"))
    def assign_trade_item(self, gtin: Gtin, maker: OrganisationId) -> None:
        """Give a trade item to another maker: the GTIN's prefix was licensed to it, or it took the
        product over. What was made so far stays the old maker's.
        """
        known = self.trade_items.get(gtin)
        if known is None:
            refuse("UNKNOWN_TRADE_ITEM", f"{gtin} is not registered")
        if not self.invoke("identity", "is_active", id=maker):
            refuse("UNKNOWN_MAKER", f"{maker} is no active organisation")
        before, known.maker = known.maker, maker
        self.trade_items.put(gtin, known)
        self.emit("TradeItemAssigned", gtin=gtin, maker=maker, before=before)

    @call(roles=("consortium_admin", "regulator"))
    def set_policy(
        self,
        unknown_items: Decision | None = None,
        unregistered_items: Decision | None = None,
        inspection_required: bool | None = None,
        dscsa: bool | None = None,
    ) -> None:
        """Decide what becomes of things that the chain has not seen before.

        ``unknown_items``: what is shipped, received or observed but was never commissioned is
        refused, or opened with a mark. ``unregistered_items``: so what is commissioned of a trade
        item that nobody registered. ``inspection_required``: whether every lot needs an accepted
        inspection before it is shipped. ``dscsa``: whether ownership passes only with transaction
        information and statement, by the contract dscsa. What is not named stays as it is.
        """
        policy = self._policy()
        policy.unknown_items = unknown_items or policy.unknown_items
        policy.unregistered_items = unregistered_items or policy.unregistered_items
        if inspection_required is not None:
            policy.inspection_required = inspection_required
        if dscsa is not None:
            policy.dscsa = dscsa
        self.policies.put(POLICY, policy)
        self.emit(
            "PolicySet",
            unknown_items=policy.unknown_items,
            unregistered_items=policy.unregistered_items,
            inspection_required=policy.inspection_required,
            dscsa=policy.dscsa,
        )

    @call(contracts=("quality", "dscsa"))
    def set_lock(
        self,
        item: Item,
        state: LockState,
        number: Annotated[int, Int(1)],
        holder: OrganisationId | None = None,
    ) -> None:
        """Take down what the calling contract says of a thing, or of a holder's stock of a lot.

        All but ACCEPTED keeps it from being released, shipped, sold and dispensed; CLEAR says
        nothing any more.
        """
        by, at = self.ctx.callers[-1], holder or ""
        known = self.locks.get(item) or Locks([])
        kept = [lock for lock in known.entries if (lock.contract, lock.holder) != (by, at)]
        if state != CLEAR:
            kept.append(Lock(by, at, state, number))
        if len(kept) > LOCKS_MAX:
            refuse("TOO_MANY_LOCKS", f"{item} has {LOCKS_MAX} locks")
        if kept:
            self.locks.put(item, Locks(kept))
        else:
            self.locks.delete(item)
        self.emit("LockSet", item=item, contract=by, holder=at, state=state, number=number)

    @query
    def policy(self) -> Policy:
        """What the consortium decided."""
        return self._policy()

    @query
    def trade_item(self, gtin: Gtin) -> TradeItem | None:
        """A trade item as its maker registered it."""
        return self.trade_items.get(gtin)

    @query
    def makers(self, items: Things) -> list[str]:
        """Whose these things are to recall: their makers, and of lots that were never commissioned
        those who registered the trade item. Empty where nobody is known.
        """
        found: list[str] = []
        for thing in items:
            item = thing.item
            if is_lot(item) and item not in self.lots:
                known = self.trade_items.get(item[3:17])
                found.append(known.maker if known else "")
            else:
                found.append(self._check_known(item))
        return found

    @query
    def locks_of(self, item: Item) -> list[Lock]:
        """What quality and dscsa say of a thing."""
        known = self.locks.get(item)
        return known.entries if known else []

    def _policy(self) -> Policy:
        return self.policies.get(POLICY) or Policy()

    def _opens_unknown(self) -> bool:
        return self._policy().unknown_items == OPEN

    def _check_commissionable(self, gtin: str, unit: str, expiry: int) -> None:
        """Whether the caller may make this trade item, to last so long, and counted so; serials
        are counted by themselves, with ``unit`` empty.
        """
        item = self.trade_items.get(gtin)
        if item is None:
            if self._policy().unregistered_items == REFUSE:
                refuse("UNKNOWN_TRADE_ITEM", f"{gtin} is not registered")
            return
        if item.maker != self.ctx.organisation:
            refuse("NOT_MAKER", f"{gtin} is a trade item of {item.maker}")
        if unit and item.unit != unit:
            refuse("UNIT_MISMATCH", f"{gtin} is counted in {item.unit}")
        if item.shelf_life_days:
            if not expiry:
                refuse(
                    "EXPIRY_REQUIRED", f"{gtin} lasts {item.shelf_life_days} days: say till when"
                )
            last_ms = self.ctx.time_ms + item.shelf_life_days * DAY_MS
            if expiry > iso_date(time_text(last_ms)[:10]):
                refuse("EXPIRY_TOO_LATE", f"{gtin} lasts {item.shelf_life_days} days")

    # --- clearance --------------------------------------------------------------------------

    def _check_cleared(self, items: list[str], holder: str) -> None:
        """Refuse what is locked at this holder, or needs an accepted inspection and has none.

        What stands on a thing stands on its serials, and on what was made of it of the same trade
        item, as long as that was not accepted itself.
        """
        for_all = self._policy().inspection_required
        seen: dict[str, bool] = {}  # lots -> whether they were accepted
        for item in items:
            is_accepted = self._check_locks(item, holder)
            if is_sscc(item):
                continue
            lot = item
            origins: list[str] = []
            if is_serial(item):
                unit = self.units.get(item)
                lot = unit.lot if unit else ""
                if unit is not None:
                    origins = [name for name in unit.parents if name[:17] == item[:17]]
            if lot and lot not in seen:
                seen[lot] = self._check_lot(lot, holder)
            is_accepted = is_accepted or seen.get(lot, False)
            if origins and not is_accepted:
                for name in origins:
                    if name not in seen:
                        seen[name] = self._check_lot(name, holder)
                is_accepted = all([seen[name] for name in origins])
            if is_accepted:
                continue
            known = self.trade_items.get(item[3:17])
            if for_all or (known is not None and known.inspection_required):
                refuse("INSPECTION_REQUIRED", f"no inspection has accepted {item}")

    def _check_lot(self, lot: str, holder: str) -> bool:
        """Whether a thing, or all of its trade item that it was made of, was accepted."""
        waiting, seen, accepted = [lot], {lot: True}, True
        for _ in range(WALK_MAX):
            if not waiting:
                return accepted
            name = waiting.pop()
            if self._check_locks(name, holder):
                continue
            origins = [one for one in self._made_of(name) if one[:17] == name[:17]]
            if not origins:
                accepted = False
            for origin in origins:
                if origin not in seen:
                    seen[origin] = True
                    waiting.append(origin)
        refuse("LINEAGE_TOO_LARGE", f"{lot} was made of more than {WALK_MAX} things")

    def _check_locks(self, item: str, holder: str) -> bool:
        """Whether a thing was accepted. Refuses what is locked."""
        known = self.locks.get(item)
        if known is None:
            return False
        accepted = False
        for lock in known.entries:
            if lock.holder in ("", holder):
                if lock.state != ACCEPTED:
                    refuse("LOCKED", f"{item}: {lock.contract} {lock.number} is {lock.state}")
                accepted = True
        return accepted

    def _check_not_suspect(self, items: list[str], holder: str) -> None:
        """Refuse to make anything of what is in a case of suspect product, or was split off it."""
        waiting = list(items)
        seen: dict[str, bool] = {}
        for _ in range(WALK_MAX):
            if not waiting:
                return
            name = waiting.pop()
            known = self.locks.get(name)
            for lock in known.entries if known is not None else []:
                if lock.contract == "dscsa" and lock.holder in ("", holder):
                    refuse("LOCKED", f"{name}: dscsa {lock.number} is {lock.state}")
            for origin in self._made_of(name):
                if origin[:17] == name[:17] and origin not in seen:
                    seen[origin] = True
                    waiting.append(origin)
        refuse("LINEAGE_TOO_LARGE", f"{items[0]} was made of more than {WALK_MAX} things")

    # --- ownership --------------------------------------------------------------------------

    def _check_ti(self) -> None:
        """Refuse a change of ownership without transaction information, where that is the law."""
        if self._policy().dscsa and "dscsa" not in self.ctx.callers:
            refuse("TI_REQUIRED", "ownership passes by dscsa.ship or dscsa.transfer")

    def _owner_on_receipt(self, owner: str, buyer: str) -> str:
        """The buyer; the owner still, where either may no longer trade under the DSCSA."""
        if owner == buyer or not self._policy().dscsa:
            return buyer
        may = self.invoke("dscsa", "may_trade", seller=owner, buyer=buyer)
        return buyer if may else owner
