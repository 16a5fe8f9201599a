"""A node that does not answer, examined from its data folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from consensus.params import Params
from consensus.primitives.errors import LocalFault
from genesis.document import GenesisDocument
from node.doctor.findings import Finding
from node.doctor.folder import api_url, examine_folder
from node.files import FolderLock
from node.keystore import Cost, key_info
from node.last_words import BYTES_MAX, FILE_NAME, forget_failure, last_failure, note_failure
from node.setup import CONSENSUS_KEY, GENESIS, NETWORK_KEY, VOTES, init_folder
from tests.sim.world import document

PASSPHRASE = "correct horse"
CHEAP = Cost(passes=1, memory_bytes=8 << 10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A validator's folder in which nothing is wrong, but that the node does not run."""
    for name in list(os.environ):
        if name.startswith("HANSA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HANSA_PASSPHRASE", PASSPHRASE)
    made = tmp_path / "node1"
    config = {
        "node": {"role": "validator", "name": "node1"},
        "network": {"listen": f"127.0.0.1:{free_port()}"},
        "api": {"listen": f"127.0.0.1:{free_port()}"},
    }
    init_folder(made, PASSPHRASE, name="node1", validator=True, config=config, cost=CHEAP)
    (made / GENESIS).write_bytes(_genesis().file_bytes)
    return made


def _genesis() -> GenesisDocument:
    return document(Params(), 4, 0)


def _codes(findings: list[Finding]) -> list[str]:
    return [one.code for one in findings]


