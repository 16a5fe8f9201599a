"""`python -m scripts.formal`: check the Promela model of agreement (docs/spec/formal/hansa.pml).

Each case is one exhaustive search by spin, or the shortest trace to a broken claim. Needs spin and
a C compiler (Debian: `apt-get install spin gcc libc6-dev`). Exit code 1 if a case ends otherwise
than it must, 2 if a tool is missing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).resolve().parent.parent / "docs" / "spec" / "formal" / "hansa.pml"
TOOLS: Final = ("spin", "gcc")
MEMORY_MB_MAX: Final = 4000
DEPTH_MAX: Final = 10_000


@dataclass(frozen=True)
class Case:
    """``breaks`` names the claim that a trace must break; None: every state must keep them all."""

    title: str
    switches: tuple[str, ...]
    breaks: str | None = None


@dataclass(frozen=True)
class Found:
    """What a search saw: distinct states, steps between them, and the broken claim's trace."""

    states: int
    transitions: int
    errors: int
    broken: str | None
    trace: tuple[str, ...]


def cases(rounds: int) -> tuple[Case, ...]:
    """All that `make formal` shows. Mutants where every execution is alike: shorter traces."""
    size = f"ROUNDS={rounds}"
    return (
        Case(f"the rules as they are, rounds 0 to {rounds - 1}", (size, "SORTED")),
        *(
            Case(f"round {r} can decide", (size, "ALIKE", f"REACH={r}"), "never_decides")
            for r in range(rounds)
        ),
        Case(
            "without the highest-prepared-round rule",
            ("ROUNDS=3", "ALIKE", "LOWER"),
            "agreement",
        ),
        Case("votes in a round already left", (size, "ALIKE", "LATE"), "agreement"),
        Case("a crash forgets votes", (size, "ALIKE", "FORGET"), "no_second_vote"),
    )


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def _run(folder: str, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 and command[0] != "./pan":
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def search(case: Case) -> Found:
    """Build and run one search. Raises RuntimeError if a tool fails or the search is cut short."""
    switches = [f"-D{one}" for one in case.switches]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MODEL, folder)
        _run(folder, "spin", "-a", *switches, MODEL.name)
        # Breadth first finds the shortest trace; depth first needs less memory for everything.
        how = ["-DCOLLAPSE"] if case.breaks is None else ["-DBFS"]
        limit = f"-DMEMLIM={MEMORY_MB_MAX}"
        _run(folder, "gcc", "-O2", "-w", "-DSAFETY", *how, limit, "-o", "pan", "pan.c")
        said = _run(folder, "./pan", "-E", f"-m{DEPTH_MAX}")
        numbers = [
            re.search(pattern, said)
            for pattern in (r"(\d+) states, stored", r"(\d+) transitions", r"errors: (\d+)")
        ]
        cut_short = "Search not completed" in said and case.breaks is None
        if None in numbers or "max search depth too small" in said or cut_short:
            raise RuntimeError(f"the search was not completed:\n{said}")
        states, transitions, errors = (int(one[1]) for one in numbers if one is not None)
        if errors == 0:
            return Found(states, transitions, 0, None, ())
        replayed = _run(folder, "spin", "-t", *switches, MODEL.name).splitlines()
    steps = [line.strip() for line in replayed if re.match(r"\s*(validator \d:|decides )", line)]
    claim = next(line for line in replayed if "text of failed assertion" in line)
    broken = re.search(r"assert\((\w+)\)", claim)
    return Found(states, transitions, errors, broken and broken[1], tuple(steps))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.formal", description=__doc__)
    parser.add_argument("--rounds", type=int, choices=(2, 3, 4), default=3)
    rounds: int = parser.parse_args(arguments).rounds
    if missing := missing_tools():
        print(f"missing: {', '.join(missing)} (Debian: apt-get install spin gcc libc6-dev)")
        return 2
    wrong = 0
    for case in cases(rounds):
        found = search(case)
        right = found.broken == case.breaks
        wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {case.title}  ({' '.join(case.switches)})")
        seen = "every one keeps every claim" if found.broken is None else f"breaks {found.broken}:"
        print(f"      {found.states:,} states, {found.transitions:,} transitions; {seen}")
        for step in found.trace:
            print(f"        {step}")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
