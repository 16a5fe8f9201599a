"""`hansa block`: committed blocks."""

from __future__ import annotations

from typing import Any

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option


@click.group()
def block() -> None:
    """Show committed blocks."""


@block.command()
@click.argument("height", default="latest")
@node_option
@json_option
def show(height: str) -> None:
    """Show the block at HEIGHT, or the latest.

    \b
    Examples:
      hansa block show
      hansa block show 17 --json
    """
    if height != "latest" and not (height.isascii() and height.isdigit() and len(height) < 19):
        raise click.UsageError(f"{height!r} is neither a height nor 'latest'")
    with open_client() as client:
        found = client.block(None if height == "latest" else int(height))
    if current().json:
        output.print_json(found)
        return
    header = found.get("header", found)
    flat: dict[str, Any] = {
        name: output.when(value) if name == "time_ms" else value
        for name, value in {
            **({"hash": found["hash"]} if "hash" in found else {}),
            **header,
        }.items()
        if not isinstance(value, list | dict)
    }
    click.echo(output.fields(flat))
    txs = found.get("txs") or found.get("transactions")
    if txs:
        click.echo()
        if all(isinstance(one, dict) for one in txs):
            names = [name for name in ("tx_id", "code", "steps_used") if name in txs[0]]
            click.echo(output.table(names, [[one.get(name) for name in names] for one in txs]))
        else:
            click.echo(output.table(("transaction",), [[one] for one in txs]))
