"""Votes on the wire: exact round trips, and nothing but the two expected errors for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.messages import Vote, decode_vote, encode_vote
from consensus.primitives.errors import CodecError, PeerFault
from tests.consensus.pbft.bench import Bench

B = Bench()
A = B.content(txs=3)
CERTIFICATE = B.prepared(A, 0, (1, 2, 3))
CHANGES = [B.change(i, 1, CERTIFICATE, A, committed=0) for i in (1, 2, 3)]
VOTES: dict[str, Vote] = {
    "proposal": B.proposal(A),
    "re-proposal": B.proposal(A, by=2, round_=1, changes=CHANGES),
    "prepare": B.prepare(A, 1),
    "commit": B.commit(A, 1),
    "round change": CHANGES[0],
    "empty round change": B.change(1, 7),
}


@pytest.mark.parametrize("name", VOTES)
def test_round_trip(name: str) -> None:
    vote = VOTES[name]
    raw = encode_vote(vote)
    again = decode_vote(raw)
    assert again == vote and type(again) is type(vote)
    assert encode_vote(again) == raw


def judge(raw: bytes) -> None:
    """Decodes or raises what is expected; what decodes has these very bytes."""
    try:
        vote = decode_vote(raw)
    except (CodecError, PeerFault):
        return
    assert encode_vote(vote) == raw


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x05\x90")
@example(b"\x02" + b"\xdc\x27\x10" * 600)
@example(b"\x04" + b"\x91" * 5000)
@example(b"\x01\xdd\xff\xff\xff\xff")
@example(b"\x03\x81\x90\xc0")
@example(b"\x03\xc7\x00\xff")
def test_any_bytes(raw: bytes) -> None:
    judge(raw)


@given(st.sampled_from(sorted(VOTES)), st.data())
def test_mutated_votes(name: str, data: st.DataObject) -> None:
    raw = bytearray(encode_vote(VOTES[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
        if change == "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        elif change == "cut" and len(raw) > 1:
            del raw[at]
        elif change == "insert":
            raw.insert(at, data.draw(st.integers(0, 255)))
        else:
            raw[at:at] = raw[at : at + 40]
    judge(bytes(raw))


@pytest.mark.parametrize("name", VOTES)
def test_truncated_and_trailing_bytes(name: str) -> None:
    raw = encode_vote(VOTES[name])
    with pytest.raises(CodecError):
        decode_vote(raw + b"\x00")
    for size in range(1, len(raw), max(1, len(raw) // 50)):
        with pytest.raises(CodecError):
            decode_vote(raw[:size])


def test_a_vote_of_no_known_kind() -> None:
    for raw in (b"", b"\x00", b"\x05" + encode_vote(VOTES["commit"])[1:], b"\xff"):
        with pytest.raises(PeerFault) as caught:
            decode_vote(raw)
        assert caught.value.code == "MESSAGE_MALFORMED"
