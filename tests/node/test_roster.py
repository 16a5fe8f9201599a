"""Who is who, as validators, keys and nodes change."""

from __future__ import annotations

from dataclasses import replace

from consensus.validators import Validator, ValidatorSet
from contracts.runtime.system import Node
from node.roster import Roster


def key(number: int) -> bytes:
    return bytes([number]) * 32


def node(number: int, *, consensus: int | None = None) -> Node:
    kind = "full" if consensus is None else "validator"
    own = b"" if consensus is None else key(consensus)
    return Node(key(number), f"n{number}", "9520123000004", kind, own, (f"n{number}.example:1",))


def voting(*keys: int) -> ValidatorSet:
    return ValidatorSet(tuple(Validator(f"v{one}", key(one), "9520123000004") for one in keys))


def test_validators_are_those_of_the_set_whatever_keys_nodes_have() -> None:
    roster = Roster()
    roster.update([node(1, consensus=11), node(2, consensus=12), node(3)], voting(11))
    assert roster.validators == {key(1): key(11)}
    assert roster.network_key(key(12)) == key(2), "its votes may come from it, and count nothing"
    assert key(3) in roster and key(4) not in roster
    assert [peer.name for peer in roster.peers()] == ["n1", "n2", "n3"]
    assert roster.name(key(3)) == "n3"
    assert roster.name(key(4)) == key(4).hex()[:12]


def test_a_replaced_key_stays_its_node_s_while_the_node_is_admitted() -> None:
    roster = Roster()
    roster.update([node(1, consensus=11), node(2, consensus=12)], voting(11, 12))
    roster.update([node(1, consensus=21), node(2, consensus=12)], voting(21, 12))
    assert roster.validators == {key(1): key(21), key(2): key(12)}
    assert roster.network_key(key(11)) == roster.network_key(key(21)) == key(1)
    roster.update([node(2, consensus=12)], voting(12))
    assert roster.network_key(key(11)) is roster.network_key(key(21)) is None
    assert key(1) not in roster


def test_a_removed_validator_is_still_a_node() -> None:
    roster = Roster()
    one = node(1, consensus=11)
    roster.update([one, node(2, consensus=12)], voting(11, 12))
    left = replace(one, kind="full", consensus_key=b"")
    roster.update([left, node(2, consensus=12)], voting(12))
    assert roster.validators == {key(2): key(12)}
    assert key(1) in roster
    assert roster.network_key(key(11)) == key(1), "its last votes are not a stranger's"


def test_what_was_voted_and_is_no_address_or_key_is_left_out() -> None:
    roster = Roster()
    bad = ("nonsense", "host:0", "host:65536", ":1", "[1:2]:3", "a b:1", "")
    odd = replace(node(1, consensus=11), addresses=(*bad, "n1.example:1"))
    nowhere = replace(node(2, consensus=12), addresses=bad)
    short = replace(node(3), network_key=b"short", name="n" * 1000)
    twin = replace(node(4), name="n1", kind="nonsense")
    roster.update([odd, nowhere, short, twin], voting(11, 12))
    found = roster.peers()
    assert [peer.key for peer in found] == [key(1), key(2), key(4)]
    assert [peer.addresses for peer in found] == [("n1.example:1",), (), ("n4.example:1",)]
    assert roster.validators == {key(1): key(11), key(2): key(12)}
