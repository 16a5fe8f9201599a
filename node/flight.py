"""The file of a flight recording, and its replay.

A file is a sequence of records, ``length u32 | crc32 of length and payload u32 | payload``, each
payload one letter and canonical bytes:

    H  [format, chain id, node's name, software version, reason, is whole]      first, once
    S  a whole state of the core                                                second, once
    C  digest of the state at this point
    E  an input, its moment, and the mark of what came of it (consensus.pbft.journal)
    Z  [inputs, digest of the state]                                 last, of a whole recording

One that the node was still writing when it was killed has no last record, and its tail may be torn.
Nothing here needs more of a node than the core itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from consensus.messages import MESSAGE_BYTES_MAX, Vote, contradiction
from consensus.pbft import machine
from consensus.pbft import outputs as out
from consensus.pbft.inputs import NewHeight
from consensus.pbft.journal import (
    STATE_BYTES_MAX,
    Entry,
    decode_entry,
    decode_state,
    outputs_mark,
    state_digest,
)
from consensus.pbft.outputs import Output
from consensus.pbft.state import State
from consensus.primitives.codec import HASH, Blob, Flag, Text, UInt, Wire
from consensus.primitives.errors import CodecError, InputError, PeerFault

FORMAT: Final = "hansa-flight/1"
RECORDING_BYTES_MAX: Final = 256 << 20
RECORD_BYTES_MAX: Final = STATE_BYTES_MAX + MESSAGE_BYTES_MAX
_HEAD: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True)
class Header(Wire):
    """Whose recording it is and why it was kept."""

    format: Annotated[str, Text(32)]
    chain_id: Annotated[bytes, HASH]
    node: Annotated[str, Text(256, 0)]
    version: Annotated[str, Text(64, 0)]
    reason: Annotated[str, Text(256, 0)]
    whole: Annotated[bool, Flag()]


@dataclass(frozen=True)
class Closing(Wire):
    """How many inputs there are, and the digest of the state after them."""

    inputs: Annotated[int, UInt()]
    digest: Annotated[bytes, Blob(32, 32)]


def record(letter: bytes, payload: bytes) -> bytes:
    """One record of a file."""
    length = _LENGTH.pack(len(payload) + 1)
    checksum = zlib.crc32(payload, zlib.crc32(letter, zlib.crc32(length)))
    return b"".join((length, _LENGTH.pack(checksum), letter, payload))


@dataclass(frozen=True)
class Recording:
    """What a file holds. ``checks``: number of inputs before it -> digest of the state there."""

    header: Header
    state: State | None
    entries: tuple[Entry, ...]
    checks: dict[int, bytes]
    closing: Closing | None
    torn_bytes: int


def _records(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(place, letter, payload) of each; stops before a torn one. Raises InputError."""
    at = 0
    while at + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, at)
        start, end = at + _HEAD.size, at + _HEAD.size + size
        if not 0 < size <= RECORD_BYTES_MAX:
            raise _damaged(at, "has no possible length")
        if end > len(data):
            return
        if zlib.crc32(data[start:end], zlib.crc32(_LENGTH.pack(size))) != checksum:
            raise _damaged(at, "is damaged")
        yield at, data[start : start + 1], data[start + 1 : end]
        at = end


def _damaged(at: int, why: str) -> InputError:
    return InputError("RECORDING_DAMAGED", f"the record at byte {at} {why}")


def read_recording(data: bytes) -> Recording:
    """Raises InputError RECORDING_FOREIGN, RECORDING_DAMAGED or RECORDING_CUT, naming the place."""
    if len(data) > RECORDING_BYTES_MAX:
        raise InputError("RECORDING_FOREIGN", "larger than any recording")
    header: Header | None = None
    state: State | None = None
    entries: list[Entry] = []
    checks: dict[int, bytes] = {}
    closing: Closing | None = None
    count, end = 0, 0
    for at, letter, payload in _records(data) if data[:3] == bytes(3) else ():
        count, end = count + 1, at + _HEAD.size + 1 + len(payload)
        try:
            if count == 1 and letter == b"H":
                header = Header.decode(payload)
                if header.format != FORMAT:
                    raise InputError("RECORDING_FOREIGN", f"of format {header.format!r}")
            elif header is None:
                break
            elif count == 2 and letter == b"S":
                state = decode_state(payload)
            elif letter == b"C":
                checks[len(entries)] = HASH.check(payload)
            elif letter == b"E" and count > 2:
                entries.append(decode_entry(payload))
            elif letter == b"Z" and count > 2 and end == len(data):
                closing = Closing.decode(payload)
            else:
                raise _damaged(at, "is in no place for it")
        except CodecError as error:
            raise _damaged(at, f"is unreadable: {error.message}") from None
    if header is None:
        raise InputError("RECORDING_FOREIGN", "this is no recording of a Hansa node")
    if count < 2 or (header.whole and (closing is None or closing.inputs != len(entries))):
        raise InputError(
            "RECORDING_CUT", f"the recording is cut off after byte {end}, {len(entries)} inputs"
        )
    return Recording(header, state, tuple(entries), checks, closing, len(data) - end)


