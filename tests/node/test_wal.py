"""The vote log: what a crash may cut off, what it may not lose, what it refuses to sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import node.wal
from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import UNSIGNED, Commit, Prepare, Proposal, RoundChange, Vote
from consensus.pbft.inputs import OwnVotes
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import LocalFault
from node.files import DurableFile
from node.wal import FILE_NAME, VoteLog, create_vote_log
from tests.node.support import code_of
from tests.sim.world import EPOCH_MS, MemoryFile, consensus_key

KEY = consensus_key("v0")
OTHER = consensus_key("v1")
BODIES = (b"one body", b"another body")


def content(height: int, name: str = "block") -> Content:
    return Content(height, sha256(name.encode()), EPOCH_MS, KEY, (sha256(b"tx"),), (), None)


def block_hash(height: int, name: str = "block") -> bytes:
    return sha256(f"{name} {height}".encode())


def proposal(height: int, round_: int, name: str = "block") -> Proposal:
    return Proposal(height, round_, content(height, name), (), (), KEY, UNSIGNED)


def prepare(height: int, round_: int, name: str = "block") -> Prepare:
    one = content(height, name)
    return Prepare(height, round_, one.digest, block_hash(height, name), KEY, UNSIGNED)


def commit(height: int, round_: int, name: str = "block") -> Commit:
    return Commit(height, round_, block_hash(height, name), KEY, UNSIGNED)


def prepared(height: int, round_: int, name: str = "block") -> PreparedCertificate:
    one = content(height, name)
    return PreparedCertificate(
        round_, one.digest, block_hash(height, name), b"\x07", (bytes(64),) * 3
    )


def change(height: int, round_: int, pair: PreparedCertificate | None = None) -> RoundChange:
    kept = None if pair is None else content(height)
    return RoundChange(
        height, round_, pair, None if pair is None else pair.round, kept, KEY, UNSIGNED
    )


def new_log() -> tuple[MemoryFile, VoteLog]:
    file = MemoryFile()
    return file, VoteLog.create(file, KEY)


def voted(file: MemoryFile, log: VoteLog) -> list[int]:
    """A height's votes as the core gives them; returns the file's size before each record."""
    sizes = []
    steps: list[tuple[Vote, Content | None, tuple[bytes, ...], PreparedCertificate | None]] = [
        (proposal(5, 0), None, (), None),
        (prepare(5, 0), content(5), BODIES, None),
        (commit(5, 0), None, (), prepared(5, 0)),
        (change(5, 1, prepared(5, 0)), None, (), None),
    ]
    for step in steps:
        sizes.append(len(file.data or b""))
        log.append(*step)
    return sizes


def all_of(own: OwnVotes) -> list[Any]:
    return [own.proposal, own.prepare, own.commit, own.round_change, own.prepared, own.contents]


def test_a_reopened_log_gives_the_core_all_that_it_needs() -> None:
    file, log = new_log()
    voted(file, log)
    again = VoteLog(file, KEY)
    own = again.own_votes(5)
    assert (
        all_of(own)
        == all_of(log.own_votes(5))
        == [
            proposal(5, 0),
            prepare(5, 0),
            commit(5, 0),
            change(5, 1, prepared(5, 0)),
            prepared(5, 0),
            (content(5),),
        ]
    )
    assert again.bodies(content(5).digest) == BODIES
    assert again.own_votes(6) == OwnVotes()
    assert again.height == 5


def test_a_log_torn_anywhere_in_its_last_record_is_the_log_before_it() -> None:
    file, log = new_log()
    sizes = voted(file, log)
    whole = file.data or b""
    for start, end in zip(sizes, [*sizes[1:], len(whole)], strict=True):
        file.data = whole[:start]
        before = all_of(VoteLog(file, KEY).own_votes(5))
        for cut in range(start, end):
            file.data = whole[:cut]
            found = VoteLog(file, KEY)
            assert all_of(found.own_votes(5)) == before
            assert file.data == whole[:start], "the torn bytes must not stay before new ones"
    file.data = whole[: sizes[-1] + 3]
    VoteLog(file, KEY).append(change(5, 2), None, (), None)
    assert VoteLog(file, KEY).own_votes(5).round_change == change(5, 2)


def test_a_file_that_grew_before_its_bytes_came_is_torn() -> None:
    file, log = new_log()
    voted(file, log)
    whole = file.data or b""
    file.data = whole + bytes(4096)
    assert VoteLog(file, KEY).own_votes(5).round_change is not None
    assert file.data == whole


def test_no_damaged_byte_goes_unnoticed() -> None:
    """Wherever one byte changes, a length too: no vote may be forgotten without a word."""
    file, log = new_log()
    voted(file, log)
    whole = bytearray(file.data or b"")
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = whole.copy()
            damaged[at] ^= flip
            file.data = bytes(damaged)
            assert code_of(VoteLog, file, KEY) == "VOTE_LOG_CORRUPT", at


def test_missing_empty_and_foreign_logs() -> None:
    file = MemoryFile()
    assert code_of(VoteLog, file, KEY) == "VOTE_LOG_MISSING"
    file.data = b""
    assert code_of(VoteLog, file, KEY) == "VOTE_LOG_CORRUPT"
    VoteLog.create(file, OTHER)
    assert code_of(VoteLog, file, KEY) == "VOTE_LOG_FOREIGN"


def test_a_log_belongs_to_the_first_chain_that_it_serves() -> None:
    file, log = new_log()
    assert log.floor == 0
    bound = VoteLog(file, KEY, b"a" * 32)
    bound.append(prepare(5, 0), None, (), None)
    bound.raise_floor(5)
    assert VoteLog(file, KEY, b"a" * 32).floor == 5
    assert code_of(VoteLog, file, KEY, b"b" * 32) == "VOTE_LOG_FOREIGN"


def test_a_log_that_went_with_its_folder_can_be_made_anew(tmp_path: Path) -> None:
    file = DurableFile(tmp_path / "votes" / "votes.log")
    assert file.read() is None
    VoteLog.create(file, KEY, 7)
    assert VoteLog(file, KEY).floor == 7
    assert (tmp_path / "votes").stat().st_mode & 0o777 == 0o700


def test_a_record_of_another_kind_is_not_skipped() -> None:
    file, _ = new_log()
    file.append(node.wal._record(["dance", 7]))
    assert code_of(VoteLog, file, KEY) == "VOTE_LOG_CORRUPT"


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (prepare(5, 0), prepare(5, 0, "other")),
        (prepare(5, 0), prepare(5, 0)),
        (commit(5, 0), commit(5, 0, "other")),
        (proposal(5, 0), proposal(5, 0, "other")),
        (change(5, 2), change(5, 2, prepared(5, 0))),
        (change(5, 2), prepare(5, 1)),
        (change(5, 2), commit(5, 1)),
        (change(5, 2), proposal(5, 1)),
        (change(5, 2), change(5, 1)),
        (prepare(5, 0), prepare(4, 0)),
        (change(5, 1), commit(4, 9)),
    ],
)
def test_double_signing_is_prevented(made: Vote, refused: Vote) -> None:
    """Each way, with the log as it is and with the log read again."""
    file, log = new_log()
    log.append(made, None, (), None)
    before = file.data
    for memory in (log, VoteLog(file, KEY)):
        with pytest.raises(LocalFault) as caught:
            memory.append(refused, None, (), None)
        assert caught.value.code == "DOUBLE_SIGN_PREVENTED"
    assert file.data == before


def test_votes_that_contradict_nothing_pass() -> None:
    file, log = new_log()
    voted(file, log)
    log.append(proposal(5, 1), None, (), None)
    log.append(prepare(5, 1), None, (), None)
    log.append(prepare(5, 3), None, (), None)
    log.append(prepare(6, 0), content(6), BODIES, None)
    assert VoteLog(file, KEY).own_votes(6).prepare == prepare(6, 0)


def test_votes_below_the_newest_but_not_left_rounds_are_known() -> None:
    file, log = new_log()
    voted(file, log)
    for memory in (log, VoteLog(file, KEY)):
        assert memory.knows(Prepare, 5, 0, block_hash(5))
        assert memory.knows(Commit, 5, 0, block_hash(5))
        assert not memory.knows(Prepare, 5, 0, block_hash(5, "other"))
        assert not memory.knows(Prepare, 5, 1, block_hash(5))
        assert not memory.knows(Commit, 6, 0, block_hash(6))
        assert memory.knows(Commit, 4, 0, block_hash(4))


def test_a_floor_forbids_votes_at_and_below_it() -> None:
    file = MemoryFile()
    log = VoteLog.create(file, KEY, floor=7)
    for memory in (log, VoteLog(file, KEY)):
        assert memory.floor == 7
        assert code_of(memory.check, prepare(7, 3)) == "DOUBLE_SIGN_PREVENTED"
        memory.check(prepare(8, 0))
        assert memory.knows(Prepare, 7, 0, block_hash(7)), "it may well have signed that"


def test_a_large_log_is_replaced_once_its_height_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node.wal, "REPLACE_BYTES", 2_000)
    file, log = new_log()
    voted(file, log)
    log.decided(5)
    assert log.own_votes(5).prepare is not None, "small files stay"
    log.append(prepare(6, 0), content(6), (bytes(3_000),), None)
    size = len(file.data or b"")
    log.decided(5)
    assert len(file.data or b"") == size, "height 6 is not decided yet"
    log.decided(6)
    assert len(file.data or b"") < 200
    for memory in (log, VoteLog(file, KEY)):
        assert memory.floor == 6
        assert memory.own_votes(6) == OwnVotes()
        assert code_of(memory.check, prepare(6, 1)) == "DOUBLE_SIGN_PREVENTED"
    log.append(prepare(7, 0), content(7), (), None)
    assert VoteLog(file, KEY).own_votes(7).prepare == prepare(7, 0)


def test_a_full_disk_loses_no_earlier_vote(tmp_path: Path) -> None:
    """Half a record on disk, an error, a restart with room: the vote was never made."""
    path = tmp_path / FILE_NAME

    class Full(DurableFile):
        def append(self, data: bytes) -> None:
            super().append(data[: len(data) // 2])
            raise LocalFault("DISK_FULL", "no space left")

    log = VoteLog.create(DurableFile(path), KEY)
    log.append(prepare(5, 0), content(5), BODIES, None)
    full = VoteLog(Full(path), KEY)
    assert code_of(lambda: full.append(commit(5, 0), None, (), prepared(5, 0))) == "DISK_FULL"
    mended = VoteLog(DurableFile(path), KEY)
    assert mended.own_votes(5).prepare == prepare(5, 0)
    assert mended.own_votes(5).commit is None
    mended.append(commit(5, 0), None, (), prepared(5, 0))
    mended.close()


def test_making_a_log_keeps_one_that_stands(tmp_path: Path) -> None:
    create_vote_log(tmp_path / "votes", KEY)
    file = DurableFile(tmp_path / "votes" / FILE_NAME)
    VoteLog(file, KEY).append(prepare(5, 0), None, (), None)
    create_vote_log(tmp_path / "votes", KEY)
    assert VoteLog(file, KEY).own_votes(5).prepare == prepare(5, 0)
    assert code_of(create_vote_log, tmp_path / "votes", OTHER) == "VOTE_LOG_FOREIGN"
    file.close()


@given(
    st.lists(st.tuples(st.sampled_from("pck"), st.integers(4, 7), st.integers(0, 3)), max_size=25)
)
def test_whatever_is_asked_nothing_contradictory_gets_on_disk(
    wishes: list[tuple[str, int, int]],
) -> None:
    """After any votes and restarts: heights never fall, no (kind, height, round) twice."""
    file, log = new_log()
    signed: list[Vote] = []
    for number, (kind, height, round_) in enumerate(wishes):
        name = f"block {number}"
        vote: Vote = change(height, round_)
        if kind != "k":
            vote = (prepare if kind == "p" else commit)(height, round_, name)
        if code_of(log.append, vote, None, (), None) == "":
            signed.append(vote)
        log = VoteLog(file, KEY)
    places = [(type(vote), vote.height, vote.round) for vote in signed]
    assert len(set(places)) == len(places)
    assert [vote.height for vote in signed] == sorted(vote.height for vote in signed)
    left: dict[int, int] = {}
    for vote in signed:
        assert vote.round >= left.get(vote.height, 0)
        if isinstance(vote, RoundChange):
            left[vote.height] = vote.round
