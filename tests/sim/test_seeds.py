"""A sample of the seeds that ``make sim`` plays by the thousand, and the machinery that plays them.

``HANSA_SIM_SEEDS=1000 pytest tests/sim/test_seeds.py`` plays more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sampling import ALL
from tests.sim import runner
from tests.sim.play import HEIGHTS, Play
from tests.sim.weather import DRAWS, Crash, Fault, storm_of

SEEDS = int(os.environ.get("HANSA_SIM_SEEDS", "200"))
SAMPLE_HEIGHTS = HEIGHTS if ALL else 10
"""Of the sample; `make sim` plays them all."""
OTHER_PYTHON = os.environ.get("HANSA_OTHER_PYTHON", sys.executable)
"""An interpreter of another version, with msgpack, pynacl, trio and the other dependencies."""


def test_a_sample_of_seeds(tmp_path: Path) -> None:
    lines: list[str] = []
    green = runner.play_seeds(range(SEEDS), SAMPLE_HEIGHTS, 2, "sample", lines.append, tmp_path)
    assert green, "\n".join(lines)


# --- one seed ----------------------------------------------------------------------------------


def _elsewhere(seed: int, hash_seed: str, python: str = sys.executable) -> dict[str, Any]:
    """The result of a seed in another process."""
    done = subprocess.run(
        [python, "-m", "tests.sim.runner"],
        input=f"{seed} 12\n",
        capture_output=True,
        text=True,
        cwd=runner.ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("seed", [1, 14])
def test_a_seed_is_one_history_in_every_process(seed: int) -> None:
    here = runner.run_seed(seed, 12)
    assert not here["violation"]
    assert here["trace"] == _elsewhere(seed, "1")["trace"]
    assert here["trace"] == _elsewhere(seed, "4242", OTHER_PYTHON)["trace"]
    assert here["trace"] != runner.run_seed(seed + 1, 12)["trace"]


def test_every_kind_of_fault_is_drawn() -> None:
    storms = [storm_of(seed) for seed in range(400)]
    kinds = Counter(type(fault) for storm in storms for fault in storm.faults)
    assert set(kinds) == set(Fault.__args__)  # type: ignore[attr-defined]
    assert len(DRAWS) > len(kinds), "a partition and one way are both cuts"
    assert {storm.validators for storm in storms} == {3, 4, 5, 7}
    assert any(storm.liars for storm in storms)
    assert any(
        len(fault.names) == storm.validators + storm.full
        for storm in storms
        for fault in storm.faults
        if isinstance(fault, Crash)
    )
    for storm in storms:
        spare = storm.limits.n - storm.limits.quorum
        assert len(storm.broken) + len(storm.liars) <= spare
        assert len(storm.liars) <= storm.limits.tolerated_liars


def test_a_violation_ends_a_run_and_is_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: nodes that take every certificate for their own disk's word."""
    from node.wal import VoteLog

    monkeypatch.setattr(VoteLog, "append", lambda *_: None)
    result = Play(storm_of(3), 5).run()
    assert "sent before the vote log had it" in result.violation
    assert str(result.seed) in runner.failure(runner.asdict(result))


# --- many seeds --------------------------------------------------------------------------------


def _result(seed: int, violation: str = "") -> dict[str, Any]:
    return {
        "seed": seed,
        "trace": "",
        "height": 50,
        "recovery_ms": 500,
        "caught_up_ms": 900,
        "whole": seed % 2 == 0,
        "timeout_ms": 1000,
        "virtual_ms": 30_000,
        "transactions": 7,
        "violation": violation,
        "cpu_s": 1.0,
    }


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that a stand-in for the workers was asked for; every tenth is red."""
    seeds: list[int] = []

    def play_all(todo: list[int], heights: int, jobs: int) -> Iterator[dict[str, Any]]:
        for seed in todo:
            seeds.append(seed)
            yield _result(seed, "a fork" if seed % 10 == 9 else "")

    monkeypatch.setattr(runner, "play_all", play_all)
    return seeds


def test_finished_seeds_are_not_played_again(played: list[int], tmp_path: Path) -> None:
    lines: list[str] = []
    assert runner.play_seeds(range(4), 50, 2, "x", lines.append, tmp_path)
    with (tmp_path / "x" / "seeds.jsonl").open("a") as file:
        file.write('{"seed": 4, "hei')  # a run that was killed while it wrote
    assert runner.play_seeds(range(6), 50, 2, "x", lines.append, tmp_path)
    assert played == [0, 1, 2, 3, 4, 5]
    assert runner.play_seeds(range(6), 20, 2, "x", lines.append, tmp_path), "other heights"
    assert len(played) == 12
    assert "6 of 6 seeds green" in lines[-1]
    assert "100.0%" not in lines[-1]


def test_a_red_seed_tells_its_command_and_the_rest_go_on(played: list[int], tmp_path: Path) -> None:
    lines: list[str] = []
    assert not runner.play_seeds(range(8, 12), 50, 2, "x", lines.append, tmp_path)
    assert played == [8, 9, 10, 11]
    told = "seed 9: a fork\n    replay: .venv/bin/python -m scripts.sim 9 --trace"
    assert told in lines
    again: list[str] = []
    assert not runner.play_seeds(range(8, 12), 50, 2, "x", again.append, tmp_path)
    assert told in again
    assert "3 of 4 seeds green" in again[-1]


def test_a_worker_that_dies_costs_its_seed_only() -> None:
    worker = runner.Worker()
    try:
        assert worker.play(1, 1)["seed"] == 1
        process = worker._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert "process ended" in worker.play(2, 1)["violation"]
        assert worker.play(3, 1)["violation"] == ""
    finally:
        worker.end()


def test_changed_sources_start_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "SOURCES", ("node",))
    (tmp_path / "node").mkdir()
    source = tmp_path / "node" / "engine.py"
    source.write_text("a = 1\n")
    before = runner.sources_digest()
    assert runner.sources_digest() == before
    source.write_text("a = 2\n")
    assert runner.sources_digest() != before


def test_ctrl_c_leaves_no_worker(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "scripts.sim",
            "--seeds=500",
            "--jobs=2",
            "--heights=2",
            f"--folder={tmp_path}",
        ],
        cwd=runner.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while "seeds/s" not in process.stdout.readline():
        assert process.poll() is None
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not [one for one in workers if one.is_running()]
    process.stdout.close()
