"""The rules of docs/spec/consensus.md one by one, beside those that ``test_mistakes.py`` is about.
Where the obvious version breaks something, the scenario runs twice: with the rule, and without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote, contradiction
from consensus.pbft import checks, inputs, machine, outputs
from consensus.pbft.inputs import Now, OwnVotes
from consensus.pbft.state import State
from consensus.primitives.errors import PeerFault
from consensus.validators import Thresholds
from tests.consensus.pbft.bench import Bench, differing_changes
from tests.consensus.pbft.world import CHAIN, FAST, World, outcome_of, signed

Patch = pytest.MonkeyPatch


# --- rule 1 -----------------------------------------------------------------------------------


def test_rule_1_two_contents_in_one_round_are_evidence(monkeypatch: Patch) -> None:
    def caught() -> list[outputs.Caught]:
        bench = Bench()
        bench.hear(bench.proposal(bench.content()), bench.proposal(bench.content(extra_ms=7)))
        assert bench.s.accepted is not None and bench.s.accepted.content == bench.content()
        return bench.made(outputs.Caught)

    (found,) = caught()
    assert found.evidence.check(CHAIN) == 1
    monkeypatch.setattr(machine, "contradiction", lambda *_args: None)
    assert not caught()


# --- rule 3 -----------------------------------------------------------------------------------


def test_rule_3_a_decision_without_its_content_finds_it_in_a_round_change(
    monkeypatch: Patch,
) -> None:
    """Seed 37 of the simulated worlds: one validator heard the q COMMITs but never the content;
    one of the q went down, the others lacked a COMMIT and waited for the one who had decided."""

    def executed(round_: int = 1, extra_ms: int = 0) -> list[outputs.Execute]:
        bench = Bench()
        content, told = bench.content(), bench.content(extra_ms=extra_ms)
        bench.hear(*(bench.commit(content, sender, round_=0) for sender in (1, 2, 3)))
        (decided,) = bench.made(outputs.Decided)
        assert decided.content is None and not bench.made(outputs.Execute)
        pair = bench.prepared(told, 0, (1, 2, 3))
        for _ in range(2):
            bench.hear(bench.change(2, round_, pair, told, committed=0))
        return bench.made(outputs.Execute)

    (found,) = executed()
    assert found == outputs.Execute(Bench().content(), (), Bench().keys[2])
    assert not executed(extra_ms=7), "a content that was not decided"
    monkeypatch.setattr(machine, "_find_decided", lambda *_args: None)
    assert not executed()


def test_rule_3_a_round_change_without_both_pair_and_content_finds_no_decision() -> None:
    """Some are such as no honest validator sends: the node goes on, and answers with the block."""
    bench = Bench()
    content = bench.content()
    bench.hear(*(bench.commit(content, sender) for sender in (1, 2, 3)))
    pair = bench.prepared(content, 0, (1, 2, 3))
    answer = outputs.AnswerDecided(bench.keys[2], 1)
    for change in (
        bench.change(2, 1),
        bench.change(2, 1, pair, committed=0),
        bench.change(2, 1, content=content),
    ):
        assert bench.hear(change) == [answer]
    assert not bench.made(outputs.Execute) and bench.s.contents == {}


# --- rule 4 -----------------------------------------------------------------------------------


def test_rule_4_a_commit_hidden_by_a_later_round_change_is_evidence() -> None:
    for first_the_commit in (True, False):
        bench = Bench()
        content = bench.content()
        both: list[Vote] = [bench.commit(content, 1, round_=0), bench.change(1, 1)]
        bench.hear(*(both if first_the_commit else reversed(both)))
        (found,) = bench.made(outputs.Caught)
        assert found.evidence.sender == bench.keys[1]
        assert found.evidence.check(CHAIN) == 1
    honest = bench.change(2, 1, bench.prepared(content, 0, (1, 2, 3)), content, committed=0)
    assert bench.hear(bench.commit(content, 2), honest) is not None
    assert len(bench.made(outputs.Caught)) == 1


# --- rule 5 -----------------------------------------------------------------------------------


def test_rule_5_the_highest_prepared_content_is_proposed_again(monkeypatch: Patch) -> None:
    def proposed() -> Proposal:
        bench = Bench(first=2)  # round 2 is ours
        _, changes = differing_changes(bench)
        bench.hear(*changes)
        return bench.asked(Proposal)[-1]

    vote = proposed()
    assert vote.round == 2 and vote.content == Bench().content(2, extra_ms=5)

    def lowest(
        changes: tuple[RoundChange, ...] | list[RoundChange],
    ) -> PreparedCertificate | None:
        found = [change.prepared for change in changes if change.prepared is not None]
        return min(found, key=lambda one: one.round, default=None)

    listener = Bench()
    monkeypatch.setattr(checks, "highest_prepared", lowest)
    wrong = proposed()
    assert wrong.content != vote.content
    monkeypatch.undo()
    with pytest.raises(PeerFault, match="JUSTIFICATION_INVALID"):
        listener.hear(signed(replace(wrong, sender=listener.keys[3]), 3))


def test_rule_5_a_content_that_cannot_be_fetched_is_not_chosen() -> None:
    bench = Bench(first=0, n=4)  # round 0 is ours; round 4 too
    content = bench.content(1)
    bare = bench.change(1, 4, bench.prepared(content, 1, (1, 2, 3)))
    bench.hear(bare, bench.change(2, 4))
    assert bench.s.round == 4
    bench.hear(bench.change(3, 4))  # with the own one: three that name nothing
    assert bench.made(outputs.Build)[-1].round == 4
    # The content turns up while a free one is built: it is proposed instead.
    bench.hear(replace(bare, content=content))
    bench.put(inputs.Built(4, bench.content(0)))
    assert bench.asked(Proposal)[-1].content == content
    execute = bench.made(outputs.Execute)[-1]
    assert execute.source == bench.keys[1]  # not from itself: it has no bodies


# --- rule 6 -----------------------------------------------------------------------------------


def test_rule_6_one_liar_cannot_pull_anybody_along(monkeypatch: Patch) -> None:
    bench = Bench()
    bench.hear(bench.change(1, 2**31))
    assert bench.s.round == 0
    monkeypatch.setattr(Thresholds, "honest_witness", property(lambda _self: 1))
    bench = Bench()
    bench.hear(bench.change(1, 2**31))
    assert bench.s.round == 2**31


def test_rule_6_the_timer_of_a_later_round_waits_for_a_quorum(monkeypatch: Patch) -> None:
    """Else one validator that hears nobody runs ahead through the rounds by itself."""

    def rounds() -> int:
        bench = Bench()
        bench.wait(60_000)
        return bench.s.round

    assert rounds() == 1

    def impatient(state: State, now: Now) -> None:
        if state.deadline_ms is None:
            state.deadline_ms = now.mono_ms + FAST.round_timeout_ms

    bench = Bench()
    bench.hear(bench.change(1, 1), bench.change(2, 1))
    assert bench.s.deadline_ms == bench.now.mono_ms + 2 * FAST.round_timeout_ms
    monkeypatch.setattr(machine, "_start_timer", impatient)
    assert rounds() > 50


def test_rule_6_votes_on_a_decided_height_are_answered() -> None:
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content), *(bench.commit(content, i) for i in (1, 2)))
    bench.executed(content)
    bench.hear(bench.prepare(content, 1), bench.prepare(content, 2))
    assert bench.s.decided  # by two others and itself
    assert bench.hear(bench.commit(content, 3)) == []  # merely late
    answer = [outputs.AnswerDecided(bench.keys[3], 1)]
    assert bench.hear(bench.commit(content, 3)) == answer  # it goes on asking
    assert bench.hear(bench.change(3, 1)) == answer
    bench.put(replace(bench.context, height=2, parent=outcome_of(content)))
    assert bench.hear(bench.commit(content, 3)) == answer
    with pytest.raises(PeerFault, match="SIGNATURE_INVALID"):  # or anybody could be flooded
        bench.hear(replace(bench.change(2, 1), signature=bytes(64)))


def test_late_seals_are_given_to_the_next_proposer() -> None:
    """All COMMITs for the parent that were heard, before and after it was decided."""
    bench = Bench()
    content, other = bench.content(), bench.content(extra_ms=1)
    bench.hear(bench.proposal(content), *(bench.commit(content, i) for i in (1, 2)))
    bench.executed(content)
    bench.hear(bench.prepare(content, 1), bench.prepare(content, 2))
    assert bench.s.decided
    late = bench.commit(content, 3)
    bench.put(replace(bench.context, height=2, parent=outcome_of(content), order=(0, 1, 2, 3)))
    bench.hear(late, bench.commit(other, 3, 1))
    bench.wait(FAST.empty_block_interval_ms)
    (build,) = bench.made(outputs.Build)
    assert {seal.sender for seal in build.seals} == set(bench.keys)
    assert late in build.seals
    assert {seal.block_hash for seal in build.seals} == {outcome_of(content)}


# --- rule 7 -----------------------------------------------------------------------------------


def test_rule_7_t_plus_1_prepares_override_the_own_clock(monkeypatch: Patch) -> None:
    def prepares(others: int) -> int:
        bench = Bench()
        content = bench.content(extra_ms=FAST.clock_drift_ms + 1)
        bench.hear(bench.proposal(content))
        bench.executed(content)
        assert bench.asked(Prepare) == []
        bench.hear(*(bench.prepare(content, i) for i in range(1, 1 + others)))
        return len(bench.asked(Prepare))

    assert prepares(1) == 0
    assert prepares(2) == 1

    def one_clock_off() -> bool:
        """One dead, one whose clock is far off: the chain needs the latter's votes."""
        world = World(4, 0)
        world.nodes[1].wall_skew_ms = 10 * FAST.clock_drift_ms
        world.skipping = False
        world.start()
        world.nodes[0].crash()
        world.run(20)
        world.nodes[0].crash()
        return world.run_to_height(1, 5_000)

    assert one_clock_off()
    prepare = machine._prepare

    def stubborn(state: State, out: list[outputs.Output]) -> None:
        if not state.late:
            prepare(state, out)

    monkeypatch.setattr(machine, "_prepare", stubborn)
    assert not one_clock_off()


