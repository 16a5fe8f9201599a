"""`hansa restore`: a node's folder out of a backup.

The backup is read twice: once to check all of it, once to write it, each part against the manifest
again. The store is made beside its place and moved there when it is whole. A vote log is never in a
backup, and one that is found is set aside: a validator that comes back asks the others what it has
signed before it votes (rule 9). Keys are never in a backup either.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from consensus.primitives.errors import InputError, LocalFault
from genesis.document import GenesisDocument
from node.care.archive import HEAD, MANIFEST, Contents, check, members, pairs_of
from node.care.findings import Progress
from node.care.replay import replay, stored_blocks
from node.care.state import flat_values, root_of
from node.care.verify import Checked, verify_locked
from node.files import SYSTEM, FolderLock, io_fault, write_durably
from node.setup import CHAIN, CONFIG, CONSENSUS_KEY, GENESIS, NETWORK_KEY, VAULT, VAULT_KEY, VOTES
from node.setup import NEXT_VOTES as VOTES_NEXT
from node.store import schema
from node.store.blocks import BlockStore
from node.store.kv import LevelKV
from node.store.layout import bring_up
from node.store.mark import MarkedKV

RESTORING: Final = "chain.restoring"
REPLAYING: Final = "chain.replaying"


@dataclass
class Restored:
    """What stands in the folder now."""

    contents: Contents
    height: int
    block_hash: bytes
    openings: int
    notes: list[str] = field(default_factory=list)
    """What the operator still has to do, or should know."""
    checked: Checked | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "digest": self.contents.digest,
            "backup_height": self.contents.head.height,
            "height": self.height,
            "block_hash": self.block_hash.hex(),
            "openings": self.openings,
            "notes": self.notes,
            "verified": None if self.checked is None else self.checked.to_json(),
        }


def restore(
    path: Path,
    folder: Path,
    progress: Progress,
    *,
    height: int | None = None,
    keep_votes: bool = False,
    verify: bool = True,
) -> Restored:
    """Make ``folder`` (new, or without a chain) what the backup at ``path`` shows.

    ``height``: only up to this block, by executing the backup's blocks again. ``keep_votes``: the
    vote log that is there is this validator's own and was never copied back. ``verify``: check all
    of the result as ``hansa db verify`` does.

    Raises InputError BACKUP_CORRUPT, BACKUP_FORMAT, BACKUP_FOREIGN, RESTORE_OCCUPIED,
    RESTORE_HEIGHT; LocalFault FOLDER_LOCKED, STORE_NEWER, DISK_FULL, REPLAY_STOPPED.
    """
    contents = check(path)
    head = contents.head
    if head.layout > schema.LAYOUT_VERSION[0]:
        raise LocalFault("STORE_NEWER", f"the backup has layout version {head.layout}")
    if height is not None and not 1 <= height <= head.height:
        raise InputError("RESTORE_HEIGHT", f"the backup has blocks 1 to {head.height}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise io_fault("FOLDER_UNUSABLE", folder, error) from None
    lock = FolderLock(folder)
    lock.acquire()
    try:
        return _Restore(path, folder, contents, progress).run(height, keep_votes, verify)
    finally:
        lock.release()


class _Restore:
    def __init__(self, path: Path, folder: Path, contents: Contents, progress: Progress) -> None:
        self._path = path
        self._folder = folder
        self._contents = contents
        self._progress = progress

    def run(self, height: int | None, keep_votes: bool, verify: bool) -> Restored:
        folder, head = self._folder, self._contents.head
        chain = folder / CHAIN
        if chain.exists() and any(chain.iterdir()):
            raise InputError(
                "RESTORE_OCCUPIED",
                f"{chain} holds a chain: move it away first, nothing is replaced",
            )
        self._check_document()
        for name in (RESTORING, REPLAYING):
            shutil.rmtree(folder / name, ignore_errors=True)
        openings = self._write()
        tip_height, tip_hash = self._settle(head.height, bytes.fromhex(head.block_hash))
        source = folder / RESTORING
        if height is not None:
            tip_height, tip_hash = height, self._replay(height)
            shutil.rmtree(source)
            source = folder / REPLAYING
        notes = self._set_votes_aside(keep_votes)
        if chain.exists():
            chain.rmdir()
        source.rename(chain)
        SYSTEM.sync_folder(folder)
        notes += self._keys_missing()
        done = Restored(self._contents, tip_height, tip_hash, openings, notes)
        if verify:
            done.checked = verify_locked(folder, self._progress, beside=False)
        return done

    def _check_document(self) -> None:
        path = self._folder / GENESIS
        if path.exists():
            found = GenesisDocument.load(path).chain_id.hex()
            if found != self._contents.head.chain_id:
                raise InputError("BACKUP_FOREIGN", f"{path} is of chain {found}, the backup is not")

    def _write(self) -> int:
        """Every part to its place; returns how many openings there were."""
        expected = {one.name: one.sha256 for one in self._contents.parts}
        kv = LevelKV(self._folder / RESTORING)
        done = openings = 0
        try:
            for name, data in members(self._path):
                if name == MANIFEST:
                    continue
                if hashlib.sha256(data).hexdigest() != expected.get(name):
                    raise InputError("BACKUP_CORRUPT", f"{self._path}: part {name} has changed")
                if name.startswith("chain/"):
                    pairs = pairs_of(name, data)
                    kv.write(pairs, sync=False)
                    done += len(pairs)
                    self._progress("store", done, self._contents.pairs)
                elif name != HEAD:
                    self._file(name, data)
                    openings += name.startswith("vault/") and name.count("/") == 2
            kv.write((), sync=True)
        finally:
            kv.close()
        return openings

    def _file(self, name: str, data: bytes) -> None:
        """What is there already stays."""
        names = {"genesis.json": GENESIS, "config.toml": CONFIG}
        target = self._folder / names.get(name, VAULT / name.removeprefix("vault/"))
        if target.exists():
            return
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(target, data, 0o644 if name == "genesis.json" else 0o600, replace=False)
        except OSError as error:
            raise io_fault("RESTORE_IO", target, error) from None

    def _settle(self, height: int, block_hash: bytes) -> tuple[int, bytes]:
        """Bring an older layout up, and see that the state is the one that the header names."""
        kv = MarkedKV(self._folder / RESTORING)
        try:
            bring_up(kv)
            blocks = BlockStore(kv)
            tip = blocks.tip()
            header = blocks.header(tip.height)
            if (tip.height, tip.hash) != (height, block_hash) or header is None:
                raise InputError(
                    "BACKUP_CORRUPT", f"{self._path}: its head is not its newest block"
                )
            if root_of(flat_values(kv)) != header.state_root:
                what = "its state is not the one that its newest header names"
                raise InputError("BACKUP_CORRUPT", f"{self._path}: {what}")
        finally:
            kv.close()
        return tip.height, tip.hash

    def _replay(self, height: int) -> bytes:
        document = GenesisDocument.load(self._folder / GENESIS)
        source = LevelKV(self._folder / RESTORING)
        try:
            target = MarkedKV(self._folder / REPLAYING)
            try:
                return replay(document, stored_blocks(source), height, target, self._progress)
            finally:
                target.close()
        finally:
            source.close()

    def _set_votes_aside(self, keep: bool) -> list[str]:
        notes = []
        for votes in (VOTES, VOTES_NEXT):
            path = self._folder / votes
            if not path.is_dir() or not any(path.iterdir()):
                continue
            if keep:
                notes.append(f"{path} stays: it is compared with the others' at the start")
                continue
            number = 1
            retired = self._folder / "retired"
            while (retired / f"{votes}-before-restore-{number}").exists():
                number += 1
            retired.mkdir(mode=0o700, exist_ok=True)
            path.rename(retired / f"{votes}-before-restore-{number}")
            notes.append(
                f"the vote log of {path} is set aside in {retired}: a validator asks the others"
                " what it has signed, and votes again from two blocks above"
            )
        return notes

    def _keys_missing(self) -> list[str]:
        missing = [one for one in (NETWORK_KEY, VAULT_KEY) if not (self._folder / one).exists()]
        if not (self._folder / CONSENSUS_KEY).exists():
            missing.append(CONSENSUS_KEY)
        if not missing:
            return []
        names = ", ".join(str(one) for one in missing)
        return [f"a backup has no keys: put back {names} (a full node has no consensus key)"]
