"""A ledger in memory: blocks of signed transactions over the real executor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.keys import prefix_range
from consensus.receipt import Receipt
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.executor import BlockContext, BlockExecutor, bootstrap, run_query
from contracts.runtime.registry import Registry
from contracts.sdk.checks import gs1_check_digit

CHAIN = bytes(32)
START_MS = 1_780_000_000_000  # 28 May 2026


def gln(number: int) -> str:
    body = f"9521321{number:05d}"
    return body + str(gs1_check_digit(body))


MAKER, WHOLESALER, PHARMACY, REGULATOR, CONSORTIUM = (gln(number) for number in range(1, 6))
ROLES = {
    MAKER: "manufacturer",
    WHOLESALER: "wholesaler",
    PHARMACY: "dispenser",
    REGULATOR: "regulator",
    CONSORTIUM: "consortium_admin",
}


def seed_of(organisation: str) -> bytes:
    return sha256(organisation.encode())


class DictState:
    """A committed state: the simplest thing that reads like one."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(k, self.values[k]) for k in sorted(self.values) if start <= k < stop])


class Ledger:
    """Commits one block per :meth:`block`. ``send`` is a block of one transaction of one call."""

    def __init__(self, registry: Registry, genesis_args: dict[str, dict[str, Any]]) -> None:
        self.registry = registry
        self.time_ms = START_MS
        self.height = 0
        self.salt = 0
        self.due_receipts: list[Receipt] = []  # of the newest block
        made = bootstrap(registry, self.block_context(), genesis_args)
        self.state = DictState({key: value for key, value in made.items() if value is not None})

    def block_context(self) -> BlockContext:
        return BlockContext(CHAIN, self.height, self.time_ms, bytes(32))

    def tx(self, seed: bytes, *calls: Call, steps_max: int = 10_000_000) -> Transaction:
        self.salt += 1
        return TransactionBody(
            1,
            CHAIN,
            public_key(seed),
            calls,
            self.time_ms + 1000,
            steps_max,
            self.salt.to_bytes(16, "big"),
        ).signed(seed)

    def block(self, *txs: Transaction) -> list[Receipt]:
        self.height += 1
        self.time_ms += 1000
        executor = BlockExecutor(self.registry, self.state, self.block_context())
        executor.begin()
        self.registry = executor.registry
        receipts = [executor.execute(tx) for tx in txs]
        executor.finish()
        self.due_receipts = executor.due_receipts
        for key, value in executor.changes.items():
            if value is None:
                self.state.values.pop(key, None)
            else:
                self.state.values[key] = value
        for receipt in (*receipts, *self.due_receipts):
            assert Receipt.decode(receipt.raw) == receipt
        return receipts

    def without_counters(self) -> dict[bytes, bytes]:
        """The state, but for what was used: that is counted of failed transactions, too."""
        used, _ = prefix_range("usage", "used")
        return {k: v for k, v in self.state.values.items() if not k.startswith(used)}

    def send(
        self, organisation: str, method: str, contract: str = "batch", /, **args: Any
    ) -> Receipt:
        tx = self.tx(seed_of(organisation), Call(contract, method, args))
        return self.block(tx)[0]

    def ok(
        self, organisation: str, method: str, contract: str = "batch", /, **args: Any
    ) -> Receipt:
        receipt = self.send(organisation, method, contract, **args)
        assert receipt.code == "OK", (receipt.code, receipt.detail)
        return receipt

    def refused(
        self, code: str, organisation: str, method: str, contract: str = "batch", /, **args: Any
    ) -> str:
        """The refusal's detail, after showing that nothing changed."""
        before = self.without_counters()
        receipt = self.send(organisation, method, contract, **args)
        assert receipt.code == code, (receipt.code, receipt.detail)
        assert self.without_counters() == before
        assert (receipt.events, receipt.result) == ((), None)
        return receipt.detail

    def query(self, method: str, contract: str = "batch", /, **args: Any) -> Any:
        return run_query(self.registry, self.state, self.block_context(), contract, method, args)


def consortium() -> dict[str, dict[str, Any]]:
    return {
        "identity": {
            "organisations": [
                {
                    "id": organisation,
                    "name": role.title(),
                    "roles": [role],
                    "admin_key": public_key(seed_of(organisation)),
                }
                for organisation, role in ROLES.items()
            ]
        }
    }
