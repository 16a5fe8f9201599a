"""Evidence proves what an honest validator never says, and nothing else passes for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.evidence import HIDDEN_COMMIT, Evidence, statement_parts
from consensus.messages import Vote, contradiction
from consensus.primitives.codec import encode
from consensus.primitives.crypto import TAG_ROUND_CHANGE, sha256, sign
from consensus.primitives.errors import CodecError, PeerFault
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, seed_of

B = Bench()
A, C = B.content(), B.content(extra_ms=9)
PREPARED = B.prepared(A, 0, (1, 2, 3))
LATER = B.prepared(A, 2, (1, 2, 3))


def found(one: Vote, other: Vote) -> Evidence:
    evidence = contradiction(one, other, CHAIN)
    assert evidence is not None
    assert evidence == contradiction(other, one, CHAIN), "one pair, one encoding"
    return evidence


CONTRADICTIONS: dict[str, tuple[Vote, Vote, int]] = {
    "two proposals": (B.proposal(A), B.proposal(C), 1),
    "two prepares": (B.prepare(A, 1), B.prepare(C, 1), 2),
    "two outcomes": (B.prepare(A, 1), B.prepare(A, 1, outcome=bytes(32)), 2),
    "two commits": (B.commit(A, 1), B.commit(C, 1), 3),
    "two round changes": (B.change(1, 1), B.change(1, 1, PREPARED), 4),
    "nothing prepared after a commit": (B.commit(A, 1), B.change(1, 1), HIDDEN_COMMIT),
    "prepared lower than the commit": (
        B.commit(A, 1, round_=1),
        B.change(1, 3, PREPARED),
        HIDDEN_COMMIT,
    ),
}
HONEST: dict[str, tuple[Vote, Vote]] = {
    "the same vote": (B.prepare(A, 1), B.prepare(A, 1)),
    "another round": (B.prepare(A, 1), B.prepare(C, 1, round_=1)),
    "another sender": (B.prepare(A, 1), B.prepare(C, 2)),
    "another kind": (B.prepare(A, 1), B.commit(C, 1)),
    "a round change that names the commit's round": (
        B.commit(A, 1, round_=2),
        B.change(1, 3, LATER),
    ),
    "a commit after the round change": (B.commit(A, 1, round_=3), B.change(1, 3, PREPARED)),
    "the same change without its content": (
        B.change(1, 1, PREPARED, A),
        B.change(1, 1, PREPARED),
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_evidence(name: str) -> None:
    one, other, kind = CONTRADICTIONS[name]
    evidence = found(one, other)
    assert evidence.kind == kind and evidence.sender == B.keys[1]
    assert evidence.check(CHAIN) == evidence.height == 1
    assert Evidence.decode(evidence.raw) == evidence


def test_what_evidence_says_of_itself() -> None:
    hidden = found(B.commit(A, 1, round_=2), B.change(1, 5, PREPARED))
    assert hidden.height == 1 and hidden.rounds == (2, 5)
    assert hidden.vote_hashes == (sha256(hidden.first), sha256(hidden.second))
    double = found(B.prepare(A, 1, round_=7), B.prepare(C, 1, round_=7))
    assert double.height == 1 and double.rounds == (7, 7)


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_validators_say_is_none(name: str) -> None:
    one, other = HONEST[name]
    assert contradiction(one, other, CHAIN) is None
    assert contradiction(other, one, CHAIN) is None


def refused(evidence: Evidence, chain_id: bytes = CHAIN) -> None:
    with pytest.raises(PeerFault) as caught:
        evidence.check(chain_id)
    assert caught.value.code == "EVIDENCE_INVALID"


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_altered_evidence_proves_nothing(name: str) -> None:
    one, other, kind = CONTRADICTIONS[name]
    good = found(one, other)
    refused(replace(good, sender=B.keys[2]))
    refused(replace(good, first_signature=bytes(64)))
    refused(replace(good, second_signature=good.first_signature))
    refused(replace(good, second=good.first, second_signature=good.first_signature))
    refused(
        Evidence(
            kind,
            good.sender,
            good.second,
            good.second_signature,
            good.first,
            good.first_signature,
        )
    )
    for other_kind in range(6):
        if other_kind != kind:
            refused(replace(good, kind=other_kind))
    refused(good, bytes(32))


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("kind", range(1, 6))
def test_nobody_is_framed_with_what_honest_validators_say(name: str, kind: int) -> None:
    """Whoever makes evidence by hand can put any signed votes into it, in any order."""
    for pair in (HONEST[name], HONEST[name][::-1]):
        one, other = ((vote.signing_bytes(CHAIN), vote.signature) for vote in pair)
        refused(Evidence(kind, pair[0].sender, *one, *other))
        refused(Evidence(kind, pair[1].sender, *one, *other))


@pytest.mark.parametrize(
    "rest", [[], [None], [[]], [["x"]], [[True, b"", b""]], [b"pair"], [{"0": 1}]]
)
def test_a_round_change_that_names_no_round_prepared_names_none(rest: list[object]) -> None:
    """No honest validator signs such a statement, and it must not stop who judges it."""
    commit = B.commit(A, 1)
    change = encode([CHAIN, 1, 1, *rest])
    signature = sign(seed_of(1), TAG_ROUND_CHANGE, change)
    first = (commit.signing_bytes(CHAIN), commit.signature)
    assert Evidence(HIDDEN_COMMIT, B.keys[1], *first, change, signature).check(CHAIN) == 1


def test_the_parts_of_a_statement() -> None:
    for vote in (B.prepare(A, 1, round_=3), B.commit(A, 1, round_=3)):
        chain_id, height, round_, rest = statement_parts(vote.signing_bytes(CHAIN))
        assert (chain_id, height, round_) == (CHAIN, 1, 3)
        assert rest[-1] == vote.block_hash
    for malformed in (encode([CHAIN, 1]), encode({"0": CHAIN}), encode([1, 1, 1])):
        with pytest.raises(CodecError) as caught:
            statement_parts(malformed)
        assert caught.value.code == "MALFORMED"


@pytest.mark.parametrize(
    "statement", [b"", b"\xc1", encode(1), encode([]), encode(["COMMIT"]), encode([CHAIN, True, 1])]
)
def test_statements_of_no_form(statement: bytes) -> None:
    good = found(B.prepare(A, 1), B.prepare(C, 1))
    refused(replace(good, first=statement))
    refused(replace(good, second=statement))


def test_two_honest_votes_of_different_rounds_or_heights_do_not_combine() -> None:
    first, second = B.prepare(A, 1), B.prepare(C, 1, round_=1)
    pairs = sorted((v.signing_bytes(CHAIN), v.signature) for v in (first, second))
    refused(Evidence(2, B.keys[1], *pairs[0], *pairs[1]))
