"""Documents against a credit: every discrepancy with its article (DOMAIN rules 31 to 41)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.sdk.testkit import Testkit
from tests.contracts.credits import (
    BILL,
    CARRIAGE,
    COVER,
    TERMS,
    advised,
    amend,
    articles,
    documents,
    examine,
    findings,
    go_to,
    hidden,
    money,
    pay,
    present,
    small_world,
)


@pytest.fixture
def kit() -> Testkit:
    return small_world()


def required(*more: dict[str, Any]) -> list[dict[str, Any]]:
    documents = TERMS["documents"]
    assert isinstance(documents, list)
    return [*documents, *more]


def bill(**carriage: Any) -> dict[str, Any]:
    return {"type": "BILL_OF_LADING", "carriage": CARRIAGE | carriage}


def cover(**changed: Any) -> dict[str, Any]:
    insured = COVER["cover"]
    assert isinstance(insured, dict)
    return {"type": "INSURANCE", "cover": insured | changed}


def kilograms(amount: int) -> dict[str, Any]:
    return {"amount": amount, "unit": "KGM"}


# --- each thing that may be wrong ----------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"type": "INVOICE", "issuer": "Sidama Trading"}, ["18(a)(i)"]),
    ({"type": "INVOICE", "to": "Carolina Tea"}, ["18(a)(ii)"]),
    ({"type": "INVOICE", "amount": money(10_000_000, "EUR")}, ["18(a)(iii)"]),
    ({"type": "INVOICE", "amount": None}, ["18", "18(b)"]),
    ({"type": "INVOICE", "amount": money(9_999_999)}, ["18(b)"]),
    ({"type": "INVOICE", "goods": "Green coffee, Sidama 3"}, ["18(c)"]),
    ({"type": "INVOICE", "originals": 0, "copies": 3}, ["17(a)"]),
    ({"type": "INVOICE", "originals": 3, "copies": 0}, []),
    ({"type": "INVOICE", "copies": 1}, ["17(d)"]),
    ({"type": "INVOICE", "date": 20260529}, ["14(i)"]),
    ({"type": "INVOICE", "date": 20250101}, []),
    ({"type": "INVOICE", "signed": False}, []),
    ({"type": "INVOICE", "quantity": kilograms(59_999)}, ["14(d)"]),
    ({"type": "BILL_OF_LADING", "quantity": None}, []),
    ({"type": "BILL_OF_LADING", "signed": False}, ["20(a)(i)"]),
    ({"type": "BILL_OF_LADING", "carriage": None}, ["20"]),
    (bill(carrier=""), ["20(a)(i)"]),
    (bill(shipped=None), ["20(a)"]),
    (bill(loading="BERBERA"), ["20(a)"]),
    (bill(discharge="SAVANNAH", loading=""), ["20(a)", "20(a)"]),
    (bill(full_set=False), ["20(a)"]),
    (bill(charter_party=True), ["20(a)(vi)"]),
    (bill(on_deck=True), ["26(a)"]),
    (bill(clauses=["12 bags torn"]), ["27"]),
    (bill(transhipped=True), []),
    (bill(bill=7), ["20(a)"]),
    ({"type": "INSURANCE", "cover": None}, ["28(a)"]),
    ({"type": "INSURANCE", "signed": False}, ["28(a)"]),
    ({"type": "INSURANCE", "originals": 1}, ["17(a)"]),
    ({"type": "INSURANCE", "date": 20260521}, ["28(e)"]),
    ({"type": "INSURANCE", "date": 20260521, **cover(effective=20260520)}, []),
    (cover(kind="COVER_NOTE"), ["28(c)"]),
    (cover(insured=money(11_000_000, "EUR")), ["28(f)(i)"]),
    (cover(insured=money(10_999_999)), ["28(f)(ii)"]),
]


@pytest.mark.parametrize(("changed", "expected"), WRONG, ids=range(len(WRONG)))
def test_rule_35_each_discrepancy_is_named_with_its_article(
    kit: Testkit, changed: dict[str, Any], expected: list[str]
) -> None:
    assert articles(kit, advised(kit), {**changed, "type": changed["type"]}) == expected


def test_rule_35_all_discrepancies_are_named_at_once(kit: Testkit) -> None:
    number = advised(kit)
    found = articles(
        kit, number, {"type": "INVOICE", "issuer": "X", "goods": "tea"},
        bill(on_deck=True, shipped=20260901), cover(kind="COVER_NOTE"), minor=10_000_001,
    )  # fmt: skip
    assert set(found) >= {
        "18(a)(i)",
        "18(c)",
        "20(a)",
        "26(a)",
        "28(c)",
        "28(f)(ii)",
        "30",
    }


def test_rule_41_invoice_insurance_and_clean_transport_document(kit: Testkit) -> None:
    """From the beneficiary, to the applicant, in the credit's currency; 110 per cent; clean."""
    number = advised(kit)
    assert articles(kit, number) == []
    wrong = {"type": "INVOICE", "issuer": "X", "to": "Y", "amount": money(10_000_000, "EUR")}
    assert articles(kit, number, wrong)[:3] == ["18(a)(i)", "18(a)(ii)", "18(a)(iii)"]
    assert articles(kit, number, cover(insured=money(10_999_999))) == ["28(f)(ii)"]
    assert articles(kit, number, bill(clauses=["wet"])) == ["27"]
    more = advised(kit, insured_percent=120)
    assert articles(kit, more) == ["28(f)(ii)"]


