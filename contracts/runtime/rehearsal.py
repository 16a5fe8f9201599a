"""Upgrade rehearsal: new code over blocks that the old code ran, and what would differ.

What the old code did is known: receipts and written values. The new code starts from the state
before those blocks, its migration first, and goes on over its own writes. So a difference of the
first block can be the cause of those of the next.

The copy holds, beside the state that it reads, every key that either code wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from consensus.primitives.codec import data_to_json, decode
from consensus.primitives.errors import CodecError, InputError
from consensus.primitives.keys import Digest, decode_key, prefix_range
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from contracts.runtime import system, usage
from contracts.runtime.executor import BlockContext, BlockExecutor, StateReader
from contracts.runtime.overlay import Overlay
from contracts.runtime.package import Package
from contracts.runtime.registry import Registry

KEYS_MAX: Final = 1_000
"""Differing keys that are told one by one; all are counted."""
TRANSACTIONS_MAX: Final = 1_000
"""So with transactions."""
VALUE_BYTES_MAX: Final = 1 << 20
UNWRITTEN: Final = "(not written)"

T = TypeVar("T")


@dataclass(frozen=True)
class KeyDifference:
    """A state key in readable form, and its two values as JSON; None where there is none."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Difference:
    """A transaction that ends otherwise, or a due call (``tx_id`` None). ``fields`` maps code,
    detail, result and events to what they were and would be, ``keys`` are those that it would
    leave with another value."""

    height: int
    index: int
    tx_id: bytes | None
    calls: tuple[str, ...]
    fields: dict[str, tuple[Any, Any]]
    keys: tuple[KeyDifference, ...]


@dataclass
class Cost:
    """Steps of all transactions with the same calls."""

    transactions: int = 0
    old: int = 0
    new: int = 0


@dataclass(frozen=True)
class Migration:
    """What putting the new code into force does."""

    height: int
    code: str
    detail: str
    steps: int
    keys: tuple[KeyDifference, ...]
    keys_changed: int


def readable_key(raw: bytes) -> str:
    """``contract.map[part, part]``; hashed parts as ``#`` and the beginning of the hash."""
    try:
        contract, name, parts = decode_key(raw)
    except InputError:
        return raw.hex()
    shown = []
    for part in parts:
        if isinstance(part, Digest):
            shown.append(f"#{part.value.hex()[:12]}")
        elif isinstance(part, bytes):
            shown.append(part.hex())
        else:
            shown.append(json.dumps(part))
    return f"{contract}.{name}[{', '.join(shown)}]"


def readable_value(raw: bytes | None) -> Any:
    """The stored value as JSON."""
    if raw is None:
        return None
    try:
        return data_to_json(decode(raw, bytes_max=VALUE_BYTES_MAX))
    except CodecError:
        return {"hex": raw.hex()}


def key_differences(
    keys: Iterable[bytes], old: StateReader, new: StateReader
) -> Iterator[KeyDifference]:
    """Those of the keys whose values differ between two states."""
    for key in sorted(keys):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield KeyDifference(readable_key(key), readable_value(before), readable_value(after))


def _written_differences(
    old: Mapping[bytes, bytes | None], new: Mapping[bytes, bytes | None]
) -> Iterator[KeyDifference]:
    """Where two transactions wrote differently."""
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield KeyDifference(readable_key(key), UNWRITTEN, readable_value(new[key]))
        elif key not in new:
            yield KeyDifference(readable_key(key), readable_value(old[key]), UNWRITTEN)
        elif old[key] != new[key]:
            yield KeyDifference(
                readable_key(key), readable_value(old[key]), readable_value(new[key])
            )


