"""The operator's door to a running node: a Unix socket in its data folder.

Who may open it is who may read the folder: it has mode 0600, and the kernel says which user is at
the other end. The HTTP API has no such door, whatever token somebody holds. One question each::

    {"do": "backup", "out": "/path"}  or  {"do": "stats"}                  one line
    {"progress": ["store", 120000, 0]} ... {"done": {...}} or {"error": {"code", "message"}}

The work runs in a thread on a snapshot of the store, and ends when the one who asked goes away.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import trio

from consensus.primitives.errors import HansaError, InputError, LocalFault
from node import log
from node.care.archive import Contents
from node.care.backup import write_backup
from node.care.findings import Progress
from node.care.stats import stats_of
from node.files import io_fault
from node.store.mark import MarkedKV

FILE_NAME: Final = "admin.sock"
LINE_BYTES_MAX: Final = 8192
ASK_TIMEOUT_S: Final = 10.0
TELL_S: Final = 0.25
OPERATORS: Final = (0, os.getuid())
"""Users who may ask: root, and the node's own."""
REST: Final = 1.0
"""Seconds of rest for each of work: the node keeps at least half of the interpreter's time."""

_log = log.get("admin")
Work = Callable[[Progress, Callable[[], bool]], dict[str, Any]]


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """A name of the socket that fits into the 107 bytes that a Unix address has."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{FILE_NAME}"
    finally:
        os.close(handle)


def _listener(folder: Path) -> socket.socket:
    """The caller holds the folder's lock, so a socket that is there is a dead process's."""
    path = folder / FILE_NAME
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with _short_path(folder) as short:
            made.bind(short)
            os.chmod(short, 0o600)  # nobody gets in before listen
        made.listen(4)
    except OSError as error:
        made.close()
        raise io_fault("FOLDER_UNUSABLE", path, error) from None
    return made


def connect(folder: Path) -> socket.socket | None:
    """The door of the node that runs on ``folder``, None where none does. Raises LocalFault
    FOLDER_UNUSABLE for one that may not be opened."""
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_path(folder) as short:
            asking.connect(short)
    except (FileNotFoundError, ConnectionRefusedError):
        asking.close()
        return None
    except OSError as error:
        asking.close()
        raise io_fault("FOLDER_UNUSABLE", folder / FILE_NAME, error) from None
    return asking


def ask(door: socket.socket, question: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Ask the node at the other end and wait. Raises LocalFault with the node's own code,
    ADMIN_LOST when the node went away."""
    with door, door.makefile("rb") as answers:
        # A node that refuses may have closed before it was asked; its answer is read all the same.
        with contextlib.suppress(ConnectionError):
            door.sendall(json.dumps(question).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            for line in answers:
                answer = json.loads(line)
                if "progress" in answer:
                    progress(*answer["progress"])
                elif "error" in answer:
                    raise LocalFault(answer["error"]["code"], answer["error"]["message"])
                else:
                    return dict(answer["done"])
    raise LocalFault("ADMIN_LOST", "the node ended before it was done")


class AdminDoor:
    """Answers at the door of one running node."""

    def __init__(self, kv: MarkedKV, folder: Path, node: str) -> None:
        self._kv = kv
        self._folder = folder
        self._node = node
        self._busy = False

    async def serve(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. A file system that has no sockets costs the door and nothing else."""
        try:
            made = _listener(self._folder)
        except LocalFault as fault:
            _log.warning("no door for backups of this node while it runs", reason=str(fault))
            task_status.started()
            return
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
        try:
            task_status.started()
            await trio.serve_listeners(self._answer, [listener])
        finally:
            (self._folder / FILE_NAME).unlink(missing_ok=True)

    async def _answer(self, stream: trio.SocketStream) -> None:
        try:
            await _say(stream, await self._answered(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever asked is gone
        finally:
            await trio.aclose_forcefully(stream)

    async def _answered(self, stream: trio.SocketStream) -> dict[str, Any]:
        try:
            credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            if struct.unpack("3i", credentials)[1] not in OPERATORS:
                return _error("ADMIN_REFUSED", "this door is for the node's own user")
            with trio.fail_after(ASK_TIMEOUT_S):
                line = await _line(stream)
            return {"done": await self._do(stream, self._work(line))}
        except HansaError as error:
            return _error(error.code, error.message)
        except trio.TooSlowError:
            return _error("ADMIN_REQUEST", "no question came")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception:
            _log.exception("a question at the door failed")
            return _error("INTERNAL_ERROR", "the node failed to answer; see its log")

    def _work(self, line: bytes) -> Work:
        try:
            asked = json.loads(line)
            what = asked["do"]
            out = Path(asked["out"]) if what == "backup" else None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError("ADMIN_REQUEST", "not a question that is answered here") from None
        if what == "stats":
            return lambda progress, _stop: stats_of(self._kv, self._folder, progress).to_json()
        if out is None or not out.is_absolute():
            raise InputError("ADMIN_REQUEST", "not a question that is answered here")
        return lambda progress, stop: self._backup(out, progress, stop)

    def _backup(self, out: Path, progress: Progress, stop: Callable[[], bool]) -> dict[str, Any]:
        view = self._kv.snapshot()
        try:
            path, contents = write_backup(
                view,
                self._folder,
                out,
                node=self._node,
                progress=progress,
                stop=stop,
                rest=REST,
            )
        finally:
            view.close()
        _log.info("backup made", file=str(path), height=contents.head.height)
        return summary(path, contents)

    async def _do(self, stream: trio.SocketStream, work: Work) -> dict[str, Any]:
        if self._busy:
            raise InputError("ADMIN_BUSY", "the node is at another backup or count; wait for it")
        stop, told = threading.Event(), [("", 0, 0)]

        def progress(phase: str, count: int, total: int) -> None:
            told[0] = (phase, count, total)

        async def tell() -> None:
            try:
                while True:
                    await trio.sleep(TELL_S)
                    await _say(stream, {"progress": told[0]})
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                stop.set()  # whoever asked is gone, or the node ends: the thread sees it soon

        failure: HansaError | None = None
        done: dict[str, Any] = {}
        self._busy = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
                try:
                    done = await trio.to_thread.run_sync(lambda: work(progress, stop.is_set))
                except HansaError as error:
                    failure = error
                nursery.cancel_scope.cancel()
        finally:
            self._busy = False
        if failure is not None:
            raise failure
        return done


def summary(path: Path, contents: Contents) -> dict[str, Any]:
    """A backup in a few words, for people and scripts."""
    return {
        "file": str(path),
        **asdict(contents.head),
        "pairs": contents.pairs,
        "openings": contents.openings,
        "parts": len(contents.parts),
        "bytes": path.stat().st_size,
        "digest": contents.digest,
    }


async def _line(stream: trio.SocketStream) -> bytes:
    """One line. Raises InputError ADMIN_REQUEST for one that is too long or has no end."""
    raw = b""
    while b"\n" not in raw:
        more = await stream.receive_some(LINE_BYTES_MAX)
        raw += more
        if not more or len(raw) > LINE_BYTES_MAX:
            raise InputError("ADMIN_REQUEST", "not a question that is answered here")
    return raw.partition(b"\n")[0]


async def _say(stream: trio.SocketStream, value: dict[str, Any]) -> None:
    await stream.send_all(json.dumps(value).encode() + b"\n")


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
