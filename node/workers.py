"""Signature verification beside the event loop, in processes of its own.

Why not threads: a verifying thread must take the interpreter lock back after every signature and
waits out the switch interval each time beside a busy event loop; that gave 190 verifications a
second where one process fed in batches over a pipe gives over ten thousand.

Callers' items are merged into batches of up to 500 and shared out over the workers, at most two
batches in flight at each, so that a worker never waits for the event loop to come round. A worker
that died, froze or answered nonsense is replaced and its batches done again; after repeated
failures they are done inline, so verification gets slower but never stops. All paths end in
``consensus.primitives.crypto.verify``.
"""

from __future__ import annotations

import fcntl
import math
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import trio

from consensus.primitives.crypto import verify as verify_one
from node import log
from node.worker_main import LENGTH_BYTES

if TYPE_CHECKING:
    from trio_typing import TaskStatus

Item = tuple[bytes, bytes, bytes, bytes]
"""(public key, domain tag, message, signature)"""

BATCH_ITEMS_MAX: Final = 500
BATCH_ITEMS_MIN: Final = 50
BATCH_BYTES_MAX: Final = 1 << 20
IN_FLIGHT_MAX: Final = 2
QUEUED_ITEMS_MAX: Final = 20_000
INLINE_SLICE: Final = 25
INLINE_WHEN_IDLE: Final = 2
ATTEMPTS_MAX: Final = 3
ANSWER_TIMEOUT_S: Final = 15.0
RESTART_DELAY_S: Final = 0.1
RESTART_DELAY_MAX_S: Final = 5.0
STOP_TIMEOUT_S: Final = 1.0
PIPE_BYTES: Final = 1 << 20

_ROOT = Path(__file__).resolve().parent.parent
_log = log.get("workers")


class InlineVerifier:
    """``node.ports.Verifier`` in the event loop, a millisecond at a time. For the virtual world."""

    async def verify(self, items: Sequence[Item]) -> list[bool]:
        results: list[bool] = []
        for start in range(0, len(items), INLINE_SLICE):
            results += [verify_one(*item) for item in items[start : start + INLINE_SLICE]]
            await trio.lowlevel.checkpoint()
        return results


class WorkerFailed(Exception):
    """A worker process died, froze or broke the framing. Handled inside the pool."""


@dataclass(eq=False)
class _Job:
    """One caller's items; the slots are filled as batches return."""

    items: Sequence[Item]
    results: list[bool | None]
    missing: int
    done: trio.Event = field(default_factory=trio.Event)
    abandoned: bool = False

    def fill(self, start: int, results: Sequence[bool]) -> None:
        self.results[start : start + len(results)] = results
        self.missing -= len(results)
        if self.missing == 0:
            self.done.set()


@dataclass
class _Slice:
    job: _Job
    start: int
    stop: int


@dataclass(eq=False)
class _Batch:
    slices: list[_Slice]
    attempts: int = 0
    sent_at: float = 0.0

    def items(self) -> list[Item]:
        return [item for part in self.slices for item in part.job.items[part.start : part.stop]]

    def count(self) -> int:
        return sum(part.stop - part.start for part in self.slices)

    def finish(self, results: Sequence[bool]) -> None:
        offset = 0
        for part in self.slices:
            count = part.stop - part.start
            part.job.fill(part.start, results[offset : offset + count])
            offset += count


@dataclass
class PoolStats:
    """Running totals, for metrics and benchmarks."""

    items: int = 0
    batches: int = 0
    inline_items: int = 0
    restarts: int = 0


