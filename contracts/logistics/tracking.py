"""Where a shipment is, and the areas it is not to enter or to leave."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.logistics.codes import ContainerText, check_container
from contracts.logistics.geometry import check_area, is_inside
from contracts.logistics.shipment_records import (
    ARRIVED,
    BOOKED,
    CLOCK_AHEAD_MS,
    DELIVERED,
    FENCES_EACH_MAX,
    FENCES_MAX,
    IN_TRANSIT,
    LOADED,
    REPORTS_MAX,
    SHOWN_MAX,
    WALK_MAX,
    Alarm,
    Corners,
    Equipment,
    Geofence,
    Number,
    Position,
    Report,
    Shipment,
)
from contracts.sdk import (
    Contract,
    Index,
    Map,
    Size,
    Timestamp,
    call,
    query,
    refuse,
    time_text,
)


class Tracking(Contract):
    """Positions and geofences of shipments."""

    shipments = Map(Shipment, key=("number",))
    by_shipper = Index(shipments, on=("shipper",))
    by_carrier = Index(shipments, on=("carrier",))
    by_consignee = Index(shipments, on=("consignee",))
    equipment = Map(Equipment, key=("number", "container"))
    by_container = Index(equipment, on=("container",), hashed=("container",))
    positions_at = Map(Position, key=("number", "container", "time"))
    newest = Map(int, key=("number", "container"))  # the newest position's time
    geofences = Map(Geofence, key=("number", "geofence"))

    @call(roles=("logistics_operator",), own=("shipments", "number", "carrier"))
    def position(
        self, number: Number, reports: Annotated[list[Report], Size(REPORTS_MAX, 1)]
    ) -> None:
        """Report where the shipment, or a container of it, was. Any order: trackers report late.

        What was heard after the delivery must have been measured before it.
        """
        shipment = self._shipment(number)
        if shipment.state not in (BOOKED, LOADED, IN_TRANSIT, ARRIVED, DELIVERED):
            refuse("WRONG_STATE", f"shipment {number} is {shipment.state}")
        fences = list(self.geofences.items(number, limit=FENCES_MAX))
        for report in reports:
            self._check_past(report.time)
            if shipment.state == DELIVERED and report.time > shipment.delivered_at:
                refuse("WRONG_STATE", f"shipment {number} is {shipment.state}")
            if report.container:
                self._container(number, report.container)
            self._enter(number, report, fences)

    @call
    def set_geofence(self, number: Number, corners: Corners, alarm: Alarm) -> int:
        """Have an event when a position shows that an area was entered, or left.

        Two corners are a box, south-west and north-east; more are a polygon. The shipper, the
        carrier or the consignee sets it; positions from now on count.
        """
        shipment = self._of_party(number)
        self._check_running(number, shipment)
        check_area(corners)
        me = self.ctx.organisation
        mine = [one for one in self.geofences.values(number, limit=FENCES_MAX) if one.set_by == me]
        if len(mine) >= FENCES_EACH_MAX:
            refuse("TOO_MANY", f"each party has at most {FENCES_EACH_MAX} geofences of a shipment")
        shipment.geofences += 1
        self.shipments.put(number, shipment)
        fence = Geofence(corners, alarm, me, self.ctx.time_ms)
        self.geofences.put((number, shipment.geofences), fence)
        self.emit("GeofenceSet", number=number, geofence=shipment.geofences, alarm=alarm)
        return shipment.geofences

    @call(own=("geofences", ("number", "geofence"), "set_by"))
    def remove_geofence(self, number: Number, geofence: Number) -> None:
        """Take an own geofence back."""
        self.geofences.delete((number, geofence))
        self.emit("GeofenceRemoved", number=number, geofence=geofence)

    @query
    def positions(
        self, number: Number, container: ContainerText = "", before: Timestamp | None = None
    ) -> list[Position]:
        """The newest hundred positions, newest first; before a time, those before it."""
        found: list[Position] = []
        at = self.newest.get((number, container))
        while at is not None and at >= 0 and len(found) < SHOWN_MAX:
            position = self._position(number, container, at)
            if before is None or at < before:
                found.append(position)
            at = position.earlier
        return found

    # --- inside -----------------------------------------------------------------------------

    def _enter(self, number: int, report: Report, fences: list[tuple[Any, Geofence]]) -> None:
        """Put a position where its time belongs, and tell of the borders that it shows crossed."""
        container = report.container
        after: Position | None = None
        before: Position | None = None
        at = self.newest.get((number, container))
        for _ in range(WALK_MAX):
            if at is None or at < 0:
                break
            position = self._position(number, container, at)
            if at == report.time:
                refuse("POSITION_KNOWN", f"there is a position of {time_text(at)} already")
            if at < report.time:
                before = position
                break
            after = position
            at = position.earlier
        else:
            refuse("POSITION_TOO_OLD", f"more than {WALK_MAX} newer positions are known")
        earlier = -1 if before is None else before.time
        here = Position(report.time, report.latitude, report.longitude, earlier)
        self.positions_at.put((number, container, here.time), here)
        if after is None:
            self.newest.put((number, container), here.time)
        else:
            after.earlier = here.time
            self.positions_at.put((number, container, after.time), after)
        for key, fence in fences:
            if here.time >= fence.since:
                known = before if before is not None and before.time >= fence.since else None
                self._compare(number, container, key[1], fence, known, here, after)

    def _compare(
        self,
        number: int,
        container: str,
        key: int,
        fence: Geofence,
        before: Position | None,
        here: Position,
        after: Position | None,
    ) -> None:
        """Tell of the crossings of a border that were not known before this position.

        Before the first position all is taken to be well: outside of what is not to be entered,
        inside of what is not to be left.
        """
        now = is_inside(fence.corners, here.latitude, here.longitude)
        if before is not None:
            then = is_inside(fence.corners, before.latitude, before.longitude)
        else:
            then = now if fence.alarm == "BOTH" else fence.alarm == "LEAVE"
        if after is None:
            if now != then:
                self._breach(number, container, key, fence, here, now)
            return
        later = is_inside(fence.corners, after.latitude, after.longitude)
        if later == now:
            return
        if now != then:  # there and back, between two positions on the same side
            self._breach(number, container, key, fence, here, now)
            self._breach(number, container, key, fence, after, later)
        elif before is None and fence.alarm == "BOTH":
            self._breach(number, container, key, fence, after, later)

    def _breach(
        self,
        number: int,
        container: str,
        key: int,
        fence: Geofence,
        at: Position,
        inside: bool,
    ) -> None:
        crossing = "ENTER" if inside else "LEAVE"
        if fence.alarm in (crossing, "BOTH"):
            self.emit(
                "GeofenceBreached",
                number=number,
                geofence=key,
                container=container,
                crossing=crossing,
                time=at.time,
                latitude=at.latitude,
                longitude=at.longitude,
            )

    def _position(self, number: int, container: str, time: int) -> Position:
        found = self.positions_at.get((number, container, time))
        if found is None:
            refuse("NOT_FOUND", f"no position of {time_text(time)}")
        return found

    def _shipment(self, number: int) -> Shipment:
        found = self.shipments.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no shipment {number}")
        return found

    def _of_party(self, number: int) -> Shipment:
        """The shipment, if the caller is its shipper, carrier or consignee."""
        found = self._shipment(number)
        if self.ctx.organisation not in (found.shipper, found.carrier, found.consignee):
            refuse("NOT_AUTHORISED", f"{self.ctx.organisation} is no party of shipment {number}")
        return found

    def _check_running(self, number: int, shipment: Shipment) -> None:
        if shipment.state not in (BOOKED, LOADED, IN_TRANSIT, ARRIVED):
            refuse("WRONG_STATE", f"shipment {number} is {shipment.state}")

    def _container(self, number: int, container: str) -> Equipment:
        """The container of this shipment. Refuses a bad number, with the reason, and others."""
        check_container(container)
        found = self.equipment.get((number, container))
        if found is None:
            refuse("UNKNOWN_CONTAINER", f"{container} is not of shipment {number}")
        return found

    def _check_past(self, time: int) -> None:
        """Refuse as something that has happened what lies ahead of the block."""
        if time > self.ctx.time_ms + CLOCK_AHEAD_MS:
            refuse("TIME_AHEAD", f"{time_text(time)} is still to come")
