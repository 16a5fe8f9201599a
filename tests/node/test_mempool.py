"""The mempool's bounds, order and suspects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import node.mempool
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import TxRejected
from consensus.transaction import Call, Transaction, TransactionBody
from node.mempool import HURRIED_MS, HURRIED_TXS, RETRY_AFTER_MS, Mempool, Pooled
from tests.node.support import code_of

NOW = 1_000_000
WINDOW = 600_000


def entry(number: int, *, valid_until: int = NOW + 1000, steps_max: int = 10) -> Pooled:
    """A transaction of which the pool only looks at the body."""
    body = TransactionBody(
        1,
        sha256(b"chain"),
        sha256(b"sender"),
        (Call("a", "b", {}),),
        valid_until,
        steps_max,
        number.to_bytes(16, "big"),
    )
    return Pooled(Transaction(body.raw, bytes(64)), number, own=True)


def reap(
    pool: Mempool, *, time_ms: int = NOW, txs_max: int = 100, bytes_max: int = 1 << 20,
    steps_max: int = 10_000,
) -> list[Pooled]:  # fmt: skip
    return pool.reap(
        time_ms=time_ms,
        window_ms=WINDOW,
        txs_max=txs_max,
        bytes_max=bytes_max,
        steps_max=steps_max,
    )


def filled(count: int) -> tuple[Mempool, list[Pooled]]:
    pool, entries = Mempool(), [entry(number) for number in range(count)]
    for one in entries:
        pool.add(one)
    return pool, entries


def test_bounded_in_number_and_bytes_with_a_time_to_retry() -> None:
    size = entry(0).size
    for pool in (Mempool(txs_max=3), Mempool(bytes_max=3 * size)):
        for number in range(3):
            assert pool.has_room
            pool.add(entry(number))
        assert not pool.has_room
        with pytest.raises(TxRejected) as caught:
            pool.add(entry(3))
        assert caught.value.code == "MEMPOOL_FULL"
        assert caught.value.retry_after_ms == RETRY_AFTER_MS
        assert len(pool) == 3 and pool.bytes == 3 * size
        pool.remove_committed([entry(1).tx.tx_id])
        pool.add(entry(3))


def test_reaped_in_admission_order_within_every_limit() -> None:
    pool, entries = filled(10)
    size = entries[0].size
    assert reap(pool) == entries
    assert reap(pool, txs_max=4) == entries[:4]
    assert reap(pool, txs_max=0) == []
    assert reap(pool, bytes_max=3 * size + 1) == entries[:3]
    assert reap(pool, steps_max=55) == entries[:5]
    assert len(pool) == 10, "reaping takes nothing out"
    assert list(pool.newest_first()) == entries[::-1]


def test_only_what_a_block_of_that_time_may_hold() -> None:
    pool = Mempool()
    late, now, far = (
        entry(0, valid_until=NOW - 1), entry(1, valid_until=NOW),
        entry(2, valid_until=NOW + WINDOW + 1),
    )  # fmt: skip
    for one in (late, now, far):
        pool.add(one)
    assert reap(pool) == [now]
    assert reap(pool, time_ms=NOW + 1) == [far]


def test_expiry_takes_out_what_no_later_block_can_hold() -> None:
    pool = Mempool()
    entries = [entry(number, valid_until=NOW + 10 - number) for number in range(5)]
    for one in entries:
        pool.add(one)
    assert pool.remove_expired(NOW + 5) == []
    # Block times grow, so a block after NOW + 7 is at NOW + 8 or later.
    assert pool.remove_expired(NOW + 7) == [entries[4], entries[3]]
    pool.remove_committed([entries[2].tx.tx_id])
    assert pool.remove_expired(NOW + 100) == [entries[1], entries[0]]
    assert len(pool) == pool.bytes == 0


def test_lowered_limits_take_out_what_is_above_them() -> None:
    pool = Mempool()
    entries = [entry(1, steps_max=10), entry(2, steps_max=11), entry(3, steps_max=1)]
    for one in entries:
        pool.add(one)
    size = entries[0].size
    assert pool.remove_unfit(size, 10) == [entries[1]]
    assert pool.remove_unfit(size - 1, 10) == [entries[0], entries[2]]
    assert (len(pool), pool.bytes) == (0, 0)
    pool.add(entries[1])


def test_memory_of_committed_transactions_does_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node.mempool, "EXPIRY_SPARE", 10)
    pool = Mempool()
    stays = entry(0, valid_until=NOW + 5)
    pool.add(stays)
    for number in range(1, 200):
        one = entry(number, valid_until=NOW + 1000)
        pool.add(one)
        pool.remove_committed([one.tx.tx_id])
    assert len(pool._expiry) <= 13
    assert pool.remove_expired(NOW + 5) == [stays]


def test_another_signature_of_a_committed_body_goes_too() -> None:
    pool = Mempool()
    one = entry(1)
    pool.add(one)
    other = Transaction(one.tx.body_raw, bytes([1]) * 64)
    assert other.wire_id != one.wire_id
    pool.remove_committed([other.tx_id])
    assert len(pool) == 0
    assert pool.get(one.wire_id) is None and pool.by_tx_id(one.tx.tx_id) is None


def test_suspects_come_in_ever_smaller_groups_until_one_is_held_out() -> None:
    """The one that splits every vote it is in is found; the others are committed meanwhile."""
    pool, entries = filled(40)
    poison = entries[23]
    held: list[Pooled] = []
    blocks = 0
    while not held:
        blocks += 1
        assert blocks < 100
        group = reap(pool)
        assert group
        if poison in group:
            held = pool.suspect(tuple(one.wire_id for one in group))
        else:
            pool.remove_committed([one.tx.tx_id for one in group])
    assert held == [poison]
    while group := reap(pool):
        assert poison not in group
        pool.remove_committed([one.tx.tx_id for one in group])
    assert len(pool) == 1
    assert pool.waits_since() is None, "it must not keep the chain busy"
    assert pool.remove_expired(NOW + 1000) == [poison]


def test_fresh_transactions_join_no_larger_group_than_a_suspect_allows() -> None:
    pool, entries = filled(8)
    pool.suspect(tuple(one.wire_id for one in entries))
    fresh = entry(100)
    pool.add(fresh)
    assert reap(pool) == entries[:2]
    pool.remove_committed([one.tx.tx_id for one in entries])
    assert reap(pool) == [fresh]


def test_waits_since_the_oldest_that_may_be_proposed() -> None:
    pool, entries = filled(3)
    assert pool.waits_since() == 0
    pool.suspect((entries[0].wire_id,))
    assert pool.waits_since() == 1
    assert code_of(pool.check_room, 1 << 30) == "MEMPOOL_FULL"


def test_hurried_when_many_wait_for_long() -> None:
    pool, entries = filled(HURRIED_TXS + 1)
    late = entries[0].arrived_ms + HURRIED_MS
    assert not pool.hurried(late) and pool.hurried(late + 1)
    pool.suspect((entries[0].wire_id,))
    assert pool.hurried(entries[1].arrived_ms + HURRIED_MS + 1)
    pool.remove_committed([entries[1].tx.tx_id])
    assert not pool.hurried(late + 10**6)


@given(st.lists(st.tuples(st.sampled_from("acxr"), st.integers(0, 12)), max_size=60))
def test_count_and_bytes_always_fit_the_contents(steps: list[tuple[str, int]]) -> None:
    pool = Mempool(txs_max=8)
    for kind, number in steps:
        one = entry(number, valid_until=NOW + number)
        if kind == "a" and pool.get(one.wire_id) is None:
            assert code_of(pool.add, one) in ("", "MEMPOOL_FULL")
        elif kind == "c":
            pool.remove_committed([one.tx.tx_id])
        elif kind == "x":
            pool.remove_expired(NOW + number)
        else:
            pool.suspect((one.wire_id,))
        inside = list(pool.newest_first())
        assert len(pool) == len(inside) <= 8
        assert pool.bytes == sum(one.size for one in inside)
        assert all(pool.by_tx_id(one.tx.tx_id) is one for one in inside)


def test_held_out_and_released_by_name() -> None:
    pool, entries = filled(4)
    wire_ids = [one.wire_id for one in entries]
    unknown = entry(100).wire_id
    pool.suspect(tuple(wire_ids))
    assert pool.hold_out([wire_ids[1], unknown]) == [entries[1]]
    assert pool.hold_out([wire_ids[1]]) == [], "once"
    assert pool.release([wire_ids[0], wire_ids[2], unknown]) == []
    pool.doubt([wire_ids[2], wire_ids[1], unknown])
    assert [one.group_max == 0 for one in entries] == [False, True, False, False]
    limits = {"time_ms": NOW, "window_ms": 600_000, "txs_max": 9, "bytes_max": 1 << 20}
    assert pool.reap(**limits, steps_max=1 << 40, suspects=False) == [entries[0]]
    assert pool.release(wire_ids[1:2]) == [entries[1]]
    pool.release(wire_ids[2:])
    assert reap(pool) == entries
