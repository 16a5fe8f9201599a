"""Every decoder on its corpus, on fresh mutations and on any bytes at all (longer: `make fuzz`)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.errors import InputError
from tests.fuzz.run import inputs, kept
from tests.fuzz.targets import TARGETS, Finding, Target, try_on


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: one.name)
def test_corpus_and_mutations(target: Target) -> None:
    pool = [*target.seeds(), *kept(target)]
    assert target.seeds(), "a decoder without an example"
    for raw in pool:
        try_on(target, raw)
    fresh = inputs(random.Random(f"the same each time {target.name}"), pool)
    for _ in range(target.tries):
        try_on(target, next(fresh))


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: one.name)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(target: Target, raw: bytes) -> None:
    try_on(target, raw)


def test_a_decoder_that_fails_is_found() -> None:
    def careless(raw: bytes) -> int:
        if not raw:
            raise InputError("EMPTY", "nothing there")
        return 1 // (raw[0] ^ 0x41)

    target = Target("careless", careless, lambda: [b"@"])
    assert try_on(target, b"") == "EMPTY nothing there"

    def search() -> None:
        for raw in inputs(random.Random(1), [b"@"]):
            try_on(target, raw)

    with pytest.raises(Finding, match="ZeroDivisionError"):
        search()
