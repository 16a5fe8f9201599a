"""EPCIS 2.0 documents in JSON: from bytes to checked events.

Everything here happens at the edge, before a transaction is made. A document that can't be read at
all raises InputError; an event that breaks a rule becomes :class:`Refused` with its code, and the
others go on. docs/spec/epcis.md lists the codes.
"""

from __future__ import annotations

import dataclasses
import decimal
import json
import re
from typing import Any, Final, NoReturn

from cli import epcis_vocabulary as vocabulary
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from contracts.sdk.dates import DAY_MS, checked_date, days_of
from contracts.sdk.errors import BadValue
from contracts.sdk.gs1 import BadCheckDigit, OtherIdentifier, item_path, party_gln

DOCUMENT_BYTES_MAX: Final = 16 << 20
EVENTS_MAX: Final = 10_000
ID_LENGTH_MAX: Final = 256
VERSION: Final = "2.0"
AMOUNT_MAX: Final = 10**15

TYPES: Final = (
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "AssociationEvent",
)
ACTIONS: Final = ("ADD", "OBSERVE", "DELETE")

# Units that are counted in a smaller one, so that decimals become whole numbers (UN/ECE Rec 20).
_SMALLER: Final = {
    "TNE": (1_000_000, "GRM"),
    "KGM": (1_000, "GRM"),
    "LTR": (1_000, "MLT"),
    "MTR": (1_000, "MMT"),
}
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)
_OFFSET_MINUTES_MAX: Final = 14 * 60


@dataclasses.dataclass(frozen=True)
class Refused:
    """An event that does not become a call, and why. ``number`` counts from 1."""

    number: int
    event_id: str
    code: str
    message: str


@dataclasses.dataclass(frozen=True)
class Things:
    """What a list of an event names: items as the batch contract takes them.

    ``other`` are identifiers that the contract does not know.
    """

    items: tuple[dict[str, Any], ...] = ()
    other: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items or self.other)


@dataclasses.dataclass(frozen=True)
class EpcisEvent:
    """A checked event. Steps and dispositions are CBV's bare words or URIs, times UTC ms.

    ``things`` are an ObjectEvent's objects, an AggregationEvent's children, a
    TransformationEvent's inputs; ``hash`` is the same for the same event in any form of its
    identifiers.
    """

    number: int
    type: str
    event_id: str
    hash: bytes
    time_ms: int
    action: str
    step: str
    disposition: str
    place: str
    things: Things
    outputs: Things
    parent: Things
    sources: dict[str, str]
    destinations: dict[str, str]
    lot: str
    expiry: str
    error: dict[str, Any] | None


