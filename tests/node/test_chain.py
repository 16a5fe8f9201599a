"""The chain: what it refuses in contents and blocks, and what it remembers over a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, cast

import pytest

from consensus import rules
from consensus.block import Block, Header, SealedBlock
from consensus.evidence import Evidence
from consensus.params import Params
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import HansaError, LocalFault, PeerFault
from consensus.transaction import Transaction
from node.chain import Chain, ContentRefused, Diverged, parse_bodies
from node.clock import InlineBlocking
from node.store import schema
from node.store.memory import MemoryKV
from node.store.schema import height_key
from node.workers import InlineVerifier
from tests.node.support import OneChain, code_of
from tests.node.test_proposer import contradiction
from tests.sim.world import EPOCH_MS, document, shared

PARAMS = Params(tx_window_ms=60_000, block_bytes_max=4_000, tx_bytes_max=4_000)


def opened(kv: MemoryKV, **changed: Any) -> Chain:
    one = dataclasses.replace(document(PARAMS, 4, 1), **changed)
    return Chain(one, kv, InlineBlocking(), InlineVerifier(), shared)


# --- genesis -----------------------------------------------------------------------------------


def test_the_genesis_block_follows_from_the_document_alone() -> None:
    first, second = OneChain(PARAMS).chain, OneChain(PARAMS).chain
    assert first.hash == second.hash
    assert first.height == 0 and first.certificate is None
    assert first.header.chain_id == document(PARAMS, 4, 1).chain_id
    assert OneChain(Params()).chain.hash != first.hash
    assert [one.name for one in first.validators.members] == ["v0", "v1", "v2", "v3"]


def test_a_crash_while_making_the_genesis_block_leaves_nothing() -> None:
    class Full(MemoryKV):
        def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
            raise LocalFault("DISK_FULL", "no space left")

    kv = Full()
    assert code_of(opened, kv) == "DISK_FULL"
    assert not kv._data


# --- contents that break a rule ----------------------------------------------------------------


async def refused(one: OneChain, txs: list[Transaction], **changed: Any) -> str:
    before = one.chain.hash, one.chain.state.root
    with pytest.raises(ContentRefused) as caught:
        await one.execute(txs, **changed)
    assert (one.chain.hash, one.chain.state.root) == before
    return caught.value.code


async def test_every_rule_of_a_content_is_checked() -> None:
    one = OneChain(PARAMS)
    await one.block([done := one.transaction(valid_until=EPOCH_MS + 30_000)])
    good = one.transaction(valid_until=EPOCH_MS + 30_000)
    forged = Transaction(good.body_raw, done.signature)
    many = [one.transaction(valid_until=EPOCH_MS + 30_000) for _ in range(30)]
    assert await refused(one, [good, forged]) == "TX_DUPLICATE"
    assert await refused(one, [forged]) == "TX_SIGNATURE"
    assert await refused(one, [done]) == "TX_DUPLICATE"
    assert await refused(one, [good], time_ms=EPOCH_MS + 30_001) == "TX_EXPIRED"
    assert await refused(one, [one.transaction(valid_until=EPOCH_MS + 70_000)]) == "TX_TOO_FAR"
    assert await refused(one, [one.transaction(chain_id=sha256(b""))]) == "TX_WRONG_CHAIN"
    assert await refused(one, many) == "BLOCK_TOO_LARGE"
    assert await refused(one, [one.transaction(steps_max=0)]) == "TX_STEPS"
    large = OneChain(Params())
    tx = [large.transaction(steps_max=Params().tx_steps_max) for _ in range(101)]
    assert await refused(large, tx) == "BLOCK_STEPS"
    assert (await one.execute([good])).receipts[0].code == "OK"


async def test_evidence_in_a_content_must_prove_something_new() -> None:
    one = OneChain(PARAMS)
    chain_id = one.document.chain_id
    good = contradiction(chain_id, "v3", 1)

    async def code(*evidence: Evidence) -> str:
        return await refused(one, [], evidence=evidence)

    wrong = dataclasses.replace(good, first_signature=bytes(64))
    assert await code(wrong) == "EVIDENCE_INVALID"
    assert await code(contradiction(sha256(b"another chain"), "v3", 1)) == "EVIDENCE_INVALID"
    assert await code(contradiction(chain_id, "v9", 1)) == "EVIDENCE_INVALID"
    assert await code(good, good) == "EVIDENCE_INVALID"
    assert await code(contradiction(chain_id, "v3", 2)) == "EVIDENCE_INVALID"
    await one.block([], evidence=(good,))
    assert one.chain.evidence_known(good.digest)
    assert await code(good) == "EVIDENCE_INVALID"
    assert one.open().evidence_known(good.digest)


async def test_executing_changes_nothing_and_is_repeatable() -> None:
    one = OneChain(PARAMS)
    txs = [one.transaction(valid_until=EPOCH_MS + 30_000) for _ in range(3)]
    before = dict(one.kv._data) if isinstance(one.kv, MemoryKV) else {}
    first = await one.execute(txs)
    second = await one.execute(txs)
    other = await one.execute(txs[:1])
    assert first.block.hash == second.block.hash != other.block.hash
    assert isinstance(one.kv, MemoryKV) and one.kv._data == before
    await one.chain.commit(other, one.certificate(1, other.block.hash))
    assert one.chain.hash == other.block.hash


async def test_a_failed_call_stands_in_the_block_with_its_code() -> None:
    one = OneChain(PARAMS)
    stranger = one.transaction(seed=sha256(b"nobody"), valid_until=EPOCH_MS + 30_000)
    outcome = await one.execute([stranger])
    assert outcome.receipts[0].code not in ("", "OK")
    assert not outcome.receipts[0].events


# --- blocks from peers -------------------------------------------------------------------------


@dataclasses.dataclass
class Pair:
    """A chain that is one block ahead of another, and that block."""

    ahead: OneChain
    behind: OneChain
    sealed: SealedBlock

    async def code(self, sealed: SealedBlock) -> tuple[type[HansaError], str]:
        before = self.behind.chain.hash
        with pytest.raises(HansaError) as caught:
            await self.behind.chain.execute_sealed(sealed)
        assert self.behind.chain.hash == before
        return type(caught.value), caught.value.code


async def pair() -> Pair:
    ahead, behind = OneChain(PARAMS), OneChain(PARAMS)
    for one in (ahead, behind):
        await one.block([one.transaction(valid_until=EPOCH_MS + 30_000)])
    txs = [ahead.transaction(valid_until=EPOCH_MS + 30_000) for _ in range(3)]
    return Pair(ahead, behind, await ahead.block(txs))


async def test_a_certified_block_is_taken_from_anybody() -> None:
    both = await pair()
    outcome = await both.behind.chain.execute_sealed(both.sealed)
    assert both.sealed.certificate is not None
    await both.behind.chain.commit(outcome, both.sealed.certificate)
    assert both.behind.chain.hash == both.ahead.chain.hash
    assert both.behind.chain.state.root == both.ahead.chain.state.root
    assert await both.code(both.sealed) == (PeerFault, "BLOCK_INVALID"), "the same height again"


async def test_blocks_that_no_quorum_certified_are_the_peer_s_fault() -> None:
    both = await pair()
    block, seal = both.sealed.block, both.sealed.certificate
    assert seal is not None
    ahead = both.ahead
    cases: list[tuple[SealedBlock, str]] = [
        (SealedBlock(block, None), "BLOCK_INVALID"),
        (SealedBlock(block, ahead.certificate(2, sha256(b"other"))), "BLOCK_INVALID"),
        (SealedBlock(block, ahead.certificate(3, block.hash)), "BLOCK_INVALID"),
        (SealedBlock(block, ahead.certificate(2, block.hash, signers=2)), "CERTIFICATE_INVALID"),
        (
            SealedBlock(block, dataclasses.replace(seal, seals=(bytes(64), *seal.seals[1:]))),
            "CERTIFICATE_INVALID",
        ),
        (
            SealedBlock(block, dataclasses.replace(seal, seals=(seal.seals[0],) * 3)),
            "CERTIFICATE_INVALID",
        ),
        (SealedBlock(block, dataclasses.replace(seal, round=1)), "CERTIFICATE_INVALID"),
        (SealedBlock(block, dataclasses.replace(seal, signers=b"\x17")), "CERTIFICATE_INVALID"),
    ]
    for sealed, code in cases:
        assert await both.code(sealed) == (PeerFault, code)


async def test_other_parts_beside_a_certified_header_are_the_peer_s_fault() -> None:
    """A liar with a true header and certificate must not make this node believe it diverged."""
    both = await pair()
    block, seal = both.sealed.block, both.sealed.certificate
    evidence = contradiction(both.ahead.document.chain_id, "v3", 1)
    for changed in (
        {"bodies": block.bodies[:-1]},
        {"bodies": block.bodies[::-1]},
        {"bodies": (*block.bodies, block.bodies[0])},
        {"bodies": (b"no transaction",)},
        {"evidence": (evidence,)},
        {"last_certificate": None},
    ):
        sealed = SealedBlock(dataclasses.replace(block, **changed), seal)
        assert sealed.block.hash == block.hash
        assert await both.code(sealed) == (PeerFault, "BLOCK_INVALID"), changed


async def test_a_certified_block_with_another_outcome_stops_this_node() -> None:
    """A quorum says so, so it is this node's execution that is wrong, or its chain."""
    both = await pair()
    block = both.sealed.block
    for changed in ({"state_root": sha256(b"x")}, {"receipt_root": sha256(b"x")}):
        header = cast(Header, dataclasses.replace(cast(Any, block.header), **changed))
        lying = Block(header, block.bodies, block.evidence, block.last_certificate)
        sealed = SealedBlock(lying, both.ahead.certificate(2, lying.hash))
        assert await both.code(sealed) == (Diverged, "DIVERGED")
    header = dataclasses.replace(block.header, parent=sha256(b"another chain"))
    lying = Block(header, block.bodies, block.evidence, block.last_certificate)
    sealed = SealedBlock(lying, both.ahead.certificate(2, lying.hash))
    assert await both.code(sealed) == (Diverged, "DIVERGED")


