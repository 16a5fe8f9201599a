"""A note of the newest block beside LevelDB's files, so that a commit that the disk lost is missed.

LevelDB takes a log that ends in the middle of a record for one that a crash cut off, and goes on
without it: right for what was not synced, but a truncated or deleted log looks just the same. The
file ``tip.mark`` holds the newest tip, written after each synced batch and itself not synced, so
that it costs a few microseconds and is never ahead of what LevelDB was told to keep. Where it is
ahead of the store that is opened, the disk has lost something that it had reported durable.

A lost, torn or damaged mark says nothing. A store and a mark of the same earlier day agree: that
only a validator's vote log, and the other nodes, can tell.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from consensus.primitives.codec import decode
from consensus.primitives.errors import CodecError, LocalFault
from node.files import io_fault
from node.store import schema
from node.store.kv import WRITE_BUFFER_BYTES, LevelKV, View

FILE_NAME: Final = "tip.mark"
_CHECKSUM_BYTES: Final = 4
_BYTES_MAX: Final = 1 << 16


def marked_tip(folder: Path) -> tuple[int, bytes] | None:
    """(height, block hash) of the mark, None where there is none that can be read."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            raw = file.read(_BYTES_MAX)
    except OSError:
        return None
    size = int.from_bytes(raw[:_CHECKSUM_BYTES], "big")
    body = raw[2 * _CHECKSUM_BYTES : 2 * _CHECKSUM_BYTES + size]
    checksum = int.from_bytes(raw[_CHECKSUM_BYTES : 2 * _CHECKSUM_BYTES], "big")
    if len(body) != size or not size or zlib.crc32(body) != checksum:
        return None
    return _height_and_hash(body)


def _height_and_hash(tip: bytes) -> tuple[int, bytes] | None:
    try:
        height, hash_, _ = decode(tip, bytes_max=_BYTES_MAX)
    except (CodecError, ValueError, TypeError):
        return None
    return (height, hash_) if type(height) is int and type(hash_) is bytes else None


class MarkedKV:
    """A node's own LevelDB with the mark beside it. Raises what LevelKV does, and LocalFault
    STORE_BEHIND where the store ends before the mark."""

    def __init__(
        self,
        path: Path,
        *,
        accept_loss: bool = False,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
    ) -> None:
        """``accept_loss``: the operator knows; the mark is set back to what is there."""
        self._path = path / FILE_NAME
        self._kv = LevelKV(path, write_buffer_bytes=write_buffer_bytes)
        self._handle = -1
        self.lost: tuple[int, int] | None = None
        """(height of the store, height of the mark), where the loss was accepted."""
        try:
            self._compare(path, accept_loss)
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            self._note()
        except OSError as error:
            self.close()
            raise io_fault("STORE_IO", self._path, error) from None
        except LocalFault:
            self.close()
            raise

    def _compare(self, path: Path, accept_loss: bool) -> None:
        marked = marked_tip(path)
        if marked is None:
            return
        raw = self._kv.get(schema.TIP)
        found = None if raw is None else _height_and_hash(raw)
        height = -1 if found is None else found[0]
        if marked[0] > height:
            if not accept_loss:
                raise LocalFault(
                    "STORE_BEHIND",
                    f"store {path} ends with block {height}, but block {marked[0]} was durable here"
                    " before: its disk lost what it had reported written, or files were changed;"
                    " `hansa db repair` checks what is left and goes on from it",
                )
            self.lost = height, marked[0]
        elif found is not None and marked[0] == height and marked[1] != found[1]:
            raise LocalFault("STORE_CORRUPT", f"store {path}: block {height} is not the one noted")

    def _note(self) -> None:
        raw = self._kv.get(schema.TIP)
        if raw is not None:
            head = len(raw).to_bytes(4, "big") + zlib.crc32(raw).to_bytes(4, "big")
            os.pwrite(self._handle, head + raw, 0)

    @property
    def level(self) -> LevelKV:
        return self._kv

    def get(self, key: bytes) -> bytes | None:
        return self._kv.get(key)

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self._kv.write(operations, sync=sync)
        if sync:
            try:
                self._note()
            except OSError as error:
                raise io_fault("STORE_IO", self._path, error) from None

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._kv.scan(start, stop, reverse=reverse)

    def snapshot(self) -> View:
        return self._kv.snapshot()

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._kv.close()
