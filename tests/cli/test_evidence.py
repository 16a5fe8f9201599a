"""Bundles that prove something without a node: made, checked by the command and by the script that
knows nothing of us, and altered in every bit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from cli.arguments import Opening
from cli.bundle import form
from cli.bundle.words import answered, shown
from cli.openings import keep_openings
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from consensus.proofs import Shown
from consensus.transaction import Call
from contracts.sdk.commitments import commit
from genesis.document import GenesisDocument
from tests.cli.support import Hansa
from tests.cli.test_trace import TracedNode
from tests.node.api_world import running_node
from tests.node.support import OneChain

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "verify_evidence.py"
LOT, RECALLED = "01/09521321000018/10/E1", "01/09521321000018/10/E2"
SALT, NOTE = bytes(range(16)), "kept apart"
COMMITMENT = commit(SALT, NOTE)


@pytest.fixture(scope="module")
def node() -> TracedNode:
    """Two lots, one of them recalled, of a chain from which a validator goes on the way."""
    one = OneChain(validators=5)
    lots = [{"item": item, "quantity": {"amount": 10, "unit": "EA"}} for item in (LOT, RECALLED)]
    some = {"item": LOT, "quantity": {"amount": 3, "unit": "EA"}}
    announcement = {"product": "Tablets", "reason": "Dissolution"}

    async def build() -> None:
        async def call(contract: str, method: str, **args: Any) -> None:
            call = Call(contract, method, args)
            outcome = await one.commit([one.transaction(calls=(call,), steps_max=5_000_000)])
            assert outcome.receipts[0].code == "OK", outcome.receipts[0]

        await call("batch", "commission", items=lots)
        await one.decide("validator_remove", name="v4")
        await call("batch", "quarantine", items=[some], note=COMMITMENT)
        await call("recall", "initiate", announcement=announcement, items=[{"item": RECALLED}])
        await one.commit([])

    trio.run(build)
    return TracedNode(one)


@pytest.fixture
def hansa(
    capsys: pytest.CaptureFixture[str],
    node: TracedNode,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Hansa]:
    monkeypatch.chdir(tmp_path)
    with running_node(node) as running:
        monkeypatch.setenv("HANSA_NODE", running.url)
        yield Hansa(capsys)


def exported(hansa: Hansa, *words: object) -> Path:
    out = Path(f"{sha256(repr(words).encode()).hex()[:8]}.evidence")
    done = hansa("evidence", "export", *words, "--out", out)
    assert done.code == 0, done.err
    return out


def by_script(file: Path, chain_id: str) -> subprocess.CompletedProcess[str]:
    """By an interpreter that finds no library, and nothing of ours."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(file), chain_id],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def chain_id(node: TracedNode) -> str:
    return node.one.document.chain_id.hex()


