"""Certificates: q validators' signatures that prove a block committed, or a content prepared.

Signatures are counted by distinct signer: the bitmap names each validator at most once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from consensus.primitives.codec import HASH, SIGNATURE, Blob, Items, UInt, Wire, encode
from consensus.primitives.crypto import TAG_COMMIT, TAG_PREPARE, verify
from consensus.primitives.errors import PeerFault
from consensus.validators import VALIDATORS_MAX, ValidatorSet, bitmap, signers

ROUND: Final = UInt(2**32 - 1)
HEIGHT: Final = UInt(2**63 - 1)
BITMAP: Final = Blob((VALIDATORS_MAX + 7) // 8, 1)
SIGNATURES: Final = Items(SIGNATURE, VALIDATORS_MAX)


def prepare_bytes(
    chain_id: bytes, height: int, round_: int, content_hash: bytes, block_hash: bytes
) -> bytes:
    """What a PREPARE signs: the outcome (block hash) of executing that content."""
    return encode([chain_id, height, round_, content_hash, block_hash])


def commit_bytes(chain_id: bytes, height: int, round_: int, block_hash: bytes) -> bytes:
    """What a COMMIT's seal signs."""
    return encode(["COMMIT", chain_id, height, round_, block_hash])


def _in_order(
    signatures: dict[bytes, bytes], validators: ValidatorSet
) -> tuple[bytes, tuple[bytes, ...]]:
    """The signer bitmap and the signatures in the set's order, from signatures by key."""
    by_index = sorted((validators.index_of[key], one) for key, one in signatures.items())
    marks = bitmap([index for index, _ in by_index], len(validators))
    return marks, tuple(one for _, one in by_index)


def _check_signatures(
    what: str,
    validators: ValidatorSet,
    quorum: int,
    marks: bytes,
    signatures: tuple[bytes, ...],
    tag: bytes,
    message: bytes,
) -> None:
    positions = signers(marks, len(validators))
    if positions is None or len(positions) != len(signatures):
        raise PeerFault("CERTIFICATE_INVALID", f"{what}: signer bitmap does not fit")
    if len(positions) < quorum:
        raise PeerFault(
            "CERTIFICATE_INVALID", f"{what}: {len(positions)} signers where {quorum} are needed"
        )
    for position, signature in zip(positions, signatures, strict=True):
        member = validators.members[position]
        if not verify(member.key, tag, message, signature):
            raise PeerFault("CERTIFICATE_INVALID", f"{what}: {member.name}'s signature is wrong")


@dataclass(frozen=True)
class Certificate(Wire):
    """q seals over one block hash of one round: the block is committed."""

    height: Annotated[int, HEIGHT]
    round: Annotated[int, ROUND]
    block_hash: Annotated[bytes, HASH]
    signers: Annotated[bytes, BITMAP]
    seals: Annotated[tuple[bytes, ...], SIGNATURES]

    @classmethod
    def build(
        cls,
        height: int,
        round_: int,
        block_hash: bytes,
        seals: dict[bytes, bytes],
        validators: ValidatorSet,
    ) -> Certificate:
        """From seals by consensus key."""
        return cls(height, round_, block_hash, *_in_order(seals, validators))

    def joined(
        self, seals: Mapping[bytes, bytes], chain_id: bytes, validators: ValidatorSet
    ) -> Certificate:
        """Itself with those of further seals (by consensus key) that are valid for it."""
        positions = signers(self.signers, len(validators)) or []
        known = {
            validators.members[position].key: seal
            for position, seal in zip(positions, self.seals, strict=True)
        }
        message = commit_bytes(chain_id, self.height, self.round, self.block_hash)
        late = {
            key: seal
            for key, seal in seals.items()
            if key in validators and key not in known and verify(key, TAG_COMMIT, message, seal)
        }
        if not late:
            return self
        return Certificate.build(self.height, self.round, self.block_hash, known | late, validators)

    def check(self, chain_id: bytes, validators: ValidatorSet, quorum: int) -> None:
        """Raise PeerFault CERTIFICATE_INVALID unless a quorum of ``validators`` signed it."""
        _check_signatures(
            f"certificate of height {self.height}",
            validators,
            quorum,
            self.signers,
            self.seals,
            TAG_COMMIT,
            commit_bytes(chain_id, self.height, self.round, self.block_hash),
        )


@dataclass(frozen=True)
class PreparedCertificate(Wire):
    """q PREPAREs of one round for one (content, outcome): what a ROUND-CHANGE carries on."""

    round: Annotated[int, ROUND]
    content_hash: Annotated[bytes, HASH]
    block_hash: Annotated[bytes, HASH]
    signers: Annotated[bytes, BITMAP]
    signatures: Annotated[tuple[bytes, ...], SIGNATURES]

    @classmethod
    def build(
        cls,
        round_: int,
        content_hash: bytes,
        block_hash: bytes,
        signatures: dict[bytes, bytes],
        validators: ValidatorSet,
    ) -> PreparedCertificate:
        """From PREPARE signatures by consensus key."""
        return cls(round_, content_hash, block_hash, *_in_order(signatures, validators))

    def check(self, chain_id: bytes, height: int, validators: ValidatorSet, quorum: int) -> None:
        """Raise PeerFault CERTIFICATE_INVALID unless a quorum of ``validators`` prepared it."""
        _check_signatures(
            f"prepared certificate of height {height} round {self.round}",
            validators,
            quorum,
            self.signers,
            self.signatures,
            TAG_PREPARE,
            prepare_bytes(chain_id, height, self.round, self.content_hash, self.block_hash),
        )
