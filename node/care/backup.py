"""Making a backup: of a running node, from one snapshot, in a thread that leaves it its time."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from consensus.primitives.errors import InputError, LocalFault
from node.care.archive import PART_BYTES, Contents, Head, Writer
from node.care.findings import Progress
from node.files import SYSTEM, FolderLock, io_fault
from node.setup import CHAIN, CONFIG, GENESIS, VAULT
from node.store import schema
from node.store.blocks import BlockStore
from node.store.kv import KV, View
from node.store.mark import MarkedKV
from node.vault.store import KEY_CHECK

SLICE_PAIRS: Final = 1_000
"""Read between two looks at the clock and at whether to stop: a few milliseconds."""
KEY_END: Final = b"\xff" * 200
Stop = Callable[[], bool]


def never() -> bool:
    return False


class _Pace:
    """Rests as long as it worked, so that the interpreter is free for the node half of the time."""

    def __init__(self, rest: float, stop: Stop) -> None:
        self._rest = rest
        self._stop = stop
        self._began = time.monotonic()

    def __call__(self) -> None:
        """Raises InputError BACKUP_STOPPED when nobody wants it any more."""
        if self._stop():
            raise InputError("BACKUP_STOPPED", "the backup was given up before it was whole")
        if self._rest:
            time.sleep((time.monotonic() - self._began) * self._rest)
            self._began = time.monotonic()


def head_of(view: KV, node: str) -> Head:
    """What a snapshot shows of itself. Raises LocalFault STORE_CORRUPT."""
    blocks = BlockStore(view)
    tip, chain_id, version = blocks.tip(), view.get(schema.CHAIN_ID), view.get(schema.VERSION)
    header = blocks.header(tip.height)
    if chain_id is None or not version or header is None:
        raise LocalFault("STORE_CORRUPT", "the store does not say whose and of which layout it is")
    made_ms = time.time_ns() // 1_000_000
    return Head(
        chain_id.hex(), version[0], tip.height, tip.hash.hex(), header.time_ms, made_ms, node
    )


class _Shown:
    """A snapshot, read as a store is."""

    def __init__(self, view: View) -> None:
        self.get = view.get
        self.scan = view.scan
        self.close = view.close

    def snapshot(self) -> View:
        raise AssertionError("of a snapshot")

    def write(self, operations: object, *, sync: bool) -> None:
        raise AssertionError("a snapshot is read")


def write_backup(
    view: View,
    folder: Path,
    out: Path,
    *,
    node: str,
    progress: Progress,
    stop: Stop = never,
    rest: float = 0.0,
) -> tuple[Path, Contents]:
    """Write ``view``, a snapshot of the store in ``folder``, and the vault beside it to ``out``; in
    a folder under a name of its own. The file appears when it is whole and synced.

    Runs in a thread; ``rest`` seconds of sleep for each of work. Raises InputError FILE_EXISTS,
    BACKUP_STOPPED, FILE_NOT_WRITABLE; LocalFault DISK_FULL, STORE_CORRUPT for data that does not
    read: a damaged store gives no backup.
    """
    shown = _Shown(view)
    head = head_of(shown, node)
    if out.is_dir():
        out = out / f"{node}-{head.height:010}-{head.made_ms}.hansa"
    if out.exists():
        raise InputError("FILE_EXISTS", f"{out} exists already and is left as it is")
    scratch = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError("FILE_NOT_WRITABLE", f"{out}: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            writer = Writer(file, head)
            _fill(writer, shown, folder, progress, _Pace(rest, stop))
            contents = writer.finish()
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, out)
        SYSTEM.sync_folder(out.parent)
    except FileExistsError:
        raise InputError("FILE_EXISTS", f"{out} exists already and is left as it is") from None
    except OSError as error:
        raise io_fault("BACKUP_IO", out, error) from None
    finally:
        scratch.unlink(missing_ok=True)
    return out, contents


def _fill(writer: Writer, view: _Shown, folder: Path, progress: Progress, pace: _Pace) -> None:
    for name in (GENESIS, CONFIG):
        path = folder / name
        if path.is_file():
            writer.file(name.name, path.read_bytes())
    flat: list[bytes] = []
    size = 0
    for count, (key, value) in enumerate(view.scan(b"", KEY_END), 1):
        flat += (key, value)
        size += len(key) + len(value)
        if size >= PART_BYTES:
            writer.pairs(flat)
            flat, size = [], 0
        if count % SLICE_PAIRS == 0:
            pace()
            progress("store", count, 0)
    if flat:
        writer.pairs(flat)
    # The vault after the chain: what was erased meanwhile is in neither.
    vault = folder / VAULT
    paths = sorted(vault.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")) if vault.is_dir() else []
    if (vault / KEY_CHECK).is_file():
        writer.file(f"vault/{KEY_CHECK}", (vault / KEY_CHECK).read_bytes())
    for number, path in enumerate(paths):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # erased just now
        if any(data[:64]):  # else it is being erased
            writer.file(f"vault/{path.parent.name}/{path.name}", data)
        if number % 100 == 0:
            pace()
            progress("vault", number, len(paths))


def backup_folder(
    folder: Path, out: Path, *, node: str, progress: Progress
) -> tuple[Path, Contents]:
    """Of a stopped node. Raises LocalFault FOLDER_LOCKED while it runs."""
    if not (folder / CHAIN).is_dir():
        raise InputError("CHAIN_MISSING", f"{folder} has no chain: the node never ran")
    lock = FolderLock(folder)
    lock.acquire()
    try:
        kv = MarkedKV(folder / CHAIN)
        try:
            view = kv.snapshot()
            try:
                return write_backup(view, folder, out, node=node, progress=progress)
            finally:
                view.close()
        finally:
            kv.close()
    finally:
        lock.release()
