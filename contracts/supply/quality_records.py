"""What the quality contract keeps, and what its calls take."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Choice,
    DocumentHash,
    Gtin,
    Int,
    Item,
    OrganisationId,
    Party,
    PublicKey,
    Record,
    Size,
    Text,
    Timestamp,
)

CHARACTERISTICS_MAX: Final = 50
ROUNDS_MAX: Final = 20  # how often one inspection's results are sent back
SHOWN_MAX: Final = 100  # entries that a query gives

REQUESTED: Final = "REQUESTED"
RECORDED: Final = "RECORDED"
REVIEWED: Final = "REVIEWED"
DECIDED: Final = "DECIDED"
DECLINED: Final = "DECLINED"
CANCELLED: Final = "CANCELLED"
OPEN: Final = (REQUESTED, RECORDED, REVIEWED)

ACCEPTED: Final = "ACCEPTED"
CONDITIONAL: Final = "CONDITIONAL"
REJECTED: Final = "REJECTED"

REVIEW: Final = "review"
APPROVAL: Final = "approval"
RESPONSIBILITY: Final = "responsibility"

Number = Annotated[int, Int(1)]
Note = Annotated[bytes, Party(Text(500))]
Reference = Annotated[bytes, Party(Text(50))]
Code = Annotated[
    str,
    Choice(
        "APPEARANCE", "ASSAY", "CLOSURE", "CUP_SCORE", "DEFECTS_CRITICAL", "DEFECTS_MAJOR",
        "DEFECTS_MINOR", "DENSITY", "DISINTEGRATION", "DISSOLUTION", "ENDOTOXINS",
        "FOREIGN_MATTER", "HARDNESS", "HUMIDITY", "IDENTITY", "IMPURITY", "LABEL", "LENGTH",
        "MICROBIAL_COUNT", "MOISTURE", "PARTICLES", "PH", "RESIDUE", "SCREEN_SIZE", "STERILITY",
        "TEMPERATURE", "UNIFORMITY", "VISCOSITY", "WATER", "WEIGHT", "OTHER",
    ),
]  # fmt: skip
UnitCode = Annotated[str, Text(3, 2, pattern="[A-Z0-9]+")]  # UN/ECE Recommendation 20
Ordinal = Annotated[int, Int(1, 99)]
Scale = Annotated[int, Int(0, 9)]
Repeat = Annotated[
    str,
    Choice("SAMPLING_ERROR", "LABORATORY_ERROR", "REWORKED", "SORTED", "DISPUTED", "RETEST_DATE"),
]
DeclineReason = Annotated[str, Choice("CAPACITY", "METHOD", "SAMPLE", "INDEPENDENCE", "OTHER")]
ReturnReason = Annotated[
    str, Choice("CALCULATION", "TRANSCRIPTION", "METHOD", "INSTRUMENT", "SAMPLE", "OTHER")
]
CertificateType = Annotated[str, Choice("1", "2", "3", "4", "14", "851", "852", "853", "856")]
Revocation = Annotated[
    str, Choice("SUPERSEDED", "LABORATORY_ERROR", "FRAUD", "PRODUCT_CHANGED", "WITHDRAWN")
]


class Characteristic(Record):
    """What is measured, and between which values it is good.

    Values and limits are whole numbers of ``unit`` with ``scale`` digits behind the decimal point:
    985 with scale 1 is 98.5. Between ``low`` and ``high`` a value is good; beyond these, but
    within the tolerated ones, conditionally so. What is good or not at all is 1 or 0, with low 1.
    """

    code: Code
    unit: UnitCode
    ordinal: Ordinal = 1  # which of several of one code: the second impurity, say
    scale: Scale = 0
    low: int | None = None
    high: int | None = None
    low_tolerated: int | None = None
    high_tolerated: int | None = None


class Plan(Record):
    """An inspection plan: it never changes, a new one takes its place."""

    author: OrganisationId
    gtin: Annotated[str, Text(14, 0)]  # empty: for things of any kind, logistic units too
    characteristics: list[Characteristic]
    defined_at: Timestamp
    retired: bool = False


class Measured(Record):
    """A result as the laboratory states it, in the plan's unit and scale."""

    code: Code
    value: int
    ordinal: Ordinal = 1


class Result(Record):
    """A result with its verdict. None is ever overwritten: rounds follow each other."""

    round: int
    code: Code
    ordinal: Ordinal
    value: int
    unit: UnitCode
    scale: Scale
    verdict: str


class Inspection(Record):
    """An inspection of a thing, from the request to the decision.

    ``holder`` is whose stock of a lot it is about; empty for the whole lot, which its maker or a
    regulator has inspected, and for single things. ``previous`` is the one that it repeats.
    """

    item: Item
    holder: Annotated[str, Text(20, 0)]
    requester: OrganisationId
    laboratory: OrganisationId
    plan: int
    is_binding: bool  # the plan is the maker's or a regulator's: acceptance lets goods go
    by_regulator: bool
    state: str
    requested_at: Timestamp
    previous: int = 0
    repeat: Annotated[str, Text(20, 0)] = ""
    round: int = 1
    verdict: str = ""
    decided_at: Timestamp = 0
    is_conceded: bool = False  # conditionally accepted goods may go after all
    is_withdrawn: bool = False  # its certificate was revoked
    note: Note | None = None


class Signature(Record):
    """That a person signed an inspection's record: who, when, and what it means (21 CFR 11.50).

    ``record`` is the hash of all that was signed, so the signature can't be moved to anything else
    (11.70). The printed name is the user's in contract identity.
    """

    record: DocumentHash
    round: int
    key: PublicKey
    organisation: OrganisationId
    user: Annotated[str, Text(32)]
    meaning: str
    time: Timestamp
    height: int


class Certificate(Record):
    """A document about an inspection, by its SHA-256. Dates are YYYYMMDD, both within."""

    inspection: int
    item: Item
    laboratory: OrganisationId
    document: DocumentHash
    type: CertificateType  # UN/EDIFACT 1001: 1 analysis, 2 conformity, 3 quality, ...
    number: Reference
    valid_from: int
    valid_until: int
    issued_at: Timestamp
    revoked_at: Timestamp = 0
    revocation: Annotated[str, Text(20, 0)] = ""
    revoked_by: Annotated[str, Text(20, 0)] = ""


Characteristics = Annotated[list[Characteristic], Size(CHARACTERISTICS_MAX, 1)]
Measurements = Annotated[list[Measured], Size(CHARACTERISTICS_MAX, 1)]
MaybeGtin = Gtin | None


def name_of(code: str, ordinal: int) -> str:
    """How a characteristic is called within its plan."""
    return code if ordinal == 1 else f"{code} {ordinal}"


def judged(one: Characteristic, value: int) -> str:
    """The verdict on a value."""
    low, high = one.low, one.high
    if (low is None or value >= low) and (high is None or value <= high):
        return ACCEPTED
    low = one.low_tolerated if one.low_tolerated is not None else low
    high = one.high_tolerated if one.high_tolerated is not None else high
    if (low is None or value >= low) and (high is None or value <= high):
        return CONDITIONAL
    return REJECTED


def worst(verdicts: list[str]) -> str:
    """The verdict on all: no better than that on any."""
    for verdict in (REJECTED, CONDITIONAL):
        if verdict in verdicts:
            return verdict
    return ACCEPTED
