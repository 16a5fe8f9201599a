"""A world that a seed decides: whole nodes above virtual clock, network and disks.

Time is trio's MockClock, which jumps whenever everybody waits; trio's scheduler is seeded, and made
to run tasks in a fixed order, by two private names of trio (``test_canary`` notices when they go).
Everything that may differ between two runs goes into ``trace``, whose hash is compared.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio
import trio.testing

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.params import Params
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import LocalFault
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.executor import run_query
from node.admission import Admitted
from node.chain import Load
from node.mempool import Mempool
from node.node import Node, Ports, Voter
from node.wal import VoteLog
from node.workers import InlineVerifier
from p2p.ports import Handler, Network
from p2p.virtual import VirtualConditions, VirtualNetwork
from tests.sim.disk import NEXT_VOTES, Loss, MemoryFile, ProcessCrash, VirtualBlocking
from tests.sim.machine import (
    EPOCH_MS,
    GLN,
    Join,
    Machine,
    MemoryReports,
    VirtualClock,
    consensus_key,
    document,
    seed_of,
    shared,
)

__all__ = [
    "EPOCH_MS",
    "GLN",
    "Join",
    "Machine",
    "MemoryFile",
    "MemoryReports",
    "VirtualClock",
    "World",
    "consensus_key",
    "document",
    "run_world",
    "seed_of",
    "shared",
]

_ALL_LOST = Loss()


class Watcher(Protocol):
    """Told of everything that a world's machines do, at the moment that they do it."""

    def started(self, name: str) -> None: ...

    def stopped(self, name: str, failure: BaseException | None) -> None:
        """The process has ended: killed (None) or for a reason of its own."""

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        """Every block, in order, also those fetched from others; before anybody hears of it."""

    def accepted(self, name: str, tx: Transaction) -> None:
        """A machine has taken a transaction from a client."""


