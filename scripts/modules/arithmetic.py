"""What the benchmark calls arithmetic-heavy: interest by the day, in whole minor units."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import Contract, Int, call

SCALE: Final = 1_000_000_000_000


class Interest(Contract):
    """Compound interest on a fixed scale."""

    name = "interest"

    @call
    def accrue(
        self,
        principal: Annotated[int, Int(1, SCALE)],
        rate_ppm: Annotated[int, Int(0, 1_000_000)],
        days: Annotated[int, Int(1, 3_650)],
    ) -> int:
        """The interest after so many days at a yearly rate in parts per million, half up."""
        amount = principal * SCALE
        paid = 0
        for day in range(days):
            growth = amount * rate_ppm // 365_000_000
            if day % 30 == 29:
                paid += growth // 100
                growth -= growth // 100
            amount += growth
        return (amount - paid - principal * SCALE + SCALE // 2) // SCALE
