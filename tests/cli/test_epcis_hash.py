"""CBV 2.0's event hash against the vectors of its authors, and against their software."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.epcis.event_hash import event_hash, plain_number, pre_hash, utc_text
from cli.epcis.gs1_uri import canonical_uri
from cli.epcis.reading import read_events
from cli.epcis.structure import Captured
from tests.cli.epcis_samples import DATA, one, seen

VECTORS = DATA / "event_hash_vectors"
EQUAL = DATA / "event_hash_expected_equal"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")

# (file, event) of the vectors that do not match, and why not.
DIFFERENT = {
    ("SensorDataExamples.xml", 7): "24 digits went through a float: 111100001111000003641344",
    ("SensorDataExamples.xml", 8): "bizRules is no field of sensorReport; put out once more behind",
    ("epcisXmlQueryDocHavingEventWithIgnoreFields.xml", 1): "ignoreFields is no part of CBV 2.0",
    ("epcisXmlQueryDocHavingEventWithIgnoreFields.xml", 2): "ignoreFields is no part of CBV 2.0",
}


def _events(path: Path) -> list[Captured]:
    found = read_events(path.read_bytes())
    events = [each for each in found if isinstance(each, Captured)]
    assert len(events) == len(found)
    return events


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]


@needs_data
def test_the_vectors_match_but_for_those_listed(capsys: pytest.CaptureFixture[str]) -> None:
    matched, different = 0, set()
    for path in sorted(VECTORS.iterdir()):
        if path.suffix not in (".xml", ".jsonld"):
            continue
        expected = _lines(path.with_suffix(".hashes"))
        events = _events(path)
        assert len(events) == len(expected), path.name
        for at, (event, digest) in enumerate(zip(events, expected, strict=True), 1):
            if event_hash(event) == digest:
                matched += 1
            else:
                different.add((path.name, at))
    with capsys.disabled():
        print(f"\nevent hashes: {matched} of {matched + len(different)} vectors match")  # noqa: T201
        for name, at in sorted(different):
            print(f"  {name}, event {at}: {DIFFERENT.get((name, at), '?')}")  # noqa: T201
    assert different == set(DIFFERENT)
    assert matched == 62


@needs_data
def test_pre_hash_strings_match_too() -> None:
    """But for the second one of one file, which its own hash does not belong to either."""
    for path in sorted(VECTORS.glob("*.prehashes")):
        for source in (path.with_suffix(".xml"), path.with_suffix(".jsonld")):
            if not source.exists():
                continue
            for at, (event, line) in enumerate(zip(_events(source), _lines(path), strict=True), 1):
                listed = (source.name, at) in DIFFERENT
                if not listed and source.name != "epcisDocWithCustomSchemaInContext.jsonld":
                    assert pre_hash(event) == line.strip(), (source.name, at)


@needs_data
@pytest.mark.parametrize("name", sorted(path.name for path in EQUAL.glob("*")))
def test_events_that_are_one_have_one_hash(name: str) -> None:
    events = _events(EQUAL / name)
    assert len(events) > 1
    assert len({event_hash(event) for event in events}) == 1


@needs_data
def test_json_and_xml_of_one_document_have_the_same_hashes() -> None:
    pairs = [path for path in VECTORS.glob("*.jsonld") if path.with_suffix(".xml").exists()]
    assert len(pairs) >= 8
    for path in pairs:
        first = [event_hash(event) for event in _events(path)]
        assert first == [event_hash(event) for event in _events(path.with_suffix(".xml"))]


def test_rule_17_all_forms_of_one_item_give_one_hash() -> None:
    lots = [
        "urn:epc:class:lgtin:9521321.000001.a%2Fb'c",
        "https://id.gs1.org/01/09521321000018/10/a%2Fb%27c",
        "https://example.com/x/01/09521321000018/10/a%2Fb'c?17=301231",
        "(01)09521321000018(10)a/b'c",
        "01/09521321000018/10/a%2Fb%27c",
    ]
    events = [seen(quantityList=[{"epcClass": lot, "quantity": 5}]) for lot in lots]
    assert len({event_hash(one(event)) for event in events}) == 1
    units = ["urn:epc:id:sscc:9521321.0000000017", "(00)095213210000000179",
             "https://id.gs1.org/00/095213210000000179"]  # fmt: skip
    events = [seen(quantityList=None, epcList=[unit]) for unit in units]
    assert len({event_hash(one(event)) for event in events}) == 1


def test_what_the_hash_leaves_out() -> None:
    plain = event_hash(one(seen()))
    error = {"declarationTime": "2025-03-04T08:15:00Z", "reason": "incorrect_data"}
    for more in ({"eventID": "urn:uuid:1"}, {"recordTime": "2026-01-01T00:00:00Z"},
                 {"errorDeclaration": error}, {"rdfs:comment": "x"}):  # fmt: skip
        assert event_hash(one(seen(**more))) == plain
    for more in ({"ex:a": "1"}, {"disposition": "active"}, {"certificationInfo": "urn:x:y"}):
        assert event_hash(one(seen(**more))) != plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.0", "1"), ("0.3434000", "0.3434"), ("+7", "7"), ("-0", "0"), ("1e3", "1000"),
     (".5", "0.5"), ("111100001111000011110000", "111100001111000011110000")],
)  # fmt: skip
def test_numbers_have_one_form(text: str, expected: str) -> None:
    assert plain_number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-09-10T08:40:21.3142715Z", "2019-09-10T08:40:21.314Z"),
        ("2020-12-31T23:59:59.999600+00:00", "2021-01-01T00:00:00.000Z"),
        ("2020-04-01T15:00:00+01:00", "2020-04-01T14:00:00.000Z"),
        ("2020-04-01", None),
        ("2020-02-30T00:00:00Z", None),
    ],
)
def test_moments_have_one_form(text: str, expected: str | None) -> None:
    assert utc_text(text) == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("urn:epc:id:sgtin:4012345.011111.9876", "01/04012345111118/21/9876"),
        ("urn:epc:id:sgtin:4012345.011111.a:b", "01/04012345111118/21/a%3Ab"),
        ("urn:epc:class:lgtin:4012345.012345.998877", "01/04012345123456/10/998877"),
        ("urn:epc:idpat:sgtin:4012345.066666.*", "01/04012345666663"),
        ("urn:epc:id:sscc:4012345.1111111111", "00/140123451111111117"),
        ("urn:epc:id:sgln:0614141.07346.1234", "414/0614141073467/254/1234"),
        ("urn:epc:id:sgln:4012345.00005.0", "414/4012345000054"),
        ("urn:epc:id:pgln:4012345.00225", "417/4012345002256"),
        ("urn:epc:id:giai:4000001.111", "8004/4000001111"),
        ("urn:epc:id:grai:4012345.55555.987", "8003/04012345555554987"),
        ("urn:epc:id:gdti:0614141.12345.400", "253/0614141123452400"),
        ("https://example.com/some/01/4012345999990/10/L/21/XYZ-1234?17=301231",
         "01/04012345999990/21/XYZ-1234"),
        ("https://example.com/gtin/4012345999990/lot/lot", "01/04012345999990/10/lot"),
        ("https://id.gs1.org/giai/4000001111", "8004/4000001111"),
        ("https://example.com/253/4012345000054987", "253/4012345000054987"),
        ("urn:epcglobal:cbv:bt:4012345123456:RE1099", None),
        ("urn:epc:id:sgtin:40123.011111.9876", None),
        ("https://example.com/01/notdigits", None),
        ("text", None),
    ],
)  # fmt: skip
def test_gs1_keys_have_one_form(text: str, path: str | None) -> None:
    assert canonical_uri(text) == (path and f"https://id.gs1.org/{path}")
