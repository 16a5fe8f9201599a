"""The vault's key: made once, and missed where openings stand that it alone opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.app import open_vault
from node.config import NodeConfig, load
from node.keystore import Cost, key_info
from node.setup import VAULT, VAULT_KEY, init_folder
from node.vault.store import VaultStore
from tests.node.support import code_of

CHEAP = Cost(passes=1, memory_bytes=1 << 20)
PASSPHRASE = "secret"


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    settings = {"node": {"role": "full", "name": "one"}}
    init_folder(tmp_path, PASSPHRASE, name="one", validator=False, config=settings, cost=CHEAP)
    return load(tmp_path, env={}, check_files=False)


def test_a_new_folder_has_a_key_that_the_passphrase_opens(config: NodeConfig) -> None:
    assert key_info(config.vault_key_path).kind == "vault"
    assert config.vault_key_path.stat().st_mode & 0o077 == 0
    assert len(open_vault(config, PASSPHRASE)) == 0
    assert code_of(open_vault, config, "another") == "WRONG_PASSPHRASE"


def test_a_node_that_never_had_a_vault_gets_one_when_it_starts(config: NodeConfig) -> None:
    (config.folder / VAULT_KEY).unlink()
    assert isinstance(open_vault(config, PASSPHRASE), VaultStore)
    first = key_info(config.vault_key_path)
    open_vault(config, PASSPHRASE)
    assert key_info(config.vault_key_path) == first


def test_a_lost_or_another_key_is_noticed_at_the_start(config: NodeConfig) -> None:
    open_vault(config, PASSPHRASE)
    path = config.folder / VAULT_KEY
    kept = path.read_bytes()
    path.unlink()
    assert code_of(open_vault, config, PASSPHRASE) == "VAULT_KEY_MISSING"
    # Nor does `hansa node init` make another one in its place.
    init_folder(config.folder, PASSPHRASE, name="one", validator=False, config={}, cost=CHEAP)
    assert not path.exists()
    other = config.folder / "other"
    init_folder(other, PASSPHRASE, name="other", validator=False, config={}, cost=CHEAP)
    path.write_bytes((other / VAULT_KEY).read_bytes())
    assert code_of(open_vault, config, PASSPHRASE) == "VAULT_KEY_WRONG"
    path.write_bytes(kept)
    assert (config.folder / VAULT).is_dir()
    open_vault(config, PASSPHRASE)
