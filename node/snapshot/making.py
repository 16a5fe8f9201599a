"""Making a snapshot of one kept state, in a thread that leaves the node its time.

On the disk it is a folder ``snapshots/HEIGHT`` with a file for each chunk, named by its digest, and
``manifest``. It appears when it is whole and synced; the two newest stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives import tree
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import LocalFault
from consensus.primitives.merkle import Frontier
from consensus.proofs import SealedHeader
from node.files import SYSTEM, io_fault, write_durably
from node.snapshot.form import (
    CHUNK_BYTES,
    MANIFEST_BYTES_MAX,
    Chunk,
    Manifest,
    Pairs,
    SkeletonPage,
    Turn,
    encode_pairs,
    path_of,
    span,
)
from node.store.blocks import BlockStore
from node.store.kept import KeptState

KEPT: Final = 2
MANIFEST: Final = "manifest"
_PAIR_OVERHEAD: Final = 4
Pace = Callable[[], None]
"""Called between small pieces of work; may sleep, or raise to give it up."""


def first_needed(blocks: BlockStore, tip: Header, window_ms: int) -> int:
    """The first block in which a transaction may still be valid; 1 at least, the tip at most."""
    height = tip.height
    while height > 1:
        header = blocks.header(height - 1)
        if header is None or height - 1 < blocks.oldest or header.time_ms + window_ms < tip.time_ms:
            break
        height -= 1
    return height


def make(
    state: KeptState,
    blocks: BlockStore,
    certificate: Certificate,
    first: int,
    folder: Path,
    pace: Pace,
) -> Manifest:
    """Write the snapshot of ``state`` below ``folder``, unless it is there.

    ``certificate`` is that of its block as the next block has it, the same everywhere; ``first`` as
    :func:`first_needed` gives it. Raises LocalFault, SNAPSHOT_TOO_LARGE too.
    """
    target = folder / str(state.height)
    if (target / MANIFEST).exists():
        return Manifest.decode((target / MANIFEST).read_bytes())
    scratch = folder / f".{state.height}.part"
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        manifest = _write(state, blocks, certificate, first, scratch, pace)
        SYSTEM.sync_folder(scratch)
        scratch.rename(target)
        SYSTEM.sync_folder(folder)
        for old in sorted(heights(folder))[:-KEPT]:
            shutil.rmtree(folder / str(old))
    except OSError as error:
        raise io_fault("SNAPSHOT_IO", scratch, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def heights(folder: Path) -> list[int]:
    """Of the snapshots that are there."""
    found = folder.glob(f"*/{MANIFEST}") if folder.is_dir() else ()
    return [int(one.parent.name) for one in found if one.parent.name.isdecimal()]


def _write(
    state: KeptState,
    blocks: BlockStore,
    certificate: Certificate,
    first: int,
    folder: Path,
    pace: Pace,
) -> Manifest:
    walk = _Walk(state, folder, pace)
    walk.slot(state.slot)
    walk.flush()
    before = Frontier.from_plain([first, *blocks.history.peaks(first)])
    turns = [_turn(blocks, one) for one in blocks.turns(state.height - 1)] + [
        _turn(blocks, SealedHeader(state.header, certificate))
    ]
    manifest = Manifest(
        1,
        tuple(turns),
        state.slot,
        tuple(walk.skeleton),
        tuple(walk.chunks),
        encode(before.to_plain()),
        tuple(_blocks(blocks, first, state.height, folder, pace)),
    )
    if len(manifest.raw) > MANIFEST_BYTES_MAX:
        raise LocalFault("SNAPSHOT_TOO_LARGE", f"its manifest has {len(manifest.raw)} bytes")
    write_durably(folder / MANIFEST, manifest.raw)
    return manifest


def _turn(blocks: BlockStore, sealed: SealedHeader) -> Turn:
    validators = blocks.validators(sealed.header.next_validators_hash)
    if validators is None:
        raise LocalFault("STORE_CORRUPT", f"the validators after block {sealed.height} are missing")
    return Turn(sealed, validators)


def _chunk(folder: Path, raw: bytes, parts: int) -> Chunk:
    digest = sha256(raw)
    write_durably(folder / digest.hex(), raw)
    return Chunk(digest, len(raw), parts)


class _Walk:
    """Over a state in key order: parts that fit into a chunk are taken whole, of the others the
    page goes to the skeleton."""

    def __init__(self, state: KeptState, folder: Path, pace: Pace) -> None:
        self._state = state
        self._folder = folder
        self._pace = pace
        self._pairs: Pairs = []
        self._bytes = self._parts = 0
        self.skeleton: list[SkeletonPage] = []
        self.chunks: list[Chunk] = []

    def slot(self, slot: bytes) -> None:
        if not slot:
            return
        path = path_of(slot)
        if path is None:
            keys = [leaf[33:] for leaf in tree.leaves_of(slot)]
            self._take([(key, self._value(key)) for key in keys])
            return
        pairs = self._all_of(path)
        if pairs is not None:
            self._take(pairs)
            return
        page = self._state.load(path)
        self.skeleton.append(SkeletonPage(path, page.encode()))
        for child in page.slots:
            self.slot(child)

    def _value(self, key: bytes) -> bytes:
        value = self._state.get(key)
        if value is None:
            raise LocalFault("STORE_CORRUPT", f"the value of {key.hex()} is missing in the state")
        return value

    def _all_of(self, path: bytes) -> Pairs | None:
        """The pairs below a page, unless they are more than a chunk."""
        pairs: Pairs = []
        size = 0
        for pair in self._state.scan(*span(path)):
            size += len(pair[0]) + len(pair[1]) + _PAIR_OVERHEAD
            if size > CHUNK_BYTES:
                return None
            pairs.append(pair)
        return pairs

    def _take(self, pairs: Pairs) -> None:
        size = sum(len(key) + len(value) + _PAIR_OVERHEAD for key, value in pairs)
        if self._parts and self._bytes + size > CHUNK_BYTES:
            self.flush()
        self._pairs += pairs
        self._bytes += size
        self._parts += 1

    def flush(self) -> None:
        if self._parts:
            self.chunks.append(_chunk(self._folder, encode_pairs(self._pairs), self._parts))
            self._pairs, self._bytes, self._parts = [], 0, 0
            self._pace()


def _blocks(blocks: BlockStore, first: int, last: int, folder: Path, pace: Pace) -> Iterator[Chunk]:
    parts: list[bytes] = []
    size = 0
    for height in range(first, last + 1):
        block, receipts = blocks.block(height), blocks.receipts_raw(height)
        if block is None or receipts is None:
            raise LocalFault("STORE_CORRUPT", f"block {height} is missing")
        more = len(block.raw) + len(receipts)
        if parts and size + more > CHUNK_BYTES:
            yield _chunk(folder, encode(parts), len(parts) // 2)
            parts, size = [], 0
            pace()
        parts += [block.raw, receipts]
        size += more
    yield _chunk(folder, encode(parts), len(parts) // 2)
