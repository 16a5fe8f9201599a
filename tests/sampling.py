"""What `make test` leaves to `make test-all`: more of the same, once one of it was seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

ALL: Final = os.environ.get("HANSA_TESTS") == "all"


def some(values: Sequence[T], every: int = 3) -> Sequence[T]:
    """Every third, unless all tests are wanted."""
    return values if ALL else values[::every]
