"""`python -m scripts.bench_faults`: what one dead or slow validator of four costs the rest.

Four situations, one after the other, on one chain: all up; one at a delay (through
``scripts/relay.py``); all up again; one killed. In each the network is loaded until the chain's
own record says what it should (that takes the few heights that are reported), then measured at full
load and at half. Clients know the three other validators only. Prints tables, writes JSON; progress
goes to stderr. What each figure means: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import psutil

from cli.client import Client
from cli.network import Network, NodeSpec, free_ports, node_config
from consensus.params import Params
from consensus.primitives.errors import HansaError
from node.config import default_text
from node.keystore import write_whole
from node.setup import CONFIG
from scripts.bench import EXIT_FAILED, EXIT_INTERRUPTED, ROOT, commit, machine, markdown, say
from scripts.bench_load import BenchFailed, LoadResult, closed_loop, open_loop
from scripts.bench_network import WARM_S, Measured, one_run, prepare, running_network
from scripts.bench_work import Signed, Workload

FORMAT: Final = "hansa-bench-faults/1"
CONCURRENCY: Final = 1024
GUESSED_TPS_MAX: Final = 1_500
CHANGE_S: Final = 6.0
CHANGE_RUNS_MAX: Final = 4
POLL_S: Final = 0.03
TPS_SHARE_MIN: Final = 0.8
LATENCY_SHARE_MAX: Final = 1.3


@dataclass(frozen=True)
class Plan:
    """Seconds of each run; the delay is added to each direction of the slow one's links.

    Four validators and the clients share one machine here: at the default pace of ten blocks a
    second the cost of a block alone takes most of it, and half load is no half load any more.
    """

    full_s: float = 15
    half_s: float = 20
    delay_ms: int = 200
    block_interval_ms: int = 250


class Situations:
    """The network, and which of its validators is in what trouble: always the last one."""

    def __init__(self, network: Network, nodes: list[NodeSpec], work: Workload, plan: Plan) -> None:
        self.network = network
        self.nodes = nodes
        self.fast = nodes[:-1]
        self.odd = nodes[-1]
        self.urls = [node.url for node in self.fast]
        self.work = work
        self.plan = plan
        self.half_tps = 0.0

    def restart(self, detours: Mapping[tuple[str, str], int]) -> None:
        """All nodes anew. ``detours``: (node, peer) -> port at which the node finds the peer."""
        self.network.stop(self.nodes)
        for node in self.nodes:
            config = node_config(node)
            config["network"]["peers"] = {
                peer.name: f"127.0.0.1:{detours.get((node.name, peer.name), peer.p2p_port)}"
                for peer in self.nodes
                if peer != node
            }
            path = self.network.folder / node.name / CONFIG
            write_whole(path, default_text(config).encode(), replace=True)
        for node in self.nodes:
            self.network.start(node)
        self.network.wait_ready(self.nodes)

    @contextlib.contextmanager
    def slow(self) -> Iterator[psutil.Process]:
        """All links of the last validator led through a relay, whichever side dials."""
        ports = free_ports(len(self.nodes))
        routes = {ports[0]: self.odd.p2p_port}
        detours = {(node.name, self.odd.name): ports[0] for node in self.fast}
        for port, node in zip(ports[1:], self.fast, strict=True):
            routes[port] = node.p2p_port
            detours[self.odd.name, node.name] = port
        command = [sys.executable, "-m", "scripts.relay", str(self.plan.delay_ms)]
        command += [f"{port}={target}" for port, target in routes.items()]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as relay:
            try:
                assert relay.stdout is not None
                if relay.stdout.readline() != "ready\n":
                    raise BenchFailed("the relay did not start")
                self.restart(detours)
                yield psutil.Process(relay.pid)
            finally:
                relay.terminate()

    def measure(self, name: str, *, up: bool, in_turn: bool) -> dict[str, Any]:
        """Load until the last validator is (not) in turn, then the two runs."""
        say(name)
        measured = Measured(self.network, self.nodes if up else self.fast)
        report = {"change": self._change(measured, in_turn=in_turn)}
        report["full"] = self._full(measured)
        if not self.half_tps:
            self.half_tps = report["full"]["committed_tps"] / 2
        report["half"] = self._half(measured, self.plan.half_s)
        return report

    def _change(self, measured: Measured, *, in_turn: bool) -> dict[str, Any]:
        """How many heights it took, and what they cost."""
        watcher = _Watcher(self.urls[0], self.odd.name, in_turn=in_turn)
        with watcher:
            for _ in range(CHANGE_RUNS_MAX):
                row = self._half(measured, CHANGE_S)
                if watcher.reached is not None:
                    return {
                        "heights": watcher.reached - watcher.started,
                        "rounds_changed": row["rounds_changed"],
                        "max_ms": row["max_ms"],
                    }
        raise BenchFailed(f"{self.odd.name} is still {'out of' if in_turn else 'in'} turn")

    def _full(self, measured: Measured) -> dict[str, Any]:
        seconds = self.plan.full_s
        txs = self.work.sign(round(GUESSED_TPS_MAX * (seconds + WARM_S + 1)) + CONCURRENCY)

        async def run() -> LoadResult:
            return await closed_loop(self.urls, txs, CONCURRENCY, warm_s=WARM_S, seconds=seconds)

        return {"concurrency": CONCURRENCY} | one_run(measured, txs, run, say)

    def _half(self, measured: Measured, seconds: float) -> dict[str, Any]:
        rate = self.half_tps or 100.0
        txs: list[Signed] = self.work.sign(round(rate * seconds))

        async def run() -> LoadResult:
            return await open_loop(self.urls, txs, rate, seed=round(rate))

        return {"rate_tps": rate} | one_run(measured, txs, run, say)


class _Watcher:
    """Asks a node, beside the load, whether a validator is in turn."""

    def __init__(self, url: str, name: str, *, in_turn: bool) -> None:
        self._url, self._name, self._in_turn = url, name, in_turn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.started, _ = self._look()
        self.reached: int | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> tuple[int, bool]:
        with Client(self._url) as client:
            told = client.node_status()
        out = {one["validator"] for one in told["out_of_turn"]}
        return told["height"], (self._name not in out) == self._in_turn

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            height, there = self._look()
            if there:
                self.reached = height
                return


def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    """The whole report. ``folder`` is for scratch data, on the disk that counts."""
    started = time.monotonic()
    report: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "delay_ms_each_way": plan.delay_ms,
        "min_block_interval_ms": plan.block_interval_ms,
        "machine": machine(),
    }
    params = Params(min_block_interval_ms=plan.block_interval_ms)
    with running_network(folder / "network", say, params) as (network, measured, work):
        prepare(measured, work)
        situations = Situations(network, measured.nodes, work, plan)
        rows = {"all up": situations.measure("all up", up=True, in_turn=True)}
        with situations.slow() as relay:
            name = f"one at {plan.delay_ms} ms each way"
            before = relay.cpu_times()
            rows["slow"] = situations.measure(name, up=True, in_turn=False)
            after = relay.cpu_times()
            rows["slow"]["relay_cpu_s"] = sum(after[:2]) - sum(before[:2])
            network.stop(measured.nodes)
        situations.restart({})
        rows["all up again"] = situations.measure("all up again", up=True, in_turn=True)
        network.stop([situations.odd], kill=True)
        rows["down"] = situations.measure("one killed", up=False, in_turn=False)
    report["situations"] = rows
    report["compared"] = compared(rows)
    report["took_s"] = time.monotonic() - started
    return report


def compared(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The slow and the dead situation as shares of all up (the mean of both), and the verdict."""

    def up(load: str, figure: str) -> float:
        return fmean(rows[name][load][figure] for name in ("all up", "all up again"))

    found = {}
    for name in ("slow", "down"):
        full, half = rows[name]["full"], rows[name]["half"]
        shares = {
            "tps": full["committed_tps"] / up("full", "committed_tps"),
            "p50": half["p50_ms"] / up("half", "p50_ms"),
            "p99": half["p99_ms"] / up("half", "p99_ms"),
        }
        within = shares["tps"] >= TPS_SHARE_MIN and all(
            shares[key] <= LATENCY_SHARE_MAX for key in ("p50", "p99")
        )
        found[name] = shares | {"within": within}
    return found


