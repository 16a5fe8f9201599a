"""Replaying a chain, and rehearsing new contract code beside its newest blocks.

A process of its own: the node that gives the blocks only reads them. Every block runs through the
chain's own code and has to give the very header that a quorum of validators has signed, so the
copy is known to be right. It holds the newest state and its tree, in a folder that is removed
afterwards; blocks are let go at once. Memory is bounded but for what the rehearsed blocks write.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from cli import output
from consensus.block import SealedBlock
from consensus.primitives.errors import CodecError, InputError
from consensus.receipt import OK
from contracts.runtime.overlay import Overlay
from contracts.runtime.package import Package
from contracts.runtime.rehearsal import KEYS_MAX, Cost, KeyDifference, Migration, Rehearsal
from contracts.runtime.session import BlockContext
from genesis.document import GenesisDocument
from node.care.replay import StateOnly, Vouched
from node.chain import Chain, Outcome
from node.clock import InlineBlocking
from node.store.blocks import BlockStore
from node.store.kv import KV, LevelKV

if TYPE_CHECKING:
    from cli.client import Client

SHOWN_MAX: Final = 20
CELL_MAX: Final = 100
SAY_S: Final = 2.0
"""How often progress is told."""
Say = Callable[[str], None]


class BlockSource(Protocol):
    """Where blocks come from."""

    document: GenesisDocument
    height: int

    def sealed(self, height: int) -> SealedBlock:
        """Block ``height`` with its certificate, from 1."""


class NodeBlocks:
    """Blocks of a running node, up to its tip at this moment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        raw = json.dumps(client.genesis()).encode()
        self.document = GenesisDocument.from_file_bytes(raw, "the node's genesis document")
        self.height = int(client.node_status()["height"])

    def sealed(self, height: int) -> SealedBlock:
        try:
            return SealedBlock.decode(self._client.sealed_block(height))
        except CodecError as error:
            raise InputError("BAD_ANSWER", f"block {height} of the node: {error.message}") from None


class FolderBlocks:
    """Blocks in the data folder of a stopped node. Raises LocalFault STORE_LOCKED if it runs."""

    def __init__(self, folder: Path) -> None:
        from node.setup import CHAIN, GENESIS

        self.document = GenesisDocument.load(folder / GENESIS)
        path = folder / CHAIN
        if not path.is_dir():
            raise InputError("FILE_NOT_READABLE", f"{folder} has no chain: the node never ran")
        self._kv = LevelKV(path)
        self._blocks = BlockStore(self._kv)
        self._blocks.open(self.document.chain_id)
        self.height = self._blocks.tip().height

    def sealed(self, height: int) -> SealedBlock:
        found = self._blocks.sealed(height)
        if found is None:
            raise InputError("BLOCK_NOT_FOUND", f"block {height} is missing in the folder")
        return found

    def close(self) -> None:
        self._kv.close()


@dataclass(frozen=True)
class Report:
    """What a rehearsal found. Blocks ``first`` to ``last`` ran with both versions."""

    package: Package
    first: int
    last: int
    migration: Migration | None
    """At block ``first``; None where no block ran."""
    migration_at_tip: Migration
    rehearsal: Rehearsal
    keys: list[KeyDifference]

    @property
    def differs(self) -> bool:
        """Whether anything but steps would have been otherwise, or a migration fails or writes."""
        migrations = (self.migration, self.migration_at_tip)
        return bool(
            self.rehearsal.differing
            or self.keys
            or any(one is not None and (one.code != OK or one.keys_changed) for one in migrations)
        )


class ChainCopy:
    """The chain of a source, over a store of its own."""

    def __init__(self, source: BlockSource, kv: KV, say: Say) -> None:
        self.source = source
        self.chain = Chain(source.document, kv, InlineBlocking(), Vouched())
        self._say = say
        self._told = time.monotonic()

    async def next(self) -> Outcome:
        """What the block after the tip gives; it is not committed. Raises PeerFault and
        LocalFault DIVERGED unless it is just what its header says."""
        height = self.chain.height + 1
        if time.monotonic() - self._told > SAY_S:
            self._told = time.monotonic()
            self._say(f"block {height} of {self.source.height}")
        self._sealed = self.source.sealed(height)
        return await self.chain.execute_sealed(self._sealed)

    async def commit(self, outcome: Outcome) -> None:
        """Make it the tip."""
        assert self._sealed.certificate is not None, "execute_sealed checks it"
        await self.chain.commit(outcome, self._sealed.certificate)

    def digest_of(self, name: str) -> bytes | None:
        """The code that the chain runs under this name."""
        return next((one.digest for one in self.chain.registry.packages if one.name == name), None)


