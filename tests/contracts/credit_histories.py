"""Random dealings of traders and banks in credits, judged by books of their own.

The books hold what every opening says, and what took effect; from these alone they tell what each
check must find, what is undrawn, which amendments are in force, and who may do what. After each
call the chain is held against them. A refused call must have changed nothing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Final

from consensus.primitives.codec import decode
from consensus.primitives.keys import decode_key, prefix_range
from contracts.sdk.records import plan_of
from contracts.sdk.testkit import DAY_MS, Refused
from contracts.trade.credit_records import Credit, Presentation
from contracts.trade.days import date_of, number_of, weekday_of
from tests.contracts.credits import STAFF, hidden, money, small_world

CREDIT_FIELDS: Final = list(plan_of(Credit).fields)
PRESENTATION_FIELDS: Final = list(plan_of(Presentation).fields)
ACTORS: Final = ("officer", "manager", "clerk", "director", "buyer", "seller", "farmer", "rival")
PAYABLE: Final = ("COMPLYING", "WAIVED", "PRECLUDED")
RUNNING: Final = ("ADVISED", "CONFIRMED")
ALIVE: Final = ("ISSUED", *RUNNING)
OPS: Final = (
    *["open"] * 3, "apply", "propose", "issue", "advise", "confirm", "decline", "withdraw",
    *["amend"] * 3, *["issue_amendment"] * 4, "extend", "extend", *["decide"] * 3,
    "transfer", "transfer", *["transferred"] * 2, *["present"] * 7, *["examine"] * 6,
    *["lie"] * 2, *["recheck"] * 3, *["notice"] * 3, *["ask"] * 4, *["waive"] * 4,
    *["accept"] * 4, *["count"] * 7, *["honour"] * 7, *["pass_on"] * 3, "take_back", "wait", "wait",
    "close",
)  # fmt: skip


class NothingToDo(Exception):
    """There is nothing of the kind that a step would be taken with."""


@dataclasses.dataclass
class Amended:
    change: int
    state: str = "PROPOSED"
    agreed: bool = False
    cancels: bool = False
    proposer: str = ""


@dataclasses.dataclass
class Presented:
    bank: str
    presenter: str
    minor: int
    bad: bool
    basis: list[int]
    pending: list[int]
    before: int
    time_ms: int
    state: str = "PRESENTED"
    examiner: str = ""
    payer: str = ""
    verdict: str = ""
    notices: int = 0
    fate: str = ""
    asked: bool = False
    waived: bool = False
    disputed: bool = False
    of: int = 0
    passed_on: int = 0
    late: bool = False


@dataclasses.dataclass
class Kept:
    amount: int
    plus: int | None
    beneficiary: str
    nominated: str
    expiry: int
    state: str = "APPLIED"
    proposer: str = ""
    confirmed: bool = False
    amendments: list[Amended] = dataclasses.field(default_factory=list)
    accepted: list[int] = dataclasses.field(default_factory=list)
    presentations: list[Presented] = dataclasses.field(default_factory=list)
    drawn: dict[int, int] = dataclasses.field(default_factory=dict)  # below 0: transferred
    parent: int = 0
    basis: list[int] = dataclasses.field(default_factory=list)  # the parent's amendments then
    only_with: str = ""

    def amount_with(self, amendments: list[int]) -> int:
        amount = self.amount
        for number in sorted(amendments):
            amount = max(0, amount + self.amendments[number - 1].change)
        return amount

    def ceiling(self, amendments: list[int]) -> int:
        return self.amount_with(amendments) * (100 + (self.plus or 0)) // 100

    @property
    def pending(self) -> list[int]:
        return [n for n, one in enumerate(self.amendments, 1) if one.state == "ISSUED"]

    @property
    def open(self) -> list[int]:
        states = ("PRESENTED", "DISCREPANT", *PAYABLE)
        return [n for n, one in enumerate(self.presentations, 1) if one.state in states]

    @property
    def to_pass_on(self) -> bool:
        """Whether a bank has paid and not yet been to the issuer."""
        return any(
            one.state == "HONOURED" and one.bank != "bank" and not one.passed_on
            for one in self.presentations
        )

    def undrawn(self) -> int:
        left = max(0, self.ceiling(self.accepted) - sum(self.drawn.values()))
        if self.state in ALIVE:
            return left
        claims = {}
        for number in self.open:
            one = self.presentations[number - 1]
            if (one.of or number) not in self.drawn:
                claims[one.of or number] = one.minor
        return min(left, sum(claims.values()))


class World:
    """A chain and its books."""

    def __init__(self) -> None:
        self.kit = small_world()
        self.books: dict[int, Kept] = {}
        self.counts: Counter[str] = Counter()
        self.lies_found = 0

    # --- reading the chain ----------------------------------------------------------------------

    def rows(self, name: str) -> dict[tuple[Any, ...], list[Any]]:
        """A map of the contract as it stands in the state."""
        start, stop = prefix_range("credit", name)
        return {
            decode_key(key)[2]: decode(raw, bytes_max=len(raw))
            for key, raw in self.kit._state.scan(start, stop)
        }

    def kept(self) -> dict[bytes, bytes]:
        """The state, but for what was used."""
        used, _ = prefix_range("usage", "used")
        return {k: v for k, v in self.kit._state.values.items() if not k.startswith(used)}

    # --- acting ---------------------------------------------------------------------------------

    def act(self, op: str, numbers: tuple[int, ...]) -> None:
        before = self.kept()
        try:
            getattr(self, f"do_{op}")(*numbers)
            code = "OK"
        except Refused as error:
            code = error.code
            assert self.kept() == before, f"{op} was refused with {code} and changed something"
        except NothingToDo:
            code = "NOTHING_TO_DO"
        self.counts[f"{op} {code}"] += 1
        self.judge()

    def pick(self, a: int, *states: str) -> tuple[int, Kept]:
        """One of the newest credits; seven times in eight it is in one of these states."""
        numbers = [n for n, book in self.books.items() if book.state in states or a % 8 == 0]
        if not numbers:
            raise NothingToDo
        number = numbers[-1 - a // 8 % min(len(numbers), 6)]
        return number, self.books[number]

    def pick_presentation(self, a: int, *states: str) -> tuple[int, int, Kept, Presented]:
        found = [
            (number, which)
            for number, book in self.books.items()
            for which, one in enumerate(book.presentations, 1)
            if one.state in states or a % 8 == 0
        ]
        if not found:
            raise NothingToDo
        number, which = found[-1 - a // 8 % min(len(found), 5)]
        book = self.books[number]
        return number, which, book, book.presentations[which - 1]

    def by(self, chance: int, *allowed: str) -> str:
        """One of those who may; one time in six anybody, who must be one of them to succeed."""
        self.allowed = allowed
        self.actor = ACTORS[chance // 6 % 8] if chance % 6 == 0 else allowed[chance % len(allowed)]
        return self.actor

    def call(self, method: str, /, **args: Any) -> Any:
        answer = self.kit.as_(self.actor).call("credit", method, **args)
        assert self.actor in self.allowed, f"{self.actor} may not {method}"
        return answer

    def check(self, name: str, code: str, /, **args: Any) -> dict[str, Any]:
        """A check's verdict, which must be the books' own, as arguments of its recording call."""
        found = self.kit.check("credit", name, **args)
        assert found["code"] == code, f"{name} found {found}, not {code}"
        findings = hidden(self.kit, found["findings"])
        return {**args, "verdict": code, "findings": findings}

    def staff(self, bank: str) -> tuple[str, str]:
        return STAFF[bank][0], STAFF[bank][1]

    # --- undertakings ---------------------------------------------------------------------------

    def do_apply(self, a: int, b: int, c: int, *_: int) -> None:
        self.by(a * 6 + 1, "buyer")
        nominated = ("", "other_bank", "other_bank")[c % 3]
        expiry = date_of(self.kit.time_ms // DAY_MS + 5 + b % 60)
        plus = (None, 5, 10)[b % 3]
        terms = {
            "reference": f"DC{c}", "applicant": "Buyer", "beneficiary": "Seller",
            "amount": money(1_000 + b), "expiry": expiry, "expiry_place": "X",
            "available_with": "Bank", "available_by": "PAYMENT", "goods": "coffee",
            "documents": [{"type": "INVOICE"}], "plus": plus, "transferable": True,
        }  # fmt: skip
        args = {"issuer": self.kit.id("bank"), "beneficiary": self.kit.id("seller"),
                "expiry": expiry, "terms": hidden(self.kit, terms)}  # fmt: skip
        if nominated:
            args |= {"nominated": self.kit.id(nominated), "to_confirm": c % 3 == 2}
        number = self.call("apply", **args)
        self.books[number] = Kept(1_000 + b, plus, "seller", nominated, expiry)

    def do_open(self, a: int, b: int, c: int, *_: int) -> None:
        """All the way to a credit that runs."""
        self.do_apply(a, b, c)
        number = max(self.books)
        book = self.books[number]
        self.by(1, "officer")
        self.call("propose", number=number)
        self.by(1, "manager")
        self.call("issue", **self.check("ready", "READY", number=number))
        self.call("advise", number=number)
        book.state, book.proposer = "ADVISED", "officer"
        if c % 3 == 2 and a % 2:
            self.by(1, "director")
            self.call("confirm", number=number)
            book.state, book.confirmed = "CONFIRMED", True

    def do_propose(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "APPLIED")
        self.by(b, "officer", "manager")
        self.call("propose", number=number)
        assert book.state == "APPLIED" and not book.parent
        book.state, book.proposer = "PROPOSED", self.actor

    def do_issue(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "PROPOSED")
        self.by(b, "manager")
        self.call("issue", **self.check("ready", "READY", number=number))
        assert book.state == "PROPOSED" and book.proposer != self.actor, "one pair of eyes"
        book.state = "ISSUED"

    def do_advise(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "ISSUED")
        self.by(b, "officer", "manager")
        self.call("advise", number=number)
        book.state = "ADVISED"

    def do_confirm(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "ADVISED")
        self.by(b, "director")
        self.call("confirm", number=number)
        assert book.state == "ADVISED" and book.nominated
        book.state, book.confirmed = "CONFIRMED", True

    def do_decline(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "APPLIED", "PROPOSED")
        self.by(b, "officer", "manager")
        self.call("decline", number=number, reason=hidden(self.kit, "no"))
        assert book.state in ("APPLIED", "PROPOSED"), "an undertaking was taken back"
        book.state = "DECLINED"

    def do_withdraw(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a, "APPLIED", "PROPOSED")
        self.by(b, "buyer")
        self.call("withdraw", number=number)
        assert book.state in ("APPLIED", "PROPOSED"), "an undertaking was taken back"
        book.state = "WITHDRAWN"

    def do_close(self, a: int, b: int, *_: int) -> None:
        number, book = self.pick(a * 8 + (b % 8 == 0), "EXPIRED", "ADVISED")
        if book.state == "EXPIRED":
            self.by(b, "officer", "manager")
        else:
            self.by(b, book.beneficiary)
        self.call("close", number=number)
        assert not book.open and not book.to_pass_on
        book.state = "CLOSED"

    # --- amendments -----------------------------------------------------------------------------

    def do_amend(self, a: int, b: int, c: int, *_: int) -> None:
        number, book = self.pick(a, *ALIVE)
        self.by(b, "officer", "officer", "manager")
        change = c % 400 - 250
        cancels = c % 40 == 0
        changes = {("increase" if change > 0 else "decrease"): money(abs(change))}
        which = self.call("amend", number=number, changes=hidden(self.kit, changes),
                          cancels=cancels)  # fmt: skip
        assert which == len(book.amendments) + 1
        book.amendments.append(Amended(change, cancels=cancels, proposer=self.actor))

    def an_amendment(self, a: int, state: str) -> tuple[int, int, Kept, Amended]:
        found = [
            (number, which)
            for number, book in self.books.items()
            for which, one in enumerate(book.amendments, 1)
            if one.state == state or a % 8 == 0
        ]
        if not found:
            raise NothingToDo
        number, which = found[-1 - a // 8 % min(len(found), 5)]
        return number, which, self.books[number], self.books[number].amendments[which - 1]

    def do_issue_amendment(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.an_amendment(a, "PROPOSED")
        self.by(b, "manager")
        amount = book.amount_with([earlier for earlier in book.accepted if earlier < which])
        after = amount + one.change
        ceiling = after * (100 + (book.plus or 0)) // 100
        fit = after > 0 and ceiling >= sum(book.drawn.values())
        code = "READY" if fit and not (book.parent and one.change > 0) else "UNFIT"
        self.call("issue_amendment", **self.check("fits", code, number=number, amendment=which))
        assert one.state == "PROPOSED" and one.proposer != self.actor and code == "READY"
        one.state = "ISSUED"

    def do_extend(self, a: int, b: int, *_: int) -> None:
        number, which, _book, one = self.an_amendment(a, "ISSUED")
        self.by(b, "director")
        self.call("extend_confirmation", number=number, amendment=which)
        one.agreed = True

    def do_decide(self, a: int, b: int, c: int, *_: int) -> None:
        number, which, book, one = self.an_amendment(a, "ISSUED")
        self.by(b, book.beneficiary)
        decision = ("ACCEPT", "ACCEPT", "REJECT", "ACCEPT_IN_PART")[c % 4]
        self.call("decide", number=number, amendment=which, decision=decision)
        assert one.state == "ISSUED"
        one.state = "REJECTED"
        if decision == "ACCEPT":
            assert one.agreed or not book.confirmed, "without the confirming bank"
            one.state = "ACCEPTED"
            book.accepted.append(which)
            if one.cancels:
                assert not book.open and not book.to_pass_on
                book.state = "CANCELLED"

    # --- transfer -------------------------------------------------------------------------------

    def do_transfer(self, a: int, b: int, c: int, *_: int) -> None:
        number, book = self.pick(a, *RUNNING)
        self.by(b, book.beneficiary)
        amount = 1 + c % 900
        terms = {
            "reference": "DCT", "applicant": "Buyer", "beneficiary": "Farmer",
            "amount": money(amount), "expiry": book.expiry, "expiry_place": "X",
            "available_with": "Bank", "available_by": "PAYMENT", "goods": "coffee",
            "documents": [{"type": "INVOICE"}], "plus": book.plus,
        }  # fmt: skip
        child = self.call("transfer", number=number, to=self.kit.id("farmer"), expiry=book.expiry,
                          terms=hidden(self.kit, terms))  # fmt: skip
        assert not book.parent, "transferred twice"
        made = Kept(amount, book.plus, "farmer", book.nominated, book.expiry)
        made.parent = number
        made.basis = list(book.accepted)
        self.books[child] = made

    def do_transferred(self, a: int, b: int, *_: int) -> None:
        children = [n for n, one in self.books.items() if one.parent and one.state == "APPLIED"]
        if not children:
            raise NothingToDo
        child = children[-1 - a % min(len(children), 3)]
        book = self.books[child]
        parent = self.books[book.parent]
        self.by(b, "manager", *(["director"] if book.nominated else []))
        basis = book.basis
        fits = book.amount <= parent.amount_with(basis) and (
            sum(parent.drawn.values()) + book.ceiling([]) <= parent.ceiling(basis)
        )
        drawn = len(parent.drawn)
        code = "WITHIN" if fits else "BEYOND"
        self.call("transferred", **self.check("transferable", code, number=child, drawn=drawn))
        assert fits and parent.state in RUNNING and basis == parent.accepted
        parent.drawn[-child] = book.ceiling([])
        book.confirmed = parent.confirmed
        book.state = "CONFIRMED" if book.confirmed else "ADVISED"
        book.only_with = "bank" if self.actor == "manager" else "other_bank"

    # --- presentations --------------------------------------------------------------------------

    def do_present(self, a: int, b: int, c: int, d: int, *_: int) -> None:
        number, book = self.pick(a, *RUNNING)
        self.by(b, book.beneficiary)
        bank = ("bank", "other_bank")[d % 5 == 0]
        minor, bad = 1 + c * (1 + d % 2), d % 3 == 0
        name = "Seller" if book.beneficiary == "seller" else "Farmer"
        invoice = {"type": "INVOICE", "digest": bytes(32), "issuer": "X" if bad else name,
                   "to": "Buyer", "goods": "Coffee", "amount": money(minor)}  # fmt: skip
        which = self.call(
            "present", number=number, bank=self.kit.id(bank),
            drawing=hidden(self.kit, {"amount": money(minor)}),
            documents=[hidden(self.kit, invoice)],
        )  # fmt: skip
        assert book.state in RUNNING and which == len(book.presentations) + 1
        assert not book.only_with or bank == book.only_with
        pending = [
            one for one in self.in_order(number)
            if not book.amendments[one - 1].cancels
            and (book.amendments[one - 1].agreed or not book.confirmed)
        ]  # fmt: skip
        before = sum(minor for key, minor in book.drawn.items() if key > 0)
        made = Presented(bank, book.beneficiary, minor, bad, list(book.accepted), pending, before,
                         self.kit.time_ms)  # fmt: skip
        book.presentations.append(made)

    def in_order(self, number: int) -> list[int]:
        """Pending amendments in the order of their issue, which is public."""
        found: list[int] = self.kit.query("credit", "credit", number=number)["credit"]["pending"]
        assert sorted(found) == self.books[number].pending
        return found

    def verdict(self, book: Kept, one: Presented) -> str:
        """What the examination must find: the most amendments that the documents fit."""
        for count in range(len(one.pending), -1, -1):
            taken = one.basis + one.pending[:count]
            if not one.bad and one.before + one.minor <= book.ceiling(taken):
                return f"COMPLYING_WITH_{one.pending[count - 1]}" if count else "COMPLYING"
        return "DISCREPANT"

    def examined(self, number: int, which: int, code: str, by: int) -> None:
        book = self.books[number]
        one = book.presentations[which - 1]
        found = self.check("examine", self.verdict(book, one), number=number, presentation=which)
        officers = self.staff(one.bank)
        self.by(by, officers[0], officers[0], officers[1])
        if self.actor not in officers:
            raise NothingToDo  # another one's word stands beside the bank's
        self.call("examined", **found | {"verdict": code})
        assert one.state == "PRESENTED" and not one.verdict
        one.examiner, one.verdict = self.actor, code
        one.state = "DISCREPANT" if code == "DISCREPANT" else "COMPLYING"
        if code.startswith("COMPLYING_WITH_"):
            newest = int(code.rpartition("_")[2])
            for amendment in one.pending:
                if amendment <= newest and book.amendments[amendment - 1].state == "ISSUED":
                    book.amendments[amendment - 1].state = "ACCEPTED"
                    book.accepted.append(amendment)

    def do_examine(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, "PRESENTED")
        self.examined(number, which, self.verdict(book, one), b)

    def do_lie(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, "PRESENTED")
        truth = self.verdict(book, one)
        self.examined(number, which, "COMPLYING" if truth == "DISCREPANT" else "DISCREPANT", b)

    def do_recheck(self, a: int, b: int, *_: int) -> None:
        """Another party runs the check again; lies are found, and only lies."""
        number, which, book, one = self.pick_presentation(a, "DISCREPANT", "REFUSED", *PAYABLE)
        found = self.check("examine", self.verdict(book, one), number=number, presentation=which)
        self.by(b * 6 + 1, "regulator" if b % 2 else book.beneficiary)
        self.call("examined", **found)
        lied = one.verdict != found["verdict"]
        one.disputed = one.disputed or lied
        self.lies_found += lied

    def do_notice(self, a: int, b: int, c: int, *_: int) -> None:
        number, which, _book, one = self.pick_presentation(a, "DISCREPANT", "REFUSED")
        self.by(b, *self.staff(one.bank))
        fate = ("HOLD", "NOTIFY", "HOLD", "NOTIFY", "RETURN", "PREVINST")[c % 6]
        self.call("give_notice", number=number, presentation=which, fate=fate)
        assert one.state == "DISCREPANT" and not one.notices, "a second notice"
        one.state, one.notices, one.fate = "REFUSED", 1, fate

    def do_ask(self, a: int, b: int, *_: int) -> None:
        number, which, _book, one = self.pick_presentation(a, "DISCREPANT", "REFUSED")
        self.by(b, "officer", "manager")
        self.call("ask_waiver", number=number, presentation=which)
        assert one.bank == "bank" and one.fate not in ("RETURN", "PREVINST")
        one.asked = True

    def do_waive(self, a: int, b: int, *_: int) -> None:
        number, which, _book, one = self.pick_presentation(a, "DISCREPANT", "REFUSED")
        self.by(b, "buyer")
        self.call("waive", number=number, presentation=which)
        assert one.asked
        one.waived = True

    def do_accept(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, "DISCREPANT", "REFUSED")
        self.by(b, self.staff(one.bank)[1])
        self.call("accept_waiver", number=number, presentation=which)
        assert one.state in ("DISCREPANT", "REFUSED") and one.examiner != self.actor
        if one.bank == "bank":
            assert one.waived
        else:
            assert book.presentations[one.passed_on - 1].state in (*PAYABLE, "HONOURED")
        one.state = "WAIVED"

    def do_count(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, *PAYABLE)
        total = sum(book.drawn.values()) + one.minor
        code = "WITHIN" if total <= book.ceiling(book.accepted) else "BEYOND"
        args = {"drawn": len(book.drawn), "accepted": len(book.accepted)}
        found = self.check("within", code, number=number, presentation=which, **args)
        officers = self.staff(one.bank)
        self.by(b, officers[0], officers[0], officers[1])
        if self.actor not in officers:
            raise NothingToDo
        self.call("counted", **found)
        assert one.state in PAYABLE and code == "WITHIN" and (one.of or which) not in book.drawn
        book.drawn[one.of or which] = one.minor
        one.examiner = one.examiner or self.actor

    def do_honour(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, *PAYABLE)
        self.by(b, self.staff(one.bank)[1])
        self.call("honour", number=number, presentation=which)
        assert one.state in PAYABLE and (one.of or which) in book.drawn
        one.state, one.payer = "HONOURED", self.actor
        assert one.payer != one.examiner, "the examiner paid"

    def do_pass_on(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, "DISCREPANT", "HONOURED", *PAYABLE)
        self.by(b, *self.staff(one.bank))
        second = self.call("pass_on", number=number, presentation=which)
        assert one.bank == "other_bank" and not one.passed_on
        one.passed_on = second
        made = dataclasses.replace(
            one, bank="bank", presenter="other_bank", state="PRESENTED", of=which, passed_on=0,
            examiner="", payer="", verdict="", notices=0, fate="", asked=False, waived=False,
            disputed=False, late=False, time_ms=self.kit.time_ms,
        )  # fmt: skip
        book.presentations.append(made)

    def do_take_back(self, a: int, b: int, *_: int) -> None:
        number, which, book, one = self.pick_presentation(a, "REFUSED")
        presenters = ("clerk", "director") if one.presenter == "other_bank" else (one.presenter,)
        self.by(b, *presenters)
        self.call("take_back", number=number, presentation=which)
        is_bound = one.bank == "bank" or book.confirmed
        assert one.state in ("PRESENTED", "DISCREPANT", "REFUSED") or (
            one.state == "COMPLYING" and not is_bound
        )
        assert not one.passed_on
        one.state = "TAKEN_BACK"
        if one.of:
            book.presentations[one.of - 1].passed_on = 0

    def recheck_all(self) -> None:
        """Whatever a bank said falsely, a regulator finds, whom somebody has shown the openings."""
        for number, book in self.books.items():
            for which, one in enumerate(book.presentations, 1):
                if one.verdict and one.verdict != self.verdict(book, one) and not one.disputed:
                    code = self.verdict(book, one)
                    found = self.check("examine", code, number=number, presentation=which)
                    self.kit.as_("regulator").call("credit", "examined", **found)
                    one.disputed = True
                    self.lies_found += 1
        self.judge()

    # --- time -----------------------------------------------------------------------------------

    def do_wait(self, a: int, *_: int) -> None:
        """Deadlines pass by themselves; the books count banking days on their own."""
        self.kit.advance(days=1 + a % 4)
        today = self.kit.time_ms // DAY_MS
        for book in self.books.values():
            for one in book.presentations:
                if one.late or today <= fifth_banking_day(one.time_ms // DAY_MS):
                    continue
                one.late = True  # who confirms after that was not bound then
                if one.bank != "bank" and not book.confirmed:
                    continue
                if one.state in ("PRESENTED", "DISCREPANT"):
                    one.state = "PRECLUDED"
            if book.state in ALIVE and today > banking_day(number_of(book.expiry)):
                book.state = "EXPIRED"

    # --- judging --------------------------------------------------------------------------------

    def judge(self) -> None:
        credits = self.rows("credits")
        for (number,), row in credits.items():
            book = self.books[number]
            found = dict(zip(CREDIT_FIELDS, row, strict=False))
            assert found["state"] == book.state, f"credit {number}: {found['state']}"
            assert found["accepted"] == book.accepted, f"credit {number}: other amendments"
            assert found["drawings"] == list(book.drawn), f"credit {number}: other drawings"
            assert sorted(found["open"]) == book.open, f"credit {number}: others are open"
        for (number, which), row in self.rows("presentations").items():
            one = self.books[number].presentations[which - 1]
            found = dict(zip(PRESENTATION_FIELDS, row, strict=False))
            assert found["state"] == one.state, f"{number}/{which}: {found['state']}, {one.state}"
            assert (found["refused_at"] > 0) == (one.notices == 1), "another notice"
            assert (found["examiner"], found["payer"]) == (one.examiner, one.payer)
            assert not one.payer or one.payer != one.examiner
            assert found["disputed"] == one.disputed
        for number, book in sorted(self.books.items())[-3:]:
            found = self.kit.check("credit", "undrawn", number=number)
            words = found["findings"][0].split()
            minor = int(words[0].replace(".", ""))
            assert minor == book.undrawn(), f"credit {number}: {words}, not {book.undrawn()}"


def banking_day(day: int) -> int:
    """The day, or the next one that is no Saturday or Sunday."""
    while weekday_of(day) >= 5:
        day += 1
    return day


def fifth_banking_day(day: int) -> int:
    for _ in range(5):
        day = banking_day(day + 1)
    return day
