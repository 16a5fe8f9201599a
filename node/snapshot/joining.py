"""A new node's start from a snapshot that several peers have.

It believes its trust root. A manifest that does not lead from there to its header, and a chunk that
is not the one named, cost the peer that gave it the link; a manifest whose chunks don't give its
own tree costs it all who offered it. What was checked is written at once, so an interrupted start
goes on where it was, as long as somebody still has that snapshot.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import trio

from consensus.light import Trusted
from consensus.primitives import tree
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, HansaError, InputError, LocalFault, PeerFault
from consensus.transaction import Transaction
from genesis.document import GenesisDocument
from node import frames, log
from node.ports import Blocking, Clock
from node.snapshot.form import (
    CHUNK_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    Kept,
    Manifest,
    Plan,
    certificates_of,
    check_manifest,
    check_place,
    read_blocks,
    read_state,
)
from node.store import schema
from node.store.blocks import BlockStore, Operations
from node.store.history import Subtrees
from node.store.kv import KV
from node.store.schema import height_key
from node.store.state import META, STATE, page_written, slots_written
from p2p.ports import Channel, Network, PeerAddress, PeerUnavailable

OFFER_BYTES_MAX: Final = 1 << 16
OFFER_TIMEOUT_MS: Final = 5_000
PART_TIMEOUT_MS: Final = 30_000
PATIENCE_MS: Final = 60_000
"""So long a peer with a snapshot is waited for."""
AGAIN_MS: Final = 500
FAILURES_MAX: Final = 3
"""So often a peer may not give what it offers before it is asked no more."""
OFFERS_MAX: Final = 4
PER_PEER: Final = 2
"""Parts under way from one peer: one comes while the other is checked."""

SCRATCH: Final = "chain.joining"
_MANIFEST: Final = b"~m"
_DONE: Final = b"~d"
_BLOCKS: Final = b"~b"
_END: Final = b"~\xff"

Progress = Callable[[str, int, int], None]
_log = log.get("snapshot")


class Joining:
    """The network's Handler while there is no chain yet, and the work on it."""

    def __init__(
        self,
        document: GenesisDocument,
        network: Callable[[Joining], Network],
        members: Iterable[PeerAddress],
        kv: KV,
        blocking: Blocking,
        clock: Clock,
        progress: Progress,
        block_hash: bytes | None = None,
    ) -> None:
        """``kv``: the store to fill, empty or with what an earlier try left. ``block_hash``: only a
        snapshot of this block."""
        self._document = document
        self._kv = kv
        self._blocking = blocking
        self._clock = clock
        self._progress = progress
        self._block_hash = block_hash
        self._refused: set[bytes] = set()
        """Digests of manifests that turned out to be wrong."""
        self._empty_offers: Counter[bytes] = Counter()
        """Peer -> how often in a row it did not give a manifest that it offered."""
        self._writing = trio.Lock()
        self._names = {one.key: one.name for one in members}
        self.network = network(self)
        self.network.admit(members)

    # --- the network's Handler ---------------------------------------------------------------

    async def on_connect(self, peer: bytes) -> None:
        _log.info("peer connected", peer=self._names.get(peer, peer.hex()[:12]))

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        pass

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        name = self._names.get(peer, peer.hex()[:12])
        _log.warning("peer at fault", peer=name, code=fault.code, reason=fault.message)

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """What peers tell each other is of no use yet."""

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        raise HansaError("NODE_NOT_READY", "this node has no chain yet")

    # --- the work ----------------------------------------------------------------------------

    async def run(self) -> Manifest:
        """Fill the store; the manifest of the snapshot that is in it then.

        Raises InputError SNAPSHOT_NONE where no peer gives one, LocalFault of the store.
        """
        until = self._clock.mono_ms() + PATIENCE_MS
        while True:
            found = await self._choose()
            if found is not None and await self._fill(*found):
                return found[0].manifest
            if found is not None:
                until = self._clock.mono_ms() + PATIENCE_MS
            elif self._clock.mono_ms() >= until:
                raise InputError("SNAPSHOT_NONE", self._why_none())
            await self._clock.sleep_ms(AGAIN_MS)

    def _why_none(self) -> str:
        if not self.network.connected():
            return "no admitted peer is in touch: is this node admitted, are addresses right?"
        wanted = "" if self._block_hash is None else f" of block {self._block_hash.hex()}"
        return (
            f"no peer in touch has a snapshot{wanted} that holds: start the node without one, or"
            " ask an operator to set history.snapshots"
        )

    async def _choose(self) -> tuple[Plan, list[bytes]] | None:
        """The manifest to go by, checked, and who has it: the one begun, else the newest."""
        offers: dict[tuple[int, bytes], list[bytes]] = {}
        async with trio.open_nursery() as nursery:
            for peer in self.network.connected():
                nursery.start_soon(self._ask_offers, peer, offers)
        begun = self._kv.get(_MANIFEST)
        mine = None if begun is None else sha256(begun)
        for height, digest in sorted(offers, key=lambda one: (one[1] == mine, one), reverse=True):
            peers = offers[height, digest]
            if digest in self._refused:
                continue
            for peer in peers:
                if self._empty_offers[peer] >= FAILURES_MAX:
                    continue
                raw = await self._part(peer, height, digest)
                if raw is None:
                    self._empty_offers[peer] += 1
                    continue
                self._empty_offers[peer] = 0
                plan = await self._plan(raw, height)
                if isinstance(plan, Plan):
                    return plan, peers
                self._refuse(digest, peers, plan)
                break
        return None

    async def _ask_offers(self, peer: bytes, offers: dict[tuple[int, bytes], list[bytes]]) -> None:
        request = frames.frame(frames.SNAPSHOTS, [])
        try:
            raw = await self.network.request(
                peer, request, bytes_max=OFFER_BYTES_MAX, timeout_ms=OFFER_TIMEOUT_MS
            )
            for height, digest in frames.read(raw, OFFER_BYTES_MAX)[:OFFERS_MAX]:
                if type(height) is not int or type(digest) is not bytes or len(digest) != 32:
                    raise TypeError("fields of other types")
                offers.setdefault((height, digest), []).append(peer)
        except PeerUnavailable:
            pass
        except (PeerFault, ValueError, TypeError):
            self.network.accuse(peer, PeerFault("MESSAGE_MALFORMED", "no list of snapshots"))

    async def _part(self, peer: bytes, height: int, digest: bytes) -> bytes | None:
        """A part from a peer; None where it does not give it, and one that gives another is cut
        off."""
        try:
            raw = await self.network.request(
                peer,
                frames.frame(frames.PART, [height, digest]),
                bytes_max=max(CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX),
                timeout_ms=PART_TIMEOUT_MS,
            )
        except PeerUnavailable as error:
            if error.code == "RESPONSE_TOO_LARGE":
                self.network.accuse(peer, PeerFault("SNAPSHOT_INVALID", error.message))
            return None
        if sha256(raw) != digest:
            self.network.accuse(peer, PeerFault("SNAPSHOT_INVALID", "a part with another digest"))
            return None
        return raw

    async def _plan(self, raw: bytes, height: int) -> Plan | HansaError:
        """The plan of a manifest; else what is wrong with it."""

        def judge() -> Plan:
            manifest = Manifest.decode(raw)
            if manifest.height != height:
                raise PeerFault("SNAPSHOT_INVALID", "it is of another height than was told")
            document = self._document
            root = Trusted.genesis(
                document.chain_id,
                document.params.fault_model,
                document.time_ms,
                document.validator_set(),
            )
            return check_manifest(manifest, root, self._clock.wall_ms())

        try:
            plan = await self._blocking.run(judge)
        except (CodecError, PeerFault) as error:
            return error
        if self._block_hash not in (None, plan.manifest.sealed.header.digest):
            return InputError("SNAPSHOT_NONE", "a snapshot of another block than wanted")
        return plan

    def _refuse(self, digest: bytes, peers: Iterable[bytes], why: HansaError) -> None:
        self._refused.add(digest)
        _log.warning("snapshot refused", digest=digest, code=why.code, reason=why.message)
        if isinstance(why, InputError) or why.code == "LIGHT_FUTURE":
            return  # not wanted, or this machine's clock is behind: no lie
        for peer in peers:
            self.network.accuse(peer, PeerFault("SNAPSHOT_INVALID", why.message))

    async def _fill(self, plan: Plan, peers: list[bytes]) -> bool:
        """Fetch what is missing from all who have it, then finish. False: choose again."""
        manifest = plan.manifest
        if self._kv.get(_MANIFEST) != manifest.raw:
            await self._blocking.run(lambda: self._begin(manifest))
        chunks = manifest.chunks
        waiting = [
            number
            for number in reversed(range(len(chunks)))
            if self._kv.get(_DONE + _number(number)) is None
        ]
        missing = set(waiting)
        self._progress("parts", len(chunks) - len(missing), len(chunks))

        async def work(peer: bytes) -> None:
            failures = 0
            while waiting and failures < FAILURES_MAX:
                number = waiting.pop()
                raw = await self._part(peer, manifest.height, chunks[number].hash)
                if raw is None:
                    waiting.append(number)
                    failures += 1
                    await self._clock.sleep_ms(AGAIN_MS)
                    continue
                async with self._writing:
                    await self._blocking.run(partial(self._keep, plan, number, raw))
                missing.discard(number)
                self._progress("parts", len(chunks) - len(missing), len(chunks))

        try:
            async with trio.open_nursery() as nursery:
                for peer in peers:
                    for _ in range(PER_PEER):
                        nursery.start_soon(work, peer)
            if missing:
                return False
            await self._blocking.run(lambda: self._finish(manifest))
        except BaseExceptionGroup as group:
            fault, rest = group.split(PeerFault)
            if rest is not None or fault is None:
                raise
            self._refuse(manifest.digest, peers, _first(fault))
            return False
        except PeerFault as error:
            self._refuse(manifest.digest, peers, error)
            return False
        return True

    # --- the store, in a thread --------------------------------------------------------------

    def _begin(self, manifest: Manifest) -> None:
        """Nothing but this manifest is in the store."""
        while found := [key for key, _ in _some(self._kv)]:
            self._kv.write([(key, None) for key in found], sync=False)
        self._kv.write([(_MANIFEST, manifest.raw)], sync=True)

    def _keep(self, plan: Plan, number: int, raw: bytes) -> None:
        """A part that was fetched, with its mark. Raises PeerFault SNAPSHOT_INVALID."""
        of_state = len(plan.manifest.state)
        operations: Operations = [(_DONE + _number(number), b"")]
        if number < of_state:
            pairs, trees = read_state(raw, plan.units[number])
            operations += [(STATE + key, value) for key, value in pairs]
            for made in trees:
                operations += slots_written(made)
        else:
            read_blocks(raw, plan.manifest.chunks[number].parts)
            operations.append((_BLOCKS + _number(number - of_state), raw))
        self._kv.write(operations, sync=False)

    def _finish(self, manifest: Manifest) -> None:
        """What leads from the parts to a chain's store. Raises PeerFault SNAPSHOT_INVALID."""
        kv = self._kv

        def load(number: int) -> list[Kept]:
            raw = kv.get(_BLOCKS + _number(number))
            if raw is None:
                raise LocalFault("STORE_CORRUPT", f"part {number} of the blocks is missing")
            return read_blocks(raw, manifest.blocks[number].parts)

        certificates = iter(certificates_of(manifest, load))
        frontier = manifest.frontier
        kv.write(self._ground(manifest), sync=False)
        blocks = BlockStore(kv)
        for number, _ in enumerate(manifest.blocks):
            for block, receipts in load(number):
                check_place(block, frontier)
                frontier = frontier.append(block.hash)
                tx_ids = tuple(Transaction.parse(raw).tx_id for raw in block.bodies)
                certificate = next(certificates)
                kv.write(blocks.append(block, certificate, receipts, tx_ids, frontier), sync=False)
            self._progress("blocks", number + 1, len(manifest.blocks))
        marks = [_DONE + _number(number) for number in range(len(manifest.chunks))]
        parts = [_BLOCKS + _number(number) for number in range(len(manifest.blocks))]
        before = height_key(schema.CERTIFICATE, manifest.first - 1)
        kv.write([(key, None) for key in (*marks, *parts, before, _MANIFEST)], sync=True)

    def _ground(self, manifest: Manifest) -> Operations:
        """All but the parts: whose chain, the tree's upper pages, sets, headers before."""
        first = self._document.validator_set()
        operations: Operations = [
            (schema.CHAIN_ID, self._document.chain_id),
            (schema.VERSION, schema.LAYOUT_VERSION),
            (schema.OLDEST, manifest.first.to_bytes(8, "big")),
            (schema.JOINED, manifest.before),
            (schema.VALIDATORS + first.digest, first.raw),
            (META, manifest.slot or None),
        ]
        for one in manifest.skeleton:
            operations += page_written(one.path, tree.Page.decode(one.page))
        operations += Subtrees.of(manifest.frontier)
        blocks = BlockStore(self._kv)
        for turn in manifest.turns:
            header = turn.sealed.header
            operations += blocks.known_validators(turn.next_validators)
            if header.validators_hash != header.next_validators_hash:
                operations += blocks.turn(turn.sealed)
        return operations


def _number(number: int) -> bytes:
    return struct.pack(">I", number)


def _first(group: BaseExceptionGroup[BaseException]) -> PeerFault:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            return _first(one)
        if isinstance(one, PeerFault):
            return one
    raise AssertionError("a group of peers' faults")


def _some(kv: KV) -> Iterable[tuple[bytes, bytes]]:
    for count, pair in enumerate(kv.scan(b"", b"\xff" * 200)):
        if count == 10_000:
            return
        yield pair
