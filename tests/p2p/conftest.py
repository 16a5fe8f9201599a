"""Fixtures of the network tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from tests.p2p.support import Net


@pytest.fixture
async def net(nursery: trio.Nursery) -> Net:
    return Net(nursery)


@pytest.fixture(autouse=True)
def log() -> Iterator[LogCapture]:
    """What was logged, as ``log.entries``."""
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture])
    yield capture
    structlog.configure(**before)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a measured figure, past pytest's capturing."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}\n")

    return write
