"""What is asked about a subject. Whoever makes a bundle asks a node, whoever checks it asks what it
proves: the same questions to the same code, so the answers are the chain's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from consensus.primitives.errors import InputError
from consensus.receipt import Receipt
from contracts.runtime.audit import EVENT

Ask = Callable[[str, str, dict[str, Any]], Any]

ITEM: Final = "item"
RECALL: Final = "recall"
CREDIT: Final = "credit"
KINDS: Final = (ITEM, RECALL, CREDIT)
PAGES_MAX: Final = 1_000
PAGE: Final = 100


def answers(kind: str, subject: str, ask: Ask) -> dict[str, Any]:
    """What the contracts say of a subject, by name of the question.

    Raises InputError BAD_SUBJECT, UNKNOWN_ITEM, UNKNOWN_RECALL or UNKNOWN_CREDIT, and what
    ``ask`` raises.
    """
    if kind == ITEM:
        return _item(subject, ask)
    if kind in (RECALL, CREDIT) and subject.isdecimal() and 0 < len(subject) < 16:
        return (_recall if kind == RECALL else _credit)(int(subject), ask)
    raise InputError("BAD_SUBJECT", f"{subject!r} is no number of a {kind}")


def _item(item: str, ask: Ask) -> dict[str, Any]:
    found = ask("batch", "item", {"item": item})
    if found is None:
        raise InputError("UNKNOWN_ITEM", f"nothing is known of {item}")
    trace = ask("batch", "trace", {"item": item})
    told = {
        "item": found,
        "holds": ask("batch", "holds_on", {"item": item}),
        "trace": trace,
        "inspections": ask("quality", "inspections_of", {"item": item}),
        "certificates": ask("quality", "certificates_of", {"item": item}),
    }
    return told | {"names": _names(ask, told)}


def _recall(number: int, ask: Ask) -> dict[str, Any]:
    about = {"number": number}
    recall = ask("recall", "recall", about)
    if recall is None:
        raise InputError("UNKNOWN_RECALL", f"there is no recall {number}")
    told = {
        "recall": recall,
        "scope": list(_pages(ask, "scope", about, "start", len)),
        "notices": list(_pages(ask, "notices_of", about, "after", lambda rows: rows[-1]["holder"])),
        "returns": [
            one
            for after in range(0, recall["recall"]["returns"], PAGE)
            for one in ask("recall", "returns_of", about | {"after": after})
        ],
        "consents": ask("recall", "consents_of", about),
        "report": ask("recall", "report", about),
    }
    return told | {"names": _names(ask, told)}


def _pages(
    ask: Ask, method: str, about: dict[str, Any], name: str, place: Callable[[list[Any]], Any]
) -> Iterator[Any]:
    """All rows of a question that is answered in parts; ``place`` tells where the next begins."""
    rows: list[Any] = []
    for _ in range(PAGES_MAX):
        more = ask("recall", method, about | ({name: place(rows)} if rows else {}))
        if not more:
            return
        rows += more
        yield from more
    raise InputError("EVIDENCE_TOO_LARGE", f"recall {about['number']} has too many {method}")


def _credit(number: int, ask: Ask) -> dict[str, Any]:
    about = {"number": number}
    try:
        credit = ask("credit", "credit", about)
    except InputError as error:
        if error.code != "NOT_FOUND":
            raise
        raise InputError("UNKNOWN_CREDIT", error.message) from None
    presentations = [
        {"number": one, **ask("credit", "presentation", about | {"presentation": one})}
        for one in range(1, credit["credit"]["presentations"] + 1)
    ]
    told = {"credit": credit, "presentations": presentations}
    return told | {"names": _names(ask, told)}


def _names(ask: Ask, told: dict[str, Any]) -> dict[str, str]:
    """The organisations in the answers, by id."""
    names = {}
    for one in sorted(set(_ids(told))):
        known = ask("identity", "organisation", {"id": one})
        if known is not None:
            names[one] = known["name"]
    return names


_OF_ORGANISATIONS: Final = frozenset(
    ("organisation", "holder", "owner", "by", "firm", "consignee", "buyer", "sender", "receiver",
     "applicant", "beneficiary", "issuer", "advising", "nominated", "bank", "presenter", "maker")
)  # fmt: skip


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name in _OF_ORGANISATIONS and isinstance(one, str) and one:
                yield one
            yield from _ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _ids(one)


def is_about(kind: str, subject: str, receipt: Receipt) -> bool:
    """Whether the audit trail in a receipt tells of a write to the subject's own records."""
    contract = "batch" if kind == ITEM else kind
    first: Any = subject if kind == ITEM else int(subject)
    for event in receipt.events:
        if event.name == EVENT:
            for group in event.fields["records"]:
                for key in group["keys"] if group["contract"] == contract else ():
                    if (key[0] if isinstance(key, list) and key else key) == first:
                        return True
    return False
