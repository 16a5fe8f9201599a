"""What a large state costs: a snapshot made and joined by, and a node's start on it.

    python -m scripts.bench_snapshot [--keys 1000000] [--blocks 2000]

The chain is a real one, whose blocks besides write so many keys of 34 bytes with values of 100. The
snapshot is fetched from its files by the joiner that `hansa node join` runs, without the wire. Then
`hansa node run` starts on what it made: seconds until its API answers, and its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import trio

from consensus.block import Content
from consensus.primitives.codec import encode
from consensus.primitives.errors import PeerFault
from consensus.turns import Turns
from genesis.ceremony import seal
from node import frames
from node.chain import Chain
from node.clock import InlineBlocking, SystemClock
from node.keystore import Cost
from node.setup import CHAIN, GENESIS, init_folder
from node.snapshot.form import Manifest
from node.snapshot.joining import Joining
from node.snapshot.making import MANIFEST, first_needed, make
from node.store.kv import LevelKV
from node.store.mark import MarkedKV
from node.system import System
from node.workers import InlineVerifier
from p2p.ports import Channel, PeerAddress
from scripts.bench_stages import tree_key
from tests.node.support import OneChain
from tests.sim.world import seed_of, shared

KEYS_A_BLOCK: Final = 50_000
VALUE_BYTES: Final = 100
TRANSACTIONS: Final = 3
START_S: Final = 60
PEER: Final = b"\x01" * 32


class LargeChain(Chain):
    """Its first blocks also write keys of no contract."""

    keys = 0

    def _system_changes(
        self, content: Content, system: System, turns: Turns
    ) -> dict[bytes, bytes | None]:
        changes = super()._system_changes(content, system, turns)
        first = (content.height - 1) * KEYS_A_BLOCK
        rng = random.Random(content.height)
        for number in range(first, min(first + KEYS_A_BLOCK, self.keys)):
            changes[tree_key(number)] = rng.randbytes(VALUE_BYTES)
        return changes


class _Source(OneChain):
    def open(self) -> Chain:
        return LargeChain(self.document, self.kv, InlineBlocking(), InlineVerifier(), shared)


async def fill(one: OneChain, keys: int, blocks: int) -> None:
    """So many blocks, the newest of which has a kept state."""
    chain = one.chain
    LargeChain.keys = keys
    try:
        for height in range(1, blocks + 1):
            now_ms = max(chain.header.time_ms + 1000, one.document.time_ms + 1000)
            txs = [one.transaction(valid_until=now_ms + 500) for _ in range(TRANSACTIONS)]
            outcome = await one.execute(txs, time_ms=now_ms)
            certificate = one.certificate(height, outcome.block.hash)
            passing = height > 100 and height % 50 != 0 and height < blocks - 2
            if height == blocks - 1:
                chain.states.begin(chain.header, chain.certificate)
            await chain.commit(outcome, certificate, passing=passing)
    finally:
        LargeChain.keys = 0


class Files:
    """The network of a joiner whose one peer is a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = Manifest.decode((folder / MANIFEST).read_bytes())

    def connected(self) -> tuple[bytes, ...]:
        return (PEER,)

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        return True

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        await trio.lowlevel.checkpoint()
        manifest = self._manifest
        if payload[0] == frames.SNAPSHOTS:
            return encode([[manifest.height, manifest.digest]])
        _, digest = frames.read(payload[1:])
        return (
            self._folder / (MANIFEST if digest == manifest.digest else digest.hex())
        ).read_bytes()

    def drop(self, peer: bytes, reason: str) -> None: ...

    def accuse(self, peer: bytes, fault: PeerFault) -> None:
        raise fault

    def admit(self, peers: Iterable[PeerAddress]) -> None: ...

    def peer_reports(self) -> list[dict[str, Any]]:
        return []


@contextmanager
def _timed(report: dict[str, Any], name: str) -> Iterator[None]:
    began, cpu = time.monotonic(), time.process_time()
    yield
    report[name] = round(time.monotonic() - began, 2)
    report[name.replace("_s", "_cpu_s")] = round(time.process_time() - cpu, 2)


def started(folder: Path) -> tuple[float, float]:
    """Seconds from the start of the node's process to its API's first answer, and its memory in MB
    two seconds later."""
    port = 27_940
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "node", "run", "--data", str(folder),
         "--api-listen", f"127.0.0.1:{port}", "--network-listen", "127.0.0.1:27941"],
        env=os.environ | {"HANSA_PASSPHRASE": "bench"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while time.monotonic() < began + START_S:
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/status", trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.02)
        else:
            raise RuntimeError("the node does not answer")
        took = time.monotonic() - began
        time.sleep(2)
        return took, psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait(START_S)


def measure(folder: Path, keys: int, blocks: int, tries: int = 3) -> dict[str, Any]:
    """``tries`` starts of the node, the middle one counts; with more than one, another before them
    leaves the contracts' compiled code."""
    report: dict[str, Any] = {"keys": keys, "blocks": blocks}
    kv = LevelKV(folder / "source")
    one = _Source(kv=kv)
    with _timed(report, "fill_s"):
        trio.run(fill, one, keys, blocks)
    chain = one.chain
    height = blocks - 1
    state = chain.states.at(height)
    following = chain.blocks.block(blocks)
    assert following is not None and following.last_certificate is not None
    certificate = following.last_certificate
    first = first_needed(chain.blocks, state.header, chain.longest_window_ms())
    with _timed(report, "make_s"):
        manifest = make(state, chain.blocks, certificate, first, folder / "snapshots", lambda: None)
    chain.states.close()
    kv.close()
    report["chunks"] = len(manifest.chunks)
    report["bytes"] = sum(one.size for one in manifest.chunks)
    report["manifest_bytes"] = len(manifest.raw)
    report["window_blocks"] = height + 1 - manifest.first

    home = folder / "node"
    init_folder(home, "bench", name="bench", validator=False, cost=Cost(1, 1 << 20),
                config={"node": {"role": "full"}})  # fmt: skip
    document = one.document
    for validator in document.validators:
        document = seal(document, seed_of(f"{validator.name} consensus"))
    (home / GENESIS).write_bytes(document.file_bytes)
    target = MarkedKV(home / CHAIN)
    joining = Joining(document, lambda _: Files(folder / "snapshots" / str(height)), [], target,
                      InlineBlocking(), SystemClock(), lambda *_: None)  # fmt: skip
    with _timed(report, "restore_s"):
        trio.run(joining.run)
        target.close()
    report["store_bytes"] = sum(one.stat().st_size for one in (home / CHAIN).iterdir())
    if tries > 1:
        started(home)
    took = [started(home) for _ in range(tries)]
    report["restart_s"] = round(sorted(one for one, _ in took)[tries // 2], 2)
    report["rss_mb"] = round(sorted(one for _, one in took)[tries // 2], 1)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench_snapshot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--blocks", type=int, default=2_000)
    given = parser.parse_args()
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as scratch:
        print(json.dumps(measure(Path(scratch), given.keys, given.blocks), indent=2))


if __name__ == "__main__":
    main()
