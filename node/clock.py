"""The machine's clock, and threads for what waits for the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class SystemClock:
    """Unix time and trio's monotonic time."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return int(trio.current_time() * 1000)

    async def sleep_ms(self, duration_ms: int) -> None:
        await trio.sleep(duration_ms / 1000)


class ThreadBlocking:
    """A thread for each call. Only for calls that wait long and return once (fsync, LevelDB)."""

    async def run(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call)


class InlineBlocking:
    """Where a disk is memory, there is nothing to wait for."""

    async def run(self, call: Callable[[], T]) -> T:
        return call()
