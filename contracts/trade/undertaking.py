"""The undertaking: application, issue, advice, confirmation, amendments, transfer."""

from __future__ import annotations

from contracts.sdk import (
    Date,
    Findings,
    OrganisationId,
    Verdict,
    VerdictCode,
    call,
    check,
    refuse,
)
from contracts.trade.credit_book import BANKERS, TRADERS, Book
from contracts.trade.credit_records import (
    ADVISED,
    ALIVE,
    AMENDMENTS_MAX,
    APPLIED,
    BEYOND,
    CANCELLED,
    CONFIRMED,
    DECLINED,
    DRAWINGS_MAX,
    ISSUED,
    PENDING_MAX,
    PRESENTED,
    PROPOSED,
    READY,
    REJECTED,
    RUNNING,
    UNFIT,
    WITHDRAWN,
    WITHIN,
    Amendment,
    Count,
    Credit,
    Decision,
    Number,
    Reason,
)
from contracts.trade.terms import (
    NOT_ALLOWED,
    ChangesCommitment,
    Terms,
    TermsCommitment,
    amended,
    beyond_transfer,
    ceiling,
    not_fitting,
    unfit,
)


class Undertakings(Book):
    """What banks undertake, and who has to agree to what."""

    # --- issue ------------------------------------------------------------------------------

    @call(roles=TRADERS, meaning="authorship")
    def apply(
        self,
        issuer: OrganisationId,
        beneficiary: OrganisationId,
        expiry: Date,
        terms: TermsCommitment,
        advising: str = "",
        nominated: str = "",
        to_confirm: bool = False,
    ) -> int:
        """Apply, as applicant, for a credit. The answer is its number.

        It is advised to the beneficiary by the issuer itself, or by ``advising``. It is available
        with the issuer and, where one is named, with the bank ``nominated``, which is asked to add
        its confirmation with ``to_confirm``.
        """
        applicant, now = self.ctx.organisation, self.ctx.time_ms
        banks = [issuer]
        for bank in (advising, nominated):
            if bank and bank not in banks:
                banks.append(bank)
        for bank in banks:
            self._check_party(bank, True)
        self._check_party(beneficiary)
        if beneficiary in (applicant, *banks) or nominated == issuer:
            refuse("SAME_PARTY", "the parties of a credit are different ones")
        if to_confirm and not nominated:
            refuse("NOT_A_BANK", "no bank is named that would confirm")
        self._check_dealing([applicant, beneficiary, *banks])
        if expiry <= self.ctx.today:
            refuse("PAST_DATE", "a credit expires after today")
        credit = Credit(
            applicant,
            beneficiary,
            issuer,
            advising or issuer,
            nominated,
            to_confirm,
            APPLIED,
            expiry,
            terms,
            now,
            now,
            [],
            [],
            [],
            [],
            [],
        )
        number = self._enter(credit, [applicant, issuer])
        self.share([terms], [issuer])
        self.emit("CreditApplied", number=number, applicant=applicant, issuer=issuer)
        return number

    @call(own=("credits", "number", "applicant"), roles=TRADERS)
    def withdraw(self, number: Number) -> None:
        """Take back an application that has not come to a credit."""
        credit = self._credit(number, (APPLIED, PROPOSED))
        if credit.parent:
            refuse("WRONG_STATE", f"credit {number} is a transfer that the bank decides")
        self._over(number, credit, WITHDRAWN)
        self.emit("CreditWithdrawn", number=number)

    @call(own=("credits", "number", "issuer"), roles=BANKERS)
    def decline(self, number: Number, reason: Reason) -> None:
        """Decline, as issuing bank, to issue or transfer."""
        credit = self._credit(number, (APPLIED, PROPOSED))
        credit.reason = reason
        self.share([reason], [credit.transferor or credit.applicant])
        self._over(number, credit, DECLINED)
        self.emit("CreditDeclined", number=number)

    @call(own=("credits", "number", "issuer"), roles=("bank_officer",), meaning="review")
    def propose(self, number: Number) -> None:
        """Propose, as an officer of the bank, to issue; another person decides (four eyes)."""
        credit = self._credit(number, (APPLIED,))
        if credit.parent:
            refuse("WRONG_STATE", f"credit {number} is to be transferred, not issued")
        credit.state, credit.proposer = PROPOSED, self._person()
        self._waits(number, credit)
        self.emit("CreditProposed", number=number)

    @check(records="issue")
    def ready(self, number: Number) -> Verdict:
        """Whether a credit can be issued on its terms (UCP 600 art. 6)."""
        credit = self._credit(number)
        found = unfit(self.terms.open(credit.terms), credit.expiry)
        return Verdict(UNFIT if found else READY, found)

    @call(own=("credits", "number", "issuer"), roles=("bank_admin",), meaning="approval")
    def issue(self, number: Number, verdict: VerdictCode, findings: Findings) -> None:
        """Issue, irrevocably (3, 7): what the bank proposed, by another person, after its check."""
        credit = self._credit(number, (PROPOSED,))
        self._other_person(credit.proposer, "proposed the credit")
        if verdict != READY:
            refuse("NOT_READY", f"credit {number} is {verdict}")
        if credit.expiry <= self.ctx.today:
            refuse("PAST_DATE", "a credit expires after today")
        self._check_dealing(self._everybody(credit))
        credit.state, credit.issued_at = ISSUED, self.ctx.time_ms
        credit.verdict, credit.findings = verdict, findings
        self._set_end(number, credit)
        self._waits(number, credit)
        for one in self._everybody(credit):
            self.parties.put((one, number), True)
        self.share([findings], [])
        self.share([credit.terms], [credit.advising, *self._nominated(credit)])
        self.emit("CreditIssued", number=number, issuer=credit.issuer, expiry=credit.expiry)

    @call(own=("credits", "number", "advising"), roles=BANKERS, meaning="responsibility")
    def advise(self, number: Number) -> None:
        """Advise the credit to the beneficiary, as apparently authentic (9(b))."""
        credit = self._credit(number, (ISSUED,))
        credit.state = ADVISED
        self._waits(number, credit)
        self.share([credit.terms], [credit.beneficiary])
        self.emit("CreditAdvised", number=number, beneficiary=credit.beneficiary)

    @call(own=("credits", "number", "nominated"), roles=("bank_admin",), meaning="approval")
    def confirm(self, number: Number) -> None:
        """Add the own undertaking to the issuer's (8)."""
        credit = self._credit(number, (ADVISED,))
        if not credit.to_confirm:
            refuse("NOT_REQUESTED", f"nobody asks for confirmation of credit {number}")
        self._person()
        credit.state, credit.confirmed = CONFIRMED, True
        self._waits(number, credit)
        self.emit("CreditConfirmed", number=number, bank=credit.nominated)

    # --- amendments (10) --------------------------------------------------------------------

    @call(own=("credits", "number", "issuer"), roles=("bank_officer",), meaning="review")
    def amend(
        self,
        number: Number,
        changes: ChangesCommitment,
        expiry: Date | None = None,
        cancels: bool = False,
    ) -> int:
        """Propose, as an officer of the issuer, an amendment, or to cancel the credit. The answer
        is the amendment's number."""
        credit = self._credit(number, ALIVE)
        if credit.amendments == AMENDMENTS_MAX:
            refuse("TOO_MANY", f"a credit has at most {AMENDMENTS_MAX} amendments")
        if expiry is not None and expiry <= self.ctx.today:
            refuse("PAST_DATE", "a credit expires after today")
        credit.amendments += 1
        made = Amendment(changes, expiry or 0, cancels, PROPOSED, self.ctx.time_ms, self._person())
        self.amendments.put((number, credit.amendments), made)
        self.credits.put(number, credit)
        self.share([changes], [])
        return credit.amendments

    @check(records="issue_amendment")
    def fits(self, number: Number, amendment: Number) -> Verdict:
        """Whether an amendment can be issued."""
        credit, made = self._credit(number), self._amendment(number, amendment)
        earlier = [one for one in credit.accepted if one < amendment]
        changes = self.changes.open(made.changes)
        terms = self._terms(number, credit, earlier)
        found = not_fitting(terms, changes, made.expiry)
        most = ceiling(terms)
        after = amended(terms, changes)
        if not found:
            found = unfit(after, after.expiry)
        if ceiling(after) < self._used(number, credit, len(credit.drawings)):
            found.append("the amount is lowered below what is drawn and transferred")
        if credit.parent:
            found.extend(self._beyond_parent(credit, after, most))
        return Verdict(UNFIT if found else READY, found[:100])

    @call(own=("credits", "number", "issuer"), roles=("bank_admin",), meaning="approval")
    def issue_amendment(
        self, number: Number, amendment: Number, verdict: VerdictCode, findings: Findings
    ) -> None:
        """Issue an amendment, by another person than who proposed it: the issuer is bound by it
        from now on (10(b)). It is in force once the others have agreed (10(a))."""
        credit = self._credit(number, ALIVE)
        made = self._amendment(number, amendment, PROPOSED)
        self._other_person(made.proposer, "proposed the amendment")
        if verdict != READY:
            refuse("NOT_READY", f"amendment {amendment} is {verdict}")
        if len(credit.pending) == PENDING_MAX:
            refuse("TOO_MANY", f"at most {PENDING_MAX} amendments wait for the beneficiary")
        made.state, made.issued_at = ISSUED, self.ctx.time_ms
        self.amendments.put((number, amendment), made)
        credit.pending.append(amendment)
        if made.expiry:
            self._set_end(number, credit)
        self._waits(number, credit)
        self.share([findings], [])
        self.share([made.changes], self._everybody(credit))
        self.emit("AmendmentIssued", number=number, amendment=amendment, cancels=made.cancels)

    @call(own=("credits", "number", "nominated"), roles=("bank_admin",), meaning="approval")
    def extend_confirmation(self, number: Number, amendment: Number) -> None:
        """Agree to an amendment, as confirming bank (10(a), (b))."""
        self._credit(number, (CONFIRMED,))
        made = self._amendment(number, amendment, ISSUED)
        self._person()
        made.confirmer_agreed = True
        self.amendments.put((number, amendment), made)
        self.emit("ConfirmationExtended", number=number, amendment=amendment)

    @call(own=("credits", "number", "beneficiary"), roles=TRADERS, meaning="approval")
    def decide(self, number: Number, amendment: Number, decision: Decision) -> str:
        """Accept or reject, as beneficiary; acceptance in part is rejection (10(e)). The answer is
        the amendment's state. Silence is nothing, whatever the amendment says (10(c), (f))."""
        credit = self._credit(number, RUNNING)
        made = self._amendment(number, amendment, ISSUED)
        for one in credit.open:
            waiting = self._presentation(number, one)
            if waiting.state == PRESENTED and amendment in waiting.pending:
                refuse("EXAMINATION_OPEN", f"presentation {one} may have accepted it already")
        if decision != "ACCEPT":
            made.state, made.decided_at = REJECTED, self.ctx.time_ms
            self.amendments.put((number, amendment), made)
            credit.pending.remove(amendment)
            self.emit("AmendmentRejected", number=number, amendment=amendment)
        elif credit.confirmed and not made.confirmer_agreed:
            refuse("CONFIRMER_SILENT", f"{credit.nominated} has not agreed to the amendment")
        else:
            if made.cancels and (credit.open or credit.to_pass_on):
                refuse("EXAMINATION_OPEN", "presentations are open, and stay so")
            self._accept(number, credit, amendment, 0)
            if made.cancels:
                self._over(number, credit, CANCELLED)
                return "ACCEPTED"
        if made.expiry:
            self._set_end(number, credit)
        self._waits(number, credit)
        return "REJECTED" if decision != "ACCEPT" else "ACCEPTED"

    # --- transfer (38) ----------------------------------------------------------------------

    @call(own=("credits", "number", "beneficiary"), roles=TRADERS, meaning="authorship")
    def transfer(
        self, number: Number, to: OrganisationId, expiry: Date, terms: TermsCommitment
    ) -> int:
        """Ask, as first beneficiary, that part or all of the credit be transferred. The answer is
        the number of the new credit, which the transferring bank makes good, or declines."""
        credit, now = self._credit(number, RUNNING), self.ctx.time_ms
        if credit.parent:
            refuse("TRANSFERRED_ONCE", f"credit {number} came of a transfer (38(d))")
        if expiry > credit.expiry or expiry <= self.ctx.today:
            refuse("PAST_DATE", "what is transferred expires after today, and no later (38(g))")
        self._check_party(to)
        if to in self._everybody(credit):
            refuse("SAME_PARTY", f"{to} is a party of credit {number}")
        self._check_dealing([credit.beneficiary, to])
        made = Credit(
            credit.applicant,
            to,
            credit.issuer,
            credit.advising,
            credit.nominated,
            credit.to_confirm,
            APPLIED,
            expiry,
            terms,
            now,
            now,
            [],
            [],
            [],
            [],
            [],
        )
        made.parent, made.transferor, made.basis = number, credit.beneficiary, credit.accepted
        child = self._enter(made, [made.transferor, made.issuer, *self._nominated(made)])
        self.share([terms], [credit.issuer, *self._nominated(credit)])
        self.emit("TransferAsked", number=number, credit=child, to=to)
        return child

    @check(records="transferred")
    def transferable(self, number: Number, drawn: Count) -> Verdict:
        """Whether a transfer keeps to the credit that it is made from: its terms (38(g)) and what
        is undrawn of it, after so many of its drawings and transfers."""
        credit = self._credit(number)
        parent = self._credit(credit.parent)
        first = self._terms(credit.parent, parent, credit.basis or [])
        second = self.terms.open(credit.terms)
        found = beyond_transfer(first, second) + unfit(second, credit.expiry)
        used = self._used(credit.parent, parent, drawn)
        if used + ceiling(second) > ceiling(first):
            found.append("38(d): more is transferred than is undrawn")
        if used and first.partial_shipments == NOT_ALLOWED:
            found.append("38(d): it is not divided where partial shipments are not allowed")
        return Verdict(BEYOND if found else WITHIN, found[:100])

    @call(roles=("bank_admin",), meaning="approval")
    def transferred(
        self, number: Number, drawn: Count, verdict: VerdictCode, findings: Findings
    ) -> None:
        """Transfer, as transferring bank, after its check; the new credit is advised with it."""
        credit = self._credit(number, (APPLIED,))
        if not credit.parent:
            refuse("WRONG_STATE", f"credit {number} is to be issued, not transferred")
        if self.ctx.organisation not in (credit.issuer, credit.nominated):
            refuse("NOT_AUTHORISED", "a bank with which the credit is available transfers it")
        parent = self._credit(credit.parent, RUNNING)
        self._check_counts(parent, drawn, len(parent.accepted), parent.accepted == credit.basis)
        if verdict != WITHIN:
            refuse("NOT_READY", f"the transfer is {verdict}")
        self._person()
        self._check_dealing(self._everybody(credit))
        parent.drawings.append(-number)
        self.credits.put(credit.parent, parent)
        credit.confirmed, credit.transferring = parent.confirmed, self.ctx.organisation
        credit.state = CONFIRMED if credit.confirmed else ADVISED
        credit.issued_at, credit.verdict = self.ctx.time_ms, verdict
        credit.findings = findings
        self._set_end(number, credit)
        self._waits(number, credit)
        for one in self._everybody(credit):
            self.parties.put((one, number), True)
        self.share([findings], [])
        self.share([credit.terms], [credit.beneficiary, credit.issuer, *self._nominated(credit)])
        self.emit("CreditTransferred", number=credit.parent, credit=number, to=credit.beneficiary)

    # --- inside -----------------------------------------------------------------------------

    def _beyond_parent(self, credit: Credit, after: Terms, most: int) -> list[str]:
        """What an amendment does to a transferred credit beyond what it came of: inside checks
        only. It keeps to that one's terms as they were then, or as they are now (38(e), (f), (g)),
        and its amount, which counts there as drawn, does not rise."""
        parent = self._credit(credit.parent)
        found = beyond_transfer(self._terms(credit.parent, parent, parent.accepted), after)
        if found:
            basis = self._terms(credit.parent, parent, credit.basis or [])
            if not beyond_transfer(basis, after):
                found = []
        if ceiling(after) > most:
            found.append("38(d): more is transferred by another transfer, not by an amendment")
        return found

    def _enter(self, credit: Credit, parties: list[str]) -> int:
        number = self.numbers.add()
        self.credits.put(number, credit)
        for one in parties:
            self.parties.put((one, number), True)
        return number

    def _nominated(self, credit: Credit) -> list[str]:
        return [credit.nominated] if credit.nominated else []

    def _check_counts(self, credit: Credit, drawn: int, accepted: int, unchanged: bool) -> None:
        """Refuse a verdict on a state of drawings and amendments that is no more."""
        if drawn != len(credit.drawings) or accepted != len(credit.accepted) or not unchanged:
            refuse("OUTDATED_VERDICT", "drawings or amendments came in between: check again")
        if drawn == DRAWINGS_MAX:
            refuse("TOO_MANY", f"a credit has at most {DRAWINGS_MAX} drawings")

    def _used(self, number: int, credit: Credit, drawn: int) -> int:
        """What the first so many drawings and transfers come to: inside checks only."""
        used = 0
        for one in credit.drawings[:drawn]:
            if one < 0:
                used += ceiling(self.terms.open(self._credit(-one).terms))
            else:
                opened = self.drawings.open(self._presentation(number, one).drawing)
                used += opened.amount.minor
        return used
