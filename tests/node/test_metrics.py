import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.metrics import Metrics
from node.workers import PoolStats


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_text_holds_the_values_by_name_and_label() -> None:
    metrics = Metrics()
    metrics.height.set(7)
    metrics.blocks.inc()
    metrics.refused.labels("MEMPOOL_FULL").inc(3)
    metrics.block_txs.observe(250)
    metrics.mempool_txs.set_function(lambda: 11)
    found = samples(metrics)
    assert found["hansa_height", ()] == 7
    assert found["hansa_blocks_total", ()] == 1
    assert found["hansa_refused_total", (("code", "MEMPOOL_FULL"),)] == 3
    assert found["hansa_block_txs_bucket", (("le", "250.0"),)] == 1
    assert found["hansa_block_txs_bucket", (("le", "100.0"),)] == 0
    assert found["hansa_mempool_txs", ()] == 11


def test_nodes_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.blocks.inc(5)
    assert samples(one)["hansa_blocks_total", ()] == 5
    assert samples(other)["hansa_blocks_total", ()] == 0


def test_own_and_workers_cpu_and_memory_are_reported() -> None:
    metrics = Metrics()
    gone = 2**22 + 1  # beyond any process id
    metrics.watch_workers(lambda: [os.getpid(), gone], PoolStats(items=7, batches=2, restarts=1))
    found = samples(metrics)
    assert found["hansa_verify_items", ()] == 7
    assert found["hansa_verify_batches", ()] == 2
    assert found["hansa_worker_restarts", ()] == 1
    own = found["process_resident_memory_bytes", ()]
    assert own > 1_000_000
    assert found["process_cpu_seconds_total", ()] > 0
    assert found["hansa_workers_cpu_seconds", ()] > 0
    assert found["hansa_workers_resident_bytes", ()] == pytest.approx(own, rel=0.2)
