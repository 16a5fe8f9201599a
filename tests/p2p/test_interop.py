"""A stock libp2p host on the other end: what we speak is libp2p, not a dialect."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from p2p.ports import Channel, parse_address
from p2p.wire import encode_frame
from tests.p2p.support import CHAIN, KEYS, Net

ROOT = Path(__file__).parents[2]


async def test_stock_host_dials_and_speaks(net: Net) -> None:
    ours = await net.start(1, {0: None})
    host, port = parse_address(ours.listen_address)
    command = [sys.executable, "-m", "tests.p2p.stock_peer", host, str(port)]
    run = partial(trio.run_process, command, capture_stdout=True, capture_stderr=True, cwd=ROOT)
    finished: list[subprocess.CompletedProcess[bytes]] = []

    async def stock() -> None:
        with trio.fail_after(60):
            finished.append(await run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stock)
        await net.handlers[1].until_messages(1)
        assert net.handlers[1].connects == [KEYS[0]]
        assert net.handlers[1].messages == [(KEYS[0], Channel.CHAIN, b"a block, say")]
        assert ours.send(KEYS[0], Channel.CONSENSUS, b"vote")
    assert finished[0].stdout.decode().splitlines() == [
        f"hello {CHAIN.hex()}",
        "accepted True",
        "pong 77",
        f"heard {encode_frame(b'vote').hex()}",
    ]
