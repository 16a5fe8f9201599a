"""`hansa doctor` as a user runs it: nodes that answer, nodes that don't, and both together."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client, NodeUnreachable
from cli.network import Network
from node.doctor import folder
from node.doctor.findings import DEGRADED, NOTICE, STOPPED, Finding
from tests.cli.support import Hansa
from tests.node.api_world import MemoryNode, running_node
from tests.node.test_doctor import SOUND

NOWHERE = "http://127.0.0.1:1"


class Patient(MemoryNode):
    """A node that tells what it is told to tell."""

    def __init__(self, name: str, *findings: Finding, **changes: Any) -> None:
        super().__init__()
        vitals = replace(SOUND, name=name, me=name, wall_ms=_now_ms(), **changes)
        self.told: dict[str, Any] = {
            "verdict": f"{name} speaks.",
            "findings": [one.to_json() for one in findings],
            "vitals": vitals.to_json(),
        }

    def doctor(self) -> dict[str, Any]:
        return self.told


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


MISSING = Finding("QUORUM_MISSING", STOPPED, "v2 and v3 are gone.", "Start them.", ("v2", "v3"))
SKIPPED = Finding("VALIDATORS_SKIPPED", NOTICE, "v1 waits.", "Nothing.", ("v1",))


def test_a_healthy_node_ends_with_0(hansa: Hansa) -> None:
    with running_node(Patient("v0", SKIPPED)) as node:
        told = hansa("doctor", "--node", node.url)
        assert told.code == 0 and told.out.startswith("v0 speaks.\n")
        assert "NOTICE  VALIDATORS_SKIPPED" in told.out
        plain = hansa.json("doctor", "--node", node.url)
    assert plain["healthy"] is True
    assert plain["nodes"][0]["vitals"]["height"] == 100
    assert plain["findings"][0]["at"] == ["v0"]


def test_a_node_with_a_finding_ends_with_1_and_says_what_to_do(hansa: Hansa) -> None:
    with running_node(Patient("v0", MISSING)) as node:
        told = hansa("--node", node.url, "doctor")
    assert told.code == 1
    assert "STOPPED  QUORUM_MISSING" in told.out and "-> Start them." in told.out


def test_several_views_are_joined(hansa: Hansa) -> None:
    with (
        running_node(Patient("v0", MISSING, SKIPPED)) as one,
        running_node(Patient("v1", MISSING)) as other,
    ):
        told = hansa("doctor", "--node", one.url, "--node", other.url)
        assert told.code == 1 and told.out.count("v2 and v3 are gone.") == 1
        assert "seen at v0, v1" in told.out and "VALIDATORS_SKIPPED" not in told.out.split("->")[0]
        assert isinstance(other.node, Patient)
        other.node.told["vitals"]["chain_id"] = "00" * 32
        told = hansa("doctor", "--node", one.url, "--node", other.url)
        assert "CHAINS_DIFFER" in told.out and "QUORUM_MISSING" not in told.out


def test_a_node_that_cannot_be_reached_is_a_finding(hansa: Hansa) -> None:
    with running_node(Patient("v0")) as node:
        told = hansa("doctor", "--node", node.url, "--node", NOWHERE)
    assert told.code == 1
    assert "STOPPED  NODE_UNREACHABLE" in told.out and "--home FOLDER" in told.out


def test_an_answer_of_something_else_is_no_health(hansa: Hansa) -> None:
    with running_node(MemoryNode()) as node:
        told = hansa("doctor", "--node", node.url)
    assert told.code == 1 and "another release" in told.out


def test_a_newer_release_s_finding_is_shown_with_its_text(hansa: Hansa) -> None:
    newer = Finding("NOT_YET_INVENTED", DEGRADED, "Something \x1b[31mnew.", "Read.", ("v0",))
    with running_node(Patient("v0", newer)) as node:
        told = hansa("doctor", "--node", node.url)
    assert told.code == 1
    assert "DEGRADED  NEWER_FINDING" in told.out and "new." in told.out
    assert "\x1b" not in told.out, "other people's text does not steer the terminal"


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No node answers, whatever else runs on this machine's ports."""

    def unreachable(_client: Client) -> dict[str, Any]:
        raise NodeUnreachable("NODE_UNREACHABLE", "no node answers")

    monkeypatch.setattr(Client, "doctor", unreachable)
    monkeypatch.setattr(folder, "_listener", lambda _host, _port: "")


@pytest.mark.usefixtures("silence")
def test_a_folder_is_looked_at_when_its_node_does_not_answer(
    hansa: Hansa, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANSA_PASSPHRASE")
    home = network.folder / "node2"
    told = hansa("doctor", "--home", home)
    assert told.code == 1 and "STOPPED  PROCESS_DOWN" in told.out
    (home / "config.toml").write_text("[nowhere]\n")
    told = hansa("doctor", "--home", home)
    assert told.code == 1 and "STOPPED  CONFIG_WRONG" in told.out
    assert "PROCESS_DOWN" not in told.out


@pytest.mark.usefixtures("silence")
def test_all_nodes_of_the_devnet_are_asked_by_default(hansa: Hansa, network: Network) -> None:
    told = hansa("doctor", "--json")
    assert told.code == 1 and not told.json["healthy"]
    assert [one["name"] for one in told.json["nodes"]] == [node.name for node in network.nodes()]
    assert {one["code"] for one in told.json["findings"]} == {"PROCESS_DOWN"}
    elsewhere = hansa("doctor", "--dir", network.folder, "--json")
    assert elsewhere.json["findings"] == told.json["findings"]


def test_without_a_devnet_the_default_node_is_asked(hansa: Hansa, tmp_path: Path) -> None:
    assert not (tmp_path / "build").exists()
    told = hansa("doctor", "--json")
    assert [one["url"] for one in told.json["nodes"]] == ["http://127.0.0.1:27001"]
