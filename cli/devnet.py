"""`hansa devnet`: four validators and a full node on this machine."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import output
from cli.settings import DEVNET_FOLDER, current, json_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.network import Network, NodeSpec

F = TypeVar("F", bound=Callable[..., Any])


def folder_option(function: F) -> F:
    """--dir"""
    return click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEVNET_FOLDER,
        show_default=True,
        help="The network's folder.",
    )(function)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal act like Ctrl-C, so that what was started is stopped again."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def bring_up(
    network: Network, *, fresh: bool = False, fault_model: str | None = None
) -> list[NodeSpec]:
    """Make the network if there is none, start what is not running, wait until all are ready.

    Returns the nodes that it started; those that ran before go on running.

    When this fails or is interrupted, the nodes that it started are stopped again. Raises
    InputError DEVNET_OUTDATED when the folder is one of an older release, DEVNET_INVALID when its
    fault model is another.
    """
    from cli.sample_trade import load_sample_trade
    from consensus.params import Params
    from contracts.runtime.registry import builtin_packages

    started: list[NodeSpec] = []
    with network.locked():
        try:
            if fresh and network.made:
                network.stop(network.nodes())
                network.remove()
            if not network.made:
                network.say(f"Making keys and a genesis document in {network.folder}")
                params = Params(fault_model=fault_model or "byzantine")
                network.make(load_sample_trade().organisations, params)
            if network.outdated:
                raise InputError(
                    "DEVNET_OUTDATED",
                    f"{network.folder} was made by an older release:"
                    " hansa devnet up --fresh starts a new chain",
                )
            model = network.document().params.fault_model
            if fault_model not in (None, model):
                raise InputError(
                    "DEVNET_INVALID",
                    f"{network.folder} is of the {model} fault model: --fresh starts a new chain",
                )
            if network.document().packages != builtin_packages():
                network.say(
                    "This chain began with other contracts than this release has, and runs its own:"
                    " --fresh starts one with this release's"
                )
            network.move_off_occupied_ports()
            nodes = network.nodes()
            for node in nodes:
                if network.start(node):
                    started.append(node)
            network.say(f"Starting {len(started)} of {len(nodes)} nodes")
            network.wait_ready(nodes)
        except BaseException:
            if started:
                network.say("Stopping what was started")
                network.stop(started)
            raise
    return started


def node_reports(network: Network) -> list[dict[str, Any]]:
    """For each node whether it runs, and what it says of itself."""
    from cli.client import Client, ClientError

    reports = []
    for node in network.nodes():
        process = network.process(node)
        report: dict[str, Any] = {
            "node": node.name,
            "kind": node.kind,
            "running": process is not None,
            "pid": process.pid if process else None,
            "url": node.url,
        }
        if process is not None:
            try:
                with Client(node.url, timeout_s=2) as client:
                    report["status"] = client.node_status()
            except ClientError as error:
                report["error"] = error.code
        reports.append(report)
    return reports


def _print_reports(reports: Sequence[dict[str, Any]]) -> None:
    rows = []
    for one in reports:
        status = one.get("status", {})
        peers = status.get("peers")
        connected = None
        if isinstance(peers, list):
            connected = sum(bool(peer.get("connected")) for peer in peers)
        root = status.get("state_root") or ""
        state = "stopped" if not one["running"] else one.get("error", "running")
        rows.append((one["node"], one["kind"], state, one["pid"], status.get("height"), connected,
                     output.short(root), one["url"]))  # fmt: skip
    headers = ("node", "kind", "state", "pid", "height", "peers", "state root", "API")
    click.echo(output.table(headers, rows))


def _network(folder: Path) -> Network:
    from cli.network import Network

    return Network(folder, output.say)


@click.group()
def devnet() -> None:
    """Four validators and a full node on this machine.

    Separate processes with real keys, on loopback. Nodes are numbered 1 to 5; 5 is the full node.
    """


@devnet.command()
@click.option("--fresh", is_flag=True, help="Throw the chain away and start a new one.")
@click.option(
    "--fault-model",
    type=click.Choice(["byzantine", "crash"]),
    help="For a new chain; crash: three validators, one may be down, none may lie.",
)
@folder_option
@json_option
def up(folder: Path, fresh: bool, fault_model: str | None) -> None:
    """Start the network; make it first if there is none. What runs already goes on running.

    \b
    Examples:
      hansa devnet up
      hansa devnet up --fresh --dir /tmp/other-net
      hansa devnet up --fresh --fault-model crash
    """
    network = _network(folder)
    with interruptible():
        bring_up(network, fresh=fresh, fault_model=fault_model)
    _show(network)


@devnet.command("add-node")
@click.argument("name")
@click.option("--organisation", metavar="ID", help="Who runs it (default: node 1's organisation).")
@folder_option
@json_option
def add_node(folder: Path, name: str, organisation: str | None) -> None:
    """Make one more node, NAME, with a validator's keys, and start it.

    Its peers refuse it until the validators' organisations have admitted it by vote.

    \b
    Example:
      hansa devnet add-node node6
    """
    from node.keystore import check_name, key_info
    from node.setup import CONSENSUS_KEY, NETWORK_KEY

    network = _network(folder)
    with network.locked():
        organisation = organisation or network.node(1).organisation
        node = network.add_node(check_name(name), organisation)
        network.start(node)
        network.wait_answering([node])
    keys = {
        kind: key_info(network.folder / node.name / file).key.hex()
        for kind, file in (("network", NETWORK_KEY), ("consensus", CONSENSUS_KEY))
    }
    summary = {
        "node": node.name,
        "organisation": node.organisation,
        "url": node.url,
        "address": f"127.0.0.1:{node.p2p_port}",
        "network_key": keys["network"],
        "consensus_key": keys["consensus"],
    }
    if current().json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))


@devnet.command()
@folder_option
@json_option
def status(folder: Path) -> None:
    """Show which nodes run and where they are.

    \b
    Example:
      hansa devnet status --json
    """
    _show(_network(folder))


@devnet.command()
@folder_option
@json_option
def stop(folder: Path) -> None:
    """Stop the network's nodes. Their chain is kept.

    \b
    Example:
      hansa devnet stop
    """
    network = _network(folder)
    with network.locked():
        stopped = network.stop(network.nodes()) if network.made else []
    _done("stopped", stopped)


@devnet.command()
@click.argument("number", type=int)
@folder_option
@json_option
def kill(folder: Path, number: int) -> None:
    """Kill node NUMBER without warning (SIGKILL), as a power failure would.

    \b
    Example:
      hansa devnet kill 2
    """
    network = _network(folder)
    with network.locked():
        stopped = network.stop([network.node(number)], kill=True)
    _done("killed", stopped)


@devnet.command()
@click.argument("number", type=int)
@folder_option
@json_option
def restart(folder: Path, number: int) -> None:
    """Stop node NUMBER if it runs, start it, and wait until its API answers.

    \b
    Example:
      hansa devnet restart 2
    """
    network = _network(folder)
    with network.locked():
        node = network.node(number)
        network.stop([node])
        network.start(node)
        network.wait_answering([node])
    _done("restarted", [node.name])


def _show(network: Network) -> None:
    reports = node_reports(network)
    if current().json:
        output.print_json({"folder": str(network.folder), "nodes": reports})
    else:
        _print_reports(reports)
        sys.stdout.flush()


def _done(what: str, names: list[str]) -> None:
    if current().json:
        output.print_json({what: names})
    else:
        click.echo(f"{what}: {', '.join(names) or 'nothing was running'}")
