"""`hansa call` and `hansa query`: any method of any contract, by its published schema."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.codec import data_to_json

if TYPE_CHECKING:
    from cli.client import Client, Outcome


def open_client() -> Client:
    """A client of the node that the settings name."""
    from cli.client import Client

    return Client(current().node())


def chain_id_of(client: Client) -> bytes:
    """The chain id that transactions for this node's chain carry."""
    return bytes.fromhex(client.genesis()["chain_id"])


def explained(client: Client, outcome: Outcome) -> Outcome:
    """The outcome with the contract's own sentence, if it was refused in a block."""
    if outcome.status != "committed" or outcome.succeeded:
        return outcome
    return dataclasses.replace(outcome, message=client.tx_status(outcome.tx_id)["detail"])


def show_outcome(outcome: Outcome, result: Any = None) -> None:
    """Print how a transaction ended; raise Refused unless it took effect."""
    outcome.require()
    value = {
        "tx_id": outcome.tx_id.hex(),
        "status": outcome.status,
        "code": outcome.code,
        "height": outcome.height,
        "result": result,
    }
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields({name: one for name, one in value.items() if one is not None}))


def describe(schema: dict[str, Any], contract: str, kind: str) -> str:
    """The contract's methods of one kind, for people who gave none."""
    from cli.arguments import shape_of

    rows = []
    shapes: dict[str, dict[str, None]] = {}  # to the arguments' names, in order
    for name, method in methods_of(schema, contract, kind).items():
        arguments = method["args"]
        names = [
            name if name in arguments["required"] else f"[{name}]"
            for name in arguments["properties"]
        ]
        rows.append((name, " ".join(names), method["doc"].split("\n")[0]))
        for argument, declared in arguments["properties"].items():
            shapes.setdefault(shape_of(declared), {})[argument] = None
    values = [(", ".join(names), shape) for shape, names in shapes.items()]
    values.sort()
    return "\n\n".join(
        (
            output.table(("method", "arguments", "what it does"), rows),
            output.table(("argument", "its value; in [] what may be left out"), values),
        )
    )


def methods_of(schema: dict[str, Any], contract: str, kind: str) -> dict[str, Any]:
    """The contract's methods of one kind. Raises InputError UNKNOWN_CONTRACT."""
    from cli.arguments import require_contract

    require_contract(schema, contract)
    methods = schema[contract]["methods"]
    return {name: method for name, method in methods.items() if method["kind"] == kind}


def _pick(client: Client, contract: str | None, method: str | None, kind: str) -> bool:
    """Whether a method was named; else the choices are printed. Raises InputError."""
    if contract is not None and method is not None:
        return True
    schema = client.contracts()
    if contract is not None:
        if current().json:
            output.print_json(methods_of(schema, contract, kind))
        else:
            click.echo(describe(schema, contract, kind))
    elif current().json:
        keys = ("version", "doc")
        output.print_json({name: {key: one[key] for key in keys} for name, one in schema.items()})
    else:
        rows = [(name, one["version"], one["doc"].split("\n")[0]) for name, one in schema.items()]
        click.echo(output.table(("contract", "version", "what it is"), rows))
    return False


@click.command()
@click.argument("contract", required=False)
@click.argument("method", required=False)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 600), default=60, show_default=True,
              help="Seconds to wait for it to be committed.")  # fmt: skip
@key_option
@node_option
@json_option
def call(
    contract: str | None, method: str | None, arguments: tuple[str, ...], timeout_s: int
) -> None:
    """Call METHOD of CONTRACT in a transaction signed with --key, and wait for its block.

    Without METHOD, list the contract's methods and the shape of their arguments; without CONTRACT,
    the contracts. Lists and objects are given as JSON, bytes as hex.

    \b
    Examples:
      hansa call batch
      hansa call identity add_key key=a1b2... label=shop 'roles=["corporate_user"]' --key me.json
      hansa call batch commission expiry=2030-01-31 \\
        'items=[{"item": "01/09521321000018/10/A1", "quantity": {"amount": 5, "unit": "EA"}}]'
    """
    from cli.arguments import parse_arguments
    from cli.client import TimedOut, make_transaction

    with open_client() as client:
        if not _pick(client, contract, method, "call"):
            return
        assert contract is not None and method is not None
        args = parse_arguments(client.contracts(), contract, method, "call", arguments)
        seed = current().signing_seed()
        tx = make_transaction(seed, chain_id_of(client), [(contract, method, args)])
        try:
            (outcome,) = client.submit_and_wait([tx], timeout_s=timeout_s)
        except TimedOut:
            output.say(f"to follow it: hansa tx status --wait {tx.tx_id.hex()}")
            raise
        outcome = explained(client, outcome)
        results = client.tx_status(tx.tx_id)["result"] if outcome.succeeded else None
        result = results[0] if results else None  # one call, one result
        show_outcome(outcome, result)


@click.command()
@click.argument("contract", required=False)
@click.argument("method", required=False)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@node_option
@json_option
def query(contract: str | None, method: str | None, arguments: tuple[str, ...]) -> None:
    """Ask METHOD of CONTRACT, on the node's newest committed state.

    \b
    Examples:
      hansa query batch
      hansa query identity organisation id=4012345000009
    """
    from cli.arguments import parse_arguments

    with open_client() as client:
        if not _pick(client, contract, method, "query"):
            return
        assert contract is not None and method is not None
        args = parse_arguments(client.contracts(), contract, method, "query", arguments)
        answer = client.query(contract, method, args)
    value = data_to_json(answer.value)
    if current().json:
        output.print_json({"height": answer.height, "result": value})
    elif isinstance(value, dict):
        click.echo(output.fields(value))
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        headers = list(value[0])
        click.echo(output.table(headers, [[one.get(name) for name in headers] for one in value]))
    else:
        output.print_json(value)
