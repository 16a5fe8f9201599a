"""Walks over the state tree: a key's leaf or its neighbours, and no more than is asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from consensus.primitives import tree, walk
from tests.consensus.stored_tree import StoredTree

KEYS = st.lists(st.sampled_from([0, 1, 2, 3, 16, 128, 255]), min_size=4, max_size=4).map(bytes)
KEY_SETS = st.sets(KEYS, min_size=1, max_size=40).map(sorted)
HALVES = [b"\0\0\0\1", b"\x40\0\0\0", b"\x80\0\0\0", b"\xc0\0\0\0"]
"""The third is the very first key of the right half."""
SPREAD = [bytes((one, two, 0, 7)) for one in range(0, 256, 37) for two in (0, 3, 130)]


def top_of(keys: Sequence[bytes]) -> walk.Node:
    stored = StoredTree({key: b"v" + key for key in keys})
    found = walk.top(stored, stored.slot)
    assert found is not None
    return found


def key_of(leaf: walk.Leaf | None) -> bytes | None:
    return None if leaf is None else leaf.key


def assert_around(keys: Sequence[bytes], wanted: bytes) -> None:
    found = walk.around(top_of(keys), wanted)
    at = bisect_left(keys, wanted)
    if at < len(keys) and keys[at] == wanted:
        expected = wanted, None, None
    else:
        expected = None, keys[at - 1] if at else None, keys[at] if at < len(keys) else None
    assert (key_of(found.at), key_of(found.before), key_of(found.after)) == expected


@given(KEY_SETS, KEYS)
def test_a_key_or_its_neighbours(keys: list[bytes], wanted: bytes) -> None:
    assert_around(keys, wanted)


def test_every_place_between_a_few_keys() -> None:
    for size in (1, 2, 5, len(SPREAD)):
        for number in range(0, 256, 9):
            for wanted in (bytes((number, 1, 1, 1)), *SPREAD):
                assert_around(SPREAD[:size], wanted)


@example(SPREAD, [0, 0])
@example(SPREAD, [0, len(SPREAD) - 1])
@example(SPREAD, [2, 3, 9, 9, 10, 15])
@example(HALVES, [2, 2])
@example(HALVES, [0, 2])
@example(HALVES, [1, 2, 3, 3])
@given(KEY_SETS, st.lists(st.integers(0, 39), max_size=6).map(sorted))
def test_a_cut_has_the_leaves_that_are_asked_and_hashes_of_the_rest(
    keys: list[bytes], ends: list[int]
) -> None:
    """From each even one of ``ends`` to the next: runs of leaves, in order."""
    runs: list[tuple[int, int]] = []
    for first, last in zip(ends[::2], ends[1::2], strict=False):
        if last < len(keys) and (not runs or runs[-1][1] < first):
            runs.append((first, last))
    top = top_of(keys)
    spans = [(walk.number(keys[first]), walk.number(keys[last])) for first, last in runs]
    stack: list[tuple[bytes, bool]] = []
    shown: list[bytes] = []
    for part in walk.cut(top, spans):
        if isinstance(part, walk.Leaf):
            shown.append(part.key)
            stack.append((part.hash, True))
        elif isinstance(part, walk.Join):
            (right, right_shown), (left, left_shown) = stack.pop(), stack.pop()
            assert left_shown or right_shown, "two hashes, where their join would do"
            stack.append((tree.join(left, right), True))
        else:
            stack.append((part, False))
    assert [root for root, _ in stack] == [top.hash]
    assert shown == [key for first, last in runs for key in keys[first : last + 1]]


def test_each_page_is_read_once() -> None:
    keys = [bytes((one, two)) for one in range(0, 256, 5) for two in (0, 9, 200)]
    stored = StoredTree(dict.fromkeys(keys, b"v"))
    asked: list[bytes] = []

    class Source:
        def load(self, path: bytes) -> tree.Page:
            asked.append(path)
            return stored.load(path)

    found = walk.top(Source(), stored.slot)
    assert found is not None
    for _ in range(3):
        for key in keys:
            assert walk.around(found, key).at is not None
    assert len(asked) == len(set(asked)) > 1
