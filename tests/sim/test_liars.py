"""Up to f lying validators: no fork, every honest client's transaction within a few round
time-outs, memory within bounds, and the lie shown where signatures prove it. More than f: still no
honest validator signs two votes that contradict each other."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import trio

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.params import Params
from consensus.transaction import Transaction
from consensus.validators import Thresholds
from p2p.virtual import VirtualConditions
from tests.sampling import some
from tests.sim.liars import Liar, make_liar
from tests.sim.lies import LIES
from tests.sim.lies_flooding import ManySigner, SyncLiar, resigned
from tests.sim.lies_proposing import SilentProposer
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.twins import VotesOnly
from tests.sim.world import World, run_world, seed_of

TIMEOUT_MS = 1_000
PARAMS = Params(
    round_timeout_ms=TIMEOUT_MS,
    round_timeout_max_ms=8 * TIMEOUT_MS,
    min_block_interval_ms=200,
    empty_block_interval_ms=1_500,
    block_txs_max=100,
)
CALM = VirtualConditions(delay_ms=(1, 20))
ROUGH = VirtualConditions(delay_ms=(1, 120), loss=0.02, duplicate=0.1, reorder=0.2)
LOAD_S = 4.0
PATIENCE_TIMEOUTS = 5
"""An honest node's transaction is in every honest chain after so many round time-outs."""


class Waits:
    """How long each transaction waited until the last honest node had it, ms."""

    def __init__(self, world: World, honest: Sequence[str]) -> None:
        self.world, self.honest = world, honest
        self.since: dict[bytes, float] = {}
        self.missing: dict[bytes, set[str]] = {}
        self.worst_ms = 0
        world.watchers.append(self)

    def started(self, name: str) -> None: ...

    def stopped(self, name: str, failure: BaseException | None) -> None: ...

    def accepted(self, name: str, tx: Transaction) -> None:
        self.since[tx.tx_id] = trio.current_time()
        self.missing[tx.tx_id] = set(self.honest)

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        for raw in block.bodies:
            tx_id = Transaction.parse(raw).tx_id
            missing = self.missing.get(tx_id, set())
            missing.discard(name)
            if tx_id in self.since and not missing:
                self.missing.pop(tx_id, None)
                waited = trio.current_time() - self.since.pop(tx_id)
                self.worst_ms = max(self.worst_ms, round(waited * 1000))


async def under_load(
    world: World, honest: Sequence[str], patience: int = PATIENCE_TIMEOUTS
) -> Waits:
    """Transactions at honest nodes for a while; all of them in time, or AssertionError."""
    waits = Waits(world, honest)
    rng = random.Random("load")
    end = trio.current_time() + LOAD_S
    while trio.current_time() < end:
        tx = world.transaction()
        [answer] = await world.node(rng.choice(honest)).submit([tx.raw])
        assert answer.accepted, answer
        await trio.sleep(rng.uniform(0.05, 0.4))
    with trio.move_on_after(patience * TIMEOUT_MS / 1000):
        while waits.missing:
            await trio.sleep(0.1)
    late = [tx_id.hex()[:12] for tx_id in waits.missing]
    assert not late, f"not committed within {patience} round time-outs: {late}"
    assert waits.worst_ms <= patience * TIMEOUT_MS
    return waits


def shown_evidence(world: World, name: str) -> set[tuple[bytes, int]]:
    """(Consensus key, kind) of everything that stands in the blocks of a node."""
    blocks = world.node(name).chain.blocks
    return {
        (one.sender, one.kind)
        for height in range(1, world.node(name).chain.height + 1)
        for one in (blocks.block(height) or pytest.fail("a block is missing")).evidence
    }


def shown_faults(world: World, name: str, liar: Liar) -> set[str]:
    """The code for which a node dropped the liar last."""
    fault = world.node(name).engine.observed.faults.get(liar.machine.network_key)
    return set() if fault is None else {fault[0]}


def check_proof(world: World, honest: Sequence[str], liars: Sequence[Liar], liar: Liar) -> None:
    """What a liar's one lie is to give: evidence in everybody's blocks, or a link that somebody
    ended for it. Several lies hide one another: who is mute is proven nothing."""
    assert liar.machine.failure is None, "the liar's own node failed"
    kinds = frozenset[int]().union(*(lie.evidence for lie in liar.lies))
    codes = frozenset[str]().union(*(lie.faults for lie in liar.lies))
    shown = [
        {kind for key, kind in shown_evidence(world, name) if key == liar.key} for name in honest
    ]
    faults = set[str]().union(*(shown_faults(world, name, liar) for name in honest))
    if len(liar.lies) == 1 and (kinds or codes):
        proven = bool(kinds) and all(one & kinds for one in shown)
        assert proven or faults & codes, f"neither evidence {shown} nor faults {faults}"
    for name in honest:
        accused = {key for key, _ in shown_evidence(world, name)}
        assert accused <= {one.key for one in liars}, "an honest validator is accused"


