"""Which transactions are in the chain already: asked for each one that comes, by its tx id.

The store knows exactly; a Bloom filter in memory spares asking it for nearly all that are new. A
million ids take two megabytes, where a table of them would take two hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

IDS_MAX: Final = 1 << 20
"""Of one filter: one in 400 new ids then looks like a known one."""
_BITS: Final = 1 << 24  # a tx id is a hash: three bytes of it name one of so many


class _Filter:
    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        self.ids = 0
        self.valid_until = 0

    def add(self, tx_id: bytes, valid_until: int) -> None:
        bits = self._bits
        for at in (0, 3, 6, 9):
            bit = int.from_bytes(tx_id[at : at + 3], "big")
            bits[bit >> 3] |= 1 << (bit & 7)
        self.ids += 1
        self.valid_until = max(self.valid_until, valid_until)

    def may_have(self, tx_id: bytes) -> bool:
        bits = self._bits
        for at in (0, 3, 6, 9):
            bit = int.from_bytes(tx_id[at : at + 3], "big")
            if not bits[bit >> 3] >> (bit & 7) & 1:
                return False
        return True


class Replays:
    """``stored`` tells whether the store has a transaction; what it held before ``since_ms`` (the
    block time up to which such a transaction may still be valid) is in no filter."""

    def __init__(self, stored: Callable[[bytes], bool], since_ms: int) -> None:
        self._stored = stored
        self._since_ms = since_ms
        self._now_ms = 0
        self._filters = [_Filter()]

    def has(self, tx_id: bytes) -> bool:
        """Whether a transaction that may still be valid is in the chain. Raises LocalFault."""
        known = self._now_ms <= self._since_ms or any(one.may_have(tx_id) for one in self._filters)
        return known and self._stored(tx_id)

    def add(self, committed: Iterable[tuple[bytes, int]], block_time_ms: int) -> None:
        """A block's tx ids, each with its ``valid_until``; the store has them."""
        self._now_ms = block_time_ms
        for tx_id, valid_until in committed:
            if self._filters[-1].ids >= IDS_MAX:
                self._filters.append(_Filter())
            self._filters[-1].add(tx_id, valid_until)
        while len(self._filters) > 1 and self._filters[0].valid_until < block_time_ms:
            del self._filters[0]
