"""The contract ``vault`` in the committed state, as the node itself reads it.

What the contract writes and this module reads is one layout: maps ``entries`` and ``erasures`` of
``contracts/system/vault.py``. A chain without that contract entitles nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgpack

from consensus.primitives.keys import digest_part, encode_key, prefix_range
from contracts.runtime.overlay import StateReader
from contracts.system.vault import Entry

CONTRACT: Final = "vault"
SHARED: Final = "Shared"
ERASED: Final = "Erased"
"""Its events; both name the commitments."""

_FIELDS: Final = len(Entry.__hansa_names__)


class ChainEntitlements:
    """Who may have what, by the newest committed block."""

    def __init__(self, state: StateReader) -> None:
        self._state = state

    def entry(self, commitment: bytes) -> Entry | None:
        raw = self._state.get(encode_key(CONTRACT, "entries", (digest_part(commitment),)))
        return None if raw is None else _entry(raw)

    def erased(self, commitment: bytes, organisation: str) -> bool:
        parts = digest_part(commitment), organisation
        return self._state.get(encode_key(CONTRACT, "erasures", parts)) is not None

    def of(self, organisation: str) -> Iterator[bytes]:
        """All commitments that an organisation is entitled to: looks through all entries."""
        name = organisation.encode()
        for _, raw in self._state.scan(*prefix_range(CONTRACT, "entries")):
            if name not in raw:
                continue  # most are others': not worth taking apart
            entry = _entry(raw)
            if entry.commitment and organisation in entry.organisations:
                yield entry.commitment


def _entry(raw: bytes) -> Entry:
    stored: list[Any] = msgpack.unpackb(raw)
    return Entry(*stored[:_FIELDS])  # a later version may have more fields