async def test_a_certified_block_that_breaks_a_rule_stops_this_node() -> None:
    both = await pair()
    block, one = both.sealed.block, both.ahead
    late = dataclasses.replace(block.header, time_ms=EPOCH_MS + 40_000)
    lying = Block(late, block.bodies, block.evidence, block.last_certificate)
    sealed = SealedBlock(lying, one.certificate(2, lying.hash))
    assert await both.code(sealed) == (Diverged, "DIVERGED")


def test_bodies_of_a_peer() -> None:
    one = OneChain(PARAMS)
    tx = one.transaction()
    assert parse_bodies([tx.raw]) == {tx.wire_id: tx}
    assert code_of(parse_bodies, [tx.raw, b"?"]) == "BODY_INVALID"


# --- restarts ----------------------------------------------------------------------------------


async def test_a_duplicate_is_refused_after_a_restart() -> None:
    """The window's transaction ids are found again in the blocks."""
    one = OneChain(PARAMS)
    long_lived = one.transaction(valid_until=EPOCH_MS + 60_000)
    await one.block([long_lived], time_ms=EPOCH_MS)
    for time_ms in (15_000, 30_000, 45_000, 59_999):
        await one.block([], time_ms=EPOCH_MS + time_ms)
    tip = one.chain
    one.chain = one.open()
    assert (one.chain.hash, one.chain.certificate) == (tip.hash, tip.certificate)
    assert one.chain.committed(long_lived.tx_id)
    # The tip's time is its last moment but one: it could stand in one more block.
    assert await refused(one, [long_lived], time_ms=EPOCH_MS + 60_000) == "TX_DUPLICATE"


