"""EPCIS events: captured for good, whatever they do.

**Capture and effect are two things.** Any valid event is captured: its public dimensions stand in
clear, the whole document as a commitment whose opening the parties keep, and CBV's event hash makes
sure that it is captured once, in whatever syntax it comes. Then its effect on the ledger is tried:
a transition of the batch contract, or a refusal whose code stands beside the event.

An error declaration corrects without deleting: the event stays, and beside it stands that it was
wrong, why, and which events say what was right.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Contract,
    ContractError,
    Counter,
    Date,
    DocumentHash,
    Int,
    Item,
    Map,
    call,
    iso_date,
    query,
    refuse,
    time_text,
)
from contracts.supply.epcis_records import (
    CHILD,
    INPUT,
    NO_EFFECT,
    OBJECT,
    OK,
    OUTPUT,
    PARENT,
    Code,
    DeclaredError,
    Document,
    EpcisEvent,
    ErrorDeclaration,
    EventId,
    Recorded,
    ThingPath,
)

EVENT_AHEAD_MAX_MS: Final = 600_000  # how far an event's time may lie ahead of the block's
PAGE: Final = 100  # events that one answer gives
DISPENSING: Final = ("dispensing", "retail_selling")
DISPENSED: Final = ("dispensed", "retail_sold")
SHIPPING: Final = ("shipping", "consigning")
# Steps that would change the state of things if they came with the right action or type.
NOT_BY_OBSERVING: Final = ("decommissioning", "destroying", *DISPENSING)
# Why an event is no transition here.
WITHOUT: Final = (
    "CONSIGNEE_REQUIRED",
    "PARENT_REQUIRED",
    "STEP_NOT_COVERED",
    "TRANSFORMATION_IN_PARTS",
)
HEX: Final = "0123456789ABCDEF"
# ASCII from the space on, for the %XX of paths.
MARKS: Final = " !\"#$%&'()*+,-./0123456789:;<=>?"

After = Annotated[int, Int(0)]


class Epcis(Contract):
    """GS1 EPCIS events with what they did."""

    name = "epcis"
    audited = True

    numbers = Counter()
    events = Map(Recorded, key=("number",))
    # Ways to the events, which say who captured them.
    by_hash = Map(int, key=("hash",), hashed=("hash",), audited=False)
    by_id = Map(int, key=("event_id",), hashed=("event_id",), audited=False)
    by_thing = Map(int, key=("thing", "number"), hashed=("thing",), audited=False)
    by_day = Map(int, key=("day", "number"), audited=False)
    errors = Map(DeclaredError, key=("number",))

    # --- capturing --------------------------------------------------------------------------

    @call
    def capture(self, event: EpcisEvent, document: Document, without: Code = "") -> dict[str, Any]:
        """Capture an event and try its effect: its number, the effect, and the effect's code.

        ``without`` says why no effect can be tried: what the document says of it does not fit the
        ledger. An event that was captured before is refused by its hash, unless it now declares an
        error, or another's capture of it had no effect: nobody can block an event by sending a copy
        first. An eventID that is used again leads to the first event that had it.
        """
        if event.time > self.ctx.time_ms + EVENT_AHEAD_MAX_MS:
            refuse("EVENT_IN_FUTURE", "the event's time lies ahead of the block's")
        known = self.by_hash.get(event.hash)
        if known is not None and event.error is None:
            self._check_new(known)
        if event.error is not None:
            known = known or self._own_by_id(event.event_id)
            if known is not None:
                return self._declare(known, event.error, document)
        number = self.numbers.add()
        effect, code = self._effect_of(event, without)
        self.events.put(
            number,
            Recorded(
                number,
                event,
                document,
                effect,
                code,
                self.ctx.organisation,
                self.ctx.caller,
                self.ctx.height,
                self.ctx.time_ms,
                self.ctx.tx_id,
            ),
        )
        self.by_hash.put(event.hash, number)
        if event.event_id and event.event_id not in self.by_id:
            self.by_id.put(event.event_id, number)
        self.by_day.put((self._day(event.time), number), number)
        for one in event.things or []:
            self.by_thing.put((one.thing, number), number)
        self.emit("Captured", number=number, hash=event.hash, effect=effect, effect_code=code)
        return {"number": number, "effect": effect, "code": code}

    @call
    def declare_error(
        self, event_id: EventId, error: ErrorDeclaration, document: Document | None = None
    ) -> dict[str, Any]:
        """Declare an own captured event wrong, by its eventID. Nothing is deleted or undone."""
        known = self._number_by_id(event_id)
        if known is None:
            refuse("UNKNOWN_EVENT", f"no event {event_id} was captured")
        return self._declare(known, error, document)

    def _check_new(self, known: int) -> None:
        recorded = self._recorded(known)
        if recorded.organisation == self.ctx.organisation or recorded.effect_code == OK:
            refuse("DUPLICATE_EVENT", f"the event was captured already, as number {known}")

    def _number_by_id(self, event_id: str) -> int | None:
        return self.by_id.get(event_id) if event_id else None

    def _own_by_id(self, event_id: str) -> int | None:
        """The caller's own event of an eventID that still stands as it was captured."""
        number = self._number_by_id(event_id)
        if number is None or number in self.errors:
            return None
        recorded = self._recorded(number)
        is_own = recorded.organisation == self.ctx.organisation
        return number if is_own and recorded.event.error is None else None

    def _declare(
        self, number: int, error: ErrorDeclaration, document: bytes | None
    ) -> dict[str, Any]:
        recorded = self._recorded(number)
        if recorded.organisation != self.ctx.organisation:
            refuse("NOT_OWN_EVENT", "another organisation captured the event")
        if recorded.event.error is not None or number in self.errors:
            refuse("DUPLICATE_EVENT", f"event {number} was declared wrong before")
        declared = DeclaredError(
            error, document, self.ctx.organisation, self.ctx.height, self.ctx.tx_id
        )
        self.errors.put(number, declared)
        self.emit("ErrorDeclared", number=number, hash=recorded.event.hash, reason=error.reason)
        return {"number": number, "effect": "epcis.declare_error", "code": OK}

    # --- its effect -------------------------------------------------------------------------

    def _effect_of(self, event: EpcisEvent, without: str) -> tuple[str, str]:
        """What the event does, and how that ended."""
        if event.error is not None:
            return "", NO_EFFECT  # a declared error that is captured with its declaration
        if event.type in ("TransactionEvent", "AssociationEvent"):
            return "", NO_EFFECT
        if not event.things and not event.unnamed:
            return "", NO_EFFECT  # sensor data alone
        if without:
            return "", without
        if event.unnamed:
            return "", "THINGS_NOT_NAMED"
        method, args = self._transition(event)
        if method in WITHOUT:
            return "", method
        contract = "recall" if method == "initiate" else "batch"
        if contract == "batch":
            args["event"] = {
                "id": event.event_id,
                "hash": event.hash,
                "time": event.time,
                "place": event.read_point or "",
            }
        try:
            self.invoke(contract, method, **args)
        except ContractError as error:
            return f"{contract}.{method}", error.code
        return f"{contract}.{method}", OK

    def _transition(self, event: EpcisEvent) -> tuple[str, dict[str, Any]]:
        """Which method of the batch or recall contract the event is, and its arguments; or a code
        that says why none.
        """
        if event.type == "TransformationEvent":
            return self._transformation(event)
        parent = things_of(event, PARENT)
        if event.type == "AggregationEvent" and event.action != "OBSERVE":
            if not parent:
                return "PARENT_REQUIRED", {}
            found: dict[str, Any] = {"parent": parent[0]["item"]}
            found["items"] = things_of(event, CHILD)
            return ("pack" if event.action == "ADD" else "unpack"), found
        # A unit that is seen with its contents is what moves; they move with it.
        items = parent or things_of(event, CHILD) or things_of(event, OBJECT)
        args: dict[str, Any] = {"items": items}
        step, disposition = event.step, event.disposition
        if event.action == "ADD":
            args["expiry"] = event.expiry
            if event.lot is not None:
                args["lot"] = event.lot
            return "commission", args
        if event.action == "DELETE":
            if step in DISPENSING or disposition in DISPENSED:
                return "dispense", args
            destroyed = step == "destroying" or disposition == "destroyed"
            args["state"] = "DESTROYED" if destroyed else "DECOMMISSIONED"
            return "decommission", args
        if step in SHIPPING:
            if event.consignee is None:
                return "CONSIGNEE_REQUIRED", args
            args["consignee"] = event.consignee
            args["keep_ownership"] = event.keep_ownership
            if event.owner is not None:
                args["owner"] = event.owner
            return "ship", args
        if step == "void_shipping":
            if event.consignee is None:
                return "CONSIGNEE_REQUIRED", args
            args["consignee"] = event.consignee
            return "void_shipping", args
        if step == "receiving":
            if event.sender is not None:
                args["sender"] = event.sender
            return "receive", args
        if disposition == "recalled":
            if "manufacturer" not in self.ctx.roles:
                args["cause"] = "RECALLED"
                return "quarantine", args
            named = event.event_id or event.hash.hex()
            product = f"The things that EPCIS event {named} names"
            args["announcement"] = {"product": product, "reason": "Observed as recalled"}
            return "initiate", args
        if step == "holding":
            return "quarantine", args
        if step in DISPENSING and disposition in DISPENSED:
            return "dispense", args
        if step in NOT_BY_OBSERVING:
            return "STEP_NOT_COVERED", args
        args["step"] = step
        args["disposition"] = disposition
        return "observe", args

    def _transformation(self, event: EpcisEvent) -> tuple[str, dict[str, Any]]:
        inputs, outputs = things_of(event, INPUT), things_of(event, OUTPUT)
        if not inputs or not outputs:
            return "TRANSFORMATION_IN_PARTS", {}
        if event.step == "repackaging" and is_split(inputs, outputs):
            parts = [
                {"lot": unescaped(one["item"][21:]), "amount": one["quantity"]["amount"]}
                for one in outputs
            ]
            return "split", {"item": inputs[0]["item"], "parts": parts}
        args: dict[str, Any] = {"inputs": inputs, "outputs": outputs, "expiry": event.expiry}
        if event.lot is not None:
            args["lot"] = event.lot
        yields = yields_of(inputs, outputs)
        if yields:
            args["yields"] = yields
        return "transform", args

    # --- asking -----------------------------------------------------------------------------

    @query
    def event(self, number: After) -> Recorded | None:
        """An event by its number."""
        return self.events.get(number)

    @query
    def event_by_hash(self, hash: DocumentHash) -> Recorded | None:
        """An event by its CBV event hash."""
        number = self.by_hash.get(hash)
        return None if number is None else self.events.get(number)

    @query
    def event_by_id(self, event_id: EventId) -> Recorded | None:
        """An event by its eventID."""
        number = self._number_by_id(event_id)
        return None if number is None else self.events.get(number)

    @query
    def error_of(self, number: After) -> DeclaredError | None:
        """The declaration that an event was wrong."""
        return self.errors.get(number)

    @query
    def page(self, after: After = 0, from_height: After = 0) -> list[Recorded]:
        """The events behind number ``after``, from a height on, in the chain's order: a page."""
        first = max(after, self._last_below(from_height)) + 1
        last = min(first + PAGE, self.numbers.value + 1)
        return [self._recorded(number) for number in range(first, last)]

    @query
    def events_of(self, item: Item, after: After = 0) -> list[Recorded]:
        """The events that name a lot, serial or logistic unit, behind number ``after``: a page."""
        return self._page_of(item, after)

    @query
    def events_of_thing(self, thing: ThingPath, after: After = 0) -> list[Recorded]:
        """The events that name another GS1 key, such as an asset's 8004/..."""
        return self._page_of(thing, after)

    @query
    def events_of_day(self, day: Date, after: After = 0) -> list[Recorded]:
        """The events whose own time lies in a day (UTC), behind number ``after``: a page."""
        found: list[Recorded] = []
        for number in self.by_day.values((day,)):
            if number > after and len(found) < PAGE:
                found.append(self._recorded(number))
        return found

    def _page_of(self, thing: str, after: int) -> list[Recorded]:
        found: list[Recorded] = []
        for number in self.by_thing.values((thing,)):
            if number > after and len(found) < PAGE:
                found.append(self._recorded(number))
        return found

    def _last_below(self, height: int) -> int:
        """The number of the last event below a height: numbers grow with heights."""
        low, high = 0, self.numbers.value
        for _ in range(64):
            if low >= high:
                return low
            middle = (low + high + 1) // 2
            if self._recorded(middle).height < height:
                low = middle
            else:
                high = middle - 1
        return low

    def _recorded(self, number: int) -> Recorded:
        recorded = self.events.get(number)
        if recorded is None:
            refuse("UNKNOWN_EVENT", f"there is no event {number}")
        return recorded

    def _day(self, time_ms: int) -> int:
        return iso_date(time_text(time_ms)[:10])


