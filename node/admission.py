"""The door to the mempool: the same checks for the API's and the peers' transactions.

Cheap checks come first, signatures last, in batches beside the event loop.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from consensus.primitives.crypto import TAG_TRANSACTION, sha256
from consensus.primitives.errors import PeerFault, TxRejected
from consensus.transaction import Transaction
from node.chain import Chain
from node.mempool import RETRY_AFTER_MS, Mempool, Pooled
from node.ports import Clock, Verifier

ENDED_KEPT: Final = 50_000
RETRIES_PER_S: Final = 1_000
RETRY_LATEST_MS: Final = 60_000
PENDING: Final = "ALREADY_PENDING"
COMMITTED: Final = "ALREADY_COMMITTED"
ACCEPTED: Final = "ACCEPTED"

_HOSTILE: Final = ("TX_MALFORMED", "TX_NOT_CANONICAL", "TX_TOO_LARGE", "TX_VERSION", "TX_SIGNATURE")
"""No honest node passes these on: each has checked them itself."""


@dataclass(frozen=True)
class Admitted:
    """The answer for one transaction: ``entry`` is set if it newly entered the mempool."""

    tx_id: bytes | None
    code: str
    message: str = ""
    retry_after_ms: int | None = None
    entry: Pooled | None = None

    @property
    def accepted(self) -> bool:
        """It waits for a block or is in one: nothing more need be sent."""
        return self.code in (ACCEPTED, PENDING, COMMITTED)


class Ended:
    """How lately expired and refused transactions ended, so that their senders can be told."""

    def __init__(self) -> None:
        self._codes: OrderedDict[bytes, tuple[str, str]] = OrderedDict()

    def add(self, tx_id: bytes, code: str, message: str) -> None:
        self._codes[tx_id] = (code, message)
        while len(self._codes) > ENDED_KEPT:
            self._codes.popitem(last=False)

    def get(self, tx_id: bytes) -> tuple[str, str] | None:
        return self._codes.get(tx_id)

    def discard(self, tx_id: bytes) -> None:
        self._codes.pop(tx_id, None)


class Appointments:
    """When those whom a full mempool refused may try again: so many a second, one after another.
    Were all told the same time, their coming back would be the next rush, and grow each time."""

    def __init__(self) -> None:
        self._next_ms = 0.0

    def after_ms(self, now_ms: int) -> int:
        """The next one, from now."""
        self._next_ms = max(self._next_ms + 1000 / RETRIES_PER_S, now_ms + RETRY_AFTER_MS)
        self._next_ms = min(self._next_ms, now_ms + RETRY_LATEST_MS)
        return round(self._next_ms - now_ms)


class Admission:
    """Admits to one mempool, judging by one chain."""

    def __init__(self, chain: Chain, mempool: Mempool, clock: Clock, verifier: Verifier) -> None:
        self._chain = chain
        self._mempool = mempool
        self._clock = clock
        self._verifier = verifier
        self._appointments = Appointments()
        self.ended = Ended()

    async def admit(self, raws: list[bytes], *, own: bool) -> list[Admitted]:
        """One answer per transaction, in order. ``own``: submitted here, not heard from a peer."""
        answers: list[Admitted | None] = [None] * len(raws)
        checked: list[tuple[int, Transaction]] = []
        hurried = own and self._mempool.hurried(self._clock.mono_ms())
        for position, raw in enumerate(raws):
            tx: Transaction | None = None
            waiting = self._mempool.get(sha256(raw))
            if waiting is not None:
                answers[position] = self._duplicate(waiting.tx)
                continue
            try:
                if hurried:  # before anything that takes time
                    raise self._mempool.full()
                tx = Transaction.parse(raw)
                if (duplicate := self._duplicate(tx)) is not None:
                    answers[position] = duplicate
                    continue
                self._chain.check_transaction(tx, self._block_time_ms(tx))
                self._mempool.check_room(len(raw))
                checked.append((position, tx))
            except TxRejected as error:
                answers[position] = self._refused(tx, error, own)
        good = await self._verifier.verify(
            [(tx.body.sender, TAG_TRANSACTION, tx.body_raw, tx.signature) for _, tx in checked]
        )
        for (position, tx), valid in zip(checked, good, strict=True):
            answers[position] = self._enter(tx, valid, own)
        return [answer for answer in answers if answer is not None]

    def _block_time_ms(self, tx: Transaction) -> int:
        """The time by which a new transaction is judged: the next block's, as far as known.

        A sender's clock may be ahead of the chain's by as much as blocks may be.
        """
        now = max(self._clock.wall_ms(), self._chain.header.time_ms + 1)
        window, drift = self._chain.params.tx_window_ms, self._chain.params.clock_drift_ms
        if now + window < tx.body.valid_until <= now + window + drift:
            return tx.body.valid_until - window
        return now

    def _duplicate(self, tx: Transaction) -> Admitted | None:
        if self._mempool.by_tx_id(tx.tx_id) is not None:
            return Admitted(tx.tx_id, PENDING, "the transaction waits for a block already")
        if self._chain.committed(tx.tx_id):
            return Admitted(tx.tx_id, COMMITTED, "the transaction is in a block already")
        return None

    def _enter(self, tx: Transaction, signature_valid: bool, own: bool) -> Admitted:
        try:
            if not signature_valid:
                raise TxRejected("TX_SIGNATURE", "the transaction is not signed by its sender")
            # Meanwhile another batch may have brought it, or a block.
            if (duplicate := self._duplicate(tx)) is not None:
                return duplicate
            entry = Pooled(tx, self._clock.mono_ms(), own)
            self._mempool.add(entry)
        except TxRejected as error:
            return self._refused(tx, error, own)
        self.ended.discard(tx.tx_id)
        return Admitted(tx.tx_id, ACCEPTED, entry=entry)

    def _refused(self, tx: Transaction | None, error: TxRejected, own: bool) -> Admitted:
        if not own and error.code in _HOSTILE:
            raise PeerFault("TX_INVALID", f"it passed on a transaction: {error}")
        tx_id = None
        if tx is not None:
            tx_id = tx.tx_id
            if own and error.code not in ("MEMPOOL_FULL", "TX_SIGNATURE"):
                self.ended.add(tx_id, error.code, error.message)
        retry_ms = error.retry_after_ms
        if own and retry_ms is not None:
            retry_ms = self._appointments.after_ms(self._clock.mono_ms())
        return Admitted(tx_id, error.code, error.message, retry_ms)
