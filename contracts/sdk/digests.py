"""Digests that a contract may compute."""

from __future__ import annotations

from consensus.primitives import crypto
from contracts.sdk.errors import BadValue


def sha256(value: str | bytes) -> bytes:
    """SHA-256 of bytes, or of a text's UTF-8. Raises BadValue for text that has none."""
    if isinstance(value, bytes):
        return crypto.sha256(value)
    try:
        return crypto.sha256(value.encode())
    except UnicodeEncodeError:
        raise BadValue("text that has no UTF-8 form") from None
