"""Openings fetched by those entitled from those who hold them.

A node goes by the chain: it wants the openings of all commitments that its organisation is entitled
to, lacks, and has not erased, and asks the nodes of the others who are entitled, again and again
until it has them. So whoever was out of reach gets them later, and nobody needs to remember what
was delivered to whom. The same chain makes every node of an organisation destroy what the
organisation has said to have erased.

    request = canonical [commitment, ...]       answer = a parcel, or nothing at all

An answer doesn't tell "not entitled" from "not here".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from consensus.primitives.codec import decode, encode
from consensus.primitives.errors import CodecError, LocalFault, PeerFault
from contracts.sdk.commitments import COMMITMENT_BYTES
from contracts.system.vault import Entry
from node import log
from node.ports import Blocking
from node.vault.giving import may_give
from node.vault.parcels import OPENINGS_MAX, PARCEL_BYTES_MAX, Opening, seal, unseal
from node.vault.store import VALUE_BYTES_MAX, Held, VaultStore
from p2p.ports import PeerUnavailable

REQUEST_BYTES_MAX: Final = OPENINGS_MAX * (COMMITMENT_BYTES + 2) + 16
FILL_BYTES: Final = PARCEL_BYTES_MAX // 2
"""A parcel takes openings up to this; the largest one more still fits."""

_log = log.get("vault")


class Entitlements(Protocol):
    """The contract ``vault`` in the committed state."""

    def entry(self, commitment: bytes) -> Entry | None: ...

    def erased(self, commitment: bytes, organisation: str) -> bool: ...

    def of(self, organisation: str) -> Iterator[bytes]:
        """All commitments that an organisation is entitled to."""


class Identity(Protocol):
    """This node's place among the admitted."""

    chain_id: bytes
    key: bytes
    seed: bytes

    @property
    def organisation(self) -> str:
        """Empty while the node is not admitted."""

    def organisation_of(self, peer: bytes) -> str:
        """By network key; empty for a node that is not admitted."""


Ask = Callable[[bytes, bytes], Awaitable[bytes]]
"""A peer and a request to its answer, of PARCEL_BYTES_MAX at most. Raises PeerUnavailable."""


def may_have(chain: Entitlements, commitment: bytes, organisation: str) -> bool:
    """Whether an organisation is entitled to an opening and has not erased it."""
    entry = chain.entry(commitment)
    return (
        entry is not None
        and organisation in entry.organisations
        and not chain.erased(commitment, organisation)
    )


class Giver:
    """Answers what other nodes ask."""

    def __init__(self, me: Identity, store: VaultStore, chain: Entitlements) -> None:
        self._me = me
        self._store = store
        self._chain = chain

    def answer(self, peer: bytes, raw: bytes, now_ms: int) -> bytes:
        """A parcel of what is here and the peer may have. Raises PeerFault VAULT_ASKED."""
        asker = self._me.organisation_of(peer)
        found: list[Opening] = []
        size = 0
        for commitment in _commitments(raw):
            if size > FILL_BYTES:
                break
            held = self._given(commitment, asker)
            if held is not None:
                found.append(Opening(held.commitment, held.salt, held.value))
                size += len(held.encoded())
        if not found:
            return b""
        return seal(self._me.seed, self._me.key, peer, self._me.chain_id, now_ms, found)

    def _given(self, commitment: bytes, asker: str) -> Held | None:
        own = self._me.organisation
        if not all(may_have(self._chain, commitment, one) for one in (own, asker)):
            return None
        try:
            held = self._store.get(commitment)
        except LocalFault as fault:
            _log.error("an opening can't be read", code=fault.code, reason=fault.message)
            return None
        if held is None or not may_give(held, self._chain.entry(commitment), own, asker):
            return None
        return held


