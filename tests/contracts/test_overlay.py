"""The overlay against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.runtime.overlay import Overlay
from tests.contracts.ledger import DictState

KEYS = st.binary(min_size=1, max_size=2)
WRITES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=60)


@given(st.dictionaries(KEYS, st.binary(max_size=2)), st.lists(WRITES, max_size=4), KEYS, KEYS)
def test_nested_overlays_read_like_one_dict(
    base: dict[bytes, bytes],
    layers: list[list[tuple[bytes, bytes | None]]],
    start: bytes,
    stop: bytes,
) -> None:
    oracle = dict(base)
    overlays = [Overlay(DictState(base))]
    for layer in layers:
        overlays.append(Overlay(overlays[-1]))
        for key, value in layer:
            overlays[-1].put(key, value)
            if value is None:
                oracle.pop(key, None)
            else:
                oracle[key] = value
            expected = [(k, oracle[k]) for k in sorted(oracle) if start <= k < stop]
            assert list(overlays[-1].scan(start, stop)) == expected
    for key in {*oracle, *base, start, stop}:
        assert overlays[-1].get(key) == oracle.get(key)
    while len(overlays) > 1:
        upper = overlays.pop()
        overlays[-1].absorb(upper)
    merged = {**base, **overlays[0].changes}
    assert {key: value for key, value in merged.items() if value is not None} == oracle


def test_a_scan_sees_the_state_as_it_began() -> None:
    overlay = Overlay(DictState({b"a": b"1", b"c": b"3"}))
    overlay.put(b"b", b"2")
    scan = overlay.scan(b"a", b"z")
    overlay.put(b"b", None)
    overlay.put(b"d", b"4")
    assert list(scan) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert list(overlay.scan(b"a", b"z")) == [(b"a", b"1"), (b"c", b"3"), (b"d", b"4")]


class Counted(dict[bytes, bytes | None]):
    """Changes that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, key: bytes) -> bytes | None:
        self.looks += 1
        return super().__getitem__(key)


def test_a_scan_does_not_pay_for_what_others_have_written_before() -> None:
    block = Overlay(DictState({}))
    block.changes = Counted((b"%06d" % number, b"x") for number in range(10_000))
    transaction = Overlay(block)
    for number in range(100):
        transaction.put(b"%06d" % (20_000 + number), b"y")
        assert next(transaction.scan(b"000500", b"9")) == (b"000500", b"x")
    assert block.changes.looks < 1_000


def test_entries_show_what_was_deleted() -> None:
    block = Overlay(DictState({b"a": b"1", b"b": b"2", b"c": b"3"}))
    block.put(b"a", None)
    transaction = Overlay(block)
    transaction.put(b"b", None)
    transaction.put(b"d", None)
    expected = [(b"a", None), (b"b", None), (b"c", b"3"), (b"d", None)]
    assert list(transaction.entries(b"a", b"z")) == expected
    assert list(transaction.scan(b"a", b"z")) == [(b"c", b"3")]
