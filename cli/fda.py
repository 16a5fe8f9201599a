"""FDA enforcement records: from openFDA's JSON, or the enforcement report's XML, to a recall.

What the record says of product, reason and codes becomes the recall's announcement as it stands.
Lots are taken from its code information only where nothing else can be meant: a range of lots, or
words among the numbers, leave them to people. A GTIN is made of a UPC with its check digit, or of a
National Drug Code of ten digits, if the record has just one of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Final

from lxml import etree

from cli.output import why_no_json
from consensus.primitives.errors import InputError
from contracts.sdk.checks import gs1_check_digit
from contracts.supply.recall_records import ITEMS_MAX

FILE_BYTES_MAX: Final = 16 << 20
ROWS_MAX: Final = 10_000
PRODUCT_MAX, REASON_MAX, CODES_MAX, SHORT_MAX = 8_000, 4_000, 20_000, 300
DISTRIBUTION_MAX, FIRM_MAX, LOT_MAX = 2_000, 1_000, 20

KINDS: Final = {
    "drugs": "DRUG", "biologics": "BIOLOGIC", "devices": "DEVICE", "food": "FOOD",
    "veterinary": "VETERINARY", "cosmetics": "COSMETIC", "tobacco": "TOBACCO",
}  # fmt: skip
CLASSES: Final = {"class i": "I", "class ii": "II", "class iii": "III"}
NOT_YET: Final = ("", "not yet classified")

_RANGE: Final = re.compile(
    r"\b(through|thru|to|from|between|including|all|range)\b|\d\s+-\s+\d", re.I
)
_HEADING: Final = re.compile(
    r"\b(lot|batch|unit)s?(\s+(number|no\.?))?s?\s*(#\s*)?('?s\b)?\s*:?", re.I
)
_DATES: Final = re.compile(
    r"\b(exp(ir(es|y|ation))?\.?(\s+dates?)?|best( if used)? by( date)?|use by( date)?)\s*:?\s*"
    r"\d{1,2}[/-]\s?(\d{1,2}[/-])?\d{2,4}",
    re.I,
)
_LABEL: Final = re.compile(r"(?<![A-Za-z0-9])[a-z0-9]{1,2}\)(\s*(,|and)(?=\s*[a-z0-9]{1,2}\)))?")
_BRACKETS: Final = re.compile(r"\([^()]*\)")
_NUMBER: Final = re.compile(r"(?=.*[0-9])[A-Z0-9][A-Z0-9/-]{2,19}")
_UPC: Final = re.compile(r"\bUPC\s*(?:code)?\s*[#:]?\s*([0-9](?:[ -]?[0-9]){11})(?![0-9])", re.I)
_NDC: Final = re.compile(r"\bNDC\s*(?:#|no\.?)?\s*:?\s*([0-9]{4,5}-[0-9]{3,4}-[0-9]{1,2})\b", re.I)
_RECALL: Final = re.compile(r"Recall\s*#\s*([A-Z]-[0-9]{3,4}-[0-9]{2,4})")


class NoRecall(Exception):
    """A record that can't become a recall: a code, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclasses.dataclass(frozen=True)
class Record:
    """A record as the calls of the recall contract take it.

    ``lots`` are those that are certain, ``gtin`` is the product's where that is; ``note`` says why
    there are none. ``recall_class`` is empty where the record has none.
    """

    name: str  # the FDA's recall number, where it is known
    announcement: dict[str, Any]
    recall_class: str
    lots: tuple[str, ...]
    gtin: str
    note: str

    @property
    def items(self) -> list[str]:
        """The GS1 paths of the lots, where the product is known."""
        return [f"01/{self.gtin}/10/{lot.replace('/', '%2F')}" for lot in self.lots if self.gtin]


