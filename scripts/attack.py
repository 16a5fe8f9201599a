"""`make attack`: hostile peers and clients against a devnet under load, and what came of it.

Four validators and a full node are processes of their own. The full node is stopped, and its
admitted key attacks the validators in turn; strangers knock at the same ports. All along a client
hands in transactions to everybody. The table (and build/attack.json) says, for each attack: what
the victim did, honest transactions a second before, during and after, and the victim's memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import trio

from cli.client import Client
from cli.network import NodeSpec
from cli.output import table
from consensus.messages import UNSIGNED, Commit, encode_vote
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.transaction import Transaction
from node import frames
from node.keystore import load_key, read_passphrase
from node.setup import NETWORK_KEY
from p2p import gossip
from p2p.host import Host, HostConfig
from p2p.ports import FRAME_BYTES_MAX, Channel, PeerAddress, PeerUnavailable
from p2p.wire import ConnectionLost
from tests.e2e.support import Devnet, devnet
from tests.p2p.support import Recorder
from tests.sim.runner import silence

BATCH: Final = 20
PHASE_S: Final = 5.0
ATTACK_S: Final = 8.0


@dataclass
class Row:
    """One attack's outcome; memory is the victim's largest, MB."""

    attack: str
    victim: str
    answer: str
    before: float
    during: float
    after: float
    memory_before_mb: float
    memory_during_mb: float


class Honest(threading.Thread):
    """Hands in transactions at a fixed rate, to the validators in turn."""

    def __init__(self, net: Devnet, per_s: int) -> None:
        super().__init__(daemon=True)
        self.net = net
        self.per_s = per_s
        self.enough = threading.Event()
        self.refused = 0

    def run(self) -> None:
        clients = [Client(node.url, timeout_s=10) for node in self.net.nodes[:4]]
        number, due = 1_000_000, time.monotonic()
        while not self.enough.is_set():
            batch = [self.net.transaction(number + index) for index in range(BATCH)]
            try:
                answers = clients[(number // BATCH) % 4].submit(batch)
                self.refused += sum(not one.accepted for one in answers)
            except Exception:  # told by the rate
                self.refused += BATCH
            number += BATCH
            due = max(due + BATCH / self.per_s, time.monotonic() - 1)
            self.enough.wait(max(0.0, due - time.monotonic()))


@dataclass
class Aim:
    """Where an attack goes, and with what."""

    net: Devnet
    victim: NodeSpec
    seed: bytes
    """The network key of the stopped full node, which the victim admits."""

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.victim.p2p_port

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[Host, bytes]]:
        """A peer that does all as it should until it is told otherwise."""
        network = self.net.network
        passphrase = read_passphrase(network.passphrase_file)
        seed = load_key(network.folder / self.victim.name / NETWORK_KEY, passphrase)
        target = public_key(seed)
        peer = PeerAddress(target, self.victim.name, (f"127.0.0.1:{self.victim.p2p_port}",))
        config = HostConfig(
            self.seed, "127.0.0.1:0", (peer,), self.net.chain_id, lambda _theirs: None
        )
        host = Host(config, Recorder(), random.Random(1))
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            with trio.fail_after(60):
                while target not in host.connected():
                    await trio.sleep(0.05)
            yield host, target
            nursery.cancel_scope.cancel()

    async def flood(self, channel: Channel, payloads: Callable[[], bytes]) -> None:
        """Messages as fast as the victim takes them, again after each time it hung up."""
        async with self.joined() as (host, target):
            while True:
                for _ in range(50):
                    if not host.send(target, channel, payloads()):
                        await trio.sleep(0.02)
                        break
                await trio.sleep(0)


Attack = Callable[[Aim], Awaitable[None]]


async def garbage(aim: Aim) -> None:
    """Random bytes in place of a handshake, from ever new connections."""
    while True:
        with suppress(OSError, trio.BrokenResourceError):
            async with await trio.open_tcp_stream(*aim.address) as stream:
                await stream.send_all(os.urandom(20_000))


async def half_open(aim: Aim) -> None:
    """1,000 connections that say nothing."""
    streams = []
    for _ in range(1000):
        with suppress(OSError):
            streams.append(await trio.open_tcp_stream(*aim.address))
    try:
        await trio.sleep_forever()
    finally:
        for stream in streams:
            stream.socket.close()


async def churn(aim: Aim) -> None:
    """Connections that are given up in the middle of the handshake."""
    while True:
        with suppress(OSError, trio.BrokenResourceError):
            stream = await trio.open_tcp_stream(*aim.address)
            await stream.send_all(b"\x13/multistream/1.0.0\n\x07/noise\n")
            await trio.aclose_forcefully(stream)


async def streams(aim: Aim) -> None:
    """3,000 streams opened at once by an admitted peer."""
    async with aim.joined() as (host, target):
        muxer = host._links[target].session._muxer
        with suppress(Exception):
            for number in range(3000):
                syn = struct.pack(">BBHII", 0, 1, 1, 1001 + 2 * number, 0)
                await muxer._write_frame(syn)
        await trio.sleep_forever()


async def oversized(aim: Aim) -> None:
    """A frame longer than its channel takes."""
    async with aim.joined() as (host, target):
        size = FRAME_BYTES_MAX[Channel.CHAIN] + 1
        host._links[target]._outboxes[Channel.CHAIN].offer(bytes(size))
        await trio.sleep_forever()


async def wrongly_signed(aim: Aim) -> None:
    """Transactions whose signature is another's."""
    txs = [aim.net.transaction(index) for index in range(500)]
    raws = [Transaction(one.body_raw, one.signature[:32] + bytes(32)).raw for one in txs]
    await aim.flood(Channel.TRANSACTIONS, lambda: gossip.frame(gossip.TXS, raws))


