"""Our ICS-23 proofs under an unmodified library of other people, from npm: @confio/ics23.

Without Node.js, or where the package can't be had, these tests are skipped and say so. With
HANSA_ICS23=required, which .ci/run sets, a machine that has Node.js must run them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from consensus.ics23 import commitment_proof
from consensus.primitives.errors import InputError
from tests.consensus.stored_tree import StoredTree

HERE = Path(__file__).parent / "ics23"
BUILD = Path(__file__).parents[2] / "build" / "ics23"
FILES = ("package.json", "package-lock.json", ".npmrc", "check.js")
FETCH_S = 120

Case = dict[str, Any]
Judge = Callable[[Sequence[Case]], list[bool]]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Whether the library accepts each case; fetched once into build/ by the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("ICS-23 by other people's code: Node.js and npm are not on this machine")
    BUILD.mkdir(parents=True, exist_ok=True)
    installed = BUILD / "node_modules" / "@confio" / "ics23" / "package.json"
    fetched = installed.exists() and all(
        (BUILD / name).exists() and (BUILD / name).read_bytes() == (HERE / name).read_bytes()
        for name in FILES
    )
    if not fetched:
        for name in FILES:
            shutil.copy(HERE / name, BUILD / name)
        try:
            subprocess.run(
                [npm, "ci", "--prefer-offline"],
                cwd=BUILD,
                check=True,
                timeout=FETCH_S,
                capture_output=True,
                text=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip()[-300:]
            shutil.rmtree(BUILD, ignore_errors=True)
            if os.environ.get("HANSA_ICS23") == "required":
                pytest.fail(f"npm can't give @confio/ics23: {reason}")
            pytest.skip(f"ICS-23 by other people's code: npm can't give @confio/ics23: {reason}")

    def run(cases: Sequence[Case]) -> list[bool]:
        done = subprocess.run(
            [node, "check.js"],
            cwd=BUILD,
            check=True,
            input="\n".join(json.dumps(case) for case in cases),
            capture_output=True,
            text=True,
            timeout=FETCH_S,
        )
        found: list[bool] = json.loads(done.stdout)
        assert len(found) == len(cases)
        return found

    return run


def case(root: bytes, proof: bytes, *items: tuple[bytes, bytes | None]) -> Case:
    told = [[key.hex(), None if value is None else value.hex()] for key, value in items]
    return {"root": root.hex(), "proof": proof.hex(), "items": told}


def sample(count: int, seed: int) -> StoredTree:
    """Random keys, and some that begin alike for long: all of one length, so prefix-free."""
    random = Random(seed)
    keys = {random.randbytes(24) for _ in range(count)}
    keys |= {bytes(22) + number.to_bytes(2, "big") for number in range(0, count, 3)}
    return StoredTree({key: random.randbytes(random.randrange(1, 80)) for key in keys})


@pytest.fixture(scope="module")
def stored() -> StoredTree:
    return sample(700, 23)


def absent_keys(stored: StoredTree) -> list[bytes]:
    """Near others, far from any, before the first and behind the last."""
    keys = sorted(stored.pairs)
    near = [key[:-1] + bytes((key[-1] ^ 1,)) for key in keys[::20]]
    within = [keys[at][:12] for at in range(5, len(keys) // 2, 9)]
    longer = [keys[at] + b"\x01" for at in range(5, len(keys) // 2, 9)]
    found = [b"\x00", b"\xff" * 96, *near, *within, *longer]
    return [key for key in found if key not in stored.pairs]


def proven(stored: StoredTree, *keys: bytes) -> Case:
    proof = commitment_proof(stored.prove(keys, neighbours=True), keys)
    return case(stored.root, proof, *((key, stored.pairs.get(key)) for key in keys))


def test_presence_is_accepted(judge: Judge, stored: StoredTree) -> None:
    cases = [proven(stored, key) for key in sorted(stored.pairs)[::7]]
    assert len(cases) > 100
    assert all(judge(cases))


def test_absence_is_accepted(judge: Judge, stored: StoredTree) -> None:
    cases = [proven(stored, key) for key in absent_keys(stored)]
    assert len(cases) > 100
    assert all(judge(cases))


def test_batches_are_accepted(judge: Judge, stored: StoredTree) -> None:
    """Present and absent keys together, the inner nodes shared."""
    present, absent = sorted(stored.pairs), absent_keys(stored)
    cases = [proven(stored, *present[at : at + 8], *absent[at : at + 4]) for at in range(0, 60, 6)]
    assert all(judge(cases))
    single = sum(len(proven(stored, key)["proof"]) for key in present[:32])
    assert len(proven(stored, *present[:32])["proof"]) * 2 < single


def test_other_values_keys_and_roots_are_refused(judge: Judge, stored: StoredTree) -> None:
    keys = sorted(stored.pairs)
    cases = []
    for key, other in pairwise(keys[10:61]):
        proof = commitment_proof(stored.prove([key], neighbours=True), [key])
        value = stored.pairs[key]
        cases += [
            case(stored.root, proof, (key, value + b"x")),
            case(stored.root, proof, (other, value)),
            case(stored.root, proof, (key, None)),
            case(bytes(32), proof, (key, value)),
        ]
    for key in absent_keys(stored)[2:40]:
        proof = commitment_proof(stored.prove([key], neighbours=True), [key])
        cases += [
            case(stored.root, proof, (key, b"value")),
            case(bytes(32), proof, (key, None)),
            case(stored.root, proof, (keys[500], None)),
        ]
    assert not any(judge(cases))


def test_a_leaf_left_out_of_an_absence_is_refused(judge: Judge, stored: StoredTree) -> None:
    """Two true leaves that are not next to each other: the key between them is not absent."""
    keys = sorted(stored.pairs)
    lies, truths = [], []
    for at in range(300, 340):
        left, hidden, right = keys[at : at + 3]
        lies.append(_between(stored, left, hidden, right))
        truths.append(_between(stored, left, left + b"\x01", hidden))
    assert not any(judge(lies))
    assert all(judge(truths))


def _between(stored: StoredTree, left: bytes, key: bytes, right: bytes) -> Case:
    """The claim that ``key`` is absent, put together from the presence of two others."""
    sides = [_contents(commitment_proof(stored.prove([one]), [one])) for one in (left, right)]
    message = _field(1, key) + _field(2, sides[0]) + _field(3, sides[1])
    return case(stored.root, _field(2, message), (key, None))


def _field(number: int, value: bytes) -> bytes:
    size, told = len(value), b""
    while size > 127:
        told += bytes((size & 127 | 128,))
        size >>= 7
    return bytes((number << 3 | 2,)) + told + bytes((size,)) + value


def _contents(message: bytes) -> bytes:
    """What stands in the only field of a message."""
    at = 1
    while message[at] & 128:
        at += 1
    return message[at + 1 :]


def test_no_altered_proof_is_accepted(judge: Judge) -> None:
    """Every bit of a presence and of an absence, flipped; but for the absent key's copy in the
    message: the library goes by the key that it is asked for and never reads that one."""
    stored = sample(60, 5)
    present, absent = sorted(stored.pairs)[30], absent_keys(stored)[4]
    cases = []
    for key in (present, absent):
        proof = commitment_proof(stored.prove([key], neighbours=True), [key])
        assert judge([case(stored.root, proof, (key, stored.pairs.get(key)))]) == [True]
        unread = range(3, 5 + len(absent)) if key == absent else range(0)
        assert key == present or proof[3 : 5 + len(absent)] == _field(1, absent)
        for bit in range(8 * len(proof)):
            if bit // 8 in unread:
                continue
            altered = bytearray(proof)
            altered[bit // 8] ^= 1 << bit % 8
            made = case(stored.root, bytes(altered), (key, stored.pairs.get(key)))
            cases.append(made | {"unlike": proof.hex()})
    accepted = judge(cases)
    assert not any(accepted), [at for at, one in enumerate(accepted) if one]


def test_what_ics23_cannot_say_is_refused_here() -> None:
    with pytest.raises(InputError, match="empty state"):
        commitment_proof(StoredTree({}).prove([b"k"], neighbours=True), [b"k"])
    stored = StoredTree({b"a": b"", b"c": b"1"})
    with pytest.raises(InputError, match="none empty"):
        commitment_proof(stored.prove([b"a"], neighbours=True), [b"a"])
    with pytest.raises(InputError, match="values of neighbours"):
        commitment_proof(stored.prove([b"b"]), [b"b"])
