"""`hansa epcis`: GS1 EPCIS documents in and out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.epcis.event_hash import ni_uri
from cli.epcis.importing import AT_ONCE, CAPTURED, Importer, Row, prepared
from cli.settings import current, json_option, key_option, node_option

if TYPE_CHECKING:
    from cli.epcis.exporting import Exported

_COLUMNS = ("document", "event", "effect", "code", "number", "block", "transaction", "message")


@click.group()
def epcis() -> None:
    """Capture and export GS1 EPCIS events: JSON-LD, XML 2.0 and 1.2. See docs/spec/epcis.md"""


_FILES = click.argument(
    "files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)
_OPENINGS = click.option(
    "--openings", "folder", envvar="HANSA_OPENINGS",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where what opens the documents is kept (default: beside the key).",
)  # fmt: skip


@epcis.command()
@_FILES
@json_option
def check(files: tuple[Path, ...]) -> None:
    """Say whether the events in FILES are valid, and their CBV hashes, without a node.

    A FILE of - is the standard input. Exit code 1 if any event is refused, or a file can't be read.

    \b
    Example:
      hansa epcis check shipment.json
    """
    rows = []
    for file in files:
        for number, found in prepared(file, lambda _gln: True):
            if isinstance(found, Row):
                rows.append(found)
                continue
            code = str(found.call.args.get("without", "OK"))
            rows.append(Row(file.name, number, code, hash=ni_uri(found.digest), number=0))
    refused = Counter(row.code for row in rows if not row.is_captured)
    if current().json:
        shown = [{"document": row.document, "event": row.event, "code": row.code, "hash": row.hash,
                  "message": row.message} for row in rows]  # fmt: skip
        output.print_json({"events": shown, "refused": dict(sorted(refused.items()))})
    else:
        cells = [(row.document, row.event, row.code, row.hash or row.message) for row in rows]
        click.echo(output.table(("document", "event", "code", "event hash, or why not"), cells))
    if refused:
        click.get_current_context().exit(output.REFUSED)


@epcis.command("import")
@_FILES
@click.option(
    "--independent",
    is_flag=True,
    help=f"The files do not rest on each other: {AT_ONCE} go on at once.",
)
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 600), default=60, show_default=True,
              help="Seconds to wait for each event to be committed.")  # fmt: skip
@_OPENINGS
@key_option
@node_option
@json_option
def import_(
    files: tuple[Path, ...], independent: bool, timeout_s: int, folder: Path | None
) -> None:
    """Capture the events in FILES, each in a transaction signed with --key.

    Of a document only a commitment and the public dimensions go on chain; what opens it is kept in
    a folder. A captured event stands, whatever became of its effect. Events of a file keep their
    order, files too unless they are independent. A FILE of - is the standard input. Exit code 1 if
    an event was not captured, or its effect was refused.

    \b
    Examples:
      hansa epcis import shipment.json --key manufacturer.json
      hansa epcis import --independent archive/*.xml
    """
    from cli.call import open_client
    from cli.openings import openings_folder

    place = folder or openings_folder(current().key)
    done = 0

    def tell(row: Row) -> None:
        nonlocal done
        done += 1
        effect = f" {row.effect}" if row.effect else ""
        output.say(f"{done}: {row.document} event {row.event}:{effect} {row.code}")

    with open_client() as client:
        importer = Importer(client, current().signing_seed(), place, timeout_s=timeout_s)
        at_once = AT_ONCE if independent else 1
        rows = importer.run(files, tell, at_once=at_once)
    _show(rows)


def _show(rows: list[Row]) -> None:
    """The rows, what the captured events did, and why others were not captured."""
    captured = [row for row in rows if row.is_captured]
    effects = Counter(row.effect for row in captured if row.code == "OK")
    without = Counter(row.code for row in captured if row.code != "OK")
    refused = Counter(row.code for row in rows if not row.is_captured)
    if current().json:
        output.print_json(
            {
                "events": [dataclasses.asdict(row) for row in rows],
                "captured": len(captured),
                "effects": dict(sorted(effects.items())),
                "without_effect": dict(sorted(without.items())),
                "not_captured": dict(sorted(refused.items())),
            }
        )
    else:
        cells = [
            [
                output.short(row.transaction) if name == "transaction" else getattr(row, name)
                for name in _COLUMNS
            ]
            for row in rows
        ]
        click.echo(output.table(_COLUMNS, cells))
        for title, counts in (
            ("effect", effects),
            ("captured, without effect", without),
            ("not captured", refused),
        ):
            if counts:
                click.echo()
                click.echo(output.table((title, "events"), sorted(counts.items())))
    if refused or set(without) - set(CAPTURED):
        click.get_current_context().exit(output.REFUSED)


@epcis.command()
@click.option("--item", help="Only events that name this lot, serial or logistic unit.")
@click.option("--from-height", type=click.IntRange(0), default=0, help="Only from this block on.")
@click.option("--organisation", help="Only events that this organisation captured.")
@click.option("--format", "form", type=click.Choice(["json", "xml", "xml-1.2"]), default="json",
              show_default=True, help="EPCIS 2.0 in JSON-LD or XML, or 1.2.")  # fmt: skip
@click.option("--output", "target", type=click.Path(path_type=Path, dir_okay=False),
              help="A file to write, instead of the standard output.")  # fmt: skip
@click.option("--openings", "folders", multiple=True, envvar="HANSA_OPENINGS",
              type=click.Path(path_type=Path, file_okay=False),
              help="Where openings are; may be given again (default: beside the key).")  # fmt: skip
@key_option
@node_option
@json_option
def export(
    item: str | None,
    from_height: int,
    organisation: str | None,
    form: str,
    target: Path | None,
    folders: tuple[Path, ...],
) -> None:
    """Write captured events as one EPCIS document.

    Each is rebuilt from its opening, which must fit the commitment on the chain. Events without an
    opening are exported with what the chain itself says of them, marked documentWithheld. Exit code
    1 if events were left out, because XML, or EPCIS 1.2, has no way to write them.

    \b
    Examples:
      hansa epcis export --item /01/09521321000018/10/LP2503
      hansa epcis export --from-height 120 --format xml --output events.xml
    """
    from cli.audit_filters import require_known, require_organisation
    from cli.call import open_client
    from cli.epcis.exporting import exported, recorded_events
    from cli.openings import openings_folder
    from contracts.sdk.dates import time_text
    from node.keystore import write_whole

    places = folders or (openings_folder(current().key),)
    found: list[Exported] = []
    with open_client() as client:

        def ask(contract: str, method: str, args: dict[str, Any]) -> Any:
            return client.query(contract, method, args).value

        records = recorded_events(
            client, item=item, from_height=from_height, organisation=organisation
        )
        if organisation is not None:
            require_organisation(ask, organisation)
        newest = 0
        for record in records:
            found += exported(client, record, places)
            newest = record["time"]
        if not found and item is not None:
            require_known(ask, item)
    created = time_text(newest)  # of the newest event, so that the same state gives the same file
    left_out: list[int] = []
    version = "1.2" if form == "xml-1.2" else "2.0"
    if form != "json":
        found, left_out = _fitting(found, version)
    events = [one.event for one in found]
    if form == "json":
        from cli.epcis.to_json import json_document

        text = json_document(events, created)
    else:
        from cli.epcis.to_xml import xml_document

        text = xml_document(events, created, version)
    if target is None:
        click.echo(text, nl=False)
    else:
        write_whole(target, text.encode(), replace=True)  # what openings open is not for others
    withheld = [one for one in found if one.missing]
    if target is not None and current().json:
        numbers = [one.number for one in withheld]
        told = {"events": len(found), "withheld": numbers, "left_out": left_out}
        output.print_json({**told, "file": str(target)})
    for one in withheld:
        output.say(f"event {one.number}: {one.missing}; only its public part is exported")
    parts = [f"{output.counted(len(found), 'event')} exported"]
    if withheld:
        parts.append(f"{len(withheld)} of them with the public part alone")
    if left_out:
        parts.append(f"{len(left_out)} left out, which --format json has")
    output.say(", ".join(parts))
    if left_out:
        click.get_current_context().exit(output.REFUSED)


def _fitting(found: list[Exported], version: str) -> tuple[list[Exported], list[int]]:
    """The events that XML of this version can say; the others are told, and their numbers."""
    from cli.epcis.to_xml import not_in_xml

    fitting, left_out = [], []
    for one in found:
        why = not_in_xml(one.event, version)
        if why:
            output.say(f"event {one.number} is left out: {why}")
            left_out.append(one.number)
        else:
            fitting.append(one)
    return fitting, left_out
