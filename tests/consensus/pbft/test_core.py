"""What the machine keeps, drops and says only once, beside its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.certificates import Certificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange
from consensus.pbft import checks, inputs, machine, outputs
from consensus.pbft.inputs import Now, OwnVotes
from consensus.pbft.machine import CONTENTS_KEPT
from consensus.primitives.crypto import public_key, sha256, sign
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, EPOCH_MS, FAST, outcome_of, signed


def decided_bench() -> Bench:
    """Height 1 is decided by COMMITs of the others."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content), *(bench.commit(content, i) for i in (1, 2, 3)))
    assert bench.s.decided
    return bench


def next_height(bench: Bench) -> None:
    parent = outcome_of(bench.content())
    bench.put(replace(bench.context, height=2, parent=parent, parent_time_ms=EPOCH_MS))


def test_the_first_input_is_a_height() -> None:
    with pytest.raises(ValueError, match="NewHeight"):
        machine.apply(None, inputs.Tick(None), Now(0, 0))


def test_votes_of_the_next_height_are_judged_when_it_comes() -> None:
    bench = decided_bench()
    hasty = signed(replace(bench.proposal(bench.content(2), by=2), height=2), 2)  # not its turn
    commits = [signed(Commit(2, 0, sha256(b"x"), bench.keys[i], bytes(64)), i) for i in (1, 2)]
    bench.hear(hasty, *commits)
    assert len(bench.s.ahead) == 3
    next_height(bench)
    assert bench.s.accepted is None and bench.s.heard
    assert list(bench.s.votes.commits().values()) == [
        {vote.sender: vote.signature for vote in commits}
    ]
    assert not bench.s.ahead


def test_the_newest_vote_of_a_sender_and_kind_waits_for_the_next_height() -> None:
    bench = Bench()
    votes = [signed(Commit(2, r, sha256(b"x"), bench.keys[1], bytes(64)), 1) for r in (3, 5, 4)]
    bench.hear(*votes)
    assert list(bench.s.ahead.values()) == [votes[1]]
    bench.hear(signed(Commit(2, 5, sha256(b"y"), bench.keys[1], bytes(64)), 1))
    assert list(bench.s.ahead.values()) == [votes[1]]  # nor is one of the same round
    far = signed(Commit(3, 9, sha256(b"x"), bench.keys[1], bytes(64)), 1)
    bench.hear(far)
    assert list(bench.s.ahead.values()) == [votes[1]]


def test_votes_ahead_count_for_the_very_next_height_alone() -> None:
    bench = Bench()
    bench.hear(signed(Commit(2, 0, sha256(b"x"), bench.keys[1], bytes(64)), 1))
    parent = sha256(b"fetched")
    bench.put(replace(bench.context, height=3, parent=parent, parent_time_ms=EPOCH_MS))
    assert len(bench.s.votes) == len(bench.s.previous) == 0 and not bench.s.heard


def test_an_own_vote_of_a_height_that_is_over_does_not_count() -> None:
    bench = decided_bench()
    next_height(bench)
    bench.put(inputs.Signed(signed(Commit(1, 0, sha256(b"x"), bench.keys[0], bytes(64)), 0)))
    assert len(bench.s.votes) == 0 and bench.s.own_votes() == ()


def test_a_stranger_is_not_answered() -> None:
    bench = decided_bench()
    seed = sha256(b"a stranger")
    vote = RoundChange(1, 1, None, None, None, public_key(seed), bytes(64))
    vote = replace(vote, signature=sign(seed, vote.tag, vote.signing_bytes(CHAIN)))
    assert bench.hear(vote) == []
    next_height(bench)
    ahead = replace(vote, height=3)
    ahead = replace(ahead, signature=sign(seed, ahead.tag, ahead.signing_bytes(CHAIN)))
    assert bench.hear(vote, ahead) == [] and not bench.s.ahead


def test_few_contents_are_kept_the_prepared_and_the_accepted_among_them() -> None:
    bench = Bench()
    prepared = bench.content()
    bench.hear(bench.proposal(prepared))
    bench.executed(prepared)
    bench.hear(*(bench.prepare(prepared, i) for i in (1, 2, 3)))
    assert bench.s.prepared is not None
    changes = [bench.change(i, 1) for i in (1, 2, 3)]
    accepted = bench.content(2, extra_ms=1)
    bench.hear(bench.proposal(accepted, by=2, round_=1, changes=changes))
    for number in range(2, 2 * CONTENTS_KEPT):  # by liars, with what they say was prepared
        other = bench.content(3, extra_ms=number)
        certificate = bench.prepared(other, 0, (1, 2, 3))
        bench.hear(bench.change(3, number, certificate, other))
        kept = bench.s.contents
        assert len(kept) == min(CONTENTS_KEPT, number + 1)
        assert {prepared.digest, accepted.digest, other.digest} <= set(kept)
    assert bench.s.accepted is not None and bench.s.accepted.content == accepted


