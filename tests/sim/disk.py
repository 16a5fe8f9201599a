"""A machine's disk in memory, on which everything that can happen to a disk can be made to happen.

The vote log is the production ``DurableFile`` above ``_Calls``, the operating system's file calls
as a model: what was written is in the page cache, what was synced is on the plate. The chain's
store is a ``MemoryKV``. Each call that writes is one numbered operation, and a planned ``Fault``
strikes at one of them. A fault that ends the process does so at that very point: the disk refuses
everything that comes after it, and ``on_crash`` takes the process's network end away at once.
"""

from __future__ import annotations

import copy
import errno
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

import trio

from consensus.primitives.errors import LocalFault
from node.files import DurableFile
from node.store.memory import MemoryKV

VOTES: Final = Path("/votes/votes.log")
NEXT_VOTES: Final = Path("/next-votes/votes.log")

T = TypeVar("T")


class ProcessCrash(BaseException):
    """The process is gone. Nothing in it may catch this."""


class Strike(Enum):
    """What happens at the operation that a fault is planned for."""

    BEFORE = "crash before it"
    WITHIN = "crash in the middle of it"
    AFTER = "crash after it"
    FULL = "the disk is full from here on"
    FAILS = "it fails"


@dataclass(frozen=True)
class Loss:
    """What a power cut leaves of what was not synced. Shares are 0.0 to 1.0."""

    bytes_kept: float = 0.0
    """Of the bytes appended to each file, a prefix."""
    zeros: bool = False
    """The file has its full length, the lost bytes are zeros."""
    names_kept: bool = False
    """Whether files made and renamed keep their new names."""

    @classmethod
    def drawn(cls, rng: random.Random) -> Loss:
        share = rng.choice((0.0, rng.random(), 1.0))
        return cls(share, rng.random() < 0.2, rng.random() < 0.5)


@dataclass(frozen=True)
class Fault:
    """``loss`` None: only the process dies, as by kill -9, and what it wrote is in the cache."""

    strike: Strike
    loss: Loss | None = None
    share: float = 0.5
    """How much of a write is done when it is cut short."""


@dataclass
class _Plan:
    fault: Fault
    operation: str
    left: int


class _File:
    def __init__(self, data: bytes = b"", synced: int = 0) -> None:
        self.data = bytearray(data)
        self.synced = synced
        """Bytes of ``data`` that no power cut takes."""

    def cut(self, loss: Loss) -> None:
        kept = self.synced + int((len(self.data) - self.synced) * loss.bytes_kept)
        lost = len(self.data) - kept
        del self.data[kept:]
        if loss.zeros:
            self.data += bytes(lost)
        self.synced = len(self.data)


class VirtualKV(MemoryKV):
    """The chain's store; each batch is one operation of its disk."""

    def __init__(self) -> None:
        super().__init__()
        self.disk: VirtualDisk | None = None
        self._damaged: set[bytes] = set()

    def __deepcopy__(self, memo: dict[int, object]) -> VirtualKV:
        other = VirtualKV()
        other._data = dict(self._data)
        other._order, other._added = list(self._order), list(self._added)
        other._removed = self._removed
        return other

    def get(self, key: bytes) -> bytes | None:
        if self._damaged and key in self._damaged:
            raise LocalFault("STORE_CORRUPT", f"the checksum of {key.hex()} is wrong")
        return self._data.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in super().scan(start, stop, reverse=reverse):
            if key in self._damaged:
                raise LocalFault("STORE_CORRUPT", f"the checksum of {key.hex()} is wrong")
            yield key, value

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        def write(share: float) -> None:
            if share == 1.0:  # a batch is done or not
                batch = list(operations)
                super(VirtualKV, self).write(batch, sync=sync)
                self._damaged.difference_update(key for key, _ in batch)

        if self.disk is None:
            write(1.0)
            return
        try:
            self.disk.perform("batch", write)
        except OSError as error:
            code = "DISK_FULL" if error.errno == errno.ENOSPC else "STORE_IO"
            raise LocalFault(code, f"store: {error.strerror}") from None

    def damage(self, rng: random.Random) -> bytes:
        """Flip a bit of some value at rest; reading it fails from now on. Returns its key."""
        key = rng.choice(self._sorted())
        self._damaged.add(key)
        return key


