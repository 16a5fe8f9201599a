"""Many seeds on all cores, resumable: what is finished stays in ``build/sim/<name>/seeds.jsonl``.

Each worker is a process of its own that reads seeds from its input and writes one line of JSON for
each (``python -m tests.sim.runner``), so that a seed that hangs or kills its process costs nothing
but itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "sim"
SOURCES: Final = ("consensus", "contracts", "genesis", "node", "p2p", "tests/sim")
SEED_S_MAX: Final = 300
"""A seed that takes longer (in real time) hangs: its process is killed."""
TELL_EVERY_S: Final = 5


def sources_digest() -> str:
    """Changes with every byte of what a run executes, so that changed code starts anew."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.name.startswith("test_"):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def silence() -> None:
    """Nodes log nothing: a run's own words are its timeline."""
    import node.log  # noqa: F401 - configures structlog when it is imported

    for name in ("hansa", "p2p"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def run_seed(seed: int, heights: int) -> dict[str, Any]:
    """One seed in this process; its result as JSON, with the CPU seconds that it took."""
    from tests.sim.play import Play
    from tests.sim.weather import storm_of

    started = time.process_time()
    result = asdict(Play(storm_of(seed), heights).run())
    return result | {"cpu_s": round(time.process_time() - started, 3)}


def work() -> None:
    """A worker: a seed and its heights on each line of stdin, a result on each line of stdout."""
    silence()
    for line in sys.stdin:
        seed, heights = map(int, line.split())
        sys.stdout.write(json.dumps(run_seed(seed, heights)) + "\n")
        sys.stdout.flush()


class Worker:
    """A process that plays seeds, one after another; it is replaced when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def play(self, seed: int, heights: int) -> dict[str, Any]:
        """Blocks until the seed is played, its process has ended or hung, or ``close``."""
        started = time.monotonic()
        process = self._started()
        line = "" if process is None else self._answer(process, f"{seed} {heights}\n")
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        self.end()
        took = time.monotonic() - started
        return {"seed": seed, "violation": f"its process ended or hung after {took:.0f} s"}

    def _started(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._process is None and not self._closed:
                # A session of its own: Ctrl-C reaches the parent alone, which ends its workers.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.sim.runner"],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            return self._process

    def _answer(self, process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(SEED_S_MAX, process.kill)
        watchdog.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except (BrokenPipeError, ValueError):
            return ""
        finally:
            watchdog.cancel()

    def end(self) -> None:
        """By whoever plays: the pipes are free."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()

    def close(self) -> None:
        """For good, from any thread."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()


def play_all(seeds: Sequence[int], heights: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Results as they come. Closing the generator (or Ctrl-C) ends all workers."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    results: queue.Queue[dict[str, Any]] = queue.Queue()
    for seed in seeds:
        waiting.put(seed)
    workers = [Worker() for _ in range(min(jobs, len(seeds)))]
    stopping = threading.Event()

    def keep_playing(worker: Worker) -> None:
        while not stopping.is_set():
            try:
                seed = waiting.get_nowait()
            except queue.Empty:
                break
            results.put(worker.play(seed, heights))
        worker.end()

    threads = [threading.Thread(target=keep_playing, args=(one,), daemon=True) for one in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in seeds:
            yield results.get()
    finally:
        stopping.set()
        for worker in workers:
            worker.close()
        for thread in threads:
            thread.join()


@dataclass
class Ledger:
    """The finished seeds of one state of the sources, on disk."""

    path: Path
    heights: int

    def read(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        found = {}
        for line in self.path.read_text().splitlines():
            try:
                result = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a run that was killed
            if result["heights"] == self.heights:
                found[result["seed"]] = result
        return found

    def add(self, result: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(result | {"heights": self.heights}) + "\n")


def play_seeds(
    seeds: Sequence[int],
    heights: int,
    jobs: int,
    name: str | None,
    tell: Callable[[str], None],
    folder: Path = FOLDER,
) -> bool:
    """Play those that are not finished yet; True if all are green."""
    ledger = Ledger(folder / (name or sources_digest()) / "seeds.jsonl", heights)
    known = ledger.read()
    done = {seed: known[seed] for seed in seeds if seed in known}
    todo = [seed for seed in seeds if seed not in done]
    tell(f"{len(seeds)} seeds, {len(done)} of them finished earlier ({ledger.path.parent.name})")
    for result in done.values():
        if result["violation"]:
            tell(failure(result))
    started = told = time.monotonic()
    running = play_all(todo, heights, jobs)
    try:
        for count, result in enumerate(running, 1):
            ledger.add(result)
            done[result["seed"]] = result
            if result["violation"]:
                tell(failure(result))
            now = time.monotonic()
            if now - told >= TELL_EVERY_S or count == len(todo):
                told = now
                rate = count / (now - started)
                left = (len(todo) - count) / rate
                tell(f"{len(done)}/{len(seeds)}  {rate:.2f} seeds/s  {left / 60:.1f} min to go")
    finally:
        running.close()  # type: ignore[attr-defined]
    tell(summary(list(done.values())))
    return not any(result["violation"] for result in done.values())


def failure(result: dict[str, Any]) -> str:
    """What was found, and the one command that shows it again."""
    seed = result["seed"]
    return (
        f"seed {seed}: {result['violation']}\n"
        f"    replay: .venv/bin/python -m scripts.sim {seed} --trace"
    )


def summary(results: list[dict[str, Any]]) -> str:
    """Figures of a finished set of seeds."""
    green = [result for result in results if not result["violation"]]
    lines = [f"{len(green)} of {len(results)} seeds green"]
    if green:
        cpu = sum(result["cpu_s"] for result in green) / len(green)
        hours = sum(result["virtual_ms"] for result in green) / 3_600_000
        blocks = sum(result["height"] for result in green)
        txs = sum(result["transactions"] for result in green)
        lines.append(
            f"{blocks} blocks, {txs} transactions in {hours:.1f} virtual hours;"
            f" {cpu:.2f} CPU s a seed"
        )
        lines.append("from healing on, in round time-outs:")
        lines += [_times(what, key, green) for what, key in TIMES.items()]
        if whole := [result for result in green if result["whole"]]:
            lines.append(
                _times("to a new block where all validators are back", "recovery_ms", whole)
            )
    return "\n".join(lines)


TIMES: Final = {
    "to a new block": "recovery_ms",
    "to a new block at every healed machine": "caught_up_ms",
}
SHARES: Final = (0.5, 0.9, 0.99, 0.999)


def _times(what: str, key: str, results: list[dict[str, Any]]) -> str:
    """How a time is distributed, and the seed with the longest."""
    ratios = sorted((result[key] / result["timeout_ms"], result["seed"]) for result in results)
    at = {share: ratios[min(int(len(ratios) * share), len(ratios) - 1)][0] for share in SHARES}
    within = sum(ratio <= 3 for ratio, _ in ratios)
    shares = ", ".join(f"{share:.1%} within {ratio:.2f}" for share, ratio in at.items())
    longest, seed = ratios[-1]
    share = f"{within} of {len(ratios)} within 3"
    return f"  {what}: {shares}, longest {longest:.2f} (seed {seed}); {share}"


if __name__ == "__main__":
    work()
