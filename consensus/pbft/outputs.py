"""What the machine wants done. The engine performs outputs in order, never skipping one."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.block import Content
from consensus.certificates import Certificate, PreparedCertificate
from consensus.evidence import Evidence
from consensus.messages import Commit, Vote


@dataclass(frozen=True)
class Sign:
    """Sign the vote, append it with ``content`` (and that content's bodies) and the certificate
    ``prepared`` to the vote log, sync, broadcast, and answer with Signed. ``vote.signature`` is
    still empty.

    A content is given once a height, with the first PREPARE or COMMIT for its outcome; the log
    keeps all contents and bodies of the newest height voted in."""

    vote: Vote
    content: Content | None = None
    prepared: PreparedCertificate | None = None


@dataclass(frozen=True)
class Broadcast:
    """Send own votes again, to one validator or (``peer`` None) to all."""

    votes: tuple[Vote, ...]
    peer: bytes | None = None


@dataclass(frozen=True)
class Build:
    """Make a content for this round of at most ``txs_max`` transactions; answer with Built.

    ``seals``: COMMITs heard of the parent, also after it was decided; not all are verified. Those
    that are valid go into the content's last certificate, which shows who is there and in time."""

    round: int
    txs_max: int
    seals: tuple[Commit, ...] = ()


@dataclass(frozen=True)
class Execute:
    """Find the bodies (``bodies`` came along with the proposal; ``source`` should have them all,
    any other validator may), execute, answer with Executed. Asked once for a content: the search
    for bodies must not give up before the height is over."""

    content: Content
    bodies: tuple[bytes, ...]
    source: bytes


@dataclass(frozen=True)
class Decided:
    """q COMMITs of one round and hash: final."""

    certificate: Certificate
    content: Content | None


@dataclass(frozen=True)
class AnswerDecided:
    """``peer`` still votes on a height that is decided: send it the block and its certificate."""

    peer: bytes
    height: int


@dataclass(frozen=True)
class SplitVote:
    """Executing one content gave validators different outcomes, and none of them a quorum.

    ``tally``: block hash and the keys that voted for it."""

    content: Content
    tally: tuple[tuple[bytes, tuple[bytes, ...]], ...]


@dataclass(frozen=True)
class Diverged:
    """A quorum prepared an outcome that is not this node's own."""

    height: int
    round: int
    own: bytes | None
    quorums: bytes


@dataclass(frozen=True)
class Caught:
    """A validator contradicted itself."""

    evidence: Evidence


@dataclass(frozen=True)
class RoundEntered:
    """For logs and metrics: this node is now in ``round``."""

    height: int
    round: int


Output = (
    Sign
    | Broadcast
    | Build
    | Execute
    | Decided
    | AnswerDecided
    | SplitVote
    | Diverged
    | Caught
    | RoundEntered
)
