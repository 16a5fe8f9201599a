"""A ledger of one process behind the real HTTP server: real contracts, blocks without a vote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from consensus.primitives.codec import data_to_json
from consensus.transaction import Transaction
from contracts.runtime.executor import BlockContext, BlockExecutor, run_query
from contracts.runtime.registry import Registry
from genesis.build import initial_state
from genesis.document import GenesisDocument
from node.api.service import CommittedBlock, EventRecord, QueryResult, TxStatus
from tests.node.api_world import MemoryNode


class DictState:
    """A state in memory, in key order."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.values):
            if start <= key < stop:
                yield key, self.values[key]


class LedgerNode(MemoryNode):
    """Executes each submission in a block of its own."""

    def __init__(self, document: GenesisDocument) -> None:
        super().__init__()
        self.document = document
        self.registry = Registry.of(document.packages)
        self.state = DictState(initial_state(document, self.registry))
        self.receipts: dict[bytes, TxStatus] = {}
        self.raws: dict[bytes, bytes] = {}
        self.time_ms = document.time_ms

    def _context(self, height: int) -> BlockContext:
        return BlockContext(self.document.chain_id, height, self.time_ms, bytes(32))

    def commit(self) -> None:
        height = len(self.blocks) + 1
        self.time_ms += 1_000
        executor = BlockExecutor(self.registry, self.state, self._context(height))
        executor.begin()
        txs = []
        for index, (tx_id, raw) in enumerate(self.waiting.items()):
            receipt = executor.execute(Transaction.parse(raw))
            txs.append((tx_id, receipt.code))
            self.committed[tx_id] = (height, index, receipt.code)
            self.raws[tx_id] = raw
            events = [
                {"contract": one.contract, "name": one.name, "fields": one.fields}
                for one in receipt.events
            ]
            self.receipts[tx_id] = TxStatus(
                tx_id, "committed", receipt.code, receipt.detail, height, index, bytes(32),
                self.time_ms, receipt.steps_used, events, receipt.result,
            )  # fmt: skip
            self.event_records += [
                EventRecord(
                    (height, index, number), tx_id, one.contract, one.name, one.fields, self.time_ms
                )
                for number, one in enumerate(receipt.events)
            ]
        executor.finish()
        self.registry = executor.registry
        for key, value in executor.changes.items():
            if value is None:
                self.state.values.pop(key, None)
            else:
                self.state.values[key] = value
        self.blocks.append(CommittedBlock(height, self.time_ms, bytes([height % 256]) * 32, txs))
        self.waiting.clear()
        self.wake()

    async def tx_status(self, tx_id: bytes) -> TxStatus:
        return self.receipts.get(tx_id) or await super().tx_status(tx_id)

    async def transaction_bytes(self, tx_id: bytes) -> bytes | None:
        return self.raws.get(tx_id)

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        context = self._context(len(self.blocks))
        return QueryResult(
            len(self.blocks), run_query(self.registry, self.state, context, contract, method, args)
        )

    async def block(self, height: int | None) -> dict[str, Any] | None:
        height = len(self.blocks) if height is None else height
        if not 1 <= height <= len(self.blocks):
            return None
        block = self.blocks[height - 1]
        txs = [{"tx_id": tx_id.hex(), "code": code} for tx_id, code in block.txs]
        return {
            "hash": block.hash.hex(),
            "header": {"height": height, "time_ms": block.time_ms},
            "transactions": txs,
        }

    def status(self) -> dict[str, Any]:
        return {
            "height": len(self.blocks),
            "block_time_ms": self.time_ms,
            "chain_id": self.document.chain_id.hex(),
            "peers": [{"name": "n2", "connected": True, "rtt_ms": 1}],
        }

    def contracts(self) -> dict[str, Any]:
        schema: dict[str, Any] = data_to_json(self.registry.schema())
        return schema

    def genesis(self) -> dict[str, Any]:
        return self.document.to_json()
