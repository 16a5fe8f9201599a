"""A node that joins by a snapshot while the network works, an archive, and a node that prunes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.client import Client, RequestFailed
from consensus.primitives.crypto import public_key, sha256
from node.care.findings import nothing
from node.care.verify import verify
from tests.e2e.conftest import Tell
from tests.e2e.load import check, end, under_load
from tests.e2e.support import devnet, hansa, until

pytestmark = pytest.mark.e2e

EVERY = 10


def set_history(folder: Path, setting: str, value: object) -> None:
    path = folder / "config.toml"
    text = path.read_text()
    before = next(line for line in text.splitlines() if line.startswith(f"# {setting} = "))
    path.write_text(text.replace(before, f"{setting} = {value}"))


def test_joining_by_a_snapshot_under_load(tmp_path: Path, tell: Tell) -> None:
    with devnet(tmp_path / "net", start=False) as net:
        *_, archive, joiner = net.nodes
        home = {node.name: net.network.folder / node.name for node in net.nodes}
        for node in net.nodes[:2]:
            set_history(home[node.name], "snapshots", EVERY)
        set_history(home[archive.name], "archive", "true")
        net.start(*net.nodes)
        net.network.wait_ready(net.nodes)
        load = under_load(net, 0)
        try:
            net.advance(joiner, 3)
            net.kill(joiner)
            shutil.rmtree(home[joiner.name] / "chain")
            for node in net.nodes[:2]:
                until(lambda node=node: net.status(node)["snapshots"], "a snapshot")  # type: ignore[misc]
            done = hansa(net.network, "node", "join", "--data", home[joiner.name])
            assert done["height"] >= EVERY and 1 <= done["blocks_from"] <= done["height"]
            hansa(net.network, "node", "join", "--data", home[joiner.name], code=4)
            net.start(joiner)
            net.network.wait_ready([joiner])
            status = net.status(joiner)
            assert status["blocks_from"] == done["blocks_from"]
        finally:
            end(load)
        tell(check(net, load))
        lasting = net.level()
        with Client(joiner.url) as mine, Client(archive.url) as theirs:
            assert mine.block(lasting)["hash"] == theirs.block(lasting)["hash"]
            with pytest.raises(RequestFailed, match="BLOCK_PRUNED"):
                mine.block(0)
            # The archive knows what was true at any height.
            question = ("identity", "caller", {"key": public_key(sha256(b"key 0"))})
            now = theirs.query(*question)
            assert now.height >= lasting
            assert theirs.query(*question, lasting).value == now.value
            with pytest.raises(RequestFailed, match="SENDER_UNKNOWN"):
                theirs.query(*question, 0)
            with pytest.raises(RequestFailed, match="STATE_NOT_KEPT"):
                mine.query("governance", "params_now", {}, 1)
        found = hansa(net.network, "proof", "state", "governance", "params", "tx_window_ms",
                      "--height", 1, "--node", archive.url)  # fmt: skip
        assert found["height"] == 1
        # From now on it keeps a few blocks only, as many as a window has.
        net.network.stop([joiner])
        set_history(home[joiner.name], "prune", 5)
        net.start(joiner)
        net.network.wait_ready([joiner])
        net.network.stop(net.nodes)
        for node in (joiner, archive):
            assert not verify(home[node.name], nothing).findings
