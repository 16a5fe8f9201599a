"""One whole node above its ports: the same object runs on a machine and in a virtual world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from consensus.evidence import Evidence
from consensus.messages import decode_vote
from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.errors import CodecError, HansaError, LocalFault, PeerFault
from consensus.receipt import Receipt
from contracts.runtime.registry import Registry
from genesis.document import GenesisDocument
from node import frames, log
from node.admission import Admission, Admitted
from node.bodies import Bodies
from node.bus import Bus
from node.chain import Chain, Load
from node.engine import Engine
from node.logcheck import LogCheck, answer_own_votes
from node.mempool import Mempool, Pooled
from node.metrics import Metrics
from node.ports import AppendFile, Blocking, Clock, Reports, Verifier
from node.recorder import Recorder, Tape
from node.recovery import Recovery, answer_seen
from node.roster import Roster
from node.signer import Signer
from node.snapshot.serving import Snapshots
from node.store.kv import KV
from node.store.retention import EVERY_BLOCK, Retention
from node.sync import Sync, answer_blocks, read_sealed
from node.vault.vault import Keeping, Vault
from node.wal import VoteLog
from p2p.conduct import Allowance, Spaced
from p2p.gossip import Gossip
from p2p.ports import Channel, Handler, Network

GOSSIP_TICK_MS: Final = 100
STATUS_AGAIN_MS: Final = 1000
FAULT_LINE_MS: Final = 10_000
"""At most one line of log in this time for one peer's one kind of fault."""
IDS_PER_REQUEST_MAX: Final = 10_000

_log = log.get("node")


@dataclass(frozen=True)
class Ports:
    """The world of one node."""

    clock: Clock
    blocking: Blocking
    verifier: Verifier
    kv: KV
    network: Callable[[Handler], Network]
    """Makes this node's network end; called once, with the node."""
    reports: Reports
    recordings: Reports | None = None
    """Takes what the flight recorder keeps."""
    tape: Tape | None = None
    """What the flight recorder writes as it goes."""
    vault: Keeping | None = None
    """Where openings are kept; without it the node neither asks for them nor gives any."""


