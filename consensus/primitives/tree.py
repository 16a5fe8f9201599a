"""The state tree: an ordered binary radix tree over key bits, kept in 16-way pages.

The hash of a set of (key, value) pairs depends on the pairs alone::

    empty        SHA-256("")
    one leaf     SHA-256(0x00 | varint(len key) | key | 0x20 | SHA-256(value))
    left, right  SHA-256(0x01 | left | right); where one side is empty: the other side's hash

Nothing of what follows shows in that hash. One page covers four bits, hence sixteen **slots**,
and stands under the key nibbles that lead to it, its **path**. A slot is its subtree's hash and
what it takes to go on: up to four leaves inline, or the path of the next page that has more than
one used slot (so shared prefixes cost nothing). Pages in memory also keep the fifteen hashes
between their slots and their own, so a changed slot costs four hashes and not fifteen.

Slots are kept as the bytes that are stored (see docs/spec/state.md)::

    b""                                 nothing
    hash | 0x00 | path                  a page; path = nibble count | nibbles, padded with 0
    leaf hash | 0x01 | key              one leaf
    hash | n | n x (size | leaf slot)   n = 2..4 leaves in key order

The whole tree is one slot. :func:`update` changes nothing: it returns the new slot and pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256
from itertools import pairwise
from struct import Struct
from typing import Final, Protocol

from consensus.primitives.errors import InputError, LocalFault

KEY_BYTES_MAX: Final = 96
LEAVES_INLINE_MAX: Final = 4
EMPTY_ROOT: Final = _sha256(b"").digest()

PAGE: Final = 0
_LEAF: Final = 1
_HASH: Final = 32
_BODY: Final = _HASH + 1
SLOT_BYTES_MIN: Final = _BODY + 1
_SIZES: Final = Struct(">16H")
_BYTE: Final = tuple(bytes((number,)) for number in range(256))


class Page:
    """Sixteen slots, and the hashes above them: ``inner[p]`` joins ``2p`` and ``2p + 1``, where
    16..31 are the slots and ``inner[1]`` is the page's hash. ``inner`` is empty until needed.

    Never changed once made, so caches and prepared updates share them. Tuples of bytes also spare
    the garbage collector, which would walk over every list of a large cache.
    """

    __slots__ = ("inner", "slots")

    def __init__(self, slots: tuple[bytes, ...], inner: tuple[bytes, ...]) -> None:
        self.slots = slots
        self.inner = inner

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """``inner``, worked out if need be."""
        return self.inner or tuple(_fold(list(self.slots), (), []))

    def encode(self) -> bytes:
        """Sixteen slot sizes of two bytes, then the slots."""
        return _SIZES.pack(*map(len, self.slots)) + b"".join(self.slots)

    @classmethod
    def decode(cls, raw: bytes) -> Page:
        """A page of this node's own disk. Raises LocalFault STORE_CORRUPT."""
        slots = []
        at = _SIZES.size
        if len(raw) >= at:
            for size in _SIZES.unpack_from(raw):
                slots.append(raw[at : at + size])
                at += size
        if at != len(raw) or any(0 < len(slot) < SLOT_BYTES_MIN for slot in slots):
            raise LocalFault("STORE_CORRUPT", "a page of the state tree is damaged")
        return cls(tuple(slots), ())


class PageSource(Protocol):
    """Where the pages of the base tree are."""

    def load(self, path: bytes) -> Page:
        """The page at ``path``, which exists. Raises LocalFault."""


@dataclass(frozen=True)
class TreeUpdate:
    """The tree after an update: its slot, and the pages that changed (None: are no more) by path.

    ``slots`` has what changed in them, as (path, number, the slot before, the slot now).
    """

    slot: bytes
    pages: dict[bytes, Page | None]
    slots: list[tuple[bytes, int, bytes, bytes]]

    @property
    def root(self) -> bytes:
        return root_of(self.slot)


def root_of(slot: bytes) -> bytes:
    """The 32-byte root hash of the tree that ``slot`` holds."""
    return slot[:_HASH] or EMPTY_ROOT


