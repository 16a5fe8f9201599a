from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from genesis.document import GenesisDocument
from node.config import load
from tests.cli.support import Hansa
from tests.genesis.helpers import GLNS, draft, sealed

ROOT = Path(__file__).resolve().parents[2]


def test_a_ceremony_from_draft_to_sealed_document(hansa: Hansa, tmp_path: Path) -> None:
    hansa.json("genesis", "new", "genesis.json", "--name", "trade", "--param",
               "min_block_interval_ms=50")  # fmt: skip
    for number, gln in enumerate(GLNS, 1):
        role = "validator" if number < 5 else "full"
        hansa.json("node", "init", f"n{number}", "--role", role)
        hansa.json("keys", "new", f"admin{number}.key.json")
        entry = hansa.json(
            "genesis", "join", "genesis.json", "--organisation", gln, "--organisation-name",
            f"Company {number}", "--role", "wholesaler", "--admin-key", f"admin{number}.key.json",
            "--data", f"n{number}", "--address", f"127.0.0.1:{20000 + number}", "--out",
            f"entry{number}.json",
        )  # fmt: skip
        assert entry["node"] == f"n{number}"
    added = hansa.json("genesis", "add", "genesis.json", *(f"entry{n}.json" for n in range(1, 6)))
    assert (added["validators"], added["peers"], added["organisations"]) == (4, 1, 5)
    unsealed = hansa("genesis", "validate", "genesis.json")
    assert (unsealed.code, unsealed.error) == (4, "GENESIS_INVALID")
    assert unsealed.err.count("is missing") == 4
    assert hansa.json("genesis", "validate", "genesis.json", "--unsealed")["sealed"] is False

    for number in range(1, 5):  # each seals a copy at home
        shutil.copy("genesis.json", f"copy{number}.json")
        hansa.json("genesis", "seal", f"copy{number}.json", "--data", f"n{number}")
    merges = [part for n in range(1, 5) for part in ("--merge", f"copy{n}.json")]
    assert hansa.json("genesis", "seal", "genesis.json", *merges)["sealed"] is True
    valid = hansa.json("genesis", "validate", "genesis.json")
    assert valid["chain_id"] == added["chain_id"]
    assert GenesisDocument.load(tmp_path / "genesis.json").params.min_block_interval_ms == 50
    shown = hansa("genesis", "show", "genesis.json").out
    assert "Company 3" in shown
    assert shown.count("validator") == 4

    hansa.json("node", "init", "n1", "--genesis", "genesis.json")
    config = load(tmp_path / "n1", env={})
    assert GenesisDocument.load(config.genesis_path).sealed
    assert hansa("genesis", "add", "genesis.json", "entry1.json").error == "GENESIS_SEALED"
    assert hansa("genesis", "seal", "genesis.json", "--data", "n5").error == "FILE_NOT_READABLE"


def test_what_the_contracts_would_refuse_is_told_before_the_seals(
    hansa: Hansa, tmp_path: Path
) -> None:
    document = draft()
    first, *others = document.organisations
    astronauts = dataclasses.replace(first, roles=("astronaut",))
    wrong = dataclasses.replace(document, organisations=(astronauts, *others))
    path = tmp_path / "genesis.json"
    path.write_bytes(wrong.file_bytes)
    outcome = hansa("genesis", "validate", path, "--unsealed")
    assert (outcome.code, outcome.error) == (4, "GENESIS_INVALID")
    assert "astronaut" in outcome.err or "roles" in outcome.err
    hansa.json("node", "init", "n1")
    assert hansa("genesis", "seal", path, "--data", "n1").error == "GENESIS_INVALID"
    path.write_bytes(document.file_bytes)
    hansa.json("genesis", "validate", path, "--unsealed")


