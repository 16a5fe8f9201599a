"""What the recall contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Blob,
    Choice,
    Int,
    Item,
    OrganisationId,
    Party,
    Quantity,
    Record,
    Size,
    Text,
)

ITEMS_MAX: Final = 400  # things that one call names
LOTS_MAX: Final = 400  # lots that are named in words alone
WIDENINGS_MAX: Final = 20
SHOWN_MAX: Final = 100  # entries in a page of a query

DRAFT: Final = "DRAFT"
INITIATED: Final = "INITIATED"
CLASSIFIED: Final = "CLASSIFIED"
ONGOING: Final = "ONGOING"
COMPLETED: Final = "COMPLETED"
TERMINATED: Final = "TERMINATED"
RUNNING: Final = (INITIATED, CLASSIFIED, ONGOING)
STARTED: Final = (INITIATED, CLASSIFIED, ONGOING, COMPLETED)

UNCLASSIFIED: Final = "UNCLASSIFIED"
CLASS_I: Final = "I"
CLASS_II: Final = "II"
CLASS_III: Final = "III"
URGENT: Final = (CLASS_I, CLASS_II)

# Which part of the consignees is asked whether the recall reached them, percent (21 CFR
# 7.42(b)(3)). Level B is what the strategy says, above 10 and below 100.
LEVEL_PERCENT: Final = (("A", 100), ("C", 10), ("D", 2), ("E", 0))

Number = Annotated[int, Int(1)]
Position = Annotated[int, Int(0)]
RecallClass = Annotated[str, Choice(CLASS_I, CLASS_II, CLASS_III)]
Depth = Annotated[str, Choice("WHOLESALE", "RETAIL", "CONSUMER")]
Level = Annotated[str, Choice("A", "B", "C", "D", "E")]
TO_DESTROY: Final = "DESTROY"
Disposal = Annotated[str, Choice("RETURN", "DESTROY", "HOLD")]
ProductKind = Annotated[
    str, Choice("DRUG", "BIOLOGIC", "DEVICE", "FOOD", "VETERINARY", "COSMETIC", "TOBACCO", "OTHER")
]
Found = Annotated[str, Choice("FOUND", "NONE_LEFT", "NEVER_RECEIVED", "RETURNED", "DESTROYED")]
CheckMethod = Annotated[str, Choice("VISIT", "TELEPHONE", "LETTER", "ELECTRONIC")]
CheckOutcome = Annotated[str, Choice("EFFECTIVE", "NOT_REACHED", "NOT_ACTED")]
Grounds = Annotated[str, Text(4_000)]
DocumentCommitment = Annotated[bytes, Party(Blob(32, 32))]  # to a document's SHA-256
LotText = Annotated[str, Text(20, pattern="[!-~]+")]


class Goods(Record):
    """What a recall is of, or what is returned or destroyed: of a lot, how much."""

    item: Item
    quantity: Quantity | None = None


Items = Annotated[list[Goods], Size(ITEMS_MAX, 1)]
Scope = Annotated[list[Goods], Size(ITEMS_MAX)]
Lots = Annotated[list[LotText], Size(LOTS_MAX)]


class Announcement(Record):
    """What the law makes public of a recall (21 CFR 7.50), and the notice says (7.49(c))."""

    product: Annotated[str, Text(8_000)]  # name, brand, what it is
    reason: Annotated[str, Text(4_000)]
    codes: Annotated[str, Text(20_000, 0)] = ""  # lots, serials, dates, as the firm words them
    size: Annotated[str, Text(300, 0)] = ""  # strength, form, package
    amount: Annotated[str, Text(300, 0)] = ""  # how much was distributed, in words
    distribution: Annotated[str, Text(2_000, 0)] = ""  # where to
    firm: Annotated[str, Text(1_000, 0)] = ""  # where it is no organisation of this chain
    kind: ProductKind = "OTHER"


class Strategy(Record):
    """How far a recall goes, how it is checked, and what consignees do (21 CFR 7.42)."""

    depth: Depth
    level: Level
    percent: Annotated[int, Int(0, 100)]  # of the consignees who are checked
    disposal: Disposal


class Recall(Record):
    """A recall's procedure. Its class stands apart from its state. Times are block times, ms."""

    firm: OrganisationId  # the recalling firm, to which goods go back
    by: OrganisationId  # who drafted it: the firm, or a regulator
    state: str
    recall_class: str
    strategy: Strategy | None
    drafted_at: int
    holdings: list[Position]  # of the batch contract, in order
    initiated_at: int = 0
    initiated_on: int = 0  # YYYYMMDD
    completed_at: int = 0
    terminated_at: int = 0
    classifications: int = 0
    widenings: int = 0
    revision: int = 0  # of the notice: each class, strategy and widening makes a new one
    scope_revision: int = 1  # the first that names all that is recalled by now
    notices: int = 0
    acknowledged: int = 0  # holders who did so since scope_revision; the next two are so, too
    checked: int = 0  # holders who were checked
    effective: int = 0  # of these, whom the recall has reached
    returns: int = 0
    walking: bool = False  # whether holders are being looked for
    walk_holding: int = 0  # where that stands: which holding
    walk_position: int = 0  # which of its things
    walk_holder: str = ""  # the last of its holders who was looked at
    explanation: str = ""  # of the firm that completed it, why goods are outstanding
    released_at: int = 0  # when what was left became free; 0: it is held, after the end, too
    grounds: str = ""  # for that
    named: int = 0  # how many goods its scope has


class Widening(Record):
    """What a recall was extended to."""

    by: str
    at: int
    reason: str
    codes: str
    items: int
    lots: list[str]
    holding: int  # 0: nothing of it stands on this chain


class Classification(Record):
    """One classification; a later one does not replace it."""

    recall_class: str
    by: str
    at: int
    evaluation: DocumentCommitment | None  # to the health hazard evaluation (21 CFR 7.41)


class Notice(Record):
    """A notice to one holder, and what came of it."""

    holder: str
    revision: int  # the newest that was sent
    first_sent_at: int
    sent_at: int
    urgent: bool
    acknowledged: int = 0  # the revision that was acknowledged, 0: none
    acknowledged_at: int = 0
    found: str = ""
    notified_accounts: bool = False  # it told those it had sold on to
    checked: int = 0  # the revision that it had when it was checked, 0: never
    outcome: str = ""  # of the newest effectiveness check
    method: str = ""
    checked_by: str = ""
    checked_at: int = 0


class Return(Record):
    """Goods on their way back, or destroyed where they were."""

    holder: str
    kind: str  # RETURNED or DESTROYED
    items: list[Goods]
    at: int
    certificate: DocumentCommitment | None  # of the destruction
    consented_by: str = ""  # to the destruction, where the strategy wants something else


class Consent(Record):
    """That a holder may destroy recalled goods where they are; ``at`` is a block time, ms."""

    holder: str
    by: str  # the recalling firm, or a regulator
    at: int
    grounds: str