async def _rehearse(package: Package, source: BlockSource, kv: KV, blocks: int, say: Say) -> Report:
    copy = ChainCopy(source, kv, say)
    chain, tip = copy.chain, source.height
    first = max(1, tip - blocks + 1)
    say(f"replaying {first - 1} blocks, then {tip - first + 1} with both versions")
    while chain.height < first - 1:
        await copy.commit(await copy.next())
    before = Overlay(chain.state)  # takes back what the blocks from here on change
    new = Rehearsal(package, chain.registry, before)
    in_force = copy.digest_of(package.name)
    migration: Migration | None = None
    while chain.height < tip:
        outcome = await copy.next()
        for key in outcome.changes:
            if key not in before.changes:
                before.put(key, chain.state.get(key))
        await copy.commit(outcome)
        if copy.digest_of(package.name) != in_force:
            say(f"block {chain.height} itself replaced {package.name}: comparing from the next on")
            first, migration = chain.height + 1, None
            before = Overlay(chain.state)
            new = Rehearsal(package, chain.registry, before)
            in_force = copy.digest_of(package.name)
            continue
        header = outcome.header
        block = BlockContext(
            header.chain_id,
            header.height,
            header.time_ms,
            header.proposer,
            outcome.content.evidence,
        )
        if migration is None:
            migration = new.migrate(block)
        new.run(block, outcome.transactions, outcome.receipts, outcome.write_sets)
    at_tip = Rehearsal(package, chain.registry, chain.state)
    header = chain.header
    last = BlockContext(header.chain_id, tip + 1, header.time_ms + 1, header.proposer)
    return Report(package, first, tip, migration, at_tip.migrate(last), new, new.keys(chain.state))


def rehearse(package: Package, source: BlockSource, blocks: int, say: Say) -> Report:
    """Replay all of ``source``, its newest ``blocks`` with the new code too; where the chain itself
    replaced the contract in these, those since then.

    Raises LocalFault or PeerFault when the blocks are not those of the document's chain.
    """
    with tempfile.TemporaryDirectory(prefix="hansa-rehearsal-") as folder:
        kv = StateOnly(Path(folder) / "copy")
        try:
            return trio.run(_rehearse, package, source, kv, blocks, say)
        finally:
            kv.close()


# --- telling -----------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """The report for scripts."""
    new = report.rehearsal
    return {
        "name": report.package.name,
        "version": report.package.version,
        "from_version": new.from_version,
        "differs": report.differs,
        "first": report.first,
        "last": report.last,
        "transactions": new.transactions,
        "migration": report.migration and _migration_json(report.migration),
        "migration_at_tip": _migration_json(report.migration_at_tip),
        "differing": new.differing,
        "differences": [
            {
                "height": one.height,
                "index": one.index,
                "tx_id": one.tx_id and one.tx_id.hex(),
                "calls": list(one.calls),
                "fields": {
                    name: {"old": old, "new": new} for name, (old, new) in one.fields.items()
                },
                "keys": [asdict(key) for key in one.keys],
            }
            for one in new.differences
        ],
        "keys_differing": len(report.keys),
        "keys": [asdict(one) for one in report.keys[:KEYS_MAX]],
        "costs": [{"calls": calls, **asdict(cost)} for calls, cost in sorted(new.costs.items())],
    }


def _migration_json(migration: Migration) -> dict[str, Any]:
    return {**asdict(migration), "keys": [asdict(one) for one in migration.keys]}


def as_text(report: Report) -> str:
    """The report for people: at most SHOWN_MAX of anything."""
    new, package = report.rehearsal, report.package
    parts = [
        f"{package.name} version {package.version} beside version {new.from_version or 'none'}:"
        f" blocks {report.first} to {report.last}, {new.transactions} transactions"
    ]
    for where, migration in (
        (f"at block {report.first}", report.migration),
        ("on the newest state", report.migration_at_tip),
    ):
        if migration is not None:
            parts.append(_migration_text(where, migration))
    parts.append(f"transactions that end otherwise: {new.differing}")
    for one in new.differences[:SHOWN_MAX]:
        what = ", ".join(one.calls) or "a due call"
        place = f"block {one.height}, {one.index}: {what}"
        rows = [(name, _cell(old), _cell(value)) for name, (old, value) in one.fields.items()]
        rows += [(key.key, _cell(key.old), _cell(key.new)) for key in one.keys[:SHOWN_MAX]]
        parts.append(f"{place}\n{output.table(('what', 'old', 'new'), rows)}")
    parts.append(f"keys that differ in the end: {len(report.keys)}")
    if report.keys:
        parts.append(_keys_text(report.keys))
    if new.costs:
        costs = [
            (calls, cost.transactions, cost.old, cost.new, _change(cost))
            for calls, cost in sorted(new.costs.items())
        ]
        headers = ("calls", "transactions", "steps old", "steps new", "change")
        parts.append(output.table(headers, costs))
    return "\n\n".join(parts)


def _migration_text(where: str, migration: Migration) -> str:
    text = (
        f"migration {where}: {migration.code}, {migration.steps} steps,"
        f" {migration.keys_changed} keys changed"
    )
    if migration.detail:
        text += f"\n{migration.detail}"
    return f"{text}\n{_keys_text(migration.keys)}" if migration.keys else text


def _keys_text(keys: Sequence[KeyDifference]) -> str:
    rows = [(one.key, _cell(one.old), _cell(one.new)) for one in keys[:SHOWN_MAX]]
    if len(keys) > SHOWN_MAX:
        rows.append((f"and {len(keys) - SHOWN_MAX} more: --json", "", ""))
    return output.table(("key", "old", "new"), rows)


def _cell(value: Any) -> str:
    text = value if type(value) is str else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= CELL_MAX else f"{text[:CELL_MAX]}.."


def _change(cost: Cost) -> str:
    return f"{(cost.new - cost.old) * 100 / cost.old:+.1f} %" if cost.old else ""
