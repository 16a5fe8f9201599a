"""Blocks: the content that is proposed, the header that executing it gives, the whole as stored.

Validators vote on the outcome, not on the order alone: the **content** names what goes into a
block, the **header** adds the roots that execution produced, and the header's hash is what PREPARE
and COMMIT sign. Neither the round nor the seals are in that hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Final

from consensus.certificates import HEIGHT, Certificate
from consensus.evidence import Evidence
from consensus.primitives.codec import (
    HASH,
    KEY,
    TIME_MS,
    Blob,
    Items,
    Maybe,
    Nested,
    UInt,
    Wire,
)
from consensus.primitives.crypto import sha256
from consensus.transaction import TRANSACTION_BYTES_MAX

HEADER_VERSION: Final = 1
CONTENT_TXS_MAX: Final = 10_000
CONTENT_BYTES_MAX: Final = 1 << 20
EVIDENCE_MAX: Final = 16
BLOCK_BYTES_MAX: Final = 12 << 20


@dataclass(frozen=True)
class Content(Wire):
    """What a proposer puts forward: an order of transactions on top of a parent."""

    bytes_max: ClassVar[int] = CONTENT_BYTES_MAX
    items_max: ClassVar[int] = CONTENT_TXS_MAX

    height: Annotated[int, HEIGHT]
    parent: Annotated[bytes, HASH]
    time_ms: Annotated[int, TIME_MS]
    proposer: Annotated[bytes, KEY]
    wire_ids: Annotated[tuple[bytes, ...], Items(HASH, CONTENT_TXS_MAX)]
    evidence: Annotated[tuple[Evidence, ...], Items(Nested(Evidence), EVIDENCE_MAX)]
    last_certificate: Annotated[Certificate | None, Maybe(Nested(Certificate))]


@dataclass(frozen=True)
class Header(Wire):
    """Everything that light nodes and the next block need to know of a block."""

    version: Annotated[int, UInt(255)]
    chain_id: Annotated[bytes, HASH]
    height: Annotated[int, HEIGHT]
    parent: Annotated[bytes, HASH]
    time_ms: Annotated[int, TIME_MS]
    proposer: Annotated[bytes, KEY]
    tx_root: Annotated[bytes, HASH]
    receipt_root: Annotated[bytes, HASH]
    event_root: Annotated[bytes, HASH]
    state_root: Annotated[bytes, HASH]
    validators_hash: Annotated[bytes, HASH]
    next_validators_hash: Annotated[bytes, HASH]
    params_hash: Annotated[bytes, HASH]
    contracts_hash: Annotated[bytes, HASH]
    evidence_root: Annotated[bytes, HASH]
    last_certificate_hash: Annotated[bytes, HASH]
    history_root: Annotated[bytes, HASH]


def certificate_hash(certificate: Certificate | None) -> bytes:
    """The header's entry for the parent's certificate; block 1's parent, genesis, has none."""
    return bytes(32) if certificate is None else certificate.digest


@dataclass(frozen=True)
class Block(Wire):
    """A header with all that its roots commit to, receipts excepted: those follow by execution."""

    bytes_max: ClassVar[int] = BLOCK_BYTES_MAX
    items_max: ClassVar[int] = CONTENT_TXS_MAX

    header: Annotated[Header, Nested(Header)]
    bodies: Annotated[tuple[bytes, ...], Items(Blob(TRANSACTION_BYTES_MAX), CONTENT_TXS_MAX)]
    evidence: Annotated[tuple[Evidence, ...], Items(Nested(Evidence), EVIDENCE_MAX)]
    last_certificate: Annotated[Certificate | None, Maybe(Nested(Certificate))]

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def hash(self) -> bytes:
        return self.header.digest

    @cached_property
    def wire_ids(self) -> tuple[bytes, ...]:
        return tuple([sha256(body) for body in self.bodies])

    @cached_property
    def content(self) -> Content:
        """The content whose execution must give this header."""
        header = self.header
        return Content(
            header.height,
            header.parent,
            header.time_ms,
            header.proposer,
            self.wire_ids,
            self.evidence,
            self.last_certificate,
        )


@dataclass(frozen=True)
class SealedBlock(Wire):
    """A block with the certificate that commits it, as it is stored and sent to those behind."""

    bytes_max: ClassVar[int] = BLOCK_BYTES_MAX + (1 << 16)
    items_max: ClassVar[int] = CONTENT_TXS_MAX

    block: Annotated[Block, Nested(Block)]
    certificate: Annotated[Certificate | None, Maybe(Nested(Certificate))]
