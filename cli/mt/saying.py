"""What a message says, by the names of the business: dates, amounts and parties instead of tags.

``said`` and ``fields_of`` are each other's inverse: whatever a valid message says can be said
again. Only spelling that means nothing is lost on the way: ``USD1,50`` comes back as ``USD1,5``,
``21`` days as ``021``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from cli.mt.message import Message
from cli.mt.tables import TABLES
from cli.mt.values import (
    Amount,
    Wrong,
    amount_of,
    code_and_rest,
    date_of,
    party_lines,
    swift_amount,
    swift_date,
)
from consensus.primitives.errors import InputError

Said = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Way:
    """How the value of one field is read and written."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _money(text: str) -> Said:
    amount = amount_of(text)
    return {"minor": amount.minor, "currency": amount.currency}


def _swift_money(said: Said) -> str:
    return swift_amount(Amount(said["currency"], said["minor"]))


def _available(value: str) -> Said:
    *bank, by = value.split("\n")
    return {"with": "\n".join(bank), "by": by}


def _changes(value: str) -> list[Said]:
    """Passages to add, to delete, or to replace all."""
    changes: list[Said] = []
    for line in value.split("\n"):
        code, words = code_and_rest(line)
        if code:
            changes.append({"change": code, "text": words})
        else:
            changes[-1]["text"] += f"\n{line}"
    return changes


def _items(value: str) -> list[str]:
    """A narrative's items: each begins with a plus sign, by custom; else it is one."""
    items: list[str] = []
    for line in value.split("\n"):
        if items and not line.startswith("+"):
            items[-1] += f"\n{line}"
        else:
            items.append(line)
    return items


def _fate(value: str) -> Said:
    first, *more = value.split("\n")
    code, words = code_and_rest(first)
    return {"code": code, "text": "\n".join([words, *more])}


def _swift_fate(said: Said) -> str:
    return f"/{said['code']}/{said['text']}" if said["code"] else str(said["text"])


def _party(value: str) -> Said:
    account, lines = party_lines(value)
    return {"account": account, "text": "\n".join(lines)}


def _swift_party(said: Said) -> str:
    return "\n".join(part for part in (said["account"], said["text"]) if part)


def _before_slash(value: str, first: str, second: str) -> Said:
    before, _, behind = value.partition("/")
    return {first: before, second: behind}


def _swift_before_slash(before: str, behind: str) -> str:
    return f"{before}/{behind}" if behind else before


def _two_lines(value: str, first: str, second: str) -> Said:
    before, _, behind = value.partition("\n")
    return {first: before, second: behind}


_TEXT: Final = Way(str, str)
_DATE: Final = Way(date_of, swift_date)
_MONEY: Final = Way(_money, _swift_money)
_DATED_MONEY: Final = Way(
    lambda value: {"date": date_of(value[:6]), **_money(value[6:])},
    lambda said: swift_date(said["date"]) + _swift_money(said),
)
_PARTY: Final = Way(_party, _swift_party)
_AVAILABLE: Final = Way(_available, lambda said: f"{said['with']}\n{said['by']}")
_CHANGES: Final = Way(
    _changes, lambda said: "\n".join(f"/{one['change']}/{one['text']}" for one in said)
)
_ITEMS: Final = Way(_items, "\n".join)

_WAYS: Final[dict[str, Way]] = {
    "26E": Way(int, lambda said: f"{said:03}"),
    "27": Way(
        lambda value: {"number": int(value[0]), "of": int(value[2])},
        lambda said: f"{said['number']}/{said['of']}",
    ),
    "30": _DATE,
    "31C": _DATE,
    "31D": Way(
        lambda value: {"date": date_of(value[:6]), "place": value[6:]},
        lambda said: swift_date(said["date"]) + str(said["place"]),
    ),
    "32A": _DATED_MONEY,
    "32B": _MONEY,
    "33A": _DATED_MONEY,
    "33B": _MONEY,
    "34B": _MONEY,
    "39A": Way(
        lambda value: {"plus": int(value.split("/")[0]), "minus": int(value.split("/")[1])},
        lambda said: f"{said['plus']:02}/{said['minus']:02}",
    ),
    "40B": Way(
        lambda value: _two_lines(value, "form", "confirmation"),
        lambda said: f"{said['form']}\n{said['confirmation']}",
    ),
    "40E": Way(
        lambda value: _before_slash(value, "rules", "text"),
        lambda said: _swift_before_slash(said["rules"], said["text"]),
    ),
    "41A": _AVAILABLE,
    "41D": _AVAILABLE,
    "44C": _DATE,
    "45A": _ITEMS,
    "46A": _ITEMS,
    "47A": _ITEMS,
    "48": Way(
        lambda value: {"days": int(value.split("/")[0]), "text": value.partition("/")[2]},
        lambda said: _swift_before_slash(f"{said['days']:03}", said["text"]),
    ),
    "59": _PARTY,
    "71N": Way(
        lambda value: _two_lines(value, "by", "text"),
        lambda said: "\n".join(part for part in (said["by"], said["text"]) if part),
    ),
    "77B": Way(_fate, _swift_fate),
    "77J": Way(lambda value: value.split("\n"), "\n".join),
}
for _tag in ("42", "51", "52", "53", "54", "57", "58"):
    _WAYS.update({_tag + option: _PARTY for option in "ABD"})
