"""The state tree against a naive one, under every kind of history."""

from __future__ import annotations

from hashlib import sha256
from itertools import combinations
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.primitives import tree
from consensus.primitives.errors import InputError, LocalFault
from consensus.primitives.keys import encode_key

Pairs = dict[bytes, bytes]


def naive_root(pairs: Pairs, bit: int = 0) -> bytes:
    """PROTOCOL's rule, word for word: split by one bit after the other."""
    if not pairs:
        return sha256(b"").digest()
    if len(pairs) == 1:
        ((key, value),) = pairs.items()
        assert len(key) < 128  # so its varint is one byte
        head = b"\x00" + bytes((len(key),)) + key + b"\x20"
        return sha256(head + sha256(value).digest()).digest()
    sides: tuple[Pairs, Pairs] = ({}, {})
    for key, value in pairs.items():
        sides[key[bit // 8] >> (7 - bit % 8) & 1][key] = value
    left, right = sides
    if not left or not right:
        return naive_root(left or right, bit + 1)
    return sha256(b"\x01" + naive_root(left, bit + 1) + naive_root(right, bit + 1)).digest()


class Stored:
    """A tree whose pages go through their stored bytes at every step."""

    def __init__(self) -> None:
        self.slot = b""
        self.pages: dict[bytes, bytes] = {}
        self.loads = 0

    def load(self, path: bytes) -> tree.Page:
        self.loads += 1
        return tree.Page.decode(self.pages[path])

    def apply(self, changes: dict[bytes, bytes | None]) -> bytes:
        update = tree.update(self, self.slot, changes)
        self.slot = update.slot
        assert sorted(update.slots) == sorted(self.changed(update.pages))
        for path, page in update.pages.items():
            if page is None:
                del self.pages[path]
            else:
                self.pages[path] = page.encode()
        return update.root

    def changed(
        self, pages: dict[bytes, tree.Page | None]
    ) -> list[tuple[bytes, int, bytes, bytes]]:
        """What an update must say of slots, from the pages before and after it."""
        none = (b"",) * 16
        found = []
        for path, page in pages.items():
            old = tree.Page.decode(self.pages[path]).slots if path in self.pages else none
            new = none if page is None else page.slots
            found += [
                (path, at, *two)
                for at, two in enumerate(zip(old, new, strict=True))
                if two[0] != two[1]
            ]
        return found


class Cached(Stored):
    """A tree whose pages stay in memory with their inner hashes."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[bytes, tree.Page] = {}

    def load(self, path: bytes) -> tree.Page:
        return self.live[path]

    def apply(self, changes: dict[bytes, bytes | None]) -> bytes:
        update = tree.update(self, self.slot, changes)
        self.slot = update.slot
        for path, page in update.pages.items():
            if page is None:
                del self.live[path]
            else:
                self.live[path] = page
        return update.root


def pages_of(pairs: Pairs) -> tuple[bytes, dict[bytes, bytes]]:
    """What a tree that is built at once stores."""
    built = Stored()
    built.apply(dict(pairs))
    return built.slot, built.pages


# A byte below 0x80 goes on, one above ends the key: prefix-free, with many shared beginnings.
keys = st.builds(
    lambda head, last: bytes(head) + bytes((last,)),
    st.lists(st.sampled_from((0x00, 0x01, 0x10, 0x11, 0x70)), max_size=5),
    st.sampled_from((0x80, 0x81, 0x88, 0x90, 0xC0, 0xFF)),
)
values = st.sampled_from((b"", b"a", b"b" * 40))
changes = st.dictionaries(keys, st.one_of(values, values, st.none()), max_size=30)


@given(st.lists(changes, max_size=6))
@example([{}])
@example([{b"\x80": b"a"}, {b"\x80": None}])
def test_any_history_ends_in_the_root_and_pages_of_its_contents(
    history: list[dict[bytes, bytes | None]],
) -> None:
    stored, cached = Stored(), Cached()
    contents: Pairs = {}
    for step in history:
        for key, value in step.items():
            contents.pop(key, None)
            if value is not None:
                contents[key] = value
        expected = naive_root(contents)
        assert stored.apply(step) == expected
        assert cached.apply(step) == expected
        assert (stored.slot, stored.pages) == pages_of(contents)
        assert {path: page.encode() for path, page in cached.live.items()} == stored.pages


@given(st.dictionaries(keys, values, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_order_and_grouping_of_changes_do_not_show(pairs: Pairs, random: Random) -> None:
    at_once = Stored().apply(dict(pairs))
    order = list(pairs)
    random.shuffle(order)
    one_by_one = Cached()
    for key in order:
        one_by_one.apply({key: pairs[key]})
    assert tree.root_of(one_by_one.slot) == at_once
    for key in order:
        one_by_one.apply({key: None})
    assert tree.root_of(one_by_one.slot) == tree.EMPTY_ROOT
    assert not one_by_one.live


def test_many_hashed_keys() -> None:
    random = Random(7)
    contents: Pairs = {random.randbytes(32): random.randbytes(8) for _ in range(3_000)}
    cached = Cached()
    assert cached.apply(dict(contents)) == naive_root(contents)
    for size in (1, 2, 5, 300):
        step: dict[bytes, bytes | None] = dict.fromkeys(random.sample(list(contents), size), b"new")
        step |= dict.fromkeys(random.sample(list(contents), size))
        step |= {random.randbytes(32): b"added" for _ in range(size)}
        for key, value in step.items():
            contents.pop(key, None)
            if value is not None:
                contents[key] = value
        assert cached.apply(step) == naive_root(contents)
        assert {path: page.encode() for path, page in cached.live.items()} == pages_of(contents)[1]


def test_a_tree_as_deep_as_keys_can_be() -> None:
    # At every nibble of a longest key five keys leave the path, so each level is a page.
    spine = b"\x77" * tree.KEY_BYTES_MAX
    contents: Pairs = {}
    for depth in range(2 * tree.KEY_BYTES_MAX):
        for nibble in (1, 2, 3, 4, 5):
            digits = spine.hex()[:depth] + str(nibble)
            contents[bytes.fromhex(digits.ljust(2 * tree.KEY_BYTES_MAX, "0"))] = b"v"
    stored = Stored()
    assert stored.apply(dict(contents)) == naive_root(contents)
    assert len(stored.pages) == 2 * tree.KEY_BYTES_MAX
    deepest = spine[:-1] + b"\x71"
    contents[deepest] = b"w"
    assert stored.apply({deepest: b"w"}) == naive_root(contents)


def test_keys_that_leave_a_shared_beginning_at_any_nibble() -> None:
    """Five keys have a page far below the root; others part from its path above it, at each nibble
    and on each side, alone and in runs whose first, last or middle stays on the path."""
    shared = "2b7e"  # four nibbles that differ
    base = {bytes.fromhex(f"{shared}{nibble}580"): b"v" for nibble in "34567"}
    leaving = [
        f"{shared[:at]}{int(nibble, 16) + side:x}5880"[: 4 + 2 * (at // 2)]
        for at, nibble in enumerate(shared)
        for side in (-1, 1)
    ]
    steps = [
        dict.fromkeys(map(bytes.fromhex, chosen), value)
        for size in (1, 2, 3)
        for chosen in combinations([*leaving, f"{shared}3580", f"{shared}5680"], size)
        for value in (b"w", None)
    ]
    for step in steps:
        stored, cached = Stored(), Cached()
        contents: Pairs = dict(base)
        for changed in (dict(base), step):
            stored.apply(changed)
            cached.apply(changed)
        for key, value in step.items():
            contents.pop(key, None)
            if value is not None:
                contents[key] = value
        assert tree.root_of(stored.slot) == tree.root_of(cached.slot) == naive_root(contents)
        assert (stored.slot, stored.pages) == pages_of(contents)
        for changed in (dict.fromkeys(step), dict(base)):
            stored.apply(changed)
        assert (stored.slot, stored.pages) == pages_of(base)


def test_the_last_of_all_keys() -> None:
    """Nothing is taken for its beginning."""
    last = b"\xff" * tree.KEY_BYTES_MAX
    assert Stored().apply({last: b"v"}) == naive_root({last: b"v"})


def test_an_update_leaves_its_base_alone_and_reads_only_its_paths() -> None:
    stored = Stored()
    random = Random(1)
    base: Pairs = {random.randbytes(32): b"v" for _ in range(500)}
    stored.apply(dict(base))
    slot, pages = stored.slot, dict(stored.pages)
    stored.loads = 0
    some = next(iter(base))
    one = tree.update(stored, stored.slot, {some: b"1"})
    assert stored.loads <= 4
    other = tree.update(stored, stored.slot, {some: b"2"})
    assert (stored.slot, stored.pages) == (slot, pages)
    assert one.root == naive_root(base | {some: b"1"})
    assert other.root == naive_root(base | {some: b"2"})


def test_a_change_that_changes_nothing_writes_no_page() -> None:
    stored = Stored()
    base: Pairs = {bytes((number, number)): b"v" for number in range(64)}
    stored.apply(dict(base))
    same = tree.update(stored, stored.slot, {b"\x01\x01": b"v", b"\x01\x02": None, b"\xff": None})
    assert same.pages == {}
    assert same.slot == stored.slot
    assert tree.update(stored, stored.slot, {}) == same


@pytest.mark.parametrize(
    ("present", "changed", "code"),
    [
        ([], [b""], "KEY_EMPTY"),
        ([], [b"x" * 97], "KEY_TOO_LONG"),
        ([], [b"a", b"ab"], "KEY_NOT_PREFIX_FREE"),
        ([b"a"], [b"ab"], "KEY_NOT_PREFIX_FREE"),
        ([b"ab"], [b"a"], "KEY_NOT_PREFIX_FREE"),
        ([b"b", b"ab"], [b"a"], "KEY_NOT_PREFIX_FREE"),
        ([b"a"], [b"a1", b"a2", b"a3", b"a4", b"a5"], "KEY_NOT_PREFIX_FREE"),
        ([b"a1", b"a2", b"a3", b"a4", b"a5"], [b"a"], "KEY_NOT_PREFIX_FREE"),
        ([b"a11", b"a21", b"a31", b"a41", b"a51"], [b"a1"], "KEY_NOT_PREFIX_FREE"),
        ([b"abc1", b"abc2", b"abc3", b"abc4", b"abc5"], [b"ab"], "KEY_NOT_PREFIX_FREE"),
        ([b"abc1", b"abc2", b"abc3", b"abc4", b"abc5"], [b"ab", b"b"], "KEY_NOT_PREFIX_FREE"),
    ],
)
def test_keys_that_no_tree_can_hold_are_refused(
    present: list[bytes], changed: list[bytes], code: str
) -> None:
    stored = Stored()
    stored.apply(dict.fromkeys(present, b"v"))
    before = stored.slot, dict(stored.pages)
    with pytest.raises(InputError) as caught:
        stored.apply(dict.fromkeys(changed, b"v"))
    assert caught.value.code == code
    assert (stored.slot, stored.pages) == before


@given(st.dictionaries(keys, values, min_size=5, max_size=30), st.data())
def test_a_damaged_page_is_not_taken_for_one(pairs: Pairs, data: st.DataObject) -> None:
    _, pages = pages_of(pairs)
    raw = data.draw(st.sampled_from(sorted(pages.values())))
    assert tree.Page.decode(raw).encode() == raw
    for damaged in (raw + b"x", raw[:-1], raw[:20], b""):
        with pytest.raises(LocalFault) as caught:
            tree.Page.decode(damaged)
        assert caught.value.code == "STORE_CORRUPT"


@pytest.mark.parametrize("size", [1, 32, 33])
def test_a_slot_holds_more_than_a_hash_and_what_follows_it(size: int) -> None:
    """33 bytes are a hash and a mark without the path, key or leaves that the mark announces."""
    sizes = [0] * 15 + [size]
    raw = b"".join(one.to_bytes(2, "big") for one in sizes) + bytes(size)
    with pytest.raises(LocalFault) as caught:
        tree.Page.decode(raw)
    assert caught.value.code == "STORE_CORRUPT"


def test_the_worked_examples_of_the_specification() -> None:
    names: list[tuple[str | int, ...]] = [("A7", 1), ("A7", 2), ("B1", 1)]
    pairs = {
        encode_key("batch", "items", parts): bytes((number,))
        for number, parts in enumerate(names, start=1)
    }
    stored = Stored()
    assert [stored.apply({key: value}).hex() for key, value in pairs.items()] == [
        "7ba5a86490475109a8d22a764c23f4452331fe786747a74d931c831ba0dac252",
        "a4936e5719e293cf0e77a7fa0b8c6c08db328c83e005688c8842c7fca664cf97",
        "2844e6b7f4ef76ba81eb9aba90317e4caffd0b0896cf62174744538607b431df",
    ]
    six = {encode_key("c", "m", (number,)): bytes((number,)) for number in range(1, 7)}
    slot, pages = pages_of(six)
    root = "5faa33a46a365377dfaee413da1b3d7c47d38c2f0040df3c15573a6874dd2db0"
    path = "0b63006d001500"
    assert slot.hex() == root + "00" + path
    leaves = [tree.leaf_hash(key, value) + b"\x01" + key for key, value in six.items()]
    sizes = bytes(2) + b"\x00\x28" * 6 + bytes(18)
    assert pages == {bytes.fromhex(path): sizes + b"".join(leaves)}


@given(
    st.dictionaries(st.binary(min_size=5, max_size=5), st.binary(max_size=3), max_size=80),
    st.dictionaries(st.binary(min_size=5, max_size=5), st.none(), max_size=20),
)
def test_a_tree_built_at_once_is_the_one_that_grew(
    pairs: Pairs, passing: dict[bytes, None]
) -> None:
    """The same slot and the same pages, whatever came and went before."""
    stored = Stored()
    stored.apply({**dict.fromkeys(passing, b"?"), **pairs})
    stored.apply({key: None for key in passing if key not in pairs})
    built = tree.build(sorted(pairs.items()), 0)
    assert built.slot == stored.slot
    assert {path: page.encode() for path, page in built.pages.items() if page} == stored.pages
    assert sorted(built.slots) == sorted(Stored().changed(built.pages))


def test_what_can_not_be_built() -> None:
    def code(*pairs: tuple[bytes, bytes]) -> str:
        with pytest.raises(InputError) as caught:
            tree.build(pairs, 0)
        return caught.value.code

    assert code((b"b", b""), (b"a", b"")) == code((b"a", b""), (b"a", b"")) == "KEY_ORDER"
    assert code((b"", b"")) == "KEY_ORDER"
    assert code((b"a" * 97, b"")) == "KEY_TOO_LONG"
    assert code((b"a", b""), (b"ab", b"")) == "KEY_NOT_PREFIX_FREE"
    many = [(b"k" * length, b"") for length in range(1, 9)]
    assert code(*many) == "KEY_NOT_PREFIX_FREE"
    tree.build([(b"a" * 96, b"")], 0)
