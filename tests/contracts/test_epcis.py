"""Capture and effect of EPCIS events, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from cli.sample_trade import load_sample_trade
from consensus.primitives.crypto import public_key, sha256
from consensus.transaction import Call
from contracts.runtime.registry import builtin_registry
from contracts.sdk.checks import gln_valid
from tests.contracts.ledger import MAKER, PHARMACY, START_MS, WHOLESALER, Ledger, seed_of
from tests.contracts.test_batch import GTIN, LOT, PALLET, SERIAL, some

DOCUMENT = bytes(32)
DAY_MS = 86_400_000


def said(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An ObjectEvent OBSERVE of five of the lot; ``number`` tells events apart."""
    event: dict[str, Any] = {
        "hash": sha256(str(number).encode()),
        "type": "ObjectEvent",
        "time": START_MS,
        "action": "OBSERVE",
        "things": [of(LOT, 5)],
    }
    return {name: value for name, value in {**event, **fields}.items() if value is not None}


def of(thing: str, amount: int | None = None, role: str = "object") -> dict[str, Any]:
    quantity = {} if amount is None else {"quantity": {"amount": amount, "unit": "EA"}}
    return {"thing": thing, "role": role, **quantity}


def capture(ledger: Ledger, who: str, event: dict[str, Any], **more: Any) -> tuple[str, str]:
    """The effect of a captured event, and its code."""
    receipt = ledger.ok(who, "capture", "epcis", event=event, document=DOCUMENT, **more)
    return receipt.result[0]["effect"], receipt.result[0]["code"]


@pytest.fixture
def stocked(ledger: Ledger) -> Ledger:
    """The maker has 100 of a lot and a serial."""
    ledger.ok(MAKER, "commission", items=[some(LOT, 100), some(SERIAL)])
    return ledger


# --- capture ---------------------------------------------------------------------------------


def test_an_event_stands_even_if_its_effect_is_refused(ledger: Ledger) -> None:
    found = capture(ledger, MAKER, said(step="inspecting"))
    assert found == ("batch.observe", "UNKNOWN_ITEM")
    recorded = ledger.query("event", "epcis", number=1)
    assert recorded["effect_code"] == "UNKNOWN_ITEM"
    assert recorded["organisation"] == MAKER and recorded["document"] == DOCUMENT
    assert ledger.query("item", item=LOT) is None


def test_a_refused_effect_changes_nothing_but_the_event(stocked: Ledger) -> None:
    before = {k: v for k, v in stocked.state.values.items() if k.startswith(b"batch")}
    things = [of(LOT, 60), of(SERIAL), of(f"01/{GTIN}/10/other", 1)]
    event = said(step="shipping", things=things, consignee=WHOLESALER)
    assert capture(stocked, MAKER, event) == ("batch.ship", "UNKNOWN_ITEM")
    assert {k: v for k, v in stocked.state.values.items() if k.startswith(b"batch")} == before


def test_rule_17_an_event_is_captured_once(stocked: Ledger) -> None:
    capture(stocked, MAKER, said(step="inspecting"))
    again = {"event": said(step="inspecting"), "document": bytes(range(32))}
    stocked.refused("DUPLICATE_EVENT", MAKER, "capture", "epcis", **again)
    stocked.refused("DUPLICATE_EVENT", WHOLESALER, "capture", "epcis", **again)


def test_an_event_id_used_again_leads_to_the_first_event(stocked: Ledger) -> None:
    capture(stocked, MAKER, said(1, event_id="urn:uuid:1", step="inspecting"))
    found = capture(stocked, MAKER, said(2, event_id="urn:uuid:1", step="storing"))
    assert found == ("batch.observe", "DUPLICATE_EVENT")  # the batch contract takes an id once
    assert stocked.query("event_by_id", "epcis", event_id="urn:uuid:1")["number"] == 1
    assert stocked.query("event_by_hash", "epcis", hash=said(2)["hash"])["number"] == 2


def test_an_event_of_the_future_is_refused(ledger: Ledger) -> None:
    event = said(time=START_MS + DAY_MS)
    ledger.refused("EVENT_IN_FUTURE", MAKER, "capture", "epcis", event=event, document=DOCUMENT)


@pytest.mark.parametrize(
    "fields",
    [{"step": "Shipping"}, {"step": "https://example.com"}, {"event_id": "a b"}, {"action": "add"},
     {"offset_minutes": 841}, {"type": "PartyEvent"}, {"read_point": "9521321000019"},
     {"things": [{"thing": "free text", "role": "object"}]}, {"hash": b""},
     {"things": [{"thing": "01/1/10/%5A", "role": "object"}]}],
)  # fmt: skip
def test_what_is_not_of_the_form_is_refused(ledger: Ledger, fields: dict[str, Any]) -> None:
    event = said(**fields)
    ledger.refused("BAD_ARGUMENT", MAKER, "capture", "epcis", event=event, document=DOCUMENT)


