import tomllib
from pathlib import Path
from typing import Any

import pytest

from consensus.primitives.errors import InputError
from node.config import SECTIONS, NodeConfig, default_text, load, write_default

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A validator's data folder with everything in place."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "genesis.json").write_text("{}")
    for name in ("network", "consensus"):
        path = tmp_path / "keys" / f"{name}.key.json"
        path.write_text("{}")
        path.chmod(0o600)
    write_default(tmp_path / "config.toml", {"node": {"role": "validator"}})
    return tmp_path


def configure(folder: Path, text: str) -> None:
    (folder / "config.toml").write_text(text)


def mistakes(folder: Path, **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(folder, **{"env": {}, **options})
    assert caught.value.code == "CONFIG_INVALID"
    headline, *lines = caught.value.message.split("\n  ")
    assert headline == f"{len(lines)} mistake(s) in the configuration:"
    return lines


def test_the_default_file_gives_the_defaults(folder: Path) -> None:
    config = load(folder, env={})
    assert config.node.role == "validator"
    assert config.api.listen == "127.0.0.1:8640"
    assert config.workers.verify_processes == 1
    assert config.genesis_path == folder / "genesis.json"
    assert config.network_key_path == folder / "keys/network.key.json"
    assert config.consensus_key_path == folder / "keys/consensus.key.json"
    assert (config.passphrase_path, config.log_path) == (None, None)


def test_the_default_file_names_every_setting_and_keeps_given_values() -> None:
    values: dict[str, dict[str, Any]] = {
        "node": {"role": "full", "name": 'a "quoted" \\ name\n'},
        "network": {"peers": {"Müller GmbH": "host:1"}},
        "api": {"hosts": ["a", "b"], "allow_remote": True},
        "mempool": {"txs_max": 7},
    }
    text = default_text(values)
    assert tomllib.loads(text) == {**{section: {} for section in SECTIONS}, **values}
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and ": {" not in line else line
        for line in text.splitlines()
    )
    for section, model in SECTIONS.items():
        assert set(tomllib.loads(uncommented)[section]) == set(model.model_fields)


def test_an_existing_file_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(InputError, match="FILE_EXISTS"):
        write_default(folder / "config.toml")


def test_the_environment_overrides_the_file_and_flags_both(folder: Path) -> None:
    configure(
        folder,
        '[node]\nrole = "validator"\n[api]\nlisten = "127.0.0.1:1"\n[log]\nlevel = "error"\n'
        "[mempool]\ntxs_max = 10\n",
    )
    env = {
        "HANSA_API_LISTEN": "127.0.0.1:2",
        "HANSA_MEMPOOL_TXS_MAX": "20",
        "HANSA_NETWORK_PEERS": "north=n.example:1, south=[::1]:2",
        "HANSA_API_HOSTS": "a.example,b.example",
        "HANSA_API_ALLOW_REMOTE": "yes",
        "HANSA_PASSPHRASE": "not a setting",
        "HANSA_NODE": "http://localhost:1",
        "PATH": "/bin",
    }
    config = load(folder, env=env, flags={"mempool.txs_max": 30, "api.listen": None})
    assert config.api.listen == "127.0.0.1:2"
    assert config.api.hosts == ["a.example", "b.example"]
    assert config.api.allow_remote is True
    assert config.mempool.txs_max == 30
    assert config.log.level == "error"
    assert config.network.peers == {"north": "n.example:1", "south": "[::1]:2"}


