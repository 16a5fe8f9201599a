from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.keystore import Cost
from tests.cli.support import Hansa

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def hansa(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Hansa]:
    """`hansa` in an empty folder, with a passphrase in the environment and nothing else."""
    for name in list(os.environ):
        if name.startswith("HANSA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HANSA_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("node.keystore.DEFAULT_COST", Cost(passes=1, memory_bytes=8 << 10))
    monkeypatch.chdir(tmp_path)
    return Hansa(capsys)
