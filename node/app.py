"""The node as a process: real ports under :class:`node.node.Node`, signals, and one way to stop."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import random
import signal
import sys
from contextlib import ExitStack
from typing import Any, Final

import trio

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError, InputError, LocalFault
from genesis.document import GenesisDocument
from node import log
from node.api.access import open_access
from node.api.app import make_app
from node.api.peers import PeerApi
from node.api.server import serve_api
from node.care.door import AdminDoor
from node.clock import SystemClock, ThreadBlocking
from node.code_cache import use_code_cache
from node.config import NodeConfig
from node.files import DurableFile, FolderLock, KeyLock, ReportFolder, io_fault
from node.keystore import create_key, load_key
from node.last_words import forget_failure, note_failure
from node.mempool import Mempool
from node.node import Node, Ports, Voter
from node.proving import Prover
from node.service import LocalService, not_admitted, software_version
from node.setup import CHAIN, NEXT_KEY, NEXT_VOTES, SNAPSHOTS, VAULT, VOTES
from node.snapshot.serving import Snapshots
from node.store.mark import MarkedKV
from node.tape import TapeFiles
from node.vault.desk import Desk
from node.vault.store import VaultStore
from node.vault.vault import Keeping
from node.wal import FILE_NAME
from node.workers import InlineVerifier, VerifyPool
from p2p.host import Host, HostConfig
from p2p.ports import Handler, Network

REPORTS: Final = "reports"
RECORDINGS: Final = "flight"
RECORDINGS_MAX: Final = 8
TAPE: Final = "tape"
SWITCH_INTERVAL_S: Final = 0.0005
M_TRIM_THRESHOLD: Final = -1
M_ARENA_MAX: Final = -8
"""Threads here wait for the disk and return once; with the default of 5 ms each return would wait
that long for a busy event loop."""

_log = log.get("app")


@dataclasses.dataclass(frozen=True)
class Keys:
    """The opened keys of a node. ``next_consensus`` takes over when the other one is rotated."""

    network: bytes = dataclasses.field(repr=False)
    consensus: bytes | None = dataclasses.field(repr=False)
    next_consensus: bytes | None = dataclasses.field(repr=False, default=None)


def open_keys(config: NodeConfig, passphrase: str) -> Keys:
    """Raises InputError for a wrong passphrase or a damaged file."""
    network = load_key(config.network_key_path, passphrase)
    if config.node.role != "validator":
        return Keys(network, None)
    consensus = load_key(config.consensus_key_path, passphrase)
    path = config.folder / NEXT_KEY
    return Keys(network, consensus, load_key(path, passphrase) if path.exists() else None)


def open_vault(config: NodeConfig, passphrase: str) -> VaultStore:
    """The node's vault, and a new key for a node that never had one.

    Raises LocalFault VAULT_KEY_MISSING where openings stand that no key opens any more, and others;
    InputError for a wrong passphrase or a damaged file.
    """
    path, folder = config.vault_key_path, config.folder / VAULT
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise LocalFault(
                "VAULT_KEY_MISSING",
                f"{path} is missing, under which {folder} is encrypted: put it back, or move the"
                " folder away to begin anew and fetch from the other parties what they still have",
            )
        create_key(path, passphrase, kind="vault", name="vault")
    return VaultStore(folder, load_key(path, passphrase))


def _check_membership(node: Node, keys: Keys) -> None:
    """Warn of a node that its peers will refuse. Raises InputError NOT_A_MEMBER for one that holds
    another node's consensus key."""
    me = public_key(keys.network)
    if me not in node.roster:
        _log.warning("this node is not admitted", reason=not_admitted(node.chain.height, me))
    for seed in filter(None, (keys.consensus, keys.next_consensus)):
        owner = node.roster.network_key(public_key(seed))
        if owner not in (None, me):
            raise InputError(
                "NOT_A_MEMBER",
                f"the consensus key {public_key(seed).hex()} is {node.roster.name(owner)}'s, whose"
                f" network key is {owner.hex()}; this node's is {me.hex()}",
            )


def check_hello(chain_id: bytes, theirs: bytes) -> str | None:
    """Why a peer that says so of its chain is not spoken to."""
    if theirs == chain_id:
        return None
    return f"another genesis: this chain is {chain_id.hex()[:16]}, yours {theirs.hex()[:16]}"


def run_node(config: NodeConfig, passphrase: str, *, vote_from: int | None = None) -> None:
    """Run a node until SIGTERM or SIGINT; returns after a clean shutdown.

    ``vote_from`` is the operator's explicit word that a validator without its vote log may vote
    from that height on. Raises InputError and LocalFault, each with what to mend.
    """
    log.configure(config.log.level, config.log.format, config.log_path)
    use_code_cache()
    document = GenesisDocument.load(config.genesis_path)
    keys = open_keys(config, passphrase)
    held = [
        public_key(seed) for seed in (keys.network, keys.consensus, keys.next_consensus) if seed
    ]
    with ExitStack() as locks:
        wanted: list[FolderLock | KeyLock] = [FolderLock(config.folder), *map(KeyLock, held)]
        for lock in wanted:
            lock.acquire()
            locks.callback(lock.release)
        try:
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            forget_failure(config.folder)
            keeping = Keeping(open_vault(config, passphrase), keys.network)
            _spare_memory()
            trio.run(_run, config, document, keys, keeping, vote_from)
        except BaseExceptionGroup as group:
            error = expected(group)
            note_failure(config.folder, error)
            raise error from group
        except Exception as error:
            note_failure(config.folder, error)
            raise


