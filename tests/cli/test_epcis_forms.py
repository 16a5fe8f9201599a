"""One event in every syntax: read without loss, written, read again; hostile XML refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.epcis.checks import checked
from cli.epcis.event_hash import event_hash
from cli.epcis.reading import read_events
from cli.epcis.structure import Broken, Captured, from_text, to_text
from cli.epcis.to_json import json_document
from cli.epcis.to_xml import new_in_2, xml_document
from consensus.primitives.errors import InputError
from tests.cli.epcis_samples import DATA, document, one, read, seen

needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
CREATED = "2025-01-01T00:00:00.000Z"
FILES = sorted(path for path in DATA.rglob("*") if path.suffix in (".json", ".jsonld", ".xml"))
QUERIES = ("queryDocumentWithEventTime.json", "queryDocument.xml")  # no events, but queries

XML_2 = """<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"
  creationDate="2025-01-01T00:00:00Z" xmlns:ex="https://ns.example.com/epcis/"><EPCISBody><EventList>
  <ObjectEvent><eventTime>2025-03-03T08:15:00.000+01:00</eventTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset><epcList/><action>OBSERVE</action>
  <bizStep>urn:epcglobal:cbv:bizstep:inspecting</bizStep><quantityList><quantityElement>
  <epcClass>urn:epc:class:lgtin:9521321.000001.A1</epcClass><quantity>5.00</quantity>
  </quantityElement></quantityList><ex:note kind="a">one</ex:note><ex:note>two</ex:note>
  </ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>"""
XML_1 = """<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:1" schemaVersion="1.2"
  creationDate="2025-01-01T00:00:00Z" xmlns:ex="https://ns.example.com/epcis/"><EPCISBody><EventList>
  <ObjectEvent><eventTime>2025-03-03T07:15:00Z</eventTime>
  <eventTimeZoneOffset>+01:00</eventTimeZoneOffset><epcList/><action>OBSERVE</action>
  <bizStep>urn:epcglobal:cbv:bizstep:inspecting</bizStep><extension><quantityList><quantityElement>
  <epcClass>urn:epc:class:lgtin:9521321.000001.A1</epcClass><quantity>5</quantity>
  </quantityElement></quantityList></extension><ex:note>two</ex:note><ex:note kind="a">one</ex:note>
  </ObjectEvent></EventList></EPCISBody></epcis:EPCISDocument>"""
JSON = seen(
    bizStep="inspecting",
    **{"ex:note": [{"@kind": "a", "#text": "one"}, "two"], "quantityList": [
        {"epcClass": "https://id.gs1.org/01/09521321000018/10/A1", "quantity": 5}]},
)  # fmt: skip


def only(raw: bytes) -> Captured:
    (found,) = read_events(raw)
    assert isinstance(found, Captured), found
    return found


def test_rule_17_one_event_in_json_and_xml_of_both_versions_has_one_hash() -> None:
    raws = [document(JSON, ex="https://ns.example.com/epcis/"), XML_2.encode(), XML_1.encode()]
    assert len({event_hash(only(raw)) for raw in raws}) == 1


def test_decimals_keep_their_digits() -> None:
    text = '{"value": 26.10, "uom": "CEL"}'
    event = seen(sensorElementList=[{"sensorReport": ["HERE"]}], **{"ex:n": 1})
    raw = json.dumps(event).replace('"HERE"', text).replace('"ex:n": 1', '"ex:n": 1.50e2')
    found = only(raw.encode())
    assert found.tree["sensorElementList"][0]["sensorReport"][0]["value"] == "26.10"
    assert found.tree["{ex:}n"] == {"#number": "1.50e2"}
    written = json_document([found], CREATED)
    assert '"value": 26.10' in written and "1.50e2" in written
    assert 'value="26.10"' in xml_document([found], CREATED)


def test_extensions_keep_namespace_and_order() -> None:
    value = {"ex:b": ["3", "1", "2", {"ex:inner": [True, None, 1]}], "ex:a": "x"}
    found = one(seen(**value), ex="https://ns.example.com/epcis/")
    assert found.tree["{https://ns.example.com/epcis/}b"][:3] == ["3", "1", "2"]
    again = only(json_document([found], CREATED).encode())
    assert again.tree == found.tree


def test_prefixes_that_clash_stay_apart() -> None:
    events = [one(seen(**{"ex:a": "1"}), ex=uri) for uri in ("https://a.example/", "urn:b:")]
    for written in (json_document(events, CREATED), xml_document(events, CREATED)):
        back = [each for each in read_events(written.encode()) if isinstance(each, Captured)]
        assert [event_hash(each) for each in back] == [event_hash(each) for each in events]


def test_the_canonical_text_says_everything() -> None:
    found = only(XML_2.encode())
    assert from_text(to_text(found)).tree == found.tree
    assert from_text(to_text(found)).prefixes["ex"] == "https://ns.example.com/epcis/"
    for text in ("", "[]", '{"event": 5, "prefixes": {}}', "{}"):
        with pytest.raises(InputError) as caught:
            from_text(text)
        assert caught.value.code == "EPCIS_INVALID_JSON"


_NAMES = st.sampled_from(["ex:a", "ex:b", "other:c", "plain"])
_VALUES = st.recursive(
    st.text("abc 1.0:é", max_size=6) | st.booleans() | st.integers(-99, 99) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_any_extension_survives_both_syntaxes(extensions: dict[str, Any]) -> None:
    found = one(seen(**extensions), ex="https://ns.example.com/epcis/", other="urn:other:")
    assert only(json_document([found], CREATED).encode()).tree == found.tree
    assert event_hash(only(xml_document([found], CREATED).encode())) == event_hash(found)


def test_xml_1_2_has_what_came_later_in_extensions() -> None:
    wrong = JSON | {"eventID": "urn:uuid:1", "errorDeclaration": {"reason": "incorrect_data"}}
    found = one(wrong, ex="https://ns.example.com/epcis/")
    written = xml_document([found], CREATED, "1.2")
    assert written.index("<epcList") < written.index("<extension>") < written.index("<quantityList")
    assert written.index("<baseExtension>") < written.index("<eventID>") < written.index("<epcList")
    assert event_hash(only(written.encode())) == event_hash(found)
    sensed = one(seen(sensorElementList=[{"sensorReport": []}]))
    with pytest.raises(InputError) as caught:
        xml_document([sensed], CREATED, "1.2")
    assert caught.value.code == "EPCIS_NOT_IN_XML"


def test_names_that_xml_has_not() -> None:
    found = one(seen(**{"ex:a b": "1"}), ex="urn:ex:")
    with pytest.raises(InputError) as caught:
        xml_document([found], CREATED)
    assert caught.value.code == "EPCIS_NOT_IN_XML"


# --- hostile and broken XML ------------------------------------------------------------------

_BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'<!DOCTYPE a [<!ENTITY e0 "ha">{_BOMB}]><a>&e9;</a>', "EPCIS_XML_WITH_DTD"),
        ('<!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>', "EPCIS_XML_WITH_DTD"),
        ('<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>', "EPCIS_XML_WITH_DTD"),
        ("<a>&undeclared;</a>", "EPCIS_INVALID_XML"),
        ("<a><b></a>", "EPCIS_INVALID_XML"),
        ("<a/>", "EPCIS_NOT_A_DOCUMENT"),
        ("<" + "a><" * 100_000, "EPCIS_INVALID_XML"),
        (XML_2.replace("<EventList>", "<Other>").replace("</EventList>", "</Other>"),
         "EPCIS_NOT_A_DOCUMENT"),
        (XML_2.replace('schemaVersion="2.0"', 'schemaVersion="3.0"'), "EPCIS_VERSION_NOT_COVERED"),
    ],
)  # fmt: skip
def test_what_is_no_xml_document(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read_events(text.encode())
    assert caught.value.code == expected


def test_only_utf_8_is_read() -> None:
    raw = ('<?xml version="1.0" encoding="UTF-16"?>' + XML_2).encode("utf-16")
    latin = ('<?xml version="1.0" encoding="ISO-8859-1"?>' + XML_2).encode()  # UTF-8 by chance
    for wrong in (raw, raw[2:], latin, b"<a>\xff</a>"):
        with pytest.raises(InputError) as caught:
            read_events(wrong)
        assert caught.value.code == "EPCIS_INVALID_XML"
        assert "UTF-8 alone" in caught.value.message
    for said in ("utf-8", "UTF8", "US-ASCII"):
        assert read_events((f"<?xml version='1.0' encoding='{said}'?>" + XML_2).encode())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<action>OBSERVE</action>", "<action>OBSERVE</action><action>ADD</action>",
         "EPCIS_BAD_FIELD"),
        ("OBSERVE</action>", "<x/></action>", "EPCIS_BAD_FIELD"),
        ("<ex:note>two</ex:note>", "<ex:note><ex:a/>between</ex:note>", "EPCIS_MIXED_CONTENT"),
        ("ObjectEvent>", "PartyEvent>", "EPCIS_UNKNOWN_EVENT_TYPE"),
        ("<ex:note>two", "<ex:note>" + "<ex:n>" * 40 + "</ex:n>" * 40, "EPCIS_BAD_FIELD"),
    ],
)  # fmt: skip
def test_xml_events_that_cannot_be_read(old: str, new: str, expected: str) -> None:
    (found,) = read_events(XML_2.replace(old, new).encode())
    assert not isinstance(found, Captured) and found.code == expected


# --- real documents --------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("file", FILES, ids=[str(path.relative_to(DATA)) for path in FILES])
def test_every_document_is_read_and_survives_both_syntaxes(file: Path) -> None:
    if file.name in QUERIES:
        with pytest.raises(InputError) as caught:
            read_events(file.read_bytes())
        assert caught.value.code == "EPCIS_NOT_A_DOCUMENT"
        return
    events = [each for each in read_events(file.read_bytes()) if isinstance(each, Captured)]
    assert events
    kept = [from_text(to_text(each), each.number) for each in events]
    hashes = [event_hash(each) for each in events]
    as_json = [each for each in read_events(json_document(kept, CREATED).encode())
               if isinstance(each, Captured)]  # fmt: skip
    as_xml = [each for each in read_events(xml_document(kept, CREATED).encode())
              if isinstance(each, Captured)]  # fmt: skip
    assert [event_hash(each) for each in as_json] == hashes
    assert [event_hash(each) for each in as_xml] == hashes
    old = [each for each in kept if not new_in_2(each)]
    as_old = [each for each in read_events(xml_document(old, CREATED, "1.2").encode())
              if isinstance(each, Captured)]  # fmt: skip
    assert [event_hash(each) for each in as_old] == [event_hash(each) for each in old]
    for first, second in itertools.zip_longest(events, as_json):
        if file.suffix != ".xml":  # only CBV's words may change their form
            assert set(second.tree) == set(first.tree)


def test_no_event_is_lost_between_others() -> None:
    assert [each.number for each in read(seen(), 5, seen())] == [1, 2, 3]


_PIECES = ("<", ">", "/", "&", "]]>", "<!--", "-->", "<?a?>", "<ex:a>", "</ex:a>", 'xmlns:ex=""',
           "<extension>", "</extension>", "<epc>", "\0", "é", "<sensorElementList>")  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(XML_2)), st.integers(0, 40),
                          st.sampled_from(_PIECES)), min_size=1, max_size=5))  # fmt: skip
def test_no_xml_whatever_makes_it_crash(edits: list[tuple[int, int, str]]) -> None:
    text = XML_2
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    try:
        events = read_events(text.encode())
    except InputError as error:
        assert error.code.startswith("EPCIS_")
        return
    for event in events:
        if isinstance(event, Captured):
            try:
                checked(event)
            except Broken as broken:
                assert broken.code.startswith("EPCIS_")
            again = only(json_document([event], CREATED).encode())
            assert event_hash(again) == event_hash(event)
