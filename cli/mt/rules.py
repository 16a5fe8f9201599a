"""What SWIFT's network checks of a message, and what it would not forgive: all of it at once.

First the fields, one by one, against their table; then the rules between fields, which look only
at those that are in order themselves. Numbers such as C90 are the network's codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from cli.mt.formats import character_set, fits
from cli.mt.message import Field, Finding, Message, Read, header_findings
from cli.mt.tables import CHARACTERS_MAX, FORMATS, TABLES, place_of
from cli.mt.values import Wrong, amount_of, check_bic, code_and_rest, date_of

_SHIPMENT: Final = ("ALLOWED", "CONDITIONAL", "NOT ALLOWED")
CREDIT_FORMS: Final = (
    "IRREVOCABLE",
    "IRREVOCABLE TRANSFERABLE",
    "IRREVOCABLE STANDBY",
    "IRREVOC TRANS STANDBY",
)
AVAILABLE_BY: Final = (
    "BY ACCEPTANCE",
    "BY DEF PAYMENT",
    "BY MIXED PYMT",
    "BY NEGOTIATION",
    "BY PAYMENT",
)
RULES_OF_CREDITS: Final = (
    "EUCP LATEST VERSION",
    "EUCPURR LATEST VERSION",
    "ISP LATEST VERSION",
    "OTHR",
    "UCP LATEST VERSION",
    "UCPURR LATEST VERSION",
)
FATES: Final = ("HOLD", "NOTIFY", "PREVINST", "RETURN")
"""What becomes of refused documents, 77B: UCP 600 art. 16(c)(iii)(a), (b), (d) and (c)."""

_WHOLE_VALUE_CODES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "22A": (("ACNF", "ADVI", "ISSU"), ""),
    "23S": (("CANCEL",), ""),
    "40A": (CREDIT_FORMS, "T64"),
    "43P": (_SHIPMENT, ""),
    "43T": (_SHIPMENT, ""),
    "49": (("CONFIRM", "MAY ADD", "WITHOUT"), ""),
}
_CONFIRMATIONS: Final = ("ADDING OUR CONFIRMATION", "WITHOUT OUR CONFIRMATION")
_CHANGES: Final = ("ADD", "DELETE", "REPALL")
_CHANGED_TEXTS: Final = frozenset({"45B", "46B", "47B", "49M", "49N"})
_DATED: Final = frozenset({"30", "31C", "31D", "32A", "33A", "44C"})
_MONEY_AT: Final = {"32A": 6, "32B": 0, "33A": 6, "33B": 0, "34B": 0}
_REFERENCES: Final = frozenset({"20", "21", "23"})
_BY_BIC: Final = frozenset({"42A", "51A", "52A", "53A", "54A", "57A", "58A"})


def check(read: Read) -> list[Finding]:
    """Everything that is wrong with a message of a file, in the order of its lines."""
    if read.message is None:
        return list(read.findings)
    found = [*read.findings, *_findings(read.message)]
    return sorted(found, key=lambda one: one.line)


def check_message(message: Message) -> list[Finding]:
    """Everything that is wrong with a message that was made here."""
    return [*header_findings(message), *_findings(message)]


def _findings(message: Message) -> list[Finding]:
    if message.number not in TABLES:
        return []
    found: list[Finding] = []
    sound: dict[str, Field] = {}
    for field in _placed(message, found):
        wrong = list(_of_field(field))
        found += wrong
        if not wrong:
            sound[field.tag] = field
    found += _missing(message)
    size = len(message.text)
    if size > CHARACTERS_MAX[message.number]:
        said = f"the text has {size} of at most {CHARACTERS_MAX[message.number]} characters"
        found.append(Finding("", 0, "MT_LENGTH", said, "M50"))
    present = {field.tag for field in message.fields}
    for rule in _BETWEEN_FIELDS:
        found += rule(message.number, sound, present)
    return found


# --- fields one by one -------------------------------------------------------------------------


def _placed(message: Message, found: list[Finding]) -> Iterator[Field]:
    """The fields that are of this message; those unknown, twice there or out of order are told."""
    last = -1
    seen: set[int] = set()
    for field in message.fields:
        place = place_of(message.number, field.tag)
        if place < 0:
            said = f"MT{message.number} has no field {field.tag}"
            found.append(Finding(field.tag, field.line, "MT_FIELD_UNKNOWN", said))
            continue
        if place in seen:
            name = TABLES[message.number][place].field
            said = f"field {name} stands twice"
            found.append(Finding(field.tag, field.line, "MT_FIELD_REPEATED", said))
            continue
        if place < last:
            before = TABLES[message.number][last].field
            said = f"field {field.tag} stands before {before}"
            found.append(Finding(field.tag, field.line, "MT_FIELD_ORDER", said))
        seen.add(place)
        last = max(last, place)
        yield field


def _missing(message: Message) -> Iterator[Finding]:
    present = {field.tag for field in message.fields}
    for row in TABLES[message.number]:
        if row.is_mandatory and not present & set(row.tags):
            yield Finding(row.field, 0, "MT_FIELD_MISSING", f"{row.name} is missing")


def _of_field(field: Field) -> Iterator[Finding]:
    """What is wrong with one field by itself."""
    notation = FORMATS[field.tag]
    allowed = character_set(notation)
    bad_text = False
    for number, line in enumerate(field.value.split("\n"), field.line):
        strange = sorted(set(line) - allowed)
        if strange:
            bad_text = True
            said = f"{_shown(strange)} may not stand in this field"
            yield Finding(field.tag, number, "MT_CHARACTER", said, "M60")
        if not line or (number > field.line and line[0] in ":-"):
            bad_text = True
            said = "a line is not empty and begins with neither a colon nor a hyphen"
            yield Finding(field.tag, number, "MT_LINE", said)
    if bad_text:
        return
    if not fits(notation, field.value):
        said = f"the format is {notation.replace('$', ' / ')}"
        yield Finding(field.tag, field.line, "MT_FORMAT", said)
        return
    try:
        _check_value(field.tag, field.value)
    except Wrong as wrong:
        yield Finding(field.tag, field.line, wrong.code, str(wrong), wrong.network)


def _shown(characters: list[str]) -> str:
    return " ".join(one if " " <= one <= "~" else f"\\x{ord(one):02x}" for one in characters[:8])


def _check_value(tag: str, value: str) -> None:
    """Raises Wrong."""
    if tag in _DATED:
        date_of(value[:6])
    if tag in _MONEY_AT:
        amount_of(value[_MONEY_AT[tag] :])
    if tag in _BY_BIC:
        check_bic(value.rsplit("\n", maxsplit=1)[-1])
    if tag in _REFERENCES and (value[0] == "/" or value[-1] == "/" or "//" in value):
        raise Wrong("MT_REFERENCE", "no slash at either end, no two together", "T26")
    if tag in _WHOLE_VALUE_CODES:
        _require_code(value, *_WHOLE_VALUE_CODES[tag])
    lines = value.split("\n")
    if tag in ("41A", "41D"):
        if tag == "41A":
            check_bic(lines[0])
        _require_code(lines[-1], AVAILABLE_BY, "T68")
    elif tag == "40B":
        _require_code(lines[0], CREDIT_FORMS, "T64")
        _require_code(lines[1], _CONFIRMATIONS, "T66")
    elif tag == "40E":
        rules, slash, narrative = value.partition("/")
        _require_code(rules, RULES_OF_CREDITS, "T59")
        if slash and rules != "OTHR":
            raise Wrong("MT_RULES", f"only OTHR is explained, not {rules}: {narrative}", "D81")
    elif tag == "71N":
        _require_code(lines[0], ("APPL", "BENE", "OTHR"), "T67")
        if len(lines) > 1 and lines[0] != "OTHR":
            raise Wrong("MT_CODE_WORD", "only OTHR is explained", "T67")
    elif tag == "77B" and lines[0].startswith("/"):
        _require_code(code_and_rest(lines[0])[0], FATES, "")
    elif tag in _CHANGED_TEXTS:
        _check_changes(lines)
    elif tag == "27":
        first, total = value.split("/")
        if not 1 <= int(first) <= int(total) <= 8:
            raise Wrong("MT_SEQUENCE", "a number and the total, both from 1 to 8", "")


def _require_code(word: str, allowed: tuple[str, ...], network: str) -> None:
    if word not in allowed:
        raise Wrong("MT_CODE_WORD", f"{word!r} is none of {', '.join(allowed)}", network)


def _check_changes(lines: list[str]) -> None:
    """/ADD/, /DELETE/ or /REPALL/ before each changed passage; /REPALL/ stands alone."""
    codes = [code for code, _ in map(code_and_rest, lines) if code]
    if not code_and_rest(lines[0])[0]:
        raise Wrong("MT_CODE_WORD", "begins with /ADD/, /DELETE/ or /REPALL/", "T67")
    for code in codes:
        _require_code(code, _CHANGES, "T67")
    if "REPALL" in codes and len(codes) > 1:
        raise Wrong("MT_CODE_WORD", "/REPALL/ stands alone", "T67")


# --- rules between fields ----------------------------------------------------------------------

_Rule = Callable[[str, dict[str, Field], set[str]], Iterator[Finding]]
_CREDITS: Final = ("700", "710", "720")


def _drafts(number: str, _sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """Rule 45: 42C with 42a, or 42M alone, or 42P alone."""
    if number not in _CREDITS:
        return
    drafts, drawee = "42C" in present, bool(present & {"42A", "42D"})
    if drafts != drawee:
        lacking, other = ("42a", "42C") if drafts else ("42C", "42a")
        said = f"{other} does not stand without {lacking}"
        yield Finding(lacking, 0, "MT_DRAFTS", said, "C90")
    ways = (drafts or drawee) + ("42M" in present) + ("42P" in present)
    if ways > 1:
        said = "drafts (42C, 42a), mixed payment (42M) and deferred (42P) exclude each other"
        yield Finding("42C" if drafts else "42M", 0, "MT_DRAFTS", said, "C90")


def _shipment_once(number: str, _sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """Rule 45: a latest date or a period of shipment, not both."""
    if {"44C", "44D"} <= present:
        said = "either a latest date (44C) or a period (44D) of shipment"
        yield Finding("44D", 0, "MT_SHIPMENT", said, "D06")


def _one_issuer(number: str, _sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """Rule 44: exactly one of 52a and 50B."""
    if number not in ("710", "720"):
        return
    issuers = bool(present & {"52A", "52D"}) + ("50B" in present)
    if issuers != 1:
        said = "either an issuing bank (52a) or a non-bank issuer (50B)"
        yield Finding("52a", 0, "MT_ISSUER", said, "C06")


def _confirmer(number: str, sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """CONFIRM and MAY ADD say whom they ask."""
    asks = "49" in sound and sound["49"].value in ("CONFIRM", "MAY ADD")
    if asks and not present & {"58A", "58D"}:
        said = f"49 {sound['49'].value} needs the bank that is to confirm"
        yield Finding("58a", 0, "MT_CONFIRMER", said)


_MT707_FRAME: Final = frozenset(
    {"20", "21", "22A", "23", "26E", "27", "30", "31C", "50B", "52A", "52D"}
)


def _amends(number: str, _sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """Rule 43: an amendment says something; it raises or lowers the amount, not both."""
    if number != "707":
        return
    if not present - _MT707_FRAME:
        yield Finding("", 0, "MT_NOTHING_AMENDED", "it amends nothing", "C30")
    if {"32B", "33B"} <= present:
        said = "it raises the amount (32B) or lowers it (33B)"
        yield Finding("33B", 0, "MT_RAISED_AND_LOWERED", said)


_SAME_CURRENCY: Final = {"734": ("32A", "33A", "33B"), "750": ("32B", "34B"), "752": (
    "32B", "33A", "33B")}  # fmt: skip


def _currencies(number: str, sound: dict[str, Field], _present: set[str]) -> Iterator[Finding]:
    tags = [tag for tag in _SAME_CURRENCY.get(number, ()) if tag in sound]
    currencies = [sound[tag].value[_MONEY_AT[tag] :][:3] for tag in tags]
    for tag, currency in zip(tags, currencies, strict=True):
        if currency != currencies[0]:
            said = f"{currency} here, {currencies[0]} in {tags[0]}"
            yield Finding(tag, sound[tag].line, "MT_CURRENCIES", said, "C02")


def _totals(number: str, _sound: dict[str, Field], present: set[str]) -> Iterator[Finding]:
    """Charges and further amounts want the total."""
    total, network = "", ""
    if number == "734" and "73A" in present:
        total, network = "33a", "C17"
    elif number == "750" and present & {"33B", "71D", "73A"}:
        total, network = "34B", "C13"
    elif number == "752" and {"32B", "71D"} <= present:
        total, network = "33a", "C18"
    if total and not present & {"34B" if total == "34B" else tag for tag in ("33A", "33B")}:
        said = "charges or a further amount need the total"
        yield Finding(total, 0, "MT_TOTAL", said, network)


_BETWEEN_FIELDS: Final[tuple[_Rule, ...]] = (
    _drafts,
    _shipment_once,
    _one_issuer,
    _confirmer,
    _amends,
    _currencies,
    _totals,
)
