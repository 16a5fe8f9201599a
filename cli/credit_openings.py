"""What stands behind a credit's commitments, as far as this organisation may know it."""

from __future__ import annotations

from typing import Any

from cli.mt.credits import bank
from cli.opening_book import OpeningBook
from consensus.primitives.errors import InputError
from contracts.sdk.dates import date_text
from contracts.sdk.fields import field_of
from contracts.sdk.values import plain
from contracts.trade.terms import Changes, Terms, amended

CONTRACT = "credit"


class Openings(OpeningBook):
    """Those of credits."""

    def credit(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self._client.query(CONTRACT, "credit", {"number": number}).value
        return found

    def presentation(self, number: int, presentation: int) -> dict[str, Any]:
        args = {"number": number, "presentation": presentation}
        found: dict[str, Any] = self._client.query(CONTRACT, "presentation", args).value
        return found

    def changes(self, number: int, amendment: int) -> dict[str, Any]:
        """An amendment's. Raises InputError NOT_FOUND."""
        for one in self.credit(number)["amendments"]:
            if one["amendment"] == amendment:
                changes: dict[str, Any] = self.value(one["record"]["changes"])
                return changes
        raise InputError("NOT_FOUND", f"credit {number} has no amendment {amendment}")

    def terms(self, number: int, before: int | None = None) -> dict[str, Any]:
        """The terms with the accepted amendments: all of them, or those before one."""
        record = self.credit(number)["credit"]
        terms = field_of(Terms).check(self.value(record["terms"]))
        for amendment in sorted(record["accepted"]):
            if before is None or amendment < before:
                changes = field_of(Changes).check(self.changes(number, amendment))
                terms = amended(terms, changes)
        found: dict[str, Any] = plain(terms)[0]
        return found


def says(
    openings: Openings,
    number: int,
    kind: str,
    amendment: int | None,
    presentation: int | None,
    issuing_bank: str = "",
) -> dict[str, Any]:
    """What a message of a credit says. Raises InputError OPENING_MISSING, NOT_FOUND."""
    from cli.mt.credits import ISSUES, amendment_says, refusal_says, says_of

    record = openings.credit(number)["credit"]
    issued = _day(record["issued_at"])
    if kind in ISSUES:
        terms = openings.terms(number)
        return {**_usual(kind, terms, record, issued, issuing_bank), **says_of(kind, terms)}
    if kind == "707":
        if amendment is None:
            raise InputError("NOT_FOUND", "which amendment? say --amendment")
        changes = openings.changes(number, amendment)
        made = openings.credit(number)["amendments"][amendment - 1]["record"]
        day = _day(made["issued_at"] or made["proposed_at"])
        terms = openings.terms(number, before=amendment)
        return amendment_says(changes, terms, amendment, day, issued, made["cancels"])
    if presentation is None:
        raise InputError("NOT_FOUND", "which presentation? say --presentation")
    made = openings.presentation(number, presentation)["presentation"]
    findings = openings.value(made["findings"]) if made["findings"] is not None else []
    day = _day(made["refused_at"] or made["since"])
    terms, drawing = openings.terms(number), openings.value(made["drawing"])
    return refusal_says(kind, terms, drawing, findings, day, made["fate"])


def _usual(
    kind: str, terms: dict[str, Any], record: dict[str, Any], issued: str, issuing_bank: str
) -> dict[str, Any]:
    """What a message has to say, and no field of the terms tells."""
    found: dict[str, Any] = {
        "sequence": {"number": 1, "of": 1}, "issued": issued,
        "rules": {"rules": "UCP LATEST VERSION", "text": ""},
        "confirmation": "CONFIRM" if record["to_confirm"] else "WITHOUT",
    }  # fmt: skip
    if record["to_confirm"]:
        name = terms["available_with"]
        found["confirmer"] = bank(name)
    if kind != "700":
        added = "ADDING" if record["confirmed"] else "WITHOUT"
        form = f"IRREVOCABLE{' TRANSFERABLE' if terms['transferable'] else ''}"
        found["form"] = {"form": form, "confirmation": f"{added} OUR CONFIRMATION"}
        found["reference"] = "NONREF"
        if issuing_bank:
            found["issuing_bank"] = bank(issuing_bank)
    return found


def _day(time_ms: int) -> str:
    from contracts.sdk.dates import date_of

    return date_text(date_of(time_ms))
