"""The flight recorder's tape on a real disk."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

NAMES: Final = ("running-0.flight", "running-1.flight")
EARLIER: Final = ("killed-0.flight", "killed-1.flight")


class TapeFiles:
    """Two files in turn, never synced: the page cache outlives a killed process, and a power cut
    may take the tail. What an earlier process left is kept beside, under ``EARLIER``."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._paths = [folder / name for name in NAMES]
        self._newer = 0
        left = [path for path in self._paths if path.exists()]
        if left:
            for name in EARLIER:
                (folder / name).unlink(missing_ok=True)
            left.sort(key=lambda path: path.stat().st_mtime_ns)
            for path, name in zip(left, EARLIER, strict=False):
                path.replace(folder / name)

    def begin(self, data: bytes) -> None:
        self._newer = 1 - self._newer
        path = self._paths[self._newer]
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        self.append(data)

    def append(self, data: bytes) -> None:
        with self._paths[self._newer].open("ab") as file:
            file.write(data)

    def remove(self) -> None:
        """After a clean end nobody needs it."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
