"""A world in which things go wrong all the time while it is changed by votes.

``Turmoil`` keeps machines up, cuts and crashes them at drawn moments or at the very block that a
scenario names, carries the operators' transactions through all that, and at the end requires what
any calm world must give.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import trio

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.params import Params
from consensus.primitives.errors import LocalFault
from consensus.transaction import Call, Transaction
from node.node import Node
from p2p.virtual import VirtualConditions
from tests.sim.disk import Fault, Loss, Strike
from tests.sim.machine import GLN, Machine, consensus_key
from tests.sim.oracle import Oracle, Violation
from tests.sim.quick import quickly
from tests.sim.world import World, run_world

PARAMS: Final = Params(
    round_timeout_ms=500,
    round_timeout_max_ms=4_000,
    empty_block_interval_ms=250,
    min_block_interval_ms=100,
)
RAIN: Final = VirtualConditions(
    delay_ms=(1, 20), loss=0.03, duplicate=0.05, reorder=0.1, silence_ms=2_000
)
CALM: Final = VirtualConditions(delay_ms=(1, 20), silence_ms=2_000)
KEEPER_S: Final = 0.1
RECOVERY_TIMEOUTS_MAX: Final = 12
"""As in ``play``: when all is well again, a block within so many of the longest time-outs."""


@dataclass(frozen=True)
class Blow:
    """Ends a machine at the very moment that it commits a block of which ``when`` is true."""

    name: str
    when: Callable[[Block], bool]
    down_s: float
    loss: Loss | None


class Turmoil:
    """Watches a world (after the oracle) and troubles it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(f"turmoil {seed}")
        self.oracle = Oracle(world)
        self.members = [name for name, machine in world.machines.items() if machine.validator]
        """Whose nodes are admitted."""
        self.struck: list[tuple[str, int]] = []
        """Which machines ``Blow``s have ended, and at which height."""
        self._blows: list[Blow] = []
        self._splits: dict[int, float] = {}
        self._nodes: list[tuple[str, Node]] = []
        self._down_until: dict[str, float] = {}
        self._calm = False
        world.watchers.append(self)

    # --- watcher -----------------------------------------------------------------------------

    def started(self, name: str) -> None:
        self._nodes.append((name, self.world.node(name)))

    def stopped(self, name: str, failure: BaseException | None) -> None:
        pass

    def accepted(self, name: str, tx: Transaction) -> None:
        pass

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        split_s = self._splits.pop(block.height, None)
        if split_s is not None:
            self._split(split_s)
        for blow in [one for one in self._blows if one.name == name and one.when(block)]:
            self._blows.remove(blow)
            self.struck.append((name, block.height))
            self._down_until[name] = trio.current_time() + blow.down_s
            self.world.kill(name, blow.loss)

    # --- machines ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Start every machine; from now on what is down starts again."""
        self.world.start_all()
        assert self.world.nursery is not None
        self.world.nursery.start_soon(self._keep_up)

    async def _keep_up(self) -> None:
        while True:
            await trio.sleep(KEEPER_S)
            for name, machine in self.world.machines.items():
                if machine.node is None and trio.current_time() >= self._down_until.get(name, 0):
                    try:
                        self.world.start(name)
                    except LocalFault as error:
                        if error.code != "CRASHED":
                            raise Violation(f"{name} does not start: {error}") from error

    def strike_when(
        self,
        name: str,
        when: Callable[[Block], bool],
        down_s: float = 0.0,
        loss: Loss | None = None,
    ) -> None:
        """End this machine when it commits such a block; up again after ``down_s``."""
        self._blows.append(Blow(name, when, down_s, loss))

    def strike_at(self, name: str, height: int, down_s: float = 0.0) -> None:
        loss = self.rng.choice((None, Loss.drawn(self.rng)))
        self.strike_when(name, lambda block: block.height == height, down_s, loss)

    def split_at(self, height: int, for_s: float) -> None:
        """Part the machines in two, drawn, when the first of them commits this height."""
        self._splits[height] = for_s

    def _split(self, for_s: float) -> None:
        places = [machine.place for machine in self.world.machines.values()]
        self.rng.shuffle(places)
        half = self.rng.randint(1, len(places) - 1)
        self.world.network.partition(tuple(places[:half]), tuple(places[half:]))
        self.world.network.later(for_s, self.world.network.heal)

    async def down(self, name: str) -> None:
        """Held down until ``let_up``."""
        self._down_until[name] = float("inf")
        await self.world.crash(name, self.rng.choice((None, Loss.drawn(self.rng))))

    def let_up(self, name: str) -> None:
        self._down_until.pop(name, None)

    def cut_off(self, name: str) -> None:
        """Nothing gets to or from this machine until ``reconnect``."""
        for one, other in self._pairs(name):
            self.world.network.block(one, other)

    def reconnect(self, name: str) -> None:
        for one, other in self._pairs(name):
            self.world.network.unblock(one, other)

    def _pairs(self, name: str) -> Iterable[tuple[bytes, bytes]]:
        here = self.world.machines[name].place
        for other in self.world.machines.values():
            if other.place != here:
                yield here, other.place
                yield other.place, here

    async def trouble(self, names: Callable[[], list[str]]) -> None:
        """One after another of these is crashed, cut off or has its disk fail, for a while."""
        rng = self.rng
        while not self._calm:
            await trio.sleep(rng.uniform(0.2, 1.5))
            name = rng.choice(names())
            machine = self.world.machines[name]
            if machine.node is None or self._calm:
                continue
            what = rng.choice(("crash", "cut", "disk"))
            if what == "crash":
                self._down_until[name] = trio.current_time() + rng.uniform(0, 2)
                await self.world.crash(name, rng.choice((None, Loss.drawn(rng))))
            elif what == "cut":
                self.cut_off(name)
                await trio.sleep(rng.uniform(0.2, 3))
                self.reconnect(name)
            else:
                strike = rng.choice((Strike.BEFORE, Strike.WITHIN, Strike.AFTER))
                fault = Fault(strike, rng.choice((None, Loss.drawn(rng))), rng.random())
                machine.disk.plan(fault, after=rng.randrange(8))

    async def load(self) -> None:
        """A little work, at whoever is up."""
        while not self._calm:
            await trio.sleep(self.rng.uniform(0.1, 0.8))
            name = self.rng.choice(self.members)
            node = self.world.machines[name].node
            if node is not None:
                await node.submit([self.world.transaction().raw])

    # --- votes -------------------------------------------------------------------------------

    async def agreed(self, *calls: Call) -> tuple[int, list[Any]]:
        """One transaction, handed in again and again until it is committed. Returns its height and
        its calls' results; None for results of a transaction that was refused."""
        tx = self.world.transaction(*calls)
        with trio.fail_after(120):
            while tx.tx_id not in self.oracle.positions:
                for name in self.members:
                    node = self.world.machines[name].node
                    if node is not None:
                        await node.submit([tx.raw])
                for _ in range(10):
                    await trio.sleep(0.05)
                    if tx.tx_id in self.oracle.positions:
                        break
            height, index = self.oracle.positions[tx.tx_id]
            while True:
                for node in self.world.up():
                    receipts = node.chain.blocks.receipts(height)
                    if receipts is not None:
                        receipt = receipts[index]
                        return height, list(receipt.result) if receipt.code == "OK" else []
                await trio.sleep(0.05)

    async def propose(self, what: str, *arguments: dict[str, Any]) -> list[int]:
        """Numbers of the proposals, all made in one transaction."""
        calls = [Call("governance", f"propose_{what}", args) for args in arguments]
        _, numbers = await self.agreed(*calls)
        assert len(numbers) == len(calls), f"{what} refused"
        return numbers

    async def vote(self, proposal: int) -> tuple[int, int]:
        """Vote for it until it is accepted: another change may have to come first. Returns the
        height that decided it and the one from which on it is in force."""
        while True:
            height, result = await self.agreed(
                Call("governance", "vote", {"proposal": proposal, "yes": True})
            )
            if result:
                assert result == ["ACCEPTED"]
                return height, self._in_force(height, proposal)

    def _in_force(self, height: int, proposal: int) -> int:
        for name, machine in self.world.machines.items():
            if machine.node is not None and machine.node.chain.height >= height:
                record = self.world.ask(name, "governance", "proposal", proposal=proposal)
                return int(record["in_force"])
        raise AssertionError("nobody is up who knows")

    async def change(self, what: str, **args: Any) -> tuple[int, int]:
        """Propose and vote; returns (decided, in force)."""
        [proposal] = await self.propose(what, args)
        return await self.vote(proposal)

    async def admit(self, machines: list[Machine]) -> None:
        """Vote these machines' nodes in."""
        numbers = await self.propose(
            "node",
            *(
                {
                    "network_key": one.network_key,
                    "name": one.name,
                    "organisation": GLN,
                    "addresses": [f"{one.name}.example:1"],
                }
                for one in machines
            ),
        )
        for number in numbers:
            await self.vote(number)
        self.members += [one.name for one in machines]

    async def add(self, machine: Machine, **args: Any) -> tuple[int, int]:
        """Give an admitted machine a vote."""
        return await self.change(
            "validator_add",
            name=machine.name,
            consensus_key=consensus_key(machine.name),
            organisation=GLN,
            network_key=machine.network_key,
            **args,
        )

    # --- heights -----------------------------------------------------------------------------

    async def height(self, height: int, within_s: float = 120) -> None:
        """Returns when somebody has committed it."""
        await self.until(lambda: self.oracle.height >= height, f"height {height}", within_s)

    async def all_at(self, height: int, names: Iterable[str], within_s: float = 120) -> None:
        """Returns when all of these have committed it."""
        wanted = list(names)

        def there() -> bool:
            nodes = [self.world.machines[name].node for name in wanted]
            return all(node is not None and node.chain.height >= height for node in nodes)

        await self.until(there, f"height {height} at {wanted}", within_s)

    async def until(self, condition: Callable[[], bool], what: str, within_s: float = 120) -> None:
        with trio.move_on_after(within_s) as waited:
            while not condition():
                await trio.sleep(0.02)
        if waited.cancelled_caught:
            stand = {
                name: "down"
                if machine.node is None
                else f"{machine.node.chain.height} {machine.node.engine.describe()}"
                for name, machine in self.world.machines.items()
            }
            raise AssertionError(f"not in {within_s} s of virtual time: {what}: {stand}")

    def out_of_turn(self, name: str) -> set[str]:
        """Who proposes no first round of the next block, as this machine's chain says."""
        chain = self.world.node(name).chain
        return {chain.validators.name(one.key) for one in chain.out_of_turn}

    def voters(self, height: int) -> set[str]:
        """Names of the validators of a committed height, by its block."""
        for node in self.world.up():
            block = node.chain.blocks.block(height)
            if block is not None:
                found = node.chain.blocks.validators(block.header.validators_hash)
                assert found is not None
                return {one.name for one in found.members}
        raise AssertionError(f"nobody has block {height}")

    # --- the end -----------------------------------------------------------------------------

    async def end(self, voters: set[str]) -> None:
        """Calm down; all machines come to one chain with these validators, of whom each that has a
        vote uses it; nobody honest was ever taken for a cheat."""
        world = self.world
        self._calm = True
        self._down_until.clear()
        world.network.heal()
        world.network.conditions = CALM
        for machine in world.machines.values():
            machine.disk.unplan()
        bound_s = RECOVERY_TIMEOUTS_MAX * PARAMS.round_timeout_max_ms / 1000
        healed = self.oracle.height
        await self.height(healed + 1, bound_s)
        await self.all_at(self.oracle.height + 1, self.members, bound_s)
        await self.until(
            lambda: all(world.node(name).engine.voting for name in voters), f"all of {voters} vote"
        )
        sound = frozenset(self.members)
        await self.until(lambda: not self.oracle.waiting(sound), "everything accepted committed")
        await self.all_at(self.oracle.height, self.members)
        world.check_agreement()
        self.oracle.finish(sound)
        assert not self._blows and not self._splits, "a blow that never fell"
        for name in self.members:
            node = world.node(name)
            assert {one.name for one in node.chain.validators.members} == voters
            assert node.engine.voting == (name in voters), name
            lapses = {one.key for one in node.chain.out_of_turn}
            assert lapses <= set(node.chain.validators.index_of)
        for name, node in self._nodes:  # also those whose process has ended
            faults = {
                node.roster.name(peer): fault for peer, fault in node.engine.observed.faults.items()
            }
            assert not faults, f"{name} takes an honest node for a cheat: {faults}"


def play(
    seed: int,
    scenario: Callable[[Turmoil], Awaitable[None]],
    *,
    validators: int = 4,
    joining: Iterable[str] = (),
    conditions: VirtualConditions = RAIN,
) -> str:
    """Run a scenario with some validators, and machines that nobody has admitted yet."""

    async def whole(world: World) -> None:
        for name in joining:
            world.add_machine(name)
        turmoil = Turmoil(world, seed)
        turmoil.members = [name for name in world.machines if name not in set(joining)]
        turmoil.begin()
        await scenario(turmoil)

    with quickly():
        return run_world(seed, whole, PARAMS, validators=validators, conditions=conditions)
