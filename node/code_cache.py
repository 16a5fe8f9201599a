"""Contracts' compiled code, kept from one start to the next in the user's cache folder.

Checking and instrumenting the contracts takes a second or more at each start of a node, and always
gives the same. Kept is what Python's own ``__pycache__`` keeps: code, named by a hash of all that
it was made from. What is missing, damaged or not writable is made anew.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from consensus.primitives.crypto import sha256
from contracts.runtime import loader

FILES_MAX: Final = 256
BYTES_MAX: Final = 16 << 20
DIGEST_BYTES: Final = 32


class CodeFolder:
    """Entries as files; each begins with the SHA-256 of the rest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> bytes | None:
        with contextlib.suppress(OSError):
            if not self._is_ours():
                return None
            raw = (self.folder / key).read_bytes()
            if len(raw) <= BYTES_MAX and sha256(raw[DIGEST_BYTES:]) == raw[:DIGEST_BYTES]:
                return raw[DIGEST_BYTES:]
        return None

    def put(self, key: str, code: bytes) -> None:
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._is_ours():
                return
            self._make_room()
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(sha256(code) + code)
            os.replace(file.name, self.folder / key)

    def _make_room(self) -> None:
        """Half of the entries, the oldest, go when there are too many."""
        files = list(self.folder.iterdir())
        if len(files) >= FILES_MAX:
            for old in sorted(files, key=lambda file: file.stat().st_mtime)[: FILES_MAX // 2]:
                old.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """Whether nobody else could have put code there."""
        found = self.folder.stat()
        return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def use_code_cache() -> None:
    """Have this process keep compiled contracts, where the user has a cache folder."""
    with contextlib.suppress(RuntimeError):  # no home
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        loader.keep_in(CodeFolder(Path(base) / "hansa" / "contracts"))
