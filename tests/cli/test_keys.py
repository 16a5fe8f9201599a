from __future__ import annotations

from pathlib import Path

import pytest

from consensus.primitives.crypto import public_key
from node.files import DurableFile
from node.wal import VoteLog
from tests.cli.support import Hansa


def test_a_key_is_made_shown_and_exported(hansa: Hansa) -> None:
    made = hansa.json("keys", "new", "acme.key.json")
    assert made["kind"] == "account"
    assert made["name"] == "acme"
    assert hansa.json("keys", "show", "acme.key.json")["public_key"] == made["public_key"]
    assert hansa("keys", "export", "acme.key.json").out.strip() == made["public_key"]
    secret = hansa("keys", "export", "--secret", "acme.key.json")
    assert public_key(bytes.fromhex(secret.out.strip())).hex() == made["public_key"]
    assert "secret" in secret.err


def test_a_key_is_not_overwritten(hansa: Hansa) -> None:
    hansa.json("keys", "new", "acme.key.json")
    outcome = hansa("keys", "new", "acme.key.json")
    assert (outcome.code, outcome.error) == (4, "FILE_EXISTS")


def test_a_wrong_passphrase(hansa: Hansa, monkeypatch: pytest.MonkeyPatch) -> None:
    hansa.json("keys", "new", "acme.key.json")
    monkeypatch.setenv("HANSA_PASSPHRASE", "something else")
    outcome = hansa("keys", "export", "--secret", "acme.key.json")
    assert (outcome.code, outcome.error, outcome.out) == (4, "WRONG_PASSPHRASE", "")


def test_no_passphrase_and_no_terminal(hansa: Hansa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANSA_PASSPHRASE")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    outcome = hansa("keys", "new", "acme.key.json")
    assert (outcome.code, outcome.error) == (4, "PASSPHRASE_MISSING")
    assert not Path("acme.key.json").exists()


def test_a_passphrase_from_a_file(hansa: Hansa, tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text("from a file\n")
    path.chmod(0o600)
    hansa.json("keys", "new", "acme.key.json", "--passphrase-file", path)
    outcome = hansa("keys", "export", "--secret", "acme.key.json")
    assert outcome.error == "WRONG_PASSPHRASE"
    assert hansa("--passphrase-file", path, "keys", "export", "--secret", "acme.key.json").code == 0


def test_a_validators_key_comes_with_its_vote_log(hansa: Hansa, tmp_path: Path) -> None:
    made = hansa.json("keys", "new", "--kind", "validator", "node1")
    assert made["kind"] == "consensus"
    folder = tmp_path / "node1"
    assert (folder / "keys" / "consensus.key.json").exists()
    (file,) = (folder / "votes").iterdir()
    log = VoteLog(DurableFile(file), bytes.fromhex(made["public_key"]))
    assert (log.height, log.floor) == (0, 0)
    assert hansa("keys", "new", "--kind", "validator", "node1").error == "FILE_EXISTS"
    # Without its key the log stays what it is: no new key may take its place.
    before = file.read_bytes()
    (folder / "keys" / "consensus.key.json").unlink()
    assert hansa("keys", "new", "--kind", "validator", "node1").error == "VOTE_LOG_EXISTS"
    assert file.read_bytes() == before
