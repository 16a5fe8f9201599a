"""How long `hansa trace --forward` takes over ten thousand batches, from the command line.

A validators' network is started and a lot split into fifty, each of these into fifty, and most of
those into fifty again, by transactions. Then the command runs as anybody would run it: a process
of its own, its start included.

    python -m scripts.bench_lineage        # about a minute; figures in build/lineage.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from cli.client import Client, make_transaction
from cli.network import Network
from consensus.primitives.errors import HansaError
from consensus.transaction import Call
from scripts.bench_network import running_network
from scripts.bench_work import MAKERS

BATCHES: Final = 10_000
PARTS: Final = 50
GTIN: Final = "09521321000018"
TRIES: Final = 5
STEPS_MAX: Final = 10_000_000
RESULT: Final = Path("build/lineage.json")


def lot(name: str) -> str:
    return f"01/{GTIN}/10/{name}"


def split_calls() -> list[list[Call]]:
    """Calls in waves: each wave splits what the one before made."""
    amount = PARTS**3
    made = [{"item": lot("L"), "quantity": {"amount": amount, "unit": "EA"}}]
    waves = [[Call("batch", "commission", {"items": made})]]
    names, count = ["L"], 1
    while count < BATCHES:
        amount //= PARTS
        calls, parts = [], []
        for name in names:
            if count >= BATCHES:
                break
            children = [f"{name}-{number}" for number in range(PARTS)]
            given = [{"lot": child, "amount": amount} for child in children]
            calls.append(Call("batch", "split", {"item": lot(name), "parts": given}))
            parts += children
            count += PARTS
        waves.append(calls)
        names = parts
    return waves


def fill(client: Client, seed: bytes, chain_id: bytes) -> None:
    for calls in split_calls():
        txs = [make_transaction(seed, chain_id, [call], steps_max=STEPS_MAX) for call in calls]
        for outcome in client.submit_and_wait(txs, timeout_s=300):
            if outcome.code != "OK":
                raise SystemExit(f"bench: FAILED: {outcome.code} {outcome.message}")


def measure(url: str, *arguments: str) -> dict[str, Any]:
    """The best of a few runs of the command: seconds from start to end, its CPU, what it found."""
    command = [sys.executable, "-m", "cli.main", "--node", url, "--json", "trace", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    best: dict[str, Any] = {}
    for _ in range(TRIES):
        before = psutil.Process().cpu_times()
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
        seconds = time.perf_counter() - started
        after = psutil.Process().cpu_times()
        cpu_s = (
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
        found = len(json.loads(done.stdout)["items"])
        if not best or seconds < best["seconds"]:
            best = {"seconds": round(seconds, 3), "cpu_s": round(cpu_s, 3), "items": found}
    return best


def run(network: Network) -> dict[str, Any]:
    node = network.nodes()[0]
    with Client([node.url]) as client:
        sys.stderr.write(f"making {BATCHES} batches\n")
        fill(client, network.organisation_seed(MAKERS[0].id), network.document().chain_id)
    deepest = lot("L-0-0-0")
    return {
        "forward": measure(node.url, lot("L"), "--forward"),
        "back": measure(node.url, deepest, "--back"),
    }


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_network(Path(folder) / "net", lambda line: print(line, file=sys.stderr)) as made,
    ):
        figures = run(made[0])
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    for name, one in figures.items():
        print(
            f"trace --{name}: {one['items']} things in {one['seconds']} s, process start included;"
            f" {one['cpu_s']} s of CPU in the command"
        )


if __name__ == "__main__":
    try:
        main()
    except HansaError as error:
        raise SystemExit(f"bench: FAILED: {error}") from None
