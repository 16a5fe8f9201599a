"""`hansa db stats`: what a store holds, table by table, and what it takes on the disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from consensus.primitives.errors import InputError, LocalFault
from node.care.findings import Progress
from node.files import FolderLock
from node.setup import CHAIN
from node.store import schema
from node.store.blocks import BlockStore
from node.store.kv import KV
from node.store.mark import MarkedKV

_TOLD_EVERY: Final = 50_000


@dataclass(frozen=True)
class TableCount:
    """One table: entries, bytes of keys and values, and about what they take in table files (what
    is still in LevelDB's log is not in it)."""

    table: str
    name: str
    entries: int
    bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Stats:
    layout: int
    chain_id: bytes
    height: int
    oldest: int | None
    """The oldest block whose transactions are here."""
    tables: list[TableCount]
    folders: dict[str, int]
    """Bytes on disk below the data folder, by what they are for."""
    free: int

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["chain_id"] = self.chain_id.hex()
        return plain


def folder_bytes(path: Path) -> int:
    """What the files below take on the disk; those that vanish meanwhile count as nothing."""
    total = 0
    for base, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_blocks * 512
            except OSError:
                continue
    return total


def stats_of(kv: MarkedKV, folder: Path, progress: Progress) -> Stats:
    """Counts everything on one snapshot, so the node may go on writing. Raises LocalFault."""
    view = kv.snapshot()
    try:
        tables = []
        for prefix, name in schema.TABLES.items():
            entries = size = 0
            stop = bytes((prefix[0] + 1,))
            for key, value in view.scan(prefix, stop):
                entries += 1
                size += len(key) + len(value)
                if entries % _TOLD_EVERY == 0:
                    progress(name, entries, 0)
            disk = kv.level.disk_bytes(prefix, stop)
            tables.append(TableCount(prefix.decode(), name, entries, size, disk))
    finally:
        view.close()
    tip, chain_id, version = BlockStore(kv).tip(), kv.get(schema.CHAIN_ID), kv.get(schema.VERSION)
    if chain_id is None or not version:
        raise LocalFault("STORE_CORRUPT", "the store does not say whose and of which layout it is")
    parts = ("chain", "vault", "votes", "flight", "tape", "reports")
    return Stats(
        version[0],
        chain_id,
        tip.height,
        _oldest(kv),
        tables,
        {one: folder_bytes(folder / one) for one in parts if (folder / one).is_dir()},
        shutil.disk_usage(folder).free,
    )


def stats_of_folder(folder: Path, progress: Progress) -> Stats:
    """Of a stopped node. Raises LocalFault FOLDER_LOCKED while it runs, InputError
    CHAIN_MISSING."""
    if not (folder / CHAIN).is_dir():
        raise InputError("CHAIN_MISSING", f"{folder} has no chain: the node never ran")
    lock = FolderLock(folder)
    lock.acquire()
    try:
        kv = MarkedKV(folder / CHAIN)
        try:
            return stats_of(kv, folder, progress)
        finally:
            kv.close()
    finally:
        lock.release()


def _oldest(kv: KV) -> int | None:
    """Block 0 is always kept; what counts is the first one after it."""
    first = next(kv.scan(schema.height_key(schema.BLOCK, 1), bytes((schema.BLOCK[0] + 1,))), None)
    return None if first is None else int.from_bytes(first[0][1:], "big")
