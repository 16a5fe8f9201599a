"""Electronic bills of lading: transferable records with exactly one controller (UNCITRAL MLETR).

::

    ISSUED -> TRANSFERRED -> SURRENDERED -> ACCOMPLISHED
    ISSUED | TRANSFERRED -> REPLACED_BY_PAPER

The carrier issues a bill for a shipment, to the shipper. Control is exclusive (art. 11): it passes
by the controller's signature alone (art. 15), which says at which turn it was given, so that of
two simultaneous transfers one is refused, and none can be played again. A bill to order goes to
anybody; a straight one to its named consignee only, since it can't be endorsed.

A pledgee keeps a bill where it is: nothing is done with it but what it agrees to, each time. Who
wants more has the bill transferred. The shipment is delivered only against surrender, and then to
whoever surrendered. An amendment takes the carrier's and the controller's word and stays marked
(art. 16): the earlier terms stand beside it, and a check finds what was changed without saying so.

A bill that takes paper's place names it, and the paper is void (art. 17). One whose place paper
takes is void itself (art. 18), and its goods wait for the paper.

The chain has parties, states and times; what a bill says, its parties know.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import (
    Contract,
    Counter,
    Findings,
    Index,
    Int,
    Map,
    Opened,
    OrganisationId,
    Size,
    Task,
    Text,
    Verdict,
    VerdictCode,
    call,
    check,
    query,
    refuse,
)
from contracts.trade.bill_records import (
    ACCEPTED,
    ACCOMPLISHED,
    AMENDMENTS_MAX,
    ISSUED,
    LIVE,
    LIVE_MAX,
    MARKED,
    PROPOSED,
    REJECTED,
    REPLACED_BY_PAPER,
    SHOWN_MAX,
    SURRENDERED,
    TRANSFERRED,
    UNMARKED,
    Act,
    Amendment,
    Bill,
    BillTerms,
    Changes,
    DocumentCommitment,
    Number,
    Opinion,
    Step,
    Terms,
    Turn,
)

Named = Annotated[list[Annotated[str, Text(30)]], Size(20, 1)]


class Bills(Contract):
    """Bills of lading under the control of one organisation each."""

    name = "bill"
    audited = True

    numbers = Counter()
    bills = Map(Bill, key=("number",))
    by_controller = Index(bills, on=("controller", "state"))
    by_carrier = Index(bills, on=("carrier", "state"))
    by_pledgee = Index(bills, on=("pledgee", "state"))
    by_shipment = Index(bills, on=("shipment",))
    amendments = Map(Amendment, key=("number", "version"))
    opinions = Map(Opinion, key=("number", "version", "organisation"))
    steps = Map(Step, key=("number", "step"))
    step_counts = Map(int, key=("number",))

    terms = Opened(BillTerms)
    changes = Opened(Named)

    # --- issue ------------------------------------------------------------------------------

    @call(roles=("logistics_operator",), meaning="authorship")
    def issue(
        self,
        shipment: Number,
        to_order: bool,
        terms: Terms,
        document: DocumentCommitment,
        paper: DocumentCommitment | None = None,
        replaces: Annotated[int, Int(0)] = 0,
    ) -> int:
        """Issue, as its carrier, the bill of a shipment. Its shipper controls it.

        A straight bill names the shipment's consignee. ``paper`` is the document that it takes the
        place of, which is void from now on; ``replaces`` the bill that this paper had replaced.
        The controller of that one gets control. The answer is the bill's number.
        """
        me = self.ctx.organisation
        found = self.invoke("shipment", "delivered", number=shipment)
        if found["carrier"] != me:
            refuse("NOT_AUTHORISED", f"another one carries shipment {shipment}")
        earlier: Bill | None = None
        if replaces:
            earlier = self._bill(replaces)
            self._check_state(replaces, earlier, (REPLACED_BY_PAPER,))
            if earlier.shipment != shipment or earlier.replaced_by or paper is None:
                refuse("NOT_REPLACED", f"no paper in the place of bill {replaces} comes back")
        number = self.numbers.add()
        self.invoke("shipment", "put_under_bill", number=shipment, bill=number, earlier=replaces)
        controller = earlier.controller if earlier is not None else found["shipper"]
        now = self.ctx.time_ms
        bill = Bill(
            shipment,
            me,
            found["shipper"],
            to_order,
            "" if to_order else found["consignee"],
            ISSUED,
            controller,
            terms,
            document,
            now,
        )
        bill.paper, bill.replaces, bill.since = paper, replaces, now
        self.bills.put(number, bill)
        if earlier is not None:
            earlier.replaced_by = number
            self.bills.put(replaces, earlier)
        self._share(number, bill, [controller, found["shipper"]])
        self._step(number, "ISSUE", controller)
        self.emit("BillIssued", number=number, shipment=shipment, controller=controller)
        return number

    # --- control ----------------------------------------------------------------------------

    @call(own=("bills", "number", "controller"), meaning="authorship")
    def transfer(self, number: Number, to: OrganisationId, turn: Turn) -> int:
        """Give control to another organisation, which need not agree. The answer is the turn."""
        bill = self._controlled(number, turn)
        if to == bill.controller:
            refuse("SAME_PARTY", f"{to} controls bill {number}")
        if not bill.to_order and to != bill.consignee:
            refuse("STRAIGHT_BILL", f"bill {number} is not to order: it can't be endorsed")
        self._check_party(to)
        self._use_consent(number, bill, "TRANSFER", to)
        before, bill.controller = bill.controller, to
        bill.state, bill.paper_wanted = TRANSFERRED, False
        if bill.pledgee == to:
            bill.pledgee = ""
        self._turn(number, bill)
        self._share(number, bill, [to])
        self._step(number, "TRANSFER", to)
        self.emit("ControlTransferred", number=number, before=before, to=to, turn=bill.turn)
        return bill.turn

    @call(own=("bills", "number", "controller"), meaning="authorship")
    def pledge(self, number: Number, to: OrganisationId, turn: Turn) -> int:
        """Pledge the bill: nothing is done with it without the pledgee. The answer is the turn."""
        bill = self._controlled(number, turn)
        if bill.pledgee:
            refuse("PLEDGED", f"bill {number} is pledged to {bill.pledgee}")
        if to in (bill.controller, bill.carrier):
            refuse("SAME_PARTY", f"{to} is controller or carrier of bill {number}")
        self._check_party(to)
        bill.pledgee, bill.paper_wanted = to, False
        self._turn(number, bill)
        self._share(number, bill, [to])
        self._step(number, "PLEDGE", to)
        self.emit("Pledged", number=number, pledgee=to, turn=bill.turn)
        return bill.turn

    @call(own=("bills", "number", "pledgee"), meaning="approval")
    def consent(
        self, number: Number, act: Act, turn: Turn, to: Annotated[str, Text(32, 0)] = ""
    ) -> None:
        """Agree, as pledgee, to one act of the controller; a transfer names to whom.

        It holds for this turn. The pledge goes on, unless the bill is surrendered or becomes paper.
        """
        bill = self._live(number, turn)
        if (act == "TRANSFER") != (to != ""):
            refuse("CONSENT_UNCLEAR", "a transfer, and nothing else, is to somebody")
        bill.consent, bill.consent_to = act, to
        self.bills.put(number, bill)
        self.emit("Consented", number=number, act=act, to=to)

    @call(own=("bills", "number", "pledgee"), meaning="approval")
    def release(self, number: Number) -> None:
        """Give the pledge up."""
        bill = self._bill(number)
        self._check_state(number, bill, LIVE)
        bill.pledgee = ""
        self._turn(number, bill)
        self._step(number, "RELEASE", bill.controller)
        self.emit("Released", number=number, controller=bill.controller, turn=bill.turn)

    # --- the goods --------------------------------------------------------------------------

    @call(own=("bills", "number", "controller"), meaning="authorship")
    def surrender(self, number: Number, turn: Turn) -> None:
        """Give the bill up against delivery of the goods: they are delivered to the controller."""
        bill = self._controlled(number, turn)
        me = bill.controller
        if not bill.to_order and me != bill.consignee:
            refuse("STRAIGHT_BILL", f"the goods of bill {number} go to the consignee it names")
        self._check_dealing(me)
        self._check_settled(number, bill)
        self._use_consent(number, bill, "SURRENDER", "")
        self.invoke("shipment", "clear_bill", number=bill.shipment, bill=number, consignee=me)
        bill.state, bill.pledgee, bill.paper_wanted = SURRENDERED, "", False
        self._turn(number, bill)
        self._step(number, "SURRENDER", bill.carrier)
        self.emit("Surrendered", number=number, shipment=bill.shipment, by=me)

    @call(own=("bills", "number", "carrier"), meaning="responsibility")
    def accomplish(self, number: Number) -> None:
        """Close, as the carrier, a surrendered bill whose goods are delivered."""
        bill = self._bill(number)
        self._check_state(number, bill, (SURRENDERED,))
        if not self.invoke("shipment", "delivered", number=bill.shipment)["delivered"]:
            refuse("NOT_DELIVERED", f"shipment {bill.shipment} is not delivered yet")
        bill.state, bill.since = ACCOMPLISHED, self.ctx.time_ms
        self.bills.put(number, bill)
        self._step(number, "ACCOMPLISH", "")
        self.emit("Accomplished", number=number, shipment=bill.shipment)

    # --- amendments -------------------------------------------------------------------------

    @call(own=("bills", "number", "carrier"), meaning="authorship")
    def amend(
        self, number: Number, terms: Terms, document: DocumentCommitment, changes: Changes
    ) -> int:
        """Propose, as the carrier, other terms, naming every field that differs. The answer is the
        amendment's number, which the controller accepts or rejects."""
        bill = self._bill(number)
        self._check_state(number, bill, LIVE)
        self._check_settled(number, bill)
        if bill.amendments == AMENDMENTS_MAX:
            refuse("TOO_MANY", f"a bill has at most {AMENDMENTS_MAX} amendments")
        bill.amendments += 1
        bill.amendment_open, bill.since = True, self.ctx.time_ms
        version = bill.amendments
        now = self.ctx.time_ms
        made = Amendment(terms, document, changes, bill.terms, PROPOSED, now)
        self.amendments.put((number, version), made)
        self.bills.put(number, bill)
        known = [bill.controller, bill.shipper]
        if bill.pledgee:
            known.append(bill.pledgee)
        self.share([terms, document, changes], known)
        self.emit("AmendmentProposed", number=number, version=version)
        return version

    @check(records="marks_examined")
    def marks(self, number: Number, version: Number) -> Verdict:
        """Whether an amendment names every field that it changes, and no other (MLETR 16)."""
        amendment = self._amendment(number, version)
        old, new = self.terms.open(amendment.before), self.terms.open(amendment.terms)
        named = self.changes.open(amendment.changes)
        findings: list[str] = []
        for field, differs in differences(old, new):
            if differs and field not in named:
                findings.append(f"{field} differs and is not marked")
            elif not differs and field in named:
                findings.append(f"{field} is marked and does not differ")
        return Verdict(UNMARKED if findings else MARKED, findings)

    @call(meaning="review")
    def marks_examined(
        self, number: Number, version: Number, verdict: VerdictCode, findings: Findings
    ) -> None:
        """Record what the own check of an amendment's marks found; the newest counts."""
        bill = self._bill(number)
        self._amendment(number, version)
        me = self.ctx.organisation
        parties = [bill.carrier, bill.shipper, bill.controller, bill.pledgee]
        if not me or me not in parties:
            refuse("NOT_AUTHORISED", f"not a party of bill {number}")
        if verdict not in (MARKED, UNMARKED):
            refuse("UNKNOWN_VERDICT", f"an amendment is {MARKED} or {UNMARKED}")
        self.opinions.put((number, version, me), Opinion(verdict, findings, self.ctx.time_ms))
        self.share([findings], [one for one in parties if one])
        self.emit("Examined", number=number, version=version, by=me, verdict=verdict)

    @call(own=("bills", "number", "controller"), meaning="approval")
    def decide(self, number: Number, version: Number, accept: bool, turn: Turn) -> None:
        """Accept or reject a proposed amendment."""
        bill = self._controlled(number, turn)
        amendment = self._amendment(number, version)
        if amendment.state != PROPOSED:
            refuse("WRONG_STATE", f"amendment {version} of bill {number} is {amendment.state}")
        if accept:
            self._use_consent(number, bill, "AMEND", "")
            bill.terms, bill.document, bill.version = amendment.terms, amendment.document, version
        bill.amendment_open = False
        self._turn(number, bill)
        amendment.state = ACCEPTED if accept else REJECTED
        amendment.decided_at, amendment.decided_by = self.ctx.time_ms, bill.controller
        self.amendments.put((number, version), amendment)
        self._step(number, "AMEND" if accept else "REJECT", "")
        self.emit("AmendmentDecided", number=number, version=version, state=amendment.state)

    # --- paper ------------------------------------------------------------------------------

    @call(own=("bills", "number", "controller"), meaning="authorship")
    def ask_for_paper(self, number: Number, turn: Turn, wanted: bool = True) -> None:
        """Ask the carrier for a paper bill in this one's place, or take that back."""
        bill = self._controlled(number, turn)
        if wanted:
            self._check_settled(number, bill)
            self._use_consent(number, bill, "PAPER", "")
        bill.paper_wanted = wanted
        self._turn(number, bill)
        self.emit("PaperWanted", number=number, wanted=wanted)

    @call(own=("bills", "number", "carrier"), meaning="authorship")
    def replace_by_paper(self, number: Number, paper: DocumentCommitment) -> None:
        """Issue the paper that was asked for: this record does nothing more (MLETR 18)."""
        bill = self._bill(number)
        self._check_state(number, bill, LIVE)
        if not bill.paper_wanted:
            refuse("NOT_ASKED", f"the controller of bill {number} has not asked for paper")
        self._check_settled(number, bill)
        bill.state, bill.paper, bill.pledgee = REPLACED_BY_PAPER, paper, ""
        bill.paper_wanted = False
        self._turn(number, bill)
        self.share([paper], [bill.controller])
        self._step(number, "PAPER", bill.controller)
        self.emit("ReplacedByPaper", number=number)

    @call(own=("bills", "number", "carrier"), meaning="responsibility")
    def paper_surrendered(self, number: Number, by: OrganisationId) -> None:
        """State, as the carrier, who surrendered the paper: the goods go there."""
        bill = self._bill(number)
        self._check_state(number, bill, (REPLACED_BY_PAPER,))
        if bill.replaced_by:
            refuse("NOT_REPLACED", f"bill {bill.replaced_by} has taken the paper's place")
        self._check_party(by)
        self.invoke("shipment", "clear_bill", number=bill.shipment, bill=number, consignee=by)
        self._step(number, "RETURN", by)
        self.emit("PaperSurrendered", number=number, shipment=bill.shipment, by=by)

    # --- asking -----------------------------------------------------------------------------

    @query
    def bill(self, number: Number) -> dict[str, Any]:
        """A bill as it stands, with its amendments and what the parties found of them."""
        amendments: list[dict[str, Any]] = []
        for key, amendment in self.amendments.items(number, limit=AMENDMENTS_MAX):
            amendments.append({"version": key[1], "amendment": amendment})
        said: list[dict[str, Any]] = []
        for key, opinion in self.opinions.items(number, limit=SHOWN_MAX):
            said.append({"version": key[1], "organisation": key[2], "opinion": opinion})
        bill = self._bill(number)
        return {"number": number, "bill": bill, "amendments": amendments, "opinions": said}

    @query
    def history(self, number: Number, after: Annotated[int, Int(0)] = 0) -> list[Step]:
        """What was done with the control of a bill, from its issue on, 100 steps a page."""
        count = self.step_counts.get(number) or 0
        found: list[Step] = []
        for step in range(after + 1, min(count, after + SHOWN_MAX) + 1):
            done = self.steps.get((number, step))
            if done is not None:
                found.append(done)
        return found

    @query
    def bills_of_shipment(self, shipment: Number) -> list[int]:
        """The numbers of a shipment's bills: one, and those that came after paper."""
        return list(self.by_shipment.keys(shipment, limit=SHOWN_MAX))

    @query
    def bills_of(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> list[dict[str, Any]]:
        """The first hundred open bills above ``after`` that it controls, carries or has pledged."""
        found = [number for number in self._open_of(organisation) if number > after]
        return [{"number": one, "bill": self._bill(one)} for one in found[:SHOWN_MAX]]

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """What awaits the parties of the bills of which an organisation is one."""
        numbers = [number for number in self._open_of(organisation) if number > after]
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            found.extend(self._tasks(number, self._bill(number)))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found, "next": numbers[SHOWN_MAX - 1] if more else 0}

    # --- inside -----------------------------------------------------------------------------

    def _tasks(self, number: int, bill: Bill) -> list[Task]:
        subject, args, since = f"bill {number}", {"number": number}, bill.since
        roles = ["logistics_operator"]
        if bill.state == SURRENDERED:
            return [Task(bill.carrier, "accomplish", args, subject, roles, since)]
        found: list[Task] = []
        if bill.amendment_open:
            about = {"number": number, "version": bill.amendments, "turn": bill.turn}
            subject_of = f"bill {number} amendment {bill.amendments}"
            found.append(Task(bill.controller, "decide", about, subject_of, [], since))
        if bill.paper_wanted:
            found.append(Task(bill.carrier, "replace_by_paper", args, subject, [], since))
        if bill.pledgee:
            found.append(Task(bill.pledgee, "release", args, subject, [], since))
        elif not bill.amendment_open and not bill.paper_wanted:
            about = {"number": number, "turn": bill.turn}
            found.append(Task(bill.controller, "surrender", about, subject, [], since))
        return found

    def _open_of(self, organisation: str) -> list[int]:
        """The numbers of the open bills that it is a party of, in order."""
        known: dict[int, bool] = {}
        for state in (*LIVE, SURRENDERED):
            for number in self.by_controller.keys((organisation, state), limit=LIVE_MAX):
                known[number] = True
            for number in self.by_carrier.keys((organisation, state), limit=LIVE_MAX):
                known[number] = True
            for number in self.by_pledgee.keys((organisation, state), limit=LIVE_MAX):
                known[number] = True
        return sorted(known)

    def _bill(self, number: int) -> Bill:
        found = self.bills.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no bill {number}")
        return found

    def _amendment(self, number: int, version: int) -> Amendment:
        found = self.amendments.get((number, version))
        if found is None:
            refuse("NOT_FOUND", f"bill {number} has no amendment {version}")
        return found

    def _live(self, number: int, turn: int) -> Bill:
        bill = self._bill(number)
        self._check_state(number, bill, LIVE)
        if turn != bill.turn:
            refuse("OTHER_TURN", f"bill {number} is at turn {bill.turn}, not {turn}")
        return bill

    def _controlled(self, number: int, turn: int) -> Bill:
        """The caller's live bill, at the turn for which it signed."""
        bill = self._live(number, turn)
        self._check_dealing(bill.controller)
        return bill

    def _use_consent(self, number: int, bill: Bill, act: str, to: str) -> None:
        """Nothing is done with a pledged bill but what the pledgee agreed to at this turn."""
        if not bill.pledgee:
            return
        if bill.pledgee == to and act == "TRANSFER":
            return
        if (bill.consent, bill.consent_to) != (act, to):
            refuse("PLEDGED", f"{bill.pledgee} holds a pledge of bill {number} and must agree")

    def _turn(self, number: int, bill: Bill) -> None:
        """Something was done: what was signed or agreed to before holds no more."""
        bill.turn += 1
        bill.consent, bill.consent_to = "", ""
        bill.since = self.ctx.time_ms
        self.bills.put(number, bill)

    def _step(self, number: int, act: str, to: str) -> None:
        count = (self.step_counts.get(number) or 0) + 1
        self.step_counts.put(number, count)
        made = Step(act, self.ctx.organisation, to, self.ctx.time_ms, self.ctx.caller)
        self.steps.put((number, count), made)

    def _share(self, number: int, bill: Bill, organisations: list[str]) -> None:
        """Whoever gets a bill gets to know what it says, what it said before the newest amendment,
        and what is proposed."""
        shared = [bill.terms, bill.document]
        if bill.paper is not None:
            shared.append(bill.paper)
        for version in (bill.version, bill.amendments if bill.amendment_open else 0):
            if version:
                one = self._amendment(number, version)
                for known in (one.terms, one.document, one.changes, one.before):
                    if known not in shared:
                        shared.append(known)
        self.share(shared, organisations)

    def _check_settled(self, number: int, bill: Bill) -> None:
        if bill.amendment_open:
            refuse("AMENDMENT_OPEN", f"amendment {bill.amendments} of bill {number} is undecided")

    def _check_state(self, number: int, bill: Bill, states: tuple[str, ...]) -> None:
        if bill.state not in states:
            refuse("WRONG_STATE", f"bill {number} is {bill.state}")

    def _check_party(self, organisation: str) -> None:
        if not self.invoke("identity", "is_active", id=organisation):
            refuse("UNKNOWN_ORGANISATION", f"{organisation} is no active organisation")
        self._check_dealing(organisation)

    def _check_dealing(self, organisation: str) -> None:
        if not self.invoke("compliance", "may_deal", organisation=organisation):
            refuse("COMPLIANCE_HOLD", f"{organisation} can't deal for now")


def differences(old: BillTerms, new: BillTerms) -> list[tuple[str, bool]]:
    """Every field of a bill's terms, and whether it differs."""
    return [
        ("reference", old.reference != new.reference),
        ("shipper", old.shipper != new.shipper),
        ("consignee", old.consignee != new.consignee),
        ("goods", old.goods != new.goods),
        ("containers", old.containers != new.containers),
        ("packages", old.packages != new.packages),
        ("gross_weight_g", old.gross_weight_g != new.gross_weight_g),
        ("loading", old.loading != new.loading),
        ("discharge", old.discharge != new.discharge),
        ("vessel", old.vessel != new.vessel),
        ("voyage", old.voyage != new.voyage),
        ("on_board", old.on_board != new.on_board),
        ("freight", old.freight != new.freight),
        ("clauses", (old.clauses or []) != (new.clauses or [])),
    ]
