"""A light node as a library: follows a chain through full nodes, none of which is believed.

Every header is judged by the set that the header before named (``consensus.light``); the other
nodes are asked for the same height, and where two differ the first block in which they do is
looked for: two sealed headers of one height are a fork, which is kept and ends all answers. Any
answer is proven by the newest header that was followed, or by one in its history.

What was learnt is durable before anything is answered from it. Not for several threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from cli.client import Client
from cli.light.store import LightStore
from cli.proven_queries import ProvenQueries, in_force
from cli.proven_queries import ReadState as ProvenParts
from cli.verifying import FOR_EVER, Answer, Reader, Verified, not_proven, read_wire
from consensus import light, rules
from consensus.block import Block, Header, SealedBlock
from consensus.certificates import Certificate
from consensus.light import Fork, Trusted
from consensus.primitives import merkle
from consensus.primitives.errors import CodecError, HansaError, InputError, LocalFault, PeerFault
from consensus.proofs import ListProof, ProvenState, SealedHeader, check_earlier
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from contracts.runtime.registry import Registry
from genesis.document import GenesisDocument
from node.store.blocks import decode_receipts

T = TypeVar("T")

POLICY: Final = light.Policy()
TRIES: Final = 3
"""How often the newest header is moved for one question whose answer lies beyond it."""
_ASK_ANOTHER: Final = ("NOT_PROVEN", "STATE_NOT_KEPT", "TX_NOT_FOUND", "BLOCK_NOT_FOUND",
                       "RATE_LIMITED", "NODE_NOT_READY", "NODE_STOPPING")  # fmt: skip


class _Ahead(Exception):
    """A header that is newer than the newest that was followed."""


class _Contradiction(Exception):
    """A sealed header that is not in the history of the newest that was followed."""

    def __init__(self, height: int) -> None:
        self.height = height


@dataclass
class Source:
    """A full node. ``says``: what it last did, for people; ``height``: the newest it told of."""

    url: str
    client: Client
    says: str = "not asked yet"
    height: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A block whose header is proven, with the receipts that its header names."""

    at: Verified
    sealed: SealedBlock
    receipts: tuple[Receipt, ...]

    @property
    def block(self) -> Block:
        return self.sealed.block

    @property
    def tx_ids(self) -> list[bytes]:
        return [Transaction.parse(raw).tx_id for raw in self.block.bodies]


class LightReader(Reader):
    """Reads what the newest trusted header proves; ``chain`` is what was trusted, oldest first.

    Besides what :class:`Reader` raises, any question may raise _Ahead or _Contradiction, which
    :class:`LightClient` answers by following on, or by judging.
    """

    def __init__(
        self, client: Client, document: GenesisDocument, now_ms: int, chain: Sequence[Trusted]
    ) -> None:
        super().__init__(client, document, now_ms)
        self.client = client
        self._trusted = list(chain)
        self._known = len(chain)
        self.newest = chain[-1]
        self.failure: Exception | None = None
        """Why the state could not be read: a contract that reads it turns that into its own."""

    def _state(
        self, query: list[tuple[str, str]], height: int | None
    ) -> tuple[Verified, ProvenState, bytes | None]:
        try:
            found = super()._state(query, height)
            _require_covered(query, found[1], found[2])
        except (HansaError, _Ahead, _Contradiction) as error:
            self.failure = error
            raise
        return found

    def sealed(self, height: int) -> Verified:
        """A header that the set named before it sealed, whether or not it is in our history."""
        return super()._verified(self._ask(f"headers/{height}"), height)

    def validators_of(self, sealed: SealedHeader) -> ValidatorSet:
        return self._known_before(sealed).next_validators

    def follow(self) -> tuple[list[Trusted], Trusted] | None:
        """The changes of the set since, and the newest header that the node has; None for none."""
        answer = self._ask("headers/latest")
        if read_wire(Header, answer, "header").height <= self.newest.height:
            return None
        at = super()._verified(answer, None)
        last = self._trusted[-1]
        step = light.Step(
            SealedHeader(at.header, at.certificate),
            read_wire(ValidatorSet, answer, "next_validators"),
            self._inclusion(last, at.header.height),
        )
        try:
            newest = light.advance(last, step, self.now_ms, FOR_EVER)
        except PeerFault as error:
            raise not_proven(error.message) from None
        return self._trusted[self._known :], newest

    def _verified(self, answer: Answer, height: int | None) -> Verified:
        header = read_wire(Header, answer, "header")
        if height is not None and header.height != height:
            raise not_proven(f"asked for block {height}, it answers with block {header.height}")
        if header.height > self.newest.height:
            raise _Ahead
        if header.height > self._trusted[0].height:
            at = super()._verified(answer, height)
        else:  # older than the root: its validators are not known, its place in history is
            certificate = read_wire(Certificate, answer, "certificate")
            if (certificate.height, certificate.block_hash) != (header.height, header.digest):
                raise not_proven("its certificate is another header's")
            at = Verified(header, [], certificate)
        newest = self.newest.header
        if header == newest:
            return at
        if newest is None or header.height == newest.height:
            raise _Contradiction(header.height)
        try:
            inclusion = super()._ask(f"history?old={header.height}&new={newest.height}")
            check_earlier(newest, header, read_wire(ListProof, inclusion, "inclusion"))
        except PeerFault:
            raise _Contradiction(header.height) from None
        return at


