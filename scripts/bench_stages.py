"""Measures the parts of a node alone: verifying, executing, the state tree, importing blocks.

Each figure is of one process with nothing beside it, so it is an upper bound of what the same part
does in a network whose processes share the machine's cores.
"""

from __future__ import annotations

import gc
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import trio

from consensus.block import SealedBlock
from consensus.primitives.crypto import TAG_TRANSACTION, public_key, sha256, sign, verify
from consensus.transaction import Transaction
from contracts.runtime.executor import BlockContext, BlockExecutor, bootstrap
from contracts.runtime.registry import builtin_registry
from genesis.document import GenesisDocument
from node.app import SWITCH_INTERVAL_S
from node.chain import Chain
from node.clock import ThreadBlocking
from node.store.blocks import BlockStore
from node.store.kv import LevelKV
from node.store.state import StateStore
from node.workers import VerifyPool
from scripts.bench_work import KINDS, MAKERS, Workload

Say = Callable[[str], None]

TIME_MS: Final = 1_790_000_000_000
CHAIN_ID: Final = sha256(b"bench")
BLOCK_TXS: Final = 1_000
BLOCK_KEYS: Final = 1_000
FILL_KEYS: Final = 20_000
VALUE_BYTES: Final = 100


def ed25519_verify_per_s(seconds: float = 0.5, tries: int = 3) -> float:
    """One core's verifications of a 32-byte message: what days and machines are compared by.

    The median of a few tries.
    """
    seed, message = sha256(b"speed"), sha256(b"message")
    key, signature = public_key(seed), sign(seed, TAG_TRANSACTION, message)
    rates = []
    for _ in range(tries):
        count, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            for _ in range(100):
                if not verify(key, TAG_TRANSACTION, message, signature):
                    raise AssertionError("a good signature was refused")
            count += 100
        rates.append(count / spent)
    return median(rates)


def _seeds() -> list[bytes]:
    return [sha256(maker.id.encode()) for maker in MAKERS]


