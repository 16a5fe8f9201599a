"""The audit trail: what each call wrote, told by the runtime and not by the contract.

21 CFR 11.10(e): computer-generated, time-stamped, for records created, changed and deleted, without
obscuring what stood there before. Contracts whose class says ``audited = True`` have one event
``Written`` for each call of a transaction, and each timed call, that changed a record of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from consensus.receipt import Event
from contracts.runtime.steps import AUDITED, AUDITED_UNIT, Meter
from contracts.sdk.contract import Context
from contracts.sdk.methods import Method
from contracts.sdk.values import VALUE_ITEMS_MAX, text_size

EVENT: Final = "Written"
NO_RECORD: Final = bytes(32)
"""Stands where a hash would, of a record that was not there before or is not there after."""


Written = dict[bytes, tuple[str, str, Any, bytes | None]]
"""The records that the running call writes, by state key, in the order of the first writes:
contract, map, key as the contract named it, and the bytes that stood there before the call."""

_HEAD_SIZE: Final = 22 + sum(
    1 + len(name)
    for name in ("call", "key", "meaning", "method", "organisation", "records", "roles", "time")
)
_GROUP_SIZE: Final = 6 + sum(1 + len(name) for name in ("contract", "keys", "map", "new", "old"))


def written_event(
    ctx: Context,
    contract: str,
    declared: Method,
    call: int,
    written: Written,
    changes: dict[bytes, bytes | None],
    meter: Meter,
    take: Callable[[int], None],
) -> Event | None:
    """The event of one call; None if every record is as it was before.

    ``call`` counts the calls of the transaction from 0, ``changes`` are its writes so far. Hashing
    is paid for record by record; ``take`` is told the event's size before it is made.
    """
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    records = []
    size = 0
    for raw, (of, name, named, before) in written.items():
        after = changes.get(raw, before)
        if after == before:
            continue
        old = new = NO_RECORD
        meter.left -= AUDITED + (len(before or b"") + len(after or b"")) // AUDITED_UNIT
        if meter.left < 0:
            meter.stop()
        if before is not None:
            old = hashlib.sha256(before).digest()
        if after is not None:
            new = hashlib.sha256(after).digest()
        if type(named) is tuple:
            key = list(named)
            size += 65 + sum([_part_size(part) for part in key])
        else:
            key = named
            size += 64 + _part_size(key)
        group = groups.get((of, name))
        if group is None or len(group["keys"]) == VALUE_ITEMS_MAX:
            group = {"contract": of, "keys": [key], "map": name, "new": new, "old": old}
            groups[of, name] = group
            records.append(group)
            size += _GROUP_SIZE + len(of) + len(name)
        else:
            group["keys"].append(key)
            group["new"] += new
            group["old"] += old
    if not records:
        return None
    meaning, method = declared.mark.meaning, declared.name
    # The size by the rule for all events: 9 for a number, 1 for each other value and key.
    take(_HEAD_SIZE + _who_size(ctx.caller, ctx.organisation, ctx.roles, meaning, method) + size)
    fields = {
        "call": call,
        "key": ctx.caller,
        "meaning": meaning,
        "method": method,
        "organisation": ctx.organisation,
        "records": records,
        "roles": list(ctx.roles),
        "time": ctx.time_ms,
    }
    return Event.of_checked(contract=contract, name=EVENT, fields=fields)


@lru_cache(maxsize=4096)
def _who_size(
    key: bytes, organisation: str, roles: tuple[str, ...], meaning: str, method: str
) -> int:
    return len(key) + sum(map(text_size, (organisation, *roles, meaning, method)))


def _part_size(part: Any) -> int:
    if type(part) is str:
        return 1 + len(part) if part.isascii() else text_size(part)
    return 9 if type(part) is int else 1 + len(part)
