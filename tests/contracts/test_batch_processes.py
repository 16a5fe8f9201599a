"""Transformations with yield and loss, splits and merges: nothing comes from nothing."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.primitives.crypto import public_key
from contracts.sdk.checks import gs1_check_digit
from tests.contracts.ledger import (
    CONSORTIUM,
    MAKER,
    PHARMACY,
    REGULATOR,
    WHOLESALER,
    Ledger,
    seed_of,
)
from tests.contracts.test_batch import CASE, GTIN, LOT, PALLET, SERIAL, amounts, move, names, some


def gtin(number: int) -> str:
    body = f"095213210{number:04d}"
    return body + str(gs1_check_digit(body))


POWDER, TABLETS, BOXES = gtin(101), gtin(102), gtin(103)
POWDER_LOT, TABLET_LOT = f"01/{POWDER}/10/P1", f"01/{TABLETS}/10/T1"
TWO_A_GRAM = {"input": {"amount": 1, "unit": "GRM"}, "output": {"amount": 2, "unit": "EA"}}


def quantity(amount: int, unit: str) -> dict[str, Any]:
    return {"amount": amount, "unit": unit}


def rate(of: int, of_unit: str, most: int, unit: str) -> dict[str, Any]:
    return {"input": quantity(of, of_unit), "output": quantity(most, unit)}


@pytest.fixture
def plant(ledger: Ledger) -> Ledger:
    """The maker has a kilogram of powder, and 100 of a lot with another 50 that expires first."""
    ledger.ok(MAKER, "commission", items=[some(POWDER_LOT, 1_000, "GRM")], expiry="2027-06-30")
    ledger.ok(MAKER, "commission", items=[some(LOT, 100)], expiry="2027-12-31")
    ledger.ok(MAKER, "commission", items=[some(f"01/{GTIN}/10/B1", 50)], expiry="2027-10-31")
    return ledger


# --- transform -------------------------------------------------------------------------------


def test_the_declared_yield_bounds_what_comes_out_and_names_the_loss(plant: Ledger) -> None:
    """1,000 g at two tablets a gram: 2,000 at most; what is missing is recorded as loss."""
    made: dict[str, Any] = {"inputs": [some(POWDER_LOT, 1_000, "GRM")], "yields": [TWO_A_GRAM]}
    too_much = [some(TABLET_LOT, 2_001)]
    plant.refused("NOT_CONSERVED", MAKER, "transform", outputs=too_much, **made)
    receipt = plant.ok(MAKER, "transform", outputs=[some(TABLET_LOT, 1_990)], **made)
    assert receipt.result == [{"losses": [quantity(10, "EA")]}]
    entry = plant.query("trace", item=POWDER_LOT)["events"][1]
    assert (entry["event"], entry["detail"]["losses"]) == ("Consumed", [quantity(10, "EA")])
    assert plant.query("item", item=POWDER_LOT)["record"]["gone"] == 1_000


def test_several_units_need_a_declared_yield_each(plant: Ledger) -> None:
    made: dict[str, Any] = {
        "inputs": [some(POWDER_LOT, 100, "GRM"), some(LOT, 10)],
        "outputs": [some(TABLET_LOT, 200), some(f"01/{BOXES}/10/W1", 30, "MLT")],
    }
    plant.refused("YIELD_REQUIRED", MAKER, "transform", **made)
    plant.refused("YIELD_REQUIRED", MAKER, "transform", **made, yields=[TWO_A_GRAM])
    whey = rate(2, "GRM", 1, "MLT")
    for wrong in ([TWO_A_GRAM, whey, whey], [TWO_A_GRAM, rate(1, "KGM", 1, "MLT")]):
        plant.refused("BAD_YIELD", MAKER, "transform", **made, yields=wrong)
    receipt = plant.ok(MAKER, "transform", **made, yields=[TWO_A_GRAM, whey])
    assert receipt.result == [{"losses": [quantity(0, "EA"), quantity(20, "MLT")]}]


def test_no_yield_makes_matter_or_multiplies_one_product(plant: Ledger) -> None:
    made = {"inputs": [some(POWDER_LOT, 100, "GRM")], "outputs": [some(TABLET_LOT, 101, "GRM")]}
    plant.refused("BAD_YIELD", MAKER, "transform", **made, yields=[rate(1, "GRM", 2, "GRM")])
    more = {"inputs": [some(LOT, 5)], "outputs": [some(f"01/{GTIN}/10/A9", 10)]}
    plant.refused("BAD_YIELD", MAKER, "transform", **more, yields=[rate(1, "EA", 2, "EA")])
    opened = {"inputs": [some(LOT, 5)], "outputs": [some(f"01/{BOXES}/10/A9", 50)]}
    plant.ok(MAKER, "transform", **opened, yields=[rate(1, "EA", 10, "EA")])


def test_a_stated_loss_must_be_the_loss(plant: Ledger) -> None:
    made: dict[str, Any] = {"inputs": [some(LOT, 50)], "outputs": [some(f"01/{GTIN}/10/M1", 48)]}
    for wrong in ([], [quantity(1, "EA")], [quantity(2, "EA"), quantity(1, "GRM")]):
        plant.refused("LOSS_DIFFERS", MAKER, "transform", **made, losses=wrong)
    plant.ok(MAKER, "transform", **made, losses=[quantity(2, "EA")])


def test_a_serial_counts_as_one_piece(plant: Ledger) -> None:
    plant.ok(MAKER, "commission", items=[some(SERIAL)])
    two = [some(f"01/{BOXES}/21/T1"), some(f"01/{BOXES}/21/T2")]
    made: dict[str, Any] = {"inputs": [some(SERIAL)], "outputs": two}
    plant.refused("NOT_CONSERVED", MAKER, "transform", **made)
    plant.ok(MAKER, "transform", **made, yields=[rate(1, "EA", 2, "EA")])


def test_logistic_units_are_neither_input_nor_output(plant: Ledger) -> None:
    plant.ok(MAKER, "commission", items=[some(PALLET)])
    for inputs, outputs in (
        ([some(PALLET)], [some(TABLET_LOT, 1)]),
        ([some(LOT, 1)], [some(CASE)]),
    ):
        made = {"inputs": inputs, "outputs": outputs}
        plant.refused("NOT_TRADE_ITEM", MAKER, "transform", **made)


def test_a_lot_and_its_serials_made_in_one_event_are_one_entry(plant: Ledger) -> None:
    """The lot's history tells of both, and its trace goes on with the serials."""
    lot, serial = f"01/{TABLETS}/10/T7", f"01/{TABLETS}/21/S7"
    plant.ok(MAKER, "commission", items=[some(lot, 10), some(serial)], lot="T7")
    made = plant.query("trace", item=lot)["events"]
    assert [(entry["event"], entry["item"]) for entry in made] == [
        ("Commissioned", lot),
        ("Commissioned", serial),
    ]
    assert made[0]["detail"] == {"expiry": 0, "amount": 10, "unit": "EA", "outputs": [serial]}


