"""Blocks, certificates, receipts and their indexes in the key-value store.

Reading returns None for what is not there. Bytes that don't decode are this disk's fault:
LocalFault STORE_CORRUPT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from consensus.block import CONTENT_TXS_MAX, Block, Header, SealedBlock
from consensus.certificates import Certificate
from consensus.primitives.codec import Wire, decode, encode, encode_array
from consensus.primitives.errors import CodecError, InputError, LocalFault
from consensus.primitives.merkle import Frontier
from consensus.proofs import SealedHeader
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from node.store import schema
from node.store.history import HistoryStore
from node.store.kv import KV
from node.store.schema import height_key

Operations = list[tuple[bytes, bytes | None]]

RECEIPTS_BYTES_MAX: Final = 256 << 20
RECEIPTS_MAX: Final = CONTENT_TXS_MAX + 10_000  # with those of due calls and activations
ARRAY_OF_2: Final = b"\x92"
NEWEST_KEPT: Final = 8
"""Blocks held in memory: subscribers and peers ask for the newest at once."""


@dataclass(frozen=True)
class Tip:
    """The newest committed block. ``frontier`` covers the header hashes up to and with it."""

    height: int
    hash: bytes
    frontier: Frontier

    @property
    def raw(self) -> bytes:
        return encode([self.height, self.hash, self.frontier.to_plain()])


def _corrupt(what: str, error: CodecError) -> LocalFault:
    return LocalFault("STORE_CORRUPT", f"{what}: {error.message}")


def decode_receipts(raw: bytes) -> tuple[Receipt, ...]:
    """The receipts of a block from their canonical array. Raises CodecError."""
    plain = decode(raw, bytes_max=RECEIPTS_BYTES_MAX, items_max=RECEIPTS_MAX)
    if type(plain) is not list:
        raise CodecError("WRONG_TYPE", "not an array")
    return tuple([Receipt.from_plain(one) for one in plain])


def _elements(raw: bytes) -> Iterator[bytes]:
    """The bytes of each element of a canonical array, unread."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(raw))
    unpacker.feed(raw)
    count = unpacker.read_array_header()
    begin = unpacker.tell()
    for _ in range(count):
        unpacker.skip()
        end = unpacker.tell()
        yield raw[begin:end]
        begin = end


