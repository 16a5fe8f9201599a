"""A small world of recalls: who takes part, and what they do."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.testkit import Testkit

GTIN: Final = "09521321000018"
LOT: Final = f"01/{GTIN}/10/A1"
OTHER_LOT: Final = f"01/{GTIN}/10/A2"
SYRUP_GTIN: Final = "09521321000025"
SYRUP: Final = f"01/{SYRUP_GTIN}/10/S1"
ANNOUNCEMENT: Final = {
    "product": "Lindocor 50 mg tablets, bottles of 100",
    "reason": "Dissolution below specification",
    "codes": "Lot A1",
    "size": "100 tablets of 50 mg",
    "kind": "DRUG",
}
STRATEGY: Final = {"depth": "RETAIL", "level": "A", "disposal": "RETURN"}
ROLES: Final = {
    "maker": "manufacturer",
    "blender": "manufacturer",
    "wholesaler": "wholesaler",
    "pharmacy": "dispenser",
    "carrier": "logistics_operator",
    "regulator": "regulator",
}


def some(item: str, amount: int | None = None, unit: str = "EA") -> dict[str, Any]:
    return {"item": item} | (
        {} if amount is None else {"quantity": {"amount": amount, "unit": unit}}
    )


def sscc(number: int) -> str:
    body = f"0952132100000{number:04d}"
    return f"00/{body}{gs1_check_digit(body)}"


def small_world() -> Testkit:
    """The maker has 100 of each of two lots; nothing has left it."""
    kit = Testkit.of(builtin=("identity", "batch", "recall"))
    for name, role in ROLES.items():
        kit.organisation(name, roles=(role,))
    items = [some(LOT, 100), some(OTHER_LOT, 100)]
    kit.as_("maker").call("batch", "commission", items=items, expiry="2027-12-31")
    return kit


def ship(kit: Testkit, item: str, amount: int | None, *way: str) -> None:
    """Ship and receive from one to the next."""
    for sender, receiver in pairwise(way):
        things = [some(item, amount)]
        kit.as_(sender).call("batch", "ship", items=things, consignee=kit.id(receiver))
        kit.as_(receiver).call("batch", "receive", items=things)


def initiate(kit: Testkit, *items: str, who: str = "maker", **more: Any) -> int:
    number: int = kit.as_(who).call(
        "recall",
        "initiate",
        announcement=ANNOUNCEMENT,
        items=[some(item) for item in items or (LOT,)],
        **more,
    )
    return number


def classify(kit: Testkit, number: int, recall_class: str = "II") -> None:
    args = {"number": number, "recall_class": recall_class}
    kit.as_("regulator").call("recall", "classify", **args)


def set_strategy(kit: Testkit, number: int, **more: Any) -> None:
    kit.as_("maker").call("recall", "set_strategy", number=number, **(STRATEGY | more))
    kit.advance()


def ongoing(kit: Testkit, *items: str) -> int:
    number = initiate(kit, *items)
    classify(kit, number)
    set_strategy(kit, number)
    return number


def quarantine(kit: Testkit, who: str, item: str, amount: int | None = None) -> None:
    kit.as_(who).call("batch", "quarantine", items=[some(item, amount)], cause="RECALLED")


def give_back(kit: Testkit, number: int, who: str, item: str, amount: int | None) -> None:
    """Set apart, send back, and taken in by the maker."""
    quarantine(kit, who, item, amount)
    kit.as_(who).call("recall", "return_goods", number=number, items=[some(item, amount)])
    kit.as_("maker").call("batch", "receive", items=[some(item, amount)])


def consent(kit: Testkit, number: int, holder: str, who: str = "maker") -> None:
    """That a holder destroys goods where they are, which the strategy wants back."""
    args = {"number": number, "holder": kit.id(holder), "grounds": "Too few to be sent back."}
    kit.as_(who).call("recall", "consent", **args)


def finish(kit: Testkit, number: int) -> None:
    """Checked, completed, terminated, and what is left is released."""
    for notice in kit.query("recall", "notices_of", number=number):
        check = {"holder": notice["holder"], "outcome": "EFFECTIVE", "method": "TELEPHONE"}
        kit.as_("maker").call("recall", "check_effectiveness", number=number, **check)
    kit.as_("maker").call("recall", "complete", number=number, explanation="Used up.")
    kit.as_("regulator").call("recall", "terminate", number=number)
    kit.as_("regulator").call("recall", "release", number=number, grounds="All was corrected.")
    kit.advance()


def recall_of(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("recall", "recall", number=number)["recall"]
    return found


def told(kit: Testkit, number: int) -> set[str]:
    """The names of who has a notice."""
    ids = {kit.id(name): name for name in ROLES}
    return {ids[one["holder"]] for one in kit.query("recall", "notices_of", number=number)}


def board(kit: Testkit, number: int, product: str = GTIN, lot: str = "") -> dict[str, Any]:
    """The dashboard's figures of a product, all pages and lots together; or of one lot."""
    total: dict[str, Any] = {}
    at: list[int] | None = [0, 0]
    while at is not None:
        page = kit.query("recall", "dashboard", number=number, holding=at[0], start=at[1])
        for row in page["rows"]:
            if row["product"] == product and lot in ("", row["lot"]):
                add_up(total, row)
        at = page["next"]
    return total


def add_up(total: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the figures, also of holders and days."""
    for name, value in more.items():
        if isinstance(value, dict):
            add_up(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value if isinstance(value, int) else value


def figures(row: dict[str, Any]) -> tuple[int, ...]:
    """Distributed, recovered, destroyed, consumed, outstanding."""
    names = ("distributed", "recovered", "destroyed", "consumed", "outstanding")
    return tuple(row[name] for name in names)
