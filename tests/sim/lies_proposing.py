"""Lies of a proposer: contents that differ, come late or never, or break a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from consensus.block import Content
from consensus.certificates import Certificate
from consensus.evidence import Evidence
from consensus.messages import UNSIGNED, Commit, Prepare, Proposal, RoundChange, Vote
from consensus.primitives.crypto import sha256
from consensus.transaction import Transaction
from consensus.validators import bitmap
from node import frames
from tests.sim.liars import Liar, Lie, later
from tests.sim.lies_flooding import resigned, secret_transaction
from tests.sim.world import seed_of

PROPOSALS: Final = frozenset({1})


class EquivocatingProposer(Lie):
    """Two contents in one round, one for each half, and every vote that helps either. ``open``:
    both for everybody."""

    def __init__(self, *, open: bool = False) -> None:
        super().__init__()
        self.open = open
        self.evidence = PROPOSALS if open else frozenset()
        self._others: dict[bytes, Content] = {}

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if not isinstance(vote, Proposal) or vote.content.proposer != self.liar.key:
            return (vote,)
        content = replace(vote.content, time_ms=vote.content.time_ms + 1)
        self._others = {content.digest: content}
        other = self.liar.signed(replace(vote, content=content))
        if self.open:
            return (vote, other)
        return (other if self.liar.second_half(peer) else vote,)

    def heard(self, peer: bytes, vote: Vote) -> None:
        if isinstance(vote, Prepare) and vote.content_hash in self._others:
            prepare = self.liar.signed(vote)
            commit = Commit(vote.height, vote.round, vote.block_hash, self.liar.key, UNSIGNED)
            second = [one for one in self.liar.peers if self.liar.second_half(one)]
            self.liar.say(prepare, self.liar.signed(commit), to=second)


class SilentProposer(Lie):
    """Votes, but never proposes."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        return () if isinstance(vote, Proposal) else (vote,)


class SlowProposer(Lie):
    """Proposes just before the others' timer ends."""

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if not isinstance(vote, Proposal):
            return (vote,)
        params = self.liar.node.chain.params
        timeout = min(params.round_timeout_ms << vote.round, params.round_timeout_max_ms)
        later(self.liar.world, timeout * 0.93 / 1000, self.liar, vote, to=[peer])
        return ()


Flaw = Callable[[Liar, Proposal], Proposal]


def _content(**changes: Callable[[Liar, Content], Any]) -> Flaw:
    def flaw(liar: Liar, vote: Proposal) -> Proposal:
        new = {name: make(liar, vote.content) for name, make in changes.items()}
        return replace(vote, content=replace(vote.content, **new))

    return flaw


