"""What the core was told, as bytes: nothing that a decision may depend on is lost or left out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import Prepare, RoundChange
from consensus.params import Params
from consensus.pbft import inputs, machine
from consensus.pbft import outputs as out
from consensus.pbft.inputs import Input, NewHeight, Now, OwnVotes
from consensus.pbft.journal import (
    MARK_BYTES,
    Entry,
    decode_entry,
    decode_state,
    encode_entry,
    encode_state,
    outputs_mark,
    state_digest,
)
from consensus.pbft.outputs import Output
from consensus.pbft.state import State
from consensus.pbft.votebook import VoteBook
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, PeerFault
from consensus.validators import VALIDATORS_MAX, Validator, ValidatorSet
from tests.consensus.pbft.world import FAST, World
from tests.vectors.samples import CHAIN_ID, KEYS, VALIDATORS, samples

WIRES: dict[str, Any] = samples()
PROPOSAL, CHANGE, PREPARE = WIRES["Proposal"], WIRES["RoundChange"], WIRES["Prepare"]
COMMIT, CONTENT = WIRES["Commit"], WIRES["Content"]
PREPARED = WIRES["PreparedCertificate"]

moments = st.integers(0, 2**53)
rounds = st.integers(0, 2**32 - 1)
hashes = st.binary(min_size=32, max_size=32)
votes = st.sampled_from([PROPOSAL, CHANGE, PREPARE, COMMIT]).flatmap(
    lambda vote: st.builds(lambda round_: dataclasses.replace(vote, round=round_), rounds)
)
own_votes = st.builds(
    OwnVotes,
    st.sampled_from([None, PROPOSAL]),
    st.sampled_from([None, PREPARE]),
    st.sampled_from([None, COMMIT]),
    st.sampled_from([None, CHANGE]),
    st.sampled_from([None, PREPARED]),
    st.sampled_from([(), (CONTENT,)]),
)
new_heights = st.builds(
    NewHeight,
    hashes,
    st.integers(0, 2**63 - 1),
    hashes,
    moments,
    st.just(VALIDATORS),
    st.just(VALIDATORS),
    st.sampled_from([Params(), FAST, Params(fault_model="crash")]),
    st.permutations(range(4)).map(tuple),
    st.sampled_from([None, *KEYS]),
    own_votes,
)
events = st.one_of(
    new_heights,
    st.builds(inputs.Received, votes),
    st.builds(inputs.Signed, votes),
    st.builds(inputs.Built, rounds, st.just(CONTENT)),
    st.builds(inputs.Executed, hashes, st.none() | hashes, st.text(max_size=200)),
    st.builds(inputs.Tick, st.none() | moments),
    st.builds(inputs.Connected, hashes),
)
results = st.none() | st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES) | st.just("A_CODE")


@given(events, moments, moments, results)
def test_every_input_comes_back_as_it_was(
    event: Input, wall: int, mono: int, result: bytes | str | None
) -> None:
    entry = Entry(event, Now(wall, mono), result)
    raw = encode_entry(entry)
    assert decode_entry(raw) == entry
    assert encode_entry(decode_entry(raw)) == raw


def test_every_kind_of_input_is_known() -> None:
    drawn = {NewHeight, inputs.Received, inputs.Signed, inputs.Built, inputs.Executed}
    assert set(Input.__args__) == drawn | {inputs.Tick, inputs.Connected}


def test_a_problem_s_text_is_cut_and_never_fails() -> None:
    event = inputs.Executed(bytes(32), None, "\ud800" + "ä" * 500)
    kept = decode_entry(encode_entry(Entry(event, Now(1, 1), None))).event
    assert isinstance(kept, inputs.Executed)
    assert kept.problem == "?" + "ä" * 199


GOOD = encode_entry(Entry(inputs.Connected(bytes(32)), Now(5, 6), None))


def _connected(*values: object) -> bytes:
    """An entry of a connection, with these values in front of its key."""
    return encode([*values, 7, bytes(32)])


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "MALFORMED"),
        (GOOD[:-1], "MALFORMED"),
        (GOOD + b"\x00", "MALFORMED"),
        (encode(None), "WRONG_TYPE"),
        (encode([1, 2, None]), "WRONG_TYPE"),
        (_connected(-1, 2, None), "OUT_OF_RANGE"),
        (_connected(1, 2, b"short"), "WRONG_TYPE"),
        (_connected(1, 2, 5), "WRONG_TYPE"),
        (_connected(1, 2, "A" * 65), "OUT_OF_RANGE"),
        (encode([1, 2, None, 0, bytes(32)]), "OUT_OF_RANGE"),
        (encode([1, 2, None, 8, bytes(32)]), "OUT_OF_RANGE"),
        (encode([1, 2, None, True, [bytes(32)]]), "OUT_OF_RANGE"),
        (encode([1, 2, None, 7]), "WRONG_TYPE"),
        (encode([1, 2, None, 7, bytes(31)]), "OUT_OF_RANGE"),
        (encode([1, 2, None, 7, bytes(32), 1]), "WRONG_TYPE"),
        (encode([1, 2, None, 2, b"\x09"]), "WRONG_TYPE"),
        (encode([1, 2, None, 2, "text"]), "WRONG_TYPE"),
        (encode([1, 2, None, 4, 2**32, CONTENT.raw]), "OUT_OF_RANGE"),
        (encode([1, 2, None, 4, 1, b""]), "MALFORMED"),
        (encode([1, 2, None, 1, [bytes(32)]]), "WRONG_TYPE"),
    ],
)
def test_bad_bytes_are_refused(raw: bytes, code: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_entry(raw)
    assert caught.value.code == code


def test_a_vote_of_another_kind_is_refused_where_one_of_its_own_belongs() -> None:
    context = dataclasses.replace(_state().context, own=OwnVotes(proposal=PREPARE))
    with pytest.raises(CodecError) as caught:
        decode_entry(encode_entry(Entry(context, Now(1, 2), None)))
    assert caught.value.code == "WRONG_TYPE"


@pytest.mark.parametrize("result", [None, bytes(MARK_BYTES), "A" * 64])
def test_each_kind_of_input_comes_back_with_what_came_of_it(result: bytes | str | None) -> None:
    many = (CONTENT,) * 1_100
    kinds: list[Input] = [
        _state().context,
        dataclasses.replace(_state().context, own=OwnVotes(PROPOSAL, contents=many)),
        inputs.Received(CHANGE),
        inputs.Signed(COMMIT),
        inputs.Built(3, CONTENT),
        inputs.Executed(CONTENT.digest, sha256(b"block"), "why"),
        inputs.Executed(CONTENT.digest, None),
        inputs.Tick(5),
        inputs.Tick(None),
        inputs.Connected(KEYS[2]),
    ]
    assert {type(one) for one in kinds} == set(Input.__args__)
    for event in kinds:
        entry = Entry(event, Now(7, 8), result)
        assert decode_entry(encode_entry(entry)) == entry


class Shadow:
    """Beside each ``apply``, the same input on the state's bytes read anew."""

    def __init__(self, every: int) -> None:
        self.every, self.count = every, 0
        self.seen: set[str] = set()

    def apply(
        self, state: State | None, event: Input, now: Now, real: Any
    ) -> tuple[State, list[Output]]:
        self.count += 1
        if self.count % self.every or state is None:
            after, made = real(state, event, now)
            return after, made
        copy = decode_state(encode_state(state))
        assert copy is not None
        assert state_digest(copy) == state_digest(state)
        raw = encode_entry(Entry(event, now, None))
        try:
            twin, twins = real(copy, decode_entry(raw).event, now)
        except PeerFault as fault:
            with pytest.raises(PeerFault, match=fault.code):
                real(state, event, now)
            assert state_digest(copy) == state_digest(state)
            raise
        after, made = real(state, event, now)
        assert outputs_mark(twins, CHAIN_ID) == outputs_mark(made, CHAIN_ID)
        assert twins == made
        assert state_digest(twin) == state_digest(after)
        self.seen |= {type(one).__name__ for one in made}
        self.seen |= {
            field.name for field in dataclasses.fields(State) if getattr(after, field.name)
        }
        return after, made


