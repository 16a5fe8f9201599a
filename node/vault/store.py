"""Openings at rest: one encrypted file each, which can be destroyed by itself.

An entry's file is ``nonce | sealed key of its own | nonce | sealed content``, both sealed with
XSalsa20-Poly1305: the content under the entry's key, that key under the vault's. A file's name is
a keyed hash of its commitment, so that a copied disk doesn't even tell which openings are here.

There is a file for each entry rather than a table, because a table keeps what was deleted: LevelDB
moves a value and its deletion marker past the levels that compaction on demand looks at. Erasing
overwrites the file, syncs it, removes it and syncs the folder. What a copying file system or an
SSD keeps of overwritten blocks is out of reach from here; it is sealed under the vault's key.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nacl.exceptions
from nacl.secret import SecretBox

from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, InputError, LocalFault
from contracts.sdk.commitments import COMMITMENT_BYTES, SALT_BYTES, opens
from node.files import io_fault, write_durably

KEY_BYTES: Final = SecretBox.KEY_SIZE
VALUE_BYTES_MAX: Final = 64 * 1024
"""The longest value of one opening, encoded: a credit's terms with their documents fit."""
ENTRIES_MAX: Final = 200_000

_OVERHEAD: Final = SecretBox.NONCE_SIZE + SecretBox.MACBYTES
_HEAD_BYTES: Final = KEY_BYTES + _OVERHEAD
_CONTENT_BYTES_MAX: Final = VALUE_BYTES_MAX + 512
KEY_CHECK: Final = "key-check"
"""A file that only the vault's key opens: with another one, every entry would seem missing."""
_NAMES: Final = b"hansa vault name"  # at most 16 bytes: BLAKE2b's personalisation


def smallest_file_bytes() -> int:
    """What no opening's file is shorter than: it is no more than its heads."""
    return _HEAD_BYTES + _OVERHEAD


@dataclass(frozen=True)
class Held:
    """An opening, and the organisation that this node took for its author when it came.

    Who shares a commitment first is its author on chain. A stranger who is quicker with a copy is
    not the author held here, and the opening stays where it is.
    """

    commitment: bytes
    salt: bytes
    value: Any
    author: str
    since_ms: int

    def encoded(self) -> bytes:
        return encode([self.commitment, self.salt, self.value, self.author, self.since_ms])


