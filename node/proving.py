"""Proofs that this node makes for others: values, complete ranges, transactions, events, history.

A node serves proofs of the state for the heights that it keeps (``node.store.kept``), and of blocks
for all that it stores. What takes long runs in a thread, one at a time, on snapshots that nobody
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from consensus import ics23, rules
from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives.errors import InputError
from consensus.proofs import HistoryProof, LeafProof, ListProof, StateProof, Wanted, prove_state
from consensus.validators import ValidatorSet
from node.chain import Chain
from node.ports import Blocking
from node.store.blocks import receipt_leaves
from node.store.kept import KeptState

T = TypeVar("T")

KEYS_MAX: Final = 64
ICS23_KEYS_MAX: Final = 16
INLINE_KEYS_MAX: Final = 8
"""Made in the event loop: a few milliseconds."""
RANGE_KEYS_MAX: Final = 1000
RANGE_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True)
class Attested:
    """A header with its certificate, which block 0 alone lacks: that one is the document's."""

    header: Header
    certificate: Certificate | None


@dataclass(frozen=True)
class StateAnswer:
    """``next``: where a range goes on that was too long; the proof covers all before it."""

    at: Attested
    proof: StateProof
    values: list[tuple[bytes, bytes | None]]
    next: bytes | None = None


@dataclass(frozen=True)
class Ics23Answer:
    """A CommitmentProof in Protocol Buffers."""

    at: Attested
    proof: bytes
    values: list[tuple[bytes, bytes | None]]


@dataclass(frozen=True)
class LeafAnswer:
    """Something in a block; with a transaction comes its receipt."""

    at: Attested
    leaf: LeafProof
    receipt: LeafProof | None = None


@dataclass(frozen=True)
class HeaderAnswer:
    """A header and the sets that it names: who sealed it, and who seals the next."""

    at: Attested
    validators: ValidatorSet
    next_validators: ValidatorSet


@dataclass(frozen=True)
class HistoryAnswer:
    """Two headers, and that the older one stands in the newer one's history."""

    old: Header
    new: Attested
    inclusion: ListProof
    consistency: HistoryProof | None
    """None for block 0, which has no history to compare."""


