"""The state store: prepared side by side, committed in the caller's batch, found after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from consensus.primitives import tree
from consensus.primitives.errors import InputError, LocalFault
from node.store.kv import KV, LevelKV
from node.store.memory import MemoryKV
from node.store.state import META, PAGE, StateDelta, StateStore


@pytest.fixture(params=["level", "memory"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KV]:
    store: KV = LevelKV(tmp_path / "db") if request.param == "level" else MemoryKV()
    yield store
    store.close()


class NoPages:
    def load(self, path: bytes) -> tree.Page:
        raise AssertionError(path)


def root_of(contents: dict[bytes, bytes]) -> bytes:
    return tree.update(NoPages(), b"", dict(contents)).root


def commit(kv: KV, store: StateStore, delta: StateDelta) -> None:
    kv.write(delta.operations, sync=True)
    store.commit(delta)


def some(count: int, seed: int = 0) -> dict[bytes, bytes]:
    random = Random(seed)
    return {random.randbytes(8): random.randbytes(20) for _ in range(count)}


def test_an_empty_state(kv: KV) -> None:
    store = StateStore(kv)
    assert store.root == tree.EMPTY_ROOT
    delta = store.prepare({})
    assert delta.root == tree.EMPTY_ROOT
    commit(kv, store, delta)
    assert StateStore(kv).root == tree.EMPTY_ROOT
    assert store.get(b"a") is None
    assert list(store.scan(b"", b"\xff")) == []


def test_blocks_of_changes(kv: KV) -> None:
    store, contents = StateStore(kv), some(200)
    commit(kv, store, store.prepare(dict(contents)))
    for number in range(5):
        gone = sorted(contents)[number::7]
        fresh = some(20, seed=number + 1)
        changes: dict[bytes, bytes | None] = dict.fromkeys(gone) | fresh
        contents = {key: value for key, value in contents.items() if key not in gone} | fresh
        delta = store.prepare(changes)
        commit(kv, store, delta)
        assert store.root == delta.root == root_of(contents)
        assert store.prepare({}).root == store.root
        assert dict(store.scan(b"", b"\xff" * 9)) == contents
        assert StateStore(kv).root == store.root
    assert list(store.scan(b"\x40", b"\x80")) == sorted(
        (key, value) for key, value in contents.items() if b"\x40" <= key < b"\x80"
    )
    assert all(store.get(key) == value for key, value in contents.items())
    commit(kv, store, store.prepare(dict.fromkeys(contents)))
    assert store.root == tree.EMPTY_ROOT
    assert list(kv.scan(PAGE, PAGE + b"\xff")) == []
    assert kv.get(META) is None


def test_states_prepared_side_by_side(kv: KV) -> None:
    store, base = StateStore(kv), some(100)
    commit(kv, store, store.prepare(dict(base)))
    key = min(base)
    one, other = store.prepare({key: b"1"}), store.prepare({key: None, b"new": b"2"})
    assert store.root == root_of(base)
    assert store.get(key) == base[key]
    assert one.root == root_of(base | {key: b"1"})
    del base[key]
    assert other.root == root_of(base | {b"new": b"2"})
    commit(kv, store, other)
    assert store.root == other.root
    with pytest.raises(LocalFault) as caught:
        store.commit(one)
    assert caught.value.code == "STATE_STALE"
    assert store.prepare({key: b"1", b"new": None}).root == root_of(base | {key: b"1"})


def test_a_crash_leaves_the_state_before_or_after() -> None:
    kv, first, second = MemoryKV(), some(50), some(50, seed=1)
    store = StateStore(kv)
    commit(kv, store, store.prepare(dict(first)))
    before = store.root
    delta = store.prepare(dict(second))
    kv.write(delta.operations, sync=False)
    kv.crash()
    again = StateStore(kv)
    assert again.root == before
    assert dict(again.scan(b"", b"\xff" * 9)) == first
    assert again.prepare(dict(second)).root == delta.root
    kv.write(delta.operations, sync=False)
    kv.crash(batches_kept=1)
    assert StateStore(kv).root == delta.root == root_of(first | second)


def test_a_small_page_cache_changes_nothing_but_speed() -> None:
    kv, contents = MemoryKV(), some(2_000)
    store = StateStore(kv, pages_cached_max=3)
    commit(kv, store, store.prepare(dict(contents)))
    for seed in range(3):
        changes: dict[bytes, bytes | None] = dict.fromkeys(sorted(contents)[seed::31], b"x")
        contents |= dict.fromkeys(changes, b"x")
        commit(kv, store, store.prepare(changes))
        assert store.root == root_of(contents)
        assert len(store._cache) <= 3


def test_a_lost_page_stops_the_node() -> None:
    kv, contents = MemoryKV(), some(100)
    store = StateStore(kv)
    commit(kv, store, store.prepare(dict(contents)))
    kv.write([(path, None) for path, _ in kv.scan(PAGE, PAGE + b"\xff")], sync=True)
    with pytest.raises(LocalFault) as caught:
        StateStore(kv).prepare({min(contents): b"x"})
    assert caught.value.code == "STORE_CORRUPT"


def test_a_refused_change_leaves_no_trace() -> None:
    kv = MemoryKV()
    store = StateStore(kv)
    commit(kv, store, store.prepare({b"a": b"1"}))
    with pytest.raises(InputError) as caught:
        store.prepare({b"ab": b"2"})
    assert caught.value.code == "KEY_NOT_PREFIX_FREE"
    assert store.root == root_of({b"a": b"1"})
