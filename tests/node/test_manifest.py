"""LevelDB's list of files as it is read before LevelDB: healthy stores pass, whatever happened to
them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from node.store.kv import LevelKV
from node.store.manifest import BLOCK_BYTES, check_files
from tests.node.support import code_of

WRITER = """
import os, sys
from pathlib import Path
from node.store.kv import LevelKV
kv = LevelKV(Path(sys.argv[1]), write_buffer_bytes=1 << 16)
number = 0
while True:
    kv.write([(os.urandom(8), os.urandom(4096)) for _ in range(8)], sync=True)
    print(number, flush=True)
    number += 1
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_list_that_passes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "db"
    for batches in (1, 3, 20, 60, 61):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(batches):
            assert process.stdout.readline()
        process.kill()
        process.communicate()
        check_files(folder)
        kv = LevelKV(folder)
        assert len(list(kv.scan(b"", b"\xff" * 9))) >= batches * 8
        kv.close()
        check_files(folder)


def test_a_list_of_several_blocks_is_read(tmp_path: Path) -> None:
    """Compacting small tables over and over makes a long list of edits."""
    kv = LevelKV(tmp_path / "db", write_buffer_bytes=1 << 16)
    (manifest,) = (tmp_path / "db").glob("MANIFEST-*")
    number = 0
    while manifest.stat().st_size < 2 * BLOCK_BYTES:
        key = (number * 7919 % 10007).to_bytes(4, "big").rjust(400, b"k")
        kv.write([(key, bytes(20_000) + number.to_bytes(4, "big"))], sync=False)
        number += 1
    kv.close()
    check_files(tmp_path / "db")
    raw = bytearray(manifest.read_bytes())
    raw[BLOCK_BYTES + 500] ^= 1
    manifest.write_bytes(raw)
    assert code_of(check_files, tmp_path / "db") == "STORE_CORRUPT"


def test_an_empty_folder_and_a_store_that_was_just_made(tmp_path: Path) -> None:
    check_files(tmp_path)
    LevelKV(tmp_path / "db").close()
    check_files(tmp_path / "db")
