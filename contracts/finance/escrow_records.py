"""What the escrow contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Choice,
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

NOTES_MAX: Final = 32  # that one escrow holds, as one call of contract claims takes them
SHOWN_MAX: Final = 100
LIVE_MAX: Final = 300  # escrows of one party and state that a list looks at
FEE_SILENCE_MS: Final = 5 * 86_400_000  # after which a claimed fee is due without a word
FEE_RETURN_MS: Final = 30 * 86_400_000  # after the end, to claim a fee in

PROPOSED: Final = "PROPOSED"
AGREED: Final = "AGREED"
FUNDED: Final = "FUNDED"
PARTIALLY_RELEASED: Final = "PARTIALLY_RELEASED"
RELEASED: Final = "RELEASED"
REFUNDED: Final = "REFUNDED"
DISPUTED: Final = "DISPUTED"
CANCELLED: Final = "CANCELLED"
LIVE: Final = (PROPOSED, AGREED, FUNDED, PARTIALLY_RELEASED, DISPUTED)

DELIVERY: Final = "DELIVERY"
CREDIT: Final = "CREDIT"
TIME: Final = "TIME"
WORD: Final = "WORD"

COVERED: Final = "COVERED"
SHORT: Final = "SHORT"
FEE_DUE: Final = "FEE_DUE"
FEE_TOO_HIGH: Final = "FEE_TOO_HIGH"

Number = Annotated[int, Int(1)]
Numbers = Annotated[list[Number], Size(NOTES_MAX, 1)]
Amount = Annotated[bytes, Party(Money)]
Reason = Annotated[bytes, Party(Text(500))]
Condition = Annotated[str, Choice("DELIVERY", "CREDIT", "TIME", "WORD")]


class EscrowTerms(Record):
    """What is to be deposited for the payee, and the agent's fee, known to the three alone."""

    deposits: Annotated[list[Money], Size(16, 1)]
    fees: Annotated[list[Money], Size(16)]
    text: Annotated[str, Text(1_000, 0)] = ""


Terms = Annotated[bytes, Party(EscrowTerms)]


class Escrow(Record):
    """Money that an agent watches over, for a payee, on a condition.

    ``condition`` is a reason to release that this chain can see: that the consignee of a shipment
    confirmed a clean delivery, that a presentation under a credit was honoured, that a time has
    come. Under WORD there is none but what holds under each: the depositor's approval.
    """

    depositor: OrganisationId
    payee: OrganisationId
    agent: OrganisationId
    condition: Condition
    state: str
    terms: Terms
    opened_at: Timestamp
    agreed: list[str]  # of payee and agent
    shipment: int = 0
    credit: int = 0
    presentation: int = 0
    release_at: Timestamp = 0  # TIME: when the payee gets what is held
    refund_at: Timestamp = 0  # when the depositor gets back what is not earned; not with TIME
    deadline: str = ""  # handle of release_at's or refund_at's timed call
    released: int = 0  # notes
    refunded: int = 0
    state_before: str = ""  # the dispute
    disputed_by: str = ""
    reason: Reason | None = None
    decision: Reason | None = None
    fee_claimed: list[int] | None = None  # notes
    fee_claimed_at: Timestamp = 0
    fee_deadline: str = ""
    ended_at: Timestamp = 0
    since: Timestamp = 0  # it has been waiting for what it waits for


class Move(Record):
    """What became of a note that was held."""

    fate: Annotated[str, Choice("RELEASED", "REFUNDED", "FEE")]
    to: OrganisationId
    at: Timestamp


class Opinion(Record):
    """What an organisation's check of the cover or of a fee found."""

    verdict: VerdictCode
    findings: Findings
    at: Timestamp