def _require_covered(
    query: Sequence[tuple[str, str]], shown: ProvenState, following: bytes | None
) -> None:
    """Raises InputError NOT_PROVEN unless the proof answers all that was asked."""
    asked = dict(query)
    try:
        for name, text in query:
            if name == "key":
                shown.get(bytes.fromhex(text))
        if "start" in asked:
            start, stop = (bytes.fromhex(asked[name]) for name in ("start", "stop"))
            for _ in shown.scan(start, following or stop):
                pass
    except InputError as error:
        raise not_proven(error.message) from None


class LightClient:
    """The light node. ``now_ms`` gives the time; ``policy`` its trust period and drift.

    A root that is a genesis document is believed for ever, until the first header was followed:
    from then on the trust period holds. Any method may raise InputError FORK_FOUND,
    TRUST_EXPIRED or NOT_PROVEN, ClientError where no node answers, and LocalFault of the store.
    """

    def __init__(
        self,
        store: LightStore,
        document: GenesisDocument,
        sources: Sequence[Source],
        now_ms: Callable[[], int],
        policy: light.Policy = POLICY,
    ) -> None:
        self._store = store
        self.document = document
        self.sources = list(sources)
        self._now_ms = now_ms
        self._policy = policy
        self._chain = store.chain()
        self.forks = store.forks()
        self._registry: Registry | None = None
        if self._chain[0].chain_id != document.chain_id:
            raise InputError("WRONG_CHAIN", "the genesis document is another chain's")

    # --- what is known -----------------------------------------------------------------------

    @property
    def root(self) -> Trusted:
        return self._chain[0]

    @property
    def newest(self) -> Trusted:
        return self._chain[-1]

    @property
    def turns(self) -> int:
        """How many headers are kept that named another set than their own."""
        return sum(
            one.header is not None and one.header.validators_hash != one.next_validators.digest
            for one in self._chain
        )

    def is_stale(self) -> bool:
        """Whether a chain that works would have a newer block, by the genesis document's pace."""
        interval_ms = self.document.params.empty_block_interval_ms
        return light.is_stale(self.newest.time_ms, self._now_ms(), interval_ms)

    def mark(self) -> str:
        """What whoever reads an answer must know: FORK, EXPIRED, STALE, or nothing."""
        if self.forks:
            return "FORK"
        if self._is_expired():
            return "EXPIRED"
        return "STALE" if self.is_stale() else ""

    def _is_expired(self) -> bool:
        try:
            self._require_usable()
        except InputError:
            return True
        return False

    def _require_usable(self) -> None:
        if self.forks:
            raise InputError(
                "FORK_FOUND",
                f"two sealed blocks {self.forks[0][1].one.height} are proven: more validators lied"
                " than the fault model allows, and no answer can be relied on",
            )
        if self.newest.header is not None:
            light.require_in_period(self.newest, self._now_ms(), self._policy)

    # --- following ---------------------------------------------------------------------------

    def update(self) -> bool:
        """Follow to the newest header that any node has, and cross-check it with the others.

        Returns whether there was a newer one. A node that lies or is silent is passed over, and
        what it did noted with it.
        """
        self._require_usable()
        for source in self.sources:
            self._try(source, self._claim)
        ordered = sorted(self.sources, key=lambda one: -(one.height or 0))
        step: tuple[list[Trusted], Trusted] | None = None
        leader: Source | None = None
        for source in ordered:
            if source.height is None or source.height <= self.newest.height:
                continue
            step = self._try(source, lambda one: self._reader(one).follow())
            if step is not None:
                leader = source
                break
        chain = self._chain if step is None else [*self._kept(), *step[0], step[1]]
        self._cross_check(leader, chain)
        if step is None:
            return False
        turns = [self.newest, *step[0]] if self.newest in chain else step[0]
        self._store.keep(turns, step[1])
        self._chain = chain
        return True

    def _kept(self) -> list[Trusted]:
        """What stays when there is a newer header: the root and the changes of the set."""
        return [
            one
            for one in self._chain
            if one is self._chain[0]
            or (one.header and one.header.validators_hash != one.next_validators.digest)
        ]

    def _claim(self, source: Source) -> None:
        source.height = None
        header = read_wire(Header, source.client.proof("headers/latest"), "header")
        source.height, source.says = header.height, "answers"

    def _try(self, source: Source, call: Callable[[Source], T]) -> T | None:
        """None where the node fails or lies, which is noted."""
        try:
            return call(source)
        except (LocalFault, _Ahead, _Contradiction):
            raise
        except HansaError as error:
            if error.code in ("FORK_FOUND", "TRUST_EXPIRED"):
                raise
            source.says = f"{error.code}: {error.message}"
            return None

    def _reader(self, source: Source, chain: Sequence[Trusted] | None = None) -> LightReader:
        return LightReader(source.client, self.document, self._now_ms(), chain or self._chain)

    # --- witnesses ---------------------------------------------------------------------------

    def _cross_check(self, leader: Source | None, chain: Sequence[Trusted]) -> None:
        """Every node has the same header as ``chain``, at its newest height or the node's own."""
        newest = chain[-1]
        for source in self.sources:
            if source is leader or source.height is None or newest.header is None:
                continue
            height = min(source.height, newest.height)
            if height <= self.root.height:
                source.says = f"behind, at block {source.height}"
                continue
            self._try(source, partial(self._witness, leader=leader, chain=chain, height=height))
        if leader is not None:
            leader.says = "leads"

    def _witness(
        self, source: Source, leader: Source | None, chain: Sequence[Trusted], height: int
    ) -> None:
        told = read_wire(Header, source.client.proof(f"headers/{height}"), "header")
        if height == chain[-1].height:
            ours = chain[-1].header
        else:
            other = leader or next(one for one in self.sources if one is not source)
            ours = read_wire(Header, other.client.proof(f"headers/{height}"), "header")
        if told == ours:
            source.says = "agrees" if height == chain[-1].height else f"agrees up to block {height}"
            return
        self.judge(source, leader, chain, height)
        source.says = f"NOT_PROVEN: its block {height} differs, but no quorum sealed it"

    def judge(
        self,
        source: Source,
        leader: Source | None,
        chain: Sequence[Trusted],
        height: int,
    ) -> None:
        """Look for the first block in which ``source`` differs from the others at ``height``.

        Raises InputError FORK_FOUND, the proof kept, where the validators sealed both; returns
        where the difference is only claimed.
        """
        for other in [leader] if leader is not None else self.sources:
            if other is source:
                continue
            fork = self._try(other, partial(self._fork, theirs=source, chain=chain, height=height))
            if fork is not None:
                now_ms = self._now_ms()
                self._store.keep_fork(fork, now_ms)
                self.forks.append((now_ms, fork))
                self._require_usable()

    def _fork(
        self, ours: Source, theirs: Source, chain: Sequence[Trusted], height: int
    ) -> Fork | None:
        same, differs = chain[0].height, height
        while differs - same > 1:
            middle = (same + differs) // 2
            told = [
                read_wire(Header, one.client.proof(f"headers/{middle}"), "header")
                for one in (ours, theirs)
            ]
            if told[0] == told[1]:
                same = middle
            else:
                differs = middle
        reader = self._reader(ours, chain)
        one = reader.sealed(differs)
        told_other = theirs.client.proof(f"headers/{differs}")
        other = SealedHeader(
            read_wire(Header, told_other, "header"),
            read_wire(Certificate, told_other, "certificate"),
        )
        fork = Fork(SealedHeader(one.header, one.certificate), other)
        validators = reader.validators_of(fork.one)
        quorum = light.quorum(chain[0], validators)
        try:
            fork.check(chain[0].chain_id, validators, quorum)
        except PeerFault:
            return None
        return fork

    # --- asking ------------------------------------------------------------------------------

    def ask(self, question: Callable[[LightReader], T]) -> T:
        """The proven answer of the first node that gives one, by the newest header followed."""
        for _ in range(TRIES):
            self._require_usable()
            if self.newest.header is None:
                self.update()
            failure: HansaError | None = None
            for source in self.sources:
                try:
                    return question(self._reader(source))
                except _Ahead:
                    failure = not_proven("its block is newer than the newest that could be proven")
                except _Contradiction as error:
                    self.judge(source, None, self._chain, error.height)
                    failure = not_proven(f"block {error.height} is not in the chain's history")
                    source.says = f"{failure.code}: {failure.message}"
                except HansaError as error:
                    if isinstance(error, LocalFault):
                        raise
                    unreachable = error.code in ("NODE_UNREACHABLE", "BAD_ANSWER")
                    if not unreachable and error.code not in _ASK_ANOTHER:
                        raise
                    source.says = f"{error.code}: {error.message}"
                    failure = _worse(failure, error)
            if not self.update():
                break
        assert failure is not None, "a light node has a node to ask"
        raise failure

    def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> tuple[int, Any]:
        """A contract's answer, computed here over proven state, and the height of that state: the
        newest, or an earlier one that a node keeps."""

        def question(reader: LightReader) -> tuple[int, Any]:
            queries = ProvenQueries(reader, self.newest.height if height is None else height)
            try:
                return queries.at.header.height, queries.ask(contract, method, args)
            except InputError:
                if reader.failure is not None:
                    raise reader.failure from None
                raise

        return self.ask(question)

    def registry(self) -> Registry:
        """The contracts in force, as the newest header names them."""

        def question(reader: LightReader) -> Registry:
            at = reader.header(self.newest.height)
            return in_force(at.header, ProvenParts(reader, at))

        header = self.newest.header
        if (
            self._registry is None
            or header is None
            or header.contracts_hash != self._registry.digest
        ):
            self._registry = self.ask(question)
        return self._registry

    def recorded(self, height: int) -> Recorded:
        """A whole block with its receipts. Raises InputError BLOCK_NOT_FOUND for what is not there
        yet."""
        if height > self.newest.height:
            self.update()
        if not 0 < height <= self.newest.height:
            raise InputError("BLOCK_NOT_FOUND", f"block {height} is not proven here")

        def question(reader: LightReader) -> Recorded:
            at = reader.header(height)
            client = reader.client
            try:
                sealed = SealedBlock.decode(client.sealed_block(height))
                receipts = decode_receipts(client.receipts(height))
            except CodecError as error:
                raise not_proven(f"block {height}: {error.message}") from None
            if sealed.block.header != at.header or not rules.is_whole(sealed.block):
                raise not_proven(f"block {height} is not what its header names")
            if merkle.root([one.raw for one in receipts]) != at.header.receipt_root:
                raise not_proven(f"the receipts of block {height} are not what its header names")
            return Recorded(at, SealedBlock(sealed.block, at.certificate), receipts)

        return self.ask(question)

    def transaction(self, tx_id: bytes) -> tuple[Verified, Transaction, Receipt]:
        """A committed transaction with its receipt. Raises InputError TX_NOT_FOUND, which nobody
        can prove."""
        return self.ask(lambda reader: reader.transaction(tx_id))

    # --- submitting --------------------------------------------------------------------------

    def submit_and_wait(
        self, raw: bytes, timeout_s: float = 60.0, sleep: Callable[[float], None] = time.sleep
    ) -> tuple[Verified, Transaction, Receipt]:
        """Hand a signed transaction to the nodes until its receipt is proven.

        Raises InputError TIMED_OUT; handing the same bytes in again is safe.
        """
        tx = Transaction.parse(raw)
        deadline = time.monotonic() + timeout_s
        while True:
            for source in self.sources:
                self._try(source, lambda one: one.client.submit([raw]))
            self.update()
            try:
                return self.transaction(tx.tx_id)
            except HansaError as error:
                if error.code != "TX_NOT_FOUND":
                    raise
            if time.monotonic() >= deadline:
                raise InputError("TIMED_OUT", f"no proven receipt within {timeout_s:g} seconds")
            sleep(0.25)


def _worse(one: HansaError | None, other: HansaError) -> HansaError:
    """A lie counts more than an honest no, and that more than silence."""
    if one is None or one.code in ("NODE_UNREACHABLE", "BAD_ANSWER"):
        return other
    return other if other.code == "NOT_PROVEN" else one


def pinned_root(
    client: Client, document: GenesisDocument, height: int, block_hash: bytes, now_ms: int
) -> Trusted:
    """The trust root that a block's hash pins, its header from any node.

    Raises InputError NOT_PROVEN, or TRUST_EXPIRED for a block older than the trust period.
    """
    answer = client.proof(f"headers/{height}")
    header = read_wire(Header, answer, "header")
    validators = read_wire(ValidatorSet, answer, "next_validators")
    if (header.chain_id, header.height) != (document.chain_id, height):
        raise not_proven("it is another chain's header, or another block's")
    if header.digest != block_hash or validators.digest != header.next_validators_hash:
        raise not_proven(f"block {height} does not have the hash that is to be trusted")
    model = document.params.fault_model
    root = Trusted(document.chain_id, model, height, header.time_ms, header, validators)
    light.require_in_period(root, now_ms, light.Policy())
    return root
