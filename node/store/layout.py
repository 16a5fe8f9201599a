"""Versions of the store's layout, and the steps from each to the next.

The version stands in the store itself. An older one is brought up step by step when the store is
opened; a newer one is refused before anything else is read, for nobody can know what it means. A
step may be interrupted anywhere: it only adds or rewrites what it can make again from the rest, and
the version is written, synced, after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from consensus.primitives import tree
from consensus.primitives.errors import LocalFault
from consensus.proofs import SealedHeader
from node import log
from node.store import schema
from node.store.blocks import BlockStore
from node.store.kv import KV
from node.store.state import PAGE, page_written

Step = Callable[[KV], None]

SLOTS_AT_ONCE: Final = 20_000

_log = log.get("store")


def _history(kv: KV) -> None:
    """Version 3 had chains without the tree over header hashes; from version 4 on it is whole."""
    blocks = BlockStore(kv)
    blocks.mend_history(blocks.tip())


def _turns(kv: KV) -> None:
    """Version 4 did not tell where the validators changed, and knew no pruned chains."""
    blocks = BlockStore(kv)
    for height in range(blocks.tip().height + 1):
        header, certificate = blocks.header(height), blocks.certificate(height)
        if header is None:
            raise LocalFault("STORE_CORRUPT", f"block {height} is missing")
        if certificate is not None and header.validators_hash != header.next_validators_hash:
            kv.write(blocks.turn(SealedHeader(header, certificate)), sync=False)


def _slots(kv: KV) -> None:
    """Version 5 kept a page of the state tree as one value, in place of one for each slot."""
    operations: list[tuple[bytes, bytes | None]] = []
    for key, raw in kv.scan(PAGE, bytes((PAGE[0] + 1,))):
        path = key[1:]
        if len(path) == 1 + (path[0] + 1) // 2:  # else a slot's, of an interrupted step
            operations += [(key, None), *page_written(path, tree.Page.decode(raw))]
        if len(operations) > SLOTS_AT_ONCE:
            kv.write(operations, sync=False)
            operations = []
    kv.write(operations, sync=True)


STEPS: Final[Mapping[int, Step]] = {3: _history, 4: _turns, 5: _slots}
"""By the version that a step starts from."""


def version_of(kv: KV) -> int:
    """The version of a store that holds a chain. Raises LocalFault STORE_CORRUPT."""
    raw = kv.get(schema.VERSION)
    if raw is None or len(raw) != 1:
        raise LocalFault("STORE_CORRUPT", "the version of the store's layout is missing")
    return raw[0]


def bring_up(
    kv: KV, *, steps: Mapping[int, Step] = STEPS, current: int = schema.LAYOUT_VERSION[0]
) -> list[int]:
    """Make an older store one of the current layout; returns the versions that were left behind.

    Raises LocalFault STORE_NEWER for a newer one, STORE_VERSION for one so old that no step leads
    from it, and what the steps raise.
    """
    found = version_of(kv)
    if found > current:
        raise LocalFault(
            "STORE_NEWER",
            f"the data folder has layout version {found}, this release knows {current}: run the"
            " release that wrote it, or restore a backup made before the change of release",
        )
    missing = next((one for one in range(found, current) if one not in steps), None)
    if missing is not None:
        raise LocalFault(
            "STORE_VERSION",
            f"the data folder has layout version {found}, and this release has no step from"
            f" {missing} to {missing + 1}: remove chain/ and let the node fetch it again",
        )
    left = []
    for version in range(found, current):
        _log.info("changing the layout of the store", from_version=version, to_version=version + 1)
        steps[version](kv)
        kv.write([(schema.VERSION, bytes((version + 1,)))], sync=True)
        left.append(version)
    return left
