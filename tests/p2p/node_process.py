"""A host in a process of its own, told what to do on stdin, telling what it hears on stdout.

node_process.py NUMBER PORT OTHER=ADDRESS ...
commands: send OTHER COUNT, stop
lines:    listening ADDRESS, connect OTHER, disconnect OTHER REASON, got OTHER COUNT
"""

from __future__ import annotations

import logging
import sys

import structlog
import trio

from consensus.primitives.errors import PeerFault
from p2p.host import Host, HostConfig
from p2p.link import LinkLimits
from p2p.ports import Channel, PeerAddress
from tests.p2p.support import CHAIN, KEYS, SEEDS


def say(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


class Teller:
    def __init__(self) -> None:
        self.received: dict[bytes, int] = {}

    async def on_connect(self, peer: bytes) -> None:
        self.received[peer] = 0
        say("connect", KEYS.index(peer))

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        say("disconnect", KEYS.index(peer), reason)

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        say("fault", KEYS.index(peer), fault.code)

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        if int.from_bytes(payload, "big") != self.received[peer]:
            say("disorder", KEYS.index(peer))
        self.received[peer] += 1
        if self.received[peer] % 1000 == 0:
            say("got", KEYS.index(peer), self.received[peer])

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        return payload


async def obey(host: Host, nursery: trio.Nursery) -> None:
    async for data in trio.lowlevel.FdStream(0):
        for line in data.decode().splitlines():
            match line.split():
                case ["send", other, count]:
                    for number in range(int(count)):
                        host.send(KEYS[int(other)], Channel.CONSENSUS, number.to_bytes(4, "big"))
                case _:
                    nursery.cancel_scope.cancel()
    nursery.cancel_scope.cancel()


async def main(number: int, port: str, *others: str) -> None:
    peers = []
    for other in others:
        name, _, address = other.partition("=")
        peers.append(PeerAddress(KEYS[int(name)], name, (address,) if address else ()))
    config = HostConfig(
        SEEDS[number],
        f"127.0.0.1:{port}",
        tuple(peers),
        CHAIN,
        lambda hello: None if hello == CHAIN else "wrong chain",
        limits=LinkLimits(ping_interval_s=0.2, frozen_s=1.5),
    )
    async with trio.open_nursery() as nursery:
        host = Host(config, Teller())
        await nursery.start(host.run)
        say("listening", host.listen_address)
        nursery.start_soon(obey, host, nursery)


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    trio.run(main, int(sys.argv[1]), sys.argv[2], *sys.argv[3:])
