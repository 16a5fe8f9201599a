"""Rows of an audit export: from the events ``Written`` of proven blocks, to CSV and JSON."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from cli.proven import ProvenBlock
from consensus.primitives.codec import data_to_json
from consensus.receipt import OK, Event
from contracts.runtime.audit import EVENT, NO_RECORD

FORMAT: Final = "hansa-audit/1"
HASH_BYTES: Final = len(NO_RECORD)
COLUMNS: Final = (
    "row",  # record, or end
    "time",
    "who",
    "key",
    "roles",
    "contract",
    "method",
    "meaning",
    "record_of",
    "record",
    "change",
    "old_sha256",
    "new_sha256",
    "signatures",
    "transaction",
    "block",
    "position",
    "effect",  # of a captured EPCIS event
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def utc(time_ms: int) -> str:
    """ISO 8601, to the millisecond."""
    seconds, rest = divmod(time_ms, 1000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def key_text(key: Any) -> str:
    """The parts of a record's key: the one part as it is, several or other than text as JSON."""
    return key if type(key) is str else json.dumps(data_to_json(key), ensure_ascii=False)


@dataclass(frozen=True)
class Wanted:
    """What of the trail is exported. Empty means all."""

    organisation: str = ""
    parts: tuple[Any, ...] = ()  # one of them is a part of the record's key
    record_of: str = ""  # CONTRACT or CONTRACT.MAP

    def has(self, organisation: str, record_of: str, key: Any) -> bool:
        if self.organisation and organisation != self.organisation:
            return False
        if self.record_of and self.record_of not in (record_of, record_of.partition(".")[0]):
            return False
        parts = key if type(key) is list else [key]
        return not self.parts or any(part in self.parts for part in parts)


def rows_of(block: ProvenBlock, wanted: Wanted) -> Iterator[dict[str, str]]:
    """A row, by column, for each record that the block's calls changed."""
    for index, receipt in enumerate(block.receipts):
        effect = ""
        for number, event in enumerate(receipt.events):
            if (event.contract, event.name) == ("epcis", "Captured"):
                effect = event.fields["effect"] if event.fields["effect_code"] == OK else ""
            elif event.name == EVENT:  # behind the call's own events
                for row in _rows(block, index, number, event, wanted):
                    yield row | {"effect": effect}
                effect = ""


def _rows(
    block: ProvenBlock, index: int, number: int, event: Event, wanted: Wanted
) -> Iterator[dict[str, str]]:
    told, tx_id = event.fields, block.tx_id(index)
    head = {
        "row": "record",
        "time": utc(told["time"]),
        "who": told["organisation"] or f"contract {event.contract}",
        "key": told["key"].hex(),
        "roles": " ".join(told["roles"]),
        "contract": event.contract,
        "method": told["method"],
        "meaning": told["meaning"],
        "transaction": "" if tx_id is None else tx_id.hex(),
        "block": block.block.hash.hex(),
        "position": f"{block.height}.{index}.{number}",
    }
    for group in told["records"]:
        record_of = f"{group['contract']}.{group['map']}"
        for place, key in enumerate(group["keys"]):
            if not wanted.has(told["organisation"], record_of, key):
                continue
            at = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
            old, new = group["old"][at], group["new"][at]
            change = "created" if old == NO_RECORD else "changed"
            yield head | {
                "record_of": record_of,
                "record": key_text(key),
                "change": "deleted" if new == NO_RECORD else change,
                "old_sha256": "" if old == NO_RECORD else old.hex(),
                "new_sha256": "" if new == NO_RECORD else new.hex(),
            }


# --- keeping them until the last block is read ---------------------------------------------------


