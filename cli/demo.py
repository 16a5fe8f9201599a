"""`hansa demo`: a network, a trade on it, and its trace."""

from __future__ import annotations

import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from cli import output
from cli.call import explained
from cli.client import Client, make_transaction
from cli.devnet import bring_up, folder_option, interruptible, node_reports
from cli.epcis_calls import to_call
from cli.epcis_events import EpcisEvent, Refused, load_events
from cli.network import Network, NodeSpec
from cli.sample_trade import Document, SampleTrade, load_sample_trade
from cli.trace import trace_table
from consensus.primitives.errors import InputError

STATUS_EVERY_S: Final = 1.0
STATUS_LINE_EVERY_S: Final = 10.0  # where lines can't be overwritten
COMMIT_TIMEOUT_S: Final = 60.0


@click.command()
@click.option("--once", is_flag=True, help="End after the trace, and stop what was started.")
@click.option("--fresh", is_flag=True, help="Start a new chain.")
@folder_option
def demo(folder: Path, once: bool, fresh: bool) -> None:
    """Start a network, play the sample trade on it, show the batch's trace.

    A medicine batch is made, packed, shipped, received, split and recalled, by several
    organisations in signed transactions. Then the network stays up, with a live status line, until
    Ctrl-C. Its chain is kept: run again, events that stand on it are not submitted twice. Nodes
    that were up before are used, and left up.

    \b
    Examples:
      hansa demo
      hansa demo --once
    """
    began = time.monotonic()
    network = Network(folder, output.say)
    trade = load_sample_trade()
    started: list[NodeSpec] = []
    with interruptible(), _alone(network):
        try:
            started = _bring_up(network, fresh)
            with Client(network.urls()) as client:
                play(network, client, trade)
                click.echo(f"\nTrace of {trade.item}\n")
                found = client.query("batch", "trace", {"item": trade.item}).value
                click.echo(trace_table(client, found["events"]))
                output.say(f"\nFrom start to trace: {time.monotonic() - began:.1f} s")
                if not once:
                    _watch(network, "stops it" if started else "ends this display")
        finally:
            if started:
                with network.locked():
                    stopped = network.stop(started)
                output.say(
                    f"\nStopped {len(stopped)} nodes; their chain is kept in {network.folder}"
                )
            elif network.made:
                output.say("\nNo nodes were started; to stop what was up before: hansa devnet stop")


@contextmanager
def _alone(network: Network) -> Iterator[None]:
    """One demo in a folder: it stops the nodes that it started. Raises InputError DEMO_RUNNING."""
    network.folder.parent.mkdir(parents=True, exist_ok=True)
    path = network.folder.with_name(f"{network.folder.name}.demo.lock")
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("DEMO_RUNNING", f"a demo is running in {network.folder}") from None
        yield


def _bring_up(network: Network, fresh: bool) -> list[NodeSpec]:
    try:
        return bring_up(network, fresh=fresh)
    except InputError as error:
        if error.code != "DEVNET_OUTDATED":
            raise
        output.say("The chain there is an older release's: starting a new one")
        return bring_up(network, fresh=True)


def play(network: Network, client: Client, trade: SampleTrade) -> None:
    """Submit the trade's documents in order, each when the one before is committed.

    What an earlier, perhaps interrupted run has committed is not submitted again. Raises Refused
    when a contract refuses a document, TimedOut when it is not committed.
    """
    names = {one.id: one.name for one in trade.organisations}
    chain_id = bytes.fromhex(client.genesis()["chain_id"])
    traced = client.query("batch", "trace", {"item": trade.item}).value["events"]
    heights = {event["event_id"]: event["height"] for event in traced}
    output.say(f"\n{trade.title}")
    for document in trade.documents:
        events = checked_events(document)
        known = [heights[event.event_id] for event in events if event.event_id in heights]
        if len(known) == len(events):
            where = f"block {max(known)}, from an earlier run"
        else:
            before = time.monotonic()
            seed = network.organisation_seed(document.signer)
            tx = make_transaction(seed, chain_id, [to_call(event) for event in events])
            (outcome,) = client.submit_and_wait([tx], timeout_s=COMMIT_TIMEOUT_S)
            explained(client, outcome).require()
            took_ms = (time.monotonic() - before) * 1000
            where = f"block {outcome.height}, {took_ms:.0f} ms"
        output.say(f"  {document.title:<46} {names[document.signer]:<30} {where}")


def checked_events(document: Document) -> list[EpcisEvent]:
    """Raises InputError with the reason for an event that is not valid EPCIS."""
    events = []
    for event in load_events(document.raw):
        if isinstance(event, Refused):
            raise InputError(event.code, f"{document.name}: event {event.number}: {event.message}")
        events.append(event)
    return events


def _watch(network: Network, ctrl_c: str) -> None:
    """A live status line until Ctrl-C; ``ctrl_c`` says what that does."""
    live = sys.stderr.isatty()
    output.say(f"\nThe network is up; its API: {network.urls()[0]}. Ctrl-C {ctrl_c}.")
    try:
        while True:
            line = _status_line(network)
            if live:
                sys.stderr.write(f"\r\x1b[2K{line}")
                sys.stderr.flush()
            else:
                output.say(line)
            time.sleep(STATUS_EVERY_S if live else STATUS_LINE_EVERY_S)
    except KeyboardInterrupt:
        pass


def _status_line(network: Network) -> str:
    reports = node_reports(network)
    heights = [one["status"].get("height", 0) for one in reports if "status" in one]
    roots = {
        one["status"].get("state_root")
        for one in reports
        if "status" in one and one["status"].get("height") == max(heights)
    }
    parts = [f"{sum(one['running'] for one in reports)} of {len(reports)} nodes up"]
    if heights:
        parts.append(f"height {min(heights)}..{max(heights)}")
        parts.append("one state" if len(roots) == 1 else f"{len(roots)} STATES")
    waiting = max((_waiting(one["status"]) for one in reports if "status" in one), default=0)
    return "  ".join([time.strftime("%H:%M:%S"), *parts, f"{waiting} waiting"])


def _waiting(status: dict[str, object]) -> int:
    mempool = status.get("mempool")
    count = mempool.get("txs", 0) if isinstance(mempool, dict) else 0
    return count if isinstance(count, int) else 0