# --- replay ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One input, replayed. ``problems``: why this is not what happened, or must never happen."""

    number: int
    entry: Entry
    state: State | None
    outputs: tuple[Output, ...]
    fault: str
    problems: tuple[str, ...]


class Replay:
    """Feeds a recording to the core and compares. ``different`` and ``unsafe`` are sentences."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.state = recording.state
        self.different: list[str] = []
        """Where the replay is not what was recorded."""
        self.unsafe: list[str] = []
        """What a sound core never does."""
        self._signed: list[Vote] = []
        self._decided: tuple[int, bytes] | None = None

    def steps(self, until: int | None = None) -> Iterator[Step]:
        """Replays input 1, 2, ... up to ``until``; ends early at an exception of the core."""
        entries = self.recording.entries[:until]
        for number, entry in enumerate(entries, 1):
            found: list[str] = []
            self._check_digest(number - 1, found)
            result: bytes | str | None
            outputs: list[Output] = []
            broken = False
            try:
                self.state, outputs = machine.apply(self.state, entry.event, entry.now)
                result = outputs_mark(outputs, self.state.context.chain_id)
            except PeerFault as error:
                result = error.code
            except Exception as error:  # the incident itself, perhaps
                result, broken = f"!{type(error).__name__}", True
            if result != entry.result:
                text = f"recorded {_told(entry.result)}, replayed {_told(result)}"
                self._differs(f"input {number}: {text}", found)
            before = len(self.unsafe)
            self._check_safety(entry, outputs)
            found += self.unsafe[before:]
            fault = result if isinstance(result, str) else ""
            yield Step(number, entry, self.state, tuple(outputs), fault, tuple(found))
            if broken:
                break
        else:
            if until is None or until >= len(self.recording.entries):
                self._check_end()

    def _differs(self, sentence: str, found: list[str]) -> None:
        self.different.append(sentence)
        found.append(sentence)

    def _check_digest(self, number: int, found: list[str]) -> None:
        recorded = self.recording.checks.get(number)
        if recorded is not None and recorded != state_digest(self.state):
            self._differs(f"after input {number}: the state's hash is another", found)

    def _check_end(self) -> None:
        found: list[str] = []
        self._check_digest(len(self.recording.entries), found)
        closing = self.recording.closing
        if closing is not None and closing.digest != state_digest(self.state):
            self._differs("at the end: the state's hash is another", found)

    # --- what a sound core never does ----------------------------------------------------------

    def _check_safety(self, entry: Entry, outputs: list[Output]) -> None:
        event = entry.event
        if isinstance(event, NewHeight):
            height, block_hash = self._decided or (0, b"")
            if height > 0 and height == event.height - 1 and block_hash != event.parent:
                self.unsafe.append(f"block {event.height - 1} is not the one decided here")
            own = event.own
            logged = (own.proposal, own.prepare, own.commit, own.round_change)
            self._signed = [one for one in self._signed if one.height >= event.height]
            self._signed += [one for one in logged if one is not None]
        for output in outputs:
            if isinstance(output, out.Sign):
                self._check_vote(output.vote)
            elif isinstance(output, out.Decided):
                self._check_decision(output)

    def _check_vote(self, vote: Vote) -> None:
        assert self.state is not None
        for other in self._signed:
            if contradiction(other, vote, self.state.context.chain_id) is not None:
                self.unsafe.append(
                    f"{type(vote).__name__} at {vote.height}/{vote.round} contradicts an own"
                    f" {type(other).__name__} of round {other.round}"
                )
        self._signed.append(vote)

    def _check_decision(self, output: out.Decided) -> None:
        assert self.state is not None
        context, certificate = self.state.context, output.certificate
        height, block_hash = self._decided or (0, b"")
        if height == certificate.height and block_hash != certificate.block_hash:
            self.unsafe.append(f"height {height} is decided twice")
        self._decided = certificate.height, certificate.block_hash
        try:
            certificate.check(context.chain_id, context.validators, self.state.thresholds.quorum)
        except PeerFault as error:
            self.unsafe.append(f"the decision's {error.message}")


def _told(result: bytes | str | None) -> str:
    if result is None:
        return "nothing to do"
    if isinstance(result, bytes):
        return f"outputs {result.hex()}"
    return f"a failure of the core, {result[1:]}" if result[:1] == "!" else f"fault {result}"
