"""Events out of the chain: rebuilt from their openings, each checked against its commitment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cli.epcis.event_hash import event_digest, ni_uri
from cli.epcis.gs1_uri import HOST
from cli.epcis.structure import NUMBER, Captured, Tree, from_text
from consensus.primitives.codec import data_from_json
from consensus.primitives.errors import CodecError, InputError
from contracts.sdk.commitments import opens
from contracts.sdk.dates import time_text
from contracts.sdk.errors import BadValue
from contracts.supply.epcis_records import CHILD, INPUT, OBJECT, OUTPUT, PARENT

if TYPE_CHECKING:
    from cli.client import Client

PAGE: Final = 100
NAMESPACE: Final = "urn:hansa:epcis:"
WITHHELD: Final = f"{{{NAMESPACE}}}documentWithheld"
_OPENING_BYTES_MAX: Final = 1 << 20
_LISTS: Final = {
    OBJECT: ("epcList", "quantityList"),
    CHILD: ("childEPCs", "childQuantityList"),
    INPUT: ("inputEPCList", "inputQuantityList"),
    OUTPUT: ("outputEPCList", "outputQuantityList"),
}


class Exported(NamedTuple):
    """An event as exported: whole, or its public part alone and ``missing`` why."""

    number: int
    event: Captured
    missing: str = ""


def recorded_events(
    client: Client, *, item: str | None, from_height: int, organisation: str | None
) -> Iterator[dict[str, Any]]:
    """The chain's records of events, oldest first, page by page."""
    after = 0
    while True:
        if item is not None:
            page = client.query("epcis", "events_of", {"item": item, "after": after}).value
        else:
            args = {"after": after, "from_height": from_height}
            page = client.query("epcis", "page", args).value
        for record in page:
            if record["height"] >= from_height and organisation in (None, record["organisation"]):
                yield record
        if len(page) < PAGE:
            return
        after = page[-1]["number"]


def exported(
    client: Client, record: Mapping[str, Any], folders: tuple[Path, ...]
) -> Iterator[Exported]:
    """The event of a record, and the declaration that it was wrong, if there is one."""
    yield _rebuilt(record["number"], record, record, folders)
    declared = client.query("epcis", "error_of", {"number": record["number"]}).value
    if declared is not None and declared["document"] is not None:
        public = {**record, "event": {**record["event"], "error": declared["error"]}}
        yield _rebuilt(record["number"], declared, public, folders)


def _rebuilt(
    number: int,
    committed: Mapping[str, Any],
    record: Mapping[str, Any],
    folders: tuple[Path, ...],
) -> Exported:
    """The whole event, if an opening of the commitment is at hand."""
    missing = "no opening"
    for folder in folders:
        path = folder / f"{committed['tx_id'].hex()}.json"
        for salt, text in _openings(path, committed["document"]):
            try:
                if type(text) is not str or not opens(committed["document"], salt, text):
                    missing = "the opening does not fit the commitment"
                    continue
                event = from_text(text, number)
            except (BadValue, InputError) as error:
                missing = error.message
                continue
            if event_digest(event) == record["event"]["hash"]:
                return Exported(number, event)
            if record["event"].get("error") is not None:
                return Exported(number, event)  # a declaration by eventID need not repeat it all
            missing = "the opened document has another event hash"
    return Exported(number, _public_part(number, record["event"]), missing)


def _openings(path: Path, commitment: bytes) -> Iterator[tuple[bytes, Any]]:
    """Salt and value of a commitment's opening in a file; nothing where there is none."""
    from node.keystore import read_limited

    try:
        value = json.loads(read_limited(path, _OPENING_BYTES_MAX, "openings"))
        for one in value["openings"]:
            if one["commitment"] == commitment.hex():
                yield bytes.fromhex(one["salt"]), data_from_json(one["value"])
    except (InputError, CodecError, ValueError, KeyError, TypeError):
        return


def _public_part(number: int, event: Mapping[str, Any]) -> Captured:
    """What the chain itself says of an event, marked as no more than that."""
    tree: Tree = {
        "type": event["type"],
        "eventID": event["event_id"] or ni_uri(event["hash"]),
        "eventTime": time_text(event["time"]),
        "eventTimeZoneOffset": _offset(event["offset_minutes"]),
    }
    if event["action"]:
        tree["action"] = event["action"]
    for name, field in (("bizStep", "step"), ("disposition", "disposition")):
        if event[field]:
            tree[name] = event[field]
    for name, field in (("readPoint", "read_point"), ("bizLocation", "location")):
        if event[field]:
            tree[name] = {"id": f"{HOST}414/{event[field]}"}
    for one in event["things"] or []:
        uri = HOST + one["thing"]
        if one["role"] == PARENT:
            tree["parentID"] = uri
            continue
        epcs, quantities = _LISTS[one["role"]]
        if one["quantity"] is None and "/10/" not in uri:
            tree.setdefault(epcs, []).append(uri)
            continue
        element = {"epcClass": uri}
        if one["quantity"] is not None:
            element["quantity"] = str(one["quantity"]["amount"])
            element["uom"] = one["quantity"]["unit"]
        tree.setdefault(quantities, []).append(element)
    error = event["error"]
    if error is not None:
        tree["errorDeclaration"] = {
            "declarationTime": time_text(error["time"]),
            "reason": error["reason"],
            "correctiveEventIDs": error["corrective_ids"] or [],
        }
    tree[WITHHELD] = {NUMBER: str(number)}
    return Captured(number, tree, {"hansa": NAMESPACE})


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
