"""State keys: order, prefix-freeness, ranges, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from consensus.primitives.keys import (
    INT_MAX,
    INT_MIN,
    Digest,
    decode_key,
    digest_part,
    encode_key,
    lower_bound,
    prefix_range,
)

simple = st.one_of(
    st.integers(INT_MIN, INT_MAX),
    st.integers(-300, 300),
    st.binary(max_size=5),
    st.text("\x00a\x01b\xff𐍈", max_size=3),
    st.binary(min_size=32, max_size=32).map(Digest),
)
part_lists = st.lists(
    st.one_of(simple, st.tuples(simple), st.tuples(st.binary(max_size=2), st.integers(0, 9))),
    max_size=2,
).map(tuple)


def encoded(parts: tuple[Any, ...]) -> bytes:
    return encode_key("batch", "items", parts)


def rank(part: Any) -> tuple[int, Any]:
    """The order that the encoding promises."""
    match part:
        case Digest(value):
            return 0, value
        case int():
            return 1, part
        case bytes():
            return 2, part
        case str():
            return 3, part.encode()
        case _:
            return 4, tuple(rank(inner) for inner in part)


def test_the_examples_of_the_specification() -> None:
    assert encode_key("batch", "items", ("A7", 5)) == b"batch\x00items\x00\x21A7\x00\x15\x05\x00"
    assert encode_key("batch", "due", (-1, 0, 258)) == b"batch\0due\0\x13\xfe\x14\x16\x01\x02\0"
    assert encode_key("c", "m", (b"\x00", ())) == b"c\0m\0\x20\x00\xff\x00\x22\x00\x00"
    assert encode_key("c", "m", ()) == b"c\0m\0\0"
    hashed = "3cf38f13d3d553231dbae4cb46c1c1a93ddbb29fdcf0243a0d747b06f7028012"
    assert encode_key("c", "m", ("A7",), hashed=True).hex() == "63006d0001" + hashed + "00"
    text = b"\x21A7\x00"
    assert encode_key("c", "m", ("A7",), hashed=True) == b"c\0m\0\x01" + sha256(text) + b"\0"
    assert encode_key("c", "m", (digest_part("A7"),)) == b"c\0m\0\x01" + sha256(text) + b"\0"


@given(part_lists, part_lists)
def test_order_is_kept_and_no_key_begins_another(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    one, other = encoded(a), encoded(b)
    left, right = [rank(part) for part in a], [rank(part) for part in b]
    assert (one < other) == (left < right)
    assert (one == other) == (left == right)
    if one != other:
        assert not one.startswith(other)
        assert not other.startswith(one)


@given(part_lists)
def test_decoding_gives_the_parts_back(parts: tuple[Any, ...]) -> None:
    assert decode_key(encoded(parts)) == ("batch", "items", parts)


@given(part_lists, part_lists)
def test_a_range_holds_just_the_keys_that_begin_with_its_parts(
    leading: tuple[Any, ...], parts: tuple[Any, ...]
) -> None:
    encoded(leading)
    start, stop = prefix_range("batch", "items", leading)
    key = encoded(parts)
    assert (start <= key < stop) == (parts[: len(leading)] == leading)
    assert start <= encoded(leading) < stop
    assert not start <= encode_key("batch", "items2", leading[:0]) < stop


@given(part_lists, part_lists)
def test_a_lower_bound_parts_the_keys(bound: tuple[Any, ...], parts: tuple[Any, ...]) -> None:
    encoded(bound)
    key = encoded(parts)
    at_or_behind = [rank(part) for part in parts] >= [rank(part) for part in bound]
    assert (key >= lower_bound("batch", "items", bound)) == at_or_behind


@given(st.binary(max_size=24))
def test_only_canonical_keys_decode(tail: bytes) -> None:
    raw = b"c\0m\0" + tail
    try:
        contract, map_name, parts = decode_key(raw)
    except InputError:
        return
    assert encode_key(contract, map_name, parts) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"c\0m",
        b"c\0m\0",
        b"\0m\0\0",
        b"c\0\xff\0\0",
        b"c\0m\0\0\0",  # trailing byte
        b"c\0m\0\x16\x00\x05\0",  # an int not in its shortest form
        b"c\0m\0\x15",
        b"c\0m\0\x21\xff\xfe\0\0",  # not UTF-8
        b"c\0m\0\x01short\0",
        b"c\0m\0\x22\x22\x22\x22\x22\0\0\0\0\0\0",
        b"c\0m\0\x1d123456789\0",
        b"c\0m\0\x20" + bytes(200),
    ],
)
def test_what_is_no_key_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError) as caught:
        decode_key(raw)
    assert caught.value.code == "KEY_MALFORMED"


@pytest.mark.parametrize(
    ("contract", "map_name", "parts", "code"),
    [
        ("", "m", (), "KEY_NAME"),
        ("a\x00b", "m", (), "KEY_NAME"),
        ("c", "m\n", (), "KEY_NAME"),
        ("c", "ü", (), "KEY_NAME"),
        ("c" * 25, "m", (), "KEY_NAME"),
        ("c", "m", (True,), "KEY_PART"),
        ("c", "m", (None,), "KEY_PART"),
        ("c", "m", (1.5,), "KEY_PART"),
        ("c", "m", ([1],), "KEY_PART"),
        ("c", "m", ("\ud800",), "KEY_PART"),
        ("c", "m", (2**64,), "KEY_PART"),
        ("c", "m", (-(2**63) - 1,), "KEY_PART"),
        ("c", "m", (Digest(b"x"),), "KEY_PART"),
        ("c", "m", ((((((1,),),),),),), "KEY_TOO_DEEP"),
        ("c", "m", (b"x" * 90,), "KEY_TOO_LONG"),
        ("c", "m", (b"\x00" * 45,), "KEY_TOO_LONG"),
    ],
)
def test_bad_names_and_parts_are_refused(
    contract: str, map_name: str, parts: tuple[Any, ...], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        encode_key(contract, map_name, parts)
    assert caught.value.code == code


def test_the_longest_key_and_a_hashed_one_of_any_length() -> None:
    assert len(encode_key("c", "m", (b"x" * 89,))) == 96
    assert len(encode_key("c" * 24, "m" * 24, ("x" * 10_000, 1), hashed=True)) == 84
    deepest = ((((1,),),),)
    assert encode_key("c", "m", (digest_part(deepest),)) == encode_key(
        "c", "m", (deepest,), hashed=True
    )
    with pytest.raises(InputError) as caught:
        digest_part((deepest,))
    assert caught.value.code == "KEY_TOO_DEEP"
    first = encode_key("c", "m", ("ab", "c"), hashed=True)
    assert first != encode_key("c", "m", ("a", "bc"), hashed=True)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (0, "14"),
        (1, "1501"),
        (255, "15ff"),
        (256, "160100"),
        (INT_MAX, "1c" + "ff" * 8),
        (-1, "13fe"),
        (-255, "1300"),
        (-256, "12feff"),
        (INT_MIN, "0c7f" + "ff" * 7),
        ("", "2100"),
        ("a\0b", "216100ff6200"),
        ("\0", "2100ff00"),
        (b"\0\0", "2000ff00ff00"),
        (b"\xff\0", "20ff00ff00"),
        (b"\0\xff", "2000ffff00"),
        (((((),),),), "2222222200000000"),
        ((0, ("x",)), "221422217800" + "0000"),
    ],
)
def test_the_bytes_of_each_kind_of_part(part: Any, expected: str) -> None:
    key = encode_key("c", "m", (part,))
    assert key.hex() == "63006d00" + expected + "00"
    assert decode_key(key) == ("c", "m", (part,))


@pytest.mark.parametrize("number", [INT_MIN - 1, INT_MAX + 1])
def test_numbers_beyond_64_bits_are_no_parts(number: int) -> None:
    with pytest.raises(InputError, match="64 bits"):
        encode_key("c", "m", (number,))
