"""Private keys at rest: one JSON file a key, encrypted under a passphrase.

The passphrase becomes a key by argon2id (costs and salt stand in the file), which seals the 32-byte
seed with XSalsa20-Poly1305. The costs are checked before they are used, so that a hostile file
can't ask for all memory. Files are made with mode 0600 and appear whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nacl.exceptions
import nacl.pwhash.argon2id as argon2id
from nacl.secret import SecretBox

from consensus.primitives.crypto import SEED_BYTES, public_key
from consensus.primitives.errors import InputError
from node.files import write_durably

FORMAT: Final = "hansa-key/1"
KINDS: Final = ("consensus", "network", "account", "vault")
KEY_FILE_BYTES_MAX: Final = 4096
PASSPHRASE_BYTES_MAX: Final = 1024
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PASSPHRASE_VARIABLE: Final = "HANSA_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE: Final = "HANSA_PASSPHRASE_FILE"

_SEALED_BYTES: Final = SEED_BYTES + SecretBox.MACBYTES


@dataclass(frozen=True)
class Cost:
    """What one guess at a passphrase costs: argon2id passes and bytes of memory."""

    passes: int = 3
    memory_bytes: int = 64 << 20

    def within_limits(self) -> bool:
        """Whether this machine should agree to pay it: at most 16 passes over 1 GiB."""
        return 1 <= self.passes <= 16 and argon2id.MEMLIMIT_MIN <= self.memory_bytes <= 1 << 30


DEFAULT_COST: Final = Cost()


@dataclass(frozen=True)
class KeyInfo:
    """The part of a key file that is no secret."""

    kind: str
    name: str
    key: bytes

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "name": self.name, "public_key": self.key.hex()}


@dataclass(frozen=True)
class _KeyFile:
    info: KeyInfo
    cost: Cost
    salt: bytes
    nonce: bytes
    sealed: bytes


def new_seed() -> bytes:
    """A fresh secret seed of 32 bytes."""
    return secrets.token_bytes(SEED_BYTES)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, replace: bool = False) -> None:
    """Make ``path`` hold ``data``, synced; after a crash it is there whole or not at all.

    Raises InputError FILE_EXISTS unless ``replace``, FILE_NOT_WRITABLE with the system's reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, data, mode, replace=replace)
    except FileExistsError:
        raise InputError("FILE_EXISTS", f"{path} exists already and is left as it is") from None
    except OSError as error:
        raise InputError("FILE_NOT_WRITABLE", f"{path}: {error.strerror or error}") from None


