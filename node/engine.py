"""The engine: one task that owns consensus and the chain, and performs what the core decides.

Everything arrives through one bounded inbox: votes, executed contents, blocks fetched by sync,
ticks. Outputs of the core are performed in their order; a vote is on disk before it is sent. Only
this task commits blocks, whether they were decided here or fetched, so there is no lock.

Executing runs beside it (``_execute``), bound to the height: all such work is cancelled before a
commit changes what it stands on.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from consensus.block import Content, SealedBlock
from consensus.certificates import Certificate, commit_bytes, prepare_bytes
from consensus.evidence import Evidence
from consensus.messages import (
    KINDS,
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    Vote,
    encode_vote,
)
from consensus.pbft import machine
from consensus.pbft import outputs as out
from consensus.pbft.inputs import (
    Built,
    Connected,
    Executed,
    Input,
    Now,
    OwnVotes,
    Received,
    Signed,
    Tick,
)
from consensus.pbft.state import State
from consensus.primitives.crypto import TAG_COMMIT, TAG_PREPARE, verify
from consensus.primitives.errors import LocalFault, PeerFault
from consensus.receipt import Receipt
from consensus.validators import signers
from node import frames, log
from node.admission import Ended
from node.bodies import Bodies
from node.bus import Bus
from node.chain import Chain, ContentRefused, Diverged, Outcome
from node.divergence import Divergence
from node.exchange import Exchange
from node.mempool import Mempool
from node.metrics import Metrics
from node.observed import Committed, Observed
from node.ports import Blocking, Clock, Reports
from node.proposer import Proposer
from node.recorder import Recorder
from node.roster import Roster
from node.signer import Signer
from p2p.ports import FRAME_BYTES_MAX, Channel, Network

INBOX_MAX: Final = 1024
VOTES_WAITING_MAX: Final = 64
"""Of one peer in the inbox: the others' votes don't wait behind a flood."""
TICK_MS: Final = 20
ATTACH_YOUNGER_MS: Final = 200
ATTACH_BYTES_MAX: Final = 128 << 10
ANSWER_AFTER_MS: Final = 500

Statement = tuple[int, int, int, bytes]
"""A vote by what it signs: kind, height, round, signed bytes."""

_log = log.get("engine")


@dataclass(frozen=True)
class _Vote:
    vote: Vote
    peer: bytes


@dataclass(frozen=True)
class _Fetched:
    blocks: Sequence[SealedBlock]
    peer: bytes
    done: trio.Event = field(default_factory=trio.Event)


@dataclass(frozen=True)
class _Shown:
    key: bytes
    votes: tuple[Statement, ...]
    done: trio.Event = field(default_factory=trio.Event)


@dataclass(frozen=True)
class _Executed:
    content: Content
    outcome: Outcome | None
    problem: str


class _Poke:
    """Wakes the engine: something may be due."""


_Item = _Vote | _Shown | _Fetched | _Executed | _Poke | Connected


class Engine:
    """Runs one node's part in agreement; it only follows until it becomes a validator."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        ended: Ended,
        bodies: Bodies,
        network: Network,
        roster: Roster,
        clock: Clock,
        bus: Bus,
        metrics: Metrics,
        blocking: Blocking,
        reports: Reports,
        recorder: Recorder,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._ended = ended
        self._bodies = bodies
        self._signers: dict[bytes, Signer] = {}
        self._signer: Signer | None = None
        """The one whose key is a validator's in the height being decided."""
        self._proposer: Proposer | None = None
        self._network = network
        self._roster = roster
        self._clock = clock
        self._bus = bus
        self._metrics = metrics
        self._recorder = recorder
        self.observed = Observed(clock.mono_ms())
        self.divergence = Divergence(
            Exchange(chain, network, roster, clock, metrics, lambda: self._signer),
            chain,
            mempool,
            ended,
            network,
            roster,
            blocking,
            reports,
            metrics,
            self.observed,
        )
        self._send, self._inbox = trio.open_memory_channel[_Item](INBOX_MAX)
        self._waiting_votes: dict[bytes, trio.Semaphore] = {}
        self._poked = False
        self._local: deque[Input] = deque()
        self._anew = False
        """Somebody else changed who may vote: the core is told once nothing of its is under way,
        or a vote that is just being signed would be missing in what it is told of the log."""
        self._state: State | None = None
        self._nursery: trio.Nursery | None = None
        self._executing: list[trio.CancelScope] = []
        self._outcomes: dict[bytes, Outcome] = {}
        self._awaiting: Certificate | None = None
        self._passing = False
        """The tip is one that is only passed: it isn't on the disk, nor does the core know it."""
        self._evidence: dict[tuple[bytes, int], Evidence] = {}
        self._behind: dict[bytes, tuple[int, int]] = {}
        """Peer -> the decided height that it voted on last, and since when (mono) or when it was
        answered."""
        self._committed_ms = clock.mono_ms()
        self.on_receipts: Callable[[Sequence[Receipt]], None] = lambda _receipts: None
        """Told each committed block's receipts."""
        self._lost: dict[bytes, trio.Event] = {}

    # --- what other tasks call ---------------------------------------------------------------

    async def vote_received(self, vote: Vote, peer: bytes) -> None:
        """A vote from a validator's link. Waits when the inbox is full, which slows that peer."""
        node = self._roster.network_key(vote.sender)
        if node is None and vote.height != self._chain.height + 1:
            return  # the validators of other heights may be others
        if node != peer:
            raise PeerFault("NOT_ITS_VOTE", "a vote that is not of the node that sent it")
        waiting = self._waiting_votes.setdefault(peer, trio.Semaphore(VOTES_WAITING_MAX))
        await waiting.acquire()
        try:
            await self._send.send(_Vote(vote, peer))
        except BaseException:  # its link ended meanwhile
            waiting.release()
            raise

    async def blocks_fetched(self, blocks: Sequence[SealedBlock], peer: bytes) -> None:
        """Certified blocks in their order, few enough to be executed at a stretch; returns when
        they were committed or found useless."""
        item = _Fetched(blocks, peer)
        await self._send.send(item)
        await item.done.wait()

    async def validator_connected(self, consensus_key: bytes) -> None:
        await self._send.send(Connected(consensus_key))

    def poke(self) -> None:
        """Work arrived or time passed. Never blocks; many pokes are one. With a full inbox the
        engine is awake, and looks at ``_poked`` after its next item."""
        if not self._poked:
            self._poked = True
            with contextlib.suppress(trio.WouldBlock):
                self._send.send_nowait(_Poke())

    def evidence_received(self, evidence: Evidence) -> bool:
        """Keep evidence for the next own proposal; False if there is some of this kind against
        its sender, who can contradict itself without end. Raises PeerFault."""
        kind = evidence.sender, evidence.kind
        if kind in self._evidence or self._chain.evidence_known(evidence.digest):
            return False
        height = evidence.check(self._chain.chain_id)
        if not self._chain.had_vote(evidence.sender, height):
            raise PeerFault("EVIDENCE_INVALID", "evidence against no validator")
        if height > self._chain.height + 1:
            return False  # a block with it would be refused now, by everybody
        self._evidence[kind] = evidence
        self.observed.contradicted[evidence.sender] = self._chain.height
        return True

    def votes_of(self, consensus_key: bytes) -> list[Vote]:
        """Every vote of a validator that is at hand, of this height and its neighbours."""
        state = self._state
        if state is None:
            return []
        ahead = (vote for (sender, _), vote in state.ahead.items() if sender == consensus_key)
        return [*state.previous.by(consensus_key), *state.votes.by(consensus_key), *ahead]

    def votes_ahead(self, consensus_key: bytes) -> bool:
        """Whether a validator was heard voting above the height being decided."""
        return self._state is not None and any(
            sender == consensus_key for sender, _ in self._state.ahead
        )

    @property
    def state(self) -> State | None:
        """The core's state, to look at; None before the first height."""
        return self._state

    @property
    def signer(self) -> Signer | None:
        """Whoever may sign the next block's votes, above its log's floor."""
        return self._signer

    @property
    def lacks_decided_block(self) -> bool:
        """Whether a block is decided that this node could not commit yet."""
        return self._awaiting is not None

    @property
    def never_saw_decided_block(self) -> bool:
        """Whether a block is decided whose content did not come, so that it must be fetched."""
        return self._awaiting is not None and not (self._state and self._state.executing)

    def describe(self) -> dict[str, object]:
        """Where agreement stands, for operators."""
        state = self._state
        if state is None:
            return {}
        proposer = state.proposer(state.round)
        return {
            "height": state.context.height,
            "round": state.round,
            "proposer": state.context.validators.name(proposer),
            "voting": state.context.me is not None,
        }

    @property
    def voting(self) -> bool:
        """Whether this node votes in the height being decided."""
        if self._signer is None or not self._signer.trusted:
            return False
        # The log may be ahead of a chain that was fetched anew: there it has voted already.
        votes = self._signer.log
        return self._chain.height >= max(votes.floor, votes.height - 1)

    def become_validator(self, signer: Signer) -> None:
        """Vote with this signer where its key is a validator's, above its log's floor."""
        self._signers[signer.key] = signer
        self._lost[signer.key] = trio.Event()
        self._anew = True
        self.poke()

    async def own_votes_shown(self, key: bytes, votes: tuple[Statement, ...]) -> None:
        """Own votes that a peer holds, their signatures checked: compared with the log."""
        item = _Shown(key, votes)
        await self._send.send(item)
        await item.done.wait()

    def trust(self, signer: Signer) -> None:
        """Nobody holds a vote that this signer's log lacks: vote by it from now on."""
        if self._signers.get(signer.key) is signer:
            signer.trusted = True
            self._anew = True
            self.poke()

    async def memory_lost(self, key: bytes) -> None:
        """Returns when there is no vote log (any more) that can be trusted for this key."""
        if key in self._lost:
            await self._lost[key].wait()

    def _stop_voting(self, signer: Signer) -> None:
        del self._signers[signer.key]
        self._lost[signer.key].set()
        self._local.clear()  # what the core was about to be told belongs to the forgetful voter
        self._local.append(self._next_height())

    # --- the task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until cancelled. Raises LocalFault when this node must stop."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._tick)
            nursery.start_soon(self._recorder.run)
            if not self._local:
                self._local.append(self._next_height())
            while True:
                while self._local:
                    await self._apply(self._local.popleft())
                if self._anew:
                    self._local.append(self._next_height())
                elif self._poked:
                    self._poked = False
                    await self._apply(Tick(self._mempool.waits_since()))
                else:
                    await self._handle(await self._inbox.receive())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep_ms(TICK_MS)
            if self._state is not None and self._clock.mono_ms() >= machine.wake_at(self._state):
                self.poke()

    def _next_height(self) -> Input:
        self._anew = False
        height = self._chain.height + 1
        me, own = None, OwnVotes()
        self._choose_signer()
        if self._signer is not None and self.voting:
            me, own = self._signer.key, self._signer.log.own_votes(height)
        return self._chain.next_height(me, own)

    def _choose_signer(self) -> None:
        """The own key that is a validator's in the next block: it changes when it is rotated."""
        self._signer = self._proposer = None
        for key, signer in self._signers.items():
            if key in self._chain.validators:
                self._signer = signer
                self._proposer = Proposer(self._chain, self._mempool, self._clock, key)

    async def _handle(self, item: _Item) -> None:
        if isinstance(item, _Vote):
            self._waiting_votes[item.peer].release()
            # First: the core may answer it with a vote that denies the forgotten one.
            self._look_for_own_votes(item.vote)
            while self._local:
                await self._apply(self._local.popleft())
            self._observe(item.vote, item.peer)
            await self._judged(item.peer, self._apply(Received(item.vote)))
        elif isinstance(item, _Shown):
            for vote in item.votes:
                self._compare_with_log(item.key, vote)
            item.done.set()
        elif isinstance(item, _Fetched):
            try:
                await self._judged(item.peer, self._take_blocks(item.blocks))
            finally:
                item.done.set()
        elif isinstance(item, _Executed):
            await self._content_executed(item)
        elif isinstance(item, Connected):
            await self._apply(item)

    def _observe(self, vote: Vote, peer: bytes) -> None:
        """Who speaks, and by which clock: a content that is new here was built just now."""
        self.observed.vote(vote, self._clock.mono_ms())
        state = self._state
        if state is None or not isinstance(vote, Proposal) or vote.height != state.context.height:
            return
        content = vote.content
        timed = content.time_ms > state.context.parent_time_ms + 1  # by its clock, not its parent
        if timed and content.proposer == vote.sender and content.digest not in state.contents:
            ahead_ms = content.time_ms - self._clock.wall_ms()
            self.observed.clock(vote.sender, peer, ahead_ms, self._clock.mono_ms())

    async def _judged(self, peer: bytes, work: Awaitable[None]) -> None:
        """A peer's fault costs it its link, never this node."""
        try:
            await work
        except PeerFault as error:
            self._network.accuse(peer, error)

    async def _apply(self, event: Input) -> None:
        now = Now(self._clock.wall_ms(), self._clock.mono_ms())
        self._state, outputs = self._recorder.apply(self._state, event, now)
        for output in outputs:
            await self._perform(output)

    async def _perform(self, output: out.Output) -> None:
        if isinstance(output, out.Sign):
            await self._sign(output)
        elif isinstance(output, out.Broadcast):
            self._broadcast(output.votes, output.peer)
        elif isinstance(output, out.Build):
            assert self._proposer is not None
            content = self._proposer.build(
                output.txs_max, self.open_evidence(), output.round, output.seals
            )
            self._local.append(Built(output.round, content))
        elif isinstance(output, out.Execute):
            assert self._nursery is not None
            scope = trio.CancelScope()
            self._executing.append(scope)
            self._nursery.start_soon(self._execute, output, scope)
        elif isinstance(output, out.Decided):
            await self._decided(output.certificate)
        elif isinstance(output, out.AnswerDecided):
            self._answer_decided(output.peer, output.height)
        elif isinstance(output, out.SplitVote):
            self._split_vote(output)
        elif isinstance(output, out.Diverged):
            self._diverged(output)
        elif isinstance(output, out.Caught):
            self._caught(output.evidence)
        else:
            if self._state is not None:
                proposer = self._state.proposer(output.round - 1)
                self.observed.lost_rounds.append((output.height, proposer))
            self._metrics.rounds_changed.inc()
            self._metrics.round.set(output.round)
            _log.info("round entered", height=output.height, round=output.round)

    # --- votes -------------------------------------------------------------------------------

    async def _sign(self, order: out.Sign) -> None:
        assert self._signer is not None
        bodies: tuple[bytes, ...] = ()
        if isinstance(order.vote, Prepare | Commit) and order.content is not None:
            bodies = self._outcomes[order.content.digest].block.bodies
        started = self._clock.mono_ms()
        signed = await self._signer.sign(order.vote, order.content, bodies, order.prepared)
        took_ms = self._clock.mono_ms() - started
        self.observed.log_ms.append(took_ms)
        self._metrics.vote_log_seconds.observe(took_ms / 1000)
        sent = self._with_young_bodies(signed) if isinstance(signed, Proposal) else signed
        self._broadcast((sent,), None)
        self._local.append(Signed(signed))

    def _with_young_bodies(self, vote: Proposal) -> Proposal:
        """Attach bodies that gossip may not have brought everywhere yet."""
        now, size = self._clock.mono_ms(), 0
        young: list[bytes] = []
        for wire_id in reversed(vote.content.wire_ids):
            entry = self._mempool.get(wire_id)
            if entry is None or now - entry.arrived_ms > ATTACH_YOUNGER_MS:
                continue
            size += entry.size
            if size > ATTACH_BYTES_MAX:
                break
            young.append(entry.tx.raw)
        if not young:
            return vote
        return Proposal(
            vote.height,
            vote.round,
            vote.content,
            tuple(young),
            vote.justification,
            vote.sender,
            vote.signature,
        )

    def _broadcast(self, votes: tuple[Vote, ...], validator: bytes | None) -> None:
        if validator is None:
            peers = self._roster.connected_validators(self._network)
        else:
            key = self._roster.network_key(validator)
            peers = [] if key is None else [key]
        for vote in votes:
            payload = encode_vote(vote)
            for peer in peers:
                self._network.send(peer, Channel.CONSENSUS, payload)

    def _look_for_own_votes(self, vote: Vote) -> None:
        """Rule 9: an own PREPARE that the log lacks means that the log is not the memory."""
        changes: tuple[RoundChange, ...] = ()
        if isinstance(vote, RoundChange):
            changes = (vote,)
        elif isinstance(vote, Proposal):
            changes = vote.justification
        for change in changes:
            pair = change.prepared
            if pair is not None and change.height == self._chain.height + 1:
                signed = prepare_bytes(
                    self._chain.chain_id,
                    change.height,
                    pair.round,
                    pair.content_hash,
                    pair.block_hash,
                )
                if self._signed_it(pair.signers, pair.signatures, TAG_PREPARE, signed):
                    self._own_vote_shown(Prepare, change.height, pair.round, pair.block_hash)

    def _signed_it(
        self, marks: bytes, signatures: tuple[bytes, ...], tag: bytes, message: bytes
    ) -> bool:
        """Whether this validator's own signature is among a certificate's. Nothing else of the
        certificate is believed: the core may not have looked at it, or have refused it."""
        if self._signer is None:
            return False
        positions = signers(marks, len(self._chain.validators)) or []
        by_position = dict(zip(positions, signatures, strict=False))
        own = by_position.get(self._chain.validators.index_of.get(self._signer.key, -1))
        return own is not None and verify(self._signer.key, tag, message, own)

    def _own_vote_shown(
        self, kind: type[Vote], height: int, round_: int, block_hash: bytes
    ) -> None:
        signer = self._signer
        if signer is not None and not signer.log.knows(kind, height, round_, block_hash):
            self._log_lacks(signer, kind, height, round_)

    def _compare_with_log(self, key: bytes, vote: Statement) -> None:
        signer = self._signers.get(key)
        if signer is not None and not signer.log.holds(*vote):
            kind, height, round_, _ = vote
            self._log_lacks(signer, KINDS[kind], height, round_)

    def _log_lacks(self, signer: Signer, kind: type[Vote], height: int, round_: int) -> None:
        what = f"{kind.__name__} at height {height}, round {round_}"
        self.observed.memory_lost = f"a peer showed an own {what}, which the vote log lacks"
        _log.error("a peer shows an own vote that the vote log lacks; voting stops", vote=what)
        self._keep_recording("own-vote-shown")
        self._stop_voting(signer)

    def _keep_recording(self, reason: str) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._recorder.keep_beside, reason)

    # --- executing ---------------------------------------------------------------------------

    async def _execute(self, order: out.Execute, scope: trio.CancelScope) -> None:
        """Find the bodies and execute; the result comes back through the inbox."""
        content = order.content
        with scope:
            if content.parent != self._chain.hash:
                return  # decided before this task's first step
            if content.digest in self._outcomes:
                await self._send.send(_Executed(content, self._outcomes[content.digest], ""))
                return
            outcome, problem = None, ""
            try:
                kept = self._signer.log.bodies(content.digest) if self._signer else ()
                transactions, verified = await self._bodies.collect(
                    content.wire_ids, (*order.bodies, *kept), self._roster.network_key(order.source)
                )
                started = self._clock.mono_ms()
                outcome = await self._chain.execute(content, transactions, verified)
                self._metrics.execute_seconds.observe((self._clock.mono_ms() - started) / 1000)
            except ContentRefused as error:
                problem = str(error)
                self.observed.refused_contents.append((content.height, problem))
                _log.warning("content refused", height=content.height, reason=problem)
            if outcome is not None:
                self._outcomes[content.digest] = outcome
                self.divergence.exchange.keep(outcome)
            await self._send.send(_Executed(content, outcome, problem))

    async def _content_executed(self, item: _Executed) -> None:
        if item.content.parent != self._chain.hash:
            return  # of a height that is decided
        outcome = item.outcome
        certificate = self._awaiting
        if outcome is not None and certificate is not None:
            if outcome.block.hash == certificate.block_hash:
                await self._commit(outcome, certificate)
            return
        block_hash = None if outcome is None else outcome.block.hash
        await self._apply(Executed(item.content.digest, block_hash, item.problem))

    def _split_vote(self, split: out.SplitVote) -> None:
        """Suspect the whole content until the others' lists tell more."""
        outcomes = {
            block_hash.hex()[:16]: [self._chain.validators.name(key) for key in keys]
            for block_hash, keys in split.tally
        }
        _log.error(
            "validators got different outcomes from one content",
            height=split.content.height,
            transactions=len(split.content.wire_ids),
            outcomes=outcomes,
        )
        self.divergence.held_out(self._mempool.suspect(split.content.wire_ids))
        self._keep_recording("split")
        assert self._nursery is not None
        self._nursery.start_soon(self.divergence.split, split)

    def _diverged(self, found: out.Diverged) -> None:
        """Find out why while the others still have their outcomes. This node stops when the
        certified block shows that the quorum stands by its own (``_take_block``)."""
        _log.error(
            "own execution differs from the quorum's",
            height=found.height,
            round=found.round,
            own=found.own,
            quorum=found.quorums,
        )
        self._keep_recording("diverged")
        for outcome in self._outcomes.values():
            if outcome.block.hash == found.own:
                assert self._nursery is not None
                self._nursery.start_soon(self.divergence.explain, outcome.content, found.quorums)

    # --- committing --------------------------------------------------------------------------

    async def _decided(self, certificate: Certificate) -> None:
        for outcome in self._outcomes.values():
            if outcome.block.hash == certificate.block_hash:
                await self._commit(outcome, certificate)
                return
        # Own execution is under way, or differs, or the content never came: sync fetches the
        # block from those who announce it, and executing that tells.
        self._awaiting = certificate

    async def _take_blocks(self, blocks: Sequence[SealedBlock]) -> None:
        """Commit certified blocks; all but the last are only passed.

        A passed block is decided by others and followed by more, so there is nothing to do at its
        height: the core is not told of it, it is not announced, and it is written with the last
        one. The core is only ever at a height whose parent is on the disk, so no vote is given,
        counted or told of on a tip that a crash could take back.
        """
        fault: PeerFault | None = None
        try:
            for number, sealed in enumerate(blocks, 1):
                await self._take_block(sealed, passing=number < len(blocks))
        except PeerFault as error:
            fault = error
        if self._passing:  # what came after it was refused
            await self._chain.sync()
            self._arrive()
        if fault is not None:
            raise fault

    async def _take_block(self, sealed: SealedBlock, *, passing: bool) -> None:
        block, certificate = sealed.block, sealed.certificate
        if block.height != self._chain.height + 1 or certificate is None:
            return
        # Where nothing is known of it yet, a fetched block is executed on a still chain.
        known = self._outcomes.get(block.content.digest)
        try:
            outcome = await self._chain.execute_sealed(sealed, known)
        except Diverged as error:
            raise await self._explained(error) from None
        self.divergence.exchange.keep(outcome)
        sealed_bytes = commit_bytes(
            self._chain.chain_id, block.height, certificate.round, block.hash
        )
        if self._signed_it(certificate.signers, certificate.seals, TAG_COMMIT, sealed_bytes):
            self._own_vote_shown(Commit, block.height, certificate.round, block.hash)
        # Whoever may vote is chosen anew where that changes.
        await self._commit(
            outcome, certificate, passing=passing and outcome.system is self._chain.system
        )

    async def _explained(self, error: Diverged) -> LocalFault:
        """Why this node stops, once the report is written."""
        if error.outcome is not None:
            self.divergence.exchange.keep(error.outcome)
        problem = "" if error.outcome is not None else error.message
        content = error.block.content
        reason = await self.divergence.explain(content, error.block.hash, problem)
        return LocalFault(error.code, f"{error.message}: {reason}")

    async def _commit(
        self, outcome: Outcome, certificate: Certificate, *, passing: bool = False
    ) -> None:
        for scope in self._executing:
            scope.cancel()
        self._executing = []
        if self._state is not None and self._state.context.height == outcome.header.height:
            prepares = self._state.votes.prepares(certificate.round)
            self.divergence.note_dissent(outcome, prepares)
        started = self._clock.mono_ms()
        before = self._chain.system
        await self._chain.commit(outcome, certificate, passing=passing)
        now = self._clock.mono_ms()
        self._outcomes = {}
        self._awaiting = None
        self._bodies.clear()
        self._mempool.remove_committed([tx.tx_id for tx in outcome.transactions])
        for entry in self._mempool.remove_expired(outcome.header.time_ms):
            self._ended.add(entry.tx.tx_id, "TX_EXPIRED", "it found no block before valid_until")
        for one in outcome.content.evidence:
            self._evidence.pop((one.sender, one.kind), None)
        if outcome.system is not before:
            self.follow_system()
        self._measure(outcome, certificate, now - started, now)
        self.on_receipts(outcome.receipts)
        self._local.clear()
        self._passing = passing
        if not passing:
            self._arrive()

    def _arrive(self) -> None:
        """The tip is on the disk: tell everybody, and go on from there."""
        self._passing = False
        if self._signer is not None:
            self._signer.log.decided(self._chain.height)
        self._bus.committed(self._chain.height)
        announcement = self.status_frame()
        for peer in self._network.connected():
            self._network.send(peer, Channel.CHAIN, announcement)
        self._local.append(self._next_height())
        self.poke()

    def follow_system(self) -> None:
        """Go by the nodes, validators and limits that the state names now."""
        chain = self._chain
        self._roster.update(chain.members, chain.validators)
        self.observed.keep(
            set(chain.validators.index_of), {one.network_key for one in chain.members}
        )
        self._network.admit(self._roster.peers())
        limits = chain.params
        for entry in self._mempool.remove_unfit(limits.tx_bytes_max, limits.tx_steps_max):
            self._ended.add(entry.tx.tx_id, "TX_LIMITS", "the limits were lowered meanwhile")

    def _measure(self, outcome: Outcome, certificate: Certificate, store_ms: int, now: int) -> None:
        metrics = self._metrics
        metrics.height.set(outcome.header.height)
        metrics.round.set(0)
        metrics.blocks.inc()
        metrics.block_txs.observe(len(outcome.transactions))
        codes: dict[str, int] = {}
        for receipt in outcome.receipts:
            codes[receipt.code] = codes.get(receipt.code, 0) + 1
        for code, count in codes.items():
            metrics.txs.labels(code).inc(count)
        self._observe_block(outcome, certificate, store_ms, now)
        metrics.store_seconds.observe(store_ms / 1000)
        metrics.block_seconds.observe((now - self._committed_ms) / 1000)
        self._committed_ms = now
        _log.info(
            "block committed",
            height=outcome.header.height,
            hash=outcome.block.hash,
            round=certificate.round,
            txs=len(outcome.transactions),
            state_root=outcome.header.state_root,
        )

    def _observe_block(
        self, outcome: Outcome, certificate: Certificate, store_ms: int, now: int
    ) -> None:
        height, txs = outcome.header.height, len(outcome.transactions)
        failed = sum(receipt.code != "OK" for receipt in outcome.receipts[:txs])
        observed = self.observed
        observed.store_ms.append(store_ms)
        observed.blocks.append(Committed(height, certificate.round, now, txs, failed))
        observed.block_clock.append(outcome.header.time_ms - self._clock.wall_ms())

    # --- answers and evidence ----------------------------------------------------------------

    def status_frame(self) -> bytes:
        """This node's tip, as told to peers."""
        return frames.frame(frames.STATUS, [self._chain.height, self._chain.hash])

    def _answer_decided(self, validator: bytes, height: int) -> None:
        """Rule 6: the block and its certificate, for one that goes on voting on that height. A
        slow one votes on each height too late, and is about to decide it by itself."""
        peer = self._roster.network_key(validator)
        if peer is None or height > self._chain.height:
            return
        now = self._clock.mono_ms()
        known, since_ms = self._behind.get(peer, (-1, now))
        if known != height or now - since_ms >= ANSWER_AFTER_MS:
            self._behind[peer] = height, now
        if known != height or now - since_ms < ANSWER_AFTER_MS:
            return
        sealed = self._chain.blocks.sealed(height)
        if sealed is not None and len(sealed.raw) < FRAME_BYTES_MAX[Channel.CHAIN]:
            payload = bytes([frames.BLOCK]) + sealed.raw
            self._network.send(peer, Channel.CHAIN, payload)
        self._network.send(peer, Channel.CHAIN, self.status_frame())

    def open_evidence(self) -> list[Evidence]:
        """What is known and stands in no block yet: at most one of each kind a validator."""
        return [
            one for one in self._evidence.values() if not self._chain.evidence_known(one.digest)
        ]

    def _caught(self, evidence: Evidence) -> None:
        _log.error(
            "validator contradicted itself", validator=self._chain.validators.name(evidence.sender)
        )
        if self.evidence_received(evidence):
            payload = bytes([frames.EVIDENCE]) + evidence.raw
            for peer in self._roster.connected_validators(self._network):
                self._network.send(peer, Channel.CHAIN, payload)
