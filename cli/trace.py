"""`hansa trace`: what happened to a batch, an item or a logistic unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_to_json

if TYPE_CHECKING:
    from cli.client import Client


def organisation_names(client: Client, ids: set[str]) -> dict[str, str]:
    """Names by id; an id that the chain does not know stands for itself."""
    names = {}
    for one in sorted(ids):
        found = client.query("identity", "organisation", {"id": one}).value
        names[one] = found["name"] if found else one
    return names


def trace_table(client: Client, events: list[dict[str, Any]], *, full: bool = False) -> str:
    """Event, who, when, block and transaction of each entry of a trace."""
    names = organisation_names(client, {event["organisation"] for event in events})
    rows = [
        (
            event["event"],
            event["item"],
            names[event["organisation"]],
            output.when(event["event_time"] or event["time"]),
            event["height"],
            event["tx_id"].hex() if full else output.short(event["tx_id"].hex()),
        )
        for event in events
    ]
    return output.table(("event", "item", "who", "when (UTC)", "block", "transaction"), rows)


@click.command()
@click.argument("item")
@click.option("--full", is_flag=True, help="Transaction ids in full, for hansa tx show.")
@node_option
@json_option
def trace(item: str, full: bool) -> None:
    """The history of ITEM (lot, serial or logistic unit), and of all that was made of it.

    ITEM is a GS1 path, Digital Link, element string or EPC URN.

    \b
    Examples:
      hansa trace /01/09520123456788/10/ABC1
      hansa trace "(01)09520123456788(10)ABC1" --json
    """
    from cli.client import ClientError

    with open_client() as client:
        found = client.query("batch", "trace", {"item": item}).value
        if not found["events"]:
            raise ClientError("UNKNOWN_ITEM", f"nothing is known of {found['item']}")
        if current().json:
            output.print_json(data_to_json(found))
            return
        click.echo(f"{found['item']}\n")
        click.echo(trace_table(client, found["events"], full=full))
        if not found["complete"]:
            output.say(f"\nThere is more: these are the first {len(found['events'])} entries.")
