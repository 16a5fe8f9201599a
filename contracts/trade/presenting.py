"""Presentations: examination, notice, waiver, preclusion, honour."""

from __future__ import annotations

from typing import Any

from contracts.sdk import (
    DocumentHash,
    Findings,
    Money,
    Opened,
    OrganisationId,
    Verdict,
    VerdictCode,
    call,
    check,
    refuse,
    timed,
)
from contracts.trade.credit_book import BANKERS, TRADERS
from contracts.trade.credit_records import (
    BANKING_DAYS,
    BEYOND,
    CANCELLED,
    CLOSED,
    COMPLYING,
    DISCREPANT,
    HELD_FATES,
    HONOURED,
    ISSUED,
    OPEN_MAX,
    PAYABLE,
    PRECLUDED,
    PRESENTATIONS_MAX,
    PRESENTED,
    REFUSED,
    RUNNING,
    TAKEN_BACK,
    WAIVED,
    WITH,
    WITHIN,
    Bills,
    Count,
    Credit,
    Documents,
    Fate,
    HeldBill,
    Number,
    Opinion,
    Presentation,
)
from contracts.trade.examination import (
    OpenedBill,
    Presented,
    discrepancies,
    last_after_shipment,
)
from contracts.trade.terms import NOT_ALLOWED, Drawing, DrawingCommitment, ceiling
from contracts.trade.undertaking import Undertakings