class VirtualDisk:
    """Files and store of one machine. ``count`` operations have been performed so far."""

    def __init__(self) -> None:
        self.count = 0
        self.operations: list[str] = []
        """Their names."""
        self.full = False
        self.slow_ms = 0
        """How long each call that waits for the disk waits, before and after its effect."""
        self.on_crash: Callable[[], None] = lambda: None
        self.files: dict[Path, _File] = {}
        self._durable: dict[Path, _File] = {}
        """Which file has which name after a power cut."""
        self._planned: list[_Plan] = []
        self._dead = False
        self._kv = VirtualKV()
        self._kv.disk = self

    # --- what a scenario does ----------------------------------------------------------------

    def plan(self, fault: Fault, after: int = 0, operation: str = "") -> None:
        """Let a fault strike at the operation that follows ``after`` more; with ``operation``
        only those of this name count."""
        self._planned.append(_Plan(fault, operation, after))

    def unplan(self) -> None:
        """Nothing that was planned strikes any more."""
        self._planned.clear()

    def boot(self) -> None:
        """A process may use the disk again."""
        self._dead = False

    def end(self, loss: Loss | None) -> None:
        """The process is gone; with a ``loss`` the power too."""
        self._dead = True
        if loss is None:
            return
        if not loss.names_kept:
            self.files = dict(self._durable)
        for file in self.files.values():
            file.cut(loss)
        self._durable = dict(self.files)
        self._kv.crash()

    @property
    def kv(self) -> VirtualKV:
        return self._kv

    @kv.setter
    def kv(self, kv: VirtualKV) -> None:
        self._kv = kv
        kv.disk = self

    def file(self, path: Path = VOTES) -> DurableFile:
        """A vote log's file as a process opens it."""
        return DurableFile(path, calls=_Calls(self))

    def contents(self, path: Path = VOTES) -> bytes | None:
        """What any process reads."""
        file = self.files.get(path)
        return None if file is None else bytes(file.data)

    def on_plate(self, data: bytes, path: Path = VOTES) -> bool:
        """Whether these bytes stand in a file where no power cut takes them from."""
        file = self._durable.get(path)
        return file is not None and file.data.find(data, 0, file.synced) >= 0

    def put(self, path: Path, data: bytes | None) -> None:
        """What an operator does with a file: everything is on the plate afterwards."""
        if data is None:
            self.files.pop(path, None)
            self._durable.pop(path, None)
        else:
            self.files[path] = self._durable[path] = _File(data, len(data))

    def flip(self, rng: random.Random, path: Path = VOTES) -> None:
        """Flip a bit of a file at rest."""
        data = bytearray(self.contents(path) or b"")
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            self.put(path, bytes(data))

    def wipe(self) -> None:
        """Everything is gone."""
        self.wipe_store()
        for path in list(self.files):
            self.put(path, None)

    def wipe_store(self) -> None:
        """What an operator does after STORE_CORRUPT: the vote log stays."""
        self.kv = VirtualKV()

    def backup(self) -> Backup:
        """A copy of everything."""
        return Backup(
            {path: bytes(file.data) for path, file in self.files.items()}, copy.deepcopy(self._kv)
        )

    def restore(self, backup: Backup, *, store: bool = True, votes: bool = True) -> None:
        """Bring back what was copied, or a part of it."""
        if store:
            self.kv = copy.deepcopy(backup.kv)
        if votes:
            for path in [*self.files, *backup.files]:
                self.put(path, backup.files.get(path))

    # --- what happens ------------------------------------------------------------------------

    def perform(self, operation: str, action: Callable[[float], T]) -> T:
        """One operation; ``action`` is told how much of it is to be done. Raises OSError for a
        full or failing disk, ProcessCrash at the end of the process."""
        if self._dead:
            raise ProcessCrash
        self.count += 1
        self.operations.append(operation)
        fault = self._due(operation)
        if fault is not None and fault.strike in _CRASHES:
            if fault.strike is not Strike.BEFORE:
                action(1.0 if fault.strike is Strike.AFTER else fault.share)
            self.end(fault.loss)
            self.on_crash()
            raise ProcessCrash
        if fault is not None and fault.strike is Strike.FAILS:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if fault is not None:
            self.full = True
        if self.full and operation in _GROWING:
            action(fault.share if fault is not None else 0.0)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return action(1.0)

    def _due(self, operation: str) -> Fault | None:
        struck = None
        for plan in list(self._planned):
            if plan.operation in ("", operation):
                plan.left -= 1
                if plan.left < 0:
                    self._planned.remove(plan)
                    struck = plan.fault
        return struck

    def sync_names(self, folder: Path) -> None:
        for path in [one for one in self._durable if one.parent == folder]:
            del self._durable[path]
        self._durable |= {path: one for path, one in self.files.items() if path.parent == folder}


