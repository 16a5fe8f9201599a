"""Whole nodes in memory: the same seed gives the same history."""

from __future__ import annotations

import trio

from tests.sim.world import World, run_world


async def _work(world: World) -> None:
    world.start_all()
    names = [name for name in world.machines]
    txs = [world.transaction() for _ in range(30)]
    for index, tx in enumerate(txs):
        node = world.node(names[index % len(names)])
        [answer] = await node.submit([tx.raw])
        assert answer.accepted, answer
        await trio.sleep(0.05)
    await world.until(
        lambda: all(
            all(node.chain.blocks.position_of(tx.tx_id) for tx in txs) for node in world.up()
        )
    )
    world.check_agreement()


def test_same_seed_same_trace() -> None:
    first, second = run_world(7, _work), run_world(7, _work)
    assert first == second
    assert run_world(8, _work) != first
