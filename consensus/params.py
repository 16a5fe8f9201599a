"""The consortium's parameters: part of the genesis document, hashed into every header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from consensus.primitives.codec import Text, UInt, Wire
from consensus.primitives.errors import InputError

FaultModel = Literal["byzantine", "crash"]
FAULT_MODELS: Final = ("byzantine", "crash")


@dataclass(frozen=True)
class Params(Wire):
    """Rules that all nodes share. Times are milliseconds, sizes bytes."""

    fault_model: Annotated[str, Text(16)] = "byzantine"
    runtime: Annotated[int, UInt(255)] = 1
    min_block_interval_ms: Annotated[int, UInt(60_000)] = 50
    empty_block_interval_ms: Annotated[int, UInt(86_400_000)] = 10_000
    round_timeout_ms: Annotated[int, UInt(600_000)] = 2_000
    round_timeout_max_ms: Annotated[int, UInt(3_600_000)] = 60_000
    clock_drift_ms: Annotated[int, UInt(60_000)] = 5_000
    tx_window_ms: Annotated[int, UInt(86_400_000)] = 600_000
    tx_bytes_max: Annotated[int, UInt(65_536)] = 65_536
    tx_steps_max: Annotated[int, UInt()] = 10_000_000
    block_txs_max: Annotated[int, UInt(10_000)] = 4_000
    block_bytes_max: Annotated[int, UInt(8 << 20)] = 2 << 20
    block_steps_max: Annotated[int, UInt()] = 1_000_000_000

    def mistakes(self) -> list[str]:
        """Every value that no consortium can work with, as sentences; empty when all is well."""
        found = []
        if self.fault_model not in FAULT_MODELS:
            found.append(f"fault_model: {self.fault_model!r} is not one of {FAULT_MODELS}")
        for name in (
            "runtime",
            "min_block_interval_ms",
            "empty_block_interval_ms",
            "round_timeout_ms",
            "clock_drift_ms",
            "tx_window_ms",
            "tx_bytes_max",
            "tx_steps_max",
            "block_txs_max",
        ):
            if getattr(self, name) == 0:
                found.append(f"{name}: must be greater than 0")
        pairs = (
            ("round_timeout_max_ms", "round_timeout_ms"),
            ("empty_block_interval_ms", "min_block_interval_ms"),
            ("tx_window_ms", "min_block_interval_ms"),
            ("block_bytes_max", "tx_bytes_max"),
            ("block_steps_max", "tx_steps_max"),
        )
        for larger, smaller in pairs:
            if getattr(self, larger) < getattr(self, smaller):
                found.append(f"{larger}: must be at least {smaller}")
        return found

    def checked(self) -> Params:
        """Itself, or InputError PARAMS_INVALID naming every mistake."""
        if found := self.mistakes():
            raise InputError("PARAMS_INVALID", "; ".join(found))
        return self
