"""`hansa epcis`: GS1 EPCIS 2.0 documents become calls of the batch contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cli import output
from cli.epcis_calls import to_call
from cli.epcis_events import DOCUMENT_BYTES_MAX, EpcisEvent, Refused, load_events
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.errors import InputError, TxRejected
from consensus.transaction import Call

__all__ = ["EpcisEvent", "Refused", "epcis", "load_events", "read_calls", "to_call"]

STEPS_MAX = 10_000_000
HEADERS = ("document", "event", "call", "code", "block", "transaction", "message")


def read_calls(raw: bytes) -> Iterator[tuple[int, Call | Refused]]:
    """(number, call or refusal) of each event of a document. Raises InputError as load_events."""
    for event in load_events(raw):
        if isinstance(event, Refused):
            yield event.number, event
            continue
        try:
            yield event.number, to_call(event)
        except InputError as error:
            yield event.number, Refused(event.number, event.event_id, error.code, error.message)


def _read_files(files: tuple[Path, ...]) -> Iterator[tuple[Path, int, Call | Refused]]:
    """The calls and refusals of all files; a file that is no document is one refusal."""
    from node.keystore import read_limited

    for file in files:
        try:
            raw = read_limited(file, DOCUMENT_BYTES_MAX, "EPCIS document")
            number = 0
            for number, found in read_calls(raw):
                yield file, number, found
            if number == 0:
                raise InputError("EPCIS_NO_EVENTS", "the document has no events")
        except InputError as error:
            yield file, 0, Refused(0, "", error.code, error.message)


def _row(file: Path, number: int, call: Call | None, code: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(HEADERS)
    method = None if call is None else f"{call.contract}.{call.method}"
    return {**row, "document": file.name, "event": number, "call": method, "code": code, **more}


def _show(rows: list[dict[str, Any]]) -> None:
    """The rows and how often each code came up; exit code 1 unless all are well."""
    counts = Counter(row["code"] for row in rows)
    if current().json:
        output.print_json({"events": rows, "counts": dict(sorted(counts.items()))})
    else:
        cells = [
            [
                output.short(row[name] or "") if name == "transaction" else row[name]
                for name in HEADERS
            ]
            for row in rows
        ]
        click.echo(output.table(HEADERS, cells))
        click.echo()
        click.echo(output.table(("code", "events"), sorted(counts.items())))
    if set(counts) - {"OK"}:
        click.get_current_context().exit(output.REFUSED)


@click.group()
def epcis() -> None:
    """Submit GS1 EPCIS 2.0 documents (JSON). What is covered: docs/spec/epcis.md"""


_FILES = click.argument(
    "files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)


@epcis.command()
@_FILES
@json_option
def check(files: tuple[Path, ...]) -> None:
    """Say what FILES would become, without a node. Exit code 1 if any event is refused.

    \b
    Example:
      hansa epcis check shipment.json
    """
    rows = []
    for file, number, found in _read_files(files):
        if isinstance(found, Refused):
            rows.append(_row(file, number, None, found.code, message=found.message))
        else:
            rows.append(_row(file, number, found, "OK"))
    _show(rows)


@epcis.command()
@_FILES
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 600), default=60, show_default=True,
              help="Seconds to wait for each event to be committed.")  # fmt: skip
@key_option
@node_option
@json_option
def submit(files: tuple[Path, ...], timeout_s: int) -> None:
    """Submit the events in FILES, in order, each as a transaction signed with --key.

    An event waits for the one before it, since it may rest on it. Refused events are counted by
    their reason and the others go on; exit code 1 if there were any.

    \b
    Example:
      hansa epcis submit shipment.json --key manufacturer.json
    """
    from cli.call import chain_id_of, open_client, valid_for_ms
    from cli.client import make_transaction

    rows = []
    with open_client() as client:
        seed = current().signing_seed()
        chain_id, valid = chain_id_of(client), valid_for_ms(client)
        for file, number, found in _read_files(files):
            if isinstance(found, Refused):
                rows.append(_row(file, number, None, found.code, message=found.message))
                continue
            try:
                tx = make_transaction(
                    seed, chain_id, [found], valid_for_ms=valid, steps_max=STEPS_MAX
                )
            except TxRejected as error:
                rows.append(_row(file, number, found, error.code, message=error.message))
                continue
            (outcome,) = client.submit_and_wait([tx], timeout_s=timeout_s)
            message = outcome.message
            if outcome.status == "committed" and not outcome.succeeded:
                message = client.tx_status(tx.tx_id).get("detail") or message
            block, tx_id = outcome.height, outcome.tx_id.hex()
            rows.append(
                _row(file, number, found, outcome.code, block=block, transaction=tx_id)
                | {"message": message or None}
            )
            output.say(f"{file.name} event {number}: {found.method} {outcome.code}")
    _show(rows)
