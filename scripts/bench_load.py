"""The benchmark's client: hands transactions in and sees them committed, as a program would.

Batches go over HTTP to the four nodes in turn; commits are seen on one node's stream of positions.
**Closed loop**: so many transactions are always under way; whenever some are committed, as many new
ones are sent. **Open loop**: transactions arrive by chance at a mean rate, whatever the network
does; each one's latency counts from its arrival, so waiting for a slow network is not left out.
"""

from __future__ import annotations

import bisect
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import httpx
import trio

from consensus.primitives.codec import encode
from scripts.bench_work import Signed

BATCH_TXS_MAX: Final = 500
BATCH_TXS_MIN: Final = 25
"""Fewer are not shared out over several nodes: each request has its price."""
GATHER_S: Final = 0.02
"""In the open loop, arrivals this soon after the last batch are sent together."""
DRAIN_S: Final = 60.0
STREAM_READY_S: Final = 10.0


class BenchFailed(Exception):
    """A run that proves nothing: something was refused, lost, or not committed in time."""


@dataclass
class Seen:
    """One committed block as the client saw it: when (monotonic seconds), and its transactions."""

    at: float
    height: int
    tx_ids: list[str]


@dataclass
class Watch:
    """What is under way and what came of it."""

    began: dict[str, float] = field(default_factory=dict)
    latency_s: dict[str, float] = field(default_factory=dict)
    blocks: list[Seen] = field(default_factory=list)
    changed: trio.Event = field(default_factory=trio.Event)

    def take(self, line: dict[str, Any], at: float) -> None:
        """Raises BenchFailed for a transaction that failed, came twice, or is nobody's."""
        if "error" in line:
            raise BenchFailed(f"the stream of positions ended: {line['error']}")
        tx_ids = []
        for tx_id, code in line["txs"]:
            if code != "OK":
                raise BenchFailed(f"transaction {tx_id} was committed with {code}")
            if tx_id in self.latency_s or tx_id not in self.began:
                raise BenchFailed(f"transaction {tx_id} was committed twice, or never sent")
            self.latency_s[tx_id] = at - self.began[tx_id]
            tx_ids.append(tx_id)
        self.blocks.append(Seen(at, line["height"], tx_ids))
        self.changed.set()
        self.changed = trio.Event()

    @property
    def waiting(self) -> int:
        return len(self.began) - len(self.latency_s)


@dataclass
class LoadResult:
    """Rates and latencies of a run's steady part, and all of its blocks."""

    sent: int
    window_s: float
    window_txs: int
    latencies_ms: list[float]  # sorted
    blocks: list[Seen]
    total_s: float
    note: str = ""


