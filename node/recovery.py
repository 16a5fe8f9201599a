"""Rule 9: a validator without its vote log asks what it may have signed, before it votes again.

It asks n - q + max(t, 1) others for the highest height M in which they may have seen it vote, each
with the certificate of M - 1, so that a liar can't name a height far away. Every quorum that could
have counted one of its votes shares an honest validator with those asked. It then votes from M + 2.
"""

from __future__ import annotations

from typing import Final

from consensus.certificates import Certificate
from consensus.primitives.codec import decode
from consensus.primitives.errors import CodecError, HansaError, PeerFault
from node import frames, log
from node.chain import Chain
from node.engine import Engine
from node.ports import Clock
from node.roster import Roster
from p2p.ports import Network

ASK_AGAIN_MS: Final = 1000
TIMEOUT_MS: Final = 2000
ANSWER_BYTES_MAX: Final = 64 << 10

_log = log.get("recovery")


def answer_seen(chain: Chain, engine: Engine, key: bytes) -> bytes:
    """The answer to SEEN: the height being decided is the highest in which this node can have
    counted a vote. Raises HansaError NOT_READY while a vote above it is waiting."""
    if engine.votes_ahead(key):
        raise HansaError("NOT_READY", "a vote of a later height is waiting; ask again")
    certificate = chain.certificate
    shown = None if certificate is None else certificate.to_plain()
    return frames.frame(frames.SEEN, [chain.height + 1, shown])


class Recovery:
    """Finds the height from which a validator without memory may vote."""

    def __init__(
        self, chain: Chain, network: Network, roster: Roster, clock: Clock, key: bytes
    ) -> None:
        self._chain = chain
        self._network = network
        self._roster = roster
        self._clock = clock
        self._key = key
        self.answers: dict[bytes, int] = {}
        """Network key -> the height that its node told."""

    def answers_needed(self) -> int:
        limits = self._chain.validators.thresholds(self._chain.params.fault_model)
        return limits.n - limits.quorum + max(limits.tolerated_liars, 1)

    async def highest_seen(self) -> int:
        """M, once enough others have answered; asks until then. Who and how many is judged by the
        validators of now: while it catches up, they may change."""
        answers = self.answers
        while True:
            for peer in self._roster.connected_validators(self._network):
                if self._roster.validators[peer] == self._key or peer in answers:
                    continue
                height = await self._ask(peer)
                if height is not None:
                    answers[peer] = height
                    _log.info("told of own votes", peer=self._roster.name(peer), height=height)
            needed = self.answers_needed()
            counted = [answers[peer] for peer in self._roster.validators if peer in answers]
            if len(counted) >= needed:
                return max(counted)
            _log.warning(
                "no vote log: waiting for others to tell what this validator signed",
                answers=len(counted),
                needed=needed,
            )
            await self._clock.sleep_ms(ASK_AGAIN_MS)

    async def _ask(self, peer: bytes) -> int | None:
        try:
            raw = await self._network.request(
                peer,
                bytes([frames.SEEN]) + self._key,
                bytes_max=ANSWER_BYTES_MAX,
                timeout_ms=TIMEOUT_MS,
            )
            return self._checked(raw)
        except PeerFault as error:
            self._network.accuse(peer, error)
        except HansaError as error:
            _log.info("not told", peer=self._roster.name(peer), reason=str(error))
        return None

    def _checked(self, raw: bytes) -> int:
        """The height of an answer. Raises PeerFault, and HansaError NOT_READY for one that this
        node can judge only when it has caught up."""
        try:
            height, shown = decode(raw[1:], bytes_max=ANSWER_BYTES_MAX)
            if type(height) is not int:
                raise TypeError("a height that is no number")
            if height == 1 and shown is None:
                return 1
            certificate = Certificate.from_plain(shown)
        except (CodecError, ValueError, TypeError) as error:
            raise PeerFault("MESSAGE_MALFORMED", f"answer to SEEN: {error}") from None
        if certificate.height != height - 1:
            raise PeerFault("CERTIFICATE_INVALID", "not the certificate of the height before")
        self._check_final(certificate)
        return height

    def _check_final(self, certificate: Certificate) -> None:
        """By the validators of its own height: the chain's own block, or the next one."""
        chain = self._chain
        if certificate.height > chain.height + 1:
            raise HansaError("NOT_READY", "an answer beyond the blocks that this node has")
        if certificate.height <= chain.height:
            block = chain.blocks.block(certificate.height)
            if block is None or block.hash != certificate.block_hash:
                raise PeerFault("CERTIFICATE_INVALID", "a certificate of no block of this chain")
            return
        quorum = chain.validators.thresholds(chain.params.fault_model).quorum
        certificate.check(chain.chain_id, chain.validators, quorum)
