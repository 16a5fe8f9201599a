"""The benchmark's arithmetic and its report; what it measures is not judged here."""

import json
import random

import pytest

from consensus.transaction import Transaction
from scripts import (
    bench,
    bench_contracts,
    bench_finance,
    bench_proofs,
    bench_snapshot,
    bench_supply,
)
from scripts import bench_stages as stages
from scripts.bench_load import BenchFailed, LoadResult, Seen, Sender, Watch, percentile
from scripts.bench_network import Use, cost, summary
from scripts.bench_work import KINDS, MAKERS, Signed, Workload

CHAIN = bytes(32)
SEEDS = [bytes([number]) * 32 for number in range(1, 5)]


def test_percentiles_are_nearest_rank():
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.95) == 95
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
    with pytest.raises(AssertionError, match="sorted"):
        percentile([2.0, 1.0], 0.5)


def test_transactions_are_new_of_the_promised_size_and_independent():
    work = Workload(SEEDS, CHAIN)
    signed = work.sign(400)
    assert len({tx.tx_id for tx in signed}) == 400
    assert {len(tx.raw) for tx in signed} <= set(range(240, 281))
    txs = [Transaction.parse(tx.raw) for tx in signed]
    assert all(tx.signature_valid() for tx in txs)
    assert {tx.body.calls[0].method for tx in txs} == set(KINDS)
    assert len({tx.body.sender for tx in txs}) == len(MAKERS)
    described = work.describe()
    assert described["signed_bytes_mean"] == pytest.approx(sum(len(t.raw) for t in signed) / 400, 1)
    assert 1 <= described["keys_written_mean"] <= 3


def watch_of(*tx_ids: str) -> Watch:
    watch = Watch()
    watch.began = dict.fromkeys(tx_ids, 10.0)
    return watch


async def test_a_watch_takes_each_sent_transaction_once_and_only_with_ok():
    watch = watch_of("aa", "bb")
    watch.take({"height": 5, "txs": [["aa", "OK"]]}, 10.25)
    assert watch.waiting == 1
    assert watch.latency_s == {"aa": 0.25}
    for tx_id, code, why in (
        ("aa", "OK", "twice"),
        ("cc", "OK", "never sent"),
        ("bb", "TOO_LITTLE", "TOO_LITTLE"),
    ):
        with pytest.raises(BenchFailed, match=why):
            watch.take({"height": 6, "txs": [[tx_id, code]]}, 10.5)
    with pytest.raises(BenchFailed, match="NODE_STOPPING"):
        watch.take({"error": {"code": "NODE_STOPPING", "message": ""}}, 11.0)


def some_result() -> LoadResult:
    rng = random.Random(1)
    blocks = [Seen(1.0, 7, ["aa", "bb", "cc"]), Seen(2.0, 8, []), Seen(3.0, 9, ["dd"])]
    latencies = sorted(rng.uniform(50, 150) for _ in range(4))
    return LoadResult(4, 2.0, 4, latencies, blocks, 3.0)


def use(cpu_s: float, *, written: int | None = 0, workers: frozenset[int] = frozenset({1})) -> Use:
    return Use(cpu_s, cpu_s / 10, workers, written, 1000, 500.0, 400.0, 0.0, 0.0)


def test_a_runs_row_counts_blocks_and_costs():
    sizes = dict.fromkeys(("aa", "bb", "cc", "dd"), 250)
    row = summary(some_result(), sizes)
    assert row["committed_tps"] == 2
    assert (row["blocks"], row["empty_blocks"]) == (2, 1)
    assert (row["block_txs_mean"], row["block_txs_max"]) == (2, 3)
    assert (row["block_tx_bytes_mean"], row["block_tx_bytes_max"]) == (500, 750)
    assert (row["first_height"], row["last_height"]) == (7, 9)
    costs = cost([use(1.0)] * 4, [use(2.0, written=100)] * 4, 0.5, 4)
    # Four nodes, each a second and a tenth for its worker, over four transactions.
    assert costs["cpu_ms_per_tx"] == pytest.approx(1100)
    assert costs["cpu_ms_per_tx_each"]["validator4"] == {"node": 250, "workers": pytest.approx(25)}
    assert costs["client_cpu_ms_per_tx"] == 125
    assert costs["disk_written_bytes_per_tx"] == 100
    assert costs["workers_replaced"] == 0


