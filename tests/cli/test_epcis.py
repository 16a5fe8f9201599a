"""EPCIS documents at the edge: each rule, each refusal, real documents, the sample trade."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.epcis import EpcisEvent, Refused, load_events, read_calls, to_call
from cli.epcis_events import DOCUMENT_BYTES_MAX, parse_time
from cli.sample_trade import load_sample_trade
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from contracts.runtime.registry import builtin_registry
from contracts.sdk.checks import gln_valid
from contracts.sdk.methods import methods_of
from contracts.supply.batch import Batch
from tests.cli.support import Hansa
from tests.contracts.ledger import Ledger, seed_of

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "epcis"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")

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


def load(*events: Any) -> list[EpcisEvent | Refused]:
    document = {"type": "EPCISDocument", "epcisBody": {"eventList": list(events)}}
    return load_events(json.dumps(document).encode())


def loaded(value: Any) -> EpcisEvent:
    (found,) = load(value)
    assert isinstance(found, EpcisEvent), found
    return found


def code(value: Any) -> str:
    """The code with which an event is refused, by reading or by mapping; or the method called."""
    (found,) = load(value)
    if isinstance(found, Refused):
        return found.code
    try:
        return to_call(found).method
    except InputError as error:
        return error.code


# --- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "EPCIS_INVALID_JSON"),
        (b"{", "EPCIS_INVALID_JSON"),
        (b"\xff\xfe", "EPCIS_INVALID_JSON"),
        (b'{"a": NaN}', "EPCIS_INVALID_JSON"),
        (b'{"a": 1, "a": 2}', "EPCIS_INVALID_JSON"),
        (b'{"a": 1e99999999999999999999}', "EPCIS_INVALID_JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "EPCIS_INVALID_JSON"),
        (b'{"a": 0.' + b"9" * 5000 + b"}", "EPCIS_INVALID_JSON"),
        (b"[" * 100_000, "EPCIS_INVALID_JSON"),
        (b"[]", "EPCIS_NOT_A_DOCUMENT"),
        (b"7", "EPCIS_NOT_A_DOCUMENT"),
        (b"{}", "EPCIS_NOT_A_DOCUMENT"),
        (b'{"type": "EPCISDocument"}', "EPCIS_NOT_A_DOCUMENT"),
        (b'{"type": "EPCISDocument", "epcisBody": {"eventList": {}}}', "EPCIS_NOT_A_DOCUMENT"),
        (
            b'{"type": "EPCISDocument", "schemaVersion": "1.2", "epcisBody": {"eventList": []}}',
            "EPCIS_VERSION_NOT_COVERED",
        ),
        (
            b'{"type": "EPCISDocument", "schemaVersion": 2.0, "epcisBody": {"eventList": []}}',
            "EPCIS_VERSION_NOT_COVERED",
        ),
        (b" " * (DOCUMENT_BYTES_MAX + 1), "EPCIS_TOO_LARGE"),
        (
            b'{"type": "EPCISDocument", "epcisBody": {"eventList": [' + b"1," * 10_000 + b"1]}}",
            "EPCIS_TOO_MANY_EVENTS",
        ),
    ],
)
def test_what_is_no_document(raw: bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_events(raw)
    assert caught.value.code == expected


def test_a_document_without_events_is_told(tmp_path: Path, hansa: Hansa) -> None:
    file = tmp_path / "empty.json"
    body = {"epcisBody": {"eventList": []}}
    file.write_text(json.dumps({"type": "EPCISDocument", "schemaVersion": "2.0", **body}))
    outcome = hansa("epcis", "check", file, "--json")
    assert (outcome.code, outcome.json["counts"]) == (1, {"EPCIS_NO_EVENTS": 1})
    assert "the document has no events" in hansa("epcis", "check", file).out


def test_documents_queries_and_single_events() -> None:
    one = seen()
    query = {
        "type": "EPCISQueryDocument",
        "epcisBody": {"queryResults": {"resultsBody": {"eventList": [one, one]}}},
    }
    assert len(load_events(json.dumps(query).encode())) == 2
    assert len(load_events(json.dumps(one).encode())) == 1
    assert len(load_events(b"\xef\xbb\xbf" + json.dumps(one).encode())) == 1


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["ObjectEvent", "ADD", LOT_URN, "+01:00", "2025-03-03T08:15:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "type", "eventTime", "eventTimeZoneOffset", "action", "epcList", "quantityList", "ilmd",
            "epcClass", "quantity", "uom", "parentID", "bizStep", "readPoint", "id", "eventID",
            "errorDeclaration", "reason", "sourceList", "source", "childEPCs", "outputEPCList",
        ]), inner, max_size=8),
    max_leaves=20,
))  # fmt: skip
def test_no_json_whatever_makes_it_crash(value: Any) -> None:
    whole = seen(**value) if isinstance(value, dict) else value
    for events in ([value], [whole]):
        document = {"type": "EPCISDocument", "epcisBody": {"eventList": events}}
        try:
            for _, found in read_calls(json.dumps(document).encode()):
                assert isinstance(found, Refused | Call)
        except InputError as error:
            assert error.code == "EPCIS_INVALID_JSON"  # NaN and Infinity


# --- rules 7 to 16 ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eventTime", "eventTimeZoneOffset"])
def test_rule_7_time_and_offset_are_required(name: str) -> None:
    assert code(seen(**{name: None})) == "EPCIS_EVENT_TIME_REQUIRED"


@pytest.mark.parametrize("offset", ["+14:01", "-15:00", "+1:00", "Z", "01:00", "+00:60", 1])
def test_rule_7_the_offset_lies_within_14_hours(offset: Any) -> None:
    assert code(seen(eventTimeZoneOffset=offset)) == "EPCIS_BAD_TIME_ZONE_OFFSET"


@pytest.mark.parametrize(
    "time",
    ["2025-03-03", "2025-03-03T08:15:00", "2025-02-30T08:15:00Z", "2025-03-03T24:00:00Z",
     "2025-03-03T08:15:60Z", "1969-12-31T23:59:59Z", "2025-03-03T08:15:00+15:00", 5],
)  # fmt: skip
def test_rule_7_the_time_is_a_moment(time: Any) -> None:
    assert code(seen(eventTime=time)) == "EPCIS_BAD_EVENT_TIME"


@given(st.datetimes(timezones=st.timezones()))
def test_times_agree_with_the_standard_library(moment: Any) -> None:
    text = moment.isoformat(timespec="milliseconds")
    offset = moment.utcoffset().total_seconds()
    if offset % 60 or abs(offset) > 14 * 3600:
        return
    import datetime

    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert parse_time(text) == since // datetime.timedelta(milliseconds=1)


@pytest.mark.parametrize("action", [None, "add", "UPDATE", 1, []])
def test_rule_8_action(action: Any) -> None:
    assert code(seen(action=action)) == "EPCIS_BAD_ACTION"
    transformation = event("TransformationEvent", action="ADD", inputEPCList=[SERIAL_URN])
    assert code(transformation) == "EPCIS_BAD_ACTION"


def test_rule_9_an_object_event_names_something() -> None:
    assert code(seen(quantityList=None)) == "EPCIS_OBJECT_EVENT_EMPTY"
    assert code(seen(quantityList=[])) == "EPCIS_OBJECT_EVENT_EMPTY"
    sensed = seen(quantityList=None, sensorElementList=[{}])
    assert code(sensed) == "EPCIS_OBJECT_EVENT_EMPTY"
    assert code(sensed | {"readPoint": {"id": "urn:x:y"}}) == "EPCIS_SENSOR_ONLY"


def test_rule_10_ilmd_only_where_things_are_made() -> None:
    ilmd = {"cbvmda:lotNumber": "A1"}
    assert code(seen(ilmd=ilmd)) == "EPCIS_ILMD_NOT_ALLOWED"
    assert code(seen(ilmd=ilmd, action="DELETE")) == "EPCIS_ILMD_NOT_ALLOWED"
    assert code(seen(ilmd=ilmd, action="ADD")) == "commission"


@pytest.mark.parametrize("kind", ["AggregationEvent", "AssociationEvent"])
def test_rule_11_parents_and_children(kind: str) -> None:
    children = {"childEPCs": [SERIAL_URN]}
    assert code(event(kind, action="ADD", parentID=SSCC_URN)) == "EPCIS_CHILDREN_REQUIRED"
    assert code(event(kind, action="ADD", **children)) == "EPCIS_PARENT_REQUIRED"
    assert code(event(kind, action="DELETE", **children)) == "EPCIS_PARENT_REQUIRED"
    observed = code(event(kind, action="OBSERVE", **children))
    assert observed == ("observe" if kind == "AggregationEvent" else "EPCIS_PARENT_REQUIRED")
    all_out = code(event(kind, action="DELETE", parentID=SSCC_URN))
    assert all_out in ("unpack", "EPCIS_ASSOCIATION_EVENT_NOT_COVERED")


def test_rule_12_a_transaction_event_names_transactions() -> None:
    linked = event("TransactionEvent", action="ADD", epcList=[SERIAL_URN])
    assert code(linked) == "EPCIS_TRANSACTION_LIST_REQUIRED"
    assert code(linked | {"bizTransactionList": []}) == "EPCIS_TRANSACTION_LIST_REQUIRED"
    named = linked | {"bizTransactionList": [{"bizTransaction": "urn:x:y"}]}
    assert code(named) == "EPCIS_TRANSACTION_EVENT_NOT_COVERED"


def test_rule_13_a_transformation_has_input_and_output() -> None:
    inputs, outputs = {"inputEPCList": [SERIAL_URN]}, {"outputEPCList": [SERIAL_URN + "x"]}
    assert code(event("TransformationEvent")) == "EPCIS_TRANSFORMATION_INCOMPLETE"
    for half in (inputs, outputs):
        assert code(event("TransformationEvent", **half)) == "EPCIS_TRANSFORMATION_INCOMPLETE"
        parts = event("TransformationEvent", **half, transformationID="urn:x:y")
        assert code(parts) == "EPCIS_TRANSFORMATION_IN_PARTS"
    assert code(event("TransformationEvent", **inputs, **outputs)) == "transform"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("inspecting", "observe"),
        ("urn:epcglobal:cbv:bizstep:inspecting", "observe"),
        ("https://ref.gs1.org/cbv/BizStep-inspecting", "observe"),
        ("cbv:BizStep-inspecting", "observe"),
        ("https://example.com/steps/polishing", "observe"),
        ("polishing", "EPCIS_UNKNOWN_BIZ_STEP"),
        ("urn:epcglobal:cbv:bizstep:polishing", "EPCIS_UNKNOWN_BIZ_STEP"),
        ("Inspecting", "EPCIS_UNKNOWN_BIZ_STEP"),
        (7, "EPCIS_UNKNOWN_BIZ_STEP"),
    ],
)
def test_rule_14_business_steps(step: Any, expected: str) -> None:
    assert code(seen(bizStep=step)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("active", "observe"),
        ("urn:epcglobal:cbv:disp:recalled", "recall"),
        ("https://ref.gs1.org/cbv/Disp-recalled", "recall"),
        ("urn:example:disp:odd", "observe"),
        ("odd", "EPCIS_UNKNOWN_DISPOSITION"),
        ("urn:epcglobal:cbv:disp:odd", "EPCIS_UNKNOWN_DISPOSITION"),
    ],
)
def test_rule_14_dispositions(word: str, expected: str) -> None:
    assert code(seen(disposition=word)) == expected


def test_rule_15_an_error_declaration_repeats_the_event_with_its_id() -> None:
    error = {"declarationTime": "2025-03-04T08:15:00Z", "reason": "incorrect_data"}
    assert code(seen(errorDeclaration=error)) == "EPCIS_ERROR_WITHOUT_EVENT_ID"
    call = to_call(loaded(seen(errorDeclaration=error, eventID="urn:uuid:1")))
    assert (call.method, call.args["event_id"]) == ("declare_error", "urn:uuid:1")


def test_rule_16_ownership_changes_to_the_owning_party() -> None:
    shipped = to_call(loaded(seen(bizStep="shipping", **OWNERS)))
    assert shipped.args["consignee"] == "9521432000013"
    received = to_call(loaded(seen(bizStep="receiving", **OWNERS)))
    assert (received.method, received.args["sender"]) == ("receive", "9521321000018")
    assert code(seen(bizStep="shipping")) == "EPCIS_CONSIGNEE_REQUIRED"
    place = [{"type": "location", "destination": "urn:epc:id:sgln:9521432.00001.0"}]
    assert code(seen(bizStep="shipping", destinationList=place)) == "EPCIS_CONSIGNEE_REQUIRED"


# --- identifiers, quantities, event types ----------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("https://id.gs1.org/01/09521321000019/10/A1", "EPCIS_BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/00/095213210000000178", "EPCIS_BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/01/09521321000/10/A1", "EPCIS_BAD_ID"),
        ("urn:epc:id:sgtin:9521321.0001.1", "EPCIS_BAD_ID"),
        ("urn:epc:id:giai:4000001.12345", "EPCIS_ID_NOT_COVERED"),
        ("https://id.gs1.org/01/09521321000018", "EPCIS_ID_NOT_COVERED"),
        (5, "EPCIS_BAD_FIELD"),
    ],
)
def test_identifiers(item: Any, expected: str) -> None:
    assert code(seen(quantityList=None, epcList=[item])) == expected


def test_parties_with_a_wrong_check_digit() -> None:
    to = [{"type": "owning_party", "destination": "https://id.gs1.org/417/9521432000014"}]
    assert code(seen(bizStep="shipping", destinationList=to)) == "EPCIS_BAD_CHECK_DIGIT"


@pytest.mark.parametrize(
    ("quantity", "uom", "expected"),
    [
        (5, None, {"amount": 5, "unit": "EA"}),
        (5.0, None, {"amount": 5, "unit": "EA"}),
        (200.5, "KGM", {"amount": 200_500, "unit": "GRM"}),
        (0.29, "LTR", {"amount": 290, "unit": "MLT"}),
        (7, "GRM", {"amount": 7, "unit": "GRM"}),
        (1.5, None, "EPCIS_QUANTITY_NOT_WHOLE"),
        (0.0001, "KGM", "EPCIS_QUANTITY_NOT_WHOLE"),
        (1e-300, "KGM", "EPCIS_QUANTITY_NOT_WHOLE"),
        (0, None, "EPCIS_BAD_QUANTITY"),
        (-3, None, "EPCIS_BAD_QUANTITY"),
        (1e300, None, "EPCIS_BAD_QUANTITY"),
        ("5", None, "EPCIS_BAD_QUANTITY"),
        (True, None, "EPCIS_BAD_QUANTITY"),
        (5, "kg", "EPCIS_BAD_UNIT"),
    ],
)
def test_quantities_are_whole_numbers_of_a_unit(
    quantity: Any, uom: str | None, expected: Any
) -> None:
    (found,) = load(seen(quantityList=[amount(LOT_URN, quantity, uom)]))
    if isinstance(found, Refused):
        assert found.code == expected
    else:
        assert found.things.items == ({"item": LOT, "quantity": expected},)


@pytest.mark.parametrize("kind", ["QuantityEvent", "objectEvent", "", None, 5])
def test_unknown_event_types(kind: Any) -> None:
    assert code(seen(type=kind)) == "EPCIS_UNKNOWN_EVENT_TYPE"


@pytest.mark.parametrize("value", [None, 5, "x", []])
def test_events_that_are_no_objects(value: Any) -> None:
    assert code(value) == "EPCIS_BAD_FIELD"


def test_one_refused_event_does_not_stop_the_others() -> None:
    found = load(seen(), seen(action="NO", eventID="urn:uuid:2"), seen())
    assert [type(one) for one in found] == [EpcisEvent, Refused, EpcisEvent]
    assert found[1] == Refused(2, "urn:uuid:2", "EPCIS_BAD_ACTION", found[1].message)  # type: ignore[union-attr]


def test_each_effect() -> None:
    pack = {"parentID": SSCC_URN, "childQuantityList": [amount(LOT_URN, 5)]}
    split = {
        "inputQuantityList": [amount(LOT_URN, 5)],
        "outputQuantityList": [amount(LOT_URN + "-x", 2), amount(LOT_URN + "-y", 3)],
    }
    expected = [
        (seen(action="ADD"), "commission"),
        (seen(action="DELETE", bizStep="dispensing"), "dispense"),
        (seen(action="DELETE", bizStep="destroying"), "decommission"),
        (seen(action="DELETE", bizStep="decommissioning"), "decommission"),
        (seen(bizStep="holding"), "quarantine"),
        (seen(bizStep="holding", disposition="recalled"), "recall"),
        (seen(bizStep="dispensing", disposition="dispensed"), "dispense"),
        (seen(bizStep="dispensing", disposition="partially_dispensed"), "EPCIS_STEP_NOT_COVERED"),
        (seen(bizStep="void_shipping"), "EPCIS_STEP_NOT_COVERED"),
        (event("AggregationEvent", action="ADD", **pack), "pack"),
        (event("AggregationEvent", action="DELETE", **pack), "unpack"),
        (event("AggregationEvent", action="OBSERVE", bizStep="receiving", **pack), "receive"),
        (event("TransformationEvent", bizStep="repackaging", **split), "split"),
        (event("TransformationEvent", bizStep="commissioning", **split), "transform"),
    ]
    assert [code(value) for value, _ in expected] == [method for _, method in expected]
    observed = event("AggregationEvent", action="OBSERVE", bizStep="receiving", **pack)
    assert to_call(loaded(observed)).args["items"] == [{"item": SSCC}]


# --- one event, one hash ---------------------------------------------------------------------


def test_rule_17_all_forms_of_an_event_have_one_hash() -> None:
    place = {"readPoint": {"id": "urn:epc:id:sgln:9521321.00001.0"}}
    first = seen(bizStep="shipping", **OWNERS, **place)
    second = {
        "bizStep": "https://ref.gs1.org/cbv/BizStep-shipping",
        "eventID": "urn:uuid:1",
        "recordTime": "2026-01-01T00:00:00Z",
        "readPoint": {"id": "https://id.gs1.org/414/9521321000018"},
        "eventTime": "2025-03-03T07:15:00Z",
        "quantityList": [amount(LOT_LINK, 5.0)],
        "destinationList": [
            {"type": "owning_party", "destination": "https://id.gs1.org/417/9521432000013"}
        ],
    }
    assert loaded(first).hash == loaded(first | second).hash
    for change in ({"disposition": "active"}, {"quantityList": [amount(LOT_URN, 6)]},
                   {"eventTime": "2025-03-03T07:15:00.001Z"}, {"x:more": "1"}):  # fmt: skip
        assert loaded(first).hash != loaded(first | change).hash


# --- real documents --------------------------------------------------------------------------


@needs_data
def test_real_documents_map_or_are_refused_with_a_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    methods = methods_of(Batch)
    counts: Counter[str] = Counter()
    files = sorted((DATA / "openepcis" / "2.0").rglob("*.json")) + sorted(
        (DATA / "event_hash_vectors").glob("*.jsonld")
    )
    assert len(files) > 30
    for file in files:
        try:
            found = list(read_calls(file.read_bytes()))
        except InputError as error:
            counts[error.code] += 1
            continue
        for _, call in found:
            if isinstance(call, Refused):
                assert call.code.startswith("EPCIS_") and call.message
                counts[call.code] += 1
            else:
                encode(call.to_plain())
                methods[call.method].checked(call.args)
                counts[f"batch.{call.method}"] += 1
    with capsys.disabled():
        print("\nreal EPCIS events:", dict(sorted(counts.items())))  # noqa: T201
    assert sum(count for name, count in counts.items() if name.startswith("batch.")) >= 50
    assert counts["EPCIS_NOT_A_DOCUMENT"] == 1  # query parameters, no document


# --- the sample trade ------------------------------------------------------------------------


def test_the_sample_trade_takes_effect_whole() -> None:
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
    methods = []
    for document in trade.documents:
        for _, call in read_calls(document.raw):
            assert isinstance(call, Call), (document.name, call)
            receipt = ledger.block(ledger.tx(seed_of(document.signer), call))[0]
            assert receipt.code == "OK", (document.name, receipt.detail)
            methods.append(call.method)
    assert {"commission", "pack", "ship", "receive", "split", "recall"} <= set(methods)
    trace = ledger.query("trace", item=trade.item)
    assert trace["complete"] and len(trace["events"]) == 15
    assert {event["organisation"] for event in trace["events"]} == {
        one.id for one in trade.organisations if "regulator" not in one.roles
    }
    for document in trade.documents:  # all of it again: every event is known
        for _, call in read_calls(document.raw):
            assert isinstance(call, Call)
            receipt = ledger.block(ledger.tx(seed_of(document.signer), call))[0]
            assert receipt.code != "OK"
