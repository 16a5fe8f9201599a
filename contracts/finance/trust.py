"""What the escrow contract keeps, what its conditions mean, and how notes leave it."""

from __future__ import annotations

from typing import Any

from contracts.finance.escrow_records import (
    AGREED,
    CREDIT,
    DELIVERY,
    DISPUTED,
    FEE_SILENCE_MS,
    FUNDED,
    LIVE,
    LIVE_MAX,
    PARTIALLY_RELEASED,
    PROPOSED,
    REFUNDED,
    RELEASED,
    SHOWN_MAX,
    TIME,
    WORD,
    Escrow,
    EscrowTerms,
    Move,
    Opinion,
)
from contracts.sdk import (
    Contract,
    Counter,
    Index,
    Map,
    Money,
    Opened,
    Task,
    refuse,
)


class Trust(Contract):
    """Escrows, and the moves of their notes."""

    numbers = Counter()
    escrows = Map(Escrow, key=("number",))
    by_depositor = Index(escrows, on=("depositor", "state"))
    by_payee = Index(escrows, on=("payee", "state"))
    by_agent = Index(escrows, on=("agent", "state"))
    approved = Map(bool, key=("number", "note"))
    moves = Map(Move, key=("number", "note"))
    opinions = Map(Opinion, key=("number", "about", "organisation"))

    terms = Opened(EscrowTerms)
    amounts = Opened(Money)

    def _check_condition(self, escrow: Escrow) -> None:
        """Refuse what lacks what its condition is about, or has times that have passed."""
        now = self.ctx.time_ms
        has = (escrow.shipment > 0, escrow.credit > 0, escrow.release_at > 0)
        wants = (
            escrow.condition == DELIVERY,
            escrow.condition == CREDIT,
            escrow.condition == TIME,
        )
        if has != wants or (escrow.presentation > 0) != (escrow.condition == CREDIT):
            refuse("CONDITION_UNCLEAR", "say what the condition is about, and nothing else")
        if (escrow.refund_at > 0) == (escrow.condition == TIME):
            refuse("CONDITION_UNCLEAR", "a refund has its time, unless the release has one")
        if max(escrow.release_at, escrow.refund_at) <= now:
            refuse("TIME_PASSED", "the time of release or refund lies ahead")
        if escrow.condition == DELIVERY:
            found = self.invoke("shipment", "delivered", number=escrow.shipment)
            if escrow.payee not in (found["shipper"], found["carrier"]):
                refuse("OTHER_PARTIES", "the payee ships or carries what is to be delivered")
            if escrow.depositor not in (found["shipper"], found["consignee"]):
                refuse("OTHER_PARTIES", "the depositor ships or receives what is to be delivered")
            if found["consignee"] == escrow.payee:
                refuse("OTHER_PARTIES", "the payee does not confirm the delivery itself")
        elif escrow.condition == CREDIT:
            honoured = self._honoured(escrow)
            if escrow.payee not in (honoured["beneficiary"], honoured["applicant"]):
                refuse("OTHER_PARTIES", "the payee is a party of the credit")

    def _honoured(self, escrow: Escrow) -> dict[str, Any]:
        number, presentation = escrow.credit, escrow.presentation
        found: dict[str, Any] = self.invoke(
            "credit", "honoured", number=number, presentation=presentation
        )
        return found

    def _met(self, escrow: Escrow) -> bool:
        """Whether the condition is met, by what this chain can see."""
        if escrow.condition == DELIVERY:
            found = self.invoke("shipment", "delivered", number=escrow.shipment)
            delivered: bool = found["delivered"] and found["condition"] == "CLEAN"
            return delivered
        if escrow.condition == CREDIT:
            honoured: bool = self._honoured(escrow)["honoured"]
            return honoured
        return escrow.condition == TIME and self.ctx.time_ms >= escrow.release_at

    def _live_of(self, organisation: str) -> list[int]:
        """The numbers of the live escrows that it is a party of, in order."""
        found: list[int] = []
        for state in LIVE:
            found.extend(list(self.by_depositor.keys((organisation, state), limit=LIVE_MAX)))
            found.extend(list(self.by_payee.keys((organisation, state), limit=LIVE_MAX)))
            found.extend(list(self.by_agent.keys((organisation, state), limit=LIVE_MAX)))
        return sorted(found)

    def _tasks(self, number: int, escrow: Escrow) -> list[Task]:
        """What the parties of one escrow have to do."""
        subject = f"escrow {number}"
        time = escrow.release_at or escrow.refund_at
        found: list[Task] = []
        depositor, payee, agent = escrow.depositor, escrow.payee, escrow.agent
        args = {"number": number}
        if escrow.state == PROPOSED:
            for one in (payee, agent):
                if one not in escrow.agreed:
                    found.append(Task(one, "agree", args, subject, [], escrow.since, time))
        elif escrow.state == AGREED:
            found.append(Task(depositor, "fund", args, subject, [], escrow.since, time))
        elif escrow.state == DISPUTED:
            found.append(Task(agent, "decide", args, subject, [], escrow.since))
        elif self._met(escrow):
            found.append(Task(payee, "release", args, subject, [], escrow.since, time))
        else:
            if (number, "cover", payee) not in self.opinions:
                found.append(Task(payee, "cover_examined", args, subject, [], escrow.since, time))
            if escrow.condition == WORD:
                found.append(Task(depositor, "approve", args, subject, [], escrow.since, time))
        if escrow.fee_claimed is not None:
            since = escrow.fee_claimed_at
            due = since + FEE_SILENCE_MS
            found.append(Task(depositor, "fee_examined", args, subject, [], since, due))
        return found

    def _start(self, number: int, escrow: Escrow) -> None:
        """The first deposit: the clock runs."""
        time = escrow.release_at or escrow.refund_at
        if time <= self.ctx.time_ms:
            refuse("TIME_PASSED", "the time of release or refund has come; propose another one")
        escrow.deadline = self.due(time, "fall_due", number=number)
        escrow.state, escrow.since = FUNDED, self.ctx.time_ms

    def _move(
        self,
        number: int,
        escrow: Escrow,
        notes: list[int],
        fate: str,
        to: str,
        fee: bool = False,
    ) -> None:
        """Let notes go one way, and see whether anything is left."""
        self.invoke("claims", "unhold", notes=notes, escrow=number, owner=to)
        for note in notes:
            self.moves.put((number, note), Move(fate, to, self.ctx.time_ms))
        if not fee:
            if fate == "RELEASED":
                escrow.released += len(notes)
            else:
                escrow.refunded += len(notes)
            if not self._left(number):
                escrow.state = RELEASED if escrow.released else REFUNDED
                escrow.ended_at = self.ctx.time_ms
                if escrow.deadline:
                    self.cancel(escrow.deadline)
                    escrow.deadline = ""
            elif escrow.released and escrow.state == FUNDED:
                escrow.state = PARTIALLY_RELEASED
            self.escrows.put(number, escrow)
        self.emit("Moved", number=number, notes=notes, fate=fate, to=to, state=escrow.state)

    def _end_fee(self, number: int, escrow: Escrow, is_due: bool) -> None:
        notes = escrow.fee_claimed or []
        escrow.fee_claimed, escrow.fee_deadline = None, ""
        self.escrows.put(number, escrow)
        if is_due:
            self._move(number, escrow, notes, "FEE", escrow.agent, True)

    def _record(
        self, number: int, escrow: Escrow, about: str, verdict: str, findings: bytes
    ) -> None:
        me = self.ctx.organisation
        self.opinions.put((number, about, me), Opinion(verdict, findings, self.ctx.time_ms))
        self.share([findings], [escrow.depositor, escrow.payee, escrow.agent])
        self.emit("Examined", number=number, about=about, by=me, verdict=verdict)

    def _left(self, number: int) -> bool:
        """Whether anything but fees is held, or being divided."""
        held = self.invoke("claims", "held", escrow=number)
        return any([not one["note"]["fee"] for one in held])  # noqa: C419

    def _held(self, number: int, fee: bool) -> list[int]:
        """The notes that may move now."""
        return [
            one["number"]
            for one in self.invoke("claims", "held", escrow=number)
            if one["note"]["state"] == "HELD" and one["note"]["fee"] == fee
        ]

    def _check_held(self, number: int, notes: list[int], fee: bool) -> None:
        held = self._held(number, fee)
        for note in notes:
            if note not in held:
                what = "for the fee" if fee else "for the payee"
                refuse("NOTE_STATE", f"note {note} is not held {what} in escrow {number}")

    def _all_notes(self, number: int) -> list[dict[str, Any]]:
        """The notes that are held or were released: what was put in and not given back."""
        found: list[dict[str, Any]] = []
        for one in self.invoke("claims", "held", escrow=number):
            if one["note"]["state"] in ("HELD", "LOCKED"):
                found.append(one["note"])
        for key, move in self.moves.items(number, limit=SHOWN_MAX):
            if move.fate == "RELEASED":
                found.append(self._note(key[1]))
        return found

    def _note(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.invoke("claims", "note", number=number)
        return found

    def _escrow(self, number: int) -> Escrow:
        found = self.escrows.get(number)
        if found is None:
            refuse("NOT_FOUND", f"there is no escrow {number}")
        return found

    def _of_party(self, number: int) -> Escrow:
        escrow = self._escrow(number)
        if self.ctx.organisation not in (escrow.depositor, escrow.payee, escrow.agent):
            refuse("NOT_AUTHORISED", f"not a party of escrow {number}")
        return escrow

    def _check_state(self, number: int, escrow: Escrow, states: tuple[str, ...]) -> None:
        if escrow.state not in states:
            refuse("WRONG_STATE", f"escrow {number} is {escrow.state}")

    def _check_dealing(self, organisations: list[str]) -> None:
        self.invoke("claims", "check_dealing", organisations=organisations)


def once(commitments: list[bytes]) -> list[bytes]:
    """Each of them once."""
    found: list[bytes] = []
    for one in commitments:
        if one not in found:
            found.append(one)
    return found


def add(sums: dict[str, int], money: Money, times: int) -> None:
    sums[money.currency] = sums.get(money.currency, 0) + times * money.minor


def text(minor: int, currency: str) -> str:
    """An amount for people, of any size: a sum may be beyond what one amount can be."""
    return f"{minor} minor units of {currency}" if minor > 10**18 else Money(minor, currency).text
