"""`hansa db`, `hansa backup` and `hansa restore` on a stopped node's folder: what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from cli import output
from cli.main import run
from cli.progress import Teller
from node.store import schema
from tests.node.care_world import BLOCKS, copied, make_folder, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("db") / "node"
    trio.run(make_folder, made)
    return made


def told(capsys: Capture, *arguments: object, code: int = output.OK) -> Any:
    assert run([*map(str, arguments), "--json"]) == code
    printed = capsys.readouterr()
    return json.loads(printed.err if code not in (output.OK, output.REFUSED) else printed.out)


def test_verify_repair_and_stats(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["db", "verify", "--data", str(folder)]) == output.OK
    shown = capsys.readouterr().out
    assert "Nothing is wrong." in shown and f"newest block     {BLOCKS}" in shown
    damaged = copied(folder, tmp_path / "node")
    write(damaged, [(schema.height_key(schema.RECEIPTS, 3), None)])
    assert run(["db", "verify", "--data", str(damaged)]) == output.REFUSED
    assert "table r, height 3" in capsys.readouterr().out
    found = told(capsys, "db", "verify", "--data", damaged, code=output.REFUSED)
    assert found["counts"] == {"DB_RECEIPTS_WRONG": 1} and not found["ok"]
    assert run(["db", "repair", "--data", str(damaged)]) == output.OK
    assert "executing blocks 1 to" in capsys.readouterr().out
    counted = told(capsys, "db", "stats", "--data", damaged)
    (blocks,) = [one for one in counted["tables"] if one["table"] == "b"]
    assert blocks["entries"] == BLOCKS + 1 == counted["height"] + 1
    assert run(["db", "stats", "--data", str(damaged)]) == output.OK
    assert "state tree pages" in capsys.readouterr().out


def test_backup_and_restore(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    made = told(capsys, "backup", "--data", folder, "--out", tmp_path)
    path = Path(made["file"])
    assert made["height"] == BLOCKS and path.parent == tmp_path
    assert told(capsys, "backup", "verify", path)["digest"] == made["digest"]
    deep = told(capsys, "backup", "verify", path, "--deep")
    assert deep["verified"]["ok"] and deep["height"] == BLOCKS
    assert run(["restore", str(path), "--data", str(tmp_path / "new")]) == output.OK
    shown = capsys.readouterr().out
    assert "Nothing is wrong." in shown and "has no keys" in shown
    refused = told(capsys, "restore", path, "--data", tmp_path / "new", code=output.LOCAL)
    assert refused["error"]["code"] == "RESTORE_OCCUPIED"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    refused = told(capsys, "backup", "verify", path, code=output.LOCAL)
    assert refused["error"]["code"] == "BACKUP_CORRUPT" and "part " in refused["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [["backup"], ["backup", "--data", "x"], ["db", "verify", "--data", ".", "--sample", "0"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(arguments) == output.USAGE


def test_progress_tells_how_long_still(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: now[0])
    tell = Teller()
    tell("blocks", 0, 100)
    now[0] = 104.0
    tell("blocks", 25, 100)
    tell("blocks", 26, 100)
    now[0] = 107.0
    tell("values", 5, 0)
    assert capsys.readouterr().err == "blocks: 25 of 100, about 12 s left\nvalues: 5\n"
