"""Versions of the store's layout: steps are taken in order, newer ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import LocalFault
from node.store import layout, schema
from node.store.kv import KV
from node.store.layout import STEPS, bring_up
from node.store.memory import MemoryKV
from node.store.state import PAGE, StateStore
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


@pytest.mark.parametrize("interrupted", [False, True])
def test_pages_of_version_5_become_slots(
    interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SLOTS_AT_ONCE", 50)
    kv = MemoryKV()
    state = StateStore(kv)
    delta = state.prepare({sha256(b"%d" % n): b"%d" % n for n in range(500)})
    kv.write(delta.operations, sync=True)
    today = dict(kv.scan(b"p", b"q"))
    pages = {PAGE + path: page.encode() for path, page in delta.update.pages.items() if page}
    kv.write([(key, None) for key in today], sync=True)
    kv.write([*pages.items(), (schema.VERSION, b"\x05")], sync=True)
    if interrupted:
        writes = kv.write

        def fails(*args: Any, **named: Any) -> None:
            writes(*args, **named)
            raise LocalFault("DISK_FULL", "no space left")

        monkeypatch.setattr(kv, "write", fails)
        assert code_of(bring_up, kv) == "DISK_FULL"
        monkeypatch.undo()
        monkeypatch.setattr(layout, "SLOTS_AT_ONCE", 50)
        halfway = set(dict(kv.scan(b"p", b"q")))
        assert halfway & set(today) and halfway & set(pages)
    assert bring_up(kv) == [5]
    assert dict(kv.scan(b"p", b"q")) == today


def test_a_step_leads_to_the_layout_of_today() -> None:
    assert schema.LAYOUT_VERSION[0] - 1 in STEPS


async def test_a_chain_of_a_newer_layout_is_not_opened() -> None:
    one = OneChain()
    await one.block([])
    newer = bytes((schema.LAYOUT_VERSION[0] + 1,))
    one.kv.write([(schema.VERSION, newer)], sync=True)
    assert code_of(one.open) == "STORE_NEWER"
    assert one.kv.get(schema.VERSION) == newer
