"""Steps: the published price of what a contract does, the same on every node.

====================  ======================================================
transaction           10 per byte of its body
one call              1,000; made by a contract, also 10 per byte of its arguments' size
state read            500, and 1 per byte of the value found
state write, delete   1,000, and 10 per byte of key and value
scan                  500, and a read's price per entry
event                 500, and 10 per byte of its size
result                10 per byte of its size
====================  ======================================================

Sizes of arguments, events and results are those of :func:`contracts.sdk.values.plain`. A step is
about ten nanoseconds of the reference machine. What contract code computes between these is not
yet charged.
"""

from __future__ import annotations

from typing import Final

TRANSACTION_BYTE: Final = 10
CALL: Final = 1_000
ARGUMENT_BYTE: Final = 10
READ: Final = 500
READ_BYTE: Final = 1
WRITE: Final = 1_000
WRITE_BYTE: Final = 10
SCAN: Final = 500
EVENT: Final = 500
EVENT_BYTE: Final = 10
RESULT_BYTE: Final = 10

QUERY_STEPS_MAX: Final = 20_000_000


class OutOfSteps(Exception):
    """The transaction's budget is spent. Not a refusal: no contract may catch it."""


class Meter:
    """Counts steps against a budget. ``used`` never goes above it."""

    __slots__ = ("steps_max", "used")

    def __init__(self, steps_max: int) -> None:
        self.steps_max = steps_max
        self.used = 0

    def charge(self, steps: int) -> None:
        """Take the steps before the work is done. Raises OutOfSteps."""
        self.used += steps
        if self.used > self.steps_max:
            self.used = self.steps_max
            raise OutOfSteps
