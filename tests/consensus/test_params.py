"""Parameters: defaults work, every mistake is named at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.params import Params
from consensus.primitives.errors import InputError


def test_defaults_are_sound_and_travel() -> None:
    params = Params().checked()
    assert Params.decode(params.raw) == params
    assert Params.from_json(params.to_json()) == params
    assert replace(params, fault_model="crash").checked().digest != params.digest


def test_all_mistakes_are_told_together() -> None:
    bad = Params(
        fault_model="optimistic",
        min_block_interval_ms=0,
        round_timeout_ms=500,
        round_timeout_max_ms=499,
        block_bytes_max=10,
        block_steps_max=10,
        block_txs_max=0,
    )
    with pytest.raises(InputError) as caught:
        bad.checked()
    assert caught.value.code == "PARAMS_INVALID"
    for name in (
        "fault_model",
        "min_block_interval_ms",
        "round_timeout_max_ms",
        "block_bytes_max",
        "block_steps_max",
        "block_txs_max",
    ):
        assert f"{name}:" in caught.value.message
    assert len(bad.mistakes()) == 6


@pytest.mark.parametrize(
    "name",
    [
        "runtime",
        "min_block_interval_ms",
        "empty_block_interval_ms",
        "round_timeout_ms",
        "clock_drift_ms",
        "tx_window_ms",
        "tx_bytes_max",
        "tx_steps_max",
        "block_txs_max",
    ],
)
def test_zero_is_a_mistake(name: str) -> None:
    zero = Params.from_json({**Params().to_json(), name: 0})
    assert any(name in one for one in zero.mistakes())


def test_larger_limits_hold_the_smaller() -> None:
    assert Params(empty_block_interval_ms=49).mistakes()
    assert not Params(empty_block_interval_ms=50).mistakes()
    assert not Params(round_timeout_max_ms=2_000).mistakes()
