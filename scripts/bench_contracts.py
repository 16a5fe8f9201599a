"""Measures contracts alone: one transfer, what metering adds to it, loading a module.

Every figure is CPU time of this process, the best of a few tries, so that a busy machine shows
least. Transactions are decoded and admitted before: their ids are known. What counts is
``BlockExecutor.execute``: caller, quota, arguments, conditions, the contract, usage, receipt.

    python -m scripts.bench_contracts
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from consensus.primitives.crypto import public_key, sha256
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.executor import BlockContext, BlockExecutor, bootstrap
from contracts.runtime.loader import load
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import ROOT, Registry, builtin_packages
from contracts.runtime.steps import Meter
from scripts.bench_work import MAKERS

TIME_MS: Final = 1_790_000_000_000
CHAIN_ID: Final = sha256(b"bench")
TRANSFERS: Final = 1_000  # of one block
ACCRUALS: Final = 20
ACCRUED_DAYS: Final = 3_650
TRIES: Final = 7
LOAD_LINES: Final = 500
MODULES: Final = ("scripts/modules/transfer.py", "scripts/modules/arithmetic.py")

Values = dict[bytes, bytes]


class _State:
    """A committed state in memory."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((k, v) for k, v in self.values.items() if start <= k < stop))


class Ledger:
    """The built-in contracts and the benchmark's, over a state in memory."""

    def __init__(self, *, instrumented: bool, audited: bool = False) -> None:
        packages = [*builtin_packages(), *(_package(path, audited) for path in MODULES)]
        self.registry = (
            Registry.of(packages)
            if instrumented
            else Registry([load(one, Meter(), instrumented=False) for one in packages])
        )
        self.block = BlockContext(CHAIN_ID, 1, TIME_MS, bytes(32))
        self.seed = sha256(b"maker")
        maker = MAKERS[0]
        member = {
            "id": maker.id,
            "name": maker.name,
            "roles": list(maker.roles),
            "admin_key": public_key(self.seed),
        }
        made = bootstrap(self.registry, self.block, {"identity": {"organisations": [member]}})
        self.state = _State({key: value for key, value in made.items() if value is not None})
        self.made = 0

    def transaction(self, contract: str, method: str, **args: Any) -> Transaction:
        """A new one, decoded from its bytes."""
        self.made += 1
        salt = self.made.to_bytes(16, "big")
        call = Call(contract, method, args)
        body = TransactionBody(
            1, CHAIN_ID, public_key(self.seed), (call,), TIME_MS, 10_000_000, salt
        )
        return Transaction.parse(body.signed(self.seed).raw)

    def commit(self, transactions: list[Transaction]) -> None:
        executor = self._execute(transactions)
        executor.finish()
        for key, value in executor.changes.items():
            assert value is not None
            self.state.values[key] = value

    def _execute(self, transactions: list[Transaction]) -> BlockExecutor:
        executor = BlockExecutor(self.registry, self.state, self.block)
        executor.begin()
        for tx in transactions:
            receipt = executor.execute(tx)
            if receipt.code != "OK":
                raise AssertionError(f"a transaction failed: {receipt.code} {receipt.detail}")
        return executor

    def microseconds(self, transactions: list[Transaction], tries: int) -> float:
        """CPU time for each, on the committed state, the best of a few tries."""
        for tx in transactions:
            _ = tx.tx_id, tx.wire_id  # as admission leaves them
        spent = [_cpu_s(lambda: self._execute(transactions)) for _ in range(tries)]
        return min(spent) / len(transactions) * 1e6


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _package(path: str, audited: bool) -> Package:
    text = (ROOT / path).read_text(encoding="utf-8")
    if audited:
        text = text.replace("\n    name = ", "\n    audited = True\n    name = ", 1)
    return package_of([(path, text)])


def _lot(number: int) -> str:
    return f"01/09521234543213/10/T{number:05}"


def transfers(ledger: Ledger) -> list[Transaction]:
    """Independent ones, of lots that are committed first."""
    receiver = MAKERS[1].id
    make = [
        ledger.transaction("transfer", "make", item=_lot(n), amount=5, expiry=20310101)
        for n in range(TRANSFERS)
    ]
    ledger.commit(make)
    return [
        ledger.transaction("transfer", "move", item=_lot(n), receiver=receiver, reference=f"PO-{n}")
        for n in range(TRANSFERS)
    ]


def accruals(ledger: Ledger) -> list[Transaction]:
    return [
        ledger.transaction(
            "interest", "accrue", principal=1_000_000 + n, rate_ppm=35_000, days=ACCRUED_DAYS
        )
        for n in range(ACCRUALS)
    ]


def load_ms() -> dict[str, float]:
    """Loading the batch contract, checks and all, for each 500 lines of it; and once more, when
    its code is kept."""
    package = next(one for one in builtin_packages() if one.name == "batch")
    lines = sum(file.text.count("\n") for file in package.files)
    first = []
    for number in range(3):
        # Another digest each time: a comment makes it so.
        last = package.files[-1]
        changed = type(last)(last.path, f"{last.text}# {number}\n")
        files = (*package.files[:-1], changed)
        fresh = Package(package.name, package.version, package.runtime, files)
        first.append(_cpu_s(partial(load, fresh, Meter())))
    again = min(_cpu_s(partial(load, fresh, Meter())) for _ in range(3))
    share = LOAD_LINES / lines
    return {"load_ms": min(first) * share * 1e3, "load_cached_ms": again * share * 1e3}


def measure(tries: int = TRIES) -> dict[str, float]:
    """See docs/benchmarks.md."""
    metered, plain = Ledger(instrumented=True), Ledger(instrumented=False)
    transfer_us = metered.microseconds(transfers(metered), tries)
    audited = Ledger(instrumented=True, audited=True)
    audited_us = audited.microseconds(transfers(audited), tries)
    plain_us = plain.microseconds(transfers(plain), tries)
    accrue_us = metered.microseconds(accruals(metered), tries)
    plain_accrue_us = plain.microseconds(accruals(plain), tries)
    return {
        "transfer_us": transfer_us,
        "transfer_plain_us": plain_us,
        "transfer_audited_us": audited_us,
        "instrumentation_ratio": transfer_us / plain_us,
        "arithmetic_us": accrue_us,
        "arithmetic_ratio": accrue_us / plain_accrue_us,
        **load_ms(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
