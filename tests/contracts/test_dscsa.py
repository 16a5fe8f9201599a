"""Medicines traded by the DSCSA (DOMAIN rules 18 to 22), rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk.commitments import Party, opens
from contracts.sdk.dates import checked_date
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import field_of
from contracts.sdk.records import Record
from contracts.sdk.testkit import Refused, Testkit, organisation_id
from contracts.supply.dscsa_records import (
    ASSERTIONS,
    TransactionInformation,
    years_later,
)
from tests.contracts.shipments import some, sscc

GTIN = "00361414567894"  # 03 + NDC 6141-4567-89
LOT = f"01/{GTIN}/10/A1"
SERIAL, OTHER = f"01/{GTIN}/21/S1", f"01/{GTIN}/21/S2"
PALLET = sscc(1)
EXPIRY = "2027-12-31"
STATEMENT = list(ASSERTIONS)
LICENSED = (
    ("maker", "MANUFACTURER", "US"), ("wholesaler", "WHOLESALER", "US-NJ"),
    ("pharmacy", "DISPENSER", "US-NY"), ("carrier", "LOGISTICS", "US"),
)  # fmt: skip
INFORMATION: dict[str, Any] = {
    "products": [
        {
            "name": "Xanomelin",
            "strength": "20 mg/1",
            "dosage_form": "TABLET",
            "ndc": "6141-4567-89",
            "container_size": "30 tablets",
            "containers": 1,
            "lots": ["A1"],
        }
    ],
    "transaction_date": 20260528,
    "seller": {"name": "Hanse Pharma Inc.", "address": "1 Harbor Road, Newark NJ"},
    "buyer": {"name": "Kontor Wholesale", "address": "2 Canal Street, New York NY"},
    "shipment_date": None,
}


def unlicensed_world() -> Testkit:
    """A maker with 100 of a lot and two serials of it, where ownership passes by DSCSA alone."""
    kit = Testkit.of(builtin=("identity", "batch", "dscsa"))
    kit.organisation("maker", roles=("manufacturer",))
    kit.organisation("wholesaler", roles=("wholesaler",))
    kit.organisation("pharmacy", roles=("dispenser",))
    kit.organisation("carrier", roles=("logistics_operator",))
    kit.organisation("fda", roles=("regulator",))
    maker = kit.as_("maker")
    maker.call("batch", "commission", items=[some(LOT, 100)], expiry=EXPIRY)
    maker.call("batch", "commission", items=[some(SERIAL), some(OTHER)], lot="A1", expiry=EXPIRY)
    kit.as_("consortium").call("batch", "set_policy", dscsa=True)
    return kit


def small_world() -> Testkit:
    kit = unlicensed_world()
    for name, kind, authority in LICENSED:
        license_(kit, name, kind, authority)
    return kit


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def license_(
    kit: Testkit, name: str, kind: str, authority: str,
    first: str = "2026-01-01", last: str = "2027-12-31",
) -> int:  # fmt: skip
    number: int = kit.as_("fda").call(
        "dscsa", "grant_licence", organisation=kit.id(name), kind=kind, authority=authority,
        reference=kit.commit("LIC-4711").commitment, valid_from=first, valid_until=last,
    )  # fmt: skip
    return number


def ti(kit: Testkit) -> dict[str, Any]:
    return {"information": kit.commit(INFORMATION).commitment, "statement": STATEMENT}


def ship(
    kit: Testkit, *items: dict[str, Any], sender: str = "maker", to: str = "wholesaler"
) -> int:
    """Sold and received: the transaction's number."""
    given = {"items": list(items) or [some(SERIAL)], "buyer": kit.id(to)}
    number: int = kit.as_(sender).call("dscsa", "ship", **given, **ti(kit))
    kit.as_(to).call("batch", "receive", items=given["items"])
    return number


def refused(kit: Testkit, code: str, sender: str = "maker", to: str = "wholesaler") -> str:
    given = {"items": [some(LOT, 1)], "buyer": kit.id(to), **ti(kit)}
    return kit.as_(sender).refused(code, "dscsa", "ship", **given)