def test_a_lot_that_was_not_under_recall(
    hansa: Hansa, node: TracedNode, chain_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(hansa, "item", f"({LOT[:2]}){LOT[3:17]}(10)E1")
    assert file.stat().st_mode & 0o777 == 0o644
    monkeypatch.setenv("HANSA_NODE", "http://127.0.0.1:1")  # nobody is asked
    text = hansa("evidence", "verify", file, "--chain-id", chain_id)
    assert text.code == 0, text.err
    assert "Not under recall" in text.out and "7 EA at Maker." in text.out
    assert "3 EA in quarantine at Maker." in text.out
    assert "2 events in its history, all there are." in text.out
    told = hansa.json("evidence", "verify", file, "--chain-id", chain_id)
    assert (told["under_recall"], told["pinned"], told["subject"]) == (False, True, LOT)
    assert told["height"] == node.one.chain.height and len(told["sealed_by"]) >= 3
    calls = [one["body"]["calls"][0]["method"] for one in told["transactions"]]
    assert calls == ["commission", "quarantine"]
    script = by_script(file, chain_id)
    assert script.returncode == 0, script.stderr
    assert "No hold of a recall, or any other, stands or ever stood on the thing itself." in (
        script.stdout
    )
    assert (
        f"as of block {told['height']}, sealed by {', '.join(told['sealed_by'])}" in script.stdout
    )
    unpinned = hansa("evidence", "verify", file)
    assert "give --chain-id to pin it" in unpinned.out


def test_a_lot_that_was(hansa: Hansa, chain_id: str) -> None:
    file = exported(hansa, "item", RECALLED, "--with-code")
    told = hansa.json("evidence", "verify", file, "--chain-id", chain_id)
    assert told["under_recall"]
    assert [one["body"]["calls"][0]["method"] for one in told["transactions"]] == [
        "commission", "initiate",
    ]  # fmt: skip
    assert "Under recall 1 of Maker." in hansa("evidence", "verify", file).out
    script = by_script(file, chain_id)
    assert script.returncode == 0 and "No hold" not in script.stdout


def test_a_recall(hansa: Hansa, chain_id: str) -> None:
    file = exported(hansa, "recall", 1)
    text = hansa("evidence", "verify", file, "--chain-id", chain_id)
    assert "Recall of Maker" in text.out and f"names {RECALLED}" in text.out
    assert "recall.initiate" in text.out
    assert by_script(file, chain_id).returncode == 0


def test_what_is_not_there_is_told(hansa: Hansa) -> None:
    for kind, subject, code in (
        ("item", f"{LOT}9", "UNKNOWN_ITEM"),
        ("recall", "9", "UNKNOWN_RECALL"),
        ("credit", "9", "UNKNOWN_CREDIT"),
        ("credit", "x", "BAD_SUBJECT"),
    ):
        done = hansa("evidence", "export", kind, subject, "--out", "none.evidence")
        assert (done.code == 0, done.error) == (False, code)
    assert not Path("none.evidence").exists()
    assert hansa("evidence", "export", "item", LOT, "--out", "x", "--open", "1").error == (
        "BAD_COMMITMENT"
    )


def test_openings_are_disclosed_one_by_one(hansa: Hansa, chain_id: str) -> None:
    keep_openings(
        Path("openings"), bytes(32), "batch", "quarantine",
        [Opening("note", "party", COMMITMENT, SALT, NOTE)],
    )  # fmt: skip
    named = ("--openings", "openings", "--open", COMMITMENT.hex())
    file = exported(hansa, "item", LOT, *named)
    assert file.stat().st_mode & 0o777 == 0o600
    told = hansa.json("evidence", "verify", file, "--chain-id", chain_id)
    assert told["openings"] == [{"commitment": COMMITMENT.hex(), "value": NOTE}]
    assert NOTE in by_script(file, chain_id).stdout
    assert NOTE not in exported(hansa, "item", LOT).read_bytes().decode(errors="replace")


# --- forgeries -----------------------------------------------------------------------------------


@pytest.fixture
def small(hansa: Hansa) -> bytes:
    return exported(hansa, "item", LOT, "--without-genesis").read_bytes()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def claims(raw: bytes, document: GenesisDocument) -> dict[str, Any]:
    """All that a file proves. Raises InputError."""
    bundle = form.read(raw)
    checked = form.check(bundle, document, now_ms())
    told = shown(bundle, checked, answered(bundle, checked), pinned=True)
    del told["checksum"]
    return told


def resealed(raw: bytes) -> bytes:
    body = raw[: -form.CHECKSUM_BYTES]
    return body + b"\xc4\x20" + sha256(body)


def test_a_file_without_the_genesis_document_needs_it(
    hansa: Hansa, small: bytes, node: TracedNode, chain_id: str
) -> None:
    Path("small").write_bytes(small)
    assert len(small) < 20_000
    assert hansa("evidence", "verify", "small").error == "GENESIS_NEEDED"
    Path("genesis.json").write_text(json.dumps(node.genesis()))
    assert hansa("evidence", "verify", "small", "--genesis", "genesis.json").code == 0
    assert hansa("evidence", "verify", "small", "--chain-id", "ab" * 32).code != 0
    assert "without the genesis document" in by_script(Path("small"), chain_id).stderr


def test_every_bit_counts(small: bytes) -> None:
    passed, refused = [], 0
    for place in range(8 * len(small)):
        altered = bytearray(small)
        altered[place // 8] ^= 1 << place % 8
        try:
            form.read(bytes(altered))
            passed.append(place)
        except InputError as error:
            refused += error.code == "EVIDENCE_INVALID"
    assert not passed and refused == 8 * len(small)


def test_whoever_makes_the_checksum_anew_proves_nothing_else(
    small: bytes, node: TracedNode
) -> None:
    """A forger knows the format. Then a file proves nothing, or just what it did before (where in
    its list a receipt stands is no claim)."""
    document = node.one.document
    truth = claims(small, document)
    chance, proven = random.Random(7), 0
    for _ in range(400):
        altered = bytearray(small)
        altered[chance.randrange(len(small))] ^= 1 << chance.randrange(8)
        try:
            told = claims(resealed(bytes(altered)), document)
        except InputError as error:
            assert error.code in ("EVIDENCE_INVALID", "WRONG_CHAIN", "EVIDENCE_CODE"), error
        else:
            assert told == truth
            proven += 1
    assert proven < 20


def test_what_is_left_out_or_put_in_shows(small: bytes, node: TracedNode) -> None:
    document = node.one.document
    bundle = form.read(small)

    def claimed(**changed: Any) -> dict[str, Any]:
        return claims(replace(bundle, **changed).sealed().raw, document)

    def refused(**changed: Any) -> str:
        with pytest.raises(InputError) as caught:
            claimed(**changed)
        assert caught.value.code == "EVIDENCE_INVALID"
        return caught.value.message

    assert "other validators" in refused(turns=bundle.turns[::-1])
    assert "is not after" in refused(turns=(bundle.turns[0], *bundle.turns))
    assert "other validators" in refused(turns=bundle.turns[-1:])
    lacking, truth = 0, claimed()
    for number in range(len(bundle.states)):
        rest = bundle.states[:number] + bundle.states[number + 1 :]
        try:
            assert claimed(states=rest) == truth  # others prove it, too
        except InputError as error:
            lacking += "proves nothing of key" in error.message
    assert lacking >= 3
    hidden = [
        replace(one, parts=tuple(
            Shown(part.key, None, part.value_hash) if isinstance(part, Shown) else part
            for part in one.parts
        ))
        for one in bundle.states
    ]  # fmt: skip
    assert "proves nothing of key" in refused(states=tuple(hidden))
    told = bundle.told[0]
    assert "is one of the chain's" in refused(told=(replace(told, earlier=None),))
    assert "about other heights" in refused(told=(replace(told, header=bundle.told[1].header),))
    opening = form.Opening(COMMITMENT, encode([SALT, "something else"]))
    assert "another value's" in refused(openings=(opening,))
    strange = form.Opening(commit(SALT, "unheard of"), encode([SALT, "unheard of"]))
    assert "nothing that it proves" in refused(openings=(strange,))
    assert "proves nothing of key" in refused(subject=RECALLED)


def test_files_that_are_none(hansa: Hansa, chain_id: str) -> None:
    for raw in (b"", b"\x00", b"[" * 4000, bytes(5000), resealed(b"\x90" * 40 + bytes(34))):
        Path("junk").write_bytes(raw)
        assert hansa("evidence", "verify", "junk").error == "EVIDENCE_INVALID"
        script = by_script(Path("junk"), chain_id)
        assert script.returncode == 1 and "Traceback" not in script.stderr
