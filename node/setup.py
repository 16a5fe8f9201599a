"""Making a node's data folder: its keys, its vote log, its configuration file.

config.toml  genesis.json  keys/network.key.json  keys/consensus.key.json  votes/
keys/vault.key.json  vault/

While a validator's consensus key is rotated there are two, each with its own vote log:
keys/consensus-next.key.json and votes-next/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from node.keystore import Cost, KeyInfo, create_key, key_info, new_seed, write_whole
from node.wal import create_vote_log

CONFIG: Final = Path("config.toml")
GENESIS: Final = Path("genesis.json")
NETWORK_KEY: Final = Path("keys/network.key.json")
CONSENSUS_KEY: Final = Path("keys/consensus.key.json")
VAULT_KEY: Final = Path("keys/vault.key.json")
CHAIN: Final = Path("chain")
VAULT: Final = Path("vault")
SNAPSHOTS: Final = Path("snapshots")
VOTES: Final = Path("votes")
NEXT_KEY: Final = Path("keys/consensus-next.key.json")
NEXT_VOTES: Final = Path("votes-next")


def make_validator_key(
    folder: Path, passphrase: str, *, name: str, cost: Cost | None = None, successor: bool = False
) -> tuple[Path, KeyInfo]:
    """A consensus key and its vote log, together, below a data folder: the first, or the
    ``successor`` of the one that is there.

    A key must never sign without the log of what it has signed, so neither is made where one of
    them stands already. Raises InputError FILE_EXISTS, VOTE_LOG_EXISTS.
    """
    path = folder / (NEXT_KEY if successor else CONSENSUS_KEY)
    votes = folder / (NEXT_VOTES if successor else VOTES)
    if path.exists():
        raise InputError("FILE_EXISTS", f"{path} exists already and is left as it is")
    if votes.exists() and any(votes.iterdir()):
        raise InputError(
            "VOTE_LOG_EXISTS", f"{votes} holds the votes of an earlier key: put that key back"
        )
    seed = new_seed()
    create_vote_log(votes, public_key(seed))
    try:
        info = create_key(path, passphrase, kind="consensus", name=name, seed=seed, cost=cost)
    except InputError:
        # The log belongs to a key that nobody will ever have.
        for file in votes.iterdir():
            file.unlink()
        raise
    return path, info


def finish_rotation(folder: Path, key_path: Path) -> bytes:
    """Put the successor of a rotated consensus key in its place; the old key and its vote log are
    kept in retired/. Interrupted, it may be called again. Returns the public key in use.

    Raises InputError NO_NEXT_KEY, ROTATION_NOT_IN_FORCE (the node's own newest state still names
    the old key, or not yet the new one), LocalFault FOLDER_LOCKED.
    """
    from node.files import FolderLock
    from node.store.kv import LevelKV
    from node.store.state import StateStore
    from node.system import System

    lock = FolderLock(folder)
    lock.acquire()
    try:
        if not (folder / NEXT_KEY).exists():
            raise InputError("NO_NEXT_KEY", f"{folder / NEXT_KEY} does not exist")
        new = key_info(folder / NEXT_KEY).key
        kv = LevelKV(folder / CHAIN)
        try:
            validators = System.read(StateStore(kv)).validators
        finally:
            kv.close()
        old = key_info(key_path).key if key_path.exists() else b""
        if new not in validators or old in validators:
            raise InputError(
                "ROTATION_NOT_IN_FORCE",
                f"in this node's newest state the validators do not have {new.hex()[:16]}.. in"
                f" place of {old.hex()[:16]}.. yet",
            )
        retired = folder / "retired" / old.hex()[:16]
        retired.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / NEXT_VOTES).exists():
            if (folder / VOTES).exists():
                (folder / VOTES).rename(retired / VOTES)
            (folder / NEXT_VOTES).rename(folder / VOTES)
        if key_path.exists():
            key_path.rename(retired / CONSENSUS_KEY.name)
        (folder / NEXT_KEY).rename(key_path)
        return new
    finally:
        lock.release()


def init_folder(
    folder: Path,
    passphrase: str,
    *,
    name: str,
    validator: bool,
    config: Mapping[str, Mapping[str, Any]],
    cost: Cost | None = None,
) -> dict[str, KeyInfo]:
    """Make what is missing in a data folder; what is there stays as it is.

    ``config`` (section -> setting -> value) goes to config.toml, with every other setting beside it
    as a comment. Returns the keys' public parts: "network" and, for a validator, "consensus".
    """
    from node.config import default_text

    keys = {}
    if not (folder / NETWORK_KEY).exists():
        create_key(folder / NETWORK_KEY, passphrase, kind="network", name=name, cost=cost)
    keys["network"] = key_info(folder / NETWORK_KEY)
    if validator:
        if not (folder / CONSENSUS_KEY).exists():
            make_validator_key(folder, passphrase, name=name, cost=cost)
        keys["consensus"] = key_info(folder / CONSENSUS_KEY)
    if not (folder / VAULT_KEY).exists() and not (folder / VAULT).exists():
        create_key(folder / VAULT_KEY, passphrase, kind="vault", name=name, cost=cost)
    if not (folder / CONFIG).exists():
        write_whole(folder / CONFIG, default_text(config).encode())
    return keys
