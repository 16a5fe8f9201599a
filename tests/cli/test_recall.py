"""`hansa recall`: the procedure from the command line, and FDA enforcement records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.fda import CLASSES, NoRecall, certain_lots, gtins_of, read_records, record_of
from cli.network import Network
from consensus.primitives.errors import InputError
from tests.cli.support import Hansa

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "recall"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")

MAKER, WHOLESALER, PHARMACY = "9521321000018", "9521432000013", "9521543000018"
REGULATOR = "9521654000013"
LOT = "01/09521321000018/10/A1"
ROW = {
    "product-description": "Tablets, NDC 24208-280-15. Recall # D-1370-2012",
    "reason-for-recall": "Dissolution",
    "code-info": "Lot # 467061, 487551",
    "classification": "Class II",
    "product-type": "Drugs",
    "recalling-firm": "A firm",
}


# --- what a record says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lots"),
    [
        ("Lot # 5604", ["5604"]),
        ("Lot 0201111 (use by date 5/6/2011)", ["0201111"]),
        ("Lot #'s: a) 90A024, 90A026, Exp 09/13; b) 90A028, Exp 09/13",
         ["90A024", "90A026", "90A028"]),
        ("Lot # 214117, 216117, and 228117", ["214117", "216117", "228117"]),
        ("1) and 2) Unit: 16GQ40718", ["16GQ40718"]),
        ("Units: 100043OSCN; 100043ODCN; 100043OSCN", ["100043OSCN", "100043ODCN"]),
    ],
)  # fmt: skip
def test_lots_are_taken_where_nothing_else_can_be_meant(text: str, lots: list[str]) -> None:
    assert certain_lots(text) == (lots, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Expiration dates from 01/19/2012 and lot number from 00112 through 10412", "a range"),
        ("Lots 100 to 120", "a range"),
        ("Lots 100 - 120", "a range"),
        ("All lots", "a range"),
        ("Lots including but not limited to 02031103", "a range"),
        ("Lot TFRS 130B 1503 KT34, Best By 5-25-2012", "words among the numbers"),
        ("Lot B120217A, Exp 05/15 - US Distribution", "words among the numbers"),
        ("Software version 3.2.0", "no lot numbers"),
        ("50V08131", "no lot numbers"),
        ("Lot", "no lot numbers"),
        ("Lots " + ", ".join(f"A{number:04}" for number in range(401)), "more than 400 lots"),
    ],
)
def test_a_lot_range_is_left_to_people(text: str, why: str) -> None:
    assert certain_lots(text) == ([], why)


@pytest.mark.parametrize(
    ("text", "gtins"),
    [
        ("NDC 24208-280-15", ["00324208280157"]),
        ("NDC 0024-0590-10", ["00300240590102"]),
        ("NDC #  00591-0369-01", []),  # eleven digits: ten can't be told
        ("UPC 6-98997-80615-8", ["00698997806158"]),
        ("UPC 3 61958 01011 5; NDC 61958-0101-1", ["00361958010115"]),
        ("UPC 6-98997-80615-7", []),  # a wrong check digit
        ("UPC 20728 71136", []),
    ],
)
def test_a_gtin_is_made_of_a_upc_or_an_ndc(text: str, gtins: list[str]) -> None:
    assert gtins_of(text) == gtins


def test_a_record_becomes_a_recall() -> None:
    (row,) = read_records(json.dumps(ROW).encode())
    record = record_of(row)
    assert (record.name, record.recall_class, record.gtin) == (
        "D-1370-2012", "II", "00324208280157",
    )  # fmt: skip
    assert record.items == ["01/00324208280157/10/467061", "01/00324208280157/10/487551"]
    assert record.announcement["product"] == ROW["product-description"]
    assert (record.announcement["kind"], record.announcement["firm"]) == ("DRUG", "A firm")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"product-description": None}, "FDA_FIELD_MISSING"),
        ({"reason-for-recall": ""}, "FDA_FIELD_MISSING"),
        ({"code-info": " "}, "FDA_FIELD_MISSING"),
        ({"code-info": "x" * 20_001}, "FDA_FIELD_TOO_LONG"),
        ({"product-description": "x" * 8_001}, "FDA_FIELD_TOO_LONG"),
        ({"classification": "Class IV"}, "FDA_CLASS_UNKNOWN"),
    ],
)
def test_what_is_no_recall_is_refused_by_name(change: dict[str, Any], code: str) -> None:
    (row,) = read_records(json.dumps(ROW | change).encode())
    with pytest.raises(NoRecall) as refused:
        record_of(row)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "form",
    [
        json.dumps({"meta": {}, "results": [ROW, ROW]}),
        json.dumps([ROW, ROW]),
        json.dumps(ROW) + "\n\n" + json.dumps(ROW),
        "<list>"
        "<recall-number id='D-1'><code-info>Lot 5</code-info></recall-number>"
        "<recall-number id='D-2'><code-info>Lot 6</code-info></recall-number>"
        "</list>",
    ],
)
def test_records_come_in_four_forms(form: str) -> None:
    rows = read_records(form.encode())
    assert len(rows) == 2
    assert rows[0]["code_info"].startswith("Lot")


@pytest.mark.parametrize("raw", [b"", b"{", b"7", b"\xff\xfe", b"<a>", b"<!DOCTYPE a><a/><b/>"])
def test_what_can_not_be_read_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError) as refused:
        read_records(raw)
    assert refused.value.code == "FDA_UNREADABLE"


def test_entities_of_a_foreign_file_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    raw = f"<!DOCTYPE r [<!ENTITY x SYSTEM 'file://{secret}'>]><recall-number><code-info>&x;"
    rows = read_records((raw + "</code-info></recall-number>").encode())
    assert "secret" not in json.dumps(rows)


# --- on a chain ----------------------------------------------------------------------------------


def test_records_are_imported_with_counts(
    hansa: Hansa, network: Network, url: str, tmp_path: Path
) -> None:
    rows = [
        ROW,
        ROW | {"code-info": "Lots 100 to 120"},
        {"product-description": "Nothing else"},
        {name: value for name, value in ROW.items() if name != "classification"},
    ]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    regulator = network.organisation_key(REGULATOR)
    said = hansa("recall", "import", file, "--regulator-key", regulator, "--register", "--json")
    assert said.code == 1  # one was refused
    found = said.json
    assert (found["records"], found["recalls"], found["classified"]) == (4, 3, 2)
    assert (found["lots"], found["lots held"]) == (4, 4)
    assert found["refused"] == {"FDA_FIELD_MISSING": 1}
    assert [row["outcome"] for row in found["rows"]] == ["OK", "OK", "FDA_FIELD_MISSING", "OK"]
    states = [one["recall"]["state"] for one in hansa.json("recall", "list")]
    assert states == ["CLASSIFIED", "CLASSIFIED", "INITIATED"]
    again = hansa("recall", "import", file).out
    assert "lots held" in again and "ALREADY_IMPORTED" in again
    assert len(hansa.json("recall", "list")) == 3


def test_a_regulators_key_is_asked_for_before_the_first_record(
    hansa: Hansa, network: Network, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROW))
    wrong = network.organisation_key(WHOLESALER)
    assert hansa("recall", "import", file, "--regulator-key", wrong).error == "NOT_REGULATOR"
    assert hansa.json("recall", "list") == []


def test_a_class_that_was_refused_is_given_by_the_next_import(
    hansa: Hansa, network: Network, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROW))
    regulator = network.organisation_key(REGULATOR)
    command = ("recall", "import", file, "--regulator-key", regulator, "--json")
    with monkeypatch.context() as patch:  # a class that the contract refuses
        patch.setitem(CLASSES, "class ii", "IV")
        (row,) = hansa(*command).json["rows"]
    assert (row["recall"], row["recall_class"], row["outcome"]) == (1, "", "BAD_ARGUMENT")
    assert row["message"].endswith("recall 1 is there without a class")
    said = hansa(*command)
    assert (said.code, said.json["recalls"]) == (0, 1)
    assert [one["recall"]["recall_class"] for one in hansa.json("recall", "list")] == ["II"]
    assert hansa(*command).json["refused"] == {"ALREADY_IMPORTED": 1}


def test_what_the_contract_would_refuse_is_not_signed(
    hansa: Hansa, network: Network, url: str
) -> None:
    for words, mistake in (
        (("initiate", "Tablets", "--reason", "x", "--item", "12345"), "items[0].item"),
        (("initiate", "Tablets", "--reason", "x", "--lot", "two words"), "lots[0]"),
        (("initiate", "Tablets", "--reason", "", "--codes", "x"), "announcement.reason"),
        (("check", "1", "nobody", "effective"), "holder"),
    ):
        said = hansa("recall", *words)
        assert (said.code, said.error) == (4, "BAD_ARGUMENT")
        assert f" {mistake}: " in said.err


def test_recalls_are_listed_with_what_they_are_of(hansa: Hansa, network: Network, url: str) -> None:
    assert hansa("recall", "draft", "Lindocor 50 mg", "--reason", "-1%", "--codes", "A").code == 0
    assert hansa("recall", "draft", "T" * 300, "--reason", "Dirt", "--lot", "B7").code == 0
    first, second = hansa.json("recall", "list")
    assert (first["product"], second["product"]) == ("Lindocor 50 mg", "T" * 200)
    shown = hansa("recall", "list").out
    assert "Lindocor 50 mg" in shown and "T" * 38 + ".." in shown and "T" * 41 not in shown


@needs_data
def test_every_record_of_the_fda_becomes_a_recall_or_is_refused_by_name(
    hansa: Hansa, network: Network, url: str
) -> None:
    files = sorted([*DATA.glob("*.json*"), *DATA.glob("fda_res_xml/*.xml")])
    regulator = network.organisation_key(REGULATOR)
    said = hansa("recall", "import", *files, "--regulator-key", regulator, "--register", "--json")
    found = said.json
    assert (found["records"], found["recalls"], found["classified"]) == (41, 40, 39)
    assert found["refused"] == {"FDA_FIELD_MISSING": 1}
    assert (found["lots"], found["lots held"]) == (167, 17)


def test_a_recall_from_the_command_line(hansa: Hansa, network: Network, url: str) -> None:
    def run(*words: str, by: str = MAKER) -> None:
        outcome = hansa(*words, "--key", network.organisation_key(by))
        assert outcome.code == 0, (words, outcome.err)

    items = f'[{{"item": "{LOT}", "quantity": {{"amount": 50, "unit": "EA"}}}}]'
    run("call", "batch", "commission", f"items={items}", "expiry=2030-01-31")
    run("call", "batch", "ship", f"items={items}", f"consignee={WHOLESALER}")
    run("call", "batch", "receive", f"items={items}", by=WHOLESALER)
    run("recall", "draft", "Tablets", "--reason", "Dissolution", "--item", f"/{LOT}")
    run("recall", "start", "1")
    run("recall", "classify", "1", "III", by=REGULATOR)
    run("recall", "reclassify", "1", "I", by=REGULATOR)
    refused = hansa("recall", "classify", "1", "II", "--key", network.organisation_key(MAKER))
    assert (refused.code, refused.error) == (1, "NOT_AUTHORISED")
    run("recall", "strategy", "1", "--depth", "retail", "--level", "A", "--disposal", "return")
    run("call", "batch", "quarantine", f"items={items}", "cause=RECALLED", by=WHOLESALER)
    told = hansa("recall", "notices", "1", "--wait").out
    assert "Baltic Medical Wholesale AB" in told
    for more in ((), ("--wait",)):
        assert hansa("recall", "notices", "7", *more).error == "UNKNOWN_RECALL"
    assert hansa("recall", "dashboard", "7").error == "UNKNOWN_RECALL"
    notice = hansa("recall", "notice", "1", WHOLESALER).out
    assert notice.startswith("URGENT: OTHER RECALL")
    assert "Stop distribution" in notice and LOT in notice
    assert hansa("recall", "notice", "1", PHARMACY).error == "UNKNOWN_RECALL"
    key = network.organisation_key(WHOLESALER)
    wrong = hansa("recall", "acknowledge", "1", "none-left", "--key", key)
    assert f"50 EA of {LOT} came to you, and 50 are left" in wrong.err
    assert "09521321000018 A1: 50 EA left" in hansa("recall", "notices", "1").out
    (notified,) = hansa.json("recall", "notices", "1")
    assert [one["left"] for one in notified["contradictions"]] == [50]
    assert "The ledger contradicts:" in hansa("recall", "dashboard", "1").out
    run("recall", "acknowledge", "1", "found", "--notified-accounts", by=WHOLESALER)
    assert "by the ledger" not in hansa("recall", "notices", "1").out
    assert "contradicts" not in hansa("recall", "dashboard", "1").out
    run("recall", "return", "1", f"/{LOT}", "--amount", "30", by=WHOLESALER)
    destroy = ("recall", "destroy", "1", f"/{LOT}", "--amount", "5")
    refused = hansa(*destroy, "--key", network.organisation_key(WHOLESALER))
    assert refused.error == "CONSENT_MISSING"
    assert "You may destroy" not in hansa("recall", "notice", "1", WHOLESALER).out
    run("recall", "consent", "1", WHOLESALER, "--grounds", "Opened packages")
    assert (
        f"You may destroy it where it is, by consent of {MAKER}"
        in hansa("recall", "notice", "1", WHOLESALER).out
    )
    run(*destroy, by=WHOLESALER)
    run("call", "batch", "receive", f'items=[{{"item": "{LOT}"}}]')
    run("recall", "widen", "1", "--reason", "The same material", "--lot", "A7")
    run("recall", "notify", "1")
    run("recall", "check", "1", WHOLESALER, "effective")
    (row,) = hansa.json("recall", "dashboard", "1")["rows"]
    assert (row["distributed"], row["recovered"], row["destroyed"], row["outstanding"]) == (
        50, 30, 5, 15,
    )  # fmt: skip
    shown = hansa("recall", "dashboard", "1").out
    assert "Baltic Medical Wholesale AB" in shown and "ONGOING" in shown
    assert "FOUND" in hansa("recall", "notices", "1").out
    notice = hansa("recall", "notice", "1", WHOLESALER).out
    assert re.search(rf"{re.escape(LOT)} +EA +50 +15 +0", notice), notice
    silent = hansa("recall", "complete", "1")
    assert silent.error == "GOODS_OUTSTANDING" and "15 EA" in silent.err
    run("recall", "complete", "1", "--explanation", "Used up before anybody knew")
    run("recall", "terminate", "1", by=REGULATOR)
    assert "TERMINATED" in hansa("recall", "show", "1").out
    run("recall", "release", "1", "--grounds", "Relabelled", by=REGULATOR)
    shown = hansa("recall", "show", "1").out
    assert "Used up before anybody knew" in shown and "Relabelled" in shown
    assert hansa("recall", "show", "2").error == "UNKNOWN_RECALL"
