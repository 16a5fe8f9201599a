"""Making and guarding a network on this machine. Running nodes are for the end-to-end tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli import network as module
from cli.network import Network, free_ports, port_free
from cli.sample_trade import load_sample_trade
from consensus.params import Params
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from contracts.runtime.registry import builtin_packages
from genesis.document import GenesisDocument
from node.config import load
from node.keystore import load_key, read_passphrase
from tests.cli.support import Hansa


@pytest.fixture
def network(tmp_path: Path) -> Network:
    made = Network(tmp_path / "net", lambda _line: None)
    made.make(load_sample_trade().organisations, Params())
    return made


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """Somebody else's process."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(child.pid)
    child.kill()
    child.communicate()


def test_a_made_network_is_ready_to_run(network: Network) -> None:
    document = network.document()
    assert document.sealed
    assert document.packages == builtin_packages()
    assert [one.name for one in document.validators] == ["node1", "node2", "node3", "node4"]
    assert [one.name for one in document.peers] == ["node5"]
    passphrase = read_passphrase(network.passphrase_file)
    for node in network.nodes():
        config = load(network.folder / node.name, env={})
        assert config.node.role == node.kind
        seed = load_key(config.network_key_path, passphrase)
        member = document.node_of(public_key(seed))
        assert member is not None
        assert member.addresses == (config.network.listen,)
    for organisation in document.organisations:
        assert public_key(network.organisation_seed(organisation.id)) == organisation.admin_key
    secret = [network.passphrase_file, *network.folder.rglob("*.key.json")]
    # The passphrase; organisations', consensus, network and vault keys.
    assert len(secret) == 1 + 5 + 4 + 5 + 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_an_interrupted_making_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    network = Network(tmp_path / "net", lambda _line: None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "seal", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network.make(load_sample_trade().organisations, Params())
    assert os.listdir(tmp_path) == []
    network.make(load_sample_trade().organisations, Params())
    assert network.made


def test_a_foreign_folder_is_never_removed(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    network = Network(folder, lambda _line: None)
    with pytest.raises(InputError) as caught:
        network.make(load_sample_trade().organisations, Params())
    assert caught.value.code == "DEVNET_FOREIGN"
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert os.listdir(tmp_path) == ["net"]


def test_only_own_processes_are_signalled(network: Network, sleeper: psutil.Process) -> None:
    """A stale record may name an id that now is somebody else's."""
    node = network.nodes()[0]
    record = network.folder / "run" / "node1.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"pid": sleeper.pid, "started": sleeper.create_time()}))
    assert network.process(node) is None
    assert network.stop([node], kill=True) == []
    assert sleeper.is_running()
    for broken in ("", "[]", '{"pid": "x"}', '{"pid": -1, "started": 0}'):
        record.write_text(broken)
        assert network.process(node) is None


def test_an_occupied_port_is_named_with_its_holder(network: Network) -> None:
    node = network.nodes()[0]
    with socket.create_server(("127.0.0.1", node.api_port)):
        assert not port_free(node.api_port)
        with pytest.raises(InputError) as caught:
            network.start(node)
    assert caught.value.code == "PORT_OCCUPIED"
    assert f"127.0.0.1:{node.api_port}" in caught.value.message
    assert f"process {os.getpid()}" in caught.value.message
    assert network.process(node) is None


def test_a_new_network_steps_aside_for_occupied_ports() -> None:
    first = free_ports(10)
    with socket.create_server(("127.0.0.1", first[3])):
        second = free_ports(10)
    assert not set(first) & set(second)


def test_one_command_at_a_time(network: Network) -> None:
    other = Network(network.folder, lambda _line: None)
    with network.locked():
        with pytest.raises(InputError) as caught:
            with other.locked():
                pass
    assert caught.value.code == "DEVNET_BUSY"
    with other.locked():
        pass


def test_the_commands_of_a_network_that_does_not_run(hansa: Hansa, network: Network) -> None:
    there = ("--dir", network.folder)
    nodes = hansa.json("devnet", "status", *there)["nodes"]
    assert [one["running"] for one in nodes] == [False] * 5
    assert hansa.json("devnet", "stop", *there) == {"stopped": []}
    assert hansa.json("devnet", "kill", "2", *there) == {"killed": []}
    assert hansa("devnet", "kill", "6", *there).error == "UNKNOWN_NODE"
    assert hansa("devnet", "restart", "0", *there).error == "UNKNOWN_NODE"
    assert hansa("devnet", "status", "--dir", "nowhere").error == "DEVNET_MISSING"
    (network.folder / "devnet.json").write_text("{}")
    assert hansa("devnet", "status", *there).error == "DEVNET_INVALID"


def test_a_network_of_an_older_release_is_not_started(hansa: Hansa, network: Network) -> None:
    path = network.folder / "genesis.json"
    path.write_text(path.read_text().replace("hansa-genesis/2", "hansa-genesis/1"))
    outcome = hansa("devnet", "up", "--dir", network.folder)
    assert (outcome.code, outcome.error) == (4, "DEVNET_OUTDATED")
    assert nothing_started(network)


def test_a_changed_genesis_document_is_not_started(hansa: Hansa, network: Network) -> None:
    path = network.folder / "genesis.json"
    path.write_text(path.read_text().replace("Lindenau", "Lindenauer"))
    outcome = hansa("devnet", "up", "--dir", network.folder)
    assert (outcome.code, outcome.error) == (4, "GENESIS_INVALID")
    assert nothing_started(network)


def test_a_node_more_knows_the_others_and_is_known_to_nobody(network: Network) -> None:
    before = network.nodes()
    node = network.add_node("node6", before[0].organisation)
    assert network.nodes() == [*before, node]
    config = load(network.folder / "node6", env={})
    assert config.node.role == "validator"
    assert config.network.peers == {one.name: f"127.0.0.1:{one.p2p_port}" for one in before}
    assert GenesisDocument.load(config.genesis_path) == network.document()
    seed = load_key(config.network_key_path, read_passphrase(network.passphrase_file))
    assert network.document().node_of(public_key(seed)) is None
    with pytest.raises(InputError) as caught:
        network.add_node("node6", before[0].organisation)
    assert caught.value.code == "NODE_KNOWN"


def test_a_stopped_network_moves_off_occupied_ports(network: Network) -> None:
    before = network.nodes()
    chain_id = network.document().chain_id
    with socket.create_server(("127.0.0.1", before[2].p2p_port)):
        network.move_off_occupied_ports()
    after = network.nodes()
    ports = {port for node in after for port in (node.p2p_port, node.api_port)}
    assert before[2].p2p_port not in ports
    assert len(ports) == 10
    assert network.document().chain_id == chain_id
    for node in after:
        config = load(network.folder / node.name, env={})
        assert config.network.listen == f"127.0.0.1:{node.p2p_port}"
        assert config.api.listen == f"127.0.0.1:{node.api_port}"
        others = {one.name: f"127.0.0.1:{one.p2p_port}" for one in after if one != node}
        assert config.network.peers == others
    network.move_off_occupied_ports()
    assert network.nodes() == after


def nothing_started(network: Network) -> bool:
    return all(network.process(node) is None for node in network.nodes())