for _tag in ("45B", "46B", "47B", "49M", "49N"):
    _WAYS[_tag] = _CHANGES

_NAMES: Final[dict[str, str]] = {
    "22A": "purpose",
    "23S": "cancellation",
    "26E": "amendment",
    "27": "sequence",
    "30": "date",
    "31C": "issued",
    "31D": "expiry",
    "32A": "drawing",
    "32B": "amount",
    "33a": "total",
    "33B": "additional",
    "34B": "total",
    "39A": "tolerance",
    "39C": "additional_amounts",
    "40A": "form",
    "40B": "form",
    "40E": "rules",
    "41a": "available",
    "42C": "drafts",
    "42a": "drawee",
    "42M": "mixed_payment",
    "42P": "deferred_payment",
    "43P": "partial_shipments",
    "43T": "transhipment",
    "44A": "from_place",
    "44B": "to_place",
    "44C": "latest_shipment",
    "44D": "shipment_period",
    "44E": "port_of_loading",
    "44F": "port_of_discharge",
    "45A": "goods",
    "45B": "goods",
    "46A": "documents",
    "46B": "documents",
    "47A": "conditions",
    "47B": "conditions",
    "48": "presentation_period",
    "49": "confirmation",
    "49G": "payment_conditions_beneficiary",
    "49H": "payment_conditions_bank",
    "49M": "payment_conditions_beneficiary",
    "49N": "payment_conditions_bank",
    "50": "applicant",
    "50B": "non_bank_issuer",
    "51a": "applicant_bank",
    "52a": "issuing_bank",
    "53a": "reimbursing_bank",
    "54a": "receivers_correspondent",
    "57a": "advise_through",
    "58a": "confirmer",
    "59": "beneficiary",
    "71D": "charges",
    "71N": "amendment_charge",
    "72Z": "to_receiver",
    "73A": "charges_added",
    "77B": "fate",
    "77J": "discrepancies",
    "78": "instructions",
    "79Z": "text",
}
_NAMES_OF_TYPE: Final[dict[str, dict[str, str]]] = {
    "700": {"20": "credit", "23": "pre_advice"},
    "707": {"20": "reference", "21": "receivers_reference", "23": "credit", "32B": "increase",
            "33B": "decrease"},
    "710": {"20": "reference", "21": "credit", "23": "pre_advice"},
    "720": {"20": "reference", "21": "credit", "50": "first_beneficiary",
            "59": "second_beneficiary"},
    "734": {"20": "reference", "21": "presenters_reference", "57a": "account_with"},
    "750": {"20": "reference", "21": "related_reference", "57a": "account_with"},
    "752": {"20": "credit", "21": "presenters_reference", "23": "further_identification",
            "53a": "senders_correspondent"},
}  # fmt: skip


def name_of(number: str, field: str) -> str:
    """What this field is called in such a message."""
    return _NAMES_OF_TYPE[number].get(field) or _NAMES[field]


def said(message: Message) -> Said:
    """What a valid message says. Where a field has options, ``option`` tells which it was."""
    out: Said = {}
    for row in TABLES[message.number]:
        tag = message.tag_of(*row.tags)
        if tag:
            value = _WAYS.get(tag, _TEXT).read(message.get(tag))
            out[name_of(message.number, row.field)] = (
                {"option": tag[-1], **value} if len(row.tags) > 1 else value
            )
    return out


def fields_of(number: str, out: Said) -> list[tuple[str, str]]:
    """The fields that say so. Raises InputError MT_JSON."""
    rows = {name_of(number, row.field): row for row in TABLES[number]}
    unknown = sorted(set(out) - set(rows))
    if unknown:
        raise InputError("MT_JSON", f"MT{number} says nothing of {', '.join(unknown)}")
    fields = []
    for name, row in rows.items():
        if name not in out:
            continue
        value = out[name]
        try:
            tag = row.tags[0] if len(row.tags) == 1 else row.field[:-1] + value["option"]
            fields.append((tag, _WAYS.get(tag, _TEXT).write(value)))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise InputError("MT_JSON", f"{name} is not said as in an MT{number}") from None
        except Wrong as wrong:
            raise InputError(wrong.code, f"{name}: {wrong}") from None
    return fields
