"""A virtual world of validators: the real machine and real signatures, everything else made up.

One seed decides every delay, loss, duplicate and crash. Disk is a list of what Sign outputs wrote;
execution is a hash of the content. The world itself checks what must never happen: two blocks at
one height, a certificate that doesn't hold, an honest validator that contradicts itself, a timer
that wants to be woken in the past.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from consensus.block import Content
from consensus.certificates import Certificate, PreparedCertificate
from consensus.messages import (
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    Vote,
    decode_vote,
    encode_vote,
)
from consensus.params import Params
from consensus.pbft import inputs, machine, outputs
from consensus.pbft.inputs import NewHeight, Now, OwnVotes
from consensus.pbft.state import State
from consensus.primitives.crypto import public_key, sha256, sign
from consensus.primitives.errors import PeerFault
from consensus.turns import Turns, proposer_order, turns_after
from consensus.validators import Validator, ValidatorSet

CHAIN = sha256(b"the test chain")
GENESIS = sha256(b"genesis")
EPOCH_MS = 1_700_000_000_000
FAST = Params(
    min_block_interval_ms=20,
    empty_block_interval_ms=400,
    round_timeout_ms=300,
    round_timeout_max_ms=2_000,
    clock_drift_ms=2_000,
)


class Fork(AssertionError):
    """What must never happen, happened."""


def seed_of(index: int) -> bytes:
    return sha256(b"validator %d" % index)


def validator_set(n: int) -> ValidatorSet:
    return ValidatorSet(
        tuple(Validator(f"v{i}", public_key(seed_of(i)), f"org{i}") for i in range(n))
    )


def signed(vote: Vote, index: int) -> Vote:
    seed = seed_of(index)
    return vote.with_signature(sign(seed, vote.tag, vote.signing_bytes(CHAIN)))


def outcome_of(content: Content) -> bytes:
    """The pretended execution: a block hash that the content alone decides."""
    return sha256(b"block" + content.digest)


@dataclass
class Block:
    hash: bytes
    content: Content
    certificate: Certificate


@dataclass
class Disk:
    """What survives a crash."""

    votes: list[Vote] = field(default_factory=list)
    contents: dict[bytes, Content] = field(default_factory=dict)
    prepared: PreparedCertificate | None = None
    chain: list[Block] = field(default_factory=list)

    def write(self, event: outputs.Sign, vote: Vote) -> None:
        if self.votes and vote.height > self.votes[-1].height:
            self.votes.clear()
            self.contents.clear()
            self.prepared = None
        for old in self.votes:
            if type(old) is type(vote) and old.round == vote.round:
                raise Fork(f"two votes of one kind: {old} {vote}")
            if isinstance(old, RoundChange) and vote.round < old.round:
                raise Fork(f"a vote in a round already left: {vote}")
        self.votes.append(vote)
        content = event.content
        if isinstance(vote, Proposal):
            content = vote.content
        if isinstance(vote, RoundChange) and vote.content is not None:
            content = vote.content
        if content is not None:
            self.contents[content.digest] = content
        if event.prepared is not None:
            self.prepared = event.prepared

    def own_votes(self, height: int) -> OwnVotes:
        newest = {type(vote): vote for vote in self.votes if vote.height == height}
        if not newest:
            return OwnVotes()
        return OwnVotes(
            newest.get(Proposal),  # type: ignore[arg-type]
            newest.get(Prepare),  # type: ignore[arg-type]
            newest.get(Commit),  # type: ignore[arg-type]
            newest.get(RoundChange),  # type: ignore[arg-type]
            self.prepared,
            tuple(self.contents.values()),
        )


class Node:
    """One honest validator: what an engine does, in a few lines."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index
        self.key = world.validators.members[index].key
        self.disk = Disk()
        self.state: State | None = None
        self.life = 0
        self.alive = True
        self.mempool: dict[bytes, int] = {}
        self.wall_skew_ms = 0
        self.mono_skew_ms = 1_000 * index
        self.wake_ms: int | None = None
        self.caught: list[outputs.Caught] = []
        self.splits: list[outputs.SplitVote] = []

    # --- the machine's surroundings

    @property
    def height(self) -> int:
        return len(self.disk.chain)

    def now(self) -> Now:
        time_ms = self.world.time_ms
        return Now(EPOCH_MS + time_ms + self.wall_skew_ms, time_ms + self.mono_skew_ms)

    def work_since(self) -> int | None:
        return min(self.mempool.values(), default=None)

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.state = None
        self.new_height()

    def crash(self) -> None:
        self.alive = False
        self.life += 1

    def new_height(self) -> None:
        chain, world = self.disk.chain, self.world
        parent = chain[-1] if chain else None
        height = len(chain) + 1
        self.put(
            NewHeight(
                CHAIN,
                height,
                parent.hash if parent else GENESIS,
                parent.content.time_ms if parent else EPOCH_MS - 10_000,
                world.validators,
                world.validators,
                world.params,
                world.order(chain),
                self.key,
                self.disk.own_votes(height),
            )
        )
        self.put(inputs.Tick(self.work_since()))

    def put(self, event: inputs.Input) -> None:
        """One input; then perform the outputs in order."""
        if not self.alive:
            return
        life, now = self.life, self.now()
        try:
            self.state, out = machine.apply(self.state, event, now)
        except PeerFault as fault:
            self.world.faults.append(fault)
            return
        if isinstance(event, inputs.Tick) and machine.wake_at(self.state) <= now.mono_ms:
            raise Fork("the machine wants to be woken in the past: a busy loop")
        for output in out:
            self.perform(output)
            if self.life != life:
                return  # crashed, or went on to the next height, in the middle
        self.schedule_wake()

    def schedule_wake(self) -> None:
        assert self.state is not None
        moment = machine.wake_at(self.state) - self.mono_skew_ms
        if self.wake_ms is None or moment < self.wake_ms:
            self.wake_ms = moment
            life = self.life
            self.world.at(max(0, moment - self.world.time_ms), lambda: self.wake(moment, life))

    def wake(self, moment: int, life: int) -> None:
        if self.wake_ms == moment:
            self.wake_ms = None
        if self.life == life:
            self.put(inputs.Tick(self.work_since()))
        elif self.alive and self.state is not None:
            self.schedule_wake()

    def later(self, delay_ms: int, event: inputs.Input) -> None:
        life = self.life
        self.world.at(delay_ms, lambda: self.put(event) if self.life == life else None)

    def perform(self, output: outputs.Output) -> None:
        world = self.world
        if isinstance(output, outputs.Sign):
            if world.chance(world.crash_rate):
                world.crash_for_a_while(self)
                return
            vote = signed(output.vote, self.index)
            self.disk.write(output, vote)
            if world.chance(world.crash_rate):
                world.crash_for_a_while(self)
                return
            world.send(self.index, None, vote)
            self.later(world.random.randint(0, 3), inputs.Signed(vote))
        elif isinstance(output, outputs.Broadcast):
            for vote in output.votes:
                world.send(self.index, world.index_of(output.peer), vote)
        elif isinstance(output, outputs.Build):
            self.later(1, inputs.Built(output.round, self.build(output)))
        elif isinstance(output, outputs.Execute):
            content = output.content
            result = world.execute(self, content)
            self.later(world.execute_ms(content), inputs.Executed(content.digest, result))
        elif isinstance(output, outputs.Decided):
            self.decided(output.certificate, output.content)
        elif isinstance(output, outputs.AnswerDecided):
            peer = world.index_of(output.peer)
            if peer is not None and output.height <= self.height:
                block = self.disk.chain[output.height - 1]
                world.deliver(self.index, peer, lambda: world.take_block(peer, block))
        elif isinstance(output, outputs.Caught):
            output.evidence.check(CHAIN)
            self.caught.append(output)
        elif isinstance(output, outputs.SplitVote):
            self.splits.append(output)

    def build(self, order: outputs.Build) -> Content:
        chain = self.disk.chain
        certificate = chain[-1].certificate if chain else None
        if certificate is not None:
            seals = {v.sender: v.signature for v in order.seals if v.round == certificate.round}
            certificate = certificate.joined(seals, CHAIN, self.world.validators)
        parent_ms = chain[-1].content.time_ms if chain else EPOCH_MS - 10_000
        return Content(
            self.height + 1,
            chain[-1].hash if chain else GENESIS,
            max(self.now().wall_ms, parent_ms + 1),
            self.key,
            tuple(list(self.mempool)[: order.txs_max]),
            (),
            certificate,
        )

    def decided(self, certificate: Certificate, content: Content | None) -> None:
        if content is None or outcome_of(content) != certificate.block_hash:
            content = self.world.fetch(certificate.block_hash)
            if content is None:
                return
        self.commit(Block(certificate.block_hash, content, certificate))

    def commit(self, block: Block) -> None:
        world = self.world
        if block.content.height != self.height + 1:
            return
        world.check_block(block)
        self.disk.chain.append(block)
        for wire_id in block.content.wire_ids:
            self.mempool.pop(wire_id, None)
        life = self.life = self.life + 1
        world.at(1, lambda: self.new_height() if self.life == life and self.alive else None)


