"""What a printed report says in which order, and of what type each field is.

An answer has its fields by name, sorted, and moments and days as numbers. A document reads
otherwise: what is recalled first, then by whom and how, then who has how much of which lot. A field
that a layout does not know, of a later contract, is printed behind the others, as it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TEXT: Final = "text"
TIME: Final = "time"  # milliseconds since 1970
DAY: Final = "day"  # YYYYMMDD


@dataclass(frozen=True)
class Field:
    """A field of an answer, ``a.b`` for one within a map, its type and its heading."""

    path: str
    form: str = TEXT
    heading: str = ""

    @property
    def title(self) -> str:
        return self.heading or words(self.path.rpartition(".")[2])


def time(path: str, heading: str = "") -> Field:
    return Field(path, TIME, heading)


def day(path: str, heading: str = "") -> Field:
    return Field(path, DAY, heading)


def texts(*paths: str) -> tuple[Field, ...]:
    return tuple(Field(path) for path in paths)


@dataclass(frozen=True)
class Part:
    """A section: the map, list of maps or list of texts at ``path``, empty for the answer itself.

    ``sort`` names the fields by which a list's rows are put in order. ``parts`` are within each row
    of a list, which is then printed one row under the other.
    """

    path: str
    title: str
    fields: tuple[Field, ...] = ()
    sort: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


Layout = tuple[Part, ...]

_FIGURES: Final = (
    *texts("unit", "received", "received_held", "held_in", "sent_on", "sent_back", "destroyed"),
    *texts("consumed", "left"),
)
_TOTALS: Final = (
    *texts("product", "lot", "unit", "distributed", "recovered", "destroyed", "consumed"),
    *texts("outstanding", "located", "in_transit", "destroyed_by_firm"),
)

# As 21 CFR 7.49 and 7.53 have it: the product, the firm, the class, the depth, then how it went.
RECALL: Final[Layout] = (
    Part(
        "announcement",
        "What is recalled, and why",
        (
            *texts("product", "kind", "size", "amount", "codes", "reason", "distribution"),
            Field("firm", heading="Firm, in words"),
        ),
    ),
    Part(
        "recall",
        "Recall",
        (
            Field("firm", heading="Recalling firm"),
            Field("by", heading="Drafted by"),
            Field("state"),
            Field("recall_class", heading="Class"),
            *texts("strategy.depth", "strategy.level"),
            Field("strategy.percent", heading="Consignees to be checked, percent"),
            Field("strategy.disposal"),
            day("initiated_on"),
            time("drafted_at"),
            time("initiated_at"),
            time("completed_at"),
            Field("explanation", heading="Why goods are outstanding"),
            time("terminated_at"),
            time("released_at", "What was left became free"),
            Field("grounds", heading="Grounds for that"),
            Field("named", heading="Goods named"),
            Field("revision", heading="Revision of the notice"),
            Field("scope_revision", heading="Revision that names all that is recalled"),
            Field("notices", heading="Notices sent"),
            Field("acknowledged", heading="Notices acknowledged"),
            Field("checked", heading="Holders checked"),
            Field("effective", heading="Holders whom it reached"),
            *texts("returns", "classifications", "widenings"),
        ),
    ),
    Part(
        "classifications",
        "Classifications",
        (
            Field("recall_class", heading="Class"),
            Field("by"),
            time("at"),
            Field("evaluation", heading="Health hazard evaluation"),
        ),
    ),
    Part("scope", "Goods recalled", (Field("item"), Field("quantity"))),
    Part("lots", "Lots recalled that are named in words alone"),
    Part(
        "widenings",
        "Widenings",
        (time("at"), *texts("by", "reason", "codes", "items", "lots", "holding")),
    ),
    Part("totals", "What became of it", _TOTALS, ("product", "lot", "unit")),
    Part(
        "by_holder",
        "Lots by holder",
        (*texts("holder", "product", "lot"), *_FIGURES),
        ("holder", "product", "lot", "unit"),
    ),
    Part(
        "contradictions",
        "Answers that the ledger speaks against",
        texts("holder", "product", "lot", "unit", "found", "received", "left"),
        ("holder", "product", "lot"),
    ),
    Part(
        "by_day",
        "By day of recording",
        (
            day("recorded_day", "Day"),
            day("day"),
            *texts("product", "lot", "unit", "recovered", "destroyed", "consumed"),
        ),
        ("recorded_day", "day", "product", "lot"),
    ),
    Part(
        "",
        "Effectiveness",
        (Field("checks_wanted", heading="Holders whom checks are to find reached"),),
    ),
    Part(
        "notices",
        "Notices",
        (
            Field("holder"),
            Field("revision"),
            Field("urgent"),
            time("first_sent_at"),
            time("sent_at", "Newest sent at"),
            Field("acknowledged", heading="Acknowledged revision"),
            time("acknowledged_at"),
            Field("found", heading="Answer"),
            Field("notified_accounts", heading="Own accounts told"),
            Field("checked", heading="Checked revision"),
            Field("outcome", heading="Found by the check"),
            Field("method"),
            Field("checked_by"),
            time("checked_at"),
        ),
        ("holder",),
    ),
    Part("consents", "Consents to destruction", (time("at"), *texts("holder", "by", "grounds"))),
    Part(
        "returns",
        "Returned or destroyed",
        (time("at"), *texts("holder", "kind", "items", "certificate", "consented_by")),
    ),
)

# As the answer to a trading partner or an official reads: FD&C Act 581(26), 582(b)(1)(B) and (C).
DSCSA_REQUEST: Final[Layout] = (
    Part("", "Product identifier", texts("gtin", "ndc", "serial")),
    Part(
        "request",
        "Request",
        (
            *texts("item", "lot"),
            day("expiry"),
            *texts("requester", "asked", "purpose"),
            time("requested_at"),
            time("answer_by", "To be answered by"),
            time("answered_at"),
            Field("is_late", heading="Answered late"),
            Field("verification", heading="Verification as answered"),
            Field("transactions", heading="Transactions named"),
            Field("document", heading="SHA-256 of the answer as sent"),
            day("retain_until", "Kept at least until"),
        ),
    ),
    Part("verification", "Verification now", texts("status", "differs", "state")),
    Part("authorised", "As what the organisation asked is licensed"),
    Part(
        "transactions",
        "Transactions",
        (
            Field("number"),
            Field("record.kind"),
            day("record.day", "Date of the transaction"),
            day("record.shipment_day", "Date of shipment, if another"),
            *texts("record.seller", "record.buyer", "record.holder", "record.packages"),
            Field("record.statement", heading="Transaction statement asserts"),
            Field("record.stated_by", heading="Stated by key"),
            Field("record.exemption"),
            Field("record.information", heading="Transaction information"),
            time("record.time", "Recorded at"),
            Field("record.height", heading="Block"),
            Field("record.tx_id", heading="Ledger transaction"),
            time("record.voided_at", "Taken back at"),
            day("record.retain_until", "Kept at least until"),
        ),
        parts=(
            Part(
                "lines",
                "Packages",
                (
                    *texts("item", "lot"),
                    day("expiry"),
                    *texts("amount", "unit"),
                    Field("prior", heading="Bought in transaction"),
                    Field("transaction"),
                ),
            ),
        ),
    ),
    Part(
        "cases",
        "Suspect and illegitimate product",
        (
            Field("number"),
            *texts("record.reporter", "record.owner", "record.grounds", "record.state"),
            time("record.opened_at"),
            time("record.decided_at"),
            Field("record.decided_by"),
            Field("record.is_decided_late", heading="Decided late"),
            time("record.notified_at"),
            Field("record.regulator", heading="Regulator notified"),
            Field("record.is_notified_late", heading="Notified late"),
            time("record.ended_at"),
            *texts("record.ending", "record.note", "record.form"),
            day("record.retain_until", "Kept at least until"),
        ),
        parts=(
            Part(
                "items",
                "Things",
                texts("item", "amount", "unit", "holder", "is_inside", "was_apart"),
            ),
            Part(
                "notices",
                "Partners told",
                (Field("partner"), time("sent_at"), time("acknowledged_at"), Field("has_product")),
            ),
        ),
    ),
)

# How far a contract has come with work of its own, and what the document's head says.
INNER: Final = frozenset(
    ("walking", "walk_holding", "walk_position", "walk_holder", "holdings", "deadline")
)
HEAD: Final = frozenset(("number", "height", "time", "organisations", "complete"))


def words(name: str) -> str:
    """A field's name for people."""
    return name.replace("_", " ").capitalize()


