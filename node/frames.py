"""Frames of the chain channel and of requests: one byte for the kind, then canonical data.

Chain channel: STATUS [height, block hash] is a node's tip; BLOCK a sealed block, for one that still
votes on its height; EVIDENCE of a validator's contradiction; HELD_OUT wire ids, told by validators
to those who look on.

Requests: BLOCKS [from, count] -> array of sealed blocks, ascending, fewer than asked when they get
too long; BODIES [wire ids] -> array of those at hand; SEEN consensus key -> [height, certificate |
nil], see ``node.recovery``; OUTCOMES [height, content hash] ->
``consensus.outcomes.Outcomes``; WRITES [height, content hash, index] -> ``Detail``; OWN_VOTES
consensus key -> array of [kind, statement, signature], see ``node.logcheck``; OPENINGS
[commitments] -> a parcel or nothing, see ``node.vault.fetching``; SNAPSHOTS [] -> array of [height,
manifest digest]; PART [height, digest] -> that file of the snapshot, see ``node.snapshot``; API
[method, path with query, content type, body] -> [HTTP status, content type, body], see
``node.api.peers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from consensus.block import BLOCK_BYTES_MAX, CONTENT_TXS_MAX
from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, PeerFault

STATUS: Final = 1
BLOCK: Final = 2
EVIDENCE: Final = 3
HELD_OUT: Final = 4

BLOCKS: Final = 1
BODIES: Final = 2
SEEN: Final = 3
OUTCOMES: Final = 4
WRITES: Final = 5
OWN_VOTES: Final = 6
OPENINGS: Final = 7
SNAPSHOTS: Final = 8
PART: Final = 9
API: Final = 10

REQUEST_BYTES_MAX: Final = 512 << 10
ANSWER_BYTES: Final = 4 << 20
"""What an answer of several parts grows to; its first part may be longer."""
ANSWER_BYTES_MAX: Final = BLOCK_BYTES_MAX + (1 << 20)
API_BYTES_MAX: Final = 1 << 20
"""A whole API question: as much as the network takes."""
API_PATH_MAX: Final = 16 << 10
"""Characters: a proof of 64 of the longest keys is asked in 13,000."""
_API_TEXT: Final = re.compile(r"[!-~]*")


def frame(kind: int, value: Any) -> bytes:
    return bytes([kind]) + encode(value)


def split(payload: bytes) -> tuple[int, bytes]:
    if not payload:
        raise PeerFault("MESSAGE_MALFORMED", "an empty message")
    return payload[0], payload[1:]


def read(raw: bytes, bytes_max: int = REQUEST_BYTES_MAX) -> Any:
    """The value of a peer's canonical bytes. Raises PeerFault MESSAGE_MALFORMED."""
    try:
        return decode(raw, bytes_max=bytes_max, items_max=CONTENT_TXS_MAX)
    except CodecError as error:
        raise PeerFault("MESSAGE_MALFORMED", error.message) from None


def read_fields(raw: bytes, *kinds: type, bytes_max: int = REQUEST_BYTES_MAX) -> list[Any]:
    """An array of just these types. Raises PeerFault MESSAGE_MALFORMED."""
    value = read(raw, bytes_max)
    if type(value) is not list or [type(one) for one in value] != list(kinds):
        raise PeerFault("MESSAGE_MALFORMED", "fields of other types than expected")
    return value


def read_blobs(raw: bytes, bytes_max: int = REQUEST_BYTES_MAX) -> list[bytes]:
    """An array of byte strings. Raises PeerFault MESSAGE_MALFORMED."""
    value = read(raw, bytes_max)
    if type(value) is not list or any(type(one) is not bytes for one in value):
        raise PeerFault("MESSAGE_MALFORMED", "not a list of byte strings")
    return value


def read_api_question(raw: bytes) -> tuple[str, str, str, bytes]:
    """Method, path with query, content type and body. Raises PeerFault MESSAGE_MALFORMED."""
    method, path, kind, body = read_fields(raw, str, str, str, bytes, bytes_max=API_BYTES_MAX)
    within = len(method) <= 8 and len(path) <= API_PATH_MAX and len(kind) <= 64
    if not within or not path.startswith("/") or not _API_TEXT.fullmatch(method + path + kind):
        raise PeerFault("MESSAGE_MALFORMED", "not a request of the API")
    return method, path, kind, body


def read_api_answer(raw: bytes) -> tuple[int, str, bytes]:
    """HTTP status, content type and body. Raises PeerFault MESSAGE_MALFORMED."""
    status, kind, body = read_fields(raw, int, str, bytes, bytes_max=ANSWER_BYTES_MAX)
    if not 200 <= status <= 599 or len(kind) > 64 or not _API_TEXT.fullmatch(kind):
        raise PeerFault("MESSAGE_MALFORMED", "not an answer of the API")
    return status, kind, body


def fill(parts: Iterable[bytes]) -> bytes:
    """The answer that holds as many of the parts as fit, at least one."""
    taken: list[bytes] = []
    size = 0
    for part in parts:
        size += len(part)
        if taken and size > ANSWER_BYTES:
            break
        taken.append(part)
    return encode(taken)