def test_few_contents_are_kept_before_anything_is_accepted() -> None:
    bench = Bench()
    contents = [bench.content(3, extra_ms=number) for number in range(1, CONTENTS_KEPT + 4)]
    for number, content in enumerate(contents, 1):
        certificate = bench.prepared(content, 0, (1, 2, 3))
        bench.hear(bench.change(3, number, certificate, content))
    assert list(bench.s.contents.values()) == contents[-CONTENTS_KEPT:]


def built_after_ms(bench: Bench) -> int:
    """How long its proposer waits before it makes the block of round 0."""
    while not bench.made(outputs.Build):
        assert bench.now.mono_ms < 10_000
        bench.wait(1)
    return bench.now.mono_ms


def test_when_a_block_is_made() -> None:
    idle = Bench(first=0)
    assert built_after_ms(idle) == FAST.empty_block_interval_ms
    assert built_after_ms(Bench(first=1, n=1)) == FAST.empty_block_interval_ms
    with_work = Bench(first=0)
    with_work.put(inputs.Tick(-5_000))
    assert built_after_ms(with_work) == FAST.min_block_interval_ms
    others_speak = Bench(first=0)
    others_speak.hear(others_speak.change(1, 1))
    assert built_after_ms(others_speak) == FAST.min_block_interval_ms
    both = Bench(first=0)
    both.hear(both.change(1, 1))
    both.put(inputs.Tick(0))
    assert built_after_ms(both) == FAST.min_block_interval_ms


def timer_starts_after_ms(bench: Bench) -> int:
    while bench.s.deadline_ms is None:
        assert bench.now.mono_ms < 10_000
        bench.wait(1)
    assert bench.s.deadline_ms == bench.now.mono_ms + FAST.round_timeout_ms
    return bench.now.mono_ms


def test_when_round_0_s_timer_starts() -> None:
    assert timer_starts_after_ms(Bench()) == FAST.empty_block_interval_ms
    old_work = Bench()
    old_work.put(inputs.Tick(-5_000))  # older than this height
    assert timer_starts_after_ms(old_work) == machine.TURNS * FAST.min_block_interval_ms
    bench = Bench()
    bench.wait(100)
    bench.put(inputs.Tick(100))
    assert timer_starts_after_ms(bench) == 100 + machine.TURNS * FAST.min_block_interval_ms
    heard = Bench()
    heard.hear(heard.change(1, 1))
    assert timer_starts_after_ms(heard) == 0


def test_how_long_a_round_lasts() -> None:
    bench = Bench()
    lasts = []
    for round_ in range(1, 40):
        bench.hear(*(bench.change(i, round_) for i in (1, 2, 3)))
        assert bench.s.round == round_ and bench.s.deadline_ms is not None
        lasts.append(bench.s.deadline_ms - bench.now.mono_ms)
    assert lasts[:3] == [600, 1_200, 2_000] and set(lasts[2:]) == {FAST.round_timeout_max_ms}


def test_own_votes_go_out_again_every_second_and_to_who_connects() -> None:
    bench = Bench()
    assert bench.put(inputs.Connected(bench.keys[2])) == []  # nothing to say yet
    bench.wait(FAST.empty_block_interval_ms + FAST.round_timeout_ms)
    (change,) = bench.s.own_votes()
    assert isinstance(change, RoundChange)
    sent = []
    for _ in range(3_000):
        made = bench.wait(1)
        if made:
            sent.append(bench.now.mono_ms)
            assert made == [outputs.Broadcast((change,))]
    assert sent == [1_000, 2_000, 3_000]
    assert bench.put(inputs.Connected(bench.keys[2])) == [
        outputs.Broadcast((change,), bench.keys[2])
    ]


