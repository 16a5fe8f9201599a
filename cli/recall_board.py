"""A recall's dashboard for people: its pages added up, its figures as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from cli import output
from cli.trace import organisation_names

if TYPE_CHECKING:
    from cli.client import Answer, Client

_LOT: Final = ("product", "lot", "unit")
_FIGURES: Final = (
    "distributed", "recovered", "destroyed", "consumed", "outstanding", "located", "in_transit",
)  # fmt: skip
_HOLDER: Final = (
    "received", "received_held", "sent_on", "sent_back", "destroyed", "consumed", "left",
)  # fmt: skip
_DAY: Final = ("recovered", "destroyed", "consumed")


class Asked(Protocol):
    """What answers queries: a node, or a replayed chain."""

    def query(self, contract: str, method: str, args: dict[str, Any]) -> Answer: ...


def whole_board(client: Asked, number: int) -> dict[str, Any]:
    """All pages of a recall's dashboard, added up."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    against: dict[tuple[str, ...], dict[str, Any]] = {}
    at: list[int] | None = [0, 0]
    state = ""
    while at is not None:
        args = {"number": number, "holding": at[0], "start": at[1]}
        page = client.query("recall", "dashboard", args).value
        for row in page["rows"]:
            _add(rows.setdefault(_named(row), {}), row)
        for one in page["contradictions"]:
            _add(against.setdefault((*_named(one), one["holder"]), {}), one)
        at, state = page["next"], page["state"]
    return {
        "recall": number,
        "state": state,
        "rows": list(rows.values()),
        "contradictions": list(against.values()),
    }


def goods_at(client: Asked, number: int, holder: str) -> list[dict[str, Any]]:
    """What a holder has of a recall's goods, all pages."""
    found: list[dict[str, Any]] = []
    at: list[int] | None = [0, 0]
    while at is not None:
        args = {"number": number, "holder": holder, "holding": at[0], "start": at[1]}
        page = client.query("recall", "goods_at", args).value
        found += page["goods"]
        at = page["next"]
    return found


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, int):
            total[name] = total.get(name, 0) + value
        else:
            total[name] = value


def board_table(client: Client, board: dict[str, Any]) -> str:
    """By lot, and by product where it has more than one; by holder; by day; contradictions."""
    holders = {holder for row in board["rows"] for holder in row["holders"]}
    names = organisation_names(client, holders)
    lots, by_holder, by_day = [], [], []
    for rows in _products(board["rows"]):
        lots += [(*_named(row), *(row[name] for name in _FIGURES)) for row in rows]
        if len(rows) > 1:
            in_all = (sum(row[name] for row in rows) for name in _FIGURES)
            lots.append((rows[0]["product"], "in all", rows[0]["unit"], *in_all))
        for row in rows:
            of = _named(row)
            for holder, figures in sorted(row["holders"].items()):
                by_holder.append((*of, names[holder], *(figures[name] for name in _HOLDER)))
            for day, figures in sorted(row["days"].items()):
                when = f"{day[:4]}-{day[4:6]}-{day[6:]}"
                by_day.append((*of, when, *(figures[name] for name in _DAY)))
    parts = [
        output.table((*_LOT, *_words(_FIGURES)), lots),
        output.table((*_LOT, "holder", *_words(_HOLDER)), by_holder),
    ]
    if by_day:
        parts.append(output.table((*_LOT, "recorded (UTC day)", *_DAY), by_day))
    if board["contradictions"]:
        against = [
            (*_named(one), names[one["holder"]], one["found"], one["received"], one["left"])
            for one in board["contradictions"]
        ]
        headers = (*_LOT, "holder", "it says", "received", "left")
        parts.append("The ledger contradicts:\n" + output.table(headers, against))
    return "\n\n".join(parts)


def _products(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each product and unit together."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["product"], row["unit"]), []).append(row)
    return list(found.values())


def _named(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in _LOT)


def _words(names: tuple[str, ...]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def notices_table(
    client: Client,
    notices: list[dict[str, Any]],
    contradictions: Sequence[dict[str, Any]] = (),
) -> str:
    """Who was told when, what came of it, and what of that the ledger contradicts."""
    names = organisation_names(client, {one["holder"] for one in notices})
    against: dict[str, list[str]] = {}
    for one in contradictions:
        there = f"{one['left']} {one['unit']} left" if one["left"] else "received"
        against.setdefault(one["holder"], []).append(f"{one['product']} {one['lot']}: {there}")
    rows = []
    for one in notices:
        answered = output.when(one["acknowledged_at"]) if one["acknowledged"] else ""
        if 0 < one["acknowledged"] < one["revision"]:
            answered += f" (version {one['acknowledged']})"
        rows.append((
            one["holder"], names[one["holder"]], one["revision"], output.when(one["sent_at"]),
            one["urgent"], answered, one["found"], one["notified_accounts"], one["outcome"],
            *(["; ".join(against.get(one["holder"], []))] if against else []),
        ))  # fmt: skip
    headers = ("holder", "name", "version", "sent (UTC)", "urgent", "acknowledged (UTC)", "found",
               "told own accounts", "check")  # fmt: skip
    return output.table((*headers, *(["but by the ledger"] if against else [])), rows)


def all_notices(client: Asked, number: int) -> list[dict[str, Any]]:
    """The notices of a recall, all pages."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["holder"] if found else ""
        args = {"number": number, "after": after}
        page = client.query("recall", "notices_of", args).value
        if not page:
            return found
        found += page
