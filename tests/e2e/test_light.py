"""A light node's process on a real network: other commands ask it, and one sends through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.client import Client
from tests.e2e.support import devnet, hansa, light_node, until

pytestmark = pytest.mark.e2e


def test_commands_work_through_a_light_node(tmp_path: Path) -> None:
    folder = tmp_path / "light"
    with devnet(tmp_path / "net") as net:
        urls = [part for one in net.nodes[:2] for part in ("--from", one.url)]
        chain_id = ("--chain-id", net.chain_id.hex())
        hansa(net.network, "light", "init", folder, *urls, "--chain-id", "00" * 32, code=4)
        assert not folder.exists()
        hansa(net.network, "light", "init", folder, *urls, *chain_id)
        with light_node(folder) as url, Client(url, timeout_s=30) as client:
            until(client.ready, "the light node follows")
            (outcome,) = client.submit_and_wait([net.transaction(1)], timeout_s=60)
            assert (outcome.status, outcome.code) == ("committed", "OK")
            at = ("--node", url)
            shown = hansa(net.network, "tx", "show", outcome.tx_id.hex(), *at)["status"]
            assert (shown["status"], shown["height"]) == ("committed", outcome.height)
            asked = hansa(net.network, "query", "governance", "params_now", *at)
            assert asked["result"] == net.ask(net.nodes[3], "governance", "params_now")
            block = hansa(net.network, "block", "show", outcome.height, *at)
            assert outcome.tx_id.hex() in [one["tx_id"] for one in block["txs"]]
            status = hansa(net.network, "status", *at)
            assert (status["role"], status["mark"]) == ("light", "")
            assert [one["says"] for one in status["nodes"]] != []
            height = status["height"]
            net.kill(net.nodes[0])  # the other one is enough
            until(lambda: client.node_status()["height"] > height, "it goes on")
        after = hansa(net.network, "light", "status", folder)
        assert after["height"] > height and not after["forks"]
