"""Measures a network of four validators: real processes on loopback, their data on disk."""

from __future__ import annotations

import contextlib
import gc
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import psutil
import trio

from cli.client import Client
from cli.network import Network, NodeSpec
from consensus.params import Params
from scripts.bench_load import BenchFailed, LoadResult, closed_loop, open_loop, percentile
from scripts.bench_work import ENTRY, KINDS, MAKERS, Signed, Workload, transfer_package

VALIDATORS: Final = 4
WARM_S: Final = 2.0
SETTLE_S: Final = 30.0
BLOCKS_PER_S_MAX: Final = 20  # by min_block_interval_ms
GUESSED_TPS_MAX: Final = 4_000
"""Transactions are signed beforehand, for a network that is at most so fast."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class NetworkPlan:
    """The runs: closed loops of trade and of entries, by concurrency; open loops of trade as (mean
    rate, seconds)."""

    closed: tuple[int, ...]
    entries: tuple[int, ...]
    closed_s: float
    open: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Use:
    """What one node has used since its start."""

    cpu_s: float
    workers_cpu_s: float
    workers: frozenset[int]  # their process ids
    written_bytes: int | None  # handed to the disk by the kernel; None where it doesn't say
    folder_bytes: int
    sent_bytes: float  # to peers
    received_bytes: float
    txs_ok: float
    rounds_changed: float


class Measured:
    """The running network: its nodes, and what they use."""

    def __init__(self, network: Network, nodes: list[NodeSpec]) -> None:
        self.nodes = nodes
        self.urls = [node.url for node in nodes]
        self._folders = [network.folder / node.name for node in nodes]
        found = [network.process(node) for node in nodes]
        self._processes = [process for process in found if process is not None]
        if len(self._processes) != len(nodes):
            raise BenchFailed("a node ended by itself")

    def use(self) -> list[Use]:
        """Raises BenchFailed if a node is gone."""
        found = []
        for process, url, folder in zip(self._processes, self.urls, self._folders, strict=True):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                children = process.children(recursive=True)
                workers = {child.pid: child.cpu_times() for child in children}
                written = process.io_counters().write_bytes if psutil.LINUX else None
            except psutil.Error as error:
                raise BenchFailed(f"a node ended by itself: {error}") from None
            metrics = read_metrics(url)
            found.append(
                Use(
                    times.user + times.system,
                    sum(one.user + one.system for one in workers.values()),
                    frozenset(workers),
                    written,
                    folder_bytes(folder),
                    metrics["hansa_sent_bytes"],
                    metrics["hansa_received_bytes"],
                    metrics.get('hansa_txs_total{code="OK"}', 0.0),
                    metrics["hansa_rounds_changed_total"],
                )
            )
        return found

    def settle(self, height: int) -> str:
        """Wait until all nodes stand at one height, at least this one, with nothing waiting.

        Returns their state root. Raises BenchFailed when roots differ, or it takes too long.
        """
        deadline = time.monotonic() + SETTLE_S
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(url)) for url in self.urls]
            while True:
                told = [client.node_status() for client in clients]
                tips = {(one["height"], one["block_hash"], one["state_root"]) for one in told}
                if len({tip[0] for tip in tips}) == 1 and len(tips) > 1:
                    raise BenchFailed(f"nodes disagree at one height: {sorted(tips)}")
                waiting = sum(one["mempool"]["txs"] for one in told)
                if len(tips) == 1 and not waiting and told[0]["height"] >= height:
                    return str(told[0]["state_root"])
                if time.monotonic() > deadline:
                    raise BenchFailed(
                        f"nodes do not settle: heights {sorted(tip[0] for tip in tips)},"
                        f" {waiting} transactions waiting"
                    )
                time.sleep(0.1)


def read_metrics(url: str) -> dict[str, float]:
    """A node's metrics by their name with labels."""
    import httpx

    text = httpx.get(f"{url}/metrics", timeout=10, trust_env=False).raise_for_status().text
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def folder_bytes(folder: Path) -> int:
    """Sizes of all files below; LevelDB deletes some while we look."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                total += path.stat().st_size
    return total


@contextlib.contextmanager
def running_network(
    folder: Path,
    say: Say,
    params: Params | None = None,
    adjust: Callable[[Network], None] = lambda _: None,
) -> Iterator[tuple[Network, Measured, Workload]]:
    """Four validators made, started, and stopped at the end, also on Ctrl-C. ``adjust`` is called
    before their start.

    Raises InputError and LocalFault when they can't start.
    """
    network = Network(folder, say)
    network.make(MAKERS, params or Params(), [transfer_package()])
    nodes = [node for node in network.nodes() if node.kind == "validator"]
    assert len(nodes) == VALIDATORS
    adjust(network)
    try:
        for node in nodes:
            network.start(node)
        network.wait_ready(nodes)
        seeds = [network.organisation_seed(maker.id) for maker in MAKERS]
        yield network, Measured(network, nodes), Workload(seeds, network.document().chain_id)
    finally:
        # Stopping takes a second or two; a second Ctrl-C must not leave nodes behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            network.stop(nodes)
        finally:
            signal.signal(signal.SIGINT, before)


def prepare(measured: Measured, work: Workload) -> None:
    """Commit what the workload's transactions need."""
    with Client(measured.urls) as client:
        outcomes = client.submit_and_wait(work.preparation(), timeout_s=60)
    failed = [one for one in outcomes if one.code != "OK"]
    if failed:
        raise BenchFailed(f"preparation failed: {failed[0].code} {failed[0].message}")
    measured.settle(max(one.height or 0 for one in outcomes))


