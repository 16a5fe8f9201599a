"""Transactions: what a key asks the ledger to do, in one atomic step.

A signed transaction travels as ``[body bytes, signature]``. The **tx id** is the hash of the body
and serves replay protection and people. The **wire id** is the hash of the signed bytes and names
the transaction in proposals, gossip, caches and the block's transaction root: one body can carry
many valid signatures, so the tx id must never stand for particular bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Self

from consensus.primitives.codec import (
    HASH,
    KEY,
    SIGNATURE,
    TIME_MS,
    Blob,
    Data,
    Items,
    Nested,
    Text,
    UInt,
    Wire,
)
from consensus.primitives.crypto import TAG_TRANSACTION, public_key, sign, verify
from consensus.primitives.errors import CodecError, TxRejected

VERSION: Final = 1
TRANSACTION_BYTES_MAX: Final = 64 * 1024
CALLS_MAX: Final = 256


@dataclass(frozen=True)
class Call(Wire):
    """One method of one contract with its named arguments."""

    contract: Annotated[str, Text(64)]
    method: Annotated[str, Text(64)]
    args: Annotated[dict[str, Any], Data(mapping=True)]


@dataclass(frozen=True)
class TransactionBody(Wire):
    """What the sender signs."""

    bytes_max: ClassVar[int] = TRANSACTION_BYTES_MAX

    version: Annotated[int, UInt(255)]
    chain_id: Annotated[bytes, HASH]
    sender: Annotated[bytes, KEY]
    calls: Annotated[tuple[Call, ...], Items(Nested(Call), CALLS_MAX, 1)]
    valid_until: Annotated[int, TIME_MS]
    steps_max: Annotated[int, UInt()]
    salt: Annotated[bytes, Blob(16, 16)]

    def signed(self, seed: bytes) -> Transaction:
        """The transaction with ``seed``'s signature. The sender must be the seed's public key."""
        if public_key(seed) != self.sender:
            raise ValueError("the seed does not belong to the sender's key")
        return Transaction(self.raw, sign(seed, TAG_TRANSACTION, self.raw))


@dataclass(frozen=True)
class Transaction(Wire):
    """A signed body. Decoding checks the form; :meth:`signature_valid` the signature."""

    bytes_max: ClassVar[int] = TRANSACTION_BYTES_MAX

    body_raw: Annotated[bytes, Blob(TRANSACTION_BYTES_MAX)]
    signature: Annotated[bytes, SIGNATURE]

    @cached_property
    def body(self) -> TransactionBody:
        return TransactionBody.decode(self.body_raw)

    @property
    def wire_id(self) -> bytes:
        """SHA-256 of the signed bytes."""
        return self.digest

    @cached_property
    def tx_id(self) -> bytes:
        """SHA-256 of the unsigned body."""
        return self.body.digest

    def signature_valid(self) -> bool:
        return verify(self.body.sender, TAG_TRANSACTION, self.body_raw, self.signature)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """A well-formed transaction of this version from bytes, its signature still unchecked.

        Raises TxRejected: TX_TOO_LARGE, TX_MALFORMED, TX_NOT_CANONICAL or TX_VERSION.
        """
        try:
            tx = cls.decode(raw)
            body = tx.body
        except CodecError as error:
            code = {"TOO_LONG": "TX_TOO_LARGE", "NOT_CANONICAL": "TX_NOT_CANONICAL"}.get(
                error.code, "TX_MALFORMED"
            )
            raise TxRejected(code, error.message) from None
        if body.version != VERSION:
            raise TxRejected("TX_VERSION", f"version {body.version}, this chain has {VERSION}")
        # Both byte strings were just shown to be canonical, so they need not be made again.
        tx.__dict__["raw"] = raw
        body.__dict__["raw"] = tx.body_raw
        return tx

    def to_json(self) -> dict[str, Any]:
        return {
            "tx_id": self.tx_id.hex(),
            "wire_id": self.wire_id.hex(),
            "body": self.body.to_json(),
            "signature": self.signature.hex(),
        }
