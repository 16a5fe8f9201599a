"""Evidence: two signed statements of one validator that no honest validator makes together.

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
    verify,
)
from consensus.primitives.errors import CodecError, PeerFault

STATEMENT_BYTES_MAX: Final = 512
TAGS: Final[dict[int, bytes]] = {
    1: TAG_PROPOSAL,
    2: TAG_PREPARE,
    3: TAG_COMMIT,
    4: TAG_ROUND_CHANGE,
}


@dataclass(frozen=True)
class Evidence(Wire):
    """Two statements of one kind, height and round by ``sender`` that differ."""

    bytes_max: ClassVar[int] = 2048

    kind: Annotated[int, UInt(4)]
    sender: Annotated[bytes, KEY]
    first: Annotated[bytes, Blob(STATEMENT_BYTES_MAX)]
    first_signature: Annotated[bytes, SIGNATURE]
    second: Annotated[bytes, Blob(STATEMENT_BYTES_MAX)]
    second_signature: Annotated[bytes, SIGNATURE]

    def _position(self, statement: bytes) -> tuple[bytes, int, int]:
        """(chain id, height, round) of a statement."""
        parts: Any = decode(statement, bytes_max=STATEMENT_BYTES_MAX)
        if type(parts) is list and parts[:1] == ["COMMIT"]:
            parts = parts[1:]
        if type(parts) is not list or [type(part) for part in parts[:3]] != [bytes, int, int]:
            raise CodecError("MALFORMED", "a statement that names no chain, height and round")
        return parts[0], parts[1], parts[2]

    def check(self, chain_id: bytes) -> int:
        """The height it concerns. Raises PeerFault EVIDENCE_INVALID if it proves nothing."""
        tag = TAGS.get(self.kind)
        try:
            first, second = self._position(self.first), self._position(self.second)
        except CodecError as error:
            raise PeerFault("EVIDENCE_INVALID", error.message) from None
        # Ordered statements give one pair one encoding, so it can't be counted twice.
        if tag is None or first != second or first[0] != chain_id or self.first >= self.second:
            raise PeerFault("EVIDENCE_INVALID", "the statements don't contradict each other")
        for statement, signature in (
            (self.first, self.first_signature),
            (self.second, self.second_signature),
        ):
            if not verify(self.sender, tag, statement, signature):
                raise PeerFault("EVIDENCE_INVALID", "a statement is not signed by its sender")
        return first[1]
