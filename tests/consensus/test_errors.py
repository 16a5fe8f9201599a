"""Errors say what happened by a code, and to people by a sentence."""

from __future__ import annotations

import pytest

from consensus.primitives.errors import (
    CodecError,
    HansaError,
    InputError,
    LocalFault,
    PeerFault,
    TxRejected,
)


@pytest.mark.parametrize("kind", [CodecError, InputError, LocalFault, PeerFault, TxRejected])
def test_an_error_has_its_code_and_its_sentence(kind: type[HansaError]) -> None:
    error = kind("SOME_CODE", "what happened")
    assert (error.code, error.message) == ("SOME_CODE", "what happened")
    assert str(error) == "SOME_CODE: what happened"
    assert error.args == ("what happened",)


def test_a_rejection_says_when_the_same_bytes_may_be_taken() -> None:
    assert TxRejected("SOME_CODE", "not yet", 250).retry_after_ms == 250
    assert TxRejected("SOME_CODE", "never").retry_after_ms is None
