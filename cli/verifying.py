"""Answers of a node with their proofs, each checked before it is shown.

Trusted is the genesis document alone (its hash is the chain id). From it the validators are
followed, set by set, to the height of the answer (``consensus.light``); the certificate of the
answer's header is judged by them, and the answer by the header. There is no trust period from a
genesis document: validators who left long ago are still believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from cli.client import Client
from consensus import light
from consensus.block import Header
from consensus.certificates import Certificate
from consensus.primitives.codec import Wire
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError, PeerFault
from consensus.proofs import (
    HistoryProof,
    LeafProof,
    ListProof,
    ProvenState,
    SealedHeader,
    StateProof,
    check_earlier,
)
from consensus.receipt import Event, Receipt
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from genesis.document import GenesisDocument

W = TypeVar("W", bound=Wire)
Answer = Mapping[str, Any]

KEYS_AT_ONCE: Final = 64
FOR_EVER: Final = light.Policy(trust_period_ms=None)


class Verified(NamedTuple):
    """A header that a quorum sealed, the names of who did, and their seals."""

    header: Header
    sealed_by: list[str]
    certificate: Certificate


class Reader:
    """Reads from a node that need not be trusted.

    Every method raises InputError NOT_PROVEN for an answer that its proof does not bear out, and
    what :class:`Client` raises. ``now_ms`` bounds how far ahead a header's time may be.
    """

    def __init__(self, client: Client, document: GenesisDocument, now_ms: int) -> None:
        self._client = client
        self.now_ms = now_ms
        self.document = document
        self.turns: list[light.Step] = []
        """The changes of the set of validators that were followed, for others to follow."""
        self._trusted = [
            light.Trusted.genesis(
                document.chain_id,
                document.params.fault_model,
                document.time_ms,
                document.validator_set(),
            )
        ]

    # --- headers -----------------------------------------------------------------------------

    def header(self, height: int | None = None) -> Verified:
        """The header of a height, or the newest."""
        answer = self._ask(f"headers/{'latest' if height is None else height}")
        return self._verified(answer, height)

    def _verified(self, answer: Answer, height: int | None) -> Verified:
        if answer.get("certificate") is None:
            raise not_proven("block 0 has no certificate: it follows from the genesis document")
        sealed = SealedHeader(read_wire(Header, answer, "header"), _read_certificate(answer))
        header = sealed.header
        if height is not None and header.height != height:
            raise not_proven(f"asked for block {height}, it answers with block {header.height}")
        trusted = self._known_before(sealed)
        validators = trusted.next_validators
        try:
            sealed.check(trusted.chain_id, validators, light.quorum(trusted, validators))
        except PeerFault as error:
            raise not_proven(error.message) from None
        if header.time_ms > self.now_ms + FOR_EVER.drift_ms:
            raise not_proven(f"block {header.height} is from the future")
        names = [validators.name(key) for key in sealed.signers(validators)]
        return Verified(header, names, sealed.certificate)

    def _known_before(self, sealed: SealedHeader) -> light.Trusted:
        """What was trusted when this header's set was named."""
        header = sealed.header
        for trusted in reversed(self._trusted):
            if trusted.height < header.height:
                if trusted.next_validators.digest == header.validators_hash:
                    return trusted
                break
        while True:
            trusted = self._trusted[-1]
            if trusted.height >= header.height:
                raise not_proven(f"block {header.height} names validators that it never had")
            if trusted.next_validators.digest == header.validators_hash:
                return trusted
            self._follow_change(trusted, header.height)

    def _follow_change(self, trusted: light.Trusted, height: int) -> None:
        """The last header before ``height`` that the trusted set sealed: it names the next set."""
        same, other = trusted.height, height
        while other - same > 1:
            middle = (same + other) // 2
            found = read_wire(Header, self._ask(f"headers/{middle}"), "header")
            if found.validators_hash == trusted.next_validators.digest:
                same = middle
            else:
                other = middle
        if same == trusted.height:
            raise not_proven(f"block {same + 1} has other validators than block {same} names")
        answer = self._ask(f"headers/{same}")
        step = light.Step(
            SealedHeader(read_wire(Header, answer, "header"), _read_certificate(answer)),
            read_wire(ValidatorSet, answer, "next_validators"),
            self._inclusion(trusted, same),
        )
        try:
            self._trusted.append(light.advance(trusted, step, self.now_ms, FOR_EVER))
        except PeerFault as error:
            raise not_proven(error.message) from None
        self.turns.append(step)

    def _inclusion(self, trusted: light.Trusted, height: int) -> ListProof | None:
        if trusted.header is None:
            return None
        return read_wire(
            ListProof, self._ask(f"history?old={trusted.height}&new={height}"), "inclusion"
        )

    # --- the state ---------------------------------------------------------------------------

    def state(
        self, keys: Sequence[bytes], height: int | None = None
    ) -> tuple[Verified, ProvenState]:
        """A proven part of the state that answers for at most 64 ``keys``, present or absent."""
        query = [("key", key.hex()) for key in keys]
        return self._state(query, height)[:2]

    def _state(
        self, query: list[tuple[str, str]], height: int | None
    ) -> tuple[Verified, ProvenState, bytes | None]:
        if height is not None:
            query = [*query, ("height", str(height))]
        answer = self._ask("state?" + "&".join(f"{name}={value}" for name, value in query))
        verified = self._verified(answer, height)
        following = answer.get("next")
        try:
            shown = read_wire(StateProof, answer, "proof").check(verified.header.state_root)
            return verified, shown, None if following is None else bytes.fromhex(following)
        except (PeerFault, ValueError, TypeError) as error:
            raise not_proven(str(error)) from None

    def range(
        self, start: bytes, stop: bytes, height: int | None = None
    ) -> tuple[Verified, Iterator[tuple[bytes, bytes]]]:
        """All pairs with ``start <= key < stop`` at one height, in pages, each proven whole."""
        verified, shown, following = self._page(start, stop, height)

        def pairs() -> Iterator[tuple[bytes, bytes]]:
            begin, page, end = start, shown, following
            while True:
                yield from _scan(page, begin, end or stop)
                if end is None:
                    return
                begin = end
                _, page, end = self._page(begin, stop, verified.header.height)

        return verified, pairs()

    def _page(
        self, start: bytes, stop: bytes, height: int | None
    ) -> tuple[Verified, ProvenState, bytes | None]:
        found = self._state([("start", start.hex()), ("stop", stop.hex())], height)
        if found[2] is not None and not start < found[2] < stop:
            raise not_proven("a range that does not go on")
        return found

    # --- blocks ------------------------------------------------------------------------------

    def transaction(self, tx_id: bytes) -> tuple[Verified, Transaction, Receipt]:
        """A transaction of a block, with its receipt."""
        answer = self._ask(f"transactions/{tx_id.hex()}")
        verified = self._verified(answer, None)
        try:
            leaf = read_wire(LeafProof, answer, "transaction")
            wire_id = leaf.check_transaction(verified.header)
            receipt = read_wire(LeafProof, answer, "receipt").check_receipt(verified.header)
        except PeerFault as error:
            raise not_proven(error.message) from None
        tx = Transaction.parse(leaf.leaf)
        if tx.tx_id != tx_id or receipt.wire_id != wire_id or sha256(tx.raw) != wire_id:
            raise not_proven("it is another transaction's")
        return verified, tx, receipt

    def event(self, position: tuple[int, int, int]) -> tuple[Verified, Event]:
        """An event at (height, transaction, number). Its number among those of the transaction is
        as the node says."""
        answer = self._ask("events/" + ".".join(map(str, position)))
        verified = self._verified(answer, position[0])
        try:
            index, event = read_wire(LeafProof, answer, "event").check_event(verified.header)
        except PeerFault as error:
            raise not_proven(error.message) from None
        if index != position[1]:
            raise not_proven("it is another transaction's event")
        return verified, event

    def history(self, old: int, new: int | None = None) -> tuple[Verified, Header]:
        """A header, and an older one that stands in its history, which only grew since."""
        answer = self._ask(f"history?old={old}&new={'latest' if new is None else new}")
        verified = self._verified(answer, new)
        older = read_wire(Header, answer, "old")
        try:
            check_earlier(verified.header, older, read_wire(ListProof, answer, "inclusion"))
            if old > 0:
                read_wire(HistoryProof, answer, "consistency").check(older, verified.header)
        except PeerFault as error:
            raise not_proven(error.message) from None
        if older.height != old:
            raise not_proven(f"asked for block {old}, it answers with block {older.height}")
        return verified, older

    def _ask(self, path: str) -> dict[str, Any]:
        return self._client.proof(path)


def _scan(page: ProvenState, start: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
    try:
        return list(page.scan(start, stop))
    except InputError as error:
        raise not_proven(error.message) from None


def read_wire(wire: type[W], answer: Answer, name: str) -> W:
    """A field of an answer. Raises InputError NOT_PROVEN."""
    raw = answer.get(name)
    try:
        return wire.decode(bytes.fromhex(raw if type(raw) is str else "-"))
    except (CodecError, ValueError):
        raise not_proven(f"its {name} can't be read") from None


def _read_certificate(answer: Answer) -> Certificate:
    return read_wire(Certificate, answer, "certificate")


def not_proven(why: str) -> InputError:
    return InputError("NOT_PROVEN", f"the node's answer is not proven: {why}")
