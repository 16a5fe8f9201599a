"""`python -m scripts.bench_profile`: where a validator's and the client's CPU goes at full load.

Four validators under a closed loop of entries (docs/benchmarks.md). py-spy samples the first
validator and this process 200 times a second and has to be on the PATH; where the system lets only
root look into other processes (``kernel.yama.ptrace_scope``), root runs this. Each sample counts
for the innermost function that has a line below; waiting is left out. Every validator proposes one
block in four, so a validator's table has both roles: what only a proposer does stands in lines of
its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from consensus.primitives.errors import HansaError
from scripts.bench import EXIT_FAILED, ROOT, markdown, say
from scripts.bench_load import BenchFailed
from scripts.bench_network import closed_run, prepare, running_network
from scripts.bench_work import ENTRY, KINDS

WAITING: Final = ("EpollIOManager.get_events", "WorkerThread._work")
NODE: Final[Mapping[str, str]] = {
    "Transaction.parse": "decoding transactions",
    "Admission.admit": "admission: checks, mempool",
    "Gossip.received": "gossip",
    "Gossip.push": "gossip",
    "Gossip.tick": "gossip",
    "VerifyPool.verify": "handing signatures to the worker",
    "ASGIWrapper.__call__": "API: HTTP, routing, JSON",
    "H11Protocol.handle": "API: HTTP, routing, JSON",
    "Proposer.build": "proposer alone: choosing transactions",
    "Engine._with_young_bodies": "proposer alone: attaching bodies",
    "Session.run": "contract code and its metering",
    "BlockExecutor.execute": "executing, beside the contract",
    "BlockExecutor.finish": "executing, beside the contract",
    "Chain._check_content": "judging a content",
    "make_header": "receipts, their roots, the header",
    "StateStore.prepare": "state tree",
    "StateStore.commit": "state tree",
    "Chain.commit": "writing the block",
    "LevelKV.write": "writing the block",
    "BlockStore.append": "writing the block",
    "Engine._sign": "votes: signing, vote log",
    "VoteLog.append": "votes: signing, vote log",
    "decode_vote": "votes: the core",
    "Recorder.apply": "votes: the core",
    "Engine._commit": "after a commit: mempool, metrics, log",
    "YamuxStream.write": "libp2p: sending",
    "Yamux.handle_incoming": "libp2p: receiving",
    "SecureSession.read": "libp2p: receiving",
    "SecureSession.write": "libp2p: sending",
    "Engine._execute": "executing, beside the contract",
    "Engine._handle": "votes: the core",
    "Engine.run": "votes: the core",
    "Node.on_message": "gossip",
    "read_frames": "libp2p: receiving",
    "Yamux._handle_incoming_with_ready_signal": "libp2p: receiving",
    "Outbox.run": "libp2p: sending",
    "TCPServer.run": "API: HTTP, routing, JSON",
    "_handle": "API: HTTP, routing, JSON",
    "to_thread_run_sync": "threads for the disk and the tree",
    "WorkerThread._handle_job": "threads for the disk and the tree",
    "unrolled_run": "trio: tasks and timers",
}
CLIENT: Final[Mapping[str, str]] = {
    "AsyncClient.send": "HTTP",
    "AsyncClient.request": "HTTP",
    "Response.aiter_lines": "HTTP",
    "Watch.take": "reading the stream of positions",
    "create_default_context": "opening connections",
    "Sender.spread": "the loop itself",
    "closed_loop": "the loop itself",
    "unrolled_run": "trio: tasks and timers",
}


def by_stage(stacks: str, stages: Mapping[str, str], within: str = "") -> Counter[str]:
    """Samples of each stage, of py-spy's raw format: ``frame;frame;... count`` a line. ``within``:
    only what this function called."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        names = [frame.split(" (", 1)[0].split(".<locals>", 1)[0] for frame in stack.split(";")]
        if names[-1] in WAITING or (within and within not in names):
            continue
        inner = (stages[name] for name in reversed(names) if name in stages)
        found[next(inner, "else")] += int(count)
    return found


def cells(found: Counter[str], cpu_us: float) -> list[list[str]]:
    """Rows for people. ``cpu_us``: what a transaction costs this process in all."""
    total = sum(found.values())
    rows = [["what", "share", "us/tx"]]
    for name, count in found.most_common():
        rows.append([name, f"{100 * count / total:.1f} %", f"{cpu_us * count / total:.1f}"])
    return rows


@contextmanager
def spied(pid: int, seconds: float, file: Path) -> Iterator[None]:
    """py-spy looks at a process meanwhile. Raises BenchFailed where it can't."""
    tool = shutil.which("py-spy")
    if tool is None:
        raise BenchFailed("py-spy is not on the PATH: install it with pip, outside this .venv")
    order = [tool, "record", "--rate", "200", "--format", "raw", "--duration", f"{seconds:.0f}"]
    with subprocess.Popen(
        [*order, "--output", str(file), "--pid", str(pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as spy:
        yield
        _, told = spy.communicate(timeout=60)
        if spy.returncode or not file.is_file():
            raise BenchFailed(f"py-spy: {told.strip()[-300:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_profile", description=__doc__)
    parser.add_argument("--concurrency", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--trade", action="store_true", help="calls of trade in place of entries")
    options = parser.parse_args(arguments)
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".profile-", dir=ROOT / "build"))
    files = folder / "node.txt", folder / "client.txt"
    try:
        with running_network(folder / "network", say) as (network, measured, work):
            prepare(measured, work)
            process = network.process(measured.nodes[0])
            assert process is not None
            seconds = options.seconds
            with (
                spied(process.pid, seconds, files[0]),
                spied(os.getpid(), seconds, files[1]),
            ):
                kinds = KINDS if options.trade else ENTRY
                row = closed_run(measured, work, options.concurrency, seconds, say, kinds)
        node = by_stage(files[0].read_text(), NODE)
        # Before and after the load this process signs and looks, which is not the client's part.
        client = by_stage(files[1].read_text(), CLIENT, within="unrolled_run")
    except (BenchFailed, HansaError) as error:
        say(f"bench_profile: FAILED: {error}")
        return EXIT_FAILED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    each = row["cpu_ms_per_tx_each"]["validator1"]
    print(
        f"{row['committed_tps']:.0f} tx/s, {row['block_txs_mean']:.0f} a block; a validator's"
        f" worker for signatures: {1000 * each['workers']:.0f} us/tx\n\nA validator, beside it:\n"
    )
    print(markdown(cells(node, 1000 * each["node"])))
    print("\nThe client:\n")
    print(markdown(cells(client, 1000 * row["client_cpu_ms_per_tx"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
