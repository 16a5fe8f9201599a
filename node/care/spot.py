"""Single blocks executed again, on the states that an archive keeps.

A store is looked at as it was after an earlier block: a chain opens on that like on any other, and
executes the next block, which has to give the very header that a quorum sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import trio

from consensus.primitives.codec import decode
from consensus.primitives.errors import CodecError, HansaError, InputError, LocalFault
from consensus.primitives.merkle import Frontier
from genesis.document import GenesisDocument
from node.care.findings import Findings, Progress
from node.care.replay import Vouched, stored_blocks
from node.chain import Chain
from node.clock import InlineBlocking
from node.store import schema
from node.store.blocks import BlockStore, Tip
from node.store.history import HistoryStore
from node.store.kept import KeptState
from node.store.kv import KV, View
from node.store.past import PastState
from node.store.state import META, PAGE, STATE, page_written


class AsItWas:
    """A store whose newest block is an earlier one. It is only read."""

    def __init__(self, kv: KV, state: PastState, tip: Tip) -> None:
        self._kv = kv
        self._state = state
        self._tip = tip

    def get(self, key: bytes) -> bytes | None:
        table = key[:1]
        if table == STATE:
            return self._state.get(key[1:])
        if key == META:
            return self._state.slot or None
        if key == schema.TIP:
            return self._tip.raw
        if key == schema.STATES_KEPT:
            return None
        found = self._kv.get(key)
        later = (
            table == schema.TX_ID and found is not None and found[:8] > _number(self._tip.height)
        )
        return None if later else found

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if start[:1] == STATE:
            for key, value in self._state.scan(start[1:], stop[1:]):
                yield STATE + key, value
            return
        if start[:1] == PAGE:  # a whole one: nothing else is asked for here
            path = start[1:-1]
            yield from page_written(path, self._state.load(path))
            return
        for key, value in self._kv.scan(start, stop, reverse=reverse):
            later = key[:2] == schema.HISTORY + b"\0" and key[2:] > _number(self._tip.height)
            if not later:
                yield key, value

    def snapshot(self) -> View:
        raise AssertionError("nothing is proven from here")

    def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        raise AssertionError("looking changes nothing")

    def close(self) -> None: ...


def _number(height: int) -> bytes:
    return height.to_bytes(8, "big")


def first_kept(kv: KV) -> int:
    """The first height whose state is kept. Raises InputError STATE_NOT_KEPT where none is."""
    raw = kv.get(schema.STATES_KEPT)
    try:
        first = None if raw is None else decode(raw, bytes_max=64)[0]
    except (CodecError, TypeError, IndexError):
        raise LocalFault("STORE_CORRUPT", "the mark of the states kept is unreadable") from None
    if first is None:
        raise InputError(
            "STATE_NOT_KEPT",
            "blocks are executed one by one on earlier states, which this node does not keep:"
            " leave out --sample, or --execute",
        )
    return int(first)


def execute_some(
    kv: KV,
    document: GenesisDocument,
    heights: Sequence[int],
    findings: Findings,
    progress: Progress,
) -> int:
    """Execute the blocks at these heights again; returns how many gave what their header says."""
    tip = BlockStore(kv).tip()
    header = BlockStore(kv).header(tip.height)
    if header is None:
        raise LocalFault("STORE_CORRUPT", f"block {tip.height}, the tip, is missing")
    newest = KeptState(header, None, kv.snapshot())
    right = 0
    try:
        for number, height in enumerate(heights):
            progress("executing", number, len(heights))
            try:
                trio.run(_execute, kv, document, newest, height)
                right += 1
            except (HansaError, IndexError) as error:  # the last of a slot that is none
                where = f"table {schema.BLOCK.decode()}, height {height}"
                findings.add("DB_OUTCOME_WRONG", where, str(error), "elsewhere")
    finally:
        newest.close()
    progress("executing", len(heights), len(heights))
    return right


async def _execute(kv: KV, document: GenesisDocument, newest: KeptState, height: int) -> None:
    blocks = BlockStore(kv)
    before = blocks.header(height - 1)
    if before is None:
        raise LocalFault("STORE_CORRUPT", f"header {height - 1} is missing")
    state = PastState(before, None, newest)
    frontier = Frontier.from_plain([height, *HistoryStore(kv).peaks(height)])
    was = AsItWas(kv, state, Tip(height - 1, before.digest, frontier))
    chain = Chain(document, was, InlineBlocking(), Vouched())
    await chain.execute_sealed(stored_blocks(kv)(height))