@pytest.mark.parametrize("liars", [{}, {2: "double"}, {3: "forger"}])
def test_a_state_read_from_its_bytes_goes_on_as_the_state_would(
    monkeypatch: pytest.MonkeyPatch, liars: dict[int, str]
) -> None:
    shadow, real = Shadow(every=3), machine.apply
    monkeypatch.setattr(machine, "apply", lambda s, e, n: shadow.apply(s, e, n, real))
    world = World(4, seed=5, liars=liars)
    world.loss, world.crash_rate = 0.1, 0.02
    world.start()
    for number in range(40):
        world.submit(f"tx {number}")
        world.run(200)
    assert shadow.count > 500
    assert {"Sign", "Execute", "Decided", "RoundEntered"} <= shadow.seen
    assert {"votes", "ahead", "previous", "prepared", "asked", "contents"} <= shadow.seen


def _state() -> State:
    """One in which everything is there."""
    context = NewHeight(
        CHAIN_ID, 2, sha256(b"parent"), 5, VALIDATORS, VALIDATORS, Params(), (0, 1, 2, 3), KEYS[0]
    )
    book, before = VoteBook(), VoteBook()
    for vote in (PROPOSAL, CHANGE, PREPARE):
        book.add(vote)
    before.add(COMMIT)
    return State(
        context,
        10,
        book,
        1,
        700,
        True,
        600,
        1,
        PROPOSAL,
        True,
        {CONTENT.digest: CONTENT},
        {CONTENT.digest: sha256(b"block"), bytes(32): None},
        {CONTENT.digest, bytes(32)},
        {CONTENT.digest},
        PREPARED,
        {Prepare: 0, RoundChange: 1},
        {Prepare: PREPARE, RoundChange: CHANGE},
        900,
        False,
        True,
        1,
        {(KEYS[3], 3), (KEYS[2], 1)},
        {(KEYS[1], Prepare): PREPARE},
        before,
    )


