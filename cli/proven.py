"""Blocks and receipts as a node shows them, each checked before it is believed.

A header names the roots of its block's transactions and receipts, and the header before it. So
from one certified header on nothing can be left out, put in or changed unseen. Certificates are
checked where a block's validators and parameters are those of the genesis document; where votes
have changed them since, :attr:`ProvenBlocks.uncertified` counts: for these only the links speak
(``hansa report`` replays the chain, and checks them all).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cli.call import open_client
from cli.proof import require_chain
from cli.rehearsal import BlockSource, FolderBlocks, NodeBlocks
from consensus import rules
from consensus.block import Block, SealedBlock
from consensus.primitives import merkle
from consensus.primitives.errors import CodecError, InputError, PeerFault
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from contracts.runtime.executor import run_query
from contracts.runtime.registry import Registry
from contracts.runtime.session import BlockContext
from contracts.runtime.system import read_packages
from genesis.document import GenesisDocument
from node.store.blocks import decode_receipts
from node.store.state import StateStore

if TYPE_CHECKING:
    from cli.client import Client


class Source(BlockSource, Protocol):
    """Where blocks and their receipts come from."""

    def receipts(self, height: int) -> bytes:
        """The canonical array of a block's receipts."""

    def contracts(self) -> dict[str, Any]:
        """The published schema of the contracts in force."""

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """A query's answer from the newest state; unlike blocks, it is not proven."""


class NodeSource(NodeBlocks):
    """A running node."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._node = client

    def receipts(self, height: int) -> bytes:
        return self._node.receipts(height)

    def contracts(self) -> dict[str, Any]:
        return self._node.contracts()

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        return self._node.query(contract, method, args).value


class FolderSource(FolderBlocks):
    """The data folder of a stopped node."""

    def receipts(self, height: int) -> bytes:
        raw = self._blocks.receipts_raw(height)
        if raw is None:
            raise InputError("BLOCK_NOT_FOUND", f"the receipts of block {height} are missing")
        return raw

    @cached_property
    def _state(self) -> StateStore:
        return StateStore(self._kv)

    @cached_property
    def _registry(self) -> Registry:
        return Registry.of(read_packages(self._state))

    def contracts(self) -> dict[str, Any]:
        return self._registry.schema()

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        header = self.sealed(self.height).block.header
        block = BlockContext(header.chain_id, header.height, header.time_ms, header.proposer)
        return run_query(self._registry, self._state, block, contract, method, args)


@contextlib.contextmanager
def open_source(
    data: Path | None, genesis: Path | None = None, chain_id: str | None = None
) -> Iterator[Source]:
    """The data folder of a stopped node if one is given, else the node that commands ask.

    Raises InputError WRONG_CHAIN where its genesis document is of another chain than the user's.
    """
    if data is not None:
        folder = FolderSource(data)
        try:
            _require_own_chain(folder, genesis, chain_id)
            yield folder
        finally:
            folder.close()
        return
    with open_client() as client:
        node = NodeSource(client)
        _require_own_chain(node, genesis, chain_id)
        yield node


def _require_own_chain(source: Source, genesis: Path | None, chain_id: str | None) -> None:
    require_chain(source.document, chain_id)
    if genesis is not None:
        require_chain(source.document, GenesisDocument.load(genesis).chain_id.hex())


class ProvenBlock(NamedTuple):
    """A block with its receipts: those of its transactions in order, then of what ran by itself."""

    block: Block
    receipts: tuple[Receipt, ...]

    @property
    def height(self) -> int:
        return self.block.height

    def tx_id(self, index: int) -> bytes | None:
        """The transaction that a receipt is of; None where none asked for it."""
        bodies = self.block.bodies
        return Transaction.parse(bodies[index]).tx_id if index < len(bodies) else None


class ProvenBlocks:
    """Walks the blocks of a source in order. Raises InputError NOT_PROVEN for what does not fit."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.uncertified = 0
        document = source.document
        self._validators = document.validator_set()
        self._params = document.params
        self._quorum = self._validators.thresholds(self._params.fault_model).quorum

    def walk(self, first: int, last: int) -> Iterator[ProvenBlock]:
        """Blocks ``first`` (1 at the least) to ``last``."""
        parent: bytes | None = None
        for height in range(first, last + 1):
            sealed = self.source.sealed(height)
            block = sealed.block
            header = block.header
            if header.chain_id != self.source.document.chain_id or header.height != height:
                raise _not_proven(height, "it is another chain's, or another block")
            if parent is not None and header.parent != parent:
                raise _not_proven(height, "it does not follow the block before")
            if not rules.is_whole(block):
                raise _not_proven(height, "its parts are not those that its header names")
            self._check_certificate(sealed)
            yield ProvenBlock(block, self._receipts(block))
            parent = block.hash

    def _check_certificate(self, sealed: SealedBlock) -> None:
        block, certificate = sealed.block, sealed.certificate
        if certificate is None or certificate.block_hash != block.hash:
            raise _not_proven(block.height, "its certificate is another block's, or missing")
        header = block.header
        same_set = header.validators_hash == self._validators.digest
        if not same_set or header.params_hash != self._params.digest:
            self.uncertified += 1
            return
        try:
            certificate.check(header.chain_id, self._validators, self._quorum)
        except PeerFault as error:
            raise _not_proven(block.height, error.message) from None

    def _receipts(self, block: Block) -> tuple[Receipt, ...]:
        height = block.height
        try:
            receipts = decode_receipts(self.source.receipts(height))
        except CodecError as error:
            raise _not_proven(height, f"its receipts: {error.message}") from None
        if merkle.root([one.raw for one in receipts]) != block.header.receipt_root:
            raise _not_proven(height, "its receipts are not those that its header names")
        return receipts


def _not_proven(height: int, why: str) -> InputError:
    return InputError("NOT_PROVEN", f"block {height} is not what the chain proves: {why}")
