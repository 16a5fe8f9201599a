"""Divergence, caught: what outcomes differ in, whose transactions are held out, what is reported.

When executing one content gives validators different outcomes, their signed lists are compared
(``node.exchange``). The first transaction on which they differ is named in a report, with its
contract and the first key. Where no outcome has a quorum, the transactions that differ *of
themselves* are held out, so that the rest goes on: those on which more validators dissent than may
lie, and which read nothing that an earlier one of them left different.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from consensus.block import Content
from consensus.outcomes import (
    NOTHING,
    Detail,
    Difference,
    Entry,
    Outcomes,
    differences,
    tainted_keys,
)
from consensus.pbft.outputs import SplitVote
from consensus.primitives.errors import LocalFault, PeerFault
from contracts.runtime.executor import BlockContext, BlockExecutor
from node import frames, log
from node.admission import Ended
from node.chain import Chain, Outcome
from node.exchange import Exchange, Kept
from node.mempool import Mempool, Pooled
from node.metrics import Metrics
from node.observed import Observed
from node.ports import Blocking, Reports
from node.reading import Reading, standing_before
from node.report import Case, Findings, report_of, sentence_of
from node.roster import Roster
from p2p.ports import Channel, Network

COMPARED_MAX: Final = 4
"""Contents whose outcomes are compared at one time."""
REMEMBERED_MAX: Final = 16
DETAILS_MAX: Final = 32
"""Differing transactions of one content whose writes are looked at; more wait for the next one."""
HELD_OUT_MAX: Final = 1_000
"""Wire ids in one message to nodes that look on."""

_log = log.get("divergence")


@dataclass
class _Explained:
    done: trio.Event = field(default_factory=trio.Event)
    sentence: str = ""


class Divergence:
    """One node's part in finding out where outcomes differ."""

    def __init__(
        self,
        exchange: Exchange,
        chain: Chain,
        mempool: Mempool,
        ended: Ended,
        network: Network,
        roster: Roster,
        blocking: Blocking,
        reports: Reports,
        metrics: Metrics,
        observed: Observed,
    ) -> None:
        self.exchange = exchange
        self._chain = chain
        self._mempool = mempool
        self._ended = ended
        self._network = network
        self._roster = roster
        self._blocking = blocking
        self._reports = reports
        self._metrics = metrics
        self._observed = observed
        self._explained: dict[bytes, _Explained] = {}
        self._splits = 0
        self._told: dict[bytes, set[bytes]] = {}

    # --- a quorum has another outcome --------------------------------------------------------

    async def explain(self, content: Content, certified: bytes, problem: str = "") -> str:
        """Find out and report why this node's outcome is not the quorum's, ``certified``; the
        sentence for people. Once for a content: who comes later waits for the first."""
        digest = content.digest
        if (known := self._explained.get(digest)) is not None:
            await known.done.wait()
            return known.sentence
        mine = self._explained[digest] = _Explained()
        while len(self._explained) > REMEMBERED_MAX:
            del self._explained[next(iter(self._explained))]
        try:
            lists = {} if problem else await self.exchange.gather(content)
            me = self.exchange.me
            others = {key: one for key, one in lists.items() if one.block_hash == certified}
            # Of a block that others committed long ago, receipts are all that they have left.
            whole = {key: one for key, one in others.items() if one.has_writes}
            relevant = {key: one for key, one in lists.items() if key == me} | (whole or others)
            found = differences(relevant, len(content.wire_ids)) if me in relevant else []
            # Where t+1 agree on another entry than the own one, no liar made it up.
            sure = [one for one in found if one.against(me) >= self._witness]
            found = sure or found
            details = await self._details(lists, found[:1])
            findings = Findings(
                lists,
                found,
                details[found[0].index] if found else {},
                certified=certified,
                problem=problem,
            )
            mine.sentence = await self._report("diverged", content, findings)
        finally:
            mine.done.set()
        return mine.sentence

    def note_dissent(
        self, outcome: Outcome, prepares: Mapping[tuple[bytes, bytes], Mapping[bytes, bytes]]
    ) -> None:
        """Tell who prepared (content hash, block hash) of another outcome than is committed now:
        its own report says why, but others' operators shall hear of it too."""
        for (content_hash, block_hash), senders in prepares.items():
            if content_hash == outcome.content.digest and block_hash != outcome.block.hash:
                for key in senders:
                    self._observed.dissent.append((key, outcome.header.height))
                    self._metrics.divergences.labels("dissent").inc()
                    _log.error(
                        "a validator had another outcome than the quorum",
                        validator=self._name(key),
                        height=outcome.header.height,
                        its=block_hash,
                        committed=outcome.block.hash,
                    )

    # --- no outcome has a quorum -------------------------------------------------------------

    async def split(self, split: SplitVote) -> None:
        """Hold out what splits the vote, and report. The suspects of the content are cleared when
        the lists tell more than the votes did."""
        if self._splits >= COMPARED_MAX:
            return
        self._splits += 1
        try:
            await self._resolve(split)
        finally:
            self._splits -= 1

    async def _resolve(self, split: SplitVote) -> None:
        content = split.content
        voted = {key: block_hash for block_hash, keys in split.tally for key in keys}
        lists = await self.exchange.gather(content)
        # Whoever lists another outcome than it voted for, or no writes, is not counted.
        false = [
            key
            for key, one in lists.items()
            if voted.get(key, one.block_hash) != one.block_hash or not one.has_writes
        ]
        for key in false:
            _log.error("a list is not of the outcome voted for", validator=self._name(key))
        counted = {key: one for key, one in lists.items() if key not in false}
        compared = differences(counted, len(content.wire_ids))
        found = [one for one in compared if one.dissent >= self._witness]
        details = await self._details(counted, found[:DETAILS_MAX])
        held: list[Pooled] = []
        if found:
            guilty = await self._guilty(content, found, details)
            wire_ids = [content.wire_ids[index] for index in guilty]
            self.released(self._mempool.release(set(content.wire_ids) - set(wire_ids)))
            held = self._mempool.hold_out(wire_ids)
            # Each may be as guilty as the one on which it depends: that shows without it.
            self._mempool.doubt(
                content.wire_ids[one.index] for one in found if one.index < len(content.wire_ids)
            )
            self.held_out(held)
        findings = Findings(
            lists,
            found,
            details[found[0].index] if found else {},
            voted=voted,
            not_counted=tuple(false),
            held_out=tuple(entry.tx.tx_id for entry in held),
        )
        await self._report("split", content, findings)

    @property
    def _witness(self) -> int:
        """t + 1."""
        return self._chain.validators.thresholds(self._chain.params.fault_model).honest_witness

    async def _details(
        self, lists: Mapping[bytes, Outcomes], found: Sequence[Difference]
    ) -> dict[int, dict[Entry, Detail]]:
        """What stands behind each entry of these places, as far as one of its validators tells."""
        details: dict[int, dict[Entry, Detail]] = {one.index: {} for one in found}
        until_ms = self.exchange.details_until()

        async def ask(index: int, entry: Entry, holders: tuple[bytes, ...]) -> None:
            for key in holders:
                detail = await self.exchange.detail(lists[key], index, until_ms)
                if detail is not None:
                    details[index][entry] = detail
                    return

        async with trio.open_nursery() as nursery:
            for one in found:
                for entry, holders in one.holders:
                    if entry != NOTHING:
                        nursery.start_soon(ask, one.index, entry, holders)
        return details

    async def _guilty(
        self,
        content: Content,
        found: list[Difference],
        details: Mapping[int, Mapping[Entry, Detail]],
    ) -> list[int]:
        """The transactions that differ of themselves; the first is one in any case."""
        kept = self.exchange.kept(content.digest)
        tainted: set[bytes] = set()
        guilty: list[int] = []
        for place, one in enumerate(found[:DETAILS_MAX]):
            known = details[one.index]
            if one.index < len(content.wire_ids):
                if place == 0:
                    guilty.append(one.index)
                elif kept is not None and content.parent == self._chain.hash:
                    await trio.lowlevel.checkpoint()
                    if not self._reads(kept, one.index).touches(tainted):
                        guilty.append(one.index)
            # Whatever depends on an innocent one that differs is innocent as well.
            tainted |= tainted_keys(list(known.values()), all_known=len(known) == len(one.holders))
        return guilty

    def _reads(self, kept: Kept, index: int) -> Reading:
        """What a transaction reads, by running it once more after all that ran before it."""
        content = kept.content
        count = len(kept.transactions)
        reading = Reading(
            standing_before(self._chain.state, kept.write_sets[count:], kept.write_sets[:index])
        )
        block = BlockContext(
            self._chain.chain_id, content.height, content.time_ms, content.proposer
        )
        registry = kept.registry or self._chain.registry
        try:
            BlockExecutor(registry, reading, block).execute(kept.transactions[index])
        except LocalFault:
            reading.everything = True  # not known: never held out on a guess
        return reading

    # --- holding out -------------------------------------------------------------------------

    def held_out(self, entries: list[Pooled]) -> None:
        """Tell their submitters, also through the nodes that only look on."""
        for entry in entries:
            _log.error("transaction held out: it splits the vote", tx_id=entry.tx.tx_id.hex())
            self._ended.add(entry.tx.tx_id, "TX_HELD_OUT", "validators do not agree on its outcome")
        self._metrics.held_out.inc(len(entries))
        if entries and self.exchange.signer is not None:
            wire_ids = [entry.wire_id for entry in entries[:HELD_OUT_MAX]]
            message = frames.frame(frames.HELD_OUT, wire_ids)
            for peer in self._network.connected():
                if peer not in self._roster.validators:
                    self._network.send(peer, Channel.CHAIN, message)

    def released(self, entries: list[Pooled]) -> None:
        """They were held out on the votes alone; the lists clear them."""
        for entry in entries:
            self._ended.discard(entry.tx.tx_id)

    def told_held_out(self, peer: bytes, wire_ids: list[bytes]) -> None:
        """A validator says what it holds out; t+1 of them are believed where this node does not
        vote and so can't see for itself. Raises PeerFault."""
        key = self._roster.validators.get(peer)
        if key is None or len(wire_ids) > HELD_OUT_MAX:
            raise PeerFault("MESSAGE_MALFORMED", "held out by no validator, or too many at once")
        if self.exchange.signer is not None:
            return
        waiting = [one for one in wire_ids if self._mempool.get(one) is not None]
        for wire_id in waiting:
            self._told.setdefault(wire_id, set()).add(key)
        believed = [one for one in waiting if len(self._told[one]) >= self._witness]
        self.held_out(self._mempool.hold_out(believed))
        self._told = {
            one: keys
            for one, keys in self._told.items()
            if one not in believed and self._mempool.get(one) is not None
        }

    # --- the report --------------------------------------------------------------------------

    async def _report(self, kind: str, content: Content, findings: Findings) -> str:
        """Write and log a report; the sentence that sums it up. A report that can't be written
        stops nobody: what it says is in the log too."""
        kept = self.exchange.kept(content.digest)
        case = Case(
            kind,
            self._chain.chain_id,
            content,
            () if kept is None else kept.transactions,
            self.exchange.me,
            {one.key: one.name for one in self._chain.validators.members},
        )
        report = report_of(case, findings)
        sentence = sentence_of(report)
        name = f"divergence-{content.height}-{content.digest.hex()[:16]}.json"
        data = (json.dumps(report, indent=1) + "\n").encode()
        try:
            await self._blocking.run(lambda: self._reports.write(name, data))
        except LocalFault as error:
            _log.error("report not written", name=name, code=error.code, reason=error.message)
            name = ""
        self._metrics.divergences.labels(kind).inc()
        first: dict[str, Any] = report["first"] or {}
        _log.error(
            "outcomes differ",
            kind=kind,
            height=content.height,
            content=content.digest,
            tx_id=first.get("tx_id"),
            calls=first.get("calls"),
            key=first.get("key"),
            held_out=report["held_out"],
            report=name,
        )
        told = f"{sentence} (report {name})" if name else sentence
        self._observed.reports.append((kind, content.height, told))
        return told

    def _name(self, key: bytes) -> str:
        validators = self._chain.validators
        return validators.name(key) if key in validators else "this node"
