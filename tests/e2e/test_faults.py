"""A node that can't go on: one error with its code, no traceback, nothing lost when mended."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client import Client
from cli.network import NodeSpec
from genesis.ceremony import seal
from genesis.document import GenesisDocument
from node.keystore import load_key, read_passphrase
from node.setup import CONSENSUS_KEY, GENESIS
from tests.e2e.support import Devnet, Ended, devnet, end_of, run_node, spawn_node, until

pytestmark = pytest.mark.e2e

LOCAL = 4
"""The exit code for what is wrong on this machine."""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("faults") / "net") as running:
        yield running


@pytest.fixture(scope="class")
def patient(net: Devnet) -> Iterator[NodeSpec]:
    """The full node, stopped; afterwards it must run as if nothing had been."""
    node = net.nodes[4]
    height = net.height(node)
    net.network.stop([node])
    yield node
    net.start(node)
    net.network.wait_ready([node])
    assert net.height(node) >= height
    net.equal_chains()


def ended(node: Ended, code: str) -> None:
    assert node.error == code, node.log
    assert node.code == LOCAL
    assert "Traceback" not in node.log


def folder(net: Devnet, node: NodeSpec) -> Path:
    return net.network.folder / node.name


class TestStarting:
    """What keeps the full node from starting, one after the other; then it goes on."""

    def test_wrong_passphrase(self, net: Devnet, patient: NodeSpec) -> None:
        wrong = {"HANSA_PASSPHRASE": "not this one", "HANSA_PASSPHRASE_FILE": ""}
        ended(run_node(net.network, patient, settings=wrong), "WRONG_PASSPHRASE")

    def test_several_mistakes_in_the_configuration(self, net: Devnet, patient: NodeSpec) -> None:
        wrong = {
            "HANSA_NETWORK_LISTEN": "nowhere",
            "HANSA_LOG_LEVEL": "loud",
            "HANSA_API_LISTEN": "x",
        }
        found = run_node(net.network, patient, settings=wrong)
        ended(found, "CONFIG_INVALID")
        for name in wrong:
            assert name in found.log

    def test_occupied_ports(self, net: Devnet, patient: NodeSpec) -> None:
        for port in (patient.p2p_port, patient.api_port):
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", port))
                other.listen()
                found = run_node(net.network, patient)
            ended(found, "PORT_IN_USE")
            assert str(port) in found.log

    @pytest.mark.parametrize("part", ["CURRENT", "MANIFEST"])
    def test_corrupted_store(self, net: Devnet, patient: NodeSpec, part: str) -> None:
        chain = folder(net, patient) / "chain"
        (target,) = chain.glob(f"{part}*")
        whole = target.read_bytes()
        target.write_bytes(b"\x00" * 7 + whole[7:] if part == "MANIFEST" else b"nonsense\n")
        try:
            ended(run_node(net.network, patient), "STORE_CORRUPT")
        finally:
            target.write_bytes(whole)

    def test_a_node_with_another_genesis(self, net: Devnet, patient: NodeSpec) -> None:
        """Refused by its peers, who tell it why; then its new chain is foreign to the old one."""
        home = folder(net, patient)
        chain, own = home / "chain", (home / GENESIS).read_bytes()
        kept = chain.rename(home / "chain.kept")
        document = dataclasses.replace(net.network.document(), name="other", seals=())
        passphrase = read_passphrase(net.network.passphrase_file)
        for node in net.nodes[:4]:
            document = seal(document, load_key(folder(net, node) / CONSENSUS_KEY, passphrase))
        assert document.checked().chain_id != net.chain_id
        try:
            (home / GENESIS).write_bytes(document.file_bytes)
            assert GenesisDocument.load(home / GENESIS).sealed
            net.start(patient)

            def told(asked: NodeSpec, about: str) -> bool:
                peers = {one["name"]: one for one in net.status(asked)["peers"]}
                return (
                    not peers[about]["connected"]
                    and "another genesis" in peers[about]["last_error"]
                )

            for node in net.nodes[:4]:
                until(lambda: told(patient, node.name), f"{node.name} refused it")  # noqa: B023
                until(lambda: told(node, patient.name), f"{node.name} noted it")  # noqa: B023
            assert net.height(patient) == 0
            with Client(patient.url) as client:
                found = [one["code"] for one in client.doctor()["findings"]]
            assert found == ["CHAIN_DIFFERS"]
            net.network.stop([patient])
            log = (home / "node.log").read_text()
            assert "another genesis" in log and "Traceback" not in log
            (home / GENESIS).write_bytes(own)
            ended(run_node(net.network, patient), "STORE_FOREIGN")
        finally:
            net.network.stop([patient])
            (home / GENESIS).write_bytes(own)
            shutil.rmtree(chain, ignore_errors=True)
            kept.rename(chain)


def test_a_folder_in_use(net: Devnet) -> None:
    """A second process on a validator's folder would sign with the same key."""
    node = net.nodes[0]
    process = net.network.process(node)
    assert process is not None
    found = run_node(net.network, node)
    ended(found, "FOLDER_LOCKED")
    assert str(process.pid) in found.log


