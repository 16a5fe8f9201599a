"""DCSA documents: Track and Trace 2.2 events and booking requests, from bytes to calls.

All of this happens at the edge, before a transaction is made. What can't be read at all raises
InputError; an event that breaks a rule becomes :class:`Refused` with its code, and the others go
on. Of an event only codes, times and places go on: its remarks, names and addresses stay here.
docs/spec/shipment.md has the table.
"""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Callable
from typing import Any, Final, NoReturn

from cli.output import why_no_json
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from contracts.logistics import codes
from contracts.sdk.dates import DAY_MS, iso_date, iso_time, time_text
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.fields import UnLocode, field_of

DOCUMENT_BYTES_MAX: Final = 16 << 20
EVENTS_MAX: Final = 10_000
FIRST_MS: Final = 946_684_800_000  # 2000-01-01: no event of DCSA's is older than its standards
AHEAD_MAX_MS: Final = DAY_MS  # how far an event may claim to be made ahead of now
REFERENCE_MAX: Final = 100
_LONG_FRACTION: Final = re.compile(r"(\.[0-9]{3})[0-9]+")


@dataclasses.dataclass(frozen=True)
class Refused:
    """An event that does not become a call, and why. ``number`` counts from 1."""

    number: int
    code: str
    message: str


@dataclasses.dataclass(frozen=True)
class DcsaEvent:
    """An event as a call of the shipment contract, but for the shipment's number.

    ``container`` and ``references`` (booking and transport document numbers) tell which shipment
    it is of. ``document_number`` is for the parties alone.
    """

    number: int
    method: str
    args: dict[str, Any]
    time_ms: int
    container: str = ""
    references: tuple[str, ...] = ()
    document_number: str = ""


