"""The vault as the own organisation's people use it: whoever asks signs, with one of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consensus.primitives.errors import InputError
from contracts.runtime.executor import run_query
from contracts.system.vault import Entry
from node.chain import Chain
from node.ports import Clock
from node.vault.door import Door, Request
from node.vault.store import Held
from node.vault.vault import Shelf, Vault


class Desk:
    """What the API asks of a vault."""

    def __init__(self, vault: Vault, chain: Chain, clock: Clock) -> None:
        self._vault = vault
        self._chain = chain
        self._clock = clock
        self._door = Door(chain.chain_id, vault.node_key, self._own_key, clock.wall_ms())

    def _own_key(self, key: bytes) -> bool:
        """Whether a key may sign for the node's organisation now."""
        chain = self._chain
        context = chain.block_context()
        try:
            caller = run_query(
                chain.registry, chain.state, context, "identity", "caller", {"key": key}
            )
        except InputError:
            return False
        return bool(caller["organisation"]) and caller["organisation"] == self._vault.organisation

    def admit(self, request: Request) -> None:
        """Raises InputError with the codes of ``Door.admit``."""
        self._door.admit(request, self._clock.wall_ms())

    @property
    def organisation(self) -> str:
        return self._vault.organisation

    def entry(self, commitment: bytes) -> Entry | None:
        return self._vault.entry(commitment)

    async def shelf(self, after: str, count: int) -> Shelf:
        return await self._vault.shelf(after, count)

    async def get(self, commitment: bytes) -> Held:
        return await self._vault.get(commitment)

    async def put(self, openings: Sequence[tuple[bytes, bytes, Any]], author: str) -> int:
        """Keep openings (commitment, salt, value) that an organisation has authored, the own one
        where none is named; how many are new."""
        now_ms = self._clock.wall_ms()
        by = author or self._vault.organisation
        return await self._vault.put([Held(*one, by, now_ms) for one in openings])

    async def erase(self, commitments: Sequence[bytes]) -> int:
        return await self._vault.erase(commitments)

    async def check(self, contract: str, method: str, args: dict[str, Any]) -> tuple[int, Any]:
        """The height of the state that a check saw, and what it says."""
        return await self._vault.check(contract, method, args)
