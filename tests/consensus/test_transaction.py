"""Transactions: every mistake has its code; two ids, because one body can carry many signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.codec import encode
from consensus.primitives.crypto import TAG_TRANSACTION, public_key, sha256, sign
from consensus.primitives.errors import CodecError, TxRejected
from consensus.transaction import (
    CALLS_MAX,
    TRANSACTION_BYTES_MAX,
    Call,
    Transaction,
    TransactionBody,
)
from tests.consensus.resigned import BODY, GOOD, SEED, twice_signed


def code_of(raw: bytes) -> str:
    with pytest.raises(TxRejected) as caught:
        Transaction.parse(raw)
    return caught.value.code


def with_body(body_raw: bytes) -> bytes:
    return encode([body_raw, sign(SEED, TAG_TRANSACTION, body_raw)])


def plain_with(at: int, value: Any) -> bytes:
    plain = BODY.to_plain()
    plain[at] = value
    return with_body(encode(plain))


def test_parse_gives_back_what_was_signed() -> None:
    tx = Transaction.parse(GOOD.raw)
    assert tx == GOOD and tx.body == BODY and tx.signature_valid()
    assert tx.wire_id == sha256(GOOD.raw) and tx.tx_id == sha256(BODY.raw)
    assert tx.raw == GOOD.raw and tx.body.raw == BODY.raw
    shown = tx.to_json()
    assert shown.keys() == {"tx_id", "wire_id", "body", "signature"}
    assert (shown["tx_id"], shown["wire_id"]) == (tx.tx_id.hex(), tx.wire_id.hex())
    assert shown["signature"] == tx.signature.hex()
    assert TransactionBody.from_json(shown["body"]) == BODY


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "TX_MALFORMED"),
        (b"\xc1", "TX_MALFORMED"),
        (GOOD.raw + b"\x00", "TX_MALFORMED"),
        (GOOD.raw[:-1], "TX_MALFORMED"),
        (encode([BODY.raw]), "TX_MALFORMED"),
        (encode([BODY.raw, bytes(63)]), "TX_MALFORMED"),
        (encode([BODY.raw, bytes(64), 1]), "TX_MALFORMED"),
        (with_body(b""), "TX_MALFORMED"),
        (with_body(BODY.raw + b"\x00"), "TX_MALFORMED"),
        (b"\xdc\x00\x02" + GOOD.raw[1:], "TX_NOT_CANONICAL"),
        (with_body(b"\xdc\x00\x07" + BODY.raw[1:]), "TX_NOT_CANONICAL"),
        (bytes(TRANSACTION_BYTES_MAX + 1), "TX_TOO_LARGE"),
        (plain_with(0, 2), "TX_VERSION"),
        (plain_with(0, 300), "TX_MALFORMED"),
        (plain_with(1, bytes(31)), "TX_MALFORMED"),
        (plain_with(3, []), "TX_MALFORMED"),
        (plain_with(3, [["c", "m", {}]] * (CALLS_MAX + 1)), "TX_MALFORMED"),
        (plain_with(3, [["c", "m", []]]), "TX_MALFORMED"),
        (plain_with(3, [["", "m", {}]]), "TX_MALFORMED"),
        (plain_with(4, -1), "TX_MALFORMED"),
        (plain_with(4, 2**63), "TX_MALFORMED"),
        (plain_with(6, bytes(15)), "TX_MALFORMED"),
    ],
)
def test_every_mistake_has_its_code(raw: bytes, code: str) -> None:
    assert code_of(raw) == code


def test_floats_and_unsorted_arguments_are_not_canonical() -> None:
    swapped = BODY.raw.replace(
        encode({"n": 3, "sscc": "376130321109103420"}),
        b"\x82" + encode("sscc") + encode("376130321109103420") + encode("n") + b"\x03",
    )
    assert swapped != BODY.raw
    assert code_of(with_body(swapped)) == "TX_NOT_CANONICAL"
    floating = BODY.raw.replace(b"\xa1n\x03", b"\xa1n\xca\x40\x40\x00\x00")
    assert floating != BODY.raw
    assert code_of(with_body(floating)) == "TX_NOT_CANONICAL"
    with pytest.raises(CodecError):
        replace(BODY, calls=(Call("c", "m", {"x": 1.5}),)).signed(SEED)


def test_many_signatures_of_one_body() -> None:
    one, other = twice_signed()
    assert other.signature_valid() and one.signature_valid()
    assert other.tx_id == one.tx_id
    assert other.wire_id != one.wire_id


def test_wrong_signatures() -> None:
    assert not Transaction(BODY.raw, bytes(64)).signature_valid()
    assert not Transaction(BODY.raw, sign(SEED, b"another/tag", BODY.raw)).signature_valid()
    body = replace(BODY, steps_max=1)
    assert not Transaction(body.raw, GOOD.signature).signature_valid()
    other = replace(BODY, sender=public_key(sha256(b"somebody else")))
    assert not Transaction(other.raw, sign(SEED, TAG_TRANSACTION, other.raw)).signature_valid()
    with pytest.raises(ValueError, match="seed"):
        other.signed(SEED)


@given(st.data())
def test_mutated_bytes_are_refused_or_differ(data: st.DataObject) -> None:
    raw = bytearray(GOOD.raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        tx = Transaction.parse(bytes(raw))
    except TxRejected as error:
        assert error.code.startswith("TX_")
        return
    assert not tx.signature_valid() and tx.wire_id != GOOD.wire_id


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_code(raw: bytes) -> None:
    assert code_of(raw).startswith("TX_")
