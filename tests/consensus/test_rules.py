"""What a header commits to, and the system values that are no contract's."""

from __future__ import annotations

import dataclasses

from consensus.block import Block
from consensus.params import Params
from consensus.primitives.crypto import sha256
from consensus.rules import (
    LongestWindow,
    evidence_key,
    is_whole,
    longest_window_after,
    make_header,
)
from consensus.validators import Validator, ValidatorSet
from tests.vectors.samples import CHAIN_ID, samples


def consortium(count: int) -> ValidatorSet:
    return ValidatorSet(
        tuple(Validator(f"v{n}", sha256(bytes([n])), "9520123000004") for n in range(count))
    )


def test_a_header_commits_to_every_part_of_its_block() -> None:
    block = samples()["Block"]
    assert isinstance(block, Block)
    header = make_header(
        block.content,
        chain_id=CHAIN_ID,
        receipts=(),
        state_root=sha256(b"state"),
        validators=consortium(4),
        next_validators=consortium(4),
        params=Params(),
        contracts_hash=sha256(b"contracts"),
        history_root=sha256(b"history"),
    )
    block = dataclasses.replace(block, header=header)
    assert is_whole(block)
    assert block.bodies and block.evidence and block.last_certificate
    for changed in ({"bodies": ()}, {"evidence": ()}, {"last_certificate": None}):
        assert not is_whole(dataclasses.replace(block, **changed))


def test_evidence_keys_are_distinct() -> None:
    assert evidence_key(sha256(b"a")) != evidence_key(sha256(b"b"))


def test_a_shorter_window_notes_the_longer_one() -> None:
    assert longest_window_after(None, 1_000, 600, 600) is None
    assert longest_window_after(None, 1_000, 600, 900) is None
    first = longest_window_after(None, 1_000, 600, 60)
    assert first == LongestWindow(600, 1_600)
    # Shorter still, while transactions of the longest may be valid, and after.
    assert longest_window_after(first, 1_600, 60, 10) == LongestWindow(600, 2_200)
    assert longest_window_after(first, 1_601, 60, 10) == LongestWindow(60, 1_661)
    assert longest_window_after(first, 1_100, 60, 60) is None
