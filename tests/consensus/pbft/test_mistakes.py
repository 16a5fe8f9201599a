"""Mistakes that others have made in such protocols, and what the rules marked **!** in
docs/spec/consensus.md prevent: one test each, named after the mistake. The scenario ends well with
the rule, and forks, stalls or leaks as soon as the mistake is made."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from consensus.block import Block, Content, Header, certificate_hash
from consensus.certificates import PreparedCertificate
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote, contradiction
from consensus.pbft import checks, inputs, machine, outputs
from consensus.pbft.inputs import Now, OwnVotes
from consensus.pbft.state import State
from consensus.pbft.votebook import KEPT, VoteBook
from consensus.primitives import merkle
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import PeerFault
from consensus.rules import is_whole
from consensus.transaction import Transaction
from consensus.validators import Thresholds
from tests.consensus.pbft.bench import Bench, differing_changes
from tests.consensus.pbft.world import CHAIN, FAST, Fork, World, outcome_of, signed
from tests.consensus.resigned import twice_signed
from tests.vectors.samples import samples

Patch = pytest.MonkeyPatch


# --- the well-known ones ---------------------------------------------------------------------


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
            machine._enter_round(state, state.round + 1, out)
        advance(state, now, out)

    monkeypatch.setattr(machine, "_advance", timer_first)
    assert late_commit() != []


def test_mistake_the_round_number_inside_the_hashed_header() -> None:
    """A content proposed again in a later round gives the same block, so that COMMITs of an
    earlier round and PREPAREs of a later one speak of one thing. Else the round in which some have
    decided and the one in which the rest do give two blocks."""
    for wire in (Header, Content):
        assert not {"round", "seals", "certificate"} & {field.name for field in fields(wire)}

    def block(content: Content, round_: int, inside: bool) -> bytes:
        return sha256(outcome_of(content) + bytes([round_])) if inside else outcome_of(content)

    def decided(round_: int, inside: bool) -> bytes:
        """All prepare in round 0. Its COMMITs arrive (round 0), or come too late and the content is
        proposed again (round 1)."""
        bench = Bench()
        content = bench.content()
        first = block(content, 0, inside)
        bench.hear(bench.proposal(content))
        bench.executed(content, first)
        bench.hear(*(bench.prepare(content, i, 0, first) for i in (1, 2)))
        if round_ == 1:
            votes = {bench.keys[i]: bench.prepare(content, i, 0, first).signature for i in range(3)}
            certificate = PreparedCertificate.build(
                0, content.digest, first, votes, bench.validators
            )
            changes = [bench.change(i, 1, certificate, committed=0) for i in (1, 2, 3)]
            if inside:  # the header is another one: so it is to be executed anew
                bench.s.outcomes.clear()
            bench.hear(bench.proposal(content, by=2, round_=1, changes=changes))
            bench.executed(content, block(content, 1, inside))
            bench.hear(*(bench.prepare(content, i, 1, block(content, 1, inside)) for i in (1, 2)))
            assert [vote.round for vote in bench.asked(Prepare)] == [0, 1]
            assert len(bench.made(outputs.Execute)) == 1  # nothing to execute again
        commit = bench.asked(Commit)[-1]
        assert commit.round == round_
        bench.hear(*(signed(replace(commit, sender=bench.keys[i]), i) for i in (1, 2)))
        (output,) = bench.made(outputs.Decided)
        return output.certificate.block_hash

    assert decided(0, inside=False) == decided(1, inside=False)
    assert decided(0, inside=True) != decided(1, inside=True)  # a fork without any liar


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


def test_mistake_timers_that_starve_while_nothing_arrives(monkeypatch: Patch) -> None:
    def times_out() -> bool:
        bench = Bench()
        bench.wait(FAST.empty_block_interval_ms + FAST.round_timeout_ms)
        return bench.s.round == 1

    assert times_out()
    monkeypatch.setattr(machine, "wake_at", lambda state: 10**9)
    assert not times_out()


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


# --- the rules marked ! in docs/spec/consensus.md --------------------------------------------


def test_mistake_a_transaction_is_named_by_its_unsigned_body(monkeypatch: Patch) -> None:
    """Its sender can sign one body in many ways, all valid. Named by the body alone, a messenger
    could put other bytes below a header that a quorum has signed."""

    def another_can_be_put_in() -> bool:
        block = samples()["Block"]
        assert isinstance(block, Block)
        one, other = twice_signed()
        block = replace(block, bodies=(one.raw,))
        header = replace(
            block.header,
            tx_root=merkle.root(block.wire_ids),
            evidence_root=merkle.root([found.raw for found in block.evidence]),
            last_certificate_hash=certificate_hash(block.last_certificate),
        )
        block = replace(block, header=header)
        assert is_whole(block)
        return is_whole(replace(block, bodies=(other.raw,)))

    assert not another_can_be_put_in()
    monkeypatch.setattr(
        Block,
        "wire_ids",
        property(lambda block: tuple(Transaction.parse(body).tx_id for body in block.bodies)),
    )
    assert another_can_be_put_in()


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
def test_mistake_a_quorum_of_2f_plus_1(n: int, monkeypatch: Patch) -> None:
    assert not equivocation_splits(n)
    monkeypatch.setattr(Thresholds, "quorum", property(lambda t: 2 * ((t.n - 1) // 3) + 1))
    assert equivocation_splits(n)


def test_mistake_a_proposals_signature_that_does_not_cover_its_content(monkeypatch: Patch) -> None:
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


def test_mistake_a_commit_for_an_outcome_that_is_not_the_own_one(monkeypatch: Patch) -> None:
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


def test_mistake_commits_of_a_round_already_left_are_not_counted(monkeypatch: Patch) -> None:
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


def test_mistake_timers_of_a_decided_height_count(monkeypatch: Patch) -> None:
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
            machine._enter_round(state, state.round + 1, out)

    monkeypatch.setattr(machine, "_advance", forgetful)
    assert changes() != []


def test_mistake_a_vote_in_a_round_already_left(monkeypatch: Patch) -> None:
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


def test_mistake_a_prepared_pair_is_replaced_by_none(monkeypatch: Patch) -> None:
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

    def forgetting(state: State, round_: int, out: list[outputs.Output]) -> None:
        enter(state, round_, out)
        state.prepared = None

    monkeypatch.setattr(machine, "_enter_round", forgetting)
    bench = Bench()
    commit = bench.commit(bench.content(), 0)
    assert contradiction(commit, signed(second_change(), 0), CHAIN) is not None


def test_mistake_a_hidden_decision_is_forgotten(
    monkeypatch: Patch,
) -> None:
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

    def forgetting(state: State, round_: int, out: list[outputs.Output]) -> None:
        state.prepared = None
        state.asked.pop(Commit, None)
        enter(state, round_, out)

    monkeypatch.setattr(machine, "_enter_round", forgetting)
    assert forks()


def test_mistake_prepared_values_have_to_agree(monkeypatch: Patch) -> None:
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


def test_mistake_rounds_are_gone_through_one_by_one(monkeypatch: Patch) -> None:
    bench = Bench(n=7)  # t = 2
    bench.hear(bench.change(1, 9), bench.change(2, 6))
    assert bench.s.round == 0  # two may be lying
    bench.hear(bench.change(3, 4))
    assert bench.s.round == 4
    assert [vote.round for vote in bench.asked(RoundChange)] == [4]

    assert scattered(World(4, 3)).run_to_height(1, 8_000)
    monkeypatch.setattr(machine, "_jump", lambda *_args: None)
    assert not scattered(World(4, 3)).run_to_height(1, 8_000)


def test_mistake_votes_are_sent_only_once(monkeypatch: Patch) -> None:
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


def test_mistake_a_block_too_slow_for_the_timer_is_proposed_again(
    monkeypatch: Patch,
) -> None:
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


def test_mistake_a_waiting_transaction_moves_only_the_node_that_has_it(monkeypatch: Patch) -> None:
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


def test_mistake_the_content_is_not_logged_with_the_vote() -> None:
    """When all who prepared lose power, the committed block must still exist somewhere."""
    decided = [o for o in power_cut(content_logged=True) if isinstance(o, outputs.Decided)]
    assert decided[0].content is not None
    with pytest.raises(AssertionError, match="logged with the first vote"):
        power_cut(content_logged=False)


# --- met while building this -----------------------------------------------------------------


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


def test_mistake_wake_at_never_stays_in_the_past() -> None:
    """A node that only looks on has no timers of its own: it must not spin."""
    bench = Bench(me=False)
    bench.wait(5_000)  # asserts that every Tick moves the next one into the future
    assert bench.s.round == 0
    bench.hear(bench.change(1, 2), bench.change(2, 2))
    assert bench.s.round == 2 and not bench.made(outputs.Sign)
    bench.wait(5_000)


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
