"""The rules of EPCIS 2.0 and CBV 2.0 that every event keeps, in whatever syntax it came.

Numbers of rules are those of the project's list of domain rules, from GS1's JSON Schema and the
EPCIS standard. What breaks one is refused by its code; docs/spec/epcis.md lists them.
"""

from __future__ import annotations

import dataclasses
import decimal
import re
from typing import Any, Final

from cli.epcis import vocabulary
from cli.epcis.gs1_uri import HOST, canonical_uri
from cli.epcis.structure import (
    EPC_LISTS,
    PLACES,
    QUANTITY_LISTS,
    TYPED_LISTS,
    TYPES,
    Broken,
    Captured,
    Tree,
    is_list,
    is_map,
    is_text,
    local_of,
)
from contracts.sdk.dates import DAY_MS, checked_date, days_of
from contracts.sdk.errors import BadValue
from contracts.sdk.gs1 import BadCheckDigit, OtherIdentifier, item_path, party_gln
from contracts.supply.epcis_records import CHILD, INPUT, OBJECT, OUTPUT, PARENT

ID_LENGTH_MAX: Final = 256
AMOUNT_MAX: Final = 10**15
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
_UNIT: Final = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)
# Lists of things and what they are in an event; the rest of an event's things are objects.
_ROLES: Final = {
    "childEPCs": CHILD,
    "childQuantityList": CHILD,
    "inputEPCList": INPUT,
    "inputQuantityList": INPUT,
    "outputEPCList": OUTPUT,
    "outputQuantityList": OUTPUT,
}


@dataclasses.dataclass(frozen=True)
class Named:
    """A thing of an event: its path where it is a GS1 key, what it is, and how much of it.

    ``is_item`` tells lots, serials and logistic units; ``amount`` is None where none was said, and
    ``trouble`` a code where one was said that the ledger can't count.
    """

    path: str
    role: str
    is_item: bool
    amount: int | None = None
    unit: str = ""
    trouble: str = ""


@dataclasses.dataclass(frozen=True)
class Checked:
    """A valid event. Steps and dispositions are CBV's bare words or other URIs; times UTC ms."""

    source: Captured
    type: str
    time_ms: int
    offset_minutes: int
    action: str
    step: str
    disposition: str
    read_point: str  # a GLN, or empty
    location: str
    things: tuple[Named, ...]
    sources: dict[str, str]  # type of party to GLN
    destinations: dict[str, str]
    lot: str
    expiry: str

    @property
    def error(self) -> Tree | None:
        found: Tree | None = self.source.tree.get("errorDeclaration")
        return found


def checked(event: Captured) -> Checked:
    """The event, if it keeps the rules. Raises Broken."""
    tree = event.tree
    kind = tree.get("type")
    if kind not in TYPES:
        raise Broken("EPCIS_UNKNOWN_EVENT_TYPE", f"{str(kind)[:80]} is no EPCIS event type")
    time_ms, offset = _event_time(tree)  # rule 7
    action = _action(tree, kind)  # rule 8
    step = _word(tree, "bizStep", "EPCIS_UNKNOWN_BIZ_STEP")  # rule 14
    disposition = _word(tree, "disposition", "EPCIS_UNKNOWN_DISPOSITION")
    _check_event_id(tree)
    things = _things(tree)
    _check_what(tree, kind, action, things)  # rules 9, 11, 12, 13
    if tree.get("ilmd") and not (
        kind == "TransformationEvent" or (kind == "ObjectEvent" and action == "ADD")
    ):  # rule 10
        raise Broken("EPCIS_ILMD_NOT_ALLOWED", "ilmd is for ObjectEvent ADD and transformations")
    _check_error(tree)  # rule 15
    master = is_map(tree, "ilmd")
    return Checked(
        source=event,
        type=kind,
        time_ms=time_ms,
        offset_minutes=offset,
        action=action,
        step=step,
        disposition=disposition,
        read_point=_place(tree, "readPoint"),
        location=_place(tree, "bizLocation"),
        things=things,
        sources=_parties(tree, "sourceList"),  # rule 16
        destinations=_parties(tree, "destinationList"),
        lot=_master_datum(master, ("lotNumber",)),
        expiry=_master_datum(master, ("itemExpirationDate", "expirationDate"))[:10],
    )


