"""Quorums intersect in an honest validator at every size; bitmaps have one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.validators import Thresholds, bitmap, signers


@pytest.mark.parametrize("n", range(1, 65))
def test_two_quorums_share_an_honest_validator(n: int) -> None:
    t = Thresholds(n, "byzantine")
    assert 2 * t.quorum - n > t.tolerated_liars  # safe
    assert n - t.tolerated_liars >= t.quorum  # live when all liars are silent
    assert 3 * t.tolerated_liars < n
    crash = Thresholds(n, "crash")
    assert 2 * crash.quorum - n >= 1 and crash.tolerated_liars == 0


@pytest.mark.parametrize("n", range(4, 26))
def test_quorum_is_the_smallest_safe_one(n: int) -> None:
    t = Thresholds(n, "byzantine")
    assert t.quorum == -(-2 * n // 3)
    assert t.honest_witness == (n - 1) // 3 + 1


def test_2f_plus_1_would_not_be_safe() -> None:
    unsafe = []
    for n in range(4, 10):
        f = (n - 1) // 3
        if 2 * (2 * f + 1) - n <= f:
            unsafe.append(n)
    assert unsafe == [5, 6, 8, 9]


@given(st.integers(1, 64), st.data())
def test_a_bitmap_and_its_signers(n: int, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    marks = bitmap(chosen, n)
    assert signers(marks, n) == sorted(chosen)
    assert signers(marks + b"\x00", n) is None
    assert signers(marks[:-1], n) is None
    if n % 8:
        padded = marks[:-1] + bytes([marks[-1] | 1 << (n % 8)])
        assert signers(padded, n) is None


@given(st.binary(max_size=9), st.integers(1, 64))
def test_any_bytes_name_distinct_signers_or_none(marks: bytes, n: int) -> None:
    found = signers(marks, n)
    if found is not None:
        assert found == sorted(set(found)) and all(0 <= i < n for i in found)
        assert bitmap(found, n) == marks
