"""A running network is changed by vote under load: code, nodes, validators, keys, parameters.

Real processes. Whatever was acknowledged is on every node afterwards, and all roots are equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.client import Client
from cli.network import NodeSpec
from node.keystore import key_info
from node.setup import CONSENSUS_KEY, NEXT_KEY
from tests.e2e.conftest import Tell
from tests.e2e.load import Load, check, end, under_load
from tests.e2e.support import Devnet, devnet, hansa, until
from tests.sim.governance import notes

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("governance") / "net") as running:
        yield running


@pytest.fixture
def load(net: Devnet) -> Iterator[Load]:
    """Clients at work during the whole test."""
    running = under_load(net, next(_numbers))
    try:
        until(lambda: bool(running.outcomes), "the first transactions committed")
        yield running
    finally:
        running.enough.set()


_numbers = iter(range(1_000, 1_000_000, 50_000))


def sealed_by(net: Devnet, node: NodeSpec, height: int) -> list[str]:
    with Client(node.url) as client:
        found: list[str] = client.block(height)["sealed_by"]
    return found


def test_an_upgrade_by_vote_under_load(net: Devnet, load: Load, tell: Tell) -> None:
    """A new contract, then its next version with a migration: at its height on every node."""
    first = net.deploy(notes(1))
    member = net.organisations[0].id
    net.call(member, "notes", "write", id="a", text="one")
    second = net.deploy(notes(2))
    net.call(member, "notes", "write", id="b", text="two")
    level = net.level()
    for node in net.nodes:
        assert net.ask(node, "notes", "read", id="a") == "one!"
        hashes = [one["header"]["contracts_hash"] for one in net.chain(node, level)]
        changed = [height for height in range(1, level + 1) if hashes[height] != hashes[height - 1]]
        assert changed == [first, second]
    end(load)
    tell(check(net, load))


def test_a_validator_is_added_and_removed_by_vote_under_load(
    net: Devnet, load: Load, tell: Tell
) -> None:
    first, second = net.nodes[0], net.nodes[1]
    member = net.organisations[0].id
    there = ("--dir", net.network.folder)
    made = hansa(net.network, "devnet", "add-node", "node6", "--organisation", member, *there)
    joiner = net.nodes[5]
    assert made["url"] == joiner.url
    assert "not admitted" in net.status(joiner)["reason"]
    network_key = bytes.fromhex(made["network_key"])
    net.decide(
        "node", network_key=network_key, name="node6", organisation=member,
        addresses=[made["address"]],
    )  # fmt: skip
    net.network.wait_ready([joiner])
    assert (net.status(joiner)["role"], net.status(joiner)["voting"]) == ("full", False)
    added = net.decide(
        "validator_add", name="node6", consensus_key=bytes.fromhex(made["consensus_key"]),
        organisation=member, network_key=network_key,
    )  # fmt: skip
    until(lambda: bool(net.status(joiner)["voting"]), "node6 votes")
    # Of five validators four decide: with one killed, node6's vote is needed.
    net.kill(second)
    net.advance(first, 5)
    assert "node6" in sealed_by(net, first, net.height(first))
    net.start(second)
    net.network.wait_ready([second])
    removed = net.decide("validator_remove", name="node1")
    until(lambda: net.status(first)["role"] == "full", "node1 votes no more")
    net.advance(second, 5)
    goal = net.height(second)
    until(lambda: net.height(first) >= goal, "node1 follows")
    assert not net.status(first)["voting"]
    chain = net.chain(second, net.level())
    names = [set(one["sealed_by"]) for one in chain]
    assert not any("node6" in one for one in names[:added])
    assert not any("node1" in one for one in names[removed:])
    end(load)
    tell(check(net, load))


@pytest.mark.long
def test_a_key_is_rotated_and_parameters_change_under_load(
    net: Devnet, load: Load, tell: Tell
) -> None:
    third = net.nodes[2]
    folder = net.network.folder / third.name
    before = key_info(folder / CONSENSUS_KEY).key
    made = hansa(net.network, "node", "rotate", folder)
    key = key_info(folder / NEXT_KEY).key
    assert made["next_key"] == key.hex()
    net.network.stop([third])
    net.start(third)
    net.network.wait_ready([third])
    net.decide("validator_rotate", name="node3", consensus_key=key)
    until(lambda: bool(net.status(third)["voting"]), "node3 votes with its new key")
    net.network.stop([third])
    assert hansa(net.network, "node", "rotate", folder, "--finish")["consensus_key"] == key.hex()
    retired = folder / "retired" / before.hex()[:16]
    assert sorted(one.name for one in retired.iterdir()) == ["consensus.key.json", "votes"]
    net.start(third)
    net.decide("params", changes={"min_block_interval_ms": 150})
    net.network.wait_ready([third])
    until(lambda: bool(net.status(third)["voting"]), "node3 votes")
    net.advance(third, 5)
    for node in net.nodes:
        assert net.ask(node, "governance", "params_now")["min_block_interval_ms"] == 150
    end(load)
    tell(check(net, load))
