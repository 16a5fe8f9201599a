"""`hansa governance`: what validators' organisations propose and decide by vote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli import output
from cli.call import open_client
from cli.sending import client_for, devnet_option, devnet_seeds, seed_of, send, timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])

GOVERNANCE: Final = "governance"
DAY_MS: Final = 86_400_000
OPEN: Final = "OPEN"
ACCEPTED: Final = "ACCEPTED"
NOT_IN_FORCE: Final = ("REJECTED", "EXPIRED", "WITHDRAWN", "FAILED")  # and never will be
POLL_S: Final = 0.3


class KeyHex(click.ParamType[bytes]):
    """A public key: 64 hex digits."""

    name = "key"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            found = bytes.fromhex(value)
        except ValueError:
            found = b""
        if len(found) != 32:
            self.fail(f"{value!r} is no public key (64 hex digits: hansa keys show)", param, ctx)
        return found


KEY = KeyHex()


@click.group()
def governance() -> None:
    """Validators, admitted nodes, parameters, contracts and quotas: proposed, then voted.

    A proposal is decided when validators enough for a quorum have said yes; each organisation's
    vote counts for all of its validators. It then takes effect at its height, on every node in
    the same block.
    """


def proposal_options(function: F) -> F:
    """What every proposing command takes."""
    function = click.option(
        "--height", type=click.IntRange(0), default=0,
        help="The block from which on it counts (default: as soon as it is decided).",
    )(function)  # fmt: skip
    function = click.option(
        "--days", type=click.IntRange(1, 365), default=None,
        help="How long the vote stays open (default: 7).",
    )(function)  # fmt: skip
    for option in (json_option, node_option, key_option, timeout_option, devnet_option):
        function = option(function)
    return function


def proposal_timing(height: int, days: int | None) -> dict[str, int]:
    """The arguments that every proposal has; 0 leaves it to the contract."""
    expires_ms = 0 if days is None else time.time_ns() // 10**6 + days * DAY_MS
    return {"height": height, "expires_ms": expires_ms}


def _propose(
    method: str,
    args: dict[str, Any],
    *,
    height: int,
    days: int | None,
    devnet: bool,
    folder: Path,
    timeout_s: int,
) -> None:
    seed = seed_of(devnet, folder)
    call = (GOVERNANCE, method, args | proposal_timing(height, days))
    with client_for(devnet, folder) as client:
        (proposal,) = send(client, seed, [call], timeout_s=timeout_s)
        shown = proposal_of(client, proposal)
    if current().json:
        output.print_json(data_to_json(shown))
    else:
        _print(shown)
        say_next(proposal, devnet)


def say_next(proposal: int, devnet: bool) -> None:
    """What to do with a new proposal."""
    how = "--devnet" if devnet else "--key FILE"
    output.say(f"next: hansa governance vote {proposal} yes {how}")


def proposal_of(client: Client, proposal: int) -> dict[str, Any]:
    """A proposal as it stands. Raises InputError UNKNOWN_PROPOSAL."""
    found: dict[str, Any] | None
    found = client.query(GOVERNANCE, "proposal", {"proposal": proposal}).value
    if found is None:
        raise InputError("UNKNOWN_PROPOSAL", f"there is no proposal {proposal}")
    return found


# --- looking ---------------------------------------------------------------------------------


def _show(method: str) -> None:
    """A query without arguments that answers a list of records."""
    with open_client() as client:
        found = client.query(GOVERNANCE, method).value
    rows = data_to_json(found)
    if current().json:
        output.print_json(rows)
    elif not rows:
        click.echo("none")
    else:
        shown = [_readable(one) for one in rows]
        headers = list(shown[0])
        click.echo(output.table(headers, [[one.get(name) for name in headers] for one in shown]))


def _readable(one: dict[str, Any]) -> dict[str, Any]:
    """Bytes as short hex, without their braces."""
    return {name: _cell(value) for name, value in one.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"hex"}:
        return output.short(value["hex"])
    return value


@governance.command()
@node_option
@json_option
def validators() -> None:
    """The validators that vote now.

    \b
    Example:
      hansa governance validators
    """
    _show("validator_list")


@governance.command()
@node_option
@json_option
def nodes() -> None:
    """The nodes that are admitted to the network.

    \b
    Example:
      hansa governance nodes
    """
    _show("node_list")


@governance.command()
@node_option
@json_option
def params() -> None:
    """The parameters that hold now.

    \b
    Example:
      hansa governance params
    """
    with open_client() as client:
        found = client.query(GOVERNANCE, "params_now").value
    if current().json:
        output.print_json(found)
    else:
        click.echo(output.fields(found))


@governance.command()
@node_option
@json_option
def accusations() -> None:
    """Validators that signed conflicting votes, by the evidence in blocks.

    \b
    Example:
      hansa governance accusations
    """
    _show("accusation_list")


@governance.command()
@click.option("--last", type=click.IntRange(1, 1000), default=100, show_default=True,
              help="How many.")  # fmt: skip
@node_option
@json_option
def proposals(last: int) -> None:
    """The newest proposals, the newest last.

    \b
    Example:
      hansa governance proposals
    """
    with open_client() as client:
        found = client.query(GOVERNANCE, "proposal_list", {"last": last}).value
    if current().json:
        output.print_json(data_to_json(found))
    elif not found:
        click.echo("nobody has proposed anything")
    else:
        rows = [_row(one) for one in found]
        click.echo(output.table(list(rows[0]), [list(row.values()) for row in rows]))


@governance.command()
@click.argument("proposal", type=click.IntRange(1))
@node_option
@json_option
def show(proposal: int) -> None:
    """PROPOSAL with its votes.

    \b
    Example:
      hansa governance show 3 --json
    """
    with open_client() as client:
        found = proposal_of(client, proposal)
    if current().json:
        output.print_json(data_to_json(found))
    else:
        shown = data_to_json(found)
        shown["expires_ms"] = output.when(found["expires_ms"])
        click.echo(output.fields(shown))


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """A proposal for people."""
    return {
        "proposal": found["id"],
        "what": found["kind"],
        "about": found["summary"],
        "status": found["status"],
        "yes": f"{found['yes']} of {found['quorum']}",
        "no": found["no"],
        "from block": found["in_force"] or found["height"] or None,
        "failure": found["failure"] or None,
        "open until (UTC)": output.when(found["expires_ms"]),
    }


def _print(found: dict[str, Any]) -> None:
    row = _row(found)
    click.echo(output.fields({name: value for name, value in row.items() if value is not None}))


# --- deciding --------------------------------------------------------------------------------


@governance.command()
@click.argument("proposal", type=click.IntRange(1))
@click.argument("answer", type=click.Choice(["yes", "no"]))
@click.option("--wait", is_flag=True, help="If it is accepted, wait until it is in force.")
@devnet_option
@timeout_option
@key_option
@node_option
@json_option
def vote(
    proposal: int, answer: str, wait: bool, devnet: bool, folder: Path, timeout_s: int
) -> None:
    """Vote on PROPOSAL, in the name of the signing key's organisation.

    With --devnet all organisations of the local devnet vote, one after the other, until it is
    decided.

    \b
    Examples:
      hansa governance vote 3 yes --key admin.key.json
      hansa governance vote 3 yes --devnet --wait
    """
    seeds = devnet_seeds(folder) if devnet else {"": current().signing_seed()}
    call = (GOVERNANCE, "vote", {"proposal": proposal, "yes": answer == "yes"})
    with client_for(devnet, folder) as client:
        for organisation, seed in seeds.items():
            if devnet:
                found = proposal_of(client, proposal)
                if found["status"] != OPEN:
                    break
                if organisation in found["voters"]:
                    continue
                output.say(f"{organisation} votes {answer}")
            send(client, seed, [call], timeout_s=timeout_s)
        found = proposal_of(client, proposal)
        deadline = time.monotonic() + timeout_s
        while wait and found["status"] == ACCEPTED and time.monotonic() < deadline:
            time.sleep(POLL_S)
            found = proposal_of(client, proposal)
    if current().json:
        output.print_json(data_to_json(found))
    else:
        _print(found)
    if answer == "yes" and found["status"] in NOT_IN_FORCE:
        click.get_current_context().exit(output.REFUSED)


@governance.command()
@click.argument("proposal", type=click.IntRange(1))
@devnet_option
@timeout_option
@key_option
@node_option
@json_option
def withdraw(proposal: int, devnet: bool, folder: Path, timeout_s: int) -> None:
    """Take PROPOSAL back; only the organisation that made it can, before it is decided.

    \b
    Example:
      hansa governance withdraw 3 --key admin.key.json
    """
    seed = seed_of(devnet, folder)
    with client_for(devnet, folder) as client:
        send(client, seed, [(GOVERNANCE, "withdraw", {"proposal": proposal})], timeout_s=timeout_s)
        found = proposal_of(client, proposal)
    if current().json:
        output.print_json(data_to_json(found))
    else:
        _print(found)


# --- proposing -------------------------------------------------------------------------------


@governance.command()
@click.argument("name")
@click.argument("organisation")
@click.option("--consensus-key", type=KEY, required=True, help="The key that will sign its votes.")
@click.option("--network-key", type=KEY, required=True, help="The key of its node in the network.")
@proposal_options
def add_validator(
    name: str, organisation: str, consensus_key: bytes, network_key: bytes, **options: Any
) -> None:
    """Propose that the node NAME of ORGANISATION votes too.

    The node must be admitted (add-node), and its keys be made (node init).

    \b
    Example:
      hansa governance add-validator node6 9521321000018 --consensus-key 5d1c... \\
        --network-key 09ab... --key admin.key.json
    """
    args = {
        "name": name,
        "consensus_key": consensus_key,
        "organisation": organisation,
        "network_key": network_key,
    }
    _propose("propose_validator_add", args, **options)


@governance.command()
@click.argument("name")
@proposal_options
def remove_validator(name: str, **options: Any) -> None:
    """Propose that the validator NAME votes no more.

    \b
    Example:
      hansa governance remove-validator node4 --key admin.key.json
    """
    _propose("propose_validator_remove", {"name": name}, **options)


@governance.command()
@click.argument("name")
@click.option("--consensus-key", type=KEY, required=True, help="The new key.")
@proposal_options
def rotate_validator(name: str, consensus_key: bytes, **options: Any) -> None:
    """Propose another consensus key for the validator NAME.

    \b
    Example:
      hansa governance rotate-validator node4 --consensus-key 5d1c... --key admin.key.json
    """
    args = {"name": name, "consensus_key": consensus_key}
    _propose("propose_validator_rotate", args, **options)


@governance.command()
@click.argument("name")
@click.argument("organisation")
@click.option("--network-key", type=KEY, required=True, help="The key of the node.")
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT",
              help="Where it can be reached; may be given several times.")  # fmt: skip
@proposal_options
def add_node(
    name: str, organisation: str, network_key: bytes, addresses: tuple[str, ...], **options: Any
) -> None:
    """Propose that the node NAME of ORGANISATION may join the network.

    \b
    Example:
      hansa governance add-node node6 9521321000018 --network-key 09ab... \\
        --address node6.example.org:8630 --key admin.key.json
    """
    from genesis.document import address_mistake

    mistakes = [mistake for mistake in map(address_mistake, addresses) if mistake]
    if mistakes:
        raise InputError("BAD_ADDRESS", "; ".join(mistakes))
    args = {
        "network_key": network_key,
        "name": name,
        "organisation": organisation,
        "addresses": list(addresses),
    }
    _propose("propose_node", args, **options)


@governance.command()
@click.option("--network-key", type=KEY, required=True, help="The key of the node.")
@proposal_options
def remove_node(network_key: bytes, **options: Any) -> None:
    """Propose that a node is admitted no more.

    \b
    Example:
      hansa governance remove-node --network-key 09ab... --key admin.key.json
    """
    _propose("propose_node_remove", {"network_key": network_key}, **options)


@governance.command()
@click.argument("changes", nargs=-1, required=True, metavar="NAME=NUMBER...")
@proposal_options
def set_params(changes: tuple[str, ...], **options: Any) -> None:
    """Propose other values of parameters; the names are those of `governance params`.

    \b
    Example:
      hansa governance set-params min_block_interval_ms=200 --key admin.key.json
    """
    found: dict[str, int] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name or not (text.isascii() and text.isdigit()):
            raise click.UsageError(f"{change!r} is not NAME=NUMBER")
        if name in found:
            raise click.UsageError(f"{name} is given twice")
        found[name] = int(text)
    _propose("propose_params", {"changes": found}, **options)


@governance.command()
@click.argument("organisation")
@click.option("--steps", type=click.IntRange(0), default=0, help="In a period; 0: any number.")
@click.option("--bytes", "size", type=click.IntRange(0), default=0, help="In a period; 0: any.")
@click.option("--calls", type=click.IntRange(0), default=0, help="In a period; 0: any number.")
@proposal_options
def set_quota(organisation: str, steps: int, size: int, calls: int, **options: Any) -> None:
    """Propose what ORGANISATION may use of the chain in a period.

    \b
    Example:
      hansa governance set-quota 9521321000018 --calls 100000 --key admin.key.json
    """
    args = {"organisation": organisation, "steps": steps, "bytes": size, "calls": calls}
    _propose("propose_quota", args, **options)


@governance.command()
@click.argument("hours", type=click.IntRange(1, 8784))
@proposal_options
def set_usage_period(hours: int, **options: Any) -> None:
    """Propose that use is counted, and quotas hold, per HOURS hours.

    \b
    Example:
      hansa governance set-usage-period 24 --key admin.key.json
    """
    _propose("propose_usage_period", {"period_ms": hours * 3_600_000}, **options)