class Prover:
    """Makes proofs from a chain, and keeps the states of its recent blocks for that."""

    def __init__(self, chain: Chain, blocking: Blocking) -> None:
        self._chain = chain
        self._blocking = blocking
        self._one = trio.Lock()
        chain.states.begin(chain.header, chain.certificate)

    def heights(self) -> list[int]:
        """Whose states are held in memory: the last minutes'."""
        return self._chain.states.heights()

    @property
    def kept_from(self) -> int | None:
        """The first height whose state the store keeps, with all that follow."""
        return self._chain.states_from

    # --- the state ---------------------------------------------------------------------------

    async def state(
        self,
        keys: Sequence[bytes],
        span: tuple[bytes, bytes] | None,
        limit: int,
        height: int | None,
    ) -> StateAnswer:
        """Keys, and all keys of ``span`` or its first ``limit``. Raises InputError
        STATE_NOT_KEPT."""

        def make(kept: KeptState) -> StateAnswer:
            covered, following = _first(kept, span, limit) if span else (None, None)
            wanted = Wanted(keys, [covered] if covered else [])
            proof = prove_state(kept, kept.slot, kept.get, wanted)
            return StateAnswer(_at(kept), proof, _values(kept, keys), following)

        return await self._on_state(
            height, make, inline=span is None and len(keys) <= INLINE_KEYS_MAX
        )

    async def ics23(self, keys: Sequence[bytes], height: int | None) -> Ics23Answer:
        """Raises InputError STATE_NOT_KEPT."""

        def make(kept: KeptState) -> Ics23Answer:
            wanted = Wanted(keys)
            proof = prove_state(kept, kept.slot, kept.get, wanted, neighbours=True)
            return Ics23Answer(_at(kept), ics23.commitment_proof(proof, keys), _values(kept, keys))

        return await self._on_state(height, make, inline=len(keys) <= INLINE_KEYS_MAX)

    async def _on_state(
        self, height: int | None, make: Callable[[KeptState], T], *, inline: bool
    ) -> T:
        kept = self._chain.state_at(height)
        with kept.in_use():
            if inline:
                return make(kept)
            async with self._one:
                return await self._blocking.run(lambda: make(kept))

    # --- blocks ------------------------------------------------------------------------------

    def _attested(self, height: int) -> Attested:
        header = self._chain.blocks.header(height)
        if header is None:
            raise InputError("BLOCK_NOT_FOUND", "this node has no such block")
        return Attested(header, self._chain.blocks.certificate(height))

    def header(self, height: int | None) -> HeaderAnswer:
        """Raises InputError BLOCK_NOT_FOUND."""
        at = self._attested(self._chain.height if height is None else height)
        sets = [
            self._chain.blocks.validators(digest)
            for digest in (at.header.validators_hash, at.header.next_validators_hash)
        ]
        if sets[0] is None or sets[1] is None:
            raise InputError("BLOCK_NOT_FOUND", "this node doesn't have that block's validators")
        return HeaderAnswer(at, sets[0], sets[1])

    async def transaction(self, tx_id: bytes) -> LeafAnswer:
        """A transaction with its receipt. Raises InputError TX_NOT_FOUND."""
        position = self._chain.blocks.position_of(tx_id)
        if position is None:
            raise InputError("TX_NOT_FOUND", "no block of this node has the transaction")
        height, index = position

        def make() -> LeafAnswer:
            block = self._chain.blocks.block(height)
            if block is None:  # pruned in between
                raise InputError("TX_NOT_FOUND", "no block of this node has the transaction")
            proof = LeafProof(block.bodies[index], ListProof.make(block.wire_ids, index))
            return LeafAnswer(self._attested(height), proof, self._receipt(height, index))

        return await self._on_block(make)

    async def receipt(self, height: int, index: int) -> LeafAnswer:
        """Raises InputError BLOCK_NOT_FOUND."""
        return await self._on_block(
            lambda: LeafAnswer(self._attested(height), self._receipt(height, index))
        )

    def _receipt(self, height: int, index: int) -> LeafProof:
        self._chain.blocks.require_whole(height)
        raw = self._chain.blocks.receipts_raw(height)
        leaves = [] if raw is None else receipt_leaves(raw)
        if index >= len(leaves):
            raise InputError("BLOCK_NOT_FOUND", "this node has no such block or receipt")
        return LeafProof(leaves[index], ListProof.make(leaves, index))

    async def event(self, height: int, index: int, number: int) -> LeafAnswer:
        """Event ``number`` of receipt ``index``. Raises InputError BLOCK_NOT_FOUND."""

        def make() -> LeafAnswer:
            at = self._attested(height)
            self._chain.blocks.require_whole(height)
            receipts = self._chain.blocks.receipts(height) or ()
            if index >= len(receipts) or number >= len(receipts[index].events):
                raise InputError("BLOCK_NOT_FOUND", "this node has no such block or event")
            leaves = rules.event_leaves(receipts)
            place = sum(len(one.events) for one in receipts[:index]) + number
            return LeafAnswer(at, LeafProof(leaves[place], ListProof.make(leaves, place)))

        return await self._on_block(make)

    async def _on_block(self, make: Callable[[], T]) -> T:
        async with self._one:
            return await self._blocking.run(make)

    # --- history -----------------------------------------------------------------------------

    def history(self, old: int, new: int | None) -> HistoryAnswer:
        """Raises InputError BLOCK_NOT_FOUND, or BAD_HEIGHT unless ``old`` is before ``new``."""
        new = self._chain.height if new is None else new
        if old >= new:
            raise InputError("BAD_HEIGHT", "history is proven of an older header in a newer one")
        newer, older = self._attested(new), self._attested(old)
        if old < self._chain.blocks.before.size:
            raise InputError("BLOCK_NOT_FOUND", "this node began with a later snapshot")
        history = self._chain.blocks.history
        consistency = None
        if old > 0:
            consistency = HistoryProof(old, new, tuple(history.consistency(old, new)))
        inclusion = ListProof(old, new, tuple(history.inclusion(old, new)))
        return HistoryAnswer(older.header, newer, inclusion, consistency)


def _at(kept: KeptState) -> Attested:
    return Attested(kept.header, kept.certificate)


def _values(kept: KeptState, keys: Sequence[bytes]) -> list[tuple[bytes, bytes | None]]:
    return [(key, kept.get(key)) for key in keys]


def _first(
    kept: KeptState, span: tuple[bytes, bytes], limit: int
) -> tuple[tuple[bytes, bytes], bytes | None]:
    """The part of a range that one answer holds, and the key that comes behind it."""
    start, stop = span
    size = 0
    for count, (key, value) in enumerate(kept.scan(start, stop)):
        size += len(value)
        if count >= limit or (count and size > RANGE_BYTES_MAX):
            return (start, key), key
    return span, None
