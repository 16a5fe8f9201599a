"""A node backed up while it works, lost with its disk, restored, level with the others again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.care.archive import check as check_backup
from node.care.findings import nothing
from node.care.verify import verify
from node.files import DurableFile
from node.keystore import key_info
from node.setup import CONSENSUS_KEY, VOTES
from node.wal import FILE_NAME, VoteLog
from tests.e2e.conftest import Tell
from tests.e2e.load import check, end, under_load
from tests.e2e.support import devnet, hansa, until

pytestmark = pytest.mark.e2e


def test_a_validator_restored_from_a_backup_under_load(tmp_path: Path, tell: Tell) -> None:
    with devnet(tmp_path / "net") as net:
        victim, other = net.nodes[3], net.nodes[0]
        folder = net.network.folder / victim.name
        load = under_load(net, 0)
        try:
            net.advance(other, 3)
            made = hansa(net.network, "backup", "--data", folder, "--out", tmp_path / "one.hansa")
            assert made["height"] >= 3 and made["chain_id"] == net.chain_id.hex()
            counted = hansa(net.network, "db", "stats", "--data", folder)
            assert counted["height"] >= made["height"]
            net.advance(other, 2)
            net.kill(victim)
            lost = net.height(other)
            for name in ("chain", "votes", "vault"):  # the disk is gone; the keys have a copy
                shutil.rmtree(folder / name, ignore_errors=True)
            assert check_backup(tmp_path / "one.hansa").digest == made["digest"]
            done = hansa(net.network, "restore", tmp_path / "one.hansa", "--data", folder)
            assert done["height"] == made["height"] and done["verified"]["ok"]
            assert not (folder / "votes").exists()
            net.start(victim)
            until(lambda: net.height(victim) > lost, "the restored node has caught up")
            until(lambda: bool(net.status(victim)["voting"]), "it votes again")
            net.advance(victim, 2)
        finally:
            end(load)
        tell(check(net, load))
        net.kill(*net.nodes)
        votes = DurableFile(folder / VOTES / FILE_NAME)
        log = VoteLog(votes, key_info(folder / CONSENSUS_KEY).key)
        assert log.floor > lost, "it asked the others before it voted (rule 9)"
        votes.close()
        found = verify(folder, nothing, execute=True)
        assert not found.findings and found.executed == found.height
