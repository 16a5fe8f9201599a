"""`hansa call` and `hansa query`: any method of any contract, by its published schema."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.openings import openings_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.arguments import Parsed
    from cli.client import Client, Outcome


def open_client() -> Client:
    """A client of the node that the settings name."""
    from cli.client import Client

    return Client(current().node())


def chain_id_of(client: Client) -> bytes:
    """The chain id that transactions for this node's chain carry."""
    return bytes.fromhex(client.genesis()["chain_id"])


def valid_for_ms(client: Client) -> int:
    """How long a transaction may wait for its block: no longer than this chain lets any wait."""
    from cli.answers import VALID_FOR_MS

    window: int = client.query("governance", "params_now").value["tx_window_ms"]
    return min(VALID_FOR_MS, window)


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
    """The contract's methods of one kind, for people who gave none: not those that other contracts
    alone may call.
    """
    from cli.arguments import shape_of

    rows = []
    shapes: dict[str, dict[str, None]] = {}  # to the arguments' names, in order
    for name, method in methods_of(schema, contract, kind).items():
        if method["contracts"]:
            continue
        arguments = method["args"]
        names = [
            name if name in arguments["required"] else f"[{name}]"
            for name in arguments["properties"]
        ]
        rows.append((name, " ".join(names), _first_sentence(method["doc"])))
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


def _first_sentence(doc: str) -> str:
    """What a text begins with: up to its first full stop or empty line."""
    text = " ".join(doc.split("\n\n", maxsplit=1)[0].split())
    return text.split(". ")[0].removesuffix(".") + "." if text else ""


def methods_of(schema: dict[str, Any], contract: str, kind: str) -> dict[str, Any]:
    """The contract's methods of one kind. Raises InputError UNKNOWN_CONTRACT."""
    from cli.arguments import require_contract

    require_contract(schema, contract)
    methods = schema[contract]["methods"]
    return {name: method for name, method in methods.items() if method["kind"] == kind}


def pick(
    client: Client,
    contract: str | None,
    method: str | None,
    kind: str,
    asks_help: bool,
) -> bool:
    """Whether a method is to be run; else what there is to choose is printed. Raises InputError."""
    if contract is not None and method is not None and not asks_help:
        return True
    schema = client.contracts()
    if contract is not None and method is not None:
        from cli.arguments import method_schema
        from cli.method_help import method_help

        declared = method_schema(schema, contract, method, kind)
        if current().json:
            output.print_json(declared)
        else:
            click.echo(method_help(contract, method, declared, _own_options()))
    elif contract is not None:
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


def wants_general_help(contract: str | None, asks_help: bool) -> bool:
    """Print the command's own help, if it is that what is asked. Raises click's NoSuchOption."""
    ctx = click.get_current_context()
    if contract is not None and contract.startswith("-"):
        raise click.NoSuchOption(contract, ctx=ctx)
    if asks_help and contract is None:
        click.echo(ctx.get_help())
        return True
    return False


def _own_options() -> frozenset[str]:
    """The names of the running command's own options, without their dashes."""
    params = click.get_current_context().command.params
    return frozenset(name.lstrip("-") for one in params for name in one.opts)


# Options that the command does not know are a method's arguments.
UNKNOWN_TOO: Final = {"ignore_unknown_options": True}
HELP = click.option(
    "-h", "--help", "asks_help", is_flag=True,
    help="Show this message; behind CONTRACT METHOD, what the method takes.",
)  # fmt: skip
WORDS = click.argument(
    "words", nargs=-1, metavar="[NAME=VALUE | --NAME VALUE]...", type=click.UNPROCESSED
)


