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
from cli.client import Client, ClientError, make_transaction
from cli.devnet import bring_up, folder_option, interruptible, node_reports
from cli.epcis.capturing import capture_of
from cli.epcis.checks import Checked, checked
from cli.epcis.event_hash import event_digest
from cli.epcis.importing import STEPS_MAX
from cli.epcis.reading import read_events
from cli.epcis.structure import Broken, Unread
from cli.network import Network, NodeSpec
from cli.openings import keep_openings, openings_folder
from cli.recall_board import all_notices, board_table, notices_table, whole_board
from cli.sample_trade import Document, SampleTrade, load_sample_trade
from cli.sending import send
from cli.trace import trace_table
from consensus.primitives.errors import InputError

STATUS_EVERY_S: Final = 1.0
STATUS_LINE_EVERY_S: Final = 10.0  # where lines can't be overwritten
COMMIT_TIMEOUT_S: Final = 60.0
SAMPLE_RECALL: Final = 1  # its number: the demo's chain has no other


@click.command()
@click.option("--once", is_flag=True, help="End after the trace, and stop what was started.")
@click.option("--fresh", is_flag=True, help="Start a new chain.")
@folder_option
def demo(folder: Path, once: bool, fresh: bool) -> None:
    """Start a network, play the sample trade on it, show the batch's trace and recall.

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
                click.echo(f"\nRecall {SAMPLE_RECALL}: who was told, and where the goods are\n")
                click.echo(notices_table(client, all_notices(client, SAMPLE_RECALL)))
                click.echo()
                click.echo(board_table(client, whole_board(client, SAMPLE_RECALL)))
                output.say(f"\nFrom start to dashboard: {time.monotonic() - began:.1f} s")
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
    output.say(f"\n{trade.title}")
    for document in trade.documents:
        if document.name == trade.recall.before:
            play_recall(network, client, trade)
        events = checked_events(document)
        hashes = [{"hash": event_digest(event.source)} for event in events]
        known = [client.query("epcis", "event_by_hash", one).value for one in hashes]
        if all(known):
            require_effects(document, [one["effect_code"] for one in known])
            where = f"block {max(one['height'] for one in known)}, from an earlier run"
        else:
            before = time.monotonic()
            seed = network.organisation_seed(document.signer)
            captures = [capture_of(event, names.__contains__) for event in events]
            calls = [one.call for one in captures]
            tx = make_transaction(seed, chain_id, calls, steps_max=STEPS_MAX)
            folder = openings_folder(network.organisation_key(document.signer))
            openings = [one.opening for one in captures]
            keep_openings(folder, tx.tx_id, "epcis", "capture", openings)
            (outcome,) = client.submit_and_wait([tx], timeout_s=COMMIT_TIMEOUT_S)
            explained(client, outcome).require()
            results = client.tx_status(outcome.tx_id)["result"]
            require_effects(document, [one["code"] for one in results])
            took_ms = (time.monotonic() - before) * 1000
            where = f"block {outcome.height}, {took_ms:.0f} ms"
        output.say(f"  {document.title:<46} {names[document.signer]:<30} {where}")


def play_recall(network: Network, client: Client, trade: SampleTrade) -> None:
    """Recall the batch: its maker initiates, a regulator classifies, the notices go out.

    Steps that an earlier run has committed are not taken again.
    """
    names = {one.id: one.name for one in trade.organisations}
    sample = trade.recall
    maker, regulator = (network.organisation_seed(one) for one in (sample.signer, sample.regulator))
    known = client.query("recall", "recall", {"number": SAMPLE_RECALL}).value
    state = known["recall"]["state"] if known else ""
    opening = {"announcement": sample.announcement, "items": sample.items}
    number = {"number": SAMPLE_RECALL}
    steps = (
        (not known, sample.signer, maker, "The manufacturer recalls the whole batch",
         "initiate", opening),
        (state in ("", "INITIATED"), sample.regulator, regulator, "The regulator classifies it",
         "classify", number | {"recall_class": sample.recall_class}),
        (state in ("", "INITIATED", "CLASSIFIED"), sample.signer, maker,
         "The strategy is set; notices go out", "set_strategy", number | sample.strategy),
    )  # fmt: skip
    for is_new, signer, seed, title, method, args in steps:
        where = "from an earlier run"
        if is_new:
            before = time.monotonic()
            send(client, seed, [("recall", method, args)], timeout_s=int(COMMIT_TIMEOUT_S))
            where = f"{(time.monotonic() - before) * 1000:.0f} ms"
        output.say(f"  {title:<46} {names[signer]:<30} {where}")


def require_effects(document: Document, codes: list[str]) -> None:
    """Raises ClientError with the first code that says that an event had no effect."""
    for code in codes:
        if code != "OK":
            raise ClientError(code, f"{document.name} had no effect")


def checked_events(document: Document) -> list[Checked]:
    """Raises InputError with the reason for an event that is not valid EPCIS."""
    events = []
    for event in read_events(document.raw):
        try:
            if isinstance(event, Unread):
                raise Broken(event.code, event.message)
            events.append(checked(event))
        except Broken as broken:
            where = f"{document.name}: event {event.number}"
            raise InputError(broken.code, f"{where}: {broken.message}") from None
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
