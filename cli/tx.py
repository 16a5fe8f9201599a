"""`hansa tx`: transactions as such."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

FILE_BYTES_MAX: Final = 64 << 20
TXS_MAX: Final = 100_000


@click.group()
def tx() -> None:
    """Submit transactions, follow and show them."""


class TxId(click.ParamType[bytes]):
    """64 hex digits."""

    name = "tx_id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        if not re.fullmatch(r"[0-9a-f]{64}", str(value)):
            self.fail(f"{value!r} is not a transaction id (64 lower-case hex digits)", param, ctx)
        return bytes.fromhex(value)


TX_ID = TxId()


@tx.command()
@click.argument("files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True)
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Hand in again until each is committed, refused or expired.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 3600), default=60, show_default=True,
              help="Seconds to wait.")  # fmt: skip
@node_option
@json_option
def submit(files: tuple[Path, ...], wait: bool, timeout_s: int) -> None:
    """Submit signed transactions from FILES: one in hex a line, or one in raw bytes a file.

    Keep the files until the transactions are committed: submitting them again is safe.

    \b
    Example:
      hansa tx submit signed.hex
    """
    from consensus.transaction import Transaction

    raws = [raw for file in files for raw in read_transactions(file)]
    txs = [Transaction.parse(raw) for raw in raws]
    with open_client() as client:
        rows: list[tuple[str, str, str, int | None]]
        if wait:
            outcomes = client.submit_and_wait(txs, timeout_s=timeout_s)
            rows = [(one.tx_id.hex(), one.status, one.code, one.height) for one in outcomes]
            good = all(one.succeeded for one in outcomes)
        else:
            found = client.submit(txs)
            rows = [
                (tx.tx_id.hex(), "accepted" if one.accepted else "refused", one.code, None)
                for tx, one in zip(txs, found, strict=True)
            ]
            good = all(one.accepted for one in found)
    headers = ("tx_id", "status", "code", "height")
    if current().json:
        output.print_json([dict(zip(headers, row, strict=True)) for row in rows])
    else:
        click.echo(output.table(headers, rows))
    if not good:
        click.get_current_context().exit(output.REFUSED)


@tx.command()
@click.argument("tx_id", type=TX_ID)
@click.option("--wait", is_flag=True, help="Wait until it is committed, refused or expired.")
@click.option("--timeout", "timeout_s", type=click.IntRange(1, 3600), default=60, show_default=True,
              help="Seconds to wait.")  # fmt: skip
@node_option
@json_option
def status(tx_id: bytes, wait: bool, timeout_s: int) -> None:
    """Where the transaction TX_ID stands. Exit code 1 if it was refused, failed or is unknown.

    \b
    Example:
      hansa tx status --wait 5f0c...
    """
    with open_client() as client:
        if wait:
            client.wait([tx_id], timeout_s=timeout_s)
        found = client.tx_status(tx_id)
    if current().json:
        output.print_json(found)
    else:
        click.echo(output.fields(_readable(found)))
    pending = found["status"] == "pending"
    if not pending and not (found["status"] == "committed" and found["code"] == "OK"):
        click.get_current_context().exit(output.REFUSED)


@tx.command()
@click.argument("tx_id", type=TX_ID)
@node_option
@json_option
def show(tx_id: bytes) -> None:
    """The contents of the transaction TX_ID, with its receipt once it is committed.

    \b
    Example:
      hansa tx show 5f0c... --json
    """
    from consensus.transaction import Transaction

    with open_client() as client:
        parsed = Transaction.parse(client.transaction_bytes(tx_id))
        found = client.tx_status(tx_id)
    value = {"transaction": parsed.to_json(), "status": found}
    if current().json:
        output.print_json(value)
        return
    body = parsed.body
    click.echo(output.fields({
        "tx_id": tx_id.hex(),
        "sender": body.sender.hex(),
        "valid until": output.when(body.valid_until),
        "steps at most": body.steps_max,
    }))  # fmt: skip
    click.echo()
    rows = [(f"{one.contract}.{one.method}", data_to_json(one.args)) for one in body.calls]
    click.echo(output.table(("call", "arguments"), rows))
    click.echo()
    click.echo(output.fields(_readable(found)))
    if found.get("events"):
        click.echo()
        events = [
            (one.get("contract"), one.get("name"), one.get("fields")) for one in found["events"]
        ]
        click.echo(output.table(("contract", "event", "fields"), events))


def _readable(found: dict[str, Any]) -> dict[str, Any]:
    value = {
        name: one
        for name, one in found.items()
        if one is not None and one != "" and name not in ("events", "time_ms")
    }
    if found.get("time_ms") is not None:
        value["time"] = output.when(found["time_ms"])
    value["events"] = len(found.get("events") or ())
    return value


def read_transactions(path: Path) -> list[bytes]:
    """The byte strings in a file. Raises InputError TX_FILE_INVALID and those of reading."""
    from node.keystore import read_limited

    data = read_limited(path, FILE_BYTES_MAX, "transactions")
    if not data.strip():
        raise InputError("TX_FILE_INVALID", f"{path} is empty")
    try:
        lines = data.decode("ascii").split()
        found = [bytes.fromhex(line) for line in lines[: TXS_MAX + 1]]
    except (UnicodeDecodeError, ValueError):
        return [data]
    if len(found) > TXS_MAX:
        raise InputError("TX_FILE_INVALID", f"{path} has more than {TXS_MAX} transactions")
    return found