class _Broken(Exception):
    """An event breaks a rule."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def load_events(raw: bytes) -> list[EpcisEvent | Refused]:
    """The events of a document, a query document's results, or one event alone, in order.

    Raises InputError: EPCIS_TOO_LARGE, EPCIS_INVALID_JSON, EPCIS_NOT_A_DOCUMENT,
    EPCIS_VERSION_NOT_COVERED, EPCIS_TOO_MANY_EVENTS.
    """
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise InputError("EPCIS_TOO_LARGE", f"more than {DOCUMENT_BYTES_MAX} bytes")
    events = _event_list(_parsed(raw))
    if len(events) > EVENTS_MAX:
        raise InputError("EPCIS_TOO_MANY_EVENTS", f"more than {EVENTS_MAX} events")
    found: list[EpcisEvent | Refused] = []
    for number, event in enumerate(events, 1):
        event_id = event.get("eventID", "") if type(event) is dict else ""
        try:
            found.append(_event(number, event))
        except _Broken as error:
            shown = event_id if type(event_id) is str else ""
            found.append(Refused(number, shown[:ID_LENGTH_MAX], error.code, str(error)))
    return found


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(
            raw.decode("utf-8-sig"),
            parse_float=_decimal,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError, ArithmeticError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError("EPCIS_INVALID_JSON", reason[:300]) from None


def _decimal(text: str) -> decimal.Decimal:
    if len(text) > 100:
        raise ValueError("a number of more than 100 characters")
    return decimal.Decimal(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has one key twice")
    return found


def _event_list(document: Any) -> list[Any]:
    if type(document) is dict:
        kind = _bare_type(document.get("type"))
        version = document.get("schemaVersion", VERSION)
        if version != VERSION:
            raise InputError(
                "EPCIS_VERSION_NOT_COVERED",
                f"schemaVersion is {str(version)[:20]!r}, what is read here is {VERSION!r}",
            )
        if kind in ("EPCISDocument", "EPCISQueryDocument"):
            body = _inner(document, "epcisBody")
            if "queryResults" in body:
                body = _inner(_inner(body, "queryResults"), "resultsBody")
            events = body.get("eventList", [body["event"]] if "event" in body else None)
            if type(events) is list:
                return events
        elif "eventTime" in document or (kind or "").endswith("Event"):
            return [document]
    raise InputError(
        "EPCIS_NOT_A_DOCUMENT",
        "neither an EPCISDocument or EPCISQueryDocument with an event list nor an event",
    )


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if type(found) is dict else {}


def _bare_type(value: Any) -> str | None:
    return value.rpartition(":")[2] if type(value) is str else None


# --- one event -------------------------------------------------------------------------------


def _event(number: int, event: Any) -> EpcisEvent:
    if type(event) is not dict:
        raise _Broken("EPCIS_BAD_FIELD", "an event is an object")
    kind = _bare_type(event.get("type", event.get("isA")))
    if kind not in TYPES:
        raise _Broken("EPCIS_UNKNOWN_EVENT_TYPE", f"{str(kind)[:80]} is no EPCIS event type")
    time_ms = _event_time(event)
    action = _action(event, kind)
    step = _vocabulary_word(event, "bizStep", "EPCIS_UNKNOWN_BIZ_STEP")
    disposition = _vocabulary_word(event, "disposition", "EPCIS_UNKNOWN_DISPOSITION")
    names = {
        "ObjectEvent": ("epcList", "quantityList"),
        "TransactionEvent": ("epcList", "quantityList"),
        "TransformationEvent": ("inputEPCList", "inputQuantityList"),
    }.get(kind, ("childEPCs", "childQuantityList"))
    things = _things(event, *names)
    outputs = _things(event, "outputEPCList", "outputQuantityList")
    parent = _parent(event)
    _check_what(event, kind, action, things, outputs, parent)
    if event.get("ilmd") and not (
        kind == "TransformationEvent" or (kind == "ObjectEvent" and action == "ADD")
    ):
        raise _Broken(
            "EPCIS_ILMD_NOT_ALLOWED", "ilmd stands on ObjectEvent ADD and TransformationEvent only"
        )
    master = _object_field(event, "ilmd")
    return EpcisEvent(
        number=number,
        type=kind,
        event_id=_event_id(event),
        hash=content_hash(event, time_ms),
        time_ms=time_ms,
        action=action,
        step=step,
        disposition=disposition,
        place=_place(event),
        things=things,
        outputs=outputs,
        parent=parent,
        sources=_parties(event, "sourceList", "source"),
        destinations=_parties(event, "destinationList", "destination"),
        lot=_master_datum(master, ("lotNumber",)),
        expiry=_master_datum(master, ("itemExpirationDate", "expirationDate"))[:10],
        error=_object_field(event, "errorDeclaration") or None,
    )


def _event_time(event: dict[str, Any]) -> int:
    text, offset = event.get("eventTime"), event.get("eventTimeZoneOffset")
    if text is None or offset is None:
        raise _Broken("EPCIS_EVENT_TIME_REQUIRED", "eventTime and eventTimeZoneOffset are required")
    found = _OFFSET.fullmatch(offset) if type(offset) is str else None
    if found is None or _minutes(found) is None:
        raise _Broken("EPCIS_BAD_TIME_ZONE_OFFSET", "eventTimeZoneOffset is +hh:mm within 14:00")
    time_ms = parse_time(text) if type(text) is str else None
    if time_ms is None or time_ms < 0:
        raise _Broken("EPCIS_BAD_EVENT_TIME", "eventTime is a date and time with a time zone")
    return time_ms


def _minutes(offset: re.Match[str]) -> int | None:
    minutes = int(offset[2]) * 60 + int(offset[3])
    if minutes > _OFFSET_MINUTES_MAX or int(offset[3]) > 59:
        return None
    return -minutes if offset[1] == "-" else minutes


def parse_time(text: str) -> int | None:
    """Milliseconds since 1970 of an ISO 8601 time with its zone; finer parts are cut off."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    zone = _OFFSET.fullmatch(found[8])
    minutes = 0 if zone is None else _minutes(zone)
    if hour > 23 or minute > 59 or second > 59 or minutes is None:
        return None
    try:
        days = days_of(checked_date(year, month, day))
    except BadValue:
        return None
    milliseconds = int(((found[7] or "") + "000")[:3])
    seconds = hour * 3600 + (minute - minutes) * 60 + second
    return days * DAY_MS + seconds * 1000 + milliseconds


