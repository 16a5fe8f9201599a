from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.network import Network
from cli.sample_trade import load_sample_trade
from consensus.params import Params
from node.keystore import Cost
from tests.cli.ledger import LedgerNode
from tests.cli.support import Hansa
from tests.node.api_world import running_node

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


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """A devnet's folder with its keys; its nodes do not run."""
    made = Network(tmp_path / "build" / "devnet", lambda _line: None)
    made.make(load_sample_trade().organisations, Params())
    return made


@pytest.fixture
def url(network: Network, hansa: Hansa, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A node of the devnet's chain, in one process; commands know it and the first key."""
    maker = load_sample_trade().organisations[0]
    monkeypatch.setenv("HANSA_KEY", str(network.organisation_key(maker.id)))
    monkeypatch.delenv("HANSA_PASSPHRASE")
    monkeypatch.setenv("HANSA_PASSPHRASE_FILE", str(network.passphrase_file))
    with running_node(LedgerNode(network.document())) as running:
        monkeypatch.setenv("HANSA_NODE", running.url)
        yield running.url
