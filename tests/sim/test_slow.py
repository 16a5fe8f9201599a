"""A dead or a slow validator among whole nodes: how fast the rest goes on, and who proposes."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest
import trio

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.messages import KINDS, Commit, Proposal
from consensus.params import Params
from consensus.transaction import Transaction
from consensus.validators import signers
from node import frames
from node.proposer import Proposer
from node.service import LocalService
from p2p.ports import Channel
from p2p.virtual import VirtualConditions
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.world import World, consensus_key, run_world

PARAMS = Params(min_block_interval_ms=100)
"""Blocks come at this pace, so that a third vote that comes later by some milliseconds, as it must
where a quorum is all who are left, is a small part of what a transaction takes."""
FAST = ["v0", "v1", "v2"]
ODD = "v3"
WIRES = VirtualConditions(delay_ms=(2, 8))
SLOW_MS = 200
"""More than the others each way."""
ABSENT = "its votes come late or not at all"
MISSED = "it let its turn go by"
Trouble = Callable[[World], Awaitable[None]]
Figures = tuple[float, float, float]
"""Blocks a second, p50 and p99 of the transactions in seconds."""


class Pace:
    """When v0 committed which block, and how long each transaction took until there."""

    def started(self, name: str) -> None:
        pass

    def stopped(self, name: str, failure: BaseException | None) -> None:
        pass

    def accepted(self, name: str, tx: Transaction) -> None:
        pass

    def __init__(self, world: World) -> None:
        self.world = world
        self.began: dict[bytes, float] = {}
        self.blocks: list[tuple[float, int, bytes]] = []
        """Time, height, proposer."""
        self.took: list[tuple[float, float]] = []
        """When it was committed, seconds since it was handed in."""
        world.watchers.append(self)

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        if name != "v0":
            return
        now = trio.current_time()
        self.blocks.append((now, block.height, block.header.proposer))
        for raw in block.bodies:
            self.took.append((now, now - self.began[Transaction.parse(raw).tx_id]))

    async def work(self, seconds: float, every_s: float = 0.08) -> None:
        """Transactions to the fast nodes in turn."""
        end, number = trio.current_time() + seconds, 0
        while trio.current_time() < end:
            tx = self.world.transaction()
            self.began[tx.tx_id] = trio.current_time()
            node = self.world.node(FAST[number % len(FAST)])
            [answer] = await node.submit([tx.raw])
            assert answer.accepted, answer
            number += 1
            await trio.sleep(self.world.rng.uniform(0, 2 * every_s))

    def since(self, start: float) -> Figures:
        times = [at for at, _, _ in self.blocks if at >= start]
        took = sorted(seconds for at, seconds in self.took if at - seconds >= start)
        rate = (len(times) - 1) / (times[-1] - times[0])
        return rate, took[len(took) // 2], took[math.ceil(0.99 * len(took)) - 1]

    def proposers(self, start: float) -> set[bytes]:
        return {proposer for at, _, proposer in self.blocks if at >= start}


def out_of_turn(world: World) -> list[str]:
    """As an operator is told it."""
    service = LocalService(world.node("v0"), world.machines["v0"].network_key, "v0")
    return [f"{one['validator']}: {one['reason']}" for one in service.status()["out_of_turn"]]


async def nothing(world: World) -> None:
    pass


async def die(world: World) -> None:
    await world.crash(ODD)


async def grow_slow(world: World, slow_ms: int = SLOW_MS) -> None:
    """From now on everything takes so much longer to the odd one, and from it."""
    world.network.slow_ms[world.machines[ODD].place] = slow_ms


async def heights_until(world: World, condition: Callable[[], bool], limit: int) -> int:
    """How many heights pass until it holds; it must, within a limit."""
    chain = world.node("v0").chain
    before = chain.height
    while not condition():
        assert chain.height - before <= limit, f"not within {limit} heights"
        await trio.sleep(0.01)
    return chain.height - before


def play(scenario: Callable[[World, Pace], Awaitable[None]], seed: int = 1) -> None:
    """Four validators at work, and the oracle."""

    async def whole(world: World) -> None:
        oracle, pace = Oracle(world), Pace(world)
        world.start_all()
        await pace.work(3)
        assert out_of_turn(world) == []
        await scenario(world, pace)
        oracle.finish()

    with quickly():
        run_world(seed, whole, PARAMS, conditions=WIRES)


def steady(trouble: Trouble, limit: int | None = None) -> Figures:
    """The pace once the chain has taken note of a trouble, within so many heights (None: it takes
    no note)."""
    found: list[Figures] = []

    async def scenario(world: World, pace: Pace) -> None:
        await trouble(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pace.work, 12)
            if limit is not None:
                await heights_until(world, lambda: out_of_turn(world) != [], limit)
            start = trio.current_time()
        found.append(pace.since(start))
        assert [line.split(":")[0] for line in out_of_turn(world)] == [ODD] * (limit is not None)
        assert (consensus_key(ODD) in pace.proposers(start)) == (limit is None)

    play(scenario)
    return found[0]


@pytest.fixture(scope="module")
def all_up() -> Figures:
    return steady(nothing)


@pytest.mark.parametrize(("trouble", "heights"), [(die, 4), (grow_slow, 8)], ids=["dead", "slow"])
def test_one_of_four_in_trouble_slows_the_rest_by_little(
    all_up: Figures, trouble: Trouble, heights: int
) -> None:
    rate, p50, p99 = steady(trouble, heights)
    assert rate >= 0.9 * all_up[0]
    assert p50 <= 1.2 * all_up[1] and p99 <= 1.2 * all_up[2]


def test_a_slightly_slower_machine_keeps_its_turns() -> None:
    """20 ms more than the others there and back, and always the last to vote."""
    steady(partial(grow_slow, slow_ms=10))


def test_a_slow_one_that_is_mended_proposes_again() -> None:
    async def scenario(world: World, pace: Pace) -> None:
        await grow_slow(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pace.work, 12)
            await heights_until(world, lambda: out_of_turn(world) != [], 8)
            await trio.sleep(3)
            await grow_slow(world, 0)
            await heights_until(world, lambda: out_of_turn(world) == [], 8)
            start = trio.current_time()
        assert consensus_key(ODD) in pace.proposers(start)

    play(scenario)


@pytest.mark.long
def test_a_dead_one_that_is_back_proposes_again() -> None:
    """When the turns are over that it missed, however long it was dead."""

    async def scenario(world: World, pace: Pace) -> None:
        await die(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pace.work, 22)
            await heights_until(world, lambda: out_of_turn(world) == [f"{ODD}: {MISSED}"], 4)
            await heights_until(world, lambda: out_of_turn(world) == [f"{ODD}: {ABSENT}"], 70)
            world.start(ODD)
            await heights_until(world, lambda: out_of_turn(world) == [], 16)
            start = trio.current_time()
        assert consensus_key(ODD) in pace.proposers(start)

    play(scenario)


@pytest.mark.long
def test_one_that_dies_again_and_again_costs_ever_less(all_up: Figures) -> None:
    """A time-out is lost now and then; the rest goes on at its pace."""

    async def scenario(world: World, pace: Pace) -> None:
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pace.work, 28)
            for _ in range(7):
                await world.crash(ODD)
                await trio.sleep(3)
                world.start(ODD)
                await trio.sleep(1)
        times = [at for at, _, _ in pace.blocks if at >= start]
        stalls = [late - early for early, late in pairwise(times) if late - early > 1]
        assert 1 <= len(stalls) <= 2, f"of 7 deaths {stalls} s were waited for"
        assert len(times) >= 0.7 * 28 * all_up[0]

    play(scenario)


def test_a_slow_one_is_not_sent_the_blocks_that_it_decides() -> None:
    """It votes on each height when the others have left it, and needs no help with that."""

    async def scenario(world: World, pace: Pace) -> None:
        await grow_slow(world)
        blocks: list[bytes] = []

        def tap(source: bytes, target: bytes, channel: Channel, payload: bytes) -> None:
            if channel is Channel.CHAIN and payload[0] == frames.BLOCK:
                blocks.append(target)

        world.network.taps.append(tap)
        await pace.work(6)
        assert world.node(ODD).chain.height >= world.node("v0").chain.height - 3
        assert blocks == []

    play(scenario)


def test_a_liar_does_not_put_an_honest_one_out_of_turn(
    all_up: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves its seal out of its own blocks and hides them from it, so that the next proposer
    has no seal of it to show either. The victim is the slowest of all, within the interval."""
    build = Proposer._certificate

    def leaving_out(self: Proposer, seals: Sequence[Commit]) -> Certificate | None:
        if self._key == consensus_key("v1"):
            seals = [one for one in seals if one.sender != consensus_key(ODD)]
        return build(self, seals)

    monkeypatch.setattr(Proposer, "_certificate", leaving_out)

    async def scenario(world: World, pace: Pace) -> None:
        await grow_slow(world, 10)
        victim, network = world.machines[ODD].network_key, world.node("v1").network
        send = network.send

        def hiding(peer: bytes, channel: Channel, payload: bytes) -> bool:
            proposal = channel is Channel.CONSENSUS and KINDS[payload[0]] is Proposal
            return True if peer == victim and proposal else send(peer, channel, payload)

        monkeypatch.setattr(network, "send", hiding)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pace.work, 8)
            for _ in range(800):
                assert out_of_turn(world) == []
                await trio.sleep(0.01)
        lacking = set()
        for height in [height for at, height, _ in pace.blocks if at > start + 1]:
            block = world.node("v0").chain.blocks.block(height)
            assert block is not None and block.last_certificate is not None
            if 3 not in (signers(block.last_certificate.signers, 4) or []):
                lacking.add(block.header.proposer)
        lacking.discard(consensus_key(ODD))  # what it says of itself counts for nothing
        assert lacking == {consensus_key("v1"), consensus_key("v2")}, "it had its way with two"
        # Without the liar's blocks the victim would be late for its own turns: it fetches them.
        assert pace.since(start)[0] >= 0.85 * all_up[0]

    play(scenario)
