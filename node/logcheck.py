"""Rule 9, for a vote log that is whole: whether it is this validator's memory, or an old backup's.

A disk can't tell that it was put back to an earlier day; the others can. So a validator that has
started votes when enough of them have said where the chain stands, it has caught up with them, and
they hold no vote of its own that its log lacks. If they do hold one, the log is no memory, and the
validator goes on as one that lost it. While it catches up, the seals in the blocks are compared
with the log too (``node.engine``).

Asked are as many as for a lost log, yet never more than a quorum needs besides this validator: so
the question stops no chain that could go on.
"""

from __future__ import annotations

from typing import Any, Final

import trio

from consensus.evidence import TAGS, statement_parts
from consensus.messages import KINDS, encode_vote
from consensus.primitives.codec import decode
from consensus.primitives.crypto import verify
from consensus.primitives.errors import CodecError, HansaError, PeerFault
from node import frames, log
from node.engine import Engine, Statement
from node.recovery import ANSWER_BYTES_MAX, TIMEOUT_MS, Recovery
from node.signer import Signer

ASK_AGAIN_MS: Final = 200

_log = log.get("logcheck")


def answer_own_votes(engine: Engine, chain_id: bytes, key: bytes) -> bytes:
    """The answer to OWN_VOTES: what each vote signs, and the signature that proves it."""
    votes = engine.votes_of(key)
    return frames.frame(
        frames.OWN_VOTES,
        [[encode_vote(vote)[0], vote.signing_bytes(chain_id), vote.signature] for vote in votes],
    )


class LogCheck(Recovery):
    """Asks the others about one signer's log until it may be trusted, or is known to lack votes."""

    def answers_needed(self) -> int:
        limits = self._chain.validators.thresholds(self._chain.params.fault_model)
        return min(super().answers_needed(), limits.quorum - 1)

    async def run(self, engine: Engine, signer: Signer) -> None:
        """Returns when it is known; the engine trusts the signer by then, or has forgotten it."""
        told = False
        while True:
            await self._ask_all(engine)
            counted = [peer for peer in self._roster.validators if peer in self.answers]
            if len(counted) >= self.answers_needed():
                break
            if not told:
                _log.info(
                    "comparing the vote log with the votes that others hold; not voting yet",
                    answers=len(counted),
                    needed=self.answers_needed(),
                )
                told = True
            await self._clock.sleep_ms(ASK_AGAIN_MS)
        engine.trust(signer)

    async def _ask_all(self, engine: Engine) -> None:
        async with trio.open_nursery() as nursery:
            for peer in self._roster.connected_validators(self._network):
                if peer not in self.answers and self._roster.validators[peer] != self._key:
                    nursery.start_soon(self._compare, peer, engine)

    async def _compare(self, peer: bytes, engine: Engine) -> None:
        """One peer's answer counts once this node has the blocks that the peer has."""
        height = await self._ask(peer)
        if height is None or height > self._chain.height + 1:
            return
        try:
            request = bytes([frames.OWN_VOTES]) + self._key
            raw = await self._network.request(
                peer, request, bytes_max=ANSWER_BYTES_MAX, timeout_ms=TIMEOUT_MS
            )
            votes = self._proven(raw)
        except PeerFault as error:
            self._network.accuse(peer, error)
        except HansaError as error:
            _log.info("not told", peer=self._roster.name(peer), reason=str(error))
        else:
            await engine.own_votes_shown(self._key, votes)
            self.answers[peer] = height

    def _proven(self, raw: bytes) -> tuple[Statement, ...]:
        """The votes of an answer. Raises PeerFault for anything that this validator did not sign
        on this chain."""
        votes = []
        try:
            shown: Any = decode(raw[1:], bytes_max=ANSWER_BYTES_MAX)
            for kind, statement, signature in shown:
                chain_id, height, round_, _ = statement_parts(statement)
                genuine = verify(self._key, TAGS[kind][0], statement, signature)
                if kind not in KINDS or chain_id != self._chain.chain_id or not genuine:
                    raise PeerFault("MESSAGE_MALFORMED", "a vote that this validator never cast")
                votes.append((kind, height, round_, statement))
        except (CodecError, ValueError, TypeError, KeyError) as error:
            raise PeerFault("MESSAGE_MALFORMED", f"answer to OWN_VOTES: {error}") from None
        return tuple(votes)
