"""The machine's state: one height's agreement, and what is kept for the next height."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote
from consensus.pbft.inputs import NewHeight
from consensus.pbft.votebook import VoteBook
from consensus.validators import Thresholds


@dataclass
class State:
    """Everything that a decision may depend on. Only ``machine.apply`` changes it."""

    context: NewHeight
    height_started_ms: int
    votes: VoteBook = field(default_factory=VoteBook)
    round: int = 0
    deadline_ms: int | None = None
    """When (mono) this round's timer fires; None while it has not started."""
    heard: bool = False
    """A vote of this height came from somebody else."""
    work_since_ms: int | None = None
    build_asked: int = -1
    """The newest round for which a content was asked or proposed."""
    accepted: Proposal | None = None
    """This round's proposal."""
    late: bool = False
    """The accepted proposal's time is too far from the own clock."""
    contents: dict[bytes, Content] = field(default_factory=dict)
    """Contents of valid proposals of this height, by hash: the newest few."""
    outcomes: dict[bytes, bytes | None] = field(default_factory=dict)
    """Content hash -> block hash by own execution, or None for a content that breaks a rule."""
    executing: set[bytes] = field(default_factory=set)
    """Contents given to execution, with or without an outcome yet."""
    logged: set[bytes] = field(default_factory=set)
    """Contents that went to the vote log with their bodies: each goes there once."""
    prepared: PreparedCertificate | None = None
    asked: dict[type[Vote], int] = field(default_factory=dict)
    """Kind -> the newest round in which a vote of this kind was given to the signer."""
    newest: dict[type[Vote], Vote] = field(default_factory=dict)
    """Kind -> own newest vote, for repeating."""
    resend_ms: int = 0
    decided: bool = False
    reported_divergence: bool = False
    split_reported: int = -1
    """The newest round of which a split vote was told."""
    caught: set[tuple[bytes, int]] = field(default_factory=set)
    """(Sender, kind of evidence) already reported at this height."""
    ahead: dict[tuple[bytes, type[Vote]], Vote] = field(default_factory=dict)
    """Votes for the next height, the newest of each sender and kind; only signatures checked."""
    previous: VoteBook = field(default_factory=VoteBook)
    """The votes of the height before, to tell a late vote from a repeated one."""

    @property
    def thresholds(self) -> Thresholds:
        return self.context.validators.thresholds(self.context.params.fault_model)

    def proposer(self, round_: int) -> bytes:
        """The consensus key that proposes in a round."""
        order = self.context.order
        return self.context.validators.members[order[round_ % len(order)]].key

    @property
    def committed_round(self) -> int | None:
        return self.asked.get(Commit)

    def own_votes(self) -> tuple[Vote, ...]:
        """Newest own votes in the order that a peer can use them."""
        order = (RoundChange, Proposal, Prepare, Commit)
        return tuple(self.newest[kind] for kind in order if kind in self.newest)
