"""How much a node may hold at most, whatever its peers do: every number here is a promise.

``beyond_bounds`` measures one running node and says which promises it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from consensus.evidence import TAGS
from consensus.messages import KINDS
from consensus.pbft.machine import CONTENTS_KEPT
from consensus.pbft.state import State
from consensus.pbft.votebook import KEPT
from node import wal
from node.admission import ENDED_KEPT
from node.engine import INBOX_MAX
from node.exchange import KEPT_MAX, KEPT_RECEIPTS_MAX
from node.mempool import EXPIRY_SPARE, Mempool
from node.node import Node
from p2p.gossip import KNOWN_MAX

if TYPE_CHECKING:
    from tests.sim.machine import Machine

EVIDENCE_PER_VALIDATOR = len(TAGS)
WAITING_PER_PEER = 4
"""Tasks of one peer's link that may wait for a full inbox: its three channels and a request."""


def beyond_bounds(node: Node, machine: Machine) -> Iterator[str]:
    """One sentence for each bound that the node has left."""
    yield from _mempool(node.mempool)
    engine, n = node.engine, len(node.chain.validators)
    state = engine._state
    if state is not None:
        yield from _state(state)
        contents = state.round + 2 * CONTENTS_KEPT
        yield from _most("executed contents", len(engine._outcomes), contents)
    inbox = engine._inbox.statistics()
    peers = len(node.chain.members)
    yield from _most("inbox", inbox.current_buffer_used, INBOX_MAX)
    yield from _most("tasks at the inbox", inbox.tasks_waiting_send, WAITING_PER_PEER * (peers + 2))
    yield from _most("inputs to itself", len(engine._local), 16 + 2 * CONTENTS_KEPT)
    yield from _most("evidence", len(engine._evidence), EVIDENCE_PER_VALIDATOR * n)
    kept = engine.divergence.exchange
    yield from _most("outcomes for others", len(kept._kept), KEPT_MAX)
    if len(kept._kept) > 1:
        yield from _most("receipts for others", kept._receipts, KEPT_RECEIPTS_MAX)
    yield from _most("ended transactions", len(node.admission.ended._codes), ENDED_KEPT)
    yield from _most("gossip's peers", len(node.gossip._known), peers)
    for known in node.gossip._known.values():
        yield from _most("ids that a peer knows", len(known._ids), KNOWN_MAX)
    for key, signer in engine._signers.items():
        # A log is replaced once a height is decided: one height's votes may be on top.
        size_max = wal.REPLACE_BYTES + wal.RECORD_BYTES_MAX
        yield from _most(f"vote log of {key.hex()[:8]}", signer.log._size, size_max)


def _most(what: str, found: int, most: int) -> Iterator[str]:
    if found > most:
        yield f"{what}: {found} are more than {most}"


def _mempool(pool: Mempool) -> Iterator[str]:
    yield from _most("mempool", len(pool), pool._txs_max)
    yield from _most("mempool's bytes", pool.bytes, pool._bytes_max)
    yield from _most("mempool's expiry list", len(pool._expiry), EXPIRY_SPARE + 2 * len(pool) + 1)
    if len(pool._wire_ids) != len(pool._pool):
        yield f"mempool: {len(pool._pool)} transactions by {len(pool._wire_ids)} ids"
    if sum(entry.size for entry in pool._pool.values()) != pool.bytes:
        yield f"mempool: counts {pool.bytes} bytes and holds others"


def _state(state: State) -> Iterator[str]:
    """Votes by place, contents by number, whatever rounds and heights were named."""
    n = len(state.context.validators)
    book = len(KINDS) * KEPT * n
    yield from _most("vote book", len(state.votes), book)
    yield from _most("vote book of the height before", len(state.previous), book)
    yield from _most("votes ahead", len(state.ahead), len(KINDS) * n)
    yield from _most("contents", len(state.contents), CONTENTS_KEPT)
    yield from _most("caught", len(state.caught), EVIDENCE_PER_VALIDATOR * n)
    executed = state.round + 1 + 2 * CONTENTS_KEPT
    yield from _most("contents executing", len(state.executing), executed)
    yield from _most("outcomes", len(state.outcomes), executed)
