"""`hansa epcis` against a ledger: import, export, what is withheld, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli.epcis.event_hash import event_hash
from cli.epcis.reading import read_events
from cli.epcis.structure import Captured
from tests.cli.epcis_samples import LOT, LOT_LINK, OWNERS, SERIAL_URN, amount, document, seen
from tests.cli.support import Hansa

pytestmark = pytest.mark.usefixtures("url")

MADE = seen(action="ADD", eventID="urn:uuid:1", quantityList=[amount(LOT_LINK, 100)])
SHIPPED = seen(bizStep="shipping", eventID="urn:uuid:2", **OWNERS, **{"ex:price": 12.50})
REPORT = {"type": "Temperature", "value": 4.10}
MEASURED = seen(
    quantityList=None,
    readPoint={"id": "urn:epc:id:sgln:9521321.00001.0"},
    sensorElementList=[{"sensorReport": [REPORT]}],
)
UNKNOWN = seen(bizStep="inspecting", quantityList=None, epcList=[SERIAL_URN])
ERROR = {"declarationTime": "2025-03-04T08:15:00Z", "reason": "incorrect_data"}


def file_of(path: Path, *events: Any) -> Path:
    path.write_bytes(document(*events, ex="https://ns.example.com/epcis/"))
    return path


def hashes(text: str | bytes) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    found = read_events(raw)
    events = [event for event in found if isinstance(event, Captured)]
    assert len(events) == len(found)
    return [event_hash(event) for event in events]


@pytest.fixture
def openings(tmp_path: Path) -> Path:
    return tmp_path / "openings"


def imported(hansa: Hansa, openings: Path, *arguments: object, code: int = 0) -> Any:
    outcome = hansa("epcis", "import", *arguments, "--openings", openings, "--json")
    assert outcome.code == code, outcome.err
    return outcome.json


def test_events_go_in_with_their_effects(hansa: Hansa, tmp_path: Path, openings: Path) -> None:
    file = file_of(tmp_path / "trade.json", MADE, SHIPPED, MEASURED, UNKNOWN)
    told = imported(hansa, openings, file, code=1)
    assert told["captured"] == 4
    assert told["effects"] == {"batch.commission": 1, "batch.ship": 1}
    assert told["without_effect"] == {"NO_EFFECT": 1, "UNKNOWN_ITEM": 1}
    assert len(list(openings.iterdir())) == 1  # of one transaction
    progress = hansa("epcis", "import", file, "--openings", openings).err
    assert "1: trade.json event 1: DUPLICATE_EVENT" in progress
    assert len(list(openings.iterdir())) == 1  # none for what is not captured
    shown = hansa.json("query", "epcis", "event", "number=2")["result"]
    assert shown["effect"] == "batch.ship" and "price" not in json.dumps(shown)


@pytest.mark.parametrize("form", ["json", "xml"])
def test_what_went_in_comes_out(hansa: Hansa, tmp_path: Path, openings: Path, form: str) -> None:
    events = [MADE, SHIPPED, MEASURED, UNKNOWN]
    file = file_of(tmp_path / "trade.json", *events)
    imported(hansa, openings, file, code=1)
    outcome = hansa("epcis", "export", "--openings", openings, "--format", form)
    assert outcome.code == 0, outcome.err
    assert hashes(outcome.out) == hashes(file.read_bytes())
    assert "12.5" in outcome.out and "4.1" in outcome.out
    assert outcome.err.endswith("\n4 events exported\n") or outcome.err == "4 events exported\n"
    target = tmp_path / "out"
    told = hansa.json("epcis", "export", "--openings", openings, "--format", form,
                      "--output", target)  # fmt: skip
    assert (told["events"], told["withheld"], told["left_out"]) == (4, [], [])
    assert target.read_text() == outcome.out
    assert target.stat().st_mode & 0o077 == 0  # what openings open is not for others


def test_xml_1_2_leaves_out_what_it_has_not(hansa: Hansa, tmp_path: Path, openings: Path) -> None:
    file = file_of(tmp_path / "trade.json", MADE, MEASURED)
    imported(hansa, openings, file)
    outcome = hansa("epcis", "export", "--openings", openings, "--format", "xml-1.2")
    assert hashes(outcome.out) == hashes(file.read_bytes())[:1]
    assert "event 2 is left out: EPCIS 1.2 has no sensorElementList" in outcome.err
    assert (outcome.code, outcome.err.splitlines()[-1]) == (
        1, "1 event exported, 1 left out, which --format json has",
    )  # fmt: skip


UNSAYABLE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"ex:note": "a\0b"}, "XML can't hold the character U+0000 in note"),
    ({"ex:deep": [{"ex:inner": ["fine", "\x1b[31m"]}]}, "the character U+001B in inner"),
    ({"ex:bell": {"a\x07b": "x"}}, "the character U+0007 in"),
    ({"ex:note": "\uffff"}, "U+FFFF in note"),
    ({"ex:a b": "blank in a name"}, "XML can't hold it: "),
)


def test_an_event_that_xml_cannot_say_is_captured_and_blocks_no_other(
    hansa: Hansa, tmp_path: Path, openings: Path
) -> None:
    """Whole in JSON; in XML the others alone, and which are missing is told."""
    odd = [
        seen(bizStep="storing", eventID=f"urn:uuid:9{at}", **fields)
        for at, (fields, _) in enumerate(UNSAYABLE)
    ]
    file = file_of(tmp_path / "trade.json", MADE, *odd, SHIPPED)
    assert imported(hansa, openings, file)["captured"] == 7
    every = hashes(file.read_bytes())
    assert hashes(hansa("epcis", "export", "--openings", openings).out) == every
    target = tmp_path / "out"
    for form in ("xml", "xml-1.2"):
        outcome = hansa("epcis", "export", "--openings", openings, "--format", form)
        assert hashes(outcome.out) == [every[0], every[-1]]
        lines = outcome.err.splitlines()
        for number, ((_, why), line) in enumerate(zip(UNSAYABLE, lines, strict=False), 2):
            assert line.startswith(f"event {number} is left out: ") and why in line
        assert outcome.code == 1
        told = hansa("epcis", "export", "--openings", openings, "--format", form, "--json",
                     "--output", target)  # fmt: skip
        assert (told.json["events"], told.json["left_out"]) == (2, [2, 3, 4, 5, 6])
        target.unlink()


def test_what_is_exported_can_be_chosen(hansa: Hansa, tmp_path: Path, openings: Path) -> None:
    events = (MADE, SHIPPED, MEASURED)
    files = [file_of(tmp_path / f"{at}.json", one) for at, one in enumerate(events)]
    rows = imported(hansa, openings, *files)["events"]
    every = [one for file in files for one in hashes(file.read_bytes())]

    def chosen(*options: object) -> list[str]:
        return hashes(hansa("epcis", "export", "--openings", openings, *options).out)

    assert chosen("--item", LOT_LINK) == every[:2]
    assert chosen("--from-height", rows[2]["block"]) == every[2:]
    assert chosen("--organisation", "9521321000018") == every
    nobody = hansa("epcis", "export", "--openings", openings, "--organisation", "9521432000020")
    assert (nobody.code, nobody.error) == (1, "UNKNOWN_ORGANISATION")
    assert "9521321000018 (" in nobody.err  # who there is
    other = hansa("epcis", "export", "--openings", openings, "--item", f"{LOT_LINK}9")
    assert (other.code, other.error, other.out) == (1, "UNKNOWN_ITEM", "")
    mistyped = hansa("epcis", "export", "--openings", openings, "--item", "01/123")
    assert mistyped.code != 0 and mistyped.out == ""


def test_events_without_their_opening(hansa: Hansa, tmp_path: Path, openings: Path) -> None:
    events = (MADE, SHIPPED, MEASURED)
    files = [file_of(tmp_path / f"{at}.json", one) for at, one in enumerate(events)]
    rows = imported(hansa, openings, *files)["events"]
    (openings / f"{rows[0]['transaction']}.json").unlink()
    path = openings / f"{rows[1]['transaction']}.json"
    path.write_text(path.read_text().replace("12.5", "10.5"))
    outcome = hansa("epcis", "export", "--openings", openings)
    assert "event 1: no opening" in outcome.err
    assert "event 2: the opening does not fit the commitment" in outcome.err
    assert "3 events exported, 2 of them with the public part alone" in outcome.err
    made, shipped, measured = json.loads(outcome.out)["epcisBody"]["eventList"]
    assert made["hansa:documentWithheld"] == 1 and shipped["hansa:documentWithheld"] == 2
    assert "hansa:documentWithheld" not in measured
    assert made["eventID"] == "urn:uuid:1"
    assert made["quantityList"] == [
        {"epcClass": f"https://id.gs1.org/{LOT}", "quantity": 100, "uom": "EA"}
    ]
    assert (shipped["bizStep"], shipped["action"]) == ("shipping", "OBSERVE")
    assert "price" not in json.dumps(shipped)
    xml = hansa("epcis", "export", "--openings", openings, "--format", "xml").out
    assert len(hashes(xml)) == 3 and xml.count("documentWithheld") == 4


def test_rule_15_the_declared_error_is_exported_beside_its_event(
    hansa: Hansa, tmp_path: Path, openings: Path
) -> None:
    wrong = MADE | {"errorDeclaration": ERROR}
    rows = imported(hansa, openings, file_of(tmp_path / "a.json", MADE, wrong))["events"]
    assert [row["effect"] for row in rows] == ["batch.commission", "epcis.declare_error"]
    assert [row["number"] for row in rows] == [1, 1]
    shown = json.loads(hansa("epcis", "export", "--openings", openings).out)
    first, second = shown["epcisBody"]["eventList"]
    assert "errorDeclaration" not in first and second["errorDeclaration"] == ERROR


def test_independent_files_go_in_together(hansa: Hansa, tmp_path: Path, openings: Path) -> None:
    files = []
    for at in range(20):
        lots = [[amount(f"{LOT_LINK}-{at}-{one}", 5)] for one in range(2)]
        events = [seen(action="ADD", quantityList=lot) for lot in lots]
        files.append(file_of(tmp_path / f"{at}.json", *events))
    told = imported(hansa, openings, "--independent", *files)
    assert told["effects"] == {"batch.commission": 40}
    assert [row["document"] for row in told["events"]] == [
        f"{at}.json" for at in range(20) for _ in range(2)
    ]
    numbers = [row["number"] for row in told["events"]]
    assert all(first < second for first, second in zip(numbers[::2], numbers[1::2], strict=True))


def test_events_of_one_transaction_that_fails_are_sent_alone(
    hansa: Hansa, tmp_path: Path, openings: Path
) -> None:
    late = seen(eventTime="2100-01-01T00:00:00Z", bizStep="storing")
    file = file_of(tmp_path / "a.json", MADE, late, MEASURED, MADE | {"eventID": "urn:uuid:9"})
    told = imported(hansa, openings, file, code=1)
    assert [row["code"] for row in told["events"]] == [
        "OK", "EVENT_IN_FUTURE", "NO_EFFECT", "DUPLICATE_EVENT",
    ]  # fmt: skip
    assert [row["number"] for row in told["events"]] == [1, None, 2, None]
    assert len(list(openings.iterdir())) == 2
    out = hansa("epcis", "export", "--openings", openings)
    assert len(hashes(out.out)) == 2 and "public part" not in out.err


def test_an_event_stands_even_if_its_effect_costs_too_much(
    hansa: Hansa, tmp_path: Path, openings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.epcis.importing.STEPS_MAX", 40_000)
    told = imported(hansa, openings, file_of(tmp_path / "a.json", MADE), code=1)
    assert told["without_effect"] == {"OUT_OF_STEPS": 1}
    assert hansa("epcis", "export", "--openings", openings).err == "1 event exported\n"


def test_files_that_cannot_be_read_are_told_and_others_go_on(
    hansa: Hansa, tmp_path: Path, openings: Path
) -> None:
    (tmp_path / "bad.json").write_text("{")
    good = file_of(tmp_path / "good.json", MADE, 5, seen(action="NO"))
    told = imported(hansa, openings, tmp_path / "bad.json", tmp_path / "none.json", good, code=1)
    assert told["captured"] == 1
    assert told["not_captured"] == {
        "EPCIS_BAD_ACTION": 1,
        "EPCIS_BAD_FIELD": 1,
        "EPCIS_INVALID_JSON": 1,
        "FILE_NOT_READABLE": 1,
    }


def test_check_needs_no_node(hansa: Hansa, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("HANSA_NODE")
    file = file_of(tmp_path / "trade.json", MADE, SHIPPED, seen(bizStep="shipping"))
    told = hansa.json("epcis", "check", file)
    assert [row["code"] for row in told["events"]] == ["OK", "OK", "CONSIGNEE_REQUIRED"]
    assert [row["hash"] for row in told["events"]] == hashes(file.read_bytes())
    stdin = io.TextIOWrapper(io.BytesIO(file.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert hansa.json("epcis", "check", "-")["events"][0]["hash"] == told["events"][0]["hash"]
    bad = file_of(tmp_path / "bad.json", seen(action="NO"))
    outcome = hansa("epcis", "check", bad)
    assert outcome.code == 1 and "EPCIS_BAD_ACTION" in outcome.out
