"""Whose turn it is: by the chain's own record, so that the dead and the slow hold nobody up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.block import Content
from consensus.certificates import Certificate
from consensus.primitives.crypto import sha256
from consensus.turns import (
    ABSENCES_MAX,
    ABSENT_FROM,
    PRESENCE,
    SKIP_DOUBLINGS_MAX,
    SKIP_TURNS,
    Lapse,
    Turns,
    out_of_turn,
    proposer_order,
    turns_after,
)
from consensus.validators import Validator, ValidatorSet, bitmap
from tests.vectors.samples import TIME_MS

Sealed = Callable[[int, int], bool]


def consortium(count: int, first: int = 0) -> ValidatorSet:
    return ValidatorSet(
        tuple(
            Validator(f"v{n}", sha256(bytes([n])), "9520123000004")
            for n in range(first, first + count)
        )
    )


def quorum_of(validators: ValidatorSet) -> int:
    return validators.thresholds("byzantine").quorum


def content(height: int, proposer: bytes, seals: list[int], n: int) -> Content:
    """A block's content; ``seals``: positions whose seals its last certificate has."""
    certificate = Certificate(height - 1, 0, bytes(32), bitmap(seals, n), ())
    return Content(height, sha256(b"parent"), TIME_MS, proposer, (), (), certificate)


@dataclass
class Run:
    """A chain whose proposers are dead or alive, and show the seals that a scenario says."""

    n: int
    dead: set[int] = field(default_factory=set)
    absent: Sealed = lambda proposer, position: False
    """Whether a proposer's certificates lack a living validator's seal."""
    keeps: Callable[[int, int], bool] = lambda height, position: True
    """Whether a living validator proposes when it is its turn."""
    height: int = 1
    turns: Turns = field(default_factory=Turns)
    lost: list[int] = field(default_factory=list)
    """Heights, once for each round that ended without a block."""
    proposed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.validators = consortium(self.n)
        self.keys = [one.key for one in self.validators.members]
        self.quorum = quorum_of(self.validators)

    def play(self, heights: int) -> Run:
        for _ in range(heights):
            order = proposer_order(self.validators, self.turns, self.height, self.quorum)
            for position in order:
                if position not in self.dead and self.keeps(self.height, position):
                    break
                self.lost.append(self.height)
            seals = [
                other
                for other in range(self.n)
                if other == position or not (other in self.dead or self.absent(position, other))
            ]
            block = content(self.height, self.keys[position], seals, self.n)
            self.turns = turns_after(
                self.validators, self.validators, self.turns, block, self.quorum
            )
            self.proposed.append(position)
            self.height += 1
        return self

    def out(self) -> set[int]:
        found = out_of_turn(self.validators, self.turns, self.height, self.quorum)
        return {self.keys.index(one.key) for one in found}

    def record(self, position: int) -> Lapse:
        found = {one.key: one for one in self.turns.lapses}
        return found.get(self.keys[position], Lapse(self.keys[position]))


# --- the rotation --------------------------------------------------------------------------------


def test_the_first_round_rotates_with_the_height() -> None:
    validators = consortium(4)
    firsts = [proposer_order(validators, Turns(), height, 3)[0] for height in range(8)]
    assert firsts == [0, 1, 2, 3, 0, 1, 2, 3]
    assert proposer_order(validators, Turns(), 6, 3) == (2, 3, 0, 1)


def test_while_all_are_there_nothing_is_recorded() -> None:
    run = Run(4).play(40)
    assert run.turns == Turns() and run.lost == []


def test_block_one_has_no_certificate_to_judge_by() -> None:
    validators = consortium(4)
    order = proposer_order(validators, Turns(), 1, 3)
    block = Content(1, bytes(32), TIME_MS, validators.members[order[0]].key, (), (), None)
    assert turns_after(validators, validators, Turns(), block, 3) == Turns()


# --- the dead ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 5, 7, 10])
def test_a_dead_validator_costs_one_time_out_and_no_more(n: int) -> None:
    run = Run(n, dead={1}).play(1_000)
    assert len(run.lost) == 1, f"of 1000 blocks {len(run.lost)} waited for the dead one of {n}"
    assert run.lost[0] <= n


def test_all_the_dead_that_a_quorum_does_without_cost_one_time_out_each() -> None:
    run = Run(7, dead={2, 3}).play(1_000)
    assert len(run.lost) == 2
    assert run.out() == {2, 3}


def test_two_that_miss_one_height_are_both_noted() -> None:
    run = Run(7, dead={1, 2}).play(1)
    assert run.proposed == [3] and run.out() == {1, 2}