def test_rule_7_a_justified_content_is_not_judged_by_the_clock() -> None:
    bench = Bench()
    content = bench.content(extra_ms=-900)
    bench.now = Now(bench.now.wall_ms + 10 * FAST.clock_drift_ms, 0)
    certificate = bench.prepared(content, 0, (1, 2, 3))
    changes = [bench.change(i, 1, certificate) for i in (1, 2, 3)]
    bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
    bench.executed(content)
    assert [vote.round for vote in bench.asked(Prepare)] == [1]


# --- rule 8 -----------------------------------------------------------------------------------


def test_rule_8_a_diverging_transaction_does_not_stop_the_chain(monkeypatch: Patch) -> None:
    def divided() -> World:
        world = World(4, 2)
        world.execute = lambda node, content: (
            outcome_of(content) if not content.wire_ids else bytes([node.index]) * 32
        )
        world.start()
        world.submit("what time is it?")
        return world

    world = divided()
    assert world.run_to_height(1, 40_000)
    reported = [split for node in world.nodes.values() for split in node.splits]
    assert reported and all(len(split.content.wire_ids) == 1 for split in reported)
    monkeypatch.setattr(checks, "txs_max", lambda most, _round: most)
    assert not divided().run_to_height(1, 40_000)


def test_rule_8_liars_alone_cannot_report_a_split() -> None:
    for votes in ((1, 1, 9), (1, 8, 9)):
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.executed(content, b"\x01" * 32)
        for i, vote in enumerate(votes, 1):
            if i < 3 or vote != 1:
                bench.hear(bench.prepare(content, i, outcome=bytes([vote]) * 32))
        bench.hear(bench.change(1, 1), bench.change(2, 1))
        assert len(bench.made(outputs.SplitVote)) == (votes[1] != 1)


