"""Hosts on loopback, and a handler that remembers what it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import PeerFault
from p2p.host import Host, HostConfig
from p2p.link import LinkLimits
from p2p.ports import Channel, PeerAddress

CHAIN = b"chain id of the test"
PATIENCE_S = 30


def _seeds_by_key(count: int) -> list[bytes]:
    seeds = [bytes([number]) * 32 for number in range(1, count + 1)]
    return sorted(seeds, key=public_key)


SEEDS = _seeds_by_key(6)
"""In ascending order of their public keys: the first dials all others."""
KEYS = [public_key(seed) for seed in SEEDS]


class Recorder:
    """A Handler that keeps a diary; ``until`` waits for the diary to meet a condition."""

    def __init__(self) -> None:
        self.connects: list[bytes] = []
        self.disconnects: list[tuple[bytes, str]] = []
        self.faults: list[tuple[bytes, str]] = []
        self.messages: list[tuple[bytes, Channel, bytes]] = []
        self.answer: Callable[[bytes, bytes], Awaitable[bytes]] | None = None
        self.take: Callable[[bytes, Channel, bytes], Awaitable[None]] | None = None
        self.greet: Callable[[bytes], Awaitable[None]] | None = None
        self._changed = trio.Event()

    async def on_connect(self, peer: bytes) -> None:
        self.connects.append(peer)
        self._note()
        if self.greet is not None:
            await self.greet(peer)

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        self.disconnects.append((peer, reason))
        self._note()

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        self.faults.append((peer, fault.code))
        self._note()

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        self.messages.append((peer, channel, payload))
        self._note()
        if self.take is not None:
            await self.take(peer, channel, payload)

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        if self.answer is None:
            return payload[::-1]
        return await self.answer(peer, payload)

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():
                changed = self._changed
                await changed.wait()

    async def until_messages(self, count: int) -> None:
        await self.until(lambda: len(self.messages) >= count)

    async def until_counts(self, connects: int, disconnects: int) -> None:
        await self.until(
            lambda: (len(self.connects), len(self.disconnects)) == (connects, disconnects)
        )

    def _note(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


async def eventually(condition: Callable[[], bool]) -> None:
    """For what no handler is told of: look again and again, up to a limit."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)


@dataclass
class Net:
    """Starts hosts that know one another; each can be stopped by its own scope."""

    nursery: trio.Nursery
    hosts: dict[int, Host] = field(default_factory=dict)
    handlers: dict[int, Recorder] = field(default_factory=dict)
    scopes: dict[int, trio.CancelScope] = field(default_factory=dict)
    stopped: dict[int, trio.Event] = field(default_factory=dict)

    async def start(
        self,
        number: int,
        knows: dict[int, str | None],
        *,
        listen: str | None = "127.0.0.1:0",
        hello: bytes = CHAIN,
        limits: LinkLimits | None = None,
        accept_unlisted: bool = False,
    ) -> Host:
        """``knows`` maps other numbers to an address, or None where it only waits."""
        peers = tuple(
            PeerAddress(KEYS[other], f"node-{other}", (address,) if address else ())
            for other, address in knows.items()
        )

        def check(other: bytes) -> str | None:
            return None if other == hello else f"chain {other!r} is not {hello!r}"

        config = HostConfig(
            SEEDS[number],
            listen,
            peers,
            hello,
            check,
            accept_unlisted=accept_unlisted,
            limits=limits or LinkLimits(),
        )
        handler = self.handlers.setdefault(number, Recorder())
        host = self.hosts[number] = Host(config, handler)
        scope = self.scopes[number] = trio.CancelScope()
        stopped = self.stopped[number] = trio.Event()

        async def run(*, task_status: Any) -> None:
            try:
                with scope:
                    await host.run(task_status=task_status)
            finally:
                stopped.set()

        await self.nursery.start(run)
        return host

    async def stop(self, number: int) -> None:
        self.scopes[number].cancel()
        await self.stopped[number].wait()

    async def pair(self, **options: Any) -> tuple[Host, Host]:
        """Hosts 0 and 1, connected; 0 has dialled."""
        second = await self.start(1, {0: None}, **options)
        first = await self.start(0, {1: second.listen_address}, **options)
        await self.handlers[0].until(lambda: bool(self.handlers[0].connects))
        await self.handlers[1].until(lambda: bool(self.handlers[1].connects))
        return first, second