class _Broken(Exception):
    """An event breaks a rule."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def load_events(raw: bytes, now_ms: int) -> list[DcsaEvent | Refused]:
    """The events of a Track and Trace answer, or one event alone, in the document's order.

    Raises InputError: DCSA_NOT_JSON, DCSA_NOT_EVENTS.
    """
    found = _parsed(raw)
    events = found if type(found) is list else [found]
    if not events or len(events) > EVENTS_MAX or type(found) not in (list, dict):
        raise InputError("DCSA_NOT_EVENTS", f"expected a list of 1 to {EVENTS_MAX} events")
    made: list[DcsaEvent | Refused] = []
    for number, event in enumerate(events, 1):
        try:
            made.append(_event(number, event, now_ms))
        except _Broken as error:
            made.append(Refused(number, error.code, str(error)))
        except ContractError as error:
            made.append(Refused(number, error.code, error.message))
    return made


def is_booking(raw: bytes) -> bool:
    """Whether it is a booking request. Raises InputError DCSA_NOT_JSON."""
    found = _parsed(raw)
    return type(found) is dict and "shipmentLocations" in found


def load_booking(raw: bytes) -> dict[str, Any]:
    """The arguments of a booking that a DCSA booking request (2.0) gives.

    From where to where (place of receipt or port of loading, place of delivery or port of
    discharge), containers by size and type, and when it shall arrive, if it says so. Raises
    InputError: DCSA_NOT_JSON, or DCSA_STRUCTURE, DCSA_PLACE, DCSA_DATE_TIME, DCSA_CODE.
    """
    found = _parsed(raw)
    try:
        return _booking(found)
    except _Broken as error:
        raise InputError(error.code, str(error)) from None


def _parsed(raw: bytes) -> Any:
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise InputError("DCSA_NOT_JSON", f"more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError("DCSA_NOT_JSON", f"not JSON: {why_no_json(error)}"[:200]) from None


# --- events ------------------------------------------------------------------------------------


def _event(number: int, event: Any, now_ms: int) -> DcsaEvent:
    if type(event) is not dict:
        _break("DCSA_STRUCTURE", "an event is an object")
    kind = event.get("eventType")
    made = _KINDS.get(kind) if type(kind) is str else None
    if made is None:
        lists = [name for name, value in event.items() if type(value) is list]
        hint = f"; events stand at the top, not in {lists[0]}" if lists and kind is None else ""
        _break("DCSA_STRUCTURE", f"eventType is TRANSPORT, EQUIPMENT or SHIPMENT{hint}"[:200])
    created = _time(event, "eventCreatedDateTime")
    if not FIRST_MS <= created <= now_ms + AHEAD_MAX_MS:
        _break("DCSA_DATE_TIME", f"eventCreatedDateTime: {time_text(created)} can't be")
    time_ms = _time(event, "eventDateTime")
    if time_ms < FIRST_MS:
        _break("DCSA_DATE_TIME", f"eventDateTime: {time_text(time_ms)} can't be")
    if event.get("retractedEventID"):
        _break("DCSA_RETRACTION", "what was recorded stays; report an exception instead")
    method, args = made(event)
    args |= {"time": time_ms, "event": _event_id(event)}
    return DcsaEvent(
        number,
        method,
        args,
        time_ms,
        args.get("container") or _reference(event, "references", "reference", ("EQ",)),
        _references(event),
        _document_number(event) if method == "shipment_event" else "",
    )


def _transport(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    call = _object(event, "transportCall")
    args = {
        "code": _code(event, "transportEventTypeCode", codes.TransportCode),
        "classifier": _code(event, "eventClassifierCode", codes.Classifier),
        "place": _place(call, _object(call, "location", True)),
        "delay": _code(event, "delayReasonCode", codes.DelayCode, True),
    }
    vessel = _object(call, "vessel", True).get("vesselIMONumber", "")
    if vessel and call.get("modeOfTransport", "VESSEL") == "VESSEL":
        args["vessel"] = str(vessel)[:32]
        codes.check_vessel(args["vessel"])
    return "transport_event", args


def _equipment(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    call = _object(event, "transportCall", True)
    empty = event.get("emptyIndicatorCode", "LADEN")
    if empty not in ("EMPTY", "LADEN"):
        _break("DCSA_CODE", "emptyIndicatorCode: must be EMPTY or LADEN")
    args = {
        "code": _code(event, "equipmentEventTypeCode", codes.EquipmentCode),
        "classifier": _code(event, "eventClassifierCode", codes.Classifier),
        "place": _place(
            _object(event, "eventLocation", True), call, _object(call, "location", True)
        ),
        "empty": empty == "EMPTY",
    }
    container = event.get("equipmentReference")
    if container is not None:
        args["container"] = str(container)[:32]
        codes.check_container(args["container"])
    return "equipment_event", args


def _shipment(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if event.get("eventClassifierCode", "ACT") != "ACT":
        _break("DCSA_CODE", "eventClassifierCode: shipment events are actual ones, ACT")
    return "shipment_event", {
        "code": _code(event, "shipmentEventTypeCode", codes.ShipmentCode),
        "document": _code(event, "documentTypeCode", codes.DocumentCode),
    }


_KINDS: Final[dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]]] = {
    "TRANSPORT": _transport,
    "EQUIPMENT": _equipment,
    "SHIPMENT": _shipment,
}


def _event_id(event: dict[str, Any]) -> bytes:
    """The 16 bytes of the eventID; of an event without one, of its content's hash."""
    given = event.get("eventID")
    if given is None:
        text = json.dumps(event, sort_keys=True, separators=(",", ":"))
        return sha256(b"hansa/dcsa-event/1\0" + text.encode())[:16]
    try:
        if type(given) is not str or len(given) != 36:
            raise ValueError
        return uuid.UUID(given).bytes
    except ValueError:
        _break("DCSA_EVENT_ID", "eventID is no UUID")


def _time(event: dict[str, Any], name: str) -> int:
    value = event.get(name)
    if value is None:
        _break("DCSA_DATE_TIME", f"{name} is missing")
    try:
        return iso_time(_LONG_FRACTION.sub(r"\1", value) if type(value) is str else value)
    except BadValue as error:
        _break("DCSA_DATE_TIME", f"{name}: {error}")


