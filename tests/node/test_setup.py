"""Making a data folder, and rotating the key in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.params import Params
from consensus.primitives.errors import LocalFault
from node.chain import Chain
from node.clock import InlineBlocking
from node.files import DurableFile, FolderLock
from node.keystore import Cost, key_info
from node.setup import (
    CHAIN,
    CONSENSUS_KEY,
    NEXT_KEY,
    NEXT_VOTES,
    VOTES,
    finish_rotation,
    init_folder,
    make_validator_key,
)
from node.store.kv import LevelKV
from node.wal import FILE_NAME, VoteLog
from node.workers import InlineVerifier
from tests.node.support import OneChain, code_of

CHEAP = Cost(passes=1, memory_bytes=1 << 20)


def log_of(folder: Path, votes: Path, key: bytes) -> VoteLog:
    """The vote log that belongs to a key. Raises LocalFault VOTE_LOG_FOREIGN for another's."""
    return VoteLog(DurableFile(folder / votes / FILE_NAME), key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {"node": {"role": "validator", "name": "v3"}}
    init_folder(tmp_path, "secret", name="v3", validator=True, config=config, cost=CHEAP)
    return tmp_path


async def fill_store(folder: Path, *, rotated: bytes | None) -> None:
    """A chain whose v3 is this folder's key; ``rotated`` has taken over from it by vote."""
    old = key_info(folder / CONSENSUS_KEY).key
    kv = LevelKV(folder / CHAIN)
    one = OneChain(Params(), kv=kv, keys={"v3": old})
    if rotated is not None:
        await one.decide("validator_rotate", name="v3", consensus_key=rotated)
    kv.close()


async def test_a_rotation_ends_with_the_new_key_and_its_own_log(folder: Path) -> None:
    old = key_info(folder / CONSENSUS_KEY).key
    path, made = make_validator_key(folder, "secret", name="v3", cost=CHEAP, successor=True)
    assert path == folder / NEXT_KEY
    assert made.key != old
    assert log_of(folder, NEXT_VOTES, made.key).height == 0
    again = code_of(make_validator_key, folder, "secret", name="v3", cost=CHEAP, successor=True)
    assert again == "FILE_EXISTS"
    await fill_store(folder, rotated=made.key)
    assert finish_rotation(folder, folder / CONSENSUS_KEY) == made.key
    assert key_info(folder / CONSENSUS_KEY).key == made.key
    assert log_of(folder, VOTES, made.key).height == 0
    retired = folder / "retired" / old.hex()[:16]
    assert key_info(retired / CONSENSUS_KEY.name).key == old
    log_of(retired, VOTES, old)
    with pytest.raises(LocalFault):
        log_of(folder, VOTES, old)
    assert code_of(finish_rotation, folder, folder / CONSENSUS_KEY) == "NO_NEXT_KEY"


async def test_an_interrupted_end_is_taken_up(folder: Path) -> None:
    _, made = make_validator_key(folder, "secret", name="v3", cost=CHEAP, successor=True)
    old = key_info(folder / CONSENSUS_KEY).key
    await fill_store(folder, rotated=made.key)
    retired = folder / "retired" / old.hex()[:16]
    retired.mkdir(parents=True)
    (folder / VOTES).rename(retired / VOTES)
    (folder / NEXT_VOTES).rename(folder / VOTES)
    (folder / CONSENSUS_KEY).rename(retired / CONSENSUS_KEY.name)
    assert finish_rotation(folder, folder / CONSENSUS_KEY) == made.key
    log_of(folder, VOTES, made.key)


async def test_a_rotation_does_not_end_before_the_chain_says_so(folder: Path) -> None:
    _, made = make_validator_key(folder, "secret", name="v3", cost=CHEAP, successor=True)
    await fill_store(folder, rotated=None)
    before = sorted(path for path in folder.rglob("*") if CHAIN.name not in path.parts)
    lock = FolderLock(folder)
    lock.acquire()
    assert code_of(finish_rotation, folder, folder / CONSENSUS_KEY) == "FOLDER_LOCKED"
    lock.release()
    assert code_of(finish_rotation, folder, folder / CONSENSUS_KEY) == "ROTATION_NOT_IN_FORCE"
    kept = [path for path in folder.rglob("*") if CHAIN.name not in path.parts]
    assert [path for path in before if path not in kept] == []
    assert key_info(folder / NEXT_KEY).key == made.key


def test_a_folder_without_a_chain(folder: Path) -> None:
    make_validator_key(folder, "secret", name="v3", cost=CHEAP, successor=True)
    assert code_of(finish_rotation, folder, folder / CONSENSUS_KEY) == "ROTATION_NOT_IN_FORCE"


def test_the_store_is_free_again(folder: Path) -> None:
    make_validator_key(folder, "secret", name="v3", cost=CHEAP, successor=True)
    finish = code_of(finish_rotation, folder, folder / CONSENSUS_KEY)
    assert finish == "ROTATION_NOT_IN_FORCE"
    kv = LevelKV(folder / CHAIN)
    one = OneChain(Params())
    assert Chain(one.document, kv, InlineBlocking(), InlineVerifier()).height == 0
    kv.close()
