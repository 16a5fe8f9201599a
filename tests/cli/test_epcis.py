"""EPCIS at the edge: documents of every syntax, each rule, each refusal, what is captured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.epcis.capturing import Capture, capture_of
from cli.epcis.checks import checked, parse_time
from cli.epcis.event_hash import event_hash
from cli.epcis.reading import read_events
from cli.epcis.structure import DOCUMENT_BYTES_MAX, Broken, Captured, Unread
from consensus.primitives.errors import InputError
from tests.cli.epcis_samples import (
    LOT,
    LOT_LINK,
    LOT_URN,
    OWNERS,
    SERIAL_URN,
    SSCC_URN,
    amount,
    captured,
    code,
    event,
    one,
    read,
    seen,
)
from tests.cli.support import Hansa

# --- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "EPCIS_INVALID_JSON"),
        (b"{", "EPCIS_INVALID_JSON"),
        (b"\xff\xfe", "EPCIS_INVALID_JSON"),
        (b'{"a": NaN}', "EPCIS_INVALID_JSON"),
        (b'{"a": 1, "a": 2}', "EPCIS_INVALID_JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "EPCIS_INVALID_JSON"),
        (b'{"a": 0.' + b"9" * 5000 + b"}", "EPCIS_INVALID_JSON"),
        (b"[" * 100_000, "EPCIS_INVALID_JSON"),
        (b"[]", "EPCIS_NOT_A_DOCUMENT"),
        (b"7", "EPCIS_NOT_A_DOCUMENT"),
        (b"{}", "EPCIS_NOT_A_DOCUMENT"),
        (b'{"a": 1e99999999999999999999}', "EPCIS_NOT_A_DOCUMENT"),  # a number is its digits
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
        read_events(raw)
    assert caught.value.code == expected


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        ("{}".encode("utf-16"), "UTF-8 alone"),
        ("{}".encode("utf-16-be"), "UTF-8 alone"),
        (b'{"a": "\xfc"}', "UTF-8 alone"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_why_it_is_no_document_is_told_in_words(raw: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_events(raw)
    assert caught.value.code == "EPCIS_INVALID_JSON" and said in caught.value.message


def test_a_document_without_events_is_told(tmp_path: Path, hansa: Hansa) -> None:
    file = tmp_path / "empty.json"
    body: dict[str, Any] = {"epcisBody": {"eventList": []}}
    file.write_text(json.dumps({"type": "EPCISDocument", "schemaVersion": "2.0", **body}))
    outcome = hansa("epcis", "check", file, "--json")
    assert (outcome.code, outcome.json["refused"]) == (1, {"EPCIS_NO_EVENTS": 1})
    assert "the document has no events" in hansa("epcis", "check", file).out


def test_documents_queries_and_single_events() -> None:
    one = seen()
    query = {
        "type": "EPCISQueryDocument",
        "epcisBody": {"queryResults": {"resultsBody": {"eventList": [one, one]}}},
    }
    assert len(read_events(json.dumps(query).encode())) == 2
    assert len(read_events(json.dumps(one).encode())) == 1
    assert len(read_events(b"\xef\xbb\xbf" + json.dumps(one).encode())) == 1


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
            for found in read_events(json.dumps(document).encode()):
                if isinstance(found, Captured):
                    try:
                        assert isinstance(capture_of(checked(found), lambda _: True), Capture)
                    except Broken as broken:
                        assert broken.code.startswith("EPCIS_") and broken.message
        except InputError as error:
            assert error.code == "EPCIS_INVALID_JSON"  # NaN and Infinity


# --- rules 7 to 16 ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eventTime", "eventTimeZoneOffset"])
def test_rule_7_time_and_offset_are_required(name: str) -> None:
    assert code(seen(**{name: None})) == "EPCIS_EVENT_TIME_REQUIRED"


@pytest.mark.parametrize("offset", ["+14:01", "-15:00", "+1:00", "Z", "01:00", "+00:60"])
def test_rule_7_the_offset_lies_within_14_hours(offset: Any) -> None:
    assert code(seen(eventTimeZoneOffset=offset)) == "EPCIS_BAD_TIME_ZONE_OFFSET"


@pytest.mark.parametrize(
    "time",
    ["2025-03-03", "2025-03-03T08:15:00", "2025-02-30T08:15:00Z", "2025-03-03T24:00:00Z",
     "2025-03-03T08:15:60Z", "1969-12-31T23:59:59Z", "2025-03-03T08:15:00+15:00"],
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


@pytest.mark.parametrize("action", [None, "add", "UPDATE"])
def test_rule_8_action(action: Any) -> None:
    assert code(seen(action=action)) == "EPCIS_BAD_ACTION"
    transformation = event("TransformationEvent", action="ADD", inputEPCList=[SERIAL_URN])
    assert code(transformation) == "EPCIS_BAD_ACTION"


def test_rule_9_an_object_event_names_something() -> None:
    assert code(seen(quantityList=None)) == "EPCIS_OBJECT_EVENT_EMPTY"
    assert code(seen(quantityList=[])) == "EPCIS_OBJECT_EVENT_EMPTY"
    sensed = seen(quantityList=None, sensorElementList=[{}])
    assert code(sensed) == "EPCIS_OBJECT_EVENT_EMPTY"
    assert code(sensed | {"readPoint": {"id": "urn:x:y"}}) == "VALID"


def test_rule_10_ilmd_only_where_things_are_made() -> None:
    ilmd = {"cbvmda:lotNumber": "A1"}
    assert code(seen(ilmd=ilmd)) == "EPCIS_ILMD_NOT_ALLOWED"
    assert code(seen(ilmd=ilmd, action="DELETE")) == "EPCIS_ILMD_NOT_ALLOWED"
    assert code(seen(ilmd=ilmd, action="ADD")) == "VALID"


@pytest.mark.parametrize("kind", ["AggregationEvent", "AssociationEvent"])
def test_rule_11_parents_and_children(kind: str) -> None:
    children = {"childEPCs": [SERIAL_URN]}
    assert code(event(kind, action="ADD", parentID=SSCC_URN)) == "EPCIS_CHILDREN_REQUIRED"
    assert code(event(kind, action="ADD", **children)) == "EPCIS_PARENT_REQUIRED"
    assert code(event(kind, action="DELETE", **children)) == "EPCIS_PARENT_REQUIRED"
    observed = code(event(kind, action="OBSERVE", **children))
    assert observed == ("VALID" if kind == "AggregationEvent" else "EPCIS_PARENT_REQUIRED")
    assert code(event(kind, action="DELETE", parentID=SSCC_URN)) == "VALID"


def test_rule_12_a_transaction_event_names_transactions() -> None:
    linked = event("TransactionEvent", action="ADD", epcList=[SERIAL_URN])
    assert code(linked) == "EPCIS_TRANSACTION_LIST_REQUIRED"
    assert code(linked | {"bizTransactionList": []}) == "EPCIS_TRANSACTION_LIST_REQUIRED"
    named = linked | {"bizTransactionList": [{"bizTransaction": "urn:x:y"}]}
    assert code(named) == "VALID"


def test_rule_13_a_transformation_has_input_and_output() -> None:
    inputs, outputs = {"inputEPCList": [SERIAL_URN]}, {"outputEPCList": [SERIAL_URN + "x"]}
    assert code(event("TransformationEvent")) == "EPCIS_TRANSFORMATION_INCOMPLETE"
    for half in (inputs, outputs):
        assert code(event("TransformationEvent", **half)) == "EPCIS_TRANSFORMATION_INCOMPLETE"
        parts = event("TransformationEvent", **half, transformationID="urn:x:y")
        assert code(parts) == "VALID"
    assert code(event("TransformationEvent", **inputs, **outputs)) == "VALID"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("inspecting", "VALID"),
        ("urn:epcglobal:cbv:bizstep:inspecting", "VALID"),
        ("https://ref.gs1.org/cbv/BizStep-inspecting", "VALID"),
        ("cbv:BizStep-inspecting", "VALID"),
        ("https://example.com/steps/polishing", "VALID"),
        ("polishing", "EPCIS_UNKNOWN_BIZ_STEP"),
        ("urn:epcglobal:cbv:bizstep:polishing", "EPCIS_UNKNOWN_BIZ_STEP"),
        ("Inspecting", "EPCIS_UNKNOWN_BIZ_STEP"),
        (7, "EPCIS_BAD_FIELD"),
    ],
)
def test_rule_14_business_steps(step: Any, expected: str) -> None:
    assert code(seen(bizStep=step)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("active", "VALID"),
        ("urn:epcglobal:cbv:disp:recalled", "VALID"),
        ("https://ref.gs1.org/cbv/Disp-recalled", "VALID"),
        ("urn:example:disp:odd", "VALID"),
        ("odd", "EPCIS_UNKNOWN_DISPOSITION"),
        ("urn:epcglobal:cbv:disp:odd", "EPCIS_UNKNOWN_DISPOSITION"),
    ],
)
def test_rule_14_dispositions(word: str, expected: str) -> None:
    assert code(seen(disposition=word)) == expected


def test_rule_15_an_error_declaration_repeats_the_event() -> None:
    error = {"declarationTime": "2025-03-04T08:15:00Z", "reason": "incorrect_data",
             "correctiveEventIDs": ["urn:uuid:2"]}  # fmt: skip
    wrong = seen(errorDeclaration=error, eventID="urn:uuid:1")
    said = captured(wrong)
    assert said.digest == captured(seen(eventID="urn:uuid:1")).digest
    declared = said.call.args["event"]["error"]
    assert declared["reason"] == "incorrect_data"
    assert declared["corrective_ids"] == ["urn:uuid:2"]
    assert declared["time"] == parse_time("2025-03-04T08:15:00Z")
    for broken in ({"correctiveEventIDs": ["x"]}, {"correctiveEventIDs": 5}, {"reason": 5}):
        assert code(seen(errorDeclaration=error | broken)).startswith("EPCIS_BAD_")
    for empty in ({}, {"reason": "incorrect_data"}):
        assert code(seen(errorDeclaration=empty)) == "EPCIS_DECLARATION_TIME_REQUIRED"


def test_rule_16_ownership_changes_to_the_owning_party() -> None:
    shipped = captured(seen(bizStep="shipping", **OWNERS)).call.args["event"]
    assert (shipped["consignee"], shipped["keep_ownership"]) == ("9521432000013", False)
    received = captured(seen(bizStep="receiving", **OWNERS)).call.args["event"]
    assert received["sender"] == "9521321000018"
    assert code(seen(bizStep="shipping")) == "CONSIGNEE_REQUIRED"
    place = [{"type": "location", "destination": "urn:epc:id:sgln:9521432.00001.0"}]
    assert code(seen(bizStep="shipping", destinationList=place)) == "CONSIGNEE_REQUIRED"


def test_rule_16_a_possessing_party_alone_gets_no_ownership() -> None:
    to = [{"type": "possessing_party", "destination": "urn:epc:id:pgln:9521432.00001"}]
    shipped = captured(seen(bizStep="shipping", destinationList=to)).call.args["event"]
    assert (shipped["consignee"], shipped["keep_ownership"]) == ("9521432000013", True)
    other = {"type": "owning_party", "destination": "urn:epc:id:pgln:9521543.00001"}
    assert code(seen(bizStep="shipping", destinationList=[*to, other])) == "OWNER_ELSEWHERE"


# --- identifiers, quantities, event types ----------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("https://id.gs1.org/01/09521321000019/10/A1", "EPCIS_BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/00/095213210000000178", "EPCIS_BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/01/09521321000/10/A1", "EPCIS_BAD_ID"),
        ("urn:epc:id:sgtin:9521321.0001.1", "EPCIS_BAD_ID"),
        ("urn:epc:id:giai:4000001.12345", "ID_NOT_COVERED"),
        ("https://id.gs1.org/01/09521321000018", "ID_NOT_COVERED"),
        ("urn:example:whatever", "ID_NOT_COVERED"),
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
        (1.5, None, "QUANTITY_NOT_WHOLE"),
        (0.0001, "KGM", "QUANTITY_NOT_WHOLE"),
        (1e-300, "KGM", "QUANTITY_NOT_WHOLE"),
        (0, None, "QUANTITY_ZERO"),
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
    said = seen(quantityList=[amount(LOT_URN, quantity, uom)])
    if isinstance(expected, str):
        assert code(said) == expected
    else:
        things = captured(said).call.args["event"]["things"]
        assert things == [{"thing": LOT, "quantity": expected}]


@pytest.mark.parametrize("kind", ["QuantityEvent", "objectEvent", "", None])
def test_unknown_event_types(kind: Any) -> None:
    assert code(seen(type=kind)) == "EPCIS_UNKNOWN_EVENT_TYPE"


@pytest.mark.parametrize("value", [None, 5, "x", []])
def test_events_that_are_no_objects(value: Any) -> None:
    assert code(value) == "EPCIS_BAD_FIELD"


def test_one_refused_event_does_not_stop_the_others() -> None:
    found = read(seen(), seen(action=5, eventID="urn:uuid:2"), seen())
    assert [type(each) for each in found] == [Captured, Unread, Captured]
    assert isinstance(found[1], Unread)
    assert (found[1].number, found[1].event_id, found[1].code) == (
        2,
        "urn:uuid:2",
        "EPCIS_BAD_FIELD",
    )


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
    assert event_hash(one(first)) == event_hash(one(first | second))
    for change in ({"disposition": "active"}, {"quantityList": [amount(LOT_URN, 6)]},
                   {"eventTime": "2025-03-03T07:15:00.001Z"}, {"x:more": "1"}):  # fmt: skip
        assert event_hash(one(first)) != event_hash(one(first | change))


# --- what leaves the machine -----------------------------------------------------------------


def test_nothing_but_keys_words_and_times_stands_in_clear() -> None:
    said = seen(
        bizStep="https://example.com/steps/secret-process",
        disposition="urn:example:disp:secret",
        bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:x:SECRET"}],
        readPoint={"id": "urn:example:secret-place"},
        **{"example:price": "SECRET", "sourceList": OWNERS["sourceList"]},
    )
    found = captured(said)
    shown = json.dumps(found.call.args, default=repr).lower()
    assert "secret" not in shown and "9521321000018" not in shown.replace(LOT.lower(), "")
    assert found.call.args["event"]["step"] == found.call.args["event"]["disposition"] == "other"
    assert len(found.call.args["document"]) == 32
    assert "SECRET" in found.opening.value


def test_who_is_no_member_is_not_named() -> None:
    shipped = captured(seen(bizStep="shipping", **OWNERS), "9521321000018").call.args
    assert shipped["without"] == "UNKNOWN_CONSIGNEE" and "consignee" not in shipped["event"]
    received = captured(seen(bizStep="receiving", **OWNERS), "9521432000013").call.args
    assert "without" not in received and "sender" not in received["event"]


def test_forms_of_one_item_are_one_thing() -> None:
    forms = [LOT_URN, LOT_LINK, "(01)09521321000018(10)A1", f"/{LOT}", f"https://a.example/x/{LOT}"]
    for form in forms:
        (thing,) = captured(seen(quantityList=[amount(form, 5)])).call.args["event"]["things"]
        assert thing["thing"] == LOT


def test_more_things_than_stand_on_the_chain() -> None:
    many = [f"urn:epc:id:sgtin:9521321.000001.S{number}" for number in range(401)]
    found = captured(seen(quantityList=None, epcList=many)).call.args
    assert (found["event"]["unnamed"], found["without"]) == (1, "TOO_MANY_ITEMS")
    assert len(found["event"]["things"]) == 400
    too_long = seen(**{"example:text": "x" * 60_000})
    assert code(too_long) == "EPCIS_EVENT_TOO_LARGE"
