"""The books of credits, and what all steps of a credit ask of their callers."""

from __future__ import annotations

from contracts.sdk import Contract, Counter, Map, Opened, refuse
from contracts.trade.credit_records import (
    ACCEPTED,
    Amendment,
    Credit,
    Opinion,
    Presentation,
)
from contracts.trade.terms import Changes, Document, Drawing, Terms, amended

BANKERS = ("bank_officer", "bank_admin")
TRADERS = ("corporate_user", "corporate_admin")


class Book(Contract):
    """Credits, amendments and presentations, with what stands behind their commitments."""

    numbers = Counter()
    credits = Map(Credit, key=("number",))
    amendments = Map(Amendment, key=("number", "amendment"))
    presentations = Map(Presentation, key=("number", "presentation"))
    opinions = Map(Opinion, key=("number", "presentation", "subject", "organisation"))
    parties = Map(bool, key=("organisation", "number"))  # of credits that are not over

    terms = Opened(Terms)
    changes = Opened(Changes)
    drawings = Opened(Drawing)
    documents = Opened(Document)

    # --- what is there ----------------------------------------------------------------------

    def _credit(self, number: int, states: tuple[str, ...] = ()) -> Credit:
        found = self.credits.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no credit {number}")
        if states and found.state not in states:
            refuse("WRONG_STATE", f"credit {number} is {found.state}")
        return found

    def _amendment(self, number: int, amendment: int, state: str = "") -> Amendment:
        found = self.amendments.get((number, amendment))
        if found is None:
            refuse("NOT_FOUND", f"credit {number} has no amendment {amendment}")
        if state and found.state != state:
            refuse("WRONG_STATE", f"amendment {amendment} of credit {number} is {found.state}")
        return found

    def _presentation(
        self, number: int, presentation: int, states: tuple[str, ...] = ()
    ) -> Presentation:
        found = self.presentations.get((number, presentation))
        if found is None:
            refuse("NOT_FOUND", f"credit {number} has no presentation {presentation}")
        if states and found.state not in states:
            refuse("WRONG_STATE", f"presentation {presentation} is {found.state}")
        return found

    def _terms(self, number: int, credit: Credit, amendments: list[int]) -> Terms:
        """The terms with these amendments, in the order of their numbers: inside checks only."""
        return self._terms_with(credit, self._changes(number, amendments), amendments)

    def _changes(self, number: int, amendments: list[int]) -> dict[int, Changes]:
        """What amendments change, by their numbers: inside checks only."""
        found: dict[int, Changes] = {}
        for amendment in amendments:
            found[amendment] = self.changes.open(self._amendment(number, amendment).changes)
        return found

    def _terms_with(
        self, credit: Credit, changes: dict[int, Changes], amendments: list[int]
    ) -> Terms:
        terms = self.terms.open(credit.terms)
        for amendment in sorted(amendments):
            terms = amended(terms, changes[amendment])
        return terms

    # --- who acts ---------------------------------------------------------------------------

    def _person(self) -> str:
        """The user whose key this is: four eyes are two persons'."""
        key = self.invoke("identity", "key", key=self.ctx.caller)
        user: str = key["user"] if key is not None else ""
        if not user:
            refuse("NO_PERSON", "the key is a machine's: banks' decisions are persons'")
        return user

    def _other_person(self, first: str, what: str) -> str:
        user = self._person()
        if user == first:
            refuse("FOUR_EYES", f"{user} {what} already")
        return user

    def _check_is(self, organisation: str, roles: tuple[str, ...]) -> None:
        """Refuse unless the caller is this organisation's and has one of the roles."""
        if not organisation or self.ctx.organisation != organisation:
            refuse("NOT_AUTHORISED", f"that is for {organisation or 'a bank that is not named'}")
        self.require(*roles)

    def _check_party(self, organisation: str, bank: bool = False) -> None:
        if not self.invoke("identity", "is_active", id=organisation):
            refuse("UNKNOWN_ORGANISATION", f"{organisation} is no active organisation")
        if bank and "bank" not in self.invoke("identity", "organisation", id=organisation)["roles"]:
            refuse("NOT_A_BANK", f"{organisation} is no bank")

    def _check_dealing(self, organisations: list[str]) -> None:
        for organisation in organisations:
            if not self.invoke("compliance", "may_deal", organisation=organisation):
                refuse("COMPLIANCE_HOLD", f"{organisation} can't deal for now")

    # --- what follows -----------------------------------------------------------------------

    def _everybody(self, credit: Credit) -> list[str]:
        banks = [credit.issuer, credit.advising, credit.nominated]
        found: list[str] = []
        for one in (credit.applicant, credit.beneficiary, *banks, credit.transferor):
            if one and one not in found:
                found.append(one)
        return found

    def _waits(self, number: int, credit: Credit) -> None:
        """Keep a credit that now waits for something else."""
        credit.since = self.ctx.time_ms
        self.credits.put(number, credit)

    def _over(self, number: int, credit: Credit, state: str) -> None:
        """The credit is done with: nobody has a task of it any more."""
        credit.state = state
        if credit.ends:
            self.cancel(credit.ends)
            credit.ends = ""
        for one in self._everybody(credit):
            if (one, number) in self.parties:
                self.parties.delete((one, number))
        self._waits(number, credit)

    def _set_end(self, number: int, credit: Credit) -> None:
        """The end of the last day for presentation at any of its banks (29(a)). An amendment of
        the expiry counts from its issue, since a presentation may accept it."""
        last = credit.expiry
        for amendment in credit.pending:
            last = max(last, self._amendment(number, amendment).expiry)
        end_ms = 0
        for bank in (credit.issuer, credit.nominated):
            if bank:
                day = self.invoke("calendar", "next_banking_day", bank=bank, day=last)
                end = self.invoke("calendar", "add_banking_days", bank=bank, day=day, count=0)
                end_ms = max(end_ms, end["end_ms"])
        if credit.ends:
            self.cancel(credit.ends)
        credit.ends = self.due(end_ms + 1, "expire", number=number)

    def _accept(self, number: int, credit: Credit, amendment: int, presentation: int) -> None:
        """An amendment is in force: by the beneficiary's word, or by a presentation (10(c))."""
        found = self._amendment(number, amendment)
        found.state, found.by_presentation = ACCEPTED, presentation
        found.decided_at = self.ctx.time_ms
        self.amendments.put((number, amendment), found)
        credit.pending.remove(amendment)
        credit.accepted.append(amendment)
        for accepted in sorted(credit.accepted):
            credit.expiry = self._amendment(number, accepted).expiry or credit.expiry
        self.emit("AmendmentAccepted", number=number, amendment=amendment)
