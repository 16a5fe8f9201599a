"""The tree over header hashes on disk: the proofs of the whole list, and how it is mended."""

from __future__ import annotations

import pytest

from consensus.primitives import merkle
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import LocalFault
from consensus.primitives.merkle import Frontier
from node.store import schema
from node.store.history import HistoryStore
from node.store.memory import MemoryKV
from tests.node.support import OneChain

HASHES = [sha256(bytes((number,))) for number in range(70)]


def filled(count: int) -> tuple[MemoryKV, HistoryStore]:
    kv = MemoryKV()
    store = HistoryStore(kv)
    for height in range(count):
        kv.write(store.append(height, HASHES[height]), sync=False)
    return kv, store


def test_proofs_are_those_of_the_whole_list() -> None:
    _, store = filled(70)
    for size in (1, 2, 3, 7, 8, 33, 64, 70):
        assert store.subtree(0, size) == merkle.root(HASHES[:size])
        for index in range(size):
            assert store.inclusion(index, size) == merkle.inclusion_proof(HASHES[:size], index)
            old = index + 1
            assert store.consistency(old, size) == merkle.consistency_proof(HASHES[:size], old)
    with pytest.raises(IndexError):
        store.inclusion(5, 5)
    with pytest.raises(IndexError):
        store.consistency(0, 5)


def test_two_hashes_for_each_block() -> None:
    kv, _ = filled(64)
    assert len(list(kv.scan(b"y", b"z"))) == 2 * 64 - 1


def test_what_is_not_there_is_a_fault() -> None:
    _, store = filled(6)
    with pytest.raises(LocalFault, match="missing"):
        store.inclusion(3, 9)


def test_a_folder_without_it_gets_it() -> None:
    whole, _ = filled(70)
    kv = MemoryKV()
    store = HistoryStore(kv)
    frontier = Frontier()
    for one in HASHES:
        frontier = frontier.append(one)
    store.mend(70, frontier.root, lambda: enumerate(HASHES))
    assert list(kv.scan(b"y", b"z")) == list(whole.scan(b"y", b"z"))
    store.mend(70, frontier.root, lambda: pytest.fail("it is whole"))
    with pytest.raises(LocalFault, match="damaged"):
        store.mend(70, sha256(b"another chain"), lambda: enumerate(HASHES))
    with pytest.raises(LocalFault, match="damaged"):
        HistoryStore(MemoryKV()).mend(70, frontier.root, lambda: [(0, HASHES[0]), (2, HASHES[2])])


async def test_a_store_of_the_layout_before_gets_it_when_it_is_opened() -> None:
    one = OneChain()
    for _ in range(5):
        await one.block([])
    before = list(one.kv.scan(b"y", b"z"))
    old: list[tuple[bytes, bytes | None]] = [(key, None) for key, _ in before[2:]]
    one.kv.write([*old, (schema.VERSION, b"\x03")], sync=True)
    again = one.open()
    assert one.kv.get(schema.VERSION) == schema.LAYOUT_VERSION
    assert list(one.kv.scan(b"y", b"z")) == before
    assert again.blocks.history.subtree(0, 5) == again.header.history_root
    one.kv.write([*old, (schema.VERSION, b"\x03"), (_blocks(one)[0][0], None)], sync=True)
    with pytest.raises(LocalFault, match="damaged"):
        one.open()
    assert one.kv.get(schema.VERSION) == b"\x03", "a step that failed is not taken for done"


async def test_a_chain_with_a_gap_is_not_opened() -> None:
    """As when LevelDB has lost a table of what was written for some blocks, and not of the later
    ones."""
    one = OneChain()
    for _ in range(9):
        await one.block([])
    kept = [(key, value) for key, value in one.kv.scan(b"y", b"z") if key[:2] == b"y\x00"]
    one.kv.write([(kept[4][0], None), (kept[5][0], None)], sync=True)
    with pytest.raises(LocalFault, match="blocks 4 to 5 are missing"):
        one.open()
    one.kv.write([*kept, (kept[9][0], None)], sync=True)
    with pytest.raises(LocalFault, match="block 9, the tip"):
        one.open()
    one.kv.write([*kept, (kept[3][0], sha256(b"?"))], sync=True)
    assert one.open().height == 9, "only what proofs are made from: `hansa db verify` finds it"
    one.kv.write([*kept, (b"y\x03" + bytes(8), sha256(b"?"))], sync=True)
    with pytest.raises(LocalFault, match="are not the tip's"):
        one.open()


def _blocks(one: OneChain) -> list[tuple[bytes, bytes]]:
    return list(one.kv.scan(schema.BLOCK_HASH, b"i"))
