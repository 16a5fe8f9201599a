"""Random schedules: whatever the network, the disks and f liars do, there is one chain, and it
grows again once the network is whole. HANSA_PBFT_SEEDS raises the number of schedules."""

from __future__ import annotations

import os

import pytest

from consensus.params import Params
from consensus.validators import Thresholds
from tests.consensus.pbft.world import FAST, Fork, World

SEEDS = range(int(os.environ.get("HANSA_PBFT_SEEDS", "3")))
CRASH = Params(**{**FAST.__dict__, "fault_model": "crash"})


def ordeal(world: World, heights: int = 3) -> None:
    """A bad network with crashes, then two halves that can't hear each other, then peace."""
    world.loss, world.duplicate, world.crash_rate = 0.2, 0.2, 0.02
    world.delay_ms = (1, 250)
    world.start()
    for step in range(6):
        world.submit(f"tx {step}")
        world.run(1_500)
    side = {i: world.random.random() < 0.5 for i in range(len(world.validators))}
    world.partition = lambda a, b: side[a] == side[b]
    world.run(4_000)
    world.loss = world.duplicate = world.crash_rate = 0.0
    world.delay_ms = (1, 20)
    world.partition = lambda _a, _b: True
    world.run(3_100)  # the crashed ones come back
    target = max(node.height for node in world.nodes.values()) + heights
    assert world.run_to_height(target, 60_000), "no progress after the network healed"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 4, 5, 7])
def test_honest_validators_on_a_bad_network(n: int, seed: int) -> None:
    ordeal(World(n, seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["silent", "double", "forger"])
@pytest.mark.parametrize("n", [4, 6])
def test_one_liar(n: int, kind: str, seed: int) -> None:
    ordeal(World(n, seed, liars={seed % n: kind}))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_liars_of_seven(seed: int) -> None:
    ordeal(World(7, seed, liars={0: "double", 3: "forger"}), heights=2)


@pytest.mark.parametrize("n", [10, 25])
def test_many_validators_with_f_silent(n: int) -> None:
    liars = dict.fromkeys(range(0, 3 * ((n - 1) // 3), 3), "silent")
    world = World(n, 0, liars=liars)
    world.start()
    world.submit("x")
    assert world.run_to_height(3, 30_000)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [3, 5])
def test_crash_fault_model(n: int, seed: int) -> None:
    world = World(n, seed, CRASH)
    ordeal(world)
    for index in range((n - 1) // 2):
        world.nodes[index].crash()
    target = max(node.height for node in world.nodes.values()) + 3
    assert world.run_to_height(target, 30_000), "a minority of dead validators stopped the chain"


def test_the_same_seed_gives_the_same_history() -> None:
    def history(seed: int) -> list[bytes]:
        world = World(4, seed)
        ordeal(world)
        return [world.blocks[h].hash for h in sorted(world.blocks)] + [b"%d" % world.sent]

    assert history(5) == history(5)
    assert history(5) != history(6)


def test_two_of_four_dead_stop_the_chain_and_their_return_starts_it() -> None:
    world = World(4, 1)
    world.start()
    assert world.run_to_height(3, 10_000)
    for index in (0, 1):
        world.nodes[index].crash()
    world.run(2_000)  # whatever was under way is decided
    stopped = max(node.height for node in world.nodes.values())
    world.run(20_000)
    assert max(node.height for node in world.nodes.values()) == stopped
    for index in (0, 1):
        world.nodes[index].start()
    assert world.run_to_height(stopped + 3, 15_000)


def test_the_judge_notices_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of this file can fail: with a quorum of 2 of 4, halves decide alone."""
    monkeypatch.setattr(Thresholds, "quorum", property(lambda _self: 2))
    world = World(4, 0)
    world.partition = lambda a, b: a % 2 == b % 2
    world.start()
    with pytest.raises(Fork):
        world.run_to_height(3, 60_000)