def test_a_replaced_worker_is_told_and_an_unknown_figure_left_out():
    after = use(2.0, written=None, workers=frozenset({2}))
    costs = cost([use(1.0)], [after], 0.5, 4)
    assert costs["workers_replaced"] == 1
    assert costs["disk_written_bytes_per_tx"] is None


SUPPLY_ROW = {
    "call": "batch.ship, of a lot", "steps": 31_351, "us": 250.0, "steps_per_us": 125.4,
    "tx_bytes": 272, "receipt_bytes": 888,
}  # fmt: skip


def test_every_call_of_trade_has_a_row():
    found = bench_supply.measure(1)
    rows = {row["call"]: row for row in found["calls"]}
    assert len(rows) == len(found["calls"])
    names = {name.split(",")[0] for name in rows}
    assert names >= {
        *(f"batch.{name}" for name in (
            "commission", "pack", "unpack", "ship", "receive", "split", "merge", "transform",
            "quarantine", "release", "dispense", "decommission",
        )),
        "epcis.capture", "dscsa.ship", "a hold spreads", "notices go out",
        *(f"quality.{name}" for name in ("request", "record_results", "review", "approve")),
        *(f"recall.{name}" for name in ("initiate", "classify", "set_strategy", "acknowledge")),
        *(f"shipment.{name}" for name in (
            "book", "hand_over", "position", "equipment_event", "transport_event",
        )),
    }  # fmt: skip
    for row in rows.values():
        assert row["steps"] > 1_000 and row["us"] > 0 and row["receipt_bytes"] > 50
        assert row["steps_per_us"] == pytest.approx(row["steps"] / row["us"], rel=0.01)
        assert (row["tx_bytes"] == 0) == ("each" in row["call"])
    one, hundred = (rows[f"batch.commission, {what}"] for what in ("a lot", "100 serials"))
    assert hundred["steps"] > 10 * one["steps"] and hundred["tx_bytes"] > 10 * one["tx_bytes"]
    assert len(bench_supply.cells(found)) == 1 + len(rows)
    assert all(name in bench_supply.verdict(found) for name in found["dear"])


def test_every_call_of_trade_finance_has_a_row():
    found = bench_finance.measure_finance(1)
    rows = {row["call"]: row for row in found["calls"]}
    assert len(rows) == len(found["calls"])
    assert {name.split(",")[0] for name in rows} >= {
        *(f"compliance.{name}" for name in ("apply", "decide", "follow_up")),
        *(f"claims.{name}" for name in ("issue", "pay", "request", "examined")),
        *(f"escrow.{name}" for name in ("propose", "agree", "fund", "approve", "release")),
        *(f"credit.{name}" for name in ("apply", "propose", "issue", "advise", "examined")),
        *(f"invoices.{name}" for name in ("register", "accept", "offer", "finance", "settle")),
        *(f"bill.{name}" for name in ("issue", "pledge", "consent", "transfer", "surrender")),
    }
    for row in rows.values():
        assert row["steps"] > 1_000 and row["us"] > 0 and row["tx_bytes"] > 150


def test_calls_that_take_over_twice_what_their_steps_promise_are_named():
    rows = [
        {"call": "cheap", "steps_per_us": 120.0},
        {"call": "at the limit", "steps_per_us": 50.0},
        {"call": "dear", "steps_per_us": 49.9},
    ]
    assert bench_supply.dear(rows) == ["dear"]
    assert bench_supply.verdict({"dear": ["dear"]}).endswith(": dear.")
    assert bench_supply.verdict({"dear": []}).endswith(": none.")


