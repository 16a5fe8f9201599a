"""What messages say as terms, amendments and refusals of the contract `credit`, and the way back.

Terms of an MT700, 710 or 720 keep in ``notes`` all that they have no field for, so that the message
can be said again from a credit's openings, to the word as long as no amendment changed that part.
Documents are read for what kind they are and how many; their text stays with them.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cli.mt.formats import SET_Z
from consensus.primitives.errors import InputError
from contracts.sdk.dates import date_text

Values = dict[str, Any]

ISSUES: Final = ("700", "710", "720")
"""The messages that tell a whole credit."""
NOTES_MAX: Final = 60
NARRATIVE_WIDTH: Final = 50  # of 77J
WORDS_MAX: Final = 250  # of one discrepancy

_BY: Final = {
    "BY PAYMENT": "PAYMENT",
    "BY DEF PAYMENT": "DEFERRED_PAYMENT",
    "BY ACCEPTANCE": "ACCEPTANCE",
    "BY NEGOTIATION": "NEGOTIATION",
    "BY MIXED PYMT": "MIXED_PAYMENT",
}
_BY_WORDS: Final = {word: said for said, word in _BY.items()}
# By what stands first in a document's text; of two at one place the first of these.
_KINDS: Final = (
    ("DRAFT", r"\bDRAFTS?\b|\bBILLS? OF EXCHANGE\b"),
    ("INVOICE", r"\bINVOICES?\b"),
    ("CHARTER_PARTY_BILL", r"\bCHARTER PARTY BILLS? OF LADING\b"),
    ("MULTIMODAL", r"\b(MULTIMODAL|COMBINED) TRANSPORT\b"),
    ("BILL_OF_LADING", r"\bBILLS? OF LADING\b|\bB/LS?\b"),
    ("SEA_WAYBILL", r"\bSEA ?WAY ?BILLS?\b"),
    ("AIR_WAYBILL", r"\bAIR ?WAY ?BILLS?\b"),
    ("LAND", r"\b(ROAD|RAIL|TRUCK|INLAND WATERWAY)\b.*\b(DOCUMENT|CONSIGNMENT|WAY ?BILL)|\bCMR\b"),
    ("COURIER", r"\b(COURIER|POST(AL)?) RECEIPTS?\b"),
    ("INSURANCE", r"\bINSURANCE\b"),
    ("ORIGIN", r"\bCERTIFICATES? OF ORIGIN\b"),
    ("PACKING_LIST", r"\bPACKING (LIST|NOTE)S?\b"),
    ("INSPECTION", r"\bINSPECTION\b"),
    ("WEIGHT", r"\bWEIGHT (LIST|CERTIFICATE|NOTE)S?\b|\bCERTIFICATES? OF WEIGHT\b"),
)
_FOLD: Final = {"DUPLICATE": 2, "TRIPLICATE": 3, "QUADRUPLICATE": 4, "QUINTUPLICATE": 5}
_NUMBERS: Final = {"ONE": 1, "TWO": 2, "THREE": 3, "FOUR": 4, "FIVE": 5, "SIX": 6}
_COUNT: Final = r"\b([1-9][0-9]?|" + "|".join(_NUMBERS) + r")(?: ?\([A-Z0-9]+\))?"


# --- one document asked for -----------------------------------------------------------------------


def required_of(text: str) -> Values:
    """What an item of 46A asks for. "In triplicate", "in 3 copies" are one original and the rest
    copies (17(e)); where nothing is said of it, one original (17(a))."""
    plain = " ".join(text.upper().split())
    named = [(found.start(), kind) for kind, words in _KINDS if (found := re.search(words, plain))]
    kind = min(named, key=lambda one: one[0])[1] if named else "OTHER"
    wanted: Values = {"type": kind, "text": text}
    if kind == "OTHER":
        wanted["title"] = plain.lstrip("+ ")[:150]
    originals = re.search(_COUNT + r" ORIGINALS?\b", plain)
    copies = re.search(_COUNT + r" (COPY|COPIES)\b", plain)
    fold = re.search(r"\bIN (" + "|".join(_FOLD) + r")\b", plain)
    folds = re.search(r"\bIN " + _COUNT + r"[ -]?FOLDS?\b", plain)
    if originals is not None:
        wanted["originals"] = _number(originals[1])
        if copies is not None:
            wanted["copies"] = _number(copies[1])
    elif copies is not None or fold is not None or folds is not None:
        found = next(one for one in (copies, fold, folds) if one is not None)
        wanted["copies"] = (_FOLD.get(found[1]) or _number(found[1])) - 1
    return wanted


def _number(word: str) -> int:
    return _NUMBERS.get(word) or int(word)


# --- parts of a credit ----------------------------------------------------------------------------


class Part(NamedTuple):
    """A value of a message, and the fields of the terms that it is."""

    name: str
    read: Callable[[Any], Values]
    write: Callable[[Mapping[str, Any]], Any]  # None: the message does not say it


def _plain(name: str, field: str) -> Part:
    return Part(name, lambda said: {field: said}, lambda terms: terms.get(field) or None)


def _word(name: str) -> Part:
    return Part(
        name,
        lambda said: {name: said.replace(" ", "_")},
        lambda terms: str(terms.get(name, "ALLOWED")).replace("_", " "),
    )


def _party(name: str, field: str) -> Part:
    return Part(
        name,
        lambda said: {field: said["text"]},
        lambda terms: {"account": "", "text": terms[field]} if terms.get(field) else None,
    )


def _tolerance(terms: Mapping[str, Any]) -> Values | None:
    if terms.get("plus") is None and terms.get("minus") is None:
        return None
    return {"plus": terms.get("plus") or 0, "minus": terms.get("minus") or 0}


def _items(words: str) -> list[str]:
    return [item.rstrip("\n") for item in re.split(r"(?m)^(?=\+)", words) if item]


def _option(value: Values) -> Values:
    """A bank by its BIC or by its name, as it was told."""
    text = str(value.get("text", value.get("with", "")))
    is_bic = re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", text) is not None
    return {"option": "A" if is_bic else "D", **value}


def bank(text: str) -> Values:
    """A bank in a message, by its BIC or its name."""
    return _option({"account": "", "text": text})


_PARTS: Final = (
    _plain("amount", "amount"),
    Part(
        "expiry",
        lambda said: {"expiry": said["date"], "expiry_place": said["place"]},
        lambda terms: {"date": terms["expiry"], "place": terms["expiry_place"]},
    ),
    Part("tolerance", dict, _tolerance),
    Part(
        "available",
        lambda said: {"available_with": said["with"], "available_by": _BY[said["by"]]},
        lambda terms: _option(
            {"with": terms["available_with"], "by": _BY_WORDS[terms["available_by"]]}
        ),
    ),
    _plain("drafts", "tenor"),
    Part(
        "drawee",
        lambda said: {"drawee": said["text"]},
        lambda terms: bank(terms["drawee"]) if terms.get("drawee") else None,
    ),
    _word("partial_shipments"),
    _word("transhipment"),
    _plain("from_place", "receipt"),
    _plain("port_of_loading", "loading"),
    _plain("port_of_discharge", "discharge"),
    _plain("to_place", "destination"),
    _plain("latest_shipment", "latest_shipment"),
    Part(
        "goods",
        lambda said: {"goods": "\n".join(said)},
        lambda terms: _items(terms["goods"]) or None,
    ),
    Part(
        "documents",
        lambda said: {"documents": [required_of(item) for item in said]},
        lambda terms: [_item_of(wanted) for wanted in terms["documents"]] or None,
    ),
    _plain("conditions", "conditions"),
    Part(
        "presentation_period",
        lambda said: {"presentation_days": said["days"]},
        lambda terms: {"days": terms.get("presentation_days", 21), "text": ""},
    ),
)
_OF_TYPE: Final = {
    "700": (
        _plain("credit", "reference"),
        _plain("applicant", "applicant"),
        _party("beneficiary", "beneficiary"),
        Part(
            "form",
            lambda said: {"transferable": "TRANS" in said},
            lambda terms: f"IRREVOCABLE{' TRANSFERABLE' if terms.get('transferable') else ''}",
        ),
    ),
    "710": (
        _plain("credit", "reference"),
        _plain("applicant", "applicant"),
        _party("beneficiary", "beneficiary"),
        Part("form", lambda said: {"transferable": "TRANS" in said["form"]}, lambda terms: None),
    ),
    # What is transferred is not transferable (38(d)), whatever the first credit was.
    "720": (
        _plain("credit", "reference"),
        _plain("first_beneficiary", "applicant"),
        _party("second_beneficiary", "beneficiary"),
    ),
}  # fmt: skip


_AMENDED: Final = (*_PARTS, *_OF_TYPE["700"][1:])  # what an MT707 may change, all but the number


def _item_of(wanted: Mapping[str, Any]) -> str:
    if wanted.get("text"):
        return str(wanted["text"])
    name = wanted.get("title") or str(wanted["type"]).replace("_", " ")
    said = f"+ {name}, {wanted.get('originals', 1)} ORIGINALS"
    return f"{said}, {wanted['copies']} COPIES" if wanted.get("copies") else said


# --- a whole credit -------------------------------------------------------------------------------


def terms_of(number: str, says: Mapping[str, Any]) -> Values:
    """The terms that an MT700, 710 or 720 tells. Raises InputError MT_NO_TERMS."""
    if number not in ISSUES:
        raise InputError("MT_NO_TERMS", f"an MT{number} does not tell a credit's terms")
    terms: Values = {"goods": "", "documents": []}
    notes: Values = {}
    parts = {part.name: part for part in (*_OF_TYPE[number], *_PARTS)}
    for name, part in parts.items():
        if name in says:
            terms |= part.read(says[name])
    for name, part in parts.items():
        if part.write(terms) != says.get(name):
            notes[name] = says.get(name)
    notes |= {name: value for name, value in says.items() if name not in parts}
    if len(notes) > NOTES_MAX:
        raise InputError("MT_NO_TERMS", f"more than {NOTES_MAX} values have no field in the terms")
    terms["notes"] = [
        {"name": name, "text": json.dumps(value, ensure_ascii=False)}
        for name, value in sorted(notes.items())
    ]
    return terms


def says_of(number: str, terms: Mapping[str, Any]) -> Values:
    """What an MT700, 710 or 720 of these terms says. Raises InputError MT_NO_TERMS."""
    if number not in ISSUES:
        raise InputError("MT_NO_TERMS", f"an MT{number} does not tell a credit's terms")
    terms = dated(terms)
    parts = {part.name: part for part in (*_OF_TYPE[number], *_PARTS)}
    says: Values = {}
    for name, part in parts.items():
        value = part.write(terms)
        if value is not None:
            says[name] = value
    for note in terms.get("notes") or []:
        name, kept = note["name"], _kept(note["text"])
        known = parts.get(name)
        if known is not None and not _is_still(known, kept, terms):
            continue
        says[name] = kept
        if kept is None:
            del says[name]
    return says


def dated(values: Mapping[str, Any]) -> Values:
    """The same with days as a message's reader gives them, YYYY-MM-DD, not as the chain does."""
    days = {
        name: date_text(value)
        for name in ("expiry", "latest_shipment")
        if isinstance(value := values.get(name), int)
    }
    return {**values, **days}