def test_the_contracts_of_a_document_can_be_read(hansa: Hansa, tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    document = sealed()
    path.write_bytes(document.file_bytes)
    shown = hansa("genesis", "show", path).out
    for package in document.packages:
        assert package.name in shown
        source = hansa("genesis", "show", path, "--source", package.name).out
        for file in package.files:
            assert file.text in source
    assert hansa("genesis", "show", path, "--source", "none").error == "UNKNOWN_CONTRACT"


def test_all_mistakes_in_parameters_are_named(hansa: Hansa, tmp_path: Path) -> None:
    (tmp_path / "params.toml").write_text('round_timeout_ms = "long"\nblock_txs_max = 0\n')
    outcome = hansa("genesis", "new", "g.json", "--name", "trade", "--params", "params.toml",
                    "--param", "turbo=1", "--param", "runtime")  # fmt: skip
    assert (outcome.code, outcome.error) == (4, "PARAMS_INVALID")
    for part in ("round_timeout_ms", "block_txs_max", "turbo", "'runtime' is not NAME=VALUE"):
        assert part in outcome.err
    outcome = hansa("genesis", "new", "g.json", "--name", "a b", "--time", "noon",
                    "--param", "block_txs_max=0")  # fmt: skip
    assert (outcome.code, outcome.error) == (4, "GENESIS_INVALID")
    for part in ("NAME_INVALID: 'a b'", "PARAMS_INVALID: block_txs_max", "TIME_INVALID: 'noon'"):
        assert part in outcome.err
    assert hansa("genesis", "new", "g.json", "--name", "a b").error == "NAME_INVALID"
    assert not (tmp_path / "g.json").exists()


def test_a_draft_is_not_overwritten_and_a_bad_entry_changes_nothing(
    hansa: Hansa, tmp_path: Path
) -> None:
    hansa.json("genesis", "new", "g.json", "--name", "trade")
    before = (tmp_path / "g.json").read_bytes()
    assert hansa("genesis", "new", "g.json", "--name", "other").error == "FILE_EXISTS"
    hansa.json("keys", "new", "admin.key.json")
    hansa.json("genesis", "join", "g.json", "--organisation", GLNS[0], "--organisation-name", "A",
               "--admin-key", "admin.key.json", "--out", "good.json")  # fmt: skip
    value = json.loads((tmp_path / "good.json").read_text())
    value["organisation"]["name"] = "B"
    (tmp_path / "bad.json").write_text(json.dumps(value))
    outcome = hansa("genesis", "add", "g.json", "good.json", "bad.json")
    assert (outcome.code, outcome.error) == (4, "ENTRY_INVALID")
    assert (tmp_path / "g.json").read_bytes() == before


def test_a_wrong_organisation_id_is_refused_before_anything_is_signed(hansa: Hansa) -> None:
    hansa.json("genesis", "new", "g.json", "--name", "trade")
    hansa.json("keys", "new", "admin.key.json")
    outcome = hansa("genesis", "join", "g.json", "--organisation", "4012345000001",
                    "--organisation-name", "A", "--admin-key", "admin.key.json", "--address",
                    "nowhere", "--out", "e.json")  # fmt: skip
    assert outcome.error == "ENTRY_INVALID"
    assert "check digit" in outcome.err
    assert "'nowhere' is not host:port" in outcome.err
    assert not Path("e.json").exists()


def test_node_init_keeps_what_is_there(hansa: Hansa, tmp_path: Path) -> None:
    first = hansa.json("node", "init", "n1")
    (tmp_path / "n1" / "config.toml").write_text('[node]\nrole = "validator"\nname = "mine"\n')
    assert hansa.json("node", "init", "n1") == first
    assert 'name = "mine"' in (tmp_path / "n1" / "config.toml").read_text()


def test_node_init_writes_nothing_when_a_setting_is_wrong(hansa: Hansa, tmp_path: Path) -> None:
    outcome = hansa("node", "init", "n1", "--listen", "5", "--api-listen", "0.0.0.0:1")
    assert (outcome.code, outcome.error) == (4, "CONFIG_INVALID")
    assert "network-listen" in outcome.err
    assert "api-listen" in outcome.err
    assert not (tmp_path / "n1").exists()


def run_node_error(folder: str, passphrase: str) -> str:
    """The error's code of `hansa node run`, in a process of its own: it takes over the logs."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HANSA_")}
    environment |= {"HANSA_PASSPHRASE": passphrase, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "node", "run", "--data", folder, "--json"],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    return str(json.loads(line)["error"]["code"])


def test_a_node_is_not_run_with_a_wrong_passphrase_or_folder(hansa: Hansa) -> None:
    assert hansa("node", "run", "--data", "n1").error == "CONFIG_INVALID"
    hansa.json("node", "init", "n1", "--role", "full")
    Path("n1/genesis.json").write_bytes(sealed().file_bytes)
    assert run_node_error("n1", "another") == "WRONG_PASSPHRASE"