def _code(event: dict[str, Any], name: str, hint: Any, optional: bool = False) -> str:
    value = event.get(name)
    if value is None and optional:
        return ""
    if value is None:
        _break("DCSA_CODE", f"{name} is missing")
    try:
        found: str = field_of(hint).check(value)
    except BadValue as error:
        _break("DCSA_CODE", f"{name}: {error}")
    return found


def _place(*where: dict[str, Any]) -> str:
    """The first UN/LOCODE that one of these objects has."""
    for one in where:
        value = one.get("UNLocationCode")
        if value is not None:
            try:
                found: str = field_of(UnLocode).check(value)
            except BadValue as error:
                _break("DCSA_PLACE", f"UNLocationCode: {error}")
            return found
    _break("DCSA_PLACE", "no UNLocationCode says where")


def _object(event: dict[str, Any], name: str, optional: bool = False) -> dict[str, Any]:
    value = event.get(name)
    if value is None and optional:
        return {}
    if type(value) is not dict:
        _break("DCSA_STRUCTURE", f"{name} is an object")
    return value


def _reference(event: dict[str, Any], name: str, stem: str, kinds: tuple[str, ...]) -> str:
    """The first reference of these kinds; empty if there is none."""
    return next(iter(_all_references(event, name, stem, kinds)), "")


def _all_references(
    event: dict[str, Any], name: str, stem: str, kinds: tuple[str, ...]
) -> list[str]:
    given = event.get(name) or []
    if type(given) is not list or not all(type(one) is dict for one in given):
        _break("DCSA_STRUCTURE", f"{name} is a list of objects")
    values = [one.get(f"{stem}Value") for one in given if one.get(f"{stem}Type") in kinds]
    return [value for value in values if type(value) is str and 0 < len(value) <= REFERENCE_MAX]


def _references(event: dict[str, Any]) -> tuple[str, ...]:
    found = _all_references(event, "documentReferences", "documentReference", ("CBR", "BKG", "TRD"))
    if event.get("documentTypeCode") in ("CBR", "BKG", "TRD") and _document_number(event):
        found.append(_document_number(event))
    return tuple(found)


def _document_number(event: dict[str, Any]) -> str:
    value = event.get("documentID", "")
    if type(value) is not str or len(value) > REFERENCE_MAX:
        _break("DCSA_STRUCTURE", f"documentID is text of at most {REFERENCE_MAX} characters")
    return value


# --- bookings ----------------------------------------------------------------------------------


def _booking(found: Any) -> dict[str, Any]:
    if type(found) is not dict or type(found.get("shipmentLocations")) is not list:
        _break("DCSA_STRUCTURE", "a booking request has shipmentLocations")
    places = {}
    for one in found["shipmentLocations"]:
        if type(one) is not dict:
            _break("DCSA_STRUCTURE", "a shipment location is an object")
        places[one.get("locationTypeCode")] = _object(one, "location")
    args: dict[str, Any] = {}
    for name, inland, port in (("origin", "PRE", "POL"), ("destination", "PDE", "POD")):
        if inland not in places and port not in places:
            _break("DCSA_PLACE", f"neither {inland} nor {port} among the shipment locations")
        args[name] = _place(places.get(inland, {}), places.get(port, {}))
    wanted: dict[str, int] = {}
    for one in found.get("requestedEquipments") or []:
        units = one.get("units") if type(one) is dict else None
        if type(units) is not int or not 1 <= units <= 100:
            _break("DCSA_STRUCTURE", "requested equipment has 1 to 100 units")
        size_type = _code(one, "ISOEquipmentCode", codes.SizeType)
        wanted[size_type] = wanted.get(size_type, 0) + units
    args["equipment"] = [{"type": name, "units": units} for name, units in wanted.items()]
    day = found.get("expectedArrivalAtPlaceOfDeliveryEndDate")
    if day is not None:
        try:
            iso_date(day)
            args["wanted_arrival"] = iso_time(f"{day}T23:59:59Z")
        except BadValue as error:
            _break("DCSA_DATE_TIME", f"expectedArrivalAtPlaceOfDeliveryEndDate: {error}")
    return args


def _break(code: str, message: str) -> NoReturn:
    raise _Broken(code, message)
