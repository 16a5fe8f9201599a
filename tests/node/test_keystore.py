from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError
from node.keystore import (
    Cost,
    create_key,
    find_passphrase,
    key_info,
    load_key,
    new_seed,
    write_whole,
)

CHEAP = Cost(passes=1, memory_bytes=8 << 10)


def made(path: Path, seed: bytes | None = None) -> Path:
    create_key(path, "correct horse", kind="account", name="me", seed=seed, cost=CHEAP)
    return path


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert "correct horse" not in str(caught.value)
    return caught.value.code


def test_a_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    seed = new_seed()
    path = made(tmp_path / "keys" / "me.json", seed)
    assert load_key(path, "correct horse") == seed
    assert key_info(path).key == public_key(seed)
    assert refused(lambda: load_key(path, "correct horses")) == "WRONG_PASSPHRASE"
    assert refused(lambda: load_key(path, "")) == "PASSPHRASE_EMPTY"
    text = path.read_text()
    assert seed.hex() not in text
    assert "correct horse" not in text


def test_the_default_cost_is_64_mib_in_three_passes(tmp_path: Path) -> None:
    path = tmp_path / "me.json"
    create_key(path, "p", kind="network", name="n1")
    kdf = json.loads(path.read_text())["kdf"]
    assert (kdf["passes"], kdf["memory_bytes"]) == (3, 64 << 20)
    assert public_key(load_key(path, "p")) == key_info(path).key


def test_files_are_private_whole_and_never_overwritten(tmp_path: Path) -> None:
    path = made(tmp_path / "me.json")
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert refused(lambda: made(path)) == "FILE_EXISTS"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["me.json"]
    write_whole(path, b"new", replace=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["me.json"]


def test_two_files_of_one_seed_share_no_secret_bytes(tmp_path: Path) -> None:
    seed = new_seed()
    one = json.loads(made(tmp_path / "1", seed).read_text())
    two = json.loads(made(tmp_path / "2", seed).read_text())
    assert one["public_key"] == two["public_key"]
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["box"] != two["box"]


def _drop(value: Any) -> None:
    del value["kdf"]["salt"]


def _set(place: str, name: str, new: object) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        (value[place] if place else value)[name] = new

    return change


@pytest.mark.parametrize(
    "change",
    [
        _drop,
        _set("", "format", "hansa-key/2"),
        _set("", "kind", "master"),
        _set("", "name", "../x"),
        _set("", "public_key", "00" * 32),
        _set("", "more", 1),
        _set("", "kdf", []),
        _set("kdf", "name", "scrypt"),
        _set("kdf", "passes", 1.0),
        _set("kdf", "passes", 17),
        _set("kdf", "memory_bytes", 64 << 30),
        _set("kdf", "memory_bytes", 0),
        _set("kdf", "salt", "00"),
        _set("box", "sealed", "zz"),
        _set("box", "nonce", "AA" * 24),
    ],
)
def test_a_malformed_file_is_refused_before_any_work(
    tmp_path: Path, change: Callable[[Any], None]
) -> None:
    path = made(tmp_path / "me.json")
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    assert refused(lambda: load_key(path, "correct horse")) == "KEY_FILE_INVALID"


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 4000, b'"x"'])
def test_what_is_no_key_file_at_all(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "me.json"
    path.write_bytes(raw)
    assert refused(lambda: key_info(path)) == "KEY_FILE_INVALID"


def test_absent_and_oversized_files(tmp_path: Path) -> None:
    assert refused(lambda: load_key(tmp_path / "absent", "p")) == "FILE_NOT_READABLE"
    (tmp_path / "big").write_bytes(b" " * 5000)
    assert refused(lambda: load_key(tmp_path / "big", "p")) == "FILE_TOO_LARGE"
    assert refused(lambda: create_key(tmp_path / "x", "p", kind="other", name="a")) == (
        "KEY_KIND_UNKNOWN"
    )
    assert refused(lambda: create_key(tmp_path / "x", "p", kind="account", name="a b")) == (
        "NAME_INVALID"
    )


def test_where_the_passphrase_comes_from(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path, text in ((one, "from file\n"), (two, "from named file\r\n")):
        path.write_text(text, newline="")
        path.chmod(0o600)
    named = {"HANSA_PASSPHRASE_FILE": str(two)}
    direct = {"HANSA_PASSPHRASE": "from environment", **named}
    assert find_passphrase(one, environment=direct) == "from file"
    assert find_passphrase(environment=direct) == "from environment"
    assert find_passphrase(environment=named) == "from named file"
    assert find_passphrase(environment={}, prompt=lambda: "typed") == "typed"
    assert refused(lambda: find_passphrase(environment={})) == "PASSPHRASE_MISSING"
    assert refused(lambda: find_passphrase(environment={}, prompt=lambda: "")) == "PASSPHRASE_EMPTY"
    assert refused(lambda: find_passphrase(environment={"HANSA_PASSPHRASE": ""})) == (
        "PASSPHRASE_EMPTY"
    )


def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text("secret\n")
    path.chmod(0o640)
    assert refused(lambda: find_passphrase(path)) == "PASSPHRASE_FILE_EXPOSED"
    path.chmod(0o600)
    assert find_passphrase(path) == "secret"
    path.write_text("x" * 1025)
    assert refused(lambda: find_passphrase(path)) == "FILE_TOO_LARGE"
    path.write_bytes(b"\xff\xff")
    assert refused(lambda: find_passphrase(path)) == "PASSPHRASE_FILE_INVALID"
