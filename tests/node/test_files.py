"""Files after a crash at any step, and one process per folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.primitives.errors import LocalFault
from node.files import (
    DurableFile,
    FolderLock,
    KeyLock,
    SystemCalls,
    io_fault,
    write_durably,
)
from tests.node.support import code_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_replacement_that_fails_leaves_the_old_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space"):
            write_durably(path, b"new and longer")
    assert path.read_bytes() == b"old"
    write_durably(path, b"mended")
    assert path.read_bytes() == b"mended"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_left_overs_of_a_crash_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    (tmp_path / ".votes.log.0123456789ab").write_bytes(b"half of what was to come, and long")
    file = DurableFile(path)
    assert file.read() is None
    file.replace(b"first")
    assert file.read() == b"first"
    file.append(b" second")
    file.replace(b"third")
    file.append(b" fourth")
    assert file.read() == DurableFile(path).read() == b"third fourth"
    file.close()


def test_only_the_owner_may_read_what_is_written(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"votes")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_append_makes_no_file(tmp_path: Path) -> None:
    """A vote log that vanished must not come back empty."""
    assert code_of(DurableFile(tmp_path / "gone").append, b"x") == "VOTE_LOG_IO"
    assert not (tmp_path / "gone").exists()


def test_faults_have_codes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert code_of(DurableFile(tmp_path / "folder").read) == "VOTE_LOG_IO"
    assert code_of(DurableFile(tmp_path / "no" / "such" / "folder").replace, b"") == "VOTE_LOG_IO"
    for number in (errno.ENOSPC, errno.EDQUOT):
        assert io_fault("VOTE_LOG_IO", tmp_path, OSError(number, "full")).code == "DISK_FULL"
    assert code_of(FolderLock(tmp_path / "missing").acquire) == "FOLDER_UNUSABLE"


def test_one_process_per_folder(tmp_path: Path) -> None:
    """The holder is named; its end, even by kill -9, frees the folder."""
    code = (
        "import sys, pathlib; from node.files import FolderLock;"
        " FolderLock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True);"
        " sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        lock = FolderLock(tmp_path)
        with pytest.raises(LocalFault, match=f"process {holder.pid}") as caught:
            lock.acquire()
        assert caught.value.code == "FOLDER_LOCKED"
        holder.kill()
    lock.acquire()
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    assert code_of(FolderLock(tmp_path).acquire) == "FOLDER_LOCKED"
    lock.release()
    again = FolderLock(tmp_path)
    again.acquire()
    again.release()


def test_one_process_per_key(tmp_path: Path) -> None:
    """Whatever folder it has; the holder is named, and its end frees the key."""
    key = os.urandom(32)
    code = (
        "import sys; from node.files import KeyLock;"
        " lock = KeyLock(bytes.fromhex(sys.argv[1])); lock.acquire(); print('held', flush=True);"
        " sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, key.hex()]
    other = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(LocalFault, match=f"process {other.pid} ") as caught:
            KeyLock(key).acquire()
        assert caught.value.code == "KEY_IN_USE"
        another = KeyLock(os.urandom(32))
        another.acquire()
        another.release()
    finally:
        other.kill()
        other.communicate()
    lock = KeyLock(key)
    lock.acquire()
    assert code_of(KeyLock(key).acquire) == "KEY_IN_USE"
    lock.release()
    lock.acquire()
    lock.release()


def test_what_is_read_is_on_disk(tmp_path: Path) -> None:
    """What a killed process wrote and did not sync would else be gone with the next power cut,
    after it was acted upon."""
    path = tmp_path / "file"
    path.write_bytes(b"votes")
    done: list[str] = []

    class Noting(SystemCalls):
        def fsync(self, handle: int) -> None:
            done.append(f"file of {os.fstat(handle).st_size}")

        def sync_folder(self, path: Path) -> None:
            done.append(path.name)

        def read(self, path: Path) -> bytes:
            done.append("read")
            return super().read(path)

    assert DurableFile(path, calls=Noting()).read() == b"votes"
    assert done == ["file of 5", tmp_path.name, "read"]
