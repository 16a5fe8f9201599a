"""Writing, checking, proposing and showing contracts by command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.runtime.registry import builtin_packages
from tests.cli.support import Hansa

ROOT = Path(__file__).resolve().parents[2]

BAD = '''"""Mistakes."""

import time
from contracts.sdk import Contract, query


class Bad(Contract):
    name = "bad"

    @query
    def half(self, amount: int) -> int:
        return amount / 2
'''


def test_what_new_writes_is_accepted_and_its_test_passes(hansa: Hansa) -> None:
    made = hansa.json("contract", "new", "greeter")["files"]
    assert made == ["greeter.py", "test_greeter.py"]
    checked = hansa.json("contract", "check", "greeter.py")
    assert (checked["name"], checked["version"], checked["findings"]) == ("greeter", 1, [])
    assert "greeter version 1 may run" in hansa("contract", "check", "greeter.py").out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_greeter.py"],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    again = hansa("contract", "new", "greeter")
    assert (again.code, again.error) == (4, "FILE_EXISTS")
    bad = hansa("contract", "new", "No-Name")
    assert (bad.code, bad.error) == (4, "NAME_INVALID")


def test_every_finding_has_its_line(hansa: Hansa) -> None:
    Path("bad.py").write_text(BAD)
    outcome = hansa("contract", "check", "bad.py")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert [line.split(" ")[0].rsplit(":", 2)[0] for line in lines] == ["bad.py:3", "bad.py:12"]
    found = hansa("contract", "check", "bad.py", "--json")
    assert found.code == 1
    assert [one["line"] for one in found.json["findings"]] == [3, 12]
    refused = hansa("contract", "propose", "bad.py", "--devnet")
    assert (refused.code, refused.error) == (4, "CONTRACT_REFUSED")
    assert "bad.py:3" in refused.err


@pytest.mark.parametrize("text", ["def (\n", "x = '\N{LATIN SMALL LETTER E WITH ACUTE}'\n"])
def test_what_is_no_python_of_the_dialect_has_its_line_too(hansa: Hansa, text: str) -> None:
    Path("a.py").write_text(f'"""Text."""\n{text}', encoding="utf-8")
    outcome = hansa("contract", "check", "a.py", "--json")
    assert (outcome.code, outcome.json["name"]) == (1, None)
    assert outcome.json["findings"][0]["line"] in (2, 3)  # an open bracket: at the end


@pytest.mark.parametrize(
    ("path", "text", "error"),
    [
        ("A.py", BAD, "CONTRACT_REFUSED"),
        ("a.py", "#" * 60_001, "FILE_TOO_LARGE"),
    ],
)
def test_files_that_are_no_contract(hansa: Hansa, path: str, text: str, error: str) -> None:
    Path(path).write_text(text, encoding="utf-8")
    outcome = hansa("contract", "check", path)
    assert (outcome.code, outcome.error) == (4, error)
    assert hansa("contract", "check", "absent.py").error == "FILE_NOT_READABLE"


@pytest.mark.parametrize("folder", ["../elsewhere", "My-Folder", "/"])
def test_files_elsewhere_are_named_from_their_own_folder(
    hansa: Hansa, tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    place = tmp_path_factory.mktemp("other") if folder == "/" else Path(folder)
    made = hansa.json("contract", "new", "greeter", "--dir", place)["files"]
    checked = hansa("contract", "check", made[0], "--json")
    assert (checked.code, checked.json["name"]) == (0, "greeter")
    assert hansa("contract", "check", made[0], "--root", ".").error == "CONTRACT_REFUSED"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x = 1\n",
        b"\xff\xfe\x00",
        BAD.replace("import time\n", "").replace('"bad"', '"bad"\n    version = "1"').encode(),
    ],
)
def test_what_has_no_contract_is_a_finding(hansa: Hansa, raw: bytes) -> None:
    Path("a.py").write_bytes(raw)
    outcome = hansa("contract", "check", "a.py", "--json")
    assert (outcome.code, outcome.json["name"]) == (1, None)
    assert [one["file"] for one in outcome.json["findings"]][:1] == ["a.py"]


def test_a_pipe_is_not_waited_for(hansa: Hansa) -> None:
    os.mkfifo("a.py")
    outcome = hansa("contract", "check", "a.py")
    assert (outcome.code, outcome.error) == (4, "FILE_NOT_READABLE")


def test_what_the_chain_runs(hansa: Hansa, url: str) -> None:
    names = [one["name"] for one in hansa.json("contract", "list")]
    assert names == sorted(one.name for one in builtin_packages())
    assert "governance" in hansa("contract", "list").out
    shown = hansa("contract", "show", "batch")
    assert "commission" in shown.out and "contracts/supply/batch.py" in shown.out
    source = (ROOT / "contracts/supply/batch.py").read_text()
    assert source in hansa("contract", "show", "batch", "--source").out
    value = hansa.json("contract", "show", "batch", "--source")
    assert value["files"][-1]["text"] == source
    assert "ship" in value["schema"]["methods"]
    unknown = hansa("contract", "show", "bank")
    assert (unknown.code, unknown.error) == (4, "UNKNOWN_CONTRACT")


def test_a_contract_is_proposed_voted_and_called(hansa: Hansa, url: str) -> None:
    hansa.json("contract", "new", "greeter")
    made = hansa.json("contract", "propose", "greeter.py", "--devnet")
    assert (made["proposal"], made["transactions"]) == (1, 1)
    (file,) = hansa.json("contract", "fetch", 1, "--dir", "proposed")["files"]
    assert Path(file).read_text() == Path("greeter.py").read_text()
    assert hansa.json("contract", "check", file, "--root", "proposed")["name"] == "greeter"
    again = hansa("contract", "fetch", 1, "--dir", "proposed")
    assert (again.code, again.error) == (4, "FILE_EXISTS")
    hansa.json("governance", "vote", 1, "yes", "--devnet")
    hansa.json("governance", "set-usage-period", 24, "--devnet")  # the block that activates it
    other = hansa("contract", "fetch", 2, "--dir", "elsewhere")
    assert (other.code, other.error) == (4, "UNKNOWN_CONTRACT")
    assert hansa.json("governance", "show", 1)["status"] == "ACTIVE"
    assert hansa.json("call", "greeter", "post", "text=hello")["code"] == "OK"
    again = hansa("contract", "propose", "greeter.py", "--devnet")
    assert (again.code, again.error) == (1, "VERSION_NOT_NEWER")


def test_large_sources_take_several_transactions(hansa: Hansa, url: str) -> None:
    hansa.json("contract", "new", "greeter")
    Path("trade").mkdir()
    for name in ("one", "two"):
        lines = [f'{name.upper()}_{number} = "{"." * 160}"\n' for number in range(200)]
        Path(f"trade/{name}.py").write_text(f'"""Tables."""\n\n{"".join(lines)}')
    files = ("trade/one.py", "trade/two.py", "greeter.py")
    dear = hansa("contract", "propose", *files, "--devnet")
    assert (dear.code, dear.error) == (4, "OUT_OF_STEPS")  # told before anything is sent
    hansa.json("governance", "set-params", "tx_steps_max=30000000", "--devnet")
    hansa.json("governance", "vote", 1, "yes", "--devnet")
    for _ in range(3):  # blocks until it is in force
        hansa.json("governance", "set-usage-period", 24, "--devnet")
    made = hansa.json("contract", "propose", *files, "--devnet")
    assert made["transactions"] == 2
    withdrawn = hansa.json("governance", "withdraw", made["proposal"], "--devnet")
    assert withdrawn["status"] == "WITHDRAWN"
    again = hansa.json("contract", "propose", *files, "--devnet")
    assert again["transactions"] == 1  # the chain has the texts
