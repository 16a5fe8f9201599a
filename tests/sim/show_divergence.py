"""Shows divergence being caught: ``python -m tests.sim.show_divergence``.

Four whole nodes in the virtual world, some with a build that stores one label in another way: first
one of them, then two. Prints what becomes of the transactions and the reports that nodes write.
"""

from __future__ import annotations

import json
import sys

import structlog
import trio

from tests.node.test_engine import has, leaves
from tests.sim.test_divergence import (
    ALL,
    PARAMS,
    hand_in,
    held_out,
    labelled,
    other_build,
    reports,
)
from tests.sim.world import World, run_world


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


async def _one_of_four(world: World) -> None:
    world.start_all()
    await world.reach(1, ALL)
    other_build(world.node("v2"), " (v2's build)")
    _say("One of four validators, v2, has another build. Three transactions, the second is stored")
    _say("in another way by it:")
    txs = [labelled(world, 1, "plain"), labelled(world, 2), labelled(world, 3, "plain")]
    await hand_in(world, txs)
    await world.machines["v2"].stopped.wait()
    await world.until(lambda: all(has(node, tx) for node in world.up() for tx in txs))
    (fault,) = leaves(world.machines["v2"].failure)
    _say(f"  v2 stopped: {fault}")
    _say("  v0, v1, v3 have committed all three and go on.")
    _say("  v2's report:")
    _say(json.dumps(reports(world, "v2")[0], indent=2))


async def _two_of_four(world: World) -> None:
    world.start_all()
    await world.reach(1, ALL)
    for name in ("v1", "v2"):
        other_build(world.node(name), " (other build)")
    _say()
    _say("Two of four validators, v1 and v2, have another build: no outcome finds a quorum.")
    plain = [labelled(world, number, "plain") for number in range(10, 18)]
    odd = labelled(world, 2)
    began = trio.current_time()
    await hand_in(world, [*plain[:4], odd, *plain[4:]])
    await world.until(lambda: all(has(node, tx) for node in world.up() for tx in plain))
    took_s = trio.current_time() - began
    _say(f"  8 of 9 transactions are committed after {took_s:.1f} s; the ninth:")
    for node, name in zip(world.up(), ALL, strict=True):
        _say(f"  {'held out' if held_out(node, odd) else 'waits'} at {name}")
    first = reports(world, "v0")[0]["first"]
    key = first["key"]
    _say(f"  v0's report: transaction {first['tx_id']}, {', '.join(first['calls'])}")
    _say(f"      first key {key['contract']}.{key['map']} {json.dumps(key['parts'])}")
    for result in first["results"]:
        _say(f"      {', '.join(result['validators'])} wrote {json.dumps(result['value'])}")


def main() -> None:
    """Both stories."""
    structlog.configure(processors=[_silent])
    run_world(1, _one_of_four, PARAMS)
    run_world(2, _two_of_four, PARAMS)


def _silent(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
