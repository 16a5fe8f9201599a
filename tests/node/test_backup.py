"""Backups: whole or refused, and a folder restored from one is what the node had."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError, LocalFault
from genesis.document import GenesisDocument
from node.care import archive
from node.care.archive import check
from node.care.backup import backup_folder, write_backup
from node.care.door import FILE_NAME, AdminDoor, ask, connect
from node.care.findings import nothing
from node.care.restore import restore
from node.setup import CHAIN, GENESIS, VAULT, VOTES
from node.store import schema
from node.store.mark import MarkedKV
from node.wal import create_vote_log
from tests.node.care_world import BLOCKS, codes, contents, copied, make_folder, write
from tests.node.support import OneChain, code_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a node's folder, a backup of it)"""
    base = tmp_path_factory.mktemp("backup")
    folder = base / "node"
    trio.run(make_folder, folder)
    for name in ("ab" + 38 * "0", "cd" + 38 * "1"):
        path = folder / VAULT / name[:2] / name
        path.parent.mkdir(parents=True)
        path.write_bytes(sha256(name.encode()) * 5)
    (folder / VAULT / "key-check").write_bytes(bytes(range(56)))
    create_vote_log(folder / VOTES, bytes(32))
    path, _ = backup_folder(folder, base / "one.hansa", node="n1", progress=nothing)
    return folder, path


def test_a_backup_has_everything_but_keys_and_votes(made: tuple[Path, Path]) -> None:
    folder, path = made
    found = check(path)
    assert (found.head.height, found.head.node, found.openings) == (BLOCKS, "n1", 2)
    assert found.pairs == len(contents(folder))
    assert path.stat().st_mode & 0o777 == 0o600
    names = {one.name for one in found.parts}
    assert {"head.json", "genesis.json", "vault/key-check"} < names
    assert not any("votes" in name or "key.json" in name for name in names)
    assert not [one for one in path.parent.iterdir() if one.name.endswith(".part")]


