"""What an invoice is recognised by on a chain that must not learn what it says (ADR 18)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any, Final

from consensus.primitives.codec import encode

KEY_BYTES: Final = 32
_N: Final = 2**16  # with r = 8: 64 MiB, and about a fifth of a second for each
_R: Final = 8
_P: Final = 1
_RUNS: Final = re.compile(r"\d+|[^\W\d_]+")
_MEMORY_MAX: Final = 96 * 1024 * 1024


def normalised(number: str) -> str:
    """An invoice's number as it is compared: ``INV-001`` and ``inv 1`` are one.

    Compatibility forms are folded, only letters and digits stay, in upper case, and a run of digits
    loses its leading zeros. Two runs of digits stay apart, ``1/11`` is not ``11/1``: an equal
    fingerprint is refused for good, and what is missed here the one without the number finds.
    """
    told = ""
    for run in _RUNS.findall(unicodedata.normalize("NFKC", number).upper()):
        if run.isdecimal():
            told += ("-" if told[-1:].isdecimal() else "") + str(int(run))
        else:
            told += run
    return told


def fingerprints(
    key: bytes,
    chain_id: bytes,
    seller: str,
    buyer: str,
    *,
    number: str,
    issued_on: int,
    minor: int,
    currency: str,
) -> dict[str, bytes]:
    """The three fingerprints as contract ``invoices`` takes them.

    ``issued_on`` is YYYYMMDD, ``minor`` the gross amount (BT-112) in minor units. ``key`` is the
    opening of ``invoices.key``: without it nobody can even begin to guess.
    """
    if len(key) != KEY_BYTES:
        raise ValueError("a key of fingerprints has 32 bytes")
    told = normalised(number)
    whole: dict[str, list[Any]] = {
        "exact": [seller, buyer, told, issued_on, minor, currency],
        "numbered": [seller, buyer, told],
        "unnumbered": [seller, buyer, issued_on, minor, currency],
    }
    return {kind: _slow(key, chain_id, kind, fields) for kind, fields in whole.items()}


def _slow(key: bytes, chain_id: bytes, kind: str, fields: list[Any]) -> bytes:
    salt = hashlib.sha256(b"hansa/invoice/1\0" + chain_id + kind.encode() + b"\0" + key).digest()
    return hashlib.scrypt(encode(fields), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY_MAX, dklen=32)
