"""Letters of credit by UCP 600, known to their parties alone.

::

    credit:        APPLIED -> PROPOSED -> ISSUED -> ADVISED [-> CONFIRMED] -> EXPIRED -> CLOSED
                   APPLIED | PROPOSED -> DECLINED | WITHDRAWN      ADVISED | CONFIRMED -> CANCELLED
    amendment:     PROPOSED -> ISSUED -> ACCEPTED | REJECTED
    presentation:  PRESENTED -> COMPLYING -> HONOURED
                   PRESENTED -> DISCREPANT -> REFUSED [-> WAIVED -> HONOURED]
                   PRESENTED | DISCREPANT -> PRECLUDED -> HONOURED;   TAKEN_BACK

Banks deal with documents, not with goods (5): nothing here asks where the goods are. Terms,
amounts, documents and discrepancies are commitments. What they come to is found by checks, which
the banks run where the openings are, and record: ``ready``, ``fits``, ``examine``, ``within``,
``transferable``. Whoever has the openings runs them again; another verdict marks a dispute.

The chain keeps the order of things: four eyes at issue and payment, the consents that an amendment
takes, five banking days, one notice, a drawing counted once and after those before it.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import (
    Int,
    Money,
    OrganisationId,
    Task,
    Verdict,
    call,
    check,
    query,
    refuse,
    timed,
)
from contracts.trade.credit_book import BANKERS, TRADERS
from contracts.trade.credit_records import (
    ADVISED,
    ALIVE,
    AMENDMENTS_MAX,
    APPLIED,
    CLOSED,
    COMPLYING,
    DISCREPANT,
    EXPIRED,
    HONOURED,
    ISSUED,
    PAYABLE,
    PRESENTED,
    PROPOSED,
    REFUSED,
    SHOWN_MAX,
    Credit,
    Number,
    Presentation,
)
from contracts.trade.presenting import Presentations
from contracts.trade.terms import ceiling


class Credits(Presentations):
    """Credits, their amendments and presentations."""

    name = "credit"
    audited = True

    # --- the end ----------------------------------------------------------------------------

    @timed
    def expire(self, number: Number) -> None:
        """The last day for presentation is over. Documents that are there are examined and
        honoured all the same (14(b))."""
        credit = self._credit(number, ALIVE)
        credit.state, credit.ends = EXPIRED, ""
        self._waits(number, credit)
        self.emit("CreditExpired", number=number)

    @call(roles=(*TRADERS, *BANKERS), meaning="responsibility")
    def close(self, number: Number) -> None:
        """Close a credit of which nothing is open: the issuer when it has expired, the beneficiary
        at any time, who gives up what is undrawn."""
        credit = self._credit(number, (EXPIRED, *ALIVE))
        if credit.state == EXPIRED:
            self._check_is(credit.issuer, BANKERS)
        else:
            self._check_is(credit.beneficiary, TRADERS)
        if credit.open or credit.to_pass_on:
            refuse("EXAMINATION_OPEN", f"presentations of credit {number} are open")
        self._over(number, credit, CLOSED)
        self.emit("CreditClosed", number=number)

    @check
    def undrawn(self, number: Number) -> Verdict:
        """What the bank has still undertaken to pay, and so what it holds reserved: while the
        credit runs, what is undrawn; then what open presentations draw."""
        credit = self._credit(number)
        terms = self._terms(number, credit, credit.accepted)
        most = ceiling(terms)
        left = max(0, most - self._used(number, credit, len(credit.drawings)))
        if credit.state not in ALIVE:
            claimed = 0
            roots = credit.drawings.copy()  # what is passed on draws once
            for one in credit.open:
                found = self._presentation(number, one)
                root = found.of or one
                if root not in roots:
                    roots.append(root)
                    claimed += self.drawings.open(found.drawing).amount.minor
            left = min(left, claimed)
        rest = Money(left, terms.amount.currency)
        whole = Money(most, terms.amount.currency)
        return Verdict("UNDRAWN" if left else "NONE", [f"{rest.text} of {whole.text}"])

    # --- asking -----------------------------------------------------------------------------

    @query
    def credit(self, number: Number) -> dict[str, Any]:
        """A credit as it stands, with its amendments."""
        amendments: list[dict[str, Any]] = []
        for key, amendment in self.amendments.items(number, limit=AMENDMENTS_MAX):
            amendments.append({"amendment": key[1], "record": amendment})
        return {"number": number, "credit": self._credit(number), "amendments": amendments}

    @query
    def presentation(self, number: Number, presentation: Number) -> dict[str, Any]:
        """A presentation as it stands, and what the parties found of it."""
        found = self._presentation(number, presentation)
        said: list[dict[str, Any]] = []
        for key, opinion in self.opinions.items((number, presentation), limit=SHOWN_MAX):
            said.append({"subject": key[2], "organisation": key[3], "opinion": opinion})
        return {"presentation": found, "opinions": said}

    @query
    def presentations_of(
        self, number: Number, after: Annotated[int, Int(0)] = 0
    ) -> list[dict[str, Any]]:
        """The first hundred presentations of a credit above ``after``."""
        credit = self._credit(number)
        found: list[dict[str, Any]] = []
        last = min(credit.presentations, after + SHOWN_MAX)
        for one in range(after + 1, last + 1):
            found.append({"number": one, "presentation": self._presentation(number, one)})
        return found

    @query
    def credits_of(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> list[dict[str, Any]]:
        """The first hundred open credits above ``after`` of which an organisation is a party."""
        numbers = self._numbers_of(organisation, after)[:SHOWN_MAX]
        return [{"number": one, "credit": self._credit(one)} for one in numbers]

    @query
    def honoured(self, number: Number, presentation: Number) -> dict[str, Any]:
        """Whether a presentation was honoured, for what depends on it (contract escrow)."""
        credit = self._credit(number)
        found = self.presentations.get((number, presentation))
        return {
            "honoured": found is not None and found.state == HONOURED,
            "beneficiary": credit.beneficiary,
            "applicant": credit.applicant,
        }

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """What awaits the parties of the credits of which an organisation is one."""
        numbers = self._numbers_of(organisation, after)
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            credit = self._credit(number)
            found.extend(self._tasks(number, credit))
            for one in credit.open + credit.asked:
                made = self._presentation(number, one)
                found.extend(self._tasks_of(number, one, credit, made))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found, "next": numbers[SHOWN_MAX - 1] if more else 0}

    # --- inside -----------------------------------------------------------------------------

    def _numbers_of(self, organisation: str, after: int) -> list[int]:
        keys = self.parties.keys(organisation, limit=1_000)
        return [key[1] for key in keys if key[1] > after]

    def _tasks(self, number: int, credit: Credit) -> list[Task]:
        subject, args, since = f"credit {number}", {"number": number}, credit.since
        found: list[Task] = []

        if credit.state == APPLIED and credit.parent:
            roles = ["bank_admin"]
            bank = credit.nominated or credit.issuer
            found.append(Task(bank, "transferred", args, subject, roles, since))
        elif credit.state == APPLIED:
            found.append(Task(credit.issuer, "propose", args, subject, ["bank_officer"], since))
        elif credit.state == PROPOSED:
            found.append(Task(credit.issuer, "issue", args, subject, ["bank_admin"], since))
        elif credit.state == ISSUED:
            found.append(Task(credit.advising, "advise", args, subject, list(BANKERS), since))
        elif credit.state == ADVISED and credit.to_confirm:
            found.append(Task(credit.nominated, "confirm", args, subject, ["bank_admin"], since))
        elif credit.state == EXPIRED and not credit.open and not credit.to_pass_on:
            found.append(Task(credit.issuer, "close", args, subject, list(BANKERS), since))
        if credit.to_pass_on:
            found.append(Task(credit.nominated, "pass_on", args, subject, list(BANKERS), since))
        for amendment in credit.pending:
            waiting = self._amendment(number, amendment)
            about = {"number": number, "amendment": amendment}
            name, roles, who = "decide", list(TRADERS), credit.beneficiary
            if credit.confirmed and not waiting.confirmer_agreed:
                name, roles, who = "extend_confirmation", ["bank_admin"], credit.nominated
            title = f"{subject} amendment {amendment}"
            found.append(Task(who, name, about, title, roles, waiting.issued_at))
        return found

    def _tasks_of(self, number: int, one: int, credit: Credit, made: Presentation) -> list[Task]:
        args, subject = (
            {"number": number, "presentation": one},
            f"credit {number} presentation {one}",
        )
        bank, since, due = made.bank, made.since, made.deadline
        found: list[Task] = []
        if made.state == PRESENTED:
            found.append(Task(bank, "examined", args, subject, ["bank_officer"], since, due))
        elif made.state == DISCREPANT:
            found.append(Task(bank, "give_notice", args, subject, ["bank_officer"], since, due))
        elif made.state in PAYABLE:
            due = made.deadline if made.state == COMPLYING else 0
            if (made.of or one) in credit.drawings:
                found.append(Task(bank, "honour", args, subject, ["bank_admin"], since, due))
            else:
                found.append(Task(bank, "counted", args, subject, ["bank_officer"], since, due))
        if made.state in (DISCREPANT, REFUSED) and made.asked:
            due = made.deadline if made.state == DISCREPANT else 0
            if made.waived:
                found.append(Task(bank, "accept_waiver", args, subject, ["bank_admin"], since, due))
            else:
                applicant = credit.applicant
                found.append(Task(applicant, "waive", args, subject, list(TRADERS), since, due))
        return found
