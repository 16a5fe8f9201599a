"""Whole nodes in a simulated world: one seed, told in words, or many on all cores.

.venv/bin/python -m scripts.sim 17 --trace       one seed with its timeline
make sim SEEDS=2000                              seeds 0 to 1999; resumable
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tests.sim import runner
from tests.sim.play import HEIGHTS, Play
from tests.sim.weather import storm_of


def main() -> None:
    arguments = _arguments()
    # A shell that starts it in the background has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments.seed is not None:
        green = _one(arguments)
    else:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        jobs = arguments.jobs or os.cpu_count() or 1
        try:
            green = runner.play_seeds(
                seeds, arguments.heights, jobs, arguments.name, _tell, arguments.folder
            )
        except KeyboardInterrupt:
            _tell("stopped; the same command goes on from here")
            sys.exit(130)
    sys.exit(0 if green else 1)


def _tell(line: str) -> None:
    print(line, flush=True)


def _one(arguments: argparse.Namespace) -> bool:
    if arguments.logs:
        from node import log

        log.configure("info", "console")
    else:
        runner.silence()
    storm = storm_of(arguments.seed)
    _tell(
        f"seed {storm.seed}: {storm.validators} validators, {storm.full} full nodes,"
        f" {storm.params.fault_model} faults, {len(storm.faults)} of them"
    )
    if arguments.storm:
        _tell(repr(storm))
    started = time.process_time()
    result = Play(storm, arguments.heights, _tell if arguments.trace else None).run()
    cpu_s = time.process_time() - started
    _tell(f"{result.height} blocks, {result.transactions} transactions, {cpu_s:.2f} CPU s")
    _tell(f"trace {result.trace}")
    _tell(f"VIOLATION {result.violation}" if result.violation else "green")
    return not result.violation


def _count(text: str) -> int:
    """At least one: a mistyped number must not pass for a green run."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.sim", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("seed", type=int, nargs="?", help="play this one and tell of it")
    parser.add_argument("--seeds", type=_count, default=200, help="play so many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--heights", type=_count, default=HEIGHTS, help="blocks of each world")
    parser.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--name", help="keep results under this name, not under the sources' hash")
    parser.add_argument("--folder", type=Path, default=runner.FOLDER, help="where results are kept")
    parser.add_argument("--trace", action="store_true", help="one seed: faults, rounds, blocks")
    parser.add_argument("--logs", action="store_true", help="one seed: the nodes' own logs too")
    parser.add_argument("--storm", action="store_true", help="one seed: its storm, as Python")
    return parser.parse_args()


if __name__ == "__main__":
    main()
