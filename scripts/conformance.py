"""Execute the conformance scenario under several interpreters and hash seeds, and compare what came
of it with the golden receipts, steps, events and roots: ``make conformance``.

``--record`` writes the golden file anew, if every run agrees; that is a change of the protocol or
of a contract, and deliberate.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
GOLDEN: Final = ROOT / "tests" / "vectors" / "contracts.json"
SEEDS: Final = ("0", "1", "4242")
VERSIONS: Final = ("3.11", "3.12")
NEEDED: Final = "import msgpack, nacl, sys; print('.'.join(map(str, sys.version_info[:3])))"
RUN_SECONDS_MAX: Final = 600


def run(python: str, seed: str) -> dict[str, Any]:
    """What the scenario gives under an interpreter and hash seed. Raises RuntimeError."""
    done = subprocess.run(
        [python, "-m", "tests.conformance.scenario"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{python}, hash seed {seed}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def version_of(python: str) -> str | None:
    """The interpreter's version; None if it is not there or lacks the libraries."""
    try:
        done = subprocess.run(
            [python, "-c", NEEDED], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def interpreters(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(version, path) of this interpreter, of those given, and of others on the path that do."""
    seen: set[str] = set()
    for python in (sys.executable, *given, *map(shutil.which, [f"python{v}" for v in VERSIONS])):
        if python is None:
            continue
        version = version_of(python)
        if version is None:
            if python in given:
                raise SystemExit(f"{python} is no Python that has msgpack and nacl")
            print(f"{python}: left out, it lacks msgpack or nacl")
        elif version not in seen:
            seen.add(version)
            yield version, python


def difference(golden: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Where two runs first part, for people; None if they agree."""
    lines, others = golden["lines"], found["lines"]
    for at, (line, other) in enumerate(zip(lines, others, strict=False)):
        if line != other:
            return f"line {at}: expected {line}\n{' ' * len(f'line {at}:')}    found {other}"
    if len(lines) != len(others):
        return f"{len(others)} lines instead of {len(lines)}"
    for name in ("contracts", "steps", "root"):
        if golden[name] != found[name]:
            return f"{name}: expected {golden[name]}, found {found[name]}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[], metavar="PATH",
                        help="another interpreter that has msgpack and nacl")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", default=SEEDS, help="values of PYTHONHASHSEED")
    parser.add_argument("--record", action="store_true", help="write the golden file anew")
    options = parser.parse_args(arguments)

    golden = None if options.record else json.loads(GOLDEN.read_text(encoding="utf-8"))
    versions = []
    for version, python in interpreters(options.python):
        versions.append(version)
        for seed in options.seeds:
            found = run(python, seed)
            golden = golden or found
            parted = difference(golden, found)
            if parted is not None:
                print(f"Python {version}, hash seed {seed}: DIFFERS\n{parted}")
                return 1
            print(f"Python {version}, hash seed {seed}: {len(found['lines'])} lines and "
                  f"{found['steps']} steps are the same")  # fmt: skip
    assert golden is not None
    return record(golden, versions) if options.record else 0


def record(golden: dict[str, Any], versions: Sequence[str]) -> int:
    """Keep what all versions gave. Both of VERSIONS must be among them."""
    missing = [one for one in VERSIONS if not any(have.startswith(f"{one}.") for have in versions)]
    if missing:
        print(f"not recorded: no Python {' or '.join(missing)} was run (--python PATH)")
        return 1
    kept = {"recorded_under": sorted(versions), **golden}
    GOLDEN.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"recorded under Python {', '.join(sorted(versions))} in {GOLDEN.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
