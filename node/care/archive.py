"""The form of a backup: a tar file whose parts each have a digest, and a manifest over all.

::

    head.json              format, chain id, layout version, height and block hash, when and where
    genesis.json           and config.toml, if there is one
    chain/00000000         the store's pairs in key order: zlib over an array key, value, ..
    vault/ab/abcdef..      openings as they are on the disk: sealed under the vault's key
    manifest.json          name, bytes, SHA-256 and pairs of every part, and a digest over that

Tar, so that any machine can look at it; what counts is the manifest, which comes last: a file that
ends early has none. Names are matched against this list and never used as paths.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, InputError

FORMAT: Final = "hansa-backup/1"
PART_BYTES: Final = 4 << 20
"""Of pairs, before one more: a part is written, checked and held in memory as a whole."""
PART_BYTES_MAX: Final = 256 << 20
JSON_BYTES_MAX: Final = 64 << 20
PAIRS_MAX: Final = 1 << 22
HEAD: Final = "head.json"
MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(
    r"head\.json|genesis\.json|config\.toml|manifest\.json|chain/[0-9]{8}"
    r"|vault/key-check|vault/[0-9a-f]{2}/[0-9a-f]{40}"
)


@dataclass(frozen=True)
class Head:
    """Whose data, as of which block. Times are Unix milliseconds."""

    chain_id: str
    layout: int
    height: int
    block_hash: str
    block_time_ms: int
    made_ms: int
    node: str
    format: str = FORMAT

    @classmethod
    def from_json(cls, raw: bytes) -> Head:
        """Raises InputError BACKUP_CORRUPT, BACKUP_FORMAT."""
        value = _object(raw, HEAD)
        if value.get("format") != FORMAT:
            told = str(value.get("format"))[:40]
            raise InputError(
                "BACKUP_FORMAT", f"a backup of form {told}, this release knows {FORMAT}"
            )
        kinds = {name: type(one) for name, one in value.items()}
        wanted: dict[str, type] = {
            **dict.fromkeys(("chain_id", "block_hash", "node", "format"), str),
            **dict.fromkeys(("layout", "height", "block_time_ms", "made_ms"), int),
        }
        if kinds != wanted:
            raise _corrupt(HEAD, "does not have the fields of a head")
        return cls(**value)


@dataclass(frozen=True)
class Part:
    name: str
    bytes: int
    sha256: str
    pairs: int


@dataclass(frozen=True)
class Contents:
    """A backup whose every part has been checked. ``digest`` names it as a whole."""

    head: Head
    parts: tuple[Part, ...]
    digest: str

    @property
    def pairs(self) -> int:
        return sum(one.pairs for one in self.parts)

    @property
    def openings(self) -> int:
        return sum(one.name.startswith("vault/") for one in self.parts) - (
            any(one.name == "vault/key-check" for one in self.parts)
        )


def _corrupt(where: str, what: str) -> InputError:
    return InputError("BACKUP_CORRUPT", f"{where} {what}")


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise _corrupt(what, "is not JSON") from None
    if type(value) is not dict:
        raise _corrupt(what, "is not an object")
    return value


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(head: Head, parts: list[Part]) -> str:
    whole = {"head": asdict(head), "parts": [asdict(one) for one in parts]}
    return hashlib.sha256(_json(whole)).hexdigest()


class Writer:
    """Writes a backup's parts into an open file, one after the other."""

    def __init__(self, file: IO[bytes], head: Head) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._head = head
        self._parts: list[Part] = []
        self._chain = 0
        self._add(HEAD, _json(asdict(head)))

    def _add(self, name: str, data: bytes, pairs: int = 0) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), 0o600, self._head.made_ms // 1000
        self._tar.addfile(info, io.BytesIO(data))
        self._parts.append(Part(name, len(data), hashlib.sha256(data).hexdigest(), pairs))

    def file(self, name: str, data: bytes) -> None:
        self._add(name, data)

    def pairs(self, flat: list[bytes]) -> None:
        """``flat``: key, value, key, value ..."""
        self._add(f"chain/{self._chain:08}", zlib.compress(encode(flat), 1), len(flat) // 2)
        self._chain += 1

    def finish(self) -> Contents:
        digest = _digest(self._head, self._parts)
        manifest = {
            "head": asdict(self._head),
            "parts": [asdict(one) for one in self._parts],
            "digest": digest,
        }
        data = _json(manifest)
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode, info.mtime = len(data), 0o600, self._head.made_ms // 1000
        self._tar.addfile(info, io.BytesIO(data))
        self._tar.close()
        return Contents(self._head, tuple(self._parts), digest)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each part in order. Raises InputError BACKUP_CORRUPT, FILE_NOT_READABLE."""
    try:
        with tarfile.open(path, mode="r|") as tar:
            for info in tar:
                if not _NAME.fullmatch(info.name) or not info.isreg():
                    raise _corrupt(f"{path}: part {info.name[:80]!r}", "does not belong there")
                limit = PART_BYTES_MAX if info.name.startswith("chain/") else JSON_BYTES_MAX
                if info.size > limit:
                    raise _corrupt(f"{path}: part {info.name}", f"has {info.size} bytes")
                source = tar.extractfile(info)
                assert source is not None, "regular files have contents"
                yield info.name, source.read()
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise _corrupt(str(path), f"is no backup, or a damaged one: {error}") from None
    except OSError as error:
        raise InputError("FILE_NOT_READABLE", f"{path}: {error.strerror or error}") from None


def pairs_of(name: str, data: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of a chain part. Raises InputError BACKUP_CORRUPT."""
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(data, PART_BYTES_MAX)
        if not unpack.eof or unpack.unused_data:
            raise _corrupt(name, "is cut off, too large, or followed by something")
        flat = decode(raw, bytes_max=PART_BYTES_MAX, items_max=PAIRS_MAX)
    except (zlib.error, CodecError) as error:
        raise _corrupt(name, f"is damaged: {error}") from None
    if type(flat) is not list or len(flat) % 2 or any(type(one) is not bytes for one in flat):
        raise _corrupt(name, "is no list of pairs")
    return list(zip(flat[::2], flat[1::2], strict=True))


def check(path: Path) -> Contents:
    """Read all of a backup: every part's digest, the order of the pairs, the digest of the whole.

    Raises InputError BACKUP_CORRUPT naming the part, BACKUP_FORMAT, FILE_NOT_READABLE.
    """
    head: Head | None = None
    parts: list[Part] = []
    manifest: dict[str, Any] | None = None
    last = b""
    for name, data in members(path):
        if manifest is not None:
            raise _corrupt(f"{path}: part {name}", "comes after the manifest")
        if name == MANIFEST:
            manifest = _object(data, MANIFEST)
            continue
        if (name == HEAD) is not (head is None):
            raise _corrupt(f"{path}: part {name}", "comes where the head should be, or twice")
        pairs = 0
        if name == HEAD:
            head = Head.from_json(data)
        elif name.startswith("chain/"):
            if name != f"chain/{sum(one.name.startswith('chain/') for one in parts):08}":
                raise _corrupt(f"{path}: part {name}", "is not the next one")
            for key, _ in pairs_of(name, data):
                if key <= last:
                    raise _corrupt(f"{path}: part {name}", "is not in the order of its keys")
                last = key
                pairs += 1
        parts.append(Part(name, len(data), hashlib.sha256(data).hexdigest(), pairs))
    if head is None or manifest is None:
        behind = f"after {parts[-1].name}" if parts else "at once"
        raise _corrupt(str(path), f"ends {behind}, without its manifest: it is cut off or damaged")
    _compare(path, manifest, head, parts)
    return Contents(head, tuple(parts), _digest(head, parts))


def _compare(path: Path, manifest: dict[str, Any], head: Head, parts: list[Part]) -> None:
    found = [asdict(one) for one in parts]
    named = manifest.get("parts")
    if manifest.get("head") != asdict(head):
        raise _corrupt(f"{path}: part {HEAD}", "is not the one in the manifest")
    if type(named) is not list:
        raise _corrupt(f"{path}: {MANIFEST}", "names no parts")
    for ours, theirs in zip(found, named, strict=False):
        if ours != theirs:
            raise _corrupt(f"{path}: part {ours['name']}", "is not what the manifest says")
    if len(found) != len(named):
        raise _corrupt(str(path), f"has {len(found)} parts, its manifest names {len(named)}")
    if manifest.get("digest") != _digest(head, parts):
        raise _corrupt(f"{path}: {MANIFEST}", "does not have the digest over its parts")
