"""`hansa db repair`: what can be made again from what is certain, and nothing else.

From least to most: LevelDB's own repair where files do not open or read (it may bring old values
back, so everything is verified after it); indexes, header hashes and certificates from the blocks;
the tree's pages from values that give the signed root; else all of the store by executing its
blocks again from the genesis document, as far as they are whole. Every way ends with a verification
of its result, and the folder that was damaged is kept beside the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from consensus.primitives.errors import InputError, LocalFault, TxRejected
from consensus.transaction import Transaction
from genesis.document import GenesisDocument
from node.care.findings import Progress
from node.care.replay import replay, stored_blocks
from node.care.state import flat_values, root_of
from node.care.verify import Checked, verify_locked
from node.files import SYSTEM, FolderLock
from node.setup import CHAIN, GENESIS
from node.store import schema
from node.store.blocks import BlockStore, Tip
from node.store.history import Subtrees
from node.store.kv import KV, LevelKV, rebuild_manifest
from node.store.layout import version_of
from node.store.mark import MarkedKV
from node.store.schema import height_key
from node.store.state import META, PAGE, StateStore

BATCH: Final = 20_000
"""Operations, or state values, that are written at once."""
REBUILDING: Final = "chain.rebuilding"


@dataclass
class Repaired:
    """What was done, in order; what can't be done here; and the folder as it is now."""

    did: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    checked: Checked | None = None

    @property
    def whole(self) -> bool:
        return self.checked is not None and not self.checked.findings

    def to_json(self) -> dict[str, Any]:
        checked = None if self.checked is None else self.checked.to_json()
        return {"ok": self.whole, "did": self.did, "cannot": self.cannot, "verified": checked}


def repair(folder: Path, progress: Progress) -> Repaired:
    """Mend a stopped node's folder. Raises LocalFault FOLDER_LOCKED while the node runs and the
    refusals of ``verify``; InputError CHAIN_MISSING."""
    if not (folder / CHAIN).is_dir():
        raise InputError(
            "CHAIN_MISSING", f"{folder} has no chain: the node fetches it at its start"
        )
    lock = FolderLock(folder)
    lock.acquire()
    try:
        run = _Repair(folder, GenesisDocument.load(folder / GENESIS), progress)
        run.run()
        return run.result
    finally:
        lock.release()


class _Repair:
    def __init__(self, folder: Path, document: GenesisDocument, progress: Progress) -> None:
        self._folder = folder
        self._chain = folder / CHAIN
        self._document = document
        self._progress = progress
        self.result = Repaired()

    def run(self) -> None:
        checked = self._verify()
        if "DB_UNREADABLE" in checked.findings.counts:
            self._rebuild_manifest()
            checked = self._verify()
        wanted = checked.findings.remedies
        if wanted & {"indexes", "pages"} and "replay" not in wanted:
            self._in_place(checked)
            checked = self._verify()
        if checked.findings.remedies & {"replay", "pages", "indexes"} or _blocks_lost(checked):
            self._replay()
            checked = self._verify()
        if "accept" in checked.findings.remedies and "DB_UNREADABLE" not in checked.findings.counts:
            self._accept_loss()
            checked = self._verify()
        self.result.checked = checked
        for one in checked.findings.shown:
            self.result.cannot.append(f"{one.code}: {one.where}: {one.what}. {_advice(one.code)}")

    def _verify(self) -> Checked:
        return verify_locked(self._folder, self._progress)

    # --- files ---------------------------------------------------------------------------------

    def _rebuild_manifest(self) -> None:
        kept = self._beside("chain.before-repair")
        kept.mkdir(mode=0o700)
        for one in self._chain.iterdir():
            if one.suffix == ".ldb":
                os.link(one, kept / one.name)  # never changed, only removed
            elif one.is_file() and one.name != "LOCK":
                shutil.copy2(one, kept / one.name)
        rebuild_manifest(self._chain)
        left_out = sorted(one.name for one in (self._chain / "lost").glob("*"))
        self.result.did.append(
            f"LevelDB's repair over {self._chain}: a new manifest; left out and kept in"
            f" {self._chain / 'lost'}: {', '.join(left_out) or 'nothing'}; all as it was before is"
            f" in {kept}"
        )

    def _beside(self, name: str) -> Path:
        """A name in the data folder that is free."""
        number = 1
        while (self._folder / f"{name}-{number}").exists():
            number += 1
        return self._folder / f"{name}-{number}"

    def _accept_loss(self) -> None:
        kv = MarkedKV(self._chain, accept_loss=True)
        kv.close()
        if kv.lost is not None:
            self.result.did.append(
                f"the store goes on from block {kv.lost[0]}; blocks up to {kv.lost[1]} that this"
                " disk lost are fetched from other nodes"
            )

    # --- in place ------------------------------------------------------------------------------

    def _in_place(self, checked: Checked) -> None:
        kv = LevelKV(self._chain)
        try:
            tip = BlockStore(kv).tip()
            if "indexes" in checked.findings.remedies and not _blocks_lost(checked):
                count = _write(kv, _indexes(kv, tip))
                self.result.did.append(
                    f"indexes, header hashes, certificates: {count} entries made"
                )
            if "pages" in checked.findings.remedies:
                self._pages(kv, tip)
        except (TxRejected, LocalFault) as error:
            if isinstance(error, LocalFault) and error.code != "STORE_CORRUPT":
                raise
            self.result.did.append(f"stopped mending in place: {error}")
        finally:
            kv.close()

    def _pages(self, kv: KV, tip: Tip) -> None:
        header = BlockStore(kv).header(tip.height)
        if header is None or root_of(flat_values(kv)) != header.state_root:
            return
        _write(kv, ((key, None) for key, _ in kv.scan(PAGE, _behind(PAGE))))
        kv.write([(META, None)], sync=True)
        state = StateStore(kv)
        done = 0
        for values in _batches(flat_values(kv)):
            delta = state.prepare(dict(values))
            kv.write(delta.operations, sync=False)
            state.commit(delta)
            done += len(values)
            self._progress("pages", done, 0)
        kv.write((), sync=True)
        self.result.did.append(f"the state tree: its pages made from {done} values")

    # --- from the blocks -----------------------------------------------------------------------

    def _replay(self) -> None:
        scratch = self._folder / REBUILDING
        shutil.rmtree(scratch, ignore_errors=True)
        source = LevelKV(self._chain)
        try:
            version_of(source)
            if BlockStore(source).oldest:
                raise LocalFault("STORE_CORRUPT", "this node keeps its last blocks only")
            last = _last_block(source)
            target = MarkedKV(scratch)
            try:
                reached = self._execute(source, target, last)
            finally:
                target.close()
        except LocalFault as fault:
            if fault.code != "STORE_CORRUPT":
                raise
            self.result.did.append(f"executing the blocks again is not possible: {fault.message}")
            shutil.rmtree(scratch, ignore_errors=True)
            return
        finally:
            source.close()
        if reached < 1:
            shutil.rmtree(scratch)
            return
        kept = self._beside("chain.damaged")
        self._chain.rename(kept)
        scratch.rename(self._chain)
        SYSTEM.sync_folder(self._folder)
        self.result.did.append(
            f"a new store from executing blocks 1 to {reached}; the damaged one is {kept}:"
            " remove it when the node runs well"
        )

    def _execute(self, source: KV, target: KV, last: int) -> int:
        try:
            replay(self._document, stored_blocks(source), last, target, self._progress)
        except LocalFault as fault:
            if fault.code != "REPLAY_STOPPED":
                raise
            self.result.did.append(f"executing ended early: {fault.message}")
        return BlockStore(target).tip().height


