"""A chain in memory on which the calls of trade are made, and what a call costs there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from consensus.receipt import OK, Receipt
from consensus.transaction import Call, Transaction
from contracts.runtime.executor import BlockExecutor
from contracts.runtime.registry import builtin_packages
from contracts.sdk.testkit import Testkit


class Made(NamedTuple):
    """A call to be made, and by whom."""

    who: str
    contract: str
    method: str
    args: dict[str, Any]


class Row(NamedTuple):
    """Calls of one kind that don't depend on each other, ready to be measured."""

    name: str
    calls: Sequence[Made]


class TimedRow(NamedTuple):
    """What the next block does by itself: so many things, and the event that says it is done."""

    name: str
    things: int
    done: str


class World(Testkit):
    """A chain in memory with organisations of each trade."""

    def __init__(self) -> None:
        super().__init__(builtin_packages(), {"governance": {}})
        self.organisation("maker", ("manufacturer", "laboratory"))
        self.organisation("wholesaler", ("wholesaler",))
        self.organisation("pharmacy", ("dispenser",))
        self.organisation("carrier", ("logistics_operator",))
        self.organisation("regulator", ("regulator",))
        for name in ("examiner", "approver"):
            self.key(name, "maker", ("laboratory",), user=f"user-{name}")

    def do(self, *calls: Made) -> list[Any]:
        """All in one block, each a transaction: their results."""
        receipts = self.block(*self.signed(calls))[: len(calls)]
        for call, receipt in zip(calls, receipts, strict=True):
            _check(f"{call.contract}.{call.method}", receipt)
        return [receipt.result[0] for receipt in receipts if receipt.result is not None]

    def signed(self, calls: Sequence[Made]) -> list[Transaction]:
        """Decoded from their bytes, with their ids known, as admission leaves them."""
        found = []
        for who, contract, method, args in calls:
            made = self.transaction(self._seeds[who], [Call(contract, method, args)])
            tx = Transaction.parse(made.raw)
            _ = tx.tx_id, tx.wire_id
            found.append(tx)
        return found

    def settle(self) -> None:
        """Let what is due run."""
        self.advance(seconds=1)

    def cost(self, row: Row, tries: int) -> dict[str, Any]:
        """The measured row. Raises AssertionError when a call fails."""
        first, *txs = self.signed(row.calls)
        best = 0.0
        for attempt in range(tries):
            executor = self._next_block()
            executor.begin()
            _check(row.name, executor.execute(first))
            begun = time.process_time()
            receipts = [executor.execute(tx) for tx in txs]
            spent = time.process_time() - begun
            best = spent if attempt == 0 else min(best, spent)
        for receipt in receipts:
            _check(row.name, receipt)
        size = sum(len(tx.raw) for tx in txs)
        return _figures(row.name, receipts, best, size, len(txs))

    def cost_by_itself(self, row: TimedRow, tries: int) -> dict[str, Any]:
        """The same of what the next block runs by itself, for each thing reached."""
        best = 0.0
        for attempt in range(tries):
            executor = self._next_block()
            begun = time.process_time()
            executor.begin()
            spent = time.process_time() - begun
            best = spent if attempt == 0 else min(best, spent)
        receipts = executor.due_receipts
        for receipt in receipts:
            _check(row.name, receipt)
        if row.done not in {event.name for receipt in receipts for event in receipt.events}:
            raise AssertionError(f"{row.name}: not done in one block")
        return _figures(row.name, receipts, best, 0, row.things)

    def _next_block(self) -> BlockExecutor:
        return BlockExecutor(self.registry, self._state, self._next_context())


def _check(name: str, receipt: Receipt) -> None:
    if receipt.code != OK:
        raise AssertionError(f"{name} failed: {receipt.code} {receipt.detail}")


def _figures(
    name: str, receipts: Sequence[Receipt], seconds: float, tx_bytes: int, count: int
) -> dict[str, Any]:
    steps = sum(receipt.steps_used for receipt in receipts)
    microseconds = seconds * 1e6
    return {
        "call": name,
        "steps": round(steps / count),
        "us": microseconds / count,
        "steps_per_us": steps / microseconds,
        "tx_bytes": round(tx_bytes / count),
        "receipt_bytes": round(sum(len(receipt.raw) for receipt in receipts) / count),
    }
