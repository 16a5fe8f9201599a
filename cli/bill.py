"""`hansa bill`: DCSA transport documents as electronic bills of lading, and a bill at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cli import output
from cli.openings import openings_option
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
CONTRACT: Final = "bill"
STEPS_MAX: Final = 2_000_000
HEADERS: Final = ("document", "code", "reference", "to order", "message")
_FILE = click.Path(path_type=Path, dir_okay=False)
_REFERENCE = click.option(
    "--reference", default="", help="The document's number, of shipping instructions without one."
)


@click.group()
def bill() -> None:
    """Electronic bills of lading from DCSA documents. See docs/spec/bill.md

    \b
    The carrier issues; whoever controls a bill transfers, pledges or surrenders it by plain calls:
      hansa call bill
      hansa call bill transfer number=1 to=9521432000013 turn=0
    """


@bill.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@_REFERENCE
@json_option
def check(files: tuple[Path, ...], reference: str) -> None:
    """Say whether FILES, DCSA transport documents, can be bills here, without a node.

    Exit code 1 if one can't: sea waybills, for instance, give no control over goods.

    \b
    Example:
      hansa bill check document.json
    """
    from cli.bill_documents import bill_of

    rows: list[tuple[Any, ...]] = []
    for file in files:
        try:
            made = bill_of(_read(file), reference)
            rows.append((file.name, "OK", made["terms"]["reference"], made["to_order"], ""))
        except InputError as error:
            rows.append((file.name, error.code, "", "", error.message))
    counts = Counter(row[1] for row in rows)
    if current().json:
        found = [dict(zip(HEADERS, row, strict=True)) for row in rows]
        output.print_json({"documents": found, "counts": dict(sorted(counts.items()))})
    else:
        click.echo(output.table(HEADERS, rows))
        click.echo(f"\n{counts['OK']} of {len(rows)} can be bills of lading")
    if counts["OK"] < len(rows):
        click.get_current_context().exit(output.REFUSED)


@bill.command()
@click.argument("file", type=_FILE)
@click.option("--shipment", type=click.IntRange(1), required=True, help="Whose goods it is for.")
@click.option("--clause", "clauses", multiple=True,
              help="The carrier's clause on the state of the goods; may be repeated.")  # fmt: skip
@click.option("--paper", type=_FILE, default=None,
              help="The paper bill, as a file, whose place it takes.")  # fmt: skip
@click.option("--replaces", type=click.IntRange(1), default=None,
              help="The earlier bill whose place that paper took.")  # fmt: skip
@_REFERENCE
@timeout_option
@openings_option
@key_option
@node_option
@json_option
def issue(
    file: Path,
    shipment: int,
    clauses: tuple[str, ...],
    paper: Path | None,
    replaces: int | None,
    reference: str,
    timeout_s: int,
    folder: Path | None,
) -> None:
    """Issue the bill of lading of a shipment, as its carrier, from the DCSA document in FILE.

    The shipper controls it from then on. What it says goes to shipper and controller alone.

    \b
    Example:
      hansa bill issue document.json --shipment 1 --key carrier.key.json
    """
    from cli.arguments import parse_arguments
    from cli.bill_documents import bill_of
    from cli.call import open_client, send_parsed
    from cli.credit import words_of
    from consensus.primitives.crypto import sha256

    args = {"shipment": shipment, **bill_of(_read(file), reference, clauses)}
    args["to_order"] = "true" if args["to_order"] else "false"
    if paper is not None:
        args["paper"] = {"hex": sha256(_read(paper)).hex()}
    if replaces is not None:
        args["replaces"] = replaces
    with open_client() as client:
        parsed = parse_arguments(client.contracts(), CONTRACT, "issue", "call", words_of(args))
        outcome, number = send_parsed(
            client, CONTRACT, "issue", parsed, timeout_s=timeout_s, steps_max=STEPS_MAX,
            folder=folder,
        )  # fmt: skip
        outcome.require()
    if current().json:
        output.print_json({"bill": number, "shipment": shipment})
    else:
        click.echo(output.fields({"bill": number, "shipment": shipment}))


@bill.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--open", "opens", is_flag=True, help="Also what it says, to its parties.")
@openings_option
@key_option
@node_option
@json_option
def show(number: int, opens: bool, folder: Path | None) -> None:
    """Show bill NUMBER: who controls it, at which turn, its pledge, what was done with it.

    \b
    Examples:
      hansa bill show 1
      hansa bill show 1 --open --key shipper.key.json
    """
    from cli.call import open_client
    from cli.opening_book import OpeningBook
    from consensus.primitives.codec import data_to_json

    with open_client() as client:
        found = client.query(CONTRACT, "bill", {"number": number}).value
        record = found["bill"]
        steps = client.query(CONTRACT, "history", {"number": number}).value
        terms = OpeningBook(client, folder).value(record["terms"]) if opens else None
    if current().json:
        output.print_json(data_to_json({**found, "steps": steps, "opened": terms}))
        return
    names = ("state", "shipment", "carrier", "controller", "turn", "pledgee", "consent",
             "consent_to", "consignee", "version", "amendment_open", "paper_wanted", "replaces",
             "replaced_by")  # fmt: skip
    facts = {name: record[name] for name in names if record[name] not in ("", 0) or name == "turn"}
    click.echo(output.fields({"bill": number, "to order": record["to_order"], **facts}))
    rows = [(one["act"], one["by"], one["to"], output.when(one["at"])) for one in steps]
    click.echo("\n" + output.table(("act", "by", "to", "at"), rows))
    if terms is not None:
        click.echo("\nwhat it says")
        output.print_json(data_to_json(terms))


def _read(file: Path) -> bytes:
    from cli.bill_documents import DOCUMENT_BYTES_MAX
    from node.keystore import read_limited

    return read_limited(file, DOCUMENT_BYTES_MAX, "DCSA document")