# --- dates ---------------------------------------------------------------------------------------


def test_rule_31_within_21_days_of_shipment_and_not_after_expiry(kit: Testkit) -> None:
    number, shorter = advised(kit), advised(kit, presentation_days=10)
    go_to(kit, 20260610)
    assert articles(kit, number) == []
    assert articles(kit, shorter) == ["14(c)"]
    go_to(kit, 20260611)
    assert articles(kit, number) == ["14(c)"]
    without = advised(kit, documents=[{"type": "INVOICE"}], latest_shipment=None)
    assert articles(kit, without, drop="BILL_OF_LADING") == []


def test_rule_31_what_comes_after_the_expiry_does_not_comply(kit: Testkit) -> None:
    """A later expiry waits for the beneficiary's word, so the credit still takes documents."""
    number = advised(kit, presentation_days=200)
    amend(kit, number, {"expiry": 20261030})
    go_to(kit, 20261001)
    assert articles(kit, number) == []
    assert articles(kit, number, bill(on_deck=True)) == ["26(a)", "6(e)"]


def test_rule_33_latest_shipment_is_not_moved(kit: Testkit) -> None:
    number = advised(kit, latest_shipment=20260517)  # a Sunday
    assert articles(kit, number, bill(shipped=20260517), cover(effective=20260501)) == []
    (line,) = findings(kit, number, bill(shipped=20260518), cover(effective=20260501))
    assert "29(c)" in line


# --- data ----------------------------------------------------------------------------------------


def test_rule_34_data_need_not_be_identical_but_must_not_conflict(kit: Testkit) -> None:
    weight = {"type": "WEIGHT", "title": "Weight certificate", "gross_weight_g": 60_700_000}
    number = advised(kit, documents=required({"type": "WEIGHT", "title": "weight  CERTIFICATE"}))
    assert articles(kit, number, weight) == []
    assert articles(kit, number, weight | {"gross_weight_g": 60_700_001}) == ["14(d)"]
    assert articles(kit, number, weight | {"quantity": kilograms(59_000)}) == ["14(d)"]
    assert articles(kit, number, weight | {"quantity": {"amount": 1_000, "unit": "BG"}}) == []


def test_rule_34_documents_that_nobody_asked_for_are_disregarded(kit: Testkit) -> None:
    undemanded = {"type": "WEIGHT", "title": "Private note", "gross_weight_g": 1, "date": 20300101}
    assert articles(kit, advised(kit), undemanded) == []


def test_a_document_from_whom_the_credit_names(kit: Testkit) -> None:
    origin = {"type": "ORIGIN", "issuer": "Chamber of Commerce\nAddis Ababa"}
    number = advised(kit, documents=required({"type": "ORIGIN", "issuer": "CHAMBER OF COMMERCE"}))
    assert articles(kit, number) == ["14(a)"]
    assert articles(kit, number, origin) == []
    assert articles(kit, number, origin | {"issuer": "The seller"}) == ["14(f)"]


def test_risks_that_the_credit_names_are_covered(kit: Testkit) -> None:
    wanted = {"type": "INSURANCE", "originals": 2, "risks": ["Institute Cargo Clauses (A)", "war"]}
    documents = [{"type": "INVOICE"}, wanted]
    number = advised(kit, documents=documents, latest_shipment=None)
    assert articles(kit, number) == ["28(g)", "28(g)"]
    assert articles(kit, number, cover(risks=["WAR", "institute cargo clauses (a)"])) == []


def test_a_draft_is_on_its_drawee_and_for_the_drawing(kit: Testkit) -> None:
    number = advised(kit, documents=required({"type": "DRAFT"}), drawee="Commercial Bank")
    draft = {"type": "DRAFT", "to": "COMMERCIAL BANK", "amount": money(10_000_000)}
    assert articles(kit, number, draft) == []
    assert articles(kit, number, draft | {"amount": money(1)}) == ["14(d)"]
    assert articles(kit, number, draft | {"to": "Other", "signed": False}) == ["14(a)", "14(a)"]
    assert articles(kit, number, draft | {"to": "Carolina Coffee Roasters"}) == ["6(c)"]


