"""Evidence as a node knows it: what stands in blocks, and what still waits for one.

The state remembers the digest of each piece and its block; the piece itself is read from there.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from consensus.evidence import TAGS, Evidence
from consensus.primitives.codec import decode
from consensus.primitives.keys import decode_key, prefix_range
from consensus.rules import EVIDENCE_MAP, SYSTEM, evidence_key
from contracts.system.voting import FAULTS
from node.chain import Chain


def evidence_in_blocks(
    chain: Chain, after: bytes | None, limit: int
) -> tuple[list[dict[str, Any]], bytes | None]:
    """At most ``limit`` pieces in the order of their digests, those behind ``after``; and the
    digest to go on behind, None at the end."""
    start, stop = prefix_range(SYSTEM, EVIDENCE_MAP)
    if after is not None:
        start = evidence_key(after) + b"\x00"
    entries = list(islice(chain.state.scan(start, stop), limit + 1))
    found = []
    for key, value in entries[:limit]:
        _, _, (digest,) = decode_key(key)
        height = int(decode(value, bytes_max=16))
        block = chain.blocks.block(height)  # None once it is pruned
        pieces = () if block is None else block.evidence
        found += [shown(chain, one, height) for one in pieces if one.digest == digest]
    more = len(entries) > limit
    last = decode_key(entries[limit - 1][0])[2][0] if more else None
    assert last is None or isinstance(last, bytes)
    return found, last


def shown(chain: Chain, evidence: Evidence, block: int | None) -> dict[str, Any]:
    """One piece for people and scripts; ``bytes`` is the proof, the rest says what it proves."""
    kinds = [tag.split(b"/")[1].decode() for tag in TAGS[evidence.kind]]
    return {
        "digest": evidence.digest.hex(),
        "validator": _name(chain, evidence.sender, evidence.height),
        "key": evidence.sender.hex(),
        "height": evidence.height,
        "kind": evidence.kind,
        "fault": FAULTS[evidence.kind - 1],
        "votes": [
            {"kind": kind, "round": round_, "hash": digest.hex()}
            for kind, round_, digest in zip(
                kinds, evidence.rounds, evidence.vote_hashes, strict=True
            )
        ],
        "block": block,
        "bytes": evidence.raw.hex(),
    }


def _name(chain: Chain, key: bytes, height: int) -> str:
    """Of the validator that had the key at that height; empty if none had."""
    validators = chain.validators
    if height <= chain.height:
        header = chain.blocks.header(height)
        known = None if header is None else chain.blocks.validators(header.validators_hash)
        validators = validators if known is None else known
    return validators.name(key) if key in validators else ""