def test_a_content_that_comes_too_late_or_twice_is_not_proposed() -> None:
    bench = Bench(first=0)
    bench.wait(FAST.empty_block_interval_ms)
    content = bench.content(0)
    bench.put(inputs.Built(1, content))
    assert bench.asked(Proposal) == []
    bench.put(inputs.Built(0, content))
    bench.put(inputs.Built(0, bench.content(0, extra_ms=5)))
    assert [vote.content for vote in bench.asked(Proposal)] == [content]
    assert bench.made(outputs.Execute) == [outputs.Execute(content, (), bench.keys[0])]
    late = Bench(first=0)
    late.wait(FAST.empty_block_interval_ms)
    late.hear(late.change(1, 1), late.change(2, 1))
    late.put(inputs.Built(0, content))
    assert late.s.round == 1 and late.asked(Proposal) == []
    decided = Bench(first=0)
    decided.wait(FAST.empty_block_interval_ms)
    decided.hear(*(decided.commit(content, i) for i in (1, 2, 3)))
    decided.put(inputs.Built(0, content))
    assert decided.s.decided and decided.asked(Proposal) == []


def test_only_prepares_for_this_very_content_override_the_own_clock() -> None:
    bench = Bench()
    content = bench.content(extra_ms=FAST.clock_drift_ms + 1)
    bench.hear(bench.proposal(content))
    bench.executed(content)
    other = bench.content(extra_ms=7)
    bench.hear(*(bench.prepare(other, i) for i in (1, 2)), bench.prepare(content, 3))
    assert bench.asked(Prepare) == []


def test_prepares_for_two_outcomes_of_a_content_override_the_own_clock_together() -> None:
    """Both found its time acceptable, whatever came of executing it."""
    bench = Bench()
    content = bench.content(extra_ms=FAST.clock_drift_ms + 1)
    bench.hear(bench.proposal(content))
    bench.executed(content)
    bench.hear(bench.prepare(content, 1), bench.prepare(content, 2, outcome=sha256(b"other")))
    assert len(bench.asked(Prepare)) == 1


def test_a_quorum_for_another_outcome_is_told_once() -> None:
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content, sha256(b"own"))
    bench.hear(*(bench.prepare(content, i) for i in (1, 2, 3)))
    bench.hear(bench.change(3, 1))
    assert bench.s.round == 0
    bench.wait(3_000)
    assert bench.made(outputs.Diverged) == [
        outputs.Diverged(1, 0, sha256(b"own"), outcome_of(content))
    ]


