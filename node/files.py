"""Files that survive a crash at any instant, and the folder lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from pathlib import Path

from consensus.primitives.errors import LocalFault


def io_fault(code: str, path: Path, error: OSError) -> LocalFault:
    """A LocalFault for an OSError: DISK_FULL when that's what it is, else ``code``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalFault("DISK_FULL", f"no space left for {path}")
    return LocalFault(code, f"{path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Make a folder's new names durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes, mode: int = 0o600, *, replace: bool = True) -> None:
    """Make ``path`` hold ``data`` in one step: after a crash it is as before or whole.

    Raises OSError, FileExistsError for a file that is there unless ``replace``.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if replace:
            os.replace(scratch, path)
        else:
            os.link(scratch, path)  # unlike a rename, never takes another file's place
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)


class DurableFile:
    """``node.ports.AppendFile`` on a real disk."""

    def __init__(self, path: Path, code: str = "VOTE_LOG_IO") -> None:
        self._path = path
        self._code = code
        self._handle: int | None = None

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def append(self, data: bytes) -> None:
        try:
            if self._handle is None:
                self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
            os.fdatasync(self._handle)
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def replace(self, data: bytes) -> None:
        self.close()
        try:
            # A lost vote log often went with its folder.
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            write_durably(self._path, data)
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class ReportFolder:
    """``node.ports.Reports`` as files in a folder, the newest ``files_max`` of them."""

    def __init__(self, folder: Path, files_max: int = 100) -> None:
        self._folder = folder
        self._files_max = files_max

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(path, data)
            sync_folder(self._folder.parent)
            found = [one for one in self._folder.iterdir() if not one.name.startswith(".")]
            found.sort(key=lambda one: (one.stat().st_mtime_ns, one.name))
            for old in found[: -self._files_max]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise io_fault("REPORT_IO", path, error) from None


class FolderLock:
    """One process per data folder: a second one would sign with the same key."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Raises LocalFault FOLDER_LOCKED naming the process that holds it."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise io_fault("FOLDER_UNUSABLE", self._path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            raise LocalFault(
                "FOLDER_LOCKED",
                f"{self._path.parent} is in use by process {holder or 'unknown'}",
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle

    def release(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
