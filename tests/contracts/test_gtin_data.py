"""GTINs from real labels and registers: all are accepted, and no altered digit passes (rule 1)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contracts.sdk import Gtin
from contracts.sdk.checks import gs1_check_digit, gtin_valid
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import field_of
from contracts.sdk.gs1 import BadCheckDigit, checked_gtin, item_path
from contracts.supply.dscsa import ndc_digits

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "gtin"
GUDID = "{http://www.fda.gov/cdrh/gudid}"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")


def labels() -> Iterator[tuple[str, str]]:
    """(symbology, value) of barcodes scanned from labels of over-the-counter medicines."""
    with (DATA / "fda_otc_label_barcodes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["symbology"], row["value"]


def device_ids() -> Iterator[str]:
    """Device identifiers of GS1 in the register of medical devices."""
    for one in ElementTree.parse(DATA / "gudid_devices.xml").getroot().iter(f"{GUDID}identifier"):
        if one.findtext(f"{GUDID}deviceIdIssuingAgency") == "GS1":
            yield one.findtext(f"{GUDID}deviceId") or ""


def gtins() -> list[str]:
    scanned = [value for kind, value in labels() if kind == "EAN-13"]
    cartons = [value for kind, value in labels() if kind == "I2/5" and len(value) == 14]
    return [*scanned, *cartons, *device_ids()]


def ndc_gtins() -> list[str]:
    """The GTIN-14 of every package code and packing level of the listed products: a packing
    level, 03, the NDC's ten digits, and the check digit."""
    found = []
    with (DATA / "ndc_product_trimmed.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            for package in range(100):
                ndc = row["PRODUCTNDC"].replace("-", "") + f"{package:02d}"
                for level in range(9):
                    body = f"{level}03{ndc}"
                    found.append(body + str(gs1_check_digit(body)))
    return found


def test_rule_1_every_real_gtin_is_accepted() -> None:
    field = field_of(Gtin)
    found = gtins()
    assert len(found) == 190 + 1 + 200
    for gtin in found:
        assert field.check(gtin) == gtin.zfill(14) == checked_gtin(gtin)
        assert item_path(f"(01){gtin.zfill(14)}(10)L1") == f"01/{gtin.zfill(14)}/10/L1"


def test_rule_1_no_altered_digit_passes() -> None:
    field = field_of(Gtin)
    tried = 0
    for gtin in gtins():
        for at in range(len(gtin)):
            for digit in "0123456789".replace(gtin[at], ""):
                altered = gtin[:at] + digit + gtin[at + 1 :]
                with pytest.raises(BadValue):
                    field.check(altered)
                with pytest.raises(BadCheckDigit):
                    checked_gtin(altered)
                tried += 1
    assert tried == 9 * sum(map(len, gtins())) == 47_556


def test_rule_1_swapped_neighbours_pass_only_where_they_differ_by_five() -> None:
    """What the check digit can't see is known: weights 3 and 1 differ by 2."""
    for gtin in gtins():
        for at in range(len(gtin) - 1):
            one, other = int(gtin[at]), int(gtin[at + 1])
            swapped = gtin[:at] + gtin[at + 1] + gtin[at] + gtin[at + 2 :]
            assert gtin_valid(swapped) == (abs(one - other) in (0, 5))


def test_other_barcodes_of_the_labels_are_no_gtins() -> None:
    known = set(gtins())
    others = [value for _, value in labels() if value not in known]
    assert len(others) == 25
    for value in others:
        with pytest.raises(BadValue):
            field_of(Gtin).check(value)


def test_every_ndc_has_its_gtin_and_every_such_gtin_its_ndc() -> None:
    found = ndc_gtins()
    assert len(found) == 3 * 100 * 9
    for gtin in found:
        assert field_of(Gtin).check(gtin) == gtin
        assert ndc_digits(gtin) == gtin[3:13]
    for gtin in found[::50]:
        for at in range(14):
            altered = gtin[:at] + str((int(gtin[at]) + 1) % 10) + gtin[at + 1 :]
            with pytest.raises(BadCheckDigit):
                checked_gtin(altered)
    assert ndc_digits("09521321000018") == ""  # of no medicine of the United States
    medicines = [gtin for gtin in gtins() if ndc_digits(gtin.zfill(14))]
    assert len(medicines) == 31
