"""States of recent blocks: each stays as it was, and old ones are let go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.primitives import tree
from consensus.primitives.errors import InputError
from consensus.proofs import Wanted, prove_state
from consensus.rules import TURNS_KEY, VALIDATORS_KEY
from node.store.kept import CHANGES_MAX, KEPT_MAX, KeptStates
from node.store.kv import LevelKV
from tests.node.support import OneChain


async def test_each_kept_state_is_that_of_its_header(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "chain")
    one = OneChain(kv=kv)
    chain = one.chain
    with pytest.raises(InputError, match="none yet"):
        chain.states.at(None)
    chain.states.begin(chain.header, chain.certificate)
    for count in (3, 0, 2):
        await one.block([one.transaction() for _ in range(count)])
    assert chain.states.heights() == [0, 1, 2, 3]
    roots = set()
    for height in chain.states.heights():
        kept = chain.states.at(height)
        assert kept.header == chain.blocks.block(height).header  # type: ignore[union-attr]
        assert (kept.certificate is None) == (height == 0)
        assert tree.root_of(kept.slot) == kept.header.state_root
        wanted = Wanted([VALIDATORS_KEY, TURNS_KEY, b"none"], [(b"governance", b"governance\xff")])
        shown = prove_state(kept, kept.slot, kept.get, wanted).check(kept.header.state_root)
        assert shown.get(VALIDATORS_KEY) == chain.validators.raw
        assert shown.get(b"none") is None
        pairs = list(shown.scan(*wanted.ranges[0]))
        assert pairs == list(kept.scan(*wanted.ranges[0])) and len(pairs) > 10
        roots.add(kept.header.state_root)
    assert len(roots) > 2
    assert chain.states.at(None).height == 3
    with pytest.raises(InputError, match="no longer"):
        chain.states.at(4)
    chain.states.close()
    kv.close()


async def test_old_states_are_let_go() -> None:
    one = OneChain()
    await one.block([])
    kept = KeptStates(one.kv)
    header = one.chain.header
    kept.add(header, None, 0)
    assert kept.heights() == []  # nobody has begun
    kept.begin(header, None)
    for height in range(2, 2 * KEPT_MAX):
        kept.add(replace(header, height=height), None, 1)
    assert kept.heights() == list(range(KEPT_MAX, 2 * KEPT_MAX))
    kept.close()
    assert kept.heights() == []


async def test_blocks_that_change_much_leave_fewer_states() -> None:
    """What the store must keep for the oldest snapshot is bounded; the newest always stays."""
    one = OneChain()
    kept = KeptStates(one.kv)
    header = one.chain.header
    kept.begin(header, None)
    for height in range(1, 10):
        kept.add(replace(header, height=height), None, CHANGES_MAX // 4)
    assert kept.heights() == [6, 7, 8, 9]
    kept.add(replace(header, height=10), None, 2 * CHANGES_MAX)
    assert kept.heights() == [10]
    kept.add(replace(header, height=11), None, 1)
    kept.passed(CHANGES_MAX)
    kept.add(replace(header, height=13), None, 1)
    assert kept.heights() == [13]
    kept.close()


async def test_a_block_that_is_only_passed_is_not_kept() -> None:
    one = OneChain()
    chain = one.chain
    chain.states.begin(chain.header, None)
    outcome = await one.execute([])
    await chain.commit(outcome, one.certificate(1, outcome.block.hash), passing=True)
    assert chain.states.heights() == [0]
    await chain.sync()
    assert chain.states.heights() == [0, 1]
    kept = chain.states.at(1)
    assert tree.root_of(kept.slot) == chain.header.state_root