def test_who_died_long_before_its_turn_is_never_waited_for() -> None:
    """In a large set its seals are missed before its turn comes."""
    run = Run(25, absent=lambda _, position: position == 20).play(ABSENT_FROM * 25 + 2)
    run.dead = {20}
    assert run.out() == {20}
    assert run.play(1_000).lost == []


def test_whoever_is_back_proposes_again_as_soon_as_it_seals() -> None:
    run = Run(4, dead={2}).play(SKIP_TURNS * 4 + 10)
    assert run.out() == {2}
    run.dead = set()
    run.play(-(-ABSENCES_MAX * 4 // PRESENCE))
    assert run.out() == set()
    assert 2 in run.play(4).proposed[-4:]
    assert run.record(2).misses == 1, "its miss is remembered for a while"
    assert run.play(2 * SKIP_TURNS * 4).turns == Turns()


def test_who_missed_a_turn_stays_out_for_a_while_though_it_seals() -> None:
    run = Run(4, keeps=lambda height, position: (height, position) != (6, 2))
    run.play(6)
    assert run.proposed[-1] == 3, "the sixth height was to be 2's"
    assert run.out() == {2}
    run.play(SKIP_TURNS * 4 - 2)
    assert run.out() == {2}
    assert run.play(1).out() == set()
    assert run.lost == [6]


def test_misses_double_up_to_a_bound() -> None:
    lapse, skips, height = Lapse(bytes(32)), [], 9
    for _ in range(SKIP_DOUBLINGS_MAX + 3):
        lapse = lapse.missed(height, 4)
        skips.append(lapse.skipped_until - height)
        height = lapse.skipped_until
    first = SKIP_TURNS * 4
    assert skips[:3] == [first, 2 * first, 4 * first]
    assert skips[-1] == skips[-2] == first << SKIP_DOUBLINGS_MAX
    assert lapse.misses == SKIP_DOUBLINGS_MAX + 3


def test_a_turn_missed_again_counts_with_those_before() -> None:
    validators = consortium(4)
    keys = [one.key for one in validators.members]
    before = Turns((Lapse(keys[1], misses=2, skipped_until=90),))
    block = content(101, keys[2], [0, 1, 2, 3], 4)
    (lapse,) = turns_after(validators, validators, before, block, 3).lapses
    assert (lapse.key, lapse.misses) == (keys[1], 3)
    assert lapse.skipped_until == 101 + 4 * SKIP_TURNS * 4


def test_misses_are_forgiven_after_as_long_a_time_as_the_last_one_cost() -> None:
    lapse = Lapse(bytes(32)).missed(100, 4).missed(300, 4)
    until = 300 + 2 * SKIP_TURNS * 4
    assert lapse.skipped_until == until
    good = until + 2 * SKIP_TURNS * 4
    assert lapse.forgiven(good - 1, 4) == lapse
    assert lapse.forgiven(good, 4) == Lapse(bytes(32))


def test_a_dead_one_is_not_forgiven_however_long_it_is_dead() -> None:
    run = Run(4, dead={1}).play(10 * SKIP_TURNS * 4)
    assert run.record(1).misses == 1


# --- the slow ------------------------------------------------------------------------------------


def test_a_slow_validator_is_soon_out_of_turn_and_never_tried_again() -> None:
    run = Run(4, absent=lambda _, position: position == 3).play(6)
    assert run.out() == {3}
    assert 3 not in run.play(1_000).proposed[6:]


def test_a_slow_one_has_its_own_seal_in_its_own_blocks_only() -> None:
    """What it says of itself neither helps nor harms it."""
    run = Run(4, absent=lambda proposer, position: position == 3).play(2)
    before = run.record(3)
    order = proposer_order(run.validators, run.turns, run.height, run.quorum)
    assert order[0] == 3
    run.play(1)
    assert run.record(3) == before


def test_the_longer_away_the_more_there_is_to_make_up_for() -> None:
    lapse = Lapse(bytes(32))
    for absences in range(1, 2 * ABSENCES_MAX * 4):
        lapse = lapse.sealed(False, 4)
        assert lapse.absent == (absences >= ABSENT_FROM * 4)
    assert lapse.absences == ABSENCES_MAX * 4
    back = [lapse := lapse.sealed(True, 4) for _ in range(3)]
    assert [(one.absences, one.absent) for one in back] == [(5, True), (2, True), (0, False)]


def test_seals_by_luck_don_t_bring_a_slow_one_back() -> None:
    heights: list[int] = []

    def lucky(_: int, position: int) -> bool:
        heights.append(position)
        return position == 3 and heights.count(3) % 5 != 0

    run = Run(4, absent=lucky).play(80)
    assert run.out() == {3}
    assert 3 not in run.play(500).proposed[80:]


def test_one_that_is_late_now_and_then_keeps_its_turns() -> None:
    heights: list[int] = []

    def stumbling(_: int, position: int) -> bool:
        heights.append(position)
        return position == 3 and heights.count(3) % 3 != 0

    run = Run(4, absent=stumbling)
    for _ in range(300):
        assert run.play(1).out() == set(), "absent two times of three"


def test_the_dead_go_before_the_slow_where_not_all_can_be_left_out() -> None:
    """The dead one would cost a whole time-out, the slow one only its delay."""
    run = Run(4, dead={0}, absent=lambda _, position: position == 1).play(200)
    assert run.out() == {0}
    assert 1 in run.proposed[-8:]


def test_the_longer_absent_goes_before_who_missed_more_turns() -> None:
    """Where a quorum can do without one of them."""
    validators = consortium(4)
    one, other, third = (member.key for member in validators.members[1:])
    lapses = [Lapse(one, 4, True), Lapse(other, 7, True), Lapse(third, 4, True, 9, 500)]
    worst = out_of_turn(validators, Turns(tuple(sorted(lapses, key=lambda x: x.key))), 100, 3)
    assert [lapse.key for lapse in worst] == [other]
    even = [Lapse(one, 4, True), Lapse(third, 4, True, 1, 500)]
    assert out_of_turn(validators, Turns(tuple(even)), 100, 3) == (even[1],)
    assert [lapse.key for lapse in out_of_turn(validators, Turns(tuple(lapses)), 100, 1)] == [
        *(other, third, one)
    ]


# --- liars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 7, 10, 13])
def test_attack_liars_leave_an_honest_one_out_of_their_certificates(n: int) -> None:
    liars = set(range((n - 1) // 3))
    run = Run(n, absent=lambda proposer, position: proposer in liars and position == n - 1)
    for _ in range(200):
        assert run.play(1).out() == set()


@pytest.mark.parametrize("n", [4, 7, 10, 13])
def test_attack_liars_also_hide_their_proposals_from_it(n: int) -> None:
    """So that it can't seal their blocks, and the honest successor has no seal of it to show."""
    liars = set(range(0, n - 1, 3))
    liars = set(sorted(liars)[: (n - 1) // 3])
    victim = n - 1

    def absent(proposer: int, position: int) -> bool:
        before = (proposer - 1) % n
        return position == victim and (proposer in liars or before in liars)

    run = Run(n, absent=absent)
    for _ in range(200):
        assert run.play(1).out() == set()


@pytest.mark.parametrize("n", [4, 7, 10, 13])
def test_attack_liars_keep_out_who_is_back(n: int) -> None:
    """With all they can do, one that was away is in turn again within a bound."""
    liars = set(range(0, n - 1, 3))
    liars = set(sorted(liars)[: (n - 1) // 3])
    victim = n - 1
    run = Run(n, absent=lambda _, position: position == victim).play(4 * n)
    assert run.out() == {victim}

    def absent(proposer: int, position: int) -> bool:
        before = run.proposed[-1]
        return position == victim and (proposer in liars or before in liars)

    run.absent = absent
    run.play(2 * ABSENCES_MAX * n * n)
    assert run.out() == set()


def test_attack_a_liar_seals_in_time_and_lets_its_turns_go_by() -> None:
    """It seals, so only its misses tell: each keeps it out for twice as long."""
    run = Run(4, keeps=lambda height, position: position != 1).play(3_000)
    assert len(run.lost) == 6


def test_attack_a_liar_misses_a_turn_whenever_it_has_been_forgiven() -> None:
    """The most that it can do without its skips growing: one time-out in 2 * SKIP_TURNS * n."""
    run = Run(4)
    run.keeps = lambda height, position: position != 1 or run.record(1).misses > 0
    run.play(2_000)
    gaps = {late - early for early, late in pairwise(run.lost)}
    assert gaps == {2 * SKIP_TURNS * 4 + 4}


def test_attack_proposing_when_others_failed_wipes_no_record() -> None:
    run = Run(4, keeps=lambda height, position: position != 1).play(2)
    before = run.record(1)
    assert before.misses == 1
    run.keeps = lambda height, position: position == 1
    run.play(1)
    assert run.proposed[-1] == 1 and run.record(1) == before


def test_those_in_turn_always_hold_an_honest_majority() -> None:
    """Whatever stands in the record: at least a quorum is in turn, f of them liars at most."""
    for n in range(1, 20):
        validators = consortium(n)
        lapses = [Lapse(one.key, 1, True, 9, 10**6) for one in validators.members]
        turns = Turns(tuple(sorted(lapses, key=lambda one: one.key)))
        for model in ("byzantine", "crash"):
            limits = validators.thresholds(model)
            out = out_of_turn(validators, turns, 5, limits.quorum)
            assert len(out) == n - limits.quorum
            assert n - len(out) > 2 * limits.tolerated_liars


# --- sets that change ----------------------------------------------------------------------------


def test_those_who_left_the_consortium_leave_the_record() -> None:
    turns = Turns((Lapse(sha256(b"gone"), 3, False, 1, 500),))
    validators = consortium(4)
    order = proposer_order(validators, turns, 3, 3)
    block = content(3, validators.members[order[0]].key, [0, 1, 2, 3], 4)
    assert turns_after(validators, validators, turns, block, 3) == Turns()


def test_seals_are_those_of_the_parent_s_validators() -> None:
    """Positions in a certificate are its own height's; who is new could not have sealed it."""
    before, now = consortium(4), consortium(5, first=2)
    block = content(8, now.members[4].key, [0, 1, 3], 4)
    assert proposer_order(now, Turns(), 8, 4)[0] == 3
    after = turns_after(before, before, Turns(), content(8, before.members[0].key, [0, 1, 3], 4), 3)
    assert [one.key for one in after.lapses] == [before.members[2].key]
    after = turns_after(now, before, Turns(), block, 4)
    (missed, late) = sorted(after.lapses, key=lambda one: one.absences)
    assert (missed.key, missed.misses) == (now.members[3].key, 1)
    assert (late.key, late.absences) == (before.members[2].key, 1)


def test_a_smaller_set_bounds_what_is_held_against_one() -> None:
    many, few = consortium(7), consortium(4)
    turns = Turns((Lapse(few.members[2].key, ABSENCES_MAX * 7, True),))
    block = content(9, few.members[proposer_order(few, turns, 9, 3)[0]].key, [0, 1, 3], 7)
    (one,) = (x for x in turns_after(few, many, turns, block, 3).lapses if x.absent)
    assert one.absences == ABSENCES_MAX * 4


# --- any record ----------------------------------------------------------------------------------


@st.composite
def records(draw: st.DrawFn) -> tuple[ValidatorSet, Turns, int]:
    validators = consortium(draw(st.integers(1, 25)))
    height = draw(st.integers(2, 2**40))
    chosen = draw(st.lists(st.sampled_from(validators.members), unique=True))
    lapses = [
        Lapse(
            one.key,
            draw(st.integers(0, ABSENCES_MAX * 64)),
            draw(st.booleans()),
            draw(st.integers(0, 2**31)),
            max(0, height + draw(st.integers(-5, 5))),
        )
        for one in sorted(chosen, key=lambda one: one.key)
    ]
    return validators, Turns(tuple(lapses)), height


@given(records(), st.data())
def test_everybody_is_in_the_order_exactly_once(
    world: tuple[ValidatorSet, Turns, int], data: st.DataObject
) -> None:
    """And the record after any block is one that every node computes alike, small and sorted."""
    validators, turns, height = world
    n, quorum = len(validators), quorum_of(validators)
    order = proposer_order(validators, turns, height, quorum)
    assert sorted(order) == list(range(n))
    out = [validators.index_of[one.key] for one in out_of_turn(validators, turns, height, quorum)]
    assert list(order[n - len(out) :]) == out[::-1]
    assert len(out) <= n - quorum
    proposer = data.draw(st.sampled_from(range(n)))
    seals = data.draw(st.lists(st.sampled_from(range(n)), unique=True).map(sorted))
    block = content(height, validators.members[proposer].key, seals, n)
    after = turns_after(validators, validators, turns, block, quorum)
    assert Turns.decode(after.raw) == after
    keys = [one.key for one in after.lapses]
    assert keys == sorted(set(keys)) and set(keys) <= set(validators.index_of)
    known = {one.key: one for one in turns.lapses}
    for lapse in after.lapses:
        position = validators.index_of[lapse.key]
        old = known.get(lapse.key, Lapse(lapse.key))
        went_by = order.index(position) < order.index(proposer)
        assert lapse.skipped_until > old.skipped_until or not went_by
        if position != proposer:
            assert (lapse.absences > old.absences) <= (position not in seals)


def test_whoever_has_one_absence_left_is_still_out_of_turn() -> None:
    lapse = Lapse(b"k" * 32, absences=PRESENCE + 1, absent=True)
    once = lapse.sealed(True, 4)
    assert (once.absences, once.absent) == (1, True)
    assert (once.sealed(True, 4).absences, once.sealed(True, 4).absent) == (0, False)
