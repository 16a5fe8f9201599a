"""A chain executed again from its genesis document, out of blocks that are on this machine.

Nothing but the document is taken on trust: each block has a quorum's seals by the validators that
the execution so far names, and has to give the very header that they sealed. What comes out is
therefore certain, wherever the blocks came from: state, receipts, indexes, all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import trio

from consensus.block import SealedBlock
from consensus.certificates import Certificate
from consensus.primitives.errors import CodecError, HansaError, LocalFault
from genesis.document import GenesisDocument
from node.care.findings import Progress
from node.chain import Chain
from node.clock import InlineBlocking
from node.store import schema
from node.store.blocks import BlockStore
from node.store.kv import KV, LevelKV

Sealed = Callable[[int], SealedBlock]
"""The block of a height, from 1, with its certificate. Raises LocalFault REPLAY_STOPPED."""
PASSED_AT_ONCE: Final = 64
"""Blocks that go to the disk together."""
_HISTORY: Final = (schema.RECEIPTS, schema.CERTIFICATE, schema.BLOCK_HASH, schema.TX_ID)


class Vouched:
    """Signatures of transactions in a block that a quorum has signed: that one is checked."""

    async def verify(self, items: list[tuple[bytes, bytes, bytes, bytes]]) -> list[bool]:
        return [True] * len(items)


def stored_blocks(kv: KV) -> Sealed:
    """The blocks of a store. Where a certificate is missing or damaged, the next block's copy."""
    blocks = BlockStore(kv)

    def sealed(height: int) -> SealedBlock:
        try:
            block = blocks.block(height)
            if block is None and height < blocks.oldest:
                raise LocalFault(
                    "REPLAY_STOPPED",
                    f"block {height} was pruned: only a node with every block can execute them",
                )
            if block is None:
                raise LocalFault("REPLAY_STOPPED", f"block {height} is missing")
            return SealedBlock(block, _certificate(blocks, height, block.hash))
        except LocalFault as fault:
            if fault.code == "REPLAY_STOPPED":
                raise
            raise LocalFault("REPLAY_STOPPED", f"block {height}: {fault.message}") from None

    return sealed


def _certificate(blocks: BlockStore, height: int, block_hash: bytes) -> Certificate:
    try:
        found = blocks.certificate(height)
    except LocalFault:
        found = None
    if found is not None and found.block_hash == block_hash:
        return found
    following = blocks.block(height + 1)
    copy = None if following is None else following.last_certificate
    if copy is None or copy.block_hash != block_hash:
        raise LocalFault("REPLAY_STOPPED", f"block {height} has no certificate here")
    return copy


def replay(
    document: GenesisDocument, sealed: Sealed, height: int, kv: KV, progress: Progress
) -> bytes:
    """Bring ``kv`` from where it is (empty: from genesis) to block ``height``; returns its hash.

    Raises LocalFault REPLAY_STOPPED where a block is missing, is not certified, or gives another
    result than its header says; the blocks before it are in ``kv`` then.
    """

    async def run() -> bytes:
        chain = Chain(document, kv, InlineBlocking(), Vouched())
        try:
            while chain.height < height:
                await _next(chain, sealed, height)
                progress("executing", chain.height, height)
        except LocalFault as fault:
            if fault.code == "REPLAY_STOPPED":
                await chain.sync()
            raise
        return chain.hash

    return trio.run(run)


async def _next(chain: Chain, sealed: Sealed, last: int) -> None:
    height = chain.height + 1
    one = sealed(height)
    try:
        outcome = await chain.execute_sealed(one)
    except LocalFault as fault:
        if fault.code != "DIVERGED":
            raise
        raise LocalFault("REPLAY_STOPPED", fault.message) from None
    except (HansaError, CodecError) as error:
        raise LocalFault("REPLAY_STOPPED", f"block {height}: {error}") from None
    assert one.certificate is not None, "execute_sealed checks it"
    passing = height < last and height % PASSED_AT_ONCE != 0
    await chain.commit(outcome, one.certificate, passing=passing)


class StateOnly(LevelKV):
    """A throw-away store that keeps the state and block 0 of what a chain writes: its history is
    not asked for."""

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        first = schema.height_key(schema.BLOCK, 0)
        kept = [
            (key, value)
            for key, value in operations
            if key[:1] not in _HISTORY and (key[:1] != schema.BLOCK or key == first)
        ]
        super().write(kept, sync=False)
