"""Starting a node's process: what it refuses before it touches anything, and the error it shows."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import structlog

from cli.network import Network
from cli.sample_trade import load_sample_trade
from consensus.params import Params
from consensus.primitives.errors import InputError, LocalFault, PeerFault
from node.app import Keys, _check_membership, check_hello, expected, open_keys, run_node
from node.clock import InlineBlocking, SystemClock
from node.config import NodeConfig, load
from node.keystore import read_passphrase
from node.node import Node, Ports
from node.store.memory import MemoryKV
from node.workers import InlineVerifier
from p2p.virtual import VirtualNetwork
from tests.node.support import code_of
from tests.sim.world import MemoryReports


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Folders of five nodes, none running."""
    made = Network(tmp_path_factory.mktemp("app") / "net", lambda _line: None)
    made.make(load_sample_trade().organisations, Params())
    return made


def config_of(network: Network, name: str, **flags: str) -> NodeConfig:
    return load(
        network.folder / name,
        env={},
        flags={key.replace("__", "."): value for key, value in flags.items()},
    )


def passphrase(network: Network) -> str:
    return read_passphrase(network.passphrase_file)


def test_keys_open_with_the_passphrase_only(network: Network) -> None:
    config = config_of(network, "node1")
    assert open_keys(config, passphrase(network)).consensus is not None
    assert open_keys(config_of(network, "node5"), passphrase(network)).consensus is None
    assert code_of(open_keys, config, "wrong") == "WRONG_PASSPHRASE"


def a_node(network: Network) -> Node:
    ports = Ports(
        SystemClock(),
        InlineBlocking(),
        InlineVerifier(),
        MemoryKV(),
        lambda handler: VirtualNetwork(random.Random(1)).add(bytes(32), handler),
        MemoryReports(),
    )
    return Node(network.document(), ports)


async def test_one_that_nobody_admitted_may_start_but_not_with_another_s_key(
    network: Network,
) -> None:
    """The chain may admit it later: the genesis document doesn't settle that."""
    node = a_node(network)
    keys = open_keys(config_of(network, "node1"), passphrase(network))
    other = open_keys(config_of(network, "node2"), passphrase(network))
    full = open_keys(config_of(network, "node5"), passphrase(network))
    with structlog.testing.capture_logs() as logs:
        _check_membership(node, keys)
        _check_membership(node, full)
    assert not logs
    with structlog.testing.capture_logs() as logs:
        _check_membership(node, Keys(bytes(32), bytes(32)))
    assert "add-node" in logs[0]["reason"]
    for mixed in (
        Keys(keys.network, other.consensus),
        Keys(keys.network, keys.consensus, other.consensus),
        Keys(full.network, keys.consensus),
    ):
        assert code_of(_check_membership, node, mixed) == "NOT_A_MEMBER"


def test_another_genesis_is_named_to_the_peer() -> None:
    assert check_hello(b"a" * 32, b"a" * 32) is None
    told = check_hello(b"a" * 32, b"b" * 32)
    assert told is not None and "another genesis" in told and "6262" in told


def test_the_fault_that_matters_is_shown() -> None:
    """Of everything that fails together when a node stops, the cause is the local fault."""
    fault = LocalFault("DISK_FULL", "no space left")
    group = BaseExceptionGroup(
        "many",
        [ValueError("x"), BaseExceptionGroup("inner", [PeerFault("X", ""), fault])],
    )
    assert expected(group) is fault
    user = InputError("CONFIG_INVALID", "x")
    assert expected(BaseExceptionGroup("many", [ValueError("x"), user])) is user
    assert isinstance(expected(BaseExceptionGroup("many", [ValueError("x")])), ValueError)


def test_a_wrong_start_leaves_the_folder_as_it_was(network: Network, tmp_path: Path) -> None:
    folder = tmp_path / "node1"
    shutil.copytree(network.folder / "node1", folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    config = load(folder, env={}, flags={})
    assert code_of(run_node, config, "wrong passphrase") == "WRONG_PASSPHRASE"
    (folder / "genesis.json").write_text("{}")
    assert code_of(run_node, config, passphrase(network)) == "GENESIS_INVALID"
    (folder / "genesis.json").write_bytes(before[folder / "genesis.json"])
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before
