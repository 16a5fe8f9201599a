"""What the core was told, as bytes: its inputs, a whole state to begin from, and marks to compare.

``machine.apply`` is a function, so a state and a list of inputs are all that an incident is. Here
both have one byte string each, canonical like everything else. A mark is a short hash of what one
input brought about; a digest covers the whole state. Where order decides (votes in a book, contents
kept), it is kept; everything else is sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from consensus.block import CONTENT_TXS_MAX, Content
from consensus.certificates import HEIGHT, ROUND, PreparedCertificate
from consensus.messages import (
    KINDS,
    MESSAGE_BYTES_MAX,
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    Vote,
    decode_vote,
    encode_vote,
)
from consensus.params import Params
from consensus.pbft import outputs as out
from consensus.pbft.inputs import (
    Built,
    Connected,
    Executed,
    Input,
    NewHeight,
    Now,
    OwnVotes,
    Received,
    Signed,
    Tick,
)
from consensus.pbft.state import State
from consensus.pbft.votebook import KEPT, VoteBook
from consensus.primitives.codec import (
    HASH,
    KEY,
    Flag,
    Items,
    Kind,
    Maybe,
    Text,
    UInt,
    Wire,
    decode,
    encode,
)
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, PeerFault
from consensus.validators import VALIDATORS_MAX, ValidatorSet

MARK_BYTES: Final = 8
PROBLEM_CHARS_MAX: Final = 200
ENTRY_BYTES_MAX: Final = 8 * MESSAGE_BYTES_MAX
STATE_BYTES_MAX: Final = 16 * MESSAGE_BYTES_MAX

Put = Callable[[Wire], bytes]
_KIND_OF: Final = {wire: kind for kind, wire in KINDS.items()}
_MOMENT: Final = UInt()
_NEXT_ROUND: Final = UInt(2**32)
"""A round plus one, where there may be none."""


# --- kinds -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part(Kind):
    """A wire type as bytes of its own: ``put`` gives its encoding, or its hash."""

    wire: type[Wire]
    put: Put

    def check(self, value: Any) -> Any:
        if type(value) is not bytes:
            raise CodecError("WRONG_TYPE", f"{self.wire.__name__}: expected bytes")
        if not issubclass(self.wire, Vote):
            return self.wire.decode(value)
        try:
            vote = decode_vote(value)
        except PeerFault as error:
            raise CodecError("WRONG_TYPE", error.message) from None
        if not isinstance(vote, self.wire):
            raise CodecError("WRONG_TYPE", f"expected a {self.wire.__name__}")
        return vote

    def plain(self, value: Wire) -> bytes:
        return self.put(value)


class _Row(Kind):
    """Values of fixed kinds, in order."""

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds

    def check(self, value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(self._kinds):
            raise CodecError("WRONG_TYPE", f"expected {len(self._kinds)} values")
        return tuple([kind.check(one) for kind, one in zip(self._kinds, value, strict=True)])

    def plain(self, value: Sequence[Any]) -> list[Any]:
        return [kind.plain(one) for kind, one in zip(self._kinds, value, strict=True)]


def _raw(wire: Wire) -> bytes:
    return encode_vote(wire) if isinstance(wire, Vote) else wire.raw


def _digest(wire: Wire) -> bytes:
    return wire.digest


def _context_kind(put: Put) -> Kind:
    own = (_Part(kind, put) for kind in (Proposal, Prepare, Commit, RoundChange))
    validators = _Part(ValidatorSet, put)
    return _Row(
        HASH,
        HEIGHT,
        HASH,
        _MOMENT,
        validators,
        validators,
        _Part(Params, put),
        Items(UInt(VALIDATORS_MAX - 1), VALIDATORS_MAX, 1),
        Maybe(KEY),
        _Row(
            *map(Maybe, (*own, _Part(PreparedCertificate, put))),
            Items(_Part(Content, put), CONTENT_TXS_MAX),
        ),
    )


def _state_kind(put: Put) -> Kind:
    book = Items(_Part(Vote, put), len(KINDS) * KEPT * VALIDATORS_MAX)
    contents = Items(_Part(Content, put), CONTENT_TXS_MAX)
    hashes = Items(HASH, CONTENT_TXS_MAX)
    kind = UInt(max(KINDS))
    return _Row(
        _context_kind(put),
        _MOMENT,
        book,
        ROUND,
        Maybe(_MOMENT),
        Flag(),
        Maybe(_MOMENT),
        _NEXT_ROUND,
        Maybe(_Part(Proposal, put)),
        Flag(),
        contents,
        Items(_Row(HASH, Maybe(HASH)), CONTENT_TXS_MAX),
        hashes,
        hashes,
        Maybe(_Part(PreparedCertificate, put)),
        Items(_Row(kind, ROUND), len(KINDS)),
        Items(_Part(Vote, put), len(KINDS)),
        _MOMENT,
        Flag(),
        Flag(),
        _NEXT_ROUND,
        Items(_Row(KEY, UInt(255)), CONTENT_TXS_MAX),
        Items(_Part(Vote, put), len(KINDS) * VALIDATORS_MAX),
        book,
    )


_CONTEXT: Final = _context_kind(_raw)
_STATE: Final = _state_kind(_raw)
_STATE_DIGEST: Final = _state_kind(_digest)
_CONTENT: Final = _Part(Content, _raw)
_VOTE: Final = _Part(Vote, _raw)


# --- the state -------------------------------------------------------------------------------


def _context_values(context: NewHeight) -> tuple[Any, ...]:
    own = context.own
    return (
        context.chain_id,
        context.height,
        context.parent,
        context.parent_time_ms,
        context.validators,
        context.parent_validators,
        context.params,
        context.order,
        context.me,
        (own.proposal, own.prepare, own.commit, own.round_change, own.prepared, own.contents),
    )


def _context(values: tuple[Any, ...]) -> NewHeight:
    return NewHeight(*(*values[:-1], OwnVotes(*values[-1])))


def _state_values(state: State) -> tuple[Any, ...]:
    """All its fields, in their order."""
    return (
        _context_values(state.context),
        state.height_started_ms,
        list(state.votes),
        state.round,
        state.deadline_ms,
        state.heard,
        state.work_since_ms,
        state.build_asked + 1,
        state.accepted,
        state.late,
        list(state.contents.values()),
        list(state.outcomes.items()),
        sorted(state.executing),
        sorted(state.logged),
        state.prepared,
        sorted((_KIND_OF[kind], round_) for kind, round_ in state.asked.items()),
        sorted(state.newest.values(), key=lambda vote: _KIND_OF[type(vote)]),
        state.resend_ms,
        state.decided,
        state.reported_divergence,
        state.split_reported + 1,
        sorted(state.caught),
        list(state.ahead.values()),
        list(state.previous),
    )


def _book(votes: Sequence[Vote]) -> VoteBook:
    book = VoteBook()
    for vote in votes:
        if not book.add(vote):
            raise CodecError("OUT_OF_RANGE", "a book of votes with one too many")
    return book


def _state(values: tuple[Any, ...]) -> State:
    context, started, votes, *rest = values
    (
        round_,
        deadline,
        heard,
        work_since,
        build_asked,
        accepted,
        late,
        contents,
        outcomes,
        executing,
        logged,
        prepared,
        asked,
        newest,
        resend,
        decided,
        reported,
        split_reported,
        caught,
        ahead,
        previous,
    ) = rest
    return State(
        _context(context),
        started,
        _book(votes),
        round_,
        deadline,
        heard,
        work_since,
        build_asked - 1,
        accepted,
        late,
        {content.digest: content for content in contents},
        dict(outcomes),
        set(executing),
        set(logged),
        prepared,
        {KINDS[kind]: round_ for kind, round_ in asked if kind in KINDS},
        {type(vote): vote for vote in newest},
        resend,
        decided,
        reported,
        split_reported - 1,
        set(caught),
        {(vote.sender, type(vote)): vote for vote in ahead},
        _book(previous),
    )


def encode_state(state: State | None) -> bytes:
    """All of a state; None stands for the time before the first NewHeight."""
    return encode(None if state is None else _STATE.plain(_state_values(state)))


def decode_state(raw: bytes) -> State | None:
    """Raises CodecError."""
    value = decode(raw, bytes_max=STATE_BYTES_MAX, items_max=CONTENT_TXS_MAX)
    return None if value is None else _state(_STATE.check(value))


def state_digest(state: State | None) -> bytes:
    """SHA-256 over everything that a decision may depend on: the same in every process."""
    return sha256(encode(None if state is None else _STATE_DIGEST.plain(_state_values(state))))


# --- inputs ----------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One input and what came of it: ``result`` is the mark of its outputs (None without any), the
    code of the PeerFault, or the name of the exception that ended the node after ``!``."""

    event: Input
    now: Now
    result: bytes | str | None