def test_a_state_comes_back_as_it_was() -> None:
    state = _state()
    back = decode_state(encode_state(state))
    assert back is not None
    for field in dataclasses.fields(State):
        old, new = getattr(state, field.name), getattr(back, field.name)
        if isinstance(old, VoteBook):
            old, new = list(old), list(new)
        assert new == old, field.name
    assert encode_state(back) == encode_state(state)
    assert state_digest(back) == state_digest(state)
    assert decode_state(encode_state(None)) is None


CHANGED: dict[str, Any] = {
    "context": dataclasses.replace(_state().context, own=OwnVotes(prepare=PREPARE)),
    "height_started_ms": 11,
    "votes": VoteBook(),
    "round": 2,
    "deadline_ms": None,
    "heard": False,
    "work_since_ms": 601,
    "build_asked": -1,
    "accepted": None,
    "late": False,
    "contents": {},
    "outcomes": {CONTENT.digest: sha256(b"block")},
    "executing": set(),
    "logged": set(),
    "prepared": None,
    "asked": {Prepare: 0, RoundChange: 2},
    "newest": {Prepare: PREPARE},
    "resend_ms": 901,
    "decided": True,
    "reported_divergence": False,
    "split_reported": -1,
    "caught": {(KEYS[3], 3)},
    "ahead": {},
    "previous": VoteBook(),
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(State)])
def test_each_part_of_the_state_counts(name: str) -> None:
    """Fails for a new field until it is part of the bytes."""
    before, state = _state(), _state()
    setattr(state, name, CHANGED[name])
    assert state_digest(state) != state_digest(before)
    restored = decode_state(encode_state(state))
    assert restored is not None
    assert encode_state(restored) == encode_state(state)
    for field in dataclasses.fields(State):
        ours, theirs = getattr(state, field.name), getattr(restored, field.name)
        if isinstance(ours, VoteBook):
            ours, theirs = list(ours), list(theirs)
        assert ours == theirs, field.name


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(NewHeight)])
def test_each_part_of_the_context_counts(name: str) -> None:
    changed: dict[str, Any] = {
        "chain_id": bytes(32),
        "height": 3,
        "parent": bytes(32),
        "parent_time_ms": 6,
        "validators": type(VALIDATORS)(VALIDATORS.members[:3]),
        "parent_validators": type(VALIDATORS)(VALIDATORS.members[:3]),
        "params": FAST,
        "order": (1, 0, 2, 3),
        "me": None,
        "own": OwnVotes(commit=COMMIT),
    }
    state = _state()
    state.context = dataclasses.replace(state.context, **{name: changed[name]})
    assert state_digest(state) != state_digest(_state())


