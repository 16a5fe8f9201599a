"""The transactions that the benchmark submits.

Trade events of the batch contract: every second one commissions a serialised item (2 keys written),
the others ship one piece of a lot to another organisation (4 keys). And, to compare with ledgers
whose benchmarks write an asset each, entries: a lot made in the small contract of
``scripts/modules/transfer.py`` (one key). Four manufacturers sign in turn, so that a block has
several senders. All transactions are independent: each succeeds in whatever order blocks take them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.answers import make_transaction
from cli.sample_trade import Organisation
from consensus.transaction import Transaction
from contracts.runtime.package import Package, package_of

MAKERS: Final = tuple(
    Organisation(gln, f"Maker {number}", ("manufacturer",))
    for number, gln in enumerate(
        ("9520123000004", "9520123000011", "9520123000028", "9520123000035"), start=1
    )
)
GTIN: Final = "09521234543213"
LOTS: Final = 64  # of each manufacturer
STOCK: Final = 10**12
STEPS_MAX: Final = 100_000
KINDS: Final = ("commission", "ship")
ENTRY: Final = ("make",)
KEYS_WRITTEN: Final = {"commission": 2, "ship": 4}
VALID_FOR_MS: Final = 540_000
ROOT: Final = Path(__file__).resolve().parent.parent

Call = tuple[str, str, Mapping[str, Any]]


def transfer_package() -> Package:
    """The contract of the entries."""
    path = "scripts/modules/transfer.py"
    return package_of([(path, (ROOT / path).read_text(encoding="utf-8"))])


@dataclass(frozen=True)
class Signed:
    """A transaction ready to be sent; ``tx_id`` is hexadecimal, as the API gives it."""

    raw: bytes
    tx_id: str


class Workload:
    """Makes any number of transactions for one chain, each new. ``seeds``: the makers' keys."""

    def __init__(
        self, seeds: Sequence[bytes], chain_id: bytes, valid_for_ms: int = VALID_FOR_MS
    ) -> None:
        assert len(seeds) == len(MAKERS)
        self.valid_for_ms = valid_for_ms
        self._seeds = seeds
        self._chain_id = chain_id
        self._made = 0
        self._signing_s = 0.0

    def preparation(self) -> list[Transaction]:
        """What must be committed first: every manufacturer commissions its lots."""
        found = []
        for maker, seed in enumerate(self._seeds):
            items = [
                {"item": _lot(maker, number), "quantity": {"amount": STOCK, "unit": "EA"}}
                for number in range(LOTS)
            ]
            call = ("batch", "commission", {"items": items})
            tx = make_transaction(
                seed,
                self._chain_id,
                [call],
                valid_for_ms=self.valid_for_ms,
                steps_max=10_000_000,
            )
            found.append(tx)
        return found

    def transaction(self, kinds: Sequence[str] = KINDS) -> Transaction:
        """The next one, the kinds in turn."""
        number = self._made
        self._made += 1
        kind = kinds[number % len(kinds)]
        turn = number // len(KINDS)
        maker = turn % len(MAKERS)
        call = _CALLS[kind](number, maker, turn)
        return make_transaction(
            self._seeds[maker],
            self._chain_id,
            [call],
            valid_for_ms=self.valid_for_ms,
            steps_max=STEPS_MAX,
        )

    def sign(self, count: int, kinds: Sequence[str] = KINDS) -> list[Signed]:
        """The next ``count``, made and signed by the client library."""
        started = time.perf_counter()
        found = []
        for _ in range(count):
            tx = self.transaction(kinds)
            found.append(Signed(tx.raw, tx.tx_id.hex()))
        self._signing_s += time.perf_counter() - started
        return found

    def describe(self) -> dict[str, Any]:
        """Sizes, keys, and what making one cost the client outside of the measured time."""
        sizes = {kind: len(self.transaction((kind,)).raw) for kind in KINDS}
        made = max(1, self._made - len(KINDS))
        return {
            "calls": [f"batch.{kind}" for kind in KINDS],
            "signed_bytes": sizes,
            "signed_bytes_mean": sum(sizes.values()) / len(sizes),
            "keys_written": dict(KEYS_WRITTEN),
            "keys_written_mean": sum(KEYS_WRITTEN.values()) / len(KEYS_WRITTEN),
            "senders": len(MAKERS),
            "make_and_sign_us": self._signing_s / made * 1e6,
        }


def _lot(maker: int, number: int) -> str:
    return f"01/{GTIN}/10/{maker}L{number:02}"


def _commission(number: int, _maker: int, _turn: int) -> Call:
    item = {"item": f"01/{GTIN}/21/S{number:07}"}
    return "batch", "commission", {"items": [item], "expiry": "2031-01-01"}


def _ship(_number: int, maker: int, turn: int) -> Call:
    lot = _lot(maker, turn // len(MAKERS) % LOTS)
    item = {"item": lot, "quantity": {"amount": 1, "unit": "EA"}}
    consignee = MAKERS[(maker + 1) % len(MAKERS)].id
    return "batch", "ship", {"items": [item], "consignee": consignee}


def _make(number: int, _maker: int, _turn: int) -> Call:
    lot = f"01/{GTIN}/10/E{number:07}"
    return "transfer", "make", {"item": lot, "amount": 5, "expiry": "2031-01-01"}


_CALLS: Final[Mapping[str, Callable[[int, int, int], Call]]] = {
    "commission": _commission,
    "ship": _ship,
    "make": _make,
}