@dataclass(frozen=True)
class Voter:
    """What a validator has beyond a full node: its key and the file of its vote log.

    ``vote_from`` is the operator's word, when more validators lost their logs than can lie: trust
    no answers, vote from that height on.
    """

    seed: bytes = field(repr=False)
    votes: AppendFile
    vote_from: int | None = None


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    """The code or kind of the first fault in a group."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _reason(error)
        return error.code if isinstance(error, HansaError) else type(error).__name__
    return ""


class Node:
    """Admission, agreement, chain, gossip and sync of one node. Also the network's Handler."""

    def __init__(
        self,
        document: GenesisDocument,
        ports: Ports,
        voters: Sequence[Voter] = (),
        mempool: Mempool | None = None,
        load: Load = Registry.of,
        retention: Retention = EVERY_BLOCK,
    ) -> None:
        """Opens the store. Raises LocalFault for a disk or data that can't be worked with.

        ``voters`` are two while a key is rotated: the one that is a validator's votes.
        """
        self.document = document
        self.metrics = Metrics()
        self.roster = Roster()
        self.chain = Chain(document, ports.kv, ports.blocking, ports.verifier, load, retention)
        self.mempool = Mempool() if mempool is None else mempool
        self.admission = Admission(self.chain, self.mempool, ports.clock, ports.verifier)
        self.bus = Bus(self.chain.height)
        self.network = ports.network(self)
        self._ports = ports
        self._voters = tuple(voters)
        self.bodies = Bodies(self.mempool, self.network, self.roster, ports.clock)
        self.recorder = Recorder(self.chain.chain_id, ports.blocking, ports.recordings, ports.tape)
        self.engine = Engine(
            self.chain,
            self.mempool,
            self.admission.ended,
            self.bodies,
            self.network,
            self.roster,
            ports.clock,
            self.bus,
            self.metrics,
            ports.blocking,
            ports.reports,
            self.recorder,
        )
        self.sync = Sync(self.chain, self.engine, self.network, self.roster, ports.clock)
        self.gossip = Gossip(self.network, self, ports.clock.mono_ms)
        self.recoveries: dict[bytes, Recovery] = {}
        """By consensus key: those under way."""
        self.log_checks: dict[bytes, LogCheck] = {}
        """By consensus key: whole logs that are not trusted yet."""
        self._useless_txs: Allowance[bytes] = Allowance(2_000, 20_000)
        self._questions: Allowance[bytes] = Allowance(200, 1_000)
        self._allowances: dict[Channel, Allowance[bytes]] = {
            Channel.CONSENSUS: Allowance(500, 2_000),
            Channel.CHAIN: Allowance(200, 1_000),
        }
        """What a peer may send, a second and at once; an honest one stays far below."""
        self._fault_lines: Spaced[tuple[bytes, str]] = Spaced(FAULT_LINE_MS)
        self.metrics.height.set(self.chain.height)
        self.engine.follow_system()
        self.snapshots: Snapshots | None = None
        """Those that peers may ask for."""
        self.api: Callable[[bytes, bytes], Awaitable[bytes]] | None = None
        """Answers what a light node (the peer) asks, see ``node.api.peers``."""
        self.vault: Vault | None = None
        if ports.vault is not None:
            self.vault = Vault(
                ports.vault,
                self.chain,
                self.roster,
                self.network,
                ports.clock,
                ports.blocking,
                self.metrics,
            )
        self.engine.on_receipts = self._committed

    def _committed(self, receipts: Sequence[Receipt]) -> None:
        self.gossip.forget([receipt.wire_id for receipt in receipts])
        if self.vault is not None:
            self.vault.committed(receipts)

    @property
    def clock(self) -> Clock:
        return self._ports.clock

    @property
    def consensus_keys(self) -> tuple[bytes, ...]:
        """Public keys that this node holds to vote with, whether they have a vote or not."""
        return tuple(public_key(voter.seed) for voter in self._voters)

    # --- running -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until cancelled. Raises LocalFault (in an exception group) when it must stop."""
        try:
            async with trio.open_nursery() as nursery:
                for voter in self._voters:
                    signer = self._open_signer(voter)
                    if signer is not None:
                        self.engine.become_validator(signer)
                        if not signer.trusted:
                            nursery.start_soon(self._check_log, signer)
                    vote_from = voter.vote_from if signer is None else None
                    nursery.start_soon(self._recover_when_needed, voter, vote_from)
                nursery.start_soon(self.engine.run)
                nursery.start_soon(self.sync.run)
                nursery.start_soon(self._spread)
                if self.vault is not None:
                    nursery.start_soon(self.vault.run)
        except* Exception as group:
            self.recorder.keep(_reason(group))
            raise

    def _open_signer(self, voter: Voter) -> Signer | None:
        """The signer on an intact vote log; None if there is none (any more)."""
        key = public_key(voter.seed)
        try:
            votes = VoteLog(voter.votes, key, self.chain.chain_id)
        except LocalFault as error:
            if error.code not in ("VOTE_LOG_MISSING", "VOTE_LOG_CORRUPT"):
                raise
            self.engine.observed.memory_lost = str(error)
            _log.error(
                "no usable vote log; not voting until it is known what was signed",
                code=error.code,
                reason=error.message,
            )
            return None
        if voter.vote_from is not None:
            votes = self._renewed(votes, voter, voter.vote_from)
        signer = Signer(voter.seed, self.chain.chain_id, votes, self._ports.blocking)
        signer.trusted = voter.vote_from is not None
        return signer

    async def _check_log(self, signer: Signer) -> None:
        """Vote by a log that was found whole, once it is known to be no old backup."""
        clock = self._ports.clock
        check = LogCheck(self.chain, self.network, self.roster, clock, signer.key)
        self.log_checks[signer.key] = check
        await check.run(self.engine, signer)
        del self.log_checks[signer.key]

    def _renewed(self, votes: VoteLog, voter: Voter, vote_from: int) -> VoteLog:
        """The operator's word over what an earlier recovery found out, unless it has been used."""
        if votes.used:
            raise LocalFault(
                "VOTE_FROM_REFUSED",
                f"the vote log is intact and has votes at height {votes.height}:"
                " start without --vote-from",
            )
        return self._new_log(voter, vote_from) if votes.floor >= vote_from else votes

    def _new_log(self, voter: Voter, vote_from: int) -> VoteLog:
        floor = max(vote_from, self.chain.height + 1) - 1
        _log.warning("vote log renewed on the operator's word", votes_from=floor + 1)
        return VoteLog.create(voter.votes, public_key(voter.seed), floor, self.chain.chain_id)

    async def _recover_when_needed(self, voter: Voter, vote_from: int | None) -> None:
        """Rule 9, each time that voting has stopped for want of a trusted log."""
        key = public_key(voter.seed)
        while True:
            await self.engine.memory_lost(key)
            if vote_from is not None:
                votes = self._new_log(voter, vote_from)
                vote_from = None  # said of this loss, not of a later one
            else:
                recovery = Recovery(self.chain, self.network, self.roster, self._ports.clock, key)
                self.recoveries[key] = recovery
                floor = await recovery.highest_seen() + 1
                del self.recoveries[key]
                votes = VoteLog.create(voter.votes, key, floor, self.chain.chain_id)
            signer = Signer(voter.seed, self.chain.chain_id, votes, self._ports.blocking)
            self.engine.become_validator(signer)
            _log.warning("voting again", from_height=votes.floor + 1)

    async def _spread(self) -> None:
        told_ms = 0
        while True:
            await self._ports.clock.sleep_ms(GOSSIP_TICK_MS)
            self.gossip.tick()
            if self._ports.clock.mono_ms() >= told_ms + STATUS_AGAIN_MS:
                told_ms = self._ports.clock.mono_ms()
                self._tell_tip()
            self.metrics.mempool_txs.set(len(self.mempool))
            self.metrics.mempool_bytes.set(self.mempool.bytes)

    def _tell_tip(self) -> None:
        """Once more: a message may have been lost, and no block comes to tell of where the chain
        waits for just the one who missed it."""
        tip = self.engine.status_frame()
        for peer in self.network.connected():
            self.network.send(peer, Channel.CHAIN, tip)

    async def submit(self, raws: list[bytes]) -> list[Admitted]:
        """Admit transactions from this node's own clients and spread them."""
        answers = await self.admission.admit(raws, own=True)
        fresh = [answer.entry for answer in answers if answer.entry is not None]
        if fresh:
            self.gossip.push([(entry.wire_id, entry.tx.raw) for entry in fresh])
            self.engine.poke()
            self.metrics.admitted.labels("api").inc(len(fresh))
        for answer in answers:
            if not answer.accepted:
                self.metrics.refused.labels(answer.code).inc()
                refusal = self._ports.clock.mono_ms(), answer.code
                self.engine.observed.refused_txs.append(refusal)
        return answers

    # --- gossip's Pool -----------------------------------------------------------------------

    def waiting(self) -> Iterable[Pooled]:
        return self.mempool.newest_first()

    def body(self, wire_id: bytes) -> bytes | None:
        return self.bodies.get(wire_id)

    def lacks(self, wire_id: bytes) -> bool:
        return self.mempool.has_room and self.bodies.get(wire_id) is None

    async def heard(self, peer: bytes, raws: list[bytes]) -> None:
        answers = await self.admission.admit(raws, own=False)
        asked = self.gossip.shown(peer, [sha256(raw) for raw in raws])
        useless = sum(
            answer.entry is None and answer.code != "MEMPOOL_FULL" and not wanted
            for answer, wanted in zip(answers, asked, strict=True)
        )
        if not self._useless_txs.take(peer, useless, self._ports.clock.mono_ms()):
            raise PeerFault(
                "TXS_USELESS", "too many transactions that are expired, known or refused anyway"
            )
        fresh = sum(answer.entry is not None for answer in answers)
        if fresh:
            self.metrics.admitted.labels("peer").inc(fresh)
            self.engine.poke()

    # --- the network's Handler ---------------------------------------------------------------

    async def on_connect(self, peer: bytes) -> None:
        _log.info("peer connected", peer=self.roster.name(peer))
        self.metrics.peers.set(len(self.network.connected()))
        self.engine.observed.link(peer, True, self._ports.clock.mono_ms())
        self.gossip.connected(peer)
        self.sync.connected(peer)
        if self.vault is not None:
            self.vault.connected()
        self.network.send(peer, Channel.CHAIN, self.engine.status_frame())
        if peer in self.roster.validators:
            await self.engine.validator_connected(self.roster.validators[peer])

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        _log.info("peer disconnected", peer=self.roster.name(peer), reason=reason)
        self.metrics.peers.set(len(self.network.connected()))
        self.engine.observed.link(peer, False, self._ports.clock.mono_ms())
        self.gossip.disconnected(peer)
        self.sync.disconnected(peer)

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        allowance = self._allowances.get(channel)
        if allowance is not None and not allowance.take(peer, 1, self._ports.clock.mono_ms()):
            raise PeerFault("PEER_FLOOD", f"too many {channel.name.lower()} messages")
        try:
            if channel is Channel.CONSENSUS:
                await self.engine.vote_received(decode_vote(payload), peer)
            elif channel is Channel.TRANSACTIONS:
                await self.gossip.received(peer, payload)
            else:
                await self._chain_message(peer, payload)
        except CodecError as error:
            raise PeerFault(error.code, error.message) from None

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        now_ms = self._ports.clock.mono_ms()
        self.engine.observed.faults[peer] = fault.code, fault.message, now_ms
        self.metrics.peer_faults.labels(fault.code).inc()
        name = self.roster.name(peer)
        unsaid = self._fault_lines.turn((peer, fault.code), now_ms)
        if unsaid is not None:
            _log.warning(
                "peer at fault", peer=name, code=fault.code, reason=fault.message, unsaid=unsaid
            )

    async def _chain_message(self, peer: bytes, payload: bytes) -> None:
        kind, raw = frames.split(payload)
        if kind == frames.STATUS:
            height, _ = frames.read_fields(raw, int, bytes)
            self.sync.status_received(peer, height)
        elif kind == frames.BLOCK:
            await self.engine.blocks_fetched([read_sealed(raw)], peer)
        elif kind == frames.EVIDENCE:
            self.engine.evidence_received(Evidence.decode(raw))
        elif kind == frames.HELD_OUT:
            self.engine.divergence.told_held_out(peer, frames.read_blobs(raw))
        else:
            raise PeerFault("MESSAGE_MALFORMED", f"unknown chain message {kind}")

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        if not self._questions.take(peer, 1, self._ports.clock.mono_ms()):
            raise HansaError("PEER_BUSY", "too many questions; ask later")
        kind, raw = frames.split(payload)
        if kind == frames.BLOCKS:
            start, count = frames.read_fields(raw, int, int)
            return answer_blocks(self.chain, start, count)
        if kind == frames.BODIES:
            found = (self.bodies.get(one) for one in frames.read_blobs(raw)[:IDS_PER_REQUEST_MAX])
            return frames.fill(body for body in found if body is not None)
        if kind == frames.SEEN:
            return answer_seen(self.chain, self.engine, raw)
        if kind == frames.OWN_VOTES:
            return answer_own_votes(self.engine, self.chain.chain_id, raw)
        if kind == frames.OUTCOMES:
            return await self.engine.divergence.exchange.answer_outcomes(peer, raw)
        if kind == frames.WRITES:
            return self.engine.divergence.exchange.answer_writes(raw)
        if kind == frames.SNAPSHOTS and self.snapshots is not None:
            return self.snapshots.answer_offers()
        if kind == frames.PART and self.snapshots is not None:
            return await self.snapshots.answer_part(raw)
        if kind in (frames.SNAPSHOTS, frames.PART):
            raise HansaError("SNAPSHOT_GONE", "this node has no snapshots")
        if kind == frames.OPENINGS:
            return b"" if self.vault is None else await self.vault.answer(peer, raw)
        if kind == frames.API:
            if self.api is None:
                raise HansaError("NODE_NOT_READY", "this node does not answer its API yet")
            self.gossip.disconnected(peer)  # it keeps no mempool: pushing to it would be wasted
            return await self.api(peer, raw)
        raise PeerFault("MESSAGE_MALFORMED", f"unknown request {kind}")