class VerifyPool:
    """Worker processes behind :meth:`verify`; they run while :meth:`run` does."""

    def __init__(self, processes: int = 1, *, command: Sequence[str] | None = None) -> None:
        if processes < 1:
            raise ValueError("a pool needs at least one process")
        self.stats = PoolStats()
        self._command = list(command or (sys.executable, "-m", "node.worker_main"))
        self._count = processes
        self._pending: deque[_Slice] = deque()
        self._pending_items = 0
        self._retries: deque[_Batch] = deque()
        self._in_flight = 0
        self._changed = trio.Event()
        self._processes: dict[int, trio.Process] = {}
        self._closed = False

    def pids(self) -> list[int]:
        """Process ids of the workers that are up."""
        return [process.pid for process in self._processes.values()]

    async def verify(self, items: Sequence[Item]) -> list[bool]:
        """For each item whether its signature is valid, in order. Waits while the queue is full."""
        if not items:
            return []
        idle = not self._pending and not self._retries and self._in_flight == 0
        if self._closed or (idle and len(items) <= INLINE_WHEN_IDLE):
            return await self._inline(items)
        while self._pending_items >= QUEUED_ITEMS_MAX and not self._closed:
            await self._changed.wait()
        job = _Job(items, [None] * len(items), len(items))
        self._pending.append(_Slice(job, 0, len(items)))
        self._pending_items += len(items)
        self._wake()
        try:
            await job.done.wait()
        except trio.Cancelled:
            job.abandoned = True
            raise
        if job.missing:  # the pool was closed meanwhile
            return await self._inline(items)
        return [bool(result) for result in job.results]

    async def run(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the workers up until cancelled; callers still waiting then verify inline."""
        try:
            async with trio.open_nursery() as nursery:
                for index in range(self._count):
                    nursery.start_soon(self._keep_worker, index)
                task_status.started()
        finally:
            self._closed = True
            self._wake()
            for part in self._pending:
                part.job.done.set()
            for batch in self._retries:
                self._abandon(batch)
            self._pending.clear()
            self._retries.clear()

    # --- batches ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @staticmethod
    def _abandon(batch: _Batch) -> None:
        for part in batch.slices:
            part.job.done.set()

    async def _next_batch(self) -> _Batch:
        while True:
            if self._retries:
                return self._retries.popleft()
            if (batch := self._take()).slices:
                return batch
            await self._changed.wait()

    def _take(self) -> _Batch:
        """A batch off the queue: an even share for this worker, within the limits."""
        room = math.ceil(self._pending_items / self._count)
        room = min(BATCH_ITEMS_MAX, max(BATCH_ITEMS_MIN, room))
        bytes_left = BATCH_BYTES_MAX
        slices: list[_Slice] = []
        while self._pending and room > 0 and bytes_left > 0:
            part = self._pending[0]
            stop = part.start
            while stop < part.stop and room > 0 and bytes_left > 0:
                bytes_left -= len(part.job.items[stop][2])
                stop += 1
                room -= 1
            self._pending_items -= stop - part.start
            if not part.job.abandoned:
                slices.append(_Slice(part.job, part.start, stop))
            else:
                room += stop - part.start
            if stop == part.stop:
                self._pending.popleft()
            else:
                part.start = stop
        self._wake()
        return _Batch(slices)

    async def _inline(self, items: Sequence[Item]) -> list[bool]:
        self.stats.items += len(items)
        self.stats.inline_items += len(items)
        return await InlineVerifier().verify(items)

    # --- one worker ------------------------------------------------------------------------------

    async def _keep_worker(self, index: int) -> None:
        """Start a worker, feed it, replace it when it fails; do its work inline while it can't."""
        failures = 0
        while True:
            answered = self.stats.batches
            try:
                await self._one_process(index)
            except* (WorkerFailed, OSError) as group:
                reason = str(group.exceptions[0])
            failures = 1 if self.stats.batches > answered else failures + 1
            self.stats.restarts += 1
            _log.warning("verification worker failed", worker=index, reason=reason, times=failures)
            delay_s = min(RESTART_DELAY_MAX_S, RESTART_DELAY_S * 2 ** min(failures - 1, 8))
            with trio.move_on_after(delay_s):
                if failures < ATTEMPTS_MAX:
                    await trio.sleep_forever()
                while True:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    await self._finish_inline(await self._next_batch())

    async def _finish_inline(self, batch: _Batch) -> None:
        # Shielded: a batch taken off the queue must not get lost with the restart timer.
        with trio.CancelScope(shield=True):
            batch.finish(await self._inline(batch.items()))

    async def _one_process(self, index: int) -> None:
        process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C goes to the node alone
        )
        sent: deque[_Batch] = deque()
        try:
            self._processes[index] = process
            _grow_pipe(process)
            slots = trio.Semaphore(IN_FLIGHT_MAX)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_batches, process, sent, slots)
                nursery.start_soon(self._receive_answers, process, sent, slots)
                nursery.start_soon(_watch, sent)
        finally:
            self._processes.pop(index, None)
            self._in_flight -= len(sent)
            for batch in reversed(sent):
                batch.attempts += 1
                self._retries.appendleft(batch)
            self._wake()
            await _stop(process)

    async def _send_batches(
        self, process: trio.Process, sent: deque[_Batch], slots: trio.Semaphore
    ) -> None:
        assert process.stdin is not None
        while True:
            await slots.acquire()
            batch = await self._next_batch()
            if batch.attempts >= ATTEMPTS_MAX:
                await self._finish_inline(batch)
                slots.release()
                continue
            batch.sent_at = trio.current_time()
            sent.append(batch)
            self._in_flight += 1
            payload: bytes = msgpack.packb(batch.items())
            try:
                await process.stdin.send_all(len(payload).to_bytes(LENGTH_BYTES, "big") + payload)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise WorkerFailed("its pipe is closed") from None

    async def _receive_answers(
        self, process: trio.Process, sent: deque[_Batch], slots: trio.Semaphore
    ) -> None:
        source: Any = process.stdout
        buffer = bytearray()
        while True:
            try:
                chunk = await source.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = b""
            if not chunk:
                raise WorkerFailed("it ended")
            buffer += chunk
            while len(buffer) >= LENGTH_BYTES:
                size = int.from_bytes(buffer[:LENGTH_BYTES], "big")
                expected = sent[0].count() if sent else 0
                if size != expected or size == 0:
                    raise WorkerFailed(f"it answered {size} bytes for {expected} items")
                if len(buffer) < LENGTH_BYTES + size:
                    break
                answer = bytes(buffer[LENGTH_BYTES : LENGTH_BYTES + size])
                del buffer[: LENGTH_BYTES + size]
                self._in_flight -= 1
                self.stats.batches += 1
                self.stats.items += size
                sent.popleft().finish([byte == 1 for byte in answer])
                slots.release()


