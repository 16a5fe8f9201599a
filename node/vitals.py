"""A node's vital signs: all that the doctor judges by, gathered in one moment, as plain data.

Names are those of the chain's record, keys hex, durations and ages milliseconds by this node's
monotonic clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from consensus.messages import RoundChange
from consensus.pbft.state import State
from contracts.runtime.system import scheduled
from node.node import Node
from node.observed import Observed
from node.recovery import Recovery
from node.signer import Signer

SOON_BLOCKS: Final = 100
SOON_MAX: Final = 8
REFUSALS_WITHIN_MS: Final = 300_000
FAULTS_WITHIN_MS: Final = 600_000
LOST_ROUNDS_BLOCKS: Final = 20
CONTRADICTED_BLOCKS: Final = 1_000
"""After so many blocks without news of it, only the chain's record tells."""
PROMPT_MS: Final = 1_000
"""What comes within this has not been delayed."""


@dataclass(frozen=True)
class Disk:
    """Where the data folder is."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Member:
    """One validator as this node sees it. ``None``: not known."""

    name: str
    organisation: str
    me: bool
    connected: bool
    link_ms: int | None
    """For how long it is connected, or not."""
    link_blocks: int
    """Of the newest blocks, those that came in that time."""
    last_error: str
    address: str
    height: int | None
    """The tip that it told."""
    heard_ms: int | None
    """Since its newest vote came."""
    heard_height: int | None
    clock_ms: int | None
    """How far its clock is ahead of this node's."""
    contradicted: bool
    """Lately it signed two statements that no honest validator signs together."""
    dissent_height: int | None
    """Where it last had another outcome than was committed."""
    fault: str
    """Why this node dropped it lately."""


@dataclass(frozen=True)
class Agreement:
    """Where the height being decided stands. Names, by kind of vote; of this round but for
    COMMITs and ROUND-CHANGEs."""

    height: int
    round: int
    proposer: str
    timer_ms: int | None
    """Until the round's time is over; None: it does not run."""
    proposal: bool
    txs: int
    """Transactions in the proposal."""
    late: bool
    """The proposal's time is too far from the own clock (rule 7)."""
    execution: str
    """"" (nothing to execute), "running", "refused" or "done"."""
    prepares: tuple[tuple[str, tuple[str, ...]], ...]
    """Block hash (its beginning), who prepared it."""
    commits: tuple[tuple[int, str, tuple[str, ...]], ...]
    """Round, block hash, who committed to it."""
    round_changes: Mapping[str, int]
    """The highest round that each has gone to."""
    heard: tuple[str, ...]
    """Whose vote of this height came."""
    lacks_block: bool
    """It is decided, but this node has not got the block."""


@dataclass(frozen=True)
class Asking:
    """Of how many others a validator needs answers, and who has answered."""

    needed: int
    answered: tuple[str, ...]