def sale(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("dscsa", "transaction", transaction=number)
    return found


def owner(kit: Testkit, item: str) -> str:
    found: str = kit.query("batch", "item", item=item)["owner"]
    return found


# --- rule 18: transaction information -----------------------------------------------------------


def test_rule_18_transaction_information_has_every_element_of_the_law() -> None:
    field = field_of(TransactionInformation)
    field.check(INFORMATION)
    for element in ("products", "transaction_date", "seller", "buyer"):
        with pytest.raises(BadValue, match=element):
            field.check({key: one for key, one in INFORMATION.items() if key != element})
    product = INFORMATION["products"][0]
    for element in product:
        less = {key: one for key, one in product.items() if key != element}
        with pytest.raises(BadValue, match=element):
            field.check({**INFORMATION, "products": [less]})
    for party in ("seller", "buyer"):
        for element in ("name", "address"):
            less = {key: one for key, one in INFORMATION[party].items() if key != element}
            with pytest.raises(BadValue, match=element):
                field.check({**INFORMATION, party: less})


@pytest.mark.parametrize("ndc", ["6141-4567-8", "61414-567-89", "61414-5678-9", "6141-456-78"])
def test_rule_18_an_ndc_has_three_segments(ndc: str) -> None:
    field = field_of(TransactionInformation)
    product = {**INFORMATION["products"][0], "ndc": ndc}
    field.check({**INFORMATION, "products": [product]})
    for wrong in (ndc.replace("-", ""), ndc + "0-0", "0" + ndc[1:] + "-"):
        with pytest.raises(BadValue):
            field.check({**INFORMATION, "products": [{**product, "ndc": wrong}]})


def test_rule_18_identifiers_are_public_and_names_and_addresses_are_not(kit: Testkit) -> None:
    made = kit.commit(INFORMATION)
    given = {"items": [some(SERIAL)], "buyer": kit.id("wholesaler"), "statement": STATEMENT}
    number = kit.as_("maker").call("dscsa", "ship", information=made.commitment, **given)
    found = sale(kit, number)
    record, (line,) = found["record"], found["lines"]
    assert (record["seller"], record["buyer"]) == (kit.id("maker"), kit.id("wholesaler"))
    assert (record["day"], record["shipment_day"]) == (20260528, 0)
    assert (line["item"], line["lot"], line["expiry"]) == (SERIAL, "A1", 20271231)
    assert opens(record["information"], made.salt, INFORMATION)
    for clear in ("Xanomelin", "Harbor Road", "Kontor Wholesale", "20 mg/1", "LIC-4711"):
        assert not kit.discloses(clear)


def test_rule_18_a_later_shipment_has_its_date(kit: Testkit) -> None:
    where = {"items": [some(LOT, 5)], "holder": kit.id("maker"), "buyer": kit.id("wholesaler")}
    maker = kit.as_("maker")
    early = {**where, **ti(kit), "shipment_date": "2026-05-27"}
    maker.refused("BAD_PERIOD", "dscsa", "transfer", **early)
    number = maker.call("dscsa", "transfer", **{**early, "shipment_date": "2026-06-02"})
    record = sale(kit, number)["record"]
    assert (record["day"], record["shipment_day"]) == (20260528, 20260602)
    assert record["retain_until"] == 20320602


def test_rule_18_what_is_no_commitment_is_refused(kit: Testkit) -> None:
    given = {"items": [some(LOT, 5)], "buyer": kit.id("wholesaler"), "statement": STATEMENT}
    assert isinstance(field_of(TransactionInformation).example(), (dict, Record))
    for clear in (INFORMATION, b"", b"Xanomelin"):
        kit.as_("maker").refused("BAD_ARGUMENT", "dscsa", "ship", information=clear, **given)
    assert Party(TransactionInformation).visibility == "party"


# --- rule 19: package level ---------------------------------------------------------------------


def test_rule_19_package_level_wants_gtin_serial_lot_and_expiry(kit: Testkit) -> None:
    kit.as_("maker").refused("NOT_AUTHORISED", "dscsa", "set_package_level", required=True)
    kit.as_("fda").call("dscsa", "set_package_level", required=True)
    assert LOT in refused(kit, "IDENTIFIER_INCOMPLETE")
    nameless = f"01/{GTIN}/21/S9"
    kit.as_("maker").call("batch", "commission", items=[some(nameless)])
    given = {"items": [some(nameless)], "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").refused("IDENTIFIER_INCOMPLETE", "dscsa", "ship", **given)
    ship(kit, some(SERIAL))


def test_rule_19_packages_in_a_pallet_are_named_one_by_one(kit: Testkit) -> None:
    maker = kit.as_("maker")
    maker.call("batch", "pack", parent=sscc(2), items=[some(SERIAL), some(OTHER)])
    maker.call("batch", "pack", parent=PALLET, items=[some(sscc(2)), some(LOT, 7)])
    lines = sale(kit, ship(kit, some(PALLET)))["lines"]
    assert sorted((one["item"], one["amount"]) for one in lines) == [
        (LOT, 7), (SERIAL, 1), (OTHER, 1),
    ]  # fmt: skip
    assert owner(kit, PALLET) == kit.id("wholesaler")


def test_rule_19_the_trace_goes_from_owner_to_owner_by_requests(kit: Testkit) -> None:
    first = ship(kit)
    second = ship(kit, sender="wholesaler", to="pharmacy")
    assert [sale(kit, number)["lines"][0]["prior"] for number in (first, second)] == [0, first]
    number = ask(kit, "wholesaler")
    assert kit.as_("wholesaler").call("dscsa", "respond", request=number) == [first, second]
    number = ask(kit, "maker")
    assert kit.as_("maker").call("dscsa", "respond", request=number) == [first]


def test_an_empty_pallet_is_no_sale(kit: Testkit) -> None:
    kit.as_("maker").call("batch", "commission", items=[some(PALLET)])
    given = {"items": [some(PALLET)], "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").refused("NO_PACKAGES", "dscsa", "ship", **given)


# --- rule 20: transaction statement -------------------------------------------------------------


@pytest.mark.parametrize("missing", ASSERTIONS)
def test_rule_20_the_statement_makes_all_seven_assertions(kit: Testkit, missing: str) -> None:
    less = [one for one in ASSERTIONS if one != missing]
    given = {"items": [some(LOT, 1)], "buyer": kit.id("wholesaler"), **ti(kit), "statement": less}
    assert missing in kit.as_("maker").refused("STATEMENT_INCOMPLETE", "dscsa", "ship", **given)


def test_rule_20_the_statement_is_kept_in_the_law_s_order_with_who_made_it(kit: Testkit) -> None:
    given = {"items": [some(LOT, 1)], "buyer": kit.id("wholesaler"), **ti(kit)}
    given["statement"] = STATEMENT[::-1]
    number = kit.as_("maker").call("dscsa", "ship", **given)
    record = sale(kit, number)["record"]
    assert record["statement"] == STATEMENT
    assert record["stated_by"] == kit.public_key("maker")


# --- rule 21: authorised trading partners -------------------------------------------------------


def test_rule_21_both_parties_are_authorised() -> None:
    kit = unlicensed_world()
    assert kit.id("maker") in refused(kit, "NOT_AUTHORISED_PARTNER")
    license_(kit, "maker", "MANUFACTURER", "US")
    assert kit.id("wholesaler") in refused(kit, "NOT_AUTHORISED_PARTNER")
    license_(kit, "wholesaler", "WHOLESALER", "US-NJ")
    ship(kit, some(LOT, 1))


@pytest.mark.parametrize(("days", "may"), [(-1, False), (0, True), (2, True), (3, False)])
def test_rule_21_it_is_the_block_s_date_that_counts(days: int, may: bool) -> None:
    kit = unlicensed_world()
    license_(kit, "maker", "MANUFACTURER", "US")
    kit.advance(days=3)  # it is 31 May
    first, last = 31 - days, 33 - days
    license_(
        kit, "wholesaler", "WHOLESALER", "US",
        *(f"2026-{5 + (day - 1) // 31:02d}-{(day - 1) % 31 + 1:02d}" for day in (first, last)),
    )  # fmt: skip
    if may:
        ship(kit, some(LOT, 1))
    else:
        refused(kit, "NOT_AUTHORISED_PARTNER")
    found = kit.query("dscsa", "authorised", organisation=kit.id("wholesaler"))
    assert (found["authorised"], found["day"]) == (may, 20260531)


def test_rule_21_a_suspended_licence_counts_again_and_a_revoked_one_never() -> None:
    kit = unlicensed_world()
    license_(kit, "maker", "MANUFACTURER", "US")
    number = license_(kit, "wholesaler", "WHOLESALER", "US-NJ")
    licence = {"organisation": kit.id("wholesaler"), "licence": number, "reason": "INVESTIGATION"}
    consortium, fda = kit.as_("consortium"), kit.as_("fda")
    consortium.call("dscsa", "suspend_licence", **licence)
    consortium.refused("WRONG_STATE", "dscsa", "suspend_licence", **licence)
    refused(kit, "NOT_AUTHORISED_PARTNER")
    fda.call("dscsa", "reinstate_licence", **licence)
    fda.refused("WRONG_STATE", "dscsa", "reinstate_licence", **licence)
    ship(kit, some(LOT, 1))
    consortium.refused("NOT_AUTHORISED", "dscsa", "revoke_licence", **licence)
    fda.call("dscsa", "revoke_licence", **licence)
    for method in ("suspend_licence", "reinstate_licence", "revoke_licence"):
        fda.refused("WRONG_STATE", "dscsa", method, **licence)
    refused(kit, "NOT_AUTHORISED_PARTNER")
    (found,) = kit.query("dscsa", "licences_of", organisation=kit.id("wholesaler"))
    assert [one["state"] for one in found["changes"]] == [
        "ACTIVE", "SUSPENDED", "ACTIVE", "REVOKED",
    ]  # fmt: skip


def test_rule_21_a_second_licence_outlives_the_first() -> None:
    kit = unlicensed_world()
    license_(kit, "maker", "MANUFACTURER", "US")
    number = license_(kit, "wholesaler", "WHOLESALER", "US-NJ")
    license_(kit, "wholesaler", "WHOLESALER", "US-NY")
    given = {"organisation": kit.id("wholesaler"), "licence": number, "reason": "LAPSED"}
    kit.as_("fda").call("dscsa", "revoke_licence", **given)
    ship(kit, some(LOT, 1))


def test_rule_21_an_expired_licence_is_renewed(kit: Testkit) -> None:
    kit.advance(days=600)
    refused(kit, "NOT_AUTHORISED_PARTNER")
    for name, *_ in LICENSED[:2]:
        (found,) = kit.query("dscsa", "licences_of", organisation=kit.id(name))
        licence = {"organisation": kit.id(name), "licence": found["licence"]["number"]}
        fda = kit.as_("fda")
        fda.refused("BAD_PERIOD", "dscsa", "renew_licence", valid_until="2025-12-31", **licence)
        fda.call("dscsa", "renew_licence", valid_until="2029-12-31", **licence)
    refused(kit, "EXPIRED")  # now only the medicine


def test_rule_21_a_logistics_provider_owns_nothing(kit: Testkit) -> None:
    assert kit.id("carrier") in refused(kit, "NOT_AUTHORISED_PARTNER", to="carrier")
    found = kit.query("dscsa", "authorised", organisation=kit.id("carrier"))
    assert (found["authorised"], found["may_own"]) == (True, False)
    given = {"items": [some(LOT, 5)], "consignee": kit.id("carrier"), "keep_ownership": True}
    kit.as_("maker").call("batch", "ship", **given)
    kit.as_("carrier").call("batch", "receive", items=[some(LOT, 5)])
    where = {"holder": kit.id("carrier"), "buyer": kit.id("pharmacy"), **ti(kit)}
    kit.as_("maker").call("dscsa", "transfer", items=[some(LOT, 5)], **where)


@pytest.mark.parametrize(
    ("kind", "authority"),
    [("MANUFACTURER", "US-NJ"), ("REPACKAGER", "US-NJ"), ("DISPENSER", "US")],
)
def test_rule_21_each_kind_has_its_authority(kind: str, authority: str) -> None:
    kit = unlicensed_world()
    with pytest.raises(Refused, match="WRONG_AUTHORITY"):
        license_(kit, "maker", kind, authority)


def test_rule_21_nobody_licenses_itself(kit: Testkit) -> None:
    given = {
        "kind": "WHOLESALER", "authority": "US", "reference": bytes(32),
        "valid_from": "2026-01-01", "valid_until": "2027-01-01",
    }  # fmt: skip
    for who, whom, code in (
        ("wholesaler", kit.id("wholesaler"), "NOT_AUTHORISED"),
        ("fda", kit.id("fda"), "OWN_ORGANISATION"),
        ("fda", organisation_id(99), "UNKNOWN_ORGANISATION"),
    ):
        kit.as_(who).refused(code, "dscsa", "grant_licence", organisation=whom, **given)
    ends = {**given, "organisation": kit.id("maker"), "valid_until": "2025-12-31"}
    kit.as_("fda").refused("BAD_PERIOD", "dscsa", "grant_licence", **ends)


def test_rule_21_a_suspended_organisation_is_no_partner(kit: Testkit) -> None:
    status = {"id": kit.id("wholesaler"), "status": "SUSPENDED"}
    kit.as_("fda").call("identity", "set_organisation_status", **status)
    refused(kit, "NOT_AUTHORISED_PARTNER")


def test_rule_21_a_licence_lost_on_the_way_keeps_ownership_with_the_seller(kit: Testkit) -> None:
    items = [some(SERIAL), some(LOT, 5)]
    given = {"items": items, "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").call("dscsa", "ship", **given)
    (found,) = kit.query("dscsa", "licences_of", organisation=kit.id("wholesaler"))
    licence = {"organisation": kit.id("wholesaler"), "licence": found["licence"]["number"]}
    reason = {"reason": "NON_COMPLIANCE"}
    kit.as_("fda").call("dscsa", "suspend_licence", **licence, **reason)
    kit.as_("wholesaler").call("batch", "receive", items=items)  # the goods are there
    assert owner(kit, SERIAL) == kit.id("maker")
    (stock,) = [
        one for one in kit.query("batch", "item", item=LOT)["stock"]
        if one["holder"] == kit.id("wholesaler")
    ]  # fmt: skip
    assert (stock["owner"], stock["free"]) == (kit.id("maker"), 5)
    kit.as_("fda").call("dscsa", "reinstate_licence", **licence, **reason)
    where = {"items": items, "holder": kit.id("wholesaler"), "buyer": kit.id("wholesaler")}
    kit.as_("maker").call("dscsa", "transfer", **where, **ti(kit))
    assert owner(kit, SERIAL) == kit.id("wholesaler")
    kit.replay()


# --- ownership passes in no other way -----------------------------------------------------------


def test_under_the_dscsa_ownership_passes_with_information_alone(kit: Testkit) -> None:
    items = [some(LOT, 1)]
    maker, to = kit.as_("maker"), kit.id("wholesaler")
    maker.refused("TI_REQUIRED", "batch", "ship", items=items, consignee=to)
    where = {"items": items, "holder": kit.id("maker"), "buyer": to}
    maker.refused("TI_REQUIRED", "batch", "sell", **where)
    maker.call("batch", "ship", items=items, consignee=to, keep_ownership=True)
    kit.as_("consortium").call("batch", "set_policy", dscsa=False)
    maker.call("batch", "ship", items=items, consignee=to)


def test_what_is_no_transaction_says_why(kit: Testkit) -> None:
    ship(kit)
    back = {"items": [some(SERIAL)], "consignee": kit.id("maker")}
    number = kit.as_("wholesaler").call(
        "dscsa", "ship_exempt", exemption="NONSALEABLE_RETURN", **back
    )
    kit.as_("maker").call("batch", "receive", items=[some(SERIAL)])
    record = sale(kit, number)["record"]
    assert (record["kind"], record["information"], record["statement"]) == ("EXEMPT", None, [])
    assert record["exemption"] == "NONSALEABLE_RETURN"


def test_a_shipment_is_void_until_it_is_received(kit: Testkit) -> None:
    items = [some(SERIAL), some(LOT, 5)]
    given = {"items": items, "buyer": kit.id("wholesaler"), **ti(kit)}
    maker = kit.as_("maker")
    number = maker.call("dscsa", "ship", **given)
    void = {"transaction": number, "items": items}
    kit.as_("wholesaler").refused("NOT_AUTHORISED", "dscsa", "void", **void)
    maker.refused("ITEMS_DIFFER", "dscsa", "void", **{**void, "items": items[:1]})
    maker.refused("ITEMS_DIFFER", "dscsa", "void", **{**void, "items": [*items, some(OTHER)]})
    maker.call("dscsa", "void", **void)
    maker.refused("WRONG_STATE", "dscsa", "void", **void)
    assert sale(kit, number)["record"]["voided_at"] == kit.time_ms - 1_000
    received = ship(kit, *items)
    assert sale(kit, received)["lines"][0]["prior"] == 0
    maker.refused("NOT_IN_TRANSIT", "dscsa", "void", transaction=received, items=items)


def test_a_refused_sale_leaves_nothing(kit: Testkit) -> None:
    root = kit.query("dscsa", "transaction", transaction=1)
    given = {"items": [some(LOT, 101)], "buyer": kit.id("wholesaler"), **ti(kit)}
    kit.as_("maker").refused("TOO_LITTLE", "dscsa", "ship", **given)
    assert root is None and kit.query("dscsa", "transaction", transaction=1) is None
    assert ship(kit) == 1


# --- rule 22: suspect and illegitimate product --------------------------------------------------


def suspect(kit: Testkit, *items: dict[str, Any], who: str = "wholesaler", **more: Any) -> int:
    given = {"items": list(items) or [some(SERIAL)], "grounds": "COUNTERFEIT", **more}
    number: int = kit.as_(who).call("dscsa", "report_suspect", **given)
    return number


def case(kit: Testkit, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.query("dscsa", "case", case=number)
    return found


def decide(kit: Testkit, number: int, outcome: str, who: str = "wholesaler") -> dict[str, Any]:
    given = {"case": number, "outcome": outcome}
    found: dict[str, Any] = kit.as_(who).call("dscsa", "decide", **given)
    return found


def test_rule_22_suspect_product_is_quarantined_at_once(kit: Testkit) -> None:
    ship(kit, some(SERIAL), some(LOT, 10))
    number = suspect(kit, some(SERIAL), some(LOT, 4))
    wholesaler = kit.as_("wholesaler")
    for item in (some(SERIAL), some(LOT, 4)):
        wholesaler.refused("LOCKED", "batch", "release", items=[item])
    assert kit.query("batch", "item", item=SERIAL)["record"]["state"] == "QUARANTINED"
    # The rest of the lot that it has stands still, too; others' does not.
    assert "dscsa" in refused(kit, "LOCKED", "wholesaler", "pharmacy")
    ship(kit, some(LOT, 1), to="pharmacy")
    assert case(kit, number)["record"]["state"] == "SUSPECT"
    again = {"items": [some(LOT, 1)], "grounds": "STOLEN"}
    wholesaler.refused("ALREADY_SUSPECT", "dscsa", "report_suspect", **again)
    kit.as_("pharmacy").refused("TOO_LITTLE", "dscsa", "report_suspect", items=[some(LOT, 9)],
                                grounds="STOLEN")  # fmt: skip


def test_rule_22_what_is_in_a_suspect_pallet_stays_when_it_is_unpacked(kit: Testkit) -> None:
    inside = [some(SERIAL), some(OTHER), some(LOT, 7)]
    kit.as_("maker").call("batch", "pack", parent=PALLET, items=inside)
    ship(kit, some(PALLET))
    number = suspect(kit, some(PALLET))
    wholesaler = kit.as_("wholesaler")
    wholesaler.call("batch", "unpack", parent=PALLET, items=[some(SERIAL), some(LOT, 7)])
    for item in (some(SERIAL), some(LOT, 7), some(PALLET)):
        wholesaler.refused("LOCKED", "batch", "release", items=[item])
    assert [one["is_inside"] for one in case(kit, number)["items"]] == [False, True, True, True]
    assert decide(kit, number, "CLEARED")["released"]  # the pallet, and what is still in it
    wholesaler.call("batch", "release", items=[some(SERIAL), some(LOT, 7)])


def test_rule_22_what_is_in_quarantine_already_is_suspect_too(kit: Testkit) -> None:
    ship(kit, some(SERIAL), some(OTHER), some(LOT, 10))
    wholesaler = kit.as_("wholesaler")
    damaged = {"items": [some(SERIAL), some(LOT, 10)], "cause": "DAMAGED"}
    wholesaler.call("batch", "quarantine", **damaged)
    number = suspect(kit, some(SERIAL), some(OTHER), some(LOT, 4))
    assert [one["was_apart"] for one in case(kit, number)["items"]] == [True, False, True]
    assert decide(kit, number, "CLEARED")["released"]
    for item, found in ((SERIAL, "QUARANTINED"), (OTHER, "RECEIVED")):
        assert kit.query("batch", "item", item=item)["record"]["state"] == found
    wholesaler.call("batch", "release", items=damaged["items"])
    number = suspect(kit, some(LOT, 4))
    lot = {"items": [some(LOT)], "grounds": "UNFIT"}
    wholesaler.refused("QUANTITY_REQUIRED", "dscsa", "report_suspect", **lot)
    assert case(kit, number)["record"]["state"] == "SUSPECT"


def test_rule_22_nothing_is_made_of_suspect_product(kit: Testkit) -> None:
    made = [some("01/09521321000018/10/B1", 5)]
    for items in ([some(LOT, 1)], [some(SERIAL)]):
        number = suspect(kit, *items, who="maker")
        more = {"inputs": [some(LOT, 5)] if items[0]["item"] == LOT else items, "outputs": made}
        assert "dscsa" in kit.as_("maker").refused("LOCKED", "batch", "transform", **more)
        decide(kit, number, "CLEARED", "maker")
    kit.as_("maker").call("batch", "transform", inputs=[some(LOT, 5)], outputs=made)


def test_rule_22_cleared_product_goes_on(kit: Testkit) -> None:
    ship(kit, some(SERIAL), some(LOT, 10))
    number = suspect(kit, some(SERIAL), some(LOT, 4))
    kit.as_("pharmacy").refused("NOT_AUTHORISED", "dscsa", "decide", case=number, outcome="CLEARED")
    answer = decide(kit, number, "CLEARED")
    assert answer == {"state": "CLEARED", "released": True, "code": ""}
    ship(kit, some(SERIAL), some(LOT, 10), sender="wholesaler", to="pharmacy")
    kit.advance(days=3)
    assert not case(kit, number)["record"]["is_decided_late"]
    suspect(kit, some(SERIAL), who="pharmacy")  # another suspicion, later
    kit.replay()


def test_rule_22_what_a_regulator_clears_the_holder_releases(kit: Testkit) -> None:
    ship(kit)
    number = suspect(kit)
    assert not decide(kit, number, "CLEARED", "fda")["released"]
    kit.as_("wholesaler").call("batch", "release", items=[some(SERIAL)])


@pytest.mark.parametrize(("seconds", "late"), [(24 * 3600 - 9, False), (24 * 3600, True)])
def test_rule_22_the_investigation_has_24_hours(kit: Testkit, seconds: int, late: bool) -> None:
    ship(kit)
    number = suspect(kit)
    kit.advance(seconds=seconds)
    assert case(kit, number)["record"]["is_decided_late"] is late
    assert (kit.events[-1].name == "SuspicionUndecided") is late
    decide(kit, number, "CLEARED")
    assert case(kit, number)["record"]["is_decided_late"] is late


@pytest.mark.parametrize(("seconds", "late"), [(24 * 3600 - 9, False), (24 * 3600, True)])
def test_rule_22_fda_and_partners_are_notified_within_24_hours(
    kit: Testkit, seconds: int, late: bool
) -> None:
    ship(kit, some(LOT, 20))
    ship(kit, some(LOT, 5), sender="wholesaler", to="pharmacy")
    number = suspect(kit, some(LOT, 5))
    decide(kit, number, "ILLEGITIMATE")
    kit.advance(seconds=seconds)
    wholesaler = kit.as_("wholesaler")
    given = {"case": number, "regulator": kit.id("fda")}
    kit.as_("maker").refused("NOT_AUTHORISED", "dscsa", "notify", **given)
    wholesaler.refused("NOT_REGULATOR", "dscsa", "notify", case=number, regulator=kit.id("maker"))
    partners = wholesaler.call("dscsa", "notify", **given)
    assert partners == sorted([kit.id("maker"), kit.id("pharmacy")])
    wholesaler.refused("ALREADY_NOTIFIED", "dscsa", "notify", **given)
    record = case(kit, number)["record"]
    assert record["is_notified_late"] is late
    assert (record["notified_at"] - record["decided_at"] > 24 * 3_600_000) is late
    assert ("NotificationOverdue" in [event.name for event in kit.events]) is late
    kit.advance(days=2)
    assert case(kit, number)["record"]["is_notified_late"] is late


def test_rule_22_partners_by_sale_in_place_are_notified_too(kit: Testkit) -> None:
    where = {"holder": kit.id("maker"), "buyer": kit.id("pharmacy"), **ti(kit)}
    kit.as_("maker").call("dscsa", "transfer", items=[some(SERIAL)], **where)
    number = suspect(kit, some(SERIAL), who="maker", owner=kit.id("pharmacy"))
    decide(kit, number, "ILLEGITIMATE", "maker")
    given = {"case": number, "regulator": kit.id("fda")}
    assert kit.as_("maker").call("dscsa", "notify", **given) == [kit.id("pharmacy")]


def test_rule_22_illegitimate_product_stays_until_a_regulator_ends_the_case(kit: Testkit) -> None:
    ship(kit)
    number = suspect(kit)
    decide(kit, number, "ILLEGITIMATE")
    wholesaler, fda = kit.as_("wholesaler"), kit.as_("fda")
    end = {"case": number, "ending": "NOT_ILLEGITIMATE"}
    fda.refused("NOT_NOTIFIED", "dscsa", "terminate", **end)
    wholesaler.call("dscsa", "notify", case=number, regulator=kit.id("fda"))
    wholesaler.refused("NOT_AUTHORISED", "dscsa", "terminate", **end)
    wholesaler.refused("WRONG_STATE", "dscsa", "decide", case=number, outcome="CLEARED")
    assert "ILLEGITIMATE" in wholesaler.refused("LOCKED", "batch", "release", items=[some(SERIAL)])
    fda.call("dscsa", "terminate", **end)
    wholesaler.call("batch", "release", items=[some(SERIAL)])
    ship(kit, sender="wholesaler", to="pharmacy")


def test_rule_22_illegitimate_product_is_destroyed(kit: Testkit) -> None:
    ship(kit)
    number = suspect(kit)
    decide(kit, number, "ILLEGITIMATE")
    destroy = {"items": [some(SERIAL)], "state": "DESTROYED", "cause": "ILLEGITIMATE"}
    kit.as_("wholesaler").call("batch", "decommission", **destroy)
    kit.as_("wholesaler").call("dscsa", "notify", case=number, regulator=kit.id("fda"))
    kit.as_("fda").call("dscsa", "terminate", case=number, ending="DISPOSED")
    assert case(kit, number)["record"]["state"] == "TERMINATED"


def test_rule_22_notified_partners_answer_once(kit: Testkit) -> None:
    ship(kit)
    number = suspect(kit)
    decide(kit, number, "ILLEGITIMATE")
    kit.as_("wholesaler").call("dscsa", "notify", case=number, regulator=kit.id("fda"))
    answer = {"case": number, "has_product": True}
    kit.as_("pharmacy").refused("NOT_NOTIFIED", "dscsa", "acknowledge", **answer)
    kit.as_("maker").call("dscsa", "acknowledge", **answer)
    kit.as_("maker").refused("ALREADY_ACKNOWLEDGED", "dscsa", "acknowledge", **answer)
    (notice,) = case(kit, number)["notices"]
    assert (notice["partner"], notice["has_product"]) == (kit.id("maker"), True)


def test_rule_22_a_recall_that_came_meanwhile_keeps_cleared_goods_in_quarantine(
    kit: Testkit,
) -> None:
    ship(kit)
    number = suspect(kit)
    kit.as_("fda").call("batch", "detain", items=[some(SERIAL)], cause="SUSPECT")
    answer = decide(kit, number, "CLEARED")
    assert (answer["released"], answer["code"]) == (False, "HELD")
    assert case(kit, number)["record"]["state"] == "CLEARED"


@given(st.dates())
def test_rule_22_records_are_kept_six_calendar_years(day: Any) -> None:
    now = day.year * 10_000 + day.month * 100 + day.day
    if day.year > 9_993:
        return
    until = years_later(now, 6)
    checked_date(until // 10_000, until // 100 % 100, until % 100)
    assert until // 10_000 == day.year + 6
    assert until % 10_000 == now % 10_000 or (now % 10_000, until % 10_000) == (229, 301)


def test_rule_22_a_sale_says_until_when_it_is_kept(kit: Testkit) -> None:
    assert sale(kit, ship(kit))["record"]["retain_until"] == 20320528
    assert case(kit, suspect(kit))["record"]["retain_until"] == 20320528


# --- requests -----------------------------------------------------------------------------------


def ask(kit: Testkit, asked: str, who: str = "pharmacy", **more: Any) -> int:
    given = {"item": SERIAL, "lot": "A1", "expiry": EXPIRY, "purpose": "SUSPECT", **more}
    number: int = kit.as_(who).call("dscsa", "request_information", asked=kit.id(asked), **given)
    return number


def test_a_request_is_answered_with_all_that_the_asked_has(kit: Testkit) -> None:
    first = ship(kit)
    second = ship(kit, sender="wholesaler", to="pharmacy")
    ship(kit, some(LOT, 3))
    number = ask(kit, "wholesaler", purpose="RECALL")
    respond = {"request": number, "document": bytes(32)}
    kit.as_("maker").refused("NOT_AUTHORISED", "dscsa", "respond", **respond)
    assert kit.as_("wholesaler").call("dscsa", "respond", **respond) == [first, second]
    kit.as_("wholesaler").refused("ALREADY_ANSWERED", "dscsa", "respond", **respond)
    report = kit.query("dscsa", "request_report", request=number)
    assert report["gtin"] == GTIN and report["ndc"] == "6141456789" and report["serial"] == "S1"
    assert report["verification"] == {"status": "VERIFIED", "differs": [], "state": "RECEIVED"}
    assert [one["number"] for one in report["transactions"]] == [first, second]
    for one in report["transactions"]:
        assert [line["item"] for line in one["lines"]] == [SERIAL]
        assert len(one["record"]["information"]) == 32
    assert report["organisations"][kit.id("maker")] == "maker"
    kit.advance(days=3)
    assert not kit.query("dscsa", "request", request=number)["is_late"]
    kit.replay()


@pytest.mark.parametrize(("seconds", "late"), [(48 * 3600 - 9, False), (48 * 3600, True)])
def test_an_answer_has_48_hours(kit: Testkit, seconds: int, late: bool) -> None:
    ship(kit)
    number = ask(kit, "wholesaler")
    kit.advance(seconds=seconds)
    assert ("InformationOverdue" in [event.name for event in kit.events]) is late
    kit.as_("wholesaler").call("dscsa", "respond", request=number)
    assert kit.query("dscsa", "request", request=number)["is_late"] is late


def test_who_was_no_party_has_nothing_to_give(kit: Testkit) -> None:
    ship(kit)
    number = ask(kit, "carrier")
    assert kit.as_("carrier").call("dscsa", "respond", request=number) == []
    assert kit.query("dscsa", "request_report", request=number)["transactions"] == []


def test_partners_and_regulators_ask(kit: Testkit) -> None:
    kit.organisation("bank", roles=("bank",))
    given = {"item": SERIAL, "lot": "A1", "expiry": EXPIRY}

    def not_asked(code: str, who: str, asked: str, **more: Any) -> None:
        kit.as_(who).refused(
            code, "dscsa", "request_information", **{**given, "purpose": "RECALL", **more},
            asked=asked,
        )  # fmt: skip

    not_asked("NOT_AUTHORISED_PARTNER", "bank", kit.id("maker"))
    not_asked("OWN_ORGANISATION", "maker", kit.id("maker"))
    not_asked("UNKNOWN_ORGANISATION", "maker", organisation_id(99))
    not_asked("NOT_AUTHORISED", "maker", kit.id("pharmacy"), purpose="OFFICIAL")
    not_asked("NOT_TRADE_ITEM", "maker", kit.id("pharmacy"), item=PALLET)
    ask(kit, "maker", "fda", purpose="OFFICIAL")


@pytest.mark.parametrize(
    ("given", "status", "differs"),
    [
        ({}, "VERIFIED", []),
        ({"lot": "A2"}, "DIFFERS", ["lot"]),
        ({"expiry": "2028-12-31"}, "DIFFERS", ["expiry"]),
        ({"lot": "A2", "expiry": "2028-12-31"}, "DIFFERS", ["lot", "expiry"]),
        ({"item": f"01/{GTIN}/21/S3"}, "UNKNOWN", []),
        ({"item": f"(01){GTIN}(17)271231(10)A1(21)S1"}, "VERIFIED", []),
        ({"item": LOT}, "VERIFIED", []),
    ],
)
def test_a_product_identifier_is_verified_as_a_whole(
    kit: Testkit, given: dict[str, str], status: str, differs: list[str]
) -> None:
    asked = {"item": SERIAL, "lot": "A1", "expiry": EXPIRY, **given}
    found = kit.query("dscsa", "verify", **asked)
    assert (found["status"], found["differs"]) == (status, differs)


def test_what_no_maker_vouched_for_is_not_verified(kit: Testkit) -> None:
    kit.as_("consortium").call("batch", "set_policy", unknown_items="OPEN")
    ghost = f"01/{GTIN}/21/GHOST"
    kit.as_("pharmacy").call("batch", "receive", items=[some(ghost)])
    found = kit.query("dscsa", "verify", item=ghost, lot="A1", expiry=EXPIRY)
    assert found["status"] == "UNKNOWN"


# --- bounds -------------------------------------------------------------------------------------


def test_a_pallet_of_400_packages_is_one_sale_and_more_are_not(kit: Testkit) -> None:
    maker = kit.as_("maker")
    serials = [some(f"01/{GTIN}/21/{number:020}") for number in range(401)]
    pallets = [sscc(number) for number in (3, 4)]
    for start in range(0, 401, 100):
        part = serials[start : start + 100]
        maker.call("batch", "commission", items=part, lot="A1", expiry=EXPIRY)
        maker.call("batch", "pack", parent=pallets[start // 400], items=part)
    both = {"items": [some(one) for one in pallets], "buyer": kit.id("wholesaler"), **ti(kit)}
    maker.refused("TOO_MANY_PACKAGES", "dscsa", "ship", **both)
    number = maker.call("dscsa", "ship", **{**both, "items": both["items"][:1]})
    assert kit.last.steps_used < 10_000_000
    assert len(kit.last.raw) < 256 * 1024
    assert len(sale(kit, number)["lines"]) == 400
    kit.as_("wholesaler").call("batch", "receive", items=both["items"][:1])
    assert owner(kit, pallets[0]) == kit.id("wholesaler")


def test_a_case_of_a_pallet_of_400_fits(kit: Testkit) -> None:
    serials = [some(f"01/{GTIN}/21/{number:020}") for number in range(400)]
    maker = kit.as_("maker")
    for start in range(0, 400, 100):
        part = serials[start : start + 100]
        maker.call("batch", "commission", items=part, lot="A1", expiry=EXPIRY)
        maker.call("batch", "pack", parent=PALLET, items=part)
    number = suspect(kit, some(PALLET), who="maker")
    assert kit.last.steps_used < 10_000_000
    decide(kit, number, "ILLEGITIMATE", "maker")
    assert kit.last.steps_used < 10_000_000
    maker.call("dscsa", "notify", case=number, regulator=kit.id("fda"))
    assert kit.last.steps_used < 10_000_000
    kit.as_("fda").call("dscsa", "terminate", case=number, ending="NOT_ILLEGITIMATE")
    assert kit.last.steps_used < 10_000_000


def test_a_case_of_100_things_fits(kit: Testkit) -> None:
    serials = [some(f"01/{GTIN}/21/{number:020}") for number in range(100)]
    kit.as_("maker").call("batch", "commission", items=serials, lot="A1", expiry=EXPIRY)
    given = {"items": [*serials, some(SERIAL)], "grounds": "UNFIT"}
    kit.as_("maker").refused("BAD_ARGUMENT", "dscsa", "report_suspect", **given)
    number = suspect(kit, *serials, who="maker")
    assert kit.last.steps_used < 10_000_000
    decide(kit, number, "ILLEGITIMATE", "maker")
    assert kit.as_("maker").call("dscsa", "notify", case=number, regulator=kit.id("fda")) == []
    kit.as_("fda").call("dscsa", "terminate", case=number, ending="DISPOSED")
    assert kit.last.steps_used < 10_000_000
