"""A small in-memory node behind the real HTTP server, for the API's and the client's tests."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from fastapi import FastAPI

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError, LocalFault, TxRejected
from consensus.transaction import Transaction
from node.api.app import make_app
from node.api.server import serve_api
from node.api.service import (
    CommittedBlock,
    EventRecord,
    Position,
    QueryResult,
    SubmitResult,
    TxStatus,
)
from node.proving import Prover

CHAIN_ID = sha256(b"a chain for tests")


@dataclass
class MemoryNode:
    """Keeps what it is given; ``commit`` makes a block of what waits. Implements NodeService."""

    blocks: list[CommittedBlock] = field(default_factory=list)
    event_records: list[EventRecord] = field(default_factory=list)
    waiting: dict[bytes, bytes] = field(default_factory=dict)
    held_out: dict[bytes, str] = field(default_factory=dict)
    committed: dict[bytes, tuple[int, int, str]] = field(default_factory=dict)
    submissions: list[list[bytes]] = field(default_factory=list)
    full_times: int = 0
    time_ms: int = 1_700_000_000_000
    commit_on_submit: bool = True
    failing_code: str = "OK"
    prover: Prover | None = None

    def __post_init__(self) -> None:
        self.changed = trio.Event()

    def commit(self) -> None:
        height = len(self.blocks) + 1
        txs = [(tx_id, self.failing_code) for tx_id in self.waiting]
        for index, (tx_id, code) in enumerate(txs):
            self.committed[tx_id] = (height, index, code)
            record = EventRecord(
                (height, index, 0), tx_id, "batch", "shipped", {"lot": b"\x01"}, self.time_ms
            )
            self.event_records.append(record)
        self.blocks.append(CommittedBlock(height, self.time_ms, sha256(bytes([height % 256])), txs))
        self.waiting.clear()
        self.wake()

    @property
    def block_time_ms(self) -> int:
        return self.blocks[-1].time_ms if self.blocks else 0

    def wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def submit(self, raws: Sequence[bytes]) -> list[SubmitResult]:
        self.submissions.append(list(raws))
        if self.full_times > 0:
            self.full_times -= 1
            self.commit()
            return [SubmitResult(None, False, "MEMPOOL_FULL", "full", 20) for _ in raws]
        results = [self._admit(raw) for raw in raws]
        if self.commit_on_submit and self.waiting:
            self.commit()
        return results

    def _admit(self, raw: bytes) -> SubmitResult:
        try:
            tx = Transaction.parse(raw)
        except TxRejected as error:
            return SubmitResult(None, False, error.code, error.message)
        if not tx.signature_valid():
            return SubmitResult(tx.tx_id, False, "TX_SIGNATURE", "the signature is wrong")
        if tx.tx_id in self.committed:
            return SubmitResult(tx.tx_id, True, "ALREADY_COMMITTED")
        if tx.body.valid_until < self.time_ms:
            return SubmitResult(tx.tx_id, False, "TX_EXPIRED", "its time is over")
        self.waiting[tx.tx_id] = raw
        return SubmitResult(tx.tx_id, True)

    async def tx_status(self, tx_id: bytes) -> TxStatus:
        if tx_id in self.waiting:
            return TxStatus(tx_id, "pending", self.held_out.get(tx_id, ""))
        if tx_id not in self.committed:
            return TxStatus(tx_id, "unknown")
        height, index, code = self.committed[tx_id]
        block_hash = self.blocks[height - 1].hash
        return TxStatus(
            tx_id, "committed", code, "", height, index, block_hash, self.time_ms, 17, (), b"\x02"
        )

    async def transaction_bytes(self, tx_id: bytes) -> bytes | None:
        return self.waiting.get(tx_id)

    async def positions(self, since_height: int | None) -> AsyncIterator[CommittedBlock]:
        height = len(self.blocks) + 1 if since_height is None else max(1, since_height)
        while True:
            changed = self.changed
            while height <= len(self.blocks):
                yield self.blocks[height - 1]
                height += 1
            await changed.wait()

    async def events(
        self, since: Position | None, contract: str | None, name: str | None
    ) -> AsyncIterator[EventRecord]:
        if contract == "broken":
            raise RuntimeError("a secret of the implementation")
        if contract == "none":
            raise InputError("UNKNOWN_CONTRACT", "there is no contract none")
        start = since or (len(self.blocks) + 1, 0, 0)
        number = 0
        while True:
            changed = self.changed
            while number < len(self.event_records):
                record = self.event_records[number]
                number += 1
                wanted = contract in (None, record.contract) and name in (None, record.name)
                if wanted and record.position >= start:
                    yield record
            await changed.wait()

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        if contract != "batch":
            raise InputError("UNKNOWN_CONTRACT", f"there is no contract {contract!r}")
        if method == "crash":
            raise RuntimeError("a secret of the implementation")
        if method == "disk":
            raise LocalFault("STORE_IO", "/a/secret/path is gone")
        at = len(self.blocks) if height is None else height
        return QueryResult(at, {"method": method, "args": args, "raw": b"\xff"})

    async def block(self, height: int | None) -> dict[str, Any] | None:
        height = len(self.blocks) if height is None else height
        return {"height": height} if 1 <= height <= len(self.blocks) else None

    async def block_bytes(self, height: int) -> bytes | None:
        return b"block %d" % height if 1 <= height <= len(self.blocks) else None

    async def block_receipts(self, height: int) -> bytes | None:
        return b"\x90" if await self.block_bytes(height) is not None else None

    def status(self) -> dict[str, Any]:
        return {
            "height": len(self.blocks),
            "block_time_ms": self.block_time_ms,
            "chain_id": CHAIN_ID.hex(),
        }

    def evidence(self, after: bytes | None, limit: int) -> dict[str, Any]:
        return {"evidence": [], "waiting": [], "next": None}

    def recording(self) -> bytes:
        return b"recording"

    def doctor(self) -> dict[str, Any]:
        return {"verdict": "Nothing is wrong.", "findings": [], "vitals": {"name": "test"}}

    def contracts(self) -> dict[str, Any]:
        return {"batch": {"methods": {}}}

    def genesis(self) -> dict[str, Any]:
        return {"name": "test"}

    def readiness(self) -> tuple[bool, str]:
        return (True, "") if self.blocks else (False, "no block yet")

    def metrics_text(self) -> bytes:
        return b"hansa_height 0\n"


class Running:
    """A served node in a thread of its own, for synchronous clients."""

    def __init__(self, node: MemoryNode) -> None:
        self.node = node
        self.url = ""
        self._up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)

    def _app(self) -> FastAPI:
        return make_app(self.node, prover=self.node.prover)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._scope = trio.CancelScope()
        with self._scope:
            async with trio.open_nursery() as nursery:
                address = await nursery.start(serve_api, self._app(), "127.0.0.1:0")
                self.url = f"http://{address}"
                self._up.set()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        self.call(self._scope.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def call(self, function: Callable[[], Any]) -> None:
        """Run ``function`` in the node's own thread."""
        trio.from_thread.run_sync(function, trio_token=self._token)


@contextmanager
def running_node(node: MemoryNode | None = None) -> Iterator[Running]:
    running = Running(node or MemoryNode())
    running.start()
    try:
        yield running
    finally:
        if running._thread.is_alive():
            running.stop()
