"""`python -m scripts.bench_endurance`: memory and disk through a million transactions.

Four validators under a closed loop of entries (docs/benchmarks.md), part after part. The fourth
prunes: it keeps the newest 200 blocks, and what is younger than the window in which a transaction
is valid, two minutes here. A row for each part; the last lines say what a transaction takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import trio

from cli.network import Network
from consensus.params import Params
from consensus.primitives.errors import HansaError
from node.config import FILE_NAME
from node.setup import CHAIN
from scripts.bench import EXIT_FAILED, ROOT, markdown, say
from scripts.bench_load import BenchFailed, LoadResult, closed_loop
from scripts.bench_network import Measured, folder_bytes, one_run, prepare, running_network
from scripts.bench_work import ENTRY

PRUNE_BLOCKS: Final = 200
WINDOW_MS: Final = 120_000
PART: Final = 50_000
"""Transactions signed at a time: they have to be committed within the window."""
WARM_S: Final = 1.0


def prune_the_fourth(network: Network) -> None:
    file = network.folder / network.nodes()[3].name / FILE_NAME
    text = file.read_text(encoding="utf-8")
    assert "# prune = 0" in text
    file.write_text(text.replace("# prune = 0", f"prune = {PRUNE_BLOCKS}"), encoding="utf-8")


def anonymous_mb(process: psutil.Process) -> float:
    """What is the process's own: without the pages of table files, which the system keeps mapped
    while it has room for them."""
    told = process.memory_info()
    return float(told.rss - told.shared) / 1e6


def row_of(network: Network, measured: Measured, txs: int, row: dict[str, Any]) -> dict[str, Any]:
    processes = [network.process(node) for node in measured.nodes]
    names = [node.name for node in measured.nodes]
    return {
        "txs": txs,
        "committed_tps": row["committed_tps"],
        "p50_ms": row["p50_ms"],
        "cpu_ms_per_tx": row["cpu_ms_per_tx"],
        "rss_mb": [one.memory_info().rss / 1e6 for one in processes if one is not None],
        "anonymous_mb": [anonymous_mb(one) for one in processes if one is not None],
        "chain_mb": [folder_bytes(network.folder / name / CHAIN) / 1e6 for name in names],
    }


def cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    table = [
        ["transactions", "tx/s", "p50 ms", "CPU ms/tx", "RSS MB", "own MB", "chain MB", "pruned"]
    ]
    for row in rows:
        table.append(
            [
                f"{row['txs']:,}",
                f"{row['committed_tps']:.0f}",
                f"{row['p50_ms']:.0f}",
                f"{row['cpu_ms_per_tx']:.2f}",
                f"{max(row['rss_mb']):.0f}",
                f"{max(row['anonymous_mb']):.0f}",
                f"{row['chain_mb'][0]:.0f}",
                f"{row['chain_mb'][3]:.0f}",
            ]
        )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_endurance", description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=1024)
    options = parser.parse_args(arguments)
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".endurance-", dir=ROOT / "build"))
    rows: list[dict[str, Any]] = []
    try:
        params = Params(tx_window_ms=WINDOW_MS)
        with running_network(folder / "network", say, params, prune_the_fourth) as running:
            network, measured, work = running
            work.valid_for_ms = WINDOW_MS - 5_000
            prepare(measured, work)
            done = 0
            while done < options.transactions:
                txs = work.sign(PART, ENTRY)

                async def run(txs: Any = txs) -> LoadResult:
                    seconds = 10 * WINDOW_MS / 1000  # until all are sent
                    return await closed_loop(
                        measured.urls, txs, options.concurrency, warm_s=WARM_S, seconds=seconds
                    )

                row = one_run(measured, txs, run, lambda _: None)
                done += row["txs"]
                rows.append(row_of(network, measured, done, row))
                say(", ".join(cells(rows[-1:])[1]))
    except (BenchFailed, HansaError, trio.TooSlowError) as error:
        say(f"bench_endurance: FAILED: {error}")
        return EXIT_FAILED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (ROOT / "build" / "endurance.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(markdown(cells(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
