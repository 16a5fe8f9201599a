"""The vote log: what this validator has signed, on disk before anybody hears of it.

One file, appended and synced once per vote. A record is ``length u32 | crc32 of the payload u32 |
crc32 of those eight bytes u32 | payload``, the payload a canonical array:

    ["log", validator key]                                      first, made together with the key
    ["chain", chain id]                                         whose votes; before the first one
    ["floor", height]                                           never vote at or below this height
    ["vote", vote bytes, content | nil, bodies, prepared | nil]

A torn last record is a vote that nobody heard: it is cut off. A record that is there in full length
and wrong, or whose length is, means that votes may be missing: the log is no memory any more and
the validator must not trust it. The length has a checksum of its own, or a damaged one would make
all that follows look torn.

When the file has grown large and a height is decided, it is replaced by its head and a floor.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from consensus.block import BLOCK_BYTES_MAX, CONTENT_TXS_MAX, Content
from consensus.certificates import PreparedCertificate
from consensus.messages import (
    KINDS,
    MESSAGE_BYTES_MAX,
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    Vote,
    decode_vote,
    encode_vote,
)
from consensus.pbft.inputs import OwnVotes
from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, LocalFault, PeerFault
from node.files import DurableFile, io_fault
from node.ports import AppendFile

FILE_NAME: Final = "votes.log"
REPLACE_BYTES: Final = 32 << 20
RECORD_BYTES_MAX: Final = BLOCK_BYTES_MAX + 2 * MESSAGE_BYTES_MAX
_HEAD: Final = struct.Struct(">II")
_HEAD_CHECKSUM: Final = struct.Struct(">I")
HEAD_BYTES: Final = _HEAD.size + _HEAD_CHECKSUM.size


def _record(payload: Any) -> bytes:
    raw = encode(payload)
    head = _HEAD.pack(len(raw), zlib.crc32(raw))
    return head + _HEAD_CHECKSUM.pack(zlib.crc32(head)) + raw


def _split(data: bytes) -> tuple[list[Any], int]:
    """The payloads, and how many bytes of ``data`` they fill: less than all if the tail is torn.

    Raises LocalFault VOTE_LOG_CORRUPT for anything that a torn write doesn't explain.
    """

    def corrupt(why: str) -> LocalFault:
        return LocalFault("VOTE_LOG_CORRUPT", f"the record at byte {at} of the vote log {why}")

    payloads: list[Any] = []
    at = 0
    while at < len(data):
        head = data[at : at + HEAD_BYTES]
        if len(head) < HEAD_BYTES:
            break
        if _HEAD_CHECKSUM.unpack_from(head, _HEAD.size)[0] != zlib.crc32(head[: _HEAD.size]):
            if not any(data[at:]):
                break  # a file that was lengthened before its bytes came
            raise corrupt("has a damaged head")
        size, checksum = _HEAD.unpack_from(head)
        end = at + HEAD_BYTES + size
        if end > len(data):
            break
        raw = data[at + HEAD_BYTES : end]
        if zlib.crc32(raw) != checksum:
            raise corrupt("is damaged")
        try:
            payloads.append(decode(raw, bytes_max=RECORD_BYTES_MAX, items_max=CONTENT_TXS_MAX))
        except CodecError as error:
            raise corrupt(f"is unreadable: {error.message}") from None
        at = end
    return payloads, at


@dataclass
class _Height:
    """What the log holds of one height, newest of each kind."""

    votes: dict[type[Vote], Vote] = field(default_factory=dict)
    signed: dict[tuple[type[Vote], int], Vote] = field(default_factory=dict)
    contents: dict[bytes, Content] = field(default_factory=dict)
    bodies: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    prepared: PreparedCertificate | None = None


class VoteLog:
    """The signer's memory. ``height`` is the newest height voted in, ``floor`` as in the file."""

    def __init__(self, file: AppendFile, key: bytes, chain_id: bytes | None = None) -> None:
        """Reads the log, and binds a new one to ``chain_id`` (None: only look). Raises LocalFault
        VOTE_LOG_MISSING, VOTE_LOG_CORRUPT or VOTE_LOG_FOREIGN (another validator's or chain's)."""
        self._file = file
        self._key = key
        self._chain_id: bytes | None = None
        self.floor = 0
        self.height = 0
        self._newest = _Height()
        data = file.read()
        if data is None:
            raise LocalFault("VOTE_LOG_MISSING", "there is no vote log for this key")
        payloads, self._size = _split(data)
        if not payloads or payloads[0][:1] != ["log"]:
            raise LocalFault("VOTE_LOG_CORRUPT", "the vote log has no head")
        if payloads[0] != ["log", key]:
            raise LocalFault("VOTE_LOG_FOREIGN", "the vote log belongs to another validator key")
        if self._size < len(data):
            file.replace(data[: self._size])
        for payload in payloads[1:]:
            self._read(payload)
        if chain_id is not None:
            self._bind(chain_id)

    @classmethod
    def create(
        cls, file: AppendFile, key: bytes, floor: int = 0, chain_id: bytes | None = None
    ) -> VoteLog:
        """A new log. ``floor`` > 0 for a validator that lost its old one."""
        file.replace(_record(["log", key]) + (_record(["floor", floor]) if floor else b""))
        return cls(file, key, chain_id)

    def _bind(self, chain_id: bytes) -> None:
        if self._chain_id is None:
            record = _record(["chain", chain_id])
            self._file.append(record)
            self._size += len(record)
            self._chain_id = chain_id
        elif self._chain_id != chain_id:
            raise LocalFault(
                "VOTE_LOG_FOREIGN",
                f"the vote log holds votes on chain {self._chain_id.hex()}, this node's is"
                f" {chain_id.hex()}: a new chain wants a new consensus key",
            )

    @property
    def used(self) -> bool:
        """Whether a vote above the floor has been signed."""
        return bool(self._newest.signed)

    def _read(self, payload: Any) -> None:
        try:
            if payload[0] == "floor":
                self.floor = max(self.floor, payload[1])
                return
            if payload[0] == "chain":
                self._chain_id = bytes(payload[1])
                return
            _, raw, content, bodies, prepared = payload
            self._remember(
                decode_vote(raw),
                None if content is None else Content.decode(content),
                tuple(bodies),
                None if prepared is None else PreparedCertificate.decode(prepared),
            )
        except (CodecError, PeerFault, ValueError, TypeError, IndexError) as error:
            raise LocalFault("VOTE_LOG_CORRUPT", f"an unreadable record: {error}") from None

    def _remember(
        self,
        vote: Vote,
        content: Content | None,
        bodies: tuple[bytes, ...],
        prepared: PreparedCertificate | None,
    ) -> None:
        if vote.height > self.height:
            self.height = vote.height
            self._newest = _Height()
        here = self._newest
        here.votes[type(vote)] = vote
        here.signed[type(vote), vote.round] = vote
        if isinstance(vote, RoundChange):
            content, prepared = vote.content, vote.prepared
        if isinstance(vote, Proposal):
            content = vote.content
        if content is not None:
            here.contents[content.digest] = content
            if bodies:
                here.bodies[content.digest] = bodies
        if prepared is not None and (here.prepared is None or prepared.round > here.prepared.round):
            here.prepared = prepared

    def append(
        self,
        vote: Vote,
        content: Content | None,
        bodies: tuple[bytes, ...],
        prepared: PreparedCertificate | None,
    ) -> None:
        """Write a vote and wait for the disk. Raises LocalFault, also for a vote that contradicts
        the log: DOUBLE_SIGN_PREVENTED."""
        self.check(vote)
        record = _record(
            [
                "vote",
                encode_vote(vote),
                None if content is None else content.raw,
                list(bodies),
                None if prepared is None else prepared.raw,
            ]
        )
        self._file.append(record)
        self._size += len(record)
        self._remember(vote, content, bodies, prepared)

    def check(self, vote: Vote) -> None:
        """The last gate before a signature, independent of the consensus core."""

        def refuse(why: str) -> LocalFault:
            kind = type(vote).__name__
            return LocalFault(
                "DOUBLE_SIGN_PREVENTED", f"{kind} at {vote.height}/{vote.round}: {why}"
            )

        if vote.height <= self.floor or vote.height < self.height:
            raise refuse(f"the log has votes of height {max(self.floor, self.height)}")
        if vote.height > self.height:
            return
        here = self._newest
        if (type(vote), vote.round) in here.signed:
            raise refuse("a vote of this kind and round is already signed")
        left = here.votes.get(RoundChange)
        if left is not None and vote.round < left.round:
            raise refuse(f"rounds below {left.round} have been left")

    def knows(self, kind: type[Vote], height: int, round_: int, block_hash: bytes) -> bool:
        """Whether an own PREPARE or COMMIT that somebody shows stands in this log.

        Heights below the newest are no longer told apart: they count as known.
        """
        if height <= self.floor or height < self.height:
            return True
        if height > self.height:
            return False
        vote = self._newest.signed.get((kind, round_))
        return isinstance(vote, Prepare | Commit) and vote.block_hash == block_hash

    def holds(self, kind: int, height: int, round_: int, statement: bytes) -> bool:
        """Whether an own vote that somebody shows by what it signs stands in this log; heights
        below the newest are not told apart, as in ``knows``."""
        if height <= self.floor or height < self.height:
            return True
        if height > self.height or self._chain_id is None:
            return False
        vote = self._newest.signed.get((KINDS[kind], round_))
        return vote is not None and vote.signing_bytes(self._chain_id) == statement

    def own_votes(self, height: int) -> OwnVotes:
        """For the core's NewHeight: empty unless ``height`` is the newest one voted in."""
        if height != self.height:
            return OwnVotes()
        here = self._newest
        votes = here.votes
        return OwnVotes(
            _kind(votes, Proposal),
            _kind(votes, Prepare),
            _kind(votes, Commit),
            _kind(votes, RoundChange),
            here.prepared,
            tuple(here.contents.values()),
        )

    def bodies(self, content_hash: bytes) -> tuple[bytes, ...]:
        """The bodies kept with a content of the newest height."""
        return self._newest.bodies.get(content_hash, ())

    def decided(self, height: int) -> None:
        """A height is final: its votes matter no more, so a large file may shrink."""
        if self._size < REPLACE_BYTES or height < self.height:
            return
        self.raise_floor(height)

    def raise_floor(self, height: int) -> None:
        """Forget all votes and never vote at or below ``height``."""
        data = _record(["log", self._key])
        if self._chain_id is not None:
            data += _record(["chain", self._chain_id])
        data += _record(["floor", height])
        self._file.replace(data)
        self._size = len(data)
        self.floor = height
        self.height = max(self.height, height)
        self._newest = _Height()

    def close(self) -> None:
        self._file.close()


def _kind(votes: dict[type[Vote], Vote], kind: type[Any]) -> Any:
    return votes.get(kind)


def create_vote_log(folder: Path, key: bytes) -> None:
    """The empty log that is made together with a validator's key. An existing one is kept: it may
    hold votes. Raises LocalFault."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise io_fault("VOTE_LOG_IO", folder, error) from None
    file = DurableFile(folder / FILE_NAME)
    if file.read() is None:
        VoteLog.create(file, key)
    else:
        VoteLog(file, key)
    file.close()