_INPUTS: Final[dict[int, tuple[type[Any], tuple[Kind, ...]]]] = {
    2: (Received, (_VOTE,)),
    3: (Signed, (_VOTE,)),
    4: (Built, (ROUND, _CONTENT)),
    5: (Executed, (HASH, Maybe(HASH), Text(4 * PROBLEM_CHARS_MAX, 0))),
    6: (Tick, (Maybe(_MOMENT),)),
    7: (Connected, (KEY,)),
}
_NEW_HEIGHT: Final = 1
_INPUT_KIND: Final = {wire: kind for kind, (wire, _) in _INPUTS.items()}


def _values(event: Input) -> tuple[Any, ...]:
    if isinstance(event, Received | Signed):
        return (event.vote,)
    if isinstance(event, Built):
        return event.round, event.content
    if isinstance(event, Executed):
        # For people; no decision depends on it.
        problem = event.problem[:PROBLEM_CHARS_MAX].encode(errors="replace").decode()
        return event.content_hash, event.block_hash, problem
    if isinstance(event, Tick):
        return (event.work_since_ms,)
    assert isinstance(event, Connected)
    return (event.peer,)


def encode_entry(entry: Entry) -> bytes:
    event, now, result = entry
    if isinstance(event, NewHeight):
        kind, plain = _NEW_HEIGHT, [_CONTEXT.plain(_context_values(event))]
    else:
        kind = _INPUT_KIND[type(event)]
        kinds = _INPUTS[kind][1]
        plain = [one.plain(value) for one, value in zip(kinds, _values(event), strict=True)]
    return encode([now.wall_ms, now.mono_ms, result, kind, *plain])