class World:
    """Time, links, chance, and the judge."""

    def __init__(
        self, n: int, seed: int = 0, params: Params = FAST, liars: dict[int, str] | None = None
    ) -> None:
        self.random = random.Random(seed)
        self.params = params
        self.validators = validator_set(n)
        self.time_ms = 0
        self.loss = self.duplicate = self.crash_rate = 0.0
        self.delay_ms = (1, 20)
        self.partition: Callable[[int, int], bool] = lambda _a, _b: True
        self.hears: Callable[[int, Vote], bool] = lambda _target, _vote: True
        self.skipping = True
        self.faults: list[PeerFault] = []
        self.blocks: dict[int, Block] = {}
        self.sent = 0
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self.nodes = {i: Node(self, i) for i in range(n) if i not in (liars or {})}
        self.liars = {i: Liar(self, i, kind) for i, kind in (liars or {}).items()}
        self.execute: Callable[[Node, Content], bytes | None] = lambda _node, c: outcome_of(c)
        self.execute_ms: Callable[[Content], int] = lambda _content: self.random.randint(0, 10)

    # --- time and chance

    def at(self, delay_ms: int, act: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.time_ms + delay_ms, self._count, act))

    def chance(self, rate: float) -> bool:
        return rate > 0 and self.random.random() < rate

    def start(self) -> None:
        for node in self.nodes.values():
            self.at(self.random.randint(0, 10), node.start)

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as ``until`` holds."""
        stop = self.time_ms + duration_ms
        while self._queue and self._queue[0][0] <= stop:
            if until():
                return True
            self.time_ms, _, act = heapq.heappop(self._queue)
            act()
        self.time_ms = stop
        return until()

    def run_to_height(self, height: int, duration_ms: int) -> bool:
        """Whether every living honest node has this height within the time."""
        return self.run(
            duration_ms,
            lambda: all(node.height >= height for node in self.nodes.values() if node.alive),
        )

    def crash_for_a_while(self, node: Node) -> None:
        node.crash()
        life = node.life
        self.at(self.random.randint(10, 3_000), lambda: node.start() if node.life == life else None)

    def submit(self, text: str, *indexes: int) -> None:
        """A transaction in these nodes' mempools (in all, if none is named)."""
        for index in indexes or tuple(self.nodes):
            node = self.nodes[index]
            node.mempool[sha256(text.encode())] = node.now().mono_ms
            if node.state is not None:
                node.put(inputs.Tick(node.work_since()))

    # --- links

    def index_of(self, key: bytes | None) -> int | None:
        return None if key is None else self.validators.index_of[key]

    def send(self, source: int, target: int | None, vote: Vote) -> None:
        raw = encode_vote(vote)
        targets = range(len(self.validators)) if target is None else [target]
        for index in targets:
            if index != source:
                self.deliver(source, index, partial(self.receive, source, index, raw))

    def deliver(self, source: int, target: int, act: Callable[[], object]) -> None:
        if not self.partition(source, target):
            return
        self.sent += 1
        for _ in range(1 + self.chance(self.duplicate)):
            if not self.chance(self.loss):
                self.at(self.random.randint(*self.delay_ms), act)

    def receive(self, source: int, target: int, raw: bytes) -> None:
        vote = decode_vote(raw)
        if not self.hears(target, vote):
            return
        if target in self.liars:
            self.liars[target].received(source, vote)
        elif self.nodes[target].state is not None:
            self.nodes[target].put(inputs.Received(vote))

    def take_block(self, target: int, block: Block) -> None:
        node = self.nodes.get(target)
        if node is not None and node.alive:
            node.commit(block)

    def fetch(self, block_hash: bytes) -> Content | None:
        """By hash, from whoever is there and has it."""
        for node in self.nodes.values():
            contents = list(node.disk.contents.values()) if node.alive else []
            contents += [block.content for block in node.disk.chain]
            for content in contents:
                if outcome_of(content) == block_hash:
                    return content
        return None

    def half(self, index: int) -> int:
        """The honest fall into two halves of equal size."""
        return sorted(self.nodes).index(index) % 2

    # --- the judge

    def order(self, chain: list[Block]) -> tuple[int, ...]:
        turns, validators = Turns(), self.validators
        quorum = validators.thresholds(self.params.fault_model).quorum
        if self.skipping:
            for block in chain:
                turns = turns_after(validators, validators, turns, block.content, quorum)
        return proposer_order(validators, turns, len(chain) + 1, quorum)

    def check_block(self, block: Block) -> None:
        height = block.content.height
        known = self.blocks.setdefault(height, block)
        if known.hash != block.hash:
            raise Fork(f"two blocks at height {height}")
        quorum = self.validators.thresholds(self.params.fault_model).quorum
        block.certificate.check(CHAIN, self.validators, quorum)
        assert outcome_of(block.content) == block.hash == block.certificate.block_hash
        assert block.content.parent == (self.blocks[height - 1].hash if height > 1 else GENESIS)


