"""Every decoder of bytes from outside: how to call it, which errors it may raise, and good seeds.

A decoder ends with a value or with one of our own errors. Anything else is a finding: another
exception, and where a form is canonical a value whose bytes are not those that were read.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cli.epcis.reading import read_events
from cli.invoice.reading import read_invoice
from cli.mt.message import read_messages
from consensus.evidence import Evidence
from consensus.messages import decode_vote, encode_vote
from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import HansaError, PeerFault
from consensus.transaction import Transaction
from genesis.document import GenesisDocument
from node import frames
from node.config import default_text, load
from node.flight import read_recording
from p2p import gossip
from p2p.requests import RequestClient
from p2p.wire import FrameReader, Outbox, decode_control, encode_control, encode_frame
from tests.cli import epcis_samples, mt_samples
from tests.cli.test_invoice import UBL
from tests.genesis.helpers import draft, sealed
from tests.p2p.test_wire import CONTROL_BYTES
from tests.vectors.samples import samples

BYTES_MAX: Final = 200_000


@dataclass(frozen=True)
class Target:
    """``read`` takes any bytes, and itself checks what must hold of what it read."""

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    tries: int = 300
    """How many mutations the tests make each time: fewer where one takes long."""


def _canonical(name: str, kind: Any) -> Target:
    def read(raw: bytes) -> None:
        assert kind.decode(raw).encode() == raw, f"a second form of a {name}"

    return Target(name, read, lambda: [samples()[name].encode()])


def _codec(raw: bytes) -> None:
    assert encode(decode(raw, bytes_max=BYTES_MAX)) == raw, "a second form of a value"


def _transaction(raw: bytes) -> None:
    assert Transaction.parse(raw).raw == raw, "a second form of a transaction"


def _vote(raw: bytes) -> None:
    assert encode_vote(decode_vote(raw)) == raw, "a second form of a vote"


def _votes() -> list[bytes]:
    found = []
    for value in samples().values():
        try:
            found.append(encode_vote(value))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _frames(raw: bytes) -> None:
    reader = FrameReader(1000)
    cut = raw[0] if raw else 1
    for start in range(0, len(raw), cut + 1):
        for frame in reader.feed(raw[start : start + cut + 1]):
            assert len(frame) <= 1000
    assert len(reader._buffer) <= 1000 + 4 + cut + 1, "more is held than a frame"


def _control(raw: bytes) -> None:
    assert len(encode_control(decode_control(raw))) <= 4096


def _node_frames(raw: bytes) -> None:
    _, rest = frames.split(raw)
    for read in (
        lambda: frames.read_fields(rest, int, bytes),
        lambda: frames.read_fields(rest, int, int),
        lambda: frames.read_blobs(rest),
        lambda: frames.read_api_question(rest),
        lambda: frames.read_api_answer(rest),
    ):
        try:
            read()
        except PeerFault:
            continue


async def _answer(raw: bytes) -> None:
    client = RequestClient(Outbox(1000, 10))
    client._next_id = 5
    await client.on_response(raw)


def _response(raw: bytes) -> None:
    task = _answer(raw)
    try:
        task.send(None)
    except StopIteration:
        return
    raise AssertionError("a response is taken without waiting")


def _genesis(raw: bytes) -> None:
    for stage in ("draft", "sealed"):
        GenesisDocument.from_file_bytes(raw, "file", stage=stage)  # type: ignore[arg-type]


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="hansa-fuzz-"))


def _config(raw: bytes) -> None:
    (_folder() / "config.toml").write_bytes(raw)
    load(_folder(), env={}, check_files=False)


def _config_seeds() -> list[bytes]:
    full: dict[str, Any] = {
        "node": {"role": "full", "name": "n"},
        "network": {"peers": {"a": "b.example:1"}},
        "api": {"hosts": ["x"], "allow_remote": True, "listen": "0.0.0.0:1"},
        "mempool": {"txs_max": 10},
    }
    return [default_text(full).encode(), default_text({"node": {"role": "validator"}}).encode()]


def _evidence(raw: bytes) -> None:
    Evidence.decode(raw).check(bytes(32))


TARGETS: Final = (
    Target("codec", _codec, lambda: [one.encode() for one in samples().values()]),
    Target("transaction", _transaction, lambda: [samples()["Transaction"].encode()]),
    *(
        _canonical(name, type(value))
        for name, value in sorted(samples().items())
        if name not in ("Transaction", "Evidence")
    ),
    Target("vote", _vote, _votes),
    Target(
        "evidence",
        _evidence,
        lambda: [value.encode() for value in samples().values() if isinstance(value, Evidence)],
    ),
    Target("frames", _frames, lambda: [b"\x07" + encode_frame(b"abc") * 3, encode_frame(b"")]),
    Target("control", _control, lambda: [bytes.fromhex(text) for _, text in CONTROL_BYTES]),
    Target("gossip", gossip.parse, lambda: [gossip.frame(2, [bytes(32)]), gossip.frame(1, [b"a"])]),
    Target(
        "node frames",
        _node_frames,
        lambda: [
            b"\x01" + encode([1, b"x"]),
            b"\x02\x91\xc4\x00",
            b"\x0a" + encode(["GET", "/v1/proofs/state?key=00", "", b""]),
            b"\x0a" + encode([200, "application/json", b"{}"]),
        ],
    ),
    Target("response", _response, lambda: [bytes(7) + b"\x01\x00abc", bytes(7) + b"\x01\x01A\nb"]),
    Target("genesis", _genesis, lambda: [draft().file_bytes, sealed().file_bytes], 25),
    Target("configuration", _config, _config_seeds, 100),
    Target(
        "recording",
        read_recording,
        lambda: [(Path(__file__).parents[1] / "vectors" / "incident.flight").read_bytes()[:20_000]],
    ),
    Target(
        "EPCIS",
        read_events,
        lambda: [
            epcis_samples.document(epcis_samples.event()),
            json.dumps(epcis_samples.event()).encode(),
        ],
    ),
    Target(
        "MT",
        read_messages,
        lambda: [mt_samples.sample(number).to_bytes() for number in mt_samples.SAMPLES],
    ),
    Target("invoice", read_invoice, lambda: [UBL.encode()]),
)


class Finding(Exception):
    """Bytes that made a decoder do what it must not."""


def try_on(target: Target, raw: bytes) -> str:
    """What the decoder made of the bytes: an error's code and words, "" if it took them.

    Raises Finding.
    """
    try:
        target.read(raw)
    except HansaError as error:
        return f"{error.code} {re.sub(r'[^a-z ]+', '', error.message)}"[:200]
    except Exception as error:
        kind = type(error).__name__
        raise Finding(f"{target.name}: {kind}: {error} for {raw[:200].hex()}") from error
    return ""
