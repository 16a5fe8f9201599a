"""What all tests share: hypothesis profiles (HYPOTHESIS_PROFILE=dev, ci or nightly)."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

import node.log  # noqa: F401 - configures structlog when it is imported
from tests.sampling import ALL

# A logger that keeps what it first bound to would escape structlog.testing.capture_logs later.
structlog.configure(cache_logger_on_first_use=False)

# Shared machines stall for seconds, so no profile judges an example by its time.
settings.register_profile(
    "dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(  # the same examples in each run: what fails is what was changed
    "ci",
    max_examples=25,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(  # scripts/mutants.py: quick, and the same in each run
    "mutants",
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "nightly", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

SHELLS = ("docs", "scripts")
"""Folders of tests that start networks by `hansa` itself, on its ports: one after the other. All
others take those of their process, from below where the system gives ports by itself."""
PORTS_OF_A_PROCESS = 5_000


def pytest_configure(config: pytest.Config) -> None:
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number:
        from cli import network  # not at the top: the copy that mutants are tried in has no cli

        network.BASE_PORT = 12_000 + int(number) % 3 * PORTS_OF_A_PROCESS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked long runs when all tests are wanted, or when it is asked for by name."""
    named = any("::" in one or one.endswith(".py") for one in config.args)
    if not (ALL or named):
        left_out = [item for item in items if item.get_closest_marker("long")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not item.get_closest_marker("long")]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """What takes minutes begins first, so that no worker is left alone with it at the end."""
    folder, _, rest = item.nodeid.removeprefix("tests/").partition("/")
    return 0 if folder in SHELLS else 1 if rest.startswith("test_seeds.py") else 2


def pytest_collection_finish() -> None:
    """Thousands of tests and all modules: nothing of that is ever garbage, or looked at again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Which tests stay together when several run at a time: a file's share what is costly."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder, _, rest = nodeid.removeprefix("tests/").partition("/")
            return "shells" if folder in SHELLS else f"{folder}/{rest.partition('::')[0]}"

    return ByFile(config, log)
