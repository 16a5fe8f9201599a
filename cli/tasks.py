"""`hansa tasks`: what awaits the own organisation and role, and what others owe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.errors import InputError
from contracts.sdk.dates import DAY_MS, date_of
from contracts.trade.calendar import SPAN_DAYS_MAX

if TYPE_CHECKING:
    from cli.client import Client

QUERY: Final = "tasks"
PAGES_MAX: Final = 100  # of one contract
CALENDAR: Final = "calendar"
MINE, COLLEAGUES, OTHERS = "mine", "colleagues", "others"


@click.command()
@click.option("--organisation", default=None, help="Whose tasks (default: those of --key).")
@click.option("--role", "roles", multiple=True,
              help="As somebody with this role (default: the roles of --key).")  # fmt: skip
@click.option("--contract", "only", multiple=True, help="Of these contracts alone.")
@key_option
@node_option
@json_option
def tasks(organisation: str | None, roles: tuple[str, ...], only: tuple[str, ...]) -> None:
    """List what awaits you, what awaits colleagues with other roles, and what others owe.

    Deadlines stand with the banking days that are left, by the calendar that the organisation which
    has to act keeps on the chain; Monday to Friday where it keeps none.

    \b
    Examples:
      hansa tasks
      hansa tasks --organisation 9521432000013 --role bank_officer
    """
    from cli.call import open_client

    with open_client() as client:
        me, own_roles = _who(client, organisation, roles)
        now_ms: int = client.node_status()["block_time_ms"]
        schema = client.contracts()
        has_calendars = "banking_days" in schema.get(CALENDAR, {"methods": ()})["methods"]
        rows = [
            {
                **row,
                "for": whose(row, me, own_roles),
                "left": left_of(client if has_calendars else None, row, now_ms),
            }
            for row in _gather(client, schema, me, only)
        ]
    rows.sort(key=lambda row: (row["due"] or 1 << 62, row["since"], row["contract"]))
    if current().json:
        output.print_json({"organisation": me, "roles": list(own_roles), "tasks": rows})
        return
    for kind, title in (
        (MINE, "yours"),
        (COLLEAGUES, "your organisation's, for other roles"),
        (OTHERS, "what others owe"),
    ):
        some = [row for row in rows if row["for"] == kind]
        headers = ["what", "contract", "call", "due", "banking days left"]
        cells = [_cells(row, kind) for row in some]
        if kind != MINE:
            headers = ["who" if kind == OTHERS else "role", *headers]
        click.echo(f"{title}\n{output.table(headers, cells) if cells else 'nothing'}\n")


def _cells(row: dict[str, Any], kind: str) -> list[Any]:
    args = " ".join(f"{name}={value}" for name, value in row["args"].items())
    due = output.when(row["due"]) if row["due"] else ""
    cells = [row["subject"], row["contract"], f"{row['method']} {args}".strip(), due, row["left"]]
    who = row["organisation"] if kind == OTHERS else ", ".join(row["roles"])
    return cells if kind == MINE else [who, *cells]


def whose(row: dict[str, Any], me: str, roles: Sequence[str]) -> str:
    """Whether a task is for whoever asks, for the same organisation, or for another one."""
    if row["organisation"] != me:
        return OTHERS
    return MINE if not row["roles"] or set(row["roles"]) & set(roles) else COLLEAGUES


def _who(
    client: Client, organisation: str | None, roles: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """Organisation and roles that are named; else those of the key."""
    from consensus.primitives.crypto import public_key

    if organisation is not None:
        return organisation, roles
    if current().key is None:
        raise InputError("KEY_MISSING", "say --organisation, or --key whose tasks are meant")
    key = public_key(current().signing_seed())
    found = client.query("identity", "caller", {"key": key}).value
    return found["organisation"], roles or tuple(found["roles"])


def _gather(
    client: Client, schema: dict[str, Any], me: str, only: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Every contract's tasks, page by page."""
    for contract, declared in schema.items():
        method = declared["methods"].get(QUERY)
        if method is None or method["kind"] != "query" or (only and contract not in only):
            continue
        after = 0
        for _ in range(PAGES_MAX):
            page = client.query(contract, QUERY, {"organisation": me, "after": after}).value
            for row in page["tasks"]:
                yield {"contract": contract, **row}
            after = page["next"]
            if not after:
                break


def left_of(client: Client | None, row: dict[str, Any], now_ms: int) -> int | str:
    """Banking days from tomorrow to the deadline's day; what is over says so.

    By the calendars of the client's chain. Without any, or for a deadline that is years away, by
    days of the week.
    """
    if not row["due"]:
        return ""
    if row["due"] < now_ms:
        return "overdue"
    start, end = now_ms // DAY_MS, row["due"] // DAY_MS
    if client is None or end - start > SPAN_DAYS_MAX:
        return weekdays(start, end)
    args = {"start": date_of(start * DAY_MS), "end": date_of(end * DAY_MS)}
    asked = client.query(CALENDAR, "banking_days", {"bank": row["organisation"], **args})
    days: int = asked.value
    return days


def weekdays(start: int, end: int) -> int:
    """Days from Monday to Friday after one day up to another, both counted since 1970."""
    weeks, rest = divmod(end - start, 7)
    # 1 January 1970 was a Thursday.
    return 5 * weeks + sum((start + day + 3) % 7 < 5 for day in range(1, rest + 1))
