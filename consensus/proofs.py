"""What a third party needs to believe an answer about a chain: proofs against a header's roots.

A **state proof** is the state tree with everything cut off that does not matter: the leaves asked
for, and one hash for each part that was cut. So one form serves a key's presence, its absence (its
two neighbours with nothing between them), a complete range (all leaves of it, and a neighbour on
each side), and any number of these together, which share what stands above them. From it come
ICS-23 proofs (``consensus/ics23.py``). Lists (transactions, receipts, events, earlier headers) have
RFC 6962 proofs.

Nothing here reads a disk or a clock. ``check`` raises PeerFault PROOF_INVALID or
CERTIFICATE_INVALID; what is not told that way is true of every chain state with that root, provided
that the quorum which sealed the header was honest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, TypeVar

from consensus.block import Header
from consensus.certificates import HEIGHT, Certificate
from consensus.primitives import merkle, tree, walk
from consensus.primitives.codec import HASH, Blob, Items, Kind, Nested, UInt, Wire, decode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError, LocalFault, PeerFault
from consensus.primitives.tree import KEY_BYTES_MAX, PageSource
from consensus.receipt import Event, Receipt
from consensus.validators import ValidatorSet, signers

T = TypeVar("T")

PARTS_MAX: Final = 1 << 16
STATE_PROOF_BYTES_MAX: Final = 8 << 20
PROOF_LEAF_BYTES_MAX: Final = 2 << 20


def _invalid(why: str) -> PeerFault:
    return PeerFault("PROOF_INVALID", why)


# --- the state -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A leaf in a proof: with its value, or with the value's hash where the value is not needed."""

    key: bytes
    value: bytes | None
    value_hash: bytes

    @classmethod
    def whole(cls, key: bytes, value: bytes) -> Shown:
        return cls(key, value, sha256(value))

    @property
    def hash(self) -> bytes:
        return tree.leaf_hash_of(self.key, self.value_hash)


Part = Shown | bytes | None
"""A leaf, the hash of what was cut off, or None: the two parts before belong together."""


@dataclass(frozen=True)
class _Part(Kind):
    """``[key, value]``, ``[key, nil, value hash]``, 32 bytes, or nil."""

    def check(self, value: Any) -> Part:
        if value is None or (type(value) is bytes and len(value) == 32):
            found: bytes | None = value
            return found
        if type(value) is list and value and type(value[0]) is bytes:
            key, *rest = value
            if 0 < len(key) <= KEY_BYTES_MAX:
                if len(rest) == 1 and type(rest[0]) is bytes:
                    return Shown.whole(key, rest[0])
                if len(rest) == 2 and rest[0] is None and type(rest[1]) is bytes:
                    return Shown(key, None, HASH.check(rest[1]))
        raise CodecError("WRONG_TYPE", "not a part of a state proof")

    def plain(self, value: Part) -> Any:
        if not isinstance(value, Shown):
            return value
        if value.value is None:
            return [value.key, None, value.value_hash]
        return [value.key, value.value]

    def json(self, value: Part) -> Any:
        if value is None or isinstance(value, bytes):
            return None if value is None else value.hex()
        if value.value is None:
            return {"key": value.key.hex(), "value_hash": value.value_hash.hex()}
        return {"key": value.key.hex(), "value": value.value.hex()}

    def from_json(self, value: Any) -> Part:
        try:
            if type(value) is not dict:
                return self.check(None if value is None else bytes.fromhex(value))
            texts = {name: bytes.fromhex(text) for name, text in value.items()}
        except (TypeError, ValueError):
            raise CodecError("WRONG_TYPE", "not a part of a state proof") from None
        if texts.keys() == {"key", "value"}:
            return self.check([texts["key"], texts["value"]])
        if texts.keys() == {"key", "value_hash"}:
            return self.check([texts["key"], None, texts["value_hash"]])
        raise CodecError("WRONG_TYPE", "not a part of a state proof")


@dataclass(frozen=True)
class StateProof(Wire):
    """A cut tree, its parts in the order of the keys; docs/spec/proofs.md."""

    bytes_max: ClassVar[int] = STATE_PROOF_BYTES_MAX
    items_max: ClassVar[int] = PARTS_MAX

    parts: Annotated[tuple[Part, ...], Items(_Part(), PARTS_MAX)]

    def check(self, root: bytes) -> ProvenState:
        """What it shows of the state with this root. Raises PeerFault PROOF_INVALID."""
        hashes: list[bytes] = []
        leaves: list[Shown] = []
        closed = [True]
        for part in self.parts:
            if part is None:
                if len(hashes) < 2:
                    raise _invalid("its parts don't make a tree")
                right = hashes.pop()
                hashes[-1] = tree.join(hashes[-1], right)
            elif isinstance(part, Shown):
                if leaves and leaves[-1].key >= part.key:
                    raise _invalid("its keys are not in order")
                hashes.append(part.hash)
                leaves.append(part)
                closed.append(True)
            else:
                hashes.append(part)
                closed[-1] = False
        if len(hashes) > 1:
            raise _invalid("its parts don't make a tree")
        if (hashes[0] if hashes else tree.EMPTY_ROOT) != root:
            raise _invalid("it is not of the state that the header names")
        return ProvenState(leaves, closed)


