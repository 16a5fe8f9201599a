"""`hansa debug`: a recording is fetched, replayed and told; bad files are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.main import run
from tests.node.test_recorder import fed, recorder

INCIDENT = Path(__file__).parents[1] / "vectors" / "incident.flight"


def replay(*arguments: str | Path) -> int:
    return run(["debug", "replay", *map(str, arguments)])


def test_an_incident_in_people_s_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(INCIDENT) == 0
    told = capsys.readouterr().out
    assert re.search(r"reproduced: state hash [0-9a-f]{64} = recorded", told)
    assert "What stands out:" in told
    assert re.search(r"sign ROUND-CHANGE \d+/\d, prepared in round \d", told)
    assert re.search(r"^ +1  \d{4}-\d\d-\d\d .* v1$", told, re.MULTILINE), "v1 was down"


def test_every_input_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(INCIDENT, "--verbose", "--until", "30") == 0
    told = capsys.readouterr().out
    assert len(re.findall(r"^ +\d+  \d\d:\d\d:\d\d\.\d{3}  ", told, re.MULTILINE)) == 30
    for words in ("height 1 begins on block", "heard ", "connected to v", "is on disk", "time"):
        assert words in told
    assert "the same so far" in told


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(INCIDENT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["same"] is True
    assert told["state_hash"] == told["recorded_hash"]
    assert told["replayed"] == told["inputs"] > 50
    assert told["heights"][0]["not heard"] == "v1"


def test_what_differs_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.pbft.machine.RESEND_MS", 999)
    assert replay(INCIDENT) == 1
    told = capsys.readouterr().out
    assert re.search(r"input \d+: recorded .*, replayed ", told) or "hash is another" in told
    assert "DIFFERENT from what was recorded" in told


def test_bad_files_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = INCIDENT.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    cases = {
        "RECORDING_CUT": data[:-30],
        "RECORDING_DAMAGED": bytes(flipped),
        "RECORDING_FOREIGN": b"hello",
    }
    for code, raw in cases.items():
        path = tmp_path / "file.flight"
        path.write_bytes(raw)
        assert replay(path) == 4
        told = capsys.readouterr()
        assert told.err.startswith(f"error: {code}: {path}: ")
        assert "Traceback" not in told.err
    assert replay(tmp_path / "none") == 2


def test_a_recording_from_the_bench_is_told_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Small recordings of a machine on the bench, with all that a peer may say."""
    made = recorder()
    fed(made)
    path = tmp_path / "bench.flight"
    path.write_bytes(made.recording("bench"))
    assert replay(path, "--verbose") == 0
    assert "executed content" in capsys.readouterr().out
