"""What stands behind commitments, as far as this organisation may know it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.openings import openings_folder, read_openings
from cli.settings import current
from consensus.primitives.errors import HansaError, InputError

if TYPE_CHECKING:
    from cli.client import Client
    from cli.vault_client import VaultClient

Salted = tuple[bytes, Any]

ARRIVAL_S: Final = 3.0
"""An opening travels beside the block: one that the node lacks and asks for may be on its way."""
ARRIVAL_POLL_S: Final = 0.25


class OpeningBook:
    """Openings in the files beside the key, and in the vault of the organisation's node."""

    def __init__(self, client: Client, folder: Path | None) -> None:
        self._client = client
        self._folder = folder or openings_folder(current().key)
        self._kept: dict[bytes, Salted] | None = None
        self._vault: VaultClient | None = None

    def value(self, commitment: bytes) -> Any:
        """Raises InputError OPENING_MISSING."""
        return self.opening(commitment)[1]

    def opening(self, commitment: bytes) -> Salted:
        """The salt and the value. Raises InputError OPENING_MISSING."""
        if self._kept is None:
            self._kept = {}
            for file in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []:
                for one in read_openings(file):
                    self._kept[one.commitment] = one.salt, one.value
        if commitment in self._kept:
            return self._kept[commitment]
        return self._from_vault(commitment)

    def _from_vault(self, commitment: bytes) -> Salted:
        from cli.vault_client import VaultClient
        from consensus.primitives.codec import data_from_json

        if self._vault is None:
            self._vault = VaultClient(self._client, current().signing_seed())
        deadline = time.monotonic() + ARRIVAL_S
        while True:
            try:
                found = self._vault.get(commitment)
                return bytes.fromhex(found["salt"]), data_from_json(found["value"])
            except HansaError as error:
                if error.code != "OPENING_MISSING":
                    raise
                if time.monotonic() > deadline:
                    raise InputError("OPENING_MISSING", error.message or commitment.hex()) from None
            time.sleep(ARRIVAL_POLL_S)
