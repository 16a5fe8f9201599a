"""What the claims contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.finance.exchange import Exchange
from contracts.sdk import (
    Findings,
    Int,
    Money,
    OrganisationId,
    Party,
    Record,
    Size,
    Text,
    Timestamp,
    VerdictCode,
)

NOTES_MAX: Final = 32  # notes in one call, and in one escrow
SHOWN_MAX: Final = 100  # entries in a page of a query
COUNTED_MAX: Final = 500  # notes that one balance adds up
PASSED_MAX: Final = 100  # notes that may pass from one owner in a day that has limits
OWNERS_MAX: Final = 8  # whose notes one turn makes

PROPOSED: Final = "PROPOSED"  # asked for, not confirmed by the bank
LIVE: Final = "LIVE"
LOCKED: Final = "LOCKED"  # to be turned into others, by a request that waits
HELD: Final = "HELD"  # in escrow
STOPPED: Final = "STOPPED"  # by the bank, or a regulator
FROZEN: Final = "FROZEN"  # came of a turn that is disputed
SPENT: Final = "SPENT"  # turned into others, or paid out
VOID: Final = "VOID"  # asked for, and refused or undone

REQUESTED: Final = "REQUESTED"
CONFIRMED: Final = "CONFIRMED"
REJECTED: Final = "REJECTED"
WITHDRAWN: Final = "WITHDRAWN"
UNDONE: Final = "UNDONE"

ADDS_UP: Final = "ADDS_UP"
DOES_NOT: Final = "DOES_NOT"
WITHIN: Final = "WITHIN"
BEYOND: Final = "BEYOND"

Number = Annotated[int, Int(1)]
Numbers = Annotated[list[Number], Size(NOTES_MAX, 1)]
Amount = Annotated[bytes, Party(Money)]
Reference = Annotated[bytes, Party(Text(140))]
Reason = Annotated[bytes, Party(Text(500))]


class Note(Record):
    """A bank's debt of one amount to an owner. What becomes of it is public, the amount is not."""

    bank: OrganisationId
    owner: OrganisationId
    amount: Amount
    state: str
    made_at: Timestamp
    turn: int = 0  # it came of; 0: the bank issued it
    escrow: int = 0  # that holds it; stays while LOCKED
    fee: bool = False  # set aside for the escrow's fee
    counted: int = 0  # the UTC day, YYYYMMDD, on which it may pass: counted against the limits
    stopped_by: str = ""
    reason: Reason | None = None


class Output(Record):
    """A note that is asked for. ``counted``: against the owner's limits, so that it may be paid
    or put into escrow on the same UTC day; what goes to others at once is counted in any case."""

    owner: OrganisationId
    amount: Amount
    counted: bool = False


class TurnTerms(Record):
    """What happens in a turn besides dividing and joining; known to the parties alone."""

    exchanges: Annotated[list[Exchange], Size(8)]
    paid_out: Annotated[list[Money], Size(8)]  # redeemed: the bank pays it outside
    account: Annotated[str, Text(34, 0)] = ""  # where to
    reference: Annotated[str, Text(140, 0)] = ""


Terms = Annotated[bytes, Party(TurnTerms)]


class Limits(Record):
    """The most that may pass from an owner to others within a UTC day, in each currency that is
    listed, and nothing in others. What a bank pays out to the owner itself is not counted."""

    daily: Annotated[list[Money], Size(20)]


LimitsCommitment = Annotated[bytes, Party(Limits)]


class Limited(Record):
    """That an owner's notes have limits at a bank."""

    limits: LimitsCommitment


class Turn(Record):
    """A request that a bank turn notes into others. What it was judged by stays as it was."""

    bank: OrganisationId
    requester: OrganisationId
    state: str
    requested_at: Timestamp
    inputs: list[int]
    outputs: list[int]
    day: int  # YYYYMMDD, UTC
    passing: list[int]  # outputs that are counted against the requester's limits
    earlier: list[int]  # notes that were counted before on that day
    limits: LimitsCommitment | None = None
    within: bool = False  # the bank found it within them
    terms: Terms | None = None
    escrow: int = 0  # in which it divides a note
    disputed: bool = False  # somebody's verdict is not the bank's
    decided_at: Timestamp = 0


class Opinion(Record):
    """What an organisation's check of a turn found."""

    verdict: VerdictCode
    findings: Findings
    at: Timestamp


class Passed(Record):
    """Notes that were counted against an owner's limits on a day."""

    notes: list[int]