def test_four_hundred_things_fit(stocked: Ledger) -> None:
    serials = [f"01/{GTIN}/21/{number:0>20}" for number in range(400)]
    things = [of(serial) for serial in serials]
    made = said(1, action="ADD", things=things)
    assert capture(stocked, MAKER, made) == ("batch.commission", "OK")
    shipped = said(2, step="shipping", things=things, consignee=WHOLESALER)
    tx = stocked.tx(
        seed_of(MAKER), Call("epcis", "capture", {"event": shipped, "document": DOCUMENT})
    )
    assert len(tx.raw) < 65_536
    (receipt,) = stocked.block(tx)
    assert receipt.code == "OK", receipt.detail
    assert receipt.result[0]["code"] == "OK"
    assert receipt.steps_used < 10_000_000


# --- effects ---------------------------------------------------------------------------------

PACK = [of(PALLET, role="parent"), of(LOT, 5, "child")]
HALVES = [of(LOT, 5, "input"), of(f"{LOT}%2F%3Fx", 2, "output"), of(f"{LOT}-y", 3, "output")]


@pytest.mark.parametrize(
    ("fields", "effect", "code"),
    [
        ({"action": "ADD"}, "batch.commission", "OK"),
        ({"step": "inspecting"}, "batch.observe", "OK"),
        ({"step": "shipping", "consignee": WHOLESALER}, "batch.ship", "OK"),
        ({"step": "consigning", "consignee": WHOLESALER}, "batch.ship", "OK"),
        ({"step": "shipping"}, "", "CONSIGNEE_REQUIRED"),
        ({"step": "receiving"}, "batch.receive", "NOT_IN_TRANSIT"),
        ({"step": "holding"}, "batch.quarantine", "OK"),
        ({"step": "dispensing", "disposition": "dispensed"}, "batch.dispense", "NOT_AUTHORISED"),
        ({"step": "dispensing"}, "", "STEP_NOT_COVERED"),
        ({"step": "void_shipping"}, "", "CONSIGNEE_REQUIRED"),
        ({"step": "void_shipping", "consignee": WHOLESALER}, "batch.void_shipping",
         "NOT_IN_TRANSIT"),
        ({"step": "decommissioning"}, "", "STEP_NOT_COVERED"),
        ({"action": "DELETE", "step": "dispensing"}, "batch.dispense", "NOT_AUTHORISED"),
        ({"action": "DELETE", "step": "destroying"}, "batch.decommission", "OK"),
        ({"type": "AggregationEvent", "action": "ADD", "things": PACK}, "batch.pack", "OK"),
        ({"type": "AggregationEvent", "action": "DELETE", "things": PACK}, "batch.unpack",
         "UNKNOWN_ITEM"),
        ({"type": "AggregationEvent", "step": "receiving", "things": PACK}, "batch.receive",
         "UNKNOWN_ITEM"),
        ({"type": "TransformationEvent", "action": "", "step": "repackaging", "things": HALVES},
         "batch.split", "OK"),
        ({"type": "TransformationEvent", "action": "", "things": HALVES}, "batch.transform", "OK"),
        ({"type": "TransformationEvent", "action": "", "things": HALVES[:1]}, "",
         "TRANSFORMATION_IN_PARTS"),
        ({"type": "AggregationEvent", "action": "ADD"}, "", "PARENT_REQUIRED"),
        ({"things": [of("01/1/10/", 1)]}, "batch.observe", "BAD_ARGUMENT"),
        ({"type": "TransactionEvent"}, "", "NO_EFFECT"),
        ({"type": "AssociationEvent"}, "", "NO_EFFECT"),
        ({"things": None}, "", "NO_EFFECT"),
        ({"unnamed": 1}, "", "THINGS_NOT_NAMED"),
    ],
)  # fmt: skip
def test_each_effect(stocked: Ledger, fields: dict[str, Any], effect: str, code: str) -> None:
    assert capture(stocked, MAKER, said(**fields)) == (effect, code)


def test_why_no_effect_is_tried_stands_with_the_event(stocked: Ledger) -> None:
    event = said(step="shipping", consignee=WHOLESALER)
    assert capture(stocked, MAKER, event, without="QUANTITY_NOT_WHOLE") == (
        "",
        "QUANTITY_NOT_WHOLE",
    )


