"""What a validator puts forward."""

from __future__ import annotations

from consensus.block import EVIDENCE_MAX
from consensus.evidence import Evidence
from consensus.messages import UNSIGNED, Commit
from consensus.params import Params
from consensus.primitives.crypto import public_key, sha256, sign
from node.mempool import Mempool, Pooled
from node.proposer import Proposer
from tests.node.support import FixedClock, OneChain
from tests.sim.world import EPOCH_MS, consensus_key, seed_of

KEY = consensus_key("v0")


def contradiction(chain_id: bytes, name: str, height: int, number: int = 0) -> Evidence:
    """A validator's two different COMMITs of one round."""
    seed = seed_of(f"{name} consensus")
    votes = [
        Commit(height, number, sha256(bytes([one])), public_key(seed), UNSIGNED) for one in (1, 2)
    ]
    messages = sorted(vote.signing_bytes(chain_id) for vote in votes)
    first, second = [(message, sign(seed, votes[0].tag, message)) for message in messages]
    return Evidence(3, public_key(seed), *first, *second)


def made(params: Params | None = None) -> tuple[OneChain, Mempool, FixedClock, Proposer]:
    one, mempool, clock = OneChain(params or Params()), Mempool(), FixedClock()
    return one, mempool, clock, Proposer(one.chain, mempool, clock, KEY)


def wait(one: OneChain, mempool: Mempool, count: int) -> list[bytes]:
    txs = [one.transaction() for _ in range(count)]
    for tx in txs:
        mempool.add(Pooled(tx, 0, own=True))
    return [tx.wire_id for tx in txs]


def test_a_content_on_the_tip_in_admission_order() -> None:
    one, mempool, _, proposer = made()
    wire_ids = wait(one, mempool, 5)
    content = proposer.build(100, [])
    assert content.wire_ids == tuple(wire_ids)
    assert (content.height, content.parent) == (1, one.chain.hash)
    assert content.proposer == KEY
    assert content.last_certificate is None
    assert proposer.build(2, []).wire_ids == tuple(wire_ids[:2])
    assert proposer.build(0, []).wire_ids == ()


async def test_time_is_the_clock_s_but_after_the_parent_s() -> None:
    one, _, clock, proposer = made()
    clock.now_ms = EPOCH_MS + 5_000
    assert proposer.build(1, []).time_ms == EPOCH_MS + 5_000
    sealed = await one.block([], time_ms=EPOCH_MS + 9_000)
    content = proposer.build(1, [])
    assert content.time_ms == EPOCH_MS + 9_001
    assert content.last_certificate == sealed.certificate


async def test_every_seal_heard_goes_into_the_last_certificate() -> None:
    """A late one too, and none that would make the certificate another round's or invalid."""
    one, _, _, proposer = made()
    sealed = await one.block([])
    assert sealed.certificate is not None and len(sealed.certificate.seals) == 3
    seed, tip = seed_of("v3 consensus"), one.chain.hash

    def commit(round_: int, signature: bytes | None = None) -> Commit:
        vote = Commit(1, round_, tip, public_key(seed), UNSIGNED)
        made = signature or sign(seed, vote.tag, vote.signing_bytes(one.document.chain_id))
        return Commit(1, round_, tip, vote.sender, made)

    for useless in ((), [commit(1)], [commit(0, bytes(64))]):
        assert proposer.build(1, [], seals=useless).last_certificate == sealed.certificate
    content = proposer.build(1, [], seals=[commit(0)])
    assert content.last_certificate == one.certificate(1, tip, 4)
    for built, absent in ((content, []), (proposer.build(1, []), [public_key(seed)])):
        outcome = await one.chain.execute(built, [], set())
        assert [lapse.key for lapse in outcome.turns.lapses if lapse.absences] == absent


async def test_what_it_builds_every_validator_can_execute() -> None:
    """Block limits in bytes and steps, expired and evidence alike."""
    params = Params(block_steps_max=5_000_000, tx_steps_max=5_000_000)
    one, mempool, _, proposer = made(params)
    wait(one, mempool, 8)
    mempool.add(Pooled(one.transaction(valid_until=EPOCH_MS - 1), 0, own=True))
    evidence = [contradiction(one.document.chain_id, "v3", 1, number) for number in range(20)]
    content = proposer.build(100, evidence)
    assert len(content.wire_ids) == 5
    assert len(content.evidence) == EVIDENCE_MAX
    txs = [entry.tx for wire_id in content.wire_ids if (entry := mempool.get(wire_id))]
    outcome = await one.chain.execute(content, txs, set())
    # Behind the transactions' receipts stand those of the evidence shown to governance.
    assert [receipt.code for receipt in outcome.receipts] == ["OK"] * (5 + EVIDENCE_MAX)
