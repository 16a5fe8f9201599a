"""The flat state, the pages of its tree and the header's root, held against each other.

Three witnesses: the values, the tree that proves them, and the root that a quorum signed. Which one
is wrong follows from which two agree. Both walks are in key order and hold one path in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from consensus.primitives import tree
from consensus.primitives.errors import LocalFault
from node.care.findings import Findings, Progress
from node.store.kv import View
from node.store.state import META, PAGE, STATE, read_page

_HASH: Final = 32
_TOLD_EVERY: Final = 20_000


def _fork(left: bytes, right: bytes) -> int:
    """The first bit in which two keys in order differ, neither beginning the other."""
    size = max(len(left), len(right))
    a = int.from_bytes(left.ljust(size, b"\0"), "big")
    b = int.from_bytes(right.ljust(size, b"\0"), "big")
    return size * 8 - (a ^ b).bit_length()


def root_of(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The state root of (key, value) pairs in key order, without building their tree.

    Of subtrees that are not closed yet, each is joined with the one before it as soon as a key
    forks off nearer to the root than they do.
    """
    hashes: list[bytes] = []
    forks: list[int] = []  # between each of them and the next
    previous: bytes | None = None
    for key, value in pairs:
        if previous is not None:
            fork = _fork(previous, key)
            while forks and forks[-1] > fork:
                right = hashes.pop()
                hashes.append(tree.join(hashes.pop(), right))
                forks.pop()
            forks.append(fork)
        hashes.append(tree.leaf_hash(key, value))
        previous = key
    while forks:
        right = hashes.pop()
        hashes.append(tree.join(hashes.pop(), right))
        forks.pop()
    return hashes[0] if hashes else tree.EMPTY_ROOT


def flat_values(view: View) -> Iterator[tuple[bytes, bytes]]:
    for key, value in view.scan(STATE, _behind(STATE)):
        yield key[1:], value


def _behind(table: bytes) -> bytes:
    return bytes((table[0] + 1,))


class _Walk:
    """All leaves of the stored tree in key order, each page checked against the slot above it."""

    def __init__(self, view: View, findings: Findings) -> None:
        self._view = view
        self._findings = findings
        self.paths: set[bytes] = set()
        self.whole = True

    def wrong(self, path: bytes, what: str) -> None:
        self.whole = False
        self._findings.add("DB_PAGE_WRONG", f"table p, path {path.hex()}", what, "pages")

    def leaves(self, slot: bytes, path: bytes = b"") -> Iterator[tuple[bytes, bytes, bytes]]:
        """(key, leaf hash, path of the page that has it). A subtree that can't be believed is left
        out, and told. The key that stands beside a leaf's hash is vouched for by nothing: whoever
        takes it compares it."""
        if not slot:
            return
        if slot[_HASH] != tree.PAGE:
            leaves = tree.leaves_of(slot)
            if tree.join_leaves(leaves) != slot[:_HASH]:
                self.wrong(path, "inline leaves do not give the hash over them")
                return
            for leaf in leaves:
                yield leaf[_HASH + 1 :], leaf[:_HASH], path
            return
        path = slot[_HASH + 1 :]
        if path in self.paths:
            self.wrong(path, "two slots lead to this page")
            return
        self.paths.add(path)
        try:
            page = read_page(self._view, path)
        except LocalFault as fault:
            self.wrong(path, fault.message)
            return
        if page is None:
            self.wrong(path, "the page is missing")
            return
        if page.hashes[1] != slot[:_HASH]:
            self.wrong(path, "the page does not give the hash that the one above it has")
            return
        for one in page.slots:
            yield from self.leaves(one, path)


def check_state(view: View, root: bytes, findings: Findings, progress: Progress) -> int:
    """Hold the state against the newest header's root; returns the number of values.

    Findings: DB_STATE_WRONG (values), DB_PAGE_WRONG (tree).
    """
    counted = 0

    def values() -> Iterator[tuple[bytes, bytes]]:
        nonlocal counted
        for pair in flat_values(view):
            counted += 1
            if counted % _TOLD_EVERY == 0:
                progress("state values", counted, 0)
            yield pair

    flat_root = root_of(values())
    progress("state values", counted, counted)
    flat_right = flat_root == root
    walk = _Walk(view, findings)
    slot = view.get(META) or b""
    stored_right = tree.root_of(slot) == root
    if not stored_right:
        walk.wrong(b"", "the tree's root is not that of the newest header")
    if flat_right or stored_right:
        _compare(view, walk, slot, findings, counted if flat_right else None, progress)
    if flat_right or walk.whole:
        _strays(view, walk, findings)
    if not flat_right:
        findings.add(
            "DB_STATE_WRONG",
            "table s",
            f"the values give the root {flat_root.hex()}, the newest header has {root.hex()}",
            "replay",
        )
    progress("state tree", counted, counted)
    return counted


def _compare(
    view: View,
    walk: _Walk,
    slot: bytes,
    findings: Findings,
    right: int | None,
    progress: Progress,
) -> None:
    """Values and leaves side by side. ``right``: how many values there are, which give the header's
    root, so that what differs is wrong in the tree. None: the tree's root is the header's."""

    def wrong(key: bytes, path: bytes | None, what: str) -> None:
        if right is None:
            findings.add("DB_STATE_WRONG", f"table s, key {key.hex()}", what, "replay")
        elif path is not None:
            walk.wrong(path, f"its leaf of key {key.hex()} is not that of a value")
        elif walk.whole:
            walk.wrong(b"", f"no leaf for the value of key {key.hex()}")

    flat, proven = flat_values(view), walk.leaves(slot)
    value, leaf = next(flat, None), next(proven, None)
    done = 0
    while value is not None or leaf is not None:
        done += 1
        if done % _TOLD_EVERY == 0:
            progress("state tree", done, right or 0)
        if leaf is None or (value is not None and value[0] < leaf[0]):
            assert value is not None
            if walk.whole:  # else it may stand in the part of the tree that is damaged
                wrong(value[0], None, "a value that the tree does not have")
            value = next(flat, None)
        elif value is None or leaf[0] < value[0]:
            wrong(leaf[0], leaf[2], "the value is missing")
            leaf = next(proven, None)
        else:
            if tree.leaf_hash(*value) != leaf[1]:
                wrong(value[0], leaf[2], "the value is not the one that the tree proves")
            value, leaf = next(flat, None), next(proven, None)


def _strays(view: View, walk: _Walk, findings: Findings) -> None:
    if not walk.whole:
        return
    for key, _ in view.scan(PAGE, _behind(PAGE)):
        if key[1:-1] not in walk.paths or key[-1] > 15:
            where = f"table p, path {key[1:-1].hex()}"
            findings.add("DB_PAGE_WRONG", where, "no page leads here", "pages")
