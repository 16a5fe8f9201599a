"""A transaction, and the same one signed in another way."""

from __future__ import annotations

import nacl.bindings

from consensus.primitives.crypto import TAG_TRANSACTION, public_key, sha256
from consensus.transaction import Call, Transaction, TransactionBody

SEED = sha256(b"a sender")
BODY = TransactionBody(
    1,
    sha256(b"chain"),
    public_key(SEED),
    (Call("batch", "ship", {"sscc": "376130321109103420", "n": 3}),),
    1_700_000_600_000,
    50_000,
    bytes(16),
)
GOOD = BODY.signed(SEED)


def twice_signed() -> tuple[Transaction, Transaction]:
    """Ed25519's nonce is the signer's choice: one body, two valid signatures."""
    order = 2**252 + 27742317777372353535851937790883648493
    digest = bytearray(nacl.bindings.crypto_hash_sha512(SEED)[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    scalar = bytes(nacl.bindings.crypto_core_ed25519_scalar_reduce(bytes(digest) + bytes(32)))
    nonce = (12345).to_bytes(32, "little")
    point = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    message = TAG_TRANSACTION + b"\x00" + BODY.raw
    challenge = nacl.bindings.crypto_core_ed25519_scalar_reduce(
        nacl.bindings.crypto_hash_sha512(point + BODY.sender + message)
    )
    s = (12345 + int.from_bytes(challenge, "little") * int.from_bytes(scalar, "little")) % order
    return GOOD, Transaction(BODY.raw, point + s.to_bytes(32, "little"))
