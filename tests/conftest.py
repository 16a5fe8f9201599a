"""What all tests share: hypothesis profiles (HYPOTHESIS_PROFILE=dev, ci or nightly)."""

from __future__ import annotations

import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

import node.log  # noqa: F401 - configures structlog when it is imported

# A logger that keeps what it first bound to would escape structlog.testing.capture_logs later.
structlog.configure(cache_logger_on_first_use=False)

# Shared machines stall for seconds, so no profile judges an example by its time.
settings.register_profile(
    "dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(  # scripts/mutants.py: quick, and the same in each run
    "mutants",
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "nightly", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

SOCKETS = ("cli", "docs", "e2e", "p2p", "scripts")
"""Folders of tests that listen on ports or start networks: one after the other, in one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests stay together when several run at a time: a file's share what is costly."""
    for item in items:
        folder, _, rest = item.nodeid.removeprefix("tests/").partition("/")
        file = rest.partition("::")[0]
        together = "sockets" if folder in SOCKETS else f"{folder}/{file}"
        item.add_marker(pytest.mark.xdist_group(together))
