"""A key-value store in memory, with the failings of a disk: for tests and virtual worlds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from node.store.kv import View


class MemoryKV:
    """Behaves like LevelKV, and :meth:`crash` loses what was not synced.

    It stands for the disk and not for the process: after :meth:`close` or :meth:`crash` the same
    object is what the restarted node opens.
    """

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._order: list[bytes] = []  # sorted keys, brought up to date by scans
        self._added: list[bytes] = []
        self._removed = False
        self._undo: list[dict[bytes, bytes | None]] = []  # one per batch since the last sync
        self._scans = 0
        self._shared = False  # whether a snapshot has the same data

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        undo = self._put(operations)
        if sync:
            self._undo.clear()
        else:
            self._undo.append(undo)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        order, data = self._sorted(), self._data
        numbers = range(bisect_left(order, start), bisect_left(order, stop))
        self._scans += 1
        try:
            for number in reversed(numbers) if reverse else numbers:
                yield order[number], data[order[number]]
        finally:
            self._scans -= 1

    def snapshot(self) -> View:
        self._shared = True
        return _MemoryView(self._data)

    def close(self) -> None:
        """What was written stays, synced or not, as after a clean end of a process."""

    def crash(self, *, batches_kept: int = 0) -> None:
        """The power fails: of the batches since the last synced one, only the first few stay."""
        while len(self._undo) > batches_kept:
            self._put(self._undo.pop().items())
        self._undo.clear()

    def _put(self, operations: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes | None]:
        """Apply a batch and return the one that takes it back."""
        if self._scans or self._shared:  # a running scan goes on over what it began with
            self._data = self._data.copy()
            self._shared = False
        data = self._data
        undo: dict[bytes, bytes | None] = {}
        for key, value in operations:
            before = data.get(key)
            undo.setdefault(key, before)
            if value is not None:
                data[key] = value
                if before is None:
                    self._added.append(key)
            elif before is not None:
                del data[key]
                self._removed = True
        return undo

    def _sorted(self) -> list[bytes]:
        if self._removed:
            self._order = sorted(self._data)
        elif self._added:
            self._order = sorted(self._order + self._added)
        self._added.clear()
        self._removed = False
        return self._order


class _MemoryView:
    def __init__(self, data: Mapping[bytes, bytes]) -> None:
        self._data = data
        self._order: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._order is None:
            self._order = sorted(self._data)
        order = self._order
        numbers = range(bisect_left(order, start), bisect_left(order, stop))
        for number in reversed(numbers) if reverse else numbers:
            yield order[number], self._data[order[number]]

    def close(self) -> None:
        """Nothing is held but memory."""