def decode_entry(raw: bytes) -> Entry:
    """Raises CodecError."""
    value = decode(raw, bytes_max=ENTRY_BYTES_MAX, items_max=CONTENT_TXS_MAX)
    if type(value) is not list or len(value) < 4:
        raise CodecError("WRONG_TYPE", "expected an entry")
    wall_ms, mono_ms, result, kind, *plain = value
    now = Now(_MOMENT.check(wall_ms), _MOMENT.check(mono_ms))
    if type(result) is str:
        Text(64).check(result)
    elif result is not None and (type(result) is not bytes or len(result) != MARK_BYTES):
        raise CodecError("WRONG_TYPE", "expected a mark")
    if kind == _NEW_HEIGHT and type(kind) is int and len(plain) == 1:
        return Entry(_context(_CONTEXT.check(plain[0])), now, result)
    if type(kind) is not int or kind not in _INPUTS:
        raise CodecError("OUT_OF_RANGE", "an input of no known kind")
    wire, kinds = _INPUTS[kind]
    return Entry(wire(*_Row(*kinds).check(plain)), now, result)


# --- outputs ---------------------------------------------------------------------------------


def outputs_mark(outputs: Sequence[out.Output], chain_id: bytes) -> bytes | None:
    """A short hash of what is to be done, None for nothing."""
    if not outputs:
        return None
    return sha256(encode([_output_plain(one, chain_id) for one in outputs]))[:MARK_BYTES]


def _hash(wire: Wire | None) -> bytes | None:
    return None if wire is None else wire.digest


def _unsigned(vote: Vote, chain_id: bytes) -> list[Any]:
    """A vote that is to be signed. Its own bytes would be made for this alone."""
    beside: list[Any] = []
    if isinstance(vote, RoundChange):
        beside = [_hash(vote.prepared), _hash(vote.content)]
    elif isinstance(vote, Proposal):
        beside = [change.digest for change in vote.justification]
    return [_KIND_OF[type(vote)], vote.signing_bytes(chain_id), beside]


def _output_plain(output: out.Output, chain_id: bytes) -> list[Any]:
    if isinstance(output, out.Sign):
        made = _unsigned(output.vote, chain_id)
        return ["sign", made, _hash(output.content), _hash(output.prepared)]
    if isinstance(output, out.Broadcast):
        return ["broadcast", [vote.digest for vote in output.votes], output.peer]
    if isinstance(output, out.Build):
        seals = [seal.digest for seal in output.seals]
        return ["build", output.round, output.txs_max, seals]
    if isinstance(output, out.Execute):
        sizes = [len(body) for body in output.bodies]
        return ["execute", output.content.digest, sizes, output.source]
    if isinstance(output, out.Decided):
        return ["decided", output.certificate.digest, _hash(output.content)]
    if isinstance(output, out.AnswerDecided):
        return ["answer", output.peer, output.height]
    if isinstance(output, out.SplitVote):
        return ["split", output.content.digest, [[one, list(keys)] for one, keys in output.tally]]
    if isinstance(output, out.Diverged):
        return ["diverged", output.height, output.round, output.own, output.quorums]
    if isinstance(output, out.Caught):
        return ["caught", output.evidence.digest]
    return ["round", output.height, output.round]