def _fields(old: Receipt | None, new: Receipt | None) -> dict[str, tuple[Any, Any]]:
    """What of two receipts differs, steps excepted, as JSON; "absent" where there is none."""
    if old is None or new is None:
        return {"receipt": (old.code if old else "absent", new.code if new else "absent")}
    found: dict[str, tuple[Any, Any]] = {}
    for name in ("code", "detail", "result"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found[name] = (data_to_json(before), data_to_json(after))
    if old.events != new.events:
        found["events"] = (
            [one.to_json() for one in old.events],
            [one.to_json() for one in new.events],
        )
    return found


def _at(items: Sequence[T], index: int) -> T | None:
    return items[index] if index < len(items) else None


class Rehearsal:
    """The new code's side of a run over blocks.

    ``state`` is the state before the first of them, ``registry`` the code that ran then; the
    contract of ``package``'s name will run ``package``.
    """

    def __init__(self, package: Package, registry: Registry, state: StateReader) -> None:
        self.package = package
        old = registry.get(package.name)
        self.from_version = 0 if old is None else old.contract.version
        """The version that the new code takes over from; 0 if there is none."""
        self._state = Overlay(state)
        self._registry = registry
        self._old_changes: dict[bytes, bytes | None] = {}
        self.differences: list[Difference] = []
        self.differing = 0
        self.transactions = 0
        self.costs: dict[str, Cost] = {}

    def migrate(self, block: BlockContext) -> Migration:
        """Put the new code into force at the beginning of a block. If it does not load or its
        migration fails, the old code goes on, as it would on the chain."""
        executor = BlockExecutor(self._registry, self._state, block)
        receipt = executor.replace(self.package)
        own = system.package_keys(self.package)
        keys = [key for key in executor.changes if key not in own]
        changed = list(key_differences(keys, self._state, executor.state))
        self._take(executor)
        return Migration(
            block.height,
            receipt.code,
            receipt.detail,
            receipt.steps_used,
            tuple(changed[:KEYS_MAX]),
            len(changed),
        )

    def run(
        self,
        block: BlockContext,
        transactions: Sequence[Transaction],
        old_receipts: Sequence[Receipt],
        old_writes: Sequence[Mapping[bytes, bytes | None]],
    ) -> None:
        """Run a block with the new code and note what ends otherwise than with the old.

        Receipts and writes are those of the transactions, then those of due calls.
        """
        executor = BlockExecutor(self._registry, self._state, block)
        executor.begin()
        receipts = [executor.execute(tx) for tx in transactions]
        executor.finish()
        receipts += executor.due_receipts
        writes = [*executor.write_sets, *executor.due_write_sets]
        for index in range(max(len(receipts), len(old_receipts))):
            tx = _at(transactions, index)
            old, new = _at(old_receipts, index), _at(receipts, index)
            calls = tuple([f"{one.contract}.{one.method}" for one in tx.body.calls]) if tx else ()
            fields = _fields(old, new)
            keys = tuple(
                _written_differences(_at(old_writes, index) or {}, _at(writes, index) or {})
            )
            if fields or keys:
                self.differing += 1
                if len(self.differences) < TRANSACTIONS_MAX:
                    tx_id = tx.tx_id if tx else None
                    self.differences.append(
                        Difference(block.height, index, tx_id, calls, fields, keys[:KEYS_MAX])
                    )
            cost = self.costs.setdefault(", ".join(dict.fromkeys(calls)) or "due calls", Cost())
            cost.transactions += 1
            cost.old += old.steps_used if old else 0
            cost.new += new.steps_used if new else 0
        self.transactions += len(transactions)
        for one in old_writes:
            self._old_changes.update(one)
        self._take(executor)

    def keys(self, old_state: StateReader) -> list[KeyDifference]:
        """The keys that stand otherwise than in the old code's state after the same blocks.

        Left out are the new code itself, and the counters of use, which differ wherever steps do.
        """
        start, stop = prefix_range(usage.NAME, "used")
        own = system.package_keys(self.package)
        written = self._old_changes.keys() | self._state.changes.keys()
        keys = [key for key in written if not start <= key < stop and key not in own]
        return list(key_differences(keys, old_state, self._state))

    def _take(self, executor: BlockExecutor) -> None:
        for key, value in executor.changes.items():
            self._state.put(key, value)
        self._registry = executor.registry
