"""A ledger with the built-in contracts and a small consortium."""

from __future__ import annotations

import pytest

from contracts.runtime.registry import builtin_registry
from tests.contracts.ledger import Ledger, consortium


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(builtin_registry(), consortium())
