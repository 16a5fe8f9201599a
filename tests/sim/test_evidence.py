"""A validator that signs two votes of one round is shown to governance, on every node."""

from __future__ import annotations

from consensus.params import Params
from tests.node.test_proposer import contradiction
from tests.sim.world import GLN, World, consensus_key, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)
ALL = ["v0", "v1", "v2", "v3"]


def test_who_contradicted_itself_stands_in_every_node_s_state() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(2, ALL)
        evidence = contradiction(world.document.chain_id, "v3", 1)
        assert world.node("v0").engine.evidence_received(evidence)

        def shown(name: str) -> bool:
            return bool(world.ask(name, "governance", "accusation_list"))

        await world.until(lambda: all(shown(name) for name in ALL))
        (found,) = world.ask("v1", "governance", "accusation_list")
        assert (found["key"], found["name"], found["organisation"]) == (
            consensus_key("v3"),
            "v3",
            GLN,
        )
        assert (found["fault"], found["height"]) == ("two commits in one round", 1)
        height = found["block"]
        await world.reach(height + 1, ALL)
        world.check_agreement()
        block = world.node("v2").chain.blocks.block(height)
        assert block is not None and block.evidence == (evidence,)

    run_world(11, scenario, PARAMS)
