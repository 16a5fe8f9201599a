"""Versions of the store's layout: steps are taken in order, newer ones are refused."""

from __future__ import annotations

import pytest

from consensus.primitives.errors import LocalFault
from node.store import schema
from node.store.kv import KV
from node.store.layout import STEPS, bring_up
from node.store.memory import MemoryKV
from tests.node.support import OneChain, code_of


def store(version: int) -> MemoryKV:
    kv = MemoryKV()
    kv.write([(schema.VERSION, bytes((version,)))], sync=True)
    return kv


def test_steps_are_taken_in_order_and_each_once() -> None:
    taken: list[int] = []
    steps = {one: lambda _kv, one=one: taken.append(one) for one in (1, 2, 3)}
    kv = store(2)
    assert bring_up(kv, steps=steps, current=4) == [2, 3] == taken
    assert kv.get(schema.VERSION) == b"\x04"
    assert bring_up(kv, steps=steps, current=4) == []


def test_a_step_that_is_interrupted_is_taken_again() -> None:
    done: list[int] = []

    def second(kv: KV) -> None:
        done.append(2)
        if len(done) == 1:
            raise LocalFault("DISK_FULL", "no space left")

    kv = store(1)
    with pytest.raises(LocalFault, match="no space"):
        bring_up(kv, steps={1: lambda _kv: None, 2: second}, current=3)
    kv.crash()
    assert kv.get(schema.VERSION) == b"\x02"
    assert bring_up(kv, steps={1: lambda _kv: None, 2: second}, current=3) == [2]
    assert done == [2, 2]


def test_newer_and_too_old_ones_are_refused_untouched() -> None:
    for version, code in ((9, "STORE_NEWER"), (1, "STORE_VERSION")):
        kv = store(version)
        assert code_of(bring_up, kv) == code
        assert kv.get(schema.VERSION) == bytes((version,))
    assert code_of(bring_up, MemoryKV()) == "STORE_CORRUPT"


def test_a_step_leads_to_the_layout_of_today() -> None:
    assert schema.LAYOUT_VERSION[0] - 1 in STEPS


async def test_a_chain_of_a_newer_layout_is_not_opened() -> None:
    one = OneChain()
    await one.block([])
    newer = bytes((schema.LAYOUT_VERSION[0] + 1,))
    one.kv.write([(schema.VERSION, newer)], sync=True)
    assert code_of(one.open) == "STORE_NEWER"
    assert one.kv.get(schema.VERSION) == newer