class ProvenState:
    """What a checked proof shows of a state. A question that it does not answer raises InputError
    NOT_IN_PROOF: it never passes for an absence."""

    def __init__(self, leaves: Sequence[Shown], closed: Sequence[bool]) -> None:
        """``closed[i]``: whether nothing stands between leaf ``i - 1`` and leaf ``i``."""
        self._leaves = leaves
        self._keys = [leaf.key for leaf in leaves]
        self._closed = closed

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None when the state has no such key."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            return _value(self._leaves[at])
        if not self._closed[at]:
            raise InputError("NOT_IN_PROOF", f"the proof does not cover key {key.hex()}")
        return None

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs with ``start <= key < stop``, none left out."""
        if start >= stop:
            return
        lo, hi = bisect_left(self._keys, start), bisect_left(self._keys, stop)
        begins = lo < len(self._keys) and self._keys[lo] == start
        # A gap before the start, or behind a key at the very end, is none of the range's.
        ends = hi > lo and stop == self._keys[hi - 1] + b"\0"
        if not all(self._closed[lo + begins : hi + 1 - ends]):
            raise InputError(
                "NOT_IN_PROOF", f"the proof does not cover all of {start.hex()} to {stop.hex()}"
            )
        for leaf in self._leaves[lo:hi]:
            yield leaf.key, _value(leaf)

    def covered_to(self, start: bytes, stop: bytes) -> bytes:
        """Up to where, ``stop`` at most, :meth:`scan` answers from ``start`` on; ``start`` itself
        where it answers nothing."""
        at = bisect_left(self._keys, start)
        is_leaf = at < len(self._keys) and self._keys[at] == start
        if not is_leaf and not self._closed[at]:
            return start
        while at < len(self._keys) and self._keys[at] < stop:
            if self._leaves[at].value is None:
                return self._keys[at]
            at += 1
            if not self._closed[at]:
                return min(stop, self._keys[at - 1] + b"\0")
        return stop


def _value(leaf: Shown) -> bytes:
    if leaf.value is None:
        raise InputError("NOT_IN_PROOF", f"the proof leaves out the value of key {leaf.key.hex()}")
    return leaf.value


Values = Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Wanted:
    """Keys and complete ranges ``start <= key < stop`` that a proof is to cover."""

    keys: Sequence[bytes] = ()
    ranges: Sequence[tuple[bytes, bytes]] = ()


def prove_state(
    source: PageSource, slot: bytes, values: Values, wanted: Wanted, *, neighbours: bool = False
) -> StateProof:
    """The proof of all that is ``wanted`` of the tree that ``slot`` holds.

    ``values`` has the tree's values. With ``neighbours`` the leaves beside an absence come with
    their values too, as ICS-23 needs them. Raises LocalFault where pages or values are damaged,
    InputError PROOF_TOO_LARGE beyond 65,536 parts.
    """
    top = walk.top(source, slot)
    if top is None:
        return StateProof(())
    spans: list[walk.Span] = []
    asked = set(wanted.keys)
    for key in asked:
        found = walk.around(top, key)
        leaf = found.at
        spans.append(_span(leaf or found.before, leaf or found.after))
    for start, stop in wanted.ranges:
        if start < stop:
            first, last = walk.around(top, start), walk.around(top, stop)
            spans.append(_span(first.before or first.at or first.after, last.at or last.after))
    parts: list[Part] = []
    for part in walk.cut(top, _merged(spans)):
        if len(parts) == PARTS_MAX:
            raise InputError("PROOF_TOO_LARGE", "so many keys are proven in several proofs")
        if not isinstance(part, walk.Leaf):
            parts.append(None if isinstance(part, walk.Join) else part)
            continue
        key = part.key
        value = values(key)
        shown = None if value is None else Shown.whole(key, value)
        if shown is None or shown.hash != part.hash:
            raise LocalFault("STORE_CORRUPT", f"the value of key {key.hex()} is not the tree's")
        if not (neighbours or key in asked or any(a <= key < b for a, b in wanted.ranges)):
            shown = Shown(key, None, shown.value_hash)
        parts.append(shown)
    return StateProof(tuple(parts))


def _span(first: walk.Leaf | None, last: walk.Leaf | None) -> walk.Span:
    """From one leaf to another; None stands for the end of the tree on that side."""
    low = 0 if first is None else walk.number(first.key)
    return low, walk.BEYOND if last is None else walk.number(last.key)


def _merged(spans: Iterable[walk.Span]) -> list[walk.Span]:
    merged: list[walk.Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged


# --- lists ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListProof(Wire):
    """That something stands in a list: its place, the list's size, the path to the root.

    A root does not name its list's size, so (index, size) are believed only where the size is known
    from elsewhere, as that of the earlier headers is. What the leaf itself says is proven.
    """

    index: Annotated[int, UInt(merkle.SIZE_MAX)]
    size: Annotated[int, UInt(merkle.SIZE_MAX)]
    path: Annotated[tuple[bytes, ...], Items(HASH, merkle.PROOF_HASHES_MAX)]

    @classmethod
    def make(cls, leaves: Sequence[bytes], index: int) -> ListProof:
        """Raises IndexError."""
        return cls(index, len(leaves), tuple(merkle.inclusion_proof(leaves, index)))

    def check(self, root: bytes, leaf: bytes) -> None:
        """Raises PeerFault PROOF_INVALID."""
        if not merkle.verify_inclusion(root, self.size, self.index, leaf, self.path):
            raise _invalid("it does not lead to the header")


@dataclass(frozen=True)
class LeafProof(Wire):
    """An element of a block's list with its proof: a signed transaction, the canonical bytes of a
    receipt, or an event's leaf, ``[transaction index, event]``."""

    bytes_max: ClassVar[int] = PROOF_LEAF_BYTES_MAX + (1 << 16)

    leaf: Annotated[bytes, Blob(PROOF_LEAF_BYTES_MAX)]
    proof: Annotated[ListProof, Nested(ListProof)]

    def check_transaction(self, header: Header) -> bytes:
        """The wire id, of a transaction in this block. Raises PeerFault PROOF_INVALID."""
        wire_id = sha256(self.leaf)
        self.proof.check(header.tx_root, wire_id)
        return wire_id

    def check_receipt(self, header: Header) -> Receipt:
        """A receipt of this block; its wire id tells whose. Raises PeerFault PROOF_INVALID."""
        self.proof.check(header.receipt_root, self.leaf)
        return self._read(Receipt.decode)

    def check_event(self, header: Header) -> tuple[int, Event]:
        """(transaction index, event) of this block. Raises PeerFault PROOF_INVALID."""
        self.proof.check(header.event_root, self.leaf)
        return self._read(_event)

    def _read(self, read: Callable[[bytes], T]) -> T:
        try:
            return read(self.leaf)
        except CodecError as error:
            raise _invalid(f"it proves what can't be read: {error.message}") from None


