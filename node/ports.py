"""The small doors through which the node's code reaches the world.

Engine, admission, mempool, proposer, chain, store and sync know clock, chance, disk, network and
workers only by these Protocols (and ``p2p.ports.Network``, ``node.store.kv.KV``), so the same code
runs on a machine and in a virtual world that a seed decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Time in whole milliseconds."""

    def wall_ms(self) -> int:
        """Unix time: for block times and expiry."""

    def mono_ms(self) -> int:
        """For timers; never goes back."""

    async def sleep_ms(self, duration_ms: int) -> None: ...


class Blocking(Protocol):
    """Runs a call that waits for the disk, so that the event loop needn't."""

    async def run(self, call: Callable[[], T]) -> T: ...


class AppendFile(Protocol):
    """One durable file that only grows, until it is replaced as a whole."""

    def read(self) -> bytes | None:
        """All of it, durable from now on; None if there is no such file."""

    def append(self, data: bytes) -> None:
        """Returns when the bytes are on disk. Raises LocalFault DISK_FULL or VOTE_LOG_IO."""

    def replace(self, data: bytes) -> None:
        """Make ``data`` the whole contents, durably and in one step."""

    def close(self) -> None: ...


class Reports(Protocol):
    """Where a node leaves reports for its operators."""

    def write(self, name: str, data: bytes) -> None:
        """Keep ``data`` durably under ``name``, and few enough in all: the oldest go. Raises
        LocalFault DISK_FULL or REPORT_IO."""


class Verifier(Protocol):
    """Checks Ed25519 signatures: (public key, tag, message, signature) each."""

    async def verify(self, items: list[tuple[bytes, bytes, bytes, bytes]]) -> list[bool]: ...
