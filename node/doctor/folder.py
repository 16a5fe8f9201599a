"""A node that does not answer, examined from its data folder. Nothing there is changed."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from consensus.primitives.errors import HansaError, InputError, LocalFault
from genesis.document import GenesisDocument
from node.config import NodeConfig, load
from node.doctor.case import age
from node.doctor.findings import DEGRADED, STOPPED, Finding, ordered
from node.doctor.own import disk_finding
from node.files import DurableFile
from node.keystore import find_passphrase, key_info, load_key
from node.last_words import last_failure
from node.setup import VOTES
from node.vitals import Disk
from node.wal import FILE_NAME as VOTE_LOG
from node.wal import VoteLog
from p2p.ports import format_address, parse_address

NEVER: Final = "Never take votes/ from a backup or another machine."
LOCK: Final = "lock"
REMEDIES: Final = {
    "DISK_FULL": "Make room (logs first; leave votes/, keys/ and chain/ alone), then start it.",
    "STORE_CORRUPT": f"Put chain/ away, keep votes/ and keys/, start it: it fetches the chain anew."
    f" {NEVER}",
    "STORE_IO": "Look at the disk's health (dmesg, smartctl), then start it.",
    "VOTE_LOG_IO": f"Look at the disk's health (dmesg, smartctl), then start it. {NEVER}",
    "DIVERGED": "docs/operations.md, Validators disagree: compare the software with the others',"
    " then start it again. Keep votes/ and keys/.",
    "DOUBLE_SIGN_PREVENTED": "Make sure that no other machine runs with this consensus key before"
    f" you start it again, and report it. {NEVER}",
    "RUNTIME_UNKNOWN": "Install the release that the consortium uses, then start it.",
    "STORE_FOREIGN": "This folder's chain/ is another chain's than genesis.json: use the right"
    " folder or document. Don't mix two chains' files.",
    "KEY_IN_USE": "Another process on this machine votes with this key. Find out which of the two"
    " is meant to; never run both.",
    "VOTE_FROM_REFUSED": "Start it without --vote-from.",
}


def examine_folder(folder: Path, passphrase_file: Path | None = None) -> list[Finding]:
    """Why the node in a folder does not run or answer, the cause first. ``passphrase_file`` is what
    it is started with, where its configuration does not tell."""
    return ordered(_examine(folder, passphrase_file))


def api_url(folder: Path) -> str | None:
    """Where its API should answer; None without a usable configuration."""
    try:
        host, port = parse_address(load(folder, check_files=False).api.listen, listening=True)
    except HansaError:
        return None
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://{format_address(host, port)}"


def _examine(folder: Path, passphrase_file: Path | None) -> Iterator[Finding]:
    name = folder.absolute().name
    pid = _holder(folder)
    if (disk := _disk(folder)) is not None:
        full = disk_finding(name, disk, runs=pid is not None)
        if full is not None:
            yield full
    if pid is not None:
        yield _silent(name, pid)
        return
    yield _down(folder, name)
    try:
        config = load(folder, check_files=False)
    except InputError as error:
        yield _wrong("CONFIG_WRONG", name, error, "Correct config.toml, then start it.")
        return
    yield from _genesis(config, name)
    yield from _keys(config, name, passphrase_file)
    yield from _vote_log(config, name)
    yield from _ports(config, name)
    try:
        load(folder)
    except InputError as error:
        yield _wrong("CONFIG_WRONG", name, error, "Correct what is named, then start it.")


def _wrong(code: str, name: str, error: HansaError, action: str) -> Finding:
    return Finding(code, STOPPED, f"{name} can't start: {error}", action, (name,))


def _disk(folder: Path) -> Disk | None:
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        return Disk(usage.free, usage.total)
    return None


def _holder(folder: Path) -> int | None:
    """The process that holds the folder's lock, if one does; 0 if it can't be told which."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(handle, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(handle)
    return None


def _silent(name: str, pid: int) -> Finding:
    state = "unknown"
    with contextlib.suppress(psutil.Error):
        state = psutil.Process(pid).status()
    if state == psutil.STATUS_STOPPED:
        text, action = "is frozen (SIGSTOP, or a debugger)", f"kill -CONT {pid}"
    elif state == psutil.STATUS_DISK_SLEEP:
        text, action = "waits for its disk", "Look at the disk's health (dmesg, smartctl)"
    else:
        text = f"runs (state: {state}), but its API does not answer"
        action = (
            f"See its log. A large chain takes a while to open; else stop it (kill {pid}, not -9:"
            " though nothing would be lost) and start it again"
        )
    return Finding(
        "PROCESS_SILENT",
        STOPPED,
        f"{name}: process {pid or 'unknown'} {text}.",
        f"{action}. Don't remove the file lock, and don't start a second process.",
        (name,),
    )


