"""Signing and sending calls for the commands: with one key, or with a local devnet's keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.call import chain_id_of, explained, open_client, valid_for_ms
from cli.settings import DEVNET_FOLDER, current

if TYPE_CHECKING:
    from cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])
CallSpec = tuple[str, str, Mapping[str, Any]]
"""Contract, method, arguments."""


def devnet_option(function: F) -> F:
    """--devnet and --dir"""
    function = click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEVNET_FOLDER,
        show_default=True,
        help="The devnet's folder.",
    )(function)
    return click.option(
        "--devnet",
        is_flag=True,
        help="Sign with the keys of the local devnet instead of --key.",
    )(function)


def timeout_option(function: F) -> F:
    """--timeout"""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.IntRange(1, 600),
        default=60,
        show_default=True,
        help="Seconds to wait for it to be committed.",
    )(function)


def client_for(devnet: bool, folder: Path) -> Client:
    """A client of the node that the settings name; of the devnet's nodes where they name none."""
    if not devnet or current().node_url is not None:
        return open_client()
    from cli.client import Client
    from cli.network import Network

    return Client(Network(folder, lambda _line: None).urls())


def seed_of(devnet: bool, folder: Path) -> bytes:
    """The seed to sign with: that of --key, or of the devnet's first validator's organisation."""
    if not devnet:
        return current().signing_seed()
    return next(iter(devnet_seeds(folder).values()))


def devnet_seeds(folder: Path) -> dict[str, bytes]:
    """organisation -> its administrator's seed, for the organisations of the devnet's validators.

    Raises InputError DEVNET_MISSING.
    """
    from cli.network import Network

    network = Network(folder, lambda _line: None)
    organisations = [node.organisation for node in network.nodes() if node.kind == "validator"]
    return {one: network.organisation_seed(one) for one in dict.fromkeys(organisations)}


def step_limit(client: Client) -> int:
    """The most steps that a transaction may ask for on this chain."""
    limit: int = client.query("governance", "params_now").value["tx_steps_max"]
    return limit


def send(
    client: Client,
    seed: bytes,
    calls: Sequence[CallSpec],
    *,
    timeout_s: int = 60,
    steps_max: int | None = None,
) -> list[Any]:
    """The calls in one signed transaction; their results once it stands in a block.

    Raises Refused with the contract's own sentence, and TimedOut.
    """
    from cli.client import make_transaction
    from consensus.primitives.codec import data_from_json

    budget = step_limit(client) if steps_max is None else steps_max
    valid = valid_for_ms(client)
    tx = make_transaction(seed, chain_id_of(client), calls, valid_for_ms=valid, steps_max=budget)
    (outcome,) = client.submit_and_wait([tx], timeout_s=timeout_s)
    explained(client, outcome).require()
    results: list[Any] = data_from_json(client.tx_status(tx.tx_id)["result"])
    return results
