"""Three organisations' vaults over one chain: real stores, contracts and signatures, no sockets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError
from consensus.receipt import Receipt
from consensus.transaction import Call
from contracts.sdk.commitments import commit
from genesis.document import GenesisOrganisation, GenesisPeer
from node import frames
from node.clock import InlineBlocking, SystemClock
from node.metrics import Metrics
from node.roster import Roster
from node.vault.desk import Desk
from node.vault.store import Held, VaultStore
from node.vault.vault import Keeping, Vault
from p2p.ports import PeerUnavailable
from tests.node.support import OneChain
from tests.sim.world import seed_of

IDS = {"buyer": "9521321000018", "bank": "9521432000013", "rival": "9521543000018"}


class Consortium(OneChain):
    """A chain whose full nodes are the three organisations', one each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        organisations = tuple(
            GenesisOrganisation(one, name, ("bank",), public_key(seed_of(name)))
            for name, one in IDS.items()
        )
        peers = tuple(
            GenesisPeer(name, one, "full", public_key(seed_of(f"{name} network")), ())
            for name, one in IDS.items()
        )
        made = self.document
        self.document = replace(made, organisations=made.organisations + organisations, peers=peers)
        self.kv = type(self.kv)()
        self.chain = self.open()


class Place:
    """One organisation's node, as far as its vault goes. It is also that node's network."""

    def __init__(self, world: Vaults, name: str, folder: Path) -> None:
        self.world, self.name = world, name
        self.seed = seed_of(f"{name} network")
        self.key = public_key(self.seed)
        self.up = True
        self.folder = folder
        self.asked: list[str] = []  # whom it asked
        self.metrics = Metrics()
        self.start()

    def start(self) -> None:
        """Anew, with what is on the disk."""
        chain = self.world.one.chain
        self.store = VaultStore(self.folder, self.seed)
        keeping = Keeping(self.store, self.seed)
        clock, blocking = SystemClock(), InlineBlocking()
        roster, network = self.world.roster, self
        self.vault = Vault(keeping, chain, roster, network, clock, blocking, self.metrics)  # type: ignore[arg-type]
        self.desk = Desk(self.vault, chain, clock)

    def connected(self) -> tuple[bytes, ...]:
        return tuple(one.key for one in self.world.places.values() if one is not self and one.up)

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        other = next(one for one in self.world.places.values() if one.key == peer)
        self.asked.append(other.name)
        assert payload[0] == frames.OPENINGS
        try:
            answer = await other.vault.answer(self.key, payload[1:])
        except HansaError as error:
            raise PeerUnavailable("REQUEST_REFUSED", str(error)) from None
        assert len(answer) <= bytes_max
        return answer

    def write(self, value: Any) -> bytes:
        """A commitment whose opening is in this node's vault."""
        salt = self.world.chance.randbytes(16)
        commitment = commit(salt, value)
        self.store.put(Held(commitment, salt, value, IDS[self.name], 0))
        return commitment


class Vaults:
    def __init__(self, folder: Path) -> None:
        self.one = Consortium()
        self.roster = Roster()
        self.roster.update(self.one.chain.members, self.one.chain.validators)
        self.chance = random.Random(1)
        self.places: dict[str, Place] = {}
        for name in IDS:
            self.places[name] = Place(self, name, folder / name)

    def __getitem__(self, name: str) -> Place:
        return self.places[name]

    async def call(self, who: str, method: str, **args: Any) -> str:
        """A call of the contract ``vault`` in a block, which every node that is up hears of; its
        code."""
        call = Call("vault", method, args)
        transaction = self.one.transaction(seed=seed_of(who), calls=(call,))
        outcome = await self.one.commit([transaction])
        self.tell(outcome.receipts)
        return outcome.receipts[0].code

    def tell(self, receipts: Sequence[Receipt]) -> None:
        for place in self.places.values():
            if place.up:
                place.vault.committed(receipts)

    async def share(self, who: str, commitment: bytes, *others: str) -> None:
        organisations = [IDS[one] for one in others]
        code = await self.call(
            who, "entitle", commitments=[commitment], organisations=organisations
        )
        assert code == "OK"