def test_only_the_owner_that_has_the_inputs_transforms_them(plant: Ledger) -> None:
    roles = {"id": WHOLESALER, "roles": ["manufacturer", "wholesaler"]}
    plant.ok(CONSORTIUM, "set_organisation_roles", "identity", **roles)
    key = public_key(seed_of(WHOLESALER))
    plant.ok(WHOLESALER, "grant_role", "identity", key=key, role="manufacturer")
    made = {"inputs": [some(LOT, 5)], "outputs": [some(f"01/{GTIN}/10/M1", 5)]}
    plant.ok(MAKER, "ship", items=[some(LOT, 10)], consignee=WHOLESALER, keep_ownership=True)
    plant.ok(WHOLESALER, "receive", items=[some(LOT)])
    plant.refused("TOO_LITTLE", WHOLESALER, "transform", **made)
    plant.ok(MAKER, "sell", items=[some(LOT, 5)], holder=WHOLESALER, buyer=WHOLESALER)
    plant.ok(WHOLESALER, "transform", **made)


# --- merge -----------------------------------------------------------------------------------


def test_a_merge_conserves_quantity_and_expires_with_the_first(plant: Ledger) -> None:
    parts = [some(LOT, 60), some(f"01/{GTIN}/10/B1", 40)]
    receipt = plant.ok(MAKER, "merge", items=parts, lot="M1")
    merged = f"01/{GTIN}/10/M1"
    assert receipt.result == [merged]
    record = plant.query("item", item=merged)["record"]
    assert (record["made"], record["expiry"], record["maker"]) == (100, 20271031, MAKER)
    assert record["parents"] == [LOT, f"01/{GTIN}/10/B1"]
    assert amounts(plant, LOT) == {MAKER: (40, 0)}
    assert plant.query("item", item=LOT)["record"]["gone"] == 60
    assert names(plant, LOT) == ["Commissioned", "Merged", "MergedInto"]
    plant.refused("ITEM_KNOWN", MAKER, "merge", items=[some(LOT, 1)], lot="M1")


