"""The stories do what they say: each is run, command by command, against a real network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.network import Network
from tests.docs.page import Command, Reader, clean_environment, fits, steps

ROOT = Path(__file__).resolve().parents[2]
STORIES = ROOT / "docs" / "stories"
LONG_RECALL = pytest.param("recall", marks=pytest.mark.long)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in an empty folder; the network that it leaves behind is stopped."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "hansa"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    script.chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    yield Reader(folder, clean_environment(ROOT, tools))
    network = Network(folder / "build" / "devnet", lambda _line: None)
    if network.made:
        network.stop(network.nodes())


@pytest.mark.e2e
@pytest.mark.parametrize("story", ["medicine", LONG_RECALL, "invoice", "credit"])
def test_the_story_does_what_it_says(reader: Reader, story: str) -> None:
    compared = 0
    page = STORIES / f"{story}.md"
    for step in steps(page.read_text()):
        assert isinstance(step, Command), "a story is told by commands alone"
        done = reader.run(step)
        where = f"{page}:{step.line}: {step.text}\n{done.stdout}{done.stderr[-3000:]}"
        assert done.returncode == step.exit_code, f"exit code {done.returncode}: {where}"
        if step.shown:
            assert fits(step.shown, done.stdout), f"prints otherwise: {where}"
            compared += 1
    assert compared > 25
