"""A node's vault at work: it follows the chain, asks, answers, and serves its own organisation.

Whatever touches the store waits for the disk, so it runs beside the event loop, one call at a time.
Trouble in the vault never stops the node: it is logged and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import trio

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError, InputError, LocalFault
from consensus.receipt import Receipt
from contracts.runtime.executor import run_query
from contracts.sdk.commitments import COMMITMENT_BYTES
from contracts.system.vault import Entry
from node import frames, log
from node.chain import Chain
from node.metrics import Metrics
from node.ports import Blocking, Clock
from node.roster import Roster
from node.vault.entitlements import CONTRACT, ERASED, SHARED, ChainEntitlements
from node.vault.fetching import Fetcher, Giver, may_have
from node.vault.parcels import PARCEL_BYTES_MAX
from node.vault.store import Held, VaultStore
from p2p.ports import Network

T = TypeVar("T")

ASK_AGAIN_MS: Final = 500
ASK_AGAIN_MAX_MS: Final = 60_000
"""What stays unanswered is asked for again after a while that doubles from the first to the
second; a block that shares something, or a peer that connects, starts over."""
ANSWER_TIMEOUT_MS: Final = 5_000
FAULT_PAUSE_MS: Final = 60_000
"""So long nothing is asked of a peer that answered with what is no parcel of ours."""
ASKS_PER_SECOND: Final = 5
ASKS_AT_ONCE: Final = 50
"""Of one peer, each for up to 64 openings."""

_log = log.get("vault")


@dataclass(frozen=True)
class Keeping:
    """What a node with a vault has: the open store, and its network key's seed."""

    store: VaultStore
    network_seed: bytes = field(repr=False)


@dataclass(frozen=True)
class Shelf:
    """A page of what is here and, with the first, of what is missing. ``unreadable`` counts files
    that do not open."""

    held: list[tuple[Held, Entry | None]]
    missing: list[tuple[bytes, Entry | None]]
    unreadable: int
    next: str


class OneAtATime:
    """``Blocking`` whose calls wait for one another."""

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking
        self.turn = trio.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        async with self.turn:
            return await self._blocking.run(call)


class _Me:
    """This node's place among the admitted, by the newest block."""

    def __init__(self, chain_id: bytes, seed: bytes, roster: Roster) -> None:
        self.chain_id = chain_id
        self.seed = seed
        self.key = public_key(seed)
        self._roster = roster

    @property
    def organisation(self) -> str:
        return self._roster.organisation_of(self.key)

    def organisation_of(self, peer: bytes) -> str:
        return self._roster.organisation_of(peer)


class _Openings(dict[bytes, tuple[bytes, Any]]):
    """What a check may look behind: read from the store when it is asked for."""

    def __init__(self, store: VaultStore) -> None:
        super().__init__()
        self._store = store

    def get(self, commitment: bytes, default: Any = None) -> Any:
        held = self._store.get(commitment)
        return default if held is None else (held.salt, held.value)


