"""The file, and what it proves. Reads no clock, disk or network: docs/spec/evidence.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from consensus import light
from consensus.block import Header
from consensus.primitives.codec import (
    HASH,
    Blob,
    Items,
    Maybe,
    Nested,
    Text,
    Wire,
    decode,
)
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError, PeerFault, TxRejected
from consensus.proofs import (
    PARTS_MAX,
    LeafProof,
    ListProof,
    ProvenState,
    SealedHeader,
    Shown,
    StateProof,
    check_earlier,
)
from consensus.receipt import Receipt
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from contracts.sdk.commitments import opens
from genesis.document import GenesisDocument

FORMAT: Final = "hansa-evidence/1"
BYTES_MAX: Final = 64 << 20
TURNS_MAX: Final = 1_000
STATES_MAX: Final = 4_096
TOLD_MAX: Final = 10_000
OPENED_MAX: Final = 1_000
OPENING_BYTES_MAX: Final = 1 << 17
CHECKSUM_BYTES: Final = 34  # as MessagePack
FOR_EVER: Final = light.Policy(trust_period_ms=None)


@dataclass(frozen=True)
class Turn(Wire):
    """A step of trust (``light.Step``): the last header of a set of validators, which names the
    next set, or in the end the header whose state is proven."""

    bytes_max: ClassVar[int] = 1 << 18

    sealed: Annotated[SealedHeader, Nested(SealedHeader)]
    next_validators: Annotated[ValidatorSet, Nested(ValidatorSet)]
    inclusion: Annotated[ListProof | None, Maybe(Nested(ListProof))]


@dataclass(frozen=True)
class Told(Wire):
    """A receipt of a block, with its transaction unless it ran by itself; the block's header stands
    in the history of the header whose state is proven, or is that one (then without ``earlier``).
    """

    bytes_max: ClassVar[int] = BYTES_MAX

    header: Annotated[Header, Nested(Header)]
    earlier: Annotated[ListProof | None, Maybe(Nested(ListProof))]
    transaction: Annotated[LeafProof | None, Maybe(Nested(LeafProof))]
    receipt: Annotated[LeafProof, Nested(LeafProof)]


@dataclass(frozen=True)
class Opening(Wire):
    """What stands behind a commitment: the canonical bytes of ``[salt, value]``."""

    bytes_max: ClassVar[int] = OPENING_BYTES_MAX + 64

    commitment: Annotated[bytes, HASH]
    salted: Annotated[bytes, Blob(OPENING_BYTES_MAX)]


@dataclass(frozen=True)
class Bundle(Wire):
    """See docs/spec/evidence.md. ``genesis`` is the document's canonical content, without seals;
    None where whoever checks has the document."""

    bytes_max: ClassVar[int] = BYTES_MAX
    items_max: ClassVar[int] = PARTS_MAX

    format: Annotated[str, Text(32)]
    kind: Annotated[str, Text(16)]
    subject: Annotated[str, Text(200)]
    chain_id: Annotated[bytes, HASH]
    genesis: Annotated[bytes | None, Maybe(Blob(BYTES_MAX))]
    turns: Annotated[tuple[Turn, ...], Items(Nested(Turn), TURNS_MAX, 1)]
    states: Annotated[tuple[StateProof, ...], Items(Nested(StateProof), STATES_MAX)]
    told: Annotated[tuple[Told, ...], Items(Nested(Told), TOLD_MAX)]
    openings: Annotated[tuple[Opening, ...], Items(Nested(Opening), OPENED_MAX)]
    checksum: Annotated[bytes, HASH]

    def sealed(self) -> Bundle:
        """With its checksum: that of all bytes before it."""
        return replace(self, checksum=sha256(self.raw[:-CHECKSUM_BYTES]))


def read(raw: bytes) -> Bundle:
    """Raises InputError EVIDENCE_INVALID."""
    if sha256(raw[:-CHECKSUM_BYTES]) != raw[-32:]:
        raise invalid("its checksum is wrong: the file was damaged, altered, or is none of these")
    try:
        bundle = Bundle.decode(raw)
    except CodecError as error:
        raise invalid(f"the file can't be read: {error.message}") from None
    if bundle.format != FORMAT:
        raise invalid(f"its format is {bundle.format!r}, this release reads {FORMAT}")
    return bundle


def genesis_of(bundle: Bundle) -> GenesisDocument | None:
    """The document in the bundle: that of its chain id. Raises InputError EVIDENCE_INVALID."""
    if bundle.genesis is None:
        return None
    if sha256(bundle.genesis) != bundle.chain_id:
        raise invalid("its genesis document is not the one that its chain id names")
    try:
        plain = decode(bundle.genesis, bytes_max=BYTES_MAX, items_max=1 << 20)
        if type(plain) is not list:
            raise CodecError("WRONG_TYPE", "not an array")
        return GenesisDocument.from_plain([*plain, []])
    except CodecError as error:
        raise invalid(f"its genesis document can't be read: {error.message}") from None


class States:
    """Several proofs of parts of one state, read as one. Raises InputError EVIDENCE_INVALID for
    what none of them covers."""

    def __init__(self, parts: Sequence[ProvenState]) -> None:
        self._parts = parts
        self.lacking: InputError | None = None
        """What was asked and is not proven: contracts pass no such error on."""

    def get(self, key: bytes) -> bytes | None:
        for part in self._parts:
            try:
                return part.get(key)
            except InputError:
                continue
        raise self._lacks(f"key {key.hex()}")

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """A range may be proven in pieces, one behind the other."""
        at = start
        while at < stop:
            for part in self._parts:
                end = part.covered_to(at, stop)
                if end > at:
                    yield from part.scan(at, end)
                    at = end
                    break
            else:
                raise self._lacks(f"keys from {at.hex()}")

    def _lacks(self, what: str) -> InputError:
        self.lacking = invalid(f"it proves nothing of {what}, which its subject needs")
        return self.lacking


class CheckedTold(NamedTuple):
    """A receipt that stands in a block; ``transaction`` is None where it ran by itself."""

    header: Header
    transaction: Transaction | None
    receipt: Receipt


class Checked(NamedTuple):
    """What a bundle proves."""

    header: Header
    sealed_by: list[str]
    state: States
    told: list[CheckedTold]
    opened: list[tuple[bytes, Any]]


def check(bundle: Bundle, document: GenesisDocument, now_ms: int) -> Checked:
    """Raises InputError EVIDENCE_INVALID, or WRONG_CHAIN for another chain's document."""
    if document.chain_id != bundle.chain_id:
        raise InputError("WRONG_CHAIN", f"the file is about chain {bundle.chain_id.hex()}")
    try:
        return _check(bundle, document, now_ms)
    except (PeerFault, CodecError, TxRejected) as error:
        raise invalid(error.message) from None


