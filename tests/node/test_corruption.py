"""Bits flipped, files cut off and files removed, everywhere in a small real store: either nothing
is affected, or an error with a code says so, when it is opened, read or verified. No wrong value is
ever given out.

HANSA_CORRUPTION_STEP=1 flips a bit of every byte; by default of some hundred. Vote logs and the
vault's files have theirs in test_wal.py and test_vault.py, every byte of them.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import trio

from consensus.primitives.errors import LocalFault
from node.care.findings import nothing
from node.care.verify import verify
from node.setup import CHAIN, GENESIS
from node.store.blocks import BlockStore
from node.store.kv import LevelKV
from node.store.layout import bring_up
from node.store.mark import FILE_NAME, MarkedKV
from node.store.memory import MemoryKV
from tests.node.care_world import contents, sealed
from tests.node.support import OneChain

TRIES = 40
"""Per file; the larger ones get them evenly over their length."""
STEP = int(os.environ.get("HANSA_CORRUPTION_STEP", "0"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several tables, a log that was not yet made into one, a manifest with several records."""
    folder = tmp_path_factory.mktemp("store") / "node"

    class Recording(MemoryKV):
        """What a chain writes, batch by batch, so that no reading makes LevelDB compact it."""

        def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
            batch = list(operations)
            kv.write(batch, sync=sync)
            super().write(batch, sync=sync)

    async def fill() -> None:
        one = OneChain(kv=Recording())
        for _ in range(18):
            await one.block([one.transaction() for _ in range(3)])
        (folder / GENESIS).write_bytes(sealed(one.document).file_bytes)

    folder.mkdir()
    kv = MarkedKV(folder / CHAIN, write_buffer_bytes=1 << 16)
    trio.run(fill)
    kv.close()
    kinds = Counter(one.suffix or one.name for one in (folder / CHAIN).iterdir())
    assert kinds[".ldb"] >= 2 and kinds[".log"] >= 1, kinds
    return folder


@pytest.fixture(scope="module")
def truth(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    return contents(shutil.copytree(store, tmp_path_factory.mktemp("truth") / "node"))


def serve(folder: Path, truth: dict[bytes, bytes]) -> str:
    """Open the store as a node does, and read every value, by scan and one by one. Returns the code
    of the error that came of it, "" if all is as it was. Fails on any wrong answer."""
    try:
        kv = MarkedKV(folder / CHAIN)
    except LocalFault as fault:
        return fault.code
    try:
        bring_up(kv)
        blocks = BlockStore(kv)
        tip = blocks.tip()
        blocks.check_history(tip)
        wrong = 0
        for key, value in truth.items():
            try:
                wrong += kv.get(key) != value
            except LocalFault:
                return "STORE_CORRUPT"
        found = dict(kv.scan(b"", b"\xff" * 100))
        assert not wrong and found == truth, "a wrong answer"
        return ""
    except LocalFault as fault:
        return fault.code
    finally:
        kv.close()


def places(size: int) -> Iterator[int]:
    yield from range(0, size, STEP or max(1, size // TRIES))


def files_of(store: Path) -> list[str]:
    """All that LevelDB reads, and the mark; not what it says in words, nor tables that a compaction
    left behind and the next start removes."""
    copy = store.parent / "opened"
    if not copy.exists():
        shutil.copytree(store / CHAIN, copy)
        LevelKV(copy).close()
    names = [one.name for one in (store / CHAIN).iterdir() if one.stat().st_size]
    left = [one for one in names if one.endswith(".ldb") and not (copy / one).exists()]
    return sorted(one for one in names if one not in ("LOCK", "LOG", "LOG.old", *left))


def damaged(store: Path, tmp_path: Path, name: str, data: bytes | None) -> Path:
    """A copy with one file changed (None: removed). Files that are never written again are
    linked."""
    folder = tmp_path / "node"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / CHAIN).mkdir(parents=True)
    for one in (store / CHAIN).iterdir():
        if one.suffix in (".ldb", ".log"):
            os.link(one, folder / CHAIN / one.name)
        else:
            shutil.copy(one, folder / CHAIN)
    path = folder / CHAIN / name
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    return folder


def test_no_flipped_bit_gives_a_wrong_answer(
    store: Path, truth: dict[bytes, bytes], tmp_path: Path
) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for name in files_of(store):
        raw = (store / CHAIN / name).read_bytes()
        for at in places(len(raw)):
            changed = bytearray(raw)
            changed[at] ^= 1 << at % 8
            code = serve(damaged(store, tmp_path, name, bytes(changed)), truth)
            seen[name.rpartition(".")[2].partition("-")[0], code] += 1
    told = {kind: {code for one, code in seen if one == kind} for kind, _ in seen}
    assert told["ldb"] <= {"", "STORE_CORRUPT", "STORE_IO"} and "STORE_CORRUPT" in told["ldb"]
    assert told["log"] <= {"STORE_CORRUPT", "STORE_BEHIND"}, "every byte of a log counts"
    assert told["MANIFEST"] <= {"STORE_CORRUPT", "STORE_IO"}
    assert told["CURRENT"] <= {"STORE_CORRUPT", "STORE_IO"}
    assert told["mark"] == {""}, "the mark itself only ever says more"


def test_no_file_that_is_cut_off_or_gone_gives_a_wrong_answer(
    store: Path, truth: dict[bytes, bytes], tmp_path: Path
) -> None:
    silent = []
    for name in files_of(store):
        raw = (store / CHAIN / name).read_bytes()
        sizes = [*list(places(len(raw)))[:: 1 if STEP else 5], len(raw) - 1]
        for data in (None, *(raw[:size] for size in sizes)):
            if serve(damaged(store, tmp_path, name, data), truth) == "":
                silent.append(name)
    assert set(silent) <= {FILE_NAME}, "a store without its mark is whole"


def test_what_opens_with_a_damaged_table_is_found_by_verify(
    store: Path, truth: dict[bytes, bytes], tmp_path: Path
) -> None:
    """Damage that no read met yet: all of each table is read, and the file is named."""
    for name in [one for one in files_of(store) if one.endswith(".ldb")]:
        raw = bytearray((store / CHAIN / name).read_bytes())
        raw[len(raw) // 3] ^= 1
        folder = damaged(store, tmp_path, name, bytes(raw))
        shutil.copy(store / "genesis.json", folder)
        found = verify(folder, nothing).findings
        assert "DB_UNREADABLE" in found.counts
        assert any(name in one.where or "folder" in one.where for one in found.shown)


def test_a_lost_manifest_record_leaves_no_gap_unseen(
    store: Path, truth: dict[bytes, bytes], tmp_path: Path
) -> None:
    """A manifest cut off behind a whole record is no damage to LevelDB: it opens an older set of
    tables. What is missing then is found by the heights, or by the mark."""
    (name,) = [one for one in files_of(store) if one.startswith("MANIFEST")]
    raw = (store / CHAIN / name).read_bytes()
    at, ends = 0, []
    while at + 7 <= len(raw):  # LevelDB's records: checksum, length (2 bytes, little-endian), kind
        at += 7 + int.from_bytes(raw[at + 4 : at + 6], "little")
        ends.append(at)
    assert len(ends) > 1
    for end in ends[:-1]:
        assert serve(damaged(store, tmp_path, name, raw[:end]), truth) != ""
