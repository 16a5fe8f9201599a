"""Notes: what a bank owes to whom, one amount each."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.finance.claims_records import (
    COUNTED_MAX,
    FROZEN,
    HELD,
    LIVE,
    LOCKED,
    NOTES_MAX,
    SHOWN_MAX,
    STOPPED,
    Amount,
    Limited,
    LimitsCommitment,
    Note,
    Number,
    Numbers,
    Reason,
    Reference,
)
from contracts.sdk import (
    Contract,
    Counter,
    Index,
    Int,
    Map,
    Money,
    Opened,
    OrganisationId,
    Size,
    Verdict,
    call,
    check,
    query,
    refuse,
)


class Notes(Contract):
    """Notes on banks: issued, paid, stopped, held in escrow."""

    numbers = Counter()
    notes = Map(Note, key=("number",))
    by_owner = Index(notes, on=("owner", "bank", "state"))
    by_escrow = Index(notes, on=("escrow",))
    limited = Map(Limited, key=("bank", "owner"))

    amounts = Opened(Money)

    # --- notes ------------------------------------------------------------------------------

    @call(roles=("bank_admin",), meaning="responsibility")
    def issue(
        self, owner: OrganisationId, amount: Amount, reference: Reference | None = None
    ) -> int:
        """Owe, as a bank, an amount to an owner. The answer is the note's number."""
        bank = self.ctx.organisation
        self._check_bank(bank)
        if owner == bank:
            refuse("SAME_PARTY", "a bank owes itself nothing")
        self._check_dealing([bank, owner])
        number = self._new(Note(bank, owner, amount, LIVE, self.ctx.time_ms))
        self.share(given([amount, reference]), [owner])
        self.emit("Issued", note=number, bank=bank, owner=owner, reference=reference)
        return number

    @call(meaning="responsibility")
    def pay(
        self, notes: Numbers, payee: OrganisationId, reference: Reference | None = None
    ) -> None:
        """Pay with whole notes: they are the payee's from now on."""
        me = self.ctx.organisation
        if payee == me:
            refuse("SAME_PARTY", "nobody pays itself")
        self._check_dealing([me, payee])
        found = [self._own(number) for number in once(notes)]
        for at in range(len(found)):
            self._check_passable(notes[at], found[at])
            self._move(notes[at], found[at], payee)
        amounts = [note.amount for note in found]
        banks = [note.bank for note in found]
        self.share(given([*amounts, reference]), given([payee, *banks]))
        self.emit("Paid", notes=notes, payer=me, payee=payee, reference=reference)

    @call(meaning="approval")
    def stop(self, note: Number, reason: Reason) -> None:
        """Have a live note stay where it is, as its bank or a regulator. Why is for the parties."""
        found = self._note(note)
        me = self.ctx.organisation
        if me == found.bank:
            self.require("bank_admin", "compliance_officer")
        else:
            self.require("regulator")
        self._check_note(note, found, LIVE)
        found.state, found.stopped_by, found.reason = STOPPED, me, reason
        self.notes.put(note, found)
        self.share([reason], [found.bank])
        self.emit("Stopped", note=note, by=me)

    @call(own=("notes", "note", "stopped_by"), meaning="approval")
    def let_go(self, note: Number) -> None:
        """Take the own stop back."""
        found = self._note(note)
        self._check_note(note, found, STOPPED)
        found.state, found.stopped_by = LIVE, ""
        self.notes.put(note, found)
        self.emit("LetGo", note=note, by=self.ctx.organisation)

    @call(roles=("bank_admin", "compliance_officer"), meaning="approval")
    def set_limits(self, owner: OrganisationId, limits: LimitsCommitment | None = None) -> None:
        """Bound, as a bank, what may pass from an owner within a day; None for no bounds.

        An owner with limits pays by turns, in which the bank counts, and with notes that it has
        counted.
        """
        bank = self.ctx.organisation
        self._check_bank(bank)
        if limits is None:
            self.limited.delete((bank, owner))
        else:
            self.limited.put((bank, owner), Limited(limits))
            self.share([limits], [owner])
        self.emit("LimitsSet", bank=bank, owner=owner, limited=limits is not None)

    # --- escrow -----------------------------------------------------------------------------

    @call(contracts=("escrow",))
    def hold(self, notes: Numbers, escrow: Number, fee: bool) -> None:
        """Put the caller's notes into an escrow."""
        for number in once(notes):
            note = self._own(number)
            self._check_passable(number, note)
            note.state, note.escrow, note.fee = HELD, escrow, fee
            self.notes.put(number, note)

    @call(contracts=("escrow",))
    def unhold(self, notes: Numbers, escrow: Number, owner: OrganisationId) -> None:
        """Let notes out of an escrow, to their owner or another one."""
        for number in once(notes):
            note = self._note(number)
            self._check_held(number, note, escrow)
            self._check_dealing(given([note.owner, owner]))
            note.escrow, note.fee = 0, False
            note.state = LIVE
            if owner != note.owner:
                self._move(number, note, owner)
            else:
                self.notes.put(number, note)

    @query
    def held(self, escrow: Number) -> list[dict[str, Any]]:
        """The notes that an escrow holds, those that are being divided and their parts included."""
        return [
            {"number": number, "note": self._note(number)}
            for number in list(self.by_escrow.keys(escrow, limit=COUNTED_MAX))
        ]

    # --- asking of notes ---------------------------------------------------------------------

    @check
    def balance(self, owner: OrganisationId, bank: OrganisationId) -> Verdict:
        """What a bank owes an owner, by currency and by what the owner may do with it."""
        findings: list[str] = []
        for state in (LIVE, LOCKED, HELD, STOPPED, FROZEN):
            sums: dict[str, int] = {}
            for note in self.by_owner.values((owner, bank, state), limit=COUNTED_MAX + 1):
                if note is not None:
                    add(sums, self.amounts.open(note.amount), 1)
            for currency in sorted(sums):
                findings.append(f"{state} {text(sums[currency], currency)}")
        return Verdict("BALANCE", findings[:100])

    @query
    def note(self, number: Number) -> Note:
        """A note as it stands."""
        return self._note(number)

    @query
    def check_dealing(
        self, organisations: Annotated[list[OrganisationId], Size(NOTES_MAX)]
    ) -> None:
        """Refuse unless all of these are active and may deal."""
        self._check_dealing(organisations)

    @query
    def notes_of(
        self,
        owner: OrganisationId,
        bank: OrganisationId,
        state: str = LIVE,
        after: Annotated[int, Int(0)] = 0,
    ) -> list[dict[str, Any]]:
        """The first hundred notes in a state, with numbers above ``after``."""
        found = list(self.by_owner.keys((owner, bank, state)))
        chosen = [number for number in found if number > after]
        return [{"number": one, "note": self._note(one)} for one in chosen[:SHOWN_MAX]]

    # --- inside -----------------------------------------------------------------------------

    def _new(self, note: Note) -> int:
        number = self.numbers.add()
        self.notes.put(number, note)
        return number

    def _set(self, number: int, note: Note, state: str) -> None:
        note.state = state
        self.notes.put(number, note)

    def _move(self, number: int, note: Note, owner: str) -> None:
        """Make a note another one's."""
        note.owner, note.counted = owner, 0
        self.notes.put(number, note)

    def _note(self, number: int) -> Note:
        found = self.notes.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no note {number}")
        return found

    def _own(self, number: int) -> Note:
        """A live note of the caller's."""
        found = self._note(number)
        if found.owner != self.ctx.organisation:
            refuse("NOT_AUTHORISED", f"note {number} is another one's")
        self._check_note(number, found, LIVE)
        return found

    def _check_note(self, number: int, note: Note, state: str) -> None:
        if note.state != state:
            refuse("NOTE_STATE", f"note {number} is {note.state}, not {state}")

    def _check_held(self, number: int, note: Note, escrow: int) -> None:
        if note.escrow != escrow:
            refuse("NOTE_STATE", f"note {number} is not in escrow {escrow}")
        self._check_note(number, note, HELD)

    def _check_passable(self, number: int, note: Note) -> None:
        """Refuse notes of an owner with limits that the bank has not counted on this day."""
        if (note.bank, note.owner) in self.limited and note.counted != self.ctx.today:
            refuse("LIMITED", f"note {number} passes by a turn in which the bank counts it")

    def _check_bank(self, organisation: str) -> None:
        found = self.invoke("identity", "organisation", id=organisation)
        if found is None or "bank" not in found["roles"]:
            refuse("NOT_A_BANK", f"{organisation} is no bank")

    def _check_dealing(self, organisations: list[str]) -> None:
        """Refuse unless all of these are active and may deal, without saying why one may not."""
        for organisation in organisations:
            if not self.invoke("identity", "is_active", id=organisation):
                refuse("UNKNOWN_PARTY", f"{organisation} is no active organisation")
            if not self.invoke("compliance", "may_deal", organisation=organisation):
                refuse("COMPLIANCE_HOLD", f"{organisation} neither pays nor receives for now")


def once(numbers: list[int]) -> list[int]:
    """The numbers, each of which stands there once."""
    for at in range(len(numbers)):
        if numbers[at] in numbers[:at]:
            refuse("NOTE_TWICE", f"note {numbers[at]} stands there twice")
    return numbers


def given(several: list[Any]) -> list[Any]:
    """Those that are there, each once."""
    found: list[Any] = []
    for one in several:
        if one is not None and one not in found:
            found.append(one)
    return found


def add(sums: dict[str, int], money: Money, times: int) -> None:
    before = sums.get(money.currency, 0)
    sums[money.currency] = before + times * money.minor


def text(minor: int, currency: str) -> str:
    """An amount for people, of any size: a sum may be beyond what one amount can be."""
    return f"{minor} minor units of {currency}" if minor > 10**18 else Money(minor, currency).text