class World:
    """Machines, their network, and the trace of what they committed.

    ``liars`` are the machines that are not held to honesty.
    """

    def __init__(
        self,
        rng: random.Random,
        params: Params,
        *,
        validators: int = 4,
        full: int = 0,
        conditions: VirtualConditions | None = None,
    ) -> None:
        self.rng = rng
        self.document = document(params, validators, full)
        self.network = VirtualNetwork(rng, conditions)
        self.machines = {f"v{index}": Machine(f"v{index}", True) for index in range(validators)}
        self.machines |= {f"f{index}": Machine(f"f{index}", False) for index in range(full)}
        self.load: Load = shared
        self.watchers: list[Watcher] = []
        self.liars: set[str] = set()
        self.nursery: trio.Nursery | None = None
        self.trace = hashlib.sha256()
        self._salt = 0

    def node(self, name: str) -> Node:
        return self.machines[name].running

    def up(self) -> list[Node]:
        return [machine.node for machine in self.machines.values() if machine.node is not None]

    # --- machines ----------------------------------------------------------------------------

    def start(
        self, name: str, vote_from: int | None = None, mempool: Mempool | None = None
    ) -> Node:
        """Boot a machine on the disk it has. Raises LocalFault when it does not come up, CRASHED
        for a fault of its disk that ended the process meanwhile."""
        assert self.nursery is not None
        machine = self.machines[name]
        voters = []
        if machine.validator:
            seed = seed_of(f"{machine.identity} {machine.seed_kind}")
            voters = [Voter(seed, machine.disk.file(), vote_from)]
            if machine.next_votes is not None:
                seed = seed_of(f"{name} consensus next")
                voters.append(Voter(seed, machine.disk.file(NEXT_VOTES)))

        def plug_in(handler: Handler) -> Network:
            machine.plugged = True
            return self.network.add(machine.network_key, handler, name, machine.place)

        def join(handler: Handler) -> Network:
            return plug_in(handler) if machine.bent is None else machine.bent(handler, plug_in)

        ports = Ports(
            machine.clock,
            VirtualBlocking(machine.disk),
            InlineVerifier(),
            machine.kv,
            join,
            machine.reports,
        )
        machine.disk.boot()
        machine.disk.on_crash = functools.partial(self._cut_off, machine)
        try:
            machine.node = Node(self.document, ports, voters, mempool, self.load)
        except ProcessCrash:
            raise LocalFault("CRASHED", f"{name} crashed while it booted") from None
        machine.stopped = trio.Event()
        machine.scope = trio.CancelScope()
        machine.failure = None
        self._watch(name, machine.node)
        for watcher in self.watchers:
            watcher.started(name)
        self.nursery.start_soon(self._run, machine)
        return machine.node

    def _watch(self, name: str, node: Node) -> None:
        """Hear of each block and each client's transaction as the node does, not a task later."""
        tell, submit = node.bus.committed, node.submit

        def committed(height: int) -> None:
            now = round(trio.current_time() * 1000)
            for each in range(node.bus.height + 1, height + 1):  # several when it catches up
                sealed = node.chain.blocks.sealed(each)
                assert sealed is not None
                certificate = node.chain.certificate if each == height else sealed.certificate
                assert certificate is not None
                self.trace.update(f"{now} {name} {each} {sealed.block.hash.hex()}\n".encode())
                for watcher in self.watchers:
                    watcher.committed(name, sealed.block, certificate)
            tell(height)

        async def submitted(raws: list[bytes]) -> list[Admitted]:
            answers = await submit(raws)
            for answer in answers:
                if answer.accepted and answer.entry is not None:
                    for watcher in self.watchers:
                        watcher.accepted(name, answer.entry.tx)
            return answers

        node.bus.committed = committed  # type: ignore[method-assign]
        node.submit = submitted  # type: ignore[method-assign]

    def add_machine(self, name: str) -> Machine:
        """One more, with a validator's keys, that nobody has admitted."""
        machine = self.machines[name] = Machine(name, True)
        self.make_vote_log(name)
        return machine

    def make_next_key(self, name: str) -> bytes:
        """What ``hansa node rotate`` does; the machine has it from its next start on."""
        key = consensus_key(name, "consensus next")
        VoteLog.create(MemoryFile(self.machines[name].disk, NEXT_VOTES), key)
        return key

    def make_vote_log(self, name: str) -> None:
        """What ``keys new`` does."""
        machine = self.machines[name]
        VoteLog.create(machine.votes, consensus_key(machine.identity))

    async def _run(self, machine: Machine) -> None:
        node = machine.running
        try:
            assert machine.scope is not None
            with machine.scope:
                await node.run()
        except BaseExceptionGroup as error:
            machine.failure = error.split(ProcessCrash)[1]
        finally:
            self._cut_off(machine)
            machine.node = None
            machine.stopped.set()
            for watcher in self.watchers:
                watcher.stopped(machine.name, machine.failure)

    def _cut_off(self, machine: Machine) -> None:
        """No message leaves the process any more, and it ends when its tasks next wait."""
        if machine.plugged:
            machine.plugged = False
            self.network.remove(machine.place)
        if machine.scope is not None:
            machine.scope.cancel()

    def kill(self, name: str, loss: Loss | None = _ALL_LOST) -> None:
        """End a process at this very instant; it is gone when it has ``stopped``. Without a
        ``loss`` as kill -9 does, else as a power cut does."""
        machine = self.machines[name]
        if machine.node is not None:
            machine.disk.end(loss)
            self._cut_off(machine)

    async def crash(self, name: str, loss: Loss | None = _ALL_LOST) -> None:
        """``kill``, and wait until the process is gone."""
        self.kill(name, loss)
        if self.machines[name].node is not None:
            await self.machines[name].stopped.wait()

    def start_all(self) -> None:
        for name, machine in self.machines.items():
            if machine.validator:
                self.make_vote_log(name)
            self.start(name)

    # --- work --------------------------------------------------------------------------------

    def transaction(self, *calls: Call, valid_for_ms: int = 300_000) -> Transaction:
        """The calls in the one organisation's name; else a key with a fresh label for it."""
        self._salt += 1
        seed = seed_of("admin")
        key = public_key(seed_of(f"user {self._salt}"))
        args = {"key": key, "label": f"user {self._salt}", "roles": []}
        body = TransactionBody(
            1,
            self.document.chain_id,
            public_key(seed),
            calls or (Call("identity", "add_key", args),),
            VirtualClock().wall_ms() + valid_for_ms,
            10_000_000 if calls else 1_000_000,
            self._salt.to_bytes(16, "big"),
        )
        return body.signed(seed)

    async def call(self, via: str, contract: str, method: str, **args: Any) -> Any:
        """One call, handed in at a node; returns its result when it is committed there."""
        tx = self.transaction(Call(contract, method, args))
        node = self.node(via)
        [answer] = await node.submit([tx.raw])
        assert answer.accepted, answer
        await self.until(lambda: node.chain.blocks.position_of(tx.tx_id) is not None)
        height, index = node.chain.blocks.position_of(tx.tx_id) or (0, 0)
        receipts = node.chain.blocks.receipts(height)
        assert receipts is not None
        assert receipts[index].code == "OK", receipts[index]
        return receipts[index].result[0]

    def ask(self, via: str, contract: str, method: str, **args: Any) -> Any:
        """A query at a node."""
        chain = self.node(via).chain
        context = chain.block_context()
        return run_query(chain.registry, chain.state, context, contract, method, args)

    async def reach(self, height: int, names: list[str], timeout_s: float = 120) -> None:
        """Returns when all of ``names`` have committed ``height``; fails after ``timeout_s``
        of virtual time."""
        with trio.move_on_after(timeout_s) as waited:
            for name in names:
                await self.node(name).bus.beyond(height - 1)
        if waited.cancelled_caught:
            heights = {node.document.name: node.chain.height for node in self.up()}
            raise AssertionError(f"height {height} not reached: {heights}")

    async def until(self, condition: Callable[[], bool], timeout_s: float = 120) -> None:
        with trio.fail_after(timeout_s):
            while not condition():
                await trio.sleep(0.05)

    def check_agreement(self) -> None:
        """One block per height, equal roots, every transaction at most once."""
        chains: dict[int, bytes] = {}
        for machine in self.machines.values():
            if machine.node is None:
                continue
            seen: set[bytes] = set()
            for height in range(machine.node.chain.height + 1):
                block = machine.node.chain.blocks.block(height)
                assert block is not None
                assert chains.setdefault(height, block.hash) == block.hash, f"fork at {height}"
                for raw in block.bodies:
                    tx_id = Transaction.parse(raw).tx_id
                    assert tx_id not in seen, "a transaction stands twice"
                    seen.add(tx_id)


def run_world(
    seed: int,
    scenario: Callable[[World], Awaitable[None]],
    params: Params | None = None,
    *,
    validators: int = 4,
    full: int = 0,
    conditions: VirtualConditions | None = None,
) -> str:
    """Run a scenario in a fresh world; returns its trace's hash."""
    trio_run = trio._core._run  # type: ignore[attr-defined]
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True
    trio_run._r.seed(seed)
    world = World(
        random.Random(seed),
        params or Params(),
        validators=validators,
        full=full,
        conditions=conditions,
    )

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            world.nursery = nursery
            nursery.start_soon(world.network.run)
            await scenario(world)
            nursery.cancel_scope.cancel()

    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before
    return world.trace.hexdigest()
