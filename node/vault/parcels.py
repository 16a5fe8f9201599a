"""Parcels of openings between two nodes: signed by the sender, sealed to the receiver alone.

    content = canonical [chain id, sender, receiver, time (ms), [[commitment, salt, value], ...]]
    parcel  = sealed box (X25519 of the receiver's network key) of  signature (64) | content

The connection is encrypted, too. The seal is for what lies in an outbox, in a log or in a crash
dump; the signature, over chain, sender and receiver, for a parcel passed on to somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import nacl.bindings as sodium
import nacl.exceptions

from consensus.primitives.codec import decode, encode
from consensus.primitives.crypto import SIGNATURE_BYTES, sign, verify
from consensus.primitives.errors import HansaError, PeerFault
from contracts.sdk.commitments import COMMITMENT_BYTES, SALT_BYTES, opens

TAG_PARCEL: Final = b"hansa/vault-parcel/1"
OPENINGS_MAX: Final = 64
PARCEL_BYTES_MAX: Final = 512 * 1024

_SEAL_BYTES: Final = sodium.crypto_box_SEALBYTES


@dataclass(frozen=True)
class Opening:
    """What stands behind a commitment."""

    commitment: bytes
    salt: bytes
    value: Any


@dataclass(frozen=True)
class Parcel:
    """What one node gives to another."""

    sender: bytes
    time_ms: int
    openings: tuple[Opening, ...]


def seal(
    seed: bytes,
    sender: bytes,
    receiver: bytes,
    chain_id: bytes,
    time_ms: int,
    openings: Sequence[Opening],
) -> bytes:
    """A parcel from ``sender`` (whose network key's seed is given) to ``receiver``.

    Raises ValueError beyond OPENINGS_MAX or PARCEL_BYTES_MAX: split it.
    """
    if not 1 <= len(openings) <= OPENINGS_MAX:
        raise ValueError(f"a parcel has 1 to {OPENINGS_MAX} openings")
    rows = [[one.commitment, one.salt, one.value] for one in openings]
    content = encode([chain_id, sender, receiver, time_ms, rows])
    to = sodium.crypto_sign_ed25519_pk_to_curve25519(receiver)
    parcel: bytes = sodium.crypto_box_seal(sign(seed, TAG_PARCEL, content) + content, to)
    if len(parcel) > PARCEL_BYTES_MAX:
        raise ValueError(f"a parcel of {len(parcel)} bytes, {PARCEL_BYTES_MAX} fit")
    return parcel


def unseal(raw: bytes, seed: bytes, receiver: bytes, sender: bytes, chain_id: bytes) -> Parcel:
    """The openings in a parcel that came from ``sender``. Raises PeerFault VAULT_PARCEL.

    Every opening is held against its commitment; one wrong one spoils the parcel.
    """
    if not _SEAL_BYTES + SIGNATURE_BYTES < len(raw) <= PARCEL_BYTES_MAX:
        raise PeerFault("VAULT_PARCEL", f"a parcel of {len(raw)} bytes")
    own = sodium.crypto_sign_ed25519_pk_to_curve25519(receiver)
    secret = sodium.crypto_sign_ed25519_sk_to_curve25519(seed + receiver)
    try:
        inner = sodium.crypto_box_seal_open(raw, own, secret)
    except nacl.exceptions.CryptoError:
        raise PeerFault("VAULT_PARCEL", "a parcel that is not sealed to this node") from None
    signature, content = inner[:SIGNATURE_BYTES], inner[SIGNATURE_BYTES:]
    if not verify(sender, TAG_PARCEL, content, signature):
        raise PeerFault("VAULT_PARCEL", "a parcel that its sender did not sign")
    try:
        chain, signer, addressee, time_ms, rows = decode(content, bytes_max=PARCEL_BYTES_MAX)
        openings = tuple(Opening(*row) for row in rows)
        right = all(
            type(one.commitment) is bytes
            and len(one.commitment) == COMMITMENT_BYTES
            and len(one.salt) == SALT_BYTES
            and opens(one.commitment, one.salt, one.value)
            for one in openings
        )
    except (HansaError, TypeError, ValueError):
        raise PeerFault("VAULT_PARCEL", "a parcel that is not of the form") from None
    if (chain, signer, addressee) != (chain_id, sender, receiver) or type(time_ms) is not int:
        raise PeerFault("VAULT_PARCEL", "a parcel of another chain, sender or receiver")
    if not right or not 1 <= len(openings) <= OPENINGS_MAX:
        raise PeerFault("VAULT_PARCEL", "an opening that does not open its commitment")
    return Parcel(sender, time_ms, openings)