class VaultStore:
    """The openings under ``folder``, sealed under ``key`` (32 bytes). One process at a time.

    Raises LocalFault VAULT_IO, DISK_FULL, VAULT_KEY_WRONG, or VAULT_CORRUPT for a changed file.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a vault's key has {KEY_BYTES} bytes")
        self._folder = folder
        self._key = key
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._clear_scratch()
            self._check_key(folder / KEY_CHECK)
        except OSError as error:
            raise io_fault("VAULT_IO", folder, error) from None
        self._count = sum(1 for _ in self._paths())
        self.finish_erasures()

    def __len__(self) -> int:
        return self._count

    def put(self, held: Held) -> bool:
        """Keep an opening, synced; False if it is here already (the first author stays).

        Raises InputError OPENING_WRONG for one that doesn't open its commitment, OPENING_TOO_LARGE,
        VAULT_FULL.
        """
        if len(held.salt) != SALT_BYTES or not opens(held.commitment, held.salt, held.value):
            raise InputError("OPENING_WRONG", "salt and value do not open the commitment")
        size = len(encode(held.value))
        if size > VALUE_BYTES_MAX:
            raise InputError("OPENING_TOO_LARGE", f"a value of {size} bytes, {VALUE_BYTES_MAX} fit")
        path = self._path(held.commitment)
        if path.exists():
            return False
        if self._count >= ENTRIES_MAX:
            raise InputError("VAULT_FULL", f"{ENTRIES_MAX} openings are kept; erase some")
        own = secrets.token_bytes(KEY_BYTES)
        sealed = SecretBox(self._key).encrypt(own) + SecretBox(own).encrypt(held.encoded())
        try:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700)
                _sync_folder(self._folder)
            write_durably(path, sealed, replace=False)
        except FileExistsError:
            return False
        except OSError as error:
            raise io_fault("VAULT_IO", path, error) from None
        self._count += 1
        return True

    def __contains__(self, commitment: bytes) -> bool:
        return self._path(commitment).exists()

    def get(self, commitment: bytes) -> Held | None:
        if len(commitment) != COMMITMENT_BYTES:
            return None
        path = self._path(commitment)
        held = self._read(path)
        if held is not None and held.commitment != commitment:
            raise LocalFault("VAULT_CORRUPT", f"{path} holds another commitment's opening")
        return held

    def all(self) -> Iterator[Held]:
        """Every opening, in no order that means anything."""
        for path in self._paths():
            held = self._read(path)
            if held is not None:
                yield held

    def unreadable(self) -> Iterator[Path]:
        """The files that do not open."""
        for path in self._paths():
            try:
                self._read(path)
            except LocalFault as fault:
                if fault.code != "VAULT_CORRUPT":
                    raise
                yield path

    def page(self, after: str, count: int) -> tuple[list[Held], list[str], str]:
        """Some openings behind the place ``after`` ("" is the beginning), the names of files there
        that do not open, and the last one's place, "" when there are no more."""
        names = heapq.nsmallest(count + 1, (one.name for one in self._paths() if one.name > after))
        found = []
        unreadable: list[str] = []
        for name in names[:count]:
            try:
                held = self._read(self._folder / name[:2] / name)
            except LocalFault as fault:
                if fault.code != "VAULT_CORRUPT":
                    raise
                unreadable.append(name)
                continue
            if held is not None:
                found.append(held)
        return found, unreadable, names[count - 1] if len(names) > count else ""

    def erase(self, commitment: bytes) -> bool:
        """Destroy an opening and its key; when this returns, they are gone from the file system.

        False: there was none. A crash on the way leaves a file without its key, and the
        next start removes it.
        """
        path = self._path(commitment)
        try:
            with path.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                # The key first: without it the rest says nothing, should power fail now.
                file.write(bytes(min(_HEAD_BYTES, size)))
                file.flush()
                os.fsync(file.fileno())
                file.write(bytes(max(0, size - _HEAD_BYTES)))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _sync_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise io_fault("VAULT_IO", path, error) from None
        self._count -= 1
        return True

    def finish_erasures(self) -> int:
        """Remove what a crash left of erasures half done, and tell how many there were."""
        found = 0
        for path in list(self._paths()):
            try:
                with path.open("rb") as file:
                    head = file.read(_HEAD_BYTES)
                erased = len(head) > 0 and not any(head)  # an empty file is damage, not erasure
                if erased:
                    path.unlink()
                    _sync_folder(path.parent)
                    self._count -= 1
                    found += 1
            except OSError as error:
                raise io_fault("VAULT_IO", path, error) from None
        return found

    def _read(self, path: Path) -> Held | None:
        try:
            with path.open("rb") as file:
                raw = file.read(_HEAD_BYTES + _CONTENT_BYTES_MAX + _OVERHEAD + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise io_fault("VAULT_IO", path, error) from None
        try:
            own = SecretBox(self._key).decrypt(raw[:_HEAD_BYTES])
            content = SecretBox(own).decrypt(raw[_HEAD_BYTES:])
            return Held(*decode(content, bytes_max=_CONTENT_BYTES_MAX))
        except (nacl.exceptions.CryptoError, ValueError, TypeError, CodecError):
            raise LocalFault("VAULT_CORRUPT", f"{path} does not open with this key") from None

    def _path(self, commitment: bytes) -> Path:
        name = hashlib.blake2b(commitment, digest_size=20, key=self._key, person=_NAMES).hexdigest()
        return self._folder / name[:2] / name

    def _paths(self) -> Iterator[Path]:
        return self._folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")

    def _check_key(self, path: Path) -> None:
        if not path.exists():
            write_durably(path, SecretBox(self._key).encrypt(_NAMES), replace=False)
            return
        try:
            SecretBox(self._key).decrypt(path.read_bytes())
        except (nacl.exceptions.CryptoError, ValueError):
            raise LocalFault(
                "VAULT_KEY_WRONG", f"{path} does not open: this is another vault's key"
            ) from None

    def _clear_scratch(self) -> None:
        """What a crash left of files half written: sealed, but none of ours to erase later."""
        for path in self._folder.glob("*/.*"):
            path.unlink()


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
