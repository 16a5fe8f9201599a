"""Lists of outcomes: signed as a whole, compared place by place, proven by details."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.block import Header
from consensus.outcomes import (
    NOTHING,
    SHOWN_BYTES_MAX,
    Detail,
    Difference,
    Outcomes,
    Write,
    detail_of,
    differences,
    tainted_keys,
    writes_digest,
)
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.receipt import Receipt
from tests.vectors.samples import CHAIN_ID, samples

SEED = sha256(b"a validator")
HEADER = samples()["Header"]
assert isinstance(HEADER, Header)


def hashes(*names: str) -> tuple[bytes, ...]:
    return tuple(sha256(name.encode()) for name in names)


def list_of(receipts: str, writes: str | None = None) -> Outcomes:
    """Each letter stands for a receipt, or for what one work wrote."""
    return Outcomes(
        sha256(b"content"),
        HEADER,
        hashes(*receipts),
        hashes(*(receipts if writes is None else writes)),
        public_key(SEED),
        bytes(64),
    )


def receipt(name: str = "tx") -> Receipt:
    return Receipt(sha256(name.encode()), "OK", "", 7, (), None)


# --- lists ---------------------------------------------------------------------------------------


def test_a_signature_covers_the_whole_list() -> None:
    good = list_of("abc").signed(SEED, CHAIN_ID)
    assert good.signature_valid(CHAIN_ID)
    assert Outcomes.decode(good.raw) == good
    assert good.block_hash == HEADER.digest and good.height == HEADER.height
    assert good.signing_bytes(CHAIN_ID) == encode(
        [CHAIN_ID, HEADER.height, good.content_hash, HEADER.digest, good.lists_hash]
    )
    assert good.lists_hash == sha256(encode([list(good.receipts), list(good.writes)]))
    for forged in (
        replace(good, content_hash=bytes(32)),
        replace(good, header=replace(HEADER, time_ms=HEADER.time_ms + 1)),
        replace(good, receipts=hashes(*"abd")),
        replace(good, writes=hashes(*"abd")),
        replace(good, writes=()),
        replace(good, sender=public_key(sha256(b"another"))),
    ):
        assert not forged.signature_valid(CHAIN_ID)
    assert not good.signature_valid(bytes(32))


def test_entries_of_a_list_whose_writes_are_kept_and_of_one_whose_are_not() -> None:
    full, bare = list_of("ab", "xy"), list_of("ab", "")
    assert full.has_writes and not bare.has_writes
    assert full.entries == tuple(zip(hashes(*"ab"), hashes(*"xy"), strict=True))
    assert bare.entries == tuple((one, b"") for one in hashes(*"ab"))


# --- details -------------------------------------------------------------------------------------


def test_a_detail_stands_for_the_entry_of_its_execution() -> None:
    short, long = b"s" * SHOWN_BYTES_MAX, b"l" * (SHOWN_BYTES_MAX + 1)
    changes = {b"c": short, b"a": None, b"b": long, b"d": b""}
    detail = detail_of(receipt(), changes)
    assert detail.writes == (
        Write(b"a", None, None),
        Write(b"b", sha256(long), None),
        Write(b"c", sha256(short), short),
        Write(b"d", sha256(b""), b""),
    )
    assert detail.is_true_to_itself
    assert detail.entry == (receipt().digest, writes_digest(changes))
    assert writes_digest(changes) == sha256(
        encode([[b"a", None], [b"b", sha256(long)], [b"c", sha256(short)], [b"d", sha256(b"")]])
    )
    assert Detail.decode(detail.raw) == detail


def test_a_detail_whose_writes_are_not_kept() -> None:
    detail = detail_of(receipt(), None)
    assert detail.writes is None and detail.is_true_to_itself
    assert detail.entry == (receipt().digest, b"")
    assert detail_of(receipt(), {}).entry == (receipt().digest, writes_digest({}))


@pytest.mark.parametrize(
    "writes",
    [
        (Write(b"b", None, None), Write(b"a", None, None)),
        (Write(b"a", None, None), Write(b"a", None, None)),
        (Write(b"a", sha256(b"one"), b"other"),),
        (Write(b"a", None, b"shown though deleted"),),
        (Write(b"a", sha256(b"x"), b"x"), Write(b"b", sha256(b"one"), b"other")),
    ],
)
def test_a_detail_that_contradicts_itself(writes: tuple[Write, ...]) -> None:
    assert not Detail(receipt(), writes).is_true_to_itself


# --- comparing -----------------------------------------------------------------------------------


def found(transactions: int, **lists: Outcomes) -> list[Difference]:
    return differences({name.encode(): one for name, one in lists.items()}, transactions)


def test_lists_that_agree() -> None:
    assert differences({}, 3) == []
    assert found(3, a=list_of("xyz")) == []
    assert found(3, a=list_of("xyz"), b=list_of("xyz")) == []


def test_a_difference_names_who_holds_what_the_most_frequent_first() -> None:
    lists = {"a": list_of("x1z"), "b": list_of("x2z"), "c": list_of("x2z"), "d": list_of("x3z")}
    (one,) = found(3, **lists)
    entry = {name: (sha256(name.encode()), sha256(name.encode())) for name in "123"}
    last = sorted([(entry["1"], (b"a",)), (entry["3"], (b"d",))])
    assert one == Difference(1, ((entry["2"], (b"b", b"c")), *last))
    assert one.dissent == 2
    assert (one.against(b"a"), one.against(b"b")) == (2, 1)


def test_what_a_block_runs_by_itself_comes_first_as_it_does_in_execution() -> None:
    one, other = list_of("abcd"), list_of("ABCD")
    assert [place.index for place in found(2, a=one, b=other)] == [2, 3, 0, 1]
    assert [place.index for place in found(4, a=one, b=other)] == [0, 1, 2, 3]


def test_a_list_that_ends_early_holds_nothing_from_there_on() -> None:
    (one,) = found(2, a=list_of("ab"), b=list_of("a"))
    assert one.index == 1
    assert (NOTHING, (b"b",)) in one.holders


def test_receipts_alone_are_compared_where_one_list_has_no_writes() -> None:
    assert [one.index for one in found(2, a=list_of("ab", "xy"), b=list_of("ab", "xz"))] == [1]
    assert found(2, a=list_of("ab", "xy"), b=list_of("ab", "xz"), c=list_of("ab", "")) == []
    (one,) = found(2, a=list_of("ab", "xy"), b=list_of("ac", ""))
    assert one.holders == tuple(
        sorted(((h, b""), (k,)) for h, k in zip(hashes("b", "c"), (b"a", b"b"), strict=True))
    )


def test_keys_that_a_transaction_left_different() -> None:
    one = detail_of(receipt(), {b"same": b"1", b"other": b"1", b"gone": None, b"more": b"1"})
    two = detail_of(receipt(), {b"same": b"1", b"other": b"2", b"gone": b"1"})
    assert tainted_keys([one, two], all_known=True) == {b"other", b"more", b"gone"}
    assert tainted_keys([one], all_known=True) == set()
    assert tainted_keys([one], all_known=False) == {b"same", b"other", b"gone", b"more"}
    unkept = detail_of(receipt(), None)
    assert tainted_keys([one, unkept], all_known=True) == {b"same", b"other", b"gone", b"more"}
    assert tainted_keys([], all_known=False) == set()
    deleted = detail_of(receipt(), {b"k": None})
    nothing = detail_of(receipt(), {})
    assert tainted_keys([deleted, nothing], all_known=True) == {b"k"}
