"""Nothing leaves the signer before it is on disk, and nothing that contradicts the log."""

from __future__ import annotations

import pytest

from consensus.messages import UNSIGNED, Commit, Prepare
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import LocalFault
from node.clock import InlineBlocking, ThreadBlocking
from node.signer import Signer
from node.wal import VoteLog
from tests.sim.world import MemoryFile, consensus_key, seed_of

CHAIN = sha256(b"chain")
SEED, KEY = seed_of("v0 consensus"), consensus_key("v0")
VOTE = Prepare(3, 0, sha256(b"content"), sha256(b"block"), KEY, UNSIGNED)


async def test_a_signed_vote_is_on_disk_and_holds() -> None:
    file = MemoryFile()
    signer = Signer(SEED, CHAIN, VoteLog.create(file, KEY), ThreadBlocking())
    signed = await signer.sign(VOTE, None, (), None)
    assert signer.key == KEY
    assert signed.signature_valid(CHAIN)
    assert not signed.signature_valid(sha256(b"another chain"))
    assert VoteLog(file, KEY).own_votes(3).prepare == signed


async def test_what_the_disk_does_not_take_is_not_signed() -> None:
    class Full(MemoryFile):
        def append(self, data: bytes) -> None:
            raise LocalFault("DISK_FULL", "no space left")

    signer = Signer(SEED, CHAIN, VoteLog.create(Full(), KEY), InlineBlocking())
    with pytest.raises(LocalFault) as caught:
        await signer.sign(VOTE, None, (), None)
    assert caught.value.code == "DISK_FULL"
    assert signer.log.own_votes(3).prepare is None


async def test_a_second_vote_is_refused_before_it_is_signed() -> None:
    file = MemoryFile()
    signer = Signer(SEED, CHAIN, VoteLog.create(file, KEY), InlineBlocking())
    await signer.sign(VOTE, None, (), None)
    on_disk = file.data
    other = Prepare(3, 0, sha256(b"other"), sha256(b"other"), KEY, UNSIGNED)
    for memory in (signer, Signer(SEED, CHAIN, VoteLog(file, KEY), InlineBlocking())):
        with pytest.raises(LocalFault) as caught:
            await memory.sign(other, None, (), None)
        assert caught.value.code == "DOUBLE_SIGN_PREVENTED"
    assert file.data == on_disk
    await signer.sign(Commit(3, 0, sha256(b"block"), KEY, UNSIGNED), None, (), None)
