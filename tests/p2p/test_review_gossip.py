"""Gossip with a peer that asks for much and reads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from consensus.primitives.crypto import sha256
from p2p.gossip import BATCH_BYTES, WANT, Gossip, Waiting, frame
from p2p.ports import Network

PEER = bytes(32)


class FullQueue:
    """A network whose queue to every peer is full."""

    def __init__(self) -> None:
        self.tries = 0

    def send(self, *_: Any) -> bool:
        self.tries += 1
        return False


class Bodies:
    """A pool that has whatever is asked for."""

    def waiting(self) -> Iterable[Waiting]:
        return ()

    def body(self, wire_id: bytes) -> bytes | None:
        return wire_id * (BATCH_BYTES // 32)

    def lacks(self, wire_id: bytes) -> bool:
        return False

    async def heard(self, peer: bytes, raws: list[bytes]) -> None:
        raise AssertionError("it sends nothing")


async def test_nothing_is_packed_for_a_peer_whose_queue_is_full() -> None:
    """A WANT of 320 KB may name all that waits: 64 MB to pack, for nothing, as often as it asks."""
    network = FullQueue()
    gossip = Gossip(cast(Network, network), Bodies(), lambda: 0)
    gossip.connected(PEER)
    wanted = [sha256(bytes([one])) for one in range(50)]
    await gossip.received(PEER, frame(WANT, wanted))
    assert network.tries == 1
