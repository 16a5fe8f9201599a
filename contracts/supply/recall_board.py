"""What became of recalled goods, counted from what the batch contract has of them.

For each lot (single serials by the lot that they are of) and unit of measure, with F the recalling
firm and "others" everybody else::

    distributed = what left F + what others made of it - what they only gave other lot numbers
                  - what came back to F before the recall
    recovered   = what F took in while the hold stood on it
    destroyed   = destroyed or decommissioned by others
    consumed    = dispensed, or made into other products, by others
    outstanding = distributed - recovered - destroyed - consumed

What is outstanding is **located** at the holders who have it, or in transit. As nothing comes from
nothing in the batch contract, recovered + destroyed + consumed never exceed what was distributed.
Days are those on which it was recorded here, by the blocks' time (UTC): what was done on an earlier
day is not dated back.
"""

from __future__ import annotations

from typing import Any, Final

HAS_SOME: Final = "FOUND"  # what holders answer; all else says that none is left
NEVER_HAD: Final = "NEVER_RECEIVED"
LOT_AT: Final = len("01/09521321000018/10/")  # where a lot's path has its name
ENDED: Final = ("DISPENSED", "CONSUMED", "DESTROYED", "DECOMMISSIONED")


def is_lot(item: str) -> bool:
    return item[18:20] == "10"


def row_of(board: dict[str, Any], product: str, lot: str, unit: str) -> dict[str, Any]:
    """The figures of one lot in one unit of measure; begun with none."""
    key = f"{product} {lot} {unit}"
    if key not in board:
        board[key] = {
            "product": product,
            "lot": lot,
            "unit": unit,
            "distributed": 0,
            "recovered": 0,
            "destroyed": 0,
            "consumed": 0,
            "in_transit": 0,
            "destroyed_by_firm": 0,
            "holders": {},
            "days": {},
        }
    found: dict[str, Any] = board[key]
    return found


def of_holder(row: dict[str, Any], holder: str) -> dict[str, int]:
    """The figures of one holder; begun with none."""
    holders = row["holders"]
    if holder not in holders:
        holders[holder] = {
            "received": 0,
            "received_held": 0,  # of it, when it was held already
            "sent_on": 0,
            "sent_back": 0,  # to the recalling firm
            "destroyed": 0,
            "consumed": 0,
            "left": 0,
        }
    found: dict[str, int] = holders[holder]
    return found


def of_day(row: dict[str, Any], day: int) -> dict[str, int]:
    """The figures of one day; begun with none."""
    days, key = row["days"], str(day)
    if key not in days:
        days[key] = {"recovered": 0, "destroyed": 0, "consumed": 0}
    found: dict[str, int] = days[key]
    return found


def count_lot(row: dict[str, Any], account: dict[str, Any], firm: str, since: int) -> None:
    """Count what became of a lot, or of a serial that has flows of its own."""
    creator = account["creator"]
    if creator != firm:
        row["distributed"] += account["made"]
    if creator:
        of_holder(row, creator)["left"] += account["made"]
    for flow in account["flows"]:
        sender, receiver = flow["sender"], flow["receiver"]
        row["in_transit"] += max(0, flow["shipped"] - flow["received"])
        if sender:
            way = "sent_back" if receiver == firm else "sent_on"
            of_holder(row, sender)[way] += flow["shipped"]
            of_holder(row, sender)["left"] -= flow["shipped"]
        of_holder(row, receiver)["received"] += flow["received"]
        of_holder(row, receiver)["left"] += flow["received"]
        if sender == firm:
            row["distributed"] += flow["shipped"]
        if receiver == firm:
            row["distributed"] -= flow["received"]
    for use in account["uses"]:
        count_use(row, use, firm, since)