def value_at(tree: Mapping[str, Any], path: str) -> Any:
    """What stands at ``a.b``; None where nothing does."""
    found: Any = tree
    for name in path.split(".") if path else ():
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def fields_of(part: Part, rows: Sequence[Mapping[str, Any]]) -> list[Field]:
    """The part's fields that any of the rows has, in its order, and then those it does not know."""
    known = [one for one in part.fields if any(_has(row, one.path) for row in rows)]
    within = {one.path for one in part.parts}
    paths = {one.path for one in part.fields} | within
    unknown = dict.fromkeys(
        path for row in rows for path in _paths(row, "", paths) if path not in paths
    )
    return known + [Field(path) for path in unknown if path.rpartition(".")[2] not in INNER]


def _has(row: Mapping[str, Any], path: str) -> bool:
    before, _, name = path.rpartition(".")
    inner = value_at(row, before)
    return isinstance(inner, Mapping) and name in inner


def _paths(tree: Mapping[str, Any], before: str, known: set[str]) -> Iterator[str]:
    """The paths of a row's fields; maps of which a layout knows fields are looked into."""
    for name, value in tree.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping) and any(one.startswith(f"{path}.") for one in known):
            yield from _paths(value, f"{path}.", known)
        else:
            yield path


def cell_text(value: Any, form: str = TEXT) -> str:
    """A value of the report's JSON in one cell."""
    if value is None or value in ("", []):
        return ""
    if form in (TIME, DAY) and str(value) == "0":
        return ""
    if form == TIME and type(value) is int:
        moment = datetime.datetime.fromtimestamp(value // 1000, datetime.UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if form == DAY and len(str(value)) == 8:
        text = str(value)
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if set(value) == {"hex"}:
            return str(value["hex"])
        if set(value) == {"amount", "unit"}:
            return f"{value['amount']} {value['unit']}"
        said = {name: cell_text(one) for name, one in value.items()}
        return "; ".join(f"{words(name)}: {text}" for name, text in said.items() if text)
    if isinstance(value, list):
        return ", ".join(cell_text(one) for one in value)
    return str(value)
