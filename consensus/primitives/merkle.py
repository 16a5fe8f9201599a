"""Merkle trees over lists, as in RFC 6962 section 2.1: roots, proofs, and a growing list's root.

A leaf hashes as ``SHA-256(0x00 | leaf)``, two halves as ``SHA-256(0x01 | left | right)``, the empty
list as ``SHA-256("")``. The left half has the largest power of two below the size. Because a last
leaf is never doubled, different lists have different roots.

Verifying never raises on bad proofs, and looks at no proof of more than 64 hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from consensus.primitives.crypto import HASH_BYTES, sha256
from consensus.primitives.errors import CodecError

EMPTY_ROOT: Final = sha256(b"")
SIZE_MAX: Final = 2**63 - 1
PROOF_HASHES_MAX: Final = 64  # what a list of 2**63 leaves can need


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def root(leaves: Sequence[bytes]) -> bytes:
    """The root of a list of byte strings."""
    return _root([leaf_hash(leaf) for leaf in leaves])


def _root(hashes: Sequence[bytes]) -> bytes:
    # Joining neighbours level by level, an odd last one going up as it is, gives RFC 6962's shape.
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0] if level else EMPTY_ROOT


def _split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


Subtree = Callable[[int, int], bytes]
"""The root over leaves ``first`` up to, without it, ``end``: one or more of them."""


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root, lowest first. Raises IndexError."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return inclusion_path(len(hashes), index, lambda first, end: _root(hashes[first:end]))


def inclusion_path(size: int, index: int, subtree: Subtree) -> list[bytes]:
    """As :func:`inclusion_proof`, of a list whose subtrees are known."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of {size}")
    proof: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        split = first + _split(end - first)
        if index < split:
            proof.append(subtree(split, end))
            end = split
        else:
            proof.append(subtree(first, split))
            first = split
    return proof[::-1]


def verify_inclusion(
    root_hash: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether ``leaf`` is number ``index`` of the list of ``size`` leaves with this root."""
    return verify_inclusion_hash(root_hash, size, index, leaf_hash(leaf), proof)


def verify_inclusion_hash(
    root_hash: bytes, size: int, index: int, hashed: bytes, proof: Sequence[bytes]
) -> bool:
    """As :func:`verify_inclusion`, given the leaf's hash (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size <= SIZE_MAX or not _well_formed((hashed, *proof)):
        return False
    last = size - 1
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            hashed = node_hash(sibling, hashed)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, sibling)
        index >>= 1
        last >>= 1
    return last == 0 and hashed == root_hash


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes which show that the first ``old_size`` leaves begin this list.

    Empty for all of them. Raises IndexError, also for none: every list begins with that.
    """
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return consistency_path(len(hashes), old_size, lambda first, end: _root(hashes[first:end]))


def consistency_path(size: int, old_size: int, subtree: Subtree) -> list[bytes]:
    """As :func:`consistency_proof`, of a list whose subtrees are known."""
    if not 1 <= old_size <= size:
        raise IndexError(f"{old_size} of {size} leaves")
    proof: list[bytes] = []
    first, end = 0, size
    while old_size != end:
        split = first + _split(end - first)
        if old_size <= split:
            proof.append(subtree(split, end))
            end = split
        else:
            proof.append(subtree(first, split))
            first = split
    if first:  # else the old part is the old tree itself, whose root the verifier has
        proof.append(subtree(first, end))
    return proof[::-1]


def verify_consistency(
    old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]
) -> bool:
    """Whether the list with ``new_root`` begins with the one with ``old_root``.

    RFC 9162 section 2.1.4.2. An empty old list is refused: it would prove nothing.
    """
    if not 1 <= old_size <= new_size <= SIZE_MAX or not _well_formed(proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    old_last, new_last = old_size - 1, new_size - 1
    while old_last & 1:
        old_last >>= 1
        new_last >>= 1
    old_hash = new_hash = path[0]
    for sibling in path[1:]:
        if new_last == 0:
            return False
        if old_last & 1 or old_last == new_last:
            old_hash = node_hash(sibling, old_hash)
            new_hash = node_hash(sibling, new_hash)
            while not old_last & 1 and old_last:
                old_last >>= 1
                new_last >>= 1
        else:
            new_hash = node_hash(new_hash, sibling)
        old_last >>= 1
        new_last >>= 1
    return new_last == 0 and old_hash == old_root and new_hash == new_root


def _well_formed(hashes: Sequence[bytes]) -> bool:
    return len(hashes) <= PROOF_HASHES_MAX and all(len(item) == HASH_BYTES for item in hashes)


class Frontier:
    """The root of a list that only grows, from the roots of its full subtrees, largest first.

    There is one for every 1 bit of ``size``, so it stays small however long the list becomes.
    Values: appending returns a new one, for a block may be prepared and then not decided.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: tuple[bytes, ...] = ()) -> None:
        self.size = size
        self._hashes = hashes

    def append(self, leaf: bytes) -> Frontier:
        """The frontier of the list with ``leaf`` (its data, not its hash) at the end."""
        hashes = list(self._hashes)
        hashed = leaf_hash(leaf)
        full = self.size
        while full & 1:
            hashed = node_hash(hashes.pop(), hashed)
            full >>= 1
        return Frontier(self.size + 1, (*hashes, hashed))

    @property
    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY_ROOT
        hashed = self._hashes[-1]
        for left in self._hashes[-2::-1]:
            hashed = node_hash(left, hashed)
        return hashed

    def to_plain(self) -> list[Any]:
        """[size, hash, ...]"""
        return [self.size, *self._hashes]

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """The inverse of :meth:`to_plain`. Raises CodecError."""
        if type(value) is not list or not value or type(value[0]) is not int:
            raise CodecError("WRONG_TYPE", "a frontier is a list of its size and hashes")
        size, *hashes = value
        if not 0 <= size <= SIZE_MAX or len(hashes) != size.bit_count():
            raise CodecError("OUT_OF_RANGE", "a frontier has one hash for every 1 bit of its size")
        if any(type(item) is not bytes or len(item) != HASH_BYTES for item in hashes):
            raise CodecError("WRONG_TYPE", "a frontier holds hashes of 32 bytes")
        return cls(size, tuple(hashes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and self.to_plain() == other.to_plain()

    def __hash__(self) -> int:
        return hash((self.size, self._hashes))
