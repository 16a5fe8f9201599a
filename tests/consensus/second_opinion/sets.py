"""Random sets of votes, nearly right, judged by the machine and by the second opinion.

One seed is one comparison: ``compare_judgements`` asks both about single messages,
``compare_histories`` plays a whole height to validator 0 and asks after every input what it may
send and what it owes.
"""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Final

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Proposal, RoundChange, Vote
from consensus.params import Params
from consensus.pbft import inputs, machine, outputs
from consensus.pbft.inputs import Now
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import PeerFault
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, EPOCH_MS, FAST, GENESIS, outcome_of, signed
from tests.consensus.second_opinion.opinion import Hand, Height, agree, is_valid

SIZES: Final = (1, 2, 3, 4, 4, 4, 5, 6, 7)
ROUNDS: Final = 4
PARAMS: Final = replace(FAST, block_txs_max=64)
LATE_MS: Final = 60_000
MESSAGES: Final = 6
STEPS: Final = 40


class Disagreement(AssertionError):
    """The machine and the second opinion differ."""


class Votes:
    """Makes the votes of one height, right ones and nearly right ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        model = "crash" if self.random.random() < 0.25 else "byzantine"
        params: Params = replace(PARAMS, fault_model=model)
        self.n = self.random.choice(SIZES)
        self.bench = Bench(self.n, first=self.random.randrange(self.n), params=params)
        context = self.bench.context
        self.height = Height(
            CHAIN, GENESIS, context.parent_time_ms, tuple(self.bench.keys), context.order, params
        )

    def one_of(self, *choices: object) -> object:
        return self.random.choice(choices)

    def some(self, count: int) -> list[int]:
        return self.random.sample(range(self.n), max(0, min(count, self.n)))

    def proposer(self, round_: int) -> int:
        return self.height.order[round_ % self.n]

    def content(self, round_: int, txs: int = 0, extra_ms: int = 0) -> Content:
        return self.bench.content(self.proposer(round_), extra_ms, txs)

    def quorum(self) -> int:
        """Mostly q; sometimes one more or less, sometimes 2f+1."""
        q = self.height.quorum
        return self.random.choice((q, q, q, q + 1, q - 1, 2 * self.height.liars + 1))

    def certificate(self, content: Content, round_: int, count: int) -> PreparedCertificate:
        return self.bench.prepared(content, round_, self.some(count) or [0])

    def change(self, by: int, round_: int, pair: PreparedCertificate | None) -> RoundChange:
        committed = self.random.choice((None, pair.round)) if pair is not None else None
        return self.bench.change(by, round_, pair, None, committed)

    # --- messages, then one thing wrong with them

    def round_change(self, round_: int, by: int) -> RoundChange:
        q = self.height.quorum
        content = self.content(self.random.randrange(max(1, round_)))
        pair = None
        if self.random.random() < 0.7 and round_ > 0:
            pair = self.certificate(content, self.random.randrange(round_), q)
        change = self.change(by, round_, pair)
        if pair is not None and self.random.random() < 0.5:
            change = replace(change, content=content)
        return change

    def proposal(self, round_: int) -> Proposal:
        by = self.proposer(round_)
        txs = self.random.choice((0, 1, 4, 5, 16, 17, 64))
        if round_ == 0:
            return self.bench.proposal(self.content(0, txs), by)
        changes = []
        pairs: list[tuple[int, Content]] = []
        for one in self.some(self.height.quorum):
            pair = None
            if self.random.random() < 0.5:
                below = self.random.randrange(round_)
                old = self.content(below)
                pair = self.certificate(old, below, self.height.quorum)
                pairs.append((below, old))
            changes.append(self.change(one, round_, pair))
        content = self.content(round_, txs)
        if pairs:
            highest = max(below for below, _ in pairs)
            content = next(old for below, old in pairs if below == highest)
            if self.random.random() < 0.2:
                content = self.random.choice(pairs)[1]
        return self.bench.proposal(content, by, round_, changes)

    def bent_pair(self, pair: PreparedCertificate, round_: int) -> PreparedCertificate:
        what = self.random.randrange(6)
        if what == 0:
            return replace(pair, signatures=(*pair.signatures[:-1], bytes(64)))
        if what == 1:
            return replace(pair, signers=bytes([pair.signers[0] | 0x80, *pair.signers[1:]]))
        if what == 2:
            return replace(pair, signatures=pair.signatures[:1] * len(pair.signatures))
        if what == 3:
            return replace(pair, signers=pair.signers + b"\0")
        if what == 4:
            return replace(pair, content_hash=sha256(b"another"))
        return self.certificate(self.content(0), round_ + self.random.randrange(2), self.n)

    def bent_change(self, vote: RoundChange) -> RoundChange:
        by = self.bench.keys.index(vote.sender)
        what, pair = self.random.randrange(7), vote.prepared
        if what == 0:
            return replace(vote, signature=bytes(64))
        if what == 1:
            vote = replace(vote, committed_round=self.random.randrange(ROUNDS))
        elif what == 2:
            vote = replace(vote, round=self.random.randrange(ROUNDS))
        elif what == 3:
            vote = replace(vote, content=self.content(self.random.randrange(ROUNDS), txs=2))
        elif what == 4 and pair is not None:
            content = self.content(pair.round)
            vote = replace(vote, prepared=self.certificate(content, pair.round, self.quorum()))
        elif what == 5 and pair is not None:
            bad = replace(self.content(pair.round), parent=bytes(32))
            good = self.certificate(bad, pair.round, self.height.quorum)
            vote = replace(vote, prepared=good, content=bad)
        elif pair is not None:
            vote = replace(vote, prepared=self.bent_pair(pair, vote.round))
        found = signed(vote, by)
        assert isinstance(found, RoundChange)
        return found

    def bent_content(self, content: Content) -> Content:
        what = self.random.randrange(6)
        if what == 0:
            return replace(content, time_ms=self.height.parent_time_ms + self.random.randrange(2))
        if what == 1:
            return replace(content, parent=bytes(32))
        if what == 2:
            return replace(content, height=2)
        if what == 3:
            return replace(content, proposer=self.random.choice(self.bench.keys))
        if what == 4:
            return replace(content, wire_ids=(bytes(32), bytes(32)))
        return self.content(self.random.randrange(ROUNDS), txs=self.random.choice((0, 1, 16, 65)))

    def bent_proposal(self, vote: Proposal) -> Proposal:
        by, changes = self.bench.keys.index(vote.sender), list(vote.justification)
        what = self.random.randrange(8)
        if what == 0:
            by = self.random.randrange(self.n)
            vote = replace(vote, sender=self.bench.keys[by])
        elif what == 1:
            vote = replace(vote, content=self.bent_content(vote.content))
        elif what == 2:
            vote = replace(vote, round=self.random.randrange(ROUNDS))
        elif what == 3 and changes:
            changes[0] = changes[-1]
        elif what == 4 and changes:
            changes.pop()
        elif what == 5 and changes:
            changes = [self.change(one, vote.round + 1, None) for one in self.some(len(changes))]
        elif what == 6 and changes:
            changes.append(self.random.choice(changes))
        elif changes:
            at = self.random.randrange(len(changes))
            changes[at] = self.bent_change(changes[at])
        found = signed(replace(vote, justification=tuple(changes)), by)
        assert isinstance(found, Proposal)
        return found

    def nearly(self) -> Vote:
        """A proposal or ROUND-CHANGE, in three of five cases with one thing wrong."""
        round_, wrong = self.random.randrange(6), self.random.random() < 0.6
        if self.random.random() < 0.5:
            vote = self.round_change(round_, self.random.randrange(self.n))
            return self.bent_change(vote) if wrong else vote
        proposal = self.proposal(round_)
        return self.bent_proposal(proposal) if wrong else proposal


def compare_judgements(seed: int) -> int:
    """Single messages to a validator that has just begun; how many of them were valid."""
    votes = Votes(seed)
    valid = 0
    bench = Bench(votes.n, params=votes.height.params, me=False)
    bench.context = replace(bench.context, order=votes.height.order)
    for _ in range(MESSAGES):
        vote = votes.nearly()
        state, _ = machine.apply(None, bench.context, bench.now)
        try:
            machine.apply(state, inputs.Received(vote), bench.now)
            by_machine = True
        except PeerFault as fault:
            by_machine, why = False, fault.code
        if by_machine != is_valid(votes.height, vote):
            said = "accepts" if by_machine else f"refuses ({why})"
            raise Disagreement(f"seed {seed}: the machine {said} {vote}")
        valid += by_machine
    return valid


class History:
    """One height as validator 0 lives it. Time stands still but for time-outs."""

    def __init__(self, seed: int) -> None:
        self.votes = Votes(seed)
        self.seed, self.random, self.bench = seed, self.votes.random, self.votes.bench
        self.hand = Hand(self.votes.height, self.bench.keys[0], EPOCH_MS)
        self.to_execute: list[Content] = []
        self.to_build: list[int] = []
        self.decided = False
        self.said = 0
        """Own votes, all within what the second opinion allows."""
        extra = LATE_MS if self.random.random() < 0.2 else 0
        self.pool = [self.votes.content(r, extra_ms=extra) for r in range(ROUNDS)]

    def fail(self, what: str) -> None:
        raise Disagreement(f"seed {self.seed}: {what}")

    # --- inputs

    def step(self) -> None:
        chance = self.random.random()
        if self.to_execute and chance < 0.35:
            content = self.to_execute.pop(self.random.randrange(len(self.to_execute)))
            gave = self.outcome(content)
            self.hand.outcomes.setdefault(content.digest, gave)
            self.put(inputs.Executed(content.digest, gave))
        elif self.to_build and chance < 0.5:
            round_ = self.to_build.pop()
            content = Content(1, GENESIS, EPOCH_MS + 7 + round_, self.hand.me, (), (), None)
            self.put(inputs.Built(round_, content))
        elif self.bench.s.deadline_ms is not None and not self.decided and chance < 0.58:
            self.bench.now = Now(EPOCH_MS, max(self.bench.s.deadline_ms, self.bench.now.mono_ms))
            self.hand.timed_out.add(self.hand.round)
            before = self.hand.round
            self.put(inputs.Tick(None))
            if self.hand.round == before and not self.decided:
                self.fail("a time-out that leaves no round")
        else:
            self.hear(self.vote())

    def outcome(self, content: Content) -> bytes | None:
        chance = self.random.random()
        if chance < 0.06:
            return None
        return sha256(b"other" + content.digest) if chance < 0.15 else outcome_of(content)

    def vote(self) -> Vote:
        """Mostly about the round that the validator is in, and about one content."""
        rng, bench, hand = self.random, self.bench, self.hand
        round_ = hand.round if rng.random() < 0.8 else rng.randrange(ROUNDS)
        by = rng.randrange(self.votes.n)
        taken = hand.accepted.get(round_)
        content = taken.content if taken and rng.random() < 0.9 else rng.choice(self.pool)
        kind = rng.random()
        if (kind < 0.25 and taken is None) or kind < 0.05:
            return self.proposal(round_)
        if kind < 0.6:
            split = rng.random() < 0.1
            return bench.prepare(
                content, by, round_, sha256(b"other" + content.digest) if split else None
            )
        if kind < 0.82:
            return bench.commit(content, by, round_)
        return self.change(by, rng.choice((hand.round, hand.round, hand.round + 1, 2, 3)))

    def change(self, by: int, round_: int) -> RoundChange:
        content = self.random.choice(self.pool)
        pair = None
        if round_ > 0 and self.random.random() < 0.3:
            below = self.random.randrange(round_)
            pair = self.votes.certificate(content, below, self.votes.height.quorum)
        change = self.votes.change(by, round_, pair)
        return replace(change, content=content) if pair and self.random.random() < 0.7 else change

    def proposal(self, round_: int) -> Proposal:
        """Justified by ROUND-CHANGEs that were heard, where there are enough."""
        known = {
            vote.sender: vote.without_content()
            for vote in [*self.hand.votes, *self.hand.own]
            if isinstance(vote, RoundChange) and vote.round == round_
        }
        for by in self.votes.some(self.votes.n):
            if round_ > 0 and len(known) < self.votes.height.quorum:
                made = self.change(by, round_).without_content()
                known.setdefault(made.sender, made)
        changes = list(known.values())[: self.votes.height.quorum]
        pairs = [change.prepared for change in changes if change.prepared is not None]
        content = self.pool[round_]
        if pairs:
            top = max(pairs, key=lambda pair: pair.round)
            content = next((c for c in self.pool if c.digest == top.content_hash), content)
        return self.bench.proposal(content, self.votes.proposer(round_), round_, changes)

    # --- the two opinions side by side

    def hear(self, vote: Vote) -> None:
        if self.random.random() < 0.02:
            vote = replace(vote, signature=bytes(64))  # type: ignore[type-var]
        before = copy.copy(self.hand)
        before.votes, before.accepted = list(self.hand.votes), dict(self.hand.accepted)
        before.contents = dict(self.hand.contents)
        if not self.decided:
            self.count(vote)
        try:
            self.put(inputs.Received(vote))
        except PeerFault:
            self.hand = before
            if (
                not self.decided
                and vote.sender != self.hand.me
                and is_valid(self.hand.height, vote)
            ):
                self.fail(f"the machine refuses {vote}")

    def count(self, vote: Vote) -> None:
        hand = self.hand
        kept = [one for one in hand.votes if one.sender == vote.sender]
        if vote.sender == hand.me or not is_valid(hand.height, vote):
            return
        if not all(agree(one, vote) for one in kept):
            return
        if isinstance(vote, Proposal):
            again = any(isinstance(one, Proposal) and one.round == vote.round for one in kept)
            if again or vote.round < hand.round:
                return
            for change in vote.justification:
                self.count(change)
            if max(hand.round, hand.jump()) != vote.round:
                return
            hand.accepted[vote.round] = vote
            hand.contents[vote.content.digest] = vote.content
        if isinstance(vote, RoundChange) and vote.content is not None:
            hand.contents[vote.content.digest] = vote.content
        hand.votes.append(vote)

    def put(self, event: inputs.Input) -> None:
        """One input; what the machine wants signed is judged, signed and put in turn."""
        self.bench.state, made = machine.apply(self.bench.state, event, self.bench.now)
        for output in made:
            if isinstance(output, outputs.Sign):
                self.judge(output)
            elif isinstance(output, outputs.Execute):
                self.to_execute.append(output.content)
            elif isinstance(output, outputs.Build):
                self.to_build.append(output.round)
            elif isinstance(output, outputs.Decided):
                self.decided = True
                if output.certificate.block_hash not in self.hand.decided():
                    self.fail("the machine decides without q COMMITs")
        for output in made:
            if isinstance(output, outputs.Sign):
                self.put(inputs.Signed(signed(output.vote, 0)))

    def judge(self, output: outputs.Sign) -> None:
        hand, vote = self.hand, signed(output.vote, 0)
        if not hand.may_send(vote):
            self.fail(f"the machine signs {vote}")
        if not is_valid(hand.height, vote):
            self.fail(f"the machine signs what nobody accepts: {vote}")
        if not all(agree(one, vote) for one in hand.own):
            self.fail(f"the machine contradicts itself with {vote}")
        self.said += 1
        hand.own.append(vote)
        if isinstance(vote, Proposal):
            hand.accepted[vote.round] = vote
            hand.contents[vote.content.digest] = vote.content

    def settle(self) -> None:
        """After an input: what is owed has been said."""
        hand, state = self.hand, self.bench.s
        if bool(hand.decided()) != self.decided:
            self.fail("q COMMITs of a round and no decision")
        if self.decided:
            return
        owed = hand.owes()
        if "PROPOSAL" in owed and state.build_asked >= state.round:
            owed.remove("PROPOSAL")  # its content is being made
        if owed:
            self.fail(f"the machine owes {sorted(owed)} in round {hand.round}")
        if state.round != hand.round:
            self.fail(f"the machine is in round {state.round}, not {hand.round}")
        if (state.deadline_ms is not None) != hand.waits():
            self.fail(f"the timer of round {hand.round}: {state.deadline_ms}")


def compare_histories(seed: int) -> int:
    """One height of random votes; how many votes the validator itself sent."""
    history = History(seed)
    for _ in range(STEPS):
        history.step()
        history.settle()
        if history.decided or history.hand.round >= ROUNDS - 1:
            break
    return history.said
