"""Finding the transactions that a content names: mempool, the proposal itself, then the peers."""

from __future__ import annotations

from typing import Final

from consensus.primitives.codec import encode
from consensus.primitives.errors import PeerFault
from consensus.transaction import Transaction
from node import frames
from node.chain import parse_bodies
from node.mempool import Mempool
from node.ports import Clock
from node.roster import Roster
from p2p.ports import Network, PeerUnavailable

WAIT_MS: Final = 15
WAITS: Final = 2
REQUEST_TIMEOUT_MS: Final = 2000
ASK_AGAIN_MS: Final = 100
IDS_PER_REQUEST: Final = 2000


class Bodies:
    """Bodies of the height being decided."""

    def __init__(self, mempool: Mempool, network: Network, roster: Roster, clock: Clock) -> None:
        self._mempool = mempool
        self._network = network
        self._roster = roster
        self._clock = clock
        self._fetched: dict[bytes, Transaction] = {}

    def clear(self) -> None:
        """The height is decided."""
        self._fetched = {}

    def get(self, wire_id: bytes) -> bytes | None:
        """A body at hand, for a peer that asks."""
        entry = self._mempool.get(wire_id)
        tx = entry.tx if entry is not None else self._fetched.get(wire_id)
        return None if tx is None else tx.raw

    async def collect(
        self, wire_ids: tuple[bytes, ...], attached: tuple[bytes, ...], source: bytes | None
    ) -> tuple[list[Transaction], set[bytes]]:
        """The transactions in order, and the wire ids of those whose signature was checked.

        ``attached`` came along with the content, ``source`` (a network key) has them all. Asks
        until all are found: the caller cancels it when the height is decided. Bodies that are no
        transactions are the sender's fault and ignored.
        """
        verified: set[bytes] = set()
        found: dict[bytes, Transaction] = {}

        def look(missing: list[bytes]) -> list[bytes]:
            still = []
            for wire_id in missing:
                entry = self._mempool.get(wire_id)
                if entry is not None:
                    found[wire_id] = entry.tx
                    verified.add(wire_id)
                elif wire_id in self._fetched:
                    found[wire_id] = self._fetched[wire_id]
                else:
                    still.append(wire_id)
            return still

        wanted = set(wire_ids)
        if missing := look(list(wire_ids)):
            self._keep(list(attached), wanted)
            missing = look(missing)
        for _ in range(WAITS):  # gossip is mostly just behind the proposal
            if not missing:
                break
            await self._clock.sleep_ms(WAIT_MS)
            missing = look(missing)
        turn = 0
        while missing:
            peers = self._askable(source)
            if peers:
                await self._ask(peers[turn % len(peers)], missing[:IDS_PER_REQUEST], wanted)
                turn += 1
            still = look(missing)
            if len(still) == len(missing):
                await self._clock.sleep_ms(ASK_AGAIN_MS)
            missing = look(still)
        # Kept so that peers can ask this node too, should the mempool drop them meanwhile.
        self._fetched.update(found)
        return [found[wire_id] for wire_id in wire_ids], verified

    def _askable(self, source: bytes | None) -> list[bytes]:
        peers = self._roster.connected_validators(self._network)
        if source in peers:
            peers.remove(source)
            peers.insert(0, source)
        return peers

    def _keep(self, raws: list[bytes], wanted: set[bytes]) -> None:
        try:
            parsed = parse_bodies(raws)
        except PeerFault:
            return
        self._fetched.update((key, tx) for key, tx in parsed.items() if key in wanted)

    async def _ask(self, peer: bytes, wire_ids: list[bytes], wanted: set[bytes]) -> None:
        request = bytes([frames.BODIES]) + encode(wire_ids)
        try:
            answer = await self._network.request(
                peer,
                request,
                bytes_max=frames.ANSWER_BYTES_MAX,
                timeout_ms=REQUEST_TIMEOUT_MS,
            )
            self._keep(frames.read_blobs(answer, frames.ANSWER_BYTES_MAX), wanted)
        except PeerUnavailable:
            return
        except PeerFault as error:
            self._network.accuse(peer, error)