def verifying(count: int) -> dict[str, float]:
    """Signatures of distinct transactions: through the pool with one worker, and in this process;
    also decoding with all checks, which comes before either."""
    work = Workload(_seeds(), CHAIN_ID)
    raws = [work.transaction().raw for _ in range(count)]
    started = time.perf_counter()
    txs = [Transaction.parse(raw) for raw in raws]
    parse_s = time.perf_counter() - started
    items = [(tx.body.sender, TAG_TRANSACTION, tx.body_raw, tx.signature) for tx in txs]
    started = time.perf_counter()
    good = [verify(*item) for item in items]
    inline_s = time.perf_counter() - started

    async def pooled() -> tuple[float, list[bool]]:
        pool = VerifyPool(1)
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            await pool.verify(items[: count // 10])  # the worker has imported what it needs
            begun = time.perf_counter()
            results = await pool.verify(items)
            spent = time.perf_counter() - begun
            nursery.cancel_scope.cancel()
        if pool.stats.inline_items > 1:
            raise AssertionError("the pool verified in its own process: the worker failed")
        return spent, results

    pool_s, results = trio.run(pooled)
    if not all(good) or not all(results):
        raise AssertionError("a good signature was refused")
    return {
        "verify_per_s": count / pool_s,
        "verify_inline_per_s": count / inline_s,
        "parse_per_s": count / parse_s,
    }


def executing(folder: Path, blocks: int) -> dict[str, float]:
    """Blocks of a thousand decoded transactions over a state on disk; nothing is committed.

    ``execute_per_s`` is of the network's mix; each kind's cost stands beside it.
    """
    seeds, registry = _seeds(), builtin_registry()
    work = Workload(seeds, CHAIN_ID)
    organisations = [
        {"id": maker.id, "name": maker.name, "roles": list(maker.roles), "admin_key": public_key(s)}
        for maker, s in zip(MAKERS, seeds, strict=True)
    ]
    context = BlockContext(CHAIN_ID, 1, TIME_MS, bytes(32))
    with level(folder) as kv:
        state = StateStore(kv)
        _commit(
            kv,
            state,
            bootstrap(registry, context, {"identity": {"organisations": organisations}}),
        )
        executor = BlockExecutor(registry, state, context)
        _execute(executor, work.preparation())
        _commit(kv, state, executor.changes)

        def seconds(kinds: Sequence[str]) -> float:
            spent = 0.0
            for _ in range(blocks):
                txs = [
                    Transaction.parse(work.transaction((kinds[index % len(kinds)],)).raw)
                    for index in range(BLOCK_TXS)
                ]
                fresh = BlockExecutor(registry, state, context)
                begun = time.perf_counter()
                _execute(fresh, txs)
                spent += time.perf_counter() - begun
            return spent

        found = {"execute_per_s": blocks * BLOCK_TXS / seconds(KINDS)}
        for kind in KINDS:
            found[f"execute_{kind}_us"] = seconds([kind]) / (blocks * BLOCK_TXS) * 1e6
    return found


def _execute(executor: BlockExecutor, txs: Sequence[Transaction]) -> None:
    for tx in txs:
        receipt = executor.execute(tx)
        if receipt.code != "OK":
            raise AssertionError(f"a transaction failed: {receipt.code} {receipt.detail}")


def _commit(kv: LevelKV, state: StateStore, changes: dict[bytes, bytes | None]) -> None:
    delta = state.prepare(changes)
    kv.write(delta.operations, sync=True)
    state.commit(delta)


@contextmanager
def level(folder: Path) -> Iterator[LevelKV]:
    """A store as the node's own, deleted at the end."""
    kv = LevelKV(folder)
    try:
        yield kv
    finally:
        kv.close()
        shutil.rmtree(folder, ignore_errors=True)


def tree_key(number: int) -> bytes:
    """34 bytes, spread evenly."""
    return b"\x01\x01" + sha256(number.to_bytes(8, "big"))


def tree(
    folder: Path, keys: int, blocks: int, then: Callable[[LevelKV], None] | None = None
) -> dict[str, float]:
    """Microseconds per key to update the state: blocks that change a thousand random keys of so
    many, each prepared, written with sync and committed. Keys are 34 bytes, values 100. ``then``
    gets the store before it is deleted."""
    rng = random.Random(keys)
    key = tree_key

    spent = {"prepare": 0.0, "write": 0.0, "commit": 0.0}
    worst = 0.0
    with level(folder) as kv:
        state = StateStore(kv)
        started = time.perf_counter()
        for start in range(0, keys, FILL_KEYS):
            numbers = range(start, min(keys, start + FILL_KEYS))
            _commit(kv, state, {key(number): rng.randbytes(VALUE_BYTES) for number in numbers})
        fill_s = time.perf_counter() - started
        # As in the node, where the collector is spared what start-up made.
        gc.collect()
        gc.freeze()
        try:
            for _ in range(blocks):
                numbers_changed = rng.sample(range(keys), BLOCK_KEYS)
                changes: dict[bytes, bytes | None] = {
                    key(number): rng.randbytes(VALUE_BYTES) for number in numbers_changed
                }
                begun = time.perf_counter()
                delta = state.prepare(changes)
                prepared = time.perf_counter()
                kv.write(delta.operations, sync=True)
                written = time.perf_counter()
                state.commit(delta)
                ended = time.perf_counter()
                spent["prepare"] += prepared - begun
                spent["write"] += written - prepared
                spent["commit"] += ended - written
                worst = max(worst, ended - begun)
            if then is not None:
                then(kv)
        finally:
            gc.unfreeze()
    found = {
        f"{part}_us_per_key": seconds / (blocks * BLOCK_KEYS) * 1e6
        for part, seconds in spent.items()
    }
    found["us_per_key"] = sum(found.values())
    found["worst_block_ms"] = worst * 1000
    found["fill_us_per_key"] = fill_s / keys * 1e6
    return found


def replay(
    chain_folder: Path, document: GenesisDocument, folder: Path, first: int, last: int
) -> dict[str, Any]:
    """Import a stopped validator's chain into an empty store, as a node that was away does: decode,
    check the certificate, verify, execute, commit with sync. Blocks ``first`` to ``last`` count;
    those before are imported unmeasured."""
    with_source = LevelKV(chain_folder)
    try:
        source = BlockStore(with_source)
        raws = []
        for height in range(1, last + 1):
            sealed = source.sealed(height)
            if sealed is None:
                raise AssertionError(f"the validator has no certified block {height}")
            raws.append(sealed.raw)
    finally:
        with_source.close()

    async def import_all(kv: LevelKV) -> tuple[float, float, list[int]]:
        pool = VerifyPool(1)
        counts = []
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            chain = Chain(document, kv, ThreadBlocking(), pool)
            begun, cpu_begun = time.perf_counter(), time.process_time()
            for height, raw in enumerate(raws, start=1):
                if height == first:
                    begun, cpu_begun = time.perf_counter(), time.process_time()
                block = SealedBlock.decode(raw)
                outcome = await chain.execute_sealed(block)
                assert block.certificate is not None, "executing has checked it"
                await chain.commit(outcome, block.certificate)
                if height >= first:
                    counts.append(len(outcome.transactions))
            spent, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_begun
            nursery.cancel_scope.cancel()
        return spent, cpu_s, counts

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with level(folder) as kv:
            seconds, cpu_s, counts = trio.run(import_all, kv)
    finally:
        sys.setswitchinterval(before)
    return {
        "tps": sum(counts) / seconds,
        "txs": sum(counts),
        "blocks": len(counts),
        "block_txs_mean": fmean(counts),
        "seconds": seconds,
        "cpu_us_per_tx": cpu_s / sum(counts) * 1e6,  # without the worker's
    }
