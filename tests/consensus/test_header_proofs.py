"""Proofs of what stands in blocks, of headers and of history, on a chain of headers made here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import rules
from consensus.block import Content, Header
from consensus.certificates import Certificate, commit_bytes
from consensus.params import Params
from consensus.primitives import merkle
from consensus.primitives.codec import encode
from consensus.primitives.crypto import TAG_COMMIT, public_key, sha256, sign
from consensus.primitives.errors import CodecError, PeerFault
from consensus.primitives.merkle import Frontier
from consensus.proofs import HistoryProof, LeafProof, ListProof, SealedHeader, check_earlier
from consensus.receipt import Event, Receipt
from consensus.validators import Validator, ValidatorSet

CHAIN = sha256(b"a chain")
SEEDS = [bytes((number,)) * 32 for number in range(1, 5)]
VALIDATORS = ValidatorSet(
    tuple(Validator(f"v{at}", public_key(seed), f"org{at}") for at, seed in enumerate(SEEDS))
)
QUORUM = VALIDATORS.thresholds("byzantine").quorum
BODIES = tuple(f"signed transaction {number}".encode() for number in range(5))
RECEIPTS = tuple(
    Receipt(
        sha256(body),
        "OK",
        "",
        100 + at,
        tuple(Event("batch", "shipped", {"item": f"L{at}", "n": n}) for n in range(at)),
        at,
    )
    for at, body in enumerate(BODIES)
)


def header(height: int, frontier: Frontier, *, chain_id: bytes = CHAIN) -> Header:
    wire_ids = tuple(map(sha256, BODIES))
    content = Content(height, bytes(32), 1000 * height, bytes(32), wire_ids, (), None)
    return rules.make_header(
        content,
        chain_id=chain_id,
        receipts=RECEIPTS,
        state_root=sha256(b"state"),
        validators=VALIDATORS,
        next_validators=VALIDATORS,
        params=Params(),
        contracts_hash=bytes(32),
        history_root=frontier.root,
    )


def sealed(of: Header, seeds: list[bytes] = SEEDS, chain_id: bytes = CHAIN) -> SealedHeader:
    message = commit_bytes(chain_id, of.height, 0, of.digest)
    seals = {public_key(seed): sign(seed, TAG_COMMIT, message) for seed in seeds}
    return SealedHeader(of, Certificate.build(of.height, 0, of.digest, seals, VALIDATORS))


@pytest.fixture(scope="module")
def chain() -> list[Header]:
    found: list[Header] = []
    frontier = Frontier()
    for height in range(20):
        found.append(header(height, frontier))
        frontier = frontier.append(found[-1].digest)
    return found


def invalid(code: str = "PROOF_INVALID") -> pytest.RaisesExc[PeerFault]:
    return pytest.RaisesExc(PeerFault, check=lambda error: error.code == code)


# --- what stands in a block ----------------------------------------------------------------------


def test_a_transaction_stands_in_its_block_and_no_other(chain: list[Header]) -> None:
    wire_ids = [sha256(body) for body in BODIES]
    for at, body in enumerate(BODIES):
        proof = LeafProof(body, ListProof.make(wire_ids, at))
        assert LeafProof.decode(proof.raw).check_transaction(chain[3]) == wire_ids[at]
        with invalid():
            replace(proof, leaf=body + b".").check_transaction(chain[3])
        with invalid():
            replace(proof, proof=ListProof.make(wire_ids, (at + 1) % 5)).check_transaction(chain[3])
        with invalid():
            proof.check_receipt(chain[3])


def test_a_receipt_and_its_events(chain: list[Header]) -> None:
    leaves = [receipt.raw for receipt in RECEIPTS]
    for at, receipt in enumerate(RECEIPTS):
        proof = LeafProof(leaves[at], ListProof.make(leaves, at))
        assert LeafProof.decode(proof.raw).check_receipt(chain[1]) == receipt
        better = replace(receipt, code="OK" if receipt.code != "OK" else "FAILED")
        with invalid():
            replace(proof, leaf=better.raw).check_receipt(chain[1])


def test_an_event_by_itself_with_its_transactions_index(chain: list[Header]) -> None:
    leaves = rules.event_leaves(RECEIPTS)
    assert len(leaves) == 10
    for at, leaf in enumerate(leaves):
        proof = LeafProof(leaf, ListProof.make(leaves, at))
        index, event = LeafProof.decode(proof.raw).check_event(chain[1])
        assert event in RECEIPTS[index].events
        with invalid():
            replace(proof, leaf=encode([index + 1, event.to_plain()])).check_event(chain[1])


def test_an_index_is_believed_only_with_the_lists_size() -> None:
    """Of three leaves the last has the path of the second of two: why nobody may go by it."""
    leaves = [b"a", b"b", b"c"]
    told = replace(ListProof.make(leaves, 2), index=1, size=2)
    told.check(merkle.root(leaves), b"c")


def test_what_no_receipt_or_event_is(chain: list[Header]) -> None:
    leaf = encode([1, 2, 3])
    odd = replace(chain[1], receipt_root=merkle.root([leaf]), event_root=merkle.root([leaf]))
    proof = LeafProof(leaf, ListProof.make([leaf], 0))
    with invalid():
        proof.check_receipt(odd)
    with invalid():
        proof.check_event(odd)
    for plain in ([1], ["1", 2], 5):
        leaf = encode(plain)
        odd = replace(chain[1], event_root=merkle.root([leaf]))
        with invalid():
            LeafProof(leaf, ListProof.make([leaf], 0)).check_event(odd)


# --- headers -------------------------------------------------------------------------------------


def test_a_header_that_a_quorum_sealed(chain: list[Header]) -> None:
    proof = sealed(chain[7], SEEDS[:QUORUM])
    assert SealedHeader.decode(proof.raw).check(CHAIN, VALIDATORS, QUORUM) == chain[7]
    assert proof.height == 7


def test_a_header_that_too_few_sealed(chain: list[Header]) -> None:
    with invalid("CERTIFICATE_INVALID"):
        sealed(chain[7], SEEDS[: QUORUM - 1]).check(CHAIN, VALIDATORS, QUORUM)


def test_another_header_under_a_true_certificate(chain: list[Header]) -> None:
    true = sealed(chain[7])
    for forged in (chain[8], replace(chain[7], state_root=bytes(32))):
        with invalid():
            SealedHeader(forged, true.certificate).check(CHAIN, VALIDATORS, QUORUM)


def test_another_chains_header(chain: list[Header]) -> None:
    other = sha256(b"another chain")
    foreign = sealed(header(7, Frontier(), chain_id=other), chain_id=other)
    foreign.check(other, VALIDATORS, QUORUM)
    with invalid():
        foreign.check(CHAIN, VALIDATORS, QUORUM)
    with invalid("CERTIFICATE_INVALID"):  # sealed there, and told to be from here
        sealed(chain[7], chain_id=other).check(CHAIN, VALIDATORS, QUORUM)


def test_other_validators_than_the_header_names(chain: list[Header]) -> None:
    fewer = ValidatorSet(VALIDATORS.members[:3])
    with invalid():
        sealed(chain[7]).check(CHAIN, fewer, fewer.thresholds("byzantine").quorum)


def test_no_bit_of_a_sealed_header_can_be_flipped(chain: list[Header]) -> None:
    raw = sealed(chain[7], SEEDS[:QUORUM]).raw
    for bit in range(0, 8 * len(raw), 3):
        altered = bytearray(raw)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises((PeerFault, CodecError)):
            SealedHeader.decode(bytes(altered)).check(CHAIN, VALIDATORS, QUORUM)


# --- history -------------------------------------------------------------------------------------


def test_an_earlier_header_stands_in_a_later_ones_history(chain: list[Header]) -> None:
    hashes = [one.digest for one in chain]
    for height in range(1, 20):
        for earlier in range(height):
            proof = ListProof.make(hashes[:height], earlier)
            check_earlier(chain[height], chain[earlier], proof)
            with invalid():
                check_earlier(chain[height], replace(chain[earlier], time_ms=1), proof)
            with invalid():
                check_earlier(chain[height - 1], chain[earlier], proof)


def test_history_only_grows_between_two_headers(chain: list[Header]) -> None:
    hashes = [one.digest for one in chain]
    for new in range(1, 20):
        for old in range(1, new + 1):
            path = tuple(merkle.consistency_proof(hashes[:new], old))
            proof = HistoryProof(old, new, path)
            HistoryProof.decode(proof.raw).check(chain[old], chain[new])
            forked = replace(chain[old], history_root=sha256(b"another past"))
            with invalid():
                proof.check(forked, chain[new])
            with invalid():
                replace(proof, old=old - 1).check(chain[old], chain[new])


def test_genesis_has_no_history_to_compare(chain: list[Header]) -> None:
    with invalid():
        HistoryProof(0, 5, ()).check(chain[0], chain[5])
