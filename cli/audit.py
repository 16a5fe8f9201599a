"""`hansa audit`: the chain's audit trail as a file, each row checked against its block."""

from __future__ import annotations

import datetime
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli import output
from cli.proof import chain_line, trust_options
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_from_json
from consensus.primitives.errors import HansaError, InputError

if TYPE_CHECKING:
    from cli.audit_rows import End, Wanted
    from cli.proven import Source

SAY_S: Final = 2.0
DAY_MS: Final = 86_400_000
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_HEIGHT: Final = re.compile(r"\d{1,18}\Z", re.ASCII)


@click.group()
def audit() -> None:
    """Who changed which record, when, and what the signature meant."""


@audit.command()
@click.option("--from", "begin", metavar="WHEN", help="First block: a height, date or time (UTC).")
@click.option("--to", "end", metavar="WHEN", help="Last block, likewise; a date is that whole day.")
@click.option("--item", metavar="ITEM", help="The whole history of a lot, serial or logistic unit.")
@click.option("--record", metavar="KEY", help="Records that have KEY (text or hex) in their key.")
@click.option("--of", "record_of", metavar="CONTRACT[.MAP]", help="Only these records.")
@click.option("--organisation", metavar="ID", help="Only what keys of this organisation signed.")
@click.option("--format", "form", type=click.Choice(("csv", "json")), default="csv")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option(
    "--openings",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with openings that name the persons who signed.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Read a stopped node's data folder instead of asking a node.",
)
@trust_options
@node_option
@json_option
def export(
    begin: str | None,
    end: str | None,
    item: str | None,
    record: str | None,
    record_of: str | None,
    organisation: str | None,
    form: str,
    out: Path,
    openings: Path | None,
    data: Path | None,
    genesis: Path | None,
    chain_id: str | None,
) -> None:
    """Write the audit trail of a period to a file: a row for each record that a call changed.

    Nothing is taken on the node's word but, without --genesis or --chain-id, which chain it is:
    blocks are checked against their certificates and each other, rows against the receipts that
    the block's header names. The last row says which blocks the file covers. CSV is safe to open
    in a spreadsheet.

    \b
    Examples:
      hansa audit export --from 2026-11-01 --to 2026-11-30 --out november.csv
      hansa audit export --item "(01)09520123456788(10)ABC1" --format json --out abc1.json
      hansa audit export --organisation 4012345000009 --from 1200 --out acts.csv
    """
    from cli.audit_filters import item_path, require_known, wanted_of
    from cli.proven import open_source

    if out.exists():
        raise InputError("FILE_EXISTS", f"{out} is there already")
    names = {} if openings is None else names_in(openings)
    asked = {
        "item": item,
        "record": record,
        "of": record_of,
        "organisation": organisation,
    }
    if item is not None:
        item_path(item)  # a mistake is told before a node is asked
    with open_source(data, genesis, chain_id) as source:
        wanted = wanted_of(
            source, item=item, record=record, record_of=record_of, organisation=organisation
        )
        first = 1 if begin is None else max(1, height_at(source, begin, is_end=False))
        last = source.height if end is None else height_at(source, end, is_end=True)
        if first > last or last > source.height:
            raise InputError(
                "PERIOD_EMPTY",
                f"no block lies from {first} to {last}: the newest is {_newest(source)}",
            )
        if end is not None and last == source.height:
            _tell_ahead(source, end)
        described = {name: text for name, text in asked.items() if text is not None}

        def without_rows() -> None:
            if item is not None:
                require_known(source.ask, item)

        told = write_export(
            source, first, last, wanted, form, out, names, output.say, described, without_rows
        )
    if current().json:
        output.print_json({"file": str(out), **told.as_json()})
    else:
        click.echo(f"{out}: {summary(told)}")
        output.say(chain_line(told.chain_id, pinned=bool(genesis or chain_id)))


def summary(told: End) -> str:
    """What an export holds, and how far that is proven, in a line."""
    blocks = f"blocks {told.first} to {told.last}"
    if not told.rows:
        asked = ", ".join(f"--{name} {text}" for name, text in told.wanted.items())
        return f"no rows: in {blocks} no record was changed that fits {asked or 'an audit trail'}"
    rows = output.counted(told.rows, "row")
    if told.uncertified:
        return (
            f"{rows} of {blocks}, each proven by its block; of {told.uncertified} blocks the"
            " certificate was not checked, as votes have changed validators or parameters"
        )
    return f"{rows} of {blocks}, each proven by its block"


