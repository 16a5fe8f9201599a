"""The committed chain of this node: judging contents, executing them, committing blocks.

Executing touches nothing committed and may be done for several contents on one tip; committing
one of the outcomes is a single synced batch, or a part of the next one's where more certified
blocks follow at once. After a crash the node is at the old tip or the new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from consensus import rules
from consensus.block import Block, Content, Header, SealedBlock
from consensus.certificates import Certificate
from consensus.params import Params
from consensus.pbft.inputs import NewHeight, OwnVotes
from consensus.primitives.codec import Wire, decode, encode
from consensus.primitives.crypto import TAG_TRANSACTION, sha256
from consensus.primitives.errors import (
    CodecError,
    HansaError,
    InputError,
    LocalFault,
    PeerFault,
    TxRejected,
)
from consensus.primitives.merkle import Frontier
from consensus.proofs import SealedHeader
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from consensus.turns import Lapse, Turns, out_of_turn, proposer_order, turns_after
from consensus.validators import ValidatorSet
from contracts.runtime.executor import BlockContext, BlockExecutor
from contracts.runtime.package import Package
from contracts.runtime.registry import Registry
from contracts.runtime.system import Node as AdmittedNode
from contracts.runtime.system import read_packages
from genesis.build import NO_PROPOSER, initial_state
from genesis.document import GenesisDocument
from node.ports import Blocking, Verifier
from node.replays import Replays
from node.store import schema
from node.store.blocks import BlockStore, Operations, Recorded
from node.store.held import HeldKV
from node.store.kept import KeptState, KeptStates
from node.store.kv import KV
from node.store.layout import bring_up
from node.store.past import Past, PastState
from node.store.retention import EVERY_BLOCK, Retention
from node.store.state import StateDelta, StateStore
from node.system import System

T = TypeVar("T", bound=Wire)
Load = Callable[[Sequence[Package]], Registry]

EXECUTE_SLICE: Final = 16
EXECUTE_SLICE_STEPS: Final = 50_000
"""Transactions, or steps of them, executed before the event loop gets its turn again."""
PRUNED_AT_ONCE: Final = 8
"""Blocks dropped with each new one: more than come, so that a longer past wears away."""
INLINE_CHANGES_MAX: Final = 128
"""State changes whose tree is worked out in the event loop: a few milliseconds."""


class ContentRefused(HansaError):
    """A content that no honest validator votes for; the code names the broken rule."""


class Diverged(LocalFault):
    """A certified block gives another outcome here. ``outcome`` is the own one, None where a rule
    is broken here or the parent is another."""

    def __init__(self, message: str, block: Block, outcome: Outcome | None = None) -> None:
        super().__init__("DIVERGED", message)
        self.block = block
        self.outcome = outcome


@dataclass(frozen=True)
class Outcome:
    """What executing one content on the tip gives. ``write_sets`` has what each receipt's work
    wrote, in the receipts' order."""

    content: Content
    block: Block
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    delta: StateDelta
    turns: Turns
    write_sets: tuple[dict[bytes, bytes | None], ...]
    registry: Registry
    """What ran the block's transactions, and runs the next one's."""
    system: System
    """Nodes, validators and parameters that the next block goes by."""
    changes: dict[bytes, bytes | None]

    @property
    def header(self) -> Header:
        return self.block.header


