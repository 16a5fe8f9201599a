"""SWIFT messages of credits: read, checked and written, against an independent reader."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from swiftlib.mt import MTParser

from cli.mt.formats import SET_X, SET_Z, fits, pattern
from cli.mt.message import (
    FILE_BYTES_MAX,
    Message,
    message_from_json,
    new_message,
    read_messages,
)
from cli.mt.rules import check, check_message
from cli.mt.tables import CHARACTERS_MAX, FORMATS, TABLES
from cli.mt.values import Amount, Wrong, amount_of, date_of, swift_amount, swift_date
from consensus.primitives.errors import InputError
from contracts.sdk.codes import MINOR_UNITS
from tests.cli.mt_samples import RECEIVER, SAMPLES, SENDER, message_of, messages, sample


def found(message: Message) -> set[tuple[str, str]]:
    """(field, code) of everything that is wrong with it as a file."""
    [one] = read_messages(message.to_bytes())
    return {(finding.field, finding.code) for finding in check(one)}


def network_codes(message: Message) -> set[str]:
    return {one.network for one in check_message(message)}


# --- the tables -----------------------------------------------------------------------------------


def mandatory(number: str) -> set[str]:
    return {row.field for row in TABLES[number] if row.is_mandatory}


@pytest.mark.parametrize("number", sorted(SAMPLES))
def test_a_whole_sample_of_each_type_is_in_order(number: str) -> None:
    assert check_message(sample(number)) == []


@pytest.mark.parametrize("number", sorted(SAMPLES))
def test_each_mandatory_field_is_missed(number: str) -> None:
    for row in TABLES[number]:
        if row.is_mandatory:
            absent: dict[str, None] = {f"f{tag}": None for tag in row.tags}
            assert (row.field, "MT_FIELD_MISSING") in found(sample(number, **absent))


def test_the_page_shows_the_tables_of_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "spec" / "mt.md"
    lines = [line.strip("|").split("|") for line in page.read_text().splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == 10]
    numbers = cells[0][3:]
    assert numbers == list(TABLES)
    shown = {
        (number, row[0]): mark
        for row in cells[2:]
        for number, mark in zip(numbers, row[3:], strict=True)
        if mark
    }
    expected: dict[tuple[str, str], str] = {}
    formats: dict[str, set[str]] = {}
    for number, rows in TABLES.items():
        for row in rows:
            options = "".join(tag[-1] for tag in row.tags) if len(row.tags) > 1 else ""
            mark = "M" if row.is_mandatory else "O"
            expected[number, row.field] = f"{mark} {options}".strip()
            formats.setdefault(row.field, set()).update(FORMATS[tag] for tag in row.tags)
    assert shown == expected
    assert {row[0]: set(re.findall("`([^`]+)`", row[2])) for row in cells[2:]} == formats


def test_rule_42_mt700_mandatory_fields() -> None:
    expected = "27 40A 20 31C 40E 31D 50 59 32B 41a 49"
    assert mandatory("700") == set(expected.split())


def test_rule_43_mt707_mandatory_fields_and_no_34b() -> None:
    assert mandatory("707") == {"27", "20", "21", "23", "31C", "26E", "30", "22A"}
    assert ("34B", "MT_FIELD_UNKNOWN") in found(
        message_of("707", [*SAMPLES["707"].items(), ("34B", "USD1,")])
    )


def test_rule_43_an_amendment_raises_or_lowers() -> None:
    assert ("33B", "MT_RAISED_AND_LOWERED") in found(sample("707", f33B="USD1,"))
    assert found(sample("707", f32B=None, f33B="USD1,")) == set()


def test_rule_43_a_cancellation_is_an_mt707() -> None:
    bare = {f"f{tag}": None for tag in ("31D", "32B", "44C", "46B", "71N")}
    assert network_codes(sample("707", **bare)) == {"C30"}
    assert found(sample("707", **bare, f23S="CANCEL")) == set()


def test_rule_44_mt710_mandatory_fields_and_one_issuer() -> None:
    expected = "27 40B 20 21 31C 40E 31D 50 59 32B 41a 49"
    assert mandatory("710") == set(expected.split())
    assert network_codes(sample("710", f52A=None)) == {"C06"}
    assert network_codes(sample("710", f50B="TRADING HOUSE")) == {"C06"}


@pytest.mark.parametrize("number", ["700", "710", "720"])
def test_rule_45_drafts_or_mixed_or_deferred_payment(number: str) -> None:
    bare = {"f42C": None, "f42A": None}
    assert found(sample(number, **bare)) == set()
    assert found(sample(number, **bare, f42M="HALF AT SIGHT")) == set()
    assert found(sample(number, **bare, f42P="90 DAYS AFTER SHIPMENT")) == set()
    assert found(sample(number, f42A=None)) == {("42a", "MT_DRAFTS")}
    assert found(sample(number, f42C=None)) == {("42C", "MT_DRAFTS")}
    assert network_codes(sample(number, f42M="X")) == {"C90"}
    assert network_codes(sample(number, **bare, f42M="X", f42P="Y")) == {"C90"}


@pytest.mark.parametrize("number", ["700", "707", "710", "720"])
def test_rule_45_a_date_or_a_period_of_shipment(number: str) -> None:
    assert network_codes(sample(number, f44D="IN MAY")) == {"D06"}
    assert found(sample(number, f44C=None, f44D="IN MAY")) == set()


@pytest.mark.parametrize(
    ("value", "code", "network"),
    [
        ("USD150000", "MT_FORMAT", ""),
        ("USD150.000,00", "MT_FORMAT", ""),
        ("USD,50", "MT_FORMAT", ""),
        ("USD123456789012345,", "MT_FORMAT", ""),
        ("USD1,505", "MT_AMOUNT", "C03"),
        ("JPY1,5", "MT_AMOUNT", "C03"),
        ("XXX1,", "MT_CURRENCY", "T52"),
        ("usd1,", "MT_FORMAT", ""),
    ],
)
def test_rule_46_amounts_have_their_comma_and_no_more_digits(
    value: str, code: str, network: str
) -> None:
    [one] = check_message(sample("700", f32B=value))
    assert (one.field, one.code, one.network) == ("32B", code, network)


@pytest.mark.parametrize("value", ["USD0,5", "JPY1000,", "KWD1,234", "CLF1,2345", "USD1,50"])
def test_rule_46_amounts_of_all_currencies(value: str) -> None:
    assert check_message(sample("700", f32B=value)) == []


def test_rule_31_the_period_for_presentation_overrides_21_days() -> None:
    assert found(sample("700", f48="007/AFTER SHIPMENT")) == set()
    assert found(sample("700", f48="SEVEN")) == {("48", "MT_FORMAT")}


def test_rule_35_a_refusal_says_what_becomes_of_the_documents() -> None:
    assert ("77B", "MT_FIELD_MISSING") in found(sample("734", f77B=None))
    assert ("77J", "MT_FIELD_MISSING") in found(sample("734", f77J=None))
    for fate in ("HOLD", "NOTIFY", "PREVINST", "RETURN"):
        assert found(sample("734", f77B=f"/{fate}/")) == set()
    assert found(sample("734", f77B="/BURN/")) == {("77B", "MT_CODE_WORD")}


# --- one error each -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "field", "value", "code"),
    [
        ("700", "31C", "270230", "MT_DATE"),
        ("700", "31D", "270631BERLIN", "MT_DATE"),
        ("700", "31D", "270630", "MT_FORMAT"),
        ("700", "40A", "REVOCABLE", "MT_CODE_WORD"),
        ("700", "40E", "UCP LATEST VERSION/600", "MT_RULES"),
        ("700", "40E", "UCP 600", "MT_CODE_WORD"),
        ("700", "41A", "BANKDEFF\nBY SIGHT", "MT_CODE_WORD"),
        ("700", "41A", "BANKQQFF\nBY PAYMENT", "MT_BIC"),
        ("700", "42A", "BANKQQFF", "MT_BIC"),
        ("700", "43P", "PERMITTED", "MT_CODE_WORD"),
        ("700", "43T", "SOMETIMES", "MT_CODE_WORD"),
        ("700", "49", "PERHAPS", "MT_CODE_WORD"),
        ("700", "20", "/LC1", "MT_REFERENCE"),
        ("700", "20", "LC//1", "MT_REFERENCE"),
        ("700", "20", "LC1/", "MT_REFERENCE"),
        ("700", "20", "LC-REFERENCE-TOO-LONG", "MT_FORMAT"),
        ("700", "27", "2/1", "MT_SEQUENCE"),
        ("700", "27", "1/9", "MT_SEQUENCE"),
        ("700", "50", "A\nB\nC\nD\nE", "MT_FORMAT"),
        ("700", "50", "A" * 36, "MT_FORMAT"),
        ("700", "50", "M\u00dcLLER", "MT_CHARACTER"),
        ("700", "50", "A & B", "MT_CHARACTER"),
        ("700", "50", "A\n-B", "MT_LINE"),
        ("700", "50", "A\n\nB", "MT_LINE"),
        ("700", "59", "/ACCOUNT ONLY", "MT_FORMAT"),
        ("700", "45A", "A}B", "MT_CHARACTER"),
        ("707", "22A", "AMND", "MT_CODE_WORD"),
        ("707", "46B", "+ CERTIFICATE", "MT_CODE_WORD"),
        ("707", "46B", "/ADD/A\n/CHANGE/B", "MT_CODE_WORD"),
        ("707", "46B", "/REPALL/A\n/ADD/B", "MT_CODE_WORD"),
        ("707", "71N", "APPL\nBECAUSE", "MT_CODE_WORD"),
        ("710", "40B", "IRREVOCABLE\nCONFIRMED", "MT_CODE_WORD"),
        ("734", "32A", "270631USD1,", "MT_DATE"),
    ],
)
def test_a_wrong_value_is_told_with_its_field(
    number: str, field: str, value: str, code: str
) -> None:
    assert found(sample(number, **{f"f{field}": value})) == {(field, code)}


def test_confirmation_names_the_bank_that_is_asked() -> None:
    assert found(sample("700", f58A=None)) == {("58a", "MT_CONFIRMER")}
    assert found(sample("700", f58A=None, f49="WITHOUT")) == set()


@pytest.mark.parametrize(
    ("message", "network"),
    [
        (sample("734", f33B="EUR75000,"), "C02"),
        (sample("734", f73A="OUR FEE"), "C17"),
        (sample("750", f34B="EUR74900,"), "C02"),
        (sample("750", f34B=None), "C13"),
        (sample("752", f33A=None, f33B="EUR1,"), "C02"),
        (sample("752", f33A=None), "C18"),
    ],
)
def test_totals_and_currencies_agree(message: Message, network: str) -> None:
    assert network_codes(message) == {network}


def test_every_error_is_told_at_once_with_its_line() -> None:
    text = (
        "{1:F01BANKBEBBAXXX0000000000}{2:I700BANKDEFFXXXXN}{4:\r\n"
        ":27:1/1\r\n:40A:REVOCABLE\r\n:20:/LC\r\n:31C:270230\r\n:71B:OLD FIELD\r\n"
        ":32B:USD1.5\r\n:32B:USD1,\r\n:20:AGAIN\r\n:45A:+ GOODS\r\n:: WHAT\r\n:49:CONFIRM\r\n-}"
    )
    [one] = read_messages(text.encode())
    told = [(finding.line, finding.field, finding.code) for finding in check(one)]
    assert set(told) == {
        (0, "40E", "MT_FIELD_MISSING"),
        (0, "31D", "MT_FIELD_MISSING"),
        (0, "50", "MT_FIELD_MISSING"),
        (0, "59", "MT_FIELD_MISSING"),
        (0, "41a", "MT_FIELD_MISSING"),
        (0, "58a", "MT_CONFIRMER"),
        (2, "40A", "MT_CODE_WORD"),
        (3, "20", "MT_REFERENCE"),
        (4, "31C", "MT_DATE"),
        (5, "71B", "MT_FIELD_UNKNOWN"),
        (6, "32B", "MT_FORMAT"),
        (7, "32B", "MT_FIELD_REPEATED"),
        (8, "20", "MT_FIELD_REPEATED"),
        (10, "45A", "MT_TAG"),
        (10, "45A", "MT_LINE"),
    }
    assert [line for line, _, _ in told] == sorted(line for line, _, _ in told)


def test_both_options_of_one_field_are_one_too_many() -> None:
    fields = [*sample("700").fields]
    at = next(n for n, one in enumerate(fields) if one.tag == "41A")
    values = [(one.tag, one.value) for one in fields]
    values.insert(at + 1, ("41D", "ANY BANK\nBY PAYMENT"))
    assert found(message_of("700", values)) == {("41D", "MT_FIELD_REPEATED")}


def test_fields_out_of_order_are_told() -> None:
    values = [(one.tag, one.value) for one in sample("752").fields]
    assert found(message_of("752", reversed(values))) == {
        (tag, "MT_FIELD_ORDER") for tag, _ in values[:-1]
    }


def test_a_text_longer_than_the_network_takes() -> None:
    goods = "\n".join(["A" * 65] * 100)
    long = sample("700", f45A=goods, f46A=goods)
    assert len(long.text) > CHARACTERS_MAX["700"]
    assert found(long) == {("", "MT_LENGTH")}
    assert found(sample("752", f79Z="\n".join(["B" * 50] * 35))) == set()
    assert fits("100*65z", goods) and not fits("100*65z", goods + "\nA")


# --- envelopes, bounds and hostile bytes ----------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"hello", "MT_ENVELOPE"),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I700BANKDEFFXXXXN}{4:\r\n:27:1/1\r\n", "MT_ENVELOPE"),
        (b"{1:F01}{2:I700BANKDEFFXXXXN}{4:\n-}", "MT_HEADER"),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I700BANK}{4:\n-}", "MT_HEADER"),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I103BANKDEFFXXXXN}{4:\n-}", "MT_TYPE"),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I700BANKDEFFXXXXN}{4:\nX\n-}", "MT_TAG"),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I700BANKDEFFXXXXN}{3:{1:X}}{4:\n-}", "MT_HEADER"),
    ],
)
def test_what_is_no_message_is_told(raw: bytes, code: str) -> None:
    [one] = read_messages(raw)
    assert code in {finding.code for finding in check(one)}


def test_a_file_holds_many_messages_and_the_bad_ones_do_not_hide_the_good() -> None:
    good = sample("700").to_bytes()
    reads = read_messages(good + b"$" + b"{1:broken}" + b"\r\n" + good + good)
    assert [bool(check(one)) for one in reads] == [False, True, False, False]


def test_files_are_bounded() -> None:
    with pytest.raises(InputError, match="MT_TOO_LARGE"):
        read_messages(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(InputError, match="MT_TOO_MANY"):
        read_messages(b"{1:}" * 1_001)
    with pytest.raises(InputError, match="MT_EMPTY"):
        read_messages(b"\r\n$ ")


def test_the_largest_hostile_files_are_told_apart() -> None:
    head = b"{1:F01BANKBEBBAXXX0000000000}{2:I700BANKDEFFXXXXN}{4:\n"
    size = FILE_BYTES_MAX - 200
    files = [
        head * (size // len(head)),
        head + b":45A:" + b"A\n" * (size // 2) + b"-}",
        head + b":45A:" + b"/ADD/" * (size // 5) + b"\n-}",
        head + b":27:\n" * (size // 5) + b"-}",
        b"{1:" * (size // 3),
        b"{3:{" * (size // 4),
    ]
    for raw in files:
        try:
            reads = read_messages(raw)
        except InputError as error:
            assert error.code == "MT_TOO_MANY"
            continue
        assert all(check(one) for one in reads)


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        reads = read_messages(raw)
    except InputError:
        return
    for one in reads:
        assert check(one)


@given(messages(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_valid_message_with_one_byte_changed_never_breaks_the_reader(
    message: Message, data: st.DataObject
) -> None:
    raw = bytearray(message.to_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    for one in read_messages(bytes(raw)):
        for finding in check(one):
            assert re.fullmatch(r"MT_[A-Z_]+", finding.code)
            assert finding.field == "" or re.fullmatch(r"[0-9]{2}[A-Za]?", finding.field)


# --- round trips, and an independent reader -------------------------------------------------------


@given(messages())
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back_equal(message: Message) -> None:
    raw = message.to_bytes()
    [one] = read_messages(raw)
    assert check(one) == []
    assert one.message == message
    assert one.message.to_bytes() == raw
    [with_lf] = read_messages(raw.replace(b"\r\n", b"\n"))
    assert with_lf.message == message
    assert message_from_json(message.to_json()) == message
    assert (message.sender, message.receiver) == (SENDER, RECEIVER)


@given(messages())
@settings(max_examples=60, deadline=None)
def test_an_independent_reader_sees_the_same_fields(message: Message) -> None:
    assume(not message.fields[-1].value.endswith("-"))  # it takes that for the block's end
    theirs = MTParser().parse(message.to_bytes().decode().replace("\r\n", "\n"))
    assert theirs.message_type == message.number
    assert [(one.tag, one.value) for one in theirs.block4.fields] == [
        (one.tag, one.value) for one in message.fields
    ]
    assert theirs.sender.startswith(SENDER) and theirs.receiver.startswith(RECEIVER[:8])


# Its MT700 is of an older release: what it does not know it writes last.
@pytest.mark.parametrize("number", sorted(set(SAMPLES) - {"700"}))
def test_what_the_independent_library_writes_is_read_equal(number: str) -> None:
    message = sample(number)
    theirs = MTParser().parse(message.to_bytes().decode().replace("\r\n", "\n"))
    [one] = read_messages(theirs.to_swift().encode())
    assert one.message is not None
    assert one.message.fields == message.fields
    assert check(one) == []


def test_headers_of_output_messages_and_trailers_survive() -> None:
    text = sample("734").to_bytes().decode()
    text = text.replace(
        "{2:I734BANKDEFFXHAMN}", "{2:O7341200270610BANKFRPPAXXX00000000002706101201N}{3:{108:MUR1}}"
    )
    raw = f"{text}{{5:{{CHK:ABCDEF123456}}{{TNG:}}}}{{S:{{SAC:}}{{COP:P}}}}".encode()
    [one] = read_messages(raw)
    assert check(one) == [] and one.message is not None
    assert (one.message.sender, one.message.receiver) == ("BANKFRPP", "BANKBEBB")
    assert one.message.to_bytes() == raw


def test_a_new_message_has_its_fields_in_the_order_of_the_table() -> None:
    shuffled = list(reversed(list(SAMPLES["700"].items())))
    assert new_message("700", SENDER, RECEIVER, shuffled) == sample("700")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"format": "hansa-mt/1"},
        {**sample("752").to_json(), "fields": [{"tag": "20"}]},
        {**sample("752").to_json(), "fields": [{"tag": "2\n", "value": ""}]},
        {**sample("752").to_json(), "mt": 752},
        {**sample("752").to_json(), "format": "hansa-mt/2"},
    ],
)
def test_json_that_is_no_message_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="MT_JSON"):
        message_from_json(value)


# --- formats and values ---------------------------------------------------------------------------


def test_all_formats_compile_and_want_something() -> None:
    for notation in set(FORMATS.values()):
        assert pattern(notation).fullmatch("") is None, notation
    with pytest.raises(ValueError, match="no format"):
        pattern("3?a")


@pytest.mark.parametrize(
    ("notation", "good", "bad"),
    [
        ("6!n3!a15d", ["270610USD1,", "270610USD123456789012,34"], ["270610USD1", "270610US1,"]),
        ("[/34x]$4*35x", ["A", "/1\nA", "A\nB\nC\nD"], ["/1", "/1\n", "\nA", "A\nB\nC\nD\nE"]),
        ("[/1!a][/34x]$[35x]", ["/C", "/C/12", "/C\nROME", "ROME"], ["", "/C\n", "/C/12\nA\nB"]),
        ("[/1!a][/34x]$4*35x", ["/D/1\nA", "/1\nA", "A"], ["/D/1"]),
        ("30x[/35x]", ["OTHR/X", "OTHR"], ["OTHR/" + "X" * 60]),
        ("4!c[$6*35z]", ["OTHR", "OTHR\nA;B"], ["OTHR\n", "OTH"]),
    ],
)
def test_formats(notation: str, good: list[str], bad: list[str]) -> None:
    assert all(fits(notation, one) for one in good)
    assert not any(fits(notation, one) for one in bad)


def test_set_z_is_set_x_and_some_more() -> None:
    assert SET_X < SET_Z and not SET_Z & set("}|~^`$[]\\\n\r\t")


@given(st.sampled_from(sorted(MINOR_UNITS)), st.integers(0, 10**13))
def test_amounts_come_back(currency: str, minor: int) -> None:
    amount = Amount(currency, minor)
    text = swift_amount(amount)
    assert fits("3!a15d", text)
    assert amount_of(text) == amount


@given(st.dates(min_value=datetime.date(1980, 1, 1)))
def test_days_come_back_or_are_refused(day: object) -> None:
    iso = str(day)
    if iso < "2080":
        assert date_of(swift_date(iso)) == iso
    else:
        with pytest.raises(Wrong, match="two digits"):
            swift_date(iso)
