"""Peers that are admitted and removed while hosts run, on real sockets and in memory."""

from __future__ import annotations

import random

import trio
import trio.testing

from p2p.ports import PeerAddress
from p2p.virtual import VirtualNetwork
from tests.p2p.support import KEYS, Net, Recorder, eventually


def entry(number: int, address: str | None = None) -> PeerAddress:
    return PeerAddress(KEYS[number], f"node-{number}", (address,) if address else ())


async def test_an_admitted_peer_is_dialled_by_either_side(net: Net) -> None:
    second = await net.start(1, {})
    first = await net.start(0, {})
    first.admit([entry(1, second.listen_address)])
    await eventually(lambda: "admitted" in str(first.peer_reports()[0]["last_error"]))
    second.admit([entry(0)])
    await net.handlers[0].until_counts(1, 0)
    third = await net.start(2, {0: first.listen_address})
    first.admit([entry(1, second.listen_address), entry(2)])
    await net.handlers[2].until_counts(1, 0)
    await net.handlers[0].until_counts(2, 0)
    assert first.connected() == (KEYS[1], KEYS[2])
    assert third.connected() == (KEYS[0],)
    assert net.handlers[0].disconnects == [], "those who stay keep their connection"


async def test_a_removed_peer_is_dropped_and_refused(net: Net) -> None:
    first, second = await net.pair()
    first.admit([])
    for number in (0, 1):
        await net.handlers[number].until_counts(1, 1)
    assert "no longer admitted" in net.handlers[0].disconnects[0][1]
    assert first.peer_reports() == []
    second.admit([entry(0, first.listen_address)])
    await eventually(lambda: "admitted this node" in str(second.peer_reports()[0]["last_error"]))
    assert second.connected() == ()
    first.admit([entry(1, second.listen_address)])
    await net.handlers[0].until_counts(2, 1)


async def test_a_peer_s_new_address_is_used_for_the_next_dial(net: Net) -> None:
    second = await net.start(1, {0: None})
    first = await net.start(0, {1: "127.0.0.1:1"})
    await eventually(lambda: bool(first.peer_reports()[0]["last_error"]))
    first.admit([entry(1, second.listen_address)])
    await net.handlers[0].until_counts(1, 0)


def test_the_virtual_network_admits_alike() -> None:
    hub = VirtualNetwork(random.Random(1))
    one, two = Recorder(), Recorder()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            first, second = hub.add(KEYS[0], one), hub.add(KEYS[1], two)
            first.admit([])
            await trio.sleep(10)
            assert not one.connects, "one side's refusal is enough"
            first.admit([entry(1)])
            second.admit([entry(0)])
            await one.until_counts(1, 0)
            second.admit([])
            await one.until_counts(1, 1)
            await trio.sleep(10)
            assert first.connected() == ()
            second.admit([entry(0), entry(2)])
            await two.until_counts(2, 1)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
