"""The rules of agreement a second time: plain predicates over what a validator has in hand.

Written from QBFT (arXiv 2002.03613), Saltini's formal specification of it and
docs/spec/consensus.md, without ``consensus/pbft``: only data types and signatures are shared with
the machine. Nothing here is kept up to date step by step; each question is answered from the whole
set of votes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote
from consensus.params import Params


@dataclass(frozen=True)
class Height:
    """What everybody knows of a height. It is height 1, so no certificate of a parent matters."""

    chain_id: bytes
    parent: bytes
    parent_time_ms: int
    keys: tuple[bytes, ...]
    order: tuple[int, ...]
    params: Params

    @property
    def liars(self) -> int:
        return 0 if self.params.fault_model == "crash" else (len(self.keys) - 1) // 3

    @property
    def quorum(self) -> int:
        """The fewest of which any two sets share somebody who does not lie."""
        n = len(self.keys)
        return min(q for q in range(1, n + 1) if 2 * q - n > self.liars)

    def proposer(self, round_: int) -> bytes:
        return self.keys[self.order[round_ % len(self.order)]]


# --- what may be believed --------------------------------------------------------------------


def is_signed(height: Height, vote: Vote) -> bool:
    return vote.sender in height.keys and vote.signature_valid(height.chain_id)


def is_prepared(height: Height, pair: PreparedCertificate) -> bool:
    """Saltini's validity of a prepared certificate: q members, each one's PREPARE of this pair."""
    n = len(height.keys)
    if len(pair.signers) != (n + 7) // 8:
        return False
    number = int.from_bytes(pair.signers, "little")
    who = [key for i, key in enumerate(height.keys) if number & 1 << i]
    if number >= 1 << n or len(who) != len(pair.signatures) or len(who) < height.quorum:
        return False
    return all(
        is_signed(height, Prepare(1, pair.round, pair.content_hash, pair.block_hash, key, one))
        for key, one in zip(who, pair.signatures, strict=True)
    )


def is_content(height: Height, content: Content) -> bool:
    ids = content.wire_ids
    return (
        content.height == 1
        and content.parent == height.parent
        and content.time_ms > height.parent_time_ms
        and content.proposer in height.keys
        and len(set(ids)) == len(ids) <= height.params.block_txs_max
    )


def is_round_change(height: Height, vote: RoundChange) -> bool:
    """isValidRoundChange: what it names was prepared, below its round, and hides no own COMMIT."""
    pair, committed = vote.prepared, vote.committed_round
    if not is_signed(height, vote) or vote.round < 1:
        return False
    if pair is None:
        return vote.content is None and committed is None
    return (
        (committed is None or committed <= pair.round)
        and pair.round < vote.round
        and is_prepared(height, pair)
        and (
            vote.content is None
            or (vote.content.digest == pair.content_hash and is_content(height, vote.content))
        )
    )


def free_txs_max(height: Height, round_: int) -> int:
    """Rule 8, as its table: all, all, 1/4, 1/16, 1/64, none."""
    most = height.params.block_txs_max
    table = [most, most, *(max(1, most // share) for share in (4, 16, 64))]
    return table[round_] if round_ < len(table) else 0


def named(changes: tuple[RoundChange, ...]) -> set[bytes]:
    """Contents of the highest prepared round that any of them names; empty: the choice is free."""
    pairs = [change.prepared for change in changes if change.prepared is not None]
    return {
        pair.content_hash for pair in pairs if all(other.round <= pair.round for other in pairs)
    }


def is_proposal(height: Height, vote: Proposal) -> bool:
    """isValidProposalJustification, with the limits on a free proposal."""
    changes = vote.justification
    if not is_signed(height, vote) or vote.sender != height.proposer(vote.round):
        return False
    if not is_content(height, vote.content) or vote.content.last_certificate is not None:
        return False
    if vote.round == 0 and changes:
        return False
    if vote.round > 0 and not (
        len({change.sender for change in changes}) == len(changes) >= height.quorum
        and all(
            change.height == 1
            and change.round == vote.round
            and change.content is None
            and is_round_change(height, change)
            for change in changes
        )
    ):
        return False
    if must := named(changes):
        return vote.content.digest in must
    return vote.content.proposer == vote.sender and len(vote.content.wire_ids) <= free_txs_max(
        height, vote.round
    )


def is_valid(height: Height, vote: Vote) -> bool:
    if isinstance(vote, Proposal):
        return is_proposal(height, vote)
    return (
        is_round_change(height, vote) if isinstance(vote, RoundChange) else is_signed(height, vote)
    )


def agree(one: Vote, other: Vote) -> bool:
    """Whether one honest validator may have signed both."""
    if type(one) is type(other) and one.round == other.round:
        return one.signing_bytes(b"") == other.signing_bytes(b"")
    for commit, change in ((one, other), (other, one)):
        if isinstance(commit, Commit) and isinstance(change, RoundChange):
            pair = change.prepared.round if change.prepared is not None else -1
            if commit.round < change.round and pair < commit.round:
                return False
    return True


# --- what a validator may and must do --------------------------------------------------------


@dataclass
class Hand:
    """All that a validator has: others' votes that count, own votes, outcomes, time-outs."""

    height: Height
    me: bytes
    wall_ms: int
    votes: list[Vote] = field(default_factory=list)
    """Valid ones of others, each sender's first of what contradicts itself."""
    own: list[Vote] = field(default_factory=list)
    accepted: dict[int, Proposal] = field(default_factory=dict)
    """Proposals taken while in their round."""
    contents: dict[bytes, Content] = field(default_factory=dict)
    outcomes: dict[bytes, bytes | None] = field(default_factory=dict)
    timed_out: set[int] = field(default_factory=set)

    @property
    def round(self) -> int:
        """A validator is in the round of its newest ROUND-CHANGE."""
        return max([vote.round for vote in self.own if isinstance(vote, RoundChange)], default=0)

    def reached(self, round_: int) -> int:
        """How many validators have a ROUND-CHANGE for this round or more."""
        return len(
            {
                vote.sender
                for vote in [*self.votes, *self.own]
                if isinstance(vote, RoundChange) and vote.round >= round_
            }
        )

    def prepared(self, round_: int, block_hash: bytes | None) -> set[bytes]:
        """Contents with q PREPAREs of a round that name this outcome."""
        votes = [
            vote
            for vote in [*self.votes, *self.own]
            if isinstance(vote, Prepare) and (vote.round, vote.block_hash) == (round_, block_hash)
        ]
        return {
            content
            for content in {vote.content_hash for vote in votes}
            if len({vote.sender for vote in votes if vote.content_hash == content})
            >= self.height.quorum
        }

    def decided(self) -> set[bytes]:
        """Blocks with q COMMITs of one round, whichever."""
        votes = [vote for vote in [*self.votes, *self.own] if isinstance(vote, Commit)]
        return {
            hash_
            for round_, hash_ in {(vote.round, vote.block_hash) for vote in votes}
            if len({v.sender for v in votes if (v.round, v.block_hash) == (round_, hash_)})
            >= self.height.quorum
        }

    def in_time(self, proposal: Proposal) -> bool:
        """Rule 7: justified by what was prepared, near the own clock, or t+1 others say so."""
        content = proposal.content
        drift = self.height.params.clock_drift_ms
        if named(proposal.justification) or -drift <= content.time_ms - self.wall_ms <= drift:
            return True
        witnesses = {
            vote.sender
            for vote in self.votes
            if isinstance(vote, Prepare)
            and (vote.round, vote.content_hash) == (proposal.round, content.digest)
        }
        return len(witnesses) > self.height.liars

    def usable(self) -> tuple[RoundChange, ...]:
        """ROUND-CHANGEs for the own round that name nothing, or a content that is at hand."""
        return tuple(
            vote
            for vote in [*self.votes, *self.own]
            if isinstance(vote, RoundChange)
            and vote.round == self.round
            and (vote.prepared is None or vote.prepared.content_hash in self.contents)
        )

    def newest_commit(self) -> Commit | None:
        commits = [vote for vote in self.own if isinstance(vote, Commit)]
        return max(commits, key=lambda vote: vote.round, default=None)

    # --- safety

    def may_send(self, vote: Vote) -> bool:
        """Whether an honest validator with this hand may sign this vote now."""
        same_kind = [one.round for one in self.own if type(one) is type(vote)]
        if self.decided() or vote.sender != self.me or vote.round in same_kind:
            return False
        if any(vote.round < one.round for one in self.own):
            return False
        if isinstance(vote, RoundChange):
            return self._may_leave(vote)
        if vote.round != self.round:
            return False
        if isinstance(vote, Prepare):
            proposal = self.accepted.get(vote.round)
            return (
                proposal is not None
                and proposal.content.digest == vote.content_hash
                and self.outcomes.get(vote.content_hash) == vote.block_hash
                and self.in_time(proposal)
            )
        if isinstance(vote, Commit):
            return any(
                self.outcomes.get(content) == vote.block_hash
                for content in self.prepared(vote.round, vote.block_hash)
            )
        # What else a proposal needs is is_proposal's; an honest one also hides nothing that it has.
        return isinstance(vote, Proposal) and named(vote.justification) == named(self.usable())

    def _may_leave(self, vote: RoundChange) -> bool:
        others = {
            one.sender
            for one in self.votes
            if isinstance(one, RoundChange) and one.round >= vote.round
        }
        pulled = len(others) > self.height.liars and vote.round > self.round
        waited = vote.round == self.round + 1 and self.round in self.timed_out
        newest, pair = self.newest_commit(), vote.prepared
        if not (pulled or waited):
            return False
        if newest is None:
            return pair is None and vote.committed_round is None and vote.content is None
        return (
            pair is not None
            and vote.committed_round == newest.round == pair.round
            and pair.block_hash == newest.block_hash
            and self.outcomes.get(pair.content_hash) == pair.block_hash
            and is_prepared(self.height, pair)
            and vote.content is not None
            and vote.content.digest == pair.content_hash
        )

    # --- progress

    def owes(self) -> set[str]:
        """What must have been said by now, and was not: kinds of votes of this round."""
        sent = {type(vote) for vote in self.own if vote.round == self.round}
        owed = set()
        proposal = self.accepted.get(self.round)
        if proposal is not None and Prepare not in sent:
            known = self.outcomes.get(proposal.content.digest) is not None
            if known and self.in_time(proposal):
                owed.add("PREPARE")
        if Commit not in sent:
            for content, outcome in self.outcomes.items():
                known = outcome is not None and content in self.contents
                if known and content in self.prepared(self.round, outcome):
                    owed.add("COMMIT")
        if self.jump() > self.round:
            owed.add("ROUND-CHANGE")
        if Proposal not in sent and self.height.proposer(self.round) == self.me and self.round:
            usable = {vote.sender for vote in self.usable()}
            if len(usable) >= self.height.quorum:
                owed.add("PROPOSAL")
        return owed

    def jump(self) -> int:
        """The highest round that t+1 validators have reached."""
        rounds = {vote.round for vote in self.votes if isinstance(vote, RoundChange)}
        return max([r for r in rounds if self.reached(r) > self.height.liars], default=0)

    def waits(self) -> bool:
        """Whether this round's timer runs."""
        if self.round == 0:
            return bool(self.votes)
        return self.reached(self.round) >= self.height.quorum