def tables(report: Mapping[str, Any]) -> str:
    """The report for people, in Markdown, so that docs/benchmarks.md can take it as it is."""
    rows = [
        ["situation", "heights", "tx/s", "p50 ms", "CPU ms/tx", "half: tx/s", "p50 ms", "p99 ms",
         "CPU ms/tx", "rounds+"],
    ]  # fmt: skip
    for name, one in report["situations"].items():
        full, half = one["full"], one["half"]
        rows.append(
            [
                name,
                str(one["change"]["heights"]),
                f"{full['committed_tps']:.0f}",
                f"{full['p50_ms']:.0f}",
                f"{full['cpu_ms_per_tx']:.2f}",
                f"{half['committed_tps']:.0f}",
                f"{half['p50_ms']:.0f}",
                f"{half['p99_ms']:.0f}",
                f"{half['cpu_ms_per_tx']:.2f}",
                str(full["rounds_changed"] + half["rounds_changed"]),
            ]
        )
    shares = [["against all up", "tx/s at full load", "p50 at half", "p99 at half", "within"]]
    for name, one in report["compared"].items():
        figures = [f"{100 * (one[key] - 1):+.0f} %" for key in ("tps", "p50", "p99")]
        shares.append([name, *figures, "yes" if one["within"] else "NO"])
    head = (
        f"{report['date']}, commit {report['commit']}; the slow one at"
        f" {report['delay_ms_each_way']} ms each way; a block every"
        f" {report['min_block_interval_ms']} ms; load before"
        f" {report['machine']['load_average_before'][0]:.2f}."
    )
    return "\n\n".join([head, markdown(rows), markdown(shares)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 whatever the figures are; 1 a run failed; 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_faults", description=__doc__)
    parser.add_argument("--delay-ms", type=int, default=Plan.delay_ms, metavar="MS")
    parser.add_argument(
        "--block-interval-ms", type=int, default=Plan.block_interval_ms, metavar="MS"
    )
    parser.add_argument("--full-s", type=float, default=Plan.full_s, metavar="S")
    parser.add_argument("--half-s", type=float, default=Plan.half_s, metavar="S")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "bench_faults.json", metavar="FILE"
    )
    options = parser.parse_args(arguments)
    # A terminating signal stops the nodes as Ctrl-C does, which trio turns into an orderly end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=options.out.parent))
    try:
        plan = Plan(options.full_s, options.half_s, options.delay_ms, options.block_interval_ms)
        report = measure(plan, folder)
    except (BenchFailed, HansaError) as error:
        say(f"bench: FAILED: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("bench: interrupted; the nodes are stopped")
        return EXIT_INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(tables(report))
    say(f"written to {options.out} after {report['took_s']:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
