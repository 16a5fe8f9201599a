"""EPCIS events to try things with, and what becomes of them at the edge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.epcis.capturing import Capture, capture_of
from cli.epcis.checks import Checked, checked
from cli.epcis.reading import read_events
from cli.epcis.structure import Broken, Captured, Read

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "epcis"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"

LOT_URN = "urn:epc:class:lgtin:9521321.000001.A1"
LOT_LINK = "https://id.gs1.org/01/09521321000018/10/A1"
LOT = "01/09521321000018/10/A1"
SSCC_URN = "urn:epc:id:sscc:9521321.0000000017"
SSCC = "00/095213210000000179"
SERIAL_URN = "urn:epc:id:sgtin:9521321.000001.S1"
OWNERS = {
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:9521321.00001"}],
    "destinationList": [{"type": "owning_party", "destination": "urn:epc:id:pgln:9521432.00001"}],
}


def event(kind: str = "ObjectEvent", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": kind,
        "eventTime": "2025-03-03T08:15:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        **fields,
    }
    return {name: value for name, value in made.items() if value is not None}


def seen(**fields: Any) -> dict[str, Any]:
    """An ObjectEvent OBSERVE of a lot."""
    return event(**{"action": "OBSERVE", "quantityList": [amount(LOT_URN, 5)], **fields})


def amount(item: str, quantity: Any = None, uom: str | None = None) -> dict[str, Any]:
    made = {"epcClass": item, "quantity": quantity, "uom": uom}
    return {name: value for name, value in made.items() if value is not None}


def document(*events: Any, **prefixes: str) -> bytes:
    context = [CONTEXT, prefixes] if prefixes else [CONTEXT]
    body = {"@context": context, "type": "EPCISDocument", "epcisBody": {"eventList": list(events)}}
    return json.dumps(body).encode()


def read(*events: Any, **prefixes: str) -> list[Read]:
    return read_events(document(*events, **prefixes))


def one(value: Any, **prefixes: str) -> Captured:
    (found,) = read(value, **prefixes)
    assert isinstance(found, Captured), found
    return found


def valid(value: Any) -> Checked:
    return checked(one(value))


def captured(value: Any, *members: str) -> Capture:
    """How an event is captured; without members named, every party is one."""
    return capture_of(valid(value), (lambda gln: gln in members) if members else lambda _: True)


def code(value: Any) -> str:
    """The code with which an event is refused, or why it has no effect; VALID otherwise."""
    (found,) = read(value)
    if not isinstance(found, Captured):
        return found.code
    try:
        args = capture_of(checked(found), lambda _: True).call.args
    except Broken as broken:
        return broken.code
    return str(args.get("without", "VALID"))
