"""Upgrade rehearsal: what a new version would have done otherwise, and what it would not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import trio

from cli.rehearsal import Report, as_json, as_text, rehearse
from consensus.block import SealedBlock
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError, InputError
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.package import Package, package_of
from genesis.ceremony import seal
from genesis.document import GenesisDocument
from node.store.memory import MemoryKV
from tests.node.support import ADMIN, OneChain
from tests.sim.world import EPOCH_MS, seed_of

TALLY = '''"""What organisations count."""

from __future__ import annotations

from contracts.sdk import Contract, Int, Map, Record, call, migrate, query, refuse, timed


class Count(Record):
    value: int


class Tally(Contract):
    """Counts."""

    name = "tally"
    version = VERSION

    counts = Map(Count, key=("name",))

    @call
    def add(self, name: str, by: int) -> int:
        """Count on."""
        count = self.counts.get(name) or Count(0)
        if count.value + by > LIMIT:
            refuse("LIMIT_REACHED", f"{name} would be {count.value + by}")
        count.value = count.value + by
        self.counts.put(name, count)
        self.emit("Counted", name=name, value=count.value)
        self.due(self.ctx.time_ms + 5_000, "forget", name=name)
        return count.value

    @timed
    def forget(self, name: str) -> None:
        """A count is kept for five seconds."""
        self.counts.delete(name)

    @query
    def count(self, name: str) -> Count | None:
        """What was counted."""
        return self.counts.get(name)
MORE'''

DOUBLING = '''
    @migrate
    def double(self, from_version: int) -> None:
        """Every count is twice as much."""
        for name, count in self.counts.items():
            self.counts.put(name, Count(count.value * 2))
'''
FAILING = '''
    @migrate
    def never(self, from_version: int) -> None:
        """It can't be."""
        refuse("NOT_READY", f"from version {from_version}")