def test_the_report_has_the_keys_that_days_are_compared_by(tmp_path):
    row = summary(some_result(), dict.fromkeys(("aa", "bb", "cc", "dd"), 250))
    row |= cost([use(1.0)] * 4, [use(2.0, written=None)] * 4, 0.5, 4) | {"note": ""}
    closed = [
        {"concurrency": 1} | row,
        {"concurrency": 16} | row | {"committed_tps": 9.0, "note": "odd"},
    ]
    rows = {"open": [{"rate_tps": 10} | row], "closed": closed, "entries": closed[:1]}
    proofs = {}
    tree = stages.tree(
        tmp_path / "tree", 2_000, 1, lambda kv: proofs.update(bench_proofs.measure(kv, 2_000, 100))
    )
    report = bench.headline(rows, closed[1]) | {
        "date": "2026-01-01",
        "commit": None,
        "quick": True,
        "machine": {
            "cpu": "x", "cores": 2, "python": "3.11", "load_average_before": [0.0],
            "ed25519_verify_per_s": stages.ed25519_verify_per_s(0.01, 1),
        },
        "transaction": Workload(SEEDS, CHAIN).describe(),
        "replay_tps": 1.0,
        "stages": stages.verifying(200) | stages.executing(tmp_path / "execute", 1),
        "contracts": bench_contracts.measure(1),
        "supply": {"calls": [SUPPLY_ROW], "dear": []},
        "finance": {"calls": [SUPPLY_ROW], "dear": []},
        "tree": {"sizes": {"10k": tree}},
        "proofs": proofs | {"sizes": {"10k": proofs}},
        "snapshot": bench_snapshot.measure(tmp_path / "snapshot", 2_000, 12, tries=1),
    }  # fmt: skip
    report = json.loads(json.dumps(report))
    assert report["network"]["committed_tps"] == 9
    assert report["network"]["concurrency"] == 16
    assert len(report["network"]["closed"]) == 2
    for name in ("cpu_ms_per_tx", "p50_ms", "p99_ms"):
        assert report["network"][name] > 0
    assert report["light_load"]["p50_ms"] <= report["light_load"]["p99_ms"]
    for name in ("verify_per_s", "verify_inline_per_s", "execute_per_s", "parse_per_s"):
        assert report["stages"][name] > 0
    for name in ("transfer_us", "instrumentation_ratio", "arithmetic_ratio", "load_ms"):
        assert report["contracts"][name] > 0
    assert report["tree"]["sizes"]["10k"]["us_per_key"] > 0
    for name in ("make_p99_ms", "check_p99_ms", "bytes_max"):
        assert report["proofs"][name] > 0
    for name in ("make_s", "restore_s", "restart_s", "rss_mb", "bytes"):
        assert report["snapshot"][name] > 0
    text = bench.tables(report)
    assert "closed 16" in text and "open 10 tx/s" in text
    assert "closed 16: odd." in text.splitlines()
    assert "| batch.ship, of a lot | 31,351 |" in text
    assert not (tmp_path / "tree").exists(), "scratch data stays behind"
    widths = {
        line.count("|") for line in text.splitlines() if line.startswith(("| load", "| closed"))
    }
    assert len(widths) == 1


def test_a_plan_measures_the_light_load_and_names_every_tree_size():
    for plan in (bench.FULL, bench.QUICK):
        assert bench.LIGHT_TPS in [rate for rate, _ in plan.network.open]
        assert set(plan.tree_keys) <= set(bench.TREE_NAMES)


def test_a_network_that_does_not_start_ends_with_an_error(tmp_path, monkeypatch, capsys):
    from cli import network

    def occupied(count: int) -> list[int]:
        raise network.InputError("PORT_OCCUPIED", f"no {count} free ports")

    monkeypatch.setattr(network, "free_ports", occupied)
    monkeypatch.setattr(bench.signal, "signal", lambda *_: None)
    monkeypatch.setattr(stages, "ed25519_verify_per_s", lambda: 1.0)
    assert bench.main(["--quick", "--out", str(tmp_path / "bench.json")]) == bench.EXIT_FAILED
    assert "PORT_OCCUPIED" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Posts:
    """Stands in for a nursery: notes what would be sent, and where."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def start_soon(self, _post, url: str, txs: list[Signed]) -> None:
        self.made.append((url, len(txs)))


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1]), (25, [25]), (60, [25, 25, 10]), (200, [50] * 4), (2400, [500, 500, 500, 500, 400])],
)
async def test_transactions_are_shared_out_over_the_nodes_in_turn(count, sizes):
    watch, posts = Watch(), Posts()
    sender = Sender(None, ["a", "b", "c", "d"], watch)
    txs = [Signed(b"", str(number)) for number in range(count)]
    sender.spread(posts, txs, [float(number) for number in range(count)])
    assert [size for _, size in posts.made] == sizes
    assert [url for url, _ in posts.made] == [*"bcda", "b"][: len(sizes)]
    assert watch.waiting == count
    assert watch.began[str(count - 1)] == count - 1
