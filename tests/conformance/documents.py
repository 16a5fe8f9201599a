"""Every method of the EPCIS contract, called with success somewhere; and refused effects."""

from __future__ import annotations

from typing import Any

from consensus.primitives.crypto import sha256
from tests.conformance.carriage import Scenario

LOT = "01/09521321000018/10/EPCIS"


def documents(scenario: Scenario) -> None:
    """Events of each effect, a declared error, and the questions about them."""
    kit = scenario.kit
    consignee = kit.id("pharmacy")

    def capture(number: int, **fields: Any) -> None:
        event = {
            "hash": sha256(b"event %d" % number),
            "type": "ObjectEvent",
            "time": kit.time_ms,
            "action": "OBSERVE",
            "event_id": f"urn:uuid:{number}",
            "things": [{"thing": LOT, "quantity": {"amount": 10, "unit": "EA"}}],
            **fields,
        }
        scenario.call("maker", "epcis", "capture", event=event, document=bytes(32))

    capture(1, action="ADD", lot="EPCIS", expiry="2030-01-31")
    capture(2, step="shipping", consignee=consignee, keep_ownership=True)
    capture(3, step="shipping", consignee=consignee)  # none is left
    capture(4, step="inspecting", disposition="active", read_point=consignee)
    capture(4, step="inspecting")
    capture(5, type="TransactionEvent")
    halves = [
        {"thing": LOT, "role": "input", "quantity": {"amount": 2, "unit": "EA"}},
        {"thing": f"{LOT}%2Fx", "role": "output", "quantity": {"amount": 2, "unit": "EA"}},
    ]
    capture(6, type="TransformationEvent", action="", step="repackaging", things=halves)
    error = {"time": kit.time_ms, "reason": "incorrect_data", "corrective_ids": ["urn:uuid:7"]}
    capture(4, step="inspecting", error=error)
    scenario.call("maker", "epcis", "declare_error", event_id="urn:uuid:5", error=error)
    scenario.call("maker", "epcis", "declare_error", event_id="urn:uuid:99", error=error)
    scenario.ask("epcis", "event", number=2)
    scenario.ask("epcis", "event_by_hash", hash=sha256(b"event 4"))
    scenario.ask("epcis", "event_by_id", event_id="urn:uuid:4")
    scenario.ask("epcis", "error_of", number=4)
    scenario.ask("epcis", "page", after=1, from_height=1)
    scenario.ask("epcis", "events_of", item=LOT)
    scenario.ask("epcis", "events_of_thing", thing=LOT, after=2)
    scenario.ask("epcis", "events_of_day", day=20260528)
