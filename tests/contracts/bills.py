"""A chain with a carrier, its customers and a bank, and bills of lading: every contract is real."""

from __future__ import annotations

from typing import Any

from contracts.sdk.testkit import Testkit
from tests.contracts import shipments

TERMS = {
    "reference": "HLCU1234567",
    "shipper": "Basel Pharma AG",
    "consignee": "",
    "goods": ["400 drums of tablets"],
    "containers": [shipments.CONTAINER],
    "packages": 400,
    "gross_weight_g": 12_000_000,
    "loading": "NLRTM",
    "discharge": "SGSIN",
}


def small_world() -> Testkit:
    kit = shipments.small_world("vault", "compliance", "bill")
    kit.organisation("bank", roles=("bank", "bank_admin", "bank_officer"))
    kit.organisation("trader", roles=("wholesaler",))
    return kit


def hidden(kit: Testkit, value: Any) -> bytes:
    return kit.commit(value).commitment


def words(kit: Testkit, **more: Any) -> dict[str, Any]:
    """What a bill says, and the commitment to its document."""
    terms = hidden(kit, {**TERMS, **more})
    return {"terms": terms, "document": hidden(kit, bytes(32))}


def issued(kit: Testkit, to_order: bool = True, **more: Any) -> int:
    """The bill of a new shipment that is loaded."""
    shipment = shipments.loaded(kit)
    args: dict[str, Any] = {"shipment": shipment, "to_order": to_order, **words(kit), **more}
    number: int = kit.as_("carrier").call("bill", "issue", **args)
    return number


def call(kit: Testkit, who: str, method: str, number: int, **args: Any) -> Any:
    if method in ("transfer", "pledge", "surrender", "ask_for_paper", "decide", "consent"):
        args.setdefault("turn", bill(kit, number)["turn"])
    return kit.as_(who).call("bill", method, number=number, **args)


def refused(kit: Testkit, code: str, who: str, method: str, number: int, **args: Any) -> str:
    if method in ("transfer", "pledge", "surrender", "ask_for_paper", "decide", "consent"):
        args.setdefault("turn", bill(kit, number)["turn"])
    return kit.as_(who).refused(code, "bill", method, number=number, **args)


def bill(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("bill", "bill", number=number)["bill"]
    return found


def arrive(kit: Testkit) -> None:
    """The first shipment goes all the way."""
    for code, place in (
        ("DEPA", shipments.ORIGIN), ("ARRI", shipments.PORT), ("DEPA", shipments.PORT),
        ("ARRI", shipments.DESTINATION),
    ):  # fmt: skip
        shipments.move(kit, 1, code, place)
