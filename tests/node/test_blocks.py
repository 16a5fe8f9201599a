"""The chain's history in the store: what was written comes back, and damage has a code."""

from __future__ import annotations

import pytest

from consensus.block import SealedBlock
from consensus.primitives.crypto import sha256
from node.store import schema
from node.store.blocks import BlockStore
from node.store.memory import MemoryKV
from node.store.schema import LAYOUT_VERSION, height_key
from tests.node.support import OneChain, code_of
from tests.sim.world import EPOCH_MS


async def built() -> tuple[OneChain, MemoryKV, list[SealedBlock]]:
    kv = MemoryKV()
    one = OneChain(kv=kv)
    sealed = []
    for count in (2, 0, 3):
        txs = [one.transaction(valid_until=EPOCH_MS + 60_000) for _ in range(count)]
        sealed.append(await one.block(txs))
    return one, kv, sealed


async def test_blocks_receipts_and_indexes_come_back() -> None:
    one, kv, sealed = await built()
    store = BlockStore(kv)
    assert store.open(one.document.chain_id)
    tip = store.tip()
    assert (tip.height, tip.hash) == (3, one.chain.hash)
    for height, each in enumerate(sealed, start=1):
        assert store.block(height) == each.block
        assert store.sealed(height) == each
        assert store.height_of(each.block.hash) == height
        receipts = store.receipts(height)
        assert receipts is not None and len(receipts) == len(each.block.bodies)
    third = sealed[2].block
    outcome = await one.execute([])
    assert outcome.header.height == 4
    for index, wire_id in enumerate(third.wire_ids):
        receipts = store.receipts(3)
        assert receipts is not None and receipts[index].wire_id == wire_id


async def test_a_transaction_is_found_by_its_id() -> None:
    one, kv, _ = await built()
    tx = one.transaction(valid_until=EPOCH_MS + 60_000)
    await one.block([one.transaction(valid_until=EPOCH_MS + 60_000), tx])
    assert BlockStore(kv).position_of(tx.tx_id) == (4, 1)


async def test_what_is_not_there_is_none() -> None:
    one, kv, _ = await built()
    store = BlockStore(kv)
    assert store.block(4) is None and store.sealed(4) is None and store.receipts(4) is None
    assert store.height_of(sha256(b"")) is None and store.position_of(sha256(b"")) is None
    assert store.block(0) is not None
    assert store.sealed(0) is None, "genesis is sealed by its document"
    assert not BlockStore(MemoryKV()).open(one.document.chain_id)


async def test_foreign_data_and_another_layout() -> None:
    one, kv, _ = await built()
    assert code_of(BlockStore(kv).open, sha256(b"another chain")) == "STORE_FOREIGN"
    kv.write([(schema.VERSION, bytes([LAYOUT_VERSION[0] + 1]))], sync=True)
    assert code_of(BlockStore(kv).open, one.document.chain_id) == "STORE_VERSION"
    assert code_of(BlockStore(MemoryKV()).tip) == "STORE_CORRUPT"


@pytest.mark.parametrize("damage", [b"", b"\xc0", b"\x90", b"\xff\xff", b"\xdd\xff\xff\xff\xff"])
async def test_damaged_values_have_a_code(damage: bytes) -> None:
    _, kv, _ = await built()
    store = BlockStore(kv)
    for table in (schema.BLOCK, schema.CERTIFICATE, schema.RECEIPTS):
        kv.write([(height_key(table, 2), damage)], sync=True)
    kv.write([(schema.TIP, damage)], sync=True)
    assert code_of(store.block, 2) == "STORE_CORRUPT"
    assert code_of(store.certificate, 2) == "STORE_CORRUPT"
    if damage != b"\x90":  # no receipts at all, as of an empty block
        assert code_of(store.receipts, 2) == "STORE_CORRUPT"
    assert code_of(store.tip) == "STORE_CORRUPT"


def test_heights_sort_as_numbers() -> None:
    keys = [height_key(schema.BLOCK, height) for height in (0, 9, 10, 255, 256, 2**40)]
    assert keys == sorted(keys)
