"""Evidence: two signed statements of one validator that no honest validator makes together.

Either two that differ, of one kind, height and round; or a COMMIT and a ROUND-CHANGE of a later
round that names a lower prepared round than the COMMIT's, or none: the sender hides what it saw.

It holds the statements as they were signed, so that anybody with the validator's public key can
judge it, without the messages that carried them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from consensus.primitives.codec import KEY, SIGNATURE, Blob, UInt, Wire, decode
from consensus.primitives.crypto import (
    TAG_COMMIT,
    TAG_PREPARE,
    TAG_PROPOSAL,
    TAG_ROUND_CHANGE,
    sha256,
    verify,
)
from consensus.primitives.errors import CodecError, PeerFault

STATEMENT_BYTES_MAX: Final = 512
HIDDEN_COMMIT: Final = 5
TAGS: Final[dict[int, tuple[bytes, bytes]]] = {
    1: (TAG_PROPOSAL, TAG_PROPOSAL),
    2: (TAG_PREPARE, TAG_PREPARE),
    3: (TAG_COMMIT, TAG_COMMIT),
    4: (TAG_ROUND_CHANGE, TAG_ROUND_CHANGE),
    HIDDEN_COMMIT: (TAG_COMMIT, TAG_ROUND_CHANGE),
}
"""Kind -> what the first and the second statement are. 1 to 4 are the kinds of votes."""


def statement_parts(statement: bytes) -> tuple[bytes, int, int, list[Any]]:
    """(chain id, height, round, the rest) of a statement. Raises CodecError."""
    parts: Any = decode(statement, bytes_max=STATEMENT_BYTES_MAX)
    if type(parts) is list and parts[:1] == ["COMMIT"]:
        parts = parts[1:]
    if type(parts) is not list or [type(part) for part in parts[:3]] != [bytes, int, int]:
        raise CodecError("MALFORMED", "a statement that names no chain, height and round")
    return parts[0], parts[1], parts[2], parts[3:]


def hides_commit(commit_round: int, change_round: int, prepared_round: int | None) -> bool:
    """Whether a ROUND-CHANGE keeps quiet about what its sender's COMMIT shows it had prepared."""
    return commit_round < change_round and (prepared_round is None or prepared_round < commit_round)


@dataclass(frozen=True)
class Evidence(Wire):
    """Two statements of one ``sender`` about one height; ``kind`` says what is wrong with them."""

    bytes_max: ClassVar[int] = 2048

    kind: Annotated[int, UInt(max(TAGS))]
    sender: Annotated[bytes, KEY]
    first: Annotated[bytes, Blob(STATEMENT_BYTES_MAX)]
    first_signature: Annotated[bytes, SIGNATURE]
    second: Annotated[bytes, Blob(STATEMENT_BYTES_MAX)]
    second_signature: Annotated[bytes, SIGNATURE]

    @property
    def height(self) -> int:
        """The height that checked evidence concerns."""
        return statement_parts(self.first)[1]

    @property
    def rounds(self) -> tuple[int, int]:
        """The rounds of checked evidence's first and second statement."""
        return statement_parts(self.first)[2], statement_parts(self.second)[2]

    @property
    def vote_hashes(self) -> tuple[bytes, bytes]:
        """SHA-256 of what was signed first and second."""
        return sha256(self.first), sha256(self.second)

    def check(self, chain_id: bytes) -> int:
        """The height it concerns. Raises PeerFault EVIDENCE_INVALID if it proves nothing."""
        if self.kind not in TAGS:
            raise PeerFault("EVIDENCE_INVALID", f"there is no kind {self.kind}")
        try:
            chain, height, first_round, _ = statement_parts(self.first)
            other_chain, other_height, second_round, rest = statement_parts(self.second)
        except CodecError as error:
            raise PeerFault("EVIDENCE_INVALID", error.message) from None
        if chain != chain_id or (other_chain, other_height) != (chain, height):
            raise PeerFault("EVIDENCE_INVALID", "the statements concern different heights")
        if self.kind == HIDDEN_COMMIT:
            pair = rest[0] if rest else None
            prepared = pair[0] if type(pair) is list and pair and type(pair[0]) is int else None
            contradict = hides_commit(first_round, second_round, prepared)
        else:
            # Ordered statements give one pair one encoding, so it can't be counted twice.
            contradict = first_round == second_round and self.first < self.second
        if not contradict:
            raise PeerFault("EVIDENCE_INVALID", "the statements don't contradict each other")
        first_tag, second_tag = TAGS[self.kind]
        if not (
            verify(self.sender, first_tag, self.first, self.first_signature)
            and verify(self.sender, second_tag, self.second, self.second_signature)
        ):
            raise PeerFault("EVIDENCE_INVALID", "a statement is not signed by its sender")
        return height
