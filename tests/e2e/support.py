"""Real networks for end-to-end tests: five processes on loopback, their chains compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cli.client import Client, ClientError, make_transaction
from cli.network import Network, NodeSpec
from cli.sample_trade import Organisation, load_sample_trade
from consensus.params import Params
from consensus.primitives.codec import data_from_json
from consensus.primitives.crypto import public_key, sha256
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.package import Package

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
"""For anything that takes a second on an idle machine."""
PARAMS = Params(empty_block_interval_ms=2_000, round_timeout_ms=1_000)


def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Asks until it is so; what the nodes do not answer meanwhile counts as no."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(ClientError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}")


@dataclass
class Devnet:
    """A running network and what tests ask of it."""

    network: Network
    organisations: tuple[Organisation, ...]
    seeds: dict[str, bytes]
    chain_id: bytes
    steps_max: int = 5_000_000
    """Of a single call: a contract's source is checked while it is proposed."""

    @property
    def nodes(self) -> list[NodeSpec]:
        return self.network.nodes()

    def status(self, node: NodeSpec) -> dict[str, Any]:
        with Client(node.url, timeout_s=5) as client:
            return client.node_status()

    def height(self, node: NodeSpec) -> int:
        return int(self.status(node)["height"])

    def kill(self, *nodes: NodeSpec) -> None:
        """kill -9"""
        self.network.stop(nodes, kill=True)

    def start(self, *nodes: NodeSpec) -> None:
        for node in nodes:
            self.network.start(node)

    def advance(self, node: NodeSpec, blocks: int) -> None:
        """Wait until a node has committed so many more blocks."""
        goal = self.height(node) + blocks
        until(lambda: self.height(node) >= goal, f"{node.name} at height {goal}")

    def level(self) -> int:
        """Wait until every node has the highest block of any; returns its height."""
        goal = max(self.height(node) for node in self.nodes)
        for node in self.nodes:
            until(lambda node=node: self.height(node) >= goal, f"{node.name} at {goal}")  # type: ignore[misc]
        return goal

    def chain(self, node: NodeSpec, height: int) -> list[dict[str, Any]]:
        """Blocks up to ``height`` as a node shows them, from the first that it keeps."""
        with Client(node.url) as client:
            first = client.node_status()["blocks_from"]
            return [client.block(one) for one in range(first, height + 1)]

    def equal_chains(self) -> list[dict[str, Any]]:
        """Waits for all nodes, asserts that their chains are one, and returns it."""
        height = self.level()
        chains = [self.chain(node, height) for node in self.nodes]
        assert len(chains[0]) == height + 1, "the first node has every block"
        for other in chains[1:]:
            for ours, theirs in zip(chains[0][-len(other) :], other, strict=True):
                assert ours["hash"] == theirs["hash"]
                assert ours["header"]["state_root"] == theirs["header"]["state_root"]
                assert (ours["txs"], ours["due"]) == (theirs["txs"], theirs["due"])
        return chains[0]

    def transaction(
        self, number: int, *, valid_for_ms: int = 120_000, chain_id: bytes | None = None
    ) -> Transaction:
        """A new key for one of the organisations, in turn."""
        seed = self.seeds[self.organisations[number % len(self.organisations)].id]
        key = public_key(sha256(f"key {number}".encode()))
        call = Call("identity", "add_key", {"key": key, "label": f"key {number}", "roles": []})
        body = TransactionBody(
            1,
            chain_id or self.chain_id,
            public_key(seed),
            (call,),
            time.time_ns() // 1_000_000 + valid_for_ms,
            1_000_000,
            number.to_bytes(16, "big"),
        )
        return body.signed(seed)

    def call(self, organisation: str, contract: str, method: str, /, **args: Any) -> Any:
        """One call in an organisation's name; its result, once it is committed."""
        seed, calls = self.seeds[organisation], [(contract, method, args)]
        tx = make_transaction(seed, self.chain_id, calls, steps_max=self.steps_max)
        with Client(self.network.urls()) as client:
            (outcome,) = client.submit_and_wait([tx], timeout_s=PATIENCE_S)
            outcome.require()
            return data_from_json(client.tx_status(tx.tx_id)["result"])[0]

    def ask(self, node: NodeSpec, contract: str, method: str, /, **args: Any) -> Any:
        """A query at one node."""
        with Client(node.url) as client:
            return client.query(contract, method, args).value

    def decide(self, what: str, /, **args: Any) -> int:
        """Propose, and vote for all validators' organisations until it is decided; returns the
        height from which on it counts."""
        voters = self.ask(self.nodes[0], "governance", "validator_list")
        organisations = list(dict.fromkeys(one["organisation"] for one in voters))
        proposal = self.call(organisations[0], "governance", f"propose_{what}", **args)
        for one in organisations:
            if self.call(one, "governance", "vote", proposal=proposal, yes=True) == "ACCEPTED":
                break
        found = self.ask(self.nodes[0], "governance", "proposal", proposal=proposal)
        assert found["status"] in ("ACCEPTED", "ACTIVE"), found
        height = int(found["in_force"])
        until(lambda: self.height(self.nodes[0]) >= height, f"{what} in force at {height}")
        return height

    def deploy(self, package: Package) -> int:
        """Upload a contract and vote it in; returns the height from which on it runs."""
        voters = self.ask(self.nodes[0], "governance", "validator_list")
        files = []
        for file in package.files:
            digest = self.call(voters[0]["organisation"], "governance", "upload", text=file.text)
            files.append({"path": file.path, "hash": digest})
        return self.decide(
            "contract",
            name=package.name,
            version=package.version,
            runtime=package.runtime,
            files=files,
        )