def test_a_key_in_use(net: Devnet) -> None:
    """So would one with the same key in another folder: a copy, or a backup that was restored."""
    node = net.nodes[0]
    process = net.network.process(node)
    assert process is not None
    copy = dataclasses.replace(node, name="copy")
    leave_out = shutil.ignore_patterns("chain", "lock", "node.log", "admin.sock")
    shutil.copytree(folder(net, node), folder(net, copy), ignore=leave_out)
    try:
        found = run_node(net.network, copy)
    finally:
        shutil.rmtree(folder(net, copy))
    ended(found, "KEY_IN_USE")
    assert str(process.pid) in found.log


@pytest.fixture
def voter(net: Devnet) -> Iterator[NodeSpec]:
    """A validator, stopped; mended by nothing but room on its disk it must vote again."""
    node = net.nodes[3]
    height = net.height(node)
    net.network.stop([node])
    yield node
    net.start(node)
    net.network.wait_ready([node])
    assert net.height(node) >= height
    assert net.status(node)["voting"]
    net.equal_chains()


def _work_until_it_ends(net: Devnet, process: subprocess.Popen[str], first: int) -> Ended:
    """Transactions at another node, so that the one to be filled has votes and blocks to write."""
    numbers = itertools.count(first)
    with Client(net.nodes[0].url) as client:

        def gone() -> bool:
            client.submit([net.transaction(next(numbers)) for _ in range(40)])
            return process.poll() is not None

        try:
            until(gone, "the disk is full")
        finally:
            found = end_of(process)
    return found


def test_a_file_that_may_not_grow(net: Devnet, voter: NodeSpec) -> None:
    """A quota on file sizes, which needs no rights to set: the vote log hits it first."""
    kb = (folder(net, voter) / "votes" / "votes.log").stat().st_size // 1024 + 256
    prefix = ("bash", "-c", f'ulimit -f {kb}; exec "$@"', "bash")
    process = spawn_node(net.network, voter, prefix=prefix)
    found = _work_until_it_ends(net, process, 50_000)
    assert found.error in ("VOTE_LOG_IO", "STORE_IO"), found.log
    ended(found, found.error)


def _may_mount() -> bool:
    try:
        done = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="this user may not mount a small disk")
def test_a_full_disk(net: Devnet, voter: NodeSpec, tmp_path: Path) -> None:
    """A disk of a few megabytes in a namespace of its own; what it held at the end is put back."""
    home = folder(net, voter)
    (home / "node.log").unlink(missing_ok=True)
    kb = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) // 1024 + 600
    script = (
        f'H={home}; C={tmp_path}; cp -a "$H" "$C/before" && mkdir "$C/after" &&'
        f' mount -t tmpfs -o size={kb}k tmpfs "$H" && cp -a "$C/before/." "$H/" || exit 99;'
        ' "$@"; code=$?; cp -a "$H/." "$C/after/"; exit $code'
    )
    prefix = ("unshare", "-rm", "bash", "-c", script, "bash")
    process = spawn_node(net.network, voter, prefix=prefix)
    ended(_work_until_it_ends(net, process, 60_000), "DISK_FULL")
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "after", home)
