"""Check digits against python-stdnum and real data."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import bic, ean, iban, iso6346, lei
from stdnum.exceptions import ValidationError

from contracts.sdk.checks import (
    bic_valid,
    container_check_digit,
    container_valid,
    currency_valid,
    gln_valid,
    gs1_check_digit,
    gs1_valid,
    gtin_valid,
    iban_valid,
    lei_valid,
    sscc_valid,
    unlocode_valid,
)
from contracts.sdk.codes import COUNTRIES, IBAN_LENGTHS, MINOR_UNITS

DATA = Path(__file__).parents[2].parent / "shared" / "data"
DIGITS = st.text("0123456789", min_size=7, max_size=18)


@given(DIGITS)
def test_rule_1_every_length_has_exactly_one_check_digit(digits: str) -> None:
    size = len(digits) + 1
    good = [digit for digit in "0123456789" if gs1_valid(digits + digit, size)]
    assert good == [str(gs1_check_digit(digits))]


@given(st.sampled_from((7, 11, 12, 13)).flatmap(
    lambda size: st.text("0123456789", min_size=size + 1, max_size=size + 1)
))  # fmt: skip
def test_rule_1_gtin_agrees_with_stdnum(text: str) -> None:
    assert gtin_valid(text) == ean.is_valid(text)


@given(DIGITS, st.data())
def test_rule_1_one_altered_digit_is_always_found(digits: str, data: st.DataObject) -> None:
    good = digits + str(gs1_check_digit(digits))
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != good[at]]))
    assert not gs1_valid(good[:at] + other + good[at + 1 :], len(good))


def test_rule_1_known_keys() -> None:
    assert gtin_valid("09521321000018") and gtin_valid("9521321000018") and gtin_valid("96385074")
    assert gln_valid("9521321000018") and not gln_valid("09521321000018")
    assert sscc_valid("106141412345678908") and not sscc_valid("106141412345678909")


@pytest.mark.parametrize("text", ["", "952132100001A", "\uff19521321000018", "95213210000\u06618"])
def test_only_ascii_digits_are_digits(text: str) -> None:
    assert not gtin_valid(text) and not gln_valid(text) and not sscc_valid(text)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=18, max_size=18))
def test_rule_47_lei_agrees_with_stdnum(body: str) -> None:
    for check in ("00", "01", "42", "98", f"{98 - int(lei_number(body + '00')) % 97:02d}"):
        assert lei_valid(body + check) == lei.is_valid(body + check)


def lei_number(text: str) -> str:
    return "".join(str(int(letter, 36)) for letter in text)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=7, max_size=12))
def test_rule_47_whatever_bic_stdnum_takes_is_taken(text: str) -> None:
    try:
        bic.validate(text)
    except ValidationError:
        return
    assert bic_valid(text)


def test_rule_47_bic_forms() -> None:
    assert bic_valid("DEUTDEFF") and bic_valid("DEUTDEFF500")
    assert not bic_valid("DEUTDEF") and not bic_valid("DEUT1EFF") and not bic_valid("deutdeff")


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_real_device_identifiers_and_altered_ones() -> None:
    text = (DATA / "gtin" / "gudid_devices.xml").read_text(encoding="utf-8")
    identifiers = re.findall(
        r"<deviceId>(\d+)</deviceId>\s*<deviceIdType>\w+</deviceIdType>\s*"
        r"<deviceIdIssuingAgency>GS1<",
        text,
    )
    assert len(identifiers) >= 200
    for identifier in identifiers:
        assert gtin_valid(identifier) == ean.is_valid(identifier)
    good = [identifier for identifier in identifiers if gtin_valid(identifier)]
    assert len(good) >= len(identifiers) * 99 // 100
    for identifier in good:
        altered = identifier[:-1] + str((int(identifier[-1]) + 1) % 10)
        assert not gtin_valid(altered)


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_real_label_barcodes_agree_with_stdnum() -> None:
    with (DATA / "gtin" / "fda_otc_label_barcodes.csv").open(encoding="utf-8") as file:
        values = [row["value"] for row in csv.DictReader(file) if row["symbology"] == "EAN-13"]
    assert len(values) > 100
    for value in values:
        assert gtin_valid(value) == ean.is_valid(value), value


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_real_leis() -> None:
    found: set[str] = set()
    for name in ("L1Data.ttl", "L2Data.ttl"):
        path = DATA / "lei" / name
        if path.exists():
            found.update(re.findall(r"\b([0-9A-Z]{18}\d\d)\b", path.read_text(encoding="utf-8")))
    assert len(found) >= 11
    assert all(lei_valid(code) for code in found)
    assert not any(lei_valid(code[:-1] + str((int(code[-1]) + 1) % 10)) for code in found)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def with_iban_check(country: str, account: str) -> str:
    return f"{country}{98 - int(lei_number(account + country + '00')) % 97:02d}{account}"


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_rule_47_the_right_check_digits_make_an_iban_and_no_others(
    country: str, data: st.DataObject
) -> None:
    size = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text("0123456789" + LETTERS, min_size=size, max_size=size))
    good = with_iban_check(country, account)
    assert iban_valid(good)
    wrong = [f"{country}{n:02d}{account}" for n in range(100) if f"{n:02d}" != good[2:4]]
    assert not any(map(iban_valid, wrong))
    assert not iban_valid(good + "0") and not iban_valid(good[:-1]) and not iban_valid(good.lower())


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_rule_47_whatever_iban_stdnum_takes_is_taken(country: str, data: st.DataObject) -> None:
    # stdnum also knows how each country's account is built of digits and letters.
    size = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text("0123456789", min_size=size, max_size=size))
    text = with_iban_check(country, account)
    if iban.is_valid(text, check_country=False):
        assert iban_valid(text)
    assert not iban.is_valid(text[:-1], check_country=False)


def test_rule_47_the_lengths_are_those_of_the_registry_that_stdnum_has() -> None:
    lengths = {}
    for country in (a + b for a in LETTERS for b in LETTERS):
        (_, info), *_ = iban._ibandb.info(country)
        if info:
            parts = re.findall(r"([0-9]+)!", info["bban"])
            lengths[country] = 4 + sum(map(int, parts))
    assert lengths == IBAN_LENGTHS
    assert set(IBAN_LENGTHS) - {"XK"} <= COUNTRIES


@given(st.text(LETTERS, min_size=3, max_size=3), st.sampled_from("JUZ"),
       st.text("0123456789", min_size=6, max_size=6))  # fmt: skip
def test_rule_47_container_numbers_agree_with_stdnum(owner: str, kind: str, serial: str) -> None:
    body = owner + kind + serial
    good = body + str(container_check_digit(body))
    assert [d for d in "0123456789" if container_valid(body + d)] == [good[-1]]
    assert iso6346.is_valid(good)
    assert all(container_valid(body + d) == iso6346.is_valid(body + d) for d in "0123456789")


def test_rule_47_known_containers() -> None:
    assert container_valid("CSQU3054383") and container_valid("TOLU4734787")
    assert not container_valid("CSQU3054384") and not container_valid("CSQX3054383")
    assert not container_valid("CSQU30543830") and not container_valid("csqu3054383")


def test_rule_48_unlocodes() -> None:
    assert all(map(unlocode_valid, ("NLRTM", "ETADD", "US2AB", "XZAAA")))
    assert not any(map(unlocode_valid, ("NL RTM", "NLRT0", "NLRT1", "QQRTM", "nlrtm", "NLRTMX")))


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_rule_48_real_locations() -> None:
    common = (DATA / "location" / "unlocode_common.csv").read_text(encoding="utf-8")
    parents = (DATA / "location" / "unlocode_parents.csv").read_text(encoding="utf-8")
    found = set(re.findall(r"\b[A-Z]{2}[A-Z0-9]{3}\b", common + parents))
    assert len(found) > 100
    assert [code for code in sorted(found) if not unlocode_valid(code)] == []


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_rule_47_real_ibans() -> None:
    text = "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for folder in ("invoice", "iso20022")
        for path in (DATA / folder).rglob("*.[xX][mM][lL]")
    )
    found = set(re.findall(r">([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})<", text))
    assert len(found) >= 3
    assert {code for code in found if iban_valid(code)} == {
        code for code in found if iban.is_valid(code, check_country=False)
    }
    assert sum(map(iban_valid, found)) >= 3


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data beside the checkout")
def test_rule_5_real_invoices_have_no_more_digits_than_their_currency() -> None:
    found = set()
    for path in (DATA / "invoice").rglob("*.[xX][mM][lL]"):
        text = path.read_text(encoding="utf-8", errors="replace")
        found.update(
            re.findall(r'PayableAmount currencyID="([A-Z]{3})">-?[0-9]+\.?([0-9]*)<', text)
        )
    assert len(found) >= 3
    assert all(currency_valid(code) and len(part) <= MINOR_UNITS[code] for code, part in found)


def test_correction_5_minor_units() -> None:
    assert [MINOR_UNITS[code] for code in ("JPY", "USD", "KWD", "IQD", "CLF", "ETB", "MGA")] == [
        0, 2, 3, 3, 4, 2, 2,
    ]  # fmt: skip
    assert not any(map(currency_valid, ("XAU", "XXX", "XTS", "DEM", "eur", "EURO", "")))
    assert len(MINOR_UNITS) == 165