@dataclass(frozen=True)
class Backup:
    """A copy of a disk."""

    files: dict[Path, bytes]
    kv: VirtualKV = field(repr=False)


_CRASHES: Final = frozenset({Strike.BEFORE, Strike.WITHIN, Strike.AFTER})
_GROWING: Final = frozenset({"write", "create", "batch"})


class _Calls:
    """``FileCalls`` of one process. Folders are there when they are needed."""

    def __init__(self, disk: VirtualDisk) -> None:
        self._disk = disk
        self._open: dict[int, _File] = {}
        self._next = 3

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).data)

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        if flags & os.O_CREAT:
            file = _File()

            def create(share: float) -> None:
                if share == 1.0:
                    self._disk.files[path] = file

            self._disk.perform("create", create)
        else:
            file = self._file(path)
        self._next += 1
        self._open[self._next] = file
        return self._next

    def _file(self, path: Path) -> _File:
        file = self._disk.files.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return file

    def write(self, handle: int, data: memoryview) -> int:
        file = self._open[handle]

        def write(share: float) -> int:
            count = int(len(data) * share)
            file.data += data[:count]
            return count

        return self._disk.perform("write", write)

    def fdatasync(self, handle: int) -> None:
        self._sync("fdatasync", self._open[handle])

    def fsync(self, handle: int) -> None:
        self._sync("fsync", self._open[handle])

    def _sync(self, operation: str, file: _File) -> None:
        def sync(share: float) -> None:
            file.synced += int((len(file.data) - file.synced) * share)

        self._disk.perform(operation, sync)

    def close(self, handle: int) -> None:
        self._open.pop(handle, None)

    def replace(self, source: Path, target: Path) -> None:
        def rename(share: float) -> None:
            if share == 1.0:
                self._disk.files[target] = self._disk.files.pop(source)

        self._file(source)
        self._disk.perform("rename", rename)

    def link(self, source: Path, target: Path) -> None:
        raise NotImplementedError("a vote log is replaced, never linked")

    def remove(self, path: Path) -> None:
        if path in self._disk.files:
            self._disk.perform("remove", lambda share: self._disk.files.pop(path))

    def make_folder(self, path: Path) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        def sync(share: float) -> None:
            if share == 1.0:
                self._disk.sync_names(path)

        self._disk.perform("sync folder", sync)


class VirtualBlocking:
    """``Blocking`` on a disk that takes its time."""

    def __init__(self, disk: VirtualDisk) -> None:
        self._disk = disk

    async def run(self, call: Callable[[], T]) -> T:
        await self._wait()
        result = call()
        await self._wait()
        return result

    async def _wait(self) -> None:
        if self._disk.slow_ms:
            await trio.sleep(self._disk.slow_ms / 1000)


class MemoryFile:
    """``AppendFile`` in memory, durable at once: an operator's hand on a machine's vote log, which
    is no operation of that machine; or a file by itself."""

    def __init__(self, disk: VirtualDisk | None = None, path: Path = VOTES) -> None:
        self._disk = VirtualDisk() if disk is None else disk
        self._path = path

    @property
    def data(self) -> bytes | None:
        return self._disk.contents(self._path)

    @data.setter
    def data(self, data: bytes | None) -> None:
        self._disk.put(self._path, data)

    def read(self) -> bytes | None:
        return self.data

    def append(self, data: bytes) -> None:
        assert self.data is not None
        self.data += data

    def replace(self, data: bytes) -> None:
        self.data = data

    def close(self) -> None:
        pass