def _kept(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_still(part: Part, kept: Any, terms: Mapping[str, Any]) -> bool:
    """Whether the terms are still what a message said, in its own way."""
    if kept is None:
        return bool(part.write(terms) == part.write(_UNSAID | {"expiry": "", "expiry_place": ""}))
    read = part.read(kept)
    return all(terms.get(field, _UNSAID.get(field)) == value for field, value in read.items())


_UNSAID: Final[Values] = {
    "goods": "", "documents": [], "transferable": False, "presentation_days": 21,
    "partial_shipments": "ALLOWED", "transhipment": "ALLOWED", "available_with": "",
    "available_by": "PAYMENT",
}  # fmt: skip


# --- amendments -----------------------------------------------------------------------------------


def changes_of(says: Mapping[str, Any], terms: Mapping[str, Any]) -> Values:
    """What an MT707 changes of a credit that stands as ``terms``: the arguments ``changes``,
    ``expiry`` and ``cancels`` of the contract's call. Raises InputError MT_NO_TERMS where a passage
    is to be deleted that the credit has not."""
    changes: Values = {}
    known = {"increase", "decrease", "cancellation"}
    for name in ("increase", "decrease"):
        if name in says:
            changes[name] = says[name]
    for part in _AMENDED:
        if part.name in says and part.name not in ("amount", "goods", "documents", "conditions"):
            known.add(part.name)
            changes |= part.read(says[part.name])
    for name, before in (
        ("goods", _items(terms["goods"])),
        ("documents", [_item_of(wanted) for wanted in terms["documents"]]),
        ("conditions", list(terms.get("conditions") or [])),
    ):
        if name in says:
            known.add(name)
            items = _changed(name, before, says[name])
            changes |= next(part for part in _PARTS if part.name == name).read(items)
    changes["notes"] = [
        {"name": name, "text": json.dumps(value, ensure_ascii=False)}
        for name, value in sorted(says.items())
        if name not in known
    ]
    made: Values = {"changes": changes, "cancels": "cancellation" in says}
    if "expiry" in changes:
        made["expiry"] = changes["expiry"]
    return made


def _changed(name: str, before: list[str], said: list[Values]) -> list[str]:
    items = list(before)
    for one in said:
        told = _items(one["text"])
        if one["change"] == "REPALL":
            items = told
        elif one["change"] == "ADD":
            items += told
        else:
            for item in told:
                same = [kept for kept in items if _bare(kept) == _bare(item)]
                if not same:
                    raise InputError("MT_NO_TERMS", f"{name}: there is no {item!r} to be deleted")
                items.remove(same[0])
    return items


def _bare(item: str) -> str:
    return " ".join(item.lstrip("+").upper().split())


def amendment_says(
    changes: Mapping[str, Any], terms: Mapping[str, Any], number: int, day: str, issued: str,
    cancels: bool = False,
) -> Values:  # fmt: skip
    """What an MT707 says of an amendment of a credit that stood as ``terms``."""
    says: Values = {
        "sequence": {"number": 1, "of": 1}, "reference": terms["reference"][:16],
        "receivers_reference": "NONREF", "credit": terms["reference"][:16], "issued": issued,
        "amendment": number, "date": day, "purpose": "ISSU",
    }  # fmt: skip
    for note in changes.get("notes") or []:
        says[note["name"]] = _kept(note["text"])
    if cancels:
        says["cancellation"] = "CANCEL"
    changes = dated(changes)
    after = {
        **dated(terms),
        **{name: value for name, value in changes.items() if value is not None},
    }
    for name in ("increase", "decrease"):
        if changes.get(name):
            says[name] = changes[name]
    for part in _AMENDED:
        fields = {
            "expiry": ("expiry", "expiry_place"), "tolerance": ("plus", "minus"),
            "presentation_period": ("presentation_days",), "from_place": ("receipt",),
            "port_of_loading": ("loading",), "port_of_discharge": ("discharge",),
            "to_place": ("destination",), "available": ("available_with", "available_by"),
            "drafts": ("tenor",), "form": ("transferable",),
        }.get(part.name, (part.name,))  # fmt: skip
        if part.name == "amount" or all(changes.get(field) is None for field in fields):
            continue
        value = part.write(after)
        if part.name in ("goods", "documents", "conditions"):
            value = [{"change": "REPALL", "text": "\n".join(value or [])}]
        if value is not None:
            says[part.name] = value
    return says


# --- refusals -------------------------------------------------------------------------------------


def refusal_of(says: Mapping[str, Any]) -> tuple[list[str], str]:
    """The discrepancies of an MT734 or 750, and what becomes of the documents (MT734)."""
    lines = list(says["discrepancies"])
    if any(line.startswith("+") for line in lines):
        found = [" ".join(item.split()) for item in _items("\n".join(lines))]
        found = [item.lstrip("+").strip() for item in found]
    else:
        found = lines
    return [item for item in found if item], says["fate"]["code"] if "fate" in says else ""


def narrative(findings: list[str]) -> list[str]:
    """Discrepancies as the lines of 77J: each begins with a plus sign."""
    lines: list[str] = []
    for finding in findings:
        clean = "".join(letter if letter in SET_Z else "." for letter in finding[:WORDS_MAX])
        lines += textwrap.wrap(f"+ {clean}", NARRATIVE_WIDTH)
    return lines[:70]


def refusal_says(
    number: str, terms: Mapping[str, Any], drawing: Mapping[str, Any], findings: list[str],
    day: str, fate: str = "",
) -> Values:  # fmt: skip
    """What an MT734, 750 or 752 says of a presentation."""
    reference, theirs = terms["reference"][:16], (drawing.get("reference") or "NONREF")[:16]
    if number == "734":
        return {
            "reference": reference, "presenters_reference": theirs,
            "drawing": {"date": day, **drawing["amount"]}, "discrepancies": narrative(findings),
            "fate": {"code": fate, "text": ""},
        }  # fmt: skip
    if number == "750":
        return {
            "reference": theirs, "related_reference": reference, "amount": drawing["amount"],
            "discrepancies": narrative(findings),
        }  # fmt: skip
    how = "NEGOTIATE" if terms["available_by"] == "NEGOTIATION" else "REIMBURSE"
    return {
        "credit": reference, "presenters_reference": theirs, "further_identification": how,
        "date": day, "amount": drawing["amount"],
    }  # fmt: skip
