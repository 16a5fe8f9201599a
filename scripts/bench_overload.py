"""`python -m scripts.bench_overload`: twice as much as the network can take, for a minute.

First a closed loop of entries (docs/benchmarks.md) tells the capacity. Then entries arrive steadily
at twice that rate. What a node refuses with a time to retry is sent again, the same bytes, after
that time, until the minute is over; what is still refused then is given up, as its sender was told.
From that moment a few transactions a second tell when the network is back to normal: when those of
a whole second are committed as quickly as before the overload (three times its p50 at the most).
Every transaction that a node accepted has to be committed, once, on all four.
"""

from __future__ import annotations

import argparse
import heapq
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import trio

from consensus.primitives.codec import encode
from consensus.primitives.errors import HansaError
from scripts.bench import EXIT_FAILED, ROOT, markdown, say
from scripts.bench_load import BenchFailed, Sender, Watch, percentile, run_loop
from scripts.bench_network import Measured, closed_run, leaf, prepare, running_network
from scripts.bench_work import ENTRY, Signed, Workload

CONCURRENCY: Final = 1024
CAPACITY_S: Final = 8.0
BATCH: Final = 100
UNDER_WAY_MAX: Final = 64
"""Requests at a time: a client has only so many connections."""
PROBE_TPS: Final = 20
BEFORE_S: Final = 5.0
AFTER_S: Final = 30.0
NORMAL: Final = 3.0
"""Times the p50 before."""


@dataclass
class Offers:
    """What became of the transactions offered."""

    first: int = 0
    """Sent at least once."""
    accepted: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers by code."""
    without_time: int = 0
    """Refusals that name no time to retry."""
    retries: list[tuple[float, int, Signed]] = field(default_factory=list)
    """A heap: when to send again, a tie-breaker, what."""


class Overload:
    """Offers transactions at a steady rate, those refused again and again."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], watch: Watch) -> None:
        self._http = http
        self._urls = urls
        self.watch = watch
        self._turn = 0
        self._limit = trio.CapacityLimiter(UNDER_WAY_MAX)
        self.offers = Offers()

    async def offer(self, txs: Sequence[Signed], rate_tps: float, seconds: float) -> None:
        """For so long; ``txs`` have to be enough."""
        started = time.monotonic()
        async with trio.open_nursery() as nursery:
            while (now := time.monotonic()) - started < seconds:
                due = min(len(txs), round((now - started) * rate_tps))
                batch = list(txs[self.offers.first : due])
                self.offers.first = due
                while self.offers.retries and self.offers.retries[0][0] <= now:
                    batch.append(heapq.heappop(self.offers.retries)[2])
                for start in range(0, len(batch), BATCH):
                    await self._limit.acquire_on_behalf_of(token := object())
                    self._turn = (self._turn + 1) % len(self._urls)
                    part = batch[start : start + BATCH]
                    nursery.start_soon(self._post, self._urls[self._turn], part, token)
                await trio.sleep(0.02)

    async def until_accepted(self, tx: Signed) -> None:
        self._turn = (self._turn + 1) % len(self._urls)
        while True:
            (told,) = await self._ask(self._urls[self._turn], [tx])
            if told["status"] == "accepted":
                return
            await trio.sleep(told["retry_after_ms"] / 1000)

    async def _ask(self, url: str, txs: list[Signed]) -> list[dict[str, Any]]:
        now = time.monotonic()
        for tx in txs:
            self.watch.began.setdefault(tx.tx_id, now)
        try:
            response = await self._http.post(
                f"{url}/v1/transactions",
                content=encode([tx.raw for tx in txs]),
                headers={"content-type": "application/msgpack"},
            )
            results: list[dict[str, Any]] = response.json()["results"]
        except httpx.HTTPError as error:
            raise BenchFailed(f"{url} gave no answer: {error!r}") from error
        return results

    async def _post(self, url: str, txs: list[Signed], token: object) -> None:
        offers = self.offers
        try:
            results = await self._ask(url, txs)
        finally:
            self._limit.release_on_behalf_of(token)
        now = time.monotonic()
        for tx, one in zip(txs, results, strict=True):
            if one["status"] == "accepted":
                offers.accepted.add(tx.tx_id)
                continue
            offers.refused[one["code"]] += 1
            if one["retry_after_ms"] is None:
                offers.without_time += 1
            wait_s = (one["retry_after_ms"] or 1000) / 1000
            heapq.heappush(offers.retries, (now + wait_s, id(tx), tx))


async def probe(overload: Overload, txs: Sequence[Signed]) -> list[tuple[float, str]]:
    """A few transactions a second, each by itself, and again where it is refused: (seconds since
    the beginning, tx id) of each."""
    began = time.monotonic()
    sent = []
    async with trio.open_nursery() as nursery:
        for number, tx in enumerate(txs):
            await trio.sleep(max(0.0, began + number / PROBE_TPS - time.monotonic()))
            sent.append((time.monotonic() - began, tx.tx_id))
            nursery.start_soon(overload.until_accepted, tx)
    with trio.move_on_after(60):
        while any(tx_id not in overload.watch.latency_s for _, tx_id in sent):
            await overload.watch.changed.wait()
    return sent