def test_a_prepared_certificate_is_made_once_a_round() -> None:
    """With the PREPAREs that the COMMIT was logged with, whoever sends one later."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content)
    bench.hear(bench.prepare(content, 1), bench.prepare(content, 2))
    (sign,) = [one for one in bench.made(outputs.Sign) if isinstance(one.vote, Commit)]
    assert bench.s.prepared is sign.prepared is not None
    bench.hear(bench.prepare(content, 3))
    assert bench.s.prepared is sign.prepared
    assert len(bench.asked(Commit)) == 1


def test_a_decided_content_is_named_by_honest_prepares_where_own_execution_is_missing() -> None:
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content), *(bench.prepare(content, i) for i in (1, 2)))
    bench.hear(*(bench.commit(content, i) for i in (1, 2, 3)))
    assert [one.content for one in bench.made(outputs.Decided)] == [content]
    few = Bench()
    few.hear(few.proposal(content), few.prepare(content, 1))
    few.hear(*(few.commit(content, i) for i in (1, 2, 3)))
    assert [one.content for one in few.made(outputs.Decided)] == [None]


@pytest.mark.parametrize("round_", [1, 2])
def test_of_more_round_changes_than_needed_the_highest_prepared_justify(round_: int) -> None:
    """Whoever sent it: the last of four, heard while a free content was being built."""
    bench = Bench(first=4 - round_)
    content = bench.content()
    bench.hear(bench.change(1, round_), bench.change(2, round_))
    assert [order.round for order in bench.made(outputs.Build)] == [round_]
    certificate = bench.prepared(content, 0, (1, 2, 3))
    bench.hear(bench.change(3, round_, certificate, content, committed=0))
    bench.put(inputs.Built(round_, bench.content(0)))
    (proposed,) = bench.asked(Proposal)
    assert proposed.content == content
    assert [change.sender for change in proposed.justification] == [
        bench.keys[3],
        bench.keys[0],
        bench.keys[1],
    ]
    assert bench.made(outputs.Execute) == [outputs.Execute(content, (), bench.keys[3])]


@pytest.mark.parametrize("round_", [1, 2])
def test_a_free_proposal_of_a_later_round_has_its_q_round_changes(round_: int) -> None:
    bench = Bench(first=4 - round_)
    changes = [bench.change(i, round_) for i in (1, 2)]
    bench.hear(*changes)
    (order,) = bench.made(outputs.Build)
    assert (order.round, order.seals) == (round_, ())
    assert order.txs_max == checks.txs_max(FAST.block_txs_max, round_)
    content = bench.content(0)
    bench.put(inputs.Built(round_, content))
    (proposed,) = bench.asked(Proposal)
    assert (proposed.round, proposed.content) == (round_, content)
    assert set(changes) < set(proposed.justification)
    assert [change.sender for change in proposed.justification] == bench.keys[:3]


def test_a_proposal_is_executed_once_with_its_bodies_from_its_sender() -> None:
    bench = Bench()
    content = bench.content(txs=1)
    vote = replace(bench.proposal(content), bodies=(b"a body",))
    bench.hear(vote, vote)
    certificate = bench.prepared(content, 0, (1, 2, 3))
    changes = [bench.change(i, 1, certificate) for i in (1, 2, 3)]
    bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
    assert bench.made(outputs.Execute) == [outputs.Execute(content, (b"a body",), bench.keys[1])]


def test_contradictions_in_a_justification_are_evidence_and_count_for_nothing() -> None:
    bench = Bench()
    bench.hear(bench.change(3, 1, committed=None))
    (known,) = bench.s.votes.round_changes(1)
    content = bench.content()
    pair = bench.prepared(content, 0, (1, 2, 3))
    other = bench.change(3, 1, pair, content)
    changes = [bench.change(1, 1), bench.change(2, 1), other]
    bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
    (caught,) = bench.made(outputs.Caught)
    assert caught.evidence.sender == bench.keys[3]
    kept = {change.sender: change for change in bench.s.votes.round_changes(1)}
    assert kept[bench.keys[3]] == known


def test_an_own_round_change_in_a_justification_is_not_taken_from_there() -> None:
    """It counts once it is in the own log, and only from there."""
    bench = Bench()
    changes = [bench.change(i, 1) for i in (0, 1, 2)]
    bench.hear(bench.proposal(bench.content(2), by=2, round_=1, changes=changes))
    assert bench.s.round == 1
    assert bench.asked(RoundChange)[0].round == 1, "it signs its own"
    assert not bench.made(outputs.Caught)


def test_a_split_that_the_silent_could_still_mend_is_told_on_leaving_the_round() -> None:
    """Six validators, quorum four: three of one outcome, two of another, one silent."""
    bench = Bench(6)
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content, b"\x01" * 32)
    bench.hear(*(bench.prepare(content, i, outcome=b"\x01" * 32) for i in (1, 2)))
    bench.hear(*(bench.prepare(content, i, outcome=b"\x02" * 32) for i in (3, 4)))
    assert not bench.made(outputs.SplitVote)
    bench.hear(bench.change(1, 1), bench.change(2, 1))
    (split,) = bench.made(outputs.SplitVote)
    assert split.content == content
    assert sorted(len(keys) for _, keys in split.tally) == [2, 3]
    (entered,) = bench.made(outputs.RoundEntered)
    assert (entered.height, entered.round) == (1, 1)


def test_no_split_is_told_while_those_against_the_most_may_all_be_liars() -> None:
    """Four validators: two of one outcome, one of another, and the round is left."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content, b"\x01" * 32)
    bench.hear(bench.prepare(content, 1, outcome=b"\x01" * 32))
    bench.hear(bench.prepare(content, 2, outcome=b"\x02" * 32))
    bench.hear(bench.change(1, 1), bench.change(2, 1))
    assert bench.s.round == 1 and not bench.made(outputs.SplitVote)


# --- what is known already -------------------------------------------------------------------


