from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cli.completion
from cli.main import COMMANDS
from cli.main import cli as group
from cli.output import table
from tests.cli.support import Hansa

ROOT = Path(__file__).resolve().parents[2]


def every_command() -> list[tuple[str, ...]]:
    """The names of each command below `hansa`."""
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(name, one) for one in command.commands]
        else:
            found.append((name,))
    return found


@pytest.mark.parametrize("names", every_command(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    hansa: Hansa, names: tuple[str, ...]
) -> None:
    outcome = hansa(*names, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"hansa {' '.join(names)}" in outcome.out


def test_help_lists_every_command_and_the_exit_codes(hansa: Hansa) -> None:
    outcome = hansa("--help")
    assert outcome.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.out
    assert "Exit codes: 0 done, 1 refused" in outcome.out


def test_help_imports_neither_libp2p_nor_the_server() -> None:
    program = (
        "import sys; from cli.main import run; run(['--help']);"
        "print(*[m for m in ('libp2p', 'fastapi', 'trio', 'httpx', 'pydantic', 'plyvel')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["keys", "new"], 2),
        (["--json", "keys", "new"], 2),
        (["tx", "show", "xyz"], 2),
        (["block", "show", "-1"], 2),
        (["block", "show", "one"], 2),
        (["status", "--node", "http://127.0.0.1:1"], 3),
        (["status", "--node", "nonsense"], 3),
        (["keys", "show", "absent.json"], 4),
        (["genesis", "validate", "absent.json"], 4),
        (["devnet", "status"], 4),
    ],
)
def test_exit_codes(hansa: Hansa, arguments: list[str], code: int) -> None:
    assert hansa(*arguments).code == code


def test_errors_as_json(hansa: Hansa) -> None:
    for arguments in (["--json", "keys", "show", "x"], ["keys", "show", "x", "--json"]):
        outcome = hansa(*arguments)
        assert outcome.out == ""
        assert outcome.error == "FILE_NOT_READABLE"
    outcome = hansa("keys", "show", "--json", "--bad")
    assert (outcome.code, outcome.error) == (2, "USAGE")


def test_an_unexpected_error_is_one_line_and_a_file(
    hansa: Hansa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_shell: str) -> None:
        raise ZeroDivisionError("the secret reason")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cli.completion, "get_completion_class", broken)
    outcome = hansa("completion", "bash")
    assert outcome.code == 5
    assert outcome.error == "INTERNAL_ERROR"
    assert len(outcome.err.splitlines()) == 1
    assert "the secret reason" not in outcome.err
    file = Path(outcome.err.split("Details: ")[1].strip())
    assert "ZeroDivisionError: the secret reason" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(hansa: Hansa, shell: str) -> None:
    outcome = hansa("completion", shell)
    assert outcome.code == 0
    assert "_HANSA_COMPLETE" in outcome.out


def test_tables_line_up_and_hold_no_control_characters() -> None:
    text = table(("name", "n"), [("a\x1b[31m", 5), ("longer", 12)])
    assert text.splitlines() == ["name     n", "------  --", "a?[31m   5", "longer  12"]
    assert table(("name", "n"), []).splitlines() == ["name  n", "----  -"]


def test_what_is_nested_too_deeply_is_bad_input(
    hansa: Hansa, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deep(_shell: str) -> None:
        json.loads("[" * 300_000)

    monkeypatch.setattr(cli.completion, "get_completion_class", deep)
    assert hansa("completion", "bash").error == "TOO_DEEP"
