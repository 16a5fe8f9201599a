"""What a snapshot is: a manifest that its header vouches for, and chunks that the manifest names.

The manifest leads from the genesis document to the header: the last header of each set of
validators, with its certificate, then the snapshot's own. It has the upper pages of the state
tree, the **skeleton**, whose root is the header's state root. What hangs below the skeleton,
slot by slot in key order, are the **units**; a chunk of the state has the keys and values of some
units in a row, and these give the very slots, or the chunk is wrong. A chunk of blocks has blocks
with their receipts; each is named by the header after it.

The same state and blocks give the same bytes at every honest node, so chunks of one snapshot come
from several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final

from consensus import light, rules
from consensus.block import Block
from consensus.certificates import Certificate
from consensus.light import Step, Trusted
from consensus.primitives import merkle, tree
from consensus.primitives.codec import HASH, Blob, Items, Nested, UInt, Wire, decode, encode
from consensus.primitives.errors import CodecError, HansaError, LocalFault, PeerFault
from consensus.primitives.merkle import Frontier
from consensus.proofs import SealedHeader
from consensus.receipt import Receipt
from consensus.validators import ValidatorSet
from node.store.blocks import decode_receipts

CHUNK_BYTES: Final = 1 << 20
"""What a chunk grows to; one whose first part is longer has that alone."""
CHUNK_BYTES_MAX: Final = 13 << 20
MANIFEST_BYTES_MAX: Final = 12 << 20
CHUNKS_MAX: Final = 1 << 16
CHUNK_ITEMS_MAX: Final = 1 << 21
TURNS_MAX: Final = 4096
PAGES_MAX: Final = 1 << 15
KEYS_END: Final = b"\xff" * (tree.KEY_BYTES_MAX + 1)

Pairs = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Turn(Wire):
    """A header and the set that it names for the next block."""

    bytes_max: ClassVar[int] = 1 << 20

    sealed: Annotated[SealedHeader, Nested(SealedHeader)]
    next_validators: Annotated[ValidatorSet, Nested(ValidatorSet)]


@dataclass(frozen=True)
class SkeletonPage(Wire):
    path: Annotated[bytes, Blob(49, 1)]
    page: Annotated[bytes, Blob(1 << 14)]


@dataclass(frozen=True)
class Chunk(Wire):
    """``hash``: SHA-256 of its bytes, under which it is asked for. ``parts``: so many units of the
    state, or so many blocks."""

    hash: Annotated[bytes, HASH]
    size: Annotated[int, UInt(CHUNK_BYTES_MAX)]
    parts: Annotated[int, UInt(CHUNK_ITEMS_MAX)]


@dataclass(frozen=True)
class Manifest(Wire):
    """``turns`` ends with the snapshot's header. ``before`` is the frontier of the headers before
    the first block that comes with it, as a list; ``blocks`` and ``state`` are in order."""

    bytes_max: ClassVar[int] = MANIFEST_BYTES_MAX

    version: Annotated[int, UInt(1)]
    turns: Annotated[tuple[Turn, ...], Items(Nested(Turn), TURNS_MAX, 1)]
    slot: Annotated[bytes, Blob(1 << 12)]
    skeleton: Annotated[tuple[SkeletonPage, ...], Items(Nested(SkeletonPage), PAGES_MAX)]
    state: Annotated[tuple[Chunk, ...], Items(Nested(Chunk), CHUNKS_MAX)]
    before: Annotated[bytes, Blob(1 << 12)]
    blocks: Annotated[tuple[Chunk, ...], Items(Nested(Chunk), CHUNKS_MAX, 1)]

    @property
    def sealed(self) -> SealedHeader:
        return self.turns[-1].sealed

    @property
    def height(self) -> int:
        return self.sealed.height

    @property
    def first(self) -> int:
        """The height of the first block that comes with it."""
        return self.height + 1 - sum(one.parts for one in self.blocks)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        return self.state + self.blocks

    @property
    def frontier(self) -> Frontier:
        """Raises CodecError."""
        return Frontier.from_plain(decode(self.before, bytes_max=1 << 12))


@dataclass(frozen=True)
class Plan:
    """A manifest that was checked, and the units of each of its chunks of the state."""

    manifest: Manifest
    units: tuple[tuple[Unit, ...], ...]


@dataclass(frozen=True)
class Unit:
    """A slot below the skeleton, in a page that lies ``depth`` - 1 nibbles deep."""

    slot: bytes
    depth: int


def _invalid(what: str) -> PeerFault:
    return PeerFault("SNAPSHOT_INVALID", what)


def check_manifest(manifest: Manifest, root: Trusted, now_ms: int) -> Plan:
    """Judge a manifest by a trust root.

    Raises PeerFault SNAPSHOT_INVALID, LIGHT_..., PROOF_INVALID or CERTIFICATE_INVALID.
    """
    trusted = root
    policy = light.Policy(trust_period_ms=None)
    for turn in manifest.turns:
        step = Step(turn.sealed, turn.next_validators, None)
        trusted = replace(light.advance(trusted, step, now_ms, policy), header=None)
    header = manifest.sealed.header
    if tree.root_of(manifest.slot) != header.state_root:
        raise _invalid("its state is not that of its header")
    pages = {one.path: one.page for one in manifest.skeleton}
    used: set[bytes] = set()
    units = list(_units(manifest.slot, 0, pages, used))
    if len(used) != len(manifest.skeleton):
        raise _invalid("it has pages that are not of its tree")
    if sum(one.parts for one in manifest.state) != len(units):
        raise _invalid("its chunks are not the whole state")
    try:
        frontier = manifest.frontier
    except CodecError as error:
        raise _invalid(f"its history: {error.message}") from None
    if not 1 <= manifest.first == frontier.size:
        raise _invalid("its history does not end where its blocks begin")
    parts, at = [], 0
    for chunk in manifest.state:
        parts.append(tuple(units[at : at + chunk.parts]))
        at += chunk.parts
    return Plan(manifest, tuple(parts))


def _units(slot: bytes, depth: int, pages: dict[bytes, bytes], used: set[bytes]) -> Iterator[Unit]:
    """The slots below the skeleton, in key order. Raises PeerFault SNAPSHOT_INVALID."""
    path = path_of(slot)
    if path is None or path not in pages:
        if slot:
            yield Unit(slot, depth)
        return
    if path in used:
        raise _invalid("a page of its tree stands twice")
    used.add(path)
    try:
        page = tree.Page.decode(pages[path])
    except LocalFault:
        raise _invalid("a page of its tree is damaged") from None
    if page.hashes[1] != slot[:32] or path[0] < depth:
        raise _invalid("a page of its tree is not the one that is named")
    # The hashes alone don't tell where a lone part hangs, nor under which path a page is kept.
    prefix = path[1:].hex()[: path[0]]
    if sum(map(bool, page.slots)) < 2:
        raise _invalid("a page of its tree with less than two parts")
    for nibble, child in enumerate(page.slots):
        if not all(one.startswith(f"{prefix}{nibble:x}") for one in _places(child)):
            raise _invalid("a page of its tree has a part that belongs elsewhere")
        yield from _units(child, path[0] + 1, pages, used)


def _places(slot: bytes) -> list[str]:
    """In hexadecimal, the path of the page that a slot leads to, or the keys in it."""
    path = path_of(slot)
    if path is not None:
        return [path[1:].hex()[: path[0]]]
    return [leaf[33:].hex() for leaf in tree.leaves_of(slot)]


def path_of(slot: bytes) -> bytes | None:
    """Of the page that a slot leads to; None for one that holds leaves or nothing."""
    return slot[33:] if len(slot) > 33 and slot[32] == tree.PAGE else None


def encode_pairs(pairs: Pairs) -> bytes:
    return encode([part for pair in pairs for part in pair])


def read_state(raw: bytes, units: Sequence[Unit]) -> tuple[Pairs, list[tree.TreeUpdate]]:
    """The keys and values of a chunk, and what its units make of the tree.

    Raises PeerFault SNAPSHOT_INVALID unless they give the very slots.
    """
    try:
        plain = decode(raw, bytes_max=CHUNK_BYTES_MAX, items_max=CHUNK_ITEMS_MAX)
    except CodecError as error:
        raise _invalid(f"a chunk: {error.message}") from None
    if type(plain) is not list or len(plain) % 2 or any(type(one) is not bytes for one in plain):
        raise _invalid("a chunk that is no list of keys and values")
    pairs = list(zip(plain[::2], plain[1::2], strict=True))
    trees: list[tree.TreeUpdate] = []
    at = 0
    for unit in units:
        begin, at = at, at + _size(pairs, at, unit)
        try:
            made = tree.build(pairs[begin:at], unit.depth)
        except (HansaError, IndexError) as error:
            raise _invalid(f"a chunk that holds no tree: {error}") from None
        if made.slot != unit.slot:
            raise _invalid("a chunk that does not give what its manifest names")
        trees.append(made)
    if at != len(pairs):
        raise _invalid("a chunk with keys beyond its part")
    return pairs, trees


def _size(pairs: Pairs, at: int, unit: Unit) -> int:
    """How many pairs from ``at`` on are of a unit."""
    path = path_of(unit.slot)
    if path is None:
        return len(tree.leaves_of(unit.slot))
    under = below(path)
    end = at
    while end < len(pairs) and under(pairs[end][0]):
        end += 1
    return end - at


def below(path: bytes) -> Callable[[bytes], bool]:
    """Whether a key lies below the page at ``path``."""
    count, nibbles = path[0], path[1:]
    whole = nibbles[: count >> 1]
    if not count & 1:
        return lambda key: key.startswith(whole)
    last, at = nibbles[count >> 1] & 0xF0, count >> 1
    return lambda key: key.startswith(whole) and len(key) > at and key[at] & 0xF0 == last


def span(path: bytes) -> tuple[bytes, bytes]:
    """The range of the keys below the page at ``path``."""
    count, start = path[0], path[1:]
    number = int.from_bytes(start, "big") + (16 if count & 1 else 1)
    if number >> 8 * len(start):
        return start, KEYS_END
    return start, number.to_bytes(len(start), "big")


Kept = tuple[Block, tuple[Receipt, ...]]


def read_blocks(raw: bytes, count: int) -> list[Kept]:
    """The blocks of a chunk with their receipts. Raises PeerFault SNAPSHOT_INVALID."""
    try:
        plain = decode(raw, bytes_max=CHUNK_BYTES_MAX, items_max=2 * count)
        if type(plain) is not list or len(plain) != 2 * count:
            raise CodecError("WRONG_TYPE", f"not {count} blocks with receipts")
        found = []
        for block_raw, receipts_raw in zip(plain[::2], plain[1::2], strict=True):
            if type(block_raw) is not bytes or type(receipts_raw) is not bytes:
                raise CodecError("WRONG_TYPE", "blocks and receipts are bytes")
            block, receipts = Block.decode(block_raw), decode_receipts(receipts_raw)
            if not rules.is_whole(block):
                raise CodecError("WRONG_TYPE", f"block {block.height} is not what its header names")
            if merkle.root([one.raw for one in receipts]) != block.header.receipt_root:
                raise CodecError("WRONG_TYPE", f"the receipts of block {block.height} are others")
            found.append((block, receipts))
    except CodecError as error:
        raise _invalid(f"a chunk of blocks: {error.message}") from None
    return found


def certificates_of(manifest: Manifest, load: Callable[[int], Sequence[Kept]]) -> list[Certificate]:
    """Of all blocks that come with it, in order, once each is seen to be the parent of the next,
    down from the header. ``load`` gives a chunk of blocks by its number.

    Raises PeerFault SNAPSHOT_INVALID.
    """
    expected = manifest.sealed.header.digest
    copy: Certificate | None = manifest.sealed.certificate
    found = []
    for number in reversed(range(len(manifest.blocks))):
        for block, _ in reversed(load(number)):
            if block.hash != expected or copy is None or copy.block_hash != expected:
                raise _invalid(f"block {block.height} is not the parent of the one after it")
            found.append(copy)
            expected, copy = block.header.parent, block.last_certificate
    return found[::-1]


def check_place(block: Block, frontier: Frontier) -> None:
    """That the headers of ``frontier`` are those before the block. Raises PeerFault
    SNAPSHOT_INVALID."""
    if block.height != frontier.size or block.header.history_root != frontier.root:
        raise _invalid(f"block {block.height} is not where its history ends")
