"""What the machine is told. Time is part of it: the machine has no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote
from consensus.params import Params
from consensus.validators import ValidatorSet


class Now(NamedTuple):
    """The moment of an input, in milliseconds: ``wall_ms`` judges block times (Unix time),
    ``mono_ms`` runs timers and never goes back."""

    wall_ms: int
    mono_ms: int


@dataclass(frozen=True)
class OwnVotes:
    """What the vote log holds of this validator at one height, newest of each kind."""

    proposal: Proposal | None = None
    prepare: Prepare | None = None
    commit: Commit | None = None
    round_change: RoundChange | None = None
    prepared: PreparedCertificate | None = None
    contents: tuple[Content, ...] = ()


@dataclass(frozen=True)
class NewHeight:
    """The parent is committed; agree on the next block. ``me`` is None for a node that only looks
    on. ``order`` lists set positions: order[round % n] proposes."""

    chain_id: bytes
    height: int
    parent: bytes
    parent_time_ms: int
    validators: ValidatorSet
    parent_validators: ValidatorSet
    params: Params
    order: tuple[int, ...]
    me: bytes | None
    own: OwnVotes = field(default_factory=OwnVotes)


@dataclass(frozen=True)
class Received:
    """A peer's vote. Its form is checked, nothing else."""

    vote: Vote


@dataclass(frozen=True)
class Signed:
    """An own vote that is now signed and on disk, in answer to the output Sign."""

    vote: Vote


@dataclass(frozen=True)
class Built:
    """The content that the output Build asked for."""

    round: int
    content: Content


@dataclass(frozen=True)
class Executed:
    """The outcome of the output Execute; ``block_hash`` None means the content breaks a rule."""

    content_hash: bytes
    block_hash: bytes | None
    problem: str = ""


@dataclass(frozen=True)
class Tick:
    """Time has passed, or the mempool changed: ``work_since_ms`` is the (mono) moment since which
    its oldest transaction waits, None when it is empty. One is due right after NewHeight too."""

    work_since_ms: int | None


@dataclass(frozen=True)
class Connected:
    """A validator's link came up; it may lack our newest votes."""

    peer: bytes


Input = NewHeight | Received | Signed | Built | Executed | Tick | Connected
