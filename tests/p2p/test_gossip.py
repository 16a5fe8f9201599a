"""Transactions reach everybody who lacks them, once, whatever is dropped on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import p2p.gossip
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import PeerFault
from p2p.gossip import BATCH_BYTES, HAVE, TXS, WANT, Gossip, frame, parse
from p2p.ports import Channel


@dataclass
class Waits:
    wire_id: bytes
    arrived_ms: int
    raw: bytes = b""


class Node:
    """Gossip over wires that the test holds: a pool, and what it was sent."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.key = sha256(name.encode())
        self.pool: dict[bytes, Waits] = {}
        self.room = 10_000
        self.heard_count = 0
        network: Any = self
        self.gossip = Gossip(network, self, lambda: world.now_ms)

    # the pool's side

    def waiting(self) -> Iterable[Waits]:
        return reversed(self.pool.values())

    def body(self, wire_id: bytes) -> bytes | None:
        found = self.pool.get(wire_id)
        return None if found is None else found.raw

    def lacks(self, wire_id: bytes) -> bool:
        return wire_id not in self.pool and len(self.pool) < self.room

    async def heard(self, peer: bytes, raws: list[bytes]) -> None:
        self.heard_count += len(raws)
        for raw in raws:
            self.admit(raw)
        self.gossip.shown(peer, [sha256(raw) for raw in raws])

    # the network's side

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        assert channel is Channel.TRANSACTIONS
        return self.world.carry(self.key, peer, payload)

    # the test's side

    def admit(self, raw: bytes) -> None:
        if self.lacks(sha256(raw)):
            self.pool[sha256(raw)] = Waits(sha256(raw), self.world.now_ms, raw)

    def submit(self, raws: list[bytes]) -> None:
        for raw in raws:
            self.admit(raw)
        self.gossip.push([(sha256(raw), raw) for raw in raws])


@dataclass
class World:
    now_ms: int = 10_000
    nodes: dict[bytes, Node] = field(default_factory=dict)
    wires: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    sent: list[tuple[bytes, bytes, int, int]] = field(default_factory=list)
    """(source, target, kind, count)"""
    full: bool = False
    lose: Iterator[bool] | None = None

    @classmethod
    def of(cls, count: int) -> tuple[World, list[Node]]:
        world = cls()
        nodes = [Node(world, f"node {number}") for number in range(count)]
        world.nodes = {node.key: node for node in nodes}
        for node in nodes:
            for other in nodes:
                if node is not other:
                    node.gossip.connected(other.key)
        return world, nodes

    def carry(self, source: bytes, target: bytes, payload: bytes) -> bool:
        if self.full:
            return False
        kind, items = parse(payload)
        self.sent.append((source, target, kind, len(items)))
        if self.lose is None or not next(self.lose):
            self.wires.append((source, target, payload))
        return True

    async def deliver(self) -> None:
        while self.wires:
            source, target, payload = self.wires.pop(0)
            await self.nodes[target].gossip.received(source, payload)

    async def pass_ms(self, duration_ms: int) -> None:
        """Ticks as the node makes them, and what they bring about."""
        end = self.now_ms + duration_ms
        while self.now_ms < end:
            self.now_ms += 100
            for node in self.nodes.values():
                node.gossip.tick()
            await self.deliver()

    def count(self, kind: int) -> int:
        return sum(count for _, _, one, count in self.sent if one == kind)


RAWS = [f"transaction {number}".encode() for number in range(5)]


async def test_submitted_ones_are_pushed_whole_to_every_peer_and_then_left_alone() -> None:
    world, (first, *others) = World.of(4)
    first.submit(RAWS)
    await world.deliver()
    assert all(len(node.pool) == 5 for node in others)
    assert world.count(TXS) == 15
    for node in world.nodes.values():
        node.pool.clear()  # a block
    await world.pass_ms(5_000)
    assert world.count(TXS) == 15 and world.count(HAVE) == world.count(WANT) == 0


async def test_nobody_is_sent_a_body_twice_while_it_waits_long() -> None:
    world, (first, *others) = World.of(4)
    first.submit(RAWS)
    await world.deliver()
    await world.pass_ms(30_000)
    assert world.count(TXS) == 15
    assert world.count(WANT) == 0
    assert all(node.heard_count == 5 for node in others)


async def test_large_submissions_travel_in_batches() -> None:
    world, (first, second) = World.of(2)
    raws = [bytes([number]) * 10_000 for number in range(20)]
    first.submit(raws)
    batches = [count for _, _, kind, count in world.sent if kind == TXS]
    assert sum(batches) == 20 and max(batches) * 10_000 <= BATCH_BYTES + 10_000
    await world.deliver()
    assert list(second.pool) == list(first.pool)


async def test_a_dropped_push_is_offered_again() -> None:
    world, (first, second) = World.of(2)
    world.full = True
    first.submit(RAWS)
    world.full = False
    await world.pass_ms(500)
    assert len(second.pool) == 5


