"""The network in memory keeps the rules of the real one, and repeats itself from a seed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from consensus.primitives.errors import InputError, PeerFault
from p2p.ports import Channel, Network, PeerUnavailable
from p2p.virtual import VirtualConditions, VirtualNetwork, Wire
from tests.p2p.support import Recorder

A, B, C = b"\x0a" * 32, b"\x0b" * 32, b"\x0c" * 32

World = Callable[[VirtualNetwork], Awaitable[None]]


def in_world(world: World, seed: int = 1, **conditions: Any) -> None:
    """Run it on a clock that jumps, with trio's own dice fixed as well."""

    async def main() -> None:
        hub = VirtualNetwork(random.Random(seed), VirtualConditions(**conditions))
        async with trio.open_nursery() as nursery:
            await nursery.start(hub.run)
            await world(hub)
            nursery.cancel_scope.cancel()

    runner: Any = trio._core._run  # type: ignore[attr-defined]
    before = runner._ALLOW_DETERMINISTIC_SCHEDULING
    runner._ALLOW_DETERMINISTIC_SCHEDULING = True
    runner._r.seed(seed)
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        runner._ALLOW_DETERMINISTIC_SCHEDULING = before


def test_messages_arrive_in_order() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other = Recorder(), Recorder()
        network: Network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        for number in range(1000):
            assert network.send(B, Channel(1 + number % 3), number.to_bytes(2, "big"))
        await other.until_messages(1000)
        for channel in Channel:
            heard = [payload for _, kind, payload in other.messages if kind is channel]
            assert heard == sorted(heard)
        assert network.connected() == (B,)

    in_world(world, delay_ms=(1, 500))


def test_loss_is_the_share_asked_for() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other = Recorder(), Recorder()
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        for _ in range(1000):
            assert network.send(B, Channel.CONSENSUS, b"x")
        await trio.sleep(10)
        assert 150 < len(other.messages) < 350

    in_world(world, loss=0.75)


def test_partition_and_healing() -> None:
    async def world(hub: VirtualNetwork) -> None:
        handlers = {key: Recorder() for key in (A, B, C)}
        nodes = {key: hub.add(key, handlers[key]) for key in (A, B, C)}
        for handler in handlers.values():
            await handler.until_counts(2, 0)
        hub.partition((A,), (B, C))
        nodes[A].send(B, Channel.CHAIN, b"lost")
        await handlers[A].until_counts(2, 2)
        assert nodes[A].connected() == ()
        assert nodes[B].connected() == (C,)
        assert not nodes[A].send(B, Channel.CHAIN, b"refused")
        hub.heal()
        await handlers[A].until_counts(4, 2)
        assert nodes[A].send(B, Channel.CHAIN, b"heard")
        await handlers[B].until_messages(1)
        assert handlers[B].messages == [(A, Channel.CHAIN, b"heard")]

    in_world(world)


def test_short_blockade_loses_messages_but_no_connection() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other = Recorder(), Recorder()
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        hub.block(A, B)
        network.send(B, Channel.CHAIN, b"lost")
        await trio.sleep(1)
        hub.unblock(A, B)
        network.send(B, Channel.CHAIN, b"heard")
        await other.until_messages(1)
        await trio.sleep(20)
        assert [payload for _, _, payload in other.messages] == [b"heard"]
        assert one.disconnects == other.disconnects == []

    in_world(world)


def test_node_goes_and_returns() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other, again = Recorder(), Recorder(), Recorder()
        network = hub.add(A, one)
        gone = hub.add(B, other)
        await one.until_counts(1, 0)
        hub.remove(B)
        await one.until_counts(1, 1)
        assert not gone.send(A, Channel.CHAIN, b"from the dead")
        assert other.disconnects == []
        hub.add(B, again)
        await one.until_counts(2, 1)
        assert network.send(B, Channel.CHAIN, b"welcome back")
        await again.until_messages(1)

    in_world(world)


