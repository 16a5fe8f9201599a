"""A network of real node processes on this machine: made, started, watched, stopped.

Everything lives in one folder: devnet.json (names and ports), genesis.json, a passphrase file that
only its owner may read, the organisations' keys, one data folder a node, and for each running node
a record of its process. A process is only ever signalled when its id, its start time and its
command line are those of a node of this folder: ids are used again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

import cli
from cli.sample_trade import Organisation
from cli.settings import DEVNET_FILE
from consensus.params import Params
from consensus.primitives.errors import InputError, LocalFault
from genesis.ceremony import Entry, add_entry, new_draft, seal
from genesis.document import FORMAT as GENESIS_FORMAT
from genesis.document import (
    GenesisDocument,
    GenesisOrganisation,
    GenesisPeer,
    GenesisValidator,
)
from node.config import default_text
from node.keystore import Cost, create_key, load_key, read_passphrase, write_whole
from node.setup import CONFIG, CONSENSUS_KEY, GENESIS, NETWORK_KEY, init_folder

if TYPE_CHECKING:
    from cli.client import Client
    from contracts.runtime.package import Package

FORMAT: Final = "hansa-devnet/1"
BASE_PORT = 27000  # the tests' processes have one each
PORT_BLOCK: Final = 100  # tried one after the other until one is free as a whole
PORT_BLOCKS_MAX: Final = 50
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
LOG: Final = "node.log"
# The devnet's passphrase is 128 random bits: guessing it needs no slowing down.
_COST: Final = Cost(passes=1, memory_bytes=1 << 20)

Say = Callable[[str], None]


@dataclass(frozen=True)
class NodeSpec:
    """One node: ``kind`` is "validator" or "full"; ports on loopback."""

    name: str
    kind: str
    organisation: str
    p2p_port: int
    api_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"


class Network:
    """The network in a folder. ``say`` takes a line of progress."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder.resolve()
        self.say = say

    # --- what there is ---------------------------------------------------------------------

    @property
    def made(self) -> bool:
        return (self.folder / DEVNET_FILE).exists()

    def nodes(self) -> list[NodeSpec]:
        """Raises InputError DEVNET_MISSING or DEVNET_INVALID."""
        try:
            value = json.loads((self.folder / DEVNET_FILE).read_bytes())
            if value["format"] != FORMAT:
                raise ValueError(f"not {FORMAT}")
            return [NodeSpec(**one) for one in value["nodes"]]
        except FileNotFoundError:
            raise InputError(
                "DEVNET_MISSING", f"there is no devnet in {self.folder}: hansa devnet up"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError("DEVNET_INVALID", f"{self.folder / DEVNET_FILE}: {error}") from None

    def node(self, number: int) -> NodeSpec:
        """The node with this number, from 1. Raises InputError UNKNOWN_NODE."""
        nodes = self.nodes()
        if not 1 <= number <= len(nodes):
            raise InputError("UNKNOWN_NODE", f"there are nodes 1 to {len(nodes)}")
        return nodes[number - 1]

    @property
    def outdated(self) -> bool:
        """Whether its genesis document has another release's form."""
        try:
            value = json.loads((self.folder / GENESIS).read_bytes())
        except (OSError, ValueError):
            return False  # document() says what is wrong
        return isinstance(value, dict) and value.get("format") != GENESIS_FORMAT

    def document(self) -> GenesisDocument:
        return GenesisDocument.load(self.folder / GENESIS)

    @property
    def passphrase_file(self) -> Path:
        return self.folder / "passphrase"

    def organisation_key(self, organisation: str) -> Path:
        """The key file of an organisation's administrator."""
        return self.folder / "organisations" / f"{organisation}.key.json"

    def organisation_seed(self, organisation: str) -> bytes:
        """The organisation's secret seed, to sign in its name."""
        return load_key(self.organisation_key(organisation), read_passphrase(self.passphrase_file))

    def urls(self) -> list[str]:
        return [node.url for node in self.nodes()]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time changes the network. Raises InputError DEVNET_BUSY."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        path = self.folder.with_name(f"{self.folder.name}.lock")
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    "DEVNET_BUSY", f"another command is at work on {self.folder}"
                ) from None
            yield

    # --- making ----------------------------------------------------------------------------

    def make(
        self,
        organisations: Sequence[Organisation],
        params: Params,
        contracts: Sequence[Package] = (),
    ) -> None:
        """Keys, sealed genesis document and data folders for four validators and a full node; in
        the crash fault model for three and two. ``contracts`` come beside the built-in ones.

        The organisations run the nodes in turn. Made beside the folder and moved there as a whole,
        so that an interrupted run leaves nothing half-made.
        """
        scratch = self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}")
        ports = free_ports(10)
        validators = 3 if params.fault_model == "crash" else 4
        nodes = [
            NodeSpec(
                f"node{index + 1}",
                "validator" if index < validators else "full",
                organisations[index % len(organisations)].id,
                ports[5 + index],
                ports[index],
            )
            for index in range(5)
        ]
        try:
            scratch.mkdir(parents=True)
            self._fill(scratch, organisations, nodes, params, contracts)
            self.remove()
            scratch.rename(self.folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _fill(
        self,
        folder: Path,
        organisations: Sequence[Organisation],
        nodes: Sequence[NodeSpec],
        params: Params,
        contracts: Sequence[Package],
    ) -> None:
        from contracts.runtime.registry import builtin_packages
        from node.code_cache import use_code_cache

        passphrase = secrets.token_hex(16)
        write_whole(folder / "passphrase", f"{passphrase}\n".encode())
        members, admins = {}, {}
        for one in organisations:
            path = folder / "organisations" / f"{one.id}.key.json"
            info = create_key(path, passphrase, kind="account", name=one.id, cost=_COST)
            admins[one.id] = load_key(path, passphrase)
            members[one.id] = GenesisOrganisation(one.id, one.name, one.roles, info.key)
        time_ms = time.time_ns() // 1_000_000
        use_code_cache()  # the nodes find there what is compiled here
        document = new_draft("devnet", time_ms, params, (*builtin_packages(), *contracts))
        seeds = {}
        for node in nodes:
            keys = init_folder(
                folder / node.name,
                passphrase,
                name=node.name,
                validator=node.kind == "validator",
                config=node_config(node),
                cost=_COST,
            )
            own = {"admin": admins[node.organisation]}
            own["network"] = load_key(folder / node.name / NETWORK_KEY, passphrase)
            addresses = (f"127.0.0.1:{node.p2p_port}",)
            validator = peer = None
            if node.kind == "validator":
                own["consensus"] = load_key(folder / node.name / CONSENSUS_KEY, passphrase)
                validator = GenesisValidator(
                    node.name, node.organisation, keys["consensus"].key, keys["network"].key,
                    addresses,
                )  # fmt: skip
            else:
                peer = GenesisPeer(
                    node.name, node.organisation, node.kind, keys["network"].key, addresses
                )
            seeds[node.name] = own
            entry = Entry("devnet", members[node.organisation], validator, peer, {}).signed(own)
            document = add_entry(document, entry)
        for one in organisations:
            entry = Entry("devnet", members[one.id], None, None, {})
            document = add_entry(document, entry.signed({"admin": admins[one.id]}))
        for node in nodes:
            if node.kind == "validator":
                document = seal(document, seeds[node.name]["consensus"])
        document.checked()
        write_whole(folder / GENESIS, document.file_bytes, mode=0o644)
        for node in nodes:
            write_whole(folder / node.name / GENESIS, document.file_bytes, mode=0o644)
        self._note(folder, nodes)

    def add_node(self, name: str, organisation: str) -> NodeSpec:
        """One node more, with a validator's keys. Its peers refuse it until it is admitted by vote.

        Raises InputError NODE_KNOWN.
        """
        nodes = self.nodes()
        if any(one.name == name for one in nodes) or (self.folder / name).exists():
            raise InputError("NODE_KNOWN", f"{self.folder} has a node {name} already")
        used = [port for one in nodes for port in (one.p2p_port, one.api_port)]
        p2p_port, api_port = free_ports(2, max(used) + 1)
        node = NodeSpec(name, "validator", organisation, p2p_port, api_port)
        config = node_config(node)
        config["network"]["peers"] = {one.name: f"127.0.0.1:{one.p2p_port}" for one in nodes}
        passphrase = read_passphrase(self.passphrase_file)
        init_folder(
            self.folder / name, passphrase, name=name, validator=True, config=config, cost=_COST
        )
        write_whole(self.folder / name / GENESIS, self.document().file_bytes, mode=0o644)
        self._note(self.folder, [*nodes, node])
        return node

    def move_off_occupied_ports(self) -> None:
        """Give a stopped network other ports if somebody has taken one of its; the chain stays.

        The genesis document keeps the old addresses; each node's configuration overrides them.
        """
        nodes = self.nodes()
        taken = [
            port for node in nodes for port in (node.p2p_port, node.api_port) if not port_free(port)
        ]
        if not taken or any(self.process(node) for node in nodes):
            return
        ports = free_ports(2 * len(nodes))
        self.say(
            f"Port {taken[0]} is occupied by {port_holder(taken[0])};"
            f" this network moves to {ports[0]} and following"
        )
        moved = [
            replace(node, api_port=ports[index], p2p_port=ports[len(nodes) + index])
            for index, node in enumerate(nodes)
        ]
        peers = {node.name: f"127.0.0.1:{node.p2p_port}" for node in moved}
        for node in moved:
            config = node_config(node)
            config["network"]["peers"] = {k: v for k, v in peers.items() if k != node.name}
            path = self.folder / node.name / CONFIG
            write_whole(path, default_text(config).encode(), replace=True)
        self._note(self.folder, moved)

    def _note(self, folder: Path, nodes: Sequence[NodeSpec]) -> None:
        summary = {"format": FORMAT, "nodes": [asdict(node) for node in nodes]}
        text = json.dumps(summary, indent=2) + "\n"
        write_whole(folder / DEVNET_FILE, text.encode(), replace=True)

    def remove(self) -> None:
        """Delete the folder, if it holds a devnet or nothing. Raises InputError DEVNET_FOREIGN."""
        if not self.folder.exists():
            return
        if not self.made and any(self.folder.iterdir()):
            raise InputError(
                "DEVNET_FOREIGN", f"{self.folder} holds something else; it is left as it is"
            )
        shutil.rmtree(self.folder)

    # --- processes -------------------------------------------------------------------------

    def process(self, node: NodeSpec) -> psutil.Process | None:
        """The node's running process, or None."""
        try:
            record = json.loads(self._record(node).read_bytes())
            process = psutil.Process(int(record["pid"]))
            if abs(process.create_time() - float(record["started"])) < 2 and self._is(
                process, node
            ):
                return process
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            pass
        # A run that was interrupted before it could note the process, or a node run by hand.
        for process in psutil.process_iter():
            if self._is(process, node):
                return process
        return None

    def _is(self, process: psutil.Process, node: NodeSpec) -> bool:
        with contextlib.suppress(psutil.Error):
            return (
                process.cmdline()[1:] == self._command(node)[1:]
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False

    def _command(self, node: NodeSpec) -> list[str]:
        data = str(self.folder / node.name)
        return [sys.executable, "-m", "cli.main", "node", "run", "--data", data]

    def _record(self, node: NodeSpec) -> Path:
        return self.folder / "run" / f"{node.name}.json"

    def start(self, node: NodeSpec) -> bool:
        """Start the node unless it runs already; returns whether it had to be started.

        Raises InputError PORT_OCCUPIED, saying by whom.
        """
        if self.process(node) is not None:
            return False
        for port in (node.p2p_port, node.api_port):
            if not port_free(port):
                raise InputError(
                    "PORT_OCCUPIED",
                    f"{node.name} needs 127.0.0.1:{port}, which {port_holder(port)} occupies: stop"
                    " that, or stop the whole network and start it on other ports",
                )
        # The node's settings are those of its folder, whatever the caller's environment says.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HANSA_")}
        # Five nodes that each compile every module anew take half a minute to start.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["HANSA_PASSPHRASE_FILE"] = str(self.passphrase_file)
        source = str(Path(cli.__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (source, environment.get("PYTHONPATH")))
        )
        with (self.folder / node.name / LOG).open("ab") as log:
            child = subprocess.Popen(
                self._command(node),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder / node.name,
                start_new_session=True,  # Ctrl-C is for the command, which then stops the nodes
            )
        _children[child.pid] = child
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(child.pid).create_time()
            record = json.dumps({"pid": child.pid, "started": started})
            write_whole(self._record(node), record.encode(), replace=True)
        return True

    def stop(self, nodes: Sequence[NodeSpec], *, kill: bool = False) -> list[str]:
        """SIGTERM, and SIGKILL after a while (at once with ``kill``); returns who was stopped."""
        running = {node: process for node in nodes if (process := self.process(node))}
        for process in running.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill() if kill else process.terminate()
        _, alive = psutil.wait_procs(list(running.values()), timeout=STOP_TIMEOUT_S)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)
        for node in nodes:
            self._record(node).unlink(missing_ok=True)
        for process in running.values():
            if (child := _children.pop(process.pid, None)) is not None:
                child.wait()
        return [node.name for node in running]

    def wait_ready(self, nodes: Sequence[NodeSpec]) -> None:
        """Until every node is in touch with enough of the others; a line for each.

        Raises LocalFault NODE_STOPPED with the end of the log of one that ended, and InputError
        NODE_NOT_READY.
        """
        self._wait(nodes, "ready", lambda client: client.ready())

    def wait_answering(self, nodes: Sequence[NodeSpec]) -> None:
        """Until every node's API answers, though it may be alone. Raises as wait_ready."""
        self._wait(nodes, "running", lambda client: bool(client.node_status()))

    def _wait(
        self, nodes: Sequence[NodeSpec], what: str, reached: Callable[[Client], bool]
    ) -> None:
        from cli.client import Client, ClientError

        waiting = list(nodes)
        deadline = time.monotonic() + START_TIMEOUT_S
        while waiting:
            for node in list(waiting):
                if self.process(node) is None:
                    raise LocalFault(
                        "NODE_STOPPED", f"{node.name} ended by itself:\n{self.log_end(node)}"
                    )
                with contextlib.suppress(ClientError), Client(node.url, timeout_s=2) as client:
                    if reached(client):
                        waiting.remove(node)
                        self.say(f"  {node.name} is {what} at {node.url}")
            if time.monotonic() > deadline:
                names = ", ".join(node.name for node in waiting)
                raise InputError(
                    "NODE_NOT_READY",
                    f"not {what} after {START_TIMEOUT_S:.0f} s: {names};"
                    f" see {self.folder / waiting[0].name / LOG}",
                )
            if waiting:
                time.sleep(0.1)

    def log_end(self, node: NodeSpec, lines: int = 8) -> str:
        """The last lines that the node wrote."""
        with contextlib.suppress(OSError), (self.folder / node.name / LOG).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            text = file.read().decode("utf-8", "replace").splitlines()
            return "\n".join(f"  {line}" for line in text[-lines:])
        return "  (no log)"


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Nodes started by this very process, which has to take note of their end."""


def node_config(node: NodeSpec) -> dict[str, dict[str, Any]]:
    """What stands in the node's config.toml."""
    return {
        "node": {"role": node.kind, "name": node.name},
        "network": {"listen": f"127.0.0.1:{node.p2p_port}"},
        "api": {"listen": f"127.0.0.1:{node.api_port}"},
    }


def free_ports(count: int, beside: int | None = None) -> list[int]:
    """``count`` following ports of loopback, from the first block where all are free. A network
    keeps to its block: ``beside`` is where in a block to look, and the first block."""
    for block in range(PORT_BLOCKS_MAX):
        first = (beside or BASE_PORT + 1) + block * PORT_BLOCK
        ports = list(range(first, first + count))
        if all(map(port_free, ports)):
            return ports
    raise InputError(
        "PORT_OCCUPIED", f"no {count} free ports together above {BASE_PORT} on 127.0.0.1"
    )


def port_free(port: int) -> bool:
    """Whether a server may listen there; one that has just been closed does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str:
    """Who listens there, as far as this user may know."""
    with contextlib.suppress(psutil.Error, RuntimeError):
        for one in psutil.net_connections("inet"):
            if (
                one.status == psutil.CONN_LISTEN
                and one.laddr
                and one.laddr.port == port
                and one.pid
            ):
                return f"process {one.pid} ({psutil.Process(one.pid).name()})"
    return "another process"
