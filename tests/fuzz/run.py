"""`make fuzz`: mutate good and kept inputs of every decoder for so many seconds each.

    python -m tests.fuzz.run [--seconds 10] [--only NAME] [--seed N] [--keep]

An input that draws an answer not seen before (by the error's code and words) is mutated further;
with ``--keep`` the short ones are added to the corpus, which the tests try each time. A finding is
written there as well and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.fuzz.targets import BYTES_MAX, TARGETS, Finding, Target, try_on

CORPUS: Final = Path(__file__).parent / "corpus"
KEPT_BYTES_MAX: Final = 2000
KEPT_MAX: Final = 12
ODD_BYTES: Final = bytes([0, 1, 0x7F, 0x80, 0x90, 0xC0, 0xC4, 0xC6, 0xCF, 0xD9, 0xDF, 0xFF])


def folder(target: Target) -> Path:
    return CORPUS / re.sub(r"[^a-z0-9]+", "_", target.name.lower())


def kept(target: Target) -> list[bytes]:
    """The corpus of a target, in a fixed order."""
    return [path.read_bytes() for path in sorted(folder(target).glob("*"))]


def _cut(rng: random.Random, raw: bytearray) -> slice:
    start = rng.randint(0, len(raw))
    return slice(start, min(len(raw), start + rng.choice([1, 1, 2, 4, 8, 64, 512])))


def mutate(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    """One to a few random changes of one input, some with pieces of another."""
    data = bytearray(raw)

    def flip() -> None:
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)

    def put() -> None:
        if data:
            data[rng.randrange(len(data))] = rng.choice(ODD_BYTES)

    def insert() -> None:
        data[(at := rng.randint(0, len(data))) : at] = rng.randbytes(rng.choice([1, 2, 9]))

    def remove() -> None:
        del data[_cut(rng, data)]

    def repeat() -> None:
        piece = data[_cut(rng, data)] * rng.choice([1, 2, 100])
        data[(at := rng.randint(0, len(data))) : at] = piece

    def splice() -> None:
        data[_cut(rng, data)] = other[_cut(rng, bytearray(other))]

    def truncate() -> None:
        del data[rng.randint(0, len(data)) :]

    changes: list[Callable[[], None]] = [flip, flip, put, put, insert, remove, repeat, splice]
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        rng.choice([*changes, truncate])()
    return bytes(data[:BYTES_MAX])


def inputs(rng: random.Random, pool: list[bytes]) -> Iterator[bytes]:
    while True:
        yield mutate(rng, rng.choice(pool), rng.choice(pool))


def fuzz(target: Target, seconds: float, rng: random.Random, *, keep: bool) -> int:
    """How many inputs were tried. Raises Finding, having kept the input."""
    pool = [*target.seeds(), *kept(target)]
    seen = {try_on(target, raw) for raw in pool}
    kept_now = len(kept(target))
    end = time.monotonic() + seconds
    tried = 0
    for raw in inputs(rng, pool):
        if time.monotonic() > end:
            break
        tried += 1
        try:
            answer = try_on(target, raw)
        except Finding:
            _write(target, raw)
            raise
        if answer not in seen:
            seen.add(answer)
            pool.append(raw)
            if keep and len(raw) <= KEPT_BYTES_MAX and kept_now < KEPT_MAX:
                kept_now += 1
                _write(target, raw)
    return tried


def _write(target: Target, raw: bytes) -> None:
    folder(target).mkdir(parents=True, exist_ok=True)
    (folder(target) / sha256(raw).hexdigest()[:16]).write_bytes(raw)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz every decoder of bytes from outside.")
    parser.add_argument("--seconds", type=float, default=10, help="for each decoder")
    parser.add_argument("--only", help="one decoder's name")
    parser.add_argument("--seed", type=int, help="of the random changes; drawn if not given")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what is new")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    found = 0
    for target in TARGETS:
        if given.only not in (None, target.name):
            continue
        rng = random.Random(f"{seed} {target.name}")
        try:
            tried = fuzz(target, given.seconds, rng, keep=given.keep)
            result = f"{tried:>9,} inputs"
        except Finding as finding:
            found += 1
            result = f"FOUND {finding}"
        sys.stdout.write(f"{target.name:<40} {result}\n")
        sys.stdout.flush()
    sys.stdout.write(f"seed {seed}, {found} finding(s)\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
