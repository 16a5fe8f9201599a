from __future__ import annotations

from collections import deque

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.errors import PeerFault
from p2p.wire import (
    REASON_BYTES_MAX,
    WRITE_BYTES,
    ConnectionLost,
    FrameReader,
    Goodbye,
    Hello,
    Outbox,
    Ping,
    Pong,
    Verdict,
    decode_control,
    encode_control,
    encode_frame,
    read_frame,
)


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30), min_size=1))
def test_frames_survive_any_cutting(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(payload) for payload in payloads)
    reader = FrameReader(40)
    heard: list[bytes] = []
    position = number = 0
    while position < len(stream):
        size = cuts[number % len(cuts)]
        heard += reader.feed(stream[position : position + size])
        position += size
        number += 1
    assert heard == payloads


def test_length_is_judged_before_the_content_comes() -> None:
    reader = FrameReader(100)
    assert reader.feed(b"\x00\x00\x00\x64") == []
    assert reader.feed(b"x" * 100) == [b"x" * 100]
    with pytest.raises(PeerFault) as caught:
        reader.feed(b"\x00\x00\x00\x65")
    assert caught.value.code == "FRAME_TOO_LARGE"


CONTROL_BYTES = [
    (Hello(1, b"instance", b"chain"), "010001" + b"instancechain".hex()),
    (Verdict(True), "0201"),
    (Verdict(False, "why"), "0200" + b"why".hex()),
    (Ping(258), "030000000000000102"),
    (Pong(258), "040000000000000102"),
    (Goodbye("bye"), "05" + b"bye".hex()),
]


@pytest.mark.parametrize(("message", "expected"), CONTROL_BYTES)
def test_control_messages_have_these_bytes(message: object, expected: str) -> None:
    assert encode_control(message).hex() == expected  # type: ignore[arg-type]
    assert decode_control(bytes.fromhex(expected)) == message


@given(st.binary(max_size=64))
def test_any_control_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        message = decode_control(data)
    except PeerFault as fault:
        assert fault.code == "BAD_CONTROL"
    else:
        assert decode_control(encode_control(message)) == message


def test_reasons_are_cut_and_cleaned() -> None:
    message = decode_control(encode_control(Goodbye("ü" * 1000)))
    assert message == Goodbye("ü" * (REASON_BYTES_MAX // 2))
    assert decode_control(b"\x05\x1b[31mred\n") == Goodbye("?[31mred?")


class Sink:
    """A stream that takes what is written once it's open."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.gate = trio.Event()

    async def read(self, bytes_max: int) -> bytes:
        return b""

    async def write(self, data: bytes) -> None:
        await self.gate.wait()
        self.writes.append(data)


async def test_small_frames_are_written_together(nursery: trio.Nursery) -> None:
    outbox, sink = Outbox(10_000_000, 100_000), Sink()
    sink.gate.set()
    payloads = [number.to_bytes(200, "big") for number in range(1000)]
    for payload in payloads:
        assert outbox.offer(payload)
    nursery.start_soon(outbox.run, sink)
    await outbox.flushed()
    assert len(sink.writes) == 4
    assert max(map(len, sink.writes)) <= WRITE_BYTES
    assert FrameReader(200).feed(b"".join(sink.writes)) == payloads
    nursery.cancel_scope.cancel()


async def test_large_frames_are_written_in_parts(nursery: trio.Nursery) -> None:
    outbox, sink = Outbox(10, 10), Sink()
    sink.gate.set()
    payload = bytes(200_000)
    assert outbox.offer(payload), "an empty queue takes any frame"
    nursery.start_soon(outbox.run, sink)
    await outbox.flushed()
    assert [len(data) for data in sink.writes] == [WRITE_BYTES] * 3 + [200_004 - 3 * WRITE_BYTES]
    nursery.cancel_scope.cancel()


def _was_full(outbox: Outbox) -> bool:
    return outbox.full_since is not None


async def test_full_outbox_refuses_and_says_since_when(nursery: trio.Nursery) -> None:
    outbox, sink = Outbox(1000, 5), Sink()
    for _ in range(5):
        assert outbox.offer(b"x" * 10)
    assert not _was_full(outbox)
    assert not outbox.offer(b"one too many")
    assert _was_full(outbox)
    nursery.start_soon(outbox.run, sink)
    sink.gate.set()
    await outbox.flushed()
    assert not _was_full(outbox)
    assert outbox.offer(b"x" * 999)
    assert not outbox.offer(b"xx")
    nursery.cancel_scope.cancel()


async def test_full_queue_of_a_peer_that_reads_is_no_fault(nursery: trio.Nursery) -> None:
    outbox, sink = Outbox(1_000_000, 1000), Sink()
    sink.gate.set()
    nursery.start_soon(outbox.run, sink)
    for _ in range(100):
        while outbox.offer(bytes(50_000)):
            pass
        before = len(sink.writes)
        while len(sink.writes) < before + 6:
            await trio.lowlevel.checkpoint()
        assert not _was_full(outbox)
    nursery.cancel_scope.cancel()


async def test_put_waits_for_room(nursery: trio.Nursery) -> None:
    outbox, sink = Outbox(1000, 1), Sink()
    nursery.start_soon(outbox.run, sink)
    order: list[int] = []

    async def put(number: int) -> None:
        await outbox.put(bytes([number]))
        order.append(number)

    async with trio.open_nursery() as putting:
        for number in range(5):
            putting.start_soon(put, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(order) < 5
        sink.gate.set()
    await outbox.flushed()
    assert len(FrameReader(1).feed(b"".join(sink.writes))) == 5
    nursery.cancel_scope.cancel()


async def test_read_frame_ends_with_the_stream() -> None:
    with pytest.raises(ConnectionLost):
        await read_frame(Sink(), FrameReader(10), deque())