def receipt_leaves(raw: bytes) -> list[bytes]:
    """The canonical bytes of each receipt of a stored array: the leaves of the receipt root."""
    try:
        return list(_elements(raw))
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise LocalFault("STORE_CORRUPT", f"receipts: {error}") from None


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
        self.history = HistoryStore(kv)
        self._newest: dict[int, Recorded] = {}
        self.oldest = int.from_bytes(kv.get(schema.OLDEST) or b"", "big")
        """Blocks from this height on are kept whole; of those before it, header and certificate."""
        self.before = self._before()
        """The headers that came before the first one here, which a snapshot's store begins with."""

    def open(self, chain_id: bytes) -> bool:
        """Whether a chain is stored. Raises LocalFault STORE_FOREIGN for another chain's data and
        STORE_VERSION for another layout's than :mod:`node.store.layout` would have made."""
        stored = self._kv.get(schema.CHAIN_ID)
        if stored is None:
            return False
        if self._kv.get(schema.VERSION) != schema.LAYOUT_VERSION:
            raise LocalFault(
                "STORE_VERSION",
                "the data folder has another layout version: start its node once with this release",
            )
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
            (height_key(schema.RECEIPTS, height), encode_array([one.raw for one in receipts])),
            (schema.BLOCK_HASH + block.hash, height.to_bytes(8, "big")),
            (schema.TIP, Tip(height, block.hash, frontier).raw),
        ]
        operations += self.history.append(height, block.hash)
        if certificate is not None:
            operations.append((height_key(schema.CERTIFICATE, height), certificate.raw))
        if block.last_certificate is not None:
            parents = height_key(schema.CERTIFICATE, height - 1)
            operations.append((parents, block.last_certificate.raw))
        for index, tx_id in enumerate(tx_ids):
            position = height.to_bytes(8, "big") + index.to_bytes(4, "big")
            operations.append((schema.TX_ID + tx_id, position))
        return operations

    def _before(self) -> Frontier:
        raw = self._kv.get(schema.JOINED)
        try:
            return (
                Frontier() if raw is None else Frontier.from_plain(decode(raw, bytes_max=1 << 16))
            )
        except CodecError as error:
            raise _corrupt("the headers before the snapshot", error) from None

    def drop_oldest(self) -> Operations:
        """Leave no more of the oldest whole block than its header, certificate and hash; what it
        says is no longer found by a transaction's id. Raises LocalFault."""
        height = self.oldest
        block = self.block(height)
        if block is None:
            raise LocalFault("STORE_CORRUPT", f"block {height}, the oldest, is missing")
        operations: Operations = [
            (height_key(schema.PRUNED_HEADER, height), block.header.raw),
            (height_key(schema.BLOCK, height), None),
            (height_key(schema.RECEIPTS, height), None),
            (schema.OLDEST, (height + 1).to_bytes(8, "big")),
        ]
        operations += [(schema.TX_ID + Transaction.parse(raw).tx_id, None) for raw in block.bodies]
        self.oldest = height + 1
        return operations

    def mend_history(self, tip: Tip) -> None:
        """Make what proofs of history need, where a folder lacks it. Raises LocalFault."""
        self.history.mend(tip.height + 1, tip.frontier.root, self._hashes)

    def check_history(self, tip: Tip) -> None:
        """Whether every header up to the tip left its hash, and together they give the tip's root.

        A disk that lost one of LevelDB's files may show a newest block with earlier ones missing,
        and old values in their place. Raises LocalFault STORE_CORRUPT.
        """
        expected = None
        for height in self.history.heights():
            if expected is not None and height != expected:
                raise LocalFault(
                    "STORE_CORRUPT", f"blocks {expected} to {height - 1} are missing in the store"
                )
            expected = height + 1
        if expected != tip.height + 1:
            raise LocalFault(
                "STORE_CORRUPT", f"the hash of block {tip.height}, the tip, is missing"
            )
        if self.history.subtree(0, tip.height + 1) != tip.frontier.root:
            raise LocalFault("STORE_CORRUPT", "the hashes of earlier blocks are not the tip's")

    def _hashes(self) -> list[tuple[int, bytes]]:
        """(height, hash) of all blocks, in order."""
        stop = bytes((schema.BLOCK_HASH[0] + 1,))
        found = self._kv.scan(schema.BLOCK_HASH, stop)
        return sorted((int.from_bytes(height, "big"), key[1:]) for key, height in found)

    def known_validators(self, validators: ValidatorSet) -> Operations:
        """The operation that keeps a set for those who ask who sealed old blocks."""
        return [(schema.VALIDATORS + validators.digest, validators.raw)]

    def turn(self, sealed: SealedHeader) -> Operations:
        """The operation that keeps a header which names another set than its own: with these, one
        comes from the genesis document to any header."""
        return [(height_key(schema.TURN, sealed.height), sealed.raw)]

    def turns(self, last: int) -> Iterator[SealedHeader]:
        """Those up to a height. Raises LocalFault."""
        stop = height_key(schema.TURN, last + 1)
        for _, raw in self._kv.scan(height_key(schema.TURN, 0), stop):
            try:
                yield SealedHeader.decode(raw)
            except CodecError as error:
                raise _corrupt("a header that named other validators", error) from None

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

    def require_whole(self, height: int) -> None:
        """Raises InputError BLOCK_PRUNED for a block of which only the header is kept."""
        if height < self.oldest:
            raise InputError(
                "BLOCK_PRUNED",
                f"this node keeps blocks from {self.oldest} on: ask one with every block",
            )

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

    def header(self, height: int) -> Header | None:
        """A block's header, without reading its transactions."""
        if (kept := self._newest.get(height)) is not None:
            return kept.block.header
        raw = self._kv.get(height_key(schema.BLOCK, height))
        if raw is None:
            pruned: Header | None = self._read(schema.PRUNED_HEADER, height, Header)
            return pruned
        try:
            return Header.decode(next(_elements(raw)))
        except CodecError as error:
            raise _corrupt(f"header {height}", error) from None
        except (ValueError, StopIteration, msgpack.exceptions.UnpackException) as error:
            raise LocalFault("STORE_CORRUPT", f"block {height}: {error}") from None

    def certificate(self, height: int) -> Certificate | None:
        found: Certificate | None = self._read(schema.CERTIFICATE, height, Certificate)
        return found

    def sealed(self, height: int) -> SealedBlock | None:
        """A block with its certificate; genesis has none to show."""
        block, certificate = self.block(height), self.certificate(height)
        if block is None or certificate is None:
            return None
        return SealedBlock(block, certificate)

    def sealed_raw(self, height: int) -> bytes | None:
        """The bytes of :meth:`sealed`, without reading what is in them: an array of the two."""
        block = self._kv.get(height_key(schema.BLOCK, height))
        certificate = self._kv.get(height_key(schema.CERTIFICATE, height))
        if block is None or certificate is None:
            return None
        return ARRAY_OF_2 + block + certificate

    def receipts_raw(self, height: int) -> bytes | None:
        """The canonical array of a block's receipts, without reading what is in it."""
        return self._kv.get(height_key(schema.RECEIPTS, height))

    def receipts(self, height: int) -> tuple[Receipt, ...] | None:
        raw = self.receipts_raw(height)
        if raw is None:
            return None
        try:
            return decode_receipts(raw)
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
