"""Pure and costly functions remember their results while worlds run: one process plays all nodes,
so each signature would be checked as often as there are nodes.

Only libsodium's own three functions are covered: same bytes in, same result out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from nacl.exceptions import BadSignatureError

from consensus.primitives import crypto

REMEMBERED_MAX: Final = 20_000
_sodium: Final = crypto._sodium


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def _opened(signed: bytes, key: bytes) -> tuple[bytes, str]:
    try:
        return _sodium.crypto_sign_open(signed, key), ""
    except (BadSignatureError, ValueError, TypeError) as error:
        return b"", str(error) or "bad"


class _Remembering:
    """``nacl.bindings`` as ``consensus.primitives.crypto`` uses it."""

    crypto_sign: Callable[..., Any] = staticmethod(_sodium.crypto_sign)
    crypto_sign_seed_keypair: Callable[..., Any] = staticmethod(
        functools.lru_cache(maxsize=REMEMBERED_MAX)(_sodium.crypto_sign_seed_keypair)
    )

    @staticmethod
    def crypto_sign_open(signed: bytes, key: bytes) -> bytes:
        message, error = _opened(signed, key)
        if error:
            raise BadSignatureError(error)
        return message


@contextmanager
def quickly() -> Iterator[None]:
    """Remember the results of signature checks while inside."""
    before = crypto._sodium
    crypto._sodium = _Remembering  # type: ignore[assignment]
    try:
        yield
    finally:
        crypto._sodium = before
