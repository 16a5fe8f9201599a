"""The book of votes: one place for each sender, kind and round, and few rounds kept."""

from __future__ import annotations

from consensus.messages import Commit, Prepare, RoundChange
from consensus.pbft.votebook import KEPT, VoteBook
from consensus.primitives.crypto import sha256

ONE, OTHER = sha256(b"one"), sha256(b"other")
X, Y = sha256(b"x"), sha256(b"y")


def commit(round_: int, sender: bytes = ONE, block_hash: bytes = X, mark: int = 0) -> Commit:
    return Commit(1, round_, block_hash, sender, bytes([mark]) * 64)


def test_a_vote_is_found_by_its_kind_sender_and_round_alone() -> None:
    book = VoteBook()
    vote = commit(3)
    assert book.add(vote)
    assert book.find(Commit, ONE, 3) is vote
    assert book.find(Commit, ONE, 2) is None
    assert book.find(Commit, OTHER, 3) is None
    assert book.find(Prepare, ONE, 3) is None


def test_the_first_vote_heard_keeps_its_place() -> None:
    book = VoteBook()
    first = commit(3)
    assert book.add(first) and not book.add(commit(3, block_hash=Y))
    assert book.by(ONE) == [first] and book.by(OTHER) == []


def test_the_newest_rounds_of_a_sender_are_kept_and_an_older_vote_is_refused() -> None:
    book = VoteBook()
    for round_ in range(1, KEPT + 2):
        assert book.add(commit(round_))
    assert [vote.round for vote in book.by(ONE)] == list(range(2, KEPT + 2))
    assert not book.add(commit(1)), "it would push out a newer one"
    assert not book.add(commit(2, mark=1)), "the oldest kept has its place"
    assert book.find(Commit, ONE, 2) == commit(2)
    assert len(book) == KEPT
    assert book.add(commit(1, OTHER)), "another's places are free"
    assert len(book) == len(list(book)) == KEPT + 1


def test_tallies_go_by_what_is_voted_for_and_name_each_sender_once() -> None:
    book = VoteBook()
    for vote in (commit(0, mark=1), commit(2, mark=2), commit(2, OTHER, mark=3)):
        book.add(vote)
    book.add(Prepare(1, 2, X, Y, ONE, bytes(64)))
    book.add(RoundChange(1, 2, None, None, None, ONE, bytes(64)))
    book.add(RoundChange(1, 4, None, None, None, ONE, bytes(64)))
    assert book.commits() == {
        (0, X): {ONE: b"\x01" * 64},
        (2, X): {ONE: b"\x02" * 64, OTHER: b"\x03" * 64},
    }
    assert [seal.round for seal in book.seals(X)] == [0, 2, 2] and book.seals(Y) == ()
    assert book.prepares(2) == {(X, Y): {ONE: bytes(64)}} and book.prepares(1) == {}
    assert [vote.round for vote in book.round_changes(2)] == [2] and book.round_changes(3) == []
    assert book.rounds_reached() == [4]
