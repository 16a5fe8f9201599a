"""One path for one thing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk import gs1
from contracts.sdk.checks import gs1_check_digit
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.gs1 import (
    BadCheckDigit,
    OtherIdentifier,
    element_strings,
    item_path,
    party_gln,
)

GTIN = "09521321000018"
LOT = f"01/{GTIN}/10/LP2503"
SSCC = "095213210000000179"


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:class:lgtin:9521321.000001.LP2503",
        f"https://id.gs1.org/01/{GTIN}/10/LP2503",
        f"https://example.com/some/stem/01/{GTIN}/10/LP2503?17=391231",
        "https://id.gs1.org/01/9521321000018/10/LP2503",
        f"https://id.gs1.org/01/{GTIN}/22/2A/10/LP2503",
        f"(01){GTIN}(10)LP2503(17)391231",
        f"01{GTIN}10LP2503\x1d17391231",
        f"\x1d01{GTIN}1739123110LP2503",
        LOT,
        f"/{LOT}",
    ],
)
def test_rule_6_all_forms_of_a_lot_are_one_path(text: str) -> None:
    assert item_path(text) == LOT


def test_rule_6_all_forms_of_a_serial_and_a_unit_are_one_path() -> None:
    serial = f"01/{GTIN}/21/a%2Fb"
    assert item_path("urn:epc:id:sgtin:9521321.000001.a%2Fb") == serial
    assert item_path(f"https://id.gs1.org/01/{GTIN}/10/L1/21/a%2fb") == serial
    assert item_path(f"(01){GTIN}(21)a/b") == serial
    assert item_path("urn:epc:id:sscc:9521321.0000000017") == f"00/{SSCC}"
    assert item_path(f"https://id.gs1.org/00/{SSCC}") == f"00/{SSCC}"
    assert item_path(f"(00){SSCC}") == f"00/{SSCC}"


@given(st.text("!\"%&'()*+,-./0123456789:;<=>?AZ_az", min_size=1, max_size=20))
def test_rule_6_any_lot_keeps_its_path(lot: str) -> None:
    path = item_path(f"01{GTIN}10{lot}\x1d")
    assert item_path(path) == path
    assert item_path(f"https://id.gs1.org/{path}") == path
    assert path.count("/") == 3


def test_rule_6_digital_link_qualifiers_stand_in_order() -> None:
    with pytest.raises(BadValue):
        item_path(f"https://id.gs1.org/01/{GTIN}/21/1/10/A")


def test_rule_2_fixed_and_variable_element_strings() -> None:
    assert element_strings(f"01{GTIN}1727033110ABC\x1d21XY") == {
        "01": GTIN,
        "17": "270331",
        "10": "ABC",
        "21": "XY",
    }
    # Without FNC1 the lot goes on to the end: nothing is guessed.
    assert element_strings(f"01{GTIN}10ABC17270331") == {"01": GTIN, "10": "ABC17270331"}
    with pytest.raises(BadValue):
        element_strings("019521321")
    with pytest.raises(BadValue):
        element_strings(f"(01){GTIN}(10)A(10)B")


@pytest.mark.parametrize("digits", ["\u0660\u0661", "\U00011f50\U00011f51"])
def test_digits_of_other_scripts_are_none_on_any_python(digits: str) -> None:
    # The second ones came with Unicode 15: digits to Python 3.12, and nothing to 3.11.
    for text in (f"({digits})A", f"({digits}){GTIN}(10)A"):
        with pytest.raises(BadValue, match="not a string of"):
            item_path(text)


@pytest.mark.parametrize("text", ["(10)LP2503", "(21)7", "(17)270331", "\x1d10LP2503"])
def test_rule_3_lot_serial_and_expiry_need_their_gtin(text: str) -> None:
    with pytest.raises(BadValue):
        item_path(text)


@pytest.mark.parametrize(
    "text",
    ["https://id.gs1.org/01/09521321000019/10/A", f"00/{SSCC[:-1]}0", "(01)09521321000011(10)A"],
)
def test_wrong_check_digits(text: str) -> None:
    with pytest.raises(BadCheckDigit):
        item_path(text)


@pytest.mark.parametrize(
    "text",
    [
        f"https://id.gs1.org/01/{GTIN}",
        "urn:epc:idpat:sgtin:4012345.066666.*",
        "urn:epc:id:giai:4000001.12345",
        "https://id.example.com/8003/040123450007718765",
        "nonsense",
        "",
    ],
)
def test_what_is_no_lot_serial_or_unit(text: str) -> None:
    with pytest.raises(OtherIdentifier):
        item_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgtin:95213.000001.1",
        "urn:epc:id:sscc:9521321.17",
        f"01/{GTIN}/10/" + "A" * 21,
        f"01/{GTIN}/10/a%20b",
        f"01/{GTIN}/10/ä",
        "x" * 600,
    ],
)
def test_malformed_identifiers(text: str) -> None:
    with pytest.raises(BadValue):
        item_path(text)


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(6, 12))
def test_rule_6_all_forms_of_a_party_are_one_gln(digits: str, prefix: int) -> None:
    gln = digits + str(gs1_check_digit(digits))
    dotted = f"{digits[:prefix]}.{digits[prefix:]}"
    assert party_gln(f"urn:epc:id:pgln:{dotted}") == gln
    assert party_gln(f"urn:epc:id:sgln:{dotted}.0") == gln
    assert party_gln(f"https://id.gs1.org/417/{gln}") == gln
    assert party_gln(f"https://id.gs1.org/414/{gln}/254/7") == gln
    assert party_gln(gln) == gln


def test_parties_with_wrong_check_digits() -> None:
    with pytest.raises(BadCheckDigit):
        party_gln("9521321000019")


@given(
    st.text("0123456789/-.%aZ_ é", max_size=30)
    | st.builds(
        "01/{}/{}/{}".format,
        st.sampled_from([GTIN, GTIN[:-1] + "0", GTIN[1:], "\u0660" * 14]),
        st.sampled_from(["10", "21", "22"]),
        st.text("0A-._%/2f+", max_size=22),
    )
)
def test_the_short_way_is_the_long_way(text: str) -> None:
    def outcome(path: Callable[[str], str]) -> str:
        try:
            return path(text)
        except ContractError as error:
            return f"{error.code} {error}"

    assert outcome(item_path.__wrapped__) == outcome(gs1._path_of)
