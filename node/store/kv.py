"""The key-value store port, and LevelDB behind it. No other file imports plyvel."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import plyvel

from consensus.primitives.errors import LocalFault

WRITE_BUFFER_BYTES: Final = 64 << 20
BLOCK_CACHE_BYTES: Final = 32 << 20
BLOOM_FILTER_BITS: Final = 10


class KV(Protocol):
    """Byte keys in order, with atomic batches. Every method may raise LocalFault."""

    def get(self, key: bytes) -> bytes | None: ...

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

    ``write_buffer_bytes`` is what gathers in memory before a table is written: LevelDB's own 4 MB
    more than doubles the cost of writing state pages.
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
            self._db = plyvel.DB(
                os.fspath(path),
                create_if_missing=True,
                write_buffer_size=write_buffer_bytes,
                lru_cache_size=block_cache_bytes,
                bloom_filter_bits=BLOOM_FILTER_BITS,
            )

    def get(self, key: bytes) -> bytes | None:
        with self._faults():
            value: bytes | None = self._db.get(key, verify_checksums=True)
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
        with self._faults():
            iterator = self._db.iterator(
                start=start, stop=stop, reverse=reverse, verify_checksums=True
            )
        try:
            while True:
                with self._faults():
                    pair: tuple[bytes, bytes] | None = next(iterator, None)
                if pair is None:
                    return
                yield pair
        finally:
            iterator.close()

    def close(self) -> None:
        with self._faults():
            self._db.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """LevelDB tells the cause of an error in its text alone."""
        try:
            yield
        except plyvel.CorruptionError as error:
            code, reason = "STORE_CORRUPT", str(error)
        except plyvel.Error as error:
            code, reason = _code_of(str(error)), str(error)
        except OSError as error:
            code = "DISK_FULL" if error.errno == errno.ENOSPC else "STORE_IO"
            reason = str(error)
        except RuntimeError as error:  # plyvel's, on a closed database
            code, reason = "STORE_IO", str(error)
        else:
            return
        raise LocalFault(code, f"store {self._path}: {reason}")


def _code_of(reason: str) -> str:
    if os.strerror(errno.ENOSPC) in reason:
        return "DISK_FULL"
    if "/LOCK: " in reason:
        return "STORE_LOCKED"
    return "STORE_CORRUPT" if "orrupt" in reason else "STORE_IO"