def _check(bundle: Bundle, document: GenesisDocument, now_ms: int) -> Checked:
    trusted = light.Trusted.genesis(
        document.chain_id,
        document.params.fault_model,
        document.time_ms,
        document.validator_set(),
    )
    signers = trusted.next_validators
    for turn in bundle.turns:
        signers = trusted.next_validators
        step = light.Step(turn.sealed, turn.next_validators, turn.inclusion)
        trusted = light.advance(trusted, step, now_ms, FOR_EVER)
    sealed = bundle.turns[-1].sealed
    header = sealed.header
    states = [one.check(header.state_root) for one in bundle.states]
    told = [_checked_told(one, header) for one in bundle.told]
    names = [signers.name(key) for key in sealed.signers(signers)]
    return Checked(header, names, States(states), told, _opened(bundle))


def _checked_told(told: Told, header: Header) -> CheckedTold:
    if told.earlier is not None:
        check_earlier(header, told.header, told.earlier)
    elif told.header != header:
        raise invalid(f"nothing shows that block {told.header.height} is one of the chain's")
    receipt = told.receipt.check_receipt(told.header)
    if told.transaction is None:
        return CheckedTold(told.header, None, receipt)
    wire_id = told.transaction.check_transaction(told.header)
    transaction = Transaction.parse(told.transaction.leaf)
    if receipt.wire_id != wire_id or not transaction.signature_valid():
        raise invalid("a receipt is another transaction's")
    return CheckedTold(told.header, transaction, receipt)


def _opened(bundle: Bundle) -> list[tuple[bytes, Any]]:
    """Each value with its commitment, which stands in something that is proven."""
    proven = [
        part.value or b"" for one in bundle.states for part in one.parts if isinstance(part, Shown)
    ]
    for one in bundle.told:
        proven += [leaf.leaf for leaf in (one.receipt, one.transaction) if leaf is not None]
    found = []
    for opening in bundle.openings:
        plain = decode(opening.salted, bytes_max=OPENING_BYTES_MAX)
        if type(plain) is not list or len(plain) != 2 or type(plain[0]) is not bytes:
            raise invalid("an opening is no salt with a value")
        salt, value = plain
        if len(salt) != 16 or not opens(opening.commitment, salt, value):
            raise invalid(f"the opening of {opening.commitment.hex()} is another value's")
        if not any(opening.commitment in raw for raw in proven):
            raise invalid(f"nothing that it proves holds commitment {opening.commitment.hex()}")
        found.append((opening.commitment, value))
    return found


def invalid(why: str) -> InputError:
    return InputError("EVIDENCE_INVALID", why)
