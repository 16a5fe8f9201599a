"""What a node tells its clients: the API's ``NodeService`` on a running :class:`node.node.Node`."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import trio

from consensus.block import SealedBlock
from consensus.turns import Lapse
from consensus.validators import signers
from contracts.runtime.executor import BlockContext, run_query
from contracts.runtime.registry import Registry
from contracts.runtime.system import read_packages
from node.api.service import (
    CommittedBlock,
    EventRecord,
    Position,
    QueryResult,
    SubmitResult,
    TxStatus,
)
from node.api.shown import shown_block
from node.doctor.examine import diagnose, verdict
from node.evidence import evidence_in_blocks, shown
from node.node import Node
from node.store.blocks import Recorded
from node.store.kept import KeptState
from node.vitals import Disk, vitals_of

READY_BEHIND_MAX: Final = 2
"""A node further behind the highest told tip than this is not ready."""


def software_version() -> str:
    try:
        return version("hansa-node")
    except PackageNotFoundError:
        return "unknown"


def not_admitted(height: int, network_key: bytes) -> str:
    """Why no peer speaks with a node, and what to do about it."""
    return (
        f"not admitted at height {height}: peers refuse the network key {network_key.hex()} until"
        " the validators' organisations admit it by vote (hansa governance add-node)"
    )


class LocalService:
    """Answers from this node's own chain and mempool."""

    def __init__(
        self, node: Node, network_key: bytes, name: str, folder: Path | None = None
    ) -> None:
        """``name`` is used for as long as the state has none for this node; ``folder`` is where its
        data is, if it is on a disk."""
        self._node = node
        self._chain = node.chain
        self._network_key = network_key
        self._name = name
        self._folder = folder
        self._reading = trio.Lock()

    @property
    def name(self) -> str:
        """The name that it was admitted under."""
        roster = self._node.roster
        if self._network_key in roster or not self._name:
            return roster.name(self._network_key)
        return self._name

    @property
    def role(self) -> str:
        """ "validator" when it has a vote in the next block, else "full"."""
        return "validator" if self._network_key in self._node.roster.validators else "full"

    # --- transactions ------------------------------------------------------------------------

    async def submit(self, raws: Sequence[bytes]) -> list[SubmitResult]:
        answers = await self._node.submit(list(raws))
        return [
            SubmitResult(
                answer.tx_id,
                answer.accepted,
                "OK" if answer.entry is not None else answer.code,
                answer.message,
                answer.retry_after_ms,
            )
            for answer in answers
        ]

    async def tx_status(self, tx_id: bytes) -> TxStatus:
        position = self._chain.blocks.position_of(tx_id)
        if position is not None:
            return self._committed(tx_id, *position)
        ended = self._node.admission.ended.get(tx_id)
        code, message = ended or ("", "")
        if self._node.mempool.by_tx_id(tx_id) is not None:
            return TxStatus(tx_id, "pending", code, message)  # perhaps held out
        if ended is None:
            return TxStatus(tx_id, "unknown")
        return TxStatus(tx_id, "expired" if code == "TX_EXPIRED" else "refused", code, message)

    def _committed(self, tx_id: bytes, height: int, index: int) -> TxStatus:
        recorded = self._recorded(height)
        block, receipt = recorded.block, recorded.receipts[index]
        return TxStatus(
            tx_id,
            "committed",
            receipt.code,
            receipt.detail,
            height,
            index,
            block.hash,
            block.header.time_ms,
            receipt.steps_used,
            [
                {"contract": event.contract, "name": event.name, "fields": event.fields}
                for event in receipt.events
            ],
            receipt.result,
        )

    async def transaction_bytes(self, tx_id: bytes) -> bytes | None:
        waiting = self._node.mempool.by_tx_id(tx_id)
        if waiting is not None:
            return waiting.tx.raw
        position = self._chain.blocks.position_of(tx_id)
        if position is None:
            return None
        return self._recorded(position[0]).block.bodies[position[1]]

    def _recorded(self, height: int) -> Recorded:
        """Raises InputError BLOCK_PRUNED."""
        self._chain.blocks.require_whole(height)
        recorded = self._chain.blocks.recorded(height)
        assert recorded is not None, "committed blocks are stored whole"
        return recorded

    # --- streams -----------------------------------------------------------------------------

    async def _next(self, height: int) -> Recorded:
        """The block of a height, once it is committed. The lock lets the node's other tasks run
        between any two blocks, however many streams go through old ones."""
        await self._node.bus.beyond(height - 1)
        async with self._reading:
            return self._recorded(height)

    async def positions(self, since_height: int | None) -> AsyncGenerator[CommittedBlock, None]:
        height = self._chain.height + 1 if since_height is None else max(since_height, 0)
        while True:
            one = await self._next(height)
            codes = [receipt.code for receipt in one.receipts]
            txs = tuple(zip(one.tx_ids, codes, strict=False))  # the rest ran without a transaction
            yield CommittedBlock(height, one.block.header.time_ms, one.block.hash, txs)
            height += 1

    async def events(
        self, since: Position | None, contract: str | None, name: str | None
    ) -> AsyncGenerator[EventRecord, None]:
        height = self._chain.height if since is None else max(since[0], 0) - 1
        while True:
            height += 1
            one = await self._next(height)
            for tx_index, receipt in enumerate(one.receipts):
                for index, event in enumerate(receipt.events):
                    position = (height, tx_index, index)
                    if since is not None and position < since:
                        continue
                    if contract not in (None, event.contract) or name not in (None, event.name):
                        continue
                    yield EventRecord(
                        position,
                        one.tx_ids[tx_index] if tx_index < len(one.tx_ids) else None,
                        event.contract,
                        event.name,
                        event.fields,
                        one.block.header.time_ms,
                    )

    # --- reading -----------------------------------------------------------------------------

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        chain = self._chain
        if height is not None and height != chain.height:
            return await self._query_past(chain.state_at(height), contract, method, args)
        context = chain.block_context()
        value = run_query(chain.registry, chain.state, context, contract, method, args)
        return QueryResult(chain.height, value)

    async def _query_past(
        self, state: KeptState, contract: str, method: str, args: dict[str, Any]
    ) -> QueryResult:
        """In a thread: reading an earlier state takes long, and its contracts may be others."""
        header = state.header
        newest = self._chain.registry

        def ask() -> QueryResult:
            registry = newest
            if header.contracts_hash != newest.digest:
                registry = Registry.of(read_packages(state))
            context = BlockContext(header.chain_id, header.height, header.time_ms, header.proposer)
            value = run_query(registry, state, context, contract, method, args)
            return QueryResult(header.height, value)

        with state.in_use():
            async with self._reading:
                return await trio.to_thread.run_sync(ask)

    async def block(self, height: int | None) -> dict[str, Any] | None:
        chain = self._chain
        height = chain.height if height is None else height
        chain.blocks.require_whole(height)
        recorded = chain.blocks.recorded(height)
        if recorded is None:
            return None
        block = recorded.block
        certificate = chain.blocks.certificate(height)
        sealed_by: list[str] = []
        if certificate is not None:
            validators = chain.blocks.validators(block.header.validators_hash)
            members = validators.members if validators is not None else ()
            positions = signers(certificate.signers, len(members)) or []
            sealed_by = [members[position].name for position in positions]
        return shown_block(block, recorded.receipts, certificate, sealed_by)

    async def block_bytes(self, height: int) -> bytes | None:
        self._chain.blocks.require_whole(height)
        block = self._chain.blocks.block(height)
        if block is None:
            return None
        return SealedBlock(block, self._chain.blocks.certificate(height)).raw

    async def block_receipts(self, height: int) -> bytes | None:
        self._chain.blocks.require_whole(height)
        return self._chain.blocks.receipts_raw(height)

    # --- the node ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        node, chain = self._node, self._chain
        ready, reason = self.readiness()
        return {
            "name": self.name,
            "role": self.role,
            "organisation": self._node.roster.organisation_of(self._network_key),
            "network_key": self._network_key.hex(),
            "version": software_version(),
            "network": node.document.name,
            "chain_id": chain.chain_id.hex(),
            "height": chain.height,
            "block_hash": chain.hash.hex(),
            "block_time_ms": chain.header.time_ms,
            "state_root": chain.header.state_root.hex(),
            "contracts_hash": chain.header.contracts_hash.hex(),
            "highest_told": max(node.sync.highest, chain.height),
            "blocks_from": chain.blocks.oldest,
            "states_from": chain.states_from,
            "snapshots": [] if node.snapshots is None else node.snapshots.heights,
            "voting": node.engine.voting,
            "ready": ready,
            "reason": reason,
            "agreement": node.engine.describe(),
            "validators": len(chain.validators),
            "mempool": {"txs": len(node.mempool), "bytes": node.mempool.bytes},
            "out_of_turn": [self._out_of_turn(one) for one in chain.out_of_turn],
            "peers": node.network.peer_reports(),
        }

    def _out_of_turn(self, lapse: Lapse) -> dict[str, Any]:
        """A validator that is not asked for the first proposal of a height, and why."""
        waits = lapse.skipped_until > self._chain.height + 1
        reasons = []
        if lapse.absent:
            reasons.append("its votes come late or not at all")
        if waits:
            reasons.append("it let its turn go by")
        return {
            "validator": self._chain.validators.name(lapse.key),
            "reason": "; ".join(reasons),
            "missed_turns": lapse.misses,
            "until_height": lapse.skipped_until if waits else None,
        }

    def evidence(self, after: bytes | None, limit: int) -> dict[str, Any]:
        found, last = evidence_in_blocks(self._chain, after, limit)
        waiting = [] if after is not None else self._node.engine.open_evidence()
        return {
            "evidence": found,
            "waiting": [shown(self._chain, one, None) for one in waiting],
            "next": None if last is None else last.hex(),
        }

    def recording(self) -> bytes:
        return self._node.recorder.recording("asked for")

    def doctor(self) -> dict[str, Any]:
        disk = self._disk()
        vitals = vitals_of(self._node, self._network_key, self.name, software_version(), disk)
        findings = diagnose(vitals)
        return {
            "verdict": verdict(vitals, findings),
            "findings": [one.to_json() for one in findings],
            "vitals": vitals.to_json(),
        }

    def _disk(self) -> Disk | None:
        try:
            usage = None if self._folder is None else shutil.disk_usage(self._folder)
        except OSError:
            return None
        return None if usage is None else Disk(usage.free, usage.total)

    def contracts(self) -> dict[str, Any]:
        return self._chain.registry.schema()

    def genesis(self) -> dict[str, Any]:
        return self._node.document.to_json()

    def readiness(self) -> tuple[bool, str]:
        node = self._node
        behind = node.sync.highest - self._chain.height
        if behind > READY_BEHIND_MAX:
            return False, f"catching up: {behind} blocks behind"
        if self._network_key not in node.roster:
            return False, not_admitted(self._chain.height, self._network_key)
        connected = len(node.roster.connected_validators(node.network))
        limits = self._chain.validators.thresholds(self._chain.params.fault_model)
        needed = limits.quorum - 1 if self.role == "validator" else limits.honest_witness
        if connected < needed:
            return False, f"connected to {connected} validators where {needed} are needed"
        if self.role == "validator" and not node.engine.voting:
            return (
                False,
                "this validator does not vote: its key or vote log is missing; see the log",
            )
        return True, ""

    def metrics_text(self) -> bytes:
        metrics, reports = self._node.metrics, self._node.network.peer_reports()
        metrics.peers_barred.set(sum(report["barred_s"] > 0 for report in reports))
        metrics.sent_bytes.set(sum(report["sent_bytes"] for report in reports))
        metrics.received_bytes.set(sum(report["received_bytes"] for report in reports))
        return metrics.text()
