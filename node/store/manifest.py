"""LevelDB's list of its files, read before LevelDB reads it.

LevelDB believes a manifest up to where it looks cut off, and then goes on from an older list: it
leaves out tables, or writes new ones over them. But the log that a list names is removed only once
a newer list is on the disk. So a list whose log is gone is not the newest, and a table that is not
there in full length is damaged: both are refused here, with the file's name, before anything is
written. (Format: LevelDB's doc/log_format.md and db/version_edit.cc.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consensus.primitives.errors import LocalFault

BLOCK_BYTES: Final = 32 << 10
_HEAD_BYTES: Final = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CASTAGNOLI: Final = 0x82F63B78
_TABLE_SUFFIXES: Final = (".ldb", ".sst")


def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC: Final = _table()


def _masked_crc(data: bytes) -> int:
    """CRC-32C as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for one in data:
        crc = crc >> 8 ^ _CRC[(crc ^ one) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(raw: bytes) -> Iterator[bytes]:
    """The records of a log file, up to where it looks torn. Raises ValueError for damage."""
    at = 0
    parts: list[bytes] = []
    while True:
        room = BLOCK_BYTES - at % BLOCK_BYTES
        if room < _HEAD_BYTES:
            at += room
            continue
        head = raw[at : at + _HEAD_BYTES]
        if len(head) < _HEAD_BYTES:
            return
        size, kind = int.from_bytes(head[4:6], "little"), head[6]
        body = raw[at + _HEAD_BYTES : at + _HEAD_BYTES + size]
        if size > room - _HEAD_BYTES:
            raise ValueError(f"the record at byte {at} is longer than its block")
        if len(body) < size:
            return
        if _masked_crc(head[6:] + body) != int.from_bytes(head[:4], "little"):
            raise ValueError(f"the record at byte {at} does not have its checksum")
        at += _HEAD_BYTES + size
        if bool(parts) is not (kind in (_MIDDLE, _LAST)):
            raise ValueError(f"the records before byte {at} are not in order")
        parts.append(body)
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []


@dataclass
class _Files:
    """What the edits so far come to."""

    log: int = 0
    tables: dict[int, int] = field(default_factory=dict)
    """Number -> size in bytes."""


class _Edit:
    """One record: tagged fields of varints and strings with their lengths."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def _number(self) -> int:
        value = shift = 0
        while True:
            one = self._raw[self._at]
            self._at += 1
            value |= (one & 0x7F) << shift
            if one < 0x80:
                return value
            shift += 7

    def _skip_string(self) -> None:
        size = self._number()  # which itself moves on
        self._at += size

    def apply(self, files: _Files) -> None:
        """Raises ValueError, IndexError for what is no edit."""
        while self._at < len(self._raw):
            tag = self._number()
            if tag == 1:  # comparator
                self._skip_string()
            elif tag == 2:
                files.log = self._number()
            elif tag in (3, 4, 9):  # next file, last sequence, previous log
                self._number()
            elif tag == 5:  # compact pointer
                self._number()
                self._skip_string()
            elif tag == 6:  # deleted: level, file
                self._number()
                files.tables.pop(self._number(), None)
            elif tag == 7:  # new: level, file, size, first and last key
                self._number()
                number = self._number()
                files.tables[number] = self._number()
                self._skip_string()
                self._skip_string()
            else:
                raise ValueError(f"a field {tag} that no edit has")


def _unlisted(folder: Path, files: _Files, data: list[str]) -> bool:
    """Whether there is anything that a list without a log leaves out: one of a store that was just
    made has nothing, one of LevelDB's repair has all tables."""
    return any(
        (folder / one).stat().st_size > 0
        if one.endswith(".log")
        else not one.partition(".")[0].isdigit() or int(one.partition(".")[0]) not in files.tables
        for one in data
    )


def check_files(folder: Path) -> None:
    """Raises LocalFault STORE_CORRUPT naming the file that is missing, cut off or damaged; OSError.
    An empty folder is no store yet."""

    def corrupt(name: str, what: str) -> LocalFault:
        return LocalFault("STORE_CORRUPT", f"store {folder}: {name} {what}")

    data = sorted(one.name for one in folder.iterdir() if one.suffix in (*_TABLE_SUFFIXES, ".log"))
    current = folder / "CURRENT"
    if not current.exists():
        if data:  # LevelDB would take the folder for a new one and delete them
            raise corrupt("CURRENT", f"is missing beside {data[0]}")
        return
    name = current.read_bytes().rstrip(b"\n").decode("ascii", "replace")
    if not name.startswith("MANIFEST-") or "/" in name or not (folder / name).is_file():
        raise corrupt("CURRENT", "does not name a manifest that is there")
    files = _Files()
    try:
        for record in _records((folder / name).read_bytes()):
            _Edit(record).apply(files)
    except (ValueError, IndexError) as error:
        raise corrupt(name, f"is damaged: {error}") from None
    if files.log and not (folder / f"{files.log:06}.log").is_file():
        raise corrupt(name, f"is not the newest list of files, or {files.log:06}.log is missing")
    if not files.log and _unlisted(folder, files, data):
        raise corrupt(name, "is not the newest list of files")
    for number, size in files.tables.items():
        found = [folder / f"{number:06}{suffix}" for suffix in _TABLE_SUFFIXES]
        path = next((one for one in found if one.is_file()), None)
        if path is None:
            raise corrupt(f"{number:06}.ldb", "is missing")
        if path.stat().st_size != size:
            raise corrupt(path.name, f"has {path.stat().st_size} bytes, {size} were written")