def play(
    seed: int,
    liars: dict[str, list[str]],
    *,
    validators: int = 4,
    patience: int = PATIENCE_TIMEOUTS,
    conditions: VirtualConditions = CALM,
) -> Waits:
    """A world with these liars (name -> lies) under load, and everything checked."""
    honest = [f"v{index}" for index in range(validators) if f"v{index}" not in liars]
    found: list[Waits] = []

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        made = [
            make_liar(world, name, *(LIES[lie]() for lie in lies), seed=seed)
            for name, lies in liars.items()
        ]
        world.start_all()
        found.append(await under_load(world, honest, patience))
        oracle.finish()
        world.check_agreement()
        for liar in made:
            check_proof(world, honest, made, liar)

    with quickly():
        run_world(seed, scenario, PARAMS, validators=validators, conditions=conditions)
    return found[0]


@pytest.mark.parametrize("lie", sorted(LIES))
def test_one_liar_of_four(lie: str) -> None:
    play(1, {"v1": [lie]})


HONEST_PAIR = (("v1", "v3"), ("v3", "v1"))
STRONG = ("equivocating proposer", "agreeable", "round change names nothing", "commit without lock")
"""What makes forks, were there enough of them."""


@pytest.mark.parametrize("seed", some(range(4)))
def test_two_liars_of_seven_that_work_together(seed: int) -> None:
    play(seed, {"v0": list(STRONG), "v4": list(STRONG)}, validators=7, patience=8)


@pytest.mark.parametrize("seed", some(range(6)))
def test_two_liars_of_seven_drawn_by_lot(seed: int) -> None:
    rng = random.Random(f"two of seven {seed}")
    names = rng.sample([f"v{index}" for index in range(7)], 2)
    liars = {name: rng.sample(sorted(LIES), 2) for name in sorted(names)}
    waits = play(seed, liars, validators=7, patience=8)
    assert waits.worst_ms


@pytest.mark.parametrize("seed", some(range(6)))
def test_one_liar_in_many_ways_on_a_rough_network(seed: int) -> None:
    rng = random.Random(f"rough {seed}")
    play(seed, {"v2": rng.sample(sorted(LIES), 3)}, conditions=ROUGH, patience=12)


@pytest.mark.parametrize("flaw", SyncLiar.FLAWS)
def test_who_catches_up_is_not_misled(flaw: str) -> None:
    """A full node and a validator that missed 15 blocks, and a liar that tells them of more."""
    honest = ["v0", "v2", "v3"]

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        make_liar(world, "v1", SyncLiar(flaw))
        world.start_all()
        await world.reach(1, [*honest, "f0"])
        await world.crash("f0")
        await world.crash("v3")
        await world.reach(oracle.height + 15, ["v0", "v2"])
        world.start("f0")
        world.start("v3")
        height = oracle.height
        await world.reach(height, ["f0", "v3"], PATIENCE_TIMEOUTS * TIMEOUT_MS / 1000)
        await under_load(world, honest)
        oracle.finish()
        world.check_agreement()

    with quickly():
        run_world(5, scenario, PARAMS, full=1, conditions=CALM)


def test_one_body_under_many_signatures_stands_once() -> None:
    """Nodes may hold it under different wire ids; the chain takes one of them."""

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        make_liar(world, "v1", ManySigner(), SilentProposer())
        world.start_all()
        await under_load(world, ["v0", "v2", "v3"])
        bodies = [Transaction.parse(raw) for block in oracle.chain.values() for raw in block.bodies]
        assert len({tx.tx_id for tx in bodies}) == len(bodies)
        made = [tx for tx in bodies if tx.body.calls[0].args["label"] == "a liar's"]
        again = [resigned(tx, seed_of("admin"), random.Random(1)) for tx in made]
        assert again and all(tx.signature_valid() for tx in again)
        answers = await world.node("v0").submit([tx.raw for tx in again])
        assert not any(answer.entry is not None for answer in answers)
        oracle.finish()

    with quickly():
        run_world(2, scenario, PARAMS, conditions=CALM)


@pytest.mark.parametrize("seed", some(range(6)))
def test_two_liars_of_four_never_make_an_honest_one_sign_twice(seed: int) -> None:
    """More than f: the chain may fork or stand still."""
    rng = random.Random(f"two of four {seed}")

    async def scenario(world: World) -> None:
        oracle = VotesOnly(world)
        for name in ("v0", "v2"):
            make_liar(world, name, *(LIES[lie]() for lie in STRONG), seed=seed)
        world.start_all()
        world.network.flap(
            [(world.machines[a].place, world.machines[b].place) for a, b in HONEST_PAIR],
            down_ms=rng.randrange(500, 4_000),
            up_ms=rng.randrange(100, 2_000),
            times=5,
        )
        end = trio.current_time() + 20
        while trio.current_time() < end:
            node = world.machines[rng.choice(["v1", "v3"])].node
            if node is not None:
                await node.submit([world.transaction().raw])
            await trio.sleep(0.3)
        assert oracle.violation is None
        assert oracle.round_max > 0

    with quickly():
        run_world(seed, scenario, PARAMS, conditions=ROUGH)


def test_the_worlds_have_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a quorum one vote smaller, the same liars would fork the chain."""
    monkeypatch.setattr(Thresholds, "quorum", 2)
    heights: dict[int, set[bytes]] = {}

    async def scenario(world: World) -> None:
        VotesOnly(world).blocks = heights
        make_liar(world, "v1", *(LIES[lie]() for lie in STRONG))
        world.start_all()
        await trio.sleep(15)

    with quickly():
        run_world(1, scenario, PARAMS, conditions=CALM)
    assert any(len(hashes) > 1 for hashes in heights.values())
