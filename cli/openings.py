"""Openings of commitments: files of their own, which nobody else may read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cli.arguments import Opening
from cli.output import why_no_json
from consensus.primitives.codec import data_from_json, data_to_json
from consensus.primitives.errors import HansaError, InputError
from node.keystore import read_limited, write_whole

F = TypeVar("F", bound=Callable[..., Any])

FORMAT: Final = "hansa-openings/1"
FILE_BYTES_MAX: Final = 16 << 20


def openings_option(function: F) -> F:
    """--openings"""
    return click.option(
        "--openings",
        "folder",
        envvar="HANSA_OPENINGS",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where what opens commitments is kept (default: beside the key).",
    )(function)


def openings_folder(key: Path | None) -> Path:
    """Where openings are kept unless told otherwise: beside the key that signs."""
    return (Path() if key is None else key.parent) / "openings"


def keep_openings(
    folder: Path, tx_id: bytes, contract: str, method: str, openings: Sequence[Opening]
) -> Path:
    """Write the openings of one transaction's arguments, synced, and return the file.

    Raises InputError FILE_EXISTS or FILE_NOT_WRITABLE.
    """
    value = {
        "format": FORMAT,
        "tx_id": tx_id.hex(),
        "contract": contract,
        "method": method,
        "openings": [
            {
                "argument": one.argument,
                "visibility": one.visibility,
                "commitment": one.commitment.hex(),
                "salt": one.salt.hex(),
                "value": data_to_json(one.value),
            }
            for one in openings
        ],
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{tx_id.hex()}.json"
    write_whole(path, _text(value))
    return path


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_openings(path: Path) -> list[Opening]:
    """The openings in a file. Raises InputError BAD_OPENINGS, FILE_NOT_READABLE."""
    try:
        value = json.loads(read_limited(path, FILE_BYTES_MAX, "openings"))
        if value["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return [
            Opening(
                str(one["argument"]),
                str(one["visibility"]),
                bytes.fromhex(one["commitment"]),
                bytes.fromhex(one["salt"]),
                data_from_json(one["value"]),
            )
            for one in value["openings"]
        ]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError("BAD_OPENINGS", f"{path}: {why_no_json(error)}") from None
    except HansaError as error:
        if isinstance(error, InputError):
            raise
        raise InputError("BAD_OPENINGS", f"{path}: {error.message}") from None


def forget_openings(folder: Path, commitments: set[bytes]) -> int:
    """Take openings out of a folder's files, and overwrite where they stood; how many there were.

    A file that cannot be read holds none that this software wrote, and stays.
    """
    erased = 0
    unwanted = {one.hex() for one in commitments}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            value = json.loads(read_limited(path, FILE_BYTES_MAX, "openings"))
            left = [one for one in value["openings"] if one["commitment"] not in unwanted]
            gone = len(value["openings"]) - len(left)
        except (InputError, KeyError, TypeError, ValueError, RecursionError):
            continue
        if not gone:
            continue
        erased += gone
        with path.open("r+b") as old:
            if left:
                write_whole(path, _text(value | {"openings": left}), replace=True)
            else:
                path.unlink()
            old.write(bytes(os.fstat(old.fileno()).st_size))
            old.flush()
            os.fsync(old.fileno())
    return erased