async def expired(aim: Aim) -> None:
    """Expired transactions, a thousand a message."""
    raws = [aim.net.transaction(index, valid_for_ms=-5000).raw for index in range(1000)]
    await aim.flood(Channel.TRANSACTIONS, lambda: gossip.frame(gossip.TXS, raws))


async def repeated(aim: Aim) -> None:
    """One committed transaction, a thousand times a message."""
    tx = aim.net.transaction(7)
    with Client(aim.victim.url) as client:
        await trio.to_thread.run_sync(client.submit, [tx])
    await trio.sleep(1)
    payload = gossip.frame(gossip.TXS, [tx.raw] * 1000)
    await aim.flood(Channel.TRANSACTIONS, lambda: payload)


async def forged_votes(aim: Aim) -> None:
    """Votes in another validator's name."""
    with Client(aim.victim.url) as client:
        status = client.node_status()
        found = client.query("governance", "validator_list").value
    sender = bytes(found[0]["key"])
    vote = encode_vote(Commit(status["height"] + 1, 0, bytes(32), sender, UNSIGNED))
    await aim.flood(Channel.CONSENSUS, lambda: vote)


async def far_votes(aim: Aim) -> None:
    """Votes for ever higher heights by nobody in particular."""
    height = 10**6

    def vote() -> bytes:
        nonlocal height
        height += 1
        return encode_vote(Commit(height, 0, bytes(32), sha256(b"nobody"), UNSIGNED))

    await aim.flood(Channel.CONSENSUS, vote)


async def old_blocks(aim: Aim) -> None:
    """The chain's first blocks again and again."""
    url = f"{aim.victim.url}/v1/blocks/1/bytes"
    raw = (await trio.to_thread.run_sync(lambda: httpx.get(url, trust_env=False))).content
    await aim.flood(Channel.CHAIN, lambda: bytes([frames.BLOCK]) + raw)


async def questions(aim: Aim) -> None:
    """All blocks asked for, sixteen times at once, without an end."""
    async with aim.joined() as (host, target), trio.open_nursery() as nursery:

        async def ask() -> None:
            payload = bytes([frames.BLOCKS]) + encode([1, 128])
            while True:
                with suppress(PeerUnavailable, ConnectionLost):
                    await host.request(target, payload, bytes_max=1 << 24, timeout_ms=5000)
                await trio.sleep(0)

        for _ in range(16):
            nursery.start_soon(ask)


