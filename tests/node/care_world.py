"""A stopped node's folder with a real store, for tests of verifying, mending and backing up."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable
from pathlib import Path

from genesis.ceremony import seal
from genesis.document import GenesisDocument
from node.care.findings import nothing
from node.care.verify import Checked, verify
from node.setup import CHAIN, GENESIS
from node.store.mark import MarkedKV
from node.store.retention import EVERY_BLOCK, Retention
from tests.node.support import OneChain
from tests.sim.world import EPOCH_MS, seed_of

BLOCKS = 12


@functools.cache
def sealed(document: GenesisDocument) -> GenesisDocument:
    for one in document.validators:
        document = seal(document, seed_of(f"{one.name} consensus"))
    return document


async def make_folder(
    folder: Path, blocks: int = BLOCKS, retention: Retention = EVERY_BLOCK
) -> OneChain:
    """The folder of a node that committed some blocks and was stopped; its chain is closed. With
    pruning, the blocks come so slowly that none has to be kept for its transactions."""
    folder.mkdir(parents=True)
    one = OneChain(kv=MarkedKV(folder / CHAIN), retention=retention)
    for _ in range(blocks):
        now_ms = max(one.chain.header.time_ms + 1, EPOCH_MS)
        if retention.blocks:
            now_ms += one.chain.params.tx_window_ms
        txs = [one.transaction(valid_until=now_ms + 1000) for _ in range(3)]
        await one.block(txs, time_ms=now_ms)
    one.kv.close()
    (folder / GENESIS).write_bytes(sealed(one.document).file_bytes)
    return one


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def write(folder: Path, pairs: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Change a stopped node's store behind its back."""
    kv = MarkedKV(folder / CHAIN)
    kv.write(pairs, sync=True)
    kv.close()


def contents(folder: Path) -> dict[bytes, bytes]:
    kv = MarkedKV(folder / CHAIN)
    found = dict(kv.scan(b"", b"\xff" * 100))
    kv.close()
    return found


def checked(folder: Path, *, execute: bool = False, sample: int | None = None) -> Checked:
    return verify(folder, nothing, execute=execute, sample=sample, seed=1)


def codes(folder: Path, *, execute: bool = False, sample: int | None = None) -> set[str]:
    return set(checked(folder, execute=execute, sample=sample).findings.counts)
