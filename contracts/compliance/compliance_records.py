"""What the compliance contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.compliance.ownership import SHARES_MAX, PartyName, Share
from contracts.sdk import (
    Choice,
    Date,
    DocumentHash,
    Findings,
    Int,
    OrganisationId,
    Party,
    Record,
    Size,
    Text,
    Timestamp,
    VerdictCode,
)

LISTS_MAX: Final = 16
FILES_MAX: Final = 64  # institutions that keep a file on one party
REGULATORS_MAX: Final = 8  # who are told of one decision
SHOWN_MAX: Final = 100  # entries in a page of a query
BUSINESS_DAYS: Final = 10  # to follow up a hold (31 CFR 501.603(b)(1)(i))

PENDING: Final = "PENDING"
VERIFIED: Final = "VERIFIED"
REVIEW_DUE: Final = "REVIEW_DUE"
HELD: Final = "HELD"

CLEAR: Final = "CLEAR"
REVIEW: Final = "REVIEW"
BLOCK: Final = "BLOCK"

Position = Annotated[int, Int(0)]
ListName = Annotated[str, Text(32, pattern="[A-Z0-9][A-Z0-9_.-]*")]
Percent = Annotated[int, Int(0, 100)]
Points = Annotated[int, Int(-1_000, 1_000)]
Outcome = Annotated[str, Choice(VERIFIED, HELD)]
Dossier = Annotated[bytes, Party(Text(4_000))]
FollowUp = Annotated[bytes, Party(Text(2_000))]
Regulators = Annotated[list[OrganisationId], Size(REGULATORS_MAX)]


class Policy(Record):
    """What the consortium asks of its members."""

    verification_required: bool = False  # who was never verified does not deal
    rescreen_days: Annotated[int, Int(1, 365)] = 30  # after a newer list, calendar days


class SanctionsList(Record):
    """The edition of a list that is in force. Its text is public elsewhere."""

    name: ListName
    published: Date
    digest: DocumentHash
    revision: int  # of all lists together: the one that this edition made


class Citation(Record):
    """Which edition of a list was looked through."""

    name: ListName
    digest: DocumentHash


Citations = Annotated[list[Citation], Size(LISTS_MAX, 1)]


class Hit(Record):
    """A name of a list that is like the party's. ``cleared`` says why it is somebody else."""

    list_name: ListName
    entry: Annotated[str, Text(40)]  # the list's own number of the entry
    name: Annotated[str, Text(400)]
    score: Percent
    cleared: Annotated[str, Text(500, 0)] = ""


class Factor(Record):
    """A reason for or against a party, in points."""

    name: Annotated[str, Text(60)]
    points: Points


class Assessment(Record):
    """What a decision rests on. Known to the institution and to regulators, never to the party."""

    party: OrganisationId
    name: PartyName
    algorithm: Annotated[str, Text(200)]
    threshold: Percent  # of a hit's score
    lists: Citations
    hits: Annotated[list[Hit], Size(50)]
    shares: Annotated[list[Share], Size(SHARES_MAX)]  # who owns whom, as far as it matters
    listed_owners: Annotated[list[PartyName], Size(SHARES_MAX)]
    factors: Annotated[list[Factor], Size(32)]
    score: Annotated[int, Int()]  # the factors' sum
    decision: Annotated[str, Choice(CLEAR, REVIEW, BLOCK)]
    reason: Annotated[str, Text(2_000, 0)] = ""


AssessmentCommitment = Annotated[bytes, Party(Assessment)]


class File(Record):
    """An institution's file on a party. HELD stands for whatever keeps a party from dealing."""

    party: OrganisationId
    institution: OrganisationId
    standing: str
    since: Timestamp
    decisions: int = 0
    revision: int = 0  # of the lists that the newest decision rests on
    review_on: int = 0  # YYYYMMDD
    officer: str = ""  # the user who took the newest decision
    follow_up_due: Timestamp = 0  # of a hold, until it is followed up
    dossier: Dossier | None = None


class Decision(Record):
    """One decision; a later one does not replace it."""

    standing: str
    at: Timestamp
    key: bytes
    officer: str  # the user whose key it is
    lists: Citations
    assessment: AssessmentCommitment
    review_on: int
    regulators: list[str]


class Note(Record):
    """What was done about a hold: a report to the authority, or something asked of the party."""

    at: Timestamp
    key: bytes
    text: FollowUp


class Review(Record):
    """What a check of a decision's grounds said, by whom."""

    organisation: str
    officer: str
    at: Timestamp
    verdict: VerdictCode
    findings: Findings