# --- when --------------------------------------------------------------------------------------


def _event_time(tree: Tree) -> tuple[int, int]:
    text, offset = is_text(tree, "eventTime"), is_text(tree, "eventTimeZoneOffset")
    if not text or not offset:
        raise Broken("EPCIS_EVENT_TIME_REQUIRED", "eventTime and eventTimeZoneOffset are required")
    found = _OFFSET.fullmatch(offset)
    minutes = None if found is None else _minutes(found)
    if minutes is None:
        raise Broken("EPCIS_BAD_TIME_ZONE_OFFSET", "eventTimeZoneOffset is +hh:mm within 14:00")
    time_ms = parse_time(text)
    if time_ms is None or time_ms < 0:
        raise Broken("EPCIS_BAD_EVENT_TIME", "eventTime is a date and time with a time zone")
    return time_ms, minutes


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


# --- why ---------------------------------------------------------------------------------------


def _action(tree: Tree, kind: str) -> str:
    action = is_text(tree, "action")
    if kind == "TransformationEvent":
        if action:
            raise Broken("EPCIS_BAD_ACTION", "a TransformationEvent has no action")
        return ""
    if action not in ACTIONS:
        raise Broken("EPCIS_BAD_ACTION", "action is ADD, OBSERVE or DELETE")
    return action


def _word(tree: Tree, name: str, code: str) -> str:
    text = is_text(tree, name)
    if text == "":
        return ""
    find = vocabulary.biz_step if name == "bizStep" else vocabulary.disposition
    word = find(text) if len(text) <= ID_LENGTH_MAX else None
    if word is None:
        raise Broken(code, f"{text[:80]} is neither CBV's word nor a URI")
    return word


def _check_event_id(tree: Tree) -> None:
    event_id = is_text(tree, "eventID")
    if len(event_id) > ID_LENGTH_MAX or (event_id and ":" not in event_id):
        raise Broken("EPCIS_BAD_EVENT_ID", f"eventID is a URI of at most {ID_LENGTH_MAX}")


def _check_error(tree: Tree) -> None:
    if "errorDeclaration" not in tree:
        return
    error = is_map(tree, "errorDeclaration")
    if not is_text(error, "declarationTime"):  # GS1's own examples have it without a zone
        raise Broken("EPCIS_DECLARATION_TIME_REQUIRED", "errorDeclaration has a declarationTime")
    is_text(error, "reason")
    for one in is_list(error, "correctiveEventIDs"):
        if type(one) is not str or ":" not in one or len(one) > ID_LENGTH_MAX:
            raise Broken("EPCIS_BAD_EVENT_ID", "correctiveEventIDs are URIs")


# --- what --------------------------------------------------------------------------------------


def _check_what(tree: Tree, kind: str, action: str, things: tuple[Named, ...]) -> None:
    """What each type must name."""
    roles = {one.role for one in things}
    if kind == "ObjectEvent":
        sensed = is_list(tree, "sensorElementList") and is_map(tree, "readPoint")
        if OBJECT not in roles and not sensed:
            raise Broken(
                "EPCIS_OBJECT_EVENT_EMPTY",
                "an ObjectEvent needs epcList, quantityList, or sensorElementList and readPoint",
            )
    elif kind in ("AggregationEvent", "AssociationEvent"):
        if CHILD not in roles and action != "DELETE":
            raise Broken("EPCIS_CHILDREN_REQUIRED", f"{kind} {action} needs children")
        if PARENT not in roles and (kind == "AssociationEvent" or action != "OBSERVE"):
            raise Broken("EPCIS_PARENT_REQUIRED", f"{kind} {action} needs parentID")
    elif kind == "TransactionEvent":
        if not is_list(tree, "bizTransactionList"):
            raise Broken(
                "EPCIS_TRANSACTION_LIST_REQUIRED", "a TransactionEvent needs bizTransactionList"
            )
    elif not (
        {INPUT, OUTPUT} <= roles or (is_text(tree, "transformationID") and roles & {INPUT, OUTPUT})
    ):
        raise Broken(
            "EPCIS_TRANSFORMATION_INCOMPLETE",
            "a TransformationEvent needs input and output, or either and a transformationID",
        )