def send_parsed(
    client: Client,
    contract: str,
    method: str,
    parsed: Parsed,
    *,
    timeout_s: int,
    steps_max: int | None = None,
    folder: Path | None = None,
) -> tuple[Outcome, Any]:
    """Call a method in a transaction signed with --key, and wait for its block: its outcome, and
    its result if it took effect.

    What opens its commitments is kept in a file, and in the vault of the organisation's node,
    before it is sent: a commitment that nobody can open is worth nothing.
    """
    from cli.answers import STEPS_MAX
    from cli.client import TimedOut, make_transaction
    from cli.openings import keep_openings, openings_folder
    from cli.vault_client import hand_over

    seed = current().signing_seed()
    tx = make_transaction(
        seed,
        chain_id_of(client),
        [(contract, method, parsed.args)],
        valid_for_ms=valid_for_ms(client),
        steps_max=steps_max or STEPS_MAX,
    )
    if parsed.openings:
        place = folder or openings_folder(current().key)
        file = keep_openings(place, tx.tx_id, contract, method, parsed.openings)
        output.say(f"what opens the commitments is in {file}")
        hand_over(client, seed, parsed.openings, file)
    try:
        (outcome,) = client.submit_and_wait([tx], timeout_s=timeout_s)
    except TimedOut:
        output.say(f"to follow it: hansa tx status --wait {tx.tx_id.hex()}")
        raise
    outcome = explained(client, outcome)
    results = client.tx_status(tx.tx_id)["result"] if outcome.succeeded else None
    return outcome, results[0] if results else None  # one call, one result


@click.command(add_help_option=False, context_settings=UNKNOWN_TOO)
@click.argument("contract", required=False)
@click.argument("method", required=False)
@WORDS
@HELP
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 600), default=60, show_default=True,
              help="Seconds to wait for it to be committed.")  # fmt: skip
@click.option("--steps-max", type=click.IntRange(1), default=None,
              help="The most steps that it may cost (default: 200000).")  # fmt: skip
@openings_option
@key_option
@node_option
@json_option
def call(
    contract: str | None,
    method: str | None,
    words: tuple[str, ...],
    asks_help: bool,
    timeout_s: int,
    steps_max: int | None,
    folder: Path | None,
) -> None:
    """Call METHOD of CONTRACT in a transaction signed with --key, and wait for its block.

    Without METHOD, list the contract's methods and the shape of their arguments; without CONTRACT,
    the contracts; with METHOD and --help, tell of the method. Lists and objects are given as JSON,
    bytes as hex. Of party and personal arguments only a commitment goes on chain: what opens it is
    kept in a file, and in the vault of --node, if that is the own organisation's.

    \b
    Examples:
      hansa call batch
      hansa call batch commission --help
      hansa call identity add_key key=a1b2... label=shop 'roles=["corporate_user"]' --key me.json
      hansa call batch commission --expiry 2030-01-31 \\
        'items=[{"item": "01/09521321000018/10/A1", "quantity": {"amount": 5, "unit": "EA"}}]'
    """
    from cli.arguments import parse_arguments

    if wants_general_help(contract, asks_help):
        return
    with open_client() as client:
        if not pick(client, contract, method, "call", asks_help):
            return
        assert contract is not None and method is not None
        parsed = parse_arguments(client.contracts(), contract, method, "call", words)
        show_outcome(
            *send_parsed(
                client,
                contract,
                method,
                parsed,
                timeout_s=timeout_s,
                steps_max=steps_max,
                folder=folder,
            )
        )


@click.command(add_help_option=False, context_settings=UNKNOWN_TOO)
@click.argument("contract", required=False)
@click.argument("method", required=False)
@WORDS
@HELP
@click.option("--at-height", type=click.IntRange(0), metavar="N",
              help="Ask the state after block N, where the node keeps it.")  # fmt: skip
@node_option
@json_option
def query(
    contract: str | None,
    method: str | None,
    words: tuple[str, ...],
    asks_help: bool,
    at_height: int | None,
) -> None:
    """Ask METHOD of CONTRACT, on the node's newest committed state.

    \b
    Examples:
      hansa query batch
      hansa query batch trace --help
      hansa query identity organisation id=4012345000009
      hansa query identity organisation id=4012345000009 --at-height 5000
    """
    from cli.arguments import parse_arguments

    if wants_general_help(contract, asks_help):
        return
    with open_client() as client:
        if not pick(client, contract, method, "query", asks_help):
            return
        assert contract is not None and method is not None
        parsed = parse_arguments(client.contracts(), contract, method, "query", words)
        if parsed.openings:
            # With a new salt it would be another commitment than any on chain.
            raise InputError(
                "BAD_ARGUMENT",
                f"{contract}.{method}: {parsed.openings[0].argument}: a query takes the commitment "
                'itself: {"commitment": "hex"}',
            )
        answer = client.query(contract, method, parsed.args, at_height)
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
