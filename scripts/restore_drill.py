"""A restore drill on real processes under load: how long it takes, and how much is lost.

    make drill    or    .venv/bin/python -m scripts.restore_drill [--warm-up 20] [--json]

Four validators and a full node work under load; one validator is backed up while it runs, several
times. Then its process is killed and its disk is gone: chain, vote log and vault. It is restored
from the newest backup and started. Told are

* recovery time: from the loss until it votes again, and its parts (check and restore, start, catch
  up, voting);
* recovery point: how many blocks the backup was behind, and how many transactions reported
  committed are missing in the end, which has to be none: the others have them;
* what a backup costs: its time and size, and the waiting time of a transaction beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.client import Client
from tests.e2e.support import Devnet, devnet, hansa, until

BATCH = 50


@dataclass
class Load:
    """One client that hands in batches and waits for them: what was committed, and how long it
    took."""

    net: Devnet
    avoid: str
    done: threading.Event = field(default_factory=threading.Event)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """(moment, seconds until all of a batch was committed)"""
    committed: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            number = 0
            urls = [one.url for one in self.net.nodes if one.name != self.avoid]
            with Client(urls) as client:
                while not self.done.is_set():
                    txs = [self.net.transaction(number + one) for one in range(BATCH)]
                    number += BATCH
                    began = time.monotonic()
                    outcomes = client.submit_and_wait(txs, timeout_s=120)
                    self.waits.append((began, time.monotonic() - began))
                    self.committed += [
                        one.tx_id.hex() for one in outcomes if one.status == "committed"
                    ]
        except BaseException as error:
            self.failure = error

    def median_ms(self, since: float, until_: float) -> float | None:
        within = [wait for at, wait in self.waits if since <= at < until_]
        return round(statistics.median(within) * 1000, 1) if within else None


def drill(folder: Path, warm_up_s: float, backups: int) -> dict[str, Any]:
    """Raises AssertionError when a transaction is lost or the chains differ."""
    with devnet(folder / "net") as net:
        victim, other = net.nodes[3], net.nodes[0]
        home = net.network.folder / victim.name
        load = Load(net, victim.name)
        thread = threading.Thread(target=load.run)
        thread.start()
        try:
            calm = time.monotonic()
            time.sleep(warm_up_s)
            busy = time.monotonic()
            made: list[dict[str, Any]] = []
            for number in range(backups):
                began = time.monotonic()
                out = folder / f"{number}.hansa"
                made.append(hansa(net.network, "backup", "--data", home, "--out", out))
                made[-1]["seconds"] = round(time.monotonic() - began, 2)
            after = time.monotonic()
            time.sleep(warm_up_s / 2)
            net.kill(victim)
            at_loss = net.height(other)
            lost_at = time.monotonic()
            for name in ("chain", "votes", "vault"):
                shutil.rmtree(home / name, ignore_errors=True)
            done = hansa(net.network, "restore", made[-1]["file"], "--data", home)
            restored = time.monotonic()
            net.start(victim)
            until(lambda: net.height(victim) >= 0, "it answers")
            answers = time.monotonic()
            until(lambda: net.height(victim) >= at_loss, "it has what there was at the loss")
            level = time.monotonic()
            until(lambda: bool(net.status(victim)["voting"]), "it votes")
            voting = time.monotonic()
        finally:
            load.done.set()
            thread.join(300)
        if load.failure is not None:
            raise load.failure
        missing = _missing(net, victim.url, load.committed)
        return {
            "height_of_backup": done["backup_height"],
            "height_at_loss": at_loss,
            "blocks_behind": at_loss - done["backup_height"],
            "transactions_committed": len(load.committed),
            "transactions_missing": missing,
            "restore_s": round(restored - lost_at, 1),
            "start_s": round(answers - restored, 1),
            "catch_up_s": round(level - answers, 1),
            "votes_again_s": round(voting - level, 1),
            "recovery_s": round(voting - lost_at, 1),
            "backup_s": made[-1]["seconds"],
            "backup_bytes": made[-1]["bytes"],
            "backup_pairs": made[-1]["pairs"],
            "batch_wait_ms": load.median_ms(calm, busy),
            "batch_wait_beside_backup_ms": load.median_ms(busy, after),
        }


def _missing(net: Devnet, url: str, committed: list[str]) -> int:
    """How many of the committed transactions the restored node does not have."""
    net.equal_chains()
    with Client(url) as client:
        return sum(
            client.tx_status(bytes.fromhex(one))["status"] != "committed" for one in committed
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--warm-up", type=float, default=20.0, help="seconds of load before")
    parser.add_argument("--backups", type=int, default=3, help="how many, one after the other")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hansa-drill-") as folder:
        told = drill(Path(folder), options.warm_up, options.backups)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        for name, value in told.items():
            print(f"{name.replace('_', ' '):32} {value}")
    return 0 if told["transactions_missing"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