@pytest.mark.parametrize(
    ("kind", "article"),
    [("MULTIMODAL", "19"), ("SEA_WAYBILL", "21"), ("CHARTER_PARTY_BILL", "22"),
     ("AIR_WAYBILL", "23"), ("LAND", "24"), ("COURIER", "25")],
)  # fmt: skip
def test_each_transport_document_has_its_article(kit: Testkit, kind: str, article: str) -> None:
    number = advised(kit, documents=[{"type": kind, "originals": 3}], transhipment="NOT_ALLOWED")
    document = BILL | {"type": kind, "carriage": CARRIAGE | {"charter_party": True}}
    barred = [f"{article}(a)(vi)"] if kind in ("MULTIMODAL", "SEA_WAYBILL") else []
    assert articles(kit, number, document) == barred
    document["carriage"] = CARRIAGE | {"carrier": "", "full_set": False, "transhipped": True}
    found = articles(kit, number, document)
    assert set(found) <= {f"{article}(a)(i)", f"{article}(a)", f"{article}(c)"}
    assert (f"{article}(a)(i)" in found) == (kind != "CHARTER_PARTY_BILL")
    assert (f"{article}(a)" in found) == (kind not in ("LAND", "COURIER"))
    assert (f"{article}(c)" in found) == (kind in ("SEA_WAYBILL", "CHARTER_PARTY_BILL"))


def test_transhipment_of_containers_is_no_transhipment(kit: Testkit) -> None:
    number = advised(kit, transhipment="NOT_ALLOWED")
    assert articles(kit, number, bill(transhipped=True)) == ["20(c)"]
    assert articles(kit, number, bill(transhipped=True, in_containers=True)) == []


# --- tolerances (30) -----------------------------------------------------------------------------


def test_rule_37_about_is_ten_per_cent_of_that_figure_only(kit: Testkit) -> None:
    number = advised(kit, about=["AMOUNT"])
    assert articles(kit, number, cover(insured=money(12_100_000)), minor=11_000_000) == []
    over = articles(kit, number, cover(insured=money(20_000_000)), minor=11_000_001)
    assert over == ["30"]
    assert articles(kit, number, quantity=66_000) == ["30(b)"]
    number = advised(kit, about=["QUANTITY"])
    assert articles(kit, number, quantity=66_000) == []
    assert articles(kit, number, quantity=66_001) == ["30(a)"]
    assert "30" in articles(kit, number, cover(insured=money(20_000_000)), minor=10_000_001)
    number = advised(kit, about=["UNIT_PRICE"], unit_price=money(1_000))
    for price, expected in ((900, []), (1_100, []), (899, ["30(a)"]), (1_101, ["30(a)"])):
        assert articles(kit, number, {"type": "INVOICE", "unit_price": money(price)}) == expected


def test_rule_37_five_per_cent_of_sixty_tonnes_but_not_of_a_thousand_bags(kit: Testkit) -> None:
    tonnes = advised(kit)
    for quantity, expected in ((63_000, []), (63_001, ["30(b)"])):
        assert articles(kit, tonnes, quantity=quantity) == expected
    bags = advised(kit, quantity={"amount": 1_000, "unit": "BG"}, by_number=True)
    for amount, expected in ((1_000, []), (1_001, ["30(b)"])):
        drawing = {"quantity": {"amount": amount, "unit": "BG"}}
        assert articles(kit, bags, drawing=drawing) == expected


def test_rule_37_more_goods_never_draw_more_than_the_amount(kit: Testkit) -> None:
    insured = cover(insured=money(20_000_000))
    assert articles(kit, advised(kit), insured, minor=10_500_000, quantity=63_000) == ["30"]


def test_rule_37_five_per_cent_less_where_goods_are_whole_and_the_price_is_not_reduced(
    kit: Testkit,
) -> None:
    number = advised(kit, partial_shipments="NOT_ALLOWED", unit_price=money(166))
    assert articles(kit, number, minor=9_500_000) == []
    assert articles(kit, number, minor=9_499_999) == ["30(c)"]
    invoice = {"type": "INVOICE", "unit_price": money(160), "amount": money(9_700_000)}
    assert articles(kit, number, invoice, minor=9_700_000) == ["14(d)", "30(c)"]
    # Goods that are short by what 30(b) allows draw their share.
    assert articles(kit, number, minor=9_500_000, quantity=57_000) == []
    assert articles(kit, number, minor=9_499_999, quantity=57_000) == ["30(c)"]
    assert articles(kit, number, minor=9_400_000, quantity=56_400) == ["30(b)"]


