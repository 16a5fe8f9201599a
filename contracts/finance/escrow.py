"""Escrow: money held in trust for a payee until a condition is met.

::

    PROPOSED -> AGREED -> FUNDED -> PARTIALLY_RELEASED -> RELEASED | REFUNDED
    PROPOSED | AGREED -> CANCELLED       FUNDED | PARTIALLY_RELEASED <-> DISPUTED

The depositor proposes, payee and agent agree, the depositor puts notes in (contract claims), of
any banks and currencies: some for the payee, some set aside for the agent's fee. From then on each
note goes one way: to the payee, back to the depositor, or, of those set aside, to the agent. So of
every currency deposits = balance + released + refunded + fees, though nobody else sees an amount:
notes are whole, and to release a part, one is divided first, which its bank checks.

The payee takes notes when the condition is met or the depositor has approved them. It may give
them back at any time; the depositor gets back what was not earned when its time has come. Either
of the two may dispute, which stops everything, deadlines included, until the agent or a regulator
decides. Whom compliance holds neither pays nor receives: that is looked at again when notes move.

A credit's honour is on documents (UCP 600 art. 5). A delivery releases escrows, never a credit.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.finance.escrow_records import (
    AGREED,
    CANCELLED,
    COVERED,
    DISPUTED,
    FEE_DUE,
    FEE_RETURN_MS,
    FEE_SILENCE_MS,
    FEE_TOO_HIGH,
    FUNDED,
    NOTES_MAX,
    PARTIALLY_RELEASED,
    PROPOSED,
    SHORT,
    SHOWN_MAX,
    Amount,
    Condition,
    Escrow,
    Number,
    Numbers,
    Reason,
    Terms,
)
from contracts.finance.trust import (
    Trust,
    add,
    once,
    text,
)
from contracts.sdk import (
    ContractError,
    Findings,
    Int,
    OrganisationId,
    Size,
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


class Escrows(Trust):
    """Notes held in trust, and what they are released on."""

    name = "escrow"
    audited = True

    # --- agreeing ---------------------------------------------------------------------------

    @call(meaning="responsibility")
    def propose(
        self,
        payee: OrganisationId,
        agent: OrganisationId,
        condition: Condition,
        terms: Terms,
        shipment: Annotated[int, Int(0)] = 0,
        credit: Annotated[int, Int(0)] = 0,
        presentation: Annotated[int, Int(0)] = 0,
        release_at: Timestamp = 0,
        refund_at: Timestamp = 0,
    ) -> int:
        """Propose an escrow, as its depositor. The answer is its number.

        DELIVERY wants a shipment, CREDIT a credit and a presentation under it, TIME ``release_at``;
        all but TIME want ``refund_at``.
        """
        me, now = self.ctx.organisation, self.ctx.time_ms
        if me == payee or agent in (me, payee):
            refuse("SAME_PARTY", "depositor, payee and agent are three")
        self._check_dealing([me, payee, agent])
        escrow = Escrow(me, payee, agent, condition, PROPOSED, terms, now, [])
        escrow.shipment, escrow.credit, escrow.presentation = shipment, credit, presentation
        escrow.release_at, escrow.refund_at = release_at, refund_at
        self._check_condition(escrow)
        number = self.numbers.add()
        self.escrows.put(number, escrow)
        self.share([terms], [payee, agent])
        self.emit("Proposed", number=number, depositor=me, payee=payee, agent=agent)
        return number

    @call(meaning="approval")
    def agree(self, number: Number) -> str:
        """Agree, as the payee or the agent. The answer is the state."""
        escrow = self._escrow(number)
        me = self.ctx.organisation
        if me not in (escrow.payee, escrow.agent):
            refuse("NOT_AUTHORISED", f"{me} is neither payee nor agent of escrow {number}")
        self._check_state(number, escrow, (PROPOSED,))
        if me in escrow.agreed:
            refuse("ALREADY_RECORDED", f"{me} has agreed")
        escrow.agreed.append(me)
        if len(escrow.agreed) == 2:
            self._check_dealing([escrow.depositor, escrow.payee, escrow.agent])
            escrow.state, escrow.since = AGREED, self.ctx.time_ms
        self.escrows.put(number, escrow)
        self.emit("Agreed", number=number, by=me, state=escrow.state)
        return escrow.state

    @call
    def cancel_unfunded(self, number: Number) -> None:
        """Leave, as any of the three, before anything was put in."""
        escrow = self._of_party(number)
        self._check_state(number, escrow, (PROPOSED, AGREED))
        escrow.state, escrow.ended_at = CANCELLED, self.ctx.time_ms
        self.escrows.put(number, escrow)
        self.emit("Cancelled", number=number, by=self.ctx.organisation)

    @call(own=("escrows", "number", "depositor"), meaning="responsibility")
    def fund(self, number: Number, notes: Numbers, fee: bool = False) -> None:
        """Put own notes in: for the payee, or set aside for the agent's fee."""
        escrow = self._escrow(number)
        self._check_state(number, escrow, (AGREED, FUNDED))
        self._check_dealing([escrow.depositor, escrow.payee, escrow.agent])
        if not fee and escrow.state == AGREED:
            self._start(number, escrow)
        held = self.invoke("claims", "held", escrow=number)
        if len(held) + len(notes) > NOTES_MAX:
            refuse("TOO_MANY", f"an escrow holds at most {NOTES_MAX} notes")
        self.invoke("claims", "hold", notes=notes, escrow=number, fee=fee)
        amounts = [self._note(note)["amount"] for note in notes]
        self.share(once(amounts), [escrow.payee, escrow.agent])
        self.escrows.put(number, escrow)
        self.emit("Funded", number=number, notes=notes, fee=fee)

    @check(records="cover_examined")
    def cover(self, number: Number) -> Verdict:
        """Whether what was put in for the payee comes to the terms, in each currency."""
        escrow = self._escrow(number)
        terms = self.terms.open(escrow.terms)
        missing: dict[str, int] = {}
        for money in terms.deposits:
            add(missing, money, 1)
        for one in self._all_notes(number):
            if not one["fee"]:
                add(missing, self.amounts.open(one["amount"]), -1)
        findings: list[str] = []
        for currency in sorted(missing):
            if missing[currency] > 0:
                findings.append(f"{text(missing[currency], currency)} is missing")
        return Verdict(SHORT if findings else COVERED, findings[:100])

    @call(meaning="review")
    def cover_examined(self, number: Number, verdict: VerdictCode, findings: Findings) -> None:
        """Record what the own check of the cover found; the newest counts."""
        escrow = self._of_party(number)
        if verdict not in (COVERED, SHORT):
            refuse("UNKNOWN_VERDICT", f"an escrow is {COVERED} or {SHORT}")
        self._record(number, escrow, "cover", verdict, findings)

    @call
    def divide(
        self, number: Number, note: Number, amounts: Annotated[list[Amount], Size(NOTES_MAX, 2)]
    ) -> dict[str, Any]:
        """Ask, as payee or agent, that a held note be divided, so that a part can move.

        The note's bank decides (contract claims). Parts of an approved note are approved. The
        answer is the turn and the parts' numbers.
        """
        escrow = self._escrow(number)
        if self.ctx.organisation not in (escrow.payee, escrow.agent):
            refuse("NOT_AUTHORISED", "the payee or the agent has notes divided")
        held = self.invoke("claims", "held", escrow=number)
        if len(held) + len(amounts) > NOTES_MAX:
            refuse("TOO_MANY", f"an escrow holds at most {NOTES_MAX} notes")
        if len(held) + len(amounts) + escrow.released + escrow.refunded > SHOWN_MAX:
            refuse("TOO_MANY", f"at most {SHOWN_MAX} notes come out of one escrow")
        made = self.invoke("claims", "divide", note=note, amounts=amounts, escrow=number)
        self.share(once(amounts), [escrow.depositor, escrow.payee, escrow.agent])
        turn: int = made["turn"]
        if (number, note) in self.approved:
            for part in made["outputs"]:
                self.approved.put((number, part), True)
        self.emit("Divided", number=number, note=note, turn=turn, parts=made["outputs"])
        return {"turn": turn, "parts": made["outputs"]}

    # --- release and refund -----------------------------------------------------------------

    @call(own=("escrows", "number", "depositor"), meaning="approval")
    def approve(self, number: Number, notes: Numbers) -> None:
        """Let the payee have these notes whatever the condition says. It can't be taken back."""
        escrow = self._escrow(number)
        self._check_state(number, escrow, (FUNDED, PARTIALLY_RELEASED))
        self._check_held(number, notes, False)
        for note in notes:
            self.approved.put((number, note), True)
        self.emit("Approved", number=number, notes=notes)

    @call(meaning="responsibility")
    def release(self, number: Number, notes: Numbers) -> str:
        """Move notes to the payee, as payee or agent: those approved, or all once the condition is
        met. The answer is the state."""
        escrow = self._escrow(number)
        if self.ctx.organisation not in (escrow.payee, escrow.agent):
            refuse("NOT_AUTHORISED", "the payee or the agent releases")
        self._check_state(number, escrow, (FUNDED, PARTIALLY_RELEASED))
        self._check_held(number, notes, False)
        unapproved = [note for note in notes if (number, note) not in self.approved]
        if unapproved and not self._met(escrow):
            refuse("CONDITION_OPEN", f"note {unapproved[0]} waits for {escrow.condition}")
        self._move(number, escrow, notes, "RELEASED", escrow.payee)
        return escrow.state

    @call(meaning="responsibility")
    def refund(self, number: Number, notes: Numbers) -> str:
        """Give notes back: the payee at any time, the depositor and the agent once the time for it
        has come and the condition is not met. The answer is the state."""
        escrow = self._of_party(number)
        self._check_state(number, escrow, (FUNDED, PARTIALLY_RELEASED))
        self._check_held(number, notes, False)
        if self.ctx.organisation != escrow.payee:
            if escrow.refund_at == 0 or self.ctx.time_ms < escrow.refund_at:
                refuse("TOO_EARLY", "before its time, only the payee gives back")
            earned = [note for note in notes if (number, note) in self.approved]
            if earned or self._met(escrow):
                refuse("EARNED", "what is approved, or whose condition is met, is the payee's")
        self._move(number, escrow, notes, "REFUNDED", escrow.depositor)
        return escrow.state

    @timed
    def fall_due(self, number: Number) -> None:
        """The time has come: what is earned goes to the payee, the rest to the depositor.

        What can't move now is taken by hand later: notes that are being divided, those of a party
        that compliance holds, and everything in a dispute.
        """
        escrow = self._escrow(number)
        escrow.deadline = ""
        self.escrows.put(number, escrow)
        if escrow.state == DISPUTED:
            return
        is_met = self._met(escrow)
        earned: list[int] = []
        rest: list[int] = []
        for note in self._held(number, False):
            if is_met or (number, note) in self.approved:
                earned.append(note)
            else:
                rest.append(note)
        try:
            if earned:
                self._move(number, escrow, earned, "RELEASED", escrow.payee)
            if rest:
                self._move(number, escrow, rest, "REFUNDED", escrow.depositor)
        except ContractError as error:
            self.emit("NotMoved", number=number, code=error.code)

    # --- disputes ---------------------------------------------------------------------------

    @call(meaning="responsibility")
    def dispute(self, number: Number, reason: Reason) -> None:
        """Stop everything, as depositor or payee, until it is decided."""
        escrow = self._escrow(number)
        me = self.ctx.organisation
        if me not in (escrow.depositor, escrow.payee):
            refuse("NOT_AUTHORISED", "depositor and payee dispute")
        self._check_state(number, escrow, (FUNDED, PARTIALLY_RELEASED))
        escrow.state_before, escrow.state = escrow.state, DISPUTED
        escrow.disputed_by, escrow.reason, escrow.since = me, reason, self.ctx.time_ms
        self.escrows.put(number, escrow)
        self.share([reason], [escrow.depositor, escrow.payee, escrow.agent])
        self.emit("Disputed", number=number, by=me)

    @call(own=("escrows", "number", "disputed_by"))
    def withdraw_dispute(self, number: Number) -> None:
        """Take the own dispute back. What fell due meanwhile is taken by hand."""
        escrow = self._escrow(number)
        self._check_state(number, escrow, (DISPUTED,))
        escrow.state, escrow.disputed_by = escrow.state_before, ""
        self.escrows.put(number, escrow)
        self.emit("DisputeWithdrawn", number=number)

    @call(meaning="approval")
    def decide(
        self,
        number: Number,
        to_payee: Annotated[list[Number], Size(NOTES_MAX)],
        to_depositor: Annotated[list[Number], Size(NOTES_MAX)],
        decision: Reason,
    ) -> str:
        """Decide a dispute, as the agent or a regulator, by who gets which notes.

        What is not named stays in dispute, to be divided first. The answer is the state.
        """
        escrow = self._escrow(number)
        if self.ctx.organisation != escrow.agent:
            self.require("regulator")
        self._check_state(number, escrow, (DISPUTED,))
        escrow.decision = decision
        if to_payee:
            self._check_held(number, to_payee, False)
            self._move(number, escrow, to_payee, "RELEASED", escrow.payee)
        if to_depositor:
            self._check_held(number, to_depositor, False)
            self._move(number, escrow, to_depositor, "REFUNDED", escrow.depositor)
        self.escrows.put(number, escrow)
        self.share([decision], [escrow.depositor, escrow.payee, escrow.agent])
        self.emit("Decided", number=number, by=self.ctx.organisation, state=escrow.state)
        return escrow.state

    # --- fees -------------------------------------------------------------------------------

    @call(own=("escrows", "number", "agent"), meaning="responsibility")
    def claim_fee(self, number: Number, notes: Numbers) -> None:
        """Claim the fee, of notes that were set aside for it. It is due when a party has found it
        so, or nobody has said anything for five days."""
        escrow = self._escrow(number)
        self._check_held(number, notes, True)
        if escrow.fee_claimed is not None:
            refuse("ALREADY_RECORDED", f"notes {escrow.fee_claimed[0]} and on are claimed")
        if escrow.ended_at and self.ctx.time_ms >= escrow.ended_at + FEE_RETURN_MS:
            refuse("TOO_LATE", "a fee is claimed within 30 days of the end")
        for about in (escrow.depositor, escrow.payee):
            self.opinions.delete((number, "fee", about))
        escrow.fee_claimed, escrow.fee_claimed_at = notes, self.ctx.time_ms
        due = self.ctx.time_ms + FEE_SILENCE_MS
        escrow.fee_deadline = self.due(due, "fee_by_silence", number=number)
        self.escrows.put(number, escrow)
        self.emit("FeeClaimed", number=number, notes=notes)

    @check(records="fee_examined")
    def fee(self, number: Number) -> Verdict:
        """Whether the claimed fee, with those taken before, is no higher than agreed."""
        escrow = self._escrow(number)
        left: dict[str, int] = {}
        for money in self.terms.open(escrow.terms).fees:
            add(left, money, 1)
        claimed = escrow.fee_claimed or []
        for key, move in self.moves.items(number, limit=SHOWN_MAX):
            if move.fate == "FEE" and key[1] not in claimed:
                add(left, self.amounts.open(self._note(key[1])["amount"]), -1)
        for note in claimed:
            add(left, self.amounts.open(self._note(note)["amount"]), -1)
        findings: list[str] = []
        for currency in sorted(left):
            if left[currency] < 0:
                findings.append(f"{text(-left[currency], currency)} above the agreed fee")
        return Verdict(FEE_TOO_HIGH if findings else FEE_DUE, findings[:100])

    @call(meaning="review")
    def fee_examined(self, number: Number, verdict: VerdictCode, findings: Findings) -> None:
        """Record what the own check of a claimed fee found: depositor's or payee's decides it."""
        escrow = self._of_party(number)
        if escrow.fee_claimed is None:
            refuse("WRONG_STATE", f"no fee of escrow {number} is claimed")
        if verdict not in (FEE_DUE, FEE_TOO_HIGH):
            refuse("UNKNOWN_VERDICT", f"a fee is {FEE_DUE} or {FEE_TOO_HIGH}")
        self._record(number, escrow, "fee", verdict, findings)
        if self.ctx.organisation != escrow.agent:
            self.cancel(escrow.fee_deadline)
            self._end_fee(number, escrow, verdict == FEE_DUE)

    @timed
    def fee_by_silence(self, number: Number) -> None:
        """Nobody has objected to a fee. Where compliance holds a party, the claim lapses."""
        escrow = self._escrow(number)
        try:
            self._end_fee(number, escrow, True)
        except ContractError as error:
            self._end_fee(number, escrow, False)
            self.emit("NotMoved", number=number, code=error.code)

    @call
    def return_fee(self, number: Number, notes: Numbers) -> None:
        """Give back to the depositor what was set aside for a fee: the agent at any time, the
        depositor 30 days after the end."""
        escrow = self._escrow(number)
        me = self.ctx.organisation
        if me != escrow.agent:
            if me != escrow.depositor:
                refuse("NOT_AUTHORISED", "agent or depositor take a fee's notes back")
            if not escrow.ended_at or self.ctx.time_ms < escrow.ended_at + FEE_RETURN_MS:
                refuse("TOO_EARLY", "the agent has 30 days from the end to claim its fee")
        self._check_held(number, notes, True)
        for note in notes:
            if note in (escrow.fee_claimed or []):
                refuse("FEE_CLAIMED", f"note {note} is claimed")
        self._move(number, escrow, notes, "REFUNDED", escrow.depositor, True)

    # --- asking -----------------------------------------------------------------------------

    @query
    def escrow(self, number: Number) -> dict[str, Any]:
        """An escrow as it stands: its record, the notes it holds, what became of others, and what
        the parties' checks found."""
        escrow = self._escrow(number)
        moved: list[dict[str, Any]] = []
        for key, move in self.moves.items(number, limit=SHOWN_MAX):
            moved.append({"note": key[1], "move": move})
        said: list[dict[str, Any]] = []
        for key, opinion in self.opinions.items(number, limit=SHOWN_MAX):
            said.append({"about": key[1], "organisation": key[2], "opinion": opinion})
        return {
            "number": number,
            "escrow": escrow,
            "held": self.invoke("claims", "held", escrow=number),
            "moved": moved,
            "opinions": said,
            "met": escrow.state not in (PROPOSED, CANCELLED) and self._met(escrow),
        }

    @query
    def escrows_of(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> list[dict[str, Any]]:
        """The first hundred live escrows with numbers above ``after`` of which it is a party."""
        found = [number for number in self._live_of(organisation) if number > after]
        return [{"number": one, "escrow": self._escrow(one)} for one in found[:SHOWN_MAX]]

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """What awaits the parties of the escrows of which an organisation is one."""
        numbers = [number for number in self._live_of(organisation) if number > after]
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            found.extend(self._tasks(number, self._escrow(number)))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found[:500], "next": numbers[SHOWN_MAX - 1] if more else 0}