def _blocks_lost(checked: Checked) -> bool:
    counts = checked.findings.counts
    return bool(counts.keys() & {"DB_BLOCK_MISSING", "DB_BLOCK_WRONG", "DB_TIP_WRONG"})


def _last_block(kv: KV) -> int:
    """The last height up to which no block is missing."""
    height = 0
    while kv.get(height_key(schema.BLOCK, height + 1)) is not None:
        height += 1
    return height


def _behind(table: bytes) -> bytes:
    return bytes((table[0] + 1,))


def _batches(pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    batch = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(kv: KV, operations: Iterator[tuple[bytes, bytes | None]]) -> int:
    """Write them a batch at a time; an interruption leaves a store that still wants this."""
    count = 0
    batch = []
    for one in operations:
        batch.append(one)
        count += 1
        if len(batch) >= BATCH:
            kv.write(batch, sync=False)
            batch = []
    kv.write(batch, sync=True)
    return count


def _indexes(kv: KV, tip: Tip) -> Iterator[tuple[bytes, bytes | None]]:
    """All that follows from the blocks alone, in place of what stands there."""
    for table in (schema.BLOCK_HASH, schema.TX_ID, schema.HISTORY):
        for key, _ in kv.scan(table, _behind(table)):
            yield key, None
    for prefix in range(256):
        if bytes((prefix,)) not in schema.TABLES:
            stop = bytes((prefix + 1,)) if prefix < 255 else b"\xff" * 200
            for key, _ in kv.scan(bytes((prefix,)), stop):
                yield key, None
    for key, _ in kv.scan(height_key(schema.CERTIFICATE, tip.height + 1), _behind(b"c")):
        yield key, None
    blocks = BlockStore(kv)
    frontier = blocks.before
    subtrees = Subtrees(frontier)
    yield from Subtrees.of(frontier)
    for height in range(frontier.size, tip.height + 1):
        header = blocks.header(height)
        if header is None:
            raise LocalFault("STORE_CORRUPT", f"block {height} is missing")
        yield schema.BLOCK_HASH + header.digest, height.to_bytes(8, "big")
        if height >= blocks.oldest:
            yield from _of_block(blocks, height)
        yield from subtrees.add(header.digest)
        frontier = frontier.append(header.digest)
    yield schema.TIP, Tip(tip.height, tip.hash, frontier).raw


def _of_block(blocks: BlockStore, height: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Where its transactions are, and the certificate of the block before it."""
    block = blocks.block(height)
    if block is None:
        raise LocalFault("STORE_CORRUPT", f"block {height} is missing")
    for index, raw in enumerate(block.bodies):
        position = height.to_bytes(8, "big") + index.to_bytes(4, "big")
        yield schema.TX_ID + Transaction.parse(raw).tx_id, position
    if block.last_certificate is not None:
        yield height_key(schema.CERTIFICATE, height - 1), block.last_certificate.raw


def _advice(code: str) -> str:
    if code == "DB_VOTES_WRONG":
        return "Just start the node: it votes again when others have told what it signed"
    if code == "DB_VAULT_WRONG":
        return "Remove the file: the node fetches the opening again from who else may know it"
    if code == "DB_KEY_WRONG":
        return "Put the key back from its own copy"
    return "Restore a backup (`hansa restore`), or put chain/ away and let the node join anew"
