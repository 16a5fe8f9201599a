"""`hansa backup` and `hansa restore`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli import output
from cli.progress import Teller
from cli.settings import current, json_option

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _show(told: dict[str, Any]) -> None:
    if current().json:
        output.print_json(told)
    else:
        click.echo(output.fields({name.replace("_", " "): one for name, one in told.items()}))


@click.group(invoke_without_command=True)
@click.option("--data", type=FOLDER, help="The folder of the node, which may be running.")
@click.option("--out", type=click.Path(path_type=Path),
              help="The file to write, or a folder to write one into.")  # fmt: skip
@json_option
@click.pass_context
def backup(ctx: click.Context, data: Path | None, out: Path | None) -> None:
    """Copy a node's blocks, state and vault into one file, as of one block, while it runs.

    The node itself makes it, from one snapshot; only its own user (or root) on its machine can
    ask. Keys and vote logs are never in it.

    \b
    Examples:
      hansa backup --data ./node1 --out /backups
      hansa backup verify /backups/node1-0000001203-1790000000000.hansa
    """
    if ctx.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise click.UsageError("give --data FOLDER and --out FILE")
    from node.care.backup import backup_folder
    from node.care.door import ask, connect, summary

    door = connect(data)
    if door is not None:
        told = ask(door, {"do": "backup", "out": str(out.resolve())}, Teller())
    else:
        told = summary(*backup_folder(data, out, node=data.resolve().name, progress=Teller()))
    _show(told)


@backup.command()
@click.argument("file", type=FILE)
@click.option("--deep", is_flag=True, help="Restore it in a temporary folder and check all of it.")
@json_option
def verify(file: Path, deep: bool) -> int:
    """Read all of FILE: every part's checksum, and the checksum over all.

    With --deep it is restored beside, and checked as `hansa db verify` does.

    \b
    Examples:
      hansa backup verify node1.hansa
      hansa backup verify node1.hansa --deep
    """
    from node.care.archive import check
    from node.care.restore import restore as run

    if not deep:
        contents = check(file)
        _show(
            {
                **asdict(contents.head),
                "pairs": contents.pairs,
                "openings": contents.openings,
                "parts": len(contents.parts),
                "digest": contents.digest,
            }
        )
        return output.OK
    with tempfile.TemporaryDirectory(prefix="hansa-backup-") as scratch:
        done = run(file, Path(scratch) / "node", Teller())
    return _told(done.to_json())


@click.command()
@click.argument("file", type=FILE)
@click.option("--data", type=FOLDER, required=True, help="The folder to fill: new, or no chain/.")
@click.option("--height", type=click.IntRange(1), metavar="H",
              help="Only up to block H: the backup's blocks are executed again.")  # fmt: skip
@click.option("--keep-votes", is_flag=True,
              help="The vote log there was never copied back: it stays.")  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Only checksums and the state's root.")
@json_option
def restore(file: Path, data: Path, height: int | None, keep_votes: bool, no_verify: bool) -> int:
    """Fill a node's folder from the backup FILE, and verify it.

    Keys are not in a backup: put them back from their own copy. A validator whose vote log is
    not there asks the others what it has signed before it votes.

    \b
    Examples:
      hansa restore node1.hansa --data ./node1
      hansa restore node1.hansa --data ./look --height 1000
    """
    from node.care.restore import restore as run

    done = run(file, data, Teller(), height=height, keep_votes=keep_votes, verify=not no_verify)
    return _told(done.to_json())


def _told(told: dict[str, Any]) -> int:
    from cli.db import show_checked

    checked = told["verified"]
    if current().json:
        output.print_json(told)
    else:
        plain = {name: one for name, one in told.items() if name not in ("verified", "notes")}
        _show(plain)
        for note in told["notes"]:
            click.echo(f"* {note}")
        if checked is not None:
            click.echo()
            show_checked(checked)
    return output.OK if checked is None or checked["ok"] else output.REFUSED
