"""State proofs in the form of ICS-23, as its Protocol Buffers messages, under the spec that its
libraries call *Tendermint*: leaf 0x00 with SHA-256 of the value, inner nodes 0x01.

A ``CommitmentProof`` of one key is an existence proof, or a non-existence proof of its two
neighbours; of several keys it is a compressed batch, whose inner nodes stand once. ICS-23 has no
ranges, and can't prove the absence of a key in an empty state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from consensus.primitives import tree
from consensus.primitives.errors import InputError
from consensus.proofs import Shown, StateProof

_SHA256: Final = 1
_VAR_PROTO: Final = 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, value: bytes) -> bytes:
    """A field of bytes or of a message; one without contents is left out, as proto3 wants it."""
    return _message(field, value) if value else b""


def _message(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


_LEAF_OP: Final = (
    _number(1, _SHA256) + _number(3, _SHA256) + _number(4, _VAR_PROTO) + _bytes(5, b"\x00")
)


class _Placed(NamedTuple):
    """A leaf and the inner nodes above it, lowest first."""

    leaf: Shown
    path: tuple[bytes, ...]


def _inner(left: bytes, right: bytes) -> bytes:
    """The InnerOp of the half that is not given: b"" stands for it."""
    return _number(1, _SHA256) + _bytes(2, b"\x01" + left) + _bytes(3, right)


class _Tree:
    """A proof's leaves in order, each with its path."""

    def __init__(self, proof: StateProof) -> None:
        leaves: list[Shown] = []
        steps: list[list[bytes]] = []
        stack: list[tuple[bytes, int, int]] = []  # hash, and which leaves are below it
        for part in proof.parts:
            if isinstance(part, Shown):
                stack.append((part.hash, len(leaves), len(leaves) + 1))
                leaves.append(part)
                steps.append([])
            elif part is not None:
                stack.append((part, len(leaves), len(leaves)))
            else:
                right, middle, end = stack.pop()
                left, begin, _ = stack.pop()
                for at in range(begin, middle):
                    steps[at].append(_inner(b"", right))
                for at in range(middle, end):
                    steps[at].append(_inner(left, b""))
                stack.append((tree.join(left, right), begin, end))
        self._keys = [leaf.key for leaf in leaves]
        self._leaves = [_Placed(*both) for both in zip(leaves, map(tuple, steps), strict=True)]

    def find(self, key: bytes) -> tuple[_Placed | None, _Placed | None, _Placed | None]:
        """The leaf of ``key``, or those on both sides of its place."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            return self._leaves[at], None, None
        before = self._leaves[at - 1] if at else None
        after = self._leaves[at] if at < len(self._leaves) else None
        return None, before, after


def _existence(placed: _Placed) -> bytes:
    path = b"".join([_message(4, step) for step in placed.path])
    return _of_leaf(placed.leaf) + path


def _of_leaf(leaf: Shown) -> bytes:
    if not leaf.value:
        raise InputError("NOT_IN_PROOF", "ICS-23 shows the values of neighbours too, none empty")
    return _bytes(1, leaf.key) + _bytes(2, leaf.value) + _message(3, _LEAF_OP)


def _absence(
    key: bytes,
    before: _Placed | None,
    after: _Placed | None,
    existence: Callable[[_Placed], bytes],
) -> bytes:
    if before is None and after is None:
        raise InputError("NOT_IN_PROOF", "ICS-23 can't prove absence in an empty state")
    sides = [(2, before), (3, after)]
    told = [_message(field, existence(one)) for field, one in sides if one is not None]
    return _bytes(1, key) + b"".join(told)


def commitment_proof(proof: StateProof, keys: Sequence[bytes]) -> bytes:
    """The CommitmentProof of one or several keys, present or absent, from a proof that was made
    for them with ``neighbours``. Raises InputError NOT_IN_PROOF for what ICS-23 can't say."""
    placed = _Tree(proof)
    if len(keys) == 1:
        at, before, after = placed.find(keys[0])
        if at is not None:
            return _message(1, _existence(at))
        return _message(2, _absence(keys[0], before, after, _existence))
    lookup: dict[bytes, int] = {}

    def compressed(one: _Placed) -> bytes:
        numbers = [lookup.setdefault(step, len(lookup)) for step in one.path]
        return _of_leaf(one.leaf) + _bytes(4, b"".join(map(_varint, numbers)))

    entries = []
    for key in keys:
        at, before, after = placed.find(key)
        if at is not None:
            entries.append(_message(1, _message(1, compressed(at))))
        else:
            entries.append(_message(1, _message(2, _absence(key, before, after, compressed))))
    inners = [_message(2, step) for step in lookup]
    return _message(4, b"".join(entries + inners))
