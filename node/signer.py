"""The only holder of the consensus key: it signs a vote after the vote log took it.

"After" in effect: the signature is computed first, because it is part of the record, but leaves
this object only when the record is on disk.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Vote
from consensus.outcomes import Outcomes
from consensus.primitives.crypto import public_key, sign
from node.ports import Blocking
from node.wal import VoteLog


class Signer:
    """Signs votes for one validator key on one chain."""

    def __init__(self, seed: bytes, chain_id: bytes, log: VoteLog, blocking: Blocking) -> None:
        self.key = public_key(seed)
        self.log = log
        self._seed = seed
        self._chain_id = chain_id
        self._blocking = blocking
        self.trusted = True
        """Whether the log is known to be what this validator signed last. One found on the disk
        may be an old backup: it is trusted when the others hold no vote that it lacks."""

    def attest(self, outcomes: Outcomes) -> Outcomes:
        """A list of outcomes in this validator's name. It is no vote, so no log takes it."""
        return replace(outcomes, sender=self.key).signed(self._seed, self._chain_id)

    async def sign(
        self,
        vote: Vote,
        content: Content | None,
        bodies: tuple[bytes, ...],
        prepared: PreparedCertificate | None,
    ) -> Vote:
        """The vote with its signature, durable. Raises LocalFault and then nothing was signed."""
        self.log.check(vote)
        signature = sign(self._seed, vote.tag, vote.signing_bytes(self._chain_id))
        signed = vote.with_signature(signature)
        await self._blocking.run(lambda: self.log.append(signed, content, bodies, prepared))
        return signed