'''


def tally(version: int, *, limit: int = 100, more: str = "", **changed: str) -> Package:
    text = TALLY.replace("VERSION", str(version)).replace("LIMIT", str(limit), 1)
    text = text.replace("MORE", more)
    for old, new in changed.values():
        text = text.replace(old, new)
    return package_of([("tally.py", text)])


class Blocks:
    """A source of the blocks that a test has made."""

    def __init__(self, document: GenesisDocument, blocks: list[SealedBlock]) -> None:
        self.document = document
        self.blocks = blocks
        self.height = len(blocks)

    def sealed(self, height: int) -> SealedBlock:
        return self.blocks[height - 1]


class Made:
    """A chain that runs the first version of the tally, a block for each call."""

    def __init__(self, package: Package) -> None:
        self.one = OneChain()
        document = dataclasses.replace(
            self.one.document, packages=(*self.one.document.packages, package)
        )
        for index in range(4):
            document = seal(document, seed_of(f"v{index} consensus"))
        self.one.document = document
        self.one.kv = MemoryKV()
        self.one.chain = self.one.open()
        self.blocks: list[SealedBlock] = []

    def call(self, *calls: Call, wait_ms: int = 1_000) -> None:
        chain = self.one.chain
        time_ms = max(chain.header.time_ms + wait_ms, EPOCH_MS)
        self.one.numbers += 1
        txs: list[Transaction] = []
        if calls:
            body = TransactionBody(
                1, chain.chain_id, public_key(ADMIN), calls, time_ms + 60_000, 1_000_000,
                self.one.numbers.to_bytes(16, "big"),
            )  # fmt: skip
            txs.append(body.signed(ADMIN))

        async def make() -> SealedBlock:
            return await self.one.block(txs, time_ms=time_ms)

        self.blocks.append(trio.run(make))

    def add(self, name: str, by: int) -> None:
        self.call(Call("tally", "add", {"name": name, "by": by}))

    def rehearse(self, package: Package, blocks: int = 100) -> Report:
        source = Blocks(self.one.document, self.blocks)
        return rehearse(package, source, blocks, lambda _line: None)


@pytest.fixture(scope="module")
def made() -> Made:
    """Three blocks that count a, b, a; one by which a and b are forgotten; one that counts b."""
    made = Made(tally(1))
    made.add("a", 10)
    made.add("b", 60)
    made.add("a", 5)
    made.call(wait_ms=6_000)
    made.add("b", 3)
    return made


def test_the_same_code_under_a_new_version_differs_in_nothing(made: Made) -> None:
    report = made.rehearse(tally(2))
    assert not report.differs
    assert (report.first, report.last, report.rehearsal.transactions) == (1, 5, 4)
    assert report.migration is not None
    assert (report.migration.code, report.migration.keys_changed) == ("OK", 0)
    assert report.rehearsal.from_version == 1
    costs = report.rehearsal.costs
    assert costs["tally.add"].transactions == 4
    assert costs["tally.add"].old == costs["tally.add"].new > 0
    assert costs["due calls"].old > 0
    text = as_text(report)
    assert "transactions that end otherwise: 0" in text
    assert "+0.0 %" in text


def test_a_stricter_rule_shows_in_code_result_and_keys(made: Made) -> None:
    report = made.rehearse(tally(2, limit=59))
    assert report.differs
    (one,) = report.rehearsal.differences[:1]
    assert (one.height, one.index, one.calls) == (2, 0, ("tally.add",))
    assert one.fields["code"] == ("OK", "LIMIT_REACHED")
    assert one.fields["detail"] == ("", "b would be 60")
    assert one.fields["result"] == ([60], None)
    assert [event["name"] for event in one.fields["events"][0]] == ["Counted"]
    assert one.fields["events"][1] == []
    found = {key.key: (key.old, key.new) for key in one.keys}
    assert found['tally.counts["b"]'] == ([60], "(not written)")
    value = json.loads(json.dumps(as_json(report)))
    assert value["differs"] is True
    assert value["differences"][0]["fields"]["code"] == {"old": "OK", "new": "LIMIT_REACHED"}
    assert "LIMIT_REACHED" in as_text(report)


def test_a_difference_in_the_end_alone_is_found(made: Made) -> None:
    """Of the last block only: nothing before it ends otherwise."""
    report = made.rehearse(tally(2, change=("count.value = count.value + by", "count.value = 7")),
                           blocks=1)  # fmt: skip
    assert (report.first, report.rehearsal.differing) == (5, 1)
    (key,) = [one for one in report.keys if one.key.startswith("tally.counts")]
    assert (key.key, key.old, key.new) == ('tally.counts["b"]', [3], [7])


def test_the_migration_runs_then_and_on_todays_state(made: Made) -> None:
    report = made.rehearse(tally(2, more=DOUBLING), blocks=3)
    assert report.differs
    assert report.migration is not None and report.migration.height == 3
    assert {(one.key, one.old[0], one.new[0]) for one in report.migration.keys} == {
        ('tally.counts["a"]', 10, 20), ('tally.counts["b"]', 60, 120),
    }  # fmt: skip
    assert report.migration.steps > 0
    at_tip = report.migration_at_tip
    assert (at_tip.height, at_tip.keys_changed) == (6, 1)
    assert at_tip.keys[0].new == [6]
    assert report.rehearsal.differences[0].fields["result"] == ([15], [25])
    assert "2 keys changed" in as_text(report)
    assert made.rehearse(tally(2, more=DOUBLING), blocks=0).differs


def test_a_failing_migration_leaves_the_old_code(made: Made) -> None:
    report = made.rehearse(tally(2, limit=1, more=FAILING))
    assert report.differs
    assert report.migration is not None
    assert (report.migration.code, report.migration.detail) == ("NOT_READY", "from version 1")
    assert report.rehearsal.differing == 0
    assert "NOT_READY" in as_text(report)


def test_a_new_contract_has_nothing_to_differ_from(made: Made) -> None:
    other = package_of([("other.py", TALLY.replace('"tally"', '"other"').replace("VERSION", "1")
                         .replace("LIMIT", "5", 1).replace("MORE", ""))])  # fmt: skip
    report = made.rehearse(other)
    assert not report.differs
    assert report.rehearsal.from_version == 0


def test_blocks_that_are_not_the_chains_are_found_out(made: Made) -> None:
    def code(blocks: list[SealedBlock]) -> str:
        source = Blocks(made.one.document, blocks)
        with pytest.raises(HansaError) as raised:
            rehearse(tally(2), source, 10, lambda _line: None)
        return raised.value.code

    assert code([made.blocks[1]]) == "BLOCK_INVALID"
    header = dataclasses.replace(made.blocks[0].block.header, receipt_root=bytes(32))
    forged = dataclasses.replace(made.blocks[0].block, header=header)
    assert code([dataclasses.replace(made.blocks[0], block=forged)]) == "BLOCK_INVALID"
    sealed = dataclasses.replace(
        made.blocks[0], block=forged, certificate=made.one.certificate(1, forged.hash)
    )
    assert code([sealed]) == "DIVERGED"  # a quorum's word against what execution gives


def test_code_that_the_chain_replaced_meanwhile() -> None:
    made = Made(tally(1))
    made.add("a", 1)
    package = tally(2)
    (file,) = package.files
    names = [{"path": file.path, "hash": file.sha256}]
    made.call(
        Call("governance", "upload", {"text": file.text}),
        Call("governance", "propose_contract", {
            "name": "tally", "version": 2, "runtime": package.runtime, "files": names}),
        Call("governance", "vote", {"proposal": 1, "yes": True}),
    )  # fmt: skip
    made.call()
    made.add("a", 1)
    assert made.one.chain.registry.get("tally").contract.version == 2  # type: ignore[union-attr]
    report = made.rehearse(tally(3))
    assert (report.first, report.last, report.rehearsal.from_version) == (4, 4, 2)
    assert report.rehearsal.transactions == 1
    assert not report.differs
    made.blocks.pop()
    report = made.rehearse(tally(3))  # nothing ran since
    assert (report.first, report.migration, report.rehearsal.transactions) == (4, None, 0)


def test_from_a_folder(made: Made, tmp_path: Path) -> None:
    """The blocks of a stopped node, as it keeps them."""
    from cli.rehearsal import FolderBlocks
    from node.chain import Chain
    from node.clock import InlineBlocking
    from node.setup import CHAIN, GENESIS
    from node.store.kv import LevelKV
    from node.workers import InlineVerifier

    kv = LevelKV(tmp_path / CHAIN)
    chain = Chain(made.one.document, kv, InlineBlocking(), InlineVerifier())

    async def follow() -> None:
        for sealed in made.blocks:
            outcome = await chain.execute_sealed(sealed)
            assert sealed.certificate is not None
            await chain.commit(outcome, sealed.certificate)

    trio.run(follow)
    kv.close()
    with pytest.raises(InputError):
        FolderBlocks(tmp_path)  # without a genesis document
    (tmp_path / GENESIS).write_bytes(made.one.document.file_bytes)
    blocks: Any = FolderBlocks(tmp_path)
    try:
        report = rehearse(tally(2), blocks, 10, lambda _line: None)
    finally:
        blocks.close()
    assert (report.last, report.differs) == (5, False)