class Chain:
    """Opened on a node's store; creates block 0 from the genesis document when there is none."""

    def __init__(
        self,
        document: GenesisDocument,
        kv: KV,
        blocking: Blocking,
        verifier: Verifier,
        load: Load = Registry.of,
        retention: Retention = EVERY_BLOCK,
    ) -> None:
        """``load`` makes contracts run out of their source. An older layout is brought up.

        Raises LocalFault for foreign, newer or damaged data (STORE_...), RUNTIME_UNKNOWN.
        """
        self.chain_id = document.chain_id
        self._load_contracts = load
        self._kv = HeldKV(kv)
        self.state = StateStore(self._kv)
        self.blocks = BlockStore(self._kv)
        self.states = KeptStates(self._kv)
        self._retention = retention
        self._past = Past(self._kv, retention)
        self._blocking = blocking
        self._verifier = verifier
        self._state_lock = trio.Lock()
        if kv.get(schema.CHAIN_ID) is not None:
            bring_up(self._kv)
        if not self.blocks.open(self.chain_id):
            self._create(document)
        self._load()
        self._past.open(self.height)

    # --- opening -----------------------------------------------------------------------------

    def _create(self, document: GenesisDocument) -> None:
        validators = document.validator_set()
        registry = self._contracts(document.packages)
        state = initial_state(document, registry)
        state |= rules.system_state(validators)
        delta = self.state.prepare(state)
        content = Content(0, bytes(32), document.time_ms, NO_PROPOSER, (), (), None)
        header = rules.make_header(
            content,
            chain_id=self.chain_id,
            receipts=(),
            state_root=delta.root,
            validators=validators,
            next_validators=validators,
            params=document.params,
            contracts_hash=registry.digest,
            history_root=Frontier().root,
        )
        block = Block(header, (), (), None)
        operations: Operations = self.blocks.creation(self.chain_id)
        operations += self.blocks.append(block, None, (), (), Frontier().append(block.hash))
        operations += self.blocks.known_validators(validators)
        operations += delta.operations
        self._kv.write(operations, sync=True)
        self.state.commit(delta)

    def _contracts(self, packages: Sequence[Package]) -> Registry:
        """Raises LocalFault RUNTIME_UNKNOWN, or CONTRACT_REFUSED for code that other releases run:
        what is loaded has the hashes that blocks name."""
        try:
            return self._load_contracts(packages)
        except InputError as error:
            raise LocalFault(
                error.code,
                f"this software does not load the chain's contracts, {error.message}:"
                " install the release in use",
            ) from None

    def _load(self) -> None:
        tip = self.blocks.tip()
        block = self.blocks.block(tip.height)
        if block is None or block.hash != tip.hash:
            raise LocalFault("STORE_CORRUPT", f"block {tip.height}, the tip, is missing or altered")
        if block.header.state_root != self.state.root:
            raise LocalFault("STORE_CORRUPT", f"the state is not that of block {tip.height}")
        self.registry = self._contracts(self._packages())
        if block.header.contracts_hash != self.registry.digest:
            raise LocalFault("STORE_CORRUPT", f"the contracts are not those of block {tip.height}")
        self._frontier = tip.frontier
        self.blocks.check_history(tip)
        self.system = System.read(self.state)
        named = block.header.next_validators_hash, block.header.params_hash
        if named != (self.validators.digest, self.params.digest):
            raise LocalFault(
                "STORE_CORRUPT", f"governance's state is not that of block {tip.height}"
            )
        self._set_tip(block.header, self.blocks.certificate(tip.height))
        self._replays = Replays(
            lambda tx_id: self.blocks.position_of(tx_id) is not None,
            block.header.time_ms + self.longest_window_ms() if tip.height else -1,
        )

    def _packages(self) -> Sequence[Package]:
        try:
            return read_packages(self.state)
        except (CodecError, ValueError, TypeError) as error:
            raise LocalFault("STORE_CORRUPT", f"the contracts in the state: {error}") from None

    def _set_tip(self, header: Header, certificate: Certificate | None) -> None:
        self.header = header
        self.certificate = certificate
        self.parent_validators = self._needed(rules.VALIDATORS_KEY, ValidatorSet)
        self._turns = self._needed(rules.TURNS_KEY, Turns)

    def _needed(self, key: bytes, wire: type[T]) -> T:
        found = self._value(key, wire)
        if found is None:
            raise LocalFault("STORE_CORRUPT", "a system value is missing from the state")
        return found

    def _value(self, key: bytes, wire: type[T]) -> T | None:
        raw = self.state.get(key)
        try:
            return None if raw is None else wire.decode(raw)
        except CodecError as error:
            raise LocalFault("STORE_CORRUPT", f"a system value: {error.message}") from None

    def longest_window_ms(self) -> int:
        """How long a transaction in the chain may have been valid, at most."""
        longest = self._value(rules.LONGEST_WINDOW_KEY, rules.LongestWindow)
        if longest is None or longest.until_ms < self.header.time_ms:
            return self.params.tx_window_ms
        return max(self.params.tx_window_ms, longest.window_ms)

    # --- looking -----------------------------------------------------------------------------

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def hash(self) -> bytes:
        return self.header.digest

    @property
    def validators(self) -> ValidatorSet:
        """Of the next block."""
        return self.system.validators

    @property
    def params(self) -> Params:
        """By which the next block is judged."""
        return self.system.params

    @property
    def members(self) -> tuple[AdmittedNode, ...]:
        """The admitted nodes."""
        return self.system.members

    @property
    def _quorum(self) -> int:
        return self.validators.thresholds(self.params.fault_model).quorum

    @property
    def out_of_turn(self) -> tuple[Lapse, ...]:
        """Validators that propose no first round of the next block, the worst first."""
        return out_of_turn(self.validators, self._turns, self.height + 1, self._quorum)

    def committed(self, tx_id: bytes) -> bool:
        """Whether a transaction that may still be valid is in the chain."""
        return self._replays.has(tx_id)

    def next_height(self, me: bytes | None, own: OwnVotes) -> NewHeight:
        """The core's input for the height after the tip."""
        return NewHeight(
            self.chain_id,
            self.height + 1,
            self.hash,
            self.header.time_ms,
            self.validators,
            self.parent_validators,
            self.params,
            proposer_order(self.validators, self._turns, self.height + 1, self._quorum),
            me if me in self.validators else None,
            own,
        )

    def had_vote(self, consensus_key: bytes, height: int) -> bool:
        """Whether evidence against this key concerns a validator of that height."""
        if consensus_key in self.validators:
            return True
        left = self.state.get(rules.left_key(consensus_key))
        return left is not None and height <= int(decode(left, bytes_max=16))

    def evidence_known(self, digest: bytes) -> bool:
        return self.state.get(rules.evidence_key(digest)) is not None

    def block_context(self) -> BlockContext:
        """The newest block's surroundings, for queries."""
        header = self.header
        return BlockContext(header.chain_id, header.height, header.time_ms, header.proposer)

    # --- judging and executing ---------------------------------------------------------------

    def check_transaction(self, tx: Transaction, time_ms: int) -> None:
        """The rules for a transaction in a block of that time, its signature excepted.

        Raises TxRejected: TX_WRONG_CHAIN, TX_TOO_LARGE, TX_STEPS, TX_EXPIRED, TX_TOO_FAR,
        TX_DUPLICATE.
        """
        body, params = tx.body, self.params
        if body.chain_id != self.chain_id:
            raise TxRejected(
                "TX_WRONG_CHAIN",
                f"signed for chain {body.chain_id.hex()[:16]}, this is {self.chain_id.hex()[:16]}",
            )
        if len(tx.raw) > params.tx_bytes_max:
            raise TxRejected("TX_TOO_LARGE", f"{len(tx.raw)} bytes, limit {params.tx_bytes_max}")
        if not 0 < body.steps_max <= params.tx_steps_max:
            raise TxRejected("TX_STEPS", f"steps_max must be within 1..{params.tx_steps_max}")
        if body.valid_until < time_ms:
            raise TxRejected(
                "TX_EXPIRED", f"valid until {body.valid_until}, the block's time is {time_ms}"
            )
        if body.valid_until > time_ms + params.tx_window_ms:
            raise TxRejected(
                "TX_TOO_FAR",
                f"valid_until is more than {params.tx_window_ms} ms after the block's time",
            )
        if self.committed(tx.tx_id):
            raise TxRejected("TX_DUPLICATE", "the transaction is already committed")

    async def _check_content(
        self, content: Content, transactions: list[Transaction], verified: set[bytes]
    ) -> None:
        params = self.params
        if sum(len(tx.raw) for tx in transactions) > params.block_bytes_max:
            raise ContentRefused("BLOCK_TOO_LARGE", "the bodies exceed block_bytes_max")
        if sum(tx.body.steps_max for tx in transactions) > params.block_steps_max:
            raise ContentRefused("BLOCK_STEPS", "the steps_max exceed block_steps_max")
        if len({tx.tx_id for tx in transactions}) != len(transactions):
            raise ContentRefused("TX_DUPLICATE", "one body stands twice, signed differently")
        for tx in transactions:
            try:
                self.check_transaction(tx, content.time_ms)
            except TxRejected as error:
                raise ContentRefused(error.code, f"{tx.tx_id.hex()}: {error.message}") from None
        fresh = [tx for tx in transactions if tx.wire_id not in verified]
        good = await self._verifier.verify(
            [(tx.body.sender, TAG_TRANSACTION, tx.body_raw, tx.signature) for tx in fresh]
        )
        if not all(good):
            raise ContentRefused("TX_SIGNATURE", "a transaction is not signed by its sender")
        seen: set[bytes] = set()
        for one in content.evidence:
            try:
                height = one.check(self.chain_id)
            except PeerFault as error:
                raise ContentRefused(error.code, error.message) from None
            known = one.digest in seen or self.evidence_known(one.digest)
            if known or height > content.height or not self.had_vote(one.sender, height):
                raise ContentRefused("EVIDENCE_INVALID", "evidence that is old or concerns nobody")
            seen.add(one.digest)

    async def execute(
        self, content: Content, bodies: list[Transaction], verified: set[bytes]
    ) -> Outcome:
        """The outcome of a content whose form the core (or a certificate) has vouched for.

        ``bodies`` are its transactions in order; those with their wire id in ``verified`` have
        had their signatures checked. Raises ContentRefused when a rule is broken, LocalFault when
        this node fails.
        """
        assert content.parent == self.hash, "contents are executed on the tip"
        await self._check_content(content, bodies, verified)
        block = BlockContext(
            self.chain_id, content.height, content.time_ms, content.proposer, content.evidence
        )
        executor = BlockExecutor(self.registry, self.state, block)
        for _ in executor.begin_in_parts():
            await trio.lowlevel.checkpoint()
        receipts: list[Receipt] = []
        steps = 0
        for count, tx in enumerate(bodies, 1):
            receipts.append(executor.execute(tx))
            steps += receipts[-1].steps_used
            if count % EXECUTE_SLICE == 0 or steps > EXECUTE_SLICE_STEPS:
                steps = 0
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        executor.finish()
        receipts += executor.due_receipts
        system = System.read(executor.state) if executor.system_changed else self.system
        turns = turns_after(
            self.validators, self.parent_validators, self._turns, content, self._quorum
        )
        changes = dict(executor.changes)
        changes |= self._system_changes(content, system, turns)
        delta = await self._prepare(changes)
        header = rules.make_header(
            content,
            chain_id=self.chain_id,
            receipts=tuple(receipts),
            state_root=delta.root,
            validators=self.validators,
            next_validators=system.validators,
            params=system.params,
            contracts_hash=executor.registry.digest,
            history_root=self._frontier.root,
        )
        sealed = Block(
            header, tuple(tx.raw for tx in bodies), content.evidence, content.last_certificate
        )
        return Outcome(
            content,
            sealed,
            tuple(bodies),
            tuple(receipts),
            delta,
            turns,
            (*executor.write_sets, *executor.due_write_sets),
            executor.registry,
            system,
            changes,
        )

    def _system_changes(
        self, content: Content, system: System, turns: Turns
    ) -> dict[bytes, bytes | None]:
        """The consensus core's own values in the state after a block."""
        changes: dict[bytes, bytes | None] = {
            rules.evidence_key(one.digest): encode(content.height) for one in content.evidence
        }
        if turns != self._turns:
            changes[rules.TURNS_KEY] = turns.raw
        if self.validators != self.parent_validators:
            changes[rules.VALIDATORS_KEY] = self.validators.raw
        for key in self.validators.index_of:
            if key not in system.validators:
                changes[rules.left_key(key)] = encode(content.height)
        longest = rules.longest_window_after(
            self._value(rules.LONGEST_WINDOW_KEY, rules.LongestWindow),
            content.time_ms,
            self.params.tx_window_ms,
            system.params.tx_window_ms,
        )
        if longest is not None:
            changes[rules.LONGEST_WINDOW_KEY] = longest.raw
        return changes

    async def _prepare(self, changes: dict[bytes, bytes | None]) -> StateDelta:
        """The new state root. A large one takes a thread, whose switch interval is what the event
        loop then waits at most; the lock keeps it away from a commit."""
        async with self._state_lock:
            if len(changes) <= INLINE_CHANGES_MAX:
                return self.state.prepare(changes)
            return await self._blocking.run(lambda: self.state.prepare(changes))

    async def execute_sealed(self, sealed: SealedBlock, known: Outcome | None = None) -> Outcome:
        """Check a block from a peer against its certificate and execute it on the tip, unless the
        outcome of its content is ``known``: what was voted for is what counts.

        Raises PeerFault if block or certificate is wrong, LocalFault DIVERGED if a certified
        block gives another outcome here: this node can't follow the chain.
        """
        block, certificate = sealed.block, sealed.certificate
        if certificate is None or certificate.block_hash != block.hash:
            raise PeerFault("BLOCK_INVALID", "the certificate is not the block's")
        if certificate.height != block.height or block.height != self.height + 1:
            raise PeerFault("BLOCK_INVALID", "not the block after this node's tip")
        certificate.check(self.chain_id, self.validators, self._quorum)
        if not rules.is_whole(block):
            raise PeerFault("BLOCK_INVALID", "its parts are not those that its header names")
        if block.header.parent != self.hash:
            raise Diverged(
                f"a quorum certified block {block.height} on a parent that is not this node's:"
                " its chain is another one",
                block,
            )
        try:
            if known is None:
                bodies = [Transaction.parse(raw) for raw in block.bodies]
                outcome = await self.execute(block.content, bodies, set())
            else:
                outcome = known
        except (TxRejected, ContentRefused) as error:
            raise Diverged(
                f"certified block {block.height} breaks a rule here: {error}", block
            ) from None
        if outcome.block.hash != block.hash:
            raise Diverged(
                f"executing certified block {block.height} gave another result on this node:"
                f" {_differences(block.header, outcome.header)}",
                block,
                outcome,
            )
        return outcome

    # --- committing --------------------------------------------------------------------------

    async def commit(
        self, outcome: Outcome, certificate: Certificate, *, passing: bool = False
    ) -> None:
        """Make an outcome the tip: one synced batch. Raises LocalFault; the tip is then the old
        one.

        A tip that is only passed goes with the next one's batch, or that of :meth:`sync`; until
        then nobody may build on it, for a crash takes it back.
        """
        assert certificate.block_hash == outcome.block.hash
        frontier = self._frontier.append(outcome.block.hash)
        tx_ids = tuple(tx.tx_id for tx in outcome.transactions)
        operations = self.blocks.append(
            outcome.block, certificate, outcome.receipts, tx_ids, frontier
        )
        if outcome.system.validators != self.validators:
            operations += self.blocks.known_validators(outcome.system.validators)
            operations += self.blocks.turn(SealedHeader(outcome.header, certificate))
        operations += outcome.delta.operations

        def all_of_it() -> Operations:
            """With what the block replaces, and what it makes too old to be kept."""
            replaced = self._past.replaced(outcome.header.height, outcome.delta)
            return operations + replaced + self._too_old(outcome.header)

        async with self._state_lock:
            if passing:
                self._kv.hold(all_of_it())
            else:
                await self._blocking.run(lambda: self._kv.write(all_of_it(), sync=True))
            self.state.commit(outcome.delta)
            if passing:
                self.states.passed(len(outcome.changes))
            else:
                self.states.add(outcome.header, certificate, len(outcome.changes))
        self.blocks.committed(Recorded(outcome.block, outcome.receipts, tx_ids))
        self._frontier = frontier
        self.registry = outcome.registry
        self.system = outcome.system
        self._set_tip(outcome.header, certificate)
        ended = ((tx.tx_id, tx.body.valid_until) for tx in outcome.transactions)
        self._replays.add(ended, outcome.header.time_ms)

    def _too_old(self, tip: Header) -> Operations:
        """Drops what this node needn't keep any longer once ``tip`` is the tip. A block stays
        while a transaction in it may still be valid. Raises LocalFault."""
        kept = self._retention.blocks
        operations: Operations = []
        if not kept:
            return operations
        window_ms = self.longest_window_ms()
        for _ in range(PRUNED_AT_ONCE):
            header = self.blocks.header(self.blocks.oldest)
            if (
                self.blocks.oldest > tip.height - kept
                or header is None
                or header.time_ms + window_ms >= tip.time_ms
            ):
                break
            operations += self.blocks.drop_oldest()
        # What the tip itself replaces is only being written.
        return operations + self._past.dropped(min(self.blocks.oldest, tip.height - 1))

    def state_at(self, height: int | None) -> KeptState:
        """The state after a block, None for the newest that is held. Raises InputError
        STATE_NOT_KEPT."""
        newest, first = self.states.newest, self._past.first
        if (
            height is None
            or newest is None
            or first is None
            or not first <= height < newest.height
            or height in self.states.heights()
        ):
            return self.states.at(height)
        header = self.blocks.header(height)
        if header is None:
            raise LocalFault("STORE_CORRUPT", f"header {height} is missing")
        return PastState(header, self.blocks.certificate(height), newest)

    @property
    def states_from(self) -> int | None:
        """The first height whose state is kept for good; None where only the last few are."""
        return self._past.first

    async def sync(self) -> None:
        """A passed tip is on the disk when this returns. Raises LocalFault."""
        await self._blocking.run(lambda: self._kv.write((), sync=True))
        self.states.add(self.header, self.certificate, 0)


def _differences(theirs: Header, ours: Header) -> str:
    names = [name for name, _ in Header.kinds() if getattr(theirs, name) != getattr(ours, name)]
    return ", ".join(names)


def parse_bodies(raws: list[bytes]) -> dict[bytes, Transaction]:
    """Bodies from a peer by wire id. Raises PeerFault BODY_INVALID."""
    found = {}
    for raw in raws:
        try:
            tx = Transaction.parse(raw)
        except TxRejected as error:
            raise PeerFault("BODY_INVALID", f"a body that is no transaction: {error}") from None
        found[sha256(raw)] = tx
    return found
