"""`hansa check`: a contract's check, at the own node, over what its vault holds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cli import output
from cli.call import HELP, UNKNOWN_TOO, WORDS, open_client, pick, send_parsed, wants_general_help
from cli.openings import openings_option
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.codec import data_to_json


@click.command(add_help_option=False, context_settings=UNKNOWN_TOO)
@click.argument("contract", required=False)
@click.argument("method", required=False)
@WORDS
@HELP
@click.option("--record", is_flag=True, help="Put the verdict on chain, in the recording call.")
@timeout_option
@openings_option
@key_option
@node_option
@json_option
def check(
    contract: str | None,
    method: str | None,
    words: tuple[str, ...],
    asks_help: bool,
    record: bool,
    timeout_s: int,
    folder: Path | None,
) -> None:
    """Run check METHOD of CONTRACT at --node, over its newest state and its vault's openings.

    It is the contract's own metered code, so any party that holds the openings finds the same. The
    node must be the organisation's whose --key it is. With --record the verdict's code goes on
    chain, and a commitment to its findings. OPENING_MISSING says which opening is not in the vault,
    and who may have it: the node asks them by itself.

    \b
    Examples:
      hansa check credit
      hansa check credit examine number=12 presentation=1
      hansa check credit examine number=12 presentation=1 --record
    """
    from cli.arguments import method_schema, parse_arguments
    from cli.vault_client import VaultClient

    if wants_general_help(contract, asks_help):
        return
    with open_client() as client:
        if not pick(client, contract, method, "check", asks_help):
            return
        assert contract is not None and method is not None
        schema = client.contracts()
        parsed = parse_arguments(schema, contract, method, "check", words)
        recording = method_schema(schema, contract, method, "check")["records"]
        if record and not recording:
            raise click.UsageError(f"{contract}.{method} has no call that records its verdict")
        vault = VaultClient(client, current().signing_seed())
        verdict = vault.check(contract, method, parsed.args)
        value = {"verdict": data_to_json(verdict)}
        if record:
            found = json.dumps(data_to_json(verdict["findings"]))
            told = (*words, f"verdict={verdict['code']}", f"findings={found}")
            call = parse_arguments(schema, contract, recording, "call", told)
            outcome, result = send_parsed(
                client, contract, recording, call, timeout_s=timeout_s, folder=folder
            )
            outcome.require()
            value |= {
                "recorded": f"{contract}.{recording}",
                "tx_id": outcome.tx_id.hex(),
                "height": outcome.height,
                "result": result,
            }
    _show(value)


def _show(value: dict[str, object]) -> None:
    if current().json:
        output.print_json(value)
        return
    verdict = value.pop("verdict")
    if isinstance(verdict, dict) and set(verdict) == {"code", "findings"}:
        click.echo(verdict["code"])
        for finding in verdict["findings"]:
            click.echo(f"  {finding}")
    else:
        output.print_json(verdict)
    if value:
        click.echo(output.fields({name: one for name, one in value.items() if one is not None}))
