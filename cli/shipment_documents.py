"""`hansa shipment check`, `import` and `book`: DCSA documents become calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.dcsa import (
    DOCUMENT_BYTES_MAX,
    DcsaEvent,
    Refused,
    is_booking,
    load_booking,
    load_events,
)
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from cli.shipment_calls import Finder, Sender, new_opening, now_ms, openings_option, say
from consensus.primitives.errors import HansaError, InputError

if TYPE_CHECKING:
    from cli.arguments import Opening
    from cli.client import Client

HEADERS: Final = (
    "document", "event", "call", "shipment", "state", "code", "block", "message",
)  # fmt: skip

_FILES = click.argument(
    "files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)


def _read(file: Path) -> bytes:
    from node.keystore import read_limited

    return read_limited(file, DOCUMENT_BYTES_MAX, "DCSA document")


def _events(files: Sequence[Path]) -> Iterator[tuple[Path, DcsaEvent | Refused]]:
    """All events of all files, each file's in the order in which they happened; refusals first.

    A file that is no such document is one refusal.
    """
    for file in files:
        try:
            raw = _read(file)
            if is_booking(raw):
                raise InputError("DCSA_NOT_EVENTS", "a booking request: hansa shipment book")
            found = load_events(raw, now_ms())
        except InputError as error:
            found = [Refused(0, error.code, error.message)]
        found.sort(key=lambda one: one.time_ms if isinstance(one, DcsaEvent) else -1)
        for one in found:
            yield file, one


def _row(file: Path, number: int, code: str, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(HEADERS)
    return {**empty, "document": file.name, "event": number, "code": code, **more}


def _show(rows: list[dict[str, Any]]) -> None:
    """The rows and how often each code came up; exit code 1 unless all are well."""
    counts = Counter(row["code"] for row in rows)
    if current().json:
        output.print_json({"events": rows, "counts": dict(sorted(counts.items()))})
    else:
        click.echo(output.table(HEADERS, [[row[name] for name in HEADERS] for row in rows]))
        click.echo()
        click.echo(output.table(("code", "events"), sorted(counts.items())))
    if set(counts) - {"OK"}:
        click.get_current_context().exit(output.REFUSED)


@click.command()
@_FILES
@json_option
def check(files: tuple[Path, ...]) -> None:
    """Say what the events in FILES would become, without a node. Exit code 1 if any is refused.

    \b
    Example:
      hansa shipment check events.json
    """
    rows = []
    for file, found in _events(files):
        if isinstance(found, Refused):
            rows.append(_row(file, found.number, found.code, message=found.message))
        else:
            rows.append(_row(file, found.number, "OK", call=found.method))
    _show(rows)


@click.command("import")
@_FILES
@click.option("--shipment", "number", type=click.IntRange(1), default=None,
              help="The shipment; else container or booking number tell which.")  # fmt: skip
@timeout_option
@openings_option
@key_option
@node_option
@json_option
def import_(
    files: tuple[Path, ...], number: int | None, timeout_s: int, folder: Path | None
) -> None:
    """Record the events of DCSA Track and Trace documents, as the carrier that signs.

    They go in the order in which they happened, each in a transaction of its own. Those refused are
    counted by their reason and the others go on; exit code 1 if there were any. Document numbers
    are committed to, and what opens them is kept in a file.

    \b
    Example:
      hansa shipment import events.json --key carrier.json
    """
    from cli.call import open_client

    rows = []
    with open_client() as client:
        sender = Sender(client, folder, timeout_s)
        finder = Finder(client, sender, number)
        for file, found in _events(files):
            if isinstance(found, Refused):
                rows.append(_row(file, found.number, found.code, message=found.message))
                continue
            row = _row(file, found.number, "OK", call=found.method)
            rows.append(row)
            try:
                row["shipment"] = finder.number_of(found)
                given, openings = _committed(found)
                args = {"number": row["shipment"], **given}
                outcome, row["state"] = sender.submit(found.method, args, openings)
                row |= {"code": outcome.code, "block": outcome.height}
                row["message"] = outcome.message or None
            except HansaError as error:
                if error.code in output.UNREACHABLE_CODES:
                    raise
                row |= {"code": error.code, "message": error.message}
            output.say(f"{file.name} event {found.number}: {found.method} {row['code']}")
    _show(rows)


def _committed(event: DcsaEvent) -> tuple[dict[str, Any], list[Opening]]:
    """The call's arguments, the document's number as a commitment, and what opens it."""
    if not event.document_number:
        return event.args, []
    opening = new_opening("reference", event.document_number)
    return {**event.args, "reference": opening.commitment}, [opening]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--carrier", required=True, help="Who is to carry: GLN, LEI or BIC.")
@click.option("--consignee", required=True, help="Who is to receive.")
@click.option("--arrival", default=None, metavar="TIME",
              help="When it shall arrive: 2030-01-31T12:00:00Z; else as in FILE.")  # fmt: skip
@click.option("--item", "items", multiple=True, metavar="ITEM[=AMOUNT[UNIT]]",
              help="A lot's amount, a serial or an SSCC; several may be given.")  # fmt: skip
@click.option("--reference", default=None, help="Your own reference; only a commitment is sent.")
@timeout_option
@openings_option
@key_option
@node_option
@json_option
def book(
    file: Path,
    carrier: str,
    consignee: str,
    arrival: str | None,
    items: tuple[str, ...],
    reference: str | None,
    timeout_s: int,
    folder: Path | None,
) -> None:
    """Book with a carrier by a DCSA booking request in FILE, signed with --key.

    Places and containers are taken from it; of the rest, the chain has a commitment to the file's
    hash. Goods that could not be handed over now (recalled, expired, not here, too much) are told.

    \b
    Example:
      hansa shipment book booking.json --carrier 9521987000015 --consignee 9521432000013 \\
        --arrival 2030-01-31T12:00:00Z --item 01/09521321000018/10/A1=60
    """
    from cli.call import open_client
    from consensus.primitives.crypto import sha256

    raw = _read(file)
    args: dict[str, Any] = {**load_booking(raw), "carrier": carrier, "consignee": consignee}
    if arrival is not None:
        args["wanted_arrival"] = arrival
    if "wanted_arrival" not in args:
        raise InputError("DCSA_DATE_TIME", "the document does not say when: give --arrival")
    args["goods"] = [_thing(text) for text in items]
    openings = [new_opening("booking_document", sha256(raw))]
    if reference is not None:
        openings.append(new_opening("shipper_reference", reference))
    args |= {one.argument: one.commitment for one in openings}
    with open_client() as client:
        sender = Sender(client, folder, timeout_s)
        for warning in doubts(client, sender.organisation(), args["goods"]):
            output.say(f"warning: {warning}; hand_over will be refused while that is so")
        _, number = sender.must("book", args, openings)
    say({"shipment": number, **{name: args[name] for name in ("origin", "destination")}})


def doubts(client: Client, shipper: str, goods: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Why goods could not be handed over now. A booking may be made before they are."""
    for thing in goods:
        item = thing["item"]
        found = client.query("batch", "item", {"item": item}).value
        if found is None:
            yield f"nothing is known of {item}"
            continue
        hold = found["hold"]
        if hold is not None:
            recall = f" in recall {hold['recall']}" if hold["recall"] else ""
            yield f"{item} is held by {hold['by']}{recall}"
        if found["expired"]:
            yield f"{item} is past its expiry"
        stock = [one for one in found.get("stock", ()) if one["holder"] == shipper]
        free = sum(one["free"] for one in stock)
        wanted = thing.get("quantity", {}).get("amount", 0)
        if "stock" in found and wanted > free:
            yield f"of {item} {wanted} are booked, and {free} are free at {shipper}"
        if found.get("holder", shipper) != shipper:
            yield f"{item} is at {found['holder']}"


def _thing(text: str) -> dict[str, Any]:
    """An item, or item=amount with perhaps a unit behind it. Raises InputError BAD_ARGUMENT."""
    item, equals, amount = text.partition("=")
    if not equals:
        return {"item": item}
    digits = amount.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 16:
        raise InputError("BAD_ARGUMENT", f"--item: {amount!r} is no amount such as 60 or 500GRM")
    unit = amount[len(digits) :] or "EA"
    return {"item": item, "quantity": {"amount": int(digits), "unit": unit}}