@dataclass(frozen=True)
class Vitals:
    """One node at one moment."""

    name: str
    network: str
    chain_id: str
    version: str
    wall_ms: int
    up_ms: int
    height: int
    block_hash: str
    block_time_ms: int
    since_block_ms: int
    """Since the newest commit here, or the start."""
    params: Mapping[str, Any]
    validators: int
    quorum: int
    witness: int
    """t + 1."""
    admitted: bool
    network_key: str
    me: str
    """The validator that this node is by the record, or ""."""
    keys: int
    """Consensus keys that it holds."""
    key_in_force: bool
    """One of them is a validator's in the next block."""
    votes: bool
    votes_from: int | None
    """The height from which its log lets it vote, where that is still to come."""
    memory_lost: str
    recovery: Asking | None
    """A validator without its vote log asks what it has signed (rule 9)."""
    log_check: Asking | None
    """One with its log asks whether the others hold votes that are not in it (rule 9)."""
    members: tuple[Member, ...]
    others_connected: int
    """Peers that have no vote."""
    others_missing: tuple[str, ...]
    peers_refusing: tuple[tuple[str, str], ...]
    """Name and words of those that a HELLO or its verdict ended."""
    highest_told: int
    doubted: tuple[str, ...]
    agreement: Agreement | None
    waiting_txs: int
    waiting_bytes: int
    mempool_full: bool
    oldest_ms: int | None
    """Since the oldest transaction that may be proposed came."""
    held_out: int
    refused: Mapping[str, int]
    """Code -> transactions refused to this node's clients in the last minutes."""
    blocks: int
    """Newest blocks that the next figures are of."""
    block_txs: int
    failed_txs: int
    lost_rounds: Mapping[str, int]
    """Proposer -> its rounds that ended without a decision, in the newest heights."""
    contents_refused: tuple[str, ...]
    """Why proposals of this height broke a rule here."""
    divergences: tuple[tuple[str, int, str], ...]
    """Kind, height, sentence of the reports of the newest heights."""
    block_clock_ms: int | None
    """How far the newest blocks' times were ahead of this node's clock."""
    log_ms: int | None
    """Median of the newest appends to the vote log."""
    store_ms: int | None
    disk: Disk | None
    out_of_turn: tuple[str, ...]
    changes_soon: tuple[int, ...]
    """Proposals in force within the next blocks."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def vitals_of(node: Node, network_key: bytes, name: str, version: str, disk: Disk | None) -> Vitals:
    """Look at a running node; changes nothing. Cheap: bounded by the number of validators, and one
    walk over the mempool."""
    return _Looking(node, network_key).vitals(name, version, disk)


class _Looking:
    def __init__(self, node: Node, network_key: bytes) -> None:
        self.node = node
        self.key = network_key
        self.chain = node.chain
        self.observed: Observed = node.engine.observed
        self.now_ms = node.clock.mono_ms()
        self.peers = {report["key"]: report for report in node.network.peer_reports()}
        self.nodes = {one.consensus_key: one for one in self.chain.members if one.consensus_key}

    def vitals(self, name: str, version: str, disk: Disk | None) -> Vitals:
        node, chain, observed = self.node, self.chain, self.observed
        limits = chain.validators.thresholds(chain.params.fault_model)
        held = node.consensus_keys
        signer = node.engine.signer
        mempool = node.mempool
        oldest = mempool.waits_since()
        by_peer = node.roster.validators
        others = [
            one
            for one in chain.members
            if one.network_key not in by_peer and one.network_key != self.key
        ]
        connected = set(node.network.connected())
        newest = observed.blocks[-1].at_ms if observed.blocks else observed.started_ms
        own = by_peer.get(self.key)
        return Vitals(
            name=name,
            network=node.document.name,
            chain_id=chain.chain_id.hex(),
            version=version,
            wall_ms=node.clock.wall_ms(),
            up_ms=self.now_ms - observed.started_ms,
            height=chain.height,
            block_hash=chain.hash.hex(),
            block_time_ms=chain.header.time_ms,
            since_block_ms=self.now_ms - newest,
            params=asdict(chain.params),
            validators=limits.n,
            quorum=limits.quorum,
            witness=limits.honest_witness,
            admitted=self.key in node.roster,
            network_key=self.key.hex(),
            me="" if own is None else chain.validators.name(own),
            keys=len(held),
            key_in_force=any(key in chain.validators for key in held),
            votes=node.engine.voting,
            votes_from=None if signer is None else _votes_from(signer, chain.height),
            memory_lost=observed.memory_lost,
            recovery=self._asking(node.recoveries),
            log_check=None if signer is None or signer.trusted else self._asking(node.log_checks),
            members=tuple(self._member(position) for position in range(limits.n)),
            others_connected=sum(one.network_key in connected for one in others),
            others_missing=tuple(one.name for one in others if one.network_key not in connected),
            peers_refusing=tuple(
                sorted(
                    (report["name"], report["last_error"])
                    for report in self.peers.values()
                    if "refused the peer" in report["last_error"]
                    or "refused this node" in report["last_error"]
                )
            ),
            highest_told=max(self._highest_told(limits.honest_witness), chain.height),
            doubted=tuple(map(node.roster.name, node.sync.doubted)),
            agreement=None if node.engine.state is None else self._agreement(node.engine.state),
            waiting_txs=len(mempool),
            waiting_bytes=mempool.bytes,
            mempool_full=not mempool.has_room,
            oldest_ms=None if oldest is None else self.now_ms - oldest,
            held_out=sum(entry.group_max == 0 for entry in mempool.newest_first()),
            refused=_counted(
                code
                for at_ms, code in observed.refused_txs
                if self.now_ms - at_ms <= REFUSALS_WITHIN_MS
            ),
            blocks=len(observed.blocks),
            block_txs=sum(block.txs for block in observed.blocks),
            failed_txs=sum(block.failed for block in observed.blocks),
            lost_rounds=_counted(
                chain.validators.name(key)
                for height, key in observed.lost_rounds
                if height > chain.height - LOST_ROUNDS_BLOCKS and key in chain.validators
            ),
            contents_refused=tuple(
                dict.fromkeys(
                    reason
                    for height, reason in observed.refused_contents
                    if height == chain.height + 1
                )
            ),
            divergences=tuple(
                one for one in observed.reports if one[1] > chain.height - LOST_ROUNDS_BLOCKS
            ),
            block_clock_ms=_clock(observed.block_clock)
            if len(observed.block_clock) == observed.block_clock.maxlen
            else None,
            log_ms=_median(observed.log_ms),
            store_ms=_median(observed.store_ms),
            disk=disk,
            out_of_turn=tuple(chain.validators.name(one.key) for one in chain.out_of_turn),
            changes_soon=tuple(
                number for _, number in scheduled(chain.state, chain.height + SOON_BLOCKS, SOON_MAX)
            ),
        )

    def _highest_told(self, witness: int) -> int:
        """What t+1 validators have told at least, so that no liar's word counts; where so few are
        connected, what is believed."""
        told = self.node.sync.told
        heights = sorted((told.get(peer, 0) for peer in self.node.roster.validators), reverse=True)
        counted = heights[witness - 1] if len(heights) >= witness else 0
        return counted or self.node.sync.highest

    def _asking(self, by_key: Mapping[bytes, Recovery]) -> Asking | None:
        """Of the key that has a vote, if one has."""
        under_way = sorted(by_key.items(), key=lambda one: one[0] not in self.chain.validators)
        for _, one in under_way:
            names = tuple(sorted(map(self.node.roster.name, one.answers)))
            return Asking(one.answers_needed(), names)
        return None

    def _member(self, position: int) -> Member:
        member = self.chain.validators.members[position]
        observed, now_ms = self.observed, self.now_ms
        node = self.nodes.get(member.key)
        peer = node.network_key if node is not None else b""
        report = self.peers.get(peer.hex(), {})
        linked = observed.linked.get(peer)
        heard = observed.heard.get(member.key)
        clocks = observed.clocks.get(member.key)
        fault = observed.faults.get(peer)
        if fault is not None and now_ms - fault[2] > FAULTS_WITHIN_MS:
            fault = None
        known = observed.contradicted.get(member.key)
        dissents = [height for key, height in observed.dissent if key == member.key]
        return Member(
            name=member.name,
            organisation=member.organisation,
            me=peer == self.key,
            connected=peer in self.node.network.connected(),
            link_ms=None if linked is None else now_ms - linked[1],
            link_blocks=sum(
                block.at_ms >= (observed.started_ms if linked is None else linked[1])
                for block in observed.blocks
            ),
            last_error=report.get("last_error", ""),
            address=", ".join(node.addresses) if node is not None else "",
            height=self.node.sync.told.get(peer) or None,
            heard_ms=None if heard is None else now_ms - heard.at_ms,
            heard_height=None if heard is None else heard.height,
            clock_ms=None if not clocks else _clock(clocks),
            contradicted=known is not None and known > self.chain.height - CONTRADICTED_BLOCKS,
            dissent_height=max(dissents, default=None),
            fault="" if fault is None else f"{fault[0]}: {fault[1]}",
        )

    def _agreement(self, state: State) -> Agreement:
        validators, votes = state.context.validators, state.votes

        def names(keys: Mapping[bytes, bytes]) -> tuple[str, ...]:
            return tuple(sorted(map(validators.name, keys)))

        content = None if state.accepted is None else state.accepted.content
        digest = b"" if content is None else content.digest
        if digest not in state.executing:
            execution = ""
        elif digest not in state.outcomes:
            execution = "running"
        else:
            execution = "refused" if state.outcomes[digest] is None else "done"
        heard = [member.name for member in validators.members if votes.by(member.key)]
        return Agreement(
            height=state.context.height,
            round=state.round,
            proposer=validators.name(state.proposer(state.round)),
            timer_ms=None if state.deadline_ms is None else state.deadline_ms - self.now_ms,
            proposal=content is not None,
            txs=0 if content is None else len(content.wire_ids),
            late=state.late,
            execution=execution,
            prepares=tuple(
                (pair[1].hex()[:16], names(senders))
                for pair, senders in sorted(votes.prepares(state.round).items())
                if pair[0] == digest
            ),
            commits=tuple(
                (round_, block_hash.hex()[:16], names(seals))
                for (round_, block_hash), seals in sorted(votes.commits().items())
            ),
            round_changes={
                member.name: max(rounds)
                for member in validators.members
                if (
                    rounds := [
                        vote.round for vote in votes.by(member.key) if isinstance(vote, RoundChange)
                    ]
                )
            },
            heard=tuple(heard),
            lacks_block=self.node.engine.lacks_decided_block,
        )


def _votes_from(signer: Signer, height: int) -> int | None:
    """The height from which a log lets its key vote, where that is still to come."""
    first = max(signer.log.floor + 1, signer.log.height)
    return first if first > height + 1 else None


def _clock(readings: Sequence[int]) -> int | None:
    """A delay makes a clock seem behind, never ahead: of readings that seem so, the least, and no
    single one."""
    newest = readings[-1]
    if newest > 0:
        return newest
    behind = []
    for one in reversed(readings):
        if one > 0:
            break
        behind.append(one)
    return max(behind) if len(behind) > 1 or newest > -PROMPT_MS else None


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _median(values: Collection[int]) -> int | None:
    return int(statistics.median(values)) if values else None
