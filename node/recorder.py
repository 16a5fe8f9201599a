"""The flight recorder: what the core was told lately, so that it can be told again elsewhere.

A ring of segments in memory; each begins with the whole state of the core, so the oldest can go at
any time and what is left still replays exactly. It is written to the data folder when something is
wrong, when the node stops, and on request; the two newest segments also go to a pair of files as
they grow, unsynced, so that even a killed process leaves them.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Final, Protocol

import trio

from consensus.pbft import machine
from consensus.pbft.inputs import Input, NewHeight, Now
from consensus.pbft.journal import (
    Entry,
    encode_entry,
    encode_state,
    outputs_mark,
    state_digest,
)
from consensus.pbft.outputs import Output
from consensus.pbft.state import State
from consensus.primitives.errors import LocalFault, PeerFault
from node import log
from node.flight import FORMAT, Closing, Header, record
from node.ports import Blocking, Reports

RING_BYTES: Final = 16 << 20
RING_INPUTS: Final = 200_000
SEGMENTS: Final = 8
TAPE_EVERY_BYTES: Final = 256 << 10
SUFFIX: Final = ".flight"

_log = log.get("recorder")


class Tape(Protocol):
    """Two files in turn, never synced. Raises OSError."""

    def begin(self, data: bytes) -> None:
        """Put ``data`` in the place of the older file."""

    def append(self, data: bytes) -> None:
        """Add to the newer one."""


class _Segment:
    """Records of consecutive inputs after one state."""

    def __init__(self, state: bytes, digest: bytes) -> None:
        self.state = state
        self.digest = digest
        self.data = bytearray()
        self.inputs = 0

    def __len__(self) -> int:
        return len(self.state) + len(self.data)


class Recorder:
    """Writes down what goes into the core. ``folder`` takes recordings that are kept."""

    def __init__(
        self,
        chain_id: bytes,
        blocking: Blocking,
        folder: Reports | None = None,
        tape: Tape | None = None,
        *,
        ring_bytes: int = RING_BYTES,
        ring_inputs: int = RING_INPUTS,
    ) -> None:
        self.version = ""
        """Of the software that runs."""
        self._chain_id = chain_id
        self._blocking = blocking
        self._folder = folder
        self._tape = tape
        self._segment_bytes = ring_bytes // SEGMENTS
        self._segment_inputs = ring_inputs // SEGMENTS
        self._segments: deque[_Segment] = deque()
        self._state: State | None = None
        self._silent = False
        self._taping: _Segment | None = None
        self._taped = 0
        self._due = trio.Event()

    def apply(self, state: State | None, event: Input, now: Now) -> tuple[State, list[Output]]:
        """``machine.apply``, written down. Raises what it raises."""
        self._before(state, event)
        try:
            after, outputs = machine.apply(state, event, now)
        except PeerFault as error:
            self._note(event, now, error.code)
            raise
        except Exception as error:
            self._note(event, now, f"!{type(error).__name__}")
            raise
        self._state = after
        self._note(event, now, outputs)
        return after, outputs

    # --- the ring ----------------------------------------------------------------------------

    def _before(self, state: State | None, event: Input) -> None:
        """Begin a segment when it is time; leave the state's digest before each height."""
        if self._silent:
            return
        try:
            segment = self._segments[-1] if self._segments else None
            if (
                segment is None
                or len(segment.data) >= self._segment_bytes
                or segment.inputs >= self._segment_inputs
            ):
                self._cut(state)
            elif isinstance(event, NewHeight):
                segment.data += record(b"C", state_digest(state))
                self._due.set()
        except Exception:
            self._give_up()

    def _cut(self, state: State | None) -> None:
        self._state = state
        self._segments.append(_Segment(encode_state(state), state_digest(state)))
        while len(self._segments) > SEGMENTS:
            self._segments.popleft()
        self._due.set()

    def _note(self, event: Input, now: Now, result: str | list[Output]) -> None:
        if self._silent:
            return
        try:
            mark = result if isinstance(result, str) else outputs_mark(result, self._chain_id)
            segment = self._segments[-1]
            segment.data += record(b"E", encode_entry(Entry(event, now, mark)))
            segment.inputs += 1
            if segment is self._taping and len(segment.data) - self._taped >= TAPE_EVERY_BYTES:
                self._due.set()
        except Exception:
            self._give_up()

    def _give_up(self) -> None:
        """What only looks on must never stop a node."""
        self._silent = True
        self._segments.clear()
        _log.exception("the flight recorder failed; nothing more is recorded")

    # --- what is kept of it --------------------------------------------------------------------

    def _header(self, reason: str, *, whole: bool) -> bytes:
        name, state = "", self._state
        if state is not None and state.context.me is not None:
            name = state.context.validators.name(state.context.me)
        header = Header(FORMAT, self._chain_id, name, self.version, reason, whole)
        return record(b"H", header.raw)

    def recording(self, reason: str) -> bytes:
        """The whole ring as a file. Raises LocalFault RECORDING_EMPTY."""
        if not self._segments:
            raise LocalFault("RECORDING_EMPTY", "nothing has been recorded")
        parts = [self._header(reason, whole=True)]
        for index, segment in enumerate(self._segments):
            if index == 0:
                parts.append(record(b"S", segment.state))
            else:
                parts.append(record(b"C", segment.digest))
            parts.append(bytes(segment.data))
        inputs = sum(segment.inputs for segment in self._segments)
        parts.append(record(b"Z", Closing(inputs, state_digest(self._state)).raw))
        return b"".join(parts)

    def keep(self, reason: str) -> None:
        """Leave the recording in the node's folder. A fault there stops nobody."""
        if self._folder is not None and self._segments:
            self._write(reason, self.recording(reason))

    async def keep_beside(self, reason: str) -> None:
        """The same while the node goes on."""
        if self._folder is not None and self._segments:
            data = self.recording(reason)
            await self._blocking.run(lambda: self._write(reason, data))

    def _write(self, reason: str, data: bytes) -> None:
        assert self._folder is not None
        height = 0 if self._state is None else self._state.context.height
        name = f"{height}-{reason}{SUFFIX}"
        try:
            self._folder.write(name, data)
            _log.info("flight recording kept", name=name, reason=reason)
        except LocalFault as error:
            _log.error(
                "flight recording not kept", name=name, code=error.code, reason=error.message
            )

    # --- the tape ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Brings the segments to the tape as they grow, until cancelled."""
        while self._tape is not None and not self._silent:
            await self._due.wait()
            self._due = trio.Event()
            while (piece := self._next_piece()) is not None:
                await self._blocking.run(partial(self._put, *piece))

    def _next_piece(self) -> tuple[bool, bytes] | None:
        """What the tape lacks: whether it begins a segment, and the bytes."""
        segments = list(self._segments)
        if not segments:
            return None
        if self._taping in segments:
            segment = self._taping
            if self._taped < len(segment.data):
                data = bytes(segment.data[self._taped :])
                self._taped = len(segment.data)
                return False, data
            following = segments[segments.index(segment) + 1 :]
            if not following:
                return None
            segment = following[0]
        else:
            segment = segments[-1]
        self._taping, self._taped = segment, len(segment.data)
        head = self._header("as it ran", whole=False) + record(b"S", segment.state)
        return True, head + bytes(segment.data)

    def _put(self, begins: bool, data: bytes) -> None:
        if self._tape is None:
            return
        try:
            if begins:
                self._tape.begin(data)
            else:
                self._tape.append(data)
        except OSError as error:
            _log.warning("flight recorder's tape not written", reason=str(error))
            self._tape = None
