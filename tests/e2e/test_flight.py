"""Real processes in the crash fault model: one of three may be killed; all recordings replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.client import Client
from node.flight import Recording, Replay, read_recording
from tests.e2e.support import PARAMS, Devnet, devnet, until

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    params = replace(PARAMS, fault_model="crash")
    with devnet(tmp_path_factory.mktemp("crash") / "net", params) as running:
        yield running


def replays(data: bytes) -> Recording:
    recording = read_recording(data)
    again = Replay(recording)
    count = sum(1 for _ in again.steps())
    assert count == len(recording.entries) > 0
    assert (again.different, again.unsafe) == ([], [])
    return recording


def test_one_of_three_is_killed_and_recordings_replay(net: Devnet) -> None:
    one, two, three = net.nodes[:3]
    assert [node.kind for node in net.nodes] == ["validator"] * 3 + ["full"] * 2
    net.advance(one, 2)
    net.kill(three)
    net.advance(one, 3)
    with Client(one.url) as client:
        asked = replays(client.flight_recording())
    assert asked.closing is not None
    assert asked.header.node == "node1"

    def tapes(name: str) -> list[Path]:
        return sorted((net.network.folder / three.name / "tape").glob(f"{name}-*.flight"))

    left = [path.read_bytes() for path in tapes("running")]
    assert left, "killed by -9, its tape is there"
    net.start(three)
    net.network.wait_ready([three])
    net.level()
    assert [path.read_bytes() for path in tapes("killed")] == left
    for data in left:
        assert replays(data).closing is None

    net.kill(one, two)
    net.start(one)
    net.network.wait_ready([one])
    net.advance(one, 2)
    net.network.stop([one])
    (kept,) = (net.network.folder / one.name / "flight").iterdir()
    assert replays(kept.read_bytes()).header.reason == "stopped"
    assert not list((net.network.folder / one.name / "tape").glob("running-*"))
    net.start(one, two)
    net.network.wait_ready([one, two])
    until(lambda: net.height(two) >= net.height(one), "all are back")
    net.equal_chains()
