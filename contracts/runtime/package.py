"""Packages: a contract's source as it stands on chain, and its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Final

from consensus.primitives.codec import HASH, Items, Nested, Text, UInt, Wire
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError

RUNTIME: Final = 1  # the version of SDK types, step table, dialect and calling rules

FILE_BYTES_MAX: Final = 60_000
FILES_MAX: Final = 32
_WORD: Final = re.compile(r"[0-9A-Za-z_]+|[^0-9A-Za-z_\s]", re.ASCII)  # no rule of the dialect's
PATH: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(/[a-z][a-z0-9_]{0,31}){0,4}\.py")


def _check_paths(paths: list[str]) -> None:
    for path in paths:
        if not PATH.fullmatch(path):
            raise CodecError("MALFORMED", f"not a source path: {path[:80]!r}")
    if len(set(paths)) != len(paths):
        raise CodecError("MALFORMED", "two files of one path")


@dataclass(frozen=True)
class SourceFile(Wire):
    """One file of source. ``path`` is also what other files import it by."""

    path: Annotated[str, Text(128)]
    text: Annotated[str, Text(FILE_BYTES_MAX)]

    bytes_max: ClassVar[int] = FILE_BYTES_MAX + 256

    @cached_property
    def sha256(self) -> bytes:
        return sha256(self.text.encode())


@dataclass(frozen=True)
class FileHash(Wire):
    """A file named by its content."""

    path: Annotated[str, Text(128)]
    sha256: Annotated[bytes, HASH]


@dataclass(frozen=True)
class Manifest(Wire):
    """What a contract runs: the files' hashes, in import order."""

    name: Annotated[str, Text(64)]
    version: Annotated[int, UInt()]
    runtime: Annotated[int, UInt()]
    files: Annotated[tuple[FileHash, ...], Items(Nested(FileHash), FILES_MAX, 1)]

    def __post_init__(self) -> None:
        _check_paths([file.path for file in self.files])


@dataclass(frozen=True)
class Package(Wire):
    """A contract module whole. Files stand in import order; the last one has the Contract class.

    Raises CodecError for paths that are none or stand twice.
    """

    name: Annotated[str, Text(64)]
    version: Annotated[int, UInt()]
    runtime: Annotated[int, UInt()]
    files: Annotated[tuple[SourceFile, ...], Items(Nested(SourceFile), FILES_MAX, 1)]

    bytes_max: ClassVar[int] = FILES_MAX * (FILE_BYTES_MAX + 256)

    def __post_init__(self) -> None:
        _check_paths([file.path for file in self.files])

    @cached_property
    def manifest(self) -> Manifest:
        files = tuple(FileHash(file.path, file.sha256) for file in self.files)
        return Manifest(self.name, self.version, self.runtime, files)

    @property
    def size(self) -> int:
        """Bytes of source."""
        return sum(len(file.text.encode()) for file in self.files)

    @property
    def words(self) -> int:
        """Words and other signs of source, those of comments and texts among them."""
        return sum(len(_WORD.findall(file.text)) for file in self.files)


def package_of(files: Iterable[tuple[str, str]]) -> Package:
    """The package of (path, text) pairs in import order; name and version as its class says.

    Raises InputError CONTRACT_REFUSED when they can't be told.
    """
    from contracts.runtime.source import class_constants

    sources = tuple(SourceFile(path, text) for path, text in files)
    if not sources:
        raise InputError("CONTRACT_REFUSED", "a package has at least one file")
    constants = class_constants(sources[-1])
    name, version = constants.get("name"), constants.get("version", 1)
    if type(name) is not str or type(version) is not int or not name or version < 0:
        raise InputError(
            "CONTRACT_REFUSED", f"{sources[-1].path}: no contract class with name and version"
        )
    try:
        return Package(name, version, RUNTIME, sources)
    except CodecError as error:
        raise InputError("CONTRACT_REFUSED", error.message) from None