def test_rule_16_owning_party_gets_ownership_possessing_party_keeps_things(
    stocked: Ledger,
) -> None:
    for number, keep in ((1, False), (2, True)):
        shipped = said(number, step="shipping", consignee=WHOLESALER, keep_ownership=keep)
        assert capture(stocked, MAKER, shipped) == ("batch.ship", "OK")
    received = said(3, step="receiving", things=[of(LOT, 10)], sender=MAKER)
    assert capture(stocked, WHOLESALER, received) == ("batch.receive", "OK")
    stock = stocked.query("item", item=LOT)["stock"]
    owners = {one["owner"]: one["free"] for one in stock if one["holder"] == WHOLESALER}
    assert owners == {WHOLESALER: 5, MAKER: 5}


def test_a_transformation_into_other_units(stocked: Ledger) -> None:
    serial = f"01/{GTIN}/21/T1"
    bulk = {"thing": f"01/{GTIN}/10/bulk", "quantity": {"amount": 900, "unit": "GRM"}}
    made = said(1, action="ADD", things=[{**bulk, "role": "object"}])
    assert capture(stocked, MAKER, made) == ("batch.commission", "OK")
    things = [{**bulk, "role": "input"}, of(serial, role="output")]
    event = said(2, type="TransformationEvent", action="", things=things)
    assert capture(stocked, MAKER, event) == ("batch.transform", "OK")
    assert stocked.query("item", item=serial)["record"]["parents"] == [bulk["thing"]]


def test_recalled_things_start_a_recall_or_are_set_apart(stocked: Ledger) -> None:
    stocked.ok(MAKER, "ship", items=[some(LOT, 5)], consignee=WHOLESALER)
    stocked.ok(WHOLESALER, "receive", items=[some(LOT, 5)])
    seen = said(1, step="holding", disposition="recalled")
    assert capture(stocked, WHOLESALER, seen) == ("batch.quarantine", "OK")
    things = [of(LOT)]
    recalled = said(2, step="holding", disposition="recalled", things=things)
    assert capture(stocked, MAKER, recalled) == ("recall.initiate", "OK")
    shipped = said(3, step="shipping", consignee=WHOLESALER)
    assert capture(stocked, MAKER, shipped) == ("batch.ship", "HELD")


def test_history_and_events_name_each_other(stocked: Ledger) -> None:
    capture(stocked, MAKER, said(step="inspecting", event_id="urn:uuid:7", read_point=MAKER))
    last = stocked.query("trace", item=LOT)["events"][-1]
    assert (last["event_id"], last["event_time"], last["place"]) == ("urn:uuid:7", START_MS, MAKER)


# --- declared errors -------------------------------------------------------------------------

ERROR = {"time": START_MS, "reason": "incorrect_data", "corrective_ids": ["urn:uuid:2"]}


def test_rule_15_an_error_is_declared_and_nothing_deleted(stocked: Ledger) -> None:
    capture(stocked, MAKER, said(event_id="urn:uuid:1", step="holding"))
    assert stocked.query("item", item=LOT)["stock"][0]["quarantined"] == 5
    wrong = said(event_id="urn:uuid:1", step="holding", error=ERROR)
    assert capture(stocked, MAKER, wrong) == ("epcis.declare_error", "OK")
    assert stocked.query("event", "epcis", number=1)["effect_code"] == "OK"
    declared = stocked.query("error_of", "epcis", number=1)
    assert declared["error"]["corrective_ids"] == ["urn:uuid:2"]
    assert stocked.query("item", item=LOT)["stock"][0]["quarantined"] == 5
    again = {"event": wrong, "document": DOCUMENT}
    stocked.refused("DUPLICATE_EVENT", MAKER, "capture", "epcis", **again)


def test_only_who_captured_an_event_declares_it_wrong(stocked: Ledger) -> None:
    capture(stocked, MAKER, said(event_id="urn:uuid:1", step="inspecting"))
    wrong = {"event": said(event_id="urn:uuid:1", error=ERROR), "document": DOCUMENT}
    stocked.refused("NOT_OWN_EVENT", WHOLESALER, "capture", "epcis", **wrong)
    about = {"event_id": "urn:uuid:1", "error": ERROR}
    stocked.refused("NOT_OWN_EVENT", WHOLESALER, "declare_error", "epcis", **about)
    unknown = about | {"event_id": "urn:uuid:9"}
    stocked.refused("UNKNOWN_EVENT", MAKER, "declare_error", "epcis", **unknown)
    stocked.ok(MAKER, "declare_error", "epcis", **about)


