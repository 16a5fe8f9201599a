"""`hansa invoice`: UBL and CII invoices by EN 16931, and what they are recognised by."""

from __future__ import annotations

import hashlib
import secrets
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
HEADERS: Final = ("document", "number", "rule", "term", "what")
_KEY_FILE_BYTES_MAX: Final = 256

_FILE = click.Path(path_type=Path, dir_okay=False)
_NUMBER = click.argument("number", type=click.IntRange(1))


@click.group()
def invoice() -> None:
    """Invoices in UBL and CII: check them, and have them financed once. See docs/spec/invoice.md

    \b
    Who does what: the seller registers and offers, the buyer accepts, a financier finances, each
    by the file that it has itself. Everything else is plain calls:
      hansa call invoices
    """


def sending(function: F) -> F:
    """What every command that sends a call may be told."""
    for option in (json_option, node_option, key_option, openings_option, timeout_option):
        function = option(function)
    return function


@invoice.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--financing", is_flag=True, help="Also say what can't be financed.")
@json_option
def check(files: tuple[Path, ...], financing: bool) -> None:
    """Say everything by which FILES break EN 16931, without a node.

    Every finding has the standard's rule and business term. Exit code 1 if there is one.

    \b
    Example:
      hansa invoice check invoice.xml
    """
    from cli.invoice.reading import FILE_BYTES_MAX, read_invoice
    from cli.invoice.rules import Finding, findings_of, for_financing
    from node.keystore import read_limited

    rows: list[dict[str, Any]] = []
    refused = 0
    for file in files:
        number = ""
        try:
            document = read_invoice(read_limited(file, FILE_BYTES_MAX, "invoice"))
            number = document.number
            found = findings_of(document) + (for_financing(document) if financing else [])
        except InputError as error:
            found = [Finding(error.code, "", error.message)]
        refused += bool(found)
        for one in found or [Finding("OK", "", "")]:
            cells = (file.name, number, one.rule, one.term, one.message)
            rows.append(dict(zip(HEADERS, cells, strict=True)))
    counts = dict(sorted(Counter(row["rule"] for row in rows).items()))
    if current().json:
        output.print_json(
            {"documents": len(files), "refused": refused, "findings": rows, "counts": counts}
        )
    else:
        click.echo(output.table(HEADERS, [list(row.values()) for row in rows]))
        click.echo()
        click.echo(f"{len(files) - refused} of {len(files)} are in order")
    if refused:
        click.get_current_context().exit(output.REFUSED)


@invoice.command()
@click.argument("file", type=_FILE)
@click.option("--fingerprint-key", "key_file", type=_FILE, required=True,
              help="File with the opening of invoices.key: 64 hex digits.")  # fmt: skip
@click.option("--chain", "chain_id", required=True, metavar="HEX", help="The chain's id.")
@click.option("--seller", required=True, metavar="GLN", help="Organisation that sells.")
@click.option("--buyer", required=True, metavar="GLN", help="Organisation that owes.")
@json_option
def fingerprint(file: Path, key_file: Path, chain_id: str, seller: str, buyer: str) -> None:
    """Make the arguments `data` and `fingerprints` of an invoice that is in order, without a node.

    Seller, buyer and financier each make them of the file that they have.

    \b
    Example:
      hansa invoice fingerprint invoice.xml --fingerprint-key key.hex --chain HEX \\
        --seller 9521321000018 --buyer 9521432000013
    """
    from cli.invoice.reading import FILE_BYTES_MAX, read_invoice
    from node.keystore import read_limited

    raw = read_limited(file, FILE_BYTES_MAX, "invoice")
    key = _hex(read_limited(key_file, _KEY_FILE_BYTES_MAX, "key").decode("ascii", "replace"))
    output.print_json(arguments(raw, read_invoice(raw), key, _hex(chain_id), seller, buyer))


def _hex(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.strip())
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InputError("INVOICE_KEY_MALFORMED", "a key and a chain's id are 64 hex digits")
    return found


def arguments(
    raw: bytes, document: Any, key: bytes, chain_id: bytes, seller: str, buyer: str
) -> dict[str, Any]:
    """``data`` and ``fingerprints`` as contract ``invoices`` takes them, bytes in hex.

    Raises InputError INVOICE_NOT_IN_ORDER, PARTY_DIFFERS.
    """
    from cli.invoice.fingerprints import fingerprints
    from cli.invoice.rules import findings_of, for_financing
    from contracts.sdk.codes import MINOR_UNITS

    found = findings_of(document) + for_financing(document)
    if found:
        one = found[0]
        raise InputError(
            "INVOICE_NOT_IN_ORDER", f"{one.rule} {one.term}: {one.message}; {len(found)} in all"
        )
    for party, organisation, who in (
        (document.seller, seller, "seller"), (document.buyer, buyer, "buyer"),
    ):  # fmt: skip
        if len(party.gln) == 13 and party.gln != organisation:
            raise InputError("PARTY_DIFFERS", f"the invoice says {party.gln} is its {who}")
    minor = int(document.totals["BT-112"].scaleb(MINOR_UNITS[document.currency]))
    marks = fingerprints(
        key,
        chain_id,
        seller,
        buyer,
        number=document.number,
        issued_on=int(document.issued_on.replace("-", "")),
        minor=minor,
        currency=document.currency,
    )
    data = {
        "number": document.number,
        "issued_on": document.issued_on,
        "gross": {"minor": minor, "currency": document.currency},
        "document": hashlib.sha256(raw).hexdigest(),
    }
    return {"data": data, "fingerprints": {kind: mark.hex() for kind, mark in marks.items()}}