class Vault:
    """The openings that this node's organisation may know."""

    def __init__(
        self,
        keeping: Keeping,
        chain: Chain,
        roster: Roster,
        network: Network,
        clock: Clock,
        blocking: Blocking,
        metrics: Metrics,
    ) -> None:
        self._chain = chain
        self._network = network
        self._clock = clock
        self._metrics = metrics
        self._store = keeping.store
        self._blocking = OneAtATime(blocking)
        self._me = _Me(chain.chain_id, keeping.network_seed, roster)
        self._entitlements = ChainEntitlements(chain.state)
        self._giver = Giver(self._me, self._store, self._entitlements)
        self._fetcher = Fetcher(self._me, self._store, self._entitlements, self._blocking)
        self._looked_for = ""  # the organisation whose entitlements were looked for
        self._news: dict[bytes, None] = {}
        self._woken = trio.Event()
        self._again_ms = ASK_AGAIN_MS
        self._ask_at_ms = 0
        self._paused: dict[bytes, int] = {}  # peer -> until when
        self._credit: dict[bytes, tuple[int, int]] = {}  # peer -> thousandths of an ask, as of when

    @property
    def organisation(self) -> str:
        """Whose vault it is; empty while this node is not admitted."""
        return self._me.organisation

    @property
    def node_key(self) -> bytes:
        return self._me.key

    # --- following the chain -----------------------------------------------------------------

    def committed(self, receipts: Sequence[Receipt]) -> None:
        """A block's receipts: what they share or erase is looked at next."""
        for receipt in receipts:
            for event in receipt.events:
                if event.contract == CONTRACT and event.name in (SHARED, ERASED):
                    named = event.fields.get("commitments", ())
                    self._news |= dict.fromkeys(one for one in named if type(one) is bytes)
        if self._news or self.organisation != self._looked_for:
            self._woken.set()

    def connected(self) -> None:
        """A peer came: it may have what is wanted."""
        if self._fetcher.wanted:
            self._start_over()
            self._woken.set()

    def _start_over(self) -> None:
        self._again_ms = ASK_AGAIN_MS
        self._ask_at_ms = 0

    async def run(self) -> None:
        """Follow and fetch until cancelled."""
        while True:
            self._woken = trio.Event()
            try:
                await self._follow()
                if self._fetcher.wanted and self._clock.mono_ms() >= self._ask_at_ms:
                    await self._ask_round()
            except Exception as error:
                # Of others only the kind is told: their words could hold what stands in openings.
                told = str(error) if isinstance(error, LocalFault) else type(error).__name__
                _log.error("the vault is in trouble", reason=told)
                await self._clock.sleep_ms(ASK_AGAIN_MAX_MS)
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Until something is to be done."""
        async with trio.open_nursery() as nursery:
            if self._fetcher.wanted:
                nursery.start_soon(self._wake_to_ask)
            await self._woken.wait()
            nursery.cancel_scope.cancel()

    async def _wake_to_ask(self) -> None:
        await self._clock.sleep_ms(max(0, self._ask_at_ms - self._clock.mono_ms()))
        self._woken.set()

    async def _follow(self) -> None:
        organisation = self.organisation
        if organisation != self._looked_for:
            await self._fetcher.start()
            self._looked_for = organisation
            self._start_over()
        if self._news:
            news = self._news
            self._news = {}
            try:
                await self._fetcher.follow(news)
            except HansaError:
                self._news = news | self._news
                raise
            self._start_over()
        self._metrics.vault_openings.set(len(self._store))
        self._metrics.vault_missing.set(len(self._fetcher.wanted))

    async def _ask_round(self) -> None:
        now_ms = self._clock.mono_ms()
        before = len(self._fetcher.wanted)
        self._ask_at_ms = now_ms + self._again_ms
        peers = [one for one in self._network.connected() if self._paused.get(one, 0) <= now_ms]
        faults = await self._fetcher.round(peers, self._ask, self._clock.wall_ms())
        for peer, fault in faults.items():
            self._paused[peer] = now_ms + FAULT_PAUSE_MS
            self._metrics.peer_faults.labels(fault.code).inc()
            _log.warning(
                "wrong openings from a peer",
                peer=peer.hex()[:12],
                code=fault.code,
                reason=fault.message,
            )
        if len(self._fetcher.wanted) < before:
            self._start_over()
        else:
            self._again_ms = min(2 * self._again_ms, ASK_AGAIN_MAX_MS)

    async def _ask(self, peer: bytes, request: bytes) -> bytes:
        return await self._network.request(
            peer,
            bytes([frames.OPENINGS]) + request,
            bytes_max=PARCEL_BYTES_MAX,
            timeout_ms=ANSWER_TIMEOUT_MS,
        )

    # --- other nodes -------------------------------------------------------------------------

    async def answer(self, peer: bytes, raw: bytes) -> bytes:
        """To OPENINGS. Raises PeerFault VAULT_ASKED, HansaError VAULT_RATE."""
        self._spend(peer)
        now_ms = self._clock.wall_ms()
        return await self._blocking.run(lambda: self._giver.answer(peer, raw, now_ms))

    def _spend(self, peer: bytes) -> None:
        now_ms = self._clock.mono_ms()
        full = ASKS_AT_ONCE * 1000
        left, since = self._credit.get(peer, (full, now_ms))
        left = min(full, left + (now_ms - since) * ASKS_PER_SECOND)
        if left < 1000:
            raise HansaError("VAULT_RATE", "too many requests; ask again in a while")
        self._credit[peer] = left - 1000, now_ms
        if len(self._credit) > 1024:  # of peers that were admitted once
            self._credit = {peer: self._credit[peer]}

    # --- the own organisation ----------------------------------------------------------------

    async def shelf(self, after: str, count: int) -> Shelf:
        """Openings by place, with the chain's word on each."""
        held, unreadable, last = await self._blocking.run(lambda: self._store.page(after, count))
        for name in unreadable:
            _log.error("a file of the vault does not open", code="VAULT_CORRUPT", file=name)
        missing = [] if after else self._fetcher.wanted[:count]
        entry = self._entitlements.entry
        return Shelf(
            [(one, entry(one.commitment)) for one in held],
            [(one, entry(one)) for one in missing],
            len(unreadable),
            last,
        )

    def entry(self, commitment: bytes) -> Entry | None:
        return self._entitlements.entry(commitment)

    async def get(self, commitment: bytes) -> Held:
        """Raises InputError OPENING_MISSING."""
        held = await self._blocking.run(lambda: self._store.get(commitment))
        if held is None:
            raise self._missing(commitment)
        return held

    async def put(self, openings: Sequence[Held]) -> int:
        """Keep openings; how many are new. Raises InputError ALREADY_ERASED, OPENING_WRONG and
        others of the store."""
        for one in openings:
            if self._entitlements.erased(one.commitment, self.organisation):
                what = one.commitment.hex()
                raise InputError("ALREADY_ERASED", f"{self.organisation} has erased {what}")

        def keep() -> int:
            return sum(self._fetcher.keep(one) for one in openings)

        return await self._blocking.run(keep)

    async def erase(self, commitments: Sequence[bytes]) -> int:
        """Destroy openings here; how many there were."""

        def drop() -> int:
            return sum(self._fetcher.drop(one) for one in commitments)

        return await self._blocking.run(drop)

    async def check(self, contract: str, method: str, args: dict[str, Any]) -> tuple[int, Any]:
        """What a check of a contract says over these openings and the newest state, and its height.

        Raises InputError with the codes of a query; OPENING_MISSING says who may have it.
        """
        chain = self._chain
        openings = _Openings(self._store)
        async with self._blocking.turn:
            try:
                value = run_query(
                    chain.registry,
                    chain.state,
                    chain.block_context(),
                    contract,
                    method,
                    args,
                    openings,
                )
            except InputError as error:
                if error.code != "OPENING_MISSING" or len(error.message) != 2 * COMMITMENT_BYTES:
                    raise
                raise self._missing(bytes.fromhex(error.message)) from None
            return chain.height, value

    def _missing(self, commitment: bytes) -> InputError:
        what = commitment.hex()
        entry = self._entitlements.entry(commitment)
        if entry is None:
            why = "nobody has shared it on this chain"
        elif self.organisation not in entry.organisations:
            me = self.organisation or "this node"
            why = f"{me} is not entitled to it; who may share it: {', '.join(entry.organisations)}"
        elif self._entitlements.erased(commitment, self.organisation):
            why = f"{self.organisation} has erased it"
        else:
            others = [
                one
                for one in entry.organisations
                if one != self.organisation and may_have(self._entitlements, commitment, one)
            ]
            why = f"it is asked for; who may have it: {', '.join(others) or 'nobody else'}"
        return InputError("OPENING_MISSING", f"{what} is not in this node's vault: {why}")
