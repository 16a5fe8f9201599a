"""`python -m scripts.relay DELAY_MS LISTEN=TARGET...`: TCP on loopback, each direction delayed.

A process of its own: what it costs is neither a node's nor the client's. Prints ``ready`` once it
listens, and runs until it is ended.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import trio

CHUNK_BYTES: Final = 1 << 16
CHUNKS_MAX: Final = 1024
"""On the way in one direction of one connection; then its sender waits."""

Late = tuple[float, bytes]


async def _take(
    source: trio.SocketStream, way: trio.MemorySendChannel[Late], delay_s: float
) -> None:
    async with way:
        while chunk := await source.receive_some(CHUNK_BYTES):
            await way.send((trio.current_time() + delay_s, chunk))


async def _give(way: trio.MemoryReceiveChannel[Late], target: trio.SocketStream) -> None:
    async for due, chunk in way:
        await trio.sleep_until(due)
        await target.send_all(chunk)
    await target.send_eof()


async def _carry(target_port: int, delay_s: float, stream: trio.SocketStream) -> None:
    """One connection; when either side breaks, both are closed."""
    try:
        async with stream, await trio.open_tcp_stream("127.0.0.1", target_port) as far:
            assert isinstance(far, trio.SocketStream)
            async with trio.open_nursery() as nursery:
                for source, target in ((stream, far), (far, stream)):
                    send, receive = trio.open_memory_channel[Late](CHUNKS_MAX)
                    nursery.start_soon(_take, source, send, delay_s)
                    nursery.start_soon(_give, receive, target)
    except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def relay(delay_s: float, routes: dict[int, int]) -> None:
    """``routes``: listening port -> target port."""
    async with trio.open_nursery() as nursery:
        for port, target in routes.items():
            carry = partial(_carry, target, delay_s)
            await nursery.start(partial(trio.serve_tcp, carry, port, host="127.0.0.1"))
        print("ready", flush=True)


def main(arguments: list[str]) -> None:
    delay_ms, *pairs = arguments
    ports = [pair.split("=") for pair in pairs]
    trio.run(relay, int(delay_ms) / 1000, {int(listen): int(target) for listen, target in ports})


if __name__ == "__main__":
    main(sys.argv[1:])
