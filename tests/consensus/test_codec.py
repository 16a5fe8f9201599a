"""One value, one byte string: every other encoding is refused, and so is what is too large."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import (
    DEPTH_MAX,
    INT_MAX,
    INT_MIN,
    Blob,
    Flag,
    Items,
    Maybe,
    Text,
    UInt,
    Wire,
    data_from_json,
    data_to_json,
    decode,
    encode,
)
from consensus.primitives.errors import CodecError

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    raw = encode(value)
    assert decode(raw, bytes_max=1 << 16) == value
    assert encode(decode(raw, bytes_max=1 << 16)) == raw


@given(st.binary(max_size=200))
def test_whatever_decodes_has_these_very_bytes(raw: bytes) -> None:
    try:
        value = decode(raw, bytes_max=200)
    except CodecError:
        return
    assert encode(value) == raw


NOT_CANONICAL = {
    "a one-byte int in two": b"\xcc\x01",
    "a small int in nine": b"\xcf" + bytes(7) + b"\x05",
    "a positive int as signed": b"\xd0\x05",
    "a negative int in more bytes": b"\xd1\xff\xff",
    "str8 for a short string": b"\xd9\x01a",
    "str32": b"\xdb\x00\x00\x00\x01a",
    "bin16 for short bytes": b"\xc5\x00\x01a",
    "array16 for a short list": b"\xdc\x00\x01\x01",
    "map16 for a short map": b"\xde\x00\x01\xa1a\x01",
    "unsorted keys": b"\x82\xa1b\x01\xa1a\x01",
    "a key twice": b"\x82\xa1a\x01\xa1a\x02",
    "a key of bytes": b"\x81\xc4\x01a\x01",
    "float32": b"\xca\x3f\x80\x00\x00",
    "float64": b"\xcb" + bytes(8),
    "not a number": b"\xcb\x7f\xf8" + bytes(6),
    "an empty extension": b"\xc7\x00\x05",
}
MALFORMED = {
    "nothing": b"",
    "the unused code": b"\xc1",
    "trailing bytes": b"\x01\x01",
    "a key of int": b"\x81\x01\x01",
    "a key of list": b"\x81\x90\x01",
    "an extension": b"\xd4\x05a",
    "a timestamp": b"\xd6\xff" + bytes(4),
    "an empty timestamp": b"\xc7\x00\xff",
    "cut in a string": b"\xa5abc",
    "cut in a list": b"\x92\x01",
    "text that is not UTF-8": b"\xa1\xff",
    "a surrogate": b"\xa3\xed\xa0\x80",
    "a list of four thousand million": b"\xdd\xff\xff\xff\xff",
    "a map of four thousand million": b"\xdf\xff\xff\xff\xff",
    "a string of four thousand million": b"\xdb\xff\xff\xff\xff",
    "bytes of four thousand million": b"\xc6\xff\xff\xff\xff",
    "deeper than the parser": b"\x91" * 3_000 + b"\x01",
}


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_other_encodings(name: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(NOT_CANONICAL[name], bytes_max=100)
    assert caught.value.code == "NOT_CANONICAL"


@pytest.mark.parametrize("name", MALFORMED)
def test_not_messagepack(name: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(MALFORMED[name], bytes_max=4_000)
    assert caught.value.code == "MALFORMED"


def test_depth() -> None:
    deepest: Any = 1
    for _ in range(DEPTH_MAX):
        deepest = [deepest]
    assert decode(encode(deepest), bytes_max=100) == deepest
    with pytest.raises(CodecError) as caught:
        encode([deepest])
    assert caught.value.code == "TOO_DEEP"
    maps: Any = 1
    for _ in range(DEPTH_MAX):
        maps = {"a": maps}
    assert decode(encode(maps), bytes_max=100) == maps
    for deeper in ({"a": maps}, {"a": [{"a": deepest}]}):
        with pytest.raises(CodecError) as caught:
            encode(deeper)
        assert caught.value.code == "TOO_DEEP"
    with pytest.raises(CodecError) as caught:
        decode(b"\x91" * (DEPTH_MAX + 1) + b"\x01", bytes_max=100)
    assert caught.value.code == "TOO_DEEP"


def test_tuples_are_lists() -> None:
    assert encode((1, "a", None)) == encode([1, "a", None])
    assert encode({"a": ((1, 2), ())}) == encode({"a": [[1, 2], []]})


def test_size_limits() -> None:
    raw = encode(b"x" * 100)
    assert decode(raw, bytes_max=len(raw)) == b"x" * 100
    with pytest.raises(CodecError) as caught:
        decode(encode(b"x" * 100), bytes_max=101)
    assert caught.value.code == "TOO_LONG"
    assert decode(encode([1] * 50), bytes_max=100, items_max=50) == [1] * 50
    for value in ([1] * 51, {f"{i:02}": 1 for i in range(51)}):
        with pytest.raises(CodecError) as caught:
            decode(encode(value), bytes_max=1_000, items_max=50)
        assert caught.value.code == "MALFORMED"


def test_claimed_sizes_allocate_nothing_much() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode(b"\xdd\x00\xff\xff\xff", bytes_max=100, items_max=1 << 16)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value", [1.5, {1: 2}, {b"k": 1}, INT_MAX + 1, INT_MIN - 1, "\ud800", {1, 2}, object()]
)
def test_values_without_a_canonical_form(value: Any) -> None:
    with pytest.raises(CodecError) as caught:
        encode(value)
    assert caught.value.code == "NOT_CANONICAL"


def test_keys_are_ordered_by_their_utf8_bytes() -> None:
    keys = ["é", "a", "\U0001f600", "\uffff", "", "Z"]
    raw = encode(dict.fromkeys(keys, 1))
    found = list(msgpack.unpackb(raw))
    assert found == sorted(keys, key=lambda key: key.encode())


@dataclass(frozen=True)
class Sample(Wire):
    number: Annotated[int, UInt(9)]
    flag: Annotated[bool, Flag()]
    name: Annotated[str, Text(3)]
    blob: Annotated[bytes, Blob(2, 1)]
    many: Annotated[tuple[int, ...], Items(UInt(), 2)]
    perhaps: Annotated[int | None, Maybe(UInt())]


GOOD = Sample(1, True, "é", b"\x01", (4, 5), None)


def test_a_declared_type_has_bytes_hash_and_json() -> None:
    assert Sample.decode(GOOD.raw) == GOOD
    assert Sample.from_json(GOOD.to_json()) == GOOD
    assert GOOD.digest != Sample(2, True, "é", b"\x01", (4, 5), None).digest


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, 10, "OUT_OF_RANGE"),
        (0, -1, "OUT_OF_RANGE"),
        (0, True, "WRONG_TYPE"),
        (0, None, "WRONG_TYPE"),
        (1, 1, "WRONG_TYPE"),
        (2, "", "OUT_OF_RANGE"),
        (2, "éé", "OUT_OF_RANGE"),
        (2, b"a", "WRONG_TYPE"),
        (3, b"", "OUT_OF_RANGE"),
        (3, "a", "WRONG_TYPE"),
        (4, [1, 2, 3], "OUT_OF_RANGE"),
        (4, {"a": 1}, "WRONG_TYPE"),
        (5, "x", "WRONG_TYPE"),
    ],
)
def test_a_wrong_field_is_named(at: int, value: Any, code: str) -> None:
    plain = GOOD.to_plain()
    plain[at] = value
    with pytest.raises(CodecError) as caught:
        Sample.decode(encode(plain))
    assert caught.value.code == code
    assert f"Sample.{Sample.kinds()[at][0]}" in caught.value.message


def test_what_just_fits_a_field() -> None:
    for sample in (
        Sample(0, False, "abc", b"\x01\x02", (), 0),
        Sample(9, True, "a", b"\x01", (2**63 - 1, 0), 2**63 - 1),
    ):
        assert Sample.decode(sample.raw) == sample
        assert Sample.from_json(sample.to_json()) == sample


@pytest.mark.parametrize("plain", [[], GOOD.to_plain()[:-1], [*GOOD.to_plain(), 1], {"a": 1}, 7])
def test_a_wrong_number_of_fields(plain: Any) -> None:
    with pytest.raises(CodecError) as caught:
        Sample.decode(encode(plain))
    assert caught.value.code == "WRONG_TYPE"


JSON_MISTAKES: dict[str, tuple[Any, str, str]] = {
    "no object": (7, "WRONG_TYPE", "Sample"),
    "a field more": ({"more": 1}, "WRONG_FIELDS", "unknown more"),
    "a field less": ({"blob": ...}, "WRONG_FIELDS", "missing blob"),
    "no hex": ({"blob": "xy"}, "MALFORMED", "Sample.blob"),
    "no text": ({"blob": 5}, "WRONG_TYPE", "Sample.blob"),
    "hex that is too long": ({"blob": "010203"}, "OUT_OF_RANGE", "Sample.blob"),
    "a float": ({"number": 1.0}, "WRONG_TYPE", "Sample.number"),
    "a lone surrogate": ({"name": "\ud800"}, "MALFORMED", "Sample.name"),
    "no list": ({"many": {"0": 1}}, "WRONG_TYPE", "Sample.many"),
    "a list that is too long": ({"many": [1, 2, 3]}, "OUT_OF_RANGE", "Sample.many"),
    "a wrong item": ({"many": ["x"]}, "WRONG_TYPE", "Sample.many"),
    "neither the kind nor null": ({"perhaps": "x"}, "WRONG_TYPE", "Sample.perhaps"),
}


@pytest.mark.parametrize("name", JSON_MISTAKES)
def test_json_mistakes(name: str) -> None:
    change, code, said = JSON_MISTAKES[name]
    bad = change
    if isinstance(change, dict):
        merged = GOOD.to_json() | change
        bad = {key: value for key, value in merged.items() if value is not ...}
    with pytest.raises(CodecError) as caught:
        Sample.from_json(bad)
    assert caught.value.code == code and said in caught.value.message


def test_the_json_view_of_a_declared_type() -> None:
    assert GOOD.to_json() == {
        "number": 1,
        "flag": True,
        "name": "é",
        "blob": "01",
        "many": [4, 5],
        "perhaps": None,
    }
    assert Sample.from_json(GOOD.to_json() | {"perhaps": 7}).perhaps == 7


def test_a_value_made_of_what_is_known_to_be_right() -> None:
    """No check and no copy, and the same bytes."""
    made = Sample.of_checked(number=1, flag=True, name="é", blob=b"\x01", many=(4, 5), perhaps=None)
    assert made == GOOD and made.raw == GOOD.raw


@dataclass(frozen=True)
class Ascending(Wire):
    """Checks itself, and takes few items."""

    items_max: ClassVar[int] = 3

    numbers: Annotated[tuple[int, ...], Items(UInt(9), 8)]

    def __post_init__(self) -> None:
        if list(self.numbers) != sorted(self.numbers):
            raise CodecError("ORDER", "not in order")


def test_a_declared_type_that_checks_itself_does_so_when_it_is_decoded() -> None:
    assert Ascending.decode(encode([[1, 2, 3]])).numbers == (1, 2, 3)
    assert Ascending.decode(encode([[1, 2, 3]])) == Ascending((1, 2, 3))
    for plain, code in (([[2, 1]], "ORDER"), ([[1, 2, 3, 4]], "MALFORMED")):
        with pytest.raises(CodecError) as caught:
            Ascending.decode(encode(plain))
        assert caught.value.code == code


def test_data_whose_json_is_no_view_of_any_value() -> None:
    for bad, code in (
        (1.0, "NOT_CANONICAL"),
        ([{"a": 1.0}], "NOT_CANONICAL"),
        ({"hex": "0"}, "MALFORMED"),
    ):
        with pytest.raises(CodecError) as caught:
            data_from_json(bad)
        assert caught.value.code == code
    assert data_from_json({"hex": 7, "more": [{"hex": "00ff"}]}) == {
        "hex": 7,
        "more": [b"\x00\xff"],
    }
    assert data_from_json({"hex": 7}) == {"hex": 7}
    assert data_to_json((1, {"a": (b"\x01",)})) == [1, {"a": [{"hex": "01"}]}]


@given(VALUES)
def test_the_json_view_of_any_value(value: Any) -> None:
    if not _looks_like_hex(value):
        assert data_from_json(data_to_json(value)) == value


def _looks_like_hex(value: Any) -> bool:
    if isinstance(value, list):
        return any(_looks_like_hex(item) for item in value)
    if isinstance(value, dict):
        return set(value) == {"hex"} or any(_looks_like_hex(item) for item in value.values())
    return False
