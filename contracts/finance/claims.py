"""Claims on banks: what a bank owes to whom, in any currency, with amounts that the parties know.

A **note** is a bank's debt of one amount to one owner. That there is one, whose it is and what
becomes of it is public, since the chain keeps anybody from spending it twice; its amount is a
commitment. Whole notes are paid from owner to owner at once. To divide or join notes, exchange
currencies or be paid out, the owner asks for a **turn**: the bank runs the check ``adds_up`` over
the openings, and its verdict makes the new notes good, or takes them back::

    note:  PROPOSED -> LIVE -> LOCKED -> SPENT      LIVE <-> HELD (escrow)
           PROPOSED -> VOID    LOCKED -> LIVE       LIVE <-> STOPPED, FROZEN
    turn:  REQUESTED -> CONFIRMED [-> UNDONE] | REJECTED | WITHDRAWN

In a turn each currency adds up by itself. None becomes another but by an exchange whose rate,
source, time and rounding its terms hold. Whoever has the openings runs the same check again; who
finds otherwise than the bank disputes by recording it, and a regulator rules.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.finance.claims_records import (
    ADDS_UP,
    BEYOND,
    CONFIRMED,
    COUNTED_MAX,
    DOES_NOT,
    FROZEN,
    HELD,
    LIVE,
    LOCKED,
    NOTES_MAX,
    OWNERS_MAX,
    PASSED_MAX,
    PROPOSED,
    REJECTED,
    REQUESTED,
    SHOWN_MAX,
    SPENT,
    UNDONE,
    VOID,
    WITHDRAWN,
    WITHIN,
    Amount,
    Limits,
    Note,
    Number,
    Numbers,
    Opinion,
    Output,
    Passed,
    Terms,
    Turn,
    TurnTerms,
)
from contracts.finance.exchange import (
    bought_for,
    rate_text,
)
from contracts.finance.notes import (
    Notes,
    add,
    given,
    once,
    text,
)
from contracts.sdk import (
    Counter,
    Findings,
    Index,
    Int,
    Map,
    Money,
    Opened,
    OrganisationId,
    Size,
    Task,
    Verdict,
    VerdictCode,
    call,
    check,
    query,
    refuse,
)

BANKERS = ("bank_officer", "bank_admin")


class Claims(Notes):
    """Notes on banks, and the turns in which banks make new ones of them."""

    name = "claims"
    audited = True

    turn_numbers = Counter()
    turns = Map(Turn, key=("number",))
    waiting = Index(turns, on=("bank", "state"))
    asked = Index(turns, on=("requester", "state"))
    opinions = Map(Opinion, key=("turn", "organisation"))
    passed = Map(Passed, key=("bank", "owner", "day"))

    limits = Opened(Limits)
    terms = Opened(TurnTerms)

    # --- turns ------------------------------------------------------------------------------

    @call(meaning="responsibility")
    def request(
        self,
        inputs: Numbers,
        outputs: Annotated[list[Output], Size(NOTES_MAX)],
        terms: Terms | None = None,
    ) -> dict[str, Any]:
        """Ask the bank to turn own notes into others: divided, joined, exchanged, paid out.

        The answer has the turn's number and those of the notes that it would make.
        """
        found = [self._own(number) for number in once(inputs)]
        return self._request(inputs, found, outputs, terms, 0)

    @call(contracts=("escrow",))
    def divide(
        self, note: Number, amounts: Annotated[list[Amount], Size(NOTES_MAX, 2)], escrow: Number
    ) -> dict[str, Any]:
        """Ask that a note in escrow be divided; its parts stay there."""
        found = self._note(note)
        self._check_held(note, found, escrow)
        outputs = [Output(found.owner, amount) for amount in amounts]
        return self._request([note], [found], outputs, None, escrow)

    @check(records="examined")
    def adds_up(self, turn: Number) -> Verdict:
        """Whether a turn's notes and terms come out even in each currency."""
        found = self._turn(turn)
        terms = TurnTerms([], [])
        if found.terms is not None:
            terms = self.terms.open(found.terms)
        balance: dict[str, int] = {}
        findings: list[str] = []
        for number in found.inputs:
            money = self.amounts.open(self._note(number).amount)
            add(balance, money, 1)
        for number in found.outputs:
            money = self.amounts.open(self._note(number).amount)
            add(balance, money, -1)
            if money.minor == 0:
                findings.append(f"note {number} would be of nothing")
        for money in terms.paid_out:
            add(balance, money, -1)
        for exchange in terms.exchanges:
            if exchange.sold.currency == exchange.bought.currency:
                findings.append(f"{exchange.sold.currency} is exchanged for itself")
                continue
            due = Money(bought_for(exchange), exchange.bought.currency)
            if due.minor != exchange.bought.minor:
                findings.append(
                    f"{exchange.sold.text} at {rate_text(exchange)}, rounded {exchange.rounding},"
                    f" is {text(due.minor, due.currency)}, not {exchange.bought.text}"
                )
            if due.minor == 0:
                findings.append(f"{exchange.sold.text} comes to nothing")
            if exchange.quoted_at > found.requested_at:
                findings.append("the rate was quoted after the request")
            add(balance, exchange.sold, -1)
            add(balance, exchange.bought, 1)
        for currency in sorted(balance):
            left = balance[currency]
            if left > 0:
                findings.append(f"{text(left, currency)} would be lost")
            elif left < 0:
                findings.append(f"{text(-left, currency)} would come from nowhere")
        return Verdict(DOES_NOT if findings else ADDS_UP, findings[:100])

    @call(meaning="review")
    def examined(self, turn: Number, verdict: VerdictCode, findings: Findings) -> str:
        """Record what the own check of a turn found.

        The bank's verdict decides a turn that waits. Those of the requester, of the notes' owners
        and of a regulator stand beside it; another one than the bank's disputes the turn, and then
        the notes that the requester and who disputes have of it are frozen. Nobody freezes
        a third one's money by a word. The answer is the turn's state.
        """
        found = self._turn(turn)
        me = self.ctx.organisation
        if verdict not in (ADDS_UP, DOES_NOT):
            refuse("UNKNOWN_VERDICT", f"a turn {ADDS_UP} or {DOES_NOT}")
        if (turn, me) in self.opinions:
            refuse("ALREADY_RECORDED", f"{me} has said what it found of turn {turn}")
        readers = self._readers(found)
        if me == found.bank:
            self.require("bank_officer", "bank_admin")
            if found.state != REQUESTED:
                refuse("WRONG_STATE", f"turn {turn} is {found.state}")
            self._decide(turn, found, verdict)
        else:
            if me not in readers:
                self.require("regulator")
            if found.state not in (CONFIRMED, REJECTED):
                refuse("WRONG_STATE", f"turn {turn} is {found.state}: the bank is first to say")
            if verdict != (ADDS_UP if found.state == CONFIRMED else DOES_NOT):
                self._dispute(turn, found)
        self.opinions.put((turn, me), Opinion(verdict, findings, self.ctx.time_ms))
        self.share([findings], readers)
        self.emit("Examined", turn=turn, by=me, verdict=verdict, state=found.state)
        return found.state

    @check(records="counted")
    def within(self, turn: Number) -> Verdict:
        """Whether what passes from the requester on the day stays within its limits."""
        found = self._turn(turn)
        if found.limits is None:
            return Verdict(WITHIN, [])
        most: dict[str, int] = {}
        for money in self.limits.open(found.limits).daily:
            add(most, money, 1)
        passing: dict[str, int] = {}
        for number in found.earlier + found.passing:
            add(passing, self.amounts.open(self._note(number).amount), 1)
        findings: list[str] = []
        for currency in sorted(passing):
            limit = most.get(currency, 0)
            if passing[currency] > limit:
                findings.append(
                    f"{text(passing[currency], currency)} would pass on the day,"
                    f" the limit is {text(limit, currency)}"
                )
        return Verdict(BEYOND if findings else WITHIN, findings[:100])

    @call(roles=BANKERS, own=("turns", "turn", "bank"), meaning="review")
    def counted(self, turn: Number, verdict: VerdictCode, findings: Findings) -> str:
        """Record, as the bank, whether a turn is within the requester's limits; it comes before
        the bank's word on the turn, and ends it where it is not. The answer is the turn's state.
        """
        found = self._turn(turn)
        if verdict not in (WITHIN, BEYOND):
            refuse("UNKNOWN_VERDICT", f"a turn is {WITHIN} or {BEYOND}")
        if found.state != REQUESTED:
            refuse("WRONG_STATE", f"turn {turn} is {found.state}")
        if verdict == WITHIN:
            found.within = True
            self.turns.put(turn, found)
        else:
            self._take_back(turn, found, REJECTED)
        self.share([findings], [found.requester])
        self.emit("Counted", turn=turn, verdict=verdict)
        return found.state

    @call(own=("turns", "turn", "requester"))
    def withdraw(self, turn: Number) -> None:
        """Take a request back that the bank has not decided."""
        found = self._turn(turn)
        if found.state != REQUESTED:
            refuse("WRONG_STATE", f"turn {turn} is {found.state}")
        self._take_back(turn, found, WITHDRAWN)
        self.emit("Withdrawn", turn=turn)

    @call(roles=("regulator",), meaning="approval")
    def rule(self, turn: Number, undo: bool) -> None:
        """Rule on a disputed turn: undo it, or let it stand and its frozen notes go.

        It is undone as long as all of its notes are where they were made: what a third one has
        taken in good faith stays its own, and then it is between the bank and its customer.
        """
        found = self._turn(turn)
        if not found.disputed or found.state not in (CONFIRMED, REJECTED):
            refuse("WRONG_STATE", f"turn {turn} is {found.state}, disputed: {found.disputed}")
        if undo and found.state == CONFIRMED:
            for number in found.outputs:
                note = self._note(number)
                is_there = note.state in (FROZEN, LIVE, HELD) and note.escrow == found.escrow
                if not is_there or note.owner != found.requester:
                    refuse("MOVED_ON", f"note {number} is {note.state}, {note.owner}'s")
            self._take_back(turn, found, UNDONE)
        else:
            for number in found.outputs:
                note = self._note(number)
                if note.state == FROZEN:
                    self._set(number, note, LIVE)
            found.disputed = False
            self.turns.put(turn, found)
        self.emit("Ruled", turn=turn, undo=undo, state=found.state)

    # --- asking of turns ---------------------------------------------------------------------

    @query
    def turn(self, number: Number) -> dict[str, Any]:
        """A turn as it stands, with what was found of it."""
        found = self._turn(number)
        said: list[dict[str, Any]] = []
        for key, opinion in self.opinions.items(number, limit=SHOWN_MAX):
            said.append({"organisation": key[1], "opinion": opinion})
        return {"turn": found, "opinions": said}

    @query
    def turns_of(self, bank: OrganisationId, state: str = REQUESTED) -> list[dict[str, Any]]:
        """The first hundred of a bank's turns in a state."""
        found = list(self.waiting.keys((bank, state), limit=SHOWN_MAX))
        return [{"number": one, "turn": self._turn(one)} for one in found]

    @query
    def tasks(
        self, organisation: OrganisationId, after: Annotated[int, Int(0)] = 0
    ) -> dict[str, Any]:
        """Turns that wait for a bank's word, of a bank or of who asked for them."""
        numbers = list(self.waiting.keys((organisation, REQUESTED), limit=COUNTED_MAX))
        numbers.extend(list(self.asked.keys((organisation, REQUESTED), limit=COUNTED_MAX)))
        numbers = [number for number in sorted(numbers) if number > after]
        found: list[Task] = []
        for number in numbers[:SHOWN_MAX]:
            turn = self._turn(number)
            unchecked = turn.limits is not None and not turn.within
            method = "counted" if unchecked else "examined"
            args, roles, since = {"turn": number}, list(BANKERS), turn.requested_at
            found.append(Task(turn.bank, method, args, f"turn {number}", roles, since))
        more = len(numbers) > SHOWN_MAX
        return {"tasks": found, "next": numbers[SHOWN_MAX - 1] if more else 0}

    # --- inside -----------------------------------------------------------------------------

    def _request(
        self,
        inputs: list[int],
        notes: list[Note],
        outputs: list[Output],
        terms: bytes | None,
        escrow: int,
    ) -> dict[str, Any]:
        """Lock the inputs and propose the outputs."""
        bank, requester, now = notes[0].bank, notes[0].owner, self.ctx.time_ms
        owners = given([output.owner for output in outputs])
        if len(owners) > OWNERS_MAX:
            refuse("TOO_MANY", f"a turn pays at most {OWNERS_MAX} owners")
        self._check_dealing(given([bank, requester, *owners]))
        turn = Turn(bank, requester, REQUESTED, now, inputs, [], self.ctx.today, [], [])
        turn.terms, turn.escrow = terms, escrow
        number = self.turn_numbers.add()
        for at in range(len(notes)):
            if notes[at].bank != bank:
                refuse("OTHER_BANK", f"note {inputs[at]} is a claim on {notes[at].bank}")
            self._set(inputs[at], notes[at], LOCKED)
        limited = self.limited.get((bank, requester))
        is_limited = limited is not None and not escrow
        for output in outputs:
            made = Note(bank, output.owner, output.amount, PROPOSED, now, number, escrow)
            made.fee = notes[0].fee
            if is_limited and output.owner == requester and output.counted:
                made.counted = turn.day
            note = self._new(made)
            turn.outputs.append(note)
            if made.counted or output.owner != requester:
                turn.passing.append(note)
        if limited is not None and not escrow:
            turn.limits = limited.limits
            turn.earlier = self._count(turn)
        self.turns.put(number, turn)
        shared = given([terms, *[output.amount for output in outputs]])
        if shared:
            self.share(shared, given([bank, *owners]))
        made_of = {"inputs": inputs, "outputs": turn.outputs}
        self.emit("Requested", turn=number, bank=bank, requester=requester, **made_of)
        return {"turn": number, "outputs": turn.outputs}

    def _count(self, turn: Turn) -> list[int]:
        """Count a turn's notes among those that pass on its day; those counted before."""
        key = (turn.bank, turn.requester, turn.day)
        passed = self.passed.get(key) or Passed([])
        earlier = passed.notes
        passed.notes = earlier + turn.passing
        if len(passed.notes) > PASSED_MAX:
            refuse("TOO_MANY", f"at most {PASSED_MAX} notes pass from one owner in a day")
        self.passed.put(key, passed)
        return earlier

    def _decide(self, number: int, turn: Turn, verdict: str) -> None:
        if verdict != ADDS_UP:
            self._take_back(number, turn, REJECTED)
            return
        if turn.limits is not None and not turn.within:
            refuse("LIMITED", f"say first whether turn {number} is within the limits")
        self._check_dealing(self._readers(turn))
        for spent in turn.inputs:
            note = self._note(spent)
            note.escrow = 0
            self._set(spent, note, SPENT)
        for made in turn.outputs:
            note = self._note(made)
            self._set(made, note, HELD if note.escrow else LIVE)
        turn.state, turn.decided_at = CONFIRMED, self.ctx.time_ms
        self.turns.put(number, turn)

    def _take_back(self, number: int, turn: Turn, state: str) -> None:
        """Give the inputs back; the outputs are void, and count no more."""
        for made in turn.outputs:
            note = self._note(made)
            note.escrow = 0
            self._set(made, note, VOID)
        for back in turn.inputs:
            note = self._note(back)
            note.escrow = turn.escrow
            self._set(back, note, HELD if turn.escrow else LIVE)
        key = (turn.bank, turn.requester, turn.day)
        passed = self.passed.get(key)
        if passed is not None:
            passed.notes = [one for one in passed.notes if one not in turn.passing]
            self.passed.put(key, passed)
        turn.state, turn.decided_at = state, self.ctx.time_ms
        self.turns.put(number, turn)

    def _dispute(self, number: int, turn: Turn) -> None:
        me = self.ctx.organisation
        frozen: list[int] = []
        if turn.state == CONFIRMED:
            for made in turn.outputs:
                note = self._note(made)
                if note.state == LIVE and note.owner in (me, turn.requester):
                    self._set(made, note, FROZEN)
                    frozen.append(made)
        turn.disputed = True
        self.turns.put(number, turn)
        self.emit("Disputed", turn=number, by=me, frozen=frozen)

    def _readers(self, turn: Turn) -> list[str]:
        """Bank, requester, and for whom the notes were made or whose they are."""
        owners = [self._note(made).owner for made in turn.outputs]
        return given([turn.bank, turn.requester, *owners])

    def _turn(self, number: int) -> Turn:
        found = self.turns.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no turn {number}")
        return found
