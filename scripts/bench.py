"""`python -m scripts.bench`: a network of four validators and a node's parts, measured.

Prints a table, writes JSON. What each figure means: docs/benchmarks.md. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from consensus.primitives.errors import HansaError
from node.setup import CHAIN
from node.store.kv import LevelKV
from scripts import bench_contracts, bench_finance, bench_proofs, bench_snapshot, bench_supply
from scripts import bench_stages as stages
from scripts.bench_load import BenchFailed
from scripts.bench_network import NetworkPlan, run_all, running_network

FORMAT: Final = "hansa-bench/1"
ROOT: Final = Path(__file__).resolve().parent.parent
LIGHT_TPS: Final = 10
SNAPSHOT_BLOCKS: Final = 500
BUSY_LOAD: Final = 0.5
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Plan:
    """What is measured. ``tree_keys``: sizes of the state."""

    network: NetworkPlan
    verifications: int
    execute_blocks: int
    tree_keys: tuple[int, ...]
    tree_blocks: int


FULL: Final = Plan(
    NetworkPlan((1, 16, 128, 1024), (1024, 1536), 15, ((LIGHT_TPS, 30), (100, 15), (500, 15))),
    verifications=20_000,
    execute_blocks=5,
    tree_keys=(10_000, 1_000_000),
    tree_blocks=50,
)
QUICK: Final = Plan(
    NetworkPlan((16, 256), (512,), 6, ((LIGHT_TPS, 8), (100, 5))),
    verifications=5_000,
    execute_blocks=2,
    tree_keys=(10_000, 100_000),
    tree_blocks=20,
)
TREE_NAMES: Final = {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on, and whether it was quiet."""
    load = os.getloadavg()
    if load[0] > BUSY_LOAD:
        say(f"the machine is busy (load average {load[0]:.1f}): figures will be too low")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if psutil.LINUX else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average_before": list(load),
        "ed25519_verify_per_s": stages.ed25519_verify_per_s(),
    }


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit that is measured, with "+changes" when files differ from it; None outside git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def measure(plan: Plan, folder: Path, *, quick: bool) -> dict[str, Any]:
    """The whole report. ``folder`` is for scratch data, on the disk that counts."""
    started = time.monotonic()
    report: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "quick": quick,
    }
    say("machine")
    report["machine"] = machine()
    say("starting four validators")
    with running_network(folder / "network", say) as (network, measured, work):
        rows = run_all(measured, work, plan.network, say)
        report["transaction"] = work.describe()
        document = network.document()
        chain = network.folder / measured.nodes[0].name / CHAIN
    best = max(rows["closed"], key=lambda row: row["committed_tps"])
    report |= headline(rows, best)
    say("import of the stored chain")
    imported = stages.replay(
        chain, document, folder / "import", best["first_height"], best["last_height"]
    )
    report["replay_tps"] = imported.pop("tps")
    report["replay"] = imported
    say("verifying, executing")
    report["stages"] = stages.verifying(plan.verifications) | stages.executing(
        folder / "execute", plan.execute_blocks
    )
    say("contracts alone")
    report["contracts"] = bench_contracts.measure()
    say("calls of trade")
    report["supply"] = bench_supply.measure()
    say("calls of trade finance")
    report["finance"] = bench_finance.measure_finance()
    proofs: dict[str, dict[str, Any]] = {}
    report["tree"] = {"us_per_key_10k": None, "us_per_key_1m": None, "sizes": {}}
    for keys in plan.tree_keys:
        say(f"state tree of {keys} keys")
        then = functools.partial(_prove, proofs, keys)
        found = stages.tree(folder / f"tree{keys}", keys, plan.tree_blocks, then)
        report["tree"][f"us_per_key_{TREE_NAMES[keys]}"] = found["us_per_key"]
        report["tree"]["sizes"][TREE_NAMES[keys]] = found
    # The figures of the largest state, beside all.
    report["proofs"] = proofs[TREE_NAMES[max(plan.tree_keys)]] | {"sizes": proofs}
    keys = max(plan.tree_keys)
    say(f"a snapshot of {keys} keys, and a start on it")
    snapshot = bench_snapshot.measure(folder / "snapshot", keys, SNAPSHOT_BLOCKS)
    name = TREE_NAMES[keys]
    report["snapshot"] = snapshot | {f"restore_{name}_s": snapshot["restore_s"]}
    report[f"restart_{name}_s"] = snapshot["restart_s"]
    report[f"rss_{name}_mb"] = snapshot["rss_mb"]
    report["took_s"] = time.monotonic() - started
    return report


def _prove(proofs: dict[str, dict[str, Any]], keys: int, kv: LevelKV) -> None:
    proofs[TREE_NAMES[keys]] = bench_proofs.measure(kv, keys)