def test_a_vote_that_is_known_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeating votes is free for a liar, so it must be nearly free for who hears them."""
    bench = Bench()
    content = bench.content()
    change = bench.change(1, 1, bench.prepared(content, 0, (1, 2, 3)), content)
    votes = [bench.proposal(content), bench.prepare(content, 2), bench.commit(content, 3), change]
    bench.hear(*votes)
    verified: list[object] = []
    monkeypatch.setattr(checks, "vote_signed", lambda _context, vote: verified.append(vote))
    assert bench.hear(*votes) == [] and verified == []
    other = bench.change(2, 1)
    bench.hear(other)
    assert verified == [other]


def test_a_round_change_that_is_known_is_not_verified_again_in_a_justification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    changes = [bench.change(i, 1) for i in (1, 2, 3)]
    bench.hear(*changes[:2])
    verified: list[object] = []
    monkeypatch.setattr(checks, "vote_signed", lambda _context, vote: verified.append(vote))
    vote = bench.proposal(bench.content(2), by=2, round_=1, changes=changes)
    bench.hear(vote)
    assert verified == [vote, changes[2]]
    assert bench.s.accepted == vote


def test_a_round_change_s_content_is_kept_whenever_it_comes_and_never_lost() -> None:
    bench = Bench()
    content = bench.content()
    full = bench.change(1, 1, bench.prepared(content, 0, (1, 2, 3)), content)
    bench.hear(full.without_content())
    assert bench.s.contents == {}
    bench.hear(full)
    assert bench.s.contents == {content.digest: content}
    assert bench.s.votes.find(RoundChange, full.sender, 1) == full
    bench.hear(full.without_content())
    changes = [full, bench.change(2, 1), bench.change(3, 1)]
    bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
    assert bench.s.round == 1
    assert bench.s.votes.find(RoundChange, full.sender, 1) == full


# --- liars -----------------------------------------------------------------------------------


def test_a_liar_is_reported_once_a_kind_however_often_it_contradicts_itself() -> None:
    bench = Bench()
    contents = [bench.content(extra_ms=number) for number in range(4)]
    bench.hear(*(bench.commit(content, 1) for content in contents))
    assert [one.evidence.kind for one in bench.made(outputs.Caught)] == [3]
    bench.hear(*(bench.prepare(content, 1) for content in contents))
    assert [one.evidence.kind for one in bench.made(outputs.Caught)] == [3, 2]
    bench.hear(*(bench.commit(content, 2) for content in contents))
    assert [one.evidence.sender for one in bench.made(outputs.Caught)] == [
        *bench.keys[1:2] * 2,
        bench.keys[2],
    ]


def test_a_vote_that_contradicts_another_counts_for_nothing() -> None:
    """A ROUND-CHANGE that hides a COMMIT has a place of its own in the book, and gets none."""
    bench = Bench()
    bench.hear(bench.commit(bench.content(), 1), bench.change(1, 1))
    assert len(bench.made(outputs.Caught)) == 1
    assert bench.s.votes.round_changes(1) == []
    bench.hear(bench.change(2, 1))
    assert bench.s.round == 0, "one liar and one honest validator are not two"


# --- where a height begins -------------------------------------------------------------------


def test_a_proposal_that_came_early_is_accepted_when_its_height_begins() -> None:
    bench = decided_bench()
    first = bench.content()
    parent = outcome_of(first)
    seals = {bench.keys[i]: bench.commit(first, i).signature for i in (1, 2, 3)}
    certificate = Certificate.build(1, 0, parent, seals, bench.validators)
    content = replace(
        first,
        height=2,
        parent=parent,
        time_ms=EPOCH_MS + FAST.clock_drift_ms + 1,
        last_certificate=certificate,
    )
    vote = signed(replace(bench.proposal(content), height=2), 1)
    bench.hear(vote)
    bench.now = Now(EPOCH_MS + 1, 1)
    next_height(bench)
    assert bench.s.accepted == vote and not bench.s.late, "judged by the clock of now"
    assert bench.made(outputs.Execute)[-1] == outputs.Execute(content, (), bench.keys[1])


def test_round_changes_that_came_early_take_the_height_to_their_round_and_time_it() -> None:
    bench = decided_bench()
    changes = [signed(replace(bench.change(i, 2), height=2), i) for i in (1, 2, 3)]
    bench.hear(*changes)
    bench.now = Now(EPOCH_MS + 7, 7)
    next_height(bench)
    assert bench.s.round == 2
    assert bench.s.deadline_ms == 7 + (FAST.round_timeout_ms << 2)


def test_rule_9_whoever_comes_back_with_votes_times_its_round_at_once() -> None:
    """The height was under way: nobody need speak again before the round may end."""
    content = Bench().content()
    prepare = Bench().prepare(content, 0)
    bench = Bench(own=OwnVotes(prepare=prepare, contents=(content,)))
    assert bench.s.deadline_ms == FAST.round_timeout_ms
    assert bench.made(outputs.Execute) == [outputs.Execute(content, (), bench.keys[0])]
    assert bench.put(inputs.Tick(None)) == [], "its votes go out after a second"
    bench.wait(machine.RESEND_MS - 1)
    assert bench.made(outputs.Broadcast) == []
    bench.wait(1)
    (sent,) = bench.made(outputs.Broadcast)
    assert prepare in sent.votes
