"""DCSA transport documents (eBL 3.0) as bills of lading: what the contract's terms take of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from contracts.sdk import ContainerNumber
from contracts.sdk.dates import iso_date
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import field_of

DOCUMENT_BYTES_MAX: Final = 16 << 20
LINE_MAX: Final = 500
PLACE_MAX: Final = 100
REFERENCE_MAX: Final = 20
GOODS_MAX: Final = 100
GRAMS: Final = {"KGM": Decimal(1000), "LBR": Decimal("453.59237")}


def bill_of(raw: bytes, reference: str = "", clauses: Sequence[str] = ()) -> dict[str, Any]:
    """``to_order``, ``terms`` and ``document`` (its SHA-256) of a transport document, as
    ``bill.issue`` takes them; ``reference`` is its number where the document has none, being
    shipping instructions. ``clauses`` are the carrier's on the state of the goods: DCSA's general
    clauses don't make a bill unclean.

    Raises InputError DCSA_NOT_JSON, DCSA_NOT_NEGOTIABLE for a sea waybill, which gives no control
    over goods, DCSA_STRUCTURE, DCSA_CODE, DCSA_DATE_TIME.
    """
    found = _parsed(raw)
    kind = found.get("transportDocumentTypeCode")
    if kind == "SWB":
        raise InputError("DCSA_NOT_NEGOTIABLE", "a sea waybill (SWB) is no document of title")
    if kind != "BOL":
        raise _shape("transportDocumentTypeCode is BOL or SWB")
    to_order = found.get("isToOrder")
    if type(to_order) is not bool:
        raise _shape("isToOrder is true or false")
    parties = _object(found, "documentParties")
    consignee = _party(parties, "consignee", optional=to_order)
    if to_order and consignee:
        raise _shape("a bill to order has no consignee: who gets it is an endorsee")
    items = _objects(found, "consignmentItems")
    transports = _object(found, "transports", optional=True)
    voyage = next(iter(_objects(transports, "vesselVoyages", optional=True)), {})
    terms = {
        "reference": _number(found, reference),
        "shipper": _party(parties, "shipper"),
        "consignee": consignee,
        "goods": _goods(items),
        "containers": list(_containers(found)),
        "packages": sum(_packages(items)),
        "gross_weight_g": sum(_grams(items)),
        "loading": _place(transports, "portOfLoading"),
        "discharge": _place(transports, "portOfDischarge"),
        "vessel": _text(voyage, "vesselName", PLACE_MAX),
        "voyage": _text(voyage, "carrierExportVoyageNumber", PLACE_MAX),
        "on_board": _on_board(found),
        "freight": _freight(found),
    }
    if clauses:
        terms["clauses"] = list(clauses)
    return {"to_order": to_order, "terms": terms, "document": {"hex": sha256(raw).hex()}}


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise InputError("DCSA_NOT_JSON", f"more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        found = json.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InputError("DCSA_NOT_JSON", f"not JSON: {error}"[:200]) from None
    if type(found) is not dict:
        raise _shape("a transport document is an object")
    return found


def _shape(message: str) -> InputError:
    return InputError("DCSA_STRUCTURE", message)


def _object(value: dict[str, Any], name: str, *, optional: bool = False) -> dict[str, Any]:
    found = value.get(name)
    if found is None and optional:
        return {}
    if type(found) is not dict:
        raise _shape(f"{name} is an object")
    return found


def _objects(value: dict[str, Any], name: str, *, optional: bool = False) -> list[dict[str, Any]]:
    found = value.get(name)
    if found is None and optional:
        return []
    if type(found) is not list or not all(type(one) is dict for one in found):
        raise _shape(f"{name} is a list of objects")
    return found


def _text(value: dict[str, Any], name: str, maximum: int) -> str:
    found = value.get(name, "")
    if type(found) is not str or len(found) > maximum:
        raise _shape(f"{name} is text of at most {maximum} characters")
    return found


def _number(found: dict[str, Any], given: str) -> str:
    number = _text(found, "transportDocumentReference", REFERENCE_MAX)
    if number and given and number != given:
        raise _shape(f"the document's number is {number}, not {given}")
    if not (number or given):
        raise _shape("no transportDocumentReference: of shipping instructions, say --reference")
    return number or given


def _party(parties: dict[str, Any], name: str, *, optional: bool = False) -> str:
    """Name and address in a line."""
    if optional and name not in parties:
        return ""
    party = _object(parties, name)
    address = _object(party, "address", optional=True)
    parts = ["partyName", "street", "streetNumber", "postCode", "city", "countryCode"]
    said = [_text(party if part == "partyName" else address, part, LINE_MAX) for part in parts]
    if not said[0]:
        raise _shape(f"{name} has no partyName")
    return ", ".join(filter(None, said))[:LINE_MAX]


def _goods(items: list[dict[str, Any]]) -> list[str]:
    lines = []
    for item in items:
        said = item.get("descriptionOfGoods")
        words: list[Any] = said if isinstance(said, list) else [said]
        if not words or not all(type(one) is str and one for one in words):
            raise _shape("descriptionOfGoods is text, or a list of it")
        text = " ".join(words)
        lines += [text[at : at + LINE_MAX] for at in range(0, len(text), LINE_MAX)]
    if not 1 <= len(lines) <= GOODS_MAX:
        raise _shape(f"1 to {GOODS_MAX} lines of goods")
    return lines


def _containers(found: dict[str, Any]) -> Iterator[str]:
    for one in _objects(found, "utilizedTransportEquipments", optional=True):
        reference = _object(one, "equipment", optional=True).get("equipmentReference")
        reference = reference or one.get("equipmentReference")
        try:
            yield field_of(ContainerNumber).check(reference)
        except BadValue as error:
            raise InputError("DCSA_CODE", f"equipmentReference {reference}: {error}") from None


def _cargo(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield from _objects(item, "cargoItems")


def _packages(items: list[dict[str, Any]]) -> Iterator[int]:
    for cargo in _cargo(items):
        count = _object(cargo, "outerPackaging", optional=True).get("numberOfPackages", 0)
        if type(count) is not int or not 0 <= count <= 10**8:
            raise _shape("numberOfPackages is a whole number")
        yield count


def _grams(items: list[dict[str, Any]]) -> Iterator[int]:
    for cargo in _cargo(items):
        weight = _object(cargo, "cargoGrossWeight")
        unit: Any = weight.get("unit")
        value: Any = weight.get("value")
        if type(unit) is not str or unit not in GRAMS or type(value) not in (int, Decimal):
            raise _shape("cargoGrossWeight has a value, and KGM or LBR as unit")
        try:
            grams = int((Decimal(value) * GRAMS[unit]).to_integral_value())
        except (InvalidOperation, OverflowError):
            grams = -1
        if not 0 <= grams <= 10**15:
            raise _shape(f"a gross weight of {value} {unit}"[:200])
        yield grams


def _place(transports: dict[str, Any], name: str) -> str:
    place = _object(transports, name, optional=True)
    return _text(place, "UNLocationCode", PLACE_MAX) or _text(place, "locationName", PLACE_MAX)


def _on_board(found: dict[str, Any]) -> str:
    day = _text(found, "shippedOnBoardDate", 10)
    if day:
        try:
            iso_date(day)
        except BadValue as error:
            raise InputError("DCSA_DATE_TIME", f"shippedOnBoardDate: {error}") from None
    return day


def _freight(found: dict[str, Any]) -> str:
    code = found.get("freightPaymentTermCode", "")
    if code not in ("", "PRE", "COL"):
        raise InputError("DCSA_CODE", "freightPaymentTermCode is PRE or COL")
    return str(code)
