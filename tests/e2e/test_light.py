"""A light node's process on a real network: other commands ask it, and one sends through it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from cli.network import NodeSpec
from node.keystore import key_info
from node.setup import NETWORK_KEY
from tests.e2e.support import Devnet, devnet, hansa, light_node, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("light") / "net") as running:
        yield running


def ask_through(net: Devnet, url: str, number: int) -> dict[str, Any]:
    """Send a transaction through the light node, ask it this and that; its status."""
    at = ("--node", url)
    with Client(url, timeout_s=30) as client:
        until(client.ready, "the light node follows")
        (outcome,) = client.submit_and_wait([net.transaction(number)], timeout_s=60)
        assert (outcome.status, outcome.code) == ("committed", "OK")
        shown = hansa(net.network, "tx", "show", outcome.tx_id.hex(), *at)["status"]
        assert (shown["status"], shown["height"]) == ("committed", outcome.height)
        asked = hansa(net.network, "query", "governance", "params_now", *at)
        assert asked["result"] == net.ask(net.nodes[3], "governance", "params_now")
        block = hansa(net.network, "block", "show", outcome.height, *at)
        assert outcome.tx_id.hex() in [one["tx_id"] for one in block["txs"]]
    status: dict[str, Any] = hansa(net.network, "status", *at)
    assert (status["role"], status["mark"]) == ("light", "")
    return status


def goes_on(url: str, height: int) -> None:
    with Client(url, timeout_s=30) as client:
        until(lambda: client.node_status()["height"] > height, "it goes on")


def test_commands_work_through_a_light_node(net: Devnet, tmp_path: Path) -> None:
    folder = tmp_path / "light"
    urls = [part for one in net.nodes[:2] for part in ("--from", one.url)]
    chain_id = ("--chain-id", net.chain_id.hex())
    hansa(net.network, "light", "init", folder, *urls, "--chain-id", "00" * 32, code=4)
    assert not folder.exists()
    hansa(net.network, "light", "init", folder, *urls, *chain_id)
    with light_node(folder, net.network) as url:
        status = ask_through(net, url, 1)
        net.kill(net.nodes[0])  # the other one is enough
        goes_on(url, status["height"])
    after = hansa(net.network, "light", "status", folder)
    assert after["height"] > status["height"] and not after["forks"]
    net.start(net.nodes[0])
    net.network.wait_ready([net.nodes[0]])


def libp2p(net: Devnet, node: NodeSpec) -> str:
    key = key_info(net.network.folder / node.name / NETWORK_KEY).key
    return f"libp2p://127.0.0.1:{node.p2p_port}/{key.hex()}"


def test_an_admitted_light_node_speaks_libp2p(net: Devnet, tmp_path: Path) -> None:
    folder, file = tmp_path / "light", tmp_path / "light.key.json"
    hansa(net.network, "keys", "new", file, "--kind", "network")
    asked = [net.nodes[1], net.nodes[4]]
    urls = [part for one in asked for part in ("--from", libp2p(net, one))]
    init = ("light", "init", folder, *urls, "--chain-id", net.chain_id.hex())
    hansa(net.network, *init, code=4)  # without a key of its own
    hansa(net.network, *init, "--network-key", file, code=3)  # which nobody admits yet
    assert not folder.exists()
    key, member = key_info(file).key, net.organisations[0].id
    net.decide("node", network_key=key, name="light1", organisation=member, addresses=[])
    until(lambda: all(admits(net, one, key) for one in asked), "the nodes admit it")
    hansa(net.network, *init, "--network-key", file)
    with light_node(folder, net.network) as url:
        status = ask_through(net, url, 2)
        assert [one["says"] for one in status["nodes"]] != []
        hansa(net.network, "light", "status", folder, code=4)  # one process a key
        assert linked(net, asked[0], key) and linked(net, asked[1], key)
        net.kill(asked[1])
        goes_on(url, status["height"])
    until(lambda: not linked(net, asked[0], key), "its links end with it")
    net.start(asked[1])
    net.network.wait_ready([asked[1]])
    after = hansa(net.network, "light", "status", folder)
    assert after["height"] > status["height"] and not after["forks"]
    assert all("agrees" in one["says"] or one["says"] == "leads" for one in after["nodes"])


def admits(net: Devnet, node: NodeSpec, key: bytes) -> bool:
    return any(one["key"] == key.hex() for one in net.status(node)["peers"])


def linked(net: Devnet, node: NodeSpec, key: bytes) -> bool:
    return any(one["key"] == key.hex() and one["connected"] for one in net.status(node)["peers"])
