"""`hansa db verify`: everything in a stopped node's folder, held against what is certain.

Certain is the genesis document, and what a quorum has signed under the validators that it leads to.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from consensus.primitives.errors import InputError, LocalFault
from genesis.document import GenesisDocument
from node.care.blocks import BlockCheck, Counted, check_strays, check_unknown
from node.care.findings import Findings, Progress
from node.care.replay import StateOnly, replay, stored_blocks
from node.care.spot import execute_some, first_kept
from node.care.state import check_state
from node.files import DurableFile, FolderLock
from node.keystore import key_info
from node.setup import CHAIN, CONSENSUS_KEY, GENESIS, NEXT_KEY, NEXT_VOTES, VAULT, VOTES
from node.store import schema
from node.store.blocks import BlockStore, Tip
from node.store.kv import KV, LevelKV
from node.store.layout import version_of
from node.store.mark import marked_tip
from node.vault.store import KEY_CHECK, VaultStore, smallest_file_bytes
from node.wal import FILE_NAME, VoteLog

KEY_END: Final = b"\xff" * 200
"""Behind every key."""


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found."""

    findings: Findings
    height: int | None
    """Of the newest block; None where none can be told."""
    block_hash: bytes
    blocks: int
    transactions: int
    values: int
    executed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.findings,
            "height": self.height,
            "block_hash": self.block_hash.hex(),
            "blocks": self.blocks,
            "transactions": self.transactions,
            "state_values": self.values,
            "blocks_executed": self.executed,
            "seconds": round(self.seconds, 1),
            "counts": self.findings.counts,
            "findings": [one.to_json() for one in self.findings.shown],
        }


