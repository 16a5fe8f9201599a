"""Making a bundle from the answers of one node, which need not be trusted: what is written has been
checked as any reader of the file will check it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from cli.bundle import form, subjects
from cli.client import Client
from cli.proven_queries import ProvenQueries
from cli.verifying import Reader, not_proven, read_wire
from consensus.block import Header, SealedBlock
from consensus.certificates import Certificate
from consensus.primitives.codec import encode
from consensus.primitives.errors import CodecError
from consensus.proofs import LeafProof, ListProof, SealedHeader, StateProof
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from contracts.runtime.overlay import StateReader
from contracts.runtime.system import read_packages
from node.store.blocks import decode_receipts

Say = Callable[[str, int, int], None]
Span = tuple[bytes, bytes]

KEYS_AT_ONCE: Final = 64


class Recorder:
    """A state that remembers what was read of it."""

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self.keys: set[bytes] = set()
        self.spans: set[Span] = set()

    def get(self, key: bytes) -> bytes | None:
        self.keys.add(key)
        return self._state.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """What was not asked for need not be proven: a scan that is left early ends there."""
        end = start
        try:
            for key, value in self._state.scan(start, stop):
                end = key + b"\0"
                yield key, value
            end = stop
        finally:
            if end > start:
                self.spans.add((start, end))


def export(
    client: Client,
    reader: Reader,
    kind: str,
    subject: str,
    *,
    height: int | None = None,
    with_genesis: bool = True,
    with_code: bool = False,
    openings: Callable[[Any], Iterable[tuple[bytes, bytes, Any]]] = lambda _found: (),
    say: Say = lambda _what, _done, _of: None,
) -> tuple[form.Bundle, form.Checked]:
    """A bundle about a subject, and what it proves. ``openings`` gives (commitment, salt,
    value) of the commitments in the answers that are to be disclosed.

    Raises InputError: NOT_PROVEN for a node whose answers are not, UNKNOWN_ITEM and its like,
    STATE_NOT_KEPT for a height whose state the node has no more.
    """
    recorders: list[Recorder] = []

    def recording(state: StateReader) -> Recorder:
        recorders.append(Recorder(state))
        return recorders[0]

    queries = ProvenQueries(reader, height, recording)
    found = subjects.answers(kind, subject, queries.ask)
    if kind == subjects.ITEM:
        subject = found["item"]["item"]  # however it was written
    if with_code:
        read_packages(recorders[0])
    header = queries.at.header
    proven = _states(client, header.height, recorders[0], say)
    told = list(_told(client, header.height, kind, subject, found, say))
    document = reader.document
    bundle = form.Bundle(
        form.FORMAT,
        kind,
        subject,
        document.chain_id,
        encode(document.to_plain()[:-1]) if with_genesis else None,
        _turns(client, reader, header.height),
        tuple(proven),
        tuple(told),
        tuple(form.Opening(one, encode([salt, value])) for one, salt, value in openings(found)),
        bytes(32),
    ).sealed()
    checked = form.check(form.read(bundle.raw), document, reader.now_ms)
    return bundle, checked


def _turns(client: Client, reader: Reader, height: int) -> tuple[form.Turn, ...]:
    """From the genesis document to the header of a height."""
    turns = [form.Turn(one.sealed, one.next_validators, one.inclusion) for one in reader.turns]
    answer = client.proof(f"headers/{height}")
    sealed = SealedHeader(
        read_wire(Header, answer, "header"), read_wire(Certificate, answer, "certificate")
    )
    inclusion = None
    if turns:
        older = turns[-1].sealed.height
        inclusion = _earlier(client, older, height)
    turns.append(form.Turn(sealed, read_wire(ValidatorSet, answer, "next_validators"), inclusion))
    return tuple(turns)


def _earlier(client: Client, old: int, new: int) -> ListProof:
    return read_wire(ListProof, client.proof(f"history?old={old}&new={new}"), "inclusion")


def _states(client: Client, height: int, read: Recorder, say: Say) -> Iterator[StateProof]:
    """Proofs of all that was read: keys by the dozen, and each range, in parts if it is long."""
    spans = _joined(sorted(read.spans))
    keys = sorted(key for key in read.keys if not any(start <= key < stop for start, stop in spans))
    for at in range(0, len(keys), KEYS_AT_ONCE):
        say("values", at, len(keys))
        yield _state(client, height, [("key", key.hex()) for key in keys[at : at + KEYS_AT_ONCE]])[
            0
        ]
    for number, (start, stop) in enumerate(spans):
        say("ranges", number, len(spans))
        begin: bytes | None = start
        while begin is not None:
            span = [("start", begin.hex()), ("stop", stop.hex())]
            proof, following = _state(client, height, span)
            if following is not None and not begin < following < stop:
                raise not_proven("a range that does not go on")
            begin = following
            yield proof


def _state(
    client: Client, height: int, query: Sequence[tuple[str, str]]
) -> tuple[StateProof, bytes | None]:
    words = "&".join(f"{name}={value}" for name, value in query)
    answer = client.proof(f"state?{words}&height={height}")
    following = answer.get("next")
    try:
        return read_wire(StateProof, answer, "proof"), following and bytes.fromhex(following)
    except (TypeError, ValueError):
        raise not_proven("its answer can't be read") from None


def _joined(spans: Sequence[Span]) -> list[Span]:
    """The same ranges with those that overlap as one."""
    joined: list[Span] = []
    for start, stop in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def _told(
    client: Client, newest: int, kind: str, subject: str, found: dict[str, Any], say: Say
) -> Iterator[form.Told]:
    """Receipts in which the audit trail tells of the subject, with their transactions."""
    heights: Sequence[int] = range(1, newest + 1)
    if kind == subjects.ITEM:
        heights = sorted({event["height"] for event in found["trace"]["events"]})
    for number, height in enumerate(heights):
        say("blocks", number, len(heights))
        try:
            receipts = decode_receipts(client.receipts(height))
        except CodecError as error:
            raise not_proven(f"the receipts of block {height}: {error.message}") from None
        places = [at for at, one in enumerate(receipts) if subjects.is_about(kind, subject, one)]
        if places:
            yield from _of_block(client, height, places, newest)


def _of_block(
    client: Client, height: int, places: Sequence[int], newest: int
) -> Iterator[form.Told]:
    try:
        bodies = SealedBlock.decode(client.sealed_block(height)).block.bodies
    except CodecError as error:
        raise not_proven(f"block {height}: {error.message}") from None
    earlier = None if height == newest else _earlier(client, height, newest)
    for place in places:
        transaction = None
        if place < len(bodies):
            tx_id = Transaction.parse(bodies[place]).tx_id
            answer = client.proof(f"transactions/{tx_id.hex()}")
            transaction = read_wire(LeafProof, answer, "transaction")
        else:
            answer = client.proof(f"receipts/{height}/{place}")
        receipt = read_wire(LeafProof, answer, "receipt")
        yield form.Told(read_wire(Header, answer, "header"), earlier, transaction, receipt)
