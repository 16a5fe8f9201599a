"""SWIFT messages for tests: one whole sample of each type, and strategies for any valid one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

from hypothesis import strategies as st

from cli.mt.formats import SET_X, SET_Z
from cli.mt.message import Field, Message, headers
from cli.mt.rules import AVAILABLE_BY, CREDIT_FORMS, FATES
from cli.mt.tables import FORMATS, TABLES, Row
from contracts.sdk.codes import MINOR_UNITS

SENDER, RECEIVER = "BANKBEBB", "BANKDEFFHAM"

_CREDIT = {
    "27": "1/1",
    "31C": "270105",
    "40E": "UCP LATEST VERSION",
    "31D": "270630FRANKFURT",
    "50": "COFFEE BUYERS LTD\n12 HARBOUR ROAD\nANTWERP",
    "59": "/ET1234567890\nCOFFEE EXPORTERS PLC\nADDIS ABABA",
    "32B": "USD150000,",
    "39A": "05/05",
    "41A": "BANKDEFF\nBY NEGOTIATION",
    "42C": "AT SIGHT",
    "42A": "BANKBEBB",
    "43P": "ALLOWED",
    "43T": "NOT ALLOWED",
    "44E": "DJIBOUTI",
    "44F": "HAMBURG",
    "44C": "270531",
    "45A": "+ 60 MT COFFEE\nFOB DJIBOUTI",
    "46A": "+ COMMERCIAL INVOICE IN 3 COPIES\n+ FULL SET OF CLEAN ON BOARD BILLS OF LADING",
    "47A": "+ ALL DOCUMENTS IN ENGLISH",
    "71D": "ALL CHARGES OUTSIDE BELGIUM ARE\nFOR BENEFICIARY",
    "48": "021/AFTER SHIPMENT",
    "49": "CONFIRM",
    "58A": "BANKDEFF",
    "57A": "BANKETAA",
    "72Z": "/PHONBEN/",
}
_ADVISED = {**_CREDIT, "40B": "IRREVOCABLE TRANSFERABLE\nADDING OUR CONFIRMATION"}

SAMPLES = {
    "700": {**_CREDIT, "40A": "IRREVOCABLE", "20": "LC2027-0001"},
    "707": {
        "27": "1/1",
        "20": "LC2027-0001",
        "21": "NONREF",
        "23": "LC2027-0001",
        "31C": "270105",
        "26E": "001",
        "30": "270210",
        "22A": "ISSU",
        "31D": "270731FRANKFURT",
        "32B": "USD10000,5",
        "44C": "270630",
        "46B": "/ADD/+ CERTIFICATE OF ORIGIN\n/DELETE/+ PACKING LIST",
        "71N": "APPL",
    },
    "710": {**_ADVISED, "20": "ADV-1", "21": "LC2027-0001", "52A": "BANKBEBB"},
    "720": {**_ADVISED, "20": "TRF-1", "21": "LC2027-0001", "50B": "TRADING HOUSE\nGENEVA"},
    "734": {
        "20": "LC2027-0001",
        "21": "PRES-1",
        "32A": "270610USD75000,",
        "77J": "LATE PRESENTATION\nBILL OF LADING NOT CLEAN",
        "77B": "/NOTIFY/",
    },
    "750": {
        "20": "PRES-1",
        "21": "LC2027-0001",
        "32B": "USD75000,",
        "71D": "/AGENT/USD100,",
        "34B": "USD74900,",
        "77J": "LATE PRESENTATION",
    },
    "752": {
        "20": "LC2027-0001",
        "21": "PRES-1",
        "23": "NEGOTIATE",
        "30": "270612",
        "32B": "USD75000,",
        "71D": "/AGENT/USD100,",
        "33A": "270615USD74900,",
        "72Z": "/DISCREP/ACCEPTED",
    },
}


def message_of(number: str, fields: Iterable[tuple[str, str]]) -> Message:
    """A message of these fields, in this order, whatever they are."""
    basic, application = headers(number, SENDER, RECEIVER)
    made = tuple(Field(tag, value) for tag, value in fields)
    return Message(number, basic, application, made)


def sample(number: str, **changed: str | None) -> Message:
    """The sample of a type; ``f32B="..."`` sets field 32B, ``f32B=None`` takes it out."""
    values: dict[str, str | None] = dict(SAMPLES[number])
    values |= {name.removeprefix("f"): value for name, value in changed.items()}
    order = [tag for row in TABLES[number] for tag in row.tags]
    present = [(tag, value) for tag in order if (value := values.get(tag)) is not None]
    return message_of(number, present)


# --- any valid message ----------------------------------------------------------------------------

_DATE = st.dates(
    min_value=datetime.date(1980, 1, 1),
    max_value=datetime.date(2079, 12, 31),
).map(lambda one: one.strftime("%y%m%d"))
_BIC = st.sampled_from(["BANKDEFF", "BANKBEBBXXX", "COFFETAA", "NEGODEHHHAM"])


@st.composite
def _money(draw: st.DrawFn, currency: str) -> str:
    digits = MINOR_UNITS[currency]
    part = draw(st.text("0123456789", max_size=digits))
    whole = draw(st.integers(0, 10 ** (14 - digits) - 1))
    return f"{currency}{whole},{part}"


def _line(characters: frozenset[str], size: int) -> st.SearchStrategy[str]:
    inner = st.text(sorted(characters), min_size=1, max_size=size)
    return inner.filter(lambda text: text[0] not in "/:-" and text.strip() == text)


@st.composite
def _lines(draw: st.DrawFn, notation: str) -> str:
    found = re.fullmatch(r"(?:([0-9]+)\*)?([0-9]+)([xz])", notation)
    assert found is not None
    characters = SET_Z if found[3] == "z" else SET_X
    most = min(int(found[1] or 1), 4)
    return "\n".join(draw(st.lists(_line(characters, int(found[2])), min_size=1, max_size=most)))


@st.composite
def _value(draw: st.DrawFn, tag: str, currency: str) -> str:
    words = {
        "22A": ("ACNF", "ADVI", "ISSU"),
        "23S": ("CANCEL",),
        "27": ("1/1", "1/3", "8/8"),
        "39A": ("05/05", "10/0", "0/10"),
        "40A": CREDIT_FORMS,
        "40E": ("UCP LATEST VERSION", "OTHR/RULES OF OUR OWN", "OTHR"),
        "43P": ("ALLOWED", "CONDITIONAL", "NOT ALLOWED"),
        "43T": ("ALLOWED", "CONDITIONAL", "NOT ALLOWED"),
        "48": ("21", "000/PROMPTLY", "7/AFTER SHIPMENT"),
        "49": ("CONFIRM", "MAY ADD", "WITHOUT"),
        "26E": ("1", "002", "999"),
        "71N": ("APPL", "OTHR\nSOMEBODY ELSE", "BENE"),
        "77B": tuple(f"/{fate}/" for fate in FATES),
    }
    if tag in words:
        return draw(st.sampled_from(words[tag]))
    if tag in ("20", "21", "23"):
        return draw(st.from_regex(r"[A-Z0-9]{1,8}(/[A-Z0-9]{1,7})?", fullmatch=True))
    if tag in ("30", "31C", "44C"):
        return draw(_DATE)
    if tag == "31D":
        return draw(_DATE) + draw(_line(SET_X, 29))
    if tag in ("32B", "33B", "34B"):
        return draw(_money(currency))
    if tag in ("32A", "33A"):
        return draw(_DATE) + draw(_money(currency))
    if tag == "40B":
        confirmed = st.sampled_from(["ADDING OUR CONFIRMATION", "WITHOUT OUR CONFIRMATION"])
        return f"{draw(st.sampled_from(CREDIT_FORMS))}\n{draw(confirmed)}"
    if tag.startswith("41"):
        bank = draw(_BIC) if tag == "41A" else draw(_lines("4*35x"))
        return f"{bank}\n{draw(st.sampled_from(AVAILABLE_BY))}"
    if tag in ("45B", "46B", "47B", "49M", "49N"):
        codes = draw(st.sampled_from([("REPALL",), ("ADD",), ("ADD", "DELETE")]))
        return "\n".join(f"/{code}/{draw(_lines('1*50z'))}" for code in codes)
    if tag == "59":
        return draw(st.sampled_from(["", "/ET12345\n"])) + draw(_lines("4*35x"))
    notation = FORMATS[tag]
    if notation.startswith("["):
        account = draw(st.sampled_from(["", "/C\n", "/12345\n", "/D/12345\n"]))
        if tag.endswith("A"):
            return account + draw(_BIC)
        if tag.endswith("B"):
            return (account + draw(_line(SET_X, 35))) if draw(st.booleans()) else "/12345"
        return account + draw(_lines("4*35x"))
    return draw(_lines(notation))


def _drop(chosen: set[str], number: str, pick: int) -> set[str]:
    """Without what the rules between fields exclude; with what they need."""
    if number in ("700", "710", "720"):
        ways: list[set[str]] = [set(), {"42C", "42a"}, {"42M"}, {"42P"}]
        chosen = chosen - {"42C", "42a", "42M", "42P"} | ways[pick % 4]
        chosen |= {"58a"}
    if number in ("710", "720"):
        chosen = chosen - {"52a", "50B"} | ({"52a"} if pick % 2 else {"50B"})
    if "44D" in chosen:
        chosen -= {"44C"}
    if number == "707":
        chosen |= {"58a"}
        chosen -= {"33B"} if pick % 2 else {"32B"}
    if number in ("734", "752"):
        chosen |= {"33a"}
    if number == "750":
        chosen |= {"34B"}
    return chosen


@st.composite
def messages(draw: st.DrawFn, number: str | None = None) -> Message:
    """A valid message of any of the seven types, or of the one."""
    number = number or draw(st.sampled_from(sorted(TABLES)))
    rows: tuple[Row, ...] = TABLES[number]
    chosen = {row.field for row in rows if row.is_mandatory or draw(st.booleans())}
    chosen = _drop(chosen, number, draw(st.integers(0, 3)))
    currency = draw(st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
    fields = []
    for row in rows:
        if row.field in chosen:
            tag = draw(st.sampled_from(row.tags))
            fields.append((tag, draw(_value(tag, currency))))
    return message_of(number, fields)