def _action(event: dict[str, Any], kind: str) -> str:
    action = event.get("action", "")
    if kind == "TransformationEvent":
        if action:
            raise _Broken("EPCIS_BAD_ACTION", "a TransformationEvent has no action")
        return ""
    if action not in ACTIONS:
        raise _Broken("EPCIS_BAD_ACTION", "action is ADD, OBSERVE or DELETE")
    return str(action)


def _vocabulary_word(event: dict[str, Any], name: str, code: str) -> str:
    text = event.get(name, "")
    if text == "":
        return ""
    find = vocabulary.biz_step if name == "bizStep" else vocabulary.disposition
    word = find(text) if type(text) is str and len(text) <= ID_LENGTH_MAX else None
    if word is None:
        raise _Broken(code, f"{str(text)[:80]} is neither CBV's word nor a URI")
    return word


def _check_what(
    event: dict[str, Any],
    kind: str,
    action: str,
    things: Things,
    outputs: Things,
    parent: Things,
) -> None:
    """What each type must name."""
    if kind == "ObjectEvent":
        sensed = event.get("sensorElementList") and event.get("readPoint")
        if not things and not sensed:
            raise _Broken(
                "EPCIS_OBJECT_EVENT_EMPTY",
                "an ObjectEvent needs epcList, quantityList, or sensorElementList and readPoint",
            )
    elif kind in ("AggregationEvent", "AssociationEvent"):
        if not things and action != "DELETE":
            raise _Broken("EPCIS_CHILDREN_REQUIRED", f"{kind} {action} needs children")
        if not parent and (kind == "AssociationEvent" or action != "OBSERVE"):
            raise _Broken("EPCIS_PARENT_REQUIRED", f"{kind} {action} needs parentID")
    elif kind == "TransactionEvent":
        if not event.get("bizTransactionList"):
            raise _Broken(
                "EPCIS_TRANSACTION_LIST_REQUIRED", "a TransactionEvent needs bizTransactionList"
            )
    elif not ((things and outputs) or (event.get("transformationID") and (things or outputs))):
        raise _Broken(
            "EPCIS_TRANSFORMATION_INCOMPLETE",
            "a TransformationEvent needs input and output, or either and a transformationID",
        )


def _event_id(event: dict[str, Any]) -> str:
    event_id = event.get("eventID", "")
    if (
        type(event_id) is not str
        or len(event_id) > ID_LENGTH_MAX
        or (event_id and ":" not in event_id)
    ):
        raise _Broken("EPCIS_BAD_EVENT_ID", f"eventID is a URI of at most {ID_LENGTH_MAX}")
    return event_id


# --- what it names ---------------------------------------------------------------------------


def _things(event: dict[str, Any], ids_name: str, quantities_name: str) -> Things:
    items: list[dict[str, Any]] = []
    other: list[str] = []
    for text in _list_field(event, ids_name):
        _add_item(items, other, text, None)
    for element in _list_field(event, quantities_name):
        if type(element) is not dict:
            raise _Broken("EPCIS_BAD_FIELD", f"{quantities_name} is a list of objects")
        _add_item(items, other, element.get("epcClass"), element)
    return Things(tuple(items), tuple(other))


def _parent(event: dict[str, Any]) -> Things:
    items: list[dict[str, Any]] = []
    other: list[str] = []
    if event.get("parentID"):
        _add_item(items, other, event["parentID"], None)
    return Things(tuple(items), tuple(other))


def _add_item(
    items: list[dict[str, Any]], other: list[str], text: Any, element: dict[str, Any] | None
) -> None:
    if type(text) is not str:
        raise _Broken("EPCIS_BAD_FIELD", "an identifier is text")
    try:
        item: dict[str, Any] = {"item": item_path(text)}
    except BadCheckDigit as error:
        raise _Broken("EPCIS_BAD_CHECK_DIGIT", f"{text[:120]}: {error}") from None
    except OtherIdentifier:
        other.append(text)
        return
    except BadValue as error:
        raise _Broken("EPCIS_BAD_ID", f"{text[:120]}: {error}") from None
    if element is not None and element.get("quantity") is not None:
        item["quantity"] = _quantity(element)
    items.append(item)


