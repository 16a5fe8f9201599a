"""Suspect and illegitimate product (581(8), 581(21), 582(b)(4) and its like for the others).

::

    SUSPECT -> CLEARED                       quarantined at once; investigated
    SUSPECT -> ILLEGITIMATE -> TERMINATED    the FDA and partners notified within 24 hours

From the report the goods stand still. The law wants a prompt investigation: it has 24 hours here,
and the case says for good where it took longer. From the decision that the product is illegitimate
the law's own 24 hours run to the notification; that, too, is kept. A regulator ends the case.
"""

from __future__ import annotations

from typing import Any

from contracts.sdk import (
    ContractError,
    Counter,
    Index,
    Map,
    OrganisationId,
    Quantity,
    call,
    query,
    refuse,
    timed,
)
from contracts.supply.dscsa_records import (
    CLEARED,
    CLOCK_MS,
    HOLDERS,
    ILLEGITIMATE,
    PACKAGES_MAX,
    SHOWN_MAX,
    SUSPECT,
    TERMINATED,
    YEARS_KEPT,
    Case,
    Ending,
    Grounds,
    Note,
    Notice,
    Number,
    Outcome,
    Suspects,
    SuspectThing,
    Thing,
    years_later,
)
from contracts.supply.dscsa_trading import Trading

CLEAR = "CLEAR"