async def _watch(sent: deque[_Batch]) -> None:
    """Raise when the oldest batch has waited too long: the worker is frozen."""
    while True:
        await trio.sleep(ANSWER_TIMEOUT_S / 5)
        if sent and trio.current_time() - sent[0].sent_at > ANSWER_TIMEOUT_S:
            raise WorkerFailed(f"no answer for {ANSWER_TIMEOUT_S:g} s")


def _grow_pipe(process: trio.Process) -> None:
    """Let a whole batch fit into the pipe, so that the worker needn't wait for our next turn."""
    if sys.platform == "linux" and process.stdin is not None:
        stream: Any = process.stdin
        with suppress(OSError):  # over the user's pipe allowance: slower, not wrong
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


async def _stop(process: trio.Process) -> None:
    """End and reap one worker: by closing its stdin, then by force."""
    with trio.CancelScope(shield=True):
        if process.stdin is not None:
            await process.stdin.aclose()
        with trio.move_on_after(STOP_TIMEOUT_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


@asynccontextmanager
async def open_pool(processes: int = 1) -> AsyncIterator[VerifyPool | InlineVerifier]:
    """A running pool, or inline verification with 0 processes."""
    if processes == 0:
        yield InlineVerifier()
        return
    async with trio.open_nursery() as nursery:
        pool = VerifyPool(processes)
        await nursery.start(pool.run)
        yield pool
        nursery.cancel_scope.cancel()
