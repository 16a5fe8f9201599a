"""Admitted transactions that wait for a block, bounded in number and bytes.

Order is admission order. Local policy also lives here, because it never touches agreement: contents
that split the vote (rule 8) make their transactions *suspects*, which are proposed in ever smaller
groups, until the one that alone splits the vote is held out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from consensus.primitives.errors import TxRejected
from consensus.transaction import Transaction

RETRY_AFTER_MS: Final = 500
HURRIED_TXS: Final = 4_000
HURRIED_MS: Final = 2_000
EXPIRY_SPARE: Final = 10_000


@dataclass
class Pooled:
    """A transaction whose form and signature have been checked."""

    tx: Transaction
    arrived_ms: int
    """When (mono) it was admitted."""
    own: bool
    """Submitted to this node, not heard from a peer."""
    group_max: int | None = None
    """For a suspect: propose it together with at most so many in all; 0: held out. Suspects are
    proposed in a height's first round, and where nothing else waits."""
    wire_id: bytes = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.wire_id = self.tx.wire_id
        self.size = len(self.tx.raw)


class Mempool:
    """At most ``txs_max`` transactions of together ``bytes_max`` bytes."""

    def __init__(self, txs_max: int = 50_000, bytes_max: int = 64 << 20) -> None:
        self._txs_max = txs_max
        self._bytes_max = bytes_max
        self._pool: dict[bytes, Pooled] = {}
        self._wire_ids: dict[bytes, bytes] = {}
        self._expiry: list[tuple[int, bytes]] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._pool)

    def get(self, wire_id: bytes) -> Pooled | None:
        return self._pool.get(wire_id)

    def by_tx_id(self, tx_id: bytes) -> Pooled | None:
        wire_id = self._wire_ids.get(tx_id)
        return None if wire_id is None else self._pool[wire_id]

    def newest_first(self) -> Iterator[Pooled]:
        """All, by arrival. Not to be kept while the pool changes."""
        return reversed(self._pool.values())

    @property
    def has_room(self) -> bool:
        """Whether another small transaction fits in."""
        return len(self._pool) < self._txs_max and self.bytes < self._bytes_max

    def hurried(self, now_ms: int) -> bool:
        """Whether more comes than blocks take: many wait, the oldest for long. New ones would only
        make all wait longer."""
        if len(self._pool) <= HURRIED_TXS:
            return False
        since = self.waits_since()
        return since is not None and now_ms - since > HURRIED_MS

    def waits_since(self) -> int | None:
        """The (mono) arrival of the oldest transaction that may be proposed."""
        for entry in self._pool.values():
            if entry.group_max != 0:
                return entry.arrived_ms
        return None

    def check_room(self, size: int) -> None:
        """Raises TxRejected MEMPOOL_FULL, with the time after which to try again."""
        if len(self._pool) >= self._txs_max or self.bytes + size > self._bytes_max:
            raise self.full()

    def full(self) -> TxRejected:
        """The refusal MEMPOOL_FULL."""
        return TxRejected(
            "MEMPOOL_FULL",
            f"{len(self._pool)} transactions ({self.bytes} bytes) are waiting",
            RETRY_AFTER_MS,
        )

    def add(self, entry: Pooled) -> None:
        """Raises TxRejected MEMPOOL_FULL. The tx id must not be here."""
        self.check_room(entry.size)
        assert entry.tx.tx_id not in self._wire_ids
        self._pool[entry.wire_id] = entry
        self._wire_ids[entry.tx.tx_id] = entry.wire_id
        heapq.heappush(self._expiry, (entry.tx.body.valid_until, entry.wire_id))
        self.bytes += entry.size

    def _remove(self, entry: Pooled) -> None:
        del self._pool[entry.wire_id]
        del self._wire_ids[entry.tx.tx_id]
        self.bytes -= entry.size
        if len(self._expiry) > EXPIRY_SPARE + 2 * len(self._pool):
            # Committed ones would stay until their time is over: millions, at full speed.
            waiting = self._pool.values()
            self._expiry = [(one.tx.body.valid_until, one.wire_id) for one in waiting]
            heapq.heapify(self._expiry)

    def remove_committed(self, tx_ids: list[bytes]) -> None:
        """By tx id: another signature of a committed body can't be committed any more either."""
        for tx_id in tx_ids:
            entry = self.by_tx_id(tx_id)
            if entry is not None:
                self._remove(entry)

    def remove_expired(self, block_time_ms: int) -> list[Pooled]:
        """Take out what no later block can hold."""
        expired = []
        while self._expiry and self._expiry[0][0] <= block_time_ms:
            entry = self._pool.get(heapq.heappop(self._expiry)[1])
            if entry is not None:
                self._remove(entry)
                expired.append(entry)
        return expired

    def remove_unfit(self, bytes_max: int, steps_max: int) -> list[Pooled]:
        """Take out what lowered limits keep out of every later block."""
        unfit = [
            entry
            for entry in self._pool.values()
            if entry.size > bytes_max or entry.tx.body.steps_max > steps_max
        ]
        for entry in unfit:
            self._remove(entry)
        return unfit

    def reap(
        self,
        *,
        time_ms: int,
        window_ms: int,
        txs_max: int,
        bytes_max: int,
        steps_max: int,
        suspects: bool = True,
    ) -> list[Pooled]:
        """Transactions for a block of this time, in admission order, within the limits. Without
        ``suspects`` only those that nothing is known against."""
        taken: list[Pooled] = []
        size = steps = 0
        group_max = txs_max
        for entry in self._pool.values():
            body = entry.tx.body
            if not time_ms <= body.valid_until <= time_ms + window_ms or entry.group_max == 0:
                continue
            if entry.group_max is not None and not suspects:
                continue
            allowed = group_max if entry.group_max is None else min(group_max, entry.group_max)
            if len(taken) >= allowed:
                if entry.group_max is None:
                    break
                continue
            if size + entry.size > bytes_max or steps + body.steps_max > steps_max:
                break
            taken.append(entry)
            group_max = allowed
            size += entry.size
            steps += body.steps_max
        return taken

    def hold_out(self, wire_ids: Iterable[bytes]) -> list[Pooled]:
        """Never propose these; returns those that were not held out before."""
        entries = [entry for one in wire_ids if (entry := self._pool.get(one)) is not None]
        fresh = [entry for entry in entries if entry.group_max != 0]
        for entry in fresh:
            entry.group_max = 0
        return fresh

    def doubt(self, wire_ids: Iterable[bytes]) -> None:
        """Suspects, though not to be divided: a round that must succeed leaves them out."""
        for wire_id in wire_ids:
            entry = self._pool.get(wire_id)
            if entry is not None and entry.group_max is None:
                entry.group_max = self._txs_max

    def release(self, wire_ids: Iterable[bytes]) -> list[Pooled]:
        """Suspects no more; returns those that were held out."""
        entries = [entry for one in wire_ids if (entry := self._pool.get(one)) is not None]
        held = [entry for entry in entries if entry.group_max == 0]
        for entry in entries:
            entry.group_max = None
        return held

    def suspect(self, wire_ids: tuple[bytes, ...]) -> list[Pooled]:
        """A content of these split the vote: propose them in groups a quarter as large, or, a
        single one, not at all. Returns what is held out by this."""
        group_max = 0 if len(wire_ids) == 1 else max(1, len(wire_ids) // 4)
        held_out = []
        for wire_id in wire_ids:
            entry = self._pool.get(wire_id)
            if entry is not None:
                entry.group_max = group_max
                if group_max == 0:
                    held_out.append(entry)
        return held_out