def test_fault_bars_the_peer_for_a_while() -> None:
    async def world(hub: VirtualNetwork) -> None:
        async def take(peer: bytes, channel: Channel, payload: bytes) -> None:
            raise PeerFault("BAD_VOTE", "no")

        one, other = Recorder(), Recorder()
        other.take = take
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        network.send(B, Channel.CONSENSUS, b"bad")
        await one.until_counts(1, 1)
        assert other.disconnects == [(A, "BAD_VOTE: no")]
        start = trio.current_time()
        await one.until_counts(2, 1)
        assert trio.current_time() - start >= 9

    in_world(world)


def test_requests() -> None:
    async def world(hub: VirtualNetwork) -> None:
        async def refuse(peer: bytes, payload: bytes) -> bytes:
            raise InputError("NO_SUCH_BLOCK", "none")

        one, other = Recorder(), Recorder()
        network = hub.add(A, one)
        hub.add(B, other)

        async def code(bytes_max: int = 10) -> str:
            with pytest.raises(PeerUnavailable) as caught:
                await network.request(B, b"abc", bytes_max=bytes_max, timeout_ms=1000)
            return caught.value.code

        assert await code() == "NOT_CONNECTED"
        await one.until_counts(1, 0)
        assert await network.request(B, b"abc", bytes_max=3, timeout_ms=1000) == b"cba"
        assert await code(bytes_max=2) == "RESPONSE_TOO_LARGE"
        other.answer = refuse
        assert await code() == "REQUEST_REFUSED"
        hub.block(B, A)
        assert await code() == "REQUEST_TIMEOUT"
        hub.later(0.5, lambda: hub.remove(B))
        assert await code() == "PEER_DISCONNECTED"

    in_world(world)


def test_slow_reader_fills_the_queue() -> None:
    async def world(hub: VirtualNetwork) -> None:
        async def take(peer: bytes, channel: Channel, payload: bytes) -> None:
            await trio.sleep(1000)

        one, other = Recorder(), Recorder()
        other.take = take
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        assert [network.send(B, Channel.CHAIN, b"x") for _ in range(12)] == [True] * 10 + [
            False
        ] * 2

    in_world(world, queue_count_max=10)


def trace(seed: int) -> list[tuple[object, ...]]:
    """Three nodes gossip at random through losses, cuts and a partition; all that they heard."""
    diary: list[tuple[object, ...]] = []

    class Gossip(Recorder):
        def __init__(self, key: bytes, rng: random.Random) -> None:
            super().__init__()
            self.key, self.rng = key, rng
            self.network: Network | None = None

        async def on_connect(self, peer: bytes) -> None:
            diary.append((trio.current_time(), self.key, "connect", peer))
            assert self.network is not None
            self.network.send(peer, Channel.CONSENSUS, self.rng.randbytes(4))

        async def on_disconnect(self, peer: bytes, reason: str) -> None:
            diary.append((trio.current_time(), self.key, "disconnect", peer, reason))

        async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
            diary.append((trio.current_time(), self.key, peer, channel, payload))
            assert self.network is not None
            await trio.sleep(self.rng.random() / 10)
            for other in self.network.connected():
                if self.rng.random() < 0.6:
                    kind = Channel(self.rng.randint(1, 3))
                    self.network.send(other, kind, self.rng.randbytes(4))

    async def world(hub: VirtualNetwork) -> None:
        for key in (A, B, C):
            handler = Gossip(key, random.Random(seed + key[0]))
            handler.network = hub.add(key, handler)
        await trio.sleep(3)
        hub.cut(A, B)
        hub.partition((A, B), (C,))
        await trio.sleep(8)
        hub.heal()
        await trio.sleep(3)

    in_world(world, seed, loss=0.1)
    return diary


def test_same_seed_same_history() -> None:
    first = trace(7)
    assert len(first) > 100
    assert trace(7) == first
    assert trace(8) != first


