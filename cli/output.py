"""What a person or a script sees: tables, JSON, errors, exit codes.

Results go to stdout, everything else (progress, questions, errors) to stderr.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from consensus.primitives.errors import HansaError, TxRejected

OK: Final = 0
REFUSED: Final = 1  # by the node or by a contract
USAGE: Final = 2
UNREACHABLE: Final = 3
LOCAL: Final = 4
INTERNAL: Final = 5
INTERRUPTED: Final = 130

# What a node's absence, silence or babble is called.
UNREACHABLE_CODES: Final = frozenset(
    {"NODE_UNREACHABLE", "NODE_NOT_READY", "NODE_STOPPING", "BAD_ANSWER", "TIMED_OUT"}
)


def exit_code_of(error: HansaError) -> int:
    from cli.client import ClientError  # only a failing command pays for this import

    if error.code in UNREACHABLE_CODES:
        return UNREACHABLE
    if isinstance(error, TxRejected | ClientError) or error.code.endswith("NOT_FOUND"):
        return REFUSED  # what the chain does not have is never a local mistake
    return LOCAL


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line of progress."""
    click.echo(text, err=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(header), *(len(row[column]) for row in cells)) if cells else len(header)
        for column, header in enumerate(headers)
    ]
    numeric = [
        bool(rows) and all(isinstance(row[column], int) for row in rows)
        for column in range(len(headers))
    ]

    def line(parts: Sequence[str]) -> str:
        aligned = (
            part.rjust(width) if right else part.ljust(width)
            for part, width, right in zip(parts, widths, numeric, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def fields(pairs: Mapping[str, Any]) -> str:
    """One ``name  value`` a line."""
    width = max(map(len, pairs), default=0)
    lines = (f"{name.ljust(width)}  {_cell(value)}".rstrip() for name, value in pairs.items())
    return "\n".join(lines)


def why_no_json(error: Exception) -> str:
    """What is wrong with a text that is no JSON, in words for people."""
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def counted(number: int, what: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def short(hex_text: str) -> str:
    """Enough of a hash for the eye."""
    return f"{hex_text[:12]}.." if len(hex_text) > 16 else hex_text


def when(time_ms: int) -> str:
    """UTC to the second."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def print_error(code: str, message: str, *, as_json: bool) -> None:
    if as_json:
        text = json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False)
    else:
        text = f"error: {code}: {message}"
    click.echo(text, err=True)


def keep_traceback(error: BaseException) -> str:
    """Write an unexpected error's details to a private file; returns its path."""
    handle, path = tempfile.mkstemp(prefix="hansa-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"hansa {' '.join(sys.argv[1:2])}\n")
        file.writelines(traceback.format_exception(error))
    return path


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    # Other people's text must not steer the terminal.
    return "".join(one if one.isprintable() else "?" for one in str(value))