class Liar:
    """A validator that says what suits it: ``silent``, ``double`` or ``forger``.

    ``double`` agrees with everybody: it votes for whatever its listener voted for, proposes
    different contents to different listeners, and hides what it has prepared. ``forger`` adds votes
    in others' names, far rounds and heights, and certificates that prove nothing.
    """

    def __init__(self, world: World, index: int, kind: str) -> None:
        self.world, self.index, self.kind = world, index, kind
        self.key = world.validators.members[index].key
        self.changes: dict[tuple[int, int], dict[int, RoundChange]] = {}
        self.proposed: set[tuple[int, int]] = set()

    def say(self, target: int, vote: Vote) -> None:
        self.world.send(self.index, target, signed(vote, self.index))

    def received(self, source: int, vote: Vote) -> None:
        if self.kind == "silent" or source in self.world.liars:
            return
        h, r = vote.height, vote.round
        if isinstance(vote, Proposal):
            block_hash = outcome_of(vote.content)
            digest = vote.content.digest
            self.say(source, Prepare(h, r, digest, block_hash, self.key, bytes(64)))
        elif isinstance(vote, Prepare):
            self.say(source, Prepare(h, r, vote.content_hash, vote.block_hash, self.key, bytes(64)))
            self.say(source, Commit(h, r, vote.block_hash, self.key, bytes(64)))
        elif isinstance(vote, Commit):
            self.say(source, Commit(h, r, vote.block_hash, self.key, bytes(64)))
        elif isinstance(vote, RoundChange):
            mine = signed(RoundChange(h, r, None, None, None, self.key, bytes(64)), self.index)
            assert isinstance(mine, RoundChange)
            self.world.send(self.index, source, mine)
            heard = self.changes.setdefault((h, r), {self.index: mine})
            heard[source] = vote.without_content()
        self.propose(h)
        if self.kind == "forger":
            self.forge(source, vote)

    def propose(self, height: int) -> None:
        """Two contents in each of its rounds, one to each half; in a round change it leaves out
        those who know something, where that still makes a quorum."""
        world = self.world
        if height - 1 not in world.blocks and height != 1:
            return
        parent = world.blocks[height - 1] if height > 1 else None
        chain = [world.blocks[h] for h in range(1, height)]
        order = world.order(chain)
        quorum = world.validators.thresholds(world.params.fault_model).quorum
        rounds = {0} | {r for h, r in self.changes if h == height}
        for r in sorted(rounds):
            if order[r % len(order)] != self.index or (height, r) in self.proposed:
                continue
            changes: list[RoundChange] = []
            if r > 0:
                heard = self.changes[height, r].values()
                changes = sorted(heard, key=lambda c: c.prepared is not None)[:quorum]
                if len(changes) < quorum:
                    continue
            self.proposed.add((height, r))
            for half in (0, 1):
                content = Content(
                    height,
                    parent.hash if parent else GENESIS,
                    EPOCH_MS + world.time_ms + half,
                    self.key,
                    (),
                    (),
                    parent.certificate if parent else None,
                )
                vote = Proposal(height, r, content, (), tuple(changes), self.key, bytes(64))
                prepare = Prepare(
                    height, r, content.digest, outcome_of(content), self.key, bytes(64)
                )
                for target in range(len(world.validators)):
                    if target in world.nodes and world.half(target) == half:
                        self.say(target, vote)
                        self.say(target, prepare)

    def forge(self, source: int, vote: Vote) -> None:
        world = self.world
        victim = world.validators.members[(self.index + 1) % len(world.validators)].key
        if victim == world.validators.members[source].key:
            return
        h, r = vote.height, vote.round
        lie = PreparedCertificate(r, sha256(b"x"), sha256(b"y"), vote_bits(world), ())
        forged: list[Vote] = [
            Commit(h, r, sha256(b"forged"), victim, bytes(64)),
            Prepare(h + 1, 2**32 - 1, sha256(b"x"), sha256(b"y"), victim, bytes(64)),
            signed(RoundChange(h, r + 1, lie, None, None, self.key, bytes(64)), self.index),
            signed(RoundChange(h, 2**31 + r, None, None, None, self.key, bytes(64)), self.index),
            signed(Commit(h + 7, r, sha256(b"far"), self.key, bytes(64)), self.index),
        ]
        for one in world.random.sample(forged, 2):
            world.send(self.index, source, one)


def vote_bits(world: World) -> bytes:
    return bytes((len(world.validators) + 7) // 8)
