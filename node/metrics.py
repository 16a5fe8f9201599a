"""What the node counts, for Prometheus at ``/metrics``.

One :class:`Metrics` belongs to one node, with a registry of its own, so several nodes can live in
one process. Values that something else already knows are read when somebody asks:
``metrics.mempool_txs.set_function(lambda: len(mempool))``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from node.workers import PoolStats

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TXS: Final = (0, 1, 5, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


class Metrics:
    """Every metric of a node; names on the wire begin with ``hansa_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hansa_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"hansa_{name}", text, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(f"hansa_{name}", text, buckets=buckets, registry=registry)

        # Agreement and the chain.
        self.height = gauge("height", "Height of the newest committed block")
        self.round = gauge("round", "Consensus round of the height being decided")
        self.rounds_changed = counter("rounds_changed", "Rounds left without a decision")
        self.blocks = counter("blocks", "Blocks committed")
        self.block_txs = histogram("block_txs", "Transactions per block", _TXS)
        self.txs = counter("txs", "Transactions committed, by receipt code", "code")
        self.block_seconds = histogram("block_seconds", "Time from one commit to the next")
        self.execute_seconds = histogram("execute_seconds", "Executing one block")
        self.store_seconds = histogram("store_seconds", "Writing one block's synchronous batch")
        self.vote_log_seconds = histogram("vote_log_seconds", "Appending one vote and syncing it")
        self.divergences = counter("divergences", "Reports of outcomes that differ", "kind")
        # Transactions on their way.
        self.held_out = counter("held_out", "Transactions held out as they split the vote")
        self.mempool_txs = gauge("mempool_txs", "Transactions waiting in the mempool")
        self.mempool_bytes = gauge("mempool_bytes", "Bytes of the transactions in the mempool")
        self.admitted = counter("admitted", "Transactions admitted, by source", "source")
        self.refused = counter("refused", "Transactions refused at admission, by code", "code")
        # The vault.
        self.vault_openings = gauge("vault_openings", "Openings that the vault holds")
        self.vault_missing = gauge("vault_missing", "Openings asked for, which nobody gave yet")
        # Verification workers.
        self.verify_items = gauge("verify_items", "Signatures verified since start")
        self.verify_batches = gauge("verify_batches", "Batches verified by workers since start")
        self.worker_restarts = gauge("worker_restarts", "Verification workers replaced since start")
        # The network.
        self.peers = gauge("peers", "Peers connected")
        self.sent_bytes = gauge("sent_bytes", "Bytes sent to peers since start")
        self.received_bytes = gauge("received_bytes", "Bytes received from peers since start")
        self.peers_barred = gauge("peers_barred", "Peers that are cut off for their faults")
        self.peer_faults = counter("peer_faults", "Peers dropped for misbehaving, by code", "code")
        # This process (process_cpu_seconds_total, process_resident_memory_bytes, ...) and its
        # workers, whose CPU would otherwise be nobody's.
        self.workers_cpu = gauge("workers_cpu_seconds", "CPU time of the worker processes")
        self.workers_rss = gauge("workers_resident_bytes", "Resident memory of the workers")
        ProcessCollector(registry=registry)

    def watch_workers(self, pids: Callable[[], list[int]], stats: PoolStats) -> None:
        """Report the pool's totals, and CPU and memory of the processes that ``pids`` names,
        whenever somebody asks."""
        self.workers_cpu.set_function(lambda: sum(map(_cpu_seconds, pids())))
        self.workers_rss.set_function(lambda: sum(map(_resident_bytes, pids())))
        self.verify_items.set_function(lambda: stats.items)
        self.verify_batches.set_function(lambda: stats.batches)
        self.worker_restarts.set_function(lambda: stats.restarts)

    def text(self) -> bytes:
        """All values in Prometheus' text format, to be sent as :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)


def _cpu_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:  # it has just ended
        return 0.0
    return float(times.user + times.system)


def _resident_bytes(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0.0