def _newest(source: Source) -> str:
    from cli.audit_rows import utc

    return f"{source.height}, of {utc(source.sealed(source.height).block.header.time_ms)}"


def _tell_ahead(source: Source, end: str) -> None:
    """Say so where the period goes on after the newest block: what comes then is not in it."""
    if not _HEIGHT.match(end):
        newest_ms = source.sealed(source.height).block.header.time_ms
        if _moment_ms(end, is_end=True) > newest_ms:
            output.say(
                f"--to {end} is not over on the chain: its newest block is {_newest(source)}"
            )


# --- which blocks --------------------------------------------------------------------------------


def height_at(source: Source, when: str, *, is_end: bool) -> int:
    """The first block at or after a moment; with ``is_end`` the last one at or before it.

    ``when`` is a height, a UTC date, or an ISO time. Raises InputError PERIOD_UNREADABLE.
    """
    if _HEIGHT.match(when):
        return int(when)
    time_ms = _moment_ms(when, is_end=is_end)
    low, high = 1, source.height + 1  # the first block that lies after, or not before
    while low < high:
        middle = (low + high) // 2
        found = source.sealed(middle).block.header.time_ms
        if found < time_ms or (is_end and found == time_ms):
            low = middle + 1
        else:
            high = middle
    return low - 1 if is_end else low


def _moment_ms(when: str, *, is_end: bool) -> int:
    """A UTC date or ISO time; with ``is_end`` a date is its last millisecond. Raises
    PERIOD_UNREADABLE."""
    try:
        moment = datetime.datetime.fromisoformat(when)
    except ValueError:
        raise InputError("PERIOD_UNREADABLE", f"{when!r} is no height, date or time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    time_ms = int(moment.timestamp() * 1000)
    return time_ms + DAY_MS - 1 if _DATE.match(when) and is_end else time_ms


# --- writing -------------------------------------------------------------------------------------


def write_export(
    source: Source,
    first: int,
    last: int,
    wanted: Wanted,
    form: str,
    out: Path,
    names: dict[str, str],
    say: Callable[[str], None],
    described: dict[str, str] | None = None,
    without_rows: Callable[[], None] = lambda: None,
) -> End:
    """Export blocks ``first`` to ``last``; the file appears when it is whole. ``without_rows`` is
    called before one is written that has none, and may raise.

    ``names`` are persons' names by commitment in hex. Memory does not grow with the export.
    Raises InputError NOT_PROVEN.
    """
    from cli.audit_rows import CsvWriter, End, JsonWriter, Spool, Writer, utc
    from cli.proven import ProvenBlocks

    blocks = ProvenBlocks(source)
    told = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".hansa-audit-", dir=out.parent) as folder:
        spool = Spool(Path(folder) / "rows")
        try:
            first_block = last_block = ""
            last_ms = 0
            for block in blocks.walk(first, last):
                spool.take(block, wanted)
                last_block = block.block.hash.hex()
                first_block = first_block or last_block
                last_ms = block.block.header.time_ms
                if time.monotonic() - told > SAY_S:
                    told = time.monotonic()
                    say(f"block {block.height} of {last}, {spool.rows} rows")
            if not spool.rows:
                without_rows()
            chain_id = source.document.chain_id.hex()
            end = End(
                chain_id,
                first,
                last,
                first_block,
                last_block,
                utc(last_ms),
                blocks.uncertified,
                described or {},
            )
            made = Path(folder) / "export"
            with made.open("wb") as file:
                writer: Writer = CsvWriter(file) if form == "csv" else JsonWriter(file)
                for row in spool.read(names):
                    writer.row(row)
                    end.rows += 1
                writer.end(end)
                file.flush()
                os.fsync(file.fileno())
            if names:
                made.chmod(0o600)  # persons are named in it
            made.replace(out)
        finally:
            spool.close()
    return end


def names_in(folder: Path) -> dict[str, str]:
    """Texts by their commitment in hex, of all openings in a folder that do open it."""
    from contracts.sdk.commitments import commit

    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            for one in json.loads(path.read_bytes())["openings"]:
                value = data_from_json(one["value"])
                made = commit(bytes.fromhex(one["salt"]), value).hex()
                if type(value) is str and made == one["commitment"]:
                    found[made] = value
        except (ValueError, KeyError, TypeError, RecursionError, HansaError):
            raise InputError("BAD_OPENINGS", f"{path} holds no openings") from None
    return found
