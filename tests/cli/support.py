"""Running `hansa` as a user would, in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from cli.main import run


@dataclass
class Outcome:
    """Exit code and both outputs of one command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The error's code, printed as JSON or for people."""
        line = self.err.strip().splitlines()[-1] if self.err.startswith("{") else self.err
        if line.startswith("{"):
            return str(json.loads(line)["error"]["code"])
        found = [part for part in line.splitlines() if part.startswith("error: ")]
        return found[0].split(": ")[1]


class Hansa:
    """The command with captured outputs."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Outcome:
        self._capture.readouterr()
        code = run([str(one) for one in arguments])
        captured = self._capture.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    def json(self, *arguments: object) -> Any:
        """The JSON output of a command that must succeed."""
        outcome = self(*arguments, "--json")
        assert outcome.code == 0, outcome.err
        return outcome.json
