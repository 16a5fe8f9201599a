"""Lies of a voter: two votes for one, votes without ground, round changes that hide or make up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from consensus.certificates import PreparedCertificate
from consensus.messages import UNSIGNED, Commit, Prepare, RoundChange, Vote
from consensus.primitives.crypto import sha256
from consensus.validators import bitmap
from tests.sim.liars import Liar, Lie

PREPARES: Final = frozenset({2})
COMMITS: Final = frozenset({3})
ROUND_CHANGES: Final = frozenset({4})
HIDDEN: Final = frozenset({5})


class Mute(Lie):
    """Connected, and says nothing at all in agreement."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return ()


class DoubleVoter(Lie):
    """Each PREPARE or COMMIT twice, the second for something else."""

    def __init__(self, kind: type[Vote]) -> None:
        super().__init__()
        self.kind = kind
        self.evidence = PREPARES if kind is Prepare else COMMITS

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        if isinstance(vote, Prepare | Commit) and type(vote) is self.kind:
            yield self.liar.signed(replace(vote, block_hash=sha256(vote.block_hash)))


class Agreeable(Lie):
    """Votes for whatever its listener voted for, both kinds at once."""

    def __init__(self) -> None:
        super().__init__()
        self._agreed: set[tuple[bytes, bytes]] = set()

    def heard(self, peer: bytes, vote: Vote) -> None:
        if not isinstance(vote, Prepare | Commit) or (peer, vote.signature) in self._agreed:
            return
        self._agreed.add((peer, vote.signature))
        own = self.liar.signed(vote)
        if own.signature != vote.signature and not self._is_liar(peer):
            self.liar.say(own, to=[peer])
            if isinstance(vote, Prepare):
                commit = Commit(vote.height, vote.round, vote.block_hash, self.liar.key, UNSIGNED)
                self.liar.say(self.liar.signed(commit), to=[peer])

    def _is_liar(self, peer: bytes) -> bool:
        """Two that agree with each other would go on for ever."""
        world = self.liar.world
        return any(world.machines[name].network_key == peer for name in world.liars)


class EagerCommitter(Lie):
    """COMMIT along with PREPARE, before any quorum."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        if isinstance(vote, Prepare):
            commit = Commit(vote.height, vote.round, vote.block_hash, self.liar.key, UNSIGNED)
            yield self.liar.signed(commit)


class WrongOutcome(Lie):
    """Executes otherwise than everybody else."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if isinstance(vote, Prepare | Commit):
            return (self.liar.signed(replace(vote, block_hash=sha256(vote.block_hash))),)
        return (vote,)


def _change(liar: Liar, vote: Commit, prepared: PreparedCertificate | None) -> RoundChange:
    return RoundChange(vote.height, vote.round + 1, prepared, None, None, liar.key, UNSIGNED)


class RoundChangeForger(Lie):
    """With each COMMIT a ROUND-CHANGE to the next round that has the flaw."""

    FLAWS: Final = (
        "of another height",
        "of too few",
        "one signer often",
        "of the round to come",
        "made up",
        "content another",
        "to round 0",
        "commit above prepared",
    )

    def __init__(self, flaw: str) -> None:
        super().__init__()
        assert flaw in self.FLAWS
        self.flaw = flaw
        self.faults = frozenset({"ROUND_CHANGE_INVALID", "CERTIFICATE_INVALID"})
        self._before: tuple[int, PreparedCertificate] | None = None
        self._now: tuple[int, PreparedCertificate] | None = None

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        state = self.liar.state
        if not isinstance(vote, Commit) or state is None or state.prepared is None:
            return
        if state.context.height != vote.height:
            return
        if self._now is not None and self._now[0] < vote.height:
            self._before = self._now
        self._now = vote.height, state.prepared
        forged = self._forge(vote, state.prepared)
        if forged is not None:
            yield self.liar.signed(forged)

    def _forge(self, vote: Commit, prepared: PreparedCertificate) -> RoundChange | None:
        liar, n = self.liar, len(self.liar.node.chain.validators)
        change = _change(liar, vote, prepared)
        if self.flaw == "of another height":
            return None if self._before is None else _change(liar, vote, self._before[1])
        if self.flaw == "of too few":
            index = liar.node.chain.validators.index_of[liar.key]
            own = Prepare(vote.height, 0, prepared.content_hash, sha256(b"lie"), liar.key, UNSIGNED)
            return _change(
                liar,
                vote,
                replace(
                    prepared,
                    block_hash=own.block_hash,
                    signers=bitmap([index], n),
                    signatures=(liar.signed(own).signature,),
                ),
            )
        if self.flaw == "one signer often":
            often = prepared.signatures[:1] * len(prepared.signatures)
            return replace(change, prepared=replace(prepared, signatures=often))
        if self.flaw == "of the round to come":
            return replace(change, prepared=replace(prepared, round=vote.round + 1))
        if self.flaw == "made up":
            return replace(change, prepared=replace(prepared, block_hash=sha256(b"lie")))
        if self.flaw == "content another":
            state = liar.state
            content = None if state is None else state.contents.get(prepared.content_hash)
            if content is None:
                return None
            return replace(change, content=replace(content, time_ms=content.time_ms + 1))
        if self.flaw == "to round 0":
            return replace(change, round=0)
        return replace(change, committed_round=prepared.round + 1, round=prepared.round + 2)


class CommitHider(Lie):
    """Right after each COMMIT a ROUND-CHANGE that names nothing prepared: what makes forks, could
    enough validators do it."""

    evidence = HIDDEN

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        if isinstance(vote, Commit):
            yield self.liar.signed(_change(self.liar, vote, None))


class DoubleRoundChanger(Lie):
    """Right after each COMMIT two ROUND-CHANGEs to the next round that tell different things."""

    evidence = ROUND_CHANGES

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        state = self.liar.state
        prepared = None if state is None else state.prepared
        if isinstance(vote, Commit) and prepared is not None and prepared.round == vote.round:
            change = _change(self.liar, vote, prepared)
            yield self.liar.signed(change)
            yield self.liar.signed(replace(change, committed_round=vote.round))


class Amnesiac(Lie):
    """Names nothing prepared in any ROUND-CHANGE."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if isinstance(vote, RoundChange):
            return (
                self.liar.signed(replace(vote, prepared=None, committed_round=None, content=None)),
            )
        return (vote,)
