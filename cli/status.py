"""`hansa status`: what a node says of itself."""

from __future__ import annotations

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option


@click.command()
@node_option
@json_option
def status() -> None:
    """What the node says of itself and its peers.

    \b
    Examples:
      hansa status
      hansa status --node http://127.0.0.1:27002 --json
    """
    with open_client() as client:
        found = client.node_status()
    if current().json:
        output.print_json(found)
        return
    plain = {name: one for name, one in found.items() if not isinstance(one, list)}
    click.echo(output.fields(plain))
    for name, rows in found.items():
        if isinstance(rows, list) and rows and all(isinstance(one, dict) for one in rows):
            headers = list(rows[0])
            click.echo()
            click.echo(f"{name}:")
            click.echo(
                output.table(headers, [[_brief(one.get(key)) for key in headers] for one in rows])
            )


def _brief(value: object) -> object:
    return output.short(value) if isinstance(value, str) and len(value) == 64 else value
