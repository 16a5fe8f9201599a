"""Every rule of docs/spec/consensus.md that the obvious version breaks, each shown twice: the
scenario ends well with the rule, and forks, stalls or leaks with the rule taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from consensus.block import Content, Header
from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote, contradiction
from consensus.pbft import checks, inputs, machine, outputs
from consensus.pbft.inputs import Now, OwnVotes
from consensus.pbft.state import State
from consensus.pbft.votebook import KEPT, VoteBook
from consensus.primitives.codec import encode
from consensus.primitives.errors import PeerFault
from consensus.validators import Thresholds
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, FAST, Fork, World, outcome_of, signed

Patch = pytest.MonkeyPatch


# --- thresholds -------------------------------------------------------------------------------


def equivocation_splits(n: int) -> bool:
    """An equivocating proposer and yes-man between two halves of the honest: do they fork?"""
    liar = 1  # proposes at height 1
    world = World(n, 0, liars={liar: "double"})
    world.partition = lambda a, b: liar in (a, b) or world.half(a) == world.half(b)
    world.start()
    world.at(20, lambda: world.liars[liar].propose(1))
    try:
        world.run(3_000)
        world.partition = lambda _a, _b: True
        world.run_to_height(2, 30_000)
    except Fork:
        return True
    return False


@pytest.mark.parametrize("n", [5, 6])
def test_quorum_is_two_thirds_rounded_up_not_2f_plus_1(n: int, monkeypatch: Patch) -> None:
    assert not equivocation_splits(n)
    monkeypatch.setattr(Thresholds, "quorum", property(lambda t: 2 * ((t.n - 1) // 3) + 1))
    assert equivocation_splits(n)


# --- rule 1 -----------------------------------------------------------------------------------


def test_rule_1_a_proposals_signature_covers_its_content(monkeypatch: Patch) -> None:
    def swapped() -> tuple[Bench, Proposal]:
        bench = Bench()
        vote = bench.proposal(bench.content())
        return bench, replace(vote, content=bench.content(extra_ms=7))

    bench, forged = swapped()
    with pytest.raises(PeerFault, match="SIGNATURE_INVALID"):
        bench.hear(forged)

    def without(vote: Proposal, chain_id: bytes) -> bytes:
        return encode([chain_id, vote.height, vote.round])

    monkeypatch.setattr(Proposal, "signing_bytes", without)
    bench, forged = swapped()
    bench.hear(forged)
    assert bench.s.accepted == forged  # a messenger chose the block


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


def test_rule_3_no_commit_for_an_outcome_that_is_not_the_own_one(monkeypatch: Patch) -> None:
    def commits() -> list[Commit]:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.executed(content, b"\x01" * 32)  # own code gave something else
        bench.hear(*(bench.prepare(content, i) for i in (1, 2, 3)))
        assert [one.own for one in bench.made(outputs.Diverged)] in ([b"\x01" * 32], [])
        return bench.asked(Commit)

    assert commits() == []

    def careless(state: State, out: list[outputs.Output]) -> None:
        for (_, block_hash), votes in state.votes.prepares(state.round).items():
            if len(votes) >= state.thresholds.quorum and Commit not in state.asked:
                me = state.context.me
                assert me is not None
                machine._sign(state, Commit(1, state.round, block_hash, me, bytes(64)), out)

    monkeypatch.setattr(machine, "_commit", careless)
    assert [vote.block_hash for vote in commits()] == [outcome_of(Bench().content())]


def test_rule_3_commits_of_a_round_already_left_decide(monkeypatch: Patch) -> None:
    def decides() -> bool:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.executed(content)
        bench.wait(FAST.round_timeout_ms)
        assert bench.s.round == 1
        bench.hear(*(bench.commit(content, i) for i in (1, 2, 3)))
        return any(one.content == content for one in bench.made(outputs.Decided))

    assert decides()
    everything = VoteBook.commits
    monkeypatch.setattr(
        VoteBook,
        "commits",
        lambda book: {key: seals for key, seals in everything(book).items() if key[0] >= 1},
    )
    assert not decides()  # and nobody will ever send it more for that round: it stalls


def test_rule_3_timers_of_a_decided_height_are_ignored(monkeypatch: Patch) -> None:
    def changes() -> list[RoundChange]:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.hear(*(bench.commit(content, i) for i in (1, 2, 3)))
        bench.now = Now(bench.now.wall_ms, 60_000)
        bench.put(inputs.Tick(None))
        return bench.asked(RoundChange)

    assert changes() == []
    advance = machine._advance

    def forgetful(state: State, now: Now, out: list[outputs.Output]) -> None:
        advance(state, now, out)
        if state.deadline_ms is not None and now.mono_ms >= state.deadline_ms:
            machine._enter_round(state, state.round + 1, now, out)

    monkeypatch.setattr(machine, "_advance", forgetful)
    assert changes() != []


# --- rule 4 -----------------------------------------------------------------------------------


def test_rule_4_no_vote_in_a_round_already_left(monkeypatch: Patch) -> None:
    """Having said "I prepared nothing" in round 1, a COMMIT in round 0 would let round 0 decide
    one block while round 1 freely chooses another."""

    def votes() -> tuple[list[Commit], list[RoundChange]]:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.executed(content)
        bench.wait(FAST.round_timeout_ms)
        bench.hear(*(bench.prepare(content, i) for i in (1, 2, 3)))
        return bench.asked(Commit), bench.asked(RoundChange)

    commits, (change,) = votes()
    assert commits == [] and change.prepared is None

    def every_round(state: State, out: list[outputs.Output]) -> None:
        for (_, block_hash), found in state.votes.prepares(0).items():
            if len(found) >= state.thresholds.quorum and Commit not in state.asked:
                me = state.context.me
                assert me is not None
                state.asked[Commit] = 0
                out.append(outputs.Sign(Commit(1, 0, block_hash, me, bytes(64))))

    monkeypatch.setattr(machine, "_commit", every_round)
    (commit,), (change,) = votes()
    assert contradiction(signed(commit, 0), signed(change, 0), CHAIN) is not None


def test_rule_4_a_prepared_pair_is_never_replaced_by_none(monkeypatch: Patch) -> None:
    def second_change() -> RoundChange:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content))
        bench.executed(content)
        bench.hear(*(bench.prepare(content, i) for i in (1, 2, 3)))
        bench.hear(*(bench.change(i, 1) for i in (1, 2)))  # round 1 prepares nothing
        bench.hear(*(bench.change(i, 2) for i in (1, 2)))
        return bench.asked(RoundChange)[-1]

    change = second_change()
    assert change.round == 2 and change.prepared is not None and change.prepared.round == 0
    assert change.content is not None and change.committed_round == 0
    enter = machine._enter_round

    def forgetting(state: State, round_: int, now: Now, out: list[outputs.Output]) -> None:
        enter(state, round_, now, out)
        state.prepared = None

    monkeypatch.setattr(machine, "_enter_round", forgetting)
    bench = Bench()
    commit = bench.commit(bench.content(), 0)
    assert contradiction(commit, signed(second_change(), 0), CHAIN) is not None


def test_rule_4_a_hidden_decision_is_found_again(monkeypatch: Patch) -> None:
    """Validator 0 alone hears round 0's COMMITs, decides, and can't be heard."""

    def forks() -> bool:
        world = World(4, 0)
        world.partition = lambda source, _target: source != 0
        world.hears = lambda target, vote: (
            target == 0 or not isinstance(vote, Commit) or (vote.height, vote.round) != (1, 0)
        )
        world.start()
        try:
            assert world.run(10_000, lambda: world.nodes[2].height >= 1)
        except Fork:
            return True
        assert world.blocks[1].certificate.round == 0  # as validator 0 decided it
        assert world.nodes[2].disk.chain[0].certificate.round > 0
        return False

    assert not forks()
    enter = machine._enter_round

    def forgetting(state: State, round_: int, now: Now, out: list[outputs.Output]) -> None:
        state.prepared = None
        state.asked.pop(Commit, None)
        enter(state, round_, now, out)

    monkeypatch.setattr(machine, "_enter_round", forgetting)
    assert forks()


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


def differing_changes(bench: Bench) -> tuple[Content, list[RoundChange]]:
    """ROUND-CHANGEs for round 2: one prepared a content in round 0, one another in round 1."""
    old, new = bench.content(1), bench.content(2, extra_ms=5)
    return new, [
        bench.change(1, 2, bench.prepared(old, 0, (1, 2, 3)), old),
        bench.change(2, 2, bench.prepared(new, 1, (0, 2, 3)), new),
        bench.change(3, 2),
    ]


def test_rule_5_prepared_values_need_not_agree(monkeypatch: Patch) -> None:
    """Round 2's proposer is validator 3; with n = 4 and one dead there is no other choice of three
    ROUND-CHANGEs, so asking for agreement would stall for good."""

    def accepted() -> Content | None:
        bench = Bench()
        new, changes = differing_changes(bench)
        bench.hear(bench.proposal(new, by=3, round_=2, changes=changes))
        return bench.s.accepted.content if bench.s.accepted else None

    assert accepted() == Bench().content(2, extra_ms=5)

    def agreeing(
        changes: tuple[RoundChange, ...] | list[RoundChange],
    ) -> PreparedCertificate | None:
        found = {change.prepared for change in changes if change.prepared is not None}
        if len({one.content_hash for one in found}) > 1:
            raise PeerFault("JUSTIFICATION_INVALID", "prepared values differ")
        return next(iter(found), None)

    monkeypatch.setattr(checks, "highest_prepared", agreeing)
    with pytest.raises(PeerFault):
        accepted()


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


def scattered(world: World) -> World:
    """Four validators whose rounds differ and whose links lose one message in five."""
    world.loss = 0.2
    for index, node in world.nodes.items():
        round_ = 3 * index
        if round_:
            vote = signed(RoundChange(1, round_, None, None, None, node.key, bytes(64)), index)
            node.disk.votes.append(vote)
    world.start()
    return world


def test_rule_6_t_plus_1_ahead_make_one_jump(monkeypatch: Patch) -> None:
    bench = Bench(n=7)  # t = 2
    bench.hear(bench.change(1, 9), bench.change(2, 6))
    assert bench.s.round == 0  # two may be lying
    bench.hear(bench.change(3, 4))
    assert bench.s.round == 4
    assert [vote.round for vote in bench.asked(RoundChange)] == [4]

    assert scattered(World(4, 3)).run_to_height(1, 8_000)
    monkeypatch.setattr(machine, "_jump", lambda *_args: None)
    assert not scattered(World(4, 3)).run_to_height(1, 8_000)


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


def test_rule_6_newest_votes_go_out_again(monkeypatch: Patch) -> None:
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content)
    own = bench.asked(Prepare)
    for _ in range(3):
        again = [o for o in bench.wait(1_000) if isinstance(o, outputs.Broadcast)]
        assert again and all(o.votes[-1].round == own[-1].round for o in again)
    (out,) = bench.put(inputs.Connected(bench.keys[2]))
    assert isinstance(out, outputs.Broadcast) and out.peer == bench.keys[2]
    assert {type(vote) for vote in out.votes} == {Prepare, RoundChange}

    def lossy() -> bool:
        world = World(4, 1)
        world.loss = 0.6
        world.start()
        return world.run_to_height(4, 120_000)

    assert lossy()
    monkeypatch.setattr(machine, "RESEND_MS", 10**9)
    assert not lossy()


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


def test_rule_8_free_proposals_shrink_and_end(monkeypatch: Patch) -> None:
    assert [checks.txs_max(4_000, r) for r in range(7)] == [4_000, 4_000, 1_000, 250, 62, 0, 0]
    assert checks.txs_max(1, 4) == 1

    def too_slow_a_block() -> bool:
        """100 transactions take 10 s; no timer is longer than 2 s."""
        world = World(4, 2, replace(FAST, block_txs_max=100))
        world.execute_ms = lambda content: 100 * len(content.wire_ids)
        world.start()
        for i in range(100):
            world.submit(f"tx {i}")
        return world.run_to_height(1, 40_000)

    assert too_slow_a_block()
    monkeypatch.setattr(checks, "txs_max", lambda most, _round: most)
    assert not too_slow_a_block()


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


def test_rule_8_one_waiting_transaction_moves_everybody(monkeypatch: Patch) -> None:
    def lonely() -> bool:
        """Only validator 3 knows the transaction; the proposer of height 1 is dead, and no empty
        block is due for an hour."""
        world = World(4, 0, replace(FAST, empty_block_interval_ms=3_600_000))
        world.start()
        world.run(20)
        world.nodes[1].crash()
        world.submit("the only one", 3)
        return world.run_to_height(1, 20_000)

    assert lonely()
    received = machine._received

    def deaf(state: State, vote: Vote, now: Now, out: list[outputs.Output]) -> None:
        received(state, vote, now, out)
        state.heard = False

    monkeypatch.setattr(machine, "_received", deaf)
    assert not lonely()


# --- rule 9 -----------------------------------------------------------------------------------


def power_cut(content_logged: bool) -> list[outputs.Output]:
    """The machine prepares and commits, then restarts from what its log holds."""
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content)
    bench.hear(*(bench.prepare(content, i) for i in (1, 2)))
    signs = bench.made(outputs.Sign)
    assert [type(sign.vote) for sign in signs] == [Prepare, Commit]
    assert [sign.content for sign in signs] == [content, None]  # once is enough
    prepare, commit = (signed(sign.vote, 0) for sign in signs)
    assert isinstance(prepare, Prepare) and isinstance(commit, Commit)
    logged = (content,) if content_logged else ()
    own = OwnVotes(None, prepare, commit, None, signs[1].prepared, logged)
    again = Bench(own=own)
    assert [o.content for o in again.made(outputs.Execute)] == [content]
    again.executed(content)
    again.hear(*(again.commit(content, i) for i in (1, 2)))
    again.hear(*(again.change(i, 1) for i in (1, 2)))
    assert again.asked(Prepare) == []
    assert again.asked(Commit) == []
    return again.out


def test_rule_9_the_content_is_logged_with_the_vote() -> None:
    """When all who prepared lose power, the committed block must still exist somewhere."""
    decided = [o for o in power_cut(content_logged=True) if isinstance(o, outputs.Decided)]
    assert decided[0].content is not None
    with pytest.raises(AssertionError, match="logged with the first vote"):
        power_cut(content_logged=False)


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


# --- other people's mistakes ------------------------------------------------------------------


def test_mistake_signatures_are_counted_by_distinct_signer(monkeypatch: Patch) -> None:
    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content), *[bench.commit(content, 1)] * 5)
    assert not bench.s.decided
    change = bench.change(1, 1)
    thrice = bench.proposal(bench.content(2), by=2, round_=1, changes=[change] * 3)
    with pytest.raises(PeerFault, match="JUSTIFICATION_INVALID"):
        bench.hear(thrice)

    def by_signature(state: State, vote: Proposal) -> PreparedCertificate | None:
        if len(vote.justification) < state.thresholds.quorum:
            raise PeerFault("JUSTIFICATION_INVALID", "too few")
        return checks.highest_prepared(vote.justification)

    monkeypatch.setattr(checks, "justification", by_signature)
    checks.proposal(bench.s, thrice)  # one validator alone justified a round


def test_mistake_a_timer_queued_behind_commits(monkeypatch: Patch) -> None:
    """The deadline has passed, but the deciding COMMIT is what the machine hears next."""

    def late_commit() -> list[RoundChange]:
        bench = Bench()
        content = bench.content()
        bench.hear(bench.proposal(content), *(bench.commit(content, i) for i in (1, 2)))
        assert bench.s.deadline_ms is not None
        bench.now = Now(bench.now.wall_ms, bench.s.deadline_ms + 1)
        bench.hear(bench.commit(content, 3))
        assert bench.made(outputs.Decided)
        return bench.asked(RoundChange)

    assert late_commit() == []
    advance = machine._advance

    def timer_first(state: State, now: Now, out: list[outputs.Output]) -> None:
        if state.deadline_ms is not None and now.mono_ms >= state.deadline_ms:
            machine._enter_round(state, state.round + 1, now, out)
        advance(state, now, out)

    monkeypatch.setattr(machine, "_advance", timer_first)
    assert late_commit() != []


def test_mistake_the_round_number_inside_the_hashed_header() -> None:
    """A content proposed again in a later round gives the same block, so that COMMITs of an
    earlier round and PREPAREs of a later one speak of one thing."""
    for wire in (Header, Content):
        assert not {"round", "seals", "certificate"} & {field.name for field in fields(wire)}

    bench = Bench()
    content = bench.content()
    bench.hear(bench.proposal(content))
    bench.executed(content)
    bench.hear(*(bench.prepare(content, i) for i in (1, 2)))
    certificate = bench.prepared(content, 0, (0, 1, 2))
    changes = [bench.change(i, 1, certificate) for i in (1, 2, 3)]
    bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
    first, second = bench.asked(Prepare)
    assert (first.round, second.round) == (0, 1)
    assert first.block_hash == second.block_hash == outcome_of(content)
    assert len(bench.made(outputs.Execute)) == 1  # nothing to execute again


def test_mistake_unbounded_buffers_for_far_rounds_and_heights(monkeypatch: Patch) -> None:
    def stored() -> int:
        bench = Bench()
        content = bench.content()
        for i in range(60):
            bench.hear(
                bench.commit(content, 1, round_=100 + i),
                bench.prepare(content, 1, round_=100 + i),
                bench.change(2, 100 + i),
                signed(replace(bench.commit(content, 1, round_=i), height=2), 1),
                signed(replace(bench.commit(content, 1, round_=i), height=3 + i), 1),
            )
        assert len(bench.s.ahead) == 1
        return len(bench.s.votes)

    assert stored() <= 3 * KEPT
    monkeypatch.setattr("consensus.pbft.votebook.KEPT", 10**9)
    assert stored() == 180


def test_mistake_a_forged_vote_pushes_out_anothers(monkeypatch: Patch) -> None:
    """Votes for the next height are kept unread, but not unsigned."""
    bench = Bench()
    early = signed(replace(bench.commit(bench.content(), 1), height=2), 1)
    bench.hear(early)
    forged = replace(bench.commit(bench.content(), 1, round_=9), height=2, signature=bytes(64))
    with pytest.raises(PeerFault, match="SIGNATURE_INVALID"):
        bench.hear(forged)
    assert list(bench.s.ahead.values()) == [early]
    monkeypatch.setattr(checks, "vote_signed", lambda *_args: None)
    bench.hear(forged)
    assert list(bench.s.ahead.values()) == [forged]


def test_mistake_timers_that_starve_while_nothing_arrives(monkeypatch: Patch) -> None:
    def times_out() -> bool:
        bench = Bench()
        bench.wait(FAST.empty_block_interval_ms + FAST.round_timeout_ms)
        return bench.s.round == 1

    assert times_out()
    monkeypatch.setattr(machine, "wake_at", lambda state: 10**9)
    assert not times_out()


def test_mistake_wake_at_never_stays_in_the_past() -> None:
    """A node that only looks on has no timers of its own: it must not spin."""
    bench = Bench(me=False)
    bench.wait(5_000)  # asserts that every Tick moves the next one into the future
    assert bench.s.round == 0
    bench.hear(bench.change(1, 2), bench.change(2, 2))
    assert bench.s.round == 2 and not bench.made(outputs.Sign)
    bench.wait(5_000)


def test_mistake_restarted_fresh_validators_stall_the_rest(monkeypatch: Patch) -> None:
    """Two of four come back at round 0 while the others stand at rounds 9 and 10."""

    def meets() -> bool:
        world = World(4, 0)
        for index in (0, 1):
            node = world.nodes[index]
            vote = RoundChange(1, 9 + index, None, None, None, node.key, bytes(64))
            node.disk.votes.append(signed(vote, index))
        world.start()
        return world.run_to_height(1, 8_000)

    assert meets()
    monkeypatch.setattr(machine, "_jump", lambda *_args: None)
    assert not meets()


def test_mistake_one_dead_validator_slows_every_block() -> None:
    def time_outs(skipping: bool) -> int:
        world = World(4, 0)
        world.skipping = skipping
        world.start()
        world.nodes[2].crash()
        world.run(20)
        world.nodes[2].crash()
        assert world.run_to_height(40, 120_000)
        dead = [world.blocks[h].content.proposer for h in world.blocks]
        assert world.nodes[2].key not in dead
        return world.time_ms

    assert time_outs(True) + 5 * FAST.round_timeout_ms < time_outs(False)


def test_mistake_a_content_built_for_the_height_before() -> None:
    bench = Bench(first=0)
    bench.wait(FAST.empty_block_interval_ms)
    assert bench.made(outputs.Build) == [outputs.Build(0, FAST.block_txs_max)]
    stale = replace(bench.content(0), height=2)
    bench.put(inputs.Built(0, stale))
    bench.put(inputs.Built(0, replace(bench.content(0), parent=bytes(32))))
    assert bench.asked(Proposal) == []
    bench.put(inputs.Built(0, bench.content(0)))
    assert len(bench.asked(Proposal)) == 1


def test_mistake_one_lying_prepare_names_the_decided_content() -> None:
    """What a decided hash stands for is told by own execution or by an honest PREPARE."""
    bench = Bench(n=4)
    content, other = bench.content(), bench.content(2, extra_ms=9)
    certificate = bench.prepared(other, 0, (1, 2, 3))
    bench.hear(bench.change(2, 1, certificate, other))
    bench.hear(bench.prepare(other, 1, outcome=outcome_of(content)))
    bench.hear(*(bench.commit(content, i) for i in (1, 2, 3)))
    (decided,) = bench.made(outputs.Decided)
    assert decided.content is None


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
