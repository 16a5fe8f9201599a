"""Rules about a chain's blocks that every node computes alike: roots and system values.

System values stand in the state under the name ``consensus``: the validators of the newest block,
when a former validator voted last, the record behind the turns (``turns.py``), evidence. The
validators and the parameters of the next block are the governance contract's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from consensus.block import HEADER_VERSION, Block, Content, Header, certificate_hash
from consensus.params import Params
from consensus.primitives import merkle
from consensus.primitives.codec import UInt, Wire, encode, encode_array
from consensus.primitives.keys import encode_key
from consensus.receipt import Receipt
from consensus.turns import Turns
from consensus.validators import ValidatorSet

SYSTEM: Final = "consensus"
VALIDATORS_KEY: Final = encode_key(SYSTEM, "validators", ())
TURNS_KEY: Final = encode_key(SYSTEM, "turns", ())
LONGEST_WINDOW_KEY: Final = encode_key(SYSTEM, "longest_window", ())
EVIDENCE_MAP: Final = "evidence"
LEFT_MAP: Final = "left"


def evidence_key(digest: bytes) -> bytes:
    """Where the state remembers evidence that is already in a block."""
    return encode_key(SYSTEM, EVIDENCE_MAP, (digest,))


def left_key(consensus_key: bytes) -> bytes:
    """Where the state remembers the last height in which a key had a vote."""
    return encode_key(SYSTEM, LEFT_MAP, (consensus_key,))


def system_state(validators: ValidatorSet) -> dict[bytes, bytes]:
    """The system values of the genesis block."""
    return {VALIDATORS_KEY: validators.raw, TURNS_KEY: Turns().raw}


@dataclass(frozen=True)
class LongestWindow(Wire):
    """``tx_window_ms`` was this long for transactions that may be valid until ``until_ms``: their
    ids are remembered though the window has been made shorter."""

    window_ms: Annotated[int, UInt()]
    until_ms: Annotated[int, UInt()]


def longest_window_after(
    known: LongestWindow | None, time_ms: int, window_ms: int, next_window_ms: int
) -> LongestWindow | None:
    """The value after a block of ``time_ms`` that was judged by a window, and the next by
    another; None where nothing is to be written."""
    if next_window_ms >= window_ms:
        return None
    if known is not None and known.until_ms >= time_ms:
        window_ms = max(window_ms, known.window_ms)
    return LongestWindow(window_ms, time_ms + window_ms)


def event_leaves(receipts: tuple[Receipt, ...]) -> list[bytes]:
    """The leaves of the event root: each event with the index of its transaction."""
    return [
        encode_array((encode(index), event.raw))
        for index, receipt in enumerate(receipts)
        for event in receipt.events
    ]


def is_whole(block: Block) -> bool:
    """Whether bodies, evidence and last certificate are those that the header commits to. A peer
    may put others beside a header that a quorum signed."""
    header = block.header
    return (
        merkle.root(block.wire_ids) == header.tx_root
        and merkle.root([one.raw for one in block.evidence]) == header.evidence_root
        and certificate_hash(block.last_certificate) == header.last_certificate_hash
    )


def make_header(
    content: Content,
    *,
    chain_id: bytes,
    receipts: tuple[Receipt, ...],
    state_root: bytes,
    validators: ValidatorSet,
    next_validators: ValidatorSet,
    params: Params,
    contracts_hash: bytes,
    history_root: bytes,
) -> Header:
    """The header that executing ``content`` gives. ``history_root`` covers all earlier headers."""
    return Header(
        HEADER_VERSION,
        chain_id,
        content.height,
        content.parent,
        content.time_ms,
        content.proposer,
        merkle.root(content.wire_ids),
        merkle.root([receipt.raw for receipt in receipts]),
        merkle.root(event_leaves(receipts)),
        state_root,
        validators.digest,
        next_validators.digest,
        params.digest,
        contracts_hash,
        merkle.root([one.raw for one in content.evidence]),
        certificate_hash(content.last_certificate),
        history_root,
    )
