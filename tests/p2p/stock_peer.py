"""A stock libp2p host, with all its default protocols, in a process of its own.

    stock_peer.py HOST PORT

It dials the node there, introduces itself, sends a message, waits for one, and says what it
saw on stdout. (In a process of its own because the library leaves its sockets to the collector.)
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from p2p.ports import Channel
from p2p.wire import (
    CHANNEL_PROTOCOLS,
    CONTROL_BYTES_MAX,
    CONTROL_PROTOCOL,
    REQUEST_PROTOCOL,
    FrameReader,
    Hello,
    Ping,
    Pong,
    Verdict,
    decode_control,
    encode_control,
    encode_frame,
)
from tests.p2p.support import CHAIN, SEEDS


class Control:
    """The control stream as the stock host sees it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.reader = FrameReader(CONTROL_BYTES_MAX)
        self.backlog: deque[bytes] = deque()

    async def say(self, message: Any) -> None:
        await self.stream.write(encode_frame(encode_control(message)))

    async def hear(self) -> Any:
        with trio.fail_after(20):
            while not self.backlog:
                self.backlog.extend(self.reader.feed(await self.stream.read(4096)))
        return decode_control(self.backlog.popleft())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def ignore(stream: Any) -> None:
    await trio.sleep_forever()


async def main(host_name: str, port: str) -> None:
    stock = new_host(key_pair=create_new_key_pair(SEEDS[0]))
    node = ID.from_pubkey(create_new_key_pair(SEEDS[1]).public_key)
    heard = trio.Event()

    async def take(stream: Any) -> None:
        say(f"heard {(await stream.read(100)).hex()}")
        heard.set()

    for name in (*CHANNEL_PROTOCOLS.values(), REQUEST_PROTOCOL):
        stock.set_stream_handler(TProtocol(name), ignore)
    stock.set_stream_handler(TProtocol(CHANNEL_PROTOCOLS[Channel.CONSENSUS]), take)
    async with stock.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        await stock.connect(PeerInfo(node, [Multiaddr(f"/ip4/{host_name}/tcp/{port}")]))
        control = Control(await stock.new_stream(node, [TProtocol(CONTROL_PROTOCOL)]))
        await control.say(Hello(1, b"stock!!!", CHAIN))
        say(f"hello {(await control.hear()).hello.hex()}")
        await control.say(Verdict(True))
        say(f"accepted {(await control.hear()).accepted}")
        await control.say(Ping(77))
        while not isinstance(message := await control.hear(), Pong):
            assert isinstance(message, Ping)
        say(f"pong {message.nonce}")
        chain = TProtocol(CHANNEL_PROTOCOLS[Channel.CHAIN])
        stream = await stock.new_stream(node, [chain])
        await stream.write(encode_frame(b"a block, say"))
        with trio.fail_after(20):
            await heard.wait()
        os._exit(0)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
