"""Outcomes told and asked: the signed lists of ``consensus.outcomes`` between nodes.

What a node's executions gave is kept for a while, by reference: nothing is hashed before somebody
asks. Lists are asked for only when outcomes differ. An answer is limited before it is decoded, and
one that no honest validator gives costs its sender the link.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from consensus.block import Content, Header
from consensus.outcomes import WRITES_MAX, Detail, Outcomes, detail_of, writes_digest
from consensus.primitives.codec import Wire, encode
from consensus.primitives.errors import CodecError, HansaError, PeerFault
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from contracts.runtime.registry import Registry
from node import frames, log
from node.chain import Chain, Outcome
from node.metrics import Metrics
from node.ports import Clock
from node.roster import Roster
from node.signer import Signer
from p2p.ports import Network, PeerUnavailable

KEPT_MAX: Final = 32
KEPT_RECEIPTS_MAX: Final = 4_000
SLICE: Final = 64
"""Receipts hashed before the event loop gets its turn again."""
LIST_AGAIN_MS: Final = 1_000
"""One peer has at most so many lists made anew: a list takes as long to make as many blocks."""

SETTLE_MS: Final = 500
"""So long all validators are waited for, then enough of them."""
GATHER_MS: Final = 3_000
POLL_MS: Final = 20
ASK_AGAIN_MS: Final = 100
DETAIL_MS: Final = 1_000
DETAILS_MS: Final = 5_000
"""For the details of one comparison in all: whoever is silent delays a report by no more."""

NOBODY: Final = bytes(32)
"""The sender of an own list where this node does not vote."""
UNSIGNED: Final = bytes(64)

_log = log.get("divergence")


@dataclass
class Kept:
    """What executing one content gave here; ``write_sets`` in the order of the receipts, none for
    a block that was executed long ago."""

    content: Content
    header: Header
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    write_sets: tuple[dict[bytes, bytes | None], ...]
    registry: Registry | None
    listed: Outcomes | None = None

    def detail(self, index: int) -> Detail:
        return detail_of(self.receipts[index], self.write_sets[index] if self.write_sets else None)


class Exchange:
    """This node's outcomes for those who ask, and the others' for this node."""

    def __init__(
        self,
        chain: Chain,
        network: Network,
        roster: Roster,
        clock: Clock,
        metrics: Metrics,
        signer: Callable[[], Signer | None],
    ) -> None:
        """``signer`` gives the one in use, None while this node does not vote: only validators'
        lists count, so only they tell theirs."""
        self._signer = signer
        self._chain = chain
        self._network = network
        self._roster = roster
        self._clock = clock
        self._metrics = metrics
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._receipts = 0
        self._listing = trio.Lock()
        self._listed_ms: dict[bytes, int] = {}

    # --- own outcomes ------------------------------------------------------------------------

    def keep(self, outcome: Outcome) -> None:
        """Remember an outcome beyond its height: who diverged asks when others have gone on."""
        digest = outcome.content.digest
        self._forget(digest)
        self._kept[digest] = Kept(
            outcome.content,
            outcome.header,
            outcome.transactions,
            outcome.receipts,
            outcome.write_sets,
            outcome.registry,
        )
        self._receipts += len(outcome.receipts)
        while len(self._kept) > KEPT_MAX or (
            self._receipts > KEPT_RECEIPTS_MAX and len(self._kept) > 1
        ):
            self._forget(next(iter(self._kept)))

    def _forget(self, digest: bytes) -> None:
        old = self._kept.pop(digest, None)
        if old is not None:
            self._receipts -= len(old.receipts)

    def _stored(self, height: int, digest: bytes) -> Kept | None:
        """What is left of a block committed long ago: its receipts."""
        recorded = self._chain.blocks.recorded(height) if 0 < height <= self._chain.height else None
        if recorded is None or recorded.block.content.digest != digest:
            return None
        return Kept(recorded.block.content, recorded.block.header, (), recorded.receipts, (), None)

    def kept(self, digest: bytes) -> Kept | None:
        return self._kept.get(digest)

    @property
    def signer(self) -> Signer | None:
        return self._signer()

    @property
    def me(self) -> bytes:
        """The sender of own lists."""
        signer = self._signer()
        return NOBODY if signer is None else signer.key

    async def own_list(self, kept: Kept) -> Outcomes:
        async with self._listing:
            if kept.listed is None:
                receipts, writes = [], []
                for number, receipt in enumerate(kept.receipts):
                    if number % SLICE == 0:
                        await trio.lowlevel.checkpoint()
                    receipts.append(receipt.digest)
                    if kept.write_sets:
                        writes.append(writes_digest(kept.write_sets[number]))
                kept.listed = Outcomes(
                    kept.content.digest,
                    kept.header,
                    tuple(receipts),
                    tuple(writes),
                    NOBODY,
                    UNSIGNED,
                )
        signer = self._signer()
        return kept.listed if signer is None else signer.attest(kept.listed)

    async def answer_outcomes(self, peer: bytes, raw: bytes) -> bytes:
        """The answer to OUTCOMES. Raises HansaError OUTCOME_UNKNOWN, PeerFault."""
        height, digest = frames.read_fields(raw, int, bytes)
        kept = self._kept.get(digest) or self._stored(height, digest)
        if kept is None or self.signer is None:
            raise HansaError("OUTCOME_UNKNOWN", "no outcome of this content, or no vote to sign it")
        if kept.listed is None:
            now = self._clock.mono_ms()
            if now - self._listed_ms.get(peer, -LIST_AGAIN_MS) < LIST_AGAIN_MS:
                raise HansaError("OUTCOME_UNKNOWN", "one list after the other; ask again")
            self._listed_ms[peer] = now
        return (await self.own_list(kept)).raw

    def answer_writes(self, raw: bytes) -> bytes:
        """The answer to WRITES. Raises HansaError OUTCOME_UNKNOWN, PeerFault."""
        height, digest, index = frames.read_fields(raw, int, bytes, int)
        kept = self._kept.get(digest) or self._stored(height, digest)
        if kept is None or not 0 <= index < len(kept.receipts):
            raise HansaError("OUTCOME_UNKNOWN", "no such outcome is kept here")
        if kept.write_sets and len(kept.write_sets[index]) > WRITES_MAX:
            raise HansaError("OUTCOME_UNKNOWN", f"more than {WRITES_MAX} writes")
        return kept.detail(index).raw

    # --- the others' -------------------------------------------------------------------------

    async def gather(self, content: Content) -> dict[bytes, Outcomes]:
        """Lists by the validator that signed them, and the own one under ``me``, as far as they
        come within ``GATHER_MS``."""
        lists: dict[bytes, Outcomes] = {}
        peers = [
            peer
            for peer in self._roster.connected_validators(self._network)
            if self._roster.validators[peer] != self.me
        ]
        limits = self._chain.validators.thresholds(self._chain.params.fault_model)
        enough = limits.n - limits.tolerated_liars
        started = self._clock.mono_ms()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._add_own, content, lists)
            for peer in peers:
                nursery.start_soon(self._add, peer, content, lists)
            while len(lists) < len(peers) + 1:
                waited = self._clock.mono_ms() - started
                if waited >= GATHER_MS or (waited >= SETTLE_MS and len(lists) >= enough):
                    break
                await self._clock.sleep_ms(POLL_MS)
            nursery.cancel_scope.cancel()
        return lists

    async def _add_own(self, content: Content, lists: dict[bytes, Outcomes]) -> None:
        while (kept := self._kept.get(content.digest)) is None:
            await self._clock.sleep_ms(POLL_MS)
        lists[self.me] = await self.own_list(kept)

    async def _add(self, peer: bytes, content: Content, lists: dict[bytes, Outcomes]) -> None:
        key = self._roster.validators[peer]
        request = frames.frame(frames.OUTCOMES, [content.height, content.digest])
        while True:
            found = await self._ask(peer, request, Outcomes, GATHER_MS)
            if isinstance(found, Outcomes):
                try:
                    self._check(found, content, key)
                except PeerFault as error:
                    self._fault(peer, error)
                    return
                lists[key] = found
                return
            if not found:
                return
            await self._clock.sleep_ms(ASK_AGAIN_MS)

    def _check(self, found: Outcomes, content: Content, key: bytes) -> None:
        """Raises PeerFault OUTCOMES_INVALID for what no honest validator answers."""
        header, count = found.header, len(content.wire_ids)
        if (
            found.sender != key
            or found.content_hash != content.digest
            or (header.height, header.parent) != (content.height, content.parent)
            or header.chain_id != self._chain.chain_id
        ):
            raise PeerFault("OUTCOMES_INVALID", "a list of another content or validator")
        if len(found.writes) not in (0, len(found.receipts)) or len(found.receipts) < count:
            raise PeerFault("OUTCOMES_INVALID", "lists that do not fit the content")
        if not found.signature_valid(self._chain.chain_id):
            raise PeerFault("OUTCOMES_INVALID", "a list with a wrong signature")
        kept = self._kept.get(content.digest)
        own = None if kept is None else kept.listed
        same_block = own is not None and own.block_hash == found.block_hash
        if own is not None and same_block and own.receipts != found.receipts:
            # The block hash commits to the receipts.
            raise PeerFault("OUTCOMES_INVALID", "other receipts, yet the same block")

    def details_until(self) -> int:
        """The (mono) moment after which a comparison that starts now asks for no more details."""
        return self._clock.mono_ms() + DETAILS_MS

    async def detail(self, one: Outcomes, index: int, until_ms: int) -> Detail | None:
        """The receipt and writes behind an entry of a list, from its sender; None if not told."""
        kept = self._kept.get(one.content_hash)
        if one.sender == self.me:
            return None if kept is None else kept.detail(index)
        peer = self._roster.network_key(one.sender)
        if peer is None or self._clock.mono_ms() >= until_ms:
            return None
        request = bytes([frames.WRITES]) + encode([one.height, one.content_hash, index])
        found = await self._ask(peer, request, Detail, DETAIL_MS)
        if not isinstance(found, Detail):
            return None
        if found.entry != one.entries[index] or not found.is_true_to_itself:
            self._fault(peer, PeerFault("OUTCOMES_INVALID", "writes that are not those listed"))
            return None
        return found

    async def _ask(
        self, peer: bytes, request: bytes, wire: type[Wire], timeout_ms: int
    ) -> Wire | bool:
        """The answer; else whether it may come later."""
        try:
            raw = await self._network.request(
                peer, request, bytes_max=wire.bytes_max, timeout_ms=timeout_ms
            )
            return wire.decode(raw)
        except PeerUnavailable as error:
            if error.code == "RESPONSE_TOO_LARGE":
                self._fault(peer, PeerFault("OUTCOMES_INVALID", error.message))
            return error.code in ("REQUEST_REFUSED", "PEER_BUSY")
        except CodecError as error:
            self._fault(peer, PeerFault("OUTCOMES_INVALID", str(error)))
            return False

    def _fault(self, peer: bytes, error: PeerFault) -> None:
        self._network.accuse(peer, error)
