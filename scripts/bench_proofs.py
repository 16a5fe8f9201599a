"""What proofs of the state cost: made from a snapshot of a store, checked from their bytes.

`python -m scripts.bench_proofs [--keys N]...` fills a store of its own and writes
build/proofs.json; `make bench` measures on the stores that it fills anyway. Keys are 34 bytes,
values 100. Each proof is made as a node makes it, its pages read and parsed anew, and checked as a
client does: decoded, hashed up to the root, asked for its key.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from consensus import ics23
from consensus.block import Header
from consensus.primitives.tree import root_of
from consensus.proofs import StateProof, Wanted, prove_state
from node.store.kept import KeptState
from node.store.kv import LevelKV
from scripts import bench_stages as stages
from scripts.bench_stages import tree_key

PROOFS: Final = 2_000
BATCH: Final = 32
RANGE: Final = 100
BUILD: Final = Path(__file__).resolve().parent.parent / "build" / "proofs.json"


def measure(kv: LevelKV, keys: int, count: int = PROOFS) -> dict[str, Any]:
    """Milliseconds and bytes of ``count`` proofs a kind, over a store that ``stages.tree`` filled
    with so many keys."""
    rng = random.Random(keys)
    present = [tree_key(number) for number in rng.sample(range(keys), count)]
    absent = [tree_key(keys + number) for number in range(count)]
    kept = KeptState(_header(), None, kv.snapshot())
    root = root_of(kept.slot)
    for key in present[:50]:
        _make(kept, Wanted([key]))
    report = {
        "presence": _timed(kept, root, [Wanted([key]) for key in present]),
        "absence": _timed(kept, root, [Wanted([key]) for key in absent]),
        f"batch_{BATCH}": _timed(kept, root, [Wanted(part) for part in _parts(present)]),
        f"range_{RANGE}": _timed(kept, root, _ranges(kept, present[:50])),
    }
    sizes = []
    for key in (*present[:500], *absent[:500]):
        proof = _make(kept, Wanted([key]), neighbours=True)
        sizes.append(len(ics23.commitment_proof(proof, [key])))
    kept.close()
    single = report["presence"], report["absence"]
    return {
        "make_p99_ms": max(one["make_p99_ms"] for one in single),
        "check_p99_ms": max(one["check_p99_ms"] for one in single),
        "bytes_max": max(one["bytes_max"] for one in single),
        "ics23_bytes_max": max(sizes),
        **report,
    }


def _header() -> Header:
    return Header(1, bytes(32), 1, bytes(32), 0, *[bytes(32)] * 12)


def _parts(keys: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [keys[at : at + BATCH] for at in range(0, len(keys) - BATCH, BATCH)]


def _ranges(kept: KeptState, starts: Sequence[bytes]) -> list[Wanted]:
    found = []
    for start in starts:
        scan = kept.scan(start, b"\xff")
        stop = b"\xff"
        for count, (key, _) in enumerate(scan):
            if count == RANGE:
                stop = key
                break
        found.append(Wanted((), [(start, stop)]))
    return found


def _make(kept: KeptState, wanted: Wanted, *, neighbours: bool = False) -> StateProof:
    return prove_state(kept, kept.slot, kept.get, wanted, neighbours=neighbours)


def _check(raw: bytes, root: bytes, wanted: Wanted) -> None:
    shown = StateProof.decode(raw).check(root)
    for key in wanted.keys:
        shown.get(key)
    for start, stop in wanted.ranges:
        for _ in shown.scan(start, stop):
            pass


def _timed(kept: KeptState, root: bytes, questions: Sequence[Wanted]) -> dict[str, float]:
    """``cpu`` is the thread's own time, which other work on the machine does not blur."""
    spent: dict[str, list[float]] = {
        name: [] for name in ("make", "check", "make_cpu", "check_cpu")
    }
    sizes = []
    for wanted in questions:
        began = time.perf_counter(), time.thread_time()
        raw = _make(kept, wanted).raw
        between = time.perf_counter(), time.thread_time()
        _check(raw, root, wanted)
        ended = time.perf_counter(), time.thread_time()
        spent["make"].append((between[0] - began[0]) * 1000)
        spent["make_cpu"].append((between[1] - began[1]) * 1000)
        spent["check"].append((ended[0] - between[0]) * 1000)
        spent["check_cpu"].append((ended[1] - between[1]) * 1000)
        sizes.append(len(raw))
    found: dict[str, float] = {"bytes_p50": _at(sizes, 0.5), "bytes_max": max(sizes)}
    for name, values in spent.items():
        found[f"{name}_p50_ms"] = _at(values, 0.5)
        found[f"{name}_p99_ms"] = _at(values, 0.99)
    return found


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def rows(sizes: dict[str, dict[str, Any]]) -> list[list[str]]:
    """For people: one row a kind of proof and size of state."""
    found = [
        [
            "proof", "keys", "make p50, p99 ms", "CPU p99", "check p50, p99 ms", "CPU p99",
            "bytes", "most",
        ]
    ]  # fmt: skip
    for keys, report in sizes.items():
        for kind, one in report.items():
            if isinstance(one, dict):
                found.append(
                    [
                        kind,
                        keys,
                        f"{one['make_p50_ms']:.2f}, {one['make_p99_ms']:.2f}",
                        f"{one['make_cpu_p99_ms']:.2f}",
                        f"{one['check_p50_ms']:.2f}, {one['check_p99_ms']:.2f}",
                        f"{one['check_cpu_p99_ms']:.2f}",
                        f"{one['bytes_p50']:.0f}",
                        f"{one['bytes_max']}",
                    ]
                )
    return found


def measured(folder: Path, keys: int) -> dict[str, Any]:
    """As :func:`measure`, on a store of its own."""
    found: dict[str, Any] = {}
    stages.tree(folder, keys, 1, lambda kv: found.update(measure(kv, keys)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_proofs", description=__doc__)
    parser.add_argument("--keys", type=int, action="append", help="default: 10000 and 1000000")
    options = parser.parse_args(arguments)
    sizes: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=BUILD.parent, prefix="bench-") as scratch:
        for keys in options.keys or [10_000, 1_000_000]:
            print(f"filling {keys} keys", file=sys.stderr, flush=True)
            sizes[str(keys)] = measured(Path(scratch) / f"tree{keys}", keys)
    BUILD.write_text(json.dumps(sizes, indent=2) + "\n")
    for row in rows(sizes):
        print("| " + " | ".join(row) + " |")
    for name, one in sizes.items():
        print(
            f"{name} keys: make p99 {one['make_p99_ms']:.2f} ms, check p99"
            f" {one['check_p99_ms']:.2f} ms, at most {one['bytes_max']} bytes"
            f" (ICS-23: {one['ics23_bytes_max']})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
