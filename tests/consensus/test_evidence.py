"""Evidence proves what an honest validator never says, and nothing else passes for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.evidence import HIDDEN_COMMIT, Evidence
from consensus.messages import Vote, contradiction
from consensus.primitives.codec import encode
from consensus.primitives.errors import PeerFault
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN

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
    assert evidence.check(CHAIN) == 1
    assert Evidence.decode(evidence.raw) == evidence


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_validators_say_is_none(name: str) -> None:
    one, other = HONEST[name]
    assert contradiction(one, other, CHAIN) is None
    assert contradiction(other, one, CHAIN) is None


def refused(evidence: Evidence) -> None:
    with pytest.raises(PeerFault) as caught:
        evidence.check(CHAIN)
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
    with pytest.raises(PeerFault):
        good.check(bytes(32))


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
