"""`hansa debug`: what a node's core was told, kept and told again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option
from consensus.primitives.errors import InputError


@click.group()
def debug() -> None:
    """Flight recordings: what went into a node's agreement, to be replayed elsewhere."""


@debug.command()
@click.option("--out", "target", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The file to write.")  # fmt: skip
@node_option
@json_option
def record(target: Path) -> None:
    """Fetch what a running node has recorded lately: votes, outcomes, moments; no secrets.

    \b
    Example:
      hansa debug record --node http://127.0.0.1:27002 --out stall.flight
    """
    from node.flight import read_recording
    from node.keystore import write_whole

    with open_client() as client:
        data = client.flight_recording()
    recording = read_recording(data)
    write_whole(target, data, mode=0o600)
    summary = {"file": str(target), "bytes": len(data), "inputs": len(recording.entries)}
    if current().json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))


@debug.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--until", type=click.IntRange(min=1), help="Stop after so many inputs.")
@click.option("--verbose", is_flag=True, help="Every input with what came of it.")
@json_option
def replay(file: Path, until: int | None, verbose: bool) -> int:
    """Tell the core again what FILE recorded, and compare: outputs, and the hash of its state.

    Exit code 0: it is all the same. 1: something differs, or the core did what it never may.
    4: FILE is no recording, or a damaged one.

    \b
    Examples:
      hansa debug replay stall.flight
      hansa debug replay node1/flight/1203-DIVERGED.flight --verbose --until 400
    """
    from cli.flight_words import HEADERS, Summary, line_of
    from consensus.pbft.journal import state_digest
    from node.flight import RECORDING_BYTES_MAX, Replay, read_recording

    settings = current()
    with file.open("rb") as source:  # bounded, whatever a device says of its size
        raw = source.read(RECORDING_BYTES_MAX + 1)
    if len(raw) > RECORDING_BYTES_MAX:
        raise InputError("RECORDING_FOREIGN", f"{file}: larger than any recording")
    try:
        recording = read_recording(raw)
    except InputError as error:
        raise InputError(error.code, f"{file}: {error.message}") from None
    again, summary, last = Replay(recording), Summary(), 0
    for step in again.steps(until):
        summary.add(step)
        last = step.number
        if verbose and not settings.json:
            click.echo(line_of(step))
    digest = state_digest(again.state).hex()
    same = not again.different and not again.unsafe
    if settings.json:
        result: dict[str, Any] = {
            "node": recording.header.node,
            "chain_id": recording.header.chain_id.hex(),
            "version": recording.header.version,
            "reason": recording.header.reason,
            "inputs": len(recording.entries),
            "replayed": last,
            "torn_bytes": recording.torn_bytes,
            "state_hash": digest,
            "recorded_hash": recording.closing.digest.hex() if recording.closing else None,
            "same": same,
            "different": again.different,
            "unsafe": again.unsafe,
            "heights": [dict(zip(HEADERS, row, strict=True)) for row in summary.rows()],
            "marks": summary.marks,
        }
        output.print_json(result)
        return output.OK if same else output.REFUSED
    header = recording.header
    click.echo(
        output.fields(
            {
                "node": header.node or "a node without a vote",
                "chain id": header.chain_id.hex(),
                "version": header.version,
                "kept because": header.reason,
                "inputs": f"{last} of {len(recording.entries)} replayed",
            }
        )
    )
    click.echo()
    click.echo(output.table(HEADERS, summary.rows()))
    if summary.marks and not verbose:
        click.echo("\nWhat stands out:")
        click.echo("\n".join(summary.marks))
    click.echo()
    if recording.torn_bytes:
        click.echo(f"{recording.torn_bytes} bytes of a torn last record are left out")
    for sentence in (*again.different, *(f"NEVER ALLOWED: {one}" for one in again.unsafe)):
        click.echo(sentence)
    ended = recording.closing is not None and last == len(recording.entries)
    if same and ended:
        click.echo(f"reproduced: state hash {digest} = recorded")
    elif same:
        click.echo(f"the same so far; state hash {digest}")
    else:
        click.echo(f"DIFFERENT from what was recorded; state hash {digest}")
    return output.OK if same else output.REFUSED
