"""Committed positions for everyone who waits: clients, subscribers, sync, metrics.

Subscribers read from the store at their own pace and wait here for the next height, so there is no
queue that a slow one could fill.
"""

from __future__ import annotations

import trio


class Bus:
    """Knows the newest committed height, and wakes those who wait for a later one."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._changed = trio.Event()

    def committed(self, height: int) -> None:
        self.height = height
        self._changed.set()
        self._changed = trio.Event()

    async def beyond(self, height: int) -> None:
        """Returns once a block above ``height`` is committed."""
        while self.height <= height:
            await self._changed.wait()
