"""Whose turn it is: by the chain's own record, so that a dead validator costs little."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from consensus.block import Block, Content
from consensus.params import Params
from consensus.primitives.crypto import sha256
from consensus.rules import (
    SKIP_DOUBLINGS_MAX,
    SKIP_TURNS,
    LongestWindow,
    Missed,
    Turns,
    evidence_key,
    is_whole,
    longest_window_after,
    make_header,
    proposer_order,
    turns_after,
)
from consensus.validators import Validator, ValidatorSet
from tests.vectors.samples import CHAIN_ID, TIME_MS, samples


def consortium(count: int) -> ValidatorSet:
    return ValidatorSet(
        tuple(Validator(f"v{n}", sha256(bytes([n])), "9520123000004") for n in range(count))
    )


def content(height: int, proposer: bytes) -> Content:
    return Content(height, sha256(b"parent"), TIME_MS, proposer, (), (), None)


def play(
    validators: ValidatorSet, dead: set[int], heights: range, turns: Turns
) -> tuple[int, Turns]:
    """A chain's blocks while some are dead: how many rounds were lost, and the record after."""
    lost = 0
    for height in heights:
        order = proposer_order(validators, turns, height)
        round_ = next(round_ for round_ in range(len(order)) if order[round_] not in dead)
        lost += round_
        proposer = validators.members[order[round_]].key
        turns = turns_after(validators, turns, content(height, proposer))
    return lost, turns


def test_the_first_round_rotates_with_the_height() -> None:
    validators = consortium(4)
    firsts = [proposer_order(validators, Turns(), height)[0] for height in range(8)]
    assert firsts == [0, 1, 2, 3, 0, 1, 2, 3]
    assert proposer_order(validators, Turns(), 6) == (2, 3, 0, 1)


def test_a_dead_validator_costs_a_time_out_ever_more_rarely() -> None:
    for count in (4, 7, 10):
        validators = consortium(count)
        lost, _ = play(validators, {1}, range(1, 1001), Turns())
        assert lost <= 8, f"{lost} of 1000 blocks waited for the dead one of {count}"
        # Without skipping, every n-th block would wait.
        assert lost < 1000 // count // 4


def test_whoever_is_back_gets_its_turns_again() -> None:
    validators = consortium(4)
    _, turns = play(validators, {2}, range(1, 20), Turns())
    (record,) = turns.missed
    assert record.key == validators.members[2].key
    _, turns = play(validators, set(), range(20, record.skipped_until + 5), turns)
    assert turns == Turns(), "a turn that was kept clears the record"
    firsts = {proposer_order(validators, turns, height)[0] for height in range(1000, 1004)}
    assert firsts == {0, 1, 2, 3}


def test_a_skipped_one_that_proposes_in_a_later_round_is_forgiven() -> None:
    validators = consortium(4)
    keys = [one.key for one in validators.members]
    turns = Turns((Missed(keys[0], 3, 10_000),))
    assert proposer_order(validators, turns, 5)[-1] == 0
    assert turns_after(validators, turns, content(5, keys[0])).missed != turns.missed
    after = turns_after(validators, turns, content(5, keys[0]))
    assert keys[0] not in {one.key for one in after.missed}


def test_with_everybody_skipped_everybody_is_ready() -> None:
    validators = consortium(4)
    turns = Turns(tuple(Missed(one.key, 1, 500) for one in validators.members))
    assert proposer_order(validators, turns, 5) == proposer_order(validators, Turns(), 5)


def test_misses_double_up_to_a_bound() -> None:
    validators = consortium(4)
    keys = [one.key for one in validators.members]
    turns, skips = Turns(), []
    height = 4
    for _ in range(SKIP_DOUBLINGS_MAX + 3):
        assert proposer_order(validators, turns, height)[0] == 0
        turns = turns_after(validators, turns, content(height, keys[1]))
        skips.append(turns.missed[0].skipped_until - height)
        height = turns.missed[0].skipped_until
        height += -height % 4
    first = SKIP_TURNS * 4
    assert skips[:3] == [first, 2 * first, 4 * first]
    assert skips[-1] == skips[-2] == first << SKIP_DOUBLINGS_MAX


def test_those_who_left_the_consortium_leave_the_record() -> None:
    turns = Turns((Missed(sha256(b"gone"), 1, 500),))
    validators = consortium(4)
    order = proposer_order(validators, turns, 3)
    after = turns_after(validators, turns, content(3, validators.members[order[0]].key))
    assert after == Turns()


@st.composite
def records(draw: st.DrawFn) -> tuple[ValidatorSet, Turns, int]:
    validators = consortium(draw(st.integers(1, 25)))
    height = draw(st.integers(1, 2**40))
    chosen = draw(st.lists(st.sampled_from(validators.members), unique=True))
    missed = [
        Missed(
            one.key,
            draw(st.integers(1, 2**31)),
            max(0, height + draw(st.integers(-5, 5))),
        )
        for one in sorted(chosen, key=lambda one: one.key)
    ]
    return validators, Turns(tuple(missed)), height


@given(records(), st.data())
def test_everybody_is_in_the_order_exactly_once(
    world: tuple[ValidatorSet, Turns, int], data: st.DataObject
) -> None:
    """And the record after any block is one that every node computes alike, small and sorted."""
    validators, turns, height = world
    order = proposer_order(validators, turns, height)
    assert sorted(order) == list(range(len(validators)))
    waiting = {one.key for one in turns.missed if one.skipped_until > height}
    if len(waiting) < len(validators):
        assert validators.members[order[0]].key not in waiting
    proposer = data.draw(st.sampled_from(validators.members)).key
    after = turns_after(validators, turns, content(height, proposer))
    keys = [one.key for one in after.missed]
    assert keys == sorted(set(keys)) and proposer not in keys
    assert set(keys) <= set(validators.index_of)
    scheduled = validators.members[order[0]].key
    assert (scheduled in keys) == (scheduled != proposer)
    assert Turns.decode(after.raw) == after


def test_a_header_commits_to_every_part_of_its_block() -> None:
    block = samples()["Block"]
    assert isinstance(block, Block)
    header = make_header(
        block.content,
        chain_id=CHAIN_ID,
        receipts=(),
        state_root=sha256(b"state"),
        validators=consortium(4),
        next_validators=consortium(4),
        params=Params(),
        contracts_hash=sha256(b"contracts"),
        history_root=sha256(b"history"),
    )
    block = dataclasses.replace(block, header=header)
    assert is_whole(block)
    assert block.bodies and block.evidence and block.last_certificate
    for changed in ({"bodies": ()}, {"evidence": ()}, {"last_certificate": None}):
        assert not is_whole(dataclasses.replace(block, **changed))


def test_evidence_keys_are_distinct() -> None:
    assert evidence_key(sha256(b"a")) != evidence_key(sha256(b"b"))


def test_a_shorter_window_notes_the_longer_one() -> None:
    assert longest_window_after(None, 1_000, 600, 600) is None
    assert longest_window_after(None, 1_000, 600, 900) is None
    first = longest_window_after(None, 1_000, 600, 60)
    assert first == LongestWindow(600, 1_600)
    # Shorter still, while transactions of the longest may be valid, and after.
    assert longest_window_after(first, 1_600, 60, 10) == LongestWindow(600, 2_200)
    assert longest_window_after(first, 1_601, 60, 10) == LongestWindow(60, 1_661)
    assert longest_window_after(first, 1_100, 60, 60) is None
