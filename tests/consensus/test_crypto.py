"""Signatures: RFC 8032's, under a tag, and whatever has another length is none."""

from __future__ import annotations

import pytest

from consensus.primitives import crypto
from consensus.primitives.crypto import TAG_COMMIT, TAG_PREPARE, public_key, sha256, sign, verify

SEED = sha256(b"a seed")
KEY = public_key(SEED)
SIGNATURE = sign(SEED, TAG_COMMIT, b"message")


def test_a_signature_is_its_key_s_on_one_tag_and_message() -> None:
    assert (len(KEY), len(SIGNATURE)) == (crypto.PUBLIC_KEY_BYTES, crypto.SIGNATURE_BYTES)
    assert verify(KEY, TAG_COMMIT, b"message", SIGNATURE)
    assert not verify(KEY, TAG_PREPARE, b"message", SIGNATURE)
    assert not verify(KEY, TAG_COMMIT, b"message2", SIGNATURE)
    assert not verify(public_key(sha256(b"other")), TAG_COMMIT, b"message", SIGNATURE)
    assert not verify(KEY, TAG_COMMIT, b"message", bytes(64))


def test_what_is_signed_is_the_tag_a_zero_byte_and_the_message() -> None:
    assert sign(SEED, b"a", b"b\x00c") == sign(SEED, b"a\x00b", b"c")
    assert sign(SEED, b"a", b"bc") != sign(SEED, b"ab", b"c")


def test_keys_are_those_of_rfc_8032() -> None:
    """Section 7.1, test 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(seed).hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (KEY[:-1], SIGNATURE),
        (KEY + b"\x00", SIGNATURE),
        (b"", SIGNATURE),
        (KEY, SIGNATURE[:-1]),
        (KEY, b""),
        (KEY[:-1], SIGNATURE[:-1]),
    ],
)
def test_a_key_or_signature_of_another_length_verifies_nothing(
    key: bytes, signature: bytes
) -> None:
    assert not verify(key, TAG_COMMIT, b"message", signature)


def test_a_longer_signature_takes_nothing_from_the_message() -> None:
    """libsodium is given both in one string: where it is cut must not be the signer's choice."""
    tag, rest = TAG_COMMIT[:1], TAG_COMMIT[1:]
    assert verify(KEY, TAG_COMMIT, b"message", SIGNATURE)
    assert not verify(KEY, rest, b"message", SIGNATURE + tag)
