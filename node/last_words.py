"""Why a node ended, kept in its data folder for whoever looks there later."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from consensus.primitives.errors import HansaError
from node.files import write_durably

FILE_NAME: Final = "last-failure.json"
BYTES_MAX: Final = 16 << 10
MESSAGE_MAX: Final = 2_000


@dataclass(frozen=True)
class LastWords:
    """``code`` is an error's, or INTERNAL_ERROR."""

    code: str
    message: str
    time_ms: int


def note_failure(folder: Path, error: BaseException) -> None:
    """Best effort: a full disk takes no more words, and the doctor sees that for itself."""
    words = LastWords("INTERNAL_ERROR", type(error).__name__, time.time_ns() // 1_000_000)
    if isinstance(error, HansaError):
        words = LastWords(error.code, error.message[:MESSAGE_MAX], words.time_ms)
    with contextlib.suppress(OSError):
        write_durably(folder / FILE_NAME, (json.dumps(asdict(words)) + "\n").encode())


def forget_failure(folder: Path) -> None:
    """The node runs again."""
    with contextlib.suppress(OSError):
        (folder / FILE_NAME).unlink(missing_ok=True)


def last_failure(folder: Path) -> LastWords | None:
    """None where the node ended well, or never ran."""
    try:
        with open(folder / FILE_NAME, "rb") as file:
            value = json.loads(file.read(BYTES_MAX))
        return LastWords(str(value["code"]), str(value["message"]), int(value["time_ms"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