async def test_a_tx_id_is_known_until_block_time_passes_its_end() -> None:
    one = OneChain(PARAMS)
    short = one.transaction(valid_until=EPOCH_MS + 1_000)
    long = one.transaction(valid_until=EPOCH_MS + 9_000)
    await one.block([short, long], time_ms=EPOCH_MS)
    await one.block([], time_ms=EPOCH_MS + 1_000)
    assert one.chain.committed(short.tx_id), "a block of this very time could still hold it"
    await one.block([], time_ms=EPOCH_MS + 1_001)
    assert one.chain.committed(long.tx_id)
    assert one.open().committed(long.tx_id)
    assert not one.chain.committed(one.transaction().tx_id)


async def test_the_copy_of_a_certificate_in_the_next_block_replaces_the_own() -> None:
    one = OneChain(PARAMS)
    first = await one.block([])
    other = one.certificate(1, first.block.hash, signers=4)
    assert other != first.certificate
    await one.block([], last_certificate=other)
    assert one.chain.blocks.certificate(1) == other


async def test_a_full_disk_leaves_the_old_tip() -> None:
    class Disk(MemoryKV):
        full = False

        def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
            if self.full:
                raise LocalFault("DISK_FULL", "no space left")
            super().write(operations, sync=sync)

    kv = Disk()
    one = OneChain(PARAMS, kv=kv)
    await one.block([])
    tip, root = one.chain.hash, one.chain.state.root
    outcome = await one.execute([one.transaction(valid_until=EPOCH_MS + 1000)])
    certificate = one.certificate(2, outcome.block.hash)
    kv.full = True
    with pytest.raises(LocalFault) as caught:
        await one.chain.commit(outcome, certificate)
    assert caught.value.code == "DISK_FULL"
    assert (one.chain.hash, one.chain.state.root) == (tip, root)
    kv.full = False
    one.chain = one.open()
    assert one.chain.hash == tip
    again = await one.execute(list(outcome.transactions))
    await one.chain.commit(again, certificate)
    assert one.open().hash == outcome.block.hash


