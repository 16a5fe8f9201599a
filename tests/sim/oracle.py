"""What must hold in every world at every step, whatever the weather: judged from outside.

The oracle hears each message that a node hands to the network, each signature that is made, each
block that is committed and each transaction that is accepted. It keeps its own record and compares
the nodes with it; it never asks a node whether all is well. The first thing that is wrong ends the
whole run with a ``Violation``.

Put ``Oracle(world)`` at the head of a scenario and ``finish()`` at its end.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Final

import trio

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.messages import RoundChange, Vote, contradiction, decode_vote
from consensus.primitives.crypto import sign
from consensus.primitives.errors import LocalFault, PeerFault
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from node import signer as signer_module
from p2p.ports import Channel
from tests.sim.bounds import beyond_bounds
from tests.sim.disk import NEXT_VOTES, VOTES
from tests.sim.machine import Machine
from tests.sim.world import World

HEIGHTS_KEPT: Final = 200
"""Votes this far below the highest block are forgotten: no run depends on them any more."""
LOOK_EVERY_S: Final = 1.0
"""Bounds are looked at so often, in virtual time, and at every block."""
EXPECTED_FAILURES: Final = frozenset(
    {"CRASHED", "DISK_FULL", "STORE_CORRUPT", "STORE_IO", "VOTE_LOG_IO", "REPORT_IO"}
)
"""The codes with which a sound node may stop: its disk's fault, not its own."""


class Violation(AssertionError):
    """Something that must never happen, happened."""


@functools.lru_cache(maxsize=4096)
def _decoded(payload: bytes) -> Vote:
    return decode_vote(payload)


