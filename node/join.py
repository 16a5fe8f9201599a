"""`hansa node join`: a new node's store made from a snapshot that its peers have."""

from __future__ import annotations

import random
from contextlib import ExitStack

import trio

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from genesis.document import GenesisDocument
from node import log
from node.app import check_hello, expected, open_keys
from node.care.replay import Vouched
from node.chain import Chain
from node.clock import InlineBlocking, SystemClock, ThreadBlocking
from node.config import NodeConfig
from node.files import SYSTEM, FolderLock, KeyLock
from node.roster import Roster
from node.setup import CHAIN
from node.snapshot.form import Manifest
from node.snapshot.joining import SCRATCH, Joining, Progress
from node.store.mark import MarkedKV
from node.store.memory import MemoryKV
from p2p.host import Host, HostConfig
from p2p.ports import Handler, Network, PeerAddress


def run_join(
    config: NodeConfig, passphrase: str, progress: Progress, *, block_hash: bytes | None = None
) -> Manifest:
    """Fill ``chain/`` from a snapshot, of the block with this hash if one is given.

    Interrupted, it goes on where it was. Raises InputError CHAIN_EXISTS, SNAPSHOT_NONE; LocalFault.
    """
    log.configure(config.log.level, config.log.format, config.log_path)
    document = GenesisDocument.load(config.genesis_path)
    keys = open_keys(config, passphrase)
    if (config.folder / CHAIN).exists():
        raise InputError("CHAIN_EXISTS", f"{config.folder / CHAIN} is there: just start the node")
    with ExitStack() as locks:
        wanted: list[FolderLock | KeyLock] = [
            FolderLock(config.folder),
            KeyLock(public_key(keys.network)),
        ]
        for lock in wanted:
            lock.acquire()
            locks.callback(lock.release)
        try:
            found = trio.run(_join, config, document, keys.network, progress, block_hash)
        except BaseExceptionGroup as group:
            raise expected(group) from group
        (config.folder / SCRATCH).rename(config.folder / CHAIN)
        SYSTEM.sync_folder(config.folder)
        return found


def _members(document: GenesisDocument) -> list[PeerAddress]:
    """Whom the genesis document admits: where they are by now, the configuration may say."""
    chain = Chain(document, MemoryKV(), InlineBlocking(), Vouched())
    roster = Roster()
    roster.update(chain.members, chain.validators)
    return roster.peers()


async def _join(
    config: NodeConfig,
    document: GenesisDocument,
    network_seed: bytes,
    progress: Progress,
    block_hash: bytes | None,
) -> Manifest:
    hosts: list[Host] = []

    def plug_in(handler: Handler) -> Network:
        hosts.append(
            Host(
                HostConfig(
                    network_seed,
                    config.network.listen,
                    (),
                    document.chain_id,
                    lambda theirs: check_hello(document.chain_id, theirs),
                    addresses=config.network.peers,
                ),
                handler,
                random.Random(),
            )
        )
        return hosts[0]

    kv = MarkedKV(config.folder / SCRATCH)
    try:
        joining = Joining(
            document,
            plug_in,
            _members(document),
            kv,
            ThreadBlocking(),
            SystemClock(),
            progress,
            block_hash,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(hosts[0].run)
            found = await joining.run()
            nursery.cancel_scope.cancel()
        return found
    finally:
        kv.close()
