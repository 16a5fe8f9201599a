"""Running a page of the documentation: its files are written, its commands run, in order.

A block of Python whose first line is ``# file: PATH`` becomes that file. In a block ``console`` a
line after ``$ `` is a command of one shell session (a trailing backslash continues it), the lines
below it are what it prints on standard output. There ``..`` stands for the rest of a word and a
line ``...`` for any lines; a command with nothing below it may print anything. A last line
``(exit code N)`` is its exit code, else 0. A block ``diff`` that begins with ``--- PATH`` changes a
file: each part between lines of ``@@`` stands there once as it was.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"\(exit code (\d+)\)")


@dataclass(frozen=True)
class SourceFile:
    """A file that the reader writes."""

    path: str
    text: str


@dataclass(frozen=True)
class Change:
    """What the reader changes in a file: texts as they were and as they become."""

    path: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Command:
    """A command that the reader runs; ``shown`` is what the page says that it prints."""

    line: int
    text: str
    shown: tuple[str, ...]
    exit_code: int


def steps(page: str) -> Iterator[SourceFile | Change | Command]:
    """What a reader of the page does, in order."""
    for block in _BLOCK.finditer(page):
        language, text = block.groups()
        first = text.split("\n", 1)[0]
        if language == "python" and first.startswith("# file: "):
            yield SourceFile(first.removeprefix("# file: ").strip(), text)
        elif language == "diff":
            yield _change(first.removeprefix("--- ").strip(), text.splitlines()[1:])
        elif language == "console":
            yield from _commands(text, page[: block.start()].count("\n") + 2)


def _change(path: str, lines: list[str]) -> Change:
    parts: list[tuple[list[str], list[str]]] = [([], [])]
    for line in lines:
        mark, rest = line[:1], line[1:]
        if mark == "@":
            parts.append(([], []))
        if mark in ("-", " ", ""):
            parts[-1][0].append(rest)
        if mark in ("+", " ", ""):
            parts[-1][1].append(rest)
    return Change(path, tuple(("\n".join(old), "\n".join(new)) for old, new in parts if old))


def _commands(text: str, first_line: int) -> Iterator[Command]:
    parts: list[tuple[int, str, list[str]]] = []
    continued = False
    for number, line in enumerate(text.splitlines(), first_line):
        if line.startswith("$ "):
            parts.append((number, line[2:], []))
        elif continued:
            at, command, shown = parts[-1]
            parts[-1] = (at, f"{command}\n{line}", shown)
        else:
            parts[-1][2].append(line)
        continued = (line.startswith("$ ") or continued) and line.endswith("\\")
    for number, command, shown in parts:
        code = 0
        if shown and (found := _EXIT.fullmatch(shown[-1])):
            code = int(found[1])
            shown.pop()
        yield Command(number, command, tuple(shown), code)


def fits(shown: tuple[str, ...], printed: str) -> bool:
    """Whether the output is what the page shows."""
    patterns = []
    for line in shown:
        if line == "...":
            patterns.append(r"(?:.*\n)*?")
        else:
            words = r"\s+".join(re.escape(word).replace(r"\.\.", r"\S*") for word in line.split())
            patterns.append(rf"\s*{words}\s*\n")
    return re.fullmatch("".join(patterns), printed.rstrip("\n") + "\n") is not None


class Reader:
    """Does in ``folder`` what a page says, in one shell session."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._variables = folder / ".session"
        self._environment = environment

    def write(self, file: SourceFile) -> None:
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)

    def change(self, change: Change) -> None:
        path = self.folder / change.path
        text = path.read_text()
        for old, new in change.parts:
            assert text.count(old) == 1, f"{change.path} has not just once:\n{old}"
            text = text.replace(old, new)
        path.write_text(text)

    def run(self, command: Command, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
        session = self._variables
        script = (
            f"[ -f {session} ] && . {session}\n{command.text}\n"
            f"code=$?\nexport -p > {session}\nexit $code\n"
        )
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def clean_environment(root: Path, tools: Path) -> dict[str, str]:
    """This process's environment without settings of Hansa; ``tools`` comes first in PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANSA_")}
    kept["PATH"] = f"{tools}{os.pathsep}{kept['PATH']}"
    kept["PYTHONPATH"] = str(root)
    return kept
