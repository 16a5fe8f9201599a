"""The door of the vault's API: requests signed by a key of the node's own organisation.

The signature covers chain, node, method, path, the body's digest, a time and a nonce. A request is
taken once, within a minute after its time by this node's clock. Nonces are remembered just as long
as their times are fresh, and what is older than a forgotten one or than the node's start is stale:
neither a clock set back nor a restart lets a request in again. A nonce is taken down only after the
signature held, so that strangers can't fill the memory; a key has a limited rate, so that insiders
can't either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consensus.primitives.codec import encode
from consensus.primitives.crypto import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, sha256, sign, verify
from consensus.primitives.errors import InputError

TAG_REQUEST: Final = b"hansa/vault-request/1"
HEADER: Final = "hansa-signed"
NONCE_BYTES: Final = 16
FRESH_MS: Final = 60_000
AHEAD_MS: Final = 2_000
"""How far the asker's clock may be ahead of the node's."""
BODY_BYTES_MAX: Final = 1 << 20
COMMITMENTS_MAX: Final = 64
"""In one request; openings, too."""
PAGE_MAX: Final = 200
RATE_PER_MINUTE: Final = 600
KEYS_MAX: Final = 256
SEEN_MAX: Final = 50_000


@dataclass(frozen=True)
class Request:
    """An API request as its header and body say it."""

    method: str
    path: str  # with its query
    body: bytes
    key: bytes
    time_ms: int
    nonce: bytes
    signature: bytes = b""

    def message(self, chain_id: bytes, node: bytes) -> bytes:
        return encode(
            [chain_id, node, self.method, self.path, sha256(self.body), self.time_ms, self.nonce]
        )

    def signed(self, seed: bytes, chain_id: bytes, node: bytes) -> Request:
        signature = sign(seed, TAG_REQUEST, self.message(chain_id, node))
        return Request(
            self.method, self.path, self.body, self.key, self.time_ms, self.nonce, signature
        )


class Door:
    """Lets in what a key of the own organisation asked, once.

    ``own_key`` tells by the chain's state whether a key belongs to the own organisation now.
    Requests are let in from AHEAD_MS after the start on: earlier ones may have been taken before.
    """

    def __init__(
        self, chain_id: bytes, node: bytes, own_key: Callable[[bytes], bool], started_ms: int
    ) -> None:
        self._chain_id = chain_id
        self._node = node
        self._own_key = own_key
        self._stale_ms = started_ms + AHEAD_MS
        self._seen: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()  # -> the request's time
        self._taken: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # key -> minute, count

    def admit(self, request: Request, now_ms: int) -> None:
        """Raises InputError.

        VAULT_REQUEST, VAULT_REQUEST_STALE, VAULT_NOT_AUTHORISED, VAULT_REQUEST_REPEATED or
        VAULT_RATE.
        """
        if (
            len(request.key) != PUBLIC_KEY_BYTES
            or len(request.nonce) != NONCE_BYTES
            or len(request.signature) != SIGNATURE_BYTES
            or len(request.body) > BODY_BYTES_MAX
        ):
            raise InputError("VAULT_REQUEST", "the request is not of the form or too large")
        self._forget(now_ms)
        age = now_ms - request.time_ms
        if not -AHEAD_MS <= age <= FRESH_MS or request.time_ms <= self._stale_ms:
            raise InputError("VAULT_REQUEST_STALE", "the request is not of this minute")
        if not self._own_key(request.key) or not verify(
            request.key, TAG_REQUEST, request.message(self._chain_id, self._node), request.signature
        ):
            raise InputError("VAULT_NOT_AUTHORISED", "no key of this node's organisation signed it")
        if (request.key, request.nonce) in self._seen:
            raise InputError("VAULT_REQUEST_REPEATED", "the request was taken before")
        self._count(request.key, now_ms)
        self._seen[request.key, request.nonce] = request.time_ms

    def _forget(self, now_ms: int) -> None:
        while self._seen:
            first = next(iter(self._seen))
            if now_ms - self._seen[first] <= FRESH_MS:
                return
            self._stale_ms = max(self._stale_ms, self._seen.pop(first))

    def _count(self, key: bytes, now_ms: int) -> None:
        minute = now_ms // 60_000
        since, count = self._taken.get(key, (minute, 0))
        if since != minute:
            count = 0
        if count >= RATE_PER_MINUTE or len(self._seen) >= SEEN_MAX:
            raise InputError("VAULT_RATE", "too many requests; ask again in a minute")
        self._taken[key] = (minute, count + 1)
        self._taken.move_to_end(key)
        while len(self._taken) > KEYS_MAX:
            self._taken.popitem(last=False)
