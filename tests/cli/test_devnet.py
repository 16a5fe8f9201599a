"""A real network on this machine, as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli.network import Network
from cli.sample_trade import load_sample_trade
from tests.cli.support import Hansa

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
TRADE = load_sample_trade()


def nothing_runs(folder: Path) -> bool:
    network = Network(folder, lambda _line: None)
    return all(network.process(node) is None for node in network.nodes())


def test_the_demo_runs_again_and_again(hansa: Hansa, tmp_path: Path) -> None:
    """A first run; one whose port is taken meanwhile; one that is interrupted."""
    folder = tmp_path / "net"
    first = hansa("demo", "--once", "--dir", folder)
    assert first.code == 0, first.err
    assert "Recalled" in first.out
    assert nothing_runs(folder)

    before = Network(folder, lambda _line: None).nodes()
    with socket.create_server(("127.0.0.1", before[0].api_port)):
        second = hansa("demo", "--once", "--dir", folder)
    assert second.code == 0, second.err
    assert f"Port {before[0].api_port} is occupied by process {os.getpid()}" in second.err
    assert second.err.count("from an earlier run") == len(TRADE.documents) + 3  # the recall
    assert second.out == first.out
    assert nothing_runs(folder)

    command = [sys.executable, "-m", "cli.main", "demo", "--dir", str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             text=True)  # fmt: skip
    guard = threading.Timer(90, child.kill)
    guard.start()
    try:
        assert child.stderr is not None
        for line in child.stderr:
            if "is ready" in line:
                child.send_signal(signal.SIGTERM)
                break
        child.stderr.read()
        assert child.wait() == 130
    finally:
        guard.cancel()
        child.kill()
        child.communicate()
    assert nothing_runs(folder)


def test_a_killed_validator_comes_back(hansa: Hansa, tmp_path: Path) -> None:
    there = ("--dir", tmp_path / "net")
    try:
        assert hansa("devnet", "up", *there).code == 0
        assert hansa.json("devnet", "kill", "2", *there) == {"killed": ["node2"]}
        nodes = hansa.json("devnet", "status", *there)["nodes"]
        assert [one["running"] for one in nodes] == [True, False, True, True, True]
        assert hansa.json("devnet", "restart", "2", *there) == {"restarted": ["node2"]}
        again = hansa("devnet", "up", *there)
        assert again.code == 0
        assert "Starting 0 of 5 nodes" in again.err
        assert hansa("devnet", "kill", "3", *there).code == 0
        demo = hansa("demo", "--once", *there)
        assert (demo.code, "Stopped 1 nodes" in demo.err) == (0, True)  # the one that it started
        assert hansa("devnet", "restart", "3", *there).code == 0
        assert "No nodes were started" in hansa("demo", "--once", *there).err
        nodes = hansa.json("devnet", "status", *there)["nodes"]
        assert all(one["running"] for one in nodes)
    finally:
        stopped = hansa.json("devnet", "stop", *there)
    assert stopped == {"stopped": [f"node{number}" for number in range(1, 6)]}