def _weak(liar: Liar, content: Content) -> Certificate | None:
    """The last certificate with one seal, too few for a quorum."""
    known = content.last_certificate
    if known is None:
        return None
    first = next(index for index in range(64) if known.signers[index // 8] >> index % 8 & 1)
    n = len(liar.node.chain.parent_validators)
    return replace(known, signers=bitmap([first], n), seals=known.seals[:1])


def _twice(liar: Liar, content: Content) -> Certificate | None:
    """One seal under several names."""
    known = content.last_certificate
    return None if known is None else replace(known, seals=known.seals[:1] * len(known.seals))


def _older(liar: Liar, content: Content) -> Certificate | None:
    before = content.height - 2
    return liar.node.chain.blocks.certificate(before) if before > 0 else None


def _framed(liar: Liar, content: Content) -> tuple[Evidence, ...]:
    """Evidence against an honest validator that did not sign it."""
    victim = next(key for key in liar.node.chain.validators.index_of if key != liar.key)
    one, other = sorted(
        Prepare(content.height, 0, sha256(mark), sha256(b""), victim, UNSIGNED).signing_bytes(
            liar.chain_id
        )
        for mark in (b"one", b"other")
    )
    return (Evidence(2, victim, one, bytes(64), other, bytes(64)),)


def _justified(liar: Liar, vote: Proposal) -> Proposal:
    change = RoundChange(vote.height, vote.round, None, None, None, liar.key, UNSIGNED)
    return replace(vote, justification=(liar.signed(change),))


def _with(*make: Callable[[Liar], Transaction]) -> Flaw:
    """A transaction that breaks a rule, body attached."""

    def flaw(liar: Liar, vote: Proposal) -> Proposal:
        txs = [one(liar) for one in make]
        content = replace(
            vote.content, wire_ids=(*vote.content.wire_ids, *(tx.wire_id for tx in txs))
        )
        return replace(vote, content=content, bodies=(*vote.bodies, *(tx.raw for tx in txs)))

    return flaw


def _forged(liar: Liar) -> Transaction:
    return replace(secret_transaction(liar), signature=bytes(64))


def _committed(liar: Liar) -> Transaction:
    blocks = liar.node.chain.blocks
    for height in range(liar.node.chain.height, 0, -1):
        block = blocks.block(height)
        if block is not None and block.bodies:
            return Transaction.parse(block.bodies[0])
    return secret_transaction(liar, valid_for_ms=-1)


def _garbage(liar: Liar, vote: Proposal) -> Proposal:
    raw = liar.rng.randbytes(100)
    wire_ids = (*vote.content.wire_ids, sha256(raw))
    return replace(vote, content=replace(vote.content, wire_ids=wire_ids), bodies=(raw,))


def _signed_twice(liar: Liar, vote: Proposal) -> Proposal:
    one = secret_transaction(liar)
    other = resigned(one, seed_of("admin"), liar.rng)
    return _with(lambda _: one, lambda _: other)(liar, vote)


SEEN_AT_ONCE: Final[dict[str, Flaw]] = {
    "height": _content(height=lambda _, c: c.height + 1),
    "parent": _content(parent=lambda liar, _: liar.rng.randbytes(32)),
    "time of parent": _content(time_ms=lambda liar, _: liar.node.chain.header.time_ms),
    "proposer unknown": _content(proposer=lambda liar, _: liar.rng.randbytes(32)),
    "proposer another": _content(
        proposer=lambda liar, _: next(
            key for key in liar.node.chain.validators.index_of if key != liar.key
        )
    ),
    "transaction twice": _content(wire_ids=lambda liar, _: (liar.rng.randbytes(32),) * 2),
    "too many": _content(
        wire_ids=lambda liar, _: tuple(
            liar.rng.randbytes(32) for _ in range(liar.node.chain.params.block_txs_max + 1)
        )
    ),
    "no certificate": _content(last_certificate=lambda *_: None),
    "older certificate": _content(last_certificate=_older),
    "weak certificate": _content(last_certificate=_weak),
    "one seal counted often": _content(last_certificate=_twice),
    "justified without need": _justified,
}
"""What costs the liar its link: the core refuses the proposal."""
SEEN_BY_EXECUTION: Final[dict[str, Flaw]] = {
    "evidence forged": _content(evidence=_framed),
    "transaction forged": _with(_forged),
    "transaction expired": _with(lambda liar: secret_transaction(liar, valid_for_ms=-600_000)),
    "transaction of another chain": _with(lambda liar: secret_transaction(liar, chain=bytes(32))),
    "transaction committed before": _with(_committed),
    "transaction signed twice": _signed_twice,
    "garbage for a body": _garbage,
    "far future": _content(time_ms=lambda _, c: c.time_ms + 3_600_000),
    "unknown bodies": _content(wire_ids=lambda liar, _: (liar.rng.randbytes(32),)),
}
"""What nobody votes for, and no signature proves."""


class BadProposer(Lie):
    """Every own free proposal has the flaw."""

    def __init__(self, flaw: str) -> None:
        super().__init__()
        self.flaw = (SEEN_AT_ONCE | SEEN_BY_EXECUTION)[flaw]
        if flaw in SEEN_AT_ONCE:
            self.faults = frozenset(
                {"CONTENT_INVALID", "CERTIFICATE_INVALID", "JUSTIFICATION_INVALID"}
            )
        self._said: dict[tuple[int, int], Proposal] = {}

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if not isinstance(vote, Proposal) or vote.content.proposer != self.liar.key:
            return (vote,)
        place = vote.height, vote.round
        if place not in self._said:
            self._said = {place: self.liar.signed(self.flaw(self.liar, vote))}
        return (self._said[place],)


class Usurper(Lie):
    """Proposes at once, in whatever round: out of turn, or for a round that nobody changed to.
    ``justification``: "none", "own" ROUND-CHANGE alone, or that one "often"."""

    def __init__(self, justification: str) -> None:
        super().__init__()
        self.justification = justification
        self.faults = frozenset({"NOT_THE_PROPOSER", "JUSTIFICATION_INVALID"})
        self._height = 0

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        yield vote
        state = self.liar.state
        if isinstance(vote, Proposal) or state is None or vote.height != state.context.height:
            return
        turns = range(1, len(state.context.validators) + 1)
        out_of_turn = self.justification == "none"
        wanted = (r for r in turns if (state.proposer(r) == self.liar.key) != out_of_turn)
        round_ = next(wanted)
        context = state.context
        content = Content(
            context.height,
            context.parent,
            context.parent_time_ms + 1,
            self.liar.key,
            (),
            (),
            self.liar.node.chain.certificate,
        )
        change = self.liar.signed(
            RoundChange(context.height, round_, None, None, None, self.liar.key, UNSIGNED)
        )
        changes = {"none": (), "own": (change,), "often": (change,) * 3}[self.justification]
        proposal = Proposal(context.height, round_, content, (), changes, self.liar.key, UNSIGNED)
        yield self.liar.signed(proposal)


class Withholder(Lie):
    """Proposes transactions that it has never sent anybody, and answers no question for them.
    ``told``: how many validators get them along with the proposal."""

    def __init__(self, told: int = 0) -> None:
        super().__init__()
        self.told = told
        self._place = (0, 0)
        self._said: Proposal | None = None
        self._secret: Transaction | None = None

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if not isinstance(vote, Proposal) or vote.content.proposer != self.liar.key:
            return (vote,)
        if self._said is None or self._place != (vote.height, vote.round):
            self._place = vote.height, vote.round
            self._secret = secret_transaction(self.liar)
            wire_ids = (*vote.content.wire_ids, self._secret.wire_id)
            content = replace(vote.content, wire_ids=wire_ids)
            self._said = self.liar.signed(replace(vote, content=content, bodies=()))
        assert self._secret is not None
        if peer in self.liar.peers[: self.told]:
            return (replace(self._said, bodies=(self._secret.raw,)),)
        return (self._said,)

    def answer(self, peer: bytes, question: bytes, answer: bytes) -> bytes:
        return frames.fill(()) if question[0] == frames.BODIES else answer
