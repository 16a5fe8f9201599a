"""Check digits against python-stdnum and real data."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import bic, ean, lei
from stdnum.exceptions import ValidationError

from contracts.sdk.checks import (
    bic_valid,
    gln_valid,
    gs1_check_digit,
    gs1_valid,
    gtin_valid,
    lei_valid,
    sscc_valid,
)

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