async def test_a_push_lost_on_the_way_is_only_late() -> None:
    """The sender believes for a while that it was received, not for ever."""
    world, (first, second) = World.of(2)
    first.submit(RAWS)
    world.wires.clear()
    await world.pass_ms(p2p.gossip.SENT_TRUSTED_MS + 2_000)
    assert len(second.pool) == 5


async def test_what_a_full_peer_refused_is_offered_when_it_has_room() -> None:
    world, (first, second) = World.of(2)
    second.room = 0
    first.submit(RAWS)
    await world.pass_ms(20_000)
    assert not second.pool
    assert world.count(WANT) == 0, "a full peer must not ask for what it can't take"
    second.room = 100
    await world.pass_ms(5_000)
    assert len(second.pool) == 5


async def test_one_that_was_heard_goes_on_to_those_who_lack_it() -> None:
    """A chain of links: the second offers to the third what the first pushed."""
    world, (first, _, third) = World.of(3)
    first.gossip.disconnected(third.key)
    third.gossip.disconnected(first.key)
    first.submit(RAWS)
    await world.pass_ms(1_000)
    assert len(third.pool) == 5
    assert world.count(TXS) == 10


async def test_all_that_waits_is_offered_to_a_new_peer() -> None:
    world, (first, second) = World.of(2)
    second.gossip.disconnected(first.key)
    first.gossip.disconnected(second.key)
    first.submit(RAWS)
    await world.pass_ms(60_000)
    assert not second.pool
    for node, other in ((first, second), (second, first)):
        node.gossip.connected(other.key)
    await world.pass_ms(200)
    assert len(second.pool) == 5


async def test_fresh_ones_are_not_offered_before_their_origin_had_time() -> None:
    world, (first, second) = World.of(2)
    first.admit(RAWS[0])
    await world.pass_ms(200)
    assert not world.sent
    await world.pass_ms(200)
    assert len(second.pool) == 1


async def test_a_want_is_answered_once_for_each_id() -> None:
    world, (first, second) = World.of(2)
    first.admit(RAWS[0])
    wire_id = sha256(RAWS[0])
    await first.gossip.received(second.key, frame(WANT, [wire_id] * 1_000 + [sha256(b"unknown")]))
    assert world.sent == [(first.key, second.key, TXS, 1)]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01",
        b"\x01\xff",
        frame(TXS, []) + b"\x00",
        bytes([TXS]) + b"\xa1x",
        bytes([TXS]) + b"\x91\x01",
        frame(HAVE, [b"short"]),
        frame(WANT, [bytes(31)]),
        frame(9, []),
        bytes([HAVE]) + b"\xdd\xff\xff\xff\xff",
        frame(HAVE, [bytes(32)] * 10_001),
        frame(TXS, [bytes(2 << 20)]),
    ],
)
async def test_malformed_frames_are_the_peer_s_fault(payload: bytes) -> None:
    _, (first, second) = World.of(2)
    with pytest.raises(PeerFault) as caught:
        await first.gossip.received(second.key, payload)
    assert caught.value.code == "MESSAGE_MALFORMED"


async def test_frames_of_peers_that_are_gone_are_ignored() -> None:
    _, (first, second) = World.of(2)
    first.gossip.disconnected(second.key)
    await first.gossip.received(second.key, frame(TXS, RAWS))
    first.gossip.shown(second.key, [sha256(RAWS[0])])
    assert not first.pool


async def test_memory_of_what_a_peer_knows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p2p.gossip, "KNOWN_MAX", 100)
    _, (first, second) = World.of(2)
    for number in range(10):
        ids = [sha256(f"{number} {index}".encode()) for index in range(50)]
        await first.gossip.received(second.key, frame(HAVE, ids))
    assert len(first.gossip._known[second.key]._ids) == 100


@given(st.lists(st.booleans(), max_size=200), st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_with_any_losses_everything_arrives_in_the_end(losses: list[bool], at: list[int]) -> None:
    async def scenario() -> None:
        world, nodes = World.of(4)
        world.lose = (bool(losses) and losses.pop() for _ in iter(int, 1))
        for number, where in enumerate(at):
            nodes[where].submit([f"transaction {number}".encode()])
            await world.pass_ms(100)
        losses.clear()
        await world.pass_ms(10_000)
        assert all(len(node.pool) == len(at) for node in nodes)

    trio.run(scenario)


async def test_what_was_committed_is_no_longer_remembered() -> None:
    _, (first, second) = World.of(2)
    ids = [sha256(b"%d" % index) for index in range(50)]
    await first.gossip.received(second.key, frame(HAVE, ids))
    first.gossip.forget(ids[10:])
    assert list(first.gossip._known[second.key]._ids) == ids[:10]
    late = [*ids[40:], sha256(b"new")]
    await first.gossip.received(second.key, frame(HAVE, late))
    assert list(first.gossip._known[second.key]._ids) == [*ids[:10], late[-1]]
    first.gossip.shown(second.key, late)
    assert list(first.gossip._known[second.key]._ids) == [*ids[:10], late[-1]]
