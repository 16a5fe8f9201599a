"""One chain with known keys, for tests of a node's parts: sealed blocks on demand, no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from consensus.block import Content, SealedBlock
from consensus.certificates import Certificate
from consensus.messages import UNSIGNED, Commit
from consensus.params import Params
from consensus.pbft.inputs import OwnVotes
from consensus.primitives.crypto import public_key, sha256, sign
from consensus.primitives.errors import HansaError
from consensus.transaction import Call, Transaction, TransactionBody
from node.chain import Chain, Outcome
from node.clock import InlineBlocking
from node.store.kv import KV
from node.store.memory import MemoryKV
from node.store.retention import EVERY_BLOCK, Retention
from node.workers import InlineVerifier
from tests.sim.world import EPOCH_MS, consensus_key, document, seed_of, shared

ADMIN = seed_of("admin")


@dataclass
class FixedClock:
    """A clock that stands where the test puts it."""

    now_ms: int = EPOCH_MS

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_ms(self) -> int:
        return self.now_ms - EPOCH_MS

    async def sleep_ms(self, duration_ms: int) -> None:
        self.now_ms += duration_ms


def code_of(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The code of the expected error that a call raises; "" if it raises none."""
    try:
        call(*arguments, **named)
    except HansaError as error:
        return error.code
    return ""


@dataclass
class OneChain:
    """A chain on a store, and hands to build on it as a quorum would."""

    params: Params = field(default_factory=Params)
    kv: KV = field(default_factory=MemoryKV)
    validators: int = 4
    numbers: int = 0
    keys: dict[str, bytes] = field(default_factory=dict)
    """Other consensus keys than those made of the validators' names."""
    retention: Retention = EVERY_BLOCK

    def __post_init__(self) -> None:
        made = document(self.params, self.validators, 1)
        validators = tuple(
            replace(one, consensus_key=self.keys.get(one.name, one.consensus_key))
            for one in made.validators
        )
        self.document = replace(made, validators=validators)
        self.chain = self.open()

    def open(self) -> Chain:
        return Chain(
            self.document, self.kv, InlineBlocking(), InlineVerifier(), shared, self.retention
        )

    def transaction(
        self,
        *,
        valid_until: int | None = None,
        seed: bytes = ADMIN,
        chain_id: bytes | None = None,
        steps_max: int = 1_000_000,
        label: str = "user",
        calls: tuple[Call, ...] = (),
    ) -> Transaction:
        """The calls, else a key with a label for the one organisation."""
        self.numbers += 1
        key = public_key(sha256(f"user {self.numbers}".encode()))
        body = TransactionBody(
            1,
            chain_id or self.document.chain_id,
            public_key(seed),
            calls or (Call("identity", "add_key", {"key": key, "label": label, "roles": []}),),
            EPOCH_MS + 60_000 if valid_until is None else valid_until,
            steps_max,
            self.numbers.to_bytes(16, "big"),
        )
        return body.signed(seed)

    def content(self, txs: list[Transaction], **changed: Any) -> Content:
        """A content on the tip, by the validator whose turn it is."""
        chain = self.chain
        turn = chain.next_height(None, OwnVotes()).order[0]
        fields: dict[str, Any] = {
            "height": chain.height + 1,
            "parent": chain.hash,
            "time_ms": max(chain.header.time_ms + 1, EPOCH_MS),
            "proposer": chain.validators.members[turn].key,
            "wire_ids": tuple(tx.wire_id for tx in txs),
            "evidence": (),
            "last_certificate": chain.certificate,
        }
        return Content(**(fields | changed))

    def certificate(self, height: int, block_hash: bytes, signers: int = 3) -> Certificate:
        seals = {}
        for index in range(signers):
            vote = Commit(height, 0, block_hash, consensus_key(f"v{index}"), UNSIGNED)
            message = vote.signing_bytes(self.document.chain_id)
            seals[vote.sender] = sign(seed_of(f"v{index} consensus"), vote.tag, message)
        return Certificate.build(height, 0, block_hash, seals, self.chain.validators)

    async def decide(self, what: str, **args: Any) -> int:
        """Propose and vote, and make blocks until the decision is in force; returns its height."""
        propose = self.transaction(calls=(Call("governance", f"propose_{what}", args),))
        outcome = await self.commit([propose])
        assert outcome.receipts[0].code == "OK", outcome.receipts[0]
        proposal = outcome.receipts[0].result[0]
        vote = self.transaction(
            calls=(Call("governance", "vote", {"proposal": proposal, "yes": True}),)
        )
        outcome = await self.commit([vote])
        assert outcome.receipts[0].code == "OK", outcome.receipts[0]
        (decided,) = [e for e in outcome.receipts[0].events if e.name == "ProposalDecided"]
        height: int = decided.fields["in_force"]
        while self.chain.height < height - 1:
            await self.commit([])
        return height

    async def commit(self, txs: list[Transaction], **changed: Any) -> Outcome:
        """Execute and commit a block that a quorum sealed."""
        outcome = await self.execute(txs, **changed)
        quorum = self.chain.validators.thresholds(self.chain.params.fault_model).quorum
        certificate = self.certificate(outcome.block.height, outcome.block.hash, quorum)
        await self.chain.commit(outcome, certificate)
        return outcome

    async def execute(self, txs: list[Transaction], **changed: Any) -> Outcome:
        return await self.chain.execute(self.content(txs, **changed), txs, set())

    async def block(self, txs: list[Transaction], **changed: Any) -> SealedBlock:
        """Execute and commit a block; returns it as peers would show it."""
        outcome = await self.execute(txs, **changed)
        certificate = self.certificate(outcome.block.height, outcome.block.hash)
        await self.chain.commit(outcome, certificate)
        return SealedBlock(outcome.block, certificate)
