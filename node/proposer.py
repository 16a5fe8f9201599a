"""Making a content: what waits in the mempool, on top of the tip, within the block's limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from consensus.block import EVIDENCE_MAX, Content
from consensus.certificates import Certificate
from consensus.evidence import Evidence
from consensus.messages import Commit
from node.chain import Chain
from node.mempool import Mempool
from node.ports import Clock


class Proposer:
    """Builds this validator's own contents."""

    def __init__(self, chain: Chain, mempool: Mempool, clock: Clock, key: bytes) -> None:
        self._chain = chain
        self._mempool = mempool
        self._clock = clock
        self._key = key

    def build(
        self,
        txs_max: int,
        evidence: list[Evidence],
        round_: int = 0,
        seals: Sequence[Commit] = (),
    ) -> Content:
        """A content for the height after the tip; empty when nothing waits or ``txs_max`` is 0.
        ``seals``: COMMITs of the tip that its certificate may lack."""
        chain, params = self._chain, self._chain.params
        time_ms = max(self._clock.wall_ms(), chain.header.time_ms + 1)
        reap = partial(
            self._mempool.reap,
            time_ms=time_ms,
            window_ms=params.tx_window_ms,
            txs_max=txs_max,
            bytes_max=params.block_bytes_max,
            steps_max=params.block_steps_max,
        )
        # Suspects may fail a height's first round, but not hold up the rest for longer.
        taken = reap(suspects=round_ == 0) or reap()
        return Content(
            chain.height + 1,
            chain.hash,
            time_ms,
            self._key,
            tuple(entry.wire_id for entry in taken),
            tuple(evidence[:EVIDENCE_MAX]),
            self._certificate(seals),
        )

    def _certificate(self, seals: Sequence[Commit]) -> Certificate | None:
        """The tip's, with every seal heard by now: who stands in none is out of turn."""
        found = self._chain.certificate
        if found is None:
            return None
        further = {one.sender: one.signature for one in seals if one.round == found.round}
        return found.joined(further, self._chain.chain_id, self._chain.parent_validators)