class Spool:
    """Rows and electronic signatures on disk: a record's signature stands in a later block."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(
            "pragma journal_mode = off; pragma synchronous = off; begin;"
            "create table row (at integer primary key, text text);"
            "create table signature (at integer primary key, record text, text text);"
            "create index by_record on signature (record)"
        )
        self.rows = 0

    def take(self, block: ProvenBlock, wanted: Wanted) -> None:
        for row in rows_of(block, wanted):
            self.rows += 1
            self._db.execute("insert into row (text) values (?)", (json.dumps(row),))
        for index, receipt in enumerate(block.receipts):
            for event in receipt.events:
                if (event.contract, event.name) == ("identity", "RecordSigned"):
                    self._sign(block, index, event.fields)

    def _sign(self, block: ProvenBlock, index: int, told: Mapping[str, Any]) -> None:
        tx_id = block.tx_id(index)
        signature = {
            "name": told["name"].hex(),
            "user": told["user"],
            "organisation": told["organisation"],
            "key": told["key"].hex(),
            "meaning": told["meaning"],
            "time": utc(block.block.header.time_ms),
            "transaction": "" if tx_id is None else tx_id.hex(),
            "height": block.height,
        }
        self._db.execute(
            "insert into signature (record, text) values (?, ?)",
            (told["record"].hex(), json.dumps(signature)),
        )

    def signatures(self, record: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
        """The electronic signatures of the record with this hash, in the chain's order."""
        if not record:
            return []
        found = self._db.execute(
            "select text from signature where record = ? order by at", (record,)
        )
        made = [json.loads(text) for (text,) in found]
        for one in made:
            one["name"] = names.get(one["name"], f"commitment {one['name']}")
        return made

    def read(self, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The rows in the chain's order, each with the signatures of what it wrote."""
        for (text,) in self._db.execute("select text from row order by at"):
            row = json.loads(text)
            row["signatures"] = self.signatures(row["new_sha256"], names)
            yield row

    def close(self) -> None:
        self._db.close()


# --- writing them --------------------------------------------------------------------------------


@dataclass
class End:
    """What an export says of itself, last: which blocks it covers, and what it holds."""

    chain_id: str
    first: int
    last: int
    first_block: str
    last_block: str
    last_time: str
    uncertified: int  # blocks whose certificate could not be checked without a replay
    wanted: dict[str, str]
    rows: int = 0
    sha256: str = ""  # of all bytes of the file before this record

    def as_json(self) -> dict[str, Any]:
        return {
            "chain_id": self.chain_id,
            "from_height": self.first,
            "to_height": self.last,
            "first_block": self.first_block,
            "last_block": self.last_block,
            "last_block_time": self.last_time,
            "blocks_without_checked_certificate": self.uncertified,
            "wanted": self.wanted,
            "rows": self.rows,
            "sha256": self.sha256,
        }


class Writer(Protocol):
    def row(self, row: Mapping[str, Any]) -> None: ...
    def end(self, end: End) -> None: ...


class _Hashed:
    """A file, and the SHA-256 of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, text: str) -> None:
        raw = text.encode()
        self._hash.update(raw)
        self._file.write(raw)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: it gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class CsvWriter:
    """RFC 4180, every cell quoted; the last row, ``end``, has what the file says of itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._out = _Hashed(file)
        self._line(dict(zip(COLUMNS, COLUMNS, strict=True)))

    def row(self, row: Mapping[str, Any]) -> None:
        signatures = "; ".join(
            f"{one['meaning']} by {one['name']} ({one['user']} of {one['organisation']})"
            f" {one['time']}"
            for one in row["signatures"]
        )
        self._line({**row, "signatures": signatures})

    def end(self, end: End) -> None:
        end.sha256 = self._out.sha256
        facts = json.dumps(end.as_json(), ensure_ascii=False)
        place = {"time": end.last_time, "block": end.last_block}
        self._line({"row": "end", "record": facts, **place})

    def _line(self, row: Mapping[str, str]) -> None:
        line = io.StringIO()
        cells = [safe_cell(row.get(name, "")) for name in COLUMNS]
        csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
        self._out.write(line.getvalue())


class JsonWriter:
    """One JSON object: ``format``, ``rows``, ``end``."""

    def __init__(self, file: IO[bytes]) -> None:
        self._out = _Hashed(file)
        self._out.write(f'{{"format": "{FORMAT}",\n"rows": [')
        self._separator = "\n"

    def row(self, row: Mapping[str, Any]) -> None:
        self._out.write(self._separator + json.dumps(row, ensure_ascii=False))
        self._separator = ",\n"

    def end(self, end: End) -> None:
        self._out.write("\n],\n")
        end.sha256 = self._out.sha256
        self._out.write(f'"end": {json.dumps(end.as_json(), ensure_ascii=False)}}}\n')