class Verification:
    """One run over a folder. The caller holds its lock."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self.findings = Findings()
        self.tip: Tip | None = None
        self.counted = Counted(0, 0, None)
        self.values = self.executed = 0
        self._voted = 0

    def run(
        self,
        *,
        sample: int | None,
        execute: bool,
        seed: int,
        beside: bool,
        vault_key: bytes | None,
    ) -> None:
        document = GenesisDocument.load(self._folder / GENESIS)
        if beside:
            self._vote_logs()
            self._vault(vault_key)
        path = self._folder / CHAIN
        if not path.is_dir():
            raise InputError("CHAIN_MISSING", f"{self._folder} has no chain: the node never ran")
        try:
            kv = LevelKV(path)
        except LocalFault as fault:
            if fault.code != "STORE_CORRUPT":
                raise
            self.findings.add("DB_UNREADABLE", f"folder {path}", fault.message, "accept")
            return
        try:
            self._store(kv, document, sample, execute, seed)
        finally:
            kv.close()

    # --- beside the store ----------------------------------------------------------------------

    def _vote_logs(self) -> None:
        """What a validator has signed; without a key of that name there is nothing to check."""
        for key_path, votes in ((CONSENSUS_KEY, VOTES), (NEXT_KEY, NEXT_VOTES)):
            path = self._folder / votes / FILE_NAME
            if not (self._folder / key_path).exists():
                continue
            file = DurableFile(path)
            try:
                log = VoteLog(_Unchanged(file), key_info(self._folder / key_path).key)
                self._voted = max(self._voted, log.height)
            except LocalFault as fault:
                self.findings.add("DB_VOTES_WRONG", f"file {path}", str(fault), "elsewhere")
            except InputError as error:
                where = f"file {self._folder / key_path}"
                self.findings.add("DB_KEY_WRONG", where, error.message, "elsewhere")
            finally:
                file.close()

    def _vault(self, key: bytes | None) -> None:
        """That every file opens; without the vault's key, that each has the size of an opening."""
        folder = self._folder / VAULT
        if not folder.is_dir() or not any(folder.iterdir()):
            return

        def wrong(path: Path, what: str) -> None:
            self.findings.add("DB_VAULT_WRONG", f"file {path}", what, "elsewhere")

        if not (folder / KEY_CHECK).is_file():
            wrong(folder / KEY_CHECK, "is missing")
        elif key is not None:
            try:
                for path in VaultStore(folder, key).unreadable():
                    wrong(path, "does not open")
            except LocalFault as fault:
                wrong(folder / KEY_CHECK, fault.message)
        for path in sorted(folder.glob("*/*")) if key is None else ():
            if path.is_file() and path.stat().st_size < smallest_file_bytes():
                wrong(path, "is too short for an opening")

    # --- the store -----------------------------------------------------------------------------

    def _store(
        self, kv: LevelKV, document: GenesisDocument, sample: int | None, execute: bool, seed: int
    ) -> None:
        readable = self._readable(kv)
        self._guarded(kv, "whose it is", lambda: self._head(kv, document))
        if self.tip is None:
            return
        self._newer_elsewhere(self.tip)
        self._guarded(kv, "blocks", lambda: self._blocks(kv, document, sample, seed))
        self._guarded(kv, "state", lambda: self._state(kv))
        if execute and readable:
            how = self._execute if sample is None else partial(self._execute_some, sample, seed)
            self._guarded(kv, "execution", lambda: how(kv, document))

    def _head(self, kv: KV, document: GenesisDocument) -> None:
        stored = kv.get(schema.CHAIN_ID)
        if stored is not None and stored != document.chain_id:
            raise LocalFault("STORE_FOREIGN", f"the store belongs to chain {stored.hex()}")
        version = version_of(kv)
        if version > schema.LAYOUT_VERSION[0]:
            raise LocalFault("STORE_NEWER", f"the data folder has layout version {version}")
        if bytes((version,)) != schema.LAYOUT_VERSION:
            raise LocalFault(
                "STORE_VERSION", "an older layout: start the node once, it brings it up"
            )
        self.tip = self._tip(kv)

    def _readable(self, kv: LevelKV) -> bool:
        """Read everything once; where that fails, each table, so that the damaged file is named."""
        self._progress("files", 0, 0)
        if _reads(kv, b"", KEY_END):
            return True
        named = False
        files = kv.tables()
        for number, one in enumerate(files):
            self._progress("files", number, len(files))
            if not _reads(kv, one.first, one.last + b"\0"):
                named = True
                held = ", ".join(
                    name
                    for prefix, name in schema.TABLES.items()
                    if one.first[:1] <= prefix <= one.last[:1]
                )
                what = f"does not read, or one that has the same keys; it has keys of: {held}"
                where = f"file {kv.path / one.name}"
                self.findings.add("DB_UNREADABLE", where, what, "accept")
        if not named:
            what = "does not read as a whole"
            self.findings.add("DB_UNREADABLE", f"folder {kv.path}", what, "accept")
        return False

    def _guarded(self, kv: LevelKV, what: str, check: Callable[[], None]) -> None:
        """A part of the check that meets an unreadable file tells so, and the others go on."""
        try:
            check()
        except LocalFault as fault:
            if fault.code != "STORE_CORRUPT":
                raise
            if "DB_UNREADABLE" not in self.findings.counts:
                where = f"folder {kv.path}"
                self.findings.add("DB_UNREADABLE", where, f"{what}: {fault.message}", "accept")

    def _tip(self, kv: KV) -> Tip | None:
        try:
            tip = BlockStore(kv).tip()
        except LocalFault as fault:
            self.findings.add("DB_TIP_WRONG", "table t", fault.message, "replay")
            return None
        raw = kv.get(schema.BLOCK_HASH + tip.hash)
        if raw is not None and raw != tip.height.to_bytes(8, "big"):
            what = f"names block {tip.height} with the hash of another height"
            self.findings.add("DB_TIP_WRONG", "table t", what, "replay")
            return None
        return tip

    def _newer_elsewhere(self, tip: Tip) -> None:
        """A store that ends before what the mark or the vote log has seen has lost something."""
        marked = marked_tip(self._folder / CHAIN)
        if marked is not None and marked[0] > tip.height:
            what = f"ends with block {tip.height}, but block {marked[0]} was durable here"
            self.findings.add("DB_BEHIND", "table t", what, "accept")
        if self._voted > tip.height + 1:
            what = f"ends with block {tip.height}, but this validator voted in {self._voted}"
            self.findings.add("DB_BEHIND", "table t", what, "accept")

    def _blocks(self, kv: KV, document: GenesisDocument, sample: int | None, seed: int) -> None:
        assert self.tip is not None
        tip, findings = self.tip, self.findings
        check = BlockCheck(kv, document, tip.height, findings)
        if sample is not None:
            whole = range(BlockStore(kv).oldest, tip.height + 1)
            chosen = random.Random(seed).sample(whole, min(sample, len(whole)))
            self.counted = check.check_some(sorted(chosen), self._progress)
            return
        self.counted = check.check(self._progress)
        last = self.counted.last
        if last is None or last.digest != tip.hash:
            findings.add("DB_TIP_WRONG", "table t", "its hash is not the newest block's", "replay")
        elif check.frontier is not None and tip.frontier.root != check.frontier.root:
            what = "its frontier is not that of all headers"
            findings.add("DB_TIP_WRONG", "table t", what, "indexes")
        if self.counted.blocks == tip.height + 1 - check.first:
            check_strays(kv, tip.height, self.counted, findings, self._progress)
        check_unknown(kv, schema.TABLES, findings)

    def _state(self, kv: KV) -> None:
        assert self.tip is not None
        header = BlockStore(kv).header(self.tip.height)
        if header is None:
            return  # told as a missing block
        self.values = check_state(kv, header.state_root, self.findings, self._progress)

    def _execute(self, kv: KV, document: GenesisDocument) -> None:
        assert self.tip is not None
        with tempfile.TemporaryDirectory(prefix="hansa-verify-") as scratch:
            copy = StateOnly(Path(scratch) / "copy")
            try:
                replay(document, stored_blocks(kv), self.tip.height, copy, self._progress)
                self.executed = self.tip.height
            except LocalFault as fault:
                if fault.code != "REPLAY_STOPPED":
                    raise
                self.findings.add("DB_OUTCOME_WRONG", "table b", fault.message, "elsewhere")
            finally:
                copy.close()

    def _execute_some(self, sample: int, seed: int, kv: KV, document: GenesisDocument) -> None:
        assert self.tip is not None
        heights = range(first_kept(kv) + 1, self.tip.height + 1)
        chosen = sorted(random.Random(seed).sample(heights, min(sample, len(heights))))
        self.executed = execute_some(kv, document, chosen, self.findings, self._progress)