_LEAF_HEADS: Final = tuple(b"\x00" + _BYTE[size] for size in range(KEY_BYTES_MAX + 1))
"""By the key's size, whose varint is one byte: no key is as long as 128."""


def leaf_hash(key: bytes, value: bytes) -> bytes:
    """The hash of a tree of one pair; ``key`` has at most 96 bytes."""
    head = _LEAF_HEADS[len(key)]
    return _sha256(head + key + b"\x20" + _sha256(value).digest()).digest()


def leaf_hash_of(key: bytes, value_hash: bytes) -> bytes:
    """As :func:`leaf_hash`, given the SHA-256 of the value."""
    return _sha256(_LEAF_HEADS[len(key)] + key + b"\x20" + value_hash).digest()


def join(left: bytes, right: bytes) -> bytes:
    """The hash over two halves, where b"" stands for an empty one."""
    if left and right:
        return _sha256(b"\x01" + left + right).digest()
    return left or right


def update(source: PageSource, slot: bytes, changes: Mapping[bytes, bytes | None]) -> TreeUpdate:
    """Set (or, by None, delete) every key of ``changes`` in the tree that ``slot`` holds.

    Deleting what is not there does nothing. Keys have 1..96 bytes, and no key of the tree or of
    ``changes`` may be the beginning of another. Raises InputError KEY_EMPTY, KEY_TOO_LONG or
    KEY_NOT_PREFIX_FREE.
    """
    work = _Pass(source, changes)
    if changes:
        slot = work.slot(slot, 0, 0, len(changes))
    return TreeUpdate(slot, work.pages, work.slots)


def build(pairs: Sequence[tuple[bytes, bytes]], depth: int) -> TreeUpdate:
    """The part of a tree that holds these keys, in ascending order, all of which share their first
    ``depth`` nibbles: its slot, as a page of that depth has it, and the pages below.

    Raises InputError as :func:`update` does, or KEY_ORDER.
    """
    leaves = []
    previous = b""
    for key, value in pairs:
        if not previous < key:
            raise InputError("KEY_ORDER", f"key {key.hex()} is not behind key {previous.hex()}")
        if len(key) > KEY_BYTES_MAX:
            raise InputError("KEY_TOO_LONG", f"a state key has at most {KEY_BYTES_MAX} bytes")
        leaves.append(leaf_hash(key, value) + b"\x01" + key)
        previous = key
    work = _Pass(_NoPages(), {})
    return TreeUpdate(work.pack(leaves, depth), work.pages, work.slots)


class _NoPages:
    """Of a tree that is made of leaves alone."""

    def load(self, path: bytes) -> Page:
        raise LocalFault("STORE_CORRUPT", f"no page {path.hex()}: nothing was there before")


