"""Files that survive a crash at any instant, and the folder lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Final, Protocol

from consensus.primitives.errors import LocalFault


def io_fault(code: str, path: Path, error: OSError) -> LocalFault:
    """A LocalFault for an OSError: DISK_FULL when that's what it is, else ``code``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalFault("DISK_FULL", f"no space left for {path}")
    return LocalFault(code, f"{path}: {error.strerror or error}")


class FileCalls(Protocol):
    """What durable files ask of an operating system. Raises OSError.

    The real one is ``SystemCalls``; simulations have one that crashes at each of these calls.
    """

    def read(self, path: Path) -> bytes:
        """All of a file, as other processes see it: it need not be on disk yet."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int: ...

    def write(self, handle: int, data: memoryview) -> int:
        """How many bytes were taken."""

    def fdatasync(self, handle: int) -> None: ...

    def fsync(self, handle: int) -> None: ...

    def close(self, handle: int) -> None: ...

    def replace(self, source: Path, target: Path) -> None: ...

    def link(self, source: Path, target: Path) -> None: ...

    def remove(self, path: Path) -> None:
        """A file that is not there is as good as removed."""

    def make_folder(self, path: Path) -> None:
        """With its name durable; one that is there is left alone."""

    def sync_folder(self, path: Path) -> None:
        """Make a folder's new names durable."""


class SystemCalls:
    """``FileCalls`` of this machine."""

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        return os.open(path, flags, mode)

    def write(self, handle: int, data: memoryview) -> int:
        return os.write(handle, data)

    def fdatasync(self, handle: int) -> None:
        os.fdatasync(handle)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


SYSTEM: Final = SystemCalls()


def write_durably(
    path: Path,
    data: bytes,
    mode: int = 0o600,
    *,
    replace: bool = True,
    calls: FileCalls = SYSTEM,
) -> None:
    """Make ``path`` hold ``data`` in one step: after a crash it is as before or whole.

    Raises OSError, FileExistsError for a file that is there unless ``replace``.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        handle = calls.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[calls.write(handle, view) :]
            calls.fsync(handle)
        finally:
            calls.close(handle)
        if replace:
            calls.replace(scratch, path)
        else:
            calls.link(scratch, path)  # unlike a rename, never takes another file's place
    finally:
        calls.remove(scratch)
    calls.sync_folder(path.parent)


class DurableFile:
    """``node.ports.AppendFile`` on a disk."""

    def __init__(self, path: Path, code: str = "VOTE_LOG_IO", calls: FileCalls = SYSTEM) -> None:
        self._path = path
        self._code = code
        self._calls = calls
        self._handle: int | None = None

    def read(self) -> bytes | None:
        """What a process that was killed left unsynced is made durable before anybody acts on it:
        a vote that is read, and sent again, must outlive the next power cut."""
        calls = self._calls
        try:
            handle = calls.open(self._path, os.O_RDONLY)
            try:
                calls.fsync(handle)
            finally:
                calls.close(handle)
            calls.sync_folder(self._path.parent)
            return calls.read(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def append(self, data: bytes) -> None:
        try:
            if self._handle is None:
                self._handle = self._calls.open(self._path, os.O_WRONLY | os.O_APPEND)
            view = memoryview(data)
            while view:
                view = view[self._calls.write(self._handle, view) :]
            self._calls.fdatasync(self._handle)
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def replace(self, data: bytes) -> None:
        self.close()
        try:
            # A lost vote log often went with its folder.
            self._calls.make_folder(self._path.parent)
            write_durably(self._path, data, calls=self._calls)
        except OSError as error:
            raise io_fault(self._code, self._path, error) from None

    def close(self) -> None:
        if self._handle is not None:
            self._calls.close(self._handle)
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
            SYSTEM.sync_folder(self._folder.parent)
            found = [one for one in self._folder.iterdir() if not one.name.startswith(".")]
            found.sort(key=lambda one: (one.stat().st_mtime_ns, one.name))
            for old in found[: -self._files_max]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise io_fault("REPORT_IO", path, error) from None


class KeyLock:
    """One process per key on this machine, whatever folder or user has it: a name in the kernel's
    table of Unix sockets, which goes with the process. (A container of its own is another machine
    here; what two machines with one key sign is caught by the evidence.)
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._name = b"\0hansa key " + key.hex().encode()
        self._socket: socket.socket | None = None

    def acquire(self) -> None:
        """Raises LocalFault KEY_IN_USE naming the process that holds it."""
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(self._name)
            held.listen()  # so that others can ask who it is
        except OSError as error:
            held.close()
            if error.errno != errno.EADDRINUSE:
                raise LocalFault("KEY_IN_USE", f"can't make sure of it: {error}") from None
            raise LocalFault(
                "KEY_IN_USE",
                f"process {self._holder()} runs with the key {self._key.hex()} on this machine:"
                " two would sign against each other",
            ) from None
        self._socket = held

    def _holder(self) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(1)
            try:
                asking.connect(self._name)
                told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4)
            except OSError:
                return "unknown"
        return str(int.from_bytes(told, sys.byteorder))

    def release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


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