def test_what_a_context_may_hold_at_most_and_at_least() -> None:
    """Sixty-four validators in any order, one alone; what the log held, its prepared pair too."""
    members = [Validator(f"w{n}", sha256(b"%d" % n), "org") for n in range(VALIDATORS_MAX)]
    own = OwnVotes(prepare=PREPARE, prepared=PREPARED, contents=(CONTENT,))
    for count in (1, VALIDATORS_MAX):
        state, chosen = _state(), ValidatorSet(tuple(members[:count]))
        order = tuple(reversed(range(count)))
        state.context = dataclasses.replace(
            state.context, validators=chosen, parent_validators=chosen, order=order, own=own
        )
        back = decode_state(encode_state(state))
        assert back is not None and back.context == state.context


def test_the_digest_is_the_same_everywhere() -> None:
    """A golden one: another process, Python or hash seed gives the same."""
    assert state_digest(_state()).hex() == DIGEST
    assert state_digest(None) == sha256(encode(None))


DIGEST = "682c57caac9666cbd0835bcd1ae56bb2cc307c74b2d578f4dd04464367e755c3"


def test_no_state_has_bytes_too() -> None:
    assert decode_state(encode_state(None)) is None


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_damaged_states_are_refused(cut: int) -> None:
    raw = encode_state(_state())
    with pytest.raises(CodecError):
        decode_state(raw[:-cut])


def test_a_book_with_a_vote_too_many_is_refused() -> None:
    state = _state()
    twice = [PREPARE, PREPARE]
    state.votes.__dict__["_votes"][Prepare] = {KEYS[1]: dict(enumerate(twice))}
    with pytest.raises(CodecError, match="one too many") as caught:
        decode_state(encode_state(state))
    assert caught.value.code == "OUT_OF_RANGE"


def test_a_long_height_s_state_comes_back_too() -> None:
    state = _state()
    state.executing = {sha256(bytes(number)) for number in range(1_100)}
    back = decode_state(encode_state(state))
    assert back is not None and back.executing == state.executing


def test_marks_tell_outputs_apart() -> None:
    evidence, certificate = WIRES["Evidence"], WIRES["Certificate"]
    bare = WIRES["RoundChange without a prepared pair"]
    cases: list[list[Output]] = [
        [out.Sign(PREPARE)],
        [out.Sign(PREPARE, CONTENT)],
        [out.Sign(COMMIT, CONTENT, PREPARED)],
        [out.Sign(CHANGE)],
        [out.Sign(CHANGE.without_content())],
        [out.Sign(PROPOSAL)],
        [out.Sign(dataclasses.replace(PROPOSAL, justification=(bare,)))],
        [out.Broadcast((PREPARE,))],
        [out.Broadcast((PREPARE,), KEYS[0])],
        [out.Broadcast((PREPARE, COMMIT))],
        [out.Build(0, 10)],
        [out.Build(1, 10)],
        [out.Build(1, 10, (COMMIT,))],
        [out.Execute(CONTENT, (), KEYS[0])],
        [out.Execute(CONTENT, (b"body",), KEYS[0])],
        [out.Decided(certificate, None)],
        [out.Decided(certificate, CONTENT)],
        [out.AnswerDecided(KEYS[0], 1)],
        [out.SplitVote(CONTENT, ((bytes(32), (KEYS[0],)),))],
        [out.Diverged(2, 0, None, bytes(32))],
        [out.Caught(evidence)],
        [out.RoundEntered(2, 1)],
        [out.RoundEntered(2, 1), out.RoundEntered(2, 2)],
    ]
    marks = [outputs_mark(case, CHAIN_ID) for case in cases]
    assert len(set(marks)) == len(cases)
    assert all(mark is not None and len(mark) == MARK_BYTES for mark in marks)
    assert {type(one) for case in cases for one in case} == set(Output.__args__)
    assert outputs_mark([], CHAIN_ID) is None
    assert sha256(b"".join(mark for mark in marks if mark)).hex() == MARKS, "as recorded before"
    assert outputs_mark(cases[0], bytes(32)) != marks[0], "what is signed names its chain"


MARKS = "30688216ade51271987b21ef2f4136eea2c0f580977cf609e0bcd0b5d4167871"
"""A golden one over all of the above: recordings are replayed by later versions, too."""
