"""The key-value store port, and LevelDB behind it. No other file imports plyvel."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import plyvel

from consensus.primitives.errors import LocalFault
from node.store.manifest import check_files

WRITE_BUFFER_BYTES: Final = 32 << 20
BLOCK_CACHE_BYTES: Final = 32 << 20
BLOOM_FILTER_BITS: Final = 10

_Faults = Callable[[], AbstractContextManager[None]]


class View(Protocol):
    """What stood in a store at one moment. Every method may raise LocalFault."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]: ...

    def close(self) -> None:
        """Let go of it: the store keeps what it shows until then."""


class KV(Protocol):
    """Byte keys in order, with atomic batches. Every method may raise LocalFault."""

    def get(self, key: bytes) -> bytes | None: ...

    def snapshot(self) -> View:
        """What stands in it now, whatever is written later."""

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """Put all pairs (None deletes) in one atomic batch; the last of equal keys wins.

        With ``sync`` it returns when the batch, and all before it, would survive a power cut.
        """

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The pairs with ``start <= key < stop`` as they were at the first step, in key order."""

    def close(self) -> None: ...


class LevelKV:
    """A folder held by LevelDB; made when missing. Only one process can have it open.

    ``write_buffer_bytes`` is what gathers in memory before a table is written, twice at most.
    It checks all that LevelDB has a checksum for: without ``paranoid_checks`` a damaged record of
    its log would be left out in silence, and a damaged index or filter believed.
    Raises LocalFault: STORE_LOCKED, STORE_CORRUPT, DISK_FULL or STORE_IO.
    """

    def __init__(
        self,
        path: Path,
        *,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        block_cache_bytes: int = BLOCK_CACHE_BYTES,
    ) -> None:
        self._path = path
        with self._faults():
            path.mkdir(parents=True, exist_ok=True)
            check_files(path)
            self._db = plyvel.DB(
                os.fspath(path),
                create_if_missing=True,
                write_buffer_size=write_buffer_bytes,
                lru_cache_size=block_cache_bytes,
                bloom_filter_bits=BLOOM_FILTER_BITS,
                paranoid_checks=True,
            )

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except Exception:
            # Once more, for its words: a with statement costs more than most reads.
            with self._faults():
                value = self._db.get(key, verify_checksums=True)
        return value

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        with self._faults():
            batch = self._db.write_batch(sync=sync)
            for key, value in operations:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
            batch.write()

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._db, self._faults, start, stop, reverse)

    def snapshot(self) -> View:
        with self._faults():
            return _LevelView(self._db.snapshot(), self._faults)

    def close(self) -> None:
        with self._faults():
            self._db.close()

    @property
    def path(self) -> Path:
        return self._path

    def disk_bytes(self, start: bytes, stop: bytes) -> int:
        """About how much of the table files the keys from ``start`` to ``stop`` take."""
        with self._faults():
            return int(self._db.approximate_size(start, stop))

    def tables(self) -> list[TableFile]:
        """The table files in use, with the keys that each one covers."""
        with self._faults():
            told = self._db.get_property(b"leveldb.sstables") or b""
        return [
            TableFile(int(one[1]), int(one[2]), _unescaped(one[3]), _unescaped(one[4]))
            for one in _TABLE_LINE.finditer(told)
        ]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """LevelDB tells the cause of an error in its text alone."""
        try:
            yield
        except plyvel.CorruptionError as error:
            code, reason = "STORE_CORRUPT", _text(error)
        except plyvel.Error as error:
            reason = _text(error)
            code = _code_of(reason)
        except OSError as error:
            code = "DISK_FULL" if error.errno == errno.ENOSPC else "STORE_IO"
            reason = str(error)
        except RuntimeError as error:  # plyvel's, on a closed database
            code, reason = "STORE_IO", str(error)
        else:
            return
        raise LocalFault(code, f"store {self._path}: {reason}")


@dataclass(frozen=True)
class TableFile:
    """One ``NUMBER.ldb``: its size, its first and last key."""

    number: int
    size_bytes: int
    first: bytes
    last: bytes

    @property
    def name(self) -> str:
        return f"{self.number:06}.ldb"


_TABLE_LINE: Final = re.compile(
    rb"^ (\d+):(\d+)\['(.*?)' @ \d+ : \d+ \.\. '(.*?)' @ \d+ : \d+\]$", re.MULTILINE
)


def _unescaped(text: bytes) -> bytes:
    """LevelDB's way to show a key: bytes beyond ASCII's printable ones as \\xhh."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text)


def rebuild_manifest(path: Path) -> None:
    """LevelDB's own repair: a new manifest over all tables and logs that can be read. What it
    leaves out is in ``lost/``, and old values may be back: the caller has to verify everything.
    Raises LocalFault."""
    try:
        plyvel.repair_db(os.fspath(path), bloom_filter_bits=BLOOM_FILTER_BITS, paranoid_checks=True)
    except plyvel.Error as error:
        raise LocalFault("STORE_CORRUPT", f"store {path}: {_text(error)}") from None


class _LevelView:
    def __init__(self, taken: Any, faults: _Faults) -> None:
        self._taken = taken
        self._faults = faults

    def get(self, key: bytes) -> bytes | None:
        with self._faults():
            value: bytes | None = self._taken.get(key, verify_checksums=True)
        return value

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._taken, self._faults, start, stop, reverse)

    def close(self) -> None:
        with self._faults():
            self._taken.close()


def _scan(
    source: Any, faults: _Faults, start: bytes, stop: bytes, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    with faults():
        found = source.iterator(start=start, stop=stop, reverse=reverse, verify_checksums=True)
    with faults(), closing(found):
        yield from found


def _text(error: Exception) -> str:
    """LevelDB's own words, which plyvel has as bytes."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)


def _code_of(reason: str) -> str:
    if os.strerror(errno.ENOSPC) in reason:
        return "DISK_FULL"
    if "/LOCK: " in reason:
        return "STORE_LOCKED"
    return "STORE_CORRUPT" if "orrupt" in reason else "STORE_IO"
