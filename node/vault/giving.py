"""To whom an opening may be given: judged by the chain's entry and what is held here alone."""

from __future__ import annotations

from contracts.system.vault import Entry
from node.vault.store import Held


def may_give(held: Held, entry: Entry | None, own: str, asker: str) -> bool:
    """Whether the node of ``own`` gives this opening to a node of the organisation ``asker``.

    Both must be entitled on chain, and the author there must be the one from whom this node has
    it: somebody who copied a commitment out of a waiting transaction and shared it first has
    himself entered as author, and may even entitle the true one.
    """
    if entry is None or not asker or entry.author != held.author:
        return False
    return own in entry.organisations and asker in entry.organisations
