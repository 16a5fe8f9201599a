"""Shipments: goods carried from one place to another, from the booking to the delivery.

::

    REQUESTED -> BOOKED -> LOADED -> IN_TRANSIT -> ARRIVED -> DELIVERED
    REQUESTED -> DECLINED          REQUESTED | BOOKED -> CANCELLED

The shipper books with a carrier, who confirms with the legs and the promised arrival, or declines.
From then on the carrier moves it: equipment events load it, transport events have it depart and
arrive, leg by leg; the consignee alone confirms the delivery. Events are DCSA's, with its codes.

Custody is at one place: the shipper's until the shipment is loaded, the carrier's until the
consignee confirms, then the consignee's. Goods are lots, serials and logistic units of the batch
contract, by their GS1 paths. When the shipper hands them over here, they are shipped there, to the
consignee and not to the carrier: a common carrier is no trading partner of the goods it carries
(FD&C 581). The consignee's confirmation receives them. So a recall on the way has its usual
effect: they arrive, into quarantine. Goods that are not handed over here are only named, for those
who ship by EPCIS events.

Of bookings, bills and notes the chain has commitments only; of prices and people nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.logistics.codes import (
    ContainerText,
    DelayCode,
    check_container,
    check_vessel,
)
from contracts.logistics.movement import CONFIRMED, Movement
from contracts.logistics.shipment_records import (
    ARRIVED,
    BOOKED,
    CANCELLED,
    DECLINED,
    DELIVERED,
    FENCES_MAX,
    GOODS_MAX,
    IN_TRANSIT,
    LEGS_MAX,
    LOADED,
    REQUESTED,
    SHOWN_MAX,
    Condition,
    DeclineReason,
    DocumentCommitment,
    EquipmentRequest,
    ExceptionKind,
    Goods,
    Leg,
    LegPlan,
    Milestone,
    Note,
    Number,
    Reference,
    Shipment,
    TransportException,
)
from contracts.sdk import (
    Choice,
    Counter,
    Int,
    Map,
    OrganisationId,
    Size,
    Task,
    Timestamp,
    UnLocode,
    call,
    query,
    refuse,
    timed,
)

SHIPPERS = ("manufacturer", "wholesaler", "dispenser", "logistics_operator", "laboratory")
BEFORE_ARRIVAL = (BOOKED, LOADED, IN_TRANSIT)


class Shipments(Movement):
    """Bookings, legs, containers, positions, milestones and deliveries of carried goods."""

    name = "shipment"
    audited = True

    numbers = Counter()
    requests = Map(EquipmentRequest, key=("number", "type"))
    exceptions = Map(TransportException, key=("number", "exception"))

    # --- booking ----------------------------------------------------------------------------

    @call(roles=SHIPPERS)
    def book(
        self,
        carrier: OrganisationId,
        consignee: OrganisationId,
        origin: UnLocode,
        destination: UnLocode,
        wanted_arrival: Timestamp,
        goods: Annotated[list[Goods], Size(GOODS_MAX)] | None = None,
        equipment: Annotated[list[EquipmentRequest], Size(10)] | None = None,
        shipper_reference: Reference | None = None,
        booking_document: DocumentCommitment | None = None,
    ) -> int:
        """Ask a carrier to carry goods to a consignee. The answer is the shipment's number."""
        me = self.ctx.organisation
        if carrier == consignee:
            refuse("SAME_PARTY", "who carries does not confirm the delivery")
        if origin == destination:
            refuse("SAME_PLACE", f"the shipment would stay in {origin}")
        self._check_carrier(carrier)
        if not self.invoke("identity", "is_active", id=consignee):
            refuse("UNKNOWN_CONSIGNEE", f"{consignee} is no active organisation")
        self._check_future(wanted_arrival)
        number = self.numbers.add()
        shipment = Shipment(
            me, carrier, consignee, origin, destination, REQUESTED, self.ctx.time_ms, wanted_arrival
        )
        shipment.shipper_reference = shipper_reference
        shipment.booking_document = booking_document
        for one in goods or []:
            if one.item[17:21] == "/10/" and one.quantity is None:
                refuse("QUANTITY_REQUIRED", f"{one.item} is a lot: say how much of it")
            if (number, one.item) in self.goods:
                refuse("ITEM_TWICE", f"{one.item} stands twice in the booking")
            if one.container:
                refuse("UNKNOWN_CONTAINER", "containers are assigned by the carrier, later")
            self.goods.put((number, one.item), one)
        shipment.goods = len(goods or [])
        for request in equipment or []:
            self.requests.put((number, request.type), request)
        self.shipments.put(number, shipment)
        self.emit(
            "BookingRequested",
            number=number,
            shipper=me,
            carrier=carrier,
            consignee=consignee,
            origin=origin,
            destination=destination,
        )
        return number

    @call(
        roles=("logistics_operator",),
        own=("shipments", "number", "carrier"),
        meaning="approval",
    )
    def confirm_booking(
        self,
        number: Number,
        legs: Annotated[list[LegPlan], Size(LEGS_MAX, 1)],
        promised_arrival: Timestamp | None = None,
        booking_reference: Reference | None = None,
    ) -> None:
        """Take a booking on, with its legs, and promise an arrival: the wanted one unless told. A
        leg by VESSEL names the ship, by its IMO number.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, (REQUESTED,))
        self._plan(number, shipment, legs)
        shipment.state = BOOKED
        shipment.booking_reference = booking_reference
        self._promise(number, shipment, promised_arrival or shipment.wanted_arrival)
        now = self.ctx.time_ms
        milestone = self._milestone("SHIPMENT", "CONF", "ACT", now, "", shipment)
        milestone.document = "BKG"
        self._record(number, shipment, milestone)

    @call(
        roles=("logistics_operator",),
        own=("shipments", "number", "carrier"),
        meaning="approval",
    )
    def decline_booking(self, number: Number, reason: DeclineReason) -> None:
        """Turn a booking down."""
        shipment = self._shipment(number)
        self._check_state(number, shipment, (REQUESTED,))
        shipment.state = DECLINED
        self.shipments.put(number, shipment)
        self.emit("BookingDeclined", number=number, reason=reason)

    @call(own=("shipments", "number", "shipper"))
    def cancel_booking(self, number: Number) -> None:
        """Take a booking back, as long as nothing is handed over or loaded."""
        shipment = self._shipment(number)
        self._check_state(number, shipment, (REQUESTED, BOOKED))
        self._check_no_bill(number, shipment)
        if shipment.handed_over:
            refuse("HANDED_OVER", f"the goods of shipment {number} are on their way")
        if shipment.containers_loaded:
            refuse("WRONG_STATE", f"containers of shipment {number} are loaded")
        self._end_promise(shipment)
        shipment.state = CANCELLED
        self.shipments.put(number, shipment)
        self.emit("BookingCancelled", number=number)

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def replan(
        self,
        number: Number,
        legs: Annotated[list[LegPlan], Size(LEGS_MAX)],
        promised_arrival: Timestamp | None = None,
    ) -> None:
        """Give all the legs that have not departed anew, and perhaps another promise."""
        shipment = self._shipment(number)
        self._check_state(number, shipment, BEFORE_ARRIVAL)
        self._plan(number, shipment, legs)
        if promised_arrival is not None:
            before = shipment.promised_arrival
            self._end_promise(shipment)
            self._promise(number, shipment, promised_arrival)
            self.emit("ArrivalRescheduled", number=number, promised=promised_arrival, before=before)
        self.shipments.put(number, shipment)

    # --- handing over -----------------------------------------------------------------------

    @call(own=("shipments", "number", "shipper"), meaning="responsibility")
    def hand_over(
        self,
        number: Number,
        owner: OrganisationId | None = None,
        keep_ownership: bool = False,
    ) -> None:
        """Hand the goods over: in the batch contract they are shipped to the consignee.

        ``owner`` and ``keep_ownership`` are what they are there: whose goods these are, and
        whether they stay so. Carrying moves custody, never ownership.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, (BOOKED,))
        if shipment.handed_over:
            refuse("HANDED_OVER", f"the goods of shipment {number} are handed over")
        if shipment.goods == 0:
            refuse("NO_GOODS", f"shipment {number} names no goods")
        self.invoke(
            "batch",
            "ship",
            items=self._things(number),
            consignee=shipment.consignee,
            owner=owner,
            keep_ownership=keep_ownership,
        )
        shipment.handed_over = True
        self.shipments.put(number, shipment)
        self.emit("GoodsHandedOver", number=number, carrier=shipment.carrier)

    # --- what goes wrong --------------------------------------------------------------------

    @call
    def report_exception(
        self,
        number: Number,
        kind: ExceptionKind,
        time: Timestamp,
        container: ContainerText = "",
        delay: DelayCode = "",
        note: Note | None = None,
    ) -> int:
        """Report, as a party, what went wrong. The answer is the exception's number."""
        shipment = self._of_party(number)
        self._check_state(number, shipment, CONFIRMED)
        self._check_past(time)
        if container:
            self._container(number, container)
        shipment.exceptions += 1
        shipment.exceptions_open += 1
        self.shipments.put(number, shipment)
        me = self.ctx.organisation
        found = TransportException(kind, time, me, container, delay, note)
        self.exceptions.put((number, shipment.exceptions), found)
        self.emit(
            "ExceptionReported",
            number=number,
            exception=shipment.exceptions,
            kind=kind,
            container=container,
            time=time,
        )
        return shipment.exceptions

    @call(own=("exceptions", ("number", "exception"), "reported_by"))
    def resolve_exception(self, number: Number, exception: Number) -> None:
        """Say that what oneself reported is settled. It stays on record."""
        found = self.exceptions.get((number, exception))
        if found is None or found.resolved_at:
            refuse("ALREADY_RESOLVED", f"exception {exception} is settled")
        found.resolved_at = self.ctx.time_ms
        self.exceptions.put((number, exception), found)
        shipment = self._shipment(number)
        shipment.exceptions_open -= 1
        self.shipments.put(number, shipment)
        self.emit("ExceptionResolved", number=number, exception=exception)

    @timed
    def promise_passed(self, number: Number) -> None:
        """No arrival was reported by the time that was promised."""
        shipment = self._shipment(number)
        shipment.deadline = ""
        shipment.late = True
        self.shipments.put(number, shipment)
        self.emit(
            "ShipmentLate",
            number=number,
            promised=shipment.promised_arrival,
            state=shipment.state,
            carrier=shipment.carrier,
        )

    # --- the end ----------------------------------------------------------------------------

    @call(own=("shipments", "number", "consignee"), meaning="responsibility")
    def confirm_delivery(
        self,
        number: Number,
        condition: Condition = "CLEAN",
        received: Annotated[list[Goods], Size(GOODS_MAX)] | None = None,
    ) -> None:
        """Confirm, as the consignee, that an arrived shipment was delivered, and in what condition.

        Goods that were handed over are received in the batch contract: all, or those of
        ``received``, where the condition is no clean one.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, (ARRIVED,))
        self._check_no_bill(number, shipment)
        if received is not None and condition == "CLEAN":
            refuse("CONDITION_NEEDED", "a delivery in part is SHORT, DAMAGED or UNSEALED")
        if shipment.handed_over:
            things = self._things(number) if received is None else self._part(number, received)
            if things:
                self.invoke("batch", "receive", items=things, sender=shipment.shipper)
        shipment.state = DELIVERED
        shipment.delivered_at = self.ctx.time_ms
        shipment.condition = condition
        place = shipment.destination
        now = self.ctx.time_ms
        milestone = self._milestone("DELIVERY", condition, "ACT", now, place, shipment)
        self._record(number, shipment, milestone)
        self.emit("Delivered", number=number, consignee=shipment.consignee, condition=condition)

    # --- bills of lading --------------------------------------------------------------------

    @call(contracts=("bill",))
    def put_under_bill(self, number: Number, bill: Number, earlier: Annotated[int, Int(0)]) -> None:
        """A bill of lading is issued for a shipment: it is delivered against that one only.

        ``earlier`` is the bill whose place the new one takes, by way of paper.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, (*BEFORE_ARRIVAL, ARRIVED))
        if shipment.bill != earlier or shipment.bill_open != (earlier > 0):
            refuse("BILL_OPEN", f"shipment {number} has had bill {shipment.bill}")
        shipment.bill, shipment.bill_open = bill, True
        self.shipments.put(number, shipment)

    @call(contracts=("bill",))
    def clear_bill(self, number: Number, bill: Number, consignee: OrganisationId) -> None:
        """A shipment's bill was surrendered: whoever did is the consignee."""
        shipment = self._shipment(number)
        if not shipment.bill_open or shipment.bill != bill:
            refuse("BILL_OPEN", f"bill {bill} is not the open one of shipment {number}")
        if consignee != shipment.consignee:
            if shipment.handed_over:
                refuse("HANDED_OVER", f"the goods were shipped to {shipment.consignee}")
            if consignee == shipment.carrier:
                refuse("SAME_PARTY", "who carries does not confirm the delivery")
            shipment.consignee = consignee
        shipment.bill_open = False
        self.shipments.put(number, shipment)
        self.emit("BillCleared", number=number, bill=bill, consignee=consignee)

    def _check_no_bill(self, number: int, shipment: Shipment) -> None:
        if shipment.bill_open:
            refuse("BILL_OPEN", f"bill {shipment.bill} of shipment {number} is not surrendered")

    # --- asking -----------------------------------------------------------------------------

    @query
    def delivered(self, number: Number) -> dict[str, Any]:
        """Whether the consignee has confirmed the delivery, when, and in what condition.

        For other contracts, such as an escrow, that pay on delivery.
        """
        shipment = self._shipment(number)
        return {
            "delivered": shipment.state == DELIVERED,
            "time": shipment.delivered_at,
            "condition": shipment.condition,
            "exceptions_open": shipment.exceptions_open,
            "late": shipment.late,
            "shipper": shipment.shipper,
            "carrier": shipment.carrier,
            "consignee": shipment.consignee,
        }

    @query
    def shipment(self, number: Number) -> dict[str, Any]:
        """A shipment as it is: its record, who has custody, legs, containers, goods, documents,
        exceptions and geofences, a hundred of each at most; positions are asked for by themselves.
        """
        shipment = self._shipment(number)
        return {
            "number": number,
            "shipment": shipment,
            "custody": self._custodian(shipment),
            "legs": list(self.legs.values(number, limit=LEGS_MAX)),
            "wanted": list(self.requests.values(number, limit=SHOWN_MAX)),
            "equipment": list(self.equipment.values(number, limit=SHOWN_MAX)),
            "goods": list(self.goods.values(number, limit=SHOWN_MAX)),
            "documents": list(self.documents.values(number, limit=SHOWN_MAX)),
            "exceptions": list(self.exceptions.values(number, limit=SHOWN_MAX)),
            "geofences": list(self.geofences.values(number, limit=FENCES_MAX)),
        }

    @query
    def milestones_of(self, number: Number, after: Annotated[int, Int(0)] = 0) -> list[Milestone]:
        """A hundred milestones, as they were recorded, behind the first ``after``."""
        last = self._shipment(number).milestones
        rows = []
        for at in range(after + 1, min(last, after + SHOWN_MAX) + 1):
            rows.append(self.milestones.get((number, at)))
        return [row for row in rows if row is not None]

    @query
    def shipments_of(
        self,
        organisation: OrganisationId,
        part: Annotated[str, Choice("SHIPPER", "CARRIER", "CONSIGNEE")],
        after: Annotated[int, Int(0)] = 0,
    ) -> list[dict[str, Any]]:
        """The first hundred shipments with a number above ``after`` in which it has this part."""
        if part == "SHIPPER":
            numbers = list(self.by_shipper.keys(organisation))
        elif part == "CARRIER":
            numbers = list(self.by_carrier.keys(organisation))
        else:
            numbers = list(self.by_consignee.keys(organisation))
        chosen = [number for number in numbers if number > after]
        return [self._line(number) for number in chosen[:SHOWN_MAX]]

    @query
    def shipments_with(self, container: ContainerText) -> list[dict[str, Any]]:
        """The shipments that a container is or was of, a hundred at most."""
        check_container(container)
        keys = list(self.by_container.keys(container, limit=SHOWN_MAX))
        return [self._line(key[0]) for key in keys]

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """What its shipments with a number above ``after`` wait for, from it and from others."""
        known: dict[int, bool] = {}
        for number in self.by_shipper.keys(organisation):
            known[number] = True
        for number in self.by_carrier.keys(organisation):
            known[number] = True
        for number in self.by_consignee.keys(organisation):
            known[number] = True
        numbers = sorted([number for number in known if number > after])
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            found.extend(self._tasks(number))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found, "next": numbers[SHOWN_MAX - 1] if more else 0}

    # --- inside -----------------------------------------------------------------------------

    def _tasks(self, number: int) -> list[Task]:
        shipment = self._shipment(number)
        state, since = shipment.state, shipment.booked_at
        args, subject = {"number": number}, f"shipment {number}"
        carrier, operator = shipment.carrier, ["logistics_operator"]
        if state == REQUESTED:
            return [Task(carrier, "confirm_booking", args, subject, operator, since)]
        if state == ARRIVED:
            arrived = shipment.arrived_at
            return [Task(shipment.consignee, "confirm_delivery", args, subject, [], arrived)]
        found = []
        if state == BOOKED and shipment.goods and not shipment.handed_over:
            found.append(Task(shipment.shipper, "hand_over", args, subject, [], since))
        if state in BEFORE_ARRIVAL:
            due = shipment.promised_arrival
            found.append(Task(carrier, "transport_event", args, subject, operator, since, due))
        return found

    def _line(self, number: int) -> dict[str, Any]:
        shipment = self._shipment(number)
        return {
            "number": number,
            "state": shipment.state,
            "origin": shipment.origin,
            "destination": shipment.destination,
            "promised_arrival": shipment.promised_arrival,
            "late": shipment.late,
            "exceptions_open": shipment.exceptions_open,
        }

    def _custodian(self, shipment: Shipment) -> str:
        if shipment.state == DELIVERED:
            return shipment.consignee
        if shipment.state in (LOADED, IN_TRANSIT, ARRIVED):
            return shipment.carrier
        return shipment.shipper

    def _check_carrier(self, carrier: str) -> None:
        found = self.invoke("identity", "organisation", id=carrier)
        if not self.invoke("identity", "is_active", id=carrier):
            refuse("UNKNOWN_CARRIER", f"{carrier} is no active organisation")
        if "logistics_operator" not in found["roles"]:
            refuse("UNKNOWN_CARRIER", f"{carrier} is no logistics operator")

    def _plan(self, number: int, shipment: Shipment, plans: list[LegPlan]) -> None:
        """Put legs behind those that have departed; together they lead to the destination."""
        at = shipment.legs_departed
        place, time = shipment.origin, 0
        if at:
            last = self._leg(number, at)
            place, time = last.destination, last.departed_at
        if at + len(plans) > LEGS_MAX:
            refuse("TOO_MANY", f"a shipment has at most {LEGS_MAX} legs")
        for old in range(at + 1, shipment.legs + 1):
            self.legs.delete((number, old))
        for plan in plans:
            at += 1
            if plan.origin != place:
                refuse("LEGS_BROKEN", f"leg {at} begins at {plan.origin}, not at {place}")
            if plan.destination == place:
                refuse("LEGS_BROKEN", f"leg {at} stays in {place}")
            if not time <= plan.departure < plan.arrival:
                refuse("TIME_ORDER", f"leg {at} departs and arrives out of order")
            if plan.mode == "VESSEL" or plan.vessel:
                check_vessel(plan.vessel)
            place, time = plan.destination, plan.arrival
            leg = Leg(
                plan.mode,
                plan.origin,
                plan.destination,
                plan.vessel,
                plan.voyage,
                plan.vehicle,
                plan.departure,
                plan.arrival,
            )
            self.legs.put((number, at), leg)
        if place != shipment.destination:
            refuse("LEGS_BROKEN", f"the legs end at {place}, not at {shipment.destination}")
        shipment.legs = at

    def _things(self, number: int) -> list[dict[str, Any]]:
        """The goods as the batch contract names them."""
        return [
            {"item": one.item, "quantity": one.quantity}
            for one in self.goods.values(number, limit=GOODS_MAX)
        ]

    def _part(self, number: int, received: list[Goods]) -> list[dict[str, Any]]:
        """Those that were received, each one of the shipment's."""
        for one in received:
            if (number, one.item) not in self.goods:
                refuse("UNKNOWN_ITEM", f"{one.item} is not of shipment {number}")
        return [{"item": one.item, "quantity": one.quantity} for one in received]