def things_of(event: EpcisEvent, role: str) -> list[dict[str, Any]]:
    """The things of one role, as the batch contract takes them."""
    found: list[dict[str, Any]] = []
    for one in event.things or []:
        if one.role == role:
            thing: dict[str, Any] = {"item": one.thing}
            if one.quantity is not None:
                thing["quantity"] = {"amount": one.quantity.amount, "unit": one.quantity.unit}
            found.append(thing)
    return found


def is_split(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> bool:
    """Whether an amount of one lot becomes lots of the same trade item, nothing lost."""
    if len(inputs) != 1 or "quantity" not in inputs[0]:
        return False
    whole, total = inputs[0], 0
    for one in outputs:
        # 01/GTIN/10/
        if one["item"][:21] != whole["item"][:21] or "quantity" not in one:
            return False
        if one["quantity"]["unit"] != whole["quantity"]["unit"]:
            return False
        total += one["quantity"]["amount"]
    return bool(whole["item"][18:20] == "10" and total == whole["quantity"]["amount"])


def yields_of(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """EPCIS says no yield: where units differ, that what came out is what was to come."""
    went_in, came_out = totals_of(inputs), totals_of(outputs)
    if len(went_in) == 1 and list(went_in) == list(came_out):
        return []
    found, units = [], list(went_in)
    for unit, amount in came_out.items():
        source = unit if unit in went_in else units[0]
        given = {"amount": went_in[source], "unit": source}
        found.append({"input": given, "output": {"amount": amount, "unit": unit}})
    return found


def totals_of(things: list[dict[str, Any]]) -> dict[str, int]:
    """Amounts by unit of measure; a serial is one piece."""
    found: dict[str, int] = {}
    for one in things:
        quantity = one.get("quantity") or {"amount": 1, "unit": "EA"}
        found[quantity["unit"]] = found.get(quantity["unit"], 0) + quantity["amount"]
    return found


def unescaped(text: str) -> str:
    """A lot's number of its path, where %XX stands for a character."""
    parts = text.split("%")
    found = parts[0]
    for part in parts[1:]:
        code = 16 * HEX.index(part[0]) + HEX.index(part[1])
        found += MARKS[code - 32] + part[2:]
    return found
