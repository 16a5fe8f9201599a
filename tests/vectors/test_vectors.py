"""Golden bytes of every wire type. A change here is a change of the protocol: it wants an ADR.

`python -m tests.vectors.test_vectors` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consensus.evidence import Evidence
from consensus.messages import Vote, decode_vote
from consensus.primitives.codec import Wire
from consensus.transaction import Transaction
from genesis.document import GenesisDocument
from tests.vectors.samples import CHAIN_ID, samples, vectors

FILE = Path(__file__).with_name("wire.json")


def _golden() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads(FILE.read_text())
    return loaded


@pytest.mark.parametrize("name", sorted(samples()))
def test_bytes_are_the_golden_ones(name: str) -> None:
    assert vectors()[name] == _golden()[name]


def test_nothing_golden_was_dropped() -> None:
    assert sorted(_golden()) == sorted(samples())


@pytest.mark.parametrize("name", sorted(samples()))
def test_golden_bytes_decode_to_the_value(name: str) -> None:
    value: Wire = samples()[name]
    raw = bytes.fromhex(_golden()[name]["bytes"])
    assert type(value).decode(raw) == value
    if not isinstance(value, Transaction | GenesisDocument):  # their JSON is made for people
        assert type(value).from_json(value.to_json()) == value
    if isinstance(value, Vote):
        assert decode_vote(bytes.fromhex(_golden()[name]["frame"])) == value
        assert value.signature_valid(CHAIN_ID)
    if isinstance(value, Evidence):
        assert value.check(CHAIN_ID) == 1


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n")
