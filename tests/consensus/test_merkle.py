"""Merkle lists against RFC 6962's definition and the proofs of transparency-dev/merkle."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives import merkle
from consensus.primitives.errors import CodecError

VECTORS = Path(__file__).parents[2].parent / "shared" / "data" / "merkle"

leaf_lists = st.lists(st.binary(max_size=8), max_size=40)


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(path, id=str(path.relative_to(VECTORS)))
        for path in sorted((VECTORS / kind).rglob("*.json"))
    ] or [pytest.param(None, marks=pytest.mark.skip(reason="no vectors beside this checkout"))]


def b64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.parametrize("path", vectors("inclusion"))
def test_inclusion_vector(path: Path) -> None:
    case = json.loads(path.read_text())
    accepted = merkle.verify_inclusion_hash(
        b64(case["root"]),
        case["treeSize"],
        case["leafIdx"],
        b64(case["leafHash"]),
        [b64(item) for item in case["proof"] or []],
    )
    assert accepted is not case["wantErr"]


@pytest.mark.parametrize("path", vectors("consistency"))
def test_consistency_vector(path: Path) -> None:
    case = json.loads(path.read_text())
    accepted = merkle.verify_consistency(
        b64(case["root1"]),
        case["size1"],
        b64(case["root2"]),
        case["size2"],
        [b64(item) for item in case["proof"] or []],
    )
    assert accepted is not case["wantErr"]


def test_the_examples_of_the_specification() -> None:
    one = "022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c"
    three = "36642e73c2540ab121e3a6bf9545b0a24982cd830eb13d3cd19de3ce6c021ec1"
    assert merkle.root([b"a"]).hex() == one
    assert merkle.root([b"a", b"b", b"c"]).hex() == three


@given(leaf_lists)
def test_root_is_the_definitions(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == mth(leaves)


@given(leaf_lists.filter(bool), st.data())
def test_inclusion_proofs_hold_for_their_leaf_alone(leaves: list[bytes], data: Any) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, size = merkle.root(leaves), len(leaves)
    proof = merkle.inclusion_proof(leaves, index)
    assert merkle.verify_inclusion(root, size, index, leaves[index], proof)
    assert not merkle.verify_inclusion(root, size, index, leaves[index] + b"x", proof)
    assert not merkle.verify_inclusion(root, size, index, leaves[index], [*proof, root])
    assert not merkle.verify_inclusion(root, size, size, leaves[index], proof)
    if proof:
        assert not merkle.verify_inclusion(root, size, index, leaves[index], proof[:-1])
        assert not merkle.verify_inclusion(root, size, index, leaves[index], [root, *proof[1:]])


@given(leaf_lists.filter(bool), st.data())
def test_consistency_proofs_hold_for_true_beginnings_alone(leaves: list[bytes], data: Any) -> None:
    old_size = data.draw(st.integers(1, len(leaves)))
    old, new, size = merkle.root(leaves[:old_size]), merkle.root(leaves), len(leaves)
    proof = merkle.consistency_proof(leaves, old_size)
    assert merkle.verify_consistency(old, old_size, new, size, proof)
    assert not merkle.verify_consistency(old, old_size, new, size, [*proof, new])
    assert not merkle.verify_consistency(bytes(32), old_size, new, size, proof)
    assert not merkle.verify_consistency(old, old_size, bytes(32), size, proof)
    other = merkle.root([*leaves[: old_size - 1], leaves[old_size - 1] + b"x"])
    assert not merkle.verify_consistency(other, old_size, new, size, proof)


def test_every_size_and_position_up_to_33() -> None:
    leaves = [bytes((number,)) for number in range(33)]
    for size in range(1, 34):
        root = merkle.root(leaves[:size])
        for at in range(size):
            proof = merkle.inclusion_proof(leaves[:size], at)
            assert merkle.verify_inclusion(root, size, at, leaves[at], proof)
        for old in range(1, size + 1):
            proof = merkle.consistency_proof(leaves[:size], old)
            assert merkle.verify_consistency(merkle.root(leaves[:old]), old, root, size, proof)


def test_proofs_of_what_is_not_there() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof([b"a"], 1)
    with pytest.raises(IndexError):
        merkle.consistency_proof([b"a"], 2)
    with pytest.raises(IndexError):
        merkle.consistency_proof([b"a"], 0)


def test_a_long_proof_is_refused_unread() -> None:
    proof = [bytes(32)] * (merkle.PROOF_HASHES_MAX + 1)
    assert not merkle.verify_inclusion(bytes(32), 2**62, 1, b"a", proof)
    assert not merkle.verify_consistency(bytes(32), 1, bytes(32), 2**62, proof)


def test_the_longest_list_and_the_longest_proof_there_can_be() -> None:
    """Leaf 2 of 2**63 - 1 lies 63 levels deep; that three leaves begin the list takes one more."""
    size, third = merkle.SIZE_MAX, sha256(b"leaf 2").digest()
    path = [sha256(bytes([number])).digest() for number in range(63)]
    assert len(path) + 1 == merkle.PROOF_HASHES_MAX
    fourth, pair, *rest = path
    old = merkle.node_hash(pair, third)
    new = merkle.node_hash(pair, merkle.node_hash(third, fourth))
    for hashed in rest:
        new = merkle.node_hash(new, hashed)
    assert merkle.verify_inclusion_hash(new, size, 2, third, path)
    assert merkle.verify_consistency(old, 3, new, size, [third, *path])
    assert merkle.verify_consistency(new, size, new, size, [])
    assert not merkle.verify_inclusion_hash(new, size + 1, 2, third, path)
    assert not merkle.verify_consistency(old, 3, new, size + 1, [third, *path])
    assert not merkle.verify_consistency(new, size + 1, new, size + 1, [])


def test_no_proof_at_all_shows_no_beginning() -> None:
    leaves = [bytes([number]) for number in range(8)]
    new = merkle.root(leaves)
    for old_size in range(1, 8):
        old = merkle.root(leaves[:old_size])
        assert not merkle.verify_consistency(old, old_size, new, 8, [])
        assert not merkle.verify_consistency(new, old_size, new, 8, [])


def test_every_hash_of_a_proof_has_32_bytes() -> None:
    """Else two neighbours could be cut in another place, and another leaf have the same root."""
    left, right = sha256(b"left").digest(), sha256(b"right").digest()
    root = merkle.node_hash(left, right)
    assert merkle.verify_inclusion_hash(root, 2, 0, left, [right])
    assert not merkle.verify_inclusion_hash(root, 2, 0, left + right[:1], [right[1:]])
    assert not merkle.verify_inclusion_hash(root, 2, 0, left[:-1], [left[-1:] + right])
    old = merkle.node_hash(left, right)
    new = merkle.node_hash(old, right)
    assert merkle.verify_consistency(old, 2, new, 3, [right])
    assert not merkle.verify_consistency(left + right[:1], 1, root, 2, [right[1:]])


def test_frontiers_are_equal_by_what_they_hold() -> None:
    one, other = merkle.Frontier().append(b"a"), merkle.Frontier().append(b"b")
    assert one == merkle.Frontier().append(b"a") and one != other
    assert one != merkle.Frontier() and one != one.to_plain()
    assert len({one, merkle.Frontier().append(b"a"), other, merkle.Frontier()}) == 3
    assert hash(one) != hash(other)


@given(leaf_lists)
def test_frontier_has_the_root_of_the_list(leaves: list[bytes]) -> None:
    frontier = merkle.Frontier()
    for number, leaf in enumerate(leaves):
        assert frontier.root == mth(leaves[:number])
        before = frontier.to_plain()
        longer = frontier.append(leaf)
        assert frontier.to_plain() == before
        frontier = longer
    assert frontier.root == mth(leaves)
    assert frontier.size == len(leaves)
    again = merkle.Frontier.from_plain(frontier.to_plain())
    assert again == frontier
    assert again.append(b"next").root == mth([*leaves, b"next"])


def test_the_largest_frontier() -> None:
    plain = [merkle.SIZE_MAX, *[bytes(32)] * 63]
    assert merkle.Frontier.from_plain(plain).to_plain() == plain


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "WRONG_TYPE"),
        ([], "WRONG_TYPE"),
        (["1", bytes(32)], "WRONG_TYPE"),
        ([True, bytes(32)], "WRONG_TYPE"),
        ([1, bytes(31)], "WRONG_TYPE"),
        ([1, "x" * 32], "WRONG_TYPE"),
        ([-1, bytes(32)], "OUT_OF_RANGE"),
        ([2, bytes(32), bytes(32)], "OUT_OF_RANGE"),
        ([2**63, bytes(32)], "OUT_OF_RANGE"),
    ],
)
def test_a_bad_frontier_is_refused(value: Any, code: str) -> None:
    with pytest.raises(CodecError) as caught:
        merkle.Frontier.from_plain(value)
    assert caught.value.code == code