def test_messages_come_twice_and_overtake_each_other() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other = Recorder(), Recorder()
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        sent = [number.to_bytes(2, "big") for number in range(400)]
        for payload in sent:
            assert network.send(B, Channel.CONSENSUS, payload)
            await trio.sleep(0.01)
        await trio.sleep(10)
        heard = [payload for _, _, payload in other.messages]
        assert set(heard) == set(sent)
        assert 60 < len(heard) - len(sent) < 140
        assert heard != sorted(heard)
        assert other.disconnects == []

    in_world(world, duplicate=0.25, reorder=0.5, delay_ms=(1, 100))


def test_one_direction_of_one_pair_is_worse_than_the_rest() -> None:
    async def world(hub: VirtualNetwork) -> None:
        handlers = {key: Recorder() for key in (A, B, C)}
        nodes = {key: hub.add(key, handlers[key]) for key in (A, B, C)}
        for handler in handlers.values():
            await handler.until_counts(2, 0)
        hub.wires[A, B] = Wire(extra_ms=300, loss=0.5)
        hub.slow_ms[C] = 200
        for _ in range(200):
            nodes[A].send(B, Channel.CONSENSUS, b"from A")
            nodes[B].send(A, Channel.CONSENSUS, b"from B")
            nodes[A].send(C, Channel.CONSENSUS, b"from A")
        await trio.sleep(0.15)
        assert len(handlers[A].messages) == 200
        assert handlers[B].messages == handlers[C].messages == []
        await trio.sleep(0.1)
        assert len(handlers[C].messages) == 200
        assert handlers[B].messages == []
        await trio.sleep(0.2)
        assert 60 < len(handlers[B].messages) < 140

    in_world(world)


def test_a_flapping_direction_and_a_storm_of_reconnects() -> None:
    async def world(hub: VirtualNetwork) -> None:
        one, other = Recorder(), Recorder()
        network = hub.add(A, one)
        hub.add(B, other)
        await one.until_counts(1, 0)
        hub.flap([(A, B)], down_ms=100, up_ms=100, times=5)
        for number in range(100):
            network.send(B, Channel.CONSENSUS, bytes([number]))
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert 30 < len(other.messages) < 60
        assert one.disconnects == other.disconnects == []
        hub.storm(times=5, every_ms=200)
        await one.until_counts(6, 5)
        assert len(other.disconnects) == 5

    in_world(world)


def test_a_peer_speaks_with_one_of_two_twins() -> None:
    async def world(hub: VirtualNetwork) -> None:
        twin = B + b"twin"
        handlers = {place: Recorder() for place in (A, B, twin, C)}
        nodes = {place: hub.add(place[:32], handlers[place], place=place) for place in handlers}
        await handlers[A].until_counts(2, 0)
        await handlers[C].until_counts(2, 0)
        assert nodes[A].connected() == (B, C)
        hub.partition((A, B), (C, twin), at_once=True)
        await trio.sleep(1)
        assert (nodes[A].connected(), nodes[C].connected()) == ((B,), (B,))
        assert (nodes[B].connected(), nodes[twin].connected()) == ((A,), (C,))
        nodes[A].send(B, Channel.CHAIN, b"from A")
        nodes[C].send(B, Channel.CHAIN, b"from C")
        nodes[twin].send(C, Channel.CHAIN, b"from the twin")
        await trio.sleep(1)
        assert handlers[B].messages == [(A, Channel.CHAIN, b"from A")]
        assert handlers[twin].messages == [(C, Channel.CHAIN, b"from C")]
        assert handlers[C].messages == [(B, Channel.CHAIN, b"from the twin")]
        hub.partition((A, twin), (C, B), at_once=True)
        await trio.sleep(1)
        assert (nodes[B].connected(), nodes[twin].connected()) == ((C,), (A,))
        hub.heal()
        hub.remove(twin)
        await trio.sleep(1)
        assert nodes[A].connected() == (B, C)

    in_world(world)