def test_rule_8_a_split_is_told_once_it_is_certain() -> None:
    """Without waiting for the timer, so that its cause is known before the next proposal."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content, b"\x01" * 32)
    bench.hear(*(bench.prepare(content, i, outcome=b"\x02" * 32) for i in (1, 2)))
    assert not bench.made(outputs.SplitVote), "the last one can still give a quorum"
    bench.hear(bench.prepare(content, 3, outcome=b"\x01" * 32))
    (split,) = bench.made(outputs.SplitVote)
    assert [len(keys) for _, keys in split.tally] == [2, 2]
    bench.hear(bench.change(1, 1), bench.change(2, 1))
    assert bench.s.round == 1 and len(bench.made(outputs.SplitVote)) == 1


# --- rule 9 -----------------------------------------------------------------------------------


def test_rule_9_the_log_is_the_signers_memory() -> None:
    def second_prepare(own: OwnVotes) -> list[Prepare]:
        bench = Bench(own=own)
        other = bench.content(extra_ms=7)
        bench.hear(bench.proposal(other))  # an equivocating proposer's second content
        bench.executed(other)
        return bench.asked(Prepare)

    bench = Bench()
    content = bench.content()
    own = OwnVotes(prepare=bench.prepare(content, 0), contents=(content,))
    assert second_prepare(own) == []
    (double,) = second_prepare(OwnVotes())  # without a memory: evidence against itself
    assert contradiction(bench.prepare(content, 0), signed(double, 0), CHAIN) is not None


def restored_cases() -> list[Callable[[Bench], OwnVotes]]:
    """Every combination of votes that a crash can leave behind in rounds 0 and 2."""

    def case(mask: int, bench: Bench) -> OwnVotes:
        content = bench.content(0)
        round_ = 2 if mask & 1 else 0
        certificate = bench.prepared(content, round_, (0, 1, 2))
        return OwnVotes(
            bench.proposal(content, by=0, round_=round_) if mask & 2 else None,
            bench.prepare(content, 0, round_) if mask & 4 else None,
            bench.commit(content, 0, round_) if mask & 8 else None,
            bench.change(0, 2) if mask & 1 else None,
            certificate if mask & 8 else None,
            (content,) if mask & 14 else (),
        )

    return [lambda bench, mask=mask: case(mask, bench) for mask in range(16)]  # type: ignore[misc]


@pytest.mark.parametrize("mask", range(16))
def test_rule_9_every_crash_leaves_a_state_to_go_on_from(mask: int) -> None:
    first = 2 if mask & 1 else 0
    own = restored_cases()[mask](Bench(first=first))
    bench = Bench(own=own, first=first)
    round_ = 2 if mask & 1 else 0
    assert bench.s.round == round_
    content = bench.content(0)
    if own.proposal or own.prepare or own.commit:
        assert content in [o.content for o in bench.made(outputs.Execute)]
    bench.executed(content)
    bench.hear(*(bench.change(i, 2) for i in (1, 2, 3) if round_))
    bench.hear(*(bench.prepare(content, i, round_) for i in (1, 2, 3)))
    bench.wait(FAST.empty_block_interval_ms)
    for kind, vote in (
        (Proposal, own.proposal),
        (Prepare, own.prepare),
        (Commit, own.commit),
        (RoundChange, own.round_change),
    ):
        asked = [one.round for one in bench.asked(kind)]
        assert asked == sorted(set(asked))
        assert vote is None or all(one > vote.round for one in asked), "signed twice"
    if own.proposal or own.prepare:
        assert bench.asked(Commit) or own.commit
    for change in bench.asked(RoundChange):
        assert not own.commit or (change.prepared and change.prepared.round >= round_)


def test_rule_9_the_prepared_pair_of_a_logged_round_change_is_kept() -> None:
    bench = Bench()
    content = bench.content()
    certificate = bench.prepared(content, 1, (1, 2, 3))
    own = OwnVotes(round_change=bench.change(0, 2, certificate, content))
    bench = Bench(own=own)
    bench.hear(bench.change(1, 3), bench.change(2, 3))
    (change,) = bench.asked(RoundChange)
    assert change.round == 3 and change.prepared == certificate and change.content == content


def test_rule_9_a_commit_brings_the_content_that_no_prepare_logged() -> None:
    """Executed only after its round was left, then prepared by the others in the next one."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content), bench.change(1, 1), bench.change(2, 1))
    bench.executed(content)
    bench.hear(*(bench.prepare(content, i, round_=1) for i in (1, 2, 3)))
    sign = bench.made(outputs.Sign)[-1]
    assert isinstance(sign.vote, Commit) and sign.content == content
    assert bench.asked(Prepare) == []