def _quantity(element: dict[str, Any]) -> dict[str, Any]:
    number, unit = element["quantity"], element.get("uom", "EA")
    if type(unit) is not str or not re.fullmatch(r"[A-Z0-9]{2,3}", unit, re.ASCII):
        raise _Broken("EPCIS_BAD_UNIT", "uom is a UN/ECE Recommendation 20 code")
    if type(number) is int:
        number = decimal.Decimal(number) if 0 < number <= AMOUNT_MAX else None
    if type(number) is not decimal.Decimal or not 0 < number <= AMOUNT_MAX:
        raise _Broken("EPCIS_BAD_QUANTITY", f"a quantity is above 0, at most {AMOUNT_MAX}")
    if number < decimal.Decimal("1e-12"):
        raise _Broken("EPCIS_QUANTITY_NOT_WHOLE", f"{number} is not a whole number")
    factor, unit = _SMALLER.get(unit, (1, unit))
    amount = decimal.Context(prec=200).multiply(number, factor)
    if amount != amount.to_integral_value() or amount > AMOUNT_MAX:
        raise _Broken("EPCIS_QUANTITY_NOT_WHOLE", f"{number} makes no whole number of {unit}")
    return {"amount": int(amount), "unit": unit}


def _place(event: dict[str, Any]) -> str:
    text = _object_field(event, "readPoint").get("id", "")
    if type(text) is not str:
        raise _Broken("EPCIS_BAD_FIELD", "readPoint.id is text")
    try:
        return party_gln(text)
    except BadCheckDigit as error:
        raise _Broken("EPCIS_BAD_CHECK_DIGIT", f"readPoint: {error}") from None
    except BadValue:
        return text[:128]


def _parties(event: dict[str, Any], name: str, inner: str) -> dict[str, str]:
    """Type of source or destination (a bare word where CBV's) to GLN; others are left out."""
    found = {}
    for element in _list_field(event, name):
        if type(element) is not dict:
            raise _Broken("EPCIS_BAD_FIELD", f"{name} is a list of objects")
        kind, text = element.get("type"), element.get(inner)
        if type(kind) is str and type(text) is str:
            try:
                found[re.split(r"[:/]|SDT-", kind)[-1]] = party_gln(text)
            except BadCheckDigit as error:
                raise _Broken("EPCIS_BAD_CHECK_DIGIT", f"{name}: {error}") from None
            except BadValue:
                continue
    return found


def _master_datum(master: dict[str, Any], names: tuple[str, ...]) -> str:
    """A value of the ilmd by its name without prefix."""
    for key in sorted(master):
        if re.split(r"[:#/]", key)[-1] in names:
            value = master[key]
            if type(value) is dict:
                value = value.get("@value")
            if type(value) is not str or len(value) > 64:
                raise _Broken("EPCIS_BAD_FIELD", f"ilmd {key[:80]} is short text")
            return value
    return ""


def _list_field(event: dict[str, Any], name: str) -> list[Any]:
    value = event.get(name, [])
    if type(value) is not list:
        raise _Broken("EPCIS_BAD_FIELD", f"{name} is a list")
    return value


def _object_field(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name) or {}
    if type(value) is not dict:
        raise _Broken("EPCIS_BAD_FIELD", f"{name} is an object")
    return value


# --- one hash for one event ------------------------------------------------------------------


def content_hash(event: dict[str, Any], time_ms: int) -> bytes:
    """SHA-256 of what the event says, the same for each form of its identifiers and words.

    Left out are eventID, recordTime, errorDeclaration and the JSON-LD context; the order of lists
    does not matter. It stands in for CBV's event hash, which normalises more.
    """
    left_out = ("eventID", "recordTime", "errorDeclaration", "@context", "eventTime")
    said = {name: _normal(value) for name, value in event.items() if name not in left_out}
    said["eventTime"] = time_ms
    return sha256(_canonical(said).encode())


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _normal(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _normal_text(value)
    if kind is decimal.Decimal:
        # More digits than any number that was let in, so nothing is rounded.
        return str(decimal.Context(prec=200).normalize(value))
    if kind is int:
        return str(decimal.Context(prec=5000).normalize(decimal.Decimal(value)))
    if kind is list:
        return sorted((_normal(item) for item in value), key=_canonical)
    if kind is dict:
        return {name: _normal(item) for name, item in value.items()}
    return value


def _normal_text(text: str) -> str:
    if ":" not in text:
        return text
    for find in (vocabulary.biz_step, vocabulary.disposition):
        word = find(text)
        if word is not None and word != text:
            return word
    try:
        return item_path(text)
    except BadValue:
        pass
    if text.startswith(("urn:epc:id:pgln:", "urn:epc:id:sgln:")) or re.search("/41[47]/", text):
        try:
            extension = re.search(r"/254/([^/?]+)|sgln:[^.]*\.[^.]*\.(.+)", text)
            inner = (extension[1] or extension[2]) if extension else "0"
            return party_gln(text) + ("" if inner == "0" else f"/254/{inner}")
        except BadValue:
            pass
    return text