def test_a_merged_lot_may_be_said_to_expire_earlier_and_never_later(plant: Ledger) -> None:
    parts = {"items": [some(LOT, 6), some(f"01/{GTIN}/10/B1", 4)], "lot": "M1"}
    plant.refused("EXPIRY_TOO_LATE", MAKER, "merge", **parts, expiry="2027-11-01")
    plant.ok(MAKER, "merge", **parts, expiry="2027-09-30")
    assert plant.query("item", item=f"01/{GTIN}/10/M1")["record"]["expiry"] == 20270930


def test_only_lots_of_one_trade_item_maker_and_unit_are_merged(plant: Ledger) -> None:
    for other in (some(POWDER_LOT, 1, "GRM"), some(f"00/{'0' * 18}")):
        parts = [some(LOT, 1), other]
        plant.refused("NOT_ONE_TRADE_ITEM", MAKER, "merge", items=parts, lot="M1")
    plant.refused("TOO_LITTLE", MAKER, "merge", items=[some(LOT, 60), some(LOT, 60)], lot="M1")
    twice = [some(LOT, 6), some(LOT, 6)]
    plant.refused("ITEM_TWICE", MAKER, "merge", items=twice, lot="M1")
    plant.ok(MAKER, "commission", items=[some(f"01/{GTIN}/10/G1", 5, "GRM")])
    parts = [some(LOT, 1), some(f"01/{GTIN}/10/G1", 1, "GRM")]
    plant.refused("LOT_DIFFERS", MAKER, "merge", items=parts, lot="M1")
    plant.refused("NOT_AUTHORISED", REGULATOR, "merge", items=[some(LOT, 1)], lot="M1")


def test_a_wholesaler_merges_what_it_owns(plant: Ledger) -> None:
    move(plant, LOT, 10, MAKER, WHOLESALER)
    move(plant, f"01/{GTIN}/10/B1", 10, MAKER, WHOLESALER)
    parts = [some(LOT, 10), some(f"01/{GTIN}/10/B1", 11)]
    plant.refused("TOO_LITTLE", WHOLESALER, "merge", items=parts, lot="M1")
    parts = [some(LOT, 10), some(f"01/{GTIN}/10/B1", 10)]
    plant.ok(WHOLESALER, "merge", items=parts, lot="M1")
    assert plant.query("item", item=f"01/{GTIN}/10/M1")["record"]["maker"] == MAKER


# --- events ----------------------------------------------------------------------------------


def test_rule_17_an_event_in_urn_and_in_digital_link_form_is_one(plant: Ledger) -> None:
    """The forms name one item, and the event's hash, which no form changes, is taken once."""
    first = {"item": "urn:epc:class:lgtin:9521321.000001.A1", "quantity": quantity(1, "EA")}
    second = {"item": "https://id.gs1.org/01/9521321000018/10/A1", "quantity": quantity(1, "EA")}
    event = {"hash": b"h" * 32}
    plant.ok(MAKER, "ship", items=[first], consignee=PHARMACY, event=event)
    again: dict[str, Any] = {"items": [second], "consignee": PHARMACY}
    plant.refused("DUPLICATE_EVENT", MAKER, "ship", **again, event=event)
    assert plant.query("item", item=LOT)["transit"][0]["amount"] == 1


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("(10)A1", "no (00) SSCC and no (01) GTIN"),
        ("(17)271231", "no (00) SSCC and no (01) GTIN"),
        ("(21)S1", "no (00) SSCC and no (01) GTIN"),
        ("01/09521321000019/10/A1", "wrong check digit"),
        ("00/095213210000000013", "wrong check digit"),
        ("https://id.gs1.org/01/09521321000018/21/S1/10/A1", "in this order"),
    ],
)
def test_rules_1_3_and_6_what_names_no_item_is_refused(
    plant: Ledger, item: str, reason: str
) -> None:
    assert reason in plant.refused("BAD_ARGUMENT", MAKER, "observe", items=[some(item)])


def test_rule_2_a_scanned_string_ends_its_lot_at_fnc1(plant: Ledger) -> None:
    plant.ok(MAKER, "observe", items=[some(f"01{GTIN}17271231" + "10A1\x1d" + "22V")])
    assert names(plant, LOT)[-1] == "Observed"