def test_nothing_is_overwritten_and_a_folder_gets_a_name(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, path = made
    assert code_of(backup_folder, folder, path, node="n1", progress=nothing) == "FILE_EXISTS"
    into, _ = backup_folder(folder, tmp_path, node="n1", progress=nothing)
    assert into.parent == tmp_path and into.name.startswith(f"n1-{BLOCKS:010}-")
    gone = tmp_path / "nowhere" / "one.hansa"
    assert code_of(backup_folder, folder, gone, node="n", progress=nothing) == "FILE_NOT_WRITABLE"


def test_a_restored_folder_is_what_the_node_had(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder, path = made
    done = restore(path, tmp_path / "new", nothing)
    assert done.checked is not None and not done.checked.findings
    assert (done.height, done.openings) == (BLOCKS, 2)
    assert contents(tmp_path / "new") == contents(folder)
    assert (tmp_path / "new" / GENESIS).read_bytes() == (folder / GENESIS).read_bytes()
    for one in (folder / VAULT).rglob("*"):
        if one.is_file():
            again = tmp_path / "new" / VAULT / one.relative_to(folder / VAULT)
            assert again.read_bytes() == one.read_bytes()
    assert not (tmp_path / "new" / VOTES).exists(), "a vote log is never restored"
    assert any("keys" in note for note in done.notes)
    assert code_of(restore, path, tmp_path / "new", nothing) == "RESTORE_OCCUPIED"


def test_a_vote_log_that_is_found_is_set_aside(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, path = made
    target = tmp_path / "node"
    create_vote_log(target / VOTES, bytes(32))
    done = restore(path, target, nothing, verify=False)
    assert not (target / VOTES).exists()
    assert (target / "retired" / "votes-before-restore-1" / "votes.log").is_file()
    assert any("set aside" in note for note in done.notes)
    kept = tmp_path / "kept"
    create_vote_log(kept / VOTES, bytes(32))
    restore(path, kept, nothing, keep_votes=True, verify=False)
    assert (kept / VOTES / "votes.log").is_file()


def test_an_earlier_height_is_executed_again(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, path = made
    done = restore(path, tmp_path / "node", nothing, height=5)
    assert done.checked is not None and not done.checked.findings
    assert (done.height, done.checked.height, done.checked.blocks) == (5, 5, 6)
    for height in (0, BLOCKS + 1):
        code = code_of(restore, path, tmp_path / "other", nothing, height=height)
        assert code == "RESTORE_HEIGHT"


def test_another_chains_folder_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder, path = made
    other = tmp_path / "node"
    other.mkdir()
    document = json.loads((folder / GENESIS).read_bytes())
    (other / GENESIS).write_text(json.dumps(document))
    assert code_of(restore, path, other, nothing, verify=False) == ""
    assert GenesisDocument.load(other / GENESIS).chain_id.hex() == check(path).head.chain_id
    forged = rewritten(path, tmp_path / "forged.hansa", chain_id="00" * 32)
    (other / CHAIN).rename(other / "away")
    assert code_of(restore, forged, other, nothing) == "BACKUP_FOREIGN"


def rewritten(path: Path, target: Path, **head: Any) -> Path:
    """The backup with another head, all digests made anew: as by somebody who knows how."""
    parts = list(archive.members(path))
    value = json.loads(parts[0][1]) | head
    with target.open("wb") as file:
        writer = archive.Writer(file, archive.Head(**value))
        for name, data in parts[1:-1]:
            if name.startswith("chain/"):
                writer.pairs([one for pair in archive.pairs_of(name, data) for one in pair])
            else:
                writer.file(name, data)
        writer.finish()
    return target


def test_newer_layouts_and_forms_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, path = made
    newer = rewritten(path, tmp_path / "a.hansa", layout=schema.LAYOUT_VERSION[0] + 1)
    assert code_of(restore, newer, tmp_path / "node", nothing) == "STORE_NEWER"
    form = rewritten(path, tmp_path / "b.hansa", format="hansa-backup/9")
    assert code_of(check, form) == "BACKUP_FORMAT"
    higher = rewritten(path, tmp_path / "c.hansa", height=BLOCKS + 1)
    assert code_of(restore, higher, tmp_path / "node", nothing) == "BACKUP_CORRUPT"


def test_a_backup_of_another_state_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Every checksum is right, but the values are not those that the validators signed."""
    folder, _ = made
    forged = copied(folder, tmp_path / "forged")
    key = [one for one in contents(forged) if one[:1] == b"s"][30]
    write(forged, [(key, b"\x01")])
    path, _ = backup_folder(forged, tmp_path / "forged.hansa", node="n1", progress=nothing)
    assert code_of(restore, path, tmp_path / "node", nothing) == "BACKUP_CORRUPT"
    assert not (tmp_path / "node" / CHAIN).exists()


def test_a_store_that_does_not_read_gives_no_backup(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = copied(made[0], tmp_path / "node")
    table = max((folder / CHAIN).glob("*.ldb"), key=lambda one: one.stat().st_size)
    raw = bytearray(table.read_bytes())
    raw[len(raw) // 2] ^= 1
    table.write_bytes(raw)
    target = tmp_path / "x.hansa"
    assert code_of(backup_folder, folder, target, node="n", progress=nothing) == "STORE_CORRUPT"
    assert [one for one in tmp_path.iterdir() if "hansa" in one.name] == []


def test_no_bit_and_no_length_of_a_backup_goes_unnoticed(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    """Flipped anywhere, it is refused, or what is read from it is the same: the padding of tar and
    its times and modes are nobody's data."""
    _, path = made
    raw = path.read_bytes()
    whole = check(path)
    target = tmp_path / "damaged.hansa"
    ignored = set(tar_padding(path))
    step = max(1, len(raw) // 150)
    refused = 0
    for at in range(0, len(raw), step):
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        target.write_bytes(changed)
        code = code_of(check, target)
        assert code in ("BACKUP_CORRUPT", "BACKUP_FORMAT") or at in ignored, (at, code)
        if code == "":
            assert check(target) == whole
        refused += code != ""
    assert refused > 100
    for size in range(0, len(raw) - 2 * 10240, len(raw) // 20):
        target.write_bytes(raw[:size])
        assert code_of(check, target) == "BACKUP_CORRUPT", size


def tar_padding(path: Path) -> list[int]:
    """Bytes of the tar file that are of no part's name, size or contents."""
    at: list[int] = []
    end = 0
    with tarfile.open(path) as tar:
        for info in tar:
            at += range(
                info.offset_data + info.size, -(-(info.offset_data + info.size) // 512) * 512
            )
            end = -(-(info.offset_data + info.size) // 512) * 512
    return [*at, *range(end, path.stat().st_size)]


def test_foreign_files_are_no_backups(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for raw in (b"", b"?" * 2000):
        path.write_bytes(raw)
        assert code_of(check, path) == "BACKUP_CORRUPT"
    for name in ("../x", "/etc/x", "vault/../../x", "chain/1"):
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"?"))
        assert code_of(check, path) == "BACKUP_CORRUPT"
    assert code_of(check, tmp_path / "none") == "FILE_NOT_READABLE"


# --- while the node runs -------------------------------------------------------------------------


async def test_a_backup_of_a_running_node_is_of_one_block(tmp_path: Path) -> None:
    """Blocks are committed while the copy is read: it shows the one it began with, whole."""
    folder = tmp_path / "node"
    await make_folder(folder, 4)
    kv = MarkedKV(folder / CHAIN)
    one = OneChain(kv=kv)
    one.numbers = 1_000
    view = kv.snapshot()
    await one.block([one.transaction() for _ in range(3)])
    path, made = write_backup(view, folder, tmp_path / "a", node="n", progress=nothing)
    view.close()
    kv.close()
    assert made.head.height == 4
    assert restore(path, tmp_path / "again", nothing).height == 4
    again = tmp_path / "again"
    assert await trio.to_thread.run_sync(lambda: codes(again, execute=True)) == set()


async def test_the_door_makes_a_backup_and_counts(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "node"
    folder.parent.mkdir()
    await make_folder(folder, 4)
    assert connect(folder) is None, "nobody runs"
    kv = MarkedKV(folder / CHAIN)
    told: list[tuple[str, int, int]] = []

    def asked(question: dict[str, Any]) -> dict[str, Any] | str:
        door = connect(folder)
        assert door is not None
        try:
            return ask(door, question, lambda *one: told.append(one))
        except LocalFault as fault:
            return fault.code

    async def thread(question: dict[str, Any]) -> dict[str, Any] | str:
        return await trio.to_thread.run_sync(lambda: asked(question))

    async with trio.open_nursery() as nursery:
        await nursery.start(AdminDoor(kv, folder, "n1").serve)
        assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
        made = await thread({"do": "backup", "out": str(tmp_path / "a.hansa")})
        assert isinstance(made, dict) and made["height"] == 4
        assert made["digest"] == check(tmp_path / "a.hansa").digest
        assert await thread({"do": "backup", "out": str(tmp_path / "a.hansa")}) == "FILE_EXISTS"
        assert await thread({"do": "backup", "out": "relative"}) == "ADMIN_REQUEST"
        assert await thread({"do": "anything"}) == "ADMIN_REQUEST"
        counted = await thread({"do": "stats"})
        assert isinstance(counted, dict) and counted["height"] == 4
        nursery.cancel_scope.cancel()
    assert not (folder / FILE_NAME).exists()
    kv.close()


async def test_the_door_is_for_the_nodes_own_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "node"
    await make_folder(folder, 1)
    kv = MarkedKV(folder / CHAIN)
    monkeypatch.setattr("node.care.door.OPERATORS", (os.getuid() + 1,))
    async with trio.open_nursery() as nursery:
        await nursery.start(AdminDoor(kv, folder, "n1").serve)
        door = connect(folder)
        assert door is not None
        with pytest.raises(LocalFault, match="own user") as caught:
            await trio.to_thread.run_sync(lambda: ask(door, {"do": "stats"}, nothing))
        assert caught.value.code == "ADMIN_REFUSED"
        nursery.cancel_scope.cancel()
    kv.close()


async def test_a_backup_ends_when_the_asker_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "node"
    await make_folder(folder, 2)
    kv = MarkedKV(folder / CHAIN)
    ended: list[str] = []
    begun, more = threading.Event(), threading.Event()

    def endless(*_: Any, stop: Any, **__: Any) -> Any:
        begun.set()
        while not stop():
            more.wait(0.01)
        ended.append("stopped")
        raise InputError("BACKUP_STOPPED", "given up")

    monkeypatch.setattr("node.care.door.write_backup", endless)
    async with trio.open_nursery() as nursery:
        await nursery.start(AdminDoor(kv, folder, "n1").serve)
        door = await trio.to_thread.run_sync(lambda: connect(folder))
        assert door is not None
        door.sendall(b'{"do": "backup", "out": "/nowhere/x"}\n')
        await trio.to_thread.run_sync(begun.wait)
        second = connect(folder)
        assert second is not None
        busy = {"do": "stats"}
        with pytest.raises(LocalFault, match="wait for it"):
            await trio.to_thread.run_sync(lambda: ask(second, busy, nothing))
        door.close()
        with trio.fail_after(30):
            while not ended:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    kv.close()
