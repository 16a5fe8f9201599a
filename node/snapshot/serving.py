"""A node's snapshots: made every so many blocks, given to those who ask."""

from __future__ import annotations

import time
from pathlib import Path

from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import HansaError, InputError, LocalFault
from node import frames, log
from node.bus import Bus
from node.chain import Chain
from node.ports import Blocking
from node.snapshot.form import CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, Manifest
from node.snapshot.making import MANIFEST, first_needed, heights, make

_log = log.get("snapshot")


class Snapshots:
    """Those below a folder. ``every``: blocks from one to the next; 0 makes none, and what is there
    is given all the same."""

    def __init__(self, folder: Path, every: int, chain: Chain, blocking: Blocking) -> None:
        self._folder = folder
        self._every = every
        self._chain = chain
        self._blocking = blocking
        self._digests: dict[int, bytes] = {}
        self._look()

    def _look(self) -> None:
        self._digests = {
            height: sha256((self._folder / str(height) / MANIFEST).read_bytes())
            for height in heights(self._folder)
        }

    @property
    def heights(self) -> list[int]:
        return sorted(self._digests)

    async def run(self, bus: Bus) -> None:
        """Make them until cancelled. One that fails is told in the log; the next is tried."""
        while self._every:
            height = (bus.height // self._every + 1) * self._every
            await bus.beyond(height)  # so the next block has its certificate
            await self._make(height)

    async def _make(self, height: int) -> None:
        chain = self._chain
        try:
            state = chain.states.at(height)
        except InputError:
            return  # passed while catching up
        following = chain.blocks.block(height + 1)
        certificate = None if following is None else following.last_certificate
        if certificate is None:
            return
        first = first_needed(chain.blocks, state.header, chain.longest_window_ms())
        began = time.monotonic()
        try:
            with state.in_use():
                manifest: Manifest = await self._blocking.run(
                    lambda: make(state, chain.blocks, certificate, first, self._folder, _Rest())
                )
            self._look()
        except (LocalFault, OSError) as error:
            _log.error("no snapshot", height=height, reason=str(error))
            return
        _log.info(
            "snapshot made",
            height=height,
            chunks=len(manifest.chunks),
            bytes=sum(one.size for one in manifest.chunks),
            seconds=round(time.monotonic() - began, 1),
        )

    # --- giving ------------------------------------------------------------------------------

    def answer_offers(self) -> bytes:
        """The answer to SNAPSHOTS."""
        return encode([[height, digest] for height, digest in sorted(self._digests.items())])

    async def answer_part(self, raw: bytes) -> bytes:
        """The answer to PART. Raises HansaError SNAPSHOT_GONE, PeerFault."""
        height, digest = frames.read_fields(raw, int, bytes)
        if len(digest) != 32 or height not in self._digests:
            raise HansaError("SNAPSHOT_GONE", "this node has no such snapshot any more")
        whole = digest == self._digests[height]
        path = self._folder / str(height) / (MANIFEST if whole else digest.hex())
        try:
            return await self._blocking.run(lambda: _read(path))
        except OSError:
            raise HansaError("SNAPSHOT_GONE", "this node has no such part") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX))


class _Rest:
    """Sleeps as long as it worked, so that the interpreter is the node's for half of the time."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> None:
        time.sleep(time.monotonic() - self._began)
        self._began = time.monotonic()