def _down(folder: Path, name: str) -> Finding:
    words = last_failure(folder)
    if words is None:
        return Finding(
            "PROCESS_DOWN",
            STOPPED,
            f"{name} does not run. It was stopped on purpose, killed, or its machine was restarted:"
            " it left no error behind.",
            f"Start it: {_start(folder)}. It catches up and votes by itself. Don't run the same"
            " keys on another machine meanwhile.",
            (name,),
        )
    ago = age(max(0, time.time_ns() // 1_000_000 - words.time_ms))
    return Finding(
        "PROCESS_FAILED",
        STOPPED,
        f"{name} ended {ago} ago with {words.code}: {words.message}",
        REMEDIES.get(words.code, f"docs/errors.md tells what to do about {words.code}."),
        (name,),
    )


def _start(folder: Path) -> str:
    in_devnet = (folder.parent / "devnet.json").exists()
    return (
        f"hansa devnet up --dir {folder.parent}" if in_devnet else f"hansa node run --data {folder}"
    )


def _genesis(config: NodeConfig, name: str) -> Iterator[Finding]:
    try:
        GenesisDocument.load(config.genesis_path)
    except HansaError as error:
        yield _wrong(
            "GENESIS_UNUSABLE",
            name,
            error,
            "Copy genesis.json from another member and compare its chain id by another way than it"
            " came (hansa genesis show).",
        )


def _keys(config: NodeConfig, name: str, passphrase_file: Path | None) -> Iterator[Finding]:
    paths = [config.network_key_path]
    if config.node.role == "validator":
        paths.append(config.consensus_key_path)
    try:
        for path in paths:
            key_info(path)
    except HansaError as error:
        yield _wrong(
            "KEY_UNUSABLE",
            name,
            error,
            "Put the key's own backup back; keys may be restored so, votes/ never. A key that is"
            " lost is replaced by vote (docs/operations.md): don't make a new one in its place.",
        )
        return
    try:
        passphrase = find_passphrase(config.passphrase_path or passphrase_file)
    except HansaError as error:
        if error.code != "PASSPHRASE_MISSING":  # given at the terminal when it starts
            yield _wrong("KEY_UNUSABLE", name, error, "Mend the file with the passphrase.")
        return
    try:
        for path in paths:
            load_key(path, passphrase)
    except HansaError as error:
        yield _wrong(
            "KEY_UNUSABLE", name, error, "Give the passphrase that this key was made with."
        )


class _OnlyRead:
    """A vote log's file that is looked at and left as it is."""

    def __init__(self, path: Path) -> None:
        self._file = DurableFile(path)

    def read(self) -> bytes | None:
        return self._file.read()

    def append(self, data: bytes) -> None:
        pass

    def replace(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def _vote_log(config: NodeConfig, name: str) -> Iterator[Finding]:
    if config.node.role != "validator":
        return
    try:
        VoteLog(
            _OnlyRead(config.folder / VOTES / VOTE_LOG), key_info(config.consensus_key_path).key
        )
    except LocalFault as error:
        if error.code in ("VOTE_LOG_MISSING", "VOTE_LOG_CORRUPT"):
            yield Finding(
                "VOTE_LOG_LOST",
                DEGRADED,
                f"{name}'s vote log can't be trusted: {error}. Started, it asks the others what it"
                " signed and votes again two heights later.",
                f"Just start it. {NEVER}",
                (name,),
                "rule 9",
            )
        else:
            yield _wrong("VOTE_LOG_WRONG", name, error, f"Put this key's own log back. {NEVER}")
    except InputError:
        return  # the key is told of already


def _ports(config: NodeConfig, name: str) -> Iterator[Finding]:
    for purpose, address in (("peers", config.network.listen), ("the API", config.api.listen)):
        host, port = parse_address(address, listening=True)
        if port and (holder := _listener(host, port)):
            yield Finding(
                "PORT_TAKEN",
                STOPPED,
                f"{name} can't start: {holder} listens on {address}, its address for {purpose}.",
                "Stop that process if it should not be there, or give the node another port."
                " If it is a node with the same keys, never run both.",
                (name,),
            )


def _listener(host: str, port: int) -> str:
    """Who has the port; "" if it is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return ""
        except OSError as error:
            holder = f"something ({os.strerror(error.errno or 0)})"
    with contextlib.suppress(psutil.Error, RuntimeError):
        for one in psutil.net_connections("inet"):
            if (
                one.status == psutil.CONN_LISTEN
                and one.laddr
                and one.laddr.port == port
                and one.pid
            ):
                return f"process {one.pid} ({psutil.Process(one.pid).name()})"
    return holder