def count_use(row: dict[str, Any], use: dict[str, Any], firm: str, since: int) -> None:
    """Count what a holder made an end of, or took in held, on one day."""
    holder = of_holder(row, use["holder"])
    destroyed = use["destroyed"] + use["decommissioned"]
    consumed = use["dispensed"] + use["consumed"]
    holder["destroyed"] += destroyed
    holder["consumed"] += consumed
    holder["left"] -= destroyed + consumed + use["relotted"]
    if use["day"] >= since:
        holder["received_held"] += use["held_in"]
    if use["holder"] == firm:
        row["destroyed_by_firm"] += destroyed
        if use["day"] >= since and use["held_in"]:
            row["recovered"] += use["held_in"]
            row["distributed"] += use["held_in"]
            of_day(row, use["day"])["recovered"] += use["held_in"]
        return
    row["distributed"] -= use["relotted"]
    row["destroyed"] += destroyed
    row["consumed"] += consumed
    if destroyed or consumed:
        of_day(row, use["day"])["destroyed"] += destroyed
        of_day(row, use["day"])["consumed"] += consumed


def count_serial(row: dict[str, Any], account: dict[str, Any], firm: str) -> None:
    """Count what became of a serial that stands for itself: its lot is not recalled."""
    creator, holder, state = account["creator"], account["holder"], account["state"]
    if creator == firm and not account["went_out"]:
        return
    row["distributed"] += 1
    found = of_holder(row, holder)
    if state == "IN_TRANSIT":
        row["in_transit"] += 1
    elif holder == firm:
        row["recovered"] += 1
        found["left"] += 0 if state in ENDED else 1
    elif state in ("DESTROYED", "DECOMMISSIONED"):
        row["destroyed"] += 1
        found["destroyed"] += 1
    elif state in ENDED:
        row["consumed"] += 1
        found["consumed"] += 1
    else:
        found["left"] += 1


def goods_of(account: dict[str, Any], holder: str, firm: str, since: int) -> dict[str, Any] | None:
    """What one holder has, awaits and had of a thing that is recalled; None where it had nothing
    to do with it. A serial is named where the holder has it now."""
    item, creator = account["item"], account["creator"]
    if not is_lot(item):
        is_moving = account["state"] == "IN_TRANSIT"
        coming = 1 if is_moving and account["consignee"] == holder else 0
        left = 1 if account["holder"] == holder and not is_moving else 0
        if account["state"] in ENDED or not coming + left:
            return None
        return {"item": item, "unit": "EA", "had": left, "left": left, "coming": coming}
    row = row_of({}, "", "", account["unit"])
    count_lot(row, account, firm, since)
    coming = 0
    for flow in account["flows"]:
        if flow["receiver"] == holder:
            coming += max(0, flow["shipped"] - flow["received"])
    if holder not in row["holders"] and not coming:
        return None
    figures = of_holder(row, holder)
    had = figures["received"] + (account["made"] if creator == holder else 0)
    left = max(0, figures["left"])
    return {"item": item, "unit": account["unit"], "had": had, "left": left, "coming": coming}


def finished(row: dict[str, Any], firm: str) -> dict[str, Any]:
    """The row with what follows from the others, for people and programs to read."""
    accounted = row["recovered"] + row["destroyed"] + row["consumed"]
    row["outstanding"] = row["distributed"] - accounted
    located = 0
    for holder, figures in row["holders"].items():
        figures["left"] = max(0, figures["left"])
        if holder != firm:
            located += figures["left"]
    row["located"] = located
    return row


def contradicted(row: dict[str, Any], holder: str, found: str) -> dict[str, Any] | None:
    """What the ledger says against a holder's answer that it has none of a lot, or never had."""
    figures = row["holders"][holder]
    left, received = figures["left"], figures["received"]
    if found == HAS_SOME or not (left or (found == NEVER_HAD and received)):
        return None
    of = {"product": row["product"], "lot": row["lot"], "unit": row["unit"]}
    return of | {"holder": holder, "found": found, "received": received, "left": left}


def totals_of(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a row without its holders and days."""
    return {name: value for name, value in row.items() if name not in ("holders", "days")}


def tables(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows' holders and days as lists."""
    by_holder: list[dict[str, Any]] = []
    by_day: list[dict[str, Any]] = []
    for row in rows:
        of = {"product": row["product"], "lot": row["lot"], "unit": row["unit"]}
        for holder in sorted(row["holders"]):
            figures = dict(of)
            figures["holder"] = holder
            figures.update(row["holders"][holder])
            by_holder.append(figures)
        for day in sorted(row["days"]):
            figures = dict(of)
            figures["recorded_day"] = day
            figures.update(row["days"][day])
            by_day.append(figures)
    return by_holder, by_day
