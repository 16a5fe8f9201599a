"""The mark beside LevelDB's files: a commit that the disk lost is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.store import schema
from node.store.kv import LevelKV
from node.store.mark import FILE_NAME, MarkedKV, marked_tip
from tests.node.support import OneChain, code_of


async def made(folder: Path, blocks: int = 3) -> OneChain:
    one = OneChain(kv=MarkedKV(folder))
    for _ in range(blocks):
        await one.block([one.transaction()])
    return one


async def test_a_torn_log_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    one = await made(folder)
    tip = one.chain.hash
    one.kv.close()
    assert marked_tip(folder) == (3, tip)
    (log,) = folder.glob("*.log")
    log.write_bytes(log.read_bytes()[:-10])  # as a crash cuts off what was not synced
    LevelKV(folder).close()  # LevelDB alone has nothing to say
    assert code_of(MarkedKV, folder) == "STORE_BEHIND"
    kv = MarkedKV(folder, accept_loss=True)
    assert kv.lost == (2, 3)
    kv.close()
    MarkedKV(folder).close()
    shutil.rmtree(folder)
    assert code_of(MarkedKV, folder) == "", "no chain at all: the node fetches it anew"


async def test_another_block_than_the_one_noted_is_damage(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    one = await made(folder)
    mark = (folder / FILE_NAME).read_bytes()
    one.kv.close()
    other = tmp_path / "other"
    again = await made(other, 2)
    await again.block([])
    again.kv.close()
    (other / FILE_NAME).write_bytes(mark)
    assert code_of(MarkedKV, other) == "STORE_CORRUPT"


@pytest.mark.parametrize("mark", [b"", b"\0" * 9, b"\xff" * 300, None])
async def test_a_lost_or_torn_mark_says_nothing(tmp_path: Path, mark: bytes | None) -> None:
    folder = tmp_path / "chain"
    one = await made(folder, 1)
    one.kv.close()
    if mark is None:
        (folder / FILE_NAME).unlink()
    else:
        (folder / FILE_NAME).write_bytes(mark)
    assert marked_tip(folder) is None
    kv = MarkedKV(folder)
    assert kv.lost is None and kv.get(schema.TIP) is not None
    kv.close()
    assert marked_tip(folder) is not None, "written anew"


async def test_the_mark_follows_synced_batches_alone(tmp_path: Path) -> None:
    kv = MarkedKV(tmp_path / "chain")
    one = OneChain(kv=kv)
    await one.block([])
    tip = kv.get(schema.TIP)
    assert tip is not None
    await one.block([])
    newer = kv.get(schema.TIP)
    kv.write([(schema.TIP, tip)], sync=False)
    assert marked_tip(tmp_path / "chain") == (2, one.chain.hash)
    kv.write([(schema.TIP, newer)], sync=True)
    kv.close()
