"""The flight recorder's ring, files and tape; and what a file may not do to who reads it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from consensus.pbft import machine
from consensus.pbft.inputs import Connected, Executed, Now, Received, Tick
from consensus.primitives.errors import InputError, LocalFault, PeerFault
from node import flight
from node.clock import InlineBlocking
from node.files import ReportFolder
from node.flight import Header, Replay, read_recording, record
from node.recorder import SEGMENTS, Recorder
from node.tape import EARLIER, NAMES, TapeFiles
from tests.consensus.pbft.bench import Bench
from tests.consensus.pbft.world import CHAIN, EPOCH_MS
from tests.sim.machine import MemoryReports


def recorder(**how: Any) -> Recorder:
    return Recorder(CHAIN, InlineBlocking(), **how)


def fed(made: Recorder, inputs: int = 50, bench: Bench | None = None) -> Bench:
    """Tells a machine some things through the recorder."""
    bench = Bench() if bench is None else bench
    content = bench.content()
    state = made._state
    told: list[Any] = [
        bench.context,
        Tick(None),
        Received(bench.proposal(content, by=1)),
        Executed(content.digest, bytes(32)),
    ]
    told += [Tick(index) for index in range(inputs - len(told))]
    for index, event in enumerate(told):
        state, _ = made.apply(state, event, Now(EPOCH_MS + index, index))
    return bench


def replayed(data: bytes) -> tuple[int, list[str], list[str]]:
    again = Replay(read_recording(data))
    count = sum(1 for _ in again.steps())
    return count, again.different, again.unsafe


def test_what_is_told_replays() -> None:
    made = recorder()
    fed(made)
    assert replayed(made.recording("test")) == (50, [], [])
    header = read_recording(made.recording("test")).header
    assert (header.node, header.reason, header.whole) == ("v0", "test", True)


def test_a_peer_s_fault_is_part_of_it() -> None:
    made, bench = recorder(), Bench()
    state, _ = made.apply(None, bench.context, Now(EPOCH_MS, 0))
    with pytest.raises(PeerFault):
        made.apply(state, Received(bench.proposal(bench.content(), by=2)), Now(EPOCH_MS, 1))
    recording = read_recording(made.recording("test"))
    assert recording.entries[-1].result == "NOT_THE_PROPOSER"
    assert replayed(made.recording("test")) == (2, [], [])


def test_a_failure_of_the_core_is_the_last_thing_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, bench, real = recorder(), Bench(), machine.apply
    state, _ = made.apply(None, bench.context, Now(EPOCH_MS, 0))

    def failing(state: Any, event: Any, now: Now) -> Any:
        if isinstance(event, Connected):
            raise AssertionError("a mistake in the core")
        return real(state, event, now)

    with monkeypatch.context() as patched:
        patched.setattr(machine, "apply", failing)
        with pytest.raises(AssertionError, match="a mistake"):
            made.apply(state, Connected(bytes(32)), Now(EPOCH_MS, 1))
        data = made.recording("test")
        assert replayed(data) == (2, [], []), "the same mistake happens again"
    count, different, _ = replayed(data)
    assert count == 2
    assert different == [
        "input 2: recorded a failure of the core, AssertionError, replayed nothing to do"
    ], "the mended core does otherwise"


def test_the_ring_is_bounded_and_replays_from_any_point() -> None:
    """Also within one height that never ends: that is what a stall looks like."""
    by_count = recorder(ring_inputs=SEGMENTS * 10)
    fed(by_count, inputs=3_000)
    recording = read_recording(by_count.recording("test"))
    assert SEGMENTS * 9 <= len(recording.entries) <= SEGMENTS * 10
    assert recording.state is not None
    assert replayed(by_count.recording("test"))[1:] == ([], [])
    by_size = recorder(ring_bytes=40_000)
    fed(by_size, inputs=3_000)
    assert 20_000 < len(by_size.recording("test")) < 60_000
    assert replayed(by_size.recording("test"))[1:] == ([], [])


def test_nothing_recorded_is_said() -> None:
    with pytest.raises(LocalFault, match="RECORDING_EMPTY"):
        recorder().recording("test")


def test_a_recorder_that_fails_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> bytes:
        raise ValueError("a mistake in the recorder")

    made = recorder()
    monkeypatch.setattr("node.recorder.encode_entry", broken)
    fed(made)
    with pytest.raises(LocalFault, match="RECORDING_EMPTY"):
        made.recording("test")


def test_kept_in_the_folder(tmp_path: Path) -> None:
    made = recorder(folder=ReportFolder(tmp_path / "flight", 2))
    fed(made)
    for reason in ("first", "second", "third"):
        made.keep(reason)
    names = sorted(path.name for path in (tmp_path / "flight").iterdir())
    assert names == ["1-second.flight", "1-third.flight"]
    data = (tmp_path / "flight" / "1-third.flight").read_bytes()
    assert replayed(data) == (50, [], [])
    recorder().keep("nowhere")


def test_a_full_disk_is_no_reason_to_stop() -> None:
    class Full(MemoryReports):
        def write(self, name: str, data: bytes) -> None:
            raise LocalFault("DISK_FULL", "no space left")

    made = recorder(folder=Full())
    fed(made)
    made.keep("test")


# --- the tape --------------------------------------------------------------------------------


async def test_a_killed_process_leaves_its_tape(tmp_path: Path) -> None:
    tape = TapeFiles(tmp_path)
    made = recorder(tape=tape, ring_inputs=SEGMENTS * 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        bench = Bench()
        for part in range(5):
            fed(made, 49, bench)  # each begins a height
            await trio.testing.wait_all_tasks_blocked()
            assert (tmp_path / NAMES[0]).exists() == (part >= 2), "two files in turn"
        nursery.cancel_scope.cancel()
    older, newer = (read_recording((tmp_path / name).read_bytes()) for name in NAMES)
    assert not newer.header.whole
    assert len(older.entries) == 100
    TapeFiles(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(EARLIER)
    for name in EARLIER:
        count, different, unsafe = replayed((tmp_path / name).read_bytes())
        assert count > 0
        assert (different, unsafe) == ([], [])


async def test_a_tape_that_can_t_be_written_is_given_up(tmp_path: Path) -> None:
    tape = TapeFiles(tmp_path / "tape")
    (tmp_path / "tape").rmdir()
    made = recorder(tape=tape)
    fed(made)
    with trio.fail_after(5):
        await made.run()


def test_a_clean_end_removes_the_tape(tmp_path: Path) -> None:
    tape = TapeFiles(tmp_path)
    tape.begin(b"one")
    tape.append(b"two")
    assert (tmp_path / NAMES[1]).read_bytes() == b"onetwo"
    tape.remove()
    assert list(tmp_path.iterdir()) == []


# --- files -----------------------------------------------------------------------------------


def small() -> bytes:
    made = recorder()
    fed(made, inputs=8)
    return made.recording("test")


def code(data: bytes) -> str:
    try:
        read_recording(data)
    except InputError as error:
        return error.code
    return "OK"


def test_a_cut_recording_is_named() -> None:
    data = small()
    assert code(data) == "OK"
    for end in range(len(data)):
        expected = {"RECORDING_CUT"} if end > 200 else {"RECORDING_CUT", "RECORDING_FOREIGN"}
        assert code(data[:end]) in expected, end
    assert code(data + b"x") == "RECORDING_DAMAGED"


def test_a_flipped_bit_is_named() -> None:
    data = bytearray(small())
    rng = random.Random(1)
    for at in range(len(data)):
        bit = 1 << rng.randrange(8)
        data[at] ^= bit
        assert code(bytes(data)) in {
            "RECORDING_DAMAGED",
            "RECORDING_CUT",
            "RECORDING_FOREIGN",
        }, at
        data[at] ^= bit


def test_other_files_are_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    other = record(b"H", Header("hansa-flight/9", CHAIN, "", "", "", True).raw)
    for data in (b"", b"{}", bytes(100), random.Random(1).randbytes(1000), other):
        assert code(data) in ("RECORDING_FOREIGN", "RECORDING_DAMAGED")
    assert code(other) == "RECORDING_FOREIGN"
    monkeypatch.setattr(flight, "RECORDING_BYTES_MAX", 10)
    assert code(small()) == "RECORDING_FOREIGN"


def test_records_in_the_wrong_place_are_refused() -> None:
    head = record(b"H", Header(flight.FORMAT, CHAIN, "", "", "", False).raw)
    assert code(head) == "RECORDING_CUT"
    assert code(head + record(b"E", b"\xc0")) == "RECORDING_DAMAGED"
    state = record(b"S", b"\xc0")
    assert code(head + state) == "OK"
    for letter in (b"H", b"S", b"X", b"E", b"C", b"Z"):
        assert code(head + state + record(letter, b"\xc0")) == "RECORDING_DAMAGED"


def test_a_torn_tail_is_left_out_of_a_running_one() -> None:
    whole = read_recording(small())
    head = record(b"H", Header(flight.FORMAT, CHAIN, "", "", "", False).raw)
    data = head + small()[len(record(b"H", whole.header.raw)) :]
    torn = read_recording(data[:-20])
    assert (torn.torn_bytes > 0, len(torn.entries)) == (True, 8)