class Fetcher:
    """Gets what the own organisation is entitled to, and destroys what it has erased.

    ``blocking`` runs one call at a time: it is all that keeps the store's changes apart.
    """

    def __init__(
        self, me: Identity, store: VaultStore, chain: Entitlements, blocking: Blocking
    ) -> None:
        self._me = me
        self._store = store
        self._chain = chain
        self._blocking = blocking
        self._wanted: dict[bytes, None] = {}

    @property
    def wanted(self) -> tuple[bytes, ...]:
        return tuple(self._wanted)

    async def start(self) -> None:
        """Look at the whole state: what was shared while this node was down is wanted, too."""
        own = self._me.organisation
        await self._blocking.run(lambda: self._follow(self._chain.of(own)))

    async def follow(self, commitments: Iterable[bytes]) -> None:
        """Look at commitments that a block has shared or erased."""
        await self._blocking.run(lambda: self._follow(commitments))

    def _follow(self, commitments: Iterable[bytes]) -> None:
        own = self._me.organisation
        for commitment in commitments:
            if self._chain.erased(commitment, own):
                self._wanted.pop(commitment, None)
                self._store.erase(commitment)
            elif may_have(self._chain, commitment, own) and commitment not in self._store:
                self._wanted[commitment] = None

    def drop(self, commitment: bytes) -> bool:
        """Destroy an opening here and ask for it no more, until the next start: by then its erasure
        stands on chain. To be run by ``blocking``."""
        self._wanted.pop(commitment, None)
        return self._store.erase(commitment)

    def keep(self, held: Held) -> bool:
        """Put an opening into the store. To be run by ``blocking``."""
        self._wanted.pop(held.commitment, None)
        return self._store.put(held)

    async def round(self, peers: Sequence[bytes], ask: Ask, now_ms: int) -> dict[bytes, PeerFault]:
        """Ask each peer once for what it may have; the faults of those who answered wrongly."""
        faults: dict[bytes, PeerFault] = {}
        for peer in peers:
            asked = await self._blocking.run(partial(self._next, self._me.organisation_of(peer)))
            if not asked:
                continue
            try:
                raw = await ask(peer, encode(asked))
                if raw:
                    await self._blocking.run(partial(self._take, peer, raw, asked, now_ms))
            except PeerUnavailable:
                continue
            except PeerFault as fault:
                faults[peer] = fault
        return faults

    def _next(self, organisation: str) -> list[bytes]:
        """What nodes of an organisation are asked for now. In turns: what nobody has any more must
        not keep the others from being asked for."""
        found = []
        for commitment in self._wanted:
            if may_have(self._chain, commitment, organisation):
                found.append(commitment)
                if len(found) == OPENINGS_MAX:
                    break
        for commitment in found:
            self._wanted[commitment] = self._wanted.pop(commitment)
        return found

    def _take(self, peer: bytes, raw: bytes, asked: Sequence[bytes], now_ms: int) -> None:
        me = self._me
        parcel = unseal(raw, me.seed, me.key, peer, me.chain_id)
        if any(one.commitment not in asked for one in parcel.openings):
            raise PeerFault("VAULT_PARCEL", "an opening that nobody asked for")
        if any(len(encode(one.value)) > VALUE_BYTES_MAX for one in parcel.openings):
            raise PeerFault("VAULT_PARCEL", f"an opening of more than {VALUE_BYTES_MAX} bytes")
        for one in parcel.openings:
            # Asking took a while: the organisation may have erased it meanwhile.
            entry = self._chain.entry(one.commitment)
            if entry is not None and one.commitment in self._wanted:
                held = Held(one.commitment, one.salt, one.value, entry.author, now_ms)
                self._store.put(held)
                del self._wanted[one.commitment]


def _commitments(raw: bytes) -> list[bytes]:
    try:
        found = decode(raw, bytes_max=REQUEST_BYTES_MAX)
    except CodecError as error:
        raise PeerFault("VAULT_ASKED", str(error)) from None
    if (
        type(found) is not list
        or len(found) > OPENINGS_MAX
        or any(type(one) is not bytes or len(one) != COMMITMENT_BYTES for one in found)
    ):
        raise PeerFault("VAULT_ASKED", "a request for openings that is not of the form")
    return found