@contextmanager
def devnet(
    folder: Path,
    params: Params = PARAMS,
    *,
    start: bool = True,
    organisations: tuple[Organisation, ...] | None = None,
) -> Iterator[Devnet]:
    """Four validators and a full node in a folder; stopped at the end, whatever happens."""
    organisations = organisations or load_sample_trade().organisations
    network = Network(folder, lambda _line: None)
    network.make(organisations, params)
    seeds = {one.id: network.organisation_seed(one.id) for one in organisations}
    try:
        if start:
            for node in network.nodes():
                network.start(node)
            network.wait_ready(network.nodes())
        yield Devnet(network, organisations, seeds, network.document().chain_id)
    finally:
        network.stop(network.nodes())


@dataclass
class Ended:
    """How a node's process ended."""

    code: int
    log: str

    @property
    def error(self) -> str:
        """The code of its last error line."""
        lines = [line for line in self.log.splitlines() if line.startswith("error: ")]
        assert lines, f"no error line, exit code {self.code}: {self.log}"
        return lines[-1].split(": ")[1]


def spawn_node(
    network: Network,
    node: NodeSpec,
    *,
    settings: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """A node's process outside the network's care, its output in a pipe."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANSA_")}
    environment["HANSA_PASSPHRASE_FILE"] = str(network.passphrase_file)
    environment["PYTHONPATH"] = str(ROOT)
    environment |= settings or {}
    command = [*prefix, sys.executable, "-m", "cli.main", "node", "run", "--data"]
    return subprocess.Popen(
        [*command, str(network.folder / node.name)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )


@contextmanager
def light_node(folder: Path, network: Network) -> Iterator[str]:
    """The address of a light node in a process of its own; stopped at the end, cleanly."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANSA_")}
    environment["HANSA_PASSPHRASE_FILE"] = str(network.passphrase_file)
    environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "light", "run", str(folder), "--listen", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("The light node answers at "), line
        yield line.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def end_of(process: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> Ended:
    """Wait for a node that is expected to end by itself; returns how."""
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        for one in psutil.Process(process.pid).children(recursive=True):
            one.kill()
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"the node did not end by itself:\n{output}") from None
    return Ended(process.returncode, output)


def run_node(network: Network, node: NodeSpec, *, settings: dict[str, str] | None = None) -> Ended:
    """Run a node that is expected to end by itself; returns how."""
    return end_of(spawn_node(network, node, settings=settings))


def hansa(network: Network, *arguments: object, code: int = 0) -> Any:
    """The JSON that the command prints in a process of its own; None if it refused."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANSA_")}
    environment["HANSA_PASSPHRASE_FILE"] = str(network.passphrase_file)
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    assert done.returncode == code, (done.returncode, done.stderr[-2000:])
    return json.loads(done.stdout) if done.stdout else None