def _event(leaf: bytes) -> tuple[int, Event]:
    plain = decode(leaf, bytes_max=PROOF_LEAF_BYTES_MAX)
    if type(plain) is not list or len(plain) != 2 or type(plain[0]) is not int:
        raise CodecError("WRONG_TYPE", "not an event with its transaction's index")
    return plain[0], Event.from_plain(plain[1])


# --- headers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SealedHeader(Wire):
    """A header with the certificate that commits its block: what every other proof hangs on."""

    header: Annotated[Header, Nested(Header)]
    certificate: Annotated[Certificate, Nested(Certificate)]

    @property
    def height(self) -> int:
        return self.header.height

    def check(self, chain_id: bytes, validators: ValidatorSet, quorum: int) -> Header:
        """The header, if it is one of this chain and a quorum of ``validators``, which it names,
        sealed it. Raises PeerFault PROOF_INVALID or CERTIFICATE_INVALID."""
        header, certificate = self.header, self.certificate
        if header.chain_id != chain_id:
            raise _invalid("its header is another chain's")
        if (certificate.height, certificate.block_hash) != (header.height, header.digest):
            raise _invalid("its certificate is another header's")
        if header.validators_hash != validators.digest:
            raise _invalid("its header names other validators")
        certificate.check(chain_id, validators, quorum)
        return header

    def signers(self, validators: ValidatorSet) -> list[bytes]:
        """The keys that sealed it, by the set that it was checked with."""
        positions = signers(self.certificate.signers, len(validators)) or []
        return [validators.members[position].key for position in positions]


def check_earlier(header: Header, earlier: Header, proof: ListProof) -> None:
    """``earlier`` stands in the history that ``header`` names. Raises PeerFault PROOF_INVALID."""
    if (proof.index, proof.size) != (earlier.height, header.height):
        raise _invalid("it is about other heights")
    proof.check(header.history_root, earlier.digest)


@dataclass(frozen=True)
class HistoryProof(Wire):
    """That the history of one header begins with that of an older one: no block was exchanged."""

    old: Annotated[int, HEIGHT]
    new: Annotated[int, HEIGHT]
    path: Annotated[tuple[bytes, ...], Items(HASH, merkle.PROOF_HASHES_MAX)]

    def check(self, old: Header, new: Header) -> None:
        """Raises PeerFault PROOF_INVALID. A header's history has as many hashes as its height; that
        of block 0 is empty and proves nothing."""
        if (self.old, self.new) != (old.height, new.height):
            raise _invalid("it is about other heights")
        if not merkle.verify_consistency(
            old.history_root, old.height, new.history_root, new.height, self.path
        ):
            raise _invalid("the newer header's history does not begin with the older one's")
