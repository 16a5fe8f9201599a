"""`hansa mt`: SWIFT messages of documentary credits in and out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from cli import output
from cli.mt.documents import document_of, message_from_document
from cli.mt.message import FILE_BYTES_MAX, Finding, Message, read_messages
from cli.mt.rules import check as findings_of
from cli.mt.rules import check_message
from cli.mt.tables import TITLES
from cli.settings import current, json_option
from consensus.primitives.errors import InputError

HEADERS: Final = ("document", "message", "type", "field", "line", "code", "network", "what")
_JSON_BYTES_MAX: Final = 8 * FILE_BYTES_MAX  # each text twice, with names around it


@click.group()
def mt() -> None:
    """SWIFT messages of credits: MT700, 707, 710, 720, 734, 750, 752. See docs/spec/mt.md"""


_FILES = click.argument(
    "files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)
_OUT = click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=None,
                    help="Write here instead of to the terminal.")  # fmt: skip


def _read(files: tuple[Path, ...]) -> Iterator[tuple[Path, int, Message | None, list[Finding]]]:
    """Each message of each file with all that is wrong with it. Raises InputError."""
    from node.keystore import read_limited

    for file in files:
        for number, read in enumerate(
            read_messages(read_limited(file, FILE_BYTES_MAX, "MT file")), 1
        ):
            yield file, number, read.message, findings_of(read)


def _row(file: Path, number: int, message: Message | None, one: Finding) -> dict[str, Any]:
    kind = "" if message is None else f"MT{message.number[:8]}"
    cells = (file.name, number, kind, one.field, one.line, one.code, one.network, one.message)
    return dict(zip(HEADERS, cells, strict=True))


@mt.command()
@_FILES
@json_option
def check(files: tuple[Path, ...]) -> None:
    """Say everything that is wrong with the messages in FILES, without a node.

    Every error has its field, its line in the text and a stable code, and the network's own code
    where that is known. Exit code 1 if any message has one.

    \b
    Example:
      hansa mt check credit.fin
    """
    rows: list[dict[str, Any]] = []
    messages = refused = 0
    for file, number, message, found in _read(files):
        messages += 1
        refused += bool(found)
        for one in found or [Finding("", 0, "OK", TITLES[message.number] if message else "")]:
            rows.append(_row(file, number, message, one))
    counts = Counter(row["code"] for row in rows)
    if current().json:
        shown = {"messages": messages, "refused": refused, "findings": rows}
        output.print_json({**shown, "counts": dict(sorted(counts.items()))})
    else:
        click.echo(output.table(HEADERS, [list(row.values()) for row in rows]))
        click.echo()
        click.echo(output.table(("code", "times"), sorted(counts.items())))
    if refused:
        click.get_current_context().exit(output.REFUSED)


def _tell(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        place = f"{row['document']} message {row['message']}"
        output.say(f"{place}, field {row['field'] or '-'}: {row['code']}: {row['what']}")


@mt.command("import")
@_FILES
@_OUT
def import_(files: tuple[Path, ...], out: Path | None) -> None:
    """Read the messages in FILES into JSON: what each says by the names of the business, and whole.

    Messages that are not in order are told with every error and left out; exit code 1 if there was
    one.

    \b
    Example:
      hansa mt import credit.fin --out credit.json
    """
    rows: list[dict[str, Any]] = []
    documents = []
    for file, number, message, found in _read(files):
        rows += [_row(file, number, message, one) for one in found]
        if message is not None and not found:
            documents.append(document_of(message))
    _tell(rows)
    whole = json.dumps(documents, indent=2, ensure_ascii=False) + "\n"
    _write(whole.encode(), out)
    if rows:
        click.get_current_context().exit(output.REFUSED)


@mt.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_OUT
def export(file: Path, out: Path | None) -> None:
    """Write the messages that FILE tells of in JSON, as `import` does, in SWIFT's form.

    New ones need `mt`, `sender` and `receiver` (BICs) and what they `say`. Nothing is written
    unless all of them are in order; exit code 1 else, with every error.

    \b
    Example:
      hansa mt export credit.json --out credit.fin
    """
    from node.keystore import read_limited

    try:
        value = json.loads(read_limited(file, _JSON_BYTES_MAX, "messages in JSON"))
    except (ValueError, RecursionError):
        raise InputError("MT_JSON", f"{file} is not JSON") from None
    rows: list[dict[str, Any]] = []
    made = []
    for number, one in enumerate(value if isinstance(value, list) else [value], 1):
        message = message_from_document(one)
        rows += [_row(file, number, message, found) for found in check_message(message)]
        made.append(message)
    if rows:
        _tell(rows)
        click.get_current_context().exit(output.REFUSED)
    _write(b"".join(one.to_bytes() + b"\r\n" for one in made), out)


def _write(whole: bytes, out: Path | None) -> None:
    from node.keystore import write_whole

    if out is None:
        click.echo(whole.decode(), nl=False)
    else:
        write_whole(out, whole)
