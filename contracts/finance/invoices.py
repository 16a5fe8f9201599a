"""Invoice finance: one invoice, one live financing, whoever the financiers are.

::

    REGISTERED -> ACCEPTED -> FINANCED -> SETTLED      FINANCED -> DEFAULTED -> SETTLED
    REGISTERED -> REJECTED    FINANCED | DEFAULTED -> RELEASED -> FINANCED
    REGISTERED | ACCEPTED | RELEASED -> WITHDRAWN

What an invoice says is known to seller, buyer and those to whom it is offered. All others see
fingerprints: of seller, buyer, number, date and amount together, and twice with a part left out.
An equal one is refused; one that is alike raises an alert, and is financed only when the buyer has
said that it owes both. A fingerprint can't be checked here, for it is slow to make on purpose: so
seller, buyer and financier each make it of the document that they have, and one that differs is
refused. A lie takes all three, and then they lie to themselves alone.

From the financing on the buyer, who knows of it, pays the financier: what it pays the seller all
the same does not count (MISDIRECTED; UNIDROIT Factoring Convention art. 8).
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.finance.invoices_records import (
    ACCEPTED,
    ALIKE_MAX,
    BEYOND,
    COVERED,
    CREDIT_NOTE,
    DEFAULTED,
    FINANCED,
    GONE,
    LIVE,
    LIVE_MAX,
    MISDIRECTED,
    OFFERABLE,
    OFFERS_MAX,
    OWNED,
    PAYMENT,
    POSTINGS_MAX,
    REGISTERED,
    REJECTED,
    RELEASED,
    SAME_AMOUNT,
    SAME_NUMBER,
    SETTLED,
    SHORT,
    SHOWN_MAX,
    WITHDRAWN,
    WITHIN,
    Alert,
    Amount,
    Data,
    Fingerprints,
    Invoice,
    InvoiceData,
    Key,
    Number,
    Offer,
    OfferedAdvance,
    Opinion,
    Organisations,
    Posting,
    Remark,
)
from contracts.sdk import (
    Contract,
    Counter,
    Findings,
    Index,
    Int,
    Map,
    Money,
    Opened,
    OrganisationId,
    Record,
    Task,
    Timestamp,
    Verdict,
    VerdictCode,
    call,
    check,
    query,
    refuse,
    timed,
)

FINANCIERS = ("nbfc_admin",)


class FingerprintKey(Record):
    """The key of this chain's fingerprints. There is one for ever: with two, an invoice would have
    two fingerprints and could be financed twice."""

    key: Key
    author: OrganisationId
    at: Timestamp


class Invoices(Contract):
    """Invoices that are financed once."""

    name = "invoices"
    version = 1
    audited = True

    numbers = Counter()
    keys = Map(FingerprintKey, key=("number",))
    invoices = Map(Invoice, key=("number",))
    sold = Index(invoices, on=("seller", "state"))
    bought = Index(invoices, on=("buyer", "state"))
    owned = Index(invoices, on=("financier", "state"))
    same = Index(invoices, on=("seller", "exact"))
    same_number = Index(invoices, on=("seller", "numbered"))
    same_amount = Index(invoices, on=("seller", "unnumbered"))
    taken = Map(int, key=("seller", "exact"))
    offers = Map(Offer, key=("number", "financier"))
    alerts = Map(Alert, key=("number", "other"))
    postings = Map(Posting, key=("number", "place"))
    opinions = Map(Opinion, key=("number", "organisation"))

    data = Opened(InvoiceData)
    amounts = Opened(Money)

    # --- the key ----------------------------------------------------------------------------

    @call(roles=("regulator", "consortium_admin"), meaning="responsibility")
    def set_key(self, key: Key, members: Organisations) -> None:
        """Commit to the key of all fingerprints, and entitle those who finance, sell or buy to it.

        Once. Who joins later is entitled by anybody who has it (``vault.entitle``).
        """
        if 1 in self.keys:
            refuse("ALREADY_RECORDED", "fingerprints have their key, and keep it")
        self.keys.put(1, FingerprintKey(key, self.ctx.organisation, self.ctx.time_ms))
        self.share([key], members)
        self.emit("KeySet", by=self.ctx.organisation)

    @query
    def key(self) -> FingerprintKey | None:
        """The commitment to the key of fingerprints."""
        return self.keys.get(1)

    # --- seller and buyer -------------------------------------------------------------------

    @call(meaning="responsibility")
    def register(
        self, buyer: OrganisationId, data: Data, fingerprints: Fingerprints, due_at: Timestamp
    ) -> dict[str, Any]:
        """Register an own invoice. The answer is its number here, and those that are alike."""
        seller, now = self.ctx.organisation, self.ctx.time_ms
        if not seller or seller == buyer:
            refuse("SAME_PARTY", "seller and buyer are two")
        if due_at <= now:
            refuse("TIME_PASSED", "what is due already is collected, not financed")
        self._check_dealing([seller, buyer])
        for known in self._all(list(self.same.keys((seller, fingerprints.exact), limit=SHOWN_MAX))):
            if self._invoice(known).state not in GONE:
                refuse("INVOICE_KNOWN", f"it is invoice {known}")
        number = self.numbers.add()
        invoice = Invoice(
            seller,
            buyer,
            REGISTERED,
            data,
            fingerprints.exact,
            fingerprints.numbered,
            fingerprints.unnumbered,
            due_at,
            now,
            now,
        )
        alike: dict[int, str] = {}
        amounts = self.same_amount.keys((seller, invoice.unnumbered), limit=SHOWN_MAX)
        for other in self._all(list(amounts)):
            alike[other] = SAME_AMOUNT
        sames = self.same_number.keys((seller, invoice.numbered), limit=SHOWN_MAX)
        for other in self._all(list(sames)):
            alike[other] = SAME_NUMBER
        found: list[int] = []
        for other in sorted(alike):
            if self._invoice(other).state not in GONE:
                found.append(other)
        if len(found) > ALIKE_MAX:
            refuse("TOO_MANY", f"more than {ALIKE_MAX} invoices are like this one")
        for other in found:
            self.alerts.put((number, other), Alert(alike[other], now))
            self.alerts.put((other, number), Alert(alike[other], now))
            self.emit("DoubleFinancingAlert", number=number, other=other, kind=alike[other])
        invoice.deadline = self.due(due_at, "fall_due", number=number)
        self.invoices.put(number, invoice)
        self.share([data], [buyer])
        self.emit("Registered", number=number, seller=seller, buyer=buyer)
        return {"number": number, "alike": found}

    @call(own=("invoices", "number", "buyer"), meaning="approval")
    def accept(self, number: Number, fingerprints: Fingerprints) -> None:
        """Accept an invoice as the one who owes it, by the fingerprints of its document."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, (REGISTERED,))
        self._check_fingerprints(invoice, fingerprints)
        self._check_dealing([invoice.seller, invoice.buyer])
        self._turn(number, invoice, ACCEPTED)

    @call(own=("invoices", "number", "buyer"), meaning="responsibility")
    def reject(self, number: Number, remark: Remark) -> None:
        """Say that it is not owed."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, (REGISTERED,))
        self.share([remark], [invoice.seller])
        self._turn(number, invoice, REJECTED)

    @call(own=("invoices", "number", "seller"))
    def withdraw(self, number: Number) -> None:
        """Take an invoice back that no financier has."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, (REGISTERED, ACCEPTED, RELEASED))
        self._turn(number, invoice, WITHDRAWN)

    @call(own=("invoices", "number", "buyer"), meaning="responsibility")
    def tell_apart(self, number: Number, other: Number, remark: Remark) -> None:
        """Say as the buyer that two invoices that look alike are two, and both are owed."""
        invoice = self._invoice(number)
        there, back = self.alerts.get((number, other)), self.alerts.get((other, number))
        if there is None or back is None:
            refuse("NOT_FOUND", f"no alert is between {number} and {other}")
        if self._invoice(other).buyer != invoice.buyer:
            refuse("NOT_AUTHORISED", "both invoices are the buyer's who tells them apart")
        if there.told_apart:
            refuse("ALREADY_RECORDED", f"{number} and {other} are told apart")
        there.told_apart = back.told_apart = True
        there.remark = back.remark = remark
        self.alerts.put((number, other), there)
        self.alerts.put((other, number), back)
        readers = [invoice.seller]
        for one in (number, other):
            financier = self._invoice(one).financier
            if financier and financier not in readers:
                readers.append(financier)
        self.share([remark], readers)
        self.emit("ToldApart", number=number, other=other)

    # --- financing --------------------------------------------------------------------------

    @call(own=("invoices", "number", "seller"), meaning="responsibility")
    def offer(self, number: Number, financier: OrganisationId, advance: Amount) -> None:
        """Offer an invoice that the buyer accepted to a financier, for an advance.

        The financier may see it from now on. Several may be offered it; the first to finance it
        has it.
        """
        invoice = self._invoice(number)
        self._check_state(number, invoice, OFFERABLE)
        if financier in (invoice.seller, invoice.buyer):
            refuse("SAME_PARTY", "a financier is neither seller nor buyer")
        made = list(self.offers.items(number, limit=OFFERS_MAX + 1))
        if len(made) >= OFFERS_MAX and (number, financier) not in self.offers:
            refuse("TOO_MANY", f"an invoice is offered to at most {OFFERS_MAX}")
        self.offers.put((number, financier), Offer(advance, self.ctx.time_ms))
        self.share([advance], [financier])
        self.share(self._commitments(number, invoice), [financier])
        self.emit("Offered", number=number, financier=financier)

    @call(own=("invoices", "number", "seller"))
    def take_back(self, number: Number, financier: OrganisationId) -> None:
        """Take an offer back that has not been taken."""
        if (number, financier) not in self.offers:
            refuse("NOT_FOUND", f"invoice {number} is not offered to {financier}")
        self.offers.delete((number, financier))
        self.emit("OfferTakenBack", number=number, financier=financier)

    @check(records="finance")
    def within(
        self,
        number: Number,
        financier: OrganisationId,
        fingerprints: Fingerprints,
        offered: OfferedAdvance,
    ) -> Verdict:
        """Whether the advance of an offer is no more than is unpaid, and the fingerprints that one
        made of the document are the registered ones."""
        invoice = self._invoice(number)
        findings: list[str] = []
        if self._differs(invoice, fingerprints):
            findings.append("the document has other fingerprints than were registered")
        self._check_offered(number, financier, offered)
        findings.extend(self._beyond(number, invoice, offered))
        return Verdict(BEYOND if findings else WITHIN, findings)

    @call(roles=FINANCIERS, meaning="approval")
    def finance(
        self,
        number: Number,
        financier: OrganisationId,
        fingerprints: Fingerprints,
        offered: OfferedAdvance,
        verdict: VerdictCode,
        findings: Findings,
    ) -> None:
        """Finance an invoice that is offered, after the own check that the advance is within what
        is unpaid. From now on it is this financier's, and nobody else finances it.

        ``offered`` says which advance was checked: an offer that has changed since is refused.
        """
        invoice = self._invoice(number)
        me = self.ctx.organisation
        if me != financier:
            refuse("NOT_AUTHORISED", f"the offer is {financier}'s")
        if invoice.state in OWNED:
            refuse("FINANCED_ALREADY", f"{invoice.financier} has invoice {number}")
        self._check_state(number, invoice, OFFERABLE)
        self._check_offered(number, me, offered)
        self._check_fingerprints(invoice, fingerprints)
        if verdict != WITHIN:
            refuse("ADVANCE_TOO_HIGH", f"the own check says {verdict}")
        if invoice.overdue:
            refuse("TIME_PASSED", f"invoice {number} is overdue")
        key = (invoice.seller, invoice.exact)
        if key in self.taken:
            refuse("FINANCED_ALREADY", f"it is invoice {self.taken.get(key)}")
        for alert_key, alert in self.alerts.items(number, limit=SHOWN_MAX):
            other = self._invoice(alert_key[1])
            if not alert.told_apart and other.state not in GONE:
                refuse("ALIKE", f"invoice {alert_key[1]} is like it ({alert.kind}): ask the buyer")
        self._check_dealing([invoice.seller, invoice.buyer, me])
        self.taken.put(key, number)
        invoice.financier, invoice.advance = me, offered
        invoice.posted_before = invoice.postings
        self.share([offered, findings], [invoice.seller])
        for offer_key, _ in list(self.offers.items(number, limit=OFFERS_MAX)):
            self.offers.delete(offer_key)
        self._turn(number, invoice, FINANCED)

    @call(own=("invoices", "number", "financier"), roles=FINANCIERS, meaning="responsibility")
    def settle(self, number: Number) -> None:
        """Confirm as the financier that all was paid. It is never financed again."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, OWNED)
        self._turn(number, invoice, SETTLED)

    @call(own=("invoices", "number", "financier"), roles=FINANCIERS, meaning="responsibility")
    def default(self, number: Number) -> None:
        """Say that the buyer did not pay what was due. The financier keeps the invoice."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, (FINANCED,))
        if not invoice.overdue:
            refuse("TOO_EARLY", f"invoice {number} is not due yet")
        self._turn(number, invoice, DEFAULTED)

    @call(own=("invoices", "number", "financier"), roles=FINANCIERS, meaning="responsibility")
    def release(self, number: Number) -> None:
        """Give an invoice back to its seller, who repaid the advance; it may be offered again."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, OWNED)
        self.taken.delete((invoice.seller, invoice.exact))
        invoice.financier, invoice.advance, invoice.disputed = "", None, False
        for key, _ in list(self.opinions.items(number, limit=SHOWN_MAX)):
            self.opinions.delete(key)
        self._turn(number, invoice, RELEASED)

    # --- what happens to the debt -----------------------------------------------------------

    @call(own=("invoices", "number", "seller"), meaning="responsibility")
    def credit_note(self, number: Number, amount: Amount) -> None:
        """Lower what is owed. After a financing all concerned are told: the cover may be short."""
        invoice = self._invoice(number)
        self._check_state(number, invoice, (REGISTERED, ACCEPTED, FINANCED, DEFAULTED, RELEASED))
        self._post(number, invoice, CREDIT_NOTE, amount, "")

    @call(meaning="responsibility")
    def paid(self, number: Number, payee: OrganisationId, amount: Amount) -> str:
        """Record a payment, as the buyer or who got it. The answer is what it counts as."""
        invoice = self._invoice(number)
        if self.ctx.organisation not in (invoice.buyer, payee):
            refuse("NOT_AUTHORISED", "who paid or was paid records a payment")
        self._check_state(number, invoice, (ACCEPTED, FINANCED, DEFAULTED, RELEASED))
        if payee not in (invoice.seller, invoice.financier):
            refuse("UNKNOWN_PARTY", f"{payee} is neither seller nor financier")
        kind = PAYMENT
        if invoice.state in OWNED and payee == invoice.seller:
            kind = MISDIRECTED
        self._post(number, invoice, kind, amount, payee)
        return kind

    @check(records="examined")
    def cover(self, number: Number) -> Verdict:
        """Whether the advance is still no more than is unpaid or was paid to the financier."""
        invoice = self._invoice(number)
        if invoice.advance is None:
            refuse("WRONG_STATE", f"invoice {number} is {invoice.state}")
        findings = self._beyond(number, invoice, invoice.advance)
        return Verdict(SHORT if findings else COVERED, findings)

    @call(meaning="review")
    def examined(self, number: Number, verdict: VerdictCode, findings: Findings) -> bool:
        """Record what the own check of the cover found, as a party of the financing or a regulator.

        Another verdict than another party's on the same postings disputes it. The answer is
        whether it is disputed.
        """
        invoice = self._invoice(number)
        self._check_state(number, invoice, OWNED)
        me = self.ctx.organisation
        if me not in (invoice.seller, invoice.buyer, invoice.financier):
            self.require("regulator")
        if verdict not in (COVERED, SHORT):
            refuse("UNKNOWN_VERDICT", f"a financing is {COVERED} or {SHORT}")
        opinion = Opinion(verdict, findings, invoice.postings, self.ctx.time_ms)
        self.opinions.put((number, me), opinion)
        verdicts: list[str] = []
        for _, said in self.opinions.items(number, limit=SHOWN_MAX):
            if said.postings == invoice.postings and said.verdict not in verdicts:
                verdicts.append(said.verdict)
        invoice.disputed = len(verdicts) > 1
        self.invoices.put(number, invoice)
        self.share([findings], [invoice.seller, invoice.financier])
        self.emit("Examined", number=number, by=me, verdict=verdict, disputed=invoice.disputed)
        return invoice.disputed

    @timed
    def fall_due(self, number: Number) -> None:
        """The day of payment has passed."""
        invoice = self._invoice(number)
        if invoice.state in LIVE:
            invoice.overdue, invoice.deadline = True, ""
            self.invoices.put(number, invoice)
            self.emit("Overdue", number=number, state=invoice.state)

    # --- asking -----------------------------------------------------------------------------

    @query
    def invoice(self, number: Number) -> dict[str, Any]:
        """An invoice as it stands, with alerts, offers, postings and opinions."""
        alerts: list[dict[str, Any]] = []
        for key, alert in self.alerts.items(number, limit=SHOWN_MAX):
            alerts.append({"other": key[1], "alert": alert})
        offers: list[dict[str, Any]] = []
        for key, offer in self.offers.items(number, limit=SHOWN_MAX):
            offers.append({"financier": key[1], "offer": offer})
        opinions: list[dict[str, Any]] = []
        for key, opinion in self.opinions.items(number, limit=SHOWN_MAX):
            opinions.append({"organisation": key[1], "opinion": opinion})
        return {
            "number": number,
            "invoice": self._invoice(number),
            "alerts": alerts,
            "offers": offers,
            "postings": self._postings(number),
            "opinions": opinions,
        }

    @query
    def known(self, seller: OrganisationId, fingerprints: Fingerprints) -> list[dict[str, Any]]:
        """Invoices that are the one with these fingerprints, or like it."""
        found: dict[int, str] = {}
        for number in self.same_amount.keys((seller, fingerprints.unnumbered), limit=SHOWN_MAX):
            found[number] = SAME_AMOUNT
        for number in self.same_number.keys((seller, fingerprints.numbered), limit=SHOWN_MAX):
            found[number] = SAME_NUMBER
        for number in self.same.keys((seller, fingerprints.exact), limit=SHOWN_MAX):
            found[number] = "SAME"
        return [
            {"number": one, "kind": found[one], "state": self._invoice(one).state}
            for one in sorted(found)
        ]

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """What awaits the parties of the invoices of which an organisation is one."""
        seen: dict[int, bool] = {}
        for state in LIVE:
            for index in (self.sold, self.bought, self.owned):
                for number in index.keys((organisation, state), limit=LIVE_MAX):
                    if number > after:
                        seen[number] = True
        numbers = sorted(seen)
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            found.extend(self._tasks(number, self._invoice(number)))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found, "next": numbers[SHOWN_MAX - 1] if more else 0}

    # --- inside -----------------------------------------------------------------------------

    def _tasks(self, number: int, invoice: Invoice) -> list[Task]:
        subject, args, since = f"invoice {number}", {"number": number}, invoice.since
        found: list[Task] = []
        if invoice.state == REGISTERED:
            found.append(Task(invoice.buyer, "accept", args, subject, [], since, invoice.due_at))
        if invoice.state in OFFERABLE:
            for key, offer in self.offers.items(number, limit=OFFERS_MAX):
                named = {"number": number, "financier": key[1]}
                roles = list(FINANCIERS)
                found.append(Task(key[1], "finance", named, subject, roles, offer.at))
        if invoice.state in OWNED and invoice.overdue:
            roles = list(FINANCIERS)
            due = invoice.due_at
            found.append(Task(invoice.financier, "settle", args, subject, roles, since, due))
        for key, alert in self.alerts.items(number, limit=ALIKE_MAX):
            if not alert.told_apart and self._invoice(key[1]).state not in GONE:
                both = {"number": number, "other": key[1]}
                about = f"{subject} and {key[1]} alike"
                found.append(Task(invoice.buyer, "tell_apart", both, about, [], alert.at))
        return found

    def _all(self, numbers: list[int]) -> list[int]:
        """No list is cut: behind a hundred withdrawn copies a live one must not hide."""
        if len(numbers) >= SHOWN_MAX:
            refuse("TOO_MANY", f"at most {SHOWN_MAX} invoices of a seller are alike")
        return numbers

    def _invoice(self, number: int) -> Invoice:
        found = self.invoices.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no invoice {number}")
        return found

    def _check_offered(self, number: int, financier: str, offered: bytes) -> None:
        found = self.offers.get((number, financier))
        if found is None:
            refuse("NOT_OFFERED", f"invoice {number} is not offered to {financier}")
        if found.advance != offered:
            refuse("OFFER_CHANGED", f"invoice {number} is offered for another advance now")

    def _check_state(self, number: int, invoice: Invoice, states: tuple[str, ...]) -> None:
        if invoice.state not in states:
            refuse("WRONG_STATE", f"invoice {number} is {invoice.state}")

    def _differs(self, invoice: Invoice, made: Fingerprints) -> bool:
        """All three count: a false second or third one would hide what is alike."""
        registered = (invoice.exact, invoice.numbered, invoice.unnumbered)
        return (made.exact, made.numbered, made.unnumbered) != registered

    def _check_fingerprints(self, invoice: Invoice, made: Fingerprints) -> None:
        if self._differs(invoice, made):
            refuse("FINGERPRINT_DIFFERS", "the document is not the one that was registered")

    def _check_dealing(self, organisations: list[str]) -> None:
        for organisation in organisations:
            if not self.invoke("compliance", "may_deal", organisation=organisation):
                refuse("COMPLIANCE_HOLD", f"{organisation} may not deal at present")

    def _turn(self, number: int, invoice: Invoice, state: str) -> None:
        """Enter a state; one that is an end needs no deadline any more."""
        invoice.state, invoice.since = state, self.ctx.time_ms
        if state not in LIVE and invoice.deadline:
            self.cancel(invoice.deadline)
            invoice.deadline = ""
        self.invoices.put(number, invoice)
        self.emit("Turned", number=number, state=state, by=self.ctx.organisation)

    def _post(self, number: int, invoice: Invoice, kind: str, amount: bytes, payee: str) -> None:
        if invoice.postings >= POSTINGS_MAX:
            refuse("TOO_MANY", f"an invoice has at most {POSTINGS_MAX} postings")
        invoice.postings += 1
        me = self.ctx.organisation
        posting = Posting(kind, amount, me, payee, self.ctx.time_ms)
        self.postings.put((number, invoice.postings), posting)
        self.invoices.put(number, invoice)
        readers = [invoice.seller, invoice.buyer]
        if invoice.financier:
            readers.append(invoice.financier)
        for key, _ in self.offers.items(number, limit=OFFERS_MAX):
            if key[1] not in readers:
                readers.append(key[1])
        self.share([amount], readers)
        self.emit("Posted", number=number, kind=kind, place=invoice.postings, state=invoice.state)

    def _postings(self, number: int) -> list[Posting]:
        return [posting for _, posting in self.postings.items(number, limit=POSTINGS_MAX)]

    def _commitments(self, number: int, invoice: Invoice) -> list[bytes]:
        found = [invoice.data]
        for posting in self._postings(number):
            if posting.amount not in found:
                found.append(posting.amount)
        return found

    def _beyond(self, number: int, invoice: Invoice, advance: bytes) -> list[str]:
        """By how much an advance is above what its financier can get, in words."""
        gross = self.data.open(invoice.data).gross
        money = self.amounts.open(advance)
        if money.currency != gross.currency:
            return [f"the invoice is in {gross.currency}, the advance in {money.currency}"]
        unpaid, repaid, astray = gross.minor, 0, 0
        place = 0
        for posting in self._postings(number):
            place += 1
            posted = self.amounts.open(posting.amount)
            if posted.currency != gross.currency:
                return [f"the invoice is in {gross.currency}, a posting in {posted.currency}"]
            is_since = bool(invoice.financier) and place > invoice.posted_before
            if is_since and posting.kind == MISDIRECTED:
                astray += posted.minor
                continue
            unpaid -= posted.minor
            if is_since and posting.payee == invoice.financier:
                repaid += posted.minor
        left = max(unpaid, 0) + repaid
        findings: list[str] = []
        if money.minor > left:
            short = Money(money.minor - left, gross.currency)
            findings.append(f"the advance is {short.text} above what is unpaid")
            if astray:
                lost = Money(min(astray, 10**18), gross.currency)
                findings.append(f"{lost.text} went to the seller, who owes it to the financier")
        return findings
