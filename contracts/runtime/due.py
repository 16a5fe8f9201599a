"""Calls that wait for their time: a queue in the state, ordered by time, then as they came.

It stands under the name ``due``: map ``queue``, key (time in ms, number) to [contract, method,
arguments, organisation whose usage it is], and ``next``, the next number.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Final, NamedTuple

import msgpack

from consensus.primitives.codec import encode, encode_normal
from consensus.primitives.keys import decode_key, encode_key, lower_bound, prefix_range
from contracts.runtime.overlay import Overlay, StateReader
from contracts.sdk.errors import refuse

NAME: Final = "due"
TIME_MS_MAX: Final = 2**63 - 1
CALL_BYTES_MAX: Final = 4096

_NEXT_KEY: Final = encode_key(NAME, "next", ())
_HANDLE: Final = re.compile(r"(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})")


class Call(NamedTuple):
    """A call that waits."""

    contract: str
    method: str
    args: dict[str, Any]
    organisation: str


def _key(time_ms: int, number: int) -> bytes:
    return encode_key(NAME, "queue", (time_ms, number))


def put(overlay: Overlay, time_ms: int, now_ms: int, call: Call) -> str:
    """Queue a call whose arguments are in normal form; its handle. A time that has passed counts as
    now, so that nobody gets before those who wait since then.

    Refuses DUE_TIME for what is no time, DUE_TOO_LARGE.
    """
    if type(time_ms) is not int or not 0 <= time_ms <= TIME_MS_MAX:
        refuse("DUE_TIME", "a time is whole milliseconds since 1970")
    time_ms = max(time_ms, now_ms)
    raw = encode_normal(list(call))
    if len(raw) > CALL_BYTES_MAX:
        refuse("DUE_TOO_LARGE", f"a call that waits has at most {CALL_BYTES_MAX} bytes")
    stored = overlay.get(_NEXT_KEY)
    number = 0 if stored is None else msgpack.unpackb(stored)
    overlay.put(_NEXT_KEY, encode(number + 1))
    overlay.put(_key(time_ms, number), raw)
    return f"{time_ms}-{number}"


def cancel(overlay: Overlay, handle: str, contract: str) -> None:
    """Take a contract's own call out of the queue. Refuses DUE_UNKNOWN."""
    found = _HANDLE.fullmatch(handle) if type(handle) is str and len(handle) <= 39 else None
    if found is not None:
        key = _key(int(found[1]), int(found[2]))
        raw = overlay.get(key)
        if raw is not None and msgpack.unpackb(raw)[0] == contract:
            overlay.put(key, None)
            return
    refuse("DUE_UNKNOWN", "no such call of this contract waits")


def ripe(state: StateReader, time_ms: int, count: int) -> list[tuple[bytes, Call]]:
    """The first calls whose time has come, with their keys."""
    start, _ = prefix_range(NAME, "queue")
    stop = lower_bound(NAME, "queue", (time_ms + 1,))
    return [
        (key, Call(*msgpack.unpackb(raw))) for key, raw in islice(state.scan(start, stop), count)
    ]


def time_of(key: bytes) -> int:
    """When a queued call is due, ms."""
    time_ms = decode_key(key)[2][0]
    assert isinstance(time_ms, int)
    return time_ms