class Presentations(Undertakings):
    """What is presented, and what the banks make of it."""

    digests = Opened(DocumentHash)

    # --- presentation -----------------------------------------------------------------------

    @call(own=("credits", "number", "beneficiary"), roles=TRADERS, meaning="authorship")
    def present(
        self,
        number: Number,
        bank: OrganisationId,
        drawing: DrawingCommitment,
        documents: Documents,
        bills: Bills | None = None,
    ) -> int:
        """Present documents to the issuer or the nominated bank; it has five banking days that
        follow this day (14(b)). ``bills`` are electronic bills of lading that the bank controls or
        holds in pledge. The answer is the presentation's number within the credit.
        """
        credit = self._credit(number, RUNNING)
        available = [credit.issuer, credit.nominated]
        if credit.transferring:
            available = [credit.transferring]
        if bank not in available:
            refuse("NOT_AVAILABLE", f"credit {number} is not available with {bank}")
        made = self._presentation_to(credit, bank, drawing, documents)
        for bill in bills or []:
            found = self.invoke("bill", "bill", number=bill)["bill"]
            if bank not in (found["controller"], found["pledgee"]):
                refuse("BILL_NOT_HELD", f"{bank} neither controls bill {bill} nor has it in pledge")
            made.bills.append(HeldBill(bill, found["document"]))
        presentation = self._take_in(number, credit, made)
        self.share([drawing, *documents], [bank])
        return presentation

    @call(roles=BANKERS, meaning="authorship")
    def pass_on(self, number: Number, presentation: Number) -> int:
        """Pass documents on to the issuer, as the bank they were presented to: for reimbursement,
        or to ask whether it takes them up as they are. The answer is the new presentation."""
        credit = self._credit(number)
        first = self._presentation(number, presentation)
        self._check_is(first.bank, BANKERS)
        is_gone = first.state == REFUSED and first.fate not in HELD_FATES
        if is_gone or first.state in (PRESENTED, TAKEN_BACK):
            refuse("WRONG_STATE", f"presentation {presentation} is {first.state}")
        if first.bank == credit.issuer or first.passed_on:
            refuse("WRONG_STATE", f"presentation {presentation} is the issuer's already")
        made = self._presentation_to(credit, credit.issuer, first.drawing, first.documents)
        made.day, made.basis, made.pending = first.day, first.basis, first.pending
        made.before, made.bills, made.of = first.before, first.bills, presentation
        made.ahead = first.ahead
        if first.state == HONOURED:
            credit.to_pass_on -= 1
        first.passed_on = self._take_in(number, credit, made)
        self.presentations.put((number, presentation), first)
        self.share([first.drawing, *first.documents], [credit.issuer])
        return first.passed_on

    @call(roles=(*TRADERS, *BANKERS), meaning="authorship")
    def take_back(self, number: Number, presentation: Number) -> None:
        """Take the own documents back, as the presenter: what no bank has to pay."""
        credit = self._credit(number)
        states: tuple[str, ...] = (PRESENTED, DISCREPANT, REFUSED)
        found = self._presentation(number, presentation)
        if not self._is_bound(credit, found) and presentation not in credit.drawings:
            states = (*states, COMPLYING)
        self._presentation(number, presentation, states)
        self._check_is(found.presenter, (*TRADERS, *BANKERS))
        if found.passed_on:
            refuse("WRONG_STATE", f"presentation {presentation} was passed on to the issuer")
        if found.of:
            first = self._presentation(number, found.of)
            first.passed_on = 0
            self.presentations.put((number, found.of), first)
            if first.state == HONOURED:
                credit.to_pass_on += 1
        found.state = TAKEN_BACK
        self._decided(number, presentation, credit, found)
        self.emit("TakenBack", number=number, presentation=presentation)

    # --- examination (14) -------------------------------------------------------------------

    @check(records="examined")
    def examine(self, number: Number, presentation: Number) -> Verdict:
        """The documents against the credit: every discrepancy with its article.

        They are held against the terms as they were on the day of presentation. Amendments that
        waited for the beneficiary's word then are taken in, the most that the documents comply
        with: complying with them is accepting them (10(c)).
        """
        credit = self._credit(number)
        made = self._presentation(number, presentation)
        drawing = self.drawings.open(made.drawing)
        documents = [self.documents.open(one) for one in made.documents]
        earlier: list[Drawing] = []
        for one in credit.drawings[: made.before]:
            if one > 0:
                earlier.append(self.drawings.open(self._presentation(number, one).drawing))
        ahead: list[int] = []
        for one in made.ahead:
            ahead.append(self.drawings.open(self._presentation(number, one).drawing).instalment)
        bills = [OpenedBill(one.number, self.digests.open(one.document)) for one in made.bills]
        found: list[str] = []
        changes = self._changes(number, made.basis + made.pending)
        for count in range(len(made.pending), -1, -1):
            taken = made.basis + made.pending[:count]
            terms = self._terms_with(credit, changes, taken)
            last_day: int = self.invoke(
                "calendar", "next_banking_day", bank=made.bank, day=terms.expiry
            )
            last: int = last_after_shipment(terms, documents)
            if last:
                last = self.invoke("calendar", "next_banking_day", bank=made.bank, day=last)
            it = Presented(made.day, last_day, last, drawing, earlier, ahead, documents, bills)
            found = discrepancies(terms, it)
            if not found:
                newest = made.pending[count - 1] if count else 0
                return Verdict(f"{WITH}{newest}" if newest else COMPLYING, [])
        return Verdict(DISCREPANT, found)

    @call(meaning="review")
    def examined(
        self, number: Number, presentation: Number, verdict: VerdictCode, findings: Findings
    ) -> str:
        """Record what the own examination found. The answer is the presentation's state.

        The verdict of the bank that has the documents decides, once. Those of the other parties
        and of a regulator stand beside it; one that differs marks the presentation as disputed.
        """
        credit = self._credit(number)
        found = self._presentation(number, presentation)
        if verdict not in (COMPLYING, DISCREPANT) and verdict not in self._accepting(found):
            refuse("UNKNOWN_VERDICT", f"documents are {COMPLYING} or {DISCREPANT}")
        if self.ctx.organisation != found.bank:
            self._opine(credit, found, number, presentation, "EXAMINE", verdict, findings)
            return found.state
        self.require("bank_officer")
        if found.verdict or found.state != PRESENTED:
            refuse("WRONG_STATE", f"presentation {presentation} is {found.state}")
        found.examiner = self._person()
        found.verdict, found.findings = verdict, findings
        found.state = DISCREPANT if verdict == DISCREPANT else COMPLYING
        self.share([findings], [] if verdict == DISCREPANT else [found.presenter])
        if found.state == COMPLYING:
            self._cancel_due(found)
            for amendment in found.pending:
                is_taken = verdict != COMPLYING and amendment <= int(verdict.removeprefix(WITH))
                if is_taken and amendment in credit.pending:
                    self._accept(number, credit, amendment, presentation)
                    if self._amendment(number, amendment).expiry and credit.ends:
                        self._set_end(number, credit)
            self.credits.put(number, credit)
        self._wait(number, presentation, found)
        self.emit("Examined", number=number, presentation=presentation, state=found.state)
        return found.state

    # --- refusal and waiver (16) ------------------------------------------------------------

    @call(roles=("bank_officer",), meaning="responsibility")
    def give_notice(self, number: Number, presentation: Number, fate: Fate) -> None:
        """Refuse, in the one notice that there is: it shows the presenter every discrepancy that
        was found, and says what becomes of the documents (16(c), (d))."""
        credit = self._credit(number)
        found = self._presentation(number, presentation)
        self._check_is(found.bank, ("bank_officer",))
        if found.refused_at:
            refuse("NOTICE_GIVEN", f"presentation {presentation} was refused before (16(c))")
        self._presentation(number, presentation, (DISCREPANT,))
        if self.ctx.time_ms > found.deadline and self._is_bound(credit, found):
            refuse("NOTICE_LATE", "the bank's five banking days are over (16(d), (f))")
        self._person()
        found.state, found.fate, found.refused_at = REFUSED, fate, self.ctx.time_ms
        if found.findings is not None:
            self.share([found.findings], [found.presenter])
        self._decided(number, presentation, credit, found)
        if found.asked and fate in HELD_FATES:
            credit.asked.append(presentation)
            self.credits.put(number, credit)
        self.emit("Refused", number=number, presentation=presentation, fate=fate)

    @call(own=("credits", "number", "issuer"), roles=BANKERS, meaning="authorship")
    def ask_waiver(self, number: Number, presentation: Number) -> None:
        """Approach the applicant, as issuer and in its sole judgement (16(b)). The five banking
        days go on."""
        credit = self._credit(number)
        found = self._waivable(number, presentation)
        if found.bank != credit.issuer:
            refuse("NOT_AUTHORISED", "the issuer asks of what was presented to it")
        found.asked = True
        if found.state == REFUSED and presentation not in credit.asked:
            credit.asked.append(presentation)
            self.credits.put(number, credit)
        self._wait(number, presentation, found)
        shared = [found.drawing, *found.documents]
        if found.findings is not None:
            shared.append(found.findings)
        self.share(shared, [credit.applicant])
        self.emit("WaiverAsked", number=number, presentation=presentation)

    @call(own=("credits", "number", "applicant"), roles=TRADERS, meaning="approval")
    def waive(self, number: Number, presentation: Number) -> None:
        """Waive the discrepancies, as the applicant; the issuer decides all the same (16(b))."""
        found = self._waivable(number, presentation)
        if not found.asked:
            refuse("NOT_REQUESTED", f"nobody asks for a waiver of presentation {presentation}")
        found.waived = True
        self._wait(number, presentation, found)
        self.emit("Waived", number=number, presentation=presentation)

    @call(roles=("bank_admin",), meaning="approval")
    def accept_waiver(self, number: Number, presentation: Number) -> None:
        """Take the documents up as they are: the issuer on the applicant's waiver, another bank
        once the issuer has taken them up."""
        credit = self._credit(number)
        found = self._waivable(number, presentation)
        self._check_is(found.bank, ("bank_admin",))
        self._other_person(found.examiner, "examined the documents")
        if found.bank == credit.issuer:
            if not found.waived:
                refuse("NOT_WAIVED", "the applicant has not waived the discrepancies")
        elif not found.passed_on or (
            self._presentation(number, found.passed_on).state not in (*PAYABLE, HONOURED)
        ):
            refuse("NOT_WAIVED", "the issuer has not taken up the documents")
        if credit.state in (CANCELLED, CLOSED):
            refuse("WRONG_STATE", f"credit {number} is {credit.state}")
        self._cancel_due(found)
        found.state = WAIVED
        if presentation not in credit.open:
            credit.open.append(presentation)
        if presentation in credit.asked:
            credit.asked.remove(presentation)
        self.credits.put(number, credit)
        self._wait(number, presentation, found)
        self.emit("WaiverAccepted", number=number, presentation=presentation)

    @timed
    def preclude(self, number: Number, presentation: Number) -> None:
        """Five banking days are over without a notice: a bank that has undertaken to pay can't say
        any more that the documents do not comply (16(f))."""
        credit = self._credit(number)
        found = self._presentation(number, presentation, (PRESENTED, DISCREPANT))
        found.due = ""
        if self._is_bound(credit, found):
            found.state = PRECLUDED
            self.emit("Precluded", number=number, presentation=presentation, bank=found.bank)
        self._wait(number, presentation, found)

    # --- honour (7, 8, 15) ------------------------------------------------------------------

    @check(records="counted")
    def within(
        self, number: Number, presentation: Number, drawn: Count, accepted: Count
    ) -> Verdict:
        """Whether a presentation draws no more than the credit still gives, after the first
        ``drawn`` of its drawings and ``accepted`` of its amendments."""
        credit = self._credit(number)
        terms = self._terms(number, credit, credit.accepted[:accepted])
        amount = self.drawings.open(self._presentation(number, presentation).drawing).amount
        total = self._used(number, credit, drawn) + amount.minor
        found: list[str] = []
        if amount.currency != terms.amount.currency:
            found.append(f"drawn in {amount.currency}, not {terms.amount.currency}")
        elif total > ceiling(terms):
            limit = Money(ceiling(terms), amount.currency)
            sum_drawn = Money(total, amount.currency)
            found.append(f"{sum_drawn.text} would be drawn, the credit gives {limit.text}")
        if drawn and terms.partial_shipments == NOT_ALLOWED and not terms.instalments:
            found.append("31(a): partial drawings are not allowed, and one was counted before")
        return Verdict(BEYOND if found else WITHIN, found)

    @call(meaning="review")
    def counted(
        self,
        number: Number,
        presentation: Number,
        drawn: Count,
        accepted: Count,
        verdict: VerdictCode,
        findings: Findings,
    ) -> None:
        """Count a drawing, as the bank that is to honour it, after its check; of two at a time the
        second checks again. The other parties' verdicts stand beside it."""
        credit = self._credit(number)
        found = self._presentation(number, presentation)
        if verdict not in (WITHIN, BEYOND):
            refuse("UNKNOWN_VERDICT", f"a drawing is {WITHIN} or {BEYOND}")
        root = found.of or presentation
        if self.ctx.organisation != found.bank:
            if root not in credit.drawings[drawn : drawn + 1] or accepted != found.accepted:
                refuse("OUTDATED_VERDICT", "it was counted after others than these")
            self._opine(credit, found, number, presentation, "WITHIN", verdict, findings)
            return
        self.require("bank_officer")
        self._presentation(number, presentation, PAYABLE)
        if root in credit.drawings:
            refuse("WRONG_STATE", f"presentation {presentation} is counted")
        self._check_counts(credit, drawn, accepted, True)
        if verdict != WITHIN:
            refuse("BEYOND_CEILING", "more would be drawn than the credit gives")
        if not found.examiner:
            found.examiner = self._person()
        found.accepted = accepted
        credit.drawings.append(root)
        self.credits.put(number, credit)
        self._wait(number, presentation, found)
        self.share([findings], [])
        self.emit("Counted", number=number, presentation=presentation, drawn=drawn)

    @call(roles=("bank_admin",), meaning="approval")
    def honour(self, number: Number, presentation: Number) -> None:
        """Honour (2): pay, or undertake to pay at maturity, or accept; by another person than who
        examined the documents. What the issuer honours, the applicant gets."""
        credit = self._credit(number)
        found = self._presentation(number, presentation)
        self._check_is(found.bank, ("bank_admin",))
        self._presentation(number, presentation, PAYABLE)
        if (found.of or presentation) not in credit.drawings:
            refuse("NOT_COUNTED", "say first that the drawing is within the credit")
        found.payer = self._other_person(found.examiner, "examined the documents")
        self._check_dealing([found.bank, found.presenter, credit.beneficiary, credit.applicant])
        found.state = HONOURED
        if found.bank != credit.issuer and not found.passed_on:
            credit.to_pass_on += 1
        self._decided(number, presentation, credit, found)
        if found.bank == credit.issuer:
            self.share([found.drawing, *found.documents], [credit.applicant])
        self.emit("Honoured", number=number, presentation=presentation, bank=found.bank)

    # --- inside -----------------------------------------------------------------------------

    def _presentation_to(
        self, credit: Credit, bank: str, drawing: bytes, documents: list[bytes]
    ) -> Presentation:
        """A presentation of this moment."""
        now, me = self.ctx.time_ms, self.ctx.organisation
        self._check_dealing([me, bank])
        day: int = self.invoke("calendar", "local_day", bank=bank, time=now)
        until: dict[str, Any] = self.invoke(
            "calendar", "add_banking_days", bank=bank, day=day, count=BANKING_DAYS
        )
        return Presentation(
            bank,
            me,
            PRESENTED,
            drawing,
            documents,
            [],
            now,
            day,
            until["end_ms"],
            credit.accepted,
            [],
            len(credit.drawings),
            credit.open.copy(),
            now,
        )

    def _take_in(self, number: int, credit: Credit, made: Presentation) -> int:
        if len(credit.open) == OPEN_MAX or credit.presentations == PRESENTATIONS_MAX:
            refuse("TOO_MANY", f"credit {number} has too many presentations")
        if not made.of:
            for amendment in credit.pending:
                waiting = self._amendment(number, amendment, ISSUED)
                agreed = waiting.confirmer_agreed or not credit.confirmed
                if agreed and not waiting.cancels:
                    made.pending.append(amendment)
        credit.presentations += 1
        presentation = credit.presentations
        credit.open.append(presentation)
        self.credits.put(number, credit)
        args = {"number": number, "presentation": presentation}
        made.due = self.due(made.deadline + 1, "preclude", **args)
        self.presentations.put((number, presentation), made)
        self.emit("Presented", bank=made.bank, deadline=made.deadline, **args)
        return presentation

    def _is_bound(self, credit: Credit, found: Presentation) -> bool:
        """Whether the bank has undertaken to pay: a nomination alone is no such thing (12(a))."""
        return found.bank == credit.issuer or credit.confirmed

    def _accepting(self, found: Presentation) -> list[str]:
        """The verdicts by which documents accept amendments."""
        return [f"{WITH}{amendment}" for amendment in found.pending]

    def _opine(
        self,
        credit: Credit,
        found: Presentation,
        number: int,
        presentation: int,
        subject: str,
        verdict: str,
        findings: bytes,
    ) -> None:
        """Another organisation than the bank says what it found."""
        me = self.ctx.organisation
        if me not in self._everybody(credit):
            self.require("regulator")
        if (number, presentation, subject, me) in self.opinions:
            refuse("ALREADY_RECORDED", f"{me} has said what it found")
        decided = found.verdict if subject == "EXAMINE" else WITHIN
        if not decided:
            refuse("WRONG_STATE", "the bank is first to say")
        opinion = Opinion(verdict, findings, self.ctx.time_ms)
        self.opinions.put((number, presentation, subject, me), opinion)
        self.share([findings], [found.bank])
        if verdict != decided:
            found.disputed = True
            self.presentations.put((number, presentation), found)
            self.emit("Disputed", number=number, presentation=presentation, by=me)

    def _waivable(self, number: int, presentation: int) -> Presentation:
        found = self._presentation(number, presentation, (DISCREPANT, REFUSED))
        if found.state == REFUSED and found.fate not in HELD_FATES:
            refuse("DOCUMENTS_RETURNED", f"presentation {presentation} went back to the presenter")
        return found

    def _cancel_due(self, found: Presentation) -> None:
        if found.due:
            self.cancel(found.due)
            found.due = ""

    def _wait(self, number: int, presentation: int, found: Presentation) -> None:
        found.since = self.ctx.time_ms
        self.presentations.put((number, presentation), found)

    def _decided(self, number: int, presentation: int, credit: Credit, found: Presentation) -> None:
        """Nothing more is to be done with the presentation."""
        self._cancel_due(found)
        found.decided_at = self.ctx.time_ms
        for waiting in (credit.open, credit.asked):
            if presentation in waiting:
                waiting.remove(presentation)
        self.credits.put(number, credit)
        self._wait(number, presentation, found)
