"""What the benchmark calls a batch transfer: role, read, validate, two writes, one event."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Contract,
    Date,
    Int,
    Item,
    Map,
    OrganisationId,
    Record,
    Text,
    call,
    query,
    refuse,
)

HELD: Final = "HELD"
BLOCKED: Final = "BLOCKED"
AMOUNT_MAX: Final = 1_000_000_000


class Lot(Record):
    item: Item
    maker: OrganisationId
    holder: OrganisationId
    state: str
    amount: int
    unit: str
    expiry: Date
    moves: int = 0


class Move(Record):
    """One change of hands. Times are milliseconds."""

    sender: OrganisationId
    receiver: OrganisationId
    amount: int
    time: int
    reference: str


class Transfer(Contract):
    """Lots that change hands as a whole."""

    name = "transfer"

    lots = Map(Lot, key=("item",), hashed=("item",))
    moves = Map(Move, key=("item", "number"), hashed=("item",))

    @call(roles=("manufacturer",))
    def make(self, item: Item, amount: Annotated[int, Int(1, AMOUNT_MAX)], expiry: Date) -> None:
        """Bring a lot into being."""
        me = self.ctx.organisation
        if item in self.lots:
            refuse("LOT_KNOWN", f"{item} exists already")
        self.lots.put(item, Lot(item, me, me, HELD, amount, "EA", expiry))
        self.emit("Made", item=item, maker=me, amount=amount)

    @call(roles=("manufacturer", "wholesaler", "dispenser"))
    def move(
        self, item: Item, receiver: OrganisationId, reference: Annotated[str, Text(64, 0)] = ""
    ) -> None:
        """Hand a lot over."""
        me = self.ctx.organisation
        lot = self.lots.get(item)
        if lot is None:
            refuse("UNKNOWN_LOT", f"{item} was never made")
        if lot.holder != me:
            refuse("NOT_HOLDER", f"{item} is with {lot.holder}")
        if lot.state != HELD:
            refuse("WRONG_STATE", f"{item} is {lot.state}")
        if lot.expiry < self.ctx.today:
            refuse("EXPIRED", f"{item} expired on {lot.expiry}")
        if receiver == me:
            refuse("OWN_LOT", f"{item} is the caller's own")
        lot.holder = receiver
        lot.moves += 1
        self.lots.put(item, lot)
        self.moves.put(
            (item, lot.moves), Move(me, receiver, lot.amount, self.ctx.time_ms, reference)
        )
        self.emit("Moved", item=item, sender=me, receiver=receiver, amount=lot.amount)

    @query
    def lot(self, item: Item) -> Lot | None:
        """What is known of a lot."""
        return self.lots.get(item)
