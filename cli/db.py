"""`hansa db`: what a node has on its disk, whether it is right, and making it right again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli import output
from cli.progress import Teller
from cli.settings import current, json_option, passphrase_option

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group()
def db() -> None:
    """Verify, repair and count a node's data."""


@db.command()
@click.option("--data", type=FOLDER, required=True, help="The folder of a stopped node.")
@click.option("--execute", is_flag=True, help="Execute every block again, too.")
@click.option("--sample", type=click.IntRange(1), metavar="N",
              help="Only N blocks, chosen by chance; the state is checked as a whole. To execute "
              "these takes an archive.")  # fmt: skip
@click.option("--seed", type=int, help="Choose the sample by this number.")
@click.option("--vault", is_flag=True, help="Open every file of the vault: asks the passphrase.")
@passphrase_option
@json_option
def verify(data: Path, execute: bool, sample: int | None, seed: int | None, vault: bool) -> int:
    """Check everything in a stopped node's folder, from the genesis document on.

    Blocks, seals, receipts, indexes, header hashes, values, tree, root; what else the folder
    holds. Exit code 1 if anything is wrong; docs/operations.md says what to do then.

    \b
    Examples:
      hansa db verify --data ./node1
      hansa db verify --data ./node1 --execute
      hansa db verify --data ./node1 --sample 200 --json
      hansa db verify --data ./archive --sample 200 --execute
    """
    from node.care.verify import verify as run

    key = None
    if vault:
        from node.keystore import load_key
        from node.setup import VAULT_KEY

        key = load_key(data / VAULT_KEY, current().passphrase(f"Passphrase of {data}"))
    checked = run(data, Teller(), sample=sample, execute=execute, seed=seed, vault_key=key)
    if current().json:
        output.print_json(checked.to_json())
    else:
        show_checked(checked.to_json())
    return output.REFUSED if checked.findings else output.OK


def show_checked(told: dict[str, Any]) -> None:
    """A verification for people."""
    click.echo(
        output.fields(
            {
                "newest block": told["height"],
                "block hash": told["block_hash"],
                "blocks checked": told["blocks"],
                "transactions": told["transactions"],
                "state values": told["state_values"],
                "blocks executed": told["blocks_executed"],
                "seconds": told["seconds"],
            }
        )
    )
    if told["ok"]:
        click.echo("\nNothing is wrong.")
        return
    rows = [(one["code"], one["where"], one["what"]) for one in told["findings"]]
    click.echo(f"\n{output.table(('code', 'where', 'what'), rows)}")
    for code, count in told["counts"].items():
        click.echo(f"{code}: {output.counted(count, 'finding')}")


@db.command()
@click.option("--data", type=FOLDER, required=True, help="The folder of a stopped node.")
@json_option
def repair(data: Path) -> int:
    """Make again what follows from what is certain; says what it did, and what it can't.

    Indexes and header hashes from the blocks, the state's tree from its values, else everything
    by executing the blocks. What was damaged is kept beside it. Exit code 1 if something is left.

    \b
    Example:
      hansa db repair --data ./node1
    """
    from node.care.repair import repair as run

    result = run(data, Teller())
    if current().json:
        output.print_json(result.to_json())
        return output.OK if result.whole else output.REFUSED
    for line in result.did or ["Nothing had to be done."]:
        click.echo(f"* {line}")
    if result.cannot:
        click.echo("\nWhat can't be made again here:")
        for line in result.cannot:
            click.echo(f"* {line}")
    assert result.checked is not None, "every repair ends with a verification"
    click.echo()
    show_checked(result.checked.to_json())
    return output.OK if result.whole else output.REFUSED


@db.command()
@click.option("--data", type=FOLDER, required=True, help="The node's folder; it may be running.")
@json_option
def stats(data: Path) -> None:
    """What the store holds, by table; heights; disk used and free.

    \b
    Example:
      hansa db stats --data ./node1
    """
    told = _stats(data)
    if current().json:
        output.print_json(told)
        return
    rows = [
        (one["table"], one["name"], one["entries"], one["bytes"], one["disk_bytes"])
        for one in told["tables"]
    ]
    click.echo(output.table(("table", "holds", "entries", "bytes", "bytes on disk"), rows))
    summary = {
        "chain id": told["chain_id"],
        "layout": told["layout"],
        "newest block": told["height"],
        "oldest with transactions": told["oldest"],
        **{f"{name}/ on disk": _size(size) for name, size in told["folders"].items()},
        "free": _size(told["free"]),
    }
    click.echo(f"\n{output.fields(summary)}")


def _stats(data: Path) -> dict[str, Any]:
    from node.care.door import ask, connect
    from node.care.stats import stats_of_folder

    door = connect(data)
    if door is not None:
        return ask(door, {"do": "stats"}, Teller())
    return stats_of_folder(data, Teller()).to_json()


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MB"
