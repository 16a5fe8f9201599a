"""How a light client comes from a header that it trusts to a newer one. Pure: ``now`` is told.

Each header is judged by the validators of its own height, and those are known only from a certified
header: the one before names them. As long as the set stays the same, headers between may be
skipped; where it changed, the last header of the old set must be shown first. A newer header must
also have the trusted one in its history, so that two histories can't both be followed.

The fault model can't be changed by vote, so it belongs to the root. Errors are PeerFault: whoever
gave the header is the one to doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from consensus.block import Header
from consensus.certificates import HEIGHT
from consensus.primitives.codec import HASH, TIME_MS, Maybe, Nested, Text, Wire
from consensus.primitives.errors import InputError, PeerFault
from consensus.proofs import ListProof, SealedHeader, check_earlier
from consensus.validators import ValidatorSet

DAY_MS: Final = 86_400_000
TRUST_PERIOD_MS: Final = 14 * DAY_MS
DRIFT_MS: Final = 5_000
STALE_INTERVALS: Final = 2


@dataclass(frozen=True)
class Trusted(Wire):
    """What is believed: the newest header that was judged, and who seals the one after it.

    The first one is the trust root, from a source that the user trusts. That of a genesis document
    has no header: its validators are in the document.
    """

    chain_id: Annotated[bytes, HASH]
    fault_model: Annotated[str, Text(16)]
    height: Annotated[int, HEIGHT]
    time_ms: Annotated[int, TIME_MS]
    header: Annotated[Header | None, Maybe(Nested(Header))]
    next_validators: Annotated[ValidatorSet, Nested(ValidatorSet)]

    @classmethod
    def genesis(
        cls, chain_id: bytes, fault_model: str, time_ms: int, validators: ValidatorSet
    ) -> Trusted:
        return cls(chain_id, fault_model, 0, time_ms, None, validators)


@dataclass(frozen=True)
class Policy:
    """Times in ms. ``trust_period_ms`` None: validators who left are believed for ever, as one must
    to follow a chain from its genesis document."""

    trust_period_ms: int | None = TRUST_PERIOD_MS
    drift_ms: int = DRIFT_MS


@dataclass(frozen=True)
class Step:
    """A newer header as a server shows it. ``inclusion`` proves the trusted header in its history;
    there is none to prove on a trust root without header."""

    sealed: SealedHeader
    next_validators: ValidatorSet
    inclusion: ListProof | None


def advance(trusted: Trusted, step: Step, now_ms: int, policy: Policy) -> Trusted:
    """The newer header, judged.

    Raises InputError TRUST_EXPIRED, where a new trust root is needed; PeerFault LIGHT_OLD,
    LIGHT_FUTURE, LIGHT_VALIDATORS (a change of the set was skipped), PROOF_INVALID or
    CERTIFICATE_INVALID.
    """
    header = step.sealed.header
    require_in_period(trusted, now_ms, policy)
    if header.height <= trusted.height or header.time_ms <= trusted.time_ms:
        raise PeerFault("LIGHT_OLD", f"block {header.height} is not after block {trusted.height}")
    if header.time_ms > now_ms + policy.drift_ms:
        raise PeerFault("LIGHT_FUTURE", f"block {header.height} is from the future")
    validators = trusted.next_validators
    if header.validators_hash != validators.digest:
        raise PeerFault(
            "LIGHT_VALIDATORS",
            f"block {header.height} has other validators than block {trusted.height} names",
        )
    step.sealed.check(trusted.chain_id, validators, quorum(trusted, validators))
    if step.next_validators.digest != header.next_validators_hash:
        raise PeerFault("PROOF_INVALID", "the header names other validators to come")
    if trusted.header is not None:
        if step.inclusion is None:
            raise PeerFault("PROOF_INVALID", "no proof that the trusted header is in its history")
        check_earlier(header, trusted.header, step.inclusion)
    return Trusted(
        trusted.chain_id,
        trusted.fault_model,
        header.height,
        header.time_ms,
        header,
        step.next_validators,
    )


def require_in_period(trusted: Trusted, now_ms: int, policy: Policy) -> None:
    """Raises InputError TRUST_EXPIRED: validators who left so long ago may have sold their keys."""
    period = policy.trust_period_ms
    if period is not None and now_ms >= trusted.time_ms + period:
        raise InputError(
            "TRUST_EXPIRED",
            f"block {trusted.height}, the newest that is trusted, is older than the trust period:"
            " start from a new trust root",
        )


def quorum(trusted: Trusted, validators: ValidatorSet) -> int:
    return validators.thresholds(trusted.fault_model).quorum


def is_stale(time_ms: int, now_ms: int, empty_block_interval_ms: int) -> bool:
    """Whether a chain that works would have a newer block than the one of ``time_ms``."""
    return now_ms > time_ms + STALE_INTERVALS * empty_block_interval_ms


@dataclass(frozen=True)
class Fork(Wire):
    """Two certified headers of one height: more validators lied than the fault model allows."""

    one: Annotated[SealedHeader, Nested(SealedHeader)]
    other: Annotated[SealedHeader, Nested(SealedHeader)]

    def check(self, chain_id: bytes, validators: ValidatorSet, quorum: int) -> list[bytes]:
        """Keys that sealed both, if each is certified by ``validators``. Raises PeerFault."""
        if self.one.height != self.other.height or self.one.header == self.other.header:
            raise PeerFault("PROOF_INVALID", "no fork: not two headers of one height")
        for sealed in (self.one, self.other):
            sealed.check(chain_id, validators, quorum)
        first, second = (sealed.signers(validators) for sealed in (self.one, self.other))
        return [key for key in first if key in second]