def back_after_s(told: Sequence[tuple[float, float]], normal_s: float) -> float:
    """Since when each whole second's median latency is normal: ``told`` is (sent at, latency)."""
    last = 0.0
    for second in range(int(told[-1][0]) + 1):
        latencies = [latency for at, latency in told if second <= at < second + 1]
        if latencies and median(latencies) > normal_s:
            last = second + 1.0
    return last


def measure(measured: Measured, work: Workload, seconds: float, factor: float) -> dict[str, Any]:
    """Raises BenchFailed for anything accepted that was lost."""
    capacity = closed_run(measured, work, CONCURRENCY, CAPACITY_S, say, ENTRY)["committed_tps"]
    rate = factor * capacity
    say(f"signing what is offered: {rate:.0f} tx/s for {seconds:.0f} s")
    txs = work.sign(round(rate * seconds), ENTRY)
    before = work.sign(round(BEFORE_S * PROBE_TPS), ENTRY)
    after = work.sign(round(AFTER_S * PROBE_TPS), ENTRY)
    found: dict[str, Any] = {"capacity_tps": capacity, "offered_tps": rate, "seconds": seconds}

    async def loop(_: trio.Nursery, sender: Sender, watch: Watch) -> str:
        overload = Overload(sender.http, measured.urls, watch)
        quiet = await probe(overload, before)
        normal = percentile(sorted(watch.latency_s[tx_id] for _, tx_id in quiet), 0.5)
        say("overload")
        begin = time.monotonic()
        await overload.offer(txs, rate, seconds)
        end = time.monotonic()
        offers = overload.offers
        given_up = {tx.tx_id for _, _, tx in offers.retries} - offers.accepted
        for tx_id in given_up - watch.latency_s.keys():
            del watch.began[tx_id]
        say(f"offered {offers.first}, accepted {len(offers.accepted)}; afterwards")
        told = await probe(overload, after)
        times = [(at, watch.latency_s[tx_id]) for at, tx_id in told if tx_id in watch.latency_s]
        if len(times) < len(told):
            raise BenchFailed(f"{len(told) - len(times)} transactions afterwards not committed")
        during = [block for block in watch.blocks if begin < block.at <= end]
        latencies = sorted(watch.latency_s[one] for block in during for one in block.tx_ids)
        found.update(
            offered=offers.first,
            accepted=len(offers.accepted),
            given_up=len(given_up),
            refusals=dict(offers.refused),
            refusals_without_time=offers.without_time,
            committed_tps=len(latencies) / (end - begin),
            p50_ms=1000 * percentile(latencies, 0.5),
            p99_ms=1000 * percentile(latencies, 0.99),
            normal_ms=1000 * normal,
            back_after_s=back_after_s(times, NORMAL * normal),
            after_ms=[round(1000 * latency) for _, latency in times],
        )
        return ""

    try:
        watch, _ = trio.run(run_loop, measured.urls, loop)
    except BaseExceptionGroup as group:
        raise leaf(group) from group
    measured.settle(watch.blocks[-1].height)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--factor", type=float, default=2.0)
    options = parser.parse_args(arguments)
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".overload-", dir=ROOT / "build"))
    try:
        with running_network(folder / "network", say) as (network, measured, work):
            prepare(measured, work)
            found = measure(measured, work, options.seconds, options.factor)
            processes = [network.process(node) for node in measured.nodes]
            found["rss_mb"] = [one.memory_info().rss / 1e6 for one in processes if one is not None]
    except (BenchFailed, HansaError, trio.TooSlowError) as error:
        say(f"bench_overload: FAILED: {error}")
        return EXIT_FAILED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (ROOT / "build" / "overload.json").write_text(json.dumps(found, indent=2) + "\n")
    print(markdown(rows(found)))
    return 0


def rows(found: dict[str, Any]) -> list[list[str]]:
    refusals = ", ".join(f"{count:,} {code}" for code, count in found["refusals"].items())
    return [
        ["what", "seen"],
        ["capacity, closed loop", f"{found['capacity_tps']:.0f} tx/s"],
        ["offered", f"{found['offered_tps']:.0f} tx/s for {found['seconds']:.0f} s"],
        ["transactions offered", f"{found['offered']:,}"],
        ["accepted, and committed once", f"{found['accepted']:,}"],
        ["refused to the end", f"{found['given_up']:,}"],
        ["refusals by code", refusals],
        ["of them without a time to retry", f"{found['refusals_without_time']}"],
        ["committed meanwhile", f"{found['committed_tps']:.0f} tx/s"],
        ["latency meanwhile, p50 and p99", f"{found['p50_ms']:.0f}, {found['p99_ms']:.0f} ms"],
        ["p50 before, 20 tx/s", f"{found['normal_ms']:.0f} ms"],
        ["back to normal after", f"{found['back_after_s']:.0f} s"],
        ["memory, most", f"{max(found['rss_mb']):.0f} MB"],
    ]


if __name__ == "__main__":
    sys.exit(main())