def read_limited(path: Path, bytes_max: int, what: str) -> bytes:
    """The file's bytes. Raises InputError FILE_NOT_READABLE or FILE_TOO_LARGE."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        reason = error.strerror or error
        raise InputError("FILE_NOT_READABLE", f"{what} {path}: {reason}") from None
    if len(data) > bytes_max:
        raise InputError("FILE_TOO_LARGE", f"{what} {path}: more than {bytes_max} bytes")
    return data


# --- key files -------------------------------------------------------------------------------


def _sealing_key(passphrase: str, cost: Cost, salt: bytes) -> bytes:
    derived: bytes = argon2id.kdf(
        SecretBox.KEY_SIZE,
        _bytes(passphrase),
        salt,
        opslimit=cost.passes,
        memlimit=cost.memory_bytes,
    )
    return derived


def create_key(
    path: Path,
    passphrase: str,
    *,
    kind: str,
    name: str,
    seed: bytes | None = None,
    cost: Cost | None = None,
) -> KeyInfo:
    """Make a key file for ``seed`` (a fresh one by default).

    Raises InputError: KEY_KIND_UNKNOWN, NAME_INVALID, PASSPHRASE_EMPTY, FILE_EXISTS.
    """
    if kind not in KINDS:
        raise InputError("KEY_KIND_UNKNOWN", f"{kind!r} is not one of {', '.join(KINDS)}")
    check_name(name)
    _check_passphrase(passphrase, "the passphrase")
    secret = new_seed() if seed is None else seed
    cost = cost or DEFAULT_COST
    salt = secrets.token_bytes(argon2id.SALTBYTES)
    nonce = secrets.token_bytes(SecretBox.NONCE_SIZE)
    box = SecretBox(_sealing_key(passphrase, cost, salt))
    info = KeyInfo(kind, name, public_key(secret))
    document = {
        "format": FORMAT,
        **info.to_json(),
        "kdf": {
            "name": "argon2id",
            "passes": cost.passes,
            "memory_bytes": cost.memory_bytes,
            "salt": salt.hex(),
        },
        "box": {
            "name": "xsalsa20-poly1305",
            "nonce": nonce.hex(),
            "sealed": box.encrypt(secret, nonce).ciphertext.hex(),
        },
    }
    write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    return info


def load_key(path: Path, passphrase: str) -> bytes:
    """The secret seed. Raises InputError KEY_FILE_INVALID, WRONG_PASSPHRASE, FILE_NOT_READABLE."""
    file = _read(path)
    _check_passphrase(passphrase, "the passphrase")
    box = SecretBox(_sealing_key(passphrase, file.cost, file.salt))
    try:
        seed: bytes = box.decrypt(file.sealed, file.nonce)
    except nacl.exceptions.CryptoError:
        raise InputError("WRONG_PASSPHRASE", f"{path}: the passphrase does not open it") from None
    if public_key(seed) != file.info.key:
        raise InputError("KEY_FILE_INVALID", f"{path}: its public key is not that of its secret")
    return seed


def key_info(path: Path) -> KeyInfo:
    """What the file says openly; needs no passphrase. Raises InputError KEY_FILE_INVALID."""
    return _read(path).info


def check_name(name: str) -> str:
    """``name`` itself. Raises InputError NAME_INVALID."""
    if not NAME_PATTERN.fullmatch(name):
        raise InputError(
            "NAME_INVALID",
            f"{name!r}: a name has 1 to 64 letters, digits, dots, hyphens or underscores"
            " and starts with a letter or digit",
        )
    return name


def _read(path: Path) -> _KeyFile:
    raw = read_limited(path, KEY_FILE_BYTES_MAX, "key file")
    try:
        value = json.loads(raw)
        return _parse(value)
    except (ValueError, RecursionError) as error:
        reason = "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError("KEY_FILE_INVALID", f"{path}: {reason}") from None


def _parse(value: Any) -> _KeyFile:
    """Raises ValueError with the first thing that is wrong."""
    top = _object(value, "the file", {"format", "kind", "name", "public_key", "kdf", "box"})
    if top["format"] != FORMAT:
        raise ValueError(f"format is not {FORMAT}")
    if top["kind"] not in KINDS:
        raise ValueError(f"kind is not one of {', '.join(KINDS)}")
    if type(top["name"]) is not str or not NAME_PATTERN.fullmatch(top["name"]):
        raise ValueError("name is not a name")
    kdf = _object(top["kdf"], "kdf", {"name", "passes", "memory_bytes", "salt"})
    box = _object(top["box"], "box", {"name", "nonce", "sealed"})
    if kdf["name"] != "argon2id" or box["name"] != "xsalsa20-poly1305":
        raise ValueError("its encryption is not argon2id with xsalsa20-poly1305")
    cost = Cost(_whole(kdf["passes"], "passes"), _whole(kdf["memory_bytes"], "memory_bytes"))
    if not cost.within_limits():
        raise ValueError("its argon2id cost is beyond 16 passes or 1 GiB of memory")
    return _KeyFile(
        KeyInfo(top["kind"], top["name"], _hex(top["public_key"], 32, "public_key")),
        cost,
        _hex(kdf["salt"], argon2id.SALTBYTES, "salt"),
        _hex(box["nonce"], SecretBox.NONCE_SIZE, "nonce"),
        _hex(box["sealed"], _SEALED_BYTES, "sealed"),
    )


def _object(value: Any, what: str, names: set[str]) -> dict[str, Any]:
    if type(value) is not dict or set(value) != names:
        raise ValueError(f"{what} does not have exactly the fields {', '.join(sorted(names))}")
    return value


def _whole(value: Any, what: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{what} is not a whole number")
    return value


def _hex(value: Any, size: int, what: str) -> bytes:
    if type(value) is not str or not re.fullmatch(r"(?:[0-9a-f]{2})*", value):
        raise ValueError(f"{what} is not lower-case hex")
    data = bytes.fromhex(value)
    if len(data) != size:
        raise ValueError(f"{what} has {len(data)} bytes, not {size}")
    return data


# --- passphrases -----------------------------------------------------------------------------


def find_passphrase(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    prompt: Callable[[], str] | None = None,
) -> str:
    """The passphrase, from the first there is.

    In order: ``file``, HANSA_PASSPHRASE, the file named by HANSA_PASSPHRASE_FILE, ``prompt``.

    Raises InputError: PASSPHRASE_MISSING, PASSPHRASE_EMPTY, PASSPHRASE_FILE_EXPOSED.
    """
    if file is not None:
        return read_passphrase(file)
    if (given := environment.get(PASSPHRASE_VARIABLE)) is not None:
        return _check_passphrase(given, PASSPHRASE_VARIABLE)
    if named := environment.get(PASSPHRASE_FILE_VARIABLE):
        return read_passphrase(Path(named))
    if prompt is not None:
        return _check_passphrase(prompt(), "the passphrase")
    raise InputError(
        "PASSPHRASE_MISSING",
        f"no passphrase: give a file, {PASSPHRASE_VARIABLE} or {PASSPHRASE_FILE_VARIABLE},"
        " or run at a terminal",
    )


def read_passphrase(path: Path) -> str:
    """The first line of a file that only its owner may read."""
    raw = read_limited(path, PASSPHRASE_BYTES_MAX, "passphrase file")
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(
            "PASSPHRASE_FILE_EXPOSED", f"{path} may be read by others: chmod 600 {path}"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InputError("PASSPHRASE_FILE_INVALID", f"{path} is not UTF-8 text") from None
    return _check_passphrase(text.split("\n", 1)[0].rstrip("\r"), str(path))


def _bytes(passphrase: str) -> bytes:
    # Bytes that are no UTF-8 reach us from the environment as surrogates.
    return passphrase.encode("utf-8", "surrogateescape")


def _check_passphrase(passphrase: str, source: str) -> str:
    if not passphrase:
        raise InputError("PASSPHRASE_EMPTY", f"{source} is empty")
    if len(_bytes(passphrase)) > PASSPHRASE_BYTES_MAX:
        raise InputError("PASSPHRASE_TOO_LONG", f"{source}: more than {PASSPHRASE_BYTES_MAX} bytes")
    return passphrase
