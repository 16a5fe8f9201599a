"""How a shipment moves: DCSA's equipment, transport and shipment events, and what they do to it."""

from __future__ import annotations

from typing import Annotated

from contracts.logistics.codes import (
    Classifier,
    ContainerText,
    DelayCode,
    DocumentCode,
    EquipmentCode,
    ShipmentCode,
    TransportCode,
    VesselText,
    check_container,
    check_vessel,
)
from contracts.logistics.shipment_records import (
    ARRIVED,
    BOOKED,
    CONTAINERS_MAX,
    DELIVERED,
    GOODS_MAX,
    IN_TRANSIT,
    LOADED,
    Container,
    Document,
    Equipment,
    EventId,
    Goods,
    Leg,
    Milestone,
    Number,
    Reference,
    Shipment,
)
from contracts.logistics.tracking import Tracking
from contracts.sdk import (
    Item,
    Map,
    Size,
    Timestamp,
    UnLocode,
    call,
    refuse,
    time_text,
)

CONFIRMED = (BOOKED, LOADED, IN_TRANSIT, ARRIVED, DELIVERED)


class Movement(Tracking):
    """Goods in containers, and the legs and documents of shipments, as events tell of them."""

    goods = Map(Goods, key=("number", "item"), hashed=("item",))
    legs = Map(Leg, key=("number", "leg"))
    milestones = Map(Milestone, key=("number", "milestone"), audited=False)  # say who and when
    documents = Map(Document, key=("number", "document"))
    events = Map(int, key=("organisation", "event"), hashed=("event",))  # taken ids: height

    # --- equipment and goods ----------------------------------------------------------------

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def equip(
        self, number: Number, containers: Annotated[list[Container], Size(CONTAINERS_MAX, 1)]
    ) -> None:
        """Assign containers, before the shipment is loaded. Each number's check digit must fit."""
        shipment = self._shipment(number)
        self._check_state(number, shipment, (BOOKED,))
        for one in containers:
            check_container(one.number)
            if (number, one.number) in self.equipment:
                refuse("CONTAINER_TWICE", f"{one.number} is of the shipment already")
            self.equipment.put((number, one.number), Equipment(one.number, one.type))
        shipment.containers += len(containers)
        if shipment.containers > CONTAINERS_MAX:
            refuse("TOO_MANY", f"a shipment has at most {CONTAINERS_MAX} containers")
        self.shipments.put(number, shipment)
        names = [one.number for one in containers]
        self.emit("ContainersAssigned", number=number, containers=names)

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def withdraw(self, number: Number, container: ContainerText) -> None:
        """Take an empty container out of a shipment again, before it is loaded."""
        shipment = self._shipment(number)
        self._check_state(number, shipment, (BOOKED,))
        found = self._container(number, container)
        if found.loaded:
            refuse("ALREADY_ABOARD", f"{container} is loaded")
        for one in self.goods.values(number, limit=GOODS_MAX):
            if one.container == container:
                refuse("NOT_EMPTY", f"{one.item} is in {container}")
        self.equipment.delete((number, container))
        shipment.containers -= 1
        if shipment.containers and shipment.containers_loaded == shipment.containers:
            shipment.state = LOADED
        self.shipments.put(number, shipment)
        self.emit("ContainerWithdrawn", number=number, container=container)

    @call
    def stow(
        self,
        number: Number,
        container: ContainerText,
        items: Annotated[list[Item], Size(GOODS_MAX, 1)],
    ) -> None:
        """Say in which container goods are, before they are loaded. Shipper or carrier says it."""
        shipment = self._of_party(number)
        if self.ctx.organisation == shipment.consignee != shipment.shipper:
            refuse("NOT_AUTHORISED", "shipper and carrier stow")
        self._check_state(number, shipment, (BOOKED,))
        if self._container(number, container).loaded:
            refuse("ALREADY_ABOARD", f"{container} is loaded")
        for item in items:
            goods = self.goods.get((number, item))
            if goods is None:
                refuse("UNKNOWN_ITEM", f"{item} is not of shipment {number}")
            goods.container = container
            self.goods.put((number, item), goods)
        self.emit("GoodsStowed", number=number, container=container, items=items)

    # --- moving -----------------------------------------------------------------------------

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def equipment_event(
        self,
        number: Number,
        code: EquipmentCode,
        place: UnLocode,
        time: Timestamp,
        container: ContainerText = "",
        classifier: Classifier = "ACT",
        empty: bool = False,
        event: EventId | None = None,
    ) -> str:
        """Record a DCSA equipment event; the answer is the shipment's state.

        It is LOADED once each of its containers was loaded, or, if it has none, the cargo.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, CONFIRMED)
        self._take_event(event)
        found = None
        if container:
            found = self._container(number, container)
        elif shipment.containers:
            refuse("CONTAINER_REQUIRED", f"shipment {number} has containers: say which")
        if classifier == "ACT":
            self._check_past(time)
            if code == "LOAD" and found is None:
                self._check_state(number, shipment, (BOOKED,))
                shipment.state = LOADED
            if found is not None:
                self._handle(shipment, found, code, time, empty)
                found.place = place if found.status_at == time else found.place
                self.equipment.put((number, container), found)
        milestone = self._milestone("EQUIPMENT", code, classifier, time, place, shipment)
        milestone.container = container
        self._record(number, shipment, milestone)
        return shipment.state

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def transport_event(
        self,
        number: Number,
        code: TransportCode,
        place: UnLocode,
        time: Timestamp,
        classifier: Classifier = "ACT",
        vessel: VesselText = "",
        delay: DelayCode = "",
        event: EventId | None = None,
    ) -> str:
        """Record a DCSA transport event, DEPA or ARRI; the answer is the shipment's state.

        Legs depart and arrive in their order. The last one's arrival is the shipment's.
        """
        shipment = self._shipment(number)
        self._check_state(number, shipment, CONFIRMED)
        self._take_event(event)
        if vessel:
            check_vessel(vessel)
        actual = classifier == "ACT"
        at = self._leg_of(number, shipment, code, place, actual)
        leg = self._leg(number, at)
        if vessel and leg.vessel and vessel != leg.vessel:
            refuse("VESSEL_DIFFERS", f"leg {at} is planned with {leg.vessel}, not {vessel}")
        if actual:
            self._check_past(time)
            self._move(number, shipment, at, leg, code, time)
        elif code == "DEPA":
            leg.estimated_departure = time
        else:
            leg.estimated_arrival = time
        leg.delay = delay or leg.delay
        self.legs.put((number, at), leg)
        milestone = self._milestone("TRANSPORT", code, classifier, time, place, shipment)
        milestone.leg = at
        milestone.delay = delay
        self._record(number, shipment, milestone)
        return shipment.state

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def shipment_event(
        self,
        number: Number,
        document: DocumentCode,
        code: ShipmentCode,
        time: Timestamp,
        reference: Reference | None = None,
        event: EventId | None = None,
    ) -> None:
        """Record what became of a document, such as a transport document's issue.

        It moves nothing: bookings are confirmed, declined and cancelled by calls of their own.
        """
        shipment = self._shipment(number)
        self._take_event(event)
        self._check_past(time)
        known = self.documents.get((number, document))
        if known is None or known.time <= time:
            kept = reference or (None if known is None else known.reference)
            self.documents.put((number, document), Document(document, code, time, kept))
        milestone = self._milestone("SHIPMENT", code, "ACT", time, "", shipment)
        milestone.document = document
        self._record(number, shipment, milestone)

    # --- inside -----------------------------------------------------------------------------

    def _check_state(self, number: int, shipment: Shipment, states: tuple[str, ...]) -> None:
        if shipment.state not in states:
            refuse("WRONG_STATE", f"shipment {number} is {shipment.state}")

    def _check_future(self, time: int) -> None:
        if time <= self.ctx.time_ms:
            refuse("TIME_PAST", f"{time_text(time)} is over")

    def _leg(self, number: int, at: int) -> Leg:
        found = self.legs.get((number, at))
        if found is None:
            refuse("NO_SUCH_LEG", f"shipment {number} has no leg {at}")
        return found

    def _leg_of(self, number: int, shipment: Shipment, code: str, place: str, actual: bool) -> int:
        """Which leg departs or arrives there: the one whose turn it is, or, of an estimate, the
        first from there on that does."""
        first = shipment.legs_departed + 1 if code == "DEPA" else shipment.legs_arrived + 1
        last = min(first, shipment.legs) if actual else shipment.legs
        for at in range(first, last + 1):
            leg = self._leg(number, at)
            if place == (leg.origin if code == "DEPA" else leg.destination):
                return at
        refuse("NO_SUCH_LEG", f"no leg that is to come has {code} at {place}")

    def _move(
        self, number: int, shipment: Shipment, at: int, leg: Leg, code: str, time: int
    ) -> None:
        """Have a leg depart or arrive."""
        if code == "DEPA":
            self._check_state(number, shipment, (LOADED, IN_TRANSIT))
            if shipment.legs_arrived != at - 1:
                refuse("TIME_ORDER", f"leg {at - 1} has not arrived")
            if at > 1 and time < self._leg(number, at - 1).arrived_at:
                refuse("TIME_ORDER", f"leg {at - 1} arrived after {time_text(time)}")
            leg.departed_at = time
            shipment.legs_departed = at
            shipment.state = IN_TRANSIT
            return
        self._check_state(number, shipment, (IN_TRANSIT,))
        if shipment.legs_departed != at:
            refuse("TIME_ORDER", f"leg {at} has not departed")
        if time < leg.departed_at:
            refuse("TIME_ORDER", f"leg {at} departed after {time_text(time)}")
        leg.arrived_at = time
        shipment.legs_arrived = at
        if at == shipment.legs:
            shipment.state = ARRIVED
            shipment.arrived_at = time
            self._end_promise(shipment)

    def _handle(
        self, shipment: Shipment, found: Equipment, code: str, time: int, empty: bool
    ) -> None:
        """What an actual event does to a container. Late news changes nothing but the record."""
        if code == "LOAD" and not empty:
            if found.aboard:
                refuse("ALREADY_ABOARD", f"{found.container} is loaded")
            found.aboard = True
            if not found.loaded:
                found.loaded = True
                shipment.containers_loaded += 1
            if shipment.state == BOOKED and shipment.containers_loaded == shipment.containers:
                shipment.state = LOADED
        elif code == "DISC" and not empty:
            if not found.aboard:
                refuse("NOT_ABOARD", f"{found.container} is not loaded")
            found.aboard = False
        if time >= found.status_at:
            found.status = code
            found.status_at = time
            found.empty = empty

    def _take_event(self, event: bytes | None) -> None:
        """Refuse an event that was taken before, as DCSA's documents repeat them."""
        if event is None:
            return
        key = (self.ctx.organisation, event)
        if key in self.events:
            refuse("DUPLICATE_EVENT", f"event {event.hex()} was recorded before")
        self.events.put(key, self.ctx.height)

    def _milestone(
        self, event: str, code: str, classifier: str, time: int, place: str, shipment: Shipment
    ) -> Milestone:
        me = self.ctx.organisation
        now = self.ctx.time_ms
        return Milestone(event, code, classifier, time, place, shipment.state, me, now)

    def _record(self, number: int, shipment: Shipment, milestone: Milestone) -> None:
        shipment.milestones += 1
        self.shipments.put(number, shipment)
        self.milestones.put((number, shipment.milestones), milestone)
        self.emit(
            "MilestoneReached",
            number=number,
            milestone=shipment.milestones,
            event=milestone.event,
            code=milestone.code,
            classifier=milestone.classifier,
            time=milestone.time,
            place=milestone.place,
            container=milestone.container,
            state=milestone.state,
        )

    def _promise(self, number: int, shipment: Shipment, time: int) -> None:
        self._check_future(time)
        shipment.promised_arrival = time
        shipment.deadline = self.due(time, "promise_passed", number=number)

    def _end_promise(self, shipment: Shipment) -> None:
        if shipment.deadline:
            self.cancel(shipment.deadline)
            shipment.deadline = ""