class Cases(Trading):
    """From a suspicion to its end."""

    case_numbers = Counter()
    cases = Map(Case, key=("case",))
    cases_by_reporter = Index(cases, on=("reporter",))
    suspects = Map(SuspectThing, key=("case", "place"))
    suspects_by_item = Index(suspects, on=("item",), hashed=("item",))
    open_cases = Map(int, key=("item", "holder"), hashed=("item",))
    notices = Map(Notice, key=("case", "partner"))

    @call(roles=HOLDERS)
    def report_suspect(
        self,
        items: Suspects,
        grounds: Grounds,
        owner: OrganisationId | None = None,
        note: Note | None = None,
    ) -> int:
        """Quarantine suspect product that the caller has, at once, and begin its investigation.

        Of a lot all that the caller has stands still until the case ends; of a logistic unit all
        that is in it, unpacked or not.
        """
        me, number = self.ctx.organisation, self.case_numbers.add()
        apart = [thing.item for thing in items if self._is_apart(thing, owner or me)]
        free = [thing for thing in items if thing.item not in apart]
        if free:
            self.invoke("batch", "quarantine", items=free, owner=owner, cause=SUSPECT, note=note)
        named: list[str] = []
        for thing in items:
            item, amount, unit = thing.item, 0, ""
            if (item, lock_holder(item, me)) in self.open_cases:
                refuse("ALREADY_SUSPECT", f"{item} is in a case that has not ended")
            if thing.quantity is not None:
                amount, unit = thing.quantity.amount, thing.quantity.unit
            suspect = SuspectThing(item, amount, unit, me, False, item in apart)
            self._suspect(number, len(named), suspect)
            named.append(item)
        inside = self.invoke("batch", "packages", items=items)
        if len(inside) > PACKAGES_MAX:
            refuse("TOO_MANY_PACKAGES", f"a case has at most {PACKAGES_MAX} packages")
        place = len(named)
        for package in inside:
            item = package["item"]
            if item in named or (item, lock_holder(item, me)) in self.open_cases:
                continue
            self._suspect(number, place, SuspectThing(item, 0, "", me, True, False))
            place += 1
        case = Case(
            reporter=me,
            owner=owner or me,
            grounds=grounds,
            state=SUSPECT,
            opened_at=self.ctx.time_ms,
            retain_until=years_later(self.ctx.today, YEARS_KEPT),
            deadline=self.due(self.ctx.time_ms + CLOCK_MS, "undecided", case=number),
            note=note,
        )
        self.cases.put(number, case)
        self.emit("SuspectReported", case=number, reporter=me, grounds=grounds, items=named)
        return number

    @call(meaning="responsibility")
    def decide(self, case: Number, outcome: Outcome) -> dict[str, Any]:
        """End the investigation: the reporter's decision, or a regulator's.

        What is cleared leaves quarantine, unless something else holds it there: the answer says.
        """
        found = self._case(case, SUSPECT)
        self._check_concerned(found)
        if found.deadline:
            self.cancel(found.deadline)
        found.deadline = ""
        found.state, found.decided_by = outcome, self.ctx.organisation
        found.decided_at = self.ctx.time_ms
        answer: dict[str, Any] = {"state": outcome, "released": False, "code": ""}
        if outcome == ILLEGITIMATE:
            found.deadline = self.due(self.ctx.time_ms + CLOCK_MS, "unnotified", case=case)
            for suspect in self.suspects.values(case):
                self._lock(suspect, ILLEGITIMATE, case)
        else:
            self._end(case, found)
            answer = self._release(case, found)
        self.cases.put(case, found)
        self.emit("SuspicionDecided", case=case, outcome=outcome, by=self.ctx.organisation)
        return answer

    @call(own=("cases", "case", "reporter"), meaning="responsibility")
    def notify(
        self, case: Number, regulator: OrganisationId, form: Note | None = None
    ) -> list[str]:
        """Notify the FDA, and each immediate trading partner that may have such product: those
        whom it came from or went to. Returns these.
        """
        found = self._case(case, ILLEGITIMATE)
        if found.notified_at:
            refuse("ALREADY_NOTIFIED", f"case {case} was notified")
        fda = self.invoke("identity", "organisation", id=regulator)
        if fda is None or "regulator" not in fda["roles"]:
            refuse("NOT_REGULATOR", f"{regulator} is no regulator")
        if found.deadline:
            self.cancel(found.deadline)
        found.deadline, found.regulator, found.form = "", regulator, form
        found.notified_at = self.ctx.time_ms
        self.cases.put(case, found)
        partners = self._partners(case, found.reporter)
        for partner in partners:
            self.notices.put((case, partner), Notice(partner, self.ctx.time_ms))
        self.emit(
            "IllegitimateNotified",
            case=case,
            reporter=found.reporter,
            regulator=regulator,
            partners=partners,
            late=found.is_notified_late,
        )
        return partners

    @call(meaning="responsibility")
    def acknowledge(self, case: Number, has_product: bool) -> None:
        """Answer a notice: whether the caller has such product. It then reports its own."""
        me = self.ctx.organisation
        notice = self.notices.get((case, me))
        if notice is None:
            refuse("NOT_NOTIFIED", f"{me} has no notice of case {case}")
        if notice.acknowledged_at:
            refuse("ALREADY_ACKNOWLEDGED", f"{me} has answered the notice of case {case}")
        notice.acknowledged_at, notice.has_product = self.ctx.time_ms, has_product
        self.notices.put((case, me), notice)
        self.emit("NoticeAnswered", case=case, partner=me, has_product=has_product)

    @call(roles=("regulator",), meaning="approval")
    def terminate(self, case: Number, ending: Ending) -> None:
        """End the case of illegitimate product, as a regulator: 582(b)(4)(B)(iv)."""
        found = self._case(case, ILLEGITIMATE)
        if not found.notified_at:
            refuse("NOT_NOTIFIED", f"nobody was notified of case {case}")
        found.state, found.ending = TERMINATED, ending
        self._end(case, found)
        self.cases.put(case, found)
        self.emit("CaseTerminated", case=case, ending=ending, by=self.ctx.organisation)

    # --- clocks -----------------------------------------------------------------------------

    @timed
    def undecided(self, case: Number) -> None:
        """24 hours after the report, and no decision."""
        found = self._case(case, SUSPECT)
        found.deadline, found.is_decided_late = "", True
        self.cases.put(case, found)
        self.emit("SuspicionUndecided", case=case, reporter=found.reporter)

    @timed
    def unnotified(self, case: Number) -> None:
        """24 hours after the decision that product is illegitimate, and no notification."""
        found = self._case(case, ILLEGITIMATE)
        found.deadline, found.is_notified_late = "", True
        self.cases.put(case, found)
        self.emit("NotificationOverdue", case=case, reporter=found.reporter)

    # --- asking -----------------------------------------------------------------------------

    @query
    def case(self, case: Number) -> dict[str, Any] | None:
        """A case with its things and notices."""
        return self._shown(case)

    @query
    def cases_of(self, reporter: OrganisationId) -> list[dict[str, Any] | None]:
        """The first hundred cases of an organisation."""
        return [self._shown(one) for one in self.cases_by_reporter.keys(reporter, limit=SHOWN_MAX)]

    # --- how --------------------------------------------------------------------------------

    def _shown(self, number: int) -> dict[str, Any] | None:
        found = self.cases.get(number)
        if found is None:
            return None
        return {
            "number": number,
            "record": found,
            "items": list(self.suspects.values(number)),
            "notices": list(self.notices.values(number)),
        }

    def _case(self, number: int, state: str) -> Case:
        found = self.cases.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no case {number}")
        if found.state != state:
            refuse("WRONG_STATE", f"case {number} is {found.state}")
        return found

    def _check_concerned(self, case: Case) -> None:
        if case.reporter != self.ctx.organisation and "regulator" not in self.ctx.roles:
            refuse("NOT_AUTHORISED", "its reporter or a regulator decides a case")

    def _is_apart(self, thing: Thing, owner: str) -> bool:
        """Whether the caller has a thing in quarantine already, for another reason."""
        found = self.invoke("batch", "item", item=thing.item)
        if found is None:
            return False
        me = self.ctx.organisation
        if thing.item[18:20] != "10" or thing.quantity is None:
            record = found["record"]
            return bool(found.get("holder", "") == me and record["state"] == "QUARANTINED")
        for stock in found["stock"]:
            if stock["holder"] == me and stock["owner"] == owner:
                amount = thing.quantity.amount
                return bool(stock["free"] < amount <= stock["quarantined"])
        return False

    def _suspect(self, number: int, place: int, suspect: SuspectThing) -> None:
        """Take a thing into a case, and have it stand still."""
        self.suspects.put((number, place), suspect)
        self.open_cases.put((suspect.item, lock_holder(suspect.item, suspect.holder)), number)
        self._lock(suspect, SUSPECT, number)

    def _lock(self, suspect: SuspectThing, state: str, number: int) -> None:
        item, holder = suspect.item, lock_holder(suspect.item, suspect.holder) or None
        self.invoke("batch", "set_lock", item=item, state=state, number=number, holder=holder)

    def _end(self, number: int, case: Case) -> None:
        """Let the goods go on, as far as it is for this case to say."""
        case.ended_at = self.ctx.time_ms
        for suspect in self.suspects.values(number):
            self._lock(suspect, CLEAR, number)
            self.open_cases.delete((suspect.item, lock_holder(suspect.item, suspect.holder)))

    def _release(self, number: int, case: Case) -> dict[str, Any]:
        """Take cleared goods out of quarantine, where the reporter decides itself."""
        answer: dict[str, Any] = {"state": CLEARED, "released": False, "code": ""}
        if case.reporter != self.ctx.organisation:
            return answer
        things = []
        for suspect in self.suspects.values(number):
            quantity = Quantity(suspect.amount, suspect.unit) if suspect.amount else None
            if not suspect.is_inside and not suspect.was_apart:
                things.append(Thing(suspect.item, quantity))
        if not things:
            return answer
        try:
            self.invoke("batch", "release", items=things, owner=case.owner)
        except ContractError as error:  # a recall, say, that came meanwhile
            answer["code"] = error.code
        else:
            answer["released"] = True
        return answer

    def _partners(self, number: int, reporter: str) -> list[str]:
        """With whom the reporter has traded in these goods, by what moved and what was sold."""
        found: dict[str, bool] = {}
        moved: dict[str, bool] = {}  # lots, and serials of no known lot
        named, inside = [], []
        for suspect in self.suspects.values(number):
            if lock_holder(suspect.item, reporter):
                moved[suspect.item] = True
            elif suspect.is_inside:
                inside.append(Thing(suspect.item))
            else:
                named.append(Thing(suspect.item))
        for things in (named, inside):
            for package in self.invoke("batch", "packages", items=things) if things else []:
                moved[package["lot"] or package["item"]] = True
        for item in moved:
            for one in self.invoke("batch", "partners", item=item, organisation=reporter):
                found[one] = True
        for suspect in self.suspects.values(number):
            for line in self.lines_by_item.values(suspect.item, limit=PACKAGES_MAX):
                sale = self.transactions.get(line.transaction)
                if sale is None:
                    continue
                if sale.seller == reporter:
                    found[sale.buyer] = True
                if sale.buyer == reporter:
                    found[sale.seller] = True
        return sorted([one for one in found if one not in ("", reporter)])


def lock_holder(item: str, holder: str) -> str:
    """Whose stock of a lot stands still; empty for what is one thing."""
    return holder if item[18:20] == "10" else ""
