"""Openings of commitments: files of their own, which nobody else may read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli.arguments import Opening
from consensus.primitives.codec import data_to_json
from node.keystore import write_whole

FORMAT: Final = "hansa-openings/1"


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
    write_whole(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
    return path
