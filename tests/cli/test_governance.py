"""Proposing and voting by command, against the real governance contract."""

from __future__ import annotations

import json

import pytest

from cli.network import Network
from tests.cli.support import Hansa

KEY = bytes(range(32)).hex()


def propose(hansa: Hansa, *arguments: object) -> int:
    made = hansa.json("governance", *arguments, "--devnet")
    assert made["status"] == "OPEN"
    return int(made["id"])


def test_a_quota_is_proposed_voted_and_in_force(hansa: Hansa, url: str) -> None:
    member = hansa.json("governance", "validators")[0]["organisation"]
    number = propose(hansa, "set-quota", member, "--calls", 7_000)
    assert number == 1
    voted = hansa.json("governance", "vote", number, "yes", "--devnet")
    assert voted["status"] == "ACCEPTED"
    assert voted["yes"] == voted["quorum"] == 3
    propose(hansa, "set-usage-period", 2)  # the next block: what was decided is in force
    assert hansa.json("governance", "show", number)["status"] == "ACTIVE"
    found = hansa.json("query", "usage", "quota", f"organisation={member}")["result"]
    assert found["calls"] == 7_000
    shown = hansa("governance", "proposals").out
    assert "quota of" in shown and "usage periods of 7200000 ms" in shown


def test_each_organisation_votes_once_and_no_can_decide(
    hansa: Hansa, network: Network, url: str
) -> None:
    number = propose(hansa, "set-params", "min_block_interval_ms=200", "tx_window_ms=60000")
    first, second = list(dict.fromkeys(node.organisation for node in network.nodes()))[:2]
    key = ("--key", network.organisation_key(first))
    assert hansa.json("governance", "vote", number, "no", *key)["no"] == 1
    again = hansa("governance", "vote", number, "yes", *key)
    assert (again.code, again.error) == (1, "ALREADY_VOTED")
    done = hansa.json("governance", "vote", number, "no", "--devnet")
    assert done["status"] == "REJECTED"
    assert done["voters"] == [first, second]
    late = hansa("governance", "vote", number, "yes", *key)
    assert (late.code, late.error) == (1, "PROPOSAL_CLOSED")


def test_the_devnet_of_another_folder(
    hansa: Hansa, network: Network, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes are asked, not those of the usual one."""
    monkeypatch.delenv("HANSA_NODE")
    other = network.folder.with_name("other")
    network.folder.rename(other)
    nodes = json.loads((other / "devnet.json").read_text())
    for node in nodes["nodes"]:
        node["api_port"] = int(url.rsplit(":", 1)[1])
    (other / "devnet.json").write_text(json.dumps(nodes))
    monkeypatch.setenv("HANSA_PASSPHRASE_FILE", str(other / "passphrase"))
    made = hansa.json("governance", "set-usage-period", 24, "--devnet", "--dir", other)
    done = hansa.json("governance", "vote", made["id"], "yes", "--devnet", "--dir", other)
    assert done["status"] == "ACCEPTED"


def test_only_who_proposed_withdraws(hansa: Hansa, network: Network, url: str) -> None:
    number = propose(hansa, "rotate-validator", "node1", "--consensus-key", KEY)
    second = list(dict.fromkeys(node.organisation for node in network.nodes()))[1]
    other = hansa("governance", "withdraw", number, "--key", network.organisation_key(second))
    assert (other.code, other.error) == (1, "NOT_OWN_PROPOSAL")
    assert hansa.json("governance", "withdraw", number, "--devnet")["status"] == "WITHDRAWN"
    assert hansa("governance", "vote", number, "yes", "--devnet", "--wait").code == 1


def test_nodes_and_validators_by_vote(hansa: Hansa, network: Network, url: str) -> None:
    member = network.nodes()[0].organisation
    node = propose(hansa, "add-node", "node9", member, "--network-key", KEY,
                   "--address", "127.0.0.1:7640")  # fmt: skip
    hansa.json("governance", "vote", node, "yes", "--devnet")
    key = bytes(range(1, 33)).hex()
    validator = propose(hansa, "add-validator", "node9", member, "--network-key", KEY,
                        "--consensus-key", key, "--days", 3)  # fmt: skip
    assert "node9" in [one["name"] for one in hansa.json("governance", "nodes")]
    assert "node9" in hansa("governance", "nodes").out
    hansa.json("governance", "vote", validator, "yes", "--devnet")
    for _ in range(3):  # blocks until it is in force
        propose(hansa, "set-quota", member)
    assert "node9" in [one["name"] for one in hansa.json("governance", "validators")]
    rotated = propose(hansa, "rotate-validator", "node9", "--consensus-key", KEY[::-1])
    assert rotated > validator


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["vote", "77", "yes", "--devnet"], 4, "UNKNOWN_PROPOSAL"),
        (["show", "77"], 4, "UNKNOWN_PROPOSAL"),
        (
            ["add-node", "n", "9521321000018", "--network-key", KEY, "--address", "nonsense"],
            4,
            "BAD_ADDRESS",
        ),
        (["vote", "0", "yes"], 2, "USAGE"),
        (["vote", "1", "perhaps"], 2, "USAGE"),
        (["set-params", "min_block_interval_ms"], 2, "USAGE"),
        (["set-params", "a=1", "a=2"], 2, "USAGE"),
        (["set-params", "nonsense=1"], 1, "BAD_PARAMS"),
        (["set-params", "tx_window_ms=1"], 1, "BAD_PARAMS"),
        (["add-validator", "n", "9521321000018", "--network-key", "ab"], 2, "USAGE"),
        (["remove-validator", "nobody"], 1, "UNKNOWN_VALIDATOR"),
        (["remove-node", "--network-key", KEY], 1, "UNKNOWN_NODE"),
        (["set-quota", "nobody"], 1, "BAD_ARGUMENT"),
    ],
)
def test_what_is_wrong_is_named(
    hansa: Hansa, url: str, arguments: list[str], code: int, error: str
) -> None:
    outcome = hansa("governance", *arguments, "--json")
    assert (outcome.code, outcome.error) == (code, error), outcome.err


def test_params_and_empty_lists(hansa: Hansa, url: str) -> None:
    assert hansa.json("governance", "params")["fault_model"] == "byzantine"
    assert "min_block_interval_ms" in hansa("governance", "params").out
    assert "nobody has proposed" in hansa("governance", "proposals").out
    assert hansa("governance", "accusations").out == "none\n"
    assert hansa.json("governance", "accusations") == []