def headline(
    rows: Mapping[str, Sequence[Mapping[str, Any]]], best: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures that days are compared by, beside all rows."""
    light = next(row for row in rows["open"] if row["rate_tps"] == LIGHT_TPS)
    names = (
        "concurrency", "committed_tps", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_per_tx",
        "cpu_ms_per_tx_each", "client_cpu_ms_per_tx",
    )  # fmt: skip
    return {
        "network": {name: best[name] for name in names} | dict(rows),
        "light_load": {name: light[name] for name in ("p50_ms", "p95_ms", "p99_ms")},
    }


COLUMNS: Final = (
    ("tx/s", "committed_tps", 0),
    ("p50 ms", "p50_ms", 0),
    ("p95 ms", "p95_ms", 0),
    ("p99 ms", "p99_ms", 0),
    ("CPU ms/tx", "cpu_ms_per_tx", 2),
    ("client", "client_cpu_ms_per_tx", 2),
    ("wire B/tx", "wire_sent_bytes_per_tx", 0),
    ("disk B/tx", "disk_written_bytes_per_tx", 0),
    ("grown B/tx", "disk_growth_bytes_per_tx", 0),
    ("blocks", "blocks", 0),
    ("tx/block", "block_txs_mean", 0),
    ("max", "block_txs_max", 0),
    ("rounds+", "rounds_changed", 0),
)


def tables(report: Mapping[str, Any]) -> str:
    """The report for people, in Markdown, so that docs/benchmarks.md can take it as it is."""
    network, machine_ = report["network"], report["machine"]
    rows = [["load", *(title for title, _, _ in COLUMNS)]]
    loads = [(f"entries, closed {row['concurrency']}", row) for row in network["entries"]]
    loads += [(f"open {row['rate_tps']} tx/s", row) for row in network["open"]]
    loads += [(f"closed {row['concurrency']}", row) for row in network["closed"]]
    rows += [[name, *_cells(row)] for name, row in loads]
    notes = [f"{name}: {row['note']}." for name, row in loads if row["note"]]
    cpu = [["CPU ms/tx at the best closed loop", "node", "workers"]]
    for name, each in network["cpu_ms_per_tx_each"].items():
        cpu.append([name, f"{each['node']:.3f}", f"{each['workers']:.3f}"])
    cpu.append(["client", f"{network['client_cpu_ms_per_tx']:.3f}", ""])
    found, tree, contracts = report["stages"], report["tree"], report["contracts"]
    calls = [
        part
        for name in ("supply", "finance")
        for part in (markdown(bench_supply.cells(report[name])), bench_supply.verdict(report[name]))
    ]
    parts = [
        ["part", "figure", "unit"],
        ["verifying, one worker", f"{found['verify_per_s']:,.0f}", "signatures/s"],
        ["verifying, in the process", f"{found['verify_inline_per_s']:,.0f}", "signatures/s"],
        ["decoding", f"{found['parse_per_s']:,.0f}", "tx/s"],
        ["executing", f"{found['execute_per_s']:,.0f}", "tx/s"],
        ["executing a commission", f"{found['execute_commission_us']:.0f}", "us"],
        ["executing a shipment", f"{found['execute_ship_us']:.0f}", "us"],
        ["a transfer, executing alone", f"{contracts['transfer_us']:.1f}", "us"],
        ["the same with an audit trail", f"{contracts['transfer_audited_us']:.1f}", "us"],
        ["the same uninstrumented", f"{contracts['transfer_plain_us']:.1f}", "us"],
        ["metering, a transfer", f"{contracts['instrumentation_ratio']:.2f}", "times"],
        ["metering, arithmetic", f"{contracts['arithmetic_ratio']:.2f}", "times"],
        ["500 lines of contract, loading", f"{contracts['load_ms']:.0f}", "ms"],
        ["import of stored blocks", f"{report['replay_tps']:,.0f}", "tx/s"],
    ]
    for size, values in tree["sizes"].items():
        figure = f"{values['us_per_key']:.1f}"
        detail = f"us/key (prepare {values['prepare_us_per_key']:.1f})"
        parts.append([f"state tree, {size} keys", figure, detail])
    snapshot = report["snapshot"]
    parts += [
        [f"snapshot of {snapshot['keys']:,} keys, made", f"{snapshot['make_s']:.1f}", "s"],
        ["joined by", f"{snapshot['restore_s']:.1f}", "s"],
        ["a node's start on it", f"{snapshot['restart_s']:.1f}", "s"],
        ["its memory", f"{snapshot['rss_mb']:.0f}", "MB"],
    ]
    proofs = bench_proofs.rows(report["proofs"]["sizes"])
    transaction = report["transaction"]
    head = (
        f"{report['date']}, commit {report['commit']}{', quick' if report['quick'] else ''}.\n"
        f"{machine_['cpu']}, {machine_['cores']} cores, Python {machine_['python']}, load before"
        f" {machine_['load_average_before'][0]:.2f}; one core verifies"
        f" {machine_['ed25519_verify_per_s']:,.0f} Ed25519 signatures/s.\n"
        f"Transactions of {transaction['signed_bytes_mean']:.0f} bytes"
        f" that write {transaction['keys_written_mean']:.1f} keys (means)."
    )
    return "\n\n".join(
        [head, markdown(rows), *notes, markdown(cpu), markdown(parts), markdown(proofs), *calls]
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    return ["-" if row[key] is None else f"{row[key]:.{digits}f}" for _, key, digits in COLUMNS]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(rule), *(line(row) for row in rows[1:])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 1 a run failed or the network did not start; 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter runs: under 2 minutes")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json", metavar="FILE")
    options = parser.parse_args(arguments)
    # A terminating signal stops the nodes as Ctrl-C does, which trio turns into an orderly end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the result, not in /tmp, which often is memory: a node's writes must reach a disk.
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=options.out.parent))
    try:
        report = measure(QUICK if options.quick else FULL, folder, quick=options.quick)
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