def run_all(measured: Measured, work: Workload, plan: NetworkPlan, say: Say) -> dict[str, Any]:
    """Every run of the plan: rows as in ``network.open``, ``closed`` and ``entries``."""
    prepare(measured, work)
    seconds = plan.closed_s
    # First, for what others are compared with: the state grows under each run.
    entries = [closed_run(measured, work, n, seconds, say, ENTRY) for n in plan.entries]
    opened = []
    for rate, open_s in plan.open:
        say(f"open loop, {rate} tx/s for {open_s:.0f} s")
        txs = work.sign(max(2, round(rate * open_s)))

        async def open_run(txs: list[Signed] = txs, rate: int = rate) -> LoadResult:
            return await open_loop(measured.urls, txs, rate, seed=rate)

        opened.append({"rate_tps": rate} | one_run(measured, txs, open_run, say))
    closed = [closed_run(measured, work, n, seconds, say) for n in plan.closed]
    return {"entries": entries, "open": opened, "closed": closed}


def closed_run(
    measured: Measured,
    work: Workload,
    concurrency: int,
    seconds: float,
    say: Say,
    kinds: Sequence[str] = KINDS,
) -> dict[str, Any]:
    """One closed loop's row."""
    what = "entries" if kinds is ENTRY else "calls of trade"
    say(f"closed loop, {concurrency} {what} under way for {seconds:.0f} s")
    guess_tps = min(concurrency * BLOCKS_PER_S_MAX, GUESSED_TPS_MAX)
    # The last block may come late, and what is under way at the end is extra.
    txs = work.sign(round(guess_tps * (seconds + WARM_S + 1)) + concurrency, kinds)

    async def run() -> LoadResult:
        return await closed_loop(measured.urls, txs, concurrency, warm_s=WARM_S, seconds=seconds)

    return {"concurrency": concurrency} | one_run(measured, txs, run, say)