async def slowloris(aim: Aim) -> None:
    """600 connections to the API, each with a head that never ends."""
    host, port = aim.victim.url.removeprefix("http://").split(":")
    held = []
    for _ in range(600):
        with suppress(OSError, trio.BrokenResourceError):
            stream = await trio.open_tcp_stream(host, int(port))
            held.append(stream)
            await stream.send_all(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n")
    try:
        while True:
            for stream in held:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(b"x: y\r\n")
            await trio.sleep(0.5)
    finally:
        for stream in held:
            stream.socket.close()


async def api_junk(aim: Aim) -> None:
    """Malformed and oversized requests to the API, as fast as it answers."""
    bodies = [
        b"{",
        b"\xff" * 1000,
        b"[" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"{}",
    ]
    async with httpx.AsyncClient(base_url=aim.victim.url, trust_env=False, timeout=5) as client:
        while True:
            for body in bodies:
                kind = random.choice(["application/json", "application/msgpack"])
                with suppress(httpx.HTTPError):
                    await client.post(
                        "/v1/transactions", content=body, headers={"content-type": kind}
                    )


ATTACKS: Final[dict[str, Attack]] = {
    "garbage in place of a handshake": garbage,
    "1,000 half-open connections": half_open,
    "churning connections": churn,
    "3,000 streams opened": streams,
    "oversized frame": oversized,
    "wrongly signed transactions": wrongly_signed,
    "expired transactions": expired,
    "a committed transaction again": repeated,
    "votes in another's name": forged_votes,
    "votes for far heights": far_votes,
    "old blocks again": old_blocks,
    "questions without end": questions,
    "slowloris at the API": slowloris,
    "junk at the API": api_junk,
}


def committed(url: str) -> float:
    """Transactions that a node has committed, by its metrics."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
    lines = (line for line in text.splitlines() if line.startswith("hansa_txs_total"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class Watch:
    """Rate and memory over a phase."""

    def __init__(self, seen_at: NodeSpec, process: psutil.Process) -> None:
        self._url = seen_at.url
        self._process = process

    async def over(self, seconds: float) -> tuple[float, float]:
        """(Transactions a second, the largest memory in MB)."""
        first = await trio.to_thread.run_sync(committed, self._url)
        start, memory = time.monotonic(), 0.0
        while time.monotonic() < start + seconds:
            memory = max(memory, self._process.memory_info().rss / 1e6)
            await trio.sleep(0.2)
        last = await trio.to_thread.run_sync(committed, self._url)
        return (last - first) / (time.monotonic() - start), memory


def _reported(net: Devnet, victim: NodeSpec, key: str) -> dict[str, Any]:
    peers: list[dict[str, Any]] = net.status(victim)["peers"]
    return next((one for one in peers if one["key"] == key), {})


def _answer(before: dict[str, Any], after: dict[str, Any]) -> str:
    faults = after.get("faults", 0) - before.get("faults", 0)
    if faults:
        return f"{after['last_fault']}: cut off, barred {after['barred_s']} s more"
    return "bounded; served on"


async def run_one(net: Devnet, name: str, attack: Attack, victim: NodeSpec, seed: bytes) -> Row:
    key = public_key(seed).hex()
    while _reported(net, victim, key).get("barred_s", 0):
        await trio.sleep(0.5)
    others = [node for node in net.nodes[:4] if node is not victim]
    process = net.network.process(victim)
    assert process is not None, "the victim has stopped"
    watch = Watch(others[0], process)
    known = _reported(net, victim, key)
    before, memory = await watch.over(PHASE_S)
    async with trio.open_nursery() as nursery:

        async def attacking() -> None:
            with suppress(trio.TooSlowError):
                await attack(Aim(net, victim, seed))

        nursery.start_soon(attacking)
        during, most = await watch.over(ATTACK_S)
        nursery.cancel_scope.cancel()
    answer = _answer(known, await trio.to_thread.run_sync(_reported, net, victim, key))
    after, _ = await watch.over(PHASE_S)
    return Row(name, victim.name, answer, before, during, after, memory, most)


def main() -> int:
    parser = argparse.ArgumentParser(description="Attack a devnet under load.")
    parser.add_argument("--only", help="attacks whose name has this in it")
    parser.add_argument("--load", type=int, default=200, help="honest transactions a second")
    parser.add_argument("--out", type=Path, default=Path("build/attack.json"))
    given = parser.parse_args()
    silence()  # the attacker's own side has much to say
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, devnet(Path(folder) / "net") as net:
        full = net.nodes[4]
        passphrase = read_passphrase(net.network.passphrase_file)
        seed = load_key(net.network.folder / full.name / NETWORK_KEY, passphrase)
        net.network.stop([full])
        honest = Honest(net, given.load)
        honest.start()
        time.sleep(3)
        wanted = {n: a for n, a in ATTACKS.items() if given.only is None or given.only in n}
        for turn, (name, attack) in enumerate(wanted.items()):
            row = trio.run(run_one, net, name, attack, net.nodes[turn % 4], seed)
            rows.append(row)
            sys.stderr.write(f"{turn + 1} of {len(wanted)}, {name}: {row.answer}\n")
        honest.enough.set()
        honest.join(20)
    headers = ("attack", "what the node did", "before", "during", "after", "MB before", "MB during")
    cells = [
        [one.attack, one.answer]
        + [round(rate) for rate in (one.before, one.during, one.after)]
        + [round(one.memory_before_mb), round(one.memory_during_mb)]
        for one in rows
    ]
    sys.stdout.write(f"honest tx/s ({given.load} offered) and the victim's memory\n")
    sys.stdout.write(table(headers, cells) + "\n")
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n")
    return 0 if rows and all(one.during > 0 and one.after > 0 for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