def _things(tree: Tree) -> tuple[Named, ...]:
    found = []
    parent = is_text(tree, "parentID")
    if parent:
        found.append(_named(parent, PARENT, None))
    for name in EPC_LISTS:
        for text in is_list(tree, name):
            found.append(_named(text, _ROLES.get(name, OBJECT), None))
    for name in QUANTITY_LISTS:
        for element in is_list(tree, name):
            if type(element) is not dict:
                raise Broken("EPCIS_BAD_FIELD", f"{name} is a list of objects")
            found.append(_named(element.get("epcClass"), _ROLES.get(name, OBJECT), element))
    return tuple(found)


def _named(text: Any, role: str, element: Tree | None) -> Named:
    if type(text) is not str or not text:
        raise Broken("EPCIS_BAD_FIELD", "an identifier is text")
    amount, unit, trouble = (None, "", "")
    if element is not None and element.get("quantity") is not None:
        amount, unit, trouble = _quantity(element)
    try:
        return Named(item_path(text), role, True, amount, unit, trouble)
    except BadCheckDigit as error:
        raise Broken("EPCIS_BAD_CHECK_DIGIT", f"{text[:120]}: {error}") from None
    except OtherIdentifier:
        path = (canonical_uri(text) or HOST).removeprefix(HOST)
        return Named(path, role, False, amount, unit, trouble)
    except BadValue as error:
        raise Broken("EPCIS_BAD_ID", f"{text[:120]}: {error}") from None


def _quantity(element: Tree) -> tuple[int | None, str, str]:
    """The amount in a unit that makes it whole, or the code of why it can't be counted."""
    unit = element.get("uom", "EA")
    if type(unit) is not str or not _UNIT.fullmatch(unit):
        raise Broken("EPCIS_BAD_UNIT", "uom is a UN/ECE Recommendation 20 code")
    try:
        number = decimal.Decimal(element["quantity"])
    except (decimal.InvalidOperation, TypeError, ValueError):
        number = decimal.Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= AMOUNT_MAX:
        raise Broken("EPCIS_BAD_QUANTITY", f"a quantity is a number from 0 to {AMOUNT_MAX}")
    if number == 0:
        return None, unit, "QUANTITY_ZERO"
    if number < decimal.Decimal("1e-12"):
        return None, unit, "QUANTITY_NOT_WHOLE"
    factor, unit = _SMALLER.get(unit, (1, unit))
    amount = decimal.Context(prec=200).multiply(number, factor)
    if amount != amount.to_integral_value() or amount > AMOUNT_MAX:
        return None, unit, "QUANTITY_NOT_WHOLE"
    return int(amount), unit, ""


# --- where and who -----------------------------------------------------------------------------


def _place(tree: Tree, name: str) -> str:
    """The GLN of a place; empty for places that have none."""
    assert name in PLACES
    text = is_text(is_map(tree, name), "id")
    if not text:
        return ""
    try:
        return party_gln(text)
    except BadCheckDigit as error:
        raise Broken("EPCIS_BAD_CHECK_DIGIT", f"{name}: {error}") from None
    except BadValue:
        return ""


def _parties(tree: Tree, name: str) -> dict[str, str]:
    """Type of source or destination, a bare word where CBV's, to GLN; others are left out."""
    found = {}
    for element in is_list(tree, name):
        if type(element) is not dict:
            raise Broken("EPCIS_BAD_FIELD", f"{name} is a list of objects")
        kind, text = is_text(element, "type"), is_text(element, TYPED_LISTS[name])
        if kind and text:
            try:
                found[vocabulary.bare(kind, name)] = party_gln(text)
            except BadCheckDigit as error:
                raise Broken("EPCIS_BAD_CHECK_DIGIT", f"{name}: {error}") from None
            except BadValue:
                continue
    return found


def _master_datum(master: Tree, names: tuple[str, ...]) -> str:
    """A value of the ilmd by its local name; empty where it is no short text."""
    for key in sorted(master):
        if re.split(r"[:#/]", local_of(key))[-1] in names:
            value = master[key]
            if type(value) is dict:
                value = value.get("@value", value.get("#text"))
            if type(value) is str and len(value.strip()) <= 64:
                return value.strip()
    return ""
