"""docs/contracts.md does what it says: its text is run against a real network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.network import Network
from tests.docs.page import Change, Command, Reader, SourceFile, clean_environment, fits, steps

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "contracts.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in an empty folder; the network that it leaves behind is stopped."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, module in (("hansa", "cli.main"), ("pytest", "pytest")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        script.chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    yield Reader(folder, clean_environment(ROOT, tools))
    network = Network(folder / "build" / "devnet", lambda _line: None)
    if network.made:
        network.stop(network.nodes())


@pytest.mark.e2e
def test_the_page_does_what_it_says(reader: Reader) -> None:
    commands = 0
    for step in steps(PAGE.read_text()):
        if isinstance(step, SourceFile):
            reader.write(step)
            continue
        if isinstance(step, Change):
            reader.change(step)
            continue
        done = reader.run(step)
        where = f"docs/contracts.md:{step.line}: {step.text}\n{done.stdout}{done.stderr[-3000:]}"
        assert done.returncode == step.exit_code, f"exit code {done.returncode}: {where}"
        if step.shown:
            assert fits(step.shown, done.stdout), f"prints otherwise: {where}"
        commands += 1
    assert commands > 10


def test_a_page_is_read_as_people_read_it() -> None:
    page = (
        "# T\n```python\n# file: a/b.py\nx = 1\n```\ntext\n```python\nno = 'file'\n```\n"
        "```diff\n--- a/b.py\n-x = 1\n+x = 2\n@@\n y\n\n-z\n```\n"
        "```console\n$ one \\\n  more\n$ two\nprints a..\n...\nend\n(exit code 1)\n```\n"
    )
    assert list(steps(page)) == [
        SourceFile("a/b.py", "# file: a/b.py\nx = 1\n"),
        Change("a/b.py", (("x = 1", "x = 2"), ("y\n\nz", "y\n"))),
        Command(20, "one \\\n  more", (), 0),
        Command(22, "two", ("prints a..", "...", "end"), 1),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        (("a  b",), "a b\n", True),
        (("a b",), "a c\n", False),
        (("hash 12..",), "hash 12ab34\n", True),
        (("hash 12..",), "hash 12ab34 5\n", False),
        (("a", "...", "z"), "a\nb\nc\nz\n", True),
        (("a", "...", "z"), "a\nz\n", True),
        (("a", "...", "z"), "a\nb\n", False),
        (("a",), "a\nb\n", False),
    ],
)
def test_outputs_are_compared(shown: tuple[str, ...], printed: str, expected: bool) -> None:
    assert fits(shown, printed) is expected
