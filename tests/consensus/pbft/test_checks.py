"""What makes a vote acceptable: each violation raises its code and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.certificates import Certificate
from consensus.messages import Commit, Prepare, Proposal, Vote
from consensus.pbft import checks, inputs
from consensus.pbft.inputs import NewHeight, Now
from consensus.primitives.errors import PeerFault
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, EPOCH_MS, FAST, outcome_of, signed

Bad = Callable[[Bench], Vote]


def re(bench: Bench, by: int = 1, round_: int = 0, **changed: object) -> Proposal:
    content = replace(bench.content(by), **changed)  # type: ignore[arg-type]
    return bench.proposal(content, by=by, round_=round_)


def re_proposal(bench: Bench, n_changes: int = 3, **how: object) -> Proposal:
    """A sound re-proposal at round 1, of what was prepared in round 0."""
    content = bench.content()
    certificate = bench.prepared(content, 0, (1, 2, 3))
    changes = [bench.change(i, 1, certificate) for i in range(1, 1 + n_changes)]
    return bench.proposal(content, by=2, round_=1, changes=changes)


def outsider(bench: Bench) -> Vote:
    return replace(bench.prepare(bench.content(), 1), sender=bytes(reversed(bench.keys[1])))


def broken_certificate(bench: Bench) -> Vote:
    good = bench.prepared(bench.content(), 0, (1, 2, 3))
    bad = replace(good, signatures=(*good.signatures[:2], bytes(64)))
    return bench.change(1, 1, bad)


def strange_parent(bench: Bench) -> Vote:
    content = replace(bench.content(), parent=bytes(32))
    return bench.change(1, 1, bench.prepared(content, 0, (1, 2, 3)), content)


def forged_height(bench: Bench) -> Vote:
    vote = signed(replace(bench.commit(bench.content(), 1), height=2), 1)
    assert isinstance(vote, Commit)
    return replace(vote, height=1)


BAD: dict[str, tuple[str, Bad]] = {
    "not a validator": ("NOT_A_VALIDATOR", outsider),
    "not signed": (
        "SIGNATURE_INVALID",
        lambda b: replace(b.prepare(b.content(), 1), signature=bytes(64)),
    ),
    "signed for another height": (
        "SIGNATURE_INVALID",
        forged_height,
    ),
    "a prepare's signature on a commit": (
        "SIGNATURE_INVALID",
        lambda b: replace(
            b.commit(b.content(), 1), signature=b.prepare(b.content(), 1).signature
        ),
    ),
    "not its turn": ("NOT_THE_PROPOSER", lambda b: re(b, by=2)),
    "another parent": ("CONTENT_INVALID", lambda b: re(b, parent=bytes(32))),
    "content of another height": ("CONTENT_INVALID", lambda b: re(b, height=2)),
    "not after its parent": (
        "CONTENT_INVALID",
        lambda b: re(b, time_ms=b.context.parent_time_ms),
    ),
    "proposer is no validator": ("CONTENT_INVALID", lambda b: re(b, proposer=bytes(32))),
    "free, in another's name": ("CONTENT_INVALID", lambda b: re(b, proposer=b.keys[3])),
    "a transaction twice": ("CONTENT_INVALID", lambda b: re(b, wire_ids=(bytes(32),) * 2)),
    "too many transactions": (
        "CONTENT_INVALID",
        lambda b: b.proposal(b.content(txs=FAST.block_txs_max + 1)),
    ),
    "genesis has no certificate": (
        "CONTENT_INVALID",
        lambda b: re(b, last_certificate=some_certificate(b)),
    ),
    "round 0 justified": (
        "JUSTIFICATION_INVALID",
        lambda b: b.proposal(b.content(), changes=[b.change(i, 1) for i in (1, 2, 3)]),
    ),
    "later round not justified": (
        "JUSTIFICATION_INVALID",
        lambda b: b.proposal(b.content(2), by=2, round_=1),
    ),
    "too few round changes": ("JUSTIFICATION_INVALID", lambda b: re_proposal(b, n_changes=2)),
    "a round change counted twice": (
        "JUSTIFICATION_INVALID",
        lambda b: b.proposal(
            b.content(2), by=2, round_=1, changes=[b.change(i, 1) for i in (1, 2, 2, 3)]
        ),
    ),
    "round changes of another round": (
        "JUSTIFICATION_INVALID",
        lambda b: b.proposal(
            b.content(2), by=2, round_=1, changes=[b.change(i, 2) for i in (1, 2, 3)]
        ),
    ),
    "a round change not signed": (
        "SIGNATURE_INVALID",
        lambda b: replace(
            re_proposal(b),
            justification=tuple(
                replace(c, signature=bytes(64)) for c in re_proposal(b).justification
            ),
        ),
    ),
    "round change with content inside": (
        "JUSTIFICATION_INVALID",
        lambda b: replace(
            re_proposal(b),
            justification=tuple(
                replace(c, content=b.content(3)) for c in re_proposal(b).justification
            ),
        ),
    ),
    "not what was prepared": (
        "JUSTIFICATION_INVALID",
        lambda b: b.proposal(
            b.content(2),
            by=2,
            round_=1,
            changes=[b.change(i, 1, b.prepared(b.content(), 0, (1, 2, 3))) for i in (1, 2, 3)],
        ),
    ),
    "too many for a late round": (
        "CONTENT_INVALID",
        lambda b: b.proposal(
            b.content(3, txs=FAST.block_txs_max // 4 + 1),
            by=3,
            round_=2,
            changes=[b.change(i, 2) for i in (1, 2, 3)],
        ),
    ),
    "change to round 0": ("ROUND_CHANGE_INVALID", lambda b: b.change(1, 0)),
    "prepared in a round not left": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 1, b.prepared(b.content(), 1, (1, 2, 3))),
    ),
    "committed in a round not left": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 1, b.prepared(b.content(), 0, (1, 2, 3)), committed=1),
    ),
    "committed above what it prepared": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 3, b.prepared(b.content(), 0, (1, 2, 3)), committed=1),
    ),
    "committed without prepared": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 1, committed=0),
    ),
    "content without prepared": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 1, content=b.content()),
    ),
    "content is another": (
        "ROUND_CHANGE_INVALID",
        lambda b: b.change(1, 1, b.prepared(b.content(), 0, (1, 2, 3)), b.content(2)),
    ),
    "prepared content of another parent": ("CONTENT_INVALID", strange_parent),
    "prepared by too few": (
        "CERTIFICATE_INVALID",
        lambda b: b.change(1, 1, b.prepared(b.content(), 0, (1, 2))),
    ),
    "prepared signature wrong": ("CERTIFICATE_INVALID", broken_certificate),
}  # fmt: skip


def some_certificate(bench: Bench) -> object:
    content = bench.content()
    seals = {bench.keys[i]: bench.commit(content, i).signature for i in (1, 2, 3)}
    return Certificate.build(1, 0, outcome_of(content), seals, bench.validators)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_vote_is_refused_and_changes_nothing(name: str) -> None:
    code, make = BAD[name]
    bench = Bench()
    bench.hear(bench.change(3, 1))  # something to lose
    before = copy.deepcopy(bench.s)
    with pytest.raises(PeerFault) as caught:
        bench.put(inputs.Received(make(bench)))
    assert caught.value.code == code
    assert bench.s == before or bench.s.__dict__.keys() == before.__dict__.keys()
    for field, value in before.__dict__.items():
        if field in ("votes", "previous"):
            assert bench.s.__dict__[field]._votes == value._votes
        else:
            assert bench.s.__dict__[field] == value, field


def test_how_many_transactions_a_free_proposal_may_hold() -> None:
    assert [checks.txs_max(4_000, r) for r in range(8)] == [4_000, 4_000, 1_000, 250, 62, 0, 0, 0]
    assert [checks.txs_max(1, r) for r in range(6)] == [1, 1, 1, 1, 1, 0]


def test_a_sound_re_proposal_is_taken() -> None:
    bench = Bench()
    bench.hear(re_proposal(bench))
    assert bench.s.round == 1 and bench.s.accepted is not None


def test_a_justification_is_verified_where_it_differs_from_what_was_heard() -> None:
    """A liar hides in it what a validator prepared, beside ROUND-CHANGEs that are known here."""
    bench = Bench()
    certificate = bench.prepared(bench.content(), 0, (1, 2, 3))
    sound = [bench.change(i, 1, certificate, committed=0) for i in (1, 2, 3)]
    bench.hear(sound[0])
    bare = [replace(change, prepared=None, committed_round=None) for change in sound]
    for changes in (bare, [sound[0], *bare[1:]], [*bare[:1], *sound[1:]]):
        with pytest.raises(PeerFault) as caught:
            bench.hear(bench.proposal(bench.content(2), by=2, round_=1, changes=changes))
        assert caught.value.code == "SIGNATURE_INVALID"
        assert bench.s.round == 0 and bench.s.accepted is None
    bench.hear(bench.proposal(bench.content(), by=2, round_=1, changes=sound))
    assert bench.s.accepted is not None


def test_what_just_suffices_is_taken() -> None:
    """The other side of the limits that the table above breaks."""
    bench = Bench()
    content = bench.content(txs=FAST.block_txs_max)
    earliest = replace(content, time_ms=bench.context.parent_time_ms + 1)
    bench.hear(bench.proposal(earliest))
    assert bench.s.accepted is not None
    later = Bench()
    changes = [later.change(i, 2) for i in (1, 2, 3)]
    content = later.content(3, txs=FAST.block_txs_max // 4)
    later.hear(later.proposal(content, by=3, round_=2, changes=changes))
    assert later.s.accepted is not None and later.s.round == 2
    again = Bench()  # what was prepared may be larger than a free proposal of that round
    content = again.content(txs=FAST.block_txs_max)
    prepared = again.prepared(content, 1, (1, 2, 3))
    changes = [again.change(i, 2, prepared, committed=1) for i in (1, 2, 3)]
    again.hear(again.proposal(content, by=3, round_=2, changes=changes))
    assert again.s.accepted is not None and again.s.accepted.content == content


@pytest.mark.parametrize("off_ms", [-1, 0, 1])
def test_the_allowed_drift(off_ms: int) -> None:
    for sign in (1, -1):
        bench = Bench()
        bench.now = Now(EPOCH_MS + 10_000, 0)
        content = bench.content(extra_ms=10_000 + sign * (FAST.clock_drift_ms + off_ms))
        bench.hear(bench.proposal(content))
        assert bench.s.accepted is not None and bench.s.late == (off_ms > 0)


def second_height(bench: Bench) -> tuple[Bench, NewHeight]:
    content = bench.content()
    context = replace(
        bench.context, height=2, parent=outcome_of(content), parent_time_ms=content.time_ms
    )
    bench.put(context)
    return bench, context


@pytest.mark.parametrize("fault", ["", "missing", "other block", "too few", "other height"])
def test_the_parents_certificate(fault: str) -> None:
    bench, context = second_height(Bench())
    by = (1, 2) if fault == "too few" else (0, 1, 3)
    first = bench.content()
    seals = {bench.keys[i]: bench.commit(first, i).signature for i in by}
    block_hash = outcome_of(first)
    certificate: Certificate | None = Certificate.build(1, 0, block_hash, seals, bench.validators)
    assert certificate is not None
    if fault == "missing":
        certificate = None
    elif fault == "other block":
        certificate = replace(certificate, block_hash=bytes(32))
    elif fault == "other height":
        certificate = replace(certificate, height=2)
    content = replace(
        first,
        height=2,
        parent=context.parent,
        time_ms=first.time_ms + 1,
        last_certificate=certificate,
    )
    vote = signed(replace(bench.proposal(content), height=2), 1)
    if not fault:
        bench.hear(vote)  # any quorum will do, not only the one that this node collected
        assert bench.s.accepted == vote
        return
    with pytest.raises(PeerFault) as caught:
        bench.hear(vote)
    expected = "CERTIFICATE_INVALID" if fault == "too few" else "CONTENT_INVALID"
    assert caught.value.code == expected
    assert vote.signature_valid(CHAIN)


def test_the_parents_certificate_has_the_quorum_of_the_fault_model() -> None:
    """Three of five where nobody lies."""
    bench, context = second_height(Bench(n=5, params=replace(FAST, fault_model="crash")))
    first = bench.content()
    seals = {bench.keys[i]: bench.commit(first, i).signature for i in (0, 1, 3)}
    certificate = Certificate.build(1, 0, outcome_of(first), seals, bench.validators)
    content = replace(
        first,
        height=2,
        parent=context.parent,
        time_ms=first.time_ms + 1,
        last_certificate=certificate,
    )
    bench.hear(signed(replace(bench.proposal(content), height=2), 1))
    assert bench.s.accepted is not None
    bench.executed(content)
    prepare = bench.asked(Prepare)[-1]
    bench.hear(*(signed(replace(prepare, sender=bench.keys[i]), i) for i in (1, 2)))
    assert len(bench.asked(Commit)) == 1  # with the own one, three


def test_own_votes_shown_by_others_count_for_nothing() -> None:
    bench = Bench()
    assert bench.hear(bench.prepare(bench.content(), 0)) == []
    assert len(bench.s.votes) == 0