def test_every_mistake_is_reported_at_once_with_its_place(folder: Path) -> None:
    configure(
        folder,
        """# a file with many mistakes
[node]
rolle = "validator"

[network]
listen = "localhost:99"
peers = { north = "nowhere" }

[api]
listen = "127.0.0.1:99999"
allow_remote = "yes"

[log]
level = "chatty"

[mempol]
[mempool]
bytes_max = 10
txs_max = 2.5
""",
    )
    found = mistakes(
        folder,
        env={"HANSA_LOG_FORMAT": "xml", "HANSA_WORKERS_VERIFY_PROCESSES": "many"},
        flags={"workers.cores": 3, "nonsense": 1},
        check_files=False,
    )
    path = folder / "config.toml"
    expected = [
        f"{path} line 3 ([node] rolle): there is no such setting; did you mean 'role'?",
        f"{path} ([node] role): is missing",
        f"{path} line 6 ([network] listen): 'localhost:99' is not a host:port address",
        f"{path} line 7 ([network] peers): north: 'nowhere' is not a host:port address",
        f"{path} line 10 ([api] listen): '127.0.0.1:99999' is not a host:port address",
        f"{path} line 11 ([api] allow_remote): Input should be a valid boolean",
        f"{path} line 14 ([log] level): Input should be 'debug', 'info', 'warning' or 'error'",
        f"{path} line 16: there is no section [mempol]; did you mean 'mempool'?",
        f"{path} line 18 ([mempool] bytes_max): Input should be greater than or equal to",
        f"{path} line 19 ([mempool] txs_max): Input should be a valid integer",
        "environment HANSA_LOG_FORMAT: Input should be 'json' or 'console'",
        "environment HANSA_WORKERS_VERIFY_PROCESSES: 'many' is not a whole number",
        "flag --workers-cores: there is no such setting",
        "flag --nonsense: there is no such setting",
    ]
    for start in expected:
        assert any(line.startswith(start) for line in found), start
    assert len(found) == len(expected)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "192.168.1.2:1", "[::]:1"])
def test_an_api_open_to_the_network_must_be_asked_for(folder: Path, listen: str) -> None:
    (line,) = mistakes(folder, env={"HANSA_API_LISTEN": listen})
    assert line.startswith("environment HANSA_API_LISTEN")
    assert "allow_remote" in line
    config = load(folder, env={"HANSA_API_LISTEN": listen, "HANSA_API_ALLOW_REMOTE": "true"})
    assert config.api.listen == listen


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_secrets_that_others_may_read_are_refused_with_the_mend(folder: Path, mode: int) -> None:
    secret = folder / "passphrase"
    secret.write_text("open sesame")
    secret.chmod(mode)
    (folder / "keys/network.key.json").chmod(mode)
    found = mistakes(folder, env={"HANSA_PASSPHRASE_FILE": "passphrase"})
    assert len(found) == 2
    assert found[0].endswith(f"chmod 600 {folder / 'keys/network.key.json'}")
    assert found[1].startswith("environment HANSA_PASSPHRASE_FILE")
    assert found[1].endswith(f"chmod 600 {secret}")
    assert "sesame" not in "".join(found)
    for path in (secret, folder / "keys/network.key.json"):
        path.chmod(0o600)
    config = load(folder, env={"HANSA_PASSPHRASE_FILE": "passphrase"})
    assert config.passphrase_path == secret


def test_missing_files_are_named_unless_not_asked_for(folder: Path) -> None:
    for name in ("genesis.json", "keys/network.key.json", "keys/consensus.key.json"):
        (folder / name).unlink()
    found = mistakes(folder)
    assert [line.split(": ")[0] for line in found] == [
        "[node] genesis (default)",
        "[node] network_key (default)",
        "[node] consensus_key (default)",
    ]
    assert isinstance(load(folder, env={}, check_files=False), NodeConfig)
    # A full node needs no consensus key.
    assert len(mistakes(folder, env={"HANSA_NODE_ROLE": "full"})) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[node\n", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"x" * ((1 << 20) + 1), "larger than"),
        (b"node = 3\n", "must be a section"),
        (None, "not found"),
    ],
)
def test_unusable_files(folder: Path, content: bytes | None, says: str) -> None:
    if content is None:
        (folder / "config.toml").unlink()
    else:
        (folder / "config.toml").write_bytes(content)
    found = mistakes(folder)
    assert any(says in line and str(folder / "config.toml") in line for line in found)


def test_the_documentation_lists_every_setting() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for section, model in SECTIONS.items():
        assert f"[{section}]" in text
        for key in model.model_fields:
            assert f"`{key}`" in text, f"{section}.{key}"
