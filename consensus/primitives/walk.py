"""The state tree read as the binary tree that it is: its pages and inline leaves don't show here.

Keys are compared as whole numbers of 96 bytes, zeros at the end. No key of a tree is the beginning
of another, so this keeps their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from consensus.primitives import tree
from consensus.primitives.tree import KEY_BYTES_MAX, Page, PageSource

KEY_BITS: Final = 8 * KEY_BYTES_MAX
BEYOND: Final = 1 << KEY_BITS
"""Above every key's number."""
_HASH: Final = 32
_BODY: Final = _HASH + 1


def number(key: bytes) -> int:
    """A key as a whole number, in the order of the keys."""
    return int.from_bytes(key.ljust(KEY_BYTES_MAX, b"\x00")[:KEY_BYTES_MAX], "big")


@dataclass(frozen=True)
class Leaf:
    """One key, with the hash over it and its value."""

    key: bytes
    hash: bytes


class Fork:
    """Where keys part: those below share the first ``bit`` bits, ``lead``, and differ in the next.

    Its two halves are looked up when they are asked for: a page may stand between.
    """

    __slots__ = ("_at", "_leaves", "_page", "_source", "bit", "hash", "lead")

    def __init__(
        self,
        source: PageSource,
        hash_: bytes,
        lead: int,
        bit: int,
        page: tuple[Page, bytes] | None,
        at: int,
        leaves: list[bytes],
    ) -> None:
        self._source = source
        self._page = page
        self._at = at
        self._leaves = leaves
        self.hash = hash_
        self.lead = lead
        self.bit = bit

    @property
    def middle(self) -> int:
        """The least number whose key belongs to the right half."""
        return (self.lead << 1 | 1) << KEY_BITS - self.bit - 1

    def side(self, key: int) -> int:
        """-1 or 1 if all keys below are greater or less than this one; 0 if it has their bits."""
        lead = key >> KEY_BITS - self.bit
        return (lead > self.lead) - (lead < self.lead)

    def halves(self) -> tuple[Node, Node]:
        if self._page is not None:
            page, path = self._page
            left = _in_page(self._source, page, path, 2 * self._at)
            return left, _in_page(self._source, page, path, 2 * self._at + 1)
        leaves, at = self._leaves, self._at
        return _of_leaves(self._source, leaves[:at]), _of_leaves(self._source, leaves[at:])


Node = Leaf | Fork


class Around(NamedTuple):
    """What a tree has for a key: its leaf, or the nearest on both sides of where it would be."""

    at: Leaf | None
    before: Leaf | None
    after: Leaf | None


class _Pages:
    """The pages of one walk or several, each read and hashed once."""

    def __init__(self, source: PageSource) -> None:
        self._source = source
        self._read: dict[bytes, Page] = {}

    def load(self, path: bytes) -> Page:
        page = self._read.get(path)
        if page is None:
            page = self._source.load(path)
            if not page.inner:
                page = Page(page.slots, page.hashes)
            self._read[path] = page
        return page


def top(source: PageSource, slot: bytes) -> Node | None:
    """The root of the tree that ``slot`` holds; None for the empty tree. What is read stays in
    memory as long as the root does. Raises LocalFault."""
    return _in_slot(_Pages(source), slot) if slot else None


def around(node: Node, key: bytes) -> Around:
    """Where ``key`` stands below ``node``, by one walk down."""
    wanted = number(key)
    before: Node | None = None
    after: Node | None = None
    while isinstance(node, Fork):
        side = node.side(wanted)
        if side:
            break
        left, right = node.halves()
        if wanted < node.middle:
            node, after = left, right
        else:
            before, node = left, right
    if isinstance(node, Leaf):
        if node.key == key:
            return Around(node, None, None)
        side = 1 if node.key < key else -1
    if side > 0:
        before = node
    else:
        after = node
    return Around(None, _outermost(before, 1), _outermost(after, 0))


def _outermost(node: Node | None, side: int) -> Leaf | None:
    while isinstance(node, Fork):
        node = node.halves()[side]
    return node


class Join:
    """In :func:`cut`: the two parts before it, joined."""


JOIN: Final = Join()
Part = Leaf | bytes | Join
Span = tuple[int, int]
"""Numbers of the first and the last key of a run of leaves, both in the tree; or 0 and BEYOND."""


def cut(node: Node, spans: Sequence[Span]) -> Iterator[Part]:
    """The tree with the leaves of ``spans``, each part that has none of them as its hash alone.

    ``spans`` are in order and don't overlap. The parts come in the order of the keys, and behind
    any two that belong together comes JOIN, so that a stack gives the root.
    """
    stack: list[tuple[Node | Join, int, int]] = [(node, 0, len(spans))]
    while stack:
        here, lo, hi = stack.pop()
        if isinstance(here, Join):
            yield here
        elif lo == hi:
            yield here.hash
        elif isinstance(here, Leaf):
            yield here
        else:
            left, right = here.halves()
            middle = here.middle
            end = lo
            while end < hi and spans[end][0] < middle:
                end += 1
            begin = end - 1 if end > lo and spans[end - 1][1] >= middle else end
            stack += [(JOIN, 0, 0), (right, begin, hi), (left, lo, end)]


def _in_slot(source: PageSource, slot: bytes) -> Node:
    if slot[_HASH] == tree.PAGE:
        path = slot[_BODY:]
        return _in_page(source, source.load(path), path, 1)
    return _of_leaves(source, tree.leaves_of(slot))


def _in_page(source: PageSource, page: Page, path: bytes, at: int) -> Node:
    """The part of a page below its inner node ``at``: 1 is all of it, 16 to 31 are its slots."""
    inner = page.inner
    while at < 16:
        left, right = _hash_at(page, inner, 2 * at), _hash_at(page, inner, 2 * at + 1)
        if left and right:
            level = at.bit_length() - 1
            nibbles = int.from_bytes(path[1:], "big") >> (4 if path[0] & 1 else 0)
            lead = nibbles << level | at - (1 << level)
            return Fork(source, inner[at], lead, 4 * path[0] + level, (page, path), at, [])
        at = 2 * at if left else 2 * at + 1
    return _in_slot(source, page.slots[at - 16])


def _hash_at(page: Page, inner: tuple[bytes, ...], at: int) -> bytes:
    return inner[at] if at < 16 else page.slots[at - 16][:_HASH]


def _of_leaves(source: PageSource, leaves: list[bytes]) -> Node:
    """The part that consists of one to four leaf slots in key order."""
    if len(leaves) == 1:
        return Leaf(leaves[0][_BODY:], leaves[0][:_HASH])
    first, last = number(leaves[0][_BODY:]), number(leaves[-1][_BODY:])
    bit = KEY_BITS - (first ^ last).bit_length()
    lead = first >> KEY_BITS - bit
    hash_ = tree.join_leaves(leaves)
    return Fork(source, hash_, lead, bit, None, tree.parting(leaves), leaves)