class _Pass:
    """One walk over the tree with all changes in key order; ``lo:hi`` is a run of them."""

    def __init__(self, source: PageSource, changes: Mapping[bytes, bytes | None]) -> None:
        self._load = source.load
        self._keys = keys = sorted(changes)
        self.pages: dict[bytes, Page | None] = {}
        self.slots: list[tuple[bytes, int, bytes, bytes]] = []
        self._leaves: list[bytes] = []
        if keys and not keys[0]:
            raise InputError("KEY_EMPTY", "a state key has at least one byte")
        previous = b"\xff" * (KEY_BYTES_MAX + 1)
        for key in keys:
            if len(key) > KEY_BYTES_MAX:
                raise InputError("KEY_TOO_LONG", f"a state key has at most {KEY_BYTES_MAX} bytes")
            if key.startswith(previous):
                raise _prefix_fault(previous, key)
            previous = key
            value = changes[key]
            self._leaves.append(b"" if value is None else leaf_hash(key, value) + b"\x01" + key)

    def slot(self, slot: bytes, depth: int, lo: int, hi: int) -> bytes:
        """``slot`` after a run of changes, all of which share the first ``depth`` nibbles."""
        keys = self._keys
        if slot and slot[_HASH] == PAGE:
            path = slot[_BODY:]
            if path[0] == depth:
                return self._page(self._load(path), path, slot, lo, hi)
            # The run may leave the page's path early; then a page comes to stand between.
            fork = min(_shared(path[1:], keys[lo]), _shared(path[1:], keys[hi - 1]))
            if fork >= path[0]:
                return self._page(self._load(path), path, slot, lo, hi)
            slots = [b""] * 16
            slots[_nibble(path[1:], fork)] = slot
            return self._page(Page(tuple(slots), ()), _path(path[1:], fork), slot, lo, hi)
        if hi - lo == 1 and (not slot or (slot[_HASH] == _LEAF and slot[_BODY:] == keys[lo])):
            return self._leaves[lo]
        merged = {leaf[_BODY:]: leaf for leaf in leaves_of(slot)}
        for at in range(lo, hi):
            merged[keys[at]] = self._leaves[at]
        return self.pack([merged[key] for key in sorted(merged) if merged[key]], depth)

    def _page(self, page: Page, path: bytes, unchanged: bytes, lo: int, hi: int) -> bytes:
        """The slot for ``page`` after a run of changes; ``unchanged`` if they change nothing."""
        keys = self._keys
        depth = path[0]
        index, shift = depth >> 1, 0 if depth & 1 else 4
        slots = list(page.slots)
        changed = []
        while lo < hi:
            key = keys[lo]
            if len(key) <= index:
                raise _prefix_fault(key, path[1:])
            nibble = key[index] >> shift & 15
            end = lo + 1
            while end < hi and keys[end][index] >> shift & 15 == nibble:
                end += 1
            before = slots[nibble]
            after = self.slot(before, depth + 1, lo, end)
            if after != before:
                slots[nibble] = after
                changed.append(nibble)
            lo = end
        if not changed:
            return unchanged
        stood = unchanged[_BODY:] == path
        # Five used slots always deserve a page.
        if slots.count(b"") >= 16 - LEAVES_INLINE_MAX:
            used = [slot for slot in slots if slot]
            if len(used) == 1 or all(slot[_HASH] != PAGE for slot in used):
                leaves = [leaf for slot in used for leaf in leaves_of(slot)]
                if len(leaves) <= LEAVES_INLINE_MAX:
                    if stood:
                        self.pages[path] = None
                        olds = enumerate(page.slots)
                        self.slots += [(path, at, old, b"") for at, old in olds if old]
                    return used[0] if len(used) == 1 else _bundle(leaves)
        if stood:
            old = page.slots
            self.slots += [(path, at, old[at], slots[at]) for at in changed]
        else:
            self._tell_new(path, slots)
        return self._keep(path, slots, _fold(slots, page.inner, changed))

    def pack(self, leaves: list[bytes], depth: int) -> bytes:
        """The slot for leaf slots in key order that share the first ``depth`` nibbles."""
        if len(leaves) <= LEAVES_INLINE_MAX:
            return _bundle(leaves)
        first, last = leaves[0][_BODY:], leaves[-1][_BODY:]
        fork = _shared(first, last, depth >> 1)
        if len(first) <= fork >> 1:
            raise _prefix_fault(first, last)
        at, shift = _BODY + (fork >> 1), 0 if fork & 1 else 4
        groups: list[list[bytes]] = [[] for _ in range(16)]
        for leaf in leaves:
            groups[leaf[at] >> shift & 15].append(leaf)
        slots = [self.pack(group, fork + 1) for group in groups]
        path = _path(first, fork)
        self._tell_new(path, slots)
        return self._keep(path, slots, _fold(slots, (), []))

    def _tell_new(self, path: bytes, slots: list[bytes]) -> None:
        self.slots += [(path, at, b"", slot) for at, slot in enumerate(slots) if slot]

    def _keep(self, path: bytes, slots: list[bytes], inner: list[bytes]) -> bytes:
        self.pages[path] = Page(tuple(slots), tuple(inner))
        return inner[1] + b"\x00" + path