@invoice.command()
def example() -> None:
    """Print an invoice in UBL that is in order, to try things with and to begin from.

    \b
    Example:
      hansa invoice example > invoice.xml
    """
    from cli.invoice.example import EXAMPLE

    click.echo(EXAMPLE, nl=False)


# --- on the ledger -------------------------------------------------------------------------------


@invoice.command("set-key")
@click.option("--member", "members", multiple=True, required=True, metavar="GLN",
              help="Who sells, buys or finances; may be repeated.")  # fmt: skip
@sending
def set_key(members: tuple[str, ...], timeout_s: int, folder: Path | None) -> None:
    """Draw the key of all fingerprints on this chain, once, for the members (ADR 18).

    \b
    Example:
      hansa invoice set-key --member 9521321000018 --member 9521432000013
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk

    args = {"key": {"hex": secrets.token_bytes(32).hex()}, "members": list(members)}
    with open_client() as client:
        Desk(client, folder, timeout_s).send("set_key", args)
    _say({"key": "set", "members": list(members)})


@invoice.command()
@click.argument("file", type=_FILE)
@click.option("--buyer", required=True, metavar="GLN", help="Organisation that owes it.")
@click.option("--due", default=None, metavar="TIME",
              help="When to pay it, as 2030-01-31T16:00:00Z (default: end of BT-9).")  # fmt: skip
@sending
def register(file: Path, buyer: str, due: str | None, timeout_s: int, folder: Path | None) -> None:
    """Register the own invoice in FILE: what it says stays with seller and buyer.

    Says which registered invoices are like it; none of those is financed before the buyer has
    told them apart.

    \b
    Example:
      hansa invoice register invoice.xml --buyer 9521432000013 --key seller.key.json
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk

    with open_client() as client:
        made = Desk(client, folder, timeout_s).register(file, buyer, due)
    _say({"invoice": made["number"], "state": "REGISTERED", "alike": made["alike"]})


@invoice.command()
@_NUMBER
@click.argument("file", type=_FILE)
@sending
def accept(number: int, file: Path, timeout_s: int, folder: Path | None) -> None:
    """Accept invoice NUMBER as the buyer, by the FILE that was received.

    \b
    Example:
      hansa invoice accept 1 invoice.xml --key buyer.key.json
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk

    with open_client() as client:
        desk = Desk(client, folder, timeout_s)
        args = {"number": number, "fingerprints": desk.fingerprints_of(number, file)}
        desk.send("accept", args)
    _say({"invoice": number, "state": "ACCEPTED"})


@invoice.command()
@_NUMBER
@click.option("--to", "financier", required=True, metavar="GLN", help="The financier.")
@click.option("--advance", required=True, help="What it is to pay, as '900.00 EUR'.")
@sending
def offer(number: int, financier: str, advance: str, timeout_s: int, folder: Path | None) -> None:
    """Offer invoice NUMBER, which the buyer accepted, to a financier.

    \b
    Example:
      hansa invoice offer 1 --to 9521987000018 --advance "900.00 EUR" --key seller.key.json
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk

    args = {"number": number, "financier": financier, "advance": advance}
    with open_client() as client:
        Desk(client, folder, timeout_s).send("offer", args)
    _say({"invoice": number, "offered_to": financier})


@invoice.command()
@_NUMBER
@click.argument("file", type=_FILE)
@sending
def finance(number: int, file: Path, timeout_s: int, folder: Path | None) -> None:
    """Finance invoice NUMBER, which is offered, by the FILE that the seller showed.

    The own node's check comes first: that the file is the registered document, and the advance no
    more than is unpaid. Refused with FINANCED_ALREADY where another financier has it.

    \b
    Example:
      hansa invoice finance 1 invoice.xml --key financier.key.json --node http://127.0.0.1:27003
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk

    with open_client() as client:
        desk = Desk(client, folder, timeout_s)
        done = desk.finance(number, file)
    _say({"invoice": number, "state": "FINANCED", **done})


@invoice.command()
@_NUMBER
@click.option("--open", "opens", is_flag=True, help="Also what it hides from others.")
@openings_option
@key_option
@node_option
@json_option
def show(number: int, opens: bool, folder: Path | None) -> None:
    """Show invoice NUMBER: its parties and state, what is like it, offers, postings, opinions.

    \b
    Examples:
      hansa invoice show 1
      hansa invoice show 1 --open --key seller.key.json
    """
    from cli.call import open_client
    from cli.invoice.dealing import Desk, shown
    from consensus.primitives.codec import data_to_json

    with open_client() as client:
        desk = Desk(client, folder, 60)
        found = desk.invoice(number)
        data = desk.book.value(found["invoice"]["data"]) if opens else None
    if current().json:
        output.print_json(data_to_json({**found, "opened": data}))
        return
    click.echo(shown(found))
    if data is not None:
        click.echo("\nwhat it says")
        output.print_json(data_to_json(data))


def _say(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields({name: one for name, one in value.items() if one != []}))
