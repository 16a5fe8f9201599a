"""Blocks, certificates, receipts and their indexes in the key-value store.

Reading returns None for what is not there. Bytes that don't decode are this disk's fault:
LocalFault STORE_CORRUPT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from consensus.block import CONTENT_TXS_MAX, Block, SealedBlock
from consensus.certificates import Certificate
from consensus.primitives.codec import Wire, decode, encode
from consensus.primitives.errors import CodecError, LocalFault
from consensus.primitives.merkle import Frontier
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from node.store import schema
from node.store.kv import KV
from node.store.schema import height_key

Operations = list[tuple[bytes, bytes | None]]

RECEIPTS_BYTES_MAX: Final = 256 << 20
RECEIPTS_MAX: Final = CONTENT_TXS_MAX + 10_000  # with those of due calls and activations
NEWEST_KEPT: Final = 8
"""Blocks held in memory: subscribers and peers ask for the newest at once."""


@dataclass(frozen=True)
class Tip:
    """The newest committed block. ``frontier`` covers the header hashes up to and with it."""

    height: int
    hash: bytes
    frontier: Frontier


def _corrupt(what: str, error: CodecError) -> LocalFault:
    return LocalFault("STORE_CORRUPT", f"{what}: {error.message}")


@dataclass(frozen=True)
class Recorded:
    """A committed block with what executing it gave; ``tx_ids`` and receipts in block order.

    Receipts beyond the transactions' are those of due calls and activations.
    """

    block: Block
    receipts: tuple[Receipt, ...]
    tx_ids: tuple[bytes, ...]


class BlockStore:
    """The chain's history on this node."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv
        self._newest: dict[int, Recorded] = {}

    def open(self, chain_id: bytes) -> bool:
        """Whether a chain is stored. Raises LocalFault STORE_FOREIGN for another chain's data and
        STORE_VERSION for another layout's."""
        stored = self._kv.get(schema.CHAIN_ID)
        if stored is None:
            return False
        if self._kv.get(schema.VERSION) != schema.LAYOUT_VERSION:
            raise LocalFault("STORE_VERSION", "the data folder has another layout version")
        if stored != chain_id:
            raise LocalFault(
                "STORE_FOREIGN",
                f"the data folder belongs to chain {stored.hex()}, not to {chain_id.hex()}",
            )
        return True

    def creation(self, chain_id: bytes) -> Operations:
        """What is written once, together with block 0."""
        return [(schema.CHAIN_ID, chain_id), (schema.VERSION, schema.LAYOUT_VERSION)]

    def append(
        self,
        block: Block,
        certificate: Certificate | None,
        receipts: tuple[Receipt, ...],
        tx_ids: tuple[bytes, ...],
        frontier: Frontier,
    ) -> Operations:
        """The operations that make ``block`` the tip."""
        height = block.height
        operations: Operations = [
            (height_key(schema.BLOCK, height), block.raw),
            (height_key(schema.RECEIPTS, height), encode([one.to_plain() for one in receipts])),
            (schema.BLOCK_HASH + block.hash, height.to_bytes(8, "big")),
            (schema.TIP, encode([height, block.hash, frontier.to_plain()])),
        ]
        if certificate is not None:
            operations.append((height_key(schema.CERTIFICATE, height), certificate.raw))
        if block.last_certificate is not None:
            parents = height_key(schema.CERTIFICATE, height - 1)
            operations.append((parents, block.last_certificate.raw))
        for index, tx_id in enumerate(tx_ids):
            position = height.to_bytes(8, "big") + index.to_bytes(4, "big")
            operations.append((schema.TX_ID + tx_id, position))
        return operations

    def known_validators(self, validators: ValidatorSet) -> Operations:
        """The operation that keeps a set for those who ask who sealed old blocks."""
        return [(schema.VALIDATORS + validators.digest, validators.raw)]

    def validators(self, digest: bytes) -> ValidatorSet | None:
        """The validators that a header names."""
        raw = self._kv.get(schema.VALIDATORS + digest)
        try:
            return None if raw is None else ValidatorSet.decode(raw)
        except CodecError as error:
            raise _corrupt("a validator set", error) from None

    def committed(self, recorded: Recorded) -> None:
        """The operations of :meth:`append` are written: hold the block for those who wait."""
        self._newest[recorded.block.height] = recorded
        self._newest.pop(recorded.block.height - NEWEST_KEPT, None)

    def recorded(self, height: int) -> Recorded | None:
        if (kept := self._newest.get(height)) is not None:
            return kept
        block, receipts = self.block(height), self.receipts(height)
        if block is None or receipts is None:
            return None
        tx_ids = tuple(Transaction.parse(raw).tx_id for raw in block.bodies)
        return Recorded(block, receipts, tx_ids)

    def tip(self) -> Tip:
        raw = self._kv.get(schema.TIP)
        if raw is None:
            raise LocalFault("STORE_CORRUPT", "the tip is missing")
        try:
            height, hash_, frontier = decode(raw, bytes_max=1 << 16)
            if type(height) is not int or type(hash_) is not bytes:
                raise TypeError("fields of other types")
            return Tip(height, hash_, Frontier.from_plain(frontier))
        except CodecError as error:
            raise _corrupt("the tip", error) from None
        except (ValueError, TypeError):
            raise LocalFault("STORE_CORRUPT", "the tip is unreadable") from None

    def _read(self, table: bytes, height: int, wire: type[Wire]) -> Any:
        raw = self._kv.get(height_key(table, height))
        if raw is None:
            return None
        try:
            return wire.decode(raw)
        except CodecError as error:
            raise _corrupt(f"{wire.__name__} {height}", error) from None

    def block(self, height: int) -> Block | None:
        found: Block | None = self._read(schema.BLOCK, height, Block)
        return found

    def certificate(self, height: int) -> Certificate | None:
        found: Certificate | None = self._read(schema.CERTIFICATE, height, Certificate)
        return found

    def sealed(self, height: int) -> SealedBlock | None:
        """A block with its certificate; genesis has none to show."""
        block, certificate = self.block(height), self.certificate(height)
        if block is None or certificate is None:
            return None
        return SealedBlock(block, certificate)

    def receipts(self, height: int) -> tuple[Receipt, ...] | None:
        raw = self._kv.get(height_key(schema.RECEIPTS, height))
        if raw is None:
            return None
        try:
            plain = decode(raw, bytes_max=RECEIPTS_BYTES_MAX, items_max=RECEIPTS_MAX)
            if type(plain) is not list:
                raise CodecError("WRONG_TYPE", "not an array")
            return tuple([Receipt.from_plain(one) for one in plain])
        except CodecError as error:
            raise _corrupt(f"receipts {height}", error) from None

    def height_of(self, block_hash: bytes) -> int | None:
        raw = self._kv.get(schema.BLOCK_HASH + block_hash)
        return None if raw is None else int.from_bytes(raw, "big")

    def position_of(self, tx_id: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction."""
        raw = self._kv.get(schema.TX_ID + tx_id)
        if raw is None:
            return None
        return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
