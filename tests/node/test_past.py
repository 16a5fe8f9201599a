"""Earlier states out of what blocks replaced: the same values, ranges and proofs as then."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.block import Header
from consensus.primitives import tree
from consensus.primitives.errors import InputError
from consensus.proofs import Wanted, prove_state
from node.store import schema
from node.store.kept import KeptState
from node.store.kv import LevelKV
from node.store.memory import MemoryKV
from node.store.past import Past, PastState
from node.store.retention import Retention
from node.store.schema import height_key
from node.store.state import StateStore
from tests.node.support import OneChain, code_of

ARCHIVE = Retention(states=True)

KEYS = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.sampled_from(
        [b"\x00", b"\x00\xff", b"a\x00", b"a\x00\xff", b"a\x00\x01", b"b", b"\xff" * 9]
    ),
)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=4), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(blocks=st.lists(CHANGES, min_size=1, max_size=40), kept=st.sampled_from([0, 1, 5]))
def test_every_earlier_state_is_as_it_was(
    blocks: list[dict[bytes, bytes | None]], kept: int
) -> None:
    """Random changes, some of keys that begin one another at different times."""
    kv = MemoryKV()
    state = StateStore(kv)
    past = Past(kv, Retention(True, kept))
    past.open(0)
    model: dict[bytes, bytes] = {}
    states = [(tree.EMPTY_ROOT, dict(model))]
    for drawn in blocks:
        changes = drawn
        try:
            delta = state.prepare(changes)
        except InputError:  # a key that begins another
            changes = {}
            delta = state.prepare(changes)
        height = len(states)
        operations = delta.operations + past.replaced(height, delta)
        if kept:
            operations += past.dropped(max(height - max(kept, 2) + 1, 0))
        kv.write(operations, sync=True)
        state.commit(delta)
        for key, value in changes.items():
            model.pop(key, None)
            if value is not None:
                model[key] = value
        states.append((delta.root, dict(model)))
    tip = len(states) - 1
    header = replace(some_header(), height=tip)
    newest = KeptState(header, None, kv.snapshot())
    assert past.first == (max(tip - max(kept, 2) + 1, 0) if kept else 0)
    for height in range(past.first or 0, tip):
        root, then = states[height]
        at = PastState(replace(header, height=height), None, newest)
        assert tree.root_of(at.slot) == root
        assert list(at.scan(b"", b"\xff" * 97)) == sorted(then.items())
        wanted = Wanted([*list(then)[:3], b"absent"], [(b"a", b"b\x00")])
        try:
            shown = prove_state(at, at.slot, at.get, wanted).check(root)
        except InputError:  # "absent" is begun by a key
            continue
        for key in wanted.keys:
            assert shown.get(key) == then.get(key) == at.get(key)
        inside = [pair for pair in sorted(then.items()) if b"a" <= pair[0] < b"b\x00"]
        assert list(shown.scan(b"a", b"b\x00")) == inside
    if kept:
        heights = {int.from_bytes(key[-8:], "big") for key, _ in kv.scan(b"f", b"g")}
        assert all(one > (past.first or 0) for one in heights)
        indexed = {int.from_bytes(key[1:], "big") for key, _ in kv.scan(b"n", b"o")}
        assert indexed == set(range((past.first or 0) + 1, tip + 1))


@cache
def some_header() -> Header:
    return OneChain().chain.header


async def test_an_archive_proves_and_answers_for_every_height(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "chain")
    one = OneChain(kv=kv, retention=ARCHIVE)
    chain = one.chain
    chain.states.begin(chain.header, chain.certificate)
    states = {0: dict(chain.state.scan(b"", b"\xff" * 97))}
    for count in range(70):
        await one.block([one.transaction() for _ in range(count % 3)])
        states[chain.height] = dict(chain.state.scan(b"", b"\xff" * 97))
    assert min(chain.states.heights()) > 0 == chain.states_from
    for height in (0, 1, 5, chain.height - 1, chain.height):
        at = chain.state_at(height)
        assert at.header == chain.blocks.header(height)
        with at.in_use():
            assert tree.root_of(at.slot) == at.header.state_root
            assert dict(at.scan(b"", b"\xff" * 97)) == states[height]
            keys = [*list(states[height])[:2], *list(states[70])[-2:]]
            shown = prove_state(at, at.slot, at.get, Wanted(keys)).check(at.header.state_root)
            assert [shown.get(key) for key in keys] == [states[height].get(key) for key in keys]
    with pytest.raises(InputError, match="STATE_NOT_KEPT"):
        chain.state_at(chain.height + 1)
    chain.states.close()
    kv.close()
    # After a restart, and after a time without a past.
    kv = LevelKV(tmp_path / "chain")
    one.kv = kv
    chain = one.chain = one.open()
    chain.states.begin(chain.header, chain.certificate)
    assert chain.states_from == 0 and chain.states.heights() == [70]
    assert dict(chain.state_at(33).scan(b"", b"\xff" * 97)) == states[33]
    chain.states.close()
    one.retention = Retention()
    chain = one.chain = one.open()
    assert chain.states_from is None
    assert not list(kv.scan(b"f", b"g")) and not list(kv.scan(b"k", b"l"))
    await one.block([one.transaction()])
    one.retention = ARCHIVE
    assert one.open().states_from == 71
    kv.close()


async def test_pruning_leaves_headers_and_what_may_still_be_valid(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "chain")
    one = OneChain(kv=kv, retention=Retention(True, 5))
    chain = one.chain
    chain.states.begin(chain.header, chain.certificate)
    window_ms = chain.params.tx_window_ms
    hashes, ids = [chain.hash], []
    for number in range(12):
        now_ms = chain.header.time_ms + window_ms // 3
        tx = one.transaction(valid_until=now_ms + 60_000)
        ids.append(tx.tx_id)
        await one.commit([tx], time_ms=now_ms)
        hashes.append(chain.hash)
        assert chain.blocks.oldest == max(0, number - 3), "five blocks, as long as a window"
    oldest = chain.blocks.oldest
    assert oldest == 12 - 4 == chain.states_from
    for height, digest in enumerate(hashes):
        header = chain.blocks.header(height)
        assert header is not None and header.digest == digest
        assert (chain.blocks.certificate(height) is None) == (height == 0)
        assert (chain.blocks.block(height) is None) == (height < oldest)
        code = code_of(chain.blocks.require_whole, height)
        assert code == ("BLOCK_PRUNED" if height < oldest else "")
    assert [chain.blocks.position_of(one) is None for one in ids] == [True] * 7 + [False] * 5
    for table in (schema.BLOCK, schema.RECEIPTS):
        assert kv.get(height_key(table, oldest - 1)) is None
        assert kv.get(height_key(table, oldest)) is not None
    again = one.open()
    assert (again.height, again.blocks.oldest, again.states_from) == (12, oldest, oldest)
    assert [again.committed(one) for one in ids] == [False] * 7 + [True] * 5
    again.states.begin(again.header, again.certificate)
    for height in range(13):
        assert code_of(again.state_at, height) == ("STATE_NOT_KEPT" if height < oldest else "")
    again.states.close()
    # Blocks of a window stay, however few are to be kept.
    for _ in range(8):
        await one.commit(
            [one.transaction(valid_until=chain.header.time_ms + 9)],
            time_ms=chain.header.time_ms + 1,
        )
    assert chain.height - chain.blocks.oldest > 5
    chain.states.close()
    kv.close()