def expected(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to show: an expected one if there is any, else the first."""
    leaves = list(_leaves(group))
    for wanted in (LocalFault, HansaError):
        for leaf in leaves:
            if isinstance(leaf, wanted):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _spare_memory() -> None:
    """One heap for all threads, and its free end given back, where the C library has the knobs
    (glibc). LevelDB's and the disk's threads would each have heaps of their own, and what is freed
    in them is used by nobody else: a fifth of the memory after 100,000 transactions."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(M_ARENA_MAX, 1)
        adjust(M_TRIM_THRESHOLD, 128 << 10)


async def _run(
    config: NodeConfig,
    document: GenesisDocument,
    keys: Keys,
    keeping: Keeping,
    vote_from: int | None,
) -> None:
    token, tls = open_access(config)
    tape = _tape(config)
    kv = MarkedKV(config.folder / CHAIN)
    votes = [DurableFile(config.folder / one / FILE_NAME) for one in (VOTES, NEXT_VOTES)]
    processes = config.workers.verify_processes
    pool = VerifyPool(processes) if processes else None
    hosts: list[Host] = []

    def join(handler: Handler) -> Network:
        host = Host(
            HostConfig(
                keys.network,
                config.network.listen,
                (),  # the node admits those that its state names
                document.chain_id,
                lambda theirs: check_hello(document.chain_id, theirs),
                addresses=config.network.peers,
            ),
            handler,
            random.Random(),
        )
        hosts.append(host)
        return host

    try:
        reports = ReportFolder(config.folder / REPORTS)
        ports = Ports(
            SystemClock(),
            ThreadBlocking(),
            pool or InlineVerifier(),
            kv,
            join,
            reports,
            ReportFolder(config.folder / RECORDINGS, RECORDINGS_MAX),
            tape,
            keeping,
        )
        voters = []
        if keys.consensus is not None:
            voters.append(Voter(keys.consensus, votes[0], vote_from))
        if keys.next_consensus is not None:
            voters.append(Voter(keys.next_consensus, votes[1]))
        mempool = Mempool(config.mempool.txs_max, config.mempool.bytes_max)
        node = Node(document, ports, voters, mempool, retention=config.history.retention)
        node.recorder.version = software_version()
        _check_membership(node, keys)
        service = LocalService(node, public_key(keys.network), config.node.name, config.folder)
        async with trio.open_nursery() as nursery:
            await nursery.start(_stop_on_signal, nursery.cancel_scope)
            if pool is not None:
                await nursery.start(pool.run)
                node.metrics.watch_workers(pool.pids, pool.stats)
            await nursery.start(hosts[0].run)
            nursery.start_soon(node.run)
            await nursery.start(AdminDoor(kv, config.folder, config.node.name).serve)
            assert node.vault is not None
            prover = Prover(node.chain, ThreadBlocking())
            node.snapshots = Snapshots(
                config.folder / SNAPSHOTS, config.history.snapshots, node.chain, ThreadBlocking()
            )
            nursery.start_soon(node.snapshots.run, node.bus)
            node.api = PeerApi(service, prover).answer
            desk = Desk(node.vault, node.chain, node.clock)
            app = make_app(
                service,
                hosts=config.api.hosts,
                token=token,
                requests_per_s=config.api.requests_per_s,
                vault=desk,
                prover=prover,
            )
            api = await nursery.start(serve_api, app, config.api.listen, tls)
            # What start-up made will live as long as the process: spare the collector the walk.
            gc.freeze()
            # What lives long is mostly out of the collector's sight (bytes, tuples of bytes), and
            # hardly anything is cyclic garbage: looking for it 70 times less often spares 4 % of
            # the CPU, and a block the wait for it.
            gc.set_threshold(50_000, 20, 100)
            _log.info(
                "node up",
                node=service.name,
                role=service.role,
                api=api,
                peers=hosts[0].listen_address,
                chain_id=document.chain_id,
                height=node.chain.height,
            )
        node.recorder.keep("stopped")
        tape.remove()
        _log.info("node stopped", node=service.name, height=node.chain.height)
    finally:
        for file in votes:
            file.close()
        kv.close()


def _tape(config: NodeConfig) -> TapeFiles:
    folder = config.folder / TAPE
    try:
        return TapeFiles(folder)
    except OSError as error:
        raise io_fault("FOLDER_UNUSABLE", folder, error) from None


async def _stop_on_signal(
    scope: trio.CancelScope, *, task_status: Any = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            _log.info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return
