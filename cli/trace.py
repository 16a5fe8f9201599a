"""`hansa trace`: what happened to a batch, an item or a logistic unit, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.call import open_client
from cli.proof import chain_line, open_reader, trust_options
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_to_json

if TYPE_CHECKING:
    from cli.client import Client
    from cli.lineage import Lineage


def organisation_names(client: Client, ids: set[str]) -> dict[str, str]:
    """Names by id; an id that the chain does not know stands for itself."""
    names = {}
    for one in sorted(ids):
        found = client.query("identity", "organisation", {"id": one}).value
        names[one] = found["name"] if found else one
    return names


def trace_table(client: Client, events: list[dict[str, Any]], *, full: bool = False) -> str:
    """What happened to what and how much of it, by whom, where to, when and in which block."""
    return events_table(events, organisation_names(client, parties(events)), full=full)


def parties(events: list[dict[str, Any]]) -> set[str]:
    """Who acted, and to whom things went."""
    return {one for event in events for one in (event["organisation"], _to(event)) if one}


def _to(event: dict[str, Any]) -> str:
    """Whom things were sent or sold to; empty where they stayed."""
    detail = event["detail"]
    return str(detail.get("consignee") or detail.get("buyer") or "")


def events_table(events: list[dict[str, Any]], names: dict[str, str], *, full: bool) -> str:
    rows = []
    for event in events:
        detail, tx_id = event["detail"], event["tx_id"].hex()
        rows.append(
            (
                event["event"],
                event["item"],
                f"{detail['amount']} {detail['unit']}" if "unit" in detail else "",
                names[event["organisation"]],
                names.get(_to(event), ""),
                output.when(event["event_time"] or event["time"]),
                event["height"],
                tx_id if full else output.short(tx_id),
            )
        )
    headers = ("event", "item", "amount", "who", "to", "when (UTC)", "block", "transaction")
    return output.table(headers, rows)


@click.command()
@click.argument("item")
@click.option("--forward", is_flag=True, help="Everything that was made of it, in any number of "
              "steps, instead of events.")  # fmt: skip
@click.option("--back", is_flag=True, help="Everything that it was made of.")
@click.option("--proof", is_flag=True, help="Prove that these are the events that the chain has, "
              "and none is left out; the node need not be trusted.")  # fmt: skip
@trust_options
@click.option("--full", is_flag=True, help="Transaction ids in full, for hansa tx show.")
@node_option
@json_option
def trace(
    item: str,
    forward: bool,
    back: bool,
    proof: bool,
    full: bool,
    genesis: Path | None,
    chain_id: str | None,
) -> None:
    """The history of ITEM (lot, serial or logistic unit), and of all that was made of it.

    ITEM is a GS1 path, Digital Link, element string or EPC URN.

    \b
    Examples:
      hansa trace /01/09520123456788/10/ABC1
      hansa trace "(01)09520123456788(10)ABC1" --json
      hansa trace "(01)09520123456788(10)ABC1" --forward
      hansa trace "(01)09520123456788(10)ABC1" --proof --chain-id HEX
    """
    if forward + back + proof > 1:
        raise click.UsageError("--forward, --back and --proof exclude each other")
    if (genesis or chain_id) and not proof:
        raise click.UsageError("--genesis and --chain-id are for --proof")
    if proof:
        _show_proven(item, genesis, chain_id, full=full)
        return
    with open_client() as client:
        if forward or back:
            from cli.lineage import lineage

            _show_lineage(lineage(client, item, back=back), back=back)
            return
        found = client.query("batch", "trace", {"item": item}).value
        _require_events(found)
        if current().json:
            output.print_json(data_to_json(found))
            return
        _show_events(found, trace_table(client, found["events"], full=full))


def _require_events(found: dict[str, Any]) -> None:
    from cli.client import ClientError

    if not found["events"]:
        raise ClientError("UNKNOWN_ITEM", f"nothing is known of {found['item']}")


def _show_events(found: dict[str, Any], table: str) -> None:
    click.echo(f"{found['item']}\n\n{table}")
    if not found["complete"]:
        output.say(f"\nThere is more: these are {len(found['events'])} entries.")


def _show_proven(item: str, genesis: Path | None, chain_id: str | None, *, full: bool) -> None:
    from cli.trace_proof import prove

    with open_client() as client, open_reader(genesis, chain_id) as reader:
        told = prove(client, reader, item)
    _require_events(told.found)
    if current().json:
        proven = {"proofs": told.proofs, "names": told.names, "chain_id": told.chain_id}
        output.print_json(data_to_json(told.found | proven))
        return
    _show_events(told.found, events_table(told.found["events"], told.names, full=full))
    click.echo(f"\n{told.summary}")
    click.echo(chain_line(told.chain_id, pinned=bool(genesis or chain_id)))


def _show_lineage(found: Lineage, *, back: bool) -> None:
    if current().json:
        pairs = [[made_of, made] for made_of, made in found.links]
        output.print_json({"items": found.items, "links": pairs})
        return
    steps = found.steps(back=back)
    next_to: dict[int, list[str]] = {}
    for made_of, made in found.links:
        here, there = (made_of, made) if back else (made, made_of)
        next_to.setdefault(here, []).append(found.items[there])
    rows = [
        (steps[place], name, ", ".join(next_to.get(place, [])[:3]))
        for place, name in enumerate(found.items)
    ]
    click.echo(output.table(("steps", "item", "became" if back else "made of"), rows))
    things = "1 thing" if len(rows) == 2 else f"{len(rows) - 1} things"
    farthest = "1 step" if max(steps) == 1 else f"{max(steps)} steps"
    click.echo(f"\n{'made of' if back else 'became'} {things}, {farthest} away at most")
