"""What validators say to each other: PROPOSAL, PREPARE, COMMIT, ROUND-CHANGE, and evidence.

Every vote names its sender's consensus key and signs its meaning under a tag of its kind. Parts
that prove themselves (bodies by their hash, certificates by their own signatures) are not signed
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final

from consensus.block import CONTENT_TXS_MAX, Content
from consensus.certificates import (
    HEIGHT,
    ROUND,
    PreparedCertificate,
    commit_bytes,
    prepare_bytes,
)
from consensus.evidence import HIDDEN_COMMIT, Evidence, hides_commit
from consensus.primitives.codec import (
    HASH,
    KEY,
    SIGNATURE,
    Blob,
    Items,
    Maybe,
    Nested,
    Wire,
    encode,
)
from consensus.primitives.crypto import (
    TAG_COMMIT,
    TAG_PREPARE,
    TAG_PROPOSAL,
    TAG_ROUND_CHANGE,
    verify,
)
from consensus.primitives.errors import PeerFault
from consensus.transaction import TRANSACTION_BYTES_MAX
from consensus.validators import VALIDATORS_MAX

UNSIGNED: Final = bytes(64)
MESSAGE_BYTES_MAX: Final = 16 << 20


class Vote(Wire):
    """Base of the four signed messages."""

    tag: ClassVar[bytes]
    height: int
    round: int
    sender: bytes
    signature: bytes

    def signing_bytes(self, chain_id: bytes) -> bytes:
        raise NotImplementedError

    def signature_valid(self, chain_id: bytes) -> bool:
        return verify(self.sender, self.tag, self.signing_bytes(chain_id), self.signature)

    def with_signature(self, signature: bytes) -> Vote:
        return replace(self, signature=signature)  # type: ignore[type-var]


@dataclass(frozen=True)
class RoundChange(Vote):
    """ "I have left every round below ``round``": with the newest prepared certificate, if any.

    ``committed_round`` names the highest round in which the sender signed a COMMIT. ``content`` is
    the prepared content itself, unsigned (the certificate names its hash); it is left out where a
    ROUND-CHANGE serves as another message's justification.
    """

    tag: ClassVar[bytes] = TAG_ROUND_CHANGE
    bytes_max: ClassVar[int] = MESSAGE_BYTES_MAX
    items_max: ClassVar[int] = CONTENT_TXS_MAX

    height: Annotated[int, HEIGHT]
    round: Annotated[int, ROUND]
    prepared: Annotated[PreparedCertificate | None, Maybe(Nested(PreparedCertificate))]
    committed_round: Annotated[int | None, Maybe(ROUND)]
    content: Annotated[Content | None, Maybe(Nested(Content))]
    sender: Annotated[bytes, KEY]
    signature: Annotated[bytes, SIGNATURE]

    def signing_bytes(self, chain_id: bytes) -> bytes:
        pair = None
        if self.prepared is not None:
            pair = [self.prepared.round, self.prepared.content_hash, self.prepared.block_hash]
        return encode([chain_id, self.height, self.round, pair, self.committed_round])

    def without_content(self) -> RoundChange:
        return replace(self, content=None) if self.content is not None else self


@dataclass(frozen=True)
class Proposal(Vote):
    """The content of a round, bodies that peers may lack, and why a round above 0 may have it."""

    tag: ClassVar[bytes] = TAG_PROPOSAL
    bytes_max: ClassVar[int] = MESSAGE_BYTES_MAX
    items_max: ClassVar[int] = CONTENT_TXS_MAX

    height: Annotated[int, HEIGHT]
    round: Annotated[int, ROUND]
    content: Annotated[Content, Nested(Content)]
    bodies: Annotated[tuple[bytes, ...], Items(Blob(TRANSACTION_BYTES_MAX), CONTENT_TXS_MAX)]
    justification: Annotated[tuple[RoundChange, ...], Items(Nested(RoundChange), VALIDATORS_MAX)]
    sender: Annotated[bytes, KEY]
    signature: Annotated[bytes, SIGNATURE]

    def signing_bytes(self, chain_id: bytes) -> bytes:
        return encode([chain_id, self.height, self.round, self.content.digest])


@dataclass(frozen=True)
class Prepare(Vote):
    """ "Executing this content gave me this block hash.\""""

    tag: ClassVar[bytes] = TAG_PREPARE

    height: Annotated[int, HEIGHT]
    round: Annotated[int, ROUND]
    content_hash: Annotated[bytes, HASH]
    block_hash: Annotated[bytes, HASH]
    sender: Annotated[bytes, KEY]
    signature: Annotated[bytes, SIGNATURE]

    def signing_bytes(self, chain_id: bytes) -> bytes:
        return prepare_bytes(chain_id, self.height, self.round, self.content_hash, self.block_hash)


@dataclass(frozen=True)
class Commit(Vote):
    """ "q of us prepared this block, and my own execution agrees": the signature is its seal."""

    tag: ClassVar[bytes] = TAG_COMMIT

    height: Annotated[int, HEIGHT]
    round: Annotated[int, ROUND]
    block_hash: Annotated[bytes, HASH]
    sender: Annotated[bytes, KEY]
    signature: Annotated[bytes, SIGNATURE]

    def signing_bytes(self, chain_id: bytes) -> bytes:
        return commit_bytes(chain_id, self.height, self.round, self.block_hash)


KINDS: Final[dict[int, type[Vote]]] = {1: Proposal, 2: Prepare, 3: Commit, 4: RoundChange}
_KIND_OF: Final[dict[type[Vote], int]] = {wire: kind for kind, wire in KINDS.items()}


def encode_vote(vote: Vote) -> bytes:
    """One byte for the kind, then the vote."""
    return bytes([_KIND_OF[type(vote)]]) + vote.raw


def decode_vote(raw: bytes) -> Vote:
    """Raises PeerFault MESSAGE_MALFORMED for an unknown kind and CodecError for bad bytes."""
    wire = KINDS.get(raw[0]) if raw else None
    if wire is None:
        raise PeerFault("MESSAGE_MALFORMED", "a consensus message of no known kind")
    vote = wire.decode(raw[1:])
    vote.__dict__["raw"] = raw[1:]  # its one encoding, so it need not be made again
    return vote


def contradiction(one: Vote, other: Vote, chain_id: bytes) -> Evidence | None:
    """Evidence if the two signed votes can't both be an honest validator's, else None."""
    if (one.sender, one.height) != (other.sender, other.height):
        return None
    if type(one) is type(other):
        if one.round != other.round:
            return None
        kind = _KIND_OF[type(one)]
        pairs = sorted((vote.signing_bytes(chain_id), vote.signature) for vote in (one, other))
        if pairs[0][0] == pairs[1][0]:
            return None
        return Evidence(kind, one.sender, *pairs[0], *pairs[1])
    if isinstance(one, RoundChange):
        one, other = other, one
    if not isinstance(one, Commit) or not isinstance(other, RoundChange):
        return None
    prepared_round = other.prepared.round if other.prepared is not None else None
    if not hides_commit(one.round, other.round, prepared_round):
        return None
    return Evidence(
        HIDDEN_COMMIT,
        one.sender,
        one.signing_bytes(chain_id),
        one.signature,
        other.signing_bytes(chain_id),
        other.signature,
    )