class Oracle:
    """Watches one world. Machines in ``world.liars`` are not held to honesty."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violation: Violation | None = None
        self.chain: dict[int, Block] = {}
        """Every committed block, by height."""
        self._moments: dict[int, float] = {}
        self.positions: dict[bytes, tuple[int, int]] = {}
        """Transaction id -> where it stands in the chain."""
        self.accepted_at: dict[bytes, tuple[str, float, Transaction]] = {}
        """Transaction id -> the node that took it, when, and the transaction. A node that stops
        may forget what waited."""
        self.excused: dict[bytes, int] = {}
        """Consensus key -> the height up to which its votes may contradict one another."""
        self.tips: dict[str, int] = {}
        """Machine -> the height that it has told as committed; no crash may take it back."""
        self._votes: dict[tuple[bytes, int], list[Vote]] = {}
        self._known: set[bytes] = set()
        """Signatures of the votes in ``_votes``."""
        self._signed: dict[bytes, int] = {}
        """Signature -> its place in the order in which all signatures were made last."""
        self._sets: dict[bytes, ValidatorSet] = {}
        self._certificates: set[bytes] = set()
        self._signatures_made = 0
        self.round_max = 0
        """The highest round that anybody entered."""
        self.tell: Callable[[str], None] = lambda _: None
        """Takes the lines of a timeline."""
        self._broken = trio.Event()
        self._news = trio.Event()
        self._names = {machine.place: name for name, machine in world.machines.items()}
        self._add_set(world.document.validator_set())
        world.watchers.append(self)
        world.network.taps.append(self._heard)
        signer_module.sign = self._signing  # type: ignore[attr-defined]
        assert world.nursery is not None
        world.nursery.start_soon(self._watch)

    @property
    def height(self) -> int:
        """Of the highest block that any machine committed."""
        return max(self.chain, default=0)

    def first_at(self, height: int) -> float:
        """The moment (virtual seconds) at which a height was committed first; infinite if never."""
        return self._moments.get(height, float("inf"))

    # --- what the scenario tells -------------------------------------------------------------

    def restored(self, name: str, keys: list[bytes]) -> None:
        """A machine goes on from an old backup: it may repeat itself where it had voted, and its
        chain begins further back."""
        self.tips.pop(name, None)
        for key in keys:
            self.excused[key] = max(self.excused.get(key, 0), self.voted(key))

    async def news(self) -> None:
        """Returns when a machine has committed or started."""
        self._news = trio.Event()
        await self._news.wait()

    def voted(self, key: bytes) -> int:
        """The highest height in which this validator was heard voting."""
        return max((height for sender, height in self._votes if sender == key), default=0)

    def emptied(self, name: str) -> None:
        """A machine's store was wiped: its chain begins anew."""
        self.tips.pop(name, None)

    # --- what the world tells ----------------------------------------------------------------

    def started(self, name: str) -> None:
        self._news.set()
        node = self.world.machines[name].running
        told = self.tips.get(name, 0)
        if node.chain.height < told:
            self._found(f"{name} told of block {told} and starts again at {node.chain.height}")
        for height in range(told + 1, node.chain.height + 1):
            # Committed by a process that ended before it could tell.
            block = node.chain.blocks.block(height)
            certificate = node.chain.blocks.certificate(height)
            assert block is not None
            assert certificate is not None
            self.committed(name, block, certificate)
        self._names[self.world.machines[name].place] = name

    def stopped(self, name: str, failure: BaseException | None) -> None:
        waited = [tx_id for tx_id, entry in self.accepted_at.items() if entry[0] == name]
        for tx_id in waited:
            if tx_id not in self.positions:
                del self.accepted_at[tx_id]
        for error in _leaves(failure):
            code = error.code if isinstance(error, LocalFault) else ""
            if isinstance(error, trio.Cancelled | Violation) or code in EXPECTED_FAILURES:
                continue
            if name not in self.world.liars:
                self._found(f"{name} stopped: {error!r}", error)

    def accepted(self, name: str, tx: Transaction) -> None:
        self.accepted_at.setdefault(tx.tx_id, (name, trio.current_time(), tx))

    def committed(self, name: str, block: Block, certificate: Certificate) -> None:
        """One block of a height, in order, with a certificate that holds, and with its roots."""
        if name in self.world.liars:
            return
        height = block.height
        expected = self.tips.get(name, 0) + 1
        if height != expected:
            self._found(f"{name} committed block {height} where {expected} was next")
        known = self.chain.get(height)
        if known is None:
            self._new_block(block)
        elif known.hash != block.hash:
            self._found(
                f"two blocks of height {height}: {name} has {_short(block.hash)},"
                f" others {_short(known.hash)}"
            )
        self._check_certificate(name, block, certificate)
        machine = self.world.machines[name]
        if machine.node is not None and machine.node.chain.height == height:
            chain = machine.node.chain
            if chain.state.root != block.header.state_root:
                self._found(f"{name}'s state is not that of block {height}")
            self._add_set(chain.validators)
        self.tips[name] = height
        self._news.set()
        txs = len(block.bodies)
        self.tell(
            f"{name} commits {height} {_short(block.hash)}, {txs} txs, round {certificate.round}"
        )
        self._look_at(name, machine)

    def _new_block(self, block: Block) -> None:
        height = block.height
        parent = self.chain.get(height - 1)
        if parent is not None and block.header.parent != parent.hash:
            self._found(f"block {height} does not stand on block {height - 1}")
        self.chain[height] = block
        self._moments[height] = trio.current_time()
        for index, raw in enumerate(block.bodies):
            tx_id = Transaction.parse(raw).tx_id
            if tx_id in self.positions:
                there = self.positions[tx_id]
                self._found(f"a transaction stands at {there} and at {(height, index)}")
            self.positions[tx_id] = (height, index)
        self._forget(height - HEIGHTS_KEPT)

    def _check_certificate(self, name: str, block: Block, certificate: Certificate) -> None:
        if certificate.digest in self._certificates:
            return
        height = block.height
        if (certificate.height, certificate.block_hash) != (height, block.hash):
            self._found(f"{name} has a certificate of another block for {height}")
        validators = self._sets.get(block.header.validators_hash)
        if validators is None:
            self._found(f"block {height} names validators that no block before it named")
            return
        parent = self.chain.get(height - 1)
        if parent is not None and parent.header.next_validators_hash != validators.digest:
            self._found(f"block {height} has other validators than block {height - 1} named")
        # Not Thresholds: a quorum is counted here once more, by hand.
        n = len(validators)
        byzantine = self.world.document.params.fault_model == "byzantine"
        quorum = (2 * n + 2) // 3 if byzantine else n // 2 + 1
        try:
            certificate.check(self.world.document.chain_id, validators, quorum)
        except PeerFault as error:
            self._found(f"{name} committed block {height} by a bad certificate: {error.message}")
        self._certificates.add(certificate.digest)

    def _add_set(self, validators: ValidatorSet) -> None:
        self._sets[validators.digest] = validators

    # --- votes -------------------------------------------------------------------------------

    def _signing(self, seed: bytes, tag: bytes, message: bytes) -> bytes:
        """Stands before the signers' ``sign``, to know the order in which votes were made."""
        signature = sign(seed, tag, message)
        self._signatures_made += 1
        self._signed[signature] = self._signatures_made
        return signature

    def _heard(self, source: bytes, _target: bytes, channel: Channel, payload: bytes) -> None:
        if channel is not Channel.CONSENSUS:
            return
        name = self._names.get(source)
        if name is None or name in self.world.liars:
            return
        vote = _decoded(payload)
        if vote.signature not in self._known:
            self._new_vote(name, vote)

    def _new_vote(self, name: str, vote: Vote) -> None:
        where = f"{type(vote).__name__} of {name} at {vote.height}/{vote.round}"
        chain_id = self.world.document.chain_id
        if not vote.signature_valid(chain_id):
            self._found(f"{where}: the signature is wrong")
        if not self._in_log(name, vote):
            self._found(f"{where}: sent before the vote log had it")
        earlier = self._votes.setdefault((vote.sender, vote.height), [])
        if vote.height > self.excused.get(vote.sender, -1):
            for other in earlier:
                if contradiction(vote, other, chain_id) is not None:
                    self._found(f"{where}: contradicts its {_title(other)}")
                self._check_left(where, vote, other)
                self._check_left(where, other, vote)
        if isinstance(vote, RoundChange):
            self.round_max = max(self.round_max, vote.round)
            self.tell(f"{name} enters round {vote.round} of height {vote.height}")
        earlier.append(vote)
        self._known.add(vote.signature)

    def _check_left(self, where: str, vote: Vote, change: Vote) -> None:
        """A vote below a round entered must have been signed before the ROUND-CHANGE was, though
        it may leave the machine later: out of the log, after a crash."""
        if not isinstance(change, RoundChange) or vote.round >= change.round:
            return
        order = self._signed
        if order.get(vote.signature, 0) > order.get(change.signature, 0):
            self._found(f"{where}: {_title(vote)} was signed after {_title(change)}")

    def _in_log(self, name: str, vote: Vote) -> bool:
        """Where no power cut takes it from."""
        disk = self.world.machines[name].disk
        return any(disk.on_plate(vote.signature, path) for path in (VOTES, NEXT_VOTES))

    def _forget(self, below: int) -> None:
        for place in [place for place in self._votes if place[1] < below]:
            for vote in self._votes.pop(place):
                self._known.discard(vote.signature)
                self._signed.pop(vote.signature, None)

    # --- looking on --------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Ends the whole run when something was found."""
        try:
            while not self._broken.is_set():
                with trio.move_on_after(LOOK_EVERY_S):
                    await self._broken.wait()
                for name, machine in self.world.machines.items():
                    self._look_at(name, machine)
        finally:
            signer_module.sign = sign  # type: ignore[attr-defined]
        assert self.violation is not None
        raise self.violation

    def _look_at(self, name: str, machine: Machine) -> None:
        if machine.node is not None and name not in self.world.liars:
            for complaint in beyond_bounds(machine.node, machine):
                self._found(f"{name}: {complaint}")

    def _found(self, what: str, cause: BaseException | None = None) -> None:
        """Ends the run. Raises too, so that nothing follows from the wrong step; whoever catches
        that does not save the run."""
        violation = Violation(f"at {trio.current_time():.3f} s: {what}")
        violation.__cause__ = cause
        if self.violation is None:
            self.violation = violation
            self._broken.set()
        raise violation

    # --- at the end --------------------------------------------------------------------------

    def waiting(self, names: frozenset[str]) -> list[str]:
        """What these machines accepted that neither stands in the chain nor has expired."""
        time_ms = self.chain[self.height].header.time_ms if self.chain else 0
        return [
            f"{_short(tx_id)}, accepted by {name} at {moment:.3f} s"
            for tx_id, (name, moment, tx) in self.accepted_at.items()
            if name in names and tx_id not in self.positions and tx.body.valid_until >= time_ms
        ]

    def finish(self, sound: frozenset[str] = frozenset()) -> None:
        """Every machine's own store says what was told: each transaction stands exactly once, at
        one place, everywhere. All that ``sound`` machines accepted is committed or expired."""
        for name, machine in self.world.machines.items():
            if machine.node is not None and name not in self.world.liars:
                with contextlib.suppress(LocalFault):  # a value that can't be read any more
                    self._check_store(name, machine)
        if waiting := self.waiting(sound):
            self._found("still waiting: " + "; ".join(waiting[:5]))
        if self.violation is not None:
            raise self.violation

    def _check_store(self, name: str, machine: Machine) -> None:
        blocks = machine.running.chain.blocks
        for height in range(1, machine.running.chain.height + 1):
            block, certificate = blocks.block(height), blocks.certificate(height)
            if block is None or certificate is None:
                self._found(f"{name} has no block {height}")
            elif height not in self.chain or block.hash != self.chain[height].hash:
                self._found(f"{name} stores another block {height} than was told")
        for tx_id, place in self.positions.items():
            expected = place if place[0] <= machine.running.chain.height else None
            if blocks.position_of(tx_id) != expected:
                found = blocks.position_of(tx_id)
                self._found(f"{name} has {_short(tx_id)} at {found}, it stands at {place}")


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    elif error is not None:
        yield error


def unwrapped(error: BaseException) -> BaseException:
    """The violation in an exception group, else the first leaf."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, Violation)), leaves[0])


def _title(vote: Vote) -> str:
    return f"{type(vote).__name__} of round {vote.round}"


def _short(digest: bytes) -> str:
    return digest.hex()[:12]
