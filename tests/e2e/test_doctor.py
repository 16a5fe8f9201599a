"""The doctor on real processes: killed, frozen, failed; and the same ones well again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support import ROOT, Devnet, devnet, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("doctor") / "net") as running:
        yield running


def doctor(net: Devnet) -> tuple[int, dict[str, Any]]:
    """Exit code and what is said of all nodes, by code."""
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "doctor",
        "--dir",
        str(net.network.folder),
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
    told = json.loads(done.stdout)
    return done.returncode, {one["code"]: one for one in told["findings"]}


def well(net: Devnet) -> bool:
    code, found = doctor(net)
    return code == 0 and all(one["severity"] == "notice" for one in found.values())


def test_killed_frozen_and_well_again(net: Devnet) -> None:
    first, second, third = net.nodes[:3]
    net.advance(first, 1)
    until(lambda: well(net), "nothing is wrong")

    net.kill(second)
    until(lambda: "VALIDATORS_MISSING" in doctor(net)[1], "node2 is missed")
    code, found = doctor(net)
    assert code == 1
    assert found["PROCESS_DOWN"]["about"] == [second.name]
    missing = found["VALIDATORS_MISSING"]
    assert missing["about"] == [second.name] and "3 of 4" in missing["text"]
    assert set(missing["at"]) == {node.name for node in net.nodes} - {second.name}

    process = net.network.process(third)
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: "QUORUM_MISSING" in doctor(net)[1], "no quorum is left")
        _, found = doctor(net)
        assert found["QUORUM_MISSING"]["about"] == [second.name, third.name]
        assert found["QUORUM_MISSING"]["severity"] == "stopped"
        assert f"kill -CONT {process.pid}" in found["PROCESS_SILENT"]["action"]
    finally:
        process.send_signal(signal.SIGCONT)
    net.start(second)
    until(lambda: well(net), "nothing is wrong any more")
    net.equal_chains()


@pytest.mark.long
def test_a_node_that_ended_by_itself_tells_why(net: Devnet) -> None:
    node = net.nodes[4]
    net.network.stop([node])
    chain = net.network.folder / node.name / "chain"
    (manifest,) = chain.glob("MANIFEST*")
    whole = manifest.read_bytes()
    manifest.write_bytes(b"\x00" * 7 + whole[7:])
    net.start(node)
    until(lambda: net.network.process(node) is None, "it has ended")
    code, found = doctor(net)
    assert code == 1
    failed = found["PROCESS_FAILED"]
    assert "STORE_CORRUPT" in failed["text"] and "Put chain/ away, keep votes/" in failed["action"]
    manifest.write_bytes(whole)
    net.start(node)
    until(lambda: well(net), "nothing is wrong any more")