class _Unchanged:
    """A vote log that is only looked at: a torn tail stays where it is."""

    def __init__(self, file: DurableFile) -> None:
        self._file = file

    def read(self) -> bytes | None:
        return self._file.read()

    def append(self, data: bytes) -> None:
        raise AssertionError("looking changes nothing")

    def replace(self, data: bytes) -> None:
        """The torn last record that a crash leaves: the node will cut it off."""

    def close(self) -> None:
        self._file.close()


def _reads(kv: LevelKV, start: bytes, stop: bytes) -> bool:
    try:
        for _ in kv.scan(start, stop):
            pass
    except LocalFault as fault:
        if fault.code != "STORE_CORRUPT":
            raise
        return False
    return True


def verify(
    folder: Path,
    progress: Progress,
    *,
    sample: int | None = None,
    execute: bool = False,
    seed: int | None = None,
    vault_key: bytes | None = None,
) -> Checked:
    """Check the folder of a stopped node; with ``vault_key`` every opening, too.

    Raises LocalFault FOLDER_LOCKED while it runs, STORE_FOREIGN, STORE_NEWER, STORE_VERSION;
    InputError for what is no node's folder."""
    if not (folder / GENESIS).is_file():
        raise InputError("FILE_NOT_READABLE", f"{folder} has no {GENESIS}: not a node's folder")
    lock = FolderLock(folder)
    lock.acquire()
    try:
        return verify_locked(
            folder, progress, sample=sample, execute=execute, seed=seed, vault_key=vault_key
        )
    finally:
        lock.release()


def verify_locked(
    folder: Path,
    progress: Progress,
    *,
    sample: int | None = None,
    execute: bool = False,
    seed: int | None = None,
    beside: bool = True,
    vault_key: bytes | None = None,
) -> Checked:
    """:func:`verify` for a caller who holds the folder's lock. ``beside``: vote logs and vault,
    too."""
    began = time.monotonic()
    run = Verification(folder, progress)
    chosen = random.randrange(1 << 32) if seed is None else seed
    run.run(sample=sample, execute=execute, seed=chosen, beside=beside, vault_key=vault_key)
    return Checked(
        run.findings,
        None if run.tip is None else run.tip.height,
        b"" if run.tip is None else run.tip.hash,
        run.counted.blocks,
        run.counted.transactions,
        run.values,
        run.executed,
        time.monotonic() - began,
    )
