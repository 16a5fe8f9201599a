"""Four validators and a full node as real processes: killed under load, restarted, counted."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cli.client import Client
from tests.e2e.conftest import Tell
from tests.e2e.load import check, end, under_load
from tests.e2e.support import PARAMS, PATIENCE_S, Devnet, devnet, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("network") / "net") as running:
        yield running


def test_one_killed_under_load(net: Devnet, tell: Tell) -> None:
    """Blocks go on without it; restarted, it has the same chain and state root."""
    victim, watched = net.nodes[1], net.nodes[0]
    load = under_load(net, 1_000)
    until(lambda: bool(load.outcomes), "the first transactions committed")
    net.kill(victim)
    known = len(load.outcomes)
    net.advance(watched, 5)
    until(lambda: len(load.outcomes) > known, "transactions committed without it")
    net.start(victim)
    end(load)
    net.network.wait_ready([victim])
    tell(check(net, load))
    level = net.level()
    roots = {net.chain(node, level)[-1]["header"]["state_root"] for node in net.nodes}
    assert len(roots) == 1


def test_two_killed_stop_the_chain(net: Devnet) -> None:
    """No quorum, no blocks; with them back, what was handed in meanwhile is committed."""
    first, second = net.nodes[1], net.nodes[2]
    net.kill(first, second)
    until(lambda: net.status(net.nodes[0])["agreement"]["round"] >= 1, "a round without quorum")
    height = net.height(net.nodes[0])
    tx = net.transaction(2_000)
    with Client([net.nodes[0].url, net.nodes[3].url]) as client:
        (accepted,) = client.submit([tx])
        assert accepted.accepted
        # A working network would have made a block with it many times over.
        watched_until = time.monotonic() + 3 * PARAMS.round_timeout_ms / 1000
        while time.monotonic() < watched_until:
            assert net.height(net.nodes[0]) == net.height(net.nodes[3]) == height
            time.sleep(0.2)
        assert client.tx_status(tx.tx_id)["status"] == "pending"
        net.start(first, second)
        (outcome,) = client.wait([tx.tx_id], timeout_s=PATIENCE_S)
    assert outcome.succeeded
    assert outcome.height is not None and outcome.height > height
    net.equal_chains()


@pytest.mark.long
def test_kills_and_resubmission(net: Devnet, tell: Tell) -> None:
    """Whatever dies, every transaction ends once and in the same way for everybody."""
    load = under_load(net, 10_000)
    for number in (3, 0, 4, 2, 1):
        victim = net.nodes[number]
        until(lambda: bool(load.outcomes), "the load began")
        net.kill(victim)
        witness = next(node for node in net.nodes if node != victim)
        net.advance(witness, 3)
        net.start(victim)
        goal = net.height(witness)
        until(lambda: net.height(victim) >= goal, f"{victim.name} caught up")  # noqa: B023
    end(load)
    assert len(load.submitted) >= 200, "the load was too light to tell anything"
    tell(check(net, load))


def test_a_full_node_started_late_catches_up(net: Devnet, tell: Tell) -> None:
    """With an empty store it fetches, checks and executes the whole chain."""
    late = net.nodes[4]
    net.network.stop([late])
    chain = net.network.folder / late.name / "chain"
    for file in sorted(chain.iterdir()):
        file.unlink()
    goal = net.height(net.nodes[0])
    began = time.monotonic()
    net.start(late)
    net.network.wait_ready([late])
    until(lambda: net.height(late) >= goal, f"height {goal}")
    tell(f"{goal} blocks fetched and executed in {time.monotonic() - began:.1f} s")
    net.equal_chains()
    tx = net.transaction(3_000)
    with Client(late.url) as client:
        (outcome,) = client.submit_and_wait([tx], timeout_s=PATIENCE_S)
    assert outcome.succeeded