class Sender:
    """Batches to the nodes in turn. Raises BenchFailed unless every transaction is accepted."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], watch: Watch) -> None:
        self.http = http
        self._urls = urls
        self._watch = watch
        self._next = 0

    def spread(self, nursery: trio.Nursery, txs: Sequence[Signed], began: Sequence[float]) -> None:
        """Share them out over the nodes and send without waiting; ``began``: since when each one's
        latency counts."""
        for tx, at in zip(txs, began, strict=True):
            self._watch.began[tx.tx_id] = at
        share = max(BATCH_TXS_MIN, math.ceil(len(txs) / len(self._urls)))
        size = min(BATCH_TXS_MAX, share)
        for start in range(0, len(txs), size):
            self._next = (self._next + 1) % len(self._urls)
            nursery.start_soon(self._post, self._urls[self._next], txs[start : start + size])

    async def _post(self, url: str, txs: Sequence[Signed]) -> None:
        try:
            response = await self.http.post(
                f"{url}/v1/transactions",
                content=encode([tx.raw for tx in txs]),
                headers={"content-type": "application/msgpack"},
            )
        except httpx.HTTPError as error:
            raise BenchFailed(f"{url} took no transactions: {error!r}") from error
        if not response.is_success:
            raise BenchFailed(f"{url} answers {response.status_code}: {response.text[:300]}")
        results = response.json()["results"]
        refused = [one for one in results if one["status"] != "accepted"]
        if refused or len(results) != len(txs):
            raise BenchFailed(f"{url} refused {len(refused)} of {len(txs)}: {refused[:1]}")


async def _follow(
    http: httpx.AsyncClient,
    url: str,
    watch: Watch,
    since: int,
    task_status: Any = trio.TASK_STATUS_IGNORED,
) -> None:
    async with http.stream("GET", f"{url}/v1/positions", params={"since": since}) as response:
        if response.status_code != 200:
            raise BenchFailed(f"{url}/v1/positions answers {response.status_code}")
        task_status.started()
        async for line in response.aiter_lines():
            if line:
                watch.take(json.loads(line), time.monotonic())
    raise BenchFailed(f"{url} ended the stream of positions")


Loop = Callable[[trio.Nursery, Sender, Watch], Awaitable[str]]


async def run_loop(urls: Sequence[str], loop: Loop) -> tuple[Watch, str]:
    """Run a loop until everything it sent is committed; returns what was seen, and its note."""
    watch = Watch()
    timeout = httpx.Timeout(30, read=30)
    # trust_env: a proxy from the environment must not see or break loopback requests.
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as http:
        status = (await http.get(f"{urls[0]}/v1/status")).json()
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(STREAM_READY_S) as waited:
                await nursery.start(_follow, http, urls[0], watch, status["height"] + 1)
            if waited.cancelled_caught:
                raise BenchFailed(f"{urls[0]} opens no stream of positions")
            note = await loop(nursery, Sender(http, urls, watch), watch)
            with trio.move_on_after(DRAIN_S):
                while watch.waiting:
                    await watch.changed.wait()
            if watch.waiting:
                raise BenchFailed(f"{watch.waiting} transactions not committed in {DRAIN_S:.0f} s")
            nursery.cancel_scope.cancel()
    return watch, note


async def closed_loop(
    urls: Sequence[str], txs: Sequence[Signed], concurrency: int, *, warm_s: float, seconds: float
) -> LoadResult:
    """Keep ``concurrency`` transactions under way. The rate is that between two blocks: the first
    after ``warm_s`` and the first after another ``seconds``."""
    window: list[Seen] = []

    async def loop(nursery: trio.Nursery, sender: Sender, watch: Watch) -> str:
        sent, started = min(concurrency, len(txs)), time.monotonic()
        sender.spread(nursery, txs[:sent], [started] * sent)
        while True:
            seen = len(watch.blocks)
            await watch.changed.wait()
            now = time.monotonic()
            last = watch.blocks[-1]
            if last.tx_ids and now - started >= warm_s and not window:
                window.append(last)
            if last.tx_ids and window and now - window[0].at >= seconds:
                window.append(last)
                return ""
            freed = sum(len(block.tx_ids) for block in watch.blocks[seen:])
            fresh = txs[sent : sent + freed]
            if len(fresh) < freed:
                window.append(last)
                return "ended early: all transactions made beforehand were used"
            sent += freed
            if fresh:
                sender.spread(nursery, fresh, [now] * len(fresh))

    started = time.monotonic()
    watch, note = await run_loop(urls, loop)
    if len(window) < 2 or window[0] is window[1]:
        raise BenchFailed("the run was too short: not two blocks after the warm-up")
    return _result(watch, window[0].at, window[1].at, started, note)


async def open_loop(
    urls: Sequence[str], txs: Sequence[Signed], rate_tps: float, *, seed: int
) -> LoadResult:
    """All of ``txs``, arriving by chance (exponential gaps) at a mean rate."""
    rng = random.Random(seed)
    first = 0.0

    async def loop(nursery: trio.Nursery, sender: Sender, watch: Watch) -> str:
        nonlocal first
        first = due = time.monotonic()
        arrivals = []
        for _ in txs:
            arrivals.append(due)
            due += rng.expovariate(rate_tps)
        sent, sent_at = 0, 0.0
        while sent < len(txs):
            wake = max(arrivals[sent], sent_at + GATHER_S)
            await trio.sleep(max(0.0, wake - time.monotonic()))
            sent_at = time.monotonic()
            stop = bisect.bisect_right(arrivals, sent_at)
            sender.spread(nursery, txs[sent:stop], arrivals[sent:stop])
            sent = stop
        return ""

    started = time.monotonic()
    watch, note = await run_loop(urls, loop)
    return _result(watch, first, watch.blocks[-1].at, started, note)


def _result(watch: Watch, begin: float, end: float, started: float, note: str) -> LoadResult:
    inside = [tx_id for block in watch.blocks if begin < block.at <= end for tx_id in block.tx_ids]
    latencies = sorted(watch.latency_s[tx_id] * 1000 for tx_id in inside)
    total_s = watch.blocks[-1].at - started
    return LoadResult(
        len(watch.began), end - begin, len(inside), latencies, watch.blocks, total_s, note
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values: the smallest that ``share`` don't exceed."""
    if not ordered:
        raise ValueError("no values")
    assert all(low <= high for low, high in pairwise(ordered)), "values must be sorted"
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
