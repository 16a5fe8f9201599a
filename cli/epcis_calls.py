"""From a checked EPCIS event to the call of the batch contract that has its effect."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from cli.epcis_events import EpcisEvent, Things
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from contracts.supply.stock import ITEMS_MAX, OUTPUTS_MAX

CONTRACT: Final = "batch"

_DISPENSED: Final = ("dispensed", "retail_sold")
_DISPENSING: Final = ("dispensing", "retail_selling")
# Steps that would change the state of things if they came with the right action or type.
_NOT_BY_OBSERVING: Final = ("decommissioning", "destroying", "void_shipping", *_DISPENSING)


def to_call(event: EpcisEvent) -> Call:
    """The call that a transaction carries for this event.

    Raises InputError with the reason where the batch contract has no such effect.
    """
    if event.error is not None:
        return _error_call(event)
    if event.type == "TransactionEvent":
        _refuse("EPCIS_TRANSACTION_EVENT_NOT_COVERED", "links to business documents are not kept")
    if event.type == "AssociationEvent":
        _refuse("EPCIS_ASSOCIATION_EVENT_NOT_COVERED", "assets are not kept")
    if event.type == "TransformationEvent":
        return _transformation_call(event)
    if event.type == "AggregationEvent" and event.action != "OBSERVE":
        return _aggregation_call(event)
    # A unit that is seen with its contents is what moves; they move with it.
    things = event.parent or event.things
    if not things:
        _refuse("EPCIS_SENSOR_ONLY", "the event names no lot, serial or logistic unit")
    items = _items(things)
    if event.action == "ADD":
        args = {"items": items, "expiry": event.expiry, "lot": event.lot}
        return _call(event, "commission", args)
    if event.action == "DELETE":
        return _deletion_call(event, items)
    return _observation_call(event, items)


def _observation_call(event: EpcisEvent, items: list[dict[str, Any]]) -> Call:
    if event.step in ("shipping", "consigning"):
        consignee = _party(event.destinations)
        if consignee is None:
            _refuse(
                "EPCIS_CONSIGNEE_REQUIRED",
                "shipping needs a destination of type owning_party or possessing_party, a GLN",
            )
        return _call(event, "ship", {"items": items, "consignee": consignee})
    if event.step == "receiving":
        return _call(event, "receive", {"items": items, "sender": _party(event.sources)})
    if event.disposition == "recalled":
        return _call(event, "recall", {"items": items})
    if event.step == "holding":
        return _call(event, "quarantine", {"items": items})
    if event.step in _DISPENSING and event.disposition in _DISPENSED:
        return _call(event, "dispense", {"items": items})
    if event.step in _NOT_BY_OBSERVING:
        _refuse("EPCIS_STEP_NOT_COVERED", f"{event.step} with OBSERVE has no effect here")
    args = {"items": items, "step": event.step[:128], "disposition": event.disposition[:128]}
    return _call(event, "observe", args)


def _deletion_call(event: EpcisEvent, items: list[dict[str, Any]]) -> Call:
    if event.step in _DISPENSING or event.disposition in _DISPENSED:
        return _call(event, "dispense", {"items": items})
    destroyed = event.step == "destroying" or event.disposition == "destroyed"
    state = "DESTROYED" if destroyed else "DECOMMISSIONED"
    return _call(event, "decommission", {"items": items, "state": state})


def _aggregation_call(event: EpcisEvent) -> Call:
    parent = _items(event.parent)[0]["item"]
    # DELETE without children takes everything out.
    items = _items(event.things) if event.things else []
    method = "pack" if event.action == "ADD" else "unpack"
    return _call(event, method, {"parent": parent, "items": items})


def _transformation_call(event: EpcisEvent) -> Call:
    if not (event.things and event.outputs):
        _refuse("EPCIS_TRANSFORMATION_IN_PARTS", "input and output come in one event here")
    inputs = _items(event.things, OUTPUTS_MAX)
    outputs = _items(event.outputs, OUTPUTS_MAX)
    if event.step == "repackaging" and _is_split(inputs, outputs):
        parts = [
            {"lot": _lot_number(item["item"]), "amount": item["quantity"]["amount"]}
            for item in outputs
        ]
        return _call(event, "split", {"item": inputs[0]["item"], "parts": parts})
    args = {"inputs": inputs, "outputs": outputs, "expiry": event.expiry, "lot": event.lot}
    return _call(event, "transform", args)


def _is_split(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> bool:
    """Whether an amount of one lot becomes lots of the same trade item, nothing lost."""
    everything = [*inputs, *outputs]
    return (
        len(inputs) == 1
        and all("quantity" in item for item in everything)
        and len({item["item"][:21] for item in everything}) == 1  # 01/GTIN/10/
        and len({item["quantity"]["unit"] for item in everything}) == 1
        and inputs[0]["quantity"]["amount"] == sum(item["quantity"]["amount"] for item in outputs)
    )


def _lot_number(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path[21:])


def _error_call(event: EpcisEvent) -> Call:
    if not event.event_id:
        _refuse("EPCIS_ERROR_WITHOUT_EVENT_ID", "an error declaration names the event by eventID")
    assert event.error is not None
    reason = event.error.get("reason", "")
    corrective = event.error.get("correctiveEventIDs", [])
    texts = [reason, *corrective] if type(corrective) is list else [None]
    if not all(type(text) is str and len(text) <= 128 for text in texts) or len(texts) > 21:
        _refuse("EPCIS_BAD_FIELD", "errorDeclaration has a reason and at most 20 event ids")
    args = {"event_id": event.event_id, "reason": reason, "corrective_ids": corrective}
    return Call(CONTRACT, "declare_error", args)


def _items(things: Things, maximum: int = ITEMS_MAX) -> list[dict[str, Any]]:
    if things.other:
        _refuse(
            "EPCIS_ID_NOT_COVERED",
            f"{things.other[0][:120]} is no lot, serial or logistic unit",
        )
    if len(things.items) > maximum:
        _refuse("EPCIS_TOO_MANY_ITEMS", f"more than {maximum} things in one event")
    return list(things.items)


def _party(parties: dict[str, str]) -> str | None:
    return parties.get("owning_party") or parties.get("possessing_party")


def _call(event: EpcisEvent, method: str, args: dict[str, Any]) -> Call:
    info: dict[str, Any] = {"hash": event.hash, "time": event.time_ms}
    if event.event_id:
        info["id"] = event.event_id
    if event.place:
        info["place"] = event.place
    given = {name: value for name, value in args.items() if value not in (None, "")}
    return Call(CONTRACT, method, {**given, "event": info})


def _refuse(code: str, message: str) -> NoReturn:
    raise InputError(code, message)