def _usable(_path: Path) -> GenesisDocument:
    return _genesis()


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document of the virtual world has no seals."""
    monkeypatch.setattr(GenesisDocument, "load", _usable)


def test_a_node_that_was_stopped(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (found,) = examine_folder(folder)
    assert (found.code, found.severity, found.about) == ("PROCESS_DOWN", "stopped", ("node1",))
    assert f"hansa node run --data {folder}" in found.action
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before, "the doctor only looks"
    (folder.parent / "devnet.json").touch()
    assert "hansa devnet up" in examine_folder(folder)[0].action


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("DISK_FULL", "Make room"),
        ("STORE_CORRUPT", "Put chain/ away, keep votes/"),
        ("DIVERGED", "Validators disagree"),
        ("DOUBLE_SIGN_PREVENTED", "no other machine"),
        ("STORE_FOREIGN", "another chain"),
        ("LISTEN_FAILED", "docs/errors.md"),
    ],
)
def test_a_node_that_ended_by_itself_left_its_last_words(
    folder: Path, code: str, word: str
) -> None:
    note_failure(folder, LocalFault(code, "what it said"))
    (found,) = examine_folder(folder)
    assert found.code == "PROCESS_FAILED"
    assert f"{code}: what it said" in found.text and word in found.action
    forget_failure(folder)
    assert _codes(examine_folder(folder)) == ["PROCESS_DOWN"]


def test_last_words_are_bounded_and_damaged_ones_are_none(folder: Path) -> None:
    note_failure(folder, LocalFault("DISK_FULL", "x" * 100_000))
    assert (folder / FILE_NAME).stat().st_size < BYTES_MAX
    note_failure(folder, RuntimeError("secret text of an unexpected exception"))
    words = last_failure(folder)
    assert words is not None and (words.code, words.message) == ("INTERNAL_ERROR", "RuntimeError")
    for junk in (b"", b"[]", b'{"code": 1}', b"\xff"):
        (folder / FILE_NAME).write_bytes(junk)
        assert last_failure(folder) is None


def test_a_broken_configuration(folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text() + '\n[network]\nlisten = "nowhere"\n')
    found = examine_folder(folder)
    assert _codes(found) == ["CONFIG_WRONG"] and "config.toml" in found[0].text
    shutil.copy(folder / GENESIS, config)
    assert _codes(examine_folder(folder)) == ["CONFIG_WRONG"]
    assert api_url(folder) is None


def test_an_exposed_key_file(folder: Path) -> None:
    (folder / CONSENSUS_KEY).chmod(0o644)
    (found,) = examine_folder(folder)
    assert found.code == "CONFIG_WRONG" and "chmod 600" in found.text


@pytest.mark.parametrize("file", [NETWORK_KEY, CONSENSUS_KEY])
def test_a_missing_key(folder: Path, file: Path) -> None:
    (folder / file).unlink()
    found = examine_folder(folder)
    assert found[0].code in ("KEY_UNUSABLE", "CONFIG_WRONG")
    wrong = next(one for one in found if one.code == "KEY_UNUSABLE")
    assert file.name in wrong.text and "votes/ never" in wrong.action


def test_a_wrong_passphrase(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANSA_PASSPHRASE", "another one")
    (found,) = examine_folder(folder)
    assert found.code == "KEY_UNUSABLE" and "WRONG_PASSPHRASE" in found.text
    assert "another one" not in json.dumps(found.to_json())


def test_without_a_passphrase_at_hand_the_keys_are_taken_on_trust(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANSA_PASSPHRASE")
    assert _codes(examine_folder(folder)) == ["PROCESS_DOWN"]


def test_an_unusable_genesis_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("HANSA_PASSPHRASE", PASSPHRASE)
    (folder / GENESIS).write_bytes(b"{}")
    found = examine_folder(folder)
    assert found[0].code == "GENESIS_UNUSABLE" and "chain id" in found[0].action


def test_a_lost_and_a_wrong_vote_log(folder: Path) -> None:
    log = folder / VOTES / "votes.log"
    whole = log.read_bytes()
    log.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found = examine_folder(folder)
    assert _codes(found) == ["PROCESS_DOWN", "VOTE_LOG_LOST"]
    assert "Just start it" in found[1].action and "backup" in found[1].action
    log.unlink()
    assert _codes(examine_folder(folder)) == ["PROCESS_DOWN", "VOTE_LOG_LOST"]
    other = folder.parent / "other"
    init_folder(other, PASSPHRASE, name="other", validator=True, config={}, cost=CHEAP)
    shutil.copy(other / VOTES / "votes.log", log)
    found = examine_folder(folder)
    assert _codes(found) == ["VOTE_LOG_WRONG"] and "VOTE_LOG_FOREIGN" in found[0].text
    assert log.read_bytes() == (other / VOTES / "votes.log").read_bytes()
    assert key_info(folder / CONSENSUS_KEY).key != key_info(other / CONSENSUS_KEY).key


def test_a_taken_port(folder: Path) -> None:
    url = api_url(folder)
    assert url is not None
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        (found,) = examine_folder(folder)
    assert found.code == "PORT_TAKEN" and "the API" in found.text
    assert f"process {os.getpid()}" in found.text


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(40 << 30, 40 << 30, 4096))
    note_failure(folder, LocalFault("DISK_FULL", "no space left"))
    found = examine_folder(folder)
    assert _codes(found) == ["DISK_FULL_SOON", "PROCESS_FAILED"]
    assert "0 MiB of 40 GiB" in found[0].text


def test_a_process_that_runs_and_does_not_answer(folder: Path) -> None:
    lock = FolderLock(folder)
    lock.acquire()
    try:
        (found,) = examine_folder(folder)
    finally:
        lock.release()
    assert found.code == "PROCESS_SILENT" and f"process {os.getpid()} runs" in found.text
    assert "Don't remove the file lock" in found.action
    assert _codes(examine_folder(folder)) == ["PROCESS_DOWN"]


def test_a_frozen_process(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from node.files import FolderLock;"
        "FolderLock(Path(sys.argv[1])).acquire(); print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            holder.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
            (found,) = examine_folder(folder)
        finally:
            holder.kill()
    assert found.code == "PROCESS_SILENT" and "frozen" in found.text
    assert f"kill -CONT {holder.pid}" in found.action
