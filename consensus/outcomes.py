"""What validators tell each other when their outcomes of one content differ.

An :class:`Outcomes` is one validator's signed list: for each receipt of its own execution, in
order, the receipt's hash and the digest of what that work wrote. Comparing lists names the
first transaction on which validators disagree. Its :class:`Detail` then has the receipt and every
key written; it proves itself by the hashes in the list, so it is not signed.

Nothing here decides anything: lists never enter a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Annotated, ClassVar, Final

from consensus.block import CONTENT_TXS_MAX, Header
from consensus.primitives.codec import (
    HASH,
    KEY,
    SIGNATURE,
    Blob,
    Items,
    Maybe,
    Nested,
    Wire,
    encode,
)
from consensus.primitives.crypto import TAG_OUTCOMES, sha256, sign, verify
from consensus.primitives.tree import KEY_BYTES_MAX
from consensus.receipt import Receipt

RECEIPTS_MAX: Final = CONTENT_TXS_MAX + 256
"""Of a block: its transactions', and those of due calls and activations."""
WRITES_MAX: Final = 4_096
"""Writes of one transaction that a detail can hold."""
SHOWN_BYTES_MAX: Final = 256
"""Values up to this size are shown whole in a detail, larger ones by their hash alone."""

Entry = tuple[bytes, bytes]
"""(Receipt hash, digest of the writes): one place of a list."""
NOTHING: Final[Entry] = (b"", b"")
"""Where one list is shorter than another."""


@dataclass(frozen=True)
class Outcomes(Wire):
    """``receipts[i]`` and ``writes[i]`` are of the same transaction; those of due calls and
    activations follow the transactions'. ``writes`` is empty where they are not kept any more."""

    bytes_max: ClassVar[int] = 1 << 20
    items_max: ClassVar[int] = RECEIPTS_MAX

    content_hash: Annotated[bytes, HASH]
    header: Annotated[Header, Nested(Header)]
    receipts: Annotated[tuple[bytes, ...], Items(HASH, RECEIPTS_MAX)]
    writes: Annotated[tuple[bytes, ...], Items(HASH, RECEIPTS_MAX)]
    sender: Annotated[bytes, KEY]
    signature: Annotated[bytes, SIGNATURE]

    @property
    def height(self) -> int:
        return self.header.height

    @cached_property
    def block_hash(self) -> bytes:
        return self.header.digest

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        writes = self.writes if self.has_writes else (b"",) * len(self.receipts)
        return tuple(zip(self.receipts, writes, strict=True))

    @property
    def has_writes(self) -> bool:
        return len(self.writes) == len(self.receipts)

    @cached_property
    def lists_hash(self) -> bytes:
        """Stands for both lists in what is signed, so that a report needn't hold them."""
        return sha256(encode([list(self.receipts), list(self.writes)]))

    def signing_bytes(self, chain_id: bytes) -> bytes:
        return encode([chain_id, self.height, self.content_hash, self.block_hash, self.lists_hash])

    def signed(self, seed: bytes, chain_id: bytes) -> Outcomes:
        return replace(self, signature=sign(seed, TAG_OUTCOMES, self.signing_bytes(chain_id)))

    def signature_valid(self, chain_id: bytes) -> bool:
        return verify(self.sender, TAG_OUTCOMES, self.signing_bytes(chain_id), self.signature)


@dataclass(frozen=True)
class Write(Wire):
    """One key that was written: the new value's hash (None: deleted), and the value if short."""

    key: Annotated[bytes, Blob(KEY_BYTES_MAX, 1)]
    hash: Annotated[bytes | None, Maybe(HASH)]
    value: Annotated[bytes | None, Maybe(Blob(SHOWN_BYTES_MAX))]


@dataclass(frozen=True)
class Detail(Wire):
    """The receipt and the writes, in key order, behind one entry of a list; None for writes that
    are not kept any more."""

    bytes_max: ClassVar[int] = 3 << 20
    items_max: ClassVar[int] = WRITES_MAX

    receipt: Annotated[Receipt, Nested(Receipt)]
    writes: Annotated[tuple[Write, ...] | None, Maybe(Items(Nested(Write), WRITES_MAX))]

    @property
    def entry(self) -> Entry:
        """What stands for this in a list."""
        if self.writes is None:
            return self.receipt.digest, b""
        return self.receipt.digest, _digest([(one.key, one.hash) for one in self.writes])

    @property
    def is_true_to_itself(self) -> bool:
        """Whether the keys ascend and the values shown have the hashes beside them."""
        writes = self.writes or ()
        return all(one.key < other.key for one, other in pairwise(writes)) and all(
            one.value is None or (one.hash is not None and sha256(one.value) == one.hash)
            for one in writes
        )


def detail_of(receipt: Receipt, changes: Mapping[bytes, bytes | None] | None) -> Detail:
    """The detail of an own execution; ``changes`` maps keys to values, None where deleted."""
    if changes is None:
        return Detail(receipt, None)
    return Detail(
        receipt,
        tuple(
            Write(
                key,
                None if value is None else sha256(value),
                value if value is not None and len(value) <= SHOWN_BYTES_MAX else None,
            )
            for key, value in sorted(changes.items())
        ),
    )


def writes_digest(changes: Mapping[bytes, bytes | None]) -> bytes:
    """The digest of what some work wrote."""
    return _digest(
        [(key, None if value is None else sha256(value)) for key, value in sorted(changes.items())]
    )


def _digest(pairs: list[tuple[bytes, bytes | None]]) -> bytes:
    return sha256(encode([list(pair) for pair in pairs]))


@dataclass(frozen=True)
class Difference:
    """A place in the lists where they differ: each entry with its validators, most frequent
    first."""

    index: int
    holders: tuple[tuple[Entry, tuple[bytes, ...]], ...]

    @property
    def dissent(self) -> int:
        """How many stand against the most frequent entry."""
        return sum(len(keys) for _, keys in self.holders[1:])

    def against(self, key: bytes) -> int:
        """How many of the others agree with each other, and not with this validator."""
        return max(len(keys) for _, keys in self.holders if key not in keys)


def differences(lists: Mapping[bytes, Outcomes], transactions: int) -> list[Difference]:
    """In the order of execution: due calls and activations stand last in the lists and run
    first. Of receipts alone, if some list has no writes."""
    senders = sorted(lists)
    found: list[Difference] = []
    columns = [lists[key].entries for key in senders]
    if not all(one.has_writes for one in lists.values()):
        columns = [tuple((receipt, b"") for receipt, _ in entries) for entries in columns]
    for index, row in enumerate(zip_longest(*columns, fillvalue=NOTHING)):
        if row.count(row[0]) < len(row):
            holders: dict[Entry, list[bytes]] = {}
            for key, entry in zip(senders, row, strict=True):
                holders.setdefault(entry, []).append(key)
            ordered = sorted(holders.items(), key=lambda one: (-len(one[1]), one[0]))
            found.append(Difference(index, tuple((one, tuple(keys)) for one, keys in ordered)))
    found.sort(key=lambda one: (one.index < transactions, one.index))
    return found


def tainted_keys(details: list[Detail], *, all_known: bool) -> set[bytes]:
    """The keys that these results of one transaction leave different; all that they write, when
    some result is not known."""
    writes = [{one.key: one.hash for one in detail.writes or ()} for detail in details]
    keys = {key for one in writes for key in one}
    if not all_known:
        return keys
    return {key for key in keys if len({one.get(key, b"") for one in writes}) > 1}