def one_run(
    measured: Measured, txs: list[Signed], load: Callable[[], Any], say: Say
) -> dict[str, Any]:
    """Run a load that sends all it can of ``txs``; its row. Raises BenchFailed."""
    gc.collect()
    before, client_s = measured.use(), time.process_time()
    try:
        result: LoadResult = trio.run(load)
    except BaseExceptionGroup as group:
        raise leaf(group) from group
    client_s = time.process_time() - client_s
    after = measured.use()
    root = measured.settle(result.blocks[-1].height)
    # Nodes that were behind have caught up now, and all must have counted the same.
    for use, settled in zip(before, measured.use(), strict=True):
        if settled.txs_ok - use.txs_ok != result.sent:
            raise BenchFailed(
                f"a node committed {settled.txs_ok - use.txs_ok:.0f} of {result.sent} transactions"
            )
    sizes = {tx.tx_id: len(tx.raw) for tx in txs}
    row = summary(result, sizes) | cost(before, after, client_s, result.sent)
    row |= {"state_root": root, "note": result.note}
    if row["workers_replaced"]:
        failed = f"{row['workers_replaced']} verification workers failed: CPU figures are too low"
        row["note"] = "; ".join(filter(None, (result.note, failed)))
    say(
        f"  {row['committed_tps']:.0f} tx/s, p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f}"
        f" ms, {row['cpu_ms_per_tx']:.2f} CPU ms/tx{'; ' * bool(row['note'])}{row['note']}"
    )
    return row


def leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to show: Ctrl-C, a failed run, or whatever came first."""
    for wanted in (KeyboardInterrupt, BenchFailed, BaseException):
        inner: BaseExceptionGroup[BaseException] | None = group.subgroup(wanted)
        if inner is not None:
            error: BaseException = inner
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            return error
    raise AssertionError("a group holds an exception")


def summary(result: LoadResult, sizes: dict[str, int]) -> dict[str, Any]:
    """Rate, latencies and blocks of a run. ``sizes``: bytes of each transaction."""
    full = [block for block in result.blocks if block.tx_ids]
    latencies = result.latencies_ms
    block_bytes = [sum(sizes[tx_id] for tx_id in block.tx_ids) for block in full]
    return {
        "txs": result.sent,
        "seconds": result.total_s,
        "window_txs": result.window_txs,
        "window_s": result.window_s,
        "committed_tps": result.window_txs / result.window_s,
        "p50_ms": percentile(latencies, 0.50),
        "p95_ms": percentile(latencies, 0.95),
        "p99_ms": percentile(latencies, 0.99),
        "max_ms": latencies[-1],
        "blocks": len(full),
        "empty_blocks": len(result.blocks) - len(full),
        "block_txs_mean": fmean(len(block.tx_ids) for block in full),
        "block_txs_max": max(len(block.tx_ids) for block in full),
        "block_tx_bytes_mean": fmean(block_bytes),
        "block_tx_bytes_max": max(block_bytes),
        "blocks_per_s": len(result.blocks) / result.total_s,
        "first_height": result.blocks[0].height,
        "last_height": result.blocks[-1].height,
    }


def cost(before: list[Use], after: list[Use], client_s: float, txs: int) -> dict[str, Any]:
    """CPU, wire and disk of a whole run, per transaction: of each process, and of all validators
    together."""
    pairs = list(zip(before, after, strict=True))
    nodes = [
        {
            "node": 1000 * (late.cpu_s - early.cpu_s) / txs,
            "workers": 1000 * (late.workers_cpu_s - early.workers_cpu_s) / txs,
        }
        for early, late in pairs
    ]
    written = [
        late.written_bytes - early.written_bytes
        for early, late in pairs
        if early.written_bytes is not None and late.written_bytes is not None
    ]
    return {
        "cpu_ms_per_tx": sum(one["node"] + one["workers"] for one in nodes),
        "cpu_ms_per_tx_each": {f"validator{i}": one for i, one in enumerate(nodes, start=1)},
        "client_cpu_ms_per_tx": 1000 * client_s / txs,
        "wire_sent_bytes_per_tx": sum(late.sent_bytes - early.sent_bytes for early, late in pairs)
        / txs,
        "wire_received_bytes_per_tx": sum(
            late.received_bytes - early.received_bytes for early, late in pairs
        )
        / txs,
        "disk_written_bytes_per_tx": sum(written) / txs if len(written) == len(pairs) else None,
        "disk_growth_bytes_per_tx": sum(
            late.folder_bytes - early.folder_bytes for early, late in pairs
        )
        / txs,
        # Their CPU is lost to the figures above, and a healthy worker is never replaced.
        "workers_replaced": sum(len(early.workers - late.workers) for early, late in pairs),
        "rounds_changed": max(
            round(late.rounds_changed - early.rounds_changed) for early, late in pairs
        ),
    }
