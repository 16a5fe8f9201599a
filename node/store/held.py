"""Batches that wait for the next one, and are read as if they were written."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from node.store.kv import KV, View


class HeldKV:
    """A store whose :meth:`hold` keeps a batch in memory until :meth:`write` takes it along.

    Held and written batches reach the disk as one: a crash leaves all of them or none. (Writing
    them unsynced instead would not do: LevelDB may lose an unsynced batch and keep a later, synced
    one, where it changed its log file between them.)
    """

    def __init__(self, kv: KV) -> None:
        self._kv = kv
        self._held: dict[bytes, bytes | None] = {}
        self._order: list[bytes] | None = []
        """The held keys in order; None when they have to be put in order again."""

    def hold(self, operations: Iterable[tuple[bytes, bytes | None]]) -> None:
        """The caller bounds what is held."""
        self._held.update(operations)
        self._order = None

    def get(self, key: bytes) -> bytes | None:
        held = self._held
        return held[key] if key in held else self._kv.get(key)

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self._kv.write([*self._held.items(), *operations], sync=sync)
        self._held, self._order = {}, []  # only now: others may read meanwhile

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._order is None:
            self._order = sorted(self._held)
        order = self._order
        here = order[bisect_left(order, start) : bisect_left(order, stop)]
        held = {key: self._held[key] for key in here}
        stored = self._kv.scan(start, stop, reverse=reverse)
        return _joined(stored, held, reverse) if held else stored

    def snapshot(self) -> View:
        """Of what is written. Not to be asked for while a batch is held."""
        assert not self._held
        return self._kv.snapshot()

    def close(self) -> None:
        self._kv.close()


def _joined(
    stored: Iterator[tuple[bytes, bytes]], held: dict[bytes, bytes | None], reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    found = dict(stored) | held
    for key in sorted(found, reverse=reverse):
        value = found[key]
        if value is not None:
            yield key, value