def _fold(slots: list[bytes], before: tuple[bytes, ...], changed: list[int]) -> list[bytes]:
    """The inner hashes of a page: afresh, or from those of before with a few slots changed."""
    if len(changed) == 1 and before:
        inner = list(before)
        at = changed[0] >> 1
        left, right = slots[2 * at][:_HASH], slots[2 * at + 1][:_HASH]
        at += 8
        while True:
            both = left and right
            inner[at] = _sha256(b"\x01" + left + right).digest() if both else left or right
            at >>= 1
            if not at:
                return inner
            left, right = inner[2 * at], inner[2 * at + 1]
    if before and len(changed) <= 6:
        inner = list(before)
        lowest = {slot >> 1 for slot in changed}
    else:
        inner = [b""] * 16
        lowest = set(range(8))
    for at in lowest:
        inner[at + 8] = join(slots[2 * at][:_HASH], slots[2 * at + 1][:_HASH])
    level = {at + 8 >> 1 for at in lowest}
    for _ in range(3):
        for at in level:
            inner[at] = join(inner[2 * at], inner[2 * at + 1])
        level = {at >> 1 for at in level}
    return inner


def leaves_of(slot: bytes) -> list[bytes]:
    """The leaf slots that stand inline in a slot; none for a page's."""
    if not slot or slot[_HASH] == PAGE:
        return []
    if slot[_HASH] == _LEAF:
        return [slot]
    leaves = []
    at = _BODY
    while at < len(slot):
        end = at + 1 + slot[at]
        leaves.append(slot[at + 1 : end])
        at = end
    return leaves


def _bundle(leaves: list[bytes]) -> bytes:
    """The slot that holds up to four leaf slots inline."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else b""
    for left, right in pairwise(leaves):
        if right.startswith(left[_BODY:], _BODY):
            raise _prefix_fault(left[_BODY:], right[_BODY:])
    body = [part for leaf in leaves for part in (_BYTE[len(leaf)], leaf)]
    return b"".join((join_leaves(leaves), _BYTE[len(leaves)], *body))


def join_leaves(leaves: list[bytes]) -> bytes:
    """The hash over up to four leaf slots in key order."""
    if len(leaves) == 1:
        return leaves[0][:_HASH]
    if len(leaves) == 2:
        return join(leaves[0][:_HASH], leaves[1][:_HASH])
    at = parting(leaves)
    return join(join_leaves(leaves[:at]), join_leaves(leaves[at:]))


def parting(leaves: list[bytes]) -> int:
    """Where 3 or 4 leaf slots in key order part at their first differing bit: the left's size."""
    whole = [int.from_bytes(leaf[_BODY:].ljust(KEY_BYTES_MAX, b"\x00"), "big") for leaf in leaves]
    gaps = [whole[at] ^ whole[at + 1] for at in range(len(whole) - 1)]
    return gaps.index(max(gaps)) + 1


def _shared(left: bytes, right: bytes, start: int = 0) -> int:
    """How many nibbles two keys share; their first ``start`` bytes are known to be the same."""
    size = min(len(left), len(right))
    for at in range(start, size):
        difference = left[at] ^ right[at]
        if difference:
            return 2 * at + (difference < 16)
    return 2 * size


def _nibble(key: bytes, depth: int) -> int:
    return key[depth >> 1] >> (0 if depth & 1 else 4) & 15


def _path(key: bytes, depth: int) -> bytes:
    """The path of the first ``depth`` nibbles of ``key``."""
    if depth & 1:
        return _BYTE[depth] + key[: depth >> 1] + _BYTE[key[depth >> 1] & 0xF0]
    return _BYTE[depth] + key[: depth >> 1]


def _prefix_fault(short: bytes, long: bytes) -> InputError:
    return InputError(
        "KEY_NOT_PREFIX_FREE", f"key {short.hex()} is the beginning of key {long.hex()}"
    )