def test_a_declaration_of_an_unknown_event_is_captured_without_effect(stocked: Ledger) -> None:
    assert capture(stocked, MAKER, said(step="holding", error=ERROR)) == ("", "NO_EFFECT")
    assert "quarantined" in stocked.query("item", item=LOT)["stock"][0]
    assert stocked.query("item", item=LOT)["stock"][0]["quarantined"] == 0
    late = {"event": said(step="holding"), "document": DOCUMENT}
    stocked.refused("DUPLICATE_EVENT", MAKER, "capture", "epcis", **late)


# --- asking ----------------------------------------------------------------------------------


def test_events_in_pages_by_position_thing_and_day(stocked: Ledger) -> None:
    asset = "8004/4000001111"
    for number in range(1, 121):
        things = [of(LOT, 1), of(asset)] if number % 2 else [of(SERIAL)]
        day = START_MS - number % 3 * DAY_MS
        capture(stocked, MAKER, said(number, things=things, time=day), without="ID_NOT_COVERED")

    def numbers(method: str, **args: Any) -> list[int]:
        return [one["number"] for one in stocked.query(method, "epcis", **args)]

    assert numbers("page") == list(range(1, 101))
    assert numbers("page", after=100) == list(range(101, 121))
    assert numbers("page", after=120) == []
    height = stocked.query("event", "epcis", number=50)["height"]
    assert numbers("page", from_height=height) == list(range(50, 121))
    assert numbers("page", from_height=10**6) == []
    odd = list(range(1, 121, 2))
    assert numbers("events_of", item="(01)09521321000018(10)A1") == odd
    assert numbers("events_of", item=LOT, after=60) == [one for one in odd if one > 60]
    assert numbers("events_of_thing", thing=asset) == odd
    assert numbers("events_of_day", day="2026-05-28") == list(range(3, 121, 3))


def test_no_events_yet(ledger: Ledger) -> None:
    assert ledger.query("page", "epcis") == []
    assert ledger.query("event", "epcis", number=0) is None
    assert ledger.query("event_by_id", "epcis", event_id="") is None


# --- the sample trade ------------------------------------------------------------------------


def test_the_sample_trade_takes_effect_whole() -> None:
    from cli.demo import checked_events
    from cli.epcis.capturing import capture_of

    trade = load_sample_trade()
    organisations = [
        {
            "id": one.id,
            "name": one.name,
            "roles": list(one.roles),
            "admin_key": public_key(seed_of(one.id)),
        }
        for one in trade.organisations
    ]
    assert all(gln_valid(one.id) for one in trade.organisations)
    ledger = Ledger(builtin_registry(), {"identity": {"organisations": organisations}})
    effects = []
    for document in trade.documents:
        for event in checked_events(document):
            call = capture_of(event, lambda _gln: True).call
            receipt = ledger.block(ledger.tx(seed_of(document.signer), call))[0]
            assert receipt.code == "OK", (document.name, receipt.detail)
            assert receipt.result[0]["code"] == "OK", (document.name, receipt.result)
            effects.append(receipt.result[0]["effect"].partition(".")[2])
            (again,) = ledger.block(ledger.tx(seed_of(document.signer), call))
            assert again.code == "DUPLICATE_EVENT"
    assert {"commission", "pack", "ship", "receive", "unpack", "split", "dispense"} <= set(effects)
    trace = ledger.query("trace", item=trade.item)
    assert trace["complete"]
    assert {event["organisation"] for event in trace["events"]} == {
        one.id for one in trade.organisations if "regulator" not in one.roles
    }


def test_nobody_blocks_an_event_by_sending_a_copy_first(stocked: Ledger) -> None:
    """Hash and eventID can be copied out of a transaction that is on its way."""
    event = said(step="shipping", event_id="urn:uuid:1", consignee=WHOLESALER)
    copied = {"id": "urn:uuid:1", "hash": event["hash"], "time": START_MS}
    stocked.ok(PHARMACY, "observe", items=[some(LOT)], event=copied)
    assert capture(stocked, PHARMACY, event)[1] != "OK"
    stocked.refused("DUPLICATE_EVENT", PHARMACY, "capture", "epcis", event=event, document=DOCUMENT)
    assert capture(stocked, MAKER, event) == ("batch.ship", "OK")
    for who in (MAKER, PHARMACY):
        again = {"event": event, "document": DOCUMENT}
        stocked.refused("DUPLICATE_EVENT", who, "capture", "epcis", **again)
    found = stocked.query("event_by_hash", "epcis", hash=event["hash"])
    assert found["organisation"] == MAKER
