"""State keys: (contract, map, parts) as bytes whose order is the order of the parts.

A key is ``contract 0x00 map 0x00 part... 0x00``. Every part tells its own end and every end sorts
before whatever could follow it, so no key is the beginning of another, and keys of one map compare
as their tuples of parts do. Ints sort before bytes, bytes before text, by the tags below.

============  ===============================================================================
digest        ``0x01``, then 32 bytes
int           ``0x14 + n``, then n big-endian bytes, the fewest that hold it (0: none);
              negative: ``0x14 - n``, then the same of the absolute value, every bit flipped
bytes         ``0x20``, then the bytes with each 0x00 as 0x00 0xff, then 0x00
text          ``0x21``, then its UTF-8 in the same way
tuple         ``0x22``, then its parts, then 0x00
============  ===============================================================================

Whoever chooses keys freely could choose such as make the tree deep. So parts that users choose
and that need no order enter as their SHA-256: the whole key by ``hashed=True``, or one part by
:func:`digest_part`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from consensus.primitives.tree import KEY_BYTES_MAX

NAME_BYTES_MAX: Final = 24
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
TUPLE_DEPTH_MAX: Final = 4

_NAME: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{NAME_BYTES_MAX}}}")
_DIGEST: Final = 0x01
_ZERO: Final = 0x14
_BYTES: Final = 0x20
_TEXT: Final = 0x21
_TUPLE: Final = 0x22
_END: Final = b"\x00"
_ABOVE: Final = b"\xff"  # sorts behind every tag


@dataclass(frozen=True)
class Digest:
    """A part that stands in the key as its SHA-256."""

    value: bytes


Part = str | bytes | int | Digest | tuple[Any, ...]


def digest_part(part: Part) -> Digest:
    """The part that stands for ``part`` where no order is needed."""
    return Digest(sha256(_encode_part(part, TUPLE_DEPTH_MAX)))


def encode_key(
    contract: str, map_name: str, parts: tuple[Part, ...], *, hashed: bool = False
) -> bytes:
    """The state key of ``parts`` in a contract's map, at most 96 bytes.

    With ``hashed`` the parts together become one digest: no order, no ranges, any length.
    Raises InputError KEY_NAME, KEY_PART, KEY_TOO_DEEP or KEY_TOO_LONG.
    """
    body = _encode_parts(parts, TUPLE_DEPTH_MAX)
    if hashed:
        body = _encode_part(Digest(sha256(body)), 0)
    return _limited(_head(contract, map_name) + body + _END)


def prefix_range(
    contract: str, map_name: str, leading_parts: tuple[Part, ...] = ()
) -> tuple[bytes, bytes]:
    """(start, stop): ``start <= key < stop`` for just the keys that begin with these parts."""
    start = lower_bound(contract, map_name, leading_parts)
    return start, start + _ABOVE


def lower_bound(contract: str, map_name: str, parts: tuple[Part, ...]) -> bytes:
    """The least byte string not below any key whose parts are at or behind ``parts``.

    As a start it takes the keys from ``parts`` on in, as a stop it leaves them out.
    """
    return _limited(_head(contract, map_name) + _encode_parts(parts, TUPLE_DEPTH_MAX))


def decode_key(raw: bytes) -> tuple[str, str, tuple[Part, ...]]:
    """(contract, map, parts) of a state key; hashed parts come as :class:`Digest`.

    Raises InputError KEY_MALFORMED unless :func:`encode_key` gives these very bytes.
    """
    try:
        contract, map_name, body = raw.split(b"\x00", 2)
        parts, end = _decode_parts(body, 0, TUPLE_DEPTH_MAX)
        key = (contract.decode("ascii"), map_name.decode("ascii"), parts)
        if end == len(body) and encode_key(*key) == raw:
            return key
    except (ValueError, IndexError, InputError):
        pass
    raise InputError("KEY_MALFORMED", f"not a state key: {raw[:KEY_BYTES_MAX].hex()}")


def _head(contract: str, map_name: str) -> bytes:
    for name in (contract, map_name):
        if not _NAME.fullmatch(name):
            raise InputError(
                "KEY_NAME",
                f"{name[:80]!r} is no name of a contract or map: "
                f"1 to {NAME_BYTES_MAX} of letters, digits, '_', '.', '-'",
            )
    return f"{contract}\x00{map_name}\x00".encode("ascii")


def _limited(key: bytes) -> bytes:
    if len(key) > KEY_BYTES_MAX:
        raise InputError(
            "KEY_TOO_LONG",
            f"a state key of {len(key)} bytes, where at most {KEY_BYTES_MAX} are allowed",
        )
    return key


def _encode_parts(parts: tuple[Part, ...], depth: int) -> bytes:
    return b"".join([_encode_part(part, depth) for part in parts])


def _encode_part(part: Part, depth: int) -> bytes:
    kind = type(part)
    if isinstance(part, Digest):
        if len(part.value) != 32:
            raise InputError("KEY_PART", f"a digest of {len(part.value)} bytes")
        return bytes((_DIGEST,)) + part.value
    if isinstance(part, str):
        try:
            raw = part.encode()
        except UnicodeEncodeError:
            raise InputError("KEY_PART", "text that has no UTF-8 form") from None
        return bytes((_TEXT,)) + raw.replace(b"\x00", b"\x00\xff") + _END
    if isinstance(part, bytes):
        return bytes((_BYTES,)) + part.replace(b"\x00", b"\x00\xff") + _END
    if isinstance(part, int) and kind is not bool:
        return _encode_int(part)
    if isinstance(part, tuple):
        if depth == 0:
            raise InputError("KEY_TOO_DEEP", f"tuples nested deeper than {TUPLE_DEPTH_MAX} levels")
        return bytes((_TUPLE,)) + _encode_parts(part, depth - 1) + _END
    raise InputError("KEY_PART", f"a {kind.__name__} can't be part of a key")


def _encode_int(number: int) -> bytes:
    if not INT_MIN <= number <= INT_MAX:
        raise InputError("KEY_PART", "a whole number beyond 64 bits")
    size = (abs(number).bit_length() + 7) // 8
    if number >= 0:
        return bytes((_ZERO + size,)) + number.to_bytes(size, "big")
    return bytes((_ZERO - size,)) + (number + (1 << 8 * size) - 1).to_bytes(size, "big")


def _decode_parts(body: bytes, at: int, depth: int) -> tuple[tuple[Part, ...], int]:
    """The parts from ``at`` to their 0x00, and where that one ends."""
    parts: list[Part] = []
    while body[at] != 0:
        tag = body[at]
        at += 1
        if tag == _DIGEST:
            parts.append(Digest(body[at : at + 32]))
            at += 32
        elif abs(tag - _ZERO) <= 8:
            size = abs(tag - _ZERO)
            number = int.from_bytes(body[at : at + size], "big")
            parts.append(number if tag >= _ZERO else number - (1 << 8 * size) + 1)
            at += size
        elif tag in (_BYTES, _TEXT):
            end = at
            while body[end] != 0 or body[end + 1 : end + 2] == _ABOVE:
                end += 1
            raw = body[at:end].replace(b"\x00\xff", b"\x00")
            parts.append(raw if tag == _BYTES else raw.decode())
            at = end + 1
        elif tag == _TUPLE and depth > 0:
            inner, at = _decode_parts(body, at, depth - 1)
            parts.append(inner)
        else:
            raise ValueError(tag)
    return tuple(parts), at + 1
