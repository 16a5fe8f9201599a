"""Starting a node's process: what it refuses before it touches anything, and the error it shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.network import Network
from cli.sample_trade import load_sample_trade
from consensus.params import Params
from consensus.primitives.errors import InputError, LocalFault, PeerFault
from node.app import Keys, _check_hello, _check_membership, _expected, _peers, open_keys, run_node
from node.config import NodeConfig, load
from node.keystore import read_passphrase
from tests.node.support import code_of


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


def test_a_node_must_be_named_in_the_genesis_document(network: Network) -> None:
    document = network.document()
    first = config_of(network, "node1")
    keys = open_keys(first, passphrase(network))
    assert _check_membership(first, document, keys) == "node1"
    stranger = Keys(bytes(32), None)
    assert code_of(_check_membership, first, document, stranger) == "NOT_A_MEMBER"
    other = open_keys(config_of(network, "node2"), passphrase(network))
    mixed = Keys(keys.network, other.consensus)
    assert code_of(_check_membership, first, document, mixed) == "NOT_A_MEMBER"
    full = open_keys(config_of(network, "node5"), passphrase(network))
    usurper = Keys(full.network, keys.consensus)
    assert code_of(_check_membership, first, document, usurper) == "NOT_A_MEMBER"


def test_configured_addresses_replace_those_of_the_document(network: Network) -> None:
    document = network.document()
    config = config_of(network, "node1")
    me = document.validators[0].network_key
    moved = config.network.model_copy(update={"peers": {"node2": "moved.example:1"}})
    config = config.model_copy(update={"network": moved})
    found = {peer.name: peer.addresses for peer in _peers(config, document, me)}
    assert set(found) == {"node2", "node3", "node4", "node5"}
    assert found["node2"] == ("moved.example:1",)
    wrong = config.network.model_copy(update={"peers": {"nobody": "moved.example:1"}})
    config = config.model_copy(update={"network": wrong})
    assert code_of(_peers, config, document, me) == "CONFIG_INVALID"


def test_another_genesis_is_named_to_the_peer() -> None:
    assert _check_hello(b"a" * 32, b"a" * 32) is None
    told = _check_hello(b"a" * 32, b"b" * 32)
    assert told is not None and "another genesis" in told and "6262" in told


def test_the_fault_that_matters_is_shown() -> None:
    """Of everything that fails together when a node stops, the cause is the local fault."""
    fault = LocalFault("DISK_FULL", "no space left")
    group = BaseExceptionGroup(
        "many",
        [ValueError("x"), BaseExceptionGroup("inner", [PeerFault("X", ""), fault])],
    )
    assert _expected(group) is fault
    user = InputError("CONFIG_INVALID", "x")
    assert _expected(BaseExceptionGroup("many", [ValueError("x"), user])) is user
    assert isinstance(_expected(BaseExceptionGroup("many", [ValueError("x")])), ValueError)


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
