"""Hashes and signatures: SHA-256, and Ed25519 by libsodium's single verification.

One routine verifies everywhere. Batch verification by algebra accepts other edge cases than the
single one, so two nodes could disagree about one transaction; parallel work uses processes instead.

What is signed is always ``domain tag | 0x00 | message``. The tag names the kind of signature, so
that a signature of one kind can never pass for another.
"""

from __future__ import annotations

import hashlib
from typing import Final

import nacl.bindings as _sodium
from nacl.exceptions import BadSignatureError

HASH_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

TAG_TRANSACTION: Final = b"hansa/transaction/1"
TAG_PROPOSAL: Final = b"hansa/proposal/1"
TAG_PREPARE: Final = b"hansa/prepare/1"
TAG_COMMIT: Final = b"hansa/commit/1"
TAG_ROUND_CHANGE: Final = b"hansa/round-change/1"
TAG_OUTCOMES: Final = b"hansa/outcomes/1"
TAG_GENESIS: Final = b"hansa/genesis/1"
TAG_GENESIS_ENTRY: Final = b"hansa/genesis-entry/1"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def public_key(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte secret seed."""
    return _sodium.crypto_sign_seed_keypair(seed)[0]


def sign(seed: bytes, tag: bytes, message: bytes) -> bytes:
    """The 64-byte Ed25519 signature of ``tag | 0x00 | message``."""
    secret = _sodium.crypto_sign_seed_keypair(seed)[1]
    return _sodium.crypto_sign(tag + b"\x00" + message, secret)[:SIGNATURE_BYTES]


def verify(key: bytes, tag: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is ``key``'s on ``tag | 0x00 | message``. Never raises on bad bytes."""
    if len(key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        _sodium.crypto_sign_open(signature + tag + b"\x00" + message, key)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
