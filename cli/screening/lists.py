"""Sanctions lists in OFAC's format: the SDN file with its alternate names, addresses and remarks.

A folder holds ``sdn.csv``, ``alt.csv``, ``add.csv`` and ``sdn_comments.csv`` (or the same behind a
prefix, such as ``ofac_``), without titles, ``-0-`` for nothing: OFAC's data specification of the
delimited files. A list's digest is over names and SHA-256 of its files, so that two institutions
which say the same digest have looked through the same bytes.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError

LIST_NAME: Final = "OFAC-SDN"
FILE_BYTES_MAX: Final = 256 << 20
NOTHING: Final = "-0-"
# What a file's rows have, and which files a list has: the first is the one that must be there.
COLUMNS: Final = {"sdn": 12, "alt": 5, "add": 6, "sdn_comments": 2}
_WEAK_ALIAS: Final = re.compile(r"\ba\.k\.a\. '([^']{1,200})'")
STRONG: Final = "name"
WEAK: Final = "weak alias"
_KINDS: Final = {"aka": "alias", "fka": "former name", "nka": "new name"}


@dataclass(frozen=True)
class ListedName:
    """One name of one entry. Weak aliases are short or common words, in an entry's remarks."""

    entry: str
    name: str
    kind: str
    program: str


@dataclass
class SanctionsList:
    """An edition of a list, and which of its rows were refused, by reason."""

    name: str
    digest: bytes
    entries: dict[str, str] = field(default_factory=dict)  # number -> primary name
    names: list[ListedName] = field(default_factory=list)
    addresses: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def load_list(folder: Path) -> SanctionsList:
    """Raises InputError FILE_NOT_READABLE, LIST_INVALID when there is no SDN file in it, or one
    without a single entry: a page saying "try again later" clears nobody."""
    files = _files(folder)
    if "sdn" not in files:
        raise InputError("LIST_INVALID", f"{folder} holds no sdn.csv")
    raw = {kind: _read(path) for kind, path in files.items()}
    parts = [[kind, sha256(raw[kind])] for kind in sorted(raw)]
    found = SanctionsList(LIST_NAME, sha256(encode(["hansa/sanctions-list/1", parts])))
    programs: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for row in _rows(raw["sdn"], "sdn", found):
        entry, name = row[0], row[1]
        if not entry.isdigit() or not name:
            found.refused["sdn: an entry without number or name"] += 1
        elif entry in found.entries:
            found.refused["sdn: an entry's number twice"] += 1
        else:
            found.entries[entry], programs[entry], remarks[entry] = name, row[3], row[11]
            found.names.append(ListedName(entry, name, STRONG, row[3]))
    if not found.entries:
        reasons = "; ".join(f"{count} times {why}" for why, count in found.refused.items())
        raise InputError("LIST_INVALID", f"{files['sdn']} has no entry; {reasons or 'it is empty'}")
    for row in _rows(raw.get("alt", b""), "alt", found):
        if row[0] not in found.entries:
            found.refused["alt: a name of no entry"] += 1
        elif not row[3] or row[2] not in _KINDS:
            found.refused["alt: no name, or of no known kind"] += 1
        else:
            found.names.append(ListedName(row[0], row[3], _KINDS[row[2]], programs[row[0]]))
    for row in _rows(raw.get("sdn_comments", b""), "sdn_comments", found):
        if row[0] in found.entries:
            remarks[row[0]] += row[1]
        else:
            found.refused["sdn_comments: remarks of no entry"] += 1
    for row in _rows(raw.get("add", b""), "add", found):
        if row[0] in found.entries:
            found.addresses += 1
        else:
            found.refused["add: an address of no entry"] += 1
    for entry, text in remarks.items():
        for alias in _WEAK_ALIAS.findall(text):
            found.names.append(ListedName(entry, alias, WEAK, programs[entry]))
    return found


def _files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else []:
        stem = path.stem.lower()
        for kind in ("sdn_comments", "sdn", "alt", "add"):  # the longest first
            if stem == kind or stem.endswith(f"_{kind}"):
                found.setdefault(kind, path)
                break
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError("FILE_NOT_READABLE", f"{path}: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("LIST_INVALID", f"{path} is larger than {FILE_BYTES_MAX} bytes")
    return raw


def _rows(raw: bytes, kind: str, found: SanctionsList) -> Iterator[list[str]]:
    """Rows of the right width, each cell trimmed and ``-0-`` empty; others are counted."""
    text = raw.decode("utf-8", errors="replace").replace("\x1a", "").replace("\0", "")
    reader = csv.reader(io.StringIO(text, newline=""))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            found.refused[f"{kind}: a row that can't be read"] += 1
            continue
        if not row:
            continue
        if len(row) != COLUMNS[kind]:
            found.refused[f"{kind}: a row without {COLUMNS[kind]} columns"] += 1
            continue
        cells = [cell.strip() for cell in row]
        yield ["" if cell == NOTHING else cell for cell in cells]