def read_records(raw: bytes) -> list[dict[str, str]]:
    """The records of a file: openFDA's answer, a list, one record, one a line, or XML.

    Names have underscores, texts no needless space. Raises InputError FDA_UNREADABLE.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("FDA_UNREADABLE", f"more than {FILE_BYTES_MAX} bytes")
    try:
        text = raw.decode("utf-8-sig")
        found = _xml(text) if text.lstrip().startswith("<") else _json(text)
    except (ValueError, RecursionError, etree.XMLSyntaxError) as error:
        why = why_no_json(error)
        raise InputError("FDA_UNREADABLE", f"no JSON or XML of records: {why}") from None
    if not found:
        raise InputError("FDA_UNREADABLE", "there are no records in it")
    if len(found) > ROWS_MAX:
        raise InputError("FDA_UNREADABLE", f"more than {ROWS_MAX} records")
    return [_plain(one) for one in found]


def record_of(row: dict[str, str]) -> Record:
    """Raises NoRecall with the reason where a record can't become a recall."""
    wanted = {"product_description": PRODUCT_MAX, "reason_for_recall": REASON_MAX}
    for name in wanted:
        if not row.get(name):
            raise NoRecall("FDA_FIELD_MISSING", f"there is no {name}")
    if not row.get("code_info"):
        raise NoRecall("FDA_FIELD_MISSING", "there is no code_info: nothing says what is recalled")
    limits = wanted | {
        "code_info": CODES_MAX,
        "product_quantity": SHORT_MAX,
        "distribution_pattern": DISTRIBUTION_MAX,
        "recalling_firm": FIRM_MAX,
    }
    for name, most in limits.items():
        if len(row.get(name, "")) > most:
            raise NoRecall("FDA_FIELD_TOO_LONG", f"{name} has more than {most} characters")
    word = row.get("classification", "").lower()
    if word not in CLASSES and word not in NOT_YET:
        raise NoRecall("FDA_CLASS_UNKNOWN", f"{row['classification'][:40]!r} is no class")
    announcement = {
        "product": row["product_description"],
        "reason": row["reason_for_recall"],
        "codes": row["code_info"],
        "amount": row.get("product_quantity", ""),
        "distribution": row.get("distribution_pattern", ""),
        "firm": row.get("recalling_firm", ""),
        "kind": KINDS.get(row.get("product_type", "").lower(), "OTHER"),
    }
    lots, note = certain_lots(row["code_info"])
    gtins = gtins_of(row["product_description"] + "\n" + row["code_info"])
    gtin = gtins[0] if len(gtins) == 1 else ""
    if lots and not gtin:
        note = "several products" if gtins else "no GTIN"
    named = _RECALL.search(row["product_description"])
    name = row.get("recall_number") or (named[1] if named else "")
    return Record(name, announcement, CLASSES.get(word, ""), tuple(lots), gtin, note)


def certain_lots(text: str) -> tuple[list[str], str]:
    """The lots that a code information names, if it names nothing else; else none, and why."""
    if _RANGE.search(text):
        return [], "a range"
    rest = _DATES.sub(" ", _BRACKETS.sub(" ", text))
    rest = _LABEL.sub(" ", rest)
    if not _HEADING.search(rest):
        return [], "no lot numbers"
    words = re.split(r"[\s,;]+|\band\b", _HEADING.sub(" ", rest))
    found = [word.rstrip(".") for word in words if word.strip(".:")]
    if not found:
        return [], "no lot numbers"
    if not all(_NUMBER.fullmatch(word) for word in found):
        return [], "words among the numbers"
    if len(set(found)) > ITEMS_MAX:
        return [], f"more than {ITEMS_MAX} lots"
    return list(dict.fromkeys(found)), ""


def gtins_of(text: str) -> list[str]:
    """The GTINs of 14 digits that UPCs and National Drug Codes in a text stand for."""
    found = {}
    for match in _UPC.finditer(text):
        digits = re.sub(r"[ -]", "", match[1])
        if int(digits[-1]) == gs1_check_digit(digits[:-1]):
            found[digits.zfill(14)] = True
    for match in _NDC.finditer(text):
        digits = match[1].replace("-", "")
        if len(digits) == 10:  # eleven are a payer's form of it, from which ten can't be told
            body = "003" + digits
            found[body + str(gs1_check_digit(body))] = True
    return list(found)


def _json(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, dict):
        value = value.get("results", [value])
    if not isinstance(value, list):
        raise ValueError("neither a list nor a record")
    return value


def _xml(text: str) -> list[Any]:
    # No entities, no network: of a foreign file nothing but its own elements is read.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    root = etree.fromstring(text.encode(), parser)
    rows = [root] if root.tag == "recall-number" else list(root.iter("recall-number"))
    found = []
    for row in rows:
        value = {child.tag: child.text or "" for child in row if isinstance(child.tag, str)}
        found.append({**value, "recall-number": row.get("id", "")})
    return found


def _plain(record: Any) -> dict[str, str]:
    if not isinstance(record, dict):
        return {}
    return {
        name.replace("-", "_"): " ".join(value.split())
        for name, value in record.items()
        if isinstance(value, str)
    }