def test_rule_37_a_stated_tolerance_takes_the_place_of_others(kit: Testkit) -> None:
    """Field 39A: without it, or "about", the amount is the most that is drawn (correction 4)."""
    number = advised(kit, plus=3, minus=20, partial_shipments="NOT_ALLOWED")
    insured = cover(insured=money(20_000_000))
    assert articles(kit, number, insured, minor=10_300_000) == []
    assert articles(kit, number, insured, minor=10_300_001) == ["30"]
    assert articles(kit, number, minor=8_000_000) == []
    assert articles(kit, number, minor=7_999_999) == ["30(c)"]


# --- parts (31, 32) ------------------------------------------------------------------------------


def test_rule_39_partial_drawings_are_allowed_unless_barred(kit: Testkit) -> None:
    for word, expected in (("ALLOWED", []), ("NOT_ALLOWED", ["31(a)"])):
        number = advised(kit, partial_shipments=word, minus=50)
        one = present(kit, number, minor=5_000_000, quantity=57_000)
        examine(kit, number, one)
        pay(kit, number, one)
        found = articles(kit, number, minor=5_000_000, quantity=3_000)
        assert found == expected


def test_rule_39_one_voyage_is_no_partial_shipment(kit: Testkit) -> None:
    number = advised(kit, partial_shipments="NOT_ALLOWED")
    two = {"type": "BILL_OF_LADING", "originals": 2, "quantity": None}
    second = BILL | {"number": "ESL-78", "originals": 1, "quantity": None}
    for carriage, expected in (
        ({"loading": "Djibouti", "shipped": 20260518}, []),
        ({"voyage": "13E"}, ["31(b)"]),
        ({"vessel": "ABBAY"}, ["31(b)"]),
    ):
        other = second | {"carriage": CARRIAGE | carriage}
        assert several(kit, number, two, other) == expected


def several(kit: Testkit, number: int, changed: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """The articles found against documents with one more of a type that is there."""
    drawing = {"amount": money(10_000_000), "quantity": kilograms(60_000)}
    one = kit.as_("seller").call(
        "credit", "present", number=number, bank=kit.id("bank"), drawing=hidden(kit, drawing),
        documents=[*documents(kit, changed, cover(effective=20260501)), hidden(kit, more)],
    )  # fmt: skip
    found = kit.check("credit", "examine", number=number, presentation=one)
    return [line.split(":")[0] for line in found["findings"]]


def test_rule_39_several_documents_of_one_voyage_count_from_the_latest_date(kit: Testkit) -> None:
    number = advised(kit)
    go_to(kit, 20260609)
    two = {"type": "BILL_OF_LADING", "originals": 2} | bill(shipped=20260501)
    later = BILL | {"originals": 1, "carriage": CARRIAGE | {"shipped": 20260519}}
    assert several(kit, number, two, later) == []
    later["carriage"] = CARRIAGE | {"shipped": 20260518}
    assert several(kit, number, two, later) == ["14(c)"]


INSTALMENTS = [
    {"start": 20260501, "end": 20260531, "amount": money(5_000_000)},
    {"start": 20260601, "end": 20260630, "amount": money(5_000_000)},
    {"start": 20260701, "end": 20260731},
]


def test_rule_39_a_missed_instalment_kills_it_and_the_later_ones(kit: Testkit) -> None:
    number = advised(kit, instalments=INSTALMENTS)
    half: dict[str, Any] = {"minor": 5_000_000, "quantity": 30_000}
    first: dict[str, Any] = {"drawing": {"amount": money(5_000_000), "instalment": 1}}
    go_to(kit, 20260608)
    in_june = bill(shipped=20260602) | {"quantity": kilograms(30_000)}
    insured = cover(effective=20260501)
    second: dict[str, Any] = {"drawing": {"amount": money(5_000_000), "instalment": 2}}
    assert articles(kit, number, in_june, insured, **half, **second) == ["32"]
    assert articles(kit, number, in_june, insured, **half, **first) == ["32"]
    one = present(kit, number, **half, **first)
    assert examine(kit, number, one) == "COMPLYING"
    pay(kit, number, one)
    assert articles(kit, number, in_june, insured, **half, **second) == []
    third: dict[str, Any] = {"drawing": {"amount": money(5_000_000), "instalment": 3}}
    # The second, presented before, is being examined: it is not missed yet.
    assert articles(kit, number, in_june, insured, **half, **third) == ["32"]
    assert articles(kit, number, **half, **first) == ["32"]
    none: dict[str, Any] = {"drawing": {"amount": money(5_000_000), "instalment": 4}}
    assert articles(kit, number, in_june, insured, **half, **none) == ["32"]
