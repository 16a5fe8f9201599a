"""Catching up: fetch certified blocks from peers that are ahead, in ranges, and hand them over.

Peers tell their tip (STATUS) on connect and at every block. A validator that is one block behind
waits a moment first: it is mostly about to decide that block itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import trio

from consensus.block import SealedBlock
from consensus.primitives.codec import encode
from consensus.primitives.errors import CodecError, PeerFault
from node import frames, log
from node.chain import Chain
from node.engine import Engine
from node.ports import Clock
from node.roster import Roster
from p2p.ports import Network, PeerUnavailable

BLOCKS_PER_REQUEST: Final = 128
PIECE_BLOCKS: Final = 32
PIECE_BYTES: Final = 256 << 10
"""Blocks that are executed at a stretch: 0.1 s of the engine's time, or one large block."""
TIMEOUT_MS: Final = 2_000
TIMEOUT_MAX_MS: Final = 10_000
"""How long an answer is waited for; doubled when none came, for one that is large or far away.
It starts low, since the blocks that this node lacks may be what the network waits for."""
GRACE_MS: Final = 400
LOOK_MS: Final = 20
PAUSE_MS: Final = 200
DOUBT_MS: Final = 1000
DOUBT_DOUBLINGS_MAX: Final = 6

_log = log.get("sync")


class Sync:
    """Fetches what this node lacks."""

    def __init__(
        self, chain: Chain, engine: Engine, network: Network, roster: Roster, clock: Clock
    ) -> None:
        self._chain = chain
        self._engine = engine
        self._network = network
        self._roster = roster
        self._clock = clock
        self._heights: dict[bytes, int] = {}
        self._doubts: dict[bytes, tuple[int, int]] = {}
        """Peer -> how often in a row it did not show the blocks that it told of, and the (mono)
        moment until which its tip is not believed."""
        self._news = trio.Event()
        self._turn = 0
        self._patience_ms: dict[bytes, int] = {}
        """Peer -> how long its answer is waited for, where that is not ``TIMEOUT_MS``."""

    @property
    def highest(self) -> int:
        """The highest tip that a connected peer has told and is believed."""
        return max(self._believed().values(), default=0)

    @property
    def told(self) -> Mapping[bytes, int]:
        """Each connected peer's tip as it told it, believed or not; 0 before it told one."""
        return self._heights

    @property
    def doubted(self) -> list[bytes]:
        """Peers that lately told of blocks which they did not show."""
        return sorted(self._heights.keys() - self._believed().keys())

    def _believed(self) -> dict[bytes, int]:
        now = self._clock.mono_ms()
        return {
            peer: height
            for peer, height in self._heights.items()
            if now >= self._doubts.get(peer, (0, 0))[1]
        }

    def _doubt(self, peer: bytes) -> None:
        """It can't or won't show its blocks: while it is doubted, it delays nobody."""
        times = self._doubts.get(peer, (0, 0))[0]
        until = self._clock.mono_ms() + (DOUBT_MS << min(times, DOUBT_DOUBLINGS_MAX))
        self._doubts[peer] = times + 1, until

    def connected(self, peer: bytes) -> None:
        self._heights[peer] = 0

    def disconnected(self, peer: bytes) -> None:
        self._heights.pop(peer, None)
        self._patience_ms.pop(peer, None)

    def status_received(self, peer: bytes, height: int) -> None:
        if peer in self._heights:
            self._heights[peer] = height
            if height > self._chain.height:
                self._news.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while max(self._heights.values(), default=0) > self._chain.height:
                if self._about_to_decide() and await self._decides_by_itself():
                    continue
                if not await self._fetch():
                    await self._clock.sleep_ms(PAUSE_MS)

    def _about_to_decide(self) -> bool:
        return self._engine.voting and self.highest == self._chain.height + 1

    async def _decides_by_itself(self) -> bool:
        """Give it a moment, unless its proposer has hidden the block from this node."""
        before = self._chain.height
        for _ in range(GRACE_MS // LOOK_MS):
            await self._clock.sleep_ms(LOOK_MS)
            if self._chain.height > before:
                return True
            if self._engine.never_saw_decided_block:
                break
        return False

    async def _fetch(self) -> bool:
        """One range from one peer; whether it brought this node forward."""
        before = self._chain.height
        ahead = sorted(peer for peer, height in self._believed().items() if height > before)
        if not ahead:
            return False
        peer = ahead[self._turn % len(ahead)]
        connected = True
        asked_ms = self._clock.mono_ms()
        patience_ms = self._patience_ms.get(peer, TIMEOUT_MS)
        request = encode([before + 1, BLOCKS_PER_REQUEST])
        try:
            raw = await self._network.request(
                peer,
                bytes([frames.BLOCKS]) + request,
                bytes_max=frames.ANSWER_BYTES_MAX,
                timeout_ms=patience_ms,
            )
            if 4 * (self._clock.mono_ms() - asked_ms) < patience_ms:
                self._patience_ms.pop(peer, None)
            blocks = frames.read_blobs(raw, frames.ANSWER_BYTES_MAX)
            if not blocks:
                # It told a tip that it can't show: believe it no more until it connects again.
                if peer in self._heights:
                    self._heights[peer] = 0
                self._network.drop(peer, f"it has no block {before + 1}")
            for piece in pieces(blocks[:BLOCKS_PER_REQUEST]):
                await self._engine.blocks_fetched([read_sealed(one) for one in piece], peer)
        except PeerUnavailable as error:
            if error.code == "REQUEST_TIMEOUT":
                self._patience_ms[peer] = min(2 * patience_ms, TIMEOUT_MAX_MS)
            connected = error.code not in ("NOT_CONNECTED", "PEER_DISCONNECTED")
            _log.info("blocks not fetched", peer=self._roster.name(peer), reason=str(error))
        except PeerFault as error:
            if peer in self._heights:
                self._heights[peer] = 0
            self._network.accuse(peer, error)
        forward = self._chain.height > before
        if forward:
            self._doubts.pop(peer, None)
            _log.info("caught up", height=self._chain.height, of=self.highest)
        else:
            self._turn += 1
            if connected:
                self._doubt(peer)
        return forward


def pieces(blocks: list[bytes]) -> Iterator[list[bytes]]:
    """The blocks in their order, as many at a time as the engine may execute at a stretch."""
    piece: list[bytes] = []
    size = 0
    for one in blocks:
        if piece and (len(piece) == PIECE_BLOCKS or size + len(one) > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += len(one)
    if piece:
        yield piece


def read_sealed(raw: bytes) -> SealedBlock:
    """Raises PeerFault BLOCK_INVALID."""
    try:
        return SealedBlock.decode(raw)
    except CodecError as error:
        raise PeerFault("BLOCK_INVALID", error.message) from None


def answer_blocks(chain: Chain, start: int, count: int) -> bytes:
    """The answer to BLOCKS: sealed blocks from ``start`` on, up to the tip. Raises InputError
    BLOCK_PRUNED, which tells the peer to ask others."""
    chain.blocks.require_whole(start)

    def blocks() -> Iterator[bytes]:
        last = min(start + min(count, BLOCKS_PER_REQUEST), chain.height + 1)
        for height in range(max(start, 1), last):
            raw = chain.blocks.sealed_raw(height)
            if raw is None:
                return  # pruned meanwhile
            yield raw

    return frames.fill(blocks())
