"""What a light node keeps: its trust root, the changes of the validators, the newest header, forks.

SQLite, from the standard library: one small file, whose commits are whole or not there after a
crash, synced before they return. The newest header replaces the one before, so the file grows with
changes of the validators and not with blocks. Each row has its digest beside it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from consensus.light import Fork, Trusted
from consensus.primitives.codec import Wire
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError, LocalFault

W = TypeVar("W", bound=Wire)

FILE: Final = "light.db"
FORMAT: Final = 1
APPLICATION: Final = 0x48414E4C
_SCHEMA: Final = f"""
CREATE TABLE turns (height INTEGER PRIMARY KEY, digest BLOB NOT NULL, raw BLOB NOT NULL);
CREATE TABLE newest (only INTEGER PRIMARY KEY CHECK (only = 1), digest BLOB NOT NULL,
                     raw BLOB NOT NULL);
CREATE TABLE forks (digest BLOB PRIMARY KEY, found_ms INTEGER NOT NULL, raw BLOB NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""


class LightStore:
    """One process's, used by one thread at a time. Any method raises LocalFault STORE_CORRUPT or
    STORE_IO."""

    def __init__(self, folder: Path, root: Trusted | None = None) -> None:
        """Opens the store in ``folder``, or makes it with the trust ``root``.

        Raises InputError FOLDER_LOCKED, FILE_EXISTS, FILE_NOT_READABLE; LocalFault STORE_NEWER.
        """
        self.path = folder / FILE
        if (root is not None) == self.path.exists():
            raise (
                InputError("FILE_EXISTS", f"{self.path} is there already")
                if root is not None
                else InputError("FILE_NOT_READABLE", f"{self.path}: no light node's store")
            )
        with _disk():
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            self._open(root)
        except BaseException:
            self._db.close()
            raise

    def _open(self, root: Trusted | None) -> None:
        try:
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA synchronous = EXTRA")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise InputError("FOLDER_LOCKED", f"another process uses {self.path}") from None
            raise _broken(error) from None
        except sqlite3.DatabaseError as error:
            raise _broken(error) from None
        if root is not None:
            with _disk():
                self._db.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            self.keep([root], root)
            return
        with _disk():
            found = [self._db.execute(f"PRAGMA {name}").fetchone()[0]
                     for name in ("application_id", "user_version", "quick_check(1)")]  # fmt: skip
        if found[0] != APPLICATION or found[2] != "ok":
            raise LocalFault("STORE_CORRUPT", f"{self.path} is damaged: {found[2]}")
        if found[1] != FORMAT:
            raise LocalFault("STORE_NEWER", f"{self.path} has format {found[1]}, not {FORMAT}")

    def close(self) -> None:
        self._db.close()

    def chain(self) -> list[Trusted]:
        """The root, what was trusted at each change of the set, and the newest; oldest first."""
        with _disk():
            rows = self._db.execute("SELECT digest, raw FROM turns ORDER BY height").fetchall()
            rows += self._db.execute("SELECT digest, raw FROM newest").fetchall()
        found = [_read(Trusted, digest, raw) for digest, raw in rows]
        if len(found) < 2:
            raise LocalFault("STORE_CORRUPT", f"{self.path} has no trust root")
        return found[:-1] if found[-1] == found[-2] else found

    def keep(self, turns: Sequence[Trusted], newest: Trusted) -> None:
        """Durable when it returns, all of it or nothing."""
        with _disk():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for one in turns:
                    row = (one.height, sha256(one.raw), one.raw)
                    self._db.execute("INSERT OR REPLACE INTO turns VALUES (?, ?, ?)", row)
                row = (1, sha256(newest.raw), newest.raw)
                self._db.execute("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", row)
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def keep_fork(self, fork: Fork, found_ms: int) -> None:
        with _disk():
            self._db.execute(
                "INSERT OR IGNORE INTO forks VALUES (?, ?, ?)",
                (sha256(fork.raw), found_ms, fork.raw),
            )

    def forks(self) -> list[tuple[int, Fork]]:
        """(when it was found, the proof), oldest first."""
        with _disk():
            rows = self._db.execute("SELECT found_ms, digest, raw FROM forks ORDER BY found_ms")
            return [(at, _read(Fork, digest, raw)) for at, digest, raw in rows.fetchall()]


def _read(wire: type[W], digest: bytes, raw: bytes) -> W:
    if sha256(raw) != digest:
        raise LocalFault("STORE_CORRUPT", "a row of the light node's store was altered")
    try:
        return wire.decode(raw)
    except CodecError as error:
        raise LocalFault("STORE_CORRUPT", f"the light node's store: {error.message}") from None


def _broken(error: sqlite3.Error) -> LocalFault:
    if isinstance(error, sqlite3.OperationalError):
        return LocalFault("STORE_IO", f"the light node's store: {error}")
    return LocalFault("STORE_CORRUPT", f"the light node's store: {error}")


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _broken(error) from None
