"""What a simulated world takes from trio beyond its documented interface: when trio changes it,
these tests say so, and not a trace that differs for no visible reason."""

from __future__ import annotations

import inspect
import random
import re

import trio
import trio.testing
from trio._core import _run


def test_trios_scheduler_can_be_seeded() -> None:
    """``_r`` shuffles each batch of tasks, and ``_ALLOW_DETERMINISTIC_SCHEDULING`` has the batch
    sorted before, because a set's order is another one in every process. Nothing else draws from
    ``_r`` but the real clock, so a seed's draws are all the scheduler's."""
    assert isinstance(_run._r, random.Random)
    assert isinstance(_run._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    names = r"\b_r\.|\b_ALLOW_DETERMINISTIC_SCHEDULING:"
    lines = [line.strip() for line in inspect.getsource(_run).splitlines()]
    used = [line for line in lines if re.search(names, line)]
    assert used == [
        "_ALLOW_DETERMINISTIC_SCHEDULING: Final = False",
        "offset: float = attrs.Factory(lambda: _r.uniform(10000, 200000))",
        "if _ALLOW_DETERMINISTIC_SCHEDULING:",
        "_r.shuffle(batch)",
        "if _r.random() < 0.5:",
    ]


def _order(seed: int) -> list[int]:
    order: list[int] = []

    async def task(number: int) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(task, number)

    before = _run._ALLOW_DETERMINISTIC_SCHEDULING
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    try:
        _run._r.seed(seed)
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
    return order


def test_the_seed_decides_the_order_of_tasks() -> None:
    assert _order(1) == _order(1)
    assert any(_order(seed) != _order(1) for seed in (2, 3, 4))


def test_the_mock_clock_jumps_to_the_next_deadline() -> None:
    async def main() -> None:
        await trio.sleep(1000)
        assert round(trio.current_time()) == 1000

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