async def test_a_crash_keeps_whole_blocks_only() -> None:
    """Every commit is synced: losing all unsynced writes loses nothing."""
    kv = MemoryKV()
    one = OneChain(PARAMS, kv=kv)
    for _ in range(3):
        await one.block([one.transaction(valid_until=EPOCH_MS + 1000)])
        kv.crash()
        assert one.open().hash == one.chain.hash


# --- stores that can't be worked with ----------------------------------------------------------


async def test_foreign_and_damaged_stores_have_codes() -> None:
    async def damaged(key: bytes, value: bytes | None) -> str:
        kv = MemoryKV()
        one = OneChain(PARAMS, kv=kv)
        await one.block([one.transaction(valid_until=EPOCH_MS + 1000)])
        assert kv.get(key) is not None, "nothing to damage"
        kv.write([(key, value)], sync=True)
        return code_of(one.open)

    assert await damaged(schema.VERSION, b"\x63") == "STORE_NEWER"
    assert await damaged(schema.VERSION, b"\x02") == "STORE_VERSION"
    assert await damaged(schema.CHAIN_ID, bytes(32)) == "STORE_FOREIGN"
    assert await damaged(schema.TIP, None) == "STORE_CORRUPT"
    assert await damaged(schema.TIP, b"\xff") == "STORE_CORRUPT"
    assert await damaged(schema.TIP, b"\x01") == "STORE_CORRUPT"
    assert await damaged(height_key(schema.BLOCK, 1), None) == "STORE_CORRUPT"
    assert await damaged(height_key(schema.BLOCK, 1), b"\x90") == "STORE_CORRUPT"
    for key in (rules.VALIDATORS_KEY, rules.TURNS_KEY):
        assert await damaged(b"s" + key, None) == "STORE_CORRUPT"
    assert await damaged(b"s" + rules.TURNS_KEY, b"?") == "STORE_CORRUPT"
    assert await damaged(b"m", None) == "STORE_CORRUPT"


def test_another_genesis_finds_its_data_foreign() -> None:
    kv = MemoryKV()
    opened(kv)
    assert code_of(opened, kv, name="other") == "STORE_FOREIGN"
    opened(kv)
