"""`hansa mt`: check, import and export of files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.mt_samples import SAMPLES, sample
from tests.cli.support import Hansa


def file_of(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def all_samples(folder: Path) -> Path:
    return file_of(folder / "all.fin", *(sample(number).to_bytes() for number in SAMPLES))


def test_check_says_that_all_is_in_order(hansa: Hansa, tmp_path: Path) -> None:
    told = hansa.json("mt", "check", all_samples(tmp_path))
    assert (told["messages"], told["refused"], told["counts"]) == (7, 0, {"OK": 7})
    assert [row["type"] for row in told["findings"]] == [f"MT{number}" for number in SAMPLES]


def test_check_counts_what_is_wrong_by_code_and_field(hansa: Hansa, tmp_path: Path) -> None:
    bad = sample("700", f32B="JPY1,5", f31C="270230", f49=None)
    file = file_of(tmp_path / "bad.fin", bad.to_bytes(), sample("752").to_bytes())
    outcome = hansa("mt", "check", file, "--json")
    assert outcome.code == 1
    told = outcome.json
    assert (told["messages"], told["refused"]) == (2, 1)
    assert told["counts"] == {"MT_AMOUNT": 1, "MT_DATE": 1, "MT_FIELD_MISSING": 1, "OK": 1}
    assert [(row["message"], row["field"], row["network"]) for row in told["findings"]] == [
        (1, "49", ""),
        (1, "31C", "T50"),
        (1, "32B", "C03"),
        (2, "", ""),
    ]
    shown = hansa("mt", "check", file)
    assert shown.code == 1 and "MT_AMOUNT" in shown.out and "C03" in shown.out


def test_import_and_export_give_the_same_bytes(hansa: Hansa, tmp_path: Path) -> None:
    file = all_samples(tmp_path)
    assert hansa("mt", "import", file, "--out", tmp_path / "all.json").code == 0
    assert hansa("mt", "export", tmp_path / "all.json", "--out", tmp_path / "again.fin").code == 0
    again = (tmp_path / "again.fin").read_bytes()
    assert again.replace(b"}\r\n{1:", b"}{1:").rstrip() == file.read_bytes()


def test_import_leaves_out_what_is_wrong_and_says_why(hansa: Hansa, tmp_path: Path) -> None:
    bad = sample("734", f77B="/BURN/", f77J=None).to_bytes()
    file = file_of(tmp_path / "mixed.fin", bad, sample("750").to_bytes())
    outcome = hansa("mt", "import", file)
    assert outcome.code == 1
    [document] = json.loads(outcome.out)
    assert document["mt"] == "750"
    assert "field 77B: MT_CODE_WORD" in outcome.err
    assert "field 77J: MT_FIELD_MISSING" in outcome.err


def test_export_writes_nothing_unless_all_is_in_order(hansa: Hansa, tmp_path: Path) -> None:
    says = {"reference": "PRES-1", "related_reference": "LC1", "amount": {"minor": 1, "currency":
            "USD"}, "charges": "FEE", "discrepancies": ["LATE"]}  # fmt: skip
    document = {"mt": "750", "sender": "BANKBEBB", "receiver": "BANKDEFF", "says": says}
    file = file_of(tmp_path / "new.json", json.dumps(document).encode())
    outcome = hansa("mt", "export", file, "--out", tmp_path / "new.fin")
    assert outcome.code == 1 and "field 34B: MT_TOTAL" in outcome.err
    assert not (tmp_path / "new.fin").exists()
    del says["charges"]
    file_of(file, json.dumps(document).encode())
    shown = hansa("mt", "export", file)
    assert shown.code == 0
    assert shown.out.startswith("{1:F01BANKBEBBAXXX0000000000}{2:I750BANKDEFFXXXXN}{4:")
    assert ":32B:USD0,01" in shown.out


def test_files_that_cannot_be_used(hansa: Hansa, tmp_path: Path) -> None:
    assert hansa("mt", "check", tmp_path / "none.fin").error == "FILE_NOT_READABLE"
    assert hansa("mt", "check", file_of(tmp_path / "empty.fin", b" ")).error == "MT_EMPTY"
    assert hansa("mt", "export", file_of(tmp_path / "no.json", b"[" * 9_999)).error == "MT_JSON"
